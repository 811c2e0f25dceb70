"""Releases: what a run adds becomes visible at once, whole, or not at all.

The steps of a commit, and what the next run does after a kill at any of them:

    1. data files are written and put on the disk     not named anywhere: swept
    2. ``000007.pending`` names them                   from here on the release is decided: steps 3-5 are
    3. documents are committed to their Delta table        done again; a table that has the release already
    4. captures are committed to theirs                    is left alone (exactly once)
    5. ``000007.json``, the manifest, is written       published: readers see it
    6. ``000007.pending`` is removed                   removed

One run writes at a time (``writing``). Should a lock not hold, as on some network file systems, or a lease be
taken over from a run that seemed dead, the pending note is the second guard: it can be created once only, and
the run that comes second is ``ConflictError``. ``again`` lets it decide anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from cleancopy.errors import ConflictError, StoreError
from cleancopy.store import archive, compaction, data_files, decision_log, tables
from cleancopy.store.data_files import DataFile, TableName
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    create_exclusive,
    is_shared,
    locked,
    manifest_path,
    pending_path,
    published_releases,
    rollback_on_error,
    store_errors,
    table_folder,
)
from cleancopy.store.schemas import SCHEMA_VERSION

TABLES: tuple[TableName, ...] = ("documents", "captures")
OUTCOMES = ("new", "unchanged", "duplicate", "rejected")
_ID_BYTES = 32
#: Seconds that a command or run waits for another one that is publishing.
PUBLISH_TIMEOUT = 600.0
#: What a release's content is counted by.
_STATE = ["doc_id", "seq", "version_id", "status", "release"]
_DATA_FILE = re.compile(r"(\d{6,})-[0-9a-f]{32}\.parquet")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release holds.

    ``counts``: inputs by outcome. ``live``: documents that are live. ``content_root``: SHA-256 over the sorted
    version ids of the live documents, a line each; equal roots mean equal corpora. ``tables``: the Delta
    version of each table. ``files``: the data files that the release added. ``recovered``: a later run
    finished it. ``decisions``: the head of the record of decisions (decision_log.py).
    """

    release: int
    parent: int | None
    run: str
    time: str
    counts: Mapping[str, int]
    live: int
    content_root: str
    fingerprint: str
    parts: Mapping[str, str]
    files: Mapping[str, list[DataFile]]
    tables: Mapping[str, int]
    recovered: bool = False
    decisions: str = ""
    schema: int = SCHEMA_VERSION


T = TypeVar("T")
#: So often a run that was overtaken decides anew.
ATTEMPTS = 20


def again(decide: Callable[[], T]) -> T:
    """What a function gives that decides and commits; it is called once more each time that it is overtaken."""
    for _ in range(ATTEMPTS):
        with suppress(ConflictError):
            return decide()
    return decide()


@contextmanager
def writing(root: StorePath, wait: float = 0.0, keep: Callable[[], Collection[str]] = tuple) -> Iterator[int]:
    """Hold the store to publish; gives the number of the release that comes next.

    Finishes what an interrupted run began and sweeps what it left, but for the archive files of the runs that
    ``keep`` names, which is asked when the lock is held. Raises Busy if another run is still writing after
    ``wait`` seconds.
    """
    with locked(root, wait):
        _recover(root)
        check_decisions(root)
        decision_log.seal(root)
        _sweep(root, keep())
        yield _last(root) + 1


def check_decisions(root: StorePath) -> None:
    """Raise StoreError where the record of decisions is broken, or behind the last release."""
    last = current(root)
    decision_log.check_record(root, last.decisions if last else "")


