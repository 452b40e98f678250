"""Learned exponents compute what fixed ones do, and move where the error is smaller."""

from __future__ import annotations

import pytest
import torch
from exact_forward import Net, compare, integers, random_model
from test_exact_kinds import Joined

from max78k.training.base import Mode, set_mode
from max78k.training.calibrate import calibrate
from max78k.training.convert import to_network
from max78k.training.joins import Add, Or
from max78k.training.layers import Conv2d, Linear, update_norms
from max78k.training.learned_exponents import ExponentLearner


def calibrated(model: torch.nn.Module, seed: int) -> tuple[torch.nn.Module, torch.Tensor]:
    model = random_model(model, seed, 0.5)
    data = torch.from_numpy(integers(seed, 8, 2, 6, 6)).float()
    calibrate(model, [data])
    set_mode(model, Mode.QAT)
    return model, data


@pytest.mark.parametrize("activation", ["relu", "abs", None])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_forward_is_that_of_fixed_exponents(activation, bits):
    layers = [
        Conv2d(2, 5, activation=activation, bits=bits),
        Conv2d(5, 4, bits=bits),
        Linear(144, 3),
    ]
    model, data = calibrated(Net(*layers), bits)
    wanted = model(data)
    learner = ExponentLearner(model)
    learner.apply()
    found = model(data)
    assert torch.equal(found, wanted)
    learner.freeze()
    wanted.square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    found.square().sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        close = torch.isclose(parameter.grad, gradient, rtol=1e-3, atol=1e-3)
        assert close.float().mean() > 0.9  # but for outputs exactly at a bound


def test_exponents_move_toward_less_error_and_stay_shared():
    model, data = calibrated(Joined(Add(), 2, False, None), 3)
    with torch.no_grad():
        set_mode(model, Mode.FLOAT)
        wanted = model(data / 128)
        set_mode(model, Mode.QAT)
    for branch in model.branches:
        branch.out_exponent.add_(1)  # one octave too coarse
    model.join.in_exponent.add_(1)
    model.join.out_exponent.add_(1)
    model.last.in_exponent.add_(1)
    learner = ExponentLearner(model)
    first = None
    for _ in range(150):
        learner.apply()
        loss = (model(data) - wanted).square().mean()
        loss.backward()
        learner.step()
        first = float(loss.detach()) if first is None else first
    learner.freeze()
    with torch.no_grad():
        assert float((model(data) - wanted).square().mean()) < first
    shared = {int(x) for x in (model.branches[0].out_exponent, model.branches[1].out_exponent,
                               model.join.out_exponent, model.last.in_exponent)}  # fmt: skip
    assert len(shared) == 1
    compare(model, data.numpy().astype("int8"))


def test_fixed_exponents_do_not_move_and_shifts_stay_in_the_register():
    model, data = calibrated(Joined(Or(), 2, False, None), 4)
    learner = ExponentLearner(model)
    for _ in range(60):
        learner.apply()
        (model(data).square().mean() * 1e6).backward()
        learner.step()
    assert [int(x.out_exponent) for x in model.branches] == [-7, -7]
    network = to_network(model, name="net", input_shape=(2, 6, 6))
    assert all(abs(layer.register_shift) <= 15 for layer in network.layers)


def test_a_stored_learner_continues_bit_by_bit():
    runs = []
    for stop in (None, 7):
        model, data = calibrated(Net(Conv2d(2, 4), Linear(144, 3)), 5)
        learner = ExponentLearner(model)
        for step in range(20):
            if step == stop:
                kept, exponents = learner.stored(), model.state_dict()
                model.load_state_dict(exponents)
                learner = ExponentLearner(model)
                learner.restore(kept)
            learner.apply()
            model(data).square().mean().backward()
            learner.step()
        runs.append(learner.stored()["masters"])
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_norms_follow_the_data_in_quantized_training_until_they_are_frozen():
    model = Net(Conv2d(3, 16), Conv2d(16, 8, activation=None), Linear(8 * 64, 2))
    torch.manual_seed(1)
    for layer in model.layers[:2]:
        torch.nn.init.normal_(layer.norm.weight, 1.0, 0.2)
        torch.nn.init.normal_(layer.norm.bias, 0.0, 0.2)
    data = (torch.randn(256, 3, 8, 8) * 30 + 10).round().clamp(-128, 127)
    model.train()
    for _ in range(60):
        model(data / 128)
    means = [x.norm.running_mean.clone() for x in model.layers[:2]]
    calibrate(model, [data])
    shifted = [
        m + 0.05 * x.norm.running_var.sqrt() for m, x in zip(means, model.layers, strict=False)
    ]
    for layer, mean in zip(model.layers[:2], shifted, strict=True):
        layer.norm.running_mean.copy_(mean)
    set_mode(model, Mode.QAT)
    model.train()
    model(data)
    assert torch.equal(model.layers[0].norm.running_mean, shifted[0])
    update_norms(model, True)
    for _ in range(100):
        model(data[torch.randperm(len(data))])  # statistics are those of the first samples
    for layer, mean in zip(model.layers[:2], means, strict=True):
        spread = layer.norm.running_var.sqrt()
        assert float(((layer.norm.running_mean - mean).abs() / spread).max()) < 0.06
    update_norms(model, False)
    before = model.layers[0].norm.running_mean.clone()
    model(data + 5)
    assert torch.equal(model.layers[0].norm.running_mean, before)
