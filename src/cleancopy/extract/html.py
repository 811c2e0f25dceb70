"""HTML or plain text to page text and blocks: one parse, one walk.

The page text is what a reader sees, in reading order: white space is collapsed to single spaces (kept in
``pre``), ``<br>`` is a line end, two of them a paragraph end, the cells of a table row are joined by " | ".
Alt text, scripts, form values and the like are not page text. ``<noscript>`` is page text only where it
holds more than the rest of the page shows (forums that render by script). Where a page shows next to nothing,
the bodies of articles and posts that its JSON-LD declares, or else descriptions, are page text: they are read
from an element ``json-ld``, which the tree gets at its end.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from html import unescape
from itertools import pairwise
from typing import Any

import numpy as np
from lxml import etree, html

from cleancopy.document import Block, BlockKind, Repair
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.encoding import Edit
from cleancopy.extract.encoding import repair as repair_text
from cleancopy.extract.limits import check_tree
from cleancopy.policy import Limits

#: Elements whose content no reader sees as text.
NOT_TEXT = frozenset(
    [
        "script",
        "style",
        "template",
        "head",
        "svg",
        "iframe",
        "object",
        "embed",
        "applet",
        "canvas",
        "audio",
        "video",
        "map",
        "math",
        "select",
        "datalist",
        "textarea",
        "frameset",
        "noframes",
        "title",
        "meta",
        "link",
        "param",
        "source",
        "track",
    ]
)
#: Elements that do not end a line. Everything else starts and ends a block.
INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "mark",
        "nobr",
        "picture",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(["ul", "ol", "dl", "menu", "dir"])
_GROUPS = _LISTS | {"table"}
_ROWS_OF_LISTS = frozenset(["li", "dt", "dd"])
#: What the walk does with the elements that neither start nor end a block.
_PLAIN, _LINK, _CODE, _BREAKS, _SKIPPED = range(5)
_ROLES = {
    **dict.fromkeys(INLINE, _PLAIN),
    **dict.fromkeys(NOT_TEXT, _SKIPPED),
    "a": _LINK,
    "code": _CODE,
    "br": _BREAKS,
}
_CAPTION_CLASS = re.compile(r"(?:^|[\s_-]|[a-z](?=C))caption", re.IGNORECASE)
_CREDIT_CLASS = re.compile(
    r"(?:^|[\s_-])(?:(?:photo|image|img|media|picture|caption|figure)[_-]*(?:credit|copyright|source|author)"
    r"|credits?(?:[_-]*line)?)(?:$|[\s_-])",
    re.IGNORECASE,
)
#: A class in ASCII that either of them matches has one of these in it.
_MARKS = ("caption", "credit", "copyright", "source", "author")
#: The longest cell, in characters, of a table that is read row by row; tables with longer cells are layout.
_LONGEST_CELL = 500
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
_BREAK = "\0"
_BLANKS = " \t\n\r"
#: Possessive, so that a thousand comments cost one look each.
_MARKUP = re.compile(
    r"(?:\s++|<\?[^>]*+>|<!--(?>.*?-->))*+"
    r"<(?:!doctype\s+html|html|head|body|title|meta|script|div|table|article|p|h1|a)\b",
    re.IGNORECASE | re.DOTALL,
)
_DOCUMENT = re.compile(r"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_SELF_CLOSED_HTML = re.compile(r"(<html[^>]{0,2000}?)/>", re.IGNORECASE)
#: Characters that XML has no place for; libxml2 stops reading at some of them.
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NONCHARACTERS = ("\ufffe".encode(), "\uffff".encode())
#: Every element is an ``HtmlElement``: lxml's own lookup asks Python for each, which took a fifth of the parse.
_CLASSES = etree.ElementDefaultClassLookup(element=html.HtmlElement, comment=html.HtmlComment)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as read: page text, blocks, repairs; for HTML also the tree and the element of each block."""

    text: str
    blocks: tuple[Block, ...]
    repairs: tuple[Repair, ...] = ()
    tree: html.HtmlElement | None = None
    elements: tuple[html.HtmlElement, ...] = ()
    notes: tuple[str, ...] = ()


