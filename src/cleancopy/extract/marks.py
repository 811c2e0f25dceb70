"""Where the spans of a page begin and end: in which block, and at which character of it.

While a block is gathered its text is a list of pieces with the white space of the markup, so the places are
noted as *marks*: after which piece a span begins, ends, or stands. They become offsets when the block is whole
and its white space is collapsed. A span begins where the next text begins and ends where the last text ended,
so that no span begins or ends with white space, and one without text is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from cleancopy.document import Block, Span
from cleancopy.extract.collapse import BREAK

#: A span in the making: [first block, offset in it, last block, offset in it, *fields of Span from kind on].
#: A list, as it is changed at each step; blocks are numbers, -1 where the place is not known yet.
OpenSpan = list[Any]
_NOT_YET, _DROPPED = -1, -2


#: What a mark says of its span. Plain numbers: the members of an enum cost a call each.
BEGINS, ENDS, STANDS = range(3)
#: After how many pieces, which span, and what of it.
Mark = tuple[int, OpenSpan, int]


def open_span(kind: str, value: str = "", text: str = "", number: int = 0) -> OpenSpan:
    """A span that has no place yet."""
    return [_NOT_YET, 0, _NOT_YET, 0, kind, value, text, number, 0, 0, 1, 1]


class Marks:
    """The marks of the block that is being gathered, and the spans that wait for text to begin at."""

    def __init__(self) -> None:
        self.noted: list[Mark] = []
        self.waiting: list[OpenSpan] = []
        #: Pictures with no text in their block: with the number of the next block, and their path.
        self.alone: list[tuple[OpenSpan, int, str]] = []

    def pass_over(self, block: int, end: int, path: str) -> None:
        """There was no text between these marks.

        ``block`` is the number of the next block, ``end`` the length of the one before.
        """
        for _, span, what in self.noted:
            if what is BEGINS:
                self.waiting.append(span)
            elif what is STANDS:
                self.alone.append((span, block, path))
            else:
                self._end(span, block - 1, end)
        self.noted = []

    def place(self, pieces: Sequence[str], block: int, text: str, end: int) -> None:
        """Give the marks among the pieces of a block their places; ``end`` is the length of the one before."""
        noted, waiting = self.noted, self.waiting
        if len(noted) == 2 and not waiting:
            (first, span, _), (last, other, _) = noted
            # A link or the like that is the whole block: most of them are.
            if span is other and first == 0 and not "".join(pieces[last:]).strip():
                span[0:4] = block, 0, block, len(text)
                self.noted = []
                return
        position = length = gap = 0
        for index, span, what in noted:
            if index > position:
                part = pieces[position] if index == position + 1 else "".join(pieces[position:index])
                position = index
                if words := part.split():
                    length += 1 if length and (gap or part[0].isspace()) else 0
                    if waiting:
                        self._begin(block, length)
                    length += sum(map(len, words)) + len(words) - 1
                    gap = part[-1].isspace()
                elif part:
                    gap = 1
            if what is not ENDS:
                waiting.append(span)
            elif length:
                self._end(span, block, length)
            else:
                self._end(span, block - 1, end)
        rest = "".join(pieces[position:])
        if waiting and (words := rest.split()):
            self._begin(block, length + (1 if length and (gap or rest[0].isspace()) else 0))
        self._finish(block, len(text))

    def place_lines(self, pieces: Sequence[str], block: int, end: int) -> None:
        """The same where line breaks are among the pieces, and a block ends at each empty line."""
        position, length, gap, broken, last = 0, 0, "", False, block
        marks: list[tuple[int, OpenSpan | None, int]] = [*self.noted, (len(pieces), None, ENDS)]
        for index, span, what in marks:
            for number, part in enumerate("".join(pieces[position:index]).split(BREAK)):
                if number:
                    broken, gap = gap == "\n" and length > 0, "\n"
                words = part.split()
                if not words:
                    gap = gap or (" " if part else "")
                    continue
                gap = gap or (" " if part[0].isspace() else "")
                if length and broken:
                    last, end, length = last + 1, length, 0
                length += bool(gap and length)
                gap, broken = (" " if part[-1].isspace() else ""), False
                self._begin(last, length)
                length += len(" ".join(words))
            position = index
            if span is None:
                break
            if what is not ENDS:
                self.waiting.append(span)
            else:
                self._end(span, last if length else last - 1, length or end)
        self._finish(last, length)

    def place_verbatim(self, pieces: Sequence[str], text: str, block: int) -> None:
        """Give the marks of a block that keeps its white space their places."""
        skipped = "".join(pieces).replace(BREAK, "\n").find(text)
        self._begin(block, 0)
        position, offset = 0, -skipped
        for index, span, what in self.noted:
            offset += sum(map(len, pieces[position:index]))
            position, place = index, max(0, min(offset, len(text)))
            if what is ENDS:
                self._end(span, block, place)
            else:
                self.waiting.append(span)
                self._begin(block, place)
        self.noted = []

    def _begin(self, block: int, offset: int) -> None:
        """Text begins: so do the spans that wait for it."""
        for span in self.waiting:
            if span[0] == _NOT_YET:
                span[0:2] = block, offset
                if span[4] == "picture":
                    span[2:4] = block, offset
        self.waiting.clear()

    def _finish(self, block: int, length: int) -> None:
        """A block ends: pictures that no text of it follows stand at its end, the other spans wait on."""
        for span in self.waiting:
            if span[4] == "picture":
                span[0:4] = block, length, block, length
        self.waiting = [span for span in self.waiting if span[0] == _NOT_YET]
        self.noted = []

    def _end(self, span: OpenSpan, block: int, offset: int) -> None:
        if span[0] == _NOT_YET:
            span[0] = _DROPPED
        else:
            span[2:4] = block, offset

    def place_alone(self, paths: Sequence[str], ends: Sequence[int]) -> None:
        """Put each picture without text to the nearer of its neighbours: before the next, after the last."""
        for span, number, path in self.alone:
            before = _shared(paths[number - 1], path) if number else -1
            after = _shared(paths[number], path) if number < len(paths) else -1
            if before > after:
                span[0:4] = number - 1, ends[number - 1], number - 1, ends[number - 1]
            elif after >= 0:
                span[0:4] = number, 0, number, 0


def _shared(path: str, other: str) -> int:
    """How many steps of two XPaths are the same from the root on."""
    steps = zip(path.split("/"), other.split("/"), strict=False)
    return next(
        (number for number, (step, same) in enumerate(steps) if step != same),
        min(path.count("/"), other.count("/")) + 1,
    )


def finished(spans: Sequence[OpenSpan], blocks: Sequence[Block]) -> tuple[Span, ...]:
    """The spans that have a place, with their offsets in the page text, the outer ones first."""
    placed = []
    for first, start, last, end, *fields in spans:
        if first < 0 or last < 0:
            continue
        begin = blocks[first][0] + start
        stop = blocks[last][0] + end
        if begin < stop or (begin == stop and fields[0] == "picture"):
            placed.append((begin, -stop, fields))
    # Of two with the same range the one that was opened first is the outer one: the order is stable.
    placed.sort(key=itemgetter(0, 1))
    return tuple([tuple.__new__(Span, (begin, -stop, *fields)) for begin, stop, fields in placed])
