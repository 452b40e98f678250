"""Every key of a network description: aliases, accepted values, meaning. A table with parsers.

The key names and their meaning are those of the vendor's synthesizer, so that its files can be read
and ours can be given to it. A parser takes the value as YAML delivers it and returns the value in
one normal form, or raises ValueError with a sentence that begins with "must".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from max78k.chip import limits
from max78k.compiler.placement import FAST_FIFO, FIFO, MEMORY
from max78k.network import Activation, Eltwise, Operation

Parser = Callable[[Any], Any]

SEQUENCE_STOP = "stop"
SEQUENCE_INPUT = "input"
OUT_OFFSET_END = 0x20000  # four quadrants' instances seen as one range by the vendor's parser
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_KERNEL = re.compile(r"(\d{1,2})x(\d{1,2})")


@dataclass(frozen=True)
class Key:
    """One key: how its value is read, its other spellings, one line of meaning.

    ``code`` is the error code for a value that is refused.
    """

    parse: Parser
    doc: str
    aliases: tuple[str, ...] = ()
    code: str = "E-YAML-VALUE"


def shown(value: Any) -> str:
    """A value for an error message: never longer than a line, whatever is in the file."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        plain = len(value) <= 4 and not any(isinstance(item, (dict, list)) for item in value)
        text = f"[{', '.join(map(shown, value))}]" if plain else ""
        return text if 0 < len(text) <= 60 else f"a list of {len(value)}"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 128 else "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def integer(low: int, high: int) -> Parser:
    """A whole number in low...high."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return parse


def pair(low: int, high: int) -> Parser:
    """A number for both axes, or a list [rows, columns]."""
    number = integer(low, high)

    def parse(value: Any) -> tuple[int, int]:
        items = value if isinstance(value, list) else [value, value]
        if len(items) != 2:
            raise ValueError("must be one number or a list of two")
        return (number(items[0]), number(items[1]))

    return parse


def dimensions(value: Any) -> tuple[int, ...]:
    """Rows and columns, or a length."""
    items = value if isinstance(value, list) else [value]
    if len(items) not in (1, 2):
        raise ValueError("must be one number or a list of two")
    return tuple(integer(1, 1 << 20)(item) for item in items)


def processor_map(value: Any) -> int:
    """A 64-bit map, as a number or as text with dots or underscores between digits."""
    if isinstance(value, str):
        try:
            value = int(value.replace(".", "").replace("_", ""), 0)
        except ValueError:
            value = 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 64:
        raise ValueError("must be a map of 1 to 64 processors, such as 0x000000000000000f")
    return value


def boolean(value: Any) -> bool:
    """true or false."""
    if value not in (True, False):
        raise ValueError("must be true or false")
    return bool(value)


def text(value: Any) -> str:
    """A word or a number, as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise ValueError("must be a word")
    return str(value)


def name(value: Any) -> str:
    """A layer name."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError("must be letters, digits, underscores and dots, at most 64")
    if value in (SEQUENCE_STOP, SEQUENCE_INPUT):
        raise ValueError(f"must not be `{SEQUENCE_STOP}` or `{SEQUENCE_INPUT}`")
    return value


def choice(table: dict[str, Any]) -> Parser:
    """One of the words in ``table``, in any case; the value is what the table says."""

    def parse(value: Any) -> Any:
        word = "none" if value is None else str(value).lower()
        if isinstance(value, (dict, list)) or word not in table:
            raise ValueError(f"must be one of {', '.join(table)}")
        return table[word]

    return parse


def kernel_size(value: Any) -> tuple[int, ...]:
    """``3x3`` for two dimensions, a number for one."""
    if isinstance(value, str):
        match = _KERNEL.fullmatch(value.strip().lower())
        if match:
            return (int(match[1]), int(match[2]))
        if value.strip().isdigit():
            value = int(value)
    try:
        return (int(integer(1, limits.CONV1D_KERNEL)(value)),)
    except ValueError:
        raise ValueError("must be 1x1, 3x3 or a number from 1 to 9") from None


def producer(value: Any) -> int | str:
    """A layer by its sequence number or name; the network's input is -1 or ``input``."""
    if isinstance(value, str) and (NAME.fullmatch(value) or value == SEQUENCE_INPUT):
        return -1 if value == SEQUENCE_INPUT else value
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 1 << 16:
        raise ValueError("must be a layer's sequence number or name, or -1 for the network's input")
    return value


def producers(value: Any) -> tuple[int | str, ...]:
    """One or more producers."""
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= limits.LAYERS:
        raise ValueError(f"must name 1 to {limits.LAYERS} layers")
    return tuple(producer(item) for item in items)


