"""The truth chain: all levels agree, and one wrong bit at any level is found and located."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.chip import addresses, cnn_registers
from max78k.chip.registers import Register
from max78k.compiler.image import Image, Write
from max78k.errors import MismatchError
from max78k.flows.accelerator_runs import check_known_answer, run_image
from max78k.flows.firmware import Firmware, make_firmware
from max78k.flows.synthesis import compile_network, default_sample, synthesize
from max78k.flows.truth_chain import TruthChain
from max78k.formats.onnx_export import export_onnx
from max78k.host.session import SIM, connect
from max78k.network import Layer, Network, Operation


@pytest.fixture(scope="module")
def inputs(tiny_network: Network) -> np.ndarray:
    generator = np.random.default_rng(1)
    return generator.integers(-128, 128, (3, *tiny_network.input_shape), dtype=np.int8)


@pytest.fixture(scope="module")
def image(tiny_network: Network) -> Image:
    return compile_network(tiny_network).image


def test_all_levels_give_the_same_integers(
    tiny_network: Network, tiny_firmware: Firmware, image: Image, inputs: np.ndarray, tmp_path: Path
) -> None:
    chain = TruthChain(tiny_network, inputs)
    export_onnx(tiny_network, tmp_path / "network.onnx")
    chain.onnx(tmp_path / "network.onnx")
    chain.reference()
    chain.accelerator(image)
    with connect(SIM, elf=tiny_firmware.build.elf, highest_baud=921600) as device:
        chain.board(device)
    assert chain.report.differences == 0
    assert [level.compared > 0 for level in chain.report.levels] == [True] * 4


def test_one_wrong_bit_in_kernel_memory_is_seen(
    tiny_network: Network, image: Image, inputs: np.ndarray
) -> None:
    block = image.kernels[0]
    columns = block.columns.copy()
    columns[0, 0] ^= 0x40
    broken = replace(image, kernels=(replace(block, columns=columns), *image.kernels[1:]))
    chain = TruthChain(tiny_network, inputs)
    chain.accelerator(broken)
    level = chain.report.levels[0]
    assert level.different > 0 and level.first is not None
    assert chain.report.to_json()["differences"] == level.different


def test_a_difference_names_layer_channel_position_and_values(
    tiny_network: Network, inputs: np.ndarray, tmp_path: Path
) -> None:
    layer = tiny_network.layers[-1]
    assert layer.bias is not None
    bias = layer.bias.copy()
    bias[3] += 1
    other = tiny_network.with_layer("output", bias=bias)
    export_onnx(other, tmp_path / "other.onnx")
    chain = TruthChain(tiny_network, inputs)
    chain.onnx(tmp_path / "other.onnx")
    first = chain.report.levels[0].first
    assert first is not None
    assert (first.layer, first.channel, first.input_index) == ("output", 3, 0)
    assert first.got - first.expected == 128
    assert chain.report.levels[0].different == len(inputs)


def _wrong_register(image: Image, offset: int, flip: int) -> Image:
    address = addresses.layer_register(0, offset, 0)
    writes = tuple(
        Write(write.address, write.value ^ flip if write.address == address else write.value)
        for write in image.configure
    )
    assert writes != image.configure
    return replace(image, configure=writes)


@pytest.mark.parametrize(
    ("register", "flip"),
    [
        (cnn_registers.POST, cnn_registers.POST.pack(SHIFT=1)),
        (cnn_registers.LCTL0, cnn_registers.LCTL0.pack(RELU=1)),
        (cnn_registers.MCNT, cnn_registers.MCNT.pack(START=8)),
        (cnn_registers.WPTR_BASE, 1),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_wrong_register_fails_the_known_answer_before_anything_is_written(
    image: Image, register: Register, flip: int
) -> None:
    with pytest.raises(MismatchError, match="E-KAT"):
        check_known_answer(_wrong_register(image, register.offset, flip))


def test_image_runs_many_inputs_without_reloading(image: Image, inputs: np.ndarray) -> None:
    once = [run_image(image, one[None])[0] for one in inputs]
    np.testing.assert_array_equal(run_image(image, inputs), np.stack(once))


def test_a_failing_synthesis_leaves_no_project(tiny_network: Network, tmp_path: Path) -> None:
    from max78k.errors import RuleError

    wide = tiny_network.with_layer("conv1", output_shift=30)
    with pytest.raises(RuleError):
        synthesize(wide, default_sample(wide), tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_input_channels_that_fill_the_last_pass_only_partly(tmp_path: Path) -> None:
    pytest.importorskip("unicorn", reason="the virtual board needs the extra [board]")
    generator = np.random.default_rng(5)
    weight = generator.integers(-128, 128, (6, 65, 1, 1), dtype=np.int8)
    layer = Layer("mix", Operation.CONV2D, ("input",), weight, output_width=32)
    network = Network("partly", (65, 3, 3), (layer,), ("mix",))
    inputs = generator.integers(-128, 128, (2, 65, 3, 3), dtype=np.int8)
    firmware = make_firmware(network, tmp_path / "firmware")
    chain = TruthChain(network, inputs)
    chain.accelerator(firmware.synthesis.image)
    with connect(SIM, elf=firmware.build.elf, highest_baud=921600) as device:
        chain.board(device)
        assert device.self_test().passed
    assert chain.report.differences == 0
