"""One pass over the tree of a page: from the root to the text of each block, and the spans in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from functools import lru_cache

from lxml import etree, html

from cleancopy.document import Block, BlockKind, Repair
from cleancopy.extract.addresses import Addresses
from cleancopy.extract.collapse import BREAK, paragraphs
from cleancopy.extract.elements import (
    BLOCK_ELEMENTS,
    BREAKS,
    CODE,
    INLINE,
    LINK,
    MARKED,
    MARKS,
    MATH,
    PICTURE,
    ROLES,
    RUBY,
    SCRIPT,
    SELECT,
    SKIPPED,
    SPAN,
    chosen,
    code_language,
    ruby_text,
)
from cleancopy.extract.encoding import Edit
from cleancopy.extract.encoding import repair as repair_text
from cleancopy.extract.footnotes import Note
from cleancopy.extract.formulas import CLASS_BEGINNING, CLASSES, Formula, formula_of, picture_tex
from cleancopy.extract.hidden import UNSEEN, is_hidden
from cleancopy.extract.marks import BEGINS, ENDS, STANDS, Marks, OpenSpan, finished, open_span
from cleancopy.extract.page import Page
from cleancopy.extract.tables import Cell, cells, is_row

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(["ul", "ol", "dl", "menu", "dir"])
_GROUPS = _LISTS | {"table"}
_ITEMS = {"li": "item", "dt": "term", "dd": "description"}
_HOLDING = _GROUPS | _ITEMS.keys() | {"td", "th", "blockquote", "pre"}
_CAPTION_CLASS = re.compile(r"(?:^|[\s_-]|[a-z](?=C))caption", re.IGNORECASE)
_CREDIT_CLASS = re.compile(
    r"(?:^|[\s_-])(?:(?:photo|image|img|media|picture|caption|figure)[_-]*(?:credit|copyright|source|author)"
    r"|credits?(?:[_-]*line)?)(?:$|[\s_-])",
    re.IGNORECASE,
)
#: A class in ASCII that either of them matches has one of these in it.
_SIGNS = ("caption", "credit", "copyright", "source", "author")
_LONGEST_CLASS = 1_000
#: Most styles say nothing that could hide an element.
_MAY_HIDE = re.compile("none|hidden", re.IGNORECASE).search
_BLANKS = " \t\n\r"
#: An open block-level element on the way down to the text: itself, its path, what kind and level it gives the
#: blocks in it, the list or table that its rows belong to (0 for none), how many children of each tag it had,
#: the spans that end with it.
_Frame = tuple[html.HtmlElement, str, BlockKind, int, int, dict[str, int], tuple[OpenSpan, ...]]


class Walk:
    """One pass over a tree; ``with_hidden`` and ``with_noscript`` say what else counts as shown.

    ``unseen`` are the elements that the page's style sheets hide.
    """

    def __init__(
        self,
        root: html.HtmlElement,
        repair: bool,
        addresses: Addresses,
        footnotes: Mapping[html.HtmlElement, Note],
        unseen: Collection[html.HtmlElement] = (),
        *,
        with_hidden: bool,
        with_noscript: bool,
    ) -> None:
        self.repair = repair
        self.addresses = addresses
        self.footnotes = footnotes
        self.unseen = not with_hidden
        self.sheeted = unseen
        #: The elements that the page hides.
        self.concealed: list[html.HtmlElement] = []
        #: Whether the page has a script that draws formulas.
        self.draws_formulas = False
        self.roles = ROLES if with_noscript else ROLES | {"noscript": SKIPPED}
        #: (text, kind, level, group, path, link characters, element, edits)
        self.found: list[tuple[str, BlockKind, int, int, str, int, html.HtmlElement, list[Edit]]] = []
        self.pieces: list[str] = []
        self.edits: list[Edit] = []
        self.linked = self.code = self.pre = self.row = self.groups = self.options = 0
        # Of the pieces: how many are counted and their length; how many at the beginning say nothing.
        self.counted = self.length = self.blank = 0
        self.marks = Marks()
        self.spans: list[OpenSpan] = []
        #: The open inline elements that may be spans, None for those that are not.
        self.inline: list[OpenSpan | None] = []
        self.cells: dict[html.HtmlElement, Cell] = {}
        #: The number of the next item of each open list.
        self.numbers: list[tuple[int, int]] = []
        self.unknown: dict[html.HtmlElement, int] = {}
        self.skipped: Counter[str] = Counter()
        start = "/html/body" if root.tag == "body" else "/" + str(root.tag)
        self.frames: list[_Frame] = [(root, start, "paragraph", 0, 0, {}, ())]
        self._run(root)

    @property
    def shown(self) -> int:
        """How many characters the blocks have."""
        return sum(len(part[0]) for part in self.found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the page text, counted by element."""
        left_out = self.skipped + Counter(hidden=len(self.concealed))
        if not left_out:
            return ()
        counts = ", ".join(f"{count} {name}" for name, count in sorted(left_out.items()))
        return (f"not page text: {counts}",)

    def _run(self, root: html.HtmlElement) -> None:
        """Walk the tree. What is asked of every element stands here, without a call: pages have thousands."""
        role_of, pieces, repair, links = self.roles.get, self.pieces, self.repair, 0
        unseen, sheeted, inline, skipping = self.unseen, self.sheeted, self.inline, None
        push = pieces.append
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            tag = element.tag
            role = role_of(tag)
            if event == "start":
                if role is None or role is SPAN or role is LINK or role is MARKED or role is MATH:
                    classes = element.get("class")
                    marked = _marked(classes) if classes and len(classes) < _LONGEST_CLASS else None
                    if (role is MATH or marked == "formula") and self._formula(element, root):
                        skipping = element
                        walker.skip_subtree()
                        continue
                    style = element.get("style")
                    if (
                        unseen
                        and (
                            marked == "unseen"
                            or (style and _MAY_HIDE(style))
                            or element.get("hidden") is not None
                            or tag == "dialog"
                            or (sheeted and element in sheeted)
                        )
                        and (marked == "unseen" or is_hidden(element, style, element in sheeted))
                    ):
                        self.concealed.append(element)
                        skipping = element
                        walker.skip_subtree()
                        continue
                elif role is SCRIPT:
                    self._script(element, root)
                    walker.skip_subtree()
                    continue
                if role is SKIPPED:
                    self.skipped[tag] += 1
                    walker.skip_subtree()
                    continue
                if role is BREAKS:
                    push("\n" if self.pre else BREAK)
                    continue
                if role is LINK:
                    links += 1
                    inline.append(self._link(element))
                elif role is MARKED or role is CODE:
                    self.code += role is CODE
                    inline.append(None if self.pre else self._begin(open_span(MARKS[tag])))
                elif role is None and element is not root:
                    if tag in BLOCK_ELEMENTS or not self._is_inline(element):
                        self._open(element, tag, marked)
                elif role is PICTURE:
                    self._picture(element)
                    continue
                elif role is SELECT or role is RUBY:
                    self._read_whole(element, role)
                    walker.skip_subtree()
                    continue
                text = element.text
            elif element is root:
                break
            else:
                if element is skipping:
                    skipping = None
                elif role is LINK:
                    links -= 1
                    self._end(inline.pop())
                elif role is MARKED or role is CODE:
                    self.code -= role is CODE
                    self._end(inline.pop())
                elif role is None and element not in self.unknown:
                    self._close(tag)
                text = element.tail
            if not text:
                continue
            if not text.strip(_BLANKS):
                if pieces or self.pre:  # white space before the first word is nothing
                    push(text)
                continue
            if repair and not (text.isascii() and text.isprintable()):
                text = self._repaired(element, text, event == "end")
            if links:
                self.linked += len(text.strip())
            push(text)
        self._flush()
        self.marks.place_alone([part[4] for part in self.found], [len(part[0]) for part in self.found])

    def _begin(self, span: OpenSpan) -> OpenSpan:
        self.spans.append(span)
        self.marks.noted.append((len(self.pieces), span, BEGINS))
        return span

    def _end(self, span: OpenSpan | None) -> None:
        if span is not None:
            self.marks.noted.append((len(self.pieces), span, ENDS))

    def _link(self, element: html.HtmlElement) -> OpenSpan | None:
        note = self.footnotes.get(element) if self.footnotes else None
        if note is not None:
            return self._begin(open_span(note.kind, note.name))
        href = element.get("href")
        address = self.addresses.link(href) if href else ""
        return self._begin(open_span("link", address)) if address else None

    def _picture(self, element: html.HtmlElement) -> None:
        alt = " ".join((element.get("alt") or "").split())
        address = self.addresses.picture(element)
        formula = picture_tex(element, alt, address)
        if formula is not None:
            self._write_formula(formula)
        elif address:
            span = open_span("picture", address, alt)
            self.spans.append(span)
            self.marks.noted.append((len(self.pieces), span, STANDS))

    def _script(self, element: html.HtmlElement, root: html.HtmlElement) -> None:
        """Read a script that is a formula, and note one that draws formulas."""
        if (element.get("type") or "").startswith("math/"):
            self._formula(element, root)
            return
        self.skipped["script"] += 1
        source = element.get("src")
        if source and ("athjax" in source or "athJax" in source or "katex" in source):
            self.draws_formulas = True

    def _formula(self, element: html.HtmlElement, root: html.HtmlElement) -> bool:
        """Whether an element is a formula; it is read then."""
        formula = formula_of(element, root)
        if formula is not None and formula.tex:
            self._write_formula(formula)
        return formula is not None

    def _write_formula(self, formula: Formula) -> None:
        tex = " ".join(formula.tex.split())
        span = self._begin(open_span("formula", tex, "display" if formula.display else ""))
        self.pieces.append(tex)
        self._end(span)

    def _read_whole(self, element: html.HtmlElement, role: int) -> None:
        """Read an element whose text is not that of its parts one after another."""
        if role is SELECT:
            text = chosen(element)
            self.options += len(text)
            self.pieces.append(f" {text} " if text else "")
            return
        base, reading, after = ruby_text(element)
        span = self._begin(open_span("ruby", reading)) if reading else None
        self.pieces.append(base)
        self._end(span)
        self.pieces.append(after)

    def _is_inline(self, element: html.HtmlElement) -> bool:
        """Whether an element that HTML does not know stands within a line of text."""
        if not _is_within_line(element, self.unknown):
            return False
        self.unknown[element] = 1
        return True

    def _open(self, element: html.HtmlElement, tag: str, marked: str | None) -> None:
        _, path, kind, level, group, counts, _ = self.frames[-1]
        nth = counts[tag] = counts.get(tag, 0) + 1
        if self.row:
            held: tuple[OpenSpan, ...] = ()
            if tag not in ("td", "th"):
                self.pieces.append(" ")
            else:
                if self._has_text():
                    self.pieces.append(" | ")
                if element in self.cells:
                    held = (self._begin(_cell(self.cells[element])),)
            self.frames.append((element, path, kind, 0, group, {}, held))
            return
        if self.pieces or self.marks.noted:
            self._flush()
        if tag in _GROUPS:
            self.groups += 1
            group = self.groups
        within, depth = _kind(tag, marked, kind, level)
        held = self._holders(element, tag) if tag in _HOLDING or self.footnotes else ()
        if tag == "pre":
            self.pre += 1
        elif tag == "tr" and is_row(element):
            within, self.row = "table_row", len(self.frames) + 1
        self.frames.append((element, f"{path}/{tag}[{nth}]", within, depth, group, {}, held))

    def _holders(self, element: html.HtmlElement, tag: str) -> tuple[OpenSpan, ...]:
        """The spans that an element opens around the blocks in it."""
        spans: list[OpenSpan] = []
        if tag in _LISTS:
            first, step = _numbering(element) if tag == "ol" else (0, 0)
            self.numbers.append((first, step))
            spans.append(open_span("list", tag if tag in ("ol", "dl") else "ul", number=first))
        elif tag in _ITEMS:
            spans.append(open_span(_ITEMS[tag], number=self._number(element)))
        elif tag == "table":
            places = cells(element)
            self.cells |= places
            if places:
                spans.append(open_span("table"))
        elif tag in ("td", "th"):
            if element in self.cells:
                spans.append(_cell(self.cells[element]))
        elif tag == "blockquote":
            spans.append(open_span("quote"))
        elif tag == "pre" and not self.pre:
            spans.append(open_span("pre", code_language(element)))
        if self.footnotes and (note := self.footnotes.get(element)):
            spans.append(open_span(note.kind, note.name))
        for span in spans:
            span[0] = len(self.found)
        self.spans += spans
        return tuple(spans)

    def _number(self, item: html.HtmlElement) -> int:
        if not self.numbers or not self.numbers[-1][1]:
            return 0
        number, step = self.numbers[-1]
        value = item.get("value")
        number = int(value) if value and re.fullmatch(r"-?\d{1,9}", value, re.ASCII) else number
        self.numbers[-1] = number + step, step
        return number

    def _has_text(self) -> bool:
        """Whether the block that is being gathered has any text yet."""
        while self.blank < len(self.pieces) and self.pieces[self.blank].isspace():
            self.blank += 1
        return self.blank < len(self.pieces)

    def _close(self, tag: str) -> None:
        held = self.frames[-1][6]
        if self.row and len(self.frames) != self.row:
            for span in held:
                self._end(span)
            self.pieces.append(" ")
        else:
            if self.pieces or self.marks.noted:
                self._flush()
            self.row = 0
            if tag == "pre":
                self.pre -= 1
            elif tag in _LISTS:
                self.numbers.pop()
            if held and self.found:
                last, end = len(self.found) - 1, len(self.found[-1][0])
                for span in held:
                    # A row without a number that is one block says nothing that its list does not.
                    if span[0] < last or (span[0] == last and (span[4] != "item" or span[7])):
                        span[2:4] = last, end
        self.frames.pop()

    def _repaired(self, element: html.HtmlElement, text: str, tail: bool) -> str:
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
        joined, edits, linked, marks = "".join(self.pieces), self.edits, self.linked, self.marks
        element, path, kind, level, group, *_ = self.frames[-1]
        if edits:
            self.edits = []
        number, end = len(self.found), len(self.found[-1][0]) if self.found else 0
        if edits or self.pre or BREAK in joined:
            texts = list(paragraphs(joined, edits, verbatim=bool(self.pre)))
        else:
            text = " ".join(joined.split())
            texts = [(text, [])] if text else []
        if self.options and kind == "paragraph" and texts and self.options >= len(texts[0][0]):
            kind = "control"
        for text, its_edits in texts:
            self.found.append((text, kind, level, group, path, linked, element, its_edits))
        if marks.noted or marks.waiting:
            if not texts:
                marks.pass_over(number, end, path)
            elif self.pre:
                marks.place_verbatim(self.pieces, texts[0][0], number)
            elif BREAK in joined:
                marks.place_lines(self.pieces, number, end)
            else:
                marks.place(self.pieces, number, texts[0][0], end)
        self.pieces.clear()
        self.linked = self.counted = self.length = self.blank = self.options = 0

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
            "".join(parts),
            tuple(blocks),
            tuple(repairs),
            tree,
            tuple(part[6] for part in self.found),
            spans=finished(self.spans, blocks),
        )


