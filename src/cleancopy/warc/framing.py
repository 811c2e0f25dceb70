"""Where records begin and end (ISO 28500, 4), and how to go on after one that is damaged.

The framing is read here and not by fastwarc's iterator, because that takes a record with a wrong or missing
Content-Length, a cut one and one that runs into its neighbour for good, and gives no way on after a fault.
Memory stays below ``limits.payload_bytes`` and a little, whatever the archive's size.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from cleancopy.errors import Rejection, RejectReason
from cleancopy.warc.choice import Choice, skip_reason
from cleancopy.warc.members import CHUNK, RECORD_START
from cleancopy.warc.record import HEAD_END, Fields, Record, header_fields
from cleancopy.warc.tape import Tape

if TYPE_CHECKING:
    from cleancopy.policy import Limits

# A header that holds a long URL is read so that the URL can be named; nothing sound comes near this.
_MAX_HEAD = 1 << 18


class DamagedRecord(Rejection):
    """A record that cannot be read; reading goes on where the tape stands."""

    def __init__(self, kind: RejectReason, message: str, payload: bytes | None = None) -> None:
        super().__init__(kind, message)
        self.payload = payload


def next_record(tape: Tape, limits: Limits, choice: Choice) -> Record | None:
    """The record at the tape's place, None where it is too large and no page; the tape is behind it then.

    Raises DamagedRecord where it cannot be read; the tape then stands where the next record may begin.
    """
    if not tape.fill(1):
        raise _at_fault(tape)
    tape.fill(64)
    if not RECORD_START.match(tape.window, tape.at):
        _to_next_record(tape)
        raise DamagedRecord(
            RejectReason.WARC_MALFORMED, "these bytes belong to no record; get the archive again"
        )
    head = _head_length(tape)
    if (inner := tape.last_record_within(5, head)) is not None:
        raise _malformed(tape, inner, "its header runs into the next record")
    header = tape.take(0, head)
    fields = header_fields(header)
    length = fields.get("content-length", b"")
    if not re.fullmatch(rb"\d{1,18}", length):
        raise _malformed(
            tape, head, f"its Content-Length is {length[:40]!r}" if length else "it has no Content-Length"
        )
    size = int(length)
    if size > limits.payload_bytes + _MAX_HEAD:
        _pass_over_large(tape, fields, head, size, choice)
        return None
    notes: tuple[str, ...] = () if b"\r\n" in header else ("its header lines end in LF alone",)
    if notes and not _ends_at(tape, head + size) and (shorter := _without_returns(tape, head, size)):
        size, notes = shorter, ("its line ends were made LF after its Content-Length was written",)
    else:
        _check_end(tape, head, size, notes)
    record = Record(fields, b"", notes)
    if record.type in choice.records:
        record = replace(record, block=tape.take(head, head + size))
    tape.skip(head + size)
    return record


def _head_length(tape: Tape) -> int:
    """The length of the header at the tape's place, with the empty line that ends it."""
    size, full = 1024, True
    while full and size <= _MAX_HEAD:
        full = tape.fill(size)
        if end := tape.search(HEAD_END, size):
            return end
        size *= 4
    if full:
        # No header ends before the last record start, so the earlier starts have no end either.
        last = tape.last_record_within(5, size // 4 - 64)
        raise _malformed(tape, last or 5, f"its header is longer than {_MAX_HEAD:,} bytes")
    if tape.fault:
        raise _at_fault(tape)
    tape.drop()
    raise DamagedRecord(
        RejectReason.WARC_TRUNCATED, "the archive ends within this record's header; get it again"
    )


def _ends_at(tape: Tape, end: int) -> bool:
    """Whether a record ends there: two line ends follow, the next record, or nothing."""
    if not (tape.fill(end + 9) or tape.fill(end)):
        return False
    after = tape.take(end, end + 9)
    return (
        after.startswith(b"\r\n\r\n") or not after.strip(b"\r\n") or after.lstrip(b"\r\n").startswith(b"WARC/")
    )


def _check_end(tape: Tape, head: int, size: int, notes: tuple[str, ...]) -> None:
    """Raise DamagedRecord unless the record ends where its Content-Length says."""
    if _ends_at(tape, head + size):
        return
    whole = tape.fill(head + size)
    if tape.record_within(head, head + size) is not None:
        raise _malformed(tape, head, "its Content-Length runs into the next record")
    payload = tape.take(head, head + size)
    if whole or notes:
        cause = " and ".join(["it does not end where its Content-Length says", *notes])
        raise _malformed(tape, head + len(payload), cause, payload)
    if tape.fault:
        raise _at_fault(tape, payload)
    tape.drop()
    got = f"{len(payload):,} of {size:,} bytes"
    raise DamagedRecord(
        RejectReason.WARC_TRUNCATED, f"the archive ends within this record ({got}); get it again", payload
    )


def _without_returns(tape: Tape, head: int, size: int) -> int | None:
    """The size of a block whose line ends lost their CR, None where its length is wrong for another reason."""
    tape.fill(head + size + 4)
    following = tape.record_within(head, head + size)
    if following is None and not tape.ended:
        return None
    block = tape.take(head, len(tape.window) - tape.at if following is None else following)
    lost = size + 2 - len(block)
    whole = block.endswith(b"\n\n") and 0 < lost <= block.count(b"\n") - 2
    return len(block) - 2 if whole else None


def _malformed(tape: Tape, size: int, message: str, payload: bytes | None = None) -> DamagedRecord:
    """The error for a malformed record, after going so far and then on to the next."""
    member = tape.member
    tape.skip(size)
    _to_next_record(tape, member)
    return DamagedRecord(RejectReason.WARC_MALFORMED, f"{message}; get the archive again", payload)


def _to_next_record(tape: Tape, member: int | None = None) -> None:
    """Go on to the next record; a fault in the same member on the way belongs to the same refusal."""
    member = tape.member if member is None else member
    tape.seek_record()
    if tape.fault and tape.member == member:
        tape.drop()


def _at_fault(tape: Tape, payload: bytes | None = None) -> DamagedRecord:
    """The error for the fault in the compressed data that the tape stands before, after going past it."""
    fault = tape.fault
    tape.drop()
    if fault is None:
        return DamagedRecord(RejectReason.WARC_TRUNCATED, "the archive ends here; get it again", payload)
    return DamagedRecord(fault.kind, fault.message, payload)


def _pass_over_large(tape: Tape, fields: Fields, head: int, size: int, choice: Choice) -> None:
    """Pass over a record that is too large to be a page; raises DamagedRecord if it says that it is one.

    The next record is looked for, not counted off: the length may be the fault.
    """
    tape.fill(head + CHUNK)
    record = Record(fields, tape.take(head, head + CHUNK))
    member = tape.member
    tape.skip(head)
    tape.seek_record()
    if tape.fault and tape.member == member:
        raise _at_fault(tape)
    try:
        page = skip_reason(record, choice) is None
    except Rejection:
        page = True
    if page:
        message = (
            f"the record says that it has {size:,} bytes; raise limits.payload_bytes if the page is wanted"
        )
        raise DamagedRecord(RejectReason.TOO_LARGE, message)
