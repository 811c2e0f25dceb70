"""The raw archive: captures as WARC records, each compressed alone, so that one can be read without the rest.

The form is WARC/1.1 (ISO 28500) with gzip after its annex D, because every WARC tool reads it; zstd was 11 %
smaller at half the CPU, but its WARC form is a draft that few tools know. Files are written under a temporary
name on this machine, and brought to their place when they are complete and on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import quote
from uuid import UUID

from fastwarc import ArchiveIterator, GzipWriter

from cleancopy.document import Capture
from cleancopy.errors import Rejection, StoreError
from cleancopy.policy import Limits
from cleancopy.store.paths import (
    StorePath,
    archive_folder,
    atomic_write,
    make_folder,
    move_into_place,
    read_range,
    scratch_folder,
    store_errors,
)
from cleancopy.warc.payload import response_payload

# On 500 pages (229 kB each on average): level 4 is 3 % bigger than level 6 at 20 % less CPU.
COMPRESSION_LEVEL = 4
TEMPORARY = ".part"


class ArchiveRef(NamedTuple):
    """Where a capture's record is: file below clean/archive/, offset and length in bytes, record id."""

    file: str
    offset: int
    length: int
    record_id: str


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response as it was received.

    ``head`` is its status line and header fields with the empty line after them; ``body`` is without transfer
    coding, but in the content coding that it came in. ``truncated`` says why the body is not whole:
    ``length``, ``time``, ``disconnect`` or None. ``time`` is ISO 8601 UTC.
    """

    url: str
    status: int
    head: bytes
    body: bytes
    time: str
    truncated: str | None = None


class Archive:
    """A writer of one archive file; use it as a context manager, the file appears when the block ends well.

    ``temporary`` is where it is written until then; a file that is given there stays when the block fails.
    ``known`` says where a payload is that is archived already, by SHA-256: they, and payloads that this writer
    has seen, are not written again. A file of the same name is replaced: name it after the release.
    """

    def __init__(
        self,
        root: StorePath,
        name: str,
        find: Callable[[str], ArchiveRef | None] = lambda _: None,
        temporary: Path | None = None,
    ) -> None:
        self.path = archive_folder(root) / f"{name}.warc.gz"
        self._temporary = temporary or _unfinished(root) / f".{self.path.name}{TEMPORARY}"
        self._keep = temporary is not None
        self._known = find
        self._written: dict[str, ArchiveRef] = {}
        self._opened = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._offset = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if kind is None:
            self._complete(self._file)
        else:
            self._file.close()
            if not self._keep:
                self._temporary.unlink(missing_ok=True)

    def flush(self) -> int:
        """Hand what is written to the system, so that it outlives this process; its bytes so far."""
        if self._file is not None:
            with store_errors(self._temporary, "archiving a capture"):
                self._file.flush()
        return self._offset

    def append(self, capture: Capture) -> ArchiveRef:
        """Where the capture's payload is archived, after writing it unless it is known."""
        digest = capture.sha256
        ref = self._known(digest) or self._written.get(digest)
        if ref is None:
            record = _record(capture, digest, self._opened)
            ref = self._write(record_id(digest, capture.key), _compressed(record))
            self._written[digest] = ref
        return ref

    def append_response(self, response: Response, earlier: ArchiveRef | None = None) -> ArchiveRef:
        """Where an HTTP response is archived, after writing it.

        ``known`` is where a response with the same payload is: then only the head is written, as a ``revisit``
        record, and ``known`` comes back.
        """
        revisited = earlier.record_id if earlier else None
        name, parts = _response_record(response, revisited)
        # Most responses come compressed, and no second coding makes them smaller: the quickest will do. For a
        # page of 25 kB it takes 0.08 ms, fastwarc 0.27 ms; for a plain one 0.29 ms (6 % larger) and 0.45 ms.
        deflate = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, 31)
        ref = self._write(name, b"".join([*map(deflate.compress, parts), deflate.flush()]))
        return earlier or ref

    def _write(self, name: str, member: bytes) -> ArchiveRef:
        with store_errors(self._temporary, "archiving a capture"):
            if self._file is None:
                self._file = self._open()
            self._file.write(member)
        ref = ArchiveRef(self.path.name, self._offset, len(member), name)
        self._offset += len(member)
        return ref

    def _open(self) -> BinaryIO:
        """The temporary file, begun with the record that says what the file is."""
        self._temporary.parent.mkdir(parents=True, exist_ok=True)
        # It stays open until the context ends.
        file = open(self._temporary, "wb")  # noqa: SIM115
        member = _compressed(_file_record(self.path.name, self._opened))
        file.write(member)
        self._offset = len(member)
        return file

    def _complete(self, file: BinaryIO) -> None:
        with store_errors(self._temporary, "completing the archive file"):
            file.close()
        complete_archive(self._temporary, self.path)


