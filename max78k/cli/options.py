"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.flows.models import Model

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
_config_option = click.option(
    "--config-file", type=click.Path(path_type=Path), help="Network YAML; placement in it is kept."
)
_checkpoint_option = click.option(
    "--checkpoint-file", type=click.Path(path_type=Path), help="Weights, instead of MODEL."
)


def described_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL, or a description and weights in its place; :func:`given_model` takes them."""
    options = _config_option(_checkpoint_option(command))
    return click.argument("model", required=False)(options)


def given_model(model: str | None, config_file: Path | None, checkpoint_file: Path | None) -> Model:
    """The network that :func:`described_model` names."""
    from max78k.flows.models import load_model

    if model is None and checkpoint_file is None:
        raise InputError("E-ARGS-MODEL", "no model given.", "a MODEL, or --checkpoint-file.")
    return load_model(model or "", yaml=config_file, checkpoint=checkpoint_file)
