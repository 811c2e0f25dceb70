"""Which elements the style sheets in a page hide: its ``<style>`` elements, as a desktop screen reads them.

Only ``display`` and ``visibility`` are looked at. A rule hides by selectors of tags, classes, ids, attributes,
``:not()`` and descendants or children; one that says more hides nothing, so that text is kept in doubt. A rule
that shows is taken more widely: what it says beyond that is passed over, unless it needs a pointer or a key.
Sheets from elsewhere are not known; what they show again shows up as an element that holds the page's own text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from lxml import html

#: A page with more characters of style than this keeps what they hide.
_LONGEST = 2_000_000
#: Selectors that are looked at, at most, and elements that one page may have hidden this way.
_MOST_RULES = 5_000
_HIDES = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)", re.DOTALL)
_BRACES = re.compile(r"([^{}]*+)([{}])")
_DECLARATION = re.compile(
    r"(?:^|;)\s*(display|visibility)\s*:\s*([a-z-]+)[^;!]*(!\s*important)?", re.IGNORECASE
)
#: The width in pixels of the screen that ``@media`` is asked for.
_WIDTH = 1_280
_WIDTHS = re.compile(r"\(\s*(min|max)-width\s*:\s*([\d.]+)(px|r?em)\s*\)", re.IGNORECASE)
_COMPOUND = re.compile(
    r"(?P<tag>\*|[a-z][\w-]*)|\.(?P<class>(?:[\w-]|\\.|[^\x00-\x7f])+)|#(?P<id>(?:[\w-]|\\.|[^\x00-\x7f])+)"
    r"|\[\s*(?P<name>[\w-]+)\s*(?:(?P<test>[~|^$*]?=)\s*[\"']?(?P<value>[^\"'\]]*)[\"']?\s*)?\]"
    r"|:not\((?P<not>[^():]*)\)|(?P<other>::?[a-z-]+(?:\((?:[^()]|\([^()]*\))*\))?)",
    re.IGNORECASE,
)
_STEP = re.compile(r"\s*([>\s])\s*")
_LAST = re.compile(r"[\s>+~]+")
_USED = re.compile(r":(?:hover|focus|active|target|checked|open|popover|placeholder|selection|before|after)")
#: What holds these holds the page's own text: scripts, or a sheet from elsewhere, will show it.
_OWN_TEXT = ("main", "article", "h1")


@dataclass(frozen=True, slots=True)
class _Compound:
    """What a selector asks of one element."""

    tag: str
    id: str
    classes: frozenset[str]
    attributes: tuple[tuple[str, str, str], ...]
    without: tuple[_Compound, ...]

    def fits(self, element: html.HtmlElement) -> bool:
        """Whether an element is as the selector asks."""
        if self.tag and self.tag != element.tag:
            return False
        if self.id and self.id != element.get("id"):
            return False
        if self.classes and not self.classes.issubset((element.get("class") or "").split()):
            return False
        return all(_has(element, *attribute) for attribute in self.attributes) and not any(
            other.fits(element) for other in self.without
        )

    @property
    def key(self) -> str:
        """What an element must have to be looked at: its id, one of its classes, or its tag."""
        if self.id:
            return f"#{self.id}"
        return f".{min(self.classes)}" if self.classes else self.tag


@dataclass(frozen=True, slots=True)
class _Rule:
    """One selector, the way from the element upwards, and what it says: a property, and whether that hides."""

    steps: tuple[tuple[str, _Compound], ...]
    rank: tuple[bool, int, int, int, int]
    property: str
    hides: bool

    def fits(self, element: html.HtmlElement) -> bool:
        """Whether the rule is about an element."""
        return self.steps[0][1].fits(element) and _fits_above(element, self.steps)


def _fits_above(element: html.HtmlElement, steps: tuple[tuple[str, _Compound], ...]) -> bool:
    """Whether the elements around one are as the rest of a selector asks, each step the nearest that fits."""
    at: html.HtmlElement | None = element
    for (combinator, _), (_, wanted) in pairwise(steps):
        at = at.getparent() if at is not None else None
        while combinator != ">" and at is not None and not wanted.fits(at):
            at = at.getparent()
        if at is None or not wanted.fits(at):
            return False
    return True


def _has(element: html.HtmlElement, name: str, test: str, value: str) -> bool:
    given: str | None = element.get(name)
    if given is None or not test:
        return given is not None
    if test == "=":
        return given == value
    if not value:
        return False
    tests = {
        "~=": value in given.split(),
        "|=": given == value or given.startswith(f"{value}-"),
        "^=": given.startswith(value),
        "$=": given.endswith(value),
        "*=": value in given,
    }
    return bool(tests[test])


def hidden_by_sheets(tree: html.HtmlElement, body: html.HtmlElement) -> frozenset[html.HtmlElement]:
    """The elements below a page's body that its own style sheets hide, the outermost and those inside them."""
    sheets = [sheet.text for sheet in tree.iter("style") if sheet.text and _is_for_screens(sheet.get("media"))]
    style = "\n".join(sheets)
    if len(style) > _LONGEST or not _HIDES.search(style):
        return frozenset()
    hiding = _by_key(style, True)
    if not hiding:
        return frozenset()
    # Most elements have none of the classes, ids and tags that are asked for: they cost one look.
    named, others = (
        {key[1:] for key in hiding if key[:1] in (".", "#")},
        {key for key in hiding if key[:1] not in ".#"},
    )
    hidden = []
    for element in body.iterdescendants():
        classes, name = element.get("class"), element.get("id")
        if (
            (classes and not named.isdisjoint(classes.split()))
            or (name and name in named)
            or (others and (element.tag in others or "" in others))
        ):
            rules = list(_about(element, hiding))
            if rules and _is_hidden(element, rules, _by_key(style, False)):
                hidden.append(element)
    return frozenset(element for element in hidden if next(element.iter(*_OWN_TEXT), None) is None)


