"""The captions of a corpus: one row a caption of a document, with its keys, and what pairs of wordings are.

    clean/captions/manifest.json         how captions are keyed and compared, and the files; written last
    clean/captions/rows-*.parquet        a caption each: text, normal form, credit, identifiers, places
    clean/captions/verdicts-*.parquet    whether two wordings are one caption, for each pair that was compared

All of it is made from the documents and adds no fact of its own: a row belongs to a version of a document, and
only rows of latest versions count, so releases, takedowns and rollbacks need no care here. What is lacking is
added when the table is next brought up to date (``refresh``, after every release), and a table that has lost a
file, or was made another way, is made again. Rows of versions that are no longer the latest go when files are
merged, those of documents that are gone at once. Files never change.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cleancopy.errors import StoreError
from cleancopy.policy import STAGES, CaptionPolicy
from cleancopy.stages.captions.clusters import (
    KEYS,
    SIGNING,
    Caption,
    Clustering,
    Columns,
    Verdicts,
    captions_of,
    cluster,
)
from cleancopy.store import data_files, decisions, releases, tables
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    file_digest,
    is_shared,
    list_names,
    published_releases,
    remove,
    store_errors,
)
from cleancopy.store.rows import table_to_versions
from cleancopy.store.schemas import DOCUMENTS

#: The schema of the first releases that have a table of captions.
SINCE_SCHEMA = 3

FORMAT = 1
MOST_FILES = 8  # of a kind: then they become one
_DAY = 86_400.0
_PLACE = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_KEY_BYTES = 6
SCHEMA = pa.schema(
    [
        ("caption_id", pa.string()),
        ("doc_id", pa.string()),
        ("version_id", pa.string()),
        ("site", pa.string()),
        ("captured", pa.string()),
        ("text", pa.string()),
        ("normal", pa.string()),
        ("credit", pa.string()),
        ("title", pa.string()),
        ("identifiers", pa.list_(pa.string())),
        ("pictures", pa.list_(pa.string())),
        ("occurrences", pa.int32()),
        ("places", pa.list_(_PLACE)),
        ("carried", pa.bool_()),
        ("wording", pa.uint64()),
        ("content", pa.int32()),
        ("length", pa.int32()),
        ("cut_off", pa.bool_()),
        ("padded", pa.bool_()),
        ("label", pa.bool_()),
        ("keys", pa.binary(_KEY_BYTES * KEYS)),
    ]
)
_VERDICTS = pa.schema([("code", pa.uint64()), ("value", pa.int8())])
_READ = [name for name in DOCUMENTS.names if name != "blocks"]


@dataclass(frozen=True, slots=True)
class File:
    """One file of the table: its name, size in bytes and digest."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CaptionTable:
    """The table as it stands: its rows, the verdicts, and the files that hold them."""

    rows: pa.Table
    verdicts: Verdicts
    row_files: tuple[File, ...] = ()
    verdict_files: tuple[File, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in (*self.row_files, *self.verdict_files))


