"""Reading feeds: RSS, RDF, Atom and JSON Feed, for the addresses of the pages that they announce."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from urllib.parse import urljoin

from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.url_list import UrlList


def read_feed(payload: bytes, url: str | None) -> UrlList:
    """The pages that an RSS, RDF or Atom feed announces: each entry's own link, once.

    Raises Rejection(xml_malformed) where it is no feed or too broken for one.
    """
    import feedparser  # type: ignore[import-untyped]

    headers = {"content-type": "application/xml", **({"content-location": url} if url else {})}
    # From a stream, never from a string: a string could name a file or an address.
    parsed = feedparser.parse(
        io.BytesIO(payload), response_headers=headers, resolve_relative_uris=False, sanitize_html=False
    )
    if not parsed.get("version"):
        raise Rejection(
            RejectReason.XML_MALFORMED, f"is no feed that can be read ({_cause(parsed)}); get it again"
        )
    links = (entry.get("link") or "" for entry in parsed.entries)
    return UrlList("feed", pages=_whole(links, url))


def read_json_feed(payload: bytes, url: str | None) -> UrlList:
    """The pages that a JSON Feed (jsonfeed.org, versions 1 and 1.1) announces.

    Raises Rejection: xml_malformed where the JSON is broken, not_html where it is no feed.
    """
    try:
        feed = json.loads(payload.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise Rejection(RejectReason.XML_MALFORMED, "is JSON that is not well formed; get it again") from error
    version = feed.get("version") if isinstance(feed, dict) else None
    if not isinstance(version, str) or "jsonfeed.org/version/" not in version:
        raise Rejection(RejectReason.NOT_HTML, "is JSON, but no JSON feed; put pages here as HTML or text")
    entries = feed.get("items")
    entries = entries if isinstance(entries, list) else []
    links = (entry.get("url") for entry in entries if isinstance(entry, dict))
    return UrlList("feed", pages=_whole((link for link in links if isinstance(link, str)), url))


def _whole(links: Iterable[str], url: str | None) -> tuple[str, ...]:
    addresses: dict[str, None] = {}
    for link in filter(None, map(str.strip, links)):
        try:
            addresses.setdefault(urljoin(url or "", link))
        except ValueError:
            # Kept as it is written, so that its rejection is counted where all addresses are vetted.
            addresses.setdefault(link)
    return tuple(addresses)


def _cause(parsed: object) -> str:
    error = getattr(parsed, "bozo_exception", None)
    message = str(error) if error else "no feed element in it"
    return "".join(char if char.isprintable() else " " for char in message)[:120]
