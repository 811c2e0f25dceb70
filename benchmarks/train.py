"""Trains the content decision: rebuilds the files that ship with cleancopy, byte for byte.

    python benchmarks/train.py [folder of the corpora] [--jobs 2] [--out folder]

Every page becomes blocks, and a block is content where the gold text, aligned to the page text, covers half
of it. The first round of trees judges blocks by themselves; its scores of pages that it was not trained on
are measures of the second round. Folds never part the pages of one host, of one site or of one portal.
Tokens of class names, ids and words get log-odds only where they were seen on several hosts.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lightgbm
import numpy as np

from cleancopy.extract.encoding import decode
from cleancopy.extract.html import DECLARED, read_html
from cleancopy.stages.content.by_trafilatura import block_shares
from cleancopy.stages.content.features import Layout, read_layout
from cleancopy.stages.content.model import FOLDER, measures_of
from cleancopy.stages.content.rounds import round_measures
from cleancopy.stages.content.scores import probabilities
from cleancopy.stages.content.tokens import PAGE_KINDS, page_tokens, token_measures, vocabulary

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
SHIPPED = FOLDER
# Words as the corpora's scores count them; Han and Kana by letter, as they are written without spaces.
_LETTERS = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_LETTERS}]|(?:(?![{_LETTERS}])\w)+")
FOLDS = 5
#: Trees of a booster, and how they grow.
TREES = 100
#: Boosters of a round, alike but for their seed: the mean of two errs less than either.
SEEDS = (1, 2)
GROWTH: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.12,
    "num_leaves": 31,
    "min_child_samples": 40,
    "min_sum_hessian_in_leaf": 0.01,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
#: Pages of one site are much alike, so each weighs less; news pages with clean gold are few, so each weighs
#: more; the news pages in five languages are of 2011 and 2012 and teach less of the web of now.
CORPUS_WEIGHT = {
    "first": {"sites": 0.35, "articles": 3.0, "languages": 0.4},
    "second": {"sites": 0.35, "articles": 6.0, "languages": 0.4},
}
#: No page weighs more than this, in gold texts: one whose gold is next to nothing would lead all the others.
#: Only in the second round: rounds that are taught differently err differently, and their mean errs less.
PAGE_WEIGHT = {"first": math.inf, "second": 3.0}
#: From this word F1 on of the blocks that are labelled content, against the gold text, a page is learned from.
#: Below it the gold is empty, or stands elsewhere than in the page as it was captured: its labels say nothing.
LEAST_FOUND = 0.5
#: A token needs so many hosts before its odds count, and twice as many for a word.
HOSTS = 5
TABLES = ("near", "far", "words")
#: Blocks that weigh less are learned from by chance, as often as they weigh, and weigh this much then.
LEAST_WEIGHT = 0.01
#: A token needs so many hosts before it tells kinds of pages apart, and odds of this size for one of them; no
#: odds count for more than the most.
KIND_HOSTS, LEAST_KIND_ODDS, MOST_KIND_ODDS = 12, 0.7, 2.0
#: Of the model's files; goes up when one of them changes.
VERSION = 5


# --- the corpora


@dataclass(frozen=True, slots=True)
class Source:
    """One page of a corpus, with its gold text; ``group`` must not be parted by a fold."""

    corpus: str
    name: str
    kind: str
    group: str
    path: Path
    url: str
    gold: str
    keep: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    chrome: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    title: str = ""

    def markup(self) -> str:
        """The page as text."""
        raw = self.path.read_bytes()
        return decode(gzip.decompress(raw) if self.path.suffix == ".gz" else raw)[0]


def read_corpora(corpora: Path) -> list[Source]:
    """All pages that may be learned from, in a fixed order."""
    return [
        *_wcxb(corpora / "wcxb"),
        *_articles(corpora / "articles"),
        *_portals(corpora / "portals"),
        *_sites(corpora / "sites"),
        *_languages(corpora / "languages"),
    ]


def _wcxb(folder: Path) -> Iterator[Source]:
    for path in sorted((folder / "ground-truth").glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))
        truth = said["ground_truth"]
        url = said.get("url") or truth.get("url") or ""
        yield Source(
            "wcxb", path.stem, said["_internal"]["page_type"]["primary"], _domain(url) or path.stem,
            folder / "html" / f"{path.stem}.html.gz", url, truth.get("main_content") or "",
            tuple(truth.get("with") or ()), tuple(truth.get("without") or ()), title=truth.get("title") or "",
        )  # fmt: skip


def _articles(folder: Path) -> Iterator[Source]:
    for name, truth in sorted(json.loads((folder / "ground-truth.json").read_text(encoding="utf-8")).items()):
        url = truth.get("url") or ""
        path = folder / "html" / f"{name}.html.gz"
        yield Source("articles", name, "news", _domain(url) or name, path, url, truth["articleBody"])


def _portals(folder: Path) -> Iterator[Source]:
    for path in sorted((folder / "gold").glob("*.txt")):
        first, _, rest = decode(path.read_bytes())[0].lstrip().partition("\n")
        url = re.sub(r"^URL:\s*", "", first.strip())
        gold = html.unescape(re.sub(r"(?im)^\s*<[hplbi]>|</?[hplbi]\s*/?>", " ", rest))
        yield Source(
            "portals", path.stem, "portal", _domain(url), folder / "html" / f"{path.stem}.html", url, gold
        )


def _sites(folder: Path) -> Iterator[Source]:
    for path in sorted(folder.glob("*/pages.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            yield Source(
                "sites", f"{path.parent.name}/{said['id']}", path.parent.name, f"site {path.parent.name}",
                path.parent / "html" / f"{said['id']}.html.gz", said["url"], said["gold_text"],
                chrome=tuple(said["chrome_lines"]), neutral=tuple(said["neutral_lines"]),
            )  # fmt: skip


def _languages(folder: Path) -> Iterator[Source]:
    for line in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        url = f"http://{fields['host']}"
        path = folder / "html" / f"{fields['id']}.html.gz"
        yield Source("languages", fields["id"], fields["language"], _domain(url), path, url, fields["gold"])


def _domain(url: str) -> str:
    """The registered domain of an URL, near enough to keep pages of one owner together."""
    parts = (urlsplit(url).hostname or "").lower().split(".")
    short = len(parts) > 2 and len(parts[-1]) == 2 and len(parts[-2]) <= 3
    return ".".join(parts[-3:] if short else parts[-2:])


# --- examples


@dataclass(slots=True)
class Example:
    """A page to learn from or to measure on: its blocks, what is content, what was read off it.

    ``odds`` holds the log-odds of a page's blocks, by round, from trees that never saw its group.
    """

    source: Source
    texts: list[str]
    labels: np.ndarray
    weights: np.ndarray
    layout: Layout | None
    fold: int = 0
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    odds: dict[str, np.ndarray] = field(default_factory=dict)


def example(source: Source) -> Example:
    """The example of a page."""
    page = read_html(source.markup())
    texts = [page.text[block.start : block.end] for block in page.blocks]
    # Text that only JSON-LD has is content by itself, and nothing stands beside it to learn from.
    declared = page.tree is not None and page.tree.find(f".//{DECLARED}") is not None
    layout = read_layout(page) if texts and not declared else None
    labels, found = _labels(
        source.gold, texts, block_shares(page, [line for line in source.gold.split("\n") if line.strip()])
    )
    weights = _weights(source, texts) * (found >= LEAST_FOUND)
    return Example(source, texts, labels, weights, layout)


def _weights(source: Source, texts: Sequence[str]) -> np.ndarray:
    """What a block weighs: its share of the page's gold words, for F1 is averaged over pages."""
    gold = len(WORD.findall(source.gold))
    neutral = {" ".join(line.split()).lower() for line in source.neutral}
    weights = [min(len(WORD.findall(text)) / (gold + 50), 1.0) + 1e-3 for text in texts]
    factors = [0.02 if neutral and " ".join(text.split()).lower() in neutral else 1.0 for text in texts]
    return np.array(weights, np.float64) * np.array(factors)