@dataclass(frozen=True, slots=True)
class Clustered:
    """The captions of live documents (rows of ``SCHEMA``) and how they cluster."""

    rows: pa.Table
    clustering: Clustering

    def documents(self) -> NDArray[np.int64]:
        """For each caption that is kept how many documents show its cluster; 0 for the others."""
        documents = self.rows["doc_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        shown = np.unique(np.stack([self.clustering.kept, documents.astype(np.int64)]), axis=1)
        return np.bincount(shown[0], minlength=len(self.rows)).astype(np.int64)


class CaptionShare(NamedTuple):
    """How the corpus knows a caption: the id of the one that is kept, and how many documents show them."""

    cluster: str
    documents: int


def folder(root: StorePath) -> StorePath:
    """The folder of a store's captions."""
    return root / "captions"


def load(root: StorePath, policy: CaptionPolicy) -> CaptionTable:
    """The table of a store as it was last written; empty where it is not whole or was made another way."""
    empty = CaptionTable(SCHEMA.empty_table(), _verdicts([]))
    manifest = _manifest(root)
    if manifest is None or manifest["settings"] != _settings(policy):
        return empty
    row_files, verdict_files = (tuple(File(**file) for file in manifest[kind]) for kind in ("rows", "verdicts"))
    if any(_fault(folder(root) / file.name, file) for file in (*row_files, *verdict_files)):
        return empty
    try:
        parts = [_read(root, file) for file in row_files]
        verdicts = _verdicts([_read(root, file) for file in verdict_files])
    except StoreError:
        return empty
    return CaptionTable(pa.concat_tables([SCHEMA.empty_table(), *parts]), verdicts, row_files, verdict_files)


def up_to_date(root: StorePath, policy: CaptionPolicy, as_of: int | None = None) -> CaptionTable:
    """The table with the captions of all versions that were the latest in a release; nothing is written."""
    return _caught_up(root, load(root, policy), as_of)[0]


def current(root: StorePath, as_of: int | None = None) -> Clustered:
    """The captions of the documents that are live in a release (the last one), clustered; nothing is written.

    Documents that are gone today count in no release.
    """
    policy = stored_policy(root)
    table = up_to_date(root, policy, as_of)
    live = _of_versions(table.rows, _latest(root, "live", as_of))
    decided = decisions.read(root).on_captions()
    return Clustered(live, cluster(columns_of_table(live), table.verdicts, policy, decided))


def shares(root: StorePath, as_of: int | None = None) -> dict[str, CaptionShare]:
    """The share of each caption that a live document has in a release (the last one), by its id."""
    clustered = current(root, as_of)
    counts, ids = clustered.documents(), clustered.rows["caption_id"].to_pylist()
    by_cluster = {at: CaptionShare(ids[at], int(counts[at])) for at in np.flatnonzero(counts).tolist()}
    return {
        caption: by_cluster[at] for caption, at in zip(ids, clustered.clustering.kept.tolist(), strict=True)
    }


def refresh(root: StorePath, policy: CaptionPolicy | None = None) -> None:
    """Bring the table up to the last release: its rows, and the verdicts on pairs that are new.

    Without a policy it is the one that the table was made under. For a run that holds the writing lock.
    """
    policy = policy or stored_policy(root)
    before = load(root, policy)
    table, new = _caught_up(root, before)
    live = _of_versions(table.rows, _latest(root, "live"))
    judged = cluster(columns_of_table(live), table.verdicts, policy).new
    verdicts = _verdicts([_verdict_table(table.verdicts), _verdict_table(judged)])
    table = replace(table, verdicts=verdicts)
    merge = len(before.row_files) >= MOST_FILES or _has_rows_of_gone(root, before.rows)
    if merge:
        kept = _of_versions(table.rows, _latest(root))
        table = replace(table, rows=kept, row_files=_written(root, "rows", kept))
    else:
        table = replace(table, row_files=(*before.row_files, *_written(root, "rows", new)))
    if len(before.verdict_files) >= MOST_FILES:
        table = replace(table, verdict_files=_written(root, "verdicts", _verdict_table(verdicts)))
    else:
        added = _written(root, "verdicts", _verdict_table(judged))
        table = replace(table, verdict_files=(*before.verdict_files, *added))
    same = (table.row_files, table.verdict_files) == (before.row_files, before.verdict_files)
    if not same or (_manifest(root) is not None and is_behind(root)):
        _commit(root, table, policy)


def stored_policy(root: StorePath) -> CaptionPolicy:
    """The policy that the table was made under; the default one where there is none."""
    manifest = _manifest(root)
    settings = manifest["settings"] if manifest else {}
    try:
        return CaptionPolicy(containment=settings["containment"], min_words=settings["min_words"])
    except KeyError:
        return CaptionPolicy()


def is_behind(root: StorePath) -> bool:
    """Whether a store has no table, or one that a run which was cut short left at an earlier release."""
    manifest = _manifest(root)
    return manifest is None or manifest.get("release") != _last_release(root)


def rebuild(root: StorePath) -> None:
    """Make the table again from the documents, and remove what is there."""
    policy = stored_policy(root)
    remove(folder(root) / "manifest.json")
    refresh(root, policy)
    _sweep(root, load(root, policy))


def faults(root: StorePath) -> Iterator[tuple[StorePath, str]]:
    """Each file of the table that is not as it was written, and why; whether it lacks captions of documents."""
    manifest, home = _manifest(root), folder(root)
    if manifest is None:
        if (home / "manifest.json").exists():
            yield home / "manifest.json", "is not a manifest of captions"
        elif not _is_of_before(root) and _having_captions(root):
            yield home / "manifest.json", "is missing"
        return
    files = [File(**file) for kind in ("rows", "verdicts") for file in manifest[kind]]
    faulty = [
        (home / file.name, why) for file in files if (why := _fault(home / file.name, file, content=True))
    ]
    yield from faulty
    if not faulty:
        there = pa.concat_tables([SCHEMA.empty_table(), *(_read(root, File(**f)) for f in manifest["rows"])])
        lacking = _having_captions(root) - set(there["version_id"].to_pylist())
        if lacking:
            yield home / "manifest.json", f"lacks the captions of {len(lacking)} documents"
    named = {file.name for file in files} | {"manifest.json"}
    if not is_shared(root):  # what other machines write is not known
        yield from ((home / name, "no table names this file") for name in sorted(_names(root) - named))


def mend(root: StorePath) -> int:
    """Make the table again where it is not as it was written; how many faults it had.

    Files that no table names go, too: in an object store those that are a day old.
    """
    count = len(list(faults(root)))
    if count:
        rebuild(root)
    elif _manifest(root) is not None:
        _sweep(root, load(root, stored_policy(root)))
    return count


# ---- what documents have


def _caught_up(root: StorePath, table: CaptionTable, as_of: int | None = None) -> tuple[CaptionTable, pa.Table]:
    """The table with the captions of latest versions that it lacks, and the rows that were new."""
    held = set(table.rows["version_id"].to_pylist())
    lacking = {doc for version, doc in _captioned(root, as_of).items() if version not in held}
    new = rows_of(_captions(root, lacking, as_of))
    return replace(table, rows=pa.concat_tables([table.rows, new])), new


def _captions(root: StorePath, documents: set[str], as_of: int | None) -> Iterator[Caption]:
    if not documents:
        return
    for batch in tables.latest_batches(root, _READ, documents=documents, as_of=as_of):
        for version in table_to_versions(batch):
            yield from captions_of(version.document, version.version_id, version.captured)


def _captioned(root: StorePath, as_of: int | None = None) -> dict[str, str]:
    """The latest versions that have captions and are not gone, each with its document."""
    documents: dict[str, str] = {}
    for batch in tables.latest_batches(root, ["doc_id", "version_id", "status", "media"], as_of=as_of):
        some = pc.and_(
            pc.greater(pc.list_value_length(batch.column("media")), 0),
            pc.not_equal(batch.column("status"), "gone"),
        )
        chosen = batch.select(["doc_id", "version_id"]).filter(some)
        documents |= zip(
            chosen.column("version_id").to_pylist(), chosen.column("doc_id").to_pylist(), strict=True
        )
    return documents


def _is_of_before(root: StorePath) -> bool:
    """Whether the last release was made before there was a table of captions: the next publish makes it."""
    number = max(published_releases(root), default=0)
    return number > 0 and releases.read(root, number).schema < SINCE_SCHEMA


def _having_captions(root: StorePath) -> set[str]:
    return set(_captioned(root))


def _latest(root: StorePath, status: str | None = None, as_of: int | None = None) -> pa.Array:
    """The ids of the versions that are the latest in a release, of documents that were and are not gone.

    Where ``status`` is given, of those that had it.
    """
    table = tables.latest(root, ["doc_id", "version_id", "status"], status=status, as_of=as_of)
    chosen = table.filter(pc.not_equal(table["status"], "gone"))
    if as_of is not None:
        gone = tables.latest(root, ["doc_id"], status="gone")["doc_id"].combine_chunks()
        chosen = chosen.filter(pc.invert(pc.is_in(chosen["doc_id"], gone)))
    return chosen["version_id"].combine_chunks()


def _of_versions(rows: pa.Table, versions: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows["version_id"], versions))


