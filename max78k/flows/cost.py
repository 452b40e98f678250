"""What a network costs on the chip: memories, cycles, multiply-accumulates, by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.arrange import Arrangement, arrange
from max78k.compiler.cycles import Cycles, cycle_parts
from max78k.compiler.memory import buffer_channels
from max78k.compiler.placed import place
from max78k.compiler.placement import Placement
from max78k.compiler.usage import Usage, usage
from max78k.network import Network, shapes
from max78k.network.network import INPUT
from max78k.report.memory import MemoryMap, Span, draw_memory
from max78k.report.tables import count, percent, table


@dataclass(frozen=True)
class Cost:
    """Costs of a placed network; cycles are the accelerator's, estimated."""

    network: Network
    placement: Placement
    usage: Usage
    cycles: dict[str, Cycles]

    @property
    def total_cycles(self) -> int:
        """Estimated cycles of one inference."""
        return sum(spent.total for spent in self.cycles.values())

    @property
    def microseconds(self) -> float:
        """Estimated time of one inference at the 50 MHz accelerator clock."""
        return self.total_cycles * 1e6 / limits.CNN_CLOCK_HZ

    def text(self) -> str:
        """Two tables, by layer and use of every limited resource, and how the input comes in."""
        feeding = Arrangement(self.network, self.placement).feeding
        return f"{self.layers_text()}\n\n{self._resources()}\n\n{feeding}"

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "network": self.network.name,
            "fits": True,
            "feed": self.placement.feed,
            "streaming": [layer.name for layer in self.network.layers if layer.streaming],
            "microseconds": round(self.microseconds, 2),
            "layers": self.layers_json(),
            "resources": {
                what: {"used": used, "available": available}
                for what, used, available in self.usage.limits()
            },
        }

    def layers_json(self) -> dict[str, Any]:
        """Costs of every layer by name; ``cycle_parts`` add up to ``cycles``."""
        return {
            layer.name: {
                "weight_bytes": layer.weight_bytes,
                "macs": self.cycles[layer.name].macs,
                "cycles": self.cycles[layer.name].total,
                "macs_per_cycle": round(self._rate(layer.name), 2),
                "bound_by": self.cycles[layer.name].bound,
                "cycle_parts": self.cycles[layer.name].parts,
            }
            for layer in self.network.layers
        }

    def _rate(self, name: str) -> float:
        """Multiply-accumulate operations in each cycle; the chip has 64 x 9 multipliers."""
        return self.cycles[name].macs / self.cycles[name].total

    def layers_text(self) -> str:
        """The table by layer."""
        known = shapes.infer(self.network)
        rows = []
        for layer in self.network.layers:
            spent = self.cycles[layer.name]
            rows.append(
                (
                    layer.name,
                    layer.operation.value,
                    "x".join(map(str, known[layer.name].output)),
                    count(layer.weight_bytes),
                    count(self.cycles[layer.name].macs),
                    count(spent.total),
                    f"{spent.total * 1e6 / limits.CNN_CLOCK_HZ:.1f}",
                    f"{self._rate(layer.name):.1f}",
                    spent.bound,
                )
            )
        macs = sum(spent.macs for spent in self.cycles.values())
        total = (
            *("all", "", ""),
            count(self.network.weight_bytes),
            count(macs),
            count(self.total_cycles),
            f"{self.microseconds:.1f}",
            f"{macs / self.total_cycles:.1f}",
            "",
        )
        headers = ("layer", "operation", "output", "weight bytes", "MACs", "cycles", "us",
                   "MAC/cycle", "bound by")  # fmt: skip
        return table(headers, rows, total)

    def _resources(self) -> str:
        rows = [
            (what, count(used), count(available), percent(used / available))
            for what, used, available in self.usage.limits()
        ]
        return table(("resource", "used", "available", "share"), rows)

    def draw_memory(self, path: Path) -> None:
        """Picture of kernel, data and bias memory, coloured by layer."""
        draw_memory(path, self._memory_map())

    def _memory_map(self) -> MemoryMap:
        streaming = {x.name: x.inputs[0] for x in self.network.layers if x.streaming}
        readers = {name: layer.name for layer in self.network.layers for name in layer.inputs}
        first = {layer.name for layer in self.network.layers if INPUT in layer.inputs}
        data = []
        for span in self.usage.data_spans:
            owner = span.layer if span.kind == "output" else streaming.get(span.layer, INPUT)
            if span.kind == "output" and self.network.layer(owner).buffer is not None:
                continue  # a part of a buffer, which is there all the time
            if span.kind == "output" or span.layer in first or span.layer in streaming:
                last = "" if owner in self.network.outputs else readers.get(owner, "")
                end = span.first + span.size
                data.append(Span(owner, span.instance, span.first, end, last))
        data += self._buffer_spans()
        return MemoryMap(
            name=self.network.name,
            layers=tuple(layer.name for layer in self.network.layers),
            kernels=tuple(
                Span(span.layer, processor, span.first, span.first + span.columns)
                for span in self.usage.kernel_spans
                for processor in bits.members(span.processors)
            ),
            data=tuple(data),
            bias=tuple(self._bias_spans()),
        )

    def _buffer_spans(self) -> list[Span]:
        """Buffers, which hold their place from before the run to its end."""
        layers = place(self.network, self.placement)
        taken = {
            (name, channel.instance, 4 * channel.word, 4 * (int(channel.words()[-1]) + 1))
            for name, channels in buffer_channels(self.network, layers).items()
            for channel in channels
        }
        return [Span(*one) for one in sorted(taken)]

    def _bias_spans(self) -> list[Span]:
        spans = []
        for layer in self.network.layers:
            placed = self.placement.layers[layer.name]
            if layer.bias is None or placed.bias_quadrant is None or placed.bias_start is None:
                continue
            start = placed.bias_start
            spans.append(Span(layer.name, placed.bias_quadrant, start, start + len(layer.bias)))
        return spans


def cost(network: Network, given: Placement | None = None, seconds: float = 5.0) -> Cost:
    """Place ``network``, in a search of ``seconds``, and count.

    Raises RuleError with every broken rule.
    """
    return cost_of(*arrange(network, given, seconds))


def cost_of(network: Network, placement: Placement) -> Cost:
    """Costs of a network whose placement is complete."""
    spent = cycle_parts(network, placement)
    return Cost(network, placement, usage(network, placement), spent)
