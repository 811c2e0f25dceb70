"""The texts that only JSON-LD declares: page text where a page shows next to nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any

from lxml import etree, html

#: The element of the texts that only JSON-LD declares.
DECLARED = "json-ld"
#: A declared text counts where it has so many characters, and so many times what the page shows.
_LEAST_DECLARED, _TIMES_SHOWN = 200, 4
#: The longest script that is read for it, and how many of its objects.
_LONGEST_SCRIPT, _OBJECTS = 1_000_000, 5_000
#: schema.org types whose description is not of what the page is about.
_BESIDE = frozenset(["WebSite", "WebPage", "Organization", "Person", "ImageObject", "Offer", "Brand", "Review"])
_LINE_TAG = re.compile(r"</?(?:p|br|div|li|ul|ol|h[1-6]|tr|blockquote)\b[^<>]{0,500}>", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[a-z][^<>]{0,500}>", re.IGNORECASE)
#: Characters that XML has no place for; libxml2 stops reading at some of them.
NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def add_declared(tree: html.HtmlElement, root: html.HtmlElement, shown: int) -> bool:
    """Whether the page shows next to nothing of what it declares; the declared lines are then in ``root``."""
    least = max(_LEAST_DECLARED, _TIMES_SHOWN * shown)
    scripts = [script.text or "" for script in tree.iter("script") if "ld+json" in (script.get("type") or "")]
    if sum(map(len, scripts)) < least:
        return False
    lines = [line for text in _declared_texts(scripts) for line in _lines(text)]
    if sum(map(len, lines)) < least:
        return False
    holder = etree.SubElement(root, DECLARED)
    for line in lines:
        etree.SubElement(holder, "p").text = line
    return True


def _declared_texts(scripts: Sequence[str]) -> list[str]:
    """The bodies of articles and posts in JSON-LD scripts, each once; where there are none, descriptions."""
    bodies: dict[str, None] = {}
    descriptions: dict[str, None] = {}
    for script in scripts:
        try:
            declared = json.loads(script[:_LONGEST_SCRIPT], strict=False)
        except (ValueError, RecursionError):
            continue
        for thing in _objects(declared):
            for key, texts in (("articleBody", bodies), ("text", bodies), ("description", descriptions)):
                if isinstance(text := thing.get(key), str) and (key != "description" or _is_topic(thing)):
                    texts[text] = None
    return list(bodies or descriptions)


def _objects(declared: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON text, in its order, down to ``_OBJECTS`` values."""
    waiting = [declared]
    for _ in range(_OBJECTS):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            waiting += [item for item in reversed(value) if isinstance(item, dict | list)]


def _is_topic(thing: dict[str, Any]) -> bool:
    named = thing.get("@type")
    return not _BESIDE.intersection(named if isinstance(named, list) else [named])


def _lines(text: str) -> list[str]:
    """The lines of a declared text, which may hold markup."""
    plain = unescape(_ANY_TAG.sub("", _LINE_TAG.sub("\n", text)))
    return [line for line in NOT_XML.sub("", plain).splitlines() if line.strip()]
