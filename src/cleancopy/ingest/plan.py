"""What a run is about to publish: versions to write, documents that are gone, duplicates over the whole corpus.

What a run has cleaned becomes versions only where a document's text or status changed. Duplicates are found
over the whole corpus, so that any order of ingests comes to the same pointers. Nothing that others read changes
here; what is measured goes into the index of duplicates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from cleancopy.document import Document, doc_id, version_id
from cleancopy.errors import RejectReason
from cleancopy.ingest.captions import (
    Repeats,
    base_texts,
    final_document,
    find_repeats,
    signed,
    to_recut,
    wanted_digest,
)
from cleancopy.ingest.run import CleanedEntry, InputNote, Run, Withdrawn
from cleancopy.minhash import sign
from cleancopy.stages.captions.clusters import captions_of
from cleancopy.stages.captions.elsewhere import PART, part_of, read_part
from cleancopy.stages.duplicates import BUCKET, Candidate, Duplicate, DuplicateSet, find_duplicates, signing
from cleancopy.store import decisions, dedup_index, rows, tables
from cleancopy.store.decisions import Decisions
from cleancopy.store.index_files import Index
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import FROM_ARCHIVE, Change, LedgerEntry, Outcome
from cleancopy.store.spool import Spool, read_at, read_spool
from cleancopy.version import has_spans
from cleancopy.words import count_words

#: Where the numbers of shards begin that hold documents whose cuts were changed at the very end.
_LATE = 50_000
#: The same for documents from which captions were cut that others carry.
_LATE_CAPTIONS = 10_000_000

#: Notes on inputs, by input and member.
Notes = dict[tuple[str, str | None], str]


@dataclass(frozen=True, slots=True)
class Planned:
    """A version that the run will write, and the cleaned document that it holds."""

    cleaned: CleanedEntry
    seq: int
    parent: str | None
    change: Change

    @property
    def doc_id(self) -> str:
        """The document that it is a version of."""
        return doc_id(self.cleaned.entry.key)

    @property
    def version_id(self) -> str:
        """The id that the version will have."""
        return version_id(self.doc_id, self.parent, self.cleaned.text_sha256)


@dataclass(frozen=True, slots=True)
class Head:
    """The latest version of a document, counting those that the run is about to write."""

    seq: int
    version_id: str
    status: str
    duplicate_of: str | None
    captured: str | None
    candidate: Candidate
    payload: str | None = None
    planned: Planned | None = None
    elsewhere: str = ""  # the part of the stored version that says which captions other documents carry
    has_spans: bool = True  # whether it was read when spans were kept beside the text


class Gathered(NamedTuple):
    """All that the shards of a run left; ``entries`` are of inputs that needed no cleaning."""

    cleaned: list[CleanedEntry]
    entries: list[LedgerEntry]
    notes: Notes
    withdrawn: list[Withdrawn]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will publish.

    ``versions`` are new texts; ``moved`` stored documents whose status or keeper changes, of which ``gone`` are
    withdrawn or taken down, and ``taken_down`` the latter. ``entries`` is every input with its outcome,
    ``ledger`` those that the table of captures is to take. ``overflow`` counts pairs of documents that were not
    compared. ``page_moves`` are the pages that the run saw to have moved, old key to new key.
    """

    cleaned: list[CleanedEntry]
    versions: list[Planned]
    moved: list[str]
    gone: list[str]
    taken_down: list[str]
    heads: Mapping[str, Head]
    duplicates: Mapping[str, Duplicate]
    repeats: Repeats
    recut: set[str]
    entries: list[LedgerEntry]
    ledger: list[LedgerEntry]
    overflow: int
    page_moves: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to publish.

        That a page which is down was refused again changes nothing: it waits for a release with other content.
        """
        new_to_readers = any(entry.kind != RejectReason.TAKEN_DOWN for entry in self.ledger)
        return not (self.versions or self.moved or new_to_readers)


def make_plan(run: Run, shards: int, people: Decisions) -> Plan:
    """What the run will publish, under what people have decided. Reads the store and the index."""
    gathered = gather(run, shards)
    heads = read_heads(run.root)
    cleaned = [_with_restored(run, number, entry, people) for number, entry in enumerate(gathered.cleaned)]
    entries = gathered.entries
    versions, again = plan_versions(cleaned, heads, entries, people)
    withdrawn = _withdraw(gathered.withdrawn, heads, entries, people) + _move(heads, entries, people)
    taken_down = _take_down(run, heads, people)
    duplicate_set = _find_duplicates(run, heads)
    duplicates = {
        copy.doc_id: copy for copy in duplicate_set.duplicates if not people.stands_alone(copy.doc_id)
    }
    repeats = _find_repeats(run, heads, duplicates, people)
    renamed = _cut_planned(run, versions, heads, repeats, people)
    entries, again = (_renamed(each, renamed) for each in (entries, again))
    stored = {doc: head.elsewhere for doc, head in heads.items() if not head.planned and head.status != "gone"}
    recut = to_recut(run.root, repeats, stored, people)
    notes = _overflow_notes(entries, duplicate_set.missed) | gathered.notes
    entries = [_with_outcome(entry, heads, duplicates, notes) for entry in entries]
    ledger = _new_to_the_ledger(run.root, entries)
    ledger += [_with_outcome(entry, heads, duplicates, notes) for entry in again if _says_more(run, entry)]
    gone = withdrawn + taken_down
    moved = [
        doc
        for doc, head in heads.items()
        if head.planned is None and (doc in recut or _has_moved(doc, head, duplicates))
    ]
    return Plan(
        cleaned=cleaned,
        versions=versions,
        moved=moved + gone,
        gone=gone,
        taken_down=taken_down,
        heads=heads,
        duplicates=duplicates,
        repeats=repeats,
        recut=recut,
        entries=entries,
        ledger=ledger,
        overflow=duplicate_set.overflow,
        page_moves=_page_moves(run, entries),
    )


# ---- what the shards left


def gather(run: Run, shards: int) -> Gathered:
    """What the shards left in their spool files, entries under the number of the release to come."""
    gathered = Gathered([], [], {}, [])
    for number in range(shards):
        items = read_spool(run.spool("entries", number))
        for item in chain(next(items), items):  # the first has all that needed no cleaning
            if isinstance(item, CleanedEntry):
                gathered.cleaned.append(item._replace(entry=_in_release(item.entry, run.release)))
            elif isinstance(item, InputNote):
                gathered.notes[item.input, item.member] = item.message
            elif isinstance(item, Withdrawn):
                gathered.withdrawn.append(replace(item, entry=_in_release(item.entry, run.release)))
            else:
                gathered.entries.append(_in_release(item, run.release))
    return gathered


def _in_release(entry: LedgerEntry, release: int) -> LedgerEntry:
    return entry if entry.release == release else entry._replace(release=release)


def read_cleaned(run: Run, cleaned: CleanedEntry) -> Document:
    """The document of a cleaned entry, from the run's spool file."""
    document: Document = read_at(run.spool("decided", cleaned.shard), cleaned.offset)
    return document