def _cell(cell: Cell) -> OpenSpan:
    span = open_span("cell", "header" if cell.header else "")
    span[8:12] = cell.row, cell.column, cell.rows, cell.columns
    return span


def _numbering(numbered: html.HtmlElement) -> tuple[int, int]:
    """The first number of an ``ol``, and the step to the next."""
    start = numbered.get("start") or ""
    if numbered.get("reversed") is not None:
        first = len(numbered.findall("li"))
        return (int(start) if re.fullmatch(r"-?\d{1,9}", start, re.ASCII) else first), -1
    return (int(start) if re.fullmatch(r"-?\d{1,9}", start, re.ASCII) else 1), 1


_BLOCK_STYLE = re.compile(r"display\s*:\s*(?:block|flex|grid|table|list-item)", re.IGNORECASE)


def _is_within_line(element: html.HtmlElement, inline: Mapping[html.HtmlElement, int]) -> bool:
    """Whether an element touches running text, and holds no element that ends a line."""
    parent, before, after = element.getparent(), element.getprevious(), element.getnext()
    if parent is None:
        return False
    text = parent.text if before is None else before.tail
    if not (
        (text and text.strip())
        or (element.tail and element.tail.strip())
        or parent.tag in INLINE
        or parent in inline
        or (before is not None and (before.tag in INLINE or before in inline) and _has_words(before))
        or (after is not None and after.tag in INLINE and _has_words(after))
    ):
        return False
    if _BLOCK_STYLE.search(element.get("style") or ""):
        return False
    return next(element.iterdescendants(*BLOCK_ELEMENTS), None) is None


