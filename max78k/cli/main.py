"""The ``max78k`` command: finds the verb, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from max78k import __version__
from max78k.cli.environment import PREFIX, give_variables, turned_round
from max78k.errors import ExitCode, Max78kError
from max78k.files import file_error


@dataclass(frozen=True)
class Verb:
    """Where a verb's click command lives, and its line in ``max78k --help``."""

    module: str
    summary: str


# A verb's module is imported when the verb is used, so that help and the small verbs start fast.
VERBS: dict[str, Verb] = {
    "demo": Verb("demo", "The whole way on drawn faces: train, export, build, run, compare."),
    "data": Verb("data", "Look at a data set, convert it, find repeats, enlarge it."),
    "csi": Verb("csi", "Wi-Fi CSI: inspect, make, cut into windows, answer."),
    "train-qat": Verb("train_qat", "Train a network, float first, then quantization-aware."),
    "train-many": Verb("train_many", "Many runs, at random or in a grid, with usage factors."),
    "compare": Verb("compare", "Runs beside a reference run: options, scores, curves."),
    "search": Verb("search", "Networks and training options, under memory and latency budgets."),
    "quantize": Verb("quantize", "Ordinary ONNX or torch.nn network to integers, untrained."),
    "adjust": Verb("adjust", "Answers of a trained network about as frequent as the labels."),
    "export": Verb("export", "Checkpoint to integer network, ONNX, YAML, vendor -q checkpoint."),
    "check": Verb("check", "Does a network fit the chip, and what does it cost?"),
    "synthesize": Verb("synthesize", "Network to C firmware project with a known-answer test."),
    "build": Verb("build", "C project to ELF, HEX and BIN."),
    "flash": Verb("flash", "Program a board, or the virtual one."),
    "unlock": Verb("unlock", "Erase a part that the debugger cannot reach any more."),
    "board": Verb("board", "Run the virtual board: pseudo-terminal, TCP, GDB, traces."),
    "bench": Verb("bench", "Stream inputs to a board; log latency per phase and energy."),
    "energy": Verb("energy", "Energy of a finished bench, by a trace that another program made."),
    "predict": Verb("predict", "Class and scores of one picture."),
    "live": Verb("live", "Faces from a camera, answers from a board."),
    "camera": Verb("camera", "Answers and pictures of a board that runs the camera application."),
    "evaluate": Verb("evaluate", "Accuracy and confusion matrix on a data set, in integers."),
    "verify": Verb("verify", "The truth chain: torch, ONNX, reference, accelerator, firmware."),
    "ports": Verb("ports", "List serial ports; likely boards are marked."),
    "doctor": Verb("doctor", "What is missing on this machine and the board, and how to mend it."),
    "completion": Verb("completion", "Lines that make a shell complete verbs and options."),
}

_EPILOG = """\b
Examples:
  max78k demo --out demo-output
  max78k train-qat --network fer7 --data fer2013.csv --out runs/fer7
  max78k export runs/fer7 --out fer7-model
  max78k synthesize fer7-model --out fer7-firmware
  max78k build fer7-firmware
  max78k flash fer7-firmware --port sim
  max78k bench --port sim --data faces
"""


class VerbGroup(click.Group):
    """A click group that imports a verb's module only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of the work."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = importlib.import_module(f"max78k.cli.{verb.module}").command
        assert isinstance(command, click.Command)
        give_variables(command, (cmd_name,))
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs from the table, without importing any of them, and options."""
        verbs = [
            CompletionItem(name, help=verb.summary)
            for name, verb in VERBS.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs from the table, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(
    cls=VerbGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="max78k")
@click.option("--debug", is_flag=True, envvar=f"{PREFIX}_DEBUG", help="Show tracebacks of errors.")
@click.option(
    "--config",
    envvar=f"{PREFIX}_CONFIG",
    type=click.Path(path_type=Path),
    help="YAML file with defaults of options, instead of the user's own.",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool, config: Path | None) -> None:
    """From a PyTorch network to an answer on the MAX78000 CNN microcontroller.

    `max78k VERB --help` explains a verb, worked examples first. Every option can also be set by the
    environment (MAX78K_BENCH_COUNT for `bench --count`) or a configuration file.
    """
    from max78k.cli import config as settings

    assert isinstance(ctx.command, click.Group)
    file, defaults = config or settings.user_file(), {}
    if config is not None or file.is_file():
        defaults = settings.load(file, ctx, ctx.command)
    verb = ctx.invoked_subcommand
    command = ctx.command.get_command(ctx, verb) if verb else None
    if verb and command is not None:
        given = turned_round(command, (verb,))
        defaults[verb] = settings.merged(defaults.get(verb, {}), given)
    ctx.default_map = defaults


def main() -> None:
    """Entry point; ends the process with an exit code of :class:`max78k.errors.ExitCode`."""
    debug = "--debug" in sys.argv[1:2] or os.environ.get("MAX78K_DEBUG", "") not in ("", "0")
    try:
        code = cli.main(standalone_mode=False)
    except Max78kError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(int(error.exit_code))
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(int(ExitCode.USER_FIXABLE))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(int(ExitCode.OK))
    except ModuleNotFoundError as error:
        if debug or (error.name or "").startswith("max78k"):
            raise
        click.echo(
            f"error: E-INSTALL-MODULE the Python module {error.name} is not installed. "
            "Try: `max78k doctor` says what provides it.",
            err=True,
        )
        sys.exit(int(ExitCode.USER_FIXABLE))
    except Exception as error:
        if debug:
            raise
        told = file_error(error) if isinstance(error, OSError) else None
        if told is not None:
            click.echo(f"error: {told}", err=True)
            sys.exit(int(told.exit_code))
        name = type(error).__name__
        click.echo(
            f"error: E-INTERNAL {name}: {error}. This is a fault of max78k; "
            "`max78k --debug VERB ...` shows where.",
            err=True,
        )
        sys.exit(int(ExitCode.INTERNAL))
    sys.exit(code if isinstance(code, int) else int(ExitCode.OK))
