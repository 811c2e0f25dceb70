"""Where the store keeps things, and the few file operations that its safety rests on.

A store lies in a folder or below a prefix of an object store; a ``StorePath`` is a path in either, and all
that differs between the two is here. A file that others read appears whole or not at all (``atomic_write``,
``move_into_place``), only one run can make a file (``create_exclusive``), one run writes at a time
(``locked``), and what the operating system refuses becomes a ``StoreError`` that says what to do
(``store_errors``). What is private to this machine's runs lies in ``scratch_folder``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from cleancopy.errors import Busy, StoreError
from cleancopy.store import lease
from cleancopy.store.objects import ObjectPath, endpoint, known_refusal, object_path
from cleancopy.store.slugs import site_slug

StorePath = Path | ObjectPath

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


def store_path(name: str | os.PathLike[str] | ObjectPath) -> StorePath:
    """The place of a store by its name: a folder, or ``s3://bucket/prefix``."""
    if isinstance(name, ObjectPath):
        return name
    return object_path(name) if isinstance(name, str) and "://" in name else Path(name)


def scratch_folder(root: StorePath) -> Path:
    """The folder of what is private to runs on this machine: the store's own, if it is a folder.

    For an object store it lies below ``CLEANCOPY_WORK`` (by default the user's cache folder), and all of it may
    be removed while no run is under way.
    """
    if isinstance(root, Path):
        return root
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    above = os.environ.get("CLEANCOPY_WORK") or Path(cache) / "cleancopy"
    digest = hashlib.sha256(f"{endpoint()} {root}".encode()).hexdigest()[:12]
    return Path(above) / f"{root.bucket}-{digest}"


def archive_folder(root: StorePath) -> StorePath:
    """The folder of the raw captures."""
    return root / "archive"


def table_folder(root: StorePath, table: str) -> StorePath:
    """The folder of one Delta table, ``documents`` or ``captures``."""
    return root / "tables" / table


def work_folder(root: StorePath, source: str) -> Path:
    """The folder of the run that is under way for a source, on this machine."""
    return scratch_folder(root) / ".work" / site_slug(source)


def manifest_path(root: StorePath, release: int) -> StorePath:
    """The manifest of a release: it exists if, and only if, the release is published."""
    return root / "releases" / f"{release:06d}.json"


def pending_path(root: StorePath, release: int) -> StorePath:
    """The note by which a release that was begun can be finished by whoever comes next."""
    return root / "releases" / f"{release:06d}.pending"


def published_releases(root: StorePath) -> list[int]:
    """The numbers of the published releases, ascending."""
    names = list_names(root / "releases", "listing the releases")
    return sorted(int(found[1]) for name in names if (found := _MANIFEST.fullmatch(name)))


def list_names(folder: StorePath, doing: str) -> list[str]:
    """The names of what is in a folder; none where there is no such folder."""
    if isinstance(folder, ObjectPath):
        return folder.names()
    with store_errors(folder, doing):
        return os.listdir(folder) if folder.is_dir() else []


def glob_sorted(folder: StorePath, pattern: str) -> list[StorePath]:
    """What lies below a folder and fits a pattern, sorted."""
    return sorted(folder.glob(pattern), key=str)


@contextmanager
def rollback_on_error(undo: Callable[[], object]) -> Iterator[None]:
    """Call ``undo`` if the block does not come to its end, whatever stops it, Ctrl-C too; that goes on."""
    with ExitStack() as stack:
        stack.callback(undo)
        yield
        stack.pop_all()


@contextmanager
def store_errors(path: StorePath, doing: str) -> Iterator[None]:
    """Raise StoreError, with the path, the cause and a remedy, for what the operating system refuses here."""
    try:
        yield
    except OSError as error:
        raise refusal(path, doing, error) from error


def refusal(path: StorePath, doing: str, error: OSError) -> StoreError:
    """The StoreError for an OSError: which file, what failed, what to do."""
    if isinstance(path, ObjectPath) and (known := known_refusal(path, error)):
        return known
    # Arrow raises OSErrors that have a message and no number.
    number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else 0)
    where = error.filename or path
    cause = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = _REMEDIES.get(number, "check the disk and its file system, then run again")
    return StoreError(f"{where}: {doing} failed ({cause}); {remedy}")


def atomic_write(path: StorePath, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that it appears whole or not at all, and, if ``durable``, stays after a power cut."""
    if isinstance(path, ObjectPath):
        path.write(data)
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    with store_errors(path, "writing"):
        if folder and not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):  # it has its name now
                os.unlink(temporary)
        if durable:
            sync_folder(path.parent)


def create_exclusive(path: StorePath, data: bytes) -> bool:
    """Write a file that is not there yet, durable; False where it is, for one of many who try only can."""
    if isinstance(path, ObjectPath):
        return path.create(data) is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with rollback_on_error(partial(path.unlink, missing_ok=True)):
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    return True


def read_versioned(path: StorePath) -> tuple[bytes, str]:
    """The content of a file, none where it is not there, and a mark of its state for ``write_if_unchanged``."""
    try:
        return (path.read_bytes(), "") if isinstance(path, Path) else path.read()
    except FileNotFoundError:
        return b"", ""


def write_if_unchanged(path: StorePath, data: bytes, mark: str) -> bool:
    """Write a file as ``atomic_write`` does; False where another run has changed it since it had that mark.

    That can be in an object store alone, where a lease was lost; in a folder the lock holds.
    """
    if isinstance(path, Path):
        atomic_write(path, data)
        return True
    return (path.replace(data, mark) if mark else path.create(data)) is not None


def move_into_place(temporary: Path, path: StorePath) -> None:
    """Bring a file of this machine, complete and closed, to its place: whole, durable, gone where it was."""
    if isinstance(path, ObjectPath):
        path.write(temporary)
        temporary.unlink()
        return
    os.replace(temporary, path)
    sync_folder(path.parent)


def open_bytes(path: StorePath) -> io.BufferedIOBase:
    """A file to read bytes from."""
    return path.open() if isinstance(path, ObjectPath) else open(path, "rb")


def file_digest(path: StorePath) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    if isinstance(path, ObjectPath):
        return path.digest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: StorePath) -> None:
    """Make the names in a folder durable; renames are lost with the power otherwise."""
    if isinstance(folder, ObjectPath):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: StorePath) -> None:
    """Make a file that someone else wrote durable, and its name."""
    if isinstance(path, ObjectPath):
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


@contextmanager
def locked(root: StorePath, wait: float = 0.0) -> Iterator[None]:
    """Hold the only writing lock of a folder; raise Busy if another run still has it after ``wait`` seconds.

    The kernel frees the lock when its holder dies, however it dies; in an object store the lock is a lease
    (see lease.py), which others take over half a minute after that.
    """
    if isinstance(root, ObjectPath):
        with lease.leased(root / LOCK, wait):
            yield
        return
    path = root / LOCK
    with store_errors(path, "taking the writing lock"):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(descriptor)
    try:
        _acquire(descriptor, path, time.monotonic() + wait)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def confirm_lock(root: StorePath) -> None:
    """Raise ConflictError where another run took over this lease; a lock of the kernel is never lost."""
    if isinstance(root, ObjectPath):
        lease.confirm(root / LOCK)


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
