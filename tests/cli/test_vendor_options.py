"""Options of the vendor's synthesizer in ``max78k synthesize``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from command import assert_one_error, run

from max78k.cli.synthesize import command
from max78k.cli.vendor_flags import VENDOR_FLAGS, Effect, VendorFlag
from max78k.compiler.placement import FIFO, Placement
from max78k.errors import InputError
from max78k.network import Network

Capture = pytest.CaptureFixture[str]
ROWS = [(flag, spelling) for flag in VENDOR_FLAGS for spelling in flag.spellings]


@pytest.fixture
def model(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The accelerator model's check is left out, others test it."""
    monkeypatch.setattr("max78k.flows.synthesis.check_known_answer", lambda *_: None)
    return model


def rows(effect: Effect) -> list[tuple[VendorFlag, str]]:
    return [row for row in ROWS if row[0].effect is effect]


def test_no_option_is_in_the_table_twice() -> None:
    spellings = [spelling for _, spelling in ROWS]
    assert len(spellings) == len(set(spellings)) > 90


def test_every_option_of_the_reference_is_known(shared_folder: Path) -> None:
    text = (shared_folder / "reference" / "peer-synthesis.md").read_text("utf-8")
    section = text.partition("## 7.")[2].partition("## 8.")[0]
    word = r"(?<![\w*-])(--[a-z][a-z0-9-]*[a-z0-9]|-[a-zA-Z])(?![\w*-])"
    named = set(re.findall(word, section))
    known = {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
    assert len(named) > 100
    assert named <= known


@pytest.mark.parametrize(("flag", "spelling"), rows(Effect.SAME))
def test_option_with_the_same_meaning_is_one_of_ours(flag: VendorFlag, spelling: str) -> None:
    found = [p for p in command.params if spelling in (*p.opts, *p.secondary_opts)]
    assert len(found) == 1
    assert bool(getattr(found[0], "is_flag", False)) is not flag.takes_value


@pytest.mark.parametrize(("flag", "spelling"), rows(Effect.REFUSED))
def test_refused_option_names_what_to_use_instead(
    flag: VendorFlag, spelling: str, tmp_path: Path, capsys: Capture
) -> None:
    value = ["1"] if flag.takes_value else []
    outcome = run(capsys, "synthesize", "x", spelling, *value, "--out", tmp_path / "p")
    assert_one_error(outcome, 2, "E-ARGS-VENDOR", spelling, f"Try: {flag.text}.")


def test_every_option_without_effect_is_accepted_with_its_reason(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    given: list[str] = []
    for flag, spelling in rows(Effect.NOTHING):
        given += [spelling, "1"] if flag.takes_value else [spelling]
    plain = run(capsys, "synthesize", model, "--out", tmp_path / "plain", "--style", "msdk")
    arguments = ("--out", tmp_path / "given", "--style", "msdk")
    outcome = run(capsys, "synthesize", model, *arguments, *given)
    assert plain.code == outcome.code == 0, outcome.err
    told = outcome.err.splitlines()
    assert sorted(told) == sorted(f"{s}: {flag.text}." for flag, s in rows(Effect.NOTHING))
    for path in (tmp_path / "plain").iterdir():
        assert path.read_bytes() == (tmp_path / "given" / path.name).read_bytes()
    assert plain.err == ""


def test_everyday_vendor_command_line(model: Path, tmp_path: Path, capsys: Capture) -> None:
    from max78k.compiler.allocate import plan
    from max78k.formats.network_yaml import write_yaml
    from max78k.formats.vendor_checkpoint import write_vendor_q

    network = Network.load(model)
    write_vendor_q(network, tmp_path / "net-q.pth.tar")
    write_yaml(network, plan(network), tmp_path / "net.yaml")
    np.save(tmp_path / "sample.npy", np.zeros(network.input_shape, np.int64))
    outcome = run(
        capsys, "synthesize", "--test-dir", tmp_path / "sdk", "--prefix", "my-net",
        "--checkpoint-file", tmp_path / "net-q.pth.tar", "--config-file", tmp_path / "net.yaml",
        "--sample-input", tmp_path / "sample.npy", "--device", "MAX78000", "--board-name",
        "EvKit_V1", "--softmax", "--timer", "0", "--compact-data", "--mexpress", "--overwrite",
        "--display-checkpoint", "--verbose", "--style", "msdk",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    project = tmp_path / "sdk" / "my-net"
    main = (project / "main.c").read_text()
    assert '*** CNN Inference Test %s ***\\n", "my-net");' in main and "softmax_layer();" in main
    assert "BOARD ?= EvKit_V1\n" in (project / "project.mk").read_text()
    assert "PROJECT ?= my-net\n" in (project / "project.mk").read_text()
    assert "#define CNN_INFERENCE_TIMER MXC_TMR0" in (project / "cnn.h").read_text()
    assert "conv3" in outcome.err and "72x12x3x3" in outcome.err  # the checkpoint's layers
    assert "weight bytes" in outcome.out and "resource" in outcome.out  # costs


def test_options_that_change_the_program(model: Path, tmp_path: Path, capsys: Capture) -> None:
    texts = {}
    for name, options in {
        "plain": [], "no-kat": ["--no-kat"], "no-wfi": ["--no-wfi"], "energy": ["--energy"],
        "no-mexpress": ["--no-mexpress"], "boost": ["--boost", "2.5"],
        "no-timer": ["--timer", "1", "--no-timer"],
    }.items():  # fmt: skip
        folder = tmp_path / name
        outcome = run(capsys, "synthesize", model, "--style", "msdk", "--out", folder, *options)
        assert outcome.code == 0, outcome.err
        texts[name] = [(folder / file).read_text() for file in ("main.c", "cnn.c", "weights.h")]
    assert "check_output" in texts["plain"][0] and "check_output" not in texts["no-kat"][0]
    assert "EnterSleepMode" in texts["plain"][0] and "EnterSleepMode" not in texts["no-wfi"][0]
    assert "Measuring weight loading" in texts["energy"][0]
    assert "cnn_boost_enable(MXC_GPIO2, MXC_GPIO_PIN_5)" in texts["boost"][0]
    assert "0x00100008" in texts["plain"][1] and "0x00100008" not in texts["no-mexpress"][1]
    assert len(texts["no-mexpress"][2]) > len(texts["plain"][2])
    assert texts["no-timer"] == texts["plain"]


def test_average_pooling_that_rounds_is_a_setting_of_the_accelerator(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    for name, options in (("plain", []), ("rounds", ["--avg-pool-rounding"])):
        arguments = ("synthesize", model, "--style", "msdk", "--out", tmp_path / name, *options)
        assert run(capsys, *arguments).code == 0
    plain, rounds = ((tmp_path / name / "cnn.c").read_text() for name in ("plain", "rounds"))
    assert "= 0x00100009; // go" in plain and "= 0x00102009; // go" in rounds


def test_fifo_is_a_request_to_the_planner(
    model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(network: Network, *arguments: object, given: Placement, **options: object) -> None:
        asked.append(given)
        raise InputError("E-TEST", "enough.")

    monkeypatch.setattr("max78k.flows.synthesis.synthesize", note)
    run(capsys, "synthesize", model, "--fifo", "--out", tmp_path / "p")
    run(capsys, "synthesize", model, "--out", tmp_path / "p")
    assert asked == [Placement({}, feed=FIFO), None]


def test_own_style_says_what_changes_nothing(model: Path, tmp_path: Path, capsys: Capture) -> None:
    given = ("--softmax", "--timer", 0, "--no-wfi", "--energy", "--no-mexpress", "--no-kat",
             "--max-checklines", 3)  # fmt: skip
    outcome = run(capsys, "synthesize", model, "--out", tmp_path / "p", *given)
    assert outcome.code == 0
    said = [line.split(":")[0] for line in outcome.err.splitlines()]
    assert said == ["--timer", "--softmax", "--energy", "--no-wfi", "--no-mexpress", "--no-kat",
                    "--max-checklines"]  # fmt: skip
    quiet = run(capsys, "synthesize", model, "--out", tmp_path / "q")
    assert quiet.err == ""


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--board-name", "EvKit_V1"], "E-ARGS-BOARD"),
        (["--boost", "2.5"], "E-ARGS-BOOST"),
        (["--device", "MAX78002"], "E-ARGS-DEVICE"),
        (["--style", "msdk", "--board-name", "EvKit"], "E-BUILD-BOARD"),
        (["--style", "msdk", "--boost", "P2.5"], "E-BUILD-BOOST"),
        (["--style", "msdk", "--prefix", "a b"], "E-BUILD-NAME"),
    ],
)
def test_what_cannot_be_had_is_refused(
    model: Path, tmp_path: Path, capsys: Capture, options: list[str], code: str
) -> None:
    where = [] if "--prefix" in options else ["--out", tmp_path / "p"]
    assert_one_error(run(capsys, "synthesize", model, *where, *options), 2, code)
    assert not (tmp_path / "p").exists()
