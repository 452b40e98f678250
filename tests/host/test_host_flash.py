"""Flashing: what is refused before anything is written, and what each target does."""

from __future__ import annotations

import shutil
import stat
import struct
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.host import flash_drive, flash_openocd
from max78k.host import unlock as unlocking
from max78k.host.firmware_image import FirmwareImage, read_firmware
from max78k.host.flash import FLASH_METHODS, FlashOptions, flash
from max78k.host.flash_drive import find_drives
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


def test_a_missing_file_and_an_unknown_method_are_named(tmp_path, elf):
    with pytest.raises(InputError, match=r"E-FLASH-FILE.*no\.elf"):
        flash("sim", tmp_path / "no.elf")
    with pytest.raises(InputError, match=r"E-FLASH-METHOD.*jlink.*daplink, openocd, sim"):
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


@pytest.mark.parametrize("method", list(FLASH_METHODS))
def test_a_dry_run_changes_nothing_and_says_what_it_would_do(method, elf, home, drive, tmp_path):
    before = sorted(drive.iterdir())
    options = FlashOptions(drive=drive, openocd=program(tmp_path, "sys.exit(9)"))
    result = flash(method, elf, options, dry_run=True)
    assert result.dry_run and "nothing was changed" in result.outcome
    assert result.steps and str(elf) in result.steps[0]
    assert sorted(drive.iterdir()) == before and not home.exists()


def test_sim_does_not_store_what_is_there_unless_forced(elf, home):
    flash("sim", elf)
    first = virtual_flash().stat().st_ino
    assert flash("sim", elf).outcome.startswith("unchanged")
    assert virtual_flash().stat().st_ino == first
    assert flash("sim", elf, FlashOptions(force=True)).outcome.startswith("stored")
    assert virtual_flash().stat().st_ino != first


# The DAPLink drive


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "DAPLINK"
    folder.mkdir()
    (folder / "DETAILS.TXT").write_text("# DAPLink Firmware\r\nDaplink Mode: Interface\r\n")
    return folder


def probe(drive, fail_text=None, name="firmware.hex"):
    """What the probe does when a file arrives: keep its bytes, drop the file, perhaps complain."""
    seen = {}

    def whole(content):
        return not name.endswith("hex") or content.endswith(b":00000001FF\n")

    def watch():
        target = drive / name
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if target.exists() and whole(target.read_bytes()):
                time.sleep(0.05)  # a .bin may still grow
                seen["content"] = target.read_bytes()
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
    copy.write_bytes(seen["content"])
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
    assert find_drives([stick, waiting, drive, tmp_path / "gone"]) == [drive]
    assert drive not in find_drives()


def test_the_maintenance_drive_and_no_drive_are_refused(elf, drive, tmp_path):
    with pytest.raises(DeviceNotFoundError, match="E-FLASH-DRIVE"):
        flash("daplink", elf, FlashOptions(drive=tmp_path / "gone"))
    (drive / "DETAILS.TXT").write_text("Daplink Mode: Bootloader\r\n")
    with pytest.raises(DeviceNotFoundError, match="firmware for the probe"):
        flash("daplink", elf, FlashOptions(drive=drive))
    assert not (drive / "firmware.hex").exists()


def test_a_bin_holds_the_flash_from_its_start_in_whole_units(elf):
    content = read_firmware(elf).to_bin()
    assert len(content) == 0x1_8010 and content[: len(CODE)] == CODE
    assert content[len(CODE) : 0x1_8000] == b"\xff" * (0x1_8000 - len(CODE))
    assert content[0x1_8000:] == b"data" + b"\xff" * 12


