"""What the names of a block's elements and its words tell: log-odds from tables that were learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from cleancopy.stages.content.arrays import Doubles, Floats, Ints
from cleancopy.stages.content.features import Layout

#: Kinds of page that words and element names tell apart; those of WCXB.
PAGE_KINDS = ("article", "documentation", "forum", "product", "collection", "listing", "service")
#: Log-odds of the tokens that a block's elements are called by, near and far, and of its words; the best name
#: among them and how far it is behind the page's best; what kind of page all tokens together speak for.
TOKEN_MEASURES = (
    *(
        (f"{table}_{what}", group)
        for table, group in (("near", "names"), ("far", "names"), ("words", "vocabulary"))
        for what in ("sum", "least", "most", "mean", "count")
    ),
    ("best_name", "names"),
    ("behind_best", "names"),
    *((f"kind_{kind}", "page") for kind in PAGE_KINDS),
)
Tables = Mapping[str, Mapping[str, Any]]
#: Sum, least, most and count of the log-odds of no token.
_NONE = np.array([0.0, np.inf, -np.inf, 0.0])
#: The best name of a block whose elements have none that is known.
_WORST = -9.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tables as arrays: ``numbers`` says which row of them a token has, the last row is of unknown ones.

    ``near``, ``far`` and ``words`` are log-odds, NaN for none; ``kinds`` are those of each kind of page, in
    tenths, ``telling`` says which tokens have some.
    """

    numbers: Mapping[str, int]
    near: Doubles
    far: Doubles
    words: Doubles
    kinds: Ints
    telling: npt.NDArray[np.bool_]


def vocabulary(tables: Tables) -> Vocabulary:
    """The tables of token odds, each token looked up once for all of them."""
    numbers = {
        token: number for number, token in enumerate(dict.fromkeys(chain.from_iterable(tables.values())))
    }
    odds = np.full((3, len(numbers) + 1), np.nan)
    for row, name in zip(odds, ("near", "far", "words"), strict=True):
        row[[numbers[token] for token in tables[name]]] = list(tables[name].values())
    kinds, telling = np.zeros((len(numbers) + 1, len(PAGE_KINDS)), np.int64), np.zeros(len(numbers) + 1, bool)
    rows = [numbers[token] for token in tables["kinds"]]
    if rows:
        kinds[rows], telling[rows] = list(tables["kinds"].values()), True
    return Vocabulary(numbers, odds[0], odds[1], odds[2], kinds, telling)


def token_measures(layout: Layout, vocab: Vocabulary) -> Floats:
    """The log-odds of each block's tokens, summed up (``TOKEN_MEASURES``).

    Near are the block's own element and the two above it, far are all others above.
    """
    parents = np.array([*layout.parents, -1], np.int64)
    names, words = _numbered(layout.names, vocab), _numbered(layout.words, vocab)
    odds = np.concatenate([_odds(*names, vocab.near)[layout.called], [_NONE]])
    at = layout.nodes
    near = odds[at]
    for _ in range(2):
        at = parents[at]
        near = _joined(near, odds[at])
    far = _all_above(_odds(*names, vocab.far)[layout.called].tolist(), layout.parents)[parents[at]]
    kinds = np.tile(_kind_odds([names[0], words[0]], vocab), (len(layout.words), 1))
    best = np.maximum(np.maximum(near[:, 2], far[:, 2]), _WORST)
    named = np.stack([best, best.max() - best], 1).astype(np.float32)
    word_odds = _summed_up(_odds(*words, vocab.words))
    return np.concatenate([_summed_up(near), _summed_up(far), word_odds, named, kinds], axis=1)


def _numbered(tokens: Sequence[Sequence[str]], vocab: Vocabulary) -> tuple[Ints, Ints]:
    """The numbers of all tokens, one after the other, and how many each of the sequences has."""
    sizes = np.fromiter(map(len, tokens), np.int64, len(tokens))
    looked_up = map(vocab.numbers.get, chain.from_iterable(tokens), repeat(len(vocab.numbers)))
    return np.fromiter(looked_up, np.int64, int(sizes.sum())), sizes


def _all_above(odds: list[list[float]], parents: Sequence[int]) -> Doubles:
    """Sum, least, most and count of the odds of each node's names and of all above it; none at the end."""
    whole: list[list[float]] = []
    for here, above in zip(odds, parents, strict=True):
        if above >= 0:
            total, least, most, count = here
            over, low, high, number = whole[above]
            here = [total + over, least if least < low else low, most if most > high else high, count + number]
        whole.append(here)
    return np.array([*whole, _NONE])


def _joined(a: Doubles, b: Doubles) -> Doubles:
    """Sums, least, most and counts of two sets of tokens together."""
    return np.stack([
        a[:, 0] + b[:, 0], np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 2], b[:, 2]),
        a[:, 3] + b[:, 3],
    ], 1)  # fmt: skip


def page_tokens(layout: Layout) -> set[str]:
    """The words of a page and the names of its elements, each once."""
    return set().union(*layout.words, *layout.names)


def _kind_odds(numbers: Sequence[Ints], vocab: Vocabulary) -> Floats:
    """For each kind of page the log-odds of the page's tokens, each token once, in tenths, summed up."""
    there = np.zeros(len(vocab.telling), bool)
    for some in numbers:
        there[some] = True
    telling = np.flatnonzero(there & vocab.telling)
    kinds: Floats = (vocab.kinds[telling].sum(axis=0) / np.sqrt(max(len(telling), 1))).astype(np.float32)
    return kinds


def _odds(numbers: Ints, sizes: Ints, table: Doubles) -> Doubles:
    """For sequences of tokens each sum, least, most and count of the log-odds of those that a table has."""
    odds = table[numbers]
    in_table = ~np.isnan(odds)
    owners, odds = np.repeat(np.arange(len(sizes)), sizes)[in_table], odds[in_table]
    summed = np.tile(_NONE, (len(sizes), 1))
    if len(odds):
        summed[:, 0] = np.bincount(owners, odds, len(sizes))
        summed[:, 3] = np.bincount(owners, minlength=len(sizes))
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        summed[owners[firsts], 1] = np.minimum.reduceat(odds, firsts)
        summed[owners[firsts], 2] = np.maximum.reduceat(odds, firsts)
    return summed


def _summed_up(sums: Doubles) -> Floats:
    """Sum, least, most, mean and count, all 0 where there is none."""
    some = sums[:, 3] > 0
    mean = sums[:, 0] / np.maximum(sums[:, 3], 1)
    columns = [sums[:, 0], np.where(some, sums[:, 1], 0), np.where(some, sums[:, 2], 0), mean, sums[:, 3]]
    return np.stack(columns, 1).astype(np.float32)
