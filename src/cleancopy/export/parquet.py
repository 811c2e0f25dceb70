"""Parquet: rows of ``columns.EXPORT`` in shards, sorted by id, compressed with zstd."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cleancopy.export.folder import File, describe, writing
from cleancopy.export.selection import Plan, Shard
from cleancopy.export.writers import FolderWriter, shard_name

#: Bytes of a row group in memory: large enough to compress well, small enough for any reader.
ROW_GROUP_BYTES = 32_000_000
COMPRESSION_LEVEL = 3
#: Columns whose values repeat; a dictionary of the others would only cost.
_REPEATED = [
    *("site", "author", "date", "site_name", "language", "licence", "media_type", "change", "fingerprint"),
    *("release", "seq", "warc_file", "blocks.list.element.kind", "blocks.list.element.level"),
    *(f"cuts.list.element.{name}" for name in ("stage", "rule", "reason")),
    *(f"structure.list.element.{name}" for name in ("kind", "value", "text", "number", "row", "column")),
    *(f"structure.list.element.{name}" for name in ("rows", "columns")),
]
_STATISTICS = ["id", "site", "date", "language", "captured", "words", "release", "key", "url"]


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table of ``EXPORT`` rows, sorted by id, so that it appears whole or not at all."""
    row_bytes = max(1, table.nbytes // max(1, table.num_rows))
    with (
        writing(path) as file,
        pq.ParquetWriter(
            file,
            table.schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=_REPEATED,
            write_statistics=_STATISTICS,
            write_page_index=True,
            sorting_columns=[pq.SortingColumn(0)],
        ) as writer,
    ):
        writer.write_table(table, row_group_size=max(1, ROW_GROUP_BYTES // row_bytes))


def write_shard(prefix: str, into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    """Write a shard as ``data/<prefix>-<number>-of-<shards>.parquet``; that file."""
    path = into / "data" / shard_name(shard, chosen, prefix, ".parquet")
    write_parquet(path, table)
    return [describe(into, path, shard.documents)]


WRITER = FolderWriter(partial(write_shard, "part"), is_table=True)
