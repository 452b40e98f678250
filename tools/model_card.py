"""Measure the figures of a model card and write them into its table.

    python tools/model_card.py docs/models/fer7.md fer7 --data fer2013.npz [--only board]

The card's table has a column headed with the model's name in backquotes. Rows that are measured
here are replaced, or added at the table's end; others, such as what the data are, stay as they
stand. Accuracies are of the integer reference on the part that ``max78k evaluate`` judges. Some
samples of it (``--board N``), those that ``evaluate --limit N`` takes, are also run by the model's
firmware on the virtual board and compared value by value.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from max78k.chip import limits
from max78k.datasets.corruptions import CORRUPTIONS
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.files import write_text
from max78k.flows import firmware
from max78k.flows.cost import cost
from max78k.flows.evaluation import Evaluation, evaluate, judged_part
from max78k.flows.levels import open_level
from max78k.flows.models import Model, load_model
from max78k.host.energy import estimate_energy
from max78k.host.messages import BAUD_RATES
from max78k.host.session import SIM, connect
from max78k.network import reference
from max78k.report.tables import percent

GROUPS = ("chip", "integers", "board")
Rows = dict[str, str]  # a row's first cell, and the model's cell


def measured(model: Model, dataset: Dataset, groups: Sequence[str], board: int) -> Rows:
    """The rows of ``groups`` (GROUPS)."""
    rows: Rows = {}
    split = judged_part(dataset.named_like(model.network.class_names), None)[1]
    if "chip" in groups:
        rows |= _on_chip(model)
    if "integers" in groups:
        learnt = f"{len(dataset.train):,} and {len(split):,}"
        rows["pictures of the train part, of the judged one"] = learnt
        with open_level(model, "integer") as answer:
            rows |= _integers(
                evaluate(dataset, answer, level="integer", flip=True, robustness=True)
            )
    if "board" in groups:
        rows |= _on_board(model, split.sample(board, 0))
    return rows


def _on_chip(model: Model) -> Rows:
    price = cost(model.network, model.given)
    biases = sum(price.usage.bias_bytes)
    clock = limits.CNN_CLOCK_HZ // 1_000_000
    return {
        "weights, biases": f"{model.network.weight_bytes:,} and {biases:,} bytes",
        "cycles, time (model of the accelerator)": f"{price.total_cycles:,} at {clock} MHz, "
        f"{price.microseconds / 1000:.2f} ms",
    }


def _integers(result: Evaluation) -> Rows:
    right, f1 = percent(result.scores.accuracy, 2), percent(result.scores.macro[2])
    rows = {"**integers**": f"**{right}**, macro F1 {f1}"}
    for what, share in (
        ("also stand in the train part", result.accuracy_without_repeats),
        ("repeat another, there or here", result.accuracy_without_any_repeats),
    ):
        if share is not None:
            rows[f"... without pictures that {what}"] = percent(share, 2)
    if result.flip_accuracy is not None:
        rows["... averaged with the mirrored picture"] = percent(result.flip_accuracy, 2)
    for kind, label in (("noise", "noise of"), ("occlusion", "a black square with sides of")):
        chosen = {name: one.amount for name, one in CORRUPTIONS.items() if one.kind == kind}
        amounts = ", ".join(f"{amount:g}" for amount in chosen.values())
        shares = ", ".join(f"{100 * result.robustness[name]:.1f}" for name in chosen)
        rows[f"... with {label} {amounts}"] = f"{shares} %"
    return rows


def _on_board(model: Model, split: Split) -> Rows:
    """The virtual board's answers beside the integers', its times, and the firmware's size."""
    network = model.network
    inputs = network.from_pixels(split.inputs)
    expected = reference.outputs(network, inputs).reshape(len(split), -1)
    with tempfile.TemporaryDirectory(prefix="max78k-") as scratch:
        made = firmware.make_firmware(network, Path(scratch) / "firmware", given=model.given)
        with connect(SIM, elf=made.build.elf, highest_baud=BAUD_RATES[-1]) as device:
            results = [device.infer(one) for one in inputs]
    scores = np.array([one.scores for one in results])
    right, same = (
        float((values.argmax(axis=1) == split.labels).mean()) for values in (scores, expected)
    )
    run = np.mean([one.inference_us for one in results]) / 1000
    rest = np.mean([one.load_us + one.unload_us + one.post_us for one in results]) / 1000
    energy = estimate_energy(float(run), float(rest))
    size, different = made.build, int((scores != expected).sum())
    return {
        "**virtual board**": f"{percent(right, 2)} of {len(split):,} of them (seed 0), the "
        f"integers {percent(same, 2)}; {different:,} of {scores.size:,} values differ",
        "... from input to answer, by its timer": f"{run + rest:.2f} ms",
        "energy of an inference, an estimate": f"{energy.mj:.3f} mJ "
        f"({energy.low_mj:.3f} to {energy.high_mj:.3f})",
        "firmware: flash, RAM without stack": f"{size.text_bytes + size.data_bytes:,} and "
        f"{size.data_bytes + size.bss_bytes:,} bytes",
    }


def written(card: str, name: str, rows: Rows) -> str:
    """The card with the rows in the column of model ``name``.

    Raises InputError ``E-CARD-TABLE`` if the card has no such column.
    """
    lines = card.split("\n")
    heads = [n for n, text in enumerate(lines) if text.startswith("|") and f"`{name}`" in text]
    if not heads:
        raise InputError(
            "E-CARD-TABLE", f"the card has no table with a column `{name}`.", f"| | `{name}` |"
        )
    column = _cells(lines[heads[0]]).index(f"`{name}`")
    width = len(_cells(lines[heads[0]]))
    end = next(n for n in range(heads[0], len(lines)) if not lines[n].startswith("|"))
    table = {_cells(text)[0]: _cells(text) for text in lines[heads[0] + 2 : end]}
    for label, value in rows.items():
        table.setdefault(label, [label] + [""] * (width - 1))[column] = value
    body = [f"| {' | '.join(cells)} |" for cells in table.values()]
    return "\n".join([*lines[: heads[0] + 2], *body, *lines[end:]])


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def main(given: list[str] | None = None) -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("card", type=Path)
    parser.add_argument("model", help="shipped name, or model folder")
    parser.add_argument("--data", required=True)
    parser.add_argument("--board", type=int, default=300, help="samples for the virtual board")
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=GROUPS, help="what to measure")
    arguments = parser.parse_args(given)
    model = load_model(arguments.model)
    dataset = load(arguments.data, input_shape=model.network.picture_shape, need=())
    rows = measured(model, dataset, arguments.only, arguments.board)
    write_text(arguments.card, written(arguments.card.read_text(), model.network.name, rows))
    for label, value in rows.items():
        print(f"{label}: {value}")


if __name__ == "__main__":
    main()