@lru_cache(maxsize=8)
def _by_key(style: str, hides: bool) -> dict[str, list[_Rule]]:
    """The rules of a sheet that hide, or that show, by what an element must have; a site's pages share them."""
    rules = defaultdict[str, list[_Rule]](list)
    for rule in _rules(style, hides):
        rules[rule.steps[0][1].key].append(rule)
    return dict(rules)


def _about(element: html.HtmlElement, rules: dict[str, list[_Rule]]) -> Iterator[_Rule]:
    """The rules that fit an element."""
    classes, name = element.get("class"), element.get("id")
    keys = [f".{part}" for part in classes.split()] if classes else []
    if name:
        keys.append(f"#{name}")
    for key in (*keys, element.tag, ""):
        if key in rules:
            yield from (rule for rule in rules[key] if rule.fits(element))


def _is_hidden(element: html.HtmlElement, hiding: list[_Rule], showing: dict[str, list[_Rule]]) -> bool:
    """Whether the strongest rule about ``display``, or about ``visibility``, hides an element."""
    style = element.get("style") or ""
    told = {match[1].lower() for match in _DECLARATION.finditer(style)}
    shown: list[_Rule] | None = None
    for name in {rule.property for rule in hiding} - told:
        shown = list(_about(element, showing)) if shown is None else shown
        strongest = max(
            (rule for rule in (*hiding, *shown) if rule.property == name), key=lambda rule: rule.rank
        )
        if strongest.hides:
            return True
    return False


# --- reading a sheet


def _rules(style: str, hides: bool) -> Iterator[_Rule]:
    """The rules of a sheet that hide, or those that show, and that hold on a screen."""
    for place, (selectors, text) in enumerate(_blocks(style)):
        for declaration in _DECLARATION.finditer(text):
            if _hides(declaration) is hides:
                rules = (_rule(selector, declaration, place) for selector in _split(selectors))
                yield from (rule for rule in rules if rule is not None)


@lru_cache(maxsize=2)
def _blocks(style: str) -> tuple[tuple[str, str], ...]:
    """Selectors and declarations of the blocks about ``display`` and ``visibility`` that hold on a screen."""
    if "/*" in style:
        style = _COMMENT.sub("", style)
    blocks: list[tuple[str, str]] = []
    around: list[str | None] = []  # of each open block its selectors, None where nothing in it counts
    for text, brace in _BRACES.findall(style):
        if brace == "{":
            around.append(_selectors(text.rpartition(";")[2].strip(), around))
        elif around and (selectors := around.pop()) and ("display" in text or "visibility" in text):
            blocks.append((selectors, text))
    return tuple(blocks[:_MOST_RULES])


