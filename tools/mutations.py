"""Flip single bits of what is loaded into the accelerator; the known-answer test must fail.

``python tools/mutations.py --networks N --flips F --seed S`` takes random networks of all layer
kinds and flips F bits of the weights, bias entries, inputs and registers of each, one at a time.

A flipped weight, bias entry or input value is flipped in the network, too: the accelerator model
must give exactly the reference's answer for the network with the flip, whether that differs from
the known answer or not (a flip may vanish in rounding, clipping or pooling, in the reference as in
the model). A flipped register bit must change the output, or be reported; bits that can do neither
are listed in ``DONT_CARES`` with the reason. Exits with 5 if a flip goes unnoticed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from draw_networks import draw
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image, Write
from max78k.compiler.lowering import lower
from max78k.compiler.placement import Placement
from max78k.errors import ExitCode, RuleError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Eltwise, Layer, Network, reference

_LAYER_OFFSETS = {register.offset: register for register in cr.LAYER_REGISTERS}
_GLOBAL_OFFSETS = {register.offset: register for register in cr.GLOBAL_REGISTERS}
_WORD_BITS = 32


@dataclass(frozen=True)
class Target:
    """A register write of an image and the bit of it that is flipped."""

    image: Image
    part: str
    index: int
    bit: int

    @property
    def write(self) -> Write:
        """The write as it should be."""
        write: Write = getattr(self.image, self.part)[self.index]
        return write

    @property
    def quadrant(self) -> int:
        """Quadrant that is written to."""
        return (self.write.address - addresses.quadrant(0)) // addresses.QUADRANT_STRIDE

    @property
    def register(self) -> Register | None:
        """Register that is written."""
        offset = (self.write.address - addresses.quadrant(0)) % addresses.QUADRANT_STRIDE
        within = offset - addresses.LAYER_REGISTERS_OFFSET
        first = offset - within % addresses.LAYER_REGISTER_STRIDE
        return _GLOBAL_OFFSETS.get(offset) or _LAYER_OFFSETS.get(first)

    @property
    def name(self) -> str:
        """``REGISTER.FIELD``; ``REGISTER`` where the register has no fields."""
        register = self.register
        if register is None:
            return "AON" if self.write.address == addresses.CNN_AON else "?"
        for field in register.fields:
            if field.mask >> self.bit & 1:
                return f"{register.name}.{field.name}"
        return register.name

    def field(self, register: Register, name: str) -> int:
        """A field of the same layer and quadrant, as configured."""
        own = self.register
        assert own is not None
        address = self.write.address - own.offset + register.offset
        words = [write.value for write in self.image.configure if write.address == address]
        return register.field(name).get(words[-1] if words else 0)

    # What decides whether a bit can matter

    def always(self) -> bool:
        """In every case."""
        return True

    def replaced(self) -> bool:
        """A later write to the same register replaces the word before the run."""
        writes = [*self.image.init, *self.image.configure, *self.image.start]
        later = [write for write in writes if write.address == self.write.address]
        return self.register is cr.CTL and later[-1] is not self.write

    def not_fed(self) -> bool:
        """No FIFO feeds the network."""
        return not self.image.fifo_runs

    def passes_through(self) -> bool:
        """The layer has no kernels."""
        return not self.field(cr.EN, "KERNELS")

    def idle(self) -> bool:
        """A pass-through layer has no processors in this quadrant."""
        return not self.field(cr.EN, "PROCESSORS")

    def without_bias(self) -> bool:
        """The layer's bias is not in this quadrant."""
        return not self.field(cr.POST, "BIAS_EN")

    def without_shift(self) -> bool:
        """Nothing is shifted: the amount is 0, or the output has 32 bits."""
        return not self.field(cr.POST, "SHIFT") or self.wide()

    def wide(self) -> bool:
        """The output has 32 bits."""
        return bool(self.field(cr.LCTL0, "WIDE"))

    def single_operand(self) -> bool:
        """There is no element-wise operation."""
        return not self.field(cr.ONED, "ELTWISE")

    def without_pooling(self) -> bool:
        """There is no pooling."""
        return not self.field(cr.LCTL0, "POOL")

    def one_group(self) -> bool:
        """All outputs of a pass share a data instance."""
        bits = {code: width for width, code in cr.WEIGHT_WIDTH_CODE.items()}
        width = bits[self.field(cr.POST, "WEIGHT_WIDTH")]
        slots = self.field(cr.LCTL1, "LAST_SLOT") // width + 1
        return slots <= limits.PROCESSORS_PER_INSTANCE

    def one_time_slot(self) -> bool:
        """A convolution, or a pass-through layer of up to four processors a quadrant."""
        return not self.passes_through() or not self.field(cr.ONED, "TIME_SLOTS")


