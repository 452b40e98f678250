"""``max78k quantize``: from other people's models to a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import command
import numpy as np
import pytest
import torch
from torch import nn

from max78k.errors import ExitCode
from max78k.network import Network

NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=PADDING), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1, stride=STRIDE), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes), nn.LogSoftmax(1))
"""
SHAPE = (1, 12, 12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network, its weights, and data of bright and dark halves."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(60, 160, (120, *SHAPE)).astype(np.uint8)
    for row, label in enumerate(labels):
        images[row, 0, 4 * label : 4 * label + 4] += 90
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    write(tmp_path, padding=1, stride=1)
    torch.manual_seed(0)
    return tmp_path


def write(folder: Path, padding: int, stride: int) -> None:
    text = NET.replace("PADDING", str(padding)).replace("STRIDE", str(stride))
    (folder / "net.py").write_text(text)


def train(folder: Path) -> None:
    from max78k.training.registry import network_class

    with np.load(folder / "data.npz") as data:
        pixels, labels = torch.from_numpy(data["images"]), torch.from_numpy(data["labels"])
    model: nn.Module = network_class(f"{folder}/net.py:Net")(classes=3)
    best = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(40):
        best.zero_grad()
        loss = nn.functional.nll_loss(model((pixels.float() - 128) / 128), labels.long())
        loss.backward()
        best.step()
    torch.save(model.state_dict(), folder / "net.pt")


def arguments(folder: Path, *more: object) -> list[object]:
    return ["quantize", f"{folder}/net.py:Net", "--data", folder / "data.npz", "--input-shape",
            "1,12,12", "--out", folder / "model", *more]  # fmt: skip


def test_a_trained_class_becomes_a_model_folder_of_equal_accuracy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder)
    more = ("--weights", folder / "net.pt", "--json")
    report = json.loads(command.run(capsys, *arguments(folder, *more)).out)
    assert report["float_accuracy"] > 0.9
    assert report["accuracy"] >= report["float_accuracy"] - 0.06
    assert [layer["sqnr"] > 20 for layer in report["layers"]] == [True] * 3
    assert any("(pixel - 128) / 128" in note for note in report["notes"])
    network = Network.load(folder / "model" / "network.npz")
    assert network.class_names == ("0", "1", "2") and len(report["files"]) == 4
    again = ["quantize", folder / "model" / "network.onnx", "--data", folder / "data.npz", "--json",
             "--out", folder / "again"]  # fmt: skip
    second = json.loads(command.run(capsys, *again).out)
    assert second["accuracy"] == report["accuracy"] and second["float_accuracy"] is None
    for one, two in zip(
        network.layers, Network.load(folder / "again/network.npz").layers, strict=True
    ):
        np.testing.assert_array_equal(one.weight, two.weight)


def test_the_table_names_layers_steps_and_accuracy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = command.run(capsys, *arguments(folder, "--rule", "percentile", "--limit", 40)).out
    for word in ("SQNR dB", "clipped", "layer0", "2^-", "accuracy on the test part: float",
                 "log_softmax after the last layer", "network-q.pth.tar"):  # fmt: skip
        assert word in out


@pytest.mark.parametrize(("padding", "warned"), [(0, False), (1, True)])
def test_normalisation_is_folded_and_padding_is_warned_of(
    padding: int, warned: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, padding, stride=1)
    out = command.run(capsys, *arguments(folder, "--mean", "0.2", "--std", "0.3", "--json")).out
    report = json.loads(out)
    assert len(report["layers"]) == 3
    assert any(note.startswith("warning") for note in report["notes"]) == warned
    assert any("(pixel / 255 - mean) / std, mean 0.2, std 0.3" in x for x in report["notes"])


def test_what_cannot_be_mapped_leaves_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, padding=1, stride=17)
    outcome = command.run(capsys, *arguments(folder))
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-IMPORT-STRIDE", "Conv2d 4", "17x17")
    assert not (folder / "model").exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--mean", "0.1,0.2"), "E-QUANTIZE-NORMALISATION"),
        (("--std", "0"), "E-QUANTIZE-NORMALISATION"),
        (("--weights", "none.pt"), "E-WEIGHTS-FILE"),
        (("--input-shape", "1,9,9,9"), "E-"),
    ],
)
def test_bad_options_are_one_line(
    more: tuple[str, str], code: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = command.run(capsys, *arguments(folder, *more))
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, code)


def test_numbers_that_are_none_and_models_that_are_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = command.run(capsys, *arguments(folder, "--mean", "a,b"))
    assert outcome.code == ExitCode.USER_FIXABLE and "list of numbers" in outcome.err
    outcome = command.run(capsys, "quantize", folder / "none.onnx")
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-IMPORT-FILE", "none.onnx")
    outcome = command.run(capsys, "quantize", folder / "none.py:Net")
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-NETWORK-MISSING")


