"""The truth chain: one input through every level, compared integer by integer.

Levels: the quantized torch module, the ONNX file under onnxruntime, the integer reference, the
register-level accelerator model, the compiled firmware behind its serial link (on the virtual board
or a real one). The integer reference is what the others are compared with; a difference says only
that one of the two is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.errors import RuleError
from max78k.flows.accelerator_runs import run_image
from max78k.network import Network, reference
from max78k.report import tables

if TYPE_CHECKING:
    import torch

    from max78k.host.link import Device

Inputs = npt.NDArray[np.int8]
Values = npt.NDArray[np.int64]
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Difference:
    """The first place where a level and the integer reference disagree."""

    level: str
    input_index: int
    layer: str
    channel: int
    position: tuple[int, ...]
    expected: int
    got: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.position)) or "-"
        return (
            f"{self.level}: input {self.input_index}, layer {self.layer}, channel {self.channel}, "
            f"position ({place}): expected {self.expected}, got {self.got}"
        )


@dataclass(frozen=True)
class LevelResult:
    """What one level of the chain gave."""

    level: str
    seconds: float
    compared: int  # values compared, all layers where the level shows them
    different: int
    first: Difference | None = None


@dataclass
class ChainReport:
    """Results of all levels that were run, on the same inputs."""

    network: str
    inputs: int
    levels: list[LevelResult] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """Values that differ, over all levels."""
        return sum(level.different for level in self.levels)

    def text(self) -> str:
        """The report as a table."""
        rows = [
            (
                level.level,
                f"{level.compared:,}",
                f"{level.different:,}",
                tables.seconds(level.seconds),
            )
            for level in self.levels
        ]
        head = f"{self.network}: {self.inputs} inputs through {len(rows)} levels"
        headers = ("level", "values compared", "different", "time")
        return f"{head}\n{tables.table(headers, rows)}"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "network": self.network,
            "inputs": self.inputs,
            "differences": self.differences,
            "levels": [
                {
                    "level": level.level,
                    "seconds": round(level.seconds, 4),
                    "compared": level.compared,
                    "different": level.different,
                    "first_difference": str(level.first) if level.first else None,
                }
                for level in self.levels
            ],
        }


class TruthChain:
    """Runs levels one by one against the reference values of a network on some inputs.

    Args:
        network: the integer network.
        inputs: int8 [N, *network.input_shape].
        progress: called with the level's name and the number of inputs done.
    """

    def __init__(
        self, network: Network, inputs: Inputs, progress: Progress = lambda level, steps: None
    ) -> None:
        self.network = network
        self.inputs = inputs
        self._progress = progress
        self.report = ChainReport(network.name, len(inputs))
        started = time.perf_counter()
        self._truth = reference.layers(network, inputs)
        self._truth_seconds = time.perf_counter() - started

    def torch(self, model: torch.nn.Module) -> None:
        """The quantized torch module, layer by layer."""
        from max78k.training.convert import layer_outputs

        self._compare_layers("torch, quantized", lambda: layer_outputs(model, self.inputs))

    def onnx(self, path: Path) -> None:
        """The ONNX file under onnxruntime, at its output."""
        from max78k.formats.onnx_export import evaluate_onnx

        self._compare_outputs("ONNX, onnxruntime", lambda: evaluate_onnx(path, self.inputs))

    def reference(self) -> None:
        """The integer reference itself: the level that the others are compared with."""
        compared = sum(values.size for values in self._truth.values())
        result = LevelResult("integer reference", self._truth_seconds, compared, 0)
        self.report.levels.append(result)
        self._progress("integer reference", len(self.inputs))

    def accelerator(self, image: Image) -> None:
        """The register-level accelerator model; a difference is traced to its first layer."""
        result = self._compare_outputs(
            "accelerator model",
            lambda: run_image(
                image, self.inputs, lambda steps: self._progress("accelerator model", steps)
            ),
        )
        if result.first is not None:
            traced = self._trace(result.first)
            self.report.levels[-1] = replace(result, first=traced)

    def board(self, device: Device, where: str = "virtual board") -> None:
        """The firmware behind an open link."""

        def ask() -> Values:
            rows = []
            for one in self.inputs:
                rows.append(np.asarray(device.infer(one).scores, np.int64))
                self._progress(f"firmware, {where}", 1)
            return np.stack(rows)

        self._compare_outputs(f"firmware, {where}", ask)

    def _compare_outputs(self, level: str, run: Callable[[], Values]) -> LevelResult:
        return self._compare(level, lambda: {"": run()}, {"": self._output_truth()})

    def _compare_layers(self, level: str, run: Callable[[], Mapping[str, Values]]) -> LevelResult:
        return self._compare(level, run, self._truth)

    def _compare(
        self,
        level: str,
        run: Callable[[], Mapping[str, Values]],
        truth: Mapping[str, Values],
    ) -> LevelResult:
        started = time.perf_counter()
        got = run()
        seconds = time.perf_counter() - started
        compared, different, first = 0, 0, None
        for name, values in got.items():
            expected = truth[name].reshape(values.shape)
            wrong = values != expected
            compared += values.size
            different += int(wrong.sum())
            if first is None and wrong.any():
                first = self._locate(level, name, expected, values)
        result = LevelResult(level, seconds, compared, different, first)
        self.report.levels.append(result)
        return result

    def _locate(self, level: str, name: str, expected: Values, got: Values) -> Difference:
        where = tuple(int(i) for i in np.argwhere(got != expected)[0])
        if name:
            layer, channel, position = name, where[1], where[2:]
        else:
            layer, channel, position = self._output_place(where[1])
        return Difference(
            level, where[0], layer, channel, position, int(expected[where]), int(got[where])
        )

    def _output_place(self, value: int) -> tuple[str, int, tuple[int, ...]]:
        """Layer, channel and position of value number ``value`` of the joined outputs."""
        for name in self.network.outputs:
            shape = self._truth[name].shape[1:]
            size = int(np.prod(shape))
            if value < size:
                index = tuple(int(i) for i in np.unravel_index(value, shape))
                return name, index[0], index[1:]
            value -= size
        raise IndexError(value)

    def _output_truth(self) -> Values:
        count = len(self.inputs)
        parts = [self._truth[name].reshape(count, -1) for name in self.network.outputs]
        return np.concatenate(parts, axis=1)

    def _trace(self, difference: Difference) -> Difference:
        """The first layer whose own output already differs: run ever longer prefixes."""
        index = difference.input_index
        one = self.inputs[index : index + 1]
        for count, layer in enumerate(self.network.layers, 1):
            first = [replace(x, streaming=False) for x in self.network.layers[:count]]
            prefix = replace(self.network, layers=tuple(first), outputs=(layer.name,))
            try:
                image = assemble(*arrange(prefix), one[0])
            except RuleError:
                continue  # its output is too large to stand in memory: it streams on
            got = run_image(image, one)
            expected = self._truth[layer.name][index : index + 1]
            if (got.reshape(expected.shape) != expected).any():
                found = self._locate(
                    difference.level, layer.name, expected, got.reshape(expected.shape)
                )
                return replace(found, input_index=index)
        return difference