@dataclass(frozen=True)
class DontCare:
    """Fields whose bits change neither answer nor reports under a condition, and why."""

    names: tuple[str, ...]
    condition: Callable[[Target], bool]
    reason: str


DONT_CARES = (
    DontCare(("AON", "SRAM"), Target.always, "their fields are not public"),
    DontCare(
        ("CTL", *(f"CTL.{field.name}" for field in cr.CTL.fields)),
        Target.replaced,
        "the sequence of the start writes the register again",
    ),
    DontCare(("CTL.RDY_SEL", "CTL.EXT_RDY", "CTL.APBCLK"), Target.always, "timing of the bus"),
    DontCare(("CTL.MLAT_EN", "CTL.MLAT_BYTE"), Target.always, "a read port, no part of a run"),
    DontCare(("CTL.MEXPRESS",), Target.always, "kernels are loaded before the start"),
    DontCare(("CTL.IRQ",), Target.always, "software can only clear it"),
    DontCare(("CTL.EXT_SYNC", "CTL.MASTER"), Target.always, "the master follows nobody"),
    DontCare(
        ("CTL.FASTFIFO_EN", "CTL.FIFO_GROUP", "CTL.QUPAC"), Target.not_fed, "nothing uses a FIFO"
    ),
    DontCare(("POST.BIAS_START",), Target.without_bias, "no bias in this quadrant"),
    DontCare(("POST.SHIFT_RIGHT",), Target.without_shift, "nothing is shifted"),
    DontCare(("POST.SHIFT",), Target.wide, "a 32-bit output is not shifted"),
    DontCare(("ONED.FUNCTION", "ONED.OPERANDS"), Target.single_operand, "there is one operand"),
    DontCare(
        ("ONED.POOL_FIRST", "LCTL0.MAX_POOL"), Target.without_pooling, "there is no pooling"
    ),
    DontCare(
        (
            "POST.SHIFT", "POST.SHIFT_RIGHT", "POST.WEIGHT_WIDTH", "POST.ABS", "LCTL0.RELU",
            "LCTL0.WIDE", "LCTL1.LAST_SLOT", "MCNT.START", "ONED.BYTE_START", "ONED.LENGTH",
            "ONED.ONE_D", "WPTR_MOFFS", "WPTR_CHOFFS", "LCTL0.GLOBAL_WPTR",
        ),
        Target.passes_through,
        "belongs to convolution and post-processing, which a pass-through layer does not use",
    ),
    DontCare(
        ("EN.PROCESSORS", "ONED.TIME_SLOTS", "MCNT.MAX"),
        Target.passes_through,
        "more channels or passes are copied to bytes that nobody reads",
    ),
    DontCare(
        ("WPTR_BASE.WORD", "WPTR_BASE.INSTANCE"), Target.idle, "the quadrant writes nothing"
    ),
    DontCare(("WPTR_MOFFS",), Target.one_group, "all outputs share a data instance"),
    DontCare(("WPTR_TOFFS",), Target.one_time_slot, "there is no second time slot"),
)  # fmt: skip


