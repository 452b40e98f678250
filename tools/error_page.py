"""The page of all error codes, from the calls in the source that raise them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_tables import GENERATED, table

PACKAGE = Path(__file__).resolve().parents[1] / "max78k"
CODE = re.compile(r"E-[A-Z0-9]+(-[A-Z0-9]+)*")
_HEAD = """# Error codes

An error is one line: its code, what is wrong, what to try. Every code is here, with the words that
stand in the program; `...` is a name, a number or a reason of the case at hand.
[Troubleshooting](troubleshooting.md) goes by symptoms; the chip's [rules](rules.md) are `E-RULE`.
The exit status says the kind: 2 what you can mend, 3 no device, 4 the link, 5 a known answer
differs, 6 over a budget, 1 a fault of max78k.
"""


@dataclass(frozen=True)
class Entry:
    """A place that raises an error: what it says, what it advises."""

    code: str
    message: str
    hint: str


def entries(package: Path = PACKAGE) -> list[Entry]:
    """All of them, sorted, each once."""
    found: set[Entry] = set()
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        found.update(_entries(tree))
    spoken = {entry.code for entry in found if entry.message}
    return sorted(
        (entry for entry in found if entry.message or entry.code not in spoken),
        key=lambda entry: (entry.code, entry.message, entry.hint),
    )


def _entries(tree: ast.AST) -> Iterator[Entry]:
    told = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for place, argument in enumerate(node.args):
            if code := _code(argument):
                told.add(argument)
                words = [_text(one) for one in node.args[place + 1 :]]
                if not ast.unparse(node.func).endswith("Error"):  # a helper's names and numbers
                    words = [text for text in words if re.search("[a-z]", text)]
                yield Entry(code, *(*words, "", "")[:2])
    for node in ast.walk(tree):
        if node not in told and (code := _code(node)):
            yield Entry(code, "", "")


def _code(node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) and CODE.fullmatch(value) else ""


def _text(node: ast.AST) -> str:
    """A string as far as it is written in the source."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "..."


def errors_page() -> str:
    """Text of ``docs/error-codes.md``."""
    found = entries()
    lines = [GENERATED, _HEAD]
    for family in sorted({entry.code.split("-")[1] for entry in found}):
        rows = [
            (f"`{entry.code}`", _cell(entry.message), _cell(entry.hint))
            for entry in found
            if entry.code.split("-")[1] == family
        ]
        lines += [f"## E-{family}", "", *table(("code", "says", "try"), rows), ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """For a table of Markdown: stars, lines and brackets as they are, code as code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_<>\[\]])", r"\\\1", part) for part in parts
    )
