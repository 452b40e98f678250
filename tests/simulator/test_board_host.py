"""The host's own tools meet a board that goes wrong on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.chip import addresses
from max78k.errors import LinkError
from max78k.flows.firmware import Firmware
from max78k.host.diagnosis import RebootError
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.ports import open_port
from max78k.host.virtual_board import SIMULATOR, VirtualBoard

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals need a Unix system")

# Long enough for a machine under load: a lost byte costs one of them, not the answer.
TIMING = Timing(reply_s=2.0, hello_s=1.0, infer_s=3.0, connect_s=30.0, reboot_s=10.0)
# On an intact line nothing is lost, so that every repeated request would be a board that is late.
PATIENT = replace(TIMING, reply_s=60.0, infer_s=60.0)
INFERENCES = 5


@contextmanager
def disturbed(
    firmware: Firmware, fault: str, tries: int = 2, timing: Timing = TIMING
) -> Iterator[tuple[Device, VirtualBoard]]:
    """A session with a board that has the fault."""
    command = (*SIMULATOR, "--seed", "1", "--fault", fault)
    with VirtualBoard(firmware.build.elf, command=command) as board:
        with Device(open_port(board.port, 115200), timing=replace(timing, tries=tries)) as device:
            device.negotiate_baud(921600)
            yield device, board


def picture(device: Device, seed: int) -> np.ndarray:
    dice = np.random.default_rng(seed)
    return dice.integers(-128, 128, device.info.input_bytes, dtype=np.int8)


def test_answers_are_right_although_bytes_are_lost_and_wrong(tiny_firmware: Firmware):
    with disturbed(tiny_firmware, "", timing=PATIENT) as (device, _):
        right = [device.infer(picture(device, n)).scores for n in range(INFERENCES)]
        assert device.retries == 0
    with disturbed(tiny_firmware, "uart-flip=3e-4,uart-drop=3e-4", 12) as (device, board):
        answers = [device.infer(picture(device, n)).scores for n in range(INFERENCES)]
        assert device.retries > 0
    assert np.array_equal(answers, right)
    lines = board.messages().splitlines()
    assert [line.split(":")[0] for line in lines] == ["fault uart-flip", "fault uart-drop"]
    assert sum(int(line.split()[2]) for line in lines) > 0


def test_a_supply_failure_is_told_from_a_silent_board(tiny_firmware: Firmware):
    with pytest.raises(RebootError, match=r"E-LINK-REBOOT .* reset cause power on"):
        with disturbed(tiny_firmware, "brownout@1s") as (device, board):
            for n in range(400):
                device.infer(picture(device, n))
    assert "fault brownout: 1 of 1" in board.messages()


def test_a_core_that_stops_is_a_silent_board(tiny_firmware: Firmware):
    with pytest.raises(LinkError, match="E-LINK-SILENT"):
        with disturbed(tiny_firmware, "hang@1s") as (device, board):
            for n in range(400):
                device.infer(picture(device, n))
    assert "fault hang: 1 of 1" in board.messages()


def test_bench_refuses_a_board_whose_weights_were_not_programmed(
    tiny_firmware: Firmware, tmp_path: Path
):
    from max78k.simulator.program import read_program

    elf, link = tiny_firmware.build.elf, tmp_path / "fthr"
    weights = read_program(elf).symbols["kernels_20"] - addresses.FLASH_BASE
    fault = f"flash-fail=page{weights // addresses.FLASH_PAGE_BYTES}"
    tool = [sys.executable, "-m", "max78k"]
    board = subprocess.Popen(
        [*tool, "board", "run", str(elf), "--link", str(link), "--fault", fault],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert board.stdout is not None and board.stdout.readline().startswith("pty ")
    bench = subprocess.run(
        [*tool, "bench", "--port", str(link), "--data", "faces", "--count", "1",
         "--out", str(tmp_path / "bench")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    board.terminate()
    _, errors = board.communicate(timeout=20)
    assert bench.returncode == 5 and "E-KAT-BOARD" in bench.stderr
    assert board.returncode == 0 and "fault flash-fail: 1 writes or erases lost" in errors
