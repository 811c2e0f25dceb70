"""Feeds: the pages that they announce, whatever dialect they are in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.errors import Rejection, RejectReason
from cleancopy.policy import Limits
from cleancopy.sources.lists import read_list
from cleancopy.sources.url_list import UrlList

TWO = UrlList("feed", ("http://example.org/a", "http://example.org/b"))
RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>Tides</title><link>http://example.org/</link>
<item><title>A</title><link>http://example.org/a</link></item>
<item><title>B</title><link>/b</link></item></channel></rss>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
<item rdf:about="1"><link>http://example.org/a</link></item>
<item rdf:about="2"><link>http://example.org/b</link></item></rdf:RDF>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Tides</title>
<entry><id>1</id><link rel="enclosure" href="/a.mp3"/><link href="http://example.org/a"/></entry>
<entry><id>2</id><link rel="alternate" href="b"/></entry></feed>"""
JSON = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "items": [{"id": "1", "url": "http://example.org/a"}, {"id": "2", "url": "/b"}, {"id": "3"}, 4],
    }
)


def read(payload: str) -> UrlList:
    return read_list(payload.encode(), "http://example.org/feed", Limits())


@pytest.mark.parametrize("feed", [RSS, RDF, ATOM, JSON], ids=["rss", "rdf", "atom", "json"])
def test_a_feed_announces_pages(feed: str) -> None:
    assert read(feed) == TWO


def test_a_feed_that_is_broken_at_its_end_still_gives_what_came_before() -> None:
    assert read(RSS.replace("</item></channel></rss>", "& more")).pages[:1] == TWO.pages[:1]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ('<!DOCTYPE l [<!ENTITY a "b">]><rss version="2.0"><channel><title>&a;</title></channel></rss>',
         RejectReason.XML_ENTITY),
        ("<rss version='2.0'><channel><title>none</title></channel></rss>", RejectReason.NO_CONTENT),
        ('{"version": "1", "items": []}', RejectReason.NOT_HTML),
        ('{"version": "https://jsonfeed.org/version/1", "items": {}}', RejectReason.NO_CONTENT),
        ("{" * 200_000, RejectReason.XML_MALFORMED),
        ('{"a":' * 200_000, RejectReason.XML_MALFORMED),
    ],
)  # fmt: skip
def test_what_is_no_feed_is_refused_by_its_kind(payload: str, kind: RejectReason) -> None:
    with pytest.raises(Rejection) as error:
        read(payload)
    assert error.value.kind is kind


def test_a_feed_is_never_taken_for_the_name_of_a_file_or_an_address() -> None:
    for payload in ("<", "</etc/passwd", "<http://127.0.0.1:9/"):
        with pytest.raises(Rejection):
            read(payload)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_links_of_any_text_are_handed_on_or_left_out(links: list[str]) -> None:
    feed = {"version": "https://jsonfeed.org/version/1", "items": [{"url": link} for link in links]}
    if any(link.strip() for link in links):
        assert "" not in read(json.dumps(feed)).pages
    else:
        with pytest.raises(Rejection, match="without any address"):
            read(json.dumps(feed))
