"""Register sequences of start-up code and drivers in the vendor's style, and what they measure."""

from __future__ import annotations

import pytest
from board_support import board, finished

from max78k.simulator.exceptions import CHAIN_CYCLES, ENTRY_CYCLES
from max78k.simulator.findings import SimulatorError
from max78k.simulator.flash import ERASE_TIME, WRITE_TIME

TICKS = 50e6  # per second, of the peripheral clock
FEMTOSECONDS = 1e-15


def test_program_in_the_style_of_the_vendors_sdk_boots_and_prints():
    it = board("vendorstart", strict=True)
    it.run(3.0)
    lines = it.console.host_read().decode().split("\r\n")
    assert lines[0] == "hello at 100000000 Hz"
    for line in lines[1:4]:
        assert int(line.removesuffix(" us")) == pytest.approx(500_000, rel=0.001)
    assert lines[4] == "serial 1 "
    assert it.findings == []


def test_bits_that_start_something_are_clear_when_it_is_over():
    it = finished("selfclear", seed=1)
    assert it.word("finished") == 1
    assert len({it.word("words", n) for n in range(4)}) == 4
    assert it.codes() == []


def test_timer_modes_count_compare_and_capture():
    it = board("timermodes")
    it.run(0.01, until=lambda: it.word("ready") == 1)
    assert it.word("halves", 0) == pytest.approx(16 * 1000, abs=100)
    assert it.word("halves", 1) == pytest.approx(16 * 2000, abs=100)
    assert it.word("compare_count") >= 2000  # a compare goes on counting
    assert it.word("pwm_flags") == 20  # both transitions of ten periods
    assert it.word("captured") == pytest.approx(10_000, rel=0.02)
    it.run(0.001)
    before = it.now
    it.press("SW1")
    it.run(0.002)
    it.press("SW1", down=False)  # the rising edge is captured
    it.run(0.01, until=lambda: it.word("ready") == 2)
    assert it.word("events") == 1
    assert it.word("captured") == pytest.approx(before * TICKS + 0.002 * TICKS, rel=0.5)
    for _ in range(3):
        it.press("SW1")
        it.run(0.0001)
        it.press("SW1", down=False)
        it.run(0.0001)
    it.run(0.01, until=lambda: it.word("ready") == 3)
    assert it.word("counted") == 4
    it.press("SW1")
    it.run(0.001)
    it._cpu.write_memory(it.symbol("ready"), bytes(4))
    it.run(0.01, until=lambda: it.word("ready") == 4)
    gated = it.word("gated")
    assert 0 < gated < 0.0006 * TICKS  # the counter stood while the pin was low
    it.press("SW1", down=False)
    it.run(0.003)
    it.press("SW1")
    it.run(0.001)
    it.press("SW1", down=False)
    it.run(0.01, until=lambda: it.word("ready") == 5)
    assert it.word("between") == pytest.approx(0.004 * TICKS, rel=0.001)
    assert it.codes() == []


def test_flash_operations_take_their_time_and_obey_locks():
    it = finished("flashops")
    assert it.word("erase_ticks") == pytest.approx(ERASE_TIME * FEMTOSECONDS * TICKS, rel=0.001)
    assert it.word("write_ticks") == pytest.approx(WRITE_TIME * FEMTOSECONDS * TICKS, rel=0.1)
    assert [it.word("words", n) for n in range(4)] == [0x1111_0000 + n for n in range(4)]
    assert it.word("interrupts") == 3
    assert it.word("polls") > 20  # code in RAM goes on and sees the busy bit
    assert it.word("small") == 0x600D_F00D
    assert it.memory(0x1007_C044, 4) == b"\xff" * 4  # 32 bits were written
    assert it.word("protected_flag") == 1 and it.word("locked_flag") == 1
    assert it.memory(0x1007_C040, 4) == (0x600D_F00D).to_bytes(4, "little")
    assert {finding.code for finding in it.findings} == {"E-BOARD-FLASH"}
    assert [finding.message.split(": ")[1] for finding in it.findings] == [
        "the page is write-protected", "locked",
    ]  # fmt: skip


def test_enabled_alarm_wakes_from_deep_sleep_and_systick_stands_still():
    it = finished("deepsleep", "MODE=8", "WAKE=1", seconds=3.0)
    assert it.word("status") == 0  # cleared by writing ones
    assert it.word("woken") == 0x101
    assert it.word("seconds") == 2
    assert it.word("ticks") == 0
    assert it.energy["core_deep_sleep"] == pytest.approx(2.0, abs=0.001)
    assert it.codes() == []


