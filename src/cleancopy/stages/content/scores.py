"""From log-odds of blocks to scores that are cut at 0.5."""

from __future__ import annotations

import numpy as np

from cleancopy.stages.content.arrays import Doubles, Floats

#: No page is cut lower than this: below it there is no content to be expected.
LEAST_CUT = 0.05
#: The threshold of a page, as a share of the F1 that it lets expect: half, where probabilities are right.
CUT_SHARE = 0.5
#: So much are log-odds taken down: on pages that the trees never saw they are too high by 0.1 to 0.5.
OVERCONFIDENCE = 0.3
#: A block to which the first round gives less goes at once: the second lifted none of them above 0.06.
CLEAR_CHROME = 0.02


def probabilities(odds: Doubles) -> Doubles:
    """The probabilities that log-odds stand for."""
    scores: Doubles = 1 / (1 + np.exp(-odds))
    return scores


def best_cut(scores: Doubles, sizes: Floats) -> tuple[float, float]:
    """The threshold that gives a page its best expected word F1, and that F1.

    ``sizes`` are the blocks' words. Where probabilities are right, the best threshold is half of the best
    F1 that can be expected (Lipton, Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize
    F1 measure", 2014): a page that is in doubt as a whole keeps more of its doubtful blocks.
    """
    order = np.argsort(-scores, kind="stable")
    size = sizes[order].astype(np.float64)
    right = np.cumsum(scores[order] * size)
    expected = float((2 * right / (np.cumsum(size) + right[-1] + 1e-9)).max())
    return max(CUT_SHARE * expected, LEAST_CUT), expected


def final_scores(first: Doubles, second: Doubles, sizes: Floats) -> Doubles:
    """The scores of a page's blocks from the log-odds of both rounds; the page's threshold stands at 0.5.

    Blocks that are clearly chrome in the first round have its log-odds alone, whatever the second gives.
    """
    clear = probabilities(first) < CLEAR_CHROME
    scores = probabilities(np.where(clear, first, (first + second) / 2) - OVERCONFIDENCE)
    return centred(scores, best_cut(scores, sizes)[0])


def centred(scores: Doubles, threshold: float) -> Doubles:
    """Probabilities moved along their log-odds so that the threshold comes to stand at 0.5."""
    odds = scores * (1 - threshold) / threshold
    moved: Doubles = odds / (odds + 1 - scores)
    return moved
