"""The wording of a caption: what it says, whatever an agency, a template or an editor put around it.

Across a corpus a caption is met without its credit (the page's stage has lifted that), but with what other
pages do to it: an agency's dateline or a file name before it, the text twice, sentences in another order, the
end cut off. ``read_wording`` gives its normal form and what clusters ask of it, quickly, for every caption;
``compare_wordings`` judges two that share a key, with ``judge_readings`` and two guards of its own.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from cleancopy.minhash import normalise
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.compare import (
    CUT_OFF,
    LONGEST,
    SUBSTANCE,
    Reading,
    judge_readings,
    read_body,
)
from cleancopy.stages.captions.wording import FUNCTION_WORDS
from cleancopy.words import SEGMENT

#: A caption of so many words needs one small word of substance less to be no label: German writes nouns large.
WHOLE = 8
#: What two wordings are: two captions, one, or one with the same words.
APART, SAME, EQUAL = 0, 1, 2


class Wording(NamedTuple):
    """A caption's wording: its normal form, how full it is, and what it looks like.

    ``digest`` (63 bits) is one for all captions with the same normal form and dateline. ``content`` counts the
    distinct words that say something, ``length`` the characters. ``padded``: the caption has a dateline or a
    file name before it, or stands there twice. ``label``: it is made of names, numbers and
    function words, as the labels of a product or a speaker are.
    """

    normal: str
    digest: int
    content: int
    length: int
    cut_off: bool
    padded: bool
    label: bool


class _Core(NamedTuple):
    """What a caption says, and the place of the dateline that stood before it, in small letters."""

    text: str
    place: str


@lru_cache(maxsize=16_384)
def read_wording(text: str) -> Wording:
    """The wording of a caption; of a text longer than any caption only the beginning counts."""
    core = _core(text)
    normal = normalise(core.text) or " ".join(text[:LONGEST].split())
    small = {word for word in SEGMENT.findall(core.text) if word[0].isalpha() and not word[0].isupper()}
    digest = hashlib.sha256(f"{core.place}\n{normal}".encode("utf-8", "surrogatepass")).digest()
    return Wording(
        normal=normal,
        digest=int.from_bytes(digest[:8], "big") >> 1,
        content=len(set(normal.split(" ")) - FUNCTION_WORDS),
        length=len(core.text),
        cut_off=CUT_OFF.search(core.text) is not None,
        padded=core.text != " ".join(html.unescape(text).split()),
        label=len(small - FUNCTION_WORDS) < (SUBSTANCE if normal.count(" ") + 1 < WHOLE else SUBSTANCE - 1),
    )


def compare_wordings(left: str, right: str, policy: CaptionPolicy) -> int:
    """What two wordings are; the order in which they are given makes no difference."""
    one, other = sorted((_core(left), _core(right)))
    if one.place and other.place and one.place != other.place:
        return APART
    a, b = read_body(one.text), read_body(other.text)
    same, rule = judge_readings(a, b, policy)
    # Names, or left and right, in another order: whole sentences may have moved, else it is another picture.
    if rule == "other-order" or (same and _sides_swapped(a, b)):
        return EQUAL if _sentences(one.text) == _sentences(other.text) else APART
    if not same or (a.keys != b.keys and _replaces(a, b)):
        return APART
    return EQUAL if rule == "equal" else SAME


def _sentences(text: str) -> frozenset[str]:
    return frozenset(map(normalise, _SENTENCE.split(text)))


def _replaces(a: Reading, b: Reading) -> bool:
    """Whether each of two wordings has more of some word that says something than the other has.

    "Tomato worms damage tomato plants" and "Potato worms damage tomato plants" have no word of their own on
    both sides: only the counts show that one word stands in the place of another.
    """
    counts, others = map(_counts, (a, b))
    return bool(counts - others) and bool(others - counts)


def _sides_swapped(a: Reading, b: Reading) -> bool:
    """Whether two wordings name the same sides in another order: who stands left, who right."""
    sides, others = ([key for key in reading.keys if key in _SIDES] for reading in (a, b))
    return sides != others and sorted(sides) == sorted(others)


def _counts(reading: Reading) -> Counter[str]:
    words = reading.words[:-1] if reading.cut_off else reading.words  # the last may be part of a word
    return Counter(word.key for word in words if word.content)


@lru_cache(maxsize=4_096)
def _core(text: str) -> _Core:
    """A caption without file names and an agency's dateline, each sentence once."""
    text = text[:LONGEST]
    if "&" in text:
        text = html.unescape(text)
    lower = text[:LONGEST].lower()
    text = _FILE_NAME.sub(" ", text) if any(map(lower.__contains__, _FILE_HINTS)) else text
    text = " ".join(text.split())
    dateline = _DATELINE.match(text) if _DASH.search(text, 0, _DATELINE_LENGTH) else None
    place = (dateline["place"] or dateline["signed"]).casefold() if dateline else ""
    text = text[dateline.end() :] if dateline else text
    words = text.split(" ")
    half = len(words) // 2
    if len(words) > 5 and words[:half] == words[half:]:
        text = " ".join(words[:half])
    return _Core(" ".join(dict.fromkeys(_SENTENCE.split(text))), place)


# Left and right, before and after: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish,
# Russian, Greek, Chinese and Japanese; folded as ``split_words`` folds them.
_SIDE_WORDS = """left right before after links rechts vorher nachher gauche droite avant apres izquierda derecha
    antes despues sinistra destra prima dopo esquerda direita depois voor na lewej prawej слева справа до после
    αριστερα δεξια 左 右"""
_SIDES = frozenset(_SIDE_WORDS.split())
# A picture's file name, with its ending or as cameras number them.
_FILE_HINTS = (".jp", ".png", ".gif", ".webp", ".tif", ".svg", "img", "dsc")  # a cheap look: most have none
_DASH, _DATELINE_LENGTH = re.compile("[—–-]"), 90
_FILE_NAME = re.compile(r"(?i)\S*\w\.(?:jpe?g|png|gif|webp|tiff?|svg)\b|\b(?:img|dscn?|dscf)[_-]?\d{3,}\b")
# "WASHINGTON (AP) — ", "BERLIN, Germany - "; with the agency's name the place may be in small letters, too.
_DATELINE = re.compile(
    r"""(?x)
    (?: (?P<place> [A-ZÀ-Þ][A-ZÀ-Þ.'’-]+ (?:\s[A-ZÀ-Þ.'’-]+){0,3} (?:,\s\w+\.?(?:\s\w+)?)? )
        (?: \s? \([\w/\s]{2,20}\) )?
      | (?P<signed> [A-ZÀ-Þ]\w+ (?:[\s,/]+[A-ZÀ-Þ]\w+){0,3} ) \s? \([\w/]{2,12}\) )
    \s* (?: [—–] | --? ) \s+ (?=\S)
    """
)
# Where a sentence ends and another begins; not behind an initial or an abbreviation in capitals.
_SENTENCE = re.compile(r"(?<=[a-zß-ÿ)][.!?])\s+(?=[\"“„«(]?[A-ZÀ-Þ])")
