"""Finding records of the archive by what they say, whether a row names them or not, and reading whole files.

    for record in records(path):                 every record of a file, with the bytes it holds
    to_purge(root, scope, keep)                  the records of what is to be erased

Each record is a gzip member of its own, as ``archive`` writes them. What is cut off or does not inflate is
passed over: ``verify`` names it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, suppress
from typing import NamedTuple
from urllib.parse import unquote

from cleancopy.errors import Rejection
from cleancopy.policy import Limits
from cleancopy.store.archive import PURGED, ArchiveRef
from cleancopy.store.erasure import Scope
from cleancopy.store.paths import StorePath, archive_folder, glob_sorted, open_bytes
from cleancopy.warc.payload import response_payload, split_response
from cleancopy.warc.record import header_fields

_PIECE = 1 << 20


class Record(NamedTuple):
    """A record: where it is, its header fields by their names in lower case, and its block."""

    ref: ArchiveRef
    fields: Mapping[str, str]
    block: bytes

    @property
    def type(self) -> str:
        """What kind of record it is."""
        return self.fields.get("warc-type", "")

    @property
    def uri(self) -> str:
        """The address or key that it is of."""
        return self.fields.get("warc-target-uri", "")


def records(path: StorePath) -> Iterator[Record]:
    """The records of an archive file that are whole and were not purged."""
    for offset, length, content in _members(path):
        if content == PURGED:
            continue
        head, _, rest = content.partition(b"\r\n\r\n")
        values = header_fields(head.partition(b"\r\n")[2])
        fields = {name: value.decode("utf-8", "replace") for name, value in values.items()}
        name = fields.get("warc-record-id", "")
        yield Record(ArchiveRef(path.name, offset, length, name), fields, rest.removesuffix(b"\r\n\r\n"))


def _members(path: StorePath) -> Iterator[tuple[int, int, bytes]]:
    """The gzip members of a file: offset, length and what each inflates to."""
    with closing(open_bytes(path)) as file:
        position, waiting = 0, b""
        while True:
            inflate, parts, length = zlib.decompressobj(31), list[bytes](), 0
            while not inflate.eof:
                piece = waiting or file.read(_PIECE)
                waiting = b""
                if not piece:
                    return
                try:
                    parts.append(inflate.decompress(piece))
                except zlib.error:
                    return
                length += len(piece) - len(inflate.unused_data)
            waiting = inflate.unused_data
            yield position, length, b"".join(parts)
            position += length


def files(root: StorePath) -> list[StorePath]:
    """All archive files that are in their place."""
    return glob_sorted(archive_folder(root), "*.warc.gz")


def to_purge(
    root: StorePath,
    scope: Scope,
    keep: Collection[ArchiveRef],
    says: Callable[[bytes], object] = lambda content: False,
) -> list[ArchiveRef]:
    """The records of what is to be erased, but for those that rows of other documents name (``keep``).

    ``says`` tells of what a record holds whether it is to go, too, as a list that names an erased page.
    """
    if not scope:
        return []
    places = {(ref.file, ref.offset) for ref in keep}
    return [
        record.ref
        for path in files(root)
        for record in records(path)
        if (path.name, record.ref.offset) not in places
        and (_is_meant(record, scope) or (record.type != "warcinfo" and says(content_of(record))))
    ]


def content_of(record: Record) -> bytes:
    """All that a record holds: its address, and its block with the payload as it reads."""
    block = record.block
    if record.type == "response":
        with suppress(Rejection):
            block += b"\n" + response_payload(record.block, Limits())
    return record.uri.encode() + b"\n" + unquote(record.uri).encode("utf-8", "replace") + b"\n" + block


def _is_meant(record: Record, scope: Scope) -> bool:
    if record.type in ("warcinfo", ""):
        return False
    if f"{record.ref.file}@{record.ref.offset}" in scope.records:
        return True
    if scope.has_address(record.uri, unquote(record.uri), unquote(record.uri).removeprefix("file:")):
        return True
    digest = hashlib.sha256(record.block).hexdigest()
    if record.type != "response":
        return scope.has_payload(digest)
    try:
        status, fields, _ = split_response(record.block)
        location = fields.get("location", b"").decode("latin-1").strip()
        if 300 <= status < 400 and scope.has_address(location):
            return True
        return scope.has_payload(hashlib.sha256(response_payload(record.block, Limits())).hexdigest())
    except Rejection:
        return False
