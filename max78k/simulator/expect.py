"""When a run ends by itself: what the console must print, must not print, and how long it may take.

The console's text is read as UTF-8 with line ends of any kind; patterns are those of Python's
``re`` with ``^`` and ``$`` for the lines of the text. A ``$`` matches once its line has ended.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from max78k.errors import InputError, MismatchError

_KEPT = 4096  # characters in which a text may lie
_OPEN = "\0"  # stands where more of a line may follow


@dataclass(frozen=True)
class End:
    """When a run ends by itself; raises InputError E-BOARD-PATTERN for a wrong pattern.

    Attributes:
        until: pattern in the console's text that ends it well.
        fail_on: pattern that ends it with MismatchError E-BOARD-FAIL.
        timeout: seconds of the host; over them it ends well if ``until`` is empty, else with
            LinkError E-BOARD-TIMEOUT.
    """

    until: str = ""
    fail_on: str = ""
    timeout: float | None = None

    def __post_init__(self) -> None:
        for pattern in (self.until, self.fail_on):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(
                    "E-BOARD-PATTERN", f"{pattern!r} is not a regular expression: {error}.",
                    "a backslash before each of . * + ? ( ) [ ] { } ^ $ | that stands for itself",
                ) from error  # fmt: skip


class Expectation:
    """Reads along until one of the patterns of an :class:`End` is there."""

    def __init__(self, end: End) -> None:
        self._patterns = [
            (pattern, re.compile(pattern, re.MULTILINE))
            for pattern in (end.until, end.fail_on)
            if pattern
        ]
        self._fail_on = end.fail_on
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = ""

    def met(self, data: bytes) -> bool:
        """Whether the text has come to the pattern that ends it well.

        The one that begins first counts. Raises MismatchError E-BOARD-FAIL for the other one.
        """
        if not self._patterns:
            return False
        self._text = (self._text + self._decode(data)).replace("\r\n", "\n")
        matches = [
            (found.start(), pattern, found[0])
            for pattern, compiled in self._patterns
            if (found := compiled.search(self._text + _OPEN))
        ]
        if not matches:
            self._forget()
            return False
        _, pattern, text = min(matches)
        if pattern == self._fail_on:
            shown = text.rstrip(_OPEN)
            raise MismatchError("E-BOARD-FAIL", f"the firmware printed {shown!r}")
        return True

    def _forget(self) -> None:
        """Keep the end of the text, from the start of a line on if it has one."""
        if len(self._text) > 2 * _KEPT:
            kept = self._text[-_KEPT:]
            self._text = kept[kept.find("\n") + 1 :]
