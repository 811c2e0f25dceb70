"""From inputs to documents as read: what a run finds, archives and reads; each capture leaves one entry.

Inputs and what is read lie in the run's spool files, shard by shard. What is known already needs no reading.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from urllib.parse import urlsplit

from cleancopy.clean import read
from cleancopy.document import Capture, doc_id
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.isolation import run_isolated
from cleancopy.ingest.run import InputNote, Run, SeenPayload, Withdrawn
from cleancopy.policy import Limits, Policy
from cleancopy.sources.files import (
    Facts,
    Input,
    RejectedInput,
    described_by,
    find_inputs,
    is_list,
    names_more_than_a_page,
    printable,
    read_bytes,
    read_input,
)
from cleancopy.sources.settings import LOCAL
from cleancopy.sources.web.crawl import Listed, Missing, Page, crawl, of_source, open_page, read_dropped
from cleancopy.store import archive, decisions, releases, tables
from cleancopy.store.paths import published_releases
from cleancopy.store.rows import LedgerEntry, Outcome
from cleancopy.store.spool import Spool, read_spool
from cleancopy.version import equal_fingerprints
from cleancopy.warc.reader import canonical_url

#: Inputs, and their bytes, that make a shard full: enough work to make a task's own cost (11-34 ms) vanish.
SHARD_INPUTS, SHARD_BYTES = 2_000, 1 << 27
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

AnyInput = Input | RejectedInput | Page | Missing | Listed
_NOTHING = Facts()
#: What a shard leaves of an input of which nothing is to be decided.
Settled = LedgerEntry | InputNote | Withdrawn


def discover(run: Run) -> int:
    """Leave all inputs of the run in shards, files by name, then what was fetched; how many shards."""
    shards = 0
    for shard in _shards(_inputs(run)):
        _leave(run, shards, *shard)
        shards += 1
    return shards


def _shards(inputs: Iterable[AnyInput]) -> Iterator[tuple[list[AnyInput], str]]:
    """Inputs in shards, each with a digest of its inputs as they are now: names, sizes, times."""
    shard: list[AnyInput] = []
    digest, size = hashlib.sha256(), 0
    for found in inputs:
        length, state = _state(found)
        digest.update(repr((found.name, state)).encode("utf-8", "surrogatepass"))
        shard.append(found)
        size += length
        if len(shard) == SHARD_INPUTS or size >= SHARD_BYTES:
            yield shard, digest.hexdigest()
            shard, digest, size = [], hashlib.sha256(), 0
    if shard:
        yield shard, digest.hexdigest()


def _state(found: AnyInput) -> tuple[int, object]:
    """How many bytes an input has, and what shows that it has changed."""
    if isinstance(found, Input):
        told = found.facts if found.facts != _NOTHING else None
        return found.state[0], (found.state, told, described_by(found))
    return found.got.ref.length if isinstance(found, Page) else 0, found


def _inputs(run: Run) -> Iterator[AnyInput]:
    lists: list[Input] = []
    seen: set[str] = set()
    for found in local_inputs(run):
        if found.name in seen:
            continue
        seen.add(found.name)
        if isinstance(found, Input) and is_list(found):
            lists.append(found)
        else:
            yield found
    yield from _from_web(run, lists)


def local_inputs(run: Run) -> Iterator[Input | RejectedInput]:
    """What lies on this machine: below the run's paths, and in its sources of files and archives."""
    if run.paths:
        yield from find_inputs(run.paths, run.raw)
    for source in run.sources:
        for found in find_inputs(source.paths, run.raw) if source.paths else ():
            if isinstance(found, RejectedInput):
                yield found
            elif source.kind == "warc" or source.takes(found.name):
                yield found._replace(source=source)


