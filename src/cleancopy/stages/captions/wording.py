"""The words of a caption as they compare: without case and accents, numbers and months in one spelling."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import NamedTuple

from cleancopy.words import SEGMENT, is_unspaced


class Word(NamedTuple):
    """One word: how it compares; whether it says something; if so, whether it could name a person, place, day
    or number, and whether it is written small.
    """

    key: str
    content: bool
    slot: bool
    small: bool


def split_words(text: str) -> tuple[Word, ...]:
    """The words of a text as they compare: folded, numbers and months in one spelling."""
    text = _CAMEL.sub(" ", _THOUSANDS.sub("", text))
    raw = SEGMENT.findall(text)
    one_case = not any(c.islower() for c in text) or not any(c.isupper() for c in text)
    numeric = [word[0].isdigit() for word in raw]
    words = []
    for i, word in enumerate(raw):
        # A run of combining marks has nothing left to fold to; it compares as it is.
        key = fold(word) or word
        dated = key in MONTHS and (any(numeric[i + 1 : i + 2]) or any(numeric[max(0, i - 1) : i]))
        if dated:
            key = MONTHS[key]
        elif len(key) == 2 and key.isdigit():
            key = key.lstrip("0") or "0"
        content = key not in FUNCTION_WORDS
        slot = content and (one_case or not word[0].islower() or has_digit(word))
        small = content and word[0].isalpha() and not word[0].isupper()
        words.append(Word(key, content, slot, small))
    return tuple(words)


def has_digit(word: str) -> bool:
    """Whether a word has a digit."""
    return not word.isalpha() and any(map(str.isdigit, word))


def fold(word: str) -> str:
    """A word without case and accents; umlauts become ae, oe, ue.

    Marks stay where they make another word: in scripts without spaces (a voiced kana, a Thai tone) and in Indic
    ones (a vowel sign).
    """
    word = word.casefold()
    if word.isascii() or is_unspaced(word[0]):
        return word
    word = unicodedata.normalize("NFD", word.translate(_UMLAUTS))
    return "".join(c for c in word if unicodedata.combining(c) < 10)


# The mark between thousands, as "1,200", "1.200", "1 200" (narrow or no-break space) and "1'200" write it.
_THOUSANDS = re.compile(r"(?<=\d)[,.\u202f\u00a0'](?=\d{3}(?!\d))")
# Where a template set two words together: "GardenTools" (in Latin-1 capitals and small letters).
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ][a-zß-ÿ])")
# German spells umlauts so where a keyboard has none; other accents are only dropped.
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# Words that carry no fact of their own, so that rewording with them does not make another caption. English,
# German, French, Spanish, Portuguese, Italian, Dutch. Words that decide a fact (not, without, left, before)
# are left out on purpose.
_FUNCTION_WORDS = """
    a an the and or of to in on at by for from with as is are was were be been has have had his her its their
    my your our this that these those it he she they we i you who which where when while into over around via
    more less s t
    der die das den dem des ein eine einen einem einer und oder von zu zum zur im in am an auf mit bei für fuer
    ist sind war wird werden wurde hat sich als wie aus
    le la les l un une des du de et ou à au aux en dans sur par pour avec est sont qui que
    el los las una unos del al y o con por para es son se su sus lo
    um uma os as do da dos das e em no na nos nas ao com é são
    il lo gli i di del della dei delle nel nella con per è sono che
    het een en van op te bij voor met is zijn"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
# Words that turn a caption round. Two captions that differ only in these say the opposite. The same languages.
_TURNING = """
    not no non without never neither nor
    nicht kein keine keinen ohne nie
    pas ne sans jamais  sin nunca  sem não nunca  senza mai  niet geen zonder"""
NEGATIONS = frozenset(_TURNING.replace("ã", "a").split())
# Month names, to see that "Nov. 5" is "November 5" and "5 mai" "5 May". One row a month; abbreviations are
# prefixes of three letters or more. English, German, French, Spanish, Portuguese, Italian, Dutch.
MONTHS = MappingProxyType(
    {
        name: f"month{number}"
        for number, names in enumerate(
            (
                "jan january januar jänner janvier enero janeiro gennaio januari",
                "feb february februar février fevrier febrero fevereiro febbraio februari",
                "mar march märz maerz mars marzo março marco maart",
                "apr april avril abril aprile",
                "may mai mayo maio maggio mei",
                "jun june juni juin junio junho giugno",
                "jul july juli juillet julio julho luglio",
                "aug august août aout agosto augustus",
                "sep sept september septembre septiembre setembro settembre",
                "oct okt october oktober octobre octubre outubro ottobre",
                "nov november novembre noviembre novembro",
                "dec dez december dezember décembre decembre diciembre dezembro dicembre",
            ),
            1,
        )
        for name in names.split()
    }
)
