"""The C tables of a network: ``network.h``, ``network.c``, ``weights.c``, ``sample.c``.

Their layout is declared in ``firmware/cnn_tables.h``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.codegen import c_text
from max78k.codegen.headers import GENERATED
from max78k.codegen.layer_lines import bias_parts, kernel_owners, layer_lines
from max78k.codegen.output_places import OutputPlace, block_text
from max78k.compiler.image import Image, InputRun, Write
from max78k.csi.amplitude import MOST_CHANNELS_ON_BOARD
from max78k.errors import InputError
from max78k.host import messages

_SRAM_FOR_BUFFERS = 112 * 1024  # of 128 KiB: the rest is stack, link buffers and variables
_OUTPUT_VALUES = 0xFFFF  # a 16-bit field of the link protocol


def network_id(image: Image) -> int:
    """CRC-32 over all that the accelerator holds and how data get in and out.

    Names and the known-answer sample are left out: the same network keeps its number.
    """
    crc = 0
    for writes in (image.init, image.configure, image.clear, image.start):
        pairs = [(write.address, write.value) for write in writes]
        crc = zlib.crc32(np.array(pairs, "<u4").tobytes(), crc)
    for block in image.kernels:
        crc = zlib.crc32(np.array([block.processor, block.column], "<u4").tobytes(), crc)
        crc = zlib.crc32(np.ascontiguousarray(block.columns, np.uint8).tobytes(), crc)
    for entries in image.bias:
        crc = zlib.crc32(np.array([len(entries)], "<u4").tobytes() + entries.tobytes(), crc)
    inputs = [
        (r.address, r.channel, r.channels, r.lane, r.step, r.pixels, r.planar)
        for r in image.input_runs
    ]
    outputs = [(r.address, r.lane, r.step, r.count, r.width) for r in image.output_runs]
    fifos = [(r.address, r.channel, r.channels, r.lane, r.planar) for r in image.fifo_runs]
    for table in (inputs, outputs, fifos):
        crc = zlib.crc32(np.array(table, "<u4").tobytes(), crc)
    return crc


def output_values(image: Image) -> int:
    """Number of values that the network gives."""
    return sum(run.count for run in image.output_runs)


def is_vector(image: Image) -> bool:
    """Whether the output is one value per class."""
    return len(image.output_runs) > 1 and all(run.count == 1 for run in image.output_runs)


def takes_csi(image: Image) -> bool:
    """Whether the input may be a series of channel state information: few channels, one axis."""
    shape = image.sample_input.shape
    return len(shape) == 2 and shape[0] <= MOST_CHANNELS_ON_BOARD


def require_reachable_input(image: Image) -> None:
    """Raise InputError if the input goes a way that the Arm core cannot reach."""
    registers = {addresses.CNN_FIFO + register.offset for register in cr.FIFO_DATA}
    if any(run.address not in registers for run in image.fifo_runs):
        raise InputError(
            "E-BUILD-FIFO",
            f"network {image.name}: its input comes through the fast FIFO, which the RISC-V core "
            "alone reaches.",
            "the standard FIFOs.",
        )


def require_buildable(image: Image) -> None:
    """Raise InputError if the firmware cannot hold the network's input, output or name."""
    require_reachable_input(image)
    values = output_values(image)
    if not 0 < values <= _OUTPUT_VALUES:
        raise InputError(
            "E-BUILD-OUTPUTS",
            f"network {image.name}: {values} output values; the firmware sends 1 ... 65535.",
            "make the last layer smaller.",
        )
    needed = image.sample_input.size + output_bytes(image)
    if needed > _SRAM_FOR_BUFFERS:
        raise InputError(
            "E-BUILD-BUFFERS",
            f"network {image.name}: input and output take {needed} bytes, "
            f"the microcontroller has {_SRAM_FOR_BUFFERS} for them.",
            "use a smaller input, or an 8-bit output.",
        )
    if len(image.name.encode("utf-8")) > messages.NAME_BYTES:
        raise InputError(
            "E-BUILD-NAME",
            f"network name {image.name!r} is longer than {messages.NAME_BYTES} bytes.",
            "give it a shorter name.",
        )


