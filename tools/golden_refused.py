"""Cases that the peer refused: are they refused here too, by the rule that is broken?

Nothing but the YAML, the options and the peer's message is recorded of them. Where the message is
about the YAML or an option, those decide. Otherwise the network gets stand-in weights and a
stand-in input: of the accepted case with the same YAML, or made up with the numbers that the
message names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from golden_recorded import Outcome, Recorded

from max78k.chip import limits
from max78k.cli.synthesize import command as synthesize
from max78k.compiler import bits, kernels
from max78k.compiler.allocate import plan
from max78k.compiler.placed import place
from max78k.compiler.placement import Placement
from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import Description, LayerDescription, bind, read_yaml
from max78k.network import Network, Operation, rules

_MISSING = "missing asset in this checkout"
_UNSUPPORTED = "not supported on MAX78000: "
# Reason of the refusal, as the index says it, and the codes of the rules that are then broken.
CODES: dict[str, tuple[str, ...]] = {
    "streaming needs a FIFO": ("E-RULE-STREAM-FIFO",),
    f"{_UNSUPPORTED}depth-wise / groups": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}snoop": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}readahead": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}binary weights": ("E-YAML-VALUE",),
    f"{_UNSUPPORTED}calcx4": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}kernel bypass": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}pool_dilation": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}read_gap": ("E-YAML-MAX78002",),
    f"{_UNSUPPORTED}link layer / next_sequence / start layer / one-shot / pipeline / PLL": (
        "E-YAML-MAX78002",
    ),
    "data memory instance overflow (32 KiB)": (
        "E-RULE-DATA-INPUT", "E-RULE-DATA-OUTPUT", "E-RULE-OFFSETS",
    ),
    "passthrough pooling above 64 channels": ("E-RULE-POOL-CHANNELS",),
    "processor map has the wrong number of bits": (
        "E-RULE-PROCESSORS-IN", "E-RULE-PROCESSORS-OUT",
    ),
    "input or output dimension too large": ("E-RULE-DIMENSION",),
    "YAML: missing or invalid key": ("E-YAML-CONFLICT", "E-YAML-VALUE"),
    "element-wise multi-pass restriction": ("E-RULE-ELTWISE-PASSES",),
    "weight memory exhausted": ("E-RULE-KERNEL-SPACE", "E-RULE-KERNEL-BYTES"),
    "dilation restriction": ("E-YAML-CONFLICT",),
    "passthrough output map not packed": ("E-RULE-PASSTHROUGH-MAP",),
    "streaming restriction": ("E-RULE-STREAM-PADDING", "E-RULE-STREAM-OVERLAP"),
    "zero data dimension": ("E-YAML-SHAPE",),
    "kernel size does not match weights": ("E-YAML-WEIGHTS",),
    "offset out of range": ("E-YAML-VALUE",),
    "more than 32 layers": ("E-YAML-LAYERS",),
    "FIFO restriction (channels, processors, fast FIFO)": ("E-RULE-FIFO-INPUT",),
}  # fmt: skip
# Cases in which another rule than the peer's message names is broken as well, and found first.
ALSO_BROKEN = {
    "t-depthwise-quantpool-stream": "E-YAML-MAX78002",
    "t-depthwise-quantpool-stream-bias": "E-YAML-MAX78002",
    "t-multipass5-stream": "E-RULE-STREAM-PADDING",
}
# Options of the peer that it refuses on this chip, or that depend on others: so do we.
OPTIONS = {
    "--calcx4", "--link-layer", "--max-speed", "--one-shot", "--pipeline", "--pll", "--read-ahead",
    "--start-layer", "--no-riscv-cache", "--synthesize-input",
}  # fmt: skip


@dataclass
class StandIn:
    """Numbers that the recording of a refused case lacks.

    The input's shape, and by layer number output channels and kernel sizes where the description
    does not settle them.
    """

    shape: tuple[int, ...]
    channels: dict[int, int] = field(default_factory=dict)
    kernels: dict[int, tuple[int, ...]] = field(default_factory=dict)


def refused_case(folder: Path, reason: str) -> Outcome:
    """Whether the case is refused by a rule that belongs to ``reason``."""
    outcome = Outcome(folder.name, (f"refused: {reason}",))
    try:
        outcome.differences += _judge(Recorded(folder), reason)
    except FileNotFoundError:
        outcome.skipped = reason
    return outcome


def _judge(recorded: Recorded, reason: str) -> Iterator[str]:
    options = set(recorded.meta["options"])
    decisive = options & OPTIONS
    if "--riscv" not in options:  # the fast FIFO needs that core
        decisive |= options & {"--fast-fifo"}
    for option in decisive:
        yield from _option(option)
        return
    expected = {*CODES.get(reason, ()), ALSO_BROKEN.get(recorded.name, "")}
    codes = _refusal(recorded, reason)
    if reason in CODES and not codes & expected:
        yield f"refused by {', '.join(sorted(codes)) or 'no rule'}, not for: {reason}"


def _refusal(recorded: Recorded, reason: str) -> set[str]:
    """Codes of the broken rules; FileNotFoundError where nothing stands in for what is missing."""
    try:
        description = read_yaml(recorded.folder / "network.yaml")
        if reason == _MISSING:
            raise FileNotFoundError(recorded.folder)
        _compile(recorded, description)
    except RuleError as error:
        return {violation.code for violation in error.violations}
    except Max78kError as error:
        return {error.code}
    return set()


def _option(option: str) -> Iterator[str]:
    try:
        synthesize.main([option, "1"], standalone_mode=False)
    except click.NoSuchOption:
        return
    except InputError as error:
        if error.code == "E-ARGS-VENDOR":  # known, and said to be impossible
            return
    yield f"the option {option} is accepted"


def _compile(recorded: Recorded, description: Description) -> None:
    """Check the network and the placement of its description; raises Max78kError."""
    twin = recorded.folder.with_name(f"{recorded.name}.fifo")
    if (twin / "weights.npz").is_file():
        network, placement = Recorded(twin).network()
    else:
        stand_in = _stand_in(recorded, description)
        network, placement = bind(description, _weights(description, stand_in), stand_in.shape)
        rules.require(network)
        placement = _with_columns(network, placement)
    plan(network, replace(placement, feed=recorded.feed()))


def _with_columns(network: Network, placement: Placement) -> Placement:
    """Kernel columns as the peer assigns them: layers on all processors first, lowest free."""
    draft = {name: replace(row, kernel_column=0) for name, row in placement.layers.items()}
    free = [0] * limits.PROCESSORS
    layers = place(network, replace(placement, layers=draft))
    rows = dict(draft)
    for placed in sorted(layers, key=lambda x: x.processors.bit_count() < limits.PROCESSORS):
        members = bits.members(placed.processors)
        column = max(free[n] for n in members)
        column += -column % limits.KERNEL_ALIGNMENT
        rows[placed.layer.name] = replace(draft[placed.layer.name], kernel_column=column)
        for n in members:
            free[n] = column + kernels.layer_columns(placed)
    return replace(placement, layers=rows)


# What neither the YAML nor the message tells: the input's shape, channels of some layers.
KNOWN: dict[str, StandIn] = {
    "f-fuzzeltN003": StandIn((4, 8, 8)),
    "s-burnin_64x80x128": StandIn((64, 80, 128)),
    "s-maxkern-maxproc-overflow-m78000": StandIn((4, 5, 5), {0: 64, 1: 256, 2: 128}),
    "t-widegap": StandIn((3, 12, 12)),
    "s-fifostream-vga": StandIn((3, 480, 640)),
    "s-wide512in-q2": StandIn((512, 3, 3), {0: 512, 1: 64}),
    "s-wide512in-q4": StandIn((512, 3, 3), {0: 512, 1: 64}),
}
_SIZE_2D, _SIZE_1D = (32, 32), (60,)


def _stand_in(recorded: Recorded, description: Description) -> StandIn:
    """Shape and channels from the table, else from the numbers in the peer's message."""
    if recorded.name in KNOWN:
        return KNOWN[recorded.name]
    message = " ".join(recorded.meta["errors"])
    first = description.layers[0]
    one_axis = first.operation is Operation.CONV1D
    size: tuple[int, ...] = _SIZE_1D if one_axis else _SIZE_2D
    if found := re.search(r"Layer 0: .*? (\d+)x(\d+) input", message):
        size = (int(found[1]), int(found[2]))
    elif found := re.search(r"Input dimension \[(\d+), (\d+)\]", message):
        size = (int(found[1]), int(found[2]))
    elif found := re.search(r"Layer 0: .*? (\d+)x(\d+) output", message):
        size = (int(found[1]), int(found[2]))
    operands = first.values.get("operands", 2) if first.eltwise else 1
    stand_in = StandIn((_processors(first) * operands, *size))
    if found := re.search(r"Layer 0: (\d+) input channels", message):
        stand_in.shape = (int(found[1]) * operands, *size)
    if found := re.search(r"Layer (\d+): (\d+) output channels", message):
        stand_in.channels[int(found[1])] = int(found[2])
    if found := re.search(r"Layer (\d+): pooling in passthrough layer uses (\d+) passes", message):
        _widen(stand_in, description, int(found[1]), int(found[2]))
    if found := re.search(r"Layer (\d+): The element-wise operation exceeds", message):
        _widen(stand_in, description, int(found[1]), 2)
    if found := re.search(r"Layer (\d+): .* weights file \((\d)x(\d)\)", message):
        stand_in.kernels[int(found[1])] = (int(found[2]), int(found[3]))
    return stand_in


