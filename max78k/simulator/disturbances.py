"""Faults on demand: what a supply, a line, a page, a sensor or a core may do wrong, on purpose.

Written as in ``brownout@120ms,uart-flip=1e-4,flash-fail=page7,hang@2s,camera-noise``.
"""

from __future__ import annotations

import difflib
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses
from max78k.errors import InputError
from max78k.simulator.clock import SECOND, Clock
from max78k.simulator.soc import Peripherals

_TIME = re.compile(r"(\d+(?:\.\d*)?)(s|ms|us)")
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000}
_PAGE_BYTES = addresses.FLASH_PAGE_BYTES
_PAGES = addresses.FLASH_BYTES // _PAGE_BYTES
_GREY_LEVELS = 255


def _time(text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a virtual time such as 120ms, 2s or 50us")
    return float(match[1]) / _PER_SECOND[match[2]]


def _number(text: str, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ValueError(what)
    return value


def _chance(text: str) -> float:
    return _number(text, 1, "a probability from 0 to 1")


def _page(text: str) -> float:
    match = re.fullmatch(r"page(\d{1,3})", text)
    if match is None or int(match[1]) >= _PAGES:
        raise ValueError(f"page0 to page{_PAGES - 1}")
    return int(match[1])


def _noise(text: str) -> float:
    return _number(text or "8", _GREY_LEVELS, f"a deviation from 0 to {_GREY_LEVELS}, or nothing")


@dataclass(frozen=True)
class Kind:
    """One kind of fault: its name with the sign before its value, and whether it may be repeated.

    ``value`` raises ValueError with what it asks for.
    """

    name: str
    sign: str
    value: Callable[[str], float]
    repeats: bool
    example: str
    meaning: str


KINDS = (
    Kind("brownout", "@", _time, True, "brownout@120ms",
         "the supply fails at this virtual time: registers and SRAM lost, start anew"),
    Kind("hang", "@", _time, True, "hang@2s",
         "the core stops for good; a watchdog may reset it"),
    Kind("uart-flip", "=", _chance, False, "uart-flip=1e-4",
         "per byte on the console's line, either way: one bit is wrong"),
    Kind("uart-drop", "=", _chance, False, "uart-drop=1e-4",
         "the same: the byte is lost"),
    Kind("flash-fail", "=", _page, True, "flash-fail=page7",
         "this page of 8 KiB takes neither program nor erase: what was stored there reads 0xFF"),
    Kind("camera-noise", "=", _noise, False, "camera-noise=8",
         "Gaussian noise of this standard deviation, in grey levels, on every picture"),
)  # fmt: skip
EXAMPLES = ", ".join(kind.example for kind in KINDS)
_BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Disturbances:
    """What is to go wrong in a run.

    Attributes:
        brownouts: virtual seconds at which the supply fails.
        hangs: virtual seconds at which the core stops for good.
        flip: probability per byte on the console's line, either way, that one bit is wrong.
        drop: the same that the byte is lost.
        failing_pages: flash pages that can neither be erased nor written.
        noise: standard deviation of the camera's noise, in grey levels.
    """

    brownouts: tuple[float, ...] = ()
    hangs: tuple[float, ...] = ()
    flip: float = 0.0
    drop: float = 0.0
    failing_pages: frozenset[int] = frozenset()
    noise: float = 0.0

    def __bool__(self) -> bool:
        return self != Disturbances()


def parse(text: str) -> Disturbances:
    """Read a list of faults; raises InputError E-BOARD-FAULT."""
    found: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, value = _read(item)
        if found[kind.name] and not kind.repeats:
            raise InputError("E-BOARD-FAULT", f"{kind.name} is given twice, again as {item!r}")
        found[kind.name].append(value)
    return Disturbances(
        tuple(found["brownout"]), tuple(found["hang"]), sum(found["uart-flip"]),
        sum(found["uart-drop"]), frozenset(map(int, found["flash-fail"])),
        sum(found["camera-noise"]),
    )  # fmt: skip


def _read(item: str) -> tuple[Kind, float]:
    name, sign, value = re.match(r"([^@=]*)([@=]?)(.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]
    kind = _BY_NAME.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, _BY_NAME, 1)
        hint = _BY_NAME[near[0]].example if near else EXAMPLES
        raise InputError("E-BOARD-FAULT", f"{item!r} is not a fault of the virtual board.", hint)
    try:
        if sign and sign != kind.sign:
            raise ValueError(f"{kind.sign!r} after its name")
        return kind, kind.value(value)
    except ValueError as error:
        raise InputError(
            "E-BOARD-FAULT", f"{item!r}: {name} takes {error}.", kind.example
        ) from error


class _FailingPages(frozenset[int]):
    """Pages that cannot be changed; whoever finds a page among them has tried in vain."""

    counts: Counter[str]

    def __new__(cls, pages: Iterable[int], counts: Counter[str]) -> _FailingPages:
        made = super().__new__(cls, pages)
        made.counts = counts
        return made

    def __contains__(self, page: object) -> bool:
        fails = super().__contains__(page)
        self.counts["flash-fail"] += fails
        return fails


class Disturber:
    """The disturbances of one run, the same for the same seed, and how often each has happened.

    ``failing_pages`` are those of flash that keep their content.
    """

    def __init__(self, wanted: Disturbances, seed: int | None) -> None:
        self._wanted = wanted
        self._dice = random.Random(seed or 0)
        self._noise = np.random.default_rng(abs(seed or 0))
        self._counts: Counter[str] = Counter()
        self.failing_pages = _FailingPages(wanted.failing_pages, self._counts)

    def arm(
        self,
        clock: Clock,
        chip: Peripherals,
        brown_out: Callable[[], None],
        hang: Callable[[], None],
    ) -> None:
        """Prepare them; ``brown_out`` and ``hang`` are called at their times."""
        wanted = self._wanted
        chip.flash.failing_pages = self.failing_pages
        if wanted.flip or wanted.drop:
            chip.uarts[0].line = self._line
        if wanted.noise:
            chip.camera.noise = self._noisy
        for name, times, action in (
            ("brownout", wanted.brownouts, brown_out),
            ("hang", wanted.hangs, hang),
        ):
            for seconds in times:
                clock.schedule(round(seconds * SECOND), self._counted(name, action))

    def stored(self, start: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """What of ``data`` is stored when a probe programs it from ``start`` on, page by page."""
        while data:
            page, offset = divmod(start - addresses.FLASH_BASE, _PAGE_BYTES)
            part = data[: _PAGE_BYTES - offset]
            if page not in self.failing_pages:
                yield start, part
            start, data = start + len(part), data[len(part) :]

    def report(self) -> list[str]:
        """A line for each kind of fault that was asked for: how often it has happened."""
        wanted, counts = self._wanted, self._counts
        asked: dict[str, tuple[Sized | float, str]] = {
            "brownout": (wanted.brownouts, "of {} supply failures"),
            "hang": (wanted.hangs, "of {} stops of the core"),
            "uart-flip": (wanted.flip, f"of {counts['bytes']} bytes at a rate of {{}}"),
            "uart-drop": (wanted.drop, f"of {counts['bytes']} bytes at a rate of {{}}"),
            "flash-fail": (
                wanted.failing_pages,
                "writes or erases lost, on pages: {}",
            ),
            "camera-noise": (wanted.noise, "pictures with a deviation of {} grey levels"),
        }
        lines = []
        for name, (value, text) in asked.items():
            if value:
                much = str(len(value)) if isinstance(value, Sized) else f"{value:g}"
                lines.append(f"fault {name}: {counts[name]} {text.format(much)}")
        return lines

    def _counted(self, name: str, action: Callable[[], None]) -> Callable[[], None]:
        def happen() -> None:
            self._counts[name] += 1
            action()

        return happen

    def _line(self, byte: int) -> int | None:
        """What a byte becomes on the console's line; None where it is lost."""
        self._counts["bytes"] += 1
        if self._dice.random() < self._wanted.drop:
            self._counts["uart-drop"] += 1
            return None
        if self._dice.random() < self._wanted.flip:
            self._counts["uart-flip"] += 1
            return byte ^ 1 << self._dice.randrange(8)
        return byte

    def _noisy(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        self._counts["camera-noise"] += 1
        noise = self._noise.normal(0.0, self._wanted.noise, picture.shape)
        noisy: npt.NDArray[np.uint8] = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
        return noisy