def quadrants(value: Any) -> tuple[int, ...]:
    """One quadrant or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= limits.QUADRANTS:
        raise ValueError("must be a quadrant from 0 to 3, or a list of them")
    return tuple(dict.fromkeys(integer(0, limits.QUADRANTS - 1)(item) for item in items))


def weight_bits(value: Any) -> int:
    """1, 2, 4 or 8."""
    if str(value).lower() in ("bin", "binary"):
        raise ValueError("must be 1, 2, 4 or 8; weights of -1 and +1 are for the MAX78002")
    if isinstance(value, bool) or value not in limits.WEIGHT_BITS:
        raise ValueError("must be 1, 2, 4 or 8")
    return int(value)


def width(value: Any) -> int:
    """8 or 32."""
    if isinstance(value, bool) or value not in (8, 32):
        raise ValueError("must be 8 or 32")
    return int(value)


def rows(value: Any) -> tuple[dict[str, Any], ...]:
    """A list of mappings, kept as they are."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in items):
        raise ValueError("must be a list of mappings")
    return tuple(items)


def neutral(*values: Any) -> Parser:
    """Only values without effect: the key is for the MAX78002."""

    def parse(value: Any) -> Any:
        if value not in values:
            raise ValueError(f"must be {values[0]} here: it is for the MAX78002")
        return value

    return parse


OPERATIONS: dict[str, Operation | Eltwise] = {
    "conv1d": Operation.CONV1D,
    "conv2d": Operation.CONV2D,
    "convtranspose2d": Operation.CONVTRANSPOSE2D,
    "linear": Operation.LINEAR,
    "fc": Operation.LINEAR,
    "mlp": Operation.LINEAR,
    "none": Operation.PASSTHROUGH,
    "passthrough": Operation.PASSTHROUGH,
    "add": Eltwise.ADD,
    "sub": Eltwise.SUB,
    "or": Eltwise.OR,
    "bitwiseor": Eltwise.OR,
    "bitwise_or": Eltwise.OR,
    "xor": Eltwise.XOR,
    "bitwisexor": Eltwise.XOR,
    "bitwise_xor": Eltwise.XOR,
}
ELTWISE = {word: value for word, value in OPERATIONS.items() if isinstance(value, Eltwise)}
ACTIVATIONS = {"relu": Activation.RELU, "abs": Activation.ABS, "none": Activation.NONE}
FORMATS = {"hwc": "HWC", "little": "HWC", "chw": "CHW", "big": "CHW"}
FEEDS = {word: word for word in (MEMORY, FIFO, FAST_FIFO)}

MAX78002 = "E-YAML-MAX78002"

GLOBAL_KEYS: dict[str, Key] = {
    "arch": Key(text, "name of the network, equal to the one stored in the checkpoint"),
    "dataset": Key(text, "name of the data set; not used"),
    "layers": Key(rows, "the layers"),
    "output_map": Key(processor_map, "processors that receive the last layer's output"),
    "unload": Key(rows, "regions to unload instead of the output layers"),
    "data_buffer": Key(rows, "buffers that keep data from one inference to the next"),
    "feed": Key(choice(FEEDS), "how the network's input comes in; not read by the vendor's tool"),
    "bias": Key(text, "bias file of the vendor's tests; not used"),
    "weights": Key(text, "weight file of the vendor's tests; not used"),
    "snoop": Key(neutral(None), "bus snooping", code=MAX78002),
}
UNLOAD_KEYS: dict[str, Key] = {
    "processors": Key(processor_map, "processors whose memory is unloaded"),
    "channels": Key(integer(1, limits.CHANNELS), "channels in it"),
    "dim": Key(dimensions, "rows and columns, or length, of a channel"),
    "offset": Key(integer(0, OUT_OFFSET_END - 1), "byte offset of the first value"),
    "width": Key(width, "8, or 32 for bare accumulators"),
    "write_gap": Key(integer(0, 15), "words left free between the words"),
}
BUFFER_KEYS: dict[str, Key] = {
    "name": Key(name, "name by which layers read it in `in_sequences`"),
    "processors": Key(processor_map, "processors in whose memory it lies"),
    "channels": Key(integer(1, limits.CHANNELS), "channels in it"),
    "dim": Key(dimensions, "rows and columns, or length, of a channel"),
    "offset": Key(integer(0, OUT_OFFSET_END - 1), "byte offset of the first value"),
    "width": Key(neutral(8), "8: layers read 8-bit data alone"),
}
BUFFER_REQUIRED = ("name", "channels", "dim")
UNLOAD_REQUIRED = ("processors", "channels", "dim", "offset")
REQUIRED_KEYS = ("arch", "dataset", "layers")

