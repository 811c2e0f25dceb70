"""Where the store keeps things, and the few file operations that its safety rests on.

A store lies in a folder or below a prefix of an object store. A ``StorePath`` is a path in either, and nobody
but this module asks in which: ``folder.FolderPath`` and ``objects.ObjectPath`` have the same methods, and the
functions here pick one of the two. A folder may also be given as any ``pathlib.Path``.

A file that others read appears whole or not at all (``atomic_write``, ``move_into_place``), only one run can
make a file (``create_exclusive``), one run writes at a time (``locked``), and what the operating system refuses
becomes a ``StoreError`` that says what to do (``store_errors``). What is private to this machine's runs lies in
``scratch_folder``. What else differs is told by what it means: whether other machines may be writing
(``is_shared``), and whether people find files there (``local_folder``).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from cleancopy.errors import StoreError
from cleancopy.store.folder import FolderPath
from cleancopy.store.objects import ObjectPath, object_path
from cleancopy.store.remedies import os_refusal
from cleancopy.store.remedies import rollback_on_error as rollback_on_error
from cleancopy.store.slugs import site_slug

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

StorePath = Path | ObjectPath
P = TypeVar("P", bound=PurePath)

LOCK = ".lock"
_MANIFEST = re.compile(r"(\d{6,})\.json")


def store_path(name: str | os.PathLike[str] | ObjectPath) -> StorePath:
    """The place of a store by its name: a folder, or ``s3://bucket/prefix``."""
    if isinstance(name, str) and "://" in name:
        return object_path(name)
    return _path(name if isinstance(name, ObjectPath) else Path(name))


def _path(path: StorePath) -> FolderPath | ObjectPath:
    """The path as one of the two that have the methods that everything here needs."""
    return path if isinstance(path, (FolderPath, ObjectPath)) else FolderPath(path)


def is_shared(path: StorePath) -> bool:
    """Whether runs on other machines may write there at the same time: then only a lease tells them apart.

    There a write appears whole, and what nothing names may be of a run under way: it stays until it is old.
    """
    return _path(path).shared


def local_folder(root: StorePath) -> Path | None:
    """The folder in which people find files: the text tree, kept exports; None for an object store."""
    return _path(root).local


def scratch_folder(root: StorePath) -> Path:
    """The folder of what is private to runs on this machine: the store's own, if it is a folder.

    For an object store it lies below ``CLEANCOPY_WORK`` (by default the user's cache folder), and all of it may
    be removed while no run is under way.
    """
    return _path(root).scratch()


def staging_path(root: StorePath, path: StorePath) -> Path:
    """Where on this machine a file of the store is made, before ``move_into_place`` brings it there.

    In a folder that is its own place.
    """
    return scratch_folder(root) / path.relative_to(root)


def archive_folder(root: P) -> P:
    """The folder of the raw captures."""
    return root / "archive"


def table_folder(root: P, table: str) -> P:
    """The folder of one Delta table, ``documents`` or ``captures``."""
    return root / "tables" / table


def work_folder(root: StorePath, source: str) -> Path:
    """The folder of the run that is under way for a source, on this machine."""
    return scratch_folder(root) / ".work" / site_slug(source)


def manifest_path(root: P, release: int) -> P:
    """The manifest of a release: it exists if, and only if, the release is published."""
    return root / "releases" / f"{release:06d}.json"


def pending_path(root: P, release: int) -> P:
    """The note by which a release that was begun can be finished by whoever comes next."""
    return root / "releases" / f"{release:06d}.pending"


def published_releases(root: StorePath) -> list[int]:
    """The numbers of the published releases, ascending."""
    names = list_names(root / "releases", "listing the releases")
    return sorted(int(match[1]) for name in names if (match := _MANIFEST.fullmatch(name)))


def list_names(folder: StorePath, doing: str) -> list[str]:
    """The names of what is in a folder; none where there is no such folder."""
    with store_errors(folder, doing):
        return _path(folder).names()


def glob_sorted(folder: StorePath, pattern: str) -> list[StorePath]:
    """What lies below a folder and fits a pattern, sorted."""
    return sorted(folder.glob(pattern), key=str)


@contextmanager
def store_errors(path: StorePath, doing: str) -> Iterator[None]:
    """Raise StoreError, with the path, the cause and a remedy, for what the operating system refuses here."""
    try:
        yield
    except OSError as error:
        raise refusal(path, doing, error) from error


