"""Links without an end: each pattern by its example, and what a source's links may lead to."""

from __future__ import annotations

import pytest

from cleancopy.sources.web.traps import MOST_ALIKE, Pattern, Traps, patterns, shape_of, without_session


@pytest.mark.parametrize("pattern", patterns(), ids=lambda pattern: pattern.name)
def test_a_pattern_takes_its_example_and_not_its_counterexample(pattern: Pattern) -> None:
    assert pattern.regex.search(pattern.example)
    assert not pattern.regex.search(pattern.counterexample)
    if pattern.kind == "session":
        assert without_session(pattern.example) != pattern.example
        assert without_session(pattern.counterexample) == pattern.counterexample


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ("http://e.org/a?PHPSESSID=0123456789abcdef0123456789abcdef", "http://e.org/a"),
        ("http://e.org/a?PHPSESSID=0123456789abcdef0123456789abcdef&id=3", "http://e.org/a?id=3"),
        ("http://e.org/a?id=3&PHPSESSID=0123456789abcdef0123456789abcdef", "http://e.org/a?id=3"),
        ("http://e.org/a;jsessionid=0123456789ABCDEF01234567?x=1", "http://e.org/a?x=1"),
        ("http://e.org/(S(lit3py55t21z5v55vlm25s55))/page.aspx", "http://e.org/page.aspx"),
        ("http://e.org/a?id=3", "http://e.org/a?id=3"),
    ],
)
def test_the_session_is_taken_out_of_an_address(link: str, asked: str) -> None:
    assert without_session(link) == asked


@pytest.mark.parametrize(
    "endless",
    [
        "http://e.org/events/{0}/{1:02d}/",
        "http://e.org/news/page/{2}/",
        "http://e.org/list?page={2}",
        "http://e.org/list?month={1}&year={0}",
    ],
)
def test_of_an_endless_row_so_many_are_taken(endless: str) -> None:
    traps = Traps()
    links = [endless.format(1900 + at // 12, at % 12 + 1, at) for at in range(2 * MOST_ALIKE)]
    assert [link for link in links if traps.passed(link)] == links[:MOST_ALIKE]
    assert list(traps.left_out.values()) == [MOST_ALIKE]
    assert traps.passed(links[0]) == links[0], "one that was taken is taken again"


def test_a_circle_of_folders_is_left_out_and_articles_are_not_counted() -> None:
    traps = Traps()
    assert traps.passed("http://e.org/a/b/a/b/a/b/a/") is None
    assert traps.passed("http://e.org/2019/05/the-harbour-opens") is not None
    for number in range(2 * MOST_ALIKE):
        assert traps.passed(f"http://e.org/story-{number}.html")
        assert traps.passed(f"http://e.org/index.php?article={number}")
    assert shape_of("http://e.org/story-3.html") is None
