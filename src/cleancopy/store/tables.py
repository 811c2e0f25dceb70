"""The two append-only Delta tables, ``documents`` and ``captures``: appending to them, and reading them.

Appending is exactly once: a commit carries the release number as Delta's application transaction, is tried once
on the snapshot that it was checked against (``max_commit_retries=0``), and checked again after a conflict: left
to retry by itself, Delta appends the same rows twice. Nothing is merged or rewritten; the latest version of a
document is the one with the highest ``seq``, and the corpus as of a release is the same among the rows of that
release and before.

Readers see published releases only: rows that a run committed before it was cut short show when the next run
has finished that release.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction

from cleancopy.document import Document
from cleancopy.errors import StoreError
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.data_files import SCHEMAS, DataFile, TableName, as_schema, parquet, parquets, readable
from cleancopy.store.paths import (
    StorePath,
    delta_configuration,
    delta_options,
    file_stamp,
    make_folder,
    manifest_path,
    open_datasets,
    published_releases,
    sync_file,
    table_folder,
)
from cleancopy.store.rows import Version, table_to_versions
from cleancopy.store.schemas import CAPTURES, DOCUMENTS, SCHEMA_VERSION

Positions = npt.NDArray[np.int64]
APPLICATION = "cleancopy"
COMMIT_ATTEMPTS = 20
_CONFIGURATION = {"delta.appendOnly": "true"}

# What identifies a version and its state: all that a release's content root and the latest versions need.
IDENTITY = ["doc_id", "seq", "version_id", "text_sha256", "status", "site", "release"]


class Head(NamedTuple):
    """The latest version of a document."""

    seq: int
    version_id: str
    text_sha256: str
    status: str


# ---- appending


def append(root: StorePath, table: TableName, files: Sequence[DataFile], release: int, run: str) -> int:
    """Commit data files to a table as a release, exactly once; gives the table's Delta version."""
    folder = table_folder(root, table)
    schema = SCHEMAS[table]
    for attempt in range(COMMIT_ATTEMPTS):
        with readable(folder):
            try:
                delta = _create(root, table)
                if committed(delta) >= release:
                    return _version_of(folder, delta, release)
                _grow(folder, delta, schema)
                delta.create_write_transaction(
                    [_add(file) for file in files],
                    "append",
                    schema,
                    commit_properties=CommitProperties(
                        app_transactions=[Transaction(APPLICATION, release)],
                        max_commit_retries=0,
                        custom_metadata={"release": release, "run": run, "schema": SCHEMA_VERSION},
                    ),
                )
            except CommitFailedError:
                time.sleep(0.02 * attempt)
                continue
            version = delta.version() + 1
            sync_file(folder / "_delta_log" / f"{version:020d}.json")
            return version
    raise StoreError(
        f"{folder}: release {release} could not be committed, others kept writing; wait until they have ended, "
        "then run again"
    )


def open_table(folder: StorePath) -> DeltaTable:
    """The Delta table of a folder."""
    return DeltaTable(_uri(folder), storage_options=delta_options(folder))


def _uri(folder: StorePath) -> str:
    """The folder as Delta takes it; deltalake 1.6 decodes it twice, so a percent sign cannot be named."""
    if "%" in str(folder.absolute()):
        raise StoreError(
            f"{folder.absolute()}: Delta tables cannot lie below a percent sign; rename the folder"
        )
    return folder.absolute().as_uri()


def committed(delta: DeltaTable) -> int:
    """The last release that a table has rows of, 0 for none."""
    return delta.transaction_version(APPLICATION) or 0


def _create(root: StorePath, table: TableName) -> DeltaTable:
    folder = table_folder(root, table)
    if (folder / "_delta_log").is_dir():
        return open_table(folder)
    make_folder(folder)
    return DeltaTable.create(
        _uri(folder),
        SCHEMAS[table],
        mode="ignore",
        name=table,
        description=f"cleancopy {table}, schema {SCHEMA_VERSION}",
        configuration=_CONFIGURATION | delta_configuration(folder),
        storage_options=delta_options(folder),
    )


