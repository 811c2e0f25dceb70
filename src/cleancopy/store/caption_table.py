"""The captions of a corpus: one row a caption of a document, with its keys, and what pairs of wordings are.

All of it is made from the documents and adds no fact of its own: a row belongs to a version of a document, and
only rows of latest versions count, so releases, takedowns and rollbacks need no care here. What is lacking is
added when the table is next brought up to date (``refresh``, after every release), and a table that has lost a
file, or was made another way, is made again. So it is where documents are gone, whose rows must not stay, and
where much is new; then rows of versions that are no longer the latest go, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    captions_of_all,
    cluster,
)
from cleancopy.store import caption_files as files
from cleancopy.store import decisions, releases, tables
from cleancopy.store.caption_files import KEY_BYTES, ROWS, VERDICTS, File, Kind, Manifest
from cleancopy.store.paths import StorePath, is_shared, published_releases, remove
from cleancopy.store.rows import table_to_versions
from cleancopy.store.schemas import DOCUMENTS

#: The schema of the first releases that have a table of captions.
SINCE_SCHEMA = 3

FORMAT = 2
MOST_FILES = 8  # of a kind: then all but the large ones become one
#: New captions that are more than one in so many are clustered with all others, fewer with those like them.
FEW = 4
_READ = [name for name in DOCUMENTS.names if name != "blocks"]
#: What clustering reads of a row.
_CLUSTERED = [
    "version_id", "caption_id", "captured", "text", "identifiers", "pictures", "wording", "content", "length",
    "cut_off", "padded", "label", "keys",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionTable:
    """The table as it stands: its rows, the verdicts, and what was written of it (None for nothing)."""

    rows: pa.Table
    verdicts: Verdicts
    manifest: Manifest | None = None

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.manifest.files) if self.manifest else 0


@dataclass(frozen=True, slots=True)
class Clustered:
    """The captions of live documents (rows of ``ROWS``) and how they cluster."""

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


def load(root: StorePath, policy: CaptionPolicy) -> CaptionTable:
    """The table of a store as it was last written; empty where it is not whole or was made another way."""
    manifest = _usable(root, policy)
    try:
        if manifest:
            verdicts = _verdicts([files.read(root, file) for file in manifest.verdicts])
            return CaptionTable(files.read_rows(root, manifest.rows), verdicts, manifest)
    except StoreError:
        pass
    return CaptionTable(ROWS.empty_table(), _verdicts([]))


def _usable(root: StorePath, policy: CaptionPolicy) -> Manifest | None:
    """The manifest of the table, where that is whole and was made under this policy."""
    manifest = files.read_manifest(root)
    if manifest is None or manifest.settings != _settings(policy):
        return None
    return None if any(files.fault(root, file) for file in manifest.files) else manifest


def up_to_date(root: StorePath, policy: CaptionPolicy, as_of: int | None = None) -> CaptionTable:
    """The table with the captions of all versions that were the latest in a release; nothing is written."""
    return _caught_up(root, load(root, policy), as_of)


def current(root: StorePath, as_of: int | None = None) -> Clustered:
    """The captions of the documents that are live in a release (the last one), clustered; nothing is written.

    Documents that are gone today count in no release.
    """
    policy = stored_policy(root)
    table = up_to_date(root, policy, as_of)
    live = _of_versions(table.rows, _latest(root, "live", as_of))
    decided = decisions.read_decisions(root).on_captions()
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
    before = _usable(root, policy)
    after = None
    if before and not _has_rows_of_gone(root, before):
        after = _with_what_is_new(root, before, policy)
    after = replace(after or _made_over(root, policy), release=_last_release(root))
    if after != before and (after.files or files.read_manifest(root)):
        files.write_manifest(root, after)


def _made_over(root: StorePath, policy: CaptionPolicy) -> Manifest:
    """The table with all captions of latest versions, compared with all, in one file."""
    written = load(root, policy)
    table = _caught_up(root, written)
    kept = _of_versions(table.rows, _latest(root))
    live = _of_versions(table.rows, _latest(root, "live"))
    judged = cluster(columns_of_table(live), table.verdicts, policy).new
    same = len(kept) == len(table.rows) == len(written.rows) and not len(judged.codes)
    if written.manifest and same:
        return written.manifest
    verdicts = _verdict_table(_verdicts([_verdict_table(table.verdicts), _verdict_table(judged)]))
    row_files, verdict_files = files.write(root, "rows", kept), files.write(root, "verdicts", verdicts)
    return Manifest(0, _settings(policy), row_files, verdict_files)


def _with_what_is_new(root: StorePath, before: Manifest, policy: CaptionPolicy) -> Manifest | None:
    """The table with the captions that came since; None where they are many beside those that it has.

    They are compared with the captions that share a key with them. What else their coming changes (a caption
    that was kept joins a new one, and those that had joined it look for another) readers find out again.
    """
    new = rows_of(_captions(root, _lacking(root, before)))
    if not len(new):
        return before
    near, count = _near(root, before.rows, new)
    if len(new) * FEW > count:
        return None
    near = _of_versions(near, _latest(root, "live"))
    columns = columns_of_table(pa.concat_tables([near, new.select(_CLUSTERED)]))
    verdicts = _verdicts([files.read(root, file) for file in before.verdicts])
    judged = cluster(columns, verdicts, policy).new
    return replace(
        before,
        rows=_added(root, "rows", before.rows, new),
        verdicts=_added(root, "verdicts", before.verdicts, _verdict_table(judged)),
    )


def _near(root: StorePath, row_files: Sequence[File], new: pa.Table) -> tuple[pa.Table, int]:
    """The captions that share a key, an identifier or a picture with new ones; and how many there are."""
    seen = _KeySet(_unpacked(new["keys"]))
    values = pa.concat_arrays(
        [pc.list_flatten(new[name]).combine_chunks() for name in ("identifiers", "pictures")]
    )
    near, count = [ROWS.empty_table().select(_CLUSTERED)], 0
    for file in row_files:
        rows = files.read(root, file, ["keys", "identifiers", "pictures"])
        shares = seen.rows_with(rows["keys"])
        for name in ("identifiers", "pictures"):
            lists = rows[name].combine_chunks()
            same = pc.is_in(pc.list_flatten(lists), values).to_numpy(zero_copy_only=False)
            shares[pc.list_parent_indices(lists).to_numpy()[same]] = True
        count += len(rows)
        if shares.any():
            near.append(files.read(root, file, _CLUSTERED).select(_CLUSTERED).filter(pa.array(shares)))
    return pa.concat_tables(near), count


class _KeySet:
    """Some keys, to find which of many rows have one of them."""

    _BITS = 24  # of a key, by which a first look tells nearly all rows apart

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        self._keys = np.unique(keys)
        self._first = np.zeros(1 << self._BITS, np.bool_)
        self._first[(self._keys & np.uint64((1 << self._BITS) - 1)).astype(np.int64)] = True

    def rows_with(self, packed: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Which rows have one of the keys."""
        data = _key_bytes(packed)
        low = data[:, :, 0] | (data[:, :, 1].astype(np.uint32) << 8) | (data[:, :, 2].astype(np.uint32) << 16)
        found: NDArray[np.bool_] = self._first[low].any(axis=1)
        some = np.flatnonzero(found)
        found[some] = np.isin(_widened(data[some]), self._keys).any(axis=1)
        return found


