"""Timing helpers of the benchmarks: medians of interleaved whole-process runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def whole_process_seconds(command: Sequence[str]) -> float:
    """Wall seconds of one run of ``command``; raises CalledProcessError if it fails."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - started


def interleaved(
    first: Callable[[], float], second: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Medians of both figures and the median of their ratio, taken pair by pair.

    Pairs run in turn, so that a drift of the machine's speed falls on both.
    """
    pairs = [(first(), second()) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        ratio,
    )


def max78k(*arguments: str) -> list[str]:
    """The command line of ``max78k`` under this interpreter."""
    return [sys.executable, "-m", "max78k", *arguments]
