"""Stored documents that another policy, code or chrome cleaned, cleaned again; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cleancopy.document import Capture, Metadata
from cleancopy.errors import PolicyError
from cleancopy.ingest.clean_shard import clean_shard, is_version_current, reclean
from cleancopy.ingest.entries import entry_of_stored
from cleancopy.ingest.learn import count_stored, learn, stored_versions
from cleancopy.ingest.run import Run
from cleancopy.ingest.workers import read_all
from cleancopy.store import archive, decisions, tables
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import FROM_ARCHIVE, LedgerEntry, Version
from cleancopy.store.spool import Spool


def reclean_sites(run: Run, sites: Iterable[str] = ()) -> int:
    """Clean the stored documents again that another policy, code or chrome cleaned; how many shards this left.

    What only another chrome cut gets its cuts again as it was read; what another pipeline read is read again
    from the archive, and its site learned again. ``sites`` chooses; all sites without any. ``publish`` makes a
    release of the shards, ``differences`` shows what it would change. Raises PolicyError for a site that has no
    documents.
    """
    stored = count_stored(run.root)
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


class _LatestCapture(NamedTuple):
    """The last capture of a document that was not rejected; ``fingerprint`` is empty where it waits."""

    payload: str
    archive: ArchiveRef | None
    captured: str | None
    fingerprint: str


def _outdated(run: Run, sites: Iterable[str]) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The latest captures, from the archive, of the documents that another pipeline read, or were pinned."""
    captures, purged = _latest_captures(run.root), decisions.purged(run.root)
    unpurged = tables.archived(run.root, without=purged)
    for site in sites:
        for version in stored_versions(run.root, site):
            itself = _LatestCapture(version.document.payload_sha256, version.archive, None, "itself")
            latest = captures.get(version.doc_id, itself)
            waits = not latest.fingerprint and not run.snapshot.decisions.pinned(version.doc_id)
            if is_version_current(run, version) and not waits:
                continue
            where = latest.archive
            if where is not None and purged(where):
                where = unpurged.get(latest.payload)
            if where is not None:
                entry = entry_of_stored(run, version)._replace(
                    input=f"archive/{where.file}",
                    member=f"offset {where.offset}",
                    source=FROM_ARCHIVE,
                    version_id=version.version_id,
                    payload_sha256=latest.payload,
                    archive=where,
                    captured=latest.captured or version.captured,
                )
                yield _from_archive(run.root, version, entry, where), entry


def _latest_captures(root: StorePath) -> dict[str, _LatestCapture]:
    """The last capture of each document that was not rejected, by document."""
    columns = ["doc_id", "payload_sha256", "archive", "captured", "outcome", "release", "fingerprint"]
    table = tables.captures(root, columns=columns).to_pylist()
    kept = [row for row in table if row["outcome"] != "rejected" and row["archive"]]
    return {
        row["doc_id"]: _LatestCapture(
            row["payload_sha256"], ArchiveRef(**row["archive"]), row["captured"], row["fingerprint"]
        )
        for row in sorted(kept, key=lambda r: (r["captured"] or "", r["release"]))
    }


def _given_language(metadata: Metadata) -> str | None:
    """The language that a stored document's source or page declared, as far as its text did not overrule it.

    Rows written before languages were detected say only ``language``, which was declared then.
    """
    if metadata.language_confidence is None:
        return metadata.language
    return metadata.language if metadata.language == metadata.language_declared else None


def _from_archive(root: StorePath, version: Version, entry: LedgerEntry, where: ArchiveRef) -> Capture:
    """A stored document's capture as it was read first, as far as it is known."""
    document = version.document
    return Capture(
        payload=archive.read_capture(root, where, entry.payload_sha256),
        key=document.key,
        url=document.url,
        site=document.site,
        media_type=document.media_type,
        charset=document.decoding.declared if document.decoding else None,
        captured=entry.captured,
        language=_given_language(document.metadata),
        licence=document.metadata.licence,
    )
