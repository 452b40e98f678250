"""Which windows a network learns from and which it is judged with.

Windows of one recording overlap and share a room, a person and a minute. Only parts that share no
recording (better: no person) say how well a network does on what it has not met; the random
division is there to reproduce results that were measured with it, and is marked as leaking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.csi.collection import Collection
from max78k.datasets.dice import permutation
from max78k.errors import InputError

_FOLD = re.compile(r"fold:(\d+)/(\d+)")
KINDS = ("recording", "subject", "time", "random", "fold:K/N")

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """How windows are divided.

    Attributes:
        kind: "recording", "subject", "time" (the end of each recording), "random", or "fold:K/N"
            (every Nth recording, beginning with the Kth).
        share: of the recordings, persons, packets or windows that is held out; not for folds.
        seed: chooses them.
    """

    kind: str = "recording"
    share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an unknown kind."""
        fold = _FOLD.fullmatch(self.kind)
        bad_fold = fold is not None and not int(fold[1]) < int(fold[2])
        if bad_fold or (fold is None and self.kind not in KINDS[:-1]):
            raise InputError(
                "E-CSI-SPLIT",
                f"{self.kind!r} is no split.",
                f"one of {', '.join(KINDS)}, K below N.",
            )

    @property
    def leaks(self) -> bool:
        """Whether windows of both parts share packets."""
        return self.kind == "random"

    def held_recordings(self, collection: Collection) -> BoolArray:
        """Which recordings are held out whole, bool [recordings].

        Raises InputError ``E-CSI-SPLIT`` where that leaves a part without recordings.
        """
        held = self._held(collection)
        count = int(held.sum())
        if self.kind not in ("time", "random") and count in (0, len(held)):
            raise InputError(
                "E-CSI-SPLIT",
                f"{self.kind} holds out {count} of {len(held)} recordings of {collection.name}.",
                "a split that leaves recordings in both parts.",
            )
        return held

    def _held(self, collection: Collection) -> BoolArray:
        count = len(collection.recordings)
        fold = _FOLD.fullmatch(self.kind)
        if fold is not None:
            return np.asarray(np.arange(count) % int(fold[2]) == int(fold[1]), np.bool_)
        if self.kind == "subject":
            return self._held_subjects(collection)
        held = np.zeros(count, dtype=bool)
        if self.kind == "recording":
            labels = np.array([one.label for one in collection.recordings])
            order = permutation(count, self.seed)
            for label in np.unique(labels):
                rows = order[labels[order] == label]
                if len(rows) < 2:
                    raise InputError(
                        "E-CSI-SPLIT",
                        f"class {collection.class_names[label]} has one recording, which cannot be "
                        "in both parts.",
                        "--split time",
                    )
                held[rows[: min(max(round(self.share * len(rows)), 1), len(rows) - 1)]] = True
        return held

    def _held_subjects(self, collection: Collection) -> BoolArray:
        subjects = np.array([one.subject for one in collection.recordings])
        names = np.unique(subjects)
        if "" in names or len(names) < 2:
            raise InputError(
                "E-CSI-SPLIT",
                f"{collection.name} names {len(names)} persons"
                + (", and some recordings none." if "" in names else "."),
                "name persons in the files (subject3_...csv) or give --subject REGEX.",
            )
        chosen = permutation(len(names), self.seed)[: max(round(self.share * len(names)), 1)]
        return np.isin(subjects, names[chosen])
