"""The core: exceptions, sleep, faults, time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from board_support import board, compiled, finished

from max78k.errors import InputError, ToolError
from max78k.simulator import cpu
from max78k.simulator.board import VirtualBoard
from max78k.simulator.findings import SimulatorError

NOWHERE = 0x3000_0000


def test_exceptions_nest_by_priority_and_chain_when_equal():
    it = finished("nesting")
    order = it.memory(it.symbol("order"), 32).rstrip(b"\0").decode()
    # l(ow) is preempted by h(igh); e(qual) waits for L; PendSV waits for the end of SVC.
    assert order == "ablhLecsSpd"
    assert it.word("level_at_high") == 16 + 14
    assert it.float("sum") == 0.5 + 3.0 * 1.5
    assert not it.findings


def test_floating_point_state_survives_interrupts_at_any_place():
    it = finished("float")
    a, b = np.float32(0), np.float32(1)
    for i in range(20000):
        a = np.float32(a + b * np.float32(0.5))
        step = 0.25 if i & 3 == 0 else -0.125 if i & 1 else 0.0
        b = np.float32(b + np.float32(step))
        b = np.float32(1) if b > 100 else b
    assert it.word("hits") > 1000
    assert it.float("result") == a


def test_faults_reach_the_handlers_with_their_status():
    it = finished("faults")
    assert it.word("bus_status") == 1 << 15 | 1 << 9
    assert it.word("bus_address") == NOWHERE
    assert it.word("usage_status") == 1 << 16
    assert it.word("hard_status") == 1 << 30
    assert it.codes() == ["E-BOARD-UNMAPPED", "E-BOARD-UNDEFINED"]  # each function once
    assert it.findings[0].address == NOWHERE
    assert it.findings[0].symbol.startswith("bad_read+")


def test_fault_without_a_handler_ends_with_a_readable_dump():
    it = board("nohandler")
    with pytest.raises(SimulatorError) as caught:
        it.run(1.0)
    assert caught.value.code == "E-BOARD-HANDLER"
    assert re.search(r"write to an address.*0x30000000", str(caught.value))
    assert re.search(r"R0 0x30000000", str(caught.value))
    assert "PC in culprit" in str(caught.value)


def test_strict_mode_ends_at_the_first_finding():
    it = board("faults", strict=True)
    with pytest.raises(SimulatorError, match=r"E-BOARD-UNMAPPED.*bad_read"):
        it.run(1.0)
    it = board("cnn", "VARIANT=1", strict=True)  # raised inside a device access
    with pytest.raises(SimulatorError, match=r"E-BOARD-CNN.*quadrant 0"):
        it.run(1.0)


def test_unhandled_interrupt_is_named():
    it = board("unhandled")
    with pytest.raises(SimulatorError, match="interrupt 6 happened"):
        it.run(1.0)


def test_fault_in_the_fault_handler_locks_up():
    with pytest.raises(SimulatorError, match="E-BOARD-LOCKUP"):
        board("lockup").run(1.0)


def test_stack_below_its_region_is_found():
    assert finished("stack").codes() == ["E-BOARD-STACK"]


def test_protection_unit_guards_the_stack():
    it = finished("guard")
    assert it.word("why") == 1 << 7 | 1 << 1
    limit = it.symbol("__stack_limit")
    assert limit <= it.word("where") < limit + 32
    assert it.codes() == ["E-BOARD-GUARD", "E-BOARD-STACK"]  # the second as the fault is stacked


def test_use_of_the_fpu_before_it_is_enabled_is_found():
    assert finished("nofpu").codes() == []
    assert finished("nofpu", "NO_FPU").codes() == ["E-BOARD-FPU"]


def test_reset_by_software_and_watchdog_keeps_sram():
    it = finished("reset")
    assert it.word("first_word") == 0x3C5AC3A5  # the pattern at power-on, not zero
    assert it.word("starts") == 14  # 1, 2, 3 by software; the watchdog ended the run that set 13
    assert it.word("causes", 13 & 3) == 2  # which the watchdog's flag tells
    assert it.word("causes", 2) == 0
    it.reset(power_on=True)
    assert it.memory(0x2001_0000, 4).hex() == "a5c35a3c"
    it.run(0.001)
    assert it.word("starts") == 3


def test_interrupt_taken_right_after_masks_are_cleared():
    it = finished("masks")
    assert it.word("late") == 0
    assert it.word("taken") == 300


def test_interrupt_controller_registers_read_back():
    it = finished("registers")
    assert it.word("enabled") == 1 << 2 | 1 << 5
    assert it.word("pending") == 1 << 7
    assert it.word("icsr") == 1 << 22 | 1 << 11  # pending, though not enabled; nothing active
    assert it.word("priority") == 0x40E0_0000  # three bits are implemented


def test_frames_are_aligned_and_the_stack_pointer_comes_back():
    it = finished("registers")
    assert it.word("handler_sp") % 8 == 0
    assert it.word("sp_after") == it.word("sp_before")


def test_line_that_stays_high_interrupts_again():
    it = finished("registers")
    it.press("SW1")
    it.run(0.001)
    assert it.word("entries") == 3


def test_wait_for_event_and_sleep_on_exit():
    it = finished("events")
    assert it.word("woken") == 1
    assert it.word("stage") == 2  # main does not go on after the handler
    assert it.word("ticks") > 5


def test_events_come_from_the_program_and_from_disabled_interrupts():
    it = finished("sendevent")
    assert it.word("passed") == 1  # SEV: the first WFE does not sleep
    assert it.word("woken") == 0  # nobody asked for events of pending interrupts
    asked = finished("sendevent", "ASKED")
    assert asked.word("woken") == 1 and asked.word("handled") == 0
    assert asked.word("ticks") == pytest.approx(30_000, rel=0.01)


def test_cycle_counter_stands_still_in_sleep():
    it = finished("timer")
    assert it.word("cycles") < 5000  # ten milliseconds were slept away
    times = it.energy
    assert times["core_sleep"] > 0.8
    assert times["core_active"] == pytest.approx(0.1, rel=0.01)  # the polled delay
    assert sum(times[state] for state in ("core_active", "core_sleep")) == pytest.approx(
        it.now, rel=1e-9
    )


def test_run_ends_when_nothing_can_wake_the_core():
    it = board("nofpu")
    it.run()
    assert it.asleep and it.next_event is None


def test_run_ends_when_asked():
    it = board("timer")
    it.run(until=lambda: it.word("ticks") == 3)
    assert 0.003 < it.now < 0.004


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF" + bytes(60), b"text"])
def test_unusable_files_are_refused(tmp_path: Path, content: bytes | None):
    path = tmp_path / "app.elf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        VirtualBoard(path)
    assert caught.value.code == "E-BOARD-ELF"


def test_program_outside_flash_is_refused(tmp_path: Path):
    data = bytearray(compiled("nofpu").read_bytes())
    header = int.from_bytes(data[28:32], "little")
    data[header + 15] = 0x70  # upper byte of the first segment's physical address
    path = tmp_path / "app.elf"
    path.write_bytes(data)
    with pytest.raises(InputError, match="E-BOARD-ELF"):
        VirtualBoard(path)


def test_missing_unicorn_is_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "unicorn", None)
    with pytest.raises(ToolError) as caught:
        cpu.Cpu()
    assert caught.value.code == "E-BOARD-UNICORN"
    assert "max78k[board]" in caught.value.hint
