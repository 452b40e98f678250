"""Projects for the vendor's SDK of recorded networks: every warning is an error; the same twice."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from sdk_build import build_with_stand_in

from max78k.codegen.msdk_options import MsdkOptions
from max78k.errors import InputError
from max78k.flows.synthesis import Compiled, compile_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recorded() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import golden_recorded
    finally:
        sys.path.pop(0)
    return golden_recorded


def compiled(recorded: ModuleType, shared_folder: Path, name: str) -> Compiled:
    case = recorded.Recorded(shared_folder / "golden" / name)
    network, placement = case.network()
    return compile_network(network, case.sample, placement=placement)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# 1-D; input by FIFO, four outputs; weights, input and output that fill the flash.
@pytest.mark.parametrize(
    ("name", "words"),
    [("n-kws20_v3", None), ("n-facedet_tinierssd", None), ("n-camvid_unet", 8192)],
)
def test_it_compiles_without_a_warning_and_is_written_the_same_twice(
    name: str, words: int | None, recorded: ModuleType, shared_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ziglang", reason="the programs are compiled with ziglang")
    result = compiled(recorded, shared_folder, name)
    options = MsdkOptions(timer=0, checked_words=words)
    folders = [
        result.write_project(tmp_path / part, msdk=options, overwrite=True) for part in ("a", "b")
    ]
    assert content(folders[0]) == content(folders[1])
    build_with_stand_in(folders[0], "-Wall", "-Wextra")


def test_an_output_that_does_not_fit_the_flash_is_compared_in_part(
    recorded: ModuleType, shared_folder: Path, tmp_path: Path
) -> None:
    result = compiled(recorded, shared_folder, "n-camvid_unet")
    with pytest.raises(InputError, match=r"E-BUILD-FLASH .*147,456 of them .*--max-checklines"):
        result.write_project(tmp_path / "p", msdk=MsdkOptions())
    folder = result.write_project(tmp_path / "p", msdk=MsdkOptions(checked_words=100))
    expected = (folder / "sampleoutput.h").read_text().partition("SAMPLE_OUTPUT_MAP")[0]
    rows = re.findall(r"0x[0-9a-f]{8}", expected)
    assert len(rows) == 3 + 100 + 1
