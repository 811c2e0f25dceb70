"""Which documents of a corpus are copies of others: a pure decision over all of it, made after cleaning.

A copy is not cut: it gets a pointer to the document that stands for it, the keeper. Three rules:

- ``exact``: the same clean text, by digest;
- ``near``: Jaccard similarity of word shingles from ``policy.jaccard``;
- ``contained``: the keeper is larger and has ``policy.containment`` of the document's shingles, and there is no
  slot conflict (a number or name on either side that the other has not).

Every copy has a verified match to its keeper itself: nothing is removed for being like something removed.
The decision depends on the set of documents alone, not on their order nor on the runs that they came in, so
to decide after every run is to decide once over everything. What an index remembers from run to run are facts
about texts (their bands, what pairs of them share), never decisions: it makes the same decision cheaper.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cleancopy.document import Evidence
from cleancopy.errors import StoreError
from cleancopy.minhash import (
    Candidates,
    Hashes,
    Overlap,
    Signing,
    band_keys,
    estimates,
    overlap,
    pair_up,
    shingle_hashes,
    sketches,
    slot_conflict,
    union,
)
from cleancopy.policy import DuplicatePolicy

Rule = Literal["exact", "near", "contained"]
Texts = Callable[[Sequence[str]], Iterable[tuple[str, str]]]  # ids to (id, clean text), in any order

ROWS = 8  # rows a band: 14 bands of 8 find 92 % of the pairs at Jaccard 0.8, 99 % at 0.85
BUCKET = 128  # documents that share a band: each is compared with the first so many only
AHEAD = 256  # texts that are hashed at once
MEMORY = 32_000_000  # shingle hashes that stay in memory: 256 MB
TOGETHER = 4_096  # containments that are judged together: their texts stay in memory
KEY_BITS = np.uint64(16)  # the low bits of a band's key that are dropped: what is left, 48 bits, is ample


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the decision needs to know of one live document.

    ``signature`` is its row of ``sign`` (or the same as little-endian bytes) under ``signing(policy)``; nobody
    asks for it where an index proposes the pairs. ``self_canonical`` says that its own URL is the one that it
    declares as canonical.
    """

    doc_id: str
    text_sha256: str
    words: int
    captured: str | None
    self_canonical: bool
    signature: NDArray[np.uint32] | bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One document that another stands for. ``containment``: the share of its shingles that the keeper has."""

    doc_id: str
    keeper: str
    rule: Rule
    jaccard: float
    containment: float
    reason: str
    evidence: Evidence = field(default_factory=dict)


class Fact(NamedTuple):
    """What two texts share, and whether a slot conflict stands between them, where that was asked."""

    overlap: Overlap
    conflict: bool | None = None

    @property
    def reverse(self) -> Fact:
        """The same seen from the other side."""
        return Fact(self.overlap.reverse, self.conflict)


Facts = Mapping[tuple[str, str], Fact]  # by the two texts' SHA-256, the smaller first


@dataclass(frozen=True, slots=True)
class Proposed:
    """Which rows (documents, the most preferred first) share a band, and what is known of pairs of rows.

    ``sketched`` is a row's ``sketches``. ``facts`` is an int64 matrix (k, 6): left row, right row, the three
    numbers of their overlap, and the conflict as 1 or 0, -1 where nobody asked; a later line holds.
    """

    candidates: Candidates
    sketched: NDArray[np.uint32] = field(repr=False)
    facts: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DuplicateSet:
    """The copies of a corpus, by document id, and what it took to find them.

    ``measured`` are the facts that were not known before: an index keeps them. ``missed`` says for each
    document with a full band how many pairs with preferred documents were never looked at (a pair counts once
    a band); ``overflow`` is the sum.
    """

    duplicates: tuple[Duplicate, ...]
    measured: Facts
    candidates: int
    missed: Mapping[str, int]

    @property
    def overflow(self) -> int:
        """How many pairs were never looked at because too many documents shared a band."""
        return sum(self.missed.values())


def signing(policy: DuplicatePolicy) -> Signing:
    """How the documents of a corpus are signed under a policy."""
    return Signing(num_perm=policy.num_perm, seed=policy.seed, shingle=policy.shingle, unit="word")


def find_duplicates(
    documents: Sequence[Candidate],
    texts_of: Texts,
    policy: DuplicatePolicy,
    propose: Callable[[Sequence[Candidate]], Proposed] | None = None,
) -> DuplicateSet:
    """The documents that others stand for, sorted by document id, and what was measured on the way.

    ``texts_of`` gives clean texts by id.

    ``propose`` gives the pairs to look at among documents that are sorted by preference, from an index; without
    it they come from the documents' signatures. A document without words is nobody's copy; one under
    ``policy.min_words`` can only be an exact one.
    """
    firsts, copies = _exact_copies(sorted((d for d in documents if d.words), key=_preference))
    rows = [d for d in firsts if d.words >= policy.min_words]
    proposed = propose(rows) if propose else propose_from_signatures(rows, policy)
    verifier = PairVerifier(rows, texts_of, policy, proposed.facts)
    pairs, unmeasured = filter_by_estimate(proposed, verifier, rows, policy)
    verifier.expect(unmeasured)
    keepers, inside = _near(pairs, verifier, policy)
    _contain(inside, keepers, verifier, policy)
    missed = {
        i: int(proposed.candidates.missed[i]) for i in np.flatnonzero(proposed.candidates.missed).tolist()
    }
    copies_of = {
        rows[i].doc_id: _duplicate(rows[i], rows[k], verifier.fact(k, i).overlap, policy, missed.get(i, 0))
        for i, k in keepers.items()
    }
    for copy, first in copies:
        copies_of[copy.doc_id] = _copy(copy, first, copies_of.get(first.doc_id))
    return DuplicateSet(
        tuple(copies_of[doc_id] for doc_id in sorted(copies_of)),
        verifier.measured(),
        len(pairs),
        {rows[i].doc_id: count for i, count in missed.items()},
    )


# --- the order of keepers


def _preference(document: Candidate) -> tuple[bool, bool, str, int, str]:
    """What sorts the best keeper first: self-canonical, earliest capture, longest, lowest id."""
    captured = document.captured
    return (not document.self_canonical, captured is None, captured or "", -document.words, document.doc_id)


def _why(keeper: Candidate, copy: Candidate) -> str:
    """What the keeper has over the copy, in words."""
    if _preference(keeper) > _preference(copy):
        return "is the larger"
    if keeper.self_canonical != copy.self_canonical:
        return "is at its canonical URL"
    if keeper.captured != copy.captured:
        return "was captured first"
    return "is longer" if keeper.words > copy.words else "comes first by id"


def _exact_copies(
    ordered: Sequence[Candidate],
) -> tuple[list[Candidate], list[tuple[Candidate, Candidate]]]:
    """The first document with each text, and every further one with that first."""
    first: dict[str, Candidate] = {}
    for document in ordered:
        first.setdefault(document.text_sha256, document)
    copies = [(d, first[d.text_sha256]) for d in ordered if first[d.text_sha256] is not d]
    return list(first.values()), copies


# --- which pairs to look at


def bands_of(signatures: NDArray[np.uint32]) -> Hashes:
    """The keys (48 bits each) of the bands by which copies are looked for, a uint64 matrix (texts, bands)."""
    return band_keys(signatures, max(1, signatures.shape[1] // ROWS), ROWS) >> KEY_BITS


def propose_from_signatures(documents: Sequence[Candidate], policy: DuplicatePolicy) -> Proposed:
    """The pairs that share a band, from the signatures of all documents."""
    signatures = _matrix(documents, policy)
    everyone = np.arange(len(documents))
    count = len(documents)
    pairs = union((pair_up(keys, everyone, count, BUCKET) for keys in bands_of(signatures).T), count)
    return Proposed(pairs, sketches(signatures), np.empty((0, 6), np.int64))


def _matrix(documents: Sequence[Candidate], policy: DuplicatePolicy) -> NDArray[np.uint32]:
    signatures = np.empty((len(documents), policy.num_perm), np.uint32)
    for row, document in zip(signatures, documents, strict=True):
        signature = document.signature
        values = np.frombuffer(signature, "<u4") if isinstance(signature, bytes) else signature
        if values.shape != row.shape:
            raise StoreError(
                f"the signature of document {document.doc_id} has {values.size} values where the policy says "
                f"{policy.num_perm}; sign the corpus again under this policy"
            )
        row[:] = values
    return signatures


def filter_by_estimate(
    proposed: Proposed, verifier: PairVerifier, documents: Sequence[Candidate], policy: DuplicatePolicy
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs that match or that the estimate does not rule out; and of these the ones to measure."""
    pairs = proposed.candidates.pairs
    left, right, shared, measured = verifier.known(pairs)
    hopeful = shared >= policy.jaccard * (left + right - shared)
    hopeful |= shared >= policy.containment * np.minimum(left, right)
    unknown = pairs[~measured]
    words = np.array([d.words for d in documents], np.float64)[unknown]
    # At Jaccard 0.8 an estimate over P permutations has a standard deviation of 0.42 / sqrt(P): the margin is
    # four of them. Containment follows from Jaccard similarity and the two lengths.
    upper = estimates(proposed.sketched, unknown, policy.num_perm) + 1.8 / math.sqrt(policy.num_perm)
    upper = np.minimum(1.0, upper)
    contained = upper / (1 + upper) * words.sum(axis=1) / words.min(axis=1, initial=np.inf)
    hopeful[~measured] = (upper >= policy.jaccard) | (contained >= policy.containment)
    return pairs[hopeful], pairs[hopeful & ~measured]


