"""What a failed known-answer test of a board means, in the terms of its network."""

from __future__ import annotations

from max78k.codegen import tables
from max78k.codegen.output_places import output_places, word_text
from max78k.flows.models import Model
from max78k.flows.synthesis import compile_network


def first_difference(model: Model, network_id: int, address: int, wrong: int) -> str:
    """Where the first wrong word belongs: layer, channel and position of the output.

    Args:
        model: what the board is said to run.
        network_id: what the board says that it runs.
        address: of the word.
        wrong: its bits that differ.
    """
    compiled = compile_network(model.network, placement=model.given)
    own = tables.network_id(compiled.image)
    if own != network_id:
        return f"the board runs network {network_id:08x}, the model given is {own:08x}"
    places = output_places(compiled.network)
    return word_text(compiled.image, places, address, wrong) or "no part of the output"
