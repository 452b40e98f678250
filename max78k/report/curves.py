"""Training curves: loss and accuracy over the epochs, float and quantization-aware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from max78k.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_curves(
    path: Path,
    *,
    train_loss: Sequence[float],
    train_accuracy: Sequence[float],
    test_accuracy: Sequence[float],
    test_loss: Sequence[float] = (),
    qat_epoch: int | None = None,
    title: str = "Training",
) -> None:
    """Draw one value per epoch of each kind; accuracies are 0 ... 1.

    Args:
        path: PNG file to write.
        train_loss, train_accuracy, test_accuracy: one number per epoch.
        test_loss: the same, where it was measured.
        qat_epoch: first epoch (counted from 0) of quantization-aware training; None: there is none.
        title: above the figure.
    """
    from matplotlib.ticker import MaxNLocator

    panels = (
        ("loss", train_loss, test_loss, 1),
        ("accuracy in %", train_accuracy, test_accuracy, 100),
    )
    with style.figure(path, 9.0, 3.6) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for axes, (label, train, test, factor) in zip(
            figure.subplots(1, len(panels)), panels, strict=True
        ):
            for name, values, colour in (
                ("train", train, style.BLUE),
                ("test", test, style.ORANGE),
            ):
                if not len(values):
                    continue
                epochs = range(1, len(values) + 1)
                marker = "o" if len(values) < 40 else ""
                scaled = [factor * value for value in values]
                axes.plot(epochs, scaled, color=colour, label=name, marker=marker, markersize=3)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlim(0.5, max(len(train), 1) + 0.5)
            style.grid(axes)
            if qat_epoch is not None:
                _mark_phases(axes, qat_epoch, len(train))
            if len(train):
                axes.legend(loc="best")
        if len(test_accuracy):
            best = max(range(len(test_accuracy)), key=lambda epoch: test_accuracy[epoch])
            axes.set_title(
                f"best test {100 * test_accuracy[best]:.1f} % in epoch {best + 1}", fontsize=9
            )


def _mark_phases(axes: Axes, qat_epoch: int, epochs: int) -> None:
    """Shade the quantization-aware epochs and name both phases."""
    border = qat_epoch + 0.5
    axes.axvspan(border, epochs + 0.5, color=style.GREEN, alpha=0.10, lw=0)
    axes.axvline(border, color=style.GREEN, lw=1)
    top = axes.get_xaxis_transform()
    axes.text(border + 0.1, 1.0, " QAT", transform=top, color=style.GREEN, va="bottom", fontsize=8)
