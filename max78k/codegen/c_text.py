"""Putting Python values into C source so that they can never be anything else than values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

_LINE = 100
_PLAIN = re.compile(rb"[A-Za-z0-9 _.,:;()+-]")
_NOT_FOR_COMMENTS = re.compile(r"[^A-Za-z0-9 _.,:;()=+-]")


def string(text: str) -> str:
    """A C string literal; every byte of its UTF-8 form outside a whitelist is written in octal."""
    parts = []
    for byte in text.encode("utf-8"):
        plain = _PLAIN.fullmatch(bytes([byte]))
        parts.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def comment(text: str) -> str:
    """``text`` fit to stand inside a comment: what is not in a whitelist becomes ``_``."""
    return _NOT_FOR_COMMENTS.sub("_", text)


def word(value: int) -> str:
    """A 32-bit constant; raises ValueError if ``value`` is not in 0 ... 2^32 - 1."""
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{value} is no 32-bit word")
    return f"0x{value:08X}U"


def words(values: npt.NDArray[np.uint32]) -> list[str]:
    """Lines of comma-separated 32-bit constants."""
    return _filled([f"0x{value:08X}U," for value in values.tolist()])


def integers(values: npt.NDArray[np.int8]) -> list[str]:
    """Lines of comma-separated small integers."""
    return _filled([f"{value}," for value in values.tolist()])


def array(declaration: str, lines: Sequence[str]) -> list[str]:
    """An array definition; C has no empty ones, so that an empty one gets an element of zeros."""
    return [f"{declaration}[] = {{", *(f"    {line}" for line in lines or ["0,"]), "};"]


def rows(items: Iterable[tuple[Sequence[object], str]]) -> list[str]:
    """Lines of structure initializers, each with a comment where there is one."""
    lines = []
    for values, remark in items:
        line = "{" + ", ".join(str(value) for value in values) + "},"
        lines.append(f"{line} /* {comment(remark)} */" if remark else line)
    return lines or ["{0},"]


def _filled(items: list[str]) -> list[str]:
    lines: list[str] = []
    width = max((len(item) + 1 for item in items), default=1)
    count = max(1, (_LINE - 4) // width)
    for start in range(0, len(items), count):
        lines.append(" ".join(items[start : start + count]))
    return lines
