"""Faults on demand: what a supply, a line, a flash page or a core may do wrong, on purpose.

Written as in ``brownout@120ms,uart-flip=1e-4,uart-drop=1e-4,flash-fail=page7,hang@2s``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from max78k.chip import addresses
from max78k.errors import InputError

KINDS = "brownout@TIME, hang@TIME, uart-flip=P, uart-drop=P, flash-fail=pageN"
_TIME = re.compile(r"(\d+(?:\.\d*)?)(s|ms|us)")
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000}
_PAGES = addresses.FLASH_BYTES // addresses.FLASH_PAGE_BYTES


@dataclass(frozen=True)
class Disturbances:
    """What is to go wrong in a run.

    Attributes:
        brownouts: virtual seconds at which the supply fails: registers and SRAM are lost, the
            firmware starts anew.
        hangs: virtual seconds at which the core stops for good; a watchdog may reset it.
        flip: probability per byte on the console's line, either way, that one bit is wrong.
        drop: the same that the byte is lost.
        failing_pages: flash pages that can neither be erased nor written.
    """

    brownouts: tuple[float, ...] = ()
    hangs: tuple[float, ...] = ()
    flip: float = 0.0
    drop: float = 0.0
    failing_pages: frozenset[int] = frozenset()

    def line(self, seed: int | None) -> Callable[[int], int | None]:
        """What a byte becomes on the line; None where it is lost. Repeatable for a seed."""
        source = random.Random(seed or 0)

        def disturb(byte: int) -> int | None:
            if source.random() < self.drop:
                return None
            return byte ^ 1 << source.randrange(8) if source.random() < self.flip else byte

        return disturb


def parse(text: str) -> Disturbances:
    """Read a list of faults; raises InputError E-BOARD-FAULT."""
    times: dict[str, list[float]] = {"brownout": [], "hang": []}
    chances = {"uart-flip": 0.0, "uart-drop": 0.0}
    pages: set[int] = set()
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = re.match(r"([^@=]*)([@=]?)(.*)", item).groups()  # type: ignore[union-attr]
        match = _TIME.fullmatch(value)
        page = re.fullmatch(r"page(\d+)", value)
        if separator == "@" and name in times and match:
            times[name].append(float(match[1]) / _PER_SECOND[match[2]])
        elif separator == "=" and name in chances:
            chances[name] = _probability(item, value)
        elif separator == "=" and name == "flash-fail" and page and int(page[1]) < _PAGES:
            pages.add(int(page[1]))
        else:
            raise _refusal(item)
    return Disturbances(
        tuple(times["brownout"]), tuple(times["hang"]), chances["uart-flip"],
        chances["uart-drop"], frozenset(pages),
    )  # fmt: skip


def _probability(item: str, value: str) -> float:
    try:
        chance = float(value)
    except ValueError:
        raise _refusal(item) from None
    if not 0 <= chance <= 1:
        raise _refusal(item)
    return chance


def _refusal(item: str) -> InputError:
    return InputError("E-BOARD-FAULT", f"{item!r} is not a fault of the virtual board", KINDS)
