"""Verbs that read a port by themselves, when it is unplugged meanwhile."""

from __future__ import annotations

import os
import sys

import pytest

from max78k.errors import LinkError
from max78k.flows.camera import listen
from max78k.flows.csi_answers import esp32_lines
from max78k.host import ports

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> ports.Port:
    """An open port whose other end is gone; every port that is opened is this one."""
    master, slave = os.openpty()
    port = ports.open_port(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    monkeypatch.setattr(ports, "open_port", lambda name, baud: port)
    return port


def test_a_camera_that_is_unplugged_is_a_link_error(unplugged: ports.Port) -> None:
    with pytest.raises(LinkError, match="E-LINK-PORT"):
        next(listen(unplugged))
    unplugged.close()


def test_a_receiver_that_is_unplugged_is_a_link_error(unplugged: ports.Port) -> None:
    with pytest.raises(LinkError, match="E-LINK-PORT"):
        next(esp32_lines("ttyUSB0", 921600))
