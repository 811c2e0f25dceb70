"""The links of a page, for following a site from its start pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from cleancopy.extract.html import parse_html
from cleancopy.extract.limits import check_markup

if TYPE_CHECKING:
    from cleancopy.policy import Limits

#: A page that links to more is a list of everything; the first of them are enough to go on.
MAX_LINKS = 5_000
_FILES = re.compile(
    r"\.(?:7z|avi|bmp|bz2|css|csv|docx?|eot|epub|exe|gif|gz|ico|jpe?g|js|json|m4[av]|mov|mp[34]|mpe?g|ods|odt|ogg|"
    r"pdf|png|pptx?|rar|rss|svg|tar|tgz|tiff?|ttf|wav|web[mp]|wmv|woff2?|xlsx?|xml|zip)$",
    re.IGNORECASE,
)


def read_links(payload: bytes, url: str, limits: Limits) -> tuple[str, ...]:
    """The addresses that a page links to, each once, in its order; none where it asks not to be followed.

    Links marked ``nofollow`` and links to pictures, documents and programs are left out. Meant for a process of
    its own, as whatever parses pages; raises Rejection where the page exceeds the limits.
    """
    markup = payload.decode("utf-8", "replace")
    if "<" not in markup:
        return ()
    check_markup(markup, limits)
    tree = parse_html(markup, limits)
    for meta in tree.iter("meta"):
        if (meta.get("name") or "").lower() == "robots" and "nofollow" in (meta.get("content") or "").lower():
            return ()
    base = next((element.get("href") for element in tree.iter("base") if element.get("href")), None)
    start = _joined(url, base or "") or url
    links: dict[str, None] = {}
    for anchor in tree.iter("a"):
        link = _joined(start, (anchor.get("href") or "").strip())
        if link and "nofollow" not in (anchor.get("rel") or "").lower():
            links.setdefault(link)
            if len(links) >= MAX_LINKS:
                break
    return tuple(links)


def _joined(base: str, link: str) -> str | None:
    """The whole address of a link without its fragment; None for what leads to no page."""
    if not link or link.startswith("#"):
        return None
    try:
        url = urljoin(base, link).partition("#")[0]
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc and not _FILES.search(parts.path) else None
