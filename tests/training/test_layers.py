"""Layers refuse what the chip cannot run; exponents are chosen as promised; gradients flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from max78k.errors import InputError, RuleError
from max78k.flows.cost import cost
from max78k.imports.chip_model import chip_model
from max78k.imports.quantization import quantize
from max78k.imports.sources import module_source
from max78k.network import rules
from max78k.training.base import is_plain
from max78k.training.calibrate import calibrate
from max78k.training.chip_limits import require_network, with_biases
from max78k.training.convert import to_network
from max78k.training.functions import round_and_clip, round_parameter
from max78k.training.graph import trace
from max78k.training.layers import Add, Conv1d, Conv2d, Linear, Mode, Pooling, set_mode
from max78k.training.quantize import (
    activation_exponent,
    largest_exponent,
    output_shift,
    quantization_error,
    weight_exponent,
)
from max78k.training.registry import build, input_shape, network_class, shipped_networks


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("E-RULE-KERNEL-SIZE", lambda: Conv2d(3, 4, 5)),
        ("E-RULE-KERNEL-SIZE", lambda: Conv1d(3, 4, 10)),
        ("E-RULE-PADDING", lambda: Conv2d(3, 4, padding=3)),
        ("E-RULE-PADDING", lambda: Conv2d(3, 4, 1, padding=1)),
        ("E-RULE-CHANNELS", lambda: Conv2d(1025, 4)),
        ("E-RULE-CHANNELS", lambda: Linear(10, 1025, bias=False)),
        ("E-RULE-BIAS-CHANNELS", lambda: Conv2d(3, 513)),
        ("E-RULE-BIAS-CHANNELS", lambda: Linear(3, 513)),
        ("E-RULE-WEIGHT-BITS", lambda: Conv2d(3, 4, bits=3)),
        ("E-RULE-POOL-SIZE", lambda: Conv2d(3, 4, pool=17)),
        ("E-RULE-POOL-SIZE", lambda: Pooling(2, "median")),
        ("E-RULE-POOL-AXES", lambda: Conv2d(3, 4, pool=(2, 3))),
        ("E-RULE-POOL-STRIDE", lambda: Conv1d(3, 4, pool=2, pool_stride=17)),
        ("E-RULE-OUTPUT-WIDTH", lambda: Linear(3, 4, activation="relu")),
        ("E-RULE-ACTIVATION", lambda: Conv2d(3, 4, activation="gelu")),
    ],
)
def test_a_layer_beyond_the_chip_is_refused_when_it_is_built(code, make):
    with pytest.raises((InputError, RuleError), match=code):
        make()


def test_layers_at_the_limits_are_built():
    Conv2d(3, 512, 1, padding=0)
    Conv2d(1024, 16, padding=2, pool=16, pool_kind="avg", pool_stride=1)
    Conv1d(3, 4, 9, pool=16)
    Linear(16384, 7)
    Pooling((4, 2), "avg", 2)


def test_a_network_is_checked_before_training_with_every_bias_in_use():
    class Wide(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(*[Conv2d(8, 8) for _ in range(33)])

        def forward(self, data):
            return self.layers(data)

    network = to_network(Wide(), name="wide", input_shape=(8, 8, 8))
    with pytest.raises(RuleError, match="E-RULE-LAYERS"):
        require_network(network)


def test_shipped_networks_fit_the_chip():
    assert "fer7" in shipped_networks()
    for name in shipped_networks():
        model, shape = build(name, 7).eval(), input_shape(name) or ()
        if is_plain(model):  # ordinary layers, for `max78k quantize`
            imported = module_source(model, shape, name).model()
            real = np.random.default_rng(1).integers(0, 256, (4, *shape)).astype(np.uint8)
            model = chip_model(imported, quantize(imported, real))
        network = to_network(model, name=name, input_shape=shape)
        require_network(network)
        assert not rules.check(network)
        price = cost(with_biases(network))
        assert price.usage.kernel_end <= 768 and network.weight_bytes <= 442_368


def test_networks_are_found_by_name_or_file(tmp_path):
    assert network_class("fer7").__name__ == "Fer7"
    for spec, code in {
        "nothing": "E-NETWORK-MISSING",
        f"{tmp_path}/none.py:Net": "E-NETWORK-MISSING",
    }.items():
        with pytest.raises(InputError, match=code):
            network_class(spec)
    own = tmp_path / "own.py"
    own.write_text("import torch\nclass A(torch.nn.Module): pass\nclass B(A): pass\n")
    assert network_class(f"{own}:B").__name__ == "B"
    with pytest.raises(InputError, match="E-NETWORK-CLASS"):
        network_class(str(own))
    with pytest.raises(InputError, match="takes no argument classes"):
        build(f"{own}:A", 3)
    own.write_text("import nowhere\n")
    with pytest.raises(InputError, match="E-NETWORK-IMPORT"):
        network_class(str(own))


@pytest.mark.parametrize(("peak", "bits", "exponent"), [
    (0.5, 8, -8), (0.5001, 8, -7), (1.0, 8, -7), (1.0, 1, 0), (0.0, 8, -22), (3.0, 2, 1),
])  # fmt: skip
def test_the_largest_exponent_is_the_vendors_rule(peak, bits, exponent):
    assert largest_exponent(torch.tensor([peak, -peak / 3]), bits) == exponent


def test_least_error_beats_the_largest_exponent_on_long_tails():
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    values[0] = 40.0
    wide, narrow = activation_exponent(values, True, "max"), activation_exponent(values, True)
    assert narrow < wide
    errors = [quantization_error(values, e, -128, 127) for e in (narrow, wide)]
    assert errors[0] < errors[1]


def test_a_large_bias_raises_the_weight_exponent():
    weight = torch.linspace(-0.47, 0.41, 40).reshape(2, 20)
    choose = {"in_exponent": -7, "out_exponent": -4, "input_power": 0.1}
    small = weight_exponent(weight, torch.zeros(2), 8, **choose)
    large = weight_exponent(weight, torch.full((2,), 3.0), 8, **choose)
    assert large > small
    assert 3.0 / 2.0**large <= 128


@pytest.mark.parametrize(("size", "out_exponent"), [(1e-9, 3), (1e9, -30)])
def test_the_shift_always_fits_its_register(size, out_exponent):
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)) * size
    for bits in (1, 2, 4, 8):
        exponent = weight_exponent(
            weight, None, bits, in_exponent=-7, out_exponent=out_exponent, input_power=1.0
        )
        assert -15 <= output_shift(bits, exponent, -7, out_exponent) + 8 - bits <= 15


def test_gradients_pass_where_nothing_is_clipped():
    accumulator = torch.tensor([-300.0, 10.0, 300.0, 60000.0], requires_grad=True)
    output = round_and_clip(accumulator * 1, -1, 0, 127)
    assert output.tolist() == [0, 5, 127, 127]
    output.sum().backward()
    assert accumulator.grad.tolist() == [0, 0.5, 0, 0]
    weight = torch.tensor([0.49, -9.0, 0.125], requires_grad=True)
    rounded = round_parameter(weight, -3, 4)
    assert rounded.tolist() == [4, -8, 1]
    rounded.sum().backward()
    assert weight.grad.tolist() == [8, 0, 8]


def test_quantization_changes_little_and_keeps_the_gradient():
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Conv2d(1, 8)
            self.second = Conv2d(8, 8, pool=2)
            self.output = Linear(8 * 16, 3)

        def forward(self, data):
            return self.output(self.second(self.first(data)))

    model = Net()
    integers = torch.randint(-128, 128, (64, 1, 8, 8)).float()
    model.train()
    for _ in range(30):
        model(integers / 128)
    calibrate(model, [integers])
    model.eval()
    gradients, scores = [], []
    for mode, data in ((Mode.FLOAT, integers / 128), (Mode.QAT, integers)):
        set_mode(model, mode)
        model.zero_grad()
        scores.append(model(data))
        scores[-1].square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert (scores[0] - scores[1]).abs().max() < 0.1 * scores[0].abs().max()
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


class Unusual(torch.nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = Conv2d(1, 4), Conv2d(4, 4)
        self.add = Add()

    def forward(self, data):
        data = self.first(data)
        if self.how == "shared":
            return self.second(self.second(data))
        if self.how == "sigmoid":
            return self.second(torch.sigmoid(data))
        if self.how == "plus":
            return self.second(data + data)
        if self.how == "rows":
            return self.second(torch.cat([data, data], dim=2))
        self.second(data)
        return data


@pytest.mark.parametrize("how", ["shared", "sigmoid", "plus", "rows", "unused"])
def test_a_forward_the_chip_cannot_run_is_refused(how):
    with pytest.raises(InputError, match="E-TRAIN-GRAPH"):
        trace(Unusual(how))


def test_one_dimensional_and_branching_networks_train_quantized():
    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Conv1d(2, 4, activation="abs")
            self.left, self.right = Conv1d(4, 4), Conv1d(4, 4, 1, padding=0, activation=None)
            self.add = Add()
            self.mean = Pooling(2, "avg", dimensions=1)
            self.output = Linear(4 * 8, 3)

        def forward(self, data):
            data = self.first(data)
            return self.output(self.mean(self.add(self.left(data), self.right(data))))

    torch.manual_seed(0)
    model = Branches()
    integers = torch.randint(-128, 128, (32, 2, 16)).float()
    calibrate(model, [integers])
    set_mode(model, Mode.QAT)
    model(integers).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
