"""One line of text per hardware layer, read back from the registers that will be written."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.compiler.image import Image

_WEIGHT_BITS = {code: bits for bits, code in cr.WEIGHT_WIDTH_CODE.items()}
_ELTWISE = ("subtract", "add", "or", "exclusive or")


def layer_lines(image: Image) -> list[str]:
    """What each layer does, in the order of execution, with its estimated cycles."""
    lines = []
    for index, (name, cycles) in enumerate(image.layer_cycles.items()):
        fields = _master_registers(image, index)
        lines.append(f"Layer {index} ({name}): {_describe(fields)}; about {cycles} cycles")
    return lines


def kernel_owners(image: Image) -> list[str]:
    """For every kernel block the layers that use it, as ``conv1: `` or ``conv1, conv2: ``."""
    users: dict[tuple[int, int], list[str]] = {}
    written = _written(image)
    for index, name in enumerate(image.layer_cycles):
        for quadrant in image.quadrants:
            fields = _registers(written, quadrant, index)
            column = _first_column(fields)
            for n in range(limits.PROCESSORS_PER_QUADRANT):
                if fields["EN"]["KERNELS"] >> n & 1:
                    processor = quadrant * limits.PROCESSORS_PER_QUADRANT + n
                    users.setdefault((processor, column), []).append(name)
    found = [users.get((block.processor, block.column), []) for block in image.kernels]
    return [f"{', '.join(names)}: " if names else "" for names in found]


@dataclass(frozen=True)
class BiasPart:
    """Consecutive bias entries of a quadrant, up to where the next layer's begin."""

    layer: str
    start: int
    stop: int

    def text(self) -> str:
        """As it stands in comments."""
        return f"{self.layer}: from entry {self.start}"


def bias_parts(image: Image, quadrant: int) -> list[BiasPart]:
    """Which layer the bias entries of a quadrant belong to; empty where there are none."""
    end = len(image.bias[quadrant])
    if not end:
        return []
    written = _written(image)
    starts: dict[int, str] = {}
    for index, name in enumerate(image.layer_cycles):
        post = _registers(written, quadrant, index)["POST"]
        if post["BIAS_EN"] and post["BIAS_START"] < end:
            owner = starts.get(post["BIAS_START"])
            starts[post["BIAS_START"]] = f"{owner}, {name}" if owner else name
    starts.setdefault(0, "not used")
    order = sorted(starts)
    return [
        BiasPart(starts[start], start, stop)
        for start, stop in zip(order, [*order[1:], end], strict=True)
    ]


def _first_column(fields: dict[str, dict[str, int]]) -> int:
    oned = fields["ONED"]
    taps = oned["LENGTH"] if oned["LENGTH"] else limits.COLUMN_BYTES
    return (fields["MCNT"]["START"] // 8 * taps + oned["BYTE_START"]) // limits.COLUMN_BYTES


def _master_registers(image: Image, layer: int) -> dict[str, dict[str, int]]:
    """Fields of the layer's registers in the master quadrant."""
    return _registers(_written(image), image.quadrants[0], layer)


def _written(image: Image) -> dict[int, int]:
    return {write.address: write.value for write in image.configure}


def _registers(written: dict[int, int], quadrant: int, layer: int) -> dict[str, dict[str, int]]:
    """Fields of the layer's registers in a quadrant; registers reset to 0."""

    def value(register: Register) -> int:
        address = addresses.layer_register(quadrant, register.offset, layer)
        return written.get(address, 0)

    return {register.name: register.unpack(value(register)) for register in cr.LAYER_REGISTERS}


def _describe(fields: dict[str, dict[str, int]]) -> str:
    size = [fields[axis]["COUNT"] + 1 - 2 * fields[axis]["PAD"] for axis in ("RCNT", "CCNT")]
    control = fields["LCTL0"]
    parts = [f"{size[0]}x{size[1]} input"]
    if control["POOL"]:
        pool = "x".join(str(fields[axis]["SIZE"] + 1) for axis in ("PRCNT", "PCCNT"))
        kind = "max" if control["MAX_POOL"] else "average"
        parts.append(f"{kind} pool {pool} stride {fields['STRIDE']['STRIDE'] + 1}")
    if fields["ONED"]["ELTWISE"]:
        operands = fields["ONED"]["OPERANDS"] + 1
        parts.append(f"{_ELTWISE[fields['ONED']['FUNCTION']]} {operands} operands")
    parts.append(_operation(fields))
    if control["RELU"] or fields["POST"]["ABS"]:
        parts.append("ReLU" if control["RELU"] else "Abs")
    parts.append("32-bit output" if control["WIDE"] else "8-bit output")
    return ", ".join(parts)


def _operation(fields: dict[str, dict[str, int]]) -> str:
    oned, post = fields["ONED"], fields["POST"]
    if post["TIME_SLOTS"]:
        return "pass-through"
    if oned["ONE_D"]:
        kernel = f"conv1d {oned['LENGTH']} pad {fields['RCNT']['PAD']}"
    elif oned["LENGTH"]:
        kernel = "conv2d 1x1"
    else:
        transposed = "transposed " if post["TRANSPOSED"] else ""
        kernel = f"{transposed}conv2d 3x3 pad {fields['RCNT']['PAD']}"
    return f"{kernel} {_WEIGHT_BITS[post['WEIGHT_WIDTH']]}-bit"
