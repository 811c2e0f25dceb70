"""Two captions: whether they are one, and which of them says more.

No similarity threshold tells captions apart: two that differ only in a date, a person or a number are more
alike than a caption and its own truncated copy. So the words that one text has and the other lacks decide.
Where both sides have words of their own that say something, the two are never one caption; where only one
side has, it is the fuller copy. Containment of character 4-grams is a floor below that, not the judge.

``compare_captions`` judges two texts. Whoever judges many pairs reads each text once (``read_caption``) and
compares the readings (``compare_readings``).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from cleancopy.document import Evidence
from cleancopy.minhash import Overlap, overlap
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.credits import (
    AGENCY_KEYS,
    CREDIT_NOISE,
    credit_keys,
    split_credits,
    split_leading_credit,
)
from cleancopy.stages.captions.wording import NEGATIONS, Word, fold, has_digit, split_words

Label = Literal["same", "related", "different"]
Keep = Literal["a", "b", "either"]
# Characters above which a text is no caption; this bounds what one comparison costs.
LONGEST = 4_000
# Containment of character 4-grams from which two captions that are not one are called related.
RELATED = 0.5
# A short text needs so many words of substance, and the rest behind a topic label so many words, to be a copy.
SUBSTANCE, TOPIC_REST, TOPIC_WORDS = 3, 6, 6
# So many words at most are taken for others' replacement; more are a text said twice.
REPLACED = 4


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
class Reading:
    """A caption as it is compared: its words without UI text and credit, and the credit's words."""

    words: tuple[Word, ...]
    keys: tuple[str, ...]
    credit: str
    credit_keys: frozenset[str]
    cut_off: bool
    topic: int
    names_listed: bool
    sentence: bool
    digits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Verdict:
    label: Label | Literal["apart"]
    rule: str
    keep: Keep | None = None


def compare_captions(a: str, b: str, policy: CaptionPolicy = CaptionPolicy()) -> CaptionMatch:  # noqa: B008
    """Whether two captions are the same, related or different, and which of them says more.

    The same: one is redundant once the other is read, whatever their punctuation, case, UI text,
    credit or truncation. Related: they share a picture, an event or a template, yet each says something.
    Texts longer than any caption are compared only for being equal.
    """
    if max(len(a), len(b)) > LONGEST:
        equal = a.split() == b.split()
        evidence = {"rule": "no-caption"}
        return CaptionMatch("same", "either", evidence) if equal else CaptionMatch("different", None, evidence)
    return compare_readings(read_caption(a), read_caption(b), policy)


def compare_readings(a: Reading, b: Reading, policy: CaptionPolicy) -> CaptionMatch:
    """The verdict over two readings, with its evidence."""
    only_a, only_b = _unmatched(a, b), _unmatched(b, a)
    shared = _overlap(a, b)
    verdict = _judge(a, b, only_a, only_b, policy)
    label = verdict.label
    if label == "apart":  # related where the smaller text shares a good part of its characters
        label = "related" if shared.containment >= RELATED else "different"
    evidence: Evidence = {
        "rule": verdict.rule,
        "jaccard": round(shared.jaccard, 3),
        "containment": round(shared.containment, 3),
        "only_a": " ".join(word.key for word in only_a),
        "only_b": " ".join(word.key for word in only_b),
        "credit_a": a.credit,
        "credit_b": b.credit,
    }
    return CaptionMatch(label, verdict.keep, evidence)


def judge_readings(a: Reading, b: Reading, policy: CaptionPolicy) -> tuple[bool, str]:
    """Whether two readings are one caption, and by which rule, as ``compare_readings`` finds it.

    Without the evidence, and so twice as fast.
    """
    verdict = _judge(a, b, _unmatched(a, b), _unmatched(b, a), policy)
    return verdict.label == "same", verdict.rule


# --- the verdict


