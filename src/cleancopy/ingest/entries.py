"""The ledger's entry of an input, a capture or a stored document, as a run begins it."""

from __future__ import annotations

from cleancopy.document import Capture
from cleancopy.errors import RejectReason
from cleancopy.ingest.run import Run
from cleancopy.ingest.snapshot import SeenPayload
from cleancopy.sources.files import Input, RejectedInput
from cleancopy.store.rows import LedgerEntry, Version


def new_entry(run: Run, item: Input | RejectedInput, key: str, payload_sha256: str) -> LedgerEntry:
    """The entry of a payload that was found in an input."""
    return LedgerEntry(
        input=item.name,
        outcome="new",
        release=run.release,
        run=run.name,
        key=key,
        payload_sha256=payload_sha256,
        source=item.source.name if isinstance(item, Input) and item.source else run.source,
        fingerprint=run.fingerprint,
    )


def entry_of(run: Run, item: Input | RejectedInput, capture: Capture) -> LedgerEntry:
    """The entry of a capture that was found in an input; ``member`` says where in an archive it lies."""
    prefix = f"{item.name}@"
    member = f"offset {capture.source.removeprefix(prefix)}" if capture.source.startswith(prefix) else None
    entry = new_entry(run, item, capture.key, capture.sha256)
    return entry._replace(member=member, url=capture.url, site=capture.site, captured=capture.captured)


def entry_of_stored(run: Run, version: Version) -> LedgerEntry:
    """The entry of a stored document that is cleaned again; it has no input."""
    document = version.document
    return LedgerEntry(
        input="",
        outcome="unchanged",
        release=run.release,
        run=run.name,
        key=document.key,
        payload_sha256=document.payload_sha256,
        url=document.url,
        site=document.site,
        captured=version.captured,
        archive=version.archive,
        fingerprint=run.fingerprint,
    )


def as_known(entry: LedgerEntry, before: SeenPayload) -> LedgerEntry:
    """The entry of a payload that stays unread: it has the outcome that it had."""
    return entry._replace(outcome=before.outcome, kind=before.kind, message=before.message)


def as_rejected(entry: LedgerEntry, kind: RejectReason, message: str) -> LedgerEntry:
    """The entry of an input that was rejected, and why."""
    return entry._replace(outcome="rejected", kind=str(kind), message=message)
