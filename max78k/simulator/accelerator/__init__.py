"""Register-level model of the CNN accelerator: it sees bus accesses and nothing else."""

from __future__ import annotations

from max78k.simulator.accelerator.device import Accelerator

__all__ = ["Accelerator"]
