"""Captions that stand on several pages of a corpus: which are one, and which wording stands for them.

A caption is a row (``Caption``); its *wording* is its text without the credit. Wordings that share a key are
compared: a key is a row of the wording's MinHash signature, how it begins, how it ends, all its words, an
identifier or a picture's address. What a key proposes, ``compare_captions`` decides.

A cluster is made around its kept wording: the fullest, then the one captured first, then the lowest id. Every
other member was compared with that one directly and is the same caption; nothing joins by way of a third. So
the clusters depend on the set of captions alone, not on their order, nor on the runs that they came in.

Pages that show one identifier (a VIRIN, an agency's number) above captions that are not one are ``related``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cleancopy.document import Document, Media
from cleancopy.minhash import Hashes, Signing, band_keys, pair_up, sign, union
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.elsewhere import kept_ranges, without_elsewhere
from cleancopy.stages.captions.wordings import EQUAL, SAME, compare_wordings, read_wording

#: How captions are signed: a signature value is a key by itself, since three words in a row are rare enough.
SIGNING = Signing(num_perm=8, seed=1, shingle=3, unit="word")
#: Words, and characters at least, by which the beginning and the end of a wording are known.
EDGE_WORDS, EDGE_CHARACTERS = 4, 16
#: Labels with fewer distinct words that say something ("Source", "Watch live") are no sign of one picture: such
#: captions are one only where they share a picture's address or an identifier.
BARE = 5
#: Wordings that share a key: each is compared with the first so many only.
BUCKET = 32
#: Keys of a wording: its signature, its beginning, its end, all of its words.
KEYS = SIGNING.num_perm + 3
_KEY_BITS = np.uint64(16)  # dropped from each key: 48 bits are ample, and 6 bytes in the table


class Caption(NamedTuple):
    """One caption of one document, as the table of captions has it: a row.

    The fields from ``wording`` to ``label`` are what ``read_wording`` found. ``carried`` says that the
    document's text has it before captions of other documents are looked at: a stage may have cut it with the
    block that it stood in. ``keys`` are ``KEYS`` numbers below 2^48, eight bytes each.
    """

    caption_id: str
    doc_id: str
    version_id: str
    site: str | None
    captured: str | None
    text: str
    normal: str
    credit: str | None
    title: str | None
    identifiers: tuple[str, ...]
    pictures: tuple[str, ...]
    occurrences: int
    places: tuple[tuple[int, int], ...]
    carried: bool
    wording: int
    content: int
    length: int
    cut_off: bool
    padded: bool
    label: bool
    keys: bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """What clustering needs of many captions, an array each, and how to get their texts.

    ``captured`` is the rank of the capture time, the largest where none is known. ``identifiers`` and
    ``pictures`` are (value, caption) pairs as int64 matrices (k, 2), each value by a number of its own.
    """

    caption_id: Hashes
    wording: Hashes
    captured: NDArray[np.int64]
    content: NDArray[np.int64]
    length: NDArray[np.int64]
    cut_off: NDArray[np.bool_]
    padded: NDArray[np.bool_]
    label: NDArray[np.bool_]
    keys: Hashes
    identifiers: NDArray[np.int64]
    pictures: NDArray[np.int64]
    texts: Callable[[NDArray[np.int64]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What pairs of wordings are, by the ``pair_codes`` of the two, sorted: 0 apart, 1 the same, 2 equal."""

    codes: Hashes
    values: NDArray[np.int8]


NOTHING_KNOWN = Verdicts(np.empty(0, np.uint64), np.empty(0, np.int8))


class DecidedPairs(NamedTuple):
    """What people decided of captions: pairs of wordings (``Wording.digest``) to keep apart, and to merge.

    Two wordings that are apart are never in one cluster. A merge makes one cluster of the two that the wordings
    are in, unless that brought together what is to be apart.
    """

    apart: tuple[tuple[int, int], ...] = ()
    merged: tuple[tuple[int, int], ...] = ()


NOTHING_DECIDED = DecidedPairs()


@dataclass(frozen=True, slots=True)
class Clustering:
    """For each caption the kept caption of its cluster; and what it took to find them.

    ``related`` are pairs of kept captions of different clusters that share an identifier. ``new`` are the
    verdicts that were not known before: a table keeps them.
    """

    kept: NDArray[np.int64]
    related: NDArray[np.int64]
    new: Verdicts
    candidates: int
    missed: int


# --- rows


def captions_of(document: Document, version_id: str, captured: str | None) -> list[Caption]:
    """The captions of a document as rows, in page order; cuts by captions of other documents do not count."""
    return captions_of_all([(document, version_id, captured)])


