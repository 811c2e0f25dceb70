"""What a page says of itself: title, author, date, site name, description, language, licence, address.

The cheapest sources speak first: one pass over ``meta``, ``link``, ``title``, ``h1``, ``time`` and JSON-LD.
Only where all of them are silent is the body asked for a byline and a date, and only near the headline.
Everything that a page says is a claim and may be hostile: every value is cut before it is worked on, then
stripped of markup and control characters, collapsed and capped.

Vocabularies: schema.org, Open Graph (ogp.me), Dublin Core, Highwire Press ``citation_*`` (which Google Scholar
reads), the ``parsely-*`` and ``sailthru.*`` metas; RFC 5646 for languages, ISO 8601 for dates, SPDX for
licences. htmldate is not asked: on the pages where all of this is silent it was right 10 times in 125 answers,
at 11 ms a page.
"""

from __future__ import annotations

import functools
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice, takewhile
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml import etree
from lxml.html import HtmlElement

from cleancopy.document import Metadata

_TITLE_CAP, _AUTHOR_CAP, _NAME_CAP, _DESCRIPTION_CAP, _URL_CAP = 500, 300, 200, 2000, 2000
# The largest JSON-LD of 1,478 pages measured has 153 kB; a megabyte parses in some 20 ms.
_JSON_BUDGET = 1_000_000
_NODE_BUDGET = 2_000
_CLAIM_BUDGET = 400
_BODY_BUDGET = 40
_EVENT_BUDGET = 400
# How many nodes around the headline are near it: up to _CLOSE a byline and a date need no class that says so.
_CLOSE, _FAR = 145, 300
_EARLIEST, _LATEST = 1800, 2200