def _from_web(run: Run, lists: Sequence[Input]) -> Iterator[AnyInput]:
    """What the run's sources on the web give, and the sitemaps and feeds among its files."""
    sources = [source for source in run.sources if source.kind not in LOCAL]
    left, mark, stamp = run.spool("web", 0), run.spool("asked", 0), "".join(said for _, said in _shards(lists))
    if not mark.is_file() or mark.read_text() != stamp:  # other lists than those that a dead run asked by
        left.unlink(missing_ok=True)
        mark.write_text(stamp)
    if not left.exists() and (sources or lists):
        with Spool(left) as spool:
            named = read_dropped(lists, run.policy.limits, run.workers, spool.append)
            crawl(
                [*sources, *named],
                run.fetching,
                limits=run.policy.limits,
                root=run.root,
                name=run.name,
                work=run.work,
                workers=run.workers,
                held=partial(_held, run),
                found=spool.append,
                refused=partial(_taken_down, run),
            )
    yield from read_spool(left) if left.exists() else ()


def _taken_down(run: Run, url: str, site: str | None) -> str | None:
    """Why an address is not to be asked for: someone took it, or its site, down."""
    key = canonical_url(url)
    entry = LedgerEntry(
        url, "new", run.release, run.name, key=key, url=url, site=site or urlsplit(key).hostname
    )
    return decisions_of(run).rejection(entry)


def _held(run: Run, asked: str, url: str, payload: str) -> archive.ArchiveRef | None:
    """Where the archive has a payload, if an address gave it the last time that it gave anything."""
    last = load_ledger(run)[1].get((printable(asked), None, canonical_url(url)))
    return archived(run, payload) if last == payload else None


def _leave(run: Run, number: int, shard: list[AnyInput], stamp: str) -> None:
    """Leave a shard of inputs; what a dead run has read of the same inputs, unchanged, stays for this one."""
    before = run.spool("stamp", number)
    if not before.is_file() or before.read_text() != stamp:
        run.spool("read", number).unlink(missing_ok=True)
        before.write_text(stamp)
    with Spool(run.spool("inputs", number)) as spool:
        spool.append(shard)  # as one: what they share is written and read once


