"""The canonical form of a web address, which names its document over all captures."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from cleancopy.errors import Rejection, RejectReason

#: RFC 9110, 4.1 asks everybody to take 8,000 octets; no sound address is longer than this.
_MAX_URL = 8_192


def canonical_url(url: str) -> str:
    """The form of a web address that names its document: no fragment, no default port, host in lower case.

    Raises Rejection(bad_url) for what is no http or https address with a host, holds a password or control
    characters, or is longer than 8,192 characters.
    """
    shown = url[:80] + ("…" if len(url) > 80 else "")
    if len(url) > _MAX_URL:
        raise Rejection(
            RejectReason.BAD_URL, f"{shown!r} has {len(url):,} characters; the limit is {_MAX_URL:,}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Rejection(RejectReason.BAD_URL, f"{shown!r} is no web address ({error})") from error
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    if (
        scheme not in ("http", "https")
        or not host
        or "@" in parts.netloc
        or re.search(r"[\x00-\x20\x7f\\]", url)
    ):
        raise Rejection(RejectReason.BAD_URL, f"{shown!r} is no http or https address of a page")
    host = f"[{host}]" if ":" in host else host
    netloc = host if port in (None, 80 if scheme == "http" else 443) else f"{host}:{port}"
    return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))
