"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from max78k.files import atomic_write, write_text


def test_a_failure_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_write(target) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_new_file_is_readable_like_any_other(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "new")
    (tmp_path / "plain").write_text("x")
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
