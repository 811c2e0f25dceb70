"""Signatures and shingle hashes of texts: datasketch's bits, kept as one matrix.

Two ways make the same bits: numpy, and the compiled loops of ``cleancopy.minhash.kernel``, which are some ten
times as fast and are loaded only when there is enough to sign.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cleancopy.minhash.folding import NORMALISATION, Unit, fold_table, normalise

if TYPE_CHECKING:
    from datasketch import MinHash


Hashes = NDArray[np.uint64]
Whole = TypeVar("Whole", np.int64, np.uint64)
KERNEL = "cleancopy.minhash.kernel"
EMPTY = 0xFFFFFFFF  # what a signature holds where there is nothing to sign, as in datasketch
# Code points that go through the kernel at once. Its buffers are some 30 bytes a code point.
BATCH = 2_000_000
# Code points that numpy signs at once: more would fall out of the processor's cache.
PART = 250_000
# Code points, over all calls, from which loading the kernel (0.7 CPU-seconds) pays: numpy needs about as long.
WORTHWHILE = 8_000_000


@dataclass(frozen=True, slots=True)
class Signing:
    """How texts are signed. Signatures made under different settings must never be compared.

    ``shingle`` units of ``unit`` make a shingle. ``hash`` is what datasketch calls the hash function:
    ``mmh3`` for MurmurHash3_x86_32 with seed 0, ``sha1`` for datasketch's own default (no kernel for it).
    """

    num_perm: int = 112
    seed: int = 1
    shingle: int = 5
    unit: Unit = "word"
    scheme: Literal["affine32"] = "affine32"
    hash: Literal["mmh3", "sha1"] = "mmh3"

    @property
    def digest(self) -> str:
        """SHA-256 of the settings' canonical JSON, 64 hex digits; stored with every index."""
        canonical = json.dumps(
            asdict(self) | {"normalisation": NORMALISATION}, sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()


def sign(texts: Sequence[str], signing: Signing) -> NDArray[np.uint32]:
    """The MinHash signatures of the texts, a uint32 matrix (texts, num_perm).

    Bit for bit what datasketch's ``MinHash`` makes of each text's ``shingles`` as UTF-8.
    A text without a word is all ``EMPTY``. The kernel is loaded when there was enough to sign.
    """
    rows = np.empty((len(texts), signing.num_perm), np.uint32)
    done = 0
    for batch in _batches(texts, BATCH):
        kernel = _kernel(batch) if signing.hash == "mmh3" else None
        part = rows[done : done + len(batch)]
        if kernel:
            _sign_compiled(kernel, batch, signing, part)
        else:
            _sign_plainly(batch, signing, part)
        done += len(batch)
    return rows


def minhash(row: NDArray[np.uint32], signing: Signing) -> MinHash:
    """A datasketch ``MinHash`` of one signature, to compare, merge or update there."""
    import datasketch
    from datasketch.hashfunc import sha1_hash32

    return datasketch.MinHash(
        seed=signing.seed,
        hashvalues=row,
        permutations=_permutations(signing.num_perm, signing.seed),
        scheme=signing.scheme,
        hashfunc=murmur3 if signing.hash == "mmh3" else sha1_hash32,
    )


def shingle_hashes(texts: Sequence[str], signing: Signing) -> list[Hashes]:
    """The sorted distinct 64-bit shingle hashes of each text: what ``shingles`` gives, in 8 bytes a shingle."""
    hashes: list[Hashes] = []
    for batch in _batches(texts, BATCH):
        kernel = _kernel(batch)
        hashes += _hash_compiled(kernel, batch, signing) if kernel else _hash_plainly(batch, signing)
    return hashes


def sketches(signatures: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The low four bits of each value of the signatures, eight to a word: a uint32 matrix (texts, words).

    Enough to estimate by, in an eighth of the space (Li and König 2010, "b-bit minwise hashing").
    """
    words = np.zeros((len(signatures), -(-signatures.shape[1] // 8)), np.uint32)
    for column in range(signatures.shape[1]):
        shift = np.uint32(column % 8 * 4)
        words[:, column // 8] |= (signatures[:, column] & np.uint32(15)) << shift
    return words


def estimates(sketched: NDArray[np.uint32], pairs: NDArray[np.int64], num_perm: int) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of each pair of rows of ``sketches``, 0 to 1.

    The share of values that agree, less the sixteenth that agrees by chance.
    """
    share = np.empty(len(pairs))
    for start in range(0, len(pairs), 65_536):
        part = pairs[start : start + 65_536]
        # One bit is left of every four that are not all equal: as many bits as values that differ.
        differing = sketched[part[:, 0]] ^ sketched[part[:, 1]]
        differing |= differing >> np.uint32(2)
        differing |= differing >> np.uint32(1)
        differing &= np.uint32(0x11111111)
        share[start : start + 65_536] = 1 - np.bitwise_count(differing).sum(axis=1) / num_perm
    return np.maximum(0.0, (16 * share - 1) / 15)


def murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32 of some bytes with seed 0, what ``mmh3.hash(data, signed=False)`` gives."""
    edge = np.array([0, len(data)])
    return int(_murmur(np.frombuffer(data, np.uint8), edge[:1], edge[1:])[0])


def warm_up() -> bool:
    """Whether the compiled kernel runs here; loads it (or compiles it, once an installation) if it does."""
    return _load_kernel() is not None


# --- which of the two ways


def _batches(texts: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """The texts in order, in batches of about so many code points."""
    start, size = 0, 0
    for position, text in enumerate(texts):
        if size + len(text) > most and position > start:
            yield texts[start:position]
            start, size = position, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


#: How many code points numpy has signed or hashed so far.
_so_far = [0]


def _kernel(texts: Sequence[str]) -> ModuleType | None:
    """The compiled kernel, where it is loaded or has become worth loading; both ways make the same bits."""
    if KERNEL not in sys.modules:
        _so_far[0] += sum(map(len, texts))
        if _so_far[0] < WORTHWHILE:
            return None
    return _load_kernel()


@cache
def _load_kernel() -> ModuleType | None:
    """The kernel, compiled and tried; None without numba, or where its cache cannot be written (disk full)."""
    try:
        from cleancopy.minhash import kernel

        _sign_compiled(kernel, ["a"], Signing(), np.empty((1, Signing().num_perm), np.uint32))
        kernel.shared(*_hash_compiled(kernel, ["a", "b"], Signing()))
    except (ImportError, OSError):
        return None
    return kernel


@cache
def _permutations(num_perm: int, seed: int) -> NDArray[np.uint32]:
    """The factors (odd) and summands of datasketch's affine32 permutations, drawn as it draws them.

    Drawn here, since importing datasketch takes most of a second; a test holds them equal.
    """
    draw = np.random.RandomState(seed)
    factors = draw.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return np.array([factors, draw.randint(0, 1 << 32, num_perm, dtype=np.uint32)])


# --- compiled


def _pack(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts as one UTF-8 buffer (and a byte that no text has), and the edges between them."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    edges = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=edges[1:])
    return np.frombuffer(b"".join([*encoded, b"\0"]), np.uint8), edges


def _sign_compiled(
    kernel: ModuleType, texts: Sequence[str], signing: Signing, rows: NDArray[np.uint32]
) -> None:
    a, b = _permutations(signing.num_perm, signing.seed)
    how = (signing.unit == "word", signing.shingle, fold_table(), a, b)
    late = np.flatnonzero(kernel.sign(*_pack(texts), True, *how, rows)).tolist()
    if late:
        again = np.empty((len(late), rows.shape[1]), np.uint32)
        kernel.sign(*_pack([normalise(texts[i]) for i in late]), False, *how, again)
        rows[late] = again


def _hash_compiled(
    kernel: ModuleType, texts: Sequence[str], signing: Signing, raw: bool = True
) -> list[Hashes]:
    text, edges = _pack(texts)
    keys, ends = np.empty(2 * len(text) + 128 * len(texts), np.uint64), np.zeros(len(texts) + 1, np.int64)
    how = (signing.unit == "word", signing.shingle, fold_table(), keys, ends[1:])
    late = np.flatnonzero(kernel.hash_shingles(text, edges, raw, *how)).tolist()
    keys = keys[: ends[-1]].copy()  # the rest of the buffer goes free
    hashes = [keys[start:end] for start, end in pairwise(ends.tolist())]
    again = _hash_compiled(kernel, [normalise(texts[i]) for i in late], signing, False) if late else []
    for i, missing in zip(late, again, strict=True):
        hashes[i] = missing
    return hashes


# --- with numpy


def _sign_plainly(texts: Sequence[str], signing: Signing, rows: NDArray[np.uint32]) -> None:
    """The signatures with numpy, many texts in one go."""
    a, b = _permutations(signing.num_perm, signing.seed)
    rows[:] = EMPTY
    done = 0
    for part in _batches(texts, PART):
        data, begin, end, counts = _shingled(part, signing)
        some = np.flatnonzero(counts)
        firsts = (np.cumsum(counts) - counts)[some]
        hashes = _scramble(_hash_spans(data, begin, end, signing))
        minima = np.empty((rows.shape[1], len(some)), np.uint32)
        for k in range(rows.shape[1] if len(some) else 0):
            minima[k] = np.minimum.reduceat(hashes * a[k] + b[k], firsts)
        rows[done + some] = minima.T
        done += len(part)


def _shingled(
    texts: Sequence[str], signing: Signing
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The normal forms of texts as UTF-8, where each shingle starts and ends, how many each text has."""
    words, normal = signing.unit == "word", list(map(normalise, texts))
    units = np.array([form.count(" ") + 1 if words and form else len(form) for form in normal], np.int64)
    data = np.frombuffer((" " if words else "").join(filter(None, normal)).encode(), np.uint8)
    starts, stops = _edges(data, signing.unit)
    size = np.minimum(signing.shingle, units)
    counts = np.where(units, units - size + 1, 0)
    left_out = np.cumsum(units - counts) - (units - counts)  # units of the texts before that begin no shingle
    first = np.arange(counts.sum()) + np.repeat(left_out, counts)
    return data, starts[first], stops[first + np.repeat(size - 1, counts)], counts


def _hash_spans(
    data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64], signing: Signing
) -> NDArray[np.uint32]:
    """The 32-bit hash of each span of the data, before datasketch's own scrambling."""
    if signing.hash == "mmh3":
        return _murmur(data, begin, end)
    text = data.tobytes()
    digests = (hashlib.sha1(text[i:j], usedforsecurity=False).digest() for i, j in zip(begin, end, strict=True))
    return np.frombuffer(b"".join(digest[:4] for digest in digests), "<u4")


def _hash_plainly(texts: Sequence[str], signing: Signing) -> list[Hashes]:
    hashes = []
    for text in texts:
        units = _fnv(*_units(text, signing.unit))
        size = min(signing.shingle, len(units))
        keys = np.full(len(units) - size + 1 if size else 0, size, np.uint64)
        for i in range(size):
            keys = (keys ^ units[i : i + len(keys)]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        hashes.append(distinct(keys))
    return hashes


def _units(text: str, unit: Unit) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """A text's normal form as UTF-8, and where each of its words (or characters) starts and ends."""
    data = np.frombuffer(normalise(text).encode(), np.uint8)
    return data, *_edges(data, unit)


def _edges(data: NDArray[np.uint8], unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each word (or character) of a normal form starts and ends."""
    if unit == "word":
        spaces = np.flatnonzero(data == ord(" "))
        starts, stops = np.r_[0, spaces + 1], np.r_[spaces, len(data)]
        return starts[: len(data)], stops[: len(data)]
    starts = np.flatnonzero((data & 0xC0) != 0x80)
    return starts, np.r_[starts[1:], len(data)][: len(starts)]


def _murmur(data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.uint32]:
    """MurmurHash3_x86_32 (seed 0) of each span, all spans one 4-byte block at a time, the longest first."""
    order = np.argsort(begin - end, kind="stable")
    begin, length = begin[order], (end - begin)[order]
    padded = np.r_[data, np.zeros(4, np.uint8)].astype(np.uint32)
    fours = padded[:-3] | padded[1:-2] << 8 | padded[2:-1] << 16 | padded[3:] << 24
    hashes = np.zeros(len(begin), np.uint32)
    for block in range(int(length.max(initial=0)) // 4):
        long = int(np.count_nonzero(length >= 4 * block + 4))
        mixed = hashes[:long] ^ _stir(fours[begin[:long] + 4 * block])
        hashes[:long] = (mixed << 13 | mixed >> 19) * np.uint32(5) + np.uint32(0xE6546B64)
    tail = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)[length & 3]
    hashes ^= _stir(fours[begin + (length & ~3)] & tail) ^ length.astype(np.uint32)
    result = np.empty(len(hashes), np.uint32)
    result[order] = _scramble(hashes)
    return result


def _stir(block: NDArray[np.uint32]) -> NDArray[np.uint32]:
    block = block * np.uint32(0xCC9E2D51)
    turned: NDArray[np.uint32] = block << np.uint32(15) | block >> np.uint32(17)
    return turned * np.uint32(0x1B873593)


def _scramble(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The 32-bit finaliser of MurmurHash3."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def _fnv(data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]) -> Hashes:
    """FNV-1a (64 bits) of each span, all spans one byte at a time, the longest first."""
    order = np.argsort(begin - end, kind="stable")
    begin, length = begin[order], (end - begin)[order]
    hashes = np.full(len(begin), 0xCBF29CE484222325, np.uint64)
    for i in range(int(length.max(initial=0))):
        long = int(np.count_nonzero(length > i))
        hashes[:long] = (hashes[:long] ^ data[begin[:long] + i]) * np.uint64(0x100000001B3)
    result = np.empty(len(hashes), np.uint64)
    result[order] = hashes
    return result


def distinct(values: NDArray[Whole]) -> NDArray[Whole]:
    """The values sorted, each once."""
    values = np.sort(values)
    new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    once: NDArray[Whole] = values[new]
    return once
