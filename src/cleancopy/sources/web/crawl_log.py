"""What a crawl has so far, kept as it comes, so that the next run goes on where one was killed or stopped.

    with CrawlLog(root, folder, run) as log:
        log.outcome(ask)            what an earlier attempt of this run got for an ask, or None
        log.archive                 where responses are archived
        log.add(ask, outcome)       keep what became of an ask

Each attempt of a run has an archive file and a log beside it in the run's folder. An outcome is written only
after its response is in the archive file, and both are handed to the system at once: what a killed process
loses is what it was asking for. The next attempt cuts the archive file behind the last outcome and brings it
to its place in the store.
"""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from cleancopy.errors import Rejection, RejectReason
from cleancopy.store.archive import Archive, complete_archive
from cleancopy.store.paths import StorePath, archive_folder

if TYPE_CHECKING:
    from cleancopy.sources.web.fetcher import Ask, Outcome

#: What an attempt got is used for a day, like a robots.txt (RFC 9309, 2.4); then pages are asked for again.
KEPT_SECONDS = 86_400.0

_Key = tuple[str, str, str]


class CrawlLog:
    """The outcomes and the archive of a crawl, over all attempts of its run; use it as a context manager."""

    def __init__(self, root: StorePath, folder: Path, run: str) -> None:
        self._root, self._folder, self._run = root, folder, run
        self._earlier: dict[_Key, Outcome] = {}
        self._attempt = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        while (log := self._path("log")).exists():
            self._take_up(log)
            self._attempt += 1
        self.archive = Archive(self._root, self._archive_name(), temporary=self._path("warc"))
        self.archive.__enter__()
        self._file = self._path("log").open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self.archive.__exit__(kind, error, trace)

    def outcome(self, ask: Ask) -> Outcome | None:
        """What an earlier attempt got for an ask; None where it is to be asked for."""
        return self._earlier.get(_key(ask))

    def add(self, ask: Ask, outcome: Outcome) -> None:
        """Keep an outcome; what was put off is not kept, as another attempt may get it."""
        if isinstance(outcome, Rejection) and outcome.kind is RejectReason.PUT_OFF:
            return
        assert self._file is not None
        size = self.archive.flush()
        pickle.dump((_key(ask), outcome, size), self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.flush()

    def _take_up(self, log: Path) -> None:
        """Use what an earlier attempt left, if it is of today, and complete its archive file."""
        part, name = self._path("warc"), self._archive_name()
        fresh = 0 <= time.time() - log.stat().st_mtime < KEPT_SECONDS
        entries, size = _read(log, part.stat().st_size if part.exists() else None)
        if part.exists() and fresh and size:
            os.truncate(part, size)
            complete_archive(part, archive_folder(self._root) / f"{name}.warc.gz")
        else:
            part.unlink(missing_ok=True)
        if fresh:
            self._earlier |= entries

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._attempt:04d}.{suffix}"

    def _archive_name(self) -> str:
        return f"{self._run}-web" + (f"-{self._attempt}" if self._attempt else "")


def _key(ask: Ask) -> _Key:
    """What tells an ask from others, in every attempt: the address that it began with, not where it was led."""
    return ask.source, ask.kind, ask.hops[0] if ask.hops else ask.url


def _read(log: Path, archived: int | None) -> tuple[dict[_Key, Outcome], int]:
    """The outcomes of a log whose responses are archived, and how many bytes of its archive file they need.

    ``archived`` is the size of that file, None where it is in its place in the store. A log may end within an
    entry: it was being written when the process ended.
    """
    entries: dict[_Key, Outcome] = {}
    size = 0
    with log.open("rb") as file:
        while True:
            try:
                key, outcome, needed = pickle.load(file)
            except (EOFError, pickle.UnpicklingError, AttributeError, ImportError, IndexError, ValueError):
                return entries, size
            if archived is not None and needed > archived:
                return entries, size
            entries[key], size = outcome, needed
