"""Repetition, measured: signatures, candidate bands and verified matches, for a site, a page or a corpus.

Chrome, repeated captions and duplicate documents are one thing at three scopes. This module says how alike
two texts are; what follows from it is for the stages to decide, each with its own guards.

    normalise -> shingles -> sign -> band_keys -> candidates -> overlap -> match

Signatures are those of datasketch's ``MinHash`` (scheme ``affine32``), bit for bit, kept as one matrix
(Broder 1997, "On the resemblance and containment of documents"). With numba installed (the extra ``fast``)
large batches go through ``cleancopy.minhash.kernel``; without it numpy makes the same bits.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cleancopy.document import Evidence

if TYPE_CHECKING:
    from datasketch import MinHash

Unit = Literal["word", "char"]
Label = Literal["same", "contained", "related"]
Hashes = NDArray[np.uint64]
Shingles = frozenset[str] | Hashes
Whole = TypeVar("Whole", np.int64, np.uint64)

KERNEL = "cleancopy.minhash.kernel"
NORMALISATION = 1  # of the normal form: one more whenever ``normalise`` gives something else
EMPTY = 0xFFFFFFFF  # what a signature holds where there is nothing to sign, as in datasketch
BATCH = 2_000_000  # code points that go through the kernel at once: bounds the memory, keeps it in cache
MANY = 4_000_000  # pairs that are collected before those met twice are dropped
PART = 250_000  # code points that numpy signs at once
WORTHWHILE = 8_000_000  # code points, over all calls, from which loading the kernel (0.7 CPU-seconds) pays


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


class Overlap(NamedTuple):
    """How many distinct shingles two texts have, and how many they share."""

    shared: int
    left: int
    right: int

    @property
    def jaccard(self) -> float:
        """Shared over all, 0 to 1; 0 where neither text has a shingle."""
        return self.shared / max(1, self.left + self.right - self.shared)

    @property
    def containment(self) -> float:
        """Shared over the smaller side's, 0 to 1."""
        return self.shared / max(1, min(self.left, self.right))

    @property
    def reverse(self) -> Overlap:
        """The same seen from the other side."""
        return Overlap(self.shared, self.right, self.left)


@dataclass(frozen=True, slots=True)
class Match:
    """Two texts that are verifiably alike: the same, one contained in the other, or only related."""

    a: str | int
    b: str | int
    jaccard: float
    containment: float
    label: Label
    evidence: Evidence = field(default_factory=dict)


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


# --- normal form and shingles


def normalise(text: str) -> str:
    """The text as it is compared: NFKC, lower case, words of letters, digits and marks, one space between.

    Format characters (soft hyphens, joiners) and variation selectors vanish. A Han or kana character is a
    word of its own, since those scripts put no spaces between words. Final sigma counts as sigma.
    """
    # Character by character only where it must be: what is ASCII goes as bytes, many times as fast.
    if not text.isascii():
        text = _BEYOND_ASCII.sub(lambda found: found[0].translate(_FOLDS), _nfkc(text))
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


def shingle_hashes(texts: Sequence[str], signing: Signing) -> list[Hashes]:
    """The sorted distinct 64-bit shingle hashes of each text: what ``shingles`` gives, in 8 bytes a shingle."""
    found: list[Hashes] = []
    for batch in _batches(texts, BATCH):
        kernel = _kernel(batch)
        found += _hash_compiled(kernel, batch, signing) if kernel else _hash_plainly(batch, signing)
    return found


def overlap(a: Shingles, b: Shingles) -> Overlap:
    """How much two texts share, exactly, from the shingles or the shingle hashes of both."""
    if isinstance(a, frozenset) or isinstance(b, frozenset):
        return Overlap(len(frozenset(a) & frozenset(b)), len(a), len(b))
    kernel = sys.modules.get(KERNEL)
    shared = kernel.shared(a, b) if kernel else np.intersect1d(a, b, assume_unique=True).size
    return Overlap(shared, len(a), len(b))


def jaccard(a: Shingles, b: Shingles) -> float:
    """The exact Jaccard similarity of two texts' shingles, 0 to 1; 0 where neither has one."""
    return overlap(a, b).jaccard


def containment(a: Shingles, b: Shingles) -> float:
    """The share of the smaller text's shingles that the larger has too, 0 to 1."""
    return overlap(a, b).containment


# --- signatures


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


def murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32 of some bytes with seed 0, what ``mmh3.hash(data, signed=False)`` gives."""
    edge = np.array([0, len(data)])
    return int(_murmur(np.frombuffer(data, np.uint8), edge[:1], edge[1:])[0])


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
        other = sketched[part[:, 0]] ^ sketched[part[:, 1]]
        other |= other >> np.uint32(2)
        other |= other >> np.uint32(1)
        other &= np.uint32(0x11111111)
        share[start : start + 65_536] = 1 - np.bitwise_count(other).sum(axis=1) / num_perm
    return np.maximum(0.0, (16 * share - 1) / 15)


def warm_up() -> bool:
    """Whether the compiled kernel runs here; loads it (or compiles it, once an installation) if it does."""
    return _load_kernel() is not None


# --- candidates


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
    return Candidates(_pairs(_distinct(right * count + left), count), missed)


def union(parts: Iterable[Candidates], count: int) -> Candidates:
    """The candidates among ``count`` rows that were found in parts: no key may be in two of them."""
    found, fresh, missed = np.empty(0, np.int64), [np.empty(0, np.int64)], np.zeros(count, np.int64)
    for part in parts:
        missed += part.missed
        fresh.append(part.pairs[:, 1] * count + part.pairs[:, 0])
        if sum(map(len, fresh)) > max(MANY, len(found)):  # so that each pair is sorted a few times only
            found, fresh = _distinct(np.concatenate([found, *fresh])), []
    return Candidates(_pairs(_distinct(np.concatenate([found, *fresh])), count), missed)


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


# --- verified matches


def match(
    a: str | int,
    b: str | int,
    found: Overlap,
    slots: tuple[str, str] | None = None,
    *,
    same: float = 0.8,
    contained: float = 0.9,
    related: float = 0.6,
) -> Match | None:
    """What an overlap means: the same, one contained in the other, related; None where they are neither.

    ``slots`` is what ``slot_conflict`` found between the two texts: it makes a contained pair only related.
    """
    label: Label | None = "related" if found.jaccard >= related else None
    if found.jaccard >= same:
        label = "same"
    elif found.containment >= contained:
        label = "related" if slots else "contained"
    if label is None:
        return None
    evidence: dict[str, str | int | float | bool] = {
        "shared": found.shared,
        "shingles_a": found.left,
        "shingles_b": found.right,
    }
    if slots:
        evidence |= {"slot_a": slots[0], "slot_b": slots[1]}
    return Match(a, b, round(found.jaccard, 4), round(found.containment, 4), label, evidence)


def slot_conflict(a: str, b: str) -> tuple[str, str] | None:
    """A number, month or name that only a has, and one that only b has; None unless there are both.

    Pages and captions made from one template differ just there, and are more alike than true copies are.
    A text in capitals shows no names: there only numbers and months count.
    """
    words, others = set(a.split()), set(b.split())
    left = _slot(words, words - others, b)
    right = _slot(others, others - words, a) if left else None
    return (left, right) if left and right else None


def _slot(words: set[str], new: set[str], other: str) -> str | None:
    """The first number, month or name among the new ones of a text's words that the other has in no case."""
    capitals = bool(new) and 2 * sum(map(str.isupper, words)) > len(words)
    months = MONTHS_IN_CAPITALS if capitals else MONTHS
    slots = {
        word
        for word in set(_TOKEN.findall(" ".join(new)))
        if (word[0].isupper() and not capitals) or word.lower() in months or any(map(str.isdigit, word))
    }
    lowered = other.lower() if slots else ""
    return next((word for word in sorted(slots) if not _has_word(lowered, word.lower())), None)


def _has_word(text: str, word: str) -> bool:
    """Whether the word stands in the text with no letter, digit or underscore before or after it."""
    at = text.find(word)
    while at >= 0:
        around = text[max(0, at - 1) : at] + text[at + len(word) : at + len(word) + 1]
        if not _TOKEN.search(around):
            return True
        at = text.find(word, at + 1)
    return False


_TOKEN = re.compile(r"\w+")
_ENGLISH_MONTHS = """january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec"""
_UNCAPITALISED_MONTHS = """
    janvier février mars avril mai juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    januari februari maart mei augustus oktober januar februar juni juli marts
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
    января февраля марта апреля мая июня июля августа сентября октября ноября декабря"""
MONTHS = frozenset(_UNCAPITALISED_MONTHS.split())  # of the widespread languages that write them in lower case
MONTHS_IN_CAPITALS = MONTHS | frozenset(_ENGLISH_MONTHS.split())


# --- the fold that Python and the kernel share


def _nfkc(text: str) -> str:
    """A text's NFKC; very long runs of combining marks are composed in parts (UAX #15, 13: stream-safe text).

    Marks are put in order by insertion: 600,000 on one letter, which no text has and anybody can send, would
    take minutes.
    """
    looks = [] if text.isascii() else list(map(_is_mark, text[::_LOOK]))
    if not any(first and second for first, second in pairwise(looks)):
        return unicodedata.normalize("NFKC", text)
    edges = [0, *(found.end() for found in _too_many_marks().finditer(text)), len(text)]
    return "".join(unicodedata.normalize("NFKC", text[start:end]) for start, end in pairwise(edges))


def _is_mark(char: str) -> bool:
    """Whether a character combines with the one before it, or becomes one that does."""
    return char in "\u0f73\u0f75\u0f81\uff9e\uff9f" or unicodedata.combining(char) > 0


#: A run of twice so many marks is certain to be seen; shorter ones cost next to nothing.
_LOOK = 100


