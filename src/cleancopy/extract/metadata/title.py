"""The page's title and its site's name."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.jsonld import JsonNode, node_title, rank_of, schema_types
from cleancopy.extract.metadata.text import NAME_CAP, TITLE_CAP, as_title, name_key, plain_text, shown_text

_TITLES = (
    "og:title", "citation_title", "parsely-title", "sailthru.title", "dc.title", "dcterms.title",
    "twitter:title",
)  # fmt: skip
_SITES = ("og:site_name", "application-name", "citation_journal_title", "dc.publisher", "dcterms.publisher")
_SEPARATOR = re.compile(r"\s+(?:[-–—|•·»«›‹>~⋆*/]|::|\|\|)\s+|(?<=\S):\s+|\s*\|\s*")
# Measured: how far a heading must agree with what the page is called, being the only one, or one of several.
_ALONE, _AMONG = 0.3, 0.6
# Before an upright bar so many words are a headline; fewer may be the name that it begins with.
_PHRASE = 3
_WORD = re.compile(r"\w+")
# A part of a title with fewer letters is a word such as "News", which the heading of a row may say, too.
_TELLING = 8
# Labels below a country that are no site: of example.co.uk the site is "example".
_SECOND_LEVEL = frozenset(("ac", "co", "com", "edu", "gov", "net", "org"))


def find_site_name(claims: Claims, nodes: list[JsonNode]) -> str | None:
    """The name of the page's site: Open Graph first, then JSON-LD's site and publisher, then other metas."""
    named = claims.first(_SITES[:2], _site)
    if named and not _is_title(named, claims):
        return named
    for node in nodes:
        if "website" in schema_types(node) and (name := plain_text(node.get("name"), NAME_CAP)):
            return name
    for node in nodes:
        publisher = node.get("publisher")
        if isinstance(publisher, dict) and (name := plain_text(publisher.get("name"), NAME_CAP)):
            return name
    return claims.first(_SITES[2:], _site)


def _is_title(name: str, claims: Claims) -> bool:
    """Whether what is given as the site's name is the page's whole title, with a site's name in it."""
    key = name_key(name)
    return _SEPARATOR.search(name) is not None and any(name_key(title) == key for title in claims.titles)


def _site(value: str) -> str | None:
    """A site's name: not an address, not a sign alone."""
    name = plain_text(value, NAME_CAP)
    return name if name and name_key(name) and "://" not in name else None


def find_title(claims: Claims, main: JsonNode, site: str | None, url: str | None) -> str | None:
    """The page's headline: the heading that agrees with what the page is called, else what it is called.

    A first-level heading comes first. Where none fits, as where it holds the site's name, it is a lower heading
    that says what the page is called, or a part of it. The site's name is taken off what is declared.
    """
    sites = [name_key(name) for name in (site, *host_names(url)) if name]
    called = [claims.first(_TITLES, as_title), node_title(main) if rank_of(main) < 2 else None, *claims.titles]
    titles = [title for title in called if title]
    home = _is_home(url)
    declared = [name for title in titles if (name := _without_site(title, sites, home=home))]
    if not home:
        declared = [title for title in declared if not _is_site(title, sites)]
    headings = [_without_site(heading, sites) for _, heading in claims.headings]
    headings = [heading for heading in headings if not _is_site(heading, sites)]
    best = max(headings, key=lambda heading: _agreement(heading, declared), default=None)
    enough = _ALONE if len(headings) == 1 else _AMONG
    agrees = best is not None and (not declared or _agreement(best, declared) >= enough)
    if best and agrees and not _comes_last(best, titles) and not _comes_before(best, titles):
        return _first_part(best)
    if lower := _lower_heading(claims, titles, sites):
        return lower
    if best and agrees and not _comes_before(best, titles):
        return _first_part(best)
    called_so = next((title for title in declared if not _is_site(title, sites)), None)
    return _first_part(called_so) if called_so else next(iter(declared or titles), best)