def _processors(entry: LayerDescription) -> int:
    return int(entry.values["processors"]).bit_count()


def _widen(stand_in: StandIn, description: Description, number: int, passes: int) -> None:
    """Let the layer read ``passes`` times as many channels as it has processors."""
    entry = description.layers[number]
    for source in entry.values.get("in_sequences", (number - 1,)):
        if source == -1:
            stand_in.shape = (_processors(entry) * passes, *stand_in.shape[1:])
        elif description.layers[source].operation is Operation.PASSTHROUGH:
            _widen(stand_in, description, source, passes)
        else:
            stand_in.channels[source] = _processors(entry) * passes


def _weights(description: Description, stand_in: StandIn) -> list[LayerWeights]:
    """Random weights that fit the description, for the channels of the stand-in."""
    shapes: dict[int | str, tuple[int, ...]] = {-1: stand_in.shape}
    found = []
    random = np.random.default_rng(0)
    for number, entry in enumerate(description.layers):
        data = [shapes[source] for source in entry.values.get("in_sequences", (number - 1,))]
        operands = int(entry.values.get("operands", 2)) if entry.eltwise else 1
        channels = sum(shape[0] for shape in data)
        if operands > 1:
            channels //= operands
        size = _pooled(entry, data[0][1:])
        if entry.operation is Operation.PASSTHROUGH:
            shapes[number] = (channels, *size)
            continue
        outputs = stand_in.channels.get(number) or _outputs(description, number)
        kernel = stand_in.kernels.get(number, entry.kernel)
        weight, size = _weight(random, entry, kernel, outputs, channels, size)
        bits = entry.values.get("quantization", 8)
        found.append(LayerWeights(f"L{number}", weight >> (8 - bits), None, bits, 0))
        shapes[number] = (outputs, *size)
    return found


