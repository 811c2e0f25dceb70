"""The page's title and its site's name."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.jsonld import JsonNode, node_title, rank_of, schema_types
from cleancopy.extract.metadata.text import NAME_CAP, as_title, name_key, plain_text

_TITLES = (
    "og:title", "citation_title", "parsely-title", "sailthru.title", "dc.title", "dcterms.title",
    "twitter:title",
)  # fmt: skip
_SITES = ("og:site_name", "application-name", "citation_journal_title", "dc.publisher", "dcterms.publisher")
_SEPARATOR = re.compile(r"\s+(?:[-–—|•·»«›‹>~⋆*/]|::|\|\|)\s+|(?<=\S):\s+|\s*\|\s*")
# Measured: how far a heading must agree with what the page is called, being the only one, or one of several.
_ALONE, _AMONG = 0.3, 0.6


def find_site_name(claims: Claims, nodes: list[JsonNode]) -> str | None:
    """The name of the page's site: Open Graph first, then JSON-LD's site and publisher, then other metas."""
    named = claims.first(_SITES[:2], _site)
    if named:
        return named
    for node in nodes:
        if "website" in schema_types(node) and (name := plain_text(node.get("name"), NAME_CAP)):
            return name
    for node in nodes:
        publisher = node.get("publisher")
        if isinstance(publisher, dict) and (name := plain_text(publisher.get("name"), NAME_CAP)):
            return name
    return claims.first(_SITES[2:], _site)


def _site(value: str) -> str | None:
    """A site's name: not an address, not a sign alone."""
    name = plain_text(value, NAME_CAP)
    return name if name and name_key(name) and "://" not in name else None


def find_title(claims: Claims, main: JsonNode, site: str | None, url: str | None) -> str | None:
    """The heading that agrees with what the page is called, else what it is called, without the site's name."""
    sites = [name_key(name) for name in (site, *_host_names(url)) if name]
    called = [claims.first(_TITLES, as_title), node_title(main) if rank_of(main) < 2 else None, *claims.titles]
    declared = [_without_site(title, sites) for title in called if title]
    headings = [_without_site(heading, sites) for _, heading in claims.headings]
    headings = [heading for heading in headings if not _is_site(heading, sites)]
    best = max(headings, key=lambda heading: _agreement(heading, declared), default=None)
    enough = _ALONE if len(headings) == 1 else _AMONG
    if best and (not declared or _agreement(best, declared) >= enough):
        return best
    return next((title for title in declared if not _is_site(title, sites)), None) or next(iter(declared), best)


def _host_names(url: str | None) -> tuple[str, ...]:
    """What an address' host calls the site: "example" and "example.co.uk" of https://www.example.co.uk/."""
    try:
        host = (urlsplit(url or "").hostname or "").removeprefix("www.")
    except ValueError:
        return ()
    return (max(host.split(".")[:-1], key=len, default=""), host)


def _is_site(title: str, sites: list[str]) -> bool:
    key = name_key(title)
    return not key or key in sites


def _without_site(title: str, sites: list[str]) -> str:
    """A title without the site's name before or after it, where that is clearly what stands there."""
    for _ in range(2):
        marks = list(_SEPARATOR.finditer(title))
        if not marks:
            return title
        last, first = name_key(title[marks[-1].end() :]), name_key(title[: marks[0].start()])
        if _names_site(last, sites) or any(len(site) >= 4 and last.startswith(site) for site in sites):
            title = title[: marks[-1].start()]
        elif _names_site(first, sites):
            title = title[marks[0].end() :]
    return title


def _names_site(key: str, sites: list[str]) -> bool:
    """Whether this is the site's name, or the beginning of it."""
    return key in sites or (len(key) >= 4 and any(site.startswith(key) for site in sites))


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
