"""Verification: everything that the store keeps is read again, hashed again and held against what names it.

What is checked, and by what:

    data files       size and SHA-256 in their manifest, or in the record of the compaction that made them
    manifests        one for each release; live documents and content root computed again from the rows
    Delta logs       no entry missing; the files they name are those of manifests and compactions
    document rows    ids, text digest and page digest computed again; versions numbered from 1 without a gap
    ledger           counts by outcome in the manifest
    archive          every record that a row names: its id, its digest and the row's; the rest of the files: CRC
    site chromes     their names; and that each digest that cut a document's latest version is there

What is made from these (index, text tree, list of inputs, exports) is looked at by ``upkeep``.
Nothing is changed, no lock is held for long, and a store on a read-only disk can be verified. While a run is
writing, what it has not published yet is not looked at.
"""

from __future__ import annotations

import gzip
import time
import zlib
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.errors import Busy, CleancopyError, StoreError
from cleancopy.store import (
    archive,
    chrome_profiles,
    compaction,
    data_files,
    paths,
    releases,
    rows,
    vacuum,
)
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.compaction import Compaction
from cleancopy.store.data_files import DataFile, TableName
from cleancopy.store.paths import (
    StorePath,
    archive_folder,
    glob_sorted,
    locked,
    manifest_path,
    open_bytes,
    pending_path,
    published_releases,
    table_folder,
)
from cleancopy.store.releases import Manifest

_BACKUP = "restore it from a backup of clean/"
_RERUN = "run cleancopy maintain"
_ORPHAN = "no reader sees it; cleancopy maintain removes it when it is seven days old"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written: what (a file below clean/, mostly), why, and how to mend it."""

    what: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.mend}"


class _Row(NamedTuple):
    """A version as its row states it."""

    doc_id: str
    seq: int
    version_id: str
    status: str


@dataclass(slots=True)
class _Seen:
    """What the rows of whole files say, gathered while they are read."""

    versions: dict[int, list[_Row]] = field(default_factory=lambda: defaultdict(list))  # by release
    chromes: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # by document: seq, site, digest
    outcomes: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by release
    archived: dict[ArchiveRef, str] = field(default_factory=dict)  # payload digests


def verify(
    root: StorePath, keep: Collection[str] = (), purged: Callable[[ArchiveRef], bool] = lambda ref: False
) -> Iterator[Fault]:
    """Every fault of a store, as it is found; none for one that is whole.

    ``keep`` are the names of runs under way, whose archive files no row names yet; ``purged`` says whether a
    takedown has overwritten a record.
    """
    idle, last = is_idle(root), published_releases(root)[-1:]
    manifests = {}
    for number in range(1, (last or [0])[0] + 1):
        try:
            manifests[number] = releases.read_manifest(root, number)
        except StoreError as error:
            yield _manifest_fault(root, number, error)
    if idle:
        yield from _unpublished(root)
    try:
        done = compaction.records(root)
    except StoreError as error:
        yield _from_error(root, error)
        done = []
    seen = _Seen()
    whole = dict.fromkeys(releases.TABLES, True)
    for table in releases.TABLES:
        for fault in _table(root, table, manifests, done, seen):
            whole[table] = False
            yield fault
    if whole["documents"]:
        yield from _contents(root, manifests, seen)
    if whole["captures"]:
        yield from _ledgers(root, manifests, seen)
    yield from _archives(root, seen, purged)
    yield from _chromes(root, seen)
    if idle and is_idle(root) and last == published_releases(root)[-1:]:
        yield from _leftovers(root, done, keep, whole["captures"])


def is_idle(root: StorePath) -> bool:
    """Whether nobody is writing to the store now."""
    try:
        with locked(root):
            return True
    except Busy:
        return False
    except StoreError:
        return True  # nobody can write to it


def _manifest_fault(root: StorePath, number: int, error: StoreError) -> Fault:
    path = manifest_path(root, number)
    if path.exists():
        what = _from_error(root, error)
        return Fault(what.what, what.why, f"delete it and {_RERUN}: it is rebuilt from the tables")
    return Fault(
        _name(root, path), "the manifest of this release is missing", f"{_RERUN}: it is rebuilt from the tables"
    )


def _unpublished(root: StorePath) -> Iterator[Fault]:
    """The releases after the last one that the tables have: their manifests were lost."""
    try:
        numbers = releases.unpublished(root)
    except StoreError:
        return  # the tables are looked at below
    for number in numbers:
        if number > (published_releases(root) or [0])[-1] and not pending_path(root, number).exists():
            yield _manifest_fault(root, number, StoreError())


def _from_error(root: StorePath, error: Exception) -> Fault:
    """The fault that an error's message tells: what, why and what to do."""
    what, _, rest = " ".join(str(error).split()).partition(": ")
    why, _, mend = rest.rpartition("; ")
    return Fault(what.removeprefix(f"{root}/"), why or rest, mend if why else _BACKUP)


