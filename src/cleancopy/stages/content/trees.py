"""Gradient-boosted trees with reasons.

What a tree adds to a score on its way down counts for the measure that it asked (Saabas, "Interpreting random
forests", 2014), so a score comes with its reasons at no extra cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cleancopy.stages.content.arrays import Doubles, Floats, Ints

#: What a score can be explained by.
GROUPS = (
    "links", "length", "prose", "wording", "shape", "places", "container", "position", "headline", "copies",
    "alike", "names", "declared", "vocabulary", "neighbours", "around", "page", "first",
)  # fmt: skip
GROUP_INDEX = {group: index for index, group in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class Trees:
    """One round of trees: LightGBM finds the leaves, the leaves' values and reasons are kept here.

    Row i of ``contributions`` says what leaf i of all leaves adds to the score for each group of measures.
    """

    booster: Any
    offsets: Ints
    values: Doubles
    contributions: Floats

    def leaves(self, rows: Floats) -> Ints:
        """The leaf that each row falls into in each tree, numbered over all trees."""
        if not len(rows):
            return np.empty((0, len(self.offsets)), np.int64)
        numbers: npt.NDArray[Any] = self.booster.predict(rows, pred_leaf=True, num_threads=1)
        return numbers.reshape(len(rows), -1).astype(np.int64) + self.offsets

    def odds(self, leaves: Ints) -> Doubles:
        """The log-odds of each row."""
        odds: Doubles = self.values[leaves].sum(axis=1)
        return odds

    def reasons(self, leaves: Ints) -> Floats:
        """For each row, what each group of measures adds to its log-odds."""
        from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

        ends = np.arange(len(leaves) + 1) * leaves.shape[1]
        landed = csr_matrix(
            (np.ones(leaves.size, np.float32), leaves.ravel(), ends), (len(leaves), len(self.contributions))
        )
        reasons: Floats = landed @ self.contributions
        return reasons


def read_trees(text: str, groups: Sequence[str]) -> Trees:
    """The trees of a LightGBM model file; ``groups`` names the group of each of its measures."""
    import lightgbm

    offsets: list[int] = []
    values: list[float] = []
    contributions: list[Floats] = []
    for block in text.split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
        leaves = [float(number) for number in fields["leaf_value"].split()]
        offsets.append(len(values))
        values += leaves
        contributions.append(_contributions(fields, leaves, groups))
    booster = lightgbm.Booster(model_str=text)
    return Trees(booster, np.array(offsets), np.array(values), np.concatenate(contributions))


def _contributions(fields: Mapping[str, str], leaves: list[float], groups: Sequence[str]) -> Floats:
    """What each leaf of one tree adds for each group: the steps in value on the way from the root."""
    rows = np.zeros((len(leaves), len(GROUPS)), np.float32)
    if len(leaves) == 1:
        return rows
    asked = [GROUP_INDEX[groups[int(index)]] for index in fields["split_feature"].split()]
    inner = [float(number) for number in fields["internal_value"].split()]
    below = [[int(child) for child in fields[side].split()] for side in ("left_child", "right_child")]
    paths: list[tuple[int, npt.NDArray[np.float32]]] = [(0, np.zeros(len(GROUPS), np.float32))]
    while paths:
        node, so_far = paths.pop()
        for side in below:
            child = side[node]
            sums = so_far.copy()
            sums[asked[node]] += (inner[child] if child >= 0 else leaves[~child]) - inner[node]
            if child >= 0:
                paths.append((child, sums))
            else:
                rows[~child] = sums
    return rows
