"""From documents as read to documents with cuts: site chrome is learned, then each document decided on.

Stored documents that other chrome, policy or code cleaned are decided on again, from the table or the archive.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, partial

from cleancopy.clean import apply_stages
from cleancopy.document import Capture, Document, doc_id
from cleancopy.errors import PolicyError, Rejection
from cleancopy.extract.isolation import result_or_rejection
from cleancopy.ingest.publish import learned_chromes
from cleancopy.ingest.read import decisions_of, finished_entries, load_ledger, read_all, rejected_entry
from cleancopy.ingest.run import CleanedEntry, Run
from cleancopy.minhash import sign
from cleancopy.stages.chrome.cut import SiteChrome, learn_chrome
from cleancopy.stages.duplicates import signing
from cleancopy.store import archive, chrome_profiles, decisions, rows, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import FROM_ARCHIVE, LedgerEntry, Version
from cleancopy.store.spool import Spool, read_at, read_offsets, read_spool
from cleancopy.version import fingerprint, is_current


def learn(run: Run, shards: int, also: Iterable[str] = ()) -> dict[str, int]:
    """Learn the chrome of every site that the run read pages of; how many entries each has.

    Stored pages of these sites count too; one that the run read anew counts once, as it is now. Of the sites
    in ``also`` that it read no page of, the chrome stands as it is.
    """
    fresh: dict[str, list[tuple[int, int]]] = defaultdict(list)
    captured: dict[str, str] = {}
    for number in range(shards):
        for offset, (entry, _) in read_offsets(run.spool("read", number)):
            fresh[entry.site or ""].append((number, offset))
            captured[entry.key] = entry.captured or ""
    stored = _stored_sites(run.root)
    day = datetime.fromtimestamp(run.started, UTC).date().isoformat()
    learned = {site: chrome for site in also if (chrome := chrome_profiles.current(run.root, site))}
    shares: dict[str, list[float]] = {}
    for site, places in sorted(fresh.items()):
        before = chrome_profiles.current(run.root, site)
        if len(places) + stored[site] >= 2 or before:
            shares[site] = []
            pages = _pages(run, site, places, captured, shares[site] if stored[site] else None)
            learned[site] = learn_chrome(
                pages, site=site, policy=run.policy.chrome, previous=before, seen=day, captured=captured
            )
    with Spool(run.spool("chrome", 0)) as spool, Spool(run.spool("shares", 0)) as other:
        for chrome in learned.values():
            spool.append(chrome)
        for one in shares.items():
            other.append(one)
    return {site: len(chrome.entries) for site, chrome in learned.items()}


_learned = cache(learned_chromes)


def _pages(
    run: Run,
    site: str,
    places: Iterable[tuple[int, int]],
    captured: dict[str, str],
    shares: list[float] | None,
) -> Iterator[Document]:
    """The pages of a site: those that the run read, then the stored ones under other keys, if there are any.

    On the way ``captured`` takes up when each was captured, and ``shares`` how much of each stored page was
    cut as chrome. With None for ``shares`` there are no stored pages.
    """
    for number, offset in places:
        yield pickle.loads(read_at(run.spool("read", number), offset)[1])
    if shares is not None:
        for version in _stored(run.root, site):
            document = version.document
            shares.append(_chrome_share(document))
            if document.key not in captured:
                captured[document.key] = version.captured or ""
                yield document.undecided()


def _chrome_share(document: Document) -> float:
    cut = sum(cut.end - cut.start for cut in document.cuts if cut.stage == "chrome")
    return cut / max(1, len(document.text))


def _stored(root: StorePath, site: str) -> Iterator[Version]:
    """The latest versions of a site's documents that are not gone."""
    for batch in tables.latest_batches(root, site=site):
        for version in rows.table_to_versions(batch):
            if version.status != "gone":
                yield version


def _stored_sites(root: StorePath) -> Counter[str]:
    table = tables.latest(root, columns=["site"])
    return Counter(site or "" for site in table["site"].to_pylist())


# ---- what is stored, decided again


def reclean_sites(run: Run, sites: Iterable[str] = ()) -> int:
    """Decide anew on stored documents that another policy, code or chrome cleaned; how many shards this left.

    Nothing is fetched: what only another chrome cut is decided again as it was read; what another pipeline
    read is read again from the archive, and its site learned anew. ``sites`` chooses; all sites without any.
    ``publish`` makes a release of the shards, ``differences`` shows what it would change. Raises PolicyError
    for a site that has no documents.
    """
    stored = _stored_sites(run.root)
    chosen = sorted(set(sites) or stored)
    for site in chosen:
        if site not in stored:
            raise PolicyError(f"{site}: no document of this site is stored; see cleancopy chrome list")
    with Spool(run.spool("read", 0)) as spool:
        read_all(run, _outdated(run, chosen), spool)  # what is rejected now stays as it is stored
    learn(run, 1, also=chosen)
    clean_shard(run, 0)
    reclean(run, 1)
    return 2


