"""Who wrote the page."""

from __future__ import annotations

import re
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

from cleancopy.extract.metadata.claims import BODY_BUDGET, Claims
from cleancopy.extract.metadata.jsonld import JsonNode, as_list
from cleancopy.extract.metadata.near import CLOSE, NearHeadline, in_comments
from cleancopy.extract.metadata.text import AUTHOR_CAP, name_key, plain_text, shown_text

_AUTHORS = (
    "citation_author", "author", "parsely-author", "sailthru.author", "dc.creator", "dcterms.creator", "byl",
    "article:author", "og:author", "og:article:author", "authors", "creator",
)  # fmt: skip
# What the ``twitter:label`` of an author says (Yoast SEO writes it in the site's language).
_WRITTEN_BY = frozenset((
    "written by", "author", "by", "verfasst von", "geschrieben von", "écrit par", "escrito por", "scritto da",
    "geschreven door", "skrevet af", "skriven av", "napisane przez", "автор", "написано автором", "yazan",
    "執筆者", "投稿者", "作者",
))  # fmt: skip


def _author_names(value: object, nodes: list[JsonNode]) -> list[str]:
    """The names in a schema.org author: strings, persons, organisations, references to nodes; lists of them."""
    names: list[str] = []
    for author in as_list(value)[:BODY_BUDGET]:
        if isinstance(author, dict) and "name" not in author and isinstance(author.get("@id"), str):
            named = (node for node in nodes if node.get("@id") == author["@id"] and "name" in node)
            author = next(named, author)
        if isinstance(author, dict):
            author = next(iter(as_list(author.get("name"))), None) or _full_name(author)
        name = _person(author) if isinstance(author, str) else None
        if name and name not in names:
            names.append(name)
    return names


def _full_name(person: JsonNode) -> str:
    parts = (person.get(part) for part in ("givenName", "additionalName", "familyName"))
    return " ".join(part for part in parts if isinstance(part, str))


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


def find_author(
    claims: Claims, nodes: list[JsonNode], main: JsonNode, near: NearHeadline, site: str | None
) -> str | None:
    """Who wrote the page, several joined by "; ", from the most to the least explicit claim.

    Where only the site itself is declared as the author, a person in the byline is the better answer.
    """
    declared = _author_names(main.get("author") or main.get("creator"), nodes) or _meta_authors(claims)
    publishers = {name_key(name) for name in (site, *_author_names(main.get("publisher"), nodes)) if name}
    if declared and not all(name_key(name) in publishers for name in declared):
        return _joined(declared)
    return _byline(claims, near) or (_joined(declared) if declared else None)


def _meta_authors(claims: Claims) -> list[str]:
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
        if len(joined) + 2 + len(name) > AUTHOR_CAP:
            break
        joined += f"; {name}"
    return joined


def _person(value: str, by: re.Pattern[str] = _BY) -> str | None:
    """A claim as the name of a person or body, or None: addresses and numbers name nobody."""
    name = plain_text(value, AUTHOR_CAP)
    if not name:
        return None
    prefix = by.match(name)
    if prefix and not _NOT_BY.match(name):
        name = name[prefix.end() :]
    name = name.strip(" ,;:|-–—•·")
    if "://" in name or name.startswith(("www.", "/", "@")) or re.search(r"\S@\S+\.\S", name):
        return None
    return name if any(c.isalpha() for c in name) and name.casefold() not in _NOBODY else None


def _byline(claims: Claims, near: NearHeadline) -> str | None:
    """The author that the body of a page names, by the most telling element; readers' comments do not count."""
    marked = [anchor for anchor in claims.anchors if "author" in anchor.get("rel", "")]
    marked += [element for element in near() if _marks_author(element)]
    marked += [element for element in near()[:CLOSE] if element.text and _says_by(element.text)]
    for element in sorted(marked, key=_byline_rank):
        if not in_comments(element) and (name := _byline_name(element)):
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
    texts = [shown_text(inner, AUTHOR_CAP, " ") for inner in marked[:1]]
    whole = shown_text(element, AUTHOR_CAP, " ")
    if whole and _BY.fullmatch(whole) and (after := element.getnext()) is not None:
        whole = element.tail if element.tail and element.tail.strip() else shown_text(after, AUTHOR_CAP, " ")
    texts += [whole, *(shown_text(inner, AUTHOR_CAP, " ") for inner in islice(element.iterdescendants("a"), 2))]
    for text in texts:
        name = _person(text, _BYLINE_BY) if text else None
        name = _AFTER.sub("", name).strip(" ,;:") if name else None
        if name and _plausible(name):
            return name
    return None


def _plausible(name: str) -> bool:
    return 2 <= len(name) <= 60 and len(name.split()) <= 6 and not re.search(r"\d\s|[!?]", name)
