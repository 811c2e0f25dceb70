"""From any character of the clean text to the bytes that were captured.

    clean text --spans--> page text --blocks--> element of the page --source map--> decoded text --> bytes

The store keeps the first two steps. The rest is computed when it is asked for, from the archived bytes: they
are decoded and parsed again, and the page text is found again in the decoded markup, in one pass forward and
without white space. A place counts as found only where the characters there are those of the page text, or
what a recorded repair says they were before.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from cleancopy.document import Block, Decoding, Document
from cleancopy.errors import Rejection
from cleancopy.extract.encoding import decode
from cleancopy.extract.html import DECLARED, NOT_TEXT, read_html, read_plain

#: ``copied``: is in the decoded text as it is here, but for markup, escapes and white space.
#: ``repaired``: a repair put it there.
#: ``layout``: white space, or the " | " between cells, which the page text has in place of markup.
#: ``made``: stands for what is no text on the page: a formula, a reading in its brackets.
#: ``lost``: was not found in the capture (another version of cleancopy may have read it otherwise).
#: ``unread``: there was no capture to look at.
Origin = Literal["copied", "repaired", "layout", "made", "lost", "unread"]

# How far ahead, in characters that are not white space, a run may be found where its block as a whole is not.
_AHEAD = 4_000


@dataclass(frozen=True, slots=True)
class Source:
    """The capture behind a document: its bytes, the text they decode to, and where the page text stands in it.

    ``starts`` and ``ends`` have a range of ``text`` for each character of the page text, -1 where there is
    none. ``paths`` are the XPaths of the blocks' elements. ``same`` says whether the bytes give the stored
    page text today.
    """

    payload: bytes
    text: str
    decoding: Decoding
    starts: array[int]
    ends: array[int]
    paths: tuple[str, ...]
    same: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of clean text of one origin, within one block: where it stands, step by step.

    ``start`` and ``end`` are in the clean text, ``page_start`` in the page text (of the same length).
    ``source_start`` and ``source_end`` are in the decoded text, ``byte_start`` and ``byte_end`` in the payload,
    None where there is no such place. ``original`` is what stands there, for a repair. ``block`` is the number
    of the block, None between blocks.
    """

    start: int
    end: int
    page_start: int
    origin: Origin
    block: int | None
    path: str
    source_start: int | None = None
    source_end: int | None = None
    byte_start: int | None = None
    byte_end: int | None = None
    original: str | None = None


def source_of(document: Document, payload: bytes) -> Source:
    """The archived payload of a document, decoded and aligned with its page text."""
    markup = document.media_type == "text/html"
    text, decoding = _decoded(document, payload, markup)
    places = _aligned(document, text, markup)
    paths, same = _paths(document, text) if markup else ((), _reads_as(document, text))
    return Source(payload, text, decoding, places.starts, places.ends, paths, same)


def _decoded(document: Document, payload: bytes, markup: bool) -> tuple[str, Decoding]:
    """The text of a payload, decoded as it was then. As HTML or not: the document does not say for certain."""
    declared = document.decoding.declared if document.decoding else None
    attempts = [decode(payload, declared=declared, html=html) for html in (markup, not markup)]
    return next((attempt for attempt in attempts if attempt[1] == document.decoding), attempts[0])


def _reads_as(document: Document, text: str) -> bool:
    """Whether a plain text gives the stored page text today."""
    return any(read_plain(text, repair=repair).text == document.text for repair in (True, False))


def pieces(document: Document, source: Source | None, start: int, end: int) -> list[Piece]:
    """What a range of the clean text comes from, in runs of one origin and block.

    Without a source: as far as the store knows.
    """
    runs: list[Piece] = []
    for clean_start, page_start, length in document.mapping:
        first, last = max(start, clean_start), min(end, clean_start + length)
        if first < last:
            shift = page_start - clean_start
            runs += _runs(document, source, first + shift, last + shift, -shift)
    return [_with_bytes(piece, source) for piece in runs] if source else runs


