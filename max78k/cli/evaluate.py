"""``max78k evaluate``: accuracy and confusion matrix on a data set, in integers."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.options import data_option, seed_option
from max78k.cli.terminal import emit, json_option, progress


@click.command("evaluate")
@click.argument("model")
@data_option
@click.option("--limit", type=click.IntRange(1), help="At most this many samples.")
@click.option("--confusion", type=click.Path(path_type=Path), help="Write the matrix as PNG.")
@seed_option
@json_option
def command(
    model: str, data: str, limit: int | None, confusion: Path | None, seed: int, as_json: bool
) -> None:
    """Accuracy, precision, recall and F1 by class of MODEL's integer network on the test part.

    \b
    Examples:
      max78k evaluate fer7-model --data fer2013.csv --confusion confusion.png
      max78k evaluate fer7 --data faces --json
    """
    import numpy as np

    from max78k.datasets.load import load
    from max78k.flows.models import load_model
    from max78k.network import reference
    from max78k.report.confusion import draw_confusion
    from max78k.report.metrics import scores
    from max78k.report.tables import scores_table

    network = load_model(model).network
    dataset = load(data, input_shape=network.input_shape, seed=seed, limit=limit)
    values = []
    with progress("evaluate", len(dataset.test)) as advance:
        for start in range(0, len(dataset.test), 256):
            part = network.from_pixels(dataset.test.inputs[start : start + 256])
            values.append(reference.outputs(network, part))
            advance(len(part), "")
    predictions = np.concatenate(values).argmax(axis=1)
    result = scores(dataset.test.labels, predictions, len(dataset.class_names))
    if confusion is not None:
        draw_confusion(
            confusion, result.confusion, dataset.class_names, f"{network.name}, integers"
        )
    report = {
        "network": network.name,
        "data": dataset.name,
        "samples": len(dataset.test),
        "accuracy": result.accuracy,
        "confusion": result.confusion.tolist(),
        "class_names": list(dataset.class_names),
    }
    emit(scores_table(result, dataset.class_names), report, as_json)
