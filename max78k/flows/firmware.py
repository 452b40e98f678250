"""A network's firmware, ready to boot: synthesize, build, and where the parts are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.codegen.build import BuildResult, build
from max78k.compiler.placement import Placement
from max78k.flows.synthesis import Synthesis, default_sample, synthesize
from max78k.network import Network


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