def _name(root: StorePath, path: StorePath) -> str:
    return path.relative_to(root).as_posix()


# ---- tables


def _table(
    root: StorePath, table: TableName, manifests: dict[int, Manifest], done: list[Compaction], seen: _Seen
) -> Iterator[Fault]:
    """The faults of one table; what its whole files hold is noted in ``seen``."""
    if not manifests:
        return
    records = [record for record in done if record.table == table]
    wanted = _wanted(manifests, records, table)
    yield from _manifest_files(root, manifests, records, table)
    gaps = list(_log_gaps(root, table))
    yield from gaps
    try:
        there = compaction.active(root, table)
    except StoreError as error:
        there = set(wanted)
        if not gaps:
            yield _of_checkpoint(root, table) or _from_error(root, error)
    yield from _unequal(root, table, wanted, there, records)
    for path, file in sorted(wanted.items()):
        fault = _data_file(root, table, file)
        if fault:
            yield fault
        elif path in there or any(path == record.added.path for record in records):
            yield from _rows(root, table, table_folder(root, table) / path, max(manifests), seen)


def _wanted(
    manifests: dict[int, Manifest], records: Iterable[Compaction], table: TableName
) -> dict[str, DataFile]:
    """The files that manifests and compactions say the table has."""
    files = {file.path: file for manifest in manifests.values() for file in manifest.files[table]}
    for record in records:
        for file in record.removed:
            files.pop(file.path, None)
        files[record.added.path] = record.added
    return files


def _manifest_files(
    root: StorePath, manifests: dict[int, Manifest], records: Iterable[Compaction], table: TableName
) -> Iterator[Fault]:
    """Manifests that name a file otherwise than the compaction that took it."""
    taken = {file.path: file for record in records for file in record.removed}
    for number, manifest in manifests.items():
        for file in manifest.files[table]:
            if taken.get(file.path, file) != file:
                yield Fault(
                    _name(root, manifest_path(root, number)),
                    f"says of {file.path} what the compaction that took the file does not",
                    _BACKUP,
                )


def _log_gaps(root: StorePath, table: TableName) -> Iterator[Fault]:
    """Log entries that are missing after the last checkpoint."""
    folder = table_folder(root, table) / "_delta_log"
    there = vacuum.log_entries(root, table)
    first = max(vacuum.checkpoints(root, table), default=-1) + 1
    for number in sorted(set(range(first, max(there, default=-1) + 1)) - set(there)):
        yield Fault(_name(root, folder / f"{number:020d}.json"), "this entry of the log is missing", _BACKUP)


def _of_checkpoint(root: StorePath, table: TableName) -> Fault | None:
    """The fault of a log that cannot be read, though it has all of its entries: its checkpoint is damaged."""
    folder = table_folder(root, table) / "_delta_log"
    entries, last = vacuum.log_entries(root, table), folder / "_last_checkpoint"
    if entries != list(range(len(entries))) or not last.exists():
        return None
    files = [
        last,
        *(folder / f"{n:020d}.checkpoint.parquet" for n in vacuum.checkpoints(root, table)[-1:]),
    ]
    return Fault(
        _name(root, files[-1]),
        "the log cannot be read with this checkpoint, or it is missing",
        f"restore it from a backup, or remove {' and '.join(path.name for path in files)}: the log is whole",
    )


