"""Reading web archives: ``.warc``, ``.warc.gz``, ``.warc.zst`` and ``.wet``, whole or damaged.

    read_warc(path, limits, choice=Choice())         Iterator[Capture | RejectedInput]
    read_records(file, name, limits, ...)            the same for an open file

Every intact page comes out as a ``Capture``: ``response`` records with status 200 and ``resource`` records
that hold HTML or text, and ``conversion`` records (WET) as plain text; a ``Choice`` takes fewer, or pages of
other statuses. ``url`` is the WARC-Target-URI, ``key`` its canonical form, ``source`` is ``<name>@<offset>``.
Everything else that a sound archive holds (requests, images, redirects, ...) is passed over, without a look
into its body, and counted in ``skipped``.

What is wrong is a ``RejectedInput`` with its kind, and reading goes on at the next record: after a damaged gzip
member or zstd frame at the next one that begins with a record, otherwise where the next one begins.

The framing of ISO 28500 is read here and not by fastwarc's iterator, because that takes a record with a
wrong or missing Content-Length, a cut one and one that runs into its neighbour for good, and gives no way
on after a fault. Memory stays below ``limits.payload_bytes`` and a little, whatever the archive's size.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from cleancopy.document import Capture
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.encoding import looks_binary
from cleancopy.extract.limits import GZIP_MAGIC, ZSTD_MAGIC, Coding, inflate

if TYPE_CHECKING:
    from cleancopy.policy import Limits

PAGE_TYPES = frozenset(["text/html", "application/xhtml+xml", "text/plain"])
#: The types of records that can hold a page (ISO 28500, 6).
PAGE_RECORDS = frozenset(["response", "resource", "conversion"])

_CHUNK = 1 << 16
# A header that holds a long URL is read so that the URL can be named; nothing sound comes near this.
_MAX_HEAD = 1 << 18
_MAX_URL = 8_192
# By chance, compressed data holds the first bytes of a member once in 16 MB; an archive with more was made to.
_MAX_FALSE_STARTS = 10_000

_GZIP_START = b"\x1f\x8b\x08"
_ZSTD_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
_BEGIN = re.compile(rb"WARC/\d\.\d{1,2}\r?\n[\w-]+[ \t]*:")
_BLANK = re.compile(rb"[\r\n]*")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FIELD = re.compile(rb"^([^\s:]++)[ \t]*+:(.*)$", re.MULTILINE)
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b[^\n]*(?:\n|\Z)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w.:+-]+)", re.IGNORECASE)
_CODINGS: dict[str, Coding] = {
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
    "br": "br",
    "zstd": "zstd",
}

Fields = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class RejectedInput:
    """An input, or a member of one, that did not become a capture, and why.

    ``member`` is the place in a container (``offset 1234``), empty for a file. ``payload`` are the refused
    bytes where they are at hand and of acceptable size. ``lost`` is False where a fault is only noted and the
    capture itself came out too.
    """

    name: str
    member: str
    kind: RejectReason
    message: str
    payload: bytes | None = field(default=None, repr=False)
    lost: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records of an archive are read as pages.

    ``records`` are of ``PAGE_RECORDS``, ``statuses`` those of HTTP (a record that is no response has none),
    ``media_types`` of ``PAGE_TYPES``, as the record names them. ``hosts`` are patterns for the host of the
    address, ``*`` stands for anything; none means all.
    """

    records: frozenset[str] = PAGE_RECORDS
    statuses: frozenset[int] = frozenset([200])
    media_types: frozenset[str] = PAGE_TYPES
    hosts: tuple[str, ...] = ()


def read_warc(
    path: Path,
    limits: Limits,
    *,
    name: str | None = None,
    choice: Choice = Choice(),
    skipped: Counter[str] | None = None,
) -> Iterator[Capture | RejectedInput]:
    """The pages of a web archive, and a refusal for each record that is damaged or not to be had.

    ``name`` is what messages call the archive (its path, if not given); ``skipped`` counts what a sound
    archive holds besides the pages chosen, by reason. Raises OSError where the file cannot be opened.
    """
    with path.open("rb") as file:
        yield from read_records(file, name or str(path), limits, choice, skipped)


