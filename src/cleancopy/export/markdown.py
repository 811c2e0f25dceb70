"""Markdown: the clean text of a document with its structure, as ``Document.markdown`` has it, in a file each.

The page's own characters stay text: whatever Markdown or HTML would read into them is escaped, so that a page
can neither forge front matter nor bring in markup, or links or pictures that are none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.document import Block, Span
from cleancopy.export.folder import SUMS, File
from cleancopy.export.selection import Plan, Shard
from cleancopy.export.tree import sums, write_files
from cleancopy.export.writers import FolderWriter
from cleancopy.export.yamltext import front_matter
from cleancopy.markdown import write

#: The columns of ``EXPORT`` that front matter is made of.
FIELDS = (
    *("id", "version", "release", "url", "site", "title", "author", "date", "language", "licence"),
    *("captured", "text_sha256"),
)


def document(row: Mapping[str, Any]) -> str:
    """A row of ``EXPORT`` as a Markdown file: front matter, then the title and the text."""
    head = front_matter({name: row[name] for name in FIELDS})
    return f"{head}\n{body(row['text'], row['blocks'], row['structure'] or (), row['title'])}"


def body(
    text: str,
    blocks: Sequence[Mapping[str, Any]],
    structure: Sequence[Mapping[str, Any]] = (),
    title: str | None = None,
) -> str:
    """A clean text as Markdown; text that no block holds is a paragraph."""
    return write(text, [Block(**block) for block in blocks], [Span(**span) for span in structure], title=title)


def write_shard(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    """Write the documents of a shard, a file each; the files."""
    return write_files(into, table.select([*FIELDS, "text", "blocks", "structure"]), ".md", document)


WRITER = FolderWriter(write_shard, sums, sums=SUMS)
