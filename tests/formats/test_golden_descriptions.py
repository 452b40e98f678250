"""Descriptions from the recorded corpus mean what the vendor's tool takes them to mean."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from golden_recorded import Recorded

from max78k.errors import Max78kError, RuleError
from max78k.formats.network_yaml import read_yaml

OTHER_PLACES = {"v-mnistxs-fastfifoquad"}  # recorded under options that move addresses
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


def folders(shared: Path, accepted: bool) -> list[Path]:
    return [
        path.parent
        for path in sorted((shared / "golden").glob("*/meta.json"))
        if json.loads(path.read_text())["ok"] is accepted
    ]


def codes(error: Max78kError) -> set[str]:
    return {entry.code for entry in error.violations} if isinstance(error, RuleError) else set()


def test_every_accepted_description_is_read(shared_folder: Path) -> None:
    accepted = folders(shared_folder, accepted=True)
    assert len(accepted) == 449
    for folder in accepted:
        assert read_yaml(folder / "network.yaml").layers


def test_reasons_in_the_file_are_found(shared_folder: Path) -> None:
    checked = Counter[str]()
    for folder in folders(shared_folder, accepted=False):
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


def test_bound_networks_lie_at_the_recorded_places(shared_folder: Path) -> None:
    refused = []
    for folder in folders(shared_folder, accepted=True):
        case = Recorded(folder)
        try:
            network, placement = case.network(columns=False)
        except RuleError as error:
            refused.append((folder.name, error.code))
            continue
        if folder.name in OTHER_PLACES:
            continue
        for row, layer in zip(case.meta["layers"], network.layers, strict=False):
            place = placement.layers[layer.name]
            found = (
                place.processors, place.output_processors,
                place.in_offset, place.out_offset, place.write_gap,
            )  # fmt: skip
            assert found == (
                int(row["processor_map"], 16), int(row["output_processor_map"], 16),
                row["in_offset"], row["out_offset"], row["write_gap"],
            ), (folder.name, layer.name)  # fmt: skip
    assert refused == [("t-multilayer-eltwise", "E-YAML-SHAPE")]