def read_records(
    file: BinaryIO,
    name: str,
    limits: Limits,
    choice: Choice = Choice(),
    skipped: Counter[str] | None = None,
) -> Iterator[Capture | RejectedInput]:
    """As ``read_warc``, for a seekable file that is open."""
    tape = _Tape(_pieces(file, limits))
    skipped = Counter() if skipped is None else skipped
    found = False
    while tape.skip_blank() or tape.fault:
        member, found = f"offset {tape.place()}", True
        try:
            record = _next_record(tape, limits, choice)
        except _Damaged as damage:
            yield RejectedInput(name, member, damage.kind, f"{name}, {member}: {damage}", damage.payload)
        else:
            if record is not None:
                yield from _captures(record, name, member, limits, choice, skipped)
    if not found:
        yield RejectedInput(
            name, "", RejectReason.EMPTY_INPUT, f"{name}: holds no record; get the archive again"
        )


def canonical_url(url: str) -> str:
    """The form of a web address that names its document: no fragment, no default port, host in lower case.

    Raises Rejection(bad_url) for what is no http or https address with a host, holds a password or control
    characters, or is longer than 8,192 characters.
    """
    shown = url[:80] + ("…" if len(url) > 80 else "")
    if len(url) > _MAX_URL:
        raise Rejection(
            RejectReason.BAD_URL, f"{shown!r} has {len(url):,} characters; the limit is {_MAX_URL:,}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Rejection(RejectReason.BAD_URL, f"{shown!r} is no web address ({error})") from error
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    if (
        scheme not in ("http", "https")
        or not host
        or "@" in parts.netloc
        or re.search(r"[\x00-\x20\x7f\\]", url)
    ):
        raise Rejection(RejectReason.BAD_URL, f"{shown!r} is no http or https address of a page")
    host = f"[{host}]" if ":" in host else host
    netloc = host if port in (None, 80 if scheme == "http" else 443) else f"{host}:{port}"
    return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))


def response_payload(block: bytes, limits: Limits) -> bytes:
    """The payload of an HTTP response: its body without transfer and content coding.

    Raises Rejection: warc_malformed, bad_compression or decompress_limit.
    """
    _, fields, start = _http(block)
    return _decoded(_dechunked(block[start:], fields), fields, limits)


def utc_time(text: str) -> str | None:
    """An ISO 8601 time in UTC to the second (``2026-01-31T12:00:00Z``), None for what is no such time."""
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