def _grow(folder: StorePath, delta: DeltaTable, schema: pa.Schema) -> None:
    """Add the columns to a table that its schema does not have yet; rows written before have null in them."""
    there = {field.name for field in delta.schema().fields}
    if later := sorted(there - set(schema.names)):
        raise StoreError(
            f"{folder}: the table has columns of a later schema than {SCHEMA_VERSION} ({', '.join(later)}); "
            "update cleancopy, then run again"
        )
    if new := [field for field in Schema.from_arrow(schema).fields if field.name not in there]:
        delta.alter.add_columns(new, commit_properties=CommitProperties(max_commit_retries=0))


def _version_of(folder: StorePath, delta: DeltaTable, release: int) -> int:
    """The Delta version that brought a release, or the present one where its log entry has expired.

    Read from the log itself: ``DeltaTable.history`` is empty below a folder whose name has special characters.
    """
    for entry in (folder / "_delta_log").glob("*.json"):
        for action in map(json.loads, entry.read_text().splitlines()):
            if action.get("txn") and (action["txn"]["appId"], action["txn"]["version"]) == (
                APPLICATION,
                release,
            ):
                return int(entry.stem)
    return delta.version()


def _add(file: DataFile) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size, {}, int(time.time() * 1000), True, stats)


# ---- reading


def data_files(root: StorePath, table: TableName) -> list[StorePath]:
    """The data files of a table, sorted; none for a table that does not exist yet.

    Raises StoreError if the table lacks a release that is published: its newest log entries were lost then,
    which Delta itself cannot notice.
    """
    folder, releases = table_folder(root, table), published_releases(root)
    expected = releases[-1] if releases else 0
    if not expected and not (folder / "_delta_log").is_dir():
        return []
    with readable(folder):
        try:
            delta = open_table(folder)
        except TableNotFoundError:
            raise StoreError(
                f"{folder}: the table of {expected} published releases is missing; restore it from a backup"
            ) from None
        if (last := committed(delta)) < expected:
            raise StoreError(
                f"{folder}/_delta_log: the log ends with release {last}, but {manifest_path(root, expected)} "
                "exists: log entries were deleted or emptied; restore the folder from a backup"
            )
        paths = pa.table(delta.get_add_actions()).column("path").to_pylist()
    return [folder / path for path in sorted(paths)]