def network_header(image: Image) -> str:
    """Text of ``network.h``: the sizes of the network's buffers."""
    lines = [
        GENERATED,
        *_banner(image),
        "#ifndef NETWORK_H",
        "#define NETWORK_H",
        "",
        '#include "cnn_tables.h"',
        "",
        f"#define NETWORK_NAME {c_text.string(image.name)}",
        f"#define NETWORK_INPUT_BYTES {image.sample_input.size}U",
        f"#define NETWORK_OUTPUT_VALUES {output_values(image)}U",
        f"#define NETWORK_OUTPUT_BYTES {output_bytes(image)}U",
        "/* Whether the output is one value per class; else there is no largest one to report. */",
        f"#define NETWORK_IS_VECTOR {int(is_vector(image))}",
        "/* Whether the firmware keeps memory to make inputs of packets of Wi-Fi CSI. */",
        f"#define NETWORK_TAKES_CSI {int(takes_csi(image))}",
        "",
        "/* Names of the classes where they are known, in the order of the outputs, else 0. */",
        "extern const char *const network_class_names[];",
        "",
        f"extern const struct cnn_kernels network_kernels[{max(1, len(image.kernels))}];",
        f"extern const int8_t network_sample_input[{image.sample_input.size}];",
        f"extern const struct cnn_expected network_expected[{max(1, len(image.expected))}];",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def network_source(
    image: Image, class_names: Sequence[str], places: Sequence[OutputPlace] = ()
) -> str:
    """Text of ``network.c``: registers, bias, input and output runs, and the table of tables."""
    lines = [GENERATED, *_banner(image), '#include "network.h"', ""]
    for name, writes in _write_tables(image):
        lines += [*c_text.array(f"static const struct cnn_write {name}", _write_rows(writes)), ""]
    lines += _bias(image)
    for name, runs in (("input_runs", image.input_runs), ("fifo_runs", image.fifo_runs)):
        declaration = f"static const struct cnn_input_run {name}"
        lines += [*c_text.array(declaration, _input_rows(runs)), ""]
    remarks = [place.text() for place in places] or [""] * len(image.output_runs)
    rows = c_text.rows(
        ((c_text.word(run.address), f"{run.count}U", run.step, run.lane, run.width), remark)
        for run, remark in zip(image.output_runs, remarks, strict=True)
    )
    lines += [*c_text.array("static const struct cnn_output_run output_runs", rows), ""]
    names = [f"{c_text.string(name)}," for name in class_names]
    lines += [*c_text.array("const char *const network_class_names", names), ""]
    lines += _network(image)
    return "\n".join(lines)


def _input_rows(runs: Sequence[InputRun]) -> list[str]:
    rows = []
    for run in runs:
        where = (c_text.word(run.address), f"{run.pixels}U", run.channel, run.step)
        rows.append(((*where, run.channels, run.lane, int(run.planar)), ""))
    return c_text.rows(rows)


def weights_source(image: Image) -> str:
    """Text of ``weights.c``: kernel memory as the express loader's word stream."""
    lines = [GENERATED, '#include "network.h"', ""]
    rows = []
    owners = kernel_owners(image)
    for number, block in enumerate(image.kernels):
        words = block.express_words()
        name = f"kernels_{number}"
        lines += [*c_text.array(f"static const uint32_t {name}", c_text.words(words)), ""]
        address = c_text.word(addresses.kernel_memory(block.processor))
        values = (address, f"{block.column}U", f"{len(words)}U", name)
        rows.append((values, f"{owners[number]}processor {block.processor}"))
    size = max(1, len(image.kernels))
    lines += [f"const struct cnn_kernels network_kernels[{size}] = {{"]
    lines += [*(f"    {row}" for row in c_text.rows(rows)), "};", ""]
    return "\n".join(lines)


def sample_source(image: Image, places: Sequence[OutputPlace] = ()) -> str:
    """Text of ``sample.c``: the known-answer test's input and what must be in memory after it."""
    lines = [GENERATED, '#include "network.h"', ""]
    sample = image.sample_input.reshape(-1)
    lines += [f"const int8_t network_sample_input[{sample.size}] = {{"]
    lines += [*(f"    {line}" for line in c_text.integers(sample)), "};", ""]
    rows = []
    for number, block in enumerate(image.expected):
        name = f"expected_{number}"
        lines += [*c_text.array(f"static const uint32_t {name}", c_text.words(block.words)), ""]
        values = (c_text.word(block.address), c_text.word(block.mask), f"{len(block.words)}U", name)
        rows.append((values, block_text(image, places, block)))
    size = max(1, len(image.expected))
    lines += [f"const struct cnn_expected network_expected[{size}] = {{"]
    lines += [*(f"    {row}" for row in c_text.rows(rows)), "};", ""]
    return "\n".join(lines)


def output_bytes(image: Image) -> int:
    """Bytes of the output as the firmware keeps it."""
    return sum(run.count * run.width // 8 for run in image.output_runs)


def _banner(image: Image) -> list[str]:
    lines = [f"// {c_text.comment(line)}" for line in layer_lines(image)]
    layout = "CHW" if any(run.planar for run in image.input_runs) else "HWC"
    return [f"// Network {c_text.comment(image.name)}", *lines, f"// Input data: {layout}", ""]


def _write_tables(image: Image) -> tuple[tuple[str, tuple[Write, ...]], ...]:
    return (
        ("init_writes", image.init),
        ("configure_writes", image.configure),
        ("clear_writes", image.clear),
        ("start_writes", image.start),
    )


def _write_rows(writes: Sequence[Write]) -> list[str]:
    return c_text.rows(
        ((c_text.word(write.address), c_text.word(write.value)), write.comment) for write in writes
    )


def _bias(image: Image) -> list[str]:
    lines: list[str] = []
    rows = []
    for quadrant, entries in enumerate(image.bias):
        if not len(entries):
            continue
        name = f"bias_{quadrant}"
        content = []
        for part in bias_parts(image, quadrant):
            content.append(f"/* {c_text.comment(part.text())} */")
            content += c_text.integers(entries[part.start : part.stop])
        lines += [*c_text.array(f"static const int8_t {name}", content), ""]
        address = c_text.word(addresses.bias_memory(quadrant))
        rows.append(((address, f"{len(entries)}U", name), f"quadrant {quadrant}"))
    return [*lines, *c_text.array("static const struct cnn_bias bias", c_text.rows(rows)), ""]


def _network(image: Image) -> list[str]:
    members = {
        "id": c_text.word(network_id(image)),
        "quadrants": c_text.word(sum(1 << quadrant for quadrant in image.quadrants)),
        "cycles": f"{min(sum(image.layer_cycles.values()), 0xFFFF_FFFF)}U",
        "init": "init_writes",
        "kernels": "network_kernels",
        "bias": "bias",
        "configure": "configure_writes",
        "clear": "clear_writes",
        "start": "start_writes",
        "input_runs": "input_runs",
        "fifo_runs": "fifo_runs",
        "output_runs": "output_runs",
        "sample_input": "network_sample_input",
        "expected": "network_expected",
        "init_count": f"{len(image.init)}U",
        "kernels_count": f"{len(image.kernels)}U",
        "bias_count": f"{sum(1 for entries in image.bias if len(entries))}U",
        "configure_count": f"{len(image.configure)}U",
        "clear_count": f"{len(image.clear)}U",
        "start_count": f"{len(image.start)}U",
        "input_run_count": f"{len(image.input_runs)}U",
        "fifo_run_count": f"{len(image.fifo_runs)}U",
        "output_run_count": f"{len(image.output_runs)}U",
        "expected_count": f"{len(image.expected)}U",
    }
    lines = [f"    .{name} = {value}," for name, value in members.items()]
    return ["const struct cnn_network network = {", *lines, "};", ""]
