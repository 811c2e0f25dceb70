"""What people and scripts read in clean/: the text tree and the list of inputs.

Both are views, made from the tables and the run: what is missing or stale is made again (``check_tree``,
``repair_tree``, ``check_inputs``, ``repair_inputs``), and nothing is lost with them.
``clean/text/<site>/<slug>-<id>.txt`` is the clean text, the ``.json`` beside it its provenance.
A store in an object store has no text tree: two small objects a document cost more requests than all else, and
nobody pages through them; ``cleancopy export --format text`` makes the tree in a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from cleancopy.document import doc_id
from cleancopy.errors import ConflictError, StoreError
from cleancopy.store import rows, schemas, tables
from cleancopy.store.paths import StorePath, atomic_write, local_folder, read_versioned, write_if_unchanged
from cleancopy.store.rows import FROM_ARCHIVE, LedgerEntry, Version
from cleancopy.store.slugs import site_slug, slug

_MARK = ".release"
_ID_DIGITS = 12
#: All that the tree shows of a version; its blocks, by far the most values, are not shown.
_SHOWN = [name for name in schemas.DOCUMENTS.names if name not in ("blocks", "structure")]
_NAMED = re.compile(rf"-[0-9a-f]{{{_ID_DIGITS}}}\.(txt|json)$")


def refresh(
    root: StorePath,
    before: int,
    release: int | None,
    touched: set[str],
    entries: Iterable[LedgerEntry],
    statuses: Mapping[str, str],
) -> None:
    """Bring the text tree and the list of inputs up to a release, from the documents that it touched.

    ``before`` is the release before, ``release`` None where nothing was new. Where the tree is not at the
    release before (a run was interrupted), it is made again as a whole. ``statuses`` are the new outcomes of
    documents that became copies, or ceased to be, without being read.
    """
    folder = local_folder(root)
    if folder is None:
        write_inputs(root, entries, statuses)
        return
    mark = folder / "text" / _MARK
    at = mark.read_text(encoding="utf-8", errors="replace").strip() if mark.is_file() else ""
    whole = at != str(before)
    write_tree(folder, None if whole else touched)
    write_inputs(root, entries, statuses)
    if whole or release is not None:
        atomic_write(mark, f"{before if release is None else release}\n".encode())


def write_tree(root: Path, documents: set[str] | None) -> None:
    """Write the text and provenance of these documents (None: of all), and remove what is no longer live."""
    if documents is not None and not documents:
        return
    existing = _files(root)  # what is of no document that was ever stored is people's own, and stays
    for version in _latest(root, documents):
        old = existing.pop(version.doc_id[:_ID_DIGITS], [])
        path = text_path(root, version)
        if version.status == "live":
            _write_file(path, version.document.clean.encode())
            _write_file(path.with_suffix(".json"), _lines(provenance(version)))
        for file in old:
            if version.status != "live" or file.with_suffix("") != path.with_suffix(""):
                file.unlink()


def _write_file(path: Path, content: bytes) -> None:
    """Write a file of the tree, unless people put something of another kind in its place.

    The tree is a view: ``verify`` names what it lacks, and no run fails for it.
    """
    if not path.is_dir() and (path.parent.is_dir() or not path.parent.exists()):
        atomic_write(path, content, durable=False)


def check_tree(root: StorePath) -> Iterator[tuple[Path, str, str | None]]:
    """Each file of the text tree that is not as the last release has it, why, and the document it is of.

    A file that no live document has comes with None. Files that are named otherwise are left alone.
    """
    folder = local_folder(root)
    if folder is None:
        return
    known = {document[:_ID_DIGITS] for document in tables.heads(root)}
    unmatched = {file for digits, files in _files(folder).items() for file in files if digits in known}
    for version in _latest(root, None):
        if version.status != "live":
            continue
        path = text_path(folder, version)
        contents = {
            path: version.document.clean.encode(),
            path.with_suffix(".json"): _lines(provenance(version)),
        }
        unmatched -= contents.keys()
        for file, content in contents.items():
            if not file.is_file():
                yield file, "is missing", version.doc_id
            elif file.read_bytes() != content:
                yield file, "is not as the table has it", version.doc_id
    yield from ((file, "is of no live document", None) for file in sorted(unmatched))


def repair_tree(root: StorePath, release: int) -> int:
    """Make the text tree as a release, the last one, has it; how many files differed."""
    folder = local_folder(root)
    if folder is None:
        return 0
    faults = list(check_tree(root))
    write_tree(folder, {document for _, _, document in faults if document})
    for file in (file for file, _, document in faults if document is None):
        file.unlink(missing_ok=True)
    mark = folder / "text" / _MARK
    if not mark.is_file() or mark.read_text(errors="replace").strip() != str(release):
        atomic_write(mark, f"{release}\n".encode())
    return len(faults)


def text_path(root: Path, version: Version) -> Path:
    """Where a document's clean text is: in its site's folder, named by title or first line and by id."""
    document = version.document
    title = document.metadata.title or next(iter(document.clean[:200].splitlines()), "")
    name = f"{slug(title)}-{version.doc_id[:_ID_DIGITS]}.txt"
    return root / "text" / site_slug(document.site) / name


def provenance(version: Version) -> dict[str, Any]:
    """All that is known of a version, as JSON values; the text itself is apart."""
    document = version.document
    return {
        "id": version.doc_id,
        "version": version.version_id,
        "parent": version.parent,
        "release": version.release,
        "status": version.status,
        "change": version.change,
        "duplicate_of": version.duplicate_of,
        "match": dict(version.match),
        "key": document.key,
        "url": document.url,
        "site": document.site,
        "media_type": document.media_type,
        "captured": version.captured,
        # Rows from before a field was added leave it out, so that their files stay as they were written.
        "metadata": {
            name: value
            for name, value in fields_of(document.metadata).items()
            if value is not None or name not in schemas.ADDED
        },
        "media": [fields_of(medium) for medium in document.media],
        "cuts": cuts(version),
        "repairs": [fields_of(repair) for repair in document.repairs],
        "spans": [list(span) for span in document.mapping],
        "decoding": fields_of(document.decoding) if document.decoding else None,
        "text_sha256": version.text_sha256,
        "payload_sha256": document.payload_sha256,
        "archive": version.archive._asdict() if version.archive else None,
        "fingerprint": version.fingerprint,
        "pipeline": dict(version.parts),
    }


def cuts(version: Version) -> list[dict[str, Any]]:
    """The cuts of a version, numbered from 1, with the text that each took out."""
    text, numbered = version.document.text, enumerate(version.document.cuts, 1)
    return [{"number": n, **fields_of(cut), "text": text[cut.start : cut.end]} for n, cut in numbered]


def _latest(root: StorePath, documents: set[str] | None) -> Iterator[Version]:
    for batch in tables.latest_batches(root, columns=_SHOWN, documents=documents):
        yield from rows.table_to_versions(batch)


def _files(root: Path) -> dict[str, list[Path]]:
    """The files of the tree by the digits of the id at the end of their names; people's own are left out."""
    files: dict[str, list[Path]] = {}
    for file in (root / "text").glob("*/*"):
        if _NAMED.search(file.name) and not file.is_dir():
            files.setdefault(file.stem.rpartition("-")[2], []).append(file)
    return files


