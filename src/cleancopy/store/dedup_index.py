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
into new ones. ``faults`` holds each against its digest, ``repair`` makes good what it finds.

``candidates`` gives the pairs of one range of keys from the files alone, so ranges can go to many machines. It
works with numpy on sorted keys rather than in DuckDB, since that is less code and less work: of 1,000,000 texts
(14 million keys) it reads the files and finds all pairs in 0.9 CPU seconds, where DuckDB finds the keys that
texts share in 3 and with the texts in 4.4; to join the keys of 10,000 new texts alone takes DuckDB 0.3, numpy
0.03. Byte-stream split and zstd make a band 7 bytes (delta encoding 6, but it reads four times as slowly). See
benchmarks/repetition.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cleancopy.errors import StoreError
from cleancopy.minhash import NORMALISATION, Candidates, Hashes, Signing, pair_up, sign, sketches, union
from cleancopy.stages.captions.elsewhere import PART
from cleancopy.stages.duplicates import BUCKET, ROWS, Candidate, Facts, Proposed, bands_of
from cleancopy.store import data_files, tables
from cleancopy.store.index_files import (
    KINDS,
    PAIRS,
    File,
    Index,
    all_files,
    byte_strings,
    column,
    file_fault,
    merged,
    no_digests,
    packed_digests,
    read_file,
    read_slice,
    sorted_bands,
    stored_sketches,
    sweep,
    unnamed_files,
    write_file,
)
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    is_shared,
    list_names,
    read_versioned,
    replace_marked,
    scratch_folder,
    store_errors,
    sync_folder,
)

FORMAT = 1
_DAY = 86_400.0
AT_ONCE = 50_000  # stored texts that are signed before they are written


def folder(root: StorePath) -> Path:
    """The folder of a store's index, on this machine."""
    return scratch_folder(root) / "index"


def load(root: StorePath, signing: Signing) -> Index:
    """The index of a store; an empty one where there is none, or where it has lost a file.

    Raises StoreError where it was made under another way of signing, or a file cannot be read.
    """
    index = open_index(root, signing)
    if index.home:
        _fetch(index)
    if any(file_fault(index.folder / file.name, file) for file in all_files(index)):
        return replace(index, texts=(), bands=(), pairs=())
    return replace(index, digests=byte_strings(column(index, "digest"))) if index.texts else index


def open_index(root: StorePath, signing: Signing) -> Index:
    """The index without its digests: only its manifest is read. Empty where that is missing or damaged.

    Empty, too, where another version of the program made it, in another format or from another normal form of
    texts: then all stored texts are signed again. Raises StoreError where the policy asks for another way of
    signing.
    """
    path = root / "index" / "manifest.json"
    text, tag = _state(path)
    empty = Index(folder(root), signing, digests=no_digests(), home=_home(root), tag=tag)
    try:
        files, settings = _parsed(text)
    except (ValueError, KeyError, TypeError):
        return empty
    if _of_another_version(settings):
        return empty
    _check_settings(path, settings, _settings(signing))
    return replace(empty, **files)


def _state(path: StorePath) -> tuple[bytes, str]:
    with store_errors(path, "reading the index"):
        return read_versioned(path)