def _with_restored(run: Run, number: int, cleaned: CleanedEntry, people: Decisions) -> CleanedEntry:
    """What a shard cleaned, without the cuts that people meanwhile said are to stay; spooled again."""
    if not people.has_restored_cuts(doc_id(cleaned.entry.key)):
        return cleaned
    before = read_cleaned(run, cleaned)
    after = people.with_restored_cuts(before)
    if after is before:
        return cleaned
    shard = _LATE + number
    with Spool(run.spool("decided", shard)) as spool:
        offset = spool.append(after)
    signature = sign([after.clean], signing(run.policy.duplicates))[0].tobytes()
    return cleaned._replace(
        text_sha256=rows.sha256(after.clean),
        words=count_words(after.clean),
        signature=signature,
        shard=shard,
        offset=offset,
        kept=len(after.clean),
    )


# ---- versions


def read_heads(root: StorePath) -> dict[str, Head]:
    """The latest stored version of every document, with when it was last captured."""
    columns = [
        "doc_id", "seq", "version_id", "status", "duplicate_of", "captured", "text_sha256", "words", "url",
        "canonical_url", "payload_sha256", "parts",
    ]  # fmt: skip
    heads = {}
    for batch in tables.latest_batches(root, columns=columns):
        for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            doc, seq, version, status, keeper, captured, digest, words, url, declared, payload, parts = row
            part = str(json.loads(parts).get(PART, "")) if f'"{PART}"' in parts else ""
            base = read_part(part)
            digest, words = (base.text_sha256, base.words) if base else (digest, words)
            candidate = Candidate(doc, digest, words, captured, bool(url) and url == declared)
            spans = has_spans(json.loads(parts))
            heads[doc] = Head(seq, version, status, keeper, captured, candidate, payload, None, part, spans)
    # A later capture may only have confirmed the text: the ledger has it, the version has not.
    for doc, captured in tables.last_captured(root).items():
        head = heads.get(doc)
        if head and captured > (head.captured or ""):
            heads[doc] = replace(head, captured=captured)
    return heads


