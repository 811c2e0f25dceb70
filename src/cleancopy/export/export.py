"""Exports: a file or a folder of the live documents of a release, in any of the formats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.corpus.columns import EXPORT
from cleancopy.errors import PolicyError, StoreError
from cleancopy.export import folder, kept, lines
from cleancopy.export.folder import File
from cleancopy.export.formats import format_named
from cleancopy.export.kept import Asked
from cleancopy.export.selection import Plan, Shard, plan, shard_tables
from cleancopy.export.writers import (
    DocumentWriter,
    FolderWriter,
    LinesWriter,
    WriteShard,
    load_writer,
    shard_name,
)
from cleancopy.stages.captions.clusters import NOTHING_DECIDED
from cleancopy.store import decisions, releases
from cleancopy.store.paths import StorePath, local_folder

#: Raised whenever the same documents would make other files.
EXPORT_VERSION = 4

Progress = Callable[[int, int], None]
CorpusWriter = LinesWriter | FolderWriter


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export has made. ``kept`` counts the shards that an earlier, interrupted run had finished."""

    documents: int
    out: Path
    shards: int
    kept: int = 0


def export(
    chosen: Plan,
    out: Path,
    kind: str,
    *,
    compression: str | None = None,
    name: str = "",
    progress: Progress = lambda done, of: None,
) -> Exported:
    """Write the documents of a plan to a file or a folder, which appears whole or not at all.

    ``kind`` is the name of a format of a corpus. One of lines makes one file, compressed as its suffix or
    ``compression`` says, and a folder of shards where ``out`` has no suffix; everything else makes a folder.
    ``name`` is what a dataset card calls the corpus. Raises StoreError where ``out`` lies in the store or holds
    other files, PolicyError where suffix and ``compression`` differ.
    """
    _check_apart(chosen.root, out)
    writer = _corpus_writer(kind)
    identity = _identity(chosen, out, kind, compression, name)
    if isinstance(writer, LinesWriter) and is_file(out):
        done = _export_file(chosen, out, identity, writer)
    else:
        done = _export_folder(chosen, out, identity, writer, progress)
    asked = Asked(
        kind,
        compression,
        name,
        chosen.as_of,
        chosen.site,
        chosen.max_documents,
        chosen.shard_documents,
        chosen.without_reserved,
    )
    kept.remember(chosen.root, out, asked, identity)
    return done


def export_document(root: StorePath, out: Path, kind: str, doc_id: str, as_of: int | None = None) -> None:
    """Write what a format of one document says of it, as of a release, to a file."""
    writer = load_writer(format_named(kind))
    if not isinstance(writer, DocumentWriter):
        raise PolicyError(f"{kind}: is a format of a corpus, not of one document")
    content = writer.write(root, doc_id, as_of)
    with folder.writing(out) as file:
        file.write(content)


def _corpus_writer(kind: str) -> CorpusWriter:
    writer = load_writer(format_named(kind))
    if isinstance(writer, DocumentWriter):
        raise PolicyError(f"{kind}: is a format of one document; name it with --doc")
    return writer


def renew(root: StorePath, *, dry_run: bool = False) -> list[Path]:
    """Bring the exports in ``clean/exports`` to the last release, and repair altered ones; which ones.

    One that was made ``as_of`` a release stays with it, but for documents that are gone since. With ``dry_run``
    nothing is changed.
    """
    renewed = []
    for entry in kept.found(root, forget=not dry_run):
        asked = entry.asked
        chosen = plan(
            root,
            as_of=asked.as_of,
            site=asked.site,
            max_documents=asked.max_documents,
            shard_documents=asked.shard_documents,
            without_reserved=asked.without_reserved,
        )
        identity = _identity(chosen, entry.out, asked.kind, asked.compression, asked.name)
        if entry.identity == identity and kept.is_whole(entry):
            continue
        renewed.append(entry.out)
        if not dry_run:
            kept.mark(entry)
            export(chosen, entry.out, asked.kind, compression=asked.compression, name=asked.name)
    return renewed


def _export_file(chosen: Plan, out: Path, identity: Mapping[str, Any], writer: LinesWriter) -> Exported:
    by_suffix, compression = lines.by_suffix(out), identity["compression"]
    if by_suffix not in ("none", compression):
        raise PolicyError(
            f"{out}: its suffix says {by_suffix}, --compression {compression}; change one of them"
        )
    lines.write_file(chosen, out, writer.lines(chosen), compression)
    return Exported(chosen.documents, out, 1)


