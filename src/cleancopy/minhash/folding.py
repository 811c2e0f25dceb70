"""The normal form in which texts are compared, and the same as a table for the compiled kernel."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cleancopy.words import ALONE, LETTERS, SEGMENTS, part_clusters

Unit = Literal["word", "char"]
#: Of the normal form, with the way that words are parted: one more whenever ``normalise`` gives something else.
NORMALISATION = SEGMENTS


def normalise(text: str) -> str:
    """The text as it is compared: NFKC, lower case, words of letters, digits and marks, one space between.

    Format characters (soft hyphens, joiners) and variation selectors vanish. Scripts that put no spaces between
    words have the segments of ``cleancopy.words`` as words. Final sigma counts as sigma.
    """
    # Character by character only where it must be: what is ASCII goes as bytes, many times as fast.
    if not text.isascii():
        text = part_clusters(_BEYOND_ASCII.sub(lambda match: match[0].translate(_FOLDS), _nfkc(text)))
    folded = text.encode("utf-8", "surrogatepass").translate(_ascii_folds())
    return b" ".join(folded.split()).decode("utf-8", "surrogatepass")


def shingles(text: str, n: int, unit: Unit = "word") -> frozenset[str]:
    """The distinct runs of n words (or n characters) of a text's normal form; a shorter text is one shingle."""
    normal = normalise(text)
    parts: Sequence[str] = normal.split(" ") if unit == "word" else normal
    if not normal:
        return frozenset()
    glue = " " if unit == "word" else ""
    return frozenset(glue.join(parts[i : i + n]) for i in range(max(1, len(parts) - n + 1)))


# --- the fold of one character


class _Folds(dict[int, str]):
    """What each code point of an NFKC text becomes, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        self[point] = fold = "".join(map(_fold, chr(point).lower()))
        return fold


def _fold(char: str) -> str:
    category = unicodedata.category(char)
    # Format characters, and the selectors that choose among the looks of one character (VS1-16, VS17-256).
    if category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF:
        return ""
    if char == "ς":
        return "σ"
    if category[0] == "M":
        return char
    if not char.isalnum():
        return " "
    return f" {char} " if _ALONE.fullmatch(char) else char


_ALONE = re.compile(f"[{ALONE}]")
_CLUSTERED = re.compile(f"[{LETTERS}]")
_FOLDS = _Folds()
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


@cache
def _ascii_folds() -> bytes:
    """The folds of ASCII, each one character, as ``bytes.translate`` takes them; other bytes stay."""
    return "".join(_FOLDS[point] for point in range(128)).encode() + bytes(range(128, 256))


# --- NFKC in bounded time


def _nfkc(text: str) -> str:
    """A text's NFKC; very long runs of combining marks are composed in parts (UAX #15, 13: stream-safe text).

    Marks are put in order by insertion: 600,000 on one letter, which no text has and anybody can send, would
    take minutes.
    """
    looks = [] if text.isascii() else list(map(_is_mark, text[::_LOOK]))
    if not any(first and second for first, second in pairwise(looks)):
        return unicodedata.normalize("NFKC", text)
    edges = [0, *(match.end() for match in _too_many_marks().finditer(text)), len(text)]
    return "".join(unicodedata.normalize("NFKC", text[start:end]) for start, end in pairwise(edges))


def _is_mark(char: str) -> bool:
    """Whether a character combines with the one before it, or becomes one that does."""
    # Tibetan vowel signs and the half-width voicing marks have class 0, but NFKC makes combining marks of them.
    return char in "\u0f73\u0f75\u0f81\uff9e\uff9f" or unicodedata.combining(char) > 0


#: Every 100th character is looked at: a run of 200 marks is certain to be seen, a shorter one costs next to
#: nothing.
_LOOK = 100


@cache
def _too_many_marks() -> re.Pattern[str]:
    """Thirty combining marks in a row, the most that stream-safe text has, where one more follows."""
    marks = "".join(chr(point) for point in range(sys.maxunicode) if _is_mark(chr(point)))
    return re.compile(f"[{marks}]{{30}}(?=[{marks}])")


# --- the table that the kernel reads


# Planes 0 and 1, which hold nearly all text; a text with a character past them is folded by Python.
_TABLE_END = 0x20000


@cache
def fold_table() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The folds of all code points as UTF-8, and where each one's starts: what the kernel reads.

    A code point that can compose with what stands before it, or begins a segment of more than one, has the fold
    0: its text goes through Python.
    """
    chars = list(map(chr, range(_TABLE_END)))
    folds = list(map(_kernel_fold, chars, map(unicodedata.category, chars)))
    offsets = np.zeros(_TABLE_END + 1, np.int32)
    np.cumsum(list(map(len, folds)), out=offsets[1:])
    return np.frombuffer(b"".join(folds), np.uint8), offsets


def _kernel_fold(char: str, category: str) -> bytes:
    if category in ("Cn", "Co", "Cs"):
        return b" "
    if char in _composing() or _CLUSTERED.fullmatch(char):
        return b"\0"
    if not unicodedata.decomposition(char):  # its own NFKC, or a syllable of Hangul, which is that, too
        return _FOLDS[ord(char)].encode()
    if unicodedata.normalize("NFKD", char)[0] in _composing():
        return b"\0"
    return unicodedata.normalize("NFKC", char).translate(_FOLDS).encode()


@cache
def _composing() -> frozenset[str]:
    """The characters that may move or compose with one before them (UAX #15: ccc > 0, or NFC_QC = Maybe)."""
    chars = [chr(point) for point in range(_TABLE_END)]
    pairs = (unicodedata.decomposition(char).split() for char in chars)
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and pair[0][0] != "<"}
    # Hangul vowels and final consonants compose with the consonant before them by rule, not by the table.
    jamo = {chr(point) for point in range(0x1160, 0x1200)}
    return frozenset(seconds | jamo | {char for char in chars if unicodedata.combining(char)})
