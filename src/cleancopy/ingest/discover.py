"""The first step of an ingest: all inputs, files and what was fetched, left in shards.

Inputs lie in the run's spool files, shard by shard, with a stamp: what an interrupted run read of the same
inputs, unchanged, is not read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from cleancopy.errors import Rejection
from cleancopy.ingest.run import Run
from cleancopy.sources.files import Facts, Input, RejectedInput, described_by, find_inputs, is_list, printable
from cleancopy.sources.web.crawl import Listed, Missing, Page, crawl, read_dropped
from cleancopy.store import archive
from cleancopy.store.rows import LedgerEntry
from cleancopy.store.spool import Spool, read_spool
from cleancopy.warc.address import canonical_url

#: Inputs, and their bytes, that make a shard full: enough work to make a task's own cost (11-34 ms) vanish.
SHARD_INPUTS, SHARD_BYTES = 2_000, 1 << 27
#: What is known of a file of which nothing beside it says anything.
NO_FACTS = Facts()

#: A file; one that is rejected; a fetched page; an address that gave none; a sitemap or feed.
AnyInput = Input | RejectedInput | Page | Missing | Listed


def discover(run: Run) -> int:
    """Leave all inputs of the run in shards, files by name, then what was fetched; how many shards there are.

    Reads folders and the web; what is fetched is archived. Raises PolicyError for a wrong path.
    """
    shards = 0
    for shard, stamp in _shards(_inputs(run)):
        _leave(run, shards, shard, stamp)
        shards += 1
    return shards


def local_inputs(run: Run) -> Iterator[Input | RejectedInput]:
    """What lies on this machine: below the run's paths, and in its sources of files and archives."""
    if run.paths:
        yield from find_inputs(run.paths, run.raw)
    for source in run.sources:
        for item in find_inputs(source.paths, run.raw) if source.paths else ():
            if isinstance(item, RejectedInput):
                yield item
            elif source.kind == "warc" or source.takes(item.name):
                yield item._replace(source=source)


def _inputs(run: Run) -> Iterator[AnyInput]:
    """Every input once; the lists among the files, sitemaps and feeds, are asked for what they name."""
    lists: list[Input] = []
    seen: set[str] = set()
    for item in local_inputs(run):
        if item.name in seen:
            continue
        seen.add(item.name)
        if isinstance(item, Input) and is_list(item):
            lists.append(item)
        else:
            yield item
    yield from _from_web(run, lists)


# ---- the web


def _from_web(run: Run, lists: Sequence[Input]) -> Iterator[AnyInput]:
    """What the run's sources on the web give, and the sitemaps and feeds among its files."""
    sources = [source for source in run.sources if not source.is_local]
    fetched, mark = run.spool("web", 0), run.spool("asked", 0)
    stamp = "".join(digest for _, digest in _shards(lists))
    if not mark.is_file() or mark.read_text() != stamp:  # an interrupted run asked by other lists
        fetched.unlink(missing_ok=True)
        mark.write_text(stamp)
    if not fetched.exists() and (sources or lists):
        with Spool(fetched) as spool:
            named = read_dropped(lists, run.policy.limits, run.workers, spool.append)
            crawl(
                [*sources, *named],
                run.fetching,
                limits=run.policy.limits,
                root=run.root,
                name=run.name,
                work=run.work,
                workers=run.workers,
                held=partial(_archived_before, run),
                emit=spool.append,
                refused=partial(_taken_down, run),
                taken_down=partial(_is_down, run) if run.snapshot.decisions.takes_down else None,
            )
    yield from read_spool(fetched) if fetched.exists() else ()


def _taken_down(run: Run, url: str, site: str | None) -> str | None:
    """Why an address must not be asked for: someone took it, or its site, down. None where nobody did."""
    key = canonical_url(url)
    entry = LedgerEntry(
        url, "new", run.release, run.name, key=key, url=url, site=site or urlsplit(key).hostname
    )
    return run.snapshot.decisions.rejection(entry)


def _is_down(run: Run, url: str, payload: str | None) -> str | None:
    """Why what came back must not be archived: its address, where that leads, or its payload is down."""
    try:
        key = canonical_url(url)
    except Rejection:
        key = ""
    site = urlsplit(key).hostname
    entry = LedgerEntry(url, "new", run.release, run.name, key=key, url=url, site=site, payload_sha256=payload)
    return run.snapshot.decisions.rejection(entry)


def _archived_before(run: Run, asked: str, url: str, payload: str) -> archive.ArchiveRef | None:
    """Where the archive has a payload, if an address gave it the last time that it gave anything."""
    last = run.snapshot.ledger.last.get((printable(asked), None, canonical_url(url)))
    return run.snapshot.archived.get(payload) if last == payload else None


# ---- shards


def _shards(inputs: Iterable[AnyInput]) -> Iterator[tuple[list[AnyInput], str]]:
    """Inputs in shards, each with a digest of its inputs as they are now: names, sizes, times."""
    shard: list[AnyInput] = []
    digest, size = hashlib.sha256(), 0
    for item in inputs:
        length, state = _state(item)
        digest.update(repr((item.name, state)).encode("utf-8", "surrogatepass"))
        shard.append(item)
        size += length
        if len(shard) == SHARD_INPUTS or size >= SHARD_BYTES:
            yield shard, digest.hexdigest()
            shard, digest, size = [], hashlib.sha256(), 0
    if shard:
        yield shard, digest.hexdigest()


def _state(item: AnyInput) -> tuple[int, object]:
    """How many bytes an input has, and what shows that it has changed."""
    if isinstance(item, Input):
        facts = item.facts if item.facts != NO_FACTS else None
        return item.state[0], (item.state, facts, described_by(item))
    return item.got.ref.length if isinstance(item, Page) else 0, item


def _leave(run: Run, number: int, shard: list[AnyInput], stamp: str) -> None:
    """Leave a shard of inputs; what an interrupted run has read of the same inputs, unchanged, stays."""
    before = run.spool("stamp", number)
    if not before.is_file() or before.read_text() != stamp:
        run.spool("read", number).unlink(missing_ok=True)
        before.write_text(stamp)
    with Spool(run.spool("inputs", number)) as spool:
        spool.append(shard)  # as one: what they share is written and read once
