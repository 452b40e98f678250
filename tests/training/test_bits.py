"""Widths by layer: policies, and the search that fills the kernel memory."""

from __future__ import annotations

import itertools

import pytest
import torch
from exact_forward import Net, compare, integers, random_model

from max78k.compiler.allocate import plan
from max78k.compiler.lowering import lower
from max78k.errors import InputError
from max78k.training.bits import (
    BitPolicy,
    _loss,
    choose_bits,
    kernel_columns,
    parse_size,
    read_policy,
    search_bits,
    sensitivity,
    set_bits,
)
from max78k.training.calibrate import calibrate
from max78k.training.convert import to_network
from max78k.training.layers import Conv2d, Linear

SHAPE = (4, 8, 8)


def network() -> Net:
    layers = [Conv2d(4, 32), Conv2d(32, 48, 1, padding=0), Conv2d(48, 16), Linear(16 * 64, 5)]
    return random_model(Net(*layers), 3, 0.3)


def samples() -> list[torch.Tensor]:
    return [torch.from_numpy(integers(1, 32, *SHAPE)).float()]


def test_a_policy_in_the_vendors_form_is_read(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "start_epoch: 10\nweight_bits: 8\nshift_quantile: 0.99\n"
        "overrides:\n  layers.0:\n    weight_bits: 4\n  layers.2: 2\n"
    )
    policy = read_policy(path)
    assert policy == BitPolicy(8, {"layers.0": 4, "layers.2": 2}, ("start_epoch", "shift_quantile"))
    model = network()
    set_bits(model, policy)
    assert [int(x.weight_bits) for x in model.layers] == [4, 8, 2, 8]
    calibrate(model, samples())
    compare(model, integers(2, 2, *SHAPE))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E-BITS-FILE"),
        ("[1, 2]", "E-BITS-FILE"),
        ("overrides: {}", "E-BITS-FILE"),
        ("weight_bits: 8\nwieght: 4", "E-BITS-FILE .*wieght"),
        ("weight_bits: 8\noverrides: [1]", "E-BITS-FILE"),
        ("weight_bits: 3", "E-BITS-WIDTH"),
        ("weight_bits: true", "E-BITS-WIDTH"),
        ("weight_bits: eight", "E-BITS-WIDTH"),
        ("weight_bits: 8\noverrides: {a: {weight_bits: [1]}}", "E-BITS-WIDTH"),
        ("weight_bits: &a [*a", "E-BITS-FILE"),
        ("weight_bits: 8\noverrides: {nothing: 4}", "E-BITS-LAYER .*layers.0"),
    ],
)
def test_a_wrong_policy_is_refused(text, code, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=code):
        choose_bits(network(), str(path), budget=None, input_shape=SHAPE, batches=[])


def test_sizes_are_bytes():
    assert parse_size("432KiB") == 442_368 and parse_size("300000") == 300_000
    assert parse_size("0.25 MiB") == 262_144
    for wrong in ("", "many", "3 GB", "-1", "1e9"):
        with pytest.raises(InputError, match="E-BITS-BUDGET"):
            parse_size(wrong)
    with pytest.raises(InputError, match="E-BITS-BUDGET"):
        choose_bits(network(), "4", budget="100KiB", input_shape=SHAPE, batches=[])


def test_the_search_finds_the_best_widths_that_fit():
    model, data = network(), samples()
    errors, columns = sensitivity(model, data), kernel_columns(model, SHAPE)
    names = list(errors)
    for share in (0.3, 0.5, 0.8):
        budget = int(share * sum(row[8] for row in columns.values()))
        found = search_bits(model, data, input_shape=SHAPE, budget=budget * 576)
        chosen = found.policy.overrides
        costs = {
            widths: sum(_loss(errors[n][b]) for n, b in zip(names, widths, strict=True))
            for widths in itertools.product((1, 2, 4, 8), repeat=len(names))
            if sum(columns[n][b] for n, b in zip(names, widths, strict=True)) <= budget
        }
        mine = tuple(chosen[n] for n in names)
        assert costs[mine] == pytest.approx(min(costs.values()))
    with pytest.raises(InputError, match=r"E-BITS-BUDGET .*kernel columns"):
        search_bits(model, data, input_shape=SHAPE, budget=576)


def test_narrower_weights_are_noisier_and_the_model_stays_as_it_was():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    errors = sensitivity(model, samples())
    for row in errors.values():
        assert row[8] <= row[4] <= row[2]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_columns_are_those_of_the_planner():
    """The sum of all layers is where the planner's last kernel ends, or a little less."""
    model = network()
    calibrate(model, samples())
    net = lower(to_network(model, name="net", input_shape=SHAPE))
    placed = plan(net)
    columns = kernel_columns(model, SHAPE)
    starts = sorted(x.kernel_column for x in placed.layers.values() if x.kernel_column is not None)
    assert starts[-1] < sum(row[8] for row in columns.values()) <= 768
