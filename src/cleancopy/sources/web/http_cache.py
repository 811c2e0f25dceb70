"""What is kept of earlier visits: each page's validators, and each host's robots.txt for a day.

    with HttpCache(path) as cache:
        cache.validators(url)   cache.remember(url, Validators(...))
        cache.rules(origin)     cache.keep_rules(origin, rules)
    cache.count_missing(url)                        how often, and for how long, it answered 404
    cache.waiting(source)   cache.put_off(...)      pages for which there was no time

One SQLite file below clean/. It only saves work: without it pages are asked for in full, so it may be removed
at any time. A validator is never trusted alone; whoever uses it checks that the store has the payload.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cleancopy.errors import StoreError
from cleancopy.sources.web.robots import KEPT_SECONDS, Rules

NAME = "visits.sqlite"

_TABLES = """
create table if not exists pages (
    url text primary key, etag text, modified text, body text not null, payload text not null, usage text
) without rowid;
create table if not exists missing (url text primary key, first real not null, times integer not null)
    without rowid;
create table if not exists waiting (
    source text, url text, depth integer not null, primary key (source, url)
) without rowid;
create table if not exists robots (origin text primary key, asked real not null, text text not null)
    without rowid;
"""
#: This many changes are written at once, or those of this many seconds: a killed run loses no more.
_BATCH = 1_000
_SECONDS = 1.0
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,1000}"')


@dataclass(frozen=True, slots=True)
class Validators:
    """By what a page's last response can be asked about again.

    ``body`` is the SHA-256 of the body as received, ``payload`` of what it decodes to. ``usage`` is what page
    and header fields said about its use, as JSON.
    """

    etag: str | None
    modified: str | None
    body: str
    payload: str
    usage: str = "[]"

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of a conditional request (RFC 9110, 13.1)."""
        fields = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in fields.items() if value}


def validators(headers: Mapping[str, str], body: str, payload: str, usage: str = "[]") -> Validators:
    """What a response's header fields give to ask again by; a field that makes no sense is left out."""
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    return Validators(
        etag if _ETAG.fullmatch(etag) else None, modified if _is_date(modified) else None, body, payload, usage
    )


class HttpCache:
    """What earlier runs learned of pages and hosts; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pages: list[tuple[str | None, ...]] = []
        self._flushed = time.monotonic()
        self._fresh: dict[str, Rules] = {}

    def __enter__(self) -> Self:
        with self._store_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Prefect runs the steps of an ingest in threads; one uses this at a time.
            self._file = sqlite3.connect(self._path, timeout=60, check_same_thread=False)
            self._file.executescript(_TABLES)
            if "usage" not in {row[1] for row in self._file.execute("pragma table_info(pages)")}:
                # Of before: what those pages say is not known, so they are asked for in full once.
                self._file.executescript("drop table pages;" + _TABLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        with self._store_errors():
            self._file.close()

    def validators(self, url: str) -> Validators | None:
        """What the last response of an address can be asked about again by."""
        with self._store_errors():
            select = "select etag, modified, body, payload, usage from pages where url = ?"
            row = self._file.execute(select, (url,)).fetchone()
        return Validators(*row) if row else None

    def remember(self, url: str, kept: Validators) -> None:
        """Keep the validators of an address."""
        self._pages.append((url, *astuple(kept)))
        self._flush_if_due()

    def rules(self, origin: str) -> Rules | None:
        """The robots.txt of an origin, None where it is not known or was asked for more than a day ago."""
        if origin in self._fresh:
            return self._fresh[origin]
        with self._store_errors():
            select = "select asked, text from robots where origin = ?"
            row = self._file.execute(select, (origin,)).fetchone()
        return Rules(row[1]) if row and 0 <= time.time() - row[0] < KEPT_SECONDS else None

    def keep_rules(self, origin: str, rules: Rules) -> None:
        """Keep the robots.txt of an origin; that it could not be had is not kept."""
        if rules.text is not None:
            self._fresh[origin] = rules
            self._flush_if_due()

    def count_missing(self, url: str) -> tuple[int, float]:
        """Count one more 404 in a row: how many there are, and how many days lie between the first and now."""
        now = time.time()
        with self._store_errors(), self._file:
            upsert = "insert into missing values (?, ?, 1) on conflict (url) do update set times = times + 1"
            self._file.execute(upsert, (url, now))
            first, times = self._file.execute(
                "select first, times from missing where url = ?", (url,)
            ).fetchone()
        return times, max(0.0, now - first) / 86_400

    def not_missing(self, url: str) -> None:
        """Forget the 404s of an address that gave a page."""
        with self._store_errors():
            if self._file.execute("select 1 from missing where url = ?", (url,)).fetchone():
                with self._file:
                    self._file.execute("delete from missing where url = ?", (url,))

    def waiting(self, source: str) -> list[tuple[str, int]]:
        """The addresses of a source that were put off, with how many links led to each, in order."""
        with self._store_errors():
            select = "select url, depth from waiting where source = ? order by depth, url"
            rows: list[tuple[str, int]] = self._file.execute(select, (source,)).fetchall()
        return rows

    def put_off(self, source: str, pages: Iterable[tuple[str, int]], asked: Iterable[str]) -> None:
        """Keep which pages of a source were put off, in place of those that were asked for since."""
        with self._store_errors(), self._file:
            delete = "delete from waiting where source = ? and url = ?"
            self._file.executemany(delete, [(source, url) for url in asked])
            insert = "insert or replace into waiting values (?, ?, ?)"
            self._file.executemany(insert, [(source, url, depth) for url, depth in pages])

    def forget(self, is_erased: Callable[[str], object]) -> int:
        """Remove all that is kept of addresses, and what the file still has of it; how many rows."""
        count = 0
        with self._store_errors():
            for table in ("pages", "missing", "waiting"):
                urls = [url for (url,) in self._file.execute(f"select url from {table}") if is_erased(url)]  # noqa: S608
                with self._file:
                    self._file.executemany(f"delete from {table} where url = ?", [(url,) for url in urls])  # noqa: S608
                count += len(urls)
            self._file.execute("vacuum")
        return count

    def _flush_if_due(self) -> None:
        pending = len(self._pages) + len(self._fresh)
        if pending >= _BATCH or time.monotonic() - self._flushed >= _SECONDS:
            self._flush()

    def _flush(self) -> None:
        """Write what is pending at once: runs of other sources write to the file, too."""
        robots = [(origin, time.time(), rules.text) for origin, rules in self._fresh.items()]
        with self._store_errors(), self._file:
            self._file.executemany("insert or replace into pages values (?, ?, ?, ?, ?, ?)", self._pages)
            self._file.executemany("insert or replace into robots values (?, ?, ?)", robots)
        self._pages.clear()
        self._fresh.clear()
        self._flushed = time.monotonic()

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self._path}: cannot be used ({error}); remove it: pages are then asked for in full once"
            ) from error


def _is_date(text: str) -> bool:
    try:
        return bool(text) and text.isascii() and len(text) < 64 and parsedate_to_datetime(text) is not None
    except ValueError:
        return False
