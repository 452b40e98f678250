"""The integer network: what it is, which shapes it has, what the chip can run, what it computes."""

from max78k.network.network import (
    Activation,
    Cut,
    Eltwise,
    Layer,
    Network,
    Operation,
    Pool,
)

__all__ = ["Activation", "Cut", "Eltwise", "Layer", "Network", "Operation", "Pool"]
