"""Checkpoints of the vendor's tools: ``-q.pth.tar`` files with integers, and float files.

They are pickles. They are read with ``weights_only=True``, which runs no code; the two optimizer
classes that real files name are allowed, nothing else. torch is imported inside the functions, so
that the package's other formats work without it.

A ``-q`` file holds, per layer in execution order, ``L.output_shift``, ``L.weight_bits``, ... of
shape (1,), then ``L.op.weight`` with integers as float32 and ``L.op.bias`` with the 8-bit bias
times ``2**(weight_bits - 1)``. A float file holds weights in units of one.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.chip.limits import BIAS_UNIT, SHIFT, WEIGHT_BITS
from max78k.errors import InputError, Max78kError, RuleError
from max78k.files import atomic_write
from max78k.formats.layer_weights import LayerWeights, weights_of
from max78k.network import Network

_PREFIX = "module."  # left in some files by data-parallel training
_WEIGHT = ".weight"
_LARGEST = 1 << 25  # numbers in one tensor; the chip holds 3.5 million weights of one bit
_FLOAT_SHIFT_LOW, _FLOAT_SHIFT_HIGH = -7, 23  # the vendor's range of -output_shift, ± weight bits


@dataclass(frozen=True, eq=False)
class VendorCheckpoint:
    """The integer layers of a checkpoint, in execution order, and its architecture's name.

    ``rounded``: the file holds real numbers, from which the integers were made.
    """

    arch: str
    epoch: int
    layers: tuple[LayerWeights, ...]
    rounded: bool = False


def read_vendor_q(path: Path) -> VendorCheckpoint:
    """Read a quantized (``-q``) checkpoint.

    Biases are floored to multiples of ``2**(weight_bits - 1)`` as the vendor's loader does.

    Raises:
        InputError: not a readable checkpoint (E-CHECKPOINT-FILE), or a float one
            (E-CHECKPOINT-FLOAT).
        RuleError: layers whose numbers are not those of the chip; all of them.
    """
    checkpoint = _load(Path(path))
    state = _state(Path(path), checkpoint)
    if _is_float(state):
        raise InputError(
            "E-CHECKPOINT-FLOAT",
            f"{path} holds weights before quantization.",
            "quantize it first: `--checkpoint-file` does so by the vendor's rule.",
        )
    return _collect(Path(path), checkpoint, state, _integer_layer)


def quantize_vendor(path: Path, *, older: bool | None = None) -> VendorCheckpoint:
    """Integers of a float checkpoint by the vendor's rule: largest magnitude (or quantile) of
    weights and biases, rounded up to a power of two.

    Args:
        path: the float checkpoint.
        older: the rule of the vendor's tools of 2020 and 2021: the largest magnitude of the weights
            alone, rounded down, so that the largest weights are clipped. None: that of the file's
            time.

    Raises:
        InputError: not a readable checkpoint.
        RuleError: layers that cannot be quantized; all of them.
    """
    checkpoint = _load(Path(path))
    state = _state(Path(path), checkpoint)
    make = partial(_quantized_layer, older=older)
    return replace(_collect(Path(path), checkpoint, state, make), rounded=True)


def read_vendor(path: Path) -> VendorCheckpoint:
    """Read a quantized checkpoint, or quantize a float one by the vendor's rule.

    Raises:
        InputError, RuleError: those of :func:`read_vendor_q` and :func:`quantize_vendor`.
    """
    state = _state(Path(path), _load(Path(path)))
    weights = [value for key, value in state.items() if key.endswith(_WEIGHT)]
    whole = all((value == np.round(value)).all() for value in weights)
    return read_vendor_q(path) if whole and not _is_float(state) else quantize_vendor(path)


def quantize_layer(
    name: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None
) -> LayerWeights:
    """8-bit integers of one layer's real numbers by the vendor's rule; ValueError if it cannot."""
    return _quantized_layer(_Stored(name, weight, bias, {}))


def is_vendor_checkpoint(path: Path) -> bool:
    """True if the file holds a ``state_dict``, as the vendor's checkpoints do; runs no code."""
    content = load_plain(path)
    return isinstance(content, dict) and "state_dict" in content


def write_vendor_q(network: Network, path: Path, *, arch: str = "") -> None:
    """Write a ``-q`` checkpoint of plain tensors, whole or not at all.

    Args:
        network: the integer network; layers without weights have no entry.
        path: the ``-q.pth.tar`` file.
        arch: name that the YAML description gives as ``arch``; the network's name by default.
    """
    checkpoint = VendorCheckpoint(arch or network.name, 0, tuple(weights_of(network)))
    write_vendor_layers(checkpoint, path)


