"""Draw random networks from the chip's rules and compare the accelerator model with the reference.

``python tools/random_networks.py --count N --seed S`` draws networks of all layer kinds, plans and
assembles them, runs them on the accelerator model and compares every output value. Each network is
then broken in one place, and exactly the intended rule must refuse it. A failure is shrunk to the
smallest network that still fails and written to ``--out`` as ``.npz`` with a text beside it. Exits
with 5 if anything failed. Network number n of a seed is the same in every run: ``--first`` goes on
where an earlier run stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shrink_networks import describe, shrink

from max78k.chip import limits
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.errors import ExitCode, Max78kError, RuleError
from max78k.files import write_text
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool, reference, rules
from max78k.network.geometry import geometry
from max78k.network.network import INPUT
from max78k.network.shapes import Shape, layer_shapes

Int8Array = NDArray[np.int8]
_LARGEST = 700  # values of a channel: what the reference and the model do in milliseconds
_FULL = {"E-RULE-DATA-FIT", "E-RULE-KERNEL-FIT", "E-RULE-BIAS-FIT"}  # a network may be too large


@dataclass
class Draw:
    """A network being drawn, layer by layer; ``shapes`` has all data so far."""

    rng: np.random.Generator
    shapes: dict[str, Shape] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)

    def one_of(self, *choices: Any) -> Any:
        """One of several, all as likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        """A whole number in low...high."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def values(self, bits: int, *shape: int) -> Int8Array:
        """Two's complement numbers of ``bits`` bits."""
        half = 1 << (bits - 1)
        return self.rng.integers(-half, half, shape).astype(np.int8)

    def channels(self) -> int:
        """Mostly few, sometimes more than a pass holds."""
        return int(self.one_of(self.number(1, 16), self.number(1, 64), self.number(60, 150)))

    def add(self, operation: Operation, sources: tuple[str, ...], **fields: Any) -> bool:
        """Add a layer if its shapes are possible and its data small enough."""
        layer = Layer(f"L{len(self.layers)}", operation, sources, **fields)
        try:
            shape = layer_shapes(layer, [self.shapes[name] for name in sources]).output
        except Max78kError:
            return False
        if math.prod(shape[1:]) > _LARGEST:
            return False
        self.layers.append(layer)
        self.shapes[layer.name] = shape
        return True


def network(seed: int, number: int) -> Network:
    """Random network ``number`` of a seed, inside the rules of the chip."""
    draw = Draw(np.random.default_rng([seed, number]))
    planes = draw.one_of(1, 2, 2, 2)
    draw.shapes[INPUT] = (draw.channels(), *(draw.number(1, 24) for _ in range(planes)))
    wanted = draw.number(1, 7)
    for _ in range(8 * wanted):
        if len(draw.layers) == wanted:
            break
        before = list(draw.layers)
        _step(draw)
        if len(draw.layers) > len(before) and rules.check(lower(_network(draw))):
            draw.shapes.pop(draw.layers[-1].name)
            draw.layers = before
    if not draw.layers:
        draw.shapes = {INPUT: (3, 5, 4)}
        _convolution(draw, (INPUT,))
    return _network(draw)


def _network(draw: Draw) -> Network:
    """All layers that nobody reads are outputs."""
    read = {name for layer in draw.layers for name in layer.inputs}
    outputs = tuple(layer.name for layer in draw.layers if layer.name not in read)
    rounds = len(draw.shapes[INPUT]) % 2 == 1
    shape = draw.shapes[INPUT]
    return Network("random", shape, tuple(draw.layers), outputs, average_rounds=rounds)


