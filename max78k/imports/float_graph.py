"""The graph between a foreign network and the chip's layers: few node kinds, float weights.

Shapes have no batch axis: (channels, rows, columns), (channels, length) or (features,).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from max78k.errors import Max78kError, RuleError
from max78k.network.network import INPUT
from max78k.network.shapes import Shape

FloatArray = npt.NDArray[np.float64]
Sizes = tuple[int, ...]


class Kind(str, Enum):
    """What a node computes."""

    CONV = "convolution"
    CONVTRANSPOSE = "transposed convolution"
    LINEAR = "linear"
    POOL = "pooling"
    ADD = "add"
    SUB = "sub"
    CONCAT = "concatenation"
    ACTIVATION = "activation"
    AFFINE = "scale and shift"  # by channel; batch norm in evaluation
    PAD = "padding"
    RESHAPE = "reshape"
    TRANSPOSE = "transpose"
    QUANTIZE = "quantize and dequantize"
    REFUSED = "not to be mapped"


@dataclass(frozen=True)
class Window:
    """A kernel or pooling window, one number per spatial axis; zeros before and after the data."""

    size: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes

    @property
    def padded(self) -> bool:
        """True if there is any padding."""
        return any(self.before + self.after)


@dataclass(frozen=True, eq=False)
class Node:
    """One node.

    Attributes:
        name: unique in the graph.
        kind: what it computes.
        inputs: names of the nodes it reads; "input" is the network's input.
        shape: of its output.
        origin: operation and name as the user knows them, for messages.
        weight: convolution [out, in / groups, ...], transposed [in, out / groups, ...],
            linear [out, in], scale and shift [channels].
        bias: [out] or None; for scale and shift the shift.
        window: of a convolution or pooling; for padding ``before`` and ``after`` alone count.
        groups: of a convolution.
        function: "max" or "avg" pooling; "relu" or "abs" of an activation or a convolution;
            empty: none.
        limit: outputs are clipped to -limit...limit, after the activation.
        axes: of a transposition, without the batch axis.
        scale: step that a quantized model gives for this output.
        weight_scale: step that a quantized model gives for all weights.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: Shape
    origin: str = ""
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    window: Window | None = None
    groups: int = 1
    function: str = ""
    limit: float | None = None
    axes: Sizes = ()
    scale: float | None = None
    weight_scale: float | None = None

    @property
    def title(self) -> str:
        """The node in messages: operation, name, output shape."""
        return f"{self.origin or self.name} (output {'x'.join(map(str, self.shape))})"

    @property
    def shift(self) -> FloatArray:
        """The bias, zeros where there is none."""
        if self.bias is not None:
            return self.bias
        assert self.weight is not None
        axis = 1 if self.kind is Kind.CONVTRANSPOSE else 0
        return np.zeros(self.weight.shape[axis])


@dataclass
class Graph:
    """Nodes in an order in which each follows what it reads.

    ``tail`` names the functions that were cut off after the output ("softmax", ...); ``notes``
    tell the user what was changed in ways that matter; ``refusals`` is all that cannot be mapped.
    ``normalisation`` is the node, if any, that :meth:`normalise` has put before all others.
    """

    name: str
    input_shape: Shape
    outputs: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    tail: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[Max78kError] = field(default_factory=list)
    normalisation: str = ""

    def copy(self) -> Graph:
        """A graph that can be rewritten without a change to this one."""
        return replace(
            self,
            outputs=list(self.outputs),
            nodes=dict(self.nodes),
            tail=list(self.tail),
            notes=list(self.notes),
            refusals=list(self.refusals),
        )

    def put(self, node: Node) -> None:
        """Append ``node``, or replace the one of its name where it stands."""
        self.nodes[node.name] = node

    def shape(self, name: str) -> Shape:
        """Shape of the output of node ``name`` or of the input."""
        return self.input_shape if name == INPUT else self.nodes[name].shape

    def readers(self, name: str) -> list[Node]:
        """Nodes that read ``name``."""
        return [node for node in self.nodes.values() if name in node.inputs]

    def only_reader(self, name: str) -> Node | None:
        """The node that reads ``name``, if it is the only one and the network's output is not."""
        found = self.readers(name)
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def producer(self, node: Node, *kinds: Kind) -> Node | None:
        """The node of one of ``kinds`` whose only reader is ``node`` and that feeds it first."""
        before = self.nodes.get(node.inputs[0])
        if before is None or before.kind not in kinds or self.only_reader(before.name) is not node:
            return None
        return before

    def bypass(self, name: str) -> None:
        """Remove node ``name``; who read it reads its first input."""
        source = self.nodes.pop(name).inputs[0]
        for node in self.readers(name):
            inputs = tuple(source if x == name else x for x in node.inputs)
            self.put(replace(node, inputs=inputs))
        self.outputs = [source if x == name else x for x in self.outputs]

    def normalise(self, scale: FloatArray, shift: FloatArray) -> None:
        """Let the network read ``input * scale + shift``, given by channel."""
        name = usable_name("normalisation", self.nodes, "")
        node = Node(name, Kind.AFFINE, (INPUT,), self.input_shape, name, scale, shift)
        readers = {
            key: replace(x, inputs=tuple(name if y == INPUT else y for y in x.inputs))
            for key, x in self.nodes.items()
        }
        self.nodes = {name: node, **readers}
        self.normalisation = name

    def refuse(self, code: str, node: Node, text: str, hint: str) -> None:
        """Remember that ``node`` cannot be mapped; all refusals are shown together."""
        self.refusals.append(Max78kError(f"E-IMPORT-{code}", f"{node.title}: {text}.", hint))

    def require(self) -> None:
        """Raise RuleError with all refusals, if there are any."""
        if self.refusals:
            raise RuleError(self.refusals)


def usable_name(text: str, taken: Iterable[str], otherwise: str) -> str:
    """``text`` as a layer name that is not ``taken``: letters, digits, underscores."""
    word = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:48] or otherwise
    if word[0].isdigit():
        word = f"layer{word}"
    names = {INPUT, *taken}
    number, name = 1, word
    while name in names:
        number += 1
        name = f"{word}_{number}"
    return name


def plane_window(sizes: Sizes) -> Window:
    """A pooling window over the whole plane."""
    zeros, ones = (0,) * len(sizes), (1,) * len(sizes)
    return Window(sizes, ones, ones, zeros, zeros)


def with_ceiling(window: Window, data: Sizes, result: Sizes) -> Window:
    """``window`` with the padding that ``ceil_mode`` adds implicitly for this result."""
    needed = [
        (r - 1) * s + d * (k - 1) + 1 - n - b
        for r, s, d, k, n, b in zip(
            result, window.stride, window.dilation, window.size, data, window.before, strict=True
        )
    ]
    after = tuple(max(a, n) for a, n in zip(window.after, needed, strict=True))
    return replace(window, after=after)
