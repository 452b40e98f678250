"""What takes the time of a layer, and how the estimate compares with what was published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.compiler.placement import FIFO, Placement
from max78k.flows.cost import Cost, cost
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.network_yaml import bind, read_yaml
from max78k.network import Activation, Buffer, Cut, Eltwise, Layer, Network, Operation, Pool


def kernels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)


def conv(name: str, source: str, *shape: int, **options: object) -> Layer:
    return Layer(name, Operation.CONV2D, (source,), kernels(*shape), **options)  # type: ignore[arg-type]


def priced(*layers: Layer, shape: tuple[int, ...]) -> Cost:
    return cost(Network("net", shape, layers, (layers[-1].name,)))


def test_every_layer_says_what_bounds_it() -> None:
    wide = priced(
        conv("few", "input", 64, 3, 3, 3, padding=1),
        conv("full", "few", 64, 64, 3, 3, padding=1),
        conv("point", "full", 128, 64, 1, 1),
        conv("passes", "point", 16, 128, 1, 1),
        conv("both", "point", 64, 128, 3, 3, padding=1),
        Layer("pooled", Operation.CONV2D, ("both",), kernels(4, 64, 1, 1),
              pool=Pool("max", (4, 4), (4, 4))),
        shape=(3, 24, 24),
    )  # fmt: skip
    assert {name: spent.bound for name, spent in wide.cycles.items()} == {
        "few": "output writing",
        "full": "MACs",
        "point": "output writing",
        "passes": "2 passes",
        "both": "MACs, 2 passes",
        "pooled": "pooling",
    }


def test_reading_operands_moving_and_starting_bound_a_layer_too() -> None:
    first = conv("first", "input", 4, 4, 1, 1)
    names = ("first", "a", "b", "c", "d", "e")
    twins = [conv(name, "first", 4, 4, 1, 1) for name in names[1:]]
    total = Layer("sum", Operation.CONV2D, names[1:], kernels(2, 4, 1, 1), eltwise=Eltwise.ADD)
    copy = Layer("copy", Operation.PASSTHROUGH, ("sum",))
    narrow = conv("narrow", "copy", 1, 2, 1, 1)
    found = priced(first, *twins, total, copy, narrow, shape=(4, 8, 8)).cycles
    assert found["sum"].bound == "operands"
    assert (found["copy"].bound, found["narrow"].bound) == ("input reading", "input reading")
    one = priced(conv("one", "input", 1, 1, 3, 3, activation=Activation.RELU), shape=(1, 3, 60))
    assert one.cycles["one"].bound == "start-up"


def test_a_streaming_layer_is_marked_and_costs_half_as_much_again() -> None:
    layers = (
        conv("first", "input", 16, 3, 3, 3, padding=1),
        conv("second", "first", 16, 16, 3, 3, padding=1),
    )
    plain = Network("net", (3, 16, 16), layers, ("second",))
    fast = replace(plain, layers=(replace(layers[0], streaming=True), layers[1]))
    before = cost(plain).cycles["first"]
    after = cost(fast, Placement({}, feed=FIFO)).cycles["first"]
    assert after.bound == f"{before.bound}, streaming"
    assert after.total == -(-3 * (before.total - 1) // 2) + 1  # one cycle for the start
    assert sum(after.parts.values()) == after.total


def test_a_buffer_takes_its_memory_from_the_first_step_to_the_last(tmp_path: Path) -> None:
    layers = (
        Layer("shift", Operation.PASSTHROUGH, ("rows",), cut=Cut(top=2), buffer="rows"),
        Layer("new", Operation.PASSTHROUGH, ("input",), buffer="rows", buffer_row=6),
        conv("conv", "rows", 6, 3, 3, 3, padding=1),
    )
    buffers = (Buffer("rows", (3, 8, 7)),)
    found = cost(Network("rows", (3, 2, 7), layers, ("conv",), buffers=buffers))
    memory = found._memory_map()
    kept = [span for span in memory.data if span.layer == "rows"]
    assert [span.end - span.start for span in kept] == [4 * 8 * 7]
    assert {span.layer for span in memory.data} == {"input", "rows", "conv"}
    assert min(memory.data_by_step) >= 4 * 8 * 7
    found.draw_memory(tmp_path / "memory.png")
    assert (tmp_path / "memory.png").read_bytes()[:4] == b"\x89PNG"


# Published times of one inference without loading, in microseconds; the multiply-accumulates and
# weight bytes, published with them, tell that the network is the same.
_SIMPLENET = (3, 16, 20, 20, 20, 20, 20, 44, 48, 48, 96, 512, 128, 128, 100)
PUBLISHED = {
    "n-mnist": (1410, 10_751_808, 71_148),
    "n-kws20_v3": (1442, 8_345_344, 169_472),
    "n-cifar10-hwc-ai85": (1712, 11_987_328, 72_228),
    "n-cifar-100-mixed": (2593, 18_461_184, 381_792),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_estimated_time_is_within_five_per_cent_of_the_published_one(
    name: str, shared_folder: Path
) -> None:
    folder = shared_folder / "golden" / name
    if not (folder / "network.yaml").is_file():
        pytest.skip(f"the corpus has no {name}")
    description = read_yaml(folder / "network.yaml")
    if name == "n-cifar-100-mixed":  # recorded without weights: the description gives the rest
        sizes = [1 if layer.values["kernel_size"] == (1, 1) else 3 for layer in description.layers]
        shapes = zip(_SIMPLENET[1:], _SIMPLENET, sizes, sizes, strict=False)
        weights = [LayerWeights(f"l{n}", kernels(*shape)) for n, shape in enumerate(shapes)]
        shape: tuple[int, ...] = (3, 32, 32)
    else:
        rows = json.loads((folder / "meta.json").read_text("utf-8"))["layers"]
        one_axis = rows[0]["operator"] == "conv1d"
        shape = (rows[0]["input_channels"], *rows[0]["input_dim"][: 1 if one_axis else 2])
        weights = list(recorded_weights(folder, rows))
    network, placement = bind(description, weights, shape)
    price = cost(network, placement)
    published, macs, weight_bytes = PUBLISHED[name]
    assert sum(spent.macs for spent in price.cycles.values()) == macs
    assert network.weight_bytes == weight_bytes
    assert price.microseconds == pytest.approx(published, rel=0.05)


def recorded_weights(folder: Path, rows: list[dict[str, object]]):
    """Shapes count here; shifts and transposed kernels do not occur."""
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        for number, row in enumerate(rows):
            weight = arrays[f"L{number:03}.w"]
            if row["operator"] == "conv1d":
                weight = weight.reshape(*weight.shape[:2], -1)
            bits = int(arrays[f"L{number:03}.bits"])
            yield LayerWeights(f"l{number}", np.ascontiguousarray(weight), None, bits)