def read_shard(
    run: Run, number: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Counter[str]:
    """Archive and read the captures of a shard that are not known yet; counts by what became of them.

    Every capture leaves exactly one entry: with its document in the spool ``read``, or, where nothing is to
    be decided, with its outcome among the ``finished_entries``.
    """
    if not run.spool("read", number).exists():  # else the run before this one, which died, left it
        inputs: list[AnyInput] = next(read_spool(run.spool("inputs", number)))
        rest: list[Settled] = []
        with (
            Spool(run.spool("read", number)) as spool,
            archive.Archive(run.root, f"{run.name}-{number:04d}", partial(archived, run)) as raw,
        ):
            rest += read_all(run, _to_read(run, inputs, raw, rest, progress), spool)
            with Spool(run.spool("settled", number)) as other:  # as one, and there before ``read``
                other.append(rest)
    counts = Counter(
        _counted_as(one) for one in finished_entries(run, number) if not isinstance(one, InputNote)
    )
    counts["read"] += sum(1 for _ in read_spool(run.spool("read", number)))
    return +counts


def finished_entries(run: Run, number: int) -> list[Settled]:
    """What a shard has left of which nothing is to be decided."""
    path = run.spool("settled", number)
    found: list[Settled] = next(read_spool(path)) if path.exists() else []
    return found


def _counted_as(one: LedgerEntry | Withdrawn) -> str:
    if isinstance(one, Withdrawn) or one.outcome == "rejected":
        return "rejected"
    return "read" if one.outcome == "new" else "known"


def read_all(run: Run, tasks: Iterable[tuple[Capture, LedgerEntry]], spool: Spool) -> list[LedgerEntry]:
    """Read captures in the run's workers, into the spool; gives the entries of those that are no page."""
    work = partial(_read_pickled, policy=run.policy)
    entries: list[LedgerEntry] = []
    refused: list[LedgerEntry] = []

    def captures() -> Iterator[Capture]:
        for capture, entry in tasks:
            entries.append(entry)
            yield capture

    preload = _preload(run.policy)
    for at, (_, result) in enumerate(
        run_isolated(work, captures(), workers=run.workers, limits=run.policy.limits, preload=preload)
    ):
        entry = entries[at]
        if isinstance(result, Rejection):
            refused.append(rejected_entry(entry, result.kind, result.message))
        else:
            site, document = result
            spool.append((entry._replace(site=site), document))
    return refused


def _preload(policy: Policy) -> tuple[str, ...]:
    """Modules that the workers load once, before the first page."""
    asked = policy.content.method == "trafilatura" or policy.content.comments
    judges = ("trafilatura", "trafilatura.core") if asked else ()
    return (
        "cleancopy.clean",
        *(("cleancopy.stages.content.loaded",) if policy.content.method == "model" else ()),
        *judges,
    )


def _read_pickled(capture: Capture, policy: Policy) -> tuple[str | None, bytes]:
    """The site of a page, and its document as bytes: only the shard that needs it opens it again."""
    document = read(capture, policy)
    return document.site, pickle.dumps(document, protocol=pickle.HIGHEST_PROTOCOL)


def _to_read(
    run: Run,
    inputs: Sequence[AnyInput],
    raw: archive.Archive,
    rest: list[Settled],
    progress: Callable[[int, int], None],
) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The captures of a shard that need reading, archived; what needs none goes straight to the rest."""
    known, last = load_ledger(run)
    made, back = decisions_of(run), _brought_back(run)
    for done, found in enumerate(inputs):
        progress(done, len(inputs))
        if isinstance(found, Page | Missing):
            yield from _of_web(run, found, rest)
            continue
        if isinstance(found, Listed):
            payload = read_bytes(found.found, run.policy.limits)
            entry = entry_of(run, found.found, Capture(payload, found.found.key))
            rest += _of_list(run, entry, found.message, partial(raw.append, Capture(payload, entry.key)))
            continue
        same_as_before = _as_before(run, found) if isinstance(found, Input) else None
        if same_as_before:
            rest.append(same_as_before)
            continue
        for one in [found] if isinstance(found, RejectedInput) else captures_of(found, run.policy.limits):
            if isinstance(one, RejectedInput):
                rest.append(_refused(run, one, raw))
                continue
            entry = entry_of(run, found, one)
            if refusal := made.rejection(entry):
                rest.append(rejected_entry(entry, RejectReason.TAKEN_DOWN, f"{entry.input}: {refusal}"))
                continue
            before = known.get((one.key, entry.payload_sha256 or ""))
            same = last.get((entry.input, entry.member, entry.key)) == entry.payload_sha256
            if before and _needs_no_reading(run, entry, before, same) and one.key not in back:
                rest.append(_as_known(entry, before))
                continue
            yield one, entry._replace(archive=raw.append(one))
    progress(len(inputs), len(inputs))


def _as_before(run: Run, found: Input) -> LedgerEntry | None:
    """The entry of a file that holds, byte for byte, what was read of it before, where that still stands.

    Most files of most runs are such: they are hashed, and nothing else is asked of them. Not those of which
    more is known from beside them.
    """
    known, last = load_ledger(run)
    digest = last.get((found.name, None, found.key), "")
    before = known.get((found.key, digest))
    source, told = found.source, found.described or found.facts != _NOTHING
    if before is None or told or (source and source.kind == "warc") or found.key in _brought_back(run):
        return None
    if names_more_than_a_page(found):
        return None
    entry = _as_known(_entry(run, found, found.key, digest), before)
    entry = entry._replace(site=source.site) if source else entry
    if not _needs_no_reading(run, entry, before, same=True) or decisions_of(run).rejection(entry):
        return None
    try:
        same = hashlib.sha256(read_bytes(found, run.policy.limits)).hexdigest() == digest
    except Rejection:
        return None
    return entry if same else None


def _of_web(run: Run, found: Page | Missing, rest: list[Settled]) -> Iterator[tuple[Capture, LedgerEntry]]:
    """A fetched page if it needs reading; what needs none goes straight to the rest."""
    entry = LedgerEntry(found.name, "new", run.release, run.name, source=found.source)
    if isinstance(found, Missing):
        message = f"{found.name}: {found.gone.message}"
        keys = tuple(map(canonical_url, found.gone.urls))
        entry = rejected_entry(entry, RejectReason.GONE, message)._replace(key=keys[0], url=found.gone.urls[0])
        rest.append(Withdrawn(entry, keys))
        return
    known, last = load_ledger(run)
    got = found.got
    entry = entry._replace(
        key=got.key,
        payload_sha256=got.payload_sha256,
        url=got.url,
        site=found.site or urlsplit(got.key).hostname,
        captured=got.captured,
        fingerprint=run.fingerprint,
    )
    before = known.get((got.key, got.payload_sha256))
    same = last.get((found.name, None, got.key)) == got.payload_sha256
    if refusal := decisions_of(run).rejection(entry):
        rest.append(rejected_entry(entry, RejectReason.TAKEN_DOWN, f"{found.name}: {refusal}"))
    elif found.listed:
        rest += _of_list(run, entry, found.listed, lambda: got.ref)
    elif before and _needs_no_reading(run, entry, before, same) and got.key not in _gone(run):
        rest.append(_as_known(entry, before))
    else:
        capture = open_page(run.root, found, run.policy.limits)
        if isinstance(capture, Capture):
            yield capture, entry._replace(archive=got.ref)
        else:
            rest.append(rejected_entry(entry, capture.kind, capture.message)._replace(archive=got.ref))


def _of_list(
    run: Run, entry: LedgerEntry, message: str, archived: Callable[[], archive.ArchiveRef]
) -> tuple[InputNote, LedgerEntry]:
    """The entry of a sitemap or feed, an input without a document: unchanged where it was as it is."""
    same = load_ledger(run)[1].get((entry.input, None, entry.key)) == entry.payload_sha256
    entry = entry._replace(outcome="unchanged" if same else "new", archive=None if same else archived())
    return InputNote(entry.input, None, message), entry


def captures_of(found: Input, limits: Limits) -> Iterator[Capture | RejectedInput]:
    """What is in an input; one that holds no page at all is refused."""
    empty = True
    for one in of_source(found.source, read_input(found, limits)):
        empty = False
        yield one
    if empty:
        yield RejectedInput(
            found.name, "", RejectReason.NO_CONTENT, f"{found.name}: holds no page; only other records", None
        )


@cache
def _brought_back(run: Run) -> frozenset[str]:
    """The keys of documents that are gone by a takedown: those that come this far are down no more."""
    return frozenset(key for key, why in _gone_by(run).items() if why == "takedown")


@cache
def _gone(run: Run) -> frozenset[str]:
    """The keys of documents that are gone, but not by a rollback: one that its server gives again is back."""
    return frozenset(key for key, why in _gone_by(run).items() if why != "restored")


@cache
def _gone_by(run: Run) -> dict[str, str]:
    """The keys of documents that are gone, each with the change that made them so."""
    table = tables.latest(run.root, columns=["key", "change"], status="gone")
    return dict(zip(table["key"].to_pylist(), table["change"].to_pylist(), strict=True))


def _needs_no_reading(run: Run, entry: LedgerEntry, before: SeenPayload, same: bool) -> bool:
    """Whether a payload that is known can stay unread.

    A page that its server took away does not come back by a file that says what it said before, whatever the
    policy; a text that made no version when it was read waits until it can make one.
    """
    if same and _gone_by(run).get(entry.key) == "source":
        return True
    if same and before.outcome != "rejected" and not before.fingerprint:
        return _waits(run, entry)
    return is_still_valid(before, run.fingerprint, same)


def _waits(run: Run, entry: LedgerEntry) -> bool:
    """Whether a text makes no version yet: its document is pinned, or has a text of a later capture."""
    if decisions_of(run).pinned(doc_id(entry.key)):
        return True
    return entry.captured is not None and entry.captured < _last_captured(run).get(doc_id(entry.key), "")


@cache
def _last_captured(run: Run) -> dict[str, str]:
    return tables.last_captured(run.root)


def is_still_valid(before: SeenPayload, base: str, same: bool) -> bool:
    """Whether a payload needs no reading: same pipeline, and its input held the same payload when last read."""
    return same and before.fingerprint == base and before.kind not in _WORTH_ANOTHER_TRY


def entry_of(run: Run, found: Input | RejectedInput, capture: Capture) -> LedgerEntry:
    """The entry of a capture that was found in an input."""
    prefix = f"{found.name}@"
    member = f"offset {capture.source.removeprefix(prefix)}" if capture.source.startswith(prefix) else None
    entry = _entry(run, found, capture.key, capture.sha256)
    return entry._replace(member=member, url=capture.url, site=capture.site, captured=capture.captured)


def _entry(run: Run, found: Input | RejectedInput, key: str, payload_sha256: str) -> LedgerEntry:
    return LedgerEntry(
        input=found.name,
        outcome="new",
        release=run.release,
        run=run.name,
        key=key,
        payload_sha256=payload_sha256,
        source=found.source.name if isinstance(found, Input) and found.source else run.source,
        fingerprint=run.fingerprint,
    )


def _as_known(entry: LedgerEntry, before: SeenPayload) -> LedgerEntry:
    """The entry of a payload that stays unread: it is what it was."""
    return entry._replace(outcome=before.outcome, kind=before.kind, message=before.message)


def _refused(run: Run, refusal: RejectedInput, raw: archive.Archive) -> LedgerEntry | InputNote:
    """The entry of what had to be refused; a note, where no page was lost by it."""
    if not refusal.lost:
        return InputNote(refusal.name, refusal.member or None, refusal.message)
    entry = LedgerEntry(refusal.name, "rejected", run.release, run.name, source=run.source)
    entry = rejected_entry(entry, refusal.kind, refusal.message)._replace(member=refusal.member or None)
    if refusal.payload is None:
        return entry
    capture = Capture(payload=refusal.payload, key=f"file:{refusal.name}")
    return entry._replace(payload_sha256=capture.sha256, archive=raw.append(capture))


def rejected_entry(entry: LedgerEntry, kind: RejectReason, message: str) -> LedgerEntry:
    return entry._replace(outcome="rejected", kind=str(kind), message=message)


def archived(run: Run, payload: str) -> archive.ArchiveRef | None:
    """Where the archive has a payload, if it has it and it was not purged."""
    return _archived(run).get(payload)


@cache
def _archived(run: Run) -> Mapping[str, archive.ArchiveRef]:
    return tables.archived(run.root, without=decisions.purged(run.root))


@cache
def load_ledger(run: Run) -> tuple[dict[tuple[str, str], SeenPayload], dict[tuple[str, str | None, str], str]]:
    """What the ledger knows: each payload by key and digest, and the last payload of each input and member."""
    columns = [
        "input", "member", "key", "payload_sha256", "captured", "fingerprint", "outcome", "kind", "message",
        "release",
    ]  # fmt: skip
    table = tables.captures(run.root, columns=columns)
    known: dict[tuple[str, str], SeenPayload] = {}
    last: dict[tuple[str, str | None, str], str] = {}
    equal = _equal_fingerprints(run, table["fingerprint"].unique().to_pylist())
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    for row in sorted(rows, key=lambda r: (r[-1], r[4] or "")):
        source, member, key, payload, _, made_by, became, kind, message, _ = row
        if not key:
            continue
        outcome: Outcome = "rejected" if became == "rejected" else "unchanged"
        made_by = run.fingerprint if made_by in equal else made_by
        known[key, payload or ""] = SeenPayload(made_by, outcome, kind, message)
        last[source, member, key] = payload or ""
    return known, last


def _equal_fingerprints(run: Run, stored: Collection[str]) -> frozenset[str]:
    """The fingerprints in the ledger by which other words than today's name the pipeline of today."""
    if not set(stored) - {run.fingerprint, ""}:
        return frozenset()
    manifests = (releases.read(run.root, number) for number in published_releases(run.root))
    return equal_fingerprints(run.parts, (manifest.parts for manifest in manifests))


@cache
def decisions_of(run: Run) -> decisions.Decisions:
    """What people have decided on documents, addresses and sites."""
    return decisions.read(run.root)
