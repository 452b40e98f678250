"""``max78k data``: look at a data set."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.options import seed_option
from max78k.cli.terminal import emit, json_option


@click.command("data")
@click.argument("spec", default="faces")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write pictures as one PNG.")
@click.option(
    "--count", type=click.IntRange(1), default=64, show_default=True, help="In the sheet."
)
@click.option("--skip-bad-rows", is_flag=True, help="CSV: leave bad rows out and count them.")
@seed_option
@json_option
def command(
    spec: str, sheet: Path | None, count: int, skip_bad_rows: bool, seed: int, as_json: bool
) -> None:
    """Counts by class of SPEC; with --sheet, pictures with their labels.

    \b
    Examples:
      max78k data faces --sheet faces.png
      max78k data fer2013.csv
      max78k data pictures/ --sheet sheet.png --count 100

    SPEC: `faces` or `faces:train=4000,test=1000` (drawn faces), a fer2013.csv, an .npz of images
    and labels, or a folder with one folder of images for each class.
    """
    from max78k.datasets.load import load

    dataset = load(spec, seed=seed, skip_bad_rows=skip_bad_rows)
    if sheet is not None:
        from max78k.report.contact_sheet import draw_contact_sheet

        part = dataset.train.sample(count, seed)
        draw_contact_sheet(
            sheet, part.inputs, part.labels.tolist(), dataset.class_names, title=dataset.name
        )
    classes = len(dataset.class_names)
    data = {
        "name": dataset.name,
        "input_shape": list(dataset.input_shape),
        "class_names": list(dataset.class_names),
        "counts": {name: part.counts(classes).tolist() for name, part in dataset.parts().items()},
        "skipped_rows": dataset.skipped_rows,
    }
    emit(dataset.describe(), data, as_json)
