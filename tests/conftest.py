"""What all tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_network import chain_network

from max78k.network import Network

if TYPE_CHECKING:
    from max78k.flows.firmware import Firmware


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Reference data beside the checkout; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the reference data folder ../shared is not here")
    return folder


@pytest.fixture(scope="session")
def tiny_network() -> Network:
    """A small network with random integers."""
    return chain_network()


@pytest.fixture(scope="session")
def tiny_firmware(tiny_network: Network, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """Its firmware, compiled; skipped where the emulator or every compiler is missing."""
    pytest.importorskip("unicorn", reason="the virtual board needs the extra [board]")
    pytest.importorskip("elftools", reason="the virtual board needs the extra [board]")
    from max78k.flows.firmware import make_firmware

    return make_firmware(tiny_network, tmp_path_factory.mktemp("tiny") / "firmware")
