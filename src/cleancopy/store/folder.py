"""Paths of a store in a folder of this machine; ``objects.py`` has the same methods for an object store."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

from cleancopy.errors import Busy, StoreError
from cleancopy.store.remedies import os_errors, os_refusal, rollback_on_error

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

#: Seconds between two tries to take the lock.
_LOCK_POLL = 0.05

# Locks that this process holds. A child made by fork shares the lock's open file, and would keep the lock
# when its parent is killed; so the child closes it at once.
_held: set[int] = set()


def _close_inherited_locks() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited_locks)


class FolderPath(PosixPath):
    """A file or folder of a store on this machine."""

    #: Whether runs on other machines may write here at the same time; in a folder the kernel's lock tells.
    shared = False

    @property
    def local(self) -> Path | None:
        """The path on this machine, where people and their tools find it."""
        return self

    def scratch(self) -> Path:
        """The folder of what is private to this machine's runs."""
        return self

    def names(self) -> list[str]:
        """The names of what is in the folder; none where there is no such folder."""
        return os.listdir(self) if self.is_dir() else []

    def write_whole(self, data: bytes, durable: bool) -> None:
        """Write the file so that it appears whole or not at all."""
        # Strings: pathlib costs a third of the time of a small file.
        folder, name = os.path.split(self)
        temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
        with os_errors(self, "writing"):
            if folder and not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
            try:
                with open(temporary, "wb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(temporary, self)
            finally:
                with suppress(FileNotFoundError):  # it has its name now
                    os.unlink(temporary)
            if durable:
                self.parent.sync_folder()

    def create_new(self, data: bytes) -> bool:
        """Write the file where there is none; a kill may leave half of it."""
        self.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        with rollback_on_error(partial(self.unlink, missing_ok=True)):
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self.parent.sync_folder()
        return True

    def read_marked(self) -> tuple[bytes, str]:
        """The content, and a mark of its state: none, since the lock holds."""
        return self.read_bytes(), ""

    def replace_marked(self, data: bytes, mark: str) -> str | None:
        """Write the file, and give its new mark; the lock holds, so nobody was faster."""
        del mark
        self.write_whole(data, durable=True)
        return ""

    def take(self, temporary: Path) -> None:
        """Make a complete and closed local file this one: whole, durable, gone where it was."""
        if temporary != self:
            os.replace(temporary, self)
        self.parent.sync_folder()

    def rename_to(self, name: str) -> None:
        """Give the file another name in its folder, in place of what has it."""
        os.replace(self, self.with_name(name))
        self.parent.sync_folder()

    def reader(self) -> io.BufferedIOBase:
        """The file to read bytes from."""
        return open(self, "rb")

    def read_range(self, start: int, length: int) -> bytes:
        """A part of the file."""
        with open(self, "rb") as file:
            file.seek(start)
            return file.read(length)

    def digest(self) -> str:
        """The SHA-256 of the file, 64 hex digits."""
        with open(self, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def stamp(self) -> object:
        """What another file in its place would have another of; None where it cannot be asked."""
        try:
            facts = os.stat(self)
        except OSError:  # reading it says what is wrong
            return None
        return facts.st_size, facts.st_mtime_ns, facts.st_ino

    def remove(self) -> None:
        """Remove the file, or the folder with all that is in it; one that is not there is no error."""
        if self.is_dir():
            shutil.rmtree(self)
        else:
            self.unlink(missing_ok=True)

    def total_size(self) -> int:
        """The bytes of the file, or of all files in the folder."""
        files = [path for path in self.glob("**/*") if path.is_file()] if self.is_dir() else [self]
        return sum(path.stat().st_size for path in files)

    def make_folder(self) -> None:
        """Make the folder and those above it."""
        self.mkdir(parents=True, exist_ok=True)

    def sync_folder(self) -> None:
        """Make the names in the folder durable; renames are lost with the power otherwise."""
        descriptor = os.open(self, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Make a file that someone else wrote durable, and its name."""
        with open(self, "rb") as file:
            os.fsync(file.fileno())
        self.parent.sync_folder()

    @contextmanager
    def lock(self, wait: float) -> Iterator[None]:
        """Hold the file as a lock that the kernel frees when its holder dies, however it dies."""
        with os_errors(self, "taking the writing lock"):
            self.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self, os.O_RDWR | os.O_CREAT, 0o644)
        _held.add(descriptor)
        try:
            _acquire(descriptor, self, time.monotonic() + wait)
            yield
        finally:
            _held.discard(descriptor)
            os.close(descriptor)

    def confirm_lock(self) -> None:
        """Nothing: a lock of the kernel is never lost."""

    def explain(self, error: Exception) -> StoreError | None:
        """None: what the system refuses is told by its number."""
        del error
        return None

    def delta_options(self) -> dict[str, str] | None:
        """How deltalake reaches it."""
        return None

    def delta_configuration(self) -> dict[str, str]:
        """The properties that a Delta table here has more than others."""
        return {}

    @staticmethod
    def parquets(paths: Sequence[FolderPath]) -> Iterator[pq.ParquetFile]:
        """Parquet files to read, each until the next is asked for."""
        import pyarrow.parquet as pq

        for path in paths:
            with pq.ParquetFile(path) as file:
                yield file

    @staticmethod
    def datasets(paths: Sequence[FolderPath], schema: pa.Schema) -> Iterator[ds.Dataset]:
        """The rows of Parquet files as one dataset."""
        import pyarrow.dataset as ds

        yield ds.dataset([str(path) for path in paths], schema=schema, format="parquet")


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{path}: another run is writing to this store; wait until it has ended, then run again"
                ) from None
            time.sleep(_LOCK_POLL)
        except OSError as error:
            raise os_refusal(path, "taking the writing lock", error) from error
        else:
            return
