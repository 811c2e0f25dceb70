"""The canonical form of a web address, which names its document over all captures."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from urllib.parse import SplitResult, urlsplit, urlunsplit

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


def match_form(address: str) -> str:
    """The form by which a person's way of writing an address is known again; no document is named by it.

    Scheme, case of the host, default port, fragment and tracking parameters (tracking.toml) say nothing of
    which page is meant. What is no web address, such as the key of a file, stays as it is.
    """
    parts = _split(address)
    if parts is None or not parts.netloc:
        return address
    host = parts.netloc.rpartition("@")[2].lower()
    host = re.sub(r"\.?(?::(?:80|443)?)?$", "", host)
    fields = [
        part for part in parts.query.split("&") if part and not _tracking().fullmatch(part.partition("=")[0])
    ]
    return f"{host}{parts.path or '/'}" + (f"?{'&'.join(fields)}" if fields else "")


def match_site(site: str) -> str:
    """The form by which a site is known again: its host in lower case, however it was written."""
    host = site.strip().lower()
    host = host.partition("://")[2] or host
    return re.sub(r"\.?(?::(?:80|443))?$", "", re.split(r"[/?#]", host, maxsplit=1)[0])


def _split(address: str) -> SplitResult | None:
    if not re.match(r"https?://", address, re.IGNORECASE):
        return None
    try:
        return urlsplit(address)
    except ValueError:
        return None


@cache
def _tracking() -> re.Pattern[str]:
    """The names of parameters that say nothing of which page is meant."""
    text = (files("cleancopy.warc") / "tracking.toml").read_text(encoding="utf-8")
    rules = tomllib.loads(text)["pattern"]
    return re.compile("|".join(f"(?:{rule['regex']})" for rule in rules), re.IGNORECASE)
