"""Files of pickled objects in which one step of a run leaves its shard to the next.

They live in ``clean/.work`` while a run is under way, are written and read by that run alone. A spool appears
when it is complete, so that the run after a dead one can go on from those that are there.
"""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any


class Spool:
    """A file to append objects to; each has an offset by which it can be read again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        # A name of its own: what a cut-off worker still writes must never appear as another's.
        self._unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        self._file = open(self._unfinished, "wb")  # noqa: SIM115 - closed by the context
        self._offset = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:
            self._unfinished.replace(self._path)

    def append(self, content: object) -> int:
        """Add an object; its offset in the file, in bytes."""
        offset = self._offset
        self._offset += self._file.write(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))
        return offset


def read_spool(path: Path) -> Iterator[Any]:
    """The objects of a spool file, in the order they were added."""
    return (content for _, content in read_offsets(path))


def read_offsets(path: Path) -> Iterator[tuple[int, Any]]:
    """The objects of a spool file with their offsets, in the order they were added."""
    with open(path, "rb") as file:
        while file.peek(1):
            offset = file.tell()
            yield offset, pickle.load(file)


def read_at(path: Path, offset: int) -> Any:
    """The object at an offset of a spool file."""
    with open(path, "rb") as file:
        file.seek(offset)
        return pickle.load(file)
