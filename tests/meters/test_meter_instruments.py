"""The drivers, each against a scripted instrument: a pseudo-terminal or a package's stand-in."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from max78k.errors import DeviceNotFoundError, InputError, Max78kError, ToolError
from max78k.host.meters import ppk2, serial_meter
from max78k.host.meters.choose import choose_meter, open_meter

pty = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")


class Instrument:
    """The far end of a pseudo-terminal; ``answer`` gets what was written, and may write."""

    def __init__(self, answer: Callable[[Instrument, bytes], None]) -> None:
        import tty

        self.master, self._slave = os.openpty()
        tty.setraw(self.master)
        tty.setraw(self._slave)
        self.place = os.ttyname(self._slave)
        self.heard = b""
        self.ended = threading.Event()
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data[:512]) :]

    def close(self) -> None:
        self.ended.set()
        os.close(self._slave)
        self._thread.join(5)
        os.close(self.master)

    def _serve(self) -> None:
        import select

        while not self.ended.is_set():
            if select.select([self.master], [], [], 0.01)[0]:
                try:
                    data = os.read(self.master, 4096)
                except OSError:
                    return
                self.heard += data
                self._answer(self, data)
            else:
                self._answer(self, b"")


@pytest.fixture
def instrument() -> Iterator[Callable[[Callable[[Instrument, bytes], None]], Instrument]]:
    made: list[Instrument] = []

    def make(answer: Callable[[Instrument, bytes], None]) -> Instrument:
        made.append(Instrument(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def heard(it: Instrument, commands: bytes) -> None:
    """Wait until the instrument has them."""
    end = time.monotonic() + 30
    while commands not in it.heard and time.monotonic() < end:
        time.sleep(0.01)
    assert commands in it.heard


def recorded(text: str, wait: Callable[[], bool]):
    """Open, start, wait for what the instrument does, stop."""
    with open_meter(text) as meter:
        meter.start()
        end = time.monotonic() + 30
        while not wait() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)  # what was written last is still on its way
        return meter.stop(), meter.instrument


# PPK2

META = "Calibrated: 0\nR0: 1000.0\nR1: 100.0\nR2: 10.0\nR3: 1.0\nR4: 0.05\nO2: 8\nUG2: 2\n" + (
    "GS1: 0\nGS2: 0.5\nGS3: 0\nGI3: 0.5\nI1: 0.001\nS1: 0.002\nVDD: 3300\nHW: 9173\nIA: 60\nEND"
)


def word(adc: int, kind: int, counter: int, logic: int = 0) -> bytes:
    return struct.pack("<I", adc | kind << 14 | (counter & 63) << 18 | logic << 24)


def kit(samples: bytes, sent: list[bool]) -> Callable[[Instrument, bytes], None]:
    def answer(it: Instrument, data: bytes) -> None:
        if ppk2.META_DATA in data:
            it.write(META.encode())
        if ppk2.AVERAGE_START in data:
            it.write(samples)
            sent.append(True)

    return answer


@pty
def test_ppk2_is_set_up_as_an_ampere_meter_and_its_samples_become_power(instrument):
    samples = b"".join(word(1002, 2, n, 1 if n < 50 else 3) for n in range(100))
    sent: list[bool] = []
    it = instrument(kit(samples, sent))
    recording, made = recorded(f"ppk2:{it.place},volts=3.0", lambda: bool(sent))
    heard(it, b"\x07")
    order = [b"\x07", b"\x19", b"\x11\x01", b"\x0d\x0b\xb8", b"\x0c\x01", b"\x06"]
    assert it.heard.startswith(b"".join(order))  # 3000 mV = 0x0BB8
    raw = (4 * 1002 - 8) * 1.8 / 163840 / 10
    assert recording.power_mw == pytest.approx([3e3 * 2 * raw * (0.5 * raw + 1)] * 100)
    assert recording.edges_s == pytest.approx(np.arange(101) * 1e-5)
    assert recording.marks.tolist() == [1] * 50 + [3] * 50
    assert recording.lost_s == 0.0 and abs(recording.began_s - time.monotonic()) < 60
    assert made.resolution_ma == pytest.approx(4e3 * 1.8 / 163840 / 10)
    assert made.sample_s == 1e-5 and it.place in made.name


@pty
def test_what_a_ppk2_still_sends_before_it_is_asked_is_dropped(instrument):
    """It goes on sending samples of a session that was killed until it is stopped."""
    sent: list[bool] = []
    answers = kit(b"".join(word(1002, 2, n) for n in range(100)), sent)

    def answer(it: Instrument, data: bytes) -> None:
        if ppk2.AVERAGE_STOP in data:
            it.write(word(1002, 2, 1) * 50 + b"\nI2: 7\nEND")
        answers(it, data)

    recording, _ = recorded(f"ppk2:{instrument(answer).place},volts=3.0", lambda: bool(sent))
    raw = (4 * 1002 - 8) * 1.8 / 163840 / 10
    assert recording.power_mw == pytest.approx([3e3 * 2 * raw * (0.5 * raw + 1)] * 100)


@pty
def test_ppk2_feeds_the_board_only_when_told_to(instrument):
    it = instrument(kit(b"", []))
    with open_meter(f"ppk2:{it.place},volts=5,source=1"):
        heard(it, b"\x11\x02\x0d\x13\x88\x0c\x01")


def test_ppk2_currents_follow_the_calibration_of_their_range():
    calibration = ppk2.parse_calibration(META)
    words = np.frombuffer(word(2500, 1, 0) + word(1000, 3, 1) * 9, "<u4")
    current, ranges = ppk2.currents(words, calibration, 3.0)
    assert ranges.tolist() == [1] + [3] * 9
    assert current[0] == pytest.approx(1e3 * (4 * 2500 * 1.8 / 163840 / 100 + 0.002 * 3 + 0.001))
    steady = 1e3 * 0.5 * 4 * 1000 * 1.8 / 163840
    assert current[4:] == pytest.approx([steady] * 6)
    settling = current[0] + (steady - current[0]) * np.array([1, 2, 3]) / 4
    assert current[1:4] == pytest.approx(settling)


@pty
def test_ppk2_lost_samples_are_counted_and_keep_the_time(instrument):
    numbers = [0, 1, 2, 12, 13, 14, *range(15, 60)]
    sent: list[bool] = []
    it = instrument(kit(b"".join(word(100, 2, n) for n in numbers), sent))
    recording, _ = recorded(f"ppk2:{it.place},volts=3", lambda: bool(sent))
    assert recording.lost_s == pytest.approx(9e-5)
    assert recording.edges_s[3] == pytest.approx(12e-5) and recording.edges_s[-1] == 60e-5


@pty
def test_ppk2_samples_are_found_at_any_byte(instrument):
    samples = b"\x55\x66" + b"".join(word(100, 2, n) for n in range(70))
    sent: list[bool] = []
    it = instrument(kit(samples, sent))
    recording, _ = recorded(f"ppk2:{it.place},volts=3", lambda: bool(sent))
    assert len(recording.power_mw) == 70 and recording.lost_s == 0.0


@pty
def test_a_port_without_a_ppk2_is_named(instrument, monkeypatch):
    monkeypatch.setattr(ppk2, "_META_S", 0.2)
    it = instrument(lambda it, data: it.write(b"hello ") if data else None)
    with (
        pytest.raises(ToolError, match=r"E-METER-SILENT.*hello") as caught,
        open_meter(f"ppk2:{it.place},volts=3"),
    ):
        pass
    assert it.place in caught.value.message


@pytest.mark.parametrize("text", ["", "R0: 1000\nR1: 100\nR2: x\nR3: 1\nR4: 1\n",
                                  META.replace("R4: 0.05", "R4: 0")])  # fmt: skip
def test_a_ppk2_without_calibration_is_refused(text):
    with pytest.raises(ToolError, match="E-METER-CALIBRATION"):
        ppk2.parse_calibration(text)


def test_no_ppk2_is_said(monkeypatch):
    from serial.tools import list_ports

    monkeypatch.setattr(list_ports, "comports", lambda: [])
    with pytest.raises(DeviceNotFoundError, match="E-METER-NONE"), open_meter("ppk2,volts=3"):
        pass


@pytest.mark.parametrize(
    "text",
    ["ppk2", "ppk2,volts=0.5", "ppk2,volts=9", "ina219", "ina226:x,shunt=0", "pmon:x,column=9"],
)
def test_instruments_that_cannot_be_are_refused(text):
    with pytest.raises(InputError, match="E-METER-OPTION"):
        choose_meter(text)


# INA219, INA226


def speaking(lines: list[str], pause_s: float = 0.0) -> Callable[[Instrument, bytes], None]:
    """An instrument that sends its lines once somebody can have begun to read."""
    begin = time.monotonic() + 0.3

    def answer(it: Instrument, data: bytes) -> None:
        if time.monotonic() > begin:
            while lines:
                it.write(lines.pop(0).encode())
                time.sleep(pause_s)

    return answer


@pty
@pytest.mark.parametrize(("model", "step"), [("ina219", 0.1), ("ina226", 0.025)])
def test_ina_readings_become_power_over_the_adapters_own_time(instrument, model, step):
    """500 uV over 0.1 ohm are 5 mA; at 3.2 V 16 mW; microseconds go over 2^32."""
    first = (1 << 32) - 2000
    lines = ["cut off\n"] + [
        f"{(first + 1000 * n) % (1 << 32)},{500 if n < 3 else 2000},3200,{3 if n > 3 else 0}\r\n"
        for n in range(6)
    ]
    recording, made = recorded(f"{model}:{instrument(speaking(lines)).place}", lambda: not lines)
    assert recording.edges_s == pytest.approx(np.arange(6) * 1e-3)
    assert recording.power_mw == pytest.approx([16, 16, 64, 64, 64])
    assert recording.marks.tolist() == [0, 0, 0, 3, 3] and recording.voltage_v == 3.2
    assert made.resolution_ma == pytest.approx(step) and made.sample_s == pytest.approx(1e-3)
    assert 0 <= recording.clock_s < 60


@pty
def test_an_adapter_without_marks_gives_none(instrument):
    lines = ["x\n"] + [f"{1000 * n},100,5000\n" for n in range(1, 5)]
    it = instrument(speaking(lines))
    recording, made = recorded(f"ina219:{it.place},shunt=0.01", lambda: not lines)
    assert recording.marks is None
    assert recording.power_mw == pytest.approx([50.0] * 3) and made.resolution_ma == 1.0


@pty
@pytest.mark.parametrize(
    "lines", [["Bus: 3.2 V\n"] * 5, ["1,2\n"] * 5, ["5,1,1\n"] * 5, ["1,1,nan\n", "2,1,inf\n"] * 3]
)
def test_lines_that_are_no_readings_are_shown(instrument, lines):
    with pytest.raises(Max78kError, match="E-METER-FORMAT"):
        recorded(f"ina219:{instrument(speaking(lines)).place}", lambda: not lines)


@pty
def test_an_adapter_that_sends_nothing_is_named(instrument):
    it = instrument(lambda it, data: None)
    with pytest.raises(ToolError, match=r"E-METER-LOST.*sent nothing"):
        recorded(f"ina219:{it.place}", lambda: True)


@pty
@pytest.mark.parametrize("text", ["ina219:{}", "pmon:{}", "ppk2:{},volts=3.3"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_meter_that_is_unplugged_is_named(instrument, monkeypatch, text, opened):
    """Also where the system's error is none of those of files."""
    it = instrument(kit(b"", []))
    meter = choose_meter(text.format(it.place))
    real, ports = serial_meter.open_port, []

    def unplug():
        import termios

        def gone(*_):
            raise termios.error(5, "Input/output error")

        for name in ("write", "read", "reset_input_buffer"):
            setattr(ports[0], name, gone)

    def open_port(name, baud):
        ports.append(real(name, baud))
        if not opened:
            unplug()
        return ports[0]

    monkeypatch.setattr(serial_meter, "open_port", open_port)
    with pytest.raises(ToolError, match=r"E-METER-LOST.*Input/output error"):
        meter.open()
        if opened:
            unplug()
        meter.start()
    meter.close()