def _has_rows_of_gone(root: StorePath, rows: pa.Table) -> bool:
    """Whether some rows are of documents that are gone: what they said must not stay."""
    table = tables.latest(root, ["doc_id"], status="gone")
    return bool(pc.any(pc.is_in(rows["doc_id"], table["doc_id"].combine_chunks())).as_py())


# ---- rows and columns


def rows_of(captions: Iterable[Caption]) -> pa.Table:
    """Captions as rows, each once."""
    each = list({caption.caption_id: caption for caption in captions}.values())
    columns: dict[str, Any] = {
        name: [getattr(caption, name) for caption in each] for name in SCHEMA.names if name != "keys"
    }
    columns["places"] = [[{"start": a, "end": b} for a, b in places] for places in columns["places"]]
    keys = np.frombuffer(b"".join(caption.keys for caption in each), np.uint8).reshape(len(each), KEYS, 8)
    packed = np.ascontiguousarray(keys[:, :, :_KEY_BYTES])
    columns["keys"] = [row.tobytes() for row in packed]
    return pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def columns_of_table(rows: pa.Table) -> Columns:
    """Rows as the arrays that clustering needs."""
    rows = rows.combine_chunks()
    times = rows["captured"].combine_chunks().dictionary_encode()
    order = pc.rank(times.dictionary, sort_keys="ascending", tiebreaker="dense").to_numpy()
    captured = np.full(len(rows), len(rows), np.int64)
    there = times.is_valid().to_numpy(zero_copy_only=False)
    captured[there] = order[times.indices.drop_null().to_numpy()]
    ids = "".join(rows["caption_id"].to_pylist())
    texts = rows["text"]
    return Columns(
        caption_id=np.frombuffer(bytes.fromhex(ids), ">u8").astype(np.uint64),
        wording=rows["wording"].to_numpy(),
        captured=captured,
        content=rows["content"].to_numpy().astype(np.int64),
        length=rows["length"].to_numpy().astype(np.int64),
        cut_off=rows["cut_off"].to_numpy(zero_copy_only=False).astype(np.bool_),
        padded=rows["padded"].to_numpy(zero_copy_only=False).astype(np.bool_),
        label=rows["label"].to_numpy(zero_copy_only=False).astype(np.bool_),
        keys=_unpacked(rows["keys"]),
        identifiers=_numbered(rows["identifiers"]),
        pictures=_numbered(rows["pictures"]),
        texts=lambda positions: texts.take(pa.array(positions)).to_pylist(),
    )


