"""An ingest as plain functions: what flows orchestrate and ``--plain`` runs at once.

    begin -> discover -> read_shard ... -> learn -> decide_shard ... -> reclean -> publish

Between the steps a shard lies in spool files below ``clean/.work``, so that each step can be a task of its
own and hands on paths and counts, never text. Nothing that others read changes before ``publish``.
"""

from __future__ import annotations

import json
import pickle
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from cleancopy.clean import decide, read
from cleancopy.document import Capture, Document
from cleancopy.errors import Kind, PolicyError, Rejected
from cleancopy.fingerprint import fingerprint
from cleancopy.isolation import outcome, run_isolated
from cleancopy.policy import Limits, Policy
from cleancopy.publish import learned_chromes, publish
from cleancopy.repetition import sign
from cleancopy.run import Decided, Known, Note, Run, Summary
from cleancopy.sources.files import Input, Refusal, find_inputs, read_input
from cleancopy.spool import Spool, read_at, read_offsets, read_spool
from cleancopy.stages.chrome import SiteChrome, learn_chrome
from cleancopy.stages.duplicates import signing
from cleancopy.store import archive, chromes, corpus, releases, rows
from cleancopy.store.layout import mendable
from cleancopy.store.rows import LedgerEntry, Outcome, Version

#: Files or archives in a shard: enough work to make a task's own cost (11-34 ms) vanish.
SHARD_INPUTS = 500
#: Rejections that another try may not repeat.
_WORTH_ANOTHER_TRY = frozenset([Kind.TIMEOUT, Kind.MEMORY, Kind.CRASH, Kind.INTERNAL, Kind.UNREADABLE])

Progress = Callable[[str, int, int], None]


@contextmanager
def begin(
    *,
    raw: Path,
    root: Path,
    paths: Sequence[Path] = (),
    policy: Policy | None = None,
    workers: int = 1,
    name: str | None = None,
) -> Iterator[Run]:
    """A run, with the store's writing lock held: what an interrupted run left is mended and swept first."""
    _check_folders(raw, root, tuple(paths))
    with releases.writing(root) as release:
        _sweep(root / ".work")
        run = Run(
            raw=raw,
            root=root,
            paths=tuple(paths) or (raw,),
            policy=policy or Policy(),
            workers=workers,
            name=name or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            release=release,
            started=datetime.now(UTC).timestamp(),
        )
        run.work.mkdir(parents=True)
        try:
            yield run
        finally:
            shutil.rmtree(run.work, ignore_errors=True)


def _check_folders(raw: Path, root: Path, paths: tuple[Path, ...]) -> None:
    if raw.exists() and not raw.is_dir():
        raise PolicyError(f"{raw}: raw is not a folder; name the folder with --raw, and a file as PATH")
    for path in paths or (raw,):
        if root.resolve().is_relative_to(path.resolve()):
            raise PolicyError(
                f"{root}: lies inside {path}, which is read; put clean elsewhere, or name other paths"
            )


def _sweep(folder: Path) -> None:
    """Remove what an interrupted run left to its next step."""
    with mendable(folder, "sweeping what an interrupted run left"):
        if folder.is_dir():
            shutil.rmtree(folder)


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
    """Leave all inputs under the run's paths in shards, by name; how many shards there are."""
    found = list(find_inputs(run.paths, run.raw))
    shards = [found[at : at + SHARD_INPUTS] for at in range(0, len(found), SHARD_INPUTS)]
    for number, shard in enumerate(shards):
        with Spool(run.spool("inputs", number)) as spool:
            for one in shard:
                spool.append(one)
    return len(shards)


# ---- reading


def read_shard(run: Run, number: int, progress: Callable[[int, int], None] | None = None) -> Counter[str]:
    """Archive and read the captures of a shard that are not known yet; counts by what became of them.

    Every capture leaves exactly one entry in the shard's spool: with its document, or with its outcome.
    """
    counts: Counter[str] = Counter()
    inputs: list[Input | Refusal] = list(read_spool(run.spool("inputs", number)))
    work = partial(_read_pickled, policy=run.policy)
    with (
        Spool(run.spool("read", number)) as spool,
        archive.Archive(run.root, f"{run.release:06d}-{number:04d}", _archived(run)) as raw,
    ):
        tasks = _to_read(run, inputs, raw, spool, counts, progress)
        entries: list[LedgerEntry] = []

        def captures() -> Iterator[Capture]:
            for capture, entry in tasks:
                entries.append(entry)
                yield capture

        for index, (_, result) in enumerate(
            run_isolated(work, captures(), workers=run.workers, limits=run.policy.limits, preload=PRELOAD)
        ):
            entry = entries[index]
            if isinstance(result, Rejected):
                counts["rejected"] += 1
                spool.append((_rejected(entry, result.kind, result.message), None))
            else:
                counts["read"] += 1
                site, document = result
                spool.append((replace(entry, site=site), document))
    return counts