_TITLES = (
    "og:title",
    "citation_title",
    "parsely-title",
    "sailthru.title",
    "dc.title",
    "dcterms.title",
    "twitter:title",
)
_AUTHORS = (
    "citation_author", "author", "parsely-author", "sailthru.author", "dc.creator", "dcterms.creator", "byl",
    "article:author", "og:author", "og:article:author", "authors", "creator",
)  # fmt: skip
_DATES = (
    "article:published_time", "og:article:published_time", "citation_publication_date", "citation_online_date",
    "citation_date", "parsely-pub-date", "sailthru.date", "datepublished", "dcterms.issued", "dc.date.issued",
    "dcterms.created", "dc.date.created", "dc.date", "dcterms.date", "publish_date", "publishdate",
    "publish-date", "published_time", "publication_date", "pubdate", "date", "datecreated", "article:published",
    "uploaddate",
)  # fmt: skip
_MODIFIED = ("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "last-modified")
_SITES = ("og:site_name", "application-name", "citation_journal_title", "dc.publisher", "dcterms.publisher")
_DESCRIPTIONS = (
    "description", "og:description", "citation_abstract", "dc.description", "dcterms.abstract",
    "dcterms.description", "sailthru.description", "twitter:description",
)  # fmt: skip
_LICENCES = ("dcterms.license", "dc.rights", "dcterms.rights", "dc.rights.license", "license", "cc:license")
_LINKS = frozenset(("canonical", "license"))
# What the ``twitter:label`` of an author says (Yoast SEO writes it in the site's language).
_WRITTEN_BY = frozenset((
    "written by", "author", "by", "verfasst von", "geschrieben von", "écrit par", "escrito por", "scritto da",
    "geschreven door", "skrevet af", "skriven av", "napisane przez", "автор", "написано автором", "yazan",
    "執筆者", "投稿者", "作者",
))  # fmt: skip

_Node = Mapping[str, Any]
_Near = Callable[[], list[HtmlElement]]


@dataclass(frozen=True, slots=True)
class _Claims:
    """What one pass over a tree found, in document order."""

    metas: dict[str, list[str]] = field(default_factory=dict)
    links: list[HtmlElement] = field(default_factory=list)
    headings: list[tuple[HtmlElement, str]] = field(default_factory=list)
    anchors: list[HtmlElement] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    times: list[HtmlElement] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def first(self, names: Iterable[str], read: Callable[[str], str | None]) -> str | None:
        """The first claim under the first of these meta names that can be read."""
        return next(
            (value for name in names for claim in self.metas.get(name, ()) if (value := read(claim))), None
        )


def read_metadata(tree: HtmlElement, *, url: str | None = None) -> Metadata:
    """What a parsed page says of itself; the tree stays as it is.

    ``url`` is where the page came from: relative addresses are resolved against it, and its path may hold the
    date. Never raises for what a page contains.
    """
    claims = _claims(tree)
    nodes = _nodes(claims.scripts)
    canonical = _canonical(claims, url)
    site = _site_name(claims, nodes)
    main = _main_node(nodes, claims)
    title = _title(claims, main, site, canonical or url)
    # Most pages say in their head who wrote them and when; the body is not walked for those.
    near = functools.cache(functools.partial(_near, tree, claims, title))
    return Metadata(
        title=title,
        author=_author(claims, nodes, main, near, site),
        date=_date(claims, main, near, url or canonical),
        site_name=site,
        description=claims.first(_DESCRIPTIONS, _described)
        or _plain(main.get("description"), _DESCRIPTION_CAP),
        language=_language(tree, claims, main),
        licence=_licence(tree, claims, main, url),
        canonical_url=canonical,
    )


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
        return Metadata(title=_plain(first[explicit.end() :].rstrip("# "), _TITLE_CAP, escaped=False))
    underlined = bool(rest) and len(rest[0]) >= 3 and set(rest[0]) in ({"="}, {"-"})
    if underlined or (_stands_alone(first) and any(map(_prose, rest[:1]))):
        return Metadata(title=_plain(first, _TITLE_CAP, escaped=False))
    return Metadata()


def _stands_alone(line: str) -> bool:
    return (
        3 <= len(line.split()) <= 30 and len(line) <= 200 and not line[0].islower() and line[-1] not in ".,;:…"
    )


def _prose(line: str) -> bool:
    return len(line) >= 120 and bool(re.search(r"[.!?…。][\"'”’)\]]*(?:\s|$)", line))


# --- one pass over the tree ---------------------------------------------------------------------------------


_ANCHORS = etree.XPath("descendant::a[contains(@rel,'author') or contains(@rel,'license')]")


def _anchors(tree: HtmlElement) -> list[HtmlElement]:
    """The links that name an author or a licence."""
    found = _ANCHORS(tree)
    return found[:_BODY_BUDGET] if isinstance(found, list) else []


def _claims(tree: HtmlElement) -> _Claims:
    """The claims of one pass; each kind has a budget, so that a flood of them costs little."""
    claims = _Claims()
    for element in tree.iter("meta", "link", "title", "h1", "time", "script"):
        tag = element.tag
        if tag == "meta":
            _take_meta(element, claims.metas)
        elif tag == "script":
            if (element.get("type") or "").strip().lower().startswith("application/ld+json") and element.text:
                claims.scripts.append(element.text)
        elif tag == "link":
            if element.get("rel") in _LINKS and len(claims.links) < _BODY_BUDGET:
                claims.links.append(element)
        elif tag == "time" and len(claims.times) < _BODY_BUDGET:
            claims.times.append(element)
        elif tag == "title" and not claims.titles and _is_page_title(element):
            claims.titles.extend(filter(None, [_plain(element.text, _TITLE_CAP)]))
        elif tag == "h1" and len(claims.headings) < _BODY_BUDGET and (text := _text(element, _TITLE_CAP)):
            claims.headings.append((element, text))
    claims.anchors.extend(_anchors(tree))
    return claims


def _take_meta(element: HtmlElement, metas: dict[str, list[str]]) -> None:
    content = element.get("content")
    if not content or len(metas) >= _CLAIM_BUDGET:
        return
    for attribute in ("name", "property", "itemprop", "http-equiv"):
        name = element.get(attribute)
        if name:
            values = metas.setdefault(name[:80].strip().lower(), [])
            if len(values) < _BODY_BUDGET:
                values.append(content[: 4 * _DESCRIPTION_CAP])


def _is_page_title(element: HtmlElement) -> bool:
    """Whether a title element names the page, not a drawing: SVG has titles too."""
    return all(parent.tag != "svg" for parent in islice(element.iterancestors(), 10))


def _near(tree: HtmlElement, claims: _Claims, title: str | None) -> list[HtmlElement]:
    """The nodes around the headline, nearest first, comments too: where a page names its author and date."""
    headline = _headline(tree, claims, title)
    if headline is None:
        return []
    inside = takewhile(lambda parent: parent.tag != "body", islice(headline.iterancestors(), 50))
    line = [headline, *inside]
    after = chain.from_iterable(sibling.iter() for one in line for sibling in one.itersiblings())
    before = chain.from_iterable(sibling.iter() for one in line for sibling in one.itersiblings(preceding=True))
    return [*islice(before, 15), *islice(after, 100), *islice(before, 30), *islice(after, _FAR)]


def _headline(tree: HtmlElement, claims: _Claims, title: str | None) -> HtmlElement | None:
    """The element that bears the title: a first-level heading, else a lower one that says the same."""
    for element, text in claims.headings:
        if text == title:
            return element
    lower = islice(tree.iter("h2", "h3"), _BODY_BUDGET) if title else ()
    same = (element for element in lower if _key(_text(element, _TITLE_CAP) or "") == _key(title or ""))
    # Parsers close a heading that holds a paragraph before it: the empty heading still marks the place.
    return next(chain(same, tree.iter("h1")), None)


# --- text of a claim ----------------------------------------------------------------------------------------

# Controls, soft hyphen, zero-width space, direction marks and overrides, invisible operators, byte order mark,
# surrogates, noncharacters, interlinear marks and tag characters; joiners stay, scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]+"
)
# Only names of HTML, so that "Vector<int>" in the title of a manual stays.
_TAG = re.compile(
    r"</?(?:a|abbr|article|audio|b|base|big|blockquote|body|br|button|center|code|div|em|embed|font|form|frame|frameset|"
    r"h[1-6]|head|hr|html|i|iframe|img|input|ins|li|link|mark|math|meta|noscript|object|ol|option|p|pre|q|s|script|"
    r"section|select|small|span|strike|strong|style|sub|sup|svg|table|tbody|td|template|textarea|th|title|tr|tt|u|ul|"
    r"video|wbr|xmp)(?![\w-])[^<>]*>|<!--|<!\[CDATA\[|\]\]>",
    re.IGNORECASE,
)
_BREAKS = frozenset(("br", "div", "p", "li", "td", "tr", "hr", "section", "h2", "h3"))
_UNREAD = frozenset(("script", "style", "svg", "noscript", "template", "button"))


