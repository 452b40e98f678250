"""Networks written for ai8x-training train here, and all levels of the chain agree on them."""

from __future__ import annotations

import ai8x_networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from max78k.compiler.lowering import lower
from max78k.errors import InputError, RuleError
from max78k.flows.synthesis import compile_network
from max78k.flows.truth_chain import TruthChain
from max78k.formats.onnx_export import export_onnx
from max78k.training import ai8x
from max78k.training.base import Mode, set_mode
from max78k.training.calibrate import calibrate
from max78k.training.convert import layer_outputs, to_network
from max78k.training.registry import build, input_shape

STEPS = 12
NETWORKS = {
    "Residual": (3, 16, 16),
    "Keywords": (24, 40),
    "AutoEncoder": (16, 3),
    "UNet": (3, 16, 16),
}


@pytest.fixture(autouse=True)
def chosen_device():
    ai8x.set_device(85, False, False)
    yield
    ai8x.set_device(85, False, False)


def drawn(shape: tuple[int, ...], count: int) -> torch.Tensor:
    """Integers -128...127, smooth enough to be learned."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(count, shape[0], *(2,) * (len(shape) - 1), generator=generator)
    smooth = F.interpolate(coarse, shape[1:], mode="nearest")
    return (smooth * 50).round().clamp(-128, 127)


def targets(name: str, data: torch.Tensor) -> torch.Tensor:
    if name == "AutoEncoder":
        return data / 128
    if name == "UNet":
        return (data[:, 0] > 0).long() + 2 * (data[:, 1] > 0)
    return (data[:, :2].flatten(2).mean(2) > 0).long() @ torch.tensor([1, 2])


def train(model: nn.Module, data: torch.Tensor, wanted: torch.Tensor, mode: Mode) -> list[float]:
    model.train()
    set_mode(model, mode)
    optimizer = torch.optim.Adam(model.parameters(), 0.01 if mode is Mode.FLOAT else 0.001)
    losses = []
    for _ in range(STEPS):
        outputs = model(data / 128 if mode is Mode.FLOAT else data)
        if wanted.is_floating_point():
            unit = 1.0 if mode is Mode.FLOAT else float(2.0 ** int(model.out_lin.out_exponent))
            loss = F.mse_loss(outputs * unit, wanted)
        else:
            loss = F.cross_entropy(outputs, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    ("name", "rounds"), [*((name, False) for name in NETWORKS), ("Residual", True)]
)
def test_a_network_in_that_style_trains_and_all_levels_agree(name, rounds, tmp_path):
    ai8x.set_device(85, False, rounds)
    torch.manual_seed(1)
    shape = NETWORKS[name]
    model = getattr(ai8x_networks, name)(weight_bits=None, quantize_activation=False)
    data = drawn(shape, 24)
    wanted = targets(name, data)
    losses = train(model, data, wanted, Mode.FLOAT)
    assert losses[-1] < losses[0]
    calibrate(model, [data])
    train(model, data, wanted, Mode.QAT)
    network = to_network(model, name=name.lower(), input_shape=shape)
    assert network.average_rounds == rounds
    inputs = data[:3].numpy().astype(np.int8)
    chain = TruthChain(network, inputs)
    chain.torch(model)
    export_onnx(network, tmp_path / "network.onnx")
    chain.onnx(tmp_path / "network.onnx")
    lowered = lower(network)
    chain.accelerator(compile_network(lowered).image)
    assert chain.report.differences == 0, chain.report.text()
    assert all(level.compared for level in chain.report.levels)
    assert len(np.unique(layer_outputs(model, inputs)[network.outputs[0]])) > 4


def test_networks_in_that_style_are_built_by_name_for_the_data():
    spec = f"{ai8x_networks.__file__}:Keywords"
    assert input_shape(spec) == (24, 40)
    assert input_shape(f"{ai8x_networks.__file__}:UNet") == (3, 16, 16)
    model = build(spec, 9, (30, 40))
    assert model.conv1.weight.shape == (20, 30, 1) and model.fc.weight.shape[0] == 9


def test_views_work_in_the_layout_that_trains_fastest():
    model = build(f"{ai8x_networks.__file__}:Residual", 5).to(memory_format=torch.channels_last)
    data = drawn((3, 16, 16), 4).to(memory_format=torch.channels_last)
    assert model(data / 128).shape == (4, 5)


def test_every_name_of_a_convolution_is_there():
    layer = ai8x.FusedAvgPoolConvTranspose2dBNAbs(4, 6, 3, padding=1, pool_size=3, pool_stride=3)
    assert layer.norm is not None and layer.pool.kind == "avg" and layer.pool.stride == (3, 3)
    assert layer.activation.value == "abs" and layer.weight.shape == (4, 6, 3, 3)
    assert type(layer).__name__ == "FusedAvgPoolConvTranspose2dBNAbs"
    assert ai8x.MaxPool1d(3).pool.stride == (3, 1)
    assert ai8x.FusedConv2dReLU(3, 4, (1, 1), weight_bits=2).weight_bits == 2


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("E-RULE-STRIDE", lambda: ai8x.Conv2d(3, 4, 3, stride=2)),
        ("E-RULE-STRIDE", lambda: ai8x.ConvTranspose2d(3, 4, 3, stride=1)),
        ("E-RULE-GROUPS", lambda: ai8x.FusedConv2dReLU(4, 4, 3, groups=4)),
        ("E-RULE-DILATION", lambda: ai8x.Conv2d(3, 4, 3, dilation=2)),
        ("E-RULE-KERNEL-SIZE", lambda: ai8x.Conv2d(3, 4, (3, 1))),
        ("E-RULE-POOL-AXES", lambda: ai8x.FusedMaxPoolConv2d(3, 4, 3, pool_stride=(2, 3))),
        ("E-RULE-OUTPUT-WIDTH", lambda: ai8x.FusedConv2dReLU(3, 4, 3, wide=True)),
        ("E-AI8X-OPTION", lambda: ai8x.Conv2d(3, 4, 3, batchnorm="Group")),
        ("E-AI8X-OPTION", lambda: ai8x.Conv2d(3, 4, 3, pading=1)),
        ("E-AI8X-OPTION", lambda: ai8x.Linear(3, 4, pooling="Max")),
        ("E-AI8X-DEVICE", lambda: ai8x.set_device(87, False, False)),
        ("E-AI8X-SIMULATE", lambda: ai8x.set_device(85, True, False)),
    ],
)
def test_what_the_chip_has_not_is_refused_when_it_is_built(code, make):
    with pytest.raises((InputError, RuleError), match=code):
        make()
