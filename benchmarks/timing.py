"""Timing helpers of the benchmarks: interleaved whole-process runs, processor time and memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What one process took: CPU seconds, peak memory, and what it wrote to stderr."""

    seconds: float
    mib: float
    errors: str


def process_usage(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """One run of ``command``; raises CalledProcessError if it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=dict(environment)
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=text)
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


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