def _unequal(
    root: StorePath, table: TableName, wanted: Iterable[str], there: set[str], records: list[Compaction]
) -> Iterator[Fault]:
    """Files that the log has and no manifest, or the other way round."""
    folder, lost = _name(root, table_folder(root, table)), set()
    for record in records:
        if {file.path for file in record.removed} <= there and record.added.path not in there:
            lost |= {record.added.path, *(file.path for file in record.removed)}
            yield Fault(
                f"{folder}/_delta_log",
                f"the log lacks compaction {record.number}: an entry was deleted; no row is lost",
                _RERUN,
            )
    for path in sorted(set(wanted) - there - lost):
        yield Fault(
            f"{folder}/{path}",
            "a manifest or compaction names it and the log does not: log entries were lost",
            _BACKUP,
        )
    last = (published_releases(root) or [0])[-1]
    for path in sorted(there - set(wanted) - lost):
        if (releases.release_of(Path(path)) or 0) > last:
            continue  # of a release that is not published, which is said elsewhere
        yield Fault(
            f"{folder}/{path}", "the log names it and no manifest or compaction does", "restore clean/releases"
        )


def _data_file(root: StorePath, table: TableName, file: DataFile) -> Fault | None:
    """The fault of a data file whose bytes are not those that were written."""
    path = table_folder(root, table) / file.path
    if not path.exists():
        return Fault(_name(root, path), f"the data file with {file.rows} rows is missing", _BACKUP)
    if (size := path.stat().st_size) != file.size:
        return Fault(_name(root, path), f"has {size} bytes instead of {file.size}", _BACKUP)
    if (digest := paths.file_digest(path)) != file.sha256:
        return Fault(
            _name(root, path),
            f"was altered: its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}...",
            _BACKUP,
        )
    return None


# ---- rows


def _rows(root: StorePath, table: TableName, path: StorePath, last: int, seen: _Seen) -> Iterator[Fault]:
    """The faults of a data file's rows, up to the last release."""
    try:
        with data_files.parquet(path) as file:
            for batch in file.iter_batches(batch_size=256 if table == "documents" else 20_000):
                here = batch.filter(pc.less_equal(batch.column("release"), last))
                if table == "captures":
                    _note_captures(here, seen)
                else:
                    yield from _documents(_name(root, path), here, seen)
    except (CleancopyError, ValueError, TypeError, KeyError) as error:
        yield Fault(_name(root, path), f"its rows cannot be read ({' '.join(str(error).split())})", _BACKUP)


def _documents(name: str, batch: pa.RecordBatch, seen: _Seen) -> Iterator[Fault]:
    """The rows of documents whose ids or digests are not those of their content; notes what they say."""
    columns = ["doc_id", "version_id", "text_sha256", "page_sha256", "seq", "release", "status"]
    stated = zip(*(batch.column(heading).to_pylist() for heading in columns), strict=True)
    for version, (doc, stored, text, page, seq, release, status) in zip(
        rows.table_to_versions(batch), stated, strict=True
    ):
        erased = bool(version.erased_sha256)  # its digests can be held against the ids of versions alone
        equal = {
            "doc_id": version.doc_id == doc,
            "text_sha256": version.text_sha256 == text,
            "page_sha256": erased or rows.sha256(version.document.text) == page,
            "version_id": version.version_id == stored,
        }
        if wrong := [column for column, right in equal.items() if not right]:
            where = f"version {seq} of document {doc} (release {release})"
            yield Fault(name, f"{where} does not have the {' and '.join(wrong)} that it states", _BACKUP)
        seen.versions[release].append(_Row(doc, seq, stored, status))
        if seen.chromes.get(doc, (0,))[0] < seq:
            seen.chromes[doc] = seq, version.document.site or "", version.parts.get("chrome", "")


