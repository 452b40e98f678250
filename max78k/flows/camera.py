"""Listening to the camera application of the firmware, and keeping the pictures that it sends."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from max78k.datasets.dataset import Uint8Array
from max78k.datasets.images import as_input, from_rgb565
from max78k.errors import LinkError, MismatchError
from max78k.files import write_bytes
from max78k.host.camera_lines import RECORD, CameraEvent, CameraLines, CameraPicture, CameraText
from max78k.host.ports import Port, open_port_errors
from max78k.network import Network, reference

SILENCE_S = 30.0  # a virtual board may need as long for one picture
_PATIENCE = 3  # answers after which a picture that was asked for should have come
_READ_BYTES = 4096


def listen(port: Port, *, pictures: int = 0, silence_s: float = SILENCE_S) -> Iterator[CameraEvent]:
    """What the application says, for ever, or until ``pictures`` pictures have come.

    A picture that was damaged on the way is asked for again.

    Raises:
        LinkError: E-CAMERA-SILENT, nothing came for ``silence_s`` seconds; E-LINK-PORT.
    """
    lines, left, patience = CameraLines(), pictures, 0
    heard = time.monotonic()
    while True:
        with open_port_errors():
            if left > 0 and patience == 0:
                port.write(RECORD)
                patience = _PATIENCE
            data = port.read(min(max(port.in_waiting, 1), _READ_BYTES))
        heard = time.monotonic() if data else heard
        if time.monotonic() - heard > silence_s:
            raise LinkError(
                "E-CAMERA-SILENT",
                f"nothing was heard for {silence_s:g} s.",
                "the firmware of `max78k synthesize --application camera`, SW1 if it is stopped, "
                "or another port.",
            )
        for event in lines.feed(data):
            yield event
            if isinstance(event, CameraPicture):
                left, patience = left - 1, 0
                if pictures and left <= 0:
                    return
            elif isinstance(event, CameraText):
                patience = 0 if event.damaged else patience
            else:
                patience = max(patience - 1, 0)


def picture_of(recorded: CameraPicture) -> Uint8Array:
    """The picture [rows, columns, 3] with blue first."""
    return from_rgb565(recorded.raw, recorded.rows, recorded.columns)


def save(recorded: CameraPicture, folder: Path) -> Path:
    """Write a picture as PNG and return its path."""
    import cv2

    path = folder / f"frame-{recorded.number:06}.png"
    write_bytes(path, cv2.imencode(".png", picture_of(recorded))[1].tobytes())
    return path


def check(recorded: CameraPicture, network: Network) -> None:
    """Compare what the board made of a picture with what this package makes of it.

    Raises:
        MismatchError: E-CAMERA-INPUT, E-CAMERA-SCORES; the network's input or its output differs.
    """
    pixels = as_input(picture_of(recorded), network.picture_shape, crop=True)
    values = network.from_pixels(pixels)
    crc = zlib.crc32(np.ascontiguousarray(values).tobytes())
    if crc != recorded.input_crc:
        raise MismatchError(
            "E-CAMERA-INPUT",
            f"picture {recorded.number}: the board's input has the checksum "
            f"{recorded.input_crc:08x}, the host's {crc:08x}.",
            f"whether the board runs the firmware of {network.name}.",
        )
    expected = tuple(reference.outputs(network, values[None])[0].tolist())
    if expected != recorded.scores:
        raise MismatchError(
            "E-CAMERA-SCORES",
            f"picture {recorded.number}: the board gave {list(recorded.scores)}, the reference "
            f"gives {list(expected)}.",
            f"whether the board runs the firmware of {network.name}.",
        )
