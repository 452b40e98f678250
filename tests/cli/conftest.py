"""What tests of the verbs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from max78k.network import Network


@pytest.fixture
def model(tiny_network: Network, tmp_path: Path) -> Path:
    """The small network as a file that verbs take for a model."""
    path = tmp_path / "tiny7.npz"
    tiny_network.save(path)
    return path