def _first_part(title: str) -> str:
    """A title to its first upright bar, behind which the section or the site is named."""
    first = title.partition("|")[0].rstrip()
    return first if len(_WORD.findall(first)) >= _PHRASE else title


def _comes_last(heading: str, titles: list[str]) -> bool:
    """Whether a heading is what all titles end with: the name of a book, a site, a section."""
    key = name_key(heading)
    return bool(titles) and all(
        name_key(_SEPARATOR.split(title)[-1]) == key != name_key(title) for title in titles
    )


def _comes_before(heading: str, titles: list[str]) -> bool:
    """Whether a heading is the site's name: a title is the heading and then another of the titles."""
    key = name_key(heading)
    keys = {name_key(title) for title in titles}
    return any(whole == key + rest for whole in keys for rest in keys if rest and rest != whole)


def _lower_heading(claims: Claims, titles: list[str], sites: list[str]) -> str | None:
    """The first heading of the second or third level that is what the page is called, or a part of it."""
    pieces = {part for title in titles for part in (title, *_SEPARATOR.split(title))}
    parts = {
        name_key(part) for part in pieces if len(name_key(part)) >= _TELLING and not _names_site(part, sites)
    }
    texts = (shown_text(element, TITLE_CAP) for element in claims.subheadings) if parts else ()
    return next((text for text in texts if text and name_key(text) in parts), None)


def _is_home(url: str | None) -> bool:
    """Whether an address is the front page of its host, whose title may well begin with the site's name."""
    try:
        return bool(url) and urlsplit(url).path in ("", "/")
    except ValueError:
        return False


def host_names(url: str | None) -> tuple[str, ...]:
    """What an address' host calls the site: of https://www.news.example.co.uk/ "news" and "example", the whole
    host, and "example.co.uk".
    """
    try:
        host = (urlsplit(url or "").hostname or "").removeprefix("www.")
    except ValueError:
        return ()
    labels = host.split(".")
    end = -3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else -2
    return (max(labels[:-1], key=len, default=""), *labels[end : end + 1], host, ".".join(labels[end:]))


def _is_site(title: str, sites: list[str]) -> bool:
    key = name_key(title)
    return not key or key in sites


def _without_site(title: str, sites: list[str], *, home: bool = False) -> str:
    """A title without the site's name before or after it, where that is clearly what stands there.

    Of a front page (``home``) the name before a dash or colon belongs to the title: "Example: all about ships".
    """
    for _ in range(2):
        marks = list(_SEPARATOR.finditer(title))
        if not marks:
            return title
        last, first = title[marks[-1].end() :], title[: marks[0].start()]
        # What goes on after a colon belongs to the title, also where it begins with the site's name.
        goes_on = ":" in marks[-1].group()
        longer = any(len(site) >= 4 and name_key(last).startswith(site) for site in sites)
        if _names_site(last, sites) or (longer and not goes_on):
            title = title[: marks[-1].start()]
        elif _names_site(first, sites) and (not home or "|" in marks[0].group()):
            title = title[marks[0].end() :]
    return title


def _names_site(part: str, sites: list[str]) -> bool:
    """Whether this is the site's name, the beginning of it, or what its host abbreviates."""
    key = name_key(part)
    initials = "".join(word[0] for word in part.split() if word[0].isupper()).casefold()
    return (
        key in sites
        or (len(key) >= 4 and any(site.startswith(key) or site.endswith(key) for site in sites))
        or (len(initials) >= 3 and initials in sites)
    )


def _agreement(heading: str, titles: list[str]) -> float:
    """How far a heading says what one of the titles says, 0 to 1.

    The overlap of their words counts most, since one is often a part of the other; their Jaccard decides ties.
    """
    words = set(re.findall(r"\w+", heading.casefold()))
    best = 0.0
    for title in titles:
        other = set(re.findall(r"\w+", title.casefold()))
        if words and other:
            common = len(words & other)
            best = max(best, 0.9 * common / min(len(words), len(other)) + 0.1 * common / len(words | other))
    return best
