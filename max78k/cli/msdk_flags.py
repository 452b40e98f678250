"""Options that only a project for the vendor's SDK has (``--style msdk``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.terminal import say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.codegen.msdk_options import MsdkOptions

STYLES = ("max78k", "msdk")
_BOARD = "FTHR_RevA"

_OPTIONS = (
    click.option("--board-name", default=_BOARD, show_default=True, metavar="NAME",
                 help="Board of the vendor's SDK."),
    click.option("--timer", type=click.IntRange(0, 3), help="Timer that measures the inference."),
    click.option("--no-timer", is_flag=True, hidden=True),
    click.option("--softmax", is_flag=True, help="Print class probabilities."),
    click.option("--energy", is_flag=True, help="Mark repeated steps for a power meter."),
    click.option("--wfi/--no-wfi", default=True, show_default=True,
                 help="Sleep while the accelerator runs."),
    click.option("--mexpress/--no-mexpress", default=True, show_default=True,
                 help="Express kernel loading."),
    click.option("--boost", metavar="PORT.PIN", help="Pin of a booster of the supply."),
    click.option("--no-kat", is_flag=True, help="No known-answer test in main.c."),
    click.option("--max-checklines", "--max-verify-length", "max_checklines",
                 type=click.IntRange(1), metavar="WORDS",
                 help="Compare no more than so many words of the output."),
)  # fmt: skip

# Why an option changes nothing in a project of our own style.
_WITHOUT_EFFECT = {
    "timer": "the firmware measures every phase by itself",
    "softmax": "the host computes probabilities, see `max78k predict`",
    "energy": "`max78k bench` computes energy; --style msdk has the vendor's program",
    "wfi": "the firmware sleeps while the accelerator runs",
    "mexpress": "kernels are loaded by the express path",
    "no_kat": "the known answer is tested when the host asks for it",
    "max_checklines": "the whole output is compared",
}


def msdk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--style`` and the options above; the command gets ``msdk``: MsdkOptions or None."""

    @functools.wraps(function)
    def command(style: str, prefix: str | None, **arguments: Any) -> Any:
        names = ("board_name", "no_timer", "boost", *_WITHOUT_EFFECT)
        chosen = {name: arguments.pop(name) for name in names}
        if style != "msdk":
            _own_style(chosen)
            return function(msdk=None, prefix=prefix, **arguments)
        return function(msdk=_options(chosen, prefix), prefix=prefix, **arguments)

    for option in reversed(_OPTIONS):
        command = option(command)
    style = click.option("--style", type=click.Choice(STYLES), default=STYLES[0],
                         show_default=True,
                         help="A project that builds by itself, or one for the vendor's SDK, with"
                         " the options that follow.")  # fmt: skip
    return style(command)


def _options(chosen: dict[str, Any], prefix: str | None) -> MsdkOptions:
    from max78k.codegen.msdk_options import MsdkOptions, boost_pin

    return MsdkOptions(
        name=prefix or "",
        board=chosen["board_name"],
        timer=None if chosen["no_timer"] else chosen["timer"],
        softmax=chosen["softmax"],
        energy=chosen["energy"],
        sleep=chosen["wfi"],
        express=chosen["mexpress"],
        check=not chosen["no_kat"],
        checked_words=chosen["max_checklines"],
        boost=None if chosen["boost"] is None else boost_pin(chosen["boost"]),
    )


def _own_style(chosen: dict[str, Any]) -> None:
    """For our own style: say what changes nothing, refuse what cannot be had."""
    if chosen["board_name"] != _BOARD:
        raise InputError(
            "E-ARGS-BOARD",
            f"firmware of style max78k is for the board {_BOARD}, not {chosen['board_name']}.",
            "--style msdk.",
        )
    if chosen["boost"] is not None:
        raise InputError(
            "E-ARGS-BOOST", "--boost is an option of the vendor's SDK.", "--style msdk."
        )
    given = click.get_current_context().get_parameter_source
    for name, reason in _WITHOUT_EFFECT.items():
        if given(name) is click.core.ParameterSource.COMMANDLINE:
            spelling = f"--{name.replace('_', '-')}"
            if chosen[name] is False:
                spelling = f"--no-{name}"
            say(f"{spelling}: {reason}.")
