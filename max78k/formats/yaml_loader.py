"""Reading YAML from an untrusted file: line numbers, no repeated keys, bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from max78k.errors import InputError

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_VALUES = 50_000  # counted with aliases expanded


class LineDict(dict[str, Any]):
    """A mapping that knows the line (from 1) of itself and of each of its keys."""

    line: int = 0
    lines: dict[str, int]


def load_yaml(path: Path) -> Any:
    """The document in ``path``; every mapping is a :class:`LineDict` with text keys.

    Raises:
        InputError: unreadable file, YAML syntax, more than one document, a repeated key, a tag
            that asks for an object, or a document that is too large, too deep or grown by aliases.
    """
    text = _read(Path(path))
    loader = _Loader(text)
    loader.path = Path(path)
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise InputError(
            "E-YAML-SYNTAX", f"{path} line {line}: {error.problem or error.context}."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError("E-YAML-SYNTAX", f"{path}: {reason}.") from error
    finally:
        loader.dispose()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError("E-YAML-FILE", f"{path}: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise InputError("E-YAML-SIZE", f"{path} is larger than {MAX_BYTES} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("E-YAML-SYNTAX", f"{path} is not UTF-8 text ({error}).") from error


class _Loader(yaml.SafeLoader):
    """SafeLoader that counts what it composes and keeps line numbers."""

    path = Path()

    def __init__(self, text: str) -> None:
        try:
            super().__init__(text)
        except yaml.YAMLError as error:  # characters that YAML forbids
            reason = str(error).splitlines()[0]
            raise InputError("E-YAML-SYNTAX", f"{reason}.") from error
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refusal("E-YAML-SIZE", event, f"nested more than {MAX_DEPTH} deep")
        alias = isinstance(event, yaml.AliasEvent)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if alias:
            if id(node) not in self._sizes:
                raise self._refusal("E-YAML-ALIAS", event, "an alias inside its own anchor")
            self._values += self._sizes[id(node)]
        else:
            self._values += 1
            self._sizes[id(node)] = self._values - before
        if self._values > MAX_VALUES:
            raise self._refusal("E-YAML-SIZE", event, f"more than {MAX_VALUES} values")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        result = LineDict()
        result.line = node.start_mark.line + 1
        result.lines = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refusal("E-YAML-SYNTAX", key_node, "a key that is not a plain word")
            key = key_node.value
            if key in result:
                raise self._refusal("E-YAML-DUPLICATE", key_node, f"key `{key}` is given twice")
            result[key] = self.construct_object(value_node, deep=True)
            result.lines[key] = key_node.start_mark.line + 1
        return result

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        return self.construct_mapping(node)

    def _refusal(self, code: str, where: Any, text: str) -> InputError:
        """``where`` is a node or an event."""
        return InputError(code, f"{self.path} line {where.start_mark.line + 1}: {text}.")


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader._mapping)
