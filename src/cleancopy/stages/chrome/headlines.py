"""A page's headline, as far as learning and cutting a site's chrome must know it.

A headline stands once as the page's own line, and again wherever other pages link to it: in related links,
beside "Next post", in a list. The first is never chrome and no evidence of any; the others are likely chrome.
With markup the headline is the heading that says what the page's title says. In text without markup it is
found by where it stands: right above the first long text that no other page has.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set

from cleancopy.document import Block
from cleancopy.stages.chrome.profile import exact_form
from cleancopy.words import UNSPACED

#: Between a page's title and the name of its site in ``<title>``.
_TITLE_PARTS = re.compile(r"\s+[|–—·•»«›:/-]+\s+|:\s+|\s*[|｜]\s*|_")
LONG = 15  # words of a block of the page's own that is text, not a line of it
_LONGEST = 30  # words of a headline
_MOST_LINES = 4  # lines of the page's own (date, author) that may stand between the headline and the text
_SOLID_CHROME = 3  # repeated lines in a row, above which no headline of the text below stands
TRAIL = 4  # lines from the end of a breadcrumb trail to the headline, at most
_ROUNDS = 3  # times that lines are ruled out which several pages would have as their headline
_UNSPACED = re.compile(f"[{UNSPACED}]")


def count_words(exact: str) -> int:
    """How many words a normal form has; in scripts without spaces two characters count as a word.

    Chinese words have 1.5 to 2 characters on average.
    """
    words = exact.count(" ") + 1
    return words if exact.isascii() else max(words, len(_UNSPACED.findall(exact)) // 2)


def title_key(exact: str) -> str:
    """What a headline is known by in a site's chrome: 12 hex digits of the SHA-256 of its normal form."""
    return hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def is_title(exact: str) -> bool:
    """Whether a headline says enough to be known again: two words or more."""
    return count_words(exact) >= 2


def page_key(key: str) -> str:
    """What the page of a headline is known by: 8 hex digits of the SHA-256 of the document's key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def marked_headline(
    blocks: Sequence[Block], exact: Sequence[str], title: str | None, is_chrome: Callable[[int], bool]
) -> int | None:
    """The number of the block that is the headline of a page with markup, or None.

    That is the heading of the highest level that is a part of the title; else the first level-1 heading; else
    the last line before the text that is the title. ``is_chrome`` says of a block whether half of the site
    has it: the name of the site stands in headings, too.
    """
    parts = _title_forms(title)
    headings = [n for n, block in enumerate(blocks) if block.kind == "heading" and not is_chrome(n)]
    titled = [n for n in headings if exact[n] in parts]
    if titled:
        return min(titled, key=lambda n: (blocks[n].level, n))
    first = next((n for n in headings if blocks[n].level == 1), None)
    if first is not None:
        return first
    lines = [n for n, form in enumerate(exact) if form in parts and not is_chrome(n)]
    return next((n for n in lines if blocks[n].link_share < 1), None)


def _title_forms(title: str | None) -> set[str]:
    """The normal forms of a title and of its parts."""
    if not title:
        return set()
    return {exact_form(part) for part in [title, *_TITLE_PARTS.split(title)] if part.strip()} - {""}


def text_headline(
    forms: Sequence[str], words: Sequence[int], strengths: Sequence[int], ruled_out: Callable[[int], bool]
) -> int | None:
    """The number of the block that is the headline of a page of text without markup, or None.

    A line of the page's own that ends its breadcrumb trail and stands again below it. Else upwards from the
    first long text of the page's own: past lines that half of the site has and past a few of the page's own,
    up to a line that some other pages have, or else the uppermost of the page's own. A row of lines that some
    other pages have is passed by where a line of the page's own stands above it: a menu below the headline.
    Blocks have normal ``forms`` and the ``strengths`` of ``placement``; ``ruled_out`` says of a block that it
    cannot be the headline.
    """
    # What is longer than any headline is text, too, where a few other pages have it.
    text = (n for n, s in enumerate(strengths) if words[n] >= (_LONGEST if s in (1, 2) else LONG) and s < 3)
    number = next(text, len(strengths)) - 1
    twice = twice_above(forms, words, strengths, number + 1)
    if twice is not None:
        return twice[1]
    lines: list[int] = []
    repeated, in_menu = 0, None
    while number >= 0 and len(lines) < _MOST_LINES and repeated < _SOLID_CHROME:
        if strengths[number] >= 3:
            repeated += 1
        elif not strengths[number] and _is_weak(strengths, number - 1) and _is_weak(strengths, number + 1):
            pass  # a line of a menu that only this page has
        elif not strengths[number]:
            lines.append(number)
            repeated = 0
        elif _is_weak(strengths, number - 1):
            if lines:
                return lines[-1]
            in_menu = number if in_menu is None and not ruled_out(number) else in_menu
        elif not ruled_out(number):
            return number if in_menu is None else in_menu
        else:
            break
        number -= 1
    return lines[-1] if lines else in_menu


def _is_weak(strengths: Sequence[int], number: int) -> bool:
    return 0 <= number < len(strengths) and 0 < strengths[number] < 3


def twice_above(
    forms: Sequence[str], words: Sequence[int], strengths: Sequence[int], end: int
) -> tuple[int, int] | None:
    """The first and last place, near each other, of a line of the page's own twice above ``end``.

    It says two words or more, and no more than a headline does.
    """
    places: dict[str, int] = {}
    twice: tuple[int, int] | None = None
    for number in range(end):
        if strengths[number] or not 2 <= words[number] <= _LONGEST:
            continue
        first = places.setdefault(forms[number], number)
        if first < number <= first + TRAIL and (twice is None or twice[0] == first):
            twice = (first, number)
    return twice


def text_headlines(
    names: Sequence[Sequence[str]], words: Sequence[Sequence[int]], strength: Mapping[str, int]
) -> list[int | None]:
    """The headlines of a site's pages without markup, by the names of their blocks.

    A line that would be the headline of two pages is that of none (an author's name above the text).
    """
    shared: Set[str] = set()
    headlines: list[int | None] = []
    for _ in range(_ROUNDS):
        headlines = [
            _headline_of(page, counts, strength, shared) for page, counts in zip(names, words, strict=True)
        ]
        chosen = Counter(page[n] for page, n in zip(names, headlines, strict=True) if n is not None)
        more = {name for name, count in chosen.items() if count > 1}
        if not more:
            break
        shared |= more
    return [
        None if n is not None and page[n] in shared else n for page, n in zip(names, headlines, strict=True)
    ]


def _headline_of(
    names: Sequence[str], words: Sequence[int], strength: Mapping[str, int], shared: Set[str]
) -> int | None:
    # What several pages would have as their headline is passed over like what half of the site has.
    strengths = [3 if name in shared else strength.get(name, 0) for name in names]
    return text_headline(names, words, strengths, lambda _: False)
