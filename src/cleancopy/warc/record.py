"""A record of a web archive: its header fields and its block (ISO 28500), and what its fields say."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from cleancopy.errors import Rejection, RejectReason

#: Header fields by their names in lower case; of a field that is given twice the first.
Fields = dict[str, bytes]
#: The empty line that ends a header, of a record or of HTTP.
HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FIELD = re.compile(rb"^([^\s:]++)[ \t]*+:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Record:
    """A record's header fields, its block, and what is wrong with it though it can be read."""

    fields: Fields
    block: bytes
    notes: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """Its WARC-Type in lower case: ``response``, ``resource``, ..."""
        return self.fields.get("warc-type", b"").decode("latin-1").lower()


def header_fields(head: bytes) -> Fields:
    """The fields of a header, of a record or of HTTP; folded lines are made one (RFC 9112, 5.2)."""
    fields: Fields = {}
    for name, value in _FIELD.findall(_FOLD.sub(b" ", head)):
        fields.setdefault(name.decode("latin-1").lower(), value.strip())
    return fields


def media_type(fields: Fields) -> str:
    """The media type of a Content-Type field, without its parameters."""
    return fields.get("content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def target_url(fields: Fields) -> str:
    """The address that a record is of, its blanks and odd bytes percent-encoded.

    Some writers put it in angle brackets, as WARC 1.0's grammar has it. Raises Rejection(warc_malformed) where
    there is none.
    """
    raw = fields.get("warc-target-uri", b"").strip()
    raw = raw[1:-1] if raw.startswith(b"<") and raw.endswith(b">") else raw
    if not raw:
        raise Rejection(RejectReason.WARC_MALFORMED, "the record has no WARC-Target-URI")
    try:
        return raw.decode().replace(" ", "%20")
    except UnicodeDecodeError:
        return quote(raw, safe="!#$%&'()*+,/:;=?@[]~")


def utc_time(text: str) -> str | None:
    """An ISO 8601 time in UTC to the second (``2026-01-31T12:00:00Z``), None for what is no such time."""
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def digest_fits(label: bytes | None, contents: tuple[bytes, ...]) -> bool | None:
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
