"""Blocks and the spans that hold them, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from cleancopy.blocks import Block, Span

HOLDERS = frozenset(["list", "item", "term", "description", "quote", "pre", "table", "cell", "note"])
ITEMS = frozenset(["item", "term", "description"])


class Holder(NamedTuple):
    """A span with the blocks and holders in it; of a table also the cells, which may be parts of a block."""

    span: Span
    children: tuple[Block | Holder, ...]
    cells: tuple[Span, ...] = ()


Node = Block | Holder


def build(text: str, blocks: Sequence[Block], holders: Sequence[Span]) -> list[Node]:
    """The tree of a text: its blocks in their holders, text that no block holds as paragraphs."""
    whole = list(_whole(text, blocks))
    nodes = list(_nodes(whole, holders))
    return nodes if holders else list(_implied(whole))


def _whole(text: str, blocks: Sequence[Block]) -> Iterator[Block]:
    end = 0
    for block in [*blocks, Block(len(text), len(text))]:
        between = text[end : block.start]
        if between.strip():
            start = end + len(between) - len(between.lstrip())
            yield Block(start, start + len(between.strip()))
        if text[block.start : block.end].strip():
            yield block
        end = max(end, block.end)


def _nodes(blocks: Sequence[Block], holders: Sequence[Span]) -> Iterator[Node]:
    """Blocks in their holders; holders are sorted, the outer ones first."""
    first = at = 0
    while first < len(blocks):
        block = blocks[first]
        while at < len(holders) and (holders[at].end <= block.start or holders[at].kind == "cell"):
            at += 1
        if at == len(holders) or holders[at].start >= block.end:
            yield block
            first += 1
            continue
        span, last, end = holders[at], first + 1, at + 1
        while last < len(blocks) and blocks[last].start < span.end:
            last += 1
        while end < len(holders) and holders[end].start < span.end:
            end += 1
        inner = holders[at + 1 : end]
        if span.kind == "table":
            yield Holder(
                span, tuple(blocks[first:last]), tuple(inside for inside in inner if inside.kind == "cell")
            )
        else:
            yield Holder(span, tuple(_nodes(blocks[first:last], inner)))
        first, at = last, end


def _implied(blocks: Sequence[Block]) -> Iterator[Node]:
    """Lists and quotes as the kinds of their blocks imply them, for texts that have no spans."""
    for kind, group in groupby(blocks, key=lambda block: block.kind if block.kind in _IMPLIED else None):
        run = list(group)
        if kind == "list_item":
            yield _list(run, 1)
        elif kind == "quote":
            yield Holder(_around(run, "quote"), tuple(run))
        else:
            yield from run


_IMPLIED = ("list_item", "quote")


def _list(rows: Sequence[Block], depth: int) -> Holder:
    """List rows as a list; a row is at most one level deeper than the one before."""
    items: list[Holder] = []
    at = 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and rows[end].level > max(depth, rows[at].level):
            end += 1
        deeper = (_list(rows[at + 1 : end], rows[at + 1].level),) if end > at + 1 else ()
        items.append(Holder(_around(rows[at:end], "item"), (rows[at], *deeper)))
        at = end
    return Holder(_around(rows, "list"), tuple(items))


def _around(blocks: Sequence[Block], kind: str) -> Span:
    return Span(
        blocks[0].start, blocks[-1].end, "quote" if kind == "quote" else "list" if kind == "list" else "item"
    )
