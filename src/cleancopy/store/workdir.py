"""The folder of a run under way, ``clean/.work/<source>``: held by a lock that dies with its run.

For an object store it lies on the machine of the run (``layout.scratch``), and is held by a lease there, too.
So two runs of one source never overlap, whatever becomes of either. What a dead run left there is taken up by
the next run with the same plan (same paths, policy and code), else it is swept, with the archive files that it
wrote and no release names.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cleancopy.errors import Busy
from cleancopy.store import releases, vacuum
from cleancopy.store.paths import (
    LOCK,
    StorePath,
    archive_folder,
    atomic_write,
    glob_sorted,
    is_shared,
    locked,
    scratch_folder,
    store_errors,
    work_folder,
)

_PLAN = "plan.json"
_DAY = 86_400.0


@contextmanager
def claim_workdir(root: StorePath, source: str, plan: str, name: str) -> Iterator[str]:
    """Hold a source's work folder for a run; gives the run's name, or that of the run it takes up.

    ``plan`` is a digest of all that decides what the run will leave in the folder. When the run ends well the
    folder is emptied; when it is stopped or killed, it stays for the next. Raises Busy if another run of the
    source is under way.
    """
    place = work_folder(root, source)
    with store_errors(place, "making the folder of the run"):
        place.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(root, place):
            with releases.writing(root, releases.PUBLISH_TIMEOUT, keep=partial(active_runs, root)):
                taken_up = _taken_up(root, place, plan)
                if is_shared(root):
                    atomic_write(_mark(root, place, taken_up or name), b"{}\n")
            if taken_up is None:
                atomic_write(place / _PLAN, json.dumps({"run": name, "plan": plan}).encode(), durable=False)
            yield taken_up or name
            _clear(root, place)
    except Busy as error:
        if f".work/{place.name}/{LOCK}" not in str(error):
            raise
        raise Busy(
            f"{source}: another run of this source is under way and does what this one would; let it end"
        ) from None


@contextmanager
def _alone(root: StorePath, place: Path) -> Iterator[None]:
    """Hold a source: its folder on this machine, and where others see the store, too, its lease there."""
    with locked(place):
        if not is_shared(root):
            yield
            return
        with locked(root / ".work" / place.name):
            yield


def _taken_up(root: StorePath, place: Path, plan: str) -> str | None:
    """The name of the dead run whose work fits the plan; work that does not fit is swept."""
    earlier = _read(place)
    if earlier is None:
        _clear(root, place)
        return None
    done = any(manifest.run == earlier["run"] for manifest in releases.newest_first(root))
    if earlier["plan"] == plan and not done and _is_marked(root, place, earlier["run"]):
        return earlier["run"]
    _clear(root, place)
    if not done:
        _remove_archived(root, earlier["run"])
    return None


def _remove_archived(root: StorePath, run: str) -> None:
    """Remove the archive files of a run that published nothing."""
    with store_errors(archive_folder(root), "removing what an interrupted run archived"):
        for folder in {archive_folder(root), archive_folder(scratch_folder(root))}:
            for path in folder.glob(f"*{run}-*"):
                path.unlink(missing_ok=True)


def abandon(root: StorePath, is_erased: Callable[[Path], object]) -> tuple[list[str], list[str]]:
    """Give up what interrupted runs left, where a file of it holds what is to be erased.

    The names of the sources whose work went, and of those that a run holds now, whose work is not looked at.
    """
    emptied, held = [], []
    for place in sorted((scratch_folder(root) / ".work").glob("*")):
        try:
            with _alone(root, place):
                work = _read(place)
                parts = archive_folder(scratch_folder(root)).glob(f".*{work['run']}*.part") if work else ()
                unfinished = list(parts)
                files = [path for path in place.rglob("*") if path.is_file()]
                if any(is_erased(path) for path in (*files, *unfinished)):
                    _clear(root, place)
                    published = {manifest.run for manifest in releases.newest_first(root)}
                    if work and work["run"] not in published:
                        _remove_archived(root, work["run"])
                    emptied.append(place.name)
        except Busy:
            held.append(place.name)
    return emptied, held


def active_runs(root: StorePath) -> frozenset[str]:
    """The names of all runs that have left work and may be taken up, on whatever machine."""
    works = (_read(place) for place in (scratch_folder(root) / ".work").glob("*"))
    dead = set(given_up(root))
    marks = (mark for mark in _marks(root) if mark not in dead)
    return frozenset(work["run"] for work in works if work) | {mark.stem for mark in marks}


def given_up(root: StorePath, days: float = vacuum.KEEP_DAYS) -> list[StorePath]:
    """The marks, in an object store, of runs that have given no sign of life for so many days.

    A live run renews the lease of its source every few seconds, and the mark stands beside that. A run whose
    machine comes back later finds its mark gone, and begins anew.
    """
    before = time.time() - days * _DAY
    return [mark for mark in _marks(root) if max(_changed(mark), _changed(mark.with_name(LOCK))) < before]


def sweep(root: StorePath) -> list[StorePath]:
    """Remove the marks of runs that are given up; for a run that holds the writing lock. Which ones."""
    dead = given_up(root)
    for mark in dead:
        mark.unlink(missing_ok=True)
    return dead


def _marks(root: StorePath) -> list[StorePath]:
    return glob_sorted(root / ".work", "*/*.run") if is_shared(root) else []


def _changed(path: StorePath) -> float:
    """When an object was written, in seconds; 0 for one that is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _mark(root: StorePath, place: Path, run: str) -> StorePath:
    """What tells other machines of a run, so that they leave alone what it has archived."""
    return root / ".work" / place.name / f"{run}.run"


def _is_marked(root: StorePath, place: Path, run: str) -> bool:
    """Whether nobody has given a run up and removed what it archived."""
    return not is_shared(root) or _mark(root, place, run).exists()


def _read(place: Path) -> dict[str, str] | None:
    try:
        work = json.loads((place / _PLAN).read_text(encoding="utf-8"))
        return {"run": str(work["run"]), "plan": str(work["plan"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear(root: StorePath, place: Path) -> None:
    """Empty the folder, but for its lock; the plan goes first, so that half of the rest is never taken up."""
    work = _read(place)
    with store_errors(place, "sweeping the folder of a run"):
        (place / _PLAN).unlink(missing_ok=True)
        if work and is_shared(root):
            _mark(root, place, work["run"]).unlink(missing_ok=True)
        for path in place.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
