"""Letters, words and signs of each block, counted over the whole page text at once."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cleancopy.extract.html import Page

#: A word as tokens are looked up: letters first, no figure.
WORD = re.compile(r"[^\W\d]\w*")


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """For each code point to U+FFFF the sum of 1 word, 2 capital, 4 digit, 8 punctuation, 16 full stop."""
    table = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        sign = chr(code)
        if sign.isalnum():
            table[code] = 1 + 2 * sign.isupper() + 4 * sign.isdigit()
    for sign in ".,;:!?、。，；：！？؟،۔।":
        table[ord(sign)] |= 8
    for sign in ".!?。！？؟۔।":
        table[ord(sign)] |= 16
    return table


def text_counts(page: Page) -> dict[str, Any]:
    """Letters, words and the like of each block, counted over the whole page text at once."""
    codes = np.frombuffer(page.text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _classes()[np.minimum(codes, 0xFFFF)]
    starts = np.array([block.start for block in page.blocks], np.int64)
    ends = np.array([block.end for block in page.blocks], np.int64)
    inside = (kinds & 1).astype(bool)
    first = inside.copy()
    first[1:] &= ~inside[:-1]
    spaced = np.empty(len(codes), bool)
    spaced[-1:] = True
    spaced[:-1] = codes[1:] <= 32
    sums = np.zeros(len(codes) + 1, np.int64)

    def count(which: npt.NDArray[Any]) -> Any:
        which.cumsum(dtype=np.int64, out=sums[1:])
        return (sums[ends] - sums[starts]).astype(np.float64)

    length = (ends - starts).astype(np.float64)
    words = np.maximum(count(first), 1e-9)
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
