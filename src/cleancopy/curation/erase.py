"""Erasing what takedowns with ``--purge`` name from all that the store has, and the proof that nothing is left.

    erase(root)      erases what holds and is not erased yet, and searches everything for what was erased

What is erased: rows (tombstones are left), records of the archive whoever names them, work of interrupted runs,
chrome, texts of decisions, what is kept of visits, captions, the text tree, the list of inputs, exports. A line
that a document which stays has, too, is no line of the erased ones: it is counted. The rows go last, so that a
kill at any moment leaves what the next call needs to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from cleancopy.corpus import views
from cleancopy.errors import StoreError
from cleancopy.export import export
from cleancopy.sources.web.http_cache import NAME as VISITS
from cleancopy.sources.web.http_cache import HttpCache
from cleancopy.store import (
    archive,
    archive_search,
    caption_files,
    caption_table,
    chrome_profiles,
    decision_log,
    decisions,
    erasure,
    releases,
    workdir,
)
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.contents import contents, text_of
from cleancopy.store.decision_log import Decision
from cleancopy.store.erasure import Scope
from cleancopy.store.needles import Needles, lines_of
from cleancopy.store.paths import LOCK, StorePath, glob_sorted, scratch_folder, store_errors
from cleancopy.store.rows import table_to_versions

#: Text that a row has beside its page text.
_OF_DOCUMENTS = [
    "title", "author", "site_name", "description", "licence", "canonical_url", "url", "key", "media", "repairs",
]  # fmt: skip
_OF_CAPTURES = ["input", "key", "url"]
#: What else holds text of pages: erases the lines from it, and says where some are left.
Elsewhere = Callable[[Needles], Collection[str]]


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: rows, records of the archive, entries of chromes, fields of decisions, exports renewed.

    ``lines`` were searched for, ``shared`` more are lines of documents that stay, too. ``left`` names the files
    in which some line stands still; ``held`` the sources whose run is under way, whose work was not looked at.
    """

    rows: int = 0
    records: int = 0
    chrome: int = 0
    decisions: int = 0
    exports: tuple[str, ...] = ()
    lines: int = 0
    shared: int = 0
    left: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


def is_due(root: StorePath) -> bool:
    """Whether something that takedowns are to have erased still stands in a table or in the archive."""
    return bool(unerased_rows(root) or records_to_purge(root))


def unerased_rows(root: StorePath) -> list[tuple[StorePath, int]]:
    """The data files that have rows which are to be erased, and how many."""
    scope = erasure.scope_of(decisions.read_decisions(root))
    return list(erasure.unerased_rows(root, scope)) if scope else []


def records_to_purge(root: StorePath) -> list[ArchiveRef]:
    """The records of the archive that are to be erased and still have their bytes."""
    scope = erasure.scope_of(decisions.read_decisions(root))
    return archive_search.to_purge(root, scope, _records_of_others(root, scope)) if scope else []


def erase(root: StorePath, elsewhere: Elsewhere = lambda needles: ()) -> Erased:
    """Erase what takedowns that hold are to have erased, and say what is left of it.

    ``elsewhere`` erases from what is no part of the store and gives the names of where lines are left. Raises
    Busy where another run is publishing.
    """
    with releases.writing(root, releases.PUBLISH_TIMEOUT, keep=partial(workdir.active_runs, root)):
        scope = erasure.scope_of(decisions.read_decisions(root))
        if not scope:
            return Erased()
        every = own_lines(root, scope)
        shared = _shared(root, scope, every)
        needles = Needles([line for number, line in enumerate(every.lines) if number not in shared])
        keep = _records_of_others(root, scope)
        refs = archive_search.to_purge(root, scope, keep, needles.find)
        archive.purge(root, refs)
        in_work = Needles({*needles.lines, *_addresses(root, scope)})
        _, held = workdir.abandon(root, lambda path: _stands_in(path, in_work))
        sites = _sites(root, scope)
        chrome = chrome_profiles.erase(root, lambda example: needles.find(example.encode()), sites)
        blanked = [name for decision in decisions.read_all(root) for name in decision.blanked]
        decision_log.blank(root, blanked)
        _forget_visits(root, scope, needles)
        left_elsewhere = elsewhere(needles)
    exports = _made_again(root, scope, needles)
    with releases.writing(root, releases.PUBLISH_TIMEOUT, keep=partial(workdir.active_runs, root)):
        count = erasure.erase_rows(root, scope)
        views.repair_inputs(root)
        left, in_captures = _search(root, needles, keep)
    return Erased(
        rows=count,
        records=len(refs),
        chrome=chrome,
        decisions=len(blanked),
        exports=exports,
        lines=len(needles.lines) - len(in_captures),
        shared=len(shared) + len(in_captures),
        left=(*left, *left_elsewhere),
        held=tuple(held),
    )


# ---- whose lines


def own_lines(root: StorePath, scope: Scope) -> Needles:
    """Every line of what is to be erased, whoever else has it."""
    lines: set[str] = set()
    for batch in erasure.erased(root, "documents", scope):
        lines |= lines_of(version.document.text for version in table_to_versions(batch))
        lines |= lines_of(_strings(batch.select(_OF_DOCUMENTS).to_pylist()))
    for batch in erasure.erased(root, "captures", scope):
        lines |= lines_of(_strings(batch.select(_OF_CAPTURES).to_pylist()))
    return Needles(lines)