def _lines(content: Mapping[str, Any]) -> bytes:
    """A JSON object with a line for each key: readable, and several times faster than indenting."""
    lines = (_json(name) + b": " + _json(value) for name, value in content.items())
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


_json = partial(orjson.dumps, default=list)


def fields_of(record: Any) -> dict[str, Any]:
    """A flat record, named tuple or slotted dataclass, as a dictionary; ``asdict`` takes ten times as long."""
    named = getattr(record, "_fields", None) or record.__slots__
    return {name: getattr(record, name) for name in named}


# ---- inputs


def write_inputs(root: StorePath, entries: Iterable[LedgerEntry], statuses: Mapping[str, str]) -> None:
    """Bring ``clean/inputs.jsonl`` up to date: the last outcome of every input that was ever seen."""
    path, seen = root / "inputs.jsonl", list(entries)
    content, mark = read_versioned(path)
    while not write_if_unchanged(path, _updated(_known(root, content), seen, statuses), mark):
        content, mark = read_versioned(path)


def erase_inputs(root: StorePath, documents: Collection[str], is_erased: Callable[[str], bool]) -> None:
    """Take the names of inputs that documents came from, or that ``is_erased`` tells, out of the list."""
    path = root / "inputs.jsonl"
    content, mark = read_versioned(path)
    lines = _known(root, content)
    for line in lines:
        if line["document"] in documents or is_erased(line["input"]):
            line |= {"input": rows.erased_input(line["input"]), "message": None}
    if not write_if_unchanged(path, _packed(lines), mark):
        raise ConflictError(f"{path}: another run has written it meanwhile; run cleancopy maintain")


