"""The Parquet files of the two tables: writing one, and reading it; which ones there are, ``tables.py`` knows.

Data files are written here rather than by Delta's writer, so that they are on the disk before the log names
them, and encoded for texts and digests. Sizes at level 3: see benchmarks/store.py.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BufferedRandom
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from cleancopy.errors import StoreError
from cleancopy.store.paths import (
    StorePath,
    explain,
    file_digest,
    move_into_place,
    open_parquets,
    rollback_on_error,
    staging_path,
    store_errors,
    table_folder,
)
from cleancopy.store.schemas import CAPTURES, DOCUMENTS, SCHEMA_VERSION

TableName = Literal["documents", "captures"]
SCHEMAS: dict[str, pa.Schema] = {"documents": DOCUMENTS, "captures": CAPTURES}

# Columns whose values hardly repeat: a dictionary would only cost, and lengths apart from bytes compress better
# (4.2 kB documents: 0.54 of their UTF-8 text against 0.58 with the defaults, at the same CPU).
_BYTES = [
    *("doc_id", "version_id", "parent", "text_sha256", "page_sha256", "payload_sha256", "archive.record_id"),
    *("text", "cuts.list.element.text", "repairs.list.element.original"),
    *("key", "url", "canonical_url", "title", "description", "signature", "input"),
]
_NUMBERS = [
    f"{column}.list.element.{edge}"
    for column in ("cuts", "blocks", "repairs", "structure")
    for edge in ("start", "end")
]
_ENCODINGS = {
    **dict.fromkeys(_BYTES, "DELTA_LENGTH_BYTE_ARRAY"),
    **dict.fromkeys([*_NUMBERS, "archive.offset", "archive.length"], "DELTA_BINARY_PACKED"),
    "blocks.list.element.path": "DELTA_BYTE_ARRAY",
    # The links of a page begin alike.
    "structure.list.element.value": "DELTA_BYTE_ARRAY",
}
COMPRESSION_LEVEL = 3
# Columns of many short texts that are much alike: 4 % of the table for .2 ms a page. All columns so would be
# another 3 % for another .4 ms.
DENSE_LEVEL = 6
_DENSE = (
    "structure.",
    "blocks.list.element.path",
    "blocks.list.element.why",
    "cuts.list.element.reason",
    "cuts.list.element.evidence",
)
# A file of few rows costs mostly what a commit costs anyhow: 100 documents are 4 % smaller for 13 ms more.
SMALL, SMALL_LEVEL = 2_000_000, 9


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table: path within the table's folder, size in bytes, rows, digest."""

    path: str
    size: int
    rows: int
    sha256: str


def write_file(
    root: StorePath, table: TableName, release: int | None, batches: Iterable[pa.RecordBatch]
) -> list[DataFile]:
    """Write batches to one Parquet file, a row group each, and put it on the disk; no reader sees it yet.

    ``release`` is None for the rows of several releases. Gives no file where there are no rows. Whatever the
    batches themselves raise passes through.
    """
    name = "compacted" if release is None else f"{release:06d}"
    path = table_folder(root, table) / f"{name}-{uuid4().hex}.parquet"
    # In an object store a file appears whole, so it is made here first.
    here = staging_path(root, path)
    with store_errors(here, "writing a data file"):
        here.parent.mkdir(parents=True, exist_ok=True)
        file = open(here, "w+b")  # noqa: SIM115
    with rollback_on_error(partial(here.unlink, missing_ok=True)):
        with file:
            rows = _write(file, here, table, release, batches)
            with store_errors(here, "completing a data file"):
                sha256 = _digest(file)
        size = here.stat().st_size
        if rows:
            with store_errors(path, "storing a data file"):
                move_into_place(here, path)
    if not rows:
        here.unlink()
        return []
    return [DataFile(path.name, size, rows, sha256)]


