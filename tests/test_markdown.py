"""Markdown parses back to the structure that it was made of, and what a page says in it stays text."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cleancopy.clean import read
from cleancopy.corpus.columns import EXPORT, SPAN, kept_spans
from cleancopy.document import Block, Capture, Cut, Document, Metadata, Span
from cleancopy.export import markdown
from cleancopy.markdown import write
from cleancopy.markdown.write import _Writer
from cleancopy.policy import Policy

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
URL = "https://tides.example/reports/one"
HREF = f' href="{URL}/x"'


def page(body: str, title: str | None = None) -> Document:
    """The document of a page as it is read, before any stage."""
    markup = f"<html><body><main>{body}</main></body></html>".encode()
    document = read(Capture(markup, URL, URL, media_type="text/html", charset="utf-8"), Policy())
    return replace(document, metadata=Metadata(title=title))


# ---- what a Markdown text holds

Marked = tuple[frozenset[str], str]


def inline(token: Token) -> list[Marked]:
    """The texts of a line, each with what is around it; neighbours that have the same are one."""
    runs: list[tuple[frozenset[str], str]] = []
    around: list[str] = []
    for child in token.children or []:
        if child.nesting == 1:
            href = child.attrs.get("href")
            around.append(f"link {href}" if child.type == "link_open" else child.type.removesuffix("_open"))
        elif child.nesting == -1:
            around.pop()
        else:
            text = "\n" if child.type in ("hardbreak", "softbreak") else child.content
            marks = [*around, *([child.type] if child.type in ("code_inline", "image") else [])]
            marks += [f"to {child.attrs['src']}"] if child.type == "image" else []
            runs.append((frozenset(marks), text))
    return joined(runs)


def joined(runs: Sequence[Marked]) -> list[Marked]:
    """Runs with neighbours of the same marks as one, white space as one space."""
    merged: list[Marked] = []
    for marks, text in runs:
        if merged and merged[-1][0] == marks:
            merged[-1] = (marks, merged[-1][1] + text)
        elif text:
            merged.append((marks, text))
    return [(marks, re.sub(r"[ \t]+", " ", text)) for marks, text in merged]


def parsed(text: str) -> list[Any]:
    """The blocks of a Markdown text, nested as they are."""
    return _blocks(iter(READER.parse(text)), "")


def _blocks(tokens: Any, end: str) -> list[Any]:
    blocks: list[Any] = []
    for token in tokens:
        kind = token.type.removesuffix("_open")
        if token.type == end:
            break
        if kind in ("heading", "paragraph"):
            runs = inline(next(tokens))
            next(tokens)
            blocks.append((kind, int(token.tag[1]), runs) if kind == "heading" else (kind, runs))
        elif kind in ("bullet_list", "ordered_list"):
            start = token.attrs.get("start", 1) if kind == "ordered_list" else None
            blocks.append(("list", start, _blocks(tokens, f"{kind}_close")))
        elif kind in ("list_item", "blockquote", "tr", "td", "th", "table"):
            blocks.append((kind, _blocks(tokens, f"{kind}_close")))
        elif kind in ("thead", "tbody"):
            blocks += _blocks(tokens, f"{kind}_close")
        elif kind == "inline":
            blocks.append(inline(token))
        else:
            blocks.append((kind, token.info, token.content))
    return blocks


# ---- pages of a known structure

#: Words that Markdown or HTML would read something into, and words that they would not.
HOSTILE = [
    *("*", "**", "_", "a*b", "*c*", "_d_", "`", "``e``", "<b>", "</p>", "<!--", "-->", "&amp;", "&lt", "&#42;"),
    *(
        "[f](g)",
        "![h](i)",
        "[j]",
        "[^1]",
        "<https://k.example>",
        "~~l~~",
        "~",
        "|",
        "a|b",
        "\\",
        "\\*",
        "$5",
        "$",
    ),
    *(
        "#",
        "##",
        "-",
        "+",
        "1.",
        "2)",
        "=",
        "===",
        "---",
        "***",
        ":---:",
        ">",
        "{{m}}",
        "{%n%}",
        "```",
        "~~~",
        "!",
    ),
]
WORDS = st.one_of(st.sampled_from(["tide", "water", "Höhe", "4.2", "東京", "it's"]), st.sampled_from(HOSTILE))
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
#: The tag of a mark, and what the reader calls it.
MARKS = {"strong": "strong", "em": "em", "s": "s", "code": "code_inline", "a": f"link {URL}/x"}
NESTED = ["", *MARKS, "a code", "a strong", "strong em", "em s", "em code", "strong a em", "s strong code"]


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, list[Marked]]:
    """A line of HTML, and the runs that it is made of; every run begins and ends with a letter."""
    markup, runs = [], []
    for number, nested in enumerate(draw(st.lists(st.sampled_from(NESTED), min_size=1, max_size=4))):
        text, apart = f"q{number} {draw(TEXTS)} z{number}", draw(st.sampled_from([" ", ""]))
        inner, marks = html.escape(text), nested.split()
        for mark in reversed(marks):
            inner = f"<{mark}{HREF if mark == 'a' else ''}>{inner}</{mark}>"
        markup.append(inner + apart)
        runs += [(frozenset(MARKS[mark] for mark in marks), text), (frozenset[str](), apart)]
    return "".join(markup), stripped(joined([run for run in runs if run[1]]))


def stripped(runs: list[Marked]) -> list[Marked]:
    return [*runs[:-1], (runs[-1][0], runs[-1][1].rstrip())] if runs[-1][1].strip() else runs[:-1]


HTML_LINES = lines()
Made = tuple[str, Any]


def _paragraph(line: tuple[str, list[Marked]]) -> Made:
    return f"<p>{line[0]}</p>", ("paragraph", line[1])


def _code(drawn: tuple[str, list[str]]) -> Made:
    language, rows = drawn
    attribute = f' class="language-{language}"' if language else ""
    content = "\n".join(rows)
    return f"<pre><code{attribute}>{html.escape(content)}</code></pre>", ("fence", language, content + "\n")


def _table(grid: list[list[tuple[str, list[Marked]]]]) -> Made:
    rows, expected = [], []
    for number, cells in enumerate(grid):
        tag = "th" if number == 0 else "td"
        rows.append("<tr>" + "".join(f"<{tag}>{markup}</{tag}>" for markup, _ in cells) + "</tr>")
        expected.append(("tr", [(tag, [runs]) for _, runs in cells]))
    return f"<table>{''.join(rows)}</table>", ("table", expected)


def _list(drawn: tuple[int, list[tuple[Made, list[Made]]]]) -> Made:
    start, items = drawn
    tag, expected = ("ol" if start else "ul"), []
    for (_, block), inner in items:
        expected.append(("list_item", [block, *(structure for _, structure in inner)]))
    markup = "".join(
        f"<li>{line[3:-4] if not inner else line}{''.join(m for m, _ in inner)}</li>"
        for (line, _), inner in items
    )
    attribute = f' start="{start}"' if start > 1 else ""
    return f"<{tag}{attribute}>{markup}</{tag}>", ("list", start or None, expected)


PARAGRAPHS = HTML_LINES.map(_paragraph)
CODE_ROWS = st.lists(TEXTS.map(lambda text: f"q = {text} z"), min_size=1, max_size=3)
CODE = st.tuples(st.sampled_from(["", "python", "c++"]), CODE_ROWS).map(_code)
TABLES = st.integers(2, 3).flatmap(
    lambda width: st.lists(st.lists(HTML_LINES, min_size=width, max_size=width), min_size=2, max_size=3)
).map(_table)  # fmt: skip
HEADINGS = st.tuples(st.integers(1, 6), HTML_LINES).map(
    lambda drawn: (f"<h{drawn[0]}>{drawn[1][0]}</h{drawn[0]}>", ("heading", drawn[0], drawn[1][1]))
)


def lists(inner: st.SearchStrategy[list[Made]]) -> st.SearchStrategy[Made]:
    items = st.tuples(PARAGRAPHS, inner)
    return st.tuples(st.integers(0, 12), st.lists(items, min_size=1, max_size=3)).map(_list)


LISTS = lists(st.lists(st.one_of(lists(st.just([])), CODE), max_size=1))
QUOTES = st.lists(st.one_of(PARAGRAPHS, LISTS), min_size=1, max_size=2).map(
    lambda parts: (
        f"<blockquote>{''.join(markup for markup, _ in parts)}</blockquote>",
        ("blockquote", [block for _, block in parts]),
    )
)
BLOCKS = st.lists(st.one_of(HEADINGS, PARAGRAPHS, CODE, TABLES, LISTS, QUOTES), min_size=1, max_size=4)


@given(BLOCKS)
def test_markdown_parses_back_to_the_structure_of_the_page(blocks: list[Made]) -> None:
    document = page("".join(markup for markup, _ in blocks))
    assert parsed(document.markdown) == [expected for _, expected in blocks], document.markdown


# ---- what a page says stays text

ADDRESSES = st.sampled_from(
    [
        *(
            "https://tides.example/a b",
            "http://x.example/(y)",
            "mailto:a@b.example",
            "/path",
            "?q=<b>",
            "#part",
        ),
        *(
            "javascript:alert(1)",
            "JavaScript:x",
            " javascript:x",
            "data:text/html,<b>",
            "vbscript:x",
            "file:///etc",
        ),
        *(
            "java\nscript:alert(1)",
            "\x01javascript:x",
            "https://x.example/)![a](javascript:x)",
            "]: x",
            "&#106;s:x",
        ),
        *("https://x.example/`|*_~$", '//x.example/"onload=x', "", "x:y", "javascript&colon;alert(1)"),
    ]
)
RAW_TEXTS = st.lists(st.one_of(WORDS, st.text(alphabet="ab \n*`[](!)<>~_&$|#-+=1.\\", max_size=8)), max_size=6)
INLINE = ("link", "emphasis", "strong", "strike", "code", "sub", "sup", "ruby", "picture")
SCRIPT = re.compile(r"\s*(javascript|vbscript|data|file):", re.I)


@st.composite
def spans_within(draw: st.DrawFn, start: int, end: int, depth: int = 0) -> list[Span]:
    """Spans in a range that nest, the outer ones first."""
    drawn: list[Span] = []
    while start < end and draw(st.booleans()):
        first = draw(st.integers(start, end - 1))
        kind: Any = draw(st.sampled_from(INLINE))
        last = first if kind == "picture" else draw(st.integers(first + 1, end))
        alt = " ".join(draw(RAW_TEXTS)) if kind == "picture" else ""
        drawn.append(Span(first, last, kind, draw(ADDRESSES), alt))
        if depth < 2 and kind != "picture":
            drawn += draw(spans_within(first, last, depth + 1))
        start = last + (kind == "picture")
    return drawn


@given(
    st.lists(st.tuples(st.sampled_from(["paragraph", "heading", "quote", "code"]), RAW_TEXTS), max_size=3),
    st.data(),
)
def test_whatever_a_text_and_its_spans_have_is_no_markup(
    parts: list[tuple[Any, list[str]]], data: st.DataObject
) -> None:
    text, blocks, spans = "", [], []
    for kind, words in parts:
        start, text = len(text), text + " ".join(words)
        if start < len(text):
            blocks.append(Block(start, len(text), kind, 2))
            spans += [] if kind == "code" else data.draw(spans_within(start, len(text)))
        text += "\n\n"
    title = " ".join(data.draw(RAW_TEXTS)) or None
    written = write(text, blocks, spans, title=title)
    tokens = READER.parse(written)
    inside = [child for token in tokens for child in token.children or []]
    assert not {"html_block", "html_inline"} & {token.type for token in [*tokens, *inside]}
    for child in inside:
        for attribute in ("href", "src"):
            target = unquote(str(child.attrs.get(attribute, "")))
            assert not SCRIPT.match(target), written
            assert target in {"", *(span.value for span in spans)}, written
    assert not written.startswith(("---", "+++", "```json"))
    shown = "".join(child.content for child in inside if child.type in ("text", "code_inline"))
    shown += "".join(token.content for token in tokens if token.type == "fence")
    assert characters(shown) >= characters(text)


def characters(text: str) -> Counter[str]:
    """The characters of a text but for white space; raised and lowered ones as those that they stand for."""
    return Counter("".join(unicodedata.normalize("NFKC", text).replace("−", "-").split()))


# ---- one writer

TABLE = "<table><caption>Ports</caption><tr><th colspan=2>Port</th><th>Height</th></tr>"
TABLE += "<tr><td rowspan=2>North</td><td>a|b</td><td>4.2</td></tr><tr><td>c</td><td>3.9</td></tr></table>"
EXAMPLES = {
    "a table with cells that cover several": (
        TABLE,
        "Ports\n\n| Port |  | Height |\n| --- | --- | --- |\n| North | a\\|b | 4.2 |\n|  | c | 3.9 |\n",
    ),
    "lists in lists with their numbers": (
        "<ol start=3><li>three<ul><li>in it</li></ul></li><li>four</li></ol>",
        "3. three\n   - in it\n4. four\n",
    ),
    "code with its language": (
        '<pre><code class="language-python">if a:\n    b = "```"</code></pre>',
        '````python\nif a:\n    b = "```"\n````\n',
    ),
    "formulas": (
        r'<p>So <math><annotation encoding="application/x-tex">E = mc^2</annotation></math>, in $.</p>',
        "So $E = mc^2$, in \\$.\n",
    ),
    "pictures at their place": (
        '<p>Left <img src="/a b.png" alt="A [gauge]"> right</p>',
        "Left ![A \\[gauge\\]](https://tides.example/a%20b.png) right\n",
    ),
    "templates of site makers": (
        "<p>Is {{ site.key }} and {% include a %}</p>",
        "Is {\\{ site.key }} and {\\% include a %}\n",
    ),
    "raised and lowered characters": (
        '<p>10<sup>3</sup>, H<sub>2</sub>O, the 1<sup>st</sup>, said<sup><a href="#n9">9</a></sup>.</p>',
        "10³, H₂O, the 1st, said[⁹](https://tides.example/reports/one#n9).\n",
    ),
    "addresses as people know them": (
        '<p><a href="/a_b/~c(d)?e=%41*">here</a></p>',
        "[here](https://tides.example/a_b/~c%28d%29?e=%41%2A)\n",
    ),
    "addresses that no reader may follow": (
        '<p><a href="javascript:alert(1)">one</a> <a href="data:,x">two</a> <a href="/three">three</a></p>',
        "one two [three](https://tides.example/three)\n",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_markdown_of(name: str) -> None:
    markup, expected = EXAMPLES[name]
    assert page(markup).markdown == expected


def test_links_and_pictures_can_be_left_out() -> None:
    document = page('<p>See <a href="/b">the <b>map</b></a> <img src="/a.png" alt="gauge">here.</p>')
    assert document.to_markdown(links="none", pictures=False) == "See the **map** here.\n"


def test_the_title_comes_first_and_once() -> None:
    body = "<p>Before.</p><h1>High  water</h1><p>After.</p>"
    assert page(body, "High water").markdown == "# High water\n\nBefore.\n\nAfter.\n"
    assert page(body, "Low *water*").markdown.startswith("# Low \\*water\\*\n\nBefore.\n\n# High water\n")


@given(BLOCKS, st.data())
def test_an_export_has_the_markdown_of_the_document(blocks: list[Made], data: st.DataObject) -> None:
    document = cut(page("".join(markup for markup, _ in blocks), "Tides"), data)
    row = {
        "text": document.clean,
        "blocks": [
            dict(zip(Block._fields[:4], (b.start, b.end, b.kind, b.level), strict=True))
            for b in document.kept_blocks
        ],
        "structure": [span._asdict() for span in document.kept_spans],
        "title": "Tides",
    }
    assert markdown.body(row["text"], row["blocks"], row["structure"], row["title"]) == document.markdown


# ---- spans under cuts


def cut(document: Document, data: st.DataObject) -> Document:
    """The document with some cuts."""
    edges = sorted(data.draw(st.sets(st.integers(0, len(document.text)), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return document.with_cuts(Cut(start, end, "chrome", "site-chrome", "on every page") for start, end in pairs)


@given(BLOCKS, st.data())
def test_a_cut_takes_the_spans_in_it_and_leaves_the_others_their_text(
    blocks: list[Made], data: st.DataObject
) -> None:
    whole = page('<p>A <img src="/a.png" alt="gauge"> stands.</p>' + "".join(markup for markup, _ in blocks))
    document = cut(whole, data)
    gone = [at for piece in document.cuts for at in range(piece.start, piece.end)]
    expected = []
    for span in whole.spans:
        kept = "".join(whole.text[at] for at in range(span.start, span.end) if at not in gone)
        if kept or (span.kind == "picture" and span.start not in gone):
            expected.append((span[2:], kept))
    clean = document.clean
    assert [(span[2:], clean[span.start : span.end]) for span in document.kept_spans] == expected
    assert replace(document, cuts=()).spans == whole.spans


@given(st.lists(BLOCKS, min_size=1, max_size=3), st.data())
def test_exported_spans_are_those_of_the_clean_text(pages: list[list[Made]], data: st.DataObject) -> None:
    documents = [cut(page('<p><img src="/a.png">a</p>' + "".join(m for m, _ in each)), data) for each in pages]
    rows = [[span._asdict() for span in document.spans] for document in documents]
    cuts = [[{"start": piece.start, "end": piece.end} for piece in document.cuts] for document in documents]
    missing = data.draw(st.integers(0, len(documents)))
    stored: list[Any] = [*rows[:missing], None, *rows[missing:]]
    kept = kept_spans(
        pa.array(stored, pa.list_(SPAN)),
        pa.array([*cuts[:missing], [], *cuts[missing:]], pa.list_(EXPORT.field("cuts").type.value_type)),
    ).to_pylist()
    assert kept.pop(missing) is None
    assert [[Span(**fields) for fields in row] for row in kept] == [list(d.kept_spans) for d in documents]


def test_the_work_on_a_long_table_grows_with_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Span] = []
    write_part = _Writer._cell_part

    def counted(self: _Writer, block: Block, cell: Span) -> str:
        calls.append(cell)
        return write_part(self, block, cell)

    monkeypatch.setattr(_Writer, "_cell_part", counted)
    document = page("<table>" + "<tr><td>a</td><td>b</td></tr>" * 50 + "</table>")
    assert document.markdown.count("| a | b |") == 50
    assert len(calls) == 100
