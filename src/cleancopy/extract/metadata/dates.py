"""When the page was published: ISO 8601 from what it declares or shows."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from lxml.html import HtmlElement

from cleancopy.extract.metadata.claims import Claims
from cleancopy.extract.metadata.jsonld import JsonNode, rank_of
from cleancopy.extract.metadata.near import CLOSE, NearHeadline, in_comments
from cleancopy.extract.metadata.text import URL_CAP, shown_text

# Years outside are mistakes or placeholders.
_EARLIEST, _LATEST = 1800, 2200
_DATES = (
    "article:published_time", "og:article:published_time", "citation_publication_date", "citation_online_date",
    "citation_date", "parsely-pub-date", "sailthru.date", "datepublished", "dcterms.issued", "dc.date.issued",
    "dcterms.created", "dc.date.created", "dc.date", "dcterms.date", "publish_date", "publishdate",
    "publish-date", "published_time", "publication_date", "pubdate", "date", "datecreated", "article:published",
    "uploaddate",
)  # fmt: skip
_MODIFIED = ("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "last-modified")
_YEAR = re.compile(r"(?:1[89]|2[01])\d\d")
_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?(?![\d-])",
    re.ASCII,
)
_YEAR_MONTH = re.compile(r"(?<!\d)(\d{4})[ -]([^\W\d_]{3,9})[ -](\d{1,2})(?!\d)")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?\s+(?:de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+)?(\d{4})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)")
_DOTTED = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
_SLASHED = re.compile(r"(?<!\d)(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)")
_UPDATED = re.compile(r"updat|modif|review|©|copyright|effective", re.IGNORECASE)
_IN_PATH = re.compile(r"/(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?=[/-]|$)")
# English, German, French, Spanish, Italian, Portuguese and Dutch months by their first letters.
_MONTHS = {
    start: number
    for number, starts in enumerate(
        ("jan ene gen", "feb fev", "mar maa mrt", "apr abr avr", "may mai mei mag", "jun juin giu",
         "jul juil lug", "aug ago aou", "sep set", "oct okt ott out", "nov", "dec dez dic"), 1,
    )
    for start in starts.split()
}  # fmt: skip
_DATE_CLASS = re.compile("[dD]ate|publish|posted")


def find_date(claims: Claims, main: JsonNode, near: NearHeadline, url: str | None) -> str | None:
    """When the page was published, from the most to the least explicit claim."""
    return (
        _node_date(main)
        or claims.first(_DATES, iso_date)
        or _time_element([element for element in near() if element.tag == "time"])
        or _path_date(url)
        or _visible_date(near())
        or _time_element(claims.times[:5])
        or _marked_date(near())
        or (_modified(claims, main) if _is_article(claims, main) else None)
    )


def _is_article(claims: Claims, main: JsonNode) -> bool:
    return rank_of(main) == 0 or "article" in claims.metas.get("og:type", ())


def _modified(claims: Claims, main: JsonNode) -> str | None:
    """When an article that does not say when it was published was last changed."""
    return claims.first(_MODIFIED, iso_date) or iso_date(main.get("dateModified"))


def _node_date(main: JsonNode) -> str | None:
    """The date of the node that speaks for the page, unless it is a product's or another work's own."""
    if rank_of(main) not in (0, 2):
        return None
    return iso_date(main.get("datePublished")) or iso_date(main.get("dateCreated"))


def _time_element(times: list[HtmlElement]) -> str | None:
    """The date of the first of these time elements that says it is the publication's, else of the first."""
    for element in sorted(times, key=_time_rank):
        if not in_comments(element) and (date := iso_date(element.get("datetime") or shown_text(element, 100))):
            return date
    return None


def _time_rank(element: HtmlElement) -> int:
    marks = f"{element.get('itemprop')} {element.get('class')} {' '.join(element.keys())}".lower()
    return 2 if "updat" in marks or "modif" in marks else 0 if "publi" in marks or "pubdate" in marks else 1


def _path_date(url: str | None) -> str | None:
    match = _IN_PATH.search(url[:URL_CAP]) if url else None
    return _calendar(*match.groups()) if match else None


def _visible_date(near: list[HtmlElement]) -> str | None:
    """A date that stands by itself next to the headline; one that says "updated" only where no other is."""
    late = None
    for element in near[:CLOSE]:
        for text in (element.text, element.tail):
            if text and 6 <= len(text := text.strip()) <= 80 and (date := iso_date(text)):
                if not _UPDATED.search(text):
                    return date
                late = late or date
    return late


def _marked_date(near: list[HtmlElement]) -> str | None:
    """A date further away, which its class or itemprop calls one."""
    for element in near[CLOSE:]:
        marks = element.get("class") or element.get("itemprop")
        if marks and _DATE_CLASS.search(marks) and not in_comments(element):
            text = shown_text(element, 100)
            if text and len(text) <= 60 and (date := iso_date(text)):
                return date
    return None


def iso_date(value: object) -> str | None:
    """A date as ISO 8601, with the time and zone it was given with; None where it is none, or ambiguous."""
    if not isinstance(value, str):
        return None
    text = value[:200].strip()
    if not _YEAR.search(text):
        return None
    match = _ISO.search(text)
    if match:
        return _moment(match)
    if match := _YEAR_FIRST.search(text):
        return _calendar(match[1], match[3], match[4])
    if match := _COMPACT.match(text):
        return _calendar(match[1], match[2], match[3])
    return _worded(text)


def _moment(match: re.Match[str]) -> str | None:
    year, month, day, hour, minute, second, zone = match.groups()
    date = _calendar(year, month, day)
    if date is None or hour is None:
        return date
    zone = "+00:00" if zone in ("Z", "UTC", "GMT") else f"{zone[:3]}:{zone[-2:]}" if zone else ""
    moment = f"{date}T{int(hour):02}:{minute}:{second or '00'}{zone}"
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return date
    return moment


def _worded(text: str) -> str | None:
    """A date with the month's name, or in figures where day and month cannot be mistaken."""
    for match in _MONTH_FIRST.finditer(text):
        if date := _calendar(match[3], _month(match[1]), match[2]):
            return date
    for match in _DAY_FIRST.finditer(text):
        if date := _calendar(match[3], _month(match[2]), match[1]):
            return date
    if year_month := _YEAR_MONTH.search(text):
        return _calendar(year_month[1], _month(year_month[2]), year_month[3])
    if dotted := _DOTTED.search(text):
        return _calendar(dotted[3], dotted[2], dotted[1])
    if slashed := _SLASHED.search(text):
        first, second = int(slashed[1]), int(slashed[2])
        if first > 12 or second > 12 or first == second:
            return _calendar(slashed[3], min(first, second), max(first, second))
    return None


def _month(word: str) -> int:
    letters = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if c.isalpha())
    return _MONTHS.get(letters[:4]) or _MONTHS.get(letters[:3]) or 0


def _calendar(year: str | int, month: str | int, day: str | int) -> str | None:
    """A day of the calendar as ISO 8601; None where there is no such day, or it is the epoch, a placeholder."""
    try:
        date = datetime(int(year), int(month), int(day))  # noqa: DTZ001 (a day, no moment)
    except ValueError:
        return None
    epoch = (date.year, date.month, date.day) == (1970, 1, 1)
    return date.date().isoformat() if _EARLIEST <= date.year <= _LATEST and not epoch else None
