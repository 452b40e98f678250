"""max78k: from a PyTorch network to an answer on the MAX78000 CNN microcontroller."""

__version__ = "0.1.0"
