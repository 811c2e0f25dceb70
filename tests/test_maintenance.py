"""Maintenance changes no row and removes nothing that is needed; verification finds every planted fault."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.corpus import views
from cleancopy.curation import decisions, maintain
from cleancopy.document import Capture
from cleancopy.errors import PolicyError, StoreError
from cleancopy.export.export import export
from cleancopy.export.selection import plan
from cleancopy.minhash import Signing
from cleancopy.stages.chrome.cut import chrome_from_json
from cleancopy.store import (
    archive,
    chrome_profiles,
    compaction,
    data_files,
    dedup_index,
    paths,
    releases,
    rows,
    tables,
    vacuum,
    verify,
)
from cleancopy.store import decisions as record
from cleancopy.store.data_files import DataFile
from cleancopy.store.rows import LedgerEntry, Version
from test_store import page

RELEASES = 6
DAY = 86_400
CHROME = chrome_from_json(
    json.dumps(
        {"site": "example.org", "version": 1, "pages": 3, "entries": [{"example": "Menu", "status": "cut"}]}
    )
)


def publish(root: Path, number: int) -> releases.Manifest:
    """Release ``number``: one page that every release changes, and two of its own; all archived."""
    texts = {"same": f"menu\ntext {number}\n", **{f"{number}-{n}": f"menu\npage {n}\n" for n in range(2)}}
    with releases.writing(root) as release:
        heads = tables.heads(root)
        versions, entries = [], []
        with archive.Archive(root, f"{release:06d}-0000") as raw:
            for key, text in texts.items():
                document = replace(
                    page(key, text, cut="menu\n"), payload_sha256=Capture(text.encode(), key).sha256
                )
                ref = raw.append(Capture(text.encode(), key))
                head = heads.get(document.doc_id)
                versions.append(
                    Version(
                        document,
                        seq=head.seq + 1 if head else 1,
                        parent=head.version_id if head else None,
                        release=release,
                        archive=ref,
                        parts={"chrome": CHROME.digest},
                    )
                )
                entries.append(
                    LedgerEntry(
                        f"raw/{key}", "new", release, f"run {number}", key,
                        payload_sha256=document.payload_sha256, archive=ref, fingerprint="f1",
                    )
                )  # fmt: skip
        return releases.commit(
            root,
            release,
            rows.document_batches(versions),
            rows.capture_batches(entries),
            run=f"run {number}",
            fingerprint="f1",
            parts={"chrome": CHROME.digest},
        )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of six releases with its archive and chrome, and all that is made from its tables."""
    root = tmp_path_factory.mktemp("original") / "clean"
    for number in range(1, RELEASES + 1):
        publish(root, number)
    chrome_profiles.write(root, CHROME)
    views.repair_tree(root, RELEASES)
    views.repair_inputs(root)
    dedup_index.rebuild(root, Signing())
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return shutil.copytree(original, tmp_path / "clean")


@pytest.fixture
def maintained(root: Path) -> Path:
    """The store after a maintenance."""
    vacuum_store(root)
    return root


def vacuum_store(root: Path, **options: object) -> vacuum.Maintained:
    with vacuum.maintaining(root, **options) as done:  # type: ignore[arg-type]
        return done


def contents(root: Path) -> dict[str, object]:
    """All that readers see: both tables as of every release, the manifests, every history."""
    ids = sorted(tables.heads(root))
    return {
        "as of": [
            tables.latest(root, as_of=number).sort_by("doc_id").to_pylist()
            for number in paths.published_releases(root)
        ],
        "ledger": sorted(map(str, tables.captures(root).to_pylist())),
        "manifests": [releases.read_manifest(root, number) for number in paths.published_releases(root)],
        "histories": [tables.history(root, one) for one in ids[:2]],
        "by Delta": sorted(
            map(
                str,
                pq.ParquetDataset(list(map(str, delta_files(root))))
                .read()
                .select(["doc_id", "seq"])
                .to_pylist(),
            )
        ),
    }


def delta_files(root: Path) -> list[Path]:
    """The files of the documents as Delta itself names them to other readers."""
    table = DeltaTable(str(paths.table_folder(root, "documents")))
    return [Path(uri.removeprefix("file://")) for uri in table.file_uris()]


def files(root: Path) -> dict[str, tuple[int, float]]:
    found = (path for path in root.rglob("*") if path.is_file() and path.name != paths.LOCK)
    return {path.relative_to(root).as_posix(): (path.stat().st_size, path.stat().st_mtime) for path in found}


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in verify.verify(root)]