def _note_captures(batch: pa.RecordBatch, seen: _Seen) -> None:
    names = ["release", "outcome", "payload_sha256", "archive"]
    for release, outcome, digest, ref in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
        seen.outcomes[release][outcome] += 1
        if ref is not None:
            seen.archived[ArchiveRef(**ref)] = digest or ""


def _contents(root: StorePath, manifests: dict[int, Manifest], seen: _Seen) -> Iterator[Fault]:
    """The releases whose rows do not have the content that their manifest states."""
    yield from _numbering(seen)
    live: list[str] = []
    heads: dict[str, _Row] = {}
    for number in range(1, max(manifests, default=0) + 1):
        for row in sorted(seen.versions[number]):
            before = heads.get(row.doc_id)
            if before and before.status == "live":
                del live[bisect_left(live, before.version_id)]
            if row.status == "live":
                insort(live, row.version_id)
            heads[row.doc_id] = row
        manifest = manifests.get(number)
        if manifest and (manifest.live, manifest.content_root) != (len(live), releases.content_root(live)):
            yield Fault(
                _name(root, manifest_path(root, number)),
                f"states another content than the rows have: {manifest.live} live documents, the rows have "
                f"{len(live)}, or another content root",
                _BACKUP,
            )


def _numbering(seen: _Seen) -> Iterator[Fault]:
    """Documents whose versions are not numbered from 1 without a gap, one row each."""
    numbers = defaultdict(list)
    for row in chain.from_iterable(seen.versions.values()):
        numbers[row.doc_id].append(row.seq)
    for doc, held in numbers.items():
        if sorted(held) != list(range(1, len(held) + 1)):
            yield Fault(f"document {doc}", f"has versions {sorted(held)}: one is missing or double", _BACKUP)


def _ledgers(root: StorePath, manifests: dict[int, Manifest], seen: _Seen) -> Iterator[Fault]:
    for number, manifest in manifests.items():
        counts = {outcome: seen.outcomes[number][outcome] for outcome in releases.OUTCOMES}
        if counts != dict(manifest.counts):
            yield Fault(
                _name(root, manifest_path(root, number)),
                f"states other counts ({dict(manifest.counts)}) than the ledger has ({counts})",
                _BACKUP,
            )


# ---- archive and chromes


def _archives(root: StorePath, seen: _Seen, purged: Callable[[ArchiveRef], bool]) -> Iterator[Fault]:
    """Records that rows name and that are not there as they were written; and what is wrong between them."""
    by_file: dict[str, list[ArchiveRef]] = defaultdict(list)
    for ref in seen.archived:
        by_file[ref.file].append(ref)
    for name, refs in sorted(by_file.items()):
        path = archive_folder(root) / name
        if not path.exists():
            yield Fault(_name(root, path), f"the archive file with {len(refs)} captures is missing", _BACKUP)
            continue
        refs.sort(key=lambda ref: ref.offset)
        yield from _records(root, (ref for ref in refs if not purged(ref)), seen)
        yield from _between(root, path, refs)


def _records(root: StorePath, refs: Iterable[ArchiveRef], seen: _Seen) -> Iterator[Fault]:
    for ref in refs:
        try:
            archive.read_capture(root, ref, seen.archived[ref] or None)
        except StoreError as error:
            yield _from_error(root, error)


def _between(root: StorePath, path: StorePath, refs: Iterable[ArchiveRef]) -> Iterator[Fault]:
    """Faults of the parts of an archive file that no row names: its head, and responses seen again."""
    position, size = 0, path.stat().st_size
    with open_bytes(path) as file:
        for start, end in [*((ref.offset, ref.offset + ref.length) for ref in refs), (size, size)]:
            if position < start:
                file.seek(position)
                try:
                    gzip.decompress(file.read(start - position))
                except (OSError, EOFError, zlib.error) as error:
                    why = (
                        f"the records at byte {position} to {start}, which no row names, are damaged ({error})"
                    )
                    yield Fault(_name(root, path), why, _BACKUP)
            position = max(position, end)


