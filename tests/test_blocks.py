"""HTML and plain text to page text and blocks, example by example."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy import Rejection
from cleancopy.extract.html import Page, read_html, read_plain
from conftest import corpus


def blocks(page: Page) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, page.text[block.start : block.end]) for block in page.blocks]


def html(body: str) -> Page:
    return read_html(f"<!DOCTYPE html><html><head><title>t</title></head><body>{body}</body></html>")


EXAMPLES = {
    "headings and paragraphs": (
        "<h1>One</h1><p>Two\n  three</p><h3>Four</h3>",
        [("heading", 1, "One"), ("paragraph", 0, "Two three"), ("heading", 3, "Four")],
    ),
    "inline elements do not end a line": (
        "<p>a <b>b</b><i>c</i> <a href='/'>d</a></p>",
        [("paragraph", 0, "a bc d")],
    ),
    "a line break is a line end, two are a paragraph end": (
        "<p>a<br>b<br><br>c</p>",
        [("paragraph", 0, "a\nb"), ("paragraph", 0, "c")],
    ),
    "text around child blocks is blocks of its own": (
        "<div>before<p>inside</p>after</div>",
        [("paragraph", 0, "before"), ("paragraph", 0, "inside"), ("paragraph", 0, "after")],
    ),
    "lists keep their depth": (
        "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
        [("list_item", 1, "a"), ("list_item", 2, "b"), ("list_item", 1, "c")],
    ),
    "definition lists are lists": (
        "<dl><dt>a</dt><dd>b</dd></dl>",
        [("list_item", 1, "a"), ("list_item", 1, "b")],
    ),
    "the cells of a row stand in one line": (
        "<table><tr><th>a</th><th>b</th></tr><tr><td><p>1</p></td><td>2</td></tr></table>",
        [("table_row", 0, "a | b"), ("table_row", 0, "1 | 2")],
    ),
    "a table that holds a table is layout": (
        "<table><tr><td><p>a</p><table><tr><td>b</td><td>c</td></tr></table></td></tr></table>",
        [("paragraph", 0, "a"), ("table_row", 0, "b | c")],
    ),
    "code keeps its white space": (
        "<pre><code>def f():\n    return 1\n</code></pre>",
        [("code", 0, "def f():\n    return 1")],
    ),
    "captions and credits": (
        "<figure><img alt='no text'><figcaption>A quay. <span class='photo-credit'>Photo: x</span></figcaption>"
        "</figure>"
        "<div class='wp-caption-text'>A pier.</div><div class='photo-credit'>Photo: y</div>",
        [("caption", 0, "A quay. Photo: x"), ("caption", 0, "A pier."), ("credit", 0, "Photo: y")],
    ),
    "what only looks like text is no block": ("<pre> <br> </pre><p>\u200b</p><p> &nbsp; </p>", []),
    "quotes": ("<blockquote><p>a</p></blockquote>", [("quote", 0, "a")]),
    "an accordion's button is its heading": (
        "<h4><button>What is a tide?</button></h4><button>Close</button>",
        [("heading", 4, "What is a tide?"), ("control", 0, "Close")],
    ),
    "what no reader sees is no text": (
        "<script>x</script><style>x</style><p>a text</p><template>x</template><!-- x -->"
        "<div hidden>x</div><p style='color: red; display:none'>x</p><span class='sr-only'>x</span>"
        "<dialog>x</dialog>",
        [("paragraph", 0, "a text")],
    ),
    "a menu shows what is chosen in it, else its first option": (
        "<select><option>a<option selected>b</select><p>Sort by <select><option>c<option>d</select> first</p>",
        [("control", 0, "b"), ("paragraph", 0, "Sort by c first")],
    ),
    "an element that HTML does not know stands within a line of text": (
        "<p>a <x-note>b</x-note> c</p><x-card><p>d</p></x-card><x-e>e</x-e><x-f>f</x-f>",
        [("paragraph", 0, "a b c"), ("paragraph", 0, "d"), ("paragraph", 0, "e"), ("paragraph", 0, "f")],
    ),
    "the answers of an accordion are read as those of details are": (
        "<h3>q</h3><div class='faq-answer' style='display:none'>a</div>"
        "<details><summary>r</summary>b</details>",
        [("heading", 3, "q"), ("paragraph", 0, "a"), ("paragraph", 0, "r"), ("paragraph", 0, "b")],
    ),
    "a reading stands behind its word": (
        "<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>を<ruby>読<rp>（</rp><rt>よ</rt><rp>）</rp></ruby>む</p>",
        [("paragraph", 0, "漢字(かんじ)を読（よ）む")],
    ),
    "formulas are their TeX": (
        "<p>a <math alttext='x^2'><mi>x</mi></math> b <math><mfrac><mi>a</mi><mi>β</mi></mfrac></math>"
        " <script type='math/tex'>c_1</script> <img class=tex alt='\\frac12' src='f.png'></p>",
        [("paragraph", 0, "a x^2 b \\frac{a}{\\beta} c_1 \\frac12")],
    ),
    "noscript repeats what the page shows": ("<p>a long enough text</p><noscript>a long</noscript>",
        [("paragraph", 0, "a long enough text")]),
    "noscript holds what the page does not show": (
        "<div>Loading</div><noscript><h1>Thread</h1><p>The first post.</p></noscript>",
        [("paragraph", 0, "Loading"), ("heading", 1, "Thread"), ("paragraph", 0, "The first post.")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_html(name: str) -> None:
    body, expected = EXAMPLES[name]
    assert blocks(html(body)) == expected


def test_rows_stand_line_by_line_and_paragraphs_apart() -> None:
    page = html(
        "<p>a</p><ul><li>b</li><li>c</li></ul><ul><li>d</li></ul><table><tr><td>e</td></tr><tr><td>f</td></tr></table>"
    )
    assert page.text == "a\n\nb\nc\n\nd\n\ne\nf\n"


def test_each_block_says_where_it_stands_and_how_much_of_it_is_links() -> None:
    page = html("<div>x</div><div><p>y</p><p>all <a href='/'>of it</a></p></div>")
    assert [block.path for block in page.blocks] == [
        "/html/body/div[1]",
        "/html/body/div[2]/p[1]",
        "/html/body/div[2]/p[2]",
    ]
    assert page.tree is not None
    for block, element in zip(page.blocks, page.elements, strict=True):
        assert page.tree.getroottree().xpath(block.path) == [element]
    assert page.blocks[2].link_share == pytest.approx(5 / 9, abs=0.01)


def test_a_repair_is_recorded_where_it_stands_in_the_page_text() -> None:
    page = html("<p>At the  <b>cafÃ©</b> by the quay\x07.</p><pre>cafÃ©</pre>")
    assert page.text == "At the café by the quay.\n\ncafÃ©\n"
    (first,) = page.repairs
    assert (page.text[first.start : first.end], first.rule, first.original) == ("é", "mojibake", "Ã©")
    assert page.notes == ("1 control characters were removed before the parse",)


def test_trafilatura_sees_the_repaired_tree() -> None:
    page = html("<p>cafÃ© <b>naÃ¯ve</b> thÃ©</p>")
    assert page.tree is not None
    assert page.tree.text_content().strip().endswith("café naïve thé")


def test_plain_text_is_lines_and_paragraphs() -> None:
    page = read_plain("\n  one  \ntwo\n\n\n\nthree\x00\r\n")
    assert page.text == "  one\ntwo\n\nthree\n"
    assert [page.text[b.start : b.end] for b in page.blocks] == ["  one", "two", "three"]


def test_nothing_to_parse_is_a_rejection() -> None:
    with pytest.raises(Rejection, match="no HTML element"):
        read_html("<!-- only a comment -->")


@pytest.mark.parametrize(
    "markup",
    ["<html/><p>after a self-closed html</p>", '<?xml version="1.0" encoding="x"?><p>with a declaration</p>'],
)
def test_broken_beginnings_do_not_lose_the_page(markup: str) -> None:
    assert len(blocks(read_html(markup))) == 1


TEXTS = st.text(alphabet=st.sampled_from("ab <>/&;=\"'\n\t\0é\xa0​pdivliulbrtabletrtdh1prea"), max_size=200)


@given(TEXTS)
def test_any_markup_gives_sorted_blocks_of_visible_text(markup: str) -> None:
    try:
        page = read_html(markup)
    except Rejection:
        return
    position = 0
    for block in page.blocks:
        assert position <= block.start < block.end <= len(page.text)
        assert page.text[block.start : block.end].strip()
        assert not page.text[position : block.start].strip()
        position = block.end
    assert not page.text[position:].strip()
    for repair in page.repairs:
        assert 0 <= repair.start <= repair.end <= len(page.text)


@given(st.text(max_size=200))
def test_any_plain_text_gives_its_own_words(text: str) -> None:
    page = read_plain(text, repair=False)
    assert "".join(page.text.split()) == "".join("".join(text.splitlines()).split())


def test_real_pages_keep_their_gold_words() -> None:
    """Of the words of a page's gold text, nearly all are in its page text."""
    import json
    import re

    folder = corpus("corpora/wcxb")
    shares = []
    for path in sorted((folder / "html").glob("*.gz"))[::60]:
        truth = json.loads((folder / "ground-truth" / path.name.replace(".html.gz", ".json")).read_text())
        gold = set(re.findall(r"\w+", (truth["ground_truth"]["main_content"] or "").lower()))
        page = read_html(gzip.decompress(path.read_bytes()).decode("utf-8", "replace"))
        words = set(re.findall(r"\w+", page.text.lower()))
        if gold:
            shares.append(len(gold & words) / len(gold))
    assert sum(shares) / len(shares) > 0.96


