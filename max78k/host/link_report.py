"""What a session's link has met, by name: for reports, and to judge a cable by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from max78k.host.framing import Statistics
from max78k.host.messages import MAX_FRAME, MAX_PAYLOAD, REPLY_PREFIX, STREAM, STREAM_REPLY
from max78k.host.pipeline import PipelineCounts
from max78k.host.replies import DeviceCounts, DeviceInfo, Inference

_OVERHEAD = MAX_FRAME - MAX_PAYLOAD + 3  # header, CRC, the first COBS byte, two delimiters


@dataclass
class LinkReport:
    """Counts since the port was opened; ``board`` is None for firmware that does not count."""

    baud: int
    received: Statistics
    pipeline: PipelineCounts
    retries: int = 0
    answered: int = 0  # requests other than frames of a stream
    late_replies: int = 0  # to requests that were answered or given up
    restarts: dict[str, int] = field(default_factory=dict)  # by reset cause
    searching: Statistics = field(default_factory=Statistics)  # at rates at which nobody answered
    slowdowns: int = 0  # times that a rate was given up for its errors
    board: DeviceCounts | None = None

    @property
    def faults(self) -> dict[str, int]:
        """Everything that went wrong, by name; names with a count of 0 are left out."""
        host = self.received
        counts = {
            "frames damaged towards the host: CRC": host.bad_crc,
            "frames damaged towards the host: COBS": host.bad_stuffing,
            "frames damaged towards the host: length": host.bad_length,
            "bytes without a delimiter": host.overlong_chunks,
            "requests repeated": self.retries,
            "answers that did not come in time": self.pipeline.timeouts,
            "answers overtaken by later ones": self.pipeline.overtaken,
            "parts missing at the board": self.pipeline.holes,
            "parts without room at the board": self.pipeline.busy,
            "results that came twice": self.pipeline.repeated_replies,
            "replies that came twice or late": self.late_replies,
            "rates given up": self.slowdowns,
        }
        if self.board is not None:
            counts["frames damaged towards the board"] = self.board.bad_frames
            counts["bytes lost or misread by the board"] = self.board.line_errors
            counts["requests that the board knew already"] = self.board.repeats
        counts |= {f"restarts: {cause}": count for cause, count in self.restarts.items()}
        return {name: count for name, count in counts.items() if count}

    def to_json(self) -> dict[str, Any]:
        """All counts, also those of 0."""
        return asdict(self)


@dataclass(frozen=True)
class Throughput:
    """Frames per second by the board's own timer, and the two rates that bound it.

    ``line`` counts every byte of the busier direction, ten bits each; ``inference`` has the
    phases that need the accelerator: load, run, unload.
    """

    frames_per_s: float
    line_per_s: float
    inference_per_s: float

    @property
    def share(self) -> float:
        """Of the lower bound."""
        return self.frames_per_s / min(self.line_per_s, self.inference_per_s)


def throughput(results: Sequence[Inference], info: DeviceInfo, baud: int) -> Throughput | None:
    """The rate of a stream of at least two results without a restart between them, else None."""
    ends = [result.end_tick for result in results if result.end_tick is not None]
    if len(ends) < 2 or len(ends) < len(results) or len({r.boot_id for r in results}) > 1:
        return None
    ticks = sum((after - before) & 0xFFFF_FFFF for before, after in pairwise(ends))
    busy_us = sum(r.load_us + r.inference_us + r.unload_us for r in results) / len(results)
    return Throughput(
        frames_per_s=(len(ends) - 1) * info.timer_hz / ticks,
        line_per_s=baud / 10 / max(frame_bytes(info)),
        inference_per_s=1e6 / busy_us,
    )


def frame_bytes(info: DeviceInfo) -> tuple[int, int]:
    """Bytes on the line for a frame of a stream, to the board and back; COBS at its shortest."""
    room = min(info.max_payload, MAX_PAYLOAD) - STREAM.size
    parts = -(-info.input_bytes // room)
    there = info.input_bytes + parts * (_OVERHEAD + STREAM.size)
    back = _OVERHEAD + REPLY_PREFIX.size + STREAM_REPLY.size + 4 * info.output_values
    return there, back
