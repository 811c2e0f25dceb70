"""What a plain text says of itself."""

from __future__ import annotations

import re

from cleancopy.document import Metadata
from cleancopy.extract.metadata.text import TITLE_CAP, plain_text


def read_text_metadata(text: str) -> Metadata:
    """What a plain text says of itself: its headline, where one clearly stands at the top.

    A headline is an explicit one (``Title: ...``, ``# ...``, an underlined line), or a short first line that
    does not end like a sentence and is followed at once by prose. Anything else is silence.
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
    if underlined or (_stands_alone(first) and any(map(_is_prose, rest[:1]))):
        return Metadata(title=plain_text(first, TITLE_CAP, escaped=False))
    return Metadata()


def _stands_alone(line: str) -> bool:
    return (
        3 <= len(line.split()) <= 30 and len(line) <= 200 and not line[0].islower() and line[-1] not in ".,;:…"
    )


def _is_prose(line: str) -> bool:
    return len(line) >= 120 and bool(re.search(r"[.!?…。][\"'”’)\]]*(?:\s|$)", line))
