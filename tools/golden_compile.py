"""Compile a recorded case and hold everything against the recording.

Kernel columns and bias entries are taken from the recorded registers, so that registers and
memories must then be equal. Of the cases whose recorded image is not the truth, our image runs on
the accelerator model instead, and its output is held against the recorded tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from golden_recorded import Outcome, Recorded
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.compiler import cycles, memory
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import Placement
from max78k.errors import Max78kError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Network, reference
from max78k.network.network import INPUT

IntArray = NDArray[np.int64]

# Options of the peer that have no counterpart here, by what they change beside the network.
CONTROL_OPTIONS = {
    "--ext-rdy", "--powerdown", "--ready-sel", "--ready-sel-aon", "--simple1b", "--zero-sram",
}  # fmt: skip
STREAM_OPTIONS = {
    "--increase-delta1", "--increase-delta2", "--increase-start",
    "--override-delta1", "--override-delta2", "--override-rollover", "--override-start",
}  # fmt: skip
# Cases among the exceptions that are to be refused, and by which rule.
REFUSED = {
    "f-fuzz006": "E-RULE-FLATTEN-STEPS",  # 408 steps overflow their register field
    "t-multilayer-eltwise": "E-YAML-SHAPE",  # one 20x20 map read as two interleaved of 20x10
    "t-stream-cifar-hwc.fifo.overlap-data": "E-RULE-STREAM-OVERLAP",
    "t-stream-cifar.fifo.overlap-data": "E-RULE-STREAM-OVERLAP",
}
# Recorded images that differ from ours and compute the same: ours runs on the accelerator model.
EQUIVALENT = {
    "f-fuzz066": "padding of narrow kernels of absent channels, whose data are 0",
    "f-fuzz069": "padding of narrow kernels of absent channels, whose data are 0",
}


def compare(recorded: Recorded) -> Iterator[str]:
    """What differs between an accepted case and what we make of it."""
    network, given = recorded.network()
    values = reference.run(network, recorded.sample[None])
    yield from _tensors(recorded, network, values)
    placement = plan(network, given)
    image = assemble(network, placement, recorded.sample)
    yield from _registers(recorded, image)
    yield from _kernels(recorded, image)
    yield from _bias(recorded, image)
    yield from _input(recorded, image)
    yield from _expected(recorded, image)
    yield from _unload(recorded, network, image)
    yield from _cycles(recorded, network, placement)


def _tensors(recorded: Recorded, network: Network, values: dict[str, IntArray]) -> Iterator[str]:
    """Every layer's tensors: as read, pooled, combined, and its output."""
    known = {INPUT: recorded.sample[None].astype(np.int64), **values}
    for number, layer in enumerate(network.layers):
        sources = [known[name] for name in layer.inputs]
        stages = reference.stages(layer, sources, network.average_rounds)
        combined = [] if stages.combined is None else [stages.combined]
        found = {
            "in": stages.operands,
            "pool": stages.pooled,
            "elt": combined,
            "out": [values[layer.name]],
        }
        for kind, row in recorded.meta["tensors"].get(str(number), {}).items():
            if _digest(found[kind]) != row["sha256_i32"]:
                yield f"tensor `{kind}` of layer {number} ({layer.name}) differs"


def _digest(parts: list[IntArray]) -> str:
    """Hash of the first sample's values as 32-bit integers, one part behind the other."""
    return hashlib.sha256(b"".join(part[0].astype("<i4").tobytes() for part in parts)).hexdigest()


def _registers(recorded: Recorded, image: Image) -> Iterator[str]:
    options = set(recorded.meta["options"])
    theirs = dict(recorded.configured)
    ours = {write.address: write.value for write in image.configure if write.value}
    if options & STREAM_OPTIONS:
        theirs, ours = _without_streams(theirs), _without_streams(ours)
    yield from _dictionaries("register", theirs, ours, _register_name)
    if not options & CONTROL_OPTIONS:
        yield from _control(recorded, image)


def _without_streams(writes: dict[int, int]) -> dict[int, int]:
    streams = tuple(register.name for register in (cr.STRM0, cr.STRM1, cr.FBUF))
    return {at: value for at, value in writes.items() if not _register_name(at).startswith(streams)}


def _control(recorded: Recorded, image: Image) -> Iterator[str]:
    """Control writes; a case that loads its kernels plainly lacks the bit for express loading."""
    express = cr.CTL.field("MEXPRESS").mask if recorded.meta["kernel_format"] != "mexpress" else 0
    control = {addresses.quadrant(q) + cr.CTL.offset for q in image.quadrants}
    for function, writes in (("cnn_init", image.init), ("cnn_start", image.start)):
        theirs = [pair for pair in recorded.writes(function) if pair[1]]
        found = [
            (write.address, write.value & ~(express if write.address in control else 0))
            for write in writes
            if write.value
        ]
        if theirs != found:
            yield f"{function}: recorded {_hex(theirs)}, ours {_hex(found)}"


def _hex(pairs: list[tuple[int, int]]) -> str:
    return " ".join(f"{address:x}={value:x}" for address, value in pairs)


def _register_name(address: int) -> str:
    quadrant, offset = divmod(address - addresses.QUADRANT_BASE, addresses.QUADRANT_STRIDE)
    for register in cr.LAYER_REGISTERS:
        layer, rest = divmod(offset - register.offset, 4)
        if not rest and 0 <= layer < limits.LAYERS:
            return f"{register.name} of layer {layer} in quadrant {quadrant}"
    return f"0x{address:08x}"


