"""What programs downstream read of a store: the corpus, now or as of a release, streamed in Arrow batches.

    corpus = cleancopy.open("clean")
    for batch in corpus.latest(["url", "title", "text"]):       # pyarrow.RecordBatch
        ...
    corpus.document("https://example.org/page").clean           # one document, whole
    corpus.diff(3, 4).changed                                   # what a release changed

Every method sees published releases only, and the last one at the time of the call. Streams are read once;
DuckDB, Polars and pandas accept them as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import pyarrow as pa

from cleancopy.corpus import schema
from cleancopy.corpus.captions import CaptionCluster, media_of, read_captions
from cleancopy.corpus.trace import Piece, pieces, source_of
from cleancopy.document import Document, doc_id
from cleancopy.errors import StoreError
from cleancopy.store import archive, releases, tables
from cleancopy.store.paths import StorePath, store_path
from cleancopy.store.releases import Manifest
from cleancopy.store.rows import Change, Status, Version
from cleancopy.store.schemas import SCHEMA_VERSION

#: Changes of what a page says; the others change only cleancopy's view of it.
CONTENT: frozenset[Change] = frozenset(["new", "source", "restored", "takedown"])


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a document between two releases.

    ``kind``: ``added`` is live in the second only, ``removed`` in the first only, ``changed`` in both with
    another text. ``changes`` are the reasons of the versions between, in order. ``before`` and ``after`` are
    the numbers (``seq``) of its versions, None where it had none.
    """

    doc_id: str
    key: str
    kind: Literal["added", "removed", "changed"]
    changes: tuple[Change, ...]
    before: int | None
    after: int | None

    @property
    def content(self) -> bool:
        """Whether the page itself changed; else only its chrome, the pipeline or its copies did."""
        return not CONTENT.isdisjoint(self.changes)


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """The differences between the live documents of two releases, by key."""

    before: int
    after: int
    documents: tuple[Difference, ...]

    @property
    def added(self) -> tuple[Difference, ...]:
        """The documents that came."""
        return tuple(difference for difference in self.documents if difference.kind == "added")

    @property
    def removed(self) -> tuple[Difference, ...]:
        """The documents that went: gone, or a copy of another by now."""
        return tuple(difference for difference in self.documents if difference.kind == "removed")

    @property
    def changed(self) -> tuple[Difference, ...]:
        """The documents whose text changed."""
        return tuple(difference for difference in self.documents if difference.kind == "changed")


@dataclass(frozen=True, slots=True)
class Corpus:
    """A store to read from; ``cleancopy.open`` makes one."""

    root: StorePath

    def latest(
        self,
        columns: Sequence[str] | None = None,
        *,
        site: str | None = None,
        status: Status | None = "live",
    ) -> pa.RecordBatchReader:
        """The documents of the last release, a row each, as a stream of Arrow batches.

        ``columns`` are names of ``cleancopy schema`` (all of them by default: name those you need, the others
        are not read then). ``site`` and ``status`` choose documents; ``status=None`` takes copies and
        documents that are gone, too.
        """
        return self.as_of(self._last(), columns, site=site, status=status)

    def as_of(
        self,
        release: int,
        columns: Sequence[str] | None = None,
        *,
        site: str | None = None,
        status: Status | None = "live",
    ) -> pa.RecordBatchReader:
        """The documents as they were in a release, as ``latest`` gives them; StoreError if there is none."""
        names = schema.CORPUS.names if columns is None else list(columns)
        if unknown := [name for name in names if name not in schema.CORPUS.names]:
            existing = ", ".join(schema.CORPUS.names)
            raise ValueError(f"{', '.join(unknown)}: there is no such column; there are {existing}")
        releases.read_manifest(self.root, release)
        batches = tables.latest_batches(
            self.root, schema.stored_columns(names), site=site, as_of=release, status=status
        )
        kind = pa.schema([schema.CORPUS.field(name) for name in names])
        return pa.RecordBatchReader.from_batches(kind, (schema.derive(b, names, self.root) for b in batches))

    def releases(self) -> list[Manifest]:
        """The manifests of all releases, oldest first."""
        return sorted(releases.newest_first(self.root), key=lambda manifest: manifest.release)

    def history(self, doc: str) -> list[Version]:
        """All versions of a document, oldest first; ``doc`` is its id, or its key (mostly its URL)."""
        versions = tables.history(self.root, _id(doc))
        if not versions:
            raise self._missing(doc)
        return versions

    def version(self, doc: str, as_of: int | None = None) -> Version:
        """A document's latest version, or the one that a release had."""
        version = tables.version(self.root, _id(doc), as_of)
        if version is None:
            raise self._missing(doc, as_of)
        return version

    def document(self, doc: str, as_of: int | None = None) -> Document:
        """A document as it stands, or stood in a release: text, blocks, cuts, metadata; see ``Document``."""
        return self.version(doc, as_of).document

    def diff(self, before: int, after: int) -> ReleaseDiff:
        """How the live documents of two releases differ; StoreError if there is no such release."""
        for release in (before, after):
            if release:
                releases.read_manifest(self.root, release)
        low, high = sorted((before, after))
        differences = tuple(
            sorted(
                _differences(self.root, low, high), key=lambda difference: (difference.key, difference.doc_id)
            )
        )
        return ReleaseDiff(
            before, after, differences if before <= after else tuple(map(_reversed, differences))
        )

    def capture(self, doc: str, as_of: int | None = None) -> bytes:
        """The bytes that a document was read from, from the archive; StoreError where they are not there."""
        return payload_of(self.root, self.version(doc, as_of))

    def trace(self, doc: str, start: int, end: int | None = None, as_of: int | None = None) -> list[Piece]:
        """What ``text[start:end]`` of a document (one character by default) was made of, step by step."""
        version = self.version(doc, as_of)
        source = source_of(version.document, payload_of(self.root, version))
        return pieces(version.document, source, start, start + 1 if end is None else end)

    def captions(self) -> list[CaptionCluster]:
        """The captions of the last release's live documents, those that most documents show first."""
        return read_captions(self.root)

    def media(self, doc: str, as_of: int | None = None) -> list[dict[str, Any]]:
        """A document's captions: the fields of each, its id, its cluster, how many documents show it."""
        return media_of(self.root, self.version(doc, as_of), as_of)

    def _last(self) -> int:
        manifest = releases.current(self.root)
        return manifest.release if manifest else 0

    def _missing(self, doc: str, as_of: int | None = None) -> StoreError:
        when = f" in release {as_of}" if as_of is not None else ""
        return StoreError(f"{doc}: {self.root} has no document with this id or key{when}; see cleancopy status")


