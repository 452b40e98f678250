"""The weights of a network description come from every kind of file, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from command import assert_one_error, run
from onnx import TensorProto, helper, numpy_helper

from max78k.flows import verification
from max78k.flows.export import export
from max78k.flows.synthesis import compile_network
from max78k.flows.weight_sources import read_weights
from max78k.formats.vendor_checkpoint import VendorCheckpoint, write_vendor_q
from max78k.network import Network
from max78k.training.checkpoint import save_checkpoint

Capture = pytest.CaptureFixture[str]
TINY = Path(__file__).parents[1] / "training" / "tiny_network.py"
YAML = """arch: tiny
dataset: d
layers:
  - {name: conv1, op: conv2d, kernel_size: 3x3, pad: 1, activate: ReLU, in_dim: [12, 12]}
  - {name: conv2, op: conv2d, kernel_size: 3x3, pad: 1, activate: ReLU, max_pool: 2, pool_stride: 2}
  - {name: output, op: linear, flatten: true, output_width: 32}
"""
AXES = {"conv1": (8, 1, 3, 3), "conv2": (8, 8, 3, 3), "output": (3, 288)}


def real(name: str) -> np.ndarray:
    """Real weights below one, the largest of which needs no shift."""
    rng = np.random.default_rng(len(name))
    values = rng.uniform(-0.9, 0.9, AXES[name])
    values.flat[0] = 0.97
    return values.astype(np.float32)


def run_folder(folder: Path) -> Path:
    from max78k.training.registry import network_class

    torch.manual_seed(0)
    model = network_class(f"{TINY}:Tiny")(classes=3)
    state = {key: 4 * x if key.endswith("weight") else x for key, x in model.state_dict().items()}
    content = {
        "network": f"{TINY}:Tiny", "class_names": list("abc"), "input_shape": [1, 12, 12],
        "phase": "qat", "epoch": 1, "model": state, "history": [], "options": {},
    }  # fmt: skip
    (folder / "run").mkdir()
    save_checkpoint(folder / "run" / "best.pt", content)
    return folder / "run"


def network_of(folder: Path) -> Network:
    found = read_weights(run_folder(folder), f"{TINY}:Tiny")
    assert isinstance(found, Network)
    return found


def exported(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        export(network_of(folder), folder / "model")
        return folder / "model" / name

    return make


def float_vendor(folder: Path) -> Path:
    state = {f"{name}.op.weight": torch.from_numpy(real(name)) for name in AXES}
    torch.save({"epoch": 1, "arch": "tiny", "state_dict": state}, folder / "f.pth.tar")
    return folder / "f.pth.tar"


def float_onnx(folder: Path) -> Path:
    nodes = [
        helper.make_node("Conv", ["x", "conv1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "conv2"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["g"]),
        helper.make_node("Gemm", ["g", "output"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(real(name), name) for name in AXES],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "f.onnx")
    return folder / "f.onnx"


SOURCES = {
    "run folder": run_folder,
    "checkpoint of a run": lambda folder: run_folder(folder) / "best.pt",
    "model folder": lambda folder: exported("x")(folder).parent,
    "integer network": exported("network.npz"),
    "integer ONNX": exported("network.onnx"),
    "float ONNX": float_onnx,
    "float vendor": float_vendor,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_file_gives_its_weights(kind: str, tmp_path: Path, capsys: Capture) -> None:
    path = SOURCES[kind](tmp_path)
    (tmp_path / "n.yaml").write_text(YAML)
    outcome = run(
        capsys, "synthesize", "--config-file", tmp_path / "n.yaml", "--checkpoint-file", path,
        "--network", f"{TINY}:Tiny", "--out", tmp_path / "project", "--display-checkpoint",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "project" / "generated" / "weights.c").is_file()
    assert ("quantized by the vendor's rule" in outcome.err) == kind.startswith("float")
    found = read_weights(path, f"{TINY}:Tiny")
    if kind.startswith("float"):
        assert isinstance(found, VendorCheckpoint)
        for layer, axes in zip(found.layers, AXES.values(), strict=True):
            name = next(key for key in AXES if AXES[key] == axes)
            assert np.array_equal(layer.weight, np.floor(real(name) * 128 + 0.5).clip(-128, 127))
            assert layer.output_shift == 0
    else:
        assert isinstance(found, Network)
        (tmp_path / "again").mkdir()
        for ours, theirs in zip(found.layers, network_of(tmp_path / "again").layers, strict=True):
            assert ours.weight is not None and np.unique(ours.weight).size > 2
            assert np.array_equal(ours.weight, theirs.weight)


def test_a_quantized_vendor_checkpoint_needs_the_input_size(
    tmp_path: Path, capsys: Capture
) -> None:
    write_vendor_q(network_of(tmp_path), tmp_path / "q.pth.tar", arch="tiny")
    arguments = ("--checkpoint-file", tmp_path / "q.pth.tar", "--config-file", tmp_path / "n.yaml")
    (tmp_path / "n.yaml").write_text(YAML)
    assert run(capsys, "check", *arguments).code == 0
    (tmp_path / "n.yaml").write_text(YAML.replace(", in_dim: [12, 12]", ""))
    assert_one_error(run(capsys, "check", *arguments), 2, "E-MODEL-VENDOR", "in_dim")
    assert_one_error(run(capsys, "check", *arguments[:2]), 2, "E-MODEL-VENDOR", "--config-file")
    for verb in ("check", "verify"):
        assert_one_error(run(capsys, verb), 2, "E-ARGS-MODEL")


def test_the_chain_of_a_description_keeps_its_placement(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vendor_q(network_of(tmp_path), tmp_path / "q.pth.tar", arch="tiny")
    (tmp_path / "n.yaml").write_text(YAML.replace("12]}", "12], processors: 0x10000}"))
    placed: list[int] = []

    def noted(network: Network, *arguments: Any, **options: Any) -> Any:
        compiled = compile_network(network, *arguments, **options)
        placed.append(compiled.placement.layers["conv1"].processors)
        return compiled

    monkeypatch.setattr(verification, "compile_network", noted)
    words = ("--checkpoint-file", tmp_path / "q.pth.tar", "--config-file", tmp_path / "n.yaml")
    outcome = run(
        capsys, "verify", *words, "--no-board", "--data", "random", "--count", 2, "--json"
    )
    assert outcome.code == 0, outcome.err
    levels = json.loads(outcome.out)["levels"]
    assert len(levels) == 3 and all(one["different"] == 0 for one in levels)
    assert placed == [0x10000]


def test_a_bad_tensor_is_named(tmp_path: Path, capsys: Capture) -> None:
    state = {f"{name}.op.weight": torch.from_numpy(real(name)) for name in AXES}
    state["conv2.op.weight"][0, 0, 0, 0] = float("nan")
    torch.save({"epoch": 1, "arch": "tiny", "state_dict": state}, tmp_path / "f.pth.tar")
    (tmp_path / "n.yaml").write_text(YAML)
    arguments = ("--checkpoint-file", tmp_path / "f.pth.tar", "--config-file", tmp_path / "n.yaml")
    outcome = run(capsys, "check", *arguments)
    assert_one_error(outcome, 2, "E-CHECKPOINT-LAYER", "layer conv2: weight is not finite")
    (tmp_path / "text.pth.tar").write_text("no checkpoint")
    outcome = run(capsys, "check", "--checkpoint-file", tmp_path / "text.pth.tar")
    assert_one_error(outcome, 2, "E-CHECKPOINT-FILE", "text.pth.tar")
    torch.save(state, tmp_path / "state.pth")
    outcome = run(capsys, "check", "--checkpoint-file", tmp_path / "state.pth")
    assert_one_error(outcome, 2, "E-CHECKPOINT-FILE", "state.pth", "quantize FILE.py:CLASS")
    torch.save(torch.nn.Bilinear(2, 2, 2), tmp_path / "module.pth")
    outcome = run(capsys, "check", "--checkpoint-file", tmp_path / "module.pth")
    assert_one_error(outcome, 2, "E-CHECKPOINT-FILE", "Bilinear)", "model.state_dict()")
    (tmp_path / "empty").mkdir()
    outcome = run(capsys, "check", "--checkpoint-file", tmp_path / "empty")
    assert_one_error(outcome, 2, "E-MODEL-FOLDER", "best.pt")


@pytest.mark.parametrize("name", ["mnist", "kws20_v3"])
def test_float_and_quantized_files_of_the_vendor_give_the_same_project(
    name: str, shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    case = shared_folder / "golden" / f"n-{name}"
    for part in ("", "-q"):
        weights = shared_folder / "data" / "vendor_checkpoints" / f"ai85-{name}-qat8{part}.pth.tar"
        outcome = run(
            capsys, "synthesize", "--config-file", case / "network.yaml", "--checkpoint-file",
            weights, "--sample-input", case / "input.npy", "--out", tmp_path / f"p{part}",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
    for file in ("network.c", "weights.c", "sample.c"):
        texts = [(tmp_path / f"p{part}" / "generated" / file).read_bytes() for part in ("", "-q")]
        assert texts[0] == texts[1]
