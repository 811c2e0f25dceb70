"""The tree of a text as Markdown."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from cleancopy.blocks import Block, Span
from cleancopy.markdown.inline import Inline, escaped, picture
from cleancopy.markdown.tree import HOLDERS, ITEMS, Holder, Node, build

Links = Literal["inline", "none"]
_FENCE = re.compile("`{3,}")
#: Spans of more characters than this are few; looking for the others, a block looks back this far.
_LONG = 1_000
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


class _Chunk(NamedTuple):
    """A block of Markdown; ``marker`` is that of a list, so that a list right after it takes another."""

    kind: str
    text: str
    marker: str = ""


def write(
    text: str,
    blocks: Sequence[Block],
    spans: Sequence[Span] = (),
    *,
    title: str | None = None,
    links: Links = "inline",
    pictures: bool = True,
) -> str:
    """The Markdown of a text; ``blocks`` and ``spans`` have their offsets in it.

    With a ``title`` it stands first, as a heading; a heading of the text that is the same is not repeated.
    ``links="none"`` leaves the text of links, ``pictures=False`` leaves pictures out.
    """
    without = {kind for kind, wanted in (("link", links == "inline"), ("picture", pictures)) if not wanted}
    holders = [span for span in spans if span.kind in HOLDERS]
    inline = [span for span in spans if span.kind not in HOLDERS and span.kind not in without]
    return _Writer(text, inline, _numbers(spans)).write(build(text, blocks, holders), title)


def _numbers(spans: Iterable[Span]) -> dict[str, int]:
    """The numbers of the notes that are there and are referred to, in the order of their references."""
    spans = list(spans)
    notes = {span.value for span in spans if span.kind == "note"}
    named = dict.fromkeys(span.value for span in spans if span.kind == "footnote" and span.value in notes)
    return {name: number for number, name in enumerate(named, 1)}


class _Writer:
    def __init__(self, text: str, spans: list[Span], numbers: dict[str, int]) -> None:
        self.text, self.spans, self.numbers = text, spans, numbers
        self.inline = Inline(text, spans, numbers)
        self.long = [span for span in spans if span.end - span.start > _LONG]
        self.short = [span for span in spans if span.end - span.start <= _LONG]
        self.starts = [span.start for span in self.short]
        self.notes: dict[int, str] = {}

    def write(self, nodes: list[Node], title: str | None) -> str:
        title = " ".join((title or "").split())
        chunks = [_Chunk("heading", f"# {escaped(title, heading=True)}")] if title else []
        self.repeated = next((block for block in _headings(nodes) if self._words(block) == title), None)
        chunks += self._chunks(nodes)
        chunks += [_Chunk("note", self.notes[number]) for number in sorted(self.notes)]
        return "\n\n".join(chunk.text for chunk in chunks) + "\n" if chunks else ""

    def _words(self, block: Block) -> str:
        return " ".join(self.text[block.start : block.end].split())

    def _within(self, start: int, end: int) -> list[Span]:
        """The spans that lie in a range, or overlap it."""
        first = bisect_left(self.starts, start - _LONG)
        last = bisect_right(self.starts, end)
        within = [
            span
            for span in self.short[first:last]
            if (span.start < end and start < span.end)
            or (span.start == span.end and start <= span.start <= end)
        ]
        around = [span for span in self.long if span.start < end and start < span.end]
        return sorted([*around, *within], key=lambda span: (span.start, -span.end)) if around else within

    def _chunks(self, nodes: Iterable[Node]) -> list[_Chunk]:
        """The Markdown of nodes one after another."""
        chunks: list[_Chunk] = []
        for kind, group in groupby(nodes, key=_joins):
            run = list(group)
            if kind == "item":  # items without a list around them
                run = [Holder(Span(0, 1, "list"), tuple(run))]
            if kind == "row":
                rows = [self._lines(node) for node in run if isinstance(node, Block)]
                chunks.append(_Chunk("paragraph", "\\\n".join(filter(None, rows))))
                continue
            for node in run:
                before = chunks[-1].marker if chunks else ""
                chunks += self._holder(node, before) if isinstance(node, Holder) else self._block(node)
        return [chunk for chunk in chunks if chunk.text]

    def _holder(self, node: Holder, before: str) -> list[_Chunk]:
        span, kind = node.span, node.span.kind
        if kind == "list":
            return self._list(node, before)
        if kind == "table":
            return self._table(node)
        if kind == "pre":
            code = "\n".join(self.text[block.start : block.end] for block in _blocks(node))
            return [_Chunk("code", fenced(code, span.value))]
        if kind == "quote":
            chunks = self._chunks(node.children)
            return [_Chunk("quote", _prefixed(_joined(chunks), "> "))] if chunks else []
        if kind == "note" and span.value in self.numbers:
            number = self.numbers[span.value]
            chunks = self._chunks(node.children)
            if chunks:
                self.notes[number] = _indented(f"[^{number}]: ", _joined(chunks), 4)
            return []
        return self._chunks(node.children)

    def _list(self, node: Holder, before: str) -> list[_Chunk]:
        numbered = node.span.value == "ol"
        sign = (")" if before == "." else ".") if numbered else ("*" if before == "-" else "-")
        rows: list[tuple[int, list[_Chunk]]] = []
        number = max(0, node.span.number)
        for child in node.children:
            item = isinstance(child, Holder) and child.span.kind in ITEMS
            chunks = self._chunks(child.children if isinstance(child, Holder) and item else [child])
            if not chunks:
                continue
            if isinstance(child, Holder) and child.span.kind == "description" and rows:
                last = rows[-1][1]
                inner = "*" if last[-1].marker == "-" else "-"
                last.append(_Chunk("list", _item(f"{inner} ", chunks), inner))
                continue
            number = max(0, child.span.number) if isinstance(child, Holder) and child.span.number else number
            rows.append((number, chunks))
            number += 1
        loose = any(_is_loose(chunks) for _, chunks in rows)
        items = [_item(f"{number}{sign} " if numbered else f"{sign} ", chunks) for number, chunks in rows]
        return [_Chunk("list", ("\n\n" if loose else "\n").join(items), sign)] if items else []

    def _table(self, node: Holder) -> list[_Chunk]:
        """A table; what stands outside of its cells, such as its caption, comes before it."""
        cells, blocks = node.cells, list(_blocks(node))
        ends = [block.end for block in blocks]
        parts = {
            cell: range(bisect_right(ends, cell.start), bisect_left(blocks, cell.end, key=_start))
            for cell in cells
        }
        covered = {number for numbers in parts.values() for number in numbers}
        chunks = self._chunks(block for number, block in enumerate(blocks) if number not in covered)
        if not cells:
            return chunks
        rows = sorted({cell.row for cell in cells})
        columns = sorted({column for cell in cells for column in (cell.column, cell.column + cell.columns - 1)})
        grid = {row: dict.fromkeys(columns, "") for row in rows}
        for cell in cells:
            texts = [self._cell_part(blocks[number], cell) for number in parts[cell]]
            grid[cell.row][cell.column] = " ".join(filter(None, texts))
        lines = ["| " + " | ".join(grid[row].values()) + " |" for row in rows]
        first = [cell for cell in cells if cell.row == rows[0]]
        if any(cell.value for cell in cells) and not all(cell.value for cell in first):
            lines.insert(0, "|" + "  |" * len(columns))
        lines.insert(1, "|" + " --- |" * len(columns))
        return [*chunks, _Chunk("table", "\n".join(lines))]

    def _cell_part(self, block: Block, cell: Span) -> str:
        start, end = max(block.start, cell.start), min(block.end, cell.end)
        return self.inline.line(start, end, self._within(start, end), cell=True) if start < end else ""

    def _block(self, block: Block) -> list[_Chunk]:
        if block is self.repeated:
            return []
        if block.kind == "code":
            return [_Chunk("code", fenced(self.text[block.start : block.end]))]
        if block.kind in ("list_item", "quote"):
            return [_Chunk("paragraph", self._lines(block))]
        spans = self._within(block.start, block.end)
        inner = [span for span in spans if span.start < span.end or block.start < span.start < block.end]
        chunks = [_Chunk("paragraph", picture(span)) for span in spans if span.start == span.end == block.start]
        if block.kind == "heading":
            line = self.inline.line(block.start, block.end, inner)
            chunks.append(_Chunk("heading", f"{'#' * min(6, max(1, block.level))} {line}" if line else ""))
        else:
            chunks.append(_Chunk("paragraph", self.inline.lines(block.start, block.end, inner)))
        return chunks + [_Chunk("paragraph", picture(span)) for span in spans if span.start == block.end]

    def _lines(self, block: Block) -> str:
        return self.inline.lines(block.start, block.end, self._within(block.start, block.end))


def _joins(node: Node) -> str | None:
    """What a node is joined with its neighbours to: rows that no table holds, items that no list holds."""
    if isinstance(node, Holder):
        return "item" if node.span.kind in ITEMS else None
    return "row" if node.kind == "table_row" else None


def _start(block: Block) -> int:
    return block.start


def _blocks(node: Holder) -> Iterator[Block]:
    for child in node.children:
        if isinstance(child, Holder):
            yield from _blocks(child)
        else:
            yield child


def _headings(nodes: Iterable[Node]) -> Iterator[Block]:
    for node in nodes:
        if isinstance(node, Holder):
            yield from _headings(node.children)
        elif node.kind == "heading":
            yield node


def fenced(code: str, language: str = "") -> str:
    """A fenced block, its fence longer than any in the code."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in _FENCE.findall(code))])
    return f"{fence}{language if _LANGUAGE.fullmatch(language) else ''}\n{code.strip(chr(10))}\n{fence}"


def _joined(chunks: Sequence[_Chunk]) -> str:
    return "\n\n".join(chunk.text for chunk in chunks)


def _is_loose(chunks: Sequence[_Chunk]) -> bool:
    """Whether an item holds more than a line and the lists below it."""
    return any(chunk.kind != "list" for chunk in chunks[1:]) or (len(chunks) > 1 and not _continues(chunks[1]))


def _continues(chunk: _Chunk) -> bool:
    """Whether a list may follow a line at once: one that begins with another number than 1 may not."""
    return chunk.marker in ("-", "*") or chunk.text.startswith(("1.", "1)"))


def _item(marker: str, chunks: Sequence[_Chunk]) -> str:
    return _indented(
        marker, ("\n\n" if _is_loose(chunks) else "\n").join(chunk.text for chunk in chunks), len(marker)
    )


def _indented(marker: str, text: str, width: int) -> str:
    return marker + _prefixed(text, " " * width).lstrip(" ")


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join((prefix + line).rstrip() if not line else prefix + line for line in text.split("\n"))
