"""The uncompressed bytes of an archive as one stretch, with a window to look for records in."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cleancopy.warc.members import CHUNK, RECORD_START, Piece

if TYPE_CHECKING:
    from cleancopy.errors import Rejection

_BLANK = re.compile(rb"[\r\n]*")


class Tape:
    """The uncompressed bytes of an archive, read forward, with a window from ``at`` to look at them.

    The window ends at a fault in the compressed data until ``drop`` leaves the bytes before it behind.
    """

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self.window = bytearray()
        self.at = 0
        self.fault: Rejection | None = None
        self.ended = False
        self._pieces = pieces
        self._before = 0  # bytes of the archive before the window
        self._without = 0  # bytes of the archive that no header's end is in, behind the last one that was
        self._marks: deque[tuple[int, int]] = deque()  # where members begin: in the bytes, in the file

    def fill(self, size: int) -> bool:
        """Whether so many bytes follow ``at``, after reading on as far as needed."""
        while len(self.window) - self.at < size and not (self.fault or self.ended):
            self._pull()
        return len(self.window) - self.at >= size

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > CHUNK:
            del self.window[: self.at]
            self._before += self.at
            self.at = 0

    def drop(self) -> None:
        """Leave the fault and what is before it behind."""
        self.skip(len(self.window) - self.at)
        self.fault = None

    def take(self, start: int, end: int) -> bytes:
        """A copy of the bytes from ``start`` to ``end``, both counted from ``at``."""
        with memoryview(self.window) as view:
            return bytes(view[self.at + start : self.at + end])

    def search(self, pattern: re.Pattern[bytes], size: int) -> int:
        """Where the pattern's first match within so many bytes ends, counted from ``at``; 0 for none.

        What had no match is not looked at again: a file may be full of beginnings without an end.
        """
        start = max(self.at, self._without - self._before - 3)
        match = pattern.search(self.window, start, self.at + size) if start < self.at + size else None
        if match:
            return match.end() - self.at
        self._without = max(self._without, self._before + min(len(self.window), self.at + size))
        return 0

    def skip_blank(self) -> bool:
        """Whether something follows the empty lines here, after going there."""
        while self.fill(1):
            blank = _BLANK.match(self.window, self.at)
            length = blank.end() - self.at if blank else 0
            del blank
            if not length:
                return True
            self.skip(length)
        return False

    def record_within(self, start: int, end: int | None = None) -> int | None:
        """Where the first record that begins in that range does, all counted from ``at``; None if none does."""
        last = len(self.window) if end is None else self.at + end + 4
        place = self.window.find(b"WARC/", self.at + start, last)
        while place >= 0:
            if RECORD_START.match(self.window, place) is not None:
                return place - self.at
            place = self.window.find(b"WARC/", place + 1, last)
        return None

    def last_record_within(self, start: int, end: int) -> int | None:
        """Where the last record that begins in that range does, both counted from ``at``; None if none does."""
        place = self.window.rfind(b"WARC/", self.at + start, self.at + end)
        while place >= 0:
            if RECORD_START.match(self.window, place) is not None:
                return place - self.at
            place = self.window.rfind(b"WARC/", self.at + start, place)
        return None

    def seek_record(self) -> None:
        """Go to where the next record begins, or to the next fault, or to the end."""
        while (following := self.record_within(0)) is None and not (self.fault or self.ended):
            self.skip(max(0, len(self.window) - self.at - 64))
            self._pull()
        self.skip(len(self.window) - self.at if following is None else following)

    @property
    def member(self) -> int | None:
        """The offset in the file of the member that ``at`` is in, None where nothing is compressed."""
        while len(self._marks) > 1 and self._marks[1][0] <= self._before + self.at:
            self._marks.popleft()
        return self._marks[0][1] if self._marks else None

    def place(self) -> str:
        """Where ``at`` is in the file: its offset, or its member's offset and how far it is into that."""
        member, position = self.member, self._before + self.at
        if member is None:
            return str(position)
        within = position - self._marks[0][0]
        return f"{member}+{within}" if within else str(member)

    def _pull(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self.ended = True
            return
        position = self._before + len(self.window)
        if piece.member is not None and (not self._marks or self._marks[-1][1] != piece.member):
            self._marks.append((position, piece.member))
        self.window += piece.data
        self.fault = piece.fault
