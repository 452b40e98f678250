"""Lines of the ESP32-CSI-Tool, from a file or from a serial port: the same parser.

A line has 26 columns: ``CSI_DATA`` first, the signal strength in column 3, the receiver's clock in
microseconds in column 18 (32 bits, it wraps after 71.6 minutes), the number of values in column
24 and the values in column 25 as ``[imaginary real imaginary real ...]``, with spaces or, in
newer firmware, commas between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.csi.recording import SUBCARRIERS, FloatArray, Int8Array, Recording
from max78k.errors import InputError

COLUMNS = 26
LONGEST_LINE = 16_384  # bytes, some ten times a packet's
_RSSI, _CLOCK = 3, 18
_FIRST = "CSI_DATA"
_HEADER = "type"
_CLOCK_RANGE = 1 << 32  # microseconds
_VALUES = re.compile(r"\[([^\[\]]*)\]")
_LENGTHS = {2 * count for count in SUBCARRIERS}


@dataclass(frozen=True, eq=False)
class Packet:
    """One line: values int8 [2 * subcarriers], dBm, microseconds of the receiver's clock."""

    csi: Int8Array
    rssi: int
    clock_us: int | None


class BadRow(Exception):
    """What is wrong with a line, in a few words that do not depend on its values."""


def parse_line(line: str) -> Packet | None:
    """The packet in a line; None for a header, a log message or an empty line.

    Raises BadRow for a line that begins like a packet and is none.
    """
    text = line.strip().lstrip("\ufeff")
    if not text.startswith(_FIRST):
        return None
    found = _VALUES.search(text)
    if found is None:
        raise BadRow("no complete [...]")
    columns = text[: found.start()].rstrip('"').split(",")
    if len(columns) != COLUMNS:
        raise BadRow("wrong number of columns")
    try:
        values = np.array(found[1].replace(",", " ").split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise BadRow("a value is no number") from None
    if values.size not in _LENGTHS:
        raise BadRow("wrong number of values")
    if (np.abs(values) > 128).any() or (values == 128).any():
        raise BadRow("a value is beyond 8 bits")
    try:
        rssi = int(columns[_RSSI])
        clock = int(columns[_CLOCK]) if columns[_CLOCK].strip() else None
    except ValueError:
        raise BadRow("signal strength or clock is no number") from None
    if not -128 <= rssi <= 127:
        raise BadRow("signal strength is beyond 8 bits")
    return Packet(values.astype(np.int8), rssi, clock)


def read_csv(path: Path) -> Recording:
    """Read a file of the ESP32-CSI-Tool; rows that cannot be used are counted by their fault.

    Raises InputError ``E-CSI-FILE`` for a file that cannot be read and ``E-CSI-EMPTY`` for one
    without a usable packet.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return replace(collect(str(path), stream), name=path.name)
    except OSError as error:
        raise InputError("E-CSI-FILE", f"{path} cannot be read: {error.strerror}.") from None


def collect(name: str, lines: Iterable[str]) -> Recording:
    """All packets of some lines; of packets of different lengths the more frequent length stays.

    Raises InputError ``E-CSI-EMPTY``.
    """
    packets: list[Packet] = []
    bad: Counter[str] = Counter()
    for line in lines:
        try:
            packet = parse_line(line)
        except BadRow as error:
            bad[str(error)] += 1
            continue
        if packet is not None:
            packets.append(packet)
    if not packets:
        faults = ", ".join(f"{count} x {fault}" for fault, count in bad.items())
        raise InputError(
            "E-CSI-EMPTY",
            f"{name} has no packet that can be used" + (f" ({faults})." if faults else "."),
            "give a CSV of the ESP32-CSI-Tool, whose lines begin with CSI_DATA.",
        )
    lengths = Counter(packet.csi.size for packet in packets)
    length = lengths.most_common(1)[0][0]
    if len(lengths) > 1:
        bad[f"not {length} values like most"] = len(packets) - lengths[length]
        packets = [packet for packet in packets if packet.csi.size == length]
    clocks = [packet.clock_us for packet in packets]
    return Recording(
        name,
        np.stack([packet.csi for packet in packets]),
        None if None in clocks else seconds_of(np.array(clocks, np.int64)),
        np.array([packet.rssi for packet in packets], dtype=np.int8),
        dict(bad),
    )


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as they become whole; of one longer than LONGEST_LINE the start alone, at once.

    So a port that gives no line end, as one read at a wrong rate, fills no memory.
    """
    rest, is_cut = b"", False
    for data in chunks:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not is_cut:
                yield line[:LONGEST_LINE]
            is_cut = False
        if len(rest) > LONGEST_LINE:
            if not is_cut:
                yield rest[:LONGEST_LINE]
            rest, is_cut = b"", True
    if rest and not is_cut:
        yield rest


def follow(lines: Iterable[bytes]) -> Iterator[Packet | BadRow]:
    """Packets, and what is wrong with lines that are none, as a serial port gives them."""
    for line in lines:
        try:
            packet = parse_line(line.decode("utf-8", "replace"))
        except BadRow as error:
            yield error
            continue
        if packet is not None:
            yield packet


def seconds_of(clocks: npt.NDArray[np.int64]) -> FloatArray:
    """Seconds from the first packet on, through wraps of the receiver's clock in microseconds.

    A clock that has gone beyond 32 bits does not wrap.
    """
    steps = np.diff(clocks)
    if clocks.max() >= _CLOCK_RANGE:
        return np.concatenate([[0.0], np.cumsum(steps) / 1e6])
    steps = np.mod(steps, _CLOCK_RANGE)
    # A step back in time is a packet out of order, not a wrap of more than half the range.
    steps = np.where(steps >= _CLOCK_RANGE // 2, steps - _CLOCK_RANGE, steps)
    return np.concatenate([[0.0], np.cumsum(steps) / 1e6])


def csv_text(recording: Recording) -> str:
    """A recording as a file of the ESP32-CSI-Tool, with what is not known left at 0."""
    names = [_HEADER, "role", "mac", "rssi", *(f"c{n}" for n in range(4, 24)), "len", "CSI_DATA"]
    names[_CLOCK] = "local_timestamp"
    lines = [",".join(names)]
    seconds = recording.seconds
    for number, values in enumerate(recording.csi):
        columns = [_FIRST, "AP", "00:00:00:00:00:00", *["0"] * (COLUMNS - 3)]
        if recording.rssi is not None:
            columns[_RSSI] = str(recording.rssi[number])
        columns[_CLOCK] = (
            "" if seconds is None else str(round(float(seconds[number]) * 1e6) % _CLOCK_RANGE)
        )
        columns[-2] = str(values.size)
        columns[-1] = "[" + " ".join(map(str, values.tolist())) + "]"
        lines.append(",".join(columns))
    return "\n".join(lines) + "\n"
