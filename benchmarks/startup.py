"""Start-up time of ``max78k --help``, against a bare Python, and of the virtual board.

The board's is that of ``max78k board run`` with the shipped network for facial expressions, from
the start of Python to the first byte on the console: the whole process in seconds of the
processor, which other programs disturb less than those of the wall clock.
Run: python benchmarks/startup.py
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from timing import interleaved, max78k, process_usage, whole_process_seconds

from max78k.flows.firmware import make_firmware
from max78k.flows.models import load_model

BOARD_ROUNDS = 5


def board() -> None:
    """Print what a start of the board takes."""
    with tempfile.TemporaryDirectory() as scratch:
        elf = make_firmware(load_model("fer7").network, Path(scratch) / "firmware").build.elf
        run = ("board", "run", str(elf), "--console", "--until", r"\x00", "--timeout", "60")
        used = [process_usage(max78k(*run), os.environ) for _ in range(BOARD_ROUNDS)]
    print(f"board run to the first byte {statistics.median(u.seconds for u in used):6.2f} s")
    print(f"memory of that process {max(u.mib for u in used):7.0f} MiB")


def main() -> None:
    """Print both medians and their ratio, and the board's figures."""
    baseline = [sys.executable, "-c", "import click"]
    ours, bare, ratio = interleaved(
        lambda: whole_process_seconds(max78k("--help")),
        lambda: whole_process_seconds(baseline),
        rounds=15,
    )
    print(f"max78k --help        {ours * 1000:7.1f} ms")
    print(f"python, import click {bare * 1000:7.1f} ms")
    print(f"ratio                {ratio:7.2f}")
    board()


if __name__ == "__main__":
    main()
