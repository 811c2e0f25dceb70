"""Which records of an archive are read as pages."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from cleancopy.warc.payload import split_response
from cleancopy.warc.record import Fields, Record, media_type, target_url

PAGE_TYPES = frozenset(["text/html", "application/xhtml+xml", "text/plain"])
#: The types of records that can hold a page (ISO 28500, 6).
PAGE_RECORDS = frozenset(["response", "resource", "conversion"])


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


#: Every page of an archive that answered 200.
EVERY_PAGE = Choice()


def skip_reason(record: Record, choice: Choice) -> str | None:
    """Why a sound record is passed over, in a few words to count by; None for a page that is chosen."""
    if record.type not in choice.records:
        return record.type or "no type"
    if choice.hosts and not _on_hosts(target_url(record.fields), choice.hosts):
        return "host"
    if record.type == "response":
        if media_type(record.fields) not in ("application/http", ""):
            return f"type {media_type(record.fields)}"
        status, fields, start = split_response(record.block)
        if status not in choice.statuses:
            return f"status {status}"
        return _unread_type(fields, record.block[start : start + 64], choice)
    return _unread_type(record.fields, record.block[:64], choice)


def _unread_type(fields: Fields, start: bytes, choice: Choice) -> str | None:
    """The type of a body that is not read, in words; without a type field, what begins as markup is HTML."""
    essence = media_type(fields)
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
