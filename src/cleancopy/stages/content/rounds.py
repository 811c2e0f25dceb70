"""The measures of the second round: the first round's scores of a block and of those around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cleancopy.stages.content.arrays import Doubles, Floats, Ints, shifted
from cleancopy.stages.content.elements import locate_main
from cleancopy.stages.content.features import Layout

_STEPS = tuple(step for step in range(-5, 6) if step)
_RADII = (5, 15, 40)
ROUND_MEASURES = (
    ("first", "first"),
    *((f"first{step:+d}", "around") for step in _STEPS),
    *((f"first_within_{radius}", "around") for radius in _RADII),
    ("first_page", "around"),
    *((f"first_{what}", "around") for what in ("element", "container", "alike")),
    ("first_before", "around"),
    ("first_after", "around"),
    ("first_so_far", "around"),
    *((f"held_{what}", "around") for what in ("element", "container", "alike")),
    ("main_steps", "around"),
    ("main_depth", "around"),
)


def round_measures(layout: Layout, first: Doubles) -> Floats:
    """The first round's scores of each block and of those around it (``ROUND_MEASURES``)."""
    weight = layout.sizes.astype(np.float64)
    scores = first.astype(np.float64)
    number = len(scores)
    sums = np.concatenate([[0.0], np.cumsum(scores * weight)])
    weights = np.concatenate([[0.0], np.cumsum(weight)])
    columns = [scores, *(shifted(scores, step) for step in _STEPS)]
    nth = np.arange(number)
    for radius in _RADII:
        low, high = np.maximum(0, nth - radius), np.minimum(number, nth + radius + 1)
        columns.append((sums[high] - sums[low]) / np.maximum(weights[high] - weights[low], 1))
    columns.append(np.full(number, sums[-1] / max(weights[-1], 1.0)))
    columns += [_mean_by(group, scores, weight) for group in _groups(layout)]
    columns.append(np.maximum.accumulate(scores))
    columns.append(np.maximum.accumulate(scores[::-1])[::-1])
    columns.append(sums[:-1] / max(sums[-1], 1e-6))
    columns += _held(layout, scores * weight)
    return np.stack(columns, 1).astype(np.float32)


def _held(layout: Layout, mass: Doubles) -> list[npt.NDArray[Any]]:
    """Where the page's content is expected: what share a block's surroundings hold, the way to most of it."""
    held, steps, depth = locate_main(layout.nodes, mass, layout.parents)
    node, parent, alike = _groups(layout)
    shares = [held[node], held[parent], np.bincount(alike, mass)[alike] / max(float(mass.sum()), 1e-9)]
    return [*shares, steps[node], np.full(len(mass), depth)]


def _groups(layout: Layout) -> tuple[Ints, Ints, Ints]:
    """For each block its element, the element above, and the number of its kind of element."""
    parents = np.array(layout.parents, np.int64)
    return layout.nodes, np.maximum(parents[layout.nodes], 0), layout.alike


def _mean_by(group: Ints, scores: npt.NDArray[Any], weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    totals = np.bincount(group, weight)
    means: npt.NDArray[Any] = (np.bincount(group, scores * weight) / np.maximum(totals, 1e-6))[group]
    return means
