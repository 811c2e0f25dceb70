"""The index of repetition: what is known of the corpus's texts and of pairs of them, kept from run to run.

    clean/index/manifest.json        how texts are signed, and which files belong to the index; written last
    clean/index/texts-*.parquet      digest and sketch of each text; a text's number is its place in all of them
    clean/index/bands-*.parquet      key of each band of each text, with the text's number, sorted by key
    clean/index/pairs-*.parquet      what two texts share, and whether a slot conflict stands between them

In an object store the files are shared, and each machine has copies of them (``layout.scratch``): what is new
is fetched before and stored after, the manifest only where no other run was faster; what it then lacks is added
when it is next asked for.

All of this are facts about texts, under one way of signing, and never decisions: a text's bands and what it
shares with another stay true whatever becomes of its documents. So nothing in the index is ever wrong, even
after a kill or for a release that was never published; what it lacks is added when it is next asked for, and an
index that is gone or has lost a file is made again from the corpus. Files never change: small ones are merged
into new ones. ``faults`` holds each against its digest, ``mend`` makes good what it finds.

``candidates`` gives the pairs of one range of keys from the files alone, so ranges can go to many machines. It
works with numpy on sorted keys rather than in DuckDB, since that is less code and less work: of 1,000,000 texts
(14 million keys) it reads the files and finds all pairs in 0.9 CPU seconds, where DuckDB finds the keys that
texts share in 3 and with the texts in 4.4; to join the keys of 10,000 new texts alone takes DuckDB 0.3, numpy
0.03. Byte-stream split and zstd make a band 7 bytes (delta encoding 6, but it reads four times as slowly). See
benchmarks/repetition.py.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cleancopy.errors import StoreError
from cleancopy.minhash import NORMALISATION, Candidates, Hashes, Signing, pair_up, sign, sketches, union
from cleancopy.stages.duplicates import BUCKET, ROWS, Candidate, Facts, Proposed, bands_of
from cleancopy.store import tables
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    file_digest,
    is_shared,
    list_names,
    read_versioned,
    replace_marked,
    scratch_folder,
    store_errors,
    sync_folder,
)

Kind = Literal["texts", "bands", "pairs"]

_KINDS: tuple[Kind, ...] = ("texts", "bands", "pairs")
FORMAT = 1
RANGE = 1 << 48  # keys are smaller: see bands_of
ENTRIES = 1 << 20  # keys that are sorted at once: what bounds the memory
ROW_GROUP = 1 << 17
_DAY = 86_400.0
AT_ONCE = 50_000  # stored texts that are signed before they are written
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
        return sum(file.size for file in _files(self))

    @property
    def partitions(self) -> int:
        """Into how many ranges of keys the bands are best cut."""
        return -(-max(1, sum(file.rows for file in self.bands)) // ENTRIES)


def folder(root: StorePath) -> Path:
    """The folder of a store's index, on this machine."""
    return scratch_folder(root) / "index"


def load(root: StorePath, signing: Signing) -> Index:
    """The index of a store; an empty one where there is none, or where it has lost a file.

    Raises StoreError where it was made under another way of signing, or a file cannot be read.
    """
    index = check(root, signing)
    if index.home:
        _fetch(index)
    if any(_fault(index.folder / file.name, file) for file in _files(index)):
        return replace(index, texts=(), bands=(), pairs=())
    return replace(index, digests=_binary(_column(index, "digest"))) if index.texts else index


def check(root: StorePath, signing: Signing) -> Index:
    """The index without its digests: only its manifest is read. Empty where that is missing or damaged.

    Raises StoreError where it was made under another way of signing.
    """
    path = root / "index" / "manifest.json"
    text, tag = _state(path)
    empty = Index(folder(root), signing, digests=_no_digests(), home=_home(root), tag=tag)
    try:
        files, settings = _parsed(text)
    except (ValueError, KeyError, TypeError):
        return empty
    _check_settings(path, settings, _settings(signing))
    return replace(empty, **files)


def _state(path: StorePath) -> tuple[bytes, str]:
    with store_errors(path, "reading the index"):
        return read_versioned(path)


