"""Batch norm with ReLU and max pooling in one pass: the numbers of PyTorch's own operations."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.network import Pool
from max78k.training import fused
from max78k.training.layers import Conv2d

_POOL = Pool("max", (2, 2), (2, 2))
_LAST = torch.channels_last

needs_compiler = pytest.mark.skipif(fused._library() is None, reason="no C compiler")


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_library", lambda: None)


class _Other(nn.BatchNorm2d):
    """A batch norm that may compute otherwise, as the one over several processes."""


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.05)
    nn.init.uniform_(norm.weight, -0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm


def _data(channels: int, side: int = 10, samples: int = 6) -> Tensor:
    data = 3 * torch.randn(samples, channels, side, side) + 20
    return data.bfloat16().to(memory_format=_LAST)


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


def _trained(norm: nn.BatchNorm2d, data: Tensor, gradient: Tensor, own: bool) -> list[Tensor]:
    """Result, gradients of data, weight and bias, and the statistics after one step."""
    norm, data = copy.deepcopy(norm), data.clone(memory_format=_LAST).requires_grad_()
    result = fused.norm_relu(norm, data) if own else F.relu(norm(data))
    result.backward(gradient.to(result))
    kept = [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    grown = [data.grad, norm.weight.grad, norm.bias.grad]
    return [result.detach(), *(t for t in (*grown, *kept) if t is not None)]


@needs_compiler
@pytest.mark.parametrize("channels", [1, 3, 16, 33, 64, 160])
def test_norm_relu_is_as_near_to_the_exact_result_as_pytorch(channels: int) -> None:
    torch.manual_seed(channels)
    norm, data = _norm(channels), _data(channels)
    gradient = torch.randn(data.shape).to(memory_format=_LAST)
    wanted = _trained(norm, data.float(), gradient, own=False)
    found = _trained(norm, data, gradient, own=True)
    others = _trained(norm, data, gradient, own=False)
    assert len(found) == len(wanted) == 7
    for own, other, exact in zip(found, others, wanted, strict=True):
        assert _distance(own, exact) <= 1.2 * _distance(other, exact) + 1e-5


@needs_compiler
def test_norm_relu_uses_its_own_operation_where_it_can() -> None:
    norm, data = _norm(8), _data(8).requires_grad_()
    assert "NormRelu" in type(fused.norm_relu(norm, data).grad_fn).__name__
    for other in (data.float(), data.contiguous(), data.detach()):
        assert "NormRelu" not in type(fused.norm_relu(norm, other).grad_fn).__name__
    others = (norm.eval(), copy.deepcopy(norm).train().bfloat16(), _Other(8))
    for one in others:
        assert "NormRelu" not in type(fused.norm_relu(one, data).grad_fn).__name__
    with pytest.raises(ValueError, match="more than 1 value"):
        fused.norm_relu(_norm(8), _data(8, side=1, samples=1).requires_grad_())


@needs_compiler
def test_pooling_gives_the_first_of_equal_pixels_the_gradient() -> None:
    torch.manual_seed(1)
    data = torch.randint(-2, 3, (4, 5, 6, 8)).bfloat16().to(memory_format=_LAST)
    gradient = torch.randn(4, 5, 3, 4).bfloat16().to(memory_format=_LAST)
    own, other = data.clone().requires_grad_(), data.clone().requires_grad_()
    result, wanted = fused.largest_pool(own, _POOL), F.max_pool2d(other, 2)
    assert "_Pool" in type(result.grad_fn).__name__
    assert torch.equal(result, wanted)
    result.backward(gradient)
    wanted.backward(gradient)
    assert own.grad is not None and other.grad is not None
    assert torch.equal(own.grad, other.grad)


@needs_compiler
def test_what_is_no_number_stays_none() -> None:
    """So that a training that diverges is seen to."""
    data = _data(4)
    data[1, 2, 3, 5] = torch.nan
    data.requires_grad_()
    pooled = fused.largest_pool(data, _POOL)
    assert torch.equal(pooled.isnan(), F.max_pool2d(data, 2).isnan())
    normed = fused.norm_relu(_norm(4), data)
    assert torch.equal(normed.isnan(), F.relu(_norm(4)(data)).isnan())
    assert pooled.isnan().sum() == 1 and normed.isnan().any()


@needs_compiler
def test_other_windows_are_left_to_pytorch() -> None:
    odd = _data(4, side=7).requires_grad_()
    assert torch.equal(fused.largest_pool(odd, _POOL), F.max_pool2d(odd, 2))
    wide = Pool("max", (3, 3), (2, 2))
    assert torch.equal(fused.largest_pool(odd, wide), F.max_pool2d(odd, 3, 2))


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_number_of_threads_always_gives_the_same_bits(threads: int) -> None:
    before = torch.get_num_threads()
    torch.manual_seed(2)
    norm, data = _norm(16), _data(16, side=48, samples=3)
    gradient = torch.randn(data.shape).to(memory_format=_LAST)
    try:
        torch.set_num_threads(threads)
        first, second = (_trained(norm, data, gradient, own=True) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_layers_train_without_a_compiler(without_compiler: None) -> None:
    layer = Conv2d(3, 8, pool=2).to(memory_format=_LAST).train()
    data = torch.randn(2, 3, 8, 8).to(memory_format=_LAST).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(data)
    assert "Relu" in type(result.grad_fn).__name__ and "Norm" not in type(result.grad_fn).__name__
    result.sum().backward()
    assert layer.weight.grad is not None


def test_no_library_without_a_working_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_compilers", lambda: [("there-is-no-such-compiler",), ("false",)])
    assert fused._library.__wrapped__() is None


@needs_compiler
def test_ziglang_compiles_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    zig = fused._compilers()[-1]
    if "ziglang" not in zig:
        pytest.skip("ziglang is not installed")
    monkeypatch.setattr(fused, "_compilers", lambda: [zig])
    assert fused._library.__wrapped__() is not None
