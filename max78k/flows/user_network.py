"""A user's own network in his own training loop: prepare it, train it, convert it.

``prepare`` takes a network of our layers, or a trained one of ``torch.nn``, to the chip's integers
with gradients; what comes back trains on like any module. ``convert`` gives the integer network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.imports.chip_model import chip_model
from max78k.imports.sources import is_chip_model, module_source
from max78k.network import Network, rules
from max78k.network.shapes import Shape
from max78k.training.augment import to_integers
from max78k.training.base import Mode, set_mode
from max78k.training.bits import choose_bits
from max78k.training.calibrate import calibrate
from max78k.training.chip_limits import require_network
from max78k.training.convert import to_network
from max78k.training.rounding import adapt

_BATCH = 128


def prepare(
    model: nn.Module,
    samples: npt.NDArray[np.uint8] | Tensor,
    *,
    rule: str = "mse",
    weight_bits: str | None = None,
    budget: str | None = None,
) -> nn.Module:
    """A quantization-aware network with the weights of ``model``, ready to be trained further.

    Its input are the chip's integers, ``pixels.float() - 128``, float32 [N, C, ...] of
    -128...127; its outputs are real scores where the last layer has 32-bit outputs, else integers.

    Args:
        model: with trained weights: made of :mod:`max78k.training.layers` (a copy is prepared), or
            of ``torch.nn``, whose input is (pixel - 128) / 128 and which is in evaluation mode.
        samples: uint8 [N, C, ...], some hundred samples of the data.
        rule: how steps are chosen, "mse", "max" or "percentile".
        weight_bits: "1", "2", "4", "8", a policy file, or "auto"; None: the network's own, or 8.
        budget: kernel memory for "auto", like "300KiB"; None: all of it.

    Returns:
        The network in training mode, its layers in ``Mode.QAT``.

    Raises:
        RuleError: with everything that the chip cannot do.
        InputError: E-PREPARE-SAMPLES for samples that are no pixels, and those of the steps.
    """
    pixels = _pixels(samples)
    shape = tuple(int(n) for n in pixels.shape[1:])
    if is_chip_model(model):
        prepared = copy.deepcopy(model)
    else:
        prepared = chip_model(module_source(model.eval(), shape, "network").model())
    require_network(to_network(prepared, name="network", input_shape=shape))
    batches = list(torch.split(to_integers(pixels), _BATCH))
    choose_bits(prepared, weight_bits, budget=budget, input_shape=shape, batches=batches)
    calibrate(prepared, batches, rule)
    set_mode(prepared, Mode.QAT)
    return prepared.train()


def convert(
    model: nn.Module,
    input_shape: Shape,
    *,
    name: str = "network",
    class_names: Iterable[str] = (),
    samples: npt.NDArray[np.uint8] | Tensor | None = None,
) -> Network:
    """The integers of a network that :func:`prepare` made.

    Args:
        model: prepared, and trained further or not.
        input_shape: (channels, rows, columns) or (channels, length).
        name: of the network.
        class_names: of its outputs.
        samples: uint8 [N, C, ...]: the weights are rounded so that the outputs for these samples
            stay (:func:`max78k.training.rounding.adapt`, which changes ``model``); worth it where
            the network has not been trained since it was prepared. None: each to the nearest.

    Raises:
        RuleError: with all broken rules of the chip.
    """
    model.eval()
    if samples is not None:
        adapt(model, list(torch.split(to_integers(_pixels(samples)), _BATCH)))
    network = to_network(
        model, name=name, input_shape=tuple(input_shape), class_names=tuple(class_names)
    )
    require_network(network)
    rules.require(network)
    return network


def _pixels(samples: npt.NDArray[np.uint8] | Tensor) -> Tensor:
    pixels = samples if isinstance(samples, Tensor) else torch.from_numpy(np.asarray(samples))
    if pixels.dtype != torch.uint8 or pixels.ndim not in (3, 4) or not len(pixels):
        raise InputError(
            "E-PREPARE-SAMPLES",
            f"the samples are {str(pixels.dtype).removeprefix('torch.')} {tuple(pixels.shape)}.",
            "uint8 [N, C, rows, columns] or [N, C, length], at least one.",
        )
    return pixels
