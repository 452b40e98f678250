"""Options that several verbs share."""

from __future__ import annotations

import click

port_option = click.option(
    "--port",
    envvar="MAX78K_PORT",
    default="sim",
    show_default=True,
    help="Serial device, pty, `auto`, `sim` (virtual board), socket:// or rfc2217:// address.",
)
data_option = click.option(
    "--data",
    default="faces",
    show_default=True,
    help="`faces` (drawn), a fer2013.csv, an .npz of images and labels, or a folder of classes.",
)
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
search_option = click.option(
    "--search-seconds",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="Budget of the search for a placement; counted in trials, so that results repeat.",
)