def scan(
    root: StorePath, table: TableName, columns: Sequence[str] | None = None, where: ds.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of a table's rows, file by file in the order of their names; ``where`` may use any column."""
    schema = SCHEMAS[table]
    if not (paths := data_files(root, table)):
        return
    with readable(table_folder(root, table)):
        options = {
            "columns": list(columns or schema.names),
            "filter": where,
            "batch_size": _batch_size(columns),
            "batch_readahead": 2,
            "fragment_readahead": 2,
        }
        for rows in open_datasets(paths, schema):
            yield from (batch for batch in rows.to_batches(**options) if batch.num_rows)


def captures(root: StorePath, columns: Sequence[str] | None = None, release: int | None = None) -> pa.Table:
    """The ledger: one row for each input that a run saw and that needed work, of one release or of all."""
    where = ds.field("release") <= _limit(root, None)
    if release is not None:
        where = ds.field("release") == release
    return _collected(scan(root, "captures", columns, where), CAPTURES, columns)


def versions(root: StorePath, columns: Sequence[str]) -> pa.Table:
    """All published versions of all documents, in no order."""
    where = ds.field("release") <= _limit(root, None)
    return _collected(scan(root, "documents", columns, where), DOCUMENTS, columns)


def identities(root: StorePath, as_of: int, columns: Sequence[str] = IDENTITY) -> pa.Table:
    """The identity columns of all versions up to a release; ``columns`` may name some of them."""
    parts = [table.select([*columns]) for table in _identities_of(data_files(root, "documents"))]
    versions = pa.concat_tables(parts)
    return versions.filter(pc.less_equal(versions.column("release"), as_of))


#: So many bytes of identity columns are kept for the next look: data files never change once they are written.
_KEPT_BYTES = 200_000_000
_kept: OrderedDict[tuple[StorePath, object], pa.Table] = OrderedDict()


def _identities_of(paths: Sequence[StorePath]) -> list[pa.Table]:
    """The identity columns of data files, a table each, after an empty one; those read last are remembered.

    A release asks for them twice, to see what is new and to count what is live.
    """
    keys = [(path, file_stamp(path)) for path in paths]
    held = {key: _kept.pop(key) for key in keys if key in _kept}
    unread = [key for key in keys if key not in held]
    empty, *new = _columns_of([path for path, _ in unread], IDENTITY)
    held |= dict(zip(unread, new, strict=True))
    _kept.update(held)
    while _kept and sum(table.nbytes for table in list(_kept.values())) > _KEPT_BYTES:
        _kept.popitem(last=False)
    return [empty, *(held[key] for key in keys)]


def newest(versions: pa.Table) -> pa.Table:
    """Of identity rows, the one with the highest seq of each document."""
    return versions.take(pa.array(_newest_rows(versions)))


def _newest_rows(versions: pa.Table) -> Positions:
    """Where the row with the highest seq of each document is, in the order of the rows."""
    codes = versions.column("doc_id").combine_chunks().dictionary_encode().indices.to_numpy()
    by_seq = np.argsort(versions.column("seq").to_numpy(), kind="stable")
    last: Positions = np.zeros(codes.max(initial=-1) + 1, dtype=np.int64)
    last[codes[by_seq]] = by_seq  # of a document's rows, the last one assigned stays
    return np.sort(last)


def _columns_of(paths: Sequence[StorePath], columns: Sequence[str]) -> list[pa.Table]:
    """Columns of data files, a table each; the first is empty, so that there is one."""
    schema = pa.schema([DOCUMENTS.field(name) for name in columns])
    tables = [schema.empty_table()]
    for path, file in parquets(paths):
        with readable(path):
            tables.append(as_schema(schema, file.read(columns=list(columns))))
    return tables


def touched(root: StorePath, after: int, until: int) -> pa.Table:
    """Of the documents that got a version in a release after one and until another: all versions until then."""
    names = ["doc_id", "seq", "release", "status", "text_sha256", "key", "change"]
    versions = pa.concat_tables(_columns_of(data_files(root, "documents"), names))
    releases, ids = versions.column("release").to_numpy(), versions.column("doc_id")
    new = ids.filter(pa.array((after < releases) & (releases <= until)))
    return versions.filter(pc.and_(pc.is_in(ids, pc.unique(new)), pa.array(releases <= until)))


def heads(
    root: StorePath, as_of: int | None = None, documents: Collection[str] | None = None
) -> dict[str, Head]:
    """The latest version of each document, or of each of these ``documents``, by doc_id."""
    versions = identities(root, _limit(root, as_of), ["doc_id", "release", *Head._fields])
    if documents is not None:
        versions = versions.filter(
            pc.is_in(versions.column("doc_id"), pa.array(sorted(documents), pa.string()))
        )
    last = newest(versions)
    values = zip(*(last.column(name).to_pylist() for name in Head._fields), strict=True)
    return dict(zip(last.column("doc_id").to_pylist(), map(Head._make, values), strict=True))


def last_captured(root: StorePath) -> dict[str, str]:
    """When each document was last captured, by doc_id; the latest capture may only have confirmed it."""
    table = captures(root, columns=["doc_id", "captured", "outcome"])
    last: dict[str, str] = {}
    for document, captured, outcome in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if captured and outcome != "rejected":
            last[document] = max(captured, last.get(document, ""))
    return last


def usage(root: StorePath, as_of: int | None = None) -> dict[str, tuple[bool, str | None]]:
    """What the owner of each document said about its use at its last capture up to a release, by doc_id.

    Pairs of whether that reserves it and the statements as JSON; documents that nobody looked at are left out.
    """
    columns = ["doc_id", "release", "captured", "reserved", "usage"]
    limit = _limit(root, None)
    where = ds.field("reserved").is_valid() & (ds.field("release") <= min(limit, as_of or limit))
    rows: list[tuple[str, int, str, bool, str | None]] = []
    for batch in scan(root, "captures", columns, where):
        documents, numbers, times, reserved, texts = (batch.column(name).to_pylist() for name in columns)
        rows += zip((time or "" for time in times), numbers, documents, reserved, texts, strict=True)
    rows.sort(key=lambda row: row[:3])
    return {document: (reserved, text) for _, _, document, reserved, text in rows}


def moved(root: StorePath) -> dict[str, str]:
    """Where pages have moved for good, as their old addresses last answered: old key to new key."""
    columns = ["moved_from", "key", "release"]
    where = ds.field("moved_from").is_valid() & (ds.field("release") <= _limit(root, None))
    rows: list[tuple[int, str, str]] = []
    for batch in scan(root, "captures", columns, where):
        olds, news, numbers = (batch.column(name).to_pylist() for name in columns)
        rows += zip(numbers, olds, news, strict=True)
    return {old: new for _, old, new in sorted(rows)}


def archived(
    root: StorePath, without: Callable[[ArchiveRef], bool] = lambda ref: False
) -> dict[str, ArchiveRef]:
    """Where each payload, by SHA-256, is in the archive; records that ``without`` is true for are left out."""
    refs: dict[str, ArchiveRef] = {}
    where = ds.field("archive").is_valid() & (ds.field("release") <= _limit(root, None))
    for batch in scan(root, "captures", ["payload_sha256", "archive"], where):
        values = zip(*(child.to_pylist() for child in batch.column("archive").flatten()), strict=True)
        rows = zip(batch.column("payload_sha256").to_pylist(), map(ArchiveRef._make, values), strict=True)
        refs.update((payload, ref) for payload, ref in rows if not without(ref))
    return refs


def latest_batches(
    root: StorePath,
    columns: Sequence[str] | None = None,
    site: str | None = None,
    as_of: int | None = None,
    status: str | None = None,
    documents: Collection[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The latest version of each document as batches, one in memory at a time.

    ``site``, ``status`` and ``documents`` (ids) choose among the latest versions, ``as_of`` a release.
    """
    paths = data_files(root, "documents")
    wanted = {"site": site, "status": status}
    names = [name for name, value in wanted.items() if value is not None]
    tables = _columns_of(paths, ["doc_id", "seq", "release", *names])
    versions = pa.concat_tables(tables)
    rows = np.flatnonzero(versions.column("release").to_numpy() <= _limit(root, as_of))
    last = rows[_newest_rows(versions.take(pa.array(rows)))]
    keep = pa.array(np.isin(np.arange(versions.num_rows), last, assume_unique=True))
    for name in names:
        keep = pc.and_(keep, pc.fill_null(pc.equal(versions.column(name), wanted[name]), False))
    if documents is not None:
        keep = pc.and_(keep, pc.is_in(versions.column("doc_id"), pa.array(sorted(documents), pa.string())))
    position = 0
    for path, table in zip(paths, tables[1:], strict=True):
        yield from _chosen(path, keep.slice(position, table.num_rows), list(columns or DOCUMENTS.names))
        position += table.num_rows


def _chosen(path: StorePath, keep: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a data file that ``keep``, a Boolean array, is true for; other row groups are not read."""
    schema = pa.schema([DOCUMENTS.field(name) for name in columns])
    if not pc.any(keep).as_py():
        return
    with parquet(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            here = keep.slice(start, file.metadata.row_group(group).num_rows)
            start += len(here)
            if not pc.any(here).as_py():
                continue
            rows = as_schema(schema, file.read_row_group(group, columns=columns))
            rows = rows if pc.all(here).as_py() else rows.filter(here)
            yield from rows.to_batches(max_chunksize=_batch_size(columns))


def _batch_size(columns: Sequence[str] | None) -> int:
    """Rows of a batch: whole documents are large, a handful of short columns is not."""
    return 256 if columns is None or not {"blocks", "structure"}.isdisjoint(columns) else 4096


def latest(
    root: StorePath,
    columns: Sequence[str] | None = None,
    site: str | None = None,
    as_of: int | None = None,
    status: str | None = None,
) -> pa.Table:
    """The latest version of each document as one table; see ``latest_batches``."""
    return _collected(latest_batches(root, columns, site, as_of, status), DOCUMENTS, columns)


def history(root: StorePath, doc_id: str) -> list[Version]:
    """All published versions of a document, oldest first."""
    return [_version_at(place) for place in _places(root, doc_id, _limit(root, None))]


def version(root: StorePath, doc_id: str, as_of: int | None = None) -> Version | None:
    """The latest version of a document, as of a release or now."""
    places = _places(root, doc_id, _limit(root, as_of))
    return _version_at(places[-1]) if places else None


def document(root: StorePath, doc_id: str, as_of: int | None = None) -> Document | None:
    """A document as it stands, or stood in a release."""
    latest = version(root, doc_id, as_of)
    return latest.document if latest else None


class _Place(NamedTuple):
    """Where a version is: the row of a row group of a data file."""

    seq: int
    path: StorePath
    group: int
    row: int


def _places(root: StorePath, doc_id: str, limit: int) -> list[_Place]:
    """Where a document's versions up to a release are, by seq; row groups that cannot have it are skipped."""
    places: list[_Place] = []
    for path, file in parquets(data_files(root, "documents")):
        with readable(path):
            places += _places_in(file, path, doc_id, limit)
    return sorted(places)


def _places_in(file: pq.ParquetFile, path: StorePath, doc_id: str, limit: int) -> Iterator[_Place]:
    groups = _groups_with(file, doc_id)
    if not groups:
        return
    ids = file.read_row_groups(groups, columns=["doc_id"], use_threads=False).column("doc_id")
    sizes = [file.metadata.row_group(group).num_rows for group in groups]
    edges = np.cumsum([0, *sizes])
    for row in np.flatnonzero(pc.equal(ids, doc_id).to_numpy()).tolist():
        at = int(np.searchsorted(edges, row, side="right")) - 1
        yield from _place(file, path, groups[at], row - int(edges[at]), limit)


def _place(file: pq.ParquetFile, path: StorePath, group: int, row: int, limit: int) -> list[_Place]:
    """The place of a version, or nothing where a later release than ``limit`` brought it."""
    about = file.read_row_group(group, columns=["seq", "release"], use_threads=False).slice(row, 1).to_pylist()
    return [_Place(facts["seq"], path, group, row) for facts in about if facts["release"] <= limit]


def _groups_with(file: pq.ParquetFile, doc_id: str) -> list[int]:
    """The row groups whose statistics do not rule a document out."""
    column = next(at for at in range(len(file.schema)) if file.schema.column(at).path == "doc_id")
    chosen = []
    for group in range(file.num_row_groups):
        statistics = file.metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= doc_id <= statistics.max:
            chosen.append(group)
    return chosen


def _version_at(place: _Place) -> Version:
    with parquet(place.path) as file:
        group = file.read_row_group(place.group, use_threads=False)
    (version,) = table_to_versions(group.slice(place.row, 1))
    return version


def _limit(root: StorePath, as_of: int | None) -> int:
    """The last release that a reader sees."""
    releases = published_releases(root)
    last = releases[-1] if releases else 0
    if as_of is not None and as_of > last:
        raise StoreError(f"{root}: there is no release {as_of}; the last one is {last}")
    return last if as_of is None else as_of


def _collected(batches: Iterable[pa.RecordBatch], schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    return pa.Table.from_batches([batch.cast(chosen) for batch in batches], chosen)
