"""Reads recorded cases (folder ``golden``) as Network, Placement and memory contents."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.compiler import memory
from max78k.compiler.image import Image, Write
from max78k.compiler.placement import LayerPlacement, Placement
from max78k.errors import InputError
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool
from max78k.network.network import INPUT
from max78k.network.shapes import infer

# Options of the vendor's tool that change what is recorded, without a counterpart here.
_UNLIKE = set(
    "--overlap-data --max-checklines --ext-rdy --no-kat --simple1b --ready-sel --powerdown "
    "--write-zero-registers --zero-sram --input-split".split()
)


class NotMapped(Exception):
    """The case uses something that a Network or the compiler does not express."""


@dataclass
class Case:
    network: Network
    placement: Placement
    sample: npt.NDArray[np.int8]
    meta: dict[str, Any]
    folder: Path

    def events(self, function: str) -> list[tuple[int, int]]:
        return _events(self.folder, self.meta, function)

    def image(self) -> dict[str, npt.NDArray[Any]]:
        with np.load(self.folder / "image.npz") as image:
            return {name: image[name] for name in image.files}

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        with np.load(self.folder / "layers.npz") as archive:
            return {name: archive[name] for name in archive.files}


def load(folder: Path) -> Case:
    """The case in ``folder``; raises NotMapped."""
    meta = json.loads((folder / "meta.json").read_text())
    if not meta.get("ok") or meta.get("device") != "MAX78000":
        raise NotMapped("refused by the vendor's tool, or another device")
    if meta["input_mode"] != "memory" or meta.get("kernel_format") != "mexpress":
        raise NotMapped(f"input {meta['input_mode']}, kernels {meta.get('kernel_format')}")
    options = _UNLIKE & set(meta["options"])
    if options:
        raise NotMapped(f"option {options.pop()}")
    rows = meta["layers"]
    sample = np.load(folder / "input.npy").astype(np.int8)
    with np.load(folder / "weights.npz") as archive:
        weights = {name: archive[name] for name in archive.files}
    layers = tuple(_layer(row, rows, weights) for row in rows)
    first = rows[0]
    shape: tuple[int, ...] = (first["input_channels"], *first["input_dim"])
    if layers[0].operation is Operation.CONV1D:
        shape = shape[:2]
    if sample.size != int(np.prod(shape)):
        raise NotMapped("the input is split into operands")
    outputs = meta.get("output_layers") or [rows[-1]["layer"]]
    network = Network(
        name="case",
        input_shape=shape,
        layers=layers,
        outputs=tuple(f"L{n}" for n in outputs),
        average_rounds="--avg-pool-rounding" in meta["options"],
    )
    try:
        infer(network)
    except InputError as error:
        raise NotMapped(f"shapes: {error}") from error
    registers = dict(_events(folder, meta, "cnn_configure"))
    placement = Placement(
        {
            layer.name: _place(layer, row, registers)
            for layer, row in zip(layers, rows, strict=True)
        },
        "CHW" if first["big_data"] else "HWC",
    )
    return Case(network, placement, sample.reshape(shape), meta, folder)


def _events(folder: Path, meta: dict[str, Any], function: str) -> list[tuple[int, int]]:
    """(address, value) of the plain writes inside the named function, in order."""
    with np.load(folder / "image.npz") as image:
        names = [meta["functions"][i] for i in image["ev_fn"]]
        rows = zip(names, image["ev_op"], image["ev_addr"], image["ev_val"], strict=True)
        return [(int(a), int(v)) for name, op, a, v in rows if name == function and op == 0]


def _sources(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    sequences = row["in_sequences"]
    if sequences is None:
        sequences = [row["prev_sequence"]]
    elif isinstance(sequences, int):
        sequences = [sequences]
    return tuple(INPUT if n == -1 else f"L{n}" for n in sequences)


def _layer(
    row: dict[str, Any], rows: list[dict[str, Any]], weights: dict[str, npt.NDArray[Any]]
) -> Layer:
    if row["streaming"] or row["input_skip"] or any(row["input_crop"]):
        raise NotMapped("streaming, skips or crops")
    name = row["operator"]
    operation = Operation(name)
    if operation is Operation.CONV2D and row["flatten"]:
        operation = Operation.LINEAR
    key = f"L{row['layer']:03d}"
    weight, bias = weights.get(key + ".w"), weights.get(key + ".b")
    sources = _sources(row, rows)
    eltwise = None if row["eltwise"] == "none" else Eltwise(row["eltwise"])
    if eltwise and len(sources) != row["operands"]:
        raise NotMapped("operands without producers of their own")
    quantization = row["quantization"] or 8
    pool = None
    size, stride = tuple(row["pool"]), tuple(row["pool_stride"])
    if size != (1, 1) or stride != (1, 1):
        pool = Pool("avg" if row["pool_average"] else "max", size, stride)
    pad, dilation = row["padding"][0], row["dilation"][0]
    if operation is Operation.PASSTHROUGH:
        weight = bias = None
    else:
        weight = _weight(operation, weight, row)
    return Layer(
        name=f"L{row['layer']}",
        operation=operation,
        inputs=sources,
        weight=weight,
        bias=None if bias is None else bias.astype(np.int8),
        weight_bits=quantization,
        output_shift=row["output_shift"] - (8 - quantization) if weight is not None else 0,
        activation=Activation((row["activation"] or "none").lower()),
        output_width=row["output_width"],
        pool=pool,
        pool_first=row["pool_first"],
        eltwise=eltwise,
        padding=pad,
        dilation=dilation,
    )


def _weight(
    operation: Operation, weight: npt.NDArray[Any] | None, row: dict[str, Any]
) -> npt.NDArray[np.int8]:
    if weight is None:
        raise NotMapped("no weights recorded")
    weight = weight.astype(np.int8)
    if operation is Operation.LINEAR:
        return weight.reshape(weight.shape[0], -1)
    if operation is Operation.CONVTRANSPOSE2D:
        return np.ascontiguousarray(weight.swapaxes(0, 1)[:, :, ::-1, ::-1])
    return weight


def _place(layer: Layer, row: dict[str, Any], registers: dict[int, int]) -> LayerPlacement:
    """The recorded place; kernel column and bias place are read out of the recorded registers."""
    index = row["layer"]
    kernel_column = bias_quadrant = bias_start = None
    if layer.weight is not None:
        start = cr.MCNT.field("START").get(_register(registers, cr.MCNT, 0, index)) // 8
        rest = cr.ONED.field("BYTE_START").get(_register(registers, cr.ONED, 0, index))
        kernel_column = (start * _taps(layer) + rest) // limits.COLUMN_BYTES
    for quadrant in range(limits.QUADRANTS):
        post = cr.POST.unpack(_register(registers, cr.POST, quadrant, index))
        if post["BIAS_EN"]:
            bias_quadrant, bias_start = quadrant, post["BIAS_START"]
    return LayerPlacement(
        processors=int(row["processor_map"], 16),
        output_processors=int(row["output_processor_map"], 16),
        in_offset=row["in_offset"],
        out_offset=row["out_offset"],
        kernel_column=kernel_column,
        bias_quadrant=bias_quadrant,
        bias_start=bias_start,
        write_gap=row["write_gap"],
    )


def _register(registers: dict[int, int], register: Register, quadrant: int, index: int) -> int:
    return registers.get(addresses.layer_register(quadrant, register.offset, index), 0)


def _taps(layer: Layer) -> int:
    assert layer.weight is not None
    if layer.operation is Operation.CONV1D:
        return (layer.weight.shape[2] - 1) * layer.dilation + 1
    return int(np.prod(layer.weight.shape[2:], initial=1))


changed = replace


def differences(case: Case, image: Image) -> list[str]:
    """What differs between an assembled image and the recorded one, one line each."""
    recorded = case.image()
    pairs = {
        "configure": (dict(case.events("cnn_configure")), _writes(image.configure)),
        "init": (_set(case.events("cnn_init")), _set(_ordered(image.init))),
        "start": (case.events("cnn_start"), _ordered(image.start)),
        "kernels": (_recorded_kernels(recorded), _kernels(image)),
        "bias": (_recorded_bias(recorded), _bias(image)),
        "input": (
            _blocks(recorded, "in_addr", "in_len", "in_words"),
            memory.input_words(image.input_runs, image.sample_input),
        ),
        "expected": (_recorded_expected(recorded), _expected(image)),
    }
    lines = []
    for what, (theirs, ours) in pairs.items():
        if theirs == ours:
            continue
        if isinstance(theirs, list) or isinstance(ours, list):
            lines.append(f"{what}: recorded {theirs}, assembled {ours}")
            continue
        for key in sorted(theirs.keys() | ours.keys()):
            if theirs.get(key) != ours.get(key):
                lines.append(f"{what} {_key(key)}: {theirs.get(key)} != {ours.get(key)}")
    return lines


def _key(key: Any) -> str:
    return f"{key:#x}" if isinstance(key, int) else str(key)


def _ordered(writes: tuple[Write, ...]) -> list[tuple[int, int]]:
    return [(write.address, write.value) for write in writes]


def _set(writes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Writes of other values than 0, the value after a reset."""
    return [(address, value) for address, value in writes if value]