def _step(draw: Draw) -> None:
    """One more layer, mostly behind the last one."""
    wide = {layer.name for layer in draw.layers if layer.output_width == 32}
    names = [name for name in draw.shapes if name not in wide]
    if not names:
        return
    source = names[-1] if draw.chance(0.7) else draw.one_of(*names)
    shape = draw.shapes[source]
    alike = [name for name in names if draw.shapes[name] == shape]
    level = [name for name in names if draw.shapes[name][1:] == shape[1:]]
    if draw.chance(0.25) and len(names) > 1:
        parts = tuple(draw.one_of(*alike) for _ in range(draw.number(2, 3)))
        draw.one_of(_pass_through, _convolution)(draw, parts, draw.one_of(*Eltwise))
    elif draw.chance(0.25) and len(level) > 1:
        parts = tuple(dict.fromkeys(draw.one_of(*level) for _ in range(draw.number(2, 3))))
        draw.one_of(_pass_through, _convolution)(draw, parts)
    else:
        kinds = (_convolution, _convolution, _convolution, _transposed, _linear, _pass_through)
        draw.one_of(*kinds)(draw, (source,))


def _kernel_fields(draw: Draw, outputs: int, fan_in: int, bits: int) -> dict[str, Any]:
    """Bias, shift, activation and width of a layer with kernels."""
    narrow = 2 * (bits == 1)
    shift = min(7, -round(math.log2(max(fan_in, 1)) / 2) + draw.number(-1, 2) + narrow)
    fields: dict[str, Any] = {
        "weight_bits": bits,
        "bias": draw.values(8, outputs) if draw.chance(0.6) else None,
        "output_shift": max(shift, bits - 20),
        "activation": draw.one_of(*Activation),
    }
    if draw.chance(0.1):
        fields |= {"output_width": 32, "activation": Activation.NONE}
    return fields


def _pool(draw: Draw, shape: Shape) -> Pool | None:
    """None as often as not; sizes that the data have room for."""
    if len(shape) < 2 or draw.chance(0.5):
        return None
    stride = draw.number(1, draw.one_of(2, 4))
    sizes = [draw.number(1, min(n, draw.one_of(2, 5, 16))) for n in shape[1:]]
    size, strides = (*sizes, 1)[:2], (stride, stride if len(sizes) > 1 else 1)
    return Pool(draw.one_of("max", "avg"), (size[0], size[1]), strides)


def _joined(draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None) -> Shape:
    shape = draw.shapes[sources[0]]
    count = shape[0] if eltwise else sum(draw.shapes[name][0] for name in sources)
    return (count, *shape[1:])


def _convolution(draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None = None) -> None:
    shape = _joined(draw, sources, eltwise)
    outputs, bits = draw.channels(), draw.one_of(8, 8, 4, 2, 1)
    fields: dict[str, Any] = {"eltwise": eltwise, "pool": _pool(draw, shape)}
    fields["pool_first"] = eltwise is None or draw.chance(0.5)
    operation = Operation.CONV1D if len(shape) == 2 else Operation.CONV2D
    if operation is Operation.CONV1D:
        size = draw.number(1, 9)
        fields["dilation"] = draw.one_of(1, 1, 2) if size <= 4 else 1
        kernel: tuple[int, ...] = (size,)
        room = (size - 1) * fields["dilation"]
    else:
        size = draw.one_of(1, 3, 3)
        kernel, room = (size, size), size - 1
    fields["padding"] = draw.number(0, min(2, room))
    fan_in = shape[0] * math.prod(kernel)
    weight = draw.values(bits, outputs, shape[0], *kernel)
    fields |= _kernel_fields(draw, outputs, fan_in, bits)
    draw.add(operation, sources, weight=weight, **fields)


def _transposed(draw: Draw, sources: tuple[str, ...]) -> None:
    shape = draw.shapes[sources[0]]
    outputs, bits = draw.number(1, 70), draw.one_of(8, 8, 4, 2, 1)
    weight = draw.values(bits, shape[0], outputs, 3, 3)
    fields = _kernel_fields(draw, outputs, 3 * shape[0], bits)
    pool, padding = _pool(draw, shape), draw.number(0, 2)
    draw.add(
        Operation.CONVTRANSPOSE2D, sources, weight=weight, pool=pool, padding=padding, **fields
    )