def open(path: str | os.PathLike[str] = "clean") -> Corpus:
    """The corpus of a store, a folder or ``s3://bucket/prefix``; StoreError where nothing was published yet."""
    root = store_path(path)
    manifest = releases.current(root)
    if manifest is None:
        raise StoreError(f"{root}: nothing was published yet; run cleancopy ingest")
    if manifest.schema > SCHEMA_VERSION:
        raise StoreError(
            f"{root}: was written with schema {manifest.schema}, and this cleancopy knows {SCHEMA_VERSION}: "
            "update it"
        )
    return Corpus(root)


def payload_of(root: StorePath, version: Version) -> bytes:
    """The archived bytes of a version, checked; raises StoreError where the archive has none."""
    document = version.document
    if version.archive is None:
        raise StoreError(f"{document.key}: its capture was not archived; capture the page again and ingest it")
    return archive.read_capture(root, version.archive, document.payload_sha256 or None)


def _id(doc: str) -> str:
    return doc if re.fullmatch("[0-9a-f]{32}", doc) else doc_id(doc)


def _differences(root: StorePath, low: int, high: int) -> Iterator[Difference]:
    """How each document that got a version between two releases differs, if it does."""
    versions = tables.touched(root, low, high).sort_by([("doc_id", "ascending"), ("seq", "ascending")])
    names = ["doc_id", "key", "seq", "release", "status", "text_sha256", "change"]
    rows = list(zip(*(versions.column(name).to_pylist() for name in names), strict=True))
    for _, group in groupby(rows, key=itemgetter(0)):
        document_rows = [_Row(*row) for row in group]
        before = next((row for row in reversed(document_rows) if row.release <= low), None)
        if difference := _difference(
            before, document_rows[-1], tuple(r.change for r in document_rows if r.release > low)
        ):
            yield difference


@dataclass(frozen=True, slots=True)
class _Row:
    doc_id: str
    key: str
    seq: int
    release: int
    status: Status
    text_sha256: str
    change: Change


def _difference(before: _Row | None, after: _Row, changes: tuple[Change, ...]) -> Difference | None:
    was_live, is_live = before is not None and before.status == "live", after.status == "live"
    kind: Literal["added", "removed", "changed"]
    if was_live and is_live:
        if before is None or before.text_sha256 == after.text_sha256:
            return None
        kind = "changed"
    elif was_live or is_live:
        kind = "added" if is_live else "removed"
    else:
        return None
    return Difference(after.doc_id, after.key, kind, changes, before.seq if before else None, after.seq)


def _reversed(difference: Difference) -> Difference:
    """The difference seen from the later release."""
    kinds: dict[str, Literal["added", "removed", "changed"]] = {
        "added": "removed",
        "removed": "added",
        "changed": "changed",
    }
    return Difference(
        difference.doc_id,
        difference.key,
        kinds[difference.kind],
        difference.changes,
        difference.after,
        difference.before,
    )
