"""One ONNX file: what its nodes are called, give and read, and the graph they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from max78k.errors import InputError, Max78kError
from max78k.imports.advice import advice
from max78k.imports.float_graph import FloatArray, Graph, Kind, Node, usable_name
from max78k.imports.onnx_file import Array, OnnxFile
from max78k.network.network import INPUT
from max78k.network.shapes import Shape


class Reader:
    """Reads the nodes of one file in order."""

    def __init__(self, file: OnnxFile, name: str) -> None:
        self.file = file
        shape = file.shapes[file.input][1:]
        self.channels_last = self._all_transpose_input()
        if self.channels_last:
            shape = (shape[-1], *shape[:-1])
        self.graph = Graph(name, shape)
        self.names = {file.input: INPUT}  # tensor to node of the graph

    def _all_transpose_input(self) -> bool:
        """True if the data come with channels last and the model puts them first itself."""
        readers = [node for node in self.file.nodes if self.file.input in node.input]
        return bool(readers) and all(
            node.op_type == "Transpose" and list(attribute(node, "perm", [])) == [0, 3, 1, 2]
            for node in readers
        )

    def shapes_are_known(self, node: onnx.NodeProto) -> bool:
        """True if the shape of what ``node`` gives is known, with the batch first."""
        shape = self.file.shapes.get(node.output[0])
        return shape is not None and len(shape) > 1 and shape[0] == self.file.batch

    def finish(self) -> None:
        """Outputs of the graph, and functions after them that are left to the processor."""
        outputs = self.file.model.graph.output
        if not outputs:
            raise InputError("E-IMPORT-OUTPUT", f"{self.file.path} has no output.")
        for value in outputs:
            if self.names.get(value.name, INPUT) == INPUT:
                what = "is" if value.name in self.names else "does not depend on"
                text = f"output {value.name} of {self.file.path} {what} the input."
                raise InputError("E-IMPORT-OUTPUT", text)
            self.graph.outputs.append(self.names[value.name])

    def origin(self, node: onnx.NodeProto) -> str:
        """``node`` as the user knows it."""
        return f"{node.op_type} {node.name or node.output[0]}"

    def source(self, node: onnx.NodeProto, position: int = 0) -> str:
        """The graph's node that feeds input ``position`` of ``node``."""
        return self.names[node.input[position]]

    def is_data(self, node: onnx.NodeProto, position: int) -> bool:
        """True if input ``position`` depends on the network's input."""
        return len(node.input) > position and node.input[position] in self.names

    def constant(self, node: onnx.NodeProto, position: int) -> Array | None:
        """Constant input ``position``; None where there is none."""
        if len(node.input) <= position or not node.input[position]:
            return None
        return self.file.constants[node.input[position]]

    def weights(self, node: onnx.NodeProto, position: int) -> FloatArray:
        """Constant input ``position`` as float64."""
        array = self.constant(node, position)
        if array is None:
            raise ValueError(f"input {position} is missing")
        with np.errstate(invalid="ignore"):  # signalling NaN
            values = np.asarray(array, np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"input {position} holds values that are not finite")
        return values

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor without the batch axis."""
        return self.file.shapes[tensor][1:]

    def add(
        self, node: onnx.NodeProto, kind: Kind, *inputs: str, output: int = 0, **fields: Any
    ) -> None:
        """Add a node of ``kind``; reads ``inputs``, or the first input of ``node``."""
        result = node.output[output]
        label = node.name if node.name and not output else result
        name = usable_name(label, self.graph.nodes, node.op_type.lower())
        fields.setdefault("shape", self.shape(result))
        sources = inputs or (self.source(node),)
        added = Node(name=name, kind=kind, inputs=sources, origin=self.origin(node), **fields)
        _check_sizes(added, self.graph.shape(added.inputs[0]))
        self.graph.put(added)
        self.names[result] = name

    def same(self, node: onnx.NodeProto) -> None:
        """``node`` changes nothing."""
        self.names[node.output[0]] = self.source(node)

    def refuse(self, node: onnx.NodeProto, text: str = "", hint: str = "") -> None:
        """Remember that ``node`` cannot be mapped and go on behind it."""
        sizes = self.file.shapes.get(node.output[0]) if node.output else None
        output = "x".join(map(str, sizes)) if sizes else "unknown shape"
        message = f"{self.origin(node)} (output {output}): {text or 'the chip has no such layer'}."
        inputs = tuple(self.names[name] for name in node.input if name in self.names)
        after = any(self.graph.nodes[x].kind is Kind.REFUSED for x in inputs if x != INPUT)
        if sizes or not after:  # a shape is unknown behind an unknown operation
            self.graph.refusals.append(
                Max78kError("E-IMPORT-OPERATION", message, hint or advice(node.op_type))
            )
        for output_name in node.output:
            name = usable_name(output_name, self.graph.nodes, "refused")
            shape = (self.file.shapes.get(output_name) or (1, 1))[1:]
            self.graph.put(Node(name, Kind.REFUSED, inputs or (INPUT,), shape))
            self.names[output_name] = name

    def is_last(self, node: onnx.NodeProto) -> bool:
        """True if what ``node`` computes is the one output and nothing else reads it."""
        outputs = [value.name for value in self.file.model.graph.output]
        read = any(node.output[0] in other.input for other in self.file.nodes)
        return outputs == [node.output[0]] and not read


def _check_sizes(node: Node, data: Shape) -> None:
    """Raise ValueError where the weights of ``node`` do not fit what it reads and gives."""
    if node.weight is None:
        return
    counts = (data[0], node.shape[0])  # channels read and given
    found: tuple[int, ...]
    if node.kind is Kind.AFFINE:
        found = (len(node.weight), len(node.shift))
    elif node.kind is Kind.CONVTRANSPOSE:
        found = (node.weight.shape[0], node.weight.shape[1] * node.groups)
    elif node.kind is Kind.CONV:
        found = (node.weight.shape[1] * node.groups, node.weight.shape[0])
    else:
        found = (node.weight.shape[1], node.weight.shape[0])
    if found != counts or (node.bias is not None and node.bias.shape != (counts[1],)):
        raise ValueError(f"weights for {found} channels, the data have {counts}")


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Attribute ``name`` of ``node`` as a plain value; ``default`` where there is none."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default
