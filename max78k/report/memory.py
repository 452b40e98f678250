"""A picture of the chip's memories: which layer lies where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from max78k.chip import limits
from max78k.report import style
from max78k.report.tables import count, percent, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Span:
    """A run of one memory that holds something of one layer.

    Attributes:
        layer: whose kernels, bias or output it is; the network's input is the output of "input".
        unit: number of the memory: processor 0-63 (kernels), data-memory instance 0-15, quadrant
            0-3 (bias).
        start: first kernel column, or byte.
        end: the column or byte after the last.
        last_reader: data only: the last layer that reads it; "" for the network's output.
    """

    layer: str
    unit: int
    start: int
    end: int
    last_reader: str = ""


@dataclass(frozen=True)
class MemoryMap:
    """Everything that a network occupies.

    Attributes:
        name: of the network.
        layers: names in order of execution, without "input".
        kernels: spans in columns of 72 bits.
        data: spans in bytes.
        bias: spans in bytes.
    """

    name: str
    layers: tuple[str, ...]
    kernels: tuple[Span, ...]
    data: tuple[Span, ...]
    bias: tuple[Span, ...]

    @property
    def kernel_bytes(self) -> int:
        """Bytes of kernel memory that are in use."""
        return limits.COLUMN_BYTES * sum(span.end - span.start for span in self.kernels)

    @property
    def bias_bytes(self) -> int:
        """Bytes of bias memory that are in use."""
        return sum(span.end - span.start for span in self.bias)

    @property
    def data_bytes(self) -> int:
        """Most bytes of data memory that are in use at the same time."""
        steps = range(-1, len(self.layers))
        lives = [(_lifetime(self, span), span.end - span.start) for span in self.data]
        return max(
            sum(held for (first, last), held in lives if first <= step <= last) for step in steps
        )


def draw_memory(path: Path, memory: MemoryMap) -> None:
    """Draw kernel memory, data memory over the steps of a run, and bias memory."""
    with style.figure(path, 10.5, 7.4) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.05), height_ratios=(6, 1))
        title = f"{memory.name}: memory of the accelerator"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        _draw_kernels(figure.add_subplot(grid[0, 0]), memory)
        _draw_data(figure.add_subplot(grid[0, 1]), memory)
        _draw_bias(figure.add_subplot(grid[1, 0]), memory)
        _draw_key(figure.add_subplot(grid[1, 1]), memory)


def _colour(memory: MemoryMap, layer: str) -> str:
    return style.layer_colour(memory.layers.index(layer)) if layer in memory.layers else style.GREY


def _lifetime(memory: MemoryMap, span: Span) -> tuple[int, int]:
    """Step that writes a span of data (-1: before the run) and the last that needs it."""
    first = memory.layers.index(span.layer) if span.layer in memory.layers else -1
    last = len(memory.layers) - 1
    if span.last_reader in memory.layers:
        last = memory.layers.index(span.last_reader)
    return first, last


def _fill(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))


def _draw_kernels(axes: Axes, memory: MemoryMap) -> None:
    for span in memory.kernels:
        _fill(axes, span.start, span.unit, span.end - span.start, 0.92, _colour(memory, span.layer))
    axes.set_xlim(0, limits.KERNEL_COLUMNS)
    axes.set_ylim(limits.PROCESSORS, 0)
    axes.set_facecolor(style.LIGHT)
    for quadrant in range(1, limits.QUADRANTS):
        axes.axhline(quadrant * limits.PROCESSORS_PER_QUADRANT, color="white", lw=1.6)
    step = limits.PROCESSORS_PER_INSTANCE * 2
    axes.set_yticks([n + 0.5 for n in range(0, limits.PROCESSORS, step)],
                    [str(n) for n in range(0, limits.PROCESSORS, step)])  # fmt: skip
    axes.set_xticks(range(0, limits.KERNEL_COLUMNS + 1, 128))
    axes.set_xlabel(f"kernel column (of {limits.COLUMN_BYTES} bytes)")
    axes.set_ylabel("processor")
    used = percent(memory.kernel_bytes / limits.KERNEL_BYTES)
    axes.set_title(f"Kernels: {count(memory.kernel_bytes)} B, {used}")


def _draw_data(axes: Axes, memory: MemoryMap) -> None:
    """Steps of the run to the right, address downwards in each of the 16 instances."""
    gap = 0.08  # between two instances
    share = (1 - gap) / limits.INSTANCE_BYTES
    for instance in range(limits.INSTANCES):
        _fill(axes, -1, instance, len(memory.layers) + 1, 1 - gap, style.LIGHT)
    for span in memory.data:
        first, last = _lifetime(memory, span)
        top, height = span.unit + span.start * share, (span.end - span.start) * share
        _fill(axes, first, top, last - first + 1, max(height, 0.02), _colour(memory, span.layer))
    for step in range(len(memory.layers)):
        axes.axvline(step, color="white", lw=0.8)
    axes.set_xlim(-1, len(memory.layers))
    axes.set_ylim(limits.INSTANCES, 0)
    names = ("load", *memory.layers)
    axes.set_xticks([n - 0.5 for n in range(len(names))], names, rotation=90, fontsize=7)
    axes.set_yticks([n + 0.5 - gap / 2 for n in range(limits.INSTANCES)],
                    [str(n) for n in range(limits.INSTANCES)])  # fmt: skip
    axes.tick_params(length=0)
    axes.set_xlabel("step of the run")
    axes.set_ylabel(f"data-memory instance ({size(limits.INSTANCE_BYTES)} each, address downwards)")
    used = percent(memory.data_bytes / limits.DATA_BYTES)
    axes.set_title(f"Data: at most {count(memory.data_bytes)} B at once, {used}")


def _draw_bias(axes: Axes, memory: MemoryMap) -> None:
    for quadrant in range(limits.QUADRANTS):
        _fill(axes, 0, quadrant, limits.BIAS_BYTES_PER_QUADRANT, 0.86, style.LIGHT)
    for span in memory.bias:
        _fill(axes, span.start, span.unit, span.end - span.start, 0.86, _colour(memory, span.layer))
    axes.set_xlim(0, limits.BIAS_BYTES_PER_QUADRANT)
    axes.set_ylim(limits.QUADRANTS, 0)
    axes.set_yticks([n + 0.43 for n in range(limits.QUADRANTS)],
                    [str(n) for n in range(limits.QUADRANTS)])  # fmt: skip
    axes.set_xticks(range(0, limits.BIAS_BYTES_PER_QUADRANT + 1, 128))
    axes.tick_params(length=0)
    axes.set_xlabel("byte")
    axes.set_ylabel("quadrant")
    used = percent(memory.bias_bytes / limits.BIAS_BYTES)
    axes.set_title(f"Bias: {count(memory.bias_bytes)} B, {used}")


def _draw_key(axes: Axes, memory: MemoryMap) -> None:
    from matplotlib.patches import Patch

    axes.set_axis_off()
    patches = [Patch(color=style.GREY, label="input")]
    patches += [Patch(color=_colour(memory, name), label=name) for name in memory.layers]
    columns = 4 if len(patches) <= 20 else 6
    axes.legend(handles=patches, ncols=columns, loc="upper left", fontsize=7, handlelength=1.2,
                borderaxespad=0)  # fmt: skip
