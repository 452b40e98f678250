"""A network's input, and packets of CSI, as the bytes that go over the link."""

from __future__ import annotations

from typing import Any

from max78k.errors import InputError
from max78k.host.replies import DeviceInfo


def int8_bytes(data: Any, info: DeviceInfo) -> bytes:
    """The input as bytes; an array of another type is refused, for its bytes would mislead."""
    wanted = f"{info.network_name} takes {info.input_bytes} int8 values"
    view = _int8_view("the input", data, wanted)
    if view.nbytes != info.input_bytes:
        raise InputError(
            "E-LINK-INPUT",
            f"the input has {view.nbytes} bytes; {wanted}.",
            "resize the input, or flash the network that it was made for",
        )
    return view.tobytes()


def packet_bytes(packets: Any, values: int) -> bytes:
    """CSI packets, int8 [N, values] or bytes, as bytes; of none there are none.

    Raises InputError ``E-LINK-INPUT`` for packets of another size or type, and where ``values`` is
    0: the board has not been told their size.
    """
    if not values:
        raise InputError(
            "E-LINK-INPUT", "the board does not know how long packets are.", "`collect_csi` first"
        )
    wanted = f"the board collects packets of {values} int8 values"
    view = _int8_view("the array of packets", packets, wanted)
    shape = view.shape or (view.nbytes,)
    if view.nbytes % values or (len(shape) > 1 and shape[-1] != values):
        raise InputError(
            "E-LINK-INPUT",
            f"the array of packets is {list(shape)}; {wanted}.",
            "whole packets, or `collect_csi` with their size",
        )
    return view.tobytes()


def _int8_view(what: str, data: Any, wanted: str) -> memoryview:
    """The bytes of an int8 array, or plain bytes."""
    is_bytes = isinstance(data, (bytes, bytearray, memoryview))
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise InputError("E-LINK-INPUT", f"{what} is of type {kind}; {wanted}.") from None
    if not is_bytes and view.format != "b":
        raise InputError(
            "E-LINK-INPUT",
            f"{what} is of type code {view.format!r}; {wanted}.",
            "convert it to int8: 8-bit pixels from 0 to 255 less 128",
        )
    return view
