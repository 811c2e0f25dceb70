"""Compiled loops behind ``cleancopy.minhash``: the same bits as its numpy path, some ten times as fast.

Imported only where numba is installed and there is enough text to pay for loading it. All texts of a call
stand in one UTF-8 buffer, text ``d`` at ``edges[d]:edges[d + 1]``; every scratch array is made once a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

Array = np.ndarray[Any, Any]
Int = Any  # numba's integers of all widths
F = TypeVar("F", bound=Callable[..., Any])

u32 = np.uint32
u64 = np.uint64  # indices are unsigned where it counts: numba tests signed ones for being negative
i64 = np.int64
SPACE = 32
ROOM = 64  # more than one code point folds to, in bytes


def compiled(function: F) -> F:
    """The function compiled by numba, kept on disk where numba finds a place that it may write."""
    jitted: Any
    try:
        jitted = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # a read-only installation and no home: numba has nowhere to keep its cache
        jitted = numba.njit(nogil=True)(function)
    typed: F = jitted
    return typed


@compiled
def room(length: Int) -> Int:
    """How many bytes, and so how many units, the normal form of a text of that many bytes may have."""
    return 2 * length + 2 * ROOM


@compiled
def lookup(text: Array, i: Int, offsets: Array) -> Int:
    """Where the fold of the code point at ``text[i]`` starts and ends (0, 0 past the table), and its size."""
    c = text[i]
    if c < 0xE0:
        point, size = ((c & 0x1F) << 6) | (text[i + u64(1)] & 0x3F), u64(2)
    elif c < 0xF0:
        point, size = ((c & 0x0F) << 12) | ((text[i + u64(1)] & 0x3F) << 6) | (text[i + u64(2)] & 0x3F), u64(3)
    else:
        high = ((c & 0x07) << 18) | ((text[i + u64(1)] & 0x3F) << 12)
        point, size = high | ((text[i + u64(2)] & 0x3F) << 6) | (text[i + u64(3)] & 0x3F), u64(4)
    if point + 1 >= offsets.shape[0]:
        return u64(0), u64(0), size
    return u64(offsets[point]), u64(offsets[point + 1]), size


@compiled
def fold(text: Array, start: Int, end: Int, folded: Array, offsets: Array, out: Array) -> Int:
    """Write the normal form of ``text[start:end]`` to ``out``; its length, or -1 where Python must do it.

    -1 says that a character composes with its neighbours, lies past the table, or that the text grows to more
    than twice its length. ``folded[offsets[c]:offsets[c + 1]]`` is what code point c becomes.
    """
    length, spaced, i, stop = u64(0), True, u64(start), u64(end)
    while i < stop:
        c = text[i]
        if c < 0x80:  # one byte becomes one byte
            c = folded[c]
            out[length] = c
            length += u64(not (spaced & (c == SPACE)))
            spaced = c == SPACE
            i += u64(1)
            continue
        first, last, size = lookup(text, i, offsets)
        i += size
        if last == 0 or length + u64(ROOM) + stop - i > u64(room(end - start)):
            return i64(-1)
        for j in range(first, last):
            c = folded[j]
            if c == 0:
                return i64(-1)
            out[length] = c
            length += u64(not (spaced & (c == SPACE)))
            spaced = c == SPACE
    return i64(length) - i64(length > u64(0) and spaced)


@compiled
def copy(text: Array, start: Int, end: Int, out: Array) -> Int:
    """Write ``text[start:end]``, normalised already, to ``out``; its length."""
    for i in range(end - start):
        out[i] = text[start + i]
    return end - start


@compiled
def units(text: Array, length: Int, words: bool, starts: Array) -> Int:
    """Write where each word (or character) of a normal form starts, and one end mark; how many there are."""
    count = u64(0)
    if length == 0:
        return i64(0)
    if words:
        starts[0] = 0
        count = u64(1)
        for i in range(u64(length)):
            starts[count] = i + u64(1)
            count += u64(text[i] == SPACE)
        starts[count] = length + 1
    else:
        for i in range(u64(length)):
            starts[count] = i
            count += u64((text[i] & 0xC0) != 0x80)
        starts[count] = length
    return i64(count)


@compiled
def stir(block: Int) -> Int:
    """What MurmurHash3 makes of four bytes before it mixes them in."""
    block = u32(block * u32(0xCC9E2D51))
    block = u32(u32(block << u32(15)) | (block >> u32(17)))
    return u32(block * u32(0x1B873593))


@compiled
def scramble(h: Int) -> Int:
    """The 32-bit finaliser of MurmurHash3."""
    h = u32(h ^ (h >> u32(16)))
    h = u32(h * u32(0x85EBCA6B))
    h = u32(h ^ (h >> u32(13)))
    h = u32(h * u32(0xC2B2AE35))
    return u32(h ^ (h >> u32(16)))


@compiled
def blocks(text: Array, length: Int, fours: Array, stirred: Array) -> None:
    """Write the four bytes from each place of the text as one number, and what ``stir`` makes of them.

    Shingles overlap, so each block is stirred once instead of once a shingle.
    """
    for i in range(4):
        text[length + i] = 0
    for i in range(u64(length)):
        low = u32(text[i]) | u32(u32(text[i + u64(1)]) << u32(8))
        high = u32(u32(text[i + u64(2)]) << u32(16)) | u32(u32(text[i + u64(3)]) << u32(24))
        fours[i] = u32(low | high)
        stirred[i] = stir(u32(low | high))


@compiled
def murmur(fours: Array, stirred: Array, starts: Array, count: Int, size: Int, gap: Int, hashes: Array) -> None:
    """Write MurmurHash3_x86_32 (seed 0) of each run of ``size`` units, scrambled again as datasketch does."""
    for i in range(count):
        position = u64(starts[i])
        length = u64(starts[i + size] - gap) - position
        h = u32(0)
        for _ in range(length >> u64(2)):
            h = u32(h ^ stirred[position])
            h = u32(u32(h << u32(13)) | (h >> u32(19)))
            h = u32(u32(h * u32(5)) + u32(0xE6546B64))
            position += u64(4)
        if length & u64(3):
            tail = u32(fours[position] & u32((u64(1) << u64(8) * (length & u64(3))) - u64(1)))
            h = u32(h ^ stir(tail))
        hashes[i] = u32(h ^ u32(length))
    for i in range(count):
        hashes[i] = scramble(scramble(hashes[i]))


@compiled
def permute(hashes: Array, count: Int, a: Array, b: Array, row: Array) -> None:
    """Write the minimum of each permutation ``a * h + b`` over the hashes to ``row``."""
    for k in range(row.shape[0]):
        row[k] = u32(0xFFFFFFFF)
    i = 0
    while i + 4 <= count:
        h0, h1, h2, h3 = hashes[i], hashes[i + 1], hashes[i + 2], hashes[i + 3]
        for k in range(row.shape[0]):
            low = min(u32(a[k] * h0 + b[k]), u32(a[k] * h1 + b[k]))
            high = min(u32(a[k] * h2 + b[k]), u32(a[k] * h3 + b[k]))
            row[k] = min(row[k], min(low, high))
        i += 4
    while i < count:
        h0 = hashes[i]
        for k in range(row.shape[0]):
            row[k] = min(row[k], u32(a[k] * h0 + b[k]))
        i += 1


@compiled
def longest(edges: Array) -> Int:
    """The length of the longest text between the edges."""
    most = 0
    for d in range(edges.shape[0] - 1):
        most = max(most, edges[d + 1] - edges[d])
    return most


@compiled
def read(
    text: Array, start: Int, end: Int, raw: bool, words: bool, table: Any, out: Array, starts: Array
) -> Int:
    """Write one text's normal form and the starts of its units; how many units, -1 where Python must do it."""
    length = fold(text, start, end, table[0], table[1], out) if raw else copy(text, start, end, out)
    return length if length < 0 else units(out, length, words, starts)


