"""Twenty-eight named changes of a picture of a face, for data sets enlarged before training.

Every change has one name and one range, so that its use and its effect can be told apart; the
random numbers depend on the seed, the picture's number and the name alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Split, Uint8Array, joined
from max78k.errors import InputError

Plane = npt.NDArray[np.float32]  # [rows, columns], 0 ... 1
Change = Callable[[Plane, np.random.Generator], Plane]

_BORDER = cv2.BORDER_REFLECT_101
_FLAKE = 3  # pixels, side of a snowflake
_ELASTIC_REACH = 3.0  # pixels, the largest displacement


def _warp(plane: Plane, matrix: cv2.typing.MatLike) -> Plane:
    size = plane.shape[::-1]
    return np.asarray(cv2.warpAffine(plane, matrix, size, borderMode=_BORDER), np.float32)


def _about_centre(plane: Plane, angle: float, scale: float) -> Plane:
    rows, columns = plane.shape
    centre = ((columns - 1) / 2, (rows - 1) / 2)
    return _warp(plane, cv2.getRotationMatrix2D(centre, angle, scale))


def _rotation(plane: Plane, random: np.random.Generator) -> Plane:
    angle = random.uniform(8, 25) * random.choice((-1, 1))
    return _about_centre(plane, float(angle), 1.0)


def _flip(plane: Plane, random: np.random.Generator) -> Plane:
    return plane[:, ::-1]


def _zoom_in(plane: Plane, random: np.random.Generator) -> Plane:
    """A crop of 0.6 ... 0.75 of the area, somewhere, at full size."""
    rows, columns = plane.shape
    side = np.sqrt(random.uniform(0.6, 0.75))
    height, width = round(rows * side), round(columns * side)
    top, left = random.integers(0, rows - height + 1), random.integers(0, columns - width + 1)
    crop = plane[top : top + height, left : left + width]
    return np.asarray(cv2.resize(crop, (columns, rows)), np.float32)


def _zoom_out(plane: Plane, random: np.random.Generator) -> Plane:
    """The picture 1.1 ... 1.3 times smaller, its border mirrored outward."""
    return _about_centre(plane, 0.0, 1 / float(random.uniform(1.1, 1.3)))


def _shear(plane: Plane, random: np.random.Generator) -> Plane:
    slope = np.tan(np.deg2rad(random.uniform(5, 12))) * random.choice((-1, 1))
    middle = (plane.shape[1] - 1) / 2
    return _warp(plane, np.array([[1, 0, 0], [slope, 1, -slope * middle]], np.float64))


def _perspective(plane: Plane, random: np.random.Generator) -> Plane:
    """Corners moved inward by up to a quarter of half the side."""
    rows, columns = plane.shape
    corners = np.array(
        [[0, 0], [columns - 1, 0], [columns - 1, rows - 1], [0, rows - 1]], np.float32
    )
    inward = np.sign(np.array([(columns - 1) / 2, (rows - 1) / 2]) - corners)
    moves = random.uniform(0.05, 0.25, corners.shape) * np.array([columns, rows]) / 2
    moved = (corners + inward * moves).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(moved, corners)
    size = (columns, rows)
    return np.asarray(cv2.warpPerspective(plane, matrix, size, borderMode=_BORDER), np.float32)


def _elastic(plane: Plane, random: np.random.Generator) -> Plane:
    """Displacements smoothed with a kernel of 33 pixels and sigma 5, at most 3 pixels."""
    rows, columns = plane.shape
    fields = []
    for _ in range(2):
        noise = random.uniform(-1, 1, plane.shape).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (33, 33), 5)
        fields.append(smooth * np.float32(_ELASTIC_REACH / max(float(np.abs(smooth).max()), 1e-6)))
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
    moved = cv2.remap(
        plane, across + fields[0], down + fields[1], cv2.INTER_LINEAR, borderMode=_BORDER
    )
    return np.asarray(moved, np.float32)


def _brightness(plane: Plane, random: np.random.Generator, *, low: float, high: float) -> Plane:
    return np.asarray(plane * np.float32(random.uniform(low, high)), np.float32)


def _contrast(plane: Plane, random: np.random.Generator, *, low: float, high: float) -> Plane:
    mean = plane.mean()
    return np.asarray((plane - mean) * np.float32(random.uniform(low, high)) + mean, np.float32)


def _gamma(plane: Plane, random: np.random.Generator, *, low: float, high: float) -> Plane:
    """Grey levels to the power of 1 / gamma: below 1 darker, above 1 brighter."""
    return np.asarray(plane ** np.float32(1 / random.uniform(low, high)), np.float32)


def _posterize(plane: Plane, random: np.random.Generator) -> Plane:
    """Four grey levels: two bits."""
    return np.asarray(np.floor(np.minimum(plane * 4, 3)) / 4, np.float32)


def _noise(plane: Plane, random: np.random.Generator, *, sigma: float) -> Plane:
    noise = random.standard_normal(plane.shape, dtype=np.float32)
    return np.asarray(plane + noise * np.float32(sigma), np.float32)


def _blur(plane: Plane, random: np.random.Generator) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (9, 9), float(random.uniform(3, 5))), np.float32)


def _motion(plane: Plane, random: np.random.Generator, *, sign: int) -> Plane:
    """Smeared over nine pixels along a line that falls (sign 1) or rises (-1) to the right."""
    kernel = np.zeros((9, 9), np.float32)
    angle = np.deg2rad(sign * random.uniform(20, 50))
    for step in np.linspace(-4, 4, 33):
        kernel[round(4 + step * np.sin(angle)), round(4 + step * np.cos(angle))] += 1
    smeared = cv2.filter2D(plane, -1, kernel / kernel.sum(), borderType=_BORDER)
    return np.asarray(smeared, np.float32)


def _erase(
    plane: Plane,
    random: np.random.Generator,
    *,
    share: tuple[float, float],
    ratio: tuple[float, float],
) -> Plane:
    """A grey rectangle: ``share`` of the area, ``ratio`` of its sides, lying or standing."""
    rows, columns = plane.shape
    area, stretch = random.uniform(*share) * plane.size, random.uniform(*ratio)
    long, short = np.sqrt(area * stretch), np.sqrt(area / stretch)
    height, width = (long, short) if random.random() < 0.5 else (short, long)
    height, width = min(max(round(height), 1), rows), min(max(round(width), 1), columns)
    top, left = random.integers(0, rows - height + 1), random.integers(0, columns - width + 1)
    changed: Plane = plane.copy()
    changed[top : top + height, left : left + width] = 0.5
    return changed


def _solarize(plane: Plane, random: np.random.Generator) -> Plane:
    """Darker or brighter by up to 0.4, then levels above 0.3 ... 0.7 turned over."""
    moved = np.clip(plane + np.float32(random.uniform(-0.4, 0.4)), 0, 1)
    turned = np.where(moved > random.uniform(0.3, 0.7), 1 - moved, moved)
    return np.asarray(turned, np.float32)


def _equalize(plane: Plane, random: np.random.Generator) -> Plane:
    return _from_bytes(cv2.equalizeHist(_to_bytes(plane)))


def _clahe(plane: Plane, random: np.random.Generator) -> Plane:
    method = cv2.createCLAHE(float(random.uniform(4, 8)), (4, 4))
    return _from_bytes(method.apply(_to_bytes(plane)))


def _invert(plane: Plane, random: np.random.Generator) -> Plane:
    return np.asarray(1 - plane, np.float32)


def _snowflakes(plane: Plane, random: np.random.Generator) -> Plane:
    changed: Plane = plane.copy()
    for top, left in random.integers(0, np.array(plane.shape) - _FLAKE + 1, (20, 2)):
        changed[top : top + _FLAKE, left : left + _FLAKE] += np.float32(0.7)
    return changed


def _dust(plane: Plane, random: np.random.Generator) -> Plane:
    changed: Plane = plane.copy().reshape(-1)
    changed[random.choice(plane.size, min(60, plane.size), replace=False)] += np.float32(0.4)
    return np.asarray(changed.reshape(plane.shape), np.float32)


def _hair(plane: Plane, random: np.random.Generator) -> Plane:
    """Four dark strands across the picture."""
    rows, columns = plane.shape
    shade = np.zeros(plane.shape, np.float32)
    for _ in range(4):
        start, end = random.integers(0, columns, 2)
        bend = int(random.integers(-columns // 4, columns // 4 + 1))
        middle = ((int(start) + int(end)) // 2 + bend, rows // 2)
        points = np.array([(int(start), 0), middle, (int(end), rows - 1)], np.int32)
        cv2.polylines(shade, [points], isClosed=False, color=0.3, thickness=1)
    return plane - shade


CHANGES: Mapping[str, Change] = {
    "rotation": _rotation,
    "flip": _flip,
    "zoom_in": _zoom_in,
    "zoom_out": _zoom_out,
    "shear": _shear,
    "perspective": _perspective,
    "elastic": _elastic,
    "dark": partial(_brightness, low=0.2, high=0.4),
    "bright": partial(_brightness, low=1.6, high=2.2),
    "low_contrast": partial(_contrast, low=0.2, high=0.4),
    "high_contrast": partial(_contrast, low=2.5, high=3.5),
    "gamma_dark": partial(_gamma, low=0.2, high=0.5),
    "gamma_bright": partial(_gamma, low=1.8, high=2.8),
    "posterize": _posterize,
    "heavy_noise": partial(_noise, sigma=0.12),
    "light_noise": partial(_noise, sigma=0.04),
    "blur": _blur,
    "motion_left": partial(_motion, sign=1),
    "motion_right": partial(_motion, sign=-1),
    "squares": partial(_erase, share=(0.08, 0.2), ratio=(1.0, 1.0)),
    "bars": partial(_erase, share=(0.03, 0.08), ratio=(4.0, 8.0)),
    "solarize": _solarize,
    "equalize": _equalize,
    "clahe": _clahe,
    "invert": _invert,
    "snowflakes": _snowflakes,
    "dust": _dust,
    "hair": _hair,
}


def change(picture: Uint8Array, name: str, seed: int, number: int) -> Uint8Array:
    """A picture changed in one way.

    Args:
        picture: uint8 [channels, rows, columns].
        name: one of CHANGES.
        seed, number: choose the amount; a picture's number keeps it apart from its neighbours.

    Raises:
        InputError: E-AUGMENT-NAME for an unknown name, E-AUGMENT-SHAPE for what is no picture of
            at least 8x8 pixels.
        RuntimeError: the change made no picture of the same shape, which is a fault of its own.
    """
    if name not in CHANGES:
        raise InputError(
            "E-AUGMENT-NAME", f"there is no change {name!r}.", f"one of {', '.join(CHANGES)}."
        )
    if picture.ndim != 3 or min(picture.shape[1:]) < 8:
        raise InputError(
            "E-AUGMENT-SHAPE",
            f"a sample of shape {list(picture.shape)} is no picture of 8x8 pixels or more.",
            "these changes are for [channels, rows, columns].",
        )
    # Every channel gets the same numbers, so that colours stay together.
    entropy = (seed & 0xFFFF_FFFF_FFFF_FFFF, number, zlib.crc32(name.encode()))
    planes = [
        CHANGES[name](_from_bytes(plane), np.random.default_rng(entropy)) for plane in picture
    ]
    changed = np.stack([_to_bytes(plane) for plane in planes])
    if changed.shape != picture.shape:
        raise RuntimeError(f"{name} made {list(changed.shape)} of {list(picture.shape)}")
    return changed


def enlarge(
    split: Split,
    names: Sequence[str],
    share: float,
    seed: int,
    spared: npt.NDArray[np.bool_] | None = None,
) -> tuple[Split, list[str]]:
    """The samples, followed by changed copies.

    Args:
        split: pictures.
        names: changes to make.
        share: of the pictures, chosen anew for each change, that get a copy; 0 ... 1.
        seed: chooses pictures and amounts.
        spared: bool [N], pictures that get no copy: those that results are measured with, too.

    Returns:
        The larger split, and for each of its rows the change ("" for the originals).
    """
    able = np.arange(len(split)) if spared is None else np.flatnonzero(~spared)
    count = round(share * len(able))
    parts, made = [split], [""] * len(split)
    for name in names:
        generator = np.random.default_rng((seed & 0xFFFF_FFFF_FFFF_FFFF, zlib.crc32(name.encode())))
        rows = np.sort(able[generator.permutation(len(able))[:count]])
        if not len(rows):
            continue
        changed = [change(split.inputs[row], name, seed, int(row)) for row in rows]
        parts.append(replace(split.take(rows), inputs=np.stack(changed)))
        made += [name] * len(rows)
    return joined(parts), made


def _from_bytes(plane: npt.NDArray[np.uint8] | cv2.typing.MatLike) -> Plane:
    return np.asarray(np.asarray(plane, np.float32) / 255, np.float32)


def _to_bytes(plane: Plane) -> Uint8Array:
    return np.asarray(np.clip(np.rint(plane * np.float32(255)), 0, 255), np.uint8)
