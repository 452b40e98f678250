"""Writing files so that a reader finds either the old content or the whole new one.

In a rehearsal (``--dry-run``) files and folders are made in full, somewhere else, and thrown away:
all checks are those of the real thing, and so are the names and sizes that are told.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from max78k.errors import InputError

_rehearsed: ContextVar[dict[Path, int] | None] = ContextVar("rehearsed", default=None)


@contextmanager
def rehearsal() -> Iterator[dict[Path, int]]:
    """Inside the block nothing is written; yields what would be: bytes by path, as it grows."""
    files: dict[Path, int] = {}
    token = _rehearsed.set(files)
    try:
        yield files
    finally:
        _rehearsed.reset(token)


def rehearsed() -> dict[Path, int] | None:
    """What would have been written so far; None if files are written for good."""
    return _rehearsed.get()


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``; rename it to ``path`` when the block succeeds.

    ``mode`` is "wb" or "w" (UTF-8 text). Missing parent folders are made. If the block raises,
    ``path`` is left as it was.
    """
    noted = rehearsed()
    if noted is not None:
        with tempfile.TemporaryFile(mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            noted[path] = stream.seek(0, io.SEEK_END)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            yield stream
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        if os.path.exists(name):
            os.unlink(name)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data``, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(data)


@contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``root`` when the block succeeds, and is removed otherwise.

    ``root`` must not exist. Files in the yielded folder may be written in any way.
    """
    noted = rehearsed()
    above = None if noted is not None else root.parent
    if above is not None:
        above.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=above))
    token = _rehearsed.set(None)
    try:
        yield scratch
        if noted is not None:
            files = sorted(path for path in scratch.rglob("*") if path.is_file())
            noted.update({root / one.relative_to(scratch): one.stat().st_size for one in files})
            return
        scratch.chmod(0o755)
        scratch.rename(root)
    finally:
        _rehearsed.reset(token)
        shutil.rmtree(scratch, ignore_errors=True)


def file_error(error: OSError) -> InputError | None:
    """What to tell a user whose path or full disk is the cause; None if it is this program."""
    if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return InputError(
        "E-FILE",
        f"{error.filename2 or error.filename or 'a file'}: {error.strerror}.",
        "another path; look whether you may use it, and at the room on its disk",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
