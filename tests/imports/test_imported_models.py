"""Ordinary models become integer networks that compute nearly the same."""

from __future__ import annotations

from pathlib import Path

import foreign_models as foreign
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from max78k.flows.accelerator_runs import run_image
from max78k.flows.synthesis import compile_network
from max78k.imports.chip_layers import FloatModel
from max78k.imports.losses import losses
from max78k.imports.quantization import quantize, real_inputs
from max78k.imports.sources import module_source, onnx_source
from max78k.network import Activation, Eltwise, Network, Operation, Pool, reference, rules
from max78k.training.quantize import RULES

SHAPE = (3, 16, 16)


def imported(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> FloatModel:
    """The chip's layers; that they compute what the module does is checked by ``model()``."""
    return module_source(foreign.settle(model), shape, "foreign").model()


def kinds(model: FloatModel) -> list[str]:
    return [layer.operation.value for layer in model.layers]


def quality(model: FloatModel, rule: str = "mse") -> float:
    data = foreign.pixels(model.input_shape)
    return losses(model, quantize(model, data, rule=rule), data)[-1].sqnr


@pytest.mark.parametrize("seed", range(14))
def test_drawn_models_keep_25_decibels_from_torch_and_from_onnx(seed: int, tmp_path: Path) -> None:
    module = foreign.draw(seed)
    data = foreign.pixels(SHAPE)
    model = module_source(module, SHAPE, "drawn").model()
    quantized = quantize(model, data)
    assert rules.check(quantized.network) == []
    assert losses(model, quantized, data)[-1].sqnr > 25
    file = foreign.Onnx(["n", *SHAPE])
    path = file.save(tmp_path / "drawn.onnx", file.module(module, "x"))
    other = quantize(onnx_source(path).model(), data).network
    assert_same_integers(quantized.network, other)


@pytest.mark.parametrize("seed", range(14, 20))
def test_drawn_models_are_exact_on_the_accelerator_model(seed: int) -> None:
    data = foreign.pixels(SHAPE)
    model = module_source(foreign.draw(seed), SHAPE, "drawn").model()
    network = quantize(model, data).network
    inputs = network.from_pixels(data[:2])
    image = compile_network(network, inputs[0]).image
    np.testing.assert_array_equal(run_image(image, inputs), reference.outputs(network, inputs))


def assert_same_integers(left: Network, right: Network) -> None:
    assert len(left.layers) == len(right.layers)
    for one, two in zip(left.layers, right.layers, strict=True):
        assert (one.operation, one.pool, one.activation) == (
            two.operation,
            two.pool,
            two.activation,
        )
        assert one.output_shift == two.output_shift
        for a, b in ((one.weight, two.weight), (one.bias, two.bias)):
            np.testing.assert_array_equal(a, b)


def test_drawn_models_cover_the_rewrites() -> None:
    layers = [x for n in range(14) for x in imported(foreign.draw(n)).layers]
    assert {x.operation for x in layers} >= {Operation.CONV2D, Operation.LINEAR}
    assert {x.eltwise for x in layers} == {None, Eltwise.ADD}
    assert {x.pool.kind for x in layers if x.pool} == {"max", "avg"}
    assert any(len(x.inputs) > 1 and not x.eltwise for x in layers)


def test_a_float_reference_with_one_wrong_weight_is_noticed() -> None:
    module = foreign.draw(1)
    source = module_source(module, SHAPE, "drawn")
    with torch.no_grad():
        next(module.parameters())[0] += 1.0
    with pytest.raises(Exception, match="E-IMPORT-DIFFERS"):
        source.model()


def test_convolution_norm_activation_pooling_make_one_layer_each() -> None:
    model = imported(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(),
            nn.Linear(8, 4), nn.Softmax(dim=1),
        )
    )  # fmt: skip
    assert kinds(model) == ["conv2d", "conv2d", "linear"]
    assert model.layers[1].pool == Pool("max", (2, 2), (2, 2))
    assert model.layers[2].pool == Pool("avg", (6, 6), (1, 1))
    assert model.tail == ("softmax",)
    network = quantize(model, foreign.pixels(SHAPE)).network
    assert network.average_rounds and network.layers[-1].output_width == 32
    assert int(network.notes["output_exponent"]) < 0


