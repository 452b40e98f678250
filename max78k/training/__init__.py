"""Quantization-aware training in PyTorch."""

import os

# OpenMP threads that spin while they wait cost nothing on an idle machine, but on a busy one they
# take the CPU from the thread they wait for: a training step then takes five to ten times as long.
# The runtime reads this once, when torch is loaded; a choice of the user stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