def commit(
    root: StorePath,
    release: int,
    documents: Iterable[pa.RecordBatch],
    captures: Iterable[pa.RecordBatch],
    *,
    run: str,
    fingerprint: str,
    parts: Mapping[str, str],
) -> Manifest:
    """Publish a release: its document versions and its ledger entries, streamed, exactly once.

    All documents are taken before the first of the captures. When this returns, the release is on the disk.
    Raises StoreError if the number is not the next one, that is, if another run published meanwhile: read the
    store again and plan the run anew.
    """
    _check_next(root, release)
    files = {"documents": data_files.write_file(root, "documents", release, documents)}
    with rollback_on_error(partial(_discard, root, files)):
        files["captures"] = data_files.write_file(root, "captures", release, captures)
        manifest = Manifest(
            release=release,
            parent=release - 1 or None,
            run=run,
            time=_now(),
            counts=_counts(_read(root, "captures", files["captures"], ["outcome"])),
            **_content(_with_new(root, release, files["documents"])),
            fingerprint=fingerprint,
            parts=dict(parts),
            files=files,
            tables={},
            decisions=decision_log.head(root),
        )
        _reserve(root, manifest)
    return _finish(root, manifest)


def recover(root: StorePath, wait: float = 0.0) -> list[int]:
    """Finish the releases that were begun and rebuild manifests that are missing; gives their numbers."""
    with locked(root, wait):
        return _recover(root)


def current(root: StorePath) -> Manifest | None:
    """The manifest of the last published release, None for an empty store."""
    last = _last(root)
    return read_manifest(root, last) if last else None


def newest_first(root: StorePath) -> Iterator[Manifest]:
    """The manifests of all published releases, the last one first."""
    return (read_manifest(root, number) for number in reversed(published_releases(root)))


def read_manifest(root: StorePath, number: int) -> Manifest:
    """The manifest of a release; raises StoreError if there is none or it is damaged."""
    path = manifest_path(root, number)
    if not path.exists():
        raise StoreError(f"{path}: there is no release {number}; the last one is {_last(root)}")
    return _from_json(path)


# ---- committing


def _last(root: StorePath) -> int:
    numbers = published_releases(root)
    return numbers[-1] if numbers else 0


def expected(
    root: StorePath, table: TableName, manifests: Iterable[Manifest] | None = None
) -> dict[str, DataFile]:
    """The data files that a table must have, by path: of all manifests, with what compactions made of them.

    ``manifests`` are all there are, for who has read them.
    """
    releases = newest_first(root) if manifests is None else manifests
    files = {file.path: file for manifest in releases for file in manifest.files[table]}
    for record in compaction.records(root):
        if record.table == table:
            for file in record.removed:
                files.pop(file.path, None)
            files[record.added.path] = record.added
    return files


def next_number(root: StorePath) -> int:
    """The number that a release would have now."""
    return _last(root) + 1


def _check_next(root: StorePath, release: int) -> None:
    if (last := _last(root)) != release - 1:
        raise ConflictError(
            f"{root}: release {release} cannot be published, the last one is {last}: another run was faster; "
            "read the store again and run again"
        )


def _reserve(root: StorePath, manifest: Manifest) -> None:
    """Decide the release: create its pending note, which one run only can do."""
    path = pending_path(root, manifest.release)
    with store_errors(path, "beginning the release"):
        if not create_exclusive(path, _to_json(manifest)):
            raise ConflictError(
                f"{path}: another run is publishing release {manifest.release}; "
                "read the store again when it has ended, and run again"
            )
        with rollback_on_error(partial(path.unlink, missing_ok=True)):
            # The other run may have published and removed its note since this run looked.
            _check_next(root, manifest.release)


def _finish(root: StorePath, manifest: Manifest, recovered: bool = False) -> Manifest:
    """Steps 3 to 6: commit to both tables, publish the manifest, remove the note."""
    for table in TABLES:
        for file in manifest.files[table]:
            _check_file(table_folder(root, table) / file.path, file)
    committed: dict[str, int] = {
        table: tables.append(root, table, manifest.files[table], manifest.release, manifest.run)
        for table in TABLES
    }
    done = replace(manifest, tables=committed, recovered=recovered)
    atomic_write(manifest_path(root, manifest.release), _to_json(done))
    with store_errors(pending_path(root, manifest.release), "removing the note of the finished release"):
        pending_path(root, manifest.release).unlink(missing_ok=True)
    return done


