"""Planning: what is given is kept, what does not fit is named, and every placement rule bites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from max78k.chip import limits
from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.placement import LayerPlacement, Placement
from max78k.compiler.usage import usage
from max78k.errors import InputError, RuleError
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool
from max78k.network.geometry import geometry

RNG = np.random.default_rng(7)
HALF = Pool("max", (2, 2), (2, 2))


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def conv(name: str, source: str, channels: int, out: int, **fields: object) -> Layer:
    usual = {
        "weight": weights(out, channels, 3, 3),
        "bias": weights(out),
        "padding": 1,
        "activation": Activation.RELU,
        "output_shift": -4,
    }
    return Layer(name, Operation.CONV2D, (source,), **(usual | fields))


def faces(widths: tuple[int, ...] = (32, 64, 64, 96, 96, 64)) -> Network:
    """48 x 48 grey faces to 7 values."""
    layers, source, channels = [], "input", 1
    for number, out in enumerate(widths):
        pool = HALF if number in (1, 3, 5) else None
        layers.append(conv(f"conv{number}", source, channels, out, pool=pool))
        source, channels = f"conv{number}", out
    head = Layer("head", Operation.LINEAR, (source,), weights(7, channels * 36), weights(7),
                 output_width=32)  # fmt: skip
    return Network("faces", (1, 48, 48), (*layers, head), ("head",))


def small(**fields: object) -> Network:
    layers = (conv("a", "input", 3, 8, **fields), conv("b", "a", 8, 20), conv("c", "b", 20, 5))
    return Network("small", (3, 10, 9), layers, ("c",))


def low(network: Network) -> Placement:
    """A plan in which every map begins at processor 0, so that neighbours share memories."""
    rows = {
        shape.layer.name: LayerPlacement(
            processors=(1 << shape.in_processors) - 1,
            output_processors=(1 << shape.out_processors) - 1,
        )
        for shape in geometry(network)
    }
    return plan(network, Placement(rows))


def codes(network: Network, placement: Placement) -> set[str]:
    return {error.code for error in placement_rules.check(network, placement)}


def changed(placement: Placement, layer: str, **fields: object) -> Placement:
    rows = placement.layers | {layer: replace(placement.layers[layer], **fields)}
    return replace(placement, layers=rows)


def test_a_face_network_is_planned() -> None:
    network = faces()
    placement = plan(network)
    assert placement_rules.check(network, placement) == []
    assert placement.data_format == "CHW"


def test_kernels_are_spread_when_the_low_processors_are_full() -> None:
    layers = [
        conv(f"x{n}", f"x{n - 1}" if n else "input", 32, 32, bias=None) for n in range(30)
    ]  # 30 layers of 32 columns: 960, more than one processor holds
    network = Network("deep", (32, 8, 8), tuple(layers), ("x29",))
    placement = plan(network)
    taken = usage(network, placement)
    assert max(taken.kernel_columns) <= limits.KERNEL_COLUMNS
    assert sum(count > 0 for count in taken.kernel_columns) > 32


def test_kernels_of_zeros_take_the_room_of_those_that_follow() -> None:
    """Weights are zeros before they are trained: 13 layers of 64 columns must be refused."""
    layers = [conv(f"x{n}", f"x{n - 1}" if n else "input", 60, 60, bias=None) for n in range(13)]
    network = Network("deep", (60, 4, 4), tuple(layers), ("x12",))
    with pytest.raises(RuleError) as trained:
        plan(network)
    zeros = [replace(layer, weight=np.zeros_like(layer.weight)) for layer in layers]
    with pytest.raises(RuleError) as untrained:
        plan(replace(network, layers=tuple(zeros)))
    assert trained.value.code == untrained.value.code == "E-RULE-KERNEL-FIT"
    assert str(trained.value) == str(untrained.value)
    same = [replace(layer, weight=layers[0].weight) for layer in layers]
    placement = plan(replace(network, layers=tuple(same)))
    assert {row.kernel_column for row in placement.layers.values()} == {0}


def test_given_parts_are_kept() -> None:
    network = small()
    given = Placement({
        "a": LayerPlacement(processors=0b111 << 4, out_offset=0x1000),
        "b": LayerPlacement(kernel_column=40, bias_quadrant=0, bias_start=100),
        "c": LayerPlacement(output_processors=0b11111 << 20, in_offset=0x2000),
    })  # fmt: skip
    placement = plan(network, given)
    for name, row in given.layers.items():
        for field, value in vars(row).items():
            if value is not None:
                assert getattr(placement.layers[name], field) == value, (name, field)
    assert placement.layers["b"].in_offset == 0x1000
    assert placement.layers["b"].out_offset == 0x2000
    assert placement_rules.check(network, placement) == []


def test_a_complete_placement_comes_back_unchanged() -> None:
    network = small()
    placement = plan(network)
    assert plan(network, placement) == placement


def test_too_many_kernel_columns_are_named() -> None:
    layers = tuple(
        conv(f"x{n}", f"x{n - 1}" if n else "input", 64, 64, bias=None) for n in range(13)
    )
    network = Network("deep", (64, 4, 4), layers, ("x12",))
    with pytest.raises(RuleError) as caught:
        plan(network)
    assert caught.value.code == "E-RULE-KERNEL-BYTES"
    # twelve layers of 64 columns on 60 processors: the bytes fit, a thirteenth layer's columns not
    narrow = tuple(
        conv(f"x{n}", f"x{n - 1}" if n else "input", 60, 60, bias=None) for n in range(13)
    )
    network = Network("deep", (60, 4, 4), narrow, ("x12",))
    with pytest.raises(RuleError) as caught:
        plan(network)
    assert caught.value.code == "E-RULE-KERNEL-FIT"
    assert "768" in str(caught.value)


def test_data_that_do_not_fit_together_are_named() -> None:
    layers = (
        conv("a", "input", 1, 8),
        conv("b", "a", 8, 60),
        conv("c", "b", 60, 60),
    )
    network = Network("wide", (1, 90, 90), layers, ("c",))
    with pytest.raises(RuleError) as caught:
        plan(network)
    assert caught.value.code == "E-RULE-DATA-FIT"
    assert "32400" in str(caught.value)


def test_an_operand_that_is_read_alone_is_refused() -> None:
    layers = (
        conv("a", "input", 3, 8),
        conv("b", "a", 8, 8),
        Layer("sum", Operation.PASSTHROUGH, ("a", "b"), eltwise=Eltwise.ADD),
    )
    with pytest.raises(RuleError) as caught:
        plan(Network("residual", (3, 8, 8), layers, ("sum",)))
    assert caught.value.code == "E-RULE-JOINT-READ"


def test_an_incomplete_placement_is_refused() -> None:
    network = small()
    placement = changed(plan(network), "b", kernel_column=None)
    with pytest.raises(RuleError) as caught:
        assemble(network, placement, np.zeros((3, 10, 9), np.int8))
    assert caught.value.code == "E-PLACEMENT-INCOMPLETE"


def test_a_sample_of_another_shape_is_refused() -> None:
    network = small()
    with pytest.raises(InputError):
        assemble(network, plan(network), np.zeros((3, 9, 10), np.int8))


NEAR_MISSES = [
    ("E-RULE-PROCESSORS-IN", "b", {"processors": 0x7F}),
    ("E-RULE-PROCESSORS-OUT", "b", {"output_processors": 0x1FFFFF}),
    ("E-RULE-PROCESSORS-OUT", "b", {"output_processors": 0x7FFFF}),
    ("E-RULE-OFFSETS", "b", {"out_offset": 2}),
    ("E-RULE-OFFSETS", "c", {"out_offset": 32768 - 356}),
    ("E-RULE-WRITE-GAP", "c", {"write_gap": 16}),
    ("E-RULE-KERNEL-SPACE", "b", {"kernel_column": 602}),
    ("E-RULE-KERNEL-SPACE", "c", {"kernel_column": 764}),
    ("E-RULE-BIAS-SPACE", "b", {"bias_start": 493}),
    ("E-RULE-BIAS-SPACE", "b", {"bias_quadrant": 3}),
    ("E-RULE-DATA-FLOW", "b", {"in_offset": 0x4000}),
    ("E-RULE-DATA-FLOW", "a", {"output_processors": 0xFF0}),
]


@pytest.mark.parametrize(("code", "layer", "fields"), NEAR_MISSES)
def test_a_placement_broken_in_one_place_breaks_one_rule(
    code: str, layer: str, fields: dict[str, object]
) -> None:
    network = small()
    assert codes(network, changed(plan(network), layer, **fields)) == {code}


def test_overlaps_are_found() -> None:
    network = small()
    placement = low(network)
    a, b = placement.layers["a"], placement.layers["b"]
    same_columns = changed(placement, "b", kernel_column=a.kernel_column)
    assert codes(network, same_columns) == {"E-RULE-KERNEL-OVERLAP"}
    same_bias = changed(placement, "a", bias_start=b.bias_start, bias_quadrant=b.bias_quadrant)
    assert codes(network, same_bias) == {"E-RULE-BIAS-OVERLAP"}
    onto_input = changed(placement, "c", out_offset=(placement.layers["c"].in_offset or 0) + 64)
    assert codes(network, onto_input) == {"E-RULE-DATA-OVERLAP"}


def test_an_output_written_over_before_its_last_reader_is_found() -> None:
    layers = (
        conv("a", "input", 3, 8),
        conv("b", "a", 8, 8),
        conv("c", "b", 8, 8),
        conv("d", "a", 8, 8),
    )
    network = Network("late", (3, 6, 6), layers, ("c", "d"))
    placement = low(network)
    assert placement_rules.check(network, placement) == []
    spoiled = changed(placement, "c", out_offset=placement.layers["a"].out_offset)
    assert "E-RULE-DATA-FLOW" in codes(network, spoiled)


def test_quadrant_0_must_be_used() -> None:
    network = Network("one", (4, 4, 4), (conv("a", "input", 4, 4, bias=None),), ("a",))
    row = LayerPlacement(processors=0xF0000, output_processors=0xF0000)
    with pytest.raises(RuleError) as caught:
        plan(network, Placement({"a": row}))
    assert caught.value.code == "E-RULE-MASTER"


def test_every_placement_rule_has_a_code_of_its_own_and_a_sentence() -> None:
    rows = placement_rules.documented()
    assert len({code for code, _ in rows}) == len(rows)
    assert all(code.startswith("E-RULE-") and text.endswith(".") for code, text in rows)


def test_usage_counts_what_is_placed() -> None:
    network = faces()
    taken = usage(network, plan(network))
    assert taken.weight_bytes == network.weight_bytes
    assert sum(taken.bias_bytes) == sum(layer.bias.size for layer in network.layers)
    assert taken.kernel_end >= max(taken.kernel_columns)
    for name, used, available in taken.limits():
        assert 0 < used <= available, name
    assert {span.layer for span in taken.data_spans} == {layer.name for layer in network.layers}


def test_the_search_is_repeatable_and_needs_no_budget_for_what_is_easy() -> None:
    network = faces()
    assert plan(network) == plan(network)
    assert placement_rules.check(network, plan(network, seconds=0)) == []


def test_equal_kernels_are_stored_once() -> None:
    layer = conv("a", "input", 8, 8, bias=None)
    twin = replace(layer, name="b", inputs=("a",))
    network = Network("twins", (8, 6, 6), (layer, twin), ("b",))
    given = {name: LayerPlacement(processors=0xFF, output_processors=0xFF) for name in "ab"}
    placement = plan(network, Placement(given))
    assert placement.layers["a"].kernel_column == placement.layers["b"].kernel_column
    assert placement_rules.check(network, placement) == []


def test_a_short_memory_is_named_with_the_number_and_the_change() -> None:
    layers = tuple(
        conv(f"x{n}", f"x{n - 1}" if n else "input", 60, 60, bias=None) for n in range(13)
    )
    with pytest.raises(RuleError) as caught:
        plan(Network("deep", (60, 4, 4), layers, ("x12",)), seconds=0.1)
    text = str(caught.value)
    assert "at least 780 columns" in text and "12 more than the 768" in text
    assert "fewer bits per weight in x0 (4 bits), or" in text
    narrower = replace(
        layers[0], weight=layers[0].weight >> 4, weight_bits=4
    )  # the change that the message names
    assert plan(Network("deep", (60, 4, 4), (narrower, *layers[1:]), ("x12",)))


def test_data_memory_that_is_short_is_named_with_the_size_that_fits() -> None:
    def wide(size: int) -> Network:
        layers = (conv("a", "input", 1, 8), conv("b", "a", 8, 60), conv("c", "b", 60, 60))
        return Network("wide", (1, size, size), layers, ("c",))

    with pytest.raises(RuleError) as caught:
        plan(wide(90))
    text = str(caught.value)
    assert "while layer c runs" in text and "at least 64800 bytes" in text
    assert "32032 more than it has" in text and "data of 50 % of this size" in text
    assert plan(wide(63))


@pytest.mark.parametrize("allowed", [(1, 2), (3,), (2, 0, 3)])
def test_a_bias_goes_to_one_of_the_quadrants_that_are_allowed(allowed: tuple[int, ...]) -> None:
    net = _four_quadrants()
    given = Placement({name: LayerPlacement(bias_quadrants=allowed) for name in ("a", "b")})
    found = plan(net, given).layers
    assert {found[name].bias_quadrant for name in ("a", "b")} <= set(allowed)
    assert len({found[name].bias_quadrant for name in ("a", "b")}) == min(2, len(allowed))


def _four_quadrants() -> Network:
    weight, bias = np.ones((64, 64, 1, 1), np.int8), np.ones(64, np.int8)
    first = Layer("a", Operation.CONV2D, ("input",), weight, bias)
    second = Layer("b", Operation.CONV2D, ("a",), weight, bias)
    return Network("wide", (64, 2, 2), (first, second), ("b",))
