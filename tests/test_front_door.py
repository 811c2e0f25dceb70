"""What a newcomer meets: help, version, completion, a folder to begin in, and docs that name everything."""

from __future__ import annotations

import re
import runpy
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import cleancopy
from cleancopy.cli import app
from cleancopy.cli.terminal import counted
from cleancopy.policy import Policy, read_policy
from cleancopy.sources.settings import read_sources
from conftest import ROOT

runner = CliRunner()
DOCS = runpy.run_path(str(ROOT / "docs" / "cli_reference.py"))
COMMANDS: dict[str, Any] = dict(DOCS["commands"](typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_is_one_of_its_calls(name: str) -> None:
    examples = re.findall(r"^Example: (.+)$", COMMANDS[name].help, re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(name)
        given = {word for word in example.split() if word.startswith("--")}
        assert given <= {option for one in COMMANDS[name].params for option in one.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    assert [one.name for one in COMMANDS[name].params if not one.hidden and not one.help] == []


def test_the_reference_of_the_commands_is_as_the_commands_are() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == DOCS["page"]()


def settings(policy: Any) -> Iterator[str]:
    for one in fields(policy):
        value = getattr(policy, one.name)
        yield from settings(value) if is_dataclass(value) else [one.name]


def test_every_setting_of_the_policy_is_documented() -> None:
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    assert [name for name in settings(Policy()) if f"\n{name} = " not in page] == []


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_by_either_name(option: str) -> None:
    result = runner.invoke(app, [option])
    assert result.exit_code == 0
    assert "--install-completion" in result.stdout


def test_the_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"cleancopy {cleancopy.__version__}\n")


def test_public_names_are_listed() -> None:
    assert dir(cleancopy) == sorted([*cleancopy.__all__, "__version__"])
    for name in cleancopy.__all__:
        assert getattr(cleancopy, name) is not None


def test_a_command_that_reads_the_store_alone_takes_raw_and_does_not_show_it(tmp_path: Path) -> None:
    result = runner.invoke(app, ["status", "--raw", str(tmp_path), "--clean", str(tmp_path)])
    assert "nothing was published yet" in result.output
    assert "--raw" not in runner.invoke(app, ["status", "-h"]).stdout
    assert "--raw" in runner.invoke(app, ["ingest", "-h"]).stdout


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (0, "document", "0 documents"),
        (1, "document", "1 document"),
        (1, "entry", "1 entry"),
        (2000, "entry", "2,000 entries"),
    ],
)
def test_singular_and_plural(number: int, what: str, said: str) -> None:
    assert counted(number, what) == said


# ---- init


def test_a_new_folder_is_set_up_and_nothing_in_it_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    assert runner.invoke(app, ["init", str(folder)]).exit_code == 0
    assert {path.name for path in folder.iterdir()} == {"raw", "sources.toml", "cleancopy.toml"}
    assert read_policy(folder / "cleancopy.toml") == Policy()
    assert read_sources(folder / "sources.toml").sources == ()
    (folder / "cleancopy.toml").write_text("repair = false\n")
    (folder / "sources.toml").unlink()
    again = runner.invoke(app, ["init", str(folder)])
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert (folder / "cleancopy.toml").read_text() == "repair = false\n"
    assert not (folder / "sources.toml").exists()


def uncommented(path: Path) -> str:
    return re.sub(r"(?m)^# ?(?=[a-z_]+ = |\[\[)", "", path.read_text(encoding="utf-8"))


def test_the_settings_that_init_writes_as_comments_are_the_defaults(tmp_path: Path) -> None:
    runner.invoke(app, ["init", str(tmp_path)])
    text = uncommented(tmp_path / "cleancopy.toml")
    (tmp_path / "all.toml").write_text(text)
    assert read_policy(tmp_path / "all.toml") == Policy()
    assert [name for name in settings(Policy()) if f"\n{name} = " not in text] == []
    assert len(tomllib.loads(text)) == len(fields(Policy))


def test_the_sources_that_init_writes_as_comments_are_right(tmp_path: Path) -> None:
    runner.invoke(app, ["init", str(tmp_path)])
    (tmp_path / "all.toml").write_text(uncommented(tmp_path / "sources.toml"))
    assert [source.name for source in read_sources(tmp_path / "all.toml").sources] == ["news", "whole-site"]


def test_a_policy_in_the_folder_holds_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner.invoke(app, ["init"])
    Path("cleancopy.toml").write_text("[content]\nmethod = 'none'\n")
    result = runner.invoke(app, ["ingest", "--plain"])
    assert result.exit_code == 2
    assert "cleancopy.toml" in result.stderr
