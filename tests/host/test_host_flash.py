"""Flashing: what is refused before anything is written, and what each target does."""

from __future__ import annotations

import stat
import struct
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.host.firmware_image import FirmwareImage, read_firmware
from max78k.host.flash import (
    FLASH_TARGETS,
    UNLOCK_HELP,
    FlashOptions,
    find_daplink_drives,
    flash,
)
from max78k.host.state import state_folder, virtual_flash

FLASH = 0x1000_0000
CODE = struct.pack("<II", 0x2002_0000, FLASH + 0x101) + bytes(range(256)) * 4


def make_elf(segments=((FLASH, CODE),), machine=40, ident=b"\x7fELF\x01\x01\x01"):
    """An ELF with load segments (physical address, bytes) and a .bss of no file bytes."""
    table = 52
    headers, content = b"", b""
    start = table + 32 * (len(segments) + 1)
    for address, data in segments:
        headers += struct.pack(
            "<IIIIIIII", 1, start + len(content), 0x2000_0000, address, len(data), len(data), 5, 4
        )
        content += data
    headers += struct.pack("<IIIIIIII", 1, 0, 0x2000_0000, 0x2000_0000, 0, 4096, 6, 4)
    head = struct.pack(
        "<16sHHIIIIIHHHHHH", ident, 2, machine, 1, FLASH, table, 0, 0, 52, 32,
        len(segments) + 1, 0, 0, 0,
    )  # fmt: skip
    return head + headers + content


@pytest.fixture
def elf(tmp_path):
    path = tmp_path / "app.elf"
    path.write_bytes(make_elf(((FLASH, CODE), (FLASH + 0x1_8000, b"data"))))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "max78k"


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


def test_a_missing_file_and_an_unknown_target_are_named(tmp_path, elf):
    with pytest.raises(InputError, match=r"E-FLASH-FILE.*no\.elf"):
        flash("sim", tmp_path / "no.elf")
    with pytest.raises(InputError, match=r"E-FLASH-TARGET.*jlink.*daplink, openocd, sim"):
        flash("jlink", elf)


# The virtual board


def test_sim_stores_the_elf_whole(elf, home):
    result = flash("sim", elf)
    assert virtual_flash() == home / "virtual-board" / "flash.elf"
    assert virtual_flash().read_bytes() == elf.read_bytes()
    assert not result.dry_run and result.bytes == len(CODE) + 4
    assert [p.name for p in virtual_flash().parent.iterdir()] == ["flash.elf"]


def test_sim_takes_no_hex_and_keeps_what_it_had(elf, home, tmp_path):
    flash("sim", elf)
    path = tmp_path / "app.hex"
    path.write_bytes(read_firmware(elf).to_hex())
    with pytest.raises(InputError, match="E-FLASH-FORMAT"):
        flash("sim", path)
    assert virtual_flash().read_bytes() == elf.read_bytes()


def test_a_state_folder_that_cannot_be_written_is_named(elf, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="E-FLASH-WRITE"):
        flash("sim", elf)


def test_a_relative_state_folder_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder().is_absolute()


@pytest.mark.parametrize("target", list(FLASH_TARGETS))
def test_a_dry_run_changes_nothing_and_says_what_it_would_do(target, elf, home, drive):
    before = sorted(drive.iterdir())
    result = flash(target, elf, FlashOptions(drive=drive), dry_run=True)
    assert result.dry_run and "nothing was changed" in result.outcome
    assert result.steps and str(elf) in result.steps[0]
    assert sorted(drive.iterdir()) == before and not home.exists()


# The DAPLink drive


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "DAPLINK"
    folder.mkdir()
    (folder / "DETAILS.TXT").write_text("# DAPLink Firmware\r\nDaplink Mode: Interface\r\n")
    return folder


def probe(drive, fail_text=None):
    """What the probe does when a file arrives: keep its bytes, drop the file, perhaps complain."""
    seen = {}

    def watch():
        target = drive / "firmware.hex"
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if target.exists() and target.read_bytes().endswith(b":00000001FF\n"):
                seen["hex"] = target.read_bytes()
                if fail_text is not None:
                    (drive / "FAIL.TXT").write_text(fail_text)
                target.unlink()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return seen, thread


