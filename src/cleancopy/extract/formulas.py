"""Formulas as a page holds them: MathML, KaTeX, MathJax, pictures whose alt or address is TeX, and raw TeX."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from lxml import etree, html

from cleancopy.document import Span
from cleancopy.extract.mathml import tex_of
from cleancopy.extract.page import Page


class Formula(NamedTuple):
    """A formula: its TeX, and whether it stands on a line of its own."""

    tex: str
    display: bool = False


_COMMAND = re.compile(r"\\(?:[A-Za-z]{2,}|[,;!|{}])|[A-Za-z0-9)}][_^][{A-Za-z0-9]")
_TEX_CLASS = re.compile(r"(?:^|[\s_-])(?:tex|latex|math)(?:$|[\s_-])", re.IGNORECASE)
#: TeX in the address of a picture that a service draws: from the first command on.
_IN_ADDRESS = re.compile(r"(?:[?&](?:chl|eq|tex|latex|math|formula)=|[?/])((?:[^/?&=]*\\[A-Za-z]+)[^?&]*)$")
_LONGEST = 5_000


#: Elements with one of these classes may be what KaTeX or MathJax made of a formula.
CLASSES = frozenset(["katex", "katex-display"])
CLASS_BEGINNING = "MathJax"
_SCRIPTED = etree.XPath("boolean(descendant-or-self::script[starts-with(@type, 'math/')])")


def formula_of(element: html.HtmlElement, root: html.HtmlElement) -> Formula | None:
    """The formula that an element shows; one without TeX where a script beside it has that, None for none."""
    if element.tag == "script":
        tex = (element.text or "").strip()
        tex = tex.removeprefix("% <![CDATA[").removesuffix("%]]>").strip()
        return Formula(tex, "mode=display" in (element.get("type") or ""))
    if element.tag == "math":
        tex = tex_of(element)
        return Formula(tex, element.get("display") == "block") if tex else None
    classes = (element.get("class") or "").split()
    if any(name.startswith(CLASS_BEGINNING) for name in classes) and _SCRIPTED(root):
        return Formula("")
    math = next(element.iter("math"), None)
    tex = tex_of(math) if math is not None else ""
    if math is None or not tex:
        return None
    display = "katex-display" in classes or "MathJax_Display" in classes
    return Formula(tex, display or element.get("display") == "true" or math.get("display") == "block")


def picture_tex(picture: html.HtmlElement, alt: str, address: str) -> Formula | None:
    """The formula of a picture whose alt text, or else whose address, is TeX."""
    classes = picture.get("class") or ""
    if alt and len(alt) < _LONGEST and (_COMMAND.search(alt) if "\\" in alt else _TEX_CLASS.search(classes)):
        tex = alt.strip().strip("$").strip()
        tex = tex[2:-2].strip() if tex.startswith(("\\(", "\\[")) and tex.endswith(("\\)", "\\]")) else tex
        return Formula(tex, "display" in classes or _stands_alone(picture))
    if not alt and ("%5c" in address.lower() or "\\" in address):
        match = _IN_ADDRESS.search(unquote(address))
        return Formula(match[1], _stands_alone(picture)) if match and len(match[1]) < _LONGEST else None
    return None


def _stands_alone(picture: html.HtmlElement) -> bool:
    """Whether a picture has its paragraph to itself."""
    parent = picture.getparent()
    if parent is None or parent.tag not in ("p", "div", "figure", "center", "dd"):
        return False
    return len(parent) == 1 and not (parent.text or "").strip() and not (picture.tail or "").strip()


#: TeX between delimiters. A lone dollar sign counts as in Pandoc: no white space inside it, no digit after it.
_RAW = re.compile(
    r"\\\((?P<round>[^\n]{1,2000}?)\\\)|\\\[(?P<square>.{1,4000}?)\\\]|\$\$(?P<double>[^$]{1,4000}?)\$\$"
    r"|(?<![\\$\w])\$(?P<single>[^\s$](?:[^$\n]{0,500}?[^\s\\$])?)\$(?![\d$\w])",
    re.DOTALL,
)


def with_raw_formulas(page: Page, scripted: bool) -> Page:
    """The page with spans for the formulas that its text holds between TeX's delimiters, code aside.

    ``scripted`` says whether the page has a script that would draw them.
    """
    text = page.text
    if not scripted and "\\" not in text:
        return page
    starts = [block.start for block in page.blocks]
    code = [span for span in page.spans if span.kind in ("code", "formula")]
    added = []
    for start, end, formula in raw_formulas(text, scripted):
        block = page.blocks[bisect_right(starts, start) - 1]
        if end <= block.end and block.kind != "code" and not any(c.start < end and start < c.end for c in code):
            display = "display" if formula.display else ""
            added.append(Span(start, end, "formula", " ".join(formula.tex.split()), display))
    spans = sorted([*page.spans, *added], key=lambda span: (span.start, -span.end))
    return replace(page, spans=tuple(spans)) if added else page


def raw_formulas(text: str, scripted: bool) -> Iterator[tuple[int, int, Formula]]:
    """Start, end and TeX of each formula that a text holds between TeX's delimiters.

    A lone dollar sign may be money: it counts only where the page has TeX commands in such a place, or a script
    for formulas.
    """
    matches = list(_RAW.finditer(text))
    if not matches:
        return
    singles = [match for match in matches if match["single"]]
    sure = scripted or any("\\" in match["single"] for match in singles)
    for match in matches:
        kind = match.lastgroup or ""
        tex = match[kind].strip()
        if tex and (kind != "single" or sure) and (kind != "double" or _COMMAND.search(tex) or sure):
            yield match.start(), match.end(), Formula(tex, kind in ("square", "double"))
