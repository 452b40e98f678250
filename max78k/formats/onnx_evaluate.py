"""Evaluation of exported ONNX files with onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError
from max78k.network.network import INPUT

IntArray = npt.NDArray[np.int64]


def evaluate_onnx(path: Path, inputs: npt.NDArray[np.int8], batch: int = 64) -> IntArray:
    """The network's output for int8 inputs [N, *input_shape]: int64 [N, values].

    Several outputs are joined in the network's order, as by ``max78k.network.reference.outputs``.

    Raises:
        InputError: the file is not an ONNX file of this package, or the shapes differ.
    """
    session = _session(path)
    names = _output_names(path, session)
    parts = []
    for start in range(0, len(inputs), batch):
        values = _run(path, session, names, inputs[start : start + batch])
        rows = [values[name].reshape(len(values[name]), -1) for name in names]
        parts.append(np.concatenate(rows, axis=1))
    if not parts:
        raise InputError("E-INPUT-SHAPE", "there is no input to evaluate.")
    return np.concatenate(parts)


def evaluate_layers(path: Path, inputs: npt.NDArray[np.int8]) -> dict[str, IntArray]:
    """All graph outputs by name, int64 [N, ...]; export with ``layers=True`` to have every layer.

    Raises:
        InputError: the file is not an ONNX file of this package, or the shapes differ.
    """
    session = _session(path)
    return _run(path, session, [output.name for output in session.get_outputs()], inputs)


def _session(path: Path) -> Any:
    import onnxruntime

    path = Path(path)
    if not path.is_file():
        raise InputError("E-ONNX-FILE", f"{path}: no such file.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        return onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exception classes are not public
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            "E-ONNX-FILE",
            f"{path} cannot be loaded by onnxruntime ({reason}).",
            "write it with `max78k export`.",
        ) from error


def _output_names(path: Path, session: Any) -> list[str]:
    properties = session.get_modelmeta().custom_metadata_map
    present = {output.name for output in session.get_outputs()}
    try:
        names = [str(name) for name in json.loads(properties["outputs"])]
    except (KeyError, ValueError, TypeError):
        names = []
    if not names or not present.issuperset(names):
        raise InputError(
            "E-ONNX-FILE",
            f"{path} does not say which of its outputs are the network's.",
            "write it with `max78k export`.",
        )
    return names


def _run(
    path: Path, session: Any, names: list[str], inputs: npt.NDArray[np.int8]
) -> dict[str, IntArray]:
    sources = session.get_inputs()
    if [source.name for source in sources] != [INPUT] or sources[0].type != "tensor(int8)":
        raise InputError(
            "E-ONNX-FILE",
            f"{path} does not take one int8 tensor called {INPUT}.",
            "write it with `max78k export`.",
        )
    expected = list(sources[0].shape[1:])
    if inputs.dtype != np.int8 or list(inputs.shape[1:]) != expected:
        raise InputError(
            "E-INPUT-SHAPE",
            f"{path} takes int8 [N, {', '.join(map(str, expected))}], "
            f"the input is {inputs.dtype} {list(inputs.shape)}.",
        )
    results = session.run(names, {INPUT: np.ascontiguousarray(inputs)})
    pairs = zip(names, results, strict=True)
    return {name: np.asarray(result, np.int64) for name, result in pairs}
