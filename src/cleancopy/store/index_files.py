"""The files of the index of repetition: their columns and encoding, writing, reading and merging them.

Files never change: small ones are merged into new ones. Byte-stream split and zstd make a band 7 bytes (delta
encoding 6, but it reads four times as slowly). See benchmarks/repetition.py.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cleancopy.errors import StoreError
from cleancopy.minhash import Hashes, Signing
from cleancopy.store.paths import StorePath, file_digest, store_errors

Kind = Literal["texts", "bands", "pairs"]

KINDS: tuple[Kind, ...] = ("texts", "bands", "pairs")
RANGE = 1 << 48  # keys are smaller: see bands_of
ENTRIES = 1 << 20  # keys that are sorted at once: what bounds the memory
ROW_GROUP = 1 << 17
NUMBERS = pa.uint32()
PAIRS = pa.schema(
    [(name, NUMBERS) for name in ("left", "right", "shared", "left_size", "right_size")]
    + [("conflict", pa.int8())]  # 1, 0, or -1 where nobody asked
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of the index: its name, rows, bytes and digest (none in an index of an older cleancopy)."""

    name: str
    rows: int
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index as it stands: ``digests`` are the SHA-256 of its texts by number, the rest is in its files."""

    folder: Path
    signing: Signing
    texts: tuple[File, ...] = ()
    bands: tuple[File, ...] = ()
    pairs: tuple[File, ...] = ()
    digests: pa.Array = None
    home: StorePath | None = None  # where the files are shared, and the tag that the manifest had there
    tag: str = ""

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in all_files(self))

    @property
    def partitions(self) -> int:
        """Into how many ranges of keys the bands are best cut."""
        return -(-max(1, sum(file.rows for file in self.bands)) // ENTRIES)


def all_files(index: Index) -> tuple[File, ...]:
    return (*index.texts, *index.bands, *index.pairs)


def file_fault(path: StorePath, file: File, content: bool = False) -> str | None:
    """Why a file is not the one that the index names; its ``content`` is read only where that is asked for."""
    if not path.exists():
        return "is missing"
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes instead of {file.size}"
    if content and file.sha256 and (digest := file_digest(path)) != file.sha256:
        return f"was altered: its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}..."
    return None


def damaged(path: StorePath, cause: str) -> StoreError:
    return StoreError(
        f"{path}: the index is damaged, the file {cause}; run cleancopy maintain: it makes the index again "
        "from the corpus"
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        with store_errors(path, "reading the index"):
            yield
    except pa.ArrowException as error:
        raise damaged(path, f"cannot be read ({str(error).splitlines()[0]})") from error


# ---- reading


def read_file(index: Index, file: File, columns: Sequence[str] | None = None) -> pa.Table:
    """A file of the index, or some of its columns."""
    path = index.folder / file.name
    with readable(path), pq.ParquetFile(path, memory_map=True) as opened:
        return opened.read(columns, use_threads=False)


def column(index: Index, name: str) -> NDArray[np.uint8]:
    """One column of the texts by number, their byte strings as rows."""
    chunks = [chunk for file in index.texts for chunk in read_file(index, file, [name])[name].chunks]
    return np.concatenate([_matrix(chunk) for chunk in chunks])


def stored_sketches(index: Index) -> NDArray[np.uint32]:
    """The sketches of all texts by number."""
    if not index.texts:
        return np.empty((0, -(-index.signing.num_perm // 8)), np.uint32)
    return column(index, "sketch").view("<u4")


def read_slice(path: Path, partition: int, partitions: int) -> tuple[Hashes, NDArray[np.uint32]]:
    """The keys of one file that lie in a range, sorted, and the number of the text that has each."""
    low, high = partition * RANGE // partitions, (partition + 1) * RANGE // partitions
    with readable(path), pq.ParquetFile(path, memory_map=True) as file:
        groups = [i for i in range(file.num_row_groups) if _overlaps(file.metadata, i, low, high)]
        table = file.read_row_groups(groups, use_threads=False)
    keys = table["key"].to_numpy().view(np.uint64)
    start, stop = np.searchsorted(keys, np.array([low, high], np.uint64))
    return keys[start:stop], table["text"].to_numpy()[start:stop]


def _overlaps(metadata: pq.FileMetaData, group: int, low: int, high: int) -> bool:
    """Whether a row group may have keys of a range."""
    statistics = metadata.row_group(group).column(0).statistics
    return bool(statistics.min < high and statistics.max >= low)


# ---- writing


def write_file(index: Index, kind: Kind, parts: Iterable[pa.Table]) -> File:
    """Write tables to one new file, on the disk when this returns."""
    path = index.folder / f"{kind}-{uuid4().hex}.parquet"
    rows = 0
    with store_errors(path, "writing the index"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            writer: pq.ParquetWriter | None = None
            for table in parts:
                writer = writer or pq.ParquetWriter(file, table.schema, **_options(kind, table.schema))
                writer.write_table(table, row_group_size=ROW_GROUP)
                rows += table.num_rows
            if writer:
                writer.close()
            file.flush()
            os.fsync(file.fileno())
        return File(path.name, rows, path.stat().st_size, file_digest(path))


def _options(kind: Kind, schema: pa.Schema) -> dict[str, Any]:
    """How a file is encoded: digests and sketches are as good as random, so they are left as they are."""
    if kind == "texts":
        return {"compression": "none", "use_dictionary": False, "write_statistics": False}
    split = {name: "BYTE_STREAM_SPLIT" for name in schema.names if name != "conflict"}
    statistics = ["key"] if kind == "bands" else False
    return {
        "compression": "zstd",
        "use_dictionary": False,
        "column_encoding": split,
        "write_statistics": statistics,
    }


def sorted_bands(keys: Hashes, numbers: NDArray[np.uint32]) -> pa.Table:
    order = np.argsort(keys, kind="stable")
    return pa.table({"key": keys[order].view(np.int64), "text": numbers[order]})


def merged(index: Index) -> Index:
    """The index with the files at the end of each kind merged, where none is twice as large as what follows.

    So there are never more files than the logarithm of their rows, and a row is written so many times only.
    """
    return replace(
        index,
        texts=_merge(index, "texts", index.texts),
        bands=_merge(index, "bands", index.bands),
        pairs=_merge(index, "pairs", index.pairs),
    )


def _merge(index: Index, kind: Kind, files: tuple[File, ...]) -> tuple[File, ...]:
    first, rows = len(files) - 1, files[-1].rows if files else 0
    while first > 0 and files[first - 1].rows <= 2 * rows:
        first -= 1
        rows += files[first].rows
    if first >= len(files) - 1:
        return files
    return (*files[:first], write_file(index, kind, _joined(index, kind, files[first:])))


def _joined(index: Index, kind: Kind, files: Sequence[File]) -> Iterator[pa.Table]:
    """The rows of several files, in the order that their kind has."""
    if kind != "bands":
        yield from (read_file(index, file) for file in files)
        return
    parts = -(-sum(file.rows for file in files) // ENTRIES)
    for part in range(parts):
        slices = [read_slice(index.folder / file.name, part, parts) for file in files]
        yield sorted_bands(*map(np.concatenate, zip(*slices, strict=True)))


def sweep(index: Index) -> None:
    """Remove the files that the index does not name: merged ones, and what interrupted runs left."""
    with store_errors(index.folder, "removing old files of the index"):
        for path in unnamed_files(index.folder, {file.name for file in all_files(index)}):
            path.unlink(missing_ok=True)


def unnamed_files(folder: Path, named: Collection[str]) -> list[Path]:
    return sorted(
        path for path in [*folder.glob("*.parquet"), *folder.glob(".*.tmp")] if path.name not in named
    )


# ---- digests


def no_digests() -> pa.Array:
    return pa.array([], pa.binary(32))


def packed_digests(digests: Collection[str]) -> pa.Array:
    """Hexadecimal SHA-256 digests as 32 bytes each."""
    return byte_strings(np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32))


def byte_strings(matrix: NDArray[Any]) -> pa.Array:
    """The rows of a matrix as byte strings of one length."""
    width = matrix.shape[1] * matrix.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(matrix), [None, pa.py_buffer(np.ascontiguousarray(matrix).tobytes())]
    )


def _matrix(strings: pa.Array) -> NDArray[np.uint8]:
    """Byte strings of one length as the rows of a matrix."""
    width = strings.type.byte_width
    data = np.frombuffer(strings.buffers()[1], np.uint8)
    return data[strings.offset * width : (strings.offset + len(strings)) * width].reshape(-1, width)
