"""What the board noticed that silicon would pass over in silence, each thing told once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from max78k.errors import Max78kError

FINDINGS_KEPT = 200
UNKNOWN = "?"  # the name of an address that lies in no function


class SimulatorError(Max78kError):
    """The firmware on the virtual board did something that no good firmware does."""


@dataclass(frozen=True)
class Finding:
    """One observation.

    Attributes:
        code: stable identifier, ``E-BOARD-...``; ``N-BOARD-...`` for a limit of the model itself.
        message: what happened.
        address: the address accessed.
        pc: address of the instruction.
        symbol: function and offset of ``pc``.
        seconds: virtual time.
    """

    code: str
    message: str
    address: int
    pc: int
    symbol: str
    seconds: float

    @property
    def is_error(self) -> bool:
        """False for a note on what the model leaves out."""
        return self.code.startswith("E-")

    def __str__(self) -> str:
        return (
            f"{self.code} {self.message} (address 0x{self.address:08x}, "
            f"pc 0x{self.pc:08x} {self.symbol}, {self.seconds:.6f} s)"
        )


class FindingLog:
    """Collects findings: one per code, message and function.

    Args:
        locate: returns (pc, symbol, virtual seconds); its argument is the program counter, None
            for that of the present moment.
        strict: raise :class:`SimulatorError` at the first finding that is an error.
        report: called with each new finding.
    """

    def __init__(
        self,
        locate: Callable[[int | None], tuple[int, str, float]],
        strict: bool = False,
        report: Callable[[Finding], None] | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self._locate = locate
        self._strict = strict
        self._report = report
        self._seen: set[tuple[str, str, str]] = set()

    def add(self, code: str, message: str, address: int = 0, pc: int | None = None) -> None:
        """Note one observation at ``pc``, or at the present program counter."""
        pc, symbol, seconds = self._locate(pc)
        key = (code, message, symbol.partition("+")[0] if symbol != UNKNOWN else f"{pc:x}")
        if key in self._seen or len(self.findings) >= FINDINGS_KEPT:
            return
        self._seen.add(key)
        finding = Finding(code, message, address, pc, symbol, seconds)
        self.findings.append(finding)
        if self._report:
            self._report(finding)
        if self._strict and finding.is_error:
            raise SimulatorError(code, str(finding).removeprefix(f"{code} "))