# ---- compaction


def test_compaction_makes_few_sorted_files_and_changes_no_row(root: Path) -> None:
    before = contents(root)
    done = vacuum_store(root)
    assert (done.compacted, done.into) == (2 * RELEASES, 2)
    assert contents(root) == before
    for table in releases.TABLES:
        (path,) = tables.data_files(root, table)
        assert sum(file.rows for file in releases.expected(root, table).values()) == 3 * RELEASES
        assert path.name in releases.expected(root, table)
    (path,) = tables.data_files(root, "documents")
    ids = pq.read_table(path, columns=["doc_id"]).column("doc_id").to_pylist()
    assert ids == sorted(ids)
    assert pq.read_metadata(path).row_group(0).column(0).statistics.has_min_max
    assert faults(root) == []


def test_a_second_maintenance_finds_nothing_to_do(maintained: Path) -> None:
    before = files(maintained)
    assert vacuum_store(maintained) == vacuum.Maintained()
    assert files(maintained) == before


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(root: Path) -> None:
    before = files(root)
    said = vacuum_store(root, dry_run=True)
    assert files(root) == before
    assert replace(vacuum_store(root), dry_run=True, completed=()) == said


def test_releases_go_on_after_a_compaction(maintained: Path) -> None:
    for number in range(RELEASES + 1, 2 * RELEASES + 1):
        publish(maintained, number)
    before = contents(maintained)
    assert vacuum_store(maintained).into == 2
    assert contents(maintained) == before
    assert faults(maintained) == []
    assert [record.number for record in compaction.records(maintained)] == [1, 2, 3, 4]


def test_a_reader_with_the_old_files_goes_on_undisturbed(root: Path) -> None:
    reading = tables.latest_batches(root, ["key", "text"], as_of=3)
    first = next(reading)
    vacuum_store(root)
    assert first.num_rows + sum(batch.num_rows for batch in reading) == 7


class Killed(BaseException):
    """Stands for the end of the process at a chosen moment."""


def _killed(*_: object, **__: object) -> None:
    raise Killed


