"""Schedules, optimizers, losses, mixing, averages: each does what its option says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from max78k.datasets.dataset import Dataset, Split
from max78k.errors import InputError
from max78k.training.average import Average
from max78k.training.distillation import (
    Lessons,
    Student,
    load_teacher,
    new_projection,
    outputs_and_features,
)
from max78k.training.layers import Conv2d, Linear
from max78k.training.losses import LOSSES, class_weights, cosine, cross_entropy
from max78k.training.mixing import Mixture
from max78k.training.optimizers import new_optimizer
from max78k.training.options import OPTIMIZERS, SCHEDULES, Augmentation, TrainOptions
from max78k.training.processes import Processes
from max78k.training.samples import Samples
from max78k.training.schedules import Watch, factor

ALONE = Processes(0, 1, torch.device("cpu"))
STILL = Augmentation(False, 0, 0, 0, 0, 0)


def course(name: str, watch: Watch | None = None, warm_up: float = 0.2, **options) -> list[float]:
    given = TrainOptions(**options)
    return [factor(name, n, 100, warm_up, given, watch or Watch()) for n in range(100)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_rises_first_and_peaks_at_one(name):
    rates = course(name)
    assert rates[:20] == sorted(rates[:20]) and rates[0] < 0.1
    assert max(rates) == pytest.approx(1.0) and all(rate >= 0 for rate in rates)
    assert course(name, warm_up=0.0)[0] == pytest.approx(1.0)


def test_schedules_fall_where_they_should():
    assert course("cosine")[60] == pytest.approx(0.5)
    assert course("one-cycle")[-1] < 0.01
    assert course("constant")[-1] == 1.0
    steps = course("multistep", warm_up=0.0, milestones=(0.5, 0.9), gamma=0.5)
    assert (steps[49], steps[50], steps[90]) == (1.0, 0.5, 0.25)


def test_a_plateau_lets_the_rate_fall_and_waits_anew():
    watch = Watch()
    seen = [watch.see(value, 2) for value in (0.5, 0.4, 0.5, 0.3, 0.6, 0.1, 0.1)]
    assert seen == [True, False, False, False, True, False, False]
    assert (watch.falls, watch.since, watch.best) == (2, 2, 0.6)
    assert course("plateau", watch, gamma=0.1)[50] == pytest.approx(0.01)
    assert Watch(**watch.stored()) == watch


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_and_spares_biases_from_decay(name):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = new_optimizer(model, TrainOptions(optimizer=name, weight_decay=0.01))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    data = torch.randn(64, 4)
    losses = []
    for _ in range(60):
        for group in optimizer.param_groups:
            group["lr"] = 0.02
        loss = (model(data) - data.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_soft_targets_equal_hard_ones_where_they_are_certain():
    outputs = torch.randn(6, 3)
    hard = torch.tensor([0, 1, 2, 0, 1, 2])
    soft = F.one_hot(hard, 3).float()
    weights = torch.tensor([1.0, 2.0, 0.5])
    for smoothing, given in ((0.0, None), (0.2, None), (0.2, weights)):
        values = [
            cross_entropy(outputs, targets, smoothing=smoothing, weights=given)
            for targets in (hard, soft)
        ]
        assert values[0] == pytest.approx(float(values[1]), rel=1e-6)


def test_the_cosine_loss_measures_the_angle_alone():
    outputs = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 4.0], [-2.0, 0.0, 0.0]])
    each = [
        float(cosine(outputs[n : n + 1], torch.tensor([0]), smoothing=0.0, weights=None))
        for n in range(3)
    ]
    assert each == pytest.approx([0.0, 1.0, 2.0])
    targets = torch.tensor([0, 1, 2])
    small = cosine(0.01 * outputs, targets, smoothing=0.0, weights=None)
    assert torch.allclose(small, cosine(outputs, targets, smoothing=0.0, weights=None))
    even = torch.full((3, 3), 1 / 3)  # all smoothed away: the even answer is the right one
    assert float(cosine(even, targets, smoothing=1.0, weights=None)) == pytest.approx(0, abs=1e-6)
    weights = torch.tensor([2.0, 0.5, 1.0])
    weighted = cosine(outputs, targets, smoothing=0.0, weights=weights)
    angles = [0.0, 1 - 0.5**0.5, 1.0]
    expected = sum(a * w for a, w in zip(angles, [2, 0.5, 1], strict=True)) / 3
    assert float(weighted) == pytest.approx(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_soft_and_hard_targets_alike(name):
    outputs, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    for options in ({"smoothing": 0.2, "weights": weights}, {"smoothing": 0.0, "weights": None}):
        hard = LOSSES[name](outputs, labels, **options)
        soft = LOSSES[name](outputs, F.one_hot(labels, 4).float(), **options)
        assert torch.allclose(hard, soft)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_at_the_shares_of_a_soft_target(name):
    """What mixup and votes ask for: both classes, by their shares."""
    target = torch.tensor([[0.75, 0.25, 0.0]])
    outputs = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], 0.1)
    with torch.no_grad():
        outputs += torch.tensor([[0.1, 0.2, 0.3]])
    for _ in range(200):
        optimizer.zero_grad()
        LOSSES[name](outputs, target, smoothing=0.0, weights=None).backward()
        optimizer.step()
    order = outputs.detach()[0].argsort(descending=True)
    assert order.tolist() == [0, 1, 2]


def test_class_weights_have_mean_one_over_the_samples():
    counts = np.array([10, 30, 60])
    balanced = class_weights(TrainOptions(class_weights="balanced"), counts)
    np.testing.assert_allclose(balanced * torch.from_numpy(counts), 100 / 3, rtol=1e-6)
    given = class_weights(TrainOptions(class_weights="1,1,4"), counts)
    assert given[2] == pytest.approx(4 * float(given[0]))
    assert (given.numpy() * counts).sum() == pytest.approx(100)
    assert class_weights(TrainOptions(), counts) is None
    empty = class_weights(TrainOptions(class_weights="balanced"), np.array([10, 0, 90]))
    np.testing.assert_allclose(empty, [5, 0, 5 / 9], rtol=1e-6)
    for wrong in ("1,2", "1,2,x", "1,2,0", "1,2,inf"):
        with pytest.raises(InputError, match="E-TRAIN-OPTION class_weights"):
            class_weights(TrainOptions(class_weights=wrong), counts)


def pairs(n: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.arange(n).float().reshape(-1, *(1,) * len(shape)).expand(n, *shape) * 10 - 128
    return values.contiguous(), F.one_hot(torch.arange(n) % 3, 3).float()


@pytest.mark.parametrize("shape", [(2, 10, 10), (2, 30)])
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.5, 0.0), (0.0, 1.0)])
def test_mixing_keeps_integers_and_the_shares_of_what_is_seen(shape, mixup, cutmix):
    values, targets = pairs(9, shape)
    mixture = Mixture.draw(9, len(shape) - 1, (1, 2, 3), mixup=mixup, cutmix=cutmix)
    mixed, shares = mixture.apply(values, targets)
    assert torch.equal(mixed, mixed.round()) and not torch.equal(mixed, values)
    torch.testing.assert_close(shares.sum(1), torch.ones(9))
    partner = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6, 7])
    own = (mixed - values[partner]).flatten(1).mean(1) / (values - values[partner]).flatten(1).mean(
        1
    )
    kept = (shares * targets).sum(1)  # neighbours are of different classes
    torch.testing.assert_close(own, kept, atol=0.05 if mixup else 1e-5, rtol=0)


def test_whole_columns_can_be_pasted():
    values, targets = pairs(12, (2, 5, 30))
    mixture = Mixture.draw(12, 1, (1, 2, 3), mixup=0.0, cutmix=1.0)
    mixed, shares = mixture.apply(values, targets)
    assert torch.equal(mixed, mixed[:, :1, :1].expand_as(mixed))  # rows and channels alike
    own = (mixed == values).float().mean((1, 2, 3))
    torch.testing.assert_close(own, (shares * targets).sum(1))
    assert 0.2 < float(own.mean()) < 0.8 and len(set(own.tolist())) > 6


def test_a_part_of_a_mixture_is_what_the_whole_gives_there():
    values, targets = pairs(12, (1, 8, 8))
    mixture = Mixture.draw(12, 2, (5,), mixup=0.4, cutmix=1.0)
    whole = mixture.apply(values, targets)
    for part in (slice(0, 4), slice(4, 12)):
        found = mixture.part(part).apply(values[part], targets[part])
        for ours, theirs in zip(found, whole, strict=True):
            torch.testing.assert_close(ours, theirs[part], rtol=0, atol=0)


def test_the_average_follows_slowly_and_copies_integers():
    model = nn.BatchNorm1d(2)
    average = Average(model, 0.9)
    with torch.no_grad():
        for step in range(1, 200):
            model.weight.fill_(5.0)
            model.num_batches_tracked.fill_(step)
            average.update(model)
            if step == 1:
                assert float(average.model.weight[0]) == pytest.approx(5 - 4 * 2 / 11)
    torch.testing.assert_close(average.model.weight, model.weight)
    assert average.model.num_batches_tracked == 199 and not average.model.weight.requires_grad
    other = Average(model, 0.9)
    other.restore(average.stored())
    assert torch.equal(other.model.weight, average.model.weight)


def few(counts: list[int], soft: bool = False) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    inputs = np.broadcast_to(labels[:, None, None, None], (len(labels), 1, 4, 4)).astype(np.uint8)
    shares = np.full((len(labels), len(counts)), 1 / len(counts), np.float32) if soft else None
    split = Split(inputs, labels, shares)
    return Dataset("few", tuple("abc"[: len(counts)]), split, split)


def test_oversampling_draws_all_classes_equally_often():
    options = TrainOptions(batch_size=64, augmentation=STILL, oversample=True)
    samples = Samples(few([700, 200, 100]), options, ALONE)
    labels = samples.labels[samples.order(0)]
    assert (torch.bincount(labels).float() / 1000 - 1 / 3).abs().max() < 0.05
    assert torch.equal(samples.order(3), samples.order(3))
    assert not torch.equal(samples.order(3), samples.order(4))


def test_batches_pass_every_sample_once_and_soft_labels_along():
    options = TrainOptions(batch_size=10, augmentation=STILL)
    samples = Samples(few([20, 10], soft=True), options, ALONE)
    order = samples.order(0)
    batches = [samples.batch(order, 0, step) for step in range(samples.steps)]
    labels = torch.cat([batch.labels for batch in batches])
    assert torch.bincount(labels).tolist() == [20, 10]
    assert torch.equal(batches[0].targets, torch.full((10, 2), 0.5))
    assert torch.equal(batches[0].integers[:, 0, 0, 0] + 128, batches[0].labels.float())


def test_parts_of_processes_make_the_joined_batch():
    options = TrainOptions(batch_size=12, mixup=0.3, cutmix=0.5)
    data = few([20, 10])
    whole = Samples(data, options, ALONE)
    order = whole.order(1)
    batch = whole.batch(order, 1, 0)
    parts = []
    for rank in range(3):
        processes = Processes(rank, 3, torch.device("cpu"))
        parts.append(Samples(data, options, processes).batch(order, 1, 0))
    assert torch.equal(torch.cat([part.integers for part in parts]), batch.integers)
    assert torch.equal(torch.cat([part.targets for part in parts]), batch.targets)
    with pytest.raises(InputError, match="E-TRAIN-PROCESSES"):
        Samples(few([3, 2]), options, Processes(0, 3, torch.device("cpu")))


def test_clean_samples_are_at_most_mirrored():
    data = few([3, 5])
    options = TrainOptions(mixup=0.4, batch_size=8, augmentation=Augmentation(noise=0.1, cutout=2))
    samples = Samples(data, options, Processes(0, 1, torch.device("cpu")))
    for epoch, clean in enumerate((False, True, True)):
        order = samples.order(epoch)
        found = samples.batch(order, epoch, 0, clean=clean)
        untouched = samples.pixels[order[:8]].float() - 128
        same = ((found.integers == untouched) | (found.integers == untouched.flip(-1))).all()
        assert bool(same) == clean
        assert torch.equal(found.targets, found.labels) == clean


class Small(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(1, channels)
        self.output = Linear(channels * 16, 3)

    def forward(self, data):
        return self.output(self.conv(data))


class Foreign(nn.Sequential):
    """A teacher of ordinary layers, with other channels and another size of its last map."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 3, 2),
        )  # fmt: skip


