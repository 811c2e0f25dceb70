"""Looking up what a site's chrome knows of a line: its own entry, or the one that reads nearly the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from cleancopy.minhash import jaccard, shingles
from cleancopy.stages.chrome.placement import STRENGTH
from cleancopy.stages.chrome.profile import (
    LEADERS,
    NEAR,
    ChromeEntry,
    SiteChrome,
    exact_form,
    is_near,
    key_of,
    masked_form,
)

#: An entry and how alike it and the line are, from the policy's ``near`` to 1.
Match = tuple[ChromeEntry, float]


@dataclass(frozen=True, slots=True)
class ChromeIndex:
    """A site chrome made ready for looking up: entries by key, keys by rare shingle."""

    entries: Mapping[str, ChromeEntry]
    labels: Set[str]
    titles: Mapping[str, str]
    by_shingle: Mapping[str, Sequence[str]]
    shingles: Mapping[str, frozenset[str]]


@lru_cache(maxsize=16)
def index_of(chrome: SiteChrome, near: float) -> ChromeIndex:
    """The index of a chrome for near matches from a Jaccard similarity on."""
    texts = {entry.key: masked_form(exact_form(entry.example)) for entry in chrome.entries}
    grams = {key: shingles(text, NEAR.shingle) for key, text in sorted(texts.items()) if is_near(text)}
    counts = Counter(gram for shingled in grams.values() for gram in shingled)
    index: dict[str, list[str]] = defaultdict(list)
    for key, shingled in grams.items():
        # Two sets of Jaccard t share a gram among the rarest |a| - t|a| + 1 of either (prefix filtering,
        # Chaudhuri, Ganti and Kaushik 2006).
        for gram in sorted(shingled, key=lambda g: (counts[g], g))[
            : len(shingled) - int(near * len(shingled)) + 1
        ]:
            if len(index[gram]) < LEADERS:
                index[gram].append(key)
    labels = frozenset(
        texts[e.key] for e in chrome.entries if e.status in ("cut", "pinned") and STRENGTH[e.spread] >= 3
    )
    return ChromeIndex(
        {entry.key: entry for entry in chrome.entries}, labels, dict(chrome.titles), dict(index), grams
    )


def matches_of(exact: Sequence[str], index: ChromeIndex, near: float) -> list[Match | None]:
    """The entry of each block and how alike the two are; no near match beside the entry's exact one."""
    entries = [index.entries.get(key_of(masked_form(form))) for form in exact]
    exact_keys = {entry.key for entry in entries if entry is not None}
    matches: list[Match | None] = []
    for entry, form in zip(entries, exact, strict=True):
        match = (entry, 1.0) if entry is not None else _near_match(masked_form(form), index, near)
        stands = match is not None and (match[1] == 1 or match[0].key not in exact_keys)
        matches.append(match if stands else None)
    return matches


def _near_match(masked: str, index: ChromeIndex, near: float) -> Match | None:
    if not is_near(masked):
        return None
    grams = shingles(masked, NEAR.shingle)
    keys = {key for gram in grams for key in index.by_shingle.get(gram, ())}
    likeness, key = max(((jaccard(grams, index.shingles[key]), key) for key in keys), default=(0.0, ""))
    return (index.entries[key], min(likeness, 0.999)) if likeness >= near else None
