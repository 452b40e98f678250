"""Networks drawn at random, for comparing formats with the integer reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool
from max78k.network.shapes import infer

_CONVOLUTIONS = (Operation.CONV2D, Operation.CONV2D, Operation.CONVTRANSPOSE2D)


def weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> np.ndarray:
    half = 1 << (bits - 1)
    return rng.integers(-half, half, shape).astype(np.int8)


def inputs(rng: np.random.Generator, network: Network, count: int = 2) -> np.ndarray:
    return rng.integers(-128, 128, (count, *network.input_shape)).astype(np.int8)


def _pool(rng: np.random.Generator, rank: int, smallest: int) -> Pool | None:
    if smallest < 8 or rng.random() < 0.4:
        return None
    size = tuple(int(n) for n in rng.integers(1, 4, 2))
    stride = int(rng.integers(1, 3))
    if rank == 1:
        return Pool(str(rng.choice(["max", "avg"])), (size[0], 1), (stride, 1))
    return Pool(str(rng.choice(["max", "avg"])), (size[0], size[1]), (stride, stride))


def _numbers(rng: np.random.Generator, out: int, fan_in: int, bits: int) -> dict[str, object]:
    spread = np.log2(max(fan_in, 1)) / 2 + 1
    shift = int(np.clip(round(-spread + rng.integers(-2, 3)), -15, 15 + bits - 8))
    bias = rng.integers(-128, 128, out).astype(np.int8) if rng.random() < 0.6 else None
    return {
        "weight_bits": bits,
        "bias": bias,
        "output_shift": shift,
        "activation": Activation(str(rng.choice(["none", "relu", "abs"]))),
    }


def draw(seed: int) -> Network:
    """A valid network of 1-11 layers with all kinds of layers, 2-D or 1-D."""
    rng = np.random.default_rng(seed)
    rank = 1 if rng.random() < 0.3 else 2
    channels = int(rng.integers(1, 6))
    shape = (channels, *(int(n) for n in rng.integers(8, 14, rank)))
    layers: list[Layer] = []
    known = {"input": shape}
    last = "input"
    for number in range(int(rng.integers(1, 6))):
        names = [f"l{number}"]
        if rng.random() < 0.4:  # a sibling of the same shape, for element-wise operations
            names.insert(0, f"twin{number}")
        for name in names:
            twin = name.startswith("twin")
            layer = (
                _twin(rng, name, last, known) if twin else _draw_layer(rng, name, last, known, rank)
            )
            layers.append(layer)
            network = Network("drawn", shape, tuple(layers), (layer.name,))
            known[layer.name] = infer(network)[layer.name].output
            last = layer.name
    outputs = [last]
    if rng.random() < 0.7:
        bits = int(rng.choice([1, 2, 4, 8]))
        size = int(np.prod(known[last]))
        numbers = _numbers(rng, 5, size, bits)
        layer = Layer("head", Operation.LINEAR, (last,), weights(rng, (5, size), bits), **numbers)
        if rng.random() < 0.5:
            layer = replace(layer, output_width=32, activation=Activation.NONE)
        layers.append(layer)
        outputs = ["head"]
    average_rounds = bool(rng.random() < 0.2)
    return Network("drawn", shape, tuple(layers), tuple(outputs), average_rounds=average_rounds)


def _twin(
    rng: np.random.Generator, name: str, last: str, known: dict[str, tuple[int, ...]]
) -> Layer:
    """A 1x1 convolution that keeps the shape of what it reads."""
    channels = known[last][0]
    axes = (1,) * (len(known[last]) - 1)
    operation = Operation.CONV2D if len(axes) == 2 else Operation.CONV1D
    weight = weights(rng, (channels, channels, *axes), 8)
    return Layer(name, operation, (last,), weight, **_numbers(rng, channels, channels, 8))


def _draw_layer(
    rng: np.random.Generator, name: str, last: str, known: dict[str, tuple[int, ...]], rank: int
) -> Layer:
    shape = known[last]
    sources: tuple[str, ...] = (last,)
    eltwise = None
    twins = [key for key, value in known.items() if value == shape and key != last]
    alike = [key for key, value in known.items() if value[1:] == shape[1:] and key != last]
    if twins and rng.random() < 0.6:
        sources, eltwise = (twins[0], last), Eltwise(str(rng.choice(["add", "sub", "or", "xor"])))
    elif alike and rng.random() < 0.4:
        sources = (last, alike[-1])
    channels = shape[0] if eltwise else sum(known[source][0] for source in sources)
    pool = _pool(rng, rank, min(shape[1:]))
    common = {"pool": pool, "eltwise": eltwise, "pool_first": bool(rng.random() < 0.5)}
    if not eltwise:
        common["pool_first"] = True
    if rng.random() < 0.2:
        return Layer(name, Operation.PASSTHROUGH, sources, **common)
    bits = int(rng.choice([1, 2, 4, 8]))
    out = int(rng.integers(1, 7))
    if rank == 1:
        kernel = int(rng.integers(1, 4))
        numbers = _numbers(rng, out, channels * kernel, bits)
        padding = int(rng.integers(0, min(kernel, 3)))
        dilation = 1 if pool or padding or eltwise else int(rng.integers(1, 3))
        if shape[1] < 1 + dilation * (kernel - 1):
            kernel, padding = 1, 0
        weight = weights(rng, (out, channels, kernel), bits)
        return Layer(
            name, Operation.CONV1D, sources, weight,
            padding=padding, dilation=dilation, **common, **numbers,
        )  # fmt: skip
    operation = _CONVOLUTIONS[int(rng.integers(0, 3))]
    if operation is Operation.CONVTRANSPOSE2D and max(shape[1:]) > 14:
        operation = Operation.CONV2D
    kernel = 3 if operation is Operation.CONVTRANSPOSE2D else int(rng.choice([1, 3]))
    padding = int(rng.integers(1, 3)) if kernel == 3 else 0
    numbers = _numbers(rng, out, channels * kernel * kernel, bits)
    order = (channels, out) if operation is Operation.CONVTRANSPOSE2D else (out, channels)
    weight = weights(rng, (*order, kernel, kernel), bits)
    return Layer(name, operation, sources, weight, padding=padding, **common, **numbers)