def _plain(value: object, cap: int, *, escaped: bool = True) -> str | None:
    """A claim as plain text: markup gone, whitespace collapsed, capped; None where nothing is left.

    ``escaped``: whether its entities are resolved, as in attributes and JSON-LD, which are often escaped twice.
    """
    if not isinstance(value, str):
        return None
    text = value[: 4 * cap]
    if escaped and "&" in text:
        text = html.unescape(text)
    text = _INVISIBLE.sub("", text)
    if "<" in text:
        text = _untagged(text)
    return " ".join(text.split())[:cap].rstrip() or None


def _untagged(text: str) -> str:
    """The text without tags. Taking one out can make another whole: again, and at last no tag can begin."""
    for _ in range(8):
        less = _TAG.sub("", text)
        if less == text:
            return text
        text = less
    return text.replace("<", "")


def _text(element: HtmlElement, cap: int, between: str = "") -> str | None:
    """The text that people see in an element, no scripts or drawings; ``between`` goes between its nodes."""
    parts: list[str] = []
    left = 4 * cap
    walker = etree.iterwalk(element, events=("start", "end", "comment", "pi"))
    for event, node in islice(walker, _EVENT_BUDGET):
        piece = node.text if event == "start" else node.tail if node is not element else None
        if event == "start" and node.tag in _UNREAD:
            walker.skip_subtree()
            piece = None
        if node.tag in _BREAKS:
            parts.append(" ")
        if piece:
            parts.append(piece[:left])
            left -= len(piece)
        if left <= 0:
            break
    return _plain(between.join(parts), cap, escaped=False)


def _key(text: str) -> str:
    """Letters and digits alone, for comparing names."""
    return re.sub(r"[\W_]+", "", text.casefold())


def _described(value: str) -> str | None:
    return _plain(value, _DESCRIPTION_CAP)


def _titled(value: str) -> str | None:
    return _plain(value, _TITLE_CAP)


# --- JSON-LD ------------------------------------------------------------------------------------------------

_WORKS = frozenset((
    "product", "productgroup", "individualproduct", "recipe", "event", "course", "book", "dataset", "question",
    "howto", "movie", "softwareapplication", "webapplication", "mobileapplication", "creativework", "report",
    "podcastepisode", "review", "softwaresourcecode", "guide", "service", "videogame", "thesis", "chapter",
))  # fmt: skip
_INWARD = ("@graph", "mainEntity", "mainEntityOfPage")


def _nodes(scripts: Iterable[str]) -> list[_Node]:
    """The typed nodes of a page's JSON-LD in document order: graphs and main entities, no further down."""
    nodes: list[_Node] = []
    budget = _JSON_BUDGET
    for script in scripts:
        if len(script) > budget:
            continue
        budget -= len(script)
        try:
            stack = [json.loads(script, strict=False)]
        except (ValueError, RecursionError):
            # Not JSON, or nested deeper than anything that describes a page: the other sources speak.
            continue
        while stack and len(nodes) < _NODE_BUDGET:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(reversed(value[:_NODE_BUDGET]))
            elif isinstance(value, dict):
                if "@type" in value:
                    nodes.append(value)
                stack.extend(value[key] for key in reversed(_INWARD) if key in value)
    return nodes


