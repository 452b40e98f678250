"""Several training runs drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from max78k.report import style

_NAMED = 12  # runs that get a colour and a name each; of more, the rest is grey


def draw_runs(
    path: Path,
    losses: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]],
    reference: str | None = None,
) -> None:
    """Draw curves of runs over one another, a number for each epoch.

    Args:
        path: PNG file to write.
        losses: of the train part, by run, the most interesting runs first.
        accuracies: of the test part 0 ... 1, by run.
        reference: run that is drawn in black, above the others.
    """
    from matplotlib.ticker import MaxNLocator

    panels = (("train loss", losses, 1.0), ("test accuracy in %", accuracies, 100.0))
    with style.figure(path, 9.6, 4.0) as figure:
        figure.suptitle("Runs together", x=0.01, ha="left", fontsize=11, fontweight="bold")
        for axes, (label, curves, factor) in zip(figure.subplots(1, 2), panels, strict=True):
            for number, (name, values) in reversed(list(enumerate(curves.items()))):
                chief = name == reference
                colour = style.layer_colour(number) if number < _NAMED else style.LIGHT
                axes.plot(
                    range(1, len(values) + 1),
                    [factor * value for value in values],
                    color=style.INK if chief else colour,
                    lw=2.2 if chief else 1.2,
                    zorder=3 if chief else 2 if number < _NAMED else 1,
                    marker="o" if len(values) == 1 else "",
                    label=name if chief or number < _NAMED else None,
                )
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            style.grid(axes)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside right upper", fontsize=7)
