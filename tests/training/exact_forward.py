"""Random models and the comparison of their forward with the integer reference."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from max78k.network import reference
from max78k.training.base import Mode, set_mode
from max78k.training.convert import certificate, layer_outputs, to_network


class Net(nn.Module):
    """Layers one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            data = layer(data)
        return data


def random_model(model: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """Give ``model`` random weights and batch norm that has seen data."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * gain)
        for name, value in model.named_buffers():
            if name.endswith("running_var"):
                value.abs_().add_(0.1)
    return model.eval()


def integers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def compare(model: nn.Module, inputs: np.ndarray) -> None:
    network = to_network(model, name="net", input_shape=inputs.shape[1:])
    expected = reference.run(network, inputs)
    found = layer_outputs(model, inputs)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    set_mode(model, Mode.QAT)
    with torch.no_grad():
        scores = model(torch.from_numpy(inputs).float()).double().numpy()
    scale = 2.0 ** int(network.notes["output_exponent"])
    last = network.layers[-1]
    unit = scale if last.output_width == 32 else 1.0
    if all(row.exact_in_float32 for row in certificate(network)):
        np.testing.assert_array_equal(scores, expected[last.name] * unit)
