"""Everything that ``verify`` needs beside the chain itself: files to make, a board to start."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.datasets.load import load
from max78k.errors import LinkError
from max78k.flows.models import ONNX_FILE, Model
from max78k.flows.synthesis import compile_network
from max78k.flows.truth_chain import ChainReport, Progress, TruthChain
from max78k.formats.onnx_export import export_onnx
from max78k.network import Network

if TYPE_CHECKING:
    import torch

    from max78k.host.link import Device

Connect = Callable[[Path | None], AbstractContextManager["Device"]]


def verify(
    model: Model,
    *,
    data: str,
    count: int,
    seed: int = 0,
    run_folder: Path | None = None,
    network_class: str | None = None,
    connect: Connect | None = None,
    build_firmware: bool = True,
    progress: Progress = lambda level, steps: None,
) -> ChainReport:
    """Run the whole chain.

    Args:
        model: the network; its folder's ONNX file is used where there is one.
        data: data set to take inputs from (``random`` for noise over the whole int8 range).
        count: number of inputs.
        seed: chooses them.
        run_folder: training run of this network, for the torch level.
        network_class: the network's Python class, where that is not a shipped one.
        connect: opens the board, given an ELF to boot (None for a board that has its firmware);
            None leaves the level out.
        build_firmware: build the firmware for the board level.
        progress: see :class:`TruthChain`.
    """
    network = model.network
    inputs = chain_inputs(network, data, count, seed)
    chain = TruthChain(network, inputs, progress)
    if run_folder is not None:
        chain.torch(_trained(run_folder, network_class))
    with tempfile.TemporaryDirectory(prefix="max78k-") as scratch:
        stored = None if model.folder is None else model.folder / ONNX_FILE
        if stored is None or not stored.is_file():
            stored = Path(scratch) / ONNX_FILE
            export_onnx(network, stored)
        chain.onnx(stored)
        chain.reference()
        image = compile_network(network, inputs[0], placement=model.given).image
        chain.accelerator(image)
        if connect is not None:
            elf = None
            if build_firmware:
                project = write_project(image, Path(scratch) / "firmware")
                elf = build(project).elf
            with connect(elf) as device:
                _check_board(device, network)
                chain.board(device, "virtual board" if build_firmware else "board")
    return chain.report


def chain_inputs(network: Network, data: str, count: int, seed: int) -> npt.NDArray[np.int8]:
    """``count`` inputs int8 [count, *shape] from a data set's test part, or seeded noise."""
    if data == "random":
        generator = np.random.default_rng(seed)
        return generator.integers(-128, 128, (count, *network.input_shape), dtype=np.int8)
    dataset = load(data, input_shape=network.picture_shape, seed=seed)
    return network.from_pixels(dataset.test.sample(count, seed).inputs)


def _trained(run_folder: Path, network_class: str | None) -> torch.nn.Module:
    from max78k.training.checkpoint import load_model

    path = run_folder / "best.pt" if run_folder.is_dir() else run_folder
    return load_model(path, network_class).model


def _check_board(device: Device, network: Network) -> None:
    """Another network on the board would only give a table full of differences."""
    if device.info.network_name != network.name:
        raise LinkError(
            "E-CHAIN-NETWORK",
            f"the board runs network {device.info.network_name}, not {network.name}.",
            "flash the firmware of this network.",
        )
