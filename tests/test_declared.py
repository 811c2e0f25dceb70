"""Pages that a script renders: what their JSON-LD declares is read where they show next to nothing."""

from __future__ import annotations

import json

import pytest

from cleancopy.extract.html import read_html
from cleancopy.policy import ContentPolicy
from cleancopy.stages.content.select import score_blocks

BODY = "The lower road was closed until the morning. " * 8
LINES = f"{BODY}\n\nThe bridge stayed open.\nThe school opens on Monday."
ARTICLE = {"@type": "NewsArticle", "articleBody": LINES, "description": "A road was closed. " * 20}


def page(declared: object, body: str = "<div id=app>Loading</div>") -> str:
    """A page with JSON-LD in its head."""
    said = declared if isinstance(declared, str) else json.dumps(declared)
    return f"<html><head><script type='application/ld+json'>{said}</script></head><body>{body}</body></html>"


def texts(markup: str) -> list[str]:
    """The texts of a page's blocks."""
    read = read_html(markup)
    return [read.text[block.start : block.end] for block in read.blocks]


def test_a_body_that_only_json_ld_has_is_page_text_and_its_path_says_so() -> None:
    read = read_html(page(ARTICLE))
    assert texts(page(ARTICLE)) == [
        "Loading",
        BODY.strip(),
        "The bridge stayed open.",
        "The school opens on Monday.",
    ]
    assert [block.path for block in read.blocks[1:]] == [f"/html/body/json-ld[1]/p[{n}]" for n in (1, 2, 3)]
    assert all(block.kind == "paragraph" for block in read.blocks)


def test_what_only_json_ld_has_is_main_content() -> None:
    read = read_html(page(ARTICLE))
    assert [(block.score or 0) >= 0.5 for block in score_blocks(read, ContentPolicy())][1:] == [True] * 3


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ({"@graph": [{"@type": "Thing", "name": "a"}, ARTICLE]}, 3),
        ({"@type": "DiscussionForumPosting", "text": BODY, "comment": [{"text": "Thanks, that was it."}]}, 2),
        ({"@type": ["Product"], "description": f"<p>{BODY}</p><ul><li>one &amp; two</li></ul>"}, 2),
        ({"@type": "Organization", "description": BODY}, 0),
        ({"@type": "Product", "description": "Too short to be the page."}, 0),
        ({"@type": "Product", "description": {"@value": BODY}}, 0),
        ("{not json", 0),
        ("[" * 100_000, 0),
    ],
)
def test_bodies_come_first_then_descriptions_of_what_the_page_is_about(declared: object, found: int) -> None:
    assert len(texts(page(declared))) == 1 + found


def test_a_page_that_shows_its_text_is_read_as_it_is_shown() -> None:
    shown = f"<p>{BODY}</p>"
    assert texts(page(ARTICLE, shown)) == [BODY.strip()]


def test_noscript_text_comes_before_json_ld() -> None:
    assert texts(page(ARTICLE, f"<noscript><p>{BODY}</p></noscript>")) == [BODY.strip()]


def test_markup_in_a_declared_text_is_no_text() -> None:
    declared = {"@type": "Product", "description": f"<p>{BODY}</p><p>one &amp; <b>two</b>\u0000</p>"}
    assert texts(page(json.dumps(declared).replace("</", "<\\/")))[1:] == [BODY.strip(), "one & two"]
