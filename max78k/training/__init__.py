"""Quantization-aware training in PyTorch."""

import ctypes
import os
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8  # of mallopt, malloc.h

# OpenMP threads that spin while they wait cost nothing on an idle machine, but on a busy one they
# take the CPU from the thread they wait for: a training step then takes five to ten times as long.
# The runtime reads this once, when torch is loaded; a choice of the user stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _keep_memory() -> None:
    """Have the C library keep what tensors free, for the next ones of the same size.

    glibc returns large blocks to the system and gets them again, cleared page by page: two fifths
    of a training step's time.
    """
    if sys.platform != "linux" or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library
    for parameter, value in (
        (_MMAP_THRESHOLD, 1 << 30),
        (_TRIM_THRESHOLD, (1 << 31) - 1),
        (_ARENA_MAX, 1),
    ):
        mallopt(parameter, value)


_keep_memory()
