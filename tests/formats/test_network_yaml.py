"""Descriptions: every bad key is named with its line; what is written is read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import drawn_networks
import numpy as np
import pytest

from max78k.compiler.placement import LayerPlacement, Placement
from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.layer_weights import LayerWeights, weights_of
from max78k.formats.network_yaml import bind, input_shape_of, read_yaml, write_yaml, yaml_text
from max78k.formats.vendor_checkpoint import read_vendor_q, write_vendor_q
from max78k.network import Activation, Layer, Network, Operation, Pool

HEAD = "arch: net\ndataset: d\nlayers:\n"
SMALL = HEAD + "  - {op: conv2d, processors: 0x7, activate: ReLU}\n"


def description(tmp_path: Path, text: str):
    path = tmp_path / "n.yaml"
    path.write_text(text)
    return read_yaml(path)


def weights(out: int, channels: int, *kernel: int, name: str = "w", **rest: object) -> LayerWeights:
    values = np.arange(out * channels * int(np.prod(kernel))) % 7 - 3
    return LayerWeights(name, values.reshape(out, channels, *kernel).astype(np.int8), **rest)


def refusals(tmp_path: Path, text: str) -> list[Max78kError]:
    with pytest.raises(RuleError) as caught:
        description(tmp_path, text)
    return caught.value.violations


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ("procesors: 1", "E-YAML-KEY", "`processors`"),
        ("op: conv2d, operator: conv2d", "E-YAML-ALIAS", "`operator` says `operation` again"),
        ("op: conv3d", "E-YAML-VALUE", "must be one of conv1d, conv2d"),
        ("op: [conv2d]", "E-YAML-VALUE", "not ['conv2d']"),
        ("pad: 3", "E-YAML-VALUE", "from 0 to 2, not 3"),
        ("pad: true", "E-YAML-VALUE", "whole number"),
        ("pad: 1.5", "E-YAML-VALUE", "whole number"),
        ("processors: 0", "E-YAML-VALUE", "1 to 64 processors"),
        ("processors: 0x1ffffffffffffffff", "E-YAML-VALUE", "1 to 64 processors"),
        ("processors: abc", "E-YAML-VALUE", "not 'abc'"),
        ("max_pool: 17", "E-YAML-VALUE", "from 1 to 16"),
        ("max_pool: [1, 2, 3]", "E-YAML-VALUE", "a list of two, not [1, 2, 3]"),
        ("in_dim: [0, 12]", "E-YAML-VALUE", "from 1 to 1048576, not [0, 12]"),
        ("in_dim: [1, 2, 3, 4, 5]", "E-YAML-VALUE", "not a list of 5"),
        ("kernel_size: 3by3", "E-YAML-VALUE", "1x1, 3x3"),
        ("kernel_size: 5x5", "E-YAML-CONFLICT", "kernel size 5x5 in conv2d"),
        ("op: linear, kernel_size: 1x1", "E-YAML-CONFLICT", "no such key"),
        ("kernel_size: 1x1, pad: 1", "E-YAML-CONFLICT", "not below the kernel size"),
        ("stride: 2", "E-YAML-CONFLICT", "`pool_stride`"),
        ("dilation: 2", "E-YAML-CONFLICT", "only conv1d dilates"),
        ("quantization: 3", "E-YAML-VALUE", "1, 2, 4 or 8"),
        ("quantization: bin", "E-YAML-VALUE", "MAX78002"),
        ("output_width: 16", "E-YAML-VALUE", "8 or 32"),
        ("streaming: maybe", "E-YAML-VALUE", "true or false"),
        ("groups: 4", "E-YAML-MAX78002", "must be 1 here"),
        ("readahead: true", "E-YAML-MAX78002", "must be False here"),
        ("operands: 2", "E-YAML-CONFLICT", "without an element-wise"),
        ("op: add, eltwise: add", "E-YAML-CONFLICT", "element-wise"),
        ("op: convtranspose2d, output_pad: 0", "E-YAML-CONFLICT", "output pad 0"),
        ("in_sequences: later", "E-YAML-SEQUENCE", "no earlier layer"),
        ("name: stop", "E-YAML-VALUE", "must not be"),
        ("name: 'a b'", "E-YAML-VALUE", "letters, digits"),
        ("next_sequence: 5", "E-YAML-MAX78002", "jumps"),
        ("bias_group: 4", "E-YAML-VALUE", "from 0 to 3"),
        ("in_sequences: {a: 1}", "E-YAML-VALUE", "sequence number"),
    ],
)
def test_a_bad_key_is_named_with_line_and_change(
    tmp_path: Path, row: str, code: str, words: str
) -> None:
    errors = refusals(tmp_path, HEAD + "  - {" + row + "}\n")
    assert [error.code for error in errors] == [code]
    assert words in str(errors[0])
    assert "n.yaml line 4" in str(errors[0])


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    text = "dataset: d\nlayers:\n  - pad: 9\n    opp: conv2d\n  - name: 3\n  - 5\nsnoop: [{}]\n"
    errors = refusals(tmp_path, text)
    assert [error.code for error in errors] == [
        "E-YAML-VALUE", "E-YAML-MAX78002", "E-YAML-MISSING",
    ]  # fmt: skip
    errors = refusals(tmp_path, text.replace("  - 5\n", ""))
    assert {error.code for error in errors} == {
        "E-YAML-VALUE", "E-YAML-KEY", "E-YAML-MAX78002", "E-YAML-MISSING",
    }  # fmt: skip
    assert "line 4: a layer has no key 'opp'. Try: `op`." in "\n".join(map(str, errors))


def test_layers_beyond_32_repeated_names_and_numbers_are_refused(tmp_path: Path) -> None:
    assert refusals(tmp_path, HEAD + "  - {op: none}\n" * 33)[0].code == "E-YAML-LAYERS"
    twice = HEAD + "  - {op: none, name: a}\n  - {op: none, name: a, sequence: 0}\n"
    texts = [str(error) for error in refusals(tmp_path, twice)]
    assert any("sequence 0 is given twice" in text for text in texts)
    assert any("layer name a is given twice" in text for text in texts)
    assert refusals(tmp_path, "arch: a\ndataset: b\nlayers: []\n")[0].code == "E-YAML-LAYERS"


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    for text in ("", "- a\n", "word"):
        with pytest.raises(InputError, match="a network description is a mapping"):
            description(tmp_path, text)


def test_spellings_and_forms_of_the_vendor_are_read(tmp_path: Path) -> None:
    read = description(
        tmp_path,
        HEAD + "  - {convolution: Conv2D, processors: 0x0000.0000.0000.0111, activate: relu}\n"
        "  - {operator: FC, processors: '0x0000_000f', bias_quadrant: 1, flatten: true}\n",
    )
    first, second = read.layers
    assert (first.operation, first.padding, first.kernel) == (Operation.CONV2D, 1, (3, 3))
    assert first.values["processors"] == 0x111
    assert first.values["activation"] is Activation.RELU
    assert second.operation is Operation.LINEAR
    assert second.values["bias_group"] == (1,)
    assert read.is_placed


def same_network(left: Network, right: Network) -> bool:
    def plain(layer: Layer) -> Layer:
        return replace(layer, weight=None, bias=None)

    def equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
        return (a is None) == (b is None) and (a is None or np.array_equal(a, b))

    def fields(layer: Layer) -> dict[str, object]:
        return dict(vars(plain(layer)))

    return (
        (left.name, left.input_shape, left.outputs)
        == (right.name, right.input_shape, right.outputs)
        and [fields(x) for x in left.layers] == [fields(x) for x in right.layers]
        and all(
            equal(a.weight, b.weight) and equal(a.bias, b.bias)
            for a, b in zip(left.layers, right.layers, strict=True)
        )
    )


def random_placement(network: Network, seed: int) -> Placement:
    rng = np.random.default_rng(seed)
    layers = {}
    for layer in network.layers:
        numbers = [int(n) for n in rng.integers(1, 1 << 63, 2)]
        offsets = [4 * int(n) for n in rng.integers(0, 8192, 2)]
        quadrant = int(rng.integers(0, 4)) if layer.bias is not None else None
        gap = int(rng.integers(0, 3))
        layers[layer.name] = LayerPlacement(
            *numbers, *offsets, bias_quadrant=quadrant, write_gap=gap
        )
    return Placement(layers, str(rng.choice(["HWC", "CHW"])))


def normal(network: Network) -> Network:
    """Without what a description cannot tell apart: a pooling window of one pixel, step 1."""
    one = (1, 1)
    layers = tuple(
        replace(layer, pool=None) if layer.pool and layer.pool.size == layer.pool.stride == one
        else layer
        for layer in network.layers
    )  # fmt: skip
    return replace(network, layers=layers)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back(seed: int, tmp_path: Path) -> None:
    network = replace(normal(drawn_networks.draw(seed)), class_names=("a", "b"))
    placement = random_placement(network, seed)
    path = tmp_path / "net.yaml"
    write_yaml(network, placement, path)
    bound, placed = bind(read_yaml(path), network, network.input_shape)
    assert same_network(bound, network)
    assert bound.class_names == ("a", "b")
    assert placed == placement


@pytest.mark.parametrize("seed", range(10))
def test_description_and_checkpoint_together_hold_the_network(seed: int, tmp_path: Path) -> None:
    network = normal(drawn_networks.draw(seed))
    write_yaml(network, Placement({}), tmp_path / "net.yaml")
    write_vendor_q(network, tmp_path / "net-q.pth.tar")
    checkpoint = read_vendor_q(tmp_path / "net-q.pth.tar")
    description, first = read_yaml(tmp_path / "net.yaml"), network.layers[0]
    shape = input_shape_of(description, checkpoint.layers)
    assert shape == (None if first.eltwise or first.cut or first.view else network.input_shape)
    bound, placed = bind(description, checkpoint, network.input_shape)
    assert same_network(bound, network)
    assert all(place.processors is None for place in placed.layers.values())


def test_names_that_yaml_takes_for_something_else_are_quoted(tmp_path: Path) -> None:
    layer = Layer("on", Operation.PASSTHROUGH, ("input",))
    network = Network("yes", (1, 4, 4), (layer,), ("on",))
    path = tmp_path / "n.yaml"
    write_yaml(network, Placement({}), path, dataset="1e3: x\n- y")
    read = read_yaml(path)
    assert (read.arch, read.values["dataset"]) == ("yes", "1e3: x\n- y")
    assert read.layers[0].values["name"] == "on"


def test_a_description_without_its_last_output_is_not_written(tmp_path: Path) -> None:
    layers = tuple(Layer(name, Operation.PASSTHROUGH, ("input",)) for name in ("a", "b"))
    network = Network("n", (1, 4, 4), layers, ("a",))
    with pytest.raises(InputError, match=r"E-YAML-OUTPUT .* last layer b"):
        write_yaml(network, Placement({}), tmp_path / "n.yaml")
    assert not list(tmp_path.iterdir())


def test_defaults_of_the_vendor_fill_a_placed_file_only(tmp_path: Path) -> None:
    text = HEAD + (
        "  - {op: conv2d, processors: 0x7, out_offset: 0x2000}\n"
        "  - {op: conv2d, processors: 0xf0, pad: 1}\n"
    )
    numbers = [weights(4, 3, 3, 3), weights(70, 4, 3, 3)]
    _, placed = bind(description(tmp_path, text), numbers, (3, 8, 8))
    first, second = placed.layers.values()
    assert (first.in_offset, first.output_processors) == (0, 0xF0)
    assert (second.in_offset, second.out_offset) == (0x2000, 0)
    assert second.output_processors == (1 << 36) - 1  # 70 channels: two passes of 36 slots
    open_text = text.replace("processors: 0x7, ", "")
    _, asked = bind(description(tmp_path, open_text), numbers, (3, 8, 8))
    first, second = asked.layers.values()
    assert (first.processors, first.output_processors, first.in_offset) == (None, None, None)
    assert (first.out_offset, second.processors, second.in_offset) == (0x2000, 0xF0, None)


def test_a_checkpoint_of_another_network_is_refused_with_shapes(tmp_path: Path) -> None:
    read = description(tmp_path, SMALL)
    with pytest.raises(RuleError, match=r"kernel size 3x3, but c1 has shape \(4, 3, 1, 1\)"):
        bind(read, [weights(4, 3, 1, 1, name="c1")], (3, 8, 8))
    with pytest.raises(RuleError, match=r"take 5 channels, .*\(3, 8, 8\).* 3 .*\(4, 5, 3, 3\)"):
        bind(read, [weights(4, 5, 3, 3)], (3, 8, 8))
    with pytest.raises(RuleError, match=r"biases of shape \(3,\), weights \(4, 3, 3, 3\)"):
        bind(read, [weights(4, 3, 3, 3, bias=np.zeros(3, np.int8))], (3, 8, 8))
    with pytest.raises(RuleError, match="1 layers with weights, the checkpoint has 2"):
        bind(read, [weights(4, 3, 3, 3)] * 2, (3, 8, 8))
    with pytest.raises(RuleError, match="no weights left: the checkpoint has 0 layers"):
        bind(read, [], (3, 8, 8))
    four_bits = description(tmp_path, SMALL.replace("0x7", "0x7, quantization: 4"))
    with pytest.raises(RuleError, match="`quantization` 4, but w has 8-bit weights"):
        bind(four_bits, [weights(4, 3, 3, 3)], (3, 8, 8))


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    network, _ = bind(description(tmp_path, SMALL), [weights(4, 3, 3, 3)], (3, 8, 8))
    write_vendor_q(network, tmp_path / "q", arch="other")
    with pytest.raises(InputError, match=r"E-YAML-ARCH .* describes net, the checkpoint other"):
        bind(description(tmp_path, SMALL), read_vendor_q(tmp_path / "q"), (3, 8, 8))


def test_weights_are_used_again_where_the_file_says_so(tmp_path: Path) -> None:
    text = HEAD + (
        "  - {op: conv2d, name: a}\n"
        "  - {op: conv2d, weight_source: a, max_pool: 2, pool_stride: 2}\n"
    )
    item = weights(3, 3, 3, 3, output_shift=-2)
    network, _ = bind(description(tmp_path, text), [item], (3, 8, 8))
    assert network.layers[1].weight is network.layers[0].weight
    assert network.layers[1].output_shift == -2
    assert network.layers[1].pool == Pool("max", (2, 2), (2, 2))
    wrong = description(tmp_path, text.replace("weight_source: a", "weight_source: 7"))
    with pytest.raises(RuleError, match="E-YAML-SEQUENCE"):
        bind(wrong, [item], (3, 8, 8))


def test_layers_without_a_name_take_that_of_their_weights(tmp_path: Path) -> None:
    text = HEAD + "  - {op: conv2d}\n  - {op: none}\n  - {op: conv2d}\n"
    items = [weights(3, 3, 3, 3, name="stem"), weights(3, 3, 3, 3, name="stem")]
    network, _ = bind(description(tmp_path, text), items, (3, 8, 8))
    assert [layer.name for layer in network.layers] == ["stem", "layer1", "layer2"]


def test_the_text_says_what_a_reader_needs() -> None:
    network = drawn_networks.draw(4)
    text = yaml_text(network, random_placement(network, 4), "FER")
    assert "arch: drawn\ndataset: FER\n" in text
    for layer in network.layers:
        assert f"name: {layer.name}\n" in text
    assert len(weights_of(network)) == text.count("quantization: ")


def test_streaming_views_and_split_operands_are_read(tmp_path: Path) -> None:
    rows = """  - {op: conv2d, streaming: true}
  - {op: add, in_dim: [4, 16]}
"""
    read = description(tmp_path, HEAD + rows)
    network, _ = bind(read, [weights(4, 3, 3, 3)], (3, 8, 8))
    first, second = network.layers
    assert (first.streaming, first.split, first.view) == (True, 1, None)
    assert (second.streaming, second.split, second.view) == (False, 2, (4, 16))
    assert (second.inputs, second.operands) == ((first.name,), 2)


def test_views_and_operands_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    for row, words in (
        ("in_dim: [4, 15]", "data of size \\(8, 8\\) cannot be seen as \\(4, 15\\)"),
        ("eltwise: add", "3 channels are not 2 equal operands"),
    ):
        read = description(tmp_path, HEAD + "  - {op: conv2d, " + row + "}\n")
        with pytest.raises(RuleError, match=f"E-YAML-SHAPE .*n.yaml line 4: .*{words}"):
            bind(read, [weights(4, 3, 3, 3)], (3, 8, 8))
