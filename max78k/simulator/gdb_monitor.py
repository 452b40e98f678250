"""GDB's ``monitor`` commands: what the board offers beside its processor."""

from __future__ import annotations

from collections.abc import Callable

from max78k.simulator.board import VirtualBoard
from max78k.simulator.gpio import BUTTONS


def _reset(board: VirtualBoard, _words: list[str]) -> str:
    board.reset()
    return ""  # what OpenOCD's users expect; GDB shows the new state after its next stop


def _time(board: VirtualBoard, _words: list[str]) -> str:
    return f"{board.now:.9f} s since power-on"


def _leds(board: VirtualBoard, _words: list[str]) -> str:
    return ", ".join(f"{name} {'on' if lit else 'off'}" for name, lit in board.leds.items())


def _press(board: VirtualBoard, words: list[str]) -> str:
    names = [name for name in map(str.upper, words[1:]) if name in BUTTONS]
    for name in names:
        board.press(name, down=words[0] == "press")
    done = "pressed" if words[0] == "press" else "released"
    return f"{done}: {', '.join(names)}" if names else f"one of {', '.join(BUTTONS)}"


def _findings(board: VirtualBoard, _words: list[str]) -> str:
    return "\n".join(map(str, [*board.findings, *board.faults.report()])) or "none"


def _current(board: VirtualBoard, _words: list[str]) -> str:
    (low, high), energy = board.supply.current, board.supply.energy
    return f"estimate: {low:.3f} to {high:.3f} mA now, {energy[0]:.4f} to {energy[1]:.4f} mJ so far"


_Command = Callable[[VirtualBoard, list[str]], str]
COMMANDS: dict[str, tuple[_Command, str]] = {
    "reset": (_reset, "reset the chip; SRAM is kept"),
    "time": (_time, "virtual time"),
    "leds": (_leds, "which LEDs are lit"),
    "press": (_press, "press SW1 or SW2"),
    "release": (_press, "let go of SW1 or SW2"),
    "findings": (_findings, "doubtful accesses and faults so far"),
    "current": (_current, "supply current, an estimate"),
}


def answer(board: VirtualBoard, command: str) -> str:
    """Carry out one command; ``help`` and what is not known list them all."""
    words = command.split() or ["help"]
    if words[0] in COMMANDS:
        return COMMANDS[words[0]][0](board, words)
    lines = [f"monitor {name:9} {text}" for name, (_, text) in COMMANDS.items()]
    unknown = [] if words[0] == "help" else [f"monitor {words[0]} is not known"]
    return "\n".join([*unknown, *lines])
