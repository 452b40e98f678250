"""Checkpoints: plain dictionaries of numbers and tensors, written whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from max78k import __version__
from max78k.errors import InputError
from max78k.files import atomic_write
from max78k.training.registry import build, known_networks, network_name

FORMAT = 1
BEST, LAST = "best.pt", "last.pt"  # of a run folder
FLOAT = "float.pt"  # with the weights that training for rounded ones began with
_KEYS = {
    "network": str,
    "class_names": list,
    "input_shape": list,
    "phase": str,
    "epoch": int,
    "model": dict,
    "history": list,
    "options": dict,
}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network built and filled from a checkpoint.

    ``notes`` are those of the data set. ``quantized`` is False for a checkpoint of the float phase,
    whose exponents are not chosen yet.
    """

    model: nn.Module
    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    quantized: bool
    notes: Mapping[str, str] = field(default_factory=dict)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``; see :func:`load_checkpoint`."""
    with atomic_write(path) as stream:
        torch.save({"format": FORMAT, "made_by": f"max78k {__version__}", **content}, stream)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary in ``path``, checked for its keys; runs no code from the file.

    Of a run folder it is that of the best epoch.

    Keys: network (as given to train), class_names, input_shape, notes, phase ("float" or "qat"),
    epoch (number finished), model (state dict of what was measured), history (rows of metrics),
    options; last.pt also has training (the state between epochs) and data (fingerprint).
    """
    if path.is_dir():
        path = path / BEST
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError("E-CHECKPOINT-MISSING", f"{path}: no such file.") from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, BadZipFile) as e:
        raise InputError(
            "E-CHECKPOINT-FILE",
            f"{path} is not a checkpoint of max78k ({type(e).__name__}).",
            "last.pt or best.pt of a run folder.",
        ) from e
    wrong = [
        key
        for key, kind in _KEYS.items()
        if not isinstance(content, dict) or not isinstance(content.get(key), kind)
    ]
    if not wrong and not isinstance(content.get("notes", {}), dict):
        wrong = ["notes"]
    if wrong:
        raise InputError(
            "E-CHECKPOINT-FILE",
            f"{path} is not a checkpoint of max78k: it has no usable {wrong[0]}.",
            "last.pt or best.pt of a run folder; `max78k quantize FILE.py:CLASS --weights` takes "
            "a state_dict.",
        )
    if content.get("format") != FORMAT:
        raise InputError(
            "E-CHECKPOINT-FORMAT",
            f"{path} has format {content.get('format')}, this version reads {FORMAT}.",
            "use the version of max78k that wrote it.",
        )
    return dict(content)


def float_checkpoint(path: Path) -> Path:
    """The file whose weights are the best for real numbers: of a run folder, or ``path`` itself.

    Weights trained for being rounded are worse without: 2 % for a network with 4-bit weights.
    """
    if not path.is_dir():
        return path
    found = (path / name for name in (FLOAT, BEST, LAST))
    return next((file for file in found if file.is_file()), path / BEST)


def load_model(path: Path, network: str | None = None) -> TrainedModel:
    """The model in ``path``.

    Args:
        path: a checkpoint.
        network: the network as given to train. A checkpoint of a shipped network needs none; one
            of a user's file does, so that no file runs which the user has not named.

    Raises:
        InputError: those of :func:`load_checkpoint`, :func:`trusted_network` and :func:`fill`.
    """
    content = load_checkpoint(path)
    spec = trusted_network(content, path, network)
    arguments = content["options"].get("network_arguments", {})
    classes, shape = len(content["class_names"]), tuple(content["input_shape"])
    model = build(spec, classes, shape, arguments=arguments)
    fill(model, content["model"], path)
    model.eval()
    return TrainedModel(
        model,
        network_name(spec),
        tuple(content["class_names"]),
        tuple(content["input_shape"]),
        content["phase"] == "qat",
        {str(key): str(value) for key, value in content.get("notes", {}).items()},
    )


def trusted_network(content: dict[str, Any], path: Path, network: str | None) -> str:
    """The network to build: what the user says, else a shipped one that the checkpoint names."""
    stored = str(content["network"])
    if network is None and stored not in known_networks():
        raise InputError(
            "E-CHECKPOINT-CODE",
            f"{path} is of {stored}, a Python file that is not run unasked.",
            f"--network {stored}, if you trust that file.",
        )
    return network or stored


def fill(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load ``state`` into ``model``; names the first key or shape that differs."""
    own = model.state_dict()
    for key in [*own, *state]:
        stored = state.get(key)
        found = tuple(stored.shape) if isinstance(stored, Tensor) else None
        wanted = tuple(own[key].shape) if key in own else None
        if found != wanted:
            raise InputError(
                "E-CHECKPOINT-NETWORK",
                f"{path} is of another network: {key} is {_shape(found)} in the file, "
                f"{_shape(wanted)} in {type(model).__name__}.",
                "give the network that the checkpoint was trained with.",
            )
    model.load_state_dict(state)


def fill_matching(model: nn.Module, *paths: Path) -> tuple[str, ...]:
    """Load those weights of a checkpoint that ``model`` has in the same shape.

    Of several checkpoints it is the mean of their weights, which is better than each of them where
    one was trained from the other (arXiv:2203.05482). Widths of weights stay the model's own: they
    belong to its quantization.

    Returns:
        Keys of the model that were not in the file, or had another shape.

    Raises:
        InputError: those of :func:`load_checkpoint`; E-INITIAL-NETWORK if no weights match.
    """
    stored, own = _mean([load_checkpoint(path)["model"] for path in paths]), model.state_dict()
    keys = [key for key in own if not key.endswith("weight_bits")]
    found = [key for key in keys if key in stored and stored[key].shape == own[key].shape]
    if not any(own[key].ndim > 1 for key in found):
        raise InputError(
            "E-INITIAL-NETWORK",
            f"{', '.join(map(str, paths))} does not fit {type(model).__name__}: {len(found)} of "
            f"{len(keys)} keys have the same name and shape, none of them a layer's weights.",
            "a checkpoint of the same network, perhaps for other classes.",
        )
    model.load_state_dict({key: stored[key] for key in found}, strict=False)
    return tuple(key for key in keys if key not in found)


def _mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of what all states have in the same shape; integers are those of the first."""
    first = states[0]
    common = [
        key
        for key in first
        if all(key in state and state[key].shape == first[key].shape for state in states)
    ]
    return {
        key: torch.stack([state[key] for state in states]).mean(dim=0)
        if first[key].is_floating_point()
        else first[key]
        for key in common
    }


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(shape)
