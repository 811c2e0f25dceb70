"""The last step of an ingest: versions, duplicates, one commit, and then what people read.

What a run has cleaned becomes versions only where a document's text or status changed. Duplicates are
decided over the whole corpus, so that any order of ingests comes to the same pointers.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from statistics import median

import numpy as np

from cleancopy.corpus import views
from cleancopy.document import Document, doc_id, version_id
from cleancopy.errors import RejectReason
from cleancopy.ingest.run import Alarm, CleanedEntry, InputNote, Run, Summary, Withdrawn
from cleancopy.minhash import sign
from cleancopy.stages.chrome.cut import SiteChrome
from cleancopy.stages.duplicates import BUCKET, Candidate, Duplicate, DuplicateSet, find_duplicates, signing
from cleancopy.store import chrome_profiles, decisions, dedup_index, releases, rows, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import FROM_ARCHIVE, Change, LedgerEntry, Outcome, Status, Version
from cleancopy.store.spool import Spool, read_at, read_spool
from cleancopy.store.workdir import active_runs
from cleancopy.version import fingerprint

#: Seconds that a run waits for others to publish before it gives up; its work stays for the next one.
PATIENCE = 3_600.0
#: Where the numbers of shards begin that hold documents decided anew at the very end.
LATE = 50_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A version that the run will write, and the cleaned document that it holds."""

    decided: CleanedEntry
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
    payload: str | None = None
    planned: Planned | None = None


def publish(run: Run, shards: int) -> Summary:
    """Commit what the run has decided, write the release, refresh what people read; the run's summary.

    ``shards`` counts the shards of ``clean_shard`` and ``reclean`` together. Runs of other sources that
    publish at the same time are waited for; what they published is taken into account.
    """

    def decided() -> Summary:
        with releases.writing(run.root, PATIENCE, keep=partial(active_runs, run.root)) as release:
            return _publish(replace(run, release=release), shards)

    return releases.again(decided)


def _publish(run: Run, shards: int) -> Summary:
    learned = learned_chromes(run)
    decided, entries, notes, withdrawn = _gather(run, shards)
    heads = _heads(run)
    made = decisions.read(run.root)
    decided = [_spared(run, number, one, made) for number, one in enumerate(decided)]
    planned, again = _plan(run, decided, heads, entries)
    gone = _withdraw(withdrawn, heads, entries, made)
    down = _taken_down_since(run, heads, made)
    gone += down
    decision = _decision(run, heads)
    duplicates = {one.doc_id: one for one in decision.duplicates if not made.stands_alone(one.doc_id)}
    notes = _overflows(entries, decision.missed) | notes
    entries = [_with_outcome(entry, heads, duplicates, notes) for entry in entries]
    fresh = _new_to_the_ledger(run, entries)
    fresh += [_with_outcome(entry, heads, duplicates, notes) for entry in again]
    moved = [doc for doc, head in heads.items() if head.planned is None and _moved(doc, head, duplicates)]
    moved += gone
    for chrome in learned.values():
        chrome_profiles.write(run.root, chrome)
    release = None
    # That a page which is down was refused again changes nothing: it waits for a release with other content.
    if planned or moved or any(entry.kind != RejectReason.TAKEN_DOWN for entry in fresh):
        _commit(run, planned, moved, heads, duplicates, fresh, down, made)
        release = run.release
    touched = {one.doc_id for one in planned} | set(moved)
    statuses = {doc: "duplicate" if doc in duplicates else "unchanged" for doc in moved if doc not in gone}
    views.refresh(run.root, run.release - 1, release, touched, entries, statuses)
    summary = _summary(run, release, entries, decided, planned, learned)
    return replace(summary, overflow=decision.overflow)


def learned_chromes(run: Run) -> dict[str, SiteChrome]:
    """What the run has learned, by site."""
    return {chrome.site: chrome for chrome in read_spool(run.spool("chrome", 0))}


