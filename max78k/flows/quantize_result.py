"""What ``max78k quantize`` tells: tables, plain data, a picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from max78k.flows.export import Export
from max78k.formats.vendor_checkpoint import VendorCheckpoint
from max78k.imports.losses import LayerLoss
from max78k.report.quantization import QuantizedLayer, draw_quantization
from max78k.report.tables import count, percent, table
from max78k.training.bits import BitPolicy, BitSearch
from max78k.training.layer_report import LayerReport


@dataclass(frozen=True, eq=False)
class QuantizeResult:
    """What was written and what it costs; accuracies are shares of the test part.

    They are None where the outputs are not the classes of the data, the float one also where the
    source holds integers already.
    """

    export: Export
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...]
    float_accuracy: float | None
    accuracy: float | None
    bits: BitPolicy | BitSearch | None = None

    def text(self) -> str:
        """The tables by layer, notes, and accuracies."""
        parts = [_table(self.layers)] if self.layers else []
        if isinstance(self.bits, BitSearch):
            parts.append(_search_table(self.bits))
        parts += [f"note: {note}" for note in self.notes]
        if self.accuracy is not None:
            before = "" if self.float_accuracy is None else f"float {self.float_accuracy:.2%}, "
            parts.append(f"accuracy on the test part: {before}integers {self.accuracy:.2%}")
        return "\n".join([*parts, *map(str, self.export.files)])

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        search = self.bits if isinstance(self.bits, BitSearch) else None
        return {
            "network": self.export.network.name,
            "layers": [asdict(layer) for layer in self.layers],
            "bit_search": None if search is None else asdict(search),
            "notes": list(self.notes),
            "float_accuracy": self.float_accuracy,
            "accuracy": self.accuracy,
            "files": [str(path) for path in self.export.files],
        }

    def draw(self, path: Path) -> None:
        """The table by layer as a picture."""
        rows = [QuantizedLayer(x.name, x.bits, x.sqnr, x.clipped) for x in self.layers]
        draw_quantization(path, rows, title=f"{self.export.network.name}: quantization by layer")


@dataclass(frozen=True, eq=False)
class VendorResult:
    """A checkpoint of ai8x-training rounded by the vendor's rule, and the ``-q`` file written."""

    checkpoint: VendorCheckpoint
    path: Path

    def text(self) -> str:
        """One row per layer."""
        rows = [
            [x.name, str(x.weight_bits), count(x.weight.size), str(x.output_shift)]
            for x in self.checkpoint.layers
        ]
        return f"{table(['layer', 'bits', 'weights', 'shift'], rows)}\n{self.path}"

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "arch": self.checkpoint.arch,
            "layers": [
                {"name": x.name, "bits": x.weight_bits, "shift": x.output_shift}
                for x in self.checkpoint.layers
            ],
            "files": [str(self.path)],
        }


def _table(layers: tuple[LayerReport, ...]) -> str:
    given = any(isinstance(x, LayerLoss) and (x.deviation or x.weight_deviation) for x in layers)
    headers = ["layer", "bits", "lowest", "highest", "step", "shift", "SQNR dB", "clipped", "sums"]
    headers += ["step kept", "weights kept"] if given else []
    rows = []
    for layer in layers:
        row = [
            layer.name,
            "-" if layer.bits is None else str(layer.bits),
            f"{layer.low:.4g}",
            f"{layer.high:.4g}",
            f"2^{layer.exponent}",
            str(layer.shift),
            f"{layer.sqnr:.1f}",
            percent(layer.clipped, 3),
            _sums(layer),
        ]
        if given and isinstance(layer, LayerLoss):
            row += [_kept(layer.deviation), _kept(layer.weight_deviation)]
        rows.append(row)
    return table(headers, rows)


def _sums(layer: LayerReport) -> str:
    """Bits of the largest sum that any input gives; beyond 24, float32 does not hold it exactly."""
    if layer.accumulator is None:
        return "-"
    return f"{layer.accumulator.bit_length()} bit" + ("" if layer.exact_in_float32 else ", float64")


def _kept(deviation: float | None) -> str:
    """How much coarser or finer the step became than the one given."""
    return "-" if deviation is None else f"{1 / deviation - 1:+.1%}"


def _search_table(search: BitSearch) -> str:
    """Error at the output with one layer alone narrower, and what was chosen."""
    headers = ["layer", *(f"{n} bit" for n in sorted(search.errors[next(iter(search.errors))]))]
    rows = []
    used = 0
    for name, errors in search.errors.items():
        bits = search.policy.overrides[name]
        used += search.columns[name][bits]
        shown = [f"{100 * errors[n]:.3g} %" for n in sorted(errors)]
        rows.append([name, *shown, str(bits), str(search.columns[name][bits])])
    text = table([*headers, "chosen", "columns"], rows)
    title = "noise at the output with one layer alone at a width"
    return f"{title}\n{text}\n{used} of {search.budget} kernel columns"
