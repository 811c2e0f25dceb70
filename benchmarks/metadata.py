"""How often metadata is right, and what it costs, beside trafilatura's, on the WCXB pages.

    python benchmarks/metadata.py [FOLDER]

FOLDER holds ``html/ID.html.gz`` and ``ground-truth/ID.json``; by default ``shared/corpora/wcxb`` beside the
checkout. Rules were chosen on the pages of one half of the hosts, "seen"; the other half is "unseen".

- exact: share of the pages with a known value that got it, letter for letter (dates: the day)
- right: the same without regard to case, marks and spaces; authors as sets of names
- precise: share of right values among those given where one is known
- given, known: on how many pages a value was given, is known
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import lxml.html
from trafilatura.metadata import extract_metadata

from cleancopy.extract.metadata import read_metadata

WCXB = Path(__file__).parents[2] / "shared" / "corpora" / "wcxb"
FIELDS = {"title": "title", "author": "author", "date": "publish_date"}
Values = dict[str, str | None]


def pages(folder: Path) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """The URL (may be empty), ground truth and HTML of each page."""
    for truth in sorted((folder / "ground-truth").glob("*.json")):
        known = json.loads(truth.read_text(encoding="utf-8"))
        html = gzip.decompress((folder / "html" / f"{truth.stem}.html.gz").read_bytes())
        yield known.get("url") or "", known["ground_truth"], html


def half(url: str) -> str:
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    return "unseen" if zlib.crc32(host.encode()) & 1 else "seen"


def parse(html: bytes) -> lxml.html.HtmlElement:
    try:
        html.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None
    return lxml.html.document_fromstring(html, parser=lxml.html.HTMLParser(encoding=encoding))


def ours(tree: lxml.html.HtmlElement, url: str | None) -> Values:
    found = read_metadata(tree, url=url)
    return {"title": found.title, "author": found.author, "date": found.date}


def theirs(tree: lxml.html.HtmlElement, url: str | None) -> Values:
    found = extract_metadata(tree, default_url=url)
    return {"title": found.title, "author": found.author, "date": found.date}


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def same(field: str, value: str, truth: str) -> bool:
    if field == "date":
        return value[:10] == truth[:10]
    if field == "author":
        split = (re.split(r"[;,&]|\band\b", text) for text in (value, truth))
        one, other = ({letters(name) for name in names if letters(name)} for names in split)
        return one == other
    return letters(value) == letters(truth)


def count(
    counts: Counter[tuple[str, ...]], key: tuple[str, str], values: Values, truth: dict[str, Any]
) -> None:
    for field, name in FIELDS.items():
        value, known = values[field], truth.get(name)
        counts[*key, field, "given"] += bool(value)
        counts[*key, field, "known"] += bool(known)
        if value and known:
            counts[*key, field, "both"] += 1
            counts[*key, field, "exact"] += (value[:10] if field == "date" else value) == known
            counts[*key, field, "right"] += same(field, value, known)


def row(counts: Counter[tuple[str, ...]], key: tuple[str, str, str]) -> str:
    exact, right, both, given, known = (
        counts[*key, what] for what in ("exact", "right", "both", "given", "known")
    )
    return f"{exact / known:6.1%}  {right / known:6.1%}  {right / both:6.1%}  {given:6}  {known:6}"


def main(folder: Path) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    spent: dict[str, list[float]] = {"cleancopy": [], "trafilatura": []}
    for url, truth, html in pages(folder):
        for name, read in (("cleancopy", ours), ("trafilatura", theirs)):
            tree = parse(html)
            start = time.process_time()
            values = read(tree, url or None)
            spent[name].append(1000 * (time.process_time() - start))
            count(counts, (half(url), name), values, truth)
    print("hosts   reader       field    exact   right   precise  given   known")
    for hosts in ("seen", "unseen"):
        for field in FIELDS:
            for name in spent:
                print(f"{hosts:7} {name:12} {field:7} {row(counts, (hosts, name, field))}")
    for name, times in spent.items():
        print(f"{name:12} CPU ms a page: median {median(times):.2f}, mean {sum(times) / len(times):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WCXB)
