"""Soft-edged shapes on many small grey pictures at once.

A shape is a distance [n, rows, columns] in face units: negative inside, 0 on its edge. Edges are
smoothed over one pixel. Only +, -, *, /, square root, minimum and maximum are used: IEEE 754
defines their results to the last bit, so that every machine draws the same picture.
"""

from __future__ import annotations

import numpy as np

from max78k.datasets.dice import FloatArray

_TINY = np.float32(1e-6)


def ellipse(x: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Ellipse around (0, 0) with half axes ``a`` and ``b``; exact near its edge."""
    p, q = x / a, y / b
    across, along = p / a, q / b
    slope = np.sqrt(across * across + along * along) + _TINY
    return np.asarray((p * p + q * q - np.float32(1)) / (slope * np.float32(2)))


def circle(x: FloatArray, y: FloatArray, radius: FloatArray) -> FloatArray:
    """Circle around (0, 0)."""
    return np.asarray(np.sqrt(x * x + y * y) - radius)


def box(x: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Rectangle around (0, 0) with half sides ``a`` and ``b``."""
    return np.asarray(np.maximum(np.abs(x) - a, np.abs(y) - b))


def between(y: FloatArray, top: FloatArray, bottom: FloatArray) -> FloatArray:
    """The area below the curve ``top`` and above the curve ``bottom``."""
    return np.asarray(np.maximum(top - y, y - bottom))


def bow(x: FloatArray, half_width: FloatArray) -> FloatArray:
    """A parabola of x: 1 at 0, 0 at +-``half_width``, -1 at the least far beyond."""
    t = x / half_width
    return np.asarray(np.maximum(np.float32(1) - t * t, np.float32(-1)))


def segment(
    x: FloatArray,
    y: FloatArray,
    start: tuple[FloatArray, FloatArray],
    end: tuple[FloatArray, FloatArray],
    radius: FloatArray,
) -> FloatArray:
    """A line with round ends from ``start`` to ``end``."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = x - start[0], y - start[1]
    length = dx * dx + dy * dy + _TINY
    t = np.minimum(np.maximum((px * dx + py * dy) / length, np.float32(0)), np.float32(1))
    return circle(px - t * dx, py - t * dy, radius)


def coverage(distance: FloatArray, scale: FloatArray) -> FloatArray:
    """Share of each pixel inside the shape, 0 ... 1; ``scale`` is pixels per face unit."""
    inside = np.float32(0.5) - distance * scale
    return np.asarray(np.minimum(np.maximum(inside, np.float32(0)), np.float32(1)))


def paint(target: FloatArray, cover: FloatArray, tone: FloatArray) -> None:
    """Lay ``tone`` over ``target`` where ``cover`` is 1, a mixture where it is between."""
    target += cover * (tone - target)
