"""Batch norm with ReLU, and 2 x 2 max pooling, in one pass each while training in bfloat16.

PyTorch's own operations take more of a training step on a processor with matrix instructions than
the convolutions do: they pass over the data more often. These are compiled once in a process
by whatever C compiler there is; without one, elsewhere than on the CPU, and for data of another
kind, PyTorch's operations are used. Statistics are of the same numbers, results differ by the
rounding of bfloat16.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from max78k.network import Pool

_SOURCE = Path(__file__).with_name("fused.c")
_OPTIONS = (
    "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC",
)  # fmt: skip
_X86_OPTIONS = ("-mprefer-vector-width=512",)
_THREADS = (("-fopenmp",), ())  # with them where the compiler has a library for it
_MOST_CHANNELS = 1024
_COMPILE_SECONDS = 120


def norm_relu(norm: nn.Module, data: Tensor) -> Tensor:
    """``relu(norm(data))`` of [N, C, H, W]."""
    if not (_fits(data) and _learns(norm)):
        return F.relu(norm(data))
    norm = cast(nn.BatchNorm2d, norm)
    result: Tensor = _NormRelu.apply(data, norm.weight, norm.bias, norm)  # type: ignore[no-untyped-call]
    return result


def largest_pool(data: Tensor, pool: Pool) -> Tensor:
    """Max pooling of [N, C, H, W]."""
    even = data.ndim == 4 and data.shape[2] % 2 == data.shape[3] % 2 == 0
    if pool.size == pool.stride == (2, 2) and even and _fits(data):
        result: Tensor = _Pool.apply(data)  # type: ignore[no-untyped-call]
        return result
    return F.max_pool2d(data, pool.size, pool.stride)


def _fits(data: Tensor) -> bool:
    return (
        data.dtype is torch.bfloat16
        and data.device.type == "cpu"
        and data.ndim == 4
        and data.shape[1] <= _MOST_CHANNELS
        and data.numel() > data.shape[1]  # one value has no variance: PyTorch says so
        and data.requires_grad
        and data.is_contiguous(memory_format=torch.channels_last)
        and _library() is not None
    )


def _learns(norm: nn.Module) -> bool:
    return (
        type(norm) is nn.BatchNorm2d  # others, as that over several processes, compute otherwise
        and norm.training
        and norm.affine
        and norm.weight.dtype is torch.float32
        and norm.momentum is not None
        and norm.track_running_stats
    )


class _NormRelu(Function):
    @staticmethod
    def forward(
        ctx: Any, data: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d
    ) -> Tensor:
        out = torch.empty_like(data, memory_format=torch.channels_last)
        channels = data.shape[1]
        rows = data.numel() // channels
        mean, variance = torch.empty(channels), torch.empty(channels)
        _call("norm_forward", data, out, rows, channels, weight, bias, norm.eps, mean, variance)
        with torch.no_grad():
            share = norm.momentum or 0.0
            cast(Tensor, norm.running_mean).lerp_(mean, share)
            cast(Tensor, norm.running_var).lerp_(variance * (rows / max(rows - 1, 1)), share)
            cast(Tensor, norm.num_batches_tracked).add_(1)
        ctx.save_for_backward(data, out, weight, mean, variance)
        ctx.eps = norm.eps
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        data, out, weight, mean, variance = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        channels = data.shape[1]
        result = torch.empty_like(data, memory_format=torch.channels_last)
        of_weight, of_bias = torch.empty(channels), torch.empty(channels)
        _call(
            "norm_backward", data, out, gradient, result, data.numel() // channels, channels,
            weight, ctx.eps, mean, variance, of_weight, of_bias,
        )  # fmt: skip
        return result, of_weight, of_bias, None


class _Pool(Function):
    @staticmethod
    def forward(ctx: Any, data: Tensor) -> Tensor:
        count, channels, height, width = data.shape
        out = torch.empty(
            (count, channels, height // 2, width // 2),
            dtype=data.dtype,
            memory_format=torch.channels_last,
        )
        _call("pool_forward", data, out, count * height // 2, width // 2, channels)
        ctx.save_for_backward(data, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        data, out = ctx.saved_tensors
        count, channels, height, width = data.shape
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        result = torch.empty_like(data, memory_format=torch.channels_last)
        rows = count * height // 2
        _call("pool_backward", data, out, gradient, result, rows, width // 2, channels)
        return result


def _number(value: int | float) -> ctypes.c_int64 | ctypes.c_double:
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_double(value)


def _call(name: str, *arguments: Tensor | int | float) -> None:
    """Call a function of the library; tensors are passed by address, numbers as 64 bits."""
    library = _library()
    assert library is not None
    given = [
        ctypes.c_void_p(value.data_ptr()) if isinstance(value, Tensor) else _number(value)
        for value in arguments
    ]
    library[name](*given, ctypes.c_int64(torch.get_num_threads()))


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """The compiled functions, or None where they cannot be had."""
    if os.name != "posix":
        return None
    options = (*_OPTIONS, *(_X86_OPTIONS if platform.machine() == "x86_64" else ()))
    for compiler, threads in product(_compilers(), _THREADS):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "fused.so"
            command = [*compiler, *options, *threads, "-o", str(target), str(_SOURCE), "-lm"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_SECONDS)
                return ctypes.CDLL(str(target))
            except (OSError, subprocess.SubprocessError):
                continue
    return None


def _compilers() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [
        (path,) for name in ("clang", "gcc", "cc") if (path := shutil.which(name))
    ]
    if importlib.util.find_spec("ziglang") is not None:
        return [*found, (sys.executable, "-m", "ziglang", "cc")]
    return found
