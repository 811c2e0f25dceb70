"""The licence that the page declares for itself: SPDX."""

from __future__ import annotations

import re
from itertools import islice

from lxml.html import HtmlElement

from cleancopy.extract.metadata.address import absolute_address
from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.jsonld import JsonNode, as_list
from cleancopy.extract.metadata.text import UNSHOWN_TAGS, URL_CAP, plain_text

_LICENCES = ("dcterms.license", "dc.rights", "dcterms.rights", "dc.rights.license", "license", "cc:license")
_CC = re.compile(
    r"^https?://(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)/(\d\.\d)(?:/([a-z]{2,3}))?(?=[/?#]|$)",
    re.IGNORECASE,
)
_CC_NAME = re.compile(r"\bCC[ -](BY(?:-NC)?(?:-ND|-SA)?|0)(?:[ -](\d\.\d))?\b", re.IGNORECASE)
_SPDX = re.compile(
    r"(?:MIT|Apache-2\.0|CC0-1\.0|(?:L|A)?GPL-[23]\.\d(?:-only|-or-later)?|GFDL-1\.[123](?:-\w+)*|OGL-UK-[123]\.0)"
)
_RESERVED = re.compile(
    r"\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés|todos los derechos reservados)\b",
    re.IGNORECASE,
)


def declared_licence(tree: HtmlElement, claims: Claims, main: JsonNode, url: str | None) -> str | None:
    """The licence that the page declares for itself, "conflict" where two claims disagree.

    "All rights reserved" alone is no licence, but it contradicts an open one.
    """
    hrefs = [link.get("href") for link in claims.links if link.get("rel") == "license"]
    hrefs += [anchor.get("href") for anchor in claims.anchors if _licenses_page(anchor)]
    fields: list[object] = [claim for name in _LICENCES for claim in claims.metas.get(name, ())]
    licence_nodes = as_list(main.get("license"))
    fields += [node.get("url") or node.get("@id") if isinstance(node, dict) else node for node in licence_nodes]
    names = [*(_licence_name(href, url) for href in hrefs), *(_licence_name(claim, None) for claim in fields)]
    licences = list(dict.fromkeys(filter(None, names)))
    is_open = bool(licences) and "://" not in licences[0]
    if len(licences) > 1 or (is_open and _all_rights_reserved(tree)):
        return "conflict"
    return next(iter(licences), None)


def _licenses_page(anchor: HtmlElement) -> bool:
    """Whether a link says that it is to the page's licence; inside a figure it is to a picture's."""
    around = {parent.tag for parent in islice(anchor.iterancestors(), 50)}
    return "license" in anchor.get("rel", "").lower().split() and not around & {"figure", "figcaption"}


def _licence_name(claim: object, url: str | None) -> str | None:
    """A licence as an SPDX-like name where it is a well-known one, as an absolute URL elsewhere."""
    text = plain_text(claim, URL_CAP)
    if not text:
        return None
    deed = _CC.match(text)
    if deed:
        kind, short, version, place = deed.groups()
        name = {"zero": "CC0", "mark": "CC-PDM"}.get(short.lower(), f"CC-{short.upper()}")
        ported = f"-{place.upper()}" if place and kind.lower() == "licenses" and version < "4.0" else ""
        return f"{name}-{version}{ported}"
    if _SPDX.fullmatch(text):
        return text
    named = _CC_NAME.search(text) if len(text) < 200 and "/" not in text else None
    if named:
        return "-".join(filter(None, ["CC0" if named[1] == "0" else f"CC-{named[1].upper()}", named[2]]))
    return absolute_address(text, url)


def _all_rights_reserved(tree: HtmlElement) -> bool:
    for element in tree.iter():
        shown = isinstance(element.tag, str) and element.tag not in UNSHOWN_TAGS
        if (shown and _RESERVED.search(element.text or "")) or _RESERVED.search(element.tail or ""):
            return True
    return False
