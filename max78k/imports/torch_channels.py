"""Parts of the channels, and their order, in torch models."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, fx

from max78k.imports.equivalents import selection
from max78k.imports.torch_reader import Reader


def part(reader: Reader, node: fx.Node) -> None:
    """``x[:, a:b]``, or one of the parts that chunk and split give."""
    source: Any = node.args[0]
    if reader.is_refused(source):
        reader.same(node)
        return
    index: Any = node.args[1]
    if not isinstance(reader.values[source], Tensor):
        sizes = [part.shape[1] for part in reader.values[source]]
        start = sum(sizes[: index % len(sizes)])
        kept = range(start, start + sizes[index])
    else:
        given = index if isinstance(index, tuple) else (index,)
        everything = all(x == slice(None) for x in (*given[:1], *given[2:]) if x is not Ellipsis)
        if len(given) < 2 or not isinstance(given[1], slice) or not everything:
            reader.refuse(node, f"the part {index} of the data", "x[:, a:b], channels alone.")
            return
        kept = range(reader.source_shape(node)[0])[given[1]]
    if kept == range(reader.source_shape(node)[0]):
        reader.same(node)
    else:
        reader.add(node, **selection(kept, reader.source_shape(node)))


def parts(reader: Reader, node: fx.Node) -> None:
    """Chunk and split: several data, each of some channels."""
    axis = reader.argument(node, 2, "dim", 0) % (len(reader.source_shape(node)) + 1)
    if axis == 1:
        reader.same(node)  # its parts are told apart where they are read
    else:
        reader.refuse(node, f"parts along axis {axis}", "parts of the channels, dim=1.")


def shuffle(reader: Reader, node: fx.Node) -> None:
    """The channels in another order."""
    shape = reader.source_shape(node)
    groups = reader.module(node).groups
    order = np.arange(shape[0]).reshape(groups, -1).T.ravel()
    reader.add(node, **selection(order.tolist(), shape))