def plan_versions(
    cleaned: Iterable[CleanedEntry], heads: dict[str, Head], entries: list[LedgerEntry], people: Decisions
) -> tuple[list[Planned], list[LedgerEntry]]:
    """The versions to write, in the order of time; ``heads`` and ``entries`` are brought up to date.

    What people decided holds: a pinned text stays, and what was taken down while the run read it is rejected.
    The entry of a capture whose text can be no version yet has no fingerprint, so that it is read again when
    it can. Besides, the entries of captures that were read again from the archive: the ledger takes them, so
    that they are known under the new pipeline, but no input was seen.
    """
    versions = []
    again = []
    for page in sorted(cleaned, key=_in_time):
        entry, document = page.entry, doc_id(page.entry.key)
        head = heads.get(document)
        if refused := people.refused(entry):
            if not page.stored:
                entries.append(refused)
            continue
        version = None if head and people.pinned(document) else _next_version(page, head)
        if version is not None:
            versions.append(version)
            heads[document] = _head_of(version)
            entry = entry._replace(version_id=version.version_id)
        elif head is not None:
            entry = entry._replace(outcome="unchanged", version_id=head.version_id)
            if page.text_sha256 != head.candidate.text_sha256:
                entry = entry._replace(fingerprint="")  # not known yet: it waits to become a version
            latest = max(filter(None, (head.captured, entry.captured)), default=None)
            heads[document] = replace(head, captured=latest)
        if not page.stored:
            entries.append(entry)
        elif entry.source == FROM_ARCHIVE:
            again.append(entry)
    return versions, again


def _in_time(page: CleanedEntry) -> tuple[str, str, str]:
    return doc_id(page.entry.key), page.entry.captured or "", page.entry.payload_sha256 or ""


def _next_version(page: CleanedEntry, head: Head | None) -> Planned | None:
    """The version that a cleaned capture makes, or None where the document's text stays as it is."""
    if head is None:
        return Planned(page, 1, None, "new")
    fills_spans = page.has_spans and not head.has_spans
    if head.status != "gone" and head.candidate.text_sha256 == page.text_sha256 and not fills_spans:
        return None
    if not page.stored and page.entry.captured and head.captured and page.entry.captured < head.captured:
        return None
    if page.stored and page.stored != head.seq:  # another run has published a newer one meanwhile
        return None
    same = head.status != "gone" and head.payload == page.entry.payload_sha256
    from_table = page.stored > 0 and page.entry.source != FROM_ARCHIVE
    change: Change = "chrome" if from_table else "pipeline" if page.cleaned_before or same else "source"
    return Planned(page, head.seq + 1, head.version_id, change)


def _head_of(version: Planned) -> Head:
    page = version.cleaned
    captured, payload = page.entry.captured, page.entry.payload_sha256
    candidate = Candidate(version.doc_id, page.text_sha256, page.words, captured, page.canonical)
    return Head(version.seq, version.version_id, "live", None, captured, candidate, payload, version)


# ---- what is gone


def _withdraw(
    withdrawn: Iterable[Withdrawn], heads: dict[str, Head], entries: list[LedgerEntry], people: Decisions
) -> list[str]:
    """The documents that are gone from now on; their heads say so, and each address leaves its entry.

    One that the run has just read under another address stays, as a pinned one does. The texts stay in the
    releases before.
    """
    gone = []
    for page in withdrawn:
        version = None
        for document in map(doc_id, page.keys):
            head = heads.get(document)
            if head and head.planned is None and head.status != "gone" and not people.pinned(document):
                heads[document] = replace(head, status="gone")
                gone.append(document)
                version = head.version_id
        entries.append(page.entry._replace(version_id=version))
    return gone