# ---- the archive as one stretch of bytes


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some uncompressed bytes, and where in the file their member begins; or the fault that is met there."""

    data: bytes
    member: int | None = None
    fault: Rejection | None = None


class _Damaged(Rejection):
    """A record that cannot be had; reading goes on where the tape stands."""

    def __init__(self, kind: RejectReason, message: str, payload: bytes | None = None) -> None:
        super().__init__(kind, message)
        self.payload = payload


class _Tape:
    """The uncompressed bytes of an archive, read forward, with a window from ``at`` to look at them.

    The window ends at a fault in the compressed data until ``drop`` leaves the bytes before it behind.
    """

    def __init__(self, pieces: Iterator[_Piece]) -> None:
        self.window = bytearray()
        self.at = 0
        self.fault: Rejection | None = None
        self.ended = False
        self._pieces = pieces
        self._before = 0  # bytes of the archive before the window
        self._without = 0  # bytes of the archive that no header's end is in, behind the last one that was
        self._marks: deque[tuple[int, int]] = deque()  # where members begin: in the bytes, in the file

    def fill(self, size: int) -> bool:
        """Whether so many bytes follow ``at``, after reading on as far as needed."""
        while len(self.window) - self.at < size and not (self.fault or self.ended):
            self._pull()
        return len(self.window) - self.at >= size

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > _CHUNK:
            del self.window[: self.at]
            self._before += self.at
            self.at = 0

    def drop(self) -> None:
        """Leave the fault and what is before it behind."""
        self.skip(len(self.window) - self.at)
        self.fault = None

    def take(self, start: int, end: int) -> bytes:
        """A copy of the bytes from ``start`` to ``end``, both counted from ``at``."""
        with memoryview(self.window) as view:
            return bytes(view[self.at + start : self.at + end])

    def search(self, pattern: re.Pattern[bytes], size: int) -> int:
        """Where the pattern's first match within so many bytes ends, counted from ``at``; 0 for none.

        What had no match is not looked at again: a file may be full of beginnings without an end.
        """
        start = max(self.at, self._without - self._before - 3)
        found = pattern.search(self.window, start, self.at + size) if start < self.at + size else None
        if found:
            return found.end() - self.at
        self._without = max(self._without, self._before + min(len(self.window), self.at + size))
        return 0

    def skip_blank(self) -> bool:
        """Whether something follows the empty lines here, after going there."""
        while self.fill(1):
            blank = _BLANK.match(self.window, self.at)
            length = blank.end() - self.at if blank else 0
            del blank
            if not length:
                return True
            self.skip(length)
        return False

    def record_within(self, start: int, end: int | None = None) -> int | None:
        """Where the first record that begins in that range does, all counted from ``at``; None if none does."""
        last = len(self.window) if end is None else self.at + end + 4
        found = self.window.find(b"WARC/", self.at + start, last)
        while found >= 0:
            if _BEGIN.match(self.window, found) is not None:
                return found - self.at
            found = self.window.find(b"WARC/", found + 1, last)
        return None

    def last_record_within(self, start: int, end: int) -> int | None:
        """Where the last record that begins in that range does, both counted from ``at``; None if none does."""
        found = self.window.rfind(b"WARC/", self.at + start, self.at + end)
        while found >= 0:
            if _BEGIN.match(self.window, found) is not None:
                return found - self.at
            found = self.window.rfind(b"WARC/", self.at + start, found)
        return None

    def seek_record(self) -> None:
        """Go to where the next record begins, or to the next fault, or to the end."""
        while (found := self.record_within(0)) is None and not (self.fault or self.ended):
            self.skip(max(0, len(self.window) - self.at - 64))
            self._pull()
        self.skip(len(self.window) - self.at if found is None else found)

    @property
    def member(self) -> int | None:
        """The offset in the file of the member that ``at`` is in, None where nothing is compressed."""
        while len(self._marks) > 1 and self._marks[1][0] <= self._before + self.at:
            self._marks.popleft()
        return self._marks[0][1] if self._marks else None

    def place(self) -> str:
        """Where ``at`` is in the file: its offset, or its member's offset and how far it is into that."""
        member, position = self.member, self._before + self.at
        if member is None:
            return str(position)
        within = position - self._marks[0][0]
        return f"{member}+{within}" if within else str(member)

    def _pull(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self.ended = True
            return
        position = self._before + len(self.window)
        if piece.member is not None and (not self._marks or self._marks[-1][1] != piece.member):
            self._marks.append((position, piece.member))
        self.window += piece.data
        self.fault = piece.fault


def _pieces(file: BinaryIO, limits: Limits) -> Iterator[_Piece]:
    """The uncompressed bytes of an archive, in the form that its first record or its first bytes show.

    The first bytes alone do not decide where no record follows them: they may be the damage.
    """
    file.seek(0)
    start = file.read(_CHUNK)
    if start.startswith(_ZSTD_DICTIONARY_MAGIC):
        return _zstd_pieces(file, limits)
    forms = ((_GZIP_START, _gzip_pieces), (ZSTD_MAGIC, _zstd_pieces))
    for magic, pieces in forms:
        if start.startswith(magic) and _begins_record(file, 0, magic):
            return pieces(file, limits)
    if not _BEGIN.search(start):
        for magic, pieces in forms:
            if _next_member(file, 0, magic) is not None:
                return pieces(file, limits)
        for magic, pieces in forms:
            if start.startswith(magic[:2]):
                return pieces(file, limits)
    return _plain_pieces(file)


def _plain_pieces(file: BinaryIO) -> Iterator[_Piece]:
    file.seek(0)
    while data := file.read(_CHUNK):
        yield _Piece(data)


def _gzip_pieces(file: BinaryIO, limits: Limits) -> Iterator[_Piece]:
    following: int | None = 0
    while (offset := following) is not None:
        try:
            following = yield from _gzip_member(file, offset, limits)
        except Rejection as fault:
            yield _Piece(b"", offset, fault)
            following = _next_member(file, offset + 1, _GZIP_START)


def _gzip_member(file: BinaryIO, offset: int, limits: Limits) -> Generator[_Piece, None, int | None]:
    """The bytes of one gzip member; the last of them only once its checksum is right. Returns where it ends."""
    file.seek(offset)
    # A little at first: what is read beyond a member's end is read again, and members may be tiny.
    data = file.read(_CHUNK >> 4)
    if not data.strip(b"\0"):
        return None
    inflater, read, size, held = zlib.decompressobj(31), len(data), 0, b""
    while not inflater.eof:
        try:
            part = inflater.decompress(data, _CHUNK)
        except zlib.error as error:
            raise Rejection(RejectReason.BAD_COMPRESSION, f"gzip member is damaged ({error})") from error
        size += len(part)
        _check_ratio(size, read - len(inflater.unconsumed_tail), limits)
        if held and (part or inflater.eof):
            yield _Piece(held, offset)
            held = b""
        held = part or held
        data = inflater.unconsumed_tail or (b"" if inflater.eof else file.read(_CHUNK))
        read += 0 if inflater.unconsumed_tail else len(data)
        if not data and not part and not inflater.eof:
            yield _Piece(held, offset)
            raise Rejection(
                RejectReason.WARC_TRUNCATED, "the file ends within a gzip member; get the archive again"
            )
    yield _Piece(held, offset)
    return offset + read - len(inflater.unused_data)


def _zstd_pieces(file: BinaryIO, limits: Limits) -> Iterator[_Piece]:
    """The bytes of all zstd frames. After a damaged frame those that need the archive's dictionary are lost."""
    base: int | None = 0
    while base is not None:
        done, last = 0, _Piece(b"")
        # At a fault the reader keeps back what it has: the same again then, byte by byte from where it was.
        for step in (_CHUNK, 1):
            for last in _zstd_frames(file, base, step, done, limits):
                if not last.fault:
                    done += len(last.data)
                    yield last
            if not last.fault:
                return
            if last.fault.kind is RejectReason.DECOMPRESS_LIMIT:
                break  # it is our own, and kept nothing back
        yield last
        base = _next_member(file, (last.member or 0) + 1, ZSTD_MAGIC)


def _zstd_frames(file: BinaryIO, base: int, step: int, after: int, limits: Limits) -> Iterator[_Piece]:
    """The bytes from a frame on, without the first ``after``, in steps of that size; a fault is the last."""
    from fastwarc.stream_io import ZstdReader

    file.seek(base)
    reader, frame, size = ZstdReader(file), base, 0
    try:
        while after and (data := reader.read(min(after, _CHUNK))):
            after -= len(data)
        while data := reader.read(step):
            start = base + (reader.frame_start_position() or 0)
            frame, size = start, size + len(data) if start == frame else len(data)
            yield _Piece(data, frame)
            _check_ratio(size, max(1, base + reader.inner_tell() - frame), limits)
    except (OSError, Rejection) as error:
        yield _Piece(b"", base + (reader.frame_start_position() or 0), _zstd_fault(error))


def _zstd_fault(error: OSError | Rejection) -> Rejection:
    if isinstance(error, Rejection):
        return error
    if "incomplete" in str(error):
        return Rejection(
            RejectReason.WARC_TRUNCATED, "the file ends within a zstd frame; get the archive again"
        )
    return Rejection(RejectReason.BAD_COMPRESSION, f"zstd frame is damaged ({error})")


def _check_ratio(size: int, compressed: int, limits: Limits) -> None:
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
        data = file.read(_CHUNK)
        if len(data) < len(magic):
            return None
        found = data.find(magic)
        while found >= 0 and looks < _MAX_FALSE_STARTS:
            if _begins_record(file, offset + found, magic):
                return offset + found
            looks, found = looks + 1, data.find(magic, found + 1)
        offset += len(data) - len(magic) + 1
    return None


def _begins_record(file: BinaryIO, offset: int, magic: bytes) -> bool:
    from fastwarc.stream_io import ZstdReader

    file.seek(offset)
    try:
        if magic == ZSTD_MAGIC:
            return bool(ZstdReader(file).read(5) == b"WARC/")
        return zlib.decompressobj(31).decompress(file.read(512), 5) == b"WARC/"
    except (OSError, zlib.error):
        return False


# ---- records


@dataclass(frozen=True, slots=True)
class _Record:
    fields: Fields
    block: bytes
    notes: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return self.fields.get("warc-type", b"").decode("latin-1").lower()


def _next_record(tape: _Tape, limits: Limits, choice: Choice) -> _Record | None:
    """The record at the tape's place, None where it is too large and no page; the tape then stands behind it.

    Raises _Damaged where there is none to be had; the tape then stands where the next may begin.
    """
    if not tape.fill(1):
        raise _fault(tape)
    tape.fill(64)
    if not _BEGIN.match(tape.window, tape.at):
        _leave(tape)
        raise _Damaged(
            RejectReason.WARC_MALFORMED, "here are bytes that belong to no record; get the archive again"
        )
    head = _head(tape)
    if (inner := tape.last_record_within(5, head)) is not None:
        raise _lost(tape, inner, "its header runs into the next record")
    header = tape.take(0, head)
    fields = _fields(header)
    length = fields.get("content-length", b"")
    if not re.fullmatch(rb"\d{1,18}", length):
        raise _lost(
            tape, head, f"its Content-Length is {length[:40]!r}" if length else "it has no Content-Length"
        )
    size = int(length)
    if size > limits.payload_bytes + _MAX_HEAD:
        _pass_over(tape, fields, head, size, choice)
        return None
    notes: tuple[str, ...] = () if b"\r\n" in header else ("its header lines end in LF alone",)
    if notes and not _ends(tape, head + size) and (shorter := _without_returns(tape, head, size)):
        size, notes = shorter, ("its line ends were made LF after its Content-Length was written",)
    else:
        _check_end(tape, head, size, notes)
    record = _Record(fields, b"", notes)
    if record.type in choice.records:
        record = replace(record, block=tape.take(head, head + size))
    tape.skip(head + size)
    return record


def _head(tape: _Tape) -> int:
    """The length of the header at the tape's place, with the empty line that ends it."""
    size, full = 1024, True
    while full and size <= _MAX_HEAD:
        full = tape.fill(size)
        if found := tape.search(_HEAD_END, size):
            return found
        size *= 4
    if full:
        # What begins before a beginning without an end between them has none of its own.
        last = tape.last_record_within(5, size // 4 - 64)
        raise _lost(tape, last or 5, f"its header is longer than {_MAX_HEAD:,} bytes")
    if tape.fault:
        raise _fault(tape)
    tape.drop()
    raise _Damaged(RejectReason.WARC_TRUNCATED, "the archive ends within this record's header; get it again")


def _ends(tape: _Tape, end: int) -> bool:
    """Whether a record ends there: two line ends follow, the next record, or nothing."""
    if not (tape.fill(end + 9) or tape.fill(end)):
        return False
    after = tape.take(end, end + 9)
    return (
        after.startswith(b"\r\n\r\n") or not after.strip(b"\r\n") or after.lstrip(b"\r\n").startswith(b"WARC/")
    )


def _check_end(tape: _Tape, head: int, size: int, notes: tuple[str, ...]) -> None:
    """Raise _Damaged unless the record ends where its Content-Length says."""
    if _ends(tape, head + size):
        return
    whole = tape.fill(head + size)
    if tape.record_within(head, head + size) is not None:
        raise _lost(tape, head, "its Content-Length runs into the next record")
    payload = tape.take(head, head + size)
    if whole or notes:
        cause = " and ".join(["it does not end where its Content-Length says", *notes])
        raise _lost(tape, head + len(payload), cause, payload)
    if tape.fault:
        raise _fault(tape, payload)
    tape.drop()
    got = f"{len(payload):,} of {size:,} bytes"
    raise _Damaged(
        RejectReason.WARC_TRUNCATED, f"the archive ends within this record ({got}); get it again", payload
    )


def _without_returns(tape: _Tape, head: int, size: int) -> int | None:
    """The size of a block whose line ends lost their CR, None where its length is wrong for another reason."""
    tape.fill(head + size + 4)
    found = tape.record_within(head, head + size)
    if found is None and not tape.ended:
        return None
    block = tape.take(head, len(tape.window) - tape.at if found is None else found)
    lost = size + 2 - len(block)
    whole = block.endswith(b"\n\n") and 0 < lost <= block.count(b"\n") - 2
    return len(block) - 2 if whole else None


def _lost(tape: _Tape, size: int, message: str, payload: bytes | None = None) -> _Damaged:
    """The error for a malformed record, after going so far and then on to the next."""
    member = tape.member
    tape.skip(size)
    _leave(tape, member)
    return _Damaged(RejectReason.WARC_MALFORMED, f"{message}; get the archive again", payload)


def _leave(tape: _Tape, member: int | None = None) -> None:
    """Go on to the next record; a fault in the same member on the way belongs to the same refusal."""
    member = tape.member if member is None else member
    tape.seek_record()
    if tape.fault and tape.member == member:
        tape.drop()


def _fault(tape: _Tape, payload: bytes | None = None) -> _Damaged:
    """The error for the fault in the compressed data that the tape stands before, after going past it."""
    fault = tape.fault
    tape.drop()
    if fault is None:
        return _Damaged(RejectReason.WARC_TRUNCATED, "the archive ends here; get it again", payload)
    return _Damaged(fault.kind, fault.message, payload)


def _pass_over(tape: _Tape, fields: Fields, head: int, size: int, choice: Choice) -> None:
    """Pass over a record that is too large to be a page; raises _Damaged if it says that it is one.

    The next record is looked for, not counted off: the length may be the fault.
    """
    tape.fill(head + _CHUNK)
    record = _Record(fields, tape.take(head, head + _CHUNK))
    member = tape.member
    tape.skip(head)
    tape.seek_record()
    if tape.fault and tape.member == member:
        raise _fault(tape)
    try:
        page = _not_a_page(record, choice) is None
    except Rejection:
        page = True
    if page:
        message = (
            f"the record says that it has {size:,} bytes; raise limits.payload_bytes if the page is wanted"
        )
        raise _Damaged(RejectReason.TOO_LARGE, message)


def _fields(head: bytes) -> Fields:
    fields: Fields = {}
    for name, value in _FIELD.findall(_FOLD.sub(b" ", head)):
        fields.setdefault(name.decode("latin-1").lower(), value.strip())
    return fields


# ---- from a record to a capture


def _captures(
    record: _Record, name: str, member: str, limits: Limits, choice: Choice, skipped: Counter[str]
) -> Iterator[Capture | RejectedInput]:
    """The capture of a record, or why there is none, and what is to be noted of it."""
    try:
        if (reason := _not_a_page(record, choice)) is not None:
            skipped[reason] += 1
            return
        capture, notes = _capture(record, f"{name}@{member.removeprefix('offset ')}", limits)
    except Rejection as error:
        payload = record.block if len(record.block) <= limits.payload_bytes else None
        yield RejectedInput(name, member, error.kind, f"{name}, {member}: {error}", payload)
        return
    yield capture
    for kind, note in notes:
        yield RejectedInput(
            name, member, kind, f"{name}, {member}: {kind}: {note}; the page itself was kept", lost=False
        )


def _not_a_page(record: _Record, choice: Choice) -> str | None:
    """Why a sound record is not read: a few words to count by; None for a page that is chosen."""
    if record.type not in choice.records:
        return record.type or "no type"
    if choice.hosts and not _on_hosts(_url(record.fields), choice.hosts):
        return "host"
    if record.type == "response":
        if _essence(record.fields) not in ("application/http", ""):
            return f"type {_essence(record.fields)}"
        status, fields, start = _http(record.block)
        if status not in choice.statuses:
            return f"status {status}"
        return _unread_type(fields, record.block[start : start + 64], choice)
    return _unread_type(record.fields, record.block[:64], choice)


def _unread_type(fields: Fields, start: bytes, choice: Choice) -> str | None:
    essence = _essence(fields)
    if not essence:
        markup = start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        return None if markup and "text/html" in choice.media_types else "no type"
    return None if essence in choice.media_types else f"type {essence}"


def _on_hosts(url: str, patterns: tuple[str, ...]) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return any(fnmatchcase(host, pattern.lower()) for pattern in patterns)


def _capture(record: _Record, source: str, limits: Limits) -> tuple[Capture, list[tuple[RejectReason, str]]]:
    fields, start = record.fields, 0
    if record.type == "response":
        _, fields, start = _http(record.block)
    url = _url(record.fields)
    key = canonical_url(url)
    body = record.block[start:]
    plain = _dechunked(body, fields)
    payload = _decoded(plain, fields, limits)
    if not payload.strip():
        raise Rejection(RejectReason.NO_CONTENT, "the page is empty")
    if len(payload) > limits.payload_bytes:
        raise Rejection(
            RejectReason.TOO_LARGE,
            f"the page has {len(payload):,} bytes; the limit is {limits.payload_bytes:,}",
        )
    if binary := looks_binary(payload):
        raise Rejection(
            RejectReason.BINARY, f"the page says it is {_essence(fields) or 'HTML'} but is {binary}"
        )
    date = record.fields.get("warc-date", b"").decode("latin-1")
    charset = _CHARSET.search(fields.get("content-type", b""))
    capture = Capture(
        payload=payload,
        key=key,
        url=url,
        site=urlsplit(key).hostname,
        media_type="text/plain" if record.type == "conversion" else _essence(fields) or None,
        charset=charset[1].decode("latin-1") if charset else None,
        captured=utc_time(date),
        source=source,
    )
    return capture, _notes(record, capture, date, (body, plain))


def _notes(
    record: _Record, capture: Capture, date: str, bodies: tuple[bytes, bytes]
) -> list[tuple[RejectReason, str]]:
    notes = [(RejectReason.WARC_MALFORMED, note) for note in record.notes]
    if capture.captured is None:
        notes.append((RejectReason.WARC_MALFORMED, f"its WARC-Date {date[:40]!r} is no time"))
    if cut := record.fields.get("warc-truncated"):
        notes.append((RejectReason.WARC_TRUNCATED, f"the crawler cut it short ({cut[:40].decode('latin-1')})"))
    block = _digest_fits(record.fields.get("warc-block-digest"), (record.block,))
    if block is False or (
        block is None and _digest_fits(record.fields.get("warc-payload-digest"), bodies) is False
    ):
        notes.append((RejectReason.WARC_MALFORMED, "its digest does not fit its content"))
    return notes


def _digest_fits(label: bytes | None, contents: tuple[bytes, ...]) -> bool | None:
    """Whether one of the contents has the digest (``sha1:...``, base 32, base 64 or hex); None if not known."""
    algorithm, _, value = (label or b"").decode("latin-1").strip().partition(":")
    algorithm = algorithm.lower().replace("-", "")
    if algorithm not in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512") or not value:
        return None
    for content in contents:
        digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
        forms = (base64.b32encode(digest), base64.b64encode(digest), base64.urlsafe_b64encode(digest))
        if value.rstrip("=") in [form.decode().rstrip("=") for form in forms] or value.lower() == digest.hex():
            return True
    return False


def _http(block: bytes) -> tuple[int, Fields, int]:
    """Status, header fields and start of the body of an HTTP response."""
    status = _STATUS.match(block)
    if status is None:
        raise Rejection(RejectReason.WARC_MALFORMED, "the response record holds no HTTP response")
    end = _HEAD_END.search(block, status.end() - 2)
    start = end.end() if end else len(block)
    return int(status[1]), _fields(block[status.end() : start]), start


def _essence(fields: Fields) -> str:
    """The media type of a Content-Type field, without its parameters."""
    return fields.get("content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def _url(fields: Fields) -> str:
    raw = fields.get("warc-target-uri", b"").strip()
    raw = raw[1:-1] if raw.startswith(b"<") and raw.endswith(b">") else raw
    if not raw:
        raise Rejection(RejectReason.WARC_MALFORMED, "the record has no WARC-Target-URI")
    try:
        return raw.decode().replace(" ", "%20")
    except UnicodeDecodeError:
        return quote(raw, safe="!#$%&'()*+,/:;=?@[]~")


def _dechunked(body: bytes, fields: Fields) -> bytes:
    """The body without chunked transfer coding (RFC 9112, 7.1).

    Many crawlers keep the header field of what they undid: a body that does not begin as chunks is left alone.
    """
    if b"chunked" not in fields.get("transfer-encoding", b"").lower():
        return body
    size = _CHUNK_SIZE.match(body)
    if size is None and (
        body[:9].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or b"html" not in _type(fields)
    ):
        return body
    parts, position = [], 0
    while size is not None and (length := int(size[1], 16)):
        position = size.end()
        if position + length > len(body):
            break
        parts.append(body[position : position + length])
        after = position + length
        size = _CHUNK_SIZE.match(body, after + (2 if body[after : after + 1] == b"\r" else 1))
    else:
        if size is not None:
            return b"".join(parts)
    raise Rejection(RejectReason.WARC_MALFORMED, "its chunked transfer coding is broken")


def _type(fields: Fields) -> bytes:
    return fields.get("content-type", b"").lower()


def _decoded(body: bytes, fields: Fields, limits: Limits) -> bytes:
    """The body without its content coding; one that was undone by the crawler is left as it is."""
    names = fields.get("content-encoding", b"").decode("latin-1").lower().split(",")
    names = [name.strip() for name in names if name.strip() not in ("", "identity", "none")]
    if not names or not body:
        return body
    coding = _CODINGS.get(names[0])
    if len(names) > 1 or coding is None:
        raise Rejection(
            RejectReason.BAD_COMPRESSION,
            f"its content coding {', '.join(names)[:60]!r} is not one that is read",
        )
    magic = {"gzip": GZIP_MAGIC, "zstd": ZSTD_MAGIC}.get(coding, b"")
    undone = not body.startswith(magic) or (not magic and body.lstrip()[:1] == b"<")
    return body if undone else inflate(body, coding, limits)