def test_the_folder_of_a_run_is_taken_for_its_float_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.py").write_text(
        "from torch import nn\nfrom max78k.training.layers import Conv2d, Linear\n\n\n"
        "class Own(nn.Sequential):\n    input_shape = (1, 12, 12)\n"
        "    def __init__(self, classes: int) -> None:\n"
        "        super().__init__(Conv2d(1, 4, pool=4), Linear(4 * 9, classes))\n"
    )
    common = ("--data", folder / "data.npz", "--network", f"{folder}/own.py:Own")
    trained = command.run(capsys, "train-qat", *common, "--epochs", 2,
                          "--batch-size", 40, "--out", folder / "run")  # fmt: skip
    assert trained.code == 0, trained.err
    accuracies = []
    for number, source in enumerate((folder / "run", folder / "run" / "float.pt")):
        words = ("quantize", source, *common, "--out", folder / f"model{number}", "--json")
        outcome = command.run(capsys, *words)
        assert outcome.code == 0, outcome.err
        accuracies.append(json.loads(outcome.out)["accuracy"])
    assert accuracies[0] == accuracies[1]
    outcome = command.run(capsys, "quantize", folder, *common)
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-MODEL-FOLDER", "checkpoint")


def test_widths_are_searched_for_a_budget_and_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder)
    more = ["--weights", folder / "net.pt", "--weight-bits", "auto", "--budget", "8KiB"]
    picture = folder / "layers.png"
    report = json.loads(
        command.run(capsys, *arguments(folder, *more, "--picture", picture, "--json")).out
    )
    network = Network.load(folder / "model" / "network.npz")
    chosen = report["bit_search"]["policy"]["overrides"]
    assert {x.name: x.weight_bits for x in network.layers if x.weight is not None} == chosen
    columns = report["bit_search"]["columns"]
    assert sum(columns[name][str(bits)] for name, bits in chosen.items()) <= 14
    assert picture.read_bytes().startswith(b"\x89PNG")
    out = command.run(capsys, *arguments(folder, *more)).out
    assert "one layer alone" in out and "of 14 kernel columns" in out
    outcome = command.run(capsys, *arguments(folder, "--budget", "8KiB"))
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-BITS-BUDGET")


OURS = """
from torch import nn
from max78k.training import ai8x
class Net(nn.Module):
    def __init__(self, num_classes=3, num_channels=1, dimensions=(12, 12), **kwargs):
        super().__init__()
        self.a = ai8x.FusedConv2dBNReLU(num_channels, 8, 3, padding=1, **kwargs)
        self.b = ai8x.FusedMaxPoolConv2dReLU(8, 8, 3, padding=1, **kwargs)
        self.c = ai8x.Linear(8 * 36, num_classes, bias=True, wide=True)
    def forward(self, x):
        return self.c(self.b(self.a(x)).flatten(1))
"""
THEIRS = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(288, 3))
"""


def test_weights_of_a_torch_network_go_into_one_of_our_layers_by_order(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from max78k.training.registry import network_class

    (folder / "ours.py").write_text(OURS)
    (folder / "theirs.py").write_text(THEIRS)
    torch.save(network_class(f"{folder}/theirs.py:Net")().state_dict(), folder / "theirs.pt")
    call = ["quantize", f"{folder}/ours.py:Net", "--data", folder / "data.npz",
            "--out", folder / "model", "--weights", folder / "theirs.pt"]  # fmt: skip
    outcome = command.run(capsys, *call)
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-WEIGHTS-MISSING")
    out = command.run(capsys, *call, "--map", "order").out
    assert "0.weight -> a.weight" in out and "0.bias -> a.norm.running_mean" in out
    assert "5 tensors" not in out and "accuracy on the test part: float" in out
    outcome = command.run(capsys, *call, "--rule", "vendor")
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-CHECKPOINT")


def test_the_vendors_rule_writes_a_q_checkpoint(
    shared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_folder / "data" / "vendor_checkpoints" / "ai85-catsdogs-qat8.pth.tar"
    target = tmp_path / "mine-q.pth.tar"
    report = json.loads(
        command.run(capsys, "quantize", source, "--rule", "vendor", "--out", target, "--json").out
    )
    assert report["files"] == [str(target)] and len(report["layers"]) > 4
    outcome = command.run(capsys, "quantize", tmp_path / "none.tar", "--rule", "vendor")
    command.assert_one_error(outcome, ExitCode.USER_FIXABLE, "E-CHECKPOINT-FILE", "none.tar")
