"""Letters, words and signs of each block, counted over the whole page text at once."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cleancopy.extract.html import Page
from cleancopy.words import UNSPACED

#: So many words is a letter of a script without spaces worth: a Chinese word has 1.6 letters in running text.
LETTER_WORDS = 0.6
# A word as tokens are looked up: letters first, no figure.
_WORD = re.compile(r"[^\W\d]\w*")
_UNSPACED_RUN = re.compile(f"([{UNSPACED}]+)")


def word_tokens(text: str) -> list[str]:
    """The words of a text in lower case; scripts without spaces give overlapping pairs of letters."""
    words = _WORD.findall(text.lower())
    if text.isascii() or not _UNSPACED_RUN.search(text):
        return words
    tokens: list[str] = []
    for word in words:
        for number, part in enumerate(_UNSPACED_RUN.split(word)):
            if number % 2:
                tokens += [part[at : at + 2] for at in range(max(1, len(part) - 1))]
            elif part:
                tokens.append(part)
    return tokens


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """For each code point to U+FFFF a sum of bits.

    1 word, 2 capital, 4 digit, 8 punctuation, 16 ends a sentence, 32 letter of a script without spaces,
    64 ends a sentence though no space follows.
    """
    table = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        sign = chr(code)
        if sign.isalnum():
            table[code] = 1 + 2 * sign.isupper() + 4 * sign.isdigit()
    for run in _UNSPACED_RUN.findall("".join(map(chr, range(0x10000)))):
        table[ord(run[0]) : ord(run[-1]) + 1] |= 32 * (table[ord(run[0]) : ord(run[-1]) + 1] & 1)
    for sign in ".,;:!?、。，；：！？؟،۔।":
        table[ord(sign)] |= 8
    for sign in ".!?。！？؟۔।":
        table[ord(sign)] |= 16
    for sign in "。！？":
        table[ord(sign)] |= 64
    return table


def text_counts(page: Page) -> dict[str, Any]:
    """Letters, words and the like of each block, counted over the whole page text at once."""
    codes = np.frombuffer(page.text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _classes()[np.minimum(codes, 0xFFFF)]
    starts = np.array([block.start for block in page.blocks], np.int64)
    ends = np.array([block.end for block in page.blocks], np.int64)
    inside = (kinds & 1).astype(bool)
    unspaced = (kinds & 32) > 0
    spaced_script = inside & ~unspaced
    first = spaced_script.copy()
    first[1:] &= ~spaced_script[:-1]
    spaced = np.empty(len(codes), bool)
    spaced[-1:] = True
    spaced[:-1] = codes[1:] <= 32
    spaced |= (kinds & 64) > 0
    sums = np.zeros(len(codes) + 1, np.int64)

    def count(which: npt.NDArray[Any]) -> Any:
        which.cumsum(dtype=np.int64, out=sums[1:])
        return (sums[ends] - sums[starts]).astype(np.float64)

    length = (ends - starts).astype(np.float64)
    words = np.maximum(count(first) + (LETTER_WORDS * count(unspaced) if unspaced.any() else 0.0), 1e-9)
    links = np.array([block.link_share for block in page.blocks], np.float64)
    return {
        "letters": length,
        "words": np.round(words),
        "word_length": count(inside) / np.maximum(words, 1),
        "links": links,
        "punctuation": count(kinds & 8 > 0) / np.maximum(words, 1),
        "digits": count(kinds & 4 > 0) / np.maximum(length, 1),
        "capitals": count(first & (kinds & 2 > 0)) / np.maximum(words, 1),
        "sentences": count((kinds & 16 > 0) & spaced),
        "start": starts.astype(np.float64),
        "end": ends.astype(np.float64),
    }