def _types(node: _Node) -> list[str]:
    """The schema.org types of a node, lower case, without their namespace."""
    return [one.rpartition("/")[2].lower() for one in _list(node.get("@type")) if isinstance(one, str)]


def _rank(node: _Node) -> int:
    """How a node speaks for the page: 0 as an article or posting, 1 as another work, 2 as the page, 9 not."""
    types = _types(node)
    if any(one.endswith(("article", "posting")) for one in types):
        return 0
    if any(one in _WORKS or one.endswith("event") for one in types):
        return 1
    return 2 if any(one.endswith("page") for one in types) else 9


def _main_node(nodes: list[_Node], claims: _Claims) -> _Node:
    """The node that speaks for the page, or an empty one.

    Among several of a kind it is the one that the page is titled like; a page that lists many articles and is
    titled like none of them has no main article.
    """
    titles = [
        _key(title)
        for title in [*claims.titles, *claims.metas.get("og:title", ()), *(text for _, text in claims.headings)]
    ]
    for rank in (0, 1, 2):
        same = [node for node in nodes if _rank(node) == rank]
        if len(same) == 1:
            return same[0]
        for node in same:
            key = _key(_node_title(node) or "")
            if len(key) > 3 and any(key in title or (title and title in key) for title in titles):
                return node
    return {}


def _node_title(node: _Node) -> str | None:
    return _plain(node.get("headline"), _TITLE_CAP) or _plain(node.get("name"), _TITLE_CAP)


def _list(value: object) -> list[Any]:
    return value[:_NODE_BUDGET] if isinstance(value, list) else [] if value is None else [value]


def _names(value: object, nodes: list[_Node]) -> list[str]:
    """The names in a schema.org author: strings, persons, organisations, references to nodes; lists of them."""
    names: list[str] = []
    for one in _list(value)[:_BODY_BUDGET]:
        if isinstance(one, dict) and "name" not in one and isinstance(one.get("@id"), str):
            one = next((node for node in nodes if node.get("@id") == one["@id"] and "name" in node), one)
        if isinstance(one, dict):
            one = next(iter(_list(one.get("name"))), None) or _full_name(one)
        name = _person(one) if isinstance(one, str) else None
        if name and name not in names:
            names.append(name)
    return names


def _full_name(person: _Node) -> str:
    parts = (person.get(part) for part in ("givenName", "additionalName", "familyName"))
    return " ".join(part for part in parts if isinstance(part, str))


# --- title and site name ------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r"\s+(?:[-–—|•·»«›‹>~⋆*/]|::|\|\|)\s+|(?<=\S):\s+|\s*\|\s*")


# Measured: how far a heading must agree with what the page is called, being the only one, or one of several.
_ALONE, _AMONG = 0.3, 0.6


def _site_name(claims: _Claims, nodes: list[_Node]) -> str | None:
    named = claims.first(_SITES[:2], _site)
    if named:
        return named
    for node in nodes:
        if "website" in _types(node) and (name := _plain(node.get("name"), _NAME_CAP)):
            return name
    for node in nodes:
        publisher = node.get("publisher")
        if isinstance(publisher, dict) and (name := _plain(publisher.get("name"), _NAME_CAP)):
            return name
    return claims.first(_SITES[2:], _site)


def _site(value: str) -> str | None:
    """A site's name: not an address, not a sign alone."""
    name = _plain(value, _NAME_CAP)
    return name if name and _key(name) and "://" not in name else None


def _title(claims: _Claims, main: _Node, site: str | None, url: str | None) -> str | None:
    """The heading that agrees with what the page is called, else what it is called, without the site's name."""
    sites = [_key(name) for name in (site, *_host_names(url)) if name]
    called = [claims.first(_TITLES, _titled), _node_title(main) if _rank(main) < 2 else None, *claims.titles]
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
    key = _key(title)
    return not key or key in sites


def _without_site(title: str, sites: list[str]) -> str:
    """A title without the site's name before or after it, where that is clearly what stands there."""
    for _ in range(2):
        marks = list(_SEPARATOR.finditer(title))
        if not marks:
            return title
        last, first = _key(title[marks[-1].end() :]), _key(title[: marks[0].start()])
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


# --- author -------------------------------------------------------------------------------------------------

