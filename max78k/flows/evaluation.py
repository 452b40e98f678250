"""A model's answers on a data set, at any level of the chain, and what they are worth."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from max78k.datasets.corruptions import CORRUPTIONS
from max78k.datasets.dataset import ALL, Dataset, Split, Uint8Array
from max78k.errors import InputError, LinkError
from max78k.flows.models import Model
from max78k.network import reference
from max78k.report.metrics import Scores, scores

if TYPE_CHECKING:
    from max78k.training.checkpoint import TrainedModel

Level = Literal["float", "integer", "accelerator", "board"]
LEVELS: tuple[Level, ...] = ("float", "integer", "accelerator", "board")
TOP_CONFUSIONS = 10
_BATCH = 256

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Answer = Callable[[Uint8Array], FloatArray]
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class Judged:
    """A network that is judged, whatever its numbers are: what it reads and says.

    Attributes:
        name: of the network.
        class_names: of its outputs.
        input_shape: of a sample, as data hold it.
        output_step: value of one unit of an integer output, for the softmax.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    output_step: float = 1.0

    @staticmethod
    def of_model(model: Model) -> Judged:
        """An integer network."""
        network = model.network
        return Judged(network.name, network.class_names, network.picture_shape, network.output_step)

    @staticmethod
    def of_run(run: Path, network_class: str | None) -> Judged:
        """A float network that has no integers, in a run folder; arguments as open_level's."""
        found = _trained(run, network_class)
        return Judged(found.name, found.class_names, found.input_shape)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Answers of one level on one part of a data set.

    Attributes:
        data: name of the data set.
        part: "train", "test", "final" or "all".
        level: see LEVELS.
        class_names: of the outputs.
        split: the samples.
        outputs: float64 [N, classes]; integers at every level but "float".
        output_step: value of one unit of an output, for the softmax.
        seconds: host time for all samples (at "board" with the serial link).
        repeats: bool [N], samples that also stand pixel for pixel in the train part; None where
            there is no other part to compare with.
        flip_outputs: outputs averaged with those of the mirrored pictures, where asked for.
        robustness: share of right answers by kind of corruption, where asked for.
    """

    data: str
    part: str
    level: Level
    class_names: tuple[str, ...]
    split: Split
    outputs: FloatArray
    output_step: float
    seconds: float
    repeats: BoolArray | None = None
    flip_outputs: FloatArray | None = None
    robustness: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Class numbers, int64 [N]; of equal outputs the first, as the firmware takes it."""
        return np.asarray(self.outputs.argmax(axis=1), np.int64)

    @cached_property
    def shares(self) -> FloatArray:
        """Softmax of the outputs, float64 [N, classes]."""
        return softmax(self.outputs * self.output_step)

    @cached_property
    def scores(self) -> Scores:
        """Accuracy, precision, recall, F1 and the confusion matrix."""
        return scores(self.split.labels, self.predictions, len(self.class_names))

    @property
    def wrong(self) -> npt.NDArray[np.int64]:
        """Rows of wrong answers, the most confident first."""
        rows = np.flatnonzero(self.predictions != self.split.labels)
        return rows[np.argsort(-self.shares[rows, self.predictions[rows]], kind="stable")]

    @property
    def accuracy_without_repeats(self) -> float | None:
        """Share of right answers on pictures that training has not seen; None if unknown."""
        if self.repeats is None or not self.repeats.any() or self.repeats.all():
            return None
        right = self.predictions == self.split.labels
        return float(right[~self.repeats].mean())

    @property
    def flip_accuracy(self) -> float | None:
        """Share of right answers of a picture and its mirror together; None if not asked for."""
        if self.flip_outputs is None:
            return None
        return float((self.flip_outputs.argmax(axis=1) == self.split.labels).mean())

    def top_confusions(self, count: int = TOP_CONFUSIONS) -> list[tuple[str, str, int]]:
        """True class, answer and number of the most frequent mistakes."""
        mistakes = self.scores.confusion.copy()
        np.fill_diagonal(mistakes, 0)
        order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
        pairs = (divmod(int(cell), len(self.class_names)) for cell in order)
        return [
            (self.class_names[true], self.class_names[answer], int(mistakes[true, answer]))
            for true, answer in pairs
            if mistakes[true, answer]
        ]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain data; shares are 0 ... 1, the matrix has the true class by row."""
        result = self.scores
        by_class = {
            name: {
                "precision": float(result.precision[n]),
                "recall": float(result.recall[n]),
                "f1": float(result.f1[n]),
                "samples": int(result.support[n]),
            }
            for n, name in enumerate(self.class_names)
        }
        return {
            "data": self.data,
            "part": self.part,
            "level": self.level,
            "n": len(self.split),
            "accuracy": result.accuracy,
            "macro_precision": result.macro[0],
            "macro_recall": result.macro[1],
            "macro_f1": result.macro[2],
            "weighted_f1": result.weighted[2],
            "accuracy_without_repeats": self.accuracy_without_repeats,
            "repeats": None if self.repeats is None else int(self.repeats.sum()),
            "flip_accuracy": self.flip_accuracy,
            "class_names": list(self.class_names),
            "classes": by_class,
            "confusion": result.confusion.tolist(),
            "top_confusions": [list(mistake) for mistake in self.top_confusions()],
            "robustness": dict(self.robustness),
            "seconds_per_sample": self.seconds / len(self.split),
        }


def softmax(values: FloatArray) -> FloatArray:
    """Shares of each row [N, classes] that sum to 1."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def evaluate(
    judged: Judged,
    dataset: Dataset,
    answer: Answer,
    *,
    level: Level,
    part: str | None = None,
    limit: int | None = None,
    flip: bool = False,
    robustness: bool = False,
    seed: int = 0,
    progress: Progress = lambda steps, note: None,
) -> Evaluation:
    """Ask for all answers and judge them.

    Args:
        judged: the network.
        dataset: what to ask.
        answer: see :func:`open_level`.
        level: the level of ``answer``.
        part: "train", "test", "final" or "all"; None is the test part, else the final one; all
            of data that name no parts.
        limit: at most this many samples, chosen by ``seed``.
        flip: also judge the mean of the outputs for a picture and its mirror.
        robustness: also judge the answers to spoilt pictures (CORRUPTIONS).
        seed: of the choice and of what spoils pictures.
        progress: gets the number of samples done and a note.
    """
    dataset = dataset.named_like(judged.class_names)
    part, split = judged_part(dataset, part)
    split = split if limit is None else split.sample(limit, seed)
    classes = len(dataset.class_names)
    started = time.perf_counter()
    outputs = _ask(answer, split.inputs, progress, part)
    seconds = time.perf_counter() - started
    if outputs.shape[1] != classes:
        raise InputError(
            "E-EVALUATE-CLASSES",
            f"{judged.name} has {outputs.shape[1]} outputs, {dataset.name} has {classes} classes.",
            "`max78k data convert --classes` maps classes.",
        )
    mirrored = (
        outputs + _ask(answer, split.inputs[..., ::-1], progress, "mirrored") if flip else None
    )
    robust = {}
    if robustness:
        _require_pictures(split)
        for name, spoil in CORRUPTIONS.items():
            spoilt = _ask(answer, spoil(split.inputs, seed), progress, name)
            robust[name] = float((spoilt.argmax(axis=1) == split.labels).mean())
    seen = dataset.train if part in ("test", "final") else None
    return Evaluation(
        dataset.name, part, level, dataset.class_names, split, outputs,
        1.0 if level == "float" else judged.output_step, seconds,
        None if seen is None else repeats(split.inputs, seen.inputs), mirrored, robust,
    )  # fmt: skip


