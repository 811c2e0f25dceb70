"""What an export holds: the live documents of a release in the order of their ids, in shards.

The plan is made first, from a few short columns. The store keeps documents in the order in which they came, and
ids are digests, so where there are several shards one pass over the table deals the rows out, to a file each,
and then each shard is read and sorted alone: memory holds one shard, however large the corpus is.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.corpus.columns import EXPORT, STORED, exported
from cleancopy.errors import StoreError
from cleancopy.store import caption_table, releases, tables
from cleancopy.store.caption_table import CaptionShare
from cleancopy.store.paths import StorePath, store_errors

#: A shard has at most this many documents (350 MB of memory while it is made, at 4 kB a text) ...
SHARD_DOCUMENTS = 10_000
#: ... and, but for its last document, this many words.
SHARD_WORDS = 10_000_000
#: How many shards are dealt out in one pass: each needs an open file.
_AT_ONCE = 256
#: How many documents are sorted before they are dealt out.
_DEALT_ROWS = 8_192
_ABOUT = ["doc_id", "version_id", "site", "language", "licence", "words", "captured"]


@dataclass(frozen=True, slots=True)
class Shard:
    """A run of documents in the order of ids; ``start`` is the row of the first one in the plan."""

    number: int
    start: int
    first: str
    last: str
    documents: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The documents of an export, before any of them is read.

    ``as_of`` is the release that was asked for, None for the last one. ``content_root`` is SHA-256 over their
    sorted version ids: equal roots, equal documents. ``about`` is one row a document, sorted, with what a
    dataset card says of it.
    """

    root: StorePath
    release: int
    site: str | None
    max_documents: int | None
    content_root: str
    shards: tuple[Shard, ...]
    about: pa.Table = field(repr=False, compare=False)
    usage: Mapping[str, tuple[bool, str | None]] = field(repr=False, compare=False)
    as_of: int | None = None
    shard_documents: int = SHARD_DOCUMENTS
    without_reserved: bool = False

    @property
    def usage_sha256(self) -> str:
        """SHA-256 over what the owners of its documents said about their use."""
        documents = set(self.about.column("doc_id").to_pylist())
        statements = sorted((doc, *pair) for doc, pair in self.usage.items() if doc in documents)
        return hashlib.sha256(repr(statements).encode()).hexdigest()

    @property
    def documents(self) -> int:
        """How many documents it has."""
        return int(self.about.num_rows)

    @property
    def words(self) -> int:
        """How many words its texts have."""
        return pc.sum(self.about.column("words")).as_py() or 0


def plan(
    root: StorePath,
    *,
    as_of: int | None = None,
    site: str | None = None,
    max_documents: int | None = None,
    shard_documents: int = SHARD_DOCUMENTS,
    without_reserved: bool = False,
) -> Plan:
    """The live documents of a release (the last one by default), of one site where one is named.

    A document that is gone today is in no export, of whatever release. ``max_documents`` takes that
    many, the first by id; ids are digests, so they are a fair sample, and the same one every time.
    ``without_reserved`` leaves out what its owner reserved against mining or training when last captured, or
    has reserved since.
    """
    manifest = releases.current(root)
    if manifest is None:
        raise StoreError(f"{root}: nothing was published yet; run cleancopy ingest")
    release = manifest.release if as_of is None else as_of
    about = tables.latest(root, columns=_ABOUT, site=site, as_of=release, status="live")
    if release < manifest.release:
        gone = [doc for doc, head in tables.heads(root).items() if head.status == "gone"]
        about = about.filter(pc.invert(pc.is_in(about.column("doc_id"), pa.array(gone, pa.string()))))
    usage = tables.usage(root, release)
    if without_reserved:
        reserved = [doc for each in (usage, tables.usage(root)) for doc, pair in each.items() if pair[0]]
        about = about.filter(pc.invert(pc.is_in(about.column("doc_id"), pa.array(reserved, pa.string()))))
    about = about.sort_by("doc_id").slice(0, max_documents).combine_chunks()
    content_root = releases.content_root(about.column("version_id").to_pylist())
    shards = _shards(about, shard_documents)
    return Plan(
        root,
        release,
        site,
        max_documents,
        content_root,
        shards,
        about,
        usage,
        as_of,
        shard_documents,
        without_reserved,
    )


