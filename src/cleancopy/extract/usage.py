"""What a page's owner says about its use by machines: read, never obeyed or judged here.

    of_headers(fields)          X-Robots-Tag, TDM-Reservation, TDM-Policy, Content-Usage, Content-Signal, Link
    of_page(payload)            <meta name="robots" | "tdm-reservation" | "tdm-policy">, RSL links and licences
    of_robots(text, url, name)  Content-Signal, Content-Usage and License lines of a robots.txt
    of_tdmrep(payload, url)     the site's /.well-known/tdmrep.json
    is_reserved(statements)     whether the text is reserved against mining or the training of models

The forms: the TDM Reservation Protocol (W3C community group report), Content-Usage (IETF aipref drafts),
Content-Signal (contentsignals.org), RSL (rslstandard.org) and ``noai``. Whatever is broken says nothing.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

#: Where a statement stands, the most specific place first.
PLACES = ("page", "header", "tdmrep.json", "robots.txt")
Place = Literal["page", "header", "tdmrep.json", "robots.txt"]
TDMREP = "/.well-known/tdmrep.json"


class Statement(NamedTuple):
    """A statement: where it stands, and ``name: value`` in one spelling (``tdm-reservation: 1``)."""

    where: Place
    says: str


Usage = tuple[Statement, ...]

#: Characters of a value that are kept, statements of a place, and bytes of a page that are looked at.
_LONGEST, _MOST, _HEAD = 300, 20, 1 << 19
_NOAI = frozenset(["noai", "noimageai"])
#: The uses in Content-Usage and Content-Signal that a corpus of texts is for.
_TRAINING = frozenset(["train-ai", "train-genai", "ai-train", "tdm", "all", "bots", "ai", "genai"])


def is_reserved(statements: Iterable[Statement]) -> bool:
    """Whether a statement reserves the text; of the TDM protocol's the most specific place counts."""
    tdm: dict[str, bool] = {}
    for where, says in statements:
        name, _, value = says.partition(": ")
        if name == "tdm-reservation":
            tdm.setdefault(where, value == "1")
        elif name in ("robots", "rsl-prohibits") or (
            name in ("content-usage", "content-signal") and _forbids(value)
        ):
            return True
    return next((tdm[place] for place in PLACES if place in tdm), False)


def _forbids(value: str) -> bool:
    uses = dict(part.strip().partition("=")[::2] for part in value.split(","))
    return any(uses.get(use) in ("n", "no") for use in _TRAINING)


def to_json(statements: Iterable[Statement]) -> str:
    """Statements as they are stored: a JSON list of pairs."""
    return json.dumps([list(statement) for statement in statements], ensure_ascii=False)


def from_json(text: str | None) -> Usage:
    """Statements as they were stored."""
    return tuple(Statement(where, says) for where, says in json.loads(text or "[]"))


# ---- a response's header fields


def of_headers(fields: Mapping[str, str]) -> Usage:
    """What header fields say; names in lower case, values of repeated ones joined by commas."""
    lines = list(_robots("header", fields.get("x-robots-tag", "")))
    lines += _tdm("header", fields.get("tdm-reservation", ""), fields.get("tdm-policy", ""))
    for name in ("content-usage", "content-signal"):
        lines += _uses("header", name, fields.get(name, ""))
    for link in re.finditer(
        r"<([^<>]{1,2000})>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:\"[^\"]*\"|[^\s;,\"]+))?)*)", fields.get("link", "")
    ):
        if re.search(r"\brel\s*=\s*\"?(?:[^\",;]*\s)?license\b", link[2], re.IGNORECASE):
            kind = "rsl" if "rsl+xml" in link[2].lower() else "license"
            lines.append(_statement("header", kind, link[1]))
    return _first(lines)


def _robots(where: Place, value: str) -> Iterator[Statement]:
    words = re.split(r"[\s,;:]+", value.lower())
    yield from (_statement(where, "robots", word) for word in dict.fromkeys(words) if word in _NOAI)


def _tdm(where: Place, reservation: object, policy: object) -> Iterator[Statement]:
    value = str(reservation).strip()
    if value in ("0", "1"):
        yield _statement(where, "tdm-reservation", value)
    if isinstance(policy, str) and re.match(r"https?://\S", policy.strip()):
        yield _statement(where, "tdm-policy", policy)


def _uses(where: Place, name: str, value: str) -> Iterator[Statement]:
    """The preferences of a Content-Usage or Content-Signal; parts that are none are left out."""
    parts = (
        re.fullmatch(r"([a-z][a-z-]*)\s*=\s*(y|n|yes|no)(?:\s*;.*)?", part.strip().lower())
        for part in value.split(",")
    )
    if uses := [f"{part[1]}={part[2]}" for part in parts if part]:
        yield _statement(where, name, ", ".join(uses))


def _statement(where: Place, name: str, value: str) -> Statement:
    line = "".join(char if char.isprintable() else " " for char in value)
    return Statement(where, f"{name}: {' '.join(line.split())[:_LONGEST]}")


def _first(statements: Iterable[Statement]) -> Usage:
    return tuple(dict.fromkeys(statements))[:_MOST]


# ---- a page

_HINT = re.compile(rb"noai|noimageai|tdm-|rsl\+xml", re.IGNORECASE)
_UNSEEN = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)
_TAG = re.compile(r"<(meta|link|script)\b([^<>]{1,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")


