"""The raw archive: captures as WARC records, each compressed alone, so that one can be read without the rest.

The form is WARC/1.1 (ISO 28500) with gzip after its annex D, because every WARC tool reads it; zstd was 11 %
smaller at half the CPU, but its WARC form is a draft that few tools know. Files are written under a temporary
name and renamed when they are complete and on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import quote
from uuid import UUID

from fastwarc import ArchiveIterator, GzipWriter

from cleancopy.document import Capture
from cleancopy.errors import StoreError
from cleancopy.store.layout import archive_folder, mendable, sync_folder

# On 500 pages (229 kB each on average): level 4 is 3 % bigger than level 6 at 20 % less CPU.
COMPRESSION_LEVEL = 4
TEMPORARY = ".part"


class ArchiveRef(NamedTuple):
    """Where a capture's record is: file below clean/archive/, offset and length in bytes, record id."""

    file: str
    offset: int
    length: int
    record_id: str


class Archive:
    """A writer of one archive file; use it as a context manager, the file appears when the block ends well.

    ``known`` names payloads that are archived already, by SHA-256: they, and payloads that this writer has
    seen, are not written again. A file of the same name is replaced: name it after the release.
    """

    def __init__(self, root: Path, name: str, known: Mapping[str, ArchiveRef] | None = None) -> None:
        self.path = archive_folder(root) / f"{name}.warc.gz"
        self._temporary = self.path.with_name(f".{self.path.name}{TEMPORARY}")
        self._known = known or {}
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
            self._temporary.unlink(missing_ok=True)

    def append(self, capture: Capture) -> ArchiveRef:
        """Where the capture's payload is archived, after writing it unless it is known."""
        digest = capture.sha256
        ref = self._known.get(digest) or self._written.get(digest)
        if ref is None:
            ref = self._write(record_id(digest, capture.key), _record(capture, digest, self._opened))
            self._written[digest] = ref
        return ref

    def _write(self, name: str, record: bytes) -> ArchiveRef:
        with mendable(self._temporary, "archiving a capture"):
            if self._file is None:
                self._file = self._open()
            member = _compressed(record)
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
        with mendable(self._temporary, "completing the archive file"):
            with file:
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._temporary, self.path)
            sync_folder(self.path.parent)


def record_id(sha256: str, key: str) -> str:
    """The WARC record id of a payload under a key: the same in every run."""
    digest = hashlib.sha256(f"{sha256}\n{key}".encode("utf-8", "surrogatepass")).digest()
    return f"<{UUID(bytes=digest[:16], version=5).urn}>"


def read_capture(root: Path, ref: ArchiveRef, sha256: str | None = None) -> bytes:
    """The payload of an archived capture, checked against its record's digest (and ``sha256``, if given)."""
    path = archive_folder(root) / ref.file
    with mendable(path, "reading a capture"), open(path, "rb") as file:
        file.seek(ref.offset)
        member = file.read(ref.length)
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(member), parse_http=False)), None)
        payload = b"" if record is None else record.reader.read()
        digest = None if record is None else record.headers.get("WARC-Payload-Digest")
    except (OSError, ValueError) as error:
        raise _damaged(path, ref, f"it does not decompress: {error}") from error
    found = "sha256:" + hashlib.sha256(payload).hexdigest()
    if record is None or record.record_id != ref.record_id:
        raise _damaged(path, ref, "another record or none is there")
    if found != digest or (sha256 is not None and found != f"sha256:{sha256}"):
        raise _damaged(path, ref, f"the payload's digest is {found}, not {sha256 or digest}")
    return payload


def sweep(root: Path) -> list[Path]:
    """Remove what interrupted writers left behind; only for a run that holds the writing lock."""
    folder = archive_folder(root)
    left = sorted(folder.glob(f".*{TEMPORARY}"))
    with mendable(folder, "removing unfinished archive files"):
        for path in left:
            path.unlink(missing_ok=True)
    return left


def _damaged(path: Path, ref: ArchiveRef, cause: str) -> StoreError:
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
    lines = [f"{name}: {_one_line(value)}\r\n" for name, value in fields.items()]
    head = f"WARC/1.1\r\n{''.join(lines)}Content-Length: {len(content)}\r\n\r\n"
    return b"".join([head.encode(), content, b"\r\n\r\n"])


def _uri(target: str) -> str:
    """An URI without anything that may not stand in one: ``file:`` keys come with spaces and worse."""
    return quote(target.encode("utf-8", "surrogatepass"), safe="%:/?#[]@!$&'()*+,;=~")


def _one_line(value: str) -> str:
    """A header's value: a line break in it would begin another header."""
    return " ".join(value.encode("utf-8", "replace").decode().split())
