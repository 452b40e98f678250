"""One traced torch model: what its nodes are called, give and read, and the graph they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx

from max78k.errors import InputError, Max78kError
from max78k.imports.advice import advice
from max78k.imports.float_graph import Graph, Kind, Node, Sizes, usable_name
from max78k.network.network import INPUT
from max78k.network.shapes import Shape

Handler = Callable[["Reader", fx.Node], None]


class Recorder(fx.Interpreter):
    """Runs a traced model and keeps what every node gave."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and keep its value."""
        value = super().run_node(n)
        self.values[n] = value
        return value


class Reader:
    """Reads the nodes of one traced model in order."""

    def __init__(self, traced: fx.GraphModule, values: dict[fx.Node, Any], graph: Graph) -> None:
        self.graph = graph
        self.values = values
        self.modules = dict(traced.named_modules())
        self.names: dict[fx.Node, str] = {}

    def outputs(self, node: fx.Node) -> None:
        """Let what ``node`` returns be the graph's outputs."""
        for source in node.all_input_nodes:
            if self.names.get(source, INPUT) == INPUT:
                what = "is" if source in self.names else "does not depend on"
                text = f"output {source} {what} the input."
                raise InputError("E-IMPORT-OUTPUT", text)
            self.graph.outputs.append(self.names[source])

    def module(self, node: fx.Node) -> Any:
        """The module that ``node`` calls."""
        return self.modules[str(node.target)]

    def operation(self, node: fx.Node) -> str:
        """The operation's name as in torch."""
        if node.op == "call_module":
            return type(self.module(node)).__name__
        return str(getattr(node.target, "__name__", node.target))

    def origin(self, node: fx.Node) -> str:
        """``node`` as the user knows it."""
        return f"{self.operation(node)} {node.target if node.op == 'call_module' else node.name}"

    def argument(self, node: fx.Node, position: int, name: str, default: Any = None) -> Any:
        """An argument of a call as the value that it has for one sample."""
        found = node.args[position] if len(node.args) > position else node.kwargs.get(name, default)
        return fx.map_arg(found, lambda x: self.values[x])

    def source(self, node: fx.Node) -> str:
        """The graph's node that feeds ``node``."""
        return next(self.names[x] for x in node.all_input_nodes if x in self.names)

    def shape(self, node: fx.Node) -> Shape:
        """Shape of what ``node`` gives, without the batch."""
        return tuple(int(n) for n in self.values[node].shape[1:])

    def source_shape(self, node: fx.Node) -> Shape:
        """Shape of what ``node`` reads."""
        return self.graph.shape(self.source(node))

    def add(self, node: fx.Node, kind: Kind, *inputs: str, **fields: Any) -> str:
        """Add a node of ``kind``; reads ``inputs``, or what feeds ``node``."""
        label = str(node.target) if node.op == "call_module" else node.name
        name = usable_name(label, self.graph.nodes, "layer")
        if "shape" not in fields:
            fields["shape"] = self.shape(node)
        sources = inputs or (self.source(node),)
        self.graph.put(Node(name, kind, sources, origin=self.origin(node), **fields))
        self.names[node] = name
        return name

    def same(self, node: fx.Node) -> None:
        """``node`` changes nothing in evaluation."""
        self.names[node] = self.source(node)

    def refuse(self, node: fx.Node, text: str = "", hint: str = "") -> None:
        """Remember that ``node`` cannot be mapped and go on behind it."""
        value = self.values[node]
        shape = tuple(value.shape) if isinstance(value, Tensor) else ()
        output = "x".join(map(str, shape)) or "of several parts"
        message = f"{self.origin(node)} (output {output}): {text or 'the chip has no such layer'}."
        self.graph.refusals.append(
            Max78kError("E-IMPORT-OPERATION", message, hint or advice(self.operation(node)))
        )
        self.add(node, Kind.REFUSED, shape=shape[1:] or self.source_shape(node))

    def is_refused(self, node: fx.Node) -> bool:
        """True if ``node`` was refused."""
        name = self.names.get(node, INPUT)
        return name != INPUT and self.graph.nodes[name].kind is Kind.REFUSED


def spread(value: Any, axes: int) -> Sizes:
    """A number or a tuple as one number per axis."""
    if isinstance(value, int):
        return (value,) * axes
    return tuple(int(n) for n in value)
