"""The order of the layers that needs least data memory.

Layers of different branches may run in any order in which each comes behind those that it reads.
What is in data memory meanwhile depends on it: of two branches that shrink a large tensor, one
should be finished before the other begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from max78k.chip import limits
from max78k.network.geometry import Geometry, geometry, processors
from max78k.network.network import INPUT, Network

_MOST_STATES = 8_000  # sets of finished layers that are looked at
_Path = tuple[int, tuple[int, ...]]  # most words at any time, layers in order


def thrifty(network: Network) -> Network | None:
    """The network in the order with the lowest peak; None where its own order is as good.

    The peak is counted in words of all data-memory instances together. Raises InputError where
    layers do not fit together.
    """
    if network.buffers:
        return None  # what a layer reads of them depends on its place
    chart = _Chart(network, geometry(network))
    count = len(network.layers)
    own = chart.peak(range(count))
    paths: dict[int, _Path] = {0: (0, ())}
    seen = 0
    for _ in range(count):
        longer: dict[int, _Path] = {}
        for done, (peak, order) in paths.items():
            for layer in chart.ready(done):
                new = max(peak, chart.held(done, layer)), (*order, layer)
                here = done | 1 << layer
                longer[here] = min(longer.get(here, new), new)
        paths = longer
        seen += len(paths)
        if seen > _MOST_STATES:
            return None
    peak, order = paths[(1 << count) - 1]
    if peak >= own:
        return None
    return replace(network, layers=tuple(network.layers[n] for n in order))


class _Chart:
    """Who makes and reads what; sets of layers are bit maps."""

    def __init__(self, network: Network, shapes: Sequence[Geometry]) -> None:
        names = [INPUT, *(layer.name for layer in network.layers)]
        number = {name: n - 1 for n, name in enumerate(names)}
        readers = dict.fromkeys(names, 0)
        self.needs = [0] * len(shapes)
        for n, layer in enumerate(network.layers):
            for source in layer.inputs:
                readers[source] |= 1 << n
                if source != INPUT:
                    self.needs[n] |= 1 << number[source]
        for name in network.outputs:
            readers[name] |= 1 << len(shapes)  # read after the last layer
        first = next(shape for shape in shapes if INPUT in shape.layer.inputs)
        channels = network.input_shape[0]
        sizes = {INPUT: first.pixels * -(-channels // limits.PROCESSORS) * _instances(channels)}
        sizes |= {s.layer.name: s.out_words * _instances(s.outputs) for s in shapes}
        self.tensors = [
            (0 if name == INPUT else 1 << number[name], readers[name], sizes[name])
            for name in names
        ]

    def ready(self, done: int) -> list[int]:
        """Layers that can run next."""
        return [n for n, need in enumerate(self.needs) if not (done >> n & 1 or need & ~done)]

    def held(self, done: int, layer: int) -> int:
        """Words in data memory while ``layer`` runs after ``done``."""
        begun = done | 1 << layer
        return sum(
            words
            for maker, readers, words in self.tensors
            if maker & ~begun == 0 and (readers & ~done or maker == 1 << layer)
        )

    def peak(self, order: Sequence[int]) -> int:
        """The most words in data memory at any time."""
        done = most = 0
        for layer in order:
            most = max(most, self.held(done, layer))
            done |= 1 << layer
        return most


def _instances(channels: int) -> int:
    return -(-processors(channels) // limits.PROCESSORS_PER_INSTANCE)
