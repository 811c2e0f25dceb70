"""What people decide: cuts that stay, texts that stay, pages that go; and that a later ingest honours it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleancopy import Policy, PolicyError, StoreError
from cleancopy.cli import app
from cleancopy.curation import decisions
from cleancopy.curation.rollback import rollback
from cleancopy.document import Document
from cleancopy.export.export import export
from cleancopy.export.selection import plan
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
from cleancopy.store import archive, releases, rows, tables
from cleancopy.store import decisions as record
from cleancopy.store.rows import FROM_ARCHIVE, Version
from cleancopy.store.spool import read_spool
from conftest import EXAMPLES

TEXT = "The tide table lists the times of high and low water for every day of the year at one port.\n"


def run(raw: Path, clean: Path) -> Summary:
    with begin(raw=raw, root=clean, workers=0) as under_way:
        return ingest(under_way)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """The examples, ingested: raw/ and clean/."""
    shutil.copytree(EXAMPLES, tmp_path / "raw" / "examples")
    run(tmp_path / "raw", tmp_path / "clean")
    return tmp_path / "raw", tmp_path / "clean"


def latest(clean: Path) -> list[Version]:
    found = (tables.version(clean, doc) for doc in sorted(tables.heads(clean)))
    return [one for one in found if one]


def version(clean: Path, one: Version) -> Version:
    """The latest version of the document that a version is of."""
    found = tables.version(clean, one.doc_id)
    assert found is not None
    return found


def kept(one: Version) -> str:
    return " ".join(one.clean.split())


def with_cuts(clean: Path) -> Version:
    return next(one for one in latest(clean) if one.status == "live" and one.document.cuts)


def test_a_restored_cut_stays_in_the_text(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = with_cuts(clean)
    wanted = record.cut_text(before.document, before.document.cuts[0])
    done = decisions.restore_cut(clean, before.doc_id, 1, "belongs to the page")
    after = tables.version(clean, before.doc_id)
    assert after is not None
    assert (after.release, after.change, after.parent) == (done.release, "restored", before.version_id)
    assert wanted in " ".join(after.document.clean.split())
    assert len(after.document.cuts) == len(before.document.cuts) - 1
    text = next(clean.glob(f"text/*/*-{before.doc_id[:12]}.txt")).read_text()
    assert text == after.document.clean
    assert run(raw, clean).release is None
    key = before.document.key.removeprefix("file:")
    (raw / key).write_bytes((raw / key).read_bytes() + b"\n<!-- one more line -->\n")
    run(raw, clean)
    later = tables.version(clean, before.doc_id)
    assert later is not None
    assert wanted in " ".join(later.document.clean.split())


def reclean_all(raw: Path, clean: Path) -> Summary:
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as again:
        return publish(again, reclean_sites(again))


@pytest.mark.parametrize("again", [run, pytest.param(reclean_all, marks=pytest.mark.slow)])
def test_of_two_restored_cuts_the_one_that_is_undone_goes(
    place: tuple[Path, Path], again: Callable[[Path, Path], Summary]
) -> None:
    raw, clean = place
    before = next(one for one in latest(clean) if one.status == "live" and len(one.document.cuts) > 1)
    first, second = (record.cut_text(before.document, cut) for cut in before.document.cuts[:2])
    for _ in range(2):
        decisions.restore_cut(clean, before.doc_id, 1)
    decisions.undo(clean, 1)
    again(raw, clean)
    now = version(clean, before)
    assert len(now.document.cuts) == len(before.document.cuts) - 1
    assert (first in kept(now), second in kept(now)) == (False, True)
    assert again(raw, clean).release is None
    decisions.undo(clean, 2)
    again(raw, clean)
    assert version(clean, before).document == before.document


def test_a_restore_that_was_cut_short_is_carried_out_by_the_next_run(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    raw, clean = place
    before = with_cuts(clean)
    with monkeypatch.context() as patch:
        patch.setattr(decisions, "_publish", die)
        with pytest.raises(Killed):
            decisions.restore_cut(clean, before.doc_id, 1)
    assert version(clean, before) == before
    run(raw, clean)
    assert len(version(clean, before).document.cuts) == len(before.document.cuts) - 1
    assert run(raw, clean).release is None


@pytest.mark.slow
def test_a_restore_after_a_rollback_is_no_state_of_an_older_release(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = with_cuts(clean)
    (raw / "page.txt").write_text(TEXT)
    run(raw, clean)
    decisions.restore_cut(clean, before.doc_id, 1)
    rollback(clean, 2)
    assert version(clean, before).restored_from == 2
    assert run(raw, clean).release is None
    decisions.restore_cut(clean, before.doc_id, 1)
    assert version(clean, before).restored_from is None
    for number in (1, 2):
        decisions.undo(clean, number)
    run(raw, clean)
    assert version(clean, before).document == before.document


def test_an_undone_restore_goes_at_the_next_reclean(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = with_cuts(clean)
    decisions.restore_cut(clean, before.doc_id, 1)
    decisions.undo(clean, 1)
    reclean_all(raw, clean)
    after = tables.version(clean, before.doc_id)
    assert after is not None
    assert after.document.clean == before.document.clean


def test_a_pinned_text_stays_as_it_is(place: tuple[Path, Path]) -> None:
    raw, clean = place
    page = raw / "page.txt"
    page.write_text(TEXT)
    run(raw, clean)
    (version,) = [one for one in latest(clean) if one.document.key == "file:page.txt"]
    pinned = decisions.pin(clean, version.doc_id)
    page.write_text("Another text stands here, and nothing of the first is left in it.\n")
    assert run(raw, clean).counts["unchanged"] == 7
    now = tables.version(clean, version.doc_id)
    assert now is not None
    assert now.document.clean == version.document.clean
    assert run(raw, clean).release is None  # what waits is not read again and again
    decisions.undo(clean, pinned.decision.number)
    run(raw, clean)
    now = tables.version(clean, version.doc_id)
    assert now is not None
    assert (now.document.clean[:7], now.change) == ("Another", "source")
    assert run(raw, clean).release is None
    page.write_text("A third text stands here, and nothing of the first is left in it.\n")
    run(raw, clean)
    now = tables.version(clean, version.doc_id)
    assert now is not None
    assert now.document.clean.startswith("A third text")


@pytest.mark.slow
def test_what_a_pinned_page_became_is_read_from_the_archive_once_it_is_unpinned(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    page = raw / "page.txt"
    page.write_text(TEXT)
    run(raw, clean)
    decisions.pin(clean, latest(clean)[0].doc_id)
    page.write_text("Another text stands here, and nothing of the first is left in it.\n")
    run(raw, clean)
    page.unlink()
    assert reclean_all(raw, clean).recleaned == 0
    decisions.undo(clean, 1)
    assert reclean_all(raw, clean).recleaned == 1
    (now,) = latest(clean)
    assert (now.clean[:7], now.change) == ("Another", "source")
    assert reclean_all(raw, clean).release is None


def test_a_text_older_than_the_stored_one_is_a_version_when_it_is_captured_again(
    tmp_path: Path,
) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()

    def capture(text: str, when: str) -> Summary:
        (raw / "page.txt").write_text(text)
        (raw / "page.txt.capture.toml").write_text(f'url = "https://tides.example/"\ncaptured = "{when}"\n')
        return run(raw, clean)

    def texts() -> list[str]:
        return [one.clean for one in tables.history(clean, next(iter(tables.heads(clean))))]

    capture(TEXT, "2027-01-01T00:00:00Z")
    assert capture("A new text, by a clock that is behind.\n", "2026-01-02T00:00:00Z").counts["unchanged"] == 1
    assert run(raw, clean).release is None
    assert texts() == [TEXT]
    capture("A new text, by a clock that is behind.\n", "2027-06-01T00:00:00Z")
    assert texts() == [TEXT, "A new text, by a clock that is behind.\n"]
    assert latest(clean)[0].change == "source"


def test_a_copy_can_stand_by_itself(place: tuple[Path, Path]) -> None:
    raw, clean = place
    (copy,) = [one for one in latest(clean) if one.status == "duplicate"]
    decisions.restore(clean, copy.doc_id)
    run(raw, clean)
    now = tables.version(clean, copy.doc_id)
    assert now is not None
    assert (now.status, now.duplicate_of) == ("live", None)


def test_what_is_taken_down_is_gone_and_is_not_read_again(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    done = decisions.takedown(clean, version.doc_id, "asked by its author")
    assert (done.documents, done.held) == ((version.doc_id,), (1,))
    assert not list(clean.glob(f"text/*/*-{version.doc_id[:12]}.*"))
    with pytest.raises(PolicyError, match="is gone; undo its takedown"):
        decisions.restore_cut(clean, version.doc_id, 1)
    summary = run(raw, clean)
    assert summary.rejected == {"taken_down": 1}
    assert "asked by its author" in str(summary.rejections[0].message)
    (raw / version.document.key.removeprefix("file:")).write_text(TEXT)
    assert run(raw, clean).rejected == {"taken_down": 1}
    old = tables.version(clean, version.doc_id, as_of=1)
    now = tables.version(clean, version.doc_id)
    assert old is not None
    assert now is not None
    assert (old.status, now.status, now.change) == ("live", "gone", "takedown")
    assert now.document == Document(
        version.document.key, "", (), url=version.document.url, site=version.document.site,
        media_type=version.document.media_type, payload_sha256=version.document.payload_sha256,
    )  # fmt: skip
    assert (now.parent, now.signature) == (version.version_id, b"")
    decisions.undo(clean, done.decision.number)
    assert run(raw, clean).rejected == {}
    again = decisions.takedown(clean, version.doc_id)
    assert run(raw, clean).rejected == {"taken_down": 1}
    decisions.undo(clean, again.decision.number)
    assert run(raw, clean).rejected == {}
    back = tables.version(clean, version.doc_id)
    assert back is not None
    assert back.status == "live"


def test_a_takedown_that_was_cut_short_is_carried_out_by_the_next_run(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    made = {"number": 1, "kind": "takedown", "target": version.doc_id, "time": "2026-01-01T00:00:00Z"}
    record.path(clean).write_text(json.dumps(made) + "\n")
    run(raw, clean)
    now = tables.version(clean, version.doc_id)
    assert now is not None
    assert (now.status, now.change, now.clean, now.parent) == ("gone", "takedown", "", version.version_id)
    assert not list(clean.glob(f"text/*/*-{version.doc_id[:12]}.*"))


def test_what_is_decided_while_a_run_reads_holds(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    key = version.document.key.removeprefix("file:")
    (raw / key).write_bytes((raw / key).read_bytes() + b"\n<!-- one more line -->\n")
    wanted = record.cut_text(version.document, version.document.cuts[0])
    with begin(raw=raw, root=clean, workers=0) as under_way:
        shards = discover(under_way)
        for number in range(shards):
            read_shard(under_way, number)
        learn(under_way, shards)
        for number in range(shards):
            clean_shard(under_way, number)
        decisions.restore_cut(clean, version.doc_id, 1)
        reclean(under_way, shards)
        publish(under_way, shards + 1)
    now = tables.version(clean, version.doc_id)
    assert now is not None
    assert wanted in " ".join(now.document.clean.split())
    assert now.text_sha256 == rows.sha256(now.document.clean)


def test_a_record_that_a_live_page_shares_is_not_purged(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    for name in ("one.txt", "two.txt"):
        (raw / name).write_text(TEXT)
    run(raw, clean)
    one, two = latest(clean)
    assert one.archive is not None
    assert one.archive == two.archive
    done = decisions.takedown(clean, one.doc_id, purge=True)
    assert (done.decision.purged, done.shared) == ((), (one.archive.record_id,))
    assert done.copies == (two.doc_id,)
    assert two.archive is not None
    assert archive.read_capture(clean, two.archive).decode() == TEXT
    second = decisions.takedown(clean, two.doc_id, purge=True)
    assert second.decision.purged == (f"{two.archive.file}@{two.archive.offset}",)
    for made in (1, 2):
        decisions.undo(clean, made)
    assert run(raw, clean).live == 1
    there = tables.archived(clean, without=record.purged(clean))
    assert {name for name, ref in there.items() if archive.read_capture(clean, ref)} == there.keys() != set()


@pytest.mark.slow
def test_a_page_that_was_purged_and_came_back_is_read_from_the_archive_as_any_other(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    (raw / "one.txt").write_text(TEXT)
    run(raw, clean)
    (before,) = latest(clean)
    decisions.takedown(clean, before.doc_id, purge=True)
    decisions.undo(clean, 1)
    run(raw, clean)
    (back,) = latest(clean)
    assert before.archive is not None
    assert back.archive is not None
    assert (back.archive.record_id, back.archive == before.archive) == (before.archive.record_id, False)
    purged = record.purged(clean)
    assert (purged(before.archive), purged(back.archive)) == (True, False)
    (raw / "copy.txt").write_text(TEXT)
    run(raw, clean)
    assert [one.archive for one in latest(clean)] == [back.archive, back.archive]
    with begin(
        raw=raw, root=clean, workers=0, source=FROM_ARCHIVE, policy=Policy(stages=("captions",))
    ) as again:
        reclean_sites(again)
        assert len(list(read_spool(again.spool("read", 0)))) == 2


@pytest.mark.slow
def test_a_capture_is_taken_down_and_purged_whether_it_made_a_version_or_not(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    page = raw / "page.html"
    first, confirming, later = (
        f"<html>{mark}<body><p>{text}</p></body></html>"
        for mark, text in [("", TEXT), (" ", TEXT), ("", TEXT * 2)]
    )
    for content in (first, confirming, later):
        page.write_text(content)
        run(raw, clean)
    assert [one.release for one in tables.history(clean, latest(clean)[0].doc_id)] == [1, 3]

    old = decisions.takedown(clean, f"capture:{digest(confirming)}", purge=True)
    assert (old.release, old.documents, old.held) == (None, (latest(clean)[0].doc_id,), (1, 2))
    assert readable(clean) == {digest(first), digest(later)}
    assert latest(clean)[0].status == "live"

    page.write_text(later + "\n")
    run(raw, clean)
    new = decisions.takedown(clean, f"capture:{digest(later + chr(10))}", purge=True)
    assert (new.release, new.held) == (5, ())
    assert latest(clean)[0].status == "gone"
    assert readable(clean) == set()
    assert run(raw, clean).rejected == {"taken_down": 1}


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def readable(clean: Path) -> set[str]:
    """The digests of the archived payloads that were not purged."""
    return {payload for payload, ref in tables.archived(clean).items() if not archive.is_purged(clean, ref)}


def test_a_takedown_says_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    for name in ("one.txt", "two.txt"):
        (raw / name).write_text(TEXT)
    run(raw, clean)
    keeper, copy = sorted(latest(clean), key=lambda one: one.status, reverse=True)
    assert copy.duplicate_of == keeper.doc_id
    (clean / "exports").mkdir()
    export(plan(clean), clean / "exports" / "all.jsonl", "jsonl")
    result = CliRunner().invoke(app, ["takedown", keeper.doc_id, "--purge", "--yes", "--clean", str(clean)])
    said = " ".join(result.output.split())
    assert result.exit_code == 0
    assert f"take them down, too: {copy.doc_id}" in said
    assert "not purged, as a copy that stays was read from the same bytes: <urn:uuid:" in said
    assert "1 export renewed" in said
    assert "of it stay, as documents that stay have them, too" in said
    assert "nothing left" in said
    assert "not touched: raw/" in said


def test_a_whole_site_is_taken_down(place: tuple[Path, Path]) -> None:
    raw, clean = place
    site = with_cuts(clean).document.site
    done = decisions.takedown(clean, f"site:{site}")
    assert len(done.documents) > 1
    assert not [one for one in latest(clean) if one.document.site == site and one.status != "gone"]
    assert run(raw, clean).rejected == {"taken_down": len(done.documents)}


def test_purged_bytes_are_gone_and_their_neighbours_are_not(place: tuple[Path, Path]) -> None:
    _, clean = place
    versions = latest(clean)
    gone, *others = versions
    assert gone.archive is not None
    size = {path: path.stat().st_size for path in clean.glob("archive/*")}
    decisions.takedown(clean, gone.doc_id, purge=True)
    with pytest.raises(StoreError, match="was purged by a takedown"):
        archive.read_capture(clean, gone.archive)
    for other in others:
        assert other.archive is not None
        assert archive.read_capture(clean, other.archive, other.document.payload_sha256)
    assert size == {path: path.stat().st_size for path in clean.glob("archive/*")}
    from fastwarc import ArchiveIterator

    with open(next(iter(size)), "rb") as file:
        assert sum(1 for _ in ArchiveIterator(file, parse_http=False)) == 1 + len(
            {one.archive for one in versions}
        )


def test_decisions_are_lines_that_are_never_rewritten(place: tuple[Path, Path]) -> None:
    _, clean = place
    version = with_cuts(clean)
    decisions.pin(clean, version.doc_id)
    first = record.path(clean).read_text()
    decisions.undo(clean, 1)
    assert record.path(clean).read_text().startswith(first)
    assert [json.loads(line)["kind"] for line in record.path(clean).read_text().splitlines()] == [
        "pin",
        "undo",
    ]
    assert record.read_decisions(clean).made == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda clean, doc: decisions.restore_cut(clean, doc, 99), "has no cut 99"),
        (lambda clean, doc: decisions.undo(clean, 7), "no decision 7"),
        (lambda clean, doc: decisions.pin(clean, "0" * 32), "no such document"),
        (lambda clean, doc: decisions.restore(clean, doc), "is no copy"),
        (lambda clean, doc: decisions.takedown(clean, "capture:zz"), "64 hex digits"),
        (lambda clean, doc: decisions.takedown(clean, "url:foo"), "http or https"),
    ],
)
def test_what_cannot_be_decided_says_why(place: tuple[Path, Path], wrong: object, said: str) -> None:
    _, clean = place
    with pytest.raises(PolicyError, match=said):
        wrong(clean, with_cuts(clean).doc_id)  # type: ignore[operator]
    assert record.read_all(clean) == []
    assert releases.current(clean) == releases.read_manifest(clean, 1)


def test_a_decided_document_becomes_an_annotated_case(place: tuple[Path, Path]) -> None:
    _, clean = place
    version = with_cuts(clean)
    case = decisions.as_case(version.document)
    assert case.splitlines()[0] == "# " + version.document.key.removeprefix("file:")
    assert len(case.splitlines()) == 1 + len(list(decisions.annotated(version.document)))
    assert any(line.startswith("cut:") for line in case.splitlines())
