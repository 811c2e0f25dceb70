"""Markdown (CommonMark): the clean text of a document with its headings, lists, quotes and code.

The page's own characters stay text: whatever Markdown or HTML would read into them is escaped, so that a page
can neither forge front matter nor bring in markup, links or pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.export.folder import SUMS, File
from cleancopy.export.selection import Plan, Shard
from cleancopy.export.tree import sums, write_files
from cleancopy.export.writers import FolderWriter
from cleancopy.export.yamltext import front_matter

#: The columns of ``EXPORT`` that front matter is made of.
FIELDS = (
    *("id", "version", "release", "url", "site", "title", "author", "date", "language", "licence"),
    *("captured", "text_sha256"),
)
# Emphasis, code, links, pictures, HTML, entities, GFM's strikethrough. One class, as looking around at every
# character would take five times as long.
_MARKS = re.compile(r"[\\`*\[\]<~_&]")
_ENTITY = re.compile(r"&#?\w+;")
# What makes a line a heading, list row, quote, rule, fence, table or, under a line of text, a heading.
_LINE_START = re.compile(r"^(?:([#>+\-=|:])|(\d{1,9})([.)]))")
_FENCE = re.compile(r"`{3,}")


def document(row: Mapping[str, Any]) -> str:
    """A row of ``EXPORT`` as a Markdown file: front matter, then the text."""
    return f"{front_matter({name: row[name] for name in FIELDS})}\n{body(row['text'], row['blocks'])}"


def body(text: str, blocks: Sequence[Mapping[str, Any]]) -> str:
    """A clean text as Markdown, block by block; text that no block holds is a paragraph."""
    pieces = groupby(_pieces(text, blocks), key=lambda piece: piece[0] if piece[0] in _JOINED else None)
    return "\n\n".join(part for kind, group in pieces for part in _written(kind, list(group))) + "\n"


#: Kinds whose blocks in a row belong together.
_JOINED = ("list_item", "table_row", "quote")
_Piece = tuple[str, int, str]


def _pieces(text: str, blocks: Sequence[Mapping[str, Any]]) -> Iterator[_Piece]:
    """Kind, level and text of each block, and of what stands between them."""
    end = 0
    for block in blocks:
        if text[end : block["start"]].strip():
            yield "paragraph", 0, text[end : block["start"]]
        if text[block["start"] : block["end"]].strip():
            yield block["kind"], block["level"], text[block["start"] : block["end"]]
        end = block["end"]
    if text[end:].strip():
        yield "paragraph", 0, text[end:]


def _written(kind: str | None, pieces: list[_Piece]) -> Iterator[str]:
    if kind == "list_item":
        yield _list(pieces)
    elif kind == "table_row":
        yield "\\\n".join(_lines(text) for _, _, text in pieces)
    elif kind == "quote":
        yield "\n>\n".join(_prefixed(_lines(text), "> ") for _, _, text in pieces)
    else:
        yield from (_block(*piece) for piece in pieces)


def _block(kind: str, level: int, text: str) -> str:
    if kind == "heading":
        return f"{'#' * min(6, max(1, level))} {escaped(' '.join(text.split()), inside=True)}"
    return _code(text) if kind == "code" else _lines(text)


def _list(pieces: list[_Piece]) -> str:
    """A list; a row is at most one level deeper than the one before, else Markdown would take it for code."""
    rows, depth = [], 0
    for _, level, text in pieces:
        depth = min(max(1, level), depth + 1)
        indent = "  " * (depth - 1)
        rows.append(f"{indent}- " + _prefixed(_lines(text), f"{indent}  ").lstrip())
    return "\n".join(rows)


def _code(text: str) -> str:
    """A fenced block, its fence longer than any in the text."""
    fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(text))])
    return f"{fence}\n{text.strip(chr(10))}\n{fence}"


def _lines(text: str) -> str:
    """The lines of a text, a break after each."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\\\n".join(escaped(line) for line in lines if line)


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join(prefix + line for line in text.split("\n"))


def escaped(line: str, *, inside: bool = False) -> str:
    """A line with everything in it escaped that Markdown would take for markup."""
    line = _MARKS.sub(_mark, line)
    if inside:
        return re.sub(r"#(?=#*$)", r"\\#", line)
    match = _LINE_START.match(line)
    if match is None:
        return line
    return f"{match[2]}\\{line[len(match[2]) :]}" if match[2] else f"\\{line}"


def _mark(match: re.Match[str]) -> str:
    """A character that may be markup, escaped; an underscore inside a word is none, nor is a lone ampersand."""
    char, line, at = match[0], match.string, match.start()
    if char == "_" and 0 < at < len(line) - 1 and line[at - 1].isalnum() and line[at + 1].isalnum():
        return char
    if char == "&" and not _ENTITY.match(line, at):
        return char
    return "\\" + char


def write_shard(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    """Write the documents of a shard, a file each; the files."""
    return write_files(into, table.select([*FIELDS, "text", "blocks"]), ".md", document)


WRITER = FolderWriter(write_shard, sums, sums=SUMS)
