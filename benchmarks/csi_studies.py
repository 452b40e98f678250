"""What decides a figure on Wi-Fi CSI: the length of a window, the split, the teacher.

    python benchmarks/csi_studies.py length csi_walk_esp32c6.npz --out runs
    python benchmarks/csi_studies.py leakage csi_walk_esp32c6.npz --out runs
    python benchmarks/csi_studies.py leakage made --out runs
    python benchmarks/csi_studies.py emotion made --out runs
    python benchmarks/csi_studies.py arrow csi_gesture_esp32.npz --out runs

``made`` is a made room of 16 persons. Every line is printed as a row of the tables in docs/csi.md.
The epoch is not chosen: what the last epoch leaves is judged, in integers (``arrow``: float).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from max78k.csi.channel import CLASS_NAMES, person, record
from max78k.csi.collection import Collection, Labelled, read_collection
from max78k.csi.preparation import Preparation
from max78k.csi.splits import Split
from max78k.csi.windows import Windows, make_windows
from max78k.flows.csi_answers import score_windows
from max78k.flows.weight_sources import network_of_run
from max78k.report.metrics import Scores, scores
from max78k.training.distillation import load_teacher
from max78k.training.fit import train
from max78k.training.options import Augmentation, TrainOptions

NETWORKS = Path(__file__).with_name("csi_study_network.py")
PERSONS, SECONDS = 16, 60.0
FOLDS = tuple(f"fold:{fold}/5" for fold in range(5))
LENGTHS = (300, 600, 1200)
THIN = 2  # 1,200 packets at once are more values than a layer takes
BREATHING = Preparation(window=2400, step=400, thin=4)  # 24 s: in 6 s there are one or two breaths
ARROW = TrainOptions(
    network="csi5_1d",
    epochs=18, optimizer="adamw", learning_rate=0.003, weight_decay=0.05, schedule="one-cycle",
    batch_size=64, ema=0.98, label_smoothing=0.0, distillation=0.0, cutmix=1.0,
    augmentation=Augmentation(brightness=0.0, contrast=0.3),
)  # fmt: skip
OPTIONS = TrainOptions(
    epochs=14, qat_epochs=3, optimizer="adamw", learning_rate=0.003,
    qat_learning_rate=0.0005, weight_decay=0.05, schedule="one-cycle", batch_size=32, ema=0.98,
    class_weights="balanced", distillation=0.0,
    augmentation=Augmentation(brightness=0.0, contrast=0.3),
)  # fmt: skip


def main() -> None:
    """Run a study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("source", help="recordings, or made")
    parser.add_argument("--out", type=Path, required=True, help="A new folder.")
    given = parser.parse_args()
    made = given.source == "made"
    collection = made_room() if made else read_collection(Path(given.source))
    STUDIES[given.study](collection, given.out, "subject" if made else "fold")


