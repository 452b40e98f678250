"""The plain-data Image holds every word where any other model of the chip looks for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from golden_recorded import Recorded

from max78k.chip import addresses
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image, InputRun, KernelBlock, MemoryBlock, OutputRun, Write
from max78k.formats.image_npz import input_blocks, write_image

DATA = addresses.data_memory(0)
OTHER = addresses.data_memory(1)


def image() -> Image:
    sample = np.arange(-10, 10).reshape(5, 2, 2).astype(np.int8)
    columns = np.arange(27).reshape(3, 9).astype(np.uint8)
    nothing = np.zeros(0, np.int8)
    return Image(
        name="tiny",
        quadrants=(0,),
        init=(Write(0x5010_0000, 0x10_0008), Write(0x5010_0004, 0x40E)),
        kernels=(KernelBlock(0, 4, columns[:1]), KernelBlock(17, 8, columns[1:])),
        bias=(nothing, np.array([-1, 2], np.int8), nothing, nothing),
        configure=(Write(0x5010_0010, 1),),
        start=(Write(0x5010_0000, 0x808), Write(0x5010_0000, 0x9)),
        input_runs=(InputRun(DATA, 0, 4, 0, 1, 4), InputRun(OTHER, 4, 1, 0, 1, 4)),
        output_runs=(OutputRun(DATA + 0x100, 1, 2, 3, 8), OutputRun(OTHER + 0x200, 0, 1, 2, 32)),
        sample_input=sample,
        expected=(MemoryBlock(DATA + 0x100, np.array([1, 2], np.uint32), 0xFF00),),
        expected_output=np.array([1, 2, 3, 4, 5], np.int64),
        layer_cycles={"a": 1},
    )


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    path = tmp_path / "image.npz"
    write_image(image(), path)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_accesses_are_in_the_order_of_a_run(arrays: dict[str, np.ndarray]) -> None:
    meta = json.loads(arrays["meta"].tobytes())
    rows = [
        (meta["functions"][function], int(op), int(address), int(value), int(mask))
        for function, op, address, value, mask in zip(
            *(arrays[f"ev_{key}"] for key in ("fn", "op", "addr", "val", "mask")), strict=True
        )
    ]
    every = 0xFFFF_FFFF
    assert rows == [
        ("cnn_init", 0, 0x5010_0000, 0x10_0008, every),
        ("cnn_init", 0, 0x5010_0004, 0x40E, every),
        ("cnn_load_bias", 5, addresses.bias_memory(1), 0, 0),
        ("cnn_configure", 0, 0x5010_0010, 1, every),
        ("load_input", 5, DATA, 1, 0),
        ("load_input", 5, OTHER, 2, 0),
        ("cnn_start", 0, 0x5010_0000, 0x808, every),
        ("cnn_start", 0, 0x5010_0000, 0x9, every),
    ]
    assert meta["bias_addr"] == {"1": addresses.bias_memory(1)}
    assert arrays["bias_q1"].tolist() == [255, 2]
    assert "bias_q0" not in arrays


def test_kernels_stand_at_their_physical_addresses(arrays: dict[str, np.ndarray]) -> None:
    assert arrays["kern_block_addr"].tolist() == [0x5018_0000 + 4 * 16, 0x5058_4000 + 8 * 16]
    assert arrays["kern_block_len"].tolist() == [1, 2]
    np.testing.assert_array_equal(arrays["kern_bytes"], np.arange(27).reshape(3, 9))


def test_input_words_hold_a_channel_in_each_byte(arrays: dict[str, np.ndarray]) -> None:
    assert arrays["in_addr"].tolist() == [DATA, OTHER]
    assert arrays["in_len"].tolist() == [4, 4]
    # pixel 0: channels -10, -6, -2, 2; fifth channel alone: 6
    assert arrays["in_words"][0] == 0x02FE_FAF6
    assert arrays["in_words"][4:].tolist() == [6, 7, 8, 9]


def test_the_output_and_how_to_unload_it(arrays: dict[str, np.ndarray]) -> None:
    assert arrays["out_addr"].tolist() == [DATA + 0x100]
    assert arrays["out_mask"].tolist() == [0xFF00]
    assert arrays["out_words"].tolist() == [1, 2]
    assert arrays["ul_addr"].tolist() == [
        DATA + 0x100, DATA + 0x108, DATA + 0x110, OTHER + 0x200, OTHER + 0x204,
    ]  # fmt: skip
    assert arrays["ul_dst"].tolist() == [0, 1, 2, 3, 7]
    assert arrays["ul_shift"].tolist() == [8, 8, 8, 0, 0]
    assert arrays["ul_bytes"].tolist() == [1, 1, 1, 4, 4]
    assert arrays["output"].tolist() == [1, 2, 3, 4, 5]


def test_planar_input_packs_four_pixels_to_a_word() -> None:
    sample = np.array([[[1, 2, 3], [4, 5, -1]]], np.int8)
    blocks = input_blocks([InputRun(DATA + 8, 0, 1, 0, 1, 6, planar=True)], sample)
    assert [(address, words.tolist()) for address, words in blocks] == [
        (DATA + 8, [0x0403_0201, 0x0000_FF05])
    ]


def test_passes_interleave_and_gaps_split_blocks() -> None:
    sample = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], np.int8)
    runs = [InputRun(DATA, 0, 2, 0, 2, 2), InputRun(DATA + 4, 2, 1, 0, 2, 2)]
    blocks = input_blocks(runs, sample)
    assert [(address, words.tolist()) for address, words in blocks] == [
        (DATA, [0x0301, 5, 0x0402, 6])
    ]
    gaps = input_blocks([InputRun(DATA, 0, 1, 2, 2, 2)], sample)
    assert [(address, words.tolist()) for address, words in gaps] == [
        (DATA, [0x1_0000]), (DATA + 8, [0x2_0000]),
    ]  # fmt: skip


def words(arrays: dict[str, np.ndarray], prefix: str) -> dict[int, int]:
    starts = np.concatenate([[0], np.cumsum(arrays[f"{prefix}_len"], dtype=int)]).tolist()
    return {
        address + 4 * index: value
        for number, address in enumerate(arrays[f"{prefix}_addr"].tolist())
        for index, value in enumerate(
            arrays[f"{prefix}_words"][starts[number] : starts[number + 1]].tolist()
        )
    }


@pytest.mark.parametrize(
    "name", ["n-mnist", "n-kws20_v3", "t-conv1d-1", "f-fuzzelt001", "f-fuzzcat007", "t-widein"]
)
def test_a_recorded_description_gives_the_recorded_words(
    name: str, shared_folder: Path, tmp_path: Path
) -> None:
    folder = shared_folder / "golden" / name
    network, given = Recorded(folder).network(columns=False)
    sample = Recorded(folder).sample
    placement = plan(network, given)
    path = tmp_path / "image.npz"
    write_image(assemble(network, placement, sample), path)
    with np.load(path) as archive, np.load(folder / "image.npz") as recorded:
        found, expected = dict(archive), dict(recorded)
    for prefix in ("in", "out"):
        assert words(found, prefix) == words(expected, prefix)
    for quadrant in range(4):
        key = f"bias_q{quadrant}"
        assert (key in found) == (key in expected)
    unload = ("ul_dst", "ul_addr", "ul_shift", "ul_bytes")
    rows = [set(zip(*(item[key].tolist() for key in unload), strict=True)) for item in (
        found, expected)]  # fmt: skip
    assert rows[0] == rows[1]
