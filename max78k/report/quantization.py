"""How each layer was quantized: signal to noise, share of clipped outputs, width of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from max78k.report import style
from max78k.report.tables import percent


@dataclass(frozen=True)
class QuantizedLayer:
    """One row: name, width of weights (None without weights), dB, share clipped."""

    name: str
    bits: int | None
    sqnr: float
    clipped: float


def draw_quantization(
    path: Path, layers: Sequence[QuantizedLayer], *, title: str = "Quantization by layer"
) -> None:
    """Draw two bars per layer, in the order of execution: SQNR in dB, and the share clipped."""
    with style.figure(path, 8.6, 1.4 + 0.3 * max(len(layers), 1)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        rows = range(len(layers))
        noise = [layer.sqnr for layer in layers]
        left.barh(rows, noise, color=style.BLUE, height=0.72)
        right.barh(rows, [100 * x.clipped for x in layers], color=style.ORANGE, height=0.72)
        for row, layer in zip(rows, layers, strict=True):
            left.text(max(layer.sqnr, 0), row, f" {layer.sqnr:.1f}", va="center", fontsize=8)
            share = percent(layer.clipped, 3)
            right.text(100 * layer.clipped, row, f" {share}", va="center", fontsize=8)
        left.set_yticks(rows, [_label(layer) for layer in layers])
        left.invert_yaxis()
        left.set_xlim(min([*noise, 0]), max([*noise, 1]) * 1.15)
        right.set_xlim(0, max([100 * x.clipped for x in layers] + [0.1]) * 1.5)
        right.locator_params(axis="x", nbins=4)
        left.set_xlabel("signal to quantization noise, dB")
        right.set_xlabel("outputs clipped, %")
        style.grid(left, "x")
        style.grid(right, "x")
        left.set_title(title)


def _label(layer: QuantizedLayer) -> str:
    return layer.name if layer.bits is None else f"{layer.name}, {layer.bits} bit"
