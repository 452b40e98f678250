"""Classes: their names in other spellings, and maps from old ones to new ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from max78k.datasets.class_maps import CLASS_MAPS, map_classes, read_class_map
from max78k.datasets.dataset import Dataset
from max78k.datasets.fer import CLASS_NAMES
from max78k.datasets.load import load
from max78k.errors import InputError


def test_calm_is_neutral_in_fer_and_happy_in_ckplus(dataset: Dataset) -> None:
    for name, calm in (("calm4", 6), ("calm4-ckplus", 3)):
        mapped, left_out = map_classes(dataset, CLASS_MAPS[name])
        assert mapped.class_names == ("anger", "fear", "calm", "surprise")
        chosen = dataset.train.inputs[dataset.train.labels == calm]
        assert np.array_equal(mapped.train.inputs[mapped.train.labels == 2], chosen)
        assert sum(left_out.values()) == (21 + 14 + 7) * 3 // 7
        assert "differ" in CLASS_MAPS["calm4"].note


def test_a_written_map_joins_classes(dataset: Dataset) -> None:
    mapped, left_out = map_classes(dataset, read_class_map("bad=angry+sad, happy"))
    assert mapped.class_names == ("bad", "happy")
    assert mapped.test.counts(2).tolist() == [4, 2]
    assert set(left_out) == {"disgust", "fear", "surprise", "neutral"}


@pytest.mark.parametrize("text", ["", "happy", "a=b=c,d", "a=x,a=y", "x;y,z"])
def test_maps_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="E-CLASSES-MAP"):
        read_class_map(text)


def test_a_map_that_finds_nothing_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"E-CLASSES-MISSING.*angry"):
        map_classes(dataset, read_class_map("cats,dogs"))


def test_what_a_written_map_names_must_be_there(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"E-CLASSES-MISSING.* no class hapy, but angry"):
        map_classes(dataset, read_class_map("bad=angry+sad,good=hapy,neutral"))
    mapped, _ = map_classes(dataset, read_class_map("bad=Anger+SADNESS,good=happy"))
    assert mapped.test.counts(2).tolist() == [4, 2]
    lacking = dataset.renumbered([0, 1, 2, 3, 4, 5, -1], (*CLASS_NAMES[:6], "contempt"))
    assert map_classes(lacking, CLASS_MAPS["calm4"])[0].train.counts(4).tolist() == [3, 3, 0, 3]


def test_an_old_class_becomes_one_new_class() -> None:
    with pytest.raises(InputError, match="E-CLASSES-MAP angry stands 2 times"):
        read_class_map("a=angry,b=anger+sad")


def test_names_that_mean_the_same_are_renumbered(dataset: Dataset) -> None:
    spelled = ("Anger", "Disgusted", "Fearful", "Happiness", "Neutral", "Sadness", "Surprised")
    order = [CLASS_NAMES.index(name) for name in
             ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")]  # fmt: skip
    other = dataset.renumbered([order.index(n) for n in range(7)], spelled)
    again = other.named_like(CLASS_NAMES)
    assert again.class_names == CLASS_NAMES
    assert np.array_equal(again.test.labels, dataset.test.labels)
    others = other.renumbered(range(7), (*spelled[:6], "contempt"))
    assert others.named_like(CLASS_NAMES) is others


def test_folders_in_other_spellings_have_the_order_of_fer2013(tmp_path: Path) -> None:
    for name in ("Anger", "Disgust", "Fear", "Happiness", "Neutral"):
        (tmp_path / name).mkdir()
        for number in range(2):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.zeros((48, 48), np.uint8))
    assert load(str(tmp_path)).class_names == ("Anger", "Disgust", "Fear", "Happiness", "Neutral")
    (tmp_path / "Sadness").mkdir()
    cv2.imwrite(str(tmp_path / "Sadness" / "1.png"), np.zeros((48, 48), np.uint8))
    assert load(str(tmp_path), need=()).class_names[4:] == ("Sadness", "Neutral")
