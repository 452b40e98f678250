"""A network's firmware, ready to boot: synthesize, build, and where the parts are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.codegen.build import BuildResult, build
from max78k.compiler.placement import Placement
from max78k.flows.models import load_model
from max78k.flows.synthesis import Synthesis, default_sample, synthesize
from max78k.host.session import SIM
from max78k.host.state import virtual_flash
from max78k.network import Network

SHIPPED = "fer7"  # what an empty virtual board runs


@dataclass(frozen=True)
class Firmware:
    """A built project."""

    synthesis: Synthesis
    build: BuildResult


def make_firmware(
    network: Network,
    folder: Path,
    *,
    sample: npt.NDArray[np.int8] | None = None,
    given: Placement | None = None,
) -> Firmware:
    """Synthesize ``network`` into ``folder`` (replacing a project there) and compile it."""
    if sample is None:
        sample = default_sample(network)
    synthesis = synthesize(network, sample, folder, given=given, overwrite=True)
    return Firmware(synthesis, build(synthesis.project))


@contextmanager
def booted(
    ports: Sequence[str],
    elf: Path | None,
    model: str | None,
    announce: Callable[[str], None] = lambda text: None,
) -> Iterator[Path | None]:
    """What ``--port sim`` boots: ``elf``, or what was flashed (None), or firmware made now.

    Args:
        ports: that are asked for.
        elf: chosen by the user.
        model: whose firmware is made where nothing was flashed; None is the shipped ``fer7``.
        announce: is told that it is made.
    """
    if elf is not None or SIM not in ports or virtual_flash().is_file():
        yield elf
        return
    loaded = load_model(model or SHIPPED)
    announce(f"nothing is flashed: the virtual board gets the firmware of {loaded.network.name}")
    with tempfile.TemporaryDirectory(prefix="max78k-") as scratch:
        yield make_firmware(
            loaded.network, Path(scratch) / "firmware", given=loaded.given
        ).build.elf