MOMENTS = {
    "before the note": "atomic_write",
    "before the swap": "_swap",
    "before the record": "_complete",
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_compaction_that_was_cut_short_is_finished_or_undone(
    root: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = contents(root)
    with monkeypatch.context() as patch:
        patch.setattr(compaction, MOMENTS[moment], _killed)
        # A kill leaves no time to clear up.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            vacuum_store(root)
    assert contents(root) == before
    publish(root, RELEASES + 1)
    before = contents(root)
    os.utime(root, None)
    done = vacuum_store(root)
    assert done.completed == ((1,) if moment == "before the record" else ())
    assert contents(root) == before
    age(root, 8)
    vacuum_store(root)
    assert faults(root) == []


def test_a_faster_writer_leaves_the_table_as_it_made_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = list(releases.expected(root, "documents").values())
    version = compaction._version(root, "documents")
    monkeypatch.setattr(compaction, "_version", lambda *_: version - 1)
    before = contents(root)
    with pytest.raises(StoreError, match=r"another writer was faster.*run cleancopy maintain again"):
        compaction.compact(root, "documents", group)
    assert contents(root) == before
    assert faults(root) == []


def test_damage_is_not_carried_into_a_new_file(root: Path) -> None:
    path = tables.data_files(root, "documents")[2]
    flip(path, path.stat().st_size // 2)
    before = files(root)
    with pytest.raises(StoreError, match=rf"{path.name}: (is not the file|the table is damaged)"):
        vacuum_store(root)
    assert {name for name in files(root) if "compact" in name} == set()
    assert set(before) <= set(files(root))


def test_a_deleted_entry_of_a_compaction_is_made_good(maintained: Path) -> None:
    before = contents(maintained)
    newest_log_entry(maintained).unlink()
    assert contents(maintained)["as of"] == before["as of"]
    (said,) = [fault for fault in faults(maintained) if "_delta_log" in fault]
    assert "lacks compaction" in said
    vacuum_store(maintained)
    assert contents(maintained) == before
    assert faults(maintained) == []


def test_a_manifest_is_rebuilt_from_tables_that_were_compacted(maintained: Path) -> None:
    written = releases.read_manifest(maintained, 3)
    paths.manifest_path(maintained, 3).unlink()
    releases.recover(maintained)
    rebuilt = releases.read_manifest(maintained, 3)
    same = {"time": written.time, "recovered": False, "tables": written.tables}
    assert replace(rebuilt, **same) == written


sizes = st.lists(st.integers(1, 100_000_000), max_size=40)


@given(sizes)
def test_files_are_compacted_with_their_like(found: list[int]) -> None:
    known = [DataFile(f"{number}", size, 1, "") for number, size in enumerate(found)]
    groups = compaction.plan(known)
    taken = [file for group in groups for file in group]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(known)
    for group in groups:
        assert len(group) >= compaction.AT_LEAST
        assert sum(file.size for file in group) <= compaction.TARGET
        *rest, largest = sorted(file.size for file in group)
        assert largest <= compaction.RATIO * sum(rest)


def test_a_row_is_written_anew_as_often_as_the_logarithm_of_the_releases() -> None:
    known: dict[str, DataFile] = {}
    written = 0
    for number in range(1_000):
        known[f"new {number}"] = DataFile(f"new {number}", 1_000, 1, "")
        for group in compaction.plan(list(known.values())):
            for file in group:
                del known[file.path]
            size = sum(file.size for file in group)
            known[f"made {number}"] = DataFile(f"made {number}", size, 1, "")
            written += size
    assert len(known) < 20
    assert written < 10 * 1_000 * 1_000


# ---- what nobody needs


def age(root: Path, days: float) -> None:
    """Make all files and all times that are written in them older."""
    for path in [*root.rglob("*"), root]:
        then = path.lstat().st_mtime - days * DAY
        os.utime(path, (then, then))
    for path in [*root.glob("releases/*.json"), *root.glob("compactions/*.json")]:
        values = json.loads(path.read_text())
        values["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
        then = path.stat().st_mtime
        path.write_text(json.dumps(values))
        os.utime(path, (then, then))


def test_old_files_go_after_seven_days_and_older_releases_read_as_before(maintained: Path) -> None:
    before = contents(maintained)
    old = {path.name for path in maintained.glob("tables/*/0*.parquet")}
    age(maintained, 6.9)
    assert vacuum_store(maintained).removed == ()
    assert vacuum_store(maintained, keep_days=30).removed == ()
    age(maintained, 0.2)
    done = vacuum_store(maintained)
    assert {Path(name).name for name in done.removed} == old
    assert done.freed > 0
    after = contents(maintained)
    for part in ("as of", "ledger", "histories", "by Delta"):
        assert after[part] == before[part]
    assert faults(maintained) == []


def test_a_file_that_a_young_manifest_names_stays(maintained: Path) -> None:
    age(maintained, 8)
    manifest = paths.manifest_path(maintained, 2)
    values = json.loads(manifest.read_text())
    values["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest.write_text(json.dumps(values))
    kept = {path.name for path in maintained.glob("tables/*/000002-*.parquet")}
    vacuum_store(maintained)
    assert {path.name for path in maintained.glob("tables/*/0*.parquet")} == kept


def test_a_clock_that_goes_backwards_removes_nothing(maintained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 400 * DAY)
    assert vacuum_store(maintained).removed == ()


def test_files_stay_at_least_seven_days(root: Path) -> None:
    with pytest.raises(PolicyError, match="give 7 or more"):
        vacuum_store(root, keep_days=6)


def test_what_killed_runs_left_is_removed_and_what_may_be_needed_stays(root: Path) -> None:
    young, old, named = (root / "archive" / f"{name}.warc.gz" for name in ("young", "old", "run-7-0000"))
    work, held = root / ".work" / "left", root / ".work" / "held"
    for path in (
        young,
        old,
        named,
        work / "entries",
        held / "entries",
        root / "text" / "site" / ".a.txt.1.tmp",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
    for path in (old, named, work / "entries", held / "entries", work, held):
        os.utime(path, (0, 0))
    with paths.locked(held):
        os.utime(held / paths.LOCK, (0, 0))
        os.utime(held, (0, 0))
        done = vacuum_store(root, keep=lambda: {"run-7"})
    assert set(done.removed) == {"archive/old.warc.gz", ".work/left", "text/site/.a.txt.1.tmp"}
    assert not old.exists()
    assert young.exists()
    assert named.exists()
    assert held.exists()
    assert len(list(root.glob("archive/0*.warc.gz"))) == RELEASES


def test_a_long_log_is_checkpointed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "LOG_ENTRIES", 5)
    before = contents(root)
    assert vacuum_store(root).checkpointed == ("documents", "captures")
    assert contents(root) == before
    for number in range(3):
        log(root, number).unlink()  # Delta removes entries before a checkpoint when they are old
    assert contents(root) == before
    assert faults(root) == []


# ---- the text tree


def test_the_text_tree_is_mended_from_the_tables(root: Path) -> None:
    tree = {path: path.read_bytes() for path in root.glob("text/*/*")}
    altered, gone = sorted(tree)[0], sorted(tree)[3]
    extra = altered.with_name(f"a-page-that-went-{next(iter(tables.heads(root)))[:12]}.txt")
    notes, own = altered.with_name("my notes.md"), altered.with_name("my-own-0123456789ab.txt")
    altered.write_text("other")
    gone.unlink()
    for path in (extra, notes, own):
        path.write_text("text")
    assert {path for path, _, _ in views.check_tree(root)} == {altered, gone, extra}
    assert views.repair_tree(root, RELEASES) == 3
    views.write_tree(root, None)
    assert {path: path.read_bytes() for path in root.glob("text/*/*") if path not in (notes, own)} == tree
    assert (notes.exists(), own.exists()) == (True, True)


# ---- verification


def flip(path: Path, at: int) -> None:
    """Turn one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def log(root: Path, number: int) -> Path:
    return paths.table_folder(root, "documents") / "_delta_log" / f"{number:020d}.json"


def newest_log_entry(root: Path) -> Path:
    return log(root, vacuum.log_entries(root, "documents")[-1])


def data(root: Path, number: int = 2) -> Path:
    (path,) = paths.table_folder(root, "documents").glob(f"{number:06d}-*.parquet")
    return path


def warc(root: Path) -> Path:
    return root / "archive" / "000003-0000.warc.gz"


def change_manifest(root: Path, **values: object) -> None:
    path = paths.manifest_path(root, 2)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def forge_text(root: Path) -> None:
    """Another text in a data file, with the digest in the manifest and the size in the log made to fit."""
    path = data(root)
    table = pq.read_table(path)
    texts = [text.replace("page 1", "page 9") for text in table.column("text").to_pylist()]
    where = table.schema.get_field_index("text")
    with open(path, "wb") as file:
        pq.write_table(table.set_column(where, table.schema.field("text"), pa.array(texts)), file)
    manifest = json.loads(paths.manifest_path(root, 2).read_text())
    manifest["files"]["documents"] = [asdict(data_files.describe(path))]
    paths.manifest_path(root, 2).write_text(json.dumps(manifest))


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def edit_chrome(root: Path) -> None:
    path = chrome_profiles.path(root, CHROME)
    path.write_text(path.read_text().replace("Menu", "Other"))


def rename_chrome(root: Path) -> None:
    path = chrome_profiles.path(root, CHROME)
    path.rename(path.with_name("0007.json"))


DATA, WARC, MANIFEST = "tables/documents/000002-", "archive/000003", "releases/000002.json"
#: How a store is damaged, which file is named for it, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "truncated data file": (lambda r: os.truncate(data(r), 300), DATA, "300 bytes instead"),
    "bit flip in a data file": (lambda r: flip(data(r), 900), DATA, "was altered"),
    "missing data file": (lambda r: data(r).unlink(), DATA, "is missing"),
    "extra data file": (
        lambda r: shutil.copy(data(r), data(r).with_name("x.parquet")),
        "x.parquet",
        "nothing names",
    ),
    "forged text": (forge_text, DATA, "text_sha256 and page_sha256 and version_id"),
    "bit flip in a record": (lambda r: flip(warc(r), warc(r).stat().st_size - 60), WARC, "damaged"),
    "bit flip in an archive's head": (lambda r: flip(warc(r), 40), WARC, "which no row names"),
    "truncated archive": (lambda r: os.truncate(warc(r), 400), WARC, "damaged"),
    "missing archive": (lambda r: warc(r).unlink(), WARC, "3 captures is missing"),
    "extra archive": (
        lambda r: shutil.copy(warc(r), r / "archive" / "x.warc.gz"),
        "archive/x.warc.gz",
        "no row",
    ),
    "longer archive": (lambda r: append(warc(r), b"more"), WARC, "no row names, are damaged"),
    "deleted log entry": (lambda r: log(r, 3).unlink(), "_delta_log/00000000000000000003.json", "is missing"),
    "deleted newest log entry": (
        lambda r: newest_log_entry(r).unlink(),
        "_delta_log",
        "log ends with release 5",
    ),
    "missing manifest": (lambda r: paths.manifest_path(r, 2).unlink(), MANIFEST, "is missing"),
    "missing last manifest": (
        lambda r: paths.manifest_path(r, 6).unlink(),
        "releases/000006.json",
        "is missing",
    ),
    "torn manifest": (lambda r: os.truncate(paths.manifest_path(r, 2), 80), MANIFEST, "not a manifest"),
    "another content root": (lambda r: change_manifest(r, content_root="0" * 64), MANIFEST, "another content"),
    "another count": (lambda r: change_manifest(r, counts={"new": 9}), MANIFEST, "other counts"),
    "altered chrome": (edit_chrome, "chrome of example.org", "altered or removed"),
    "missing chrome": (
        lambda r: chrome_profiles.path(r, CHROME).unlink(),
        "chrome of example.org",
        "altered or removed",
    ),
    "renamed chrome": (rename_chrome, "0007.json", "holds version 1"),
    "unfinished archive": (
        lambda r: (r / "archive" / ".9.warc.gz.part").touch(),
        "9.warc.gz.part",
        "interrupted",
    ),
    "release cut short": (
        lambda r: paths.pending_path(r, 7).write_text("{}"),
        "releases/000007.pending",
        "cut short",
    ),
}


def test_a_store_that_is_whole_has_no_fault(root: Path) -> None:
    assert faults(root) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_planted_fault_is_found_and_told(root: Path, fault: str) -> None:
    plant, what, why = FAULTS[fault]
    plant(root)
    before = files(root)
    found = list(verify.verify(root))
    assert files(root) == before
    assert any(what in one.what and why in one.why for one in found), list(map(str, found))
    for one in found:
        assert "\n" not in str(one)
        assert one.mend.startswith(
            ("restore", "run cleancopy", "delete it and run", "no reader sees it", "rename")
        )


def test_a_fault_of_a_compacted_table_is_found(maintained: Path) -> None:
    (path,) = tables.data_files(maintained, "documents")
    flip(path, 900)
    assert [fault.what for fault in verify.verify(maintained)] == [f"tables/documents/{path.name}"]
    flip(path, 900)
    record = compaction.record_path(maintained, 1)
    record.write_text(record.read_text().replace(f'"{RELEASES}', '"9'))
    compaction.record_path(maintained, 2).unlink()
    found = [fault.why for fault in verify.verify(maintained)]
    assert any("no manifest or compaction does" in why for why in found)


@pytest.mark.slow
def test_purged_bytes_are_no_fault_and_damage_of_what_was_taken_down_is_one(root: Path) -> None:
    first, last = (page("same", f"menu\ntext {number}\n", cut="menu\n") for number in (3, RELEASES))
    (entry,) = [one for one in tables.captures(root, release=3).to_pylist() if one["doc_id"] == first.doc_id]
    decisions.takedown(root, f"capture:{entry['payload_sha256']}", purge=True)
    decisions.takedown(root, last.doc_id)
    assert list(maintain.faults(root)) == []
    version = tables.history(root, last.doc_id)[RELEASES - 1]
    assert version.archive is not None
    flip(root / "archive" / version.archive.file, version.archive.offset + 100)
    (fault,) = maintain.faults(root)
    assert f"the record at byte {version.archive.offset}" in fault.why
    decisions.undo(root, 2)
    assert list(maintain.faults(root)) == [fault]


def test_a_purge_that_was_cut_short_is_told_and_finished(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    (document, *_) = tables.heads(root)
    with monkeypatch.context() as patch:
        patch.setattr(archive, "purge", die)
        with pytest.raises(Killed):
            decisions.takedown(root, document, purge=True)
    (ref, *_) = record.unpurged(root)
    assert archive.read_capture(root, ref)
    assert next(fault.what for fault in maintain.faults(root)) == f"archive/{ref.file}"
    assert maintain.maintain(root, dry_run=True)["purged"] == len(record.unpurged(root))
    assert maintain.maintain(root)["purged"] >= 1
    assert record.unpurged(root) == []
    with pytest.raises(StoreError, match="was purged by a takedown"):
        archive.read_capture(root, ref)
    assert list(maintain.faults(root)) == []


def test_what_a_run_is_writing_is_not_looked_at(root: Path) -> None:
    with releases.writing(root) as release, archive.Archive(root, f"{release:06d}-0000") as raw:
        raw.append(Capture(b"text", "a"))
        assert faults(root) == []


# ---- what is made from the tables


def of(root: Path, pattern: str) -> Path:
    (path, *_) = sorted(root.glob(pattern))
    return path


def forget_inputs(root: Path) -> None:
    lines = (root / "inputs.jsonl").read_text().splitlines(keepends=True)
    (root / "inputs.jsonl").write_text("".join(lines[:-2]))


#: What is done to a store whose derived files are whole, which file is named for it, and what is said of it.
DERIVED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "bit flip in the index": (lambda r: flip(of(r, "index/bands-*"), 90), "index/bands-", "was altered"),
    "truncated index": (lambda r: os.truncate(of(r, "index/texts-*"), 90), "index/texts-", "90 bytes instead"),
    "missing index file": (lambda r: of(r, "index/bands-*").unlink(), "index/bands-", "is missing"),
    "extra index file": (lambda r: (r / "index/bands-1.parquet").touch(), "index/bands-1", "no index names"),
    "stale index": (lambda r: publish(r, 7), "index/manifest.json", "lacks 1 of the 3 texts"),
    "missing list of inputs": (lambda r: (r / "inputs.jsonl").unlink(), "inputs.jsonl", "is missing"),
    "torn list of inputs": (lambda r: os.truncate(r / "inputs.jsonl", 99), "inputs.jsonl", "is damaged"),
    "shorter list of inputs": (forget_inputs, "inputs.jsonl", "lacks 2 inputs"),
    "altered text": (lambda r: of(r, "text/*/*.txt").write_text("other"), "text/", "not as the table has it"),
}


def test_all_that_is_made_from_the_tables_is_mended_at_once(root: Path) -> None:
    export(plan(root), root / "exports" / "corpus", "text")
    assert list(maintain.faults(root)) == []
    for fault in ("bit flip in the index", "torn list of inputs", "altered text"):
        DERIVED[fault][0](root)
    of(root, "exports/corpus/documents/*/*.txt").unlink()
    named = [fault.what.split("/")[0] for fault in maintain.faults(root)]
    assert named == ["text", "index", "inputs.jsonl", "exports"]
    done = maintain.maintain(root)
    assert {name: done[name] for name in ("texts", "index", "inputs", "exports")} == {
        "texts": 1, "index": 1, "inputs": 1, "exports": ("corpus",),
    }  # fmt: skip
    assert list(maintain.faults(root)) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", DERIVED)
def test_what_is_made_from_the_tables_is_verified_and_mended(root: Path, fault: str) -> None:
    plant, what, why = DERIVED[fault]
    assert list(maintain.faults(root)) == []
    plant(root)
    found = list(maintain.faults(root))
    assert any(what in one.what and why in one.why for one in found), list(map(str, found))
    maintain.maintain(root)
    assert list(maintain.faults(root)) == []


def test_an_index_without_its_manifest_waits_for_an_ingest(root: Path) -> None:
    (root / "index" / "manifest.json").write_text("{}")
    (fault,) = maintain.faults(root)
    assert (fault.what, fault.mend) == ("index/manifest.json", "run cleancopy ingest: it is made anew")
    assert maintain.maintain(root)["index"] == 1
    assert list((root / "index").iterdir()) == []


def test_the_ledger_gives_the_list_of_inputs_back(root: Path) -> None:
    before = list(views.inputs(root))
    (root / "inputs.jsonl").write_text("[]\n")
    with pytest.raises(StoreError, match=r"damaged.*run cleancopy maintain"):
        list(views.inputs(root))
    assert maintain.maintain(root, dry_run=True)["inputs"] == 1
    assert maintain.maintain(root)["inputs"] == 1
    assert list(views.inputs(root)) == before


@pytest.mark.slow
def test_lost_decisions_are_told_by_what_they_made(root: Path) -> None:
    (document, *_) = tables.heads(root)
    decisions.pin(root, document)
    decisions.takedown(root, document)
    assert list(maintain.faults(root)) == []
    content = record.path(root).read_text()
    record.path(root).write_text(content.splitlines(keepends=True)[0])
    (fault,) = maintain.faults(root)
    assert "lacks decisions [2] (releases/000007.json was made by one)" in fault.why
    record.path(root).write_text(content[:-9])
    (fault,) = maintain.faults(root)
    assert (fault.what, fault.mend.partition(",")[0]) == ("decisions.jsonl", "restore it from a backup")


def test_a_damaged_checkpoint_is_not_taken_for_a_lost_table(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "LOG_ENTRIES", 3)
    vacuum_store(root)
    path = of(root, "tables/documents/_delta_log/*.checkpoint.parquet")
    os.truncate(path, 100)
    (fault,) = verify.verify(root)
    assert fault.what.endswith(path.name)
    assert f"remove _last_checkpoint and {path.name}" in fault.mend
    path.unlink()
    path.with_name("_last_checkpoint").unlink()
    assert list(verify.verify(root)) == []


# ---- exports


def bytes_of(out: Path) -> dict[str, bytes]:
    found = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in found}


ALTERED: dict[str, Callable[[Path], object]] = {
    "a file": lambda out: of(out, "data/*").unlink(),
    "its manifest": lambda out: (out / "manifest.json").unlink(),
    "its bits": lambda out: flip(of(out, "data/*"), 900),
}


@pytest.mark.slow
@pytest.mark.parametrize("altered", ALTERED)
def test_an_altered_export_is_found_and_made_again(root: Path, altered: str) -> None:
    out = root / "exports" / "corpus"
    export(plan(root), out, "parquet")
    before = bytes_of(out)
    assert list(maintain.faults(root)) == []
    assert maintain.maintain(root)["exports"] == ()
    ALTERED[altered](out)
    assert {fault.what.split("/")[1] for fault in maintain.faults(root)} == {"corpus"}
    assert maintain.maintain(root)["exports"] == ("corpus",)
    assert bytes_of(out) == before


@pytest.mark.slow
def test_exports_of_the_store_follow_the_last_release(root: Path, tmp_path: Path) -> None:
    exports = root / "exports"
    places = (exports / "all.jsonl", exports / "shards", exports / "now", exports / "then", tmp_path / "apart")
    for out, as_of in zip(places, (None, None, None, 6, None), strict=True):
        export(plan(root, as_of=as_of, shard_documents=4), out, "text" if as_of else "jsonl")
    first = list(map(bytes_of, places))
    publish(root, 7)
    dry = maintain.maintain(root, dry_run=True)["exports"]
    assert maintain.maintain(root)["exports"] == dry == ("all.jsonl", "now", "shards")
    assert [bytes_of(out) == was for out, was in zip(places, first, strict=True)] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert len(places[0].read_text().splitlines()) == 15
    assert len(list((exports / "shards" / "data").iterdir())) == 4
    (exports / "all.jsonl").unlink()
    publish(root, 8)
    assert maintain.maintain(root)["exports"] == ("now", "shards")
    assert not list(exports.glob("*all*"))


def test_a_text_that_is_taken_down_leaves_the_exports_of_older_releases(root: Path) -> None:
    out = root / "exports" / "then"
    export(plan(root, as_of=2), out, "text")
    (document, *_) = tables.heads(root)
    before = len(list(out.rglob("*.txt")))
    decisions.takedown(root, document)
    assert maintain.maintain(root)["exports"] == ("then",)
    assert len(list(out.rglob("*.txt"))) == before - 1


# ---- the commands


def command(root: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments, "--clean", str(root)])
    return result.exit_code, result.output


def test_the_commands_say_what_they_find_and_do(root: Path) -> None:
    assert command(root, "verify") == (0, "nothing is missing, altered or extra\n")
    code, said = command(root, "maintain", "--dry-run")
    assert code == 0
    assert "12 data files would be compacted into 2" in said
    code, said = command(root, "maintain", "--json")
    assert code == 0
    assert json.loads(said)["compacted"] == 12
    assert command(root, "verify", "--json") == (0, "")

    text = sorted(root.glob("text/*/*.txt"))[0]
    text.write_text("another text")
    data_file = tables.data_files(root, "captures")[0]
    os.truncate(data_file, 100)
    code, said = command(root, "verify")
    assert code == 1
    assert len(said.splitlines()) == said.count("; ") >= 2
    assert text.relative_to(root).as_posix() in said
    assert data_file.name in said
    code, said = command(root, "verify", "--json")
    assert {"what", "why", "mend"} == set(json.loads(said.splitlines()[0]))