def is_markup(text: str) -> bool:
    """Whether a text begins as an HTML page does; what may stand before the first element is passed over.

    Archives put an element of their own before the page, so that its document type comes a little later.
    """
    if _MARKUP.match(text):
        return True
    return text.lstrip().startswith("<") and _DOCUMENT.search(text[:2_000]) is not None


def parse_html(markup: str, limits: Limits | None = None) -> html.HtmlElement:
    """The tree of an HTML page; comments and processing instructions are left out.

    Raises Rejection(not_html) where no element comes out. Control characters that stop libxml2 are removed
    before (the walk never sees them), a document type and a self-closed ``<html/>`` too
    (https://bugs.launchpad.net/lxml/+bug/1955915).
    """
    readable, encoded, _ = _readable(markup)
    return _parsed(readable, encoded, limits)


def _readable(markup: str) -> tuple[str, bytes, int]:
    """A page without the characters that XML has no place for, as UTF-8 too, and how many they were.

    The bytes are looked at first: ten times as fast as the text, where nearly no page has any.
    """
    encoded = markup.encode("utf-8", "replace")
    code = np.frombuffer(encoded, np.uint8)
    white = sum(np.count_nonzero(code == sign) for sign in b"\t\n\r")
    if np.count_nonzero(code < 0x20) == white and (
        b"\xef" not in encoded or not any(map(encoded.__contains__, _NONCHARACTERS))
    ):
        return markup, encoded, 0
    readable = _NOT_XML.sub("", markup)
    return readable, readable.encode("utf-8", "replace"), len(markup) - len(readable)


def _parsed(markup: str, encoded: bytes, limits: Limits | None) -> html.HtmlElement:
    doctype = _DOCTYPE.match(markup)
    if doctype:
        markup = markup[doctype.end() :]
        encoded = encoded[len(doctype[0].encode("utf-8", "replace")) :]
    head = markup[:4096]
    opened = _SELF_CLOSED_HTML.sub(r"\1>", head, count=1)
    if opened != head:
        encoded = opened.encode("utf-8", "replace") + encoded[len(head.encode("utf-8", "replace")) :]
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False)
    parser.set_element_class_lookup(_CLASSES)
    try:
        tree = html.document_fromstring(encoded, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, AssertionError) as error:
        raise Rejection(
            RejectReason.NOT_HTML, f"no HTML element was found ({error}); check what the file really is"
        ) from error
    if not isinstance(tree.tag, str):
        raise Rejection(RejectReason.NOT_HTML, "no HTML element was found; check what the file really is")
    if limits is not None:
        check_tree(tree, parser.error_log, limits)
    return tree


def read_html(markup: str, *, repair: bool = True, limits: Limits | None = None) -> Page:
    """The page of an HTML text: page text, blocks and repairs from one parse and one walk.

    With ``repair`` the text nodes of the tree are repaired in place first, so that whoever reads the tree
    later sees the same text. Raises Rejection(parse_depth) for a tree deeper than the ``limits``.
    """
    readable, encoded, unreadable = _readable(markup)
    tree = _parsed(readable, encoded, limits)
    body = tree.find("body")
    root = tree if body is None else body
    walk = _Walk(root, repair, with_noscript=False)
    if _noscript_length(root) > sum(len(text) for text, *_ in walk.found):
        walk = _Walk(root, repair, with_noscript=True)
    if _add_declared(tree, root, sum(len(text) for text, *_ in walk.found)):
        walk = _Walk(root, repair, with_noscript=False)
    notes = (f"{unreadable} control characters were removed before the parse",) if unreadable else ()
    return replace(walk.page(tree), notes=notes)