@pytest.mark.parametrize("teacher", [Small(7), Foreign()])
def test_features_are_what_the_last_layer_reads_and_are_projected(teacher):
    student = Small(4)
    sample = torch.randn(2, 1, 4, 4)
    projection = new_projection(student, teacher, sample[:1])
    outputs, features = Student(student, projection)(sample)
    wanted = outputs_and_features(teacher, sample)[1]
    assert features.shape[:2] == wanted.shape[:2]
    options = TrainOptions(feature_distillation=1.0, distillation=0.0)
    lessons = Lessons(teacher, options)
    total = lessons.loss(outputs.sum() * 0, outputs, features, sample)
    total.backward()
    assert 0 < float(total.detach()) <= 2 and projection.grad.abs().sum() > 0
    assert student.conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_with_the_same_scores_adds_nothing():
    model = Small(4).eval()
    real = torch.randn(5, 1, 4, 4)
    options = TrainOptions(distillation=1.0, temperature=4.0)
    outputs = model(real).detach()
    assert float(Lessons(model, options).loss(outputs.sum(), outputs, None, real)) < 1e-6
    other = Lessons(model, replace(options, temperature=1.0))
    assert float(other.loss(outputs.sum(), outputs + torch.randn(5, 3), None, real)) > 0.01


def test_several_teachers_teach_the_mean_of_their_shares(tmp_path):
    file = tmp_path / "plain.py"
    file.write_text(
        "from torch import nn\nclass Plain(nn.Sequential):\n"
        "    def __init__(self, classes=3):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(16, classes))\n"
    )
    alone = [nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) for _ in range(3)]
    paths = [tmp_path / f"{number}.pt" for number in range(3)]
    for path, teacher in zip(paths, alone, strict=True):
        torch.save(teacher.state_dict(), path)
    options = TrainOptions(
        teacher=", ".join(map(str, paths)), teacher_network=f"{file}:Plain", distillation=1.0
    )
    data = torch.randn(5, 1, 4, 4)
    together = load_teacher(options, ("a", "b", "c"), (1, 4, 4))
    wanted = torch.stack([teacher(data).softmax(1) for teacher in alone]).mean(0)
    assert torch.allclose(together(data).softmax(1), wanted, atol=1e-6)
    assert torch.isfinite(together(1e4 * data)).all()
    with pytest.raises(InputError, match="E-TEACHER-SEVERAL"):
        load_teacher(replace(options, feature_distillation=1.0), ("a", "b", "c"), (1, 4, 4))
    with pytest.raises(InputError, match=r"E-CHECKPOINT-NETWORK.*0\.pt"):
        load_teacher(options, ("a", "b", "c", "d"), (1, 4, 4))


