"""Reading an ONNX file that may be anything: sizes, external data, checker, shapes, constants."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from max78k.errors import InputError
from max78k.imports.onnx_constants import Known, too_large
from max78k.imports.onnx_qlinear import without_integer_operators

MAX_BYTES = 256 << 20  # of the file, and of external data; the chip holds 442,368 bytes of weights
MAX_NODES = 4096

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A checked model with one data input.

    ``shapes`` are those of all tensors for a batch of ``batch``; ``constants`` are the tensors
    that do not depend on the input; ``nodes`` are the others, in order.
    """

    path: Path
    model: onnx.ModelProto
    input: str
    batch: int
    shapes: dict[str, tuple[int, ...]]
    constants: dict[str, Array]
    nodes: tuple[onnx.NodeProto, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Read and check ``path``; nothing in it is run.

    Raises:
        InputError: E-IMPORT-FILE, E-IMPORT-SIZE, E-IMPORT-EXTERNAL, E-IMPORT-INPUT.
    """
    model = parse_onnx(path)
    try:
        without_integer_operators(model)
        onnx.checker.check_model(model)
        source, batch = _input(path, model)
        known = Known(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError, LookupError, RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    nodes = tuple(known.model.graph.node)
    return OnnxFile(path, model, source, batch, known.shapes, known.constants, nodes)


def why_unsized(model: onnx.ModelProto, node: onnx.NodeProto) -> tuple[str, str]:
    """Why the size of what ``node`` gives is not known, and what to change."""
    try:
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        found = re.search(rf"\(op_type:{node.op_type}\b[^)]*\): \[\w+\] (.*)", str(error))
        if found is not None and "is null" not in found[1]:  # that is behind another such node
            return f"it does not fit its input: {found[1]}", "look at its attributes and weights."
    return (
        "the file does not tell the size of its output",
        "an export with fixed sizes; onnx.shape_inference.infer_shapes shows where they end.",
    )


def parse_onnx(path: Path) -> onnx.ModelProto:
    """The model in ``path`` with all its weights; its graph is not checked yet."""
    model = _parse(path)
    _embed_external(path, model)
    return model


def _parse(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise InputError("E-IMPORT-FILE", f"{path}: no such file.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise too_large(f"{path} has {size:,} bytes", f"at most {MAX_BYTES:,}")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    if not model.graph.node:
        raise InputError("E-IMPORT-FILE", f"{path} is no ONNX file, or an empty one.")
    if len(model.graph.node) > MAX_NODES:
        raise too_large(f"{path} has {len(model.graph.node):,} nodes", f"at most {MAX_NODES:,}")
    return model


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(
        "E-IMPORT-FILE",
        f"{path} is damaged, or no ONNX file ({reason}).",
        "export it again; onnx.checker.check_model says more.",
    )


def _embed_external(path: Path, model: onnx.ModelProto) -> None:
    """Read weights that lie in files beside the model, and in no other folder."""
    external = onnx.TensorProto.EXTERNAL
    for tensor in _attribute_tensors(model.graph.node):
        if tensor.data_location == external:
            raise _external(path, tensor, "data of an attribute")
    folder = path.resolve().parent
    total = 0
    for tensor in model.graph.initializer:
        if tensor.data_location != external:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder) or not file.is_file():
            raise _external(path, tensor, f"{location!r}, which is no file in its folder")
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", file.stat().st_size - offset))
        except ValueError:
            raise _external(path, tensor, "an offset that is no number") from None
        total += max(length, 0)
        if offset < 0 or length < 0 or offset + length > file.stat().st_size:
            raise _external(path, tensor, f"bytes {offset}...{offset + length} of {location!r}")
        if total > MAX_BYTES:
            raise too_large(f"{path} has more than {MAX_BYTES:,} bytes of weights", "fewer")
        with file.open("rb") as stream:
            stream.seek(offset, os.SEEK_SET)
            tensor.raw_data = stream.read(length)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _attribute_tensors(nodes: Any) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _external(path: Path, tensor: onnx.TensorProto, what: str) -> InputError:
    return InputError(
        "E-IMPORT-EXTERNAL",
        f"{path}: tensor {tensor.name!r} refers to {what}.",
        "save the model with its weights inside the file.",
    )


def _input(path: Path, model: onnx.ModelProto) -> tuple[str, int]:
    """Name of the one data input and the batch size; free sizes of the batch become 1."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(
            "E-IMPORT-INPUT", f"{path} has {len(inputs)} inputs ({names}).", "one input of data."
        )
    dimensions = inputs[0].type.tensor_type.shape.dim
    if not dimensions or any(not d.HasField("dim_value") for d in list(dimensions)[1:]):
        sizes = [d.dim_value or d.dim_param or "?" for d in dimensions]
        raise InputError(
            "E-IMPORT-INPUT",
            f"{path}: input {inputs[0].name} has the shape {sizes}.",
            "fixed sizes on all axes but the first.",
        )
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(inputs[0].type.tensor_type.elem_type)
        raise InputError(
            "E-IMPORT-INPUT", f"{path}: input {inputs[0].name} is {kind}.", "a float32 input."
        )
    if dimensions[0].dim_value < 1:
        dimensions[0].Clear()
        dimensions[0].dim_value = 1
    return inputs[0].name, int(dimensions[0].dim_value)
