"""The arrays that the measures and the trees work on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def shifted(column: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """The rows of the blocks so many places on; -1 where there is none."""
    moved = np.full_like(column, -1)
    if step > 0:
        moved[:-step] = column[step:]
    else:
        moved[-step:] = column[:step]
    return moved
