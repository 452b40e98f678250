"""Make a network smaller as long as it still fails, and put it into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from max78k.compiler.lowering import lower
from max78k.errors import Max78kError
from max78k.network import Activation, Layer, Network, Operation, rules
from max78k.network.network import INPUT
from max78k.network.shapes import Shape, infer, layer_shapes


def shrink(given: Network, fails: Callable[[Network], bool]) -> Network:
    """A smaller network that still ``fails``: no step of :func:`_smaller` leads to another one."""
    smaller = True
    while smaller:
        smaller = False
        for step in _smaller(given):
            try:
                candidate = _refitted(step)
                if rules.check(lower(candidate)) or not fails(candidate):
                    continue
            except Max78kError:
                continue
            given, smaller = candidate, True
            break
    return given


def _refitted(given: Network) -> Network:
    """The network with as many input weights in every layer as there now are inputs."""
    known: dict[str, Shape] = {INPUT: given.input_shape}
    layers = []
    for layer in given.layers:
        sources = [known[name] for name in layer.inputs]
        if layer.weight is not None:
            probe = replace(layer, operation=Operation.PASSTHROUGH, weight=None, bias=None)
            pooled = layer_shapes(probe, sources).pooled
            need = math.prod(pooled) if layer.operation is Operation.LINEAR else pooled[0]
            axis = 0 if layer.operation is Operation.CONVTRANSPOSE2D else 1
            index = np.arange(need) % layer.weight.shape[axis]
            layer = replace(layer, weight=layer.weight.take(index, axis))
        known[layer.name] = layer_shapes(layer, sources).output
        layers.append(layer)
    return replace(given, layers=tuple(layers))


def _smaller(given: Network) -> Iterator[Network]:
    """Networks with one thing less: layers, pixels, channels, fields."""
    for count in range(1, len(given.layers)):
        kept = given.layers[:count]
        yield replace(given, layers=kept, outputs=_ends(kept))
    for layer in given.layers:
        yield from _without(given, layer)
    for axis in range(1, len(given.input_shape)):
        for size in {1, given.input_shape[axis] // 2, given.input_shape[axis] - 1}:
            if 0 < size < given.input_shape[axis]:
                shape = list(given.input_shape)
                shape[axis] = size
                yield replace(given, input_shape=tuple(shape))
    for name in (INPUT, *(layer.name for layer in given.layers)):
        for take in (lambda n: 1, lambda n: n // 2, lambda n: n - 1):
            yield from _fewer_channels(given, name, take)
    for layer in given.layers:
        plain: dict[str, Any] = {
            "pool": None, "bias": None, "activation": Activation.NONE, "padding": 0,
            "output_width": 8, "dilation": 1, "pool_first": True,
        }  # fmt: skip
        for key, value in plain.items():
            now = getattr(layer, key)
            if now is not value and (key == "bias" or now != value):
                yield given.with_layer(layer.name, **{key: value})


def _ends(layers: Sequence[Layer]) -> tuple[str, ...]:
    read = {name for layer in layers for name in layer.inputs}
    return tuple(layer.name for layer in layers if layer.name not in read)


def _without(given: Network, layer: Layer) -> Iterator[Network]:
    """The network without a layer: its readers read one of its inputs, if that has the shape."""
    others = [other for other in given.layers if other is not layer]
    if not others:
        return
    for source in dict.fromkeys(layer.inputs):
        kept = tuple(
            replace(x, inputs=tuple(source if n == layer.name else n for n in x.inputs))
            for x in others
        )
        yield replace(given, layers=kept, outputs=_ends(kept))


def _fewer_channels(given: Network, name: str, take: Callable[[int], int]) -> Iterator[Network]:
    """Fewer channels of the input or of a layer's output."""
    if name == INPUT:
        count = take(given.input_shape[0])
        if 0 < count < given.input_shape[0]:
            yield replace(given, input_shape=(count, *given.input_shape[1:]))
        return
    layer = given.layer(name)
    if layer.weight is not None and layer.out_channels is not None:
        count = take(layer.out_channels)
        if 0 < count < layer.out_channels:
            axis = 1 if layer.operation is Operation.CONVTRANSPOSE2D else 0
            bias = None if layer.bias is None else layer.bias[:count]
            weight = layer.weight.take(range(count), axis)
            yield given.with_layer(name, weight=weight, bias=bias)


def describe(given: Network, text: str) -> str:
    """A failing network in words."""
    known = infer(given)
    lines = [text, f"input {given.input_shape}, average_rounds {given.average_rounds}"]
    for layer in given.layers:
        fields = {
            key: value
            for key, value in vars(layer).items()
            if key not in ("name", "weight", "bias") and value not in (None, 0, 1)
        }
        weight = None if layer.weight is None else layer.weight.shape
        lines.append(
            f"{layer.name}: weight {weight}, bias {layer.bias is not None}, "
            f"output {known[layer.name].output}, "
            + ", ".join(f"{key} {value}" for key, value in fields.items())
        )
    return "\n".join([*lines, f"outputs {given.outputs}", ""])
