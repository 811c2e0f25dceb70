"""CSV for spreadsheets: one row a live document, no cell that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pyarrow as pa

from cleancopy.export.lines import Lines
from cleancopy.export.writers import LinesWriter

#: What a person looks through in a spreadsheet; everything else is in the other exports.
COLUMNS = ("id", "url", "site", "title", "author", "date", "language", "licence", "captured", "words", "text")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_lines() -> Lines:
    """How documents become lines (RFC 4180, every cell quoted)."""
    return Lines((",".join(f'"{name}"' for name in COLUMNS) + "\r\n").encode(), encoded)


def encoded(table: pa.Table) -> Iterator[bytes]:
    """The lines of a table of ``EXPORT`` rows, many at a time."""
    for batch in table.select(list(COLUMNS)).to_batches(max_chunksize=256):
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, quoting=csv.QUOTE_ALL)
        for row in batch.to_pylist():
            writer.writerow([neutral(row[name]) for name in COLUMNS])
        yield lines.getvalue().encode()


def neutral(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before text that begins like one.

    See OWASP, CSV Injection. NUL, which CSV readers refuse, becomes U+FFFD.
    """
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "\ufffd")
    return "'" + value if value.lstrip(" ").startswith(_FORMULA) else value


WRITER = LinesWriter(".csv", lambda chosen: as_lines(), compression="none")
