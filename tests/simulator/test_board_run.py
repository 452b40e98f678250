"""``max78k board run`` as continuous integration uses it: console text, ends, program files."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from board_support import compiled

from max78k.errors import InputError
from max78k.simulator.board import VirtualBoard
from max78k.simulator.program import read_program


def board_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "max78k", "board", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_expected_text_ends_the_run_well_and_all_text_is_on_stdout():
    done = board_run(compiled("hello", "VERDICT=PASS"), "--until", "PASS", "--fail-on", "FAIL")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("known-answer test\n") and "PASS" in done.stdout


def test_failing_text_ends_with_status_5():
    done = board_run(compiled("hello", "VERDICT=FAIL"), "--until", "PASS", "--fail-on", "FAIL")
    assert done.returncode == 5
    assert done.stderr.startswith("error: E-BOARD-FAIL")


def test_the_first_of_both_texts_counts():
    elf = compiled("hello", "VERDICT=FAIL")
    assert board_run(elf, "--until", "known", "--fail-on", "FAIL").returncode == 0


def test_firmware_that_never_says_it_ends_with_status_4():
    asleep = board_run(compiled("hello", "VERDICT=FAIL"), "--until", "PASS", "--timeout", 30)
    assert asleep.returncode == 4 and "nothing will wake it" in asleep.stderr
    began = time.monotonic()
    busy = board_run(compiled("echo"), "--until", "PASS", "--timeout", 0.5, "--port", "tcp:0")
    assert busy.returncode == 4 and "E-BOARD-TIMEOUT" in busy.stderr
    assert time.monotonic() - began < 10


def test_time_that_is_over_is_well_if_nothing_was_asked_for():
    done = board_run(compiled("heartbeat"), "--fail-on", "FAIL", "--timeout", 0.5)
    assert done.returncode == 0 and done.stdout.count(".") > 3


def test_real_time_is_no_faster_than_the_host():
    done = board_run(compiled("heartbeat"), "--console", "--timeout", 1, "--real-time")
    assert 5 <= done.stdout.count(".") <= 11  # ten per second


def test_events_are_traced():
    done = board_run(
        compiled("cnnrun", "DIVIDER=4"), "--console", "--timeout", 1,
        "--trace", "irq", "--trace", "bus",
    )  # fmt: skip
    assert " bus    W32 0x4000" in done.stderr and "GCR+0x" in done.stderr
    done = board_run(compiled("timer"), "--console", "--timeout", 5, "--trace", "irq")
    assert done.stderr.count("enter IRQ 5 ") == 11 and done.stderr.count("leave SysTick") == 5


def test_a_tcp_port_carries_the_console():
    command = [sys.executable, "-m", "max78k", "board", "run", str(compiled("echo"))]
    process = subprocess.Popen([*command, "--port", "tcp:0"], stdout=subprocess.PIPE, text=True)
    try:
        kind, path = process.stdout.readline().split()
        assert kind == "tcp"
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", int(path.rpartition(":")[2])), 10) as line:
                line.sendall(bytes(range(200)))
                received = b""
                while len(received) < 200:
                    received += line.recv(1000)
                assert received == bytes(range(1, 201))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--port", "usb"), "E-BOARD-PORT"),
        (("--port", "tcp:4000", "--link", "x"), "E-BOARD-PORT"),
        (("--port", "tcp:99999"), "E-BOARD-TCP"),
    ],
)
def test_wrong_ports_are_refused(options: tuple[str, ...], code: str):
    done = board_run(compiled("echo"), *options)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {code}")


def hex_file(data: bytes, base: int) -> str:
    """Intel HEX with records of 16 bytes."""

    def record(kind: int, address: int, content: bytes) -> str:
        line = bytes([len(content), *address.to_bytes(2, "big"), kind, *content])
        return f":{line.hex()}{-sum(line) & 0xFF:02x}\n"

    lines = []
    for at in range(0, len(data), 16):
        if at % 0x10000 == 0:
            lines.append(record(4, 0, (base + at >> 16).to_bytes(2, "big")))
        lines.append(record(0, at % 0x10000, data[at : at + 16]))
    return "".join(lines) + record(1, 0, b"")


def test_hex_and_bin_boot_like_the_elf(tmp_path: Path):
    ((start, data),) = read_program(compiled("hello", "VERDICT=PASS")).segments
    (tmp_path / "app.bin").write_bytes(data)
    (tmp_path / "app.hex").write_text(hex_file(data, start))
    for name in ("app.bin", "app.hex"):
        board = VirtualBoard(tmp_path / name)
        board.run(1.0)
        assert board.console.host_read().endswith(b"PASS\r\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF rubbish",
        b":00",
        b":zz",
        b":0000000000\n",
        b":0400000001020304f2\n:00000001ff\n",  # not at the start of flash
        b"x" * (512 * 1024 + 1),
    ],
)
def test_files_that_are_no_program_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "app").write_bytes(content)
    with pytest.raises(InputError, match="E-BOARD-ELF"):
        read_program(tmp_path / "app")


def test_the_report_says_how_a_run_went(tmp_path: Path):
    path = tmp_path / "report.json"
    elf = compiled("misc")
    done = board_run(elf, "--until", "x", "--timeout", 20, "--report", path, "--fault", "hang@9s")
    assert done.returncode == 4 and done.stderr.count("fault hang: 1 of 1 stops") == 1
    report = json.loads(path.read_text())
    assert report["ended"] == "E-BOARD-TIMEOUT" and report["leds"]["green"]
    assert report["faults"] == ["fault hang: 1 of 1 stops of the core"]
    assert [line.split()[0] for line in report["findings"]] == ["E-BOARD-CLOCK", "N-BOARD-UNKNOWN"]
    energy = report["energy_estimate_mj"]
    assert 0 < energy["low"] < energy["high"]
    done = board_run(compiled("hello", "VERDICT=PASS"), "--until", "PASS", "--report", path)
    assert done.returncode == 0 and json.loads(path.read_text())["ended"] == "well"


def test_a_run_loads_nothing_that_it_does_not_need():
    script = (
        "import sys\nfrom max78k.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'cv2', 'scipy', 'matplotlib', 'rich', 'vcd'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))\n"
    )
    elf = str(compiled("hello", "VERDICT=PASS"))
    command = [sys.executable, "-c", script, "board", "run", elf, "--until", "PASS"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("loaded []\n"), done