_BY = re.compile(
    r"(?:(?:written|posted|published|words|story|text|article|created|authored)\s+)?by\b[:\s]*"
    r"|(?:authors?|autore?|auteur|autorin|von|par|por)\s*:\s*",
    re.IGNORECASE,
)
# In a byline more may stand before the name: "This post was written by", "View all posts by".
_BYLINE_BY = re.compile(rf"[\w ]{{0,30}}\sby\b[:\s]*|{_BY.pattern}", re.IGNORECASE)
_NOT_BY = re.compile(
    r"\b(?:review|edit|check|verif|sponsor|powered|photo|illustrat|sort|filter)\w*\s+by\b", re.IGNORECASE
)
# Text alone, with no class that says so, must look like a byline: two to four capitalised words after "by".
_BY_LINE = re.compile(
    r"(?:(?:written|posted|words|story|text) )?by\b[:\s]*(?:[A-ZÀ-ÞЀ-Я][\w.'’-]*\s+){1,3}[A-ZÀ-ÞЀ-Я][\w.'’-]*",
    re.IGNORECASE,
)
_BY_ALONE = frozenset(("by", "by:", "written by", "posted by"))
_BYLINE_CLASS = re.compile("[aA]uthor|[bB]yline|username")
# What follows the name in a byline: a role after a dash or bar, a date, a figure.
_AFTER = re.compile(
    r"\s*(?:[|•·⋅]|\s[–—-]\s|\b(?:published|(?:last )?updated|posted|modified|joined|reviewed by|edited by)\b"
    r"|\bon\s+[a-z]+day\b|(?<!\S)\d"
    r"|\b(?:on\s+)?(?:mon|tues?|wed|thurs?|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
    r"\b\.?,?(?:\s+\d|\s+[a-z]{3,9}\s+\d|$)).*$",
    re.IGNORECASE,
)
_NOBODY = frozenset((
    "admin", "administrator", "author", "authors", "unknown", "anonymous", "webmaster", "root", "none", "null",
    "name", "username", "category", "guest", "user",
))  # fmt: skip


def _author(claims: _Claims, nodes: list[_Node], main: _Node, near: _Near, site: str | None) -> str | None:
    """Who wrote the page, several joined by "; ", from the most to the least explicit claim.

    Where only the site itself is declared as the author, a person in the byline is the better answer.
    """
    declared = _names(main.get("author") or main.get("creator"), nodes) or _meta_authors(claims)
    publishers = {_key(name) for name in (site, *_names(main.get("publisher"), nodes)) if name}
    if declared and not all(_key(name) in publishers for name in declared):
        return _joined(declared)
    return _byline(claims, near) or (_joined(declared) if declared else None)


def _meta_authors(claims: _Claims) -> list[str]:
    for name in _AUTHORS:
        names = [person for claim in claims.metas.get(name, ()) if (person := _person(claim))]
        if names:
            return list(dict.fromkeys(names))
    for number in "12":
        label = next(iter(claims.metas.get(f"twitter:label{number}", ())), "")
        if label.strip().lower() in _WRITTEN_BY:
            return [
                person
                for claim in claims.metas.get(f"twitter:data{number}", ())[:1]
                if (person := _person(claim))
            ]
    return []


def _joined(names: list[str]) -> str:
    """Names joined by "; ", as many as fit."""
    joined = names[0]
    for name in names[1:]:
        if len(joined) + 2 + len(name) > _AUTHOR_CAP:
            break
        joined += f"; {name}"
    return joined


def _person(value: str, by: re.Pattern[str] = _BY) -> str | None:
    """A claim as the name of a person or body, or None: addresses and numbers name nobody."""
    name = _plain(value, _AUTHOR_CAP)
    if not name:
        return None
    said = by.match(name)
    if said and not _NOT_BY.match(name):
        name = name[said.end() :]
    name = name.strip(" ,;:|-–—•·")
    if "://" in name or name.startswith(("www.", "/", "@")) or re.search(r"\S@\S+\.\S", name):
        return None
    return name if any(c.isalpha() for c in name) and name.casefold() not in _NOBODY else None


def _byline(claims: _Claims, near: _Near) -> str | None:
    """The author that the body of a page names, by the most telling element; readers' comments do not count."""
    found = [anchor for anchor in claims.anchors if "author" in anchor.get("rel", "")]
    found += [element for element in near() if _marks_author(element)]
    found += [element for element in near()[:_CLOSE] if element.text and _says_by(element.text)]
    for element in sorted(found, key=_byline_rank):
        if not _in_comments(element) and (name := _byline_name(element)):
            return name
    return None


