"""Rounding weights and biases so that layers keep their outputs, not each weight its value.

The output of a layer is linear in its weights, so its squared error on sample inputs is a quadratic
function of the integers. Its minimum over the reals is solved for, which makes up for the errors of
the layers before; from there coordinate descent moves one integer at a time while the error falls.
The bias is one more coordinate with a coarse step. (The aim is that of AdaRound, arXiv:2004.10568;
the quadratic form needs no training.) The coarser the weights, the more there is to gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.network.network import INPUT
from max78k.training.augment import seeded_generator
from max78k.training.base import Mode, set_mode
from max78k.training.functions import integer_range
from max78k.training.graph import Step, trace
from max78k.training.layers import Conv1d, ConvTranspose2d, Linear
from max78k.training.quantize import INPUT_EXPONENT, bias_exponent, exponent_range
from max78k.training.weight_layer import WeightLayer

METHODS = ("nearest", "bias", "adaptive")
_INPUTS = 4096  # of one output; a layer with more has its weights rounded to the nearest
_ROWS = 6  # windows sampled for each input of an output, and at least
_FEWEST_ROWS = 8192
_DAMPING = 0.01  # of the mean square input, pulls toward the trained weights
_SCARCITY = 0.1  # more of it, by inputs of an output over outputs that there are
_PASSES = 3
_OCTAVES = (1, 0, -1, -2)  # steps of the weights that are tried, from the calibrated one


@dataclass(frozen=True, eq=False)
class _Moments:
    """Means over windows x of the quantized input and real outputs y: of x x' and of y x'.

    ``count`` outputs there are in all; the windows are drawn from them.
    """

    inputs: Tensor
    outputs: Tensor
    count: int


def adapt(
    model: nn.Module, batches: Sequence[Tensor], *, method: str = "adaptive", seed: int = 0
) -> None:
    """Choose the integers of a calibrated model's weights and biases, layer by layer.

    Batch norm is folded for good. The exponents of weights may change, those of outputs do not.

    Args:
        model: a calibrated model (:func:`max78k.training.calibrate.calibrate`); changed in place.
        batches: float32 [N, C, ...] of integers -128...127, as for calibration.
        method: "nearest" leaves the rounding as it is, "bias" corrects the biases for the mean
            error that all rounding before them makes, "adaptive" chooses weights and biases.
        seed: chooses the windows that are looked at.
    """
    if method == "nearest":
        return
    steps = trace(model)
    last = {name: step.name for step in steps for name in step.inputs}
    real = [{INPUT: batch * 2.0**INPUT_EXPONENT} for batch in batches]
    whole = [{INPUT: batch} for batch in batches]
    model.eval()
    with torch.no_grad():
        for number, step in enumerate(steps):
            if isinstance(step.module, WeightLayer):
                moments = _moments(step, step.module, model, real, whole, (seed, number))
                wanted = _run(model, step, Mode.FLOAT, real)
                _choose(step.module, moments, method)
            else:
                wanted = _run(model, step, Mode.FLOAT, real)
            found = _run(model, step, Mode.INTEGER, whole)
            for values, outputs in ((real, wanted), (whole, found)):
                for batch_values, output in zip(values, outputs, strict=True):
                    batch_values[step.name] = output
                    for name in step.inputs:
                        if last[name] == step.name:
                            batch_values.pop(name, None)


def _run(model: nn.Module, step: Step, mode: Mode, values: list[dict[str, Tensor]]) -> list[Tensor]:
    set_mode(model, mode)
    return [step.run(batch) for batch in values]


def _moments(
    step: Step,
    layer: WeightLayer,
    model: nn.Module,
    real: list[dict[str, Tensor]],
    whole: list[dict[str, Tensor]],
    seed: tuple[int, ...],
) -> _Moments:
    """Sampled in the same windows of the real and of the quantized input of a layer."""
    weight, bias = layer.folded()
    matrix = _with_bias(to_matrix(layer, weight), bias)
    generator = seeded_generator(*seed)
    size = matrix.shape[1]
    count = -(-max(_FEWEST_ROWS, _ROWS * size) // len(real))
    scale = 2.0 ** int(layer.in_exponent)
    inputs, outputs = torch.zeros(size, size), torch.zeros(len(matrix), size)
    rows, available = 0, 0
    for real_values, whole_values in zip(real, whole, strict=True):
        parts = []
        for mode, values in ((Mode.FLOAT, real_values), (Mode.INTEGER, whole_values)):
            set_mode(model, mode)
            parts.append(layer._arrange(layer.combined(step.operands(values))))
        places = torch.randint(1 << 30, (count,), generator=generator)
        wanted, found = (windows(layer, part, places) for part in parts)
        found[:, :-1] *= scale
        outputs += (matrix @ wanted.T) @ found
        inputs += found.T @ found
        rows += len(found)
        available += _outputs(layer, parts[0])
    return _Moments(inputs.double() / rows, outputs.double() / rows, available)


def windows(layer: WeightLayer, data: Tensor, places: Tensor) -> Tensor:
    """What outputs at random places multiply by the rows of :func:`to_matrix`, and 1 for the bias.

    Args:
        layer: the layer.
        data: [N, C, ...], pooled and combined.
        places: int64 numbers; the output at number modulo outputs is looked at.
    """
    if isinstance(layer, Linear):
        flat = data.flatten(1)
        found = flat[places % len(flat)]
    else:
        spread = _spread(layer, data)
        kernel = (layer.weight.shape[2], 1 if isinstance(layer, Conv1d) else layer.weight.shape[3])
        reach = (kernel[0] - 1) * layer.dilation + 1
        view = spread.unfold(2, reach, 1)[..., :: layer.dilation].unfold(3, kernel[1], 1)
        count, _, rows, columns = view.shape[:4]
        place = places % (count * rows * columns)
        sample, place = place // (rows * columns), place % (rows * columns)
        found = view[sample, :, place // columns, place % columns].flatten(1)
    return torch.cat([found, torch.ones(len(found), 1)], dim=1)


def _outputs(layer: WeightLayer, data: Tensor) -> int:
    """Outputs of one channel that a layer computes from ``data``."""
    if isinstance(layer, Linear):
        return len(data)
    rows, columns = _spread(layer, data).shape[2:]
    high, wide = [*layer.weight.shape[2:], 1][:2]
    return len(data) * int(rows - (high - 1) * layer.dilation) * int(columns - wide + 1)


def _spread(layer: WeightLayer, data: Tensor) -> Tensor:
    """Data as [N, C, H, W] with padding, zero-stuffed for a transposed convolution."""
    axes = layer.weight.ndim - 2
    data = data.reshape(*data.shape[:2], *(data.shape[2:] or (1,) * axes))
    if isinstance(layer, ConvTranspose2d):
        count, channels, rows, columns = data.shape
        stuffed = torch.zeros(count, channels, 2 * rows - 1, 2 * columns - 1)
        stuffed[:, :, ::2, ::2] = data
        before = 2 - layer.padding
        return F.pad(stuffed, (before, before + 1, before, before + 1))
    if isinstance(layer, Conv1d):
        return F.pad(data.unsqueeze(3), (0, 0, layer.padding, layer.padding))
    return F.pad(data, (layer.padding,) * 4)


def to_matrix(layer: WeightLayer, weight: Tensor) -> Tensor:
    """Weights as [outputs, inputs of one output]."""
    if isinstance(layer, ConvTranspose2d):
        weight = weight.flip(2, 3).transpose(0, 1)
    return weight.flatten(1)


def from_matrix(layer: WeightLayer, matrix: Tensor) -> Tensor:
    """The inverse of :func:`to_matrix`."""
    if not isinstance(layer, ConvTranspose2d):
        return matrix.reshape(layer.weight.shape)
    inputs, outputs, rows, columns = layer.weight.shape
    return matrix.reshape(outputs, inputs, rows, columns).transpose(0, 1).flip(2, 3)


def _with_bias(matrix: Tensor, bias: Tensor | None) -> Tensor:
    column = torch.zeros(len(matrix)) if bias is None else bias
    return torch.cat([matrix, column[:, None]], dim=1)


def _choose(layer: WeightLayer, moments: _Moments, method: str) -> None:
    """Find the integers of a layer and put them into it."""
    weight, bias = layer.folded()
    trained = _with_bias(to_matrix(layer, weight), bias).double()
    size = len(moments.inputs)
    share = _DAMPING + _SCARCITY * size / moments.count
    damping = share * float(moments.inputs.diagonal()[:-1].mean()) + 1e-12
    form = moments.inputs + damping * torch.eye(size, dtype=torch.float64)
    form[-1, -1] -= damping
    target = moments.outputs + damping * trained
    target[:, -1] -= damping * trained[:, -1]
    best = torch.linalg.solve(form, target.T).T
    free = slice(0, size if bias is not None else size - 1)
    goal = _Goal(best.float(), form.float())
    if method == "adaptive" and size <= _INPUTS:
        exponent, whole = _search(layer, goal, range(size)[free])
    else:
        exponent = int(layer.weight_exponent)
        grid = _grid(layer, exponent, size)
        whole = _nearest(trained.float(), grid)
        if bias is not None:
            whole = _descend(whole, goal, grid, [size - 1], 1)
    weights = from_matrix(layer, whole[:, :-1].float())
    layer.hold(weights, None if bias is None else whole[:, -1].float(), exponent)


@dataclass(frozen=True, eq=False)
class _Goal:
    """Real weights and bias of least error, and the form that weighs differences from them."""

    best: Tensor
    form: Tensor

    def cost(self, values: Tensor) -> float:
        error = values - self.best
        return float(((error @ self.form) * error).sum())


def _search(layer: WeightLayer, goal: _Goal, free: Sequence[int]) -> tuple[int, Tensor]:
    """The exponent and the integers with the least error: one pass with each, then more."""
    size = len(goal.form)
    chosen: tuple[float, int, Tensor] | None = None
    for exponent in _exponents(layer):
        grid = _grid(layer, exponent, size)
        whole = _descend(_nearest(goal.best, grid), goal, grid, free, 1)
        cost = goal.cost(whole * grid.step)
        if chosen is None or cost < chosen[0]:
            chosen = cost, exponent, whole
    assert chosen is not None
    _, exponent, whole = chosen
    return exponent, _descend(whole, goal, _grid(layer, exponent, size), free, _PASSES)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Step, smallest and largest integer of every coordinate."""

    step: Tensor
    low: Tensor
    high: Tensor