def _parsed(text: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files of a manifest by kind, and its settings; ValueError, KeyError or TypeError where it is none."""
    manifest = json.loads(text)
    files: dict[str, Any] = {kind: tuple(File(**file) for file in manifest[kind]) for kind in _KINDS}
    return files, {**manifest["settings"]}


def _home(root: StorePath) -> StorePath | None:
    return root / "index" if is_shared(root) else None


def add(index: Index, digests: Sequence[str], signatures: NDArray[np.uint32]) -> Index:
    """The index with more texts, by their SHA-256 (64 hex digits) and signatures; known ones are left out.

    Their files are written, but belong to the index on disk only after ``commit``.
    """
    _, first = np.unique(np.array(digests, str), return_index=True)
    packed = _packed([digests[i] for i in first.tolist()])
    known = pc.index_in(index.digests, packed).drop_null().to_numpy()
    chosen = np.setdiff1d(np.arange(len(first)), known)
    if not len(chosen):
        return index
    packed, new = packed.take(pa.array(chosen)), first[chosen]
    start = len(index.digests)
    keys = bands_of(signatures[new])
    numbers = np.repeat(np.arange(start, start + len(new), dtype=np.uint32), keys.shape[1])
    texts = pa.table({"digest": packed, "sketch": _binary(sketches(signatures[new]))})
    return replace(
        index,
        texts=(*index.texts, _write(index, "texts", [texts])),
        bands=(*index.bands, _write(index, "bands", [_sorted_bands(keys.ravel(), numbers)])),
        digests=pa.concat_arrays([index.digests, packed]),
    )


def lacking(index: Index, digests: Sequence[str]) -> list[str]:
    """Those of the digests that the index has no text for, in their order."""
    known = pc.is_valid(pc.index_in(_packed(digests), index.digests)).to_numpy(zero_copy_only=False)
    return [digests[i] for i in np.flatnonzero(~known).tolist()]


def catch_up(index: Index, root: StorePath, documents: Collection[str] | None = None) -> Index:
    """The index with the latest texts of stored documents (ids; None: of all), signed anew."""
    if documents is not None and not documents:
        return index
    digests: list[str] = []
    signatures: list[NDArray[np.uint32]] = []
    for batch in tables.latest_batches(root, ["text_sha256", "words", "text"], documents=documents):
        batch = batch.filter(pc.greater(batch.column("words"), 0))
        digests += batch.column("text_sha256").to_pylist()
        signatures.append(sign(batch.column("text").to_pylist(), index.signing))
        if len(digests) >= AT_ONCE:
            index = add(index, digests, np.concatenate(signatures))
            digests, signatures = [], []
    return add(index, digests, np.concatenate(signatures)) if digests else index


def rebuild(root: StorePath, signing: Signing) -> Index:
    """The index of a store made again from the latest texts; an index that is there is given up.

    For a run that holds the writing lock. What pairs share is measured again when copies are next looked for.
    """
    (root / "index" / "manifest.json").unlink(missing_ok=True)
    return commit(catch_up(load(root, signing), root), {})


def faults(root: StorePath) -> Iterator[tuple[StorePath, str]]:
    """Each file of a store's index that is not as it was written, and why; none of an index that is whole.

    It must have the latest text of every document but for those that were restored, which the next ingest
    adds. It may have more: what is known of a text stays true.
    """
    path = root / "index" / "manifest.json"
    text, _ = _state(path)
    wanted = _texts(root)
    if not text:
        if wanted:
            yield path, "is missing"
        return
    try:
        files, _ = _parsed(text)
    except (ValueError, KeyError, TypeError) as error:
        yield path, f"is not a manifest ({error})"
        return
    found = [(path.parent / file.name, file) for kind in _KINDS for file in files[kind]]
    wrong = [(place, why) for place, file in found if (why := _fault(place, file, content=True))]
    yield from wrong or _lacking(path, files["texts"], wanted)
    named = {place.name for place, _ in found}
    if not is_shared(path):  # what other machines write is not known
        yield from ((one, "no index names this file") for one in _unnamed(folder(root), named))


def mend(root: StorePath) -> int:
    """Make the index again from the corpus where it is not as it was written; how many faults it had.

    For a run that holds the writing lock. Where the manifest is lost, nobody knows here how texts are signed:
    then what is left of it is removed, and the next ingest makes it.
    """
    found = list(faults(root))
    if not found:
        return 0
    signing = _signing(root)
    if signing:
        rebuild(root, signing)
    else:
        (root / "index" / "manifest.json").unlink(missing_ok=True)
        _sweep(Index(folder(root), Signing()))
    return len(found)


def _signing(root: StorePath) -> Signing | None:
    """How the texts of an index were signed; None where its manifest does not say it, or not as we would."""
    try:
        _, settings = _parsed(_state(root / "index" / "manifest.json")[0])
        signing = Signing(**{one.name: settings[one.name] for one in fields(Signing)})
    except (ValueError, KeyError, TypeError):
        return None
    return signing if settings == _settings(signing) else None


def _texts(root: StorePath) -> set[bytes]:
    """The digests of the texts that an ingest has put into the index."""
    table = tables.latest(root, ["text_sha256", "words", "status", "change"])
    chosen = pc.and_(pc.greater(table["words"], 0), pc.not_equal(table["status"], "gone"))
    chosen = pc.and_(chosen, pc.not_equal(table["change"], "restored"))
    return set(map(bytes.fromhex, table["text_sha256"].filter(chosen).to_pylist()))


def _lacking(path: StorePath, files: Iterable[File], wanted: set[bytes]) -> Iterator[tuple[StorePath, str]]:
    """Says of the manifest how many texts its files lack, or which file cannot be read."""
    missing = set(wanted)
    for file in files:
        place = path.parent / file.name
        try:
            with tables.parquet(place) as opened:
                missing.difference_update(opened.read(["digest"], use_threads=False)["digest"].to_pylist())
        except StoreError:
            yield place, "cannot be read"
            return
    if missing:
        yield path, f"lacks {len(missing)} of the {len(wanted)} texts that documents have"


def propose(index: Index, documents: Sequence[Candidate]) -> Proposed:
    """The pairs to look at among documents sorted by preference; their texts must be in the index."""
    found = pc.index_in(_packed([document.text_sha256 for document in documents]), index.digests)
    if found.null_count:
        raise ValueError(f"{found.null_count} texts are not in the index: add them before")
    numbers = found.to_numpy().astype(np.int64)
    rows = np.full(len(index.digests), -1)
    rows[numbers] = np.arange(len(numbers))
    parts = index.partitions
    pairs = union((candidates(index, rows, part, parts) for part in range(parts)), len(numbers))
    return Proposed(pairs, _sketches(index)[numbers], _facts(index, rows))


def candidates(
    index: Index, rows: NDArray[np.int64], partition: int = 0, partitions: int = 1, bucket: int = BUCKET
) -> Candidates:
    """The pairs of rows that share a band whose key lies in one range; see ``repetition.candidates``.

    ``rows`` gives the row of each text by its number, -1 for a text that is to be left out. Reads the files,
    changes nothing; ``repetition.union`` over all partitions is what one partition gives.
    """
    keys, found = _shared(index, rows, partition, partitions)
    return pair_up(keys, found, int(rows.max(initial=-1)) + 1, bucket)


def commit(index: Index, measured: Facts) -> Index:
    """Keep the index with what was measured since: after this, and not before, it is there for the next run.

    Files that are small beside the ones after them are merged first; files of no index are removed afterwards.
    For a run that holds the writing lock.
    """
    if not _files(index):
        return index
    if measured:
        index = replace(index, pairs=(*index.pairs, _write(index, "pairs", [_pairs(index, measured)])))
    path = index.folder / "manifest.json"
    if _named(path) != {file.name for file in _files(index)}:
        index = _merged(index)
        _write_manifest(index, path)
        if index.home:
            index = _store(index, index.home)
    _sweep(index)
    return index


def _write_manifest(index: Index, path: Path) -> None:
    sync_folder(index.folder)
    atomic_write(path, _manifest(index))


def _manifest(index: Index) -> bytes:
    files: dict[str, Any] = {kind: [asdict(file) for file in getattr(index, kind)] for kind in _KINDS}
    manifest = {"settings": _settings(index.signing), **files}
    return (json.dumps(manifest, indent=1) + "\n").encode()


# ---- in an object store


def _fetch(index: Index) -> None:
    """Bring the files of a shared index to this machine, those that are not there yet."""
    assert index.home
    path = index.folder / "manifest.json"
    if not index.tag:
        path.unlink(missing_ok=True)
        return
    for file in _files(index):
        here = index.folder / file.name
        if _fault(here, file):
            with suppress(FileNotFoundError):  # which ``load`` finds
                atomic_write(here, (index.home / file.name).read_bytes(), durable=False)
    atomic_write(path, _manifest(index), durable=False)


def _store(index: Index, home: StorePath) -> Index:
    """Share an index: its new files, then its manifest, unless another run has shared one meanwhile."""
    there = set(list_names(home, "listing the index"))
    for file in _files(index):
        if file.name not in there:
            atomic_write(home / file.name, (index.folder / file.name).read_bytes())
    path = home / "manifest.json"
    tag = replace_marked(path, _manifest(index), index.tag)
    if tag:
        named = {file.name for file in _files(index)} | {path.name}
        for name in there - named:
            if (home / name).stat().st_mtime < time.time() - _DAY:  # a run may be fetching what was named
                (home / name).unlink()
    return replace(index, tag=tag or index.tag)


# ---- settings and damage


def _files(index: Index) -> tuple[File, ...]:
    return (*index.texts, *index.bands, *index.pairs)


def _named(path: Path) -> set[str]:
    """The names of the files that a manifest names; none where it is missing or damaged."""
    try:
        files, _ = _parsed(_state(path)[0])
    except (ValueError, KeyError, TypeError):
        return set()
    return {file.name for kind in _KINDS for file in files[kind]}


def _settings(signing: Signing) -> dict[str, Any]:
    """All that must be the same for two entries of an index to be compared."""
    bands = {"bands": max(1, signing.num_perm // ROWS), "rows": ROWS}
    return {"format": FORMAT, "normalisation": NORMALISATION, **bands, **asdict(signing)}


def _check_settings(path: StorePath, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        was = ", ".join(f"{name} {found.get(name)!r} (now {wanted[name]!r})" for name in differing)
        raise StoreError(
            f"{path}: the index was made with {was}, and signatures made otherwise cannot be compared; set "
            f"[duplicates] in the policy as it was, or remove the folder {path.parent}: the next ingest makes "
            "it again from the corpus"
        )


def _fault(path: StorePath, file: File, content: bool = False) -> str | None:
    """Why a file is not the one that the index names; its ``content`` is read only where that is asked for."""
    if not path.exists():
        return "is missing"
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes instead of {file.size}"
    if content and file.sha256 and (found := file_digest(path)) != file.sha256:
        return f"was altered: its SHA-256 is {found[:12]}..., not {file.sha256[:12]}..."
    return None


def _damaged(path: StorePath, cause: str) -> StoreError:
    return StoreError(
        f"{path}: the index is damaged, the file {cause}; run cleancopy maintain: it makes the index again "
        "from the corpus"
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with store_errors(path, "reading the index"):
            yield
    except pa.ArrowException as error:
        raise _damaged(path, f"cannot be read ({str(error).splitlines()[0]})") from error


# ---- reading


def _read(index: Index, file: File, columns: Sequence[str] | None = None) -> pa.Table:
    """A file of the index, or some of its columns."""
    path = index.folder / file.name
    with _readable(path), pq.ParquetFile(path, memory_map=True) as opened:
        return opened.read(columns, use_threads=False)


def _column(index: Index, name: str) -> NDArray[np.uint8]:
    """One column of the texts by number, their byte strings as rows."""
    chunks = [chunk for file in index.texts for chunk in _read(index, file, [name])[name].chunks]
    return np.concatenate([_matrix(chunk) for chunk in chunks])


def _sketches(index: Index) -> NDArray[np.uint32]:
    """The sketches of all texts by number."""
    if not index.texts:
        return np.empty((0, -(-index.signing.num_perm // 8)), np.uint32)
    return _column(index, "sketch").view("<u4")


def _shared(
    index: Index, rows: NDArray[np.int64], partition: int, partitions: int
) -> tuple[Hashes, NDArray[np.int64]]:
    """The keys of a range that several texts have, and the rows of those that have one, ascending.

    Each file is sorted, so the few shared keys are found without merging the many others.
    """
    files = sorted(index.bands, key=lambda file: -file.rows)
    found = [_slice(index.folder / file.name, partition, partitions) for file in files]
    marks = [_repeated(keys) for keys, _ in found]
    for i, (keys, _) in enumerate(found):
        for (others, _), mark in zip(found[i + 1 :], marks[i + 1 :], strict=True):
            at = np.searchsorted(keys, others)
            hit = _equal(keys, at, others)
            marks[i][at[hit]] = True
            mark[hit] = True
    shared = np.concatenate([np.empty(0, np.uint64), *(k[m] for (k, _), m in zip(found, marks, strict=True))])
    numbers = [np.empty(0, np.uint32), *(n[m] for (_, n), m in zip(found, marks, strict=True))]
    having = rows[np.concatenate(numbers)]
    order = np.argsort(having, kind="stable")
    order = order[np.searchsorted(having, 0, sorter=order) :]
    return shared[order], having[order]


def _repeated(keys: Hashes) -> NDArray[np.bool_]:
    """Which of sorted keys stand there more than once."""
    mark = np.zeros(len(keys), np.bool_)
    same = keys[1:] == keys[:-1]
    mark[1:] = same
    mark[:-1] |= same
    return mark


def _equal(keys: Hashes, at: NDArray[np.int64], others: Hashes) -> NDArray[np.int64]:
    """Where ``others`` are equal to the key at their place."""
    inside = np.flatnonzero(at < len(keys))
    found: NDArray[np.int64] = inside[keys[at[inside]] == others[inside]]
    return found


def _slice(path: Path, partition: int, partitions: int) -> tuple[Hashes, NDArray[np.uint32]]:
    """The keys of one file that lie in a range, sorted, and the number of the text that has each."""
    low, high = partition * RANGE // partitions, (partition + 1) * RANGE // partitions
    with _readable(path), pq.ParquetFile(path, memory_map=True) as file:
        groups = [i for i in range(file.num_row_groups) if _overlaps(file.metadata, i, low, high)]
        table = file.read_row_groups(groups, use_threads=False)
    keys = table["key"].to_numpy().view(np.uint64)
    start, stop = np.searchsorted(keys, np.array([low, high], np.uint64))
    return keys[start:stop], table["text"].to_numpy()[start:stop]


def _overlaps(metadata: pq.FileMetaData, group: int, low: int, high: int) -> bool:
    """Whether a row group may have keys of a range."""
    statistics = metadata.row_group(group).column(0).statistics
    return bool(statistics.min < high and statistics.max >= low)


def _facts(index: Index, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is known of pairs of these rows: see ``Proposed``."""
    found = [np.empty((0, 6), np.int64)]
    for file in index.pairs:
        columns = [column.to_numpy() for column in _read(index, file).columns]
        columns[:2] = rows[columns[0]], rows[columns[1]]
        here = (columns[0] >= 0) & (columns[1] >= 0)
        found.append(np.stack([column[here].astype(np.int64) for column in columns], axis=1))
    return np.concatenate(found)


# ---- writing


def _write(index: Index, kind: Kind, parts: Iterable[pa.Table]) -> File:
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


def _sorted_bands(keys: Hashes, numbers: NDArray[np.uint32]) -> pa.Table:
    order = np.argsort(keys, kind="stable")
    return pa.table({"key": keys[order].view(np.int64), "text": numbers[order]})


def _pairs(index: Index, measured: Facts) -> pa.Table:
    """Facts about pairs of texts as rows, the texts by number."""
    sides = [pc.index_in(_packed([pair[side] for pair in measured]), index.digests) for side in (0, 1)]
    facts = list(measured.values())
    asked = [-1 if fact.conflict is None else int(fact.conflict) for fact in facts]
    overlaps = [[fact.overlap[i] for fact in facts] for i in range(3)]
    return pa.table([*sides, *overlaps, asked], schema=PAIRS)


def _merged(index: Index) -> Index:
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
    return (*files[:first], _write(index, kind, _joined(index, kind, files[first:])))


def _joined(index: Index, kind: Kind, files: Sequence[File]) -> Iterator[pa.Table]:
    """The rows of several files, in the order that their kind has."""
    if kind != "bands":
        yield from (_read(index, file) for file in files)
        return
    parts = -(-sum(file.rows for file in files) // ENTRIES)
    for part in range(parts):
        found = [_slice(index.folder / file.name, part, parts) for file in files]
        yield _sorted_bands(*map(np.concatenate, zip(*found, strict=True)))


def _sweep(index: Index) -> None:
    """Remove the files that the index does not name: merged ones, and what interrupted runs left."""
    with store_errors(index.folder, "removing old files of the index"):
        for path in _unnamed(index.folder, {file.name for file in _files(index)}):
            path.unlink(missing_ok=True)


def _unnamed(folder: Path, named: Collection[str]) -> list[Path]:
    return sorted(
        path for path in [*folder.glob("*.parquet"), *folder.glob(".*.tmp")] if path.name not in named
    )


# ---- digests


def _no_digests() -> pa.Array:
    return pa.array([], pa.binary(32))


def _packed(digests: Collection[str]) -> pa.Array:
    """Hexadecimal SHA-256 digests as 32 bytes each."""
    return _binary(np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32))


def _binary(matrix: NDArray[Any]) -> pa.Array:
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
