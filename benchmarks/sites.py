"""How much of real sites' chrome goes and how much of their content stays, with what it takes to learn it.

    python benchmarks/sites.py [--sites FOLDER] [--hosts FOLDER] [--scores FILE] [--quick] [site ...]

Sites: each page is cleaned under a chrome learned from the other half of its site, both ways round, as text
and as HTML; by chrome alone, and by all stages. Words count against the gold text as bags, neutral words not
against precision; *leak* is the share of a page's chrome lines that are still there. The learning curve
learns from the first N pages of the other half. The last rows change one constant at a time, to show that
none is fitted to these sites.

Hosts: the hosts of a second corpus that have three distinct pages or more, learned from all their pages as
an ingest does: snippets that must go and are still there (leaked) and word recall, with and without learned
chrome, and which share of the words that chrome cuts belongs to the gold text.

The content model that ships has seen both corpora. With ``--scores`` blocks are scored by trees that never
saw a page's site or host; they are kept in that file, and made anew (some ten minutes) where it is missing.
Results go to ``benchmarks/results/sites.{md,json}`` and ``sites-curve.svg``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cleancopy.clean import apply_stages
from cleancopy.document import Document
from cleancopy.errors import Rejection
from cleancopy.extract.encoding import decode
from cleancopy.extract.html import Page, read_html, read_plain
from cleancopy.policy import ChromePolicy, ContentPolicy, Policy
from cleancopy.stages.chrome import placement
from cleancopy.stages.chrome.cut import SiteChrome, cut_chrome, learn_chrome
from cleancopy.stages.content.select import score_blocks

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
RESULTS = Path(__file__).with_name("results")
CURVE = (2, 3, 5, 10, 30)
POLICY = ChromePolicy()
ALL_STAGES = Policy()
#: Constants that are changed one at a time, with the values to try.
CHANGES: Mapping[str, Sequence[float]] = {
    "fraction": (0.4, 0.6),
    "near": (0.5, 0.7),
    "SOLID": (2, 4),
    "SHORT": (8, 14),
    "_GAP_WORDS": (40, 90),
    "_OWN_LIMIT": (60, 160),
}

Gold = dict[str, Any]
Scores = tuple[float, float, float, float]
Pages = list[tuple[Gold, Document]]
Cleaner = Callable[[Document, SiteChrome | None], str]
BlockScores = Mapping[str, Sequence[float]]


# --- pages


def load(folder: Path, *, html: bool, scores: BlockScores | None = None) -> Pages:
    """The pages of a site with their gold: as HTML, or as their visible lines alone."""
    pages = []
    for line in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines():
        gold = json.loads(line)
        if html:
            markup = gzip.decompress((folder / "html" / f"{gold['id']}.html.gz").read_bytes())
            page = _scored(read_html(decode(markup)[0]), f"{folder.name}/{gold['id']}", scores)
        else:
            page = read_plain(gold["all_text"])
        pages.append((gold, document(page, gold["url"], folder.name, html=html)))
    return pages


def _scored(page: Page, name: str, scores: BlockScores | None) -> Page:
    """The page with content scores: those given for it, or the shipped model's where None is given at all."""
    if scores is None:
        return page
    if not scores:
        return replace(page, blocks=score_blocks(page, ContentPolicy()))
    blocks = zip(page.blocks, scores[name], strict=True)
    return replace(page, blocks=tuple(block._replace(score=score) for block, score in blocks))


def document(page: Page, url: str, site: str, *, html: bool) -> Document:
    """A page as the stages get it."""
    kind = "text/html" if html else "text/plain"
    return Document(key=url, text=page.text, blocks=page.blocks, url=url, site=site, media_type=kind)


