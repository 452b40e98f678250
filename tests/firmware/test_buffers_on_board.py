"""Buffers that the firmware keeps between inferences, and clears for its self-test."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.flows.synthesis import compile_network
from max78k.host import messages as m
from max78k.host.framing import Decoder, Frame, pack
from max78k.host.messages import Status, Type
from max78k.network import Buffer, Cut, Layer, Network, Operation, reference
from max78k.simulator.board import VirtualBoard

DICE = np.random.default_rng(3)


def weights(*shape):
    return DICE.integers(-60, 60, shape).astype(np.int8)


def temporal():
    layers = (
        Layer("shift", Operation.PASSTHROUGH, ("past",), cut=Cut(top=1), buffer="past"),
        Layer("new", Operation.LINEAR, ("input",), weights(8, 48), buffer="past", buffer_row=6),
        Layer("times", Operation.CONV1D, ("past",), weights(4, 8, 3), output_shift=-1),
        Layer("fc", Operation.LINEAR, ("times",), weights(3, 20), output_width=32),
    )
    return Network("temporal", (3, 4, 4), layers, ("fc",), buffers=(Buffer("past", (8, 7)),))


def test_inferences_follow_each_other_and_a_self_test_begins_anew(tmp_path):
    network = temporal()
    board = VirtualBoard(build(write_project(compile_network(network).image, tmp_path)).elf, seed=1)
    board.run(0.25)
    board.console.host_read()

    numbers = count(1)

    def ask(kind, payload=b""):
        decoder, frames = Decoder(), []
        board.console.host_write(b"\0" + pack(Frame(kind, next(numbers), payload)))
        end = board.now + 1.0
        while not frames and board.now < end:
            board.run(0.001)
            frames = decoder.feed(board.console.host_read())
        _, _, status = m.REPLY_PREFIX.unpack_from(frames[0].payload)
        assert Status(status) is Status.OK
        return frames[0].payload[m.REPLY_PREFIX.size :]

    def infer(data):
        ask(Type.INPUT, m.INPUT.pack(0) + data.tobytes())
        return np.frombuffer(ask(Type.INFER)[m.INFER_REPLY.size :], "<i4")

    inputs = DICE.integers(-128, 128, (10, 3, 4, 4)).astype(np.int8)
    expected = reference.outputs(network, inputs)
    assert len({tuple(row) for row in expected.tolist()}) == 10
    for _ in range(2):
        np.testing.assert_array_equal([infer(one) for one in inputs], expected)
        ask(Type.SELF_TEST)  # right although data were kept; afterwards all begins anew
    assert board.findings == []
