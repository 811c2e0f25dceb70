"""A site's chrome as it is learned, frozen and kept: its entries, what makes two blocks the same, its file.

Learning (``learn``) writes a ``SiteChrome``, cutting (``cut``) reads it, people decide on its entries.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import lru_cache
from typing import Any, Literal, get_args

from cleancopy.errors import PolicyError, StoreError
from cleancopy.minhash import MONTHS_IN_CAPITALS as MONTHS
from cleancopy.minhash import Signing, normalise

Status = Literal["pinned", "dropped", "cut", "faded", "related"]
ChromeDecision = Literal["pinned", "dropped"]
Position = Literal["top", "middle", "bottom"]
#: On how much of the site a block stands; ``edge`` where the site has too few pages to say.
Spread = Literal["rare", "some", "half", "edge", "most", "always"]

#: Near matches between blocks: word-3 shingles.
NEAR = Signing(num_perm=128, shingle=3)
_NEAR_WORDS = 6  # shorter blocks have three shingles or fewer: too few for a similarity to say anything
#: A block or page is compared with at most so many entries or pages: bounds the work where all are alike.
LEADERS = 16
#: Digits of a key that ``chrome show`` prints; fewer name an entry too, if no other begins with them.
ID_DIGITS = 8
_LEAST_DIGITS = 4
_WELL = 16  # from so many pages on, what no other page has is likely content
_LINE = 300  # characters: longer lines seldom stand on many pages, so their forms are not kept
_COMPOSED_LENGTH = 300  # longer blocks are no rows of labels


@dataclass(frozen=True, slots=True)
class ChromeEntry:
    """A block that a site repeats.

    ``key`` is a digest of the normalised text with numbers masked, ``example`` the text as it most often
    reads, ``pages`` on how many distinct pages it stands, ``positions`` where it stands as chrome, ``paths``
    its DOM paths without indexes, ``next`` the keys of what follows it on half of these pages or more;
    ``varies`` says that its numbers change from page to page, ``template`` that it is long and has other names,
    numbers or dates on nearly every page: it is chrome only between other chrome. ``tail``
    is 0, or the most blocks that stand between it and the site's foot: on pages of plain text it opens a list
    of other pages there. ``status``: ``cut``;
    ``related`` for what is doubtful and never cut; ``faded`` for what the site's recent pages do not have any
    more, which is cut only in a row of other chrome; ``pinned`` (cut wherever it stands) and ``dropped`` (never
    cut) are decisions of people, outlive learning, and have the day they were ``decided``, with what was
    ``learned`` beside it.
    """

    key: str
    example: str
    pages: int = 0
    positions: tuple[Position, ...] = ()
    paths: tuple[str, ...] = ()
    first_seen: str | None = None
    last_seen: str | None = None
    status: Status = "cut"
    spread: Spread = "always"
    varies: bool = False
    template: bool = False
    tail: int = 0
    next: tuple[str, ...] = ()
    learned: Status | None = None
    decided: str | None = None

    @property
    def is_common(self) -> bool:
        """Whether half of the site's pages have it, and these are not too few to say so."""
        return self.spread in ("half", "most", "always")

    @property
    def counts(self) -> bool:
        """Whether it can change a page's text: what is doubtful only where it is common, as evidence."""
        return self.status != "related" or self.is_common

    @property
    def is_decided(self) -> bool:
        """Whether people have decided on it."""
        return self.status in get_args(ChromeDecision)

    @property
    def id(self) -> str:
        """What people call it by: the first digits of its key."""
        return self.key[:ID_DIGITS]


