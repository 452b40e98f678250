"""The integer network: what it is, which shapes it has, what the chip can run, what it computes."""

from max78k.network.network import (
    Activation,
    Buffer,
    Cut,
    Eltwise,
    Layer,
    Network,
    Operation,
    Pool,
)

__all__ = ["Activation", "Buffer", "Cut", "Eltwise", "Layer", "Network", "Operation", "Pool"]
