"""--dry-run says what would be done, and does nothing."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command import assert_one_error, run

from max78k.files import rehearsal, whole_folder, write_text
from max78k.network import Network


@pytest.fixture
def work(tmp_path: Path, tiny_network: Network, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model in it."""
    monkeypatch.chdir(tmp_path)
    tiny_network.save(tmp_path / "model.npz")
    return tmp_path


def everything(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_build_prints_the_command_that_it_would_run(capsys, tiny_firmware, monkeypatch):
    project = tiny_firmware.build.elf.parents[1]
    before = everything(project)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: 1 / 0)
    outcome = run(capsys, "build", project, "--dry-run")
    words = shlex.split(outcome.out)
    assert outcome.code == 0
    assert "src/main.c" in words and words[-1] == "build/firmware.elf"
    assert json.loads(run(capsys, "build", project, "--dry-run", "--json").out)["command"] == words
    assert before == everything(project)


def test_build_refuses_in_a_dry_run_what_it_refuses(capsys, tmp_path):
    assert_one_error(run(capsys, "build", tmp_path, "--dry-run"), 2, "E-BUILD-PROJECT")


def test_files_that_are_rehearsed_are_named_with_their_size(tmp_path):
    with rehearsal() as files:
        write_text(tmp_path / "a" / "b.txt", "1234")
        with whole_folder(tmp_path / "c") as scratch:
            write_text(scratch / "d.txt", "12")
            assert (scratch / "d.txt").read_text() == "12"
        with pytest.raises(RuntimeError), whole_folder(tmp_path / "e") as scratch:
            raise RuntimeError
    assert files == {tmp_path / "a" / "b.txt": 4, tmp_path / "c" / "d.txt": 2}
    assert not list(tmp_path.iterdir()) and not scratch.exists()


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("synthesize", "model.npz", "--out", "out", "--image", "image.npz"), "out/src/main.c"),
        (("data", "convert", "faces:train=14,test=7", "--out", "out.npz"), "out.npz"),
        (("data", "convert", "faces:train=70,test=35", "--out", "out"), "out/test/sad/sad_0000"),
        (("data", "show", "faces:train=14,test=7", "--sheet", "sheet.png"), "sheet.png"),
    ],
)  # fmt: skip
def test_a_dry_run_names_the_files_that_the_real_one_writes(capsys, work, words, file):
    before = everything(work)
    told = run(capsys, *words, "--dry-run")
    assert told.code == 0, told.err
    assert "dry run: nothing was written" in told.out
    named = json.loads(run(capsys, *words, "--dry-run", "--json").out)
    assert named["dry_run"] is True and any(name.startswith(file) for name in named["files_bytes"])
    assert before == everything(work)
    assert run(capsys, *words).code == 0
    written = {str(path.relative_to(work)): path.stat().st_size
               for path in everything(work).keys() - before.keys() if path.is_file()}  # fmt: skip
    assert written == named["files_bytes"]
    if file == "out.npz":
        assert "bytes, replaced" in run(capsys, *words, "--dry-run").out


def test_a_dry_run_refuses_what_the_real_one_refuses(capsys, work):
    (work / "mine").mkdir()
    (work / "mine" / "notes.txt").write_text("mine")
    words = ("synthesize", "model.npz", "--out", "mine", "--dry-run")
    assert_one_error(run(capsys, *words), 2, "E-PROJECT-FOREIGN")
    words = ("data", "convert", "faces:train=70,test=35", "--out", "mine", "--dry-run")
    assert_one_error(run(capsys, *words), 2, "E-DATA-OUT")
    np.save(work / "bad.npy", np.zeros(3))
    words = ("synthesize", "model.npz", "--sample-input", "bad.npy", "--dry-run")
    assert run(capsys, *words).code == 2


def test_trainings_say_their_plan(capsys, work):
    before = everything(work)
    common = ("--data", "faces:train=140,test=21", "--epochs", 6, "--dry-run", "--json")
    plan = json.loads(run(capsys, "train-qat", "--network", "fer7_mini", *common).out)
    assert plan["epochs"] == {"float": 5, "qat": 1} and plan["steps_per_epoch"] == 1
    assert (plan["train_samples"], plan["test_samples"], len(plan["classes"])) == (140, 21, 7)
    varied = ("--grid", "--vary", "mixup=0,0.2", "--vary", "seed=1,2")
    many = json.loads(run(capsys, "train-many", *varied, *common).out)
    assert len(many["runs"]) == 4 and many["runs"][0] == {"mixup": 0.0, "seed": 1}
    found = json.loads(run(capsys, "search", "--trials", 3, *common).out)
    assert found["trials"] == 3 and found["choices"]["bits"] == "2, 4, 8"
    assert before == everything(work)
    assert_one_error(
        run(capsys, "train-qat", "--network", "fer7", "--initial", "none.pt", *common), 2, "E-"
    )


def test_a_bench_asks_the_board_who_it_is_and_measures_nothing(capsys, work, tiny_firmware):
    words = ("bench", "--elf", tiny_firmware.build.elf, "--data", "faces", "--count", 9)
    outcome = run(capsys, *words, "--port", "sim", "--port", "sim", "--meter", "sim", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("tiny7") == 2 and "9 inferences, pipelined" in outcome.out
    for number in (1, 2):
        assert str(Path("bench") / f"board-{number}" / "bench.csv") in outcome.out
    assert not (work / "bench").exists()
    assert_one_error(run(capsys, *words, "--meter", "ppk2", "--dry-run"), 2, "E-METER-OPTION")
    outcome = run(capsys, *words, "--replay", "failure.zip", "--dry-run")
    assert_one_error(outcome, 2, "E-ARGS-BENCH", "--replay and --dry-run")