def test_pin_wakes_from_deep_sleep_and_leaves_its_mark():
    it = board("deepsleep", "MODE=8", "WAKE=1")
    it.run(0.5)
    it.press("SW1")
    it.run(0.001)
    assert it.word("woken") == 0x101 and it.word("seconds") == 0
    assert it.word("pin_wakes") == 1 and it.word("pin_status") == 1 << 2
    assert it.codes() == []


def test_event_that_is_not_enabled_to_wake_the_chip_is_told():
    it = finished("deepsleep", "MODE=8", "WAKE=0", seconds=3.0)
    assert it.codes() == ["E-BOARD-WAKE"]


@pytest.mark.parametrize("mode", [4, 10])
def test_backup_and_power_down_end_in_a_reset(mode: int):
    it = finished("deepsleep", f"MODE={mode}", "WAKE=1", seconds=3.0)
    kept = mode == 4
    assert it.word("starts") == (2 if kept else 1)
    if kept:
        assert it.word("seconds") == 2  # the clock went on
        assert it.word("last_bank") == 0x3C5A_C3A5  # this bank was not retained


def test_watchdog_window_counts_early_feeding():
    it = finished("window")
    assert it.word("interrupts") == 1
    assert it.word("flag") == 0  # reset clears it: read at the second start
    assert it.word("starts") == 2
    assert it.word("cause") == 1


def test_spi_adc_microphone_one_wire_and_ciphers():
    it = board("signals")
    it.spi[1].exchange = lambda character: character ^ 0xFF
    it.adc.volts[3] = 1.0
    it.microphone.hear(range(-8, 8))
    it.run(0.1)
    expected = bytes(n ^ 0xFF for n in range(1, 9))
    assert it.memory(it.symbol("answer"), 8) == expected
    assert it.memory(it.symbol("by_dma"), 8) == expected
    assert it.word("spi_ticks") == pytest.approx(64 / 5e6 * TICKS, rel=0.05)
    assert it.word("code") == round(0.5 / 1.22 * 1023)
    assert it.word("limits") == 1 | 1 << 2  # done, above the upper limit
    assert [it.word("samples", n) for n in range(16)] == [n << 16 & 0xFFFF_FFFF
                                                          for n in range(-8, 8)]  # fmt: skip
    assert it.word("i2s_ticks") == pytest.approx(16 / 16e3 * TICKS, rel=0.01)
    assert it.word("i2s_interrupts") == 4
    assert it.word("presence") == 0 and it.word("touched") == 0x33
    assert [it.word("cipher", n) for n in range(4)] == [
        0x70B4_C55A, 0xD8CD_B780, 0x6A7B_0430, 0x69C4_E0D8,
    ]  # FIPS 197, appendix C.1  # fmt: skip
    assert it.word("crc") == 0x3FCA_88C5  # of the bytes 1 to 8
    assert it.codes() == []


def test_interrupts_that_are_acknowledged_each_time_are_no_mistake_however_many_follow():
    it = finished("chained", seconds=0.1)
    assert it.word("runs") >= 500
    assert it.codes() == []


@pytest.mark.parametrize(
    ("case", "code", "address"),
    [
        (1, "E-BOARD-ALIGN", 0x4000_8004),
        (2, "E-BOARD-WIDTH", 0x4000_8018),
        (3, "E-BOARD-OSC", 0x4000_0008),
        (4, "E-BOARD-FLASH", 0x1007_E000),
        (5, "E-BOARD-FLASH-CLOCK", 0),
        (6, "E-BOARD-FLASH-WRITE", 0x1007_E000),
        (7, "E-BOARD-CLOCK", 0x4001_0000),
        (8, "N-BOARD-UNKNOWN", 0x4008_8000),
        (9, "E-BOARD-PINS", 0),
        (10, "E-BOARD-IRQ", 0),
        (11, "N-BOARD-RISCV", 0),
    ],
)
def test_mistake_is_told_once_with_its_place_and_ends_a_strict_run(
    case: int, code: str, address: int
):
    it = finished("misuse", f"CASE={case}", seconds=0.1)
    assert it.codes() == [code]
    finding = it.findings[0]
    place = "tmr0_handler" if case == 10 else "culprit"
    assert finding.symbol.startswith(place) or case == 6
    assert finding.address == address
    strict = board("misuse", f"CASE={case}", strict=True)
    if finding.is_error:
        with pytest.raises(SimulatorError, match=code):
            strict.run(0.1)
    else:
        strict.run(0.1)


def test_handlers_that_wait_are_chained_without_a_return():
    it = finished("chaining")
    first, second = (it.word("at", n + 1) - it.word("at", n) for n in range(2))
    assert 12 <= first <= 24  # an entry
    assert 6 <= second <= first - (ENTRY_CYCLES - CHAIN_CYCLES)
    assert it.word("at", 3) > it.word("at", 2) + 9
