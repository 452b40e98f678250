"""Several processes, on one machine or many, that train one model together (torchrun)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from max78k.errors import InputError


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them; a run alone has ``count`` 1."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """The first process alone writes files and speaks."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """This process's rows of a joined batch, whose size is a multiple of ``count``."""
        own = size // self.count
        return slice(self.rank * own, (self.rank + 1) * own)

    def total(self, values: Tensor) -> Tensor:
        """Sum over the processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def share(self, content: Any) -> Any:
        """What the first process holds, in all of them."""
        if self.count == 1:
            return content
        box = [content]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def agree(self, model: nn.Module) -> None:
        """Give every process the mean of the statistics that each has gathered by itself."""
        if self.count > 1:
            for values in model.buffers():
                if values.is_floating_point():
                    dist.all_reduce(values)
                    values /= self.count

    def wrap(self, model: nn.Module, all_used: bool) -> nn.Module:
        """``model`` such that a backward pass leaves the mean gradient in every process.

        Args:
            model: the same in every process.
            all_used: whether a forward pass uses every parameter.
        """
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(
            model, broadcast_buffers=False, find_unused_parameters=not all_used
        )

    def too_many(self, samples: int) -> InputError:
        """The error for less than two samples for each process."""
        return InputError(
            "E-TRAIN-PROCESSES",
            f"{samples} samples cannot be divided between {self.count} processes.",
            "fewer processes.",
        )


def launched_rank() -> int:
    """The rank that torchrun gave this process; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, for the length of the block.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps". With "cuda" each process of a machine takes a
            device of its own.

    Raises:
        InputError: E-TRAIN-DEVICE for a device that is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, find_device(device))
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    found = find_device(device)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    begun = not dist.is_initialized()
    if begun:
        dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), found)
    finally:
        if begun:
            dist.destroy_process_group()


def find_device(name: str) -> torch.device:
    """The device called ``name``, tried with one number."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "E-TRAIN-DEVICE", f"the device {name} cannot be used ({reason}).", "--device cpu."
        ) from None
    return device


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = [getattr(torch.cpu, name, None) for name in names]
    return any(check() for check in checks if check is not None)
