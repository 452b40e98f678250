"""The committed C headers against the tables that they are made from."""

from __future__ import annotations

import re
from struct import Struct

import pytest

from max78k.chip import addresses
from max78k.codegen import headers
from max78k.host import messages
from max78k.shipped_files import shipped_folder


@pytest.mark.parametrize("name", headers.HEADERS)
def test_committed_header_is_what_the_tables_give(name):
    committed = (shipped_folder("firmware") / "generated" / name).read_text("utf-8")
    assert committed == headers.HEADERS[name](), "run: python -m max78k.codegen.headers"


def test_registers_and_fields_have_their_address_and_mask():
    text = headers.max78000_header()
    assert "#define GCR_BASE 0x40000000U" in text
    assert "#define GCR_CLKCTRL MMIO32(GCR_BASE + 0x8U)" in text
    assert "#define GCR_CLKCTRL_IPO_EN (1U << 19)" in text
    assert "#define GCR_CLKCTRL_SYSCLK_SEL_MASK 0xE00U" in text
    assert "#define UART_FIFO(base) MMIO32((base) + 0x20U)" in text
    assert "#define IRQ_CNN 101" in text


def test_no_macro_is_defined_twice():
    for make in headers.HEADERS.values():
        names = re.findall(r"^#define (\w+)", make(), re.MULTILINE)
        assert len(names) == len(set(names))


def test_every_layout_of_the_link_protocol_is_in_the_header():
    layouts = {name for name, value in vars(messages).items() if isinstance(value, Struct)}
    text = headers.link_protocol_header()
    for name in layouts - {"CRC"}:
        size = getattr(messages, name).size
        assert f"_Static_assert(sizeof(struct link_{name.lower()}) == {size}U" in text


def test_linker_script_has_the_chip_s_memories():
    script = (shipped_folder("firmware") / "max78000.ld").read_text("utf-8")
    memories = re.findall(r"ORIGIN = (0x\w+), LENGTH = (0x\w+)", script)
    assert [(int(start, 16), int(size, 16)) for start, size in memories] == [
        (addresses.FLASH_BASE, addresses.FLASH_BYTES),
        (addresses.SRAM_BASE, addresses.SRAM_BYTES),
    ]
