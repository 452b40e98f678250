"""Training: a float phase, calibration, quantization-aware training, an exact measurement."""

from __future__ import annotations

import copy
import math
import time
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError, Max78kError, MismatchError
from max78k.network import Network, reference
from max78k.training.augment import seeded_generator
from max78k.training.calibrate import calibrate, calibration_batches
from max78k.training.checkpoint import (
    fill,
    load_checkpoint,
    save_checkpoint,
    trusted_network,
)
from max78k.training.chip_limits import require_network
from max78k.training.convert import to_network
from max78k.training.evaluate import (
    accuracy,
    class_accuracy,
    confusion_matrix,
    model_input,
    scores,
)
from max78k.training.layers import Mode, set_mode
from max78k.training.options import ProgressCallback, TrainOptions, TrainProgress
from max78k.training.registry import build, input_shape, network_name
from max78k.training.run_folder import Row, RunFolder

_WARM_UP = 0.15  # share of the float phase in which the learning rate rises
_MOMENTUM = 0.9
_TEMPERATURE = 2.0  # of the distilled targets
_ORDER, _AUGMENT, _DROPOUT = 1, 2, 3  # separate streams of random numbers


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What a run gave.

    Attributes:
        folder: the run folder: best.pt, last.pt, network.npz, metrics.csv, run.json.
        network: the integer network of the best epoch.
        accuracy: share of the test part that the integer reference recognises.
        float_accuracy: the same for the float network before quantization; None if the whole run
            was quantization-aware.
        history: one row of metrics for each epoch; the keys are the columns of metrics.csv.
        confusion: int64 [classes (true), classes (predicted)] of the integer network.
        class_accuracy: by class name.
    """

    folder: RunFolder
    network: Network
    accuracy: float
    float_accuracy: float | None
    history: list[Row]
    confusion: npt.NDArray[np.int64]
    class_accuracy: dict[str, float]


def train(
    options: TrainOptions, dataset: Dataset, *, progress: ProgressCallback | None = None
) -> TrainResult:
    """Train ``options.network`` on ``dataset.train``, choosing the epoch on ``dataset.test``.

    The same options, data, versions and number of threads give the same weights bit by bit, also
    when the run is interrupted and resumed.

    Raises:
        InputError: E-RUN-EXISTS, E-TRAIN-SHAPE, E-TRAIN-DIVERGED, E-RESUME-...
        Max78kError: E-TRAIN-INTERRUPTED after Ctrl-C; what is finished can be resumed.
    """
    run = _Run(options, dataset, progress or (lambda _: None))
    try:
        for epoch in range(len(run.history), options.epochs):
            run.run_epoch(epoch)
    except KeyboardInterrupt:
        raise run.interrupted() from None
    return run.finish()


def stored_options(folder: RunFolder, network: str | None = None) -> TrainOptions:
    """The options with which the run in ``folder`` was begun, set to resume it.

    Args:
        folder: the run folder.
        network: as given to train; needed where it is a user's Python file.
    """
    content = load_checkpoint(folder.last)
    options = TrainOptions.restored(content["options"], folder.path)
    return replace(options, network=trusted_network(content, folder.last, network))


class _Run:
    """State of a run between epochs; all of it is in last.pt."""

    def __init__(self, options: TrainOptions, dataset: Dataset, progress: ProgressCallback) -> None:
        self.options = options
        self.dataset = dataset
        self.progress = progress
        self.folder = RunFolder(options.folder)
        self.bf16 = _has_fast_bf16() if options.bf16 is None else options.bf16
        self.pixels = torch.from_numpy(dataset.train.inputs)
        self.labels = torch.from_numpy(dataset.train.labels)
        self.test_pixels = torch.from_numpy(dataset.test.inputs)
        self.test_labels = torch.from_numpy(dataset.test.labels)
        self.history: list[Row] = []
        self.teacher: nn.Module | None = None
        torch.manual_seed(options.seed)
        self.model = build(options.network, len(dataset.class_names), dataset.input_shape)
        self._check_shape()
        require_network(self._to_network())  # what the chip cannot run is not trained
        if self.pixels.ndim == 4:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = self._new_optimizer()
        if options.resume:
            self._resume()
        else:
            self.folder.require_new()
        self.folder.begin(self.history)

    # -- one epoch ---------------------------------------------------------------------------

    def run_epoch(self, epoch: int) -> None:
        """Train one epoch, measure, and store everything."""
        started = time.perf_counter()
        if epoch == self.options.float_epochs:
            self._quantize()
        mode = self._mode(epoch)
        torch.manual_seed(_seed(self.options.seed, epoch, 0, _DROPOUT))
        loss, hits, rate = self._train_epoch(epoch, mode)
        if mode is Mode.FLOAT:
            outputs = scores(self.model, self.test_pixels, Mode.FLOAT, self.bf16)
        else:
            outputs = scores(self.model, self.test_pixels, Mode.INTEGER)
        row: Row = {
            "epoch": epoch,
            "phase": mode.value,
            "learning_rate": rate,
            "train_loss": loss,
            "train_accuracy": hits,
            "test_accuracy": accuracy(outputs, self.test_labels),
            "seconds": time.perf_counter() - started,
        }
        self._store(row)
        self.progress(TrainProgress(epoch, self.options.epochs, mode.value, 0, 0, loss, row))

    def _train_epoch(self, epoch: int, mode: Mode) -> tuple[float, float, float]:
        """Mean loss, share of hits and last learning rate of one pass over the samples."""
        size = min(self.options.batch_size, len(self.pixels))
        steps = len(self.pixels) // size  # the last, smaller batch is left out
        order = torch.randperm(
            len(self.pixels), generator=seeded_generator(self.options.seed, epoch, 0, _ORDER)
        )
        self.model.train()
        set_mode(self.model, mode)
        total, hits, rate = 0.0, 0, 0.0
        for step in range(steps):
            rows = order[step * size : (step + 1) * size]
            generator = seeded_generator(self.options.seed, epoch, step, _AUGMENT)
            integers = self.options.augmentation(self.pixels[rows], generator)
            labels = self.labels[rows]
            rate = self._set_learning_rate(epoch, step, steps, mode)
            outputs = self._forward(self.model, integers, mode)
            loss = self._loss(outputs, integers, labels)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise InputError(
                    "E-TRAIN-DIVERGED",
                    f"the loss is {value} in epoch {epoch}, step {step}.",
                    "a smaller learning rate.",
                )
            total += value
            hits += int((outputs.argmax(dim=1) == labels).sum())
            self.progress(
                TrainProgress(epoch, self.options.epochs, mode.value, step + 1, steps, value)
            )
        return total / steps, hits / (steps * size), rate

    def _forward(self, model: nn.Module, integers: Tensor, mode: Mode) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16 and mode is Mode.FLOAT):
            outputs: Tensor = model(model_input(integers, mode))
        return outputs.float().flatten(1)

    def _loss(self, outputs: Tensor, integers: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(outputs, labels, label_smoothing=self.options.label_smoothing)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            lesson = self._forward(self.teacher, integers, Mode.FLOAT) / _TEMPERATURE
        taught = F.kl_div(
            F.log_softmax(outputs / _TEMPERATURE, dim=1),
            F.log_softmax(lesson, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        share = self.options.distillation
        return (1 - share) * loss + share * _TEMPERATURE**2 * taught

    def _mode(self, epoch: int) -> Mode:
        return Mode.FLOAT if epoch < self.options.float_epochs else Mode.QAT

    def _set_learning_rate(self, epoch: int, step: int, steps: int, mode: Mode) -> float:
        first = self.options.float_epochs
        if mode is Mode.FLOAT:
            share = (epoch * steps + step + 1) / (first * steps)
            rate = self.options.learning_rate * _one_cycle(share)
        else:
            share = ((epoch - first) * steps + step) / ((self.options.epochs - first) * steps)
            rate = self.options.qat_learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    # -- from float to integers --------------------------------------------------------------

    def _quantize(self) -> None:
        """Choose the exponents, keep the float network as the teacher, begin a new optimizer."""
        batches = calibration_batches(self.dataset, self.options.seed)
        calibrate(self.model, batches, self.options.exponents)
        if self.options.distillation and self.options.float_epochs:
            self.teacher = self._make_teacher()
        self.optimizer = self._new_optimizer()

    def _make_teacher(self) -> nn.Module:
        teacher = copy.deepcopy(self.model).eval()
        teacher.requires_grad_(False)
        set_mode(teacher, Mode.FLOAT)
        return teacher

    def _new_optimizer(self) -> torch.optim.Optimizer:
        parameters = list(self.model.parameters())
        groups = [
            {
                "params": [p for p in parameters if p.ndim > 1],
                "weight_decay": self.options.weight_decay,
            },
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.SGD(groups, lr=0.1, momentum=_MOMENTUM, nesterov=True)

    # -- storing and resuming ----------------------------------------------------------------

    def _store(self, row: Row) -> None:
        earlier = [r["test_accuracy"] for r in self.history if r["phase"] == Mode.QAT.value]
        history = [*self.history, row]
        content: dict[str, Any] = {
            "network": self.options.network,
            "class_names": list(self.dataset.class_names),
            "input_shape": list(self.dataset.input_shape),
            "phase": row["phase"],
            "epoch": len(history),
            "model": self.model.state_dict(),
            "history": history,
            "options": self.options.stored(),
        }
        # best.pt first: an interruption between the two files repeats the epoch and rewrites it
        if row["phase"] == Mode.QAT.value and row["test_accuracy"] > max(earlier, default=-1.0):
            save_checkpoint(self.folder.best, content)
        more = {
            "optimizer": self.optimizer.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "data": _fingerprint(self.dataset),
        }
        save_checkpoint(self.folder.last, {**content, **more})
        self.history = history
        self.folder.append(row)

    def _resume(self) -> None:
        content = load_checkpoint(self.folder.last)
        _compare("E-RESUME-OPTIONS", "option", content["options"], self.options.stored())
        _compare("E-RESUME-DATA", "data", content["data"], _fingerprint(self.dataset))
        fill(self.model, content["model"], self.folder.last)
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = list(content["history"])
        if content["teacher"] is not None:
            self.teacher = self._make_teacher()
            fill(self.teacher, content["teacher"], self.folder.last)

    def interrupted(self) -> Max78kError:
        """The error to raise after Ctrl-C."""
        done = len(self.history)
        if not done:
            return Max78kError(
                "E-TRAIN-INTERRUPTED", "stopped before the first epoch was finished."
            )
        return Max78kError(
            "E-TRAIN-INTERRUPTED",
            f"stopped after {done} of {self.options.epochs} epochs; {self.folder.last} holds them.",
            "resume the run to continue from there.",
        )

    # -- the end -----------------------------------------------------------------------------

    def finish(self) -> TrainResult:
        """Measure the best epoch's integers, compare torch with the reference, write run.json."""
        names = self.dataset.class_names
        fill(self.model, load_checkpoint(self.folder.best)["model"], self.folder.best)
        network = self._to_network()
        torch_values = scores(self.model, self.test_pixels, Mode.INTEGER).long().numpy()
        values = reference.outputs(network, network.from_pixels(self.dataset.test.inputs))
        if not np.array_equal(torch_values, values):
            raise MismatchError(
                "E-MISMATCH-TORCH",
                f"{int((torch_values != values).sum())} of {values.size} outputs differ between "
                "PyTorch and the integer reference.",
                "`max78k verify` shows the first one.",
            )
        network.save(self.folder.network)
        confusion = confusion_matrix(self.dataset.test.labels, values.argmax(1), len(names))
        phases = [r["test_accuracy"] for r in self.history if r["phase"] == Mode.FLOAT.value]
        result = TrainResult(
            folder=self.folder,
            network=network,
            accuracy=float(confusion.trace() / confusion.sum()),
            float_accuracy=phases[-1] if phases else None,
            history=self.history,
            confusion=confusion,
            class_accuracy=dict(zip(names, class_accuracy(confusion), strict=True)),
        )
        self._summarize(result)
        return result

    def _to_network(self) -> Network:
        return to_network(
            self.model,
            name=network_name(self.options.network),
            input_shape=self.dataset.input_shape,
            class_names=self.dataset.class_names,
        )

    def _summarize(self, result: TrainResult) -> None:
        self.folder.write_summary(
            {
                "kind": "train-qat",
                "dataset": {"name": self.dataset.name, **_fingerprint(self.dataset)},
                "options": self.options.stored(),
                "bf16": self.bf16,
                "metrics": {
                    "integer_accuracy": result.accuracy,
                    "float_accuracy": result.float_accuracy,
                    "class_accuracy": result.class_accuracy,
                    "confusion": result.confusion.tolist(),
                    "seconds": sum(row["seconds"] for row in self.history),
                    "weight_bytes": result.network.weight_bytes,
                },
            }
        )

    def _check_shape(self) -> None:
        wanted = input_shape(self.options.network)
        found = self.dataset.input_shape
        if wanted is not None and wanted != found:
            raise InputError(
                "E-TRAIN-SHAPE",
                f"{self.options.network} takes inputs of {wanted}, "
                f"{self.dataset.name} has {found}.",
                "choose a network for this data.",
            )


def _one_cycle(share: float) -> float:
    if share < _WARM_UP:
        return share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def _seed(*numbers: int) -> int:
    return seeded_generator(*numbers).initial_seed()


def _has_fast_bf16() -> bool:
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = [getattr(torch.cpu, name, None) for name in names]
    return any(check() for check in checks if check is not None)


def _fingerprint(dataset: Dataset) -> dict[str, int]:
    """Numbers that tell one data set from another."""
    result = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        result[f"{name}_samples"] = len(split)
        crc = zlib.crc32(np.ascontiguousarray(split.inputs).data)
        result[f"{name}_crc32"] = zlib.crc32(np.ascontiguousarray(split.labels).data, crc)
    return result


def _compare(code: str, what: str, stored: dict[str, Any], given: dict[str, Any]) -> None:
    for name in given:
        if stored.get(name) != given[name]:
            raise InputError(
                code,
                f"{what} {name} was {stored.get(name)} when the run was begun, now it is "
                f"{given[name]}.",
                "resume with the same, or begin a new run.",
            )
