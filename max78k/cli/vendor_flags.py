"""Options of the chip vendor's synthesizer: what each of them does in ``max78k synthesize``.

One table. Options that mean the same are options of the command itself; of the others some change
nothing here and are accepted with one line that says why, some are refused with what to use
instead. The table is also the page ``docs/vendor-options.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from max78k.cli.terminal import say
from max78k.errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])


class Effect(str, Enum):
    """What happens when an option is given."""

    SAME = "same meaning"
    NOTHING = "accepted, changes nothing"
    REFUSED = "refused"


@dataclass(frozen=True)
class VendorFlag:
    """One option.

    Attributes:
        spellings: as on the vendor's command line.
        effect: what happens.
        text: what it does here, why nothing changes, or what to use instead.
        takes_value: whether a value follows.
    """

    spellings: tuple[str, ...]
    effect: Effect
    text: str
    takes_value: bool = False


def _same(names: str, text: str, takes_value: bool = False) -> VendorFlag:
    return VendorFlag(tuple(names.split()), Effect.SAME, text, takes_value)


def _nothing(names: str, text: str, takes_value: bool = False) -> VendorFlag:
    return VendorFlag(tuple(names.split()), Effect.NOTHING, text, takes_value)


def _refused(names: str, text: str, takes_value: bool = False) -> VendorFlag:
    return VendorFlag(tuple(names.split()), Effect.REFUSED, text, takes_value)


_LAYOUT = "the firmware's registers and tables are always checked on the accelerator model"
_STREAM = "stream settings are computed and have no override"
_NAMES = "the files keep their usual names"
_RISCV = "the program runs on the Arm core; write RISC-V firmware around the folder's cnn.c"
_SIMULATION = "there is no simulation of the chip's logic; `max78k verify` compares all levels"

VENDOR_FLAGS: tuple[VendorFlag, ...] = (
    _same("--checkpoint-file", "weights: a vendor checkpoint, float or -q, ONNX, a run", True),
    _same("--config-file", "network YAML", True),
    _same("--sample-input", "known-answer test's input, .npy", True),
    _same("--prefix", "name of the project and of its folder", True),
    _same("--test-dir", "where that folder is made", True),
    _same("--device", "MAX78000 or 85", True),
    _same("--ai85", "the MAX78000"),
    _same("--board-name", "FTHR_RevA or EvKit_V1", True),
    _same("--overwrite", "replace what is in the folder"),
    _same("--softmax", "class probabilities, --style msdk"),
    _same("--timer", "timer that measures the inference, --style msdk", True),
    _same("--no-timer", "no measurement, whatever --timer says"),
    _same("--energy", "program for a power meter, --style msdk"),
    _same("--no-wfi --wfi", "spin, or sleep, while the accelerator runs, --style msdk"),
    _same("--mexpress --no-mexpress", "express kernel loading; here the default, --style msdk"),
    _same("--boost", "PORT.PIN of a supply booster, --style msdk", True),
    _same("--no-kat", "no known-answer test in main.c, --style msdk"),
    _same("--max-checklines --max-verify-length", "words of the output that are compared,"
          " --style msdk", True),
    _same("--avg-pool-rounding", "average pooling rounds"),
    _same("--fifo", "the input comes through FIFOs, as it does by itself where layers stream"),
    _same("--display-checkpoint", "print weights, widths and shifts of the layers"),
    _same("--verbose -v", "print layers, memories and cycles"),
    _nothing("--compact-data --no-compact-data", "the input is copied by a loop over a table"),
    _nothing("--compact-weights", "the weights are always copied by a loop over a table"),
    _nothing("--embedded-code -e", "firmware is all that is generated"),
    _nothing("--unload --no-unload", "cnn_unload() is always generated"),
    _nothing("--overlap-data", "the check of overlaps knows when each word is read, and stays on"),
    _nothing("--no-deduplicate-weights", "equal kernels share their columns where that helps"),
    _nothing("--no-warn-zero --ignore-energy-warning --ignore-mlator-warning",
             "there is no such warning"),
    _nothing("--debug-computation -D --debug-latency --debug-new-streaming --debug-snoop",
             "`max78k verify` compares layer by layer; --verbose shows cycles"),
    _nothing("--yamllint", "the description is checked by its own rules", True),
    _nothing("--balance-speed", "the MAX78000's accelerator has one clock"),
    _nothing("--pretend-zero-sram", "all memory that is read is written first"),
    _nothing("--no-fifo-wait --fifo-go", "FIFO words are written after the start, when there is"
             " room"),
    _nothing("--slow-load", "FIFO words are written when there is room", True),
    _nothing("--mlator", "8-bit outputs are unloaded by software; the bytes are the same"),
    _nothing("--mlator-noverify", "8-bit outputs are unloaded by software"),
    _nothing("--unroll-mlator --unroll-8bit --unroll-wide", "the output is unloaded by one loop",
             True),
    _nothing("--new-kernel-loader --old-kernel-loader", "there is one kernel loader"),
    _nothing("--verify-writes --verify-kernels", _LAYOUT),
    _nothing("--no-greedy-kernel", "kernel columns are placed by our own search"),
    _nothing("--ignore-bias-groups", "biases are placed in quadrants that are in use"),
    _nothing("--define-default-riscv", _RISCV, True),
    _nothing("--eclipse-includes --eclipse-variables --eclipse-openocd-args",
             "no Eclipse files are written", True),
    _nothing("--log -L --no-log", "results go to the terminal; --verbose shows all of them"),
    _nothing("--log-filename", "results go to the terminal; --verbose shows all of them", True),
    _nothing("--short-log --log-last-only --verbose-all --log-intermediate --log-pooling",
             "no log is written; `max78k verify` compares layer by layer"),
    _nothing("--no-progress", "nothing here lasts long enough for a progress bar"),
    _nothing("--no-version-check", "no version is looked up on the network"),
    _nothing("--version-check-interval --upstream", "no version is looked up on the network",
             True),
    _nothing("--debugwait", "the two seconds before the first sleep stay: main.c has the line",
             True),
    _nothing("--switch-delay", "the MAX78000 needs no delay after power-on of the accelerator",
             True),
    _nothing("--no-pipeline --no-pll", "the MAX78000 has neither"),
    _refused("--define --define-default-arm", "PROJ_CFLAGS += -D... in project.mk", True),
    _refused("--rtl --rtl-sim --rtl-preload --rtl-preload-weights", _SIMULATION),
    _refused("--legacy-test --legacy-kernels --test-bist", _SIMULATION),
    _refused("--autogen --autogen-list --top-level --queue-name --timeout", _SIMULATION, True),
    _refused("--input-csv --input-csv-period --input-csv-format --input-pix-clk", _SIMULATION,
             True),
    _refused("--input-filename --output-filename --runtest-filename --result-output", _SIMULATION,
             True),
    _refused("--input-sync --input-fifo --input-csv-retrace", _SIMULATION),
    _refused("--riscv --riscv-flash --riscv-cache --no-riscv-cache", _RISCV),
    _refused("--no-riscv-flash", _RISCV),
    _refused("--riscv-debug --riscv-exclusive", _RISCV),
    _refused("--output-width", "`output_width` of the last layer in the YAML", True),
    _refused("--start-layer --stop-after --skip-yaml-layers --skip-checkpoint-layers",
             "a YAML that holds the layers to run", True),
    _refused("--no-bias", "a checkpoint whose layers have no bias", True),
    _refused("--ignore-activation --ignore-bn", "a YAML or checkpoint without them"),
    _refused("--fixed-input --reshape-inputs", "--sample-input with the data to use"),
    _refused("--synthesize-input --synthesize-words --input-split",
             "--sample-input with the data to use", True),
    _refused("--input-offset", "`in_offset` of the first layer in the YAML", True),
    _refused("--max-proc --weight-start", "`processors` of the layers in the YAML", True),
    _refused("--weight-input --bias-input", "--checkpoint-file", True),
    _refused("--streaming-layers", "`streaming: true` in the YAML", True),
    _refused("--ignore-streaming --allow-streaming", "a YAML without `streaming`"),
    _refused("--override-start --override-delta1 --override-delta2 --override-rollover", _STREAM,
             True),
    _refused("--increase-start --increase-delta1 --increase-delta2", _STREAM, True),
    _refused("--simple1b", "1-bit weights of -1 and 0, which are multiplied"),
    _refused("--ignore-hw-limits --no-error-stop", "a network inside the limits: `max78k check`"),
    _refused("--max-speed --snoop-loop", "nothing: these are for the MAX78002"),
    _refused("--clock-divider --clock-trim --ready-sel --ready-sel-fifo --ready-sel-aon --apb-base",
             "nothing: clocks, wait states and addresses are those of the MAX78000", True),
    _refused("--repeat-layers", "a YAML that holds the layers as often as they are to run", True),
    _refused("--kernel-format", "`max78k synthesize --display-checkpoint`", True),
    _refused("--calcx4 --read-ahead --link-layer --ext-rdy --pipeline --pll",
             "nothing: these are for the MAX78002"),
    _refused("--fast-fifo --fast-fifo-quad",
             "--fifo: the RISC-V core alone reaches the fast FIFO (`feed: fast-fifo` in the YAML"
             " plans for it)"),
    _refused("--powerdown --deepsleep", "unused quadrants are off; edit main.c for deep sleep"),
    _refused("--zero-sram --zero-unused --init-tram --write-zero-registers",
             "nothing: all memory that is read is written first"),
    _refused("--one-shot --stop-start --forever", "cnn_stop() and cnn_continue() in main.c"),
    _refused("--c-filename --api-filename --weight-filename --sample-filename", _NAMES, True),
    _refused("--sample-output-filename", _NAMES, True),
    _refused("--sample-numpy-filename", "--image, which holds the expected output", True),
)  # fmt: skip


def vendor_flags(function: Command) -> Command:
    """Add the accepted and the refused options to a click command; they stay out of its help."""
    for flag in VENDOR_FLAGS:
        if flag.effect is Effect.SAME:
            continue
        for spelling in flag.spellings:
            function = _option(flag, spelling)(function)
    return function


def _option(flag: VendorFlag, spelling: str) -> Callable[[Command], Command]:
    def told(context: click.Context, parameter: click.Parameter, value: object) -> None:
        assert parameter.name is not None
        source = context.get_parameter_source(parameter.name)
        if source is not ParameterSource.COMMANDLINE:
            return
        if flag.effect is Effect.REFUSED:
            raise InputError("E-ARGS-VENDOR", f"{spelling} is not available.", f"{flag.text}.")
        say(f"{spelling}: {flag.text}.")

    return click.option(
        spelling,
        "vendor_" + spelling.strip("-").replace("-", "_") + ("_short" * (spelling[1] != "-")),
        is_flag=not flag.takes_value,
        hidden=True,
        expose_value=False,
        callback=told,
    )
