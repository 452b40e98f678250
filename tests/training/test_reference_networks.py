"""References have the parameters of the networks they stand for; twins have their places."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from max78k.compiler.allocate import plan
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.faces import faces
from max78k.errors import InputError
from max78k.training.base import is_plain
from max78k.training.calibrate import calibrate
from max78k.training.checkpoint import load_model
from max78k.training.convert import to_network
from max78k.training.fit import train
from max78k.training.options import TrainOptions
from max78k.training.registry import (
    build,
    input_shape,
    network_name,
    reference_networks,
    shipped_networks,
)

_NORMALISED = 64 + 128 + 256 + 512 + 512 + 256 + 128 + 64  # channels of batch norm in fer_deep
# parameters; input; classes
REFERENCES = {
    "emotorch_baseline": (6_964, (1, 48, 48), 4),
    "emotorch": (321_892, (1, 48, 48), 4),
    "emotion4": (595_076, (1, 48, 48), 4),
    "fer28": (70_572 + 7, (1, 28, 28), 7),
    "fer_cnn28": (686_599, (1, 28, 28), 7),
    "fer_cnn48": (2_456_071, (1, 48, 48), 7),
    "fer_deep": (6_318_471 - 2 * _NORMALISED, (1, 48, 48), 7),
    "fer_resnet": (11_181_127, (1, 48, 48), 7),
    "fer_teacher": (2_768_423, (1, 48, 48), 7),
}
# weight bytes of the twin on the chip, biases
TWINS = {
    "emotorch_baseline": (6_030, 44),
    "emotorch": (319_776, 708),
    "emotion4": (41_744, 84),
    "fer28": (70_572, 7),
    "fer_cnn48": (315_424, 551),
    "fer_deep": (351_232, 551),
}


def parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_has_its_parameters_and_computes(name: str) -> None:
    wanted, shape, classes = REFERENCES[name]
    spec = f"references/{name}"
    model = build(spec, classes)
    assert is_plain(model)
    assert parameters(model) == wanted
    assert input_shape(spec) == shape
    with torch.no_grad():
        assert model.eval()(torch.zeros(2, *shape)).shape == (2, classes)


def test_the_deep_reference_has_its_numbers_as_keras_counts_them() -> None:
    model = build("references/fer_deep", 7)
    statistics = [x for name, x in model.named_buffers() if "running" in name]
    assert parameters(model) + sum(x.numel() for x in statistics) == 6_318_471


def test_every_reference_is_listed_here() -> None:
    assert [Path(name).name for name in reference_networks()] == sorted(REFERENCES)


@pytest.mark.parametrize(("depth", "features", "total"), [
    (18, 512, 11_689_512), (50, 2048, 25_557_032),
])  # fmt: skip
def test_resnets_have_the_parameters_of_the_published_ones(depth, features, total) -> None:
    model = build("references/fer_resnet", 7, arguments={"depth": depth})
    body = parameters(model) - parameters(model.head)
    assert body + features * 1000 + 1000 == total
    assert parameters(model.head) == 2 * features + features * 7 + 7


def test_a_resnet_of_another_depth_is_refused() -> None:
    with pytest.raises(InputError, match="E-NETWORK-ARGUMENT"):
        build("references/fer_resnet", 7, arguments={"depth": 34})


def test_leaky_reference_reads_grey_as_three_equal_colours() -> None:
    model = build("references/emotion4", 4).eval()
    grey = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.equal(model(grey), model(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_its_bytes_and_a_place_on_the_chip(name: str) -> None:
    assert name in shipped_networks()
    _, shape, classes = REFERENCES[name]
    torch.manual_seed(0)
    model = build(name, classes)
    # weights that are all zero would need no memory
    calibrate(model, [torch.randint(-128, 128, (4, *shape)).float()])
    network = to_network(model, name=name, input_shape=shape)
    biases = sum(layer.bias.size for layer in network.layers if layer.bias is not None)
    assert (network.weight_bytes, biases) == TWINS[name]
    assert set(plan(network).layers) == {layer.name for layer in network.layers}


def test_names_of_references_differ_from_those_of_their_twins() -> None:
    assert network_name("references/fer_deep") == "references_fer_deep"
    assert network_name("fer_deep") == "fer_deep"


def test_a_reference_trains_and_its_checkpoint_is_read_by_name(tmp_path: Path) -> None:
    four = [Split(x, y % 4) for x, y in (faces(32, seed=1), faces(16, seed=2))]
    dataset = Dataset("drawn", ("a", "b", "c", "d"), *four)
    options = TrainOptions(
        network="references/emotorch_baseline", folder=tmp_path / "run", epochs=1, batch_size=16
    )
    result = train(options, dataset)
    assert result.network is None
    loaded = load_model(result.folder.best)
    assert loaded.name == "references_emotorch_baseline"
    assert parameters(loaded.model) == 6_964
