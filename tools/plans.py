"""Plan recorded networks from scratch and compare the plans with the placements by hand.

``python tools/plans.py DIR`` takes the networks of a known-answer corpus, drops every address and
processor map and the format of the input, plans anew and asks of each plan:

* run: the accelerator model gives the recorded output, and finds nothing to report;
* rules: the independent check of the placement is clean;
* data, kernels: the highest used byte of a data-memory instance and the highest used kernel column
  of a processor are no higher than by hand;
* cycles: the model's estimate is no more than by hand;
* seconds: the search takes no longer than its budget.

A network that is fed by FIFO or streams is planned twice. First these choices, which are no
addresses, are kept: what is compared is placed under the same conditions. Then they are dropped,
too (the line says ``free``): the planner must see by itself where a network has to stream. A plan
that streams fewer layers than the placement by hand holds more data and takes fewer cycles; of it
the data are not compared.

It prints a line per plan and a closing line, and exits with 5 if anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from golden import accepted
from golden_recorded import Recorded
from numpy.typing import NDArray

from max78k.chip import addresses
from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.cycles import layer_cycles
from max78k.compiler.placement import MEMORY, Placement
from max78k.compiler.usage import usage
from max78k.errors import ExitCode, InputError, Max78kError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Network
from max78k.network.shapes import infer
from max78k.report.tables import count, table

# Recordings that are not of the network that the description means.
LEFT_OUT = {
    "t-multilayer-eltwise": "one 20x20 map read as two interleaved ones of 20x10",
}
# Recorded kernels that are not those of the network as it runs here: the placement by hand is
# compiled here, and counted.
UNLIKE = {
    "t-mlpflatten12to100": "4 kernels fewer than its two passes of 52 outputs",
    "t-mlpflatten12to100-big": "4 kernels fewer than its two passes of 52 outputs",
}
HEADERS = ("network", "data", "by hand", "kernels", "by hand", "cycles", "by hand", "s", "faults")


class Figures(NamedTuple):
    """What a placement costs: end of the data in an instance (bytes) and of the kernels in a
    processor (columns), cycles of a run.
    """

    data: int
    kernels: int
    cycles: int


@dataclass(frozen=True)
class Case:
    """A recorded network, the digest of each output, and the figures of the placement by hand.

    ``feed`` is how the input comes in; None leaves that and what streams to the planner.
    ``streaming`` is the number of layers that stream by hand.
    """

    name: str
    network: Network
    feed: str | None
    sample: NDArray[np.int8]
    digests: tuple[str, ...]
    figures: Figures
    streaming: int


@dataclass
class Outcome:
    """The figures of a plan and what is wrong with it: nothing, if it passed."""

    case: str
    seconds: float = 0.0
    figures: Figures = field(default_factory=lambda: Figures(0, 0, 0))
    faults: list[str] = field(default_factory=list)


def load(folder: Path) -> list[Case]:
    """The cases that ``folder`` holds; raises a Max78kError where it is no network."""
    recorded = Recorded(folder)
    network, by_hand = recorded.network(columns=False)
    meta = recorded.meta
    digests = tuple(
        meta["tensors"][str(number)]["out"]["sha256_i32"]
        for number, layer in enumerate(network.layers)
        if layer.name in network.outputs
    )
    kernels, cycles = _kernel_end(recorded), meta["latency_total_est"]
    if folder.name in UNLIKE:
        placement = plan(network, by_hand)
        kernels = usage(network, placement).kernel_end
        cycles = sum(layer_cycles(network, placement).values())
    figures = Figures(_data_end(network, by_hand), kernels, cycles)
    kept = Case(
        folder.name, network, by_hand.feed, recorded.sample, digests, figures, _streams(network)
    )
    if by_hand.feed == MEMORY:
        return [kept]
    layers = tuple(replace(layer, streaming=False) for layer in network.layers)
    bare = replace(network, layers=layers)
    return [kept, replace(kept, name=f"{folder.name} free", network=bare, feed=None)]


def _data_end(network: Network, by_hand: Placement) -> int:
    """One past the highest byte of an instance that the placement by hand uses."""
    rows = {
        name: replace(row, kernel_column=0, bias_quadrant=0, bias_start=0)
        for name, row in by_hand.layers.items()
    }
    return usage(network, replace(by_hand, layers=rows)).data_bytes


def _kernel_end(recorded: Recorded) -> int:
    """One past the highest recorded kernel column of a processor."""
    image = recorded.image
    if "kern_block_addr" not in image:
        return 0
    offset = image["kern_block_addr"].astype(np.int64) % addresses.KERNEL_STRIDE
    columns = offset // addresses.KERNEL_COLUMN_STRIDE + image["kern_block_len"]
    return int(columns.max(initial=0))


def names(corpus: Path, prefixes: Sequence[str]) -> list[str]:
    """The accepted cases whose name begins with one of ``prefixes``.

    Those that ``EXCEPTIONS.md`` names are among them: their recorded tensors are right.
    """
    start = tuple(prefixes)
    return [name for name in accepted(corpus) if name.startswith(start) and name not in LEFT_OUT]


def cases(corpus: Path, prefixes: Sequence[str]) -> Iterator[Case]:
    """All of them, one after another."""
    for name in names(corpus, prefixes):
        yield from load(corpus / name)


def compare(case: Case, seconds: float) -> Outcome:
    """Plan, check, run and compare one case."""
    outcome = Outcome(case.name)
    start = time.process_time()
    try:
        wish = Placement({}, feed=case.feed) if case.feed else None
        network, placement = arrange(case.network, wish, seconds)
        outcome.seconds = time.process_time() - start
        image = assemble(network, placement, case.sample)
    except Max78kError as error:
        outcome.faults.append(str(error))
        return outcome
    runner = ImageRunner(image)
    values = runner.infer(case.sample)
    outcome.faults += [str(error) for error in placement_rules.check(network, placement)]
    outcome.faults += runner.findings
    if digests(network, values) != case.digests:
        outcome.faults.append("run: another output than recorded")
    used = usage(network, placement)
    outcome.figures = Figures(used.data_bytes, used.kernel_end, runner.cycles)
    for name, planned, by_hand in zip(Figures._fields, outcome.figures, case.figures, strict=True):
        if planned > by_hand and not (name == "data" and _streams(network) < case.streaming):
            outcome.faults.append(f"{name}: {planned - by_hand} more than by hand")
    if outcome.seconds > seconds:
        outcome.faults.append(f"seconds: {outcome.seconds - seconds:.1f} more than the budget")
    return outcome


def _streams(network: Network) -> int:
    return sum(layer.streaming for layer in network.layers)


def digests(network: Network, values: NDArray[np.int64]) -> tuple[str, ...]:
    """SHA-256 of each output as 32-bit integers."""
    shapes = infer(network)
    sizes = [math.prod(shapes[name].output) for name in network.outputs]
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return tuple(hashlib.sha256(part.astype("<i4").tobytes()).hexdigest() for part in parts)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("corpus", type=Path, metavar="DIR", help="the corpus")
    parser.add_argument("--prefix", nargs="+", default=["n-", "t-"], help="of the cases' names")
    parser.add_argument("--seconds", type=float, default=5.0, help="search budget for a network")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _arguments(arguments)
    rows, failed, totals = [], 0, np.zeros(6, np.int64)
    try:
        for case in cases(options.corpus, options.prefix):
            outcome = compare(case, options.seconds)
            print(case.name, *outcome.faults, file=sys.stderr, flush=True)
            failed += bool(outcome.faults)
            pairs = zip(outcome.figures, case.figures, strict=True)
            numbers = [number for pair in pairs for number in pair]
            totals += numbers
            rows.append(_row(case.name, numbers, outcome.seconds, outcome.faults))
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    total = _row("all", totals.tolist(), sum(float(row[-2]) for row in rows), [])
    print(table(HEADERS, rows, total))
    skipped = sum(name.startswith(tuple(options.prefix)) for name in LEFT_OUT)
    print(f"{len(rows) - failed} passed, {failed} failed, {skipped} skipped")
    return ExitCode.KNOWN_ANSWER_MISMATCH if failed else ExitCode.OK


def _row(
    name: str, numbers: Sequence[int], seconds: float, faults: Sequence[str]
) -> tuple[str, ...]:
    return (name, *map(count, numbers), f"{seconds:.2f}", "; ".join(faults))


if __name__ == "__main__":
    sys.exit(main())
