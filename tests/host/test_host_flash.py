"""Flashing the virtual board and by the drive of a DAPLink probe."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from flash_support import CODE, FLASH, probe, program

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.host import flash_drive
from max78k.host.firmware_image import read_firmware
from max78k.host.flash import FLASH_METHODS, FlashOptions, flash
from max78k.host.flash_drive import find_drives
from max78k.host.state import state_folder, virtual_flash

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


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the table is Linux's")
def test_mount_points_of_any_name_are_read(tmp_path, monkeypatch):
    table = tmp_path / "mounts"
    table.write_bytes(
        b"/dev/sda1 / ext4 rw 0 0\n/dev/sdb /media/me/a\\040b\\134c vfat rw 0 0\n"
        b"/dev/sdc /media/caf\xe9 msdos rw 0 0\nshort\n"
    )
    monkeypatch.setattr(flash_drive, "_MOUNT_TABLE", table)
    expected = [rb"/media/me/a b\c", b"/media/caf\xe9"]
    assert flash_drive._mounts() == [Path(os.fsdecode(name)) for name in expected]


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
