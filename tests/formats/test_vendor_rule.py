"""The vendor's quantizing rules give its own -q files; its checkpoints go in and out of models."""

from __future__ import annotations

from pathlib import Path

import ai8x_networks_by_vendor as vendor_networks
import numpy as np
import pytest
import torch

from max78k.errors import InputError, RuleError
from max78k.flows.export import export
from max78k.flows.quantization import quantize_checkpoint_by_vendor
from max78k.formats.vendor_checkpoint import (
    quantize_vendor,
    read_vendor_q,
    write_vendor_float,
    write_vendor_q,
)
from max78k.formats.vendor_model import load_vendor
from max78k.network import reference
from max78k.training.convert import layer_outputs, to_network

PAIRS = {
    "ai85-catsdogs-qat8": "vendor",
    "ai85-kws20_v3-qat8": "vendor",
    "ai85-mnist-qat8": "vendor-2021",
    "ai85-mnist-extrasmall-qat8": "vendor-2021",
}


def same(one, other) -> int:
    """Numbers that differ."""
    different = 0
    for a, b in zip(one.layers, other.layers, strict=True):
        assert (a.name, a.weight_bits, a.output_shift) == (b.name, b.weight_bits, b.output_shift)
        different += int((a.weight != b.weight).sum())
        assert (a.bias is None) == (b.bias is None)
        if a.bias is not None:
            different += int((a.bias != b.bias).sum())
    return different


@pytest.mark.parametrize("name", PAIRS)
def test_a_float_checkpoint_becomes_the_vendors_twin(name, shared_folder, tmp_path):
    folder = shared_folder / "data" / "vendor_checkpoints"
    written = quantize_checkpoint_by_vendor(
        folder / f"{name}.pth.tar", PAIRS[name], tmp_path / "q.pth.tar"
    )
    twin = read_vendor_q(folder / f"{name}-q.pth.tar")
    assert same(read_vendor_q(written.path), twin) == 0
    assert sum(x.weight.size for x in twin.layers) > 2000


def test_a_network_in_ai8x_style_runs_the_vendors_integers(shared_folder):
    path = shared_folder / "data" / "vendor_checkpoints" / "ai85-kws20_v3-qat8"
    networks = []
    for file in (f"{path}.pth.tar", f"{path}-q.pth.tar"):
        model = vendor_networks.Keywords20()
        notes = load_vendor(model, Path(file))
        assert notes == (f"{file}: 9 layers",)
        network = to_network(model, name="kws20", input_shape=(128, 128))
        inputs = np.random.default_rng(0).integers(-128, 128, (2, 128, 128)).astype(np.int8)
        expected = reference.run(network, inputs)
        for name, values in layer_outputs(model, inputs).items():
            np.testing.assert_array_equal(values, expected[name])
        networks.append(network)
    stored = {x.name: x for x in read_vendor_q(Path(f"{path}-q.pth.tar")).layers}
    for one, two in zip(networks[0].layers, networks[1].layers, strict=True):
        np.testing.assert_array_equal(one.weight, two.weight)
        np.testing.assert_array_equal(one.weight, stored[one.name].weight)
        np.testing.assert_array_equal(one.bias, stored[one.name].bias)
        assert one.output_shift == stored[one.name].output_shift or one.output_width == 32


def test_a_network_of_another_shape_is_refused(shared_folder):
    path = shared_folder / "data" / "vendor_checkpoints" / "ai85-mnist-qat8.pth.tar"
    with pytest.raises(InputError, match=r"E-WEIGHTS-SHAPE .*5 layers, the network 9"):
        load_vendor(vendor_networks.Keywords20(), path)


def test_a_float_checkpoint_is_written_from_which_the_rule_makes_the_same(shared_folder, tmp_path):
    path = shared_folder / "data" / "vendor_checkpoints" / "ai85-kws20_v3-qat8-q.pth.tar"
    model = vendor_networks.Keywords20(wide=False)
    load_vendor(model, path)
    network = to_network(model, name="kws20", input_shape=(128, 128))
    write_vendor_float(network, tmp_path / "float.pth.tar")
    write_vendor_q(network, tmp_path / "q.pth.tar")
    again = quantize_vendor(tmp_path / "float.pth.tar")
    assert same(again, read_vendor_q(tmp_path / "q.pth.tar")) == 0
    content = torch.load(tmp_path / "float.pth.tar", weights_only=True)
    assert content["state_dict"]["fc.adjust_output_shift"].tolist() == [1.0]
    small = network.with_layer("fc", weight=np.zeros_like(network.layer("fc").weight))
    with pytest.raises(RuleError, match=r"E-CHECKPOINT-RULE layer fc"):
        write_vendor_float(small, tmp_path / "other.pth.tar")
    assert not (tmp_path / "other.pth.tar").exists()


def test_ranges_of_later_versions_move_the_shift(tmp_path):
    state = {
        "conv.output_shift": torch.zeros(1),
        "conv.weight_bits": torch.tensor([8.0]),
        "conv.adjust_output_shift": torch.ones(1),
        "conv.activation_threshold": torch.tensor(2.0),
        "conv.op.weight": torch.full((2, 2, 3, 3), 0.4),
    }
    torch.save({"state_dict": state, "epoch": 1, "arch": "x"}, tmp_path / "a.pth.tar")
    (layer,) = quantize_vendor(tmp_path / "a.pth.tar").layers
    assert layer.output_shift == -1 - 2


def test_the_float_checkpoint_is_exported_when_asked_for(shared_folder, tmp_path):
    path = shared_folder / "data" / "vendor_checkpoints" / "ai85-kws20_v3-qat8-q.pth.tar"
    model = vendor_networks.Keywords20(wide=False)
    load_vendor(model, path)
    network = to_network(model, name="kws20", input_shape=(128, 128))
    written = export(network, tmp_path / "model", ("vendor-float",))
    assert [file.name for file in written.files] == ["network.npz", "network.pth.tar"]