def _writes(writes: tuple[Write, ...]) -> dict[int, int]:
    return {write.address: write.value for write in writes}


def _recorded_kernels(recorded: dict[str, npt.NDArray[Any]]) -> dict[tuple[int, int], bytes]:
    """Column contents by (processor, column); columns of zeros are left out."""
    columns: dict[tuple[int, int], bytes] = {}
    start = 0
    bases = {addresses.kernel_memory(p): p for p in range(limits.PROCESSORS)}
    for address, length in zip(
        recorded["kern_block_addr"].tolist(), recorded["kern_block_len"].tolist(), strict=True
    ):
        base = max(b for b in bases if b <= address)
        first = (address - base) // addresses.KERNEL_COLUMN_STRIDE
        for number in range(length):
            content = recorded["kern_bytes"][start + number].tobytes()
            if any(content):
                columns[bases[base], first + number] = content
        start += length
    return columns


def _kernels(image: Image) -> dict[tuple[int, int], bytes]:
    return {
        (block.processor, block.column + number): column.tobytes()
        for block in image.kernels
        for number, column in enumerate(block.columns)
        if column.any()
    }


def _recorded_bias(recorded: dict[str, npt.NDArray[Any]]) -> dict[tuple[int, int], int]:
    return {
        (q, index): value
        for q in range(limits.QUADRANTS)
        for index, value in enumerate(
            recorded.get(f"bias_q{q}", np.zeros(0)).astype(np.uint8).tolist()
        )
        if value
    }


