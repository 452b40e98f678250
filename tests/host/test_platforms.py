"""No call that POSIX alone has, outside the modules that say so."""

from __future__ import annotations

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import max78k
from max78k.errors import ToolError

ROOT = Path(max78k.__file__).parent
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": {
        "chown", "ctermid", "fchmod", "fchown", "fork", "forkpty", "geteuid", "getgid", "getpgid",
        "getuid", "initgroups", "killpg", "mkfifo", "nice", "openpty", "pread", "pwrite",
        "sched_getaffinity", "sched_setaffinity", "setgid", "setpgid", "setsid", "setuid",
        "statvfs",
        "sysconf", "tcgetpgrp", "ttyname", "uname", "wait3", "wait4", "WNOHANG",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP",
        "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause", "setitimer", "sigwait",
    },
    "time": {"tzset"},
    "select": {"epoll", "kqueue", "poll"},
}  # fmt: skip
# Modules whose subject is a terminal of a POSIX system, which say what to do without one; one that
# asks for an alarm where there is one, and one that names the errors of such terminals.
ALLOWED = {"simulator/pty.py", "simulator/screen.py", "simulator/serve.py", "host/ports.py"}


def posix_uses(source: str) -> list[str]:
    """Modules and attributes of POSIX alone that a module uses."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in POSIX_MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = POSIX_NAMES.get(node.module or "", set())
            found += [f"{node.module}.{a.name}" for a in node.names if a.name in names]
            found += [node.module] if (node.module or "").split(".")[0] in POSIX_MODULES else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in POSIX_NAMES.get(node.value.id, set()):
                found.append(f"{node.value.id}.{node.attr}")
    return found


def test_only_terminals_need_posix():
    uses = {
        path.relative_to(ROOT).as_posix(): found
        for path in ROOT.rglob("*.py")
        if (found := posix_uses(path.read_text("utf-8")))
    }
    assert set(uses) <= ALLOWED, uses
    assert posix_uses("import os, pty\nos.pread(1, 2, 3)") == ["pty", "os.pread"]


def test_every_module_is_imported_without_posix_modules():
    names = [
        info.name
        for info in pkgutil.walk_packages(max78k.__path__, "max78k.")
        if not info.name.endswith("__main__") and ".shipped" not in info.name
        and not info.name.startswith(("max78k.training", "max78k.imports", "max78k.flows"))
    ]  # fmt: skip
    program = (
        "import importlib, sys\n"
        "import os, subprocess, tempfile\n"  # the standard library's own use of them
        "ours = ('max78k',)\n"
        f"blocked = {sorted(POSIX_MODULES - {'posix', 'grp', 'pwd'})!r}\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        frame = sys._getframe(1)\n"
        "        while frame.f_code.co_filename.startswith('<frozen'):\n"
        "            frame = frame.f_back\n"
        "        caller = frame.f_globals.get('__name__', '')\n"
        "        if name in blocked and caller.startswith(ours):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_without_single_keys_the_screen_says_so(monkeypatch):
    pytest.importorskip("rich")
    from max78k.simulator.screen import Screen

    monkeypatch.setitem(sys.modules, "termios", None)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(ToolError, match="E-BOARD-SCREEN"):
        Screen.__enter__(SimpleNamespace())


def test_without_pseudo_terminals_the_virtual_board_says_so(monkeypatch):
    from max78k.simulator.pty import PseudoTerminal

    monkeypatch.setitem(sys.modules, "tty", None)
    with pytest.raises(ToolError, match="E-BOARD-PTY") as caught:
        PseudoTerminal()
    assert "Linux or macOS" in caught.value.hint
