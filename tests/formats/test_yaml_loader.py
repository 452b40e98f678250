"""YAML from an untrusted file is read without surprises."""

from __future__ import annotations

from pathlib import Path

import pytest

from max78k.errors import InputError
from max78k.formats.yaml_loader import MAX_BYTES, LineDict, load_yaml


def load(tmp_path: Path, text: str | bytes) -> object:
    path = tmp_path / "n.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_yaml(path)


def test_mappings_know_their_lines(tmp_path: Path) -> None:
    document = load(tmp_path, "---\n# text\na: 1\nlayers:\n  - b: 0x10\n    c: [1, 2]\n")
    assert isinstance(document, LineDict)
    assert document.lines == {"a": 3, "layers": 4}
    row = document["layers"][0]
    assert (row.line, row.lines) == (5, {"b": 5, "c": 6})
    assert row == {"b": 16, "c": [1, 2]}


def test_aliases_work_within_limits(tmp_path: Path) -> None:
    document = load(tmp_path, "a: &x {k: 1}\nb: *x\n")
    assert document == {"a": {"k": 1}, "b": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "E-YAML-DUPLICATE", "line 3: key `a` is given twice"),
        ("a: [1, 2\n", "E-YAML-SYNTAX", "line 2"),
        ("a: 1\n---\nb: 1\n", "E-YAML-SYNTAX", "document"),
        ("a: !!python/object/apply:os.system [true]\n", "E-YAML-SYNTAX", "line 1.*constructor"),
        ("a: !!python/name:os.system ''\n", "E-YAML-SYNTAX", "constructor"),
        ("a: *nobody\n", "E-YAML-SYNTAX", "undefined alias"),
        ("? [1, 2]\n: 3\n", "E-YAML-SYNTAX", "plain word"),
        ("a: &x [*x]\n", "E-YAML-ALIAS", "inside its own anchor"),
        ("a: " + "[" * 40 + "]" * 40, "E-YAML-SIZE", "16 deep"),
        ("a: " + "[" * 4000, "E-YAML-SIZE", "16 deep"),
        ("a: [" + "1," * 60_000 + "1]", "E-YAML-SIZE", "50000 values"),
        ("a: 2001-99-99\n", "E-YAML-SYNTAX", "month"),
        (b"a: \xff\xfe\n", "E-YAML-SYNTAX", "UTF-8"),
        (b"a: \x00\n", "E-YAML-SYNTAX", "special characters"),
        ("a: '" + "x" * MAX_BYTES + "'", "E-YAML-SIZE", "larger than"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(
    tmp_path: Path, text: str | bytes, code: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path, text)
    assert caught.value.code == code
    assert len(str(caught.value)) < 400


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for n in range(1, 12):
        rows.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    with pytest.raises(InputError, match=r"E-YAML-SIZE .*50000 values"):
        load(tmp_path, "\n".join(rows))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"E-YAML-FILE .*No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="E-YAML-FILE"):
        load_yaml(tmp_path)
