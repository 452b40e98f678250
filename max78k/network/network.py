"""The integer network as pure data: no torch, no addresses.

A layer is what the accelerator does in one of its 32 layers, in this order: pool each operand (or
combine the operands first), combine them element by element, convolve, add the bias, shift and
round, clip to 8 bits, activate.

Numbers: data are int8 (-128...127, 0...127 after an activation). Weights have 1, 2, 4 or 8 bits,
two's complement. A bias is 8 bits at every weight width and weighs 128 accumulator units. With the
accumulator ``acc = sum(w * x) + 128 * b`` an 8-bit output is
``clip(floor(acc * 2**(output_shift + 1 - weight_bits) + 1/2), -128, 127)``; a 32-bit output is
``acc`` itself. ``output_shift`` is the number the vendor's checkpoints store under that name; the
register holds ``output_shift + 8 - weight_bits``.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError
from max78k.files import atomic_write
from max78k.network import folding

FOLD_NOTE = "fold"  # key of Network.notes
INPUT = "input"  # the name under which layers refer to the network's input
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_FORMAT = 1
UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError, BadZipFile, zlib.error,
)  # fmt: skip  # what numpy, zipfile and json raise for files that are something else

Int8Array = npt.NDArray[np.int8]


class Operation(str, Enum):
    """What a layer does after pooling and element-wise combination; values are the YAML names."""

    CONV2D = "conv2d"
    CONV1D = "conv1d"
    CONVTRANSPOSE2D = "convtranspose2d"
    LINEAR = "linear"
    PASSTHROUGH = "passthrough"


class Activation(str, Enum):
    """Activation after clipping to 8 bits."""

    NONE = "none"
    RELU = "relu"
    ABS = "abs"


class Eltwise(str, Enum):
    """Element-wise combination of 2-16 operands."""

    ADD = "add"
    SUB = "sub"
    OR = "or"
    XOR = "xor"


@dataclass(frozen=True)
class Pool:
    """Pooling window before the operation; for 1-D data the second numbers are 1.

    ``size`` (1, 1) with a stride above 1 is decimation without pooling.
    """

    kind: str  # "max" or "avg"
    size: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """The part of its input that a layer reads.

    ``channel`` is the first channel and ``channels`` their number, None for all that follow;
    ``top`` and ``bottom`` rows (of 1-D data, values) are left out.
    """

    channel: int = 0
    channels: int | None = None
    top: int = 0
    bottom: int = 0

    @property
    def of_channels(self) -> bool:
        """True if channels are left out."""
        return self.channel > 0 or self.channels is not None


@dataclass(frozen=True)
class Buffer:
    """Data that stay in data memory from one inference to the next; zeros before the first one.

    ``shape`` is (channels, length) or (channels, rows, columns). Layers read it by ``name`` as they
    read a layer, and get what it holds at that moment; the layers that have it as their ``buffer``
    write into it.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    ``weight`` shapes: conv2d [out, in, kh, kw]; conv1d [out, in, k]; convtranspose2d
    [in, out, kh, kw] (as in PyTorch); linear [out, in], where a [C, H, W] input is flattened
    channel first; pass-through has none. ``bias`` is int8 [out] or None.

    ``inputs`` names the producers ("input" is the network's input): with ``eltwise`` its operands
    in order, otherwise parts to be concatenated along the channels. With ``split`` above 1 each
    producer is cut along its channels into that many equal operands. ``view`` is the size, (rows,
    columns) or (length,), as which the layer sees its inputs, where that is not their own. With
    ``cut`` it reads a part of what it sees: of each operand, or of the parts joined.

    A ``streaming`` layer starts before its input is complete. That changes no result: it lets the
    input be larger than the data memory.

    With ``buffer`` the output replaces the rows (of 1-D data, the values) of that buffer from
    ``buffer_row`` on, and is read there.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    weight: Int8Array | None = None
    bias: Int8Array | None = None
    weight_bits: int = 8
    output_shift: int = 0
    activation: Activation = Activation.NONE
    output_width: int = 8
    pool: Pool | None = None
    pool_first: bool = True
    eltwise: Eltwise | None = None
    padding: int = 0
    dilation: int = 1
    split: int = 1
    view: tuple[int, ...] | None = None
    cut: Cut | None = None
    streaming: bool = False
    buffer: str | None = None
    buffer_row: int = 0

    @property
    def target(self) -> str:
        """Name of the data that the output is or becomes a part of: the layer's or a buffer's."""
        return self.buffer or self.name

    @property
    def operands(self) -> int:
        """Operands of the element-wise operation; 1 without one."""
        return 1 if self.eltwise is None else len(self.inputs) * self.split

    @property
    def register_shift(self) -> int:
        """Total shift that the register holds: ``acc * 2**register_shift / 128``, rounded."""
        return self.output_shift + 8 - self.weight_bits

    @property
    def out_channels(self) -> int | None:
        """Output channels given by the weights; None for pass-through."""
        if self.weight is None:
            return None
        axis = 1 if self.operation is Operation.CONVTRANSPOSE2D else 0
        return int(self.weight.shape[axis])

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights at the layer's width, rounded up."""
        return 0 if self.weight is None else -(-self.weight.size * self.weight_bits // 8)


@dataclass(frozen=True, eq=False)
class Network:
    """An integer network: layers in execution order.

    ``input_shape`` is (channels, rows, columns) or (channels, length); the input is int8. For
    pictures of 8-bit pixels ``input_offset`` is subtracted from the pixel (128), so that every
    part of the chain turns a picture into the same integers.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    input_offset: int = 128
    average_rounds: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    buffers: tuple[Buffer, ...] = ()

    def __post_init__(self) -> None:
        seen = {INPUT}
        if not self.layers or not self.outputs:
            raise InputError("E-NETWORK-EMPTY", f"network {self.name} has no layers or no output.")
        for buffer in self.buffers:
            _check_name("buffer", buffer.name)
            if buffer.name in seen:
                raise InputError("E-NETWORK-NAME", f"buffer name {buffer.name} is used twice.")
            seen.add(buffer.name)
        for layer in self.layers:
            _check_name("layer", layer.name)
            if layer.name in seen:
                raise InputError("E-NETWORK-NAME", f"layer name {layer.name} is used twice.")
            for source in layer.inputs:
                if source not in seen:
                    raise InputError(
                        "E-NETWORK-ORDER",
                        f"layer {layer.name} reads {source}, which no earlier layer produces.",
                    )
            if layer.buffer is not None and layer.buffer not in self.buffer_names:
                raise InputError(
                    "E-NETWORK-BUFFER", f"layer {layer.name} writes into no buffer: {layer.buffer}."
                )
            seen.add(layer.name)
        for name in self.outputs:
            if name not in seen - {INPUT, *self.buffer_names}:
                raise InputError("E-NETWORK-OUTPUT", f"output {name} is not a layer.")
        _check_name("network", self.name)

    def layer(self, name: str) -> Layer:
        """The layer called ``name``; raises KeyError if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def buffer_names(self) -> tuple[str, ...]:
        """Names of the buffers."""
        return tuple(buffer.name for buffer in self.buffers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights at their widths."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def output_step(self) -> float:
        """Real value of one step of the output, for a softmax; 1.0 where it is not known."""
        return float(2.0 ** int(self.notes.get("output_exponent", "0")))

    @property
    def fold(self) -> int:
        """Side of the squares of pixels that become channels; see :mod:`max78k.network.folding`."""
        return int(self.notes.get(FOLD_NOTE, "1"))

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Shape of what :meth:`from_pixels` takes; ``input_shape`` where nothing is folded."""
        return folding.picture_shape(self.input_shape, self.fold)

    def from_pixels(self, pixels: npt.NDArray[np.uint8]) -> Int8Array:
        """8-bit pixels [..., *picture_shape] as the network's integers [..., *input_shape].

        The one definition used everywhere.
        """
        values = (pixels.astype(np.int16) - self.input_offset).astype(np.int8)
        return folding.folded(values, self.fold)

    def with_layer(self, name: str, **changes: Any) -> Network:
        """A copy in which the layer ``name`` has the given fields changed."""
        layers = tuple(replace(x, **changes) if x.name == name else x for x in self.layers)
        return replace(self, layers=layers)

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file (no pickles; whole or not at all)."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for layer in self.layers:
            if layer.weight is not None:
                arrays[f"weight/{layer.name}"] = layer.weight
            if layer.bias is not None:
                arrays[f"bias/{layer.name}"] = layer.bias
        header = json.dumps(to_header(self), sort_keys=True).encode()
        arrays["network.json"] = np.frombuffer(header, np.uint8)
        with atomic_write(Path(path)) as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> Network:
        """Read what :meth:`save` wrote; raises InputError if the file is something else."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays["network.json"].tobytes())
            return from_header(header, arrays)
        except FileNotFoundError:
            raise InputError("E-NETWORK-FILE", f"{path}: no such file.") from None
        except UNREADABLE as error:
            raise InputError(
                "E-NETWORK-FILE",
                f"{path} is not a max78k network file ({type(error).__name__}: {error}).",
                "write it with `max78k export`.",
            ) from error


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) or name == INPUT:
        raise InputError(
            "E-NETWORK-NAME",
            f"{what} name {name!r} is not usable.",
            "letters, digits, underscores and dots, at most 64, not beginning with a digit.",
        )


def to_header(network: Network) -> dict[str, Any]:
    """Everything but weights and biases, as plain data."""
    layers = []
    for layer in network.layers:
        row: dict[str, Any] = {
            "name": layer.name,
            "operation": layer.operation.value,
            "inputs": list(layer.inputs),
            "weight_bits": layer.weight_bits,
            "output_shift": layer.output_shift,
            "activation": layer.activation.value,
            "output_width": layer.output_width,
            "pool_first": layer.pool_first,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "eltwise": layer.eltwise.value if layer.eltwise else None,
            "pool": None,
            "split": layer.split,
            "view": list(layer.view) if layer.view else None,
            "cut": vars(layer.cut) if layer.cut else None,
            "streaming": layer.streaming,
        }
        if layer.buffer:
            row |= {"buffer": layer.buffer, "buffer_row": layer.buffer_row}
        if layer.pool:
            row["pool"] = [layer.pool.kind, list(layer.pool.size), list(layer.pool.stride)]
        layers.append(row)
    return {
        "format": _FORMAT,
        "name": network.name,
        "input_shape": list(network.input_shape),
        "layers": layers,
        "outputs": list(network.outputs),
        "class_names": list(network.class_names),
        "input_offset": network.input_offset,
        "average_rounds": network.average_rounds,
        "notes": network.notes,
        "buffers": [[buffer.name, list(buffer.shape)] for buffer in network.buffers],
    }


def from_header(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Network:
    """The network of :func:`to_header`; arrays are called ``weight/LAYER`` and ``bias/LAYER``.

    Raises one of ``UNREADABLE`` or InputError for anything else.
    """
    if header["format"] != _FORMAT:
        raise ValueError(f"format {header['format']}, this version reads {_FORMAT}")
    layers = []
    for row in header["layers"]:
        pool = row.pop("pool")
        row["operation"] = Operation(row["operation"])
        row["activation"] = Activation(row["activation"])
        row["eltwise"] = Eltwise(row["eltwise"]) if row["eltwise"] else None
        row["inputs"] = tuple(row["inputs"])
        row["view"] = tuple(row["view"]) if row.get("view") else None
        row["cut"] = Cut(**row["cut"]) if row.get("cut") else None
        row["pool"] = Pool(pool[0], tuple(pool[1]), tuple(pool[2])) if pool else None
        for key in ("weight", "bias"):
            array = arrays.get(f"{key}/{row['name']}")
            if array is not None and array.dtype != np.int8:
                raise ValueError(f"{key} of {row['name']} is {array.dtype}, not int8")
            row[key] = array
        layers.append(Layer(**row))
    return Network(
        name=header["name"],
        input_shape=tuple(header["input_shape"]),
        layers=tuple(layers),
        outputs=tuple(header["outputs"]),
        class_names=tuple(header["class_names"]),
        input_offset=header["input_offset"],
        average_rounds=header["average_rounds"],
        notes=dict(header["notes"]),
        buffers=tuple(Buffer(name, tuple(shape)) for name, shape in header.get("buffers", ())),
    )
