"""An ingest as plain functions: what flows orchestrate and ``--plain`` runs at once.

    begin -> discover -> read_shard ... -> learn -> decide_shard ... -> reclean -> publish

Between the steps a shard lies in spool files below ``clean/.work``, so that each step can be a task of its
own and hands on paths and counts, never text. Nothing that others read changes before ``publish``.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from cleancopy import decisions
from cleancopy.clean import decide, read
from cleancopy.document import Capture, Document, doc_id
from cleancopy.errors import Kind, PolicyError, Rejected
from cleancopy.fingerprint import fingerprint, parts
from cleancopy.isolation import outcome, run_isolated
from cleancopy.policy import Limits, Policy
from cleancopy.publish import learned_chromes, publish
from cleancopy.repetition import sign
from cleancopy.run import FROM_ARCHIVE, Decided, Known, Note, Run, Summary, Withdrawn
from cleancopy.sources.crawl import (
    Listed,
    Missing,
    Page,
    check_contact,
    crawl,
    of_source,
    open_page,
    read_dropped,
)
from cleancopy.sources.files import Input, Refusal, find_inputs, is_list, printable, read_bytes, read_input
from cleancopy.sources.settings import LOCAL, Fetching, Source
from cleancopy.sources.warc import canonical_url
from cleancopy.spool import Spool, read_at, read_offsets, read_spool
from cleancopy.stages.chrome import SiteChrome, learn_chrome
from cleancopy.stages.duplicates import signing
from cleancopy.store import archive, chromes, corpus, index, releases, rows
from cleancopy.store.rows import LedgerEntry, Outcome, Version
from cleancopy.work import claimed

#: Files or archives in a shard: enough work to make a task's own cost (11-34 ms) vanish.
SHARD_INPUTS = 500
#: Rejections that another try may not repeat.
_WORTH_ANOTHER_TRY = frozenset(
    [Kind.TIMEOUT, Kind.MEMORY, Kind.CRASH, Kind.INTERNAL, Kind.UNREADABLE, Kind.TAKEN_DOWN]
)

Progress = Callable[[str, int, int], None]
AnyInput = Input | Refusal | Page | Missing | Listed


@contextmanager
def begin(
    *,
    raw: Path,
    root: Path,
    paths: Sequence[Path] = (),
    policy: Policy | None = None,
    workers: int = 1,
    name: str | None = None,
    source: str = "raw",
    sources: Sequence[Source] = (),
    fetching: Fetching | None = None,
) -> Iterator[Run]:
    """A run that holds its source; what an interrupted run of the same plan left is taken up.

    ``sources`` are read besides ``paths``, or in their place; ``fetching`` says how those on the web are asked.
    Raises Busy if another run of the source is under way; runs of other sources go on side by side and wait
    for each other only to publish.
    """
    chosen = tuple(paths) or (() if sources else (raw,))
    _check_folders(raw, root, (*chosen, *(path for one in sources for path in one.paths)))
    settings, asking = policy or Policy(), fetching or Fetching()
    check_contact(sources, asking)
    index.check(root, signing(settings.duplicates))  # refuse at once what publishing would refuse in the end
    fresh = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    with claimed(root, source, _plan(raw, chosen, settings, (*sources, asking)), name or fresh) as claim:
        yield Run(
            raw=raw,
            root=root,
            paths=chosen,
            policy=settings,
            workers=workers,
            name=claim,
            release=releases.next_number(root),
            started=datetime.now(UTC).timestamp(),
            source=source,
            sources=tuple(sources),
            fetching=asking,
        )


def _plan(raw: Path, paths: Sequence[Path], policy: Policy, sources: Sequence[object]) -> str:
    """The digest of what decides how a run's shards come out, but for the inputs themselves."""
    said = [*(str(path.absolute()) for path in (raw, *paths)), *map(repr, sources)]
    return hashlib.sha256(json.dumps([said, fingerprint(parts(policy))]).encode()).hexdigest()