def captions_of_all(versions: Iterable[tuple[Document, str, str | None]]) -> list[Caption]:
    """The captions of many documents, each with its version's id and capture time; their keys at once."""
    rows = []
    for document, version_id, captured in versions:
        base = without_elsewhere(document)
        ids = caption_ids(base.doc_id, [media.caption for media in base.media])
        rows += [
            _caption(base, media, identifier, version_id, captured)
            for media, identifier in zip(base.media, ids, strict=True)
        ]
    keys = keys_of([row.normal for row in rows])
    return [row._replace(keys=keys[i].tobytes()) for i, row in enumerate(rows)]


def _caption(
    document: Document, media: Media, identifier: str, version_id: str, captured: str | None
) -> Caption:
    wording = read_wording(media.caption)
    return Caption(
        caption_id=identifier,
        doc_id=document.doc_id,
        version_id=version_id,
        site=document.site,
        captured=captured,
        text=media.caption,
        normal=wording.normal,
        credit=media.credit,
        title=media.title,
        identifiers=media.identifiers,
        pictures=_pictures(document, media),
        occurrences=media.occurrences,
        places=media.places,
        carried=any(kept_ranges(document, place) for place in media.places),
        wording=wording.digest,
        content=wording.content,
        length=wording.length,
        cut_off=wording.cut_off,
        padded=wording.padded,
        label=wording.label,
        keys=b"",
    )


def _pictures(document: Document, media: Media) -> tuple[str, ...]:
    """The addresses of the pictures right before a caption's places, or within them."""
    around = [(len(document.text[:start].rstrip()), end) for start, end in media.places]
    shown = [span for span in document.spans if span.kind == "picture" and span.value]
    return tuple(
        dict.fromkeys(span.value for span in shown for start, end in around if start <= span.start <= end)
    )


def caption_ids(doc_id: str, texts: Sequence[str]) -> list[str]:
    """The ids of a document's captions, in the order of its media."""
    seen: Counter[str] = Counter()
    ids = []
    for text in texts:
        seen[text] += 1
        ids.append(caption_id(doc_id, text, seen[text]))
    return ids


