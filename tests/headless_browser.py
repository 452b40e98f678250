"""A real browser without a window, spoken to over its debugging pipe; for tests of pages.

Any Chromium or Chrome will do; ``find_browser`` is None where there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_LIMIT_S = 60.0
# The browser reads requests from file 3 and writes answers to file 4.
_ON_FILES_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 100)
os.dup2(int(sys.argv[2]), 101)
os.dup2(100, 3)
os.dup2(101, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. ``events`` are all notices of the browser, in order."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._number, self._buffer = 0, b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == self._number)["result"]

    def open(self, path: Path, width: int, *, dark: bool = False) -> None:
        """Show a file as a phone or a screen of this width would."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=844,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda event: event.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def noted(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def _until(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + _LIMIT_S
        while time.monotonic() < end:
            while b"\0" in self._buffer:
                text, _, self._buffer = self._buffer.partition(b"\0")
                message = json.loads(text)
                self.events.append(message)
                if wanted(message):
                    return message
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser has ended"
            self._buffer += data
        raise TimeoutError("the browser does not answer")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; raises RuntimeError if it does not start."""
    to_read, requests = os.pipe()
    answers, to_write = os.pipe()
    command = [
        sys.executable, "-c", _ON_FILES_3_AND_4, str(to_read), str(to_write), str(find_browser()),
        "--headless=new", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_read)
    os.close(to_write)
    try:
        yield Browser(requests, answers)
    finally:
        process.kill()
        process.wait()
        os.close(requests)
        os.close(answers)
