"""What a page claims, as one pass over its tree finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

from cleancopy.extract.metadata.text import DESCRIPTION_CAP, TITLE_CAP, plain_text, shown_text

# Of hostile pages only so many names of ``meta`` and so many elements of a kind are read.
_CLAIM_BUDGET = 400
BODY_BUDGET = 40
_LINKS = frozenset(("canonical", "license"))


@dataclass(frozen=True, slots=True)
class Claims:
    """What one pass over a tree finds, in document order."""

    metas: dict[str, list[str]] = field(default_factory=dict)
    links: list[HtmlElement] = field(default_factory=list)
    headings: list[tuple[HtmlElement, str]] = field(default_factory=list)
    subheadings: list[HtmlElement] = field(default_factory=list)
    anchors: list[HtmlElement] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    times: list[HtmlElement] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def first(self, names: Iterable[str], read: Callable[[str], str | None]) -> str | None:
        """The first claim under the first of these meta names that can be read."""
        return next(
            (value for name in names for claim in self.metas.get(name, ()) if (value := read(claim))), None
        )


_ANCHORS = etree.XPath("descendant::a[contains(@rel,'author') or contains(@rel,'license')]")


def _anchors(tree: HtmlElement) -> list[HtmlElement]:
    """The links that name an author or a licence."""
    anchors = _ANCHORS(tree)
    return anchors[:BODY_BUDGET] if isinstance(anchors, list) else []


def read_claims(tree: HtmlElement) -> Claims:
    """The claims of one pass; each kind has a budget, so that a flood of them costs little."""
    claims = Claims()
    for element in tree.iter("meta", "link", "title", "h1", "h2", "h3", "time", "script"):
        tag = element.tag
        if tag == "meta":
            _take_meta(element, claims.metas)
        elif tag == "script":
            if (element.get("type") or "").strip().lower().startswith("application/ld+json") and element.text:
                claims.scripts.append(element.text)
        elif tag == "link":
            if element.get("rel") in _LINKS and len(claims.links) < BODY_BUDGET:
                claims.links.append(element)
        elif tag == "time" and len(claims.times) < BODY_BUDGET:
            claims.times.append(element)
        elif tag == "title" and not claims.titles and _is_page_title(element):
            claims.titles.extend(filter(None, [plain_text(element.text, TITLE_CAP)]))
        elif tag == "h1" and len(claims.headings) < BODY_BUDGET and (text := shown_text(element, TITLE_CAP)):
            claims.headings.append((element, text))
        elif tag in ("h2", "h3") and len(claims.subheadings) < BODY_BUDGET:
            claims.subheadings.append(element)
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
            if len(values) < BODY_BUDGET:
                values.append(content[: 4 * DESCRIPTION_CAP])


def _is_page_title(element: HtmlElement) -> bool:
    """Whether a title element names the page, not a drawing: SVG has titles too."""
    return all(parent.tag != "svg" for parent in islice(element.iterancestors(), 10))