def caption_id(doc_id: str, text: str, number: int = 1) -> str:
    """The id of the n-th caption of a document with this text, 16 hex digits."""
    return hashlib.sha256(f"{doc_id}\n{number}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def columns_of(rows: Sequence[Caption]) -> Columns:
    """Captions as arrays."""
    times = sorted({row.captured for row in rows if row.captured})
    rank = {time: i for i, time in enumerate(times)}
    texts = [row.text for row in rows]
    return Columns(
        caption_id=np.array([int(row.caption_id, 16) for row in rows], np.uint64),
        wording=np.array([row.wording for row in rows], np.uint64),
        captured=np.array([rank.get(row.captured or "", len(times)) for row in rows], np.int64),
        content=np.array([row.content for row in rows], np.int64),
        length=np.array([row.length for row in rows], np.int64),
        cut_off=np.array([row.cut_off for row in rows], np.bool_),
        padded=np.array([row.padded for row in rows], np.bool_),
        label=np.array([row.label for row in rows], np.bool_),
        keys=np.frombuffer(b"".join(row.keys for row in rows), np.uint64).reshape(-1, KEYS),
        identifiers=_numbered([row.identifiers for row in rows]),
        pictures=_numbered([row.pictures for row in rows]),
        texts=lambda positions: [texts[i] for i in positions.tolist()],
    )


def _numbered(values: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """(value, row) for each value of each row, the values by number."""
    numbers: dict[str, int] = {}
    pairs = [
        (numbers.setdefault(value, len(numbers)), row) for row, each in enumerate(values) for value in each
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


# --- keys


def keys_of(normals: Sequence[str]) -> Hashes:
    """The keys of wordings by their normal forms, a uint64 matrix (wordings, ``KEYS``) of 48-bit numbers."""
    number = {normal: at for at, normal in enumerate(dict.fromkeys(normals))}  # the same words come again
    distinct = list(number)
    signed = band_keys(sign(distinct, SIGNING), SIGNING.num_perm, 1) >> _KEY_BITS
    edges = np.array([_edge_keys(normal.split(" ")) for normal in distinct], np.uint64).reshape(-1, 3)
    keys: Hashes = np.hstack([signed, edges >> _KEY_BITS])
    return keys[[number[normal] for normal in normals]] if len(distinct) < len(normals) else keys


def _edge_keys(words: list[str]) -> tuple[int, int, int]:
    """The digests of a wording's beginning, its end and all its words."""
    return (
        _hashed("begins", _edge(words)),
        _hashed("ends", _edge(words[::-1])),
        _hashed("all", sorted(set(words))),
    )


def _edge(words: list[str]) -> list[str]:
    """The first words, as many as make an edge: in scripts without spaces a word is one character."""
    count, length = 0, 0
    while count < len(words) and (count < EDGE_WORDS or length < EDGE_CHARACTERS):
        length += len(words[count])
        count += 1
    return words[:count]


def _hashed(name: str, words: list[str]) -> int:
    text = " ".join([name, *words]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


# --- clusters


def cluster(
    columns: Columns, verdicts: Verdicts, policy: CaptionPolicy, decided: DecidedPairs = NOTHING_DECIDED
) -> Clustering:
    """The clusters of captions, whatever their order; pairs that have a verdict are not compared again."""
    first, number = _wordings(columns)
    pairs, together, missed = _candidates(columns, first, number)
    judge = _Judge(columns, first, verdicts, policy)
    loose = _share_evidence(pairs, together, len(first)) | ~(columns.label[first][pairs].any(axis=1))
    apart, merged = (_numbers_of(which, columns.wording[first]) for which in decided)
    barred = _barred(apart)
    keepers = _merge(_lead(pairs, loose, judge, len(first), barred), merged, barred)
    kept = first[keepers][number]
    related = _related(columns.identifiers, kept)
    return Clustering(kept, related, judge.new_verdicts(), len(pairs), missed)


def pair_codes(left: Hashes, right: Hashes) -> Hashes:
    """One number for each pair of wordings, whichever comes first."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    codes = low * np.uint64(0x9E3779B97F4A7C15)  # the constants of band_keys and of MurmurHash3's finaliser
    codes = (codes ^ (codes >> np.uint64(29)) ^ high) * np.uint64(0xFF51AFD7ED558CCD)
    return codes ^ (codes >> np.uint64(32))


def _wordings(columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The caption that stands for each wording, the fullest wording first; and each caption's wording.

    Fullest: the most distinct words that say something, not cut off, nothing around it, then the longest. Then
    the earliest capture, then the lowest id. Each bare label is a wording by itself.
    """
    order = np.lexsort((columns.caption_id, columns.captured, columns.padded, columns.wording))
    sorted_wordings, bare = columns.wording[order], _bare(columns)[order]
    begins = np.r_[True, (sorted_wordings[1:] != sorted_wordings[:-1]) | bare[1:]][: len(order)]
    first = order[begins]
    fields = (
        columns.caption_id, columns.captured, -columns.length, columns.padded, columns.cut_off, -columns.content
    )  # fmt: skip
    rank = np.lexsort(tuple(values[first] for values in fields))
    place = np.empty(len(first), np.int64)
    place[rank] = np.arange(len(first))
    number = np.empty(len(order), np.int64)
    number[order] = place[np.cumsum(begins) - 1]
    return first[rank], number


def _bare(columns: Columns) -> NDArray[np.bool_]:
    """Which captions are labels of so few words that these alone say nothing."""
    bare: NDArray[np.bool_] = columns.label & (columns.content < BARE)
    return bare


def _candidates(
    columns: Columns, first: NDArray[np.int64], number: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The pairs of wordings that share a key, by right one; those that share an identifier or a picture."""
    count, telling = len(first), np.flatnonzero(~_bare(columns)[first])
    of_words = (pair_up(keys, telling, count, BUCKET) for keys in columns.keys[first[telling]].T)
    alike = union(of_words, count)
    values = [
        _distinct_rows(np.stack([pairs[:, 0], number[pairs[:, 1]]], axis=1))
        for pairs in (columns.identifiers, columns.pictures)
    ]
    beside = union((pair_up(v[:, 0].astype(np.uint64), v[:, 1], count, BUCKET) for v in values), count)
    both = union([alike, beside], count)
    return both.pairs, beside.pairs, both.overflow


def _distinct_rows(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The (value, wording) pairs, each once, the wordings ascending."""
    distinct = np.unique(pairs, axis=0) if len(pairs) else pairs
    order: NDArray[np.int64] = distinct[np.argsort(distinct[:, 1], kind="stable")]
    return order


def _share_evidence(pairs: NDArray[np.int64], together: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which pairs are among those that share an identifier or a picture."""
    shared: NDArray[np.bool_] = np.isin(
        pairs[:, 1] * count + pairs[:, 0], together[:, 1] * count + together[:, 0]
    )
    return shared


def _lead(
    pairs: NDArray[np.int64],
    loose: NDArray[np.bool_],
    judge: _Judge,
    count: int,
    barred: Mapping[int, frozenset[int]],
) -> NDArray[np.int64]:
    """The kept wording of each: the first, of those that are kept themselves, that it is the same as.

    Labels (a name, a title, a few words) are as often the labels of different things: where neither identifier
    nor picture is shared, only equal ones are one. ``barred`` names the wordings that each is kept apart from.
    """
    keepers = np.arange(count)
    moved = [False] * count
    closed = dict(barred)  # for each kept wording those that must not join it, nor what has joined it
    for at, (left, right) in enumerate(zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True)):
        if moved[left] or moved[right] or right in closed.get(left, ()):
            continue
        if judge.verdict(at, left, right, pairs) >= (SAME if loose[at] else EQUAL):
            keepers[right], moved[right] = left, True
            if right in barred:
                closed[left] = closed.get(left, frozenset()) | barred[right]
    return keepers


def _numbers_of(digests: Iterable[tuple[int, int]], wordings: Hashes) -> list[tuple[int, int]]:
    """Pairs of wordings by their numbers, without those that no caption has."""
    wanted = {digest for pair in digests for digest in pair}
    there = np.flatnonzero(np.isin(wordings, np.array(sorted(wanted), np.uint64))).tolist() if wanted else []
    numbers: dict[int, list[int]] = {digest: [] for digest in wanted}
    for at in there:
        numbers[int(wordings[at])].append(at)
    return [(left, right) for a, b in digests for left in numbers[a] for right in numbers[b]]


def _barred(apart: Iterable[tuple[int, int]]) -> dict[int, frozenset[int]]:
    """For each wording those that it is kept apart from."""
    others: dict[int, frozenset[int]] = {}
    for a, b in apart:
        others[a] = others.get(a, frozenset()) | {b}
        others[b] = others.get(b, frozenset()) | {a}
    return others


def _merge(
    keepers: NDArray[np.int64], merged: Iterable[tuple[int, int]], barred: Mapping[int, frozenset[int]]
) -> NDArray[np.int64]:
    """The kept wordings after the clusters of some pairs became one, around the first of the two kept."""
    for pair in merged:
        low, high = sorted(int(keepers[wording]) for wording in pair)
        members = set(np.flatnonzero((keepers == low) | (keepers == high)).tolist())
        if low != high and not any(barred[wording] & members for wording in barred.keys() & members):
            keepers[keepers == high] = low
    return keepers


def _related(identifiers: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of kept captions that share an identifier and are not one, each once."""
    values = np.unique(np.stack([identifiers[:, 0], kept[identifiers[:, 1]]], axis=1), axis=0)
    neighbours = np.stack([values[:-1, 1], values[1:, 1]], axis=1)
    together = neighbours[values[:-1, 0] == values[1:, 0]]
    return np.unique(np.sort(together, axis=1), axis=0)


class _Judge:
    """Compares wordings, each pair once, and keeps what it finds; each wording is read once."""

    def __init__(
        self, columns: Columns, first: NDArray[np.int64], verdicts: Verdicts, policy: CaptionPolicy
    ) -> None:
        self._columns, self._first, self._known, self._policy = columns, first, verdicts, policy
        self._wordings = columns.wording[first]
        self._found: NDArray[np.int8] | None = None
        self._texts: dict[int, str] = {}
        self._new: dict[tuple[int, int], int] = {}

    def verdict(self, at: int, left: int, right: int, pairs: NDArray[np.int64]) -> int:
        """What the pair at a place of ``pairs`` is."""
        if self._found is None:
            self._look_up(pairs)
        assert self._found is not None
        if self._found[at] >= 0:
            return int(self._found[at])
        verdict = compare_wordings(self._texts[left], self._texts[right], self._policy)
        self._new[left, right] = verdict
        return verdict

    def new_verdicts(self) -> Verdicts:
        """All that was found out."""
        pairs = np.array(list(self._new), np.int64).reshape(-1, 2)
        codes = pair_codes(self._wordings[pairs[:, 0]], self._wordings[pairs[:, 1]])
        order = np.argsort(codes)
        return Verdicts(codes[order], np.array(list(self._new.values()), np.int8)[order])

    def _look_up(self, pairs: NDArray[np.int64]) -> None:
        """Find what is known of all pairs, and the texts of those of which nothing is."""
        codes = pair_codes(self._wordings[pairs[:, 0]], self._wordings[pairs[:, 1]])
        self._found = np.full(len(pairs), -1, np.int8)
        if len(self._known.codes):
            at = np.minimum(np.searchsorted(self._known.codes, codes), len(self._known.codes) - 1)
            hit = self._known.codes[at] == codes
            self._found[hit] = self._known.values[at[hit]]
        rows = np.unique(pairs[self._found < 0])
        self._texts = dict(zip(rows.tolist(), self._columns.texts(self._first[rows]), strict=True))
