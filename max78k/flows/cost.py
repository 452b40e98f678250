"""What a network costs on the chip: memories, cycles, multiply-accumulates, by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.allocate import plan
from max78k.compiler.cycles import layer_cycles, macs
from max78k.compiler.lowering import lower
from max78k.compiler.placement import Placement, request
from max78k.compiler.usage import Usage, usage
from max78k.network import Network, rules, shapes
from max78k.network.network import INPUT
from max78k.report.memory import MemoryMap, Span, draw_memory
from max78k.report.tables import count, percent, table


@dataclass(frozen=True)
class Cost:
    """Costs of a placed network; cycles are the accelerator's, estimated."""

    network: Network
    placement: Placement
    usage: Usage
    cycles: dict[str, int]
    macs: dict[str, int]

    @property
    def microseconds(self) -> float:
        """Estimated time of one inference at the 50 MHz accelerator clock."""
        return sum(self.cycles.values()) * 1e6 / limits.CNN_CLOCK_HZ

    def text(self) -> str:
        """Two tables: by layer, and use of every limited resource."""
        return f"{self._layers()}\n\n{self._resources()}"

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "network": self.network.name,
            "fits": True,
            "microseconds": round(self.microseconds, 2),
            "layers": {
                layer.name: {
                    "weight_bytes": layer.weight_bytes,
                    "macs": self.macs[layer.name],
                    "cycles": self.cycles[layer.name],
                }
                for layer in self.network.layers
            },
            "resources": {
                what: {"used": used, "available": available}
                for what, used, available in self.usage.limits()
            },
        }

    def _layers(self) -> str:
        known = shapes.infer(self.network)
        rows = []
        for layer in self.network.layers:
            cycles = self.cycles[layer.name]
            rows.append(
                (
                    layer.name,
                    layer.operation.value,
                    "x".join(map(str, known[layer.name].output)),
                    count(layer.weight_bytes),
                    count(self.macs[layer.name]),
                    count(cycles),
                    f"{cycles * 1e6 / limits.CNN_CLOCK_HZ:.1f}",
                )
            )
        total = (
            "all",
            "",
            "",
            count(self.network.weight_bytes),
            count(sum(self.macs.values())),
            count(sum(self.cycles.values())),
            f"{self.microseconds:.1f}",
        )
        headers = ("layer", "operation", "output", "weight bytes", "MACs", "cycles", "us")
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
        readers = {name: layer.name for layer in self.network.layers for name in layer.inputs}
        first = {layer.name for layer in self.network.layers if INPUT in layer.inputs}
        data = []
        for span in self.usage.data_spans:
            owner = span.layer if span.kind == "output" else INPUT
            if span.kind == "output" or span.layer in first:
                last = "" if owner in self.network.outputs else readers.get(owner, "")
                end = span.first + span.size
                data.append(Span(owner, span.instance, span.first, end, last))
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

    def _bias_spans(self) -> list[Span]:
        spans = []
        for layer in self.network.layers:
            placed = self.placement.layers[layer.name]
            if layer.bias is None or placed.bias_quadrant is None or placed.bias_start is None:
                continue
            start = placed.bias_start
            spans.append(Span(layer.name, placed.bias_quadrant, start, start + len(layer.bias)))
        return spans


def cost(network: Network, given: Placement | None = None) -> Cost:
    """Place ``network`` and count; raises RuleError with every broken rule."""
    if given is None:
        network = lower(network)
    rules.require(network)
    placement = plan(network, given or request(network))
    spent = layer_cycles(network, placement)
    return Cost(network, placement, usage(network, placement), spent, macs(network))