def _has_words(element: html.HtmlElement) -> bool:
    return any(text.strip() for text in element.itertext())


def _kind(tag: str, marked: str | None, kind: BlockKind, level: int) -> tuple[BlockKind, int]:
    """What a block-level element makes of the blocks in it; what it does not say it inherits."""
    if kind in ("code", "heading", "credit"):
        return kind, level
    if tag in _HEADINGS:
        return "heading", _HEADINGS[tag]
    if tag == "pre":
        return "code", 0
    if marked == "credit":
        return "credit", 0
    if marked == "caption" or tag in ("figcaption", "caption"):
        return "caption", 0
    if tag in _LISTS:
        return kind, level + 1 if kind == "list_item" else 1
    if tag in _ITEMS:
        return "list_item", max(1, level)
    if tag == "blockquote":
        return "quote", 0
    if tag == "button":
        return "control", 0
    return kind, level


@lru_cache(maxsize=8_192)
def _marked(classes: str) -> str | None:
    """What an element's classes say of it: that it holds a credit, a caption or a formula, or is unseen."""
    names = classes.split()
    if not UNSEEN.isdisjoint(names):
        return "unseen"
    if not CLASSES.isdisjoint(names) or any(name.startswith(CLASS_BEGINNING) for name in names):
        return "formula"
    if classes.isascii() and not any(map(classes.lower().__contains__, _SIGNS)):
        return None
    if _CREDIT_CLASS.search(classes):
        return "credit"
    return "caption" if _CAPTION_CLASS.search(classes) else None
