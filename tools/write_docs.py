"""Write the pages and the JSON Schema that are made from the package's tables.

``python tools/write_docs.py`` rewrites ``docs/rules.md``, ``docs/yaml.md``,
``docs/vendor-options.md``, ``docs/training-options.md``, ``docs/protocol.md``,
``docs/registers.md``, ``docs/error-codes.md``, ``yaml_models/network.schema.json`` and the tables
in ``docs/board.md``; a test fails when one of them is stale.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from error_page import errors_page
from markdown_tables import GENERATED, table
from reference_pages import protocol_page, registers_page

from max78k.cli.option_groups import option_rows
from max78k.cli.vendor_flags import VENDOR_FLAGS, Effect
from max78k.compiler import placement_rules
from max78k.files import write_text
from max78k.formats import yaml_keys
from max78k.formats.yaml_keys import (
    BUFFER_KEYS,
    BUFFER_REQUIRED,
    GLOBAL_KEYS,
    LAYER_KEYS,
    REQUIRED_KEYS,
    UNLOAD_KEYS,
    UNLOAD_REQUIRED,
    Key,
)
from max78k.network import rules
from max78k.training.options import Augmentation, TrainOptions

ROOT = Path(__file__).resolve().parents[1]
Schema = dict[str, Any]

_NAME = {
    "type": "string",
    "pattern": f"^{yaml_keys.NAME.pattern}$",
    "not": {"enum": [yaml_keys.SEQUENCE_STOP, yaml_keys.SEQUENCE_INPUT]},
}
_PRODUCER = {
    "anyOf": [
        {"type": "integer", "minimum": -1, "maximum": 0xFFFF},
        {"type": "string", "pattern": f"^{yaml_keys.NAME.pattern}$"},
    ]
}
# Keys of the file that hold mappings: the keys of one, and those that it needs.
_ROWS: dict[str, tuple[dict[str, Key], tuple[str, ...]]] = {
    "layers": (LAYER_KEYS, ()),
    "unload": (UNLOAD_KEYS, UNLOAD_REQUIRED),
    "data_buffer": (BUFFER_KEYS, BUFFER_REQUIRED),
}


def _integer(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _one_or_list(item: Schema, low: int, high: int) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": low, "maxItems": high}]}


def _choice(table: dict[str, Any]) -> Schema:
    """The words as they are offered by an editor, or in any case."""
    any_case = "|".join(
        "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word) for word in table
    )
    accepted: list[Schema] = [
        {"enum": list(table)},
        {"type": "string", "pattern": f"^({any_case})$"},
    ]
    if "none" in table:
        accepted.append({"type": "null"})
    return {"anyOf": accepted}


# Schemas of the parsers in yaml_keys by name; those that a function makes get its arguments.
_FIXED: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "dimensions": _one_or_list(_integer(1, 1 << 20), 1, 2),
    "kernel_size": {
        "anyOf": [
            {"enum": ["1x1", "3x3"]},
            _integer(1, 9),
            {"type": "string", "pattern": r"^\s*(1[xX]1|3[xX]3|[1-9])\s*$"},
        ]
    },
    "name": _NAME,
    "processor_map": {
        "anyOf": [
            _integer(1, (1 << 64) - 1),
            {"type": "string", "pattern": "^(0[xX][0-9a-fA-F._]+|[0-9._]+)$"},
        ]
    },
    "producer": _PRODUCER,
    "producers": _one_or_list(_PRODUCER, 1, 32),
    "quadrants": _one_or_list(_integer(0, 3), 1, 4),
    "text": {"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "integer"}]},
    "weight_bits": {"enum": [1, 2, 4, 8]},
    "width": {"enum": [8, 32]},
}
_MADE: dict[str, Callable[[dict[str, Any]], Schema]] = {
    "integer": lambda made: _integer(made["low"], made["high"]),
    "pair": lambda made: _one_or_list(parser_schema(made["number"]), 2, 2),
    "choice": lambda made: _choice(made["table"]),
    "neutral": lambda made: {"enum": list(made["values"])},
}


# What the sentence of a parser about one value leaves out.
_MORE = {
    "pair": ", or [rows, columns]",
    "dimensions": ", or [rows, columns]",
    "producers": ", or a list of them",
    "name": f", other than `{yaml_keys.SEQUENCE_STOP}` and `{yaml_keys.SEQUENCE_INPUT}`",
}


def parser_schema(parse: Callable[[Any], Any]) -> Schema:
    """Schema of what a parser of :mod:`max78k.formats.yaml_keys` accepts.

    Raises KeyError for a parser that is not in the tables above.
    """
    name = parse.__qualname__.split(".")[0]
    if name in _FIXED:
        return _FIXED[name]
    return _MADE[name](dict(inspect.getclosurevars(parse).nonlocals))


def network_schema() -> Schema:
    """JSON Schema of a network description."""
    schema = _mapping(GLOBAL_KEYS)
    rows = {name: _one_or_rows({"$ref": f"#/$defs/{name}"}) for name in _ROWS}
    rows["layers"]["anyOf"][0] |= {"minItems": 1, "maxItems": 32}
    for name, accepted in rows.items():
        schema["properties"][name] = {"description": GLOBAL_KEYS[name].doc, **accepted}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Network description for the MAX78000",
        **schema,
        "required": list(REQUIRED_KEYS),
        "$defs": {
            name: _mapping(keys) | ({"required": list(required)} if required else {})
            for name, (keys, required) in _ROWS.items()
        },
    }


def _one_or_rows(row: Schema) -> Schema:
    return {"anyOf": [{"type": "array", "items": row}, row]}


def _mapping(keys: dict[str, Key]) -> Schema:
    properties: Schema = {}
    exclusive = []
    for name, key in keys.items():
        if name in _ROWS:
            continue
        properties[name] = {"description": key.doc, **parser_schema(key.parse)}
        for alias in key.aliases:
            described = {"description": f"the same as {name}", **parser_schema(key.parse)}
            properties[alias] = described
        words = (name, *key.aliases)
        exclusive += [
            {"not": {"required": [first, second]}}
            for number, first in enumerate(words)
            for second in words[number + 1 :]
        ]
    schema: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | ({"allOf": exclusive} if exclusive else {})


def schema_text() -> str:
    """Text of ``network.schema.json``."""
    return json.dumps(network_schema(), indent=1) + "\n"


def yaml_page() -> str:
    """Text of ``docs/yaml.md``."""
    return "\n".join(
        [
            _YAML_INTRODUCTION,
            "## Keys of the file",
            "",
            *_key_table(GLOBAL_KEYS),
            "",
            f"Required: {', '.join(f'`{key}`' for key in REQUIRED_KEYS)}.",
            "",
            "## Keys of a layer",
            "",
            *_key_table(LAYER_KEYS),
            "",
            "## Keys of an entry of `unload`",
            "",
            *_key_table(UNLOAD_KEYS),
            "",
            f"Required: {', '.join(f'`{key}`' for key in UNLOAD_REQUIRED)}.",
            "",
            "## Keys of an entry of `data_buffer`",
            "",
            *_key_table(BUFFER_KEYS),
            "",
            f"Required: {', '.join(f'`{key}`' for key in BUFFER_REQUIRED)}.",
            "",
            _BUFFERS,
        ]
    )


def _key_table(keys: dict[str, Key]) -> list[str]:
    rows = []
    for name, key in keys.items():
        spellings = ", ".join(f"`{word}`" for word in (name, *key.aliases))
        rows.append((spellings, _accepted(key), key.doc))
    return table(("key", "value", "meaning"), rows)


def _accepted(key: Key) -> str:
    """What the key's parser asks for, in its own words."""
    try:
        key.parse(object())
    except ValueError as error:
        more = _MORE.get(key.parse.__qualname__.split(".")[0], "")
        return str(error).removeprefix("must be ") + more
    raise ValueError(f"the parser of `{key.doc}` accepts anything")


