"""How much of a page's structure its Markdown keeps, beside trafilatura's.

    python benchmarks/structure.py [FOLDER] [--every N] [--misses KIND] [--json]

FOLDER holds ``pages/md-*`` (a page and the Markdown expected of it) and ``pages/html-*`` (a page and the HTML
expected of it); by default ``shared/corpora/structure`` beside the checkout. Markdown is read with markdown-it
(CommonMark, GFM's tables and strikethrough), HTML with lxml. No model has learned from these pages.

Each kind of element is a multiset a page; F1 = 2 * both / (ours + expected):

- cells: the words of a cell of a table that holds no other table; empty cells count neither way
- links: the words and the absolute address; links into the page itself (footnotes, contents) count neither way
- formulas: the TeX without spaces; formulas count nowhere else
- headings: the words, whatever the level; the page's own title counts neither way
- rows: the words of a list row without the lists in it
- code: the lines of a code block, without empty lines and spaces at the ends of lines
- words: all of the text, the title apart

*mean* is the average over the pages whose expected text has the kind, *pooled* counts all pages together.
A tree without ``Document.markdown`` is measured by the Markdown that its export makes of text and blocks.
``--misses KIND`` prints what is missing and what is too many, page by page.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

import lxml.html
from markdown_it import MarkdownIt

import cleancopy

FOLDER = Path(__file__).parents[2] / "shared" / "corpora" / "structure"
SUITES = ("md", "html")
KINDS = ("cells", "links", "formulas", "headings", "rows", "code", "words")
#: The address against which the expected HTML's links are made absolute.
HTML_ADDRESS = "http://fakehost/test/page.html"
_READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_HEADINGS = {f"h{level}" for level in range(1, 7)}
_INLINE = {"a", "abbr", "b", "cite", "code", "del", "em", "i", "ins", "kbd", "mark", "s", "samp", "small"}
_INLINE |= {"font", "q", "span", "strong", "sub", "sup", "tt", "u", "var", "wbr"}
# Code, where neither a dollar nor a footnote mark means anything: fenced blocks, then spans.
_CODE = re.compile(r"(?ms)^ *(`{3,}|~{3,})[^\n]*\n.*?^ *\1[`~]* *$|(?<!`)(`+)(?!`)(?:(?!\n\n).)*?(?<!`)\2(?!`)")
# Displayed, then inline as Pandoc has it: no space inside, no digit after.
_FORMULA = re.compile(
    r"(?s)(?<!\\)\$\$(.+?)\$\$|(?<![\\$])\$(?![\s$])((?:\\.|(?!\n\n)[^$\\])*?)(?<!\s)\$(?!\d)"
)
_NOTE = re.compile(r"\[\^[^\]\s]+\]:?")
_PLACE = re.compile("\ue000(\\d+)\ue001")

Elements = dict[str, Counter[str]]


class Case(NamedTuple):
    """A page, and the elements of the text that is expected of it."""

    name: str
    markup: bytes
    url: str | None
    title: str
    expected: Elements


# --- what a Markdown or HTML text holds


def elements_of(tree: lxml.html.HtmlElement, tex: list[str], url: str | None, title: str) -> Elements:
    """The multisets of a text's elements; headings that are the title are taken out of the tree first."""
    found: Elements = {kind: Counter() for kind in KINDS}
    for node in list(tree.iter(*_HEADINGS)):
        key = _key(_text(node))
        if _is_title(key, title):
            node.drop_tree()
        elif key:
            found["headings"][key] += 1
    for node in tree.iter("td", "th", "li", "a", "pre"):
        kind, key = _element(node, url)
        if key:
            found[kind][key] += 1
    places = _PLACE.findall("".join(tree.itertext()))
    found["formulas"] = Counter(_tex(tex[int(place)]) for place in places)
    found["words"] = Counter(_words(_text(tree)))
    return found


def _element(node: lxml.html.HtmlElement, url: str | None) -> tuple[str, str]:
    """The kind of a node and what it counts as; empty where it counts neither way."""
    if node.tag == "pre":
        lines = [line.rstrip() for line in "".join(node.itertext()).split("\n")]
        return "code", "\n".join(filter(None, lines))
    if node.tag == "a":
        address = _address(node.get("href"), url)
        key = _key(_text(node))
        return "links", f"{key} <{address}>" if address and key else ""
    if node.tag == "li":
        return "rows", _key(_text(node, without=("ul", "ol")))
    return "cells", "" if node.find(".//table") is not None else _key(_text(node))


