"""A foreign network ready to be quantized: its float graph, and the original to compare with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from max78k.errors import InputError, Max78kError
from max78k.imports.chip_layers import FloatModel, lower
from max78k.imports.float_graph import Graph
from max78k.imports.float_run import joined_outputs
from max78k.imports.onnx_file import OnnxFile
from max78k.imports.onnx_graph import onnx_graph
from max78k.imports.rewrites import simplify
from max78k.imports.torch_graph import torch_graph
from max78k.network.shapes import Shape
from max78k.training.base import ChipLayer
from max78k.training.registry import build, network_class
from max78k.training.state_dicts import load_weights

Original = Callable[[Tensor], Tensor]

_SAMPLES = 8  # on which the layers are compared with the original
_TOLERANCE = 1e-3  # of the largest output; float32 in another order of summation
_BATCH = 64
_TAILS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True, eq=False)
class Normalisation:
    """What a model was trained with: its input is (pixel / 255 - mean) / std, by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: Tensor) -> Tensor:
        """uint8 or float pixels [N, C, ...] as the model reads them."""
        shape = (1, -1, *(1,) * (pixels.ndim - 2))
        mean, std = (torch.tensor(x).reshape(shape) for x in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std

    def of_input(self, channels: int) -> tuple[Any, Any]:
        """Scale and shift that make it from (pixel - 128) / 128, float64 [channels]."""
        mean, std = (
            np.broadcast_to(np.asarray(x, np.float64), (channels,)) for x in (self.mean, self.std)
        )
        return 128 / 255 / std, (128 / 255 - mean) / std


@dataclass(frozen=True, eq=False)
class Foreign:
    """A float graph, and the function of real inputs [N, ...] to outputs that it came from.

    ``unrounded`` is the original without the rounding of data that a quantized model does.
    """

    graph: Graph
    original: Original
    unrounded: Original

    def model(self, normalisation: Normalisation | None = None) -> FloatModel:
        """The chip's layers, which compute what the original does.

        Args:
            normalisation: what is put before the first layer and folded into it.

        Raises:
            RuleError: with everything that cannot be mapped.
            InputError: E-IMPORT-DIFFERS if the layers and the original disagree.
        """
        graph = self.graph.copy()
        simplify(graph)
        plain = lower(graph)
        self._compare(plain)
        if normalisation is None:
            return plain
        graph = self.graph.copy()
        graph.normalise(*normalisation.of_input(graph.input_shape[0]))
        simplify(graph)
        return lower(graph)

    def outputs(self, inputs: Tensor) -> Tensor:
        """What the original gives for real inputs, [N, values], several outputs joined."""
        return _in_batches(self.original, inputs)

    def _compare(self, model: FloatModel) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.rand(_SAMPLES, *model.input_shape, generator=generator) * 2 - 1
        found = joined_outputs(model, inputs)
        for name in model.tail:
            found = _TAILS[name](found)
        wanted = _in_batches(self.unrounded, inputs)
        difference = float("inf")
        if found.shape == wanted.shape:
            difference = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-9))
        if not difference <= _TOLERANCE:
            raise InputError(
                "E-IMPORT-DIFFERS",
                f"{model.name}: the chip's layers in floating point differ from the original by "
                f"{difference:.2g} of the largest output.",
                "this is a fault of max78k's import: please report the network.",
            )


def _in_batches(function: Original, inputs: Tensor) -> Tensor:
    return torch.cat([function(part) for part in torch.split(inputs, _BATCH)])


def onnx_source(path: Path) -> Foreign:
    """A float or quantize-dequantize ONNX file; raises the errors of ``onnx_graph``."""
    graph, file = onnx_graph(path)
    return Foreign(
        graph, _onnx_original(file, file.model), _onnx_original(file, _without_rounding(file))
    )


