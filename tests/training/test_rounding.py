"""Adaptive rounding keeps outputs where rounding each weight loses them, and stays exact."""

from __future__ import annotations

import copy

import pytest
import torch
from exact_forward import Net, compare, integers, random_model
from torch import nn

from max78k.errors import InputError
from max78k.training.base import Mode, set_mode
from max78k.training.bits import BitPolicy, set_bits
from max78k.training.calibrate import calibrate
from max78k.training.convert import step_exponent
from max78k.training.graph import trace
from max78k.training.layers import Add, Conv1d, Conv2d, ConvTranspose2d, Linear
from max78k.training.post_training import QuantizeMethod
from max78k.training.rounding import adapt, from_matrix, to_matrix, windows


class Every(nn.Module):
    """Every kind of layer with weights that reads pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Conv2d(2, 12)
        self.second = Conv2d(12, 12, pool=2, pool_kind="avg")
        self.up = ConvTranspose2d(12, 12, activation=None)
        self.add = Add()
        self.mixed = Conv2d(24, 8, 1, padding=0, combine="add")
        self.output = Linear(8 * 64, 4)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        one = self.first(data)
        two = self.up(self.second(one))
        joined = torch.cat([self.add(one, two), one], dim=1)
        return self.output(self.mixed(joined, joined).flatten(1))


class Joined(Every):
    """As above, but operands that are joined become layers first."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = Conv2d(24, 8, 1, padding=0)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        one = self.first(data)
        two = self.up(self.second(one))
        joined = torch.cat([self.add(one, two), one], dim=1)
        return self.output(self.mixed(joined).flatten(1))


def noise(model: nn.Module, data: torch.Tensor, wanted: torch.Tensor) -> float:
    set_mode(model, Mode.INTEGER)
    with torch.no_grad():
        found = model(data) * 2.0 ** step_exponent(trace(model)[-1])
    return float((found - wanted).square().sum() / wanted.square().sum())


def trained_like(model: nn.Module, seed: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Random weights, data, and the real outputs for other data."""
    model = random_model(model, seed, 0.3)
    data = torch.from_numpy(integers(seed, 96, 2, 8, 8)).float()
    with torch.no_grad():
        wanted = model(data[64:] / 128)
    return model, data, wanted


@pytest.mark.parametrize(("bits", "gain"), [(4, 2.0), (2, 1.5)])
def test_adaptive_rounding_beats_rounding_each_weight(bits, gain):
    model, data, wanted = trained_like(Joined(), 1)
    found = {}
    for method in ("nearest", "bias", "adaptive"):
        trial = copy.deepcopy(model)
        set_bits(trial, BitPolicy(bits))
        calibrate(trial, [data[:64]])
        adapt(trial, [data[:32], data[32:64]], method=method)
        found[method] = noise(trial, data[64:], wanted)
        compare(trial, data[:4].numpy().astype("int8"))
    assert found["adaptive"] * gain < found["nearest"], found


def test_eight_bits_lose_nothing_by_it():
    model, data, wanted = trained_like(Joined(), 2)
    calibrate(model, [data[:64]])
    before = noise(model, data[64:], wanted)
    adapt(model, [data[:64]])
    assert noise(model, data[64:], wanted) < 1.2 * before


def test_joined_operands_are_refused_when_traced():
    with pytest.raises(InputError, match=r"E-TRAIN-GRAPH .*joined data as an operand"):
        trace(Every())


def test_bias_correction_moves_biases_alone():
    model, data, _ = trained_like(Joined(), 3)
    set_bits(model, BitPolicy(4))
    calibrate(model, [data])
    before = {s.name: s.module.integers() for s in trace(model) if hasattr(s.module, "integers")}
    adapt(model, [data], method="bias")
    changed = 0
    for step in trace(model):
        if step.name in before:
            weight, bias = step.module.integers()
            assert torch.equal(weight, before[step.name][0])
            changed += int((bias != before[step.name][1]).sum())
    assert changed > 0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(3, 4, padding=2), (2, 3, 5, 6)),
        (Conv2d(3, 4, 1, padding=0), (2, 3, 5, 6)),
        (Conv1d(3, 4, 4, padding=1, dilation=2), (2, 3, 12)),
        (Conv1d(3, 4, 2, padding=0, dilation=30), (2, 3, 40)),
        (ConvTranspose2d(3, 4, padding=0), (2, 3, 3, 4)),
        (ConvTranspose2d(3, 4, padding=2), (2, 3, 3, 4)),
        (Linear(24, 4), (2, 6, 2, 2)),
    ],
)
def test_windows_times_the_matrix_are_the_outputs(layer, shape):
    data = torch.randn(shape)
    matrix = to_matrix(layer, layer.weight)
    assert torch.equal(from_matrix(layer, matrix), layer.weight)
    wanted = layer._multiply(layer._arrange(data), layer.weight, None)
    count = wanted.numel() // 4
    found = windows(layer, data, torch.arange(count))[:, :-1] @ matrix.T
    moved = wanted.movedim(1, -1).reshape(count, 4)
    assert torch.allclose(found, moved, atol=1e-5)


def test_an_unknown_rounding_is_refused():
    with pytest.raises(InputError, match="E-QUANTIZE-ROUNDING"):
        QuantizeMethod(rounding="random")


def test_a_straight_network_of_one_dimension():
    model = random_model(Net(Conv1d(3, 8, bits=2), Conv1d(8, 4, 1, padding=0, bits=2)), 4)
    inputs = integers(4, 16, 3, 20)
    data = [torch.from_numpy(inputs).float()]
    calibrate(model, data)
    adapt(model, data)
    compare(model, inputs)