def _labels(gold: str, texts: Sequence[str], aligned: Sequence[float]) -> tuple[np.ndarray, float]:
    """Which blocks are content, and their word F1: by alignment or by shared word runs, whichever is better."""
    words = [WORD.findall(text.lower()) for text in texts]
    runs = _covered(words, [WORD.findall(line.lower()) for line in gold.split("\n")])
    wanted = Counter(WORD.findall(gold.lower()))
    ways = [aligned, runs, [max(a, b) for a, b in zip(aligned, runs, strict=True)]]
    ways += [[min(a, b) for a, b in zip(aligned, runs, strict=True)]]
    candidates = [np.array([share >= 0.5 for share in way], np.int8) for way in ways]
    found = [round(_word_f1(words, labels, wanted), 9) for labels in candidates]
    best = max(found)
    return candidates[found.index(best)], best


def _word_f1(words: Sequence[list[str]], labels: np.ndarray, gold: Counter[str]) -> float:
    kept = Counter(word for own, label in zip(words, labels, strict=True) if label for word in own)
    return 2 * (kept & gold).total() / max(1, kept.total() + gold.total())


def _covered(blocks: Sequence[list[str]], gold: Sequence[list[str]], size: int = 4) -> list[float]:
    """The share of each block's words in word runs of the gold text; short blocks count as whole lines too."""
    flat = [word for line in gold for word in line]
    runs = {tuple(flat[at : at + size]) for at in range(len(flat) - size + 1)}
    lines = {tuple(line) for line in gold if line}
    words = [word for block in blocks for word in block]
    marks = bytearray(len(words))
    for at in range(len(words) - size + 1):
        if tuple(words[at : at + size]) in runs:
            marks[at : at + size] = b"\1" * size
    shares, at = [], 0
    for block in blocks:
        share = sum(marks[at : at + len(block)]) / len(block) if block else 0.0
        shares.append(1.0 if 0 < len(block) <= 8 and tuple(block) in lines else share)
        at += len(block)
    return shares


