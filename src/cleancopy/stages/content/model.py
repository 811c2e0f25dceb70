"""How likely each block is main content: two rounds of gradient-boosted trees over the features of a page.

The first round judges each block by itself: its words, links and shape, where it stands, what its elements are
called, what kind of page it is on. The second round sees the first one's scores of the blocks around it. A
block's log-odds are the mean of both rounds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cleancopy.extract.html import Page
from cleancopy.stages.content.explain import explain_scores
from cleancopy.stages.content.features import MEASURES, read_layout
from cleancopy.stages.content.rounds import ROUND_MEASURES, round_measures
from cleancopy.stages.content.scores import CLEAR_CHROME, final_scores, probabilities
from cleancopy.stages.content.tokens import TOKEN_MEASURES, Tables, Vocabulary, token_measures, vocabulary
from cleancopy.stages.content.trees import GROUPS, Trees, read_trees

#: Where the files of the model are.
FOLDER = Path(__file__).parent
_ROUNDS = ("first", "second")


@dataclass(frozen=True, slots=True)
class Model:
    """All that was learned: two rounds of trees, the odds of tokens."""

    first: Trees
    second: Trees
    tables: Tables
    vocabulary: Vocabulary


@cache
def model() -> Model:
    """The model that comes with cleancopy, read once."""
    learned = json.loads((FOLDER / "content_model.json").read_text(encoding="utf-8"))
    texts = {name: (FOLDER / f"content_{name}.txt").read_text(encoding="utf-8") for name in _ROUNDS}
    first, second = (read_trees(texts[name], [group for _, group in measures_of(name)]) for name in _ROUNDS)
    return Model(first, second, learned["tables"], vocabulary(learned["tables"]))


def measures_of(name: str) -> list[tuple[str, str]]:
    """The measures that a round of trees asks for, in their order, each with its group."""
    return [*MEASURES, *(TOKEN_MEASURES if name == "first" else ROUND_MEASURES)]


def judge(page: Page, *, learned: Model | None = None) -> list[tuple[float, str]]:
    """For each block of an HTML page the probability that it is main content, and why it is low.

    Blocks that score 0.5 or more have no reason: they stay.
    """
    if not page.blocks:
        return []
    learned = learned or model()
    layout = read_layout(page)
    leaves = learned.first.leaves(np.hstack([layout.measures, token_measures(layout, learned.vocabulary)]))
    odds = learned.first.odds(leaves)
    first = probabilities(odds)
    open_blocks = np.flatnonzero(first >= CLEAR_CHROME)
    around = round_measures(layout, first)[open_blocks]
    later = learned.second.leaves(np.hstack([layout.measures[open_blocks], around]))
    second = odds.copy()
    second[open_blocks] = learned.second.odds(later)
    scores = final_scores(odds, second, layout.sizes)
    cut, low = np.flatnonzero(scores < 0.5), scores[open_blocks] < 0.5
    # What the second round adds stands only for blocks that it was asked about.
    added = np.zeros((len(scores), len(GROUPS)), np.float32)
    added[open_blocks[low]] = learned.second.reasons(later[low])
    rounds = learned.first.reasons(leaves[cut]), added[cut]
    why = dict(zip(cut.tolist(), explain_scores(page, layout, learned.tables, first, rounds, cut), strict=True))
    return [(score, why.get(index, "")) for index, score in enumerate(scores.tolist())]
