"""Networks written naturally become networks that the chip can run, with the same outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import on_model
import pytest

from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.errors import RuleError
from max78k.network import Activation, Cut, Eltwise, Layer, Network, Operation, Pool, reference

RNG = np.random.default_rng(11)
ADD = Eltwise.ADD
LINEAR = Operation.LINEAR


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def conv(name: str, sources: str, channels: int, out: int, k: int = 3, **fields: object) -> Layer:
    usual = {
        "weight": weights(out, channels, k, k),
        "bias": weights(out),
        "padding": k // 2,
        "output_shift": -4,
    }
    return Layer(name, Operation.CONV2D, tuple(sources.split()), **(usual | fields))


def joined(name: str, sources: str, **fields: object) -> Layer:
    return Layer(name, Operation.PASSTHROUGH, tuple(sources.split()), **fields)


def network(shape: tuple[int, ...], *layers: Layer) -> Network:
    return Network("natural", shape, layers, (layers[-1].name,))


def residual() -> Network:
    """Two blocks in a row: each sum is read by the next block and by the next sum."""
    return network(
        (3, 8, 8), conv("stem", "input", 3, 12),
        conv("a", "stem", 12, 12), joined("s", "stem a", eltwise=ADD),
        conv("b", "s", 12, 12), joined("t", "s b", eltwise=ADD), conv("end", "t", 12, 4),
    )  # fmt: skip


def wide_residual() -> Network:
    return network(
        (3, 6, 6), conv("stem", "input", 3, 80), conv("a", "stem", 80, 80),
        conv("end", "stem a", 80, 4, eltwise=ADD),
    )  # fmt: skip


def three_wide_operands() -> Network:
    """More than two operands of more than 64 channels, pooled first and convolved."""
    pool = Pool("max", (2, 2), (2, 2))
    return network(
        (3, 6, 6), *(conv(name, "input", 3, 72) for name in "abc"),
        conv("end", "a b c", 72, 4, eltwise=ADD, pool=pool),
    )  # fmt: skip


def doubled() -> Network:
    return network((3, 5, 5), conv("a", "input", 3, 6), joined("s", "a a", eltwise=ADD))


def twice_concatenated() -> Network:
    return network((3, 5, 5), conv("a", "input", 3, 30), conv("end", "a a", 60, 4))


def two_joints() -> Network:
    return network(
        (3, 5, 5), conv("a", "input", 3, 8), conv("b", "input", 3, 12), conv("c", "input", 3, 8),
        conv("x", "a b", 20, 5), conv("y", "a c", 16, 5), conv("end", "x y", 10, 3),
    )  # fmt: skip


def dense() -> Network:
    """Each layer reads all before it: the shorter stacks are parts of the longest."""
    return network(
        (3, 6, 6), conv("a", "input", 3, 10), conv("b", "a", 10, 10),
        conv("c", "a b", 20, 10), conv("end", "a b c", 30, 4),
    )  # fmt: skip


def unlike_parts() -> Network:
    """100 channels in parts of 70, 20 and 10, one of them read elsewhere, too."""
    return network(
        (3, 6, 6), conv("a", "input", 3, 70), conv("b", "input", 3, 20), conv("c", "b", 20, 10),
        conv("end", "a b c", 100, 9),
    )  # fmt: skip


def unlike_parts_handed_on() -> Network:
    return network(
        (3, 6, 6), conv("a", "input", 3, 50), conv("b", "input", 3, 40),
        joined("all", "a b", pool=Pool("max", (2, 2), (2, 2))),
        Layer("end", LINEAR, ("all",), weights(5, 810), output_width=32),
    )  # fmt: skip


def loose_parts() -> Network:
    """63 channels in three parts that do not fit side by side in words of four."""
    return network(
        (3, 6, 6), *(conv(name, "input", 3, 21) for name in "abc"),
        Layer("up", Operation.CONVTRANSPOSE2D, tuple("abc"), weights(63, 4, 3, 3), padding=1),
    )  # fmt: skip


def pooled_and_flattened() -> Network:
    pool = Pool("avg", (2, 2), (2, 2))
    return network(
        (3, 6, 6), conv("a", "input", 3, 10),
        Layer("end", LINEAR, ("a",), weights(5, 90), pool=pool, output_width=32),
    )  # fmt: skip


def many_channels_pooled() -> Network:
    return network(
        (3, 6, 6), conv("a", "input", 3, 100),
        joined("p", "a", pool=Pool("avg", (3, 3), (2, 2))), conv("end", "p", 100, 3),
    )  # fmt: skip


def large_window() -> Network:
    return network(
        (3, 34, 31), conv("a", "input", 3, 10, activation=Activation.RELU),
        conv("end", "a", 10, 3, k=1, pool=Pool("max", (34, 31), (1, 1))),
    )  # fmt: skip


def large_steps() -> Network:
    return network(
        (3, 60, 61), conv("a", "input", 3, 2),
        joined("end", "a", pool=Pool("max", (20, 24), (6, 6))),
    )  # fmt: skip


def sum_before_1d() -> Network:
    def one(name: str, sources: str, **fields: object) -> Layer:
        return Layer(name, Operation.CONV1D, tuple(sources.split()), weights(6, 6, 3),
                     padding=1, output_shift=-4, **fields)  # fmt: skip

    return network((6, 20), one("a", "input"), one("b", "a"), one("end", "a b", eltwise=ADD))


def joined_input() -> Network:
    return network((3, 6, 6), conv("a", "input", 3, 9), conv("end", "a input", 12, 4))


def input_in_a_sum() -> Network:
    return network((3, 6, 6), conv("a", "input", 3, 3), conv("end", "a input", 3, 4, eltwise=ADD))


def copies_in_one_stack() -> Network:
    """Pass-through layers alone cannot put two parts of the same data into one stack."""
    return network(
        (3, 5, 5), conv("a", "input", 3, 15), joined("b", "a"), joined("s", "a b"),
        conv("end", "s", 30, 4),
    )  # fmt: skip


def stack_with_gaps_in_a_sum() -> Network:
    return network(
        (3, 5, 5), conv("a", "input", 3, 13), conv("b", "input", 3, 13), joined("s", "a b"),
        conv("c", "s", 26, 26), conv("end", "s c", 26, 4, eltwise=ADD),
    )  # fmt: skip


def linear_with_a_part_of_a_pass() -> Network:
    return network(
        (3, 4, 4), Layer("a", LINEAR, ("input",), weights(75, 48), output_shift=-4),
        Layer("b", LINEAR, ("a",), weights(75, 75), output_shift=-4),
        joined("end", "a b", eltwise=ADD),
    )  # fmt: skip


def more_biases_than_a_quadrant_holds() -> Network:
    wide = conv("a", "input", 6, 600, k=1, output_shift=0)
    net = network((6, 3, 2), wide, conv("b", "a", 600, 4, k=1))
    return replace(net, outputs=("a", "b"))


def more_biases_of_a_linear_layer() -> Network:
    layer = Layer("a", LINEAR, ("input",), weights(1000, 20), weights(1000), output_shift=-3)
    return network((20, 1, 1), layer)


def operands_of_one_tensor() -> Network:
    return network(
        (3, 6, 6), conv("a", "input", 3, 12), conv("end", "a", 4, 5, eltwise=ADD, split=3)
    )


def pooled_part_in_another_size() -> Network:
    cut = Cut(70, 60, 1, 2)
    return network(
        (3, 8, 6), conv("a", "input", 3, 140),
        joined("p", "a", view=(16, 3), cut=cut, pool=Pool("max", (2, 2), (2, 2))),
        joined("q", "a", view=(16, 3), cut=cut, pool=Pool("avg", (2, 1), (1, 1))),
        conv("end", "p", 60, 4),
        Layer("flat", LINEAR, ("q",), weights(3, 60 * 12 * 3), output_shift=-6),
    )  # fmt: skip


def operand_in_two_quadrants() -> Network:
    part = joined("p", "a a", eltwise=Eltwise.OR, cut=Cut(2, 16))
    return network(
        (1, 3, 4), conv("a", "input", 1, 18), part,
        conv("end", "p p", 16, 1, k=1, eltwise=Eltwise.SUB),
    )  # fmt: skip


NATURAL = (
    residual, wide_residual, three_wide_operands, doubled, twice_concatenated, two_joints,
    unlike_parts, unlike_parts_handed_on, loose_parts, pooled_and_flattened, many_channels_pooled,
    large_window, large_steps, sum_before_1d, joined_input, input_in_a_sum,
    copies_in_one_stack, stack_with_gaps_in_a_sum, linear_with_a_part_of_a_pass,
    more_biases_than_a_quadrant_holds, more_biases_of_a_linear_layer, operands_of_one_tensor,
    pooled_part_in_another_size, operand_in_two_quadrants,
)  # fmt: skip


def runs(net: Network, sample: np.ndarray) -> None:
    placement = plan(net, seconds=1)
    assert placement_rules.check(net, placement) == []
    assert on_model.run(assemble(net, placement, sample)) == ([], [])


@pytest.mark.parametrize("make", NATURAL, ids=lambda make: make.__name__)
def test_a_natural_network_is_mended_without_changing_a_value(make: Callable[[], Network]) -> None:
    natural = make()
    with pytest.raises(RuleError):
        plan(natural, seconds=0)
    lowered = lower(natural)
    sample = RNG.integers(-128, 128, (2, *natural.input_shape)).astype(np.int8)
    assert np.array_equal(reference.outputs(lowered, sample), reference.outputs(natural, sample)), [
        layer.name for layer in lowered.layers
    ]
    runs(lowered, sample[0])


def test_nested_stacks_need_no_copy() -> None:
    natural = dense()
    assert lower(natural) is natural
    runs(natural, RNG.integers(-128, 128, (3, 6, 6)).astype(np.int8))


def test_a_part_of_its_own_is_widened_where_it_is_made() -> None:
    lowered = lower(unlike_parts_handed_on())
    assert [layer.out_channels for layer in lowered.layers] == [52, 52, 90, 5]


def test_what_cannot_be_mended_is_left_for_the_rules_to_name() -> None:
    average = network((3, 20, 20), joined("p", "input", pool=Pool("avg", (20, 20), (1, 1))))
    assert lower(average) is average
    large = network((3, 6, 6), conv("a", "input", 3, 4, k=5))
    assert lower(large) is large
