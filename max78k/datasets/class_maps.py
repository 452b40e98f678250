"""Taking classes together, leaving some out, giving them the names that a network uses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from max78k.datasets import fer
from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import Dataset
from max78k.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9_ -]{1,32}")


@dataclass(frozen=True)
class ClassMap:
    """New classes in their order, each with the old names that become it; others are left out.

    ``whole``: data must have all the old classes, or what the user wrote is a slip.
    """

    classes: Mapping[str, tuple[str, ...]]
    note: str = ""
    whole: bool = False


CLASS_MAPS: Mapping[str, ClassMap] = {
    "fer7": ClassMap(
        {name: (name,) for name in fer.CLASS_NAMES},
        "the classes of FER-2013 in its order; contempt is left out",
    ),
    "calm4": ClassMap(
        {"anger": ("angry",), "fear": ("fear",), "calm": ("neutral",), "surprise": ("surprise",)},
        "calm is neutral: for FER-2013. CK+ is mapped with calm4-ckplus, where calm is happy: the "
        "two differ, and a network trained on one is not measured on the other",
    ),
    "calm4-ckplus": ClassMap(
        {"anger": ("angry",), "fear": ("fear",), "calm": ("happy",), "surprise": ("surprise",)},
        "calm is happy, since CK+ has hardly any neutral faces; see calm4",
    ),
    "happy4": ClassMap({name: (name,) for name in ("happy", "neutral", "sad", "surprise")}),
}


def read_class_map(text: str) -> ClassMap:
    """A map by name, or written out: ``new=old+old,new2=old2,same``.

    Raises InputError ``E-CLASSES-MAP``.
    """
    if text in CLASS_MAPS:
        return CLASS_MAPS[text]
    classes: dict[str, tuple[str, ...]] = {}
    for item in text.split(","):
        new, _, old = item.strip().partition("=")
        olds = tuple(name.strip() for name in (old or new).split("+"))
        if new in classes or not all(_NAME.fullmatch(name) for name in (new, *olds)):
            raise InputError(
                "E-CLASSES-MAP",
                f"{item.strip()[:40]!r} in the class map is no new=old+old.",
                f"one of {', '.join(CLASS_MAPS)}, or anger=angry+disgust,calm=neutral.",
            )
        classes[new] = olds
    if len(classes) < 2:
        raise InputError("E-CLASSES-MAP", f"{text!r} leaves fewer than two classes.")
    twice = Counter(meaning(name) for olds in classes.values() for name in olds)
    for name, count in twice.items():
        if count > 1:
            raise InputError("E-CLASSES-MAP", f"{name} stands {count} times in {text!r}.")
    return ClassMap(classes, whole=True)


def map_classes(dataset: Dataset, chosen: ClassMap) -> tuple[Dataset, dict[str, int]]:
    """The data set with the new classes, and the samples left out by old class.

    A new class of which the data have none stays empty. Raises InputError ``E-CLASSES-MISSING``
    where the data have fewer than two of them, or not all that a map of the user's names.
    """
    names = tuple(chosen.classes)
    known = list(map(meaning, dataset.class_names))
    number = np.full(len(known), -1, dtype=np.int64)
    missing = []
    for new, olds in enumerate(chosen.classes.values()):
        wanted = set(map(meaning, olds))
        number[[n for n, name in enumerate(known) if name in wanted]] = new
        missing += [name for name in olds if meaning(name) not in known]
    if len(set(number[number >= 0].tolist())) < 2 or (chosen.whole and missing):
        raise InputError(
            "E-CLASSES-MISSING",
            f"{dataset.name} has no class {' and no class '.join(missing)}, but "
            f"{', '.join(dataset.class_names)}.",
            "write the map out: --classes new=old+old,other=old",
        )
    left_out = {
        name: sum(int((split.labels == n).sum()) for split in dataset.parts().values())
        for n, name in enumerate(dataset.class_names)
        if number[n] < 0
    }
    return dataset.renumbered(number.tolist(), names), left_out
