"""The last step of an ingest: versions, duplicates, one commit, and then what people read.

What a run has cleaned becomes versions only where a document's text or status changed. Duplicates are
decided over the whole corpus, so that any order of ingests comes to the same pointers.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cleancopy import views
from cleancopy.document import Document, doc_id, version_id
from cleancopy.fingerprint import fingerprint
from cleancopy.repetition import sign
from cleancopy.run import Decided, Note, Run, Summary
from cleancopy.spool import read_at, read_spool
from cleancopy.stages.chrome import SiteChrome
from cleancopy.stages.duplicates import Candidate, Duplicate, find_duplicates, signing
from cleancopy.store import chromes, corpus, releases, rows
from cleancopy.store.rows import Change, LedgerEntry, Outcome, Status, Version


@dataclass(frozen=True, slots=True)
class Planned:
    """A version that the run will write, and the cleaned document that it holds."""

    decided: Decided
    seq: int
    parent: str | None
    change: Change

    @property
    def doc_id(self) -> str:
        """The document that it is a version of."""
        return doc_id(self.decided.entry.key)

    @property
    def version_id(self) -> str:
        """The id that the version will have."""
        return version_id(self.doc_id, self.parent, self.decided.text_sha256)


@dataclass(frozen=True, slots=True)
class Head:
    """The latest version of a document, counting those that the run is about to write."""

    seq: int
    version_id: str
    status: str
    duplicate_of: str | None
    captured: str | None
    candidate: Candidate
    planned: Planned | None = None


def publish(run: Run, shards: int) -> Summary:
    """Commit what the run has decided, write the release, refresh what people read; the run's summary.

    ``shards`` counts the shards of ``decide_shard`` and ``reclean`` together.
    """
    learned = learned_chromes(run)
    decided, entries, notes = _gather(run, shards)
    heads = _heads(run)
    planned = _plan(run, decided, heads, entries)
    duplicates = _duplicates(run, heads)
    entries = [_with_outcome(entry, heads, duplicates, notes) for entry in entries]
    fresh = _new_to_the_ledger(run, entries)
    moved = [doc for doc, head in heads.items() if head.planned is None and _moved(doc, head, duplicates)]
    for chrome in learned.values():
        chromes.write(run.root, chrome)
    release = None
    if planned or moved or fresh:
        _commit(run, planned, moved, heads, duplicates, fresh)
        release = run.release
    touched = {one.doc_id for one in planned} | set(moved)
    statuses = {doc: "duplicate" if doc in duplicates else "unchanged" for doc in moved}
    views.refresh(run.root, run.release - 1, release, touched, entries, statuses)
    return _summary(run, release, entries, decided, planned, learned)


def learned_chromes(run: Run) -> dict[str, SiteChrome]:
    """What the run has learned, by site."""
    return {chrome.site: chrome for chrome in read_spool(run.spool("chrome", 0))}


def _gather(
    run: Run, shards: int
) -> tuple[list[Decided], list[LedgerEntry], dict[tuple[str, str | None], str]]:
    """All that the shards decided, the entries of what did not come so far, and the notes on inputs."""
    decided: list[Decided] = []
    entries: list[LedgerEntry] = []
    notes: dict[tuple[str, str | None], str] = {}
    for number in range(shards):
        for one in read_spool(run.spool("entries", number)):
            if isinstance(one, Decided):
                decided.append(one)
            elif isinstance(one, Note):
                notes[one.input, one.member] = one.message
            else:
                entries.append(one)
    return decided, entries, notes


# ---- versions


def _heads(run: Run) -> dict[str, Head]:
    """The latest stored version of every document, with when it was last captured."""
    columns = [
        "doc_id", "seq", "version_id", "status", "duplicate_of", "captured", "text_sha256", "words", "url",
        "canonical_url", "signature", "parts",
    ]  # fmt: skip
    heads = {}
    signed_otherwise = set()
    for batch in corpus.latest_batches(run.root, columns=columns):
        for row in batch.to_pylist():
            if json.loads(row["parts"]).get("policy") != run.policy.digest:
                signed_otherwise.add(row["doc_id"])
            canonical = bool(row["url"]) and row["url"] == row["canonical_url"]
            candidate = Candidate(
                row["doc_id"], row["text_sha256"], row["words"], row["captured"], canonical, row["signature"]
            )
            heads[row["doc_id"]] = Head(
                row["seq"], row["version_id"], row["status"], row["duplicate_of"], row["captured"], candidate
            )
    return _last_captured(run.root, _signed(run, heads, signed_otherwise))


def _signed(run: Run, heads: dict[str, Head], documents: set[str]) -> dict[str, Head]:
    """The heads with these documents' signatures made anew: another policy may have signed them otherwise."""
    if not documents:
        return heads
    for batch in corpus.latest_batches(run.root, columns=["doc_id", "text"], documents=documents):
        signatures = sign(batch.column("text").to_pylist(), signing(run.policy.duplicates))
        for document, signature in zip(batch.column("doc_id").to_pylist(), signatures, strict=True):
            candidate = replace(heads[document].candidate, signature=signature.tobytes())
            heads[document] = replace(heads[document], candidate=candidate)
    return heads


