"""The exports that a store keeps up: those directly in ``clean/exports``, each with a note of what it is.

    clean/exports/corpus/               an export, as any other; or a file such as corpus.jsonl.zst
    clean/exports/.corpus.export.json   its note: what was asked for, and the manifest, of a file too

``renew`` makes each again that is of an older release than the last, or not as it was written. One that was
removed is forgotten; exports elsewhere are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cleancopy.errors import StoreError
from cleancopy.export import folder
from cleancopy.export.folder import File
from cleancopy.export.formats import names
from cleancopy.store.paths import StorePath, atomic_write, local_folder, store_errors

_ENDING = ".export.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an export was asked for; ``as_of`` is None where it is to follow the last release."""

    kind: str
    compression: str | None
    name: str
    as_of: int | None
    site: str | None
    max_documents: int | None
    shard_documents: int
    without_reserved: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """An export that is kept up: where it is, what was asked for, and the manifest that it was written with."""

    out: Path
    asked: Asked
    manifest: Mapping[str, Any]

    @property
    def identity(self) -> Any:
        """All that decided what its files hold."""
        return self.manifest["export"]


def remember(root: StorePath, out: Path, asked: Asked, identity: Mapping[str, Any]) -> None:
    """Note an export that has just been made, where it is one that the store keeps up."""
    out = out.absolute()
    store = local_folder(root)
    if store is None or out.resolve().parent != _folder(store).resolve():
        return
    if out.is_dir():
        manifest = folder.manifest(out)
    else:
        manifest = {"export": dict(identity), "files": [asdict(folder.describe(out.parent, out, 0))]}
    content = json.dumps({"asked": asdict(asked), "manifest": manifest}, ensure_ascii=False)
    atomic_write(_note(out), (content + "\n").encode())


def check_exports(root: StorePath) -> Iterator[tuple[Path, str]]:
    """Each file of the exports that are kept up which is not as it was written, and why."""
    for note in _notes(root):
        try:
            kept = _read(note)
        except StoreError:
            yield note, "is not the note of an export"
            continue
        if kept.out.exists():
            yield from ((_base(kept) / name, "is not as it was exported") for name in _altered(kept))


def found(root: StorePath, forget: bool = False) -> Iterator[Kept]:
    """The exports that are kept up and still there.

    With ``forget`` the notes of those that were removed, and notes that cannot be read, are removed.
    """
    for note in _notes(root):
        try:
            kept = _read(note)
        except StoreError:
            kept = None
        if kept and kept.out.exists():
            yield kept
        elif forget:
            note.unlink(missing_ok=True)


def mark(kept: Kept) -> None:
    """Put the manifest of a folder back where it is lost: it tells that the folder holds an export."""
    if kept.out.is_dir() and folder.manifest(kept.out) is None:
        folder.write_manifest(kept.out, kept.manifest)


def is_whole(kept: Kept) -> bool:
    """Whether every file of an export is as it was written."""
    return next(_altered(kept), None) is None


def _altered(kept: Kept) -> Iterator[str]:
    if kept.out.is_dir() and folder.manifest(kept.out) != kept.manifest:
        yield folder.MANIFEST
    yield from folder.altered(_base(kept), kept.manifest)


def _base(kept: Kept) -> Path:
    """What the paths of an export's files begin at."""
    return kept.out if kept.out.is_dir() else kept.out.parent


def _folder(root: Path) -> Path:
    return root / "exports"


def _note(out: Path) -> Path:
    return out.with_name(f".{out.name}{_ENDING}")


def is_note(path: Path) -> bool:
    """Whether a file is the note of an export."""
    return path.name.startswith(".") and path.name.endswith(_ENDING)


def _out(note: Path) -> Path:
    return note.with_name(note.name[1 : -len(_ENDING)])


def _notes(root: StorePath) -> list[Path]:
    store = local_folder(root)
    return sorted(_folder(store).glob(f".*{_ENDING}")) if store else []


def _read(note: Path) -> Kept:
    """What a note says; raises StoreError for one that is damaged."""
    with store_errors(note, "reading the note of an export"):
        content = note.read_bytes()
    try:
        values = json.loads(content)
        options = {field.name for field in fields(Asked)}
        asked = Asked(**{name: value for name, value in values["asked"].items() if name in options})
        kept = Kept(_out(note), asked, values["manifest"])
        is_export = isinstance(kept.identity, dict) and asked.kind in names(one_document=False)
        files = [File(**file) for file in kept.manifest["files"]]
        if not (is_export and files):
            raise ValueError("it names no export")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{note}: is not the note of an export ({error}); remove it, and export again"
        ) from error
    return kept
