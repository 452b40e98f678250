"""Drawing of faces from their traits, 48x48 pixels, grey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.datasets.dice import Dice, FloatArray
from max78k.datasets.face_traits import Expression, Person, Scene
from max78k.datasets.shapes import (
    between,
    bow,
    box,
    circle,
    coverage,
    ellipse,
    paint,
    segment,
)

SIDE = 48
# Rows (top, bottom) in which a feature can lie in any pose: only these are worked on.
_EYE_ROWS = slice(4, 36)
_NOSE_ROWS = slice(14, 40)
_MOUTH_ROWS = slice(22, 48)

_one = np.float32(1)
_zero = np.float32(0)


@dataclass(frozen=True)
class _Part:
    """Some rows of all pictures: the tones and the coordinates in face units."""

    tone: FloatArray  # [n, rows, 48], a view of the pictures
    u: FloatArray  # coordinates of the features: they move when the head turns
    v: FloatArray
    scale: FloatArray  # [n, 1, 1] pixels per face unit

    def paint(self, distance: FloatArray, tone: FloatArray, opacity: FloatArray = _one) -> None:
        """Fill a shape."""
        paint(self.tone, coverage(distance, self.scale) * opacity, tone)

    def shade(self, distance: FloatArray, depth: FloatArray) -> None:
        """Darken a shape by the share ``depth``; a depth below 0 brightens."""
        kept = _one - coverage(distance, self.scale) * depth
        np.multiply(self.tone, kept, out=self.tone)

    def rows(self, rows: slice) -> _Part:
        """The same, fewer rows."""
        return _Part(self.tone[:, rows], self.u[:, rows], self.v[:, rows], self.scale)


def draw(expression: Expression, person: Person, scene: Scene, dice: Dice) -> npt.NDArray[np.uint8]:
    """Pictures uint8 [n, 48, 48]; ``dice`` gives the noise of the camera."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    tone = _background(x, y, scene)
    u, v = _face_coordinates(x, y, scene)
    head = _Part(tone, u, v, scene.scale)
    _draw_body(head, person, scene)
    _draw_head(head, person, scene)
    turned = (u - scene.yaw) * (_one + scene.yaw * u)
    face = _Part(tone, turned, v, scene.scale)
    _draw_hair(head, person)
    _draw_nose(face.rows(_NOSE_ROWS), expression, person, scene)
    _draw_beard(face.rows(_MOUTH_ROWS), person)
    _draw_mouth(face.rows(_MOUTH_ROWS), expression, person)
    _draw_eyes(face.rows(_EYE_ROWS), expression, person)
    _draw_brows(face.rows(_EYE_ROWS), expression, person)
    _draw_glasses(face, person)
    _draw_cover(tone, x, y, person, scene)
    return _photograph(tone, scene, dice)


def _background(x: FloatArray, y: FloatArray, scene: Scene) -> FloatArray:
    middle = np.float32(SIDE / 2)
    tone = scene.background + scene.slope_x * (x - middle) + scene.slope_y * (y - middle)
    aside, below = x - scene.blob_x, y - scene.blob_y
    blob = aside * aside + below * below
    size = scene.blob_size * scene.blob_size
    return np.asarray(tone + scene.blob_tone * size / (size + blob))


def _face_coordinates(x: FloatArray, y: FloatArray, scene: Scene) -> tuple[FloatArray, FloatArray]:
    """Pixels to face units: shift, turn, scale, shear."""
    px = x - np.float32(23.5) - scene.shift_x
    py = y - np.float32(23.5) - scene.shift_y
    norm = (_one + scene.roll * scene.roll) * scene.scale
    cosine = (_one - scene.roll * scene.roll) / norm
    sine = (scene.roll + scene.roll) / norm
    v = py * cosine - px * sine
    return np.asarray(px * cosine + py * sine + scene.shear * v), np.asarray(v)


def _draw_body(part: _Part, person: Person, scene: Scene) -> None:
    """Hair behind the head, neck and shoulders."""
    u, v = part.u, part.v
    thickness = _one + person.hair_thickness
    hair = ellipse(u, v + np.float32(0.12), thickness, person.head_height * thickness)
    above_neck = np.maximum(hair, v - np.float32(0.3))
    part.paint(above_neck, person.hair * np.float32(0.8))
    falling = box(u, v - np.float32(0.7), thickness, np.float32(0.9))
    part.paint(falling, person.hair * np.float32(0.7), person.long_hair)
    part.paint(box(u, v - np.float32(1.4), np.float32(0.45), np.float32(0.6)), person.skin * 0.62)
    shoulders = ellipse(u, v - np.float32(2.05), np.float32(1.7), np.float32(0.75))
    part.paint(shoulders, scene.shirt)


