"""Where the weights of a network description come from: every kind of file that holds some."""

from __future__ import annotations

from pathlib import Path

from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.vendor_checkpoint import (
    VendorCheckpoint,
    is_vendor_checkpoint,
    quantize_layer,
    read_vendor,
)
from max78k.network import Network

NETWORK_FILE = "network.npz"


def read_weights(path: Path, network: str | None = None) -> Network | VendorCheckpoint:
    """The weights in ``path``; a Network where the file says how its layers are connected.

    Args:
        path: a model folder or its ``network.npz``; a run folder, best.pt or last.pt of
            ``max78k train-qat``; a vendor checkpoint, float or ``-q``; an ONNX file, that of
            ``max78k export`` or one with real numbers. Real numbers are quantized by the vendor's
            rule, which takes every layer's data to lie in -1...1.
        network: where the class of a run's network is, if it is not a shipped one.

    Raises:
        InputError: not a file of these kinds.
        RuleError: layers whose numbers cannot be used; all of them, with the tensor.
    """
    if path.is_dir():
        if (path / NETWORK_FILE).is_file():
            return Network.load(path / NETWORK_FILE)
        if (path / "best.pt").is_file():
            return network_of_run(path, network)
        raise InputError(
            "E-MODEL-FOLDER",
            f"{path} holds no {NETWORK_FILE} and no best.pt.",
            "give the folder that `max78k export` or `max78k train-qat` wrote.",
        )
    if path.suffix.lower() == ".npz":
        return Network.load(path)
    if path.suffix.lower() == ".onnx":
        return _of_onnx(path)
    return read_vendor(path) if is_vendor_checkpoint(path) else network_of_run(path, network)


def network_of_run(source: Path, network: str | None = None) -> Network:
    """The integers of a run folder's best epoch, or of a checkpoint file.

    Args:
        source: a run folder, or best.pt or last.pt of one.
        network: where the network's class is, if not where the checkpoint says.
    """
    from max78k.training.base import is_plain
    from max78k.training.checkpoint import load_model
    from max78k.training.convert import to_network

    if network is None and (source / NETWORK_FILE).is_file():
        return Network.load(source / NETWORK_FILE)  # which needs no class of the user's
    path = source / "best.pt" if source.is_dir() else source
    trained = load_model(path, network)
    if is_plain(trained.model):
        raise InputError(
            "E-EXPORT-PLAIN",
            f"{path} is of a network without any layer of the chip: it has no integers.",
            "--level float where answers are wanted; `max78k quantize` makes integers of what "
            "the chip can run.",
        )
    if not trained.quantized:
        raise InputError(
            "E-EXPORT-FLOAT",
            f"{path} is from the float phase: its integers are not chosen yet.",
            "let the run go on into its quantization-aware epochs (`--resume`).",
        )
    return to_network(
        trained.model,
        name=trained.name,
        input_shape=trained.input_shape,
        class_names=trained.class_names,
        notes=trained.notes,
    )


def _of_onnx(path: Path) -> Network | VendorCheckpoint:
    from max78k.formats.onnx_import import is_integer_export, network_of_onnx
    from max78k.imports.chip_layers import lower
    from max78k.imports.onnx_file import parse_onnx
    from max78k.imports.onnx_graph import onnx_graph
    from max78k.imports.rewrites import simplify

    proto = parse_onnx(path)
    if is_integer_export(proto):
        return network_of_onnx(path, proto)
    graph, _ = onnx_graph(path)
    simplify(graph)
    layers: list[LayerWeights] = []
    errors: list[Max78kError] = []
    for layer in lower(graph).layers:
        if layer.weight is None:
            continue
        try:
            layers.append(quantize_layer(layer.name, layer.weight, layer.bias))
        except ValueError as error:
            text = f"{path}: layer {layer.name} ({layer.origin}): {error}."
            errors.append(InputError("E-CHECKPOINT-LAYER", text))
    if errors:
        raise RuleError(errors)
    return VendorCheckpoint("", 0, tuple(layers), rounded=True)
