"""A link to a fake board, and what may happen to a message on its way, for the tests."""

from __future__ import annotations

import numpy as np
import pytest
from fake_device import FakeBoard, FakeClock, FakePort

from max78k.errors import ExitCode, LinkError
from max78k.host.link import Device


def rig(board=None, **faults):
    board = board or FakeBoard()
    clock = FakeClock()
    port = FakePort(board, clock, **faults)
    return Device(port, clock=clock, sleep=clock.sleep), board, port, clock


def sample(size):
    return np.arange(size, dtype=np.int64).astype(np.int8)


def failure(code, action):
    with pytest.raises(LinkError) as caught:
        action()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.exit_code == ExitCode.LINK_FAILED
    assert caught.value.hint
    return str(caught.value)


# Damage: each takes a message's number and bytes, and gives what arrives, with its delay.


def drop(number, data):
    return []


def flip(number, data):
    return [(0.0, data[:5] + bytes([data[5] ^ 0x10]) + data[6:])]


def twice(number, data):
    return [(0.0, data), (0.0, data)]


def noise(number, data):
    return [(0.0, b"\x99\x02noise\0" + data)]


def half(number, data):
    return [(0.0, data[: len(data) // 2] + b"\0")]
