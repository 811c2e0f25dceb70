"""Names of files and folders that are safe whatever a page or a site calls itself."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_NOT_SITE = re.compile(r"[^a-z0-9.-]+")
_LONGEST = 60


def slug(text: str | None, otherwise: str = "page") -> str:
    """A short name of ASCII letters, digits and hyphens: ``Zürich: a visit`` is ``zurich-a-visit``."""
    plain = unicodedata.normalize("NFKD", (text or "")[:500]).encode("ascii", "ignore").decode().lower()
    words = _NOT_SLUG.sub("-", plain).strip("-")
    return (
        words if len(words) <= _LONGEST else words[:_LONGEST].rpartition("-")[0] or words[:_LONGEST]
    ) or otherwise


def site_slug(site: str | None) -> str:
    """A folder name for a site: its host where that is plain, else made plain with a digest behind it."""
    site = site or ""
    plain = _NOT_SITE.sub("-", site.lower()).strip(".-")
    if plain == site and len(plain) <= 80 and ".." not in plain and plain:
        return plain
    digest = hashlib.sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug(plain, 'site')}-{digest}"