def _last_captured(root: Path, heads: dict[str, Head]) -> dict[str, Head]:
    """The heads with the time of the latest capture that the ledger has, which may only have confirmed them."""
    table = corpus.captures(root, columns=["doc_id", "captured", "outcome"])
    for row in table.to_pylist():
        head = heads.get(row["doc_id"])
        if head and row["outcome"] != "rejected" and (row["captured"] or "") > (head.captured or ""):
            heads[row["doc_id"]] = replace(head, captured=row["captured"])
    return heads


def _plan(
    run: Run, decided: Iterable[Decided], heads: dict[str, Head], entries: list[LedgerEntry]
) -> list[Planned]:
    """The versions to write, in the order of time; heads and entries are brought up to date."""
    planned = []
    for one in sorted(decided, key=_in_time):
        head = heads.get(doc_id(one.entry.key))
        version = _next_version(one, head)
        entry = one.entry
        if version is not None:
            planned.append(version)
            heads[version.doc_id] = _head(version)
            entry = replace(entry, version_id=version.version_id)
        elif head is not None:
            entry = replace(entry, outcome="unchanged", version_id=head.version_id)
            latest = max(filter(None, (head.captured, entry.captured)), default=None)
            heads[doc_id(entry.key)] = replace(head, captured=latest)
        if not one.stored:
            entries.append(entry)
    return planned


def _in_time(one: Decided) -> tuple[str, str, str]:
    return doc_id(one.entry.key), one.entry.captured or "", one.entry.payload_sha256 or ""


def _next_version(one: Decided, head: Head | None) -> Planned | None:
    """The version that a cleaned capture makes, or None where the document's text stays as it is."""
    if head is None:
        return Planned(one, 1, None, "new")
    if head.status != "gone" and head.candidate.text_sha256 == one.text_sha256:
        return None
    if one.entry.captured and head.captured and one.entry.captured < head.captured:
        return None
    change: Change = "chrome" if one.stored else "pipeline" if one.known else "source"
    return Planned(one, head.seq + 1, head.version_id, change)


def _head(version: Planned) -> Head:
    one = version.decided
    candidate = Candidate(
        version.doc_id, one.text_sha256, one.words, one.entry.captured, one.canonical, one.signature
    )
    return Head(version.seq, version.version_id, "live", None, one.entry.captured, candidate, version)


# ---- duplicates


def _duplicates(run: Run, heads: Mapping[str, Head]) -> dict[str, Duplicate]:
    """The documents that are copies of others, by document, over the whole corpus."""
    candidates = [head.candidate for _, head in sorted(heads.items()) if head.status != "gone"]

    @cache
    def stored() -> dict[str, str]:
        table = corpus.latest(run.root, columns=["doc_id", "text"])
        return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))

    def text_of(document: str) -> str:
        planned = heads[document].planned
        return _document(run, planned.decided).clean if planned else stored()[document]

    found = find_duplicates(candidates, text_of, run.policy.duplicates)
    return {one.doc_id: one for one in found}


def _moved(doc: str, head: Head, duplicates: Mapping[str, Duplicate]) -> bool:
    """Whether a stored document's status or keeper is another than before."""
    keeper = duplicates[doc].keeper if doc in duplicates else None
    return head.status != "gone" and head.duplicate_of != keeper


def _with_outcome(
    entry: LedgerEntry,
    heads: Mapping[str, Head],
    duplicates: Mapping[str, Duplicate],
    notes: Mapping[tuple[str, str | None], str],
) -> LedgerEntry:
    """The entry with the outcome that the whole corpus gives it."""
    if entry.outcome == "rejected":
        return entry
    document = doc_id(entry.key)
    head = heads.get(document)
    outcome: Outcome = "duplicate" if document in duplicates else entry.outcome
    message = duplicates[document].reason if document in duplicates else notes.get((entry.input, entry.member))
    return replace(
        entry,
        outcome=outcome,
        message=message,
        version_id=entry.version_id or (head.version_id if head else None),
    )


