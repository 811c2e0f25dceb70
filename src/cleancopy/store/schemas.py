"""The columns of the two tables, ``documents`` and ``captures``, with a comment on each.

The schema only grows: a new version appends columns that may be null (``ADDED``), and changes none. So rows of
every older version are read by all later ones, with null where they have no such column, and are never
rewritten; a table takes the new columns up when the next release is appended to it. A table that has columns
of a later version is refused for writing and can still be read.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa

SCHEMA_VERSION = 4
#: Columns by the schema version that added them; the others are of version 1.
ADDED = {
    "restored_from": 2,
    "structure": 3,
    "language_declared": 3,
    "language_confidence": 3,
    "reserved": 4,
    "usage": 4,
    "moved_from": 4,
}


def _column(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


_text, _whole, _long, _real = pa.string(), pa.int32(), pa.int64(), pa.float64()
_RANGE = pa.struct([_column("start", _whole, "first code point"), _column("end", _whole, "one past the last")])
ARCHIVE = pa.struct(
    [
        _column("file", _text, "WARC file below clean/archive"),
        _column("offset", _long, "byte at which the compressed record begins"),
        _column("length", _long, "bytes of the compressed record"),
        _column("record_id", _text, "WARC-Record-ID"),
    ]
)
CUT = pa.struct(
    [
        *_RANGE,
        _column("stage", _text, "the stage that took the range out"),
        _column("rule", _text, "stable short name of the rule"),
        _column("reason", _text, "the reason in words"),
        _column("evidence", _text, "the numbers behind it, a JSON object"),
        _column("text", _text, "the text that was cut"),
    ]
)
BLOCK = pa.struct(
    [
        *_RANGE,
        _column(
            "kind", _text, "heading, paragraph, list_item, table_row, quote, code, caption, credit, control"
        ),
        _column("level", _whole, "1-6 for headings, depth for list rows, else 0"),
        _column("path", _text, "XPath of the element, empty for plain text"),
        _column("link_share", _real, "share of characters inside links, 0-1"),
        _column("score", _real, "how sure the content stage is that it is main content, 0-1"),
        _column("why", _text, "that score in words"),
    ]
)
SPAN = pa.struct(
    [
        *_RANGE,
        _column(
            "kind",
            _text,
            "link, emphasis, strong, strike, code, sub, sup, formula, ruby, picture, footnote, note_mark; of "
            "whole blocks: list, item, term, description, quote, pre, table, cell, note",
        ),
        _column(
            "value",
            _text,
            "address of a link or picture, TeX of a formula, reading of a ruby, name of a footnote, ol, ul "
            "or dl for a list, language of a pre, header for a cell of one",
        ),
        _column("text", _text, "alt text of a picture, display for a formula on a line of its own"),
        _column("number", _whole, "where a numbered list begins, the number of an item"),
        _column("row", _whole, "row of a cell, from 0"),
        _column("column", _whole, "column of a cell, from 0"),
        _column("rows", _whole, "how many rows a cell covers"),
        _column("columns", _whole, "how many columns a cell covers"),
    ]
)
REPAIR = pa.struct(
    [*_RANGE, _column("rule", _text, "the rule"), _column("original", _text, "the text before the repair")]
)
MEDIA = pa.struct(
    [
        _column("caption", _text, "the caption"),
        _column("credit", _text, "who made the picture"),
        _column("title", _text, "the picture's title"),
        _column("identifiers", pa.list_(_text), "such as VIRIN numbers"),
        _column("occurrences", _whole, "how often the page shows the caption"),
        _column("places", pa.list_(_RANGE), "where in the page text"),
    ]
)
DECODING = pa.struct(
    [
        _column("encoding", _text, "the encoding that was chosen"),
        _column("rule", _text, "the rule that chose it"),
        _column("declared", _text, "what the page declares"),
        _column("detected", _text, "what was detected"),
        _column("replaced", _whole, "U+FFFD that stand for undecodable bytes"),
    ]
)

_required = partial(_column, nullable=False)

DOCUMENTS = pa.schema(
    [
        _required("doc_id", _text, "SHA-256 of the key, 32 hex digits: the document over all its versions"),
        _required(
            "seq", _whole, "number of the version within its document, from 1; the latest is the highest"
        ),
        _required("version_id", _text, "SHA-256 of doc_id, parent and text_sha256, 32 hex digits"),
        _column("parent", _text, "version_id of the version before"),
        _required("release", _whole, "the release that brought this version"),
        _required("status", _text, "live, duplicate or gone"),
        _required("change", _text, "new, source, pipeline, chrome, duplicate, captions, restored or takedown"),
        _column("duplicate_of", _text, "doc_id of the copy that stands for this document"),
        _required("match", _text, "evidence of the duplicate, a JSON object"),
        _required("key", _text, "canonical URL, or file: and the path below raw/"),
        _column("url", _text, "where the capture came from"),
        _column("site", _text, "the site that it belongs to"),
        _required("media_type", _text, "media type of the capture"),
        _column("title", _text, "what the page says of itself: title"),
        _column("author", _text, "author"),
        _column("date", _text, "publication date, ISO 8601"),
        _column("site_name", _text, "name of the site"),
        _column("description", _text, "description"),
        _column("language", _text, "the language that the text is written in, BCP 47"),
        _column(
            "licence", _text, "licence, an URL or a short name; conflict where the page contradicts itself"
        ),
        _column("canonical_url", _text, "the canonical URL that the page declares"),
        _required("text", _text, "the clean text: the page text without its cuts"),
        _required("cuts", pa.list_(CUT), "what was taken out; offsets are code points of the page text"),
        _required("blocks", pa.list_(BLOCK), "blocks of the page text"),
        _required("repairs", pa.list_(REPAIR), "where the page text differs from the decoded bytes"),
        _required("media", pa.list_(MEDIA), "captions lifted out of the page"),
        _column("decoding", DECODING, "how bytes became text"),
        _required("notes", pa.list_(_text), "remarks of the stages"),
        _required(
            "words",
            _whole,
            "words of the clean text; in scripts without spaces, letters",
        ),
        _required("text_sha256", _text, "SHA-256 of the clean text in UTF-8"),
        _required("page_sha256", _text, "SHA-256 of the page text in UTF-8"),
        _required("payload_sha256", _text, "SHA-256 of the capture's payload"),
        _column("archive", ARCHIVE, "where the raw capture is"),
        _column("captured", _text, "when it was captured, ISO 8601 UTC"),
        _required("fingerprint", _text, "digest of the pipeline that cleaned it"),
        _required("parts", _text, "what the fingerprint is made of, a JSON object"),
        _required("signature", pa.binary(), "MinHash signature, little-endian unsigned 32-bit integers"),
        _column("restored_from", _whole, "the release whose state a rollback brought back"),
        _column(
            "structure", pa.list_(SPAN), "spans of the page text: links, formulas, pictures, lists, tables, ..."
        ),
        _column("language_declared", _text, "the language that the page, or its source, declares, BCP 47"),
        _column("language_confidence", pa.float64(), "the share of the text that speaks for language, 0 to 1"),
    ]
)

CAPTURES = pa.schema(
    [
        _required("input", _text, "path or URL that was read"),
        _column("member", _text, "record inside the input"),
        _required("key", _text, "key of the document, empty where the input was rejected before it had one"),
        _required("doc_id", _text, "document id of the key"),
        _column("payload_sha256", _text, "SHA-256 of the payload"),
        _required("source", _text, "the source that brought it"),
        _column("url", _text, "where it came from"),
        _column("site", _text, "the site that it belongs to"),
        _column("captured", _text, "when it was captured, ISO 8601 UTC"),
        _required("outcome", _text, "new, unchanged, duplicate or rejected"),
        _column("kind", _text, "why it was rejected, one word"),
        _column("message", _text, "why it was rejected, in words"),
        _column("version_id", _text, "the version that it made or confirmed"),
        _column("archive", ARCHIVE, "where the raw capture is"),
        _required("fingerprint", _text, "digest of the pipeline"),
        _required("run", _text, "the run that saw it"),
        _required("release", _whole, "the release of that run"),
        _column(
            "reserved",
            pa.bool_(),
            "whether its owner then reserved it against mining or training; null where that was not looked at",
        ),
        _column(
            "usage",
            _text,
            "what its owner then said about its use, JSON pairs of place and statement, else null",
        ),
        _column(
            "moved_from", _text, "key of the address that answers that its page is here for good (301, 308)"
        ),
    ]
)