def test_a_teacher_can_say_the_mean_for_a_picture_and_its_mirror():
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    data, outputs = torch.randn(5, 1, 4, 4), torch.randn(5, 3)
    options = TrainOptions(distillation=1.0, temperature=1.0, teacher_flip=True)
    found = Lessons(teacher, options).loss(torch.zeros(()), outputs, None, data)
    wanted = (teacher(data).softmax(1) + teacher(data.flip(3)).softmax(1)) / 2
    torch.testing.assert_close(
        found, F.kl_div(outputs.log_softmax(1), wanted, reduction="batchmean")
    )
    alone = Lessons(teacher, replace(options, teacher_flip=False))
    assert not torch.allclose(alone.loss(torch.zeros(()), outputs, None, data), found)


def test_options_of_the_table_are_checked():
    for wrong in (
        {"schedule": "linear"}, {"optimizer": "lion"}, {"warm_up": 1.0}, {"mixup": -1.0},
        {"milestones": (0.5, 2.0)}, {"augmentation": Augmentation(rotate=-5)}, {"patience": -1},
    ):  # fmt: skip
        if "augmentation" not in wrong:
            with pytest.raises(InputError, match=f"E-TRAIN-OPTION {next(iter(wrong))}"):
                TrainOptions(**wrong)
        else:
            with pytest.raises(InputError, match="E-TRAIN-OPTION rotate"):
                TrainOptions(**wrong)
    assert math.isclose(TrainOptions(epochs=16).float_epochs, 14)
