"""What owners of pages say about their use, in every form that is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.extract.usage import (
    Usage,
    from_json,
    is_reserved,
    of_headers,
    of_page,
    of_robots,
    of_tdmrep,
    to_json,
)

URL = "https://example.org/news/a.html?x=1"


def said(usage: Usage) -> list[str]:
    return [statement.says for statement in usage]


@pytest.mark.parametrize(
    ("fields", "expected", "reserved"),
    [
        ({}, [], False),
        ({"x-robots-tag": "noindex, NoAI"}, ["robots: noai"], True),
        ({"x-robots-tag": "otherbot: noai, nofollow"}, ["robots: noai"], True),
        ({"x-robots-tag": "noarchive"}, [], False),
        ({"tdm-reservation": "1", "tdm-policy": "https://example.org/p.json"},
         ["tdm-reservation: 1", "tdm-policy: https://example.org/p.json"], True),
        ({"tdm-reservation": "0"}, ["tdm-reservation: 0"], False),
        ({"tdm-reservation": "yes"}, [], False),
        ({"content-usage": "search=y, train-ai=n"}, ["content-usage: search=y, train-ai=n"], True),
        ({"content-usage": "train-ai=y;x=1, nonsense"}, ["content-usage: train-ai=y"], False),
        ({"content-signal": "ai-train=no"}, ["content-signal: ai-train=no"], True),
        ({"content-signal": "search=no, ai-input=no"}, ["content-signal: search=no, ai-input=no"], False),
        ({"link": '</l.xml>; rel="license"; type="application/rsl+xml", </s.css>; rel=preload'},
         ["rsl: /l.xml"], False),
        ({"link": '<https://creativecommons.org/licenses/by/4.0/>; rel=license'},
         ["license: https://creativecommons.org/licenses/by/4.0/"], False),
    ],
)  # fmt: skip
def test_header_fields(fields: dict[str, str], expected: list[str], reserved: bool) -> None:
    assert said(of_headers(fields)) == expected
    assert is_reserved(of_headers(fields)) is reserved


@pytest.mark.parametrize(
    ("markup", "expected", "reserved"),
    [
        ('<meta name="robots" content="index, noai">', ["robots: noai"], True),
        ("<META content='noai,noimageai' NAME=ROBOTS>", ["robots: noai", "robots: noimageai"], True),
        ('<meta name="tdm-reservation" content="1">', ["tdm-reservation: 1"], True),
        ('<meta name="tdm-policy" content="https://e.org/p&amp;q">', ["tdm-policy: https://e.org/p&q"], False),
        ('<!-- <meta name="robots" content="noai"> --><p>noai</p>', [], False),
        ('<link rel="license" type="application/rsl+xml" href="/rsl.xml">', ["rsl: /rsl.xml"], False),
        ('<script type="application/rsl+xml"><rsl><prohibits type="usage">ai-train</prohibits></rsl></script>',
         ["rsl: in the page", "rsl-prohibits: ai-train"], True),
        ("<p>A page on the tdm-reservation and the noai mark.</p>", [], False),
    ],
)  # fmt: skip
def test_a_page(markup: str, expected: list[str], reserved: bool) -> None:
    usage = of_page(f"<html><head>{markup}</head><body>text</body></html>".encode())
    assert said(usage) == expected
    assert is_reserved(usage) is reserved
    assert from_json(to_json(usage)) == usage


@pytest.mark.parametrize(
    ("lines", "expected", "reserved"),
    [
        ("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /",
         ["content-signal: search=yes, ai-train=no"], True),
        ("Content-Signal: ai-train=no", ["content-signal: ai-train=no"], True),
        ("User-agent: otherbot\nContent-Signal: ai-train=no\n\nUser-agent: *\nDisallow:", [], False),
        ("User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: cleancopy\nContent-Signal: ai-train=yes",
         ["content-signal: ai-train=yes"], False),
        ("User-agent: a\nUser-agent: *\nContent-Usage: train-ai=n", ["content-usage: train-ai=n"], True),
        ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /news/ train-ai=y",
         ["content-usage: train-ai=y"], False),
        ("User-agent: *\nContent-Usage: /docs/ train-ai=n", [], False),
        ("User-agent: *\nContent-Usage: /*.html train-ai=n", ["content-usage: train-ai=n"], True),
        ("License: https://example.org/rsl.xml\nUser-agent: *\nAllow: /",
         ["rsl: https://example.org/rsl.xml"], False),
    ],
)  # fmt: skip
def test_robots_txt(lines: str, expected: list[str], reserved: bool) -> None:
    usage = of_robots(lines, URL, "cleancopy")
    assert said(usage) == expected
    assert is_reserved(usage) is reserved


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('[{"location": "/news/", "tdm-reservation": 1, "tdm-policy": "https://e.org/p"}]',
         ["tdm-reservation: 1", "tdm-policy: https://e.org/p"]),
        ('[{"location": "/other/", "tdm-reservation": 1}, {"location": "/*", "tdm-reservation": 0}]',
         ["tdm-reservation: 0"]),
        ('[{"location": "/*.html$", "tdm-reservation": 1}]', []),
        ('{"location": "/", "tdm-reservation": 1}', []),
        ("<html>not found</html>", []),
        ("[" * 100_000, []),
    ],
)  # fmt: skip
def test_tdmrep_json(payload: str, expected: list[str]) -> None:
    assert said(of_tdmrep(payload.encode(), URL)) == expected


def test_of_the_tdm_protocol_the_page_outweighs_header_and_file() -> None:
    site = of_tdmrep(b'[{"location": "/", "tdm-reservation": 1}]', URL)
    page = of_page(b'<meta name="tdm-reservation" content="0">')
    assert is_reserved(site)
    assert not is_reserved((*site, *page))
    assert is_reserved(
        (*of_headers({"tdm-reservation": "1"}), *of_tdmrep(b'[{"location": "/", "tdm-reservation": 0}]', URL))
    )


@given(st.binary(max_size=300), st.text(max_size=300))
def test_anything_else_says_nothing_and_fails_nowhere(payload: bytes, text: str) -> None:
    of_page(b"tdm-<meta " + payload)
    of_tdmrep(payload, URL)
    of_robots(text, URL, "cleancopy")
    of_headers(dict.fromkeys(("x-robots-tag", "content-usage", "link", "tdm-policy"), text))
