"""Which blocks of a page are chrome, from how widely each is repeated and where it stands.

A page is read as

    chrome at the top | content | chrome at the bottom

where the content is the stretch with the most words of the page's own (maximum subsequence segmentation:
Pasternack and Roth 2009, "Extracting article text from the web with maximum subsequence segmentation"), and a
repeated block is chrome where it stands in a run of other repeated blocks, outside the content.
A heading, a speaker label or a property's name that many pages have, alone between text of the page's own,
stays. Learning asks this of every page, cutting of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from cleancopy.document import Block
from cleancopy.stages.chrome.headlines import count_words
from cleancopy.stages.chrome.profile import Position, Spread

# Figures chosen on whole sites with gold; ``benchmarks/sites.py`` changes each of them up and down.
SOLID = 3  # blocks in a row that make a run of chrome wherever they stand
_GAP_BLOCKS, _GAP_WORDS = 2, 60  # what may stand between the chrome at the page's edge and chrome apart from it
_LABEL = 3  # words of a block that may be the label of what follows it
SHORT = 10  # words of a block that may be navigation
SLOT = 30  # words of a block of the page's own that may be part of the chrome around it
_REFRAIN = 5  # words of what a page may say several times for a reason
_OWN_LIMIT = 100  # words by which one block at most speaks for its stretch
LINKS = 0.8  # share of link text from which a block is nothing but links
_LANDMARKS = re.compile(r"/(?:nav|header|footer|aside)(?:\[\d+\])?(?=/|$)")


class Mark(NamedTuple):
    """What is known of one block of a page.

    ``strength``: 0 for the page's own, 1 and 2 for what stands on two pages and on some, 3 on half, 4 on
    most, 5 on nearly all. ``joined``: the next block follows it on other pages too. ``usual``: it follows
    the block before it on most pages that have that. ``again``: it stands
    higher up on this page already, and here not after its usual neighbour. ``once``: nowhere else on this page.
    ``headline``: it is the page's. ``title``: it reads like the headline of another page.
    """

    words: int
    strength: int = 0
    varies: bool = False
    joined: bool = True
    usual: bool = False
    again: bool = False
    once: bool = True
    landmark: bool = False
    links: bool = False
    control: bool = False
    heading: bool = False
    label: bool = False
    field: bool = False
    headline: bool = False
    title: bool = False

    @property
    def strong(self) -> bool:
        return self.strength >= 3 and not self.varies

    @property
    def weak(self) -> bool:
        return self.strength in (1, 2) and not self.varies

    @property
    def short(self) -> bool:
        return self.words <= (SLOT if self.title else SHORT)

    @property
    def refrain(self) -> bool:
        """Whether it is more than a label and stands on this page several times: a caption, a verse."""
        return not self.once and self.words >= _REFRAIN and not self.links and not self.control


STRENGTH: Mapping[Spread, int] = {"rare": 1, "some": 2, "half": 3, "edge": 4, "most": 4, "always": 5}
Zone = tuple[int, int]


def mark_of(block: Block, text: str, exact: str, strength: int, *, varies: bool = False) -> Mark:
    """The mark of a block, from its text, the normal form of that, and how widely it is repeated."""
    return Mark(
        words=count_words(exact),
        strength=0 if block.kind == "code" else strength,
        varies=varies,
        landmark=_LANDMARKS.search(block.path) is not None,
        links=block.link_share >= LINKS,
        control=block.kind == "control",
        heading=block.kind == "heading",
        field=block.kind == "table_row",
        label=text.endswith((":", "：")),
    )


def chrome_places(marks: Sequence[Mark], *, few: bool) -> tuple[set[int], Zone]:
    """The numbers of the blocks that are chrome where they stand, and the content's zone.

    With ``few`` pages to go by, only what stands at the very top or bottom counts.
    """
    marks = [m._replace(strength=0, title=False) if m.headline else m for m in marks]
    marks = [m._replace(strength=2) if m.title and m.strength < 2 else m for m in marks]
    zone = _zone(marks)
    near_edges = _near_edges(marks, 1 if few else _GAP_BLOCKS)
    chrome = {n for run in _runs(marks) for n in _chrome_of_run(marks, run, zone, near_edges, few=few)}
    if not few:
        chrome |= _enclosed(marks, zone)
    chrome |= {n for n, mark in enumerate(marks) if mark.strength and mark.landmark and not mark.heading}
    if marks and zone[0] and marks[zone[0] - 1].again:
        # A label of the navigation once more, right before the content, is the headline.
        chrome.discard(zone[0] - 1)
    for number, mark in enumerate(marks):
        if mark.varies and mark.strength >= 3 and _is_between(marks, chrome, number, zone):
            chrome.add(number)
    in_zone = {n for n in chrome if zone[0] <= n < zone[1]}
    return chrome - {n for n in in_zone if marks[n].refrain}, zone


def is_hemmed_in(strengths: Sequence[int], number: int, names: Sequence[str]) -> bool:
    """Whether a block stands between what half of the site has, or between that and the page's edge.

    What is more than a label and stands on the page several times, by its name, hems nothing in: a caption.
    """
    near = [n for n in (number - 1, number + 1) if 0 <= n < len(strengths)]
    return all(
        strengths[n] >= 3 and (count_words(names[n]) < _REFRAIN or names.count(names[n]) == 1) for n in near
    )


def position_of(number: int, zone: Zone) -> Position:
    """Where a block stands: above, in or below the content."""
    return "top" if number < zone[0] else "bottom" if number >= zone[1] else "middle"


def _zone(marks: Sequence[Mark]) -> Zone:
    """The content, as block numbers [start, end): the stretch of the largest weight; (0, 0) for none."""
    best, zone = 0, (0, 0)
    total, start = 0, 0
    for number in range(len(marks)):
        if total <= 0:
            total, start = 0, number
        total += _weight(marks, number)
        if total > best:
            best, zone = total, (start, number + 1)
    return zone


def _weight(marks: Sequence[Mark], number: int) -> int:
    """How much a block speaks for its stretch being content, in words; what is strong chrome speaks against."""
    mark = marks[number]
    near = [*marks[max(0, number - 1) : number], *marks[number + 1 : number + 2]]
    if mark.words <= _LABEL and len(near) == 2 and not any(m.strength for m in near):
        return 0  # may be the name of a property, its value below
    if mark.refrain:
        return 0
    if mark.strong or (mark.landmark and mark.strength):
        return -(4 + mark.words)
    if mark.strength or mark.links or mark.control:
        return 0
    return min(mark.words, _OWN_LIMIT)


def _runs(marks: Sequence[Mark]) -> Iterator[tuple[int, int]]:
    """The stretches of repeated blocks, as block numbers [start, end)."""
    start = None
    for number, mark in enumerate([*marks, Mark(0)]):
        repeated = mark.strong or mark.weak
        if repeated and start is None:
            start = number
        elif start is not None and not repeated:
            yield start, number
            start = None


def _near_edges(marks: Sequence[Mark], gap: int) -> set[int]:
    """The strong blocks that at most a gap (a headline, a byline) parts from the chrome at the page's edge."""
    near_edges: set[int] = set()
    for order in (range(len(marks)), range(len(marks) - 1, -1, -1)):
        blocks = words = 0
        for number in order:
            if marks[number].strong:
                near_edges.add(number)
                continue
            blocks, words = blocks + 1, words + marks[number].words
            if blocks > gap or words > _GAP_WORDS:
                break
    return near_edges


