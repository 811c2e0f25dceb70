"""What a word is, wherever words are counted, shingled or compared.

Most scripts put spaces between words: there a word is what stands between white space. Thai, Lao, Burmese,
Khmer, kana and Han do not. A dictionary could part their words, but no two dictionaries agree, and what is
compared must be parted alike for ever; so there each letter is a segment of its own, with the marks and the
letters below it that belong to it (as in a grapheme cluster, UAX #29).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

SEGMENTS = 2  # names this scheme: one more whenever it gives other segments (1: Han and kana only)
#: Scripts without spaces in which marks, and letters below the line, belong to the letter before them: Thai and
#: Lao; Burmese; Khmer.
CLUSTERED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
#: Those in which a letter stands alone, as the inside of a character class: the ideographic iteration mark and
#: zero, hiragana, katakana, Han with extension A, compatibility ideographs, Han of the planes beyond the first.
ALONE = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)


def count_words(text: str) -> int:
    """How many words a text has: runs between white space, where each segment of an unspaced script is one."""
    if text.isascii() or not _UNSPACED.search(text):
        return len(text.split())
    return sum(len(SEGMENT.findall(run)) or 1 if _UNSPACED.search(run) else 1 for run in text.split())


def part_clusters(text: str) -> str:
    """The text with a space on both sides of each segment of Thai, Lao, Burmese and Khmer."""
    return _CLUSTER.sub(r" \g<0> ", text)


def _class(major: str, blocks: tuple[tuple[int, int], ...] = CLUSTERED) -> str:
    """The characters of some blocks whose category begins so, as the inside of a character class."""
    points = (point for low, high in blocks for point in range(low, high + 1))
    fitting = [point for point in points if unicodedata.category(chr(point))[0] == major]
    runs = [[p for _, p in run] for _, run in groupby(enumerate(fitting), lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


#: The letters of ``CLUSTERED``, and all letters of unspaced scripts, as insides of character classes.
LETTERS = _class("L")
UNSPACED = LETTERS + ALONE
_UNSPACED = re.compile(f"[{UNSPACED}]")
# After the sign that stacks letters, Burmese virama or Khmer coeng, the next one stands below.
_CLUSTER = re.compile(f"[{LETTERS}](?:[\u1039\u17d2][{LETTERS}]|[{_class('M')}])*")
# Marks within words of other scripts: accents, points of Hebrew and Arabic, vowel signs of Indic scripts.
_WORD_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    + _class("M", ((0x0900, 0x0DFF),))
)
#: A segment, or a run of letters, digits and marks of other scripts.
SEGMENT = re.compile(f"{_CLUSTER.pattern}|[{ALONE}]|[^\\W_{UNSPACED}](?:[^\\W_{UNSPACED}]|[{_WORD_MARKS}])*")


def is_unspaced(char: str) -> bool:
    """Whether a character is a letter of a script without spaces."""
    return _UNSPACED.match(char) is not None
