"""Which names of classes mean the same."""

from __future__ import annotations

_ALSO = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy",
    "sadness": "sad", "surprised": "surprise",
}  # fmt: skip


def meaning(name: str) -> str:
    """A name in lower case; FER-2013's where data sets call one expression by several names."""
    plain = name.strip().lower()
    return _ALSO.get(plain, plain)