def fold_scores(file: Path) -> dict[str, list[float]]:
    """For each page of the corpora the scores of its blocks by trees that never saw its group."""
    if file.is_file():
        found: dict[str, list[float]] = json.loads(gzip.decompress(file.read_bytes()))
        return found
    from quality import cross_validated

    judged = cross_validated(CORPORA, 1)
    made = {name.partition("/")[2]: scores for name, scores in judged.items() if scores}
    file.write_bytes(gzip.compress(json.dumps(made).encode(), mtime=0))
    return made


# --- scores


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


def mean(scores: Iterable[Scores]) -> Scores:
    """The average of each score."""
    f1, precision, recall, leaked = (sum(column) / len(column) for column in zip(*scores, strict=True))
    return f1, precision, recall, leaked


# --- what cleans


def as_it_is(document: Document, _: SiteChrome | None) -> str:
    """The whole text of a page."""
    return document.text


def cut(document: Document, chrome: SiteChrome | None, policy: ChromePolicy = POLICY) -> str:
    """The text of a page without its chrome; no other stage runs."""
    return document.with_cuts(cut_chrome(document, policy, chrome)).clean


def by_all_stages(document: Document, chrome: SiteChrome | None) -> str:
    """The text of a page as every stage leaves it; none where it is rejected."""
    try:
        return apply_stages(document, ALL_STAGES, chrome).clean
    except Rejection:
        return ""


def without_chrome(document: Document, _: SiteChrome | None) -> str:
    """The text of a page as every stage leaves it with no learned chrome."""
    return by_all_stages(document, None)


# --- sites


Halves = list[tuple[SiteChrome, Pages]]


def halves(pages: Pages, most: int | None = None, policy: ChromePolicy = POLICY) -> Halves:
    """Each half of a site with the chrome that was learned from the other (from its first ``most`` pages)."""
    found: Halves = []
    for half in (0, 1):
        others = [document for _, document in pages[1 - half :: 2]][:most]
        chrome = learn_chrome(others, site=others[0].site or "", policy=policy)
        found.append((chrome, pages[half::2]))
    return found


def scored(parts: Halves, cleaner: Cleaner = cut) -> Scores:
    """The scores of a site's pages, each under the chrome of the half that it is not in."""
    return mean(score(gold, cleaner(one, chrome)) for chrome, pages in parts for gold, one in pages)


Row = dict[str, Any]


def row(form: str, what: str, scores: Scores) -> Row:
    """A row of the tables, printed at once."""
    f1, precision, recall, leaked = scores
    print(f"{form:5}{what:44}{f1:8.4f}{precision:8.4f}{recall:8.4f}{100 * leaked:7.2f} %", flush=True)
    numbers = {"f1": f1, "precision": precision, "recall": recall, "leak": leaked}
    return {"form": form, "what": what} | {name: round(number, 4) for name, number in numbers.items()}


def sites(loaded: Mapping[str, Pages], form: str) -> Iterator[Row]:
    """The rows of the sites in one form: what cleans, by site, and the learning curve."""
    cleaners: dict[str, Cleaner] = {"as it is": as_it_is, "chrome alone": cut}
    cleaners |= {"all stages, no learned chrome": without_chrome, "all stages": by_all_stages}
    learned = {name: halves(pages) for name, pages in loaded.items()}
    for what, cleaner in cleaners.items():
        averages = {name: scored(parts, cleaner) for name, parts in learned.items()}
        if cleaner in (cut, by_all_stages):
            for name, scores in averages.items():
                yield row(form, f"{what}: {name}", scores)
        yield row(form, what, mean(averages.values()))
    for most in CURVE:
        learned = {name: halves(pages, most) for name, pages in loaded.items()}
        for what in ("chrome alone", "all stages") if form == "HTML" else ("chrome alone",):
            curve = [scored(parts, cleaners[what]) for parts in learned.values()]
            yield row(form, f"{what}, learned from {most} pages", mean(curve)) | {"pages": most}


