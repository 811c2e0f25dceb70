"""What a page text is made of: blocks, and the spans that say what more than plain text is in it."""

from __future__ import annotations

from typing import Literal, NamedTuple

BlockKind = Literal[
    "heading", "paragraph", "list_item", "table_row", "quote", "code", "caption", "credit", "control"
]
#: Spans within a block.
InlineKind = Literal[
    "link",
    "emphasis",
    "strong",
    "strike",
    "code",
    "sub",
    "sup",
    "formula",
    "ruby",
    "picture",
    "footnote",
    "note_mark",
]
#: Spans around whole blocks.
HolderKind = Literal["list", "item", "term", "description", "quote", "pre", "table", "cell", "note"]
SpanKind = InlineKind | HolderKind


class Block(NamedTuple):
    """One unit of the page text: a heading, a paragraph, a list row, a table row, ...

    ``level`` is 1-6 for headings, the nesting depth for list rows, else 0. ``path`` is the XPath of the
    element that holds the block, empty for plain text. ``link_share`` is the share of its characters
    inside links, 0 to 1. ``score`` is how sure the content stage is that the block is main content
    (0 to 1, None where it has no say), ``why`` that score in words.
    """

    start: int
    end: int
    kind: BlockKind = "paragraph"
    level: int = 0
    path: str = ""
    link_share: float = 0.0
    score: float | None = None
    why: str = ""


class Span(NamedTuple):
    """A range of the page text and what it is on the page: a link, a formula, a picture, a cell, a list, ...

    ``value`` is what the kind needs: the absolute address of a link or picture, the TeX of a formula, the
    reading of a ruby, the name of a footnote (the same for its references and its note), ``ol``, ``ul`` or
    ``dl`` for a list, the language of a ``pre``, ``header`` or nothing for a cell. ``text`` is the alt text
    of a picture, ``display`` for a formula on a line of its own. ``number`` is where a
    numbered list begins, and the number of an item. ``row`` and ``column`` count a cell's place from 0,
    ``rows`` and ``columns`` how many it covers. A row without a number that is one block is no ``item``: its
    list says it all.

    Lists, items, quotes, tables, notes and long cells hold whole blocks; the others lie within them. Spans
    nest, and are sorted so that the outer ones come first. Only a picture is empty: it stands at ``start``.
    """

    start: int
    end: int
    kind: SpanKind
    value: str = ""
    text: str = ""
    number: int = 0
    row: int = 0
    column: int = 0
    rows: int = 1
    columns: int = 1