def _addresses(root: StorePath, scope: Scope) -> set[str]:
    """The addresses, keys and inputs of what is to be erased, whoever else names them."""
    batches = erasure.erased(root, "captures", scope)
    return {line for batch in batches for line in lines_of(_strings(batch.select(_OF_CAPTURES).to_pylist()))}


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values.removeprefix("file:")
    elif isinstance(values, dict):
        for value in values.values():
            yield from _strings(value)
    elif isinstance(values, list):
        for value in values:
            yield from _strings(value)


def _shared(root: StorePath, scope: Scope, needles: Needles) -> set[int]:
    """The numbers of the lines that rows which stay have, too."""
    shared: set[int] = set()
    for table in releases.TABLES:
        for batch in erasure.surviving(root, table, scope):
            shared |= {number for text in _texts(batch) for number in needles.find(text)}
    return shared


def _texts(batch: pa.RecordBatch) -> Iterator[bytes]:
    yield from text_of(batch)
    if "cuts" in batch.schema.names:  # a line that is cut in part stands in two columns
        for version in table_to_versions(batch):
            yield version.document.text.encode("utf-8", "surrogatepass")


def _records_of_others(root: StorePath, scope: Scope) -> set[ArchiveRef]:
    """The records that documents which stay were read from."""
    refs = set()
    for table in releases.TABLES:
        for batch in erasure.surviving(root, table, scope):
            rows = zip(batch.column("archive").to_pylist(), batch.column("version_id").to_pylist(), strict=True)
            refs |= {ArchiveRef(**ref) for ref, version in rows if ref and version}
    return refs


def _sites(root: StorePath, scope: Scope) -> set[str]:
    """The sites of which only documents that are to be erased were stored."""
    ours = {site for batch in erasure.erased(root, "documents", scope) for site in batch["site"].to_pylist()}
    theirs = {
        site for batch in erasure.surviving(root, "documents", scope) for site in batch["site"].to_pylist()
    }
    return {site for site in ours - theirs if site}


def fields_to_blank(root: StorePath, documents: Collection[str], needles: Needles) -> tuple[str, ...]:
    """The fields of decisions that hold text of what is to be erased, ``number.field`` each."""
    names = []
    for decision in decisions.read_all(root):
        of_them = decision.target in documents and decision.kind == "restore"
        for name in ("target", "text", "note"):
            value = getattr(decision, name) or ""
            if value and ((of_them and name != "target") or needles.find(value.encode())):
                names.append(f"{decision.number}.{name}")
    return tuple(names)


def addresses_of(rows: Iterable[dict[str, Any]], target: str) -> tuple[str, ...]:
    """The digests of the addresses and keys of captures, of what led to them, and of a target of that kind."""
    rows = list(rows)
    names = {row[name] for row in rows for name in ("key", "url") if row[name]}
    names |= {row["input"] for row in rows if (row["input"] or "").startswith(("http:", "https:"))}
    kind, _, name = target.partition(":")
    names |= {name} if kind == "url" else set()
    return tuple(sorted(map(decisions.address_digest, names)))


def without_address(decision: Decision) -> Decision:
    """The decision without an address in its target: the digest of it takes its place."""
    kind, _, name = decision.target.partition(":")
    if kind != "url" or not decision.addresses:
        return decision
    return replace(decision, target=f"url:sha256:{decisions.address_digest(name)}")


# ---- what is not in the tables


def _stands_in(path: StorePath, needles: Needles) -> bool:
    """Whether a file has some of the lines, whatever packs it."""
    return any(needles.find(piece) for piece in contents(path, needles.overlap))


def _forget_visits(root: StorePath, scope: Scope, needles: Needles) -> None:
    path = scratch_folder(root) / VISITS
    if path.exists():
        with HttpCache(path) as cache:
            cache.forget(lambda url: scope.has_address(url) or needles.find(url.encode()))


def _made_again(root: StorePath, scope: Scope, needles: Needles) -> tuple[str, ...]:
    """Make again what is made from the tables and still holds lines; the exports that were renewed."""
    with releases.writing(root, releases.PUBLISH_TIMEOUT, keep=partial(workdir.active_runs, root)):
        views.erase_inputs(root, scope.documents, lambda name: scope.has_address(name, f"file:{name}"))
        last = releases.current(root)
        if last is not None:
            views.repair_tree(root, last.release)
        if any(_stands_in(path, needles) for path in glob_sorted(caption_files.folder(root), "*.parquet")):
            caption_table.rebuild(root)
    return tuple(out.name for out in export.renew(root))


# ---- the proof


def _search(root: StorePath, needles: Needles, keep: Collection[ArchiveRef]) -> tuple[list[str], set[int]]:
    """The files in which some line stands, and the lines that captures of documents which stay have."""
    left, in_captures = [], set[int]()
    places = {(ref.file, ref.offset) for ref in keep}
    archives = set(archive_search.files(root))
    for path in sorted(archives):
        for record in archive_search.records(path):
            if found := needles.find(archive_search.content_of(record)):
                if (path.name, record.ref.offset) in places:
                    in_captures |= found
                elif f"archive/{path.name}" not in left:
                    left.append(f"archive/{path.name}")
    for folder in {root, scratch_folder(root)}:
        for path in glob_sorted(folder, "**/*"):
            if path in archives or path.name == LOCK or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            if needles.find(name.encode()) or _lines_in(path, needles):
                left.append(name)
    return left, in_captures


def _lines_in(path: StorePath, needles: Needles) -> set[int]:
    try:
        with store_errors(path, "searching for what was erased"):
            return {number for piece in contents(path, needles.overlap) for number in needles.find(piece)}
    except (StoreError, pa.ArrowException):
        return set()  # gone meanwhile, or no file of ours