def _dictionaries(
    what: str, theirs: dict[Any, int], ours: dict[Any, int], name: Any
) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key, 0) != ours.get(key, 0):
            pair = f"recorded 0x{theirs.get(key, 0):x}, ours 0x{ours.get(key, 0):x}"
            yield f"{what} {name(key)}: {pair}"


def _kernels(recorded: Recorded, image: Image) -> Iterator[str]:
    theirs, ours = recorded.kernels(), np.zeros_like(recorded.kernels())
    for block in image.kernels:
        ours[block.processor, block.column : block.column + len(block.columns)] = block.columns
    wrong = np.argwhere(np.any(theirs != ours, axis=2))
    if len(wrong):
        processor, column = wrong[0]
        yield f"{len(wrong)} kernel columns, first {column} of processor {processor}"


def _bias(recorded: Recorded, image: Image) -> Iterator[str]:
    ours = {
        (quadrant, entry): value & 0xFF
        for quadrant, entries in enumerate(image.bias)
        for entry, value in enumerate(entries.tolist())
        if value
    }
    yield from _dictionaries("bias", recorded.bias(), ours, str)


def _input(recorded: Recorded, image: Image) -> Iterator[str]:
    order = recorded.meta.get("fifo_order", [])
    theirs = [(port["addr"], recorded.image[f"fifo_in_{port['fifo']}"]) for port in order]
    ours = memory.fifo_words(image.fifo_runs, image.sample_input)
    if [port for port, _ in theirs] != [port for port, _ in ours]:
        yield f"FIFOs: recorded {[hex(p) for p, _ in theirs]}, ours {[hex(p) for p, _ in ours]}"
    for (port, their), (_, our) in zip(theirs, ours, strict=False):
        if not np.array_equal(their, our):
            yield f"words of the FIFO at 0x{port:08x}"
    places, words = recorded.words("in")
    found = memory.input_words(image.input_runs, image.sample_input)
    yield from _dictionaries(
        "input", dict(zip(places.tolist(), words.tolist(), strict=True)), found, hex
    )


def _expected(recorded: Recorded, image: Image) -> Iterator[str]:
    places, words = recorded.words("out")
    masks = np.repeat(recorded.image["out_mask"], recorded.image["out_len"]).astype(np.int64)
    theirs = {
        place: (word & mask) | mask << 32
        for place, word, mask in zip(places.tolist(), words.tolist(), masks.tolist(), strict=True)
    }
    ours = {
        block.address + 4 * number: (word & block.mask) | block.mask << 32
        for block in image.expected
        for number, word in enumerate(block.words.tolist())
    }
    if recorded.option("--max-checklines") is not None:  # only that many words are recorded
        ours = {place: ours[place] for place in theirs}
    yield from _dictionaries("expected (mask, word)", theirs, ours, hex)


def _unload(recorded: Recorded, network: Network, image: Image) -> Iterator[str]:
    """Our unload map, applied to the recorded output memory, against the recorded tensors."""
    if recorded.option("--max-checklines") is not None:
        return
    places, words = recorded.words("out")
    held = dict(zip(places.tolist(), words.tolist(), strict=True))
    parts = []
    for run in image.output_runs:
        raw = [held.get(run.address + 4 * run.step * n, 0) for n in range(run.count)]
        column = np.array(raw, np.uint32)
        if run.width == 8:
            column = (column >> np.uint32(8 * run.lane)).astype(np.uint8)
            parts.append(column.view(np.int8).astype(np.int32))
        else:
            parts.append(column.view(np.int32))
    found = np.concatenate(parts)
    start = 0
    for number, layer in enumerate(network.layers):
        if layer.name in network.outputs:
            known = recorded.meta["tensors"][str(number)]["out"]
            size = int(np.prod(known["shape"]))
            if _digest([found[None, start : start + size].astype(np.int64)]) != known["sha256_i32"]:
                yield f"unload map does not give the tensor of layer {number}"
            start += size


def _cycles(recorded: Recorded, network: Network, placement: Placement) -> Iterator[str]:
    ours = cycles.layer_cycles(network, placement)
    for number, layer in enumerate(network.layers):
        their = recorded.meta["layers"][number]["cycles_est"] + (number == 0)
        if ours[layer.name] != their:
            yield f"cycles of layer {number}: recorded {their}, ours {ours[layer.name]}"


def run_on_model(recorded: Recorded, columns: bool = False) -> Iterator[str]:
    """What differs when our image of a case runs on the accelerator model.

    Kernel columns and bias entries are planned, or with ``columns`` those of the recording.
    """
    network, given = recorded.network(columns)
    values = reference.run(network, recorded.sample[None])
    yield from _tensors(recorded, network, values)
    image = assemble(network, plan(network, given), recorded.sample)
    runner = ImageRunner(image)
    wrong = np.flatnonzero(runner.infer(image.sample_input) != image.expected_output)
    if len(wrong):
        yield f"{len(wrong)} outputs differ on the accelerator model"
    yield from (f"accelerator model: {text}" for text in runner.findings[:1])


def accepted_case(folder: Path, features: tuple[str, ...], trusted: bool) -> Outcome:
    """Compile a case that was recorded without error."""
    outcome = Outcome(folder.name, features)
    try:
        exact = trusted and folder.name not in EQUIVALENT
        outcome.differences += (compare if exact else run_on_model)(Recorded(folder))
    except Max78kError as error:
        wanted = REFUSED.get(folder.name)
        found = {error.code for error in getattr(error, "violations", [error])}
        if wanted not in found:
            outcome.differences.append(f"refused: {error}")
    else:
        if folder.name in REFUSED:
            outcome.differences.append(f"not refused by {REFUSED[folder.name]}")
    return outcome
