"""Assembled images against images recorded from the vendor's tool."""

from __future__ import annotations

import re
from pathlib import Path

import golden_cases
import numpy as np
import on_model
import pytest

from max78k.compiler import cycles
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image, Write
from max78k.compiler.placement_rules import check
from max78k.errors import Max78kError
from max78k.network import reference

SAMPLE = 60
# Recorded values that differ for a reason; everything else is equal.
KNOWN = {
    # A linear layer on one pixel: the recording counts 100 kernels, not 2 passes of 52.
    "t-mlpflatten12to100",
    "t-mlpflatten12to100-big",
    # Narrow weights and a partly filled last input pass: see EXCEPTIONS.md, same defect.
    "f-fuzz066",
}


def usable(shared_folder: Path) -> list[Path]:
    golden = shared_folder / "golden"
    excluded = set(re.findall(r"`([^`]+)`", (golden / "EXCEPTIONS.md").read_text())) | KNOWN
    return [f for f in sorted(golden.iterdir()) if f.is_dir() and f.name not in excluded]


def cases(shared_folder: Path, seed: int, count: int) -> list[golden_cases.Case]:
    """``count`` cases that the compiler maps, drawn with ``seed``."""
    folders = usable(shared_folder)
    order = np.random.default_rng(seed).permutation(len(folders))
    found: list[golden_cases.Case] = []
    for number in order:
        try:
            found.append(golden_cases.load(folders[number]))
        except golden_cases.NotMapped:
            continue
        if len(found) == count:
            break
    return found


def test_sampled_images_equal_the_recorded_ones(shared_folder: Path) -> None:
    equal = 0
    for case in cases(shared_folder, 1, SAMPLE):
        try:
            image = assemble(case.network, case.placement, case.sample)
        except Max78kError as error:
            assert error.code == "E-RULE-DILATION", (case.folder.name, error)
            continue
        assert golden_cases.differences(case, image) == [], case.folder.name
        equal += 1
    assert equal >= SAMPLE - 5


def test_cycles_and_operations_equal_the_recorded_ones(shared_folder: Path) -> None:
    compared = 0
    for case in cases(shared_folder, 2, SAMPLE):
        if check(case.network, case.placement):
            continue
        names = [layer.name for layer in case.network.layers]
        ours, operations = cycles.layer_cycles(case.network), cycles.macs(case.network)
        for name, row in zip(names, case.meta["layers"], strict=True):
            assert operations[name] == row["ops"]["macc"], (case.folder.name, name)
            output = int(row["output_processor_map"], 16)
            lowest = (output & -output).bit_length() - 1
            packed = output >> lowest == (1 << output.bit_count()) - 1 and lowest % 4 == 0
            if packed and row["operator"] != "passthrough" and row["pool_first"]:
                start = 1 if row["layer"] == 0 else 0
                assert ours[name] == row["cycles_est"] + start, (case.folder.name, name)
                compared += 1
    assert compared > SAMPLE


@pytest.fixture(scope="module")
def one(shared_folder: Path) -> tuple[golden_cases.Case, Image]:
    case = golden_cases.load(shared_folder / "golden" / "n-mnist")
    return case, assemble(case.network, case.placement, case.sample)


def test_the_comparison_sees_one_wrong_register(one: tuple[golden_cases.Case, Image]) -> None:
    case, image = one
    first = image.configure[0]
    wrong = Write(first.address, first.value ^ 1)
    changed = golden_cases.changed(image, configure=(wrong, *image.configure[1:]))
    assert len(golden_cases.differences(case, changed)) == 1


def test_the_comparison_sees_one_wrong_kernel_byte(one: tuple[golden_cases.Case, Image]) -> None:
    case, image = one
    block = image.kernels[3]
    columns = block.columns.copy()
    columns[0, 4] ^= 0x10
    blocks = list(image.kernels)
    blocks[3] = golden_cases.changed(block, columns=columns)
    changed = golden_cases.changed(image, kernels=tuple(blocks))
    assert len(golden_cases.differences(case, changed)) == 1


def test_the_integer_reference_equals_the_recorded_tensors(shared_folder: Path) -> None:
    compared = 0
    for case in cases(shared_folder, 3, SAMPLE):
        outputs = reference.run(case.network, case.sample[None])
        tensors = case.tensors()
        for row in case.meta["layers"]:
            recorded = tensors.get(f"L{row['layer']:03d}.out")
            if recorded is not None:
                ours = outputs[f"L{row['layer']}"].reshape(-1)
                assert np.array_equal(ours, recorded.reshape(-1)), (case.folder.name, row["layer"])
                compared += 1
    assert compared > SAMPLE


def test_recorded_placements_run_on_the_accelerator_model(shared_folder: Path) -> None:
    for case in cases(shared_folder, 4, 20):
        if not check(case.network, case.placement):
            image = assemble(case.network, case.placement, case.sample)
            assert on_model.run(image) == ([], []), case.folder.name