def shard_tables(chosen: Plan, wanted: Collection[int], work: Path) -> Iterator[tuple[Shard, pa.Table]]:
    """The wanted shards, each with its rows (schema ``EXPORT``) in the order of ids.

    ``work`` is a folder for the files that rows are dealt out to; it is emptied first and removed at the end.
    Let go of a table before the next one is asked for, or memory holds both.
    """
    shards = [shard for shard in chosen.shards if shard.number in wanted]
    shares = caption_table.shares(chosen.root, chosen.release) if shards else {}
    if len(chosen.shards) == 1:
        for shard in shards:
            yield shard, _sorted(pa.Table.from_batches(_batches(chosen, shards, shares), EXPORT))
        return
    for at in range(0, len(shards), _AT_ONCE):
        group = shards[at : at + _AT_ONCE]
        with store_errors(work, "dealing documents out to shards"):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            _deal(chosen, group, work, shares)
            for shard in group:
                with pa.OSFile(str(_dealt(work, shard))) as file, pa.ipc.open_stream(file) as stream:
                    table = _sorted(stream.read_all())
                _dealt(work, shard).unlink()
                yield shard, table
                del table
            shutil.rmtree(work)


def _shards(about: pa.Table, documents: int) -> tuple[Shard, ...]:
    """Runs of at most so many documents and about so many words; one, with nothing in it, for no documents."""
    ids = about.column("doc_id").to_pylist()
    edges, words = [0], 0
    for row, count in enumerate(about.column("words").to_pylist()):
        if row - edges[-1] >= documents or words >= SHARD_WORDS:
            edges.append(row)
            words = 0
        words += count
    if not ids:
        return (Shard(0, 0, "", "", 0),)
    runs = pairwise([*edges, len(ids)])
    return tuple(Shard(number, a, ids[a], ids[b - 1], b - a) for number, (a, b) in enumerate(runs))


def _batches(
    chosen: Plan, shards: Sequence[Shard], shares: Mapping[str, CaptionShare]
) -> Iterator[pa.RecordBatch]:
    """The rows of the shards as the store has them, one batch in memory at a time."""
    ids = chosen.about.column("doc_id")
    documents = {doc for shard in shards for doc in ids.slice(shard.start, shard.documents).to_pylist()}
    batches = tables.latest_batches(
        chosen.root, STORED, site=chosen.site, as_of=chosen.release, status="live", documents=documents
    )
    yield from (exported(batch, shares, chosen.usage) for batch in batches)


def _deal(chosen: Plan, shards: Sequence[Shard], work: Path, shares: Mapping[str, CaptionShare]) -> None:
    """Write every row of the shards to the file of its own."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as open_files:
        writers = []
        for shard in shards:
            file = open_files.enter_context(pa.OSFile(str(_dealt(work, shard)), "wb"))
            writers.append(open_files.enter_context(pa.ipc.new_stream(file, EXPORT, options=options)))
        waiting: list[pa.RecordBatch] = []
        for batch in _batches(chosen, shards, shares):
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= _DEALT_ROWS:
                _deal_rows(waiting, shards, writers)
                waiting = []
        _deal_rows(waiting, shards, writers)


def _deal_rows(
    batches: list[pa.RecordBatch], shards: Sequence[Shard], writers: Sequence[pa.ipc.RecordBatchStreamWriter]
) -> None:
    table = _sorted(pa.Table.from_batches(batches, EXPORT))
    ids = np.array(table.column("id").to_pylist(), dtype=str)
    edges = np.searchsorted(ids, [shard.last for shard in shards], side="right")
    for writer, (start, end) in zip(writers, pairwise([0, *map(int, edges)]), strict=True):
        if start < end:
            writer.write_table(table.slice(start, end - start))


def _sorted(table: pa.Table) -> pa.Table:
    # One chunk first: taking rows across many chunks of nested columns is far slower.
    return table.combine_chunks().sort_by("id")


def _dealt(work: Path, shard: Shard) -> Path:
    return work / f"{shard.number:05d}.arrow"
