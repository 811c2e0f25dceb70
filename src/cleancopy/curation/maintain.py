"""Maintenance of a store, as commands and flows call it: its tables, and all that is made from them.

What is made from the tables, and repaired from them: the index of repetition, the captions, the text tree, the
list of inputs, the exports in ``clean/exports``. Decisions are made by people alone, and can only be restored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from cleancopy.corpus import views
from cleancopy.curation import erase
from cleancopy.errors import StoreError
from cleancopy.export import export, kept
from cleancopy.store import (
    archive,
    caption_table,
    decision_log,
    decisions,
    dedup_index,
    releases,
    vacuum,
    verify,
    workdir,
)
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.paths import StorePath, archive_folder, manifest_path, published_releases
from cleancopy.store.vacuum import KEEP_DAYS
from cleancopy.store.verify import Fault

_BY_DECISION = re.compile(r"decision-(\d+)")
_AGAIN = "run cleancopy maintain: it is made anew"


def maintain(
    root: StorePath,
    *,
    keep_days: float = KEEP_DAYS,
    dry_run: bool = False,
    elsewhere: erase.Elsewhere = lambda needles: (),
) -> dict[str, Any]:
    """Compact and checkpoint the tables, remove what nobody needs, repair what is made from them.

    Gives the fields of ``store.vacuum.Maintained``, then the files written again: ``texts``, ``index``,
    ``captions``, ``inputs``, then ``purged``, the records that an interrupted takedown had left, ``exports``,
    the names of those that were brought to the last release, and ``erased``, what takedowns with ``--purge``
    still had to erase (``erase.Erased``), ``elsewhere`` from what is no part of the store, too. Raises
    PolicyError for fewer days than seven, Busy where another run writes.
    """
    keep = partial(workdir.active_runs, root)
    erased = erase.erase(root, elsewhere) if not dry_run and _may_be_due(root) else erase.Erased()
    with vacuum.maintaining(root, keep_days=keep_days, dry_run=dry_run, keep=keep) as done:
        report: dict[str, Any] = asdict(done)
        last = releases.current(root)
        if last is not None:
            report |= _counted(root) if dry_run else _mended(root, last.release)
            report["purged"] += erased.records
        if not dry_run:
            workdir.sweep(root)
    # Without the lock, since it may take long: what an export reads stays for seven days.
    renewed = export.renew(root, dry_run=dry_run) if last else []
    names = (*erased.exports, *(out.name for out in renewed))
    return report | {"exports": names, "erased": asdict(erased)}


def _may_be_due(root: StorePath) -> bool:
    """Whether something is left to erase; not where decisions or tables cannot be read: others say that."""
    try:
        return erase.is_due(root)
    except StoreError:
        return False


def _counted(root: StorePath) -> dict[str, int]:
    checks = {
        "texts": views.check_tree(root),
        "index": dedup_index.faults(root),
        "captions": caption_table.faults(root),
        "inputs": views.check_inputs(root),
    }
    counts = {name: sum(1 for _ in faults) for name, faults in checks.items()}
    return counts | {"purged": len(_unpurged(root))}


def _mended(root: StorePath, release: int) -> dict[str, int]:
    unpurged = _unpurged(root)
    archive.purge(root, unpurged)
    return {
        "texts": views.repair_tree(root, release),
        "index": dedup_index.repair(root),
        "captions": caption_table.repair(root),
        "inputs": views.repair_inputs(root),
        "purged": len(unpurged),
    }


def faults(root: StorePath) -> Iterator[Fault]:
    """Every missing, altered or extra file of a store: what, why, how to repair it.

    While a run is writing, what is made from the tables is not checked.
    """
    yield from verify.verify(root, workdir.active_runs(root), _purged(root))
    before = published_releases(root)
    checks = (_of_decisions, _of_purges, _of_texts, _of_index, _of_captions, _of_inputs, _of_exports)
    pending = [fault for check in checks for fault in _all(check(root))] if verify.is_idle(root) else []
    if published_releases(root) == before and verify.is_idle(root):
        yield from pending


def _all(faults: Iterator[Fault]) -> list[Fault]:
    """All faults, or none where a table cannot be read, which is reported already."""
    try:
        return list(faults)
    except StoreError:
        return []


def _purged(root: StorePath) -> Callable[[ArchiveRef], bool]:
    """Whether a record is one that was purged; without decisions to tell, whether it looks so."""
    try:
        named = decisions.purged(root)
        erases = any(decision.erases for decision in decisions.read_all(root))
        # Besides those that the decision names, lists that named an erased page were overwritten.
        return lambda ref: named(ref) or (erases and archive.is_purged(root, ref))
    except StoreError:
        return partial(archive.is_purged, root)


def _unpurged(root: StorePath) -> list[ArchiveRef]:
    """Records that a takedown left to purge; none where decisions or archive cannot be read."""
    try:
        return sorted({*decisions.unpurged(root), *erase.records_to_purge(root)})
    except StoreError:
        return []


def _of_purges(root: StorePath) -> Iterator[Fault]:
    remedy = "run cleancopy maintain: it is erased"
    for ref in _unpurged(root):
        why = f"the record at byte {ref.offset} still has the bytes that a takedown was to purge"
        yield _fault(root, archive_folder(root) / ref.file, why, remedy)
    for path, count in erase.unerased_rows(root):
        yield _fault(root, path, f"has {count} rows that a takedown was to erase", remedy)


def _of_texts(root: StorePath) -> Iterator[Fault]:
    return (_fault(root, path, why) for path, why, _ in views.check_tree(root))


def _of_index(root: StorePath) -> Iterator[Fault]:
    for path, why in dedup_index.faults(root):
        # The manifest says how texts are signed; without it only the policy does.
        lost = path.name == "manifest.json"
        yield _fault(root, path, why, "run cleancopy ingest: it is made anew" if lost else _AGAIN)


def _of_captions(root: StorePath) -> Iterator[Fault]:
    return (_fault(root, path, why) for path, why in caption_table.faults(root))


def _of_inputs(root: StorePath) -> Iterator[Fault]:
    return (_fault(root, root / "inputs.jsonl", why) for why in views.check_inputs(root))


def _of_exports(root: StorePath) -> Iterator[Fault]:
    for path, why in kept.check_exports(root):
        removed = "run cleancopy maintain: it is removed; then export again"
        yield _fault(root, path, why, removed if kept.is_note(path) else _AGAIN)


def _fault(root: StorePath, path: StorePath, why: str, remedy: str = _AGAIN) -> Fault:
    return Fault(path.relative_to(root).as_posix(), why, remedy)


def _of_decisions(root: StorePath) -> Iterator[Fault]:
    """Faults of the file of decisions: damaged, or without some that releases were made by."""
    path = decisions.path(root)
    try:
        recorded = decisions.read_all(root)
    except StoreError as error:
        why = str(error).partition(": ")[2].rpartition("; ")[0]
        yield _fault(root, path, why, "restore it from a backup, or mend that line")
        return
    made_releases = _by_decisions(releases.newest_first(root))
    forgotten = {
        int(number)
        for decision in recorded
        if decision.kind == "forget"
        for number in decision.target.split(",")
    }
    numbers = {decision.number for decision in recorded} | forgotten
    last = releases.current(root)
    wrong = decision_log.lost_decisions(root, last.decisions if last else "")
    lacking = sorted({*made_releases, *range(1, max(numbers, default=0) + 1)} - numbers | wrong.keys())
    if lost := [number for number in lacking if wrong.get(number, "is missing") == "is missing"]:
        names = ", ".join(
            manifest_path(root, made_releases[number]).name for number in lost if number in made_releases
        )
        made_by = f" (releases/{names} was made by one)" if names else ""
        yield _fault(root, path, f"lacks decisions {lost}{made_by}", "restore it from a backup of clean/")
    for number in (number for number in lacking if number not in lost):
        yield _fault(root, path, f"decision {number} {wrong[number]}", "restore it from a backup of clean/")


def _by_decisions(manifests: Iterable[releases.Manifest]) -> dict[int, int]:
    """The releases that decisions made, by the number of the decision."""
    matches = ((_BY_DECISION.fullmatch(manifest.run), manifest.release) for manifest in manifests)
    return {int(match[1]): release for match, release in matches if match}