@dataclass(frozen=True, slots=True)
class SiteChrome:
    """The chrome of a site, frozen: what ``cut_chrome`` cuts by. Entries are sorted by status and key."""

    site: str
    version: int
    pages: int
    entries: tuple[ChromeEntry, ...]
    titles: tuple[tuple[str, str], ...] = ()
    """The site's headlines, sorted: the key of each and that of its page, empty where several have it."""
    erased: tuple[str, ...] = ()
    """The digests that it had before entries were erased from it: by them older cuts name it."""

    @property
    def is_known_well(self) -> bool:
        """Whether enough pages are known to tell what is a page's own."""
        return self.pages >= _WELL

    @property
    def digest(self) -> str:
        """SHA-256 over what can change a page's text, 64 hex digits: no counts, no dates, no rare doubts."""
        parts = [
            [
                e.key,
                exact_form(e.example),
                e.positions,
                e.status,
                e.spread,
                e.varies,
                e.next,
                *(["template"] if e.template else []),
                *([e.tail] if e.tail else []),
            ]
            for e in sorted(self.entries, key=lambda e: e.key)
            if e.counts or e.tail
        ]
        canonical = json.dumps(
            [self.site, self.is_known_well, parts, *([self.titles] if self.titles else [])],
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    def __hash__(self) -> int:
        return hash((self.site, self.version, self.pages, len(self.entries)))


# --- what makes two blocks the same


def _cached_for_lines(form: Callable[[str], str]) -> Callable[[str], str]:
    """The function with its results kept for short lines: a site's chrome stands on all of its pages."""
    cached = lru_cache(maxsize=16_384)(form)

    def form_of(text: str) -> str:
        # U+FDFA becomes eighteen characters when it is normalised: a hostile page could fill the cache with it.
        return cached(text) if len(text) <= _LINE and (text.isascii() or "\ufdfa" not in text) else form(text)

    return form_of


@_cached_for_lines
def exact_form(text: str) -> str:
    """The normal form of a block's text, or the text itself where that has no letter and no digit."""
    return normalise(text) or " ".join(text.split())


@_cached_for_lines
def masked_form(exact: str) -> str:
    """A normal form with its numbers and dates masked; one of nothing but numbers as it is."""
    if _NUMBER.search(exact) is None:
        return exact
    words = _NUMBER.sub("0", exact).split(" ")
    if "0" in words:
        dated = ["0" if _is_month(words, n) else word for n, word in enumerate(words)]
        words = [word for n, word in enumerate(dated) if n == 0 or word != "0" or dated[n - 1] != "0"]
    masked = " ".join(words)
    return masked if re.search(r"[^\W\d_]", masked) else exact


def _is_month(words: Sequence[str], number: int) -> bool:
    """Whether a word is the month of a date: its name, beside a number."""
    return words[number] in MONTHS and "0" in words[max(0, number - 1) : number + 2]


_NUMBER = re.compile(r"\d+")


@_cached_for_lines
def key_of(masked: str) -> str:
    """The key of an entry: 16 hex digits of the SHA-256 of its masked form."""
    return hashlib.sha256(masked.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_near(masked: str) -> bool:
    return masked.count(" ") >= _NEAR_WORDS - 1


_SEPARATORS = re.compile(r"\s[>›»|/·•→]\s")


def split_row(text: str) -> list[str]:
    """The parts of a row of labels; none of a line that is too long for one."""
    return [part for part in _SEPARATORS.split(text) if part.strip()] if len(text) <= _COMPOSED_LENGTH else []


def is_composed(text: str, labels: Set[str]) -> bool:
    """Whether a block is a row of labels (a breadcrumb trail, a bar of links), half of them known or more."""
    parts = split_row(text)
    return len(parts) > 1 and 2 * sum(masked_form(exact_form(part)) in labels for part in parts) >= len(parts)


def entry_order(entry: ChromeEntry) -> tuple[int, str]:
    return get_args(Status).index(entry.status), entry.key


# --- what people decide


def with_decision(chrome: SiteChrome, name: str, decision: ChromeDecision | None, day: str) -> SiteChrome:
    """The chrome with an entry pinned or dropped, or, for None, left to what is learned again.

    ``name`` is the id of an entry, or the line itself as it reads on a page, which need not be known. The
    version grows by one where this changes cutting. Raises PolicyError where no entry, or more than one, has
    the name, or where nobody had decided on it.
    """
    entry = entry_named(chrome, name, new=decision is not None)
    others = [other for other in chrome.entries if other.key != entry.key]
    learned = entry.learned if entry.is_decided else entry.status if entry.pages else None
    if decision:
        others.append(replace(entry, status=decision, learned=learned, decided=day))
    elif not entry.is_decided:
        raise PolicyError(f"{name}: nobody decided on this entry of {chrome.site}; it is {entry.status}")
    elif learned:
        others.append(replace(entry, status=learned, learned=None, decided=None))
    changed = replace(chrome, entries=tuple(sorted(others, key=entry_order)))
    return replace(changed, version=chrome.version + (changed.digest != chrome.digest))


def with_decisions_of(chrome: SiteChrome, decided: SiteChrome) -> SiteChrome:
    """A chrome with all that people decided in another one of the site, and nothing that they did not."""
    theirs = {entry.key: entry for entry in decided.entries}
    entries = {entry.key: _left_to_learning(entry, theirs.get(entry.key)) for entry in chrome.entries}
    for key, entry in theirs.items():
        if entry.is_decided:
            learned = entries.get(key) or replace(entry, pages=0, learned=None)
            status = learned.status if learned.pages else None
            entries[key] = replace(learned, status=entry.status, learned=status, decided=entry.decided)
    kept = [entry for entry in entries.values() if entry is not None]
    return replace(chrome, entries=tuple(sorted(kept, key=entry_order)))


def _left_to_learning(entry: ChromeEntry, theirs: ChromeEntry | None) -> ChromeEntry | None:
    """An entry as it was learned, where the other chrome has no decision on it; None if nothing was learned."""
    if not entry.is_decided or (theirs and theirs.is_decided):
        return entry
    return replace(entry, status=entry.learned, learned=None, decided=None) if entry.learned else None


def entry_named(chrome: SiteChrome, name: str, *, new: bool) -> ChromeEntry:
    """The entry of a chrome by its id or its line; with ``new`` one for a line that it does not have."""
    key = key_of(masked_form(exact_form(name)))
    looks_like_id = re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},16}}", name) is not None
    matching = [e for e in chrome.entries if e.key == key or (looks_like_id and e.key.startswith(name))]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise PolicyError(f"{name}: {len(matching)} entries of {chrome.site} begin with this; give more digits")
    if not new or looks_like_id or not name.strip():
        raise PolicyError(
            f"{name!r}: {chrome.site} has no such entry; see cleancopy chrome show {chrome.site} for the ids"
        )
    return ChromeEntry(key, name.strip())