def _address(href: str | None, url: str | None) -> str:
    """An absolute address as it is compared; empty for places in the page itself."""
    if not href or href.startswith("#"):
        return ""
    address = urljoin(url or "", href.strip())
    if url and urldefrag(address).url == urldefrag(url).url and "#" in address:
        return ""
    return unquote(address).rstrip("/")


def _text(node: lxml.html.HtmlElement, without: tuple[str, ...] = ()) -> str:
    """The text of a node, blocks apart, formulas left out."""
    parts: list[str] = []

    def walk(element: lxml.html.HtmlElement) -> None:
        for child in element:
            if isinstance(child.tag, str) and child.tag not in without:
                apart = "" if child.tag in _INLINE else " "
                parts.extend((apart, child.text or ""))
                walk(child)
                parts.append(apart)
            parts.append(child.tail or "")

    parts.append(node.text or "")
    walk(node)
    return _PLACE.sub(" ", "".join(parts))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())


def _key(text: str) -> str:
    """What a text is compared by: its words, or its marks where it has no word."""
    return " ".join(_words(text)) or "".join(text.split())


def _tex(formula: str) -> str:
    """A formula without spaces and without what only sets its size."""
    bare = re.sub(r"\s+", "", formula)
    if bare.startswith("{\\displaystyle") and bare.endswith("}"):
        bare = bare[1:-1]
    return bare.removeprefix("\\displaystyle")


def _is_title(key: str, title: str) -> bool:
    """Whether a heading is the page's title, which may have the site's name beside it."""
    whole = _key(title)
    return bool(key) and (key == whole or (f" {key} " in f" {whole} " and 2 * len(key) >= len(whole)))


def read_markdown(text: str, url: str | None, title: str) -> Elements:
    """The elements of a Markdown text."""
    tex: list[str] = []

    def place(found: re.Match[str]) -> str:
        tex.append(found[1] or found[2])
        return f"\ue000{len(tex) - 1}\ue001"

    pieces, end = [], 0
    for code in [*_CODE.finditer(text), None]:
        prose = text[end : code.start() if code else len(text)]
        pieces.append(_NOTE.sub(" ", _FORMULA.sub(place, prose)))
        if code:
            pieces.append(code[0])
            end = code.end()
    return elements_of(_tree(_READER.render("".join(pieces))), tex, url, title)


def _tree(markup: str) -> lxml.html.HtmlElement:
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    return lxml.html.document_fromstring(f"<html><body>{markup}</body></html>".encode(), parser=parser).find(
        "body"
    )


# --- the pages


def cases(folder: Path, suite: str) -> Iterator[Case]:
    """The pages of a suite in the order of their names."""
    for path in sorted((folder / "pages").glob(f"{suite}-*.html.gz")):
        name, markup = path.name.removesuffix(".html.gz"), gzip.decompress(path.read_bytes())
        if suite == "md":
            text = (path.parent / f"{name}.md").read_text(encoding="utf-8")
            head, _, body = text.removeprefix("```json\n").partition("\n```\n")
            title = json.loads(head).get("title") or ""
            given = re.search(rb'<!--\s*(\{.*?"url".*?\})\s*-->', markup[:2000])
            url = json.loads(given[1])["url"] if given else None
            yield Case(name, markup, url, title, read_markdown(body, url, title))
        else:
            given_title = json.loads((path.parent / f"{name}.metadata.json").read_text(encoding="utf-8"))[
                "title"
            ]
            tree = _tree((path.parent / f"{name}.expected.html").read_text(encoding="utf-8"))
            title = html.unescape(given_title or "")
            yield Case(name, markup, HTML_ADDRESS, title, elements_of(tree, [], HTML_ADDRESS, title))


# --- what the tools make of them


def ours(case: Case) -> str:
    """The Markdown of a page; empty where it is rejected."""
    try:
        document: Any = cleancopy.clean_page(case.markup, url=case.url, media_type="text/html")
    except cleancopy.CleancopyError:
        return ""
    written = getattr(document, "markdown", None)
    if written is None:
        return exported(document)
    return written() if callable(written) else written


