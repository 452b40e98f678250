"""What answers at each level of the chain: float weights, integers, accelerator model, firmware."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Uint8Array
from max78k.errors import InputError, LinkError
from max78k.flows.models import Model
from max78k.network import Network, reference

Level = Literal["float", "integer", "accelerator", "board"]
LEVELS: tuple[Level, ...] = ("float", "integer", "accelerator", "board")

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """Whose answers are asked for.

    Attributes:
        name: of the network.
        input_shape: of one sample, before a network folds it.
        class_names: of the outputs.
        output_step: value of one unit of an output; 1 for real outputs.
    """

    name: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    output_step: float = 1.0


@dataclass
class Answers:
    """Outputs for samples: uint8 [N, *shape] to float64 [N, outputs].

    Attributes:
        subject: the network.
        ask: gives the outputs, integers at every level but "float".
        board_seconds: of each inference so far, by the board's own timer: input, inference,
            outputs and what follows, without the link. Empty at other levels.
    """

    subject: Subject
    ask: Callable[[Uint8Array], npt.NDArray[np.generic]]
    board_seconds: list[float] = field(default_factory=list)

    def __call__(self, pixels: Uint8Array) -> FloatArray:
        """The outputs for ``pixels``."""
        return self.ask(pixels).reshape(len(pixels), -1).astype(np.float64)


@contextmanager
def open_level(
    model: Model | None,
    level: Level,
    *,
    run: Path | None = None,
    network_class: str | None = None,
    port: str = "sim",
) -> Iterator[Answers]:
    """What answers at ``level``.

    Args:
        model: the integer network; None at the level "float", which does not need it.
        level: "float" (the run's weights before rounding, batch norm and all), "integer" (the
            reference), "accelerator" (the register-level model), "board" (firmware).
        run: training run or checkpoint, for "float".
        network_class: the network's Python class, where that is not a shipped one.
        port: for "board"; with "sim" the firmware is built and booted on the virtual board.

    Raises:
        InputError: E-EVALUATE-RUN, E-EVALUATE-MODEL; what opening the level raises.
    """
    if level == "float":
        yield _float(run, network_class)
        return
    if run is not None or network_class is not None:
        raise InputError(
            "E-EVALUATE-RUN",
            f"a run and its network's class are for the level float, this is {level}.",
            "--level float, or leave --run and --network out.",
        )
    if model is None:
        raise InputError(
            "E-EVALUATE-MODEL", f"the level {level} needs a model.", "max78k evaluate fer7"
        )
    if level == "board":
        with _board(model, port) as answers:
            yield answers
    elif level == "integer":
        network = model.network
        yield Answers(
            subject(network), lambda pixels: reference.outputs(network, network.from_pixels(pixels))
        )
    else:
        yield _accelerator(model)


def subject(network: Network) -> Subject:
    """An integer network."""
    return Subject(
        network.name, network.picture_shape, tuple(network.class_names), network.output_step
    )


def outputs_of(network: Network) -> int:
    """Number of values that it answers."""
    sample = np.zeros((1, *network.input_shape), np.int8)
    return int(reference.outputs(network, sample).shape[1])


def _float(run: Path | None, network_class: str | None) -> Answers:
    if run is None:
        raise InputError(
            "E-EVALUATE-RUN",
            "the level float needs weights that are not rounded.",
            "--run FOLDER: the training run, which has its float weights.",
        )
    import torch

    from max78k.training import evaluate as torch_evaluate
    from max78k.training.checkpoint import float_checkpoint, load_model
    from max78k.training.layers import Mode

    trained = load_model(float_checkpoint(run), network_class)

    def ask(pixels: Uint8Array) -> npt.NDArray[np.generic]:
        values = torch.from_numpy(np.ascontiguousarray(pixels))
        outputs = torch_evaluate.scores(trained.model, values, Mode.FLOAT)
        return np.asarray(outputs.double().numpy())

    return Answers(Subject(trained.name, trained.input_shape, trained.class_names), ask)


def _accelerator(model: Model) -> Answers:
    from max78k.flows.accelerator_runs import run_image
    from max78k.flows.synthesis import compile_network, default_sample

    network = model.network
    image = compile_network(network, default_sample(network), placement=model.given).image
    return Answers(subject(network), lambda pixels: run_image(image, network.from_pixels(pixels)))


@contextmanager
def _board(model: Model, port: str) -> Iterator[Answers]:
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
            spent: list[float] = []

            def ask(pixels: Uint8Array) -> npt.NDArray[np.generic]:
                results = [device.infer(one) for one in network.from_pixels(pixels)]
                spent.extend(
                    1e-6 * (one.load_us + one.inference_us + one.unload_us + one.post_us)
                    for one in results
                )
                return np.array([one.scores for one in results])

            yield Answers(subject(network), ask, spent)
