"""Finding a network among the forms in which users hold one.

A model folder is what ``max78k export`` writes: ``network.npz`` (the integer network),
``network.onnx``, ``network.yaml`` and ``network-q.pth.tar``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from max78k.compiler.placement import Placement
from max78k.errors import InputError
from max78k.formats.network_yaml import bind, read_yaml
from max78k.formats.vendor_checkpoint import read_vendor_q
from max78k.network import Network
from max78k.shipped_files import shipped_folder

NETWORK_FILE = "network.npz"
ONNX_FILE = "network.onnx"
YAML_FILE = "network.yaml"
VENDOR_FILE = "network-q.pth.tar"


@dataclass(frozen=True)
class Model:
    """A network and what came with it."""

    network: Network
    given: Placement | None  # placement by hand, from a YAML
    folder: Path | None  # the model folder, where it is one


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
) -> Model:
    """The network called or stored at ``source``.

    Args:
        source: a model folder, an ``.npz`` network file, an integer ``.onnx`` file that
            ``max78k export`` wrote, or the name of a shipped model.
        yaml: network description whose placement is to be respected.
        checkpoint: vendor ``-q`` checkpoint to take the integers from; needs ``yaml`` and
            ``input_shape``. ``source`` is then not read.
    """
    if checkpoint is not None:
        return _from_vendor(checkpoint, yaml, input_shape)
    path = Path(source)
    if path.is_dir():
        path = path / NETWORK_FILE
        if not path.is_file():
            raise InputError(
                "E-MODEL-FOLDER",
                f"{source} holds no {NETWORK_FILE}.",
                "give the folder that `max78k export` wrote.",
            )
    elif not path.exists() and source in shipped_models():
        path = shipped_models()[source]
    elif not path.exists():
        names = ", ".join(shipped_models()) or "none"
        raise InputError(
            "E-MODEL-MISSING", f"{source}: no such folder, file or shipped model.",
            f"a folder written by `max78k export`, or one of the shipped models: {names}.",
        )  # fmt: skip
    network = _from_onnx(path) if path.suffix.lower() == ".onnx" else Network.load(path)
    folder = path.parent if path.name == NETWORK_FILE else None
    if yaml is None:
        return Model(network, None, folder)
    network, given = bind(read_yaml(yaml), network, network.input_shape)
    return Model(network, given, folder)


def _from_onnx(path: Path) -> Network:
    from max78k.formats.onnx_import import is_integer_export, network_of_onnx
    from max78k.imports.onnx_file import parse_onnx

    proto = parse_onnx(path)
    if not is_integer_export(proto):
        raise InputError(
            "E-MODEL-ONNX",
            f"{path} is not an integer network that max78k exported.",
            f"`max78k quantize {path.name} --data DATA` makes one of it: a folder with its "
            "integers, which this verb takes.",
        )
    return network_of_onnx(path, proto)


def _from_vendor(checkpoint: Path, yaml: Path | None, input_shape: tuple[int, ...] | None) -> Model:
    if yaml is None or input_shape is None:
        raise InputError(
            "E-MODEL-VENDOR",
            f"{checkpoint} holds weights alone: layers and input size are missing.",
            "--config-file NETWORK.yaml and a --sample-input SAMPLE.npy of the input's shape.",
        )
    network, given = bind(read_yaml(yaml), read_vendor_q(checkpoint), input_shape)
    return Model(network, given, None)
