"""The project for the vendor's SDK: its text, and what it does on the virtual board."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from chain_network import chain_network
from fifo_image import fed_image, fed_network
from sdk_build import build_with_stand_in

from max78k.codegen import msdk_data
from max78k.codegen.msdk import write_msdk_project
from max78k.codegen.msdk_options import MsdkOptions, boost_pin
from max78k.codegen.project import write_project
from max78k.codegen.project_folder import MANIFEST
from max78k.compiler.image import MemoryBlock
from max78k.errors import InputError
from max78k.flows.synthesis import compile_network, default_sample
from max78k.network import Activation, Layer, Network, Operation, Pool, reference

GENERATED = {"cnn.c", "cnn.h", "weights.h", "sampledata.h", "sampleoutput.h", "main.c"}
FILES = GENERATED | {"softmax.c", "Makefile", "project.mk", MANIFEST}


def two_outputs() -> Network:
    """Two layers whose 8-bit pictures are both output."""
    generator = np.random.default_rng(5)
    weight = generator.integers(-2, 2, (4, 4, 3, 3), dtype=np.int8)
    other = generator.integers(-128, 128, (4, 4, 3, 3), dtype=np.int8)
    layers = (
        Layer(
            "half", Operation.CONV2D, ("input",), weight, weight_bits=2, output_shift=2, padding=1,
            pool=Pool("avg", (2, 2), (2, 2)), activation=Activation.RELU,
        ),
        Layer("last", Operation.CONV2D, ("half",), other, output_shift=-3, padding=1),
    )  # fmt: skip
    return Network("two.outputs", (4, 12, 10), layers, ("half", "last"))


@pytest.fixture(scope="module")
def chain():
    network = chain_network()
    return compile_network(network, default_sample(network)).image, network


def written(image, network, folder, **options):
    return write_msdk_project(image, network, folder, options=MsdkOptions(**options))


def run(elf, seconds=8.0):
    """All that the program prints until it ends or fails, and the board."""
    board_module = pytest.importorskip("max78k.simulator.board")
    board = board_module.VirtualBoard(elf)
    console = bytearray()

    def done():
        console.extend(board.console.host_read())
        return b"FAIL ***" in console or (board.asleep and b"PASS ***" in console)

    board.run(seconds, done)
    board.run(0.02)
    console.extend(board.console.host_read())
    return console.decode("ascii"), board


@pytest.fixture(autouse=True, scope="module")
def tools():
    pytest.importorskip("unicorn", reason="the virtual board needs the extra [board]")
    pytest.importorskip("ziglang", reason="the programs are compiled with ziglang")


def test_program_passes_on_the_board_and_prints_what_test_harnesses_wait_for(chain, tmp_path):
    image, network = chain
    folder = written(image, network, tmp_path / "p", timer=0, softmax=True, boost=(2, 5))
    assert {path.name for path in folder.iterdir()} == FILES
    text, board = run(build_with_stand_in(folder, compiler="zig"))
    lines = text.split("\n")
    assert lines[:4] == ["Waiting...", "", "*** CNN Inference Test tiny7 ***", ""]
    assert lines[4] == "*** PASS ***"
    microseconds = int(re.search(r"Approximate inference time: (\d+) us\n\n", text)[1])
    assert microseconds == pytest.approx(sum(image.layer_cycles.values()) / 50, rel=0.05)
    assert text.split("Classification results:\n")[1] == "".join(results(image.expected_output))
    assert board.findings == []
    assert variable(board, "vectors_set") == 1 and variable(board, "sleeps") > 0
    assert ("green", True) in {(name, lit) for _, name, lit in board.led_events}


def variable(board, name):
    return int.from_bytes(board.memory(board.symbol(name), 4), "little")


def results(values):
    """The lines that the softmax's definition gives."""
    values = [int(value) for value in values]
    base = max(values) - (16 << 14)
    total = sum(1 << ((8192 + v - base) >> 14) for v in values if v > base)
    for number, value in enumerate(values):
        shift = 17 + ((8191 + base - value) >> 14)
        share = min(32767, (1 << 32) // total >> shift) if value > base else 0
        tenths = (1000 * share + 0x4000) >> 15
        yield f"[{value:7d}] -> Class {number}: {tenths // 10}.{tenths % 10}%\n"


@pytest.mark.parametrize(
    ("bits", "width", "scale"), [(4, 32, 1 << 4), (8, 8, 1 << 14)], ids=["4-bit", "8-bit output"]
)
def test_softmax_takes_narrow_weights_and_narrow_outputs(tmp_path, bits, width, scale):
    generator = np.random.default_rng(3)
    half = 1 << (bits - 1)
    weight = generator.integers(-half, half, (5, 4 * 9), dtype=np.int8)
    layer = Layer(
        "fc", Operation.LINEAR, ("input",), weight, weight_bits=bits, output_width=width,
        output_shift=-7 if width == 8 else 0,
    )  # fmt: skip
    network = Network("fc", (4, 3, 3), (layer,), ("fc",))
    image = compile_network(network, default_sample(network)).image
    folder = written(image, network, tmp_path / "p", softmax=True)
    text, board = run(build_with_stand_in(folder))
    assert "*** PASS ***" in text and board.findings == []
    values = [int(value) * scale for value in image.expected_output]
    assert text.split("Classification results:\n")[1] == "".join(results(values))
    assert len(set(re.findall(r"(\d+)\.\d%", text))) > 1


def test_program_without_express_loading_or_sleep_passes_too(chain, tmp_path):
    folder = written(*chain, tmp_path / "p", express=False, sleep=False, timer=1)
    text, board = run(build_with_stand_in(folder))
    assert "\n*** PASS ***\n\n" in text and board.findings == []
    assert len([lit for _, name, lit in board.led_events if name == "green"]) == 2
    with pytest.raises(KeyError):
        board.symbol("sleeps")  # the linker found no call of the sleep


def test_energy_program_marks_its_steps_with_a_pin(tmp_path):
    network = two_outputs()
    image = compile_network(network, default_sample(network)).image
    folder = written(image, network, tmp_path / "p", energy=True)
    text, board = run(build_with_stand_in(folder), 60)
    assert "\n*** PASS ***\n\n" in text and board.findings == []
    measured = re.findall(r"Measuring (.*)\.\.\.", text)
    assert measured == [
        "system base (idle) power", "weight loading", "input loading", "input load + inference",
    ]  # fmt: skip
    edges = [(name, lit) for _, name, lit in board.led_events if name in ("red", "green")]
    assert edges == [(led, lit) for led in ("red", *["green"] * 3) for lit in (True, False)]
    assert variable(board, "sleeps") >= 100


@pytest.mark.parametrize(("channels", "form", "fifos"), [(7, "HWC", 2), (3, "CHW", 3)])
def test_input_through_fifos(tmp_path, channels, form, fifos):
    network = fed_network(channels)
    image = fed_image(network, form)
    folder = written(image, network, tmp_path / "p", timer=0)
    data = (folder / "sampledata.h").read_text()
    names = re.findall(r"SAMPLE_INPUT_(\d+)", data)
    assert names == [str(16 * n) for n in range(fifos)]
    text, board = run(build_with_stand_in(folder))
    assert "*** PASS ***" in text and board.findings == []
    assert "Approximate data loading and inference time: " in text
    energy = written(image, network, tmp_path / "q", energy=True)
    text, _ = run(build_with_stand_in(energy))
    assert "Skipping input loading (using FIFO)..." in text and "*** PASS ***" in text


def test_fast_fifo_which_the_arm_core_does_not_reach_is_refused(tmp_path):
    network = fed_network(3)
    image = fed_image(network, "HWC")
    fast = replace(image, fifo_runs=(replace(image.fifo_runs[0], address=0x400C0410),))
    with pytest.raises(InputError, match="E-BUILD-FIFO"):
        written(fast, network, tmp_path / "p")
    with pytest.raises(InputError, match="E-BUILD-FIFO"):
        write_project(fast, tmp_path / "p")
    assert not any(tmp_path.iterdir())


def test_accelerator_can_be_switched_off_and_brought_up_again(chain, tmp_path):
    folder = written(*chain, tmp_path / "p")
    main = folder / "main.c"
    text = main.read_text()
    begin, end = text.index("    cnn_enable("), text.index("    cnn_disable();")
    main.write_text(text[:end] + "    cnn_disable();\n" + text[begin:end] + text[end:])
    printed, board = run(build_with_stand_in(folder))
    assert printed.count("*** PASS ***") == 2 and board.findings == []


def test_one_wrong_weight_bit_fails_and_tells_layer_and_position(chain, tmp_path):
    image, network = chain
    block = next(block for block in image.kernels if block.column == image.kernels[0].column)
    columns = block.columns.copy()
    columns[0, 0] ^= 0x40
    kernels = tuple(
        replace(other, columns=columns) if other is block else other for other in image.kernels
    )
    folder = written(replace(image, kernels=kernels), network, tmp_path / "p")
    text, _ = run(build_with_stand_in(folder))
    assert "*** FAIL ***" in text and "PASS" not in text
    assert re.search(r"Data mismatch \(1/4\) at address 0x\w{8}: Expected 0x\w{8}, read", text)
    found = re.search(
        r"First difference: layer 4 \(output\), channel 0, row 0, column 0: "
        r"expected (-?\d+), read (-?\d+)\.\n(\d) of 7 words differ",
        text,
    )
    assert found is not None and found[1] != found[2]
    assert int(found[1]) == image.expected_output[0]


def test_first_difference_is_the_lowest_channel_and_position_not_the_lowest_address(tmp_path):
    network = two_outputs()
    sample = default_sample(network)
    image = compile_network(network, sample).image
    shape = (4, 6, 5)
    last = reference.outputs(network, sample[None])[0][-np.prod(shape) :].reshape(shape)
    wrong = {(3, 0, 1), (2, 4, 3)}  # as channel, row, column: the second comes first
    runs = image.output_runs[-4:]
    expected = [MemoryBlock(b.address, b.words.copy(), b.mask) for b in image.expected]
    for channel, row, column in wrong:
        target = runs[channel]
        address = target.address + 4 * target.step * (5 * row + column)
        for block in expected:
            if 0 <= address - block.address < 4 * len(block.words):
                block.words[(address - block.address) // 4] ^= np.uint32(1 << 8 * target.lane)
    folder = written(replace(image, expected=tuple(expected)), network, tmp_path / "p")
    text, _ = run(build_with_stand_in(folder))
    value = int(last[2, 4, 3])
    assert f"layer 1 (last), channel 2, row 4, column 3: expected {value ^ 1}, read {value}" in text
    assert "2 of" in text


def test_unload_gives_the_output_s_bytes_in_the_order_of_channels(tmp_path):
    network = two_outputs()
    image = compile_network(network, default_sample(network)).image
    folder = written(image, network, tmp_path / "p")
    main = folder / "main.c"
    main.write_text(
        "uint32_t unloaded[(CNN_NUM_OUTPUTS + 3) / 4];\n".join(
            re.split(r"(?=int check_output)", main.read_text())
        ).replace("    cnn_disable();", "    cnn_unload(unloaded);\n    cnn_disable();")
    )
    text, board = run(build_with_stand_in(folder))
    assert "*** PASS ***" in text and "time" not in text and board.findings == []
    content = board.memory(board.symbol("unloaded"), len(image.expected_output))
    assert np.frombuffer(content, np.int8).tolist() == image.expected_output.tolist()


def test_arm_gcc_compiles_it_without_a_warning(chain, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = written(*chain, tmp_path / "p", timer=2, softmax=True, energy=True)
    build_with_stand_in(folder, compiler="arm-none-eabi-gcc")


def test_makefile_hands_the_sdk_what_it_asks_for(chain, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = written(*chain, tmp_path / "p", board="EvKit_V1")
    rules = tmp_path / "sdk" / "Libraries" / "CMSIS/Device/Maxim/MAX78000/Source/GCC"
    rules.mkdir(parents=True)
    (tmp_path / "sdk" / "Libraries" / "libs.mk").write_text("")
    (rules / "max78000.mk").write_text(
        "all:\n\t@echo $(sort $(SRCS)) $(PROJECT) $(BOARD) $(TARGET) $(MFLOAT_ABI)"
        " $(MXC_OPTIMIZE_CFLAGS) $(notdir $(LINKERFILE)) $(TEST_ADDED)\n"
    )
    (folder / "project.mk").write_text((folder / "project.mk").read_text() + "TEST_ADDED = mine\n")
    command = ["make", "-s", "BOARD=FTHR_RevA", f"MAXIM_PATH={tmp_path / 'sdk'}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "cnn.c", "main.c", "softmax.c", "tiny7", "FTHR_RevA", "MAX78000", "softfp", "-O2",
        "max78000.ld", "mine",
    ]  # fmt: skip


def test_layer_lines_have_the_form_that_other_programs_read(chain, tmp_path):
    folder = written(*chain, tmp_path / "p")
    lines = (folder / "cnn.c").read_text().split("\n")
    start = lines.index("// Configuring 5 layers")
    assert lines[start + 1] == "// Input data: CHW"
    assert lines[start + 3] == (
        "// Layer 1: 8x24x24, max pool 2x2 with stride 2/2, conv2d with kernel size 3x3, "
        "stride 1/1, pad 1/1, ReLU, 12x12x12 output"
    ).replace("8x24x24", "8x48x48").replace("12x12x12", "12x24x24")
    assert lines[start + 6] == (
        "// Layer 4: 8x6x6 flattened to 288x1x1, no pooling, linear, no activation, 7x1x1 output"
    )
    assert written(*chain, tmp_path / "q") and content(folder) == content(tmp_path / "q")


def test_every_register_kernel_and_bias_belongs_to_a_named_layer(chain, tmp_path):
    image, network = chain
    folder = written(image, network, tmp_path / "p")
    driver, data = (folder / "cnn.c").read_text(), (folder / "weights.h").read_text()
    configure = re.search(r"cnn_configure\(void\)\n{(.*?)\n}", driver, re.DOTALL)[1]
    parts = re.split(r"// Layer (\w+), quadrant (\d)\n", configure)
    names = list(dict.fromkeys(parts[1::3]))
    assert names == [layer.name for layer in network.layers]
    assert configure.count("0x50") == len(image.configure) and parts[0].strip() == ""
    kernels = re.findall(r"/\* (\w+): processor (\d+), (\d+) columns from (\d+) \*/", data)
    assert len(kernels) == len(image.kernels)
    assert [int(row[1]) for row in kernels] == [block.processor for block in image.kernels]
    assert set(re.findall(r"/\* (\w+): from entry \d+ \*/", data)) == set(names)


def test_edited_main_stays_and_edited_driver_is_not_lost(chain, tmp_path):
    folder = written(*chain, tmp_path / "p")
    main, driver = folder / "main.c", folder / "cnn.c"
    main.write_text(main.read_text() + "/* mine */\n")
    written(*chain, folder, timer=0)
    written(*chain, folder)
    assert main.read_text().endswith("/* mine */\n")
    driver.write_text(driver.read_text() + "/* mine */\n")
    with pytest.raises(InputError, match="E-PROJECT-EDITED") as caught:
        written(*chain, folder)
    assert "cnn.c" in str(caught.value) and "main.c" not in str(caught.value)
    write_msdk_project(*chain, folder, overwrite=True)
    assert "mine" not in main.read_text() + driver.read_text()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_known_answer_test_can_be_left_out(chain, tmp_path):
    folder = written(*chain, tmp_path / "p", check=False)
    assert {path.name for path in folder.iterdir()} == FILES - {"sampleoutput.h"}
    assert "sampleoutput" not in (folder / "main.c").read_text()
    build_with_stand_in(folder)


def test_what_does_not_fit_is_refused(tmp_path):
    network = two_outputs()
    image = compile_network(network, default_sample(network)).image
    with pytest.raises(InputError, match="E-BUILD-SOFTMAX"):
        written(image, network, tmp_path / "p", softmax=True)
    for options, code in (({"board": "X"}, "E-BUILD-BOARD"), ({"timer": 4}, "E-BUILD-TIMER")):
        with pytest.raises(InputError, match=code):
            MsdkOptions(**options)
    assert boost_pin("2.5") == (2, 5)
    for text in ("", "2", "4.1", "2.32", "2.5;"):
        with pytest.raises(InputError, match="E-BUILD-BOOST"):
            boost_pin(text)
    assert not any(tmp_path.iterdir())


def test_output_map_rows_follow_one_another_in_the_order_of_the_unloaded_bytes(tmp_path):
    network = two_outputs()
    image = compile_network(network, default_sample(network)).image
    text = (written(image, network, tmp_path / "p") / "sampleoutput.h").read_text()
    rows = re.findall(r'\{"(\w+)", (\d), (\d), (\d), ', text)
    order = [(int(layer), int(channel)) for _, layer, channel, _ in rows]
    assert len(order) == 8 and all(a < b for a, b in pairwise(order))
    assert {columns for *_, columns in rows} == {"5"}


def test_names_of_layers_cannot_become_code(chain):
    image, network = chain
    hostile = {f"*/ int x; /*{name}": cycles for name, cycles in image.layer_cycles.items()}
    text = msdk_data.weights(replace(image, layer_cycles=hostile), network, MsdkOptions())
    assert "int x" in text and "*/ int x" not in text
