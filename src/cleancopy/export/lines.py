"""Exports of one line a document: their files, compressed or not, the same bytes wherever they are made."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import pyarrow as pa

from cleancopy.export.folder import building_file, writing
from cleancopy.export.selection import Plan, shard_tables

Compression = Literal["none", "gzip", "zstd"]
#: The suffix that each compression adds to a file's name.
SUFFIXES: dict[str, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
#: Level 3 of zstd is its default; level 6 of gzip is 40 % faster than 9 at hardly more bytes.
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3


@dataclass(frozen=True, slots=True)
class Lines:
    """How documents become lines: what a file begins with, and the lines of a table, many at a time."""

    header: bytes
    encode: Callable[[pa.Table], Iterator[bytes]]


def write_file(chosen: Plan, out: Path, lines: Lines, compression: str) -> None:
    """Write all documents of a plan to one file."""
    with building_file(out) as (file, work), stream(file, compression) as packed:
        packed.write(lines.header)
        for _, table in shard_tables(chosen, range(len(chosen.shards)), work):
            _write_rows(packed, lines, table)
            del table


def write_shard(path: Path, table: pa.Table, lines: Lines, compression: str) -> None:
    """Write the documents of one shard to a file of its own."""
    with writing(path) as file, stream(file, compression) as packed:
        packed.write(lines.header)
        _write_rows(packed, lines, table)


def _write_rows(packed: IO[bytes], lines: Lines, table: pa.Table) -> None:
    """Write the lines of a table to an open, compressing file."""
    for part in lines.encode(table):
        packed.write(part)


def by_suffix(path: Path) -> Compression:
    """The compression that a file's name asks for."""
    for name, suffix in SUFFIXES.items():
        if suffix and path.name.lower().endswith(suffix):
            return cast(Compression, name)
    return "none"


@contextmanager
def stream(file: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    """What to write to so that the file gets it compressed; neither name nor time go into a header."""
    if compression == "gzip":
        with gzip.GzipFile("", "wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as packed:
            yield cast(IO[bytes], packed)
    elif compression == "zstd":
        import zstandard

        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as packed:
            yield cast(IO[bytes], packed)
    else:
        yield file
