"""Turns a network that is written naturally into one that the chip can run, value by value.

The chip joins tensors in memory alone: operands lie word beside word, the parts of a concatenation
processor beside processor. A tensor that is wanted in two such places needs a copy; a layer that
asks for two steps at once becomes two layers. What is added changes no value: pass-through layers,
and convolutions with the identity, which alone can move data to other processors, choose channels
or pool more than 64 of them.

Every rewrite looks for the first layer that it can mend and returns the mended network, or None.
"""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import limits
from max78k.compiler import lowering_joints, lowering_layers
from max78k.errors import InputError
from max78k.network import rules
from max78k.network.geometry import geometry
from max78k.network.network import Network

Rewrite = Callable[[Network], Network | None]

# Rules that a rewrite may mend; a network that breaks others is left as it is.
MENDED = {
    f"E-RULE-{code}"
    for code in (
        "POOL-SIZE", "POOL-STRIDE", "POOL-ORDER", "POOL-CHANNELS", "CONV1D-ELTWISE",
        "FLATTEN-POOL", "ELTWISE-PASSES", "CONCAT-INPUT", "BIAS-CHANNELS", "CUT",
    )
}  # fmt: skip
_MOST_REWRITES = 4 * limits.LAYERS  # a network that needs more has too many layers anyway


REWRITES: tuple[Rewrite, ...] = (
    lowering_layers.split_biased_outputs,
    lowering_layers.split_tensors,
    lowering_layers.read_all_channels,
    lowering_layers.split_operands,
    lowering_layers.split_flattening,
    lowering_layers.split_windows,
    lowering_layers.pool_many_channels,
    lowering_joints.copy_joined_input,
    lowering_joints.fill_last_pass,
    lowering_joints.even_out_parts,
    lowering_joints.copy_shared_parts,
    lowering_joints.move_stacked_parts,
)


def lower(network: Network) -> Network:
    """A network with the same outputs that keeps more of the chip's rules.

    The same object comes back where there is nothing to mend, and for a network that breaks rules
    which no rewrite can mend: rules and planner then say what is wrong. So does one with buffers:
    what is in them is read and written at given times.
    """
    if network.buffers or {error.code for error in rules.check(network)} - MENDED:
        return network
    try:
        geometry(network)
    except InputError:
        return network
    for _ in range(_MOST_REWRITES):
        for rewrite in REWRITES:
            changed = rewrite(network)
            if changed is not None:
                network = changed
                break
        else:
            break
    return network