def rules_page() -> str:
    """Text of ``docs/rules.md``."""
    scopes = (
        (rules.FORM, "A layer by itself"),
        (rules.LAYER, "A layer and its data"),
        (rules.NETWORK, "The network"),
    )
    lines = [_RULES_INTRODUCTION]
    for scope, title in scopes:
        found = [(f"`{rule.code}`", rule.doc) for rule in rules.RULES if rule.scope == scope]
        lines += [f"## {title}", "", *table(("code", "rule"), found), ""]
    placed = [(f"`{code}`", text) for code, text in placement_rules.documented()]
    return "\n".join([*lines, "## Placement", "", *table(("code", "rule"), placed), ""])


def vendor_options_page() -> str:
    """Text of ``docs/vendor-options.md``."""
    lines = [_OPTIONS_INTRODUCTION]
    titles = {
        Effect.SAME: ("Same meaning", "what it is"),
        Effect.NOTHING: ("Accepted, nothing changes", "why"),
        Effect.REFUSED: ("Refused", "use instead"),
    }
    for effect, (title, column) in titles.items():
        rows = [
            (", ".join(f"`{word}`" for word in flag.spellings), flag.text)
            for flag in VENDOR_FLAGS
            if flag.effect is effect
        ]
        lines += [f"## {title}", "", *table(("option", column), rows), ""]
    return "\n".join(lines)


def training_options_page() -> str:
    """Text of ``docs/training-options.md``."""
    lines = [_TRAINING_INTRODUCTION]
    head = ("option", "value", "default", "meaning")
    for kind in (TrainOptions, Augmentation):
        for group, rows in option_rows(kind).items():
            lines += [f"## {group}", "", *table(head, rows), ""]
    return "\n".join(lines)


