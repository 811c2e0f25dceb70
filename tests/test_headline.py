"""The headline: which block shows it, and that no stage takes it away."""

from __future__ import annotations

import pytest

from cleancopy import Policy, clean_page
from cleancopy.clean import apply_stages, read
from cleancopy.document import Capture, Document
from cleancopy.errors import Rejection
from cleancopy.extract.headline import headline_blocks
from cleancopy.extract.html import Page
from cleancopy.policy import ContentPolicy
from cleancopy.stages.chrome.cut import SiteChrome, learn_chrome, with_decision
from cleancopy.stages.content import select

SENTENCE = "The river rose by two metres during the night, and the lower road was closed until the morning. "
TITLE = "The river rose in the night"
HEAD = f"<title>{TITLE} | Example News</title>"
PROSE = f"<main><p>{SENTENCE * 3}</p><p>{SENTENCE * 4}</p><p>{SENTENCE * 2}</p></main>"
ROWS = "".join(f"<li><a href=/{name}>{name}</a></li>" for name in ("Home", "Weather", "Sport"))
MENU = f"<nav><ul>{ROWS}</ul></nav>"


def read_page(body: str, head: str = HEAD, url: str = "https://news.example.org/river") -> Document:
    markup = f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>"
    return read(Capture(markup.encode(), key=url, url=url, site="news.example.org"), Policy())


def shown(document: Document) -> str | None:
    """The text of the blocks that show the headline."""
    blocks = headline_blocks(document)
    return "\n".join(document.text_of(document.blocks[n]) for n in blocks) or None


def lines(document: Document, chrome: SiteChrome | None = None, headline: str = "always") -> list[str]:
    """The lines of the clean text."""
    policy = Policy(content=ContentPolicy(headline=headline))  # type: ignore[arg-type]
    return [line for line in apply_stages(document, policy, chrome).clean.splitlines() if line]


@pytest.mark.parametrize(
    ("body", "headline"),
    [
        (f"<h1>{TITLE}</h1>{PROSE}", TITLE),
        (f"<ol><li>News</li><li>{TITLE}</li></ol><h1>{TITLE}</h1>{PROSE}", TITLE),
        (f"<header>{MENU}<h1>{TITLE}</h1></header>{PROSE}", TITLE),
        (f"<h1>Example News</h1>{MENU}<h2>{TITLE}</h2>{PROSE}", TITLE),
        (f"{MENU}<div class=title>{TITLE}</div>{PROSE}", TITLE),
        (f"<h1><div>The river rose</div><div>in the night</div></h1>{PROSE}", "The river rose\nin the night"),
        (f"<h1>{TITLE}: a diary</h1>{PROSE}", f"{TITLE}: a diary"),
        (f"<h1>A diary of one flood</h1>{PROSE}<footer><h1>Contact</h1></footer>", "A diary of one flood"),
        (f"{MENU}{PROSE}<aside><a href=/river>{TITLE}</a></aside>", None),
        (f"<h1 class=photo-credit>{TITLE}</h1>{PROSE}", TITLE),
        (f"<h1>Example News</h1>{PROSE}", None),
        (f"<h1>Example</h1>{PROSE}", None),
        (PROSE, None),
    ],
)
def test_the_block_that_shows_the_headline(body: str, headline: str | None) -> None:
    document = read_page(body, HEAD + '<meta property="og:site_name" content="Example News">')
    assert shown(document) == headline


def test_of_two_headings_that_say_the_title_the_first_level_one_is_it() -> None:
    document = read_page(f"<h2>{TITLE}</h2>{MENU}<h1>{TITLE}</h1>{PROSE}")
    (number,) = headline_blocks(document)
    assert document.blocks[number].level == 1


def test_a_book_names_itself_above_the_title_of_its_chapter() -> None:
    head = "<title>Rivers and floods - The Example Book</title>"
    document = read_page(f"<h1>The Example Book</h1>{MENU}<main><h2>Rivers and floods</h2>{PROSE}</main>", head)
    assert (document.metadata.title, shown(document)) == ("Rivers and floods", "Rivers and floods")
    assert lines(document)[:2] == ["The Example Book", "Rivers and floods"]


def test_what_a_stage_makes_of_the_headline_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubtful(page: Page) -> list[tuple[float, str]]:
        return [(0.9, "") if "rose by" in page.text[b.start : b.end] else (0.1, "no") for b in page.blocks]

    monkeypatch.setattr(select, "judge", doubtful)
    document = read_page(f"<header>{MENU}<h1>{TITLE}</h1></header>{PROSE}")
    assert lines(document)[0] == TITLE
    assert TITLE not in lines(document, headline="model")
    assert TITLE not in lines(document, headline="never")
    assert lines(document)[1:] == lines(document, headline="never") == lines(document, headline="model")


def test_a_headline_that_goes_is_cut_with_a_reason_and_stays_the_title() -> None:
    policy = Policy(stages=("captions",), content=ContentPolicy(headline="never"))
    document = apply_stages(read_page(f"<main><h1>{TITLE}</h1>{PROSE}</main>"), policy)
    (cut,) = (cut for cut in document.cuts if cut.rule == "headline")
    assert document.text[cut.start : cut.end].strip() == document.metadata.title == TITLE


def site(pages: int) -> list[Document]:
    """Pages whose headlines are alike, and each is also a label of the menu."""
    names = [f"Module number {n} of the river gauge" for n in range(pages)]
    menu = "".join(f"<li><a href=/{n}>{name}</a></li>" for n, name in enumerate(names))
    return [
        read_page(
            f"<nav><ul>{menu}</ul></nav><div><h1>{name}</h1></div><main><p>Page {n}. {SENTENCE * 3}</p></main>",
            f"<title>{name}</title>",
            f"https://news.example.org/{n}",
        )
        for n, name in enumerate(names)
    ]


def test_learned_chrome_leaves_headlines() -> None:
    documents = site(8)
    chrome = learn_chrome(documents, site="news.example.org", policy=Policy().chrome)
    assert all(lines(each, chrome)[0] == each.metadata.title for each in documents)
    assert [len(lines(each, chrome)) for each in documents] == [2] * 8, "the menu's copies go"


def test_what_people_pin_as_chrome_goes_also_where_it_is_the_headline() -> None:
    documents = [
        read_page(f"<div><h1>Bulletin</h1></div><main><p>{n}. {SENTENCE * 3}</p></main>", "") for n in range(4)
    ]
    chrome = learn_chrome(documents, site="news.example.org", policy=Policy().chrome)
    assert lines(documents[0], chrome)[0] == "Bulletin"
    pinned = with_decision(chrome, "Bulletin", "pinned", "2024-05-01")
    assert "Bulletin" not in lines(documents[0], pinned)


def test_a_headline_alone_is_no_text() -> None:
    policy = Policy(content=ContentPolicy(headline="never"))
    with pytest.raises(Rejection, match="no main text"):
        clean_page(f"<html><head>{HEAD}</head><body><h1>{TITLE}</h1></body></html>", policy=policy)


def test_deciding_again_changes_nothing() -> None:
    document = apply_stages(read_page(f"<header>{MENU}<h1>{TITLE}</h1></header>{PROSE}"), Policy())
    assert apply_stages(document, Policy()) == document
