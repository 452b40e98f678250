"""Choices beside addresses: which layers stream, how the input comes in, order of branches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from max78k.compiler import placement_rules
from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.layer_order import thrifty
from max78k.compiler.placement import FAST_FIFO, FIFO, MEMORY, LayerPlacement, Placement
from max78k.compiler.usage import usage
from max78k.errors import RuleError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Eltwise, Layer, Network, Operation, Pool

RNG = np.random.default_rng(4)


def conv(name: str, source: str, sizes: tuple[int, int], pool: int = 1, padding: int = 1) -> Layer:
    weight = RNG.integers(-128, 128, (sizes[1], sizes[0], 3, 3)).astype(np.int8)
    bias = RNG.integers(-128, 128, sizes[1]).astype(np.int8)
    window = Pool("max", (pool, pool), (pool, pool)) if pool > 1 else None
    return Layer(name, Operation.CONV2D, (source,), weight, bias, 8, -5, pool=window,
                 padding=padding)  # fmt: skip


def picture(size: int = 96, channels: int = 3, padding: int = 1) -> Network:
    """A chain that halves the picture before every layer but the first."""
    layers = (
        conv("a", "input", (channels, 8), padding=padding),
        conv("b", "a", (8, 12), 2, padding),
        conv("c", "b", (12, 70), 2, padding),
        conv("d", "c", (70, 5), 4, padding),
    )
    return Network("picture", (channels, size, size), layers, ("d",))


def streams(network: Network) -> list[str]:
    return [layer.name for layer in network.layers if layer.streaming]


def refusal(network: Network, given: Placement | None = None) -> dict[str, str]:
    with pytest.raises(RuleError) as caught:
        arrange(network, given)
    return {error.code: str(error) for error in caught.value.violations}


@pytest.mark.parametrize(
    ("size", "channels", "layers"), [(60, 3, []), (96, 3, ["a", "b"]), (176, 1, ["a", "b"]),
                                     (120, 14, ["a", "b"]), (224, 3, ["a", "b", "c"])],
)  # fmt: skip
def test_as_many_layers_stream_as_the_data_memory_asks_for(
    size: int, channels: int, layers: list[str]
) -> None:
    network = picture(size, channels)
    arranged, placement = arrange(network)
    assert streams(arranged) == layers
    assert placement.feed == (FIFO if layers else MEMORY)
    assert placement_rules.check(arranged, placement) == []
    sample = RNG.integers(-128, 128, network.input_shape).astype(np.int8)
    image = assemble(arranged, placement, sample)
    runner = ImageRunner(image)
    assert np.array_equal(runner.infer(sample), image.expected_output)
    assert runner.findings == []


def test_layers_that_are_to_stream_do_and_no_others() -> None:
    network = picture(32).with_layer("a", streaming=True)
    arranged, placement = arrange(network)
    assert streams(arranged) == ["a"] and placement.feed == FIFO


def test_rolling_buffers_take_little_memory() -> None:
    network = picture(32)
    whole = usage(*arrange(network))
    layers = tuple(replace(layer, streaming=layer.name < "d") for layer in network.layers)
    rolling = usage(*arrange(replace(network, layers=layers)))
    assert rolling.data_bytes < whole.data_bytes / 4


@pytest.mark.parametrize(
    ("channels", "feed", "processors", "data_format"),
    [(1, FIFO, 0x1, "CHW"), (3, FIFO, 0x7, "HWC"), (6, FIFO, 0x3_000F, "HWC"),
     (16, FIFO, 0x000F_000F_000F_000F, "HWC"), (1, FAST_FIFO, 0x1, "CHW")],
)  # fmt: skip
def test_fifo_input_goes_to_processors_that_a_fifo_reaches(
    channels: int, feed: str, processors: int, data_format: str
) -> None:
    arranged, placement = arrange(picture(20, channels), Placement({}, feed=feed))
    assert placement.layers["a"].processors == processors
    assert (placement.feed, placement.data_format, streams(arranged)) == (feed, data_format, [])


def test_more_channels_than_fifos_carry_are_refused() -> None:
    assert "at most 16" in refusal(picture(20, 17), Placement({}, feed=FIFO))["E-RULE-FIFO-INPUT"]
    assert "17 channels" in refusal(picture(96, 17))["E-PLAN-STREAM"]


def test_a_refusal_names_memory_numbers_and_why_streaming_does_not_help() -> None:
    found = refusal(picture(96, padding=0))
    assert "35344 bytes, an instance has 32768" in found["E-RULE-DATA-INPUT"]
    assert "the first 2 layers streaming" in found["E-PLAN-STREAM"]
    assert "padding 1 or 2" in found["E-PLAN-STREAM"]


def test_what_is_no_2d_convolution_is_not_made_to_stream() -> None:
    weight = RNG.integers(-128, 128, (4, 640, 3)).astype(np.int8)
    layer = Layer("a", Operation.CONV1D, ("input",), weight, output_shift=-4, padding=1)
    found = refusal(Network("long", (640, 900), (layer,), ("a",)))
    assert "conv1d" in found["E-PLAN-STREAM"]


def test_addresses_that_cannot_be_kept_are_named_as_what_is_in_the_way() -> None:
    given = Placement({"a": LayerPlacement(0x7, 0xFF, 0, 0x4000)})
    found = refusal(picture(96), given)
    assert "layers that stream: a, b" in found["E-PLAN-GIVEN"]
    assert "E-PLAN-GIVEN" not in refusal(picture(96, padding=0), given)


def branches(order: str, size: int) -> Network:
    """Two branches that each shrink a large tensor; their sum."""
    rows = {
        "x": conv("x", "input", (4, 64)),
        "a": conv("a", "x", (64, 64)),
        "ra": conv("ra", "a", (64, 16), 8),
        "b": conv("b", "x", (64, 64)),
        "rb": conv("rb", "b", (64, 16), 8),
        "s": Layer("s", Operation.PASSTHROUGH, ("ra", "rb"), eltwise=Eltwise.ADD),
    }
    return Network("branches", (4, size, size), tuple(rows[x] for x in order.split()), ("s", "x"))


def order_of(network: Network) -> str:
    return " ".join(layer.name for layer in network.layers)


def test_one_branch_is_finished_before_the_other_where_memory_is_short() -> None:
    together = branches("x a b ra rb s", 56)
    arranged, placement = arrange(together)
    assert order_of(arranged) == "x a ra b rb s"
    assert placement_rules.check(arranged, placement) == []
    roomy = branches("x a b ra rb s", 24)
    assert order_of(arrange(roomy).network) == order_of(roomy)


def test_an_order_that_is_as_good_as_any_is_kept() -> None:
    assert thrifty(branches("x a ra b rb s", 56)) is None
    assert thrifty(branches("x b rb a ra s", 56)) is None
    better = thrifty(branches("x b a rb ra s", 56))
    assert better is not None and order_of(better) == "x b rb a ra s"
