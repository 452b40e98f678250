"""From a network to a C project, checked on the accelerator model before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.codegen.project import write_project
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import Placement
from max78k.flows.accelerator_runs import check_known_answer
from max78k.formats.image_npz import write_image
from max78k.network import Network, rules


@dataclass(frozen=True)
class Synthesis:
    """What came out: the Image, where everything was placed, the project's folder."""

    image: Image
    placement: Placement
    project: Path


def make_image(
    network: Network, sample: npt.NDArray[np.int8], given: Placement | None = None
) -> tuple[Image, Placement]:
    """Check the rules, place, assemble; raises RuleError with every broken rule."""
    rules.require(network)
    placement = plan(network, given)
    return assemble(network, placement, sample), placement


def synthesize(
    network: Network,
    sample: npt.NDArray[np.int8],
    folder: Path,
    *,
    given: Placement | None = None,
    overwrite: bool = False,
    image_file: Path | None = None,
) -> Synthesis:
    """Write the C project of ``network`` with ``sample`` as its known-answer test.

    Args:
        network: the integer network.
        sample: int8 [*network.input_shape].
        folder: the project's folder; made whole or not at all.
        given: parts of the placement to respect; the rest is planned.
        overwrite: replace an existing project.
        image_file: also write the Image as plain data.

    Raises:
        RuleError: the network or the given placement does not fit the chip.
        MismatchError: the accelerator model does not give the reference's output.
    """
    image, placement = make_image(network, sample, given)
    check_known_answer(image)
    project = write_project(image, folder, class_names=network.class_names, overwrite=overwrite)
    if image_file is not None:
        write_image(image, image_file)
    return Synthesis(image, placement, project)


def default_sample(network: Network, seed: int = 0) -> npt.NDArray[np.int8]:
    """A sample input where the user gives none: seeded noise over the whole int8 range."""
    generator = np.random.default_rng(seed)
    return generator.integers(-128, 128, network.input_shape, dtype=np.int8)