def _write(
    file: BufferedRandom, path: Path, table: TableName, release: int | None, batches: Iterable[pa.RecordBatch]
) -> int:
    schema, rows, stream = SCHEMAS[table], 0, iter(batches)
    first = next(stream, None)
    level = COMPRESSION_LEVEL if first is not None and first.nbytes > SMALL else SMALL_LEVEL
    writer = pq.ParquetWriter(file, schema, **_writer_options(schema, level))
    with rollback_on_error(partial(_abandon, writer)):
        for batch in chain([] if first is None else [first], stream):
            _check(batch, schema, release, table)
            with store_errors(path, "writing a data file"):
                writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
            rows += batch.num_rows
    with store_errors(path, "completing a data file"):
        writer.close()
    return rows


def _abandon(writer: pq.ParquetWriter) -> None:
    """Close a writer that failed; what is wrong was said already, and a full disk would say it again."""
    with suppress(OSError, pa.ArrowException):
        writer.close()


def _digest(file: BufferedRandom) -> str:
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check(batch: pa.RecordBatch, schema: pa.Schema, release: int | None, table: str) -> None:
    if batch.schema != schema:
        raise StoreError(
            f"{table}: a batch has other columns than schema {SCHEMA_VERSION}; build it with store.rows"
        )
    if release is None or not batch.num_rows:
        return
    if pc.any(pc.not_equal(batch.column("release"), release)).as_py():
        raise StoreError(f"{table}: a row has another release number than {release}; plan the run again")


def _writer_options(schema: pa.Schema, level: int) -> dict[str, Any]:
    leaves = list(_leaves(schema))
    encodings = {name: _ENCODINGS[name] for name in leaves if name in _ENCODINGS}
    return {
        "compression": "zstd",
        "compression_level": {
            name: max(level, DENSE_LEVEL) if name.startswith(_DENSE) else level for name in leaves
        },
        "use_dictionary": [name for name in leaves if name not in encodings],
        "column_encoding": encodings,
        "write_statistics": ["doc_id", "seq", "release", "status", "site", "key"],
        # Arrow's own copy of the schema is 13 kB in every file; Parquet's and the Delta log say the same.
        "store_schema": False,
    }


def _leaves(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    """The Parquet paths of the leaf columns."""
    for field in fields:
        path, kind = prefix + field.name, field.type
        while pa.types.is_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        if pa.types.is_struct(kind):
            yield from _leaves(kind, f"{path}.")
        else:
            yield path


# ---- reading


_DAMAGE = ("deserialize", "orrupt", "Unexpected end of stream")


@contextmanager
def readable(path: StorePath) -> Iterator[None]:
    """Raise StoreError, with the cause and a remedy, for what Delta, Parquet or the system refuse here."""
    try:
        with store_errors(path, "reading or committing"):
            try:
                yield
            except OSError as error:
                # So Parquet's reader says that a header or page of the file makes no sense; the disk is fine.
                if error.errno is None and any(map(str(error).__contains__, _DAMAGE)):
                    raise pa.ArrowInvalid(str(error)) from error
                raise
    except (DeltaError, pa.ArrowException) as error:
        if explained := explain(path, error):
            raise explained from error
        cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StoreError(
            f"{path}: the table is damaged ({cause}); restore this folder from a backup, the raw captures in "
            "clean/archive are not touched"
        ) from error


@contextmanager
def parquet(path: StorePath) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read; of one in an object store only what is asked for is fetched."""
    with readable(path):
        yield from open_parquets([path])


def parquets(paths: Sequence[StorePath]) -> Iterator[tuple[StorePath, pq.ParquetFile]]:
    """Parquet files to read, each until the next is asked for; what reads them says ``readable``."""
    files = open_parquets(paths)
    for path in paths:
        with readable(path):
            yield path, next(files)


def as_schema(schema: pa.Schema, table: pa.Table) -> pa.Table:
    """A table with the columns of a schema; null where an older one has none."""
    there = set(table.schema.names)
    missing = pa.nulls(table.num_rows)
    return pa.table(
        [table.column(name) if name in there else missing for name in schema.names], names=schema.names
    ).cast(schema)


def describe(path: StorePath) -> DataFile:
    """A data file as a manifest names it, read from the file."""
    with parquet(path) as file:
        return DataFile(path.name, path.stat().st_size, file.metadata.num_rows, file_digest(path))