def refusal(path: StorePath, doing: str, error: OSError) -> StoreError:
    """The StoreError for an OSError: which file, what failed, what to do."""
    return explain(path, error) or os_refusal(path, doing, error)


def explain(path: StorePath, error: Exception) -> StoreError | None:
    """The StoreError for what a server refused, None where its words say nothing of the cause."""
    return _path(path).explain(error)


def atomic_write(path: StorePath, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that it appears whole or not at all, and, if ``durable``, stays after a power cut."""
    _path(path).write_whole(data, durable)


def create_exclusive(path: StorePath, data: bytes) -> bool:
    """Write a file that is not there yet, durable; False where it is, for one of many who try only can."""
    return _path(path).create_new(data)


def read_versioned(path: StorePath) -> tuple[bytes, str]:
    """The content of a file, none where it is not there, and a mark of its state for ``write_if_unchanged``."""
    try:
        return _path(path).read_marked()
    except FileNotFoundError:
        return b"", ""


def write_if_unchanged(path: StorePath, data: bytes, mark: str) -> bool:
    """Write a file as ``atomic_write`` does; False where another run has changed it since it had that mark.

    That can be in an object store alone, where a lease was lost; in a folder the lock holds.
    """
    return replace_marked(path, data, mark) is not None


def replace_marked(path: StorePath, data: bytes, mark: str) -> str | None:
    """Write a file as ``write_if_unchanged`` does; its new mark, None where another run was faster."""
    return _path(path).replace_marked(data, mark)


def move_into_place(temporary: Path, path: StorePath) -> None:
    """Bring a file of this machine, complete and closed, to its place: whole, durable, gone where it was."""
    _path(path).take(temporary)


def rename(path: StorePath, name: str) -> None:
    """Give a file another name in its folder, in place of what has it."""
    _path(path).rename_to(name)


def remove(path: StorePath) -> None:
    """Remove a file, or a folder with all that is in it; one that is not there is no error."""
    _path(path).remove()


def total_size(path: StorePath) -> int:
    """The bytes of a file, or of all files in a folder."""
    return _path(path).total_size()


def make_folder(path: StorePath) -> None:
    """Make a folder and those above it, where folders exist at all."""
    _path(path).make_folder()


def open_bytes(path: StorePath) -> io.BufferedIOBase:
    """A file to read bytes from."""
    return _path(path).reader()


def read_range(path: StorePath, start: int, length: int) -> bytes:
    """A part of a file."""
    return _path(path).read_range(start, length)


def file_digest(path: StorePath) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    return _path(path).digest()


def file_stamp(path: StorePath) -> object:
    """What another file in its place would have another of; None where that cannot be asked, or never is."""
    return _path(path).stamp()


def sync_folder(folder: StorePath) -> None:
    """Make the names in a folder durable; renames are lost with the power otherwise."""
    _path(folder).sync_folder()


def sync_file(path: StorePath) -> None:
    """Make a file that someone else wrote durable, and its name."""
    _path(path).sync()


@contextmanager
def locked(root: StorePath, wait: float = 0.0) -> Iterator[None]:
    """Hold the only writing lock of a folder; raise Busy if another run still has it after ``wait`` seconds.

    The kernel frees the lock when its holder dies, however it dies; in an object store the lock is a lease
    (see lease.py), which others take over half a minute after that.
    """
    with _path(root / LOCK).lock(wait):
        yield


def confirm_lock(root: StorePath) -> None:
    """Raise ConflictError where another run took over this lease; a lock of the kernel is never lost."""
    _path(root / LOCK).confirm_lock()


# ---- as deltalake and pyarrow reach it


def delta_options(folder: StorePath) -> dict[str, str] | None:
    """How deltalake reaches a table."""
    return _path(folder).delta_options()


def delta_configuration(folder: StorePath) -> dict[str, str]:
    """The properties that a Delta table has for where it lies."""
    return _path(folder).delta_configuration()


def open_parquets(paths: Sequence[StorePath]) -> Iterator[pq.ParquetFile]:
    """Parquet files of one store to read, each until the next is asked for; some are asked for ahead."""
    opened: list[Any] = [_path(path) for path in paths]
    return opened[0].parquets(opened) if opened else iter(())


def open_datasets(paths: Sequence[StorePath], schema: pa.Schema) -> Iterator[ds.Dataset]:
    """The rows of Parquet files of one store as datasets: those of a folder as one, objects each as one."""
    opened: list[Any] = [_path(path) for path in paths]
    return opened[0].datasets(opened, schema) if opened else iter(())
