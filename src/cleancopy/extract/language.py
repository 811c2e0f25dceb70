"""The language of a text: what it is written in, how sure that is, and what else is in it.

CLD2 (Compact Language Detector 2, through pycld2) reads letters in groups of four, knows 80 languages and says
how much of a text is in which. On 1,654 pages of eleven languages it is right as often as py3langid (99.3 %),
in .2 ms a page against 1.3 to 2.9, without the second that loading py3langid's model takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

#: Characters that are looked at; more makes no answer better.
SAMPLE = 6_000
#: A text of so many characters is taken to have enough letters without a count: that takes a millisecond.
LONG = 1_000
#: Letters below which a text says nothing sure of its language, and what it declares stands.
LEAST_LETTERS = 120
#: The share of a text from which a second language is told, and the share that overrules a declaration.
ALSO, OVERRULES = 0.2, 0.8

# Codes of CLD2 that have since been replaced, or that name a script where RFC 5646 wants language and script.
_CODES = {"iw": "he", "jw": "jv", "in": "id", "ji": "yi", "mo": "ro", "tl": "fil", "sr-ME": "cnr"}
# Languages that are too near each other to be told apart by letters: what the page declares of them stands.
_NEAR = (
    {"no", "nb", "nn", "da"},
    {"sh", "hr", "sr", "bs", "cnr"},
    {"id", "ms"},
    {"zh", "cmn", "yue", "lzh", "wuu"},
    {"fa", "prs"},
    {"tl", "fil"},
    {"gl", "pt"},
    {"cs", "sk"},
    {"hi", "mr", "ne"},
)
# CLD2 refuses control characters and what is no Unicode text.
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")


class Language(NamedTuple):
    """What a text is written in: a tag of RFC 5646, the share of the text in it, other languages in it."""

    tag: str | None
    confidence: float = 0.0
    also: tuple[str, ...] = ()


_UNKNOWN = Language(None)


def detect_language(texts: Iterable[str]) -> Language:
    """The language of some paragraphs, of which the first ``SAMPLE`` characters are looked at.

    ``also`` names the languages that at least a fifth of it is written in. Too little text, or none in a
    language that is known, gives ``Language(None)``.
    """
    import pycld2

    sample = _sample(texts)
    if len(sample) < LONG and _weight(sample) < LEAST_LETTERS:
        return _UNKNOWN
    try:
        reliable, _, shares = pycld2.detect(sample, isPlainText=True, bestEffort=True)
    except pycld2.error:
        return _UNKNOWN
    tags = [
        (_CODES.get(code, code), percent / 100) for _, code, percent, _ in shares if code != "un" and percent
    ]
    if not tags:
        return _UNKNOWN
    tag, share = tags[0]
    also = tuple(other for other, part in tags[1:] if part >= ALSO and not _are_near(tag, other))
    return Language(tag, share if reliable else share / 2, also)


def _weight(sample: str) -> int:
    """The letters of a text; one of a script without an alphabet is worth three."""
    return sum(map(str.isalpha, sample)) + 2 * sum("\u3040" <= sign <= "\u9fff" for sign in sample)


def decide_language(declared: str | None, detected: Language) -> str | None:
    """The language of a page: what it declares, unless its text is plainly in another one."""
    if detected.tag is None or declared is None:
        return declared or detected.tag
    if _are_near(declared, detected.tag):
        return declared
    return detected.tag if detected.confidence >= OVERRULES else declared


def confidence_in(language: str | None, detected: Language) -> float | None:
    """The share of a text that speaks for a language, to two digits; None where none was detected."""
    if language is None or detected.tag is None:
        return None
    return round(detected.confidence, 2) if _are_near(language, detected.tag) else 0.0


def _are_near(tag: str, other: str) -> bool:
    language, second = tag.partition("-")[0], other.partition("-")[0]
    return language == second or any(language in group and second in group for group in _NEAR)


def _sample(texts: Iterable[str]) -> str:
    parts, length = list[str](), 0
    for text in texts:
        parts.append(text[: SAMPLE - length])
        length += len(parts[-1])
        if length >= SAMPLE:
            break
    return _REFUSED.sub(" ", "\n".join(parts))
