"""What mkdocs does not do by itself: links to files of the source, which are no pages."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Name the file where a page links to one; links to files that are not there stay, and fail."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def named(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        outside = not path.startswith(("docs/", "../")) and (ROOT / path).exists()
        return f"{match[1]} (`{path}`)" if outside else match[0]

    return _LINK.sub(named, markdown)
