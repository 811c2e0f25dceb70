"""Addresses of links and pictures, made absolute; those that run a script or hold data are none."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

from lxml import html

#: What a reader may follow; ``javascript:``, ``data:`` and the like are no addresses.
_LINKED = frozenset(["http", "https", "mailto", "tel", "ftp"])
_SHOWN = frozenset(["http", "https"])
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: A browser takes these out of an address before it reads the scheme.
_UNSEEN = re.compile(r"[\0-\x1f\x7f]")
#: Where lazy pictures keep their address, the likeliest first.
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-hi-res-src", "data-actualsrc", "data-url")
_CANDIDATE = re.compile(r"\s*(\S+?)(?:,(?=\s|$)|\s+([0-9.]+)[wx](?:\s+[0-9.]+[hwx])*\s*(?:,|$)|\s*$)")
_LONGEST = 4_000


class Addresses:
    """The addresses of a page, absolute where its own is known."""

    def __init__(self, tree: html.HtmlElement, url: str | None) -> None:
        self.base = _base(tree, url)
        parts = urlsplit(self.base)
        self.origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        self.page = self.base.partition("#")[0]

    def link(self, href: str) -> str:
        """The address of a link, empty where it is none that a reader may follow."""
        return self._absolute(href, _LINKED)

    def picture(self, element: html.HtmlElement) -> str:
        """The address of a picture: its own, a lazy one's, else the widest of its ``srcset``."""
        lazy = next((address for name in _LAZY if (address := element.get(name))), None)
        src = element.get("src") or ""
        shown = self._absolute(lazy or src, _SHOWN)
        if shown and (lazy or not src.startswith("data:")):
            return shown
        sets = [element.get("srcset"), element.get("data-srcset")]
        parent = element.getparent()
        if parent is not None and parent.tag == "picture":
            sets += [
                source.get("srcset") or source.get("data-srcset") for source in parent.iterchildren("source")
            ]
        return next(
            (address for srcset in sets if srcset and (address := self._absolute(_widest(srcset), _SHOWN))), ""
        )

    def _absolute(self, written: str, schemes: frozenset[str]) -> str:
        # Most addresses need no cleaning: a quarter of the time for those.
        clean = written.isascii() and written.isprintable() and " " not in written
        if clean and 0 < len(written) <= _LONGEST:
            if written[0] == "/" and written[1:2] != "/" and "/." not in written:
                return self.origin + written
            if written.startswith(("https://", "http://")):
                return written
        written = _UNSEEN.sub("", written).strip()
        if not written or len(written) > _LONGEST:
            return ""
        scheme = _SCHEME.match(written)
        if scheme:
            return written if scheme[1].lower() in schemes else ""
        if not self.origin:
            return written
        if written[0] == "#":
            return self.page + written
        return _joined(self.base, written)


@lru_cache(maxsize=2_048)
def _joined(base: str, written: str) -> str:
    try:
        joined = urljoin(base, written)
    except ValueError:
        return ""
    return joined


def _base(tree: html.HtmlElement, url: str | None) -> str:
    """What relative addresses begin at: the page's ``<base>``, its address, or the one that it names itself."""
    declared = next((element.get("href") for element in tree.iter("base") if element.get("href")), "") or ""
    if url is None:
        named = tree.xpath("string(//link[translate(@rel, 'CANONIL', 'canonil') = 'canonical']/@href)")
        url = named.strip() if isinstance(named, str) else ""
    try:
        base = urljoin(url, declared.strip())
        return base if urlsplit(base).scheme in _SHOWN else ""
    except ValueError:
        return ""


def _widest(srcset: str) -> str:
    """The address of the largest picture that a ``srcset`` offers."""
    offered = [(float(size or 1), -place, address) for place, (address, size) in enumerate(_candidates(srcset))]
    return max(offered, default=(0.0, 0, ""))[2]


def _candidates(srcset: str) -> list[tuple[str, str]]:
    candidates, position = [], 0
    while position < min(len(srcset), _LONGEST) and (match := _CANDIDATE.match(srcset, position)):
        if match.end() == position:
            break
        size = match[2] or ""
        candidates.append((match[1], size if size.replace(".", "", 1).isdigit() else ""))
        position = match.end()
    return candidates
