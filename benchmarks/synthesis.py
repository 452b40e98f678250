"""Processor time and memory of ``max78k synthesize``, against the vendor's synthesizer.

A whole process is measured: start, imports, YAML, rules, placement, the known answer on the
register-level accelerator model, and the C project for the vendor's SDK. The networks are those of
the corpus of recorded cases, with the placement that their YAML gives; their weights are brought
into the form that the verb reads (``network.npz``, and ``network.onnx``) outside the measured run.
A network that the corpus does not have is left out with a line; the shipped one always runs.

The vendor's figures were measured once on a machine with two cores and are repeated here. Of each
about 1.6 s are imports; the time that ``import torch`` takes is printed to tell how this machine
compares. Run:

    python benchmarks/synthesis.py [--corpus ../shared/golden] [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from timing import Usage, max78k, process_usage

ROOT = Path(__file__).resolve().parents[1]
TARGET, MOST_MIB = 5.0, 200.0


@dataclass(frozen=True)
class Case:
    """A recorded network with the vendor's CPU seconds and peak MiB, its log included."""

    name: str
    seconds: float
    mib: int
    options: tuple[str, ...] = ()


CASES = (
    Case("n-mnist", 2.4, 277, ("--softmax",)),
    Case("n-kws20_v3", 3.1, 283, ("--softmax",)),
    Case("n-cifar-10", 4.5, 290, ("--softmax",)),
    Case("n-camvid_unet", 10.7, 308, ("--max-checklines", "8192")),
    Case("n-facedet_tinierssd", 11.3, 327, ("--fifo",)),
)


def prepare(folder: Path, scratch: Path) -> None:
    """Write the recorded network and its sample in the forms that the verb reads."""
    import numpy as np

    sys.path.insert(0, str(ROOT / "tools"))
    from golden_recorded import Recorded

    from max78k.formats.onnx_export import export_onnx

    case = Recorded(folder)
    network, _ = case.network()
    network.save(scratch / "network.npz")
    export_onnx(network, scratch / "network.onnx")
    np.save(scratch / "sample.npy", case.sample)


def measured(command: list[str], rounds: int, environment: dict[str, str]) -> Usage:
    """The best of ``rounds`` runs, after one that compiles Python's files and looks for torch."""
    first = process_usage([command[0], "-X", "importtime", *command[1:]], environment)
    if re.search(r"\|\s+torch$", first.errors, re.MULTILINE):
        raise SystemExit("torch was imported")
    runs = [process_usage(command, environment) for _ in range(rounds)]
    return min(runs, key=lambda run: run.seconds)


def show(name: str, usage: Usage, case: Case | None = None) -> bool:
    """Print one row; True if the targets are met."""
    text = f"{name:34}{usage.seconds:7.2f} s{usage.mib:6.0f} MiB"
    if case is None:
        print(text)
        return usage.mib < MOST_MIB
    ratio = case.seconds / usage.seconds
    print(f"{text}   vendor{case.seconds:6.1f} s{case.mib:5} MiB   ratio{ratio:6.1f}")
    return ratio >= TARGET and usage.mib < MOST_MIB


def main() -> None:
    """Measure and print; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "golden")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(scratch / "cache")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as where the package is installed

        def run(*arguments: str) -> Usage:
            project = str(scratch / "project")
            command = max78k("synthesize", *arguments, "--out", project, "--overwrite")
            return measured(command, options.rounds, environment)

        print(f"{'network':34}    CPU      peak")
        met &= show("fer7 (shipped)", run("fer7", "--style", "msdk", "--timer", "0"))
        for case in CASES:
            recorded = options.corpus / case.name
            if not (recorded / "weights.npz").is_file():
                print(f"{case.name:34}left out: {options.corpus} does not have it")
                continue
            # In a process of its own: a child's peak begins with the memory of its parent.
            writer = multiprocessing.get_context("spawn").Process(
                target=prepare, args=(recorded, scratch)
            )
            writer.start()
            writer.join()
            for suffix in ("npz", "onnx"):
                arguments = (
                    str(scratch / f"network.{suffix}"),
                    *("--config-file", str(recorded / "network.yaml")),
                    *("--sample-input", str(scratch / "sample.npy")),
                    *("--style", "msdk", "--timer", "0", *case.options),
                )
                name = f"{case.name} from .{suffix}"
                try:
                    met &= show(name, run(*arguments), case)
                except subprocess.CalledProcessError as error:
                    print(f"{name:34}failed: {error.stderr.splitlines()[-1]}")
                    met = False
        if importlib.util.find_spec("torch"):
            for name in ("numpy", "torch"):
                command = [sys.executable, "-c", f"import {name}"]
                process_usage(command, environment)
                show(f"for comparison: import {name}", process_usage(command, environment))
    print(
        f"targets ({TARGET:g} times less CPU, below {MOST_MIB:g} MiB): {'met' if met else 'MISSED'}"
    )
    sys.exit(not met)


if __name__ == "__main__":
    main()
