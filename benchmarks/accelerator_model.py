"""The accelerator model: host milliseconds per inference once it is warm, on one core.

Run: python benchmarks/accelerator_model.py [CORPUS]

Without CORPUS (the folder of recorded known answers that ``tools/golden.py`` takes) only the
shipped network is measured. Times are processor time: of a whole inference over the bus with
its input and output, and of the model's run alone. The limits are those the model is held to.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from golden_recorded import Recorded

from max78k.chip import limits
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.flows import accelerator_runs
from max78k.flows.accelerator_runs import ImageRunner
from max78k.flows.models import load_model
from max78k.flows.synthesis import compile_network
from max78k.simulator.accelerator import Accelerator

ROUNDS = 15
RECORDED = (("n-kws20_v3", 10.0), ("n-camvid_unet", 1000.0))  # case and limit in milliseconds
FER_LIMIT = 20.0


_RUNS: list[float] = []  # processor seconds of each run of the model


class Timed(Accelerator):
    """The model, which notes how long its runs take."""

    def run(self) -> int:
        """Complete a started run at once."""
        begin = time.process_time()
        cycles = super().run()
        _RUNS.append(time.process_time() - begin)
        return cycles


def seconds(action: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def measure(name: str, image: Image, limit: float) -> None:
    """Print a line about one network."""
    runner = ImageRunner(image)
    _RUNS.clear()
    first = seconds(lambda: runner.infer(image.sample_input))
    whole = [seconds(lambda: runner.infer(image.sample_input)) for _ in range(ROUNDS)]
    model = statistics.median(_RUNS[1:]) * 1000
    chip = runner.cycles / limits.CNN_CLOCK_HZ * 1000
    print(
        f"{name:14} {first * 1000:8.1f} {statistics.median(whole) * 1000:8.1f} {model:8.2f} "
        f"{limit:8.0f} {chip:8.2f} {model / chip:8.1f}  {'ok' if model <= limit else 'TOO SLOW'}"
    )


def recorded(folder: Path) -> Image:
    """The image of a recorded case, as the compiler makes it."""
    case = Recorded(folder)
    network, given = case.network()
    return assemble(network, plan(network, given), case.sample)


def main() -> None:
    """Print the table."""
    accelerator_runs.Accelerator = Timed  # type: ignore[misc]
    print("milliseconds      first    whole    model    limit     chip    ratio")
    measure("fer7", compile_network(load_model("fer7").network).image, FER_LIMIT)
    for folder in map(Path, sys.argv[1:]):
        for name, limit in RECORDED:
            measure(name, recorded(folder / name), limit)


if __name__ == "__main__":
    main()
