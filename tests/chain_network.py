"""A small network with random integers that exercises the chain: biases, pooling, two passes."""

from __future__ import annotations

import numpy as np

from max78k.datasets.face_traits import EMOTIONS
from max78k.network import Activation, Layer, Network, Operation, Pool

HALVE = Pool("max", (2, 2), (2, 2))


def chain_network(seed: int = 0) -> Network:
    """48x48 grey picture to seven 32-bit scores; more than 64 channels in one place."""
    generator = np.random.default_rng(seed)

    def integers(*shape: int) -> np.ndarray:
        return generator.integers(-128, 128, shape, dtype=np.int8)

    def conv(name: str, source: str, inputs: int, outputs: int, shift: int) -> Layer:
        return Layer(
            name,
            Operation.CONV2D,
            (source,),
            integers(outputs, inputs, 3, 3),
            integers(outputs),
            output_shift=shift,
            activation=Activation.RELU,
            pool=None if source == "input" else HALVE,
            padding=1,
        )

    layers = (
        conv("conv1", "input", 1, 8, -2),
        conv("conv2", "conv1", 8, 12, -3),
        conv("conv3", "conv2", 12, 72, -3),
        conv("conv4", "conv3", 72, 8, -4),
        Layer(
            "output",
            Operation.LINEAR,
            ("conv4",),
            integers(7, 8 * 36),
            integers(7),
            output_width=32,
        ),
    )
    return Network("tiny7", (1, 48, 48), layers, ("output",), EMOTIONS)