def _marks_author(element: HtmlElement) -> bool:
    classes = element.get("class")
    return bool(classes and _BYLINE_CLASS.search(classes)) or element.get("itemprop") == "author"


def _says_by(text: str) -> bool:
    """Whether an element's own text is "by" alone, with the name in what follows, or "by" and a name."""
    if len(text) > 80 or "y" not in text.lower():
        return False
    text = text.strip()
    return text.lower() in _BY_ALONE or bool(_BY_LINE.fullmatch(text))


def _byline_rank(element: HtmlElement) -> int:
    classes = (element.get("class") or "").lower()
    if element.get("rel") == "author" or re.search(r"(?:author|byline)[-_]*(?:name|link)", classes):
        return 0
    if element.get("itemprop") == "author":
        return 1
    return 2 if {"author", "byline", "username"} & set(classes.split()) else 3


def _byline_name(element: HtmlElement) -> str | None:
    """The name in a byline: marked as one, or the whole, or the first link's text."""
    marked = [
        inner for inner in islice(element.iterdescendants(etree.Element), 30) if inner.get("itemprop") == "name"
    ]
    texts = [_text(inner, _AUTHOR_CAP, " ") for inner in marked[:1]]
    whole = _text(element, _AUTHOR_CAP, " ")
    if whole and _BY.fullmatch(whole) and (after := element.getnext()) is not None:
        whole = element.tail if element.tail and element.tail.strip() else _text(after, _AUTHOR_CAP, " ")
    texts += [whole, *(_text(inner, _AUTHOR_CAP, " ") for inner in islice(element.iterdescendants("a"), 2))]
    for text in texts:
        name = _person(text, _BYLINE_BY) if text else None
        name = _AFTER.sub("", name).strip(" ,;:") if name else None
        if name and _plausible(name):
            return name
    return None


def _plausible(name: str) -> bool:
    return 2 <= len(name) <= 60 and len(name.split()) <= 6 and not re.search(r"\d\s|[!?]", name)


def _in_comments(element: HtmlElement) -> bool:
    for count, parent in enumerate(element.iterancestors()):
        if count > 50 or parent.tag == "body":
            return False
        if "comment" in f"{parent.get('class')} {parent.get('id')}".lower():
            return True
    return False


# --- date ---------------------------------------------------------------------------------------------------

_YEAR = re.compile(r"(?:1[89]|2[01])\d\d")
_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?(?![\d-])",
    re.ASCII,
)
_YEAR_MONTH = re.compile(r"(?<!\d)(\d{4})[ -]([^\W\d_]{3,9})[ -](\d{1,2})(?!\d)")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?\s+(?:de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+)?(\d{4})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)")
_DOTTED = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
_SLASHED = re.compile(r"(?<!\d)(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)")
_UPDATED = re.compile(r"updat|modif|review|©|copyright|effective", re.IGNORECASE)
_IN_PATH = re.compile(r"/(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?=[/-]|$)")
# English, German, French, Spanish, Italian, Portuguese and Dutch months by their first letters.
_MONTHS = {
    start: number
    for number, starts in enumerate(
        ("jan ene gen", "feb fev", "mar maa mrt", "apr abr avr", "may mai mei mag", "jun juin giu",
         "jul juil lug", "aug ago aou", "sep set", "oct okt ott out", "nov", "dec dez dic"), 1,
    )
    for start in starts.split()
}  # fmt: skip
_DATE_CLASS = re.compile("[dD]ate|publish|posted")


def _date(claims: _Claims, main: _Node, near: _Near, url: str | None) -> str | None:
    """When the page was published, from the most to the least explicit claim."""
    return (
        _node_date(main)
        or claims.first(_DATES, _iso)
        or _time_element([element for element in near() if element.tag == "time"])
        or _path_date(url)
        or _visible_date(near())
        or _time_element(claims.times[:5])
        or _marked_date(near())
        or (_modified(claims, main) if _is_article(claims, main) else None)
    )


def _is_article(claims: _Claims, main: _Node) -> bool:
    return _rank(main) == 0 or "article" in claims.metas.get("og:type", ())


def _modified(claims: _Claims, main: _Node) -> str | None:
    """When an article that does not say when it was published was last changed."""
    return claims.first(_MODIFIED, _iso) or _iso(main.get("dateModified"))


def _node_date(main: _Node) -> str | None:
    """The date of the node that speaks for the page, unless it is a product's or another work's own."""
    if _rank(main) not in (0, 2):
        return None
    return _iso(main.get("datePublished")) or _iso(main.get("dateCreated"))


