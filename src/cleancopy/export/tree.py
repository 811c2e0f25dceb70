"""A tree of files, one a document: ``documents/<site>/<slug>-<digits of the id>`` and a suffix."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.export.folder import SUMS, File
from cleancopy.export.selection import Plan
from cleancopy.store.paths import store_errors
from cleancopy.store.slugs import site_slug, slug

#: 64 bits of the id tell documents of one site and title apart.
ID_DIGITS = 16


def write_files(
    folder: Path, table: pa.Table, suffix: str, content: Callable[[Mapping[str, Any]], str]
) -> list[File]:
    """Write a file for each row of ``EXPORT``; what was written."""
    files, folders = [], set()
    for batch in table.to_batches(max_chunksize=256):
        for row in batch.to_pylist():
            name, data = f"{file_name(row)}{suffix}", content(row).encode()
            path = folder / name
            with store_errors(path, "exporting"):
                if path.parent not in folders:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    folders.add(path.parent)
                path.write_bytes(data)
            files.append(File(name, len(data), hashlib.sha256(data).hexdigest(), 1))
    return files


def file_name(row: Mapping[str, Any]) -> str:
    """Where a document's file is, without its suffix: no part of it comes from a page as it is."""
    title = row["title"] or next(iter(row["text"][:200].splitlines()), "")
    return f"documents/{site_slug(row['site'])}/{slug(title)}-{row['id'][:ID_DIGITS]}"


def sums(chosen: Plan, name: str, facts: Mapping[str, Any], files: Sequence[File]) -> Mapping[str, str]:
    """What stands beside the documents: their digests, as ``sha256sum --check`` reads them."""
    return {SUMS: "".join(f"{file.sha256}  {file.path}\n" for file in files)}
