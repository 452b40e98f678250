"""Draw random networks from the chip's rules and compare the accelerator model with the reference.

``python tools/random_networks.py --count N --seed S`` draws networks of all layer kinds, plans and
assembles them, runs them on the accelerator model and compares every output value. Each network is
then broken in one place, and exactly the intended rule must refuse it; so is its placement, and
what is still accepted after a random change of place must give the same values. A failure is shrunk
to the smallest network that still fails and written to ``--out`` as ``.npz`` with a text beside it.
Exits with 5 if anything failed. Network number n of a seed is the same in every run: ``--first``
goes on where an earlier run stopped.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from draw_networks import Drawn, draw
from misplace import misplaced
from shrink_networks import describe, shrink

from max78k.chip import limits
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.compiler.placement import MEMORY
from max78k.errors import ExitCode, RuleError
from max78k.files import write_text
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool, reference, rules
from max78k.network.geometry import geometry
from max78k.network.network import INPUT

_GROWN = {"E-RULE-DATA-OUTPUT"}  # a kernel of another size may make more outputs than fit
_FULL = {"E-RULE-DATA-FIT", "E-RULE-KERNEL-FIT", "E-RULE-BIAS-FIT"}  # a network may be too large


def difference(drawn: Drawn, seconds: float = 0.5) -> str:
    """What is wrong with the planned network on the model; empty if nothing, or if it is refused.

    A refusal for want of room is no fault; it begins with "full".
    """
    network = drawn.network
    sample = np.random.default_rng(1).integers(-128, 128, network.input_shape).astype(np.int8)
    try:
        lowered = lower(network)
        expected = reference.outputs(network, sample[None])[0]
        if not np.array_equal(reference.outputs(lowered, sample[None])[0], expected):
            return "lowering changes values"
        if {error.code for error in rules.check(lowered)} == {"E-RULE-LAYERS"}:
            return "full: layers"
        image = assemble(lowered, plan(lowered, drawn.given, seconds), sample)
    except RuleError as error:
        if {violation.code for violation in error.violations} <= _FULL:
            return f"full: {error.code}"
        return f"refused: {error}"
    runner = ImageRunner(image)
    values = runner.infer(sample)
    if runner.findings:
        return f"model: {runner.findings[0]}"
    wrong = int(np.count_nonzero(values != expected))
    return f"{wrong} of {len(values)} values differ" if wrong else ""


def _is_fault(text: str) -> bool:
    return bool(text) and not text.startswith("full")


def near_misses(given: Network) -> Iterator[tuple[str, Network]]:
    """The network broken in one place, with the rule that alone must refuse it."""
    if given.layers[0].dilation == 1:  # else pooling and operands break another rule as well
        yield from _first_misses(given, given.layers[0])
    for layer in given.layers:
        yield from _layer_misses(given, layer)


def _first_misses(given: Network, first: Layer) -> Iterator[tuple[str, Network]]:
    windows = (17, 1) if len(given.input_shape) == 2 else (17, 17)
    pools = (
        ("E-RULE-POOL-SIZE", Pool("avg", windows, (1, 1))),
        ("E-RULE-POOL-STRIDE", Pool("max", (1, 1), (17, 1))),
    )
    for code, pool in pools:
        yield code, given.with_layer(first.name, pool=pool, pool_first=True)
    alone = {"eltwise": Eltwise.ADD, "inputs": (INPUT,), "split": 1}
    yield "E-RULE-OPERANDS", given.with_layer(first.name, **alone)


def _layer_misses(given: Network, layer: Layer) -> Iterator[tuple[str, Network]]:
    if layer.weight is None:
        yield (
            "E-RULE-PASSTHROUGH",
            given.with_layer(layer.name, activation=Activation.RELU),
        )
        return
    outside = layer.weight.copy()
    outside.flat[0] = 1 << (min(layer.weight_bits, 4) - 1)
    if layer.weight_bits < 8:
        yield "E-RULE-WEIGHT-BITS", given.with_layer(layer.name, weight=outside)
    yield "E-RULE-SHIFT", given.with_layer(layer.name, output_shift=8 + layer.weight_bits)
    yield "E-RULE-WEIGHT-SHAPE", given.with_layer(layer.name, bias=np.zeros(2000, np.int8))
    if layer.operation is not Operation.CONV1D:
        yield "E-RULE-DILATION", given.with_layer(layer.name, dilation=2)
    if layer.operation is Operation.CONV2D:
        yield "E-RULE-PADDING", given.with_layer(layer.name, padding=layer.weight.shape[2])
    width = {"output_width": 32, "activation": Activation.RELU}
    yield "E-RULE-OUTPUT-WIDTH", given.with_layer(layer.name, **width)
    readers = [other for other in given.layers if layer.name in other.inputs]
    words = 4 * geometry(given)[given.layers.index(layer)].out_words
    if readers and layer.activation is Activation.NONE and words <= limits.INSTANCE_WORDS:
        yield "E-RULE-WIDE-READ", given.with_layer(layer.name, output_width=32)
    if layer.operation is Operation.CONV2D and not readers:
        square = np.zeros((*layer.weight.shape[:2], 2, 2), np.int8)
        if given.weight_bytes + square.nbytes <= limits.KERNEL_BYTES:
            yield "E-RULE-KERNEL-SIZE", given.with_layer(layer.name, weight=square, padding=1)


def missed(given: Network) -> list[str]:
    """Near misses that are refused by no rule or another one."""
    lowered, found = lower(given), []
    if rules.check(lowered):
        return []
    for code, broken in near_misses(lowered):
        codes = {error.code for error in rules.check(broken)}
        if codes - _GROWN != {code}:
            found.append(f"near miss: {sorted(codes)} instead of {code}")
    return found


def _fault(drawn: Drawn) -> str:
    """Any fault of a network: in its run, or in the way its near misses are refused."""
    text = difference(drawn)
    return text if _is_fault(text) else _refusals(drawn)


def _refusals(drawn: Drawn) -> str:
    """Near misses of the network and of its placement that are not refused as they should be."""
    return "; ".join([*missed(drawn.network), *misplaced(drawn.network, drawn.given)])


def _kind(text: str) -> str:
    """What kind of fault a text is about: the first rule that it names, else its first words."""
    codes = re.findall(r"E-[A-Z0-9-]+", text)
    return codes[0] if codes else text.split(":")[0] if ":" in text else "values"


def _report(folder: Path, name: str, drawn: Drawn, text: str) -> None:
    """Shrink and write a failure."""
    kind = _kind(text)

    def fails(candidate: Network) -> bool:
        other = _fault(replace(drawn, network=candidate))
        return bool(other) and _kind(other) == kind

    small = shrink(drawn.network, fails)
    folder.mkdir(parents=True, exist_ok=True)
    small.save(folder / f"{name}.npz")
    given = "" if drawn.given is None else f"given {drawn.given}\n"
    described = describe(small, _fault(replace(drawn, network=small)))
    write_text(folder / f"{name}.txt", described + given)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=200, metavar="N", help="number of networks")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all networks")
    parser.add_argument("--first", type=int, default=0, metavar="F", help="number of the first one")
    parser.add_argument("--out", type=Path, default=Path("failures"), help="folder for failures")
    return parser.parse_args(arguments)


def features(drawn: Drawn) -> Iterator[str]:
    """What a network has, once for every layer that has it."""
    for layer in drawn.network.layers:
        yield layer.operation.value
        marks = {
            "element-wise": layer.eltwise is not None,
            "operands of one tensor": layer.split > 1,
            "concatenation": layer.eltwise is None and len(layer.inputs) > 1,
            "seen in another size": layer.view is not None,
            "read in part": layer.cut is not None,
            "streaming": layer.streaming,
            "32-bit output": layer.output_width == 32,
        }
        yield from (what for what, has in marks.items() if has)
    if len(drawn.network.outputs) > 1:
        yield "several outputs"
    if drawn.given is not None:
        fed = drawn.given.feed != MEMORY
        yield f"fed by {drawn.given.feed}" if fed else "write gap"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _arguments(arguments)
    failed, seen = 0, Counter[str]()
    for number in range(options.first, options.first + options.count):
        drawn = draw(options.seed, number)
        seen.update(features(drawn))
        run = difference(drawn)
        seen[run] += run.startswith("full")
        text = run if _is_fault(run) else _refusals(drawn)
        if text:
            failed += 1
            name = f"seed{options.seed}-{number}"
            print(f"FAILED {name}: {text}", flush=True)
            _report(options.out, name, drawn, text)
    print(", ".join(f"{count} {what}" for what, count in sorted(seen.items()) if count))
    print(f"{options.count - failed} passed, {failed} failed")
    return ExitCode.KNOWN_ANSWER_MISMATCH if failed else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
