"""White space as a browser shows it, and where repairs and marks stand once it is collapsed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

from cleancopy.extract.encoding import Edit

#: Stands for a ``<br>`` among the pieces of a block.
BREAK = "\0"


def paragraphs(joined: str, edits: list[Edit], *, verbatim: bool) -> Iterator[tuple[str, list[Edit]]]:
    """The texts between double line breaks, white space collapsed, each with its edits moved along."""
    if verbatim:
        text = joined.replace(BREAK, "\n").strip("\n")
        shift, text = joined.find(text), text.rstrip()
        if text:
            yield text, [_moved(e, -shift, len(text)) for e in edits]
        return
    if BREAK not in joined:
        text = " ".join(joined.split())
        if text:
            yield text, _collapsed(joined, edits)
        return
    lines: list[str] = []
    paragraph_edits: list[Edit] = []
    start = length = 0
    waiting = deque(sorted(edits, key=lambda e: e.start))
    for part in joined.split(BREAK):
        end = start + len(part)
        line = " ".join(part.split())
        inside = []
        while waiting and waiting[0].start <= end:
            inside.append(_moved(waiting.popleft(), -start, len(part)))
        if line:
            length += 1 if lines else 0
            paragraph_edits += [
                Edit(e.start + length, e.end + length, e.rule, e.original) for e in _collapsed(part, inside)
            ]
            lines.append(line)
            length += len(line)
        elif lines:
            yield "\n".join(lines), paragraph_edits
            lines, paragraph_edits, length = [], [], 0
        start = end + 1
    if lines:
        yield "\n".join(lines), paragraph_edits


def _moved(edit: Edit, by: int, limit: int) -> Edit:
    return Edit(
        max(0, min(edit.start + by, limit)), max(0, min(edit.end + by, limit)), edit.rule, edit.original
    )


def _collapsed(text: str, edits: list[Edit]) -> list[Edit]:
    """The edits of a text, at their offsets in ``" ".join(text.split())``."""
    if not edits:
        return []
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)] or [(0, 0)]
    offsets = [0]
    for (a, b), _ in pairwise([*words, (0, 0)]):
        offsets.append(offsets[-1] + (b - a) + 1)
    moved, at = [], 0
    for edit in sorted(edits, key=lambda e: e.start):
        while at + 1 < len(words) and words[at][1] < edit.start:
            at += 1
        start = offsets[at] + min(max(0, edit.start - words[at][0]), words[at][1] - words[at][0])
        last = at
        while last + 1 < len(words) and words[last + 1][0] < edit.end:
            last += 1
        end = offsets[last] + min(max(0, edit.end - words[last][0]), words[last][1] - words[last][0])
        moved.append(Edit(start, max(start, end), edit.rule, edit.original))
    return moved
