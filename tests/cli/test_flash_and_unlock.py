"""``max78k flash`` and ``max78k unlock`` as a person types them."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import pytest
from command import assert_one_error, run

from max78k.host import flash_drive

Capture = pytest.CaptureFixture[str]
CODE = struct.pack("<II", 0x2002_0000, 0x1000_0101) + bytes(64)


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(CODE)
    return path


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "DAPLINK"
    folder.mkdir()
    (folder / "DETAILS.TXT").write_text("DAPLink\nAutomation allowed: 1\n")
    return folder


def test_a_dry_run_shows_the_steps_and_the_bytes(
    binary: Path, drive: Path, capsys: Capture
) -> None:
    outcome = run(capsys, "flash", binary, "--drive", drive, "--dry-run")
    assert outcome.code == 0 and "firmware.hex" in outcome.out and "72 bytes: dry" in outcome.out
    arguments = ("--drive", drive, "--copy-as", "bin", "--dry-run", "--json")
    content = json.loads(run(capsys, "flash", binary, *arguments).out)
    assert content["method"] == "daplink" and "firmware.bin, 80 bytes" in content["steps"][0]
    assert [file.name for file in drive.iterdir()] == ["DETAILS.TXT"]


def test_nothing_to_flash_with_is_said(
    binary: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(flash_drive, "_mounts", lambda: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MAXIM_PATH", raising=False)
    assert_one_error(run(capsys, "flash", binary), 3, "E-FLASH-NONE", "DAPLINK")
    assert_one_error(run(capsys, "flash", tmp_path), 2, "E-FLASH-BUILD", "max78k build")
    outcome = run(capsys, "flash", binary, "--port", "sim")
    assert_one_error(outcome, 2, "E-FLASH-FORMAT", ".elf")


@pytest.mark.parametrize(
    ("port", "method"), [("sim", "openocd"), ("sim", "daplink"), ("/dev/ttyACM0", "sim")]
)
def test_the_virtual_board_and_a_real_one_are_not_flashed_at_once(
    binary: Path, capsys: Capture, port: str, method: str
) -> None:
    outcome = run(capsys, "flash", binary, "--port", port, "--method", method)
    assert_one_error(outcome, 2, "E-FLASH-METHOD", f"--port {port}", f"--method {method}")


def test_unlock_asks_before_it_erases(
    drive: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    outcome = run(capsys, "unlock", "--drive", drive, "--method", "daplink")
    assert outcome.code == 130 and not (drive / "erase.act").exists()
    outcome = run(capsys, "unlock", "--drive", drive, "--method", "daplink", "--dry-run")
    assert outcome.code == 0 and "erase.act" in outcome.out
    assert "auto_on" not in outcome.out and "SW5" in run(capsys, "unlock", "--guide").out
