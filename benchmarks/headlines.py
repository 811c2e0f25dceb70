"""Whether the headline that a page shows is in its clean text, and whether its title is known.

    python benchmarks/headlines.py [--corpora FOLDER] [--every N] [--scores FILE] [--misses] [--json]

- sites: pages of whole sites, as HTML and as their visible lines alone, each cleaned under a chrome that was
  learned from the other half of its site. Counted are pages whose gold title is a line of their gold text.
- wcxb: pages with exactly one ``<h1>``, of three words or more, that ``<title>`` contains and the page shows
  (its words stand in a row in the page text).
- title: the metadata's title on wcxb, exact and without regard to case, marks and spaces; beside trafilatura.

*kept*: the headline is a line of the clean text, or some lines in a row make it; spaces and case apart. A page
that is rejected has lost its headline; *rejected* says how many there are.

The content model that ships has seen both corpora. With ``--scores`` blocks are scored by trees that never saw
a page's site or host; the scores are kept in that file, and made again (some twenty minutes) where it is
missing. They are of one way to split pages into blocks: pages that are split in another way now are scored by
the shipped model, and counted. Without ``--scores`` all pages are (the quick way).
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lxml.html

import cleancopy
from cleancopy import clean as cleaning
from cleancopy.document import Capture, Document

try:
    from cleancopy.extract.encoding import decode
except ImportError:  # a tree of before
    from cleancopy.encoding import decode

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
POLICY = cleancopy.Policy()
BlockScores = Mapping[str, Sequence[float]]
#: Pages whose scores are of another split into blocks, in one number.
unscored: Counter[str] = Counter()


# --- a page, judged by a model that never saw it


def read(capture: Capture, name: str, scores: BlockScores) -> Document | None:
    """A page as it is read, its blocks scored as ``scores`` has them; None where it is rejected."""
    try:
        with judged(name, scores):
            return cleaning.read(capture, POLICY)
    except cleancopy.CleancopyError:
        return None


@contextmanager
def judged(name: str, scores: BlockScores) -> Iterator[None]:
    """While it lasts, the block model gives the scores of a page; its own where there are none."""
    module = content_module()
    shipped = module.judge

    def judge(page: Any, *rest: Any, **named: Any) -> Any:
        given = scores.get(name)
        if given is None or len(given) != len(page.blocks):
            unscored["pages"] += bool(scores)
            return shipped(page, *rest, **named)
        return [(score, "") for score in given]

    with patch.object(module, "judge", judge):
        yield


def content_module() -> Any:
    """The module that asks the block model."""
    try:
        return import_module("cleancopy.stages.content.select")
    except ImportError:
        return import_module("cleancopy.stages.content")


def cut(document: Document | None, chrome: Any = None) -> Document | None:
    """A page with the cuts of all stages; None where it is rejected."""
    stages: Callable[..., Document] = getattr(cleaning, "apply_stages", None) or cleaning.decide
    try:
        return stages(document, POLICY, chrome) if document else None
    except cleancopy.CleancopyError:
        return None


def fold_scores(file: Path) -> BlockScores:
    """For each page the scores of its blocks by trees that never saw its site or host."""
    if file.is_file():
        scores: BlockScores = json.loads(gzip.decompress(file.read_bytes()))
        return scores
    from sites import fold_scores as make

    return make(file)


# --- headlines


def folded(text: str) -> str:
    """A line as it is compared: spaces and case apart."""
    return " ".join(text.split()).casefold()


def is_line(text: str, headline: str) -> bool:
    """Whether a headline is a line of a text, or some of its lines in a row."""
    wanted = folded(headline)
    lines = [line for line in map(folded, text.splitlines()) if line]
    for at in range(len(lines)):
        if wanted.startswith(lines[at]):
            run, end = lines[at], at + 1
            while len(run) < len(wanted) and end < len(lines):
                run, end = f"{run} {lines[end]}", end + 1
            if run == wanted:
                return True
    return False


def words(text: str) -> str:
    """The words of a text in a row."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def headline_of(tree: lxml.html.HtmlElement) -> str | None:
    """The text of a page's only ``<h1>``, where it has three words or more and the title contains it."""
    headings, title = tree.findall(".//h1"), tree.findtext(".//title") or ""
    if len(headings) != 1:
        return None
    text = " ".join(" ".join(headings[0].itertext()).split())
    inside = f" {words(text)} " in f" {words(title)} "
    return text if inside and len(words(text).split()) >= 3 else None


# --- sites


def sites(folder: Path, every: int, scores: BlockScores, misses: bool) -> Iterator[dict[str, Any]]:
    """A row for each site and form: how many headlines there are and how many are kept."""
    for form in ("HTML", "text"):
        total: Counter[str] = Counter(headlines=0, kept=0, rejected=0)
        for path in sorted(folder.glob("*/pages.jsonl")):
            golds = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            counts = site(path.parent, golds, form, every, scores, misses)
            yield {"corpus": "sites", "form": form, "name": path.parent.name} | counts
            total.update(counts)
        yield {"corpus": "sites", "form": form, "name": "all"} | total


def site(
    folder: Path, golds: list[dict[str, Any]], form: str, every: int, scores: BlockScores, misses: bool
) -> Counter[str]:
    """The counts of one site; each half is cleaned under the other's chrome."""
    documents = [
        read(site_capture(folder, gold, form), f"{folder.name}/{gold['id']}", scores) for gold in golds
    ]
    counts: Counter[str] = Counter(headlines=0, kept=0, rejected=0)
    for half in (0, 1):
        others = [document for document in documents[1 - half :: 2] if document]
        chrome = cleancopy.learn_chrome(others, site=folder.name, policy=POLICY.chrome)
        pairs = list(zip(golds[half::2], documents[half::2], strict=True))
        for gold, document in pairs[::every]:
            if gold["gold_title"] and folded(gold["gold_title"]) in map(folded, gold["gold_text"].splitlines()):
                count(
                    counts,
                    f"{folder.name}/{gold['id']} {form}",
                    gold["gold_title"],
                    cut(document, chrome),
                    misses,
                )
    return counts