def _move(heads: dict[str, Head], entries: Iterable[LedgerEntry], people: Decisions) -> list[str]:
    """The documents whose addresses answer that their pages are elsewhere for good; they are gone from there.

    The history of the new address begins with theirs. A pinned document stays.
    """
    gone = []
    for entry in entries:
        document = doc_id(entry.moved_from) if entry.moved_from and entry.outcome != "rejected" else ""
        head = heads.get(document)
        if head and head.planned is None and head.status != "gone" and not people.pinned(document):
            heads[document] = replace(head, status="gone")
            gone.append(document)
    return gone


def _page_moves(run: Run, entries: Iterable[LedgerEntry]) -> dict[str, str]:
    moves = {entry.moved_from: entry.key for entry in entries if entry.moved_from}
    return {old: new for old, new in moves.items() if run.snapshot.moved.get(old) != new}


def _take_down(run: Run, heads: dict[str, Head], people: Decisions) -> list[str]:
    """The stored documents that a takedown names and that are still there; their heads say that they are gone.

    They came after the takedown, or it was cut short. One that is gone counts where its latest version has a
    text.
    """
    taken_down = []
    for document in sorted(decisions.taken_down(run.root, people)):
        head = heads[document]
        if head.planned is None and (head.status != "gone" or head.candidate.text_sha256 != rows.sha256("")):
            heads[document] = replace(head, status="gone")
            taken_down.append(document)
    return taken_down


# ---- duplicates


def _find_duplicates(run: Run, heads: Mapping[str, Head]) -> DuplicateSet:
    """Which documents are copies of others, over the whole corpus; what was measured goes into the index."""
    live = [head.candidate for _, head in sorted(heads.items()) if head.status != "gone"]
    index = _updated_index(run, live, heads)
    duplicate_set = find_duplicates(
        live, partial(_texts, run, heads), run.policy.duplicates, partial(dedup_index.propose, index)
    )
    dedup_index.commit(index, duplicate_set.measured)
    return duplicate_set


def _updated_index(run: Run, live: Iterable[Candidate], heads: Mapping[str, Head]) -> Index:
    """The index, with the texts that it lacks: those of the run, and stored ones where it is new."""
    index = dedup_index.load(run.root, signing(run.policy.duplicates))
    documents = {candidate.text_sha256: candidate.doc_id for candidate in live if candidate.words}
    lacking = [documents[digest] for digest in dedup_index.lacking(index, list(documents))]
    planned = [version.cleaned for doc in lacking if (version := heads[doc].planned)]
    signatures = np.frombuffer(b"".join(page.signature for page in planned), "<u4")
    signatures = signatures.reshape(len(planned), run.policy.duplicates.num_perm)
    index = dedup_index.add(index, [page.text_sha256 for page in planned], signatures)
    stored = [doc for doc in lacking if not heads[doc].planned]
    bases = [text for _, text in base_texts(run.root, [doc for doc in stored if heads[doc].elsewhere])]
    index = dedup_index.add(index, list(map(rows.sha256, bases)), sign(bases, index.signing))
    return dedup_index.catch_up(index, run.root, [doc for doc in stored if not heads[doc].elsewhere])