def _draw_head(part: _Part, person: Person, scene: Scene) -> None:
    """Ears and the lit head."""
    u, v = part.u, part.v
    ear = ellipse(
        np.abs(u) - np.float32(0.98), v + np.float32(0.05), np.float32(0.13), np.float32(0.24)
    )
    part.paint(ear, person.skin * np.float32(0.72), _one - person.long_hair)
    height = person.head_height
    narrow = u * (_one + person.jaw * np.maximum(v, _zero) * np.abs(v))
    along = v / height
    inside = narrow * narrow + along * along
    depth = np.sqrt(np.maximum(_one - np.float32(0.85) * inside, np.float32(0.05)))
    lit = np.maximum(depth + scene.light_x * u + scene.light_y * v, _zero)
    light = np.minimum(scene.ambient + (_one - scene.ambient) * lit, np.float32(1.25))
    part.paint(ellipse(narrow, v, np.float32(0.97), height), person.skin * light)


def _draw_hair(part: _Part, person: Person) -> None:
    """Hair on the upper part of the head, down to the hairline."""
    u, v = part.u, part.v
    aside = u - person.parting
    line = person.hairline + person.hairline_curve * aside * aside
    skull = ellipse(u, v + np.float32(0.04), _one + person.hair_thickness * np.float32(0.6),
                    person.head_height + person.hair_thickness * np.float32(0.8))  # fmt: skip
    strands = _one + np.float32(0.25) * (np.abs(aside) - np.float32(0.5))
    part.paint(np.maximum(skull, v - line), person.hair * strands)


def _draw_nose(part: _Part, expression: Expression, person: Person, scene: Scene) -> None:
    """Side of the nose in the shade, nostrils, wrinkles across it, folds beside it."""
    top = person.eye_height + np.float32(0.1)
    tip = person.eye_height + np.float32(0.2) + person.nose_length - expression.wrinkle * 0.03
    width = person.nose_width
    away = np.where(scene.light_x > 0, -_one, _one).astype(np.float32)
    side = segment(part.u, part.v, (away * 0.07, top), (away * width * 0.8, tip), np.float32(0.035))
    part.shade(side, np.float32(0.2))
    part.shade(circle(part.u, part.v - tip + np.float32(0.06), width * 0.6), np.float32(-0.1))
    aside = np.abs(part.u)
    nostril = ellipse(aside - width * np.float32(0.6), part.v - tip - np.float32(0.03),
                      np.float32(0.06), np.float32(0.035))  # fmt: skip
    part.shade(nostril, np.float32(0.55))
    for number in (0, 1):
        height = top + np.float32(0.04 + 0.09 * number) + aside * np.float32(0.35)
        line = np.maximum(np.abs(part.v - height) - np.float32(0.02), aside - np.float32(0.15))
        part.shade(line, expression.wrinkle * np.float32(0.4))
    corner = (expression.mouth_width + np.float32(0.1), person.mouth_height - expression.smile)
    fold = segment(aside, part.v, (width + np.float32(0.04), tip - np.float32(0.03)), corner,
                   np.float32(0.02))  # fmt: skip
    part.shade(fold, np.maximum(expression.folds, _zero) * np.float32(0.38))


def _draw_beard(part: _Part, person: Person) -> None:
    jaw = np.maximum(
        ellipse(part.u, part.v, np.float32(0.93), person.head_height - np.float32(0.03)),
        np.float32(0.38) + bow(part.u, np.float32(0.8)) * np.float32(0.25) - part.v,
    )
    paint(part.tone, coverage(jaw, part.scale) * person.beard, person.hair)
    above = part.v - person.mouth_height + np.float32(0.13)
    lip = ellipse(
        part.u, above - np.abs(part.u) * np.float32(0.15), np.float32(0.34), np.float32(0.055)
    )
    paint(part.tone, coverage(lip, part.scale) * person.moustache, person.hair)