def _chrome_of_run(
    marks: Sequence[Mark], run: tuple[int, int], zone: Zone, near_edges: Set[int], *, few: bool
) -> list[int]:
    """The blocks of a run of repeated blocks that are chrome."""
    outside = [n for n in range(*run) if not zone[0] <= n < zone[1]]
    strong = [n for n in outside if marks[n].strong and (not few or n in near_edges)]
    if not outside:
        return [] if few else _inset(marks, run)
    at_edge = run[0] == 0 or run[1] == len(marks)
    count = sum(marks[n].strong for n in range(*run))
    if count >= SOLID or (at_edge and (count or len(outside) > SOLID)):
        firm = [n for n in strong if at_edge or marks[n].short or marks[n].strength >= 4]
        return firm + _carried(marks, run, zone, firm)
    apart = [
        n
        for n in strong
        if (marks[n].short or n < zone[0]) and _stands_apart(marks[n], len(strong), near_edge=n in near_edges)
    ]
    led = [n for n in _carried(marks, run, zone, ()) if strong and n < strong[-1] <= zone[0]]
    return apart + led


def _stands_apart(mark: Mark, run: int, *, near_edge: bool) -> bool:
    """Whether a block that has text of the page's own on both sides is chrome all the same."""
    if mark.label or not mark.once:
        return False  # the name of a property; a speaker's name, a refrain
    if near_edge and mark.strength >= 4 and (run > 1 or mark.words >= 5):
        return True
    return mark.strength == 5 and mark.words >= _LABEL