def test_the_drive_gets_the_firmware_as_hex(elf, drive, tmp_path):
    seen, thread = probe(drive)
    result = flash("daplink", elf, FlashOptions(drive=drive))
    thread.join()
    assert "no failure" in result.outcome
    copy = tmp_path / "copy.hex"
    copy.write_bytes(seen["hex"])
    assert read_firmware(copy).segments == read_firmware(elf).segments


def test_the_probes_complaint_is_shown(elf, drive):
    _, thread = probe(drive, "error: The interface firmware FAILED to reset/halt\r\n")
    with pytest.raises(ToolError, match="FAILED to reset/halt") as caught:
        flash("daplink", elf, FlashOptions(drive=drive))
    thread.join()
    assert caught.value.code == "E-FLASH-FAILED"


def test_a_drive_that_does_not_come_back_leaves_the_result_open(elf, drive):
    result = flash("daplink", elf, FlashOptions(drive=drive, remount_s=0.2))
    assert "result is open" in result.outcome


def test_only_drives_of_a_working_probe_are_found(drive, tmp_path):
    stick = tmp_path / "STICK"
    stick.mkdir()
    waiting = tmp_path / "MAINTENANCE"
    waiting.mkdir()
    (waiting / "DETAILS.TXT").write_text("# DAPLink\r\nDaplink Mode: Bootloader\r\n")
    assert find_daplink_drives([stick, waiting, drive, tmp_path / "gone"]) == [drive]
    assert drive not in find_daplink_drives()


def test_the_maintenance_drive_and_no_drive_are_refused(elf, drive, tmp_path):
    with pytest.raises(DeviceNotFoundError, match="E-FLASH-DRIVE"):
        flash("daplink", elf, FlashOptions(drive=tmp_path / "gone"))
    (drive / "DETAILS.TXT").write_text("Daplink Mode: Bootloader\r\n")
    with pytest.raises(DeviceNotFoundError, match="firmware for the probe"):
        flash("daplink", elf, FlashOptions(drive=drive))
    assert not (drive / "firmware.hex").exists()


# OpenOCD


def program(tmp_path, body):
    path = tmp_path / "openocd"
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


posix = pytest.mark.skipif(sys.platform == "win32", reason="runs a script")


@posix
def test_openocd_gets_the_right_command(elf, tmp_path):
    tool = program(tmp_path, f"open({str(tmp_path / 'args')!r}, 'w').write('|'.join(sys.argv[1:]))")
    result = flash("openocd", elf, FlashOptions(openocd=tool, openocd_scripts=tmp_path))
    assert result.outcome == "programmed and verified"
    assert (tmp_path / "args").read_text().split("|") == [
        "-s", str(tmp_path), "-f", "interface/cmsis-dap.cfg", "-f", "target/max78000.cfg",
        "-c", f"program {{{elf}}} verify reset exit",
    ]  # fmt: skip
    result = flash("openocd", elf, FlashOptions(openocd=tool, verify=False))
    assert result.outcome == "programmed, not verified"
    assert (tmp_path / "args").read_text().endswith("} reset exit")


@posix
def test_openocds_complaint_is_shown_with_the_way_out(elf, tmp_path):
    tool = program(tmp_path, "print('Error: cannot read IDR\\x1b[0m'); sys.exit(1)")
    with pytest.raises(ToolError, match="cannot read IDR") as caught:
        flash("openocd", elf, FlashOptions(openocd=tool))
    assert caught.value.code == "E-FLASH-FAILED"
    assert "\x1b" not in str(caught.value) and "unlock" in caught.value.hint


def test_a_missing_openocd_is_named(elf):
    with pytest.raises(ToolError, match="E-FLASH-OPENOCD") as caught:
        flash("openocd", elf, FlashOptions(openocd="no-such-openocd"))
    assert "daplink" in caught.value.hint


@pytest.mark.parametrize("name", ["a}; exec rm {.elf", "a\\.elf", 'a".elf'])
def test_a_path_that_could_be_a_command_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(make_elf())
    with pytest.raises(InputError, match="E-FLASH-FILE"):
        flash("openocd", path, dry_run=True)


def test_the_unlock_help_names_the_steps():
    for word in ("erase.act", "auto_on.cfg", "mass_erase", "MAINTENANCE"):
        assert word in UNLOCK_HELP