def check_inputs(root: StorePath) -> Iterator[str]:
    """What is wrong with the list of inputs: it is damaged, or lacks inputs that the ledger has."""
    ledger = _from_ledger(root)
    content, _ = read_versioned(root / "inputs.jsonl")
    if not content:
        if ledger:
            yield "is missing"
        return
    try:
        lacking = {name for name, _ in ledger} - {line["input"] for line in _lines_of(content)}
    except ValueError as error:
        yield f"is damaged ({error})"
        return
    if lacking:
        yield f"lacks {len(lacking)} inputs that the ledger has"


def repair_inputs(root: StorePath) -> int:
    """Write the list of inputs again, with what it lacks from the ledger; how many faults it had.

    An input that the ledger has seen twice with the same content has its first outcome then.
    """
    fault_count = len(list(check_inputs(root)))
    path = root / "inputs.jsonl"
    content, mark = read_versioned(path)
    while fault_count and not write_if_unchanged(path, _completed(root, content), mark):
        content, mark = read_versioned(path)
    return fault_count


def _completed(root: StorePath, content: bytes) -> bytes:
    lines = _known(root, content)
    names = {line["input"] for line in lines}
    return _packed([*lines, *(line for line in _from_ledger(root).values() if line["input"] not in names)])


def _known(root: StorePath, content: bytes) -> list[dict[str, Any]]:
    """The lines that the list has, or where it is missing or damaged, those that the ledger gives."""
    try:
        return _lines_of(content) or list(_from_ledger(root).values())
    except ValueError:
        return list(_from_ledger(root).values())


def _from_ledger(root: StorePath) -> dict[tuple[str, str | None], dict[str, Any]]:
    """The last line that the ledger has of each input and member, as the documents stand now."""
    names = ["input", "member", "outcome", "kind", "message", "version_id", "doc_id", "source", "release"]
    table = tables.captures(root, names).sort_by("release")
    states = {doc: head.status for doc, head in tables.heads(root).items()}
    lines = {}
    for name, member, outcome, kind, message, version, doc, source, _ in zip(
        *(table[column].to_pylist() for column in names), strict=True
    ):
        if source == FROM_ARCHIVE:
            continue
        if outcome != "rejected" and (states.get(doc) == "duplicate") != (outcome == "duplicate"):
            outcome = "duplicate" if outcome != "duplicate" else "unchanged"
        document = doc if version and outcome != "rejected" else None
        lines[name, member] = _as_line(name, member, outcome, kind, message, document)
    return lines


def _updated(
    lines: Iterable[dict[str, Any]], seen: Sequence[LedgerEntry], statuses: Mapping[str, str]
) -> bytes:
    fresh = {entry.input for entry in seen}
    kept = {(line["input"], line.get("member")): line for line in lines if line["input"] not in fresh}
    for line in kept.values():
        line["outcome"] = statuses.get(line["document"], line["outcome"])
    kept |= {(line["input"], line["member"]): line for line in map(_line, seen)}
    return _packed(kept.values())


