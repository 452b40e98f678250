"""From an integer network to what must be in the accelerator: placement, kernels, registers."""
