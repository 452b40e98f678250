"""Pages and the JSON Schema that are made from tables."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from max78k.compiler import placement_rules
from max78k.errors import Max78kError
from max78k.formats.network_yaml import read_yaml
from max78k.formats.yaml_keys import BUFFER_KEYS, GLOBAL_KEYS, LAYER_KEYS, UNLOAD_KEYS
from max78k.formats.yaml_loader import load_yaml
from max78k.network import rules

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("write_docs", ROOT / "tools" / "write_docs.py")
assert _SPEC is not None and _SPEC.loader is not None
write_docs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(write_docs)

HEAD = "arch: net\ndataset: d\n"


@pytest.mark.parametrize("name", write_docs.PAGES)
def test_committed_page_is_what_the_tables_give(name: str) -> None:
    committed = (ROOT / name).read_text("utf-8")
    assert committed == write_docs.PAGES[name](), "run: python tools/write_docs.py"


def test_every_rule_and_every_key_has_a_row() -> None:
    page = write_docs.rules_page()
    codes = [rule.code for rule in rules.RULES] + [row[0] for row in placement_rules.documented()]
    assert sorted(re.findall(r"^\| `(E-[\w-]+)` \|", page, re.MULTILINE)) == sorted(codes)
    keys = re.findall(r"^\| `(\w+)`", write_docs.yaml_page(), re.MULTILINE)
    assert keys == [*GLOBAL_KEYS, *LAYER_KEYS, *UNLOAD_KEYS, *BUFFER_KEYS]


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema", reason="the schema is tested with jsonschema")
    schema = write_docs.network_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "layers",
    [
        "  - {op: conv2d, processors: 0x7, kernel_size: 3x3, pad: 1, activate: ReLU}",
        "  - {op: Conv1D, processors: '0x0000.0000.0000.0111', kernel_size: 9, max_pool: [2, 1]}",
        "  - {operation: None, in_sequences: [-1, input], eltwise: ADD, pool_first: false}",
        "  - {operation: none, activation: null, bias_group: [0, 3], groups: 1, snoop_sequence: }",
        "  - {op: linear, flatten: true, output_width: 32, next_sequence: stop, weight_source: a}",
    ],
)
def test_accepted_layers_are_valid(validator, tmp_path: Path, layers: str) -> None:
    assert list(validator.iter_errors(parsed(tmp_path, f"{HEAD}layers:\n{layers}\n"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "layers: []\n",
        "layers:\n  - {procesors: 1}\n",
        "layers:\n  - {op: conv2d, operator: conv2d}\n",
        "layers:\n  - {op: conv3d}\n",
        "layers:\n  - {pad: 3}\n",
        "layers:\n  - {pad: 1.5}\n",
        "layers:\n  - {processors: 0}\n",
        "layers:\n  - {processors: abc}\n",
        "layers:\n  - {max_pool: 17}\n",
        "layers:\n  - {max_pool: [1, 2, 3]}\n",
        "layers:\n  - {kernel_size: 3by3}\n",
        "layers:\n  - {quantization: 3}\n",
        "layers:\n  - {name: stop}\n",
        "layers:\n  - {groups: 2}\n",
        "layers:\n  - {bias_group: 4}\n",
        "layers:\n  - {flatten: maybe}\n",
        "extra: 1\nlayers:\n  - {op: conv2d}\n",
        "snoop: [1]\nlayers:\n  - {op: conv2d}\n",
        "unload: [{processors: 1, channels: 1, dim: 4}]\nlayers:\n  - {op: conv2d}\n",
        "unload: {processors: 1, channels: 0, dim: 4, offset: 0}\nlayers:\n  - {op: conv2d}\n",
        "unload: {processors: 1, channel: 1, dim: 4, offset: 0}\nlayers:\n  - {op: conv2d}\n",
        "data_buffer: [{name: a, dim: 4}]\nlayers:\n  - {op: conv2d}\n",
        "data_buffer: {name: a, channels: 4, dim: 4, width: 32}\nlayers:\n  - {op: conv2d}\n",
        "layers:\n  - {op: none, buffer_shift: 0}\n",
    ],
)
def test_what_the_reader_refuses_the_schema_refuses_too(
    validator, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "n.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(Max78kError):
        read_yaml(path)
    assert list(validator.iter_errors(load_yaml(path)))


def test_file_without_a_required_key_is_not_valid(validator, tmp_path: Path) -> None:
    assert list(validator.iter_errors(parsed(tmp_path, "arch: a\ndataset: d\n")))


def parsed(tmp_path: Path, text: str) -> object:
    path = tmp_path / "n.yaml"
    path.write_text(text)
    return load_yaml(path)


def test_recorded_descriptions_are_valid(validator, shared_folder: Path) -> None:
    accepted = [
        path.parent
        for path in sorted((shared_folder / "golden").glob("*/meta.json"))
        if json.loads(path.read_text())["ok"]
    ]
    assert len(accepted) > 400
    for folder in accepted:
        errors = list(validator.iter_errors(load_yaml(folder / "network.yaml")))
        assert errors == [], f"{folder.name}: {errors[0].message}"


def test_example_of_the_page_is_valid(validator, tmp_path: Path) -> None:
    example = write_docs.yaml_page().split("```yaml\n")[1].split("```")[0]
    document = parsed(tmp_path, example)
    assert list(validator.iter_errors(document)) == []
    assert len(read_yaml(tmp_path / "n.yaml").layers) == 2


def test_shipped_descriptions_are_valid(validator) -> None:
    for path in sorted((ROOT / "yaml_models").glob("*.yaml")):
        assert list(validator.iter_errors(load_yaml(path))) == [], path.name


def test_every_error_code_is_on_its_page() -> None:
    """Found here by the eye of another: any quoted word of this form in the source."""
    page = (ROOT / "docs" / "error-codes.md").read_text("utf-8")
    for path in sorted((ROOT / "max78k").rglob("*.py")):
        for code in re.findall(r'"(E-[A-Z0-9]+(?:-[A-Z0-9]+)*)"', path.read_text("utf-8")):
            assert f"| `{code}` |" in page, (path.name, code)