# ---- the commit


def _new_to_the_ledger(run: Run, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The entries to keep: what needed work, and refusals that the ledger does not have yet."""
    names = ["input", "member", "kind", "payload_sha256", "fingerprint"]
    table = corpus.captures(run.root, columns=names)
    known = set(zip(*(table[name].to_pylist() for name in names), strict=True))
    return [
        entry
        for entry in entries
        if (entry.archive is not None and entry.outcome != "rejected")
        or (
            entry.outcome == "rejected"
            and (entry.input, entry.member, entry.kind, entry.payload_sha256, entry.fingerprint) not in known
        )
    ]


def _commit(
    run: Run,
    planned: Sequence[Planned],
    moved: Sequence[str],
    heads: Mapping[str, Head],
    duplicates: Mapping[str, Duplicate],
    entries: Sequence[LedgerEntry],
) -> None:
    versions = _versions(run, planned, moved, heads, duplicates)
    releases.commit(
        run.root,
        run.release,
        rows.document_batches(versions),
        rows.capture_batches(sorted(entries, key=lambda e: (e.input, e.member or "", e.key))),
        run=run.name,
        fingerprint=fingerprint(run.parts),
        parts=run.parts,
    )


def _versions(
    run: Run,
    planned: Sequence[Planned],
    moved: Sequence[str],
    heads: Mapping[str, Head],
    duplicates: Mapping[str, Duplicate],
) -> Iterator[Version]:
    """The rows to write: first what the run cleaned, then what only changed its status."""
    for one in planned:
        last = heads[one.doc_id].planned is one
        yield _pointed(_version(run, one), duplicates.get(one.doc_id) if last else None)
    for batch in corpus.latest_batches(run.root, documents=moved) if moved else ():
        for version in rows.table_to_versions(batch):
            version = replace(version, seq=version.seq + 1, release=run.release, change="duplicate")
            yield _pointed(version, duplicates.get(version.doc_id))


def _version(run: Run, one: Planned) -> Version:
    decided = one.decided
    parts = run.parts | {"chrome": decided.chrome}
    return Version(
        document=_document(run, decided),
        seq=one.seq,
        release=run.release,
        change=one.change,
        parent=one.parent,
        fingerprint=fingerprint(parts),
        parts=parts,
        captured=decided.entry.captured,
        archive=decided.entry.archive,
        signature=decided.signature,
    )


def _pointed(version: Version, duplicate: Duplicate | None) -> Version:
    """The version with its pointer to the copy that stands for it, or without one."""
    status: Status = "duplicate" if duplicate else "live"
    if duplicate is None:
        return replace(version, status=status, duplicate_of=None, match={})
    match = {
        "rule": duplicate.rule, "jaccard": duplicate.jaccard, "containment": duplicate.containment,
        "reason": duplicate.reason, **duplicate.evidence,
    }  # fmt: skip
    return replace(version, status=status, duplicate_of=duplicate.keeper, match=match)


def _document(run: Run, decided: Decided) -> Document:
    document: Document = read_at(run.spool("decided", decided.shard), decided.offset)
    return document


# ---- the summary


def _summary(
    run: Run,
    release: int | None,
    entries: Sequence[LedgerEntry],
    decided: Sequence[Decided],
    planned: Sequence[Planned],
    learned: Mapping[str, SiteChrome],
) -> Summary:
    manifest = releases.current(run.root)
    counts = Counter(entry.outcome for entry in entries)
    rejected = [entry for entry in entries if entry.outcome == "rejected"]
    cut: Counter[str] = Counter()
    for one in decided:
        cut.update(dict(one.cut))
    return Summary(
        run=run.name,
        release=release,
        inputs=len({entry.input for entry in entries}),
        captures=len(entries),
        counts={name: counts[name] for name in ("new", "unchanged", "duplicate", "rejected")},
        rejected=dict(Counter(entry.kind or "" for entry in rejected)),
        recleaned=sum(one.decided.stored > 0 for one in planned),
        cut=dict(cut),
        kept=sum(one.kept for one in decided),
        chrome={site: len(chrome.entries) for site, chrome in learned.items() if chrome.entries},
        content_root=manifest.content_root if manifest else "",
        live=manifest.live if manifest else 0,
        seconds=round(time.time() - run.started, 3),
        rejections=tuple(rejected),
    )
