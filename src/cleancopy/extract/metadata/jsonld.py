"""The JSON-LD of a page: its typed nodes, and the one that speaks for the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.text import TITLE_CAP, name_key, plain_text

# The largest JSON-LD of 1,478 pages measured has 153 kB; a megabyte parses in some 20 ms.
_JSON_BUDGET = 1_000_000
_NODE_BUDGET = 2_000
#: An object of JSON-LD that has a type.
JsonNode = Mapping[str, Any]
# schema.org types of works that a page can be about, beside articles.
_WORKS = frozenset((
    "product", "productgroup", "individualproduct", "recipe", "event", "course", "book", "dataset", "question",
    "howto", "movie", "softwareapplication", "webapplication", "mobileapplication", "creativework", "report",
    "podcastepisode", "review", "softwaresourcecode", "guide", "service", "videogame", "thesis", "chapter",
))  # fmt: skip
# The properties that lead to nodes that speak for the page.
_INWARD = ("@graph", "mainEntity", "mainEntityOfPage")


def jsonld_nodes(scripts: Iterable[str]) -> list[JsonNode]:
    """The typed nodes of a page's JSON-LD in document order: graphs and main entities, no further down."""
    nodes: list[JsonNode] = []
    budget = _JSON_BUDGET
    for script in scripts:
        if len(script) > budget:
            continue
        budget -= len(script)
        try:
            stack = [json.loads(script, strict=False)]
        except (ValueError, RecursionError):
            # Not JSON, or nested deeper than anything that describes a page: the other sources speak.
            continue
        while stack and len(nodes) < _NODE_BUDGET:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(reversed(value[:_NODE_BUDGET]))
            elif isinstance(value, dict):
                if "@type" in value:
                    nodes.append(value)
                stack.extend(value[key] for key in reversed(_INWARD) if key in value)
    return nodes


def schema_types(node: JsonNode) -> list[str]:
    """The schema.org types of a node, lower case, without their namespace."""
    return [name.rpartition("/")[2].lower() for name in as_list(node.get("@type")) if isinstance(name, str)]


def rank_of(node: JsonNode) -> int:
    """How a node speaks for the page: 0 as an article or posting, 1 as another work, 2 as the page, 9 not."""
    types = schema_types(node)
    if any(name.endswith(("article", "posting")) for name in types):
        return 0
    if any(name in _WORKS or name.endswith("event") for name in types):
        return 1
    return 2 if any(name.endswith("page") for name in types) else 9


def main_node(nodes: list[JsonNode], claims: Claims) -> JsonNode:
    """The node that speaks for the page, or an empty one.

    Among several of a kind it is the one that the page is titled like; a page that lists many articles and is
    titled like none of them has no main article.
    """
    titles = [
        name_key(title)
        for title in [*claims.titles, *claims.metas.get("og:title", ()), *(text for _, text in claims.headings)]
    ]
    for rank in (0, 1, 2):
        same = [node for node in nodes if rank_of(node) == rank]
        if len(same) == 1:
            return same[0]
        for node in same:
            key = name_key(node_title(node) or "")
            if len(key) > 3 and any(key in title or (title and title in key) for title in titles):
                return node
    return {}


def node_title(node: JsonNode) -> str | None:
    """The headline of a node, else its name."""
    return plain_text(node.get("headline"), TITLE_CAP) or plain_text(node.get("name"), TITLE_CAP)


def as_list(value: object) -> list[Any]:
    """A JSON-LD value as a list: one value may stand for a list of one."""
    return value[:_NODE_BUDGET] if isinstance(value, list) else [] if value is None else [value]
