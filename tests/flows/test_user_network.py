"""prepare and convert: a network of the user's own becomes integers that all levels agree on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from max78k.compiler.lowering import lower
from max78k.errors import InputError, RuleError
from max78k.flows.synthesis import compile_network
from max78k.flows.truth_chain import TruthChain
from max78k.flows.user_network import convert, prepare
from max78k.network import reference
from max78k.training.layers import Conv2d, Linear

SHAPE = (2, 12, 12)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3),
    ).eval()  # fmt: skip


class Ours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2d(2, 8, pool=2, bits=2)
        self.out = Linear(8 * 36, 3)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return self.out(self.conv(data))


def pixels(count: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("make", [plain, Ours])
def test_it_trains_converts_and_all_levels_agree(make):
    data = pixels()
    original = make()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    model = prepare(original, data)
    labels = (data[:, 0].float().mean((1, 2)) > 127.5).long() + data[:, 1, 0, 0].gt(200)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(model(data.float() - 128), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(torch.equal(v, before[k]) for k, v in original.state_dict().items())
    network = convert(model, SHAPE, name="mine", class_names=("a", "b", "c"))
    assert network.class_names == ("a", "b", "c")
    chain = TruthChain(network, network.from_pixels(data[:3].numpy()))
    chain.torch(model)
    lowered = lower(network)
    chain.accelerator(compile_network(lowered).image)
    assert chain.report.differences == 0


def test_without_training_the_integers_keep_the_outputs():
    original, data = plain(), pixels(200)
    real = original((data[100:].float() - 128) / 128).detach().numpy()
    noise = {}
    for name, samples in (("nearest", None), ("adaptive", data[:100])):
        model = prepare(original, data[:100].numpy(), weight_bits="4")
        network = convert(model, SHAPE, samples=samples)
        values = reference.outputs(network, network.from_pixels(data[100:].numpy()))
        noise[name] = float(np.square(values * network.output_step - real).sum())
    assert noise["adaptive"] < 0.85 * noise["nearest"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"E-PREPARE-SAMPLES .*float32"):
        prepare(Ours(), pixels().float())
    with pytest.raises(InputError, match="E-PREPARE-SAMPLES"):
        prepare(Ours(), pixels()[:0])
    with pytest.raises(RuleError, match="E-IMPORT-KERNEL"):
        prepare(nn.Sequential(nn.Conv2d(2, 4, 5)), pixels())
    with pytest.raises(RuleError, match="E-RULE-LAYERS"):
        prepare(nn.Sequential(*[Conv2d(2, 2) for _ in range(33)]), pixels())