def _judge(
    a: Reading,
    b: Reading,
    only_a: tuple[Word, ...],
    only_b: tuple[Word, ...],
    policy: CaptionPolicy,
) -> _Verdict:
    if not a.words or not b.words:
        return _judge_credits(a, b)
    topic_a, topic_b = _leads_in(a, b), _leads_in(b, a)
    only_a = () if topic_a else only_a
    only_b = () if topic_b else only_b
    if only_a and only_b:
        slots = any(word.slot for word in only_a) and any(word.slot for word in only_b)
        return _apart("both-name-something" if slots else "both-say-something")
    if _credits_conflict(a, b):
        return _apart("other-credit")
    if not (topic_a or topic_b) and _is_word_replaced(a, b, only_a, only_b):
        return _apart("word-replaced")
    if not _digits_agree(a, b, bool(only_a), bool(only_b)):
        return _apart("other-numbers")
    if only_a or only_b:
        part, whole, extra = (b, a, only_a) if only_a else (a, b, only_b)
        if all(word.key in NEGATIONS for word in extra):
            return _apart("negated")
        if _names_another(part, whole, extra):
            return _apart("other-name")
        if not _stands_for(part, whole, extra, policy):
            return _apart("too-short")
    elif a.sentence and b.sentence and _swapped(_names(a), _names(b)):
        return _apart("other-order")
    rule = "topic-label" if topic_a or topic_b else "contained" if only_a or only_b else "equal"
    return _Verdict("same", rule, _fuller(a, b, only_a, only_b))


def _apart(rule: str) -> _Verdict:
    return _Verdict("apart", rule)


def _judge_credits(a: Reading, b: Reading) -> _Verdict:
    """The verdict where a text is only a credit: the same as its equal, or as the caption that ends in it."""
    if not a.words and not b.words:
        equal = a.credit_keys == b.credit_keys and bool(a.credit_keys or a.credit == b.credit)
        return _Verdict("same", "credit", "either") if equal else _Verdict("different", "other-credit")
    named = bool(a.credit_keys - AGENCY_KEYS) or fold(a.credit) == fold(b.credit)
    if named and a.credit_keys == b.credit_keys:
        return _Verdict("same", "credit", "b" if b.words else "a")
    return _Verdict("different", "credit-alone")


def _stands_for(part: Reading, whole: Reading, extra: tuple[Word, ...], policy: CaptionPolicy) -> bool:
    """Whether a text that is contained in another says enough of its own to be a copy of it.

    Long ones do, but some of a list of names are not that list. Short ones (a name, a product) must have
    three words of substance, and the other must be a whole caption, or else add nothing that names another
    model, person or place.
    """
    if part.names_listed and not _runs_in(part.keys, whole.keys):
        return False
    if len(part.words) >= policy.min_words:
        return _runs_in(part.keys, whole.keys) or _overlap(part, whole).containment >= policy.containment
    if len({word.key for word in part.words if word.content}) < SUBSTANCE:
        return False
    return len(whole.words) >= policy.min_words or not any(word.slot for word in extra)


def _names_another(part: Reading, whole: Reading, extra: tuple[Word, ...]) -> bool:
    """Whether a name differs from another by some words: "Ridge Down Jacket" and "Ridge Light Down Jacket".

    Such words stand inside the name that they change, or behind the number of a model ("Hall X200 White").
    """
    if part.sentence or whole.sentence or len(extra) > 3 or not all(word.slot for word in extra):
        return False
    if not _runs_in(part.keys, whole.keys):
        return True
    model = any(key.isalnum() and not key.isalpha() and not key.isdigit() for key in part.keys)
    return model and not part.cut_off and whole.keys[: len(part.keys)] == part.keys


def _names(reading: Reading) -> list[str]:
    """The words that name something, each where it stands first: who reacts to whom."""
    return list(dict.fromkeys(word.key for word in reading.words if word.slot and not word.small))


def _swapped(a: list[str], b: list[str]) -> bool:
    return a != b and sorted(a) == sorted(b)


def _fuller(a: Reading, b: Reading, only_a: tuple[Word, ...], only_b: tuple[Word, ...]) -> Keep:
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


def _names_beyond(one: Reading, other: Reading) -> bool:
    """Whether one text's credit names someone whom the other text does not credit."""
    if not other.credit:
        return bool(one.credit)
    return bool(one.credit_keys - other.credit_keys - frozenset(other.keys))