def test_the_stride_of_an_axis_with_one_output_does_not_matter() -> None:
    """The chip has one stride for both axes: of one row, every second column is stride 2."""
    width = SHAPE[2]
    module = nn.Sequential(
        nn.MaxPool2d((SHAPE[1], 1)), nn.Conv2d(3, 8, 1), nn.ReLU(), nn.MaxPool2d((1, 2)),
        nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(4 * width // 2, 4),
    )  # fmt: skip
    model = imported(module)
    found = [layer.pool for layer in model.layers if layer.pool]
    assert found == [Pool("max", (SHAPE[1], 1), (1, 1)), Pool("max", (1, 2), (2, 2))]
    assert quality(model) > 25


@pytest.mark.parametrize(
    ("after", "layers"), [("flatten", 2), ("linear", 3), ("relu", 2), ("pool", 4), ("max_relu", 3)]
)
def test_a_norm_at_an_odd_place_is_folded(after: str, layers: int) -> None:
    body: dict[str, list[nn.Module]] = {
        "flatten": [nn.Flatten(), nn.BatchNorm1d(64)],
        "linear": [nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()],
        "relu": [nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten()],
        "pool": [nn.AvgPool2d(2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 64)],
        "max_relu": [
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Linear(16, 64),
        ],
    }
    module = nn.Sequential(nn.Conv2d(2, 4, 3), *body[after], nn.Linear(64, 5))
    model = imported(module, (2, 6, 6))
    assert len([x for x in model.layers if x.weight is not None]) == layers
    assert quality(model) > 25


def test_a_norm_before_a_padded_convolution_becomes_a_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
            self.two = nn.Conv2d(6, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.norm(F.relu(self.one(x))))

    model = imported(Net())
    assert [x.name for x in model.layers] == ["one", "norm", "two"]
    weight = model.layers[1].weight
    assert weight is not None and np.count_nonzero(weight) == 6
    assert quality(model) > 25


def test_a_norm_of_negative_scale_does_not_pass_a_maximum() -> None:
    norm = nn.BatchNorm2d(4)
    module = foreign.settle(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), norm, nn.ReLU()))
    with torch.no_grad():
        norm.weight[1] = -1.0
    model = module_source(module, SHAPE, "negative").model()
    assert [layer.origin for layer in model.layers] == ["Conv2d 0", "BatchNorm2d 2"]
    assert quality(model) > 25


def test_a_pooled_part_of_a_concatenation_is_a_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
            self.c = nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(self.a(x), 2)
            return self.c(torch.cat([x, self.b(x)], 1))

    model = imported(Net())
    assert kinds(model).count("passthrough") == 1
    assert quality(model) > 25


def test_activation_after_addition_is_an_identity_that_adds() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 1)
            self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x).relu()
            return torch.relu(self.one(x) + self.two(x))

    model = imported(Net())
    last = model.layers[-1]
    assert (last.eltwise, last.activation) == (Eltwise.ADD, Activation.RELU)
    network = quantize(model, foreign.pixels(SHAPE)).network
    weight = network.layers[-1].weight
    assert weight is not None and np.array_equal(weight[..., 0, 0] != 0, np.eye(8, dtype=bool))
    assert quality(model) > 25