def character_origins(document: Document, source: Source) -> list[Origin]:
    """The origin of each character of the page text."""
    repaired = _repaired(document)
    return [
        "repaired" if repaired[at] else "copied" if source.starts[at] >= 0 else _unfound(document, at)
        for at in range(len(document.text))
    ]


def byte_offset(source: Source, offset: int) -> int:
    """Where a character of the decoded text begins in the payload."""
    payload, codec = source.payload, _codec(source.decoding)
    mark = next((len(m) for m in _MARKS.get(source.decoding.encoding, ()) if payload.startswith(m)), 0)
    try:
        before = source.text[:offset].encode(codec)
        if payload.startswith(before, mark):
            return mark + len(before)
    except UnicodeEncodeError:
        pass
    # Bytes that mean nothing became U+FFFD; count as the decoder does.
    decoder, char_count = codecs.getincrementaldecoder(codec)("replace"), 0
    for at in range(mark, len(payload)):
        if char_count >= offset:
            return at
        char_count += len(decoder.decode(payload[at : at + 1]))
    return len(payload)


_MARKS = {
    "utf-8": (codecs.BOM_UTF8,),
    "utf-16le": (codecs.BOM_UTF16_LE,),
    "utf-16be": (codecs.BOM_UTF16_BE,),
    "utf-32le": (codecs.BOM_UTF32_LE,),
    "utf-32be": (codecs.BOM_UTF32_BE,),
}
_CODECS = {
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}


def _codec(decoding: Decoding) -> str:
    return _CODECS.get(decoding.encoding, decoding.encoding)


# ---- runs of one origin


class _Mark(NamedTuple):
    """What is known of a character: its origin, the number of its repair (0 for none) and of its block."""

    origin: Origin
    repair: int
    block: int | None


def _runs(document: Document, source: Source | None, start: int, end: int, shift: int) -> Iterator[Piece]:
    """The runs of a kept range of the page text; ``shift`` leads back to the clean text."""
    repaired, marks = _repaired(document), list[_Mark]()
    for at in range(start, end):
        origin: Origin = "repaired" if repaired[at] else _unfound(document, at)
        if origin == "lost" and source is None:
            origin = "unread"
        elif not repaired[at] and source and source.starts[at] >= 0:
            origin = "copied"
        marks.append(_Mark(origin, repaired[at], _block_at(document, at)))
    for first, last, mark in _grouped(marks):
        yield _piece(document, source, start + first, start + last, shift, mark)


def _grouped(marks: Sequence[_Mark]) -> Iterator[tuple[int, int, _Mark]]:
    """Runs of characters of one origin and block; white space inside a block does not split it."""
    first, kind = 0, marks[0]
    for at, mark in enumerate(marks):
        if not _joins(kind, mark):
            yield first, at, kind
            first, kind = at, mark
        elif kind.origin == "layout":
            kind = mark
    yield first, len(marks), kind


def _joins(kind: _Mark, mark: _Mark) -> bool:
    if mark == kind:
        return True
    pair = {mark.origin, kind.origin}
    return "layout" in pair and "repaired" not in pair and None is not mark.block == kind.block


def _piece(
    document: Document,
    source: Source | None,
    start: int,
    end: int,
    shift: int,
    mark: _Mark,
) -> Piece:
    origin, repair, block = mark
    places = [at for at in range(start, end) if source and source.starts[at] >= 0]
    path = ""
    if block is not None:
        path = source.paths[block] if source and source.paths else document.blocks[block].path
    return Piece(
        start=start + shift,
        end=end + shift,
        page_start=start,
        origin=origin,
        block=block,
        path=path,
        source_start=min(source.starts[at] for at in places) if source and places else None,
        source_end=max(source.ends[at] for at in places) if source and places else None,
        original=document.repairs[repair - 1].original if repair else None,
    )


def _with_bytes(piece: Piece, source: Source) -> Piece:
    if piece.source_start is None or piece.source_end is None:
        return piece
    first, last = byte_offset(source, piece.source_start), byte_offset(source, piece.source_end)
    return replace(piece, byte_start=first, byte_end=last)