def _added(root: StorePath, kind: Kind, before: Sequence[File], new: pa.Table) -> tuple[File, ...]:
    """The files with those of new rows; where they are many, the small ones are made one."""
    if len(before) < MOST_FILES:
        return (*before, *files.write(root, kind, new))
    by_size = sorted(before, key=lambda file: -file.size)
    large = 0
    while by_size[large].size > sum(file.size for file in by_size[large + 1 :]) and large < len(by_size) - 1:
        large += 1
    small = [files.read(root, file).select(new.schema.names) for file in by_size[large:]]
    return (*by_size[:large], *files.write(root, kind, pa.concat_tables([*small, new])))


def stored_policy(root: StorePath) -> CaptionPolicy:
    """The policy that the table was made under; the default one where there is none."""
    manifest = files.read_manifest(root)
    settings = manifest.settings if manifest else {}
    try:
        return CaptionPolicy(containment=settings["containment"], min_words=settings["min_words"])
    except KeyError:
        return CaptionPolicy()


def is_behind(root: StorePath) -> bool:
    """Whether a store has no table, or one that a run which was cut short left at an earlier release."""
    manifest = files.read_manifest(root)
    return manifest is None or manifest.release != _last_release(root)


def rebuild(root: StorePath) -> None:
    """Make the table again from the documents, and remove what is there."""
    policy = stored_policy(root)
    remove(files.manifest_file(root))
    refresh(root, policy)
    files.sweep(root, files.read_manifest(root) or Manifest(0, {}))


