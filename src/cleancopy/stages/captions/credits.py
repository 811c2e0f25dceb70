"""Credits: where the line that names the maker of a picture begins, and whom it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from cleancopy.stages.captions.wording import split_words

# What a credit has at most: characters and words; and how many places are tried for its beginning, which
# bounds the time that a long line of names costs.
CREDIT_LENGTH, _CREDIT_WORDS, MOST_STARTS = 200, 20, 16


def credit_start(text: str) -> tuple[int, bool] | None:
    """Where the credit at the end of a text begins, and whether it stands apart from the sentence before it."""
    tail = max(0, len(text) - CREDIT_LENGTH)
    apart = {0} if not tail else set()
    for pause in _BREAK.finditer(text, tail):
        apart.add(pause.end() if text[pause.end() - 1] not in "([" else pause.end() - 1)
    starts = dict.fromkeys(apart, True)
    for label in _LABEL.finditer(text, tail):
        before = _ACRONYMS.search(text, max(tail, label.start() - 30), label.start())
        starts.setdefault(before.start() if before else label.start(), False)
    for start in sorted(starts)[:MOST_STARTS]:
        if _is_credit(text[start:]):
            return start, starts[start]
    return None


def split_credits(text: str) -> tuple[str, list[str]]:
    """A caption's own words, and the credits: those behind it, and those in brackets within it."""
    credits: list[str] = []
    for _ in range(3):
        start = credit_start(text)
        if start is None:
            break
        credits.insert(0, text[start[0] :].strip(" ()[].-–—|"))
        text = text[: start[0]].rstrip(" -–—|,;:/")
    for bracketed in _BRACKETED.findall(text):
        if _is_credit(bracketed):
            credits.append(bracketed.strip("()[]"))
            text = text.replace(bracketed, " ")
    return text, credits


def split_leading_credit(text: str) -> tuple[str, list[str]]:
    """The text behind a hidden "image caption" label, and the credit that stood before that label."""
    label = _CAPTION_LABEL.search(text, 0, CREDIT_LENGTH)
    if label and _is_credit(text[: label.start()].strip()):
        return text[label.end() :], [text[: label.start()].strip()]
    return text, []


def credit_keys(credit: str) -> frozenset[str]:
    """The names in a credit, without its label, years and boilerplate."""
    for long, short in _LONG_NAMES.items():
        credit = credit.replace(long, short)
    keys = (word.key for word in split_words(credit))
    return frozenset(key for key in keys if not key.isdigit()) - CREDIT_NOISE


def _is_credit(text: str) -> bool:
    """Whether a text is nothing but a credit: a label, then names; or names, an agency among them."""
    text = text.strip(" ()[].")
    if not text or len(text) > CREDIT_LENGTH:
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


def may_be_signed(tails: Mapping[int, str]) -> set[int]:
    """Which of some ends of texts may be credits, by their last word and what hints at one: a cheap look."""
    ends = {number: tail for number, tail in tails.items() if _may_end_so(tail)}
    # Few pages have more than a few of the hints; only these are looked for in each.
    together = "\n".join(ends.values())
    lower = together.lower()
    labels = [hint for hint in _LABEL_HINTS if hint in lower]
    agencies = [hint for hint in _AGENCY_HINTS if hint in together]
    return {
        number
        for number, tail in ends.items()
        if any(map(tail.lower().__contains__, labels)) or any(map(tail.__contains__, agencies))
    }


def _may_end_so(tail: str) -> bool:
    if not tail[-1].isalnum() and tail[-1] not in ").]":
        return False
    last = tail.rstrip(" ()[].\"”’'!?").rpartition(" ")[2]
    return not (last.islower() and last.isalpha()) or last in _NAME_PARTICLES


def names_medium(credit: str) -> bool:
    """Whether a credit says what it credits (photo, image ...), and is not only a source or a copyright."""
    return _MEDIUM_NAMED.search(credit) is not None