@dataclass(frozen=True)
class Flip:
    """One flipped bit. ``noticed`` is empty if nothing shows it, ``why`` then says why that is so.

    ``kind`` is "weight", "bias", "input" or "register"; ``fault`` tells what is wrong, if anything.
    """

    kind: str
    place: str
    noticed: str = ""
    why: str = ""
    fault: str = ""


class Subject:
    """A network with its image; raises RuleError if it does not fit."""

    def __init__(self, given: Network, rng: np.random.Generator) -> None:
        self.network = lower(given)
        self.rng = rng
        self.sample = rng.integers(-128, 128, given.input_shape).astype(np.int8)
        self.placement: Placement = plan(self.network, seconds=0.5)
        self.image: Image = assemble(self.network, self.placement, self.sample)
        self.answer: NDArray[np.int64] = self.image.expected_output

    def fault(self) -> str:
        """What is wrong without any flip; empty if nothing."""
        runner = ImageRunner(self.image)
        if not np.array_equal(runner.infer(self.sample), self.answer):
            return "the answer is wrong without a flip"
        return "; ".join(runner.findings)

    def one_of(self, choices: Sequence[Any]) -> Any:
        """One of several, all as likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def flips(self, count: int) -> Iterator[Flip]:
        """``count`` flips of every kind that the network has."""
        layers = [layer for layer in self.network.layers if layer.weight is not None]
        biased = [layer for layer in layers if layer.bias is not None]
        for _ in range(count):
            if layers:
                yield self.weight(self.one_of(layers))
            if biased:
                yield self.bias(self.one_of(biased))
            yield self.input()
            yield self.register(self._target())

    def weight(self, layer: Layer) -> Flip:
        """Flip a bit of one weight."""
        assert layer.weight is not None
        bit = int(self.rng.integers(layer.weight_bits))
        weight, place = self._flipped(layer.weight, bit, layer.weight_bits)
        return self._values("weight", f"{layer.name}{place}", replace(layer, weight=weight))

    def bias(self, layer: Layer) -> Flip:
        """Flip a bit of one bias entry."""
        assert layer.bias is not None
        bias, place = self._flipped(layer.bias, int(self.rng.integers(8)), 8)
        if not bias.any() or not layer.bias.any():
            return Flip("bias", place, why="a bias of zeros is not loaded")
        return self._values("bias", f"{layer.name}{place}", replace(layer, bias=bias))

    def input(self) -> Flip:
        """Flip a bit of one input value."""
        sample, place = self._flipped(self.sample, int(self.rng.integers(8)), 8)
        expected = reference.outputs(self.network, sample[None])[0]
        return self._compare(Flip("input", place), self.image, sample, expected)

    def _flipped(
        self, values: NDArray[np.int8], bit: int, bits: int
    ) -> tuple[NDArray[np.int8], str]:
        """A copy with one bit of one value flipped, in two's complement of ``bits`` bits."""
        index = int(self.rng.integers(values.size))
        result = values.copy()
        flat, half = result.reshape(-1), 1 << (bits - 1)
        flat[index] = ((int(flat[index]) ^ 1 << bit) + half) % (2 * half) - half
        where = tuple(int(n) for n in np.unravel_index(index, values.shape))
        return result, f"{list(where)} bit {bit}"

    def _values(self, kind: str, place: str, layer: Layer) -> Flip:
        layers = tuple(layer if old.name == layer.name else old for old in self.network.layers)
        changed = replace(self.network, layers=layers)
        expected = reference.outputs(changed, self.sample[None])[0]
        flip = Flip(kind, place)
        try:
            image = assemble(changed, self.placement, self.sample)
        except RuleError:
            return replace(flip, why="layers that share kernels cannot differ")
        bits = _different_bits(self.image, image)
        if bits != 1:
            return replace(flip, fault=f"{bits} bits of the image differ")
        loaded = replace(self.image, kernels=image.kernels, bias=image.bias)
        return self._compare(flip, loaded, self.sample, expected)

    def _compare(
        self, flip: Flip, image: Image, sample: NDArray[np.int8], expected: NDArray[np.int64]
    ) -> Flip:
        values = ImageRunner(image).infer(sample)
        if not np.array_equal(values, expected):
            return replace(flip, fault="the model's answer is not that of the reference")
        if np.array_equal(expected, self.answer):
            return replace(flip, why="vanishes in the reference, too")
        return replace(flip, noticed="answer")

    def register(self, target: Target) -> Flip:
        """Flip a bit of the word that one write of registers brings."""
        writes: list[Write] = list(getattr(self.image, target.part))
        write = target.write
        writes[target.index] = replace(write, value=write.value ^ 1 << target.bit)
        place = f"{target.name} bit {target.bit} at 0x{write.address:08X} of {target.part}"
        flip = Flip("register", place)
        changed: dict[str, Any] = {target.part: tuple(writes)}
        runner = ImageRunner(replace(self.image, **changed))
        values = runner.infer(self.sample)
        if not np.array_equal(values, self.answer):
            return replace(flip, noticed="answer")
        if runner.findings or not runner.cycles:
            return replace(flip, noticed="report")
        for known in DONT_CARES:
            if target.name in known.names and known.condition(target):
                return replace(flip, why=known.reason)
        return replace(flip, fault="neither the answer nor a report shows it")

    def _target(self) -> Target:
        part, index = self.one_of(
            [
                (part, index)
                for part in ("init", "configure", "start")
                for index in range(len(getattr(self.image, part)))
            ]
        )
        return Target(self.image, part, index, int(self.rng.integers(_WORD_BITS)))


