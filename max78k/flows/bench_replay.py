"""A failed bench once more, on the virtual board: the same firmware, inputs and options."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from max78k.errors import InputError, MismatchError
from max78k.files import write_bytes
from max78k.flows.bench import BenchOptions, BoardRun, Share, bench_board
from max78k.flows.bench_bundle import Bundle, read_bundle
from max78k.flows.bench_inputs import Feed, Source, raw_feed
from max78k.host.framing import Decoder
from max78k.host.link import Device
from max78k.host.session import SIM


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Attributes:
        code, message: of the recorded failure.
        run: the run on the virtual board.
        same, different: recorded inferences whose scores came again, and those with others.
        link: what the recorded link carried, by name.
    """

    code: str
    message: str
    run: BoardRun
    same: int
    different: int
    link: dict[str, int]

    @property
    def again(self) -> bool:
        """Whether the virtual board failed in the same way."""
        return getattr(self.run.error, "code", None) == self.code

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        error = self.run.error
        return {
            "recorded": {"code": self.code, "message": self.message},
            "replayed": None if error is None else getattr(error, "code", "E-BENCH-STOPPED"),
            "again": self.again,
            "same_scores": self.same,
            "different_scores": self.different,
            "recorded_link": self.link,
        }

    def text(self) -> str:
        """For people."""
        lines = [f"recorded: {self.code} {self.message}"]
        lines += [f"recorded link: {name}: {count:,}" for name, count in self.link.items()]
        if self.run.result is not None:
            lines += ["", "on the virtual board:", self.run.result.summary(), ""]
        lines.append(f"scores: {self.same} as recorded, {self.different} others")
        if self.again:
            lines.append(f"{self.code} came again: it can be looked at without the board")
        elif self.run.error is None:
            lines.append(f"{self.code} did not come again: look at cable, supply and board")
        return "\n".join(lines)

    def raise_for_difference(self) -> None:
        """Raise the replay's own error, or MismatchError ``E-BENCH-REPLAY`` for other scores."""
        if self.run.error is not None:
            raise self.run.error
        if self.different:
            raise MismatchError(
                "E-BENCH-REPLAY",
                f"{self.different} of {self.same + self.different} recorded inferences have other "
                "scores on the virtual board.",
                "board and virtual board run different integers: `max78k verify` finds the level",
            )


def replay(
    path: Path, folder: Path, *, elf: Path | None = None, share: Share = lambda done: None
) -> Replay:
    """Replay the bundle at ``path``; files go to ``folder``.

    Raises InputError ``E-BENCH-BUNDLE``, and ``E-BENCH-REPLAY`` for a bundle without inputs,
    without firmware where ``elf`` gives none, or with that of another network.
    """
    bundle = read_bundle(path)
    if not bundle.inputs:
        raise InputError(
            "E-BENCH-REPLAY", f"{path}: the bench failed before an input was there "
            f"({bundle.about['error']['code']}).",
            "link.txt in it has the bytes that passed",
        )  # fmt: skip
    options = _options(bundle, path)
    firmware = elf or _firmware(bundle, path, folder)

    def feed(device: Device) -> Feed:
        wanted = bundle.about["device"]["network_id"]
        if device.info.network_id != wanted:
            raise InputError(
                "E-BENCH-REPLAY",
                f"{firmware} holds network {device.info.network_id:08x}, the board ran "
                f"{wanted:08x}.",
                "--elf with the firmware that was flashed",
            )
        inputs = [np.ascontiguousarray(one) for one in bundle.inputs]
        plain = Feed(inputs, None if bundle.labels is None else list(bundle.labels))
        return raw_feed(plain, options.source, device) if options.source.raw else plain

    run = bench_board(SIM, options, folder, elf=firmware, share=share, feed=feed)
    same, different = _compared(bundle, run)
    error = bundle.about["error"]
    return Replay(error["code"], error["message"], run, same, different, _passed(bundle))


def _options(bundle: Bundle, path: Path) -> BenchOptions:
    """As recorded, once more through all inputs that the failure took."""
    given = dict(bundle.about["options"])
    source = dict(given.pop("source"))
    known = {item.name for item in fields(BenchOptions)} - {"source"}
    if set(given) != known or set(source) != {item.name for item in fields(Source)}:
        raise InputError(
            "E-BENCH-BUNDLE", f"{path}: its options are not those of this max78k.",
            f"replay with max78k {bundle.about.get('max78k')}, which wrote it",
        )  # fmt: skip
    source["like"] = None if source["like"] is None else Path(source["like"])
    measured = sum(row.part == "measured" for row in bundle.rows) + 1
    options = BenchOptions(source=Source(**source), **given)
    return replace(
        options,
        source=replace(options.source, count=len(bundle.inputs)),
        seconds=None,
        repeats=max(1, math.ceil(measured / len(bundle.inputs))),
        pipeline=bool(bundle.about["pipelined"]),
        meter=None,
    )


def _firmware(bundle: Bundle, path: Path, folder: Path) -> Path:
    if bundle.firmware is None:
        raise InputError(
            "E-BENCH-REPLAY", f"{path} has no firmware: a real board ran it.",
            "--elf with the firmware that was flashed",
        )  # fmt: skip
    place = folder / "firmware.elf"
    write_bytes(place, bundle.firmware)
    return place


def _compared(bundle: Bundle, run: BoardRun) -> tuple[int, int]:
    """Recorded rows with the same scores for the same input, and those with others."""
    result = run.result
    scores = {} if result is None else {row.input_crc: row.scores
                                        for row in (*result.before, *result.rows)}  # fmt: skip
    counts = Counter(scores[row.input_crc] == row.scores
                     for row in bundle.rows if row.input_crc in scores)  # fmt: skip
    return counts[True], counts[False]


def _passed(bundle: Bundle) -> dict[str, int]:
    """Bytes and frames of the recorded link."""
    decoders = {">": Decoder(), "<": Decoder()}
    counts = {">": 0, "<": 0}
    for line in bundle.link:
        _, way, text = line.split(" ", 2)
        if way in decoders:
            data = bytes.fromhex(text)
            counts[way] += len(data)
            decoders[way].feed(data)
    return {
        "bytes to the board": counts[">"],
        "bytes from the board": counts["<"],
        "good frames to the board": decoders[">"].statistics.frames,
        "good frames from the board": decoders["<"].statistics.frames,
        "damaged frames from the board": decoders["<"].statistics.bad_chunks,
    }
