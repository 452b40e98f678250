"""A recorded case of the corpus: the network that its YAML means, and the image that it made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.compiler.placement import FAST_FIFO, FIFO, MEMORY, LayerPlacement, Placement
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import Description, bind, read_yaml
from max78k.network import Activation, Layer, Network, Operation
from max78k.network.geometry import geometry

Arrays = dict[str, NDArray[Any]]


@dataclass
class Outcome:
    """Result of one case: what differs (nothing if it passed), and why it was left out."""

    case: str
    features: tuple[str, ...] = ()
    differences: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences and not self.skipped


def _first_layers(description: Description, count: int) -> Description:
    """The description cut off; the last layer still writes where the next one would read."""
    following = description.layers[count].values["processors"]
    last = description.layers[count - 1]
    values = {"output_processors": following, **last.values}
    layers = (*description.layers[: count - 1], replace(last, values=values))
    return replace(description, layers=layers)


@dataclass
class Recorded:
    """One case of the corpus."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the case."""
        return self.folder.name

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What was recorded about the case."""
        meta: dict[str, Any] = json.loads((self.folder / "meta.json").read_text("utf-8"))
        return meta

    @cached_property
    def image(self) -> Arrays:
        """The arrays of the recorded image."""
        with np.load(self.folder / "image.npz", allow_pickle=False) as archive:
            return dict(archive)

    @cached_property
    def sample(self) -> NDArray[np.int8]:
        """The sample input, with as many axes as the network's input has."""
        sample: NDArray[np.int8] = np.load(self.folder / "input.npy").astype(np.int8)
        one_axis = any(row["operator"] == "conv1d" for row in self.meta["layers"])
        if one_axis and sample.ndim == 3 and sample.shape[2] == 1:
            sample = sample[..., 0]
        return sample

    def option(self, name: str) -> str | None:
        """The value given to a command-line option, "" without a value; None if not given."""
        options: list[str] = self.meta["options"]
        if name not in options:
            return None
        after = options[options.index(name) + 1 :][:1]
        return after[0] if after and not after[0].startswith("--") else ""

    def weights(self) -> list[LayerWeights]:
        """The recorded weights in PyTorch's axis order."""
        found = []
        with np.load(self.folder / "weights.npz", allow_pickle=False) as archive:
            arrays = dict(archive)
        sources = self._weight_sources()
        for key in sorted(name for name in arrays if name.endswith(".w")):
            start, number = key[:-2], int(key[1:-2])
            if number in sources:
                continue
            row = self.meta["layers"][number]
            bits = int(arrays[f"{start}.bits"])
            weight = arrays[key]
            if row["operator"] == "convtranspose2d":
                weight = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
            elif row["operator"] == "conv1d":
                weight = weight.reshape(*weight.shape[:2], -1)
            shift = row["output_shift"] - 8 + bits
            weight = np.ascontiguousarray(weight)
            found.append(LayerWeights(start, weight, arrays.get(f"{start}.b"), bits, shift))
        return found

    def _weight_sources(self) -> set[int]:
        """Numbers of the layers whose weights are those of another layer."""
        layers = read_yaml(self.folder / "network.yaml").layers
        return {n for n, layer in enumerate(layers) if "weight_source" in layer.values}

    def network(self, columns: bool = True) -> tuple[Network, Placement]:
        """Network and placement of the YAML under the recorded options; raises Max78kError.

        Kernel columns and bias entries have no key in the YAML. With ``columns`` they are read out
        of the recorded registers: they are the one free choice on which registers depend.
        """
        description = read_yaml(self.folder / "network.yaml")
        stop = self.option("--stop-after")
        if stop:
            description = _first_layers(description, int(stop) + 1)
        network, placement = bind(description, self.weights(), self.sample.shape)
        layers = list(network.layers)
        if self.option("--ignore-streaming") is not None:
            layers = [replace(layer, streaming=False) for layer in layers]
        if streaming := self.option("--streaming-layers"):
            layers[int(streaming)] = replace(layers[int(streaming)], streaming=True)
        if self.option("--ignore-activation") is not None:
            layers = [replace(layer, activation=Activation.NONE) for layer in layers]
        if width := self.option("--output-width"):
            layers[-1] = replace(layers[-1], output_width=int(width))
        rounds = self.option("--avg-pool-rounding") is not None
        network = replace(network, layers=tuple(layers), average_rounds=rounds)
        rows = dict(placement.layers)
        if offset := self.option("--input-offset"):
            first = network.layers[0].name
            rows[first] = replace(rows[first], in_offset=int(offset, 0))
        for shape in geometry(network) if columns else ():
            name = shape.layer.name
            rows[name] = self._place(shape.index, shape.layer, rows[name], shape.taps)
        return network, replace(placement, layers=rows, feed=self.feed())

    def feed(self) -> str:
        """How the input comes in under the recorded options."""
        if self.option("--fast-fifo") is not None:
            return FAST_FIFO
        return FIFO if self.option("--fifo") is not None else MEMORY

    def _place(self, index: int, layer: Layer, row: LayerPlacement, taps: int) -> LayerPlacement:
        """``row`` with the kernel column and the bias entry that the registers say."""
        if layer.operation is Operation.PASSTHROUGH:
            return row
        start = cr.MCNT.field("START").get(self.register(cr.MCNT, 0, index)) // 8
        rest = cr.ONED.field("BYTE_START").get(self.register(cr.ONED, 0, index))
        quadrant = bias_start = None
        for q in range(limits.QUADRANTS):
            post = cr.POST.unpack(self.register(cr.POST, q, index))
            if post["BIAS_EN"]:
                quadrant, bias_start = q, post["BIAS_START"]
        return replace(
            row,
            kernel_column=(start * taps + rest) // limits.COLUMN_BYTES,
            bias_quadrant=quadrant,
            bias_start=bias_start,
        )

    def register(self, register: Register, quadrant: int, layer: int) -> int:
        """A recorded per-layer register; 0 where it was not written."""
        address = addresses.layer_register(quadrant, register.offset, layer)
        return self.configured.get(address, 0)

    @cached_property
    def configured(self) -> dict[int, int]:
        """Values other than 0 that the recorded configuration writes, by address."""
        return {address: value for address, value in self.writes("cnn_configure") if value}

    def writes(self, function: str) -> list[tuple[int, int]]:
        """(address, value) of the plain writes inside the named function, in order."""
        if function not in self.meta["functions"]:
            return []
        image = self.image
        chosen = (image["ev_fn"] == self.meta["functions"].index(function)) & (image["ev_op"] == 0)
        rows = zip(image["ev_addr"][chosen].tolist(), image["ev_val"][chosen].tolist(), strict=True)
        return list(rows)

    def kernels(self) -> NDArray[np.uint8]:
        """Kernel memory, uint8 [processors, columns, 9]."""
        memory = np.zeros((limits.PROCESSORS, limits.KERNEL_COLUMNS, limits.COLUMN_BYTES), np.uint8)
        bases = {addresses.kernel_memory(p): p for p in range(limits.PROCESSORS)}
        row = 0
        for address, length in self._extents("kern_block_addr", "kern_block_len"):
            base = address & -addresses.KERNEL_STRIDE
            first = (address - base) // addresses.KERNEL_COLUMN_STRIDE
            memory[bases[base], first : first + length] = self.image["kern_bytes"][
                row : row + length
            ]
            row += length
        return memory

    def _extents(self, starts: str, lengths: str) -> Iterator[tuple[int, int]]:
        image = self.image
        if starts in image:
            yield from zip(image[starts].tolist(), image[lengths].tolist(), strict=True)

    def words(self, kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Addresses and words of ``in`` or ``out``."""
        spans = [4 * np.arange(n) + at for at, n in self._extents(f"{kind}_addr", f"{kind}_len")]
        empty = np.zeros(0, np.int64)
        words = self.image.get(f"{kind}_words", empty).astype(np.int64)
        return np.concatenate([empty, *spans]), words

    def bias(self) -> dict[tuple[int, int], int]:
        """Bias entries other than 0 by (quadrant, entry)."""
        found = {}
        for quadrant in range(limits.QUADRANTS):
            entries = self.image.get(f"bias_q{quadrant}", np.zeros(0)).astype(np.uint8)
            found.update({(quadrant, n): v for n, v in enumerate(entries.tolist()) if v})
        return found
