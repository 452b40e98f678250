"""Reading the integer network back from the ONNX file that this package wrote.

The file's metadata hold the layers, its constants the weights. Whether both belong to the same
network is not trusted but checked: the network is exported again, and the two graphs are equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.formats.onnx_export import build_model
from max78k.network import Network, Operation, rules
from max78k.network.network import UNREADABLE, from_header

PRODUCER = "max78k"

Array = npt.NDArray[Any]


def is_integer_export(model: onnx.ModelProto) -> bool:
    """True if ``model`` says that this package wrote it."""
    return bool(model.producer_name == PRODUCER)


def network_of_onnx(path: Path, model: onnx.ModelProto) -> Network:
    """The network whose export is ``model``, to the bit.

    Args:
        path: for messages.
        model: a model for which :func:`is_integer_export` holds.

    Raises:
        InputError: E-IMPORT-INTEGER if it is not the export of any network.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    try:
        header = json.loads(properties["header"])
        constants = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
        network = from_header(header, _arrays(header, constants))
        _check_pools(network)
        same = any(
            build_model(network, layers=layers).graph == model.graph for layers in (False, True)
        )
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise _foreign(path, f"{type(error).__name__}: {reason}") from error
    except InputError as error:
        raise _foreign(path, str(error)) from error
    if not same:
        raise _foreign(path, "its graph is not that of the layers in its metadata")
    return network


def _check_pools(network: Network) -> None:
    """A window of any size would be written out as a constant: only those of the chip are."""
    for error in rules.check(network):
        if error.code == "E-RULE-POOL-SIZE":
            raise ValueError(error.message)


def _foreign(path: Path, reason: str) -> InputError:
    return InputError(
        "E-IMPORT-INTEGER",
        f"{path} was changed since max78k wrote it, or another version wrote it ({reason}).",
        "write it again with `max78k export`, or use the network.npz beside it.",
    )


def _arrays(header: dict[str, Any], constants: dict[str, Array]) -> dict[str, Array]:
    """Weights and biases under the names that ``from_header`` takes."""
    arrays: dict[str, Array] = {}
    for row in header["layers"]:
        name, operation = str(row["name"]), Operation(row["operation"])
        if operation is Operation.LINEAR:
            arrays[f"weight/{name}"] = _int8(constants[f"{name}/weight"].T)
        elif operation is not Operation.PASSTHROUGH:
            axis = 0 if operation is Operation.CONVTRANSPOSE2D else 1
            parts: list[Array] = []
            while f"{name}/weight{len(parts)}" in constants:
                parts.append(constants[f"{name}/weight{len(parts)}"])
            arrays[f"weight/{name}"] = _int8(np.concatenate(parts, axis))
        if f"{name}/bias" in constants:
            wide = row["output_width"] == 32
            scale = 1.0 if wide else 2.0 ** (row["output_shift"] + 1 - row["weight_bits"])
            values = constants[f"{name}/bias"].ravel() - (0.0 if wide else 0.5)
            arrays[f"bias/{name}"] = _int8(values / (BIAS_UNIT * scale))
    return arrays


def _int8(values: Array) -> npt.NDArray[np.int8]:
    whole = np.ascontiguousarray(values).astype(np.int8)
    if not np.array_equal(whole, values):
        raise ValueError("weights that are no integers of 8 bits")
    return whole
