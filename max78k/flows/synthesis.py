"""From a network to a C project, checked on the accelerator model before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.codegen.msdk import write_msdk_project
from max78k.codegen.msdk_options import MsdkOptions
from max78k.codegen.output_places import output_places
from max78k.codegen.project import write_project
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.lowering import lower
from max78k.compiler.placement import Placement, request
from max78k.flows.accelerator_runs import check_known_answer, run_image
from max78k.formats.image_npz import write_image
from max78k.network import Network, reference, rules


@dataclass(frozen=True)
class Compiled:
    """A network with its place on the chip and every word that must be in the accelerator."""

    network: Network
    placement: Placement
    image: Image

    def run(self, inputs: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """Outputs of the register-level accelerator model.

        Args:
            inputs: int8 [N, *network.input_shape].

        Returns:
            int64 [N, values], the output channels one after another.
        """
        return run_image(self.image, inputs)

    def reference(self, inputs: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """The same from the integer reference, which is much faster."""
        return reference.outputs(self.network, inputs)

    def write_project(
        self, folder: str | Path, *, msdk: MsdkOptions | None = None, overwrite: bool = False
    ) -> Path:
        """Check the known answer on the accelerator model, then write the C project.

        Args:
            folder: the project's folder; made whole or not at all.
            msdk: write a project for the chip vendor's SDK, with these options.
            overwrite: replace an existing project.

        Raises:
            MismatchError: the accelerator model does not give the reference's output.
            InputError: the folder holds something else.
        """
        check_known_answer(self.image)
        target = Path(folder)
        if msdk is not None:
            return write_msdk_project(
                self.image, self.network, target, options=msdk, overwrite=overwrite
            )
        return write_project(
            self.image,
            target,
            class_names=self.network.class_names,
            places=output_places(self.network),
            overwrite=overwrite,
        )


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


def compile_network(
    network: Network,
    sample: npt.NDArray[np.int8] | None = None,
    *,
    placement: Placement | None = None,
) -> Compiled:
    """Place ``network`` on the chip and compute everything that must be in the accelerator.

    Where no address is given, layers that only copy are added if the chip needs them;
    ``Compiled.network`` has them.

    Args:
        network: the integer network.
        sample: int8 [*network.input_shape] for the known-answer test; seeded noise if not given.
        placement: parts of the placement to respect; the rest is planned.

    Raises:
        RuleError: the network or the given placement does not fit the chip.
    """
    placement = placement or request(network)
    if placement is None or placement.is_open:
        network = lower(network)
    image, planned = make_image(
        network, default_sample(network) if sample is None else sample, placement
    )
    return Compiled(network, planned, image)


def synthesize(
    network: Network,
    sample: npt.NDArray[np.int8],
    folder: Path,
    *,
    given: Placement | None = None,
    overwrite: bool = False,
    image_file: Path | None = None,
    msdk: MsdkOptions | None = None,
) -> Synthesis:
    """Write the C project of ``network`` with ``sample`` as its known-answer test.

    Args:
        network: the integer network.
        sample: int8 [*network.input_shape].
        folder: the project's folder; made whole or not at all.
        given: parts of the placement to respect; the rest is planned.
        overwrite: replace an existing project.
        image_file: also write the Image as plain data.
        msdk: write a project for the chip vendor's SDK, with these options.

    Raises:
        RuleError: the network or the given placement does not fit the chip.
        MismatchError: the accelerator model does not give the reference's output.
    """
    compiled = compile_network(network, sample, placement=given)
    project = compiled.write_project(folder, msdk=msdk, overwrite=overwrite)
    if image_file is not None:
        write_image(compiled.image, image_file)
    return Synthesis(compiled.image, compiled.placement, project)


def default_sample(network: Network, seed: int = 0) -> npt.NDArray[np.int8]:
    """A sample input where the user gives none: seeded noise over the whole int8 range."""
    generator = np.random.default_rng(seed)
    return generator.integers(-128, 128, network.input_shape, dtype=np.int8)
