"""An ingest from raw/ to clean/, step by step and as a whole."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cleancopy import Policy, PolicyError
from cleancopy.corpus import views
from cleancopy.curation import decisions
from cleancopy.document import Capture
from cleancopy.errors import Busy
from cleancopy.export.jsonl import write_jsonl
from cleancopy.ingest.pipeline import begin, clean_shard, discover, ingest, learn, read_shard, reclean
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import Run, Summary
from cleancopy.policy import Limits
from cleancopy.sources.files import Input, RejectedInput, read_input
from cleancopy.store import releases, tables
from cleancopy.store.rows import LedgerEntry
from conftest import EXAMPLES, corpus

ARTICLE = (
    "The tide table lists the times of high and low water for every day of the year at one port. "
    "Heights are counted from chart datum, a level that the sea hardly ever falls below. "
    "Between the times the water does not rise evenly, so that small boats use a rule of thumb."
)


def run(
    raw: Path, clean: Path, *, workers: int = 0, paths: list[Path] | None = None, policy: Policy | None = None
) -> Summary:
    with begin(raw=raw, root=clean, paths=paths or (), workers=workers, policy=policy) as under_way:
        return ingest(under_way)


def outcomes(clean: Path) -> dict[str, tuple[str, str | None]]:
    return {line["input"]: (line["outcome"], line["error"]) for line in views.inputs(clean)}


def texts(clean: Path) -> dict[str, bytes]:
    return {
        path.relative_to(clean).as_posix(): path.read_bytes() for path in sorted(clean.glob("text/*/*.txt"))
    }


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "raw" / "examples")
    return tmp_path / "raw"


def test_the_examples_come_out_clean(raw: Path, tmp_path: Path) -> None:
    summary = run(raw, tmp_path / "clean")
    assert (summary.captures, summary.counts) == (7, {"new": 6, "unchanged": 0, "duplicate": 1, "rejected": 0})
    written = texts(tmp_path / "clean")
    assert len(written) == 6
    everything = b"\n".join(written.values()).decode()
    assert "Cookies" not in everything
    assert "Skip to main content" not in everything
    assert "große Schiffe" in everything
    assert "la différence de hauteur" in everything
    assert "height(t) = low + (high - low)" in everything


def test_the_copy_names_the_document_that_stands_for_it(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "clean")
    heads = tables.heads(tmp_path / "clean")
    copies = [
        tables.version(tmp_path / "clean", doc) for doc, head in heads.items() if head.status == "duplicate"
    ]
    assert len(copies) == 1
    assert copies[0] is not None
    assert copies[0].duplicate_of in heads
    assert copies[0].match["rule"] in ("exact", "near")


def test_a_second_run_reads_nothing_and_makes_no_release(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(raw, tmp_path / "clean")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "clean" / "text").rglob("*")}

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a known payload was read again")

    monkeypatch.setattr("cleancopy.ingest.isolated.read", not_again)
    second = run(raw, tmp_path / "clean")
    assert (second.release, second.content_root) == (None, first.content_root)
    assert second.counts == {"new": 0, "unchanged": 6, "duplicate": 1, "rejected": 0}
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "clean" / "text").rglob("*")} == before


def test_order_of_input_and_workers_change_nothing(raw: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(raw.rglob("*")) if path.suffix in (".html", ".txt")]
    random.Random(7).shuffle(files)
    one = run(raw, tmp_path / "one", workers=1)
    two = run(raw, tmp_path / "two", workers=2, paths=files)
    assert one.content_root == two.content_root
    assert texts(tmp_path / "one") == texts(tmp_path / "two")


def test_page_by_page_comes_to_the_same_texts_as_all_at_once(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "once")
    for path in sorted(raw.rglob("*")):
        if path.suffix in (".html", ".txt"):
            run(raw, tmp_path / "steps", paths=[path])
    once, steps = texts(tmp_path / "once"), texts(tmp_path / "steps")
    assert set(once.values()) == set(steps.values())


def test_a_changed_page_becomes_a_version_and_the_old_one_stays(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    (raw / "a.txt").write_text(ARTICLE)
    run(raw, clean)
    (raw / "a.txt").write_text(ARTICLE + "\n\nA line was added.")
    summary = run(raw, clean)
    assert (summary.release, summary.counts["new"]) == (2, 1)
    (document,) = tables.heads(clean)
    first, second = tables.history(clean, document)
    assert (first.seq, second.seq, second.change, second.parent) == (1, 2, "source", first.version_id)
    assert "A line was added." in second.document.clean
    assert "A line was added." not in first.document.clean
    old = tables.document(clean, document, as_of=1)
    assert old == first.document


def test_another_policy_cleans_again_and_keeps_what_came_out_the_same(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    (raw / "a.txt").write_text(ARTICLE)
    run(raw, clean)
    summary = run(raw, clean, policy=Policy(repair=False))
    assert summary.counts["unchanged"] == 1
    assert len(tables.history(clean, next(iter(tables.heads(clean))))) == 1


def test_what_cannot_be_a_document_is_rejected_by_kind_and_the_run_ends_well(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    (raw / "locked").mkdir(parents=True)
    (raw / "good.txt").write_text(ARTICLE)
    (raw / "empty.html").write_bytes(b"")
    (raw / "image.html").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + random.Random(1).randbytes(4000))
    (raw / "broken.html.gz").write_bytes(gzip.compress(ARTICLE.encode())[:-20])
    (raw / "chrome.html").write_text(
        "<html><head><title>x</title></head><body><script>x</script></body></html>"
    )
    (raw / "link.html").symlink_to(raw / "good.txt")
    os.mkfifo(raw / "pipe.html")
    (raw / "locked").chmod(0)
    try:
        summary = run(raw, clean)
    finally:
        (raw / "locked").chmod(0o755)
    found = outcomes(clean)
    assert found["good.txt"] == ("new", None)
    assert found["empty.html"] == ("rejected", "empty_input")
    assert found["image.html"] == ("rejected", "binary")
    assert found["broken.html.gz"] == ("rejected", "bad_compression")
    assert found["chrome.html"] == ("rejected", "no_content")
    assert found["link.html"] == ("rejected", "unsafe_path")
    assert found["pipe.html"] == ("rejected", "special_file")
    if os.geteuid() != 0:
        assert found["locked"] == ("rejected", "unreadable")
    assert sum(summary.counts.values()) == summary.captures
    assert all(line["message"] for line in views.inputs(clean) if line["outcome"] == "rejected")
    again = run(raw, clean)
    assert again.release is None
    assert again.counts["rejected"] == summary.counts["rejected"]


def test_a_web_archive_gives_up_its_pages(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    page = "<html><body><article><p>{} Number {}.</p></article></body></html>"
    pages = {f"https://example.org/{n}": page.format(ARTICLE, n * 7919) for n in range(3)}
    (raw / "pages.warc.gz").write_bytes(
        b"".join(gzip.compress(_response(url, page)) for url, page in pages.items())
    )
    summary = run(raw, clean)
    assert summary.captures == 3
    (line,) = views.inputs(clean)
    assert (line["input"], line["outcome"]) == ("pages.warc.gz", "new")
    urls = {version.document.url for doc in tables.heads(clean) if (version := tables.version(clean, doc))}
    assert urls == set(pages)


def _response(url: str, page: str) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{abs(hash(url)):032x}>\r\n"
    head += f"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    return head.encode() + http + b"\r\n\r\n"


def test_the_export_is_one_object_a_live_document(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "clean")
    out = tmp_path / "out.jsonl"
    assert write_jsonl(tmp_path / "clean", out) == 6
    lines = [json.loads(line) for line in io.StringIO(out.read_text(encoding="utf-8"))]
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert {"id", "url", "text", "metadata", "media", "cuts"} <= set(lines[0])
    for line in lines:
        assert line["text"] in {content.decode() for content in texts(tmp_path / "clean").values()}
        assert all(cut["text"] and cut["reason"] for cut in line["cuts"])


def test_a_kill_at_any_moment_loses_nothing(raw: Path, tmp_path: Path) -> None:
    """Runs are killed at moments spread over their length; the next one ends as if nothing had been."""
    clean = tmp_path / "clean"
    command = [
        sys.executable,
        "-m",
        "cleancopy",
        "ingest",
        "--plain",
        "--workers",
        "0",
        "--raw",
        str(raw),
        "--clean",
        str(clean),
    ]
    acknowledged = 0
    for moment in (0.4, 0.8, 1.1, 1.4, 1.8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        process.wait()
        current = releases.current(clean) if clean.exists() else None
        live = current.live if current else 0
        assert live >= acknowledged
        acknowledged = live
    final = run(raw, clean)
    assert final.live == 6
    assert final.content_root == run(raw, tmp_path / "undisturbed").content_root
    assert texts(clean) == texts(tmp_path / "undisturbed")
    assert [path.name for path in clean.glob(".work/*/*")] == [".lock"]


def test_two_runs_of_one_source_do_not_meet(raw: Path, tmp_path: Path) -> None:
    with begin(raw=raw, root=tmp_path / "clean"), pytest.raises(Busy, match="another run of this source"):
        run(raw, tmp_path / "clean")


def test_runs_of_two_sources_go_on_side_by_side(raw: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    folders = sorted(path for path in (raw / "examples").iterdir() if path.is_dir())
    with begin(raw=raw, root=clean, paths=folders[:1], source="one") as one:
        shards = discover(one)
        for number in range(shards):
            read_shard(one, number)
        with begin(raw=raw, root=clean, source="two") as two:
            assert ingest(two).counts["new"] == 6
        learn(one, shards)
        for number in range(shards):
            clean_shard(one, number)
        reclean(one, shards)
        summary = publish(one, shards + 1)
    assert summary.counts["new"] == 0
    assert releases.read_manifest(clean, 1).content_root == releases.read_manifest(clean, 2).content_root


def dies_after(raw: Path, clean: Path, step: Callable[[Run], object]) -> Run:
    """A run that was stopped after a step."""

    def stopped() -> None:
        with begin(raw=raw, root=clean) as run:
            runs.append(run)
            step(run)
            raise KeyboardInterrupt

    runs: list[Run] = []
    with pytest.raises(KeyboardInterrupt):
        stopped()
    return runs[0]


@pytest.mark.parametrize(("inputs", "size"), [(2, 1 << 27), (1_000, 400), (1, 1)])
def test_shards_by_number_or_by_bytes_come_to_the_same(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: int, size: int
) -> None:
    with begin(raw=raw, root=tmp_path / "whole") as run:
        assert discover(run) == 1
        whole = ingest(run)
    monkeypatch.setattr("cleancopy.ingest.discover.SHARD_INPUTS", inputs)
    monkeypatch.setattr("cleancopy.ingest.discover.SHARD_BYTES", size)
    with begin(raw=raw, root=tmp_path / "parts") as run:
        assert discover(run) > 1
        parts = ingest(run)
    assert (parts.content_root, parts.counts) == (whole.content_root, whole.counts)
    assert [entry.input for entry in parts.rejections] == [entry.input for entry in whole.rejections]


def test_progress_counts_every_input_of_a_shard_known_or_not(raw: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    for _ in range(2):  # all new, then all known
        with begin(raw=raw, root=tmp_path / "clean") as under_way:
            ingest(under_way, lambda *said: told.append(said))
    assert [said[1:] for said in told if said[0] == "read"] == [(done, 7) for done in range(8)] * 2


def test_a_run_goes_on_from_what_a_dead_one_had_read(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleancopy.ingest.discover.SHARD_INPUTS", 3)
    clean = tmp_path / "clean"
    dead = dies_after(raw, clean, lambda run: (discover(run), read_shard(run, 0)))
    kept = dead.spool("read", 0).stat().st_mtime_ns
    with begin(raw=raw, root=clean) as alive:
        assert alive.name == dead.name
        discover(alive)
        assert sum(read_shard(alive, 0).values()) == 3
        assert alive.spool("read", 0).stat().st_mtime_ns == kept
        summary = ingest(alive)
    assert summary.captures == 7
    assert summary.content_root == run(raw, tmp_path / "undisturbed").content_root
    assert {ref.file for ref in tables.archived(clean).values()} == {
        path.name for path in clean.glob("archive/*.warc.gz")
    }


def test_what_a_dead_run_read_is_read_again_where_the_input_or_the_policy_changed(
    raw: Path, tmp_path: Path
) -> None:
    clean = tmp_path / "clean"

    def dead_run() -> None:
        dies_after(raw, clean, lambda run: read_shard(run, discover(run) - 1))

    dead_run()
    changed = next(raw.rglob("*.txt"))
    changed.write_text(ARTICLE)
    with begin(raw=raw, root=clean) as alive:
        discover(alive)
        assert not alive.spool("read", 0).exists()
        ingest(alive)
    assert ARTICLE in "".join(text.decode() for text in texts(clean).values())
    changed.write_text(ARTICLE + " It was changed.")
    dead_run()
    other = Policy(stages=("content", "captions"))
    with begin(raw=raw, root=clean, policy=other) as alive:
        assert not list(alive.work.glob("read-*"))
        assert len(list(clean.glob("archive/*.warc.gz"))) == 1


def test_real_pages_of_many_sites_all_end_somewhere(tmp_path: Path) -> None:
    folder = corpus("corpora/wcxb")
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in sorted((folder / "html").glob("*.gz"))[::120]:
        shutil.copy(path, raw / path.name)
    summary = run(raw, tmp_path / "clean", workers=2)
    assert summary.captures == len(list(raw.iterdir()))
    assert sum(summary.counts.values()) == summary.captures
    assert summary.counts["new"] >= summary.captures - 2


def file_with_url(folder: Path, name: str, text: str, **facts: str) -> None:
    (folder / name).write_text(text)
    lines = [f'{key} = "{value}"\n' for key, value in {"url": "https://example.org/a", **facts}.items()]
    (folder / f"{name}.capture.toml").write_text("".join(lines))


@pytest.mark.parametrize("quick", [True, False])
def test_files_that_are_as_they_were_end_the_same_with_one_look_or_all(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    clean, looked_at = tmp_path / "clean", list[str]()
    file_with_url(raw, "described.txt", ARTICLE)
    (raw / "packed.html.gz").write_bytes(gzip.compress(f"<p>{ARTICLE}</p><p>Packed.</p>".encode(), mtime=0))
    (raw / "picture.html").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (raw / "empty.html").write_text("<html><body><img src=a.png></body></html>")
    (raw / "down.txt").write_text(ARTICLE + " This one goes.")
    (raw / "pinned.txt").write_text(ARTICLE + " This one stays.")
    (raw / "other.txt").write_text(ARTICLE + " This one is about to change.")
    run(raw, clean)
    ids = {line["input"]: line["document"] for line in views.read_inputs(clean)}
    decisions.takedown(clean, ids["down.txt"])
    decisions.pin(clean, ids["pinned.txt"])
    (raw / "other.txt").write_text(ARTICLE + " This one has changed.")

    def noted(found: Input, limits: Limits) -> Iterator[Capture | RejectedInput]:
        looked_at.append(found.name)
        return read_input(found, limits)

    monkeypatch.setattr("cleancopy.ingest.read.read_input", noted)
    if not quick:
        monkeypatch.setattr("cleancopy.ingest.read._same_as_before", lambda run, found: None)
    summary = run(raw, clean)
    # The texts are much alike, so that most are copies.
    assert summary.counts == {"new": 1, "unchanged": 6, "duplicate": 4, "rejected": 3}
    assert {e.input: e.kind for e in summary.rejections} == {
        "down.txt": "taken_down", "empty.html": "no_content", "picture.html": "binary"
    }  # fmt: skip
    own = [name for name in looked_at if "/" not in name]
    if quick:
        assert own == ["described.txt", "down.txt", "other.txt", "packed.html.gz", "picture.html"]
    else:
        assert len(own) == 7


def test_two_inputs_of_one_page_do_not_take_turns(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    file_with_url(raw, "one.txt", ARTICLE)
    file_with_url(raw, "two.txt", ARTICLE + " One more sentence stands here.")
    run(raw, clean)
    again = run(raw, clean)
    assert (again.release, again.counts["unchanged"]) == (None, 2)


def test_a_page_that_goes_back_to_what_it_was_says_so(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    for text in (ARTICLE, ARTICLE + " A sentence that will go again.", ARTICLE):
        (raw / "a.txt").write_text(text)
        assert run(raw, clean).counts["new"] == 1
    (document,) = tables.heads(clean)
    first, _, third = tables.history(clean, document)
    assert third.document.clean == first.document.clean
    assert third.change == "source"


def test_a_capture_from_before_changes_nothing(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    file_with_url(raw, "new.txt", ARTICLE, captured="2026-03-01T00:00:00Z")
    run(raw, clean)
    file_with_url(raw, "old.txt", "An older text of the page.", captured="2026-01-01T00:00:00Z")
    assert run(raw, clean).counts == {"new": 0, "unchanged": 2, "duplicate": 0, "rejected": 0}
    (document,) = tables.heads(clean)
    version = tables.version(clean, document)
    assert version is not None
    assert version.document.clean == ARTICLE + "\n"


def test_a_tree_that_a_kill_left_behind_is_caught_up(raw: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    run(raw, clean)
    before = texts(clean)
    shutil.rmtree(clean / "text")
    (clean / "inputs.jsonl").unlink()
    run(raw, clean)
    assert texts(clean) == before
    assert len(list(views.inputs(clean))) == 7


def test_people_s_own_files_in_the_text_tree_stay_and_a_folder_there_stops_nothing(
    raw: Path, tmp_path: Path
) -> None:
    clean = tmp_path / "clean"
    run(raw, clean)
    before = texts(clean)
    folder = (clean / next(iter(before))).parent
    (folder / "my notes.txt").write_text("mine")
    (folder / "drafts-0123456789ab.txt").mkdir()
    taken = clean / next(iter(before))
    taken.unlink()
    taken.mkdir()
    (clean / "text" / ".release").unlink()  # so that the whole tree is made again
    (raw / "more.txt").write_text(ARTICLE)
    assert run(raw, clean).counts["new"] == 1
    assert (folder / "my notes.txt").read_text() == "mine"
    assert (folder / "drafts-0123456789ab.txt").is_dir()
    faults = [(path, why) for path, why, _ in views.check_tree(clean)]
    assert faults == [(taken, "is missing")]


def test_clean_may_not_lie_inside_what_is_read(raw: Path) -> None:
    with pytest.raises(PolicyError, match="lies inside"), begin(raw=raw, root=raw / "clean"):
        pass


def test_a_file_elsewhere_is_no_version_of_one_in_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.mkdir()
    (raw / "a.txt").write_text(ARTICLE)
    (tmp_path / "a.txt").write_text("Another text altogether, with words of its own.")
    monkeypatch.chdir(tmp_path)
    run(Path("raw"), clean)
    run(Path("raw"), clean, paths=[Path("a.txt")])
    assert len(tables.heads(clean)) == 2


def test_a_message_may_hold_any_line_end(tmp_path: Path) -> None:
    entry = LedgerEntry(
        input="a", outcome="rejected", release=1, run="r", kind="internal", message="one\u2028two\x85"
    )
    views.write_inputs(tmp_path, [entry], {})
    (line,) = views.inputs(tmp_path)
    assert line["message"] == entry.message
