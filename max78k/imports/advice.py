"""For operations that the chip does not have: the nearest one that it has."""

from __future__ import annotations

_RELU = "ReLU, and train it so."
_NORM = "batch normalization, which is folded into the weights."
_RECURRENT = "1-D convolutions over the last samples."
_ATTENTION = "convolutions: the chip multiplies data with stored weights alone."
_TAIL = "softmax after the last layer alone, where it is left to the processor."
_LARGER = "repeating pixels (mode nearest, by 2), or a transposed convolution of stride 2."
_STATIC = "the float model, or static quantization: steps that are known before the data are."

_ADVICE = {
    "leakyrelu": _RELU, "prelu": _RELU, "elu": _RELU, "selu": _RELU, "celu": _RELU,
    "gelu": _RELU, "erf": _RELU, "silu": _RELU, "mish": _RELU, "softplus": _RELU,
    "hardswish": _RELU, "hardsigmoid": _RELU, "sigmoid": _RELU, "tanh": _RELU,
    "thresholdedrelu": _RELU, "logsigmoid": _RELU, "leaky_relu": _RELU, "hardtanh": _RELU,
    "layernormalization": _NORM, "layernorm": _NORM, "instancenormalization": _NORM,
    "instancenorm2d": _NORM, "groupnormalization": _NORM, "groupnorm": _NORM, "lrn": _NORM,
    "lstm": _RECURRENT, "gru": _RECURRENT, "rnn": _RECURRENT,
    "matmul": _ATTENTION, "bmm": _ATTENTION, "einsum": _ATTENTION, "attention": _ATTENTION,
    "multiheadattention": _ATTENTION, "scaled_dot_product_attention": _ATTENTION,
    "softmax": _TAIL, "logsoftmax": _TAIL, "log_softmax": _TAIL,
    "mul": "addition or concatenation of the two.",
    "div": "a constant divisor, which is folded into the weights.",
    "upsample": _LARGER, "pixelshuffle": _LARGER, "depthtospace": _LARGER,
    "pixelunshuffle": "2x2 pooling, or a 2x2 convolution of stride 2.",
    "spacetodepth": "2x2 pooling, or a 2x2 convolution of stride 2.",
    "convinteger": _STATIC, "matmulinteger": _STATIC, "dynamicquantizelinear": _STATIC,
    "conv3d": "2-D convolutions with the third axis as channels.",
    "embedding": "data of one number per channel.",
}  # fmt: skip
_GENERAL = (
    "convolutions 3x3 or 1x1, linear layers, pooling, ReLU, addition, concatenation; "
    "everything else before or after the network."
)


def advice(operation: str) -> str:
    """What to use instead of ``operation``, named as in ONNX or in torch."""
    return _ADVICE.get(operation.lower(), _GENERAL)