def _linear(draw: Draw, sources: tuple[str, ...]) -> None:
    shape = draw.shapes[sources[0]]
    pool = _pool(draw, shape) if draw.chance(0.3) else None
    probe = Layer("probe", Operation.PASSTHROUGH, sources, pool=pool)
    inputs = math.prod(layer_shapes(probe, [shape]).pooled)
    outputs, bits = draw.number(1, 110), draw.one_of(8, 8, 4, 2, 1)
    fields = _kernel_fields(draw, outputs, inputs, bits)
    weight = draw.values(bits, outputs, inputs)
    draw.add(Operation.LINEAR, sources, weight=weight, pool=pool, **fields)


def _pass_through(draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None = None) -> None:
    pool = _pool(draw, _joined(draw, sources, eltwise))
    first = eltwise is None or draw.chance(0.5)
    draw.add(Operation.PASSTHROUGH, sources, pool=pool, eltwise=eltwise, pool_first=first)


def difference(given: Network, seconds: float = 0.5) -> str:
    """What is wrong with the planned network on the model; empty if nothing, or if it is refused.

    A refusal for want of room is no fault; it begins with "full".
    """
    sample = np.random.default_rng(1).integers(-128, 128, given.input_shape).astype(np.int8)
    try:
        lowered = lower(given)
        expected = reference.outputs(given, sample[None])[0]
        if not np.array_equal(reference.outputs(lowered, sample[None])[0], expected):
            return "lowering changes values"
        if {error.code for error in rules.check(lowered)} == {"E-RULE-LAYERS"}:
            return "full: layers"
        image = assemble(lowered, plan(lowered, seconds=seconds), sample)
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
    first = given.layers[0]
    windows = (17, 1) if len(given.input_shape) == 2 else (17, 17)
    yield "E-RULE-POOL-SIZE", given.with_layer(first.name, pool=Pool("avg", windows, (1, 1)))
    yield "E-RULE-POOL-STRIDE", given.with_layer(first.name, pool=Pool("max", (1, 1), (17, 1)))
    yield "E-RULE-OPERANDS", given.with_layer(first.name, eltwise=Eltwise.ADD, inputs=(INPUT,))
    for layer in given.layers:
        yield from _layer_misses(given, layer)


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
        if square.nbytes <= limits.KERNEL_BYTES // 4:
            yield "E-RULE-KERNEL-SIZE", given.with_layer(layer.name, weight=square, padding=1)


def missed(given: Network) -> list[str]:
    """Near misses that are refused by no rule or another one."""
    lowered, found = lower(given), []
    if rules.check(lowered):
        return []
    for code, broken in near_misses(lowered):
        codes = {error.code for error in rules.check(broken)}
        if codes != {code}:
            found.append(f"near miss: {sorted(codes)} instead of {code}")
    return found


def _fault(given: Network) -> str:
    """Any fault of a network: in its run, or in the way its near misses are refused."""
    text = difference(given)
    return text if _is_fault(text) else "; ".join(missed(given))


def _report(folder: Path, name: str, given: Network, text: str) -> None:
    """Shrink and write a failure."""
    kind = text.split(":")[0] if ":" in text else "values"

    def fails(candidate: Network) -> bool:
        other = _fault(candidate)
        return bool(other) and (other.split(":")[0] if ":" in other else "values") == kind

    small = shrink(given, fails)
    folder.mkdir(parents=True, exist_ok=True)
    small.save(folder / f"{name}.npz")
    write_text(folder / f"{name}.txt", describe(small, _fault(small)))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=200, metavar="N", help="number of networks")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all networks")
    parser.add_argument("--first", type=int, default=0, metavar="F", help="number of the first one")
    parser.add_argument("--out", type=Path, default=Path("failures"), help="folder for failures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _arguments(arguments)
    failed, seen = 0, Counter[str]()
    for number in range(options.first, options.first + options.count):
        drawn = network(options.seed, number)
        seen.update(layer.operation.value for layer in drawn.layers)
        run = difference(drawn)
        seen[run] += run.startswith("full")
        text = run if _is_fault(run) else "; ".join(missed(drawn))
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
