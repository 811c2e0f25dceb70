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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cleancopy.errors import Busy
from cleancopy.store import maintenance, releases
from cleancopy.store.layout import (
    LOCK,
    Place,
    archive_folder,
    atomic_write,
    locked,
    matching,
    mendable,
    scratch,
    work_folder,
)

_PLAN = "plan.json"
_DAY = 86_400.0
#: Seconds that a run waits at its begin while another one publishes.
PATIENCE = 600.0


@contextmanager
def claimed(root: Place, source: str, plan: str, name: str) -> Iterator[str]:
    """Hold a source's work folder for a run; gives the run's name, or that of the run it takes up.

    ``plan`` is a digest of all that decides what the run will leave in the folder. When the run ends well the
    folder is emptied; when it is stopped or killed, it stays for the next. Raises Busy if another run of the
    source is under way.
    """
    place = work_folder(root, source)
    with mendable(place, "making the folder of the run"):
        place.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(root, place):
            with releases.writing(root, PATIENCE, keep=partial(names, root)):
                taken_up = _taken_up(root, place, plan)
                if not isinstance(root, Path):
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
def _alone(root: Place, place: Path) -> Iterator[None]:
    """Hold a source: its folder on this machine, and where others see the store, too, its lease there."""
    with locked(place):
        if isinstance(root, Path):
            yield
            return
        with locked(root / ".work" / place.name):
            yield


def _taken_up(root: Place, place: Path, plan: str) -> str | None:
    """The name of the dead run whose work fits the plan; work that does not fit is swept."""
    left = _read(place)
    if left is None:
        _clear(root, place)
        return None
    done = any(manifest.run == left["run"] for manifest in releases.newest_first(root))
    if left["plan"] == plan and not done and _is_marked(root, place, left["run"]):
        return left["run"]
    _clear(root, place)
    if not done:
        with mendable(archive_folder(root), "removing what an interrupted run archived"):
            for folder in {archive_folder(root), archive_folder(scratch(root))}:
                for path in folder.glob(f"*{left['run']}-*"):
                    path.unlink(missing_ok=True)
    return None


def names(root: Place) -> frozenset[str]:
    """The names of all runs that have left work and may be taken up, on whatever machine."""
    found = (_read(place) for place in (scratch(root) / ".work").glob("*"))
    dead = set(given_up(root))
    marks = (mark for mark in _marks(root) if mark not in dead)
    return frozenset(left["run"] for left in found if left) | {mark.stem for mark in marks}


def given_up(root: Place, days: float = maintenance.KEEP_DAYS) -> list[Place]:
    """The marks, in an object store, of runs that have given no sign of life for so many days.

    A live run renews the lease of its source every few seconds, and the mark stands beside that. A run whose
    machine comes back later finds its mark gone, and begins anew.
    """
    before = time.time() - days * _DAY
    return [mark for mark in _marks(root) if max(_changed(mark), _changed(mark.with_name(LOCK))) < before]


def sweep(root: Place) -> list[Place]:
    """Remove the marks of runs that are given up; for a run that holds the writing lock. Which ones."""
    dead = given_up(root)
    for mark in dead:
        mark.unlink(missing_ok=True)
    return dead


def _marks(root: Place) -> list[Place]:
    return matching(root / ".work", "*/*.run") if not isinstance(root, Path) else []


def _changed(path: Place) -> float:
    """When an object was written, in seconds; 0 for one that is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _mark(root: Place, place: Path, run: str) -> Place:
    """What tells other machines of a run, so that they leave alone what it has archived."""
    return root / ".work" / place.name / f"{run}.run"


def _is_marked(root: Place, place: Path, run: str) -> bool:
    """Whether nobody has given a run up and removed what it archived."""
    return isinstance(root, Path) or _mark(root, place, run).exists()


def _read(place: Path) -> dict[str, str] | None:
    try:
        left = json.loads((place / _PLAN).read_text(encoding="utf-8"))
        return {"run": str(left["run"]), "plan": str(left["plan"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear(root: Place, place: Path) -> None:
    """Empty the folder, but for its lock; the plan goes first, so that half of the rest is never taken up."""
    left = _read(place)
    with mendable(place, "sweeping the folder of a run"):
        (place / _PLAN).unlink(missing_ok=True)
        if left and not isinstance(root, Path):
            _mark(root, place, left["run"]).unlink(missing_ok=True)
        for path in place.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