# EVKIT power monitor


@pty
def test_the_power_monitor_is_asked_for_power_and_one_rail_is_taken(instrument):
    lines = ["1, 2\n"] + [f"{40 + n}.5, {10 + n}.25, 1.0, 0.5\r\n" for n in range(5)]
    it = instrument(speaking(lines, 0.05))
    recording, made = recorded(f"pmon:{it.place},column=2", lambda: not lines)
    assert it.heard == b"w"
    assert recording.power_mw == pytest.approx([11.25, 12.25, 13.25, 14.25])
    assert recording.marks is None and recording.voltage_v == 1.2
    assert "rail CA" in made.name and made.sample_s > 0.04
    assert recording.clock_s >= made.sample_s


@pty
def test_a_monitor_that_sends_other_lines_is_refused(instrument):
    lines = ["menu\n"] * 6
    with pytest.raises(ToolError, match=r"E-METER-FORMAT.*menu"):
        recorded(f"pmon:{instrument(speaking(lines)).place}", lambda: not lines)


# Joulescope


class Driver:
    """What the package's driver does, as far as it is used: sends its parts when switched on."""

    paths = ("u/js220/000123",)

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self.handlers: dict[str, Callable[[str, dict], None]] = {}
        Driver.last = self

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append(("exit", None))

    def device_paths(self) -> list[str]:
        return list(self.paths)

    def open(self, path: str, mode: str) -> None:
        self.log.append(("open", mode))

    def close(self, path: str) -> None:
        self.log.append(("close", path))

    def subscribe(self, topic: str, flags: list[str], handler) -> None:
        self.handlers[topic] = handler

    def unsubscribe(self, topic: str, handler) -> None:
        assert self.handlers.pop(topic) is handler

    def publish(self, topic: str, value: object) -> None:
        self.log.append((topic, value))
        signal = topic.removeprefix(self.paths[0] + "/").removesuffix("/ctrl")
        if value == 1 and signal in PARTS:
            for sample_id, factor, data in PARTS[signal]:
                self.handlers[f"{self.paths[0]}/{signal}/!data"](
                    topic, {"sample_id": sample_id, "sample_rate": 1_000_000,
                            "decimate_factor": factor, "data": data},
                )  # fmt: skip


