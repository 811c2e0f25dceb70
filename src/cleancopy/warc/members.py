"""The bytes of a web archive: plain, or of gzip members or zstd frames, and the way on after a damaged one.

A damaged member is a ``Piece`` with a fault; the next piece comes from the next member that begins with a
record. What stands between the two is lost.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.limits import ZSTD_MAGIC

if TYPE_CHECKING:
    from cleancopy.policy import Limits

#: Files are read in steps of so many bytes.
CHUNK = 1 << 16
#: What a record begins with: the version line, then a named field (ISO 28500, 5).
RECORD_START = re.compile(rb"WARC/\d\.\d{1,2}\r?\n[\w-]+[ \t]*:")
# By chance, compressed data holds the first bytes of a member once in 16 MB; an archive with more was made to.
_MAX_FALSE_STARTS = 10_000
_GZIP_START = b"\x1f\x8b\x08"
_ZSTD_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some uncompressed bytes, and where in the file their member begins; or the fault that stands there."""

    data: bytes
    member: int | None = None
    fault: Rejection | None = None


def read_pieces(file: BinaryIO, limits: Limits) -> Iterator[Piece]:
    """The uncompressed bytes of an archive, in the form that its first record or its first bytes show.

    The first bytes alone do not decide where no record follows them: they may be the damage.
    """
    file.seek(0)
    start = file.read(CHUNK)
    if start.startswith(_ZSTD_DICTIONARY_MAGIC):
        return _zstd_pieces(file, limits)
    forms = ((_GZIP_START, _gzip_pieces), (ZSTD_MAGIC, _zstd_pieces))
    for magic, pieces in forms:
        if start.startswith(magic) and _begins_record(file, 0, magic):
            return pieces(file, limits)
    if not RECORD_START.search(start):
        for magic, pieces in forms:
            if _next_member(file, 0, magic) is not None:
                return pieces(file, limits)
        for magic, pieces in forms:
            if start.startswith(magic[:2]):
                return pieces(file, limits)
    return _plain_pieces(file)


def _plain_pieces(file: BinaryIO) -> Iterator[Piece]:
    """The bytes of a file that is not compressed."""
    file.seek(0)
    while data := file.read(CHUNK):
        yield Piece(data)


def _gzip_pieces(file: BinaryIO, limits: Limits) -> Iterator[Piece]:
    """The bytes of all gzip members; after a damaged one from the next that begins with a record."""
    following: int | None = 0
    while (offset := following) is not None:
        try:
            following = yield from _gzip_member(file, offset, limits)
        except Rejection as fault:
            yield Piece(b"", offset, fault)
            following = _next_member(file, offset + 1, _GZIP_START)


def _gzip_member(file: BinaryIO, offset: int, limits: Limits) -> Generator[Piece, None, int | None]:
    """The bytes of one gzip member; the last of them only once its checksum is right. Returns where it ends."""
    file.seek(offset)
    # A little at first: what is read beyond a member's end is read again, and members may be tiny.
    data = file.read(CHUNK >> 4)
    if not data.strip(b"\0"):
        return None
    inflater, read, size, held = zlib.decompressobj(31), len(data), 0, b""
    while not inflater.eof:
        try:
            part = inflater.decompress(data, CHUNK)
        except zlib.error as error:
            raise Rejection(RejectReason.BAD_COMPRESSION, f"gzip member is damaged ({error})") from error
        size += len(part)
        _check_ratio(size, read - len(inflater.unconsumed_tail), limits)
        if held and (part or inflater.eof):
            yield Piece(held, offset)
            held = b""
        held = part or held
        data = inflater.unconsumed_tail or (b"" if inflater.eof else file.read(CHUNK))
        read += 0 if inflater.unconsumed_tail else len(data)
        if not data and not part and not inflater.eof:
            yield Piece(held, offset)
            raise Rejection(
                RejectReason.WARC_TRUNCATED, "the file ends within a gzip member; get the archive again"
            )
    yield Piece(held, offset)
    return offset + read - len(inflater.unused_data)


def _zstd_pieces(file: BinaryIO, limits: Limits) -> Iterator[Piece]:
    """The bytes of all zstd frames. After a damaged frame those that need the archive's dictionary are lost."""
    base: int | None = 0
    while base is not None:
        done, last = 0, Piece(b"")
        # At a fault the reader keeps back what it has: the same again then, byte by byte from where it was.
        for step in (CHUNK, 1):
            for last in _zstd_frames(file, base, step, done, limits):
                if not last.fault:
                    done += len(last.data)
                    yield last
            if not last.fault:
                return
            if last.fault.kind is RejectReason.DECOMPRESS_LIMIT:
                break  # this fault is ours: the reader kept nothing back
        yield last
        base = _next_member(file, (last.member or 0) + 1, ZSTD_MAGIC)


def _zstd_frames(file: BinaryIO, base: int, step: int, after: int, limits: Limits) -> Iterator[Piece]:
    """The bytes from a frame on, without the first ``after``, in steps of that size; a fault is the last."""
    from fastwarc.stream_io import ZstdReader

    file.seek(base)
    reader, frame, size = ZstdReader(file), base, 0
    try:
        while after and (data := reader.read(min(after, CHUNK))):
            after -= len(data)
        while data := reader.read(step):
            start = base + (reader.frame_start_position() or 0)
            frame, size = start, size + len(data) if start == frame else len(data)
            yield Piece(data, frame)
            _check_ratio(size, max(1, base + reader.inner_tell() - frame), limits)
    except (OSError, Rejection) as error:
        yield Piece(b"", base + (reader.frame_start_position() or 0), _zstd_fault(error))


def _zstd_fault(error: OSError | Rejection) -> Rejection:
    """What an error of the zstd reader means for whoever has the archive."""
    if isinstance(error, Rejection):
        return error
    if "incomplete" in str(error):
        return Rejection(
            RejectReason.WARC_TRUNCATED, "the file ends within a zstd frame; get the archive again"
        )
    return Rejection(RejectReason.BAD_COMPRESSION, f"zstd frame is damaged ({error})")


def _check_ratio(size: int, compressed: int, limits: Limits) -> None:
    """Raise Rejection(decompress_limit) where a few bytes inflate to very many."""
    if size > limits.inflated_bytes and size > limits.inflate_ratio * compressed:
        raise Rejection(
            RejectReason.DECOMPRESS_LIMIT,
            f"inflates {compressed:,} bytes to more than {size:,}; raise limits.inflate_ratio if that is right",
        )


def _next_member(file: BinaryIO, offset: int, magic: bytes) -> int | None:
    """The offset of the next member that begins with a WARC record."""
    looks = 0
    while looks < _MAX_FALSE_STARTS:
        file.seek(offset)
        data = file.read(CHUNK)
        if len(data) < len(magic):
            return None
        at = data.find(magic)
        while at >= 0 and looks < _MAX_FALSE_STARTS:
            if _begins_record(file, offset + at, magic):
                return offset + at
            looks, at = looks + 1, data.find(magic, at + 1)
        offset += len(data) - len(magic) + 1
    return None


def _begins_record(file: BinaryIO, offset: int, magic: bytes) -> bool:
    """Whether a member begins at an offset and its first bytes are those of a record."""
    from fastwarc.stream_io import ZstdReader

    file.seek(offset)
    try:
        if magic == ZSTD_MAGIC:
            return bool(ZstdReader(file).read(5) == b"WARC/")
        return zlib.decompressobj(31).decompress(file.read(512), 5) == b"WARC/"
    except (OSError, zlib.error):
        return False
