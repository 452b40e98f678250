"""Ordinary layers that the chip does not have in this form, mapped exactly or not at all.

Every model goes the whole way: its layers in floating point equal the module (checked when they
are made), its integers come out close to it, and the accelerator model, fed with the registers that
follow, gives the integers of the reference.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import foreign_models as foreign
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.errors import RuleError
from max78k.flows.synthesis import compile_network
from max78k.imports.chip_layers import FloatModel
from max78k.imports.losses import losses
from max78k.imports.quantization import quantize
from max78k.imports.sources import module_source, onnx_source
from max78k.network import Operation, Pool

SHAPE = (3, 16, 16)
PIXELS = foreign.pixels(SHAPE, 48)
Conv = nn.Conv2d


class Function(nn.Module):
    """Modules and what is done with them."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def conv(inputs: int, outputs: int, kernel: int = 3, **options: object) -> nn.Sequential:
    layers = Conv(inputs, outputs, kernel, padding=kernel // 2, **options)  # type: ignore[arg-type]
    return nn.Sequential(layers, nn.BatchNorm2d(outputs), nn.ReLU())


def shuffled(x: Tensor) -> Tensor:
    """The channels of two groups in turn, as it is usually written."""
    batch, channels, rows, columns = x.shape
    x = x.view(batch, 2, channels // 2, rows, columns).transpose(1, 2).contiguous()
    return x.view(batch, -1, rows, columns)


MODELS: dict[str, nn.Module] = {
    "stride 2": nn.Sequential(conv(3, 8, stride=2), Conv(8, 4, 1)),
    "stride 2 without padding": nn.Sequential(Conv(3, 8, 3, stride=2), nn.ReLU(), Conv(8, 4, 1)),
    "stride 3": nn.Sequential(Conv(3, 8, 3, stride=3, padding=1), Conv(8, 4, 3)),
    "stride 2, then batch norm and a limit": nn.Sequential(
        Conv(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), Conv(8, 4, 1)),
    "stride 2 at the end": nn.Sequential(conv(3, 8), Conv(8, 4, 3, stride=2, padding=1)),
    "2x2 stride 2": nn.Sequential(Conv(3, 8, 2, stride=2), nn.ReLU(), Conv(8, 4, 1)),
    "1x1 stride 2 with a residual": Function(
        lambda x, a, b, c, d: d(b(a(x)) + c(a(x))), conv(3, 8), Conv(8, 8, 3, 2, 1),
        Conv(8, 8, 1, 2), Conv(8, 4, 1)),
    "padding after the data alone, stride 2": nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), Conv(3, 8, 3, stride=2)),
    "padding as a layer": nn.Sequential(conv(3, 8), nn.ZeroPad2d((2, 0, 0, 2)), nn.MaxPool2d(2)),
    "depthwise": nn.Sequential(conv(3, 8), conv(8, 8, groups=8), Conv(8, 4, 1)),
    "depthwise stride 2": nn.Sequential(conv(3, 8), conv(8, 8, groups=8, stride=2), Conv(8, 4, 1)),
    "groups": nn.Sequential(conv(3, 8), conv(8, 12, groups=4), Conv(12, 4, 1, groups=2)),
    "inverted residual": Function(
        lambda x, a, b, c, d: a(x) + d(c(b(a(x)))), Conv(3, 4, 3, padding=1), conv(4, 12, 1),
        conv(12, 12, groups=12), Conv(12, 4, 1)),
    "padded max pooling behind ReLU": nn.Sequential(
        conv(3, 8), nn.MaxPool2d(3, 2, 1), Conv(8, 4, 1)),
    "padded max pooling before ReLU": nn.Sequential(
        Conv(3, 8, 3), nn.MaxPool2d(3, 1, 1), nn.ReLU(), Conv(8, 4, 1)),
    "ceil_mode behind ReLU": nn.Sequential(
        Conv(3, 8, 3, padding=0), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Conv(8, 4, 1)),
    "padded average pooling": nn.Sequential(conv(3, 8), nn.AvgPool2d(3, 2, 1), Conv(8, 4, 1)),
    "repeated pixels": nn.Sequential(
        conv(3, 8), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), Conv(8, 4, 3, padding=1)),
    "pixels repeated twice": Function(
        lambda x, a, b: b(F.interpolate(F.max_pool2d(a(x), 4), scale_factor=4)), conv(3, 4),
        Conv(4, 4, 1)),
    "transposed 2x2": nn.Sequential(conv(3, 8), nn.MaxPool2d(2), nn.ConvTranspose2d(8, 4, 2, 2)),
    "transposed with groups": nn.Sequential(
        conv(3, 8), nn.MaxPool2d(2), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, groups=2)),
    "u-net": Function(
        lambda x, a, b, c, d: d(torch.cat([a(x), c(b(F.max_pool2d(a(x), 2)))], 1)), conv(3, 8),
        conv(8, 16), nn.ConvTranspose2d(16, 8, 2, 2), Conv(16, 4, 1)),
    "parts of the channels": Function(
        lambda x, a, b, c: c(torch.cat([a(x)[:, :4], b(a(x)[:, 4:])], 1)), conv(3, 8),
        conv(4, 4), Conv(8, 4, 1)),
    "chunks": Function(
        lambda x, a, b: b(a(x).chunk(2, 1)[0] + a(x).chunk(2, 1)[1]), conv(3, 8), Conv(4, 4, 3)),
    "split": Function(
        lambda x, a, b: b(torch.split(a(x), 6, dim=1)[0]), conv(3, 8), Conv(6, 4, 3)),
    "a part of the input": Function(lambda x, a: a(x[:, 1:2]), Conv(1, 4, 3)),
    "channel shuffle": nn.Sequential(conv(3, 8), nn.ChannelShuffle(2), Conv(8, 8, 3, groups=2)),
    "channel shuffle by views": Function(
        lambda x, a, b: b(shuffled(a(x))), conv(3, 8), Conv(8, 8, 3, groups=2)),
    "parts of features": Function(
        lambda x, a, b: b(a(x.flatten(1))[:, 2:5]), nn.Linear(768, 8), nn.Linear(3, 4)),
    "negation": Function(lambda x, a, b: b(F.relu(-a(x))), Conv(3, 8, 3), Conv(8, 4, 1)),
    "maximum over the plane": Function(
        lambda x, a, b: b(torch.amax(a(x), (2, 3))), Conv(3, 8, 3), nn.Linear(8, 4)),
    "average behind ReLU and ReLU again": nn.Sequential(
        conv(3, 8), nn.AvgPool2d(2), nn.ReLU(), Conv(8, 4, 1)),
    "batch norm everywhere": nn.Sequential(
        nn.BatchNorm2d(3), Conv(3, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), nn.MaxPool2d(2),
        nn.BatchNorm2d(8), Conv(8, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8), nn.Flatten(),
        nn.BatchNorm1d(128), nn.Linear(128, 10), nn.BatchNorm1d(10), nn.Softmax(1)),
    "five summands": Function(
        lambda x, *parts: reduce(operator.add, (part(x) for part in parts)),
        *(Conv(3, 8, 1) for _ in range(5))),
    "dense block": Function(
        lambda x, a, b, c: c(torch.cat([a(x), b(a(x)), x], 1)), conv(3, 8), conv(8, 8),
        Conv(19, 4, 1)),
}  # fmt: skip
Line = nn.Conv1d
LINES: dict[str, nn.Module] = {
    "stride 4": nn.Sequential(Line(8, 16, 8, stride=4, padding=2), nn.ReLU(), Line(16, 4, 1)),
    "depthwise": nn.Sequential(Line(8, 8, 5, padding=2, groups=8), Line(8, 16, 1), nn.ReLU6()),
    "padding before the data alone": Function(lambda x, a: a(F.pad(x, (2, 0))), Line(8, 16, 3)),
    "even kernel with equal size": nn.Sequential(
        nn.ConstantPad1d((1, 2), 0.0), Line(8, 16, 4), Line(16, 4, 1)),
    "padded max pooling": nn.Sequential(Line(8, 16, 3), nn.ReLU(), nn.MaxPool1d(3, 2, 1)),
    "padded average pooling": nn.Sequential(
        Line(8, 16, 3, padding=1), nn.ReLU(), nn.AvgPool1d(3, 2, 1), Line(16, 4, 1)),
    "mean of 64": nn.Sequential(
        Line(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(16, 4)),
    "maximum of 64": nn.Sequential(
        Line(8, 16, 3, padding=1), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 4)),
}  # fmt: skip
GROWN = {"depthwise", "depthwise stride 2", "groups", "inverted residual"}