def read_examples(corpora: Path, jobs: int) -> list[Example]:
    """The examples of all pages, with their folds."""
    sources = read_corpora(corpora)
    with ProcessPoolExecutor(jobs) as pool:
        examples = list(pool.map(example, sources, chunksize=16))
    folds = fold_of_groups({source.group for source in sources})
    for each in examples:
        each.fold = folds[each.source.group]
    return examples


def fold_of_groups(groups: Iterable[str]) -> dict[str, int]:
    """The fold of each group; whole sites are dealt out by themselves, so that each fold has some."""
    names = sorted(groups)
    random.Random(0).shuffle(names)
    sites = [name for name in names if name.startswith("site ")]
    hosts = [name for name in names if not name.startswith("site ")]
    return {name: index % FOLDS for part in (hosts, sites) for index, name in enumerate(part)}


# --- odds of tokens

Counts = dict[str, dict[str, list[float]]]


def token_counts(examples: Sequence[Example]) -> Counts:
    """For each token the share of its blocks that are chrome and content, summed over hosts, and the hosts."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for each in examples:
        groups[each.source.group].append(each)
    counts: Counts = {table: {} for table in TABLES}
    for name in sorted(groups):
        own: dict[str, dict[str, list[int]]] = {table: defaultdict(lambda: [0, 0]) for table in TABLES}
        for each in groups[name]:
            if each.layout is not None:
                _count_tokens(each.layout, each.labels, own)
        for table, tokens in own.items():
            for token, (chrome, content) in tokens.items():
                total = counts[table].setdefault(token, [0.0, 0.0, 0.0])
                total[0] += chrome / (chrome + content)
                total[1] += content / (chrome + content)
                total[2] += 1
    return counts


def _count_tokens(layout: Layout, labels: np.ndarray, counts: dict[str, dict[str, list[int]]]) -> None:
    of_nodes: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for node, label, words in zip(layout.nodes.tolist(), labels.tolist(), layout.words, strict=True):
        of_nodes[node][label] += 1
        for word in set(words):
            counts["words"][word][label] += 1
    for node, (chrome, content) in of_nodes.items():
        near: set[str] = set()
        far: set[str] = set()
        step = 0
        while node >= 0:
            (near if step < 3 else far).update(layout.names[layout.called[node]])
            node, step = layout.parents[node], step + 1
        for table, tokens in (("near", near), ("far", far)):
            for token in tokens:
                counts[table][token][0] += chrome
                counts[table][token][1] += content


def kind_counts(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """For each token how many hosts have it on pages of each kind, and how many have it at all.

    A host whose pages are of several kinds is shared out; the token that is empty stands for all pages.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for each in examples:
        if each.source.kind in PAGE_KINDS and each.layout is not None:
            groups[each.source.group].append(each)
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(PAGE_KINDS) + 1))
    for name in sorted(groups):
        seen: set[str] = set()
        for each in groups[name]:
            assert each.layout is not None
            tokens = {"", *page_tokens(each.layout)}
            for token in tokens:
                counts[token][PAGE_KINDS.index(each.source.kind)] += 1 / len(groups[name])
            seen |= tokens
        for token in seen:
            counts[token][-1] += 1
    return dict(counts)


