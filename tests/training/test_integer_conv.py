"""Fast integer convolutions give the integers of float64, and gradients near those of float32."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from max78k.training import integer_conv
from max78k.training.calibrate import calibrate
from max78k.training.integer_conv import conv2d, fast_integers
from max78k.training.layers import Mode, set_mode
from max78k.training.registry import build


@pytest.fixture(params=["bytes", "float32"])
def way(request, monkeypatch):
    """Both ways of the forward pass, whatever this CPU has."""
    if request.param == "float32":
        monkeypatch.setattr(integer_conv, "has_byte_products", lambda: False)
    elif not integer_conv.has_byte_products():
        pytest.skip("this CPU or PyTorch does not multiply bytes exactly")


def operands(channels: int, outputs: int, size: int, seed: int = 0, low: int = -128):
    dice = torch.Generator().manual_seed(seed)
    data = torch.randint(low, 128, (3, channels, 7, 6), generator=dice).float()
    weight = torch.randint(-128, 128, (outputs, channels, size, size), generator=dice).float()
    bias = torch.randint(-128, 128, (outputs,), generator=dice).float() * 128
    return data, weight, bias


@pytest.mark.parametrize("low", [-128, 0])
@pytest.mark.parametrize(
    ("channels", "outputs", "size", "padding"),
    [(1, 1, 3, 1), (3, 5, 1, 0), (7, 4, 3, 2), (64, 64, 3, 1), (512, 3, 3, 0)],
)
def test_forward_is_exact(way, channels, outputs, size, padding, low):
    data, weight, bias = operands(channels, outputs, size, low=low)
    expected = F.conv2d(data.double(), weight.double(), bias.double(), padding=padding)
    assert torch.equal(conv2d(data, weight, bias, padding).double(), expected)
    last = data.contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv2d(last, weight, bias, padding).double(), expected)
    plain = F.conv2d(data.double(), weight.double(), padding=padding)
    assert torch.equal(conv2d(data, weight, None, padding).double(), plain)


def test_gradients_differ_by_the_rounding_of_bfloat16(way):
    gradients = []
    for convolve in (conv2d, lambda d, w, b, p: F.conv2d(d, w, b, padding=p)):
        values = [value.requires_grad_() for value in operands(16, 8, 3)]
        output = convolve(*values, 1)
        output.backward(torch.randn(output.shape, generator=torch.Generator().manual_seed(1)))
        gradients.append([value.grad for value in values])
    for fast, exact in zip(*gradients, strict=True):
        assert torch.linalg.norm(fast - exact) < 0.005 * torch.linalg.norm(exact)


def test_a_network_gives_the_same_scores_with_and_without(way):
    torch.manual_seed(0)
    model = build("fer7", 7).eval()
    data = torch.randint(-128, 128, (8, 1, 48, 48)).float()
    calibrate(model, [data])
    set_mode(model, Mode.QAT)
    with torch.no_grad():
        slow = model(data)
        with fast_integers():
            assert torch.equal(model(data), slow)
        with fast_integers(False):
            assert torch.equal(model(data), slow)
