"""From documents as read to documents with cuts, under the policy and each site's chrome.

Stored documents whose site's chrome has changed get their cuts again, from the table.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial

from cleancopy.clean import apply_stages
from cleancopy.document import Document, doc_id
from cleancopy.errors import Rejection
from cleancopy.extract.isolation import result_or_rejection
from cleancopy.ingest.entries import as_rejected, entry_of_stored
from cleancopy.ingest.learn import stored_versions
from cleancopy.ingest.read import finished_entries
from cleancopy.ingest.run import CleanedEntry, Run
from cleancopy.minhash import sign
from cleancopy.stages.chrome.cut import TOO_MUCH, SiteChrome
from cleancopy.stages.duplicates import signing
from cleancopy.store import decisions, rows, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import FROM_ARCHIVE, LedgerEntry, Version
from cleancopy.store.spool import Spool, read_spool
from cleancopy.version import is_current
from cleancopy.words import count_words

#: A document to clean: its entry, the document as read, and the seq of its stored version, 0 for a new one.
Pending = tuple[LedgerEntry, Document, int]
#: How many documents are signed at once.
SIGN_AT_ONCE = 256


def clean_shard(run: Run, number: int) -> Counter[str]:
    """Cut what a shard has read, under the policy and each site's chrome; counts by what became of it.

    Documents are left in the run's spool file ``decided``, their entries in ``entries``.
    """
    with Spool(run.spool("decided", number)) as spool, Spool(run.spool("entries", number)) as index:
        index.append(finished_entries(run, number))
        return _clean_all(run, number, _fresh(run, number), spool, index)


def reclean(run: Run, shards: int) -> Counter[str]:
    """Clean the stored documents again whose site's chrome has changed; no page is read again.

    So are documents of whose cuts people have said since that others are to stay. A document that would be
    empty under the new chrome stays as it is; one that another pipeline read waits until its input is read
    again.
    """
    with Spool(run.spool("decided", shards)) as spool, Spool(run.spool("entries", shards)) as index:
        index.append([])
        return _clean_all(run, shards, _affected(run, shards), spool, index)


def is_version_current(run: Run, version: Version) -> bool:
    """Whether the pipeline of now made a version; its chrome, and what people decided, are looked at apart."""
    return is_current(version.parts, run.parts)


# ---- what is to be cleaned


def _fresh(run: Run, number: int) -> Iterator[Pending]:
    """The documents that a shard has read."""
    heads = cache(partial(tables.heads, run.root))  # only looked up where there is one from the archive
    for entry, document in read_spool(run.spool("read", number)):
        stored = heads()[doc_id(entry.key)] if entry.source == FROM_ARCHIVE else None
        if stored is None or stored.version_id == entry.version_id:  # else another run was faster
            yield entry, pickle.loads(document), stored.seq if stored else 0


def _affected(run: Run, shards: int) -> Iterator[Pending]:
    """The stored documents to clean again, but for those that the run itself has cleaned."""
    taken = {
        item.entry.key
        for number in range(shards)
        for item in read_spool(run.spool("entries", number))
        if isinstance(item, CleanedEntry)
    }
    for site, chrome in sorted(run.snapshot.learned_chromes.items()):
        if _last_applied(run.root, site) != chrome.digest:
            for version in stored_versions(run.root, site):
                if is_version_current(run, version) and version.document.key not in taken:
                    taken.add(version.document.key)
                    yield entry_of_stored(run, version), version.document, version.seq
    for version in _restored_otherwise(run):
        if is_version_current(run, version) and version.document.key not in taken:
            yield entry_of_stored(run, version), version.document, version.seq


def _restored_otherwise(run: Run) -> Iterator[Version]:
    """The stored documents that have other cuts than people's decisions, undone or cut short, let them."""
    documents = {
        decision.target
        for decision in decisions.read_all(run.root)
        if decision.kind == "restore" and decision.text
    }
    for batch in tables.latest_batches(run.root, documents=documents) if documents else ():
        for version in rows.table_to_versions(batch):
            if version.status != "gone" and not run.snapshot.decisions.are_applied(version):
                yield version


def _last_applied(root: StorePath, site: str) -> str:
    """The digest of the chrome that the site's latest versions were cut by; a killed run's does not count."""
    versions = tables.latest(root, columns=["release", "parts"], site=site).to_pylist()
    latest = max(versions, key=lambda row: row["release"], default=None)
    return str(json.loads(latest["parts"]).get("chrome", "")) if latest else ""


# ---- cleaning


def _clean_all(run: Run, shard: int, pending: Iterable[Pending], spool: Spool, index: Spool) -> Counter[str]:
    """Clean documents and leave them in the spool files; counts of those decided and rejected."""
    counts: Counter[str] = Counter()
    batch: list[Pending] = []
    for entry, document, stored in pending:
        clean = partial(_clean, run=run, chrome=_chrome(run, document.site or "", stored))
        result = result_or_rejection(clean, document)
        if isinstance(result, Rejection):
            counts["rejected"] += 1
            if not stored:
                index.append(as_rejected(entry, result.kind, result.message))
            continue
        counts["decided"] += 1
        batch.append((entry, result, stored))
        if len(batch) == SIGN_AT_ONCE:
            _leave(run, shard, batch, spool, index)
            batch = []
    _leave(run, shard, batch, spool, index)
    return counts


def _clean(document: Document, run: Run, chrome: SiteChrome | None) -> Document:
    """The document with its cuts, but for those that people want to stay."""
    return run.snapshot.decisions.with_restored_cuts(apply_stages(document, run.policy, chrome))


def _chrome(run: Run, site: str, stored: int) -> SiteChrome | None:
    """The chrome of a site: as the run has learned it, else as a stored document of it was cut by."""
    learned = run.snapshot.learned_chromes.get(site)
    return learned or (run.snapshot.stored_chrome(site) if site and stored else None)


def _leave(run: Run, shard: int, batch: Sequence[Pending], spool: Spool, index: Spool) -> None:
    """Sign cleaned documents and leave them for the publishing step."""
    texts = [document.clean for _, document, _ in batch]
    signatures = sign(texts, signing(run.policy.duplicates))
    for (entry, document, stored), text, signature in zip(batch, texts, signatures, strict=True):
        chrome = _chrome(run, document.site or "", stored)
        cut: Counter[str] = Counter()
        for each in document.cuts:
            cut[each.stage] += each.end - each.start
        cleaned = CleanedEntry(
            entry=entry,
            text_sha256=rows.sha256(text),
            words=count_words(text),
            canonical=document.url is not None and document.metadata.canonical_url == document.url,
            signature=signature.tobytes(),
            chrome=chrome.digest if chrome else "",
            shard=shard,
            offset=spool.append(document),
            cleaned_before=(not stored or entry.source == FROM_ARCHIVE) and _was_cleaned_otherwise(run, entry),
            cut=tuple(sorted(cut.items())),
            kept=len(text),
            stored=stored,
            has_spans=bool(document.spans),
            chrome_stopped=any(note.startswith(TOO_MUCH) for note in document.notes),
        )
        index.append(cleaned)


def _was_cleaned_otherwise(run: Run, entry: LedgerEntry) -> bool:
    """Whether the payload was cleaned before, by another pipeline; what waits to become a version was not."""
    before = run.snapshot.ledger.payloads.get((entry.key, entry.payload_sha256 or ""))
    if entry.source == FROM_ARCHIVE:
        return before is None or before.fingerprint != ""
    return before is not None and before.fingerprint not in ("", entry.fingerprint)
