"""Exports by format: which file or folder each makes of a plan.

A new format is one function here and one name in ``FOLDERS`` or ``export``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.corpus.columns import EXPORT
from cleancopy.errors import PolicyError, StoreError
from cleancopy.export import card, croissant, folder, jsonl, kept, lines, markdown, parquet, spreadsheet, tree
from cleancopy.export.folder import File
from cleancopy.export.kept import Asked
from cleancopy.export.kept import Format as Format
from cleancopy.export.selection import Plan, Shard, plan, shard_tables
from cleancopy.store import releases
from cleancopy.store.paths import StorePath

#: Raised whenever the same documents would make other files.
EXPORT_VERSION = 2

Progress = Callable[[int, int], None]
WriteShard = Callable[[Path, Shard, Plan, pa.Table], list[File]]


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
    kind: Format,
    *,
    compression: str | None = None,
    name: str = "",
    progress: Progress = lambda done, of: None,
) -> Exported:
    """Write the documents of a plan to a file or a folder, which appears whole or not at all.

    ``jsonl`` and ``csv`` make one file, compressed as its suffix or ``compression`` says, and a folder of
    shards where ``out`` has no suffix; everything else makes a folder. ``name`` is what a dataset card calls
    the corpus.
    """
    _check_apart(chosen.root, out)
    identity = _identity(chosen, out, kind, compression, name)
    done = (_file if kind in ("jsonl", "csv") and is_file(out) else _folder)(chosen, out, identity, progress)
    kept.remember(chosen.root, out, _asked(chosen, kind, compression, name), identity)
    return done


def renew(root: StorePath, *, dry_run: bool = False) -> list[Path]:
    """Bring the exports in ``clean/exports`` to the last release, and make good what is altered; which ones.

    One that was made ``as_of`` a release stays with it, but for documents that are gone since. With ``dry_run``
    nothing is changed.
    """
    renewed = []
    for one in kept.found(root, forget=not dry_run):
        asked = one.asked
        chosen = plan(
            root,
            as_of=asked.as_of,
            site=asked.site,
            max_documents=asked.max_documents,
            shard_documents=asked.shard_documents,
        )
        identity = _identity(chosen, one.out, asked.kind, asked.compression, asked.name)
        if one.identity == identity and kept.is_whole(one):
            continue
        renewed.append(one.out)
        if not dry_run:
            kept.mark(one)
            export(chosen, one.out, asked.kind, compression=asked.compression, name=asked.name)
    return renewed


def _asked(chosen: Plan, kind: Format, compression: str | None, name: str) -> Asked:
    return Asked(
        kind, compression, name, chosen.as_of, chosen.site, chosen.max_documents, chosen.shard_documents
    )


def _file(chosen: Plan, out: Path, identity: Mapping[str, Any], progress: Progress) -> Exported:
    said, packed = lines.by_suffix(out), identity["compression"]
    if said not in ("none", packed):
        raise PolicyError(f"{out}: its suffix says {said}, --compression {packed}; change one of them")
    lines.write_file(chosen, out, _lines(chosen, identity["format"]), packed)
    return Exported(chosen.documents, out, 1)


def _folder(chosen: Plan, out: Path, identity: Mapping[str, Any], progress: Progress) -> Exported:
    with folder.building(out, identity) as partial_folder:
        if partial_folder is None:
            return Exported(chosen.documents, out, len(chosen.shards), len(chosen.shards))
        files, before = _shards(chosen, partial_folder, _writer(chosen, identity), progress)
        extra = _extras(chosen, partial_folder, identity["format"], str(identity.get("name")), identity, files)
        folder.publish(partial_folder, out, _manifest(chosen, identity, [*files, *extra]))
    return Exported(chosen.documents, out, len(chosen.shards), before)


def _writer(chosen: Plan, identity: Mapping[str, Any]) -> WriteShard:
    kind = identity["format"]
    if kind in FOLDERS:
        return FOLDERS[kind]
    return partial(_lines_shard, _lines(chosen, kind), f".{kind}", identity["compression"])


def is_file(out: Path) -> bool:
    """Whether a path names one file rather than a folder of shards: it has a suffix, and is no folder."""
    return bool(out.suffix) and not out.is_dir()


# ---- folders of shards


def _lines(chosen: Plan, kind: str) -> lines.Lines:
    return jsonl.as_lines(chosen) if kind == "jsonl" else spreadsheet.as_lines()


def _lines_shard(
    how: lines.Lines, suffix: str, compression: str, into: Path, shard: Shard, chosen: Plan, table: pa.Table
) -> list[File]:
    path = into / "data" / _shard_name(shard, chosen, "part", suffix + lines.SUFFIXES[compression])
    lines.write_shard(path, table, how, compression)
    return [folder.describe(into, path, shard.documents)]


def _parquet_shard(prefix: str, into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    path = into / "data" / _shard_name(shard, chosen, prefix, ".parquet")
    parquet.write_parquet(path, table)
    return [folder.describe(into, path, shard.documents)]


def _markdown_shard(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    columns = table.select([*markdown.FIELDS, "text", "blocks"])
    return tree.write_files(into, columns, ".md", markdown.document)


def _text_shard(into: Path, shard: Shard, chosen: Plan, table: pa.Table) -> list[File]:
    columns = table.select(["id", "site", "title", "text"])
    return tree.write_files(into, columns, ".txt", lambda row: str(row["text"]))


#: How each format writes a shard into a folder.
FOLDERS: Mapping[str, WriteShard] = {
    "parquet": partial(_parquet_shard, "part"),
    "croissant": partial(_parquet_shard, "part"),
    "huggingface": partial(_parquet_shard, "train"),
    "markdown": _markdown_shard,
    "text": _text_shard,
}


def _shard_name(shard: Shard, chosen: Plan, prefix: str, suffix: str) -> str:
    return f"{prefix}-{shard.number:05d}-of-{len(chosen.shards):05d}{suffix}"


def _shards(chosen: Plan, into: Path, write: WriteShard, progress: Progress) -> tuple[list[File], int]:
    """Write the shards that are not finished yet; all their files, and how many shards were."""
    done = folder.finished(into)
    kept, of = len(done), len(chosen.shards)
    missing = [shard.number for shard in chosen.shards if shard.number not in done]
    for shard, table in shard_tables(chosen, missing, into / ".spool"):
        done[shard.number] = write(into, shard, chosen, table)
        folder.finish(into, shard.number, done[shard.number])
        del table
        progress(len(done), of)
    return [file for number in sorted(done) for file in done[number]], kept


def _extras(
    chosen: Plan, into: Path, kind: str, name: str, identity: Mapping[str, Any], files: Sequence[File]
) -> list[File]:
    """Write what stands beside the shards; its files."""
    facts = {**identity, **_facts(chosen)}
    contents: dict[str, str] = {}
    if kind == "huggingface":
        contents["README.md"] = card.card(chosen, name, facts)
    if kind == "croissant":
        described = croissant.croissant(chosen, name, facts, files)
        contents["croissant.json"] = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    if kind in ("markdown", "text"):
        contents["SHA256SUMS"] = "".join(f"{one.sha256}  {one.path}\n" for one in files)
    written = []
    for file_name, content in contents.items():
        with folder.writing(into / file_name) as file:
            file.write(content.encode())
        written.append(folder.describe(into, into / file_name, 0))
    return written


def _identity(chosen: Plan, out: Path, kind: str, compression: str | None, name: str) -> dict[str, Any]:
    """All that decides what the files of an export hold."""
    options = {}
    if kind in ("jsonl", "csv"):
        usual = lines.by_suffix(out) if is_file(out) else "zstd" if kind == "jsonl" else "none"
        options["compression"] = compression or usual
    if kind in ("huggingface", "croissant"):
        options["name"] = name or out.absolute().name
    return {
        "version": EXPORT_VERSION,
        "format": kind,
        **options,
        "release": chosen.release,
        "site": chosen.site,
        "max_documents": chosen.max_documents,
        "documents": chosen.documents,
        "content_root": chosen.content_root,
        "shards": [shard.documents for shard in chosen.shards],
    }


def _facts(chosen: Plan) -> dict[str, Any]:
    manifest = releases.read(chosen.root, chosen.release)
    return {"released": manifest.time, "fingerprint": manifest.fingerprint, "words": chosen.words}


def _manifest(chosen: Plan, identity: Mapping[str, Any], files: Sequence[File]) -> dict[str, Any]:
    """What a folder holds; of a tree, the one file that has the sums of all others."""
    named = [one for one in files if identity["format"] not in ("markdown", "text") or one.path == "SHA256SUMS"]
    columns = [
        {
            "name": one.name,
            "type": str(one.type),
            "nullable": one.nullable,
            "meaning": one.metadata[b"comment"].decode(),
        }
        for one in EXPORT
    ]
    shown = columns if identity["format"] in ("parquet", "huggingface", "croissant") else []
    return {
        "export": dict(identity),
        **_facts(chosen),
        "columns": shown,
        "files": [asdict(one) for one in named],
    }


def _check_apart(root: StorePath, out: Path) -> None:
    """Raise StoreError where an export would stand among the store's own files."""
    if not isinstance(root, Path):
        return
    store, place = root.resolve(), out.resolve()
    if place == store or (store in place.parents and place.relative_to(store).parts[0] != "exports"):
        raise StoreError(f"{out}: lies inside the store {root}; name a place outside it, or {root / 'exports'}")
