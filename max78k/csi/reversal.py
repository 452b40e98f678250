"""Windows played backwards, as more to learn from.

A movement played backwards is a movement too: of the same kind (walking, waving) or of another that
the data know (a push played backwards is a pull). Both kinds of a pair are then learnt in every
room and session in which one of them was recorded, which tells the movement from the place. Only
the train part gets such windows.
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
