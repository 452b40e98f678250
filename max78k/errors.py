"""Errors that a user can act on, and the exit code that each of them ends the program with.

Every error carries a stable code (``E-RULE-POOL-CHANNELS``), one sentence that names the
offending thing and its number, and, where there is one, the change that mends it.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the ``max78k`` command."""

    OK = 0
    INTERNAL = 1
    USER_FIXABLE = 2
    DEVICE_NOT_FOUND = 3
    LINK_FAILED = 4
    KNOWN_ANSWER_MISMATCH = 5
    BUDGET_EXCEEDED = 6


class Max78kError(Exception):
    """An error to be shown as one line; the base of all errors that this package raises on purpose.

    Args:
        code: stable identifier in capitals, beginning with ``E-``.
        message: what is wrong: the offending name and number.
        hint: what to change; shown after ``Try:``.
    """

    exit_code = ExitCode.USER_FIXABLE

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.code} {self.message}"
        if not self.hint:
            return line
        return f"{line}{'' if line.endswith(('.', '?', '!')) else '.'} Try: {self.hint}"


class InputError(Max78kError):
    """A file, an option or a value given by the user cannot be used."""


class RuleError(Max78kError):
    """A network or a placement breaks one or more rules of the chip.

    ``violations`` holds every broken rule, so that all of them can be shown at once.
    """

    def __init__(self, violations: list[Max78kError]) -> None:
        self.violations = violations
        first = violations[0]
        super().__init__(first.code, first.message, first.hint)

    def __str__(self) -> str:
        if not hasattr(self, "violations"):
            return super().__str__()
        return "\n".join(Max78kError.__str__(violation) for violation in self.violations)


class ToolError(Max78kError):
    """A program that is needed (a compiler, the emulator) is missing or has failed."""


class DeviceNotFoundError(Max78kError):
    """No board, or no such port."""

    exit_code = ExitCode.DEVICE_NOT_FOUND


class LinkError(Max78kError):
    """The board does not answer as the link protocol says."""

    exit_code = ExitCode.LINK_FAILED


class MismatchError(Max78kError):
    """A known answer or a level of the truth chain differs."""

    exit_code = ExitCode.KNOWN_ANSWER_MISMATCH


class BudgetError(Max78kError):
    """A limit of memory, time or energy that the user set is exceeded."""

    exit_code = ExitCode.BUDGET_EXCEEDED
