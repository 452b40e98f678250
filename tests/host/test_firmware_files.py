"""Files to flash: what is read, and what is refused before anything is written."""

from __future__ import annotations

import struct

import pytest
from flash_support import CODE, FLASH, make_elf
from hypothesis import given, settings
from hypothesis import strategies as st

from max78k.errors import InputError
from max78k.host.firmware_image import FirmwareImage, read_firmware
from max78k.host.flash import flash


def refusal(code, path, content):
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_firmware(path)
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


def test_an_elf_is_read_at_its_flash_addresses(elf):
    image = read_firmware(elf)
    assert image.kind == "elf"
    assert image.segments == ((FLASH, CODE), (FLASH + 0x1_8000, b"data"))
    assert image.size == len(CODE) + 4


def test_elf_segments_agree_with_pyelftools(elf):
    elffile = pytest.importorskip("elftools.elf.elffile")
    with elf.open("rb") as stream:
        expected = [
            (segment["p_paddr"], segment.data())
            for segment in elffile.ELFFile(stream).iter_segments("PT_LOAD")
            if segment["p_filesz"]
        ]
    assert list(read_firmware(elf).segments) == expected


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.binary(min_size=1, max_size=70)), max_size=5),
    st.integers(0xFFC0, 0x10040),
)
def test_hex_and_elf_hold_the_same(tmp_path_factory, pieces, second):
    """Also across the 64 KiB border, where a HEX file needs a new base address."""
    segments, address = [(FLASH, CODE)], FLASH + second
    for gap, data in pieces:
        segments.append((address + gap + 1, data))
        address = segments[-1][0] + len(data)
    path = tmp_path_factory.mktemp("hex") / "app.hex"
    path.write_bytes(FirmwareImage(path, "elf", tuple(segments)).to_hex())
    assert read_firmware(path).segments == tuple(segments)


def test_hex_records_are_as_the_format_says(tmp_path):
    lines = FirmwareImage(tmp_path, "elf", ((FLASH, bytes(range(20))),)).to_hex().split()
    assert lines == [
        b":020000041000EA",
        b":10000000000102030405060708090A0B0C0D0E0F78",
        b":0400100010111213A6",
        b":00000001FF",
    ]


@pytest.mark.parametrize(
    "segments",
    [
        ((FLASH - 4, CODE),),
        ((FLASH, CODE), (FLASH + 0x8_0000 - 2, b"1234")),
        ((FLASH, CODE), (0x2000_0000, b"ram")),
        ((0, CODE),),
        ((0x0800_0000, CODE),),
        ((FLASH, CODE), (0xFFFF_FFF0, b"1234")),
        ((FLASH, CODE), (FLASH + 16, b"over")),
    ],
)
def test_contents_outside_the_flash_or_overlapping_are_refused(segments, tmp_path):
    refusal("E-FLASH-RANGE", tmp_path / "app.elf", make_elf(segments))
    hex_file = FirmwareImage(tmp_path, "elf", segments).to_hex()
    refusal("E-FLASH-RANGE", tmp_path / "app.hex", hex_file)


def test_the_last_byte_of_flash_is_allowed(tmp_path):
    path = tmp_path / "app.elf"
    path.write_bytes(make_elf(((FLASH, CODE), (FLASH + 0x8_0000 - 4, b"1234"))))
    assert read_firmware(path).segments[1] == (FLASH + 0x8_0000 - 4, b"1234")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MZ",
        b"\x7fELF",
        make_elf(machine=243),
        make_elf(ident=b"\x7fELF\x02\x01\x01"),
        make_elf(ident=b"\x7fELF\x01\x02\x01"),
        make_elf()[:-1],
        make_elf()[:60],
        b":00000001FE",
        b":0000000",
        b":10",
        b":zz000001FF",
        b":020000041000EA\n",
        b":0200000610 00EA\n",
        b":00000009F7\n",
        b":00000001FF\xff"[:9] + b"\xc3\xbf",
    ],
)
def test_damaged_or_foreign_files_are_refused(content, tmp_path):
    refusal("E-FLASH-FORMAT", tmp_path / "app", content)


@settings(max_examples=150)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8), st.booleans())
def test_no_changed_header_crashes_the_reader(tmp_path_factory, position, change, cut):
    data = bytearray(make_elf())
    data[position : position + len(change)] = change
    path = tmp_path_factory.mktemp("elf") / "app.elf"
    path.write_bytes(bytes(data[: position + 1] if cut else data))
    try:
        image = read_firmware(path)
    except InputError as error:
        assert error.code.startswith("E-FLASH-")
    else:
        assert all(FLASH <= at <= FLASH + 0x8_0000 - len(d) for at, d in image.segments)


@pytest.mark.parametrize(
    "vectors",
    [
        (0, FLASH + 0x101),
        (0x2002_0004, FLASH + 0x101),
        (0x2001_0001, FLASH + 0x101),
        (0x2002_0000, FLASH + 0x100),
        (0x2002_0000, 0x101),
    ],
)
def test_an_implausible_vector_table_is_refused(vectors, tmp_path):
    code = struct.pack("<II", *vectors) + CODE[8:]
    refusal("E-FLASH-VECTORS", tmp_path / "app.elf", make_elf(((FLASH, code),)))


def test_firmware_that_leaves_the_start_of_flash_empty_is_refused(tmp_path):
    refusal("E-FLASH-VECTORS", tmp_path / "app.elf", make_elf(((FLASH + 0x2000, CODE),)))
    refusal("E-FLASH-VECTORS", tmp_path / "app.elf", make_elf(()))


def test_a_missing_file_and_an_unknown_method_are_named(tmp_path, elf):
    with pytest.raises(InputError, match=r"E-FLASH-FILE.*no\.elf"):
        flash("sim", tmp_path / "no.elf")
    with pytest.raises(InputError, match=r"E-FLASH-METHOD.*jlink.*daplink, openocd, sim"):
        flash("jlink", elf)
