"""Peripherals, clocks, the accelerator's power, findings and time in states."""

from __future__ import annotations

import pytest
from board_support import board, finished

from max78k.simulator.clock import SECOND, Clock
from max78k.simulator.findings import FindingLog
from max78k.simulator.uart import Uart

BYTE = 10 * 64 / 7_372_800  # seconds of one character at 115200 baud


def test_timer_interrupts_wake_the_core_on_time():
    it = finished("timer")
    assert it.word("ticks") == 11  # ten periods and one one-shot
    assert 500_000 <= it.word("elapsed") < 500_100  # ticks of the 50 MHz peripheral clock
    assert it.word("systicks") == 5
    assert it.word("one_shot_left") == 1
    assert not it.findings


def test_continuous_timer_has_its_exact_period():
    it = board("timer")
    it.run(until=lambda: it.word("ticks") == 2)
    began = it.now
    it.run(until=lambda: it.word("ticks") == 10)
    assert it.now - began == pytest.approx(0.008, abs=5e-8)


def test_polled_delays_take_the_right_virtual_time():
    it = finished("timer")
    assert 5_000_000 <= it.word("polled") < 5_000_000 * 1.001


def test_echo_by_interrupt_is_paced_at_the_baud_rate():
    it = board("echo")
    it.run(0.001)
    message = bytes(range(256)) * 2
    it.console.host_write(message)
    began, received = it.now, bytearray()

    def all_back() -> bool:
        received.extend(it.console.host_read())
        return len(received) == len(message)

    it.run(1.0, until=all_back)
    assert bytes(received) == bytes((byte + 1) & 0xFF for byte in message)
    # The last byte comes in, and goes out a character later.
    assert it.now - began == pytest.approx((len(message) + 1) * BYTE, rel=0.001)
    assert not it.findings


def test_bytes_that_nobody_fetches_overrun_the_fifo():
    it = board("deaf")
    it.console.host_write(bytes(range(12)))
    it.run(0.1)
    assert set(it.codes()) == {"E-BOARD-UART-OVERRUN"}
    assert it.word("level") == 8
    assert it.word("flags") & 1 << 3
    assert it.word("first") == 0


def test_transmitter_reports_full_and_busy_and_loses_what_does_not_fit():
    it = finished("flood")
    assert it.word("full_after") == 9  # one in the shift register, eight in the FIFO
    assert it.word("busy") == 1
    assert it.word("spent") == pytest.approx(9 * BYTE * 50e6, rel=0.01)
    assert it.console.host_read() == bytes(range(9)) + b"!"
    assert it.codes() == ["E-BOARD-UART-FULL"]


