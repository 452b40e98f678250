"""One line of text per hardware layer, read back from the registers that will be written."""

from __future__ import annotations

from max78k.chip import addresses
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


def _master_registers(image: Image, layer: int) -> dict[str, dict[str, int]]:
    """Fields of the layer's registers in the master quadrant; registers reset to 0."""
    written = {write.address: write.value for write in image.configure}

    def value(register: Register) -> int:
        address = addresses.layer_register(image.quadrants[0], register.offset, layer)
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
