"""Verified matches: what two texts share, exactly, and what that makes of them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from cleancopy.document import Evidence
from cleancopy.minhash.signatures import KERNEL, Hashes

Label = Literal["same", "contained", "related"]
Shingles = frozenset[str] | Hashes


class Overlap(NamedTuple):
    """How many distinct shingles two texts have, and how many they share."""

    shared: int
    left: int
    right: int

    @property
    def jaccard(self) -> float:
        """Shared over all, 0 to 1; 0 where neither text has a shingle."""
        return self.shared / max(1, self.left + self.right - self.shared)

    @property
    def containment(self) -> float:
        """Shared over the smaller side's, 0 to 1."""
        return self.shared / max(1, min(self.left, self.right))

    @property
    def reverse(self) -> Overlap:
        """The same seen from the other side."""
        return Overlap(self.shared, self.right, self.left)


def overlap(a: Shingles, b: Shingles) -> Overlap:
    """How much two texts share, exactly, from the shingles or the shingle hashes of both."""
    if isinstance(a, frozenset) or isinstance(b, frozenset):
        return Overlap(len(frozenset(a) & frozenset(b)), len(a), len(b))
    kernel = sys.modules.get(KERNEL)
    shared = kernel.shared(a, b) if kernel else np.intersect1d(a, b, assume_unique=True).size
    return Overlap(shared, len(a), len(b))


def jaccard(a: Shingles, b: Shingles) -> float:
    """The exact Jaccard similarity of two texts' shingles, 0 to 1; 0 where neither has one."""
    return overlap(a, b).jaccard


def containment(a: Shingles, b: Shingles) -> float:
    """The share of the smaller text's shingles that the larger has too, 0 to 1."""
    return overlap(a, b).containment


@dataclass(frozen=True, slots=True)
class Match:
    """Two texts that are verifiably alike: the same, one contained in the other, or only related."""

    a: str | int
    b: str | int
    jaccard: float
    containment: float
    label: Label
    evidence: Evidence = field(default_factory=dict)


def match(
    a: str | int,
    b: str | int,
    measured: Overlap,
    slots: tuple[str, str] | None = None,
    *,
    same: float = 0.8,
    contained: float = 0.9,
    related: float = 0.6,
) -> Match | None:
    """What an overlap means: the same, one contained in the other, related; None where they are neither.

    ``slots`` is what ``slot_conflict`` found between the two texts: it makes a contained pair only related.
    """
    label: Label | None = "related" if measured.jaccard >= related else None
    if measured.jaccard >= same:
        label = "same"
    elif measured.containment >= contained:
        label = "related" if slots else "contained"
    if label is None:
        return None
    evidence: dict[str, str | int | float | bool] = {
        "shared": measured.shared,
        "shingles_a": measured.left,
        "shingles_b": measured.right,
    }
    if slots:
        evidence |= {"slot_a": slots[0], "slot_b": slots[1]}
    return Match(a, b, round(measured.jaccard, 4), round(measured.containment, 4), label, evidence)


# --- what templates differ in


def slot_conflict(a: str, b: str) -> tuple[str, str] | None:
    """A number, month or name that only a has, and one that only b has; None unless there are both.

    Pages and captions made from one template differ just there, and are more alike than true copies are.
    A text in capitals shows no names: there only numbers and months count.
    """
    words, others = set(a.split()), set(b.split())
    left = _slot(words, words - others, b)
    right = _slot(others, others - words, a) if left else None
    return (left, right) if left and right else None


def _slot(words: set[str], new: set[str], other: str) -> str | None:
    """The first number, month or name among the new ones of a text's words that the other has in no case."""
    capitals = bool(new) and 2 * sum(map(str.isupper, words)) > len(words)
    months = MONTHS_IN_CAPITALS if capitals else MONTHS
    slots = {
        word
        for word in set(_TOKEN.findall(" ".join(new)))
        if (word[0].isupper() and not capitals) or word.lower() in months or any(map(str.isdigit, word))
    }
    lowered = other.lower() if slots else ""
    return next((word for word in sorted(slots) if not _has_word(lowered, word.lower())), None)


def _has_word(text: str, word: str) -> bool:
    """Whether the word stands in the text with no letter, digit or underscore before or after it."""
    at = text.find(word)
    while at >= 0:
        around = text[max(0, at - 1) : at] + text[at + len(word) : at + len(word) + 1]
        if not _TOKEN.search(around):
            return True
        at = text.find(word, at + 1)
    return False


_TOKEN = re.compile(r"\w+")
_ENGLISH_MONTHS = """january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec"""
_UNCAPITALISED_MONTHS = """
    janvier février mars avril mai juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    januari februari maart mei augustus oktober januar februar juni juli marts
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
    января февраля марта апреля мая июня июля августа сентября октября ноября декабря"""
MONTHS = frozenset(_UNCAPITALISED_MONTHS.split())  # of the widespread languages that write them in lower case
MONTHS_IN_CAPITALS = MONTHS | frozenset(_ENGLISH_MONTHS.split())
