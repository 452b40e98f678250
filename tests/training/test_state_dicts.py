"""Weights of other trainings: by name, by a mapping, by order, with batch norm where it is."""

from __future__ import annotations

from pathlib import Path

import ai8x_networks
import pytest
import torch
from exact_forward import random_model
from torch import nn

from max78k.errors import InputError
from max78k.training.base import Mode, set_mode
from max78k.training.layers import BatchNorm, Conv2d, Linear
from max78k.training.state_dicts import load_weights, read_state


class Plain(nn.Sequential):
    """What others train: convolutions with a bias in front of batch norm."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(4 * 16, 3),
        )  # fmt: skip


class Ours(nn.Module):
    """The same with our layers."""

    def __init__(self, affine: bool = True) -> None:
        super().__init__()
        norm = BatchNorm(affine=affine)
        self.conv1 = Conv2d(2, 6, batch_norm=norm)
        self.conv2 = Conv2d(6, 4, 1, padding=0, pool=2, batch_norm=norm)
        self.out = Linear(4 * 16, 3)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return self.out(self.conv2(self.conv1(data)).flatten(1))


MAP = "'0': conv1\n'1': conv1.norm\n'4': conv2\n'5': conv2.norm\n'8': out\n"


@pytest.fixture
def trained(tmp_path: Path) -> tuple[nn.Module, Path]:
    model = random_model(Plain(), 2, 0.5)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "net.pt")
    return model, tmp_path / "net.pt"


def same_outputs(one: nn.Module, other: nn.Module) -> bool:
    data = torch.randn(3, 2, 8, 8)
    other.eval()
    set_mode(other, Mode.FLOAT)
    return torch.allclose(one(data), other(data), atol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("how", ["order", "map"])
def test_a_torch_network_is_loaded_by_order_or_by_names(how, affine, trained, tmp_path):
    model, path = trained
    (tmp_path / "map.yaml").write_text(MAP)
    if how == "order" and not affine:
        affine = True  # by order the network must have what the file has
    ours = Ours(affine)
    names = how if how == "order" else str(tmp_path / "map.yaml")
    report = load_weights(ours, path, names)
    assert same_outputs(model, ours)
    assert ("0.bias" if how == "order" else "conv1.bias", "conv1.norm.running_mean") in (
        report.loaded
    )
    assert "13 tensors loaded" in report.notes()[0] and not report.unused


def test_folded_weights_go_into_layers_that_then_lose_their_norm(tmp_path):
    plain = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip
    torch.save(plain.state_dict(), tmp_path / "net.pt")
    ours = Ours()
    load_weights(ours, tmp_path / "net.pt", "order")
    assert ours.conv1.norm is None and same_outputs(plain, ours)


def test_what_does_not_fit_is_named(trained, tmp_path):
    _, path = trained
    with pytest.raises(InputError, match=r"E-WEIGHTS-MISSING .*conv1.weight"):
        load_weights(Ours(), path)
    other = Ours()
    other.conv2 = Conv2d(6, 5, 1, padding=0, pool=2)
    with pytest.raises(InputError, match=r"E-WEIGHTS-SHAPE .*4.weight \(4, 6, 1, 1\)"):
        load_weights(other, path, "order")
    table = tmp_path / "map.yaml"
    for text, code in ((MAP + "'9': more\n", "E-WEIGHTS-MAP .*called 9"), ("[1]", "E-WEIGHTS-MAP")):
        table.write_text(text)
        with pytest.raises(InputError, match=code):
            load_weights(Ours(), path, str(table))
    with pytest.raises(InputError, match="E-WEIGHTS-MAP"):
        load_weights(Ours(), path, str(tmp_path / "none.yaml"))


class Harmful:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_files_run_no_code_and_hold_tensors(tmp_path):
    path = tmp_path / "net.pt"
    for content in ({"state_dict": Harmful(tmp_path / "touched")}, [1, 2], {}, {"a": 3}):
        torch.save(content, path)
        with pytest.raises(InputError, match="E-WEIGHTS-FILE"):
            read_state(path)
    assert not (tmp_path / "touched").exists()
    with pytest.raises(InputError, match="E-WEIGHTS-FILE"):
        read_state(tmp_path / "none.pt")


def test_prefixes_of_parallel_and_compiled_training_are_dropped(tmp_path):
    ours = Ours()
    state = {f"module._orig_mod.{k}": v for k, v in ours.state_dict().items()}
    torch.save(state, tmp_path / "net.pt")
    again = Ours()
    assert not load_weights(again, tmp_path / "net.pt").unused
    assert torch.equal(again.conv1.weight, ours.conv1.weight)


def test_float_checkpoints_of_ai8x_training_are_read_by_name(tmp_path):
    """Its batch norm, with and without a learned scale, gives a quarter of what ours gives."""
    torch.manual_seed(0)
    model = ai8x_networks.UNet()
    state: dict[str, torch.Tensor] = {}
    expected = {}
    for name, layer in model.named_children():
        state[f"{name}.output_shift"] = torch.zeros(1)
        state[f"{name}.op.weight"] = torch.randn(layer.weight.shape)
        state[f"{name}.op.bias"] = torch.randn(layer.weight.shape[layer.out_axis])
        if layer.norm is not None:
            mean, spread = torch.randn(len(layer.weight)), torch.rand(len(layer.weight)) + 0.5
            state |= {f"{name}.bn.running_mean": mean, f"{name}.bn.running_var": spread}
            state[f"{name}.bn.num_batches_tracked"] = torch.tensor(3)
            expected[name] = (state[f"{name}.op.bias"] - mean) * (spread + 1e-5).rsqrt() / 4
    torch.save({"state_dict": state, "epoch": 1, "arch": "unet"}, tmp_path / "net.pth.tar")
    report = load_weights(model, tmp_path / "net.pth.tar")
    assert not report.unused
    for name, bias in expected.items():
        assert torch.allclose(getattr(model, name).folded()[1], bias, atol=1e-5), name
    assert torch.equal(model.upconv1.bias, state["upconv1.op.bias"])
