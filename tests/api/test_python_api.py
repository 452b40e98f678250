"""``from max78k import ...``, and the examples in its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import max78k
from max78k.network import Network

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "cv2", "matplotlib", "onnx", "onnxruntime", "unicorn", "yaml", "click")


def test_examples_of_the_page_run(
    tiny_network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "python-api.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 6
    tiny_network.save(tmp_path / "network.npz")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/python-api.md", "exec"), names)
    assert (tmp_path / "firmware" / "src" / "main.c").is_file()
    assert (tmp_path / "msdk" / "cnn.c").is_file()
    assert names["scores"].shape == (2, 7)
    mine = Network.load(tmp_path / "mine.npz")
    assert [x.weight_bits for x in mine.layers if x.weight is not None] == [4, 4, 4]
    assert names["slowest"] == "conv1"
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 10


def test_every_name_of_the_page_is_there_and_every_name_is_on_the_page() -> None:
    page = (ROOT / "docs" / "python-api.md").read_text("utf-8")
    for name in max78k.__all__:
        assert getattr(max78k, name) is not None
        assert f"`{name}" in page or name == "__version__"
    assert set(max78k.__all__) <= set(dir(max78k))
    with pytest.raises(AttributeError, match="no attribute 'compile'"):
        _ = max78k.compile


def test_stub_names_what_the_module_gives() -> None:
    stub = (ROOT / "max78k" / "__init__.pyi").read_text("utf-8")
    named = set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) | {"__version__"}
    assert named == set(max78k.__all__)
    for home, name in re.findall(r"^from ([\w.]+) import (\w+)", stub, re.MULTILINE):
        assert max78k._HOMES[name] == home


def loaded_after(program: str) -> list[str]:
    show = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-c", f"{program}\n{show}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return list(eval(done.stdout))


def test_import_is_light_and_a_network_file_needs_no_torch(
    tiny_network: Network, tmp_path: Path
) -> None:
    assert loaded_after("import max78k") == []
    tiny_network.save(tmp_path / "n.npz")
    program = (
        "from max78k import compile_network, load_model\n"
        f"compile_network(load_model({str(tmp_path / 'n.npz')!r}).network)"
    )
    assert "torch" not in loaded_after(program)
