"""Transformers of CSI: their images, what they learn from a teacher, and how they teach in turn."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from max78k.csi.channel import person, record
from max78k.csi.collection import Collection, Labelled
from max78k.csi.preparation import Preparation
from max78k.csi.splits import Split
from max78k.csi.time_frequency import transformer_image
from max78k.csi.windows import Windows, make_windows, write_windows
from max78k.errors import InputError
from max78k.flows.csi_teaching import taught_windows
from max78k.training import vit
from max78k.training.distillation import load_teacher
from max78k.training.options import TrainOptions
from max78k.training.vit_lessons import Teacher, VitOptions, train_vit, vit_scores


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"E-VIT-EXTRA.*max78k\[transformers\]"):
        vit.new_vit(("a", "b"), 52, 32, tiny=True)


def test_images_are_those_of_the_recipe() -> None:
    windows = np.random.default_rng(0).normal(0, 30, (2, 3, 600))
    found = vit.CsiVit(torch.nn.Identity(), vit.Picture()).images(torch.from_numpy(windows))
    for one, image in zip(windows, found.numpy(), strict=True):
        assert np.abs(transformer_image(one.T) - image).max() < 2e-3


@pytest.fixture
def windows() -> Windows:
    emotions = ("happy", "sad")
    recordings = tuple(
        Labelled(record(emotions[n % 2], person(n), n, seconds=5.0), n % 2) for n in range(10)
    )
    collection = Collection("made", emotions, recordings)
    return make_windows(collection, Preparation(window=240, step=60), Split("fold:0/5"))


EMOTIONS = ("sad", "disgust", "happy")


def test_a_student_begins_with_the_teachers_encoder() -> None:
    pytest.importorskip("transformers")
    teacher = vit.new_vit(EMOTIONS, 1, 32, tiny=True)
    student = vit.student_of(teacher, ("happy", "sad"), 52)
    own, taken = teacher.state_dict(), student.state_dict()
    for name, value in taken.items():
        same = value.shape == own[name].shape and bool((value == own[name]).all())
        fixed = name.startswith("vit.layers") or name.startswith("vit.layernorm")
        assert same or not fixed, name
    assert taken["vit.embeddings.patch_embeddings.projection.weight"].shape[1] == 52
    assert taken["classifier.weight"].shape[0] == 2
    vit.freeze(student, 2)
    frozen = {n for n, value in student.named_parameters() if not value.requires_grad}
    assert frozen
    assert all(name.startswith(("vit.layers.0", "vit.layers.1")) for name in frozen)
    with pytest.raises(InputError, match=r"E-VIT-FREEZE.*4"):
        vit.freeze(student, 4)
    assert vit.class_columns(teacher, ("Happy", "sad")) == [2, 0]
    with pytest.raises(InputError, match=r"E-VIT-CLASSES.*angry"):
        vit.class_columns(teacher, ("angry",))


def test_the_loss_is_that_of_the_recipe(windows: Windows) -> None:
    pytest.importorskip("transformers")
    from max78k.training.vit_lessons import _Lesson, _loss

    torch.manual_seed(0)
    teacher = vit.new_vit(EMOTIONS, 1, 32, tiny=True).eval()
    student = vit.CsiVit(vit.student_of(teacher, ("happy", "sad"), 52), vit.TINY).eval()
    frames = np.random.default_rng(0).integers(0, 255, (len(windows.data.train), 1, 48, 48))
    frames = frames.astype(np.uint8)
    rows = torch.arange(5)
    inputs, labels = torch.randn(5, 52, 32, 32), torch.tensor([0, 1, 1, 0, 1])
    pictures = vit.face_images(torch.from_numpy(frames[:5]), teacher)
    seen = teacher(pixel_values=pictures, output_hidden_states=True)
    scores, hidden = student.look(inputs)
    distance = (seen.hidden_states[-1] - hidden).square().mean()
    hard = F.cross_entropy(scores, labels) + 0.001 * distance
    plain = _Lesson(Teacher(teacher, frames), VitOptions(), ("happy", "sad"), len(frames))
    found = _loss(student, inputs, labels, plain, rows).detach()
    assert float(found) == pytest.approx(float(hard.detach()), 1e-4)
    soft = VitOptions(logit_weight=0.5, temperature=3.0)
    both = _Lesson(Teacher(teacher, frames), soft, ("happy", "sad"), len(frames))
    wanted = seen.logits[:, [2, 0]].div(3).softmax(1)
    divergence = (wanted * (wanted.log() - scores.div(3).log_softmax(1))).sum(1).mean()
    expected = float((hard + 0.5 * 9 * divergence).detach())
    found = _loss(student, inputs, labels, both, rows).detach()
    assert float(found) == pytest.approx(expected, 1e-4)
    with pytest.raises(InputError, match=r"E-VIT-FRAMES.*3 frames"):
        _Lesson(Teacher(teacher, frames[:3]), soft, ("happy", "sad"), len(frames))


def test_a_trained_folder_teaches_networks_of_the_chip(windows: Windows, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    student = vit.CsiVit(vit.new_vit(("happy", "sad"), 52, 32, tiny=True), vit.TINY)
    before = vit_scores(student, windows.data.test.inputs)
    train_vit(student, windows, VitOptions(epochs=2, batch_size=16))
    after = vit_scores(student, windows.data.test.inputs)
    assert not np.allclose(before, after)
    student.save(tmp_path / "vit")
    again = vit.load_csi_vit(tmp_path / "vit")
    assert np.allclose(vit_scores(again, windows.data.test.inputs), after, atol=1e-6)
    options = TrainOptions(teacher=str(tmp_path / "vit"))
    names = ("happy", "sad")
    teacher = load_teacher(options, names, (52, 240))
    assert teacher(torch.zeros(1, 52, 240)).shape == (1, 2)
    with pytest.raises(InputError, match="E-TEACHER-CLASSES"):
        load_teacher(options, ("0", "1", "2"), (52, 240))
    with pytest.raises(InputError, match=r"E-TEACHER-CLASSES.*happy, sad;.*sad, happy"):
        load_teacher(options, ("sad", "happy"), (52, 240))
    with pytest.raises(InputError, match=r"E-TEACHER-CLASSES.*happy, sad;.*a, b"):
        load_teacher(options, ("a", "b"), (52, 240))
    with pytest.raises(InputError, match="E-TEACHER-SHAPE"):
        load_teacher(options, names, (40, 240))
    with pytest.raises(InputError, match="E-TEACHER-SHAPE"):
        load_teacher(options, names, (52, 32, 32))
    with pytest.raises(InputError, match="E-VIT-FILE"):
        vit.load_csi_vit(tmp_path)
    write_windows(windows, tmp_path / "w.npz")
    taught, right = taught_windows(tmp_path / "w.npz", tmp_path / "vit", share=1.0, temperature=1.0)
    said = vit_scores(again, windows.data.train.inputs)
    assert np.allclose(taught.data.train.soft, said, atol=1e-5)
    assert right == (after.argmax(axis=1) == windows.data.test.labels).mean()


def test_the_command_trains_with_a_teacher_of_drawn_faces(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    import json

    from click.testing import CliRunner

    from max78k.cli.main import cli
    from max78k.flows import csi_vit

    monkeypatch.setattr(csi_vit, "_DRAWN_FACES", 70)
    monkeypatch.setattr(csi_vit, "_DRAWN_EPOCHS", 1)
    write_windows(windows, tmp_path / "w.npz")
    words = ["csi", "train-vit", str(tmp_path / "w.npz"), "--tiny", "--epochs", "1", "--json"]
    taught = ["--teacher", "drawn", "--logit-weight", "1", "--frozen-layers", "1"]
    outcome = CliRunner().invoke(cli, [*words, *taught, "--out", str(tmp_path / "vit")])
    assert outcome.exit_code == 0, outcome.output
    assert 0 <= json.loads(outcome.stdout)["accuracy"] <= 1
    assert vit.is_csi_vit(tmp_path / "vit")
    np.savez(tmp_path / "f.npz", frames=np.zeros((3, 1, 8, 8), np.uint8))
    frames = ["--frames", str(tmp_path / "f.npz"), "--teacher", "drawn"]
    outcome = CliRunner().invoke(cli, [*words, *frames, "--out", str(tmp_path / "no")])
    assert "E-VIT-FRAMES" in str(outcome.exception)
    assert not (tmp_path / "no").exists()
