"""Quantization-aware training in PyTorch."""
