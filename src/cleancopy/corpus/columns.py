"""The columns of an export: stored rows made ready for readers who do not have the store.

Offsets of blocks and spans are in the clean text here, so that a chunker needs no parser; offsets of cuts and
captions stay in the page text, which is the clean text with the texts of the cuts put back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.stages.captions.clusters import caption_ids
from cleancopy.store import schemas
from cleancopy.store.caption_table import CaptionShare
from cleancopy.store.schemas import CAPTURES, DOCUMENTS

_text, _whole, _long = pa.string(), pa.int32(), pa.int64()


def _column(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


def _stored(name: str) -> pa.Field:
    """A column that is exported as it is stored."""
    return DOCUMENTS.field(name)


BLOCK = pa.struct(
    [
        _column(
            "kind", _text, "heading, paragraph, list_item, table_row, quote, code, caption, credit, control"
        ),
        _column("level", _whole, "1-6 for headings, depth for list rows, else 0"),
        _column("start", _whole, "first code point in the clean text"),
        _column("end", _whole, "one past the last"),
    ]
)
#: A span of the clean text: as it is stored, but for its offsets.
SPAN = pa.struct(
    [
        _column("start", _whole, "first code point in the clean text"),
        _column("end", _whole, "one past the last; a picture is empty and stands at start"),
        *list(schemas.SPAN)[2:],
    ]
)

MEDIA = pa.struct(
    [
        *DOCUMENTS.field("media").type.value_type,
        _column("caption_id", _text, "the caption in this document, as captions list --json names it"),
        _column(
            "cluster", _text, "the caption that stands for it in all its wordings, by that one's caption_id"
        ),
        _column("documents", _whole, "how many live documents of the corpus show it, in whatever wording"),
    ]
)

#: The schema of every export that has columns; the comments say what each holds.
EXPORT = pa.schema(
    [
        _column("id", _text, "the document over all its versions: SHA-256 of its key, 32 hex digits", False),
        _column("text", _text, "the clean text", False),
        *map(_stored, ["url", "site", "title", "author", "date", "site_name", "description"]),
        *map(_stored, ["language", "licence", "canonical_url", "captured", "key", "media_type", "words"]),
        _column("version", _text, "the version: SHA-256 of id, parent and text_sha256, 32 hex digits", False),
        *map(_stored, ["parent", "seq", "release", "change"]),
        *map(_stored, ["text_sha256", "page_sha256", "payload_sha256", "fingerprint"]),
        _column("warc_file", _text, "WARC file of the raw capture, below clean/archive"),
        _column("warc_offset", _long, "byte at which its compressed record begins"),
        _column("warc_length", _long, "bytes of the compressed record"),
        _column("warc_record_id", _text, "its WARC-Record-ID"),
        _column("blocks", pa.list_(BLOCK), "blocks of the clean text, in order", False),
        _stored("cuts"),
        _column("media", pa.list_(MEDIA), "captions lifted out of the page", False),
        *map(_stored, ["language_declared", "language_confidence"]),
        _column(
            "structure",
            pa.list_(SPAN),
            "spans of the clean text: links, formulas, pictures, lists, tables, ...; null where the text is of "
            "before they were kept",
        ),
        *map(CAPTURES.field, ["reserved", "usage"]),
    ]
)

_NAMES = {"id": "doc_id", "version": "version_id"}
_ARCHIVE = {
    "warc_file": "file",
    "warc_offset": "offset",
    "warc_length": "length",
    "warc_record_id": "record_id",
}
#: What an owner says of a document stands with its captures.
_OF_CAPTURES = ("reserved", "usage")
#: What an export reads of a stored row.
STORED = [
    *(_NAMES.get(name, name) for name in EXPORT.names if name not in {*_ARCHIVE, *_OF_CAPTURES}),
    "archive",
]


def exported(
    batch: pa.RecordBatch,
    shares: Mapping[str, CaptionShare],
    usage: Mapping[str, tuple[bool, str | None]],
) -> pa.RecordBatch:
    """Stored rows (the columns ``STORED``) as rows of an export; ``shares`` by the ids of captions.

    ``usage`` is what the owners of documents said, by doc_id (``tables.usage``).
    """
    given: dict[str, Any] = {
        name: pc.struct_field(batch.column("archive"), field) for name, field in _ARCHIVE.items()
    }
    given["blocks"] = kept_blocks(batch.column("blocks"), batch.column("cuts"))
    given["media"] = shared_media(batch.column("doc_id"), batch.column("media"), shares)
    given["structure"] = kept_spans(batch.column("structure"), batch.column("cuts"))
    usages = [usage.get(document, (None, None)) for document in batch.column("doc_id").to_pylist()]
    given |= {
        name: pa.array(map(itemgetter(at), usages), EXPORT.field(name).type)
        for at, name in enumerate(_OF_CAPTURES)
    }
    arrays = [given[n] if n in given else batch.column(_NAMES.get(n, n)) for n in EXPORT.names]
    return pa.RecordBatch.from_arrays(arrays, schema=EXPORT)


def shared_media(
    documents: pa.StringArray, media: pa.ListArray, shares: Mapping[str, CaptionShare]
) -> pa.ListArray:
    """The captions of each document with their ids, their clusters and how many documents show them."""
    lengths, flat = media.value_lengths().to_numpy(), media.flatten()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    captions, edges = flat.field("caption").to_pylist(), pairwise(offsets.tolist())
    ids = [
        caption
        for document, (start, end) in zip(documents.to_pylist(), edges, strict=True)
        for caption in caption_ids(document, captions[start:end])
    ]
    of_captions = [shares.get(caption) for caption in ids]
    added = [
        pa.array(ids, _text),
        pa.array([share and share.cluster for share in of_captions], _text),
        pa.array([share and share.documents for share in of_captions], _whole),
    ]
    arrays = [*(flat.field(part.name) for part in media.type.value_type), *added]
    structs = pa.StructArray.from_arrays(arrays, fields=list(MEDIA))
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=pa.list_(MEDIA))


def kept_blocks(blocks: pa.ListArray, cuts: pa.ListArray) -> pa.ListArray:
    """The blocks of each row that its cuts leave, with their offsets in the clean text."""
    start, end = (_edges(blocks, cuts, edge) for edge in ("start", "end"))
    return _kept(BLOCK, blocks, start, end, start < end)


def kept_spans(spans: pa.ListArray, cuts: pa.ListArray) -> pa.ListArray:
    """The spans of each row that its cuts leave, with their offsets in the clean text; a null stays one.

    A picture, which is empty, goes with the character at its place.
    """
    start, end = (_edges(spans, cuts, edge) for edge in ("start", "end"))
    is_empty = pc.equal(*(spans.flatten().field(edge) for edge in ("start", "end")))
    stands = start < _edges(spans, cuts, "start", 1)
    return _kept(SPAN, spans, start, end, (start < end) | (is_empty.to_numpy(zero_copy_only=False) & stands))


def _kept(kind: pa.StructType, lists: pa.ListArray, start: Any, end: Any, kept: Any) -> pa.ListArray:
    """The structs of each row that are kept, with the fields of ``kind`` and these offsets."""
    row = np.repeat(np.arange(len(lists)), _lengths(lists))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(lists)))])
    structs = lists.flatten().filter(pa.array(kept))
    moved = {"start": start, "end": end}
    arrays = [pa.array(moved[f.name][kept], _whole) if f.name in moved else structs.field(f.name) for f in kind]
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)),
        pa.StructArray.from_arrays(arrays, fields=list(kind)),
        type=pa.list_(kind),
        mask=lists.is_null() if lists.null_count else None,
    )


def _lengths(lists: pa.ListArray) -> Any:
    return lists.value_lengths().fill_null(0).to_numpy()


def _edges(lists: pa.ListArray, cuts: pa.ListArray, edge: str, by: int = 0) -> Any:
    """An offset of every struct of all rows (``by`` code points after it) in the clean texts.

    All rows at once: a row's offsets are shifted by its number times 2**32, so that one sorted array of cuts
    serves them all.
    """
    row = np.repeat(np.arange(len(lists), dtype=np.int64), _lengths(lists))
    position = lists.flatten().field(edge).to_numpy().astype(np.int64) + by
    return _moved(position, row, cuts.flatten(), cuts.value_lengths().to_numpy())


def _moved(position: Any, row: Any, cuts: pa.StructArray, lengths: Any) -> Any:
    """Positions in page texts as positions in the clean texts; one inside a cut becomes the cut's place."""
    start, end = (cuts.field(edge).to_numpy().astype(np.int64) for edge in ("start", "end"))
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shift = np.repeat(np.arange(len(lengths), dtype=np.int64) << 32, lengths)
    before = np.searchsorted(start + shift, position + (row << 32), side="left")
    removed = np.concatenate([[0], np.cumsum(end - start)])
    inside = np.zeros(len(position), dtype=np.int64)
    after_cut = before > first[row]
    inside[after_cut] = np.maximum(0, end[before[after_cut] - 1] - position[after_cut])
    return position - (removed[before] - removed[first[row]] - inside)
