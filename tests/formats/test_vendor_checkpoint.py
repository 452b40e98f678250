"""Vendor checkpoints: integers go in and come out; foreign files run no code."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import drawn_networks
import numpy as np
import pytest
import torch

from max78k.errors import InputError, RuleError
from max78k.formats.layer_weights import LayerWeights, weights_of
from max78k.formats.vendor_checkpoint import quantize_vendor, read_vendor_q, write_vendor_q


def same(left: LayerWeights, right: LayerWeights) -> bool:
    if (left.bias is None) != (right.bias is None):
        return False
    return (
        (left.name, left.weight_bits, left.output_shift)
        == (right.name, right.weight_bits, right.output_shift)
        and np.array_equal(left.weight, right.weight)
        and (left.bias is None or np.array_equal(left.bias, right.bias))
    )


def layer(weight: Any, **numbers: Any) -> OrderedDict[str, torch.Tensor]:
    state = OrderedDict()
    for key, value in numbers.items():
        if key != "bias":
            state[f"c1.{key}"] = torch.tensor([float(value)])
    state["c1.op.weight"] = torch.as_tensor(weight)
    if "bias" in numbers:
        state["c1.op.bias"] = torch.as_tensor(numbers["bias"])
    return state


def save(path: Path, state: Any, **more: Any) -> Path:
    torch.save({"epoch": 3, "arch": "net", "state_dict": state, "extras": {}, **more}, path)
    return path


@pytest.mark.parametrize("seed", range(12))
def test_written_integers_are_read_back(seed: int, tmp_path: Path) -> None:
    network = drawn_networks.draw(seed)
    expected = weights_of(network)
    path = tmp_path / "n-q.pth.tar"
    write_vendor_q(network, path, arch="mine")
    found = read_vendor_q(path)
    assert found.arch == "mine"
    assert len(found.layers) == len(expected)
    assert all(same(a, b) for a, b in zip(found.layers, expected, strict=True))


def test_the_file_is_laid_out_as_the_vendors_loader_expects(tmp_path: Path) -> None:
    network = drawn_networks.draw(8)
    write_vendor_q(network, tmp_path / "q")
    content = torch.load(tmp_path / "q", weights_only=True)
    assert (content["arch"], content["epoch"], content["extras"]) == ("drawn", 0, {})
    state = content["state_dict"]
    names = [key.partition(".op.weight")[0] for key in state if key.endswith(".weight")]
    assert names == [item.name for item in weights_of(network)]
    for item in weights_of(network):
        for key in ("output_shift", "weight_bits", "bias_bits", "adjust_output_shift"):
            assert state[f"{item.name}.{key}"].shape == (1,)
            assert state[f"{item.name}.{key}"].dtype == torch.float32
        assert state[f"{item.name}.op.weight"].dtype == torch.float32
        if item.bias is not None:  # the loader divides by this unit and floors
            unit = 2 ** (item.weight_bits - 1)
            stored = state[f"{item.name}.op.bias"].numpy()
            np.testing.assert_array_equal(np.floor(stored / unit), item.bias)


@pytest.mark.parametrize("name", ["catsdogs", "kws20_v3", "mnist", "mnist-extrasmall"])
def test_the_vendors_rule_gives_the_vendors_integers(name: str, shared_folder: Path) -> None:
    folder = shared_folder / "data" / "vendor_checkpoints"
    given = read_vendor_q(folder / f"ai85-{name}-qat8-q.pth.tar")
    made = quantize_vendor(folder / f"ai85-{name}-qat8.pth.tar")
    assert made.arch == given.arch
    assert len(made.layers) == len(given.layers) > 3
    assert all(same(a, b) for a, b in zip(made.layers, given.layers, strict=True))


def test_a_float_checkpoint_is_not_taken_for_integers(shared_folder: Path) -> None:
    path = shared_folder / "data" / "vendor_checkpoints" / "ai85-mnist-qat8.pth.tar"
    with pytest.raises(InputError, match=r"E-CHECKPOINT-FLOAT .* Try: quantize"):
        read_vendor_q(path)


def test_biases_of_old_files_are_floored(shared_folder: Path) -> None:
    folder = shared_folder / "data" / "vendor_checkpoints"
    found = read_vendor_q(folder / "ai85-mnist-qat8-q.pth.tar")
    bias = found.layers[-1].bias
    assert bias is not None
    assert bias.min() == np.floor(-4417 / 128)
    with np.load(shared_folder / "golden" / "n-mnist" / "weights.npz") as recorded:
        np.testing.assert_array_equal(bias, recorded["L004.b"])
        np.testing.assert_array_equal(found.layers[1].weight, recorded["L001.w"])


@pytest.mark.parametrize(
    ("largest", "shift"), [(0.5, -1), (0.5001, 0), (1.0, 0), (1.5, 1), (0.0, -15), (1e9, 15)]
)
def test_the_shift_is_the_smallest_power_that_holds_the_weights(
    largest: float, shift: int, tmp_path: Path
) -> None:
    path = save(tmp_path / "f", layer(torch.tensor([[largest, -largest / 2]])))
    assert quantize_vendor(path).layers[0].output_shift == shift


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def test_foreign_pickles_run_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    save(tmp_path / "zip", {"c1.op.weight": torch.zeros(1, 1)}, optimizer=Evil(mark))
    (tmp_path / "bare").write_bytes(pickle.dumps({"state_dict": Evil(mark)}))
    for name in ("zip", "bare"):
        with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
            read_vendor_q(tmp_path / name)
    assert not mark.exists()


def test_the_optimizer_classes_of_real_files_are_accepted(tmp_path: Path) -> None:
    state = layer(torch.tensor([[1.0, 2.0]]), weight_bits=8, output_shift=-1)
    for kind in (torch.optim.Adam, torch.optim.SGD):
        path = save(tmp_path / "q", state, optimizer_type=kind)
        assert read_vendor_q(path).layers[0].output_shift == -1
    path = save(tmp_path / "q", state, optimizer_type=torch.optim.Adagrad)
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        read_vendor_q(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    good = save(tmp_path / "good", layer(torch.tensor([[1.0, 2.0]]))).read_bytes()
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("hello", "world")
    other = (tmp_path / "other").read_bytes()
    for data in (b"", b"hello", good[: len(good) // 2], good[:-30], other):
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
            read_vendor_q(tmp_path / "bad")
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            read_vendor_q(path)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"c1.op.weight": "text"},
        {"c1.op.weight": torch.zeros(2, 2, dtype=torch.complex64)},
        {"c1.op.weight": torch.zeros(2, 2).to_sparse()},
        {"c1.op.weight": torch.zeros(1).expand(1 << 26)},
        {"module.c1.op.weight": torch.zeros(1, 1), "c1.op.weight": torch.ones(1, 1)},
        {"c1.output_shift": torch.zeros(1)},
    ],
)
def test_files_without_usable_tensors_are_refused(state: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        read_vendor_q(save(tmp_path / "q", state))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (layer([[0.5, 1.0]]), "not integers"),
        (layer([[8.0, 1.0]], weight_bits=4), "1...8 do not fit into 4 bits"),
        (layer([[1.0, 1.0]], weight_bits=3), "`weight_bits` is 3"),
        (layer([[1.0, 1.0]], output_shift=16), "`output_shift` 16 is out of range at 8 bits"),
        (layer([[1.0, 1.0]], output_shift=float("inf")), "`output_shift` is not a number"),
        (layer([[1.0, 1.0]], bias=[20000.0]), "156...156 do not fit into 8 bits"),
        (layer([[1.0, 1.0]], bias=[1.0, 2.0, 3.0]), r"bias of shape \(3,\)"),
        (layer([[float("nan"), 1.0]]), "weight is not finite"),
        (layer([1.0, 1.0]), "fold batch normalization"),
        (layer(torch.zeros(0, 2)), "no weights"),
    ],
)
def test_numbers_that_the_chip_does_not_have_are_named(
    state: OrderedDict[str, torch.Tensor], words: str, tmp_path: Path
) -> None:
    with pytest.raises(RuleError, match=f"E-CHECKPOINT-LAYER .*layer c1: .*{words}"):
        read_vendor_q(save(tmp_path / "q", state))


def test_every_bad_layer_is_reported(tmp_path: Path) -> None:
    state = {"a.op.weight": torch.full((1, 1), 0.5), "b.op.weight": torch.full((1, 1), 300.0)}
    with pytest.raises(RuleError) as caught:
        read_vendor_q(save(tmp_path / "q", state))
    assert len(caught.value.violations) == 2


def test_twins_of_data_parallel_training_count_once(tmp_path: Path) -> None:
    weight = torch.tensor([[1.0, 2.0]])
    state = {"module.c1.op.weight": weight, "c1.op.weight": weight.clone()}
    assert len(read_vendor_q(save(tmp_path / "q", state)).layers) == 1
    alone = {"module.c1.op.weight": weight}
    assert read_vendor_q(save(tmp_path / "q", alone)).layers[0].name == "c1"
