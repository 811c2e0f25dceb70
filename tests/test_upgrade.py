"""A store that an earlier cleancopy made reads on: nothing is read or published again, decisions hold.

``data/store-before.tar.gz`` was made with the release before text versions (its parts have a digest of source
files): seven example pages, a restored cut, a pin, a takedown, a dropped entry of chrome, a kept export.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cleancopy
from cleancopy import policy, version
from cleancopy.cli import app
from cleancopy.curation import maintain
from cleancopy.curation.restored import CUT_OTHERWISE, GONE, without_place
from cleancopy.ingest.pipeline import begin, ingest, reclean_sites
from cleancopy.ingest.preview import differences, without_spans
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import Summary
from cleancopy.store import chrome_profiles, decisions, releases, tables
from cleancopy.store.rows import FROM_ARCHIVE

STORE = Path(__file__).parent / "data" / "store-before.tar.gz"
RESTORED, PINNED, DOWN, TABLE = (
    "file:defense.gov/000_76aa4a595b3534b1.txt",
    "file:tides.example/gauge.html",
    "file:tides.example/marnage.html",
    "file:tides.example/table.html",
)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """The old store and its inputs: raw/ and clean/."""
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "raw", tmp_path / "clean"


@pytest.fixture
def _as_it_was(place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers, libraries and model with which the store was made."""
    stored = json.loads((place[1] / "releases" / "000001.json").read_text())["parts"]
    monkeypatch.setattr(version, "READ", 1)
    for stage in policy.STAGES:
        monkeypatch.setitem(policy.STAGES, stage, 1)
    monkeypatch.setattr(version, "_model_digest", lambda: version.FIRST_MODEL)
    monkeypatch.setattr(version, "_libraries", lambda: f"{stored['libraries']}, {version._unicode()}")
    monkeypatch.setattr(policy.Policy, "digest", stored["policy"])


def run(raw: Path, clean: Path) -> Summary:
    with begin(raw=raw, root=clean, workers=0) as under_way:
        return ingest(under_way)


def texts(clean: Path) -> dict[str, str]:
    table = tables.latest(clean, ["key", "text", "status"]).to_pylist()
    return {row["key"]: row["text"] for row in table if row["status"] != "gone"}


@pytest.mark.usefixtures("_as_it_was")
def test_with_the_same_text_versions_nothing_is_read_or_published(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, clean = place
    before = texts(clean)

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a page was read again")

    monkeypatch.setattr("cleancopy.ingest.isolated.read", not_again)
    summary = run(raw, clean)
    assert (summary.release, summary.counts["unchanged"], summary.counts["duplicate"]) == (None, 5, 1)
    assert summary.counts["rejected"] == 1, "the page that is down"
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as under_way:
        assert list(differences(under_way, reclean_sites(under_way, ()))) == []
    assert texts(clean) == before


def test_with_the_versions_of_today_all_documents_are_there_and_decisions_hold(
    place: tuple[Path, Path],
) -> None:
    raw, clean = place
    before = texts(clean)
    run(raw, clean)
    after = texts(clean)
    assert after.keys() == before.keys()
    assert len(after) == 6
    made = decisions.read_decisions(clean)
    (restored,) = (one.text for one in made.made if one.kind == "restore")
    assert restored is not None
    assert restored in " ".join(after[RESTORED].split())
    assert without_place(clean) == {}
    assert after[PINNED] == before[PINNED]
    assert DOWN not in after
    chrome = chrome_profiles.current(clean, "tides.example")
    assert chrome is not None
    assert [entry.status for entry in chrome.entries if entry.example == "Glossary"] == ["dropped"]
    assert run(raw, clean).release is None


def test_reclean_fills_the_structure_of_an_old_store_once(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = texts(clean)
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as under_way:
        shown = {each.key for each in differences(under_way, reclean_sites(under_way, ()))}
    assert TABLE in shown
    assert reclean(raw, clean).release == 6
    structure = {row["key"]: row["structure"] for row in latest(clean)}
    assert {span["kind"] for span in structure[TABLE]} >= {"table", "cell"}
    assert texts(clean)[TABLE] == before[TABLE]
    assert "| --- |" in cleancopy.open(clean).document(TABLE).markdown
    assert structure[PINNED] is None
    assert list(without_spans(clean)) == [(PINNED, "its text is pinned")]
    assert reclean(raw, clean).release is None


def test_a_page_whose_capture_is_gone_stays_without_structure_and_is_named(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, clean = place
    monkeypatch.setattr(decisions, "purged", lambda root: lambda ref: True)
    assert reclean(raw, clean).release is None
    assert (TABLE, "its capture was purged") in list(without_spans(clean))
    assert {row["key"]: row["structure"] for row in latest(clean)}[TABLE] is None


def test_a_restored_cut_that_finds_its_place_no_more_is_named(place: tuple[Path, Path]) -> None:
    raw, clean = place
    page = raw / RESTORED.removeprefix("file:")
    page.write_text(page.read_text(encoding="utf-8").replace("An official website", "Another website"))
    run(raw, clean)
    assert without_place(clean) == {1: GONE}
    listed = CliRunner().invoke(app, ["decisions", "list", "--clean", str(clean)])
    assert f"(without effect: {GONE})" in " ".join(listed.output.split())
    as_json = (
        CliRunner().invoke(app, ["decisions", "list", "--clean", str(clean), "--json"]).output.splitlines()
    )
    assert [json.loads(line).get("without_effect") for line in as_json] == [GONE, None, None]


def test_a_restored_cut_that_is_part_of_another_now_is_named(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions.Decisions, "with_restored_cuts", lambda people, document: document)
    run(*place)
    assert without_place(place[1]) == {1: CUT_OTHERWISE}


def reclean(raw: Path, clean: Path) -> Summary:
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as under_way:
        return publish(under_way, reclean_sites(under_way, ()))


def latest(clean: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tables.latest(clean, ["key", "structure"]).to_pylist()
    return rows


def test_an_old_store_is_whole_and_can_be_maintained(place: tuple[Path, Path]) -> None:
    raw, clean = place
    root = releases.read_manifest(clean, 1).content_root
    assert list(maintain.faults(clean)) == []
    run(raw, clean)
    maintain.maintain(clean)
    assert list(maintain.faults(clean)) == []
    assert releases.read_manifest(clean, 1).content_root == root
