"""Runs that end well and still need a look: when they say so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.document import Document
from cleancopy.ingest import alarms, clean_shard
from cleancopy.ingest.pipeline import begin, ingest
from cleancopy.ingest.run import Run, Summary
from cleancopy.sources.settings import Fetching, Source

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SUMMARY = Summary(
    run="r",
    release=1,
    inputs=100,
    captures=100,
    counts={"new": 95, "unchanged": 0, "duplicate": 0, "rejected": 5},
    rejected={"empty_input": 3, "binary": 2},
    recleaned=0,
    cut={},
    kept=0,
    chrome={},
    content_root="",
    live=95,
    seconds=1.0,
)


def names(run: Run, **said: Any) -> list[str]:
    return [one.name for one in alarms.find_alarms(run, replace(SUMMARY, **said), [])]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "raw").mkdir()
    with begin(raw=tmp_path / "raw", root=tmp_path / "clean", workers=0) as under_way:
        return under_way


def test_five_in_a_hundred_may_be_rejected_and_no_more(run: Run) -> None:
    assert names(run) == []
    more = {"new": 94, "unchanged": 0, "duplicate": 0, "rejected": 6}
    (alarm,) = alarms.find_alarms(run, replace(SUMMARY, counts=more), [])
    assert (alarm.name, alarm.resource, alarm.about) == ("rejections", "source", "raw")
    assert alarm.message.startswith("raw: 6 of 100 captures were rejected (6.0%: 3 empty_input, 2 binary)")
    assert names(run, counts=more, release=None) == []  # nothing new: it was told before


def test_a_source_on_the_web_that_gives_nothing_is_told(run: Run) -> None:
    web = replace(run, source="news", sources=(Source("news", "urls", urls=("http://news.example/",)),))
    refused = {"new": 0, "unchanged": 0, "duplicate": 0, "rejected": 2}
    assert "nothing-fetched" in names(web, captures=2, counts=refused)
    assert "nothing-fetched" in names(web, captures=0, counts=dict.fromkeys(refused, 0))
    assert names(web) == []
    assert names(run, captures=0, counts=dict.fromkeys(refused, 0)) == []  # a folder may be empty


def silent(arrivals: list[int], hours: int) -> bool:
    """Whether a source is silent that brought something at these hours and nothing since, ``hours`` later."""
    times = [NOON + timedelta(hours=hour) for hour in arrivals]
    return bool(list(alarms.silence("news", times, times[-1] + timedelta(hours=hours))))


def test_a_source_is_silent_after_twice_its_longest_pause() -> None:
    assert not silent([0, 1, 2, 10, 11], 16)
    assert silent([0, 1, 2, 10, 11], 17)
    assert not silent([0, 1, 2, 10], 17)  # too few arrivals to know its habit


def test_arrivals_are_the_releases_in_which_a_source_brought_something(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "notes"
    folder.mkdir(parents=True)
    source = Source("notes", "files", paths=(folder,))
    for text in ("The gauge was read at noon.", "A storm broke the jetty.", "Pilots came home late."):
        (folder / f"{text[:5]}.txt").write_text(text)
        for _ in range(2):  # the second run finds nothing new
            with begin(
                raw=tmp_path / "raw",
                root=tmp_path / "clean",
                workers=0,
                source="notes",
                sources=[source],
                fetching=Fetching(),
            ) as under_way:
                ingest(under_way)
    assert len(alarms.arrivals(under_way)) == 3


# --- what the command says


def test_a_plain_run_has_the_same_alarms_as_one_in_prefect(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    (raw / "note.txt").write_text("The gauge at the old quay was read at noon, and again in the evening.")
    (raw / "empty.html").write_text("")
    options = ["ingest", "--plain", "--workers", "0", "--raw", str(raw), "--clean", str(clean)]
    result = CliRunner().invoke(app, [*options, "--json"])
    (alarm,) = json.loads(result.output.splitlines()[-1])["alarms"]
    assert (alarm["name"], alarm["source"], alarm["rejected"]) == ("rejections", "raw", 1)
    (raw / "second.html").write_text("")
    told = " ".join(CliRunner().invoke(app, options).output.split())
    assert "alarm: raw: 2 of 3 captures were rejected" in told


def test_pages_where_learned_chrome_stopped_are_counted_and_an_alarm() -> None:
    (alarm,) = alarms.chrome_stopped({"news.example": 3})
    assert (alarm.name, alarm.about, alarm.facts["pages"]) == ("chrome-stopped", "news.example", 3)
    assert list(alarms.chrome_stopped({})) == []


def test_a_run_counts_the_pages_whose_notes_say_that_chrome_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clean_shard.apply_stages

    def with_note(*given: Any) -> Document:
        cleaned = real(*given)
        return replace(cleaned, notes=(*cleaned.notes, "site chrome stopped: it would have taken 80 %"))

    folder = tmp_path / "raw" / "news.example"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("The gauge at the old quay was read at noon.")
    with begin(raw=tmp_path / "raw", root=tmp_path / "clean", workers=0) as under_way:
        monkeypatch.setattr(clean_shard, "apply_stages", with_note)
        summary = ingest(under_way)
    assert summary.chrome_stopped == {"news.example": 1}
    assert "chrome-stopped" in [alarm.name for alarm in summary.alarms]