def bare_credit(text: str) -> str:
    """A credit without brackets and without a label that only says that it is one."""
    return _PURE_LABEL.sub("", text.strip(" ()[]-–—|,;\t\n")).strip(" ()[]")


# --- what credits are written with


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
      | [Ff]ot\. (?=\s?[^\W\d_])  # Polish and Czech, before a name: "Fot. Jan Novak"
    )
    """
)
# Agencies and stock libraries that sign pictures across the world's press, with or without a label: those that
# sign so many that their name alone tells no picture from another, and the rest.
_EVERYWHERE = "Getty|AP|AFP|Reuters|EPA|dpa|ANSA|EFE|TASS|Xinhua|UPI|Shutterstock|Alamy|iStock"
_ELSEWHERE = "Keystone|Anadolu|Unsplash|Pixabay|Pexels|Flickr"
_AGENCY = re.compile(
    rf"(?<![^\W_])(?:{_EVERYWHERE}|{_ELSEWHERE}|Adobe ?Stock|Wikimedia Commons|Associated Press)(?![^\W_])"
)
AGENCY_KEYS = frozenset(_EVERYWHERE.lower().split("|"))
_AGENCY_HINTS = (*_EVERYWHERE.split("|"), *_ELSEWHERE.split("|"), "Adobe", "Wikimedia", "REUTERS")
_HINTS = """photo foto bild image pictur illustr grafik video imagen imagem immagin afbeelding beeld фото
    credit crédit nachweis courtesy source: quelle fuente: fonte: bron: copyright © (c) virin fot."""
_LABEL_HINTS = tuple(_HINTS.split())
_PARTICLES = """by via for from of the and file files photo photos image images courtesy staff handout
    all rights reserved com org net von van der den de del della di da do dos la le du und et y e i pool stock
    submitted"""
_NAME_PARTICLES = frozenset(_PARTICLES.split())
# Where a new thought may begin: behind the end of a sentence, a dash between spaces, an opening bracket.
_BREAK = re.compile(r"[.!?…\"”»')\]]\s*(?=[^\W_a-z(\[])|\s[-–—|]\s(?=[^\W_a-z©])|\s*[(\[]")
_NAME_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NUMBER = re.compile(r"(?<![^\W_])\d+(?![^\W_])")
_BRACKETED = re.compile(r"[(\[][^()\[\]]{4,100}[)\]]")
# What may stand before a label: up to three capitalised words or initials ("U.S. Navy photo by").
_MODIFIERS = re.compile(r"(?:(?:[A-Z][A-Za-z&-]*|(?:[A-Z]\.){2,})\s+){1,3}$")
# The same where only acronyms count, since the words before them may be the caption's ("DoD photo by").
_ACRONYMS = re.compile(r"(?:(?:[A-Z][A-Za-z]?[A-Z]+|(?:[A-Z]\.){2,})\s+){1,2}$")
_NOISE = """photo photos photograph photographs photography image images picture pictures illustration video
    credit credits courtesy copyright foto fotos bild bilder source quelle all rights reserved the"""
CREDIT_NOISE = frozenset(_NOISE.split())
_LONG_NAMES = MappingProxyType({"Associated Press": "AP", "Agence France-Presse": "AFP"})
_CAPTION_LABEL = re.compile(
    r"(?i)(?<![^\W_])(?:image|photo|picture|media|video)\s+caption(?:\s*:|\s|(?=[A-Z]))"
)
_MEDIUM_NAMED = re.compile(rf"(?i)(?<![^\W_])(?:{_MEDIUM}|credit|courtesy)(?![^\W_])")
_PURE_LABEL = re.compile(
    rf"(?ix) ^ (?: (?:{_MEDIUM}) (?:\s+credits?)? \s* (?: : | \s(?:by|von|par|por)\b \s* :? )"
    r" | credits? \s* : | © | fot\. ) \s*"
)
