"""Ports: finding boards, opening over a real pseudo-terminal, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
from fake_device import FakeBoard, network, on_terminal
from serial.tools import list_ports as system

from max78k.errors import DeviceNotFoundError, ExitCode, InputError, LinkError, ToolError
from max78k.host import ports, session
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.messages import BAUD_RATES
from max78k.host.ports import WRITE_TIMEOUT_S, list_ports, open_port
from max78k.host.virtual_board import VirtualBoard

FAKE_PROGRAM = (sys.executable, str(Path(__file__).resolve().parents[1] / "fake_device.py"))


def entry(device, description="n/a", vid=None, pid=None):
    return SimpleNamespace(
        device=device, description=description, vid=vid, pid=pid, serial_number=None,
        product=None, interface=None,
    )  # fmt: skip


@pytest.fixture
def machine(monkeypatch):
    """Sets the ports that the system lists."""

    def has(*entries):
        monkeypatch.setattr(system, "comports", lambda: list(entries))

    has()
    return has


def refusal(code, name):
    with pytest.raises(DeviceNotFoundError) as caught:
        open_port(name)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.exit_code == ExitCode.DEVICE_NOT_FOUND
    assert caught.value.hint
    return str(caught.value)


def test_likely_boards_come_first_and_are_marked(machine):
    machine(
        entry("/dev/ttyS0"),
        entry("/dev/ttyUSB0", "FT232R", 0x0403, 0x6001),
        entry("/dev/ttyACM1", "MAX32625 DAPLink", 0x1234, 1),
        entry("/dev/ttyACM0", "mbed Serial Port", 0x0D28, 0x0204),
    )
    found = list_ports()
    assert [port.device for port in found if port.likely_board] == ["/dev/ttyACM0", "/dev/ttyACM1"]
    assert [port.device for port in found][:2] == ["/dev/ttyACM0", "/dev/ttyACM1"]
    assert found[0].usb_id == "0D28:0204"
    assert found[2].usb_id == ""


def test_auto_needs_exactly_one_likely_board(machine, monkeypatch):
    assert "no serial ports" in refusal("E-PORT-NONE", "auto")
    machine(entry("/dev/ttyS0"))
    assert "/dev/ttyS0" in refusal("E-PORT-NONE", "auto")
    one, two = (entry(f"/dev/ttyACM{n}", "", 0x0D28, 0x0204) for n in range(2))
    machine(one, two)
    assert "/dev/ttyACM0, /dev/ttyACM1" in refusal("E-PORT-AMBIGUOUS", "auto")
    machine(one, entry("/dev/ttyS0"))
    opened = []
    monkeypatch.setattr(serial, "serial_for_url", lambda name, *_, **__: opened.append(name))
    open_port("auto")
    assert opened == ["/dev/ttyACM0"]


def test_a_missing_port_names_those_that_exist(machine, tmp_path):
    machine(entry("/dev/ttyACM7"))
    message = refusal("E-PORT-MISSING", str(tmp_path / "ttyUSB0"))
    assert "ttyUSB0 does not exist" in message and "/dev/ttyACM7" in message


def test_a_file_that_is_no_port_is_refused(machine, tmp_path):
    (tmp_path / "file").write_text("")
    refusal("E-PORT-OPEN", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (serial.SerialException(errno.EACCES, "Permission denied"), "E-PORT-PERMISSION"),
        (serial.SerialException(errno.EPERM, "Not permitted"), "E-PORT-PERMISSION"),
        (serial.SerialException(errno.EBUSY, "busy"), "E-PORT-BUSY"),
        (serial.SerialException("could not open: FileNotFoundError(2, ...)"), "E-PORT-MISSING"),
        (serial.SerialException("could not open: PermissionError(13, ...)"), "E-PORT-BUSY"),
        (ValueError("Not a valid baudrate"), "E-PORT-OPEN"),
    ],
)
def test_causes_are_told_apart(error, code, machine, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(serial, "serial_for_url", fail)
    message = refusal(code, "/dev/ttyACM0")
    if code == "E-PORT-PERMISSION":
        assert "usermod -aG" in message


@pytest.mark.parametrize("name", ["socket://localhost:1", "socket://nowhere", "gopher://x:1"])
def test_a_url_that_does_not_connect_is_refused(name, machine):
    refusal("E-PORT-CONNECT", name)


pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


@pytest.fixture
def terminal():
    """A fake board on a pseudo-terminal; gives its path."""
    with on_terminal(FakeBoard()) as path:
        yield path


@pty
def test_a_board_answers_over_a_pseudo_terminal(terminal):
    data = bytes(range(100))
    with Device(open_port(terminal)) as device:
        assert device.negotiate_baud() == BAUD_RATES[-1]
        for _ in range(20):
            assert device.infer(data).scores.tolist() == network(data, 10)
        assert device.retries == 0


@pty
def test_a_port_is_locked_against_a_second_program(terminal, machine):
    first = open_port(terminal)
    assert "in use" in refusal("E-PORT-BUSY", terminal)
    first.close()
    open_port(terminal).close()


@pty
def test_a_terminal_whose_other_end_is_gone_is_a_link_error():
    master, slave = os.openpty()
    port = open_port(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    with pytest.raises(LinkError, match="E-LINK-PORT"):
        Device(port).connect()
    port.close()


def test_a_board_behind_a_tcp_server_answers():
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        board = FakeBoard()
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(4096):
                for reply in board.receive(data):
                    connection.sendall(reply)

    threading.Thread(target=answer, daemon=True).start()
    with session.connect(f"socket://127.0.0.1:{listener.getsockname()[1]}") as device:
        assert device.infer(bytes(100)).scores.tolist() == [0] * 10
    listener.close()


def test_a_loop_is_recognised():
    with pytest.raises(LinkError, match="E-LINK-ECHO"), session.connect("loop://"):
        pass


# The virtual board


@pytest.fixture
def elf(tmp_path):
    path = tmp_path / "app.elf"
    path.write_bytes(b"\x7fELF")
    return path


def board(mode, elf, **options):
    return VirtualBoard(elf, command=(*FAKE_PROGRAM, mode), **options)


@pty
def test_the_virtual_board_gives_its_port_and_ends_with_the_block(elf):
    with board("serve", elf) as running:
        process = running._process
        with Device(open_port(running.port)) as device:
            assert device.info.network_name == "fake"
        running.check()
    assert process.returncode == -signal.SIGTERM


@pty
def test_a_virtual_board_that_dies_shows_its_last_words(elf):
    with pytest.raises(ToolError, match="no such instruction") as caught, board("die", elf):
        pass
    assert caught.value.code == "E-BOARD-START"


@pty
def test_an_interrupted_start_leaves_no_process(elf):
    running = board("serve", elf)

    def interrupted(limit_s):
        assert running._process is not None
        raise KeyboardInterrupt

    running._ready.wait = interrupted
    with pytest.raises(KeyboardInterrupt), running:
        pass
    assert running._process is None


@pty
def test_a_virtual_board_that_says_nothing_is_given_up(elf):
    with (
        pytest.raises(ToolError, match=r"within 0\.5 s"),
        board("mute", elf, start_timeout_s=0.5) as running,
    ):
        pytest.fail(running.port)


def test_a_virtual_board_without_firmware_says_to_flash(tmp_path):
    with pytest.raises(InputError, match="E-BOARD-ELF") as caught, VirtualBoard(tmp_path / "a.elf"):
        pass
    assert "flash" in caught.value.hint


@pty
def test_sim_boots_what_was_flashed_and_a_death_explains_the_silence(elf, monkeypatch):
    booted = []

    def fake(path):
        booted.append(path)
        return board("stop", path)

    monkeypatch.setattr(session, "VirtualBoard", fake)
    monkeypatch.setattr(session, "virtual_flash", lambda: elf)
    timing = Timing(reply_s=0.1, hello_s=0.1, connect_s=5, reboot_s=0.2, tries=2)
    with (
        pytest.raises(ToolError, match="stopped on purpose") as caught,
        session.connect("sim", timing=timing) as device,
    ):
        for _ in range(5):
            device.hello()
    assert caught.value.code == "E-BOARD-DIED"
    assert "status 3" in str(caught.value)
    assert booted == [elf]


@pty
@pytest.mark.parametrize("name", ["sim", "terminal"])
def test_a_board_that_a_busy_machine_lets_wait_has_as_long_to_take_bytes_as_to_answer(
    name, elf, terminal, monkeypatch
):
    monkeypatch.setattr(session, "VirtualBoard", lambda path: board("serve", path))
    ports = []
    chosen = terminal if name == "terminal" else name
    with session.connect(chosen, elf=elf, tap=lambda one: ports.append(one) or one):
        timing = session.VIRTUAL_TIMING if name == "sim" else session.RUNNING_TIMING
        assert ports[0].write_timeout == timing.intact_s > WRITE_TIMEOUT_S


@pty
@pytest.mark.parametrize("error", [None, ValueError])
def test_what_the_virtual_board_finds_is_reported_also_after_an_error(elf, error, monkeypatch):
    monkeypatch.setattr(session, "VirtualBoard", lambda path: board("serve", path))
    found = []
    try:
        with session.connect("sim", elf=elf, report=found.append) as device:
            device.hello()
            if error:
                raise error
    except ValueError:
        pass
    assert found == ["read of a word nobody wrote"]


def test_nothing_heavy_is_loaded_before_it_is_needed():
    code = (
        "import sys, max78k.host.session, max78k.host.bench, max78k.host.flash;"
        "print({'torch', 'numpy', 'serial', 'elftools', 'unicorn'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_dtr_and_rts_are_not_touched_after_opening(machine, monkeypatch):
    lines = []
    monkeypatch.setattr(serial, "serial_for_url", lambda *a, **k: lines.append(k) or "port")
    assert ports.open_port("/dev/ttyACM0") == "port"
    assert set(lines[0]) == {"timeout", "write_timeout", "exclusive"}


# Names of other systems


@pytest.mark.parametrize("name", ["COM3", "COM12", "com12", r"\\.\COM12"])
def test_windows_names_are_passed_on_as_they_are(name, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    opened = []
    monkeypatch.setattr(serial, "serial_for_url", lambda name, *_, **__: opened.append(name))
    open_port(name)
    assert opened == [name]
    assert not session._is_pseudo_terminal(name)


def test_on_macos_the_name_that_waits_for_a_carrier_is_not_opened(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    there = ["/dev/cu.usbmodem14102"]
    monkeypatch.setattr(Path, "exists", lambda path: path.as_posix() in there)
    opened = []
    monkeypatch.setattr(serial, "serial_for_url", lambda name, *_, **__: opened.append(name))
    for name in ("/dev/tty.usbmodem14102", "/dev/cu.usbmodem14102", "/dev/tty.other"):
        open_port(name)
    assert opened == ["/dev/cu.usbmodem14102", "/dev/cu.usbmodem14102", "/dev/tty.other"]
