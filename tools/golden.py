"""Hold max78k against a corpus of known answers.

``python tools/golden.py DIR`` compiles every case of the corpus and compares tensors, registers,
memories, unload maps and cycles with the recorded ones; what the peer refused must be refused by
the rule that is broken. ``python tools/golden.py --replay DIR`` replays the recorded bus accesses
on the accelerator model instead. Both print a line per failure and a closing line, and exit with 5
if anything failed. The folder's ``README.md`` describes the format of the cases, its
``EXCEPTIONS.md`` names those whose recording is not the truth.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from golden_compile import accepted_case
from golden_recorded import Outcome
from golden_refused import refused_case
from golden_replay import Replay, replay

from max78k.errors import ExitCode, InputError, Max78kError

__all__ = ["Replay", "accepted", "choose", "compile_cases", "excepted", "main", "replay"]


def excepted(corpus: Path) -> frozenset[str]:
    """Names of the cases whose recording is not to be trusted, from ``EXCEPTIONS.md``."""
    text = (corpus / "EXCEPTIONS.md").read_text("utf-8")
    return frozenset(re.findall(r"`([a-z]-[^`\s]+)`", text))


def accepted(corpus: Path) -> list[str]:
    """Names of the cases that were recorded without error, in order."""
    _require(corpus, "EXCEPTIONS.md")
    return [folder.name for folder in sorted(corpus.iterdir()) if (folder / "image.npz").is_file()]


def _require(corpus: Path, name: str) -> None:
    if not (corpus / name).is_file():
        raise InputError("E-GOLDEN-FOLDER", f"{corpus} has no {name}", "name the corpus")


def choose(corpus: Path, names: Sequence[str], sample: int, seed: int) -> list[str]:
    """A random ``sample`` of the cases (all if 0) that are not excepted, in order."""
    skipped = excepted(corpus)
    return _draw([name for name in names if name not in skipped], sample, seed)


def _draw(names: list[str], sample: int, seed: int) -> list[str]:
    if not sample or sample >= len(names):
        return names
    return sorted(random.Random(seed).sample(names, sample))


def index(corpus: Path) -> dict[str, Any]:
    """Features, or reason of refusal, of every case by name."""
    _require(corpus, "index.json")
    rows: dict[str, Any] = json.loads((corpus / "index.json").read_text("utf-8"))
    return rows


def compile_one(corpus: Path, trusted: frozenset[str], item: tuple[str, Any]) -> Outcome:
    """Compile one case, or see it refused; ``item`` is its name and its row of the index."""
    name, row = item
    if row["ok"]:
        return accepted_case(corpus / name, tuple(row["features"]), name in trusted)
    return refused_case(corpus / name, row["reject"])


def compile_cases(corpus: Path, names: Iterable[str], jobs: int = 1) -> Iterator[Outcome]:
    """Outcome of each case, in order."""
    rows = index(corpus)
    items = [(name, rows[name]) for name in names]
    one = partial(compile_one, corpus, frozenset(rows) - excepted(corpus))
    if jobs == 1:
        yield from map(one, items)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(one, items)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("corpus", type=Path, nargs="?", metavar="DIR", help="compile this corpus")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="replay this corpus instead")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N random cases")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample")
    parser.add_argument("--case", metavar="NAME", help="only this case, even if it is excepted")
    parser.add_argument("--findings", action="store_true", help="also print what the model reports")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (compiling)")
    options = parser.parse_args(arguments)
    if (options.corpus is None) == (options.replay is None):
        parser.error("name one folder: DIR, or --replay DIR")
    return options


def _only(names: list[str], chosen: list[str], case: str | None) -> tuple[list[str], list[str]]:
    if case is None:
        return names, chosen
    if case not in names:
        raise InputError("E-GOLDEN-CASE", f"no such case {case}")
    return [case], [case]


def _run_replay(options: argparse.Namespace) -> int:
    names = accepted(options.replay)
    chosen = choose(options.replay, names, options.sample, options.seed)
    names, chosen = _only(names, chosen, options.case)
    failed = 0
    for number, outcome in enumerate(replay(options.replay, chosen), start=1):
        print(f"[{number}/{len(chosen)}] {outcome.case}", file=sys.stderr)
        failed += not outcome.passed
        for text in outcome.differences:
            print(f"FAILED {outcome.case}: {text}", flush=True)
        for text in outcome.findings if options.findings else ():
            print(f"{outcome.case}: {text}", flush=True)
    skipped = sum(name in excepted(options.replay) for name in names if name not in chosen)
    print(f"{len(chosen) - failed} passed, {failed} failed, {skipped} skipped")
    return ExitCode.KNOWN_ANSWER_MISMATCH if failed else ExitCode.OK


def _run_compile(options: argparse.Namespace) -> int:
    names = sorted(index(options.corpus))
    excepted(options.corpus)
    names, chosen = _only(names, _draw(names, options.sample, options.seed), options.case)
    totals: dict[str, Counter[str]] = {"passed": Counter(), "failed": Counter()}
    count = Counter[str]()
    for number, outcome in enumerate(compile_cases(options.corpus, chosen, options.jobs), start=1):
        print(f"[{number}/{len(chosen)}] {outcome.case}", file=sys.stderr)
        verdict = "skipped" if outcome.skipped else "passed" if outcome.passed else "failed"
        count[verdict] += 1
        if verdict in totals:
            totals[verdict].update(outcome.features)
        if outcome.differences:
            more = len(outcome.differences) - 1
            first = outcome.differences[0].replace("\n", "; ")
            print(f"FAILED {outcome.case}: {first}" + (f" (and {more} more)" if more else ""))
    for feature in sorted(totals["passed"] | totals["failed"]):
        good, bad = (totals[verdict][feature] for verdict in ("passed", "failed"))
        print(f"{good:5} passed {bad:5} failed  {feature}")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return ExitCode.KNOWN_ANSWER_MISMATCH if count["failed"] else ExitCode.OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _arguments(arguments)
    try:
        return _run_replay(options) if options.replay else _run_compile(options)
    except Max78kError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
