"""Compaction: many small data files of a table become fewer sorted ones, and not a row changes.

A release adds a data file to each table, and every file costs a scan about 3 ms. ``compact`` reads some of them
as readers see them, sorts the rows by document (the ledger's by release and input), writes them to a new file,
reads that back and compares every row, and only then swaps the files in the table's Delta log, in one commit
with ``dataChange: false``. Old files stay on the disk, so a reader who has listed them goes on undisturbed,
until ``maintenance`` removes them, seven days later at the earliest.

A manifest names the files that its release added, and never changes. The record of a compaction carries it on:

    clean/compactions/000003.json    the files that went (with size, rows, SHA-256) and the file that came

So the files that a table must have are those of all manifests, less those that records took, with those that
they brought (``releases.expected``), and a manifest can be verified for good: its files are there as they were
written, or a record of them with the same digests leads to the file that has their rows. Content roots are over
version ids and do not know of files.

The steps, and what the next maintenance does after a kill at any of them:

    1. the new file is written and put on the disk      named nowhere: removed
    2. ``000003.pending`` names it and the old ones     not in the log: note and file are removed
    3. the swap is committed to the Delta log           in the log: the record is completed
    4. ``.pending`` is renamed to ``.json``             done
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from cleancopy.errors import ConflictError, StoreError
from cleancopy.store import data_files, tables
from cleancopy.store.data_files import DataFile, TableName
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    confirm_lock,
    create_exclusive,
    is_shared,
    list_names,
    published_releases,
    rename,
    rollback_on_error,
    store_errors,
    sync_file,
    table_folder,
)

#: A file of this many bytes is left alone; as many are compacted into one, which bounds the memory (a file of
#: documents takes up to six times its size while it is rewritten).
TARGET = 64_000_000
#: So many files make a compaction worth it.
AT_LEAST = 4
#: Files are compacted with others only while they have at most this many times the others' bytes together, so
#: that a row is written again as often as the logarithm of the table's size, not at every maintenance.
RATIO = 4
#: Rows of a row group, the least that is read for one document.
GROUP = {"documents": 1_000, "captures": 20_000}
_ORDER = {
    "documents": [("doc_id", "ascending"), ("seq", "ascending")],
    "captures": [
        ("release", "ascending"),
        ("input", "ascending"),
        ("member", "ascending"),
        ("key", "ascending"),
    ],
}
_RECORD = re.compile(r"(\d{6,})\.(json|pending)")


@dataclass(frozen=True, slots=True)
class Compaction:
    """The record of one compaction: ``removed`` files of a table went, and ``added`` came in their place.

    ``release`` is the last one that was published then, ``version`` the table's Delta version before it.
    ``erased`` counts the rows of which only a tombstone is left (erasure.py): the removed files are gone then.
    """

    number: int
    table: TableName
    time: str
    release: int
    version: int
    removed: tuple[DataFile, ...]
    added: DataFile
    erased: int = 0


def folder(root: StorePath) -> StorePath:
    """The folder of the records."""
    return root / "compactions"


def record_path(root: StorePath, number: int) -> StorePath:
    """The record of a compaction that is done."""
    return folder(root) / f"{number:06d}.json"


def pending_path(root: StorePath, number: int) -> StorePath:
    """The note of a compaction under way."""
    return folder(root) / f"{number:06d}.pending"


def records(root: StorePath) -> list[Compaction]:
    """The records of all compactions that were done, in order."""
    return [read_record(path) for path in _paths(root, "json")]


def read_record(path: StorePath) -> Compaction:
    """A record from its file; raises StoreError where it is damaged."""
    with store_errors(path, "reading the record of a compaction"):
        text = path.read_bytes()
    try:
        values = json.loads(text)
        values["removed"] = tuple(DataFile(**file) for file in values["removed"])
        values["added"] = DataFile(**values["added"])
        values.setdefault("erased", 0)  # of before anything could be erased
        return Compaction(**{field.name: values[field.name] for field in fields(Compaction)})
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: is not the record of a compaction ({error}); restore it from a backup"
        ) from error


# ---- compacting


def plan(files: Sequence[DataFile], at_least: int = AT_LEAST, target: int = TARGET) -> list[list[DataFile]]:
    """Which files are to become one: small ones with files of their like, up to ``target`` bytes together."""
    groups: list[list[DataFile]] = [[]]
    for file in sorted(
        (small for small in files if small.size < target), key=lambda small: (small.size, small.path)
    ):
        total = sum(small.size for small in groups[-1])
        if groups[-1] and (file.size > RATIO * total or total + file.size > target):
            groups.append([])
        groups[-1].append(file)
    return [group for group in groups if len(group) >= max(2, at_least)]


def compact(root: StorePath, table: TableName, group: Sequence[DataFile]) -> Compaction:
    """Make one file of a group of a table's files; only for who holds the writing lock.

    Raises StoreError, with the table as it was, where a file is not what its record says, so that damage is
    never carried into a new file, or where the new file would not have the same rows.
    """
    for file in group:
        check_digest(root, table, file)
    return put_in_place(root, table, group, _write(root, table, _rows(root, table, group)))


def put_in_place(
    root: StorePath, table: TableName, taken: Sequence[DataFile], added: DataFile, erased: int = 0
) -> Compaction:
    """Put a file that is written in the place of others, in the table's log and in a record.

    ``erased`` of its rows are tombstones of what the others had. The added file goes where this fails.
    """
    with rollback_on_error(partial((table_folder(root, table) / added.path).unlink, missing_ok=True)):
        record = Compaction(
            number=_next_number(root),
            table=table,
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            release=published_releases(root)[-1],
            version=_version(root, table),
            removed=tuple(taken),
            added=added,
            erased=erased,
        )
        _note(root, record)
    if not _swap(root, record):
        _forget(root, record)
        raise StoreError(
            f"{table_folder(root, table)}: another writer was faster than the compaction; nothing was changed, "
            "run cleancopy maintain again"
        )
    _complete(root, record)
    return record


def _note(root: StorePath, record: Compaction) -> None:
    """Leave the note of a compaction that begins."""
    path = pending_path(root, record.number)
    if not is_shared(path):
        atomic_write(path, _to_json(record))
    elif not create_exclusive(path, _to_json(record)):
        raise ConflictError(f"{path}: another maintenance is under way; let it end")


def check_digest(root: StorePath, table: TableName, file: DataFile) -> None:
    """Raise StoreError unless a data file has the digest that it was written with."""
    path = table_folder(root, table) / file.path
    if data_files.describe(path) != file:
        raise StoreError(f"{path}: is not the file that was written; restore it from a backup of clean/tables")


def _rows(root: StorePath, table: TableName, group: Sequence[DataFile]) -> pa.Table:
    """The rows of data files as readers see them."""
    schema = data_files.SCHEMAS[table]
    parts = []
    for file in group:
        with data_files.parquet(table_folder(root, table) / file.path) as opened:
            parts.append(_adapted(opened.read(), schema))
    return pa.concat_tables(parts).combine_chunks()


def _adapted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of an older schema with the columns of this one; null where they have none."""
    there = set(rows.column_names)
    columns = [
        rows.column(field.name) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def _write(root: StorePath, table: TableName, rows: pa.Table) -> DataFile:
    """The rows in one new file on the disk, sorted, read back and compared."""
    order = pc.sort_indices(rows, sort_keys=_ORDER[table])
    (added,) = data_files.write_file(root, table, None, _groups(rows, order, GROUP[table]))
    path = table_folder(root, table) / added.path
    with rollback_on_error(partial(path.unlink, missing_ok=True)), data_files.parquet(path) as file:
        for number, group in enumerate(_groups(rows, order, GROUP[table])):
            written = file.read_row_group(number).cast(rows.schema)
            if not written.equals(pa.Table.from_batches([group])):
                raise StoreError(
                    f"{path}: has other rows than the files that it was made of; nothing was changed, "
                    "please report it"
                )
    return added


def _groups(rows: pa.Table, order: pa.Array, size: int) -> Iterator[pa.RecordBatch]:
    """The rows in this order, a batch for each row group."""
    for start in range(0, rows.num_rows, size):
        yield rows.take(order[start : start + size]).combine_chunks().to_batches()[0]


def _swap(root: StorePath, record: Compaction) -> bool:
    """Commit a compaction to the table's Delta log, on the very version that it was planned on.

    False where another commit came first.
    """
    place, now = table_folder(root, record.table), int(time.time() * 1000)
    add = record.added
    confirm_lock(root)
    with data_files.readable(place):
        delta = tables.open_table(place)
        if delta.version() != record.version:
            return False
        try:
            delta.create_write_transaction(
                [
                    *(RemoveAction(file.path, False, now, file.size, {}) for file in record.removed),
                    AddAction(add.path, add.size, {}, now, False, json.dumps({"numRecords": add.rows})),
                ],
                "append",
                data_files.SCHEMAS[record.table],
                commit_properties=CommitProperties(
                    max_commit_retries=0,
                    custom_metadata={"compaction": record.number, "release": record.release},
                ),
            )
        except CommitFailedError:
            # Of a commit whose answer was lost on its way, the client's second try fails.
            return add.path in active(root, record.table)
    sync_file(place / "_delta_log" / f"{record.version + 1:020d}.json")
    return True


def _version(root: StorePath, table: TableName) -> int:
    place = table_folder(root, table)
    with data_files.readable(place):
        return tables.open_table(place).version()


def _to_json(record: Compaction) -> bytes:
    return (json.dumps(asdict(record), indent=2, sort_keys=True) + "\n").encode()


def _paths(root: StorePath, kind: str) -> list[StorePath]:
    names = list_names(folder(root), "listing the compactions")
    return sorted(
        folder(root) / name for name in names if (match := _RECORD.fullmatch(name)) and match[2] == kind
    )


def _next_number(root: StorePath) -> int:
    numbers = [int(path.stem) for kind in ("json", "pending") for path in _paths(root, kind)]
    return max(numbers, default=0) + 1


# ---- recovering


def recover(root: StorePath) -> list[int]:
    """Complete the compactions that a kill cut short and the log has, forget the others; the completed ones.

    A record whose swap is gone from the log, because its entry was deleted, is forgotten as well where the
    files that it took stand as before, else it is committed again. Only for who holds the writing lock.
    """
    completed = []
    for path in _paths(root, "pending"):
        try:
            record = read_record(path)
        except StoreError:
            if is_shared(path):
                raise  # notes in an object store are whole
            path.unlink(missing_ok=True)  # cut off while it was written: nothing was committed
            continue
        if record.added.path in active(root, record.table):
            _complete(root, record)
            completed.append(record.number)
        else:
            _forget(root, record)
    for record in reversed(records(root)):
        if is_lost(root, record, records(root)):
            _mend(root, record)
    return completed


def is_lost(root: StorePath, record: Compaction, done: Sequence[Compaction]) -> bool:
    """Whether the log has the files that a compaction took, all of them, and not the one that it brought."""
    there = active(root, record.table)
    later = any(record.added in file.removed for file in done)
    return not later and record.added.path not in there and {file.path for file in record.removed} <= there


def _mend(root: StorePath, record: Compaction) -> None:
    """Forget a compaction whose log entry is lost, or commit it again where the files it took are gone."""
    if not record.erased and all(_is_whole(root, record.table, file) for file in record.removed):
        _forget(root, record)
        return
    check_digest(root, record.table, record.added)
    again = replace(record, version=_version(root, record.table))
    if _swap(root, again):
        atomic_write(record_path(root, record.number), _to_json(again))


def _is_whole(root: StorePath, table: TableName, file: DataFile) -> bool:
    """Whether a data file is there as it was written: the only good copy of its rows may be another one."""
    try:
        check_digest(root, table, file)
    except StoreError:
        return False
    return True


def active(root: StorePath, table: TableName) -> set[str]:
    """The paths of the data files that a table's log names."""
    return {path.name for path in tables.data_files(root, table)}


def _complete(root: StorePath, record: Compaction) -> None:
    note, path = pending_path(root, record.number), record_path(root, record.number)
    with store_errors(note, "completing the record of a compaction"):
        rename(note, path.name)


def _forget(root: StorePath, record: Compaction) -> None:
    """Remove a compaction that the log does not have: its note or record first, then its file.

    In an object store the file stays until it is a week old: a run that lost its lease may be about to name it.
    """
    with store_errors(folder(root), "forgetting a compaction"):
        for path in (pending_path(root, record.number), record_path(root, record.number)):
            path.unlink(missing_ok=True)
        if not is_shared(root):
            (table_folder(root, record.table) / record.added.path).unlink(missing_ok=True)
