"""The lease: who may write to a store in an object store, where no kernel frees a dead writer's lock.

The lease is one object. It names its holder, who writes it anew every few seconds; every write is conditional
on the state that the writer knows, so no two can hold it. Whoever waits takes it over when it was not renewed
for ``LEASE`` seconds, by the clock of the one who waits: no two clocks are compared. Nothing is ever deleted.

A holder that was taken for dead (its machine slept) may go on. So nothing relies on the lease alone: a release
is decided by an object that one run only can create, a table's commit by an entry of its log, a line of
decisions by the state that was read. The lease spares runs the work of deciding again, and ``confirm`` keeps
one that was overtaken from removing what others need.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleancopy.errors import Busy, ConflictError, StoreError

if TYPE_CHECKING:
    from cleancopy.store.objects import ObjectPath

#: Seconds after which a holder that has not renewed the lease is taken for dead, and between its renewals.
LEASE, BEAT = 30.0, 5.0
#: Seconds between looks at a lease that another holds; the first ones come quicker.
_LOOK = 1.0
_FREE = b'{"holder": null}\n'


@dataclass(slots=True)
class _Lease:
    """A lease that this process holds: the tag of the object as it wrote it last, None when it was lost."""

    path: ObjectPath
    tag: str | None
    holder: str
    count: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def renew(self) -> bool:
        """Write the lease anew; whether it is this process's still."""
        with self.mutex:
            if self.tag is not None:
                self.count += 1
                self.tag = self.path.replace(_content(self.holder, self.count), self.tag) or self._own_tag()
            return self.tag is not None

    def _own_tag(self) -> str | None:
        """The tag as it is, if the object names this holder still: an answer was lost, not the lease."""
        try:
            content, tag = self.path.read()
        except FileNotFoundError:
            return None
        return tag if content.startswith(_content(self.holder, 0).partition(b",")[0]) else None

    def keep(self) -> None:
        """Renew the lease until it ends or is lost."""
        while not self.ended.wait(BEAT):
            with suppress(StoreError):  # the server may answer the next time
                if not self.renew():
                    return


_held: dict[ObjectPath, _Lease] = {}


@contextmanager
def leased(path: ObjectPath, wait: float = 0.0) -> Iterator[None]:
    """Hold a lease; raise Busy if another run still holds it after ``wait`` seconds.

    A holder that shows no sign of life is waited for ``LEASE`` seconds, even where ``wait`` is less: then the
    lease is taken over.
    """
    lease = _acquire(path, wait)
    _held[path] = lease
    beats = threading.Thread(target=lease.keep, name=f"lease of {path}", daemon=True)
    beats.start()
    try:
        yield
    finally:
        lease.ended.set()
        beats.join()
        if _held.get(path) is lease:
            del _held[path]
        with suppress(StoreError):  # it ends by itself, a little later
            if lease.tag is not None:
                path.replace(_FREE, lease.tag)


def confirm(path: ObjectPath) -> None:
    """Raise ConflictError unless this process holds a lease at this moment."""
    lease = _held.get(path)
    if lease is None or not lease.renew():
        raise ConflictError(
            f"{path}: this run stood still for {LEASE:g} seconds or more, and another one took its place; "
            "run again"
        )


def _content(holder: str, count: int) -> bytes:
    return (json.dumps({"holder": holder, "renewed": count}) + "\n").encode()


def _acquire(path: ObjectPath, wait: float) -> _Lease:
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
    mine, content = _content(holder, 0), b""
    for content, tag, dead in _looks(path, wait):
        if not tag:
            if tag_now := path.create(mine):
                _check_conditions(path)
                return _Lease(path, tag_now, holder)
        elif (content == _FREE or dead) and (tag_now := path.replace(mine, tag)):
            return _Lease(path, tag_now, holder)
    raise Busy(
        f"{path}: another run is writing to this store ({_holder(content)}); wait until it has ended, then run "
        "again"
    )


def _looks(path: ObjectPath, wait: float) -> Iterator[tuple[bytes, str, bool]]:
    """What a lease says again and again, its tag, and whether its holder gave no sign of life for too long.

    Ends after ``wait`` seconds, but not before the holder has given a sign.
    """
    begin, since, last, alive, pause = time.monotonic(), 0.0, "", False, 0.02
    while not alive or time.monotonic() - begin < wait:
        try:
            content, tag = path.read()
        except FileNotFoundError:
            content, tag = b"", ""
        if tag != last:
            since, alive, last = time.monotonic(), last != "", tag
        yield content, tag, time.monotonic() - since >= LEASE
        time.sleep(pause)
        pause = min(_LOOK, BEAT / 4, pause * 1.5)


def _holder(content: bytes) -> str:
    """The machine and process of a holder."""
    try:
        host, process, _ = str(json.loads(content)["holder"]).rsplit(":", 2)
    except (ValueError, KeyError, TypeError):
        return "its lease cannot be read"
    return f"process {process} on {host}"


def _check_conditions(path: ObjectPath) -> None:
    """Raise StoreError where the server writes whatever the condition; asked once in a store's life."""
    if path.create(_FREE) or path.replace(_FREE, '"00000000000000000000000000000000"'):
        path.unlink()
        raise StoreError(
            f"{path}: this server ignores the conditions of a conditional put (If-None-Match, If-Match), and "
            "two writers would harm each other; use one that knows them (see docs/deploy.md), or a folder"
        )
