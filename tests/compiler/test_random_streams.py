"""Random streaming networks give the reference output on the accelerator model."""

from __future__ import annotations

import numpy as np
import pytest

from max78k.compiler import placement_rules
from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.placement import FIFO, LayerPlacement, Placement
from max78k.compiler.usage import usage
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Activation, Layer, Network, Operation, Pool
from max78k.network.geometry import geometry, processors
from max78k.network.shapes import infer

_FIFO_PROCESSORS = [q * 16 + lane for q in range(4) for lane in range(4)]


def draw(seed: int) -> tuple[Network, str]:
    """A chain whose first layers stream, and the format of its input."""
    rng = np.random.default_rng(seed)
    planar = rng.random() < 0.4
    channels = int(rng.integers(1, 5 if planar else 17))
    shape = (channels, *(int(n) for n in rng.integers(10, 27, 2)))
    count = int(rng.integers(1, 6))
    streaming = int(rng.integers(1, count + 1))
    layers: list[Layer] = []
    for number in range(count):
        outputs = int(rng.choice([3, 8, 30, 64, 70]))
        last = number == streaming - 1
        layers.append(_layer(rng, number, channels, outputs, number < streaming, last))
        network = Network("stream", shape, tuple(layers), (layers[-1].name,))
        rows, columns = infer(network)[layers[-1].name].output[1:]
        channels = outputs
        if min(rows, columns) < 5 and number + 1 >= streaming:
            break
    return network, "CHW" if planar else "HWC"


def _layer(
    rng: np.random.Generator, number: int, inputs: int, outputs: int, streams: bool, last: bool
) -> Layer:
    bits = int(rng.choice([1, 2, 4, 8]))
    half = 1 << (bits - 1)
    kernel = int(rng.choice([1, 3]))
    padding = 0 if kernel == 1 else 1 if last else int(rng.integers(0, 2))
    window = tuple(int(n) for n in rng.integers(1, 3, 2))
    stride = int(rng.integers(1, 3))
    pool = Pool(str(rng.choice(["max", "avg"])), (window[0], window[1]), (stride, stride))
    return Layer(
        f"l{number}",
        Operation.CONV2D,
        ("input" if number == 0 else f"l{number - 1}",),
        rng.integers(-half, half, (outputs, inputs, kernel, kernel)).astype(np.int8),
        rng.integers(-128, 128, outputs).astype(np.int8),
        weight_bits=bits,
        output_shift=int(rng.integers(-6, -2)),
        activation=Activation(str(rng.choice(["none", "relu", "abs"]))),
        pool=pool if number and rng.random() < 0.5 else None,
        padding=padding,
        streaming=streams,
    )


def place(network: Network, data_format: str) -> Placement:
    """Buffers 4 KiB apart; behind the streaming layers, ping and pong."""
    shapes = geometry(network)
    rows = {}
    step = 16 if data_format == "CHW" else 1
    members = [p for p in _FIFO_PROCESSORS if p % step == 0][: shapes[0].channels]
    source = sum(1 << p for p in members)
    column, at, entry = 0, 0, 0
    for shape in shapes:
        target = (1 << processors(shape.outputs)) - 1
        if shape.streams_out:
            out = at + 0x800
        else:
            out = 0x4800 if at != 0x4800 else 0x6400
        slots = shape.out_processors * shape.out_passes * shape.in_passes
        rows[shape.layer.name] = LayerPlacement(
            source, target, at, out, column, bias_quadrant=0, bias_start=entry
        )
        groups = -(-slots // (8 // shape.layer.weight_bits))
        column += -(-groups * shape.taps // 36) * 4
        source, at, entry = target, out, entry + shape.out_processors * shape.out_passes + 1
    return Placement(rows, data_format, FIFO)


@pytest.mark.parametrize("seed", range(60))
def test_a_random_streaming_network_runs_as_expected(seed: int) -> None:
    network, data_format = draw(seed)
    by_hand = place(network, data_format)
    assert placement_rules.check(network, by_hand) == []
    runs(seed, network, by_hand)


@pytest.mark.parametrize("seed", range(60, 100))
def test_a_random_streaming_network_is_planned_and_runs_as_expected(seed: int) -> None:
    network, data_format = draw(seed)
    arranged, placement = arrange(network)
    assert arranged.layers == network.layers
    by_hand = usage(network, place(network, data_format))
    assert usage(network, placement).data_bytes <= by_hand.data_bytes
    runs(seed, network, placement)


def runs(seed: int, network: Network, placement: Placement) -> None:
    rng = np.random.default_rng(seed)
    sample = rng.integers(-128, 128, network.input_shape).astype(np.int8)
    image = assemble(network, placement, sample)
    runner = ImageRunner(image)
    assert np.array_equal(runner.infer(sample), image.expected_output)
    assert runner.findings == []