def _outdated(run: Run, sites: Iterable[str]) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The latest captures, from the archive, of the documents that another pipeline read, or were pinned."""
    latest, purged = _latest_captures(run.root), decisions.purged(run.root)
    good = tables.archived(run.root, without=purged)
    for site in sites:
        for version in _stored(run.root, site):
            own = (version.document.payload_sha256, version.archive, None, "itself")
            payload, where, when, made_by = latest.get(version.doc_id) or own
            waits = not made_by and not decisions_of(run).pinned(version.doc_id)
            if _is_current(run, version) and not waits:
                continue
            if where is not None and purged(where):
                where = good.get(payload)
            if where is not None:
                entry = _entry_again(run, version)._replace(
                    input=f"archive/{where.file}",
                    member=f"offset {where.offset}",
                    source=FROM_ARCHIVE,
                    version_id=version.version_id,
                    payload_sha256=payload,
                    archive=where,
                    captured=when or version.captured,
                )
                yield _from_archive(run.root, version, entry), entry


def _is_current(run: Run, version: Version) -> bool:
    """Whether the pipeline of now made a version; its chrome, and what people decided, are looked at apart."""
    return is_current(version.parts, run.parts)


def _latest_captures(root: StorePath) -> dict[str, tuple[str, archive.ArchiveRef | None, str | None, str]]:
    """The digest, place, time and pipeline of the last capture of each document that was no reject."""
    columns = ["doc_id", "payload_sha256", "archive", "captured", "outcome", "release", "fingerprint"]
    table = tables.captures(root, columns=columns).to_pylist()
    kept = [row for row in table if row["outcome"] != "rejected" and row["archive"]]
    return {
        row["doc_id"]: (
            row["payload_sha256"],
            archive.ArchiveRef(**row["archive"]),
            row["captured"],
            row["fingerprint"],
        )
        for row in sorted(kept, key=lambda r: (r["captured"] or "", r["release"]))
    }


def _from_archive(root: StorePath, version: Version, entry: LedgerEntry) -> Capture:
    """A stored document's capture as it was read first, as far as it is known."""
    assert entry.archive is not None
    document = version.document
    return Capture(
        payload=archive.read_capture(root, entry.archive, entry.payload_sha256),
        key=document.key,
        url=document.url,
        site=document.site,
        media_type=document.media_type,
        charset=document.decoding.declared if document.decoding else None,
        captured=entry.captured,
        language=document.metadata.language,
        licence=document.metadata.licence,
    )


# ---- deciding

#: A document to decide on: its entry, the document as read, and the seq of its stored version, 0 for a new one.
Pending = tuple[LedgerEntry, Document, int]
#: So many documents are signed at once.
SIGN_AT_ONCE = 256


def clean_shard(run: Run, number: int) -> Counter[str]:
    """Cut what a shard has read, under the policy and each site's chrome; counts by what became of it."""
    with Spool(run.spool("decided", number)) as spool, Spool(run.spool("entries", number)) as index:
        index.append(finished_entries(run, number))
        return _decide_all(run, number, _fresh(run, number), spool, index)


def reclean(run: Run, shards: int) -> Counter[str]:
    """Decide anew on the stored documents of sites whose chrome has changed; no page is read again.

    So are documents of whose cuts people have said since that others are to stay. A document that would be
    empty under the new chrome stays as it is; one that another pipeline read waits until its input is read
    again.
    """
    with Spool(run.spool("decided", shards)) as spool, Spool(run.spool("entries", shards)) as index:
        index.append([])
        return _decide_all(run, shards, _affected(run, shards), spool, index)


def _fresh(run: Run, number: int) -> Iterator[Pending]:
    """The documents that a shard has read."""
    heads = cache(partial(tables.heads, run.root))
    for entry, document in read_spool(run.spool("read", number)):
        stored = heads()[doc_id(entry.key)] if entry.source == FROM_ARCHIVE else None
        if stored is None or stored.version_id == entry.version_id:  # else another run was faster
            yield entry, pickle.loads(document), stored.seq if stored else 0