def write_vendor_layers(checkpoint: VendorCheckpoint, path: Path) -> None:
    """Write layers as a ``-q`` checkpoint of plain tensors, whole or not at all."""
    import torch

    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    for layer in checkpoint.layers:
        numbers = {
            "output_shift": layer.output_shift,
            "weight_bits": layer.weight_bits,
            "bias_bits": layer.weight_bits,
            "quantize_activation": 1,
            "adjust_output_shift": 0,
            "shift_quantile": 1,
        }
        for key, value in numbers.items():
            state[f"{layer.name}.{key}"] = torch.tensor([value], dtype=torch.float32)
        state[f"{layer.name}.op.weight"] = torch.from_numpy(layer.weight.astype(np.float32))
        if layer.bias is not None:
            bias = layer.bias.astype(np.float32) * 2.0 ** (layer.weight_bits - 1)
            state[f"{layer.name}.op.bias"] = torch.from_numpy(bias.astype(np.float32))
    _save(path, checkpoint, state)


def write_vendor_float(network: Network, path: Path, *, arch: str = "") -> None:
    """Write a float checkpoint from which the vendor's ``quantize.py`` makes the same integers.

    That rule has biases as narrow as the weights, and chooses steps by the largest number: it
    makes finer steps of a layer that does not use the upper half of its range, and clips biases
    that are wider than the weights. Such layers are refused.

    Args:
        network: the integer network.
        path: the ``.pth.tar`` file, written whole or not at all.
        arch: name that the YAML description gives as ``arch``; the network's name by default.

    Raises:
        RuleError: with every layer whose integers that rule would not give.
    """
    import torch

    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    refused: list[Max78kError] = []
    for layer in weights_of(network):
        scale = 2.0 ** ((layer.output_shift or 0) + 1 - layer.weight_bits)
        values = {"weight": layer.weight.astype(np.float64) * scale}
        if layer.bias is not None:
            values["bias"] = layer.bias.astype(np.float64) * scale
        again = _quantized_layer(
            _Stored(layer.name, values["weight"], values.get("bias"), _float_numbers(layer))
        )
        if not _same_integers(layer, again):
            text = f"layer {layer.name}: the vendor's rule would choose other integers."
            hint = "the -q checkpoint, which holds any integers."
            refused.append(InputError("E-CHECKPOINT-RULE", text, hint))
        for key, value in _float_numbers(layer).items():
            state[f"{layer.name}.{key}"] = torch.from_numpy(value.astype(np.float32))
        for key, value in values.items():
            state[f"{layer.name}.op.{key}"] = torch.from_numpy(value.astype(np.float32))
    if refused:
        raise RuleError(refused)
    _save(path, VendorCheckpoint(arch or network.name, 0, ()), state)


def _float_numbers(layer: LayerWeights) -> dict[str, npt.NDArray[Any]]:
    numbers = {
        "output_shift": layer.output_shift or 0,
        "weight_bits": layer.weight_bits,
        "bias_bits": layer.weight_bits,
        "quantize_activation": 1,
        "adjust_output_shift": 1,
        "shift_quantile": 1,
    }
    return {key: np.array([value], np.float64) for key, value in numbers.items()}


def _same_integers(one: LayerWeights, other: LayerWeights) -> bool:
    if (one.bias is None) != (other.bias is None) or one.output_shift != other.output_shift:
        return False
    same_bias = one.bias is None or np.array_equal(one.bias, np.asarray(other.bias))
    return same_bias and np.array_equal(one.weight, other.weight)


def _save(path: Path, checkpoint: VendorCheckpoint, state: dict[str, Any]) -> None:
    import torch

    content = {
        "epoch": checkpoint.epoch,
        "arch": checkpoint.arch,
        "state_dict": state,
        "extras": {},
    }
    with atomic_write(Path(path)) as stream:
        torch.save(content, stream)


def _is_float(state: dict[str, npt.NDArray[Any]]) -> bool:
    """True if the file says that its shifts are still to be chosen."""
    return any(value.any() for key, value in state.items() if key.endswith(".adjust_output_shift"))


def load_plain(path: Path) -> Any:
    """What a file of torch holds, plain data and tensors alone; runs no code."""
    import torch

    from max78k.training.state_dicts import why_unreadable

    if not path.is_file():
        raise InputError("E-CHECKPOINT-FILE", f"{path}: no such file.")
    allowed: list[Any] = [torch.optim.Adam, torch.optim.SGD]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the pickle's protocol
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(
            "E-CHECKPOINT-FILE",
            f"{path} is not a checkpoint that can be read without running code "
            f"({why_unreadable(error)}).",
            "torch.save({'arch': NAME, 'state_dict': model.state_dict()}, FILE).",
        ) from error
    return content