def judged_part(dataset: Dataset, part: str | None) -> tuple[str, Split]:
    """Name and samples of the part to judge; see :func:`evaluate`."""
    if part is None and not dataset.parts_named:
        part = ALL
    if part is None:
        part = next((name for name in ("test", "final") if len(dataset.parts().get(name, ()))), ALL)
    return part, dataset.part(part)


def rounds(flip: bool, robustness: bool) -> int:
    """How often :func:`evaluate` asks for each sample."""
    return 1 + flip + robustness * len(CORRUPTIONS)


def repeats(inputs: Uint8Array, seen: Uint8Array) -> BoolArray:
    """Which of ``inputs`` [N, ...] stand byte for byte among ``seen``; bool [N]."""
    known = {hashlib.sha256(one.tobytes()).digest() for one in seen}
    return np.array([hashlib.sha256(one.tobytes()).digest() in known for one in inputs], np.bool_)


@contextmanager
def open_level(
    model: Model | None,
    level: Level,
    *,
    run: Path | None = None,
    network_class: str | None = None,
    port: str = "sim",
) -> Iterator[Answer]:
    """What answers at ``level``: uint8 [N, *shape] to float64 [N, outputs].

    Args:
        model: the network; None where a run alone answers, at level "float".
        level: "float" (the run's weights before rounding, batch norm and all), "integer" (the
            reference), "accelerator" (the register-level model), "board" (firmware).
        run: training run, for "float".
        network_class: the network's Python class, where that is not a shipped one.
        port: for "board"; with "sim" the firmware is built and booted on the virtual board.
    """
    if level == "float":
        yield _float(model, run, network_class)
    elif model is None:
        raise InputError(
            "E-EVALUATE-MODEL", f"level {level} needs a model of integers.", "max78k evaluate fer7"
        )
    elif level == "board":
        with _board(model, port) as answer:
            yield answer
    else:
        yield _integer(model) if level == "integer" else _accelerator(model)


