"""Claims as plain text: markup and invisible characters gone, white space collapsed, length capped."""

from __future__ import annotations

import html
import re
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

# The most characters of each kind of value: far more than real ones have, little for hostile ones.
TITLE_CAP, AUTHOR_CAP, NAME_CAP, DESCRIPTION_CAP, URL_CAP = 500, 300, 200, 2000, 2000
# An element that holds more nodes than this is read to there.
_EVENT_BUDGET = 400
# Controls, soft hyphen, zero-width space, direction marks and overrides, invisible operators, byte order mark,
# surrogates, noncharacters, interlinear marks and tag characters; joiners stay, scripts and emoji need them.
INVISIBLE = re.compile(
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
UNSHOWN_TAGS = frozenset(("script", "style", "svg", "noscript", "template", "button"))


def plain_text(value: object, cap: int, *, escaped: bool = True) -> str | None:
    """A claim as plain text: markup gone, whitespace collapsed, capped; None where nothing is left.

    ``escaped``: whether its entities are resolved, as in attributes and JSON-LD, which are often escaped twice.
    """
    if not isinstance(value, str):
        return None
    text = value[: 4 * cap]
    if escaped and "&" in text:
        text = html.unescape(text)
    text = INVISIBLE.sub("", text)
    if "<" in text:
        text = _untagged(text)
    return " ".join(text.split())[:cap].rstrip() or None


def _untagged(text: str) -> str:
    """The text without tags. Taking one out can join the halves of another: in the end no ``<`` stays."""
    for _ in range(8):
        shorter = _TAG.sub("", text)
        if shorter == text:
            return text
        text = shorter
    return text.replace("<", "")


def shown_text(element: HtmlElement, cap: int, between: str = "") -> str | None:
    """The text that people see in an element, no scripts or drawings; ``between`` goes between its nodes."""
    parts: list[str] = []
    remaining = 4 * cap
    walker = etree.iterwalk(element, events=("start", "end", "comment", "pi"))
    for event, node in islice(walker, _EVENT_BUDGET):
        piece = node.text if event == "start" else node.tail if node is not element else None
        if event == "start" and node.tag in UNSHOWN_TAGS:
            walker.skip_subtree()
            piece = None
        if node.tag in _BREAKS:
            parts.append(" ")
        if piece:
            parts.append(piece[:remaining])
            remaining -= len(piece)
        if remaining <= 0:
            break
    return plain_text(between.join(parts), cap, escaped=False)


def name_key(text: str) -> str:
    """Letters and digits alone, for comparing names."""
    return re.sub(r"[\W_]+", "", text.casefold())


def as_description(value: str) -> str | None:
    """A claim as a description in plain text."""
    return plain_text(value, DESCRIPTION_CAP)


def as_title(value: str) -> str | None:
    """A claim as a title in plain text."""
    return plain_text(value, TITLE_CAP)