def _gather(
    run: Run, shards: int
) -> tuple[list[CleanedEntry], list[LedgerEntry], dict[tuple[str, str | None], str], list[Withdrawn]]:
    """All that the shards decided, the entries of what did not come so far, notes on inputs, what is gone."""
    decided: list[CleanedEntry] = []
    entries: list[LedgerEntry] = []
    notes: dict[tuple[str, str | None], str] = {}
    withdrawn: list[Withdrawn] = []
    for number in range(shards):
        left = read_spool(run.spool("entries", number))
        for one in chain(next(left), left):  # first, as one, what needed no deciding
            if isinstance(one, CleanedEntry):
                decided.append(one._replace(entry=_in_release(one.entry, run.release)))
            elif isinstance(one, InputNote):
                notes[one.input, one.member] = one.message
            elif isinstance(one, Withdrawn):
                withdrawn.append(replace(one, entry=_in_release(one.entry, run.release)))
            else:
                entries.append(_in_release(one, run.release))
    return decided, entries, notes, withdrawn


def _in_release(entry: LedgerEntry, release: int) -> LedgerEntry:
    return entry if entry.release == release else entry._replace(release=release)


# ---- versions


def _heads(run: Run) -> dict[str, Head]:
    """The latest stored version of every document, with when it was last captured."""
    columns = [
        "doc_id", "seq", "version_id", "status", "duplicate_of", "captured", "text_sha256", "words", "url",
        "canonical_url", "payload_sha256",
    ]  # fmt: skip
    heads = {}
    for batch in tables.latest_batches(run.root, columns=columns):
        for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            doc, seq, version, status, keeper, captured, digest, words, url, declared, payload = row
            candidate = Candidate(doc, digest, words, captured, bool(url) and url == declared)
            heads[doc] = Head(seq, version, status, keeper, captured, candidate, payload)
    return _last_captured(run.root, heads)


def _last_captured(root: StorePath, heads: dict[str, Head]) -> dict[str, Head]:
    """The heads with the time of the latest capture that the ledger has, which may only have confirmed them."""
    for doc, captured in tables.last_captured(root).items():
        head = heads.get(doc)
        if head and captured > (head.captured or ""):
            heads[doc] = replace(head, captured=captured)
    return heads


def _plan(
    run: Run, decided: Iterable[CleanedEntry], heads: dict[str, Head], entries: list[LedgerEntry]
) -> tuple[list[Planned], list[LedgerEntry]]:
    """The versions to write, in the order of time; heads and entries are brought up to date.

    What people decided holds: a pinned text stays, and what was taken down while the run read it is rejected.
    The entry of a capture whose text can be no version yet has no fingerprint, so that it is read again when
    it can. With them the entries of captures that were read again from the archive: the ledger takes them, so
    that they are known under the new pipeline, but no input was seen.
    """
    planned = []
    again = []
    made = decisions.read(run.root)
    for one in sorted(decided, key=_in_time):
        entry = one.entry
        document = doc_id(entry.key)
        head = heads.get(document)
        if refusal := made.rejection(entry):
            if not one.stored:
                entries.append(_taken_down(entry, refusal))
            continue
        version = None if head and made.pinned(document) else _next_version(one, head)
        if version is not None:
            planned.append(version)
            heads[version.doc_id] = _head(version)
            entry = entry._replace(version_id=version.version_id)
        elif head is not None:
            entry = entry._replace(outcome="unchanged", version_id=head.version_id)
            if one.text_sha256 != head.candidate.text_sha256:
                entry = entry._replace(fingerprint="")  # not known yet: it waits to become a version
            latest = max(filter(None, (head.captured, entry.captured)), default=None)
            heads[doc_id(entry.key)] = replace(head, captured=latest)
        if not one.stored:
            entries.append(entry)
        elif entry.source == FROM_ARCHIVE:
            again.append(entry)
    return planned, again


def _taken_down(entry: LedgerEntry, refusal: str) -> LedgerEntry:
    return entry._replace(
        outcome="rejected", kind=str(RejectReason.TAKEN_DOWN), message=f"{entry.input}: {refusal}"
    )


def _in_time(one: CleanedEntry) -> tuple[str, str, str]:
    return doc_id(one.entry.key), one.entry.captured or "", one.entry.payload_sha256 or ""


