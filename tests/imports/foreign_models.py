"""Networks as others write them: drawn at random as torch.nn modules, and as ONNX built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

Step = tuple[str, Any]


def pixels(shape: tuple[int, ...], count: int = 96, seed: int = 0) -> np.ndarray:
    """Smooth random pictures, uint8 [count, *shape], from dark to bright."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (count, *shape))
    for axis in range(2, noise.ndim):
        noise = noise + np.roll(noise, 1, axis)
    level = rng.normal(0, 0.7, (count, *(1,) * len(shape)))
    return np.clip(128 + 45 * (noise / 2 + level), 0, 255).astype(np.uint8)


def settle(model: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics and parameters of batch norms as after training."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 1.2)
            module.weight.data.uniform_(0.6, 1.4)
            module.bias.data.normal_(0, 0.2)
    return model.eval()


class Drawn(nn.Module):
    """A module that runs a list of steps; a step with two branches adds or joins them."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.parts = nn.ModuleList(
            argument
            if isinstance(argument, nn.Module)
            else nn.ModuleList(Drawn(branch) for branch in argument)
            for _, argument in steps
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for (kind, _), part in zip(self.steps, self.parts, strict=True):
            if kind == "layer":
                x = part(x)
            else:
                left, right = part[0](x), part[1](x)
                x = left + right if kind == "add" else torch.cat([left, right], dim=1)
        return x


def draw(seed: int, shape: tuple[int, ...] = (3, 16, 16)) -> Drawn:
    """A network with convolutions, norms at all places, pooling, branches, and a linear end."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels, side = shape[0], shape[1]
    steps: list[Step] = []

    def layer(module: nn.Module) -> None:
        steps.append(("layer", module))

    for _ in range(int(rng.integers(2, 5))):
        out = int(rng.choice([4, 8, 12]))
        choice = rng.random()
        if choice < 0.5 or channels == shape[0]:
            padding = int(rng.integers(0, 2)) if side > 6 else 1
            if rng.random() < 0.2:
                layer(nn.BatchNorm2d(channels))
            layer(nn.Conv2d(channels, out, 3, padding=padding, bias=bool(rng.random() < 0.6)))
            channels, side = out, side - 2 + 2 * padding
        elif choice < 0.75:
            steps.append(("add", [_branch(rng, channels, channels, 3) for _ in range(2)]))
        else:
            steps.append(("join", [_branch(rng, channels, out, 1) for _ in range(2)]))
            channels = 2 * out
        order = [nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout2d(0.1)]
        for number in rng.permutation(3)[: int(rng.integers(1, 4))]:
            layer(order[number])
        if side >= 8 and rng.random() < 0.7:
            layer(nn.MaxPool2d(2) if rng.random() < 0.6 else nn.AvgPool2d(2))
            side //= 2
    if rng.random() < 0.5:
        layer(nn.AdaptiveAvgPool2d(1))
        side = 1
    layer(nn.Flatten())
    features = channels * side * side
    if rng.random() < 0.4:
        layer(nn.BatchNorm1d(features))
    layer(nn.Linear(features, 10))
    return settle(Drawn(steps), seed)


def _branch(rng: np.random.Generator, channels: int, out: int, kernel: int) -> list[Step]:
    steps: list[Step] = [("layer", nn.Conv2d(channels, out, kernel, padding=kernel // 2))]
    if rng.random() < 0.5:
        steps.append(("layer", nn.BatchNorm2d(out)))
    if rng.random() < 0.5:
        steps.append(("layer", nn.ReLU()))
    return steps


class Onnx:
    """An ONNX model under construction; every method returns the name of its result."""

    def __init__(self, shape: Sequence[int | str], opset: int = 17) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shape, self.opset = list(shape), opset

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def model(self, *outputs: str) -> onnx.ModelProto:
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        for end in ends:
            end.type.tensor_type.shape.SetInParent()
            del end.type.tensor_type.shape.dim[:]
        graph = helper.make_graph(self.nodes, "foreign", [source], ends, self.constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        )

    def save(self, path: Path, *outputs: str) -> Path:
        path.write_bytes(self.model(*outputs).SerializeToString())
        return path

    def module(self, module: nn.Module, data: str) -> str:
        """The nodes of a torch module."""
        return _WRITERS[type(module)](self, module, data)


def _conv(file: Onnx, module: Any, data: str) -> str:
    inputs = [data, file.constant(module.weight.detach().numpy())]
    if module.bias is not None:
        inputs.append(file.constant(module.bias.detach().numpy()))
    return file.node(
        "Conv", *inputs, pads=list(module.padding) * 2, kernel_shape=[*module.kernel_size]
    )


def _norm(file: Onnx, module: Any, data: str) -> str:
    values = (module.weight, module.bias, module.running_mean, module.running_var)
    names = [file.constant(value.detach().numpy()) for value in values]
    return file.node("BatchNormalization", data, *names, epsilon=module.eps)


def _linear(file: Onnx, module: Any, data: str) -> str:
    product = file.node("MatMul", data, file.constant(module.weight.detach().numpy().T))
    return file.node("Add", product, file.constant(module.bias.detach().numpy()))


def _pool(file: Onnx, module: Any, data: str) -> str:
    op = "MaxPool" if isinstance(module, nn.MaxPool2d) else "AveragePool"
    return file.node(op, data, kernel_shape=[2, 2], strides=[2, 2])


def _drawn(file: Onnx, module: Drawn, data: str) -> str:
    for (kind, _), part in zip(module.steps, module.parts, strict=True):
        if kind == "layer":
            data = file.module(part, data)
        else:
            ends = [file.module(branch, data) for branch in part]
            data = file.node("Add", *ends) if kind == "add" else file.node("Concat", *ends, axis=1)
    return data


_WRITERS: dict[type[nn.Module], Any] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.Linear: _linear,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.ReLU: lambda file, module, data: file.node("Relu", data),
    nn.Dropout2d: lambda file, module, data: file.node("Dropout", data),
    nn.Flatten: lambda file, module, data: file.node(
        "Reshape", data, file.constant([0, -1], np.int64)
    ),
    nn.AdaptiveAvgPool2d: lambda file, module, data: file.node("GlobalAveragePool", data),
    Drawn: _drawn,
}
