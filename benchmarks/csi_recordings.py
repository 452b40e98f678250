"""Networks on recorded CSI: prepare, train, export and judge, with the commands a user has.

    python benchmarks/csi_recordings.py walk csi_walk_esp32c6.npz --out runs
    python benchmarks/csi_recordings.py walk-image csi_walk_esp32c6.npz --out runs
    python benchmarks/csi_recordings.py gesture csi_gesture_esp32.npz --out runs
    python benchmarks/csi_recordings.py gesture-image csi_gesture_esp32.npz --out runs

The epoch is not chosen: what the last epoch leaves is exported. Printed are the confusion matrices
of all test parts together and the accuracy of every run, float and integer.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from max78k.cli.main import cli


@dataclass(frozen=True)
class Study:
    """Arguments of the commands; one run for each split.

    Networks of ordinary layers are trained in real numbers and ``plain``: quantized, not exported.
    ``teachers`` of the next seeds are trained first and teach the one that is judged.
    """

    network: str
    splits: tuple[str, ...]
    prepare: str
    train: str
    plain: bool = False
    teachers: int = 0


_TRAIN = (
    "--optimizer adamw --learning-rate 0.003 --qat-learning-rate 0.0005 --weight-decay 0.05 "
    "--schedule one-cycle --batch-size 64 --ema 0.99 --brightness 0 --contrast 0.3 --no-bf16"
)
_IMAGE = "--no-flip --rotate 0 --scale 0 --shift 0.05"
_GESTURES = "--window 600 --step 25 --reverse push=pull --reverse-share 0.5"
_PLAIN = "--ema 0.98 --epochs 18 --cutmix 1 --label-smoothing 0 --distillation 0"
FOLDS = tuple(f"fold:{fold}/5" for fold in range(5))
STUDIES = {
    "walk": Study(
        "csi2_1d", FOLDS, "--window 400 --step 50",
        f"{_TRAIN} --epochs 16 --qat-epochs 4 --class-weights balanced",
    ),
    "gesture": Study(
        "csi5_1d", ("time",), _GESTURES,
        f"{_TRAIN} {_PLAIN}", plain=True,
    ),
    "gesture-image": Study(
        "csi5_2d", ("time",), f"{_GESTURES} --form cosines --segment 20",
        f"{_TRAIN} {_PLAIN} --no-flip --rotate 0 --scale 0 --shift 0", plain=True, teachers=3,
    ),
    "walk-image": Study(
        "csi4_2d", FOLDS, "--window 400 --step 100 --form image",
        f"{_TRAIN} {_IMAGE} --epochs 14 --qat-epochs 3 --class-weights balanced",
    ),
}  # fmt: skip


def main() -> None:
    """Run a study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    study = STUDIES[given.study]
    total: dict[str, np.ndarray] = {}
    for number, split in enumerate(study.splits):
        folder = given.out / f"{given.study}-{number}"
        windows = folder.with_suffix(".npz")
        windows.parent.mkdir(parents=True, exist_ok=True)
        run("csi", "prepare", given.source, "--out", windows, "--split", split,
            *study.prepare.split())  # fmt: skip
        trained = train(study, windows, folder, given.seed)
        if study.plain:  # what was trained names its best epoch, what is quantized is the last
            trained = run(
                "quantize", folder / "last.pt", "--data", windows, "--out", folder / "model"
            )
        else:
            run("export", folder / "last.pt", "--out", folder / "model")
        judged = run("csi", "evaluate", folder / "model", windows)
        for kind in ("by_window", "by_recording"):
            total[kind] = total.get(kind, 0) + np.array(judged[kind]["confusion"])
        print(f"{split}: float {trained['float_accuracy']:.2%}, "
              f"integer {judged['by_window']['accuracy']:.2%}", flush=True)  # fmt: skip
    for kind, matrix in total.items():
        print(f"{kind.replace('_', ' ')}: {matrix.trace() / matrix.sum():.2%}\n{matrix}")


def train(study: Study, windows: Path, folder: Path, seed: int) -> dict[str, object]:
    """What ``train-qat`` says of the run in ``folder``."""
    words = ["--network", study.network, "--data", windows, "--threads", 1, *study.train.split()]
    teachers = [folder.with_name(f"{folder.name}-teacher{n}") for n in range(study.teachers)]
    for number, teacher in enumerate(teachers):
        run("train-qat", *words, "--out", teacher, "--seed", seed + 1 + number)
    if teachers:
        words += ["--distillation", 0.9, "--epochs", 36]
        words += ["--teacher", ",".join(str(one / "last.pt") for one in teachers)]
    return run("train-qat", *words, "--out", folder, "--seed", seed)


def run(*arguments: object) -> dict[str, object]:
    """The JSON that a command prints; the same process, so that nothing is loaded twice."""
    words = [*map(str, arguments), "--json"]
    done = CliRunner().invoke(cli, words)
    if done.exception is not None:
        sys.exit(f"max78k {' '.join(words)}\n{done.exception}")
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
