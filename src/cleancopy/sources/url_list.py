"""What every list of addresses becomes, whether a sitemap, a feed or plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: The sitemap protocol allows this many addresses in a file; no feed comes near.
MAX_URLS = 50_000
ListKind = Literal["sitemap", "sitemap index", "feed", "list"]


@dataclass(frozen=True, slots=True)
class UrlList:
    """What a list names: pages and further lists, in its order, each once."""

    kind: ListKind
    pages: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def __str__(self) -> str:
        noun = "lists" if self.lists and not self.pages else "addresses"
        return f"a {self.kind} of {len(self.pages) + len(self.lists):,} {noun}"
