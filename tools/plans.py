"""Plan recorded networks from scratch and compare the plans with the placements by hand.

``python tools/plans.py DIR`` takes the networks of a known-answer corpus that are described as the
integer network and a placement (no streaming), drops every address and processor map,
plans anew and asks of each plan:

* run: the accelerator model gives the recorded output, and finds nothing to report;
* rules: the independent check of the placement is clean;
* data, kernels: the highest used byte of a data-memory instance and the highest used kernel column
  of a processor are no higher than by hand;
* cycles: the model's estimate is no more than by hand.

It prints a line per network and a closing line, and exits with 5 if anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from golden import accepted, excepted
from numpy.typing import NDArray

from max78k.chip import addresses
from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.compiler.placement import Placement
from max78k.compiler.usage import usage
from max78k.errors import ExitCode, InputError, Max78kError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import bind, read_yaml
from max78k.network import Network, Operation
from max78k.network.shapes import infer
from max78k.report.tables import count, table

# Recorded networks whose figures are not those of the network that the description means.
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
    """A recorded network, the digest of each output, and the figures of the placement by hand."""

    name: str
    network: Network
    sample: NDArray[np.int8]
    digests: tuple[str, ...]
    figures: Figures


@dataclass
class Outcome:
    """The figures of a plan and what is wrong with it: nothing, if it passed."""

    case: str
    seconds: float = 0.0
    figures: Figures = field(default_factory=lambda: Figures(0, 0, 0))
    faults: list[str] = field(default_factory=list)


def layer_weights(folder: Path, meta: dict[str, Any]) -> Iterator[LayerWeights]:
    """The recorded weights in PyTorch's axis order."""
    with np.load(folder / "weights.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    for key in sorted(name for name in arrays if name.endswith(".w")):
        start = key[:-2]
        row = meta["layers"][int(start[1:])]
        weight, bits = arrays[key], int(arrays[f"{start}.bits"])
        if row["operator"] == "convtranspose2d":
            weight = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
        elif row["operator"] == "conv1d":
            weight = weight.reshape(*weight.shape[:2], -1)
        shift = row["output_shift"] - 8 + bits
        weight = np.ascontiguousarray(weight)
        yield LayerWeights(start, weight, arrays.get(f"{start}.b"), bits, shift)


def load(folder: Path) -> Case:
    """The case in ``folder``; raises a Max78kError where it is no Network and Placement."""
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    if meta["input_mode"] != "memory" or any(row["streaming"] for row in meta["layers"]):
        raise InputError("E-PLANS-STREAM", f"{folder.name} streams or is fed by FIFO.")
    description = read_yaml(folder / "network.yaml")
    sample = np.load(folder / "input.npy", allow_pickle=False).astype(np.int8)
    one_axis = any(layer.operation is Operation.CONV1D for layer in description.layers)
    if one_axis and sample.ndim == 3 and sample.shape[2] == 1:
        sample = sample[..., 0]  # the recording gives 1-D data a second axis of 1
    network, by_hand = bind(description, list(layer_weights(folder, meta)), sample.shape)
    network = replace(network, average_rounds="--avg-pool-rounding" in meta["options"])
    digests = tuple(
        meta["tensors"][str(number)]["out"]["sha256_i32"]
        for number, layer in enumerate(network.layers)
        if layer.name in network.outputs
    )
    figures = Figures(_data_end(network, by_hand), _kernel_end(folder), meta["latency_total_est"])
    return Case(folder.name, network, sample, digests, figures)


def _data_end(network: Network, by_hand: Placement) -> int:
    """One past the highest byte of an instance that the placement by hand uses."""
    rows = {
        name: replace(row, kernel_column=0, bias_quadrant=0, bias_start=0)
        for name, row in by_hand.layers.items()
    }
    return usage(network, replace(by_hand, layers=rows)).data_bytes


def _kernel_end(folder: Path) -> int:
    """One past the highest recorded kernel column of a processor."""
    with np.load(folder / "image.npz", allow_pickle=False) as image:
        if "kern_block_addr" not in image.files:
            return 0
        offset = image["kern_block_addr"].astype(np.int64) % addresses.KERNEL_STRIDE
        columns = offset // addresses.KERNEL_COLUMN_STRIDE + image["kern_block_len"]
    return int(columns.max(initial=0))


def cases(corpus: Path, prefixes: Sequence[str]) -> Iterator[Case]:
    """The recorded networks whose name begins with one of ``prefixes`` and that can be planned.

    Cases that ``EXCEPTIONS.md`` names are left out: their recording is not to be trusted.
    """
    skipped = excepted(corpus) | UNLIKE.keys()
    for name in accepted(corpus):
        if name.startswith(tuple(prefixes)) and name not in skipped:
            with suppress(Max78kError):
                yield load(corpus / name)


def compare(case: Case, seconds: float) -> Outcome:
    """Plan, check, run and compare one case."""
    outcome = Outcome(case.name)
    start = time.perf_counter()
    try:
        network = lower(case.network)
        placement = plan(network, seconds=seconds)
        outcome.seconds = time.perf_counter() - start
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
        if planned > by_hand:
            outcome.faults.append(f"{name}: {planned - by_hand} more than by hand")
    return outcome


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
    print(f"{len(rows) - failed} passed, {failed} failed")
    return ExitCode.KNOWN_ANSWER_MISMATCH if failed else ExitCode.OK


def _row(
    name: str, numbers: Sequence[int], seconds: float, faults: Sequence[str]
) -> tuple[str, ...]:
    return (name, *map(count, numbers), f"{seconds:.2f}", "; ".join(faults))


if __name__ == "__main__":
    sys.exit(main())
