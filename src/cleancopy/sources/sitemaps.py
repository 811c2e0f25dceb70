"""Reading XML sitemaps and sitemap indexes (sitemaps.org, and the news, image and video forms built on it)."""

from __future__ import annotations

import io

from lxml import etree

from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.url_list import MAX_URLS, UrlList

_ROOTS = frozenset(["urlset", "sitemapindex"])


def read_sitemap(payload: bytes) -> UrlList | None:
    """The addresses of a sitemap, or the sitemaps of an index; None where the XML is neither.

    Nothing is looked up outside the payload, no entity is expanded and nothing is kept of what was read.
    Raises Rejection: xml_malformed, parse_depth, xml_entity; too_many_urls as soon as that is clear.
    """
    events = etree.iterparse(
        io.BytesIO(payload),
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    addresses: dict[str, None] = {}
    root = ""
    try:
        for event, element in events:
            if not root:
                root = _local(element)
                _check_doctype(element)
                if root not in _ROOTS:
                    return None if root in _FEEDS else _no_list(events, root)
            elif event == "end":
                _take(element, addresses)
    except etree.XMLSyntaxError as error:
        raise _malformed(error) from error
    if root == "sitemapindex":
        return UrlList("sitemap index", lists=tuple(addresses))
    return UrlList("sitemap", pages=tuple(addresses))


_FEEDS = frozenset(["rss", "feed", "rdf", "channel"])


def _take(element: etree._Element, addresses: dict[str, None]) -> None:
    """Take the address of an entry that has ended, and let go of the entry."""
    name, parent = _local(element), element.getparent()
    if name == "loc" and parent is not None and _local(parent) in ("url", "sitemap"):
        # Pictures and videos have a loc of their own, in namespaces of their own.
        if _namespace(element) == _namespace(parent):
            addresses.setdefault((element.text or "").strip())
        if len(addresses) > MAX_URLS:
            raise Rejection(
                RejectReason.TOO_MANY_URLS, f"names more than {MAX_URLS:,} addresses; split it into several"
            )
    elif name in ("url", "sitemap"):
        element.clear()
        while element.getprevious() is not None and parent is not None:
            del parent[0]


def _no_list(events: object, root: str) -> UrlList | None:
    """Read on to see whether the XML is well formed at all; raises Rejection for what it is."""
    for _, element in events:  # type: ignore[attr-defined]
        element.clear()
    raise Rejection(
        RejectReason.NOT_HTML, f"is XML (<{root[:40]}>), neither a sitemap nor a feed; put pages here as HTML"
    )


def _check_doctype(element: etree._Element) -> None:
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is not None and len(dtd.entities()) > 0:  # type: ignore[attr-defined]
        raise Rejection(
            RejectReason.XML_ENTITY,
            "is XML that declares entities, which can be used to attack; it is not read",
        )


def _malformed(error: etree.XMLSyntaxError) -> Rejection:
    message = "".join(char if char.isprintable() else " " for char in str(error.msg))[:120]
    if "depth" in message.lower():
        return Rejection(RejectReason.PARSE_DEPTH, "nests elements deeper than 256; no sitemap or feed does")
    return Rejection(RejectReason.XML_MALFORMED, f"is XML that is not well formed ({message}); get it again")


def _local(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _namespace(element: etree._Element) -> str:
    # Not by QName: that refuses a name that the parser let through, such as ``{a}}feed``.
    return element.tag.rpartition("}")[0] if isinstance(element.tag, str) else ""
