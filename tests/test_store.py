"""The store: what goes in comes out, what was acknowledged stays, and what breaks says how to mend it."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastwarc import ArchiveIterator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleancopy.document import Block, Capture, Cut, Decoding, Document, Media, Metadata, Repair
from cleancopy.errors import StoreError
from cleancopy.store import archive, data_files, paths, releases, rows, schemas, tables
from cleancopy.store.rows import LedgerEntry, Version

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# ---- rows


def page(key: str, text: str = "A heading\nOne paragraph of text.\n", cut: str = "") -> Document:
    """A small document whose page text is the text, with one cut where ``cut`` stands."""
    start = text.find(cut) if cut else -1
    cuts = (Cut(start, start + len(cut), "chrome", "site-chrome", "on every page"),) if cut else ()
    return Document(key, text, (Block(0, len(text)),), cuts, url=key, site="example.org")


words = st.text(st.characters(codec="utf-8"), max_size=12)
any_text = st.text(max_size=12)
evidence = st.dictionaries(
    any_text, any_text | st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=3
)
shares = st.floats(0, 1)


@st.composite
def ranges(draw: st.DrawFn, length: int) -> list[tuple[int, int]]:
    """Sorted, not empty ranges that do not overlap; some of them touch."""
    edges = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
    return [pair for pair in pairwise(edges) if draw(st.booleans())]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(st.text(st.characters(codec="utf-8"), max_size=80))
    maybe = st.none() | words
    kinds = st.sampled_from(["heading", "paragraph", "list_item", "code"])
    return Document(
        key=draw(words),
        text=text,
        blocks=tuple(
            Block(
                a, b, draw(kinds), draw(st.integers(0, 6)), draw(words), draw(shares), draw(st.none() | shares)
            )
            for a, b in draw(ranges(len(text)))
        ),
        cuts=tuple(
            Cut(a, b, "content", draw(words), draw(words), draw(evidence)) for a, b in draw(ranges(len(text)))
        ),
        repairs=tuple(Repair(a, b, draw(words), draw(words)) for a, b in draw(ranges(len(text)))),
        metadata=Metadata(*(draw(maybe) for _ in range(8))),
        media=tuple(
            Media(
                draw(words),
                draw(maybe),
                draw(maybe),
                tuple(draw(st.lists(words, max_size=2))),
                2,
                ((0, 1), (3, 9)),
            )
            for _ in range(draw(st.integers(0, 2)))
        ),
        url=draw(maybe),
        site=draw(maybe),
        decoding=draw(st.none() | st.builds(Decoding, words, words, maybe, maybe, st.integers(0, 9))),
        payload_sha256=draw(words),
        notes=tuple(draw(st.lists(words, max_size=2))),
    )


refs = st.builds(archive.ArchiveRef, words, st.integers(0, 2**40), st.integers(0, 2**40), words)
versions = st.builds(
    Version,
    documents(),
    seq=st.integers(1, 9),
    release=st.integers(1, 9),
    status=st.sampled_from(["live", "duplicate", "gone"]),
    change=st.sampled_from(["new", "source", "takedown"]),
    parent=st.none() | words,
    parts=st.dictionaries(words, words, max_size=2),
    captured=st.none() | words,
    archive=st.none() | refs,
    duplicate_of=st.none() | words,
    match=evidence,
    signature=st.binary(max_size=16),
)


@FEW
@given(st.lists(versions, max_size=4))
def test_a_version_comes_back_from_its_row_as_it_was(stored: list[Version]) -> None:
    table = rows.documents_to_table(stored)
    assert list(rows.table_to_versions(table)) == stored
    assert table.column("text").to_pylist() == [version.document.clean for version in stored]
    assert table.column("version_id").to_pylist() == [version.version_id for version in stored]
    for number, version in enumerate(stored):
        assert rows.row_to_document(table.slice(number, 1)) == version.document


@FEW
@given(st.lists(versions, min_size=1, max_size=4))
def test_a_data_file_holds_versions_without_loss(
    tmp_path_factory: pytest.TempPathFactory, stored: list[Version]
) -> None:
    root = tmp_path_factory.mktemp("store")
    stored = [replace(version, release=1) for version in stored]
    (file,) = data_files.write_file(root, "documents", 1, rows.document_batches(stored, size=2))
    table = pq.read_table(paths.table_folder(root, "documents") / file.path)
    assert list(rows.table_to_versions(table)) == stored


def test_a_text_that_is_not_unicode_is_refused_by_name() -> None:
    good, bad = Version(page("good"), 1, 1), Version(page("bad", "lone \ud800 surrogate"), 1, 1)
    with pytest.raises(StoreError, match=r"'bad'.*lone surrogate"):
        rows.documents_to_table([good, bad])


def test_every_column_says_what_it_holds() -> None:
    for schema in (schemas.DOCUMENTS, schemas.CAPTURES):
        assert all(field.metadata[b"comment"] for field in schema)


# ---- releases


def publish(root: Path, *documents: Document, status: str = "live", run: str = "run") -> releases.Manifest:
    """One run that stores these documents, each a new version."""
    with releases.writing(root, wait=30) as release:
        return commit(root, release, documents, status, run)


def commit(
    root: Path, release: int, documents: tuple[Document, ...], status: str = "live", run: str = "run"
) -> releases.Manifest:
    heads = tables.heads(root)
    stored = [versioned(document, heads.get(document.doc_id), release, status) for document in documents]
    entries = [
        LedgerEntry(
            f"raw/{version.document.key}",
            "new",
            release,
            run,
            key=version.document.key,
            payload_sha256=version.document.payload_sha256 or None,
            version_id=version.version_id,
            fingerprint="f1",
        )
        for version in stored
    ]
    return releases.commit(
        root,
        release,
        rows.document_batches(stored),
        rows.capture_batches(entries),
        run=run,
        fingerprint="f1",
        parts={"policy": "p1"},
    )


def versioned(document: Document, head: tables.Head | None, release: int, status: str = "live") -> Version:
    seq, parent = (head.seq + 1, head.version_id) if head else (1, None)
    return Version(document, seq, release, status, parent=parent, fingerprint="f1", parts={"policy": "p1"})  # type: ignore[arg-type]


def texts(root: Path, as_of: int | None = None, status: str | None = "live") -> dict[str, str]:
    table = tables.latest(root, ["key", "text"], as_of=as_of, status=status)
    return dict(zip(table.column("key").to_pylist(), table.column("text").to_pylist(), strict=True))


def test_an_empty_store_reads_as_empty(tmp_path: Path) -> None:
    assert releases.current(tmp_path) is None
    assert tables.heads(tmp_path) == {}
    assert tables.captures(tmp_path).num_rows == 0
    assert tables.latest(tmp_path).schema == schemas.DOCUMENTS
    assert tables.document(tmp_path, "0" * 32) is None


def test_the_corpus_as_of_a_release_is_what_it_was_then(tmp_path: Path) -> None:
    publish(tmp_path, page("a", "old a"), page("b", "b"))
    publish(tmp_path, page("a", "new a"))
    publish(tmp_path, page("b", "b"), status="gone")
    assert texts(tmp_path, as_of=1) == {"a": "old a", "b": "b"}
    assert texts(tmp_path, as_of=2) == {"a": "new a", "b": "b"}
    assert texts(tmp_path) == {"a": "new a"}
    assert texts(tmp_path, status=None) == {"a": "new a", "b": "b"}
    with pytest.raises(StoreError, match="no release 4; the last one is 3"):
        texts(tmp_path, as_of=4)


def test_a_document_is_found_whole_with_its_history(tmp_path: Path) -> None:
    first, second = page("a", "menu\nold text", cut="menu\n"), page("a", "menu\nnew text", cut="menu\n")
    publish(tmp_path, first, page("b"))
    publish(tmp_path, second)
    assert tables.document(tmp_path, first.doc_id) == second
    assert tables.document(tmp_path, first.doc_id, as_of=1) == first
    old, new = tables.history(tmp_path, first.doc_id)
    assert (old.seq, new.seq, new.parent) == (1, 2, old.version_id)


def test_a_version_that_only_changed_its_status_is_read_once(tmp_path: Path) -> None:
    publish(tmp_path, page("a"), page("b"))
    same = Version(page("a"), seq=2, release=2, status="duplicate", change="duplicate")
    releases.commit(tmp_path, 2, rows.document_batches([same]), [], run="r", fingerprint="", parts={})
    assert same.version_id == tables.history(tmp_path, same.doc_id)[0].version_id
    found = tables.latest(tmp_path, ["key", "status"]).to_pylist()
    assert sorted(map(tuple, map(dict.values, found))) == [("a", "duplicate"), ("b", "live")]
    assert set(texts(tmp_path)) == {"b"}


def test_the_latest_versions_of_one_site_only(tmp_path: Path) -> None:
    publish(tmp_path, page("a"), replace(page("b"), site="example.net"), replace(page("c"), site=None))
    assert tables.latest(tmp_path, ["key"], site="example.net").column("key").to_pylist() == ["b"]


def test_what_was_seen_last_is_known(tmp_path: Path) -> None:
    publish(tmp_path, replace(page("a"), payload_sha256="d1"))
    columns = ["key", "payload_sha256", "fingerprint", "version_id", "outcome"]
    (found,) = tables.captures(tmp_path, columns).to_pylist()
    version = tables.heads(tmp_path)[page("a").doc_id].version_id
    assert found == dict(zip(columns, ["a", "d1", "f1", version, "new"], strict=True))


def test_a_manifest_says_what_a_release_holds(tmp_path: Path) -> None:
    publish(tmp_path, page("a"), page("b"))
    manifest = publish(tmp_path, page("b"), status="duplicate", run="second")
    assert manifest == releases.current(tmp_path) == releases.read_manifest(tmp_path, 2)
    assert (manifest.release, manifest.parent, manifest.run, manifest.live) == (2, 1, "second", 1)
    assert manifest.counts == {"new": 1, "unchanged": 0, "duplicate": 0, "rejected": 0}
    assert manifest.content_root == releases.content_root([tables.heads(tmp_path)[page("a").doc_id].version_id])
    assert [file.rows for file in manifest.files["documents"]] == [1]


@given(st.lists(words, unique=True), st.randoms())
def test_the_content_root_does_not_depend_on_order(ids: list[str], chance: random.Random) -> None:
    shuffled = chance.sample(ids, len(ids))
    assert releases.content_root(ids) == releases.content_root(shuffled)
    assert releases.content_root([*ids, "another"]) != releases.content_root(ids) or "another" in ids


def test_equal_corpora_have_equal_roots_however_they_came(tmp_path: Path) -> None:
    at_once = publish(tmp_path / "one", page("b"), page("a"))
    publish(tmp_path / "two", page("a"))
    assert publish(tmp_path / "two", page("b")).content_root == at_once.content_root


def test_a_release_number_is_published_once(tmp_path: Path) -> None:
    publish(tmp_path, page("a", "first"))
    with pytest.raises(StoreError, match="another run was faster; read the store again"):
        commit(tmp_path, 1, (page("a", "second"),))
    assert texts(tmp_path) == {"a": "first"}
    assert len(list(paths.table_folder(tmp_path, "documents").glob("*.parquet"))) == 1


def test_two_versions_with_one_number_are_refused(tmp_path: Path) -> None:
    publish(tmp_path, page("a", "first"))
    again = Version(page("a", "second"), seq=1, release=2)
    with pytest.raises(StoreError, match="same doc_id and seq"):
        releases.commit(tmp_path, 2, rows.document_batches([again]), [], run="r", fingerprint="", parts={})
    assert texts(tmp_path) == {"a": "first"}


def test_a_row_of_another_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another release number than 1"):
        releases.commit(
            tmp_path,
            1,
            rows.document_batches([Version(page("a"), 1, 7)]),
            [],
            run="r",
            fingerprint="",
            parts={},
        )


# ---- interrupted and concurrent runs


class Killed(BaseException):
    """Stands for the end of the process at a chosen moment."""


def _fail(*_: object, **__: object) -> None:
    raise Killed


def _append_documents_only(real: Callable[..., int]) -> Callable[..., int]:
    def append(root: Path, table: str, *rest: object) -> int:
        if table == "captures":
            raise Killed
        return real(root, table, *rest)

    return append


@pytest.mark.parametrize("moment", ["before documents", "before captures", "before manifest"])
def test_the_next_run_finishes_a_release_that_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    publish(tmp_path, page("a", "first"))
    with monkeypatch.context() as patch:
        if moment == "before documents":
            patch.setattr(tables, "append", _fail)
        elif moment == "before captures":
            patch.setattr(tables, "append", _append_documents_only(tables.append))
        else:
            patch.setattr(releases, "atomic_write", _fail)
        with pytest.raises(Killed):
            publish(tmp_path, page("a", "second"), run="killed")
    assert texts(tmp_path) == {"a": "first"}

    assert releases.recover(tmp_path) == [2]
    assert texts(tmp_path) == {"a": "second"}
    manifest = releases.read_manifest(tmp_path, 2)
    assert (manifest.recovered, manifest.run, manifest.counts["new"]) == (True, "killed", 1)
    assert tables.captures(tmp_path, release=2).num_rows == 1
    assert releases.recover(tmp_path) == []


def test_a_release_that_was_not_decided_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, page("a", "first"))
    with monkeypatch.context() as patch:
        patch.setattr(releases, "_reserve", _fail)
        patch.setattr(releases, "_discard", lambda *_: None)
        with pytest.raises(Killed):
            publish(tmp_path, page("a", "second"))
    pending = paths.pending_path(tmp_path, 2)
    pending.write_bytes(b'{"release": 2, "par')
    with releases.writing(tmp_path) as release:
        assert release == 2
    assert not pending.exists()
    assert len(list(paths.table_folder(tmp_path, "documents").glob("*.parquet"))) == 1
    assert texts(tmp_path) == {"a": "first"}


def test_manifests_are_rebuilt_from_the_tables(tmp_path: Path) -> None:
    written = [publish(tmp_path, page("a", text)) for text in ("one", "two", "three")]
    for number in (1, 3):
        paths.manifest_path(tmp_path, number).unlink()
    assert releases.recover(tmp_path) == [1, 3]
    for manifest in written:
        rebuilt = releases.read_manifest(tmp_path, manifest.release)
        assert replace(rebuilt, time=manifest.time, recovered=False) == manifest


def _publish_forever(root: Path, acknowledged: Path) -> None:
    with open(acknowledged, "a") as file:
        while True:
            with releases.writing(root, wait=5) as release:
                commit(root, release, (page("same", f"text {release}"), page(f"page {release}")))
                print(release, file=file, flush=True)


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Processes that start in milliseconds and share no threads with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "hypothesis.strategies", "fastwarc", "cleancopy.store.releases"])
    return context


def test_no_acknowledged_row_is_lost_or_doubled_by_kill_9(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext
) -> None:
    root, acknowledged = tmp_path / "clean", tmp_path / "acknowledged"
    acknowledged.touch()
    chance = random.Random(20)
    for _ in range(8):
        before = acknowledged.stat().st_size
        run = processes.Process(target=_publish_forever, args=(root, acknowledged), daemon=True)
        run.start()
        while acknowledged.stat().st_size == before and run.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        run.kill()
        run.join()
    releases.recover(root)

    known = {int(line) for line in acknowledged.read_text().split()}
    published = paths.published_releases(root)
    assert known <= set(published) == set(range(1, len(published) + 1))
    table = tables.latest(root, ["key"])
    assert sorted(table.column("key").to_pylist()) == sorted(["same", *(f"page {n}" for n in published)])
    history = tables.history(root, page("same").doc_id)
    assert [version.document.text for version in history] == [f"text {n}" for n in published]
    assert tables.captures(root).num_rows == 2 * len(published)


def _publish_each(root: Path, name: str, count: int, lock: bool) -> None:
    for number in range(count):
        document = page(f"{name} {number}")
        while document.doc_id not in tables.heads(root):
            with suppress(StoreError):
                if lock:
                    publish(root, document)
                else:
                    commit(root, len(paths.published_releases(root)) + 1, (document,))


@pytest.mark.parametrize("lock", [True, False], ids=["with the lock", "where locks do not hold"])
def test_two_writers_store_every_document_once(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext, lock: bool
) -> None:
    runs = [processes.Process(target=_publish_each, args=(tmp_path, name, 4, lock)) for name in ("one", "two")]
    for run in runs:
        run.start()
    for run in runs:
        run.join(30)
        assert run.exitcode == 0
    releases.recover(tmp_path)
    keys = tables.captures(tmp_path, ["key"]).column("key").to_pylist()
    assert sorted(keys) == sorted(f"{name} {number}" for name in ("one", "two") for number in range(4))
    assert tables.latest(tmp_path, ["key"]).num_rows == 8 == len(paths.published_releases(tmp_path))


def test_a_second_run_is_told_to_wait(tmp_path: Path) -> None:
    second = releases.writing(tmp_path, wait=0.1)
    with releases.writing(tmp_path), pytest.raises(StoreError, match="another run is writing"):
        second.__enter__()


def test_a_child_does_not_keep_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    script = f"""
        import os, signal, time
        from pathlib import Path
        from cleancopy.store import paths
        with paths.locked(Path({str(tmp_path)!r})):
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, stdout=subprocess.DEVNULL)
    with paths.locked(tmp_path, wait=1):
        pass


