"""Flashing by OpenOCD, and a part that the debugger cannot reach any more."""

from __future__ import annotations

import shutil

import pytest
from flash_support import arguments, posix, probe, program

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.host import flash_drive, flash_openocd
from max78k.host import unlock as unlocking
from max78k.host.firmware_image import read_firmware
from max78k.host.flash import FlashOptions, flash

# OpenOCD


KEEP = """
import pathlib, re
text = ' '.join(sys.argv)
name = re.search(r'write_image erase .(.*?). 0x', text).group(1)
pathlib.Path(sys.argv[0]).with_name('bytes').write_bytes(pathlib.Path(name).read_bytes())
"""


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
