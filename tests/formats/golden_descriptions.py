"""Recorded cases as descriptions, weights and inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from max78k.compiler.placement import Placement
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import bind, read_yaml
from max78k.network import Network, Operation


@dataclass
class Case:
    """One accepted case."""

    name: str
    meta: dict[str, Any]
    sample: np.ndarray
    network: Network
    placement: Placement


def folders(shared: Path, accepted: bool) -> list[Path]:
    return [
        path.parent
        for path in sorted((shared / "golden").glob("*/meta.json"))
        if json.loads(path.read_text())["ok"] is accepted
    ]


def layer_weights(folder: Path, meta: dict[str, Any]) -> list[LayerWeights]:
    """The recorded weights in PyTorch's axis order."""
    found = []
    with np.load(folder / "weights.npz") as archive:
        for key in sorted(name for name in archive.files if name.endswith(".w")):
            start = key[:-2]
            row = meta["layers"][int(start[1:])]
            bits = int(archive[f"{start}.bits"])
            weight = archive[key]
            if row["operator"] == "convtranspose2d":
                weight = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
            elif row["operator"] == "conv1d":
                weight = weight.reshape(*weight.shape[:2], -1)
            bias = archive[f"{start}.b"] if f"{start}.b" in archive.files else None
            shift = row["output_shift"] - 8 + bits
            found.append(LayerWeights(start, np.ascontiguousarray(weight), bias, bits, shift))
    return found


def load(folder: Path) -> Case:
    """The case in ``folder``; raises what ``read_yaml`` and ``bind`` raise."""
    meta = json.loads((folder / "meta.json").read_text())
    description = read_yaml(folder / "network.yaml")
    sample = np.load(folder / "input.npy").astype(np.int8)
    one_axis = any(layer.operation is Operation.CONV1D for layer in description.layers)
    if one_axis and sample.ndim == 3 and sample.shape[2] == 1:
        sample = sample[..., 0]  # the recording gives 1-D data a second axis of 1
    network, placement = bind(description, layer_weights(folder, meta), sample.shape)
    network = replace(network, average_rounds="--avg-pool-rounding" in meta["options"])
    return Case(folder.name, meta, sample, network, placement)
