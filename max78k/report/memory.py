"""A picture of the chip's memories: which layer lies where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from max78k.chip import limits
from max78k.report import style
from max78k.report.tables import count, percent, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Inches = tuple[float, float]
_LETTER, _LINE = 0.07, 0.11  # inches that a letter and a line of small text take
_GAP = 0.08  # between two bands, of a band
_KIBIBYTE = 1024
_QUADRANT = limits.PROCESSORS_PER_QUADRANT


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
    def data_by_step(self) -> list[int]:
        """Bytes of data memory in use when the input is loaded, and while each layer runs."""
        lives = [(_lifetime(self, span), span.end - span.start) for span in self.data]
        return [
            sum(held for (first, last), held in lives if first <= step <= last)
            for step in range(-1, len(self.layers))
        ]

    @property
    def data_bytes(self) -> int:
        """Most bytes of data memory that are in use at the same time."""
        return max(self.data_by_step)


def draw_memory(path: Path, memory: MemoryMap) -> None:
    """Draw kernel memory, data memory over the steps of a run, and bias memory.

    Names stand in the areas that have room for them; the key has all of them.
    """
    with style.figure(path, 12.5, 8.4) as figure:
        grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.25), height_ratios=(1, 5.2, 1.1))
        title = f"{memory.name}: memory of the accelerator, one colour for each layer"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        _draw_kernels(figure.add_subplot(grid[:2, 0]), memory)
        _draw_load(figure.add_subplot(grid[0, 1]), memory)
        _draw_data(figure.add_subplot(grid[1, 1]), memory)
        _draw_bias(figure.add_subplot(grid[2, 0]), memory)
        _draw_key(figure.add_subplot(grid[2, 1]), memory)


def _colour(memory: MemoryMap, layer: str) -> str:
    return style.layer_colour(memory.layers.index(layer)) if layer in memory.layers else style.GREY


def _lifetime(memory: MemoryMap, span: Span) -> tuple[int, int]:
    """Step that writes a span of data (-1: before the run) and the last that needs it."""
    first = memory.layers.index(span.layer) if span.layer in memory.layers else -1
    last = len(memory.layers) - 1
    if span.last_reader in memory.layers:
        last = memory.layers.index(span.last_reader)
    return first, last


@dataclass(frozen=True)
class _Area:
    """A filled rectangle in the units of its axes."""

    layer: str
    x: float
    y: float
    width: float
    height: float


def _fill(axes: Axes, area: _Area, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((area.x, area.y), area.width, area.height, facecolor=colour, linewidth=0)
    )


def _name_areas(axes: Axes, memory: MemoryMap, areas: Sequence[_Area], inches: Inches) -> None:
    """Write each layer's name into its largest area that has room for it.

    ``inches`` is how long one unit of the axes is, to the right and downwards.
    """
    largest: dict[str, _Area] = {}
    for area in areas:
        known = largest.get(area.layer)
        if known is None or area.width * area.height > known.width * known.height:
            largest[area.layer] = area
    for name, area in largest.items():
        width, height = area.width * inches[0], area.height * inches[1]
        length = _LETTER * len(name)
        upright = width < length
        if min(width, height) < _LINE or (height if upright else width) < length:
            continue
        colour = style.ink_on(_colour(memory, name))
        centre = (area.x + area.width / 2, area.y + area.height / 2)
        axes.text(*centre, name, ha="center", va="center", fontsize=7, color=colour,
                  rotation=90 if upright else 0)  # fmt: skip


def _draw_kernels(axes: Axes, memory: MemoryMap) -> None:
    areas: list[_Area] = []
    for (layer, start, end), units in _together(memory.kernels).items():
        for first, last in _runs(units):
            area = _Area(layer, start, first, end - start, last + 1 - first)
            _fill(axes, area, _colour(memory, layer))
            areas += _by_quadrant(area)
    axes.set_xlim(0, limits.KERNEL_COLUMNS)
    axes.set_ylim(limits.PROCESSORS, 0)
    axes.set_facecolor(style.LIGHT)
    for quadrant in range(1, limits.QUADRANTS):
        axes.axhline(quadrant * limits.PROCESSORS_PER_QUADRANT, color="white", lw=1.6)
    _name_areas(axes, memory, areas, (4.9 / limits.KERNEL_COLUMNS, 6.0 / limits.PROCESSORS))
    step = limits.PROCESSORS_PER_INSTANCE * 2
    axes.set_yticks([n + 0.5 for n in range(0, limits.PROCESSORS, step)],
                    [str(n) for n in range(0, limits.PROCESSORS, step)])  # fmt: skip
    axes.set_xticks(range(0, limits.KERNEL_COLUMNS + 1, 128))
    axes.set_xlabel(f"kernel column (of {limits.COLUMN_BYTES} bytes)")
    axes.set_ylabel("processor")
    used = percent(memory.kernel_bytes / limits.KERNEL_BYTES)
    axes.set_title(f"Kernels: {count(memory.kernel_bytes)} B, {used}")


def _by_quadrant(area: _Area) -> Iterator[_Area]:
    """The parts of an area of processors between the lines that separate quadrants."""
    end, first = area.y + area.height, area.y
    while first < end:
        last = min(end, (first // _QUADRANT + 1) * _QUADRANT)
        yield replace(area, y=first, height=last - first)
        first = last


def _together(spans: Sequence[Span]) -> dict[tuple[str, int, int], list[int]]:
    """Memories that hold the same part of the same layer at the same place."""
    found: dict[tuple[str, int, int], list[int]] = {}
    for span in spans:
        found.setdefault((span.layer, span.start, span.end), []).append(span.unit)
    return found


def _runs(units: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of every run of neighbours."""
    runs: list[tuple[int, int]] = []
    for unit in sorted(units):
        if runs and runs[-1][1] == unit - 1:
            runs[-1] = (runs[-1][0], unit)
        else:
            runs.append((unit, unit))
    return runs


