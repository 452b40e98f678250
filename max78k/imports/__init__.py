"""Ordinary networks, ONNX or torch.nn, to integer networks without training."""