def _next_version(one: CleanedEntry, head: Head | None) -> Planned | None:
    """The version that a cleaned capture makes, or None where the document's text stays as it is."""
    if head is None:
        return Planned(one, 1, None, "new")
    if head.status != "gone" and head.candidate.text_sha256 == one.text_sha256:
        return None
    if not one.stored and one.entry.captured and head.captured and one.entry.captured < head.captured:
        return None
    if one.stored and one.stored != head.seq:  # another run has published a newer one meanwhile
        return None
    same = head.status != "gone" and head.payload == one.entry.payload_sha256
    kept = one.stored > 0 and one.entry.source != FROM_ARCHIVE
    change: Change = "chrome" if kept else "pipeline" if one.known or same else "source"
    return Planned(one, head.seq + 1, head.version_id, change)


def _head(version: Planned) -> Head:
    one = version.decided
    candidate = Candidate(version.doc_id, one.text_sha256, one.words, one.entry.captured, one.canonical)
    entry = one.entry
    return Head(
        version.seq, version.version_id, "live", None, entry.captured, candidate, entry.payload_sha256, version
    )


def _spared(run: Run, number: int, one: CleanedEntry, made: decisions.Decisions) -> CleanedEntry:
    """What a shard decided, with the cuts that people said meanwhile are to stay."""
    if not made.has_restored_cuts(doc_id(one.entry.key)):
        return one
    before = _document(run, one)
    after = made.with_restored_cuts(before)
    if after is before:
        return one
    shard = LATE + number
    with Spool(run.spool("decided", shard)) as spool:
        offset = spool.append(after)
    signature = sign([after.clean], signing(run.policy.duplicates))[0].tobytes()
    return one._replace(
        text_sha256=rows.sha256(after.clean),
        words=len(after.clean.split()),
        signature=signature,
        shard=shard,
        offset=offset,
        kept=len(after.clean),
    )


def _taken_down_since(run: Run, heads: dict[str, Head], made: decisions.Decisions) -> list[str]:
    """The stored documents that a takedown means and that are still there: newer ones, or it was cut short.

    One that is gone is there, too, where its latest version has a text.
    """
    found = []
    for document in sorted(decisions.taken_down(run.root, made)):
        head = heads[document]
        if head.planned is None and (head.status != "gone" or head.candidate.text_sha256 != rows.sha256("")):
            heads[document] = replace(head, status="gone")
            found.append(document)
    return found


def _withdraw(
    withdrawn: Iterable[Withdrawn],
    heads: dict[str, Head],
    entries: list[LedgerEntry],
    made: decisions.Decisions,
) -> list[str]:
    """The documents that are gone from now on; their heads say so, and each address leaves its entry.

    One that the run has just read under another address stays, as a pinned one does. The texts stay in the
    releases before.
    """
    gone = []
    for one in withdrawn:
        version = None
        for document in map(doc_id, one.keys):
            head = heads.get(document)
            if head and head.planned is None and head.status != "gone" and not made.pinned(document):
                heads[document] = replace(head, status="gone")
                gone.append(document)
                version = head.version_id
        entries.append(one.entry._replace(version_id=version))
    return gone


# ---- duplicates


def _decision(run: Run, heads: Mapping[str, Head]) -> DuplicateSet:
    """Which documents are copies of others, over the whole corpus; what was found out goes into the index."""
    live = [head.candidate for _, head in sorted(heads.items()) if head.status != "gone"]
    known = _indexed(run, live, heads)
    texts = partial(_texts, run, heads)
    decision = find_duplicates(live, texts, run.policy.duplicates, partial(dedup_index.propose, known))
    dedup_index.commit(known, decision.measured)
    return decision


def _indexed(run: Run, live: Iterable[Candidate], heads: Mapping[str, Head]) -> dedup_index.Index:
    """The index, with the texts that it lacks: those of the run, and stored ones where it is new."""
    known = dedup_index.load(run.root, signing(run.policy.duplicates))
    documents = {one.text_sha256: one.doc_id for one in live if one.words}
    lacking = [documents[digest] for digest in dedup_index.lacking(known, list(documents))]
    planned = [one.decided for doc in lacking if (one := heads[doc].planned)]
    signatures = np.frombuffer(b"".join(one.signature for one in planned), "<u4")
    signatures = signatures.reshape(len(planned), run.policy.duplicates.num_perm)
    known = dedup_index.add(known, [one.text_sha256 for one in planned], signatures)
    return dedup_index.catch_up(known, run.root, [doc for doc in lacking if not heads[doc].planned])


