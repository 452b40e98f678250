"""Data that stay on the chip from one inference to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import FIFO, Placement
from max78k.errors import InputError, RuleError
from max78k.flows.accelerator_runs import run_image
from max78k.formats.network_yaml import bind, read_yaml, write_yaml
from max78k.formats.onnx_export import build_model
from max78k.network import Activation, Buffer, Cut, Layer, Network, Operation, reference, rules

DICE = np.random.default_rng(0)
INPUTS = DICE.integers(-128, 128, (20, 3, 8, 8)).astype(np.int8)


def weights(*shape: int) -> Any:
    return DICE.integers(-20, 20, shape).astype(np.int8)


def temporal(channels: int = 20, dilation: int = 2, window: int = 15) -> Network:
    """A picture becomes the newest of ``window`` values, over which a 1-D convolution goes."""
    left = window - 2 * dilation
    layers = (
        Layer("conv", Operation.CONV2D, ("input",), weights(8, 3, 3, 3),
              activation=Activation.RELU),
        Layer("shift", Operation.PASSTHROUGH, ("past",), cut=Cut(top=1), buffer="past"),
        Layer("new", Operation.LINEAR, ("conv",), weights(channels, 8 * 36), output_shift=-1,
              buffer="past", buffer_row=window - 1),
        Layer("times", Operation.CONV1D, ("past",), weights(12, channels, 3),
              dilation=dilation, activation=Activation.RELU),
        Layer("fc", Operation.LINEAR, ("times",), weights(5, 12 * left), output_width=32),
    )  # fmt: skip
    buffers = (Buffer("past", (channels, window)),)
    return Network("temporal", (3, 8, 8), layers, ("fc",), buffers=buffers)


def rolling_rows() -> Network:
    """Two rows of a picture come in; the last eight are convolved."""
    layers = (
        Layer("shift", Operation.PASSTHROUGH, ("rows",), cut=Cut(top=2), buffer="rows"),
        Layer("new", Operation.PASSTHROUGH, ("input",), buffer="rows", buffer_row=6),
        Layer("conv", Operation.CONV2D, ("rows",), weights(6, 3, 3, 3), padding=1),
    )
    return Network("rows", (3, 2, 7), layers, ("conv",), buffers=(Buffer("rows", (3, 8, 7)),))


def image(network: Network, given: Placement | None = None) -> Image:
    arranged = arrange(network, given)
    sample = np.zeros(network.input_shape, np.int8)
    return assemble(arranged.network, arranged.placement, sample)


@pytest.mark.parametrize("feed", [None, Placement({}, feed=FIFO)])
@pytest.mark.parametrize(
    "network",
    [temporal(), temporal(6), temporal(100), temporal(dilation=6)],
    ids=["20 channels", "6 channels", "two passes", "folded"],
)
def test_a_sequence_of_inferences_is_that_of_the_reference(
    network: Network, feed: Placement | None
) -> None:
    assert rules.check(network) == []
    expected = reference.outputs(network, INPUTS)
    assert not np.array_equal(expected[1], reference.outputs(network, INPUTS[1:2])[0])
    np.testing.assert_array_equal(run_image(image(network, feed), INPUTS), expected)


def test_rows_of_a_picture_are_kept() -> None:
    network = rolling_rows()
    stripes = DICE.integers(-128, 128, (6, 3, 2, 7)).astype(np.int8)
    got = run_image(image(network), stripes)
    np.testing.assert_array_equal(got, reference.outputs(network, stripes))
    whole = np.concatenate(list(stripes[2:]), axis=1)  # the last four inputs
    conv = replace(network.layers[2], inputs=("input",))
    alone = Network("alone", (3, 8, 7), (conv,), ("conv",))
    np.testing.assert_array_equal(got[5], reference.outputs(alone, whole[None])[0])


def test_a_buffer_that_is_written_over_is_found() -> None:
    network = temporal()
    placement = plan(network)
    place = placement.layers["times"]
    for name in ("conv", "times"):  # over the buffer: found when it is read, or at the end
        row = replace(placement.layers[name], out_offset=0, output_processors=0xFF0)
        if name == "times":
            row = replace(place, out_offset=0, output_processors=0xFFF0)
        wrong = replace(placement, layers=placement.layers | {name: row})
        codes = {error.code for error in placement_rules.check(network, wrong)}
        assert codes & {"E-RULE-DATA-FLOW", "E-RULE-DATA-OVERLAP"}


def test_data_over_a_buffer_behind_its_last_reader_are_found() -> None:
    network = temporal()
    placement = plan(network)
    buffer = placement.layers["shift"].output_processors or 0
    row = replace(
        placement.layers["fc"],
        out_offset=0,
        output_processors=buffer & 0xFFF0 & -(buffer & 0xFFF0) * 31,
    )
    wrong = replace(placement, layers=placement.layers | {"fc": row})
    errors = placement_rules.check(network, wrong)
    assert [error.code for error in errors] == ["E-RULE-DATA-FLOW"]
    assert "the next inference's buffer past" in errors[0].message


def test_a_description_keeps_buffers_and_their_places(tmp_path: Path) -> None:
    network = temporal()
    placement = plan(network)
    for given in (placement, Placement({})):
        write_yaml(network, given, tmp_path / "n.yaml")
        again, asked = bind(read_yaml(tmp_path / "n.yaml"), network, network.input_shape)
        assert again.buffers == network.buffers
        for old, new in zip(network.layers, again.layers, strict=True):
            assert (old.cut, old.buffer, old.buffer_row) == (new.cut, new.buffer, new.buffer_row)
        np.testing.assert_array_equal(
            run_image(image(again, asked), INPUTS), reference.outputs(network, INPUTS)
        )
    write_yaml(network, placement, tmp_path / "n.yaml")
    _, asked = bind(read_yaml(tmp_path / "n.yaml"), network, network.input_shape)
    found = plan(network, asked)
    for name, row in placement.layers.items():
        assert found.layers[name].out_offset == row.out_offset
        assert found.layers[name].output_processors == row.output_processors


def test_a_given_place_of_a_buffer_is_kept(tmp_path: Path) -> None:
    write_yaml(temporal(), Placement({}), tmp_path / "n.yaml")
    text = (tmp_path / "n.yaml").read_text()
    place = "    dim: 15\n    offset: 0x7fc4\n    processors: 0x00fffff000000000\n"
    (tmp_path / "n.yaml").write_text(text.replace("    dim: 15\n", place, 1))
    network, given = bind(read_yaml(tmp_path / "n.yaml"), temporal(), (3, 8, 8))
    row = plan(network, given).layers["new"]
    assert row.out_offset == 0x7FC4 + 4 * 14
    assert row.output_processors == 0x00FFFFF000000000


def test_the_temporal_network_of_the_vendor_runs_as_it_is_placed(shared_folder: Path) -> None:
    path = shared_folder / "golden" / "n-kinetics" / "network.yaml"
    description = read_yaml(path)
    bound = bind(description, _kinetics_weights(), (96, 60, 60))
    arranged = arrange(*bound)
    inputs = DICE.integers(-128, 128, (2, 96, 60, 60)).astype(np.int8)
    compiled = assemble(arranged.network, arranged.placement, inputs[0])
    first = {write.address % 0x8000 for write in compiled.clear}
    assert (min(first), max(first), len(compiled.clear)) == (0x7FC4, 0x7FFC, 8 * 15)
    np.testing.assert_array_equal(run_image(compiled, inputs), reference.outputs(bound[0], inputs))


def _kinetics_weights() -> Any:
    from max78k.formats.layer_weights import LayerWeights

    one, three = (64, 64, 1, 1), (64, 64, 3, 3)
    shapes = [(64, 96, 1, 1), *[three] * 4, *[one, three, three] * 2, one, three]
    shapes += [(32, 64, 3, 3), (32, 32, 3), (32, 32, 3), (5, 32, 3)]
    return [LayerWeights(f"w{n}", weights(*shape)) for n, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"new": {"buffer_row": 15}}, "E-NETWORK-SHAPE"),
        ({"fc": {"inputs": ("new",)}}, "E-RULE-BUFFER"),
        ({"conv": {"streaming": True}}, "E-RULE-BUFFER"),
        ({"new": {"output_width": 32}}, "E-RULE-BUFFER"),
    ],
)
def test_what_a_buffer_cannot_do_is_refused(changes: dict[str, Any], code: str) -> None:
    network = temporal()
    if "fc" in changes:
        changes["fc"]["weight"] = weights(5, 20)
    for name, fields in changes.items():
        network = network.with_layer(name, **fields)
    assert code in {error.code for error in rules.check(network)}


def test_a_saved_network_keeps_its_buffers(tmp_path: Path) -> None:
    temporal().save(tmp_path / "n.npz")
    again = Network.load(tmp_path / "n.npz")
    assert again.buffers == (Buffer("past", (20, 15)),)
    assert (again.layers[2].buffer, again.layers[2].buffer_row) == ("past", 14)


def test_an_onnx_model_of_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"E-ONNX-BUFFER .*past"):
        build_model(temporal())


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("name: a, op: none, buffer_shift: 1", "E-YAML-BUFFER"),
        ("name: a, op: none, buffer_insert: 3", "E-YAML-BUFFER"),
        ("name: a, op: conv2d, in_sequences: past, buffer_shift: 1", "E-YAML-CONFLICT"),
        ("name: past, op: none", "E-YAML-SEQUENCE"),
    ],
)
def test_a_wrong_description_names_the_line(row: str, code: str, tmp_path: Path) -> None:
    buffers = "data_buffer:\n  - {name: past, channels: 4, dim: [8, 8]}\n"
    text = f"arch: net\ndataset: d\n{buffers}layers:\n  - {{{row}}}\n"
    (tmp_path / "n.yaml").write_text(text)
    with pytest.raises(RuleError, match=rf"{code} .*line 6"):
        bind(read_yaml(tmp_path / "n.yaml"), [], (4, 8, 8))
