"""Maintenance: fewer and sorted data files, a checkpointed log, and nothing on the disk that nobody needs.

    1. compactions that a kill cut short are completed or forgotten       (compaction.py)
    2. small data files are compacted
    3. the Delta logs are checkpointed, so that opening a table reads one file and not one a release
    4. data files that compactions took are removed, seven days later at the earliest, and never while a
       manifest younger than that names them
    5. what killed runs left is removed: files that nothing names, and work that nobody has taken up

All of it holds the writing lock, each step leaves the store whole, and a second maintenance finds nothing to
do. No row, no manifest and no content root changes; an older release reads as before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc

from cleancopy.errors import Busy, PolicyError
from cleancopy.store import compaction, data_files, releases, tables
from cleancopy.store.data_files import DataFile, TableName
from cleancopy.store.paths import (
    StorePath,
    archive_folder,
    confirm_lock,
    glob_sorted,
    list_names,
    locked,
    remove,
    scratch_folder,
    store_errors,
    sync_file,
    table_folder,
    total_size,
)
from cleancopy.store.releases import Manifest

#: The least number of days that a file stays which a reader or an older log entry may still name.
KEEP_DAYS = 7
#: So many log entries since the last checkpoint are worth one.
LOG_ENTRIES = 20
_DAY = 86_400.0
_LOG_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")


@dataclass(frozen=True, slots=True)
class Maintained:
    """What a maintenance did, or would do: compactions by table, removed files (below clean/) and their bytes.

    ``compacted`` counts the files that went, ``into`` those that came. ``checkpointed`` names tables.
    """

    completed: tuple[int, ...] = ()
    compacted: int = 0
    into: int = 0
    checkpointed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    freed: int = 0
    dry_run: bool = False


@contextmanager
def maintaining(
    root: StorePath,
    *,
    keep_days: float = KEEP_DAYS,
    dry_run: bool = False,
    wait: float = 0.0,
    keep: Callable[[], Collection[str]] = tuple,
) -> Iterator[Maintained]:
    """Maintain a store and go on holding its writing lock; gives what was done.

    ``keep`` gives the names of runs, dead or alive, whose archive files the next run may take up. With
    ``dry_run`` nothing is changed. Raises PolicyError for fewer days than seven, Busy where another run writes.
    """
    if not keep_days >= KEEP_DAYS:
        raise PolicyError(
            f"--keep-days {keep_days:g}: readers and Delta's own log may name a file for {KEEP_DAYS} days; "
            f"give {KEEP_DAYS} or more"
        )
    before = time.time() - keep_days * _DAY
    if dry_run:
        with locked(root, wait):
            yield _would_do(root, before, keep())
        return
    with releases.writing(root, wait, keep):
        completed = compaction.recover(root)
        manifests = list(releases.newest_first(root))  # once: in an object store each is a request
        groups = [
            compaction.compact(root, table, group)
            for table in releases.TABLES
            for group in _groups(root, table, manifests)
        ]
        checkpointed = [table for table in releases.TABLES if _due(root, table)]
        for table in checkpointed:
            _checkpoint(root, table)
        unneeded = _unneeded(root, before, keep(), manifests)
        confirm_lock(root)
        freed = _remove(root, unneeded)
        yield Maintained(
            completed=tuple(completed),
            compacted=sum(len(record.removed) for record in groups),
            into=len(groups),
            checkpointed=tuple(checkpointed),
            removed=tuple(_name(root, path) for path in unneeded),
            freed=freed,
        )


def _would_do(root: StorePath, before: float, keep: Collection[str]) -> Maintained:
    manifests = list(releases.newest_first(root))
    groups = [group for table in releases.TABLES for group in _groups(root, table, manifests)]
    unneeded = _unneeded(root, before, keep, manifests)
    return Maintained(
        compacted=sum(map(len, groups)),
        into=len(groups),
        checkpointed=tuple(table for table in releases.TABLES if _due(root, table)),
        removed=tuple(_name(root, path) for path in unneeded),
        freed=sum(map(total_size, unneeded)),
        dry_run=True,
    )


def _name(root: StorePath, path: StorePath) -> str:
    """A file below clean/, or below the folder of this machine's work."""
    return path.relative_to(root if path.is_relative_to(root) else scratch_folder(root)).as_posix()


def _groups(root: StorePath, table: TableName, manifests: Sequence[Manifest]) -> list[list[DataFile]]:
    """The groups of a table's files to compact: of those that log and manifests both know."""
    expected, there = releases.expected(root, table, manifests), compaction.active(root, table)
    return compaction.plan([file for path, file in expected.items() if path in there])


# ---- the log


def log_entries(root: StorePath, table: TableName) -> list[int]:
    """The versions whose log entries are there, ascending."""
    return _versions(root, table, _LOG_ENTRY)


def checkpoints(root: StorePath, table: TableName) -> list[int]:
    """The versions of a table's checkpoints, ascending."""
    return _versions(root, table, _CHECKPOINT)


def _versions(root: StorePath, table: TableName, name: re.Pattern[str]) -> list[int]:
    folder = table_folder(root, table) / "_delta_log"
    names = list_names(folder, "listing the log")
    return sorted(int(match[1]) for file_name in names if (match := name.fullmatch(file_name)))


