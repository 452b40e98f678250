"""Whole-process seconds to synthesize the shipped FER network, against Python importing numpy.

Run: python benchmarks/synthesis.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from timing import interleaved, max78k, whole_process_seconds


def main() -> None:
    """Print both medians and their ratio."""
    baseline = [sys.executable, "-c", "import numpy, yaml, click"]
    with tempfile.TemporaryDirectory() as scratch:
        command = max78k("synthesize", "fer7", "--out", str(Path(scratch) / "p"), "--overwrite")
        ours, bare, ratio = interleaved(
            lambda: whole_process_seconds(command),
            lambda: whole_process_seconds(baseline),
            rounds=5,
        )
    print(f"max78k synthesize fer7 {ours:6.2f} s (known answer checked on the accelerator model)")
    print(f"python, import numpy   {bare:6.2f} s")
    print(f"ratio                  {ratio:6.1f}")


if __name__ == "__main__":
    main()
