"""Repetition, measured: signatures, candidate bands and verified matches, for a site, a page or a corpus.

Chrome, repeated captions and duplicate documents are one thing at three scopes. This package says how alike
two texts are; what follows from it is for the stages to decide, each with its own guards.

    normalise -> shingles -> sign -> band_keys -> candidates -> overlap -> match

Signatures are those of datasketch's ``MinHash`` (scheme ``affine32``), bit for bit, kept as one matrix
(Broder 1997, "On the resemblance and containment of documents"); ``minhash`` makes datasketch's objects of
them. With numba installed (the extra ``fast``) large batches go through ``cleancopy.minhash.kernel``; without
it numpy makes the same bits.
"""

from cleancopy.minhash.bands import Candidates, band_keys, candidates, pair_up, union
from cleancopy.minhash.folding import NORMALISATION, Unit, normalise, shingles
from cleancopy.minhash.matches import (
    MONTHS,
    MONTHS_IN_CAPITALS,
    Label,
    Match,
    Overlap,
    Shingles,
    containment,
    jaccard,
    match,
    overlap,
    slot_conflict,
)
from cleancopy.minhash.signatures import (
    EMPTY,
    Hashes,
    Signing,
    estimates,
    minhash,
    murmur3,
    shingle_hashes,
    sign,
    sketches,
    warm_up,
)

__all__ = [
    "EMPTY",
    "MONTHS",
    "MONTHS_IN_CAPITALS",
    "NORMALISATION",
    "Candidates",
    "Hashes",
    "Label",
    "Match",
    "Overlap",
    "Shingles",
    "Signing",
    "Unit",
    "band_keys",
    "candidates",
    "containment",
    "estimates",
    "jaccard",
    "match",
    "minhash",
    "murmur3",
    "normalise",
    "overlap",
    "pair_up",
    "shingle_hashes",
    "shingles",
    "sign",
    "sketches",
    "slot_conflict",
    "union",
    "warm_up",
]
