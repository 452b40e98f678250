"""What cannot be mapped is named with what can, all of it at once."""

from __future__ import annotations

from pathlib import Path

import foreign_models as foreign
import numpy as np
import pytest
import torch
from torch import nn

from max78k.errors import InputError, RuleError
from max78k.imports.sources import build_module, module_source, onnx_source
from max78k.training.layers import Linear as ChipLinear

SHAPE = (3, 16, 16)


def refusal(module: nn.Module) -> RuleError:
    with pytest.raises(RuleError) as found:
        module_source(module.eval(), SHAPE, "refused").model()
    return found.value


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        (nn.Conv2d(3, 8, 5, padding=2), "KERNEL", "(output 8x16x16): kernel 5x5|2 convolutions of"),
        (nn.Conv2d(3, 8, 7, padding=3), "KERNEL", "kernel 7x7|3 convolutions of 3x3|7x7 pixels"),
        (nn.Conv2d(3, 8, 3, stride=(2, 1), padding=1), "STRIDE", "stride 2x1|a 3x3 kernel"),
        (nn.Conv2d(3, 8, 3, stride=17), "STRIDE", "stride 17x17|pooling"),
        (nn.Conv2d(3, 8, 3, dilation=2), "DILATION", "dilation 2 in two dimensions|pooling"),
        (nn.Conv2d(3, 8, 2, padding=1), "PADDING", "kernel 2x2|3x3"),
        (nn.LeakyReLU(0.1), "OPERATION", "LeakyReLU 0|ReLU"),
        (nn.MaxPool2d(3, 2, padding=1), "POOL-PADDING", "padding (1, 1)|max pooling behind ReLU"),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), "POOL-PADDING", "padding (1, 1)|ReLU"),
        (nn.AvgPool2d(3, 2, ceil_mode=True), "POOL-PADDING", "after|ceil_mode"),
        (nn.MaxPool2d((1, 2)), "POOL-STRIDE", "pooling of 1x2 with stride 1x2|1x2 with stride 2"),
        (nn.MaxPool2d(2, dilation=2), "POOL-DILATION", "dilation 2|dilation 1"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "OPERATION", "Upsample|mode nearest"),
        (nn.Upsample(scale_factor=3), "OPERATION", "(48, 48)|mode nearest, by 2"),
        (nn.PixelShuffle(1), "OPERATION", "PixelShuffle|repeating pixels"),
        (nn.InstanceNorm2d(3), "OPERATION", "InstanceNorm2d|batch normalization"),
        (nn.AdaptiveAvgPool2d(5), "OPERATION", "(16, 16) to (5, 5)|divide"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), "OPERATION", "reflect|zero"),
        (nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), "TRANSPOSED", "kernel 4x4|3x3, or 2x2"),
        (nn.PixelUnshuffle(2), "OPERATION", "PixelUnshuffle|2x2 pooling"),
        (nn.ZeroPad2d(3), "PAD", "(3, 3) before|padding of the convolution"),
        (nn.ReLU6(), "", ""),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, nn.Module) else "",
)  # fmt: skip
def test_a_layer_that_the_chip_does_not_have(module: nn.Module, code: str, words: str) -> None:
    if not code:  # its limit is judged on the data
        assert module_source(nn.Sequential(module), SHAPE, "clipped").model().layers[0].limit == 6
        return
    error = refusal(nn.Sequential(module))
    assert error.code == f"E-IMPORT-{code}"
    for word in words.split("|"):
        assert word in str(error)


def test_all_refusals_come_together() -> None:
    error = refusal(
        nn.Sequential(
            nn.Conv2d(3, 8, 5), nn.LeakyReLU(), nn.Conv2d(8, 8, 3, stride=(2, 1)),
            nn.BatchNorm2d(8), nn.Conv2d(8, 8, 4, groups=8), nn.Tanh(),
            nn.Conv2d(8, 4, 3, dilation=2, padding=2),
        )
    )  # fmt: skip
    codes = [violation.code.removeprefix("E-IMPORT-") for violation in error.violations]
    assert sorted(codes) == ["DILATION", "KERNEL", "KERNEL", "OPERATION", "OPERATION", "STRIDE"]
    assert len(str(error).splitlines()) == 6


