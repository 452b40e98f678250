"""The whole way without a board: what ``max78k demo`` does, step by step."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from max78k.codegen.build import BuildResult, build
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.load import FACES, load
from max78k.errors import InputError
from max78k.files import write_text
from max78k.flows.bench import SINGLES
from max78k.flows.bench_runs import (
    PAGE_FILE,
    ROWS_FILE,
    Circumstances,
    read_run,
    write_page,
    write_run,
)
from max78k.flows.cost import Cost, cost
from max78k.flows.evaluation import require_classes
from max78k.flows.export import export
from max78k.flows.levels import outputs_of, subject
from max78k.flows.models import ONNX_FILE, load_model
from max78k.flows.synthesis import Synthesis, synthesize
from max78k.flows.truth_chain import ChainReport, TruthChain
from max78k.host.bench import run_bench
from max78k.host.bench_result import BenchResult
from max78k.host.bench_rows import csv_log
from max78k.host.messages import BAUD_RATES
from max78k.host.session import SIM, connect
from max78k.network import Network, reference
from max78k.report.contact_sheet import draw_contact_sheet
from max78k.report.latency import draw_latency
from max78k.report.layers import draw_layers

if TYPE_CHECKING:
    from max78k.training.fit import TrainResult
    from max78k.training.options import ProgressCallback, TrainOptions

SHIPPED = "fer7"
_PICTURE = (1, 48, 48)  # of the network that the demo trains
_BATCH = 250
MARKER = "demo.json"  # a folder that holds it was made by the demo and may be replaced


@dataclass(frozen=True)
class DemoOptions:
    """Sizes of the demo.

    Attributes:
        folder: where everything goes.
        training: options of the training run; its folder is replaced by ``folder/run``. None: a
            trained network is shown.
        shipped: the name of that one.
        data: data set specification.
        chain_inputs: inputs of the truth chain.
        board_inputs: test samples that the virtual board classifies.
        seed: of the choice of inputs.
    """

    folder: Path
    training: TrainOptions | None
    shipped: str = SHIPPED
    data: str = "faces"
    chain_inputs: int = 8
    board_inputs: int = 100
    seed: int = 0


@dataclass
class DemoResult:
    """What the demo gave; accuracies are those of the test part."""

    network: Network
    data: str
    training: TrainResult | None  # None where a shipped network was shown
    integer_accuracy: float
    cost: Cost
    chain: ChainReport
    bench: BenchResult
    build: BuildResult
    reference_accuracy: float  # of the integer reference on the board's inputs
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "network": self.network.name,
            "data": self.data,
            "float_accuracy": None if self.training is None else self.training.float_accuracy,
            "integer_accuracy": self.integer_accuracy,
            "board_accuracy": self.bench.accuracy,
            "reference_accuracy_on_board_inputs": self.reference_accuracy,
            "chain": self.chain.to_json(),
            "cost": self.cost.to_json(),
            "bench": self.bench.to_json(),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


class Demo:
    """Runs the steps; ``announce`` is told each step's title before it begins."""

    def __init__(
        self,
        options: DemoOptions,
        announce: Callable[[str], None] = lambda title: None,
        train_progress: ProgressCallback | None = None,
    ) -> None:
        self.options = options
        self._announce = announce
        self._train_progress = train_progress
        self._seconds: dict[str, float] = {}
        self._folder = options.folder

    def run(self) -> DemoResult:
        """All steps; raises MismatchError or another Max78kError where one fails."""
        shipped = None
        if self.options.training is None:
            shipped = load_model(self.options.shipped).network
        self._prepare()
        with self._step(f"read the data: {self.options.data}"):
            dataset = self._read(shipped)
        network, trained, accuracy = self._network(shipped, dataset)
        with self._step("export: integers, ONNX, YAML, vendor checkpoint"):
            exported = export(network, self._folder / "model")
            price = cost(network, exported.placement)
            price.draw_memory(self._folder / "memory.png")
            draw_layers(
                self._folder / "cycles.png", {name: x.total for name, x in price.cycles.items()}
            )
        with self._step("synthesize C and check it on the accelerator model"):
            sample = network.from_pixels(dataset.test.inputs[0])
            synthesis = synthesize(network, sample, self._folder / "firmware", overwrite=True)
        with self._step("compile"):
            built = build(synthesis.project)
        with self._step("boot the virtual board, verify, bench"):
            chain, bench = self._on_board(dataset, network, trained, synthesis, built)
        same = dataset.test.take(np.arange(len(bench.rows)))
        result = DemoResult(
            network, dataset.name, trained, accuracy, price, chain, bench, built,
            _accuracy(network, same), self._seconds,
        )  # fmt: skip
        write_text(self._folder / MARKER, json.dumps(result.to_json(), indent=2) + "\n")
        return result

    def _prepare(self) -> None:
        folder = self._folder
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise InputError(
                "E-DEMO-FOLDER", f"{folder} holds files that the demo did not make.",
                "another folder with --out.",
            )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        write_text(folder / MARKER, "{}\n")

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self._announce(title)
        started = time.perf_counter()
        yield
        self._seconds[title] = time.perf_counter() - started

    def _read(self, shipped: Network | None) -> Dataset:
        shape = _PICTURE if shipped is None else shipped.picture_shape
        dataset = load(self.options.data, input_shape=shape, seed=self.options.seed)
        if shipped is not None:
            dataset = dataset.named_like(shipped.class_names)
            require_classes([dataset], subject(shipped), outputs_of(shipped))
        part = dataset.train.sample(63, self.options.seed)
        draw_contact_sheet(
            self._folder / "faces.png",
            part.inputs,
            part.labels.tolist(),
            dataset.class_names,
            columns=9,
            title="Drawn faces" if self.options.data.startswith(FACES) else dataset.name,
        )
        return dataset

    def _network(
        self, shipped: Network | None, dataset: Dataset
    ) -> tuple[Network, TrainResult | None, float]:
        """The integers, what trained them, and their accuracy on the test part."""
        if shipped is not None:
            with self._step(f"ask {shipped.name}, as it is shipped"):
                return shipped, None, _accuracy(shipped, dataset.test)
        from max78k.training.fit import train

        assert self.options.training is not None
        with self._step("train, float then quantization-aware"):
            options = replace(self.options.training, folder=self._folder / "run")
            trained = train(options, dataset, progress=self._train_progress)
        assert trained.network is not None  # the demo's network has layers of the chip
        assert trained.accuracy is not None
        return trained.network, trained, trained.accuracy

    def _on_board(
        self,
        dataset: Dataset,
        network: Network,
        trained: TrainResult | None,
        synthesis: Synthesis,
        built: BuildResult,
    ) -> tuple[ChainReport, BenchResult]:
        inputs = network.from_pixels(dataset.test.inputs)
        chain = TruthChain(network, inputs[: self.options.chain_inputs])
        if trained is not None:
            from max78k.training import checkpoint

            chain.torch(checkpoint.load_model(trained.folder.best).model)
        chain.onnx(self._folder / "model" / ONNX_FILE)
        chain.reference()
        chain.accelerator(synthesis.image)
        with connect(SIM, elf=built.elf, highest_baud=BAUD_RATES[-1]) as device:
            chain.board(device)
            started = datetime.now(timezone.utc)
            with csv_log(self._folder / ROWS_FILE) as log:
                bench = run_bench(
                    device,
                    list(inputs[: self.options.board_inputs]),
                    labels=dataset.test.labels[: self.options.board_inputs].tolist(),
                    pipelined=True,
                    singles=SINGLES,
                    on_row=log,
                )
        bench.raise_if_interrupted()
        about = Circumstances(SIM, self.options.data, dataset.class_names, {}, started)
        write_run(self._folder, bench, about)
        write_page(self._folder / PAGE_FILE, [read_run(self._folder, network.name)])
        phases = {
            name: [getattr(row, f"{key}_us") / 1e6 for row in bench.rows]
            for name, key in (("input load", "load"), ("inference", "inference"),
                              ("unload", "unload"), ("post-processing", "post"))
        }  # fmt: skip
        draw_latency(self._folder / "latency.png", phases, "Virtual board: latency by phase")
        self._show_answers(dataset, bench)
        return chain.report, bench

    def _show_answers(self, dataset: Dataset, bench: BenchResult) -> None:
        rows = bench.rows[:36]
        draw_contact_sheet(
            self._folder / "answers.png",
            dataset.test.inputs[: len(rows)],
            dataset.test.labels[: len(rows)].tolist(),
            dataset.class_names,
            predictions=[int(row.predicted or 0) for row in rows],
            columns=9,
            title="Test faces and the virtual board's answers",
        )


def _accuracy(network: Network, split: Split) -> float:
    answers = [
        reference.outputs(network, network.from_pixels(split.inputs[start : start + _BATCH]))
        for start in range(0, len(split), _BATCH)
    ]
    return float(np.mean(np.concatenate(answers).argmax(axis=1) == split.labels))
