"""Sitemaps and lists of addresses: what they name, and what an enemy may make of them."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleancopy.errors import Rejection, RejectReason
from cleancopy.policy import Limits
from cleancopy.sources.lists import read_list
from cleancopy.sources.url_list import MAX_URLS, UrlList
from cleancopy.sources.web.links import read_links

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
URLSET = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def read(payload: str | bytes) -> UrlList:
    data = payload.encode() if isinstance(payload, str) else payload
    return read_list(data, "http://example.org/sitemap.xml", Limits())


def refused(payload: str | bytes) -> RejectReason:
    with pytest.raises(Rejection) as error:
        read(payload)
    assert error.value.message.isprintable()
    return error.value.kind


def test_a_sitemap_names_its_pages_each_once() -> None:
    entry = "<url><loc> http://example.org/{} </loc><lastmod>2026-01-01</lastmod></url>"
    payload = XML + URLSET + ">" + entry.format("a") + entry.format("b&amp;c") + entry.format("a") + "</urlset>"
    assert read(payload) == UrlList("sitemap", ("http://example.org/a", "http://example.org/b&c"))
    assert read(gzip.compress(payload.encode())) == read(payload)
    assert str(read(payload)) == "a sitemap of 2 addresses"


def test_an_index_names_sitemaps() -> None:
    payload = "<sitemapindex><sitemap><loc>http://example.org/1.xml.gz</loc></sitemap></sitemapindex>"
    assert read(payload) == UrlList("sitemap index", lists=("http://example.org/1.xml.gz",))


def test_pictures_and_translations_are_not_pages() -> None:
    payload = f"""{URLSET} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"
        xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">
      <url><loc>http://example.org/a</loc>
        <image:image><image:loc>http://example.org/a.jpg</image:loc></image:image>
        <image:loc>http://example.org/b.jpg</image:loc>
        <xhtml:link rel="alternate" hreflang="de" href="http://example.org/de/a"/>
        <news:news><news:title>Tides</news:title></news:news></url></urlset>"""
    assert read(payload).pages == ("http://example.org/a",)


def test_a_text_names_a_page_a_line() -> None:
    text = "\ufeff# tides\nhttp://example.org/a\r\n\n  http://example.org/b  \nhttp://example.org/a\n"
    assert read(text) == UrlList("list", ("http://example.org/a", "http://example.org/b"))
    assert refused("The tide table lists the times.") is RejectReason.NOT_HTML


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>&x;</loc></url></urlset>',
         RejectReason.XML_ENTITY),
        ('<!DOCTYPE a [<!ENTITY x "y">]><urlset><url><loc>&x;</loc></url></urlset>'.encode("utf-16"),
         RejectReason.XML_ENTITY),
        ("<urlset><url><loc>http://example.org/", RejectReason.XML_MALFORMED),
        ("<urlset>" + "<a>" * 300 + "</urlset>", RejectReason.PARSE_DEPTH),
        ("<a>" * 100_000, RejectReason.PARSE_DEPTH),
        ("<svg><path/></svg>", RejectReason.NOT_HTML),
        ("<urlset></urlset>", RejectReason.NO_CONTENT),
        ("", RejectReason.NO_CONTENT),
        (gzip.compress(b"<urlset>" + b" " * 30_000_000), RejectReason.DECOMPRESS_LIMIT),
        (gzip.compress(b"<urlset/>")[:-6], RejectReason.BAD_COMPRESSION),
        ("<urlset>" + "".join(f"<url><loc>http://a/{n}</loc></url>" for n in range(MAX_URLS + 1)) + "</urlset>",
         RejectReason.TOO_MANY_URLS),
    ],
)  # fmt: skip
def test_what_is_no_sound_list_is_refused_by_its_kind(payload: str | bytes, kind: RejectReason) -> None:
    assert refused(payload) is kind


@given(st.binary(max_size=200))
@example(b"<urlset><url><loc/></url></urlset>")
@example(b"<urlset><!-- --><?pi?><url><loc><b/></loc></url></urlset>")
def test_any_bytes_end_as_a_list_or_a_refusal(payload: bytes) -> None:
    for before in (b"", b"<urlset><url><loc>", b"<rss><channel><item><link>", b'{"items": '):
        with suppress(Rejection):
            assert read(before + payload).pages


# ---- links of a page


def test_the_links_of_a_page_are_whole_and_each_once() -> None:
    page = b"""<html><head><base href="http://example.org/d/"></head><body>
      <a href="a.html#top">A</a> <a href="a.html">A</a> <a href="/b?q=1">B</a> <a href="#c">C</a>
      <a href="mailto:a@example.org">D</a> <a href="javascript:void(0)">E</a> <a href="f.pdf">F</a>
      <a rel="nofollow" href="g.html">G</a> <a href="http://[bad">H</a> <a>I</a></body></html>"""
    found = read_links(page, "http://example.org/index.html", Limits())
    assert found == ("http://example.org/d/a.html", "http://example.org/b?q=1")


def test_a_page_that_asks_not_to_be_followed_is_not() -> None:
    page = b'<html><head><meta name="robots" content="noindex, NOFOLLOW"></head><a href="/a">A</a></html>'
    assert read_links(page, "http://example.org/", Limits()) == ()
    assert read_links(b"no markup at all", "http://example.org/", Limits()) == ()
