"""How much of seven real sites' chrome goes, and how much of their content stays.

    python benchmarks/sites.py [--sites FOLDER] [--hosts FOLDER] [site ...]

Each page is cut by a chrome learned from the other half of its site, both ways round; no other stage runs.
Words count against the gold text as bags, neutral words not against precision; *leak* is the share of a
page's chrome lines that are still there. The learning curve learns from the first N pages of the other
half. The last table takes the hosts of a second corpus that have three pages or more: which share of the
words that chrome cuts belongs to the gold text, and how many of its marked snippets go and stay.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cleancopy.blocks import Page, read_html, read_plain
from cleancopy.document import Document
from cleancopy.policy import ChromePolicy
from cleancopy.stages.chrome import SiteChrome, cut_chrome, learn_chrome

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
CURVE = (2, 3, 5, 10, 30)
POLICY = ChromePolicy()

Gold = dict[str, Any]
Scores = tuple[float, float, float, float]
Pages = list[tuple[Gold, Document]]


def load(folder: Path, *, html: bool) -> Pages:
    """The pages of a site with their gold: as HTML, or as their visible lines alone."""
    pages = []
    for line in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines():
        gold = json.loads(line)
        if html:
            markup = gzip.decompress((folder / "html" / f"{gold['id']}.html.gz").read_bytes())
            page = read_html(markup.decode("utf-8", "replace"))
        else:
            page = read_plain(gold["all_text"])
        pages.append((gold, document(page, gold["url"], folder.name)))
    return pages


def document(page: Page, url: str, site: str) -> Document:
    """A page as the stage gets it."""
    return Document(key=url, text=page.text, blocks=page.blocks, url=url, site=site)


def words(text: str) -> Counter[str]:
    """The words of a text as a bag."""
    return Counter(re.findall(r"\w+", text.lower()))


def score(gold: Gold, text: str) -> Scores:
    """F1, precision, recall and leak of a text against the gold of its page."""
    out, right, neutral = words(text), words(gold["gold_text"]), words("\n".join(gold["neutral_lines"]))
    shared = (out & right).total()
    precision = shared / max(1, shared + (out - right - neutral).total())
    recall = shared / max(1, right.total())
    f1 = 2 * precision * recall / (precision + recall) if shared else 0.0
    return f1, precision, recall, leak(gold, text)


def leak(gold: Gold, text: str) -> float:
    """The share of a page's chrome lines, not also in its gold, that are in the text."""
    chrome = {" ".join(line.lower().split()) for line in gold["chrome_lines"]} - {""}
    lines = [line for line in chrome if not _has(gold["gold_text"], line)]
    return sum(_has(text, line) for line in lines) / len(lines) if lines else 0.0


def _has(text: str, line: str) -> bool:
    """Whether a line stands in a text: anywhere, or, of one or two words, as a line of its own."""
    if len(re.findall(r"\w+", line)) >= 3:
        return line in " ".join(text.lower().split())
    return line in {" ".join(one.split()) for one in text.lower().splitlines()}


def cut(document: Document, chrome: SiteChrome | None) -> str:
    """The text of a page without its chrome."""
    return document.with_cuts(cut_chrome(document, POLICY, chrome)).clean


def by_halves(pages: Pages, most: int | None = None) -> Iterator[Scores]:
    """The scores of each page under the chrome of the other half (of its first ``most`` pages)."""
    for half in (0, 1):
        others = [document for _, document in pages[1 - half :: 2]][:most]
        chrome = learn_chrome(others, site=others[0].site or "", policy=POLICY)
        for gold, one in pages[half::2]:
            yield score(gold, cut(one, chrome))


def mean(scores: Iterable[Scores]) -> Scores:
    """The average of each score."""
    f1, precision, recall, leaked = (sum(column) / len(column) for column in zip(*scores, strict=True))
    return f1, precision, recall, leaked


def show(name: str, scores: Scores, note: str = "") -> None:
    """Print one row."""
    f1, precision, recall, leaked = scores
    print(f"{name:34}{f1:8.4f}{precision:8.4f}{recall:8.4f}{100 * leaked:7.2f} %  {note}", flush=True)


