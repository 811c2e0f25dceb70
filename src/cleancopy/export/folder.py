"""Files and folders that appear whole or not at all; an interrupted folder is continued.

    out.parent/.out.partial/            where it grows: the files of finished shards ...
    out.parent/.out.partial/.notes/     ... and a note for each shard, written when its files are on the disk
    out.parent/out/manifest.json        written last; then .out.partial takes the place of out

A run that finds the partial folder of the same export keeps its finished shards, and one that finds the export
itself, whole, has nothing to do. Another export's partial folder is emptied first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cleancopy.errors import StoreError
from cleancopy.store.paths import LOCK, atomic_write, locked, store_errors, sync_folder

MANIFEST = "manifest.json"
#: The file that has the digests of all others, as sha256sum reads them.
SUMS = "SHA256SUMS"
_NOTES = ".notes"
_IDENTITY = "export.json"


@dataclass(frozen=True, slots=True)
class File:
    """A file of an export: its path in the folder, size in bytes, digest, and how many documents it has."""

    path: str
    bytes: int
    sha256: str
    documents: int


@contextmanager
def building(out: Path, identity: Mapping[str, Any]) -> Iterator[Path | None]:
    """The folder in which ``out`` grows, or None where ``out`` is this very export and whole already.

    ``identity`` is all that decides what the files hold. Raises StoreError where ``out`` is a file, or a folder
    with something else in it than an export.
    """
    out = out.absolute()
    partial, old = (out.with_name(f".{out.name}.{end}") for end in ("partial", "old"))
    _check_place(out)
    with store_errors(out, "exporting"), locked(partial):
        if old.exists():
            # A run was interrupted between the two renames of ``publish``, or right after them.
            shutil.rmtree(old) if out.exists() else os.rename(old, out)
        shutil.rmtree(out / _NOTES, ignore_errors=True)
        if _whole(out, identity):
            shutil.rmtree(partial)
            yield None
            return
        _begin(partial, identity)
        yield partial


def finished(partial: Path) -> dict[int, list[File]]:
    """The files of each shard that is finished, by shard."""
    by_shard = {}
    for note in sorted((partial / _NOTES).glob("[0-9]*.json")):
        files = [File(*row) for row in json.loads(note.read_bytes())]
        if all(_size(partial / file.path) == file.bytes for file in files):
            by_shard[int(note.stem)] = files
    return by_shard


def finish(partial: Path, shard: int, files: Sequence[File]) -> None:
    """Note that a shard is finished: its files are on the disk."""
    rows = [[file.path, file.bytes, file.sha256, file.documents] for file in files]
    atomic_write(partial / _NOTES / f"{shard:05d}.json", json.dumps(rows).encode())


@contextmanager
def building_file(out: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file to write that appears as ``out`` when it is complete, and a folder to work in meanwhile.

    Both are in a partial folder, which the next run for the same file removes should this one be killed.
    """
    out = out.absolute()
    partial = out.with_name(f".{out.name}.partial")
    with store_errors(out, "exporting"), locked(partial):
        try:
            with writing(partial / "file") as file:
                yield file, partial / ".spool"
            os.replace(partial / "file", out)
            sync_folder(out.parent)
        finally:
            shutil.rmtree(partial)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears under its name when it is complete and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with store_errors(path, "exporting"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def describe(folder: Path, path: Path, documents: int) -> File:
    """A written file as a manifest names it."""
    with store_errors(path, "exporting"), open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(path.relative_to(folder).as_posix(), os.fstat(file.fileno()).st_size, digest, documents)


def publish(partial: Path, out: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, and put the folder in its place; what stood there is removed."""
    out = out.absolute()
    old = out.with_name(f".{out.name}.old")
    write_manifest(partial, manifest)
    with store_errors(out, "exporting"):
        (partial / LOCK).unlink(missing_ok=True)
        if out.exists():
            os.rename(out, old)
        os.rename(partial, out)
        # The notes go last: a run that is interrupted before finds its shards again.
        shutil.rmtree(out / _NOTES)
        sync_folder(out.parent)
        shutil.rmtree(old, ignore_errors=True)


def _begin(partial: Path, identity: Mapping[str, Any]) -> None:
    """Keep the whole files of a run for the same export; empty the folder of anything else."""
    note = partial / _NOTES / _IDENTITY
    if not (note.exists() and json.loads(note.read_bytes()) == identity):
        for path in partial.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        atomic_write(note, json.dumps(identity).encode())
    for temporary in partial.rglob(".*.tmp"):
        temporary.unlink()


def _check_place(out: Path) -> None:
    if out.is_dir() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise StoreError(f"{out}: holds files that no export has made; name a new or an empty folder")
    if out.is_dir() and (out / MANIFEST).exists() and _identity(out) is None:
        raise StoreError(f"{out}: its {MANIFEST} is not of an export; name a new or an empty folder")
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, and this export is a folder; name another place")


def manifest(out: Path) -> Any:
    """The manifest of the export in a folder; None where there is none."""
    try:
        return json.loads((out / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a folder."""
    atomic_write(folder / MANIFEST, _lines(manifest))


def altered(base: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """The files that a manifest names, or the sums that it names, and that are not as they were written."""
    for file in (File(**fields) for fields in manifest["files"]):
        if not _same(base, file):
            yield file.path
        elif file.path == SUMS:
            sums = (base / SUMS).read_text(encoding="ascii").splitlines()
            yield from (line[66:] for line in sums if _sum(base / line[66:]) != line[:64])


def _identity(out: Path) -> Any:
    """What the export in a folder is of; None where there is none."""
    try:
        return manifest(out)["export"]
    except (KeyError, TypeError):
        return None


def _whole(out: Path, identity: Mapping[str, Any]) -> bool:
    """Whether the folder is this very export, with every file that its manifest names as it was written."""
    return out.is_dir() and _identity(out) == identity and next(altered(out, manifest(out)), None) is None


def _same(base: Path, file: File) -> bool:
    return _size(base / file.path) == file.bytes and _sum(base / file.path) == file.sha256


def _sum(path: Path) -> str | None:
    return describe(path.parent, path, 0).sha256 if path.is_file() else None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _lines(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
