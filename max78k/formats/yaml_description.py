"""A network description as it stands in a YAML file: checked key by key, not yet joined to weights.

All errors of a file are reported at once, each with its line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from max78k.chip import limits
from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.yaml_keys import (
    BUFFER_KEYS,
    BUFFER_REQUIRED,
    GLOBAL_KEYS,
    LAYER_KEYS,
    REQUIRED_KEYS,
    SEQUENCE_STOP,
    UNLOAD_KEYS,
    UNLOAD_REQUIRED,
    Key,
    shown,
    spellings,
)
from max78k.formats.yaml_loader import LineDict, load_yaml
from max78k.network import Eltwise, Operation

_KERNELS = {
    Operation.CONV2D: limits.CONV2D_KERNELS,
    Operation.CONVTRANSPOSE2D: ((3, 3),),
    Operation.CONV1D: tuple((k,) for k in range(1, limits.CONV1D_KERNEL + 1)),
    Operation.PASSTHROUGH: ((1, 1), (1,)),
    Operation.LINEAR: (),
}
_DEFAULT_KERNELS: dict[Operation, tuple[int, ...]] = {
    Operation.CONV2D: (3, 3),
    Operation.CONVTRANSPOSE2D: (3, 3),
    Operation.CONV1D: (limits.CONV1D_KERNEL,),
}


_REGIONS = {
    "unload": (UNLOAD_KEYS, UNLOAD_REQUIRED),
    "data_buffer": (BUFFER_KEYS, BUFFER_REQUIRED),
}


@dataclass(frozen=True)
class LayerDescription:
    """Keys of one layer, by their main spelling, in the normal form of their parser.

    ``sequence`` is the layer's position number, ``line`` that of its mapping, ``lines`` that of
    each key.
    """

    sequence: int
    values: dict[str, Any]
    line: int
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def operation(self) -> Operation:
        """What the layer does; an element-wise operation alone is a pass-through."""
        value = self.values.get("operation", Operation.CONV2D)
        return Operation.PASSTHROUGH if isinstance(value, Eltwise) else value

    @property
    def eltwise(self) -> Eltwise | None:
        """The element-wise operation, whether given as `eltwise` or as `operation`."""
        value = self.values.get("operation")
        return value if isinstance(value, Eltwise) else self.values.get("eltwise")

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel size; (1, 1) where there is none."""
        given: tuple[int, ...] = self.values.get(
            "kernel_size", _DEFAULT_KERNELS.get(self.operation, (1, 1))
        )
        return given

    @property
    def pooled(self) -> bool:
        """True if a pooling window is given."""
        return "max_pool" in self.values or "avg_pool" in self.values

    @property
    def crop(self) -> tuple[int, int]:
        """Rows that are not read at the top and the bottom; a shift leaves out the oldest."""
        given: tuple[int, int] = self.values.get("in_crop", (self.values.get("buffer_shift", 0), 0))
        return given

    @property
    def padding(self) -> int:
        """Zeros on every side; 1 for convolutions that do not say."""
        return int(self.values.get("pad", 1 if self.operation in _DEFAULT_KERNELS else 0))

    def line_of(self, key: str) -> int:
        """Line of ``key``, or of the layer where it is not given."""
        return self.lines.get(key, self.line)


@dataclass(frozen=True)
class Region:
    """One entry of `unload` or `data_buffer`: its keys and its line."""

    values: dict[str, Any]
    line: int


@dataclass(frozen=True)
class Description:
    """A whole file: global keys and layers in the order in which they run."""

    path: Path
    values: dict[str, Any]
    layers: tuple[LayerDescription, ...]
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def arch(self) -> str:
        """Name of the network's architecture."""
        return str(self.values["arch"])

    @property
    def is_placed(self) -> bool:
        """True if every layer says which processors it uses, as the vendor's tool asks."""
        return all("processors" in layer.values for layer in self.layers)


