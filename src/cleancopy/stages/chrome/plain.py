"""Chrome of pages of text without markup, where no element and no content score says what is the page's own.

What is taken here would be too bold beside markup: a breadcrumb trail that ends in the headline, rows that a
site repeats in the midst of its pages, and lists of its other pages that go on down to its foot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import groupby, pairwise

from cleancopy.stages.chrome.headlines import LONG, TRAIL
from cleancopy.stages.chrome.patterns import opens_list
from cleancopy.stages.chrome.placement import SHORT, SOLID, Mark, Zone

_MENU = 8  # short lines in a row that some pages have: a menu of a part of the site
_TRAIL_WORDS = 3  # words of a part of a breadcrumb trail
_TAIL_BLOCKS, _TAIL_WORDS = 16, 80  # what may stand between the line that opens a list and the site's foot
_TITLED = 0.25  # share of its pages on which other pages' headlines follow a line that opens a list of them
_IN_TAIL = 0.9  # share of its pages on which it stands so near the foot


def plain_places(marks: Sequence[Mark], forms: Sequence[str], zone: Zone, chrome: Set[int]) -> set[int]:
    """The numbers of more repeated blocks that are chrome on a page without markup."""
    times = Counter(forms)
    places: set[int] = set()
    for row in _rows(
        [_is_button(mark, 3) and times[form] == 1 for mark, form in zip(marks, forms, strict=True)]
    ):
        places |= set(row) if len(row) >= SOLID else set()
    places |= menus(marks)
    cut_forms = {forms[n] for n in chrome if not zone[0] <= n < zone[1]}
    for number, mark in enumerate(marks):
        # What stands above the content and below it is no refrain.
        if mark.strong and not zone[0] <= number < zone[1] and forms[number] in cut_forms and not mark.label:
            places.add(number)
    return {n for n in places if not marks[n].headline}


def menus(marks: Sequence[Mark]) -> set[int]:
    """The numbers of the short blocks that stand in a long row, one after the other as on other pages."""
    places: set[int] = set()
    for row in _rows([_is_button(mark, 2) for mark in marks]):
        # The headline above or below a menu may be a line of it, too, but does not usually follow what it does.
        for part in _parted(row, [n for n in row if not marks[n].usual]):
            places |= set(part) if len(part) >= _MENU else set()
    return places


def _is_button(mark: Mark, strength: int) -> bool:
    return mark.strength >= strength and not mark.varies and mark.words <= SHORT and not mark.label


def _rows(flags: Sequence[bool]) -> Iterator[list[int]]:
    """The numbers of each row of blocks for which a flag is set."""
    for is_set, row in groupby(range(len(flags)), key=flags.__getitem__):
        if is_set:
            yield list(row)


def _parted(row: Sequence[int], starts: Sequence[int]) -> Iterator[Sequence[int]]:
    """The parts of a row of numbers that begin at some of them."""
    bounds = [row[0], *(n for n in starts if n != row[0]), row[-1] + 1]
    return (range(start, end) for start, end in pairwise(bounds))


def trail(marks: Sequence[Mark], forms: Sequence[str], chrome: Set[int]) -> set[int]:
    """The breadcrumb trail that ends in the headline right above the headline itself."""
    headline = next((n for n, mark in enumerate(marks) if mark.headline), None)
    if headline is None:
        return set()
    first = next((n for n in range(max(0, headline - TRAIL), headline) if forms[n] == forms[headline]), None)
    if first is None:
        return set()
    parts = {n for n in range(first, headline) if marks[n].words <= SHORT or n == first}
    number = first - 1
    while number >= max(0, first - TRAIL) and number not in chrome and marks[number].words <= _TRAIL_WORDS:
        number -= 1
    return parts | (set(range(number + 1, first)) if number < 0 or number in chrome else set())


def tail(marks: Sequence[Mark], chrome: Set[int]) -> tuple[range, int]:
    """Where a list of other pages may stand, and the number of the block where the site's foot begins.

    That is below the page's first long text, in blocks that are no longer than teasers.
    """
    foot = len(marks)
    while foot and foot - 1 in chrome:
        foot -= 1
    headline = next((n for n, mark in enumerate(marks) if mark.headline), -1)
    long = (n for n, m in enumerate(marks) if n > headline and m.words >= LONG and not m.strength)
    after = next(long, len(marks))
    start = foot
    while start > max(after + 1, foot - _TAIL_BLOCKS) and marks[start - 1].words <= _TAIL_WORDS:
        start -= 1
    return range(start, foot), foot


class TailTally:
    """The lines that open a list of the site's other pages at the foot of its pages, counted page by page."""

    def __init__(self) -> None:
        self._pages: Counter[str] = Counter()
        self._titled: Counter[str] = Counter()
        self._longest: dict[str, int] = {}

    def add(
        self,
        names: Sequence[str],
        texts: Sequence[str],
        marks: Sequence[Mark],
        chrome: Set[int],
        repeated: Set[str],
    ) -> None:
        """Count a page, by the names and texts of its blocks; only ``repeated`` names are counted."""
        places, foot = tail(marks, chrome)
        times = Counter(names)
        below = titled = has_own = False
        for number in reversed(places):
            name, mark = names[number], marks[number]
            if name not in repeated or times[name] > 1 or mark.title:
                titled, has_own = titled or mark.title, True
                continue
            # Of two such lines with nothing between them the upper one opens what the lower one opens.
            below = titled or opens_list(texts[number]) if has_own else below
            titled = has_own = False
            self._pages[name] += 1
            self._titled[name] += below
            self._longest[name] = max(foot - number - 1, self._longest.get(name, 0))

    def openers(self, counts: Mapping[str, int], least: int) -> dict[str, int]:
        """The names of the lines with the most blocks that stood between each and the site's foot."""
        return {
            name: self._longest[name]
            for name, pages in self._pages.items()
            if self._titled[name] >= max(least, _TITLED * pages) and pages >= _IN_TAIL * counts[name]
        }
