"""A room with a breathing person, as an ESP32 would hear it: physical, seeded, never a download.

A receiver hears the sum of paths. Each path has a gain and a length; the carrier of subcarrier k
turns by ``2 pi f_k length / c`` along it. Walls are still; the paths over a person's chest change
their length twice as much as the chest rises. What the emotions do to the breath (rate, depth,
irregularity) follows what is reported of breathing: calm is slow and even, anger fast and deep,
sadness shallow with sighs, joy irregular. The figures are a model for testing, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.csi.recording import Recording

LIGHT = 299_792_458.0  # m/s
CARRIER = 2.437e9  # Hz, channel 6
SPACING = 312.5e3  # Hz between subcarriers
CLASS_NAMES = ("happy", "sad", "neutral", "angry")

_WALLS = 6
_CHEST_PATHS = 3
_FULL_SCALE = 70.0  # of 127, the largest amplitude that the receiver's gain aims at
_GAIN_STEP = 10 ** (1 / 20)  # 1 dB

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Breath:
    """How a class breathes: breaths per minute, depth in mm, and what varies.

    ``irregular`` is the spread of the time and depth from breath to breath, as a share; ``sigh``
    the chance that a breath is three times as deep; ``restless`` mm of slow sway of the body.
    """

    per_minute: float
    depth: float
    irregular: float
    sigh: float
    restless: float


BREATHS = {
    "happy": Breath(18.0, 6.0, 0.28, 0.02, 2.5),
    "sad": Breath(12.0, 3.5, 0.15, 0.12, 0.6),
    "neutral": Breath(14.0, 5.0, 0.06, 0.01, 0.8),
    "angry": Breath(23.0, 8.0, 0.12, 0.01, 2.0),
}


@dataclass(frozen=True)
class Person:
    """What stays the same for one person in one room, drawn by :func:`person`."""

    rate_factor: float
    depth_factor: float
    walls: FloatArray  # [paths, 2]: length in m, gain
    chest: FloatArray  # [paths, 2]


def person(seed: int) -> Person:
    """A person and a room of their own."""
    random = np.random.default_rng((seed, 1))
    walls = np.stack([random.uniform(2.0, 14.0, _WALLS), random.uniform(0.05, 0.5, _WALLS)], axis=1)
    walls[0] = (random.uniform(1.5, 3.0), 1.0)  # the direct path
    chest = np.stack(
        [random.uniform(2.5, 7.0, _CHEST_PATHS), random.uniform(0.1, 0.3, _CHEST_PATHS)], axis=1
    )
    return Person(float(random.normal(1.0, 0.08)), float(random.lognormal(0.0, 0.2)), walls, chest)


def record(
    emotion: str,
    who: Person,
    seed: int,
    *,
    seconds: float = 60.0,
    rate: float = 100.0,
    loss: float = 0.02,
    noise: float = 1.0,
    name: str = "",
) -> Recording:
    """One recording.

    Args:
        emotion: one of CLASS_NAMES.
        who: the person.
        seed: of everything that differs between recordings of a person.
        seconds: length.
        rate: packets per second that are sent.
        loss: share of packets that do not arrive.
        noise: standard deviation of the receiver's noise, in units of its 8-bit values.
        name: of the recording.
    """
    random = np.random.default_rng((seed, 2))
    sent = np.arange(round(seconds * rate)) / rate
    sent = sent + np.abs(random.normal(0, 0.0005, len(sent)))
    arrived = random.random(len(sent)) >= loss
    times = np.sort(sent[arrived])
    chest = _chest(BREATHS[emotion], who, times, random) / 1000  # m
    field = _field(who, chest, random)
    quiet = _automatic_gain(field, random)
    noisy = quiet + noise * (
        random.normal(size=quiet.shape) + 1j * random.normal(size=quiet.shape)
    ) / np.sqrt(2)
    pairs = np.stack([noisy.imag, noisy.real], axis=2).reshape(len(times), -1)
    csi = np.clip(np.rint(pairs), -128, 127).astype(np.int8)
    power = np.mean(np.abs(field) ** 2, axis=1)
    rssi = np.clip(np.rint(-50 + 10 * np.log10(power)), -128, 0).astype(np.int8)
    return Recording(name or f"{emotion}-{seed}", csi, times - times[0], rssi)


def _chest(
    breath: Breath, who: Person, times: FloatArray, random: np.random.Generator
) -> FloatArray:
    """Rise of the chest in mm at each time."""
    knots, depths = [-float(random.uniform(0, 4))], []
    while knots[-1] < times[-1] + 10:
        spread = np.exp(breath.irregular * random.normal())
        knots.append(knots[-1] + 60 / (breath.per_minute * who.rate_factor) * spread)
        deeper = 3.0 if random.random() < breath.sigh else 1.0
        depths.append(
            breath.depth * who.depth_factor * deeper * np.exp(breath.irregular * random.normal())
        )
    number = np.searchsorted(knots, times, side="right") - 1
    phase = (times - np.array(knots)[number]) / np.diff(knots)[number]
    # In is shorter than out: the rise takes 40 % of a breath.
    rise = np.where(phase < 0.4, phase / 0.4, (1 - phase) / 0.6)
    breathing = np.array(depths)[number] * (1 - np.cos(np.pi * rise)) / 2
    start = float(random.uniform(0, 2 * np.pi))
    sway = breath.restless * np.sin(2 * np.pi * 0.07 * times + start)
    return np.asarray(breathing + sway)


def _field(
    who: Person, chest: FloatArray, random: np.random.Generator
) -> npt.NDArray[np.complex128]:
    """What all paths add up to, complex [packets, 64]; subcarriers without energy are 0."""
    offsets = np.arange(64) - 32
    wave = 2 * np.pi * (CARRIER + SPACING * offsets) / LIGHT  # radians per m
    still = sum(gain * np.exp(-1j * wave * length) for length, gain in who.walls)
    field = np.tile(np.asarray(still), (len(chest), 1))
    shift = random.normal(0, 0.01, _CHEST_PATHS)  # the person does not sit in the same place twice
    for (length, gain), moved in zip(who.chest, shift, strict=True):
        field += gain * np.exp(-1j * wave * (length + moved + 2 * chest[:, None]))
    turn = np.exp(1j * random.uniform(0, 2 * np.pi, (len(chest), 1)))  # no common clock
    field *= turn
    field[:, [*range(6), 32, *range(59, 64)]] = 0
    return field


def _automatic_gain(
    field: npt.NDArray[np.complex128], random: np.random.Generator
) -> npt.NDArray[np.complex128]:
    """The field at the receiver's scale, with gain steps of 1 dB now and then."""
    steps = np.cumsum((random.random(len(field)) < 0.003) * random.choice((-1, 1), len(field)))
    gain = _FULL_SCALE / np.max(np.abs(field)) * _GAIN_STEP ** np.clip(steps, -4, 4)
    return np.asarray(field * gain[:, None], np.complex128)
