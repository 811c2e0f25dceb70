"""How two texts differ: by line, and within changed lines by word.

Nothing here is stored or counted; it is for people who look at what a version changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# A word takes the space after it along: alone, spaces would match everywhere.
_WORD = re.compile(r"\w+\s?|[^\w\s]\s?|\s+")
#: Lines that share less than this part of their characters are not compared word by word.
_ALIKE = 0.4
#: A line longer than this is taken as a whole; comparing words takes time with the square of their number.
_LONGEST = 5_000


@dataclass(frozen=True, slots=True)
class Run:
    """A run of words that a line shares with its other side, or not."""

    text: str
    changed: bool


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of one or both texts: ``old`` and ``new`` are None where a text has no such line.

    ``old_number`` and ``new_number`` are line numbers from 1 (of the next line where there is none).
    """

    kind: Literal["same", "changed", "removed", "added"]
    old: Line | None
    new: Line | None
    old_number: int
    new_number: int


def compare(old: str, new: str, context: int | None = 3) -> list[list[Row]]:
    """The places where two texts differ, each with ``context`` lines around it; none where they are the same.

    With ``context`` None: one place with all lines.
    """
    before, after = old.split("\n"), new.split("\n")
    matcher = SequenceMatcher(None, before, after)
    if old == new:
        return []
    groups = [matcher.get_opcodes()] if context is None else matcher.get_grouped_opcodes(context)
    return [list(_rows(before, after, group)) for group in groups]


def _rows(
    before: Sequence[str], after: Sequence[str], codes: Sequence[tuple[str, int, int, int, int]]
) -> Iterator[Row]:
    for tag, a, b, c, d in codes:
        if tag == "equal":
            for at in range(b - a):
                line = (Run(before[a + at], False),)
                yield Row("same", line, line, a + at + 1, c + at + 1)
            continue
        for i, j in _pairs(before[a:b], after[c:d]):
            yield _row(before, after, None if i is None else a + i, None if j is None else c + j, b, d)


def _row(before: Sequence[str], after: Sequence[str], i: int | None, j: int | None, b: int, d: int) -> Row:
    """The row of line ``i`` before, line ``j`` after, or both; ``b`` and ``d`` are where the place ends."""
    if i is not None and j is not None:
        return Row("changed", *words(before[i], after[j]), i + 1, j + 1)
    if j is not None:
        return Row("added", None, (Run(after[j], True),), b + 1, j + 1)
    at = i or 0
    return Row("removed", (Run(before[at], True),), None, at + 1, d + 1)


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """The lines of a changed place side by side: those that are alike in pairs, in order."""
    pairs: list[tuple[int | None, int | None]] = []
    at = 0
    for i, line in enumerate(old):
        j = next((j for j in range(at, min(len(new), at + 20)) if _alike(line, new[j])), None)
        if j is None:
            pairs.append((i, None))
            continue
        pairs += [(None, k) for k in range(at, j)]
        pairs.append((i, j))
        at = j + 1
    return pairs + [(None, k) for k in range(at, len(new))]


def _alike(old: str, new: str) -> bool:
    if not old.strip() or not new.strip() or max(len(old), len(new)) > _LONGEST:
        return False
    a, b = _WORD.findall(old), _WORD.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def words(old: str, new: str) -> tuple[Line, Line]:
    """Two lines in runs of words that they share and words that they do not."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    left, right = list[Run](), list[Run]()
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if j > i:
            left.append(Run("".join(a[i:j]), tag != "equal"))
        if m > k:
            right.append(Run("".join(b[k:m]), tag != "equal"))
    return tuple(left), tuple(right)


def text_of(line: Line | None) -> str:
    """The text of a line."""
    return "".join(run.text for run in line or ())
