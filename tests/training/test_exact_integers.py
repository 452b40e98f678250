"""The quantized PyTorch forward equals the integer reference, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_forward import Net, compare, integers, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from max78k.network import reference
from max78k.training.calibrate import calibrate
from max78k.training.convert import certificate, layer_outputs, to_network
from max78k.training.layers import Add, Conv1d, Conv2d, Linear, Pooling


class Branches(nn.Module):
    """A sum, a concatenation, dropout and an average: everything but a straight line."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv2d(2, 8)
        self.left = Conv2d(8, 8, activation=None)
        self.right = Conv2d(8, 8, 1, padding=0, activation="abs", bits=4)
        self.add = Add()
        self.mean = Pooling(2, "avg")
        self.more = Conv2d(8, 4)
        self.drop = nn.Dropout(0.3)
        self.output = Linear(12 * 16, 5)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        data = self.stem(data)
        data = self.mean(self.add(self.left(data), self.right(data)))
        data = torch.cat([data, self.more(data)], dim=1)
        return self.output(self.drop(data.flatten(1)))


bits = st.sampled_from([1, 2, 4, 8])
activations = st.sampled_from(["relu", "abs", None])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bits=bits,
    activation=activations,
    kernel=st.sampled_from([1, 3]),
    padding=st.integers(0, 2),
    pool=st.sampled_from([None, (2, "max"), (2, "avg"), (3, "avg")]),
    norm=st.booleans(),
    wide=st.booleans(),
    gain=st.sampled_from([0.01, 1.0, 50.0]),
    rule=st.sampled_from(["mse", "max"]),
)
def test_convolutions_of_two_dimensions(
    seed, bits, activation, kernel, padding, pool, norm, wide, gain, rule
):
    size, kind = pool or (None, "max")
    padding = min(padding, kernel - 1)
    layers = [
        Conv2d(
            3, 5, kernel, padding=padding, pool=size, pool_kind=kind, batch_norm=norm,
            activation=activation, bits=bits,
        ),
        Conv2d(5, 4, 1, padding=0, activation=None, bits=bits, wide=wide, bias=False,
               batch_norm=norm),
    ]  # fmt: skip
    model = random_model(Net(*layers), seed, gain)
    inputs = integers(seed, 4, 3, 9, 9)
    calibrate(model, [torch.from_numpy(inputs).float()], rule)
    compare(model, inputs)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kernel=st.integers(1, 9),
    padding=st.integers(0, 2),
    activation=activations,
    bits=bits,
    pool=st.sampled_from([None, (2, "max"), (3, "avg")]),
)
def test_convolutions_of_one_dimension(seed, kernel, padding, activation, bits, pool):
    size, kind = pool or (None, "max")
    padding = min(padding, kernel - 1)
    conv = Conv1d(4, 6, kernel, padding=padding, pool=size, pool_kind=kind, activation=activation,
                  bits=bits)  # fmt: skip
    length = (30 // size if size else 30) + 2 * padding - kernel + 1
    layers = [conv, Pooling(2, "avg", dimensions=1), Linear(6 * (length // 2), 3)]
    model = random_model(Net(*layers), seed)
    inputs = integers(seed, 3, 4, 30)
    calibrate(model, [torch.from_numpy(inputs).float()])
    compare(model, inputs)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bits=bits,
    activation=activations,
    register=st.integers(-15, 15),
)
def test_every_shift_of_the_register(seed, bits, activation, register):
    """Exponents set by hand: ties, saturation and shifts that calibration would not choose."""
    layer = Conv2d(2, 3, 1, padding=0, batch_norm=False, activation=activation, bits=bits)
    model = random_model(Net(layer), seed, 0.5 * 2.0 ** (1 - bits) * (1 << (bits - 1)))
    layer.weight_exponent.fill_(1 - bits)
    layer.out_exponent.fill_(1 - bits + int(layer.in_exponent) - register + 7)
    assert layer.output_shift + 8 - bits == register
    compare(model, integers(seed, 4, 2, 8, 8))


def test_ties_round_up_and_abs_comes_after_rounding():
    layer = Conv2d(1, 2, 1, padding=0, batch_norm=False, bias=False, activation="abs")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
    model = Net(layer).eval()
    layer.weight_exponent.fill_(0)
    layer.out_exponent.fill_(int(layer.in_exponent) + 1)  # accumulator / 2
    inputs = np.array([5, -5, -128, 127], np.int8).reshape(1, 1, 2, 2)
    found = layer_outputs(model, inputs)["layers.0"]
    assert found[0, 0].ravel().tolist() == [3, 2, 64, 64]
    compare(model, inputs)


def test_branches_share_exponents():
    for seed in range(5):
        model = random_model(Branches(), seed, 0.3)
        inputs = integers(seed, 3, 2, 8, 8)
        calibrate(model, [torch.from_numpy(inputs).float()])
        assert model.left.out_exponent == model.right.out_exponent == model.add.out_exponent
        assert model.more.out_exponent == model.mean.out_exponent
        compare(model, inputs)


def test_accumulators_beyond_float32_are_exact():
    layer = Linear(4 * 4 * 512, 3, bias=False)
    with torch.no_grad():
        layer.weight.fill_(127.0)
        layer.weight[1].fill_(-127.0)
        layer.weight[2, 0] = 1.0
    layer.weight_exponent.fill_(0)
    model = Net(layer).eval()
    inputs = np.full((1, 512, 4, 4), 127, np.int8)
    inputs[0, 0, 0, 0] = 126  # an odd sum beyond 2**24, which float32 cannot hold
    network = to_network(model, name="net", input_shape=(512, 4, 4))
    (row,) = certificate(network)
    assert row.bound >= 1 << 24 and not row.exact_in_float32
    compare(model, inputs)


def test_certificate_bounds_what_is_reached():
    model = random_model(Net(Conv2d(3, 4, batch_norm=False), Linear(4 * 36, 2)), 0, 0.1)
    inputs = integers(1, 8, 3, 6, 6)
    calibrate(model, [torch.from_numpy(inputs).float()])
    network = to_network(model, name="net", input_shape=(3, 6, 6))
    first, second = certificate(network)
    signs = np.sign(network.layers[1].weight[0].astype(int))
    worst = np.where(signs > 0, 127, 0).reshape(1, 4, 6, 6)
    reached = reference.accumulate(network.layers[1], worst.astype(np.int64)).max()
    assert first.exact_in_float32 and second.exact_in_float32
    assert reached <= second.bound


@pytest.mark.parametrize("rule", ["mse", "max"])
def test_calibration_survives_a_dead_layer(rule):
    model = Net(Conv2d(1, 4), Conv2d(4, 4), Linear(4 * 16, 2))
    with torch.no_grad():
        model.layers[0].weight.zero_()
    inputs = integers(0, 2, 1, 4, 4)
    calibrate(model, [torch.from_numpy(inputs).float()], rule)
    network = to_network(model, name="net", input_shape=(1, 4, 4))
    assert all(-15 <= layer.register_shift <= 15 for layer in network.layers)
    compare(model.eval(), inputs)
