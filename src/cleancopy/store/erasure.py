"""Erasing what was stored: the rows of documents become tombstones, and the files that had them go at once.

A tombstone keeps what makes history checkable and says nothing: ids, numbers, digests, times, status. So the
version ids, content roots and counts of every release stay as they were, and ``verify`` can hold them together.
A data file with such rows is written again with tombstones in their place, put into the table's log as a
compaction is (``compaction.put_in_place``), and the file of before is removed: the one exception to the seven
days for which files stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleancopy.document import erased_key, is_erased
from cleancopy.store import compaction, data_files, releases
from cleancopy.store.data_files import DataFile, TableName
from cleancopy.store.decisions import Decisions, address_digest
from cleancopy.store.paths import StorePath, glob_sorted, remove, rollback_on_error, store_errors, table_folder
from cleancopy.store.rows import erased_input

#: What a tombstone keeps, by table; every other column is emptied.
KEPT = {
    "documents": frozenset(
        [
            "doc_id", "seq", "version_id", "parent", "release", "status", "change", "duplicate_of",
            "media_type", "text_sha256", "page_sha256", "payload_sha256", "archive", "captured", "fingerprint",
            "parts", "restored_from",
        ]
    ),
    "captures": frozenset(
        [
            "doc_id", "payload_sha256", "source", "captured", "outcome", "kind", "version_id", "archive",
            "fingerprint", "run", "release",
        ]
    ),
}  # fmt: skip
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scope:
    """What is to be erased: documents in all versions, single versions, and what came by addresses or payloads.

    ``payloads`` are SHA-256, each with the documents that may have it; ``addresses`` are digests of addresses,
    keys and inputs (``decisions.address_digest``), ``records`` names of records of the archive.
    """

    documents: frozenset[str] = frozenset()
    versions: frozenset[str] = frozenset()
    payloads: dict[str, frozenset[str]] | None = None
    addresses: frozenset[str] = frozenset()
    records: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.documents or self.versions or self.payloads or self.addresses or self.records)

    def has_address(self, *addresses: str | None) -> bool:
        """Whether one of these addresses, keys or inputs is of what is to be erased."""
        return any(address_digest(address) in self.addresses for address in addresses if address)

    def has_payload(self, payload: str | None, document: str = "") -> bool:
        """Whether a payload is to be erased where a document has it."""
        copies = (self.payloads or {}).get(payload or "")
        return copies is not None and document not in copies


def scope_of(decisions: Decisions) -> Scope:
    """What the takedowns that hold are to have erased."""
    erasing = [decision for decision in decisions.made if decision.erases]
    captures = {
        decision.target.partition(":")[2]: frozenset[str]()
        for decision in erasing
        if decision.target.startswith("capture:")
    }
    return Scope(
        documents=frozenset(document for decision in erasing for document in decision.documents),
        versions=frozenset(version for decision in erasing for version in decision.versions),
        payloads={payload: frozenset(decision.copies) for decision in erasing for payload in decision.payloads}
        | captures,
        addresses=frozenset(address for decision in erasing for address in decision.addresses),
        records=frozenset(record for decision in erasing for record in decision.purged),
    )


# ---- which rows


def rows_to_erase(table: TableName, batch: pa.RecordBatch, scope: Scope) -> Mask:
    """Which rows of a batch are to be tombstones and are none yet; of ``documents`` it needs few columns."""
    names = ["doc_id", "version_id", "key"] + (
        ["input", "url", "payload_sha256", "outcome"] if table == "captures" else []
    )
    rows = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    return np.fromiter((_is_meant(scope, *row) for row in rows), np.bool_, batch.num_rows)


def _is_meant(
    scope: Scope,
    document: str,
    version: str | None,
    key: str,
    name: str = "",
    url: str | None = None,
    payload: str | None = None,
    outcome: str = "",
) -> bool:
    if is_erased(key) or is_erased(name):
        return False
    if document in scope.documents or version in scope.versions:
        return True
    return bool(outcome) and (scope.has_address(name, url, key) or scope.has_payload(payload, document))


_COLUMNS = {
    "documents": ["doc_id", "version_id", "key"],
    "captures": ["doc_id", "version_id", "key", "input", "url", "payload_sha256", "outcome"],
}


def files_to_erase(root: StorePath, table: TableName, scope: Scope) -> Iterator[StorePath]:
    """The data files, named by the log or not, that have rows which are to be tombstones."""
    for path in glob_sorted(table_folder(root, table), "*.parquet"):
        with data_files.parquet(path) as file:
            batches = file.iter_batches(columns=_COLUMNS[table])
            if any(rows_to_erase(table, batch, scope).any() for batch in batches):
                yield path


# ---- tombstones


def tombstones(table: TableName, batch: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """The batch with tombstones in place of the rows of a mask."""
    schema = data_files.SCHEMAS[table]
    columns = []
    for field in schema:
        column = batch.column(field.name)
        if field.name == "key":
            column = _renamed(column, batch.column("doc_id"), mask, lambda _, document: erased_key(document))
        elif field.name == "input":
            column = _renamed(column, column, mask, lambda name, _: erased_input(name))
        elif field.name not in KEPT[table]:
            column = _emptied(column, field, mask)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _renamed(names: pa.Array, others: pa.Array, mask: Mask, name: Callable[[str, str], str]) -> pa.Array:
    pairs = zip(names.to_pylist(), others.to_pylist(), mask.tolist(), strict=True)
    return pa.array([name(old, other) if old and erase else old for old, other, erase in pairs], names.type)


def _emptied(column: pa.Array, field: pa.Field, mask: Mask) -> pa.Array:
    """A column with what says nothing in the rows of a mask."""
    nothing = pa.array([_nothing(field)], field.type)
    positions = np.where(mask, len(column), np.arange(len(column)))
    return pa.concat_arrays([column, nothing]).take(pa.array(positions))


def _nothing(field: pa.Field) -> Any:
    if field.nullable:
        return None
    if field.name == "match":
        return "{}"
    if pa.types.is_list(field.type):
        return []
    if pa.types.is_binary(field.type):
        return b""
    return 0 if pa.types.is_integer(field.type) else ""


# ---- files


def erase_rows(root: StorePath, scope: Scope) -> int:
    """Make tombstones of all rows that are to be erased, and remove the files that had them; how many rows.

    Only for who holds the writing lock. Killed in between, it goes on where it was when it is called again.
    """
    count = 0
    compaction.recover(root)
    for table in reversed(releases.TABLES):  # documents last: they tell what there was to erase
        expected = releases.expected(root, table)
        there = compaction.active(root, table)
        for path in files_to_erase(root, table, scope):
            if path.name in there and path.name in expected:
                count += _rewrite(root, table, expected[path.name], scope)
            with store_errors(path, "removing a data file with what was erased"):
                remove(path)
    return count


def _rewrite(root: StorePath, table: TableName, file: DataFile, scope: Scope) -> int:
    """Write a data file again, with tombstones, and put it in the place of the one there was; how many."""
    compaction.check_digest(root, table, file)
    counts: list[int] = []
    (added,) = data_files.write_file(root, table, None, _rewritten(root, table, file, scope, counts))
    path = table_folder(root, table) / added.path
    with rollback_on_error(partial(path.unlink, missing_ok=True)):
        compaction.put_in_place(root, table, [file], added, erased=sum(counts))
    return sum(counts)


def _rewritten(
    root: StorePath, table: TableName, file: DataFile, scope: Scope, counts: list[int]
) -> Iterator[pa.RecordBatch]:
    schema = data_files.SCHEMAS[table]
    with data_files.parquet(table_folder(root, table) / file.path) as opened:
        for number in range(opened.num_row_groups):
            group = data_files.as_schema(schema, opened.read_row_group(number)).combine_chunks()
            for batch in group.to_batches():
                mask = rows_to_erase(table, batch, scope)
                counts.append(int(mask.sum()))
                yield tombstones(table, batch, mask) if mask.any() else batch


def unerased_rows(root: StorePath, scope: Scope) -> Iterator[tuple[StorePath, int]]:
    """The data files that still have rows which are to be tombstones, and how many."""
    for table in releases.TABLES:
        for path in files_to_erase(root, table, scope):
            with data_files.parquet(path) as file:
                batches = file.iter_batches(columns=_COLUMNS[table])
                yield path, sum(int(rows_to_erase(table, batch, scope).sum()) for batch in batches)


def surviving(root: StorePath, table: TableName, scope: Scope) -> Iterator[pa.RecordBatch]:
    """The rows of a table that are not to be erased, without tombstones."""
    schema = data_files.SCHEMAS[table]
    for name in sorted(compaction.active(root, table)):
        with data_files.parquet(table_folder(root, table) / name) as file:
            for batch in file.iter_batches(batch_size=256):
                whole = data_files.as_schema(schema, pa.Table.from_batches([batch]))
                for part in whole.combine_chunks().to_batches():
                    stay = ~(rows_to_erase(table, part, scope) | _are_tombstones(table, part))
                    if stay.any():
                        yield part.filter(pa.array(stay))


def erased(root: StorePath, table: TableName, scope: Scope) -> Iterator[pa.RecordBatch]:
    """The rows of a table's files, named by the log or not, that are to be erased."""
    schema = data_files.SCHEMAS[table]
    for path in files_to_erase(root, table, scope):
        with data_files.parquet(path) as file:
            for batch in file.iter_batches(batch_size=256):
                whole = data_files.as_schema(schema, pa.Table.from_batches([batch]))
                for part in whole.combine_chunks().to_batches():
                    mask = rows_to_erase(table, part, scope)
                    if mask.any():
                        yield part.filter(pa.array(mask))


def _are_tombstones(table: TableName, batch: pa.RecordBatch) -> Mask:
    column = batch.column("input" if table == "captures" else "key")
    return np.fromiter(map(is_erased, column.to_pylist()), np.bool_, batch.num_rows)
