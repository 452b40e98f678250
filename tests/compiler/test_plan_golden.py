"""Recorded networks planned from scratch, compared with their placements by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

NAMES = ("n-cifar10-hwc-ai85", "n-mnist", "n-svhn_tinierssd", "t-passthrough-2", "t-upscale",
         "t-ai85-cifar10-hwc-3x3s2p2avgpool")  # fmt: skip


@pytest.fixture(scope="module")
def plans() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
    try:
        import plans
    finally:
        sys.path.pop(0)
    return plans


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_no_worse_than_the_placement_by_hand(
    name: str, shared_folder: Path, plans: ModuleType
) -> None:
    outcome = plans.compare(plans.load(shared_folder / "golden" / name), 5.0)
    assert outcome.faults == []
    assert outcome.seconds < 5


def test_a_worse_plan_and_another_output_are_seen(shared_folder: Path, plans: ModuleType) -> None:
    case = plans.load(shared_folder / "golden" / "n-mnist-extrasmall")
    cheaper = plans.replace(case, figures=plans.Figures(100, 1, 10), digests=("00",))
    faults = " ".join(plans.compare(cheaper, 5.0).faults)
    assert "output" in faults
    assert all(f"{what}: " in faults for what in ("data", "kernels", "cycles"))
