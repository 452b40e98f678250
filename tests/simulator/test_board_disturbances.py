"""Faults on demand."""

from __future__ import annotations

import numpy as np
import pytest
from board_support import board, finished

from max78k.errors import InputError
from max78k.simulator.disturbances import Disturbances, parse


def test_all_kinds_are_read():
    assert parse("") == Disturbances()
    text = "brownout@120ms, hang@2s,uart-flip=1e-4,uart-drop=0.5,flash-fail=page7,brownout@5us"
    assert parse(text) == Disturbances((0.12, 5e-6), (2.0,), 1e-4, 0.5, frozenset({7}))
    assert parse("camera-noise").noise == 8 and parse("camera-noise=2.5").noise == 2.5
    assert not parse("") and parse(text)


@pytest.mark.parametrize(
    "text",
    ["brownout", "brownout@", "brownout@12", "hang=3s", "uart-flip=2", "uart-drop=x",
     "uart-drop=nan", "flash-fail=page64", "flash-fail=7", "smoke", "@", "=", "uart-flip@1",
     "camera-noise=-1", "camera-noise=300", "camera-noise@1s", "uart-flip=0,uart-flip=0"],
)  # fmt: skip
def test_what_is_no_fault_is_refused(text: str):
    with pytest.raises(InputError, match="E-BOARD-FAULT"):
        parse(text)


def test_refusals_say_what_to_write():
    hints = {
        "brownot@1s": "brownout@120ms",
        "uart-flip=2": "from 0 to 1",
        "flash-fail=page64": "page0 to page63",
        "hang=3s": "'@' after",
    }
    for wrong, hint in hints.items():
        with pytest.raises(InputError, match=hint):
            parse(wrong)


def test_brownout_starts_the_firmware_anew_and_loses_its_memory():
    it = board("heartbeat", disturbances=parse("brownout@350ms"))
    it.run(0.34)
    assert it.console.host_read() == b"..."
    it.run(0.35)
    assert it.console.host_read() == b"..."  # it counts from its new start
    assert it.now == pytest.approx(0.69)


def echoed(fault: str, seed: int) -> bytes:
    it = board("echo", disturbances=parse(fault), seed=seed)
    it.run(0.001)
    it.console.host_write(bytes(2000))
    it.run(0.3)
    return it.console.host_read()


def test_line_faults_are_as_frequent_as_asked_and_repeatable():
    dropped = echoed("uart-drop=0.1", 1)
    assert 1500 < len(dropped) < 1740 and set(dropped) == {1}  # 0.9 in and 0.9 out
    flipped = echoed("uart-flip=0.05", 1)
    assert len(flipped) == 2000 and 1750 < flipped.count(1) < 1860
    assert flipped == echoed("uart-flip=0.05", 1) != echoed("uart-flip=0.05", 2)


def test_failing_flash_page_keeps_its_content():
    it = finished("flash", disturbances=parse("flash-fail=page63"))
    assert it.word("after") == 0xFFFF_FFFF
    assert finished("flash", disturbances=parse("flash-fail=page62")).word("after") == 0x2222_2222


def test_hang_stops_the_core_but_not_its_watchdog():
    it = board("heartbeat", disturbances=parse("hang@350ms"))
    it.run(2.0)
    assert it.console.host_read() == b"..."
    assert finished("reset").word("starts") == 14
    assert finished("reset", disturbances=parse("hang@20ms")).word("starts") == 4


def test_failing_page_takes_no_program_either():
    sound = board("hello", "VERDICT=PASS")
    broken = board("hello", "VERDICT=PASS", disturbances=parse("flash-fail=page0"))
    assert broken.memory(0x1000_0000, 8192) == b"\xff" * 8192 != sound.memory(0x1000_0000, 8192)
    spared = board("hello", "VERDICT=PASS", disturbances=parse("flash-fail=page1"))
    assert spared.memory(0x1000_0000, 8192) == sound.memory(0x1000_0000, 8192)


def pictured(fault: str, seed: int) -> list[int]:
    it = board("camera", disturbances=parse(fault), seed=seed)
    it.camera.show(np.full((2, 8, 8, 3), 128, np.uint8))
    it.run(1.0)
    return [it.word("first", n) for n in range(64)]


def test_camera_noise_disturbs_pictures_repeatably():
    assert set(pictured("", 1)) == {0x808080}
    noisy = pictured("camera-noise=16", 1)
    assert len({word & 0xFF for word in noisy}) > 5
    assert noisy == pictured("camera-noise=16", 1) != pictured("camera-noise=16", 2)


def test_report_names_every_fault_that_was_asked_for():
    it = board("heartbeat", disturbances=parse("brownout@350ms,brownout@9s,uart-drop=1"))
    it.run(0.7)
    assert it.faults.report() == [
        "fault brownout: 1 of 2 supply failures",
        "fault uart-drop: 6 of 6 bytes at a rate of 1",
    ]
    assert board("heartbeat").faults.report() == []
    flash = finished("flash", disturbances=parse("flash-fail=page63"))
    assert flash.faults.report() == ["fault flash-fail: 2 writes or erases lost, on pages: 1"]
