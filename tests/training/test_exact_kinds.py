"""Every further kind of layer equals the integer reference, and ONNX under onnxruntime too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_forward import Net, compare, integers, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from max78k.errors import InputError
from max78k.formats.onnx_evaluate import evaluate_layers
from max78k.formats.onnx_export import export_onnx
from max78k.network import reference
from max78k.training.base import Mode, Pooling, set_average_rounding, set_mode
from max78k.training.calibrate import calibrate
from max78k.training.convert import layer_outputs, to_network
from max78k.training.joins import Add, Or, Sub, Xor
from max78k.training.layers import Conv1d, Conv2d, ConvTranspose2d, Linear

bits = st.sampled_from([1, 2, 4, 8])
activations = st.sampled_from(["relu", "abs", None])
seeds = st.integers(0, 2**31)


class Joined(nn.Module):
    """Two or three branches of pooled convolutions, combined."""

    def __init__(self, join: nn.Module, count: int, inside: bool, activation: str | None) -> None:
        super().__init__()
        self.stem = Conv2d(2, 8)
        self.branches = nn.ModuleList(
            Conv2d(8, 8, 3, activation=activation, bits=(8, 4, 2)[n]) for n in range(count)
        )
        self.join = None if inside else join
        combine = join.eltwise.value if inside else None
        self.last = Conv2d(8, 4, 1, padding=0, combine=combine, pool=2 if inside else None)
        self.output = Linear(4 * (9 if inside else 36), 3)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        data = self.stem(data)
        parts = [branch(data) for branch in self.branches]
        parts = parts if self.join is None else [self.join(*parts)]
        return self.output(self.last(*parts).flatten(1))


def real(values: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(values).float()]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, bits=bits, activation=activations, padding=st.integers(0, 2),
       pool=st.sampled_from([None, (2, "max"), (3, "avg")]), norm=st.booleans())  # fmt: skip
def test_transposed_convolutions(seed, bits, activation, padding, pool, norm):
    size, kind = pool or (None, "max")
    layers = [
        ConvTranspose2d(3, 5, padding=padding, pool=size, pool_kind=kind, activation=activation,
                        bits=bits, batch_norm=norm),
        ConvTranspose2d(5, 2, activation=None, bits=bits, wide=True, batch_norm=norm),
    ]  # fmt: skip
    model = random_model(Net(*layers), seed)
    inputs = integers(seed, 2, 3, 6, 6)
    calibrate(model, real(inputs))
    compare(model, inputs)


def test_batch_norm_of_a_transposed_convolution_scales_its_outputs():
    layer = ConvTranspose2d(3, 4, activation=None)
    model = random_model(Net(layer), 5)
    data = torch.randn(2, 3, 4, 4)
    weight, bias = layer.folded()
    folded = nn.functional.conv_transpose2d(data, weight, bias, 2, 1, output_padding=1)
    assert torch.allclose(model(data), folded, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, bits=bits, kernel=st.integers(2, 3), dilation=st.integers(1, 12))
def test_dilated_convolutions(seed, bits, kernel, dilation):
    padding = 1 if dilation < 3 else 0
    model = random_model(
        Net(
            Conv1d(4, 6, kernel, padding=padding, dilation=dilation, bits=bits),
            Conv1d(6, 3, 1, padding=0, activation=None, wide=True),
        ),
        seed,
    )
    inputs = integers(seed, 2, 4, 40)
    calibrate(model, real(inputs))
    compare(model, inputs)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, kind=st.sampled_from([Add, Sub, Or, Xor]), count=st.integers(2, 3),
       inside=st.booleans(), activation=activations)  # fmt: skip
def test_combinations_alone_and_before_a_convolution(seed, kind, count, inside, activation):
    model = random_model(Joined(kind(), count, inside, activation), seed, 0.4)
    inputs = integers(seed, 2, 2, 6, 6)
    calibrate(model, real(inputs))
    compare(model, inputs)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, size=st.sampled_from([2, 3, 4, (3, 2)]), rounds=st.booleans())
def test_averages_truncate_or_round_half_away_from_zero(seed, size, rounds):
    model = random_model(Net(Pooling(size, "avg", 2), Conv2d(2, 3, pool=2, pool_kind="avg")), seed)
    set_average_rounding(model, rounds)
    inputs = integers(seed, 2, 2, 13, 13)
    calibrate(model, real(inputs))
    assert to_network(model, name="net", input_shape=(2, 13, 13)).average_rounds == rounds
    compare(model, inputs)


def test_averages_of_two_kinds_in_one_network_are_refused():
    model = Net(Pooling(2, "avg"), Pooling(2, "avg"))
    model.layers[0].average_rounds = True
    with pytest.raises(InputError, match="E-TRAIN-AVERAGE"):
        to_network(model, name="net", input_shape=(2, 8, 8))


@pytest.mark.parametrize("kind", [Add, Sub, Or, Xor])
def test_ties_and_saturation_of_combinations(kind):
    """Every pair of 8-bit integers."""
    one, two = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    operands = [x.astype(np.int64).reshape(1, 1, 256, 256) for x in (one, two)]
    join = kind()
    set_mode(join, Mode.INTEGER)
    found = join(*(torch.from_numpy(x).float() for x in operands)).numpy()
    np.testing.assert_array_equal(found, reference.combine(kind.eltwise, operands))


@pytest.mark.parametrize("kind", [Or, Xor])
def test_bitwise_operands_keep_the_step_of_the_input(kind):
    model = random_model(Joined(kind(), 2, False, None), 1, 3.0)
    calibrate(model, real(integers(1, 2, 2, 6, 6)))
    assert [int(x.out_exponent) for x in model.branches] == [-7, -7]
    a, b = torch.tensor([0.25, -0.5, 9.0]), torch.tensor([0.5, 0.25, -9.0])
    wanted = {"or": [0.75, -0.25, -1 / 128], "xor": [0.75, -0.25, -1 / 128]}
    assert kind()(a, b).tolist() == wanted[kind.eltwise.value]


@pytest.mark.parametrize("kind", [Add, Sub, Or, Xor])
def test_gradients_reach_every_operand(kind):
    operands = [torch.full((1, 1, 2, 2), x, requires_grad=True) for x in (3.0, 5.0)]
    join = kind()
    set_mode(join, Mode.QAT)
    join(*operands).sum().backward()
    signs = [float(x.grad.mean()) for x in operands]
    assert signs == [1.0, -1.0 if kind is Sub else 1.0]


def test_operands_are_counted():
    one = torch.zeros(1, 2, 3, 3)
    for layer, operands in [(Add(), [one]), (Add(), [one] * 17), (Conv2d(2, 2), [one, one])]:
        with pytest.raises(InputError, match="E-RULE-OPERANDS"):
            layer(*operands)


@settings(max_examples=12, deadline=None)
@given(seed=seeds, kind=st.sampled_from([Add, Sub, Or, Xor]), inside=st.booleans(), bits=bits,
       rounds=st.booleans())  # fmt: skip
def test_onnx_computes_the_same_layers(tmp_path_factory, seed, kind, inside, bits, rounds):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.joined = Conv2d(2, 8, 1, padding=0, activation="abs", bits=bits)
            self.other = Conv2d(2, 8, 3, pool=2, pool_kind="avg")
            self.up = ConvTranspose2d(8, 8, activation=None)
            self.join = None if inside else kind()
            self.last = Conv2d(8, 3, wide=True, activation=None,
                               combine=kind.eltwise.value if inside else None)  # fmt: skip

        def forward(self, data):
            parts = [self.joined(data), self.up(self.other(data))]
            return self.last(*(parts if self.join is None else [self.join(*parts)]))

    model = random_model(Model(), seed)
    set_average_rounding(model, rounds)
    inputs = integers(seed, 2, 2, 8, 8)
    calibrate(model, real(inputs))
    network = to_network(model, name="net", input_shape=(2, 8, 8))
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    export_onnx(network, path, layers=True)
    found, expected = evaluate_layers(path, inputs), layer_outputs(model, inputs)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