def _selectors(prelude: str, around: list[str | None]) -> str | None:
    """The selectors of a block; empty for one that only groups rules, None where nothing in it counts."""
    if around and around[-1] != "":
        return None  # inside a rule, or where nothing counts
    if not prelude.startswith("@"):
        return prelude or None
    name, _, condition = prelude[1:].partition(" ")
    if name.lower() == "media" or name.lower().startswith("media("):
        return "" if _is_for_screens(prelude[6:]) else None
    return "" if name.lower() in ("layer", "supports") and not condition.lstrip().startswith("not") else None


def _is_for_screens(query: str | None) -> bool:
    """Whether a media query holds on a wide screen; what it asks beyond widths is taken as not so."""
    return not query or any(map(_is_for_screen, query.lower().split(",")))


def _is_for_screen(query: str) -> bool:
    rest = _WIDTHS.sub("", query)
    if not set(re.findall(r"[a-z-]+", rest)) <= {"all", "screen", "only", "and"} or "(" in rest:
        return False
    for bound, width, unit in _WIDTHS.findall(query):
        try:
            pixels = float(width) * (1 if unit == "px" else 16)
        except ValueError:
            return False
        if pixels > _WIDTH if bound == "min" else pixels < _WIDTH:
            return False
    return True


def _split(selectors: str) -> list[str]:
    """The selectors of a list; its commas in brackets part nothing."""
    return re.split(r",(?![^()]*\))", selectors)


def _hides(declaration: re.Match[str]) -> bool | None:
    """Whether a declaration hides or shows; None where it does as what is around it does."""
    name, value = declaration[1].lower(), declaration[2].lower()
    if value in ("inherit", "unset", "revert"):
        return None
    return value == ("none" if name == "display" else "hidden")


def _rule(selector: str, declaration: re.Match[str], place: int) -> _Rule | None:
    """A rule; None where its selector is not understood."""
    hides, selector = _hides(declaration), selector.strip()
    if not selector or _USED.search(selector):
        return None
    steps = _steps(selector, not hides) or (None if hides else _steps(_LAST.split(selector)[-1], True))
    if steps is None:
        return None
    parts = [compound for _, compound in steps]
    rank = (
        declaration[3] is not None,
        sum(bool(part.id) for part in parts),
        sum(len(part.classes) + len(part.attributes) + len(part.without) for part in parts),
        sum(bool(part.tag) for part in parts),
        place,
    )
    return _Rule(steps, rank, declaration[1].lower(), hides is True)


@lru_cache(maxsize=4_096)
def _steps(selector: str, loose: bool) -> tuple[tuple[str, _Compound], ...] | None:
    """The compounds of a selector from its last to its first, each with what stands before it."""
    parts = _STEP.split(selector)
    compounds = [_compound(part, loose) for part in parts[::2]]
    known = [compound for compound in compounds if compound is not None]
    if len(known) < len(compounds):
        return None
    combinators = ["", *(">" if sign == ">" else " " for sign in parts[1::2])]
    return tuple(zip(reversed(combinators), reversed(known), strict=True))


def _compound(text: str, loose: bool) -> _Compound | None:
    """What a selector asks of one element; None where it asks for something else, unless ``loose``."""
    tag, name, classes, attributes, without, end = "", "", set[str](), [], [], 0
    for part in _COMPOUND.finditer(text):
        if part.start() != end:
            return None
        end = part.end()
        if part["tag"]:
            tag = "" if part["tag"] == "*" else part["tag"].lower()
        elif part["class"]:
            classes.add(part["class"].replace("\\", ""))
        elif part["id"]:
            name = part["id"].replace("\\", "")
        elif part["name"]:
            attributes.append((part["name"].lower(), part["test"] or "", part["value"] or ""))
        elif part["not"] is not None:
            inner = [_compound(other.strip(), loose) for other in part["not"].split(",")]
            without += [other for other in inner if other is not None]
            if None in inner and not loose:
                return None
        elif not loose and part["other"].lower() != ":root":
            return None
    if end != len(text) or not text:
        return None
    return _Compound(tag, name, frozenset(classes), tuple(attributes), tuple(without))