def _due(root: StorePath, table: TableName) -> bool:
    since = max(checkpoints(root, table), default=-1)
    return sum(entry > since for entry in log_entries(root, table)) >= LOG_ENTRIES


def _checkpoint(root: StorePath, table: TableName) -> None:
    """Write a checkpoint and put it on the disk before a power cut can leave the log naming half of one."""
    folder = table_folder(root, table)
    with data_files.readable(folder):
        tables.open_table(folder).create_checkpoint()
        for number in checkpoints(root, table)[-1:]:
            sync_file(folder / "_delta_log" / f"{number:020d}.checkpoint.parquet")
        sync_file(folder / "_delta_log" / "_last_checkpoint")


# ---- what nobody needs


def _unneeded(
    root: StorePath, before: float, keep: Collection[str], manifests: Sequence[Manifest]
) -> list[StorePath]:
    return sorted({*_taken(root, before, manifests), *_left(root, before, keep, manifests)}, key=str)


def _taken(root: StorePath, before: float, manifests: Sequence[Manifest]) -> Iterator[StorePath]:
    """The data files that compactions took before a time and that no manifest since then names."""
    younger = [manifest for manifest in manifests if _seconds(manifest.time) > before]
    for record in compaction.records(root):
        named = {file.path for manifest in younger for file in manifest.files[record.table]}
        note = compaction.record_path(root, record.number)
        # A clock that was set back must not make a file look older than it is: both times count.
        if max(_seconds(record.time), _changed(note)) > before:
            continue
        stay = named | compaction.active(root, record.table)
        paths = (
            table_folder(root, record.table) / data_file.path
            for data_file in record.removed
            if data_file.path not in stay
        )
        yield from (path for path in paths if path.exists())


def _left(
    root: StorePath, before: float, keep: Collection[str], manifests: Sequence[Manifest]
) -> Iterator[StorePath]:
    """What killed runs left and nobody will take up."""
    for table in releases.TABLES:
        yield from _unnamed(root, table, before, manifests)
    yield from _unnamed_archives(root, before, keep)
    here = scratch_folder(root)
    for folder in ("releases", "compactions", "archive", "chrome/*", "text/*", "index", "captions", ""):
        yield from (path for path in here.glob(f"{folder}/.*.tmp" if folder else ".*.tmp") if path.is_file())
    if here != root:  # what was cut short before it was stored
        yield from (path for path in here.glob("tables/*/*.parquet") if _changed(path) < before)
    yield from (place for place in sorted(here.glob(".work/*")) if _is_abandoned(place, before))


def _unnamed(
    root: StorePath, table: TableName, before: float, manifests: Sequence[Manifest]
) -> Iterator[StorePath]:
    """Data files that neither the log nor a manifest nor a record of a compaction names."""
    folder = table_folder(root, table)
    named = releases.expected(root, table, manifests).keys() | compaction.active(root, table)
    named |= {
        data_file.path for record in compaction.records(root) for data_file in (*record.removed, record.added)
    }
    named |= {file.path for manifest in manifests for file in manifest.files[table]}
    for path in glob_sorted(folder, "*.parquet"):
        if path.name not in named and _changed(path) < before:
            yield path
    # Delta writes a checkpoint under a name of its own before it renames it.
    yield from (path for path in glob_sorted(folder / "_delta_log", "*#*") if _changed(path) < before)


def _unnamed_archives(root: StorePath, before: float, keep: Collection[str]) -> Iterator[StorePath]:
    """Archive files that no row names, of runs that nobody will take up."""
    named = archive_files(root)
    for path in glob_sorted(archive_folder(root), "*.warc.gz"):
        wanted = path.name in named or any(run in path.name for run in keep)
        if not wanted and _changed(path) < before:
            yield path


def archive_files(root: StorePath) -> set[str]:
    """The names of the archive files that rows of either table name."""
    files: set[str] = set()
    for table in releases.TABLES:
        for batch in tables.scan(root, table, ["archive"]):
            names = pc.unique(pc.struct_field(batch.column("archive"), "file"))
            files.update(pc.drop_null(names).to_pylist())
    return files


def _is_abandoned(place: Path, before: float) -> bool:
    """Whether a run's work folder is held by nobody and was left long ago."""
    with store_errors(place, "looking for abandoned work"):
        youngest = max((_changed(path) for path in [place, *place.rglob("*")]), default=0.0)
    if youngest > before or not place.is_dir():
        return False
    try:
        with locked(place):
            return True
    except Busy:
        return False


def _remove(root: StorePath, paths: Iterable[StorePath]) -> int:
    """Remove files and folders; how many bytes they had."""
    freed = 0
    with store_errors(root, "removing what nobody needs"):
        for path in paths:
            freed += total_size(path)
            remove(path)
    return freed


def _changed(path: StorePath) -> float:
    """When a file was changed last, in seconds; a file that is gone changed now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _seconds(moment: str) -> float:
    """An ISO 8601 UTC time in seconds; one that cannot be read is now, so that nothing is removed for it."""
    try:
        return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return time.time()