def _unpacked(keys: pa.ChunkedArray) -> NDArray[np.uint64]:
    parts = [np.empty((0, _KEY_BYTES * KEYS), np.uint8)]
    for chunk in keys.chunks:
        width = _KEY_BYTES * KEYS
        data = np.frombuffer(chunk.buffers()[1], np.uint8)[: (chunk.offset + len(chunk)) * width]
        parts.append(data.reshape(-1, width)[chunk.offset :])
    packed = np.concatenate(parts).reshape(-1, KEYS, _KEY_BYTES)
    padded = np.zeros((len(packed), KEYS, 8), np.uint8)
    padded[:, :, :_KEY_BYTES] = packed
    return padded.reshape(-1, KEYS * 8).view("<u8")


def _numbered(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    """(value, row) for each value of each row, the values by number."""
    array = lists.combine_chunks()
    rows = pc.list_parent_indices(array).to_numpy()
    values = pc.list_flatten(array).dictionary_encode().indices.to_numpy()
    return np.stack([values, rows], axis=1).astype(np.int64)


def _verdicts(parts: Sequence[pa.Table]) -> Verdicts:
    """All verdicts, sorted by code."""
    table = pa.concat_tables([_VERDICTS.empty_table(), *parts])
    codes, values = table["code"].to_numpy(), table["value"].to_numpy()
    order = np.argsort(codes, kind="stable")
    return Verdicts(codes[order], values[order])


def _verdict_table(verdicts: Verdicts) -> pa.Table:
    return pa.table([pa.array(verdicts.codes), pa.array(verdicts.values)], schema=_VERDICTS)


# ---- files


def _settings(policy: CaptionPolicy) -> dict[str, Any]:
    """All that must be the same for rows and verdicts to be used."""
    compared = {"containment": policy.containment, "min_words": policy.min_words}
    return {"format": FORMAT, "keys": KEYS, "signing": SIGNING.digest, "stage": STAGES["captions"], **compared}


def _manifest(root: StorePath) -> dict[str, Any] | None:
    """The manifest; None where there is none or it cannot be read."""
    path = folder(root) / "manifest.json"
    try:
        with store_errors(path, "reading the captions"):
            if not path.exists():
                return None
            manifest: dict[str, Any] = json.loads(path.read_bytes())
        for kind in ("rows", "verdicts"):
            manifest[kind] = [asdict(File(**file)) for file in manifest[kind]]
        manifest["settings"] = dict(manifest["settings"])
    except (ValueError, KeyError, TypeError):
        return None
    return manifest


def _commit(root: StorePath, table: CaptionTable, policy: CaptionPolicy) -> None:
    manifest = {
        "release": _last_release(root),
        "settings": _settings(policy),
        "rows": [asdict(file) for file in table.row_files],
        "verdicts": [asdict(file) for file in table.verdict_files],
    }
    atomic_write(folder(root) / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    _sweep(root, table)


def _last_release(root: StorePath) -> int:
    return max(published_releases(root), default=0)


def _written(root: StorePath, kind: str, table: pa.Table) -> tuple[File, ...]:
    """A table in one new file; none where it has no rows."""
    if not table.num_rows:
        return ()
    buffer = io.BytesIO()
    dictionary = [name for name in ("site", "captured", "version_id", "doc_id") if name in table.schema.names]
    pq.write_table(table, buffer, compression="zstd", use_dictionary=dictionary, write_statistics=False)
    path = folder(root) / f"{kind}-{uuid4().hex}.parquet"
    atomic_write(path, buffer.getvalue())
    return (File(path.name, buffer.getbuffer().nbytes, file_digest(path)),)


def _read(root: StorePath, file: File) -> pa.Table:
    with data_files.parquet(folder(root) / file.name) as opened:
        return opened.read(use_threads=False)


def _fault(path: StorePath, file: File, content: bool = False) -> str | None:
    """Why a file is not the one that the table names; its ``content`` is read only where that is asked for."""
    if not path.exists():
        return "is missing"
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes instead of {file.size}"
    if content and file_digest(path) != file.sha256:
        return "was altered: it has another digest than it was written with"
    return None


def _names(root: StorePath) -> set[str]:
    return set(list_names(folder(root), "listing the captions"))


def _sweep(root: StorePath, table: CaptionTable) -> None:
    """Remove the files that the table does not name; shared ones only when nobody can be reading them."""
    home = folder(root)
    named = {file.name for file in (*table.row_files, *table.verdict_files)} | {"manifest.json"}
    for name in _names(root) - named:
        path = home / name
        if not is_shared(root) or path.stat().st_mtime < time.time() - _DAY:
            remove(path)
