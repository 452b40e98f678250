"""``python -m max78k.simulator ELF``: a virtual board on a pseudo-terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from max78k.errors import Max78kError
from max78k.files import file_error
from max78k.simulator.disturbances import EXAMPLES, parse
from max78k.simulator.serve import serve_terminal


def main(arguments: list[str] | None = None) -> int:
    """Print ``pty PATH`` when the board runs; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m max78k.simulator", description=__doc__)
    parser.add_argument("elf", type=Path, help="program for the MAX78000")
    parser.add_argument("--link", type=Path, help="symbolic link to make to the pseudo-terminal")
    parser.add_argument("--strict", action="store_true", help="end at the first finding")
    parser.add_argument("--seed", type=int, help="of the random number generator")
    parser.add_argument("--fault", default="", help=f"what is to go wrong: such as {EXAMPLES}")
    parser.add_argument("--power", type=Path, help="where the estimated current is written")
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="end when standard input is closed"
    )
    options = parser.parse_args(arguments)
    try:
        serve_terminal(
            options.elf,
            link=options.link,
            strict=options.strict,
            seed=options.seed,
            disturbances=parse(options.fault),
            stop_with_stdin=options.stop_with_stdin,
            power=options.power,
            ready=lambda path: print(f"pty {path}", flush=True),
        )
    except (Max78kError, OSError) as error:
        told = error if isinstance(error, Max78kError) else file_error(error)
        if told is None:
            raise
        print(told, file=sys.stderr)
        return told.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