def kind_odds(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, list[int]]:
    """For each kind of page the log-odds, in tenths, of the tokens that tell it from the others."""
    total: dict[str, np.ndarray] = {}
    for part in parts:
        for token, numbers in part.items():
            total[token] = total[token] + numbers if token in total else numbers
    pages = total.pop("")[:-1]
    table = {}
    for token in sorted(total):
        own, hosts = total[token][:-1], total[token][-1]
        if hosts < KIND_HOSTS:
            continue
        there = (own + 0.3) / (pages + 3)
        elsewhere = (own.sum() - own + 1) / (pages.sum() - pages + 10)
        found = np.log(there / elsewhere)
        if np.abs(found).max() > LEAST_KIND_ODDS:
            table[token] = (10 * np.clip(found, -MOST_KIND_ODDS, MOST_KIND_ODDS)).round().astype(int).tolist()
    return table


def odds(parts: Sequence[Counts]) -> dict[str, dict[str, Any]]:
    """Log-odds of the tokens that enough hosts have, drawn to 0 where few do."""
    tables: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        total: dict[str, list[float]] = {}
        for part in parts:
            for token, numbers in part[table].items():
                own = total.setdefault(token, [0.0, 0.0, 0.0])
                own[:] = [a + b for a, b in zip(own, numbers, strict=True)]
        least = 2 * HOSTS if table == "words" else HOSTS
        tables[table] = {
            token: round(math.log((content + 0.6) / (chrome + 1.4)) * min(1.0, hosts / 8), 2)
            for token, (chrome, content, hosts) in sorted(total.items())
            if hosts >= least
        }
    return tables


# --- rounds


def grow(examples: Sequence[Example], name: str) -> str:
    """One round of trees over the blocks of the examples, as a LightGBM model file.

    Of the blocks that weigh next to nothing only some are taken, and weigh more: half the time, the same trees
    but for chance.
    """
    rows, labels, weights = [], [], []
    chance = np.random.default_rng(0)
    for each in examples:
        weighs = CORPUS_WEIGHT[name].get(each.source.corpus, 1.0)
        own = each.weights * min(1.0, PAGE_WEIGHT[name] / max(each.weights.sum(), 1e-9)) * weighs
        likely = np.minimum(1, own / LEAST_WEIGHT)
        taken = chance.random(len(likely)) < likely
        rows.append(each.rows[name][taken])
        labels.append(each.labels[taken])
        weights.append(own[taken] / likely[taken])
    names = [measure for measure, _ in measures_of(name)]
    table, label, weight = np.vstack(rows), np.concatenate(labels), np.concatenate(weights)
    grown = []
    for seed in SEEDS:
        data = lightgbm.Dataset(table, label, weight=weight, feature_name=names)
        grown.append(lightgbm.train(GROWTH | {"seed": seed}, data, TREES).model_to_string())
    return mean_of(grown)


