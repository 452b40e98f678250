"""A folder of made CSI, in the format of the ESP32-CSI-Tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from max78k.csi.channel import CLASS_NAMES, person, record
from max78k.csi.esp32 import csv_text
from max78k.errors import InputError
from max78k.files import write_text

Progress = Callable[[int, str], None]


def make_folder(
    out: Path,
    persons: int,
    recordings: int,
    seconds: float,
    seed: int,
    progress: Progress = lambda steps, note: None,
) -> None:
    """Write ``out/<emotion>/subject<person>_<number>.csv`` for every person and emotion.

    Raises InputError ``E-CSI-OUT`` for a folder that exists.
    """
    if out.exists():
        raise InputError("E-CSI-OUT", f"{out} exists.", "give a folder that does not.")
    for number in range(persons):
        who = person(seed * 1_000_003 + number)
        for emotion in CLASS_NAMES:
            for take in range(recordings):
                name = f"subject{number}_{take}.csv"
                key = ((seed * 1009 + number) * 31 + CLASS_NAMES.index(emotion)) * 1009 + take
                recording = record(emotion, who, key, seconds=seconds, name=name)
                write_text(out / emotion / name, csv_text(recording))
                progress(1, f"{emotion}/{name}")
