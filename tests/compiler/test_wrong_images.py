"""The accelerator model sees what is wrong in an image."""

from __future__ import annotations

import numpy as np
import on_model
import pytest

from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image, Write
from max78k.network import Layer, Network, Operation


@pytest.fixture(scope="module")
def image() -> Image:
    rng = np.random.default_rng(3)

    def integers(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    first = Layer(
        "a", Operation.CONV2D, ("input",), integers(9, 3, 3, 3), padding=1, output_shift=-4
    )
    last = Layer("b", Operation.CONV2D, ("a",), integers(5, 9, 1, 1), output_width=32)
    network = Network("two", (3, 8, 6), (first, last), ("b",))
    return assemble(network, plan(network), integers(3, 8, 6))


def test_the_model_sees_a_wrong_register(image: Image) -> None:
    comments = [write.comment for write in image.configure]
    number = next(n for n, text in enumerate(comments) if text.endswith("SRAM write pointer"))
    write = image.configure[number]
    configure = list(image.configure)
    configure[number] = Write(write.address, write.value + 1)
    wrong, _ = on_model.run(on_model.replace(image, configure=tuple(configure)))
    assert wrong


def test_the_model_sees_a_wrong_kernel_bit(image: Image) -> None:
    block = image.kernels[-1]
    columns = block.columns ^ 0x80
    blocks = (*image.kernels[:-1], on_model.replace(block, columns=columns))
    wrong, _ = on_model.run(on_model.replace(image, kernels=blocks))
    assert wrong
