"""Where the store keeps things, and the few file operations that the rest of it is safe by.

A file that others read appears whole or not at all (``atomic_write``), one run writes at a time (``locked``),
and what the operating system refuses becomes a ``StoreError`` that says what to do (``mendable``).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cleancopy.errors import Busy, StoreError
from cleancopy.slugs import site_slug

LOCK = ".lock"
_MANIFEST = re.compile(r"(\d{6,})\.json")
_REMEDIES = {
    errno.ENOSPC: "free some space and run again; releases that were published are not touched",
    errno.EDQUOT: "free some of your quota and run again; releases that were published are not touched",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run again; published releases are not touched",
    errno.EACCES: "make the folder readable and writable for the user who runs cleancopy",
    errno.EPERM: "make the folder readable and writable for the user who runs cleancopy",
    errno.EROFS: "the file system is read-only: mount it writable, or name another folder for clean/",
    errno.ENOENT: "restore it from a backup of clean/",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away",
}

# Locks that this process holds. A child made by fork shares the lock's open file, and would keep the lock
# when its parent is killed; so the child lets go at once.
_held: set[int] = set()


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def archive_folder(root: Path) -> Path:
    """The folder of the raw captures."""
    return root / "archive"


def table_folder(root: Path, table: str) -> Path:
    """The folder of one Delta table, ``documents`` or ``captures``."""
    return root / "tables" / table


def work_folder(root: Path, source: str) -> Path:
    """The folder of the run that is under way for a source."""
    return root / ".work" / site_slug(source)


def manifest_path(root: Path, release: int) -> Path:
    """The manifest of a release: it exists if, and only if, the release is published."""
    return root / "releases" / f"{release:06d}.json"


def pending_path(root: Path, release: int) -> Path:
    """The note by which a release that was begun can be finished by whoever comes next."""
    return root / "releases" / f"{release:06d}.pending"


def published(root: Path) -> list[int]:
    """The numbers of the published releases, ascending."""
    folder = root / "releases"
    with mendable(folder, "listing the releases"):
        names = os.listdir(folder) if folder.is_dir() else []
    return sorted(int(found[1]) for name in names if (found := _MANIFEST.fullmatch(name)))


@contextmanager
def mendable(path: Path, doing: str) -> Iterator[None]:
    """Raise StoreError, with the path, the cause and a remedy, for what the operating system refuses here."""
    try:
        yield
    except OSError as error:
        raise refusal(path, doing, error) from error


def refusal(path: Path, doing: str, error: OSError) -> StoreError:
    """The StoreError for an OSError: which file, what failed, what to do."""
    # Arrow raises OSErrors that have a message and no number.
    number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else 0)
    where = error.filename or path
    cause = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = _REMEDIES.get(number, "check the disk and its file system, then run again")
    return StoreError(f"{where}: {doing} failed ({cause}); {remedy}")


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that it appears whole or not at all, and, if ``durable``, stays after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with mendable(path, "writing"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if durable:
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; renames are lost with the power otherwise."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file that someone else wrote durable, and its name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


@contextmanager
def locked(root: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the store's only writing lock; raise Busy if another run still has it after ``wait`` seconds.

    The kernel frees the lock when its holder dies, however it dies.
    """
    path = root / LOCK
    with mendable(path, "taking the writing lock"):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(descriptor)
    try:
        _acquire(descriptor, path, time.monotonic() + wait)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{path}: another run is writing to this store; wait until it has ended, then run again"
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise refusal(path, "taking the writing lock", error) from error
        else:
            return