def _trained(run: Path, network_class: str | None) -> TrainedModel:
    from max78k.training.checkpoint import load_model

    return load_model(run / "best.pt" if run.is_dir() else run, network_class)


def _float(model: Model | None, run: Path | None, network_class: str | None) -> Answer:
    if run is None:
        what = "the model" if model is None else model.network.name
        raise InputError(
            "E-EVALUATE-RUN",
            f"{what} holds integers alone.",
            "--run FOLDER: the training run, which has its float weights.",
        )
    import torch

    from max78k.training import evaluate as torch_evaluate
    from max78k.training.layers import Mode

    module = _trained(run, network_class).model

    def answer(pixels: Uint8Array) -> FloatArray:
        values = torch.from_numpy(np.ascontiguousarray(pixels))
        return torch_evaluate.scores(module, values, Mode.FLOAT).double().numpy()

    return answer


def _integer(model: Model) -> Answer:
    network = model.network
    return lambda pixels: reference.outputs(network, network.from_pixels(pixels)).astype(np.float64)


def _accelerator(model: Model) -> Answer:
    from max78k.flows.accelerator_runs import run_image
    from max78k.flows.synthesis import compile_network, default_sample

    network = model.network
    image = compile_network(network, default_sample(network), placement=model.given).image
    return lambda pixels: run_image(image, network.from_pixels(pixels)).astype(np.float64)


@contextmanager
def _board(model: Model, port: str) -> Iterator[Answer]:
    from max78k.flows.firmware import make_firmware
    from max78k.host.messages import BAUD_RATES
    from max78k.host.session import SIM, connect

    network = model.network
    with tempfile.TemporaryDirectory(prefix="max78k-") as scratch:
        elf = None
        if port == SIM:
            elf = make_firmware(network, Path(scratch) / "firmware", given=model.given).build.elf
        with connect(port, elf=elf, highest_baud=BAUD_RATES[-1]) as device:
            if device.info.network_name != network.name:
                raise LinkError(
                    "E-EVALUATE-NETWORK",
                    f"the board runs network {device.info.network_name}, not {network.name}.",
                    "flash the firmware of this network.",
                )
            yield lambda pixels: np.array(
                [device.infer(one).scores for one in network.from_pixels(pixels)], np.float64
            )


def _ask(answer: Answer, pixels: Uint8Array, progress: Progress, note: str) -> FloatArray:
    rows = []
    for start in range(0, len(pixels), _BATCH):
        part = pixels[start : start + _BATCH]
        values = answer(part)
        rows.append(values.reshape(len(part), -1))
        progress(len(part), note)
    return np.concatenate(rows)


def _require_pictures(split: Split) -> None:
    if split.inputs.ndim != 4:
        raise InputError(
            "E-EVALUATE-ROBUSTNESS",
            f"samples of shape {list(split.inputs.shape[1:])} are no pictures.",
            "robustness is measured on [channels, rows, columns].",
        )
