"""Options from a file, the environment and the command line; completion of verbs and options."""

from __future__ import annotations

import os

import click
import pytest
from click.core import ParameterSource
from click.shell_completion import BashComplete
from click.testing import CliRunner
from command import assert_one_error, run

from max78k.cli import config
from max78k.cli.main import VERBS, cli


@pytest.fixture
def got(monkeypatch):
    """What ``bench`` is called with."""
    from max78k.cli import bench

    values = {}
    monkeypatch.setattr(bench.command, "callback", lambda **given: values.update(given))
    for name in ("MAX78K_PORT", "MAX78K_BENCH_COUNT", "MAX78K_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return values


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "max78k.yaml"
    path.write_text(
        "port: COM7\nseed: 5\nbench:\n  count: 7\n  max-baud: 921600\n  self-test: no\n"
    )
    return path


def test_the_file_gives_defaults(capsys, got, file):
    assert run(capsys, "--config", file, "bench").code == 0
    assert (got["port"], got["seed"], got["count"]) == (("COM7",), 5, 7)
    assert (got["max_baud"], got["self_test"], got["repeats"]) == (921600, False, 1)


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(
    capsys, got, file, monkeypatch
):
    monkeypatch.setenv("MAX78K_CONFIG", str(file))
    monkeypatch.setenv("MAX78K_BENCH_COUNT", "8")
    monkeypatch.setenv("MAX78K_PORT", "sim")
    assert run(capsys, "bench").code == 0
    assert (got["count"], got["port"], got["max_baud"]) == (8, ("sim",), 921600)
    assert run(capsys, "bench", "--count", "9").code == 0
    assert got["count"] == 9


def test_the_user_file_is_read_and_the_present_folder_is_not(
    capsys, got, file, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "user_file", lambda: tmp_path / "none.yaml")
    assert run(capsys, "bench").code == 0
    assert got["count"] == 50
    monkeypatch.setattr(config, "user_file", lambda: file)
    assert run(capsys, "bench").code == 0
    assert got["count"] == 7


def test_a_verb_goes_before_what_all_share(capsys, got, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("port: COM7\nbench: {port: COM8}\n")
    assert run(capsys, "--config", path, "bench").code == 0
    assert got["port"] == ("COM8",)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("bensch: {}", "E-CONFIG-KEY", ("bensch is no verb", "did you mean bench")),
        ("bench: {cout: 1}", "E-CONFIG-KEY", ("cout is no option of bench", "mean count")),
        ("csi: {prepar: {}}", "E-CONFIG-KEY", ("prepar", "csi")),
        ("bench: {count: many}", "E-CONFIG-VALUE", ("bench: count", "many")),
        ("bench: {count: {a: 1}}", "E-CONFIG-VALUE", ("bench: count",)),
        ("bench: 3", "E-CONFIG-VALUE", ("bench",)),
        ("[1, 2]", "E-CONFIG-READ", ("no keys",)),
        ("a: [", "E-CONFIG-READ", ("not YAML",)),
        ("a: !!python/object/apply:os.getcwd []", "E-CONFIG-READ", ("not YAML",)),
    ],
)
def test_what_is_not_understood_is_refused_by_name(capsys, tmp_path, content, code, words):
    path = tmp_path / "c.yaml"
    path.write_text(content)
    assert_one_error(run(capsys, "--config", path, "ports"), 2, code, "c.yaml", *words)


def test_a_missing_file_that_was_named_is_an_error(capsys, tmp_path):
    assert_one_error(run(capsys, "--config", tmp_path / "no.yaml", "ports"), 2, "E-CONFIG-READ")


def _leaves(command, path):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _leaves(command.get_command(context, name), (*path, name))
    else:
        yield path, command


def _sample(option):
    """A text that the option takes."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[-1])
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        low, high = kind.min or 0, kind.max
        middle = low + 1 if high is None else (low + high) / 2
        return str(int(middle) if isinstance(kind, click.IntRange) else middle)
    between = os.pathsep if isinstance(kind, click.Path) else " "
    return between.join(["1"] * max(option.nargs, 1))


def _variables():
    for path, command in _leaves(cli, ()):
        for option in command.params:
            if isinstance(option, click.Option):
                for word in (*option.opts, *option.secondary_opts):
                    if word.startswith("--"):
                        yield path, command, option, word


def _called_with(path, command, option, monkeypatch):
    """Value and source of an option when no argument is given but those that must be there."""
    needed = [word for item in command.params if item.required and item is not option
              for word in ([item.opts[0]] if isinstance(item, click.Option) else [])
              + [_sample(item)] * max(item.nargs, 1)]  # fmt: skip
    seen = []

    def callback(*_, **given):
        source = click.get_current_context().get_parameter_source(option.name)
        seen.append((given.get(option.name), source))

    with monkeypatch.context() as patch:
        patch.setattr(command, "callback", callback)
        result = CliRunner().invoke(cli, [*path, *needed], standalone_mode=False)
    assert result.exception is None, (path, needed, result.exception)
    return seen[0]


def test_every_spelling_of_every_option_has_a_variable_that_works(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "user_file", lambda: tmp_path / "none.yaml")
    for path, command, option, word in _variables():
        name = "_".join(("MAX78K", *path, word[2:])).upper().replace("-", "_")
        values, sources = [], set()
        for text in ("1", "0") if option.is_flag else (_sample(option),):
            with monkeypatch.context() as patch:
                patch.setenv(name, text)
                value, source = _called_with(path, command, option, monkeypatch)
            values.append(value)
            sources.add(source)
        first = word in option.opts
        assert sources == {ParameterSource.ENVIRONMENT if first else ParameterSource.DEFAULT_MAP}, (
            name, sources,
        )  # fmt: skip
        if option.is_flag and option.expose_value:
            assert values == [first, not first], (name, values)


def test_the_second_spelling_of_a_switch_is_turned_round_in_file_and_environment(
    capsys, got, monkeypatch, tmp_path
):
    path = tmp_path / "c.yaml"
    path.write_text("bench: {one-by-one: yes, no-self-test: no}\n")
    assert run(capsys, "--config", path, "bench").code == 0
    assert (got["pipeline"], got["self_test"]) == (False, True)
    monkeypatch.setenv("MAX78K_BENCH_ONE_BY_ONE", "0")
    assert run(capsys, "--config", path, "bench").code == 0
    assert got["pipeline"] is True
    assert run(capsys, "--config", path, "bench", "--one-by-one").code == 0
    assert got["pipeline"] is False
    monkeypatch.setenv("MAX78K_BENCH_ONE_BY_ONE", "perhaps")
    assert_one_error(run(capsys, "bench"), 2, "E-CONFIG-VALUE", "ONE_BY_ONE=perhaps")


def test_every_option_has_a_spelling_for_the_file():
    missing = [
        (path, option.name)
        for path, command in _leaves(cli, ())
        for option in command.params
        if isinstance(option, click.Option)
        and not option.name.startswith("vendor_")
        and not any(spelling.startswith("--") for spelling in option.opts)
    ]
    assert missing == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_lines_for_the_shell(shell):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_MAX78K_COMPLETE" in result.output and f"{shell}_complete" in result.output


def test_verbs_and_options_are_completed():
    def words(arguments, incomplete):
        shell = BashComplete(cli, {}, "max78k", "_MAX78K_COMPLETE")
        return [item.value for item in shell.get_completions(arguments, incomplete)]

    assert words([], "") == list(VERBS)
    assert words([], "be") == ["bench"]
    assert "--max-baud" in words(["bench"], "--ma")
    assert words(["completion"], "z") == ["zsh"]
