"""The class names of ai8x-training, on the layers of this package.

A network file written for ai8x-training trains here when it says ``from max78k.training import
ai8x`` instead of ``import ai8x``. Names are made of parts: ``Fused``, ``MaxPool`` or ``AvgPool``,
``Conv1d``, ``Conv2d`` or ``ConvTranspose2d``, ``BN``, ``ReLU`` or ``Abs``; ``Linear`` alike; and
``Add``, ``Sub``, ``Or``, ``Xor``. Arguments keep their names and defaults, with these differences:

* ``stride`` of a convolution is 1, of a transposed one 2; ``dilation`` is that of the MAX78000;
* ``bias_bits`` and ``quantize_activation`` have no effect: biases have 8 bits at every weight
  width, and all activations are quantized; ``weight_bits`` None is 8;
* batch norm is not divided by 4: the ranges of outputs are measured instead.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from max78k.chip.limits import WEIGHT_BITS
from max78k.errors import InputError
from max78k.training import layers
from max78k.training.base import ChipLayer, Pooling
from max78k.training.joins import Add as Add
from max78k.training.joins import Or as Or
from max78k.training.joins import Sub as Sub
from max78k.training.joins import Xor as Xor
from max78k.training.weight_layer import BatchNorm, WeightLayer

_MAX78000 = 85
_POOLS = {"": None, "MaxPool": "Max", "AvgPool": "Avg"}
_NORMS = (None, "Affine", "NoAffine")
_KINDS: dict[str, type[WeightLayer]] = {
    "Conv1d": layers.Conv1d,
    "Conv2d": layers.Conv2d,
    "ConvTranspose2d": layers.ConvTranspose2d,
}
_state = {"average_rounds": False}


def set_device(device: int, simulate: bool, round_avg: bool, verbose: bool = True) -> None:
    """Choose the chip and what averages do with remainders, for the layers built from now on.

    Args:
        device: 85, the MAX78000.
        simulate: False; integers are a mode of a built network here (``Mode.INTEGER``).
        round_avg: averages are rounded, not truncated.
        verbose: accepted; nothing is printed.

    Raises:
        InputError: E-AI8X-DEVICE for another chip, E-AI8X-SIMULATE.
    """
    if device != _MAX78000:
        raise InputError("E-AI8X-DEVICE", f"device {device}.", f"{_MAX78000}, the MAX78000.")
    if simulate:
        raise InputError(
            "E-AI8X-SIMULATE",
            "simulate=True builds a network of integers.",
            "simulate=False, and set_mode(model, Mode.INTEGER) once it is calibrated.",
        )
    _state["average_rounds"] = round_avg


def _finished(layer: ChipLayer) -> None:
    layer.average_rounds = _state["average_rounds"]


def _convolution(name: str, pooling: str | None, norm: str | None, activation: str | None) -> type:
    """The class for one kind of convolution with the defaults that its long name stands for."""
    base: Any = _KINDS[name]

    def __init__(
        self: Any,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        **options: Any,
    ) -> None:
        defaults = {"pooling": pooling, "batchnorm": norm, "activation": activation}
        chosen = _options(name, {**defaults, **options})
        size = kernel_size if isinstance(kernel_size, int) else _square(kernel_size)
        base.__init__(self, in_channels, out_channels, size, **chosen)
        _finished(self)

    return type(name, (base,), {"__init__": __init__, "__doc__": f"See :class:`{name}`."})


def _options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options of ai8x as those of :mod:`max78k.training.layers`."""
    given = dict(given)
    stride = given.pop("stride", 2 if name == "ConvTranspose2d" else 1)
    _require(name, "stride", stride, 2 if name == "ConvTranspose2d" else 1)
    _require(name, "groups", given.pop("groups", 1), 1)
    _require(name, "pool_dilation", given.pop("pool_dilation", 1), 1)
    given.pop("op", None)
    norm = given.pop("batchnorm")
    if norm not in _NORMS:
        raise InputError("E-AI8X-OPTION", f"batchnorm {norm!r}.", "Affine, NoAffine or None.")
    eps, momentum = given.pop("eps", 1e-5), given.pop("momentum", 0.05)
    options: dict[str, Any] = {
        "bits": _bits(given),
        "padding": given.pop("padding", 0),
        "dilation": given.pop("dilation", 1),
        "bias": bool(given.pop("bias", True)),
        "wide": given.pop("wide", False),
        "activation": _activation(given),
        "batch_norm": BatchNorm(norm == "Affine", eps, momentum) if norm else False,
    }
    pooling = given.pop("pooling")
    size, step = given.pop("pool_size", 2), given.pop("pool_stride", 2)
    if pooling is not None:
        options |= {"pool": size, "pool_kind": str(pooling).lower(), "pool_stride": _stride(step)}
    _nothing_left(name, given)
    return options


