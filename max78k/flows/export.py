"""From a training run to everything that the later steps read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.compiler.arrange import arrange
from max78k.compiler.placement import Placement
from max78k.errors import InputError
from max78k.flows.models import NETWORK_FILE, ONNX_FILE, VENDOR_FILE, YAML_FILE
from max78k.formats.network_yaml import write_yaml
from max78k.formats.onnx_export import export_onnx
from max78k.formats.vendor_checkpoint import write_vendor_q
from max78k.network import Network


@dataclass(frozen=True)
class Export:
    """What was written."""

    network: Network
    placement: Placement
    files: tuple[Path, ...]


def network_of_run(source: Path, network: str | None = None) -> Network:
    """The integers of a run folder's best epoch, or of a checkpoint file.

    Args:
        source: a run folder, or best.pt or last.pt of one.
        network: where the network's class is, if not where the checkpoint says.
    """
    from max78k.training.checkpoint import load_model
    from max78k.training.convert import to_network

    path = source / "best.pt" if source.is_dir() else source
    trained = load_model(path, network)
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


def export(network: Network, folder: Path, formats: tuple[str, ...] = ()) -> Export:
    """Write a model folder: the integer network, ONNX, YAML and a vendor ``-q`` checkpoint.

    Args:
        network: the network; layers that only copy are added where the chip needs them, layers
            stream where data memory is too small without, and it is refused with all broken rules
            if the chip cannot run it even so.
        folder: made if need be; files in it are replaced one by one, each whole.
        formats: some of "onnx", "yaml", "vendor"; empty: all. ``network.npz`` is always written.
    """
    network, placement = arrange(network)
    writers: dict[str, tuple[str, Callable[[Path], None]]] = {
        "onnx": (ONNX_FILE, lambda path: export_onnx(network, path)),
        "yaml": (YAML_FILE, lambda path: write_yaml(network, placement, path)),
        "vendor": (VENDOR_FILE, lambda path: write_vendor_q(network, path, arch=network.name)),
    }
    files = [folder / NETWORK_FILE]
    network.save(files[0])
    for name, (file_name, write) in writers.items():
        if not formats or name in formats:
            write(folder / file_name)
            files.append(folder / file_name)
    return Export(network, placement, tuple(files))