def _time_element(times: list[HtmlElement]) -> str | None:
    """The date of the first of these time elements that says it is the publication's, else of the first."""
    for element in sorted(times, key=_time_rank):
        if not _in_comments(element) and (date := _iso(element.get("datetime") or _text(element, 100))):
            return date
    return None


def _time_rank(element: HtmlElement) -> int:
    marks = f"{element.get('itemprop')} {element.get('class')} {' '.join(element.keys())}".lower()
    return 2 if "updat" in marks or "modif" in marks else 0 if "publi" in marks or "pubdate" in marks else 1


def _path_date(url: str | None) -> str | None:
    found = _IN_PATH.search(url[:_URL_CAP]) if url else None
    return _calendar(*found.groups()) if found else None


def _visible_date(near: list[HtmlElement]) -> str | None:
    """A date that stands by itself next to the headline; one that says "updated" only where no other is."""
    late = None
    for element in near[:_CLOSE]:
        for text in (element.text, element.tail):
            if text and 6 <= len(text := text.strip()) <= 80 and (date := _iso(text)):
                if not _UPDATED.search(text):
                    return date
                late = late or date
    return late


def _marked_date(near: list[HtmlElement]) -> str | None:
    """A date further away, which its class or itemprop calls one."""
    for element in near[_CLOSE:]:
        marks = element.get("class") or element.get("itemprop")
        if marks and _DATE_CLASS.search(marks) and not _in_comments(element):
            text = _text(element, 100)
            if text and len(text) <= 60 and (date := _iso(text)):
                return date
    return None


def _iso(value: object) -> str | None:
    """A date as ISO 8601, with the time and zone it was given with; None where it is none, or ambiguous."""
    if not isinstance(value, str):
        return None
    text = value[:200].strip()
    if not _YEAR.search(text):
        return None
    found = _ISO.search(text)
    if found:
        return _moment(found)
    if found := _YEAR_FIRST.search(text):
        return _calendar(found[1], found[3], found[4])
    if found := _COMPACT.match(text):
        return _calendar(found[1], found[2], found[3])
    return _worded(text)


def _moment(found: re.Match[str]) -> str | None:
    year, month, day, hour, minute, second, zone = found.groups()
    date = _calendar(year, month, day)
    if date is None or hour is None:
        return date
    zone = "+00:00" if zone in ("Z", "UTC", "GMT") else f"{zone[:3]}:{zone[-2:]}" if zone else ""
    moment = f"{date}T{int(hour):02}:{minute}:{second or '00'}{zone}"
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return date
    return moment


def _worded(text: str) -> str | None:
    """A date with the month's name, or in figures where day and month cannot be mistaken."""
    for found in _MONTH_FIRST.finditer(text):
        if date := _calendar(found[3], _month(found[1]), found[2]):
            return date
    for found in _DAY_FIRST.finditer(text):
        if date := _calendar(found[3], _month(found[2]), found[1]):
            return date
    if sorted_date := _YEAR_MONTH.search(text):
        return _calendar(sorted_date[1], _month(sorted_date[2]), sorted_date[3])
    if dotted := _DOTTED.search(text):
        return _calendar(dotted[3], dotted[2], dotted[1])
    if slashed := _SLASHED.search(text):
        first, second = int(slashed[1]), int(slashed[2])
        if first > 12 or second > 12 or first == second:
            return _calendar(slashed[3], min(first, second), max(first, second))
    return None


def _month(word: str) -> int:
    letters = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if c.isalpha())
    return _MONTHS.get(letters[:4]) or _MONTHS.get(letters[:3]) or 0


def _calendar(year: str | int, month: str | int, day: str | int) -> str | None:
    """A day of the calendar as ISO 8601; None where there is no such day, or it is the epoch, a placeholder."""
    try:
        date = datetime(int(year), int(month), int(day))  # noqa: DTZ001 (a day, no moment)
    except ValueError:
        return None
    epoch = (date.year, date.month, date.day) == (1970, 1, 1)
    return date.date().isoformat() if _EARLIEST <= date.year <= _LATEST and not epoch else None


# --- language, licence, address -----------------------------------------------------------------------------

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{2,8})*)")
_UNSOUND = re.compile(rf"[\s<>\"\\]|{_INVISIBLE.pattern}")
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_CC = re.compile(
    r"^https?://(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)/(\d\.\d)(?:/([a-z]{2,3}))?(?=[/?#]|$)",
    re.IGNORECASE,
)
_CC_NAME = re.compile(r"\bCC[ -](BY(?:-NC)?(?:-ND|-SA)?|0)(?:[ -](\d\.\d))?\b", re.IGNORECASE)
_SPDX = re.compile(
    r"(?:MIT|Apache-2\.0|CC0-1\.0|(?:L|A)?GPL-[23]\.\d(?:-only|-or-later)?|GFDL-1\.[123](?:-\w+)*|OGL-UK-[123]\.0)"
)
_RESERVED = re.compile(
    r"\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés|todos los derechos reservados)\b",
    re.IGNORECASE,
)
_LANGUAGES = ("content-language", "dc.language", "dcterms.language", "language", "og:locale", "inlanguage")