def _bits(given: dict[str, Any]) -> int:
    given.pop("quantize_activation", None)
    bits, bias_bits = given.pop("weight_bits", None) or 8, given.pop("bias_bits", None) or 8
    if bias_bits not in WEIGHT_BITS:
        raise InputError("E-AI8X-OPTION", f"bias_bits {bias_bits}.", "1, 2, 4 or 8.")
    return int(bits)


def _activation(given: dict[str, Any]) -> str | None:
    name = given.pop("activation", None)
    return None if name is None else str(name).lower()


def _square(size: tuple[int, int]) -> int:
    if size[0] != size[1]:
        raise InputError("E-RULE-KERNEL-SIZE", f"kernel {size}.", "1x1 or 3x3.")
    return size[0]


def _stride(stride: int | tuple[int, int] | None) -> int | None:
    if not isinstance(stride, tuple):
        return stride
    if stride[0] != stride[1]:
        raise InputError("E-RULE-POOL-AXES", f"pooling strides {stride}.", "one for both axes.")
    return stride[0]


def _require(name: str, option: str, value: Any, wanted: int) -> None:
    values = value if isinstance(value, tuple) else (value,)
    if any(x != wanted for x in values):
        raise InputError(
            f"E-RULE-{option.upper().replace('_', '-')}",
            f"{option} {value} of {name}.",
            f"{option} {wanted}; the MAX78000 has no other.",
        )


def _nothing_left(name: str, given: dict[str, Any]) -> None:
    if given:
        raise InputError("E-AI8X-OPTION", f"{name} has no option {', '.join(given)}.")


class Linear(layers.Linear):
    """Fully connected layer with the arguments of ai8x; 8-bit outputs unless ``wide``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool | int | None = None,
        activation: str | None = None,
        wide: bool = False,
        **options: Any,
    ) -> None:
        for option in ("pooling", "batchnorm"):
            if options.pop(option, None) is not None:
                raise InputError("E-AI8X-OPTION", f"{option} of Linear.", "leave it out.")
        bits = _bits(options)
        _nothing_left("Linear", options)
        super().__init__(
            in_features,
            out_features,
            bias=bool(bias),
            activation=activation.lower() if activation else None,
            bits=bits,
            wide=wide,
        )
        _finished(self)


class FusedLinearReLU(Linear):
    """:class:`Linear` with ReLU."""

    def __init__(self, in_features: int, out_features: int, **options: Any) -> None:
        super().__init__(in_features, out_features, **{"activation": "ReLU", **options})


class FusedLinearAbs(Linear):
    """:class:`Linear` with the absolute value."""

    def __init__(self, in_features: int, out_features: int, **options: Any) -> None:
        super().__init__(in_features, out_features, **{"activation": "Abs", **options})


class _Pool(Pooling):
    kind: str
    dimensions: int

    def __init__(
        self, kernel_size: int | tuple[int, int], stride: Any = None, **options: Any
    ) -> None:
        _require(type(self).__name__, "dilation", options.pop("dilation", 1), 1)
        _bits(options)
        _nothing_left(type(self).__name__, options)
        super().__init__(kernel_size, self.kind, _stride(stride), self.dimensions)
        _finished(self)


def _pool_class(kind: str, dimensions: int) -> type[nn.Module]:
    return type(
        f"{kind}Pool{dimensions}d",
        (_Pool,),
        {
            "kind": kind.lower(),
            "dimensions": dimensions,
            "__doc__": f"{kind} pooling alone; stride None is the size.",
        },
    )


MaxPool1d, MaxPool2d = _pool_class("Max", 1), _pool_class("Max", 2)
AvgPool1d, AvgPool2d = _pool_class("Avg", 1), _pool_class("Avg", 2)


def _classes() -> dict[str, type]:
    """All convolutions by name: plain ones, and ``Fused`` with pooling, norm and activation."""
    found: dict[str, type] = {}
    for kind in _KINDS:
        found[kind] = _convolution(kind, None, None, None)
        for pool, pooling in _POOLS.items():
            for norm in (None, "Affine"):
                for activation in (None, "ReLU", "Abs"):
                    name = f"Fused{pool}{kind}{'BN' if norm else ''}{activation or ''}"
                    found[name] = _convolution(kind, pooling, norm, activation)
                    found[name].__name__ = found[name].__qualname__ = name
    return found


globals().update(_classes())
