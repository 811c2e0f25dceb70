"""Many texts at once: as one Arrow array, and their words counted, without a Python object a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleancopy.words import count_words

#: Arrow's string arrays count their bytes in 32 bits.
_LONGEST = 2**31 - 1


def text_array(encoded: Sequence[bytes]) -> pa.StringArray:
    """Texts in UTF-8 as an Arrow array; five times as fast as ``pyarrow.array`` where they are long."""
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(list(map(len, encoded)), out=offsets[1:])
    if offsets[-1] > _LONGEST:
        return pa.array([text.decode() for text in encoded], pa.string())
    buffers = pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(encoded), *buffers)


def word_counts(texts: pa.StringArray) -> npt.NDArray[np.int32]:
    """How many words each text has: ``count_words`` of each.

    Works on the bytes of many texts in one go, several times as fast as splitting each; texts that may have
    letters of a script without spaces are counted one by one.
    """
    _, ends, content = texts.buffers()
    if not len(texts) or content is None:
        return np.zeros(len(texts), np.int32)
    edges = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(content, np.uint8)
    counts = np.concatenate([_words(data, edges[first : last + 1]) for first, last in _portions(edges)])
    for number in np.flatnonzero(
        np.diff(np.searchsorted(np.flatnonzero(_UNSPACED_LEAD[data]), edges))
    ).tolist():
        counts[number] = count_words(texts[number].as_py())
    return counts.astype(np.int32)


def _portions(edges: npt.NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """First and last edge of each run of texts that is short enough for the processor's cache."""
    first, last = 0, len(edges) - 1
    while first < last:
        following = int(np.searchsorted(edges, edges[first] + _PORTION, "right")) - 1
        following = min(max(following, first + 1), last)
        yield first, following
        first = following


def _words(data: npt.NDArray[np.uint8], edges: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The words between each edge and the next."""
    data, edges = data[edges[0] : edges[-1]], edges - edges[0]
    word = _no_space(data)
    begins = word.copy()
    np.greater(word[1:], word[:-1], out=begins[1:])
    # A text may begin with a word right after the last one of the text before.
    firsts = edges[:-1][edges[:-1] < len(data)]
    begins[firsts] = word[firsts]
    ends = edges.tolist()
    return np.array([np.count_nonzero(begins[start:end]) for start, end in pairwise(ends)])


def _no_space(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which bytes of UTF-8 do not belong to white space, as ``str.isspace`` has it."""
    # 9 to 13, 28 to 31 and 32; the differences are of unsigned bytes, so what is less is large.
    word = (data - np.uint8(9) > 4) & (data - np.uint8(28) > 4)
    # First bytes of the characters beyond ASCII that may be white space: C2, E1, E2, E3 (and E0, for one test).
    leads = np.flatnonzero((data & 0xFC == 0xE0) | (data == 0xC2))
    if not len(leads):
        return word
    first, second = data[leads], data[leads + 1]
    third = np.where(first == 0xC2, 0, data[np.minimum(leads + 2, len(data) - 1)])
    code = (first & 3).astype(np.uint32) << 16 | second.astype(np.uint32) << 8 | third
    for lead in leads[_WIDE[code]]:
        word[lead : lead + (2 if data[lead] == 0xC2 else 3)] = False
    return word


def _wide() -> npt.NDArray[np.bool_]:
    """Which characters beyond ASCII are white space, by the last two bits of their first byte and the rest."""
    table = np.zeros(1 << 18, np.bool_)
    for code in range(0x80, 0x3001):
        if chr(code).isspace():
            first, second, third = (*chr(code).encode(), 0)[:3]
            table[(first & 3) << 16 | second << 8 | third] = True
    return table


_PORTION = 131_072
#: First bytes in UTF-8 of the letters of unspaced scripts, and of some others.
_UNSPACED_LEAD = np.isin(np.arange(256), [0xE0, 0xE1, *range(0xE3, 0xEA), 0xEF, *range(0xF0, 0xF5)])
_WIDE = _wide()