def board_page() -> str:
    """Text of ``docs/board.md``: what is written by hand, with its tables made anew."""
    from max78k.cli.board import run
    from max78k.simulator.disturbances import KINDS
    from max78k.simulator.gdb_monitor import COMMANDS
    from max78k.simulator.power import DRAWS

    options = [option for option in run.params if isinstance(option, click.Option)]
    tables = {
        "options": table(("option", "effect"), [_option(option) for option in options]),
        "monitor": table(
            ("command", "effect"), [(f"`monitor {n}`", text) for n, (_, text) in COMMANDS.items()]
        ),
        "power": table(
            ("state", "mA from", "to", "source"),
            [
                (f"`{state}`" + ", per MHz" * draw.per_mhz, f"{draw.low:g}", f"{draw.high:g}",
                 draw.source)
                for state, draw in DRAWS.items()
            ],
        ),
        "faults": table(
            ("fault", "what happens"), [(f"`{kind.example}`", kind.meaning) for kind in KINDS]
        ),
    }  # fmt: skip

    def filled(match: re.Match[str]) -> str:
        return "\n".join([match[1], *tables[match[2]], match[3]])

    text = (ROOT / "docs/board.md").read_text("utf-8")
    return re.sub(r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)", filled, text, flags=re.DOTALL)


def _option(option: click.Option) -> tuple[str, str]:
    """Spelling and help of an option of the command line."""
    word = f"{option.opts[0]} {'' if option.is_flag else _value(option)}".strip()
    return f"`{word}`", (option.help or "") + (" May be repeated." if option.multiple else "")


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    names = {"path": "FILE", "text": "NAME", "integer": "N", "float range": "SECONDS"}
    return option.metavar or names.get(option.type.name, "N")


_YAML_INTRODUCTION = f"""{GENERATED}
# Network description in YAML

A description holds the layers of a network and, as far as one wants to give it, where they lie on
the chip. Weights, biases and output shifts come from the model or checkpoint. Keys and their
meaning are those of the vendor's synthesizer, so that its files can be read here and files written
here can be read there.

```yaml
# yaml-language-server: $schema=network.schema.json
arch: two_layers
dataset: pictures
layers:
  - {{name: conv1, op: conv2d, kernel_size: 3x3, pad: 1, activate: ReLU}}
  - {{name: fc, op: linear, flatten: true, output_width: 32}}
```

Processors, offsets and biases that are given are kept to the bit; what is left out is planned. All
errors of a file are reported at once, each with its line; a misspelt key comes with the nearest
one. `yaml_models/network.schema.json` is the JSON Schema of the format, for editors.
"""

_BUFFERS = """A buffer keeps its data from one inference to the next: the window of past values of
a temporal network, of which every inference computes the newest alone. It begins with zeros. A
pass-through layer with `buffer_shift: n` drops the n oldest values (of 2-D data, rows), a layer
with `buffer_insert: n` writes n new ones to the end, and a layer that names the buffer in
`in_sequences` reads what it holds then. Where it lies need not be given.

```yaml
arch: window
dataset: sound
data_buffer:
  - {name: past, channels: 16, dim: 15}
layers:
  - {name: shift, op: passthrough, in_sequences: past, buffer_shift: 1}
  - {name: new, op: linear, in_sequences: input, flatten: true, buffer_insert: 1, activate: ReLU}
  - {name: times, op: conv1d, in_sequences: past, kernel_size: 3, pad: 0, activate: ReLU}
  - {name: fc, op: linear, flatten: true, output_width: 32}
```

`cnn_configure()` sets the buffers to zeros, `cnn_clear_buffers()` does so at any time, and the
self-test before and after its run. Outputs of the integer reference for many inputs are those of
inferences one after another. ONNX has no such data: `max78k export --format onnx` refuses
(`E-ONNX-BUFFER`).
"""

_RULES_INTRODUCTION = f"""{GENERATED}
# Rules of the chip

What a network must keep to, so that the accelerator can run it. `max78k check` names every broken
rule by its code, with the layer, the numbers and the change that mends it. The first three tables
are about the network, the last one about addresses; addresses that the planner chooses keep to it.
"""

_OPTIONS_INTRODUCTION = f"""{GENERATED}
# Options of the vendor's synthesizer

`max78k synthesize` takes the command line of existing scripts. An option that is accepted without
effect is answered with one line that says why; a refused one ends the command (exit code 2).
`--style msdk` writes a project for the vendor's SDK; without it the project builds by itself.
"""

_TRAINING_INTRODUCTION = f"""{GENERATED}
# Options of training

`max78k train-qat` takes them as they stand here; `TrainOptions` and `Augmentation` of
`max78k.training.options` have them as fields, with underscores. [training.md](training.md) says how
they work together.
"""

PAGES: dict[str, Callable[[], str]] = {
    "docs/rules.md": rules_page,
    "docs/yaml.md": yaml_page,
    "docs/vendor-options.md": vendor_options_page,
    "docs/training-options.md": training_options_page,
    "yaml_models/network.schema.json": schema_text,
    "docs/board.md": board_page,
    "docs/protocol.md": protocol_page,
    "docs/registers.md": registers_page,
    "docs/error-codes.md": errors_page,
}


def main() -> None:
    """Write all of them."""
    for name, make in PAGES.items():
        write_text(ROOT / name, make())


if __name__ == "__main__":
    main()