@pytest.mark.parametrize(
    ("style", "markup", "shown"),
    [
        (".menu{display:none}", "<div class='a menu'>x</div>", False),
        (
            "#top > ul ul { color: red; visibility: hidden }",
            "<div id=top><ul><li><ul><li>x</ul></ul></div>",
            False,
        ),
        ("@media (min-width: 600px) {.a,.b{display:none}}", "<b class=b>x</b>", False),
        ("@media print, (max-width:600px) {.a{display:none}}", "<b class=a>x</b>", True),
        (".a{display:none} .b{display:block}", "<b class='a b'>x</b>", True),
        ("p .a{display:none} .b{display:block}", "<b class='a b'>x</b>", False),
        (".a{display:none!important} p .a{display:block}", "<b class=a>x</b>", False),
        (".tab:not(.on){display:none}", "<div class='tab on'>x</div>", True),
        (".tab:not(.on){display:none}", "<div class='tab'>x</div>", False),
        (".a:hover{display:none} .b::before{display:none}", "<b class=a>x</b>", True),
        (".a{display:none} p:hover .a{display:block}", "<b class=a>x</b>", False),
        (".a{display:none} .c + .a, .a:first-child{display:inline}", "<b class=a>x</b>", True),
        ("/* .a{display:none} */ .a{color:red", "<b class=a>x</b>", True),
        ("}} .a{display:none", "<b class=a>x</b>", True),
        (".a{display:none}", "<b class=a style='display:inline'>x</b>", True),
        (".a{display:none}", "<div class=a><article>x</article></div>", True),
        (".a{display:none}", "<div class=a role=tabpanel>x</div>", True),
        (".a{display:none}", f"<div><button>q</button></div><div class=a>{'x ' * 50}</div>", True),
        (".a{display:none}", f"<div><button>q</button></div><div class='a modal'>{'x ' * 50}</div>", False),
        (".a{display:none}", f"<nav><button>q</button><div class=a>{'x ' * 50}</div></nav>", False),
    ],
)
def test_what_a_page_hides_by_its_own_style_sheet_is_no_text(style: str, markup: str, shown: bool) -> None:
    page = read_html(f"<html><head><style>{style}</style></head><body><p>{'a word ' * 20}</p><p>{markup}</p>")
    assert ("x" in page.text) is shown
    assert shown or page.notes == ("not page text: 1 hidden",)


def test_a_page_that_hides_its_text_until_a_script_runs_shows_it() -> None:
    style = "<style>.later{display:none}</style>"
    page = read_html(f"<html><head>{style}</head><body><p>Loading</p><div class=later>{'the text ' * 20}</div>")
    assert "the text" in page.text
    forms = "<form hidden>" + "a field " * 2_000 + "</form>"
    page = read_html(f"<html><body><p>{'the text ' * 500}</p>{forms}</body></html>")
    assert "a field" not in page.text