# --- verification


class PairVerifier:
    """Measures what pairs of rows share: looks up stored facts, works out the missing ones, keeps them.

    Texts are read in a few large batches, since each request may scan a whole table.
    """

    def __init__(
        self,
        documents: Sequence[Candidate],
        texts_of: Texts,
        policy: DuplicatePolicy,
        facts: NDArray[np.int64],
    ) -> None:
        self._documents, self._texts_of, self._signing = documents, texts_of, signing(policy)
        self._facts, self._codes = _lookup(facts, len(documents))
        self._new: dict[tuple[int, int], Fact] = {}
        self._order: list[int] = []
        self._place: dict[int, int] = {}
        self._hashes: dict[int, Hashes] = {}
        self._size = 0
        self._wanted: frozenset[int] = frozenset()
        self._texts: dict[int, str] = {}

    def known(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Shingles left, shingles right and shared for each pair, and whether they are known."""
        codes = pairs[:, 1] * len(self._documents) + pairs[:, 0]
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        lines = self._facts[at]
        return lines[:, 3], lines[:, 4], lines[:, 2], self._codes[at] == codes

    def expect(self, pairs: NDArray[np.int64]) -> None:
        """These pairs will be measured in this order: their texts can be read ahead."""
        self._order = list(dict.fromkeys(pairs.ravel().tolist()))
        self._place = {row: i for i, row in enumerate(self._order)}

    def fact(self, left: int, right: int) -> Fact:
        """What is known of two rows, measured if need be."""
        if left > right:
            return self.fact(right, left).reverse
        fact = self.told(left, right)
        if fact is None:
            fact = Fact(overlap(self._hashes_of(left), self._hashes_of(right)))
            self._new[left, right] = fact
        return fact

    def told(self, left: int, right: int) -> Fact | None:
        """What is known of two rows so far."""
        if left > right:
            turned = self.told(right, left)
            return turned.reverse if turned else None
        return self._new.get((left, right)) or self._known(left, right)

    def conflict(self, left: int, right: int) -> bool:
        """Whether each of two rows has a number or name that the other has not."""
        if left > right:
            left, right = right, left
        fact = self.fact(left, right)
        if fact.conflict is None:
            conflict = slot_conflict(self._text_of(left), self._text_of(right)) is not None
            fact = self._new[left, right] = Fact(fact.overlap, conflict)
        return bool(fact.conflict)

    def expect_texts(self, rows: Collection[int]) -> None:
        """The texts of these rows may be asked for: all of them are read when the first one is."""
        self._wanted, self._texts = frozenset(rows), {}

    def measured(self) -> Facts:
        """All that was found out, by the digests of the two texts."""
        digests = [document.text_sha256 for document in self._documents]
        return {
            (digests[a], digests[b]) if digests[a] < digests[b] else (digests[b], digests[a]): (
                fact if digests[a] < digests[b] else fact.reverse
            )
            for (a, b), fact in self._new.items()
        }

    def _known(self, left: int, right: int) -> Fact | None:
        code = right * len(self._documents) + left
        at = bisect_left(self._codes, code)  # which is quicker than numpy with one number
        if self._codes[at] != code:
            return None
        shared, a, b, conflict = self._facts[at, 2:].tolist()
        return Fact(Overlap(shared, a, b), None if conflict < 0 else bool(conflict))

    def _text_of(self, row: int) -> str:
        """The text of a document; reads it, with all that are wanted, where it is not held."""
        if row not in self._texts:
            self._texts |= self._read(sorted(self._wanted if row in self._wanted else [row]))
        return self._texts[row]

    def _hashes_of(self, row: int) -> Hashes:
        """The shingle hashes of a document; reads it, and what comes next, where they are not held."""
        if row not in self._hashes:
            self._hash([(row, self._text_of(row))] if row in self._wanted else self._read(self._ahead(row)))
        if row not in self._hashes:  # texts without spaces have more shingles than words: it was pushed out
            self._hash(self._read([row]))
        return self._hashes[row]

    def _ahead(self, row: int) -> list[int]:
        """The row, and those that will be asked for after it, as many as fit into half the memory."""
        ahead, words = [row], self._documents[row].words
        for other in self._order[self._place.get(row, len(self._order)) + 1 :]:
            words += self._documents[other].words
            if words > MEMORY // 2:
                break
            if other not in self._hashes:
                ahead.append(other)
        return ahead

    def _hash(self, numbered: Iterable[tuple[int, str]]) -> None:
        texts = iter(numbered)
        while batch := list(islice(texts, AHEAD)):
            hashes = shingle_hashes([text for _, text in batch], self._signing)
            self._size += sum(map(len, hashes))
            while self._size > MEMORY and self._hashes:
                self._size -= len(self._hashes.pop(next(iter(self._hashes))))
            self._hashes.update(zip((row for row, _ in batch), hashes, strict=True))

    def _read(self, rows: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Texts by row, from whoever gave ``texts``: the store, or a run's spool files."""
        ids = {self._documents[row].doc_id: row for row in rows}
        for doc_id, text in self._texts_of(list(ids)):
            yield ids[doc_id], text


def _lookup(facts: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The facts with the left row the smaller, the last of each pair, sorted by a code of the pair; the codes.

    A line that no pair has stands at the end, so that there is always one to look at.
    """
    facts = np.vstack([facts, np.full((1, 6), -1)])
    turned = facts[:, 0] > facts[:, 1]
    facts[turned] = facts[turned][:, [1, 0, 2, 4, 3, 5]]
    codes = facts[:, 1] * count + facts[:, 0]
    codes[-1] = np.iinfo(np.int64).max
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    last = np.flatnonzero(np.r_[codes[1:] != codes[:-1], True])
    return facts[order[last]], codes[last]


# --- the decision


def _near(
    pairs: NDArray[np.int64], verifier: PairVerifier, policy: DuplicatePolicy
) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """The keeper of each near copy; and, of the rest, (shingles, row, larger row that contains it).

    Pairs come by right row, so whether the left one is kept is settled when it is asked.
    """
    keepers: dict[int, int] = {}
    inside = []
    for left, right in _rows(pairs):
        if left in keepers or right in keepers:
            continue
        shares = verifier.fact(left, right).overlap
        if shares.jaccard >= policy.jaccard:
            keepers[right] = left
        elif shares.containment >= policy.containment:
            smaller = (shares.left, left, right) if shares.left < shares.right else (shares.right, right, left)
            inside.append(smaller)
    return keepers, inside


def _rows(pairs: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The pairs one by one; made as they are asked for, since a list of lists wakes the garbage collector."""
    return zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True)


def _contain(
    inside: Sequence[tuple[int, int, int]],
    keepers: dict[int, int],
    verifier: PairVerifier,
    policy: DuplicatePolicy,
) -> None:
    """Add to ``keepers`` the rows that a larger kept one contains, the largest first.

    A row that others point to goes only if each of them matches the larger one itself.
    """
    copies: dict[int, list[int]] = {}
    for copy, keeper in keepers.items():
        copies.setdefault(keeper, []).append(copy)
    ordered = sorted(inside, key=lambda row_moved: (-row_moved[0], row_moved[1], row_moved[2]))
    for start in range(0, len(ordered), TOGETHER):
        part = ordered[start : start + TOGETHER]
        pairs = [(larger, row_moved) for _, row, larger in part for row_moved in (row, *copies.get(row, ()))]
        verifier.expect_texts(
            {row for pair in pairs if _stands_for(verifier.told(*pair), policy) is None for row in pair}
        )
        for _, row, larger in part:
            if row in keepers or larger in keepers:
                continue
            moved = [row, *copies.get(row, ())]
            if all(_contains(larger, row_moved, verifier, policy) for row_moved in moved):
                keepers.update(dict.fromkeys(moved, larger))
                copies.setdefault(larger, []).extend(moved)


def _contains(keeper: int, row: int, verifier: PairVerifier, policy: DuplicatePolicy) -> bool:
    """Whether the keeper can stand for the row, measured and compared as far as need be."""
    stands = _stands_for(verifier.fact(keeper, row), policy)
    return not verifier.conflict(keeper, row) if stands is None else stands


def _stands_for(fact: Fact | None, policy: DuplicatePolicy) -> bool | None:
    """Whether the left text stands for the right one: near, or containing it; None where that is open."""
    if fact is None:
        return None
    shares = fact.overlap
    if shares.jaccard >= policy.jaccard or shares.shared == shares.right:
        return True
    if shares.shared < policy.containment * shares.right:
        return False
    return None if fact.conflict is None else not fact.conflict


# --- what is said of it


def _duplicate(
    copy: Candidate, keeper: Candidate, shares: Overlap, policy: DuplicatePolicy, missed: int
) -> Duplicate:
    rule: Rule = "near" if shares.jaccard >= policy.jaccard else "contained"
    share = shares.shared / shares.right
    what = f"{policy.shingle}-word shingles"
    reason = f"{share:.0%} of its {what} stand in {keeper.doc_id}, which is the larger"
    if rule == "near":
        reason = f"shares {shares.jaccard:.0%} of all {what} with {keeper.doc_id}, which {_why(keeper, copy)}"
    evidence = {"shared": shares.shared, "shingles": shares.right, "keeper_shingles": shares.left}
    if missed:
        evidence["overflow"] = missed
    return Duplicate(
        copy.doc_id, keeper.doc_id, rule, round(shares.jaccard, 4), round(share, 4), reason, evidence
    )


def _copy(copy: Candidate, first: Candidate, of_first: Duplicate | None) -> Duplicate:
    """What is said of an exact copy of ``first``: it goes with it where ``first`` is a copy itself."""
    if of_first:
        reason = f"has the same text as {first.doc_id}, which {of_first.reason}"
        return replace(of_first, doc_id=copy.doc_id, reason=reason)
    reason = f"has the same text as {first.doc_id}, which {_why(first, copy)}"
    return Duplicate(copy.doc_id, first.doc_id, "exact", 1.0, 1.0, reason, {"text_sha256": copy.text_sha256})
