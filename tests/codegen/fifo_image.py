"""An image whose input comes through FIFOs, made from one whose input lies in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.compiler.image import Image, InputRun, Write
from max78k.compiler.placement import LayerPlacement, Placement
from max78k.flows.synthesis import compile_network
from max78k.network import Activation, Layer, Network, Operation

_FIFO_CONTROL = 0x908  # thresholds of 2, and the bit that is always 1; bit 12 + n enables FIFO n


def fed_network(channels: int) -> Network:
    """Up to 8 channels of 7x5 pixels to three wide pictures."""
    generator = np.random.default_rng(11)
    weight = generator.integers(-128, 128, (6, channels, 3, 3), dtype=np.int8)
    last = generator.integers(-128, 128, (3, 6, 1, 1), dtype=np.int8)
    layers = (
        Layer("first", Operation.CONV2D, ("input",), weight, padding=1, output_shift=-3,
              activation=Activation.RELU),
        Layer("last", Operation.CONV2D, ("first",), last, output_width=32),
    )  # fmt: skip
    return Network("fed", (channels, 7, 5), layers, ("last",))


def fed_image(network: Network, data_format: str) -> Image:
    """Its image: HWC takes a FIFO for four channels, CHW one for each."""
    channels = network.input_shape[0]
    each = 1 if data_format == "CHW" else 4
    sizes = [min(each, channels - first) for first in range(0, channels, each)]
    processors = sum(((1 << size) - 1) << 16 * n for n, size in enumerate(sizes))
    place = LayerPlacement(processors, in_offset=0, out_offset=0x1000)
    sample = np.random.default_rng(2).integers(-128, 128, network.input_shape, dtype=np.int8)
    image = compile_network(
        network, sample, placement=Placement({"first": place}, data_format)
    ).image
    pixels = network.input_shape[1] * network.input_shape[2]
    frame = pixels if data_format == "HWC" else -(-pixels // 4)
    feed = [
        Write(address, frame)
        for q in image.quadrants
        for address in (
            addresses.layer_register(q, cr.STRM0.offset, 0),
            addresses.quadrant(q) + cr.IFRM.offset,
        )
    ]
    enables = sum(1 << 12 + n for n in range(len(sizes)))
    feed.append(Write(addresses.CNN_FIFO, _FIFO_CONTROL | enables))
    runs = tuple(_fed(run, n) for n, run in enumerate(image.input_runs))
    assert len(runs) == len(sizes)
    return replace(
        image,
        init=_with(image.init, cr.CTL.pack(FIFO_EN=1)),
        configure=(*image.configure, *feed),
        start=_with(image.start, cr.CTL.pack(FIFO_EN=1, EXT_SYNC=1)),
        input_runs=(),
        fifo_runs=runs,
    )


def _fed(run: InputRun, number: int) -> InputRun:
    port = addresses.CNN_FIFO + cr.FIFO_DATA[number].offset
    return replace(run, address=port, step=0)


def _with(writes: tuple[Write, ...], bits: int) -> tuple[Write, ...]:
    """The writes with further bits in every control register of a quadrant."""
    controls = {addresses.quadrant(quadrant) for quadrant in range(4)}
    return tuple(
        replace(write, value=write.value | bits) if write.address in controls else write
        for write in writes
    )
