"""Searching bytes for many lines at once, in whatever form a file writes them.

    needles = Needles(lines)
    needles.find(data)          the numbers of the lines that stand in the bytes

A line is looked for in UTF-8, as JSON and HTML escape it, as an address quotes it, in UTF-16 and windows-1252.
The cost is that of one pass over the bytes, however many lines there are: the last eight bytes of each form are
looked up at every position in one table.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from urllib.parse import quote

import numpy as np

#: Lines shorter than this say too little to be told from other text.
LEAST = 12
#: A line is looked for by so many characters from its start: who has them all has the line.
_MOST = 400
_WIDTH = 8
_BITS = 20
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
#: So many bytes are searched at once; what is larger is searched in pieces that overlap.
_PIECE = 1 << 24


def lines_of(texts: Iterable[str | None]) -> set[str]:
    """The lines of texts that are long enough to be searched for, without the space around them."""
    stripped = (line.strip() for text in texts if text for line in text.splitlines())
    return {line[:_MOST].strip() for line in stripped if len(line) >= LEAST}


class Needles:
    """Lines to search for; ``lines`` are they, in order."""

    def __init__(self, lines: Collection[str]) -> None:
        self.lines = sorted(lines)

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def overlap(self) -> int:
        """The bytes of the longest form, less one: by so many must pieces of a file overlap."""
        return max((len(form) for forms in self._by_end.values() for form, _ in forms), default=1) - 1

    @cached_property
    def _by_end(self) -> dict[int, list[tuple[bytes, int]]]:
        """The forms of all lines with their numbers, by their last eight bytes."""
        by_end: dict[int, list[tuple[bytes, int]]] = {}
        for number, line in enumerate(self.lines):
            for form in _forms(line):
                by_end.setdefault(int.from_bytes(form[-_WIDTH:], "little"), []).append((form, number))
        return by_end

    @cached_property
    def _ends(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """By hash, whether some form ends so."""
        table = np.zeros(1 << _BITS, dtype=np.bool_)
        table[_hashed(np.array(list(self._by_end), dtype=np.uint64))] = True
        return table

    def find(self, data: bytes) -> set[int]:
        """The numbers of the lines that stand in the bytes."""
        step = max(_PIECE - self.overlap, 1)
        return {
            number
            for start in range(0, max(len(data) - self.overlap, 1), step)
            for number in self._find(data[start : start + step + self.overlap])
        }

    def _find(self, data: bytes) -> Iterator[int]:
        if not self.lines:
            return
        # Every eight bytes as a number, whatever position they begin at: eight views, one for each remainder.
        for shift in range(min(_WIDTH, len(data) - _WIDTH + 1)):
            windows = np.frombuffer(data, "<u8", count=(len(data) - shift) // _WIDTH, offset=shift)
            for at in np.flatnonzero(self._ends[_hashed(windows)]).tolist():
                end = shift + (at + 1) * _WIDTH
                for form, number in self._by_end.get(int(windows[at]), ()):
                    if data[max(end - len(form), 0) : end] == form:
                        yield number


def _hashed(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    with np.errstate(over="ignore"):
        return (values * _SPREAD) >> np.uint64(64 - _BITS)


def _forms(line: str) -> set[bytes]:
    """The bytes by which a line is written: as text, in JSON, in HTML, in addresses, in other encodings."""
    texts = {line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1], html.escape(line)}
    texts |= {html.escape(line, quote=False), quote(line, safe="%:/?#[]@!$&'()*+,;=~", errors="replace")}
    forms = {text.encode("utf-8", "surrogatepass") for text in texts}
    for encoding in ("utf-16-le", "utf-16-be", "cp1252"):
        try:
            forms.add(line.encode(encoding))
        except UnicodeEncodeError:
            continue
    return {form for form in forms if len(form) >= _WIDTH}
