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

The way of the bytes: ``members`` (inflate) -> ``tape`` (a window) -> ``framing`` (records) -> ``choice`` (which
are pages) -> ``payload`` (bodies without their coding) -> captures, here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from cleancopy.document import Capture
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.encoding import looks_binary
from cleancopy.extract.usage import of_headers
from cleancopy.warc.address import canonical_url
from cleancopy.warc.choice import EVERY_PAGE, Choice, skip_reason
from cleancopy.warc.framing import DamagedRecord, next_record
from cleancopy.warc.members import read_pieces
from cleancopy.warc.payload import dechunked, decoded, split_response
from cleancopy.warc.record import Record, digest_fits, media_type, target_url, utc_time
from cleancopy.warc.tape import Tape

if TYPE_CHECKING:
    from cleancopy.policy import Limits

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w.:+-]+)", re.IGNORECASE)


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


def read_warc(
    path: Path,
    limits: Limits,
    *,
    name: str | None = None,
    choice: Choice = EVERY_PAGE,
    skipped: Counter[str] | None = None,
) -> Iterator[Capture | RejectedInput]:
    """The pages of a web archive, and a rejection for each record that is damaged or refused.

    ``name`` is what messages call the archive (its path, if not given); ``skipped`` counts what a sound
    archive holds besides the pages chosen, by reason. Raises OSError where the file cannot be opened.
    """
    with path.open("rb") as file:
        yield from read_records(file, name or str(path), limits, choice, skipped)


def read_records(
    file: BinaryIO,
    name: str,
    limits: Limits,
    choice: Choice = EVERY_PAGE,
    skipped: Counter[str] | None = None,
) -> Iterator[Capture | RejectedInput]:
    """As ``read_warc``, for a seekable file that is open."""
    tape = Tape(read_pieces(file, limits))
    skipped = Counter() if skipped is None else skipped
    empty = True
    while tape.skip_blank() or tape.fault:
        member, empty = f"offset {tape.place()}", False
        try:
            record = next_record(tape, limits, choice)
        except DamagedRecord as damage:
            yield RejectedInput(name, member, damage.kind, f"{name}, {member}: {damage}", damage.payload)
        else:
            if record is not None:
                yield from _captures(record, name, member, limits, choice, skipped)
    if empty:
        yield RejectedInput(
            name, "", RejectReason.EMPTY_INPUT, f"{name}: holds no record; get the archive again"
        )


def _captures(
    record: Record, name: str, member: str, limits: Limits, choice: Choice, skipped: Counter[str]
) -> Iterator[Capture | RejectedInput]:
    """The capture of a record, or why there is none, and what is to be noted of it."""
    try:
        if (reason := skip_reason(record, choice)) is not None:
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


def _capture(record: Record, source: str, limits: Limits) -> tuple[Capture, list[tuple[RejectReason, str]]]:
    fields, start = record.fields, 0
    if record.type == "response":
        _, fields, start = split_response(record.block)
    url = target_url(record.fields)
    key = canonical_url(url)
    body = record.block[start:]
    plain = dechunked(body, fields)
    payload = decoded(plain, fields, limits)
    if not payload.strip():
        raise Rejection(RejectReason.NO_CONTENT, "the page is empty")
    if len(payload) > limits.payload_bytes:
        raise Rejection(
            RejectReason.TOO_LARGE,
            f"the page has {len(payload):,} bytes; the limit is {limits.payload_bytes:,}",
        )
    if binary := looks_binary(payload):
        raise Rejection(
            RejectReason.BINARY, f"the page says it is {media_type(fields) or 'HTML'} but is {binary}"
        )
    date = record.fields.get("warc-date", b"").decode("latin-1")
    charset = _CHARSET.search(fields.get("content-type", b""))
    capture = Capture(
        payload=payload,
        key=key,
        url=url,
        site=urlsplit(key).hostname,
        media_type="text/plain" if record.type == "conversion" else media_type(fields) or None,
        charset=charset[1].decode("latin-1") if charset else None,
        captured=utc_time(date),
        source=source,
        usage=of_headers({name: value.decode("latin-1") for name, value in fields.items()}) if start else (),
    )
    return capture, _notes(record, capture, date, (body, plain))


def _notes(
    record: Record, capture: Capture, date: str, bodies: tuple[bytes, bytes]
) -> list[tuple[RejectReason, str]]:
    notes = [(RejectReason.WARC_MALFORMED, note) for note in record.notes]
    if capture.captured is None:
        notes.append((RejectReason.WARC_MALFORMED, f"its WARC-Date {date[:40]!r} is no time"))
    if cut := record.fields.get("warc-truncated"):
        notes.append((RejectReason.WARC_TRUNCATED, f"the crawler cut it short ({cut[:40].decode('latin-1')})"))
    block = digest_fits(record.fields.get("warc-block-digest"), (record.block,))
    if block is False or (
        block is None and digest_fits(record.fields.get("warc-payload-digest"), bodies) is False
    ):
        notes.append((RejectReason.WARC_MALFORMED, "its digest does not fit its content"))
    return notes
