"""The application without a host: camera, network, LED, a line of text for every picture.

Its sources lie in ``firmware/camera``. What depends on the network is in ``camera.h``: the size of
the pictures that the sensor is asked for, and which part of them becomes the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import addresses
from max78k.codegen import tables
from max78k.codegen.headers import GENERATED
from max78k.compiler.image import Image
from max78k.datasets.images import middle
from max78k.errors import InputError
from max78k.network.folding import picture_shape

_SENSOR_ROWS, _SENSOR_COLUMNS = 480, 640
_STEP = 6  # rows in steps of 6 and columns of 8: 3 to 4, whole words, an even number of rows
_LEAST_ROWS = 72  # the sensor sends a row less than asked for where a side has 68 or less
_OTHER_BYTES = 24 * 1024  # of SRAM: stack, rings of the console, variables
_MOST_PICTURE_BYTES = 60_000  # larger pictures take longer and show the network nothing more


@dataclass(frozen=True)
class CameraPlan:
    """Sizes of the sensor's pictures, the part of them that is used, and the input.

    ``middle`` is top, left, height and width in the picture; ``channels``, ``input_rows`` and
    ``input_columns`` are those of the input before it is folded.
    """

    rows: int
    columns: int
    middle: tuple[int, int, int, int]
    channels: int
    input_rows: int
    input_columns: int
    offset: int
    fold: int = 1


def plan_camera(image: Image, offset: int, fold: int = 1) -> CameraPlan:
    """Sizes for the network of ``image``: as many pixels to one of the input as SRAM holds.

    Args:
        image: what the accelerator needs.
        offset: what is subtracted from a pixel's level.
        fold: how the network's input is folded, see :mod:`max78k.network.folding`.

    Raises:
        InputError: E-CAMERA-INPUT, E-CAMERA-OUTPUT, E-CAMERA-SIZE: the network does not read
            pictures, does not give one value per class, or leaves no memory for a picture.
    """
    read = image.sample_input.shape
    shape = picture_shape(read, fold)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(
            "E-CAMERA-INPUT",
            f"network {image.name} reads {list(read)}, the camera gives pictures.",
            "a network with an input of 1 (grey) or 3 (colour) channels, rows and columns.",
        )
    if not tables.is_vector(image):
        raise InputError(
            "E-CAMERA-OUTPUT",
            f"network {image.name} does not give one value per class.",
            "a network that classifies.",
        )
    room = addresses.SRAM_BYTES - _OTHER_BYTES - image.sample_input.size
    room = min(room - tables.output_bytes(image), _MOST_PICTURE_BYTES)
    channels, rows, columns = shape
    sizes = [_picture_size(rows, columns, times) for times in range(1, _SENSOR_ROWS)]
    fitting = [size for size in sizes if size[0] <= _SENSOR_ROWS and 2 * size[0] * size[1] <= room]
    if not fitting:
        raise InputError(
            "E-CAMERA-SIZE",
            f"network {image.name}: a picture for an input of {rows} x {columns} takes "
            f"{2 * sizes[0][0] * sizes[0][1]:,} bytes, {max(room, 0):,} are free; the sensor has "
            f"{_SENSOR_COLUMNS} x {_SENSOR_ROWS} pixels.",
            "a network with a smaller input.",
        )
    height, width = fitting[-1]
    part = middle(height, width, rows, columns)
    return CameraPlan(height, width, part, channels, rows, columns, offset, fold)


def _picture_size(rows: int, columns: int, times: int) -> tuple[int, int]:
    """Rows and columns, 3 to 4, that hold an input's shape so many times as large."""
    needed = max(times * rows, -(-times * columns * 3 // 4), _LEAST_ROWS)
    height = -(-needed // _STEP) * _STEP
    return height, height * 4 // 3


def camera_header(plan: CameraPlan, class_names: tuple[str, ...]) -> str:
    """Text of ``camera.h``."""
    top, left, height, width = plan.middle
    values = {
        "CAMERA_ROWS": plan.rows,
        "CAMERA_COLUMNS": plan.columns,
        "CAMERA_BYTES": 2 * plan.rows * plan.columns,
        "MIDDLE_TOP": top,
        "MIDDLE_LEFT": left,
        "MIDDLE_ROWS": height,
        "MIDDLE_COLUMNS": width,
        "INPUT_CHANNELS": plan.channels,
        "INPUT_ROWS": plan.input_rows,
        "INPUT_COLUMNS": plan.input_columns,
        "INPUT_FOLD": plan.fold,
        "INPUT_OFFSET": plan.offset,
        "CLASS_NAMES": int(bool(class_names)),
    }
    lines = [
        GENERATED,
        "/* Pictures of the sensor, the part of them that is used, and the network's input. */",
        "#ifndef CAMERA_H",
        "#define CAMERA_H",
        "",
        *(f"#define {name} {value}U" for name, value in values.items()),
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)
