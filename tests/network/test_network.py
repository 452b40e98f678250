"""Networks as data: files, shapes, and the arithmetic on numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from max78k.errors import InputError
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool, reference, shapes
from max78k.network.geometry import geometry


def array(*values: object) -> np.ndarray:
    return np.array(values, np.int8)


def point(weight: int, **fields: object) -> Layer:
    """A 1x1 convolution of one channel."""
    kernel = np.full((1, 1, 1, 1), weight, np.int8)
    return Layer("a", Operation.CONV2D, ("input",), kernel, **fields)


def outputs(layer: Layer, *values: int, rounds: bool = False) -> list[int]:
    shape = (1, 1, len(values))
    network = Network("n", shape, (layer,), ("a",), average_rounds=rounds)
    return reference.outputs(network, array(*values).reshape(1, *shape))[0].tolist()


def test_outputs_round_half_up_and_clip() -> None:
    # 64 * x / 128 = x / 2
    assert outputs(point(64), 3, -3, 1, -1, 127, -128) == [2, -1, 1, 0, 64, -64]
    assert outputs(point(64, output_shift=2), 127, -128, 3) == [127, -128, 6]


def test_activations_come_after_clipping() -> None:
    strong = {"output_shift": 4}
    assert outputs(point(64, activation=Activation.ABS, **strong), -128, -1, 2) == [127, 8, 16]
    assert outputs(point(64, activation=Activation.RELU, **strong), -128, -1, 2) == [0, 0, 16]


def test_a_bias_weighs_128_and_a_wide_output_is_the_sum() -> None:
    biased = point(3, bias=array(-5), output_width=32)
    assert outputs(biased, 7, -128) == [3 * 7 - 640, -3 * 128 - 640]


def test_narrow_weights_shift_by_their_missing_bits() -> None:
    assert outputs(point(-1, weight_bits=1), 5, -128) == [-5, 127]
    assert outputs(point(4, weight_bits=4), 5) == [3]  # 5 * 4 / 8 = 2.5


def test_average_pooling_truncates_or_rounds_away_from_zero() -> None:
    pool = Pool("avg", (1, 2), (1, 1))
    layer = Layer("a", Operation.PASSTHROUGH, ("input",), pool=pool)
    assert outputs(layer, 3, 0, -3, -4) == [1, -1, -3]
    assert outputs(layer, 3, 0, -3, -4, rounds=True) == [2, -2, -4]


def test_a_sum_clips_once() -> None:
    layer = Layer("a", Operation.PASSTHROUGH, ("input",) * 3, eltwise=Eltwise.SUB)
    assert outputs(layer, 127, -128) == [-127, 127]
    assert outputs(layer, 50, 0) == [-50, 0]


def rich() -> Network:
    layers = (
        Layer("a", Operation.CONV2D, ("input",), np.ones((6, 3, 3, 3), np.int8), array(*range(6)),
              pool=Pool("avg", (2, 2), (2, 2)), padding=1, activation=Activation.ABS),
        Layer("b", Operation.PASSTHROUGH, ("a", "a"), eltwise=Eltwise.XOR),
        Layer("c", Operation.LINEAR, ("b",), np.ones((5, 96), np.int8), output_width=32),
    )  # fmt: skip
    return Network("rich", (3, 8, 8), layers, ("c",), ("x", "y"), 0, True, {"seed": "1"})


def test_a_network_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rich.npz"
    network = rich()
    network.save(path)
    again = Network.load(path)
    for name in ("name", "input_shape", "outputs", "class_names", "average_rounds", "notes"):
        assert getattr(again, name) == getattr(network, name)
    for one, two in zip(network.layers, again.layers, strict=True):
        for name, value in vars(one).items():
            assert np.array_equal(value, getattr(two, name)), name
    sample = np.arange(192, dtype=np.int8).reshape(1, 3, 8, 8)
    assert np.array_equal(reference.outputs(network, sample), reference.outputs(again, sample))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Network.load(path)
    assert caught.value.code == "E-NETWORK-FILE"


def test_a_layer_may_only_read_earlier_ones() -> None:
    with pytest.raises(InputError) as caught:
        Network("n", (1, 1, 1), (Layer("a", Operation.PASSTHROUGH, ("b",)),), ("a",))
    assert caught.value.code == "E-NETWORK-ORDER"


def test_shapes_of_pooling_padding_and_flattening() -> None:
    found = shapes.infer(rich())
    assert found["a"] == shapes.LayerShapes((3, 8, 8), (3, 8, 8), (3, 4, 4), (6, 4, 4))
    assert found["c"].output == (5,) and found["c"].flattens


def test_channels_are_dealt_out_in_passes() -> None:
    weight = np.ones((130, 65, 1, 1), np.int8)
    network = Network("n", (65, 2, 2), (Layer("a", Operation.CONV2D, ("input",), weight),), ("a",))
    shape = geometry(network)[0]
    assert (shape.in_passes, shape.in_processors) == (2, 36)
    assert (shape.out_passes, shape.out_processors) == (3, 44)
    assert shape.out_words == 4 * 3
