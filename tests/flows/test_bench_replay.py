"""A failed bench comes again, or does not, on the virtual board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.errors import InputError, MismatchError
from max78k.flows.bench import BenchOptions, bench_board
from max78k.flows.bench_bundle import read_bundle, write_bundle
from max78k.flows.bench_inputs import Source
from max78k.flows.bench_replay import replay
from max78k.flows.firmware import Firmware
from max78k.simulator.program import read_program

OPTIONS = BenchOptions(Source("random", count=3))


@pytest.fixture(scope="module")
def spoilt(tiny_firmware: Firmware, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware with one weight changed: its known answer is wrong."""
    elf = tiny_firmware.build.elf.read_bytes()
    program = read_program(tiny_firmware.build.elf)
    start = program.symbols["kernels_20"]
    first, data = next((a, d) for a, d in program.segments if a <= start < a + len(d))
    weights = bytes(data[start - first :][:64])
    place = elf.index(weights)
    path = tmp_path_factory.mktemp("spoilt") / "firmware.elf"
    path.write_bytes(elf[:place] + bytes(byte ^ 0x55 for byte in weights) + elf[place + 64 :])
    return path


@pytest.fixture(scope="module")
def bundle(spoilt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = bench_board("sim", OPTIONS, tmp_path_factory.mktemp("run"), elf=spoilt)
    assert isinstance(run.error, MismatchError) and run.bundle is not None
    return run.bundle


def test_the_same_firmware_fails_again(bundle: Path, tmp_path: Path):
    found = replay(bundle, tmp_path)
    assert found.again and found.code == "E-KAT-BOARD"
    assert found.link["good frames to the board"] >= 8  # the input alone takes three
    assert found.link["bytes to the board"] > 2304
    with pytest.raises(MismatchError, match="E-KAT-BOARD"):
        found.raise_for_difference()


def test_sound_firmware_does_not_fail_and_has_other_scores(
    bundle: Path, tiny_firmware: Firmware, tmp_path: Path
):
    found = replay(bundle, tmp_path, elf=tiny_firmware.build.elf)
    assert not found.again and found.run.error is None
    assert found.run.result is not None and len(found.run.result.rows) == 3
    # Only the first inference had been recorded, with the wrong weight.
    assert found.same + found.different == 1
    assert "did not come again" in found.text()


def test_what_is_in_a_bundle_survives_the_way(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    write_bundle(tmp_path / "again.zip", first)
    second = read_bundle(tmp_path / "again.zip")
    assert second.rows == first.rows and second.link == first.link
    assert second.firmware == first.firmware and second.about["error"] == first.about["error"]
    assert all(np.array_equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))
    assert len(second.inputs) == 3


def test_packets_of_different_numbers_survive_too(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    first.about["options"]["source"]["raw"] = True
    packets = [np.arange(n * 4, dtype=np.int8).reshape(n, 4) for n in (16, 3, 5)]
    write_bundle(tmp_path / "raw.zip", replace(first, inputs=packets, labels=None))
    found = read_bundle(tmp_path / "raw.zip").inputs
    assert [one.shape for one in found] == [(16, 4), (3, 4), (5, 4)]
    assert all(np.array_equal(a, b) for a, b in zip(found, packets, strict=True))


def test_another_firmware_than_the_bundle_s_own_is_found_out(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    path = tmp_path / "swapped.zip"
    about = {**first.about, "device": {**first.about["device"], "network_id": 7}}
    write_bundle(path, replace(first, about=about))
    with pytest.raises(InputError, match=r"E-BENCH-REPLAY.*00000007"):
        replay(path, tmp_path / "r")
