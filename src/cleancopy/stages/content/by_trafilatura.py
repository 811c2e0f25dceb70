"""Which blocks trafilatura means: its text aligned to the page text.

Trafilatura runs on the page's tree. What it returns is text; to know which blocks it means, its text is aligned
to the page text by a forward search that ignores everything but letters and digits: long pieces first, as
anchors, then the short ones between their neighbours' anchors. Its share of a block is the share of the block's
characters that the search covers.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from lxml import html

from cleancopy.extract.html import Page
from cleancopy.policy import ContentPolicy

#: Pieces of at least so many letters and digits are anchors: they rarely stand on a page twice.
_ANCHOR = 24
#: The least that two texts must share to be stitched: in letters and digits.
_SEED = 12
#: How far, in letters and digits, a short piece may stand from the piece before it.
_NEAR = 4000
#: So many searches over the whole page may fail before only neighbourhoods are searched (hostile pages).
_LOST = 200
_NOT_WORD = re.compile(r"[\W_]+")


def trafilatura_pieces(tree: html.HtmlElement, policy: ContentPolicy, url: str | None = None) -> list[str]:
    """The texts of trafilatura's extraction, one an element, in its order; empty where it finds nothing."""
    body, comments = extract_pieces(tree, policy.comments, url)
    return body + comments


def extract_pieces(
    tree: html.HtmlElement | None, comments: bool, url: str | None
) -> tuple[list[str], list[str]]:
    """The texts of trafilatura's main text and of its comments."""
    from trafilatura import bare_extraction

    # It says of pages with little text that it discards them; what it finds is its opinion, not a verdict.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    extracted: Any = bare_extraction(tree, url=url, include_comments=comments, deduplicate=False)
    if extracted is None:
        return [], []
    bodies: list[Any] = [extracted.body, extracted.commentsbody if comments else None]
    main, rest = ([] if body is None else list(_pieces(body)) for body in bodies)
    return main, rest


def block_shares(page: Page, pieces: Sequence[str]) -> list[float]:
    """For each block of the page, the share (0 to 1) of its letters and digits that the pieces cover."""
    compact = [_compact(page.text[block.start : block.end]) for block in page.blocks]
    starts = [0, *accumulate(map(len, compact))]
    ranges = align("".join(compact), [_compact(piece) for piece in pieces])
    covered = [0] * len(compact)
    for start, end in ranges:
        at = bisect_right(starts, start) - 1
        while at < len(compact) and starts[at] < end:
            covered[at] += max(0, min(end, starts[at + 1]) - max(start, starts[at]))
            at += 1
    return [min(1.0, hits / len(text)) if text else 0.0 for hits, text in zip(covered, compact, strict=True)]


def align(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Where the pieces stand in the text, as sorted ranges that do not overlap.

    Anchors are searched from the end of the last one, or else from the start of the text; short pieces
    between the anchors before and after them.
    """
    places: list[tuple[int, int] | None] = [None] * len(pieces)
    stitched: list[tuple[int, int]] = []
    position = lost = 0
    for index, piece in enumerate(pieces):
        if len(piece) < _ANCHOR or lost > _LOST:
            continue
        at = text.find(piece, position)
        at = at if at >= 0 else text.find(piece)
        if at >= 0:
            place = (at, at + len(piece))
        elif parts := _stitch(text, piece, position):
            stitched += parts
            place = (parts[0][0], parts[-1][1])
        else:
            lost += 1
            continue
        places[index] = place
        position = place[1]
    whole = [
        place
        for place, piece in zip(places, pieces, strict=True)
        if place and place[1] - place[0] == len(piece)
    ]
    for index, (low, high) in _gaps(places, len(text)):
        piece = pieces[index]
        high = min(high, low + _NEAR)
        if piece and len(piece) < _ANCHOR and (at := text.find(piece, low, high)) >= 0:
            places[index] = (at, at + len(piece))
            whole.append((at, at + len(piece)))
    return _union(stitched + whole)


def _gaps(places: list[tuple[int, int] | None], length: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each piece without a place, with the stretch of text that its neighbours leave to it.

    Lazy: a piece that has found its place narrows the stretch of the next.
    """
    after: list[int] = [length] * (len(places) + 1)
    for index in range(len(places) - 1, -1, -1):
        place = places[index]
        after[index] = place[0] if place else after[index + 1]
    low = 0
    for index, high in enumerate(after[:-1]):
        if places[index] is None:
            yield index, (low, high if high > low else length)
        place = places[index]
        if place is not None:
            low = place[1]


def _stitch(text: str, piece: str, low: int) -> list[tuple[int, int]]:
    """Where the parts of a piece stand that trafilatura joined from several places, in order.

    A seed of ``_SEED`` characters is searched and grown as far as both agree; where no seed is found, the
    piece loses a few characters and the search goes on.
    """
    ranges: list[tuple[int, int]] = []
    at = lost = 0
    while at + _SEED <= len(piece) and lost < _LOST:
        window = low + 2 * (len(piece) - at) + _NEAR if ranges else len(text)
        start = text.find(piece[at : at + _SEED], low, window)
        if start < 0:
            at, lost = at + _SEED // 4, lost + 1
            continue
        size = _agreement(text, start, piece, at)
        ranges.append((start, start + size))
        at, low = at + size, start + size
    return ranges


def _agreement(a: str, i: int, b: str, j: int) -> int:
    """How many characters a[i:] and b[j:] agree on, by doubling steps."""
    size, step = 0, 64
    while step:
        here, there = a[i + size : i + size + step], b[j + size : j + size + step]
        if here and here == there:
            size += len(here)
            step *= 2
        else:
            step = min(step, len(here), len(there)) // 2
    return size


def _union(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start < merged[-1][1]:
            start = merged[-1][1]
        if start < end:
            merged.append((start, end))
    return merged


def _pieces(body: Any) -> Iterator[str]:
    """The texts of an extraction's elements: what stands between two line ends."""
    for element in body:
        if next(iter(element), None) is not None and element.tag in (
            "list",
            "table",
            "row",
            "quote",
            "div",
            "item",
        ):
            if element.text:
                yield element.text
            yield from _pieces(element)
        else:
            yield "".join(element.itertext())
        if element.tail:
            yield element.tail


def _compact(text: str) -> str:
    return _NOT_WORD.sub("", text).casefold()
