"""From a trained network, of our layers, ONNX or torch.nn, to a model folder, without training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from max78k.datasets.dataset import Dataset
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.flows.export import export
from max78k.flows.quantize_result import QuantizeResult, VendorResult
from max78k.formats.onnx_import import is_integer_export, network_of_onnx
from max78k.formats.vendor_checkpoint import quantize_vendor, write_vendor_layers
from max78k.formats.vendor_model import load_vendor
from max78k.imports.chip_model import chip_model, has_given_steps
from max78k.imports.losses import losses
from max78k.imports.onnx_file import parse_onnx
from max78k.imports.quantization import quantize, real_inputs
from max78k.imports.sources import (
    Foreign,
    Normalisation,
    build_module,
    is_chip_model,
    is_onnx,
    module_source,
    onnx_source,
)
from max78k.network import Network, reference
from max78k.network.shapes import Shape
from max78k.report.metrics import accuracy
from max78k.training.augment import to_integers
from max78k.training.bits import BitPolicy, BitSearch, choose_bits
from max78k.training.calibrate import CALIBRATION, calibrate
from max78k.training.checkpoint import TrainedModel, float_checkpoint, load_checkpoint, load_model
from max78k.training.convert import to_network
from max78k.training.layer_report import exponents_of
from max78k.training.post_training import QuantizeMethod, quantize_trained
from max78k.training.quantize import RULES
from max78k.training.registry import input_shape as declared_shape
from max78k.training.registry import known_networks, network_name
from max78k.training.rounding import adapt

# Whether it is the older one; None: the one of the file's time.
VENDOR_RULES = {"vendor": None, "vendor-2021": True}

_PICTURE = (1, 48, 48)
_BATCH = 128


@dataclass(frozen=True)
class QuantizeOptions:
    """What to quantize and how.

    Attributes:
        source: MODEL.onnx, path/to/file.py:Class, a training run's folder or a checkpoint of one.
        data: data set specification.
        folder: the model folder to write; None: NETWORK-model.
        limit: at most this many samples of each part of the data.
        samples: how many of the training part choose the integers.
        rule: how ranges are chosen: "mse", "max", "percentile", or "vendor" and "vendor-2021"
            for a checkpoint of ai8x-training in ``weights``.
        rounding: "nearest", "bias" or "adaptive".
        weight_bits: "1", "2", "4", "8", a policy file, or "auto"; None: the network's own.
        budget: kernel memory for "auto".
        mean, std: of the model's input, (pixel / 255 - mean) / std, by channel or one for all;
            both None: the input is (pixel - 128) / 128.
        weights: ``state_dict`` or checkpoint of a Python class.
        names: how its tensors are paired: None, "order", or a YAML file.
        network: path/to/file.py:Class of a run's checkpoint.
        input_shape: of a Python class that does not say it.
        picture: where to draw the quantization by layer.
        seed: chooses the samples.
    """

    source: str
    data: str
    folder: Path | None = None
    limit: int | None = None
    samples: int = CALIBRATION
    rule: str = "mse"
    rounding: str = "adaptive"
    weight_bits: str | None = None
    budget: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    weights: Path | None = None
    names: str | None = None
    network: str | None = None
    input_shape: Shape | None = None
    picture: Path | None = None
    seed: int = 0

    @property
    def method(self) -> QuantizeMethod | None:
        """How integers are chosen; None where the vendor's rule gives them."""
        if self.rule in VENDOR_RULES:
            return None
        return QuantizeMethod(self.rule, self.rounding, self.weight_bits, self.budget, self.seed)


def quantize_checkpoint_by_vendor(source: Path, rule: str, path: Path | None) -> VendorResult:
    """Write the ``-q`` checkpoint that the vendor's ``quantize.py`` makes of a float one.

    Args:
        source: the float checkpoint.
        rule: "vendor", or "vendor-2021".
        path: the file to write; None: beside the source, with ``-q``.
    """
    checkpoint = quantize_vendor(source, older=VENDOR_RULES[rule])
    name = source.name.removesuffix(".tar").removesuffix(".pth")
    target = path or source.with_name(f"{name}-q.pth.tar")
    write_vendor_layers(checkpoint, target)
    return VendorResult(checkpoint, target)


def quantize_model(options: QuantizeOptions) -> QuantizeResult:
    """Import, calibrate, round, measure, and write a model folder.

    Raises:
        RuleError: with everything that cannot be mapped, or with all broken rules of the chip.
        InputError: see the steps.
    """
    result = _quantize(options)
    if options.picture is not None:
        result.draw(options.picture)
    return result


def _quantize(options: QuantizeOptions) -> QuantizeResult:
    path = _checkpoint(options.source)
    if path is not None:
        dataset = _data(options, tuple(load_checkpoint(path)["input_shape"]))
        trained = load_model(path, options.network)
        if not is_chip_model(trained.model):
            source = module_source(trained.model.eval(), trained.input_shape, trained.name)
            return _foreign(source, dataset, options, ())
        return _own(trained, dataset, options, ())
    if is_onnx(options.source):
        path = Path(options.source)
        proto = parse_onnx(path)
        if is_integer_export(proto):
            return _integers(network_of_onnx(path, proto), options)
        foreign = onnx_source(path)
        return _foreign(foreign, _data(options, foreign.graph.input_shape), options, ())
    shape = options.input_shape or declared_shape(options.source) or _PICTURE
    dataset = _data(options, shape)
    of_vendor = options.rule in VENDOR_RULES
    module, notes = build_module(
        options.source,
        shape,
        len(dataset.class_names),
        None if of_vendor else options.weights,
        options.names,
    )
    name = network_name(options.source)
    if of_vendor:
        notes = _vendor_weights(module, options)
    if is_chip_model(module):
        trained = TrainedModel(module, name, dataset.class_names, shape, False)
        return _own(trained, dataset, options, notes)
    return _foreign(module_source(module, shape, name), dataset, options, notes)


