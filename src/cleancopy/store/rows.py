"""Documents and ledger entries as rows of Arrow tables, and back without loss.

The row of a document version holds its clean text and, apart from it, every cut with its text, so the page text
can be rebuilt exactly. Rows are built column by column: one Python list a column, not one dictionary a row.
Free-form evidence is kept as JSON text with sorted keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar

import pyarrow as pa

from cleancopy.document import (
    Block,
    Cut,
    Decoding,
    Document,
    Evidence,
    Media,
    Metadata,
    Repair,
    Span,
    doc_id,
    erased_key,
    is_erased,
    version_id,
)
from cleancopy.errors import StoreError
from cleancopy.store import schemas
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.texts import text_array, word_counts
from cleancopy.version import has_spans

Status = Literal["live", "duplicate", "gone"]
Change = Literal["new", "source", "pipeline", "chrome", "duplicate", "captions", "restored", "takedown"]
Outcome = Literal["new", "unchanged", "duplicate", "rejected"]
T = TypeVar("T")

# A row group is written from one batch, and is the least that is read for one document: small enough to hold
# in memory and to decode in 20 ms, large enough to compress well (half of it costs 1 % more disk).
BATCH_ROWS = 5_000
BATCH_CHARACTERS = 4_000_000
#: The source of captures that are read again from the archive: of the ledger's entries that saw no input.
FROM_ARCHIVE = "@archive"


@dataclass(frozen=True, slots=True)
class Version:
    """A document as it stood in a release: one row of the documents table.

    A version is written when a document's text or status changes, ``change`` says why. ``seq`` counts a
    document's versions from 1, ``parent`` is the id of the one before. ``duplicate_of`` is the doc_id of the
    copy that stands for this document, ``match`` the evidence. ``parts`` are what ``fingerprint`` is made of.
    ``signature`` is the MinHash signature, num_perm little-endian unsigned 32-bit integers. ``restored_from``
    is the release that a rollback took this state from.
    """

    document: Document
    seq: int
    release: int
    status: Status = "live"
    change: Change = "new"
    parent: str | None = None
    fingerprint: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    captured: str | None = None
    archive: ArchiveRef | None = None
    duplicate_of: str | None = None
    match: Evidence = field(default_factory=dict)
    signature: bytes = field(default=b"", repr=False)
    restored_from: int | None = None
    erased_sha256: str = ""
    """Of a version that was erased the SHA-256 of its clean text: all that is left of it."""
    clean: str = field(init=False, repr=False, compare=False)
    """The document's clean text; made once, as most versions need it twice."""
    encoded: bytes | None = field(init=False, repr=False, compare=False)
    """The clean text in UTF-8; None where a lone surrogate stands in it."""
    text_sha256: str = field(init=False, repr=False)
    """The SHA-256 of the clean text in UTF-8, 64 hex digits."""

    def __post_init__(self) -> None:
        clean = self.document.clean
        encoded = _encoded(clean)
        digest = sha256(clean) if encoded is None else hashlib.sha256(encoded).hexdigest()
        object.__setattr__(self, "clean", clean)
        object.__setattr__(self, "encoded", encoded)
        object.__setattr__(self, "text_sha256", self.erased_sha256 or digest)

    @property
    def doc_id(self) -> str:
        """The document's identity over all its captures and versions."""
        return self.document.doc_id

    @property
    def version_id(self) -> str:
        """The id of this version: its document, its parent and its clean text."""
        return version_id(self.doc_id, self.parent, self.text_sha256)