def sites(folder: Path, names: Sequence[str]) -> None:
    """Print the table of the sites, text and HTML, and the learning curve."""
    print(f"{'':34}{'F1':>8}{'prec.':>8}{'recall':>8}{'leak':>9}")
    for html in (False, True):
        form = "HTML" if html else "text"
        loaded = {name: load(folder / name, html=html) for name in names}
        raw = [mean(score(gold, one.text) for gold, one in pages) for pages in loaded.values()]
        show(f"{form}, as it is", mean(raw))
        averages = []
        for name, pages in loaded.items():
            started = time.process_time()
            averages.append(mean(by_halves(pages)))
            note = f"{len(pages)} pages, {time.process_time() - started:.1f} s with scoring"
            show(f"{form}, {name}", averages[-1], note)
        show(f"{form}, all sites", mean(averages))
        for most in CURVE:
            curve = [mean(by_halves(pages, most)) for pages in loaded.values()]
            show(f"{form}, learned from {most} pages", mean(curve))


def hosts(folder: Path) -> None:
    """Print what chrome alone cuts on the hosts with three pages or more."""
    groups: dict[str, list[Path]] = defaultdict(list)
    golds = {
        path: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("ground-truth/*.json"))
    }
    for path, gold in golds.items():
        if gold.get("url"):
            groups[(urlsplit(gold["url"]).hostname or "").removeprefix("www.")].append(path)
    groups = {host: paths for host, paths in groups.items() if len(paths) >= 3}
    for html in (False, True):
        found: Counter[str] = Counter()
        for host, paths in sorted(groups.items()):
            found += _host(folder, host, {path: golds[path] for path in paths}, html=html)
        form, lost = "HTML" if html else "text", found["gold"] / max(1, found["cut"])
        print(
            f"{form}: {len(groups)} hosts, {found['pages']} pages, {found['cut']:,} words cut, "
            f"{lost:.2%} of them gold; {found['gone']} of {found['without']} snippets that must go are gone, "
            f"{found['kept']} of {found['with']} that must stay are there"
        )


def _host(folder: Path, host: str, golds: dict[Path, Gold], *, html: bool) -> Counter[str]:
    """What is cut, kept and lost on the pages of one host."""
    pages = []
    for path, gold in golds.items():
        markup = gzip.decompress((folder / "html" / f"{path.stem}.html.gz").read_bytes())
        page = read_html(markup.decode("utf-8", "replace"))
        pages.append(
            (gold["ground_truth"], document(page if html else read_plain(page.text), gold["url"], host))
        )
    chrome = learn_chrome([one for _, one in pages], site=host, policy=POLICY)
    found: Counter[str] = Counter()
    for truth, one in pages:
        before, after = words(one.text), words(cut(one, chrome))
        gold_lost = (words(truth["main_content"] or "") & before) - after
        found += Counter(pages=1, cut=before.total() - after.total(), gold=gold_lost.total())
        found += _snippets(truth, one.text.lower(), cut(one, chrome).lower())
    return found


def _snippets(truth: Gold, before: str, after: str) -> Counter[str]:
    without = [one for one in truth.get("without") or [] if one.lower() in before]
    kept = [one for one in truth.get("with") or [] if one.lower() in before]
    return Counter(
        {
            "without": len(without),
            "gone": sum(one.lower() not in after for one in without),
            "with": len(kept),
            "kept": sum(one.lower() in after for one in kept),
        }
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="site", help="sites of the folder; all without any")
    parser.add_argument("--sites", type=Path, default=CORPORA / "sites")
    parser.add_argument("--hosts", type=Path, default=CORPORA / "wcxb")
    given = parser.parse_args(arguments)
    if not given.sites.is_dir():
        parser.error(f"{given.sites} is no folder of sites; give --sites")
    sites(given.sites, given.names or sorted(p.parent.name for p in given.sites.glob("*/pages.jsonl")))
    if given.hosts.is_dir():
        hosts(given.hosts)


if __name__ == "__main__":
    main()