def _language(tree: HtmlElement, claims: _Claims, main: _Node) -> str | None:
    root = tree.getroottree().getroot()
    said = (_bcp47(root.get(name)) for name in ("lang", _XML_LANG, "xml:lang"))
    return next(filter(None, said), None) or claims.first(_LANGUAGES, _bcp47) or _bcp47(main.get("inLanguage"))


def _bcp47(value: object) -> str | None:
    """A language tag in the letter case of RFC 5646 section 2.1.1, or None."""
    found = _LANGUAGE.fullmatch(value.strip()[:36]) if isinstance(value, str) else None
    if not found:
        return None
    rest = re.split("[-_]", found[2])[1:]
    cased = [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in rest
    ]
    return "-".join([found[1].lower(), *cased])


def _licence(tree: HtmlElement, claims: _Claims, main: _Node, url: str | None) -> str | None:
    """The licence that the page declares for itself, "conflict" where two claims disagree.

    "All rights reserved" alone is no licence, but it contradicts an open one.
    """
    hrefs = [link.get("href") for link in claims.links if link.get("rel") == "license"]
    hrefs += [anchor.get("href") for anchor in claims.anchors if _licenses_page(anchor)]
    said: list[object] = [claim for name in _LICENCES for claim in claims.metas.get(name, ())]
    said += [
        one.get("url") or one.get("@id") if isinstance(one, dict) else one for one in _list(main.get("license"))
    ]
    names = [*(_licence_name(href, url) for href in hrefs), *(_licence_name(claim, None) for claim in said)]
    found = list(dict.fromkeys(filter(None, names)))
    opened = bool(found) and "://" not in found[0]
    if len(found) > 1 or (opened and _all_rights_reserved(tree)):
        return "conflict"
    return next(iter(found), None)


def _licenses_page(anchor: HtmlElement) -> bool:
    """Whether a link says that it is to the page's licence; inside a figure it is to a picture's."""
    around = {parent.tag for parent in islice(anchor.iterancestors(), 50)}
    return "license" in anchor.get("rel", "").lower().split() and not around & {"figure", "figcaption"}


def _licence_name(claim: object, url: str | None) -> str | None:
    """A licence as an SPDX-like name where it is a well-known one, as an absolute URL elsewhere."""
    text = _plain(claim, _URL_CAP)
    if not text:
        return None
    deed = _CC.match(text)
    if deed:
        kind, short, version, place = deed.groups()
        name = {"zero": "CC0", "mark": "CC-PDM"}.get(short.lower(), f"CC-{short.upper()}")
        ported = f"-{place.upper()}" if place and kind.lower() == "licenses" and version < "4.0" else ""
        return f"{name}-{version}{ported}"
    if _SPDX.fullmatch(text):
        return text
    named = _CC_NAME.search(text) if len(text) < 200 and "/" not in text else None
    if named:
        return "-".join(filter(None, ["CC0" if named[1] == "0" else f"CC-{named[1].upper()}", named[2]]))
    return _address(text, url)


def _all_rights_reserved(tree: HtmlElement) -> bool:
    for element in tree.iter():
        shown = isinstance(element.tag, str) and element.tag not in _UNREAD
        if (shown and _RESERVED.search(element.text or "")) or _RESERVED.search(element.tail or ""):
            return True
    return False


def _canonical(claims: _Claims, url: str | None) -> str | None:
    """The address that the page declares, absolute and http(s); where it came from is another matter."""
    said = [link.get("href") for link in claims.links if link.get("rel") == "canonical"]
    return next(
        (found for claim in [*said, *claims.metas.get("og:url", ())] if (found := _address(claim, url))), None
    )


def _address(claim: object, url: str | None) -> str | None:
    """A claim as an absolute http(s) URL without fragment, or None: no other scheme, no user, no blanks."""
    if not isinstance(claim, str) or len(claim) > _URL_CAP:
        return None
    claim = claim.strip()
    try:
        address = urldefrag(claim if claim[:8].lower() == "https://" else urljoin(url or "", claim)).url
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return None
    return address if sound and len(address) <= _URL_CAP and not _UNSOUND.search(address) else None