def read_plain(text: str, *, repair: bool = True) -> Page:
    """The page of a plain text: each line that is not empty is a block.

    Line ends become ``\\n``, trailing white space goes, runs of empty lines become one.
    """
    lines: list[str] = []
    repairs: list[Repair] = []
    blocks: list[Block] = []
    position, gap = 0, 0
    for raw in text.splitlines():
        fixed, edits = repair_text(raw) if repair else (raw, ())
        line = fixed.rstrip()
        if not line.strip():
            gap = min(gap + 1, 2)
            continue
        if blocks:
            lines.append("\n" if gap == 1 else "\n\n")
            position += gap
        blocks.append(Block(position, position + len(line)))
        repairs += [
            Repair(position + min(e.start, len(line)), position + min(e.end, len(line)), e.rule, e.original)
            for e in edits
        ]
        lines.append(line)
        position, gap = position + len(line), 1
    if blocks:
        lines.append("\n")
    return Page("".join(lines), tuple(blocks), tuple(repairs))


def _noscript_length(root: html.HtmlElement) -> int:
    return sum(len(" ".join(element.itertext()).strip()) for element in root.iter("noscript"))


def _add_declared(tree: html.HtmlElement, root: html.HtmlElement, shown: int) -> bool:
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
            said = json.loads(script[:_LONGEST_SCRIPT], strict=False)
        except (ValueError, RecursionError):
            continue
        for thing in _objects(said):
            for key, texts in (("articleBody", bodies), ("text", bodies), ("description", descriptions)):
                if isinstance(text := thing.get(key), str) and (key != "description" or _is_topic(thing)):
                    texts[text] = None
    return list(bodies or descriptions)