#: Modules that the workers load once, before the first page.
PRELOAD = ("cleancopy.clean", "lightgbm", "trafilatura", "trafilatura.core")


def _read_pickled(capture: Capture, policy: Policy) -> tuple[str | None, bytes]:
    """The site of a page, and its document as bytes: only the shard that needs it opens it again."""
    document = read(capture, policy)
    return document.site, pickle.dumps(document, protocol=pickle.HIGHEST_PROTOCOL)


def _to_read(
    run: Run,
    inputs: Sequence[Input | Refusal],
    raw: archive.Archive,
    spool: Spool,
    counts: Counter[str],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[Capture, LedgerEntry]]:
    """The captures of a shard that need reading, archived; what needs none goes straight to the spool."""
    known, last = _ledger(run)
    base = fingerprint(run.parts)
    for done, found in enumerate(inputs, 1):
        for one in [found] if isinstance(found, Refusal) else _of(found, run.policy.limits):
            if isinstance(one, Refusal) and not one.lost:
                spool.append((Note(one.name, one.member or None, one.message), None))
                continue
            if isinstance(one, Refusal):
                counts["rejected"] += 1
                spool.append((_refused(run, one, raw), None))
                continue
            entry = _entry(run, found, one)
            before = known.get((one.key, entry.payload_sha256 or ""))
            if before and _still_holds(
                before, base, last.get((entry.input, entry.member, entry.key)) == one.sha256
            ):
                counts["known"] += 1
                spool.append(
                    (replace(entry, outcome=before.outcome, kind=before.kind, message=before.message), False)
                )
                continue
            yield one, replace(entry, archive=raw.append(one))
        if progress:
            progress(done, len(inputs))


def _of(found: Input, limits: Limits) -> Iterator[Capture | Refusal]:
    """What is in an input; one that holds no page at all is refused."""
    empty = True
    for one in read_input(found, limits):
        empty = False
        yield one
    if empty:
        yield Refusal(found.name, "", Kind.NO_CONTENT, f"{found.name}: holds no page; only other records", None)


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
        source=run.source,
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
    return corpus.archived(run.root)


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


def learn(run: Run, shards: int) -> dict[str, int]:
    """Learn the chrome of every site that the run read pages of; how many entries each has.

    Stored pages of these sites count too; one that the run read anew counts once, as it is now.
    """
    fresh: dict[str, list[tuple[int, int]]] = defaultdict(list)
    keys: set[str] = set()
    for number in range(shards):
        for offset, (entry, document) in read_offsets(run.spool("read", number)):
            if document:
                fresh[entry.site or ""].append((number, offset))
                keys.add(entry.key)
    stored = _stored_sites(run.root)
    learned: dict[str, SiteChrome] = {}
    day = datetime.fromtimestamp(run.started, UTC).date().isoformat()
    for site, places in sorted(fresh.items()):
        before = chromes.current(run.root, site)
        if len(places) + stored[site] >= 2 or before:
            pages = _pages(run, site, places, keys if stored[site] else None)
            learned[site] = learn_chrome(pages, site=site, policy=run.policy.chrome, previous=before, seen=day)
    with Spool(run.spool("chrome", 0)) as spool:
        for chrome in learned.values():
            spool.append(chrome)
    return {site: len(chrome.entries) for site, chrome in learned.items()}


_learned = cache(learned_chromes)


def _pages(run: Run, site: str, places: Iterable[tuple[int, int]], keys: set[str] | None) -> Iterator[Document]:
    """The pages of a site: those that the run read, then the stored ones under other keys, if there are any."""
    for number, offset in places:
        yield pickle.loads(read_at(run.spool("read", number), offset)[1])
    if keys is not None:
        for version in _stored(run.root, site):
            if version.document.key not in keys:
                yield version.document.undecided()


def _stored(root: Path, site: str) -> Iterator[Version]:
    """The latest versions of a site's documents that are not gone."""
    for batch in corpus.latest_batches(root, site=site):
        for version in rows.table_to_versions(batch):
            if version.status != "gone":
                yield version


def _stored_sites(root: Path) -> Counter[str]:
    table = corpus.latest(root, columns=["site"])
    return Counter(site or "" for site in table["site"].to_pylist())


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
    for entry, document in read_spool(run.spool("read", number)):
        if document:
            yield entry, pickle.loads(document), 0
        else:
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
                same = all(version.parts.get(name) == part for name, part in run.parts.items())
                if same and version.document.key not in taken:
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
        result = outcome(partial(decide, policy=run.policy, chrome=chrome), document)
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
            known=_known_otherwise(run, entry),
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
        fingerprint=version.parts.get("base", ""),
    )