def _repaired(document: Document) -> array[int]:
    """For each character of the page text the number of the repair that made it, from 1; 0 for none."""
    numbers = array("l", bytes(array("l").itemsize * len(document.text)))
    for number, repair in enumerate(document.repairs, 1):
        for at in range(repair.start, repair.end):
            numbers[at] = number
    return numbers


def _unfound(document: Document, at: int) -> Origin:
    """What a character is that has no place of its own in the source."""
    if document.text[at].isspace():
        return "layout"
    if any(start <= at < end for start, end in _made(document)):
        return "made"
    number = _block_at(document, at)
    if number is None or document.blocks[number].kind != "table_row":
        return "lost"
    block = document.blocks[number]
    alone = _is_separator(document.text[block.start : block.end], at - block.start)
    return "layout" if alone else "lost"


def _made(document: Document) -> list[tuple[int, int]]:
    """The ranges of the page text that were made: formulas but those in TeX's own delimiters, readings."""
    text, ranges = document.text, []
    for span in document.spans:
        if span.kind == "ruby":
            ranges.append((span.end, span.end + len(span.value) + 2))
        elif span.kind == "formula" and not text.startswith(("$", "\\(", "\\["), span.start):
            ranges.append((span.start, span.end))
    return ranges


def _is_separator(row: Sequence[str], at: int) -> bool:
    """Whether a character of a row may be what stands between its cells: a bar with white space around it."""
    sides = (row[at - 1] if at else " ", row[at + 1] if at + 1 < len(row) else " ")
    return row[at] == "|" and sides[0].isspace() and sides[1].isspace()


def _block_at(document: Document, at: int) -> int | None:
    """The number of the block that a character of the page text is in."""
    low, high = 0, len(document.blocks)
    while low < high:
        middle = (low + high) // 2
        if document.blocks[middle].end <= at:
            low = middle + 1
        else:
            high = middle
    return low if low < len(document.blocks) and document.blocks[low].start <= at else None


# ---- the page text in the decoded text

#: Elements whose content is no markup: it ends with the first end tag, whatever stands in it.
_RAW = "iframe|noframes|script|style|textarea|title"
_VOID = frozenset(["head", "meta", "link", "param", "source", "track", "embed"])
_SKIPPED = NOT_TEXT - _VOID - frozenset(_RAW.split("|"))
#: The rest of a tag after its name. A quote opens a value only after an equals sign.
_REST = r"""(?>[^>"'=]++|=\s*+(?:"[^"]*+"|'[^']*+')?|["'])*+>"""


def _between(skipped: Iterable[str]) -> re.Pattern[str]:
    """What stands between the characters that a reader sees: comments, elements without text, tags."""
    names = "|".join(sorted(skipped))
    return re.compile(
        r"<!--(?:-?>|.*?(?:--!?>|\Z))"
        rf"|<(?P<raw>{_RAW})\b{_REST}.*?(?:</(?P=raw)\b[^>]*+>|\Z)"
        rf"|<(?P<name>{names})\b{_REST}(?:(?!<(?P=name)\b).)*?</(?P=name)\s*>"
        rf"|<[a-zA-Z]{_REST}|</[a-zA-Z]{_REST}|</[^a-zA-Z>][^>]*+>|</>|<[!?][^>]*+>"
        r"|(?P<entity>&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z][A-Za-z0-9]{1,31};?))",
        re.DOTALL | re.IGNORECASE,
    )


_BETWEEN, _BETWEEN_SCRIPTED = _between(_SKIPPED), _between(_SKIPPED | {"noscript"})
#: Characters that are removed before a page is parsed, or that the parser removes.
_DROPPED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ufeff]")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The characters that a text shows, without white space, and where each begins and ends in it."""

    chars: str
    starts: array[int]
    ends: array[int]


