"""Scores of clean text against gold text, by the measures that the corpora come with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from train import WORD, Source

#: With fewer hosts, portals or sites than this, intervals are of pages.
FEWEST_GROUPS = 5
#: The scope of WCXB's pages where the words of their titles are neutral.
UNTITLED = "wcxb, titles neutral"


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1, fractions of one; precision is None where there was no text to judge."""

    precision: float | None
    recall: float
    f1: float


def words(text: str) -> Counter[str]:
    """The bag of a text's words."""
    return Counter(WORD.findall(text.lower()))


def word_score(text: str, gold: Counter[str], free: Counter[str] | None = None) -> Score:
    """The score of the words of a text; words of ``free`` that are too many count neither way.

    Without a right word all three are 0, on a page whose gold text is empty too.
    """
    found = words(text)
    right = (found & gold).total()
    wrong = ((found - gold) - (free or Counter())).total()
    f1 = 2 * right / max(1, right + wrong + gold.total())
    return Score(right / max(1, right + wrong), right / max(1, gold.total()), f1)


def untitled_score(text: str, gold: Counter[str], title: Counter[str]) -> Score:
    """The score of the words of a text, where those of the title count neither for nor against it.

    Each word of the title is passed over once: where it is too many, else where it is missing, else where it is
    right.
    """
    made = words(text)
    wrong, missing, right = made - gold, gold - made, made & gold
    for bag in (wrong, missing, right):
        passed = bag & title
        title = title - passed
        bag.subtract(passed)
    found = right.total()
    precision, recall = found / max(1, found + wrong.total()), found / max(1, found + missing.total())
    return Score(precision, recall, 2 * found / max(1, 2 * found + wrong.total() + missing.total()))


def shingles(text: str, size: int = 4) -> Counter[tuple[str, ...]]:
    """The bag of a text's runs of four words, as in Zyte's article extraction benchmark."""
    found = WORD.findall(text)
    runs = (tuple(found[at : at + size]) for at in range(max(1, len(found) - size + 1)))
    return Counter(run for run in runs if run)


def shingle_score(text: str, gold: str) -> Score:
    """The score of a page's runs of four words; pages without any text have no precision."""
    found, wanted = shingles(text), shingles(gold)
    both = (found & wanted).total()
    precision = both / found.total() if found else None
    return Score(precision, both / max(1, wanted.total()), 2 * both / max(1, found.total() + wanted.total()))


def page_score(source: Source, text: str) -> Score:
    """The score of a page by the measure of its corpus."""
    if source.corpus == "articles":
        return shingle_score(text, source.gold)
    return word_score(text, words(source.gold), words(" ".join(source.neutral)) if source.neutral else None)


def mean_score(corpus: str, scores: Sequence[Score]) -> Score:
    """The average of pages: each number by itself, but F1 of the averages for articles, as Zyte has it."""
    precision = fmean([score.precision for score in scores if score.precision is not None] or [0.0])
    recall = fmean(score.recall for score in scores)
    if corpus == "articles":
        return Score(precision, recall, 2 * precision * recall / max(1e-9, precision + recall))
    return Score(precision, recall, fmean(score.f1 for score in scores))


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


def snippets_there(text: str, snippets: Sequence[str]) -> int:
    """How many of the snippets a text has, whatever their case."""
    folded = text.casefold()
    return sum(snippet.casefold() in folded for snippet in snippets)


@dataclass(frozen=True, slots=True)
class Made:
    """What a tool made of one page: its text, and why there is none where it raised."""

    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What a tool made of the corpora: its score by corpus and page type, shares of snippets, failed pages."""

    name: str
    scores: dict[str, Score]
    shares: dict[str, float]
    failures: dict[str, int]
    pages: dict[str, list[Score]] = field(repr=False)


def measure(name: str, sources: Sequence[Source], made: Sequence[Made]) -> Row:
    """The row of a tool, from what it made of each page."""
    pages: dict[str, list[Score]] = defaultdict(list)
    there: dict[str, list[int]] = {"leak": [0, 0], "keep": [0, 0]}
    leaks = []
    for source, one in zip(sources, made, strict=True):
        score = page_score(source, one.text)
        pages[source.corpus].append(score)
        if source.corpus == "wcxb":
            pages[source.kind].append(score)
            pages[UNTITLED].append(untitled_score(one.text, words(source.gold), words(source.title)))
            for share, snippets in (("leak", source.leave), ("keep", source.keep)):
                there[share][0] += snippets_there(one.text, snippets)
                there[share][1] += len(snippets)
        elif source.corpus == "languages":
            pages[source.kind].append(score)
            if source.kind != "English":
                pages["other than English"].append(score)
        elif source.corpus == "sites":
            leaks.append(chrome_leak(one.text, source))
    scores = {scope: mean_score(scope, list(own)) for scope, own in pages.items()}
    shares = {share: found / number for share, (found, number) in there.items() if number}
    if leaks:
        shares["sites leak"] = fmean(leaks)
    failed = Counter(source.corpus for source, one in zip(sources, made, strict=True) if one.error)
    return Row(name, scores, shares, dict(failed), dict(pages))


def interval(
    scope: str, groups: Sequence[str], one: Sequence[Score], other: Sequence[Score]
) -> tuple[float, float]:
    """The 95 % interval of the difference in F1 of two tools, over 1,000 draws of whole groups of pages."""
    # Two portals are too few to draw from: there it is pages that are drawn.
    few = len(set(groups)) < FEWEST_GROUPS
    index = np.arange(len(groups)) if few else np.unique(np.array(groups), return_inverse=True)[1]
    draws = np.random.default_rng(0).integers(0, index.max() + 1, (1000, index.max() + 1))
    f1s = []
    for scores in (one, other):
        precision = np.array([np.nan if score.precision is None else score.precision for score in scores])
        known, recall = ~np.isnan(precision), np.array([score.recall for score in scores])
        f1 = np.array([score.f1 for score in scores])
        drawn = []
        for draw in draws:
            weight = np.bincount(draw, minlength=index.max() + 1)[index].astype(float)
            if scope == "articles":
                p = (precision[known] @ weight[known]) / weight[known].sum()
                r = recall @ weight / weight.sum()
                drawn.append(2 * p * r / (p + r))
            else:
                drawn.append(f1 @ weight / weight.sum())
        f1s.append(np.array(drawn))
    low, high = np.percentile(f1s[0] - f1s[1], [2.5, 97.5])
    return float(low), float(high)
