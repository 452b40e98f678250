"""What the tests of flashing share."""

from __future__ import annotations

import pytest
from flash_support import CODE, FLASH, make_elf


@pytest.fixture
def elf(tmp_path):
    path = tmp_path / "app.elf"
    path.write_bytes(make_elf(((FLASH, CODE), (FLASH + 0x1_8000, b"data"))))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "max78k"


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "DAPLINK"
    folder.mkdir()
    (folder / "DETAILS.TXT").write_text("# DAPLink Firmware\r\nDaplink Mode: Interface\r\n")
    return folder
