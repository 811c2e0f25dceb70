"""The bytes that a file of a store says, whatever packs them: gzip, zstd, zip, Parquet.

    for piece in contents(path, overlap):       pieces of a large file overlap by so many bytes

Of Parquet it is the text of every column, and its metadata; of an archive of one of the other kinds what it
inflates to, and also the file as it lies. What cannot be opened is given as it lies.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq

from cleancopy.extract.limits import GZIP_MAGIC, ZSTD_MAGIC
from cleancopy.store.paths import StorePath, open_bytes

PIECE = 1 << 22
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"


def contents(path: StorePath, overlap: int) -> Iterator[bytes]:
    """What a file says, in pieces."""
    with closing(open_bytes(path)) as file:
        start = file.read(4)
        file.seek(0)
        if start == _PARQUET:
            yield from parquet_text(file)
        elif start.startswith(GZIP_MAGIC):
            yield from overlapping(_gunzipped(file), overlap)
        elif start.startswith(ZSTD_MAGIC):
            with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
                yield from overlapping(_pieces(stream), overlap)
        elif start == _ZIP:
            with zipfile.ZipFile(io.BytesIO(file.read())) as packed:
                yield from (packed.read(name) for name in packed.namelist())
        else:
            yield from overlapping(_pieces(file), overlap)


def parquet_text(file: io.BufferedIOBase) -> Iterator[bytes]:
    """The text of every column of a Parquet file, a row group at a time, and what its footer says."""
    parquet = pq.ParquetFile(pa.PythonFile(file, mode="r"))
    yield repr(parquet.metadata.metadata).encode()
    for group in range(parquet.num_row_groups):
        for column in range(parquet.metadata.num_columns):
            statistics = parquet.metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                yield f"{statistics.min}\n{statistics.max}".encode("utf-8", "surrogatepass")
        for batch in parquet.iter_batches(batch_size=256, row_groups=[group]):
            yield from text_of(batch)


def text_of(batch: pa.RecordBatch) -> Iterator[bytes]:
    """The bytes of all text of a batch, of lists and structs, too; each column as it lies in memory."""
    for column in batch.columns:
        yield from _text_of(column)


def _text_of(column: pa.Array) -> Iterator[bytes]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        buffer = column.buffers()[2]
        if buffer is not None and len(column):
            first, end = _edges(column)
            yield buffer.slice(first, end - first).to_pybytes()
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _text_of(column.flatten())
    elif pa.types.is_struct(kind):
        for child in column.flatten():
            yield from _text_of(child)
    elif pa.types.is_dictionary(kind):
        yield from _text_of(column.dictionary_decode())


def _edges(column: pa.Array) -> tuple[int, int]:
    """Where in its buffer a column of text begins and ends, in bytes."""
    wide = pa.types.is_large_string(column.type)
    offsets = pa.Array.from_buffers(
        pa.int64() if wide else pa.int32(), column.offset + len(column) + 1, [None, column.buffers()[1]]
    )
    return offsets[column.offset].as_py(), offsets[column.offset + len(column)].as_py()


def overlapping(pieces: Iterator[bytes], overlap: int) -> Iterator[bytes]:
    """The pieces, each with the last bytes before it."""
    tail = b""
    for piece in pieces:
        whole = tail + piece
        yield whole
        tail = whole[-overlap:] if overlap else b""


def _pieces(file: io.BufferedIOBase) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _gunzipped(file: io.BufferedIOBase) -> Iterator[bytes]:
    """What the members of a gzip file inflate to; what does not inflate is given as it lies."""
    inflate, rest = zlib.decompressobj(31), b""
    while piece := rest or file.read(PIECE):
        rest = b""
        try:
            inflated = inflate.decompress(piece, PIECE)
        except zlib.error:
            yield piece
            yield from _pieces(file)
            return
        if inflated:
            yield inflated
        if inflate.eof:
            rest, inflate = inflate.unused_data, zlib.decompressobj(31)
        else:
            rest = inflate.unconsumed_tail