def _outputs(description: Description, number: int) -> int:
    """Output channels: as many as processors are given for them; 4 where none are."""
    values = description.layers[number].values
    if "output_processors" in values:
        return int(values["output_processors"]).bit_count()
    following = description.layers[number + 1 : number + 2]
    return _processors(following[0]) if following else 4


def _pooled(entry: LayerDescription, size: tuple[int, ...]) -> tuple[int, ...]:
    values = entry.values
    window = values.get("max_pool", values.get("avg_pool", (1, 1)))
    stride = values.get("pool_stride", (1, 1))
    return tuple((n + s - w) // s for n, w, s in zip(size, window, stride, strict=False))


def _weight(
    random: np.random.Generator,
    entry: LayerDescription,
    kernel: tuple[int, ...],
    outputs: int,
    channels: int,
    size: tuple[int, ...],
) -> tuple[Any, tuple[int, ...]]:
    """Weights of one layer and the size of its output."""
    axes: tuple[int, ...] = (outputs, channels, *kernel)
    if entry.operation is Operation.LINEAR:
        axes, size = (outputs, channels * int(np.prod(size))), ()
    elif entry.operation is Operation.CONVTRANSPOSE2D:
        axes = (channels, outputs, *kernel)
        size = tuple(2 * n + 2 - 2 * entry.padding for n in size)
    else:
        size = tuple(n + 2 * entry.padding - k + 1 for n, k in zip(size, kernel, strict=False))
    return random.integers(-128, 128, axes).astype(np.int8), size