@compiled
def sign(
    text: Array, edges: Array, raw: bool, words: bool, n: Int, table: Any, a: Array, b: Array, rows: Array
) -> Array:
    """Write one signature a text to ``rows``; a flag for each text that Python must normalise first."""
    most = room(longest(edges))
    out, starts, hashes = np.empty(most, np.uint8), np.empty(most, np.int32), np.empty(most, np.uint32)
    fours, stirred = np.empty(most, np.uint32), np.empty(most, np.uint32)
    late = np.zeros(edges.shape[0] - 1, np.bool_)
    gap = 1 if words else 0
    for d in range(edges.shape[0] - 1):
        count = read(text, edges[d], edges[d + 1], raw, words, table, out, starts)
        late[d] = count < 0
        size = min(n, count)
        shingles = count - size + 1 if count > 0 else 0
        if shingles:
            blocks(out, starts[count] - gap, fours, stirred)
            murmur(fours, stirred, starts, shingles, size, gap, hashes)
        permute(hashes, shingles, a, b, rows[d])
    return late


@compiled
def distinct(keys: Array, start: Int, end: Int, spare: Array, counts: Array) -> Int:
    """Sort ``keys[start:end]`` and drop repeats; where they end then.

    The keys are hashes, so their leading bits spread them evenly over buckets and insertion does the rest.
    """
    count, bits = u64(end - start), u64(1)
    while u64(1) << bits < count:
        bits += u64(1)
    counts[: (1 << bits) + 1] = 0
    for i in range(u64(start), u64(end)):
        counts[(keys[i] >> (u64(64) - bits)) + u64(1)] += 1
    for i in range(u64(1) << bits):
        counts[i + u64(1)] += counts[i]
    for i in range(u64(start), u64(end)):
        bucket = keys[i] >> (u64(64) - bits)
        spare[u64(counts[bucket])] = keys[i]
        counts[bucket] += 1
    position = u64(start)
    for i in range(count):
        key, j = spare[i], position
        while j > u64(start) and keys[j - u64(1)] > key:
            j -= u64(1)
        if j > u64(start) and keys[j - u64(1)] == key:
            continue
        for k in range(position - j):
            keys[position - u64(k)] = keys[position - u64(k) - u64(1)]
        keys[j] = key
        position += u64(1)
    return i64(position)


