"""What stands near the headline: where a page names its author and date."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice, takewhile

from lxml.html import HtmlElement

from cleancopy.extract.metadata.claims import BODY_BUDGET, Claims
from cleancopy.extract.metadata.text import TITLE_CAP, name_key, shown_text

# So many nodes around the headline are near it: up to CLOSE a byline and a date need no class that says so.
CLOSE, _FAR = 145, 300
#: Gives the nodes around the headline when it is first asked: most pages need no walk through their body.
NearHeadline = Callable[[], list[HtmlElement]]


def near_headline(tree: HtmlElement, claims: Claims, title: str | None) -> list[HtmlElement]:
    """The nodes around the headline, nearest first, comments too: where a page names its author and date."""
    headline = _headline_element(tree, claims, title)
    if headline is None:
        return []
    inside = takewhile(lambda parent: parent.tag != "body", islice(headline.iterancestors(), 50))
    path = [headline, *inside]
    after = chain.from_iterable(sibling.iter() for node in path for sibling in node.itersiblings())
    earlier = (sibling for node in path for sibling in node.itersiblings(preceding=True))
    before = chain.from_iterable(sibling.iter() for sibling in earlier)
    return [*islice(before, 15), *islice(after, 100), *islice(before, 30), *islice(after, _FAR)]


def _headline_element(tree: HtmlElement, claims: Claims, title: str | None) -> HtmlElement | None:
    """The element that bears the title: a first-level heading, else a lower one that says the same."""
    for element, text in claims.headings:
        if text == title:
            return element
    lower = islice(tree.iter("h2", "h3"), BODY_BUDGET) if title else ()
    key = name_key(title or "")
    same = (element for element in lower if name_key(shown_text(element, TITLE_CAP) or "") == key)
    # Parsers close a heading that holds a paragraph before it: the empty heading still marks the place.
    return next(chain(same, tree.iter("h1")), None)


def in_comments(element: HtmlElement) -> bool:
    """Whether an element stands among readers' comments, by the class or id of what holds it."""
    for count, parent in enumerate(element.iterancestors()):
        if count > 50 or parent.tag == "body":
            return False
        if "comment" in f"{parent.get('class')} {parent.get('id')}".lower():
            return True
    return False