def exported(document: Any) -> str:
    """The Markdown of a document as the export makes it of its clean text and blocks."""
    try:
        body = import_module("cleancopy.export.markdown").body
    except ImportError:
        body = import_module("cleancopy.sinks.markdown").body
    gone = sorted((cut.start, cut.end) for cut in document.cuts)

    def moved(offset: int) -> int:
        return offset - sum(min(end, offset) - start for start, end in gone if start < offset)

    blocks = [
        {"kind": block.kind, "level": block.level, "start": moved(block.start), "end": moved(block.end)}
        for block in document.blocks
    ]
    return body(document.clean, [block for block in blocks if block["start"] < block["end"]])


def theirs(case: Case) -> str:
    """trafilatura's Markdown of a page, with links, tables and formatting."""
    import trafilatura

    return (
        trafilatura.extract(
            case.markup, url=case.url, output_format="markdown",
            include_links=True, include_tables=True, include_formatting=True,
        )
        or ""
    )  # fmt: skip


TOOLS = {"cleancopy": ours, "trafilatura": theirs}


# --- scores


def f1(made: Counter[str], expected: Counter[str]) -> float:
    """F1 of a multiset against the expected one."""
    return 2 * (made & expected).total() / max(1, made.total() + expected.total())


def scores(pairs: list[tuple[Elements, Elements]]) -> dict[str, dict[str, float]]:
    """By kind: F1 as the mean of the pages that have it and pooled over all, and how many there are."""
    table = {}
    for kind in KINDS:
        both = [(made[kind], expected[kind]) for made, expected in pairs]
        shared = sum((made & expected).total() for made, expected in both)
        total = sum(made.total() + expected.total() for made, expected in both)
        having = [f1(made, expected) for made, expected in both if expected]
        table[kind] = {
            "mean": round(fmean(having), 4) if having else 0.0,
            "pooled": round(2 * shared / max(1, total), 4),
            "pages": len(having),
            "expected": sum(expected.total() for _, expected in both),
        }
    return table


def show_misses(tool: str, case: Case, made: Mapping[str, Counter[str]], kind: str) -> None:
    """Print what a page lacks and has too many of."""
    missing, extra = case.expected[kind] - made[kind], made[kind] - case.expected[kind]
    if missing or extra:
        print(f"\n{tool}, {case.name}: F1 {f1(made[kind], case.expected[kind]):.2f}")
        for mark, counted in (("-", missing), ("+", extra)):
            for element, times in list(counted.items())[:12]:
                print(f"  {mark} {times} {element[:160]!r}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--every", type=int, default=1, help="take every Nth page of a suite")
    parser.add_argument("--misses", choices=KINDS, help="print what is missing and too many of a kind")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    given = parser.parse_args()
    if not (given.folder / "pages").is_dir():
        parser.error(f"{given.folder} has no pages; give the folder of the corpus")
    pairs: dict[tuple[str, str], list[tuple[Elements, Elements]]] = defaultdict(list)
    for suite in SUITES:
        for case in list(cases(given.folder, suite))[:: given.every]:
            for tool, make in TOOLS.items():
                made = read_markdown(make(case), case.url, case.title)
                pairs[suite, tool].append((made, case.expected))
                pairs["both", tool].append((made, case.expected))
                if given.misses and tool == "cleancopy":
                    show_misses(tool, case, made, given.misses)
    table = {suite: {tool: scores(pairs[suite, tool]) for tool in TOOLS} for suite in ("both", *SUITES)}
    print(json.dumps(table, indent=1) if given.json else shown(table))


def shown(table: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> str:
    """The table for people."""
    lines = [
        f"{'suite':6}{'kind':10}{'pages':>6}{'expected':>10}"
        f"{'cleancopy mean':>17}{'pooled':>8}{'trafilatura mean':>19}{'pooled':>8}"
    ]
    for suite, tools in table.items():
        for kind in KINDS:
            own, rival = (tools[tool][kind] for tool in TOOLS)
            lines.append(
                f"{suite:6}{kind:10}{own['pages']:6.0f}{own['expected']:10.0f}"
                f"{own['mean']:17.3f}{own['pooled']:8.3f}{rival['mean']:19.3f}{rival['pooled']:8.3f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
