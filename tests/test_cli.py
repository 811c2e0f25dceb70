"""The command line as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.sources.settings import read_sources
from conftest import EXAMPLES, ROOT

runner = CliRunner()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """raw/ with the examples, ingested."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLES, home / "raw" / "examples")
    options = ["--raw", str(home / "raw"), "--clean", str(home / "clean")]
    result = runner.invoke(app, ["ingest", "--plain", "--workers", "0", "--json", *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == {"new": 6, "unchanged": 0, "duplicate": 1, "rejected": 0}
    return options


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_status_counts_documents(folders: list[str]) -> None:
    known = json.loads(run("status", "--json", *folders))
    assert known["documents"] == {"live": 6, "duplicate": 1}
    assert known["release"] == 1
    assert "content_root" in run("status", *folders)


def test_status_says_what_became_of_each_input(folders: list[str]) -> None:
    lines = [json.loads(line) for line in run("status", "--inputs", "--json", *folders).splitlines()]
    assert len(lines) == 7
    assert all(set(line) == {"input", "outcome", "error", "message", "documents"} for line in lines)
    assert sorted(line["outcome"] for line in lines) == ["duplicate", *["new"] * 6]
    assert all(len(line["documents"]) == 1 for line in lines)


def test_show_finds_a_document_by_many_names(folders: list[str]) -> None:
    text = run("show", "table.html", *folders)
    (line,) = [
        json.loads(line)
        for line in run("status", "--inputs", "--json", *folders).splitlines()
        if "table.html" in line
    ]
    document = line["documents"][0]
    for name in (
        document,
        document[:10],
        line["input"],
        f"file:{line['input']}",
        f"clean/text/x/a-{document[:12]}.txt",
    ):
        assert run("show", name, *folders) == text
    assert json.loads(run("show", document, "--json", *folders))["text"] == text


def test_explain_gives_every_cut_its_reason(folders: list[str]) -> None:
    shown = run("explain", "gauge.html", *folders)
    cuts = [json.loads(line) for line in run("explain", "gauge.html", "--json", *folders).splitlines()]
    assert cuts
    for cut in cuts:
        assert cut["reason"] in shown
        assert f"{cut['stage']}, {cut['rule']}" in shown
    assert "\n- Skip to main content\n" in "\n" + shown
    assert "\n  A tide gauge records" in shown


def test_diff_shows_what_a_version_changed(folders: list[str], tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    options = ["--raw", str(raw), "--clean", str(clean)]
    for text in ("A first line of text.\n", "A first line of text.\n\nA second line of text.\n"):
        (raw / "a.txt").write_text(text)
        run("ingest", "--plain", "--workers", "0", *options)
    assert "+A second line of text." in run("diff", "a.txt", *options)
    assert (
        json.loads(run("diff", "a.txt", "--json", "--from", "1", "--to", "2", *options))["change"] == "source"
    )
    assert "there is one version" in run("diff", "table.html", *folders)
    assert runner.invoke(app, ["diff", "a.txt", "--from", "9", *options]).exit_code == 2


def test_export_writes_the_live_documents(folders: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run("export", "--format", "jsonl", "--out", str(out), *folders)
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    wrong = runner.invoke(app, ["export", "--format", "xlsx", "--out", str(out), *folders])
    assert wrong.exit_code == 2
    assert "jsonl" in wrong.stderr


def test_chrome_can_be_read(folders: list[str]) -> None:
    sites = json.loads(run("chrome", "list", "--json", *folders))
    assert [site["site"] for site in sites] == ["defense.gov", "tides.example"]
    assert "Skip to main content" in run("chrome", "show", "tides.example", *folders)
    assert json.loads(run("chrome", "show", "tides.example", "--json", *folders))["site"] == "tides.example"
    assert runner.invoke(app, ["chrome", "show", "nowhere.example", *folders]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ingest", "--plain", "no/such/folder"], 2, "no such file or folder"),
        (["ingest", "--plain", "https://example.org/"], 2, "contact"),
        (["ingest", "--plain", "--policy", "no-such.toml"], 2, "cannot be read"),
        (["show", "no-such-document"], 2, "no document has this"),
        (["explain", "no-such-document"], 2, "no document has this"),
    ],
)
def test_bad_input_is_one_clear_line_and_an_exit_code(
    folders: list[str], arguments: list[str], code: int, said: str
) -> None:
    result = runner.invoke(app, [*arguments, *folders])
    assert result.exit_code == code
    assert said in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    for command in (["status"], ["show", "x"], ["export", "--out", str(tmp_path / "o")]):
        result = runner.invoke(app, [*command, "--clean", str(tmp_path / "clean")])
        assert result.exit_code == 1
        assert "run cleancopy ingest" in result.stderr.replace("\n", " ")


def test_a_wrong_policy_names_the_key(tmp_path: Path) -> None:
    policy = tmp_path / "cleancopy.toml"
    for text, said in {
        "speed = 1\n": "unknown key 'speed'",
        "[content]\nmethod = 'magic'\n": "allowed: ",
        "[chrome]\npages = 'three'\n": "must be of type int",
        "stages = [\n": "not valid TOML",
    }.items():
        policy.write_text(text)
        result = runner.invoke(app, ["ingest", "--plain", "--policy", str(policy), "--raw", str(tmp_path)])
        assert result.exit_code == 2
        assert said in result.stderr.replace("\n", " ")


SOURCE = '[[source]]\nname = "notes"\nkind = "files"\npaths = ["raw"]\n'


@pytest.mark.parametrize(
    ("sources", "source", "said"),
    [
        (SOURCE + "speed = 3\n", "notes", "unknown key 'speed'"),
        (SOURCE + 'cron = "61 * * * *"\n', "notes", "its minute is '61', which must be * or from 0 to 59"),
        (SOURCE + 'cron = "0 6 * * someday"\n', "notes", "its day of the week is 'someday'"),
        (SOURCE + 'rrule = "FREQ=SOMETIMES"\n', "notes", "invalid 'FREQ': SOMETIMES"),
        (SOURCE + 'interval = 60\ntimezone = "Mars/Base"\n', "notes", "the name of a time zone"),
        (SOURCE + SOURCE, "notes", "two sources are named 'notes'"),
        (SOURCE, "news", "there is no source 'news'; it has: notes"),
        ("[[source]\n", "notes", "not valid TOML"),
    ],
)
@pytest.mark.parametrize("way", [["--plain"], []], ids=["plain", "flow"])
def test_wrong_sources_are_one_clear_line(
    tmp_path: Path, sources: str, source: str, said: str, way: list[str]
) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(sources)
    options = ["--sources", str(file), "--clean", str(tmp_path / "clean"), *way]
    result = runner.invoke(app, ["ingest", "--source", source, *options])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not (tmp_path / "clean").exists()


@pytest.mark.parametrize(
    "cron", ["*/15 * * * *", "0 6 * jan MON-FRI", "5/20 1-5,7 1,15 * 0", "@daily", "0 6 L * ?"]
)
def test_a_cron_line_may_be_what_calendars_know(tmp_path: Path, cron: str) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(f'{SOURCE}cron = "{cron}"\n')
    assert dict(read_sources(file).sources[0].schedule)["cron"] == cron


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"cleancopy {command.name or command.callback.__name__}" in readme