def _draw_mouth(part: _Part, expression: Expression, person: Person) -> None:
    u = part.u
    v = part.v - person.mouth_height - u * person.mouth_tilt
    width = np.maximum(expression.mouth_width, np.float32(0.15))
    opening = np.maximum(expression.mouth_open, _zero)
    arc = bow(u, width)
    middle = (arc - np.float32(0.5)) * expression.smile - expression.lip_raise * bow(u, width * 0.7)
    apart = np.sqrt(np.maximum(arc, _zero)) * opening
    top = middle - apart * np.float32(0.35)
    bottom = middle + apart * np.float32(0.65)
    upper = top - (arc + np.float32(0.15)) * person.lip_thickness
    lower = bottom + (arc + np.float32(0.2)) * person.lip_thickness * np.float32(1.3)
    beyond = np.abs(u) - width
    lips = person.skin * person.lip_tone
    part.paint(np.maximum(between(v, upper, lower), beyond), lips)
    gap = np.float32(0.022)
    part.paint(np.maximum(between(v, top - gap, bottom + gap), beyond), person.skin * 0.18)
    teeth = np.float32(225)
    height = bottom - top
    share = np.maximum(expression.upper_teeth, _zero)
    part.paint(np.maximum(between(v, top, top + height * share), beyond), teeth,
               np.minimum(share * 4, _one))  # fmt: skip
    share = np.maximum(expression.lower_teeth, _zero)
    part.paint(np.maximum(between(v, bottom - height * share, bottom), beyond), teeth,
               np.minimum(share * 4, _one))  # fmt: skip
    chin = np.abs(v - np.float32(0.24) - opening * np.float32(0.75) + arc * 0.04) - np.float32(0.02)
    part.shade(np.maximum(chin, np.abs(u) - np.float32(0.2)), np.float32(0.16))


def _draw_eyes(part: _Part, expression: Expression, person: Person) -> None:
    """Both eyes at once: x is 0 in the middle of an eye and below 0 towards the nose."""
    x = np.abs(part.u) - person.eye_distance
    y = part.v - person.eye_height
    width = person.eye_width
    arc = bow(x, width)
    part.shade(ellipse(x, y + np.float32(0.04), width * 1.35, np.float32(0.23)), np.float32(0.1))
    lid = np.maximum(expression.eye_open, np.float32(0.02)) * arc + x * expression.lid_tilt
    below = expression.lower_lid * arc
    top, bottom = -lid, np.maximum(below, np.float32(0.01) - lid)
    beyond = np.abs(x) - width
    opening = np.maximum(between(y, top, bottom), beyond)
    part.paint(opening, np.minimum(person.skin + np.float32(60), np.float32(238)))
    mirrored = np.where(part.u > 0, _one, -_one).astype(np.float32)
    looking = x - person.gaze * mirrored
    iris = circle(looking, y - person.gaze_down, np.float32(0.115))
    part.paint(np.maximum(iris, opening), person.iris)
    glint = circle(
        looking + np.float32(0.035), y - person.gaze_down + np.float32(0.04), np.float32(0.035)
    )
    part.paint(np.maximum(glint, opening), np.float32(235))
    lash = np.maximum(np.abs(y - top) - np.float32(0.028), beyond - np.float32(0.02))
    part.shade(lash, np.float32(0.72))
    rim = np.maximum(np.abs(y - bottom) - np.float32(0.016), beyond)
    part.shade(rim, np.float32(0.35))
    bag = np.maximum(np.abs(y - below - np.float32(0.09)) - np.float32(0.018), beyond)
    part.shade(bag, np.maximum(np.float32(0.08) - expression.lower_lid, _zero) * np.float32(3.0))


def _draw_brows(part: _Part, expression: Expression, person: Person) -> None:
    """Brows, the lines between them and those on the forehead."""
    aside = np.abs(part.u)
    x = aside - person.eye_distance
    width = np.float32(0.30)
    rest = person.eye_height - person.brow_gap
    curve = rest - expression.brow_raise - x * expression.brow_tilt
    curve = curve - (bow(x, width) - np.float32(0.5)) * expression.brow_arch
    taper = person.brow_thickness * (_one - np.float32(0.9) * np.maximum(x, _zero))
    brow = np.maximum(np.abs(part.v - curve) - taper, np.abs(x) - width)
    part.paint(brow, person.hair * np.float32(0.75), np.float32(0.9))
    upright = np.abs(aside - np.float32(0.07)) - np.float32(0.018)
    line = np.maximum(upright, np.abs(part.v - rest - np.float32(0.03)) - np.float32(0.11))
    part.shade(line, np.maximum(expression.frown, _zero) * np.float32(0.42))
    for number in (0, 1):
        height = rest - np.float32(0.2 + 0.12 * number) - expression.brow_raise * np.float32(0.7)
        line = np.abs(part.v - height - part.u * part.u * np.float32(0.12)) - np.float32(0.018)
        line = np.maximum(line, aside - np.float32(0.5))
        part.shade(line, np.maximum(expression.forehead, _zero) * np.float32(0.24))


