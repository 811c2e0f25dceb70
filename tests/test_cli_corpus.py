"""The commands on releases, differences, history, rollback, schema and provenance, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.corpus import schema
from conftest import ROOT

runner = CliRunner()
TIDES = "Tides\n\nThe sea rises and falls twice a day, and the moon has most of the say in it.\n"
HTML = """<!doctype html><html><head><title>Gauges</title></head><body>
<article><h1>Gauges</h1><p>A float in a well shows the <b>height</b> of the sea &amp; nothing else. It is read
every minute, and a pen draws the curve of the day on a roll of paper that is changed once a week.</p>
<p>The cafÃ© at the quay has the paper on its wall, from the first day of the gauge to the last.</p>
</article></body></html>
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A store of three releases: a page that changes, one that stays, one that comes."""
    home = tmp_path_factory.mktemp("home")
    options = ["--raw", str(home / "raw"), "--clean", str(home / "clean")]
    harbour = home / "raw" / "harbour.example"
    harbour.mkdir(parents=True)
    (harbour / "gauge.html").write_text(HTML, encoding="utf-8")
    (harbour / "tides.txt").write_text(TIDES)
    run("ingest", "--plain", "--workers", "0", *options)
    (harbour / "tides.txt").write_text(TIDES.replace("twice a day", "each day"))
    run("ingest", "--plain", "--workers", "0", *options)
    (harbour / "moon.txt").write_text("The moon\n\nOnce a month it is full, and the sea comes higher.\n")
    run("ingest", "--plain", "--workers", "0", *options)
    return options


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def objects(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run(*arguments, "--json").splitlines()]


def test_releases_are_listed(folders: list[str]) -> None:
    found = objects("releases", *folders)
    assert [(one["release"], one["live"]) for one in found] == [(1, 2), (2, 2), (3, 3)]
    shown = run("releases", *folders).splitlines()
    assert len(shown) == 3
    assert "3 live; 1 new" in shown[2]


def test_status_show_and_explain_can_look_back(folders: list[str]) -> None:
    assert json.loads(run("status", "--as-of", "1", "--json", *folders))["documents"] == {"live": 2}
    assert json.loads(run("status", "--json", *folders))["documents"] == {"live": 3}
    assert run("show", "tides.txt", "--as-of", "1", *folders) == TIDES
    assert "each day" in run("show", "tides.txt", *folders)
    assert "twice a day" in run("explain", "tides.txt", "--as-of", "1", *folders)


def test_history_says_when_and_why(folders: list[str]) -> None:
    found = objects("history", "tides.txt", *folders)
    assert [(one["seq"], one["release"], one["change"]) for one in found] == [(1, 1, "new"), (2, 2, "source")]
    assert found[1]["parent"] == found[0]["version_id"]
    assert "release 2" in run("history", "tides.txt", *folders)


def test_a_document_is_compared_by_line_by_word_and_side_by_side(folders: list[str]) -> None:
    shown = run("diff", "tides.txt", *folders).splitlines()
    assert shown[:2] == ["--- version 1 (release 1)", "+++ version 2 (release 2, source)"]
    assert [line[0] for line in shown[3:]] == [" ", " ", "-", "+", " "]
    assert "falls [-twice a -]{+each +}day" in run("diff", "tides.txt", "--words", *folders)
    (row,) = [
        line for line in run("diff", "tides.txt", "--side-by-side", *folders).splitlines() if " | " in line
    ]
    assert row.index("twice") < row.index(" | ") < row.index("each")
    (found,) = objects("diff", "tides.txt", *folders)
    (change,) = found["rows"]  # type: ignore[misc]
    assert (change["removed"], change["added"]) == (["twice a "], ["each "])
    assert (change["old_line"], change["new_line"]) == (3, 3)


def test_words_stand_out_on_a_terminal(folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from cleancopy.cli import documents

    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(documents, "out", Console(force_terminal=True, width=100, color_system="standard"))
    shown = run("diff", "tides.txt", *folders)
    assert "\x1b[7;31mtwice a \x1b[0m" in shown
    assert "\x1b[7;32meach \x1b[0m" in shown


def test_releases_are_compared_by_document_and_by_text(folders: list[str]) -> None:
    shown = run("diff", "1", "3", *folders)
    assert shown.splitlines()[0] == (
        "release 1 to 3: 1 added, 0 removed, 1 changed (1 in content, 0 in chrome only)"
    )
    assert "-The sea rises" not in shown
    assert "-The sea rises" in run("diff", "1", "3", "--text", *folders)
    assert run("diff", "1", "3", "--content", *folders) == shown
    found = {str(one["key"]): one for one in objects("diff", "1", "3", "--text", *folders)}
    assert {key: one["kind"] for key, one in found.items()} == {
        "file:harbour.example/moon.txt": "added",
        "file:harbour.example/tides.txt": "changed",
    }
    assert found["file:harbour.example/tides.txt"]["rows"]


def test_a_word_is_followed_to_its_bytes(folders: list[str]) -> None:
    (known,) = objects("trace", "gauge.html", "--find", "sea & nothing", *folders)
    (piece,) = known["pieces"]  # type: ignore[misc]
    payload = HTML.encode()
    assert payload[piece["byte_start"] : piece["byte_end"]] == b"sea &amp; nothing"
    assert (piece["origin"], piece["path"]) == ("copied", "/html/body/article/p[1]")
    assert piece["kind"] == "paragraph"
    assert b"sea &amp; nothing".decode() in piece["raw"]
    ref = known["archive"]
    assert isinstance(ref, dict)
    assert (Path(folders[3]) / str(ref["uri"])).is_file()
    assert str(ref["record_id"]).startswith("<urn:uuid:")
    shown = run("trace", "gauge.html", "--find", "sea & nothing", *folders)
    for said in (
        piece["path"],
        ref["record_id"],
        "copied",
        "sea &amp; nothing",
        f"bytes      {piece['byte_start']}-",
    ):
        assert str(said) in shown


def test_a_repaired_character_says_what_it_was(folders: list[str]) -> None:
    text = run("show", "gauge.html", *folders)
    (known,) = objects("trace", "gauge.html", "--at", str(text.index("é")), *folders)
    (piece,) = known["pieces"]  # type: ignore[misc]
    assert (piece["origin"], piece["original"], piece["text"]) == ("repaired", "Ã©", "é")
    assert "was        'Ã©'" in run("trace", "gauge.html", "--find", "é", *folders)


def test_an_old_version_is_followed_to_its_own_capture(folders: list[str]) -> None:
    (known,) = objects("trace", "tides.txt", "--find", "twice a day", "--as-of", "1", *folders)
    (piece,) = known["pieces"]  # type: ignore[misc]
    assert TIDES[piece["byte_start"] : piece["byte_end"]] == "twice a day"


def test_trace_without_the_archive_says_so(folders: list[str], tmp_path: Path) -> None:
    shutil.copytree(folders[3], tmp_path / "clean")
    shutil.rmtree(tmp_path / "clean" / "archive")
    (known,) = objects("trace", "tides.txt", "--find", "each day", "--clean", str(tmp_path / "clean"))
    assert "restore it from a backup" in str(known["missing"])
    (piece,) = known["pieces"]  # type: ignore[misc]
    assert (piece["page_start"], piece["byte_start"]) == (TIDES.index("twice"), None)
    assert piece["origin"] == "unread"


def test_rollback_is_a_new_release(folders: list[str], tmp_path: Path) -> None:
    shutil.copytree(folders[3], tmp_path / "clean")
    options = ["--raw", folders[1], "--clean", str(tmp_path / "clean")]
    (done,) = objects("rollback", "1", *options)
    assert done == {"release": 4, "to": 1, "restored": 1, "gone": 1, "kept_down": 0}
    assert run("show", "tides.txt", *options) == TIDES
    assert "restored from release 1" in run("history", "tides.txt", *options)
    assert "nothing to do" in run("rollback", "1", *options)
    assert "release 5: 2 documents as in release 3, 0 gone" in run("rollback", "3", *options)


def test_the_schema_is_printed_for_people_and_programs() -> None:
    shown = run("schema")
    assert "text_blocks[].start" in shown
    assert json.loads(run("schema", "--json")) == schema.as_json()
    assert run("schema", "--markdown") == (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rollback", "9"], 1, "there is no release 9; the last one is 3"),
        (["rollback", "0"], 2, "Invalid value"),
        (["status", "--as-of", "9"], 1, "there is no release 9"),
        (["status", "--inputs", "--as-of", "1"], 2, "has no --as-of"),
        (["show", "moon.txt", "--as-of", "2"], 2, "was not there in release 2 yet"),
        (["history", "nowhere"], 2, "no document has this"),
        (["diff", "1", "9"], 1, "there is no release 9"),
        (["diff", "tides.txt", "2"], 2, "diff takes one document"),
        (["diff", "1", "2", "--from", "1"], 2, "diff takes one document"),
        (["trace", "tides.txt"], 2, "either --find TEXT or --at OFFSET"),
        (["trace", "tides.txt", "--find", "no such words"], 2, "is not in the clean text"),
        (["trace", "tides.txt", "--at", "99999"], 2, "the clean text has"),
        (["releases", "--clean", "nowhere"], 1, "run cleancopy ingest"),
        (["rollback", "1", "--clean", "nowhere"], 1, "run cleancopy ingest"),
    ],
)
def test_what_is_wrong_is_one_clear_line_and_an_exit_code(
    folders: list[str], arguments: list[str], code: int, said: str
) -> None:
    options = folders if "--clean" not in arguments else folders[:2]
    result = runner.invoke(app, [*arguments, *options])
    assert result.exit_code == code, result.output
    assert said in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


def test_a_copy_says_so_before_its_text(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    options = ["--raw", str(raw), "--clean", str(clean)]
    for name in ("a.txt", "b.txt"):
        (raw / name).write_text(TIDES)
    run("ingest", "--plain", "--workers", "0", *options)
    told = [runner.invoke(app, ["show", name, *options]) for name in ("a.txt", "b.txt")]
    assert [one.stdout for one in told] == [TIDES, TIDES]
    (copy,) = [one for one in told if one.stderr]
    assert copy.stderr.startswith("duplicate of ")
    assert copy.output.startswith("duplicate of ")
    first = [runner.invoke(app, ["explain", name, *options]).output for name in ("a.txt", "b.txt")]
    assert sum(text.startswith("duplicate of ") for text in first) == 1
