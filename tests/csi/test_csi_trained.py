"""From prepared windows to a network that says how its windows are prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from max78k.csi.channel import person, record
from max78k.csi.collection import Collection, Labelled
from max78k.csi.preparation import Preparation
from max78k.csi.splits import Split
from max78k.csi.windows import make_windows, write_windows
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.flows.csi_answers import preparation_of, score_windows
from max78k.flows.export import export
from max78k.flows.quantization import QuantizeOptions, quantize_model
from max78k.flows.weight_sources import network_of_run
from max78k.network import Network
from max78k.training.checkpoint import load_checkpoint, load_model, save_checkpoint
from max78k.training.fit import train
from max78k.training.options import Augmentation, TrainOptions

NETWORK = """
from torch import nn
from max78k.training.layers import Conv1d, Linear

class Small(nn.Module):
    input_shape = (52, 96)

    def __init__(self, classes=2):
        super().__init__()
        self.conv = Conv1d(52, 8, 3, pool=4)
        self.out = Linear(8 * 24, classes)

    def forward(self, data):
        return self.out(self.conv(data))
"""


def test_the_preparation_goes_from_windows_to_the_exported_network(tmp_path: Path) -> None:
    emotions = ("neutral", "angry")
    recordings = tuple(
        Labelled(record(emotions[n % 2], person(n), n, seconds=4.0), n % 2) for n in range(6)
    )
    collection = Collection("made", emotions, recordings)
    windows = make_windows(collection, Preparation(window=96, step=48), Split("fold:0/3"))
    write_windows(windows, tmp_path / "w.npz")
    (tmp_path / "small.py").write_text(NETWORK)
    spec = f"{tmp_path / 'small.py'}:Small"
    options = TrainOptions(
        network=spec, folder=tmp_path / "run", epochs=2, qat_epochs=1, batch_size=8,
        augmentation=Augmentation(brightness=0.0),
    )  # fmt: skip
    result = train(options, load(str(tmp_path / "w.npz"), input_shape=(52, 96)))
    assert preparation_of(result.network) == windows.preparation
    exported = export(network_of_run(tmp_path / "run" / "last.pt", spec), tmp_path / "model")
    assert preparation_of(exported.network) == windows.preparation
    again = Network.load(tmp_path / "model" / "network.npz")
    assert preparation_of(again) == windows.preparation
    by_window, _ = score_windows(again, windows)
    assert int(by_window.support.sum()) == len(windows.data.test)
    content = load_checkpoint(tmp_path / "run" / "last.pt")
    save_checkpoint(tmp_path / "bad.pt", {**content, "notes": "none"})
    with pytest.raises(InputError, match=r"E-CHECKPOINT-FILE.*notes"):
        load_model(tmp_path / "bad.pt", spec)
    assert np.array_equal(windows.groups["test"] % 3, np.zeros(len(windows.groups["test"])))


PLAIN = """
from torch import nn

class Plain(nn.Module):
    input_shape = (52, 96)

    def __init__(self, classes=2):
        super().__init__()
        self.conv = nn.Conv1d(52, 8, 3, padding=1)
        self.out = nn.Linear(8, classes)

    def forward(self, data):
        return self.out(self.conv(data).relu().mean(dim=2))
"""


def test_a_run_of_ordinary_layers_is_quantized_with_its_preparation(tmp_path: Path) -> None:
    emotions = ("neutral", "angry")
    recordings = tuple(
        Labelled(record(emotions[n % 2], person(n), n, seconds=4.0), n % 2) for n in range(6)
    )
    windows = make_windows(
        Collection("made", emotions, recordings), Preparation(window=96, step=48), Split("fold:0/3")
    )
    write_windows(windows, tmp_path / "w.npz")
    (tmp_path / "plain.py").write_text(PLAIN)
    spec = f"{tmp_path / 'plain.py'}:Plain"
    options = TrainOptions(network=spec, folder=tmp_path / "run", epochs=1, batch_size=8)
    train(options, load(str(tmp_path / "w.npz"), input_shape=(52, 96)))
    quantized = quantize_model(
        QuantizeOptions(
            str(tmp_path / "run" / "last.pt"), str(tmp_path / "w.npz"), tmp_path / "model",
            network=spec,
        )
    )  # fmt: skip
    network = Network.load(tmp_path / "model" / "network.npz")
    assert network.name == "plain" and network.class_names == emotions
    assert preparation_of(network) == windows.preparation
    assert quantized.accuracy == score_windows(network, windows)[0].accuracy
