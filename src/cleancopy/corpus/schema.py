"""The schema that readers of a corpus see: the stored columns, and columns derived from them as they are read.

What can be computed from other columns is not stored: half of the size of a store is texts, and a second copy
of the page text or of every offset would add much. ``cleancopy schema`` prints this schema, and
``docs/schema.md`` is made from it (``cleancopy schema --markdown``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.corpus.columns import BLOCK, SPAN, kept_blocks, kept_spans
from cleancopy.store.paths import StorePath, archive_folder
from cleancopy.store.schemas import ADDED, CAPTURES, DOCUMENTS, SCHEMA_VERSION


def _column(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


_PIECE = pa.struct(
    [
        _column("start", pa.int32(), "first code point in the clean text"),
        _column("page_start", pa.int32(), "the same code point in the page text"),
        _column("length", pa.int32(), "code points"),
    ]
)

DERIVED = pa.schema(
    [
        _column("text_blocks", pa.list_(BLOCK), "blocks of the clean text: text[start:end]", nullable=False),
        _column("spans", pa.list_(_PIECE), "where the clean text stands in the page text", nullable=False),
        _column("page_text", pa.string(), "the page text: text with every cut put back", nullable=False),
        _column("archive_uri", pa.string(), "URI of the WARC file that has the raw capture"),
        _column(
            "text_structure",
            pa.list_(SPAN),
            "structure of the clean text; null where the text is of before it was kept",
        ),
    ]
)
#: What ``Corpus.latest`` and ``Corpus.as_of`` give: the stored columns, then the derived ones.
CORPUS = pa.schema([*DOCUMENTS, *DERIVED])
#: The stored columns that each derived one is made of.
_MADE_OF: Mapping[str, tuple[str, ...]] = {
    "text_blocks": ("blocks", "cuts"),
    "spans": ("text", "cuts"),
    "page_text": ("text", "cuts"),
    "archive_uri": ("archive",),
    "text_structure": ("structure", "cuts"),
}


def stored_columns(columns: Sequence[str]) -> list[str]:
    """The stored columns that these columns are, or are made of."""
    return list(dict.fromkeys(part for name in columns for part in _MADE_OF.get(name, (name,))))


def derive(batch: pa.RecordBatch, columns: Sequence[str], root: StorePath) -> pa.RecordBatch:
    """A batch of stored columns as these columns of ``CORPUS``, in their order."""
    schema = pa.schema([CORPUS.field(name) for name in columns])
    arrays = [_derived(name, batch, root) if name in _MADE_OF else batch.column(name) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _derived(name: str, batch: pa.RecordBatch, root: StorePath) -> pa.Array:
    if name == "text_blocks":
        return kept_blocks(batch.column("blocks"), batch.column("cuts"))
    if name == "text_structure":
        return kept_spans(batch.column("structure"), batch.column("cuts"))
    if name == "spans":
        return _spans(batch.column("text"), batch.column("cuts"))
    if name == "page_text":
        return _page_texts(batch.column("text"), batch.column("cuts"))
    folder = archive_folder(root).absolute().as_uri()
    return pc.binary_join_element_wise(folder, pc.struct_field(batch.column("archive"), "file"), "/")


def _spans(texts: pa.StringArray, cuts: pa.ListArray) -> pa.ListArray:
    """What lies between the cuts of each row, all rows at once."""
    flat, counts = cuts.flatten(), cuts.value_lengths().to_numpy()
    start, end = (flat.field(edge).to_numpy().astype(np.int64) for edge in ("start", "end"))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    removed = np.concatenate([[0], np.cumsum(end - start)])
    cut = removed[first[1:]] - removed[first[:-1]]
    length = pc.utf8_length(texts).to_numpy().astype(np.int64)
    # A row with n cuts has n + 1 places for a span: after the beginning or a cut, before a cut or the end.
    begin = np.insert(end, first[:-1], 0)
    stop = np.insert(start, first[1:], length + cut)
    row = np.repeat(np.arange(len(texts)), counts + 1)
    before = np.insert(removed[1:], first[:-1], removed[first[:-1]]) - removed[first[row]]
    kept = begin < stop
    edges = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(texts)))])
    arrays = [pa.array(numbers[kept].astype(np.int32)) for numbers in (begin - before, begin, stop - begin)]
    structs = pa.StructArray.from_arrays(arrays, fields=list(_PIECE))
    return pa.ListArray.from_arrays(pa.array(edges.astype(np.int32)), structs, type=pa.list_(_PIECE))


def _page_texts(texts: pa.StringArray, cuts: pa.ListArray) -> pa.StringArray:
    flat = cuts.flatten()
    starts, removed = flat.field("start").to_pylist(), flat.field("text").to_pylist()
    edges = pairwise(accumulate(cuts.value_lengths().to_pylist(), initial=0))
    return pa.array(
        [
            _page_text(clean, starts[a:b], removed[a:b])
            for clean, (a, b) in zip(texts.to_pylist(), edges, strict=True)
        ],
        pa.string(),
    )


def _page_text(clean: str, starts: Sequence[int], removed: Sequence[str]) -> str:
    pieces, kept, page = [], 0, 0
    for start, text in zip(starts, removed, strict=True):
        pieces += [clean[kept : kept + start - page], text]
        kept += start - page
        page = start + len(text)
    return "".join([*pieces, clean[kept:]])


# ---- the schema in words


class Field(NamedTuple):
    """A field in words; ``since`` is the schema version that added it."""

    name: str
    type: str
    nullable: bool
    since: int
    meaning: str


#: The tables with what each is.
TABLES: Mapping[str, tuple[str, pa.Schema]] = {
    "documents": ("Stored, one row a document version.", DOCUMENTS),
    "derived": ("Columns that a corpus also gives, computed from the stored ones as they are read.", DERIVED),
    "captures": ("Stored, the ledger: one row an input that a run saw and that needed work.", CAPTURES),
}


def fields(schema: pa.Schema) -> Iterator[Field]:
    """The fields of a schema, those inside lists and structs after their column as ``column[].field``."""
    for field in schema:
        yield from _fields(field, "", ADDED.get(field.name, 1))


def _fields(field: pa.Field, prefix: str, since: int) -> Iterator[Field]:
    name = prefix + field.name
    yield Field(name, _type(field.type), field.nullable, since, (field.metadata or {})[b"comment"].decode())
    inner = field.type.value_type if pa.types.is_list(field.type) else field.type
    if pa.types.is_struct(inner):
        for child in inner:
            yield from _fields(child, f"{name}[]." if inner is not field.type else f"{name}.", since)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)


def as_json() -> dict[str, Any]:
    """The schema for programs: its version, and the fields of each table."""
    tables = {name: [field._asdict() for field in fields(schema)] for name, (_, schema) in TABLES.items()}
    return {"version": SCHEMA_VERSION, "tables": tables}


_PREFACE = f"""# The schema