@compiled
def fnv(text: Array, start: Int, end: Int) -> Int:
    """FNV-1a, 64 bits, of ``text[start:end]``."""
    h = u64(0xCBF29CE484222325)
    for i in range(u64(start), u64(end)):
        h = u64((h ^ u64(text[i])) * u64(0x100000001B3))
    return h


@compiled
def mix(hashes: Array, start: Int, size: Int) -> Int:
    """One hash of ``size`` hashes in order."""
    h = u64(size)
    for i in range(u64(start), u64(start + size)):
        h = u64((h ^ hashes[i]) * u64(0x9E3779B97F4A7C15))
        h = u64(h ^ (h >> u64(29)))
    return h


@compiled
def hash_shingles(
    text: Array, edges: Array, raw: bool, words: bool, n: Int, table: Any, keys: Array, ends: Array
) -> Array:
    """Write each text's shingle hashes (64 bits), sorted and distinct, to ``keys``, their ends to ``ends``.

    A unit's hash is FNV-1a; a shingle's is its units' hashes, mixed in order. Flags as in ``sign``.
    """
    most = room(longest(edges))
    out, starts, hashes = np.empty(most, np.uint8), np.empty(most, np.int32), np.empty(most, np.uint64)
    spare, counts = np.empty(most, np.uint64), np.empty(2 * most + 2, np.int32)
    late = np.zeros(edges.shape[0] - 1, np.bool_)
    gap, position = 1 if words else 0, u64(0)
    for d in range(edges.shape[0] - 1):
        count = read(text, edges[d], edges[d + 1], raw, words, table, out, starts)
        late[d] = count < 0
        for i in range(max(count, 0)):
            hashes[i] = fnv(out, starts[i], starts[i + 1] - gap)
        size, first = min(n, count), position
        for i in range(count - size + 1 if count > 0 else 0):
            keys[position] = mix(hashes, i, size)
            position += u64(1)
        position = u64(distinct(keys, first, position, spare, counts))
        ends[d] = position
    return late


@compiled
def shared(left: Array, right: Array) -> Int:
    """How many values two sorted arrays without repeats share."""
    i, j, count = u64(0), u64(0), 0
    while i < left.shape[0] and j < right.shape[0]:
        x, y = left[i], right[j]
        count += x == y
        i += u64(x <= y)
        j += u64(y <= x)
    return count
