"""The language that the page declares: RFC 5646."""

from __future__ import annotations

import re

from lxml.html import HtmlElement

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.jsonld import JsonNode

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{2,8})*)")
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_LANGUAGES = ("content-language", "dc.language", "dcterms.language", "language", "og:locale", "inlanguage")


def declared_language(tree: HtmlElement, claims: Claims, main: JsonNode) -> str | None:
    """The page's language tag: its root element's, else its metas', else its JSON-LD's."""
    root = tree.getroottree().getroot()
    declared = (_bcp47(root.get(name)) for name in ("lang", _XML_LANG, "xml:lang"))
    return (
        next(filter(None, declared), None) or claims.first(_LANGUAGES, _bcp47) or _bcp47(main.get("inLanguage"))
    )


def _bcp47(value: object) -> str | None:
    """A language tag in the letter case of RFC 5646 section 2.1.1, or None."""
    match = _LANGUAGE.fullmatch(value.strip()[:36]) if isinstance(value, str) else None
    if not match:
        return None
    rest = re.split("[-_]", match[2])[1:]
    cased = [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in rest
    ]
    return "-".join([match[1].lower(), *cased])