def _chromes(root: StorePath, seen: _Seen) -> Iterator[Fault]:
    """Chrome files that cannot be read or are named otherwise, and digests that no file has."""
    digests = {""}
    for path in glob_sorted(root / "chrome", "*/*.json"):
        try:
            chrome = chrome_profiles.read_profile(path)
        except CleancopyError as error:
            why = str(error).partition(": ")[2].partition("; ")[0]
            last = path == glob_sorted(path.parent, "[0-9]*.json")[-1]
            or_else = ", or remove it and learn on from the one before" if last else ""
            yield Fault(_name(root, path), why, f"restore it from a backup, or mend that{or_else}")
            continue
        digests |= {chrome.digest, *chrome.erased}
        if chrome_profiles.path(root, chrome) != path:
            yield Fault(
                _name(root, path),
                f"holds version {chrome.version} of {chrome.site}'s chrome",
                "rename it to what it holds, or restore it from a backup",
            )
    missing = Counter((site, digest) for _, site, digest in seen.chromes.values() if digest not in digests)
    for (site, digest), count in sorted(missing.items()):
        yield Fault(
            f"chrome of {site}",
            f"{count} documents were cut by chrome {digest[:12]}..., which no file has: altered or removed",
            "restore it from a backup; texts and cuts are not touched by this",
        )


# ---- leftovers


def _leftovers(
    root: StorePath, done: list[Compaction], keep: Collection[str], captures: bool
) -> Iterator[Fault]:
    """Files that nothing names: what killed runs left, and what does not belong here."""
    for path in [*glob_sorted(root / "releases", "*.pending"), *glob_sorted(root / "compactions", "*.pending")]:
        yield Fault(_name(root, path), "was begun and cut short", f"{_RERUN}: it is finished or undone")
    here = paths.scratch_folder(root)
    unfinished = [*here.glob("archive/.*.part"), *here.glob("**/.*.tmp")] if not paths.is_shared(root) else []
    for path in sorted(unfinished):
        if not any(name in path.name for name in keep):
            yield Fault(_name(root, path), "was left by an interrupted run", f"{_RERUN}: it is removed")
    last = (published_releases(root) or [0])[-1]
    for table in releases.TABLES:
        named = _named(root, table, done)
        for path in glob_sorted(table_folder(root, table), "*.parquet"):
            later = (releases.release_of(path) or 0) > last
            if (path.name in named and not later) or _may_be_under_way(path):
                continue
            if later:
                yield Fault(_name(root, path), "was left by an interrupted run", f"{_RERUN}: it is mended")
            else:
                yield Fault(_name(root, path), "nothing names this data file", _ORPHAN)
    if captures:
        yield from _unnamed_archives(root, keep)


def _may_be_under_way(path: StorePath) -> bool:
    """Whether a file may be of a run on another machine, which only an object store has."""
    return paths.is_shared(path) and path.stat().st_mtime > time.time() - vacuum.KEEP_DAYS * 86_400


def _unnamed_archives(root: StorePath, keep: Collection[str]) -> Iterator[Fault]:
    try:
        named = vacuum.archive_files(root)
    except StoreError:
        return  # which was said before
    for path in glob_sorted(archive_folder(root), "*.warc.gz"):
        wanted = path.name in named or any(run in path.name for run in keep)
        if not wanted and not _may_be_under_way(path):
            yield Fault(_name(root, path), "no row names this archive file", _ORPHAN)


def _named(root: StorePath, table: TableName, done: Iterable[Compaction]) -> set[str]:
    """All data files that anything names."""
    named: set[str] = set()
    for record in done:
        named |= {data_file.path for data_file in (*record.removed, record.added)}
    for number in published_releases(root):
        try:
            manifest: Any = releases.read_manifest(root, number)
        except StoreError:
            continue
        named |= {file.path for file in manifest.files[table]}
    try:
        return named | compaction.active(root, table)
    except StoreError:
        return named | {path.name for path in glob_sorted(table_folder(root, table), "*.parquet")}
