"""What a format says of itself: how it writes one line a document, a folder of shards, or one document.

    LinesWriter       a file, or a folder of shards, with one line a document: jsonl, csv
    FolderWriter      a folder, written shard by shard, and what stands beside: Parquet, trees of files
    DocumentWriter    one document with a structure of its own: prov

A module of a format has one of these as ``WRITER``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.export.folder import File
from cleancopy.export.formats import ExportFormat
from cleancopy.export.lines import Lines
from cleancopy.export.selection import Plan, Shard
from cleancopy.store.paths import StorePath

#: Writes the rows of a shard (schema ``EXPORT``) into a folder; gives the files that it wrote.
WriteShard = Callable[[Path, Shard, Plan, pa.Table], list[File]]
#: What stands beside the shards, by file name: of a plan, the corpus's name, facts for the manifest, the files.
Beside = Callable[[Plan, str, Mapping[str, Any], Sequence[File]], Mapping[str, str]]


def _nothing(chosen: Plan, name: str, facts: Mapping[str, Any], files: Sequence[File]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class LinesWriter:
    """One line a document. ``compression`` is what a folder of shards has unless another is asked for."""

    suffix: str
    lines: Callable[[Plan], Lines]
    compression: str


@dataclass(frozen=True, slots=True)
class FolderWriter:
    """A folder, shard by shard.

    ``is_table``: rows of ``columns.EXPORT``, which the manifest describes. ``is_named``: something in it calls
    the corpus by name. ``sums``: the one file that has the digests of all others, where they are too many for
    the manifest.
    """

    write_shard: WriteShard
    beside: Beside = _nothing
    is_table: bool = False
    is_named: bool = False
    sums: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentWriter:
    """The bytes of one document's export: of a store, a doc_id, and a release (None for the last)."""

    write: Callable[[StorePath, str, int | None], bytes]


Writer = LinesWriter | FolderWriter | DocumentWriter


def load_writer(form: ExportFormat) -> Writer:
    """The writer of a format, from its module."""
    writer: Writer = import_module(f"cleancopy.export.{form.module}").WRITER
    return writer


def shard_name(shard: Shard, chosen: Plan, prefix: str, suffix: str) -> str:
    """The name of a shard's file: ``part-00000-of-00003.parquet``."""
    return f"{prefix}-{shard.number:05d}-of-{len(chosen.shards):05d}{suffix}"