def _parsed(text: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files of a manifest by kind, and its settings; ValueError, KeyError or TypeError where it is none."""
    manifest = json.loads(text)
    files: dict[str, Any] = {kind: tuple(File(**file) for file in manifest[kind]) for kind in KINDS}
    return files, {**manifest["settings"]}


def _home(root: StorePath) -> StorePath | None:
    return root / "index" if is_shared(root) else None


def add(index: Index, digests: Sequence[str], signatures: NDArray[np.uint32]) -> Index:
    """The index with more texts, by their SHA-256 (64 hex digits) and signatures; known ones are left out.

    Their files are written, but belong to the index on disk only after ``commit``.
    """
    _, first = np.unique(np.array(digests, str), return_index=True)
    packed = packed_digests([digests[i] for i in first.tolist()])
    held = pc.index_in(index.digests, packed).drop_null().to_numpy()
    chosen = np.setdiff1d(np.arange(len(first)), held)
    if not len(chosen):
        return index
    packed, new = packed.take(pa.array(chosen)), first[chosen]
    start = len(index.digests)
    keys = bands_of(signatures[new])
    numbers = np.repeat(np.arange(start, start + len(new), dtype=np.uint32), keys.shape[1])
    texts = pa.table({"digest": packed, "sketch": byte_strings(sketches(signatures[new]))})
    return replace(
        index,
        texts=(*index.texts, write_file(index, "texts", [texts])),
        bands=(*index.bands, write_file(index, "bands", [sorted_bands(keys.ravel(), numbers)])),
        digests=pa.concat_arrays([index.digests, packed]),
    )


def lacking(index: Index, digests: Sequence[str]) -> list[str]:
    """Those of the digests that the index has no text for, in their order."""
    held = pc.is_valid(pc.index_in(packed_digests(digests), index.digests)).to_numpy(zero_copy_only=False)
    return [digests[i] for i in np.flatnonzero(~held).tolist()]


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

    An index of another version has none. It must have the latest text of every document but for those that were
    restored, which the next ingest adds. It may have more: what is known of a text stays true.
    """
    path = root / "index" / "manifest.json"
    text, _ = _state(path)
    wanted = _texts(root)
    if not text:
        if wanted:
            yield path, "is missing"
        return
    try:
        files, settings = _parsed(text)
    except (ValueError, KeyError, TypeError) as error:
        yield path, f"is not a manifest ({error})"
        return
    if _of_another_version(settings):
        return
    listed = [(path.parent / file.name, file) for kind in KINDS for file in files[kind]]
    wrong = [(place, why) for place, file in listed if (why := file_fault(place, file, content=True))]
    yield from wrong or _lacking(path, files["texts"], wanted)
    named = {place.name for place, _ in listed}
    if not is_shared(path):  # what other machines write is not known
        yield from ((stray, "no index names this file") for stray in unnamed_files(folder(root), named))


def repair(root: StorePath) -> int:
    """Make the index again from the corpus where it is not as it was written; how many faults it had.

    One that another version made counts as one: its texts are signed as this version does it.
    For a run that holds the writing lock. Where the manifest is lost, nobody knows here how texts are signed:
    then what is left of it is removed, and the next ingest makes it.
    """
    faulty = list(faults(root))
    manifest, _ = _state(root / "index" / "manifest.json")
    with suppress(ValueError, KeyError, TypeError):
        if _of_another_version(_parsed(manifest)[1]):
            faulty = [(root / "index", "was made by another version")]
    if not faulty:
        return 0
    signing = _signing(root)
    if signing:
        rebuild(root, signing)
    else:
        (root / "index" / "manifest.json").unlink(missing_ok=True)
        sweep(Index(folder(root), Signing()))
    return len(faulty)


def _signing(root: StorePath) -> Signing | None:
    """How the texts of an index were signed; None where its manifest does not say it."""
    try:
        _, settings = _parsed(_state(root / "index" / "manifest.json")[0])
        return Signing(**{setting.name: settings[setting.name] for setting in fields(Signing)})
    except (ValueError, KeyError, TypeError):
        return None


def _texts(root: StorePath) -> set[bytes]:
    """The digests of the texts that an ingest has put into the index."""
    table = tables.latest(root, ["text_sha256", "words", "status", "change", "parts"])
    chosen = pc.and_(pc.greater(table["words"], 0), pc.not_equal(table["status"], "gone"))
    chosen = pc.and_(chosen, pc.not_equal(table["change"], "restored"))
    # Of documents with a caption that another carries the index has the text with that caption.
    chosen = pc.and_(chosen, pc.invert(pc.match_substring(table["parts"], f'"{PART}"')))
    return set(map(bytes.fromhex, table["text_sha256"].filter(chosen).to_pylist()))


def _lacking(path: StorePath, files: Iterable[File], wanted: set[bytes]) -> Iterator[tuple[StorePath, str]]:
    """Says of the manifest how many texts its files lack, or which file cannot be read."""
    missing = set(wanted)
    for file in files:
        place = path.parent / file.name
        try:
            with data_files.parquet(place) as opened:
                missing.difference_update(opened.read(["digest"], use_threads=False)["digest"].to_pylist())
        except StoreError:
            yield place, "cannot be read"
            return
    if missing:
        yield path, f"lacks {len(missing)} of the {len(wanted)} texts that documents have"


def propose(index: Index, documents: Sequence[Candidate]) -> Proposed:
    """The pairs to look at among documents sorted by preference; their texts must be in the index."""
    places = pc.index_in(packed_digests([document.text_sha256 for document in documents]), index.digests)
    if places.null_count:
        raise ValueError(f"{places.null_count} texts are not in the index: add them before")
    numbers = places.to_numpy().astype(np.int64)
    rows = np.full(len(index.digests), -1)
    rows[numbers] = np.arange(len(numbers))
    parts = index.partitions
    pairs = union((candidates(index, rows, part, parts) for part in range(parts)), len(numbers))
    return Proposed(pairs, stored_sketches(index)[numbers], _facts(index, rows))


def candidates(
    index: Index, rows: NDArray[np.int64], partition: int = 0, partitions: int = 1, bucket: int = BUCKET
) -> Candidates:
    """The pairs of rows that share a band whose key lies in one range; see ``repetition.candidates``.

    ``rows`` gives the row of each text by its number, -1 for a text that is to be left out. Reads the files,
    changes nothing; ``repetition.union`` over all partitions is what one partition gives.
    """
    keys, holders = _shared(index, rows, partition, partitions)
    return pair_up(keys, holders, int(rows.max(initial=-1)) + 1, bucket)


def commit(index: Index, measured: Facts) -> Index:
    """Keep the index with what was measured since: after this, and not before, it is there for the next run.

    Files that are small beside the ones after them are merged first; files of no index are removed afterwards.
    For a run that holds the writing lock.
    """
    if not all_files(index):
        return index
    if measured:
        index = replace(index, pairs=(*index.pairs, write_file(index, "pairs", [_pairs(index, measured)])))
    path = index.folder / "manifest.json"
    if _named(path) != {file.name for file in all_files(index)}:
        index = merged(index)
        _write_manifest(index, path)
        if index.home:
            index = _store(index, index.home)
    sweep(index)
    return index


def _write_manifest(index: Index, path: Path) -> None:
    sync_folder(index.folder)
    atomic_write(path, _manifest(index))


def _manifest(index: Index) -> bytes:
    files: dict[str, Any] = {kind: [asdict(file) for file in getattr(index, kind)] for kind in KINDS}
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
    for file in all_files(index):
        here = index.folder / file.name
        if file_fault(here, file):
            with suppress(FileNotFoundError):  # which ``load`` finds
                atomic_write(here, (index.home / file.name).read_bytes(), durable=False)
    atomic_write(path, _manifest(index), durable=False)


def _store(index: Index, home: StorePath) -> Index:
    """Share an index: its new files, then its manifest, unless another run has shared one meanwhile."""
    there = set(list_names(home, "listing the index"))
    for file in all_files(index):
        if file.name not in there:
            atomic_write(home / file.name, (index.folder / file.name).read_bytes())
    path = home / "manifest.json"
    tag = replace_marked(path, _manifest(index), index.tag)
    if tag:
        named = {file.name for file in all_files(index)} | {path.name}
        for name in there - named:
            if (home / name).stat().st_mtime < time.time() - _DAY:  # a run may be fetching what was named
                (home / name).unlink()
    return replace(index, tag=tag or index.tag)


# ---- settings and damage


def _named(path: Path) -> set[str]:
    """The names of the files that a manifest names; none where it is missing or damaged."""
    try:
        files, _ = _parsed(_state(path)[0])
    except (ValueError, KeyError, TypeError):
        return set()
    return {file.name for kind in KINDS for file in files[kind]}


def _of_another_version(settings: Mapping[str, Any]) -> bool:
    """Whether an index is of another format or normal form, which no policy sets: no damage, but no use."""
    return settings.get("format") != FORMAT or settings.get("normalisation") != NORMALISATION


def _settings(signing: Signing) -> dict[str, Any]:
    """All that must be the same for two entries of an index to be compared."""
    bands = {"bands": max(1, signing.num_perm // ROWS), "rows": ROWS}
    return {"format": FORMAT, "normalisation": NORMALISATION, **bands, **asdict(signing)}


def _check_settings(path: StorePath, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [name for name in wanted if stored.get(name) != wanted[name]]
    if differing:
        was = ", ".join(f"{name} {stored.get(name)!r} (now {wanted[name]!r})" for name in differing)
        raise StoreError(
            f"{path}: the index was made with {was}, and signatures made otherwise cannot be compared; set "
            f"[duplicates] in the policy as it was, or remove the folder {path.parent}: the next ingest makes "
            "it again from the corpus"
        )


# ---- reading


def _shared(
    index: Index, rows: NDArray[np.int64], partition: int, partitions: int
) -> tuple[Hashes, NDArray[np.int64]]:
    """The keys of a range that several texts have, and the rows of those that have one, ascending.

    Each file is sorted, so the few shared keys are found without merging the many others.
    """
    files = sorted(index.bands, key=lambda file: -file.rows)
    slices = [read_slice(index.folder / file.name, partition, partitions) for file in files]
    marks = [_repeated(keys) for keys, _ in slices]
    for i, (keys, _) in enumerate(slices):
        for (others, _), mark in zip(slices[i + 1 :], marks[i + 1 :], strict=True):
            at = np.searchsorted(keys, others)
            hit = _equal(keys, at, others)
            marks[i][at[hit]] = True
            mark[hit] = True
    shared = np.concatenate([np.empty(0, np.uint64), *(k[m] for (k, _), m in zip(slices, marks, strict=True))])
    numbers = [np.empty(0, np.uint32), *(n[m] for (_, n), m in zip(slices, marks, strict=True))]
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
    equal: NDArray[np.int64] = inside[keys[at[inside]] == others[inside]]
    return equal


def _facts(index: Index, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is known of pairs of these rows: see ``Proposed``."""
    parts = [np.empty((0, 6), np.int64)]
    for file in index.pairs:
        columns = [column.to_numpy() for column in read_file(index, file).columns]
        columns[:2] = rows[columns[0]], rows[columns[1]]
        here = (columns[0] >= 0) & (columns[1] >= 0)
        parts.append(np.stack([column[here].astype(np.int64) for column in columns], axis=1))
    return np.concatenate(parts)


def _pairs(index: Index, measured: Facts) -> pa.Table:
    """Facts about pairs of texts as rows, the texts by number."""
    sides = [pc.index_in(packed_digests([pair[side] for pair in measured]), index.digests) for side in (0, 1)]
    facts = list(measured.values())
    asked = [-1 if fact.conflict is None else int(fact.conflict) for fact in facts]
    overlaps = [[fact.overlap[i] for fact in facts] for i in range(3)]
    return pa.table([*sides, *overlaps, asked], schema=PAIRS)
