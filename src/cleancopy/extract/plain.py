"""Plain text to page text and blocks: each line that is not empty is a block."""

from __future__ import annotations

from cleancopy.document import Block, Repair
from cleancopy.extract.encoding import repair as repair_text
from cleancopy.extract.page import Page


def read_plain(text: str, *, repair: bool = True) -> Page:
    """The page of a plain text: each line that is not empty is a block.

    Line ends become ``\\n``, trailing white space goes, runs of empty lines become one.
    """
    lines: list[str] = []
    repairs: list[Repair] = []
    blocks: list[Block] = []
    position, gap = 0, 0
    for raw in text.splitlines():
        fixed, edits = repair_text(raw) if repair else (raw, ())
        line = fixed.rstrip()
        if not line.strip():
            gap = min(gap + 1, 2)
            continue
        if blocks:
            lines.append("\n" if gap == 1 else "\n\n")
            position += gap
        blocks.append(Block(position, position + len(line)))
        repairs += [
            Repair(position + min(e.start, len(line)), position + min(e.end, len(line)), e.rule, e.original)
            for e in edits
        ]
        lines.append(line)
        position, gap = position + len(line), 1
    if blocks:
        lines.append("\n")
    return Page("".join(lines), tuple(blocks), tuple(repairs))
