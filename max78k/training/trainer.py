"""One phase of training: the steps of its epochs, and the state between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.training.average import Average
from max78k.training.base import is_plain
from max78k.training.distillation import Lessons, Student, new_projection
from max78k.training.dropped import dropouts_before_norms, measure_norms
from max78k.training.evaluate import model_input
from max78k.training.graph import trace
from max78k.training.integer_conv import fast_integers
from max78k.training.layers import Mode, set_mode, update_norms
from max78k.training.learned_exponents import ExponentLearner
from max78k.training.losses import LOSSES
from max78k.training.optimizers import new_optimizer, set_rate
from max78k.training.options import LEARNED, ProgressCallback, TrainOptions, TrainProgress
from max78k.training.phases import Phase
from max78k.training.processes import Processes
from max78k.training.samples import Batch, Samples
from max78k.training.schedules import Watch, factor

_NORMS_FOLLOW = 0.5  # share of the quantized phase in which batch norm follows the data
_STATISTICS = 32  # batches that statistics behind dropout are measured with
_EXPONENTS_LEARN = 0.8  # and in which learned exponents move
_CHECKED_EVERY = 32  # steps between readings of the loss on other devices than the CPU


@dataclass(frozen=True)
class Figures:
    """Of one epoch: mean loss, share of hits in the changed pictures, last learning rate."""

    loss: float
    hits: float
    rate: float


class Trainer:
    """Trains a model in one phase.

    Args:
        model: on the training device, with exponents if the phase needs them.
        phase: what is trained.
        samples: the data.
        options: of the run.
        processes: of the run.
        weights: of the classes, or None.
        lessons: a teacher's, or None.
        bf16: whether bfloat16 is used.
    """

    def __init__(
        self,
        model: nn.Module,
        phase: Phase,
        samples: Samples,
        options: TrainOptions,
        processes: Processes,
        *,
        weights: Tensor | None,
        lessons: Lessons | None,
        bf16: bool,
    ) -> None:
        self.model = model
        self.phase = phase
        self.lessons = lessons
        self.watch = Watch()
        self._learns = False
        self.average = Average(model, options.ema) if options.ema else None
        self._samples = samples
        self._options = options
        self._processes = processes
        self._weights = weights
        self._bf16 = bf16
        projection = None
        sample = torch.zeros(1, *samples.pixels.shape[1:], device=processes.device)
        set_mode(model, Mode.FLOAT)
        self._dropouts = [] if is_plain(model) else dropouts_before_norms(model, sample)
        if lessons is not None and lessons.reads_features:
            projection = new_projection(model, lessons.teacher, sample)
        self._exponents: ExponentLearner | None = None
        if phase.mode is Mode.QAT and options.exponents == LEARNED:
            self._exponents = ExponentLearner(model)
        self._student = Student(model, projection)
        self._optimizer = new_optimizer(self._student, options)
        steps = [model] if is_plain(model) else [step.module for step in trace(model)]
        used = {id(p) for step in steps for p in step.parameters()}
        self._wrapped = processes.wrap(
            self._student, all(id(p) in used for p in model.parameters())
        )

    @property
    def measured(self) -> nn.Module:
        """The model to be measured and stored: the average, where there is one."""
        return self.model if self.average is None else self.average.model

    def train_epoch(
        self, epoch: int, phase_epoch: int, epochs: int, progress: ProgressCallback
    ) -> Figures:
        """One pass over the samples.

        Args:
            epoch: number of the epoch in the run; random numbers depend on it.
            phase_epoch: its number in the phase.
            epochs: epochs of the run, for ``progress``.
            progress: is told every step.
        """
        samples, mode = self._samples, self.phase.mode
        order = samples.order(epoch)
        clean = self._options.is_clean(self.phase.first + phase_epoch)
        self.model.train()
        set_mode(self.model, mode)
        if mode is Mode.QAT:
            for dropout in self._dropouts:
                dropout.eval()
        tally = torch.zeros(2, dtype=torch.float64, device=_tally_device(self._processes.device))
        value, rate = math.nan, 0.0
        for step in range(samples.steps):
            batch = samples.batch(order, epoch, step, clean=clean)
            rate = self._set_rate(phase_epoch * samples.steps + step)
            self._settle((phase_epoch * samples.steps + step) / (self.phase.epochs * samples.steps))
            loss, outputs = self._step(batch)
            hits = (outputs.argmax(dim=1) == batch.labels).sum()
            tally += torch.stack([loss.detach().to(tally), hits.to(tally)])
            if self._is_checked(step):
                value = float(loss.detach())
                require_finite(value, epoch, step)
            progress(TrainProgress(epoch, epochs, mode.value, step + 1, samples.steps, value))
        if mode is Mode.FLOAT and self._dropouts:
            self._measure_norms(order, epoch, clean)
        total = self._processes.total(tally)
        count = samples.steps * self._processes.count
        require_finite(float(total[0]), epoch, samples.steps - 1)
        seen = samples.steps * samples.batch_size
        return Figures(float(total[0]) / count, float(total[1]) / seen, rate)

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Learn from one batch; its loss and outputs."""
        outputs, features = self._forward(batch.integers)
        loss = LOSSES[self._options.loss](
            outputs,
            batch.targets,
            smoothing=self._options.label_smoothing,
            weights=self._weights,
        )
        if self.lessons is not None:
            real = model_input(batch.integers, Mode.FLOAT)
            with torch.autocast(real.device.type, torch.bfloat16, enabled=self._bf16):
                loss = self.lessons.loss(loss, outputs, features, real)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._options.clip_norm:
            nn.utils.clip_grad_norm_(self._student.parameters(), self._options.clip_norm)
        self._optimizer.step()
        if self._learns and self._exponents is not None:
            self._exponents.step()
        if self.average is not None:
            self.average.update(self.model)
        return loss, outputs

    def _settle(self, share: float) -> None:
        """What may still move when ``share`` of the phase is done: batch norm, then exponents."""
        if self.phase.mode is not Mode.QAT:
            return
        update_norms(self.model, share < _NORMS_FOLLOW)
        self._learns = share < _EXPONENTS_LEARN
        if self._exponents is not None:
            if self._learns:
                self._exponents.apply()
            else:
                self._exponents.freeze()

    def _forward(self, integers: Tensor) -> tuple[Tensor, Tensor | None]:
        mode = self.phase.mode
        reals = torch.autocast(
            integers.device.type, torch.bfloat16, enabled=self._bf16 and mode is Mode.FLOAT
        )
        with reals, fast_integers(self._bf16 and mode is Mode.QAT):
            outputs, features = self._wrapped(model_input(integers, mode))
        return outputs.float().flatten(1), features

    def _measure_norms(self, order: Tensor, epoch: int, clean: bool) -> None:
        """Statistics without dropout, of the first batches of an epoch."""
        model, samples = self.measured, self._samples
        set_mode(model, Mode.FLOAT)
        steps = range(min(samples.steps, _STATISTICS))
        inputs = (samples.batch(order, epoch, step, clean=clean).integers for step in steps)
        with torch.autocast(self._processes.device.type, torch.bfloat16, enabled=self._bf16):
            measure_norms(model, (model_input(one, Mode.FLOAT) for one in inputs))

    def _set_rate(self, done: int) -> float:
        phase, steps = self.phase, self.phase.epochs * self._samples.steps
        share = factor(phase.schedule, done, steps, phase.warm_up, self._options, self.watch)
        rate = phase.learning_rate * share
        set_rate(self._optimizer, rate)
        return rate

    def _is_checked(self, step: int) -> bool:
        """Reading a number from another device waits for all that it has to do."""
        return self._processes.device.type == "cpu" or step % _CHECKED_EVERY == 0

    def stored(self) -> dict[str, Any]:
        """All that a later :meth:`restore` needs."""
        projection = self._student.projection
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "watch": self.watch.stored(),
            "average": None if self.average is None else self.average.stored(),
            "exponents": None if self._exponents is None else self._exponents.stored(),
            "teacher": None if self.lessons is None else self.lessons.teacher.state_dict(),
            "projection": None if projection is None else projection.detach(),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Continue from :meth:`stored`; the model is filled already."""
        self._optimizer.load_state_dict(stored["optimizer"])
        self.watch = Watch(**stored["watch"])
        if self.average is not None:
            self.average.restore(stored["average"])
        if self._exponents is not None:
            self._exponents.restore(stored["exponents"])
        if self.lessons is not None:
            self.lessons.teacher.load_state_dict(stored["teacher"])
        if self._student.projection is not None:
            with torch.no_grad():
                self._student.projection.copy_(stored["projection"])


def _tally_device(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device  # which has no float64


def require_finite(value: float, epoch: int, step: int) -> None:
    """Raise InputError ``E-TRAIN-DIVERGED`` unless the loss is a number."""
    if not math.isfinite(value):
        raise InputError(
            "E-TRAIN-DIVERGED",
            f"the loss is {value} in epoch {epoch}, step {step}.",
            "a smaller learning rate, or clip_norm.",
        )