def test_host_bytes_wait_for_the_receiver():
    clock = Clock(SECOND // 100_000_000)
    log = FindingLog(lambda pc: (0, "?", 0.0))
    uart = Uart("UART0", clock, log, lambda level: None, lambda: 2 * clock.period)
    uart.host_write(b"x")
    assert clock.next_time is None and uart.host_waiting == 1


def test_receive_flag_is_set_when_the_threshold_is_reached_not_above_it():
    clock = Clock(SECOND // 100_000_000)
    log = FindingLog(lambda pc: (0, "?", 0.0))
    uart = Uart("UART0", clock, log, lambda level: None, lambda: 2 * clock.period)
    control, flags, divider = 0x00, 0x0C, 0x10
    uart.write(divider, 64)
    uart.write(control, 2 | 3 << 10 | 1 << 15 | 2 << 16)
    uart.host_write(b"abc")
    seen = []
    for _ in range(3):
        assert clock.next_time is not None
        clock.jump(clock.next_time)
        clock.fire_due()
        seen.append(uart.read(flags) >> 4 & 1)
        uart.write(flags, 1 << 4)
    assert seen == [0, 1, 0]


def test_accelerator_needs_power_and_clock():
    good = finished("cnn")
    assert good.word("value") == 0x1234_5678
    assert good.findings == []
    assert good.energy["cnn_idle"] > 0.9
    without_power = finished("cnn", "VARIANT=1")
    assert without_power.word("value") == 0
    assert without_power.codes() == ["E-BOARD-CNN"]
    assert "power" in without_power.findings[0].message
    assert without_power.energy["cnn_off"] == pytest.approx(1.0)
    without_clock = finished("cnn", "VARIANT=2")
    assert without_clock.word("value") == 0
    assert "clock is off" in without_clock.findings[0].message
    assert without_clock.findings[0].address == 0x5040_0000
    assert without_clock.findings[0].symbol.startswith("program+")


def test_accelerator_takes_words_alone():
    it = finished("cnn", "VARIANT=3")
    assert it.word("value") == 0x1234_5678
    assert it.codes() == ["E-BOARD-CNN"]


def test_accelerator_writes_take_the_published_time():
    ticks = finished("cnn").word("write_ticks")  # 1000 words, 20 ns each
    assert 1000 * 14 <= ticks <= 1000 * 16


@pytest.mark.parametrize(("divider", "factor"), [(4, 1), (0, 2), (1, 4), (3, 16)])
def test_accelerator_runs_for_its_cycles_and_interrupts(divider: int, factor: int):
    it = board("cnnrun", f"DIVIDER={divider}")
    cycles = 12_345
    started = []

    class Stand_in:
        """Takes the place of the accelerator: any write to CTL starts a run."""

        busy = interrupt = False
        layer_cycles, load = (), 1.0

        def read(self, address: int, size: int) -> int:
            return int(self.interrupt) << 12

        def write(self, address: int, value: int, size: int) -> None:
            if value & 1:
                self.busy = True
                started.append(it.now)
                it._cnn.started(cycles)
            else:
                self.interrupt = False

        def complete(self) -> None:
            self.busy, self.interrupt = False, True

        def set_power(self, *masks: int) -> None:
            assert len(masks) == 4

    it._cnn.accelerator = Stand_in()
    it.run(0.1)
    assert len(started) == 2
    assert it.word("interrupts") == 1  # the first run is waited for by WFI, the second by polling
    expected = cycles * factor  # ticks of the 50 MHz clock
    for n in range(2):
        assert expected <= it.word("ticks", n) <= expected + 150
    assert it.energy["cnn_active"] == pytest.approx(2 * expected / 50e6)


def test_pins_random_numbers_and_what_is_not_there():
    it = finished("misc", seed=7)
    assert it.leds == {"red": False, "green": True, "blue": False}
    assert [event[1:] for event in it.led_events] == [("green", True)]
    assert it.word("random_word") == finished("misc", seed=7).word("random_word")
    assert it.word("random_word") != finished("misc", seed=8).word("random_word")
    assert it.word("level") == 0
    assert it.codes() == ["E-BOARD-CLOCK", "N-BOARD-UNKNOWN"]
    assert it.word("pressed") == 0
    it.press("SW1")
    it.run(0.001)
    it.press("SW1", down=False)  # the rising edge does not count
    it.run(0.001)
    assert it.word("pressed") == 1
    assert it.leds["green"] is False


def test_flash_is_changed_by_its_controller_alone():
    it = finished("flash")
    assert it.word("before") == 0xFFFF_FFFF
    assert it.word("after") == 0x2222_2222
    assert it.word("wrong") == 0x1007_0000
    assert it.codes() == ["E-BOARD-UNMAPPED"]
    it.reset(power_on=True)
    assert it.memory(0x1007_E000, 4).hex() == "11111111"


def test_timer_follows_a_change_of_the_core_clock():
    it = finished("clocks")
    # 1 ms at 60 MHz gives 30,000 ticks of PCLK, 1 ms at 100 MHz gives 50,000.
    assert it.word("ticks", 0) == pytest.approx(30_000, rel=0.01)
    assert it.word("ticks", 1) == pytest.approx(50_000, rel=0.01)
    # The oscillator that the system clock does not influence.
    assert it.word("ticks", 2) == pytest.approx(7372, abs=20)
    assert it.word("halves") == 0x0003_0002


def test_events_happen_in_order_and_can_be_cancelled():
    clock, happened = Clock(10), []
    late = []
    clock.schedule(30, lambda: happened.append("c"))
    clock.schedule(10, lambda: clock.schedule(25, lambda: late.append(clock.now)))
    clock.schedule(10, lambda: happened.append("a"), work=True)
    gone = clock.schedule(20, lambda: happened.append("b"), work=True)
    clock.cancel(gone)
    clock.cancel(gone)
    assert clock.has_work
    clock.jump(30)
    clock.fire_due()
    assert clock.next_time == 35  # counted from the time of the event, not of carrying it out
    clock.jump(100)
    clock.fire_due()
    assert late == [35]
    assert happened == ["a", "c"]
    assert not clock.has_work and clock.next_time is None
