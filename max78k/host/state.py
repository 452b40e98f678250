"""The user's state folder: what one command leaves for the next."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/max78k``, by default ``~/.local/state/max78k``; not created here."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if Path(given).is_absolute():  # the specification says to ignore a relative path
        return Path(given) / "max78k"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "max78k"
    return Path.home() / ".local" / "state" / "max78k"


def virtual_flash() -> Path:
    """The virtual board's flash: the ELF that ``flash`` stored and ``--port sim`` boots."""
    return state_folder() / "virtual-board" / "flash.elf"
