"""From a network to a C project, checked on the accelerator model before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.codegen.camera import plan_camera
from max78k.codegen.msdk import write_msdk_project
from max78k.codegen.msdk_options import MsdkOptions
from max78k.codegen.output_places import output_places
from max78k.codegen.project import write_project
from max78k.compiler.arrange import arrange
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.compiler.placement import Placement
from max78k.flows.accelerator_runs import check_known_answer, run_image
from max78k.flows.cost import Cost, cost_of
from max78k.formats.image_npz import write_image
from max78k.network import Network, reference


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

    def cost(self) -> Cost:
        """Memories in use, and by layer: cycles, what they are spent on, MAC per cycle."""
        return cost_of(self.network, self.placement)

    def write_project(
        self,
        folder: str | Path,
        *,
        msdk: MsdkOptions | None = None,
        camera: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Check the known answer on the accelerator model, then write the C project.

        Args:
            folder: the project's folder; made whole or not at all.
            msdk: write a project for the chip vendor's SDK, with these options.
            camera: the application that needs no host, see docs/on-board-demo.md.
            overwrite: replace an existing project.

        Raises:
            MismatchError: the accelerator model does not give the reference's output.
            InputError: the folder holds something else, or the network reads no pictures.
        """
        places = output_places(self.network)
        plan = None
        if camera:
            plan = plan_camera(self.image, self.network.input_offset, self.network.fold)
        check_known_answer(self.image, places)
        target = Path(folder)
        if msdk is not None:
            return write_msdk_project(
                self.image, self.network, target, options=msdk, overwrite=overwrite
            )
        return write_project(
            self.image,
            target,
            class_names=self.network.class_names,
            places=places,
            camera=plan,
            overwrite=overwrite,
        )


@dataclass(frozen=True)
class Synthesis:
    """What came out: the network as it was placed, the Image, the project's folder."""

    network: Network
    image: Image
    placement: Placement
    project: Path


def compile_network(
    network: Network,
    sample: npt.NDArray[np.int8] | None = None,
    *,
    placement: Placement | None = None,
    seconds: float = 5.0,
) -> Compiled:
    """Place ``network`` on the chip and compute everything that must be in the accelerator.

    Where no address is given, layers that only copy are added if the chip needs them, and the
    first layers stream if data memory is too small without: ``Compiled.network`` shows it.

    Args:
        network: the integer network.
        sample: int8 [*network.input_shape] for the known-answer test; seeded noise if not given.
        placement: parts of the placement to respect; the rest is planned.
        seconds: budget of the search for a placement.

    Raises:
        RuleError: the network or the given placement does not fit the chip.
    """
    arranged, planned = arrange(network, placement, seconds)
    image = assemble(arranged, planned, default_sample(network) if sample is None else sample)
    return Compiled(arranged, planned, image)


def synthesize(
    network: Network,
    sample: npt.NDArray[np.int8],
    folder: Path,
    *,
    given: Placement | None = None,
    seconds: float = 5.0,
    overwrite: bool = False,
    image_file: Path | None = None,
    msdk: MsdkOptions | None = None,
    camera: bool = False,
) -> Synthesis:
    """Write the C project of ``network`` with ``sample`` as its known-answer test.

    Args:
        network: the integer network.
        sample: int8 [*network.input_shape].
        folder: the project's folder; made whole or not at all.
        given: parts of the placement to respect; the rest is planned.
        seconds: budget of the search for a placement.
        overwrite: replace an existing project.
        image_file: also write the Image as plain data.
        msdk: write a project for the chip vendor's SDK, with these options.
        camera: write the application that needs no host.

    Raises:
        RuleError: the network or the given placement does not fit the chip.
        MismatchError: the accelerator model does not give the reference's output.
    """
    compiled = compile_network(network, sample, placement=given, seconds=seconds)
    project = compiled.write_project(folder, msdk=msdk, camera=camera, overwrite=overwrite)
    if image_file is not None:
        write_image(compiled.image, image_file)
    return Synthesis(compiled.network, compiled.image, compiled.placement, project)


def default_sample(network: Network, seed: int = 0) -> npt.NDArray[np.int8]:
    """A sample input where the user gives none: seeded noise over the whole int8 range."""
    generator = np.random.default_rng(seed)
    return generator.integers(-128, 128, network.input_shape, dtype=np.int8)