def _bias(image: Image) -> dict[tuple[int, int], int]:
    return {
        (q, index): value & 0xFF
        for q, entries in enumerate(image.bias)
        for index, value in enumerate(entries.tolist())
        if value
    }


def _blocks(
    recorded: dict[str, npt.NDArray[Any]], where: str, lengths: str, words: str
) -> dict[int, int]:
    result = {}
    start = 0
    for address, length in zip(recorded[where].tolist(), recorded[lengths].tolist(), strict=True):
        for number, word in enumerate(recorded[words][start : start + length].tolist()):
            result[address + 4 * number] = word
        start += length
    return result


def _recorded_expected(recorded: dict[str, npt.NDArray[Any]]) -> dict[int, tuple[int, int]]:
    """(word, mask) by address."""
    words = _blocks(recorded, "out_addr", "out_len", "out_words")
    masks: dict[int, int] = {}
    for address, length, mask in zip(
        recorded["out_addr"].tolist(),
        recorded["out_len"].tolist(),
        recorded["out_mask"].tolist(),
        strict=True,
    ):
        masks |= {address + 4 * number: mask for number in range(length)}
    return {address: (word & masks[address], masks[address]) for address, word in words.items()}


def _expected(image: Image) -> dict[int, tuple[int, int]]:
    return {
        block.address + 4 * number: (int(word) & block.mask, block.mask)
        for block in image.expected
        for number, word in enumerate(block.words)
    }