def complete_archive(temporary: Path, path: StorePath) -> None:
    """Bring an archive file that was written to the end, and closed, to its place: on the disk and whole."""
    with store_errors(temporary, "completing the archive file"):
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        make_folder(path.parent)
        move_into_place(temporary, path)


def _unfinished(root: StorePath) -> Path:
    """The folder of archive files that are being written."""
    return archive_folder(scratch_folder(root))


def record_id(sha256: str, key: str) -> str:
    """The WARC record id of a payload under a key: the same in every run."""
    digest = hashlib.sha256(f"{sha256}\n{key}".encode("utf-8", "surrogatepass")).digest()
    return f"<{UUID(bytes=digest[:16], version=5).urn}>"


def read_capture(root: StorePath, ref: ArchiveRef, sha256: str | None = None) -> bytes:
    """The payload of an archived capture, checked against its record's digest (and ``sha256``, if given).

    Of an HTTP response it is the body without its content coding.
    """
    path, member = archive_folder(root) / ref.file, read_member(root, ref)
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(member), parse_http=False)), None)
        block = b"" if record is None else record.reader.read()
        digest = None if record is None else record.headers.get("WARC-Block-Digest")
    except (OSError, ValueError) as error:
        raise _damaged(path, ref, f"it does not decompress: {error}") from error
    if record is not None and block == b"" and record.headers.get("WARC-Type") == "metadata":
        raise StoreError(f"{path}: the record at byte {ref.offset} ({ref.record_id}) was purged by a takedown")
    if record is None or record.record_id != ref.record_id:
        raise _damaged(path, ref, "another record or none is there")
    digest_read = "sha256:" + hashlib.sha256(block).hexdigest()
    if digest_read != digest:
        raise _damaged(path, ref, f"the block's digest is {digest_read}, not {digest}")
    payload = block
    if record.headers.get("WARC-Type") == "response":
        try:
            payload = response_payload(block, Limits())
        except Rejection as error:
            raise _damaged(path, ref, str(error)) from error
    digest_read = hashlib.sha256(payload).hexdigest()
    if sha256 not in (None, digest_read):
        raise _damaged(path, ref, f"the payload's digest is sha256:{digest_read}, not {sha256}")
    return payload


def read_member(root: StorePath, ref: ArchiveRef) -> bytes:
    """The compressed record of an archived capture: an archive of one record."""
    path = archive_folder(root) / ref.file
    with store_errors(path, "reading a capture"):
        return read_range(path, ref.offset, ref.length)


def sweep(root: StorePath, keep: Collection[str] = ()) -> list[Path]:
    """Remove what interrupted writers left behind; only for a run that holds the writing lock.

    ``keep`` are the names of runs under way: files with one of them in their name stay.
    """
    folder = _unfinished(root)
    remains = [p for p in sorted(folder.glob(f".*{TEMPORARY}")) if not any(name in p.name for name in keep)]
    with store_errors(folder, "removing unfinished archive files"):
        for path in remains:
            path.unlink(missing_ok=True)
    return remains


def _damaged(path: StorePath, ref: ArchiveRef, cause: str) -> StoreError:
    return StoreError(
        f"{path}: the record at byte {ref.offset} ({ref.record_id}) is damaged, {cause}; "
        "restore the file from a backup"
    )


def _compressed(record: bytes) -> bytes:
    """One record as a gzip member of its own."""
    member = io.BytesIO()
    writer = GzipWriter(member, compression_level=COMPRESSION_LEVEL)
    writer.write(record)
    writer.finish()
    writer.flush()
    return member.getvalue()


def _record(capture: Capture, sha256: str, opened: str) -> bytes:
    """A capture as a WARC ``resource`` record: the payload alone, as no HTTP headers are kept with it."""
    digest = f"sha256:{sha256}"
    fields = {
        "WARC-Type": "resource",
        "WARC-Record-ID": record_id(sha256, capture.key),
        "WARC-Date": capture.captured or opened,
        "WARC-Target-URI": _uri(capture.url or capture.key),
        "WARC-Payload-Digest": digest,
        "WARC-Block-Digest": digest,
        "Content-Type": capture.media_type or "application/octet-stream",
    }
    return _block(fields, capture.payload)