def _discard(root: StorePath, files: Mapping[str, list[DataFile]]) -> None:
    """Remove data files that no release will name.

    In an object store the note that names them may stand, though its answer was lost, or another run may have
    finished it: there they stay until maintenance removes what nothing names.
    """
    if is_shared(root):
        return
    for table, written in files.items():
        for file in written:
            (table_folder(root, table) / file.path).unlink(missing_ok=True)


# ---- what a release holds


def _read(root: StorePath, table: TableName, files: Iterable[DataFile], columns: list[str]) -> pa.Table:
    """Columns of data files that are written but not committed."""
    schema = pa.schema([data_files.SCHEMAS[table].field(name) for name in columns])
    paths = [table_folder(root, table) / file.path for file in files]
    with data_files.readable(table_folder(root, table)):
        return pa.concat_tables([schema.empty_table(), *(_columns(path, columns) for path in paths)])


def _columns(path: StorePath, columns: list[str]) -> pa.Table:
    with data_files.parquet(path) as file:
        return file.read(columns=columns)


def _with_new(root: StorePath, release: int, files: Iterable[DataFile]) -> pa.Table:
    """The identities of all versions with those of this release; raises StoreError where two are one."""
    stored, new = tables.identities(root, release - 1, _STATE), _read(root, "documents", files, _STATE)
    versions = pa.concat_tables([stored, new])
    columns = ["doc_id", "seq"]
    written = pc.is_in(versions.column("doc_id"), new.column("doc_id").combine_chunks())
    groups = versions.select(columns).filter(written).group_by(columns).aggregate([([], "count_all")])
    twice = groups.filter(pc.greater(groups.column("count_all"), 1))
    if twice.num_rows:
        raise StoreError(
            f"{root}: two document versions have the same {' and '.join(columns)} "
            f"({twice.select(columns).slice(0, 1).to_pylist()[0]}); read corpus.heads inside "
            "releases.writing, and number each document's versions on from there"
        )
    return versions


def _content(versions: pa.Table) -> dict[str, Any]:
    """The number of live documents and the content root."""
    last = tables.newest(versions)
    live = last.filter(pc.equal(last.column("status"), "live")).column("version_id").to_pylist()
    return {"live": len(live), "content_root": content_root(live)}


def content_root(version_ids: Iterable[str]) -> str:
    """SHA-256 over version ids, sorted, a line each; 64 hex digits."""
    ids = list(version_ids)
    joined = "".join(ids).encode()
    if set(map(len, ids)) != {_ID_BYTES} or len(joined) != _ID_BYTES * len(ids):
        return hashlib.sha256("".join(f"{version_id}\n" for version_id in sorted(ids)).encode()).hexdigest()
    # Of 100,000 ids this takes a third of the time; a commit needs the root of the whole corpus.
    lines = np.full((len(ids), _ID_BYTES + 1), ord("\n"), np.uint8)
    lines[:, :-1] = np.sort(np.frombuffer(joined, f"S{_ID_BYTES}")).view(np.uint8).reshape(-1, _ID_BYTES)
    return hashlib.sha256(lines.data).hexdigest()


def _counts(ledger: pa.Table) -> dict[str, int]:
    counts = Counter(ledger.column("outcome").to_pylist())
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to_json(manifest: Manifest) -> bytes:
    return (json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n").encode()


def _from_json(path: StorePath) -> Manifest:
    with store_errors(path, "reading a manifest"):
        text = path.read_bytes()
    try:
        values = json.loads(text)
        values["files"] = {
            table: [DataFile(**file) for file in files] for table, files in values["files"].items()
        }
        values.setdefault("decisions", "")  # of before there was a head
        return Manifest(**{field.name: values[field.name] for field in fields(Manifest)})
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: is not a manifest ({error}); delete it, the next run rebuilds it from the tables"
        ) from error


# ---- recovering