def mean_of(models: Sequence[str]) -> str:
    """One model file whose log-odds are the mean of those of some: all their trees, each worth its share."""
    trees: list[str] = []
    for model in models:
        for tree in model.partition("\nend of trees")[0].split("\nTree=")[1:]:
            lines = [_shared(line, len(models)) for line in tree.rstrip().split("\n")[1:]]
            trees.append("\n".join([f"Tree={len(trees)}", *lines, "", "", ""]))
    head = models[0].partition("tree_sizes=")[0]
    sizes = " ".join(str(len(tree)) for tree in trees)
    end = models[0][models[0].index("end of trees") :]
    return f"{head}tree_sizes={sizes}\n\n{''.join(trees)}{end}"


def _shared(line: str, parts: int) -> str:
    """A line of a tree; where it holds what the tree adds to log-odds, a part of it."""
    key, _, numbers = line.partition("=")
    if key not in ("leaf_value", "internal_value"):
        return line
    return f"{key}={' '.join(repr(float(number) / parts) for number in numbers.split())}"


def cross_score(examples: Sequence[Example], name: str) -> None:
    """Score each page with trees grown on the other folds: the log-odds of its blocks."""
    for fold in range(FOLDS):
        booster = lightgbm.Booster(model_str=grow([each for each in examples if each.fold != fold], name))
        for each in examples:
            if each.fold == fold:
                each.odds[name] = booster.predict(each.rows[name], num_threads=1, raw_score=True)


def prepare(examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """Fill in the rows of both rounds; odds and first scores are from folds that lack the page's group.

    The odds of tokens over all folds come back. A page that knew its own labels would teach the trees to trust
    odds and scores more than they deserve.
    """
    folds = [[each for each in examples if each.fold == fold] for fold in range(FOLDS)]
    parts = [(token_counts(own), kind_counts(own)) for own in folds]
    for fold, own in enumerate(folds):
        known = vocabulary(tables_of([part for other, part in enumerate(parts) if other != fold]))
        for each in own:
            assert each.layout is not None
            each.rows["first"] = np.hstack([each.layout.measures, token_measures(each.layout, known)])
    cross_score(examples, "first")
    for each in examples:
        assert each.layout is not None
        first = probabilities(each.odds["first"])
        each.rows["second"] = np.hstack([each.layout.measures, round_measures(each.layout, first)])
    return tables_of(parts)


def tables_of(parts: Sequence[tuple[Counts, dict[str, np.ndarray]]]) -> dict[str, dict[str, Any]]:
    """The odds of tokens, from counts of some folds."""
    return {**odds([counts for counts, _ in parts]), "kinds": kind_odds([kinds for _, kinds in parts])}


def write_model(examples: Sequence[Example], out: Path) -> None:
    """Train on all pages and write the model's files."""
    tables = prepare(examples)
    for name in ("first", "second"):
        (out / f"content_{name}.txt").write_text(grow(examples, name), encoding="utf-8")
    learned = {"tables": tables, "version": VERSION}
    text = json.dumps(learned, ensure_ascii=False, indent=0, sort_keys=True)
    (out / "content_model.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Train on all pages and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="?", type=Path, default=CORPORA)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args()
    write_model(
        [each for each in read_examples(given.corpora, given.jobs) if each.layout is not None], given.out
    )


if __name__ == "__main__":
    main()
