"""Recorded networks planned from scratch, compared with their placements by hand."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ALWAYS = ("n-cats-dogs", "n-cifar10-hwc-ai85", "n-mnist", "n-svhn_tinierssd", "t-eltwiseadd-7ch",
          "t-conv1d-dilation7-pad0", "t-fifostream-640.fifo", "t-upscale")  # fmt: skip
SAMPLE = 12  # further cases, drawn with a fixed seed


@pytest.fixture(scope="module")
def plans() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
    try:
        import plans
    finally:
        sys.path.pop(0)
    return plans


def faults(plans: ModuleType, folder: Path) -> list[str]:
    cases = plans.load(folder)
    return [f"{c.name}: {fault}" for c in cases for fault in plans.compare(c, 5.0).faults]


@pytest.mark.parametrize("name", ALWAYS)
def test_a_plan_is_no_worse_than_the_placement_by_hand(
    name: str, shared_folder: Path, plans: ModuleType
) -> None:
    assert faults(plans, shared_folder / "golden" / name) == []


def test_nor_is_any_of_a_sample(shared_folder: Path, plans: ModuleType) -> None:
    corpus = shared_folder / "golden"
    small = [name for name in plans.names(corpus, ["t-"]) if "vga" not in name]
    for name in random.Random(3).sample(small, SAMPLE):
        assert faults(plans, corpus / name) == []


def test_a_worse_plan_and_another_output_are_seen(shared_folder: Path, plans: ModuleType) -> None:
    (case,) = plans.load(shared_folder / "golden" / "n-mnist-extrasmall")
    cheaper = replace(case, figures=plans.Figures(100, 1, 10), digests=("00",))
    found = " ".join(plans.compare(cheaper, 5.0).faults)
    assert "output" in found
    assert all(f"{what}: " in found for what in ("data", "kernels", "cycles"))


def test_streaming_networks_are_planned_with_and_without_that_choice(
    shared_folder: Path, plans: ModuleType
) -> None:
    kept, free = plans.load(shared_folder / "golden" / "t-fifostream-15ch-hwc.fifo")
    assert kept.feed == "fifo" and [layer.streaming for layer in kept.network.layers] == [True] * 2
    assert free.feed is None and not any(layer.streaming for layer in free.network.layers)
