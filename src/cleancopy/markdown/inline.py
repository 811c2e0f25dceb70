"""The text of a block with the spans in it as Markdown, and what keeps a page's own text from being markup."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from cleancopy.blocks import Span

# Emphasis, code, links, pictures, HTML, entities, GFM's strikethrough, formulas. One class, as looking around
# at every character would take five times as long. Besides, what Jekyll and Hugo take for a template.
_SIGNS = re.compile(r"[\\`*\[\]<~_&$]|(?<=\{)[{%]")
_ENTITY = re.compile(r"&#?\w+;")
# What makes a line a heading, list row, quote, rule, fence, table or, under a line of text, a heading.
_LINE_START = re.compile(r"^(?:([#>+\-=|:])|(\d{1,9})([.)]))")
_TICKS = re.compile("`+")
#: What may not stand in an address as it is: white space, controls, brackets, quotes, signs of Markdown.
_IN_ADDRESS = re.compile("[\0-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202e<>()\\[\\]\\\\\"'`|*$^{}]")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_FOLLOWED = frozenset(["http", "https", "mailto", "tel", "ftp"])
_RAISED = dict(zip("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ", strict=True))
_LOWERED = dict(zip("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎", strict=True))
_JOINED = frozenset(["emphasis", "strong", "strike", "code"])
_DELIMITERS = {"emphasis": "*", "strong": "**", "strike": "~~"}


def escaped(line: str, *, heading: bool = False) -> str:
    """A line with everything in it escaped that Markdown would take for markup."""
    return line_start(_SIGNS.sub(_sign, line), heading=heading)


def line_start(line: str, *, heading: bool = False) -> str:
    """A line with its beginning (of a heading its end) escaped where it would make it something else."""
    if heading:
        return re.sub(r"#(?=#*$)", r"\\#", line)
    match = _LINE_START.match(line)
    if match is None:
        return line
    return f"{match[2]}\\{line[len(match[2]) :]}" if match[2] else f"\\{line}"


def _sign(match: re.Match[str]) -> str:
    """A character that may be markup, escaped; an underscore inside a word is none, nor is a lone ampersand."""
    char, line, at = match[0], match.string, match.start()
    if char == "_" and 0 < at < len(line) - 1 and line[at - 1].isalnum() and line[at + 1].isalnum():
        return char
    if char == "&" and not _ENTITY.match(line, at):
        return char
    return "\\" + char


def address(written: str) -> str:
    """An address as the destination of a link; empty for one that a reader may not follow."""
    scheme = _SCHEME.match(written)
    if not written or (scheme and scheme[1].lower() not in _FOLLOWED):
        return ""
    encoded = _IN_ADDRESS.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), written)
    return _ENTITY.sub(lambda match: "&amp;" + match[0][1:], encoded)


def picture(span: Span) -> str:
    """A picture with its alt text; nothing where its address is none that a reader may follow."""
    source = address(span.value)
    alt = _SIGNS.sub(_sign, " ".join(span.text.split()))
    return f"![{alt}]({source})" if source else ""


def formula(tex: str, display: bool) -> str:
    """TeX between dollar signs.

    What a reader that knows no formulas would take for HTML, a link or a note is written otherwise.
    """
    line = " ".join(re.sub(r"(?<!\\)%.*", "", tex).split()).replace("`", "'")
    line = (
        re.sub(r"(?<!\\)\$", "", line).replace("<", r"\lt ").replace("](", "] (").replace("[^", "[ ^").strip()
    )
    line = line.rstrip("\\") if re.search(r"(?<!\\)(?:\\\\)*\\$", line) else line
    mark = "$$" if display else "$"
    return f"{mark}{line}{mark}" if line else ""


class Inline:
    """The spans within the blocks of a text. ``numbers`` are those of the notes that are referred to."""

    def __init__(self, text: str, spans: Sequence[Span], numbers: dict[str, int]) -> None:
        self.text, self.spans, self.numbers = text, spans, numbers
        self.starts = [span.start for span in spans]

    def lines(self, start: int, end: int, spans: Sequence[Span]) -> str:
        """A range with a break after each of its lines."""
        written = _Range(self, start, end, spans, "\n").write()
        return "\\\n".join(line_start(" ".join(line.split())) for line in written.split("\n") if line.strip())

    def line(self, start: int, end: int, spans: Sequence[Span], *, cell: bool = False) -> str:
        """A range on one line: a heading, or a cell, where bars are escaped."""
        written = " ".join(_Range(self, start, end, spans, " ").write().split())
        return written.replace("|", "\\|") if cell else line_start(written, heading=True)


class _Range:
    """Writes a range of a text once, span by span."""

    def __init__(self, inline: Inline, start: int, end: int, spans: Sequence[Span], line_end: str) -> None:
        self.text, self.numbers, self.line_end = inline.text, inline.numbers, line_end
        self.start, self.end, self.spans = start, end, spans
        self.written = ""
        #: Whether the next character of the text has to count as punctuation.
        self.parted = False
        self.open: set[str] = set()
        #: Within a super- or subscript its characters; empty elsewhere.
        self.signs: Mapping[str, str] = {}

    def write(self) -> str:
        self._write(self.start, self.end, self.spans)
        return self.written

    def _write(self, start: int, end: int, spans: Sequence[Span]) -> None:
        at = 0
        while at < len(spans):
            span, after = spans[at], at + 1
            first, last = max(start, span.start), min(end, span.end)
            while after < len(spans) and spans[after].start < span.end:
                after += 1
            inner = list(spans[at + 1 : after])
            if span.kind == "picture" and start <= span.start <= end:
                self._text(start, span.start)
                start, at = span.start, at + 1
                # Beside a word a picture would seem to be a part of it.
                self.written += " " if self.written and not self.written[-1].isspace() else ""
                self.written += picture(span) + " "
                continue
            while after < len(spans) and spans[after].kind in _JOINED and _goes_on(spans[after], span):
                span, at, after = span._replace(end=spans[after].end), after, after + 1
                last = min(end, span.end)
                while after < len(spans) and spans[after].start < span.end:
                    after += 1
                inner += spans[at + 1 : after]
            at = after
            while first < last and self.text[first].isspace():
                first += 1
            while first < last and self.text[last - 1].isspace():
                last -= 1
            if first < last:
                self._text(start, first)
                self._span(span, first, last, inner)
                start = last
        self._text(start, end)

    def _text(self, start: int, end: int) -> None:
        text = self.text[start:end]
        if not text:
            return
        if self.signs:
            text = "".join(self.signs.get(char, char) for char in text)
        first = ""
        if self.parted and text[0].isalnum():
            first, text = f"&#{ord(text[0])};", text[1:]
        self.parted = False
        self.written += first + _SIGNS.sub(_sign, text.replace("\n", self.line_end))

    def _span(self, span: Span, start: int, end: int, inner: Sequence[Span]) -> None:
        kind = span.kind
        if kind == "link":
            self._link(span, start, end, inner)
        elif kind in _DELIMITERS and kind not in self.open:
            self._delimited(kind, start, end, inner)
        elif kind == "code":
            self._code(start, end, inner)
        elif kind == "formula":
            self.written += formula(span.value, span.text == "display")
            self.parted = True
        elif kind == "footnote" and span.value in self.numbers:
            self.written = self.written.rstrip() + f"[^{self.numbers[span.value]}]"
        elif kind in ("sup", "sub"):
            self._script(kind, start, end, inner)
        elif kind != "note_mark" or span.value not in self.numbers:
            self._write(start, end, inner)

    def _link(self, span: Span, start: int, end: int, inner: Sequence[Span]) -> None:
        target = address(span.value)
        if not target or "link" in self.open:
            self._write(start, end, inner)
            return
        self.written += "["
        self.open.add("link")
        self._write(start, end, inner)
        self.open.discard("link")
        self.written += f"]({target})"

    def _delimited(self, kind: str, start: int, end: int, inner: Sequence[Span]) -> None:
        """Emphasis. Its signs count only beside white space or punctuation, so a letter is written as such."""
        mark, before = _DELIMITERS[kind], self.written
        self.written, self.parted = "", False
        self.open.add(kind)
        self._write(start, end, inner)
        self.open.discard(kind)
        within, self.written = self.written.strip(), before
        if not within:
            return
        if before and _is_sign(within[0]) and not _is_sign(before[-1]) and not before[-1].isspace():
            self.written = f"{before[:-1]}&#{ord(before[-1])};"
        if self.written.endswith("*") and mark[0] == "*" and not self.written.endswith("\\*"):
            # A run of stars would be read as another number of them.
            mark = mark.replace("*", "_")
        self.written += f"{mark}{within}{mark}"
        self.parted = mark[0] == "_" or _is_sign(within[-1])

    def _code(self, start: int, end: int, inner: Sequence[Span]) -> None:
        """Code, in pieces where links are in it: they are links of code then."""
        for span in inner:
            if span.kind == "link" and "link" not in self.open and address(span.value):
                first, last = max(start, span.start), min(end, span.end)
                self._code_text(start, first)
                self.written += "["
                self._code_text(first, last)
                self.written += f"]({address(span.value)})"
                start = last
        self._code_text(start, end)

    def _code_text(self, start: int, end: int) -> None:
        code = self.text[start:end].replace("\n", " ")
        if not code.strip():
            self.written += code
            return
        if self.written.endswith("`"):  # ticks would meet ticks
            self.written += _SIGNS.sub(_sign, code)
            return
        ticks = "`" * (1 + max(map(len, _TICKS.findall(code)), default=0))
        pad = " " if code[0] in "` " or code[-1] in "` " else ""
        self.written += f"{ticks}{pad}{code}{pad}{ticks}"

    def _script(self, kind: str, start: int, end: int, inner: Sequence[Span]) -> None:
        """Raised or lowered characters, where Unicode has all of them; 10 to the third is not 103."""
        signs, before = _RAISED if kind == "sup" else _LOWERED, self.signs
        self.signs = signs if all(char in signs for char in self.text[start:end]) else before
        self._write(start, end, inner)
        self.signs = before


def _is_sign(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def _goes_on(span: Span, before: Span) -> bool:
    """Whether a span is of the kind of the one before, and begins where that ends: on paper they are one."""
    return span.kind == before.kind and span.start == before.end
