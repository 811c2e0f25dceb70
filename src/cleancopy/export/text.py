"""Text: a tree of ``.txt`` files with the clean text alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from cleancopy.export.folder import SUMS, File
from cleancopy.export.selection import Plan, Shard
from cleancopy.export.tree import sums, write_files
from cleancopy.export.writers import FolderWriter


def write_shard(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    """Write the documents of a shard, a file each; the files."""
    columns = table.select(["id", "site", "title", "text"])
    return write_files(into, columns, ".txt", lambda row: str(row["text"]))


WRITER = FolderWriter(write_shard, sums, sums=SUMS)
