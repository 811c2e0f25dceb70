"""How good the content decision is, against trafilatura and, where installed, other extractors.

    python benchmarks/quality.py [folder of the corpora] [--jobs 2] [--pages 200] [--out folder]

cleancopy is cross-validated: each page is judged by trees and token odds that never saw a page of its host,
its portal or its site. The others run as they come. Scores are those of the corpora: bags of words for WCXB,
the portals and the sites, shingles of four words for the articles. ``--pages`` is how many pages are timed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean

from lxml.etree import LxmlError
from train import CORPORA, SURE, WORD, Example, Source, cross_score, prepare, read_examples

from cleancopy.clean import read
from cleancopy.document import Capture
from cleancopy.policy import Policy
from cleancopy.stages.blockmodel import best_cut

RESULTS = Path(__file__).parent / "results"
PAGE_TYPES = ("article", "documentation", "forum", "product", "collection", "listing", "service")


# --- scores


def words(text: str) -> Counter[str]:
    """The bag of a text's words."""
    return Counter(WORD.findall(text.lower()))


def word_f1(text: str, gold: Counter[str], free: Counter[str] | None = None) -> float:
    """F1 of the words of a text; words of ``free`` that are too many count neither way."""
    found = words(text)
    right = (found & gold).total()
    wrong = ((found - gold) - (free or Counter())).total()
    return 2 * right / max(1, right + wrong + gold.total())


def shingles(text: str, size: int = 4) -> Counter[tuple[str, ...]]:
    """The bag of a text's runs of four words, as in Zyte's article extraction benchmark."""
    found = WORD.findall(text)
    runs = (tuple(found[at : at + size]) for at in range(max(1, len(found) - size + 1)))
    return Counter(run for run in runs if run)


def shingle_f1(pages: Iterable[tuple[str, str]]) -> float:
    """The F1 of mean precision (of pages with any text) and mean recall over (text, gold) pairs."""
    precisions, recalls = [], []
    for text, gold in pages:
        found, wanted = shingles(text), shingles(gold)
        both = (found & wanted).total()
        if found:
            precisions.append(both / found.total())
        recalls.append(both / wanted.total())
    precision, recall = fmean(precisions), fmean(recalls)
    return 2 * precision * recall / (precision + recall)


def chrome_leak(text: str, source: Source) -> float:
    """The share of a site page's chrome lines, not also in its gold, that a text has."""
    whole, lines = _flat(text), {_flat(line) for line in text.split("\n")}
    gold, gold_lines = _flat(source.gold), {_flat(line) for line in source.gold.split("\n")}
    there = []
    for line in filter(None, map(_flat, source.chrome)):
        long = len(line.split()) >= 3
        if line not in (gold if long else gold_lines):
            there.append(line in (whole if long else lines))
    return fmean(there) if there else 0.0


def _flat(text: str) -> str:
    return " ".join(text.split()).lower()


@dataclass(frozen=True, slots=True)
class Row:
    """What one extractor made of all corpora, in fractions of one."""

    name: str
    scores: dict[str, float]


def measure(name: str, pages: Sequence[tuple[Source, str]]) -> Row:
    """The row of an extractor, from the text that it made of each page."""
    by: dict[str, list[float]] = defaultdict(list)
    snippets = {"leak": [0, 0], "keep": [0, 0]}
    articles = [(text, source.gold) for source, text in pages if source.corpus == "articles"]
    for source, text in pages:
        gold = words(source.gold)
        if source.corpus == "wcxb":
            by["wcxb"].append(word_f1(text, gold))
            by[source.kind].append(by["wcxb"][-1])
            folded = text.casefold()
            for what, wanted in (("leak", source.leave), ("keep", source.keep)):
                snippets[what][0] += sum(snippet.casefold() in folded for snippet in wanted)
                snippets[what][1] += len(wanted)
        elif source.corpus == "portals":
            by["portals"].append(word_f1(text, gold))
        elif source.corpus == "sites":
            by["sites"].append(word_f1(text, gold, words(" ".join(source.neutral))))
            by["sites leak"].append(chrome_leak(text, source))
    scores = {what: fmean(values) for what, values in by.items()}
    scores |= {what: there / max(1, number) for what, (there, number) in snippets.items()}
    return Row(name, scores | {"articles": shingle_f1(articles)})


# --- extractors


def cross_validated(examples: Sequence[Example]) -> tuple[list[tuple[Source, str]], float]:
    """What cleancopy keeps of each page, cross-validated, and the share of pages that asked trafilatura."""
    judged = [each for each in examples if each.layout is not None]
    prepare(judged)
    cross_score(judged, "second")
    cross_score(judged, "voted")
    asked, pages = 0, []
    for each in examples:
        if each.layout is None:
            pages.append((each.source, ""))
            continue
        scores = each.scores["second"]
        threshold, expected = best_cut(scores, each.layout.sizes)
        if expected < SURE:
            scores, asked = each.scores["voted"], asked + 1
            threshold, _ = best_cut(scores, each.layout.sizes)
        kept = (text for text, score in zip(each.texts, scores, strict=True) if score >= threshold)
        pages.append((each.source, "\n".join(kept)))
    return pages, asked / len(examples)