def _objects(said: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON text, in its order, down to ``_OBJECTS`` values."""
    waiting = [said]
    for _ in range(_OBJECTS):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            waiting += [one for one in reversed(value) if isinstance(one, dict | list)]


def _is_topic(thing: dict[str, Any]) -> bool:
    named = thing.get("@type")
    return not _BESIDE.intersection(named if isinstance(named, list) else [named])


def _lines(text: str) -> list[str]:
    """The lines of a declared text, which may hold markup."""
    plain = unescape(_ANY_TAG.sub("", _LINE_TAG.sub("\n", text)))
    return [line for line in _NOT_XML.sub("", plain).splitlines() if line.strip()]


#: An open block-level element on the way down to the text: itself, its path, what kind and level it gives the
#: blocks in it, the list or table that its rows belong to (0 for none), how many children of each tag it had.
_Frame = tuple[html.HtmlElement, str, BlockKind, int, int, dict[str, int]]


class _Walk:
    """One pass over the tree, from the root to the text of each block."""

    def __init__(self, root: html.HtmlElement, repair: bool, *, with_noscript: bool) -> None:
        self.repair = repair
        self.roles = _ROLES if with_noscript else _ROLES | {"noscript": _SKIPPED}
        #: (text, kind, level, group, path, link characters, element, edits)
        self.found: list[tuple[str, BlockKind, int, int, str, int, html.HtmlElement, list[Edit]]] = []
        self.pieces: list[str] = []
        self.edits: list[Edit] = []
        self.linked = self.code = self.pre = self.row = self.groups = 0
        # Of the pieces: how many are counted and their length; how many at the beginning say nothing.
        self.counted = self.length = self.blank = 0
        start = "/html/body" if root.tag == "body" else "/" + str(root.tag)
        self.frames: list[_Frame] = [(root, start, "paragraph", 0, 0, {})]
        self._run(root)

    def _run(self, root: html.HtmlElement) -> None:
        """Walk the tree. What is asked of every element stands here, without a call: pages have thousands."""
        role_of, pieces, repair, links = self.roles.get, self.pieces, self.repair, 0
        push = pieces.append
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            tag = element.tag
            role = role_of(tag)
            if event == "start":
                if role is _SKIPPED:
                    walker.skip_subtree()
                    continue
                if role is _BREAKS:
                    push("\n" if self.pre else _BREAK)
                    continue
                if role is _LINK:
                    links += 1
                elif role is _CODE:
                    self.code += 1
                elif role is None and element is not root:
                    self._open(element, tag)
                text = element.text
            elif element is root:
                break
            else:
                if role is _LINK:
                    links -= 1
                elif role is _CODE:
                    self.code -= 1
                elif role is None:
                    self._close(tag)
                text = element.tail
            if not text:
                continue
            if not text.strip(_BLANKS):
                if pieces or self.pre:  # white space before the first word is nothing
                    push(text)
                continue
            if repair and not (text.isascii() and text.isprintable()):
                text = self._mended(element, text, event == "end")
            if links:
                self.linked += len(text.strip())
            push(text)
        self._flush()

    def _open(self, element: html.HtmlElement, tag: str) -> None:
        _, path, kind, level, group, counts = self.frames[-1]
        nth = counts[tag] = counts.get(tag, 0) + 1
        if self.row:
            if tag not in ("td", "th"):
                self.pieces.append(" ")
            elif self._has_text():
                self.pieces.append(" | ")
            self.frames.append((element, path, kind, 0, group, {}))
            return
        if self.pieces:
            self._flush()
        if tag in _GROUPS:
            self.groups += 1
            group = self.groups
        within, depth = _kind(element, tag, kind, level)
        if tag == "pre":
            self.pre += 1
        elif tag == "tr" and _is_row(element):
            within, self.row = "table_row", len(self.frames) + 1
        self.frames.append((element, f"{path}/{tag}[{nth}]", within, depth, group, {}))

    def _has_text(self) -> bool:
        """Whether the block that is being gathered has any text yet."""
        while self.blank < len(self.pieces) and self.pieces[self.blank].isspace():
            self.blank += 1
        return self.blank < len(self.pieces)

    def _close(self, tag: str) -> None:
        if self.row and len(self.frames) != self.row:
            self.pieces.append(" ")
        else:
            if self.pieces:
                self._flush()
            self.row = 0
            if tag == "pre":
                self.pre -= 1
        self.frames.pop()

    def _mended(self, element: html.HtmlElement, text: str, tail: bool) -> str:
        """The text, or the tail, of an element with its repairs, which the tree gets too."""
        fixed, edits = repair_text(text, code=bool(self.code or self.pre))
        if edits:
            self.length += sum(map(len, self.pieces[self.counted :]))
            self.counted = len(self.pieces)
            self.edits += [Edit(self.length + e.start, self.length + e.end, e.rule, e.original) for e in edits]
            if tail:
                element.tail = fixed
            else:
                element.text = fixed
            return fixed
        return text

    def _flush(self) -> None:
        """End the block that is being gathered, if it has any text."""
        if not self.pieces:
            return
        joined, edits, linked = "".join(self.pieces), self.edits, self.linked
        self.pieces.clear()
        self.linked = self.counted = self.length = self.blank = 0
        if edits:
            self.edits = []
        if joined.isspace():
            return
        element, path, kind, level, group, _ = self.frames[-1]
        if edits or self.pre or _BREAK in joined:
            for text, own in _paragraphs(joined, edits, verbatim=bool(self.pre)):
                self.found.append((text, kind, level, group, path, linked, element, own))
        elif text := " ".join(joined.split()):
            self.found.append((text, kind, level, group, path, linked, element, []))

    def page(self, tree: html.HtmlElement) -> Page:
        """The page text of what was found, the blocks with their offsets."""
        parts: list[str] = []
        blocks: list[Block] = []
        repairs: list[Repair] = []
        position, before = 0, ("", 0)
        for text, kind, level, group, path, linked, _, edits in self.found:
            if parts:
                rows = kind in ("list_item", "table_row") and before == (kind, group)
                parts.append("\n" if rows else "\n\n")
                position += len(parts[-1])
            before = (kind, group)
            share = round(min(1.0, linked / len(text)), 3) if linked else 0.0
            blocks.append(Block(position, position + len(text), kind, level, path, share))
            repairs += [Repair(position + e.start, position + e.end, e.rule, e.original) for e in edits]
            parts.append(text)
            position += len(text)
        if parts:
            parts.append("\n")
        return Page(
            "".join(parts), tuple(blocks), tuple(repairs), tree, tuple(found[6] for found in self.found)
        )


def _kind(element: html.HtmlElement, tag: str, kind: BlockKind, level: int) -> tuple[BlockKind, int]:
    """What a block-level element makes of the blocks in it; what it does not say it inherits."""
    if kind in ("code", "heading", "credit"):
        return kind, level
    if tag in _HEADINGS:
        return "heading", _HEADINGS[tag]
    if tag == "pre":
        return "code", 0
    marks = element.get("class")
    marked = _marked(marks) if marks and len(marks) < 1000 else None
    if marked == "credit":
        return "credit", 0
    if marked == "caption" or tag in ("figcaption", "caption"):
        return "caption", 0
    if tag in _LISTS:
        return kind, level + 1 if kind == "list_item" else 1
    if tag in _ROWS_OF_LISTS:
        return "list_item", max(1, level)
    if tag == "blockquote":
        return "quote", 0
    if tag == "button":
        return "control", 0
    return kind, level


@lru_cache(maxsize=4_096)
def _marked(classes: str) -> BlockKind | None:
    """What an element's classes say that it holds: a credit or a caption."""
    if classes.isascii() and not any(map(classes.lower().__contains__, _MARKS)):
        return None
    if _CREDIT_CLASS.search(classes):
        return "credit"
    return "caption" if _CAPTION_CLASS.search(classes) else None


def _is_row(row: html.HtmlElement) -> bool:
    """Whether a ``tr`` is a row of data: no table inside, and no cell as long as a paragraph of prose."""
    if next(row.iter("table"), None) is not None:
        return False
    return all(sum(map(len, cell.itertext())) <= _LONGEST_CELL for cell in row)


def _paragraphs(joined: str, edits: list[Edit], *, verbatim: bool) -> Iterator[tuple[str, list[Edit]]]:
    """The texts between double line breaks, white space collapsed, each with its edits moved along."""
    if verbatim:
        text = joined.replace(_BREAK, "\n").strip("\n")
        shift, text = joined.find(text), text.rstrip()
        if text:
            yield text, [_moved(e, -shift, len(text)) for e in edits]
        return
    if _BREAK not in joined:
        text = " ".join(joined.split())
        if text:
            yield text, _collapsed(joined, edits)
        return
    lines: list[str] = []
    own: list[Edit] = []
    start = length = 0
    waiting = deque(sorted(edits, key=lambda e: e.start))
    for part in joined.split(_BREAK):
        end = start + len(part)
        line = " ".join(part.split())
        inside = []
        while waiting and waiting[0].start <= end:
            inside.append(_moved(waiting.popleft(), -start, len(part)))
        if line:
            length += 1 if lines else 0
            own += [
                Edit(e.start + length, e.end + length, e.rule, e.original) for e in _collapsed(part, inside)
            ]
            lines.append(line)
            length += len(line)
        elif lines:
            yield "\n".join(lines), own
            lines, own, length = [], [], 0
        start = end + 1
    if lines:
        yield "\n".join(lines), own


def _moved(edit: Edit, by: int, limit: int) -> Edit:
    return Edit(
        max(0, min(edit.start + by, limit)), max(0, min(edit.end + by, limit)), edit.rule, edit.original
    )


def _collapsed(text: str, edits: list[Edit]) -> list[Edit]:
    """The edits of a text, at their offsets in ``" ".join(text.split())``."""
    if not edits:
        return []
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)] or [(0, 0)]
    offsets = [0]
    for (a, b), _ in pairwise([*words, (0, 0)]):
        offsets.append(offsets[-1] + (b - a) + 1)
    moved, at = [], 0
    for edit in sorted(edits, key=lambda e: e.start):
        while at + 1 < len(words) and words[at][1] < edit.start:
            at += 1
        start = offsets[at] + min(max(0, edit.start - words[at][0]), words[at][1] - words[at][0])
        last = at
        while last + 1 < len(words) and words[last + 1][0] < edit.end:
            last += 1
        end = offsets[last] + min(max(0, edit.end - words[last][0]), words[last][1] - words[last][0])
        moved.append(Edit(start, max(start, end), edit.rule, edit.original))
    return moved
