"""A network's input as the bytes that go over the link."""

from __future__ import annotations

from typing import Any

from max78k.errors import InputError
from max78k.host.replies import DeviceInfo


def int8_bytes(data: Any, info: DeviceInfo) -> bytes:
    """The input as bytes; an array of another type is refused, for its bytes would mislead."""
    wanted = f"{info.network_name} takes {info.input_bytes} int8 values"
    is_bytes = isinstance(data, (bytes, bytearray, memoryview))
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise InputError("E-LINK-INPUT", f"the input is of type {kind}; {wanted}.") from None
    if not is_bytes and view.format != "b":
        raise InputError(
            "E-LINK-INPUT",
            f"the input's type code is {view.format!r}; {wanted}.",
            "convert it to int8: 8-bit pixels from 0 to 255 less 128",
        )
    if view.nbytes != info.input_bytes:
        raise InputError(
            "E-LINK-INPUT",
            f"the input has {view.nbytes} bytes; {wanted}.",
            "resize the input, or flash the network that it was made for",
        )
    return view.tobytes()