def _substance(reading: Reading) -> int:
    return sum(word.content for word in reading.words)


def _credits_conflict(a: Reading, b: Reading) -> bool:
    """Whether each credit names someone whom the other text does not know."""
    known_a, known_b = a.credit_keys | frozenset(a.keys), b.credit_keys | frozenset(b.keys)
    return bool(a.credit_keys - known_b) and bool(b.credit_keys - known_a)


def _digits_agree(a: Reading, b: Reading, more_a: bool, more_b: bool) -> bool:
    """Whether the numbers of the text that is contained occur in the other, in the same order.

    Where neither says more, either may be the doubled one.
    """
    digits_a, digits_b = a.digits, b.digits
    return (not more_a and _in_order(digits_a, digits_b)) or (not more_b and _in_order(digits_b, digits_a))


def _in_order(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    rest = iter(many)  # ``in`` uses an iterator up: each is looked for behind the one before
    return all(number in rest for number in few)


# --- what one text has and the other lacks


def _leads_in(one: Reading, other: Reading) -> bool:
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


def _unmatched(one: Reading, other: Reading) -> tuple[Word, ...]:
    """The words of substance that ``one`` has and ``other`` lacks, typing errors and truncation forgiven."""
    keys = other.keys
    keys_of_other = set(keys)
    missing = [
        word for word in _without_signature(one, other) if word.content and word.key not in keys_of_other
    ]
    if not missing:
        return ()
    joined = {x + y for x, y in pairwise(keys)}
    split = {key for x, y in pairwise(one.keys) if x + y in keys_of_other for key in (x, y)}
    missing = [w for w in missing if not ((w.key in joined or w.key in split) and w.key.isalpha())]
    if not missing:
        return ()
    last = one.words[-1].key
    mid_word = one.cut_off or _runs_in(one.keys, keys)
    # More than three, and more than a quarter of the words, are no typing errors.
    if len(missing) > max(3, len(one.words) // 4):
        return tuple(missing)
    keys_of_one = {*one.keys}
    spare = [word for word in other.words if word.key not in keys_of_one]
    return tuple(
        word
        for word in missing
        if not (mid_word and word.key == last and _cut_short(word.key, keys))
        and not any(_typo(word, candidate) for candidate in spare)
    )


def _is_word_replaced(a: Reading, b: Reading, only_a: tuple[Word, ...], only_b: tuple[Word, ...]) -> bool:
    """Whether each text has words of substance more often than the other: one stands in another's place.

    A replaced word may stand elsewhere in the text as well, the more so where words are single letters. A text
    that says itself twice has many words more often, and that makes no other caption.
    """
    if a.keys == b.keys:
        return False
    counts_a, counts_b = (
        Counter(word.key for word in _without_signature(*pair) if word.content) for pair in ((a, b), (b, a))
    )
    repeated_a, repeated_b = counts_a - counts_b, counts_b - counts_a
    more_a = _more_often(repeated_a, counts_b, only_a, a)
    more_b = _more_often(repeated_b, counts_a, only_b, b)
    fewest = min((more for more, only in ((more_a, only_a), (more_b, only_b)) if not only), default=0)
    return more_a > 0 and more_b > 0 and fewest <= REPLACED


def _more_often(
    surplus: Counter[str], counts_of_other: Counter[str], only: tuple[Word, ...], reading: Reading
) -> int:
    """How many words a text has beyond the other's; typing errors, which ``only`` leaves out, are none."""
    missing = {word.key for word in only}
    more = sum(count for key, count in surplus.items() if key in counts_of_other or key in missing)
    return more - (reading.cut_off and reading.keys[-1] in surplus)


def _without_signature(one: Reading, other: Reading) -> tuple[Word, ...]:
    """The words of a text up to where it only says the other's credit, without a mark that it is one."""
    end = len(one.words)
    if other.credit:
        signature = other.credit_keys | CREDIT_NOISE
        while end and one.words[end - 1].key in signature:
            end -= 1
    return one.words[:end]


def _cut_short(key: str, keys: tuple[str, ...]) -> bool:
    return key.isalpha() and any(other.startswith(key) for other in keys)


def _typo(one: Word, other: Word) -> bool:
    """Whether two words are one word mistyped or inflected.

    Never for numbers and months, never in the first letter (active, inactive). Names get one edit in seven
    letters and more: two would make Slovenia Slovakia.
    """
    a, b = sorted((one.key, other.key), key=len)
    if a[0] != b[0] or not (a.isalpha() and b.isalpha()) or not a.isascii():
        return False
    if one.key in NEGATIONS or other.key in NEGATIONS:  # "with" is not a short "without"
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


def _overlap(a: Reading, b: Reading) -> Overlap:
    """What two readings share of their character 4-grams."""
    return Overlap(1, 1, 1) if a.keys == b.keys else overlap(_shingles(a), _shingles(b))


def _shingles(reading: Reading) -> frozenset[str]:
    """The character 4-grams of the words as they compare (``repetition`` would fold them another way)."""
    text = " ".join(reading.keys)
    return frozenset(text[i : i + 4] for i in range(max(1, len(text) - 3)))


# --- how a caption is read


@lru_cache(maxsize=512)
def read_caption(text: str) -> Reading:
    """A caption as it is compared."""
    text, leading = split_leading_credit(_plain(text))
    text = _FURNITURE.sub(" ", text).strip(" #|·*•")
    body, credits = split_credits(text)
    credit = " ".join([*leading, *credits])
    return _reading(_LEAD.sub("", body), credit, text)


@lru_cache(maxsize=4_096)
def read_body(text: str) -> Reading:
    """A caption whose credit was taken off before, as it is compared."""
    body = _FURNITURE.sub(" ", _plain(text)).strip(" #|·*•")
    return _reading(_LEAD.sub("", body), "", body)


def _reading(body: str, credit: str, text: str) -> Reading:
    """A caption's own words and its credit; one of signs only is its own credit: such are equal or not."""
    cut_off = CUT_OFF.search(body) is not None
    body = CUT_OFF.sub("", body)
    words = split_words(body)
    topic = _TOPIC.search(body)
    credit = text if not words and not credit else credit
    small = {word.key for word in words if word.small}
    names = not small and any(c.islower() for c in body)
    return Reading(
        words=words,
        keys=tuple(word.key for word in words),
        credit=credit,
        credit_keys=credit_keys(credit),
        cut_off=cut_off,
        topic=len(split_words(body[: topic.start()])) if topic else 0,
        names_listed=names and _LISTED.search(body) is not None and _NUMBER.search(body) is None,
        sentence=len(small) >= SUBSTANCE,
        digits=tuple(word.key for word in words if has_digit(word.key) and not word.key.startswith("month")),
    )


def _plain(text: str) -> str:
    """The text without entities, tags and invisible characters, in one line."""
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAGS.sub(" ", text)
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("’", "'").split())


# What UI text says around a caption: counters, zoom and gallery controls, hidden labels, relative
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
_TAGS = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
# Soft hyphen; zero-width characters and marks of direction; invisible operators; byte order mark; private use,
# where icon fonts keep their pictures.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ue000-\uf8ff]")
# A caption that was cut off: it ends in dots, perhaps with "read more" behind them.
CUT_OFF = re.compile(r"(?:…|\.{3,})\s*(?:\(?(?:read\s+)?more\)?)?\s*[\"”»']?$", re.IGNORECASE)
# A label before a caption that only says that a picture follows.
_LEAD = re.compile(r"(?i)^\s*(?:image|photo|picture|video|foto|bild|file(?:\s+photo)?)\s*(?:[:–—]|-\s)\s*")
# What sets a topic apart from the caption behind it: a dash between spaces, a colon.
_TOPIC = re.compile(r"\s[-–—|]\s|:\s")
_NUMBER = re.compile(r"(?<![^\W_])\d+(?![^\W_])")
_LISTED = re.compile(r"[,;&]|\b(?:and|und|et|y|e|en)\b")
