"""The payload of an HTTP response: its body without transfer and content coding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.limits import GZIP_MAGIC, ZSTD_MAGIC, Coding, inflate
from cleancopy.warc.record import HEAD_END, Fields, header_fields

if TYPE_CHECKING:
    from cleancopy.policy import Limits

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b[^\n]*(?:\n|\Z)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
_CODINGS: dict[str, Coding] = {
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
    "br": "br",
    "zstd": "zstd",
}


def response_payload(block: bytes, limits: Limits) -> bytes:
    """The payload of an HTTP response: its body without transfer and content coding.

    Raises Rejection: warc_malformed, bad_compression or decompress_limit.
    """
    _, fields, start = split_response(block)
    return decoded(dechunked(block[start:], fields), fields, limits)


def split_response(block: bytes) -> tuple[int, Fields, int]:
    """Status, header fields and start of the body of an HTTP response.

    Raises Rejection(warc_malformed) where the block does not begin with a status line.
    """
    status = _STATUS.match(block)
    if status is None:
        raise Rejection(RejectReason.WARC_MALFORMED, "the response record holds no HTTP response")
    end = HEAD_END.search(block, status.end() - 2)
    start = end.end() if end else len(block)
    return int(status[1]), header_fields(block[status.end() : start]), start


def dechunked(body: bytes, fields: Fields) -> bytes:
    """The body without chunked transfer coding (RFC 9112, 7.1).

    Many crawlers keep the header field of what they undid: a body that does not begin as chunks is left alone.
    """
    if b"chunked" not in fields.get("transfer-encoding", b"").lower():
        return body
    size = _CHUNK_SIZE.match(body)
    if size is None and (
        body[:9].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        or b"html" not in fields.get("content-type", b"").lower()
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


def decoded(body: bytes, fields: Fields, limits: Limits) -> bytes:
    """The body without its content coding; one that the crawler undid already is left as it is.

    Raises Rejection: bad_compression, decompress_limit.
    """
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
    undone_before = not body.startswith(magic) or (not magic and body.lstrip()[:1] == b"<")
    return body if undone_before else inflate(body, coding, limits)
