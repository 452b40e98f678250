"""The virtual board: host seconds per FER inference, and their ratio to the board's own time.

Run: python benchmarks/virtual_board.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from max78k.datasets.load import load
from max78k.flows.firmware import make_firmware
from max78k.flows.models import load_model
from max78k.host.messages import BAUD_RATES
from max78k.host.session import SIM, connect

FRAMES = 20


def main() -> None:
    """Time whole frames (input over the link included) and inferences without input transfer."""
    network = load_model("fer7").network
    frames = network.from_pixels(load(f"faces:train=8,test={FRAMES}").test.inputs)
    with tempfile.TemporaryDirectory() as scratch:
        firmware = make_firmware(network, Path(scratch) / "firmware")
        started = time.perf_counter()
        with connect(SIM, elf=firmware.build.elf, highest_baud=BAUD_RATES[-1]) as device:
            boot = time.perf_counter() - started
            device.infer(frames[0])
            whole, alone, board = [], [], []
            for frame in frames:
                begin = time.perf_counter()
                device.send_input(frame)
                sent = time.perf_counter()
                result = device.infer()
                end = time.perf_counter()
                whole.append(end - begin)
                alone.append(end - sent)
                phases = (result.load_us, result.inference_us, result.unload_us, result.post_us)
                board.append(sum(phases) / 1e6)
    seconds, on_board = statistics.median(alone), statistics.median(board)
    print(f"start to a negotiated link     {boot:8.3f} s")
    print(f"frame, input transfer included {statistics.median(whole) * 1000:8.1f} ms")
    print(f"inference, input already there {seconds * 1000:8.1f} ms")
    print(f"the board's own time for it    {on_board * 1000:8.2f} ms")
    print(f"ratio to real time             {seconds / on_board:8.1f}")


if __name__ == "__main__":
    main()