# --- the chrome as a file that people can edit


def chrome_to_json(chrome: SiteChrome) -> str:
    """The site chrome as JSON for people: one entry after the other, fields that say nothing left out."""
    defaults = {field.name: field.default for field in dataclass_fields(ChromeEntry)}
    entries = [
        {name: v for name in defaults if (v := getattr(entry, name)) != defaults[name] or name == "status"}
        for entry in sorted(chrome.entries, key=entry_order)
    ]
    whole: dict[str, object] = {"site": chrome.site, "version": chrome.version, "pages": chrome.pages}
    whole |= {"titles": dict(chrome.titles)} if chrome.titles else {}
    whole |= {"erased": list(chrome.erased)} if chrome.erased else {}
    whole["entries"] = entries
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def chrome_from_json(text: str, source: str = "site chrome") -> SiteChrome:
    """The site chrome of a JSON text; ``source`` is what errors call it.

    An entry needs no more than ``example`` and ``status``: the key follows from the example. Raises
    StoreError where the JSON, a field or a value is wrong.
    """
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise StoreError(f"{source}: is not valid JSON ({error}); repair it or learn the site again") from error
    if not isinstance(whole, dict):
        raise StoreError(f"{source}: must be one JSON object with site, version, pages and entries")
    _check_fields(whole, _SITE_FIELDS, source, needed=("site", "version", "pages", "entries"))
    titles = whole.get("titles", {})
    if not all(isinstance(page, str) for page in titles.values()):
        raise StoreError(f"{source}: titles must name the page of each headline by a string")
    entries = [_entry(fields, f"{source}: entry {n}") for n, fields in enumerate(whole["entries"], 1)]
    repeated = [key for key, count in Counter(entry.key for entry in entries).items() if count > 1]
    if repeated:
        raise StoreError(f"{source}: the key {min(repeated)} stands there twice; keep one of its entries")
    return SiteChrome(
        whole["site"],
        whole["version"],
        whole["pages"],
        tuple(sorted(entries, key=entry_order)),
        tuple(sorted(titles.items())),
        tuple(map(str, whole.get("erased", ()))),
    )


_SITE_FIELDS: Mapping[str, type] = {
    "site": str,
    "version": int,
    "pages": int,
    "entries": list,
    "titles": dict,
    "erased": list,
}
_ENTRY_FIELDS: Mapping[str, type] = {
    "key": str, "example": str, "pages": int, "positions": list, "paths": list, "first_seen": str,
    "last_seen": str, "status": str, "spread": str, "varies": bool, "template": bool, "tail": int, "next": list,
    "learned": str, "decided": str,
}  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "positions": get_args(Position), "status": get_args(Status), "spread": get_args(Spread),
    "learned": get_args(Status),
}  # fmt: skip


def _entry(fields: Any, where: str) -> ChromeEntry:
    if not isinstance(fields, dict):
        raise StoreError(f"{where} must be a JSON object with example and status")
    _check_fields(fields, _ENTRY_FIELDS, where, needed=("example", "status"))
    if not fields["example"].strip():
        raise StoreError(f"{where}: example is empty; write the line as it reads on the page")
    values: dict[str, Any] = {
        n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()
    }
    for name, allowed in _CHOICES.items():
        value = values.get(name, ())
        wrong = [v for v in ((value,) if isinstance(value, str) else value) if v not in allowed]
        if wrong:
            raise StoreError(f"{where}: {name} is {wrong[0]!r}; allowed: {', '.join(allowed)}")
    return ChromeEntry(**{"key": key_of(masked_form(exact_form(fields["example"])))} | values)


def _check_fields(
    values: Mapping[str, Any], types: Mapping[str, type], where: str, needed: Sequence[str] | None = None
) -> None:
    for name in types if needed is None else needed:
        if name not in values:
            raise StoreError(f"{where}: {name} is missing; add it")
    for name, value in values.items():
        if name not in types:
            raise StoreError(f"{where}: unknown field {name!r}; known: {', '.join(types)}")
        if type(value) is not types[name]:
            raise StoreError(f"{where}: {name} is {value!r}; it must be of JSON type {_JSON[types[name]]}")
        if isinstance(value, list) and name != "entries" and not all(isinstance(item, str) for item in value):
            raise StoreError(f"{where}: {name} must be a list of strings")


_JSON: Mapping[type, str] = {str: "string", int: "integer", list: "list", dict: "object", bool: "true or false"}
