"""What a drawn face shows: the expression of an emotion, the person, and the scene.

Lengths are in face units: 1 is half the width of the head, u points to the right of the picture
and v down; (0, 0) is the middle of the head. Tones are grey levels, 0 (black) to 255 (white).
Every field is float32 [n, 1, 1], one number per picture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from max78k.datasets.dice import Dice, FloatArray

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@dataclass(frozen=True)
class Expression:
    """What the muscles of the face do.

    Attributes:
        brow_raise: height of the brows above their rest.
        brow_tilt: slope of the brows; above 0 the inner ends are low.
        brow_arch: how much the middle of a brow stands above its ends.
        eye_open: height of the upper lid above the middle of the eye.
        lid_tilt: slope of the upper lid; above 0 the inner end is low.
        lower_lid: depth of the lower lid below the middle of the eye.
        smile: height of the mouth's corners above its middle.
        mouth_open: distance between the lips.
        mouth_width: half the width of the mouth.
        lip_raise: how much the upper lip is pulled up in the middle.
        upper_teeth, lower_teeth: share of the opening that shows teeth.
        frown: depth of the lines between the brows.
        forehead: depth of the lines across the forehead.
        wrinkle: depth of the lines across the nose.
        folds: depth of the lines from the nose to the corners of the mouth.
    """

    brow_raise: FloatArray
    brow_tilt: FloatArray
    brow_arch: FloatArray
    eye_open: FloatArray
    lid_tilt: FloatArray
    lower_lid: FloatArray
    smile: FloatArray
    mouth_open: FloatArray
    mouth_width: FloatArray
    lip_raise: FloatArray
    upper_teeth: FloatArray
    lower_teeth: FloatArray
    frown: FloatArray
    forehead: FloatArray
    wrinkle: FloatArray
    folds: FloatArray


# Hundredths, in the order of Expression's fields: brow raise, tilt, arch; eye open, tilt, lower;
# smile, open, width, lip, teeth, teeth; frown, forehead, wrinkle, folds. An emotion shows itself in
# one of three ways.
_NEUTRAL = (0, 0, 5, 13, 0, 8, 0, 0, 36, 0, 0, 0, 0, 0, 0, 10)
_POSES = {
    "angry": (
        ( -10,  50,   2,  10,  40,   5,  -9,   0,  31,   0,   0,   0, 100,   0,  10,  30),
        (  -9,  48,   2,  12,  38,   6,  -8,  17,  38,   0,  30,  30, 100,   0,  30,  60),
        (  -7,  55,   4,  15,  50,   7, -12,   5,  34,   0,  40,  40,  90,   0,   0,  30),
    ),
    "disgust": (
        (  -7,  22,   3,   6,  10,   1, -11,   2,  33,  11,   0,   0,  40,   0, 100, 100),
        (  -6,  18,   4,   7,  10,   2,  -8,  15,  34,  10,  60,   0,  30,   0, 100, 100),
        (  -5,  25,   2,   4,   5,   3, -14,   5,  29,  13,  50,   0,  50,   0, 100,  90),
    ),
    "fear": (
        (  14, -34,   0,  23, -10,  11, -10,  15,  42,   0,  30,  10,  30,  80,   0,  20),
        (  12, -38,   0,  21, -15,  10, -15,  10,  46,   0,  40,  40,  40,  60,   0,  30),
        (  16, -30,   2,  25,  -8,  13,  -5,  20,  36,   0,  20,   0,  20,  90,   0,  20),
    ),
    "happy": (
        (   4,   0,   9,  11,   0,   0,  24,   2,  47,   0,   0,   0,   0,   0,   0,  80),
        (   4,   0,  10,   9,   0,  -1,  24,  20,  50,   0,  50,   0,   0,   0,   0,  90),
        (   2,  -4,   8,  10,   0,  -2,  20,  12,  52,   0,  90,   0,   0,   0,  10,  90),
    ),
    "sad": (
        (   3, -48,   0,   9, -35,   7, -20,   0,  33,   0,   0,   0,  30,  20,   0,  30),
        (   5, -52,   0,   6, -30,   7, -17,   4,  30,   0,   0,   0,  40,  30,   0,  40),
        (   2, -40,   2,  11, -42,   8, -24,   0,  36,   0,   0,   0,  20,  10,   0,  40),
    ),
    "surprise": (
        (  20,  -3,  16,  25,   0,  14,   0,  42,  24,   0,  10,   0,   0,  90,   0,   0),
        (  17,   0,  18,  23,   0,  13,   2,  27,  21,   0,   0,   0,   0,  70,   0,   0),
        (  22,  -5,  14,  24,   0,  13,   4,  34,  30,   0,  20,   0,   0, 100,   0,  10),
    ),
    "neutral": (_NEUTRAL, _NEUTRAL, _NEUTRAL),
}  # fmt: skip
_INTENSITY = (0.5, 1.1)  # 0 is the neutral face, 1 the pose of the table
# How far two people differ in the same feature, same order.
_SPREAD = (
    0.02, 0.05, 0.02, 0.018, 0.04, 0.015, 0.025, 0.012, 0.025, 0.008,
    0.05, 0.04, 0.1, 0.1, 0.06, 0.15,
)  # fmt: skip


def draw_expression(labels: npt.NDArray[np.int64], dice: Dice) -> Expression:
    """Expressions for ``labels`` [n], which number EMOTIONS."""
    table = (np.array([_POSES[name] for name in EMOTIONS]) / 100).astype(np.float32)
    rest = (np.array(_NEUTRAL) / 100).astype(np.float32)
    variant = (dice.words(1)[:, 0] % np.uint64(table.shape[1])).astype(np.int64)
    intensity = dice.uniform(*_INTENSITY)
    values = {}
    for column, feature in enumerate(fields(Expression)):
        pose = table[labels, variant, column].reshape(-1, 1, 1)
        own = dice.bell(0.0, _SPREAD[column])
        values[feature.name] = rest[column] + intensity * (pose - rest[column]) + own
    return Expression(**values)


@dataclass(frozen=True)
class Person:
    """Build, hair and glasses; lengths as fractions of a usual face where not said otherwise."""

    skin: FloatArray  # tone
    hair: FloatArray  # tone
    long_hair: FloatArray  # 1: hair beside the cheeks
    head_height: FloatArray  # face units
    jaw: FloatArray  # 0 round, above 0 narrow chin
    hairline: FloatArray  # v of the hairline in the middle
    hairline_curve: FloatArray
    parting: FloatArray
    hair_thickness: FloatArray
    eye_distance: FloatArray  # u of an eye's middle
    eye_width: FloatArray  # half of it, face units
    eye_height: FloatArray  # v of the eyes
    iris: FloatArray  # tone
    gaze: FloatArray  # u
    gaze_down: FloatArray  # v
    brow_thickness: FloatArray  # face units
    brow_gap: FloatArray  # from eye to brow, face units
    nose_length: FloatArray
    nose_width: FloatArray
    mouth_height: FloatArray  # v of the mouth
    lip_thickness: FloatArray
    lip_tone: FloatArray  # tone of the lips as a share of the skin's
    mouth_tilt: FloatArray
    beard: FloatArray  # darkness 0-1
    moustache: FloatArray  # darkness 0-1
    glasses: FloatArray  # 1: wears them
    glasses_size: FloatArray


def draw_person(dice: Dice) -> Person:
    """``n`` people."""
    bearded = dice.chance(0.18)
    return Person(
        skin=dice.uniform(105, 215),
        hair=dice.uniform(15, 75) + dice.chance(0.2) * dice.uniform(40, 130),
        long_hair=dice.chance(0.4),
        head_height=dice.uniform(1.16, 1.32),
        jaw=dice.uniform(0.04, 0.26),
        hairline=dice.uniform(-0.98, -0.74) - dice.chance(0.08) * 0.6,
        hairline_curve=dice.uniform(-0.1, 0.55),
        parting=dice.uniform(-0.3, 0.3),
        hair_thickness=dice.uniform(0.05, 0.2),
        eye_distance=dice.uniform(0.38, 0.46),
        eye_width=dice.uniform(0.22, 0.28),
        eye_height=dice.uniform(-0.27, -0.17),
        iris=dice.uniform(15, 80),
        gaze=dice.bell(0.0, 0.035),
        gaze_down=dice.bell(0.0, 0.015),
        brow_thickness=dice.uniform(0.035, 0.075),
        brow_gap=dice.uniform(0.24, 0.30),
        nose_length=dice.uniform(0.22, 0.34),
        nose_width=dice.uniform(0.13, 0.2),
        mouth_height=dice.uniform(0.56, 0.66),
        lip_thickness=dice.uniform(0.035, 0.075),
        lip_tone=dice.uniform(0.55, 0.85),
        mouth_tilt=dice.bell(0.0, 0.04),
        beard=bearded * dice.uniform(0.2, 0.75),
        moustache=np.maximum(bearded, dice.chance(0.06)) * dice.uniform(0.1, 0.75),
        glasses=dice.chance(0.15),
        glasses_size=dice.uniform(0.3, 0.36),
    )


@dataclass(frozen=True)
class Scene:
    """Pose of the head, light, background, camera, and what is in the way."""

    scale: FloatArray  # pixels per face unit
    shift_x: FloatArray  # pixels
    shift_y: FloatArray
    roll: FloatArray  # tangent of half the angle
    shear: FloatArray
    yaw: FloatArray  # shift of the features by a turn of the head, face units
    light_x: FloatArray
    light_y: FloatArray
    ambient: FloatArray  # share of light that comes from everywhere
    background: FloatArray  # tone
    slope_x: FloatArray  # tone per pixel
    slope_y: FloatArray
    blob_x: FloatArray  # pixels; a second tone behind the head
    blob_y: FloatArray
    blob_size: FloatArray
    blob_tone: FloatArray
    shirt: FloatArray  # tone
    contrast: FloatArray
    brightness: FloatArray  # tone
    blur: FloatArray  # 0 sharp ... 1
    noise: FloatArray  # standard deviation, tones
    bar: FloatArray  # 1: a bar covers a part
    hand: FloatArray  # 1: a hand covers a part
    cover_x: FloatArray  # pixels; where the bar or hand is
    cover_y: FloatArray
    cover_turn: FloatArray  # tangent of half the angle
    cover_size: FloatArray  # pixels
    cover_tone: FloatArray


def draw_scene(dice: Dice) -> Scene:
    """``n`` scenes."""
    return Scene(
        scale=dice.uniform(15.5, 19.5),
        shift_x=dice.uniform(-2.5, 2.5),
        shift_y=dice.uniform(-2.0, 2.0),
        roll=dice.bell(0.0, 0.05),
        shear=dice.bell(0.0, 0.05),
        yaw=dice.bell(0.0, 0.11),
        light_x=dice.uniform(-0.7, 0.7),
        light_y=dice.uniform(-0.6, 0.2),
        ambient=dice.uniform(0.45, 0.8),
        background=dice.uniform(10, 245),
        slope_x=dice.uniform(-1.5, 1.5),
        slope_y=dice.uniform(-1.0, 1.0),
        blob_x=dice.uniform(0, 48),
        blob_y=dice.uniform(0, 30),
        blob_size=dice.uniform(4, 20),
        blob_tone=dice.uniform(-70, 70),
        shirt=dice.uniform(20, 235),
        contrast=dice.uniform(0.6, 1.15),
        brightness=dice.uniform(-22, 22),
        blur=dice.uniform(0.0, 0.75),
        noise=dice.uniform(1.0, 8.0),
        bar=dice.chance(0.07),
        hand=dice.chance(0.07),
        cover_x=dice.uniform(6, 42),
        cover_y=dice.uniform(24, 46),
        cover_turn=dice.uniform(-0.5, 0.5),
        cover_size=dice.uniform(3.0, 5.5),
        cover_tone=dice.uniform(0.75, 1.1),
    )