def amperes(*values):
    return np.array(values, dtype=np.float32)


PARTS = {
    # a part of two values is missing between 1020 and 1040, and one value is not a number
    "s/i": [(1000, 10, amperes(0.002, 0.002)), (1040, 10, amperes(0.03, np.nan, 0.03))],
    "s/v": [(1000, 10, amperes(3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0))],
    # at the full rate, eight to a byte, the first in the lowest bit: high from 1050 on
    "s/gpi/0": [(1000, 1, np.array([0] * 6 + [0b1111_1100] + [0xFF] * 3, dtype=np.uint8))],
    "s/gpi/1": [(1000, 1, np.array([0] * 10, dtype=np.uint8))],
}


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("pyjoulescope_driver")
    module.Driver = Driver
    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", module)


def test_joulescope_parts_are_joined_by_their_sample_numbers(package):
    with open_meter("joulescope:123") as meter:
        meter.start()
        recording = meter.stop()
        assert "u/js220/000123" in meter.instrument.name
    assert recording.edges_s == pytest.approx([0, 1e-5, 4e-5, 5e-5, 6e-5, 7e-5])
    assert recording.power_mw == pytest.approx([6, 6, 90, 90, 90])
    assert recording.marks.tolist() == [0, 0, 0, 1, 1]
    assert recording.lost_s == pytest.approx(3e-5) and recording.voltage_v == 3.0
    log = Driver.last.log
    assert log[0] == ("open", "defaults") and ("u/js220/000123/h/fs", 100_000) in log
    assert log[-2:] == [("close", "u/js220/000123"), ("exit", None)]
    assert not Driver.last.handlers


@pytest.mark.parametrize("signal", ["s/i", "s/v"])
@pytest.mark.parametrize("values", [(np.nan, np.nan), ()])
def test_a_joulescope_that_gives_no_number_is_named(package, monkeypatch, signal, values):
    monkeypatch.setitem(PARTS, signal, [(1000, 10, amperes(*values))])
    with open_meter("joulescope:123") as meter:
        meter.start()
        with pytest.raises(ToolError, match=r"E-METER-LOST.*no number"):
            meter.stop()


def test_which_joulescope_must_be_clear(package):
    with pytest.raises(DeviceNotFoundError, match="E-METER-NONE"), open_meter("joulescope:9"):
        pass
    assert Driver.last.log == [("exit", None)]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyjoulescope_driver", None)
    with pytest.raises(ToolError, match="E-METER-PACKAGE") as caught, open_meter("joulescope"):
        pass
    assert "pip install" in caught.value.hint