def read_yaml(path: Path) -> Description:
    """Read a network description.

    Raises:
        InputError: the file is not readable, not YAML or not a mapping.
        RuleError: keys or values that cannot be used; all of them, with their lines.
    """
    path = Path(path)
    document = load_yaml(path)
    if not isinstance(document, LineDict):
        raise InputError("E-YAML-SYNTAX", f"{path}: a network description is a mapping.")
    errors: list[Max78kError] = []
    reader = _Reader(path, errors)
    values, lines = reader.mapping(document, GLOBAL_KEYS, "the file")
    for key in REQUIRED_KEYS:
        if key not in document:
            reader.fault("E-YAML-MISSING", document.line, f"key `{key}` is missing")
    if not values.get("layers", True):
        reader.fault("E-YAML-LAYERS", lines["layers"], "the list of layers is empty")
    if "unload" in values:
        values["unload"] = reader.regions("unload", values["unload"])
    if "data_buffer" in values:
        values["data_buffer"] = reader.regions("data_buffer", values["data_buffer"])
    layers = reader.layers(values.pop("layers", ()), reader.buffer_names(values))
    if errors:
        raise RuleError(errors)
    return Description(path, values, layers, lines)


@dataclass(frozen=True)
class _Reader:
    path: Path
    errors: list[Max78kError]

    def fault(self, code: str, line: int, message: str, hint: str = "") -> None:
        self.errors.append(InputError(code, f"{self.path} line {line}: {message}.", hint))

    def mapping(
        self, source: LineDict, keys: dict[str, Key], where: str
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Values and lines by main spelling; every key that cannot be used is reported."""
        table = spellings(keys)
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for word, raw in source.items():
            line = source.lines[word]
            key = table.get(word)
            if key is None:
                self.unknown(word, list(table), line, where)
            elif key in lines:
                self.fault("E-YAML-ALIAS", line, f"`{word}` says `{key}` again (line {lines[key]})")
            else:
                lines[key] = line
                try:
                    values[key] = keys[key].parse(raw)
                except ValueError as error:
                    self.fault(keys[key].code, line, f"`{word}` {error}, not {shown(raw)}")
        return values, lines

    def regions(self, list_key: str, rows: tuple[LineDict, ...]) -> tuple[Region, ...]:
        """The entries of `unload` or `data_buffer`, each with its line."""
        keys, required = _REGIONS[list_key]
        result = []
        for row in rows:
            values, _ = self.mapping(row, keys, f"an entry of `{list_key}`")
            for key in required:
                if key not in row:
                    self.fault("E-YAML-MISSING", row.line, f"key `{key}` is missing")
            result.append(Region(values, row.line))
        return tuple(result)

    def buffer_names(self, values: dict[str, Any]) -> list[str]:
        names: list[str] = []
        for region in values.get("data_buffer", ()):
            name = region.values.get("name")
            if name in names:
                self.fault("E-YAML-SEQUENCE", region.line, f"buffer name {name} is given twice")
            names += [name] if name is not None else []
        return names

    def unknown(self, word: str, known: list[str], line: int, where: str) -> None:
        close = difflib.get_close_matches(word, known, 1)
        hint = f"`{close[0]}`." if close else ""
        self.fault("E-YAML-KEY", line, f"{where} has no key {shown(word)}", hint)

    def layers(
        self, rows: tuple[LineDict, ...], buffers: list[str]
    ) -> tuple[LayerDescription, ...]:
        layers = []
        following = 0
        for row in rows:
            values, lines = self.mapping(row, LAYER_KEYS, "a layer")
            sequence = values.pop("sequence", following)
            following = sequence + 1
            layers.append(LayerDescription(sequence, values, row.line, lines))
        if len(layers) > limits.LAYERS:
            line = layers[limits.LAYERS].line
            text = f"{len(layers)} layers; the chip has {limits.LAYERS}"
            self.fault("E-YAML-LAYERS", line, text)
        ordered = tuple(sorted(layers, key=lambda layer: layer.sequence))
        self.check_references(ordered, buffers)
        for position, layer in enumerate(ordered):
            for key, text, hint in _conflicts(layer, position):
                code = "E-YAML-CONFLICT"
                self.fault(code, layer.line_of(key), f"layer {layer.sequence}: {text}", hint)
        return ordered

    def check_references(self, layers: tuple[LayerDescription, ...], buffers: list[str]) -> None:
        """Sequence numbers and names are unique; a layer reads earlier layers and buffers alone."""
        seen: set[int | str] = {-1, *buffers}
        for position, layer in enumerate(layers):
            if layer.sequence in seen:
                text = f"sequence {layer.sequence} is given twice"
                self.fault("E-YAML-SEQUENCE", layer.line, text)
            for source in layer.values.get("in_sequences", ()):
                if source not in seen:
                    text = f"layer {layer.sequence} reads {source}, which is no earlier layer"
                    self.fault("E-YAML-SEQUENCE", layer.line_of("in_sequences"), text)
            self.check_next(layers, position)
            name = layer.values.get("name")
            if name in seen:
                line = layer.line_of("name")
                self.fault("E-YAML-SEQUENCE", line, f"layer name {name} is given twice")
            seen.add(layer.sequence)
            if name is not None:
                seen.add(name)

    def check_next(self, layers: tuple[LayerDescription, ...], position: int) -> None:
        layer = layers[position]
        target = layer.values.get("next_sequence")
        if target is None:
            return
        if position + 1 == len(layers):
            fits = target == SEQUENCE_STOP
        else:
            following = layers[position + 1]
            fits = target in (following.sequence, following.values.get("name"))
        if not fits:
            text = "`next_sequence` must be the following layer, or `stop` in the last one"
            hint = "leave it out: jumps are for the MAX78002."
            self.fault("E-YAML-MAX78002", layer.line_of("next_sequence"), text, hint)


def _conflicts(layer: LayerDescription, position: int) -> Iterator[tuple[str, str, str]]:
    """Keys of one layer that contradict each other: (key, message, hint)."""
    values, operation = layer.values, layer.operation
    name = operation.value
    if "kernel_size" in values and values["kernel_size"] not in _KERNELS[operation]:
        size = "x".join(map(str, values["kernel_size"]))
        accepted = ", ".join("x".join(map(str, k)) for k in _KERNELS[operation]) or "no such key"
        yield "kernel_size", f"kernel size {size} in {name}", f"{accepted}."
    yield from _stride_conflicts(layer)
    yield from _buffer_conflicts(layer)
    if max(values.get("dilation", (1, 1))) > 1 and operation is not Operation.CONV1D:
        yield "dilation", f"dilation {values['dilation']} in {name}", "1; only conv1d dilates."
    if operation in _DEFAULT_KERNELS and layer.padding >= max(layer.kernel):
        yield "pad", f"pad {layer.padding} is not below the kernel size", "`pad: 0`."
    if isinstance(values.get("operation"), Eltwise) and "eltwise" in values:
        yield "eltwise", "`eltwise` in a layer whose operation is element-wise", "one of the two."
    if "operands" in values and layer.eltwise is None:
        yield "operands", "`operands` without an element-wise operation", "`eltwise: add`."
    if position and "data_format" in values and values["data_format"] != "HWC":
        yield "data_format", "CHW after the first layer", "leave it out: later data are HWC."
    transposed = operation is Operation.CONVTRANSPOSE2D
    if values.get("output_pad", int(transposed)) != int(transposed):
        yield "output_pad", f"output pad {values['output_pad']} in {name}", f"{int(transposed)}."


def _buffer_conflicts(layer: LayerDescription) -> Iterator[tuple[str, str, str]]:
    values = layer.values
    if "buffer_shift" not in values:
        return
    if "buffer_insert" in values:
        yield "buffer_insert", "`buffer_insert` in a layer that shifts a buffer", "two layers."
    if layer.operation is not Operation.PASSTHROUGH or layer.eltwise or layer.pooled:
        yield "buffer_shift", f"`buffer_shift` in {layer.operation.value}", "a layer that copies."
    for key in ("in_crop", "in_channel_skip"):
        if key in values:
            yield key, f"`{key}` in a layer that shifts a buffer", "leave it out."


def _stride_conflicts(layer: LayerDescription) -> Iterator[tuple[str, str, str]]:
    stride = layer.values.get("stride")
    if stride is None:
        return
    usual = 2 if layer.operation is Operation.CONVTRANSPOSE2D else 1
    if stride != (usual, usual):
        hint = f"{usual}, and `pool_stride` to read fewer pixels."
        yield "stride", f"stride {stride} in {layer.operation.value}", hint
    elif usual != 1 and layer.pooled:
        yield "stride", "`stride` other than 1 together with pooling", "leave it out."