def _encoded(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def erased_input(name: str) -> str:
    """What stands in place of the name of an input that was erased."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return name if is_erased(name) else erased_key(digest[:32])


def gone(version: Version) -> Version:
    """The version as that of a document that is no longer there; what it was stays in the releases before."""
    return replace(version, status="gone", duplicate_of=None, match={})


def taken_down(version: Version) -> Version:
    """The version as that of a document that was taken down: gone, and nothing of what its page said."""
    document = Document(
        key=version.document.key,
        text="",
        blocks=(),
        url=version.document.url,
        site=version.document.site,
        media_type=version.document.media_type,
        payload_sha256=version.document.payload_sha256,
    )
    return replace(gone(version), document=document, signature=b"")


class LedgerEntry(NamedTuple):
    """What became of one input that a run saw and that needed work: one row of the captures table.

    ``input`` is the path or URL that was read, ``member`` the record inside it (of a WARC). ``kind`` and
    ``message`` say why it was rejected. ``version_id`` is the version that the capture made or confirmed.
    ``usage`` is what the page's owner said about its use, as JSON, None where that is nothing; ``reserved``
    whether that reserves it, None where nobody looked. ``moved_from`` is the key of the address that answered
    that its page is here for good.
    """

    input: str
    outcome: Outcome
    release: int
    run: str
    key: str = ""
    member: str | None = None
    payload_sha256: str | None = None
    source: str = "raw"
    url: str | None = None
    site: str | None = None
    captured: str | None = None
    kind: str | None = None
    message: str | None = None
    version_id: str | None = None
    archive: ArchiveRef | None = None
    fingerprint: str = ""
    reserved: bool | None = None
    usage: str | None = None
    moved_from: str | None = None


def sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, 64 hex digits; a lone surrogate is hashed as if UTF-8 could hold it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def documents_to_table(versions: Iterable[Version]) -> pa.Table:
    """The rows of document versions; raises StoreError for a text that is not valid Unicode."""
    return _table(schemas.DOCUMENTS, list(versions), _document_columns)


def captures_to_table(entries: Iterable[LedgerEntry]) -> pa.Table:
    """The rows of ledger entries."""
    return _table(schemas.CAPTURES, list(entries), _capture_columns)


def document_batches(versions: Iterable[Version], size: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of document versions in batches of about ``size`` rows, as the versions come."""
    waiting: list[Version] = []
    characters = 0
    for version in versions:
        waiting.append(version)
        characters += len(version.document.text)
        if len(waiting) >= size or characters >= BATCH_CHARACTERS:
            yield from documents_to_table(waiting).to_batches()
            waiting, characters = [], 0
    if waiting:
        yield from documents_to_table(waiting).to_batches()


def capture_batches(entries: Iterable[LedgerEntry], size: int = 20_000) -> Iterator[pa.RecordBatch]:
    """The rows of ledger entries in batches of ``size``."""
    waiting: list[LedgerEntry] = []
    for entry in entries:
        waiting.append(entry)
        if len(waiting) >= size:
            yield from captures_to_table(waiting).to_batches()
            waiting = []
    if waiting:
        yield from captures_to_table(waiting).to_batches()


def table_to_versions(table: pa.Table | pa.RecordBatch) -> Iterator[Version]:
    """The versions of rows that have all columns, or all of an older schema.

    ``blocks`` and ``structure`` may be left out.
    """
    batches = table.to_batches() if isinstance(table, pa.Table) else [table]
    for batch in batches:
        yield from _versions(batch)


def row_to_document(row: pa.Table | pa.RecordBatch) -> Document:
    """The document of a single row that has all columns."""
    (version,) = table_to_versions(row)
    return version.document


# ---- to columns


def _table(schema: pa.Schema, rows: list[T], columns: Callable[[list[T]], Mapping[str, Any]]) -> pa.Table:
    """A table of rows; columns that the mapping does not give are attributes of the rows."""
    try:
        given = columns(rows)
        arrays = [
            _array(given[name] if name in given else list(map(attrgetter(name), rows)), kind)
            for name, kind in zip(schema.names, schema.types, strict=True)
        ]
    except UnicodeEncodeError as error:
        if len(rows) > 1:
            _first_not_unicode(schema, rows, columns)
        row: Any = rows[0]
        key = getattr(row, "document", row).key
        raise StoreError(
            f"{key!a}: a text of this document holds a lone surrogate, which UTF-8 cannot hold; "
            "replace it with U+FFFD before the document is stored"
        ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _document_columns(rows: list[Version]) -> dict[str, Any]:
    documents = [row.document for row in rows]
    clean = text_array([row.encoded if row.encoded is not None else row.clean.encode() for row in rows])
    ids = [document.doc_id for document in documents]
    digests = [row.text_sha256 for row in rows]
    columns: dict[str, Any] = {
        name: list(map(attrgetter(name), documents))
        for name in ("key", "url", "site", "media_type", "notes", "payload_sha256")
    }
    metadata = [document.metadata for document in documents]
    columns |= {name: list(map(attrgetter(name), metadata)) for name in _OF_METADATA}
    return columns | {
        "doc_id": ids,
        "version_id": [
            version_id(doc_id, row.parent, digest)
            for doc_id, row, digest in zip(ids, rows, digests, strict=True)
        ],
        "text": clean,
        "words": pa.array(word_counts(clean)),
        "text_sha256": digests,
        "page_sha256": [
            sha256(document.text) if document.cuts else digest
            for document, digest in zip(documents, digests, strict=True)
        ],
        "match": _to_json([row.match for row in rows]),
        "parts": _shared_json([row.parts for row in rows]),
        "cuts": _lists([document.cuts for document in documents], partial(_cuts, documents)),
        "blocks": _lists([document.blocks for document in documents], partial(_structs, schemas.BLOCK)),
        "repairs": _lists([document.repairs for document in documents], partial(_structs, schemas.REPAIR)),
        "structure": _structure(rows),
        "media": _lists([document.media for document in documents], _media),
        "decoding": _optional_structs(schemas.DECODING, [document.decoding for document in documents]),
        "archive": _optional_structs(schemas.ARCHIVE, [row.archive for row in rows]),
    }


def _capture_columns(rows: list[LedgerEntry]) -> dict[str, Any]:
    return {
        "doc_id": [doc_id(row.key) for row in rows],
        "archive": _optional_structs(schemas.ARCHIVE, [row.archive for row in rows]),
    }


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _structs(
    kind: pa.StructType, objects: Sequence[Any], given: Mapping[str, Any] | None = None
) -> pa.StructArray:
    """Objects as structs: a field is ``given``, or the attribute of that name.

    Tuples begin with the fields in their order; all of them are taken apart at once, three times as fast.
    """
    columns = dict(given or {})
    if objects and isinstance(objects[0], tuple):
        columns = {
            f.name: column for f, column in zip(kind, zip(*objects, strict=True), strict=False)
        } | columns
    arrays = [_array(columns.get(f.name) or list(map(attrgetter(f.name), objects)), f.type) for f in kind]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _optional_structs(kind: pa.StructType, objects: Sequence[Any]) -> pa.StructArray:
    """Objects or None as structs or nulls."""
    if all(item is not None for item in objects):
        return _structs(kind, objects)
    arrays = [pa.array([None if o is None else getattr(o, f.name) for o in objects], f.type) for f in kind]
    missing = pa.array([o is None for o in objects], pa.bool_())
    return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=missing)


def _lists(columns: list[tuple[T, ...]], structs: Callable[[list[T]], pa.StructArray]) -> pa.ListArray:
    """One list of structs a row, from one flat array."""
    values = structs(list(chain.from_iterable(columns)))
    offsets = pa.array(accumulate(map(len, columns), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


def _structure(rows: list[Version]) -> pa.ListArray:
    """The spans of each row; null, not empty, where it was read before spans were kept."""
    lists = _lists([row.document.spans for row in rows], partial(_structs, schemas.SPAN))
    missing = [not (row.document.spans or has_spans(row.parts)) for row in rows]
    if not any(missing):
        return lists
    return pa.ListArray.from_arrays(lists.offsets, lists.values, mask=pa.array(missing, pa.bool_()))


def _cuts(documents: list[Document], cuts: list[Cut]) -> pa.StructArray:
    texts = [document.text[cut.start : cut.end] for document in documents for cut in document.cuts]
    return _structs(schemas.CUT, cuts, {"evidence": _to_json([cut.evidence for cut in cuts]), "text": texts})


def _media(media: list[Media]) -> pa.StructArray:
    places = [[{"start": start, "end": end} for start, end in caption.places] for caption in media]
    return _structs(schemas.MEDIA, media, {"places": places})


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _to_json(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The JSON of each mapping, encoded in one go and split: four times as fast as one by one."""
    if not any(mappings):
        return ["{}"] * len(mappings)
    pieces = _encode(list(map(dict, mappings)))[2:-2].split("},{")
    if len(pieces) == len(mappings):
        return [f"{{{piece}}}" for piece in pieces]
    # A string among the values holds the separator, or there is nothing to encode.
    return [_encode(dict(mapping)) for mapping in mappings]


def _shared_json(mappings: list[Mapping[str, Any]]) -> list[str]:
    """The JSON of mappings that are mostly one and the same object."""
    distinct = {id(mapping): mapping for mapping in mappings}
    encoded = dict(zip(distinct, _to_json(list(distinct.values())), strict=True))
    return [encoded[id(mapping)] for mapping in mappings]


def _first_not_unicode(
    schema: pa.Schema, rows: Sequence[T], columns: Callable[[list[T]], Mapping[str, Any]]
) -> None:
    """Make the row that cannot be stored known by building the rows one by one."""
    for row in rows:
        _table(schema, [row], columns)


# ---- from columns


def _versions(batch: pa.RecordBatch) -> Iterator[Version]:
    there = set(batch.schema.names)
    older = [name for name in schemas.ADDED if name not in there and name in _PLAIN]
    columns = {name: batch.column(name).to_pylist() for name in _PLAIN if name not in older}
    columns |= {name: [None] * batch.num_rows for name in older}
    cuts, removed = _cuts_of(batch.column("cuts"))
    documents = _documents(batch, columns, cuts, removed)
    archives = _optional(ArchiveRef, batch.column("archive"))
    columns["match"] = _from_json(columns["match"])
    columns["parts"] = _from_json(columns["parts"])
    digests = batch.column("text_sha256") if "text_sha256" in there else pa.nulls(batch.num_rows, pa.string())
    for row, (document, archive, *values) in enumerate(
        zip(documents, archives, *(columns[n] for n in _OF_VERSION), strict=True)
    ):
        erased = digests[row].as_py() or "" if is_erased(document.key) else ""
        named = dict(zip(_OF_VERSION, values, strict=True))
        yield Version(document=document, archive=archive, erased_sha256=erased, **named)


def _documents(
    batch: pa.RecordBatch,
    columns: Mapping[str, list[Any]],
    cuts: list[tuple[Cut, ...]],
    removed: list[tuple[str, ...]],
) -> Iterator[Document]:
    given: dict[str, Iterable[Any]] = {
        "text": map(_page_text, columns["text"], cuts, removed),
        "cuts": cuts,
        "blocks": _blocks(batch),
        "repairs": _tuples(batch.column("repairs"), partial(_objects, Repair)),
        "spans": _spans(batch),
        "media": _tuples(batch.column("media"), _media_of),
        "metadata": map(Metadata, *(columns[name] for name in _OF_METADATA)),
        "decoding": _optional(Decoding, batch.column("decoding")),
        "notes": map(tuple, columns["notes"]),
    }
    names = [f.name for f in fields(Document)]
    for values in zip(*(given.get(name) or columns[name] for name in names), strict=True):
        yield Document(**dict(zip(names, values, strict=True)))


def _blocks(batch: pa.RecordBatch) -> list[tuple[Block, ...]]:
    """The blocks of each row; none where their column was not read."""
    if "blocks" not in batch.schema.names:
        return [()] * batch.num_rows
    return _tuples(batch.column("blocks"), partial(_objects, Block))


def _spans(batch: pa.RecordBatch) -> list[tuple[Span, ...]]:
    """The spans of each row; none where their column was not read, or is of before they were."""
    if "structure" not in batch.schema.names or batch.column("structure").null_count == batch.num_rows:
        return [()] * batch.num_rows
    return _tuples(batch.column("structure").fill_null([]), partial(_objects, Span))


def _page_text(clean: str, cuts: Sequence[Cut], removed: Sequence[str]) -> str:
    """The page text: the clean text with every cut put back where it was."""
    pieces, kept, page = [], 0, 0
    for cut, text in zip(cuts, removed, strict=True):
        pieces += [clean[kept : kept + cut.start - page], text]
        kept += cut.start - page
        page = cut.end
    return "".join([*pieces, clean[kept:]])


def _tuples(array: pa.ListArray, objects: Callable[[pa.StructArray], list[T]]) -> list[tuple[T, ...]]:
    """The tuple of objects of each row, from lists of structs."""
    flat = objects(array.flatten())
    edges = accumulate(array.value_lengths().to_pylist(), initial=0)
    return [tuple(flat[start:end]) for start, end in pairwise(edges)]


def _objects(kind: Callable[..., T], array: pa.StructArray) -> list[T]:
    """Structs as objects whose first fields are the struct's fields, in order."""
    return list(map(kind, *(child.to_pylist() for child in array.flatten())))


def _optional(kind: Callable[..., T], array: pa.StructArray) -> list[T | None]:
    present = array.is_valid().to_pylist()
    children = [child.to_pylist() for child in array.flatten()]
    return [kind(*values) if there else None for there, *values in zip(present, *children, strict=True)]


def _cuts_of(array: pa.ListArray) -> tuple[list[tuple[Cut, ...]], list[tuple[str, ...]]]:
    """The cuts of each row, and the texts that they took out."""

    def cuts(structs: pa.StructArray) -> list[Cut]:
        *plain, evidence, _ = (child.to_pylist() for child in structs.flatten())
        return list(map(Cut, *plain, _from_json(evidence)))

    return _tuples(array, cuts), _tuples(array, lambda structs: structs.field("text").to_pylist())


def _media_of(structs: pa.StructArray) -> list[Media]:
    return [
        Media(
            **{
                **fields,
                "identifiers": tuple(fields["identifiers"]),
                "places": tuple((place["start"], place["end"]) for place in fields["places"]),
            }
        )
        for fields in structs.to_pylist()
    ]


def _from_json(texts: Iterable[str]) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    return objects


_OF_METADATA = Metadata._fields
_APART = ("document", "archive", "erased_sha256")
_OF_VERSION = [f.name for f in fields(Version) if f.init and f.name not in _APART]
_OF_DOCUMENT = ["key", "url", "site", "media_type", "payload_sha256", "text", "notes"]
_PLAIN = [*_OF_METADATA, *_OF_VERSION, *_OF_DOCUMENT]