def _carried(marks: Sequence[Mark], run: tuple[int, int], zone: Zone, strong: Sequence[int]) -> list[int]:
    """The weak blocks of a run that are chrome: between chrome of most pages, or in a row of short ones.

    What only two pages have counts above the content alone, in a longer row.
    """
    carried: list[int] = []
    row: list[int] = []
    for number in [*range(*run), -1]:
        mark = marks[number] if number >= 0 else Mark(0)
        if row and not (mark.weak and mark.short and marks[row[-1]].joined):
            carried += [n for n in row if len(row) >= SOLID + (marks[n].strength == 1)]
            row = []
        if mark.weak and mark.short:
            row.append(number)
        if mark.strength == 2 and strong and strong[0] < number < strong[-1]:
            carried.append(number)
    return sorted({n for n in carried if n < zone[0] or (n >= zone[1] and marks[n].strength == 2)})


def _inset(marks: Sequence[Mark], run: tuple[int, int]) -> list[int]:
    """The blocks of a run inside the content that are chrome: buttons and links, never what may be text."""
    strong = [n for n in range(*run) if marks[n].strong]
    return [n for n in strong if marks[n].control or (marks[n].links and not marks[n].heading)]


def _enclosed(marks: Sequence[Mark], zone: Zone) -> set[int]:
    """The blocks that lie between solid runs of chrome on one side of the content.

    Below the content a block of the page's own that stands alone between repeated ones counts too: the value
    of a field (a file name, a list of topics). Above the content it may be the headline.
    """
    strong = [[n for n in range(*run) if marks[n].strong] for run in _runs(marks)]
    solid = [(run[0], run[-1] + 1) for run in strong if len(run) >= SOLID]
    enclosed: set[int] = set()
    # What is repeated is chrome where chrome surrounds it, if it is short or on most pages.
    for runs in ([r for r in solid if r[1] <= zone[0]], [r for r in solid if r[0] >= zone[1] > 0]):
        if runs:
            repeated = (n for n in range(runs[0][0], runs[-1][1]) if marks[n].strength >= 2)
            enclosed |= {n for n in repeated if marks[n].short or marks[n].strength >= 4}
            if runs[0][0] >= zone[1]:
                enclosed |= {n for n in range(runs[0][1], runs[-1][0]) if _is_slot(marks, n)}
    return enclosed


def _is_slot(marks: Sequence[Mark], number: int) -> bool:
    return marks[number].words <= SLOT and all(marks[n].strength >= 2 for n in (number - 1, number + 1))


def _is_between(marks: Sequence[Mark], chrome: Set[int], number: int, zone: Zone) -> bool:
    """Whether a block whose numbers vary stands between chrome, or, below the content, beside it.

    Above the content it must be on nearly all pages too: it may be a price or a headline.
    """
    near = (number == 0 or number - 1 in chrome, number + 1 == len(marks) or number + 1 in chrome)
    below = number >= zone[1] > 0
    return any(near) if below else all(near) and marks[number].strength == 5
