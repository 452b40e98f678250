"""Float networks of others beside what the chip runs of them, trained under one protocol.

Each original (networks/references) and its twin (networks) learn from the same pictures of FER-2013
with the same options for the same number of epochs, of which the twin's last third is quantization-
aware; the best of the epochs that end a run counts, on PublicTest. Runs that are there are not
repeated, so that a stopped comparison goes on; another protocol needs another folder.

    python benchmarks/originals_and_twins.py --data fer2013.npz [--epochs 6] [--limit 4000]
        [--only emotion4 fer28] [--out runs/originals-and-twins]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from max78k.datasets.class_maps import map_classes, read_class_map
from max78k.datasets.dataset import Dataset
from max78k.datasets.load import load
from max78k.training.fit import train
from max78k.training.options import TrainOptions
from max78k.training.run_folder import RunFolder

_TWIN_OF = {"fer_cnn28": "fer28"}  # where the names differ
_TWINLESS = ("fer_resnet",)


@dataclass(frozen=True)
class Original:
    """A reference network, and the data that it is for."""

    name: str
    classes: str = "fer7"
    side: int | None = None
    depth: int | None = None  # of the ResNets

    @property
    def folder(self) -> str:
        """Where its run is."""
        return f"{self.name}{self.depth or ''}"

    @property
    def twin(self) -> str | None:
        """Name of the network for the chip."""
        return None if self.name in _TWINLESS else _TWIN_OF.get(self.name, self.name)


ORIGINALS = (
    Original("emotion4", "happy4"),
    Original("emotorch", "calm4"),
    Original("fer28", side=28),
    Original("emotorch_baseline", "calm4"),
    Original("fer_deep"),
    Original("fer_cnn48"),
    Original("fer_cnn28", side=28),
    Original("fer_resnet", depth=18),
    Original("fer_resnet", depth=50),
)


def data_for(original: Original, spec: str, limit: int | None) -> Dataset:
    """The data with the original's classes and size; ``limit`` samples to learn from."""
    dataset, _ = map_classes(load(spec, side=original.side), read_class_map(original.classes))
    if limit is None:
        return dataset
    return dataset.with_parts({**dataset.parts(), "train": dataset.train.sample(limit, seed=0)})


def metrics(
    network: str,
    dataset: Dataset,
    folder: Path,
    arguments: argparse.Namespace,
    depth: int | None = None,
) -> Any:
    """What run.json has of a run in ``folder``, trained now if it is not there."""
    plain = network.startswith("references/")
    options = TrainOptions(
        network=network,
        folder=folder,
        resume=(folder / "last.pt").is_file(),
        epochs=arguments.epochs,
        qat_epochs=None if plain else max(1, arguments.epochs // 3),
        batch_size=64,
        optimizer="adamw",
        learning_rate=1e-3,
        qat_learning_rate=2e-4,
        weight_decay=0.01,
        network_arguments={"side": 48, "depth": depth} if depth else {},
    )
    summary = RunFolder(folder).path / "run.json"
    if not summary.is_file():
        train(options, dataset, progress=lambda state: state.row and print(state.row, flush=True))
    return json.loads(summary.read_text())["metrics"]


def line(original: Original, arguments: argparse.Namespace) -> str:
    """A row of the table."""
    dataset = data_for(original, arguments.data, arguments.limit)
    reference = f"references/{original.name}"
    folder = arguments.out / original.folder
    found = metrics(reference, dataset, folder / "original", arguments, original.depth)
    first = found["float_accuracy"]
    cells = [f"`{original.folder}`", f"{len(dataset.train):,}", f"{first:.1%}"]
    if original.twin is None:
        return f"| {' | '.join(cells)} | | | |"
    if original.twin != original.name:
        folder = arguments.out / original.twin
    found = metrics(original.twin, dataset, folder / "twin", arguments)
    cells += [
        f"{found['float_accuracy']:.1%}",
        f"**{found['integer_accuracy']:.1%}**",
        f"{100 * (found['integer_accuracy'] - first):+.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train what is not there, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, help="samples to learn from; default: all")
    parser.add_argument("--only", nargs="*", default=[one.name for one in ORIGINALS])
    parser.add_argument("--out", type=Path, default=Path("runs/originals-and-twins"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [line(one, arguments) for one in ORIGINALS if one.name in arguments.only]
    print("| network | pictures | original | twin, float | twin, integers | difference |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