def through_the_chain(model: FloatModel, least: float = 25) -> None:
    """Integers close to the model, and equal on the accelerator model."""
    pixels = PIXELS if model.input_shape == SHAPE else foreign.pixels(model.input_shape, 48)
    quantized = quantize(model, pixels)
    assert losses(model, quantized, pixels)[-1].sqnr > least
    compiled = compile_network(quantized.network)
    inputs = compiled.network.from_pixels(pixels[:2])
    np.testing.assert_array_equal(compiled.run(inputs), compiled.reference(inputs))


def module(name: str, models: dict[str, nn.Module] = MODELS) -> nn.Module:
    torch.manual_seed(1)
    for part in models[name].modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    return foreign.settle(models[name])


@pytest.mark.parametrize("name", MODELS)
def test_model_goes_through_the_whole_chain(name: str) -> None:
    model = module_source(module(name), SHAPE, "net").model()
    assert any("zeros between them" in note for note in model.notes) == (
        name in GROWN or "groups" in name or "shuffle" in name
    )
    through_the_chain(model)


@pytest.mark.parametrize("name", LINES)
def test_model_in_one_dimension_goes_through_the_whole_chain(name: str) -> None:
    through_the_chain(module_source(module(name, LINES), (8, 64), "net").model())


@pytest.mark.parametrize(
    ("size", "words"), [(17, "pooling of 17x17"), (46, "pooling of 46x46|pooled twice")]
)
def test_a_plane_that_no_windows_make_up_is_refused(size: int, words: str) -> None:
    model = nn.Sequential(Conv(1, 4, 1), nn.AdaptiveAvgPool2d(1), Conv(4, 2, 1))
    with pytest.raises(RuleError) as found:
        module_source(foreign.settle(model), (1, size, size), "net").model()
    assert found.value.code == "E-IMPORT-POOL-SIZE" and "AdaptiveAvgPool2d 1" in str(found.value)
    for word in words.split("|"):
        assert word in str(found.value)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_the_same_model_as_onnx(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    try:
        torch.onnx.export(
            module(name), (torch.zeros(1, *SHAPE),), str(path), input_names=["x"], dynamo=False,
            opset_version=17,
        )  # fmt: skip
    except (ImportError, TypeError, RuntimeError, ValueError) as error:
        pytest.skip(f"this torch does not export it ({type(error).__name__})")
    exported = onnx_source(path).model()  # compared with onnxruntime
    ours = module_source(module(name), SHAPE, "net").model()
    assert len(exported.layers) <= len(ours.layers)  # torch calls some modules twice
    assert exported.layers[-1].operation is ours.layers[-1].operation


def test_a_stride_costs_no_layer_where_the_next_one_can_skip() -> None:
    layers = module_source(module("stride 2"), SHAPE, "net").model().layers
    assert [layer.operation for layer in layers] == [Operation.CONV2D] * 2
    assert layers[0].shape == (8, 16, 16) and layers[1].pool == Pool("max", (1, 1), (2, 2))


def test_channels_are_picked_by_the_layer_that_reads_them() -> None:
    layers = module_source(module("a part of the input"), SHAPE, "net").model().layers
    assert len(layers) == 1
    weight = layers[0].weight
    assert weight is not None and weight.shape == (4, 3, 3, 3)
    assert not weight[:, [0, 2]].any() and weight[:, 1].all()


def test_what_it_costs_is_told() -> None:
    notes = module_source(module("depthwise stride 2"), SHAPE, "net").model().notes
    text = "\n".join(notes)
    assert "8 groups" in text and "576 weights instead of 72" in text
    assert "one of 4 outputs is kept" in text


def test_padding_of_max_pooling_is_not_zero_where_data_may_be_below() -> None:
    model = nn.Sequential(Conv(3, 8, 3), nn.MaxPool2d(3, 2, 1))
    with pytest.raises(Exception, match="E-IMPORT-POOL-PADDING MaxPool2d 1"):
        module_source(foreign.settle(model), SHAPE, "net").model()


def test_page_names_layers_that_torch_has() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "ordinary-networks.md"
    table = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| `")]
    names = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table))
    layers = [name for name in names if name[0].isupper() and name not in ("MaxPool", "AvgPool")]
    assert len(layers) >= 8
    assert [name for name in layers if not hasattr(nn, name)] == ["Resize"]  # of ONNX