def _recover(root: StorePath) -> list[int]:
    mended = [number for path in _pending(root) if (number := _resume(root, path))]
    return mended + [_rebuild(root, number) for number in unpublished(root)]


def _pending(root: StorePath) -> list[StorePath]:
    with store_errors(root / "releases", "looking for unfinished releases"):
        return sorted((root / "releases").glob("*.pending"))


def _resume(root: StorePath, path: StorePath) -> int | None:
    """Finish the release of a pending note; None where it was published or never decided."""
    try:
        manifest = _from_json(path)
    except StoreError:
        if is_shared(path) and path.exists():
            raise  # notes in an object store are whole
        # The note was cut off while it was written, so nothing was committed: its data files are swept.
        path.unlink(missing_ok=True)
        return None
    if manifest_path(root, manifest.release).exists():
        path.unlink(missing_ok=True)
        return None
    return _finish(root, manifest, recovered=True).release


def _check_file(path: StorePath, file: DataFile) -> None:
    with store_errors(path, "committing the release that names it"):
        size = path.stat().st_size
    if size != file.size:
        raise StoreError(f"{path}: has {size} bytes instead of {file.size}; restore it from a backup")


def unpublished(root: StorePath) -> list[int]:
    """Releases that a table has and that have no manifest."""
    last = 0
    for table in TABLES:
        folder = table_folder(root, table)
        if (folder / "_delta_log").is_dir():
            with data_files.readable(folder):
                last = max(last, tables.committed(tables.open_table(folder)))
    return sorted(set(range(1, last + 1)) - set(published_releases(root)))


def _rebuild(root: StorePath, release: int) -> int:
    """Write the manifest of a release again from the tables alone."""
    committed: dict[str, int] = {
        table: tables.append(root, table, [], release, "recovered") for table in TABLES
    }
    ledger = tables.captures(root, ["outcome", "run", "fingerprint"], release)
    first = ledger.slice(0, 1).to_pylist()[0] if ledger.num_rows else {"run": "", "fingerprint": ""}
    parts = next(tables.scan(root, "documents", ["parts"], ds.field("release") == release), None)
    manifest = Manifest(
        release=release,
        parent=release - 1 or None,
        run=first["run"],
        time=_now(),
        counts=_counts(ledger),
        **_content(tables.identities(root, release, _STATE)),
        fingerprint=first["fingerprint"],
        parts=json.loads(parts.column("parts")[0].as_py()) if parts else {},
        files={table: _files_of(root, table, release) for table in TABLES},
        tables=committed,
        recovered=True,
        decisions=decision_log.head(root),
    )
    atomic_write(manifest_path(root, release), _to_json(manifest))
    return release


def _files_of(root: StorePath, table: TableName, release: int) -> list[DataFile]:
    """The data files that a release brought: those that stand, and those that compactions took."""
    paths = [path for path in tables.data_files(root, table) if release_of(path) == release]
    taken = [file for record in compaction.records(root) if record.table == table for file in record.removed]
    gone = [file for file in taken if release_of(Path(file.path)) == release]
    return sorted([*map(data_files.describe, paths), *gone], key=lambda file: file.path)


def release_of(path: PurePath) -> int | None:
    """The release that wrote a data file; None for one that a compaction wrote."""
    match = _DATA_FILE.fullmatch(path.name)
    return int(match[1]) if match else None


def _sweep(root: StorePath, keep: Collection[str]) -> None:
    """Remove what interrupted runs left: unfinished archive files, and data files that no release names.

    In an object store data files stay until they are a week old (``maintenance``): a run that lost its lease
    may be about to name them.
    """
    archive.sweep(root, keep)
    if is_shared(root):
        return
    last = _last(root)
    remains = [path for table in TABLES for path in table_folder(root, table).glob("*.parquet")]
    remains = [path for path in remains if (release_of(path) or 0) > last]
    with store_errors(root, "sweeping what an interrupted run left"):
        for path in [*remains, *(root / "releases").glob(".*.tmp")]:
            path.unlink(missing_ok=True)
