"""Lists of addresses: sitemaps, feeds and plain text, told apart by what they hold.

    read_list(payload, url, limits)     UrlList, or Rejection

Meant for a process of its own (``cleancopy.extract.isolation``): what is read here comes from strangers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.limits import GZIP_MAGIC, inflate
from cleancopy.sources.feeds import read_feed, read_json_feed
from cleancopy.sources.sitemaps import read_sitemap
from cleancopy.sources.url_list import MAX_URLS, UrlList

if TYPE_CHECKING:
    from cleancopy.policy import Limits


def read_list(payload: bytes, url: str | None, limits: Limits) -> UrlList:
    """The addresses that a sitemap, feed or text names; those relative to it are made whole by ``url``.

    Raises Rejection: xml_entity where XML declares entities, xml_malformed, parse_depth, too_many_urls,
    no_content where no address is in it, and what can be wrong with gzip.
    """
    if payload.startswith(GZIP_MAGIC):
        payload = inflate(payload, "gzip", limits)
    start = _text_start(payload)
    if start.startswith("{"):
        urls = read_json_feed(payload, url)
    elif not start.startswith("<"):
        urls = read_text_list(payload)
    else:
        check_entities(payload)
        urls = read_sitemap(payload) or read_feed(payload, url)
    if len(urls.pages) + len(urls.lists) > MAX_URLS:
        raise Rejection(
            RejectReason.TOO_MANY_URLS, f"names more than {MAX_URLS:,} addresses; split it into several lists"
        )
    if not urls.pages and not urls.lists:
        raise Rejection(RejectReason.NO_CONTENT, f"is a {urls.kind} without any address; look at it")
    return urls


def read_text_list(payload: bytes) -> UrlList:
    """The addresses of a text, one a line; empty lines and lines that begin with ``#`` are passed over.

    Raises Rejection(not_html) where the first line is no address: it is some other text then.
    """
    text = payload.decode("utf-8-sig", "replace")
    lines = (line.strip() for line in text.split("\n"))
    urls = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if urls and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", urls[0]):
        raise Rejection(
            RejectReason.NOT_HTML, "is neither a sitemap, a feed nor a list of addresses; check what it is"
        )
    return UrlList("list", urls)


def check_entities(payload: bytes) -> None:
    """Raise Rejection(xml_entity) where XML declares entities, in whatever encoding."""
    if b"<!ENTITY" in payload or (b"\0" in payload[:200] and b"<!ENTITY" in payload.replace(b"\0", b"")):
        raise Rejection(
            RejectReason.XML_ENTITY,
            "is XML that declares entities, which can be used to attack; it is not read",
        )


def _text_start(payload: bytes) -> str:
    wide = "utf-16" if payload[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return payload[:1000].decode(wide, "replace").lstrip("\ufeff \t\r\n")[:1]
