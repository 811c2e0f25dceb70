"""What a page holds but does not show: hidden elements, and text that only screen readers read out.

What a reader opens with a click is text as that of ``details`` is: the answers of an accordion, the panels of
tabs. So is what a server sends in hidden pieces for a script to put in its place.
"""

from __future__ import annotations

import re

from lxml import html

#: Elements that are not shown: by attribute, by their own style, closed dialogs.
_HIDDEN = (
    "descendant::*[@hidden or contains(@style, 'none') or contains(@style, 'hidden')"
    " or self::dialog[not(@open)]]"
)
_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:!\s*important\s*)?(?:;|$)", re.IGNORECASE
)
#: Classes by which frameworks hide a text from the eye and keep it for screen readers.
_UNSEEN = frozenset((
    "sr-only", "visually-hidden", "visuallyhidden", "screen-reader-text", "screen-reader-only",
    "screenreader-only",
    "element-invisible", "offscreen-text", "assistive-text", "sr_only", "sronly", "u-screenreader",
    "usa-sr-only",
    "a11y-hidden", "hidden-visually", "sr-only-focusable", "visually-hidden-focusable",
))  # fmt: skip


def find_hidden(root: html.HtmlElement, markup: str) -> set[html.HtmlElement]:
    """The outermost elements that a reader does not see."""
    found = {element for element in root.xpath(_HIDDEN) if _is_hidden(element) and not _is_opened(element)}
    if any(name in markup for name in _UNSEEN):
        # As one XPath expression of all these names it cost nearly a tenth of reading a page.
        classed: list[html.HtmlElement] = root.xpath("descendant::*[@class]")
        found.update(element for element in classed if not _UNSEEN.isdisjoint(element.get("class").split()))
    return found


def _is_hidden(element: html.HtmlElement) -> bool:
    if element.get("hidden") not in (None, "until-found") or element.tag == "dialog":
        return True
    return _STYLE.search(element.get("style") or "") is not None


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