def changed(loaded: Mapping[str, Pages], form: str) -> Iterator[Row]:
    """The rows of chrome alone with one constant changed."""
    for name, values in CHANGES.items():
        for value in values:
            with _constant(name, value) as policy:
                cleaner = partial(cut, policy=policy)
                scores = [scored(halves(pages, policy=policy), cleaner) for pages in loaded.values()]
            yield row(form, f"{name.strip('_').lower()} = {value}", mean(scores))


@contextmanager
def _constant(name: str, value: float) -> Iterator[ChromePolicy]:
    """The policy with a setting changed, or the usual one while a constant of the stage is changed."""
    if hasattr(POLICY, name):
        yield replace(POLICY, **{name: value})
        return
    before = getattr(placement, name)
    setattr(placement, name, value)
    try:
        yield POLICY
    finally:
        setattr(placement, name, before)


# --- hosts


def hosts(folder: Path, scores: BlockScores, forms: Sequence[str] = ("text", "HTML")) -> Iterator[Row]:
    """The rows of the hosts with three distinct pages or more, as text and as HTML."""
    groups: dict[str, list[Gold]] = defaultdict(list)
    for path in sorted(folder.glob("ground-truth/*.json")):
        gold = json.loads(path.read_text(encoding="utf-8")) | {"file": path.stem}
        groups[(urlsplit(gold.get("url") or "").hostname or "").removeprefix("www.")].append(gold)
    groups = {host: golds for host, golds in groups.items() if host and len(golds) >= 3}
    for form in forms:
        found: Counter[str] = Counter()
        for host, golds in sorted(groups.items()):
            pages = [(gold["ground_truth"], _host_page(folder, gold, host, form, scores)) for gold in golds]
            chrome = learn_chrome([one for _, one in pages], site=host, policy=POLICY)
            if chrome.pages >= 3:
                found += sum((_counted(truth, one, chrome) for truth, one in pages), Counter(hosts=1))
        yield _host_row(form, found)


def _host_page(folder: Path, gold: Gold, host: str, form: str, scores: BlockScores) -> Document:
    markup = gzip.decompress((folder / "html" / f"{gold['file']}.html.gz").read_bytes())
    page = read_html(decode(markup)[0])
    page = _scored(page, gold["file"], scores) if form == "HTML" else read_plain(page.text)
    return document(page, gold["url"], host, html=form == "HTML")


def _counted(truth: Gold, one: Document, chrome: SiteChrome) -> Counter[str]:
    """What is cut, kept, lost and leaked on one page."""
    gold, before, after = words(truth["main_content"] or ""), words(one.text), words(cut(one, chrome))
    plain, learned = without_chrome(one, None), by_all_stages(one, chrome)
    found = Counter(
        pages=1,
        cut=before.total() - after.total(),
        gold_cut=((gold & before) - after).total(),
        gold=gold.total(),
        plain_right=(gold & words(plain)).total(),
        learned_right=(gold & words(learned)).total(),
    )
    for text, name in ((one.text, "raw"), (plain, "plain"), (learned, "learned")):
        low = text.lower()
        found[f"{name}_leaked"] = sum(snippet.lower() in low for snippet in truth.get("without") or ())
        found[f"{name}_kept"] = sum(snippet.lower() in low for snippet in truth.get("with") or ())
    return found


def _host_row(form: str, found: Counter[str]) -> Row:
    told: Row = {"form": form} | {name: found[name] for name in sorted(found)}
    told |= {
        "gold_share_of_cut": found["gold_cut"] / max(1, found["cut"]),
        "leaked_with_to_without": found["learned_leaked"] / max(1, found["plain_leaked"]),
        "recall_loss": (found["plain_right"] - found["learned_right"]) / max(1, found["gold"]),
    }
    print(
        f"{form}: {found['hosts']} hosts, {found['pages']} pages; snippets leaked {found['plain_leaked']} "
        f"without and {found['learned_leaked']} with learned chrome, of {found['raw_leaked']} there; "
        f"{told['gold_share_of_cut']:.2%} of the words cut are gold; recall loss {told['recall_loss']:.2%}",
        flush=True,
    )
    return told


