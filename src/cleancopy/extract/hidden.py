"""What a page holds but does not show: hidden elements, and text that only screen readers read out.

Which elements its style sheets hide, ``stylesheet`` says.
What a reader opens with a click is text as that of ``details`` is: the answers of an accordion, the panels of
tabs. So is what a server sends in hidden pieces for a script to put in its place.
"""

from __future__ import annotations

import re
from itertools import islice

from lxml import html

_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:!\s*important\s*)?(?:;|$)", re.IGNORECASE
)
#: Classes by which frameworks hide a text from the eye and keep it for screen readers.
UNSEEN = frozenset(
    [
        *("sr-only", "sr_only", "sronly", "usa-sr-only", "sr-only-focusable", "u-screenreader"),
        *("visually-hidden", "visuallyhidden", "visually-hidden-focusable", "hidden-visually", "a11y-hidden"),
        *("screen-reader-text", "screen-reader-only", "screenreader-only", "assistive-text"),
        *("element-invisible", "offscreen-text"),
    ]
)


def is_hidden(element: html.HtmlElement, style: str | None, by_sheet: bool = False) -> bool:
    """Whether the page hides an element: by a style sheet, ``hidden``, its ``style``, as a closed dialog."""
    if not (
        by_sheet
        or element.get("hidden") not in (None, "until-found")
        or (style and _STYLE.search(style))
        or (element.tag == "dialog" and element.get("open") is None)
    ):
        return False
    return not _is_opened(element)


#: React streams what comes late into hidden elements of these names.
_STREAMED = re.compile(r"S:[0-9a-f]{1,4}")
_PANEL = re.compile(r"accordion|(?:^|[\s_-])(?:faq|answer|collapse|tab-?pane|tabpanel|toggle)", re.IGNORECASE)
_OPENERS = frozenset(["h2", "h3", "h4", "h5", "h6", "dt", "summary"])
_OVERLAY = re.compile(r"modal|pop-?(?:up|over)|dialog|drawer|overlay|off-?canvas|cookie|consent", re.IGNORECASE)
#: Running text has so many characters.
_SENTENCE = 80
#: What opens a panel stands among so many elements before it.
_MOST_BEFORE = 20
_FORM = frozenset(["input", "form", "textarea", "nav"])


def _is_opened(element: html.HtmlElement) -> bool:
    """Whether a reader can open a hidden element: a panel behind a heading or a button, or of an accordion."""
    if _STREAMED.fullmatch(element.get("id") or ""):
        return True
    if (
        element.tag not in ("div", "dd", "section", "p", "ul", "ol")
        or next(element.iter(*_FORM), None) is not None
    ):
        return False
    if next(element.iterancestors("nav", "header"), None) is not None:
        return False  # a closed menu
    if element.get("role") == "tabpanel" or _PANEL.search(element.get("class") or ""):
        return True
    return _stands_behind_opener(element)


def _stands_behind_opener(element: html.HtmlElement) -> bool:
    """Whether a heading stands before an element, or what opens it does, or a button and it is running text."""
    before, parent = element.getprevious(), element.getparent()
    if before is not None and (
        before.tag in _OPENERS or before.get("aria-expanded") or before.get("aria-controls")
    ):
        return True
    if before is None and parent is not None:
        before = parent.getprevious()
    if before is None:
        return False
    openers = list(islice(before.iter(), _MOST_BEFORE))
    name = element.get("id")
    if name and any(inner.get("aria-controls") == name for inner in openers):
        return True
    return any(map(_is_opener, openers)) and not _is_overlay(element) and _is_running_text(element)


def _is_opener(element: html.HtmlElement) -> bool:
    return element.tag in _OPENERS or element.tag == "button" or element.get("role") == "button"


def _is_overlay(element: html.HtmlElement) -> bool:
    """Whether an element lies over the page when it is shown: a dialog, a drawer."""
    return element.get("role") in ("dialog", "alertdialog") or bool(
        _OVERLAY.search(f"{element.get('id') or ''} {element.get('class') or ''}")
    )


def _is_running_text(element: html.HtmlElement) -> bool:
    """Whether an element holds a sentence or more, less than half of it in links."""
    length = len(" ".join(element.text_content().split()))
    linked = sum(len(link.text_content()) for link in element.iter("a"))
    return length >= _SENTENCE and linked < length / 2
