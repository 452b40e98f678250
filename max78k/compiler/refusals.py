"""Why a network does not fit: which memory is short, by how much, and what change would fit.

A bound that holds for every placement proves it; where no bound is broken, the message says that a
search found nothing, and how near it came.
"""

from __future__ import annotations

from max78k.chip import limits
from max78k.compiler.bounds import least_columns, least_words, wanted
from max78k.compiler.trial import Task, Trial, bias_items
from max78k.errors import Max78kError, RuleError

_LONGER = "a longer search (--search-seconds)"


def require_room(task: Task, trial: Trial) -> None:
    """Raise RuleError with every memory that is too small for ``trial``, the best one found."""
    errors = []
    if trial.cost.kernels > limits.KERNEL_COLUMNS:
        errors.append(_kernels(task, trial))
    if trial.cost.data > limits.INSTANCE_WORDS:
        errors.append(_data(task, trial))
    stops = [trial.bias[name][1] + count for name, count in _bias_counts(task, trial).items()]
    if max(stops, default=0) > limits.BIAS_BYTES_PER_QUADRANT:
        errors.append(_bias(task, trial))
    if errors:
        raise RuleError(errors)


def _error(code: str, message: str, hint: str) -> Max78kError:
    return Max78kError(f"E-RULE-{code}", f"{message}.", f"{hint}.")


def _kernels(task: Task, trial: Trial) -> Max78kError:
    have, least = limits.KERNEL_COLUMNS, least_columns(task)
    hint = _narrower(task)
    if least > have:
        text = (
            f"the kernels take at least {least} columns in some processor wherever they lie, "
            f"{least - have} more than the {have} that it has"
        )
    else:
        text = (
            f"no order of the kernels was found that fits: the best takes {trial.cost.kernels} "
            f"columns of a processor, which has {have}; at least {least} are needed"
        )
        hint = f"{_LONGER}, {hint}"
    return _error("KERNEL-FIT", text, hint)


def _narrower(task: Task) -> str:
    """Layers, the largest first, whose kernels fit with half the bits per weight."""
    counts = {item.name: item.count for item, _ in wanted(task)}
    chosen: list[str] = []
    for item, shape in sorted(wanted(task), key=lambda pair: -pair[0].count):
        if shape.layer.weight_bits > 1:
            chosen.append(f"{item.name} ({shape.layer.weight_bits // 2} bits)")
            counts[item.name] = -(-item.count // 2)
        if chosen and least_columns(task, counts) <= limits.KERNEL_COLUMNS:
            return f"fewer bits per weight in {', '.join(chosen)}, or fewer output channels"
    return "fewer output channels, or 1x1 instead of 3x3 kernels"


def _data(task: Task, trial: Trial) -> Max78kError:
    have = limits.INSTANCE_BYTES
    need, layer, held = least_words(task)
    parts = ", ".join(
        f"{name} {4 * words} bytes in {instances} instances" for name, words, instances in held
    )
    text = f"while layer {layer} runs, data memory holds {parts}"
    longer = ""
    if need > limits.INSTANCE_WORDS:
        text += f": at least {4 * need} bytes in some instance, {4 * need - have} more than it has"
    else:
        need, longer = trial.cost.data, f"{_LONGER}, or "
        text += f"; the best placement found ends at byte {4 * need} of the {have} of an instance"
    share = 100 * limits.INSTANCE_WORDS // need
    hint = (
        f"{longer}data of {share} % of this size: pool earlier, smaller pictures, or fewer channels"
    )
    return _error("DATA-FIT", text, hint)


def _bias_counts(task: Task, trial: Trial) -> dict[str, int]:
    writes = [trial.maps[shape.layer.target] for shape in task.shapes]
    return {item.name: item.count for item in bias_items(task, writes)}


def _bias(task: Task, trial: Trial) -> Max78kError:
    counts = _bias_counts(task, trial)
    total = sum(counts.values())
    text = (
        f"{total} bias entries in {trial.cost.quadrants} quadrants of "
        f"{limits.BIAS_BYTES_PER_QUADRANT}: no distribution was found that fits"
    )
    largest = max(counts, key=lambda name: counts[name])
    return _error(
        "BIAS-FIT", text, f"no bias in some layers, such as {largest} ({counts[largest]})"
    )
