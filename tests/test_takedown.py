"""Takedowns: by which names a page is known, and that nothing of what is down is archived again."""

from __future__ import annotations

import gzip
import hashlib
import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.curation import decisions, maintain
from cleancopy.sources.settings import Source
from cleancopy.store import decisions as record
from cleancopy.store import tables
from cleancopy.store.decision_log import Decision
from cleancopy.store.decisions import Decisions
from cleancopy.warc.address import match_form
from test_crawl import article, run, server
from test_pipeline import run as read_files
from test_web import Server, made, quick

__all__ = ["server"]
KEY = "https://www.example.org/tides/?port=3"
TRACKING = tomllib.loads((files("cleancopy.warc") / "tracking.toml").read_text())["pattern"]


@pytest.mark.parametrize(
    "target",
    [
        "url:https://www.example.org/tides/?port=3",
        "url:http://www.example.org/tides/?port=3",
        "url:https://WWW.Example.ORG:443/tides/?port=3#high",
        "url:HTTPS://www.example.org./tides/?utm_source=mail&port=3&fbclid=x",
        "site:WWW.EXAMPLE.ORG",
        "site:https://www.example.org/tides/",
        "capture:" + "a" * 64,
    ],
)
def test_a_target_is_known_however_it_is_written(target: str) -> None:
    down = Decisions((Decision(1, "takedown", target, ""),))
    assert down.takedown_of(KEY, KEY, "www.example.org", "a" * 64)
    assert down.takedown_of(KEY, KEY + "&gclid=1", "www.example.org", "a" * 64)
    assert not down.takedown_of("https://example.net/", "https://example.net/", "example.net", "b" * 64)


@pytest.mark.parametrize(
    "other", ["https://www.example.org/Tides/?port=3", "https://www.example.org/tides/?port=4"]
)
def test_another_path_or_query_is_another_page(other: str) -> None:
    assert not Decisions((Decision(1, "takedown", f"url:{KEY}", ""),)).takedown_of(other, other, None, None)


@pytest.mark.parametrize("pattern", TRACKING, ids=lambda pattern: pattern["reason"][:20])
def test_only_parameters_that_name_no_page_are_ignored(pattern: dict[str, list[str]]) -> None:
    for name in pattern["examples"]:
        assert match_form(f"https://e.org/?{name}=1") == "e.org/"
    for name in pattern["counterexamples"]:
        assert match_form(f"https://e.org/?{name}=1") == f"e.org/?{name}=1"


def archived(clean: Path) -> bytes:
    """All records of the archive, without their compression."""
    return b"".join(gzip.decompress(path.read_bytes()) for path in sorted((clean / "archive").glob("*.gz")))


def test_what_leads_to_a_page_that_is_down_is_not_archived(server: Server, tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    decisions.takedown(tmp_path / "clean", f"url:{server.url('/tides')}")
    twin = article("twin")
    decisions.takedown(tmp_path / "clean", f"capture:{hashlib.sha256(twin).hexdigest()}")
    server.pages["/old"] = made(b"", "301 Moved", Location=server.url("/tides?utm_source=feed"))
    server.pages["/twin"] = made(twin)
    urls = tuple(map(server.url, ("/old", "/twin", "/buoys")))
    summary = run(tmp_path, [Source("list", "urls", urls=urls)], quick(server.port))
    assert summary.rejected == {"taken_down": 2}
    records = archived(tmp_path / "clean")
    assert b"utm_source=feed" not in records
    assert twin not in records
    assert article("buoys") in records
    assert "/tides?utm_source=feed" not in [path for path, _, _ in server.seen]


def test_a_page_that_names_a_site_which_is_down_is_not_archived(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    clean.mkdir()
    (raw / "a.html").write_bytes(article("tides", '<link rel="canonical" href="https://down.example/tides">'))
    (raw / "down.example").mkdir()
    (raw / "down.example" / "b.html").write_bytes(article("buoys"))
    (raw / "c.html").write_bytes(article("charts"))
    decisions.takedown(clean, "site:Down.example")
    assert read_files(raw, clean).rejected == {"taken_down": 2}
    assert b"tides" not in archived(clean)
    assert b"buoys" not in archived(clean)
    assert b"charts" in archived(clean)


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pages with addresses, ingested."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    raw = tmp_path / "raw"
    raw.mkdir()
    for topic in ("tides", "buoys"):
        (raw / f"{topic}.html").write_bytes(article(topic))
        address = f'url = "https://port.example/{topic}?id=1"\n'
        (raw / f"{topic}.html.capture.toml").write_text(address)
    read_files(raw, tmp_path / "clean")
    return tmp_path / "clean"


def command(clean: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["takedown", *arguments, "--clean", str(clean)], input=answer)


def live(clean: Path) -> int:
    return tables.latest(clean, ["key"], status="live").num_rows


def test_where_nothing_is_meant_nothing_is_done(clean: Path) -> None:
    for target, near in (
        ("url:https://port.example/tide?id=1", "url:https://port.example/tides?id=1"),
        ("site:port.exmple", "site:port.example"),
        ("capture:" + "0" * 64, ""),
    ):
        done = command(clean, target, "--yes")
        assert done.exit_code == 2
        assert "nothing that is stored is meant" in done.output
        assert near in done.output
    assert record.read_all(clean) == []


def test_what_would_go_is_shown_and_asked_for(clean: Path) -> None:
    target = "url:http://PORT.example/tides?utm_medium=mail&id=1#top"
    shown = command(clean, target, "--dry-run")
    assert (shown.exit_code, "https://port.example/tides?id=1" in shown.output) == (0, True)
    preview = json.loads(command(clean, target, "--purge", "--dry-run", "--json").stdout)
    assert preview == {"documents": ["https://port.example/tides?id=1"], "captures": 1, "records": 1}
    unasked = command(clean, target)
    assert (unasked.exit_code, "give --yes" in unasked.output) == (2, True)
    assert (record.read_all(clean), live(clean)) == ([], 2)
    assert command(clean, target, "--yes").exit_code == 0
    assert live(clean) == 1


def test_a_purge_says_what_it_erased(clean: Path) -> None:
    done = command(clean, "site:https://PORT.example/", "--purge", "--yes", "--json")
    assert done.exit_code == 0, done.output
    erased = json.loads(done.stdout)["erased"]
    assert (erased["left"], erased["records"], erased["rows"]) == ([], 2, 6)


def test_an_undone_takedown_brings_the_page_back_without_its_input(clean: Path) -> None:
    decisions.takedown(clean, "url:https://port.example/tides?id=1")
    for path in (clean.parent / "raw").iterdir():
        path.unlink()
    assert live(clean) == 1
    assert decisions.undo(clean, 1).release is not None
    assert live(clean) == 2
    texts = {path.read_text() for path in clean.glob("text/*/*.txt")}
    assert any("tides" in text for text in texts)
    assert list(maintain.faults(clean)) == []
    assert read_files(clean.parent / "raw", clean).release is None


def test_an_undo_lifts_no_other_takedown(clean: Path) -> None:
    decisions.takedown(clean, "url:https://port.example/tides?id=1")
    decisions.takedown(clean, "site:port.example")
    decisions.undo(clean, 1)
    assert live(clean) == 0
    decisions.undo(clean, 2)
    assert live(clean) == 2
