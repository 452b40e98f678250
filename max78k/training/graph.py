"""The order in which a model runs its chip layers, and who feeds whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from max78k.errors import InputError
from max78k.network.network import INPUT
from max78k.training.layers import ChipLayer

# on integers in evaluation these change nothing
_TRANSPARENT = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten)


@dataclass(frozen=True, eq=False)
class Step:
    """One chip layer: its name, its module, and the names of the steps (or "input") it reads."""

    name: str
    module: ChipLayer
    inputs: tuple[str, ...]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChipLayer) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> list[Step]:
    """The chip layers of ``model`` in execution order; the last one is the output.

    ``forward`` may use the layers of :mod:`max78k.training.layers`, ``torch.cat`` along the
    channels, dropout and flattening before a linear layer. Anything else raises InputError.
    """
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise InputError(
            "E-TRAIN-GRAPH",
            f"the forward of {type(model).__name__} depends on its data ({error}).",
            "call the layers one after the other, without conditions on tensors.",
        ) from error
    modules = dict(model.named_modules())
    sources: dict[fx.Node, tuple[str, ...]] = {}
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            sources[node] = (INPUT,)
        elif node.op == "output":
            _check_output(model, steps, sources, node)
        else:
            sources[node] = _visit(node, modules, sources, steps)
    return steps


def _visit(
    node: fx.Node,
    modules: dict[str, nn.Module],
    sources: dict[fx.Node, tuple[str, ...]],
    steps: list[Step],
) -> tuple[str, ...]:
    inputs = tuple(name for source in node.all_input_nodes for name in sources[source])
    if node.op == "call_module":
        module = modules[str(node.target)]
        if isinstance(module, ChipLayer):
            if any(step.module is module for step in steps):
                raise _refuse(node, "the same layer runs twice; each run needs a layer of its own")
            name = layer_name(str(node.target))
            steps.append(Step(name, module, inputs))
            return (name,)
        if isinstance(module, _TRANSPARENT):
            return inputs
    if _is_flatten(node):
        return inputs
    if node.target is torch.cat and _axis(node) == 1:
        return inputs
    raise _refuse(node, "the chip has no such operation here")


def _is_flatten(node: fx.Node) -> bool:
    return node.target is torch.flatten or (node.op == "call_method" and node.target == "flatten")


def _axis(node: fx.Node) -> Any:
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)


def layer_name(target: str) -> str:
    """Name of the integer layer for a module path; a path beginning with a digit is prefixed."""
    return target if target[0].isalpha() or target[0] == "_" else f"layer{target}"


def _check_output(
    model: nn.Module, steps: list[Step], sources: dict[fx.Node, tuple[str, ...]], node: fx.Node
) -> None:
    names = tuple(name for source in node.all_input_nodes for name in sources[source])
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