def test_a_bin_is_read_as_the_start_of_flash(tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(CODE)
    assert read_firmware(path).segments == ((FLASH, CODE),)
    path.write_bytes(b"no vectors")
    with pytest.raises(InputError, match="E-FLASH-VECTORS"):
        read_firmware(path)


def test_the_drive_gets_a_bin_when_asked(elf, drive):
    seen, thread = probe(drive, name="firmware.bin")
    flash("daplink", elf, FlashOptions(drive=drive, copy_as="bin"))
    thread.join()
    assert seen["content"] == read_firmware(elf).to_bin()


@pytest.mark.parametrize(("words", "meaning", "hint"), flash_drive.FAILURES)
def test_every_message_of_the_probe_says_what_it_means(elf, drive, words, meaning, hint):
    text = f"error: The interface firmware {words.upper()} x\r\nerror type: target\r\n"
    _, thread = probe(drive, text)
    with pytest.raises(ToolError) as caught:
        flash("daplink", elf, FlashOptions(drive=drive))
    thread.join()
    assert caught.value.code == "E-FLASH-FAILED" and caught.value.hint == hint
    assert meaning in caught.value.message and "; error type: target" in caught.value.message


def test_an_unknown_message_and_a_broken_down_probe_are_shown(elf, drive):
    _, thread = probe(drive, "error: new words\r\n")
    with pytest.raises(ToolError, match="new words"):
        flash("daplink", elf, FlashOptions(drive=drive))
    thread.join()
    (drive / "FAIL.TXT").unlink()
    (drive / "ASSERT.TXT").write_text("Assert\r\nFile: x.c\r\n")
    _, thread = probe(drive)
    with pytest.raises(ToolError, match=r"Assert; File: x\.c"):
        flash("daplink", elf, FlashOptions(drive=drive))
    thread.join()


def test_an_old_complaint_is_not_that_of_this_copy(elf, drive):
    (drive / "FAIL.TXT").write_text("error: from yesterday\r\n")
    result = flash("daplink", elf, FlashOptions(drive=drive, remount_s=0.3))
    assert "result is open" in result.outcome


def test_a_drive_that_comes_back_elsewhere_is_found_by_the_probes_number(
    elf, drive, tmp_path, monkeypatch
):
    details = "# DAPLink Firmware\r\nUnique ID: 04A1\r\nDaplink Mode: Interface\r\n"
    (drive / "DETAILS.TXT").write_text(details)
    again = tmp_path / "DAPLINK1"
    monkeypatch.setattr(flash_drive, "_mounts", lambda: [again])

    def remount():
        while not (drive / "firmware.hex").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        again.mkdir()
        (again / "DETAILS.TXT").write_text(details)
        for file in list(drive.iterdir()):
            file.unlink()
        drive.rmdir()

    thread = threading.Thread(target=remount)
    thread.start()
    assert "no failure" in flash("daplink", elf, FlashOptions(drive=drive)).outcome
    thread.join()


# OpenOCD


def program(tmp_path, body):
    """An OpenOCD that says what the body prints; its arguments go to the file ``args``."""
    path = tmp_path / "openocd"
    keep = f"open({str(tmp_path / 'args')!r}, 'a').write('|'.join(sys.argv[1:]) + chr(10))"
    path.write_text(f"#!{sys.executable}\nimport sys\n{keep}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


KEEP = """
import pathlib, re
text = ' '.join(sys.argv)
name = re.search(r'write_image erase .(.*?). 0x', text).group(1)
pathlib.Path(sys.argv[0]).with_name('bytes').write_bytes(pathlib.Path(name).read_bytes())
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="runs a script")


def arguments(tmp_path):
    return [line.split("|") for line in (tmp_path / "args").read_text().splitlines()]


@posix
def test_openocd_of_upstream_gets_our_target_file_and_these_commands(elf, tmp_path):
    tool = program(tmp_path, f"{KEEP}\nprint('max78k: written')")
    result = flash("openocd", elf, FlashOptions(openocd=tool))
    assert result.outcome == "programmed and verified"
    (got,) = arguments(tmp_path)
    name = got[9].partition("verify_image {")[2].partition("}")[0]
    image = f"{{{name}}} 0x10000000 bin"
    assert got == [
        "-f", "interface/cmsis-dap.cfg", "-f", flash_openocd.OUR_TARGET.as_posix(),
        "-c", "init", "-c", "reset init",
        "-c",
        f"if {{[catch {{verify_image {image}}}]}} {{ echo {{max78k: differs}};"
        f" flash write_image erase {image}; verify_image {image}; echo {{max78k: written}} }}"
        " else { echo {max78k: unchanged} }",
        "-c", "reset run", "-c", "shutdown",
    ]  # fmt: skip
    assert (tmp_path / "bytes").read_bytes() == read_firmware(elf).to_bin()


@posix
def test_openocd_writes_without_comparing_or_verifying_when_told_to(elf, tmp_path):
    tool = program(tmp_path, "print('max78k: written')")
    result = flash("openocd", elf, FlashOptions(openocd=tool, verify=False))
    assert result.outcome == "programmed, not verified"
    flash("openocd", elf, FlashOptions(openocd=tool, force=True))
    without, forced = (line[9] for line in arguments(tmp_path))
    assert without.startswith("flash write_image erase") and "verify_image" not in without
    assert forced.startswith("flash write_image erase") and "; verify_image" in forced


@posix
def test_what_is_in_the_flash_already_is_not_written(elf, tmp_path):
    tool = program(tmp_path, "print('max78k: unchanged')")
    assert flash("openocd", elf, FlashOptions(openocd=tool)).outcome.startswith("unchanged")
    tool = program(tmp_path, "")
    with pytest.raises(ToolError, match="without a word"):
        flash("openocd", elf, FlashOptions(openocd=tool))


@posix
def test_the_vendors_openocd_is_found_in_the_sdk_and_used_with_its_own_target(
    elf, tmp_path, monkeypatch
):
    folder = tmp_path / "sdk" / "Tools" / "OpenOCD"
    (folder / "scripts" / "target").mkdir(parents=True)
    (folder / "scripts" / "target" / "max78000.cfg").write_text("")
    tool = program(folder, "print('max78k: written')")
    monkeypatch.setenv("MAXIM_PATH", str(tmp_path / "sdk"))
    monkeypatch.setattr(flash_drive, "_mounts", lambda: [])
    result = flash("auto", elf)
    assert result.method == "openocd" and result.steps[1].startswith(tool)
    (got,) = arguments(folder)
    assert got[:6] == ["-s", str(folder / "scripts"), "-f", "interface/cmsis-dap.cfg",
                       "-f", "target/max78000.cfg"]  # fmt: skip


@posix
def test_auto_prefers_the_drive_to_an_openocd_that_does_not_know_the_chip(
    elf, drive, tmp_path, monkeypatch
):
    monkeypatch.delenv("MAXIM_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "print('max78k: written')")
    monkeypatch.setattr(flash_drive, "_mounts", lambda: [drive])
    assert flash("auto", elf, dry_run=True).method == "daplink"
    monkeypatch.setattr(flash_drive, "_mounts", lambda: [])
    assert flash("auto", elf, dry_run=True).method == "openocd"
    (tmp_path / "openocd").unlink()
    with pytest.raises(DeviceNotFoundError, match="E-FLASH-NONE"):
        flash("auto", elf)
    assert flash("auto", elf, FlashOptions(drive=drive), dry_run=True).method == "daplink"


@posix
@pytest.mark.parametrize("row", flash_openocd.MESSAGES, ids=lambda row: row[0])
def test_every_known_message_of_openocd_says_what_it_means(elf, tmp_path, row):
    words, code, kind, meaning, hint = row
    tool = program(tmp_path, f"print('Error: ' + {words!r}.upper() + '\\x1b[0m'); sys.exit(1)")
    with pytest.raises(kind) as caught:
        flash("openocd", elf, FlashOptions(openocd=tool))
    assert (caught.value.code, caught.value.hint) == (code, hint)
    assert meaning in caught.value.message and words.upper() in caught.value.message
    assert "\x1b" not in str(caught.value)


@posix
def test_what_the_comparison_prints_is_not_the_failure(elf, tmp_path):
    said = "checksum mismatch\\nmax78k: differs\\nTimed out waiting for flash write"
    tool = program(tmp_path, f"print('{said}'); sys.exit(1)")
    with pytest.raises(ToolError) as caught:
        flash("openocd", elf, FlashOptions(openocd=tool))
    assert caught.value.code == "E-FLASH-FAILED"


@posix
def test_an_unknown_message_and_a_program_that_is_none_are_shown(elf, tmp_path):
    tool = program(tmp_path, "print('something new'); sys.exit(3)")
    with pytest.raises(ToolError, match="ended with 3") as caught:
        flash("openocd", elf, FlashOptions(openocd=tool))
    assert caught.value.code == "E-FLASH-FAILED" and "something new" in caught.value.message
    (tmp_path / "openocd").write_text("#!/no/such/interpreter\n")
    with pytest.raises(ToolError, match="E-FLASH-OPENOCD"):
        flash("openocd", elf, FlashOptions(openocd=tool))


def test_a_missing_openocd_is_named(elf):
    with pytest.raises(ToolError, match="E-FLASH-OPENOCD") as caught:
        flash("openocd", elf, FlashOptions(openocd="no-such-openocd"))
    assert "daplink" in caught.value.hint


@pytest.mark.parametrize("name", ["a}; exec rm {.elf", "a\\.elf", 'a".elf'])
def test_a_path_that_could_be_a_command_never_reaches_openocd(name):
    tool = flash_openocd.OpenOcd("openocd", None, of_vendor=False)
    with pytest.raises(InputError, match="E-FLASH-FILE"):
        flash_openocd.program_command(tool, name, compare=True, verify=True)


@pytest.mark.skipif(shutil.which("openocd") is None, reason="no OpenOCD is installed")
def test_a_real_openocd_takes_our_target_file_and_the_commands():
    """As far as without a probe: the file is read, and the comparison decides."""
    tool = flash_openocd.OpenOcd("openocd", None, of_vendor=False)
    command = flash_openocd.program_command(tool, "x.bin", compare=True, verify=True)
    compare, begin = command[10], command[:5]
    same = [*begin, "-c", "proc verify_image args {}", "-c", compare, "-c", "shutdown"]
    assert "max78k: unchanged" in flash_openocd.run(same)
    other = "proc verify_image args { incr ::n; if {$::n == 1} { error differs } }"
    write = ["-c", "set n 0", "-c", other, "-c", "proc flash args {}", "-c", compare]
    said = flash_openocd.run([*begin, *write, "-c", "shutdown"])
    assert "max78k: written" in said and "max78k: unchanged" not in said
    with pytest.raises(DeviceNotFoundError, match="E-FLASH-PROBE"):
        flash_openocd.run(command)


def test_our_target_file_holds_the_facts_of_the_chip():
    text = flash_openocd.OUR_TARGET.read_text()
    assert text.count("0x10000000 0x80000 0 0 max78000.cpu 0x40029000 0x2000 100") == 2
    assert "transport select swd" in text and "bp 0x00002124 2 hw" in text


# A part that is locked out


def test_the_guide_names_the_steps():
    for word in ("erase.act", "auto_on.cfg", "MAINTENANCE", "--method openocd", "two seconds"):
        assert word in unlocking.GUIDE or word == unlocking.AUTOMATION


def allowed(drive, value):
    (drive / "DETAILS.TXT").write_text(
        f"# DAPLink Firmware\r\nDaplink Mode: Interface\r\nAutomation allowed: {value}\r\n"
    )


def test_the_probe_is_ordered_to_erase(drive):
    allowed(drive, 1)
    seen, thread = probe(drive, name="erase.act")
    lines = []
    result = unlocking.unlock("daplink", FlashOptions(drive=drive), report=lines.append)
    thread.join()
    assert seen["content"] == b"" and result.outcome.startswith("the probe reports no failure")
    assert "erase.act" in lines[0]


def test_a_probe_that_takes_no_orders_is_told_to_first(drive):
    allowed(drive, 0)
    with pytest.raises(ToolError, match="E-UNLOCK-AUTOMATION") as caught:
        unlocking.unlock("daplink", FlashOptions(drive=drive))
    assert "--allow-automation" in caught.value.hint
    assert not (drive / "erase.act").exists()
    seen, thread = probe(drive, name="auto_on.cfg")
    result = unlocking.unlock("auto", FlashOptions(drive=drive), allow_automation=True)
    thread.join()
    assert seen["content"] == b"" and "DETAILS.TXT" in result.outcome


def test_a_failed_erase_is_explained(drive):
    allowed(drive, 1)
    _, thread = probe(drive, "error: Flash algorithm erase all command FAILURE", name="erase.act")
    with pytest.raises(ToolError, match="erasing or writing the flash failed"):
        unlocking.unlock("daplink", FlashOptions(drive=drive))
    thread.join()


@posix
def test_openocd_tries_again_until_the_part_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(unlocking, "PAUSE_S", 0.0)
    count = f"n = len(open({str(tmp_path / 'args')!r}).readlines())"
    body = f"{count}\nif n < 3: print('Error connecting DP: cannot read IDR'); sys.exit(1)\n"
    tool = program(tmp_path, body + "print('max32xxx mass erase complete')")
    lines = []
    result = unlocking.unlock("openocd", FlashOptions(openocd=tool), report=lines.append)
    assert result.outcome.startswith("erased") and len(lines) == 3
    for got in arguments(tmp_path):
        assert got[4:] == ["-c", "init", "-c", "if {[catch {reset halt}]} { halt }",
                           "-c", "max32xxx mass_erase 0", "-c", "shutdown"]  # fmt: skip


@posix
def test_openocd_gives_up_at_once_for_any_other_reason(tmp_path):
    tool = program(tmp_path, "print('unable to find a matching CMSIS-DAP device'); sys.exit(1)")
    lines = []
    with pytest.raises(DeviceNotFoundError, match="E-FLASH-PROBE"):
        unlocking.unlock("openocd", FlashOptions(openocd=tool), report=lines.append)
    assert len(lines) == 1
    tool = program(tmp_path, "print('max32xxx mass erase failed')")
    with pytest.raises(ToolError, match="did not say that it erased"):
        unlocking.unlock("openocd", FlashOptions(openocd=tool), report=lines.append)


@posix
def test_a_part_that_is_never_caught_ends_the_attempts(tmp_path, monkeypatch):
    monkeypatch.setattr(unlocking, "PAUSE_S", 0.0)
    monkeypatch.setattr(unlocking, "ATTEMPTS", 3)
    tool = program(tmp_path, "print('cannot read IDR'); sys.exit(1)")
    with pytest.raises(ToolError, match="E-FLASH-LOCKED"):
        unlocking.unlock("openocd", FlashOptions(openocd=tool), report=lambda line: None)
    assert len(arguments(tmp_path)) == 3


def test_a_dry_unlock_changes_nothing(drive, tmp_path):
    allowed(drive, 1)
    before = sorted(drive.iterdir())
    result = unlocking.unlock("daplink", FlashOptions(drive=drive), dry_run=True)
    assert result.dry_run and "erase.act" in result.steps[0] and sorted(drive.iterdir()) == before
    with pytest.raises(InputError, match="E-FLASH-METHOD"):
        unlocking.unlock("sim", FlashOptions())
