"""Every rule of the chip has a network that breaks it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from max78k.errors import RuleError
from max78k.network import Activation, Buffer, Cut, Eltwise, Layer, Network, Operation, Pool, rules

C2, C1, LIN, PASS, CT = (
    Operation.CONV2D,
    Operation.CONV1D,
    Operation.LINEAR,
    Operation.PASSTHROUGH,
    Operation.CONVTRANSPOSE2D,
)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.int8)


def net(*layers: Layer, shape: tuple[int, ...] = (4, 8, 8)) -> Network:
    return Network("n", shape, layers, (layers[-1].name,))


def one(operation: Operation = C2, shape: tuple[int, ...] = (4, 8, 8), **fields: object) -> Network:
    weight = {C2: ones(4, 4, 3, 3), C1: ones(4, 4, 3), CT: ones(4, 4, 3, 3), LIN: ones(4, 256)}
    fields = {"weight": weight.get(operation)} | fields
    return net(Layer("a", operation, fields.pop("inputs", ("input",)), **fields), shape=shape)


def pool(rows: int, columns: int, *stride: int) -> Pool:
    return Pool("max", (rows, columns), stride)


def many(count: int) -> Network:
    names = ["input", *(f"l{n}" for n in range(count))]
    return net(*(Layer(b, C2, (a,), ones(4, 4, 1, 1)) for a, b in pairwise(names)))


def wide_read() -> Network:
    first = Layer("a", C2, ("input",), ones(4, 4, 1, 1), output_width=32)
    return net(first, Layer("b", C2, ("a",), ones(4, 4, 1, 1)))


def eltwise(channels: int, operands: int, **fields: object) -> Network:
    parts = [Layer(f"p{n}", C2, ("input",), ones(channels, 4, 1, 1)) for n in range(operands)]
    fields = {"operation": PASS, "eltwise": Eltwise.ADD} | fields
    return net(*parts, Layer("sum", inputs=tuple(p.name for p in parts), **fields),
               shape=(4, 4, 4))  # fmt: skip


def concat_input() -> Network:
    first = Layer("a", C2, ("input",), ones(4, 4, 1, 1))
    return net(first, Layer("b", C2, ("input", "a"), ones(4, 8, 1, 1)))


def streaming(*streams: bool, padding: int = 1, flattens: bool = False) -> Network:
    names = ["input", *(f"l{n}" for n in range(len(streams)))]
    layers = [
        Layer(b, C2, (a,), ones(4, 4, 3, 3), padding=1, streaming=s)
        for (a, b), s in zip(pairwise(names), streams, strict=True)
    ]
    layers[-1] = replace(layers[-1], padding=padding)
    if flattens:
        layers.append(Layer("fc", LIN, (names[-1],), ones(2, 256), streaming=True))
    return net(*layers)


def branched(network: Network) -> Network:
    last = Layer("again", C2, (network.layers[0].name,), ones(4, 4, 3, 3), padding=1)
    return replace(network, layers=(*network.layers, last), outputs=("again",))


def kept(read: tuple[str, ...] = ("past",), **fields: object) -> Network:
    fields = {"operation": Operation.CONV1D, "weight": ones(4, 4, 1)} | fields
    new = Layer("new", fields.pop("operation"), ("input",), buffer="past", **fields)
    layers = (new, Layer("copy", PASS, read, eltwise=Eltwise.ADD if len(read) > 1 else None))
    return Network("n", (4, 24), layers, ("copy",), buffers=(Buffer("past", (4, 24)),))


BROKEN: list[tuple[str, Callable[[], Network]]] = [
    ("WEIGHT-SHAPE", lambda: one(weight=ones(4, 4))),
    ("WEIGHT-SHAPE", lambda: one(bias=ones(3))),
    ("WEIGHT-BITS", lambda: one(weight_bits=3)),
    ("WEIGHT-BITS", lambda: one(weight_bits=1)),
    ("POOL-SIZE", lambda: one(pool=pool(17, 1, 1, 1), shape=(4, 30, 30))),
    ("POOL-SIZE", lambda: one(pool=Pool("sum", (2, 2), (2, 2)))),
    ("POOL-STRIDE", lambda: one(pool=pool(2, 2, 17, 17), shape=(4, 40, 40))),
    ("OPERANDS", lambda: one(eltwise=Eltwise.ADD)),
    ("PADDING", lambda: one(padding=3)),
    ("PADDING", lambda: one(weight=ones(4, 4, 1, 1), padding=1)),
    ("PADDING", lambda: one(LIN, padding=1)),
    ("DILATION", lambda: one(dilation=2)),
    ("DILATION", lambda: one(C1, dilation=5, shape=(4, 20), padding=1)),
    ("DILATION", lambda: one(C1, weight=ones(4, 4, 4), dilation=3, shape=(4, 20))),
    ("OUTPUT-WIDTH", lambda: one(output_width=16)),
    ("OUTPUT-WIDTH", lambda: one(output_width=32, activation=Activation.RELU)),
    ("SHIFT", lambda: one(output_shift=16)),
    ("SHIFT", lambda: one(output_shift=9, weight_bits=1, weight=-ones(4, 4, 3, 3))),
    ("PASSTHROUGH", lambda: one(PASS, activation=Activation.RELU)),
    ("PASSTHROUGH", lambda: one(PASS, output_shift=1)),
    ("POOL-ORDER", lambda: eltwise(4, 3, pool=pool(2, 2, 2, 2), pool_first=False)),
    ("LAYERS", lambda: many(33)),
    ("INPUT-SHAPE", lambda: one(PASS, shape=(4, 0, 4))),
    ("WIDE-READ", wide_read),
    ("CONV1D-ELTWISE", lambda: eltwise(4, 2, operation=CT, weight=ones(4, 4, 3, 3))),
    ("CHANNELS", lambda: one(weight=ones(4, 1025, 1, 1), shape=(1025, 2, 2))),
    ("KERNEL-SIZE", lambda: one(weight=ones(4, 4, 5, 5))),
    ("KERNEL-SIZE", lambda: one(weight=ones(4, 4, 1, 3))),
    ("KERNEL-SIZE", lambda: one(C1, weight=ones(4, 4, 10), shape=(4, 20))),
    ("DIMENSION", lambda: one(C1, shape=(4, 1024))),
    ("POOL-AXES", lambda: one(pool=pool(2, 2, 2, 1))),
    ("POOL-AXES", lambda: one(C1, pool=pool(2, 2, 2, 2), shape=(4, 20))),
    ("POOL-CHANNELS", lambda: one(PASS, pool=pool(2, 2, 2, 2), shape=(65, 4, 4))),
    ("FLATTEN-POOL", lambda: one(LIN, weight=ones(4, 64), pool=pool(2, 2, 2, 2))),
    ("FLATTEN-STEPS", lambda: one(LIN, weight=ones(4, 4 * 17 * 16), shape=(4, 17, 16))),
    ("BIAS-CHANNELS", lambda: one(weight=ones(513, 4, 1, 1), bias=ones(513))),
    ("ELTWISE-PASSES", lambda: eltwise(65, 3, pool=pool(4, 4, 4, 4))),
    ("DATA-INPUT", lambda: one(PASS, shape=(4, 95, 95), pool=pool(2, 2, 2, 2))),
    ("DATA-OUTPUT", lambda: one(weight=ones(4, 1, 3, 3), shape=(1, 95, 95))),
    ("CONCAT-INPUT", concat_input),
    ("BUFFER", lambda: kept(output_width=32)),
    ("BUFFER", lambda: kept(operation=Operation.CONV1D, weight=ones(4, 4, 3), dilation=9)),
    ("BUFFER", lambda: kept(("input", "past"))),
    ("CUT", lambda: one(PASS, cut=Cut(channel=3), shape=(65, 4, 4))),
    ("CUT", lambda: one(PASS, cut=Cut(top=1), eltwise=Eltwise.ADD, split=2)),
    ("CUT", lambda: one(cut=Cut(bottom=1), padding=1, streaming=True)),
    ("OPERANDS", lambda: one(split=2)),
    ("STREAM-ORDER", lambda: streaming(False, True)),
    ("STREAM-ORDER", lambda: streaming(*[True] * 9)),
    ("STREAM-ORDER", lambda: branched(streaming(True, True))),
    ("STREAM-PADDING", lambda: streaming(True, True, padding=0)),
    ("STREAM-PADDING", lambda: streaming(True, flattens=True)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "make"), BROKEN)
def test_one_rule_refuses_a_network_broken_in_one_place(
    code: str, make: Callable[[], Network]
) -> None:
    found = rules.check(make())
    assert {error.code for error in found} == {f"E-RULE-{code}"}, [str(error) for error in found]


VALID = [
    one(padding=2),
    one(C1, dilation=4, shape=(4, 20), padding=2),
    one(CT, padding=2),
    one(LIN),
    one(PASS, pool=pool(8, 8, 1, 1), shape=(128, 8, 8)),
    one(pool=pool(16, 16, 16, 16), shape=(4, 64, 64), weight=ones(4, 4, 1, 1)),
    one(output_width=32),
    one(output_shift=8, weight_bits=1, weight=-ones(4, 4, 3, 3)),
    one(weight=ones(4, 1, 3, 3), shape=(1, 95, 95), pool=pool(2, 2, 2, 2)),
    many(32),
    eltwise(65, 3),
    eltwise(8, 2, pool=pool(2, 2, 2, 2), pool_first=False),
]


@pytest.mark.parametrize("network", VALID)
def test_networks_at_the_edge_of_the_rules_pass(network: Network) -> None:
    assert [str(error) for error in rules.check(network)] == []


def test_all_broken_rules_are_raised_together() -> None:
    network = net(
        Layer("a", C2, ("input",), ones(4, 4, 5, 5)),
        Layer("b", C2, ("a",), ones(1025, 4, 1, 1)),
    )
    with pytest.raises(RuleError) as caught:
        rules.require(network)
    assert {error.code for error in caught.value.violations} >= {
        "E-RULE-KERNEL-SIZE",
        "E-RULE-CHANNELS",
    }


def test_layers_that_do_not_fit_together_are_an_error_not_a_traceback() -> None:
    network = one(weight=ones(4, 5, 3, 3))
    assert [error.code for error in rules.check(network)] == ["E-NETWORK-SHAPE"]


def test_every_rule_has_a_code_of_its_own_and_a_sentence() -> None:
    codes = [rule.code for rule in rules.RULES]
    assert len(set(codes)) == len(codes)
    for rule in rules.RULES:
        assert rule.code.startswith("E-RULE-")
        assert rule.doc.endswith(".") and "\n" not in rule.doc


def test_every_rule_is_broken_by_some_case() -> None:
    seldom = {"E-RULE-KERNEL-BYTES", "E-RULE-BIAS-BYTES", "E-RULE-FRAME"}
    broken = {f"E-RULE-{code}" for code, _ in BROKEN}
    assert {rule.code for rule in rules.RULES} == broken | seldom


def test_all_weights_together_are_limited() -> None:
    layers = [Layer("l0", C2, ("input",), ones(900, 4, 1, 1))]
    layers.append(Layer("l1", C2, ("l0",), ones(900, 900, 1, 1)))
    codes = {error.code for error in rules.check(net(*layers, shape=(4, 1, 1)))}
    assert codes == {"E-RULE-KERNEL-BYTES"}


def test_all_biases_together_are_limited() -> None:
    layers = []
    for number in range(5):
        source = f"wide{number - 1}" if number else "input"
        thin = Layer(f"thin{number}", C2, (source,), ones(1, 500 if number else 1, 1, 1))
        wide = Layer(f"wide{number}", C2, (thin.name,), ones(500, 1, 1, 1), ones(500))
        layers += [thin, wide]
    codes = {error.code for error in rules.check(net(*layers, shape=(1, 1, 1)))}
    assert codes == {"E-RULE-BIAS-BYTES"}


def test_streaming_layers_in_front_are_accepted() -> None:
    assert rules.check(streaming(True, True, False)) == []


def test_an_input_larger_than_the_data_memory_is_accepted_where_it_streams() -> None:
    first = Layer("a", C2, ("input",), ones(4, 4, 3, 3), padding=1, streaming=True)
    second = Layer("b", C2, ("a",), ones(4, 4, 3, 3), padding=1, streaming=True,
                   pool=pool(8, 8, 8, 8))  # fmt: skip
    assert rules.check(net(first, second, shape=(4, 300, 300))) == []


def test_a_kernel_dilated_beyond_the_hardware_is_accepted_without_padding() -> None:
    assert rules.check(one(C1, dilation=5, shape=(4, 20))) == []