def _export_folder(
    chosen: Plan, out: Path, identity: Mapping[str, Any], writer: CorpusWriter, progress: Progress
) -> Exported:
    with folder.building(out, identity) as partial_folder:
        if partial_folder is None:
            return Exported(chosen.documents, out, len(chosen.shards), len(chosen.shards))
        files, before = _write_shards(chosen, partial_folder, _shard_writer(chosen, identity, writer), progress)
        if isinstance(writer, FolderWriter):
            facts = {**identity, **_facts(chosen)}
            beside = writer.beside(chosen, str(identity.get("name")), facts, files)
            files = [*files, *_write_beside(partial_folder, beside)]
        folder.publish(partial_folder, out, _manifest(chosen, identity, writer, files))
    return Exported(chosen.documents, out, len(chosen.shards), before)


def is_file(out: Path) -> bool:
    """Whether a path names one file rather than a folder of shards: it has a suffix, and is no folder."""
    return bool(out.suffix) and not out.is_dir()


# ---- folders of shards


def _shard_writer(chosen: Plan, identity: Mapping[str, Any], writer: CorpusWriter) -> WriteShard:
    if isinstance(writer, FolderWriter):
        return writer.write_shard
    line_form, compression = writer.lines(chosen), identity["compression"]
    suffix = writer.suffix + lines.SUFFIXES[compression]

    def write(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
        path = into / "data" / shard_name(shard, chosen, "part", suffix)
        lines.write_shard(path, table, line_form, compression)
        return [folder.describe(into, path, shard.documents)]

    return write


def _write_shards(chosen: Plan, into: Path, write: WriteShard, progress: Progress) -> tuple[list[File], int]:
    """Write the shards that are not finished yet; all their files, and how many shards were."""
    done = folder.finished(into)
    before, of = len(done), len(chosen.shards)
    missing = [shard.number for shard in chosen.shards if shard.number not in done]
    for shard, table in shard_tables(chosen, missing, into / ".spool"):
        done[shard.number] = write(into, shard, chosen, table)
        folder.finish(into, shard.number, done[shard.number])
        del table
        progress(len(done), of)
    return [file for number in sorted(done) for file in done[number]], before


def _write_beside(into: Path, contents: Mapping[str, str]) -> list[File]:
    """Write what stands beside the shards, content by file name; the files."""
    written = []
    for name, content in contents.items():
        with folder.writing(into / name) as file:
            file.write(content.encode())
        written.append(folder.describe(into, into / name, 0))
    return written


def _identity(chosen: Plan, out: Path, kind: str, compression: str | None, name: str) -> dict[str, Any]:
    """All that decides what the files of an export hold."""
    writer = _corpus_writer(kind)
    options = {}
    if isinstance(writer, LinesWriter):
        usual = lines.by_suffix(out) if is_file(out) else writer.compression
        options["compression"] = compression or usual
    elif writer.is_named:
        options["name"] = name or out.absolute().name
    if (decided := decisions.read_decisions(chosen.root).on_captions()) != NOTHING_DECIDED:
        options["captions"] = hashlib.sha256(repr(decided).encode()).hexdigest()[:16]
    return {
        "version": EXPORT_VERSION,
        "format": kind,
        **options,
        "release": chosen.release,
        "site": chosen.site,
        "max_documents": chosen.max_documents,
        "documents": chosen.documents,
        "content_root": chosen.content_root,
        "without_reserved": chosen.without_reserved,
        "usage_sha256": chosen.usage_sha256,
        "shards": [shard.documents for shard in chosen.shards],
    }


def _facts(chosen: Plan) -> dict[str, Any]:
    manifest = releases.read_manifest(chosen.root, chosen.release)
    return {"released": manifest.time, "fingerprint": manifest.fingerprint, "words": chosen.words}


def _manifest(
    chosen: Plan, identity: Mapping[str, Any], writer: CorpusWriter, files: Sequence[File]
) -> dict[str, Any]:
    """What a folder holds; of a tree, the one file that has the sums of all others."""
    sums = writer.sums if isinstance(writer, FolderWriter) else None
    is_table = isinstance(writer, FolderWriter) and writer.is_table
    columns = [
        {
            "name": column.name,
            "type": str(column.type),
            "nullable": column.nullable,
            "meaning": column.metadata[b"comment"].decode(),
        }
        for column in EXPORT
    ]
    return {
        "export": dict(identity),
        **_facts(chosen),
        "columns": columns if is_table else [],
        "files": [asdict(file) for file in files if sums in (None, file.path)],
    }


def _check_apart(root: StorePath, out: Path) -> None:
    """Raise StoreError where an export would stand among the store's own files."""
    folder = local_folder(root)
    if folder is None:
        return
    store, place = folder.resolve(), out.resolve()
    if place == store or (store in place.parents and place.relative_to(store).parts[0] != "exports"):
        raise StoreError(f"{out}: lies inside the store {root}; name a place outside it, or {root / 'exports'}")
