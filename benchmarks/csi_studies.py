"""What decides a figure on Wi-Fi CSI: the length of a window, the split, the teacher.

    python benchmarks/csi_studies.py length csi_walk_esp32c6.npz --seeds 1 2 3 --out runs
    python benchmarks/csi_studies.py leakage csi_walk_esp32c6.npz --seeds 1 2 3 --out runs
    python benchmarks/csi_studies.py leakage made --seeds 1 2 3 --out runs
    python benchmarks/csi_studies.py emotion made --seeds 1 2 3 --out runs
    python benchmarks/csi_studies.py arrow csi_gesture_esp32.npz --seeds 100 101 102 --out runs

``made`` is a made room of 16 persons. Every line is printed as a row of the tables in docs/csi.md:
the mean of the seeds, what each seed reached over all test parts together, the range of single test
parts, windows judged by a seed, and the share of each class that was found. The epoch is not
chosen: what the last epoch leaves is judged, in integers (``arrow``: float).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
MADE = "made"
LENGTHS = (300, 600, 1200)
THIN = 2  # 1,200 packets at once are more values than a layer takes
BREATHING = Preparation(window=2400, step=400, thin=4)  # 24 s: in 6 s there are one or two breaths
ARROW = TrainOptions(
    network="csi5_1d",
    epochs=18, optimizer="adamw", learning_rate=0.003, weight_decay=0.05, schedule="one-cycle",
    batch_size=64, ema=0.98, label_smoothing=0.0, distillation=0.0, cutmix=1.0, bf16=False,
    augmentation=Augmentation(brightness=0.0, contrast=0.3),
)  # fmt: skip
OPTIONS = TrainOptions(
    epochs=14, qat_epochs=3, optimizer="adamw", learning_rate=0.003,
    qat_learning_rate=0.0005, weight_decay=0.05, schedule="one-cycle", batch_size=32, ema=0.98,
    class_weights="balanced", distillation=0.0, bf16=True,
    augmentation=Augmentation(brightness=0.0, contrast=0.3),
)  # fmt: skip

Seeds = Sequence[int]


def main() -> None:
    """Run a study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("source", help="recordings, or made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="Of the trainings.")
    parser.add_argument("--out", type=Path, required=True, help="A new folder.")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums in another order would be other networks
    made = given.source == "made"
    collection = made_room() if made else read_collection(Path(given.source))
    STUDIES[given.study](collection, given.out, given.seeds)


def length(collection: Collection, out: Path, seeds: Seeds) -> None:
    """Windows of 300, 600 and 1,200 packets, each with a fourth of its length as step."""
    for packets in LENGTHS:
        preparation = Preparation(window=packets, step=packets // 4, thin=THIN)
        cuts = [make_windows(collection, preparation, split) for split in honest(collection)]
        judge(f"{packets}", cuts, out / f"length-{packets}", values(packets // THIN), seeds)


def leakage(collection: Collection, out: Path, seeds: Seeds) -> None:
    """Windows that overlap, divided honestly and at random."""
    made = collection.name == MADE
    preparation = BREATHING if made else Preparation(window=600, step=200, thin=THIN)
    divisions = {
        "other persons" if made else "whole recordings": honest(collection),
        "random windows": [Split("random", 0.2, draw) for draw in range(3)],
    }
    for name, splits in divisions.items():
        cuts = [make_windows(collection, preparation, split) for split in splits]
        place = out / f"leakage-{name.replace(' ', '-')}"
        judge(name, cuts, place, values(preparation.window // preparation.thin), seeds)


def emotion(collection: Collection, out: Path, seeds: Seeds) -> None:
    """A transformer, and csi4_1d alone and taught by it, on persons that none of them has met."""
    from max78k.flows.csi_vit import make_student, score_vit
    from max78k.training.vit_lessons import VitOptions

    rows: dict[str, list[list[Scores]]] = {}
    windows = make_windows(collection, BREATHING, Split("subject", 0.3))
    for seed in seeds:
        options = VitOptions(epochs=20, logit_weight=1.0, seed=seed)
        alone = make_student(windows, options, tiny=True)
        student = make_student(windows, options, teacher="drawn", tiny=True)
        place = out / f"emotion-{seed}"
        student.save(place / "vit")
        chip = replace(OPTIONS, network="csi4_1d", epochs=16, seed=seed)
        taught = replace(chip, teacher=str(place / "vit"), distillation=0.5)
        for name, found in {
            "transformer alone, float": score_vit(alone, windows),
            "transformer taught by one of faces, float": score_vit(student, windows),
            "csi4_1d alone": trained(windows, replace(chip, folder=place / "alone")),
            "csi4_1d taught": trained(windows, replace(taught, folder=place / "taught")),
        }.items():
            rows.setdefault(name, []).append([found])
    for name, by_seed in rows.items():
        line(name, by_seed)


def arrow(collection: Collection, out: Path, seeds: Seeds) -> None:
    """How much windows played backwards should weigh, where push was not met in the last session.

    Float networks, alone and the mean of what they say.
    """
    preparation = Preparation(window=600, step=25)
    for share in (0.0, 0.5, 1.0):
        reverse = "push=pull" if share else ""
        windows = make_windows(
            collection, preparation, Split("time"), reverse, reverse_share=share or 1.0
        )
        alone = []
        for seed in seeds:
            place = out / f"arrow-{share}-{seed}"
            train(replace(ARROW, folder=place, seed=seed), windows.data)
            alone.append(place / "last.pt")
        line(f"reversed {share:g}", [[said_by([path], windows)] for path in alone])
        line(f"reversed {share:g}, all seeds together", [[said_by(alone, windows)]])


def said_by(stored: list[Path], windows: Windows) -> Scores:
    """What float networks say together of the test part."""
    options = replace(ARROW, teacher=",".join(map(str, stored)))
    test, shape = windows.data.test, windows.data.input_shape
    real = (torch.from_numpy(test.inputs).float() - 128) / 128
    teacher = load_teacher(options, windows.data.class_names, shape)
    with torch.no_grad():
        answers = teacher(real).argmax(dim=1).numpy()
    return scores(test.labels, answers, len(windows.data.class_names))


STUDIES = {"length": length, "leakage": leakage, "emotion": emotion, "arrow": arrow}


def honest(collection: Collection) -> list[Split]:
    """Test parts of persons, or of whole recordings, that the train part has not met."""
    if collection.name == MADE:
        return [Split("subject", 0.3, draw) for draw in range(3)]
    return [Split(f"fold:{fold}/5") for fold in range(5)]


def values(count: int) -> TrainOptions:
    """With the network of windows of ``count`` values."""
    return replace(OPTIONS, network=f"{NETWORKS}:Values{count}")


def judge(
    name: str, cuts: Sequence[Windows], folder: Path, options: TrainOptions, seeds: Seeds
) -> None:
    """Train a network for each division and seed; print what they say."""
    line(name, [
        [
            trained(windows, replace(options, seed=seed, folder=folder / f"{number}-{seed}"))
            for number, windows in enumerate(cuts)
        ]
        for seed in seeds
    ])  # fmt: skip


def trained(windows: Windows, options: TrainOptions) -> Scores:
    """What the last epoch's network says of the test part, in integers."""
    train(options, windows.data)
    network = network_of_run(options.folder / "last.pt", options.network)
    return score_windows(network, windows)[0]


def line(name: str, by_seed: Sequence[Sequence[Scores]]) -> None:
    """A row of what was found by seed and division."""
    confusions = np.array([sum(one.confusion for one in found) for found in by_seed])
    seeds = [float(one.trace() / one.sum()) for one in confusions]
    each = ", ".join(f"{100 * one:.2f}" for one in seeds)
    parts = [one.accuracy for found in by_seed for one in found]
    total = confusions.sum(axis=0)
    recalls = ", ".join(f"{one:.0%}" for one in total.diagonal() / total.sum(axis=1))
    print(
        f"| {name} | {np.mean(seeds):.2%} | {each} | {min(parts):.1%} to {max(parts):.1%} | "
        f"{confusions[0].sum()} | {recalls} |",
        flush=True,
    )


def made_room() -> Collection:
    """One recording of every person and emotion."""
    recordings = []
    for number in range(PERSONS):
        who = person(number)
        for label, name in enumerate(CLASS_NAMES):
            seed = number * len(CLASS_NAMES) + label
            made = record(name, who, seed, seconds=SECONDS, name=f"{name}/subject{number}")
            recordings.append(Labelled(made, label, f"{number}"))
    return Collection(MADE, CLASS_NAMES, tuple(recordings))


if __name__ == "__main__":
    main()