LAYER_KEYS: dict[str, Key] = {
    "processors": Key(processor_map, "processors that read the layer's input"),
    "output_processors": Key(processor_map, "processors whose memory receives the output"),
    "name": Key(name, "name of the layer"),
    "sequence": Key(integer(0, limits.LAYERS - 1), "position of the layer"),
    "next_sequence": Key(producer, "layer that runs next, or `stop`"),
    "in_sequences": Key(producers, "layers whose outputs are read"),
    "operation": Key(choice(OPERATIONS), "what the layer does", ("op", "operator", "convolution")),
    "eltwise": Key(choice(ELTWISE), "element-wise operation before the convolution"),
    "operands": Key(integer(2, limits.ELTWISE_OPERANDS), "operands of an element-wise operation"),
    "pool_first": Key(boolean, "pool before the element-wise operation"),
    "kernel_size": Key(kernel_size, "1x1, 3x3, or 1 to 9 for conv1d"),
    "pad": Key(integer(0, limits.PADDING), "zeros added on every side"),
    "stride": Key(pair(1, 16), "stride of the operation, 1 (2 for convtranspose2d)"),
    "dilation": Key(pair(1, limits.DIMENSION), "distance of the kernel's taps, conv1d alone"),
    "max_pool": Key(pair(1, limits.POOL_SIZE), "maximum pooling window"),
    "avg_pool": Key(pair(1, limits.POOL_SIZE), "average pooling window"),
    "pool_stride": Key(pair(1, limits.POOL_STRIDE), "step of the pooling window"),
    "pool_dilation": Key(
        neutral(1, [1, 1]), "distance of the values in a pooling window", code=MAX78002
    ),
    "in_channels": Key(integer(1, limits.CHANNELS), "input channels"),
    "out_channels": Key(integer(1, limits.CHANNELS), "output channels"),
    "in_dim": Key(dimensions, "rows and columns of the input"),
    "in_crop": Key(pair(0, limits.DIMENSION), "rows dropped at the top and the bottom"),
    "in_offset": Key(integer(0, OUT_OFFSET_END - 1), "byte offset of the input"),
    "out_offset": Key(integer(0, OUT_OFFSET_END - 1), "byte offset of the output"),
    "in_skip": Key(neutral(0), "words skipped between inputs", ("read_gap",), MAX78002),
    "in_channel_skip": Key(integer(0, limits.CHANNELS), "first input channels not read"),
    "write_gap": Key(integer(0, 15), "words left free between output words"),
    "activation": Key(choice(ACTIVATIONS), "ReLU, Abs or None", ("activate",)),
    "data_format": Key(choice(FORMATS), "format of the network's input: HWC or CHW"),
    "output_width": Key(width, "8, or 32 for the bare accumulator"),
    "output_shift": Key(integer(-22, 15), "power of two that scales the output"),
    "quantization": Key(weight_bits, "bits of a weight"),
    "flatten": Key(boolean, "read all pixels as channels"),
    "streaming": Key(boolean, "process the input as it arrives"),
    "groups": Key(neutral(1), "groups of a convolution", ("conv_groups",), MAX78002),
    "bias_group": Key(quadrants, "quadrants that may hold the bias", ("bias_quadrant",)),
    "output": Key(boolean, "the layer's output is unloaded"),
    "weight_source": Key(producer, "layer whose weights are used again"),
    "output_pad": Key(integer(0, 1), "1 for convtranspose2d, 0 otherwise"),
    "simulated_sequence": Key(producer, "order of the vendor's simulation; not used"),
    "buffer_shift": Key(
        integer(1, limits.DIMENSION),
        "values (rows) by which a pass-through layer shifts the buffer",
    ),
    "buffer_insert": Key(
        integer(1, limits.DIMENSION), "values (rows) that the layer writes to the end of a buffer"
    ),
    "bypass": Key(neutral(False), "kernel bypass", code=MAX78002),
    "calcx4": Key(neutral(False), "four processors to a channel", code=MAX78002),
    "readahead": Key(neutral(False), "early reading of the input", code=MAX78002),
    "tcalc": Key(neutral(False), "timing calculation", code=MAX78002),
    "snoop_sequence": Key(neutral(None), "layer of a snoop", code=MAX78002),
}


def spellings(keys: dict[str, Key]) -> dict[str, str]:
    """Every accepted spelling and the key it stands for."""
    table = {key: key for key in keys}
    table.update({alias: key for key, entry in keys.items() for alias in entry.aliases})
    return table