def trafilatura_default(markup: str) -> str:
    """Trafilatura as it comes."""
    from trafilatura import extract

    return extract(markup) or ""


def trafilatura_no_comments(markup: str) -> str:
    """Trafilatura without comments."""
    from trafilatura import extract

    return extract(markup, include_comments=False) or ""


def _resiliparse(markup: str) -> str:
    extract = import_module("resiliparse.extract.html2text").extract_plain_text
    return str(extract(markup, main_content=True))


def _readability(markup: str) -> str:
    from lxml import html

    summary = import_module("readability").Document(markup).summary()
    return str(html.fromstring(summary).text_content())


def _justext(markup: str) -> str:
    justext = import_module("justext")
    paragraphs = justext.justext(markup, justext.get_stoplist("English"))
    return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


def _newspaper(markup: str) -> str:
    article = import_module("newspaper").Article("http://example.org/")
    article.set_html(markup)
    article.parse()
    return str(article.text)


def _boilerpy(markup: str) -> str:
    return str(import_module("boilerpy3.extractors").ArticleExtractor().get_content(markup))


#: Name, module that must be there, extractor.
PEERS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("trafilatura", "trafilatura", trafilatura_default),
    ("trafilatura, no comments", "trafilatura", trafilatura_no_comments),
    ("resiliparse", "resiliparse", _resiliparse),
    ("readability-lxml", "readability", _readability),
    ("justext", "justext", _justext),
    ("newspaper4k", "newspaper", _newspaper),
    ("boilerpy3", "boilerpy3", _boilerpy),
)


def run_peer(peer: int, source: Source) -> str:
    """What a peer makes of a page; nothing where it fails, whatever the way."""
    try:
        return PEERS[peer][2](source.markup())
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError, AssertionError, LxmlError):
        return ""


def peer_rows(sources: Sequence[Source], jobs: int) -> tuple[list[Row], list[str]]:
    """The rows of all peers that are installed, and notes on those that are not."""
    rows, notes = [], []
    for index, (name, module, _) in enumerate(PEERS):
        try:
            import_module(module)
        except ImportError:
            notes.append(f"{name} is not installed: no row")
            continue
        with ProcessPoolExecutor(jobs) as pool:
            texts = list(pool.map(run_peer, [index] * len(sources), sources, chunksize=16))
        rows.append(measure(name, list(zip(sources, texts, strict=True))))
    return rows, notes


# --- speed


def speeds(sources: Sequence[Source]) -> dict[str, float]:
    """Pages a CPU second, bytes to text, on the same pages one after the other, interleaved."""
    from trafilatura import extract

    captures = [Capture(source.markup().encode("utf-8", "replace"), source.name) for source in sources]
    ways: dict[str, Callable[[Capture], object]] = {
        "cleancopy, with metadata": lambda capture: read(capture, Policy()),
        "trafilatura, with metadata": lambda capture: extract(capture.payload, with_metadata=True),
        "trafilatura, text only": lambda capture: extract(capture.payload),
    }
    spent = dict.fromkeys(ways, 0.0)
    for way in ways.values():
        way(captures[0])
    for capture in captures:
        for name, way in ways.items():
            start = time.process_time()
            _ = way(capture)
            spent[name] += time.process_time() - start
    return {name: len(captures) / seconds for name, seconds in spent.items()}


# --- report


def table(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """A Markdown table of scores."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = (f"{row.scores[column]:.3f}" if column in row.scores else "" for column in columns)
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def report(rows: Sequence[Row], asked: float, speed: dict[str, float], notes: Sequence[str]) -> str:
    """The results as Markdown."""
    lines = ["# Content decision: quality", "", "WCXB, word F1 by page type:", ""]
    lines += table(rows, ["wcxb", *PAGE_TYPES])
    lines += ["", "Snippets of WCXB (leak: less is better), and the other corpora:", ""]
    lines += table(rows, ["leak", "keep", "articles", "portals", "sites", "sites leak"])
    lines += ["", f"cleancopy asked trafilatura on {asked:.0%} of the pages.", "", "Pages a CPU second:", ""]
    lines += [f"- {name}: {rate:.1f}" for name, rate in speed.items()]
    lines += ["", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="?", type=Path, default=CORPORA)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    examples = read_examples(given.corpora, given.jobs)
    sources = [each.source for each in examples]
    pages, asked = cross_validated(examples)
    rows, notes = peer_rows(sources, given.jobs)
    rows.insert(0, measure("cleancopy, cross-validated", pages))
    web = [source for source in sources if source.corpus == "wcxb"]
    speed = speeds(web[:: max(1, len(web) // given.pages)])
    given.out.mkdir(parents=True, exist_ok=True)
    text = report(rows, asked, speed, notes)
    (given.out / "quality.md").write_text(text, encoding="utf-8")
    figures = {"rows": {row.name: row.scores for row in rows}, "asked": asked, "pages a CPU second": speed}
    (given.out / "quality.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