def _visible(text: str, markup: bool, with_noscript: bool) -> _Shown:
    shown: list[str] = []
    starts, ends = array("l"), array("l")

    def copy(first: int, last: int) -> None:
        for at in range(first, last):
            if not text[at].isspace() and not (markup and _DROPPED.match(text[at])):
                shown.append(text[at])
                starts.append(at)
                ends.append(at + 1)

    position = 0
    for match in (_BETWEEN if with_noscript else _BETWEEN_SCRIPTED).finditer(text) if markup else ():
        copy(position, match.start())
        position = match.end()
        for char in html.unescape(match["entity"] or ""):
            if not char.isspace():
                shown.append(char)
                starts.append(match.start())
                ends.append(match.end())
    copy(position, len(text))
    return _Shown("".join(shown), starts, ends)


#: A script with JSON-LD, an escape in its strings, and markup in these.
_JSON_LD = re.compile(rf"<script\b(?=[^>]*ld\+json){_REST}(?P<body>.*?)</script\b", re.DOTALL | re.IGNORECASE)
_ESCAPE = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u[0-9a-fA-F]{4}|\\[^u]")
_IN_STRINGS = re.compile(r"</?[a-z][^<>]{0,500}>|(?P<entity>&(?:#\w+;?|\w+;?))", re.IGNORECASE)


def _declared(text: str) -> _Shown:
    """The characters that the strings of JSON-LD declare: escapes, entities and markup read."""
    unescaped: list[tuple[str, int, int]] = []
    for script in _JSON_LD.finditer(text):
        position, end = script.span("body")
        for escape in _ESCAPE.finditer(text, position, end):
            unescaped += [(text[at], at, at + 1) for at in range(position, escape.start())]
            unescaped += [(char, *escape.span()) for char in _unescaped(escape[0])]
            position = escape.end()
        unescaped += [(text[at], at, at + 1) for at in range(position, end)]
    shown, position = list[tuple[str, int, int]](), 0
    for match in _IN_STRINGS.finditer("".join(char for char, *_ in unescaped)):
        shown += unescaped[position : match.start()]
        first, last = unescaped[match.start()][1], unescaped[match.end() - 1][2]
        shown += [(char, first, last) for char in html.unescape(match["entity"] or "")]
        position = match.end()
    shown += unescaped[position:]
    kept = [located for located in shown if not located[0].isspace() and not _DROPPED.match(located[0])]
    chars = "".join(char for char, *_ in kept)
    return _Shown(
        chars, array("l", [located[1] for located in kept]), array("l", [located[2] for located in kept])
    )


def _unescaped(escape: str) -> str:
    try:
        return str(json.loads(f'"{escape}"', strict=False))
    except ValueError:
        return escape


@dataclass(frozen=True, slots=True)
class _Places:
    """For each character of the page text its range of the decoded text, -1 where none was found."""

    starts: array[int]
    ends: array[int]

    def note(self, covered: range, shown: _Shown, at: int) -> None:
        """Note the place of a shown character for the characters of the page text that it covers."""
        for index in covered:
            if self.starts[index] < 0:
                self.starts[index] = shown.starts[at]
            self.ends[index] = max(self.ends[index], shown.ends[at])


def _aligned(document: Document, text: str, markup: bool) -> _Places:
    """Where the page text stands in the decoded text; <noscript> counts if it is needed, as in the page."""
    declared = _declared(text) if any(map(_is_declared, document.blocks)) else None
    places = _placed(document, _visible(text, markup, with_noscript=False), declared)
    if markup and _lost(document, places):
        other = _placed(document, _visible(text, markup, with_noscript=True), declared)
        return min(places, other, key=lambda candidate: _lost(document, candidate))
    return places


def _is_declared(block: Block) -> bool:
    return f"/{DECLARED}[" in block.path


def _placed(document: Document, shown: _Shown, declared: _Shown | None) -> _Places:
    none = array("l", [-1]) * len(document.text)
    places, position, declared_at = _Places(none, none[:]), 0, 0
    for block in document.blocks:
        for part in _parts(document, block):
            if declared and _is_declared(block):
                # Declared texts come in the order of their objects, which is not always that of the script.
                declared_at = declared_at if part[0] in declared.chars[declared_at:] else 0
                declared_at = _find(part, declared, declared_at, places)
            else:
                position = _find(part, shown, position, places)
    return places


