"""Random networks inside the chip's rules, from a seed."""

from __future__ import annotations

import math

import numpy as np

from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool
from max78k.network.geometry import geometry
from max78k.network.network import INPUT


class Builder:
    """Adds random layers to a network; ``shape`` is that of the last one's output."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.last = INPUT

    def choose(self, *options: object) -> object:
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def channels(self) -> int:
        return int(self.choose(self.number(1, 64), self.number(1, 20), self.number(65, 140)))

    def weights(self, bits: int, *shape: int) -> np.ndarray:
        half = 1 << (bits - 1)
        return self.rng.integers(-half, half, shape).astype(np.int8)

    def add(self, operation: Operation, inputs: tuple[str, ...], **fields: object) -> str:
        name = f"L{len(self.layers)}"
        self.layers.append(Layer(name, operation, inputs, **fields))
        network = self.network((name,))
        shape = geometry(network)[-1]
        self.shapes[name] = (shape.outputs, *shape.out_size)
        self.last = name
        return name

    def network(self, outputs: tuple[str, ...]) -> Network:
        return Network("random", self.input_shape, tuple(self.layers), outputs,
                       average_rounds=self.rounds)  # fmt: skip

    def common(self, bits: int, out: int, fan_in: int) -> dict[str, object]:
        shift = -round(math.log2(max(fan_in, 1)) / 2) - self.number(-2, 1)
        biased = self.number(0, 1) and out <= 140
        return {
            "weight_bits": bits,
            "bias": self.weights(8, out) if biased else None,
            "output_shift": shift,
            "activation": self.choose(*Activation),
        }

    def pool(self, one_dimensional: bool = False) -> Pool | None:
        _, rows, columns = self.shapes[self.last]
        if self.number(0, 1):
            return None
        stride = self.number(1, 3)
        size = (self.number(1, min(4, rows)), self.number(1, min(4, columns)))
        if one_dimensional:
            return Pool(str(self.choose("max", "avg")), (size[0], 1), (stride, 1))
        return Pool(str(self.choose("max", "avg")), size, (stride, stride))

    def start(self, *shape: int) -> None:
        self.input_shape = shape
        self.rounds = bool(self.number(0, 1))
        self.shapes[INPUT] = (*shape, 1)[:3]

    def conv2d(self, out: int | None = None, pooled: bool = True, width: int = 8) -> str:
        channels = self.shapes[self.last][0]
        out = self.channels() if out is None else out
        kernel, bits = int(self.choose(1, 3)), int(self.choose(8, 8, 4, 2, 1))
        pool = self.pool() if pooled else None
        padding = self.number(1, 2) if kernel == 3 else 0
        if not pooled:
            padding = kernel // 2
        fields = self.common(bits, out, channels * kernel * kernel)
        if width == 32:
            fields |= {"activation": Activation.NONE, "output_width": 32}
        weight = self.weights(bits, out, channels, kernel, kernel)
        return self.add(
            Operation.CONV2D, (self.last,), weight=weight, pool=pool, padding=padding, **fields
        )

    def conv1d(self, out: int | None = None) -> str:
        channels, length, _ = self.shapes[self.last]
        out = self.channels() if out is None else out
        kernel, bits = self.number(1, 9), int(self.choose(8, 8, 4, 2, 1))
        dilation = int(self.choose(1, 2)) if kernel <= 5 else 1
        padding = min(2, (kernel - 1) * dilation)
        pool = self.pool(True)
        length = length if pool is None else (length - pool.size[0]) // pool.stride[0] + 1
        if length + 2 * padding <= (kernel - 1) * dilation:
            kernel, padding, dilation = 1, 0, 1
        weight = self.weights(bits, out, channels, kernel)
        return self.add(
            Operation.CONV1D, (self.last,), weight=weight, padding=padding, dilation=dilation,
            pool=pool, **self.common(bits, out, channels * kernel),
        )  # fmt: skip

    def transposed(self, out: int | None = None) -> str:
        channels = self.shapes[self.last][0]
        out = self.channels() if out is None else out
        return self.add(
            Operation.CONVTRANSPOSE2D, (self.last,), weight=self.weights(8, channels, out, 3, 3),
            padding=self.number(0, 1), **self.common(8, out, channels * 3),
        )  # fmt: skip

    def passthrough(self) -> str:
        pool = self.pool() if self.shapes[self.last][0] <= 64 else None
        return self.add(Operation.PASSTHROUGH, (self.last,), pool=pool)

    def linear(self) -> str:
        channels, rows, columns = self.shapes[self.last]
        out, bits = self.number(1, 100), int(self.choose(8, 8, 4))
        fields = self.common(bits, out, channels * rows * columns)
        if self.number(0, 1):
            fields |= {"activation": Activation.NONE, "output_width": 32}
        weight = self.weights(bits, out, channels * rows * columns)
        return self.add(Operation.LINEAR, (self.last,), weight=weight, **fields)


def chain(seed: int) -> tuple[Network, np.ndarray]:
    """2-D layers one after another, sometimes a linear layer at the end."""
    build = Builder(seed)
    build.start(int(build.choose(1, 3, build.channels())), build.number(4, 13), build.number(4, 13))
    for _ in range(build.number(1, 4)):
        kind = build.choose(build.conv2d, build.conv2d, build.conv2d, build.passthrough,
                            build.transposed)  # fmt: skip
        if build.shapes[build.last][1] * build.shapes[build.last][2] > 400:
            kind = build.conv2d
        kind()
    channels, rows, columns = build.shapes[build.last]
    if rows * columns * -(-channels // 64) <= 60 and channels * rows * columns <= 2000:
        build.linear()
    return finish(build)


def sequence(seed: int) -> tuple[Network, np.ndarray]:
    """1-D layers."""
    build = Builder(seed)
    build.start(build.channels(), build.number(8, 60))
    for _ in range(build.number(1, 3)):
        build.conv1d()
    return finish(build)


def branches(seed: int) -> tuple[Network, np.ndarray]:
    """A residual sum or a concatenation of two branches, with a layer behind it."""
    build = Builder(seed)
    build.start(build.number(1, 8), build.number(4, 10), build.number(4, 10))
    source = build.conv2d(pooled=False)
    width = build.shapes[source][0]
    if build.number(0, 1):
        build.add(Operation.PASSTHROUGH, (source,))
        copy = build.last
        build.last = source
        build.conv2d(out=width, pooled=False)
        operands = (copy, build.last)
        eltwise = build.choose(*Eltwise)
        if build.number(0, 1) and width <= 64:
            out = build.number(1, 40)
            weight = build.weights(8, out, width, 3, 3)
            build.add(Operation.CONV2D, operands, weight=weight, padding=1, eltwise=eltwise,
                      **build.common(8, out, width * 9))  # fmt: skip
        else:
            build.add(Operation.PASSTHROUGH, operands, eltwise=eltwise)
    else:
        build.last = source
        first = build.conv2d(out=build.number(1, 32), pooled=False)
        build.last = source
        second = build.conv2d(out=build.number(1, 32), pooled=False)
        out, total = build.number(1, 40), build.shapes[first][0] + build.shapes[second][0]
        weight = build.weights(8, out, total, 3, 3)
        build.add(Operation.CONV2D, (first, second), weight=weight, padding=1,
                  **build.common(8, out, total * 9))  # fmt: skip
    build.conv2d(out=build.number(1, 20), width=32)
    return finish(build)


def finish(build: Builder) -> tuple[Network, np.ndarray]:
    network = build.network((build.last,))
    sample = build.rng.integers(-128, 128, build.input_shape).astype(np.int8)
    return network, sample
