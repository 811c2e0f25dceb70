"""What the operating system refuses, as a ``StoreError`` that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePath

from cleancopy.errors import StoreError

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


@contextmanager
def rollback_on_error(undo: Callable[[], object]) -> Iterator[None]:
    """Call ``undo`` if the block does not come to its end, whatever stops it, Ctrl-C too; that goes on."""
    with ExitStack() as stack:
        stack.callback(undo)
        yield
        stack.pop_all()


@contextmanager
def os_errors(path: PurePath, doing: str) -> Iterator[None]:
    """Raise StoreError, with the path, the cause and a remedy, for what the operating system refuses here."""
    try:
        yield
    except OSError as error:
        raise os_refusal(path, doing, error) from error


def os_refusal(path: PurePath, doing: str, error: OSError) -> StoreError:
    """The StoreError for an OSError: which file, what failed, what to do."""
    # Arrow raises OSErrors that have a message and no number.
    number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else 0)
    where = error.filename or path
    cause = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = _REMEDIES.get(number, "check the disk and its file system, then run again")
    return StoreError(f"{where}: {doing} failed ({cause}); {remedy}")
