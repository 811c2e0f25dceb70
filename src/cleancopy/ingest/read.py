"""From inputs to documents as read: each capture is archived and read, or known; each leaves one entry.

What is known already needs no reading: its payload was cleaned by the pipeline of today, and its input held the
same payload when last read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from cleancopy.document import Capture, doc_id
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.usage import Statement, from_json, is_reserved, of_page, to_json
from cleancopy.ingest.discover import NO_FACTS, AnyInput
from cleancopy.ingest.entries import as_known, as_rejected, entry_of, new_entry
from cleancopy.ingest.run import InputNote, Run, Withdrawn
from cleancopy.ingest.snapshot import SeenPayload
from cleancopy.ingest.workers import read_all
from cleancopy.policy import Limits
from cleancopy.sources.files import Input, RejectedInput, names_more_than_a_page, read_bytes, read_input
from cleancopy.sources.web.crawl import Listed, Missing, Page, of_source, open_page
from cleancopy.store import archive
from cleancopy.store.rows import LedgerEntry
from cleancopy.store.spool import Spool, read_spool
from cleancopy.warc.address import canonical_url

#: Rejections that another try may not repeat.
_WORTH_ANOTHER_TRY = frozenset(
    [
        RejectReason.TIMEOUT,
        RejectReason.MEMORY,
        RejectReason.CRASH,
        RejectReason.INTERNAL,
        RejectReason.UNREADABLE,
        RejectReason.TAKEN_DOWN,
    ]
)

#: What a shard leaves of an input that needs no cleaning.
Finished = LedgerEntry | InputNote | Withdrawn
#: A capture to read, and its entry.
ToRead = tuple[Capture, LedgerEntry]


def read_shard(
    run: Run, number: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Counter[str]:
    """Archive and read the captures of a shard that are not known yet; counts by what became of them.

    Every capture leaves exactly one entry: with its document in the spool ``read``, or, where it needs no
    cleaning, with its outcome among the ``finished_entries``.
    """
    if not run.spool("read", number).exists():  # else an interrupted run left it
        inputs: list[AnyInput] = next(read_spool(run.spool("inputs", number)))
        finished: list[Finished] = []
        with (
            Spool(run.spool("read", number)) as spool,
            archive.Archive(run.root, f"{run.name}-{number:04d}", partial(_archived, run)) as raw,
        ):
            finished += read_all(run, _to_read(run, inputs, raw, finished, progress), spool, raw)
            with Spool(run.spool("settled", number)) as other:  # as one, and there before ``read``
                other.append(finished)
    counts = Counter(
        _counted_as(entry) for entry in finished_entries(run, number) if not isinstance(entry, InputNote)
    )
    counts["read"] += sum(1 for _ in read_spool(run.spool("read", number)))
    return +counts


def _archived(run: Run, payload: str) -> archive.ArchiveRef | None:
    # Looked up only where something is archived: a run that finds nothing new does without.
    return run.snapshot.archived.get(payload)


def finished_entries(run: Run, number: int) -> list[Finished]:
    """What a shard has left that needs no cleaning."""
    path = run.spool("settled", number)
    entries: list[Finished] = next(read_spool(path)) if path.exists() else []
    return entries


def _counted_as(entry: LedgerEntry | Withdrawn) -> str:
    if isinstance(entry, Withdrawn) or entry.outcome == "rejected":
        return "rejected"
    return "read" if entry.outcome == "new" else "known"


def _to_read(
    run: Run,
    inputs: Sequence[AnyInput],
    raw: archive.Archive,
    finished: list[Finished],
    progress: Callable[[int, int], None],
) -> Iterator[ToRead]:
    """The captures of a shard that need reading, archived; what needs none goes straight to ``finished``."""
    for done, item in enumerate(inputs):
        progress(done, len(inputs))
        if isinstance(item, Missing):
            finished.append(_withdrawn(run, item))
        elif isinstance(item, Page):
            yield from _of_page(run, item, finished)
        elif isinstance(item, Listed):
            payload = read_bytes(item.file, run.policy.limits)
            capture = Capture(payload, item.file.key)
            entry = entry_of(run, item.file, capture)
            if refused := run.snapshot.decisions.refused(entry):
                finished.append(refused)
            else:
                finished += _of_list(run, entry, item.message, partial(raw.append, capture))
        elif isinstance(item, RejectedInput):
            finished.append(_refused(run, item, raw))
        elif same_as_before := _same_as_before(run, item):
            finished.append(same_as_before)
        else:
            yield from _of_file(run, item, raw, finished)
    progress(len(inputs), len(inputs))


# ---- files


def _of_file(run: Run, item: Input, raw: archive.Archive, finished: list[Finished]) -> Iterator[ToRead]:
    """The captures in a file that need reading, archived; what needs none goes straight to ``finished``."""
    payloads, last = run.snapshot.ledger
    for capture in captures_of(item, run.policy.limits):
        if isinstance(capture, RejectedInput):
            finished.append(_refused(run, capture, raw))
            continue
        entry = _with_usage(entry_of(run, item, capture), (*of_page(capture.payload), *capture.usage))
        if refused := run.snapshot.decisions.refused(entry):
            finished.append(refused)
            continue
        before = payloads.get((capture.key, entry.payload_sha256 or ""))
        same = last.get((entry.input, entry.member, entry.key)) == entry.payload_sha256
        if (
            before
            and _needs_no_reading(run, entry, before, same)
            and capture.key not in run.snapshot.brought_back
        ):
            finished.append(as_known(entry, before))
            continue
        if run.snapshot.decisions.takes_down_sites and entry.site is None:
            yield capture, entry  # the page may name a site that is down: archived when it is read
        else:
            yield capture, entry._replace(archive=raw.append(capture))


def captures_of(item: Input, limits: Limits) -> Iterator[Capture | RejectedInput]:
    """What is in an input; one that holds no page at all is rejected. Reads the file."""
    empty = True
    for capture in of_source(item.source, read_input(item, limits)):
        empty = False
        yield capture
    if empty:
        yield RejectedInput(
            item.name, "", RejectReason.NO_CONTENT, f"{item.name}: holds no page; only other records", None
        )


def _same_as_before(run: Run, item: Input) -> LedgerEntry | None:
    """The entry of a file that holds, byte for byte, what was read of it before, where that still stands.

    Most files of most runs are such: they are hashed, and nothing else is asked of them. Not those of which
    more is known from beside them.
    """
    payloads, last = run.snapshot.ledger
    digest = last.get((item.name, None, item.key), "")
    before = payloads.get((item.key, digest))
    source, described = item.source, item.described or item.facts != NO_FACTS
    if before is None or described or (source and source.kind == "warc"):
        return None
    if item.key in run.snapshot.brought_back or names_more_than_a_page(item):
        return None
    entry = as_known(new_entry(run, item, item.key, digest), before)
    entry = entry._replace(site=source.site) if source else entry
    if not _needs_no_reading(run, entry, before, same=True) or run.snapshot.decisions.rejection(entry):
        return None
    try:
        same = hashlib.sha256(read_bytes(item, run.policy.limits)).hexdigest() == digest
    except Rejection:
        return None
    return entry if same else None


def _refused(run: Run, rejected: RejectedInput, raw: archive.Archive) -> LedgerEntry | InputNote:
    """The entry of what had to be rejected; a note, where no page was lost by it."""
    if not rejected.lost:
        return InputNote(rejected.name, rejected.member or None, rejected.message)
    entry = LedgerEntry(rejected.name, "rejected", run.release, run.name, source=run.source)
    entry = as_rejected(entry, rejected.kind, rejected.message)._replace(member=rejected.member or None)
    capture = Capture(payload=rejected.payload or b"", key=f"file:{rejected.name}")
    digest = capture.sha256 if rejected.payload else None
    if refused := run.snapshot.decisions.refused(entry._replace(payload_sha256=digest)):
        return refused
    if rejected.payload is None:
        return entry
    return entry._replace(payload_sha256=capture.sha256, archive=raw.append(capture))


# ---- what was fetched


def _withdrawn(run: Run, item: Missing) -> Withdrawn:
    """What an address leaves whose page its server says is gone."""
    entry = LedgerEntry(item.name, "new", run.release, run.name, source=item.source)
    entry = as_rejected(entry, item.gone.kind, f"{item.name}: {item.gone.message}")
    if item.gone.kind is RejectReason.RESERVED:
        entry = _with_usage(entry, item.gone.usage)
    keys = tuple(map(canonical_url, item.gone.urls))
    return Withdrawn(entry._replace(key=keys[0], url=item.gone.urls[0]), keys)


def _of_page(run: Run, item: Page, finished: list[Finished]) -> Iterator[ToRead]:
    """A fetched page if it needs reading; what needs none goes straight to ``finished``."""
    payloads, last = run.snapshot.ledger
    got = item.got
    entry = LedgerEntry(
        item.name,
        "new",
        run.release,
        run.name,
        source=item.source,
        key=got.key,
        payload_sha256=got.payload_sha256,
        url=got.url,
        site=item.site or urlsplit(got.key).hostname,
        captured=got.captured,
        fingerprint=run.fingerprint,
    )
    entry = _with_usage(entry, got.usage)
    if got.moved_from and (old := canonical_url(got.moved_from)) != got.key:
        entry = entry._replace(moved_from=old)
    before = payloads.get((got.key, got.payload_sha256))
    same = last.get((item.name, None, got.key)) == got.payload_sha256
    if refused := run.snapshot.decisions.refused(entry):
        finished.append(refused)
    elif item.listed:
        finished += _of_list(run, entry, item.listed, lambda: got.ref)
    elif before and _needs_no_reading(run, entry, before, same) and got.key not in run.snapshot.gone:
        finished += _noted(run, entry)
        finished.append(_with_news(run, as_known(entry, before), got.ref))
    else:
        finished += _noted(run, entry)
        capture = open_page(run.root, item, run.policy.limits)
        if isinstance(capture, Capture):
            yield capture, entry._replace(archive=got.ref)
        else:
            finished.append(as_rejected(entry, capture.kind, capture.message)._replace(archive=got.ref))


def _with_usage(entry: LedgerEntry, usage: Iterable[tuple[str, str]]) -> LedgerEntry:
    """The entry with what the page's owner says about its use."""
    statements = tuple(Statement._make(pair) for pair in usage)
    return entry._replace(reserved=is_reserved(statements), usage=to_json(statements) if statements else None)


