"""Links that lead on without an end: sessions in addresses, calendars, pagers, circles of folders.

    traps = Traps()
    traps.passed(link)      the address to ask for, or None where enough of its kind were asked for
    traps.left_out          how many links were left out, by their shape

Only for links that are followed: what a list, a sitemap or a person names is asked for as it is. The patterns
are in ``traps.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

#: Addresses of a listing that differ in nothing but their numbers, or the values of their parameters: so many
#: are asked for in a run. A year of days fits, and the first pages of any list.
MOST_ALIKE = 400
#: A folder that stands so often in one path is a circle of relative links.
MOST_REPEATED = 4


class Pattern(NamedTuple):
    """A pattern of ``traps.toml``; ``kind`` is session (taken out of an address) or listing."""

    kind: str
    name: str
    regex: re.Pattern[str]
    example: str
    counterexample: str


@lru_cache(maxsize=1)
def patterns() -> tuple[Pattern, ...]:
    """All patterns, in the order of the file."""
    content = tomllib.loads(Path(__file__).with_name("traps.toml").read_text(encoding="utf-8"))
    return tuple(
        Pattern(kind, entry["name"], re.compile(entry["regex"]), entry["example"], entry["counterexample"])
        for kind in ("session", "listing")
        for entry in content[kind]
    )


def without_session(url: str) -> str:
    """An address without the parts that name a visitor's session."""
    for pattern in patterns():
        if pattern.kind == "session":
            url = pattern.regex.sub("", url)
    return url.rstrip("?&") if url.endswith(("?", "&")) else url


@dataclass(slots=True)
class Traps:
    """What a source's links have led to in a run, by shape."""

    alike: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    def passed(self, link: str) -> str | None:
        """The address to ask for; None where enough of its shape were, or its path goes in a circle."""
        url = without_session(link)
        shape = shape_of(url)
        if shape is None or hash(url) in self.seen:
            return url
        self.seen.add(hash(url))
        self.alike[shape] += 1
        if self.alike[shape] > (0 if shape.endswith(_CIRCLE) else MOST_ALIKE):
            self.left_out[shape] += 1
            return None
        return url


_CIRCLE = "/... in a circle"


def shape_of(url: str) -> str | None:
    """What an address has in common with those that may go on without an end; None for any other.

    The path, with its numbers masked where they turn the pages, and the names of the parameters.
    """
    parts = urlsplit(url)
    folders = Counter(filter(None, parts.path.split("/")))
    if folders and (repeated := folders.most_common(1)[0])[1] >= MOST_REPEATED:
        return f"{parts.netloc}/{repeated[0][:50]}{_CIRCLE}"
    listings = [pattern.regex for pattern in patterns() if pattern.kind == "listing"]
    of_path = any(regex.search(parts.path) for regex in listings)
    if not of_path and not any(regex.search(f"?{parts.query}") for regex in listings):
        return None
    path = re.sub(r"\d+", "#", parts.path) if of_path else parts.path
    names = "&".join(sorted({name.partition("=")[0] for name in parts.query.split("&") if name}))
    return f"{parts.netloc}{path[:200]}" + (f"?{names[:200]}" if names else "")