# ---- damage


def newest_data_file(root: Path) -> Path:
    return max(paths.table_folder(root, "documents").glob("*.parquet"))


def log_entry(root: Path, number: int) -> Path:
    return paths.table_folder(root, "documents") / "_delta_log" / f"{number:020d}.json"


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated data file": lambda root: os.truncate(newest_data_file(root), 300),
    "missing data file": lambda root: newest_data_file(root).unlink(),
    "deleted newest log entry": lambda root: log_entry(root, 2).unlink(),
    "emptied newest log entry": lambda root: os.truncate(log_entry(root, 2), 0),
    "deleted older log entry": lambda root: log_entry(root, 1).unlink(),
    "torn log entry": lambda root: os.truncate(log_entry(root, 2), 40),
    "deleted table": lambda root: paths.table_folder(root, "documents").rename(root / "elsewhere"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_its_cause_and_remedy(tmp_path: Path, damage: str) -> None:
    publish(tmp_path, page("a", "first"))
    publish(tmp_path, page("a", "second"))
    DAMAGE[damage](tmp_path)
    for reading in (lambda: tables.latest(tmp_path), lambda: tables.history(tmp_path, page("a").doc_id)):
        with pytest.raises(StoreError, match=r"documents.*(restore|backup)") as caught:
            reading()
        assert "\n" not in str(caught.value)


def test_a_damaged_manifest_says_that_it_can_be_rebuilt(tmp_path: Path) -> None:
    publish(tmp_path, page("a"))
    paths.manifest_path(tmp_path, 1).write_text("{")
    with pytest.raises(StoreError, match=r"000001\.json.*delete it"):
        releases.current(tmp_path)


def in_a_process(root: Path, before: str) -> str:
    """What a run prints that stores one page after ``before``, in a process of its own."""
    script = f"""
        import os, resource, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store import StoreError, page, publish, texts
        root = Path({str(root)!r})
        known = texts(root)
        {before}
        try:
            publish(root, page("b", os.urandom(200_000).hex()))
        except StoreError as error:
            print("StoreError", error)
        assert texts(root) == known
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_named_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    publish(tmp_path, page("a"))
    limit = resource.RLIM_INFINITY
    said = in_a_process(tmp_path, f"resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, {limit}))")
    assert said.startswith("StoreError")
    assert "parquet" in said
    assert "run again" in said
    assert len(list(paths.table_folder(tmp_path, "documents").glob("*.parquet"))) == 1
    publish(tmp_path, page("b"))
    assert set(texts(tmp_path)) == {"a", "b"}


def test_a_store_that_may_only_be_read_is_named_and_can_be_read(tmp_path: Path) -> None:
    publish(tmp_path, page("a"))
    for folder in [*tmp_path.parents[:-1], tmp_path, *(p for p in tmp_path.rglob("*") if p.is_dir())]:
        with suppress(PermissionError):
            folder.chmod(0o555 if folder.is_relative_to(tmp_path) else 0o755)
    os.chmod(tmp_path / paths.LOCK, 0o444)
    said = in_a_process(tmp_path, "os.geteuid() or os.setuid(65534)")
    assert said.startswith("StoreError")
    assert "writable" in said


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "file.json"
    paths.atomic_write(path, b"first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", _fail)
        with pytest.raises(Killed):
            paths.atomic_write(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(path.parent) == ["file.json"]
    monkeypatch.chdir(tmp_path)
    paths.atomic_write(Path("beside.json"), b"here")
    assert (tmp_path / "beside.json").read_bytes() == b"here"


# ---- the archive


@FEW
@given(st.lists(st.tuples(st.binary(max_size=200), any_text), max_size=5))
def test_any_payload_comes_back_from_the_archive(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[tuple[bytes, str]]
) -> None:
    root = tmp_path_factory.mktemp("store")
    captures = [Capture(payload, key) for payload, key in payloads]
    with archive.Archive(root, "000001") as raw:
        found = [raw.append(capture) for capture in captures]
    for capture, ref in zip(captures, found, strict=True):
        assert archive.read_capture(root, ref, capture.sha256) == capture.payload


def test_an_archive_is_a_warc_that_others_can_read(tmp_path: Path) -> None:
    capture = Capture(b"<p>text</p>", "file:a b.html", media_type="text/html", captured="2024-03-01T10:00:00Z")
    with archive.Archive(tmp_path, "000001") as raw:
        ref = raw.append(capture)
    with open(tmp_path / "archive" / "000001.warc.gz", "rb") as file:
        about, record = [
            (r.record_id, r.verify_block_digest() if r.record_type == 8 else None, r.headers.to_dict())
            for r in ArchiveIterator(file, parse_http=False)
        ]
    assert about[2]["WARC-Type"] == "warcinfo"
    assert record[:2] == (ref.record_id, True)
    assert record[2]["WARC-Target-URI"] == "file:a%20b.html"
    assert record[2]["WARC-Date"] == "2024-03-01T10:00:00Z"


def test_a_payload_is_archived_once(tmp_path: Path) -> None:
    with archive.Archive(tmp_path, "000001") as raw:
        first, again = raw.append(Capture(b"same", "a")), raw.append(Capture(b"same", "b"))
    assert first == again
    with archive.Archive(tmp_path, "000002", {Capture(b"same", "a").sha256: first}.get) as raw:
        assert raw.append(Capture(b"same", "c")) == first
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["000001.warc.gz"]


def test_record_ids_are_the_same_in_every_run() -> None:
    assert archive.record_id("ab" * 32, "file:a.html") == "<urn:uuid:ed14704c-cc3a-5c9c-a50a-4ae593684645>"
    assert archive.record_id("ab" * 32, "file:b.html") != archive.record_id("ab" * 32, "file:a.html")


@FEW
@given(st.data())
def test_a_damaged_record_never_reads_as_another_payload(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root, payload = tmp_path_factory.mktemp("store"), b"some payload, long enough to be compressed " * 9
    with archive.Archive(root, "000001") as raw:
        ref = raw.append(Capture(payload, "a"))
    path = root / "archive" / ref.file
    damaged = bytearray(path.read_bytes())
    # The record's length depends on the clock that it holds, what is drawn must not.
    at, end = (data.draw(st.integers(0, 9_999)) for _ in "ab")
    damaged[ref.offset + at % ref.length] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged[: ref.offset + end % (ref.length + 1)])
    with suppress(StoreError):
        assert archive.read_capture(root, ref) == payload


def test_an_interrupted_archive_file_is_swept(tmp_path: Path) -> None:
    raw = archive.Archive(tmp_path, "000001")
    raw.append(Capture(b"text", "a"))
    assert [path.suffix for path in (tmp_path / "archive").iterdir()] == [".part"]
    with releases.writing(tmp_path):
        assert list((tmp_path / "archive").iterdir()) == []


def test_archived_payloads_are_found_by_their_digest(tmp_path: Path) -> None:
    with releases.writing(tmp_path) as release:
        with archive.Archive(tmp_path, "000001") as raw:
            ref = raw.append(Capture(b"text", "a"))
        entry = LedgerEntry(
            "raw/a", "rejected", release, "run", "a", payload_sha256="d1", archive=ref, kind="binary"
        )
        releases.commit(tmp_path, release, [], rows.capture_batches([entry]), run="r", fingerprint="", parts={})
    assert tables.archived(tmp_path) == {"d1": ref}
    assert releases.read_manifest(tmp_path, 1).counts["rejected"] == 1


def test_reading_captures_needs_no_heavy_library() -> None:
    script = "import sys, cleancopy.store.archive, cleancopy.store.paths; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_ledger_can_be_read_by_anyone(tmp_path: Path) -> None:
    publish(tmp_path, page("a"))
    (path,) = tables.data_files(tmp_path, "captures")
    assert pa.schema(pq.read_schema(path)).names == schemas.CAPTURES.names
    assert json.loads(paths.manifest_path(tmp_path, 1).read_text())["release"] == 1
