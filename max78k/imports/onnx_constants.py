"""Shapes and constants of an ONNX graph: what follows from the input's size and the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from max78k.errors import InputError
from max78k.network.shapes import Shape

MAX_VALUES = 1 << 24  # of one tensor, weights and data alike, and of all computed constants

_ROUNDS = 16  # a constant that depends on a shape may give the next shape
_FOLDED = frozenset(
    "Shape Gather Unsqueeze Squeeze Concat Cast Reshape Transpose Add Sub Mul Div Slice Identity "
    "ConstantOfShape Constant Sqrt Neg Reciprocal DequantizeLinear QuantizeLinear Range Expand "
    "Flatten Abs Max Min Floor Pow Equal Where".split()
)
_LATEST = ("DequantizeLinear", "QuantizeLinear")  # the evaluator has them for no old opset

Array = npt.NDArray[Any]


class Known:
    """A model without the nodes whose results are known, the shapes of the rest, the constants.

    Args:
        model: a checked model whose input has fixed sizes; it stays as it is.

    Raises:
        InputError: E-IMPORT-SIZE for tensors of more than ``MAX_VALUES`` values.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        del self.model.graph.value_info[:]
        for value in self.model.graph.output:
            value.type.tensor_type.ClearField("shape")
        self.shapes: dict[str, Shape] = {}
        self.constants: dict[str, Array] = {}
        self._budget = MAX_VALUES
        for tensor in self.model.graph.initializer:
            _check_size(tensor.name, tuple(tensor.dims))
            self.constants[tensor.name] = numpy_helper.to_array(tensor)
        for _ in range(_ROUNDS):
            self._infer()
            if not self._fold():
                break

    def _infer(self) -> None:
        inferred = onnx.shape_inference.infer_shapes(self.model, strict_mode=False, data_prop=True)
        graph = inferred.graph
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        for value in [*graph.input, *graph.value_info, *graph.output]:
            kind = value.type.tensor_type
            if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
                self.shapes[value.name] = tuple(int(d.dim_value) for d in kind.shape.dim)
        for name, shape in self.shapes.items():
            _check_size(name, shape)

    def _fold(self) -> bool:
        """Move what is constant from the nodes to the constants; True if there was anything."""
        graph = self.model.graph
        kept = [node for node in graph.node if not self._compute(node)]
        changed = len(kept) < len(graph.node)
        del graph.node[:]
        graph.node.extend(kept)
        return changed

    def _compute(self, node: onnx.NodeProto) -> bool:
        if not self._is_constant(node):
            return False
        feeds = {name: self.constants[name] for name in node.input if name in self.constants}
        if node.op_type == "Shape":
            feeds = {node.input[0]: np.broadcast_to(np.float32(0), self.shapes[node.input[0]])}
        self._budget -= sum(int(np.prod(self.shapes[name])) for name in node.output)
        if self._budget < 0:
            raise too_large(f"the model computes more than {MAX_VALUES:,} constants", "fewer")
        try:
            values = self._evaluate(node, feeds)
        except Exception:  # the evaluator's errors are of many classes; the node stays as it is
            return False
        for name, value in zip(node.output, values, strict=True):
            self.constants[name] = np.asarray(value)
            self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return True

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        """True if ``node`` depends on constants alone and its results have known sizes."""
        if node.op_type not in _FOLDED or node.domain not in ("", "ai.onnx"):
            return False
        if any(name not in self.shapes for name in node.output):
            return False
        if node.op_type == "Shape":
            return node.input[0] in self.shapes
        return all(not name or name in self.constants for name in node.input)

    def _evaluate(self, node: onnx.NodeProto, feeds: dict[str, Array]) -> list[Any]:
        from onnx.reference import ReferenceEvaluator

        if node.op_type in _LATEST:
            return list(ReferenceEvaluator(node).run(None, feeds))
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in feeds.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = helper.make_graph([node], "constant", inputs, outputs)
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        return list(ReferenceEvaluator(model).run(None, feeds))


def _check_size(name: str, shape: Shape) -> None:
    count = 1
    for size in shape:
        count *= size
    if count > MAX_VALUES or any(size < 0 for size in shape):
        raise too_large(f"tensor {name!r} has the shape {shape}", f"at most {MAX_VALUES:,} values")


def too_large(text: str, most: str) -> InputError:
    """The error for sizes far beyond the chip's."""
    hint = "the chip has 32 layers and 442,368 bytes of weights."
    return InputError("E-IMPORT-SIZE", f"{text}; {most}.", hint)
