"""DMA, I2C and its devices, the camera, slow timers, semaphores, remainders, level interrupts."""

from __future__ import annotations

import numpy as np
import pytest
from board_support import board, finished

SECOND = 50e6  # ticks of the peripheral clock


def test_dma_copies_memory_and_serves_the_uart_both_ways():
    it = board("dma")
    it.run(0.0005)
    assert it.word("interrupts") == 1
    assert [it.word("copied", n) for n in range(8)] == [1, 2, 3, 4, 5, 6, 7, 0x1234_5678]
    it.console.host_write(b"0123456789")
    it.run(0.1)
    assert it.console.host_read() == b"sent by DMA, without the core"
    assert it.memory(it.symbol("into"), 11) == b"0123456789\0"
    assert it.word("left") == 0 and it.word("status") & 4
    assert it.word("bus_error") == 1 and it.memory(0x1007_0000, 4) == b"\xff" * 4
    assert it.codes() == []


def test_dma_goes_on_at_the_places_it_is_given_meanwhile():
    it = finished("reload")
    assert it.word("reloads") == 5
    assert [it.word("copied", n) for n in range(20)] == [1, 2, 3, 4] * 5
    assert it.codes() == []


def test_pmic_answers_on_its_bus_at_the_programmed_speed():
    it = finished("i2c")
    assert it.word("identity") == 2
    assert it.word("echo") == 0x42
    assert it.word("pair") == 0x0113
    assert it.word("nack") == 1
    assert it.word("ticks") == pytest.approx(3 * 9 * SECOND / 100e3, rel=0.02)  # three bytes
    assert it.word("interrupts") == 1
    assert it.codes() == []


def test_camera_answers_to_an_i2c_controller():
    it = finished("i2c", "CAMERA")
    assert it.word("identity") == 0x7692
    assert it.word("echo") == 6
    assert it.codes() == []


def test_camera_is_found_and_named_on_two_pins():
    it = finished("sccb")
    assert it.word("found") == 0x3C
    assert it.word("product") == 0x7692
    assert it.word("maker") == 0x7FA2
    assert it.word("format") == 6
    assert it.word("after_reset") == 0


def test_pictures_arrive_as_pixels_and_as_raw_bytes():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    it = board("camera")
    it.camera.show(pictures)
    it.run(0.1)
    assert it.word("taken") == 64 and it.word("done") == 1
    masked = pictures & np.array([0xF8, 0xFC, 0xF8], np.uint8)
    for n, (red, green, blue) in enumerate(masked[0].reshape(64, 3).tolist()):
        assert it.word("first", n) == red | green << 8 | blue << 16
    raw = it.memory(it.symbol("second"), 128)
    for n, (red, green, blue) in enumerate(masked[1].reshape(64, 3).tolist()):
        pixel = red << 8 | green << 3 | blue >> 3
        assert raw[2 * n : 2 * n + 2] == pixel.to_bytes(2, "big")
    assert it.codes() == []


def test_pixels_that_nobody_fetches_are_lost_and_reported():
    it = board("camera")
    it.camera.show(np.zeros((1, 64, 64, 3), np.uint8))
    it.run(0.1)
    assert it.word("taken") == 64  # the program takes no more
    assert it.codes() == ["E-BOARD-CAMERA"]


def test_slow_clocks_keep_their_time():
    it = finished("clocktime", seconds=3.0)
    for n in range(2):
        assert it.word("sub", n) == pytest.approx(409 / 4096 * SECOND, rel=0.001)
    assert it.word("day") == 1
    assert (it.word("seconds"), it.word("parts")) == (101, 0)
    assert it.word("wut") == pytest.approx(100 / 4096 * SECOND, rel=0.01)
    assert it.word("tmr4") == pytest.approx(3277 / 32768 * SECOND, rel=0.001)


def test_semaphores_remainders_levels_and_the_other_watchdog():
    it = board("helpers")
    it.run(0.01)
    assert [it.word("took", n) for n in range(3)] == [0, 1, 0]
    assert it.word("status") == 1 << 2
    assert it.word("mails") == 1
    assert it.word("by_byte") == it.word("by_word") == 0xCBF4_3926  # the check value of CRC-32
    assert it.word("msb") == 0x0376_E6E7  # of CRC-32/MPEG-2
    assert it.word("level_interrupts") == 0
    it.press("SW1")
    it.run(0.01)
    assert it.word("level_interrupts") == 3  # again and again, until it is disabled
    it.run(1.9)
    assert it.word("starts") == 1
    it.run(0.2)
    assert it.word("starts") == 2
    assert it.codes() == []


def test_low_power_uart_echoes_at_its_rate():
    it = board("lpuart")
    it.run(0.001)
    uart = it._chip.uarts[3]
    uart.host_write(b"Hello")
    it.run(0.003)
    assert uart.host_read() == b"h"  # 10 bits of 7 half clocks each: 1.07 ms a byte
    it.run(0.1)
    assert uart.host_read() == b"ELLO"


@pytest.mark.parametrize("followed", [False, True])
def test_dma_runs_show_at_every_moment_what_byte_by_byte_shows(followed: bool):
    """With a listener each byte is an event of its own, else many are carried out at once."""
    it = board("stream")
    if followed:
        it.signals.frames.append(lambda uart, byte, sent: None)
    it.console.host_write(bytes(range(70)))
    it.run(0.05)
    byte_time = 640 / 7_372_800
    expected = [min(int(0.0008 * (n + 1) / byte_time), 70) for n in range(8)]
    assert all(abs(it.word("looks", n) - expected[n] % 64) <= 1 for n in range(8))
    assert it.memory(it.symbol("into"), 64) == bytes((*range(64, 70), *range(6, 64)))
    assert it.word("turns") == 1
    assert it.console.host_read() == b"forty bytes that leave the chip by DMA.."
    # the last byte enters the FIFO while three are still to be sent and one is under way
    assert it.word("sent_at") / 50e6 == pytest.approx(36 * byte_time, abs=1.1 * byte_time)
    assert it.word("flags") >> 4 & 1
    assert it.codes() == []


def test_dma_runs_are_the_same_with_faults_on_the_line():
    """A byte that is lost leaves no gap in memory."""
    it = board("stream")
    it.console.line = lambda byte: None if byte % 7 == 3 else byte
    it.console.host_write(bytes(range(60)))
    it.run(0.05)
    kept = bytes(byte for byte in range(60) if byte % 7 != 3)
    assert it.memory(it.symbol("into"), len(kept)) == kept