def _draw_glasses(face: _Part, person: Person) -> None:
    wearers = np.flatnonzero(person.glasses)
    if not wearers.size:
        return
    part = _Part(face.tone[wearers], face.u[wearers], face.v[wearers], face.scale[wearers])
    x = np.abs(part.u) - person.eye_distance[wearers]
    y = part.v - person.eye_height[wearers]
    size = person.glasses_size[wearers]
    ring = np.abs(ellipse(x, y, size, size * np.float32(0.85))) - np.float32(0.03)
    bridge = np.maximum(np.abs(y + np.float32(0.05)) - np.float32(0.03),
                        np.maximum(x + size, -np.abs(part.u)))  # fmt: skip
    temple = np.maximum(np.abs(y + np.float32(0.08)) - np.float32(0.03),
                        np.maximum(size - x, np.abs(part.u) - np.float32(0.98)))  # fmt: skip
    part.paint(np.minimum(np.minimum(ring, bridge), temple), np.float32(28))
    face.tone[wearers] = part.tone


def _draw_cover(
    tone: FloatArray, x: FloatArray, y: FloatArray, person: Person, scene: Scene
) -> None:
    """A bar or a hand in front of the face."""
    covered = np.flatnonzero(scene.bar + scene.hand)
    if not covered.size:
        return
    turn, size = scene.cover_turn[covered], scene.cover_size[covered]
    px, py = x - scene.cover_x[covered], y - scene.cover_y[covered]
    norm = _one + turn * turn
    cosine, sine = (_one - turn * turn) / norm, (turn + turn) / norm
    u, v = px * cosine + py * sine, py * cosine - px * sine
    part = _Part(tone[covered], u, v, _one)
    bar = box(u, v, np.float32(60), size * np.float32(0.6))
    part.paint(bar, np.float32(255) - scene.background[covered], scene.bar[covered])
    skin = person.skin[covered] * scene.cover_tone[covered]
    hand = scene.hand[covered] * (_one - scene.bar[covered])
    palm = ellipse(u, v - size * np.float32(1.6), size * np.float32(1.5), size * np.float32(1.3))
    part.paint(palm, skin, hand)
    for finger in (-1.5, -0.5, 0.5, 1.5):
        middle = size * np.float32(0.7 * finger)
        line = segment(u, v, (middle, size), (middle * np.float32(1.2), -size), size * 0.33)
        part.paint(np.abs(line) - np.float32(0.3), skin * np.float32(0.6), hand)
        part.paint(line, skin, hand)
    tone[covered] = part.tone


def _photograph(tone: FloatArray, scene: Scene, dice: Dice) -> npt.NDArray[np.uint8]:
    """Contrast, blur, noise, and rounding to 8 bits."""
    middle = np.float32(128)
    tone = (tone - middle) * scene.contrast + middle + scene.brightness
    for axis in (1, 2):
        tone = _smooth(tone, axis, scene.blur)
    words = dice.words(SIDE * SIDE // 4).astype("<u8").view(np.uint8).reshape(len(tone), -1, 8)
    # Two bytes make one number with a triangular distribution around 0, standard deviation 1.
    pairs = words[:, :, 0::2].astype(np.float32) + words[:, :, 1::2].astype(np.float32)
    grain = (pairs.reshape(tone.shape) - np.float32(255)) * np.float32(1 / 104.5)
    tone = tone + grain * scene.noise + np.float32(0.5)
    limited = np.minimum(np.maximum(tone, _zero), np.float32(255))
    return np.asarray(limited, dtype=np.float32).astype(np.uint8)


def _smooth(tone: FloatArray, axis: int, amount: FloatArray) -> FloatArray:
    """Mix every pixel with its two neighbours along ``axis``."""
    wide = np.concatenate((tone.take([0], axis), tone, tone.take([-1], axis)), axis)
    before = wide[:, :-2] if axis == 1 else wide[:, :, :-2]
    after = wide[:, 2:] if axis == 1 else wide[:, :, 2:]
    share = amount * np.float32(0.5)
    return np.asarray(tone * (_one - share) + (before + after) * (share * np.float32(0.5)))
