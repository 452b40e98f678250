"""Networks whose input the firmware hands to the accelerator's FIFOs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

from fifo_image import fed_image, fed_network

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.flows.synthesis import compile_network
from max78k.host import messages as m
from max78k.host.framing import Decoder, Frame, pack
from max78k.host.messages import Status, Type
from max78k.network import Layer, Network, Operation, Pool, reference
from max78k.simulator.board import VirtualBoard


def fed(channels, form):
    network = fed_network(channels)
    return network, fed_image(network, form)


def streaming(channels):
    """Two layers that are to stream, as they are planned."""
    generator = np.random.default_rng(12)
    weight = generator.integers(-128, 128, (4, channels, 3, 3), dtype=np.int8)
    last = generator.integers(-128, 128, (2, 4, 3, 3), dtype=np.int8)
    layers = (
        Layer("a", Operation.CONV2D, ("input",), weight, padding=1, output_shift=-4,
              streaming=True),
        Layer("b", Operation.CONV2D, ("a",), last, padding=1, output_shift=-4, streaming=True,
              pool=Pool("max", (8, 8), (8, 8))),
    )  # fmt: skip
    compiled = compile_network(Network("streams", (channels, 36, 32), layers, ("b",)))
    return compiled.network, compiled.image


@pytest.mark.parametrize(
    ("make", "arguments"),
    [(fed, (7, "HWC")), (fed, (3, "CHW")), (streaming, (3,))],
)
def test_output_is_the_reference_s_for_every_input(tmp_path, make, arguments):
    network, image = make(*arguments)
    board = VirtualBoard(build(write_project(image, tmp_path / "p")).elf, seed=1)
    board.run(0.25)
    board.console.host_read()

    def ask(sequence, kind, payload=b""):
        decoder, frames = Decoder(), []
        board.console.host_write(b"\0" + pack(Frame(kind, sequence, payload)))
        end = board.now + 1.0
        while not frames and board.now < end:
            board.run(0.001)
            frames = decoder.feed(board.console.host_read())
        _, _, status = m.REPLY_PREFIX.unpack_from(frames[0].payload)
        return Status(status), frames[0].payload[m.REPLY_PREFIX.size :]

    assert ask(1, Type.SELF_TEST)[0] is Status.OK
    for seed in (5, 6):
        data = np.random.default_rng(seed).integers(-128, 128, network.input_shape, dtype=np.int8)
        for number, first in enumerate(range(0, data.size, 1000)):
            part = data.reshape(-1)[first : first + 1000]
            ask(100 * seed + number, Type.INPUT, m.INPUT.pack(first) + part.tobytes())
        status, payload = ask(100 * seed + 99, Type.INFER)
        assert status is Status.OK
        values = np.frombuffer(payload[m.INFER_REPLY.size :], "<i4")
        assert values.tolist() == reference.outputs(network, data[None])[0].tolist()
    assert board.findings == []


def test_fifo_that_takes_nothing_is_a_timeout(tmp_path):
    network = fed_network(3)
    image = fed_image(network, "HWC")
    project = write_project(image, tmp_path / "p")
    source = project / "src" / "cnn.c"
    text = source.read_text()
    poll = "clock_wait_bits(&CNN_FIFO_STAT, full, false)"
    assert poll in text
    source.write_text(text.replace(f"!{poll}", "full != 0U"))  # as if it were full for ever
    board = VirtualBoard(build(project).elf, seed=1)
    board.run(0.25)
    board.console.host_read()
    board.console.host_write(b"\0" + pack(Frame(Type.SELF_TEST, 1, b"")))
    decoder, frames = Decoder(), []
    while not frames and board.now < 2.0:
        board.run(0.01)
        frames = decoder.feed(board.console.host_read())
    assert Status(m.REPLY_PREFIX.unpack_from(frames[0].payload)[2]) is Status.CNN_TIMEOUT
