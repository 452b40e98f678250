"""What the tests of this folder share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "codegen"))

from native_build import Device, compile_device
from tiny_image import tiny_image


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """The server for the tiny image: 12 bytes of input, two 32-bit outputs."""
    return compile_device(tiny_image(), tmp_path_factory.mktemp("device"))
