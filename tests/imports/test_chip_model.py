"""A foreign network becomes layers of ours that hold the very integers of its import."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from max78k.imports.chip_model import chip_model
from max78k.imports.quantization import quantize
from max78k.imports.sources import module_source
from max78k.network import reference
from max78k.training.base import Mode, set_mode
from max78k.training.convert import layer_outputs, to_network


class Foreign(nn.Module):
    """Batch norm, ReLU6, a residual sum before a convolution, averages, a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.mix = nn.Conv2d(8, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 6, 3, 2, 1, 1)
        self.head = nn.Linear(6, 4)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        data = self.stem(data)
        data = self.mix(self.left(data) + self.right(data)).relu()
        data = nn.functional.avg_pool2d(data, 2)
        data = self.up(data).relu()
        return self.head(nn.functional.adaptive_avg_pool2d(data, 1).flatten(1))


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_integers_are_those_of_the_import(dimensions):
    torch.manual_seed(2)
    shape = (3, 8, 8) if dimensions == 2 else (3, 20)
    model = Foreign() if dimensions == 2 else nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, dilation=2),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    source = module_source(model.eval(), shape, "net")
    pixels = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.uint8)
    float_model = source.model()
    quantized = quantize(float_model, pixels)
    chip = chip_model(float_model, quantized)
    network = to_network(chip, name="net", input_shape=shape)
    for one, two in zip(network.layers, quantized.network.layers, strict=True):
        assert (one.name, one.inputs, one.output_shift) == (two.name, two.inputs, two.output_shift)
        assert (one.pool, one.eltwise, one.output_width) == (
            two.pool,
            two.eltwise,
            two.output_width,
        )
        for left, right in ((one.weight, two.weight), (one.bias, two.bias)):
            assert (left is None) == (right is None)
            np.testing.assert_array_equal(left, right)
    assert network.average_rounds == quantized.network.average_rounds
    inputs = network.from_pixels(pixels)
    expected = reference.run(quantized.network, inputs)
    for name, values in layer_outputs(chip, inputs).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    set_mode(chip, Mode.FLOAT)
    real = (torch.from_numpy(pixels).float() - 128) / 128
    assert torch.allclose(chip(real), model(real), atol=1e-4)
    again = copy.deepcopy(chip)
    assert torch.equal(again(real), chip(real)) and again.layers[0] is not chip.layers[0]
