"""Waveforms, read back with a parser that shares no code with their writer."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from board_support import board, compiled

from max78k.chip import addresses
from max78k.errors import InputError
from max78k.simulator.findings import SimulatorError
from max78k.simulator.vcd import waveforms

pytest.importorskip("vcd", reason="waveforms are written with pyvcd")
vcdvcd = pytest.importorskip("vcdvcd", reason="waveforms are read back with vcdvcd")
if hasattr(signal, "SIGPIPE"):  # which importing vcdvcd gives a default that ends the process
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class Dump:
    """Changes (nanoseconds, value) by name."""

    def __init__(self, path: Path) -> None:
        self._file: Any = vcdvcd.VCDVCD(str(path))
        assert float(self._file.timescale["timescale"]) == pytest.approx(1e-9)

    def changes(self, name: str) -> list[tuple[int, str]]:
        return self._file[name].tv

    def at(self, name: str, nanoseconds: int) -> str:
        return self._file[name][nanoseconds]


def recorded(folder: Path, name: str, *defines: str, seconds: float = 1.0) -> tuple[Dump, Any]:
    it = board(name, *defines)
    with waveforms(folder / "run.vcd", it):
        it.run(seconds)
    return Dump(folder / "run.vcd"), it


def received(dump: Dump, wire: str, bit_ns: float) -> bytes:
    """What a UART at the other end of the line would read."""
    data, free = bytearray(), 0.0
    for time, level in dump.changes(wire):
        if level == "0" and time >= free:
            bits = [dump.at(wire, round(time + bit_ns * (n + 1.5))) for n in range(9)]
            assert bits[8] == "1"  # stop bit
            data.append(sum(int(bit) << n for n, bit in enumerate(bits[:8])))
            free = time + 9.4 * bit_ns
    return bytes(data)


def test_a_far_end_can_read_the_serial_line(tmp_path: Path):
    dump, it = recorded(tmp_path, "hello", "VERDICT=PASS")
    sent = it.console.host_read()
    assert sent == b"known-answer test\r\nPASS\r\n"
    assert received(dump, "uart0.tx", 1e9 / 115200) == sent
    # a byte that comes again is no change
    assert [int(value, 2) for _, value in dump.changes("uart0.tx_byte")[1:6]] == list(b"known")


def test_bytes_from_the_host_are_on_the_other_line(tmp_path: Path):
    it = board("echo")
    with waveforms(tmp_path / "run.vcd", it):
        it.run(0.001)
        it.console.host_write(b"UVW")
        it.run(0.01)
    dump = Dump(tmp_path / "run.vcd")
    assert received(dump, "uart0.rx", 1e9 / 115200) == b"UVW"
    assert received(dump, "uart0.tx", 1e9 / 115200) == b"VWX"


def test_accelerator_core_and_interrupt_follow_each_other(tmp_path: Path):
    dump, it = recorded(tmp_path, "cnnrun", "DIVIDER=4")
    (_, idle), (start, on), (end, off), *second = dump.changes("cnn.running")
    assert (idle, on, off) == ("0", "1", "0") and len(second) == 2
    assert dump.at("cnn.layer", start) == "0" and dump.at("cnn.layer", end) == "x"
    assert dump.at("cnn.powered", start - 1) == "1" and dump.at("cnn.powered", 0) == "0"
    assert dump.at("cpu.sleep", end - 5) == "1"
    assert dump.at("cpu.active", end - 5) == "0"
    raised = next(time for time, level in dump.changes("irq.CNN") if level == "1")
    assert raised == end
    entered = next(t for t, v in dump.changes("cpu.exception") if int(v, 2) == 16 + 101)
    assert end <= entered < end + 1000
    low = [float(v) for t, v in dump.changes("supply_estimate.low_mA") if start < t < end]
    assert low and it.supply.current[0] == float(dump.changes("supply_estimate.low_mA")[-1][1])


def test_leds_buttons_and_pins(tmp_path: Path):
    it = board("misc")
    with waveforms(tmp_path / "run.vcd", it):
        it.run(0.1)
        it.press("SW1")
        it.run(0.1)
        it.press("SW1", down=False)
    dump = Dump(tmp_path / "run.vcd")
    assert [v for _, v in dump.changes("board.sw1")] == ["0", "1", "0"]
    assert [v for _, v in dump.changes("gpio.P0_2")] == ["1", "0", "1"]
    pressed = dump.changes("board.sw1")[1][0]
    assert pressed == pytest.approx(1e8, rel=1e-4)
    assert dump.at("board.led_green", pressed - 1) != dump.at("board.led_green", pressed + 10**6)
    assert dump.at("irq.GPIO0", pressed) == "1"


def test_lines_of_all_blocks_have_their_names(tmp_path: Path):
    dump, _ = recorded(tmp_path, "hello", "VERDICT=PASS", seconds=1e-6)
    for name in ("TMR3", "TMR5", "GPIO2", "DMA3", "UART3", "PCIF", "CNN"):
        assert dump.changes(f"irq.{name}") == [(0, "0")]
    assert addresses.IRQ_TMR0 == 5


def test_a_crash_leaves_the_file_and_a_wrong_path_leaves_none(tmp_path: Path):
    it = board("nohandler")
    with pytest.raises(SimulatorError), waveforms(tmp_path / "crash.vcd", it):
        it.run(1.0)
    assert Dump(tmp_path / "crash.vcd").changes("cpu.active")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="E-BOARD-VCD"):
        with waveforms(tmp_path / "file" / "x.vcd", board("nohandler")):
            pass


def test_the_command_writes_it(tmp_path: Path):
    command = [sys.executable, "-m", "max78k", "board", "run"]
    options = ["--until", "PASS", "--vcd", str(tmp_path / "out" / "run.vcd")]
    elf = str(compiled("hello", "VERDICT=PASS"))
    done = subprocess.run([*command, elf, *options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert Dump(tmp_path / "out" / "run.vcd").changes("uart0.tx")
