"""Repairs of text that was decoded wrongly before we got it, each recorded with the original.

``repair`` undoes *mojibake* (UTF-8 that was once read in another encoding) where the text itself proves it,
takes out characters that nobody sees but programs trip over, and brings letters into one spelling (NFC). Each
change is an ``Edit``: nothing is lost. What cannot be restored exactly stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from ftfy import bad_codecs, chardata, fixes
from ftfy.badness import is_bad

# Registers ftfy's "sloppy" codecs: they read a byte that the encoding leaves undefined as a C1 control, as
# browsers do.
bad_codecs.ok()


@dataclass(frozen=True, slots=True)
class Edit:
    """One repair within one text: ``text[start:end]`` of the repaired text was ``original``.

    ``rule``: ``mojibake``, ``control``, ``bidi``, ``tag``, ``zero-width`` or ``nfc``. Where characters were
    only taken out, start equals end.
    """

    start: int
    end: int
    rule: str
    original: str


def repair(text: str, *, code: bool = False) -> tuple[str, tuple[Edit, ...]]:
    """The text without mojibake and unseen characters, and each place where it was changed.

    Works line by line, and leaves a line alone unless it proves itself wrong. With ``code`` (text of ``pre``
    and ``code``) mojibake stays. What comes back is in NFC (UAX #15); compatibility forms stay. Idempotent.
    ``restore`` gives the original back.
    """
    if text.isascii():
        if not _ASCII_UNSEEN.search(text):
            return text, ()
    elif not (_MAYBE_UNSEEN.search(text) or (not code and _may_be_misread(text)) or _is_decomposed(text)):
        return text, ()
    parts, edits, length = list[str](), list[Edit](), 0
    for line in _LINE.findall(text):
        repaired, changes = _repaired(line, code)
        if not repaired.isascii() and _is_decomposed(repaired):
            repaired, changes = _composed(repaired, changes, _compositions(repaired))
        parts.append(repaired)
        edits += [Edit(e.start + length, e.end + length, e.rule, e.original) for e in changes]
        length += len(repaired)
    return "".join(parts), tuple(edits)


def restore(text: str, edits: Iterable[Edit]) -> str:
    """The text as it was before ``repair``: the edits taken back."""
    return _spliced(text, 0, len(text), ((e.start, e.end, e.original) for e in edits))


_LINE = re.compile(r"[^\n]*\n|[^\n]+")


# --- characters that nobody sees


# Scripts that need joiners and non-joiners beside their letters (Arabic to Tibetan, Mongolian), and emoji.
_JOINING = "\u0600-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\uabff\ufe0f\u2190-\u2bff\u3030-\u303d\u3297-\u3299"
_JOINING += "\U00010a00-\U00011fff\U0001f000-\U0001faff"
# Scripts written without spaces (Thai, Lao, Tibetan, Myanmar, Khmer, Tai ...): there U+200B parts the words.
_SPACELESS = "\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
# The C0 controls but for tab, line feed and carriage return; and delete.
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
# Terminal escapes (ECMA-48): a control sequence, and an operating system command.
_ESCAPES = r"\x1b\[[0-?]{0,32}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)"
_ASCII_UNSEEN = re.compile(f"[{_CONTROL}]")
_MAYBE_UNSEEN = re.compile(
    f"[{_CONTROL}\x80-\x9f\u00ad\u200b-\u200d\u202a-\u202e\u2060\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# The two alternatives without a name are kept: flags of regions, and word breaks of spaceless scripts.
_UNSEEN = re.compile(
    f"(?P<control>{_ESCAPES}|[{_CONTROL}\x80-\x9f\u206a-\u206f\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]+)"
    "|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
    f"|(?<=[{_SPACELESS}])\u200b{{1,3}}|\u200b{{1,3}}(?=[{_SPACELESS}])"
    "|(?P<bidi>[\u202a-\u202e\u2066-\u2069]+)"
    "|(?P<tag>[\U000e0000-\U000e007f]+)"
    f"|(?P<zero>[\u00ad\u200b\u2060\ufeff]+|(?<![{_JOINING}])[\u200c\u200d]+(?![{_JOINING}]))"
)


# --- characters in more than one spelling


#: Marks on one letter that are put in order by insertion: thousands, which no text has, would take minutes.
_MOST_MARKS = 100
_TOKEN = re.compile(r"\S+")


def _is_decomposed(text: str) -> bool:
    """Whether a text is not in NFC, and can be brought into it in bounded time."""
    looks = text[::_MOST_MARKS]
    piled = any(unicodedata.combining(a) and unicodedata.combining(b) for a, b in pairwise(looks))
    return not piled and not unicodedata.is_normalized("NFC", text)


def _compositions(line: str) -> list[_Change]:
    """The words of a line that are not in NFC, as they are in it; no white space composes with what follows."""
    words = ((match.start(), match.end(), match[0]) for match in _TOKEN.finditer(line))
    return [
        _trimmed(line, start, end, unicodedata.normalize("NFC", word), "nfc")
        for start, end, word in words
        if not unicodedata.is_normalized("NFC", word)
    ]


# --- what may be mojibake: a cheap look


# The one-byte encodings that UTF-8 gets read in by mistake, the likeliest first (ftfy's order and codecs).
_MISREADINGS = tuple(chardata.CHARMAP_ENCODINGS)


def _seen_as(values: Iterable[int]) -> str:
    """A set of the characters that these byte values become in any of the misreadings."""
    return (
        "[" + re.escape("".join({char for codec in _MISREADINGS for char in bytes(values).decode(codec)})) + "]"
    )


def _suspect() -> re.Pattern[str]:
    """What any mojibake has in it, and most text has not.

    A sequence that can be proof by itself, two sequences of any kind in a row, a capital whose second byte, A0,
    has become a space, or a C1 control.
    """
    more, first = _seen_as(range(0x80, 0xC0)), _seen_as(range(0xC2, 0xF5))
    two, three = _seen_as([*range(0xC2, 0xC7), 0xC8, 0xC9, 0xCC]), _seen_as([0xE1, 0xE2, 0xEF])
    alone = f"{two}{more}|{three}{more}[{more[1:-1]} \ufffd]|[ã-íð]{more}{more}|[ÐÑÎÏ]{more}|Ê[»¼]"
    return re.compile(f"{alone}|{first}{more}+{first}{more}|[ÂÃÅÎÐÙ] |[\x80-\x9f]")


_SUSPECT = _suspect()


def _may_be_misread(text: str) -> bool:
    return bool(_SUSPECT.search(text)) or any(signs.search(text) for signs in _WHOLE.values())


def _signs_of(codec: str) -> re.Pattern[str]:
    """What UTF-8 read in this codec has and nearly no text: two sequences in a row, one in a Latin word."""
    first, more = (re.escape(bytes(range(*ends)).decode(codec)) for ends in ((0xC2, 0xF5), (0x80, 0xC0)))
    return re.compile(f"[{first}][{more}]{{1,3}}[{first}][{more}]|[A-Za-z][{first}][{more}]|â€")


# Codecs that ftfy does not try. By chance hardly a line in them is UTF-8 from end to end. GBK takes two bytes
# to a character, so only lines of an even number come back; what full stops, commas and quotation marks
# become gives it away.
_WHOLE = {"cp1256": _signs_of("cp1256"), "koi8-r": _signs_of("koi8-r"), "gbk": re.compile("[銆锛鈥鐨涓]")}
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# One is enough in a Latin word, or of a quotation mark or dash.
_PROVEN = re.compile(rb"[A-Za-z][\xc3-\xc5\xd0\xd1][\x80-\xbf]|\xe2\x80[\x90-\xbf]")


# --- one line, in rounds


_Change = tuple[int, int, str, str]  # start, end, what stands there instead, rule
_Mark = tuple[int, int, int, Edit | _Change]
_ROUNDS = 8  # how many times over a text may have been misread
_PARTS = 2000  # different runs of a line that are tried, which bounds the time of a hostile one


def _repaired(line: str, code: bool) -> tuple[str, list[Edit]]:
    """A line repaired until nothing more changes, and its edits.

    Text that was misread several times needs as many rounds. What still changes after ``_ROUNDS`` is no text
    but a trap; then only its unseen characters go.
    """
    bare = _composed(line, [], _removals(line))
    if code or not (_may_be_misread(line) or _may_be_misread(bare[0])):
        return bare
    # What cannot be restored stays as it is, its C1 controls too: who knows more may still read it.
    kept = _composed(line, [], [c for c in _removals(line) if not _C1.search(line, c[0], c[1])])
    for text, edits in ((line, []), kept):
        repaired = _rounds(text, edits)
        if repaired and (not _is_garbage(repaired[0]) or _reread_whole(text) is not None):
            return repaired
    return kept


def _rounds(line: str, edits: list[Edit]) -> tuple[str, list[Edit]] | None:
    for _ in range(_ROUNDS):
        reread = _reread(line)
        if reread == line and _TWO_BYTES.search(line):
            return None
        changes = _changes(line, reread) if reread != line else _removals(line)
        if not changes:
            return line, edits
        line, edits = _composed(line, edits, changes)
    return None


def _is_garbage(line: str) -> bool:
    """Whether a line is no text: what was reread in parts of it was chance, not proof.

    Bytes of GBK, Shift-JIS, EUC or TIS-620 that were read as Latin-1 make some pairs that look like UTF-8.
    """
    return bool(_GARBAGE.search(line)) or len(_SIGNS_OF_1252.findall(line)) > max(7, len(line) // 4)


# What windows-1252 has beyond ASCII. No language writes four of them in a row, or one letter in four with them.
_BEYOND = "\x80-\xac\xae-\xff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_SIGNS_OF_1252 = re.compile(f"[{_BEYOND}]")
_C1 = re.compile("[\x80-\x9f]")
_GARBAGE = re.compile(f"[{_BEYOND}]{{4}}|{_C1.pattern}")
# A control that windows-1252 has as a sign stands beside ASCII; two beyond ASCII are a character of two bytes.
_TWO_BYTES = re.compile(f"{_C1.pattern}[{_BEYOND}]|[{_BEYOND}]{_C1.pattern}")


def _removals(line: str) -> list[_Change]:
    """The unseen characters of a line."""
    if not _MAYBE_UNSEEN.search(line):
        return []
    unseen = ((match.start(), match.end(), match.lastgroup) for match in _UNSEEN.finditer(line))
    return [(start, end, "", rule.replace("zero", "zero-width")) for start, end, rule in unseen if rule]


def _reread(line: str) -> str:
    """A line with one misreading undone, or the same line where nothing speaks for one."""
    if (reading := _reread_whole(line)) is not None:
        return reading
    if not _SUSPECT.search(line) or not is_bad(line):
        return line
    reading = _reread_parts(_with_quotes(line))
    return reading if _TWO_BYTES.search(reading) else fixes.fix_c1_controls(reading)


def _reread_whole(line: str) -> str | None:
    """A line of which all that is not ASCII comes of UTF-8 that was read in one codec."""
    for codec, signs in _WHOLE.items():
        if signs.search(line):
            with suppress(UnicodeError):
                raw = line.encode(codec)
                if len(_SEQUENCE.findall(raw)) > 2 or _PROVEN.search(raw):
                    return raw.decode("utf-8")
    if not _SUSPECT.search(line):
        return None
    bad = is_bad(line)
    line = _with_quotes(line) if bad else line
    readings = (_misread_as(codec, line, bad) for codec in _MISREADINGS)
    return next((reading for reading in readings if reading is not None), None)


def _with_quotes(line: str) -> str:
    """A bad line with the closing quotation mark that windows-1252 cannot hold."""
    return line.replace("â€\ufffd", "â€\x9d")


def _reread_parts(line: str) -> str:
    """A line that is not misread as a whole, with those runs of sequences undone that prove it themselves.

    What more than ``_PARTS`` different runs prove is that the line is no text.
    """
    readings: dict[tuple[str, str, str], str] = {}
    parts, position = list[str](), 0
    for match in chardata.UTF8_DETECTOR_RE.finditer(line):
        start, end = match.span()
        key = (line[max(0, start - 1) : start], match[0], line[end : end + 1])
        if key not in readings:
            if len(readings) == _PARTS:
                return line
            readings[key] = _reread_part(*key)
        parts += [line[position:start], readings[key]]
        position = end
    return "".join([*parts, line[position:]])


def _reread_part(before: str, part: str, after: str) -> str:
    if is_bad(part):
        for codec in _MISREADINGS:
            if (reading := _misread_as(codec, part, True, before, after)) is not None:
                return reading
    return part


def _misread_as(codec: str, line: str, bad: bool, before: str = "", after: str = "") -> str | None:
    """The line as it was before UTF-8 was read in this codec, or None if that is not proved.

    In a line that is bad anyway, sequences are repaired, too, where A0 became a space or a byte was lost.
    ``before`` and ``after`` are the characters beside it.
    """
    try:
        raw = line.encode(codec)
        if bad and codec != "macroman":
            raw = fixes.restore_byte_a0(raw)
        if bad and codec.startswith("sloppy"):
            raw = fixes.replace_lossy_sequences(raw)
        reading = raw.decode("utf-8", "surrogatepass")
        if b"\xed" in raw:  # CESU-8: a pair of surrogates, each as a sequence of its own
            reading = reading.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        around = _beside(before) + raw + _beside(after)
    except UnicodeError:
        return None
    if not bad:
        return reading if _PROOF[codec].search(around) and not _INCREDIBLE.search(reading) else None
    return reading if _PROOF[codec].search(around) or _BAD_PROOF.search(around) else None


def _beside(char: str) -> bytes:
    return char.encode() if char.isascii() else b"\xff"


# --- what proves mojibake


# What proves mojibake, in the bytes of the misreading. Clean text, too, has neighbours that happen to be UTF-8,
# nearly all where a word in capitals ends in an accent and a sign follows: LIBERTÉ², MANHÃ», CASĂ™, or PAMÄŤ.
_LATIN = (  # a Latin letter or a sign
    rb"(?:\xc2[\xa0-\xbf]|[\xc3-\xc5][\x80-\xbf]|\xc6[\x98\x99\xa0\xa1\xaf\xb0]|\xc8[\x98-\x9b]"
    rb"|\xc9[\x93\x97\x99])"
)
_ANY = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
_EVERYWHERE = (
    rb"[A-Z][\xc3-\xc5][\x80-\xbf][a-z]",  # two capitals, then small letters: NÃ£o
    rb"[a-z]\xcc[\x80-\xbf]",  # a combining accent
    rb"[a-z]\xe1[\xba\xbb][\x80-\xb2][a-z]",  # Vietnamese
    rb"\xe2[\x80-\x82\x84][\x80-\xbf]",  # quotes, dashes, euro, trade mark: â€œ
    rb"\xf0\x9f[\x80-\xbf]{2}",  # emoji
    rb"\xef\xbf\xbd",  # U+FFFD, once or for a lost byte
)
_CAPITAL = rb"[a-z][\xc2-\xd6\xd8-\xde][\x80-\xbf]"  # where first bytes are capitals: cafÃ©, AhyÉ›de
_EDGE = rb"(?:^|[\x00-@[-`{-\x7f])"
_START = _EDGE + rb"(?:\xc2[\xa0-\xbf]|\xc3[\x80-\xbf]|[\xc6\xc9][\x80-\xbf][a-z])"  # Ã‰tat
_RUN = _ANY + rb"{2}"  # two sequences in a row, as in every word of another script
_LATIN_1 = (
    _CAPITAL,
    _START,
    rb"(?:[a-z]|" + _EDGE + rb")\xe1[\xb8-\xbb][\x80-\xbf][a-z]",
    _RUN,
    # Signs and letters that never follow these capitals, then those that do not where a letter follows as well.
    rb"[\xc3-\xc5][\x81-\x84\x86-\x8a\x8c-\x90\x98\x9a\x9c-\x9f\xa1\xa4-\xa8\xac\xad\xaf\xb1\xb4-\xb6\xb8\xbc-\xbf]",
    rb"[\xc3-\xc5][\x80\x99\xa2\xa3\xa9-\xab\xae\xb0\xb2\xb3\xb9-\xbb][A-Za-z]",
    rb"\xc3[\x85\x8b\x91-\x96\x9b][A-Za-z]|\xc8[\x98-\x9b][A-Z]",
    rb"[\xc2-\xdf][\x81\x8d\x8f\x90\x9d]",
)
_SIGN = rb"[\xc3-\xc5][\x81-\x84\x86-\x89\x90\x98\xa4\xa6\xa7\xac\xad\xb1\xb5\xb6]"
_LATIN_2 = (_CAPITAL, _START, _RUN, _SIGN, rb"[\xc4\xc5][\x80-\xbf][a-z]|\xc3\x80[A-Z]|\xc4\x8c")
# Here the first bytes are signs of mathematics or frames; a letter after one is proof, a sign is not.
_LETTER = rb"[\x80-\x9f\xa7\xae\xaf\xbe\xbf]"
_SIGNS = (
    rb"[a-z](?!\xc3[\xb0\xb9](?![A-Za-z]))" + _LATIN,
    _RUN,
    rb"\xc3" + _LETTER + rb"|(?:\xc4[\x86\x8c\x8d]|\xc5" + _LETTER + rb")[A-Za-z]",
    rb"[A-Za-z][\xc3-\xc5][\x80-\xbf][A-Za-z]",
)
_ALONE = (
    _EDGE
    + rb"\xc3[\x81-\x84\x86-\x8a\x8c-\x90\x98\x9a\x9c-\x9f\xa1-\xa8\xac\xad\xaf\xb1-\xb6\xb8-\xba\xbc-\xbf]"
)
_PROOFS = {
    "latin-1": (*_LATIN_1, rb"[\xc2-\xdf][\x80-\x9f]"),
    "sloppy-windows-1252": _LATIN_1,
    "sloppy-windows-1254": _LATIN_1,
    "sloppy-windows-1251": (_CAPITAL, _ALONE, _ANY + rb"{3}", _SIGN, rb"[\xc3-\xc5][\x80-\xbf][A-Za-z]"),
    "sloppy-windows-1253": (_CAPITAL, _RUN, _SIGN),
    "macroman": _SIGNS,
    "cp437": _SIGNS,
}
_PROOF = {codec: re.compile(b"|".join(_EVERYWHERE + _PROOFS.get(codec, _LATIN_2))) for codec in _MISREADINGS}
# In a line that is bad anyway, two long sequences anywhere or one at the start of a word prove it, too.
_BAD_PROOF = re.compile(rb"[\xe3-\xef][\x80-\xbf]{2}[^\xe3-\xef]*[\xe3-\xef][\x80-\xbf]{2}|" + _START)
# What a wrong reading makes: a letter of another alphabet in a Latin word, spacing modifiers, private
# characters.
_INCREDIBLE = re.compile(
    "[A-Za-z\u00c0-\u024f][\u0370-\u07ff]|[\u0370-\u07ff][A-Za-z\u00c0-\u024f]"
    "|[\u02b0-\u02ba\u02bd-\u02ff\u0700-\u08ff\ue000-\uf8ff\x00-\x08\x0e-\x1f]"
)


# --- edits


_WORD = re.compile(r"[!-~]+")


def _changes(line: str, reread: str) -> list[_Change]:
    """Where two readings of a line differ: between the ASCII words, which no misreading changes."""
    words, others = list(_WORD.finditer(line)), list(_WORD.finditer(reread))
    if [word[0] for word in words] != [word[0] for word in others]:
        words = others = []
    changes, start, begin = [], 0, 0
    for word, other in zip([*words, None], [*others, None], strict=True):
        end, stop = (word.start(), other.start()) if word and other else (len(line), len(reread))
        if line[start:end] != reread[begin:stop]:
            changes.append(_trimmed(line, start, end, reread[begin:stop]))
        start, begin = (word.end(), other.end()) if word and other else (end, stop)
    return changes


def _trimmed(line: str, start: int, end: int, new: str, rule: str = "mojibake") -> _Change:
    """A change without what both sides begin and end with."""
    old = line[start:end]
    shared = min(len(old), len(new))
    head = next((i for i in range(shared) if old[i] != new[i]), shared)
    tail = next((i for i in range(shared - head) if old[-1 - i] != new[-1 - i]), shared - head)
    return start + head, end - tail, new[head : len(new) - tail], rule


def _composed(line: str, edits: list[Edit], changes: list[_Change]) -> tuple[str, list[Edit]]:
    """A line with changes made, and its edits then; an edit that a change overlaps becomes one with it."""
    marks: list[_Mark] = [(e.start, e.end, 0, e) for e in edits]
    marks = sorted([*marks, *((c[0], c[1], 1, c) for c in changes)], key=_place)
    parts, after, position, length = list[str](), list[Edit](), 0, 0
    for group in _overlapping(marks):
        start, end = group[0][0], max(mark[1] for mark in group)
        old = [mark[3] for mark in group if isinstance(mark[3], Edit)]
        new = [mark[3] for mark in group if not isinstance(mark[3], Edit)]
        before = _spliced(line, start, end, ((e.start, e.end, e.original) for e in old))
        now = _spliced(line, start, end, ((c[0], c[1], c[2]) for c in new))
        rules = {e.rule for e in old} | {c[3] for c in new}
        parts += [line[position:start], now]
        length += start - position + len(now)
        rule = "nfc" if len(rules) > 1 and "mojibake" not in rules else "mojibake"
        after.append(Edit(length - len(now), length, rules.pop() if len(rules) == 1 else rule, before))
        position = end
    return "".join([*parts, line[position:]]), after


def _place(mark: _Mark) -> tuple[int, int, int]:
    return mark[:3]


def _overlapping(marks: Iterable[_Mark]) -> Iterator[list[_Mark]]:
    """Sorted marks in groups that share characters."""
    group, end = list[_Mark](), 0
    for mark in marks:
        if group and mark[0] >= end:
            yield group
            group = []
        group.append(mark)
        end = max(end, mark[1]) if len(group) > 1 else mark[1]
    if group:
        yield group


def _spliced(text: str, start: int, end: int, swaps: Iterable[tuple[int, int, str]]) -> str:
    """``text[start:end]`` with ranges of it swapped for other text."""
    parts, position = [], start
    for first, last, new in swaps:
        parts += [text[position:first], new]
        position = last
    return "".join([*parts, text[position:end]])
