"""Random networks: planned, checked, assembled, run on the accelerator model."""

from __future__ import annotations

import on_model
import pytest
import random_networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from max78k.compiler import placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image, Write
from max78k.errors import RuleError

_FULL = {"E-RULE-KERNEL-FIT", "E-RULE-DATA-FIT", "E-RULE-BIAS-FIT"}
seeds = st.integers(0, 100_000)
few = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def run(kind: str, seed: int) -> None:
    network, sample = getattr(random_networks, kind)(seed)
    try:
        placement = plan(network)
    except RuleError as error:
        assert error.code in _FULL, error
        return
    assert placement_rules.check(network, placement) == []
    image = assemble(network, placement, sample)
    wrong, reports = on_model.run(image)
    assert (wrong, reports) == ([], [])


@few
@given(seeds)
def test_a_chain_of_layers_runs_as_expected(seed: int) -> None:
    run("chain", seed)


@few
@given(seeds)
def test_a_chain_of_1d_layers_runs_as_expected(seed: int) -> None:
    run("sequence", seed)


@few
@given(seeds)
def test_sums_and_concatenations_run_as_expected(seed: int) -> None:
    run("branches", seed)


@pytest.fixture(scope="module")
def image() -> Image:
    network, sample = random_networks.chain(3)
    return assemble(network, plan(network), sample)


def test_the_model_sees_a_wrong_register(image: Image) -> None:
    comments = [write.comment for write in image.configure]
    number = next(n for n, text in enumerate(comments) if text.endswith("SRAM write pointer"))
    write = image.configure[number]
    configure = list(image.configure)
    configure[number] = Write(write.address, write.value + 1)
    wrong, _ = on_model.run(on_model.replace(image, configure=tuple(configure)))
    assert wrong


def test_the_model_sees_a_wrong_kernel_bit(image: Image) -> None:
    block = image.kernels[-1]
    columns = block.columns ^ 0x80
    blocks = (*image.kernels[:-1], on_model.replace(block, columns=columns))
    wrong, _ = on_model.run(on_model.replace(image, kernels=blocks))
    assert wrong