def _without_rounding(file: OnnxFile) -> onnx.ModelProto:
    """A copy of the model whose quantize-dequantize pairs hand the data on, or end at zero."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.value_info[:]
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            if node.input[0] not in file.constants:
                node.op_type = "Relu" if _begins_at_zero(file, node) else "Identity"
                del node.input[1:]
                del node.attribute[:]
    return model


def _begins_at_zero(file: OnnxFile, node: onnx.NodeProto) -> bool:
    """True if ``node`` quantizes what a layer gives to integers of which the least is zero."""
    if node.op_type != "QuantizeLinear" or node.input[0] == file.input:
        return False
    if len(node.input) < 3:
        return True
    zero = file.constants[node.input[2]]
    return int(zero.item()) == np.iinfo(zero.dtype).min


def _onnx_original(file: OnnxFile, model: onnx.ModelProto) -> Original:
    sessions: list[Any] = []  # made on first use: a model that is refused is never run

    def run(inputs: Tensor) -> Tensor:
        if not sessions:
            sessions.append(_session(file.path, model))
        data = inputs.numpy()
        shape = file.shapes[file.input][1:]
        if tuple(data.shape[1:]) != shape:  # channels last
            data = np.moveaxis(data, 1, -1)
        rows = []
        for start in range(0, len(data), file.batch):
            part = data[start : start + file.batch]
            whole = np.zeros((file.batch, *shape), np.float32)
            whole[: len(part)] = part
            values = sessions[0].run(None, {file.input: whole})
            joined = np.concatenate([np.reshape(v, (file.batch, -1)) for v in values], axis=1)
            rows.append(torch.from_numpy(np.asarray(joined[: len(part)], np.float32)))
        return torch.cat(rows)

    return run


def _session(path: Path, model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors alone
    # Optimizations round data near dequantized weights where the model itself does not.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exception classes are not public
        newest = re.search(r"Opset (\d+) .* is till opset (\d+)", str(error))
        if newest is not None:
            raise InputError(
                "E-IMPORT-OPSET",
                f"{path} has opset {newest[1]}, onnxruntime knows those up to {newest[2]}.",
                f"torch.onnx.export(..., opset_version={newest[2]}), or a newer onnxruntime.",
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "E-IMPORT-FILE", f"{path} cannot be run by onnxruntime ({reason})."
        ) from error


def build_module(
    spec: str,
    input_shape: Shape,
    classes: int,
    weights: Path | None = None,
    names: str | None = None,
) -> tuple[nn.Module, tuple[str, ...]]:
    """A module of torch.nn or of our own layers, with its weights, and notes on these.

    Args:
        spec: path/to/file.py:Class; the file is run. The class takes no argument, or ``classes``
            (see :func:`max78k.training.registry.build`).
        input_shape: of one sample.
        classes: number of outputs, where the class wants to know.
        weights: file of its ``state_dict``, or None for a class that loads its own.
        names: how tensors are paired, see :func:`max78k.training.state_dicts.load_weights`.

    Raises:
        InputError: see ``network_class`` and ``load_weights``; E-IMPORT-CLASS.
    """
    kind = network_class(spec)
    asks = {"classes", "num_classes"}.intersection(inspect.signature(kind).parameters)
    try:
        model = build(spec, classes, input_shape) if asks else kind()
    except Max78kError:
        raise
    except Exception as error:  # whatever the constructor of a foreign model raises
        raise InputError(
            "E-IMPORT-CLASS",
            f"{kind.__name__} cannot be made ({type(error).__name__}: {error}).",
            "a constructor without arguments, or with `classes` alone.",
        ) from error
    if weights is None:
        return model, ()
    return model, load_weights(model, weights, names).notes()


def is_chip_model(model: nn.Module) -> bool:
    """True for a module made of the layers of :mod:`max78k.training.layers`."""
    return any(isinstance(part, ChipLayer) for part in model.modules())


def module_source(model: nn.Module, input_shape: Shape, name: str) -> Foreign:
    """A module with trained weights; raises InputError E-IMPORT-TRACE, E-IMPORT-CLASS."""
    if is_chip_model(model):
        raise InputError(
            "E-IMPORT-CLASS",
            f"{type(model).__name__} is made of the layers of max78k.training.layers.",
            "`max78k train-qat` and `max78k export`, which choose its integers in training.",
        )
    graph = torch_graph(model, input_shape, name)

    def run(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            values = model(inputs)
        parts = values if isinstance(values, (tuple, list)) else [values]
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    return Foreign(graph, run, run)


def is_onnx(source: str) -> bool:
    """True if ``source`` names an ONNX file rather than a Python class."""
    return Path(source).suffix.lower() == ".onnx"