def of_page(payload: bytes) -> Usage:
    """What the head of a page says, in any encoding that has ASCII in it.

    Tags are found by patterns, so that no parser has to read what comes from strangers; a page without a word
    of these forms, as nearly all are, costs one look.
    """
    start = payload[:_HEAD]
    if not _HINT.search(start):
        return ()
    text = _UNSEEN.sub("", start.decode("utf-8", "replace"))
    lines: list[Statement] = []
    for tag in _TAG.finditer(text):
        fields = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(tag[2])}
        name, content = fields.get("name", "").strip().lower(), fields.get("content", "")
        if "rsl+xml" in fields.get("type", "").lower():
            lines += _rsl(tag[1].lower(), fields, text[tag.end() : tag.end() + 20_000])
        elif name == "robots":
            lines += _robots("page", content)
        elif name == "tdm-reservation":
            lines += _tdm("page", content, None)
        elif name == "tdm-policy":
            lines += _tdm("page", "", content)
    return _first(lines)


def _rsl(tag: str, fields: Mapping[str, str], after: str) -> Iterator[Statement]:
    """A licence of RSL: a link to it, or the licence itself in a script."""
    if tag == "link" and "license" in fields.get("rel", "").lower().split():
        yield _statement("page", "rsl", fields.get("href", ""))
    elif tag == "script":
        terms = re.split(r"</script", after, maxsplit=1, flags=re.IGNORECASE)[0]
        yield Statement("page", "rsl: in the page")
        for forbidden in re.findall(r"<prohibits\b[^>]*\busage\b[^>]*>([^<]{1,500})<", terms, re.IGNORECASE):
            words = set(re.split(r"[\s,]+", forbidden.lower()))
            if words & {"all", "ai-all", "ai-train", "train-ai", "tdm"}:
                yield _statement("page", "rsl-prohibits", forbidden.lower())


# ---- a site's files


def of_robots(text: str, url: str, agent: str) -> Usage:
    """What the lines for ``agent`` (else for all) say of an address; a line with a path holds for that path.

    Of several lines of a name the one with the longest path that fits counts, as for Allow and Disallow.
    """
    lines, licences = _of_site(text, agent)
    if not lines and not licences:
        return ()
    path = _path(url)
    usage: list[Statement] = []
    for name in ("content-signal", "content-usage"):
        fitting = [(len(start), value) for start, value in _with_paths(lines, name) if _fits(start, path)]
        longest = max((length for length, _ in fitting), default=0)
        for length, value in fitting:
            usage += _uses("robots.txt", name, value) if length == longest else ()
    return _first([*usage, *licences])


@lru_cache(maxsize=64)
def _of_site(text: str, agent: str) -> tuple[tuple[tuple[str, str], ...], Usage]:
    """The lines of a robots.txt on the use of content, and its licences; read once for all pages of a site."""
    wanted = ("content-signal", "content-usage")
    lines = tuple((name, value) for name, value in _lines_for(text, agent) if name in wanted)
    licences = re.findall(r"(?im)^[ \t]*license[ \t]*:[ \t]*(https?://\S+)", text)
    return lines, _first(_statement("robots.txt", "rsl", licence) for licence in licences)


def _lines_for(text: str, agent: str) -> Iterator[tuple[str, str]]:
    """The lines (name in lower case, value) of the groups for an agent, else for all, and those before any."""
    groups: dict[str, list[tuple[str, str]]] = {}
    names, open_group = [""], False
    for line in text.splitlines():
        field, colon, value = line.partition("#")[0].partition(":")
        name, value = re.sub(r"[ -]", "-", field.strip().lower()), value.strip()
        if not colon:
            continue
        if name in ("user-agent", "useragent"):
            names = [*names, value.lower()] if open_group else [value.lower()]
            open_group = True
        else:
            open_group = False
            for group in names:
                groups.setdefault(group, []).append((name, value))
    mine = [group for group in groups if group not in ("", "*") and agent.lower().startswith(group)]
    chosen = mine or [group for group in groups if group == "*"]
    for group in ["", *chosen]:
        yield from groups.get(group, ())


def _with_paths(lines: Iterable[tuple[str, str]], wanted: str) -> Iterator[tuple[str, str]]:
    for name, value in lines:
        if name == wanted:
            start, _, rest = value.partition(" ") if value.startswith("/") else ("", "", value)
            yield start, rest


def of_tdmrep(payload: bytes | str, url: str) -> Usage:
    """What a site's tdmrep.json says of an address: the first of its rules whose location fits."""
    try:
        rules: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return ()
    path = _path(url)
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict) and _fits(str(rule.get("location", "")), path):
            return _first(_tdm("tdmrep.json", rule.get("tdm-reservation", ""), rule.get("tdm-policy")))
    return ()


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _fits(pattern: str, path: str) -> bool:
    """Whether a path begins as a pattern says; ``*`` stands for anything, a last ``$`` for the path's end."""
    pieces = pattern[:500].removesuffix("$").split("*")[:20]
    ends = pattern.endswith("$")
    if not path.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    for piece in pieces[1:]:  # each at its first place: no pattern takes more than a look along the path
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return not ends or at == len(path) or (len(pieces) > 1 and path.endswith(pieces[-1]))