def _different_bits(one: Image, other: Image) -> int:
    """Bits of kernels and bias in which two images differ."""
    pairs = [(a.columns, b.columns) for a, b in zip(one.kernels, other.kernels, strict=True)]
    pairs += [
        (a.view(np.uint8), b.view(np.uint8)) for a, b in zip(one.bias, other.bias, strict=True)
    ]
    return sum(int(np.unpackbits(a ^ b).sum()) for a, b in pairs)


def _insensitive(given: Network) -> bool:
    """Whether the answer cannot show that a layer is wrong.

    Without weights it may be a copy of the input; what is taken from itself is 0, and what is
    joined with itself is itself, which may already lie where it is to be written.
    """
    return all(layer.weight is None for layer in given.layers) or any(
        layer.eltwise not in (None, Eltwise.ADD) and len(set(layer.inputs)) < len(layer.inputs)
        for layer in given.layers
    )


def subjects(seed: int, count: int, first: int = 0) -> Iterator[Subject]:
    """Random networks that fit the chip and whose answer depends on all they do."""
    number = first
    while count:
        drawn = draw(seed, number)
        rng = np.random.default_rng([seed, number])
        number += 1
        if drawn.given is not None or _insensitive(drawn.network):
            continue
        try:
            subject = Subject(drawn.network, rng)
        except RuleError:
            continue
        yield subject
        count -= 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--networks", type=int, default=20, metavar="N", help="random networks")
    parser.add_argument("--flips", type=int, default=20, metavar="F", help="of each kind in each")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="number of the first")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _arguments(arguments)
    counts, faults = Counter[tuple[str, str]](), 0
    for number, subject in enumerate(subjects(options.seed, options.networks, options.first)):
        if subject.fault():
            faults += 1
            print(f"FAILED network {number}: {subject.fault()}", flush=True)
        for flip in subject.flips(options.flips):
            counts[flip.kind, flip.noticed or flip.why or "UNNOTICED"] += 1
            if flip.fault:
                faults += 1
                print(
                    f"FAILED network {number}: {flip.kind} {flip.place}: {flip.fault}", flush=True
                )
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{count:6} {kind:8} {outcome}")
    print(f"{sum(counts.values()) - faults} passed, {faults} failed")
    return ExitCode.KNOWN_ANSWER_MISMATCH if faults else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