#: Fields that no longer hold once the transfer coding is undone; Common Crawl names them so, too.
_TRANSFER = re.compile(rb"^(?=Transfer-Encoding[ \t]*:)", re.MULTILINE | re.IGNORECASE)
_PROFILE = "http://netpreserve.org/warc/1.1/revisit/"


def _response_record(response: Response, revisited: str | None) -> tuple[str, list[bytes]]:
    """The id of an HTTP response's record, and the record in parts, as bodies may be large.

    ``revisited`` is the id of the record that has its body already: then it is a ``revisit`` of that.
    """
    head = _TRANSFER.sub(b"X-Crawler-", response.head)
    body = b"" if revisited else response.body
    payload = "sha256:" + hashlib.sha256(response.body).hexdigest()
    digest = hashlib.sha256(head)
    digest.update(body)
    name = record_id(digest.hexdigest(), f"{response.time} {response.url}")
    fields = {
        "WARC-Type": "revisit" if revisited else "response",
        "WARC-Record-ID": name,
        "WARC-Date": response.time,
        "WARC-Target-URI": _uri(response.url),
        "WARC-Payload-Digest": payload,
        "WARC-Block-Digest": f"sha256:{digest.hexdigest()}",
        "Content-Type": "application/http; msgtype=response",
    }
    if response.truncated:
        fields["WARC-Truncated"] = response.truncated
    if revisited:
        same = "server-not-modified" if response.status == 304 else "identical-payload-digest"
        fields |= {"WARC-Refers-To": revisited, "WARC-Profile": _PROFILE + same}
    if response.status == 304:
        del fields["WARC-Payload-Digest"]
    return name, [_head(fields, len(head) + len(body)), head, body, b"\r\n\r\n"]


def _file_record(name: str, opened: str) -> bytes:
    """The ``warcinfo`` record that an archive file begins with."""
    about = b"software: cleancopy\r\nformat: WARC File Format 1.1\r\n"
    fields = {
        "WARC-Type": "warcinfo",
        "WARC-Record-ID": record_id(hashlib.sha256(about).hexdigest(), name),
        "WARC-Date": opened,
        "WARC-Filename": name,
        "Content-Type": "application/warc-fields",
    }
    return _block(fields, about)


def _block(fields: Mapping[str, str], content: bytes) -> bytes:
    return b"".join([_head(fields, len(content)), content, b"\r\n\r\n"])


def _head(fields: Mapping[str, str], length: int) -> bytes:
    lines = [f"{name}: {_one_line(value)}\r\n" for name, value in fields.items()]
    return f"WARC/1.1\r\n{''.join(lines)}Content-Length: {length}\r\n\r\n".encode()


def _uri(target: str) -> str:
    """An URI without anything that may not stand in one: ``file:`` keys come with spaces and worse."""
    return quote(target.encode("utf-8", "surrogatepass"), safe="%:/?#[]@!$&'()*+,;=~")


def _one_line(value: str) -> str:
    """A header's value: a line break in it would begin another header."""
    return " ".join(value.encode("utf-8", "replace").decode().split())


def purge(root: StorePath, refs: Iterable[ArchiveRef]) -> None:
    """Overwrite records with empty ones of the same length, so that all others stay where they are.

    A file appears with all of its records overwritten, or as it was.
    """
    files: dict[str, list[ArchiveRef]] = {}
    for ref in refs:
        files.setdefault(ref.file, []).append(ref)
    for name, those in files.items():
        path = archive_folder(root) / name
        with store_errors(path, "purging records"):
            content = bytearray(path.read_bytes())
        for ref in those:
            content[ref.offset : ref.offset + ref.length] = _emptied(ref.length)
        atomic_write(path, bytes(content))


def is_purged(root: StorePath, ref: ArchiveRef) -> bool:
    """Whether a record was overwritten; raises StoreError where its file cannot be read."""
    return read_member(root, ref) == _emptied(ref.length)


#: What an overwritten record says, in place of a page.
PURGED = b"WARC/1.1\r\nWARC-Type: metadata\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


def _emptied(length: int) -> bytes:
    """A gzip member of a length that holds ``PURGED``; what it lacks in length stands in its comment field."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(PURGED) + packer.flush()
    tail = packed + zlib.crc32(PURGED).to_bytes(4, "little") + len(PURGED).to_bytes(4, "little")
    head = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff"
    return head + b" " * (length - len(head) - 1 - len(tail)) + b"\0" + tail