def _lost(document: Document, places: _Places) -> int:
    """How many characters that are not white space have no place."""
    return sum(
        start < 0 and not char.isspace() for start, char in zip(places.starts, document.text, strict=True)
    )


#: Characters to look for, and for each the places in the page text that it stands for.
_Part = tuple[str, list[range]]


def _parts(document: Document, block: Block) -> Iterator[_Part]:
    """The characters of a block as they were before the repairs, white space aside; of a row, cell by cell."""
    text, at = document.text, block.start
    repairs = [r for r in document.repairs if block.start <= r.start and r.end <= block.end]
    made_positions = {
        at
        for start, end in _made(document)
        if start < block.end and block.start < end
        for at in range(start, end)
    }
    chars: list[tuple[str, range]] = []
    for repair in sorted(repairs, key=lambda r: (r.start, r.end)):
        if repair.start < at:
            continue
        chars += [(text[i], range(i, i + 1)) for i in range(at, repair.start)]
        chars += [(char, range(repair.start, repair.end)) for char in repair.original]
        at = repair.end
    chars += [(text[i], range(i, i + 1)) for i in range(at, block.end)]
    chars = [pair for pair in chars if made_positions.isdisjoint(pair[1])] if made_positions else chars
    cells: list[list[tuple[str, range]]] = [[]]
    shown = [char for char, _ in chars]
    for index, pair in enumerate(chars):
        if block.kind == "table_row" and _is_separator(shown, index):
            cells.append([])
        elif not pair[0].isspace():
            cells[-1].append(pair)
    for cell in cells:
        if cell:
            yield "".join(char for char, _ in cell), [places for _, places in cell]


def _find(part: _Part, shown: _Shown, position: int, places: _Places) -> int:
    """Note where a part is, from a position on; gives the position after it, the same where it is not found."""
    chars, covered = part
    at = shown.chars.find(chars, position)
    runs = [(0, at, len(chars))] if at >= 0 else _scattered(chars, shown.chars, position)
    for offset, at, length in runs:
        for step in range(length):
            places.note(covered[offset + step], shown, at + step)
        position = at + length
    return position


#: Where a run of characters begins in the part and in what is shown, and its length.
_Stretch = tuple[int, int, int]


def _scattered(chars: str, shown: str, position: int) -> list[_Stretch]:
    """Where the characters of a part are if something unseen interrupts it.

    In long runs if these cover all of it. Else each character at the first place after the one before, which
    covers all if anything does.
    """
    runs = _longest_runs(chars, shown, position)
    if sum(length for *_, length in runs) == len(chars):
        return runs
    singles = []
    for offset, char in enumerate(chars):
        at = shown.find(char, position, position + _AHEAD)
        if at < 0:
            return runs
        singles.append((offset, at, 1))
        position = at + 1
    return singles


def _longest_runs(chars: str, shown: str, position: int) -> list[_Stretch]:
    """The longest run that is ahead, then the longest after it, and so on; what is nowhere is left out."""
    runs, offset = list[_Stretch](), 0
    while offset < len(chars):
        low, high, place = 0, len(chars) - offset, -1
        while low < high:
            middle = (low + high + 1) // 2
            at = shown.find(chars[offset : offset + middle], position, position + _AHEAD + middle)
            low, high, place = (middle, high, at) if at >= 0 else (low, middle - 1, place)
        if low:
            runs.append((offset, place, low))
            position = place + low
        offset += max(low, 1)
    return runs


def _paths(document: Document, text: str) -> tuple[tuple[str, ...], bool]:
    """The XPath of each block's element, from a parse of the archived page, and whether it reads as it did."""
    for repair in (True, False):
        try:
            page = read_html(text, repair=repair)
        except Rejection:
            break
        if page.text == document.text and page.tree is not None:
            tree = page.tree.getroottree()
            return tuple(tree.getpath(element) for element in page.elements), True
    return tuple(block.path for block in document.blocks), False
