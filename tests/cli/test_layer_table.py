"""The table by layer: the same numbers in ``check``, in ``synthesize`` and in their JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import assert_one_error, run

from max78k.formats.onnx_export import export_onnx
from max78k.network import Network

Capture = pytest.CaptureFixture[str]


def test_check_and_synthesize_show_the_same_table(
    tiny_network: Network, tmp_path: Path, capsys: Capture
) -> None:
    model, project = tmp_path / "net.npz", tmp_path / "project"
    tiny_network.save(model)
    table = run(capsys, "check", model).out.partition("\n\n")[0]
    assert table.splitlines()[0].endswith("MAC/cycle  bound by")
    assert run(capsys, "synthesize", model, "--out", project).out.startswith(table)
    first = json.loads(run(capsys, "check", model, "--json").out)["layers"]
    done = run(capsys, "synthesize", model, "--out", project, "--json")
    assert json.loads(done.out)["layers"] == first
    assert json.loads(done.out)["project"] == str(project)
    for name, row in first.items():
        assert sum(row["cycle_parts"].values()) == row["cycles"]
        assert row["macs_per_cycle"] == pytest.approx(row["macs"] / row["cycles"], abs=0.01)
        line = next(line for line in table.splitlines() if line.startswith(name))
        assert line.endswith(row["bound_by"])


def test_an_exported_onnx_file_is_a_model(
    tiny_network: Network, tmp_path: Path, capsys: Capture
) -> None:
    tiny_network.save(tmp_path / "net.npz")
    export_onnx(tiny_network, tmp_path / "net.onnx")
    outcomes = [run(capsys, "check", tmp_path / f"net.{form}").out for form in ("npz", "onnx")]
    assert outcomes[0] == outcomes[1] != ""


def test_a_float_onnx_file_is_no_model_by_itself(tmp_path: Path, capsys: Capture) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    source, result = (value(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy")
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "float", [source], [result])
    path = tmp_path / "float.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert_one_error(run(capsys, "check", path), 2, "E-MODEL-", "float.onnx")
    path.write_bytes(b"nothing")
    assert_one_error(run(capsys, "check", path), 2, "E-IMPORT-FILE", "float.onnx")