def _check_folders(raw: Path, root: Path, paths: tuple[Path, ...]) -> None:
    if raw.exists() and not raw.is_dir():
        raise PolicyError(f"{raw}: raw is not a folder; name the folder with --raw, and a file as PATH")
    for path in paths or (raw,):
        if root.resolve().is_relative_to(path.resolve()):
            raise PolicyError(
                f"{root}: lies inside {path}, which is read; put clean elsewhere, or name other paths"
            )


def ingest(run: Run, progress: Progress = lambda step, done, of: None) -> Summary:
    """Every step of an ingest, one after the other, in this process and its workers."""
    shards = discover(run)
    for number in range(shards):
        read_shard(run, number, partial(progress, "read"))
    learn(run, shards)
    for number in range(shards):
        decide_shard(run, number)
        progress("decide", number + 1, shards)
    reclean(run, shards)
    return publish(run, shards + 1)


def discover(run: Run) -> int:
    """Leave all inputs of the run in shards, files by name, then what was fetched; how many shards."""
    shard: list[AnyInput] = []
    shards = 0
    for found in _inputs(run):
        shard.append(found)
        if len(shard) == SHARD_INPUTS:
            _leave(run, shards, shard)
            shard, shards = [], shards + 1
    if shard:
        _leave(run, shards, shard)
    return shards + bool(shard)


def _inputs(run: Run) -> Iterator[AnyInput]:
    lists: list[Input] = []
    seen: set[str] = set()
    for found in _local(run):
        if found.name in seen:
            continue
        seen.add(found.name)
        if isinstance(found, Input) and is_list(found):
            lists.append(found)
        else:
            yield found
    yield from _from_web(run, lists)


def _local(run: Run) -> Iterator[Input | Refusal]:
    """What lies on this machine: below the run's paths, and in its sources of files and archives."""
    if run.paths:
        yield from find_inputs(run.paths, run.raw)
    for source in run.sources:
        for found in find_inputs(source.paths, run.raw) if source.paths else ():
            if isinstance(found, Refusal):
                yield found
            elif source.kind == "warc" or source.takes(found.name):
                yield replace(found, source=source)


def _from_web(run: Run, lists: Sequence[Input]) -> Iterator[AnyInput]:
    """What the run's sources on the web give, and the sitemaps and feeds among its files."""
    sources = [source for source in run.sources if source.kind not in LOCAL]
    left, mark, stamp = run.spool("web", 0), run.spool("asked", 0), _stamp(lists)
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
    return _decisions(run).refusal(entry)


def _held(run: Run, asked: str, url: str, payload: str) -> archive.ArchiveRef | None:
    """Where the archive has a payload, if an address gave it the last time that it gave anything."""
    last = _ledger(run)[1].get((printable(asked), None, canonical_url(url)))
    return _archived(run).get(payload) if last == payload else None


def _leave(run: Run, number: int, shard: Sequence[AnyInput]) -> None:
    """Leave a shard of inputs; what a dead run has read of the same inputs, unchanged, stays for this one."""
    stamp, before = _stamp(shard), run.spool("stamp", number)
    if not before.is_file() or before.read_text() != stamp:
        run.spool("read", number).unlink(missing_ok=True)
        before.write_text(stamp)
    with Spool(run.spool("inputs", number)) as spool:
        for one in shard:
            spool.append(one)


