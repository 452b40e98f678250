"""FIFOs and streaming: what is written, what comes out of the model, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.compiler import placement_rules
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import FAST_FIFO, FIFO, MEMORY, LayerPlacement, Placement
from max78k.flows.accelerator_runs import ImageRunner
from max78k.formats.image_npz import image_arrays
from max78k.network import Eltwise, Layer, Network, Operation, Pool


def network(kernel: int = 3, rows: int = 12, columns: int = 10, channels: int = 3) -> Network:
    """Two streaming layers and one behind them; the second one pools."""
    rng = np.random.default_rng(5)

    def conv(name: str, source: str, size: tuple[int, int], kernel: int, **more: object) -> Layer:
        weight = rng.integers(-128, 128, (size[1], size[0], kernel, kernel)).astype(np.int8)
        bias = rng.integers(-128, 128, size[1]).astype(np.int8)
        pad = kernel // 2
        return Layer(name, Operation.CONV2D, (source,), weight, bias, 8, -4, padding=pad, **more)

    pool = Pool("max", (2, 2), (2, 2))
    layers = (
        conv("a", "input", (channels, 8), kernel, streaming=True),
        conv("b", "a", (8, 70), 3, streaming=True, pool=pool),
        conv("c", "b", (70, 5), kernel),
    )
    return Network("stream", (channels, rows, columns), layers, ("c",))


def placement(feed: str = FIFO) -> Placement:
    wide = (1 << 36) - 1
    return Placement(
        {
            "a": LayerPlacement(0x7, 0xFF, 0, 0x1000, 0, 0, 0),
            "b": LayerPlacement(0xFF, wide, 0x1000, 0x2000, 16, 0, 64),
            "c": LayerPlacement(wide, 0x1F, 0x2000, 0x4000, 200, 1, 0),
        },
        "HWC",
        feed,
    )


def changed(base: Placement, name: str, **fields: object) -> Placement:
    return replace(base, layers={**base.layers, name: replace(base.layers[name], **fields)})


def codes(network: Network, placement: Placement) -> set[str]:
    return {error.code for error in placement_rules.check(network, placement)}


def sample(network: Network) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, network.input_shape).astype(np.int8)


def register(image: Image, name: str, layer: int) -> dict[str, int]:
    wanted = next(r for r in cr.LAYER_REGISTERS if r.name == name)
    words = {write.address: write.value for write in image.configure}
    return wanted.unpack(words.get(addresses.layer_register(0, wanted.offset, layer), 0))


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_streaming_network_gives_the_reference_output_for_several_inputs(kernel: int) -> None:
    net = network(kernel)
    image = assemble(net, placement(), sample(net))
    runner = ImageRunner(image)
    for _ in range(2):
        assert np.array_equal(runner.infer(image.sample_input), image.expected_output)
    assert runner.findings == []


def test_an_input_larger_than_the_data_memory_streams() -> None:
    net = network(rows=92, columns=92)
    base = changed(placement(), "b", out_offset=0x2400)
    image = assemble(net, changed(base, "c", in_offset=0x2400, out_offset=0), sample(net))
    runner = ImageRunner(image)
    assert np.array_equal(runner.infer(image.sample_input), image.expected_output)


def test_stream_registers_follow_the_published_formulas() -> None:
    image = assemble(network(), placement(), sample(network()))
    assert register(image, "STRM0", 0) == {"START": 1}
    assert register(image, "FBUF", 0) == {"WORDS": 2}
    # Rows of 10 + 2 pixels: 2 + 1 rows, 2 pixels of the kernel, 2 of the window, 2 to spare.
    assert register(image, "STRM0", 1) == {"START": 12 * 3 + 2 + 2 + 2}
    assert register(image, "STRM1", 1) == {"INVOL": 1, "DELTA1": 2, "DELTA2": 12 + 2}
    assert register(image, "FBUF", 1) == {"WORDS": 42 + 10 + 2}
    assert register(image, "TPTR", 1) == {"START": 10, "MAX": 10 + 4}
    assert register(image, "STRM0", 2) == {"START": 0}


def test_a_unit_kernel_among_streaming_layers_is_the_middle_of_a_larger_one() -> None:
    image = assemble(network(1), placement(), sample(network(1)))
    for layer in (0, 2):
        assert register(image, "ONED", layer)["LENGTH"] == 0
        assert register(image, "RCNT", layer)["PAD"] == 1
    first = next(block for block in image.kernels if block.processor == 0 and block.column == 0)
    assert np.flatnonzero(first.columns[0]).tolist() == [4]


def test_the_bias_of_a_streaming_first_layer_lies_one_entry_later() -> None:
    net = network()
    image = assemble(net, placement(), sample(net))
    bias = net.layers[0].bias
    assert image.bias[0][0] == 0 and np.array_equal(image.bias[0][1:9], bias)


def test_the_fifos_get_their_words_in_the_order_of_the_channels() -> None:
    net = network(channels=6)
    base = changed(placement(), "a", processors=0x3_000F)
    image = assemble(net, base, sample(net))
    assert [run.address - addresses.CNN_FIFO for run in image.fifo_runs] == [8, 12]
    assert [(run.channel, run.channels) for run in image.fifo_runs] == [(0, 4), (4, 2)]
    assert image.input_runs == () and image.configure[-1].value == 0x3908
    arrays = image_arrays(image)
    assert arrays["fifo_in_1"][0] == int.from_bytes(
        image.sample_input[4:, 0, 0].tobytes(), "little"
    )
    assert ImageRunner(image).infer(image.sample_input).tolist() == image.expected_output.tolist()


def test_streaming_without_a_fifo_is_refused() -> None:
    assert codes(network(), placement(MEMORY)) == {"E-RULE-STREAM-FIFO"}


def test_processors_that_no_fifo_reaches_are_refused() -> None:
    assert codes(network(), changed(placement(), "a", processors=0x70)) == {
        "E-RULE-FIFO-PROCESSORS"
    }


def test_more_than_the_fifos_can_feed_is_refused() -> None:
    fast = network(channels=5)
    five = changed(placement(FAST_FIFO), "a", processors=0x1_000F)
    assert codes(fast, five) == {"E-RULE-FIFO-INPUT", "E-RULE-FIFO-PROCESSORS"}
    wide = network(channels=17)
    many = changed(placement(), "a", processors=0x1_000F_000F_000F_000F & -1)
    assert "E-RULE-FIFO-INPUT" in codes(wide, changed(many, "a", processors=(1 << 17) - 1))


def test_the_fast_fifo_feeds_four_channels() -> None:
    net = network(channels=4)
    image = assemble(net, changed(placement(FAST_FIFO), "a", processors=0xF), sample(net))
    assert [(run.address, run.channels) for run in image.fifo_runs] == [(0x400C0410, 4)]
    assert ImageRunner(image).infer(image.sample_input).tolist() == image.expected_output.tolist()
    planar = replace(placement(FAST_FIFO), data_format="CHW")
    assert codes(network(channels=2), changed(planar, "a", processors=0x1_0001)) == {
        "E-RULE-FIFO-INPUT", "E-RULE-FIFO-PROCESSORS"
    }  # fmt: skip


def test_an_input_that_a_later_layer_reads_cannot_come_by_fifo() -> None:
    weight = np.ones((4, 4, 1, 1), np.int8)
    layers = (
        Layer("a", Operation.CONV2D, ("input",), weight),
        Layer("b", Operation.CONV2D, ("input",), weight),
    )
    places = {
        "a": LayerPlacement(0xF, 0xF, 0, 0x1000, 0),
        "b": LayerPlacement(0xF, 0xF, 0, 0x2000, 4),
    }
    net = Network("twice", (4, 4, 4), layers, ("a", "b"))
    assert codes(net, Placement(places)) == set()
    assert codes(net, Placement(places, feed=FIFO)) == {"E-RULE-FIFO-INPUT"}


def test_operands_cannot_come_by_fifo() -> None:
    layer = Layer("a", Operation.PASSTHROUGH, ("input",), eltwise=Eltwise.ADD, split=2)
    net = Network("sum", (8, 4, 4), (layer,), ("a",))
    places = {"a": LayerPlacement(0xF, 0xF, 0, 0x1000)}
    assert codes(net, Placement(places)) == set()
    assert codes(net, Placement(places, feed=FIFO)) == {"E-RULE-FIFO-INPUT"}


def test_rolling_buffers_that_meet_are_refused() -> None:
    base = changed(placement(), "a", out_offset=4)
    assert codes(network(), changed(base, "b", in_offset=4)) == {"E-RULE-STREAM-OVERLAP"}


@pytest.mark.parametrize(
    "wrong",
    [{"out_offset": 0x1004}, {"output_processors": 0xFF0}, {"write_gap": 1}],
    ids=["offset", "processors", "gap"],
)
def test_a_layer_that_streams_past_the_buffer_of_the_next_one_is_refused(
    wrong: dict[str, int],
) -> None:
    assert codes(network(), changed(placement(), "a", **wrong)) == {"E-RULE-STREAM-FLOW"}


def test_an_output_inside_a_rolling_buffer_is_refused() -> None:
    base = changed(placement(), "c", in_offset=0x1000)
    assert codes(network(), changed(base, "b", out_offset=0x1000)) == {"E-RULE-STREAM-OUTPUT"}
    base = changed(placement(), "c", in_offset=0)
    assert codes(network(), changed(base, "b", out_offset=0)) == {"E-RULE-STREAM-OVERLAP"}


def test_a_rolling_buffer_ends_inside_the_instance() -> None:
    base = changed(placement(), "a", out_offset=0x7FF0)
    assert codes(network(), changed(base, "b", in_offset=0x7FF0)) == {"E-RULE-OFFSETS"}


def test_rows_too_long_for_the_stream_fields_are_refused() -> None:
    net = network(rows=40, columns=300).with_layer("b", pool=Pool("max", (2, 2), (16, 16)))
    base = changed(placement(), "b", out_offset=0x3000)
    assert codes(net, changed(base, "c", in_offset=0x3000)) == {"E-RULE-STREAM-FIELDS"}
