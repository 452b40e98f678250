"""Every key of the network description does what it says, or is refused for this chip."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from max78k.compiler.placement import FAST_FIFO, Placement
from max78k.errors import RuleError
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import Description, bind, read_yaml
from max78k.formats.yaml_keys import GLOBAL_KEYS, LAYER_KEYS, UNLOAD_KEYS
from max78k.network import Activation, Buffer, Cut, Eltwise, Network, Operation, Pool

Seen = Callable[[Network, Placement], bool]
ONLY_MAX78002 = {
    "snoop": "[{}]", "pool_dilation": "2", "in_skip": "1", "read_gap": "1", "groups": "2",
    "conv_groups": "2", "bypass": "true", "calcx4": "true", "readahead": "true", "tcalc": "true",
    "snoop_sequence": "1", "next_sequence": "7",
}  # fmt: skip


def file(row: str, globals_: str = "", second: str = "name: b, op: none") -> str:
    rows = f"  - {{{row}}}\n" + (f"  - {{{second}}}\n" if second else "")
    return f"arch: net\ndataset: d\n{globals_}layers:\n{rows}"


def weights(axes: tuple[int, ...]) -> LayerWeights:
    return LayerWeights("w", np.ones(axes, np.int8))


def place(field: str, value: Any, layer: str = "a") -> Seen:
    return lambda network, placement: getattr(placement.layers[layer], field) == value


def layer(field: str, value: Any) -> Seen:
    return lambda network, placement: getattr(network.layers[0], field) == value


PAST = "data_buffer:\n  - {name: past, channels: 4, dim: 15, offset: 0x40, processors: 0xf}\n"
A = "name: a, op: conv2d"
PASS = "name: a, op: none"
# key: (text of the file, weights of the first layer, what it must lead to)
EFFECTS: dict[str, tuple[str, tuple[int, ...] | None, Seen]] = {
    "arch": (file(PASS), None, lambda n, p: n.name == "net"),
    "dataset": (file(PASS), None, lambda n, p: True),
    "bias": (file(PASS, "bias: x\n"), None, lambda n, p: True),
    "weights": (file(PASS, "weights: x\n"), None, lambda n, p: True),
    "layers": (file(PASS), None, lambda n, p: len(n.layers) == 2),
    "feed": (file(PASS, "feed: fast-fifo\n"), None, lambda n, p: p.feed == FAST_FIFO),
    "output_map": (file(PASS, "output_map: 0xf0\n"), None, place("output_processors", 0xF0, "b")),
    "unload": (
        file(
            PASS + ", out_offset: 0x40, output_processors: 0xf",
            "unload:\n  - {processors: 0xf, channels: 4, dim: [8, 8], offset: 0x40}\n",
        ),
        None,
        lambda n, p: n.outputs == ("a",),
    ),
    "processors": (file(f"{A}, processors: 0xf0"), (4, 4, 3, 3), place("processors", 0xF0)),
    "output_processors": (file(f"{A}, output_processors: 0xf0"), (4, 4, 3, 3),
                          place("output_processors", 0xF0)),
    "name": (file(PASS), None, layer("name", "a")),
    "sequence": (file(f"{PASS}, sequence: 9", second="name: b, op: none, sequence: 3"), None,
                 layer("name", "b")),
    "in_sequences": (file(f"{PASS}, in_sequences: input"), None, layer("inputs", ("input",))),
    "operation": (file(A), (4, 4, 3, 3), layer("operation", Operation.CONV2D)),
    "eltwise": (file(f"{PASS}, eltwise: xor"), None, layer("eltwise", Eltwise.XOR)),
    "operands": (file(f"{PASS}, eltwise: add, operands: 4"), None, layer("split", 4)),
    "pool_first": (file(f"{PASS}, eltwise: add, max_pool: 2, pool_first: false"), None,
                   layer("pool_first", False)),
    "kernel_size": (file(f"{A}, kernel_size: 1x1, pad: 0"), (4, 4, 1, 1), layer("padding", 0)),
    "pad": (file(f"{A}, pad: 2"), (4, 4, 3, 3), layer("padding", 2)),
    "stride": (file("name: a, op: convtranspose2d, stride: 2"), (4, 4, 3, 3),
               layer("operation", Operation.CONVTRANSPOSE2D)),
    "dilation": (file("name: a, op: conv1d, kernel_size: 3, dilation: 2, in_dim: 64"), (4, 4, 3),
                 layer("dilation", 2)),
    "max_pool": (file(f"{PASS}, max_pool: 3"), None, layer("pool", Pool("max", (3, 3), (1, 1)))),
    "avg_pool": (file(f"{PASS}, avg_pool: [3, 2]"), None,
                 layer("pool", Pool("avg", (3, 2), (1, 1)))),
    "pool_stride": (file(f"{PASS}, pool_stride: 2"), None,
                    layer("pool", Pool("max", (1, 1), (2, 2)))),
    "in_channels": (file(f"{PASS}, in_channels: 3"), None, layer("cut", Cut(0, 3))),
    "out_channels": (file(f"{A}, out_channels: 4"), (4, 4, 3, 3), layer("cut", None)),
    "in_dim": (file(f"{PASS}, in_dim: [4, 16]"), None, layer("view", (4, 16))),
    "in_crop": (file(f"{PASS}, in_crop: [1, 2]"), None, layer("cut", Cut(top=1, bottom=2))),
    "in_offset": (file(f"{PASS}, in_offset: 64"), None, place("in_offset", 64)),
    "out_offset": (file(f"{PASS}, out_offset: 64"), None, place("out_offset", 64)),
    "in_channel_skip": (file(f"{PASS}, in_channel_skip: 2"), None, layer("cut", Cut(2))),
    "write_gap": (file(f"{PASS}, write_gap: 2"), None, place("write_gap", 2)),
    "activation": (file(f"{A}, activation: Abs"), (4, 4, 3, 3),
                   layer("activation", Activation.ABS)),
    "data_format": (file(f"{A}, data_format: CHW"), (4, 4, 3, 3),
                    lambda n, p: p.data_format == "CHW"),
    "output_width": (file(f"{A}, output_width: 32", second=""), (4, 4, 3, 3),
                     layer("output_width", 32)),
    "output_shift": (file(f"{A}, output_shift: -3"), (4, 4, 3, 3), layer("output_shift", -3)),
    "quantization": (file(f"{A}, quantization: 8"), (4, 4, 3, 3), layer("weight_bits", 8)),
    "flatten": (file("name: a, op: linear, flatten: true"), (4, 256),
                layer("operation", Operation.LINEAR)),
    "streaming": (file(f"{A}, streaming: true"), (4, 4, 3, 3), layer("streaming", True)),
    "bias_group": (file(f"{A}, bias_group: [1, 3, 1]"), (4, 4, 3, 3),
                   place("bias_quadrants", (1, 3))),
    "output": (file(f"{PASS}, output: true"), None, lambda n, p: n.outputs == ("a", "b")),
    "weight_source": (file(A, second="name: b, op: conv2d, weight_source: a"), (4, 4, 3, 3),
                      lambda n, p: n.layers[1].weight is n.layers[0].weight),
    "output_pad": (file("name: a, op: convtranspose2d, output_pad: 1"), (4, 4, 3, 3),
                   layer("operation", Operation.CONVTRANSPOSE2D)),
    "simulated_sequence": (file(f"{PASS}, simulated_sequence: 1"), None, lambda n, p: True),
    "data_buffer": (file(f"{PASS}, in_sequences: past", PAST), None,
                    lambda n, p: n.buffers == (Buffer("past", (4, 15)),)),
    "buffer_shift": (file(f"{PASS}, in_sequences: past, in_dim: 13, buffer_shift: 2", PAST), None,
                     lambda n, p: n.layers[0].cut == Cut(top=2) and n.layers[0].buffer == "past"),
    "buffer_insert": (file("name: a, op: linear, flatten: true, buffer_insert: 1", PAST), (4, 256),
                      lambda n, p: (n.layers[0].buffer, n.layers[0].buffer_row) == ("past", 14)),
    "next_sequence": (file(f"{PASS}, next_sequence: b"), None, layer("name", "a")),
}  # fmt: skip


def read(tmp_path: Path, text: str) -> Description:
    (tmp_path / "n.yaml").write_text(text)
    return read_yaml(tmp_path / "n.yaml")


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_has_its_effect(key: str, tmp_path: Path) -> None:
    text, axes, seen = EFFECTS[key]
    shape = (4, 64) if "conv1d" in text else (4, 8, 8)
    found = bind(read(tmp_path, text), [] if axes is None else [weights(axes)], shape)
    assert seen(*found)


@pytest.mark.parametrize("key", ONLY_MAX78002)
def test_a_key_of_the_other_chip_is_refused_for_that_reason(key: str, tmp_path: Path) -> None:
    row = f"{key}: {ONLY_MAX78002[key]}"
    text = file(PASS, row + "\n") if key in GLOBAL_KEYS else file(f"{PASS}, {row}")
    with pytest.raises(RuleError, match=r"E-YAML-MAX78002 .*MAX78002"):
        read(tmp_path, text)


def test_every_key_is_tried() -> None:
    tried = {*EFFECTS, *ONLY_MAX78002}
    assert {*GLOBAL_KEYS, *LAYER_KEYS} <= tried
    assert {alias for key in LAYER_KEYS.values() for alias in key.aliases} & set(EFFECTS) == set()


def test_the_reference_has_no_other_key(shared_folder: Path) -> None:
    text = (shared_folder / "reference" / "networks-yaml.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {word for cell in cells for word in re.findall(r"`([a-z0-9_]+)`", cell)}
    aliases = {alias for key in LAYER_KEYS.values() for alias in key.aliases}
    assert named == ({*GLOBAL_KEYS, *LAYER_KEYS} | aliases) - {"feed"}


@pytest.mark.parametrize("key", UNLOAD_KEYS)
def test_a_region_without_an_output_is_refused(key: str, tmp_path: Path) -> None:
    good = {"processors": "0xf", "channels": "4", "dim": "[8, 8]", "offset": "0x40",
            "width": "8", "write_gap": "0"}  # fmt: skip
    bad = good | {key: {"processors": "0xf0", "dim": "[8, 4]", "width": "32"}.get(key, "3")}
    row = PASS + ", out_offset: 0x40, output_processors: 0xf"
    for values, fits in ((good, True), (bad, False)):
        region = ", ".join(f"{name}: {value}" for name, value in values.items())
        described = read(tmp_path, file(row, f"unload:\n  - {{{region}}}\n"))
        if fits:
            assert bind(described, [], (4, 8, 8))[0].outputs == ("a",)
            continue
        with pytest.raises(RuleError, match=r"E-YAML-UNLOAD .*n.yaml line 4: no layer writes"):
            bind(described, [], (4, 8, 8))


def test_a_region_names_its_missing_keys(tmp_path: Path) -> None:
    with pytest.raises(RuleError) as caught:
        read(tmp_path, file(PASS, "unload:\n  - {processors: 0xf, width: 9, ofset: 3}\n"))
    text = "\n".join(map(str, caught.value.violations))
    for words in ("`width` must be 8 or 32", "Try: `offset`", "key `channels` is missing"):
        assert words in text