def _texts(run: Run, heads: Mapping[str, Head], documents: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The clean texts of documents by id: those that the run will write, then stored ones."""
    stored = [document for document in documents if heads[document].planned is None]
    for document in documents:
        if planned := heads[document].planned:
            yield document, _document(run, planned.decided).clean
    for batch in (
        tables.latest_batches(run.root, columns=["doc_id", "text"], documents=stored) if stored else ()
    ):
        yield from zip(batch.column("doc_id").to_pylist(), batch.column("text").to_pylist(), strict=True)


def _overflows(entries: Iterable[LedgerEntry], missed: Mapping[str, int]) -> dict[tuple[str, str | None], str]:
    """A note on each input whose document is like so many others that not all pairs were looked at."""
    found = ((entry, missed.get(doc_id(entry.key), 0)) for entry in entries if missed)
    return {
        (entry.input, entry.member): f"{count} comparisons with documents like it were left out: "
        f"more than {BUCKET} share a band of its signature, and it was compared with the first of them"
        for entry, count in found
        if count
    }


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
    version = entry.version_id or (head.version_id if head else None)
    if (outcome, message, version) == (entry.outcome, entry.message, entry.version_id):
        return entry
    return entry._replace(outcome=outcome, message=message, version_id=version)


# ---- the commit


def _new_to_the_ledger(run: Run, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries to keep: what needed work, and refusals that the ledger does not have yet."""
    columns = ["input", "member", "kind", "payload_sha256", "fingerprint"]
    refused = any(entry.outcome == "rejected" for entry in entries)
    table = tables.captures(run.root, columns=columns) if refused else None
    known = (
        set(zip(*(table[name].to_pylist() for name in columns), strict=True)) if table is not None else set()
    )
    return [
        entry
        for entry in entries
        if (entry.archive is not None and entry.outcome != "rejected")
        or (entry.outcome == "rejected" and entry.version_id is not None)
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
    down: Collection[str],
    made: decisions.Decisions,
) -> None:
    versions = _versions(run, planned, moved, heads, duplicates, down, made)
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
    down: Collection[str],
    made: decisions.Decisions,
) -> Iterator[Version]:
    """The rows to write: first what the run cleaned, then what only changed its status."""
    for one in planned:
        last = heads[one.doc_id].planned is one
        yield _pointed(_version(run, one, made), duplicates.get(one.doc_id) if last else None)
    for batch in tables.latest_batches(run.root, documents=moved) if moved else ():
        for version in rows.table_to_versions(batch):
            version = replace(
                version, seq=version.seq + 1, release=run.release, change="duplicate", restored_from=None
            )
            if version.doc_id in down:
                yield replace(rows.taken_down(version), change="takedown", parent=version.version_id)
            elif heads[version.doc_id].status == "gone":
                yield replace(rows.gone(version), change="source")
            else:
                yield _pointed(version, duplicates.get(version.doc_id))


def _version(run: Run, one: Planned, made: decisions.Decisions) -> Version:
    decided = one.decided
    parts = made.with_restored_part(run.parts | {"chrome": decided.chrome}, one.doc_id)
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
    if duplicate is None and version.status == status and version.duplicate_of is None and not version.match:
        return version
    if duplicate is None:
        return replace(version, status=status, duplicate_of=None, match={})
    match = {
        "rule": duplicate.rule, "jaccard": duplicate.jaccard, "containment": duplicate.containment,
        "reason": duplicate.reason, **duplicate.evidence,
    }  # fmt: skip
    return replace(version, status=status, duplicate_of=duplicate.keeper, match=match)


def _document(run: Run, decided: CleanedEntry) -> Document:
    document: Document = read_at(run.spool("decided", decided.shard), decided.offset)
    return document


# ---- the summary


def _summary(
    run: Run,
    release: int | None,
    entries: Sequence[LedgerEntry],
    decided: Sequence[CleanedEntry],
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
        rejections=tuple(sorted(rejected, key=lambda entry: (entry.input, entry.member or ""))),
        alarms=tuple(alarms(decided, earlier_shares(run))),
        sources=_by_source(entries),
        sites=_by_site(decided),
    )