def _with_news(run: Run, entry: LedgerEntry, ref: archive.ArchiveRef) -> LedgerEntry:
    """The entry of a page that is as it was; the ledger takes it where something else about it is new.

    That is what its owner says about its use, or that another address has moved here.
    """
    before = run.snapshot.usage.get(doc_id(entry.key))
    same = before == (entry.reserved, entry.usage) or (before is None and not entry.usage)
    same = same and (not entry.moved_from or run.snapshot.moved.get(entry.moved_from) == entry.key)
    return entry if same else entry._replace(archive=ref)


def _noted(run: Run, entry: LedgerEntry) -> Iterator[InputNote]:
    """A note on a page that its owner reserves, where such pages are marked."""
    if entry.reserved and run.fetching.reserved == "mark":
        said = ", ".join(f"{where}: {says}" for where, says in from_json(entry.usage))
        before = run.snapshot.usage.get(doc_id(entry.key), (True, None))[0]
        verb = "reserves" if before else "reserves now, and did not before,"
        yield InputNote(entry.input, entry.member, f"its owner {verb} it against mining or training ({said})")


def _of_list(
    run: Run, entry: LedgerEntry, message: str, archived: Callable[[], archive.ArchiveRef]
) -> tuple[InputNote, LedgerEntry]:
    """The entry of a sitemap or feed, an input without a document: unchanged where it was as it is."""
    same = run.snapshot.ledger.last.get((entry.input, None, entry.key)) == entry.payload_sha256
    entry = entry._replace(outcome="unchanged" if same else "new", archive=None if same else archived())
    return InputNote(entry.input, None, message), entry


# ---- what needs no reading


def _needs_no_reading(run: Run, entry: LedgerEntry, before: SeenPayload, same: bool) -> bool:
    """Whether a payload that is known can stay unread.

    A page that its server took away does not come back by a file that says what it said before, whatever the
    policy; a text that made no version when it was read waits until it can make one.
    """
    if same and run.snapshot.gone_by.get(entry.key) == "source":
        return True
    if same and before.outcome != "rejected" and not before.fingerprint:
        return _waits(run, entry)
    return is_still_valid(before, run.fingerprint, same)


def _waits(run: Run, entry: LedgerEntry) -> bool:
    """Whether a text makes no version yet: its document is pinned, or has a text of a later capture."""
    document = doc_id(entry.key)
    if run.snapshot.decisions.pinned(document):
        return True
    return entry.captured is not None and entry.captured < run.snapshot.last_captured.get(document, "")


def is_still_valid(before: SeenPayload, base: str, same: bool) -> bool:
    """Whether a payload needs no reading: same pipeline, and its input held the same payload when last read."""
    return same and before.fingerprint == base and before.kind not in _WORTH_ANOTHER_TRY
