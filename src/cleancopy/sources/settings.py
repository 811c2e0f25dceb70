"""``sources.toml``: what to fetch and read, and how politely; every key checked before anything is done.

    read_sources(path)      Settings: how to fetch, and the sources by name
    for_urls(urls, ...)     the source that addresses on the command line make

A wrong setting is a ``PolicyError`` of one line that names the file, the source, the key and what is allowed.
docs/sources.md has every key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cleancopy.errors import PolicyError
from cleancopy.warc.choice import PAGE_RECORDS, PAGE_TYPES, Choice


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source: what it is, and which keys of ``sources.toml`` it has besides those of all kinds.

    It must have one of ``needs``. ``asks`` is what is asked for first: a page, a list that names pages, or the
    robots.txt (``rules``) of a site; None where the source is on this machine.
    """

    name: str
    meaning: str
    asks: Literal["page", "list", "rules"] | None
    needs: tuple[str, ...]
    may_have: tuple[str, ...] = ()


_CHOICE = ("records", "statuses", "media_types", "hosts")
#: All kinds; docs/sources.md has each as a row.
KINDS: Mapping[str, SourceKind] = {
    kind.name: kind
    for kind in (
        SourceKind("files", "files on this machine", None, ("paths",)),
        SourceKind("urls", "pages", "page", ("urls", "list"), ("pages",)),
        SourceKind("sitemap", "the pages that sitemaps name", "list", ("urls",), ("pages", "hosts")),
        SourceKind("feed", "the pages that feeds name", "list", ("urls",), ("pages",)),
        SourceKind("warc", "the pages in archives on this machine", None, ("paths",), _CHOICE),
        SourceKind(
            "site", "a site, by its sitemaps or its links", "rules", ("urls",), ("depth", "pages", "hosts")
        ),
    )
}


Reserved = Literal["refuse", "mark", "keep"]


@dataclass(frozen=True, slots=True)
class Fetching:
    """How pages are asked for. Times in seconds.

    ``contact``: a web or mail address in the User-Agent by which a site's people reach whoever fetches; nothing
    beyond ``allow`` is fetched without. ``delay``: between two requests to one host; a longer Crawl-delay of
    its robots.txt wins. ``hosts``: asked at once, each with one request in flight. ``retries``: further tries
    after 429, 5xx or a connection fault. ``ports``: that may be asked. ``allow``: pairs ``address:port`` that
    are asked though they are not public, for tests and mirrors of one's own. ``host_seconds`` and
    ``run_seconds``: how long a host, and all hosts together, are asked in a run; what is left then is put off,
    and comes first in the next. ``gone_after``, ``gone_days``: a page is gone when it answered 404 in that many
    visits in a row, the first and the last that many days apart (410 counts at once). ``reserved``: what
    becomes of pages that their owners reserve against mining or training: they are refused, and withdrawn if
    they were taken before; or taken and marked; or taken like any other. What owners say is recorded in each
    case.
    """

    contact: str = ""
    delay: float = 1.0
    hosts: int = 32
    total_seconds: float = 60.0
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    retries: int = 2
    redirects: int = 5
    url_length: int = 2_048
    ports: tuple[int, ...] = (80, 443)
    allow: tuple[str, ...] = ()
    host_seconds: float = 3_600.0
    run_seconds: float = 21_600.0
    gone_after: int = 3
    gone_days: float = 1.0
    reserved: Reserved = "refuse"