def length(collection: Collection, out: Path, honest: str) -> None:
    """Windows of 300, 600 and 1,200 packets, each with a fourth of its length as step."""
    splits = FOLDS if honest == "fold" else (honest,)
    for packets in LENGTHS:
        preparation = Preparation(window=packets, step=packets // 4, thin=THIN)
        cuts = (make_windows(collection, preparation, Split(kind)) for kind in splits)
        judge(f"{packets}", cuts, out / f"length-{packets}", values(packets // THIN))


def leakage(collection: Collection, out: Path, honest: str) -> None:
    """Windows that overlap, divided honestly and at random."""
    made = honest == "subject"
    preparation = BREATHING if made else Preparation(window=600, step=200, thin=THIN)
    divisions = {
        "random windows": [Split("random", 0.2, seed) for seed in range(2 if made else 3)],
    }
    if made:
        divisions["other persons"] = [Split("subject", 0.3, seed) for seed in range(2)]
    else:
        divisions["whole recordings"] = [Split(kind) for kind in FOLDS]
    for name, splits in divisions.items():
        cuts = (make_windows(collection, preparation, split) for split in splits)
        place = out / f"leakage-{name.replace(' ', '-')}"
        judge(name, cuts, place, values(preparation.window // preparation.thin))


def emotion(collection: Collection, out: Path, honest: str) -> None:
    """A transformer, and csi4_1d alone and taught by it, on persons that none of them has met."""
    from max78k.flows.csi_vit import make_student, score_vit
    from max78k.training.vit_lessons import VitOptions

    windows = make_windows(collection, BREATHING, Split(honest, 0.3))
    options = VitOptions(epochs=20, logit_weight=1.0)
    line(
        "transformer alone, float", [score_vit(make_student(windows, options, tiny=True), windows)]
    )
    student = make_student(windows, options, teacher="drawn", tiny=True)
    student.save(out / "vit")
    line("transformer taught by one of faces, float", [score_vit(student, windows)])
    chip = replace(OPTIONS, network="csi4_1d", epochs=16)
    taught = replace(chip, teacher=str(out / "vit"), distillation=0.5)
    judge("csi4_1d alone", [windows], out / "alone", chip)
    judge("csi4_1d taught by the transformer", [windows], out / "taught", taught)


def arrow(collection: Collection, out: Path, honest: str) -> None:
    """How much windows played backwards should weigh, where push was not met in the last session.

    Float networks, alone and the mean of what they say.
    """
    for share in (0.0, 0.5, 1.0):
        reverse = "push=pull" if share else ""
        preparation = Preparation(window=600, step=25)
        windows = make_windows(
            collection, preparation, Split("time"), reverse, reverse_share=share or 1.0
        )
        alone = []
        for seed in (100, 101, 102):
            place = out / f"arrow-{share}-{seed}"
            train(replace(ARROW, folder=place, seed=seed), windows.data)
            alone.append(place / "last.pt")
        each = [said_by([path], windows) for path in alone]
        line(f"reversed {share:g}, three seeds", each)
        line(f"reversed {share:g}, their mean", [said_by(alone, windows)])


def said_by(stored: list[Path], windows: Windows) -> Scores:
    """What float networks say together of the test part."""
    options = replace(ARROW, teacher=",".join(map(str, stored)))
    test, shape = windows.data.test, windows.data.input_shape
    real = (torch.from_numpy(test.inputs).float() - 128) / 128
    teacher = load_teacher(options, len(windows.data.class_names), shape)
    with torch.no_grad():
        answers = teacher(real).argmax(dim=1).numpy()
    return scores(test.labels, answers, len(windows.data.class_names))


STUDIES = {"length": length, "leakage": leakage, "emotion": emotion, "arrow": arrow}


def values(count: int) -> TrainOptions:
    """With the network of windows of ``count`` values."""
    return replace(OPTIONS, network=f"{NETWORKS}:Values{count}")


def judge(name: str, cuts: Iterable[Windows], folder: Path, options: TrainOptions) -> None:
    """Train a network for each division; print what all test parts together say."""
    found = []
    for number, windows in enumerate(cuts):
        place = folder.with_name(f"{folder.name}-{number}")
        train(replace(options, folder=place), windows.data)
        network = network_of_run(place / "last.pt", options.network)
        found.append(score_windows(network, windows)[0])
    line(name, found)


def line(name: str, found: list[Scores]) -> None:
    """A row: what, accuracy over all, the range of single divisions, windows, recalls."""
    confusion = sum(one.confusion for one in found)
    each = [one.accuracy for one in found]
    total, right = int(np.sum(confusion)), int(np.trace(confusion))
    span = f"{min(each):.1%} to {max(each):.1%}" if len(each) > 1 else ""
    recalls = ", ".join(f"{x:.0%}" for x in np.diag(confusion) / np.sum(confusion, axis=1))
    print(f"| {name} | {right / total:.2%} | {span} | {total} | {recalls} |", flush=True)


def made_room() -> Collection:
    """One recording of every person and emotion."""
    recordings = []
    for number in range(PERSONS):
        who = person(number)
        for label, name in enumerate(CLASS_NAMES):
            seed = number * len(CLASS_NAMES) + label
            made = record(name, who, seed, seconds=SECONDS, name=f"{name}/subject{number}")
            recordings.append(Labelled(made, label, f"{number}"))
    return Collection("made", CLASS_NAMES, tuple(recordings))


if __name__ == "__main__":
    main()
