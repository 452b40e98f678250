"""Integer weights of one operating layer, detached from any network structure.

A checkpoint and a YAML description meet here: the n-th item belongs to the n-th layer of the
description that has weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.network import Network

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Weights as in :class:`max78k.network.Layer`, with the shift that belongs to them.

    ``weight`` is int8 in PyTorch's axis order: [out, in], [out, in, k] or [out, in, kh, kw]
    ([in, out, kh, kw] for a transposed convolution). ``output_shift`` is None where the source
    does not know it.
    """

    name: str
    weight: Int8Array
    bias: Int8Array | None = None
    weight_bits: int = 8
    output_shift: int | None = None


def weights_of(network: Network) -> list[LayerWeights]:
    """Weights of all layers of ``network`` that have some, in execution order."""
    return [
        LayerWeights(layer.name, layer.weight, layer.bias, layer.weight_bits, layer.output_shift)
        for layer in network.layers
        if layer.weight is not None
    ]
