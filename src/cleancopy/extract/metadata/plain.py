"""What a plain text says of itself."""

from __future__ import annotations

import re

from cleancopy.document import Metadata
from cleancopy.extract.metadata.dates import iso_date
from cleancopy.extract.metadata.text import TITLE_CAP, plain_text

# So many lines from the top are searched, and so many of a byline, date or tags may part headline and prose.
_TOP, _BETWEEN = 12, 4
# A line cut short says the title from so many characters on.
_SHORTEST_CUT = 12
# Where words are not parted by spaces, prose and titles have fewer characters: so many stand for a word.
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_BYLINE = re.compile(r"(?:(?:written|posted|published)\s+)?by\s+\S|(?:von|par|por|di)\s+[A-Z]", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?…。！？؟।][\"'”’)\]」』]*(?:\s|$)|[。！？]")


def read_text_metadata(text: str) -> Metadata:
    """What a plain text says of itself: its headline, where one clearly stands at the top.

    A headline is an explicit one (``Title: ...``, ``# ...``, an underlined line); a line that stands twice
    above the first prose, one of them perhaps cut short; or a short first line that does not end like a
    sentence and is followed by prose at once, or after a date or byline. Anything else is silence.
    """
    lines = [line.strip() for line in text[:20_000].splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return Metadata()
    first, rest = lines[0], lines[1:]
    explicit = re.match(r"(?:title:|#)\s+(?=\S)", first, re.IGNORECASE)
    if explicit:
        return Metadata(title=plain_text(first[explicit.end() :].rstrip("# "), TITLE_CAP, escaped=False))
    underlined = bool(rest) and len(rest[0]) >= 3 and set(rest[0]) in ({"="}, {"-"})
    title = first if underlined else _above_prose(lines[: _TOP + 1])
    return Metadata(title=plain_text(title, TITLE_CAP, escaped=False)) if title else Metadata()


def _above_prose(lines: list[str]) -> str | None:
    """The headline among the lines above the first prose."""
    end = next((n for n, line in enumerate(lines) if _is_prose(line)), None)
    if not end:
        return None
    above = lines[:end]
    twice = (line for n, line in enumerate(above) if _stands_alone(line) and _has_copy(line, above[:n]))
    if title := next(twice, None):
        return title
    between = above[1:]
    dated = len(between) <= _BETWEEN and any(iso_date(line) or _BYLINE.match(line) for line in between)
    return above[0] if _stands_alone(above[0]) and (not between or dated) else None


def _has_copy(line: str, before: list[str]) -> bool:
    """Whether a line stands among others, whole or cut short with an ellipsis."""
    return any(
        line == other
        or (other[-1] == "…" and len(other) > _SHORTEST_CUT and line.startswith(other.rstrip("… ")))
        for other in before
    )


def _stands_alone(line: str) -> bool:
    words = len(line.split()) + len(_DENSE.findall(line)) // 3
    return 3 <= words <= 30 and len(line) <= 200 and not line[0].islower() and line[-1] not in ".,;:…"


def _is_prose(line: str) -> bool:
    dense = len(_DENSE.findall(line))
    return len(line) + 2 * dense >= 120 and bool(_SENTENCE.search(line))