def _packed(lines: Iterable[dict[str, Any]]) -> bytes:
    ordered = sorted(lines, key=lambda line: (line["input"], line.get("member") or ""))
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in ordered).encode()


def read_inputs(root: StorePath) -> Iterator[dict[str, Any]]:
    """The last outcome of every input and archive member, by name."""
    path = root / "inputs.jsonl"
    try:
        yield from _lines_of(read_versioned(path)[0])
    except ValueError as error:
        raise StoreError(
            f"{path}: is damaged ({error}); run cleancopy maintain: it is made again from the ledger"
        ) from error


def _lines_of(content: bytes) -> list[dict[str, Any]]:
    """The lines of a list of inputs; raises ValueError for what is not one."""
    # Not splitlines: a message may hold one of the other characters that it takes for a line end.
    lines = [json.loads(line) for line in content.decode().split("\n") if line]
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or not line.keys() >= _FIELDS or line["outcome"] not in _BEST:
            raise ValueError(f"line {number} is not of an input")
    return lines


def _line(entry: LedgerEntry) -> dict[str, Any]:
    document = doc_id(entry.key) if entry.version_id and entry.outcome != "rejected" else None
    return _as_line(entry.input, entry.member, entry.outcome, entry.kind, entry.message, document)


def _as_line(
    name: str, member: str | None, outcome: str, error: str | None, message: str | None, document: str | None
) -> dict[str, Any]:
    return {
        "input": name,
        "member": member,
        "outcome": outcome,
        "error": error,
        "message": message,
        "document": document,
    }


def inputs(root: StorePath) -> Iterator[dict[str, Any]]:
    """What became of each input: ``input``, ``outcome``, ``error``, ``message``, ``documents`` (ids).

    An archive is one input, with the best outcome of its members and the ids of all its documents; each
    member that was rejected follows as ``archive#member``.
    """
    for name, group in groupby(read_inputs(root), key=lambda line: line["input"]):
        members = list(group)
        good = [line for line in members if line["outcome"] != "rejected"]
        first = min(good or members, key=lambda line: _BEST.index(line["outcome"]))
        yield {
            "input": name,
            "outcome": first["outcome"],
            "error": first["error"],
            "message": first["message"],
            "documents": sorted({line["document"] for line in good} - {None}),
        }
        for line in members:
            if line["outcome"] == "rejected" and line["member"] and len(members) > 1:
                yield {
                    "input": f"{name}#{line['member']}",
                    "outcome": "rejected",
                    "error": line["error"],
                    "message": line["message"],
                    "documents": [],
                }


_BEST = ("new", "unchanged", "duplicate", "rejected")
_FIELDS = {"input", "outcome", "error", "message", "document"}


def _names(doc: str, name: str) -> bool:
    """Whether one is the other's path, or the end of it."""
    return doc == name or doc.endswith("/" + name) or name.endswith("/" + doc)


def find(root: StorePath, doc: str) -> list[str]:
    """The ids that a user may mean: by id or its start, key, URL, input, or file of the text tree."""
    table = tables.latest(root, columns=["doc_id", "key", "url"])
    ids = table["doc_id"].to_pylist()
    keyed = zip(ids, table["key"].to_pylist(), table["url"].to_pylist(), strict=True)
    exact = [document for document, key, url in keyed if doc in (document, key, url, key.removeprefix("file:"))]
    if exact:
        return exact
    end = Path(doc).stem.rpartition("-")[2]
    starts = [document for document in ids if len(end) >= 4 and document.startswith(end)]
    if starts:
        return starts
    named = {line["document"] for line in read_inputs(root) if _names(doc, line["input"])}
    return sorted(named & set(ids))
