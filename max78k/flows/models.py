"""Finding a network among the forms in which users hold one.

A model folder is what ``max78k export`` writes: ``network.npz`` (the integer network),
``network.onnx``, ``network.yaml`` and ``network-q.pth.tar``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from max78k.compiler.placement import Placement
from max78k.errors import InputError
from max78k.flows.weight_sources import NETWORK_FILE, read_weights
from max78k.formats.network_yaml import bind, input_shape_of, read_yaml
from max78k.formats.vendor_checkpoint import VendorCheckpoint
from max78k.network import Network
from max78k.shipped_files import shipped_folder

ONNX_FILE = "network.onnx"
YAML_FILE = "network.yaml"
VENDOR_FILE = "network-q.pth.tar"


@dataclass(frozen=True)
class Model:
    """A network and what came with it."""

    network: Network
    given: Placement | None  # placement by hand, from a YAML
    folder: Path | None  # the model folder, where it is one
    rounded: bool = False  # the weights were real numbers, quantized by the vendor's rule


def shipped_models() -> dict[str, Path]:
    """Networks that come with the package, trained: name to model file."""
    folder = shipped_folder("yaml_models")
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}


def load_model(
    source: str,
    *,
    yaml: Path | None = None,
    checkpoint: Path | None = None,
    input_shape: tuple[int, ...] | None = None,
    network: str | None = None,
) -> Model:
    """The network called or stored at ``source``.

    Args:
        source: the name of a shipped model, or any file or folder with weights, see
            :func:`max78k.flows.weight_sources.read_weights`.
        yaml: network description whose placement is to be respected.
        checkpoint: file or folder to take the weights from; ``source`` is then not read.
        input_shape: of a checkpoint that does not say it, if the description does not either.
        network: where the class of a training run's network is.
    """
    path = checkpoint or _path(source)
    weights = read_weights(path, network)
    if yaml is None:
        if not isinstance(weights, Network):
            raise _incomplete(path)
        folder = path if path.is_dir() else path.parent if path.name == NETWORK_FILE else None
        return Model(weights, None, folder)
    description = read_yaml(yaml)
    if isinstance(weights, Network):
        input_shape = weights.input_shape
    elif input_shape is None:
        input_shape = input_shape_of(description, weights.layers)
    if input_shape is None:
        raise _incomplete(path)
    bound, given = bind(description, weights, input_shape)
    return Model(bound, given, None, isinstance(weights, VendorCheckpoint) and weights.rounded)


def _path(source: str) -> Path:
    path = Path(source)
    if path.exists():
        return path
    if source in shipped_models():
        return shipped_models()[source]
    names = ", ".join(shipped_models()) or "none"
    raise InputError(
        "E-MODEL-MISSING", f"{source}: no such folder, file or shipped model.",
        f"a folder written by `max78k export`, or one of the shipped models: {names}.",
    )  # fmt: skip


def _incomplete(path: Path) -> InputError:
    if path.suffix.lower() == ".onnx":
        return InputError(
            "E-MODEL-ONNX",
            f"{path} is not an integer network that max78k exported.",
            f"`max78k quantize {path.name} --data DATA` makes one of it: a folder with its "
            "integers, which this verb takes.",
        )
    return InputError(
        "E-MODEL-VENDOR",
        f"{path} holds weights alone: layers and input size are missing.",
        "`max78k synthesize`, `check` and `verify` with --config-file NETWORK.yaml, which has "
        "`in_dim` in its first layer; synthesize also takes the size from a --sample-input.",
    )