def _affected(run: Run, shards: int) -> Iterator[Pending]:
    """The stored documents to decide on anew, but for those that the run read anew."""
    taken = {
        one.entry.key
        for number in range(shards)
        for one in read_spool(run.spool("entries", number))
        if isinstance(one, CleanedEntry)
    }
    for site, chrome in sorted(_learned(run).items()):
        if _last_applied(run.root, site) != chrome.digest:
            for version in _stored(run.root, site):
                if _is_current(run, version) and version.document.key not in taken:
                    taken.add(version.document.key)
                    yield _entry_again(run, version), version.document, version.seq
    for version in _decided_otherwise(run):
        if _is_current(run, version) and version.document.key not in taken:
            yield _entry_again(run, version), version.document, version.seq


def _decided_otherwise(run: Run) -> Iterator[Version]:
    """The stored documents that have other cuts than people's decisions, one undone or cut short, let them."""
    made = decisions_of(run)
    documents = {one.target for one in decisions.read_all(run.root) if one.kind == "restore" and one.text}
    for batch in tables.latest_batches(run.root, documents=documents) if documents else ():
        for version in rows.table_to_versions(batch):
            if version.status != "gone" and not made.are_applied(version):
                yield version


def _last_applied(root: StorePath, site: str) -> str:
    """The digest of the chrome that the site's latest versions were cut by; a killed run's does not count."""
    versions = tables.latest(root, columns=["release", "parts"], site=site).to_pylist()
    latest = max(versions, key=lambda row: row["release"], default=None)
    return str(json.loads(latest["parts"]).get("chrome", "")) if latest else ""


def _decide_all(run: Run, shard: int, pending: Iterable[Pending], spool: Spool, index: Spool) -> Counter[str]:
    counts: Counter[str] = Counter()
    batch: list[Pending] = []
    for entry, document, stored in pending:
        chrome = _chrome(run, document.site or "", stored)
        result = result_or_rejection(partial(_decided, run=run, chrome=chrome), document)
        if isinstance(result, Rejection):
            counts["rejected"] += 1
            if not stored:
                index.append(rejected_entry(entry, result.kind, result.message))
            continue
        counts["decided"] += 1
        batch.append((entry, result, stored))
        if len(batch) == SIGN_AT_ONCE:
            _keep(run, shard, batch, spool, index)
            batch = []
    _keep(run, shard, batch, spool, index)
    return counts


def _chrome(run: Run, site: str, stored: int) -> SiteChrome | None:
    """The chrome of a site: as the run has learned it, else as a stored document of it was cut by."""
    learned = _learned(run).get(site)
    return learned or (_current(run, site) if site and stored else None)


@cache
def _current(run: Run, site: str) -> SiteChrome | None:
    return chrome_profiles.current(run.root, site)


def _decided(document: Document, run: Run, chrome: SiteChrome | None) -> Document:
    """The document with its cuts, but for those that people want to stay."""
    return decisions_of(run).with_restored_cuts(apply_stages(document, run.policy, chrome))


def _keep(run: Run, shard: int, batch: Sequence[Pending], spool: Spool, index: Spool) -> None:
    """Sign decided documents and leave them for the publishing step."""
    texts = [document.clean for _, document, _ in batch]
    signatures = sign(texts, signing(run.policy.duplicates))
    for (entry, document, stored), text, signature in zip(batch, texts, signatures, strict=True):
        chrome = _chrome(run, document.site or "", stored)
        cut: Counter[str] = Counter()
        for one in document.cuts:
            cut[one.stage] += one.end - one.start
        decided = CleanedEntry(
            entry=entry,
            text_sha256=rows.sha256(text),
            words=len(text.split()),
            canonical=document.url is not None and document.metadata.canonical_url == document.url,
            signature=signature.tobytes(),
            chrome=chrome.digest if chrome else "",
            shard=shard,
            offset=spool.append(document),
            known=(not stored or entry.source == FROM_ARCHIVE) and _known_otherwise(run, entry),
            cut=tuple(sorted(cut.items())),
            kept=len(text),
            stored=stored,
        )
        index.append(decided)


def _known_otherwise(run: Run, entry: LedgerEntry) -> bool:
    """Whether the payload was cleaned before, by another pipeline; what waits to become a version was not."""
    before = load_ledger(run)[0].get((entry.key, entry.payload_sha256 or ""))
    if entry.source == FROM_ARCHIVE:
        return before is None or before.fingerprint != ""
    return before is not None and before.fingerprint not in ("", entry.fingerprint)


def _entry_again(run: Run, version: Version) -> LedgerEntry:
    return LedgerEntry(
        input="",
        outcome="unchanged",
        release=run.release,
        run=run.name,
        key=version.document.key,
        payload_sha256=version.document.payload_sha256,
        url=version.document.url,
        site=version.document.site,
        captured=version.captured,
        archive=version.archive,
        fingerprint=fingerprint(run.parts),
    )
