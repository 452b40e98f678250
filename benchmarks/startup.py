"""Start-up time of ``max78k --help``, against a bare Python that imports click.

Run: python benchmarks/startup.py
"""

from __future__ import annotations

import sys

from timing import interleaved, max78k, whole_process_seconds


def main() -> None:
    """Print both medians and their ratio."""
    baseline = [sys.executable, "-c", "import click"]
    ours, bare, ratio = interleaved(
        lambda: whole_process_seconds(max78k("--help")),
        lambda: whole_process_seconds(baseline),
        rounds=15,
    )
    print(f"max78k --help        {ours * 1000:7.1f} ms")
    print(f"python, import click {bare * 1000:7.1f} ms")
    print(f"ratio                {ratio:7.2f}")


if __name__ == "__main__":
    main()
