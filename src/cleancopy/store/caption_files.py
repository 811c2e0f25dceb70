"""The files of the table of captions: what they hold, and the manifest that names them.

    clean/captions/manifest.json         how captions are keyed and compared, and the files; written last
    clean/captions/rows-*.parquet        a caption each: text, normal form, credit, identifiers, places
    clean/captions/verdicts-*.parquet    whether two wordings are one caption, for each pair that was compared

Files never change: they are added, made one, and removed once no manifest names them.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from cleancopy.stages.captions.clusters import KEYS
from cleancopy.store import data_files
from cleancopy.store.paths import (
    StorePath,
    atomic_write,
    file_digest,
    is_shared,
    list_names,
    remove,
    store_errors,
)

Kind = Literal["rows", "verdicts"]
#: Bytes of a key as it is stored.
KEY_BYTES = 6
_DAY = 86_400.0
_PLACE = pa.struct([("start", pa.int32()), ("end", pa.int32())])
ROWS = pa.schema(
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
        ("keys", pa.binary(KEY_BYTES * KEYS)),
    ]
)
VERDICTS = pa.schema([("code", pa.uint64()), ("value", pa.int8())])


@dataclass(frozen=True, slots=True)
class File:
    """One file of the table: its name, size in bytes and digest."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the table is: the release that it was brought up to, how it was made, its files."""

    release: int
    settings: Mapping[str, Any]
    rows: tuple[File, ...] = ()
    verdicts: tuple[File, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        """All files that it names."""
        return (*self.rows, *self.verdicts)


def folder(root: StorePath) -> StorePath:
    """The folder of a store's captions."""
    return root / "captions"


def manifest_file(root: StorePath) -> StorePath:
    """Where the manifest is."""
    return folder(root) / "manifest.json"


def read_manifest(root: StorePath) -> Manifest | None:
    """The manifest; None where there is none or it cannot be read."""
    path = manifest_file(root)
    try:
        with store_errors(path, "reading the captions"):
            if not path.exists():
                return None
            fields = json.loads(path.read_bytes())
        rows, verdicts = (tuple(File(**file) for file in fields[kind]) for kind in ("rows", "verdicts"))
        return Manifest(int(fields.get("release") or 0), dict(fields["settings"]), rows, verdicts)
    except (ValueError, KeyError, TypeError):
        return None


def write_manifest(root: StorePath, manifest: Manifest) -> None:
    """Make a table the one that stands, and remove the files that it does not name."""
    atomic_write(manifest_file(root), (json.dumps(asdict(manifest), indent=1) + "\n").encode())
    sweep(root, manifest)


def write(root: StorePath, kind: Kind, table: pa.Table) -> tuple[File, ...]:
    """A table in one new file; none where it has no rows."""
    if not table.num_rows:
        return ()
    buffer = io.BytesIO()
    dictionary = [name for name in ("site", "captured", "version_id", "doc_id") if name in table.schema.names]
    pq.write_table(table, buffer, compression="zstd", use_dictionary=dictionary, write_statistics=False)
    path = folder(root) / f"{kind}-{uuid4().hex}.parquet"
    atomic_write(path, buffer.getvalue())
    return (File(path.name, buffer.getbuffer().nbytes, file_digest(path)),)


def read(root: StorePath, file: File, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file, or some columns of them; StoreError where it cannot be read."""
    with data_files.parquet(folder(root) / file.name) as opened:
        return opened.read(columns=columns and list(columns), use_threads=False)


def read_rows(root: StorePath, files: Sequence[File], columns: Sequence[str] = ROWS.names) -> pa.Table:
    """The captions in some files."""
    empty = ROWS.empty_table().select(list(columns))
    return pa.concat_tables([empty, *(read(root, file, columns).select(list(columns)) for file in files)])


def fault(root: StorePath, file: File, content: bool = False) -> str | None:
    """Why a file is not the one that was written; its ``content`` is read only where that is asked for."""
    path = folder(root) / file.name
    if not path.exists():
        return "is missing"
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes instead of {file.size}"
    if content and file_digest(path) != file.sha256:
        return "was altered: it has another digest than it was written with"
    return None


def unnamed(root: StorePath, manifest: Manifest) -> Iterator[StorePath]:
    """The files that a manifest does not name."""
    named = {file.name for file in manifest.files} | {manifest_file(root).name}
    for name in sorted(set(list_names(folder(root), "listing the captions")) - named):
        yield folder(root) / name


def sweep(root: StorePath, manifest: Manifest) -> None:
    """Remove the files that the manifest does not name; shared ones only when nobody can be reading them."""
    for path in unnamed(root, manifest):
        if not is_shared(root) or path.stat().st_mtime < time.time() - _DAY:
            remove(path)
