"""What people decide: cuts that stay, texts that stay, pages that go; and that a later ingest honours it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cleancopy import PolicyError, StoreError, decisions
from cleancopy.pipeline import begin, decide_shard, discover, ingest, learn, read_shard, reclean, revisit
from cleancopy.publish import publish
from cleancopy.run import FROM_ARCHIVE, Summary
from cleancopy.store import archive, corpus, releases, rows
from cleancopy.store.rows import Version
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
    found = (corpus.version(clean, doc) for doc in sorted(corpus.heads(clean)))
    return [one for one in found if one]


def with_cuts(clean: Path) -> Version:
    return next(one for one in latest(clean) if one.status == "live" and one.document.cuts)


def test_a_restored_cut_stays_in_the_text(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = with_cuts(clean)
    wanted = decisions.plain(before.document, before.document.cuts[0])
    done = decisions.restore_cut(clean, before.doc_id, 1, "belongs to the page")
    after = corpus.version(clean, before.doc_id)
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
    later = corpus.version(clean, before.doc_id)
    assert later is not None
    assert wanted in " ".join(later.document.clean.split())


def test_an_undone_restore_goes_at_the_next_reclean(place: tuple[Path, Path]) -> None:
    raw, clean = place
    before = with_cuts(clean)
    decisions.restore_cut(clean, before.doc_id, 1)
    decisions.undo(clean, 1)
    with begin(raw=raw, root=clean, workers=0, source=FROM_ARCHIVE) as again:
        publish(again, revisit(again))
    after = corpus.version(clean, before.doc_id)
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
    now = corpus.version(clean, version.doc_id)
    assert now is not None
    assert now.document.clean == version.document.clean
    decisions.undo(clean, pinned.decision.number)
    page.write_text("A third text stands here, and nothing of the first is left in it.\n")
    run(raw, clean)
    now = corpus.version(clean, version.doc_id)
    assert now is not None
    assert now.document.clean.startswith("A third text")


def test_a_copy_can_stand_by_itself(place: tuple[Path, Path]) -> None:
    raw, clean = place
    (copy,) = [one for one in latest(clean) if one.status == "duplicate"]
    decisions.restore(clean, copy.doc_id)
    run(raw, clean)
    now = corpus.version(clean, copy.doc_id)
    assert now is not None
    assert (now.status, now.duplicate_of) == ("live", None)


def test_what_is_taken_down_is_gone_and_is_not_read_again(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    done = decisions.takedown(clean, version.doc_id, "asked by its author")
    assert (done.documents, done.held) == ((version.doc_id,), (1,))
    assert not list(clean.glob(f"text/*/*-{version.doc_id[:12]}.*"))
    summary = run(raw, clean)
    assert summary.rejected == {"taken_down": 1}
    assert "asked by its author" in str(summary.rejections[0].message)
    (raw / version.document.key.removeprefix("file:")).write_text(TEXT)
    assert run(raw, clean).rejected == {"taken_down": 1}
    old = corpus.version(clean, version.doc_id, as_of=1)
    now = corpus.version(clean, version.doc_id)
    assert old is not None
    assert now is not None
    assert (old.status, now.status, now.change) == ("live", "gone", "takedown")
    decisions.undo(clean, done.decision.number)
    assert run(raw, clean).rejected == {}
    again = decisions.takedown(clean, version.doc_id)
    assert run(raw, clean).rejected == {"taken_down": 1}
    decisions.undo(clean, again.decision.number)
    assert run(raw, clean).rejected == {}
    back = corpus.version(clean, version.doc_id)
    assert back is not None
    assert back.status == "live"


def test_a_takedown_that_was_cut_short_is_carried_out_by_the_next_run(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    made = {"number": 1, "kind": "takedown", "target": version.doc_id, "time": "2026-01-01T00:00:00Z"}
    decisions.path(clean).write_text(json.dumps(made) + "\n")
    run(raw, clean)
    now = corpus.version(clean, version.doc_id)
    assert now is not None
    assert (now.status, now.change) == ("gone", "takedown")
    assert not list(clean.glob(f"text/*/*-{version.doc_id[:12]}.*"))


def test_what_is_decided_while_a_run_reads_holds(place: tuple[Path, Path]) -> None:
    raw, clean = place
    version = with_cuts(clean)
    key = version.document.key.removeprefix("file:")
    (raw / key).write_bytes((raw / key).read_bytes() + b"\n<!-- one more line -->\n")
    wanted = decisions.plain(version.document, version.document.cuts[0])
    with begin(raw=raw, root=clean, workers=0) as under_way:
        shards = discover(under_way)
        for number in range(shards):
            read_shard(under_way, number)
        learn(under_way, shards)
        for number in range(shards):
            decide_shard(under_way, number)
        decisions.restore_cut(clean, version.doc_id, 1)
        reclean(under_way, shards)
        publish(under_way, shards + 1)
    now = corpus.version(clean, version.doc_id)
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
    assert one.archive == two.archive
    done = decisions.takedown(clean, one.doc_id, purge=True)
    assert done.decision.purged == ()
    assert two.archive is not None
    assert archive.read_capture(clean, two.archive).decode() == TEXT
    second = decisions.takedown(clean, two.doc_id, purge=True)
    assert second.decision.purged == (two.archive.record_id,)
    for made in (1, 2):
        decisions.undo(clean, made)
    assert run(raw, clean).live == 1
    assert {name for name, ref in corpus.archived(clean).items() if archive.read_capture(clean, ref)}


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
    first = decisions.path(clean).read_text()
    decisions.undo(clean, 1)
    assert decisions.path(clean).read_text().startswith(first)
    assert [json.loads(line)["kind"] for line in decisions.path(clean).read_text().splitlines()] == [
        "pin",
        "undo",
    ]
    assert decisions.read(clean).made == ()


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
    assert decisions.every(clean) == []
    assert releases.current(clean) == releases.read(clean, 1)


def test_a_decided_document_becomes_an_annotated_case(place: tuple[Path, Path]) -> None:
    _, clean = place
    version = with_cuts(clean)
    case = decisions.as_case(version.document)
    assert case.splitlines()[0] == "# " + version.document.key.removeprefix("file:")
    assert len(case.splitlines()) == 1 + len(list(decisions.annotated(version.document)))
    assert any(line.startswith("cut:") for line in case.splitlines())