def _draw_load(axes: Axes, memory: MemoryMap) -> None:
    """Bytes in use at each step; the fullest one is named."""
    steps, most = memory.data_by_step, memory.data_bytes
    names = ("load", *memory.layers)
    colours = [style.RED if held == most else style.GREY for held in steps]
    axes.bar([n - 0.5 for n in range(len(steps))], steps, width=0.84, color=colours)
    axes.set_xlim(-1, len(memory.layers))
    axes.set_ylim(0, max(most, 1) * 1.3)
    peak = steps.index(most)
    axes.text(peak - 0.5, most * 1.04, size(most), ha="center", va="bottom", fontsize=7)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    used = percent(most / limits.DATA_BYTES)
    first = "first at" if steps.count(most) > 1 else "at"
    axes.set_title(f"Data: at most {count(most)} B at once, {used}, {first} {names[peak]}")


def _draw_data(axes: Axes, memory: MemoryMap) -> None:
    """Steps of the run to the right, addresses downwards; a band for equally filled instances."""
    bands = _bands(memory)
    top = -(-max((span.end for span in memory.data), default=1) // _KIBIBYTE) * _KIBIBYTE
    share = (1 - _GAP) / top
    areas = []
    for number, (_, spans) in enumerate(bands):
        whole = _Area("", -1, number, len(memory.layers) + 1, 1 - _GAP)
        _fill(axes, whole, style.LIGHT)
        for span in spans:
            first, last = _lifetime(memory, span)
            height = max((span.end - span.start) * share, 0.02)
            at = number + span.start * share
            areas.append(_Area(span.layer, first, at, last - first + 1, height))
    for area in areas:
        _fill(axes, area, _colour(memory, area.layer))
    for step in range(len(memory.layers)):
        axes.axvline(step, color="white", lw=0.8)
    # Areas overlap where a layer writes over what it reads: names stand in the first step alone.
    named = [replace(area, width=1) for area in areas]
    _name_areas(axes, memory, named, (6.2 / (len(memory.layers) + 1), 4.6 / len(bands)))
    axes.set_xlim(-1, len(memory.layers))
    axes.set_ylim(len(bands), 0)
    names = ("load", *memory.layers)
    axes.set_xticks([n - 0.5 for n in range(len(names))], names, rotation=90, fontsize=7)
    labels = [_numbers(instances) for instances, _ in bands]
    axes.set_yticks([n + 0.5 - _GAP / 2 for n in range(len(bands))], labels, fontsize=7)
    axes.tick_params(length=0)
    axes.set_xlabel(
        "step of the run; an area lasts from the layer that writes it to its last reader"
    )
    axes.set_ylabel(f"data-memory instances, each: bytes 0 ... {size(top)} of "
                    f"{size(limits.INSTANCE_BYTES)} downwards", fontsize=8)  # fmt: skip


def _bands(memory: MemoryMap) -> list[tuple[list[int], list[Span]]]:
    """Instances that hold the same at all steps, and what they hold; empty ones come last."""
    held: dict[int, list[Span]] = {unit: [] for unit in range(limits.INSTANCES)}
    for span in memory.data:
        held[span.unit].append(span)
    groups: dict[frozenset[tuple[str, int, int, str]], tuple[list[int], list[Span]]] = {}
    for unit, spans in held.items():
        key = frozenset((x.layer, x.start, x.end, x.last_reader) for x in spans)
        groups.setdefault(key, ([], spans))[0].append(unit)
    return sorted(groups.values(), key=lambda group: not group[1])


def _numbers(units: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> "0-2, 5"; lines of two runs at most."""
    runs = [str(a) if a == b else f"{a}-{b}" for a, b in _runs(units)]
    lines = [", ".join(runs[start : start + 2]) for start in range(0, len(runs), 2)]
    return ",\n".join(lines)


def _draw_bias(axes: Axes, memory: MemoryMap) -> None:
    for quadrant in range(limits.QUADRANTS):
        whole = _Area("", 0, quadrant, limits.BIAS_BYTES_PER_QUADRANT, 0.86)
        _fill(axes, whole, style.LIGHT)
    areas = [_Area(x.layer, x.start, x.unit, x.end - x.start, 0.86) for x in memory.bias]
    for area in areas:
        _fill(axes, area, _colour(memory, area.layer))
    _name_areas(axes, memory, areas, (4.9 / limits.BIAS_BYTES_PER_QUADRANT, 0.2))
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
