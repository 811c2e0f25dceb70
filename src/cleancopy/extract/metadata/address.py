"""The address that the page declares."""

from __future__ import annotations

import re
from urllib.parse import urldefrag, urljoin, urlsplit

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.text import INVISIBLE, URL_CAP

_UNSOUND = re.compile(rf"[\s<>\"\\]|{INVISIBLE.pattern}")


def canonical_url(claims: Claims, url: str | None) -> str | None:
    """The address that the page declares, absolute and http(s); where it came from is another matter."""
    links = [link.get("href") for link in claims.links if link.get("rel") == "canonical"]
    addresses = (absolute_address(claim, url) for claim in [*links, *claims.metas.get("og:url", ())])
    return next(filter(None, addresses), None)


def absolute_address(claim: object, url: str | None) -> str | None:
    """A claim as an absolute http(s) URL without fragment, or None: no other scheme, no user, no blanks."""
    if not isinstance(claim, str) or len(claim) > URL_CAP:
        return None
    claim = claim.strip()
    try:
        address = urldefrag(claim if claim[:8].lower() == "https://" else urljoin(url or "", claim)).url
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return None
    return address if sound and len(address) <= URL_CAP and not _UNSOUND.search(address) else None
