"""Captions: a page says each caption once; its credit, title and identifiers are lifted into ``Media``.

No similarity threshold tells captions apart: two that differ only in a date, a person or a number are more
alike than a caption and its own truncated copy. So the words that one text has and the other lacks decide.
Where both sides have words of their own that say something, the two are never one caption; where only one
side has, it is the fuller copy. Containment of character 4-grams is a floor below that, not the judge.

``compare_captions`` judges two texts, ``collapse_captions`` is the stage.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Literal

from cleancopy.document import Block, Cut, Document, Evidence, Media
from cleancopy.policy import CaptionPolicy
from cleancopy.repetition import Overlap, overlap

Label = Literal["same", "related", "different"]
Keep = Literal["a", "b", "either"]

# Characters above which a text is no caption; it bounds what one comparison costs.
LONGEST = 4_000

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

# What page furniture says around a caption: counters, zoom and gallery controls, hidden labels, relative
# ages, template faults. None of it belongs to the caption.
_FURNITURE = re.compile(
    r"""(?ix)
      \b (?:select\s+)? (?:(?:product|gallery)\s+)? (?:image|photo|picture|slide|bild|foto|imagen|immagine)
         \s* \d+ \s* (?:of|/|von|de|di|sur) \s* \d+ \s* [,:]?
    | ^ \s* \d+ (?:\s*of\s*|\s/\s) \d+ (?!\d) (?= \s* (?-i:[^\W\d_a-zß-ÿ]) )  # not "3 of 5 bridges"
    | \b \d+ \s* / \s* \d+ \s+ back \s+ to \s+ gallery
    | \b back \s+ to \s+ gallery \b
    | \b (?:image|photo|picture|media|video) \s+ caption (?:\s*: | \b | (?=[A-Z]))
    | \b (?:toggle|hide|show) \s+ caption \b
    | ^ \s* (?:article|featured|hero|lead) \s+ image (?:\s+(?:for|of))? \s* :
    | ^ \s* (?:enlarge|zoom|vergrößern|agrandir|ampliar|ingrandisci|vergroten)
        (?:\s+ (?:this\s+)? (?:image|photo|picture|l['’]image|la\s+imagen|imagen|immagine))? \b \s* [:/|]?
    | \b (?:click|tap|klicken|klick) \s+ (?:here\s+|on\s+(?:the\s+)?image\s+)? (?:to|zum)
        \s+ (?:enlarge|zoom|expand|view|open|vergrößern)
        (?:\s+ (?:(?:the|this|full|larger)\s+)? (?:image|photo|picture|size))? \b
    | \b (?:view|open|see) \s+ (?:larger|full|full-size|fullscreen) \s+ (?:image|photo|picture|size) \b
    | \b bild \s+ (?:vergrößern|in \s+ lightbox \s+ öffnen) \b
    | \s [-–—|] \s (?:photo|image|picture|foto|bild) \s* $ | \( \s* (?:photos?|video|image|foto) \s* \) \s* $
    | \b (?:updated \s+)? \d+ \s* (?:s|m|h|d|mins?|minutes?|hours?|days?) \s+ ago $
    | \[object \s+ object\]
    | \( \s* opens \s+ in \s+ (?:a\s+)? new \s+ (?:tab|window) \s* \)
    | ^ \s* [×✕✖] \s*
    """
)

# What names the maker of a picture. Languages as above and some more; the German compounds (Symbolbild,
# Archivfoto) come with the prefix.
_MEDIUM = (
    r"photos?|photograph(?:y|s)?|images?|pictures?|pics?|illustrations?|video"
    r"|\w*fotos?|fotografie|fotograf[íi]a|\w*bild(?:er)?|grafik|imagen|imagem|immagine|afbeelding|beeld|фото"
)
_GLUED_MEDIUM = r"Photo(?:graph)?|Image|Picture|Illustration|Credit|Foto|Bild|Source|Quelle"
_LABEL = re.compile(
    rf"""(?x)
    (?: (?<![^\W_]) | (?<=[^\W_]) (?={_GLUED_MEDIUM}) )
    (?: (?i:{_MEDIUM}) (?i:\s+(?:illustration|credits?|courtesy))? \s*
          (?: : | / | © | (?i:\s(?:by|courtesy\s+of|courtesy|copyright|von|par|por|de|via)\b) \s* :? )
      | (?i: (?:(?:photo|image|picture|bild|foto)[\s-]*)? (?:credits?|crédits?|crédito|nachweis) (?:\s+to)? )
          \s* :
      | (?i:courtesy \s+ of | source \s* : | quelle \s* : | fuente \s* : | fonte \s* : | bron \s* :)
      | (?i:copyright) (?=\s+(?:\d{{4}}|©|[A-Z])) | © | \([cC]\)
      | (?i:virin) \s* :
    )
    """
)
# Agencies and stock libraries that sign pictures across the world's press, with or without a label.
_AGENCY = re.compile(
    r"(?<![^\W_])(?:Getty(?: Images)?|AP|Associated Press|AFP|Reuters|EPA|dpa|ANSA|EFE|TASS|Xinhua"
    r"|UPI|Keystone|Anadolu|Shutterstock|Alamy|iStock|Adobe ?Stock|Unsplash|Pixabay|Pexels|Flickr"
    r"|Wikimedia Commons)(?![^\W_])"
)
_PARTICLES = """by via for from of the and file files photo photos image images courtesy staff handout
    all rights reserved com org net von van der den de del della di da do dos la le du und et y e i pool stock
    submitted"""
_NAME_PARTICLES = frozenset(_PARTICLES.split())
_BREAK = re.compile(r"[.!?…\"”»')\]]\s*(?=[^\W_a-z(\[])|\s[-–—|]\s(?=[^\W_a-z©])|\s*[(\[]")
_NAME_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_BRACKETED = re.compile(r"[(\[][^()\[\]]{4,100}[)\]]")
_MODIFIERS = re.compile(r"(?:(?:[A-Z][A-Za-z&-]*|(?:[A-Z]\.){2,})\s+){1,3}$")
_ACRONYMS = re.compile(r"(?:(?:[A-Z][A-Za-z]?[A-Z]+|(?:[A-Z]\.){2,})\s+){1,2}$")

_TAGS = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ue000-\uf8ff]")
_THOUSANDS = re.compile(r"(?<=\d)[,.\u202f\u00a0'](?=\d{3}(?!\d))")
# Scripts written without spaces: every character is a word (kana, Han, Thai to Tibetan, Burmese, Khmer).
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ][a-zß-ÿ])")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_CUT_OFF = re.compile(r"(?:…|\.{3,})\s*(?:\(?(?:read\s+)?more\)?)?\s*[\"”»']?$", re.IGNORECASE)
_LEAD = re.compile(r"(?i)^\s*(?:image|photo|picture|video|foto|bild|file(?:\s+photo)?)\s*(?:[:–—]|-\s)\s*")
_TOPIC = re.compile(r"\s[-–—|]\s|:\s")
_NUMBER = re.compile(r"(?<![^\W_])\d+(?![^\W_])")
_LISTED = re.compile(r"[,;&]|\b(?:and|und|et|y|e|en)\b")
_CAPTION_LABEL = re.compile(
    r"(?i)(?<![^\W_])(?:image|photo|picture|media|video)\s+caption(?:\s*:|\s|(?=[A-Z]))"
)
_NOISE = """photo photos photograph photographs photography image images picture pictures illustration video
    credit credits courtesy copyright foto fotos bild bilder source quelle all rights reserved the"""
_CREDIT_NOISE = frozenset(_NOISE.split())
_LONG_NAMES = MappingProxyType({"Associated Press": "AP", "Agence France-Presse": "AFP"})
_AGENCIES = "getty ap afp reuters epa dpa ansa efe tass xinhua upi shutterstock alamy istock"
_AGENCY_KEYS = frozenset(_AGENCIES.split())

# What a credit has at most: characters and words; and how many places are tried for its beginning.
_CREDIT_LENGTH, _CREDIT_WORDS, MOST_STARTS = 200, 20, 16
# How alike two captions must be to be called related rather than different.
RELATED = 0.5
# A short text needs so many words of substance, and the rest behind a topic label so many words, to be a copy.
SUBSTANCE, TOPIC_REST, TOPIC_WORDS = 3, 6, 6


@dataclass(frozen=True, slots=True)
class CaptionMatch:
    """What two texts are to each other, and which one a page should keep.

    ``keep`` is None unless they are the same; ``either`` where neither says more. ``evidence`` holds the
    rule that decided, Jaccard and containment of character 4-grams, the words that only one side has
    (``only_a``, ``only_b``) and the credits that were set aside (``credit_a``, ``credit_b``).
    """

    label: Label
    keep: Keep | None
    evidence: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Word:
    """One word: how it compares; whether it says something; if so, whether it could name a person, place, day
    or number, and whether it is written small.
    """

    key: str
    content: bool
    slot: bool
    small: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """A caption as it is compared: its words without page furniture and credit, and the credit's words."""

    words: tuple[_Word, ...]
    keys: tuple[str, ...]
    credit: str
    credit_keys: frozenset[str]
    cut_off: bool
    topic: int
    names_listed: bool
    sentence: bool


@dataclass(frozen=True, slots=True)
class _Verdict:
    label: Label
    rule: str
    keep: Keep | None = None


def compare_captions(a: str, b: str, policy: CaptionPolicy = CaptionPolicy()) -> CaptionMatch:  # noqa: B008
    """Whether two captions are the same, related or different, and which of them says more.

    The same: one is redundant once the other is read, whatever their punctuation, case, page furniture,
    credit or truncation. Related: they share a picture, an event or a template, yet each says something.
    Texts longer than any caption are compared only for being equal.
    """
    if max(len(a), len(b)) > LONGEST:
        equal = a.split() == b.split()
        evidence = {"rule": "no-caption"}
        return CaptionMatch("same", "either", evidence) if equal else CaptionMatch("different", None, evidence)
    return _compare(_read(a), _read(b), policy)


def _compare(a: _Reading, b: _Reading, policy: CaptionPolicy) -> CaptionMatch:
    """The verdict over two readings, with its evidence."""
    only_a, only_b = _unmatched(a, b), _unmatched(b, a)
    alike = a.keys == b.keys
    found = Overlap(1, 1, 1) if alike else overlap(_shingles(a), _shingles(b))
    verdict = _judge(a, b, only_a, only_b, found.containment, policy)
    evidence: Evidence = {
        "rule": verdict.rule,
        "jaccard": round(found.jaccard, 3),
        "containment": round(found.containment, 3),
        "only_a": " ".join(word.key for word in only_a),
        "only_b": " ".join(word.key for word in only_b),
        "credit_a": a.credit,
        "credit_b": b.credit,
    }
    return CaptionMatch(verdict.label, verdict.keep, evidence)


def _judge(
    a: _Reading,
    b: _Reading,
    only_a: tuple[_Word, ...],
    only_b: tuple[_Word, ...],
    containment: float,
    policy: CaptionPolicy,
) -> _Verdict:
    if not a.words or not b.words:
        return _judge_credits(a, b)
    topic_a, topic_b = _leads_in(a, b), _leads_in(b, a)
    only_a = () if topic_a else only_a
    only_b = () if topic_b else only_b
    if only_a and only_b:
        slots = any(word.slot for word in only_a) and any(word.slot for word in only_b)
        return _apart("both-name-something" if slots else "both-say-something", containment)
    if _credits_conflict(a, b):
        return _apart("other-credit", containment)
    if not _digits_agree(a, b, bool(only_a), bool(only_b)):
        return _apart("other-numbers", containment)
    if only_a or only_b:
        part, whole, extra = (b, a, only_a) if only_a else (a, b, only_b)
        if not _stands_for(part, whole, extra, containment, policy):
            return _apart("too-short", containment)
    rule = "topic-label" if topic_a or topic_b else "contained" if only_a or only_b else "equal"
    return _Verdict("same", rule, _fuller(a, b, only_a, only_b))


def _apart(rule: str, containment: float) -> _Verdict:
    """Not the same; related where the smaller text shares a good part of its characters."""
    return _Verdict("related" if containment >= RELATED else "different", rule)


def _judge_credits(a: _Reading, b: _Reading) -> _Verdict:
    """The verdict where a text is only a credit: the same as its equal, or as the caption that ends in it."""
    if not a.words and not b.words:
        equal = a.credit_keys == b.credit_keys and bool(a.credit_keys or a.credit == b.credit)
        return _Verdict("same", "credit", "either") if equal else _Verdict("different", "other-credit")
    named = bool(a.credit_keys - _AGENCY_KEYS) or _fold(a.credit) == _fold(b.credit)
    if named and a.credit_keys == b.credit_keys:
        return _Verdict("same", "credit", "b" if b.words else "a")
    return _Verdict("different", "credit-alone")


def _stands_for(
    part: _Reading, whole: _Reading, extra: tuple[_Word, ...], containment: float, policy: CaptionPolicy
) -> bool:
    """Whether a text that is contained in another says enough of its own to be a copy of it.

    Long ones do, but some of a list of names are not that list. Short ones (a name, a product) must have
    three words of substance, and the other must be a whole caption, or else add nothing that names another
    model, person or place.
    """
    if part.names_listed and not _runs_in(part.keys, whole.keys):
        return False
    if len(part.words) >= policy.min_words:
        return containment >= policy.containment or _runs_in(part.keys, whole.keys)
    if len({word.key for word in part.words if word.content}) < SUBSTANCE:
        return False
    return len(whole.words) >= policy.min_words or not any(word.slot for word in extra)


def _fuller(a: _Reading, b: _Reading, only_a: tuple[_Word, ...], only_b: tuple[_Word, ...]) -> Keep:
    """Which says more: by words of its own, else by a credit, else by length short of a doubling."""
    if only_a or only_b:
        return "a" if only_a else "b"
    credit_a, credit_b = _names_beyond(a, b), _names_beyond(b, a)
    if credit_a != credit_b:
        return "a" if credit_a else "b"
    short, long = sorted((len(a.words), len(b.words)))
    if a.cut_off != b.cut_off or _substance(a) != _substance(b):
        return "either" if short == long or long > 1.5 * short else "a" if len(a.words) == long else "b"
    return "either"


def _names_beyond(one: _Reading, other: _Reading) -> bool:
    """Whether one text's credit names someone whom the other text does not credit."""
    if not other.credit:
        return bool(one.credit)
    return bool(one.credit_keys - other.credit_keys - frozenset(other.keys))


def _substance(reading: _Reading) -> int:
    return sum(word.content for word in reading.words)


def _credits_conflict(a: _Reading, b: _Reading) -> bool:
    """Whether each credit names someone whom the other text does not know."""
    known_a, known_b = a.credit_keys | frozenset(a.keys), b.credit_keys | frozenset(b.keys)
    return bool(a.credit_keys - known_b) and bool(b.credit_keys - known_a)


def _digits_agree(a: _Reading, b: _Reading, more_a: bool, more_b: bool) -> bool:
    """Whether the numbers of the text that is contained occur in the other, in the same order.

    Where neither says more, either may be the doubled one.
    """
    digits_a, digits_b = _digits(a), _digits(b)
    return (not more_a and _in_order(digits_a, digits_b)) or (not more_b and _in_order(digits_b, digits_a))


def _digits(reading: _Reading) -> list[str]:
    return [key for key in reading.keys if any(c.isdigit() for c in key) and not key.startswith("month")]


def _in_order(few: list[str], many: list[str]) -> bool:
    rest = iter(many)
    return all(one in rest for one in few)


def _leads_in(one: _Reading, other: _Reading) -> bool:
    """Whether ``one`` is a topic ("garden tools - ") followed by the beginning of ``other``."""
    if not one.topic:
        return False
    rest, label = one.keys[one.topic :], one.keys[: one.topic]
    rest = rest[:-1] if one.cut_off else rest
    return (
        len(rest) >= TOPIC_REST
        and len(label) <= TOPIC_WORDS
        and not any(c.isdigit() for key in label for c in key)
        and other.keys[: len(rest)] == rest
    )


def _runs_in(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether one text's words run in the other's as they are; the last may be cut off."""
    return f" {' '.join(part)}" in f" {' '.join(whole)}"


def _unmatched(one: _Reading, other: _Reading) -> tuple[_Word, ...]:
    """The words of substance that ``one`` has and ``other`` lacks, typing errors and truncation forgiven."""
    keys = other.keys
    known = set(keys)
    missing = [word for word in _without_signature(one, other) if word.content and word.key not in known]
    if not missing:
        return ()
    joined = {x + y for x, y in pairwise(keys)}
    missing = [word for word in missing if not (word.key in joined and word.key.isalpha())]
    last = one.words[-1].key
    mid_word = one.cut_off or _runs_in(one.keys, keys)
    if len(missing) > max(3, len(one.words) // 4):  # so many are no typing errors
        return tuple(missing)
    own = {*one.keys}
    spare = [word for word in other.words if word.key not in own]
    return tuple(
        word
        for word in missing
        if not (mid_word and word.key == last and _cut_short(word.key, keys))
        and not any(_typo(word, candidate) for candidate in spare)
    )


def _without_signature(one: _Reading, other: _Reading) -> tuple[_Word, ...]:
    """The words of a text up to where it only says the other's credit, without a mark that it is one."""
    end = len(one.words)
    if other.credit:
        signature = other.credit_keys | _CREDIT_NOISE
        while end and one.words[end - 1].key in signature:
            end -= 1
    return one.words[:end]


def _cut_short(key: str, keys: tuple[str, ...]) -> bool:
    return key.isalpha() and any(other.startswith(key) for other in keys)


def _typo(one: _Word, other: _Word) -> bool:
    """Whether two words are one word mistyped or inflected.

    Never for numbers and months, never in the first letter (active, inactive). Names get one edit in seven
    letters and more: two would make Slovenia Slovakia.
    """
    a, b = sorted((one.key, other.key), key=len)
    if a[0] != b[0] or not (a.isalpha() and b.isalpha()) or not a.isascii():
        return False
    name = one.slot and other.slot
    if b.startswith(a) and len(a) >= 4 and (b[len(a) :] in ("s", "es") or (not name and len(b) - len(a) <= 3)):
        return not name or b == a + "s"
    edits = (len(a) >= 7) if name else (len(a) >= 6) + (len(a) >= 9)
    return edits > 0 and _edits_within(a, b, int(edits))


def _edits_within(a: str, b: str, most: int) -> bool:
    """Whether at most so many edits (insert, delete, replace, swap neighbours) make b of a."""
    if abs(len(a) - len(b)) > most:
        return False
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            cost = min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1] <= most


def _shingles(reading: _Reading) -> frozenset[str]:
    text = " ".join(reading.keys)
    return frozenset(text[i : i + 4] for i in range(max(1, len(text) - 3)))


@lru_cache(maxsize=512)
def _read(text: str) -> _Reading:
    """A caption as it is compared."""
    text, leading = _split_leading_credit(_plain(text))
    text = _FURNITURE.sub(" ", text).strip(" #|·*•")
    body, credits = _split_credits(text)
    credit = " ".join([*leading, *credits])
    body = _LEAD.sub("", body)
    cut_off = _CUT_OFF.search(body) is not None
    body = _CUT_OFF.sub("", body)
    words = _words(body)
    topic = _TOPIC.search(body)
    if not words and not credit:  # signs only: they are equal or they are not
        credit = text
    small = {word.key for word in words if word.small}
    names = not small and any(c.islower() for c in body)
    return _Reading(
        words=words,
        keys=tuple(word.key for word in words),
        credit=credit,
        credit_keys=_credit_keys(credit),
        cut_off=cut_off,
        topic=len(_words(body[: topic.start()])) if topic else 0,
        names_listed=names and _LISTED.search(body) is not None and _NUMBER.search(body) is None,
        sentence=len(small) >= SUBSTANCE,
    )


def _credit_keys(credit: str) -> frozenset[str]:
    """The names in a credit, without its label, years and boilerplate."""
    for long, short in _LONG_NAMES.items():
        credit = credit.replace(long, short)
    keys = (word.key for word in _words(credit))
    return frozenset(key for key in keys if not key.isdigit()) - _CREDIT_NOISE


def _plain(text: str) -> str:
    """The text without entities, tags and invisible characters, in one line."""
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAGS.sub(" ", text)
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("’", "'").split())


def _words(text: str) -> tuple[_Word, ...]:
    """The words of a text as they compare: folded, numbers and months in one spelling."""
    text = _CAMEL.sub(" ", _THOUSANDS.sub("", text))
    raw = _WORD.findall(text)
    one_case = not any(c.islower() for c in text) or not any(c.isupper() for c in text)
    numeric = [word[0].isdigit() for word in raw]
    words = []
    for i, word in enumerate(raw):
        key = _fold(word)
        dated = key in MONTHS and (any(numeric[i + 1 : i + 2]) or any(numeric[max(0, i - 1) : i]))
        if dated:
            key = MONTHS[key]
        elif len(key) == 2 and key.isdigit():
            key = key.lstrip("0") or "0"
        content = key not in FUNCTION_WORDS
        slot = content and (one_case or not word[0].islower() or any(c.isdigit() for c in word))
        small = content and word[0].isalpha() and not word[0].isupper()
        words.append(_Word(key, content, slot, small))
    return tuple(words)


def _fold(word: str) -> str:
    """A word without case and accents; umlauts become ae, oe, ue."""
    word = word.casefold()
    if word.isascii():
        return word
    word = unicodedata.normalize("NFD", word.translate(_UMLAUTS))
    return "".join(c for c in word if not unicodedata.combining(c))


def _split_leading_credit(text: str) -> tuple[str, list[str]]:
    """The text behind a hidden "image caption" label, and the credit that stood before that label."""
    label = _CAPTION_LABEL.search(text, 0, _CREDIT_LENGTH)
    if label and _is_credit(text[: label.start()].strip()):
        return text[label.end() :], [text[: label.start()].strip()]
    return text, []


def _split_credits(text: str) -> tuple[str, list[str]]:
    """A caption's own words, and the credits: those behind it, and those in brackets within it."""
    credits: list[str] = []
    for _ in range(3):
        found = _credit_start(text)
        if found is None:
            break
        credits.insert(0, text[found[0] :].strip(" ()[].-–—|"))
        text = text[: found[0]].rstrip(" -–—|,;:/")
    for bracketed in _BRACKETED.findall(text):
        if _is_credit(bracketed):
            credits.append(bracketed.strip("()[]"))
            text = text.replace(bracketed, " ")
    return text, credits


def _credit_start(text: str) -> tuple[int, bool] | None:
    """Where the credit at the end of a text begins, and whether it stands apart from the sentence before it."""
    tail = max(0, len(text) - _CREDIT_LENGTH)
    apart = {0} if not tail else set()
    for found in _BREAK.finditer(text, tail):
        apart.add(found.end() if text[found.end() - 1] not in "([" else found.end() - 1)
    starts = dict.fromkeys(apart, True)
    for found in _LABEL.finditer(text, tail):
        before = _ACRONYMS.search(text, max(tail, found.start() - 30), found.start())
        starts.setdefault(before.start() if before else found.start(), False)
    for start in sorted(starts)[:MOST_STARTS]:
        if _is_credit(text[start:]):
            return start, starts[start]
    return None


def _is_credit(text: str) -> bool:
    """Whether a text is nothing but a credit: a label, then names; or names, an agency among them."""
    text = text.strip(" ()[].")
    if not text or len(text) > _CREDIT_LENGTH:
        return False
    label = _LABEL.search(text)
    if label and label.start():  # "DoD photo by", "AP Photo/", but not "Freezing Your Credit:"
        by = label[0].rstrip(" :").lower().endswith(("by", "/", "courtesy", "courtesy of"))
        label = label if by and _MODIFIERS.fullmatch(text, 0, label.start()) else None
    if label is None and (_AGENCY.search(text) is None or _NUMBER.search(text)):
        return False
    return _names_only(text[label.end() :] if label else text)


def _names_only(text: str) -> bool:
    """Whether every word could stand in a credit: capitalised, a number, a particle, part of an address."""
    words = list(_NAME_WORD.finditer(text))
    return 0 < len(words) <= _CREDIT_WORDS and all(
        not word[0].islower()
        or word[0] in _NAME_PARTICLES
        or text[max(0, word.start() - 1) : word.start()] in ("/", ".", "@", "_")
        for word in words
    )


# --- the stage

STAGE = "captions"
# How many blocks apart a caption and its repetition may stand when only one of them shows by itself that it
# is a caption; how many captions of a page are looked at, and how many pairs of them; how many words a
# caption may have before it is taken for prose with a credit behind it.
WINDOW, MOST_CAPTIONS, MOST_PAIRS, MOST_WORDS = 12, 1_000, 5_000, 120

_CANDIDATES = frozenset(["paragraph", "caption", "credit", "list_item"])
_HINTS = """photo foto bild image pictur illustr grafik video imagen imagem immagin afbeelding beeld фото
    credit crédit nachweis courtesy source: quelle fuente: fonte: bron: copyright © (c) virin"""
_LABEL_HINTS = tuple(_HINTS.split())
_SIGNING = """Getty AP AFP Reuters REUTERS EPA dpa ANSA EFE TASS Xinhua UPI Keystone Anadolu Shutterstock Alamy
    iStock Adobe Unsplash Pixabay Pexels Wikimedia Flickr"""
_AGENCY_HINTS = tuple(_SIGNING.split())
_IDENTIFIER = re.compile(
    r"\(?(?P<label>[A-Z][A-Z]{2,7}|(?:[A-Z][\w.-]*\s){0,3}(?:ID|Id|No\.?|Nr\.?|Number|Ref\.?|Reference))\s*[:#]\s*"
    r"(?P<code>(?=\S*\d\S*\d\S*\d)[\w./_-]{4,40})\)?"
)
_MEDIUM_NAMED = re.compile(rf"(?i)(?<![^\W_])(?:{_MEDIUM}|credit|courtesy)(?![^\W_])")
_PURE_LABEL = re.compile(
    rf"(?ix) ^ (?: (?:{_MEDIUM}) (?:\s+credits?)? \s* (?: : | \s(?:by|von|par|por)\b \s* :? )"
    r" | credits? \s* : | © ) \s*"
)


@dataclass(frozen=True, slots=True)
class _Caption:
    """A block that shows that it is a caption: by its kind, by the credit at its end, or by the line after it.

    ``end`` is where its own words end in the page text and the credit at its end begins. One that is not
    ``certain`` counts only where it is repeated.
    """

    index: int
    end: int
    certain: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """The page as this stage sees it: which blocks are captions, credit lines, cut already."""

    document: Document
    policy: CaptionPolicy
    captions: dict[int, _Caption]
    credits: frozenset[int]
    gone: frozenset[int]
    cut: frozenset[int]

    def body(self, index: int) -> str:
        """The text of a block without the credit at its end."""
        block = self.document.blocks[index]
        caption = self.captions.get(index)
        return self.document.text[block.start : caption.end if caption else block.end]

    def line(self, index: int) -> str:
        return self.document.text_of(self.document.blocks[index])


def collapse_captions(document: Document, policy: CaptionPolicy) -> tuple[tuple[Cut, ...], tuple[Media, ...]]:
    """The cuts that leave each caption of a page once, and what was lifted out with them.

    A caption shows itself by its block's kind, by a credit at its end, or by a credit or identifier line
    after it; other lines count only where they repeat one of these beside it, or, in plain text, where they
    are packed together without an empty line. The fullest occurrence stays, without its credit; credit and
    identifier lines and titles between its occurrences go too. Prose, verse, lists and tables are not
    looked at. Cuts are sorted and apart; one of a whole block takes the white space behind it along.
    """
    page = _look(document, policy)
    if not page.captions:
        return (), ()
    cuts: dict[int, Cut] = {}
    media = []
    for group in _groups(page):
        new, lifted = _collapse(page, group, frozenset(cuts))
        cuts |= new
        media.append(lifted)
    return tuple(cuts[index] for index in sorted(cuts)), tuple(media)


def _look(document: Document, policy: CaptionPolicy) -> _Page:
    """Which blocks of a page show that they are captions or credit lines."""
    gone, cut = _already_cut(document)
    captions: dict[int, _Caption] = {}
    credits = set()
    for index in islice(_hopeful(document, gone), MOST_CAPTIONS):
        sign = _sign(document, index, document.blocks[index])
        if sign == "credit":
            credits.add(index)
        elif sign is not None:
            captions[index] = sign
    page = _Page(document, policy, captions, frozenset(credits), gone, cut)
    for index in sorted(credits):
        before = None if index - 1 in credits else _captioned_by(page, index)
        if before is not None:
            captions[before] = _Caption(before, document.blocks[before].end, certain=True)
    captions.update(_packed(page))
    return page


def _already_cut(document: Document) -> tuple[frozenset[int], frozenset[int]]:
    """The blocks that earlier stages cut whole: as chrome, and for any reason."""
    gone, cut, at = set(), set(), 0
    for index, block in enumerate(document.blocks if document.cuts else ()):
        while at < len(document.cuts) and document.cuts[at].end < block.end:
            at += 1
        if at < len(document.cuts) and document.cuts[at].start <= block.start:
            cut.add(index)
            if document.cuts[at].stage == "chrome":
                gone.add(index)
    return frozenset(gone), frozenset(cut)


def _sign(document: Document, index: int, block: Block) -> _Caption | Literal["credit"] | None:
    """What a block shows of itself: a caption, a credit line, or nothing."""
    if block.kind == "credit":
        return "credit" if block.end - block.start <= _CREDIT_LENGTH else None
    caption = _is_caption(block)
    text = document.text_of(block)
    found = _credit_start(text)
    if found is None:
        return _Caption(index, block.end, certain=True) if caption else None
    start, apart = found
    if not _WORD.search(text[:start]):
        return "credit" if caption or _labelled(text) else None
    body = text[:start].rstrip(" \t\n-–—|,;:/")
    if caption or (apart and 2 < len(body.split()) <= MOST_WORDS):
        return _Caption(index, block.start + len(body), certain=caption or _labelled(text[start:]))
    return None


def _hopeful(document: Document, gone: frozenset[int]) -> Iterator[int]:
    """The blocks that are captions or credits by kind, or may end in a credit; a cheap look at every block."""
    for index, block in enumerate(document.blocks):
        if block.kind not in _CANDIDATES or block.end - block.start > LONGEST or index in gone:
            continue
        if block.kind == "credit" or _is_caption(block) or _may_be_signed(document.text, block):
            yield index


def _may_be_signed(text: str, block: Block) -> bool:
    """Whether the last word of a block could end a name, and a word of credits stands near it."""
    tail = text[max(block.start, block.end - _CREDIT_LENGTH) : block.end]
    if not tail[-1].isalnum() and tail[-1] not in ").]":
        return False
    last = tail.rstrip(" ()[].\"”’'!?").rpartition(" ")[2]
    if last.islower() and last.isalpha() and last not in _NAME_PARTICLES:
        return False
    lower = tail.lower()
    return any(hint in lower for hint in _LABEL_HINTS) or any(hint in tail for hint in _AGENCY_HINTS)


def _is_caption(block: Block) -> bool:
    """Whether the page marks a block as a picture's caption; a table's is none."""
    return block.kind == "caption" and "/caption" not in block.path


def _labelled(credit: str) -> bool:
    """Whether a credit says what it credits (photo, image ...), and is not only a source or a copyright."""
    return _MEDIUM_NAMED.search(credit) is not None


def _captioned_by(page: _Page, credit: int) -> int | None:
    """The line before a credit line, if it is what the credit belongs to."""
    before = credit - 1
    if before < 0 or before in page.captions or before in page.gone:
        return None
    block, text = page.document.blocks[before], page.line(before)
    if block.kind != "paragraph" or not 1 < len(text.split()) <= MOST_WORDS or text.endswith(":"):
        return None
    if block.path:
        beside = block.path.rpartition("/")[0] == page.document.blocks[credit].path.rpartition("/")[0]
        return before if beside and "/figure" in block.path else None
    return before if _touch(page.document, before, credit) else None


def _touch(document: Document, one: int, other: int) -> bool:
    """Whether no empty line stands between two blocks."""
    between = document.text[document.blocks[one].end : document.blocks[other].start]
    return between.count("\n") < 2


def _packed(page: _Page) -> dict[int, _Caption]:
    """Lines of plain text that repeat the line before them, packed together on a page that sets prose apart.

    A stanza is packed too, but its lines are many and its page is made of such; so the repeated lines must
    be alone in their pack, and most lines of the page must end like sentences.
    """
    blocks = page.document.blocks
    if not blocks or blocks[0].path or len(blocks) > MOST_CAPTIONS:
        return {}
    found: dict[int, _Caption] = {}
    pack = [0]
    for index in range(1, len(blocks) + 1):
        if index < len(blocks) and _touch(page.document, index - 1, index):
            pack.append(index)
            continue
        if 1 < len(pack) <= WINDOW and not any(i in page.captions for i in pack) and _repeats(page, pack):
            found |= {i: _Caption(i, blocks[i].end, certain=False) for i in pack}
        pack = [index]
    return found if found and _prose(page, frozenset(found)) else {}


def _repeats(page: _Page, pack: list[int]) -> bool:
    """Whether the lines of a pack are whole sentences that all say the same."""
    lines = [page.line(index) for index in pack]
    if any(page.document.blocks[i].kind != "paragraph" or i in page.gone for i in pack):
        return False
    if any(len(line) > LONGEST or len(line.split()) < page.policy.min_words for line in lines):
        return False
    if min(map(len, lines)) < 0.6 * max(map(len, lines)) or not all(map(_ends, lines)):
        return False
    first = _read(lines[0])
    return all(_compare(first, _read(line), page.policy).label == "same" for line in lines[1:])


def _prose(page: _Page, apart_from: frozenset[int]) -> bool:
    """Whether most other lines of a page with at least min_words words end like sentences."""
    lines = [page.line(i) for i in range(len(page.document.blocks)) if i not in apart_from]
    lines = [line for line in lines if len(line.split()) >= page.policy.min_words]
    return len(lines) > 0 and 2 * sum(map(_ends, lines)) > len(lines)


def _ends(line: str) -> bool:
    """Whether a line ends as a sentence does."""
    return line.rstrip("\"'”’»)]")[-1:] in tuple(".!?…。！？")


# --- groups of one caption each


def _groups(page: _Page) -> list[list[int]]:
    """The blocks that say one caption, a list for each caption in page order; the one to keep comes first.

    Every block of a group is verified against the one that is kept.
    """
    gathered: list[list[int]] = []
    index: dict[str, list[int]] = {}
    most = max(4, MOST_PAIRS // len(page.captions))
    for at in sorted(page.captions):
        reading = _read(page.line(at))
        probes = _probes(reading)
        likely = Counter(group for probe in probes for group in index.get(probe, ())[-most:])
        for group, _ in likely.most_common(most):
            if _one_caption(page, gathered[group], at):
                gathered[group].append(at)
                break
        else:
            for probe in probes:
                index.setdefault(probe, []).append(len(gathered))
            gathered.append([at])
    settled = [group for members in gathered for group in _settled(page, _with_neighbours(page, members))]
    return [group for group in settled if len(group) > 1 or _stands_alone(page, group[0])]


def _stands_alone(page: _Page, at: int) -> bool:
    """Whether a caption that is not repeated is one for certain, and worth lifting."""
    caption, block = page.captions.get(at), page.document.blocks[at]
    if caption is None or not caption.certain:
        return False
    return caption.end < block.end or at + 1 in page.credits or not block.path or "/figure" in block.path


def _probes(reading: _Reading) -> set[str]:
    """A few words of a caption of which its copies share at least one: how it begins and ends, what is rare."""
    keys = reading.keys
    return {" ".join(keys[:2]), " ".join(keys[-2:]), *sorted(set(keys), key=lambda key: (-len(key), key))[:4]}


def _one_caption(page: _Page, members: list[int], at: int) -> bool:
    """Whether a block says the caption of a group.

    Strings under min_words, and longer ones made of names and numbers, are labels as often as captions (of a
    speaker, a product, a price): they count only right behind one of the group.
    """
    a, b = _read(page.line(members[0])), _read(page.line(at))
    if _label_like(a, page.policy) or _label_like(b, page.policy):
        between = range(members[-1] + 1, at)
        if not all(i in page.credits or _identifier(page, i) is not None for i in between[:WINDOW]):
            return False
    return _compare(a, b, page.policy).label == "same"


def _label_like(reading: _Reading, policy: CaptionPolicy) -> bool:
    return len(reading.words) < policy.min_words or not reading.sentence


def _with_neighbours(page: _Page, members: list[int]) -> list[int]:
    """The members, and the lines beside them that repeat them though nothing else marks them as captions."""
    found, other = set(members), set[int]()
    last = len(page.document.blocks)
    for member in members:
        after, before = (
            range(member + 1, min(last, member + WINDOW)),
            range(member - 1, max(-1, member - WINDOW), -1),
        )
        for beside in (after, before):
            for at in beside:
                if at in found or _adjunct(page, at):
                    continue
                if at in other or not _repeats_beside(page, member, at):
                    other.add(at)
                    break
                found.add(at)
    return sorted(found)


def _repeats_beside(page: _Page, caption: int, at: int) -> bool:
    """Whether an unmarked line beside a caption is that caption again, and not prose that quotes it."""
    block = page.document.blocks[at]
    if at in page.captions or at in page.gone or at in page.credits or block.kind != "paragraph":
        return False
    if block.path and "/figure" not in block.path:
        return False
    body, length = page.body(caption), block.end - block.start
    if length > 1.5 * len(body) or length < 0.3 * len(body):
        return False
    one, other = _read(body), _read(page.line(at))
    if not 2 * len({*one.keys} & {*other.keys}) > min(len(one.words), len(other.words)):
        return False
    match = _compare(one, other, page.policy)
    short = min(len(one.words), len(other.words)) < page.policy.min_words
    return match.label == "same" and not (short and match.evidence["rule"] != "equal")


def _adjunct(page: _Page, at: int) -> bool:
    """Whether a line may stand within a caption's lines: a credit, an identifier, a short title."""
    if at in page.captions or at in page.gone:
        return False
    return at in page.credits or _identifier(page, at) is not None or _title_like(page, at)


def _identifier(page: _Page, at: int) -> str | None:
    block = page.document.blocks[at]
    if block.kind not in _CANDIDATES or block.end - block.start > 100:
        return None
    return page.line(at).strip() if _IDENTIFIER.fullmatch(page.line(at).strip()) else None


def _title_like(page: _Page, at: int) -> bool:
    block = page.document.blocks[at]
    if block.kind not in ("paragraph", "caption") or block.end - block.start > 200:
        return False
    line = page.line(at).rstrip()
    if not any(c.isalpha() for c in line):
        return False
    return len(line.split()) < page.policy.min_words and not line.endswith((":", ".", "?", "!"))


def _settled(page: _Page, members: list[int]) -> list[list[int]]:
    """One group with the fullest member first; what is not verified against it stands alone."""
    pool = [at for at in members if at not in page.cut] or members
    best = pool[0]
    for at in pool[1:]:
        match = _compare(_read(page.body(best)), _read(page.body(at)), page.policy)
        best = at if match.label == "same" and match.keep == "b" else best
    kept = _read(page.body(best))
    same = [
        at for at in members if at != best and _compare(kept, _read(page.body(at)), page.policy).label == "same"
    ]
    alone = [[at] for at in members if at != best and at not in same]
    return [[best, *same], *alone]


# --- cuts and media


def _collapse(page: _Page, group: list[int], taken: frozenset[int]) -> tuple[dict[int, Cut], Media]:
    """The cuts that leave one caption once, by block, and the media that holds what was lifted."""
    kept, members = group[0], sorted(group)
    lines = [at for at in _adjuncts(page, members) if at not in taken]
    titles = [at for at in _titles(page, members, frozenset(lines)) if at not in taken]
    cuts = {at: _repeated(page, kept, at, members) for at in members if at != kept}
    if (own := _own_credit(page, kept)) is not None:
        cuts[kept] = own
    for at in lines:
        rule = "caption-credit" if at in page.credits else "caption-identifier"
        cuts[at] = _whole(page, at, rule, _REASONS[rule], kept)
    for at in titles:
        cuts[at] = _whole(page, at, "caption-title", _REASONS["caption-title"], kept)
    cuts = {at: cut for at, cut in cuts.items() if at not in page.cut and at not in taken}
    return cuts, _media(page, kept, members, lines, titles)


_REASONS = MappingProxyType(
    {
        "caption-credit": "says who made the picture, not what the page says; kept as metadata",
        "caption-identifier": "is the picture's identifier, not part of the text; kept as metadata",
        "caption-title": "is the picture's title, between repetitions of its caption; kept as metadata",
    }
)


def _adjuncts(page: _Page, members: list[int]) -> list[int]:
    """The credit and identifier lines that belong to a caption: those that follow an occurrence directly,
    or behind a title, and a credit directly before one that no other caption claims.
    """
    found = []
    for member in members:
        at = member + 1
        if len(members) > 1 and _follows_title(page, at):
            at += 1
        while at < len(page.document.blocks) and (at in page.credits or _identifier(page, at)):
            found.append(at)
            at += 1
        before = member - 1
        if before in page.credits and page.document.blocks[before].kind == "credit":
            claimed = before - 1 in page.captions or before - 1 in page.credits
            found += [] if claimed else [before]
    return [at for at in dict.fromkeys(found) if at not in members and at not in page.gone]


def _follows_title(page: _Page, at: int) -> bool:
    """Whether a line is a title with a credit or identifier line after it, packed to both sides."""
    if at + 1 >= len(page.document.blocks) or at in page.credits or at in page.captions:
        return False
    packed = _touch(page.document, at - 1, at) and _touch(page.document, at, at + 1)
    signed = at + 1 in page.credits or _identifier(page, at + 1) is not None
    return packed and signed and _title_like(page, at)


def _titles(page: _Page, members: list[int], lines: frozenset[int]) -> list[int]:
    """The short lines that stand between two occurrences of a caption, or between one and its credit."""
    found = []
    for one, other in pairwise([*members, len(page.document.blocks)]):
        inside = [at for at in range(one + 1, min(other, one + WINDOW)) if at not in lines]
        if other < len(page.document.blocks):
            titles = len(inside) <= 2 and other - one <= WINDOW and all(_is_title(page, at) for at in inside)
            found += inside if titles else []
        elif one + 2 in lines and one + 1 not in lines and _is_title(page, one + 1):
            found.append(one + 1)
    return found


def _is_title(page: _Page, at: int) -> bool:
    path = page.document.blocks[at].path
    free = at not in page.captions and at not in page.gone and (not path or "/figure" in path)
    return free and _title_like(page, at)


def _repeated(page: _Page, kept: int, at: int, members: list[int]) -> Cut:
    match = _compare(_read(page.body(kept)), _read(page.body(at)), page.policy)
    where = "above" if kept < at else "below"
    number = members.index(at) + 1
    reason = f"repeats the caption {where} (occurrence {number} of {len(members)})"
    numbers = {"jaccard": match.evidence["jaccard"], "containment": match.evidence["containment"]}
    counts = {"occurrence": number, "occurrences": len(members)}
    return _whole(page, at, "repeated-caption", reason, kept, {**numbers, **counts})


def _whole(page: _Page, at: int, rule: str, reason: str, kept: int, evidence: Evidence | None = None) -> Cut:
    """The cut of a whole block, the white space behind it too."""
    blocks = page.document.blocks
    end = blocks[at + 1].start if at + 1 < len(blocks) else len(page.document.text)
    keeper = {"kept_start": blocks[kept].start, "kept_end": blocks[kept].end}
    return Cut(blocks[at].start, end, STAGE, rule, reason, {**keeper, **(evidence or {})})


def _own_credit(page: _Page, kept: int) -> Cut | None:
    """The cut of the credit at the end of the kept caption."""
    caption, block = page.captions.get(kept), page.document.blocks[kept]
    if caption is None or caption.end >= block.end:
        return None
    reason = _REASONS["caption-credit"]
    evidence = {"kept_start": block.start, "kept_end": caption.end}
    return Cut(caption.end, block.end, STAGE, "caption-credit", reason, evidence)


def _media(page: _Page, kept: int, members: list[int], lines: list[int], titles: list[int]) -> Media:
    blocks, text = page.document.blocks, page.document.text
    ends = [text[page.captions[at].end : blocks[at].end] for at in members if at in page.captions]
    said = [*(page.line(at) for at in lines), *ends]
    identifiers = [found[0].strip("()") for one in said for found in _IDENTIFIER.finditer(one)]
    credits = [_bare_credit(_IDENTIFIER.sub("", one)) for one in said]
    return Media(
        caption=page.body(kept),
        credit=max(credits, key=len, default="") or None,
        title=page.line(titles[0]) if titles else None,
        identifiers=tuple(dict.fromkeys(identifiers)),
        occurrences=len(members),
        places=tuple((blocks[at].start, blocks[at].end) for at in members),
    )


def _bare_credit(text: str) -> str:
    """A credit without brackets and without a label that only says that it is one."""
    return _PURE_LABEL.sub("", text.strip(" ()[]-–—|,;\t\n")).strip(" ()[]")
