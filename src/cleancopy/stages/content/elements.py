"""The elements that hold a page's blocks: what they are called, what stands in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from lxml import html

from cleancopy.stages.content.arrays import Doubles, Ints

#: Elements and roles that say what text is for; each has the bit of its place here in a node's flags.
PLACES = (
    "nav", "header", "footer", "aside", "main", "article", "section", "form", "table", "ul", "li", "dl",
    "figure", "figcaption", "blockquote", "pre", "button", "a", "h1", "h2", "h3", "h4", "p", "details",
    "dialog", "td", "address", "hidden", "tabpanel",
)  # fmt: skip
_ALIASES = {
    "ol": "ul", "menu": "ul", "h5": "h4", "h6": "h4", "th": "td", "dd": "dl", "dt": "dl", "summary": "details",
}  # fmt: skip
_ROLES = {
    "navigation": "nav", "banner": "header", "contentinfo": "footer", "complementary": "aside", "main": "main",
    "article": "article", "button": "button", "dialog": "dialog", "tabpanel": "tabpanel", "form": "form",
}  # fmt: skip
_BIT = {name: 1 << bit for bit, name in enumerate(PLACES)}
_TAG_BITS = _BIT | {alias: _BIT[name] for alias, name in _ALIASES.items()}
_TAG_NAMES = (
    "p div li h1 h2 h3 h4 h5 h6 td th dd dt section article pre blockquote figcaption button form body "
    "header footer nav aside main summary caption tr table ul"
)
_TAGS = {tag: code for code, tag in enumerate(_TAG_NAMES.split())}
_PARTS = re.compile(r"[a-z]{2,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class ElementTree:
    """The elements that hold blocks and all above them, each once, parents first."""

    def __init__(self, elements: Sequence[html.HtmlElement]) -> None:
        self.parents: list[int] = []
        self.names: dict[tuple[str, ...], int] = {}
        self.called: list[int] = []
        tags: list[str] = []
        flags: list[int] = []
        depths: list[int] = []
        paths: list[int] = []
        labels: list[str] = []
        seen: dict[tuple[str, str, str], int] = {}
        index: dict[html.HtmlElement, int] = {}
        nodes = []
        last: html.HtmlElement | None = None
        node = -1
        for element in elements:
            if element is not last:
                new, above, last = [], element, element
                while above is not None and above not in index:
                    new.append(above)
                    above = above.getparent()
                node = -1 if above is None else index[above]
                while new:
                    opened = new.pop()
                    tag = opened.tag
                    label, names, bits = _describe(opened, tag)
                    over = around = ""
                    depth = 0
                    if node >= 0:
                        bits |= flags[node]
                        depth = depths[node] + 1
                        over = labels[node]
                        up = self.parents[node]
                        around = labels[up] if up >= 0 else ""
                    self.parents.append(node)
                    node = index[opened] = len(tags)
                    tags.append(tag)
                    flags.append(bits)
                    depths.append(depth)
                    labels.append(label)
                    self.called.append(self.names.setdefault(names, len(self.names)))
                    paths.append(seen.setdefault((label, over, around), len(seen)))
            nodes.append(node)
        self.of_blocks = np.array(nodes, np.int64)
        codes = [_TAGS.get(tag, -1) for tag in tags]
        self.tags, self.flags, self.depths, self.paths = (
            np.array(column, np.int64) for column in (codes, flags, depths, paths)
        )


def _describe(element: html.HtmlElement, tag: str) -> tuple[str, tuple[str, ...], int]:
    """What an element is called: one name for it, its tokens, and the bits of what it and its role are."""
    items = element.items()
    if not items:
        return _describe_bare(tag)
    attributes = dict(items)
    classes = attributes.get("class", "")[:400]
    if len(attributes) == ("class" in attributes):
        return _describe_classed(tag, classes)
    get = attributes.get
    hidden = get("aria-hidden") == "true" or "hidden" in attributes
    if style := get("style"):
        hidden = hidden or "display:none" in style.replace(" ", "")
    return _describe_marked(
        tag, classes, get("id", "")[:100], get("itemprop", "")[:20], get("role", "")[:20], hidden
    )


@cache
def _describe_bare(tag: str) -> tuple[str, tuple[str, ...], int]:
    """What an element without attributes is called: its tag; see ``_describe``."""
    return _describe_classed(tag, "")


@lru_cache(maxsize=20_000)
def _describe_classed(tag: str, classes: str) -> tuple[str, tuple[str, ...], int]:
    """What an element is called that has classes at most; see ``_describe``."""
    name = tag + "." + ".".join(sorted(classes.split())[:3]) if classes else tag
    tokens = _tokens(classes)
    return name, tokens if tag in ("div", "span") else (*tokens, "tag:" + tag), _TAG_BITS.get(tag, 0)


@lru_cache(maxsize=20_000)
def _describe_marked(
    tag: str, classes: str, mark: str, prop: str, role: str, hidden: bool
) -> tuple[str, tuple[str, ...], int]:
    """What an element with attributes is called; see ``_describe``."""
    name, tokens, bits = _describe_classed(tag, classes)
    if mark:
        tokens += _tokens(mark)
    if prop:
        tokens = (*tokens, "itemprop:" + prop.lower())
    if role := role.strip().lower():
        tokens = (*tokens, "role:" + role)
        bits |= _BIT.get(_ROLES.get(role, ""), 0)
    if hidden:
        bits |= _BIT["hidden"]
    return name, tokens, bits


@lru_cache(maxsize=20_000)
def _tokens(marks: str) -> tuple[str, ...]:
    """The words of a class or id attribute, and each name as a whole."""
    tokens: list[str] = []
    for mark in marks[:400].split()[:8]:
        parts = _PARTS.findall(mark if mark.islower() else _CAMEL.sub("-", mark).lower())
        tokens += parts
        if len(parts) > 1:
            tokens.append("-".join(parts[:4]))
    return tuple(tokens[:16])


def mass_in_nodes(nodes: Ints, numbers: Doubles, parents: Sequence[int]) -> Doubles:
    """For each node the sum of the numbers of all blocks in it; parents stand before what they hold."""
    sums = np.bincount(nodes, numbers, len(parents)).tolist()
    for node in range(len(sums) - 1, 0, -1):
        sums[parents[node]] += sums[node]
    return np.array(sums)


def locate_main(nodes: Ints, mass: Doubles, parents: Sequence[int]) -> tuple[Doubles, Ints, int]:
    """For each node the share of the mass that it holds, and the steps to the main node; that node's depth.

    The main node is the deepest that holds more than half; nodes in it stand some steps below (from 0), the
    others branch off some steps above it (below 0).
    """
    held = mass_in_nodes(nodes, mass, parents) / max(float(mass.sum()), 1e-9)
    up = int(np.flatnonzero(held > 0.5).max(initial=0))
    steps: list[int] = [0] * len(parents)
    inside, way = [False] * len(parents), 0
    inside[up] = True
    on_way = set()
    while up >= 0:
        on_way.add(up)
        steps[up], up, way = way, parents[up], way - 1
    for at, above in enumerate(parents):
        if at not in on_way and above >= 0:
            inside[at] = inside[above]
            steps[at] = steps[above] + inside[above]
    return held, np.array(steps, np.int64), -way
