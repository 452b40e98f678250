"""From a network as it was written to one that runs on the chip, with its placement.

Beside addresses there are choices that the network itself shows: layers that only copy, which of
the first layers stream, and in which order branches run. They are made here, where no address that
is given by hand depends on them. Streaming and another order come into play only where data memory
is too small without: streaming takes time, and an order that somebody chose is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from max78k.chip import limits
from max78k.compiler.allocate import plan
from max78k.compiler.layer_order import thrifty
from max78k.compiler.lowering import MENDED, lower
from max78k.compiler.placement import FIFO, MEMORY, Placement
from max78k.errors import Max78kError, RuleError
from max78k.network import rules
from max78k.network.network import Layer, Network, Operation

# Rules that a network breaks where data memory is too small.
_SHORT = {"E-RULE-DATA-INPUT", "E-RULE-DATA-OUTPUT", "E-RULE-DATA-FIT", "E-RULE-OFFSETS"}


class Arrangement(NamedTuple):
    """A network that the chip can run and where each layer lives."""

    network: Network
    placement: Placement

    @property
    def feeding(self) -> str:
        """How the input comes in and which layers stream, in a sentence."""
        if self.placement.feed == MEMORY:
            return "The input is written to data memory."
        names = [layer.name for layer in self.network.layers if layer.streaming]
        streams = f"; layers that stream: {', '.join(names)}" if names else ""
        return f"The input comes through FIFOs{streams}."


def arrange(network: Network, given: Placement | None = None, seconds: float = 5.0) -> Arrangement:
    """Make every choice that is left open, and place the network.

    Args:
        network: the integer network. Where some of its layers stream, these do and no others.
        given: parts of the placement that are fixed. With any address in it the network stays as
            it is. FIFOs are kept; feed MEMORY becomes FIFO where layers stream, as they must.
        seconds: budget of the search, see :func:`max78k.compiler.allocate.plan`.

    Raises:
        RuleError: the network breaks rules of the chip, or it does not fit; the error names the
            memory, the numbers, what to change, and why streaming does not help.
    """
    wish = _fed(network, given or Placement({}))
    if not wish.is_open:
        return _placed_by_hand(network, wish, seconds)
    plain = lower(network)
    try:
        return Arrangement(plain, plan(plain, wish, seconds))
    except RuleError as error:
        if not _is_short(error):
            raise
        refusal = error
    versions = [(version, rules.check(version)) for version in _smaller(network)]
    fitting = [version for version, broken in versions if not broken]
    reasons = [(version, broken) for version, broken in versions if broken]
    for version in fitting:
        try:
            placement = plan(version, _fed(version, wish), seconds / len(fitting))
            return Arrangement(version, placement)
        except RuleError as error:
            reasons.insert(0, (version, error.violations))
    raise RuleError([*refusal.violations, _no_stream(network.layers[0], reasons)])


def _placed_by_hand(network: Network, given: Placement, seconds: float) -> Arrangement:
    try:
        return Arrangement(network, plan(network, given, seconds))
    except RuleError as error:
        if not _is_short(error):
            raise
        refusal = error
    try:
        free = arrange(network, replace(given, layers={}), seconds)
    except RuleError:
        raise refusal from None
    text = f"without the addresses that are given the network fits. {free.feeding}"
    advice = Max78kError("E-PLAN-GIVEN", text, "no processors and offsets in the YAML.")
    raise RuleError([*refusal.violations, advice])


def _is_short(error: RuleError) -> bool:
    """True if nothing but data memory is in the way."""
    codes = {violation.code for violation in error.violations} - MENDED
    return bool(codes) and codes <= _SHORT


def _fed(network: Network, wish: Placement) -> Placement:
    streams = any(layer.streaming for layer in network.layers)
    return replace(wish, feed=FIFO) if streams and wish.feed == MEMORY else wish


def _smaller(network: Network) -> Iterator[Network]:
    """Versions of the network that need less data memory, those first that cost least."""
    other = thrifty(network)
    orders = [network] if other is None else [network, other]
    if other is not None:
        yield lower(other)
    if any(layer.streaming for layer in network.layers):
        return
    for order in orders:
        first: list[Layer] = []
        for layer in order.layers[: limits.STREAMING_LAYERS]:
            if layer.operation is not Operation.CONV2D:
                break  # of others it is not known that they stream
            first.append(replace(layer, streaming=True))
            yield lower(replace(order, layers=(*first, *order.layers[len(first) :])))


def _no_stream(layer: Layer, reasons: list[tuple[Network, list[Max78kError]]]) -> Max78kError:
    """Why no version that streams fits; the one with the fewest faults tells."""
    for version, broken in sorted(reasons, key=lambda reason: len(reason[1])):
        count = sum(layer.streaming for layer in version.layers)
        if count:
            layers = "layer" if count == 1 else f"{count} layers"
            text = f"with the first {layers} streaming it does not fit either: {broken[0].message}"
            return Max78kError("E-PLAN-STREAM", text, broken[0].hint)
    text = f"layer {layer.name} is {layer.operation.value}, and 2-D convolutions alone may stream."
    if layer.streaming:
        text = "more layers than those that are to stream are not tried."
    return Max78kError("E-PLAN-STREAM", text)
