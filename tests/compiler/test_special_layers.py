"""Layers that the hardware runs as something else, and placements at its edges, on the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import on_model
import pytest

from max78k.compiler import memory, placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.compiler.placement import FIFO, LayerPlacement, Placement
from max78k.errors import RuleError
from max78k.flows.accelerator_runs import check_known_answer
from max78k.formats.image_npz import input_blocks
from max78k.network import Cut, Eltwise, Layer, Network, Operation, Pool, reference

RNG = np.random.default_rng(3)


def integers(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def runs(network: Network, given: Placement | None = None) -> None:
    image = assemble(network, plan(network, given), integers(*network.input_shape))
    wrong, reports = on_model.run(image)
    assert (wrong, reports) == ([], [])


@pytest.mark.parametrize(
    ("taps", "dilation", "channels", "length"),
    [(3, 5, 4, 40), (3, 7, 96, 61), (2, 13, 70, 50), (2, 9, 3, 27), (3, 11, 4, 33)],
)
def test_a_far_dilated_kernel_runs_folded_into_rows(
    taps: int, dilation: int, channels: int, length: int
) -> None:
    first = Layer(
        "a", Operation.CONV1D, ("input",), integers(70, channels, taps), integers(70),
        dilation=dilation, output_shift=-5,
    )  # fmt: skip
    last = Layer("b", Operation.CONV1D, ("a",), integers(4, 70, 1), output_shift=-5)
    network = Network("far", (channels, length), (first, last), ("b",))
    given = Placement({"a": LayerPlacement(in_offset=0, out_offset=0x4000)})
    runs(network, given)


def folded(name: str, source: str, channels: tuple[int, int], dilation: int, **more: int) -> Layer:
    weight = integers(channels[1], channels[0], 3)
    return Layer(name, Operation.CONV1D, (source,), weight, dilation=dilation,
                 output_shift=-5, **more)  # fmt: skip


def test_folded_layers_are_planned_one_behind_the_other() -> None:
    layers = (
        Layer("a", Operation.CONV1D, ("input",), integers(5, 4, 3), padding=1, output_shift=-4),
        folded("b", "a", (5, 70), 7),
        folded("c", "b", (70, 8), 9),
    )
    runs(Network("deep", (4, 61), layers, ("c",)))


def test_a_folded_output_may_lie_between_others_or_be_wide() -> None:
    layers = (
        folded("a", "input", (4, 6), 9),
        folded("b", "input", (4, 6), 9),
        Layer("s", Operation.PASSTHROUGH, ("a", "b"), eltwise=Eltwise.SUB),
        folded("w", "input", (4, 70), 8, output_width=32),
    )
    runs(Network("both", (4, 40), layers, ("s", "w")))


def test_a_folded_output_needs_room_before_its_first_value() -> None:
    layer = Layer("a", Operation.CONV1D, ("input",), integers(4, 4, 3), dilation=9)
    network = Network("far", (4, 40), (layer,), ("a",))
    with pytest.raises(RuleError) as caught:
        plan(network, Placement({"a": LayerPlacement(in_offset=0x4000, out_offset=8 * 4)}))
    assert caught.value.code == "E-RULE-OFFSETS"
    plan(network, Placement({"a": LayerPlacement(in_offset=0x4000, out_offset=9 * 4)}))


@pytest.mark.parametrize("operands", [2, 3, 5])
def test_operands_of_one_input_lie_interleaved(operands: int) -> None:
    layer = Layer("a", Operation.PASSTHROUGH, ("input",), eltwise=Eltwise.SUB, split=operands)
    network = Network("sum", (operands * 6, 5, 4), (layer,), ("a",))
    runs(network, Placement({"a": LayerPlacement(0x3F, 0x3F, 0, 0x1000)}))


def test_operands_of_one_layer_are_its_output_passes() -> None:
    first = Layer("a", Operation.CONV2D, ("input",), integers(128, 4, 1, 1), output_shift=-3)
    second = Layer("b", Operation.PASSTHROUGH, ("a",), eltwise=Eltwise.XOR, split=2)
    network = Network("passes", (4, 5, 4), (first, second), ("b",))
    every = (1 << 64) - 1
    given = {
        "a": LayerPlacement(0xF, every, 0, 0x1000),
        "b": LayerPlacement(every, every, 0x1000, 0x2000),
    }
    runs(network, Placement(given))
    narrow = network.with_layer("a", weight=integers(8, 4, 1, 1))
    given = {
        "a": LayerPlacement(0xF, 0xFF, 0, 0x1000),
        "b": LayerPlacement(0xF, 0xF, 0x1000, 0x2000),
    }
    with pytest.raises(RuleError) as caught:
        plan(narrow, Placement(given))
    assert caught.value.code == "E-RULE-DATA-FLOW"


def test_a_layer_sees_its_input_in_another_size() -> None:
    layers = (
        Layer("a", Operation.CONV1D, ("input",), integers(6, 4, 3), padding=1, output_shift=-3),
        Layer("b", Operation.CONV2D, ("a",), integers(5, 6, 3, 3), padding=1, view=(6, 4),
              output_shift=-3, pool=Pool("max", (2, 2), (2, 2))),
        Layer("c", Operation.CONV1D, ("b",), integers(3, 5, 2), view=(6,), output_shift=-3),
    )  # fmt: skip
    runs(Network("views", (4, 24), layers, ("c",)))


def test_a_bias_lies_by_output_slot_where_the_map_has_gaps() -> None:
    layer = Layer("a", Operation.CONV2D, ("input",), integers(5, 4, 3, 3), integers(5), 8, -4)
    network = Network("gaps", (4, 6, 6), (layer,), ("a",))
    runs(network, Placement({"a": LayerPlacement(0xF, 0b1011_0110, 0, 0x1000)}))


def test_a_flattening_layer_has_no_gaps_in_its_output_map() -> None:
    layer = Layer("a", Operation.LINEAR, ("input",), integers(5, 4 * 36))
    network = Network("gaps", (4, 6, 6), (layer,), ("a",))
    placement = plan(network)
    row = replace(placement.layers["a"], output_processors=0b101111)
    broken = replace(placement, layers={"a": row})
    found = {error.code for error in placement_rules.check(network, broken)}
    assert found == {"E-RULE-PROCESSORS-GAPS"}


def overlapping(out_offset: int) -> tuple[Network, Placement]:
    layer = Layer("a", Operation.CONV2D, ("input",), integers(4, 4, 3, 3), output_shift=-4,
                  padding=1)  # fmt: skip
    network = Network("over", (4, 8, 8), (layer,), ("a",))
    return network, Placement({"a": LayerPlacement(0xF, 0xF, 0x100, out_offset, 0)})


@pytest.mark.parametrize("out_offset", [0x100, 0xF0, 0x100 + 32])
def test_an_output_may_follow_its_input_through_the_same_words(out_offset: int) -> None:
    runs(*overlapping(out_offset))


def test_an_output_may_not_overtake_its_input() -> None:
    network, placement = overlapping(0x100 + 36)
    found = {error.code for error in placement_rules.check(network, placement)}
    assert found == {"E-RULE-DATA-OVERLAP"}


def test_empty_leading_slots_leave_their_columns_to_another_layer() -> None:
    layers = (
        Layer("a", Operation.CONV2D, ("input",), integers(8, 4, 3, 3), output_shift=-4),
        Layer("b", Operation.CONV2D, ("a",), integers(5, 8, 3, 3), output_shift=-4),
    )
    network = Network("lead", (4, 8, 8), layers, ("b",))
    places = {
        "a": LayerPlacement(0xF, 0xFF, 0, 0x1000, 0),
        "b": LayerPlacement(0xFF, 0b1111_1000, 0x1000, 0x2000, 8),
    }
    runs(network, Placement(places))
    places["b"] = replace(places["b"], kernel_column=4)  # 3 empty columns, then its kernels
    found = {error.code for error in placement_rules.check(network, Placement(places))}
    assert found == {"E-RULE-KERNEL-OVERLAP"}
    short = network.with_layer("a", weight=integers(7, 4, 3, 3)).with_layer(
        "b", weight=integers(5, 7, 3, 3)
    )
    places["a"] = replace(places["a"], output_processors=0x7F)
    places["b"] = replace(places["b"], processors=0x7F)
    runs(short, Placement(places))


def test_the_words_behind_a_folded_input_are_zero_everywhere() -> None:
    layer = Layer("a", Operation.CONV1D, ("input",), integers(4, 5, 3), dilation=7)
    network = Network("far", (5, 40), (layer,), ("a",))
    sample = integers(5, 40)
    given = Placement({"a": LayerPlacement(in_offset=0, out_offset=0x4000)})
    image = assemble(network, plan(network, given), sample)
    written = memory.input_words(image.input_runs, sample)
    stored = {
        address + 4 * n: word
        for address, words in input_blocks(image.input_runs, sample)
        for n, word in enumerate(words.tolist())
    }
    assert stored == written and len(written) == 2 * 42
    check_known_answer(image)


def test_nothing_may_lie_over_what_a_layer_flattens() -> None:
    layer = Layer("a", Operation.LINEAR, ("input",), integers(4, 4 * 16))
    network = Network("flat", (4, 4, 4), (layer,), ("a",))
    at = {
        offset: Placement({"a": LayerPlacement(0xF, 0xF, 0x100, offset, 0)})
        for offset in (0xFC, 0x100, 0x13C, 0x140)
    }
    broken = {
        offset: {error.code for error in placement_rules.check(network, placement)}
        for offset, placement in at.items()
    }
    refused = {"E-RULE-DATA-OVERLAP"}
    assert broken == {0xFC: set(), 0x100: refused, 0x13C: refused, 0x140: set()}


@pytest.mark.parametrize("source", ["input", "a", "wide"])
@pytest.mark.parametrize(
    "cut", [Cut(5, 12), Cut(top=2, bottom=1), Cut(3, 9, 1, 0)], ids=("channels", "rows", "both")
)
def test_a_part_of_the_data_is_read(source: str, cut: Cut) -> None:
    """Of the network's input, of a layer's output, and of channels in several passes."""
    shapes = {"input": 20, "a": 30, "wide": 100}
    count = shapes[source] - cut.channel if cut.channels is None else cut.channels
    layers = (
        Layer("a", Operation.CONV2D, ("input",), integers(30, 20, 1, 1), output_shift=-5),
        Layer("wide", Operation.CONV2D, ("input",), integers(100, 20, 1, 1), output_shift=-5),
        Layer("part", Operation.CONV2D, (source,), integers(4, count, 3, 3), cut=cut, padding=1),
        Layer("moved", Operation.PASSTHROUGH, (source,), cut=cut),
    )
    network = Network("part", (20, 7, 5), layers, ("part", "moved", "a", "wide"))
    lowered = lower(network)
    assert (lowered is network) == (source != "wide" or not cut.of_channels)
    sample = integers(2, 20, 7, 5)
    assert np.array_equal(reference.outputs(network, sample), reference.outputs(lowered, sample))
    runs(lowered)


def test_operands_are_cut_alike() -> None:
    layers = (
        Layer("a", Operation.CONV2D, ("input",), integers(30, 3, 1, 1), output_shift=-3),
        Layer("b", Operation.CONV2D, ("input",), integers(30, 3, 1, 1), output_shift=-3),
        Layer("c", Operation.PASSTHROUGH, ("a", "b"), eltwise=Eltwise.ADD, cut=Cut(8, 8, 1, 2)),
    )
    runs(Network("sum", (3, 6, 4), layers, ("c",)))


def test_planar_input_is_cut_at_words() -> None:
    layer = Layer("a", Operation.CONV2D, ("input",), integers(4, 2, 3, 3), cut=Cut(top=2))
    runs(Network("crop", (2, 8, 6), (layer,), ("a",)), Placement({}, data_format="CHW"))
    odd = Network("crop", (2, 8, 6), (replace(layer, cut=Cut(top=1)),), ("a",))
    with pytest.raises(RuleError) as caught:
        plan(odd, Placement({"a": LayerPlacement()}, data_format="CHW"))
    assert caught.value.code == "E-RULE-CHW"


def test_what_is_left_out_needs_room_before_the_input() -> None:
    layer = Layer("a", Operation.CONV2D, ("input",), integers(4, 2, 3, 3), cut=Cut(top=2))
    network = Network("crop", (2, 8, 6), (layer,), ("a",))
    for offset, fits in ((44, False), (48, True)):
        given = Placement({"a": LayerPlacement(in_offset=offset, out_offset=0x4000)})
        if fits:
            runs(network, given)
            continue
        with pytest.raises(RuleError) as caught:
            plan(network, given)
        assert caught.value.code == "E-RULE-OFFSETS"


def test_a_fifo_delivers_all_of_the_input() -> None:
    layer = Layer("a", Operation.CONV2D, ("input",), integers(4, 2, 3, 3), cut=Cut(top=2))
    with pytest.raises(RuleError) as caught:
        plan(Network("crop", (2, 8, 6), (layer,), ("a",)), Placement({}, feed=FIFO))
    assert caught.value.code == "E-RULE-FIFO-INPUT"