def _checkpoint(source: str) -> Path | None:
    """The checkpoint that is named, or that of a run's folder."""
    path = Path(source)
    if path.suffix == ".pt":
        return path
    if not path.is_dir() or source in known_networks():
        return None
    found = float_checkpoint(path)
    if not found.is_file():
        raise InputError(
            "E-MODEL-FOLDER",
            f"{path} holds no checkpoint.",
            "the folder of a `max78k train-qat` run; what `max78k export` wrote are integers.",
        )
    return found


def _vendor_weights(module: nn.Module, options: QuantizeOptions) -> tuple[str, ...]:
    if options.weights is None or not is_chip_model(module):
        raise InputError(
            "E-QUANTIZE-RULE",
            f"--rule {options.rule} needs a network of max78k.training.ai8x and its checkpoint.",
            "--weights CHECKPOINT.pth.tar, or give the checkpoint alone.",
        )
    return load_vendor(module, options.weights, older=VENDOR_RULES[options.rule])


def _own(
    trained: TrainedModel, dataset: Dataset, options: QuantizeOptions, notes: tuple[str, ...]
) -> QuantizeResult:
    """A network of our own layers."""
    found = quantize_trained(trained, dataset, options.method, samples=options.samples)
    network = found.network
    written = export(network, options.folder or Path(f"{network.name}-model"))
    notes += _bit_notes(found.bits)
    return QuantizeResult(
        written, found.layers, notes, found.float_accuracy, found.accuracy, found.bits
    )


def _foreign(
    foreign: Foreign, dataset: Dataset, options: QuantizeOptions, notes: tuple[str, ...]
) -> QuantizeResult:
    """A network of other layers: mapped first, quantized as one of our own then."""
    method = options.method
    if method is None:
        raise InputError(
            "E-QUANTIZE-RULE",
            f"--rule {options.rule} of {options.source}.",
            f"{', '.join(RULES)}, or a network of max78k.training.ai8x.",
        )
    normalisation = _normalisation(options, foreign.graph.input_shape[0])
    model = foreign.model(normalisation)
    samples = _samples(dataset, options)
    quantized = quantize(model, samples, rule=method.rule)
    chip = chip_model(model, quantized)
    batches = list(torch.split(to_integers(torch.from_numpy(samples)), _BATCH))
    bits = choose_bits(
        chip,
        method.weight_bits,
        budget=method.budget,
        input_shape=model.input_shape,
        batches=batches,
    )
    if bits is not None:
        calibrate(chip, batches, method.rule)
    if bits is not None or not has_given_steps(model):
        adapt(chip, batches, method=method.rounding, seed=method.seed)
    network = to_network(chip, name=model.name, input_shape=model.input_shape)
    if _fits(network, dataset):
        network = replace(network, class_names=dataset.class_names, notes=_notes(network, dataset))
    written = export(network, options.folder or Path(f"{network.name}-model"))
    return QuantizeResult(
        export=written,
        layers=losses(
            model, quantized, dataset.test.inputs, network=network, exponents=exponents_of(chip)
        ),
        notes=(
            _input_note(normalisation),
            *notes,
            *model.notes,
            *quantized.notes,
            *_bit_notes(bits),
        ),
        float_accuracy=_float_accuracy(foreign, normalisation, network, dataset),
        accuracy=_integer_accuracy(network, dataset),
        bits=bits,
    )


def _notes(network: Network, dataset: Dataset) -> dict[str, str]:
    """What the data say of themselves, as how they were prepared, stays with the network."""
    return {**dataset.notes, **network.notes}


def _bit_notes(bits: BitPolicy | BitSearch | None) -> tuple[str, ...]:
    if not isinstance(bits, BitPolicy) or not bits.ignored:
        return ()
    return (f"the policy's {', '.join(bits.ignored)} has no meaning without training",)


def _integers(network: Network, options: QuantizeOptions) -> QuantizeResult:
    """A file that holds integers already: nothing is left to choose."""
    dataset = _data(options, network.picture_shape)
    written = export(network, options.folder or Path(f"{network.name}-model"))
    note = f"{options.source} is an integer network of max78k, read back unchanged"
    return QuantizeResult(written, (), (note,), None, _integer_accuracy(network, dataset))


def _data(options: QuantizeOptions, shape: Shape) -> Dataset:
    return load(options.data, input_shape=shape, limit=options.limit, seed=options.seed)


def _samples(dataset: Dataset, options: QuantizeOptions) -> npt.NDArray[np.uint8]:
    rows = np.random.default_rng(options.seed).permutation(len(dataset.train))
    return dataset.train.inputs[np.sort(rows[: options.samples])]


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
