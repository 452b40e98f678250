"""From the text of ``--meter`` to a meter: one table of kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import InputError
from max78k.host.messages import DEFAULT_BAUD
from max78k.host.meters.meter import Meter
from max78k.host.ports import AUTO

Options = Mapping[str, float]
_WHOLE = ("baud", "column", "source")  # options that take whole numbers


@dataclass(frozen=True)
class MeterKind:
    """A kind of meter.

    Attributes:
        form: how to write it.
        summary: what it is.
        options: names of the numbers that may follow; those that must are in ``needed``.
        build: makes it from what stands after the colon and from the numbers.
    """

    form: str
    summary: str
    options: tuple[str, ...]
    build: Callable[[str, Options], Meter]
    needed: tuple[str, ...] = ()
    place: str = ""  # what must stand after the colon, if anything


def _constant(place: str, options: Options) -> Meter:
    from max78k.host.meters.constant import ConstantMeter

    return ConstantMeter(options["ma"], options["volts"])


def _csv(place: str, options: Options) -> Meter:
    from max78k.host.meters.trace_csv import TraceFile

    return TraceFile(Path(place), options.get("volts"))


def _sim(place: str, options: Options) -> Meter:
    from max78k.host.meters.virtual import VirtualMeter

    return VirtualMeter(Path(place) if place else None)


def _ppk2(place: str, options: Options) -> Meter:
    from max78k.host.meters.ppk2 import Ppk2

    return Ppk2(place or AUTO, options["volts"], feeds=bool(options.get("source", 0)))


def _joulescope(place: str, options: Options) -> Meter:
    from max78k.host.meters.joulescope import Joulescope

    return Joulescope(place)


def _ina(model: str) -> Callable[[str, Options], Meter]:
    def build(place: str, options: Options) -> Meter:
        from max78k.host.meters.ina import InaAdapter

        return InaAdapter(
            model, place, options.get("shunt", 0.1), int(options.get("baud", DEFAULT_BAUD))
        )

    return build


def _pmon(place: str, options: Options) -> Meter:
    from max78k.host.meters.pmon import PowerMonitor

    return PowerMonitor(place, int(options.get("column", 1)))


METERS = {
    "sim": MeterKind(
        "sim[:FILE]", "the virtual board's current model, an estimate; FILE keeps its trace",
        (), _sim,
    ),
    "constant": MeterKind(
        "constant,ma=3.16,volts=5", "a current that you read off a display",
        ("ma", "volts"), _constant, needed=("ma", "volts"),
    ),
    "ppk2": MeterKind(
        "ppk2[:PORT],volts=3.3[,source=1]", "Nordic's Power Profiler Kit II",
        ("volts", "source"), _ppk2, needed=("volts",),
    ),
    "joulescope": MeterKind(
        "joulescope[:SERIAL]", "a Joulescope, by the package pyjoulescope_driver", (), _joulescope
    ),
    "ina219": MeterKind(
        "ina219:PORT[,shunt=OHM][,baud=RATE]", "an INA219 behind a serial adapter",
        ("shunt", "baud"), _ina("INA219"), place="the adapter's port",
    ),
    "ina226": MeterKind(
        "ina226:PORT[,shunt=OHM][,baud=RATE]", "an INA226 behind a serial adapter",
        ("shunt", "baud"), _ina("INA226"), place="the adapter's port",
    ),
    "pmon": MeterKind(
        "pmon:PORT[,column=N]", "the power monitor of the MAX78000EVKIT", ("column",), _pmon,
        place="the monitor's port",
    ),
    "csv": MeterKind(
        "csv:FILE[,volts=V]", "a trace that another program recorded, with the board's marks",
        ("volts",), _csv, place="the file",
    ),
}  # fmt: skip


def choose_meter(text: str) -> Meter:
    """The meter that ``text`` names: ``KIND[:PLACE][,NAME=NUMBER...]``; see ``METERS``.

    Nothing is opened yet. Raises InputError ``E-METER-KIND`` or ``E-METER-OPTION``.
    """
    head, *words = text.split(",")
    name, _, place = head.partition(":")
    if name not in METERS:
        raise InputError(
            "E-METER-KIND",
            f"there is no meter {name!r}.",
            "one of " + "; ".join(kind.form for kind in METERS.values()),
        )
    kind = METERS[name]
    if kind.place and not place:
        raise _bad(kind, f"{text!r} does not name {kind.place}")
    options = dict(_option(kind, word) for word in words)
    missing = [option for option in kind.needed if option not in options]
    if missing:
        raise _bad(kind, f"{text!r} lacks {missing[0]}")
    return kind.build(place, options)


@contextmanager
def open_meter(text: str) -> Iterator[Meter]:
    """The meter of :func:`choose_meter`, opened, and let go at the end."""
    meter = choose_meter(text)
    try:
        meter.open()
        yield meter
    finally:
        meter.close()


def _option(kind: MeterKind, word: str) -> tuple[str, float]:
    name, sign, value = word.partition("=")
    if not sign or name not in kind.options:
        raise _bad(kind, f"{word!r} is no option of this meter")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _bad(kind, f"{word!r}: {value!r} is no number")
    if name in _WHOLE and not number.is_integer():
        raise _bad(kind, f"{word!r}: {value!r} is no whole number")
    return name, number


def _bad(kind: MeterKind, what: str) -> InputError:
    return InputError("E-METER-OPTION", f"{what}.", f"--meter {kind.form}")
