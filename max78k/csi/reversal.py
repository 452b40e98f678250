"""Windows played backwards, as more to learn from.

A movement played backwards is a movement too: of the same kind (walking, waving) or of another that
the data know (a push played backwards is a pull). Both kinds of a pair are then learnt in every
room and session in which one of them was recorded, which tells the movement from the place. Only
the train part gets such windows.

Fewer of them than of recorded ones say that what was recorded is the more likely: where the
direction of time cannot be seen, a network then answers with the class that it has met in that
session, and not with either by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError

SAME = "same"  # what is played backwards keeps its class

Int64Array = npt.NDArray[np.int64]


def reversed_classes(text: str, class_names: Sequence[str]) -> Int64Array | None:
    """The class of a window of each class played backwards.

    Args:
        text: "" for none, "same", or pairs of classes that become each other as
            "push=pull,open=close"; the others keep their class.
        class_names: of the data.

    Returns:
        int64 [classes], or None for "".

    Raises:
        InputError: E-CSI-REVERSE.
    """
    if not text:
        return None
    classes = np.arange(len(class_names), dtype=np.int64)
    if text == SAME:
        return classes
    taken: set[str] = set()
    for pair in text.split(","):
        names = [name.strip() for name in pair.split("=")]
        if len(names) != 2 or not set(names) <= set(class_names) or taken & set(names):
            raise InputError(
                "E-CSI-REVERSE",
                f"{pair!r} in {text!r} is no pair of classes.",
                f"{SAME}, or CLASS=CLASS with each of {', '.join(class_names)} at most once.",
            )
        taken |= set(names)
        one, other = (list(class_names).index(name) for name in names)
        classes[one], classes[other] = other, one
    return classes


def chosen_rows(count: int, share: float) -> Int64Array:
    """``share`` of ``count`` rows, evenly spread; raises InputError E-CSI-REVERSE.

    >>> chosen_rows(6, 0.5).tolist()
    [1, 3, 5]
    """
    if not 0 < share <= 1:
        raise InputError(
            "E-CSI-REVERSE", f"a share of {share:g} of the windows.", "above 0, at most 1."
        )
    return np.flatnonzero(np.diff(np.floor(np.arange(count + 1) * share)))