def _texts(run: Run, heads: Mapping[str, Head], documents: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The clean texts of documents by id, whatever captions others carry: new ones, then stored ones."""
    stored = [doc for doc in documents if heads[doc].planned is None and not heads[doc].elsewhere]
    yield from base_texts(run.root, [d for d in documents if not heads[d].planned and heads[d].elsewhere])
    for document in documents:
        if planned := heads[document].planned:
            yield document, read_cleaned(run, planned.cleaned).clean
    if stored:
        for batch in tables.latest_batches(run.root, columns=["doc_id", "text"], documents=stored):
            yield from zip(batch.column("doc_id").to_pylist(), batch.column("text").to_pylist(), strict=True)


# ---- captions that other documents carry


def _find_repeats(
    run: Run, heads: Mapping[str, Head], duplicates: Mapping[str, Duplicate], people: Decisions
) -> Repeats:
    """What is to be cut from each live document, stored ones and those of the run."""
    if run.policy.captions.scope == "page":
        return {}
    live = {doc: head for doc, head in heads.items() if head.status != "gone" and doc not in duplicates}
    new = [head.planned for head in live.values() if head.planned]
    captions = (
        caption
        for version in new
        for caption in captions_of(
            read_cleaned(run, version.cleaned), version.version_id, version.cleaned.entry.captured
        )
    )
    stored = [
        head.version_id
        for doc, head in live.items()
        if not head.planned and not (head.elsewhere and people.pinned(doc))
    ]
    return find_repeats(run.root, run.policy, stored, captions, people)


def _cut_planned(
    run: Run, versions: list[Planned], heads: dict[str, Head], repeats: Repeats, people: Decisions
) -> dict[str, str]:
    """Cut repeats from what the run will write; the new ids of these versions, by the ids that they had."""
    renamed = {}
    for at, planned in enumerate(versions):
        document = planned.doc_id
        if heads[document].planned is not planned or document not in repeats:
            continue
        after = final_document(read_cleaned(run, planned.cleaned), repeats[document], people)
        part = part_of(after, wanted_digest(repeats[document]))
        with Spool(run.spool("decided", _LATE_CAPTIONS + at)) as spool:
            offset = spool.append(after)
        page = planned.cleaned._replace(
            **asdict(signed(after, run.policy)), shard=_LATE_CAPTIONS + at, offset=offset, elsewhere=part,
            kept=len(after.clean),
        )  # fmt: skip
        versions[at] = replace(planned, cleaned=page)
        renamed[planned.version_id] = versions[at].version_id
        heads[document] = replace(
            heads[document], planned=versions[at], version_id=versions[at].version_id, elsewhere=part
        )
    return renamed


def _renamed(entries: Iterable[LedgerEntry], names: Mapping[str, str]) -> list[LedgerEntry]:
    return [entry._replace(version_id=names.get(entry.version_id or "", entry.version_id)) for entry in entries]


def _overflow_notes(entries: Iterable[LedgerEntry], missed: Mapping[str, int]) -> Notes:
    """A note on each input whose document is like so many others that not all pairs were looked at."""
    counted = ((entry, missed.get(doc_id(entry.key), 0)) for entry in entries if missed)
    return {
        (entry.input, entry.member): f"{count} comparisons with documents like it were left out: "
        f"more than {BUCKET} share a band of its signature, and it was compared with the first of them"
        for entry, count in counted
        if count
    }


def _has_moved(doc: str, head: Head, duplicates: Mapping[str, Duplicate]) -> bool:
    """Whether a stored document's status or keeper is another than before."""
    keeper = duplicates[doc].keeper if doc in duplicates else None
    return head.status != "gone" and head.duplicate_of != keeper


# ---- entries


def _with_outcome(
    entry: LedgerEntry, heads: Mapping[str, Head], duplicates: Mapping[str, Duplicate], notes: Notes
) -> LedgerEntry:
    """The entry with the outcome that the whole corpus gives it."""
    if entry.outcome == "rejected":
        return entry
    document = doc_id(entry.key)
    head = heads.get(document)
    outcome: Outcome = "duplicate" if document in duplicates else entry.outcome
    message = duplicates[document].reason if document in duplicates else notes.get((entry.input, entry.member))
    version = entry.version_id or (head.version_id if head else None)
    if (outcome, message, version) == (entry.outcome, entry.message, entry.version_id):
        return entry
    return entry._replace(outcome=outcome, message=message, version_id=version)


def _says_more(run: Run, entry: LedgerEntry) -> bool:
    """Whether the ledger does not know yet what became of a capture that was read again from the archive."""
    before = run.snapshot.ledger.payloads.get((entry.key, entry.payload_sha256 or ""))
    changed = entry.outcome not in ("unchanged", "duplicate")
    return changed or before is None or before.fingerprint != entry.fingerprint


def _new_to_the_ledger(root: StorePath, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries to store: what needed work, withdrawals, and rejections that the ledger does not have yet."""
    columns = ["input", "member", "kind", "payload_sha256", "fingerprint"]
    stored: set[tuple[str | None, ...]] = set()
    if any(entry.outcome == "rejected" for entry in entries):
        table = tables.captures(root, columns=columns)
        stored = set(zip(*(table[name].to_pylist() for name in columns), strict=True))

    def is_new(entry: LedgerEntry) -> bool:
        if entry.outcome != "rejected":
            return entry.archive is not None
        identity = (entry.input, entry.member, entry.kind, entry.payload_sha256, entry.fingerprint)
        return entry.version_id is not None or identity not in stored

    return [entry for entry in entries if is_new(entry)]
