"""Networks that read squares of pixels as channels: the same integers at every level."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.flows.accelerator_runs import run_image
from max78k.flows.bench_inputs import Source, open_feed
from max78k.flows.camera import check
from max78k.flows.synthesis import compile_network
from max78k.host.camera_lines import CameraPicture
from max78k.network import Network, reference
from max78k.training.calibrate import calibrate
from max78k.training.convert import layer_outputs, to_network
from max78k.training.evaluate import scores
from max78k.training.layers import Conv2d, Linear, Mode

PICTURE = (1, 12, 12)


class Folded(nn.Module):
    def __init__(self, fold: int = 2) -> None:
        super().__init__()
        self.conv1 = Conv2d(fold**2, 8, fold=fold)
        self.conv2 = Conv2d(8, 8, pool=2)
        self.output = Linear(8 * (6 // fold) ** 2, 3)

    def forward(self, data: Tensor) -> Tensor:
        return self.output(self.conv2(self.conv1(data)))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (40, *PICTURE)).astype(np.uint8)


def calibrated(model: nn.Module, pixels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    calibrate(model, [torch.from_numpy(pixels).float() - 128], "mse")
    return model.eval()


@pytest.mark.parametrize("fold", [2, 3])
def test_pictures_give_the_same_integers_at_every_level(pixels, fold, tmp_path):
    model = calibrated(Folded(fold), pixels)
    made = to_network(model, name="folded", input_shape=PICTURE)
    made.save(tmp_path / "n.npz")
    network = Network.load(tmp_path / "n.npz")
    assert network.input_shape == (fold**2, 12 // fold, 12 // fold)
    assert network.picture_shape == PICTURE
    inputs = network.from_pixels(pixels)
    wanted = scores(model, torch.from_numpy(pixels), Mode.INTEGER).long().numpy()
    assert np.array_equal(reference.outputs(network, inputs), wanted)
    assert np.array_equal(layer_outputs(model, inputs)["output"].reshape(40, -1), wanted)
    image = compile_network(network).image
    assert np.array_equal(run_image(image, inputs[:3]).reshape(3, -1), wanted[:3])


@pytest.fixture
def saved(pixels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "folded.npz"
    model = calibrated(Folded(), pixels)
    to_network(model, name="folded", input_shape=PICTURE).save(path)
    return path


def test_a_bench_folds_its_pictures(saved: Path, tmp_path: Path):
    network = Network.load(saved)
    grey = np.random.default_rng(1).integers(0, 256, PICTURE, dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "face.png"), grey[0])
    info = SimpleNamespace(network_name="folded", input_bytes=grey.size)
    device = SimpleNamespace(info=info)
    feed = open_feed(Source(str(tmp_path / "face.png"), model=str(saved)), device)
    assert np.array_equal(list(feed.inputs), [network.from_pixels(grey)])


def test_a_recorded_picture_is_folded_before_it_is_compared(saved: Path):
    network = Network.load(saved)
    values = network.from_pixels(np.zeros(PICTURE, np.uint8))
    scores = tuple(reference.outputs(network, values[None])[0].tolist())
    recorded = CameraPicture(1, 12, 12, 0, zlib.crc32(values.tobytes()), scores, bytes(288))
    check(recorded, network)


def test_each_channel_is_one_place_of_the_squares(pixels):
    network = to_network(calibrated(Folded(), pixels), name="f", input_shape=PICTURE)
    channels = network.from_pixels(pixels[0])
    assert np.array_equal(channels[1], pixels[0, 0, 0::2, 1::2].astype(int) - 128)
    assert np.array_equal(channels[2], pixels[0, 0, 1::2, 0::2].astype(int) - 128)


def test_what_cannot_be_folded_is_refused(pixels):
    for arguments in ({"in_channels": 3}, {"in_channels": 4, "pool": 2}):
        with pytest.raises(InputError, match="E-RULE-FOLD"):
            Conv2d(out_channels=8, fold=2, **arguments)
    model = calibrated(Folded(), pixels)
    with pytest.raises(InputError, match="E-RULE-FOLD"):
        to_network(model, name="f", input_shape=(1, 13, 12))
    model.conv2.fold = 2
    with pytest.raises(InputError, match=r"E-RULE-FOLD.*conv2"):
        to_network(model, name="f", input_shape=PICTURE)
