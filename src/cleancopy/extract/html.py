"""HTML to page text, blocks and spans: one parse, one walk.

The page text is what a reader sees with scripts off, in reading order: white space is collapsed to single
spaces (kept in ``pre``), ``<br>`` is a line end, two of them a paragraph end, the cells of a table row are
joined by " | ". A formula is its TeX, a ``select`` what is chosen in it, the reading of a ruby stands in
brackets behind the word. Alt text, scripts, what the page hides and the like are not page text; how much of it
there was is noted. ``<noscript>`` is page text only where it holds more than the rest of the page shows (forums
that render by script), and hidden elements only where they hold more than is shown, and that is little. Where a
page shows next to nothing, bodies of articles and posts that its JSON-LD declares, or else descriptions, are
page text: they are read from an element ``json-ld``, which the tree gets at its end.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from lxml import etree, html

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.addresses import Addresses
from cleancopy.extract.declared import DECLARED, NOT_XML, add_declared
from cleancopy.extract.elements import INLINE, NOT_TEXT
from cleancopy.extract.footnotes import find_footnotes
from cleancopy.extract.formulas import with_raw_formulas
from cleancopy.extract.limits import check_tree
from cleancopy.extract.page import Page
from cleancopy.extract.plain import read_plain
from cleancopy.extract.stylesheet import hidden_by_sheets
from cleancopy.extract.walk import Walk
from cleancopy.policy import Limits

__all__ = ["DECLARED", "INLINE", "NOT_TEXT", "Page", "is_markup", "parse_html", "read_html", "read_plain"]

#: Possessive, so that a thousand comments cost one look each.
_MARKUP = re.compile(
    r"(?:\s++|<\?[^>]*+>|<!--(?>.*?-->))*+"
    r"<(?:!doctype\s+html|html|head|body|title|meta|script|div|table|article|p|h1|a)\b",
    re.IGNORECASE | re.DOTALL,
)
_DOCUMENT = re.compile(r"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_SELF_CLOSED_HTML = re.compile(r"(<html[^>]{0,2000}?)/>", re.IGNORECASE)
_NONCHARACTERS = ("\ufffe".encode(), "\uffff".encode())
#: A page that shows so many characters shows its own text, however much it hides in forms and dialogs.
_OWN_TEXT = 4_000
#: Every element is an ``HtmlElement``: lxml's own lookup asks Python for each, which took a fifth of the parse.
_CLASSES = etree.ElementDefaultClassLookup(element=html.HtmlElement, comment=html.HtmlComment)


def is_markup(text: str) -> bool:
    """Whether a text begins as an HTML page does; what may stand before the first element is passed over.

    Archives put an element of their own before the page, so that its document type comes a little later.
    """
    if _MARKUP.match(text):
        return True
    return text.lstrip().startswith("<") and _DOCUMENT.search(text[:2_000]) is not None


def parse_html(markup: str, limits: Limits | None = None) -> html.HtmlElement:
    """The tree of an HTML page; comments and processing instructions are left out.

    Raises Rejection(not_html) where no element comes out. Control characters that stop libxml2 are removed
    before (the walk never sees them), a document type and a self-closed ``<html/>`` too
    (https://bugs.launchpad.net/lxml/+bug/1955915).
    """
    readable, encoded, _ = _readable(markup)
    return _parsed(readable, encoded, limits)


def _readable(markup: str) -> tuple[str, bytes, int]:
    """A page without the characters that XML has no place for, as UTF-8 too, and how many they were.

    The bytes are looked at first: ten times as fast as the text, where nearly no page has any.
    """
    encoded = markup.encode("utf-8", "replace")
    code = np.frombuffer(encoded, np.uint8)
    white = sum(np.count_nonzero(code == sign) for sign in b"\t\n\r")
    if np.count_nonzero(code < 0x20) == white and (
        b"\xef" not in encoded or not any(map(encoded.__contains__, _NONCHARACTERS))
    ):
        return markup, encoded, 0
    readable = NOT_XML.sub("", markup)
    return readable, readable.encode("utf-8", "replace"), len(markup) - len(readable)


def _parsed(markup: str, encoded: bytes, limits: Limits | None) -> html.HtmlElement:
    doctype = _DOCTYPE.match(markup)
    if doctype:
        markup = markup[doctype.end() :]
        encoded = encoded[len(doctype[0].encode("utf-8", "replace")) :]
    head = markup[:4096]
    opened = _SELF_CLOSED_HTML.sub(r"\1>", head, count=1)
    if opened != head:
        encoded = opened.encode("utf-8", "replace") + encoded[len(head.encode("utf-8", "replace")) :]
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False)
    parser.set_element_class_lookup(_CLASSES)
    try:
        tree = html.document_fromstring(encoded, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, AssertionError) as error:
        raise Rejection(
            RejectReason.NOT_HTML, f"no HTML element was found ({error}); check what the file really is"
        ) from error
    if not isinstance(tree.tag, str):
        raise Rejection(RejectReason.NOT_HTML, "no HTML element was found; check what the file really is")
    if limits is not None:
        check_tree(tree, parser.error_log, limits)
    return tree


def read_html(
    markup: str, *, url: str | None = None, repair: bool = True, limits: Limits | None = None
) -> Page:
    """The page of an HTML text: page text, blocks, spans and repairs from one parse and one walk.

    ``url`` is what relative addresses begin at. With ``repair`` the text nodes of the tree are repaired
    in place first, so that whoever reads the tree later sees the same text. Raises Rejection(parse_depth) for
    a tree deeper than the ``limits``.
    """
    readable, encoded, unreadable = _readable(markup)
    tree = _parsed(readable, encoded, limits)
    body = tree.find("body")
    root = tree if body is None else body
    addresses = Addresses(tree, url)
    notes = find_footnotes(root, addresses.page)

    sheeted = hidden_by_sheets(tree, root)

    def walk(*, with_hidden: bool = False, with_noscript: bool = False) -> Walk:
        return Walk(
            root, repair, addresses, notes, sheeted, with_hidden=with_hidden, with_noscript=with_noscript
        )

    best = walk()
    if sheeted and _is_shown_later(best):
        sheeted = frozenset()
        best = walk()
    if best.concealed and _is_shown_later(best):
        best = walk(with_hidden=True)
    if _noscript_length(root) > best.shown:
        best = walk(with_noscript=True)
    if add_declared(tree, root, best.shown):
        best = walk()
    removed = (f"{unreadable} control characters were removed before the parse",) if unreadable else ()
    return with_raw_formulas(replace(best.page(tree), notes=removed + best.notes), best.draws_formulas)


def _is_shown_later(page: Walk) -> bool:
    """Whether a page hides more than it shows, and shows little: then a script shows it."""
    return page.shown < _OWN_TEXT and _hidden_length(page.concealed) > page.shown


def _hidden_length(hidden: list[html.HtmlElement]) -> int:
    inside = (inner for element in hidden for inner in element.iter() if inner.tag not in NOT_TEXT)
    return sum(len((inner.text or "").strip()) for inner in inside)


def _noscript_length(root: html.HtmlElement) -> int:
    return sum(len(" ".join(element.itertext()).strip()) for element in root.iter("noscript"))
