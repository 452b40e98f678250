"""The order in which a model runs its chip layers, and who feeds whom."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from max78k.errors import InputError
from max78k.network.network import INPUT
from max78k.training.base import ChipLayer
from max78k.training.joins import Join
from max78k.training.layers import Linear
from max78k.training.weight_layer import WeightLayer

# on integers in evaluation these change nothing
_TRANSPARENT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
_SIZES = ("size", "dim", "shape")
_RESHAPES = ("view", "reshape", "flatten", "squeeze", "unsqueeze")


@dataclass(frozen=True, eq=False)
class Step:
    """One chip layer: its name, its module, and the names of the steps (or "input") it reads."""

    name: str
    module: ChipLayer
    inputs: tuple[str, ...]

    @property
    def combines(self) -> bool:
        """True if the inputs are operands of an element-wise operation, else they are joined."""
        return isinstance(self.module, Join) or (
            isinstance(self.module, WeightLayer) and self.module.combine is not None
        )

    def operands(self, values: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """What the layer is called with, for the outputs of the layers before it."""
        found = tuple(values[name] for name in self.inputs)
        return found if self.combines or len(found) == 1 else (torch.cat(found, dim=1),)

    def run(self, values: dict[str, Tensor]) -> Tensor:
        """The layer's output, for the outputs of the layers before it."""
        result: Tensor = self.module(*self.operands(values))
        return result


@dataclass(frozen=True)
class _Data:
    """What a node gives: outputs of steps, joined; ``reshaped``: not in their own shape."""

    names: tuple[str, ...] = ()
    reshaped: bool = False


class StepModel(nn.Module):
    """A model given by its steps; ``forward`` gives the outputs, several of them flattened.

    Args:
        steps: in execution order, each with a module of its own.
        outputs: names of the steps whose outputs leave the network.
    """

    def __init__(self, steps: Sequence[Step], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.steps = tuple(steps)
        self.outputs = outputs
        self.layers = nn.ModuleList(step.module for step in steps)

    def forward(self, data: Tensor) -> Tensor:
        """Outputs for [N, C, ...]."""
        values = {INPUT: data}
        for step in self.steps:
            values[step.name] = step.run(values)
        if len(self.outputs) == 1:
            return values[self.outputs[0]]
        return torch.cat([values[name].flatten(1) for name in self.outputs], dim=1)

    def __deepcopy__(self, memo: dict[int, Any]) -> StepModel:
        steps = [replace(step, module=copy.deepcopy(step.module, memo)) for step in self.steps]
        return StepModel(steps, self.outputs)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChipLayer) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> list[Step]:
    """The chip layers of ``model`` in execution order; the last one is the output.

    ``forward`` may use the layers of :mod:`max78k.training.layers`, ``torch.cat`` along the
    channels, dropout, and reshaping (``flatten``, ``view``, ...) before a linear layer or of the
    output. Anything else raises InputError.
    """
    if isinstance(model, StepModel):
        return list(model.steps)
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise InputError(
            "E-TRAIN-GRAPH",
            f"the forward of {type(model).__name__} depends on its data ({error}).",
            "call the layers one after the other, without conditions on tensors.",
        ) from error
    modules = dict(model.named_modules())
    sources: dict[fx.Node, _Data | None] = {}
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            sources[node] = _Data((INPUT,))
        elif node.op == "output":
            _check_output(model, steps, sources, node)
        else:
            sources[node] = _visit(node, modules, sources, steps)
    return steps


def allow_views(model: nn.Module) -> None:
    """Let layers whose output is given to ``view`` give it in the default memory layout.

    Training in the layout channels_last is faster, but ``view``, unlike ``reshape``, refuses it.
    """
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError, InputError):
        return  # trace says why, where it matters
    modules = dict(model.named_modules())
    found = [node for node in graph.nodes if node.op == "call_method" and node.target == "view"]
    seen = set(found)
    while found:
        for source in found.pop().all_input_nodes:
            module = modules.get(str(source.target)) if source.op == "call_module" else None
            if isinstance(module, ChipLayer):
                module.register_forward_hook(_contiguous)
            elif source not in seen:
                seen.add(source)
                found.append(source)