def _load(path: Path) -> dict[str, Any]:
    content = load_plain(path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError("E-CHECKPOINT-FILE", f"{path} has no `state_dict`.")
    return content


def _state(path: Path, checkpoint: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Tensors by key; a twin with the prefix of data-parallel training is left out."""
    state: dict[str, npt.NDArray[Any]] = {}
    twins: dict[str, npt.NDArray[Any]] = {}
    for key, value in checkpoint["state_dict"].items():
        numbers = _numbers(value)
        if not isinstance(key, str) or numbers is None:
            raise InputError(
                "E-CHECKPOINT-FILE",
                f"{path}: `state_dict` holds something other than tensors of real numbers.",
            )
        if key.startswith(_PREFIX):
            twins[key[len(_PREFIX) :]] = numbers
        else:
            state[key] = numbers
    for key, value in twins.items():
        if key in state and not np.array_equal(state[key], value):
            raise InputError(
                "E-CHECKPOINT-FILE", f"{path}: {key} and {_PREFIX}{key} hold different numbers."
            )
        state.setdefault(key, value)
    return state


def _numbers(value: Any) -> npt.NDArray[np.float64] | None:
    """A tensor's numbers; None for anything else, and for one larger than the chip's memories."""
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex() or value.numel() > _LARGEST:
        return None
    try:
        return value.detach().to("cpu", torch.float64).numpy()
    except (RuntimeError, TypeError, NotImplementedError):  # sparse, quantized, without data
        return None


def _collect(
    path: Path,
    checkpoint: dict[str, Any],
    state: dict[str, npt.NDArray[Any]],
    make: Callable[[_Stored], LayerWeights],
) -> VendorCheckpoint:
    layers: list[LayerWeights] = []
    errors: list[Max78kError] = []
    for layer in _layers(state):
        try:
            layers.append(make(layer))
        except ValueError as error:
            errors.append(InputError("E-CHECKPOINT-LAYER", f"{path}: layer {layer.name}: {error}."))
    if errors:
        raise RuleError(errors)
    if not layers:
        raise InputError("E-CHECKPOINT-FILE", f"{path} has no layer with weights.")
    epoch = checkpoint.get("epoch", 0)
    return VendorCheckpoint(
        arch=str(checkpoint.get("arch", "")),
        epoch=epoch if isinstance(epoch, int) else 0,
        layers=tuple(layers),
    )


@dataclass(frozen=True, eq=False)
class _Stored:
    """One layer's tensors as stored."""

    name: str
    weight: npt.NDArray[Any]
    bias: npt.NDArray[Any] | None
    numbers: dict[str, npt.NDArray[Any]]

    def number(self, key: str, default: float) -> float:
        value = self.numbers.get(key)
        if value is None:
            return default
        if value.size != 1:
            raise ValueError(f"`{key}` has shape {value.shape}, not (1,)")
        if not np.isfinite(value).all():
            raise ValueError(f"`{key}` is not a number")
        return float(value.reshape(()))

    @property
    def bits(self) -> int:
        bits = self.number("weight_bits", 8) or 8
        if bits not in WEIGHT_BITS:
            raise ValueError(f"`weight_bits` is {bits:g}, not 1, 2, 4 or 8")
        return int(bits)


def _layers(state: dict[str, npt.NDArray[Any]]) -> Iterator[_Stored]:
    for key, weight in state.items():
        if not key.endswith(_WEIGHT):
            continue
        operation = key[: -len(_WEIGHT)]
        name = operation.rpartition(".")[0] or operation
        start = f"{name}."
        numbers = {
            other[len(start) :]: value
            for other, value in state.items()
            if other.startswith(start) and "." not in other[len(start) :]
        }
        yield _Stored(name, weight, state.get(f"{operation}.bias"), numbers)


def _check(stored: _Stored) -> None:
    if stored.weight.ndim not in (2, 3, 4):
        raise ValueError(
            f"weights of shape {stored.weight.shape}; fold batch normalization into the layers"
        )
    if not stored.weight.size:
        raise ValueError(f"weights of shape {stored.weight.shape}: there are no weights")
    for what, array in (("weight", stored.weight), ("bias", stored.bias)):
        if array is not None and not np.isfinite(array).all():
            raise ValueError(f"{what} is not finite everywhere")
    bias = stored.bias
    if bias is not None and bias.shape not in (stored.weight.shape[:1], stored.weight.shape[1:2]):
        raise ValueError(f"bias of shape {bias.shape} for weights of shape {stored.weight.shape}")


def _integer_layer(stored: _Stored) -> LayerWeights:
    _check(stored)
    bits = stored.bits
    half = 1 << (bits - 1)
    weight = stored.weight
    if (weight != np.round(weight)).any():
        raise ValueError("weights are not integers; the file is not a quantized checkpoint")
    if weight.min() < -half or weight.max() >= half:
        raise ValueError(f"weights {weight.min():g}...{weight.max():g} do not fit into {bits} bits")
    bias = None
    if stored.bias is not None:
        bias = np.floor(stored.bias / half)
        if bias.min() < -128 or bias.max() > 127:
            raise ValueError(f"biases {bias.min():g}...{bias.max():g} do not fit into 8 bits")
        bias = bias.astype(np.int8)
    shift = stored.number("output_shift", 0)
    if shift != int(shift) or abs(int(shift) + 8 - bits) > SHIFT:
        raise ValueError(f"`output_shift` {shift:g} is out of range at {bits} bits")
    return LayerWeights(stored.name, weight.astype(np.int8), bias, bits, int(shift))


def _quantized_layer(stored: _Stored, older: bool | None = None) -> LayerWeights:
    """Integers by the vendor's rule of the file's time, or the one that ``older`` asks for.

    Files of 2021 and earlier, which know no ``shift_quantile``, were trained with shifts one
    smaller: the largest weight is clipped, biases do not count and are rounded with 7 bits more,
    which the loader floors. Files of the newest trainer subtract an ``activation_threshold``.
    """
    _check(stored)
    bits = stored.bits
    half = 1 << (bits - 1)
    later = {"shift_quantile", "activation_threshold"} & stored.numbers.keys()
    aged = "adjust_output_shift" in stored.numbers and not later
    old = aged if older is None else older
    exponent = _old_exponent(stored, bits) if old else _exponent(stored, bits)

    def rounded(values: npt.NDArray[Any], finer: int) -> npt.NDArray[np.int8]:
        # float32 as in the vendor's tool; the scaling by a power of two is exact.
        scaled = values.astype(np.float32) * np.float32(2.0**exponent * half * finer)
        whole = np.floor(np.floor(scaled + np.float32(0.5)) / finer)
        result: npt.NDArray[np.int8] = np.clip(whole, -half, half - 1).astype(np.int8)
        return result

    weight = rounded(stored.weight, 1)
    bias = None if stored.bias is None else rounded(stored.bias, BIAS_UNIT if old else 1)
    shift = -exponent - stored.number("activation_threshold", 0)
    if shift != int(shift) or abs(int(shift) + 8 - bits) > SHIFT:
        raise ValueError(f"output shift {shift:g} is out of range at {bits} bits")
    return LayerWeights(stored.name, weight, bias, bits, int(shift))


def _old_exponent(stored: _Stored, bits: int) -> int:
    """ceil(log2(1 / m)) for the largest magnitude m of the weights."""
    largest = float(np.abs(stored.weight.astype(np.float32)).max())
    if largest == 0:
        return _FLOAT_SHIFT_HIGH - bits
    return _in_range(1 - int(np.frexp(largest)[1]), bits)


def _in_range(exponent: int, bits: int) -> int:
    return max(_FLOAT_SHIFT_LOW - bits, min(_FLOAT_SHIFT_HIGH - bits, exponent))


def _exponent(stored: _Stored, bits: int) -> int:
    """floor(log2(1 / m)) for the quantile m of all magnitudes, in the vendor's range."""
    parts = [stored.weight.ravel()] + ([] if stored.bias is None else [stored.bias.ravel()])
    magnitudes = np.abs(np.concatenate(parts)).astype(np.float32)
    quantile = stored.number("shift_quantile", 1.0)
    if not 0 < quantile <= 1:
        raise ValueError(f"`shift_quantile` is {quantile:g}, not in 0...1")
    if quantile == 1:
        limit = float(magnitudes.max())
    else:
        import torch

        limit = float(torch.quantile(torch.from_numpy(magnitudes), quantile))
    if limit == 0:
        return _FLOAT_SHIFT_HIGH - bits
    mantissa, power = np.frexp(limit)  # limit = mantissa * 2**power, mantissa in 0.5...1
    exponent = int(1 - power if mantissa == 0.5 else -power)
    return _in_range(exponent, bits)
