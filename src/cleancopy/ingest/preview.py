"""What a run would find, and what it would change; nothing is published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cleancopy.document import doc_id
from cleancopy.ingest.discover import local_inputs
from cleancopy.ingest.entries import entry_of
from cleancopy.ingest.plan import gather, plan_versions, read_cleaned, read_heads
from cleancopy.ingest.read import captures_of, is_still_valid
from cleancopy.ingest.run import Run
from cleancopy.sources.files import RejectedInput
from cleancopy.store import decisions, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import Change
from cleancopy.version import has_spans


def count_inputs(run: Run) -> dict[str, int]:
    """What an ingest would find, by what it would do with it; nothing is fetched, archived or written.

    ``new`` and ``known`` count the captures in files, ``refused`` what is none, ``fetched`` the addresses that
    would be asked first.
    """
    payloads, last = run.snapshot.ledger
    counts: Counter[str] = Counter()
    counts["fetched"] = sum(len(source.urls) for source in run.sources if not source.is_local)
    for item in local_inputs(run):
        for capture in [item] if isinstance(item, RejectedInput) else captures_of(item, run.policy.limits):
            if isinstance(capture, RejectedInput):
                counts["refused"] += capture.lost
                continue
            entry = entry_of(run, item, capture)
            before = payloads.get((capture.key, capture.sha256))
            same = last.get((entry.input, entry.member, entry.key)) == capture.sha256
            counts["known" if before and is_still_valid(before, run.fingerprint, same) else "new"] += 1
    return {name: count for name, count in sorted(counts.items()) if count}


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored document that a run changes: what it is, why, and both clean texts.

    They are equal where only links, lists, tables and the like are to be kept beside a text of before.
    """

    doc_id: str
    key: str
    site: str | None
    change: Change
    before: str
    after: str


def differences(run: Run, shards: int) -> Iterator[Difference]:
    """The stored documents that ``publish`` would change, by site and key; nothing is published."""
    gathered = gather(run, shards)
    heads, people = read_heads(run.root), decisions.read_decisions(run.root)
    versions, _ = plan_versions(gathered.cleaned, heads, gathered.entries, people)
    ids = {version.doc_id for version in versions}
    before: dict[str, str] = {}
    for batch in tables.latest_batches(run.root, columns=["doc_id", "text"], documents=ids) if ids else ():
        before |= zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True)
    for version in sorted(versions, key=lambda v: (v.cleaned.entry.site or "", v.cleaned.entry.key)):
        document = doc_id(version.cleaned.entry.key)
        if document in before:
            entry, after = version.cleaned.entry, read_cleaned(run, version.cleaned).clean
            yield Difference(document, entry.key, entry.site, version.change, before[document], after)


def without_spans(root: StorePath) -> Iterator[tuple[str, str]]:
    """The pages that stay without links, tables and lists beside their text: each key, and why in words.

    They were read before these were kept, and cannot be read again: a text is pinned, or its capture purged.
    """
    people, purged = decisions.read_decisions(root), decisions.purged(root)
    archived = tables.archived(root, without=purged)
    columns = ["doc_id", "key", "media_type", "status", "parts", "archive", "payload_sha256"]
    for row in tables.latest(root, columns=columns).sort_by("key").to_pylist():
        if row["status"] == "gone" or row["media_type"] != "text/html" or has_spans(json.loads(row["parts"])):
            continue
        if people.pinned(row["doc_id"]):
            yield row["key"], "its text is pinned"
        elif row["payload_sha256"] not in archived:
            yield row["key"], "its capture was purged" if row["archive"] else "its capture was not archived"
