"""Descriptions from the recorded corpus mean what the vendor's tool takes them to mean."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import golden_descriptions
import numpy as np
import pytest

from max78k.errors import Max78kError, RuleError
from max78k.formats.network_yaml import read_yaml
from max78k.network import reference

# Recorded under options that change the network or its addresses, not the description.
OTHER_NUMBERS = {
    "v-chan1024-output-width_32", "v-mnistxs-ignoreact", "v-mnistxs-out8", "v-mnistxs-out8-mlator",
}  # fmt: skip
OTHER_PLACES = {"v-mnistxs-fastfifoquad", "v-mnistxs-inputoffset"}
PART_OF_THE_WEIGHTS = {"v-mnistxs-stopafter0", "v-mnistxs-stopafter1"}
# Words in the peer's message and the code of our error, where the reason stands in the YAML.
REASONS = {
    "Binary weights": "E-YAML-VALUE",
    "Convolution groups": "E-YAML-MAX78002",
    "Kernel bypass": "E-YAML-MAX78002",
    "`calcx4` is not": "E-YAML-MAX78002",
    "`dilation` > 1": "E-YAML-CONFLICT",
    "`next_sequence` is not": "E-YAML-MAX78002",
    "`out_offset` in YAML": "E-YAML-VALUE",
    "`pool_dilation`": "E-YAML-MAX78002",
    "`read_gap`": "E-YAML-MAX78002",
    "`readahead` is not": "E-YAML-MAX78002",
    "`snoop` is not": "E-YAML-MAX78002",
    "`stride` to non-default": "E-YAML-CONFLICT",
    "up to 32 layers": "E-YAML-LAYERS",
}


def codes(error: Max78kError) -> set[str]:
    return {entry.code for entry in error.violations} if isinstance(error, RuleError) else set()


def test_every_accepted_description_is_read(shared_folder: Path) -> None:
    accepted = golden_descriptions.folders(shared_folder, accepted=True)
    assert len(accepted) == 449
    for folder in accepted:
        assert read_yaml(folder / "network.yaml").layers


def test_reasons_in_the_file_are_found(shared_folder: Path) -> None:
    checked = Counter[str]()
    for folder in golden_descriptions.folders(shared_folder, accepted=False):
        meta = json.loads((folder / "meta.json").read_text())
        message = " ".join(meta["errors"])
        if any(option in meta["options"] for option in ("--calcx4", "--read-ahead")):
            continue  # asked for on the command line
        for words, code in REASONS.items():
            if words in message:
                with pytest.raises(RuleError) as caught:
                    read_yaml(folder / "network.yaml")
                assert code in codes(caught.value), folder.name
                checked[words] += 1
    assert set(checked) == set(REASONS)
    assert checked.total() == 111


def test_bound_networks_compute_the_recorded_outputs_at_the_recorded_places(
    shared_folder: Path,
) -> None:
    equal = 0
    refused = Counter[str]()
    for folder in golden_descriptions.folders(shared_folder, accepted=True):
        try:
            case = golden_descriptions.load(folder)
        except RuleError as error:
            refused[error.code] += 1
            assert folder.name in {*PART_OF_THE_WEIGHTS, "t-multilayer-eltwise"}
            continue
        if folder.name not in OTHER_PLACES:
            compare_places(case)
        if folder.name not in OTHER_NUMBERS:
            compare_outputs(case)
            equal += 1
    assert equal == 442
    assert refused == {"E-YAML-SHAPE": 1, "E-YAML-WEIGHTS": 2}


def compare_outputs(case: golden_descriptions.Case) -> None:
    values = reference.run(case.network, case.sample[None])
    for number, layer in enumerate(case.network.layers):
        recorded = case.meta["tensors"].get(str(number), {}).get("out")
        if recorded is not None:
            found = np.ascontiguousarray(values[layer.name][0], "<i4").tobytes()
            digest = hashlib.sha256(found).hexdigest()
            assert digest == recorded["sha256_i32"], (case.name, layer.name)


def compare_places(case: golden_descriptions.Case) -> None:
    for row, layer in zip(case.meta["layers"], case.network.layers, strict=True):
        place = case.placement.layers[layer.name]
        found = (
            place.processors, place.output_processors,
            place.in_offset, place.out_offset, place.write_gap,
        )  # fmt: skip
        assert found == (
            int(row["processor_map"], 16), int(row["output_processor_map"], 16),
            row["in_offset"], row["out_offset"], row["write_gap"],
        ), (case.name, layer.name)  # fmt: skip