Version {SCHEMA_VERSION}. Made by `cleancopy schema --markdown`; a test holds it to the code.

The schema only grows. A new version appends columns that may be null, and changes or drops none; a struct
never gets another field. Rows are never rewritten: a row written under an older version is read with null in
the columns that it lacks, and the Delta table takes new columns up with the next release. A store with columns
of a later version can be read, and is not written to until cleancopy is updated.

Offsets count Unicode code points, half open. Those of `cuts`, `blocks`, `structure`, `repairs` and `media` are
in the page text, those of `text_blocks` and `text_structure` in the clean text; `spans` leads from one to the
other. The page text is the clean text with the text of every cut put back at its `start`. `structure` is sorted
so that outer spans come first; it is null in rows of before schema 3, until `cleancopy reclean` has read the
capture again. Times are ISO 8601 UTC, digests hexadecimal. `x[].y` is
a field of each element of the list `x`.
"""


def as_markdown() -> str:
    """The schema for people, in Markdown."""
    return _PREFACE + "".join(
        f"\n## {name}\n\n{description}\n\n| field | type | null | since | meaning |\n|---|---|---|---|---|\n"
        + "".join(map(_row, fields(schema)))
        for name, (description, schema) in TABLES.items()
    )


def _row(field: Field) -> str:
    null = "yes" if field.nullable else "no"
    return f"| `{field.name}` | {field.type} | {null} | {field.since} | {field.meaning} |\n"