def _stamp(shard: Iterable[AnyInput]) -> str:
    """A digest of inputs as they lie on the disk: names, sizes, times."""
    digest = hashlib.sha256()
    for one in shard:
        facts = os.stat(one.path) if isinstance(one, Input) and os.path.exists(one.path) else None
        state = (facts.st_size, facts.st_mtime_ns, facts.st_ino) if facts else one
        digest.update(repr((one.name, state)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def preview(
    *,
    raw: Path,
    root: Path,
    paths: Sequence[Path] = (),
    policy: Policy | None = None,
    source: str = "raw",
    sources: Sequence[Source] = (),
    fetching: Fetching | None = None,
) -> dict[str, int]:
    """What an ingest would find, by what it would do with it; nothing is fetched, archived or written.

    ``new`` and ``known`` count the captures in files, ``refused`` what is none, ``fetched`` the addresses that
    would be asked first.
    """
    chosen = tuple(paths) or (() if sources else (raw,))
    _check_folders(raw, root, (*chosen, *(path for one in sources for path in one.paths)))
    check_contact(sources, fetching or Fetching())
    settings = policy or Policy()
    run = Run(raw, root, chosen, settings, 0, "preview", 0, 0.0, source, tuple(sources), fetching or Fetching())
    known, last = _ledger(run)
    base = fingerprint(run.parts)
    counts: Counter[str] = Counter(fetched=sum(len(one.urls) for one in sources if one.kind not in LOCAL))
    for found in _local(run):
        for one in [found] if isinstance(found, Refusal) else _of(found, settings.limits):
            if isinstance(one, Refusal):
                counts["refused"] += one.lost
                continue
            entry = _entry(run, found, one)
            before = known.get((one.key, one.sha256))
            same = last.get((entry.input, entry.member, entry.key)) == one.sha256
            counts["known" if before and _still_holds(before, base, same) else "new"] += 1
    return {name: count for name, count in sorted(counts.items()) if count}


# ---- reading


def read_shard(run: Run, number: int, progress: Callable[[int, int], None] | None = None) -> Counter[str]:
    """Archive and read the captures of a shard that are not known yet; counts by what became of them.

    Every capture leaves exactly one entry in the shard's spool: with its document, or with its outcome.
    """
    if run.spool("read", number).exists():
        return _already_read(run, number)
    counts: Counter[str] = Counter()
    inputs: list[AnyInput] = list(read_spool(run.spool("inputs", number)))
    with (
        Spool(run.spool("read", number)) as spool,
        archive.Archive(run.root, f"{run.name}-{number:04d}", _archived(run)) as raw,
    ):
        _read_all(run, _to_read(run, inputs, raw, spool, counts, progress), spool, counts)
    return counts


def _already_read(run: Run, number: int) -> Counter[str]:
    """The counts of a shard that the run before this one, which died, had read."""
    counts: Counter[str] = Counter()
    for entry, document in read_spool(run.spool("read", number)):
        if isinstance(entry, Withdrawn):
            counts["rejected"] += 1
        elif not isinstance(entry, Note):
            counts["rejected" if entry.outcome == "rejected" else "read" if document else "known"] += 1
    return counts


def _read_all(
    run: Run, tasks: Iterable[tuple[Capture, LedgerEntry]], spool: Spool, counts: Counter[str]
) -> None:
    """Read captures in the run's workers; each leaves its entry in the spool, and the document that it is."""
    work = partial(_read_pickled, policy=run.policy)
    entries: list[LedgerEntry] = []

    def captures() -> Iterator[Capture]:
        for capture, entry in tasks:
            entries.append(entry)
            yield capture

    for at, (_, result) in enumerate(
        run_isolated(work, captures(), workers=run.workers, limits=run.policy.limits, preload=PRELOAD)
    ):
        entry = entries[at]
        if isinstance(result, Rejected):
            counts["rejected"] += 1
            spool.append((_rejected(entry, result.kind, result.message), None))
        else:
            counts["read"] += 1
            site, document = result
            spool.append((replace(entry, site=site), document))


#: Modules that the workers load once, before the first page.
PRELOAD = ("cleancopy.clean", "lightgbm", "trafilatura", "trafilatura.core")


def _read_pickled(capture: Capture, policy: Policy) -> tuple[str | None, bytes]:
    """The site of a page, and its document as bytes: only the shard that needs it opens it again."""
    document = read(capture, policy)
    return document.site, pickle.dumps(document, protocol=pickle.HIGHEST_PROTOCOL)


def _to_read(
    run: Run,
    inputs: Sequence[AnyInput],
    raw: archive.Archive,
    spool: Spool,
    counts: Counter[str],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The captures of a shard that need reading, archived; what needs none goes straight to the spool."""
    known, last = _ledger(run)
    base = fingerprint(run.parts)
    for done, found in enumerate(inputs, 1):
        if isinstance(found, Page | Missing):
            yield from _of_web(run, found, spool, counts)
            continue
        if isinstance(found, Listed):
            payload = read_bytes(found.found, run.policy.limits)
            entry = _entry(run, found.found, Capture(payload, found.found.key))
            _of_list(run, entry, found.message, spool, counts, partial(raw.append, Capture(payload, entry.key)))
            continue
        for one in [found] if isinstance(found, Refusal) else _of(found, run.policy.limits):
            if isinstance(one, Refusal) and not one.lost:
                spool.append((Note(one.name, one.member or None, one.message), None))
                continue
            if isinstance(one, Refusal):
                counts["rejected"] += 1
                spool.append((_refused(run, one, raw), None))
                continue
            entry = _entry(run, found, one)
            if refusal := _decisions(run).refusal(entry):
                counts["rejected"] += 1
                spool.append((_rejected(entry, Kind.TAKEN_DOWN, f"{entry.input}: {refusal}"), None))
                continue
            before = known.get((one.key, entry.payload_sha256 or ""))
            same = last.get((entry.input, entry.member, entry.key)) == one.sha256
            if before and _still_holds(before, base, same) and one.key not in _brought_back(run):
                counts["known"] += 1
                spool.append(
                    (replace(entry, outcome=before.outcome, kind=before.kind, message=before.message), False)
                )
                continue
            yield one, replace(entry, archive=raw.append(one))
        if progress:
            progress(done, len(inputs))


def _of_web(
    run: Run, found: Page | Missing, spool: Spool, counts: Counter[str]
) -> Iterator[tuple[Capture, LedgerEntry]]:
    """A fetched page if it needs reading; what needs none goes straight to the spool."""
    entry = LedgerEntry(found.name, "new", run.release, run.name, source=found.source)
    if isinstance(found, Missing):
        counts["rejected"] += 1
        message = f"{found.name}: {found.gone.message}"
        keys = tuple(map(canonical_url, found.gone.urls))
        entry = replace(_rejected(entry, Kind.HTTP_ERROR, message), key=keys[0], url=found.gone.urls[0])
        spool.append((Withdrawn(entry, keys), None))
        return
    known, last = _ledger(run)
    got = found.got
    entry = replace(
        entry,
        key=got.key,
        payload_sha256=got.payload_sha256,
        url=got.url,
        site=found.site or urlsplit(got.key).hostname,
        captured=got.captured,
        fingerprint=fingerprint(run.parts),
    )
    before = known.get((got.key, got.payload_sha256))
    same = last.get((found.name, None, got.key)) == got.payload_sha256
    if refusal := _decisions(run).refusal(entry):
        counts["rejected"] += 1
        spool.append((_rejected(entry, Kind.TAKEN_DOWN, f"{found.name}: {refusal}"), None))
    elif found.listed:
        _of_list(run, entry, found.listed, spool, counts, lambda: got.ref)
    elif before and _still_holds(before, fingerprint(run.parts), same) and got.key not in _brought_back(run):
        counts["known"] += 1
        said = replace(entry, outcome=before.outcome, kind=before.kind, message=before.message)
        spool.append((said, False))
    else:
        capture = open_page(run.root, found, run.policy.limits)
        if isinstance(capture, Capture):
            yield capture, replace(entry, archive=got.ref)
        else:
            counts["rejected"] += 1
            spool.append((replace(_rejected(entry, capture.kind, capture.message), archive=got.ref), None))


def _of_list(
    run: Run,
    entry: LedgerEntry,
    message: str,
    spool: Spool,
    counts: Counter[str],
    archived: Callable[[], archive.ArchiveRef],
) -> None:
    """Leave the entry of a sitemap or feed: an input without a document, unchanged where it was as it is."""
    same = _ledger(run)[1].get((entry.input, None, entry.key)) == entry.payload_sha256
    counts["known" if same else "read"] += 1
    spool.append((Note(entry.input, None, message), None))
    entry = replace(entry, outcome="unchanged" if same else "new", archive=None if same else archived())
    spool.append((entry, None))


def _of(found: Input, limits: Limits) -> Iterator[Capture | Refusal]:
    """What is in an input; one that holds no page at all is refused."""
    empty = True
    for one in of_source(found.source, read_input(found, limits)):
        empty = False
        yield one
    if empty:
        yield Refusal(found.name, "", Kind.NO_CONTENT, f"{found.name}: holds no page; only other records", None)


@cache
def _brought_back(run: Run) -> frozenset[str]:
    """The keys of documents that are gone by a takedown: those that come this far are down no more."""
    table = corpus.latest(run.root, columns=["key", "change"], status="gone").to_pylist()
    return frozenset(row["key"] for row in table if row["change"] == "takedown")


def _still_holds(before: Known, base: str, same: bool) -> bool:
    """Whether a payload needs no reading: same pipeline, and its input held the same payload when last read."""
    return same and before.fingerprint == base and before.kind not in _WORTH_ANOTHER_TRY


def _entry(run: Run, found: Input | Refusal, capture: Capture) -> LedgerEntry:
    prefix = f"{found.name}@"
    member = f"offset {capture.source.removeprefix(prefix)}" if capture.source.startswith(prefix) else None
    return LedgerEntry(
        input=found.name,
        outcome="new",
        release=run.release,
        run=run.name,
        key=capture.key,
        member=member,
        payload_sha256=capture.sha256,
        source=found.source.name if isinstance(found, Input) and found.source else run.source,
        url=capture.url,
        site=capture.site,
        captured=capture.captured,
        fingerprint=fingerprint(run.parts),
    )


def _refused(run: Run, refusal: Refusal, raw: archive.Archive) -> LedgerEntry:
    entry = LedgerEntry(input=refusal.name, outcome="rejected", release=run.release, run=run.name)
    entry = replace(_rejected(entry, refusal.kind, refusal.message), member=refusal.member or None)
    if refusal.payload is None:
        return entry
    capture = Capture(payload=refusal.payload, key=f"file:{refusal.name}")
    return replace(entry, payload_sha256=capture.sha256, archive=raw.append(capture))


def _rejected(entry: LedgerEntry, kind: Kind, message: str) -> LedgerEntry:
    return replace(entry, outcome="rejected", kind=str(kind), message=message)


@cache
def _archived(run: Run) -> Mapping[str, archive.ArchiveRef]:
    """Where each payload is in the archive, but for those that were purged."""
    purged = decisions.purged(run.root)
    return {key: ref for key, ref in corpus.archived(run.root).items() if ref.record_id not in purged}


@cache
def _ledger(run: Run) -> tuple[dict[tuple[str, str], Known], dict[tuple[str, str | None, str], str]]:
    """What the ledger knows: each payload by key and digest, and the last payload of each input and member."""
    columns = [
        "input", "member", "key", "payload_sha256", "captured", "fingerprint", "outcome", "kind", "message",
        "release",
    ]  # fmt: skip
    table = corpus.captures(run.root, columns=columns)
    known: dict[tuple[str, str], Known] = {}
    last: dict[tuple[str, str | None, str], str] = {}
    for row in sorted(table.to_pylist(), key=lambda r: (r["release"], r["captured"] or "")):
        if not row["key"]:
            continue
        outcome: Outcome = "rejected" if row["outcome"] == "rejected" else "unchanged"
        known[row["key"], row["payload_sha256"] or ""] = Known(
            row["fingerprint"], outcome, row["kind"], row["message"]
        )
        last[row["input"], row["member"], row["key"]] = row["payload_sha256"] or ""
    return known, last


# ---- learning


def learn(run: Run, shards: int, also: Iterable[str] = ()) -> dict[str, int]:
    """Learn the chrome of every site that the run read pages of; how many entries each has.

    Stored pages of these sites count too; one that the run read anew counts once, as it is now. Of the sites
    in ``also`` that it read no page of, the chrome stands as it is.
    """
    fresh: dict[str, list[tuple[int, int]]] = defaultdict(list)
    captured: dict[str, str] = {}
    for number in range(shards):
        for offset, (entry, document) in read_offsets(run.spool("read", number)):
            if document:
                fresh[entry.site or ""].append((number, offset))
                captured[entry.key] = entry.captured or ""
    stored = _stored_sites(run.root)
    day = datetime.fromtimestamp(run.started, UTC).date().isoformat()
    learned = {site: chrome for site in also if (chrome := chromes.current(run.root, site))}
    shares: dict[str, list[float]] = {}
    for site, places in sorted(fresh.items()):
        before = chromes.current(run.root, site)
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


def _stored(root: Path, site: str) -> Iterator[Version]:
    """The latest versions of a site's documents that are not gone."""
    for batch in corpus.latest_batches(root, site=site):
        for version in rows.table_to_versions(batch):
            if version.status != "gone":
                yield version


def _stored_sites(root: Path) -> Counter[str]:
    table = corpus.latest(root, columns=["site"])
    return Counter(site or "" for site in table["site"].to_pylist())


# ---- what is stored, decided again


def revisit(run: Run, sites: Iterable[str] = ()) -> int:
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
    counts: Counter[str] = Counter()
    with Spool(run.spool("read", 0)) as spool:
        _read_all(run, _outdated(run, chosen), spool, counts)
    learn(run, 1, also=chosen)
    decide_shard(run, 0)
    reclean(run, 1)
    return 2


def _outdated(run: Run, sites: Iterable[str]) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The latest captures, from the archive, of the documents that another pipeline read."""
    latest, purged = _latest_captures(run.root), decisions.purged(run.root)
    for site in sites:
        for version in _stored(run.root, site):
            if _is_current(run, version):
                continue
            last = latest.get(version.doc_id) or (version.document.payload_sha256, version.archive, None)
            payload, where, when = last
            if where is not None and where.record_id not in purged:
                entry = replace(
                    _entry_again(run, version),
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
    """Whether the pipeline of now made a version; one that a person restored and then let go did not."""
    if version.change == "restored" and version.restored_from is None and version.status == "live":
        made, document = _decisions(run), version.doc_id
        if not made.restores(document) and not made.stands(document):
            return False
    return all(version.parts.get(name) == part for name, part in run.parts.items())


def _latest_captures(root: Path) -> dict[str, tuple[str, archive.ArchiveRef | None, str | None]]:
    """The digest, place and time of the last capture of each document that was no reject."""
    columns = ["doc_id", "payload_sha256", "archive", "captured", "outcome", "release"]
    table = corpus.captures(root, columns=columns).to_pylist()
    kept = [row for row in table if row["outcome"] != "rejected" and row["archive"]]
    return {
        row["doc_id"]: (row["payload_sha256"], archive.ArchiveRef(**row["archive"]), row["captured"])
        for row in sorted(kept, key=lambda r: (r["captured"] or "", r["release"]))
    }


def _from_archive(root: Path, version: Version, entry: LedgerEntry) -> Capture:
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


def decide_shard(run: Run, number: int) -> Counter[str]:
    """Cut what a shard has read, under the policy and each site's chrome; counts by what became of it."""
    with Spool(run.spool("decided", number)) as spool, Spool(run.spool("entries", number)) as index:
        return _decide_all(run, number, _fresh(run, number, index), spool, index)


def reclean(run: Run, shards: int) -> Counter[str]:
    """Decide anew on the stored documents of sites whose chrome has changed; no page is read again.

    A document that would be empty under the new chrome stays as it is; one that another pipeline read waits
    until its input is read again.
    """
    with Spool(run.spool("decided", shards)) as spool, Spool(run.spool("entries", shards)) as index:
        return _decide_all(run, shards, _affected(run, shards), spool, index)


def _fresh(run: Run, number: int, index: Spool) -> Iterator[Pending]:
    """The documents that a shard has read; entries without one go straight to the index."""
    heads = cache(partial(corpus.heads, run.root))
    for entry, document in read_spool(run.spool("read", number)):
        again = isinstance(entry, LedgerEntry) and entry.source == FROM_ARCHIVE
        if document:
            stored = heads()[doc_id(entry.key)] if again else None
            if stored is None or stored.version_id == entry.version_id:  # else another run was faster
                yield entry, pickle.loads(document), stored.seq if stored else 0
        elif not again:
            index.append(entry)


def _affected(run: Run, shards: int) -> Iterator[Pending]:
    """The stored documents of sites whose chrome has changed, but for those that the run read anew."""
    taken = {
        one.entry.key
        for number in range(shards)
        for one in read_spool(run.spool("entries", number))
        if isinstance(one, Decided)
    }
    for site, chrome in sorted(_learned(run).items()):
        if _last_applied(run.root, site) != chrome.digest:
            for version in _stored(run.root, site):
                if _is_current(run, version) and version.document.key not in taken:
                    yield _entry_again(run, version), version.document, version.seq


def _last_applied(root: Path, site: str) -> str:
    """The digest of the chrome that the site's latest versions were cut by; a killed run's does not count."""
    versions = corpus.latest(root, columns=["release", "parts"], site=site).to_pylist()
    latest = max(versions, key=lambda row: row["release"], default=None)
    return str(json.loads(latest["parts"]).get("chrome", "")) if latest else ""


def _decide_all(run: Run, shard: int, pending: Iterable[Pending], spool: Spool, index: Spool) -> Counter[str]:
    counts: Counter[str] = Counter()
    batch: list[Pending] = []
    for entry, document, stored in pending:
        chrome = _learned(run).get(document.site or "")
        result = outcome(partial(_decided, run=run, chrome=chrome), document)
        if isinstance(result, Rejected):
            counts["rejected"] += 1
            if not stored:
                index.append(_rejected(entry, result.kind, result.message))
            continue
        counts["decided"] += 1
        batch.append((entry, result, stored))
        if len(batch) == SIGN_AT_ONCE:
            _keep(run, shard, batch, spool, index)
            batch = []
    _keep(run, shard, batch, spool, index)
    return counts


def _decided(document: Document, run: Run, chrome: SiteChrome | None) -> Document:
    """The document with its cuts, but for those that people want to stay."""
    return _decisions(run).spared(decide(document, run.policy, chrome))


@cache
def _decisions(run: Run) -> decisions.Decisions:
    return decisions.read(run.root)


def _keep(run: Run, shard: int, batch: Sequence[Pending], spool: Spool, index: Spool) -> None:
    """Sign decided documents and leave them for the publishing step."""
    texts = [document.clean for _, document, _ in batch]
    signatures = sign(texts, signing(run.policy.duplicates))
    for (entry, document, stored), text, signature in zip(batch, texts, signatures, strict=True):
        chrome = _learned(run).get(document.site or "")
        cut: Counter[str] = Counter()
        for one in document.cuts:
            cut[one.stage] += one.end - one.start
        decided = Decided(
            entry=entry,
            text_sha256=rows.sha256(text),
            words=len(text.split()),
            canonical=document.url is not None and document.metadata.canonical_url == document.url,
            signature=signature.tobytes(),
            chrome=chrome.digest if chrome else "",
            shard=shard,
            offset=spool.append(document),
            known=entry.source == FROM_ARCHIVE or (not stored and _known_otherwise(run, entry)),
            cut=tuple(sorted(cut.items())),
            kept=len(text),
            stored=stored,
        )
        index.append(decided)


def _known_otherwise(run: Run, entry: LedgerEntry) -> bool:
    """Whether the payload was cleaned before, by another pipeline."""
    before = _ledger(run)[0].get((entry.key, entry.payload_sha256 or ""))
    return before is not None and before.fingerprint != entry.fingerprint


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