def _by_source(entries: Iterable[LedgerEntry]) -> dict[str, dict[str, int]]:
    """For each source its inputs, its captures, and these by outcome."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    inputs: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        inputs[entry.source].add(entry.input)
        counts[entry.source]["captures"] += 1
        counts[entry.source][entry.outcome] += 1
    columns = ("captures", "new", "unchanged", "duplicate", "rejected")
    return {
        source: {"inputs": len(inputs[source])} | {name: counts[source][name] for name in columns}
        for source in sorted(inputs)
    }


def _by_site(decided: Iterable[CleanedEntry]) -> dict[str, dict[str, int]]:
    """For each site the characters that were kept, and those that each stage cut."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in decided:
        counts[one.entry.site or ""].update({"kept": one.kept, **dict(one.cut)})
    return {site: dict(sorted(counts[site].items())) for site in sorted(counts)}


# ---- the share of chrome

#: Pages of a site that must have been stored before, and pages of this run, for an alarm.
_PAGES_BEFORE, _PAGES_NOW = 10, 5
#: A change of the median share is sudden from here on: in the share itself, and as a ratio.
_CHANGE, _RATIO = 0.15, 1.5
#: Of the pairs of a page before and one of now so many must differ in the same direction.
_APART = 0.9


def earlier_shares(run: Run) -> dict[str, Sequence[float]]:
    """For each site that the run learned, the share of chrome of each page as it was stored before."""
    return dict(read_spool(run.spool("shares", 0)))


def alarms(decided: Iterable[CleanedEntry], before: Mapping[str, Sequence[float]]) -> Iterator[Alarm]:
    """The sites whose chrome takes suddenly more, or less, of a page than it took of the pages stored before.

    A redesign shows as less, a chrome that has begun to eat content as more. Medians and pairs, for one page
    that is nearly all menu says nothing of its site.
    """
    shares: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for one in decided:
        size = one.kept + sum(count for _, count in one.cut)
        shares[one.entry.site or "", one.stored > 0].append(dict(one.cut).get("chrome", 0) / max(1, size))
    for (site, again), now in sorted(shares.items()):
        earlier = before.get(site, ())
        if _is_sudden(earlier, now):
            yield _alarm(site, again, len(now), median(earlier), median(now))


def _is_sudden(before: Sequence[float], now: Sequence[float]) -> bool:
    if len(before) < _PAGES_BEFORE or len(now) < _PAGES_NOW:
        return False
    low, high = sorted([median(before), median(now)])
    if high - low < _CHANGE or high < _RATIO * low:
        return False
    ordered = sorted(before)
    below = sum(bisect_left(ordered, share) for share in now) / (len(before) * len(now))
    above = sum(len(ordered) - bisect_right(ordered, share) for share in now) / (len(before) * len(now))
    return max(below, above) >= _APART


def _alarm(site: str, again: bool, pages: int, before: float, now: float) -> Alarm:
    what = "stored pages, cleaned again" if again else "new pages"
    cause = (
        "look at what goes (cleancopy chrome show), and drop what is content"
        if now > before
        else "the site may have a new design, which is learned as more of its pages come"
    )
    message = f"{site}: chrome is {now:.0%} of {pages} {what}, and was {before:.0%}; {cause}"
    return Alarm(site, pages, round(before, 4), round(now, 4), again, message)


# ---- what would change


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored document whose clean text a run changes: what it is, why, and both texts."""

    doc_id: str
    key: str
    site: str | None
    change: Change
    before: str
    after: str


def differences(run: Run, shards: int) -> Iterator[Difference]:
    """The stored documents whose text ``publish`` would change, by site and key; nothing is published."""
    decided, entries, _, _ = _gather(run, shards)
    planned, _ = _plan(run, decided, _heads(run), entries)
    ids = {one.doc_id for one in planned}
    before: dict[str, str] = {}
    for batch in tables.latest_batches(run.root, columns=["doc_id", "text"], documents=ids) if ids else ():
        before |= zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True)
    for one in sorted(planned, key=lambda p: (p.decided.entry.site or "", p.decided.entry.key)):
        if one.doc_id in before:
            entry, after = one.decided.entry, _document(run, one.decided).clean
            yield Difference(one.doc_id, entry.key, entry.site, one.change, before[one.doc_id], after)
