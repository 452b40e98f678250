"""A flipped bit of a weight, bias entry, input or register never goes unnoticed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import mutations
import numpy as np
import pytest
from mutations import DONT_CARES, Subject, Target, subjects

from max78k.chip import cnn_registers as cr
from max78k.network import Eltwise, Layer, Network, Operation

_NETWORKS, _FLIPS = 4, 6


@cache
def sample() -> tuple[Subject, ...]:
    return tuple(subjects(seed=2, count=_NETWORKS))


def test_without_a_flip_nothing_is_wrong() -> None:
    assert [subject.fault() for subject in sample()] == [""] * _NETWORKS


def test_no_flip_goes_unnoticed() -> None:
    flips = [flip for subject in sample() for flip in subject.flips(_FLIPS)]
    assert [flip for flip in flips if flip.fault] == []
    noticed = Counter(flip.kind for flip in flips if flip.noticed)
    assert min(noticed[kind] for kind in ("weight", "input", "register")) > 0


def test_a_model_that_ignores_a_bit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = sample()[0]
    real = mutations.ImageRunner.infer
    monkeypatch.setattr(
        mutations.ImageRunner, "infer", lambda self, values: real(self, values & ~np.int8(64))
    )
    assert any(subject.input().fault for _ in range(12))


def test_what_does_not_matter_is_decided_by_the_configuration() -> None:
    image = sample()[0].image
    index = next(
        n for n, write in enumerate(image.configure) if write.comment.endswith(cr.POST.doc)
    )
    target = Target(image, "configure", index, bit=0)
    assert target.name == "POST.BIAS_START"
    bias = [known for known in DONT_CARES if "POST.BIAS_START" in known.names]
    value = target.write.value
    for enabled in (False, True):
        word = value & ~(1 << 12) | enabled << 12
        writes = list(image.configure)
        writes[index] = replace(target.write, value=word)
        changed = replace(target, image=replace(image, configure=tuple(writes)))
        assert bias[0].condition(changed) == (not enabled)


@pytest.mark.parametrize("function", ["sub", "or", "xor", "add"])
def test_what_a_copy_already_answers_is_no_subject(function: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-128, 128, (3, 4, 1, 1)).astype(np.int8)
    layers = (
        Layer("c", Operation.CONV2D, ("input",), weight),
        Layer("e", Operation.PASSTHROUGH, ("c", "c"), eltwise=Eltwise(function)),
    )
    network = Network("n", (4, 5, 5), layers, ("e",))
    assert mutations._insensitive(network) == (function != "add")