# --- results


def report(rows: Sequence[Row], host_rows: Sequence[Row], seconds: float, scored: str) -> str:
    """The tables in Markdown."""
    lines = ["# Site chrome: quality", "", f"Content scores: {scored}. {seconds:.0f} CPU seconds.", ""]
    lines += ["| form | what cleans | F1 | precision | recall | leak |", "|---|---|---:|---:|---:|---:|"]
    for one in rows:
        numbers = " | ".join(f"{one[name]:.4f}" for name in ("f1", "precision", "recall"))
        lines.append(f"| {one['form']} | {one['what']} | {numbers} | {one['leak']:.2%} |")
    lines += ["", "Hosts with three distinct pages or more, learned from all of them:", ""]
    lines += [
        "| form | hosts | pages | snippets there | leaked without learned chrome | leaked with it "
        "| gold words of those cut | recall loss |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in host_rows:
        counts = [one[n] for n in ("hosts", "pages", "raw_leaked", "plain_leaked", "learned_leaked")]
        shares = [f"{one[name]:.2%}" for name in ("gold_share_of_cut", "recall_loss")]
        lines.append(f"| {' | '.join([one['form'], *map(str, counts), *shares])} |")
    return "\n".join([*lines, "", "![Learning curve](sites-curve.svg)", ""])


def plot(rows: Sequence[Row], file: Path) -> None:
    """The learning curve, F1 and leak over the pages that were learned from."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "sites"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    series: dict[str, list[Row]] = defaultdict(list)
    for one in rows:
        if "pages" in one:
            series[f"{one['form']}, {one['what'].partition(',')[0]}"].append(one)
    for name, points in series.items():
        pages = [one["pages"] for one in points]
        axes[0].plot(pages, [one["f1"] for one in points], marker="o", label=name)
        axes[1].plot(pages, [100 * one["leak"] for one in points], marker="o", label=name)
    for axis, title in zip(axes, ("word F1", "chrome lines leaked, %"), strict=True):
        axis.set(title=title, xlabel="pages learned from", xscale="log", xticks=CURVE, xticklabels=CURVE)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[1].set_yscale("symlog", linthresh=0.1)
    axes[0].legend(fontsize=8)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="site", help="sites of the folder; all without any")
    parser.add_argument("--sites", type=Path, default=CORPORA / "sites")
    parser.add_argument("--hosts", type=Path, default=CORPORA / "wcxb")
    parser.add_argument("--scores", type=Path, help="file of block scores by trees that never saw the site")
    parser.add_argument("--quick", action="store_true", help="leave out the changed constants")
    given = parser.parse_args(arguments)
    if not given.sites.is_dir():
        parser.error(f"{given.sites} is no folder of sites; give --sites")
    started = time.process_time()
    scores: BlockScores = fold_scores(given.scores) if given.scores else {}
    names = given.names or sorted(p.parent.name for p in given.sites.glob("*/pages.jsonl"))
    rows: list[Row] = []
    for form in ("text", "HTML"):
        loaded = {name: load(given.sites / name, html=form == "HTML", scores=scores) for name in names}
        rows += sites(loaded, form)
        rows += changed(loaded, form) if form == "text" and not given.quick else ()
    host_rows = list(hosts(given.hosts, scores)) if given.hosts.is_dir() else []
    if given.names:
        return
    scored = "cross-validated, no page's site was seen" if scores else "the shipped model, which has seen them"
    RESULTS.mkdir(exist_ok=True)
    plot(rows, RESULTS / "sites-curve.svg")
    (RESULTS / "sites.md").write_text(report(rows, host_rows, time.process_time() - started, scored))
    told = {"content scores": scored, "sites": rows, "hosts": host_rows}
    (RESULTS / "sites.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