def faults(root: StorePath) -> Iterator[tuple[StorePath, str]]:
    """Each file of the table that is not as it was written, and why; whether it lacks captions of documents."""
    manifest, path = files.read_manifest(root), files.manifest_file(root)
    if manifest is None:
        if path.exists():
            yield path, "is not a manifest of captions"
        elif not _is_of_before(root) and _captioned(root):
            yield path, "is missing"
        return
    whys = {file: files.fault(root, file, content=True) for file in manifest.files}
    yield from ((files.folder(root) / file.name, why) for file, why in whys.items() if why)
    if not any(whys.values()):
        there = files.read_rows(root, manifest.rows, ["version_id"])["version_id"]
        if lacking := _captioned(root).keys() - set(there.to_pylist()):
            yield path, f"lacks the captions of {len(lacking)} documents"
    if not is_shared(root):  # what other machines write is not known
        yield from ((unnamed, "no table names this file") for unnamed in files.unnamed(root, manifest))


def repair(root: StorePath) -> int:
    """Make the table again where it is not as it was written; how many faults it had.

    Files that no table names go, too: in an object store those that are a day old.
    """
    count = len(list(faults(root)))
    if count:
        rebuild(root)
    else:
        tidy(root)
    return count


def tidy(root: StorePath) -> None:
    """Remove files that a run which was cut short has left, for a run that holds the writing lock."""
    if manifest := files.read_manifest(root):
        files.sweep(root, manifest)


# ---- what documents have


def _caught_up(root: StorePath, table: CaptionTable, as_of: int | None = None) -> CaptionTable:
    """The table with the captions of latest versions that it lacks."""
    if table.manifest and as_of is None:
        lacking = _lacking(root, table.manifest)
    else:
        held = set(table.rows["version_id"].to_pylist())
        lacking = {doc for version, doc in _captioned(root, as_of=as_of).items() if version not in held}
    new = rows_of(_captions(root, lacking, as_of))
    return replace(table, rows=pa.concat_tables([table.rows, new]))


def _lacking(root: StorePath, manifest: Manifest) -> set[str]:
    """The documents with captions that got a version since the table was written that it does not have."""
    last = _last_release(root)
    if last == manifest.release:
        return set()
    versions = tables.identities(root, last, ["doc_id", "release"])
    since = versions.filter(pc.greater(versions["release"], manifest.release))["doc_id"]
    captioned = _captioned(root, set(since.to_pylist()))
    wanted = pa.array(captioned, pa.string())
    held = files.read_rows(root, manifest.rows, ["version_id"])["version_id"]
    there = set(held.filter(pc.is_in(held, wanted)).to_pylist())
    return {doc for version, doc in captioned.items() if version not in there}


def _captions(root: StorePath, documents: set[str], as_of: int | None = None) -> Iterator[Caption]:
    if not documents:
        return
    for batch in tables.latest_batches(root, _READ, documents=documents, as_of=as_of):
        yield from captions_of_all(
            (version.document, version.version_id, version.captured) for version in table_to_versions(batch)
        )


def _captioned(root: StorePath, documents: set[str] | None = None, as_of: int | None = None) -> dict[str, str]:
    """The latest versions (of some documents) that have captions and are not gone, each with its document."""
    captioned: dict[str, str] = {}
    columns = ["doc_id", "version_id", "status", "media"]
    for batch in tables.latest_batches(root, columns, documents=documents, as_of=as_of):
        some = pc.and_(
            pc.greater(pc.list_value_length(batch.column("media")), 0),
            pc.not_equal(batch.column("status"), "gone"),
        )
        chosen = batch.select(["doc_id", "version_id"]).filter(some)
        captioned |= zip(
            chosen.column("version_id").to_pylist(), chosen.column("doc_id").to_pylist(), strict=True
        )
    return captioned


