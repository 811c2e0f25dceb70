"""A page as it was read."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import html

from cleancopy.document import Block, Repair, Span


@dataclass(frozen=True, slots=True)
class Page:
    """A page as read: text, blocks, spans, repairs; for HTML also the tree and the element of each block."""

    text: str
    blocks: tuple[Block, ...]
    repairs: tuple[Repair, ...] = ()
    tree: html.HtmlElement | None = None
    elements: tuple[html.HtmlElement, ...] = ()
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
