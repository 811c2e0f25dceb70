"""Candidate pairs: texts whose signatures agree in a whole band.

The banding technique of Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cleancopy.minhash.signatures import Hashes, distinct

# Pairs that are collected before those met twice are dropped (32 MB).
MANY = 4_000_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs worth verifying: ``pairs`` is an int64 matrix (m, 2) of row numbers, left < right, by right row.

    ``missed`` says for each row how many pairs with rows before it were not proposed because their bucket was
    too large; a pair in two such buckets counts twice.
    """

    pairs: NDArray[np.int64]
    missed: NDArray[np.int64]

    @property
    def overflow(self) -> int:
        """How many pairs were not proposed."""
        return int(self.missed.sum())


def band_keys(signatures: NDArray[np.uint32], bands: int, rows: int) -> Hashes:
    """The key of each band of each signature, a uint64 matrix (texts, bands); bands never share a key.

    Two texts of Jaccard similarity s share at least one key with probability 1 - (1 - s^rows)^bands.
    """
    if signatures.shape[1] < bands * rows:
        raise ValueError(f"{bands} bands of {rows} rows need more than {signatures.shape[1]} permutations")
    columns = np.ascontiguousarray(signatures.T)
    keys = np.empty((len(signatures), bands), np.uint64)
    for band in range(bands):
        key = np.full(len(signatures), band + 1, np.uint64)
        for row in range(band * rows, (band + 1) * rows):
            # 2^64 over the golden ratio (Fibonacci hashing, Knuth, TAOCP 6.4): spreads near values apart.
            key = (key ^ columns[row]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        keys[:, band] = key
    return keys


def candidates(keys: Hashes, partition: int = 0, partitions: int = 1, bucket: int = 128) -> Candidates:
    """The pairs of rows that share a band key in this partition of the key space, right row by right row.

    In a bucket of more than ``bucket`` rows each row is paired with the first ``bucket`` only, so rows should
    come in the order in which they are likely to be matched against. The union over all partitions is what
    one partition gives.
    """
    columns = (np.flatnonzero(_in_partition(column, partition, partitions)) for column in keys.T)
    parts = zip(keys.T, columns, strict=True)
    return union((pair_up(column[mine], mine, len(keys), bucket) for column, mine in parts), len(keys))


def _in_partition(keys: Hashes, partition: int, partitions: int) -> NDArray[np.bool_]:
    """Which keys lie in a partition: the key space is cut into equal ranges."""
    mine: NDArray[np.bool_] = ((keys >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32) == partition
    return mine


def pair_up(keys: Hashes, rows: NDArray[np.int64], count: int, bucket: int = 128) -> Candidates:
    """The pairs among ``count`` rows that share a key: each key with the row that has it, rows ascending."""
    left, right, left_out = _bucket_pairs(keys, rows, bucket)
    missed = np.bincount(rows, left_out, count).astype(np.int64)
    return Candidates(_pairs(distinct(right * count + left), count), missed)


def union(parts: Iterable[Candidates], count: int) -> Candidates:
    """The candidates among ``count`` rows that were found in parts: no key may be in two of them."""
    pairs, fresh, missed = np.empty(0, np.int64), [np.empty(0, np.int64)], np.zeros(count, np.int64)
    for part in parts:
        missed += part.missed
        fresh.append(part.pairs[:, 1] * count + part.pairs[:, 0])
        if sum(map(len, fresh)) > max(MANY, len(pairs)):  # so that each pair is sorted a few times only
            pairs, fresh = distinct(np.concatenate([pairs, *fresh])), []
    return Candidates(_pairs(distinct(np.concatenate([pairs, *fresh])), count), missed)


def _pairs(codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.stack([codes % max(1, count), codes // max(1, count)], axis=1)


def _bucket_pairs(
    keys: Hashes, rows: NDArray[np.int64], bucket: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Left rows and right rows for the (ascending) rows whose keys are equal; pairs left out, for each row."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    start = np.repeat(first, np.diff(np.r_[first, len(keys)]))
    rank = np.arange(len(keys)) - start
    count = np.minimum(rank, bucket)
    right = np.repeat(rows[order], count)
    step = np.arange(len(right)) - np.repeat(np.cumsum(count) - count, count)
    left_out = np.empty(len(keys), np.int64)
    left_out[order] = rank - count
    return rows[order][np.repeat(start, count) + step], right, left_out