def test_one_dimension_with_dilation_and_causal_padding() -> None:
    module = nn.Sequential(
        nn.Conv1d(4, 8, 3, dilation=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
        nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(8, 8, 3), nn.ReLU(), nn.AvgPool1d(2),
        nn.Conv1d(8, 4, 9, padding=2), nn.Flatten(), nn.Linear(44, 3),
    )  # fmt: skip
    model = imported(module, (4, 64))
    assert kinds(model) == ["conv1d"] * 3 + ["linear"]
    assert model.layers[1].weight is not None and model.layers[1].weight.shape == (8, 8, 5)
    assert quality(model) > 25


@pytest.mark.parametrize(
    ("kernel", "padding"), [((1, 3), (0, 1)), ((3, 1), (1, 0)), ((1, 1), (1, 1)), ((1, 1), (0, 0))]
)
def test_small_kernels_grow_into_those_of_the_chip(
    kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    model = imported(nn.Sequential(nn.Conv2d(3, 4, kernel, padding=padding), nn.ReLU()))
    assert quality(model) > 25


def test_strides_of_1x1_convolutions_and_transposed_convolutions_are_kept() -> None:
    model = imported(
        nn.Sequential(nn.Conv2d(3, 8, 1, stride=2), nn.ReLU(),
                      nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1))
    )  # fmt: skip
    assert model.layers[0].pool == Pool("max", (1, 1), (2, 2))
    assert kinds(model) == ["conv2d", "convtranspose2d"]
    assert quality(model) > 25


def test_several_outputs_and_pooled_branches() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.side = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = F.relu(self.stem(x))
            small = F.max_pool2d(x, 2) - F.avg_pool2d(x, 2)
            return small, self.side(x)

    model = imported(Net())
    assert len(model.outputs) == 2
    network = quantize(model, foreign.pixels(SHAPE)).network
    assert network.layer(model.outputs[0]).eltwise is Eltwise.SUB
    assert rules.check(network) == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_a_usable_network(rule: str) -> None:
    assert quality(imported(foreign.draw(3)), rule) > 22


def test_max_clips_nothing_and_mse_is_no_worse_than_max() -> None:
    model, data = imported(foreign.draw(5)), foreign.pixels(SHAPE)
    found = {rule: losses(model, quantize(model, data, rule=rule), data) for rule in RULES}
    assert all(loss.clipped < 1e-3 for loss in found["max"])
    assert found["mse"][-1].sqnr > found["max"][-1].sqnr - 1


def test_shared_steps_of_operands_and_parts() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
            self.c = nn.Conv2d(8, 4, 1)
            with torch.no_grad():
                self.b.weight *= 16

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    model = imported(Net())
    steps = quantize(model, foreign.pixels(SHAPE)).steps
    assert steps["a"] == steps["b"]


def test_limits_that_are_not_reached_or_that_the_chip_has_are_exact() -> None:
    for limit, activation in ((1000.0, nn.Hardtanh(0, 1000.0)), (0.5, nn.Hardtanh(-0.5, 0.5))):
        model = imported(nn.Sequential(nn.Conv2d(3, 4, 3), activation))
        quantized = quantize(model, foreign.pixels(SHAPE))
        assert model.layers[0].limit == limit
        if limit < 1:
            assert quantized.steps[model.layers[0].name] == -8
        word = "is left out" if limit > 1 else "outputs end"
        assert [word in note for note in quantized.notes] == [True]
        assert quality(model) > 25


def test_a_limit_that_clips_hardly_anything_is_left_out_and_told() -> None:
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        values = conv((torch.from_numpy(foreign.pixels(SHAPE)).float() - 128) / 128).flatten()
    limit = float(values.sort().values[-20])
    model = imported(nn.Sequential(conv, nn.Hardtanh(0, limit)))
    (note,) = quantize(model, foreign.pixels(SHAPE)).notes
    assert "is left out, it clips 0." in note
    assert quality(model) > 25


def test_a_limit_that_is_reached_and_no_power_of_two_is_refused() -> None:
    model = imported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(0, 0.3)))
    with pytest.raises(Exception, match=r"E-IMPORT-CLIP Hardtanh|E-IMPORT-CLIP Conv2d 0.*0\.3"):
        quantize(model, foreign.pixels(SHAPE))


def test_inputs_are_named_where_they_do_not_fit() -> None:
    model = imported(foreign.draw(0))
    with pytest.raises(Exception, match=r"E-QUANTIZE-SHAPE .*\(3, 16, 16\).*\(4, 1, 8, 8\)"):
        quantize(model, np.zeros((4, 1, 8, 8), np.uint8))
    assert float(real_inputs(np.array([0, 128, 255], np.uint8)).sum()) == -1 + 0 + 127 / 128