@cache
def _too_many_marks() -> re.Pattern[str]:
    """As many combining marks in a row as text ever has, where one more follows."""
    marks = "".join(chr(point) for point in range(sys.maxunicode) if _is_mark(chr(point)))
    return re.compile(f"[{marks}]{{30}}(?=[{marks}])")


class _Folds(dict[int, str]):
    """What each code point of an NFKC text becomes, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        self[point] = fold = "".join(map(_fold, chr(point).lower()))
        return fold


def _fold(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF:
        return ""
    if char == "ς":
        return "σ"
    if category[0] == "M":
        return char
    if not char.isalnum():
        return " "
    return f" {char} " if any(low <= char <= high for low, high in _UNSPACED) else char


_FOLDS = _Folds()
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


@cache
def _ascii_folds() -> bytes:
    """The folds of ASCII, each one character, as ``bytes.translate`` takes them; other bytes stay."""
    return "".join(_FOLDS[point] for point in range(128)).encode() + bytes(range(128, 256))


_UNSPACED = (("\u3005", "\u3007"), ("\u3041", "\u30ff"), ("\u3400", "\u9fff"), ("\U00020000", "\U0003ffff"))
_TABLE_END = 0x20000  # the planes of nearly all text; what lies past them is left to Python


@cache
def _fold_table() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The folds of all code points as UTF-8, and where each one's starts: what the kernel reads.

    A code point that can compose with what stands before it has the fold 0: its text goes through Python.
    """
    chars = list(map(chr, range(_TABLE_END)))
    folds = list(map(_kernel_fold, chars, map(unicodedata.category, chars)))
    offsets = np.zeros(_TABLE_END + 1, np.int32)
    np.cumsum(list(map(len, folds)), out=offsets[1:])
    return np.frombuffer(b"".join(folds), np.uint8), offsets


def _kernel_fold(char: str, category: str) -> bytes:
    if category in ("Cn", "Co", "Cs"):
        return b" "
    if char in _composing():
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
    jamo = {chr(point) for point in range(0x1160, 0x1200)}
    return frozenset(seconds | jamo | {char for char in chars if unicodedata.combining(char)})


# --- the two ways to hash: compiled, and with numpy


@cache
def _permutations(num_perm: int, seed: int) -> NDArray[np.uint32]:
    """The factors (odd) and summands of datasketch's affine32 permutations, drawn as it draws them.

    Drawn here, since importing datasketch takes most of a second; a test holds them equal.
    """
    draw = np.random.RandomState(seed)
    factors = draw.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return np.array([factors, draw.randint(0, 1 << 32, num_perm, dtype=np.uint32)])


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
    how = (signing.unit == "word", signing.shingle, _fold_table(), a, b)
    late = np.flatnonzero(kernel.sign(*_pack(texts), True, *how, rows)).tolist()
    if late:
        again = np.empty((len(late), rows.shape[1]), np.uint32)
        kernel.sign(*_pack([normalise(texts[i]) for i in late]), False, *how, again)
        rows[late] = again


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
        own = np.empty((rows.shape[1], len(some)), np.uint32)
        for k in range(rows.shape[1] if len(some) else 0):
            own[k] = np.minimum.reduceat(hashes * a[k] + b[k], firsts)
        rows[done + some] = own.T
        done += len(part)


def _shingled(
    texts: Sequence[str], signing: Signing
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The normal forms of texts as UTF-8, where each shingle starts and ends, how many each text has."""
    words, normal = signing.unit == "word", list(map(normalise, texts))
    units = np.array([one.count(" ") + 1 if words and one else len(one) for one in normal], np.int64)
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


def _scramble(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The 32-bit finaliser of MurmurHash3."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


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


def _hash_compiled(
    kernel: ModuleType, texts: Sequence[str], signing: Signing, raw: bool = True
) -> list[Hashes]:
    text, edges = _pack(texts)
    keys, ends = np.empty(2 * len(text) + 128 * len(texts), np.uint64), np.zeros(len(texts) + 1, np.int64)
    how = (signing.unit == "word", signing.shingle, _fold_table(), keys, ends[1:])
    late = np.flatnonzero(kernel.hash_shingles(text, edges, raw, *how)).tolist()
    keys = keys[: ends[-1]].copy()  # the rest of the buffer goes free
    found = [keys[start:end] for start, end in pairwise(ends.tolist())]
    again = _hash_compiled(kernel, [normalise(texts[i]) for i in late], signing, False) if late else []
    for i, hashes in zip(late, again, strict=True):
        found[i] = hashes
    return found


def _hash_plainly(texts: Sequence[str], signing: Signing) -> list[Hashes]:
    found = []
    for text in texts:
        units = _fnv(*_units(text, signing.unit))
        size = min(signing.shingle, len(units))
        keys = np.full(len(units) - size + 1 if size else 0, size, np.uint64)
        for i in range(size):
            keys = (keys ^ units[i : i + len(keys)]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        found.append(_distinct(keys))
    return found


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


def _distinct(values: NDArray[Whole]) -> NDArray[Whole]:
    """The values sorted, each once."""
    values = np.sort(values)
    new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    once: NDArray[Whole] = values[new]
    return once