def site_capture(folder: Path, gold: dict[str, Any], form: str) -> Capture:
    """The capture of a site's page, as HTML or as its visible lines."""
    html = form == "HTML"
    packed = folder / "html" / f"{gold['id']}.html.gz"
    payload = gzip.decompress(packed.read_bytes()) if html else gold["all_text"].encode()
    kind = "text/html" if html else "text/plain"
    return Capture(
        payload,
        key=gold["url"],
        url=gold["url"],
        site=folder.name,
        media_type=kind,
        charset=None if html else "utf-8",
    )


def count(counts: Counter[str], name: str, headline: str, made: Document | None, misses: bool) -> None:
    """Count one page and say so where its headline is lost."""
    kept = made is not None and is_line(made.clean, headline)
    counts.update(headlines=1, kept=int(kept), rejected=int(made is None))
    if misses and not kept:
        print(f"  lost: {name}: {headline[:100]!r}{'' if made else ' (rejected)'}")


# --- wcxb


def wcxb(folder: Path, every: int, scores: BlockScores, misses: bool) -> Iterator[dict[str, Any]]:
    """The rows of headlines and of titles on pages of many hosts."""
    counts: Counter[str] = Counter(headlines=0, kept=0, rejected=0)
    titles: Counter[str] = Counter()
    for path in sorted((folder / "ground-truth").glob("*.json"))[::every]:
        gold = json.loads(path.read_text(encoding="utf-8"))
        payload = gzip.decompress((folder / "html" / f"{path.stem}.html.gz").read_bytes())
        url = gold.get("url") or None
        capture = Capture(payload, key=url or path.stem, url=url, media_type="text/html")
        document = read(capture, path.stem, scores)
        made = cut(document)
        tree = parsed(payload)
        headline = headline_of(tree)
        if headline and document and f" {words(headline)} " in f" {words(document.text)} ":
            count(counts, path.stem, headline, made, misses)
        known = gold["ground_truth"].get("title")
        if known:
            title = (made or document).metadata.title if made or document else None
            count_title(titles, "cleancopy", title, known)
            count_title(titles, "trafilatura", trafilatura_title(payload, url), known)
    yield {"corpus": "wcxb", "form": "HTML", "name": "one h1 that the title has"} | counts
    for tool in ("cleancopy", "trafilatura"):
        own = {what: titles[tool, what] for what in ("titles", "exact", "right")}
        yield {"corpus": "wcxb", "form": "title", "name": tool} | own


def parsed(payload: bytes) -> lxml.html.HtmlElement:
    """The tree of a page, decoded as cleancopy decodes it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    return lxml.html.document_fromstring(decode(payload)[0].encode("utf-8", "replace"), parser=parser)


def trafilatura_title(payload: bytes, url: str | None) -> str | None:
    """The title that trafilatura finds."""
    from trafilatura.metadata import extract_metadata

    try:
        found = extract_metadata(parsed(payload), default_url=url)
    except (ValueError, TypeError, AttributeError):  # what it raises on odd JSON-LD
        return None
    return found.title if found else None


def count_title(titles: Counter[Any], tool: str, title: str | None, known: str) -> None:
    """Count one title: exact, and right without regard to case, marks and spaces."""
    titles[tool, "titles"] += 1
    titles[tool, "exact"] += title == known
    titles[tool, "right"] += words(title or "").replace(" ", "") == words(known).replace(" ", "")


# --- the run


def show(row: Mapping[str, Any]) -> None:
    """Print a row of the table."""
    start = f"{row['corpus']:6}{row['form']:6}{row['name']:28}"
    if "titles" in row:
        exact, right = (row[what] / max(1, row["titles"]) for what in ("exact", "right"))
        print(f"{start}{row['titles']:6} exact {exact:6.1%} right {right:6.1%}")
    else:
        share = row["kept"] / max(1, row["headlines"])
        counts = f"{row['headlines']:6} kept {row['kept']:6} {share:6.1%}"
        print(f"{start}{counts}  rejected {row['rejected']}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--only", choices=("sites", "wcxb"))
    parser.add_argument(
        "--every", type=int, default=1, help="measure every Nth page; chrome is learned from all"
    )
    parser.add_argument("--scores", type=Path, help="file of block scores by trees that never saw a page")
    parser.add_argument("--misses", action="store_true", help="print the headlines that are lost")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    given = parser.parse_args()
    if not given.corpora.is_dir():
        parser.error(f"{given.corpora} is no folder of corpora; give --corpora")
    scores: BlockScores = fold_scores(given.scores) if given.scores else {}
    measures = {"sites": partial(sites, given.corpora / "sites"), "wcxb": partial(wcxb, given.corpora / "wcxb")}
    rows = []
    for name in [given.only] if given.only else measures:
        for row in measures[name](given.every, scores, given.misses):
            rows.append(row)
            if not given.json:
                show(row)
    model = "cross-validated, no page's site or host was seen" if scores else "shipped, it has seen these pages"
    if given.json:
        print(json.dumps({"model": model, "unscored": unscored["pages"], "rows": rows}, indent=1))
    else:
        print(f"model: {model}" + (f"; shipped on {unscored['pages']} pages" if unscored["pages"] else ""))


if __name__ == "__main__":
    main()