@dataclass(frozen=True, slots=True)
class Source:
    """One source: where its pages come from, which of them to take, and what is known of them all.

    ``urls`` are the pages, sitemaps or feeds, or where a site begins; ``list`` a file of addresses, one a line;
    ``paths`` files, folders or archives. ``include`` and ``exclude`` are patterns (``*`` stands for anything)
    for addresses, or for paths in a source of files. ``pages`` is the most that is taken in a run, ``depth``
    how many links a site is followed. ``records``, ``statuses``, ``media_types`` and ``hosts`` choose among the
    records of an archive; of a site or sitemap ``hosts`` are taken besides those that ``urls`` name.
    """

    name: str
    kind: str
    urls: tuple[str, ...] = ()
    list: Path | None = None
    paths: tuple[Path, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    site: str | None = None
    language: str | None = None
    licence: str | None = None
    depth: int = 3
    pages: int = 10_000
    records: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    media_types: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    schedule: tuple[tuple[str, str | float], ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine; others are fetched."""
        return KINDS[self.kind].asks is None

    def takes(self, name: str) -> bool:
        """Whether an address or path is taken: ``include`` has it, or is empty, and ``exclude`` has not."""
        included = not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)
        return included and not any(fnmatchcase(name, pattern) for pattern in self.exclude)

    @property
    def choice(self) -> Choice:
        """Which records of an archive are read: what the source names, else what any archive is read for."""
        usual = Choice()
        return Choice(
            frozenset(self.records) or usual.records,
            frozenset(self.statuses) or usual.statuses,
            frozenset(self.media_types) or usual.media_types,
            self.hosts,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``sources.toml`` says."""

    fetch: Fetching = field(default_factory=Fetching)
    sources: tuple[Source, ...] = ()

    def chosen(self, names: Iterable[str], where: str) -> tuple[Source, ...]:
        """The sources of these names; raises PolicyError for a name that is not there."""
        by_name = {source.name: source for source in self.sources}
        for name in names:
            if name not in by_name:
                raise PolicyError(
                    f"{where}: there is no source {name!r}; it has: {', '.join(by_name) or 'none'}"
                )
        return tuple(by_name[name] for name in names)


def read_sources(path: Path) -> Settings:
    """The settings of a ``sources.toml``; raises PolicyError with the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); give --sources a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: is not valid TOML ({error}); correct that line") from error
    _known(content, ("fetch", "source"), str(path))
    tables = content.get("source", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError(f"{path}: sources are tables; write each under [[source]]")
    sources = tuple(_source(table, number, path) for number, table in enumerate(tables, 1))
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise PolicyError(f"{path}: two sources are named {name!r}; give each a name of its own")
    return Settings(_fetching(content.get("fetch", {}), f"{path}: fetch"), sources)


def for_urls(urls: Iterable[str]) -> Source:
    """The source that addresses named on the command line make."""
    return Source(name="web", kind="urls", urls=tuple(urls))


def allowed_pairs(fetching: Fetching) -> frozenset[tuple[str, int]]:
    """The pairs of address and port that may be asked though they are not public."""
    pairs = (pair.rpartition(":") for pair in fetching.allow)
    return frozenset((host.strip("[]"), int(port)) for host, _, port in pairs)


# ---- checks


def _fetching(table: object, where: str) -> Fetching:
    if not isinstance(table, Mapping):
        raise PolicyError(f"{where} is a table; write it as [fetch]")
    _known(table, [setting.name for setting in fields(Fetching)], where)
    return replace(Fetching(), **{key: _FETCH[key](value, f"{where}.{key}") for key, value in table.items()})


def _source(table: Mapping[str, Any], number: int, path: Path) -> Source:
    name = _required(table, "name", f"{path}: source {number}")
    where = f"{path}: source {name!r}"
    kind = _required(table, "kind", where)
    if kind not in KINDS:
        raise PolicyError(f"{where}: kind is {kind!r}; allowed: {', '.join(KINDS)}")
    needs, may_have = KINDS[kind].needs, KINDS[kind].may_have
    _known(table, ("name", "kind", *_COMMON, *needs, *may_have, *_SCHEDULE), where)
    if not any(table.get(key) for key in needs):
        raise PolicyError(f"{where}: a source of kind {kind} needs {' or '.join(needs)}; add it")
    values = {key: _SOURCE[key](value, f"{where}: {key}") for key, value in table.items() if key in _SOURCE}
    values["paths"] = tuple(path.parent / path_name for path_name in values.get("paths", ()))
    if "list" in values:
        values["list"] = path.parent / values["list"]
    return Source(schedule=_schedule(table, where), **values)


def _schedule(table: Mapping[str, Any], where: str) -> tuple[tuple[str, str | float], ...]:
    """The keys of a schedule as they stand; only one of cron, interval and rrule."""
    fields = {key: _SCHEDULE[key](table[key], f"{where}: {key}") for key in _SCHEDULE if key in table}
    kinds = [key for key in ("cron", "interval", "rrule") if key in fields]
    if len(kinds) > 1:
        raise PolicyError(f"{where}: has {' and '.join(kinds)}; a schedule has one of them")
    if fields and not kinds:
        raise PolicyError(f"{where}: has {', '.join(fields)} but no schedule; add cron, interval or rrule")
    return tuple(sorted(fields.items()))


def _known(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    for key in table:
        if key not in (allowed := list(keys)):
            raise PolicyError(f"{where}: unknown key {key!r}; known here: {', '.join(allowed)}")


def _required(table: Mapping[str, Any], key: str, where: str) -> str:
    if key not in table:
        raise PolicyError(f'{where}: has no {key}; add {key} = "..."')
    return str(_SOURCE[key](table[key], f"{where}: {key}"))


def _text(pattern: str, meaning: str) -> Callable[[object, str], str]:
    compiled = re.compile(pattern)

    def check(value: object, where: str) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value) or not value.isprintable():
            raise PolicyError(f"{where} is {value!r}; it must be {meaning}")
        return value

    return check


def _number(low: float, high: float, kind: type[int] | type[float]) -> Callable[[object, str], float]:
    def check(value: object, where: str) -> float:
        if isinstance(value, int | kind) and not isinstance(value, bool) and low <= value <= high:
            return kind(value)
        noun = "a whole number" if kind is int else "a number"
        raise PolicyError(f"{where} is {value!r}; it must be {noun} from {low:g} to {high:g}")

    return check


def _each(check: Callable[[object, str], Any]) -> Callable[[object, str], tuple[Any, ...]]:
    def checked(value: object, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise PolicyError(f"{where} is {value!r}; it must be a list")
        return tuple(check(item, where) for item in value)

    return checked


def _one_of(allowed: Iterable[str]) -> Callable[[object, str], str]:
    names = sorted(allowed)

    def check(value: object, where: str) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise PolicyError(f"{where} has {value!r}; allowed: {', '.join(names)}")

    return check


def _reserved(value: object, where: str) -> Reserved:
    """What becomes of reserved pages; true and false are what settings of before have."""
    if isinstance(value, bool):
        return "keep" if value else "refuse"
    for choice in get_args(Reserved):
        if value == choice:
            return choice  # type: ignore[no-any-return]
    raise PolicyError(f"{where} is {value!r}; it must be {', '.join(map(repr, get_args(Reserved)))}")


def _pair(value: object, where: str) -> str:
    address, _, port = str(value).rpartition(":")
    try:
        ip_address(address.strip("[]"))
        if isinstance(value, str) and 0 < int(port) < 65_536:
            return value
    except ValueError:
        pass
    raise PolicyError(f"{where} has {value!r}; it must be an address and a port, such as 127.0.0.1:8080")


def _contact(value: object, where: str) -> str:
    text = _text(r"[^()<>;\s]{5,200}", "a web or mail address by which you can be reached")(value, where)
    host = urlsplit(text.replace("mailto:", "mailto://", 1)).hostname if "://" in text or ":" in text else None
    if not re.fullmatch(r"(mailto:)?[^@/]+@[^@/]+\.[^@/]+", text) and not (text.startswith("http") and host):
        raise PolicyError(f"{where} is {value!r}; it must be a web or mail address by which you can be reached")
    return text


def _zone(value: object, where: str) -> str:
    name = _text(r"[A-Za-z0-9_+/-]{1,60}", "the name of a time zone, such as Europe/Berlin")(value, where)
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise PolicyError(f"{where} is {value!r}; it must be the name of a time zone, such as UTC") from error
    return name


#: The fields of a cron line: what each is called, its numbers, and the names that some of these have.
_CRON: Sequence[tuple[str, int, int, Sequence[str]]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("day of the week", 0, 7, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
)
_CRON_WORDS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


def _cron(value: object, where: str) -> str:
    text = _text(r"\S+(?: \S+){4}|@\w+", "five fields, such as 0 6 * * *")(value, where)
    if text.startswith("@"):
        if text not in _CRON_WORDS:
            raise PolicyError(f"{where} is {value!r}; allowed: {', '.join(_CRON_WORDS)}, or five fields")
        return text
    for part, (name, low, high, names) in zip(text.split(), _CRON, strict=True):
        numbers = {word: low + at for at, word in enumerate(names)}
        if not all(_is_cron(item.lower(), low, high, numbers) for item in part.split(",")):
            raise PolicyError(
                f"{where} is {value!r}; its {name} is {part!r}, which must be * or from {low} to {high}, such "
                f"as {low}, {low}-{low + 2} or */2"
            )
    _check_day(text, value, where)
    return text


#: The days of each month in the longest year.
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _check_day(text: str, value: object, where: str) -> None:
    """Refuse a day of the month that no month of the line has, unless days of the week are named besides."""
    day, month, weekday = text.split()[2:]
    if weekday not in ("*", "?") or not re.fullmatch(r"\w+(?:,\w+)*", month):
        return
    months = month.lower().split(",")
    longest = max(_DAYS[int(name) - 1 if name.isdecimal() else _CRON[3][3].index(name)] for name in months)
    if all(
        part.partition("-")[0].isdecimal() and int(part.partition("-")[0]) > longest for part in day.split(",")
    ):
        raise PolicyError(f"{where} is {value!r}; no such month has a day {day}, so it would never be due")


def _is_cron(part: str, low: int, high: int, names: Mapping[str, int]) -> bool:
    """Whether a part of a field of a cron line is ``*``, a number, a name or a range of these, with a step."""
    if part == "*" or (part == "?" and high in (7, 31)) or (part == "l" and high == 31):  # l: the last day
        return True
    match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/[1-9]\d?)?", part, re.ASCII)
    ends = [group for group in match.groups() if group] if match else [""]
    return all(low <= names.get(end, int(end) if end.isdecimal() else -1) <= high for end in ends)


def _by_the_day(match: re.Match[str]) -> str:
    return "" if match[0].startswith(";") else "DAILY"


def _rrule(value: object, where: str) -> str:
    from dateutil.rrule import rrulestr

    meaning = "a rule of RFC 5545, such as FREQ=DAILY"
    text = _text(r"(?:RRULE:)?FREQ=[A-Z]+(?:;[A-Z]+=[^;\s]+)*", meaning)(value, where)
    if re.search(r"INTERVAL=0+(?:;|$)", text):
        raise PolicyError(f"{where} is {value!r}; it must be {meaning}, with an INTERVAL of 1 or more")
    if re.search(r"UNTIL=\w+Z(?:;|$)", text):
        raise PolicyError(f"{where} is {value!r}; its UNTIL is a time of the source's time zone, without Z")
    # One by the second is looked at by the day: on a date that never comes, its times would be without end.
    often = re.search(r"FREQ=(?:SECOND|MINUTE|HOUR)LY", text) is not None
    looked = re.sub(r"(?<=FREQ=)\w+|;(?:INTERVAL|COUNT)=\d+", _by_the_day, text) if often else text
    try:
        rrulestr(text)
        due = rrulestr(looked, dtstart=datetime(2020, 1, 1)).after(datetime.now())  # noqa: DTZ001, DTZ005
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise PolicyError(f"{where} is {value!r}; it must be {meaning} ({error})") from None
    if due is None:
        raise PolicyError(f"{where} is {value!r}; it would never be due, counted from 2020")
    return text


_line = _text(r".{1,500}", "a line of text")
_address = _text(r"https?://\S+", "an http or https address")
_COUNT = _number(1, 10_000_000, int)

_FETCH: Mapping[str, Callable[[object, str], Any]] = {
    "contact": _contact,
    "delay": _number(0, 3_600, float),
    "hosts": _number(1, 1_000, int),
    "total_seconds": _number(0.1, 3_600, float),
    "connect_seconds": _number(0.1, 3_600, float),
    "read_seconds": _number(0.1, 3_600, float),
    "retries": _number(0, 10, int),
    "redirects": _number(0, 20, int),
    "url_length": _number(50, 8_192, int),
    "ports": _each(_number(1, 65_535, int)),
    "allow": _each(_pair),
    "host_seconds": _number(1, 1_000_000, float),
    "run_seconds": _number(1, 1_000_000, float),
    "gone_after": _number(1, 100, int),
    "gone_days": _number(0, 365, float),
    "reserved": _reserved,
}
_SOURCE: Mapping[str, Callable[[object, str], Any]] = {
    "name": _text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", "a short name of letters, digits, dots and dashes"),
    "kind": _line,
    "urls": _each(_address),
    "list": _line,
    "paths": _each(_line),
    "include": _each(_line),
    "exclude": _each(_line),
    "site": _text(r"\w[\w.:-]{0,252}", "a host name or other short name"),
    "language": _text(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*", "a BCP 47 language tag"),
    "licence": _line,
    "depth": _number(0, 100, int),
    "pages": _COUNT,
    "records": _each(_one_of(PAGE_RECORDS)),
    "statuses": _each(_number(100, 599, int)),
    "media_types": _each(_one_of(PAGE_TYPES)),
    "hosts": _each(_text(r"[\w*][\w.*-]{0,252}", "a host name, * stands for anything")),
}
_SCHEDULE: Mapping[str, Callable[[object, str], Any]] = {
    "cron": _cron,
    "interval": _number(1, 31_536_000, float),
    "rrule": _rrule,
    "timezone": _zone,
    "jitter": _number(0, 86_400, float),
}
_COMMON = ("include", "exclude", "site", "language", "licence")
