"""A folder of generated files: written whole or not at all, and without harm to a user's edits.

Beside the files lies a record of their checksums, to tell what was generated from what a user has
added or edited.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from max78k.errors import InputError
from max78k.files import rehearsed, write_bytes

MANIFEST = "max78k-project.json"


@dataclass(frozen=True)
class ProjectFiles:
    """What a project consists of.

    Attributes:
        files: content by path in the folder.
        facts: what else the record holds, by name.
        for_user: files that are made once and then belong to the user: an edited one stays.
    """

    files: Mapping[PurePosixPath, bytes]
    facts: Mapping[str, str]
    for_user: frozenset[PurePosixPath] = field(default_factory=frozenset)

    def record(self) -> bytes:
        """Content of the record."""
        checksums = {str(name): zlib.crc32(content) for name, content in self.files.items()}
        return (json.dumps({**self.facts, "files": checksums}, indent=1) + "\n").encode("utf-8")


def put(project: ProjectFiles, folder: Path, *, overwrite: bool = False) -> None:
    """Write ``project`` into ``folder``; what a user has added there stays.

    Args:
        project: the files.
        folder: made with its parents.
        overwrite: write even into a folder with foreign files, or over edited ones.

    Raises:
        InputError: E-PROJECT-FOLDER, -FOREIGN, -EDITED: the folder holds something else.
    """
    previous, kept = _previous_files(project, folder, overwrite)
    files = {name: data for name, data in project.files.items() if name not in kept}
    files[PurePosixPath(MANIFEST)] = project.record()
    if rehearsed() is not None:
        for name, content in files.items():
            write_bytes(folder / name, content)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "project"
        for name, content in files.items():
            write_bytes(fresh / name, content)
        _put_in_place(fresh, folder, files, previous - kept)


def _previous_files(
    project: ProjectFiles, folder: Path, overwrite: bool
) -> tuple[set[PurePosixPath], set[PurePosixPath]]:
    """Files of a project that stands in ``folder``, and those of them that the user keeps.

    Raises InputError if the project must not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("E-PROJECT-FOLDER", f"{folder} is not a folder.", "give another path.")
    if not folder.exists() or not any(folder.iterdir()):
        return set(), set()
    recorded = _read_manifest(folder)
    if recorded is None:
        if overwrite:
            return set(), set()
        raise InputError(
            "E-PROJECT-FOREIGN",
            f"{folder} is not empty and holds no project of max78k.",
            "an empty folder, or allow overwriting.",
        )
    edited = {name for name, crc in recorded.items() if _differs(folder / name, crc)}
    if overwrite:
        return set(recorded), set()
    kept = edited & project.for_user
    if edited - kept:
        names = ", ".join(map(str, sorted(edited - kept)))
        raise InputError(
            "E-PROJECT-EDITED",
            f"{folder}: {names} changed since the project was written.",
            "another folder, or allow overwriting.",
        )
    return set(recorded), kept


def _read_manifest(folder: Path) -> dict[PurePosixPath, int] | None:
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        recorded = {PurePosixPath(name): int(crc) for name, crc in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    outside = any(name.is_absolute() or ".." in name.parts for name in recorded)
    return None if outside else recorded


def _differs(path: Path, crc: int) -> bool:
    return path.is_file() and zlib.crc32(path.read_bytes()) != crc


def _put_in_place(
    fresh: Path,
    folder: Path,
    files: Mapping[PurePosixPath, bytes],
    previous: set[PurePosixPath],
) -> None:
    """Rename the whole folder if nothing is in the way, else replace file by file."""
    if not folder.exists() or not any(folder.iterdir()):
        if folder.exists():
            folder.rmdir()
        fresh.rename(folder)
        return
    for program in (folder / "build").glob("firmware.*"):
        program.unlink()
    for name in previous - set(files):
        (folder / name).unlink(missing_ok=True)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / name, folder / name)  # noqa: PTH105 (rename does not replace on Windows)
