"""A training run from epoch to epoch: phases, measuring, storing, resuming."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError, Max78kError, MismatchError
from max78k.network import Network, reference
from max78k.training.augment import seeded_generator
from max78k.training.base import is_plain
from max78k.training.bits import choose_bits
from max78k.training.calibrate import calibrate, calibration_batches
from max78k.training.checkpoint import (
    fill,
    fill_matching,
    float_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from max78k.training.chip_limits import require_network
from max78k.training.convert import to_network
from max78k.training.distillation import Lessons, load_teacher, own_teacher
from max78k.training.evaluate import confusion_matrix, real_scores, scores
from max78k.training.joined_norm import join_norms
from max78k.training.layers import Mode
from max78k.training.losses import LOSSES, class_weights
from max78k.training.options import (
    LEARNED,
    SELF,
    ProgressCallback,
    TrainOptions,
    TrainProgress,
)
from max78k.training.phases import phases
from max78k.training.processes import Processes, has_fast_bf16
from max78k.training.registry import build, input_shape, network_name
from max78k.training.run_folder import Row, RunFolder
from max78k.training.samples import Samples, fingerprint, tensors
from max78k.training.tensorboard import TensorBoardLog
from max78k.training.trainer import Figures, Trainer, require_finite

_DROPOUT = 3  # stream of random numbers; the others are in samples.py

State = dict[str, Tensor]


class Run:
    """State of a run between epochs; all of it is in last.pt.

    Args:
        options: of the run.
        dataset: samples to learn from and to measure with.
        processes: those that train together; each of them has a Run.
        progress: is told every step and epoch.
    """

    def __init__(
        self,
        options: TrainOptions,
        dataset: Dataset,
        processes: Processes,
        progress: ProgressCallback,
    ) -> None:
        self.options = options
        self.dataset = dataset
        self.folder = RunFolder(options.folder)
        self.history: list[Row] = []
        self._epochs_are_exact = False  # until they were compared
        self._processes = processes
        self._progress = progress
        self._device = processes.device
        self._bf16 = has_fast_bf16(self._device) if options.bf16 is None else options.bf16
        self._phase, self._phase_epoch, self._best = 0, 0, State()
        torch.manual_seed(options.seed)
        self._model = self._new_model()
        self.is_plain = is_plain(self._model)
        self._phases = phases(options, self.is_plain)
        self._samples = Samples(dataset, options, processes)
        self._weights = class_weights(options, dataset.train.counts(len(dataset.class_names)))
        self._weights = None if self._weights is None else self._weights.to(self._device)
        measuring = self._device if self._device.type == "cuda" else torch.device("cpu")
        self._test_pixels, self._test_labels, _ = tensors(dataset.test, measuring)
        if options.resume:
            self._trainer = self._resume()
        else:
            if processes.is_first:
                self.folder.require_new()
            if options.initial is not None:
                names = [Path(name.strip()) for name in options.initial.split(",")]
                fill_matching(self._model, *map(float_checkpoint, names))
            if self._phases[0].mode is Mode.QAT:
                self._quantize()
            self._trainer = self._new_trainer(self._new_lessons())
        self._log = self._open_logs()

    @property
    def is_finished(self) -> bool:
        """Whether all phases are."""
        return self._phase == len(self._phases)

    def planned(self) -> dict[str, Any]:
        """What the run will be: values that are learnt, batches, phases with epochs and steps."""
        values = sum(value.numel() for value in self._model.parameters())
        return {
            "network": network_name(self.options.network),
            "folder": str(self.folder.path),
            "values": values,
            "batch_size": self._samples.batch_size,
            "steps_per_epoch": self._samples.steps,
            "epochs": {phase.mode.value: phase.epochs for phase in self._phases},
            "epochs_done": len(self.history),
        }

    # -- one epoch ---------------------------------------------------------------------------

    def run_epoch(self) -> None:
        """Train one epoch, measure, store everything; the next phase begins where one has ended."""
        started, epoch, phase = time.perf_counter(), len(self.history), self._phases[self._phase]
        numbers = (self.options.seed, epoch, self._processes.rank, _DROPOUT)
        torch.manual_seed(seeded_generator(*numbers).initial_seed())
        figures = self._trainer.train_epoch(
            epoch, self._phase_epoch, self.options.epochs, self._progress
        )
        self._processes.agree(self._model)
        training_seconds = time.perf_counter() - started
        loss, accuracy = self._measure(self._trainer.measured, phase.mode)
        require_finite(loss, epoch, self._samples.steps - 1)
        seen = self._samples.steps * self._samples.batch_size
        row: Row = {
            "epoch": epoch,
            "phase": phase.mode.value,
            "learning_rate": figures.rate,
            "train_loss": figures.loss,
            "train_accuracy": figures.hits,
            "test_loss": loss,
            "test_accuracy": accuracy,
            "images_per_second": seen / training_seconds,
            "seconds": time.perf_counter() - started,
        }
        self._close_epoch(row)
        self._tell(row, figures)

    def _close_epoch(self, row: Row) -> None:
        """Keep what is best, decide whether the phase goes on, store."""
        options, watch = self.options, self._trainer.watch
        history = [*self.history, row]
        self._phase_epoch += 1
        phase = self._phases[self._phase]
        better = watch.see(row["test_accuracy"], options.plateau)
        # the float phase begins the next one with its last state, unless the best is asked for
        is_last = self._phase == len(self._phases) - 1
        if better or not (is_last or options.patience):
            self._best = _copied(self._trainer.measured)
        content = self._content(history)
        # best.pt first: an interruption between the two files repeats the epoch and rewrites it
        if better and is_last and self._processes.is_first:
            save_checkpoint(self.folder.best, content)
        if self._phase_epoch == phase.epochs or 0 < options.patience <= watch.since:
            self._next_phase(content)
        if self._processes.is_first:
            save_checkpoint(self.folder.last, {**content, **self._continuation()})
            self.folder.append(row)
        self.history = history

    def _tell(self, row: Row, figures: Figures) -> None:
        if self._log is not None:
            self._log.write(row)
        epochs, phase = self.options.epochs, str(row["phase"])
        self._progress(TrainProgress(row["epoch"], epochs, phase, 0, 0, figures.loss, row))

    def _measure(self, model: nn.Module, mode: Mode) -> tuple[float, float]:
        """Cross-entropy and share of hits on the test part, which the processes divide."""
        device, processes = self._test_pixels.device, self._processes
        if device != self._device:
            model = copy.deepcopy(model).to(device)
        way = Mode.FLOAT if mode is Mode.FLOAT else Mode.INTEGER
        pixels = self._test_pixels[processes.rank :: processes.count]
        labels = self._test_labels[processes.rank :: processes.count]
        tally = torch.zeros(2, dtype=torch.float64, device=device)
        if len(pixels):
            outputs = scores(model, pixels, way, self._bf16 and way is Mode.FLOAT)
            reals = real_scores(model, outputs, way)
            loss = LOSSES[self.options.loss](reals, labels, smoothing=0.0, weights=None)
            hits = (outputs.argmax(dim=1) == labels).sum()
            tally += torch.stack([loss.double() * len(pixels), hits.double()])
        total = processes.total(tally) / len(self._test_pixels)
        return float(total[0]), float(total[1])

    # -- phases ------------------------------------------------------------------------------

    def _next_phase(self, content: dict[str, Any]) -> None:
        """From the best (or last) state of one phase to the start of the next.

        ``content``: of a checkpoint.
        """
        self._phase, self._phase_epoch = self._phase + 1, 0
        if self.is_finished:
            return
        self._model.load_state_dict(self._best)
        if self._processes.is_first:
            save_checkpoint(self.folder.float, {**content, "model": self._best})
        teacher = own_teacher(self._model)
        lessons = self._new_lessons(teacher)
        self._quantize()
        self._trainer = self._new_trainer(lessons)

    def _quantize(self) -> None:
        """Choose widths and exponents, on the CPU."""
        self._model.cpu()
        batches = calibration_batches(self.dataset, self.options.seed)
        choose_bits(
            self._model,
            self.options.weight_bits,
            budget=self.options.budget,
            input_shape=self.dataset.input_shape,
            batches=batches,
        )
        rule = self.options.exponents
        calibrate(self._model, batches, "mse" if rule == LEARNED else rule)
        self._model.to(self._device)

    def _new_lessons(self, own: nn.Module | None = None) -> Lessons | None:
        """What is taught in this phase; ``own``: the float network, in the second one."""
        options = self.options
        if not (options.distillation or options.feature_distillation):
            return None
        if options.teacher_flip and len(self.dataset.input_shape) != 3:
            raise InputError(
                "E-TEACHER-FLIP",
                f"inputs of {self.dataset.input_shape} are no pictures that could be mirrored.",
                "leave --teacher-flip away.",
            )
        if options.teacher == SELF:
            return None if own is None else Lessons(own, options)
        teacher = load_teacher(options, self.dataset.class_names, self.dataset.input_shape)
        return Lessons(self._placed(teacher), options)

    def _new_trainer(self, lessons: Lessons | None) -> Trainer:
        return Trainer(
            self._model,
            self._phases[min(self._phase, len(self._phases) - 1)],
            self._samples,
            self.options,
            self._processes,
            weights=self._weights,
            lessons=lessons,
            bf16=self._bf16,
        )

    # -- the model ---------------------------------------------------------------------------

    def _new_model(self) -> nn.Module:
        options, dataset = self.options, self.dataset
        wanted, found = input_shape(options.network), dataset.input_shape
        if wanted is not None and wanted != found:
            raise InputError(
                "E-TRAIN-SHAPE",
                f"{options.network} takes inputs of {wanted}, {dataset.name} has {found}.",
                "choose a network for this data.",
            )
        arguments, classes = options.network_arguments, len(dataset.class_names)
        model = build(options.network, classes, found, arguments=arguments)
        if not is_plain(model):
            require_network(self._to_network(model))  # what the chip cannot run is not trained
        if self._processes.count > 1:
            join_norms(model)
        return self._placed(model)

    def _placed(self, model: nn.Module) -> nn.Module:
        """On the training device, in the layout that convolutions are fastest with."""
        if len(self.dataset.input_shape) == 3:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.to(self._device)

    def _to_network(self, model: nn.Module) -> Network:
        return to_network(
            model,
            name=network_name(self.options.network),
            input_shape=self.dataset.input_shape,
            class_names=self.dataset.class_names,
            notes=self.dataset.notes,
        )

    # -- storing and resuming ----------------------------------------------------------------

    def _content(self, history: list[Row]) -> dict[str, Any]:
        """What every checkpoint holds."""
        return {
            "network": self.options.network,
            "class_names": list(self.dataset.class_names),
            "input_shape": list(self.dataset.input_shape),
            "notes": dict(self.dataset.notes),
            "phase": history[-1]["phase"],
            "epoch": len(history),
            "model": _copied(self._trainer.measured),
            "history": history,
            "options": self.options.stored(),
        }

    def _continuation(self) -> dict[str, Any]:
        """What last.pt holds besides."""
        training = {
            "phase": self._phase,
            "phase_epoch": self._phase_epoch,
            "best": self._best,
            "trainer": None if self.is_finished else self._trainer.stored(),
        }
        return {"training": training, "data": fingerprint(self.dataset)}

    def _resume(self) -> Trainer:
        content = load_checkpoint(self.folder.last) if self._processes.is_first else None
        content = self._processes.share(content)
        _compare("E-RESUME-OPTIONS", "option", content["options"], self.options.stored())
        _compare("E-RESUME-DATA", "data", content["data"], fingerprint(self.dataset))
        training = content["training"]
        self.history = list(content["history"])
        self._best = training["best"]
        self._phase, self._phase_epoch = training["phase"], training["phase_epoch"]
        stored = training["trainer"]
        if stored is None:  # finished: only the result is measured again
            return self._new_trainer(None)
        fill(self._model, stored["model"], self.folder.last)
        own = own_teacher(self._model) if self._phase else None
        trainer = self._new_trainer(self._new_lessons(own))
        trainer.restore(stored)
        return trainer

    def _open_logs(self) -> TensorBoardLog | None:
        if not self._processes.is_first:
            return None
        self.folder.begin(self.history)
        if not self.options.tensorboard:
            return None
        return TensorBoardLog(self.folder.tensorboard, len(self.history))

    def close(self) -> None:
        """End the logs."""
        if self._log is not None:
            self._log.close()

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

    def measure_best(self) -> tuple[Network | None, npt.NDArray[np.int64]]:
        """Integers of the best epoch and their confusion matrix; torch must equal the reference.

        Measured on the CPU, where float arithmetic on integers is exact. A plain network has no
        integers, and is measured as the epochs were.
        """
        if self.is_plain:
            fill(self._model, self._best, self.folder.last)
            reals = scores(self._model, self._test_pixels, Mode.FLOAT, self._bf16)
            found, labels = reals.argmax(1).cpu().numpy(), self.dataset.test.labels
            return None, confusion_matrix(labels, found, len(self.dataset.class_names))
        model = self._model.cpu()
        fill(model, self._best, self.folder.last)
        network, test = self._to_network(model), self.dataset.test
        pixels = torch.from_numpy(test.inputs)
        torch_values = scores(model, pixels, Mode.INTEGER).long().numpy()
        values = reference.outputs(network, network.from_pixels(test.inputs))
        self._epochs_are_exact = self._is_exact(model, torch_values)
        if not np.array_equal(torch_values, values):
            raise MismatchError(
                "E-MISMATCH-TORCH",
                f"{int((torch_values != values).sum())} of {values.size} outputs differ between "
                "PyTorch and the integer reference.",
                "`max78k verify` shows the first one.",
            )
        if self._processes.is_first:
            network.save(self.folder.network)
        return network, confusion_matrix(
            test.labels, values.argmax(1), len(self.dataset.class_names)
        )

    def _is_exact(self, model: nn.Module, wanted: npt.NDArray[np.int64]) -> bool:
        """Whether the device that measured the epochs gives the integers of the CPU."""
        if self._test_pixels.device.type == "cpu":
            return True
        there = copy.deepcopy(model).to(self._test_pixels.device)
        found = scores(there, self._test_pixels, Mode.INTEGER).cpu().long().numpy()
        return bool(np.array_equal(found, wanted))

    def write_summary(self, metrics: dict[str, Any]) -> None:
        """Write run.json."""
        if not self._processes.is_first:
            return
        self.folder.write_summary(
            {
                "kind": "train-qat",
                "dataset": {"name": self.dataset.name, **fingerprint(self.dataset)},
                "options": self.options.stored(),
                "bf16": self._bf16,
                "processes": self._processes.count,
                "epochs_measured_on": str(self._test_pixels.device),
                "epochs_measured": "exact" if self._epochs_are_exact else "inexact",
                "metrics": metrics,
            }
        )


def _copied(model: nn.Module) -> State:
    """Numbers of their own, on the CPU: a state dict alone changes with the model."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _compare(code: str, what: str, stored: dict[str, Any], given: dict[str, Any]) -> None:
    for name in given:
        if stored.get(name) != given[name]:
            raise InputError(
                code,
                f"{what} {name} was {stored.get(name)} when the run was begun, now it is "
                f"{given[name]}.",
                "resume with the same, or begin a new run.",
            )
