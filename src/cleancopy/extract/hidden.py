"""What a page holds but does not show: hidden elements, and text that only screen readers read out.

What a reader opens with a click is text as that of ``details`` is: the answers of an accordion, the panels of
tabs. So is what a server sends in hidden pieces for a script to put in its place.
"""

from __future__ import annotations

import re

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


def is_hidden(element: html.HtmlElement, style: str | None) -> bool:
    """Whether the page itself hides an element, by ``hidden``, by its ``style``, or as a closed dialog."""
    if not (
        element.get("hidden") not in (None, "until-found")
        or (style and _STYLE.search(style))
        or (element.tag == "dialog" and element.get("open") is None)
    ):
        return False
    return not _is_opened(element)


#: React streams what comes late into hidden elements of these names.
_STREAMED = re.compile(r"S:[0-9a-f]{1,4}")
_PANEL = re.compile(r"accordion|(?:^|[\s_-])(?:faq|answer|collapse|tab-?pane|tabpanel|toggle)", re.IGNORECASE)
_OPENERS = frozenset(["h2", "h3", "h4", "h5", "h6", "dt", "button", "summary"])
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
    before = element.getprevious()
    if element.get("role") == "tabpanel" or _PANEL.search(element.get("class") or ""):
        return True
    return before is not None and (
        (before.tag in _OPENERS and before.tag != "button")
        or before.get("aria-expanded") is not None
        or before.get("aria-controls") is not None
    )