def _exponents(layer: WeightLayer) -> list[int]:
    own = int(layer.weight_exponent)
    if int(layer.weight_bits) == 8:
        return [own]
    if layer.wide:
        return [own + octave for octave in _OCTAVES]
    low, high = exponent_range(int(layer.in_exponent), int(layer.out_exponent))
    return [own + octave for octave in _OCTAVES if low <= own + octave <= high]


def _grid(layer: WeightLayer, exponent: int, size: int) -> _Grid:
    low, high = integer_range(int(layer.weight_bits))
    step = torch.full((size,), 2.0**exponent)
    step[-1] = 2.0 ** bias_exponent(exponent, int(layer.in_exponent))
    lows = torch.full((size,), float(low))
    highs = torch.full((size,), float(high))
    lows[-1], highs[-1] = -128.0, 127.0
    return _Grid(step, lows, highs)


def _nearest(values: Tensor, grid: _Grid) -> Tensor:
    return (values / grid.step + 0.5).floor().clamp(grid.low, grid.high)


def _descend(
    whole: Tensor, goal: _Goal, grid: _Grid, coordinates: Sequence[int], passes: int
) -> Tensor:
    """Move one integer after the other, of all outputs at once, to where the error is least."""
    whole = whole.clone()
    form = goal.form
    residual = (whole * grid.step - goal.best) @ form
    steps, lows, highs = grid.step.tolist(), grid.low.tolist(), grid.high.tolist()
    curvature = form.diagonal().tolist()
    for _ in range(passes):
        moved = 0.0
        for j in coordinates:
            least = whole[:, j] - residual[:, j] / (curvature[j] * steps[j])
            new = (least + 0.5).floor_().clamp_(lows[j], highs[j])
            change = new - whole[:, j]
            size = float(change.abs().sum())
            if size:
                residual.addr_(change * steps[j], form[j])
                whole[:, j] = new
                moved += size
        if not moved:
            break
    return whole
