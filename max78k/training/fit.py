"""Training: a float phase, calibration, quantization-aware training, an exact measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.files import rehearsal
from max78k.network import Network
from max78k.training.checkpoint import load_checkpoint, trusted_network
from max78k.training.evaluate import class_accuracy
from max78k.training.layers import Mode
from max78k.training.options import SELF, ProgressCallback, TrainOptions
from max78k.training.processes import joined
from max78k.training.registry import network_name
from max78k.training.run import Run
from max78k.training.run_folder import Row, RunFolder


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What a run gave.

    Attributes:
        folder: the run folder: best.pt, last.pt, network.npz, metrics.csv, run.json.
        network: the integer network of the best epoch; None for a plain network, one without
            layers of the chip, which stays in real numbers.
        accuracy: share of the test part that the integer reference recognises, or the plain
            network.
        float_accuracy: the same for the float network before quantization; None if the whole run
            was quantization-aware.
        history: one row of metrics for each epoch; the keys are the columns of metrics.csv.
        confusion: int64 [classes (true), classes (predicted)] of the integer network.
        class_accuracy: by class name, in the order of the classes.
        name: of the network.
    """

    folder: RunFolder
    network: Network | None
    accuracy: float
    float_accuracy: float | None
    history: list[Row]
    confusion: npt.NDArray[np.int64]
    class_accuracy: dict[str, float]
    name: str


def train(
    options: TrainOptions, dataset: Dataset, *, progress: ProgressCallback | None = None
) -> TrainResult:
    """Train ``options.network`` on ``dataset.train``, choosing the epoch on ``dataset.test``.

    The same options, data, versions, number of threads and of processes give the same weights bit
    by bit on a CPU, also when the run is interrupted and resumed. Under torchrun all processes
    train one model on joined batches, and the first one writes the run folder.

    Raises:
        InputError: E-RUN-EXISTS, E-TRAIN-..., E-TEACHER-SHAPE, E-RESUME-...
        Max78kError: E-TRAIN-INTERRUPTED after Ctrl-C; what is finished can be resumed.
    """
    with joined(options.device) as processes:
        run = Run(options, dataset, processes, progress or (lambda _: None))
        try:
            while not run.is_finished:
                run.run_epoch()
        except KeyboardInterrupt:
            raise run.interrupted() from None
        finally:
            run.close()
        return _result(run)


def planned(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """What :func:`train` would do, as plain data; all is checked, nothing trained or written.

    Raises what :func:`train` raises before its first epoch.
    """
    with rehearsal(), joined(options.device) as processes:
        run = Run(replace(options, tensorboard=False), dataset, processes, lambda _: None)
        return {
            **run.planned(),
            "train_samples": len(dataset.train),
            "test_samples": len(dataset.test),
            "classes": list(dataset.class_names),
        }


def _result(run: Run) -> TrainResult:
    network, confusion = run.measure_best()
    accuracies = [r["test_accuracy"] for r in run.history if r["phase"] == Mode.FLOAT.value]
    best = max(accuracies, default=None) if run.options.patience or run.is_plain else None
    names = run.dataset.class_names
    result = TrainResult(
        folder=run.folder,
        network=network,
        accuracy=float(confusion.trace() / confusion.sum()),
        float_accuracy=best if best is not None else (accuracies or [None])[-1],
        history=run.history,
        confusion=confusion,
        class_accuracy=dict(zip(names, class_accuracy(confusion), strict=True)),
        name=network_name(run.options.network),
    )
    run.write_summary(
        {
            "integer_accuracy": None if network is None else result.accuracy,
            "float_accuracy": result.float_accuracy,
            "class_accuracy": result.class_accuracy,
            "confusion": confusion.tolist(),
            "seconds": sum(row["seconds"] for row in run.history),
            "weight_bytes": None if network is None else network.weight_bytes,
        }
    )
    return result


def stored_options(
    folder: RunFolder, network: str | None = None, teacher_network: str | None = None
) -> TrainOptions:
    """The options with which the run in ``folder`` was begun, set to resume it.

    Args:
        folder: the run folder.
        network: as given to train; needed where it is a user's Python file.
        teacher_network: the same for the teacher's file.
    """
    content = load_checkpoint(folder.last)
    options = TrainOptions.restored(content["options"], folder.path)
    if options.teacher != SELF and options.teacher_network not in (None, teacher_network):
        raise InputError(
            "E-CHECKPOINT-CODE",
            f"the teacher of {folder.last} is of {options.teacher_network}, a Python file that is "
            "not run unasked.",
            f"--teacher-network {options.teacher_network}, if you trust that file.",
        )
    return replace(options, network=trusted_network(content, Path(folder.last), network))
