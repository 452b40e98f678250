"""A small network with random integers that exercises the chain: biases, pooling, two passes."""

from __future__ import annotations

import numpy as np

from max78k.datasets.face_traits import EMOTIONS
from max78k.network import Activation, Layer, Network, Operation, Pool
from max78k.network.network import FOLD_NOTE

HALVE = Pool("max", (2, 2), (2, 2))


def chain_network(seed: int = 0, *, fold: bool = False) -> Network:
    """48x48 grey picture to seven 32-bit scores; more than 64 channels in one place.

    ``fold``: the picture is read as four of 24x24.
    """
    generator = np.random.default_rng(seed)
    unpooled = ("input", "conv1") if fold else ("input",)

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
            pool=None if source in unpooled else HALVE,
            padding=1,
        )

    layers = (
        conv("conv1", "input", 4 if fold else 1, 8, -2),
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
    shape, notes = ((4, 24, 24), {FOLD_NOTE: "2"}) if fold else ((1, 48, 48), {})
    return Network("tiny7", shape, layers, ("output",), EMOTIONS, notes=notes)