def _is_of_before(root: StorePath) -> bool:
    """Whether the last release was made before there was a table of captions: the next publish makes it."""
    number = max(published_releases(root), default=0)
    return number > 0 and releases.read_manifest(root, number).schema < SINCE_SCHEMA


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


def _has_rows_of_gone(root: StorePath, manifest: Manifest) -> bool:
    """Whether some rows are of documents that are gone: what they said must not stay."""
    gone = tables.latest(root, ["doc_id"], status="gone")["doc_id"].combine_chunks()
    if not len(gone):
        return False
    documents = files.read_rows(root, manifest.rows, ["doc_id"])["doc_id"]
    return bool(pc.any(pc.is_in(documents, gone)).as_py())


def _last_release(root: StorePath) -> int:
    return max(published_releases(root), default=0)


def _settings(policy: CaptionPolicy) -> dict[str, Any]:
    """All that must be the same for rows and verdicts to be used."""
    compared = {"containment": policy.containment, "min_words": policy.min_words}
    return {"format": FORMAT, "keys": KEYS, "signing": SIGNING.digest, "stage": STAGES["captions"], **compared}


# ---- rows and columns


def rows_of(captions: Iterable[Caption]) -> pa.Table:
    """Captions as rows, each once."""
    each = list({caption.caption_id: caption for caption in captions}.values())
    columns: dict[str, Any] = {
        name: [getattr(caption, name) for caption in each] for name in ROWS.names if name != "keys"
    }
    columns["places"] = [[{"start": a, "end": b} for a, b in places] for places in columns["places"]]
    keys = np.frombuffer(b"".join(caption.keys for caption in each), np.uint8).reshape(len(each), KEYS, 8)
    packed = np.ascontiguousarray(keys[:, :, :KEY_BYTES])
    columns["keys"] = [row.tobytes() for row in packed]
    return pa.table([pa.array(columns[f.name], f.type) for f in ROWS], schema=ROWS)


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
    """Stored keys as numbers, a matrix (captions, ``KEYS``)."""
    return _widened(_key_bytes(keys))


def _key_bytes(keys: pa.ChunkedArray) -> NDArray[np.uint8]:
    """The bytes of stored keys, (captions, ``KEYS``, ``KEY_BYTES``), the low ones first."""
    width = KEY_BYTES * KEYS
    parts = [np.empty((0, width), np.uint8)]
    for chunk in keys.chunks:
        data = np.frombuffer(chunk.buffers()[1], np.uint8)[: (chunk.offset + len(chunk)) * width]
        parts.append(data.reshape(-1, width)[chunk.offset :])
    return np.concatenate(parts).reshape(-1, KEYS, KEY_BYTES)


def _widened(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    padded = np.zeros((len(packed), KEYS, 8), np.uint8)
    padded[:, :, :KEY_BYTES] = packed
    return padded.reshape(-1, KEYS * 8).view("<u8")


def _numbered(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    """(value, row) for each value of each row, the values by number."""
    array = lists.combine_chunks()
    rows = pc.list_parent_indices(array).to_numpy()
    values = pc.list_flatten(array).dictionary_encode().indices.to_numpy()
    return np.stack([values, rows], axis=1).astype(np.int64)


def _verdicts(parts: Sequence[pa.Table]) -> Verdicts:
    """All verdicts, sorted by code."""
    table = pa.concat_tables([VERDICTS.empty_table(), *parts])
    codes, values = table["code"].to_numpy(), table["value"].to_numpy()
    order = np.argsort(codes, kind="stable")
    return Verdicts(codes[order], values[order])


def _verdict_table(verdicts: Verdicts) -> pa.Table:
    return pa.table([pa.array(verdicts.codes), pa.array(verdicts.values)], schema=VERDICTS)
