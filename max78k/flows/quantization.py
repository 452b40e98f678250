"""From an ordinary network, ONNX or torch.nn, to a model folder, without training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from max78k.datasets.dataset import Dataset
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.flows.export import Export, export
from max78k.formats.onnx_import import is_integer_export, network_of_onnx
from max78k.imports.losses import LayerLoss, losses
from max78k.imports.onnx_file import parse_onnx
from max78k.imports.quantization import quantize, real_inputs
from max78k.imports.sources import Foreign, Normalisation, is_onnx, onnx_source, torch_source
from max78k.network import Network, reference
from max78k.network.shapes import Shape
from max78k.report.metrics import accuracy
from max78k.report.tables import percent, table
from max78k.training.checkpoint import load_checkpoint
from max78k.training.post_training import quantize_checkpoint
from max78k.training.registry import input_shape as declared_shape

CALIBRATION = 512  # samples of the training part

_PICTURE = (1, 48, 48)


@dataclass(frozen=True)
class QuantizeOptions:
    """What to quantize and how.

    Attributes:
        source: MODEL.onnx, path/to/file.py:Class, or a checkpoint of a training run.
        data: data set specification.
        folder: the model folder to write; None: NETWORK-model.
        limit: at most this many samples of each part of the data.
        rule: how ranges are chosen, see :func:`max78k.imports.quantization.quantize`.
        mean, std: of the model's input, (pixel / 255 - mean) / std, by channel or one for all;
            both None: the input is (pixel - 128) / 128.
        weights: ``state_dict`` of a torch class.
        input_shape: of a torch class that does not say it.
        seed: chooses the samples.
    """

    source: str
    data: str
    folder: Path | None = None
    limit: int | None = None
    rule: str = "mse"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    weights: Path | None = None
    input_shape: Shape | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class QuantizeResult:
    """What was written and what it costs; accuracies are shares of the test part.

    They are None where the outputs are not the classes of the data, the float one also where the
    source holds integers already.
    """

    export: Export
    layers: tuple[LayerLoss, ...]
    notes: tuple[str, ...]
    float_accuracy: float | None
    accuracy: float | None

    def text(self) -> str:
        """The table by layer, notes, and accuracies."""
        parts = [_table(self.layers)] if self.layers else []
        parts += [f"note: {note}" for note in self.notes]
        if self.accuracy is not None:
            before = "" if self.float_accuracy is None else f"float {self.float_accuracy:.2%}, "
            parts.append(f"accuracy on the test part: {before}integers {self.accuracy:.2%}")
        return "\n".join([*parts, *map(str, self.export.files)])

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "network": self.export.network.name,
            "layers": [asdict(layer) for layer in self.layers],
            "notes": list(self.notes),
            "float_accuracy": self.float_accuracy,
            "accuracy": self.accuracy,
            "files": [str(path) for path in self.export.files],
        }


def quantize_model(options: QuantizeOptions) -> QuantizeResult:
    """Import, calibrate, round, measure, and write a model folder.

    Raises:
        RuleError: with everything that cannot be mapped, or with all broken rules of the chip.
        InputError: see the steps.
    """
    if Path(options.source).suffix == ".pt":
        return _checkpoint(options)
    if is_onnx(options.source):
        path = Path(options.source)
        proto = parse_onnx(path)
        if is_integer_export(proto):
            return _integers(network_of_onnx(path, proto), options)
        foreign = onnx_source(path)
        dataset = _data(options, foreign.graph.input_shape)
    else:
        shape = options.input_shape or declared_shape(options.source) or _PICTURE
        dataset = _data(options, shape)
        classes = len(dataset.class_names)
        foreign = torch_source(options.source, shape, classes, options.weights)
    normalisation = _normalisation(options, foreign.graph.input_shape[0])
    model = foreign.model(normalisation)
    quantized = quantize(model, _samples(dataset, options.seed), rule=options.rule)
    network = quantized.network
    if _fits(network, dataset):
        network = replace(network, class_names=dataset.class_names)
    written = export(network, options.folder or Path(f"{network.name}-model"))
    return QuantizeResult(
        export=written,
        layers=losses(model, quantized, dataset.test.inputs),
        notes=(_input_note(normalisation), *model.notes, *quantized.notes),
        float_accuracy=_float_accuracy(foreign, normalisation, network, dataset),
        accuracy=_integer_accuracy(network, dataset),
    )


def _checkpoint(options: QuantizeOptions) -> QuantizeResult:
    """A network of our own layers: its exponents are chosen, its weights stay."""
    path = Path(options.source)
    dataset = _data(options, tuple(load_checkpoint(path)["input_shape"]))
    rule = "mse" if options.rule == "percentile" else options.rule
    quantized = quantize_checkpoint(path, dataset, rule=rule, seed=options.seed)
    network = quantized.network
    written = export(network, options.folder or Path(f"{network.name}-model"))
    notes = () if rule == options.rule else ("checkpoints know mse and max; mse was used",)
    return QuantizeResult(written, (), notes, quantized.float_accuracy, quantized.accuracy)


def _integers(network: Network, options: QuantizeOptions) -> QuantizeResult:
    """A file that holds integers already: nothing is left to choose."""
    dataset = _data(options, network.input_shape)
    written = export(network, options.folder or Path(f"{network.name}-model"))
    note = f"{options.source} is an integer network of max78k, read back unchanged"
    return QuantizeResult(written, (), (note,), None, _integer_accuracy(network, dataset))


def _data(options: QuantizeOptions, shape: Shape) -> Dataset:
    return load(options.data, input_shape=shape, limit=options.limit, seed=options.seed)


def _samples(dataset: Dataset, seed: int) -> npt.NDArray[np.uint8]:
    rows = np.random.default_rng(seed).permutation(len(dataset.train))[:CALIBRATION]
    return dataset.train.inputs[np.sort(rows)]


def _normalisation(options: QuantizeOptions, channels: int) -> Normalisation | None:
    if options.mean is None and options.std is None:
        return None
    mean, std = options.mean or (0.0,), options.std or (1.0,)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise InputError(
                "E-QUANTIZE-NORMALISATION",
                f"--{name} has {len(values)} numbers, the input {channels} channels.",
                "one number for each channel, or one for all.",
            )
    if not all(np.isfinite(mean)) or not all(np.isfinite(x) and x > 0 for x in std):
        raise InputError(
            "E-QUANTIZE-NORMALISATION", f"--mean {mean} --std {std}.", "finite, std above 0."
        )
    return Normalisation(mean, std)


def _input_note(normalisation: Normalisation | None) -> str:
    if normalisation is None:
        return "the model's float input is taken to be (pixel - 128) / 128"
    mean, std = (", ".join(map(str, x)) for x in (normalisation.mean, normalisation.std))
    return (
        f"the model's float input is taken to be (pixel / 255 - mean) / std, mean {mean}, std {std}"
    )


def _fits(network: Network, dataset: Dataset) -> bool:
    """True if there is one output value for each class of the data."""
    one = reference.outputs(network, network.from_pixels(dataset.test.inputs[:1]))
    return int(one.shape[1]) == len(dataset.class_names)


def _integer_accuracy(network: Network, dataset: Dataset) -> float | None:
    if not _fits(network, dataset):
        return None
    values = reference.outputs(network, network.from_pixels(dataset.test.inputs))
    return accuracy(dataset.test.labels, values.argmax(axis=1))


def _float_accuracy(
    foreign: Foreign, normalisation: Normalisation | None, network: Network, dataset: Dataset
) -> float | None:
    if not _fits(network, dataset):
        return None
    pixels = dataset.test.inputs
    inputs = normalisation.apply(torch.from_numpy(pixels)) if normalisation else real_inputs(pixels)
    return accuracy(dataset.test.labels, foreign.outputs(inputs).argmax(dim=1).numpy())


def _table(layers: tuple[LayerLoss, ...]) -> str:
    given = any(layer.deviation or layer.weight_deviation for layer in layers)
    headers = ["layer", "lowest", "highest", "step", "shift", "SQNR dB", "clipped"]
    headers += ["step kept", "weights kept"] if given else []
    rows = []
    for layer in layers:
        row = [
            layer.name,
            f"{layer.low:.4g}",
            f"{layer.high:.4g}",
            f"2^{layer.exponent}",
            str(layer.shift),
            f"{layer.sqnr:.1f}",
            percent(layer.clipped, 3),
        ]
        if given:
            row += [_kept(layer.deviation), _kept(layer.weight_deviation)]
        rows.append(row)
    return table(headers, rows)


def _kept(deviation: float | None) -> str:
    """How much coarser or finer the step became than the one given."""
    return "-" if deviation is None else f"{1 / deviation - 1:+.1%}"
