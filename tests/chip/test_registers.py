"""Register tables: fields fit, do not overlap, and refuse values that are too large."""

from __future__ import annotations

import pytest

from max78k.chip import addresses, cnn_registers, limits, mcu_registers
from max78k.chip.registers import Register

ALL = [
    register
    for module in (cnn_registers, mcu_registers)
    for register in vars(module).values()
    if isinstance(register, Register)
]


@pytest.mark.parametrize(
    "register", ALL, ids=lambda register: f"{register.name}-{register.offset:x}"
)
def test_fields_lie_inside_32_bits_and_apart(register: Register) -> None:
    used = 0
    for field in register.fields:
        assert field.lsb + field.width <= 32
        assert not used & field.mask, field.name
        used |= field.mask


def test_pack_and_unpack_are_inverse() -> None:
    word = cnn_registers.CTL.pack(EN=1, MASTER=2, MEXPRESS=1)
    assert word == 1 | 2 << 9 | 1 << 20
    assert cnn_registers.CTL.unpack(word)["MASTER"] == 2


def test_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="PAD"):
        cnn_registers.RCNT.pack(PAD=4)


def test_layer_registers_lie_where_the_index_says() -> None:
    for register in cnn_registers.LAYER_REGISTERS:
        assert (register.offset - addresses.LAYER_REGISTERS_OFFSET) % 0x80 == 0


def test_known_addresses() -> None:
    # Data memory of processors 4k...4k+3 and the last processor's kernels, as in the address map.
    assert addresses.data_memory(0) == 0x5040_0000
    assert addresses.data_memory(5) == 0x5080_8000
    assert addresses.kernel_memory(17) == 0x5058_4000
    assert limits.KERNEL_BYTES == 442_368