def _contiguous(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
    return output.contiguous()


def run_steps(steps: list[Step], data: Tensor) -> Iterator[tuple[Step, dict[str, Tensor]]]:
    """Run the layers one after the other on ``data``, the network's input.

    Yields every step before it runs, with the outputs that it and later steps read; a caller that
    changes the layer changes what is computed.
    """
    last = {name: step.name for step in steps for name in step.inputs}
    values = {INPUT: data}
    for step in steps:
        yield step, values
        values[step.name] = step.run(values)
        for name in step.inputs:
            if last[name] == step.name:
                values.pop(name, None)


def _visit(
    node: fx.Node,
    modules: dict[str, nn.Module],
    sources: dict[fx.Node, _Data | None],
    steps: list[Step],
) -> _Data | None:
    """What ``node`` gives; None for a number."""
    parts = [sources[source] for source in node.all_input_nodes]
    data = [part for part in parts if part is not None]
    if not data or _is_size(node):
        return None  # arithmetic with sizes
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(module, ChipLayer):
        return _step(node, module, data, steps)
    name = str(getattr(node.target, "__name__", node.target))
    if isinstance(module, _TRANSPARENT) or name == "contiguous":
        return data[0]
    if isinstance(module, nn.Flatten) or (module is None and name in _RESHAPES):
        return _Data(data[0].names, reshaped=True)
    if node.target in (torch.cat, torch.concat) and _axis(node) == 1:
        names = tuple(name for part in data for name in part.names)
        return _Data(names, any(part.reshaped for part in data))
    raise _refuse(node, _REASONS.get(name, "the chip has no such operation here"))


_REASONS = {
    "add": "a sum is a layer of its own, Add()",
    "iadd": "a sum is a layer of its own, Add()",
    "sub": "a difference is a layer of its own, Sub()",
    "relu": 'the activation belongs to a layer: activation="relu"',
    "abs": 'the activation belongs to a layer: activation="abs"',
    "softmax": "return the scores; a softmax runs on the core",
    "log_softmax": "return the scores; a softmax runs on the core",
}


def _step(node: fx.Node, module: ChipLayer, data: list[_Data], steps: list[Step]) -> _Data:
    if any(step.module is module for step in steps):
        raise _refuse(node, "the same layer runs twice; each run needs a layer of its own")
    name = layer_name(str(node.target))
    step = Step(name, module, tuple(name for part in data for name in part.names))
    if step.combines and any(len(part.names) > 1 for part in data):
        raise _refuse(node, "joined data as an operand; combine the parts, then join them")
    pixels = {step.name for step in steps if isinstance(step.module, Linear)}
    if not isinstance(module, Linear):
        for part in data:
            if part.reshaped and not pixels.issuperset(part.names):
                raise _refuse(node, "only a linear layer can read reshaped data")
    steps.append(step)
    return _Data((name,))


def _is_size(node: fx.Node) -> bool:
    if node.op == "call_method":
        return str(node.target) in _SIZES
    return node.target is getattr and node.args[1] in _SIZES


def _axis(node: fx.Node) -> Any:
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)


def layer_name(target: str) -> str:
    """Name of the integer layer for a module path; a path beginning with a digit is prefixed."""
    return target if target[0].isalpha() or target[0] == "_" else f"layer{target}"


def _check_output(
    model: nn.Module,
    steps: list[Step],
    sources: dict[fx.Node, _Data | None],
    node: fx.Node,
) -> None:
    names = tuple(
        name for source in node.all_input_nodes for name in (sources[source] or _Data()).names
    )
    if not steps or names != (steps[-1].name,):
        raise InputError(
            "E-TRAIN-GRAPH",
            f"the output of {type(model).__name__} is {', '.join(names) or 'nothing'}, "
            "not its last layer.",
            "return the output of the last layer.",
        )


def _refuse(node: fx.Node, reason: str) -> InputError:
    return InputError(
        "E-TRAIN-GRAPH",
        f"{node.op} {node.target}: {reason}.",
        "use the layers of max78k.training.layers and torch.cat(..., dim=1).",
    )
