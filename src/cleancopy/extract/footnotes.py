"""Footnotes: the marks in the text that refer to a note, the notes, and the way back."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lxml import etree, html

#: What a reference shows: a number or a letter, perhaps in brackets, or signs of its own.
_MARK = re.compile(
    r"[\[({]?\s*(?:(?:note|fn|n\.?)\s*)?(?:\d{1,3}|[a-z]{1,2}|[ivxl]{1,6}|[*†‡§¶#]{1,4})\s*[\])}]?",
    re.IGNORECASE,
)
#: What leads back from a note to its reference, besides the mark of the note itself.
_BACK = re.compile(
    r"[\s↩↑↵⏎⤴^\ufe0e\ufe0f\[\](){}.:↲⇧⬆a-z\d]{0,12}|(?:back|return|jump up)\b.{0,30}", re.IGNORECASE
)
_NOTE_LIKE = re.compile(
    r"(?:^|[^a-z])(?:fn|ftn|note|footnote|endnote|cite|ref|bib|sdfootnote|easy-footnote)", re.IGNORECASE
)
_BLOCKS = frozenset(["li", "p", "div", "dd", "dt", "td", "tr", "aside", "section", "blockquote"])
_MOST = 5_000
_CANDIDATES = etree.XPath("descendant::a[contains(@href, '#')]")


class Note(NamedTuple):
    """What an element is to a footnote (``footnote``, ``note``, ``note_mark``), and the footnote's name."""

    kind: str
    name: str


def find_footnotes(root: html.HtmlElement, page: str) -> dict[html.HtmlElement, Note]:
    """The references to footnotes, the notes that they lead to, and the links back, by element.

    A reference is a short mark that links to a place further down the page, in a block that links back or is
    named as a note.
    """
    candidates: Any = _CANDIDATES(root)
    links = [
        (link, target)
        for link in candidates
        if (href := link.get("href")) and (target := _fragment(href, page))
    ]
    if not links or len(links) > _MOST:
        return {}
    marks = [(link, target) for link, target in links if _is_mark(link)]
    if not marks:
        return {}
    places = _named(root, {target for _, target in links})
    order = {element: number for number, element in enumerate(root.iterdescendants())}
    noted: dict[html.HtmlElement, Note] = {}
    notes: dict[html.HtmlElement, str] = {}
    for link, target in marks:
        note = _block_of(places.get(target), root)
        if (
            note is None
            or note in link.iterancestors()
            or (order[note] < order[link] and not _is_note_like(target))
        ):
            continue
        if _leads_back(note, link, places, page) or _is_note_like(target):
            if order[note] < order[link]:
                continue
            noted[link] = Note("footnote", notes.setdefault(note, target))
    for note, name in notes.items():
        noted[note] = Note("note", name)
        noted.update(dict.fromkeys(_ways_back(note, page), Note("note_mark", name)))
    return noted


def _fragment(href: str, page: str) -> str:
    address, _, fragment = href.partition("#")
    return fragment if not address or address == page or page.endswith(address) else ""


def _is_mark(link: html.HtmlElement) -> bool:
    text = "".join(link.itertext()).strip()
    return 0 < len(text) <= 12 and _MARK.fullmatch(text) is not None


def _is_note_like(target: str) -> bool:
    return _NOTE_LIKE.search(target) is not None


def _named(root: html.HtmlElement, wanted: set[str]) -> dict[str, html.HtmlElement]:
    elements: dict[str, html.HtmlElement] = {}
    for element in root.xpath("descendant::*[@id or @name]"):
        for name in (element.get("id"), element.get("name")):
            if name in wanted:
                elements.setdefault(name, element)
    return elements


def _block_of(place: html.HtmlElement | None, root: html.HtmlElement) -> html.HtmlElement | None:
    """The block of a note: its target, or the block that the target stands in."""
    while place is not None and place is not root and place.tag not in _BLOCKS:
        place = place.getparent()
    return None if place is root else place


def _leads_back(
    note: html.HtmlElement, link: html.HtmlElement, places: dict[str, html.HtmlElement], page: str
) -> bool:
    around = {link, *link.iterancestors("sup", "span", "cite"), *link.iterdescendants()}
    return any(
        places.get(_fragment(back.get("href") or "", page)) in around
        for back in note.iterdescendants("a")
        if "#" in (back.get("href") or "")
    )


def _ways_back(note: html.HtmlElement, page: str) -> list[html.HtmlElement]:
    return [
        back
        for back in note.iterdescendants("a")
        if _fragment(back.get("href") or "", page) and _BACK.fullmatch("".join(back.itertext()).strip())
    ]