def test_attention_and_softmax_inside_are_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(2)
            return torch.bmm(torch.softmax(torch.bmm(x, x.transpose(1, 2)), 2), x)

    error = refusal(Net())
    assert "multiplies data with stored weights alone" in str(error)
    assert "softmax" in str(error) and "left to the processor" in str(error)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nn.MultiheadAttention(16, 2, batch_first=True), "MultiheadAttention|stored"),
        (lambda: nn.LSTM(16, 4, batch_first=True), "LSTM|1-D convolutions"),
    ],
)  # fmt: skip
def test_modules_that_give_several_parts_are_refused_by_name(make, word: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = make()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            lines = x[:, 0]
            attends = isinstance(self.part, nn.MultiheadAttention)
            return (self.part(lines, lines, lines) if attends else self.part(lines))[0]

    error = refusal(Net())
    for text in word.split("|"):
        assert text in str(error)


def test_a_part_that_is_not_of_the_channels_is_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            top, bottom = torch.chunk(x, 2, dim=2)
            return top + bottom + x[:, :, 8:]

    error = refusal(Net())
    assert "parts along axis 2" in str(error) and "getitem" in str(error)
    assert len(error.violations) == 2


def test_a_model_that_does_nothing_is_told_so() -> None:
    with pytest.raises(InputError, match=r"E-IMPORT-OUTPUT output .* is the input"):
        module_source(nn.Identity(), SHAPE, "nothing")


def test_forward_with_conditions_on_data_and_wrong_shapes() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="E-IMPORT-TRACE Net cannot be traced"):
        module_source(Net(), SHAPE, "net")
    with pytest.raises(InputError, match=r"E-IMPORT-TRACE .*\(3, 16, 16\)"):
        module_source(nn.Sequential(nn.Conv2d(4, 4, 3)), SHAPE, "net")


def test_classes_and_weights_that_cannot_be_had(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(12, classes))\n"
        "class Odd(nn.Module):\n"
        "    def __init__(self, size):\n"
        "        super().__init__()\n"
    )
    with pytest.raises(InputError, match="E-IMPORT-CLASS Odd"):
        build_module(f"{file}:Odd", (3, 2, 2), 4)
    weights = tmp_path / "net.pt"
    with pytest.raises(InputError, match=r"E-WEIGHTS-FILE .*no such file"):
        build_module(f"{file}:Net", (3, 2, 2), 4, weights)
    weights.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"E-WEIGHTS-FILE .*state_dict"):
        build_module(f"{file}:Net", (3, 2, 2), 4, weights)
    torch.save(nn.Linear(12, 4).state_dict(), weights)
    with pytest.raises(InputError, match="E-WEIGHTS-MISSING"):
        build_module(f"{file}:Net", (3, 2, 2), 4, weights)
    torch.save({"state_dict": nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).state_dict()}, weights)
    module, notes = build_module(f"{file}:Net", (3, 2, 2), 4, weights)
    assert module_source(module, (3, 2, 2), "net").model().layers[0].wide
    assert notes == (f"{weights}: 2 tensors loaded",)


def test_networks_made_for_training_on_the_chip_are_sent_there() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1), ChipLinear(4, 2))
    with pytest.raises(InputError, match=r"E-IMPORT-CLASS .*train-qat"):
        module_source(module, (1, 2, 2), "chip")


def test_operations_of_onnx_are_refused_by_name(tmp_path: Path) -> None:
    file = foreign.Onnx([1, *SHAPE])
    x = file.node("LeakyRelu", "x", alpha=0.2)
    x = file.node("Conv", x, file.constant(np.ones((4, 3, 5, 5))), auto_pad="SAME_UPPER")
    x = file.node("Mul", x, file.node("Sigmoid", x))
    x = file.node("Transpose", x, perm=[0, 2, 3, 1])
    x = file.node("ReduceMean", x, axes=[1], keepdims=0)
    with pytest.raises(RuleError) as found:
        onnx_source(file.save(tmp_path / "a.onnx", x)).model()
    text = str(found.value)
    for word in ("LeakyRelu leakyrelu0 (output 1x3x16x16)", "kernel 5x5", "Mul mul3",
                 "Sigmoid sigmoid2", "ReduceMean reducemean5"):  # fmt: skip
        assert word in text
    assert len(found.value.violations) >= 5
