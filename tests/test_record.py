"""The record of decisions: no line of it can be lost or altered without every writer noticing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleancopy import PolicyError, StoreError
from cleancopy.cli import app
from cleancopy.curation import decisions, maintain
from cleancopy.ingest.pipeline import (
    begin,
    clean_shard,
    discover,
    ingest,
    learn,
    read_shard,
    reclean,
    reclean_sites,
)
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import Summary
from cleancopy.store import chrome_profiles, decision_log, releases, tables
from cleancopy.store import decisions as record
from cleancopy.store.rows import FROM_ARCHIVE
from conftest import EXAMPLES

DOWN = "tides.example/marnage.html"


def run(raw: Path, clean: Path) -> Summary:
    with begin(raw=raw, root=clean, workers=0) as under_way:
        return ingest(under_way)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """The examples, ingested, and one of them taken down: raw/ and clean/."""
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    shutil.copytree(EXAMPLES, raw)
    run(raw, clean)
    decisions.takedown(clean, document(clean, DOWN), "asked by its author", by="the archivist")
    return raw, clean


def document(clean: Path, name: str) -> str:
    table = tables.latest(clean, ["doc_id", "key"]).to_pylist()
    return next(row["doc_id"] for row in table if row["key"] == f"file:{name}")


def live(clean: Path) -> set[str]:
    return set(tables.latest(clean, ["key"], status="live")["key"].to_pylist())


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_text("")


def altered(path: Path) -> None:
    line = json.loads(path.read_text().splitlines()[0])
    target = line["target"]
    path.write_text(path.read_text().replace(target, target[:-1] + ("0" if target[-1] != "0" else "1"), 1))


def unsealed(path: Path) -> None:
    """The lines as they were before there were seals, with the target altered."""
    line = json.loads(path.read_text().splitlines()[0])
    fields = {name: line[name] for name in ("number", "kind", "time")}
    path.write_text(json.dumps(fields | {"target": "0" * 32}) + "\n")


@pytest.mark.parametrize("harm", [removed, emptied, altered, unsealed])
def test_a_record_that_lost_a_decision_is_refused_by_every_writer(
    place: tuple[Path, Path], harm: object
) -> None:
    raw, clean = place
    whole = record.path(clean).read_bytes()
    harm(record.path(clean))  # type: ignore[operator]
    pinned = document(clean, "tides.example/gauge.html")
    for write in (
        lambda: run(raw, clean),
        lambda: decisions.pin(clean, pinned),
        lambda: maintain.maintain(clean),
    ):
        with pytest.raises(StoreError, match=r"decision 1 .*decisions forget 1"):
            write()
    assert f"file:{DOWN}" not in live(clean)
    (fault, *_) = [one for one in maintain.faults(clean) if one.what == "decisions.jsonl"]
    assert "1" in fault.why
    record.path(clean).write_bytes(whole)
    assert run(raw, clean).rejected == {"taken_down": 1}


def test_yesterdays_copy_is_refused(place: tuple[Path, Path]) -> None:
    raw, clean = place
    yesterday = record.path(clean).read_bytes()
    other = document(clean, "tides.example/gauge.html")
    decisions.takedown(clean, other)
    record.path(clean).write_bytes(yesterday)
    with pytest.raises(StoreError, match="decision 2 is missing"):
        run(raw, clean)
    (clean / "decisions.head").unlink()  # the manifest of the last release knows it, too
    with pytest.raises(StoreError, match="decision 2 is missing"):
        run(raw, clean)


def test_what_is_lost_is_forgotten_by_name_only(place: tuple[Path, Path]) -> None:
    raw, clean = place
    record.path(clean).unlink()
    with pytest.raises(PolicyError, match="lost or altered are 1"):
        decisions.forget(clean, [1, 2])
    done = CliRunner().invoke(app, ["decisions", "forget", "1", "--clean", str(clean), "--note", "no backup"])
    assert done.exit_code == 0, done.output
    (made,) = record.read_all(clean)
    assert (made.number, made.kind, made.target, made.note) == (2, "forget", "1", "no backup")
    assert run(raw, clean).rejected == {}
    assert f"file:{DOWN}" in live(clean)
    assert [one for one in maintain.faults(clean) if one.what == "decisions.jsonl"] == []
    decisions.pin(clean, document(clean, DOWN))
    assert [one.number for one in record.read_all(clean)] == [2, 3]
    record.path(clean).unlink()
    with pytest.raises(StoreError, match="decision 2 is missing; decision 3 is missing"):
        run(raw, clean)


def test_a_blanked_field_leaves_the_chain_whole_if_a_later_decision_names_it(place: tuple[Path, Path]) -> None:
    _, clean = place
    first = record.path(clean).read_text().splitlines()[0]
    line = json.loads(first)
    line["note"] = ""
    del line["salts"]["note"]
    record.path(clean).write_text(json.dumps(line) + "\n")
    with pytest.raises(StoreError, match="decision 1 was altered"):
        releases.check_decisions(clean)
    record.path(clean).write_text(first + "\n")
    other = document(clean, "tides.example/gauge.html")
    record.append(clean, decision_log.Decision(0, "takedown", other, "", blanked=("1.note",)))
    decision_log.blank(clean, ["1.note"])
    releases.check_decisions(clean)
    assert record.read_all(clean)[0].note == ""
    assert "asked by its author" not in record.path(clean).read_text()


def test_a_record_ahead_of_the_last_release_is_normal(place: tuple[Path, Path]) -> None:
    raw, clean = place
    target = document(clean, "tides.example/gauge.html")
    record.append(clean, decision_log.Decision(0, "takedown", target, ""))
    assert run(raw, clean).release is not None
    assert "file:tides.example/gauge.html" not in live(clean)
    last = releases.current(clean)
    assert last is not None
    assert last.decisions == decision_log.head(clean)


def test_a_record_of_before_seals_is_sealed_by_the_first_writer(place: tuple[Path, Path]) -> None:
    raw, clean = place
    line = json.loads(record.path(clean).read_text())
    names = ("number", "kind", "target", "time", "note", "text", "purged")
    record.path(clean).write_text(json.dumps({name: line[name] for name in names}) + "\n")
    (clean / "decisions.head").unlink()
    manifest = clean / "releases" / "000002.json"
    fields = json.loads(manifest.read_text())
    del fields["decisions"]
    manifest.write_text(json.dumps(fields))
    run(raw, clean)
    assert "chain" in json.loads(record.path(clean).read_text())
    emptied(record.path(clean))
    with pytest.raises(StoreError, match="decision 1 is missing"):
        run(raw, clean)


def test_a_decision_names_who_made_it(place: tuple[Path, Path]) -> None:
    _, clean = place
    decisions.pin(clean, document(clean, "tides.example/gauge.html"))
    first, second = record.read_all(clean)
    assert (first.by, second.by) == ("the archivist", decision_log.current_user())
    listed = CliRunner().invoke(app, ["decisions", "list", "--clean", str(clean)]).output
    assert "(asked by its author) by the archivist" in " ".join(listed.split())


def test_decisions_on_chrome_are_in_the_same_record(place: tuple[Path, Path]) -> None:
    _, clean = place
    runner = CliRunner()
    for command in (["drop", "--note", "a heading of its own"], ["undo"], ["pin"]):
        name, *options = command
        arguments = ["chrome", name, "tides.example", "Glossary", *options, "--clean", str(clean)]
        assert runner.invoke(app, arguments).exit_code == 0
    made = record.read_all(clean)[1:]
    assert [(one.kind, one.text) for one in made] == [
        ("chrome-drop", "Glossary"),
        ("chrome-undo", "Glossary"),
        ("chrome-pin", "Glossary"),
    ]
    assert record.holding(clean) == {1, 4}


def test_a_decision_on_chrome_outlives_the_run_that_was_under_way(place: tuple[Path, Path]) -> None:
    raw, clean = place
    page = raw / "tides.example" / "gauge.html"
    (raw / "tides.example" / "fifth.html").write_text(page.read_text().replace("gauge", "tide-gauge station"))
    with begin(raw=raw, root=clean, workers=0) as under_way:
        shards = discover(under_way)
        for shard in range(shards):
            read_shard(under_way, shard)
        learn(under_way, shards)
        decisions.decide_chrome(clean, "tides.example", "Glossary", "dropped")
        for shard in range(shards):
            clean_shard(under_way, shard)
        reclean(under_way, shards)
        publish(under_way, shards + 1)
    chrome = chrome_profiles.current(clean, "tides.example")
    assert chrome is not None
    assert [one.status for one in chrome.entries if one.example == "Glossary"] == ["dropped"]
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as under_way:
        publish(under_way, reclean_sites(under_way, ["tides.example"]))
    page_of_run = tables.version(clean, document(clean, "tides.example/fifth.html"))
    assert page_of_run is not None
    assert page_of_run.parts["chrome"] == chrome.digest, "and it is cleaned under the decision"


def test_a_page_that_is_down_stays_down_under_another_name(place: tuple[Path, Path]) -> None:
    raw, clean = place
    (raw / DOWN).rename(raw / "tides.example" / "renamed.html")
    assert run(raw, clean).rejected == {"taken_down": 1}
    assert "file:tides.example/renamed.html" not in live(clean)
    decisions.undo(clean, 1)
    assert run(raw, clean).rejected == {}
    assert "file:tides.example/renamed.html" in live(clean)
