"""What a site repeats on its pages: learnt over many pages, frozen, then cut from each page.

``learn_chrome`` folds over the documents of one site and gives a ``SiteChrome``; ``cut_chrome`` is a pure
function of a document, the policy and that chrome. Frequency alone does not decide. A page is read as

    chrome at the top | content | chrome at the bottom

where the content is the stretch with the most words of the page's own (maximum subsequence segmentation:
Pasternack and Roth 2009, "Extracting article text from the web with maximum subsequence segmentation"), and a
repeated block is cut for the company that it keeps: in a run of other repeated blocks, outside the content.
A heading, a speaker label or a property's name that many pages have, alone between text of the page's own,
stays. Learning asks the same question of every page that cutting asks of one.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any, Literal, get_args

from cleancopy.document import Block, Cut, Document, Evidence
from cleancopy.errors import StoreError
from cleancopy.policy import ChromePolicy
from cleancopy.repetition import MONTHS_IN_CAPITALS as MONTHS
from cleancopy.repetition import Signing, band_keys, candidates, jaccard, normalise, shingles, sign

Status = Literal["pinned", "dropped", "cut", "related"]
Position = Literal["top", "middle", "bottom"]
#: On how much of the site a block stands; ``edge`` where the site has too few pages to say.
Spread = Literal["rare", "some", "half", "edge", "most", "always"]
Where = Literal["anywhere", "cluster", "edge", "last", "title"]
#: Rule, reason and evidence of a cut.
Why = tuple[str, str, Evidence]

#: Near matches between blocks: word-3 shingles, 32 bands of 4 rows; a true pair of Jaccard 0.6 meets with 99 %.
_NEAR = Signing(num_perm=128, shingle=3)
_NEAR_BANDS = (32, 4)
_NEAR_WORDS = 6  # shorter blocks have too few shingles for a similarity to say anything
#: Pages are copies of each other from this Jaccard, measured where they do not share the site's chrome.
_COPY = 0.8
_COPY_SIGNING = Signing(num_perm=112, shingle=5)
_COPY_BANDS = (14, 8)
_OWN_WORDS = 20  # a page with fewer words of its own is compared as a whole
_FEW_PAGES = 5  # so few pages are compared as wholes: most of them may be copies of one
_LEADERS = 16  # groups that a block or page is compared with: bounds the work where all are alike

_MOST, _ALWAYS = 0.8, 0.95  # share of pages for chrome that stands apart, and for chrome that needs no company
_SOLID = 3  # blocks in a row that make a run of chrome wherever they stand
_GAP_BLOCKS, _GAP_WORDS = 2, 60  # what may stand between the chrome at the page's edge and chrome apart from it
_LABEL = 3  # words of a block that may be the label of what follows it
_SHORT = 10  # words of a block that may be navigation
_SLOT = 30  # words of a block of the page's own that may be part of the chrome around it
_OWN_LIMIT = 100  # words by which one block at most speaks for its stretch
_LINKS = 0.8  # share of link text from which a block is nothing but links
_LANDMARKS = re.compile(r"/(?:nav|header|footer|aside)(?:\[\d+\])?(?=/|$)")
_ONE_FORM = 0.9  # share of pages on which a block reads the same: else its numbers vary
_DATA = 1 / 3  # share of pages on which a block's numbers vary within the page: then it is the page's data
_MOST_RELATED = 300  # doubtful entries that are kept for people to look at
_EXAMPLE_LENGTH = 2_000
_PATHS = 4
_ERROR_WORDS = 60
_PATTERN_LENGTH = 300  # patterns are not tried on longer blocks
_EDGE_LINES = 12  # lines that may stand between a line of the page's edge and that edge
_DEFAULT = ChromePolicy()


@dataclass(frozen=True, slots=True)
class ChromeEntry:
    """A block that a site repeats.

    ``key`` is a digest of the normalised text with numbers masked, ``example`` the text as it most often
    reads, ``pages`` on how many distinct pages it stands, ``positions`` where it stands as chrome, ``paths``
    its DOM paths without indexes, ``next`` the keys of what follows it on half of these pages or more;
    ``varies`` says that its numbers change from page to page. ``status``: ``cut``; ``related`` for what is
    doubtful and never cut; ``pinned`` (cut wherever it stands) and ``dropped`` (never cut) are decisions of
    people and outlive learning.
    """

    key: str
    example: str
    pages: int = 0
    positions: tuple[Position, ...] = ()
    paths: tuple[str, ...] = ()
    first_seen: str | None = None
    last_seen: str | None = None
    status: Status = "cut"
    spread: Spread = "always"
    varies: bool = False
    next: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteChrome:
    """The chrome of a site, frozen: what ``cut_chrome`` cuts by. Entries are sorted by status and key."""

    site: str
    version: int
    pages: int
    entries: tuple[ChromeEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over what changes cutting, 64 hex digits: no counts, no dates, no doubtful entries."""
        parts = [
            [e.key, _exact(e.example), e.positions, e.status, e.spread, e.varies, e.next]
            for e in sorted(self.entries, key=lambda e: e.key)
            if e.status != "related"
        ]
        canonical = json.dumps([self.site, parts], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    def __hash__(self) -> int:
        return hash((self.site, self.version, self.pages, len(self.entries)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A generic pattern: a short line that says the same on every site. ``where``: see the file."""

    name: str
    regex: re.Pattern[str]
    reason: str
    where: Where
    examples: tuple[str, ...]
    counterexamples: tuple[str, ...]


# --- what makes two blocks the same


def _exact(text: str) -> str:
    return normalise(text) or " ".join(text.split())


def _masked(exact: str) -> str:
    """A normal form with its numbers and dates masked; one of nothing but numbers as it is."""
    words = [_NUMBER.sub("0", word) for word in exact.split(" ")]
    if "0" in words:
        dated = ["0" if _is_month(words, n) else word for n, word in enumerate(words)]
        words = [word for n, word in enumerate(dated) if n == 0 or word != "0" or dated[n - 1] != "0"]
    masked = " ".join(words)
    return masked if re.search(r"[^\W\d_]", masked) else exact


def _is_month(words: Sequence[str], number: int) -> bool:
    """Whether a word is the month of a date: its name, beside a number."""
    return words[number] in MONTHS and "0" in words[max(0, number - 1) : number + 2]


_NUMBER = re.compile(r"\d+")


def _key(masked: str) -> str:
    return hashlib.sha256(masked.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_near(masked: str) -> bool:
    return masked.count(" ") >= _NEAR_WORDS - 1


_SEPARATORS = re.compile(r"\s[>›»|/·•→]\s")


def _is_composed(text: str, known: Set[str]) -> bool:
    """Whether a block is a row of labels (a breadcrumb trail, a bar of links), half of them known or more."""
    if len(text) > _PATTERN_LENGTH:
        return False
    parts = [part for part in _SEPARATORS.split(text) if part.strip()]
    return len(parts) > 1 and 2 * sum(_masked(_exact(part)) in known for part in parts) >= len(parts)


# --- a page's blocks as marks, and which of them are chrome in the company that they keep


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is known of one block of a page.

    ``strength``: 0 for the page's own, 1 and 2 for what stands on two pages and on some, 3 on half, 4 on
    most, 5 on nearly all. ``joined``: the next block follows it on other pages too. ``again``: it stands
    higher up on this page already, and here not after its usual neighbour. ``once``: nowhere else on this page.
    """

    words: int
    strength: int = 0
    varies: bool = False
    joined: bool = True
    again: bool = False
    once: bool = True
    landmark: bool = False
    links: bool = False
    control: bool = False
    heading: bool = False
    label: bool = False

    @property
    def strong(self) -> bool:
        return self.strength >= 3 and not self.varies

    @property
    def weak(self) -> bool:
        return self.strength in (1, 2) and not self.varies

    @property
    def short(self) -> bool:
        return self.words <= _SHORT


_STRENGTH: Mapping[Spread, int] = {"rare": 1, "some": 2, "half": 3, "edge": 4, "most": 4, "always": 5}
Zone = tuple[int, int]


def _mark(block: Block, text: str, exact: str, strength: int, *, varies: bool = False) -> _Mark:
    return _Mark(
        words=exact.count(" ") + 1,
        strength=0 if block.kind == "code" else strength,
        varies=varies,
        landmark=_LANDMARKS.search(block.path) is not None,
        links=block.link_share >= _LINKS,
        control=block.kind == "control",
        heading=block.kind == "heading",
        label=text.endswith((":", "：")),
    )


def _chrome_places(marks: Sequence[_Mark], *, few: bool) -> tuple[set[int], Zone]:
    """The numbers of the blocks that are chrome in the company that they keep, and the content's zone.

    With ``few`` pages to go by, only what stands at the very top or bottom counts.
    """
    zone = _zone(marks)
    reach = _reach(marks, 1 if few else _GAP_BLOCKS)
    held = {n for run in _runs(marks) for n in _held(marks, run, zone, reach, few=few)}
    if not few:
        held |= _closed(marks, zone)
    held |= {n for n, mark in enumerate(marks) if mark.strength and mark.landmark and not mark.heading}
    if marks and zone[0] and marks[zone[0] - 1].again:
        held.discard(zone[0] - 1)  # a label of the navigation once more, right before the content: the headline
    for number, mark in enumerate(marks):
        if mark.varies and mark.strength >= 3 and _is_between(marks, held, number, zone):
            held.add(number)
    return held, zone


def _position(number: int, zone: Zone) -> Position:
    return "top" if number < zone[0] else "bottom" if number >= zone[1] else "middle"


def _zone(marks: Sequence[_Mark]) -> Zone:
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


def _weight(marks: Sequence[_Mark], number: int) -> int:
    """How much a block speaks for its stretch being content, in words; what is strong chrome speaks against."""
    mark = marks[number]
    near = [*marks[max(0, number - 1) : number], *marks[number + 1 : number + 2]]
    if mark.words <= _LABEL and len(near) == 2 and not any(m.strength for m in near):
        return 0  # may be the name of a property, its value below
    if mark.strong or (mark.landmark and mark.strength):
        return -(4 + mark.words)
    if mark.strength or mark.links or mark.control:
        return 0
    return min(mark.words, _OWN_LIMIT)


def _runs(marks: Sequence[_Mark]) -> Iterator[tuple[int, int]]:
    """The stretches of repeated blocks, as block numbers [start, end)."""
    start = None
    for number, mark in enumerate([*marks, _Mark(0)]):
        repeated = mark.strong or mark.weak
        if repeated and start is None:
            start = number
        elif start is not None and not repeated:
            yield start, number
            start = None


def _reach(marks: Sequence[_Mark], gap: int) -> set[int]:
    """The strong blocks that at most a gap (a headline, a byline) parts from the chrome at the page's edge."""
    found: set[int] = set()
    for order in (range(len(marks)), range(len(marks) - 1, -1, -1)):
        blocks = words = 0
        for number in order:
            if marks[number].strong:
                found.add(number)
                continue
            blocks, words = blocks + 1, words + marks[number].words
            if blocks > gap or words > _GAP_WORDS:
                break
    return found


def _held(marks: Sequence[_Mark], run: tuple[int, int], zone: Zone, reach: Set[int], *, few: bool) -> list[int]:
    """The blocks of a run of repeated blocks that are chrome."""
    outside = [n for n in range(*run) if not zone[0] <= n < zone[1]]
    strong = [n for n in outside if marks[n].strong and (not few or n in reach)]
    if not outside:
        return [] if few else _inset(marks, run)
    at_edge = run[0] == 0 or run[1] == len(marks)
    count = sum(marks[n].strong for n in range(*run))
    if count >= _SOLID or (at_edge and (count or len(outside) > _SOLID)):
        firm = [n for n in strong if at_edge or marks[n].short or marks[n].strength >= 4]
        return firm + _carried(marks, run, zone, firm)
    apart = [
        n
        for n in strong
        if (marks[n].short or n < zone[0]) and _stands_apart(marks[n], len(strong), near_edge=n in reach)
    ]
    led = [n for n in _carried(marks, run, zone, ()) if strong and n < strong[-1] <= zone[0]]
    return apart + led


def _stands_apart(mark: _Mark, run: int, *, near_edge: bool) -> bool:
    """Whether a block that has text of the page's own on both sides is chrome all the same."""
    if mark.label or not mark.once:
        return False  # the name of a property; a speaker's name, a refrain
    if near_edge and mark.strength >= 4 and (run > 1 or mark.words >= 5):
        return True
    return mark.strength == 5 and mark.words >= _LABEL


def _carried(marks: Sequence[_Mark], run: tuple[int, int], zone: Zone, strong: Sequence[int]) -> list[int]:
    """The weak blocks of a run that are chrome: between chrome of most pages, or in a row of short ones.

    What only two pages have counts above the content alone, in a longer row.
    """
    found: list[int] = []
    row: list[int] = []
    for number in [*range(*run), -1]:
        mark = marks[number] if number >= 0 else _Mark(0)
        if row and not (mark.weak and mark.short and marks[row[-1]].joined):
            found += [n for n in row if len(row) >= _SOLID + (marks[n].strength == 1)]
            row = []
        if mark.weak and mark.short:
            row.append(number)
        if mark.strength == 2 and strong and strong[0] < number < strong[-1]:
            found.append(number)
    return sorted({n for n in found if n < zone[0] or (n >= zone[1] and marks[n].strength == 2)})


def _inset(marks: Sequence[_Mark], run: tuple[int, int]) -> list[int]:
    """The blocks of a run inside the content that are chrome: buttons and links, never what may be text."""
    strong = [n for n in range(*run) if marks[n].strong]
    return [n for n in strong if marks[n].control or (marks[n].links and not marks[n].heading)]


def _closed(marks: Sequence[_Mark], zone: Zone) -> set[int]:
    """The blocks that lie between solid runs of chrome on one side of the content.

    Below the content a block of the page's own that stands alone between repeated ones counts too: the value
    of a field (a file name, a list of topics). Above the content it may be the headline.
    """
    strong = [[n for n in range(*run) if marks[n].strong] for run in _runs(marks)]
    solid = [(run[0], run[-1] + 1) for run in strong if len(run) >= _SOLID]
    found: set[int] = set()
    for runs in ([r for r in solid if r[1] <= zone[0]], [r for r in solid if r[0] >= zone[1] > 0]):
        if runs:
            found |= {n for n in range(runs[0][0], runs[-1][1]) if _fits(marks[n])}
            if runs[0][0] >= zone[1]:
                found |= {n for n in range(runs[0][1], runs[-1][0]) if _is_slot(marks, n)}
    return found


def _fits(mark: _Mark) -> bool:
    """Whether a repeated block is chrome where chrome surrounds it: it is short, or on most pages."""
    return mark.strength >= 2 and (mark.short or mark.strength >= 4)


def _is_slot(marks: Sequence[_Mark], number: int) -> bool:
    return marks[number].words <= _SLOT and all(marks[n].strength >= 2 for n in (number - 1, number + 1))


def _is_between(marks: Sequence[_Mark], held: Set[int], number: int, zone: Zone) -> bool:
    """Whether a block whose numbers vary stands between chrome, or, below the content, beside it.

    Above the content it must be on nearly all pages too: it may be a price or a headline.
    """
    near = (number == 0 or number - 1 in held, number + 1 == len(marks) or number + 1 in held)
    below = number >= zone[1] > 0
    return any(near) if below else all(near) and marks[number].strength == 5


# --- learning


@dataclass(slots=True)
class _Page:
    """A page while its site is learnt. ``names`` are the masked forms of its blocks, near twins made one."""

    key: str
    digest: str
    names: list[str]
    exact: list[str]
    texts: list[str]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _Tally:
    """What the pages of a site say together: on how many each block stands, what follows what."""

    pages: int
    counts: Mapping[str, int]
    follows: Mapping[tuple[str, str], int]
    spreads: Mapping[str, Spread]
    varying: Set[str]
    strong: Set[str]


def learn_chrome(
    documents: Iterable[Document],
    *,
    site: str,
    policy: ChromePolicy = _DEFAULT,
    previous: SiteChrome | None = None,
    seen: str | None = None,
) -> SiteChrome:
    """The chrome of a site from its documents, in whatever order they come.

    Documents with one key, and pages that are copies of each other, count once. ``previous`` carries over
    what people decided (``pinned``, ``dropped``), when an entry was first seen, and the version, which grows
    by one where the digest changes; an entry that is seen no more goes. ``seen`` is the ISO date of this
    learning.
    """
    pages = _distinct([_page(document) for document in documents])
    entries = _learnt(pages, policy) if len(pages) >= max(2, policy.edge_pages) else []
    chrome = SiteChrome(site, 1, len(pages), _with_decisions(entries, previous, seen))
    if previous is None:
        return chrome
    return replace(chrome, version=previous.version + (chrome.digest != previous.digest))


def _page(document: Document) -> _Page:
    texts = [document.text_of(block) for block in document.blocks]
    exact = [_exact(text) for text in texts]
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    return _Page(document.key, digest, [_masked(one) for one in exact], exact, texts, document.blocks)


def _distinct(pages: list[_Page]) -> list[_Page]:
    """The pages, one of each key (the longest) and one of each set of copies, sorted."""
    by_key = {page.key: page for page in sorted(pages, key=lambda p: (p.key, len(p.names), p.digest))}
    pages = sorted(by_key.values(), key=lambda p: (-len(p.names), p.digest))
    own = [" ".join(page.exact) for page in pages]
    if len(pages) > _FEW_PAGES:
        counts = Counter(name for page in pages for name in set(page.names))
        own = [_own_text(page, whole, counts, len(pages)) for page, whole in zip(pages, own, strict=True)]
    leaders = _leaders(own, _COPY_SIGNING, _COPY_BANDS, _COPY)
    kept = [page for number, page in enumerate(pages) if leaders[number] == number]
    return sorted(kept, key=lambda p: (p.key, p.digest))


def _own_text(page: _Page, whole: str, counts: Mapping[str, int], pages: int) -> str:
    """The text of a page that most pages do not have, or all its text where that is too little to go by."""
    both = zip(page.exact, page.names, strict=True)
    own = " ".join(exact for exact, name in both if counts[name] * 2 < pages)
    return own if own.count(" ") >= _OWN_WORDS else whole


def _leaders(texts: Sequence[str], signing: Signing, bands: tuple[int, int], threshold: float) -> list[int]:
    """For each text the number of the earlier text that stands for it, or its own: no chains, linear work."""
    leader = list(range(len(texts)))
    grams: dict[int, frozenset[str]] = {}
    tried: Counter[int] = Counter()
    best: dict[int, float] = defaultdict(float)
    keys = band_keys(sign(texts, signing), *bands)
    for left, right in candidates(keys, bucket=_LEADERS).pairs.tolist():
        if leader[left] != left or tried[right] >= _LEADERS:
            continue
        tried[right] += 1
        for number in (left, right):
            if number not in grams:
                grams[number] = shingles(texts[number], signing.shingle)
        likeness = jaccard(grams[left], grams[right])
        if likeness >= threshold and likeness > best[right]:
            best[right], leader[right] = likeness, left
    return leader


def _learnt(pages: list[_Page], policy: ChromePolicy) -> list[ChromeEntry]:
    """What is chrome on enough of the pages, and what looks like it but is doubtful."""
    _name_near_twins(pages, policy.near)
    few = len(pages) < policy.pages
    tally = _tally(pages, policy)
    held: dict[str, Counter[Position]] = defaultdict(Counter)
    paths: dict[str, Counter[str]] = defaultdict(Counter)
    for page in pages:
        chrome, zone = _chrome_places(_learning_marks(page, tally), few=few)
        chrome = {n for n in chrome if page.names[n] in tally.spreads}
        for name, position in {(page.names[n], _position(n, zone)) for n in chrome}:
            held[name][position] += 1
        for number in chrome:
            if path := page.blocks[number].path:
                paths[page.names[number]][re.sub(r"\[\d+\]", "", path)] += 1
    names = sorted(set(held) | tally.strong)
    examples = _examples(pages, set(names))
    after = _usual_followers(tally, held)
    need = policy.edge_pages if few else policy.pages
    entries = [
        ChromeEntry(
            key=_key(name),
            example=examples[name],
            pages=tally.counts[name],
            positions=tuple(position for position in get_args(Position) if held[name][position]),
            paths=tuple(path for path, _ in sorted(paths[name].items(), key=lambda p: (-p[1], p[0]))[:_PATHS]),
            status="cut" if sum(held[name].values()) >= min(need, tally.counts[name]) else "related",
            spread=tally.spreads[name],
            varies=name in tally.varying,
            next=tuple(after[name]),
        )
        for name in names
    ]
    related = sorted((e for e in entries if e.status == "related"), key=lambda e: (-e.pages, e.key))
    return [entry for entry in entries if entry.status == "cut"] + related[:_MOST_RELATED]


def _tally(pages: list[_Page], policy: ChromePolicy) -> _Tally:
    counts = Counter(name for page in pages for name in set(page.names))
    follows = Counter(pair for page in pages for pair in set(pairwise(page.names)))
    varying, data = _varying(pages, counts, policy.edge_pages)
    spreads: dict[str, Spread] = {
        name: _spread(count, len(pages), policy)
        for name, count in counts.items()
        if count >= max(2, policy.edge_pages) and name not in data
    }
    if len(pages) < policy.pages:
        spreads = {name: spread for name, spread in spreads.items() if spread == "edge"}
    strong = {name for name, spread in spreads.items() if _STRENGTH[spread] >= 3}
    return _Tally(len(pages), counts, follows, spreads, varying, strong)


def _spread(count: int, pages: int, policy: ChromePolicy) -> Spread:
    share = count / pages
    if pages < policy.pages:
        return "edge" if share >= policy.fraction else "rare"
    if count < policy.pages:
        return "rare"
    if share < policy.fraction:
        return "some"
    return "always" if share >= _ALWAYS else "most" if share >= _MOST else "half"


def _learning_marks(page: _Page, tally: _Tally) -> list[_Mark]:
    marks: list[_Mark] = []
    times = Counter(page.names)
    seen: set[str] = set()
    for number, (name, text) in enumerate(zip(page.names, page.texts, strict=True)):
        strength = _STRENGTH[tally.spreads[name]] if name in tally.spreads else 0
        if not strength and _is_composed(text, tally.strong):
            strength = 5
        mark = _mark(page.blocks[number], text, page.exact[number], strength, varies=name in tally.varying)
        before, then = page.names[max(0, number - 1)], page.names[min(number + 1, len(page.names) - 1)]
        usual = tally.follows[before, name] * 2 >= tally.counts[before]
        joined = tally.follows[name, then] >= 2
        again = name in seen and not usual
        marks.append(replace(mark, joined=joined, again=again, once=times[name] == 1))
        seen.add(name)
    return marks


def _name_near_twins(pages: list[_Page], near: float) -> None:
    """Give blocks that are nearly equal one name, that of the commonest."""
    counts = Counter(name for page in pages for name in set(page.names))
    names = sorted((name for name in counts if _is_near(name)), key=lambda n: (-counts[n], n))
    leaders = _leaders(names, _NEAR, _NEAR_BANDS, near)
    twins = {names[n]: names[leader] for n, leader in enumerate(leaders) if leader != n}
    for page in pages:
        own = set(page.names)  # beside the one form its near twin is something else: a headline under its menu
        page.names = [name if twins.get(name, name) in own else twins[name] for name in page.names]


def _varying(pages: list[_Page], counts: Mapping[str, int], least: int) -> tuple[set[str], set[str]]:
    """The blocks whose numbers change from page to page, and those whose numbers change within a page.

    The latter are the page's own data (prices, the counts in a list), however often their words recur.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    within: Counter[str] = Counter()
    for page in pages:
        own: dict[str, set[str]] = defaultdict(set)
        for name, exact in zip(page.names, page.exact, strict=True):
            if counts[name] >= least and "0" in name:
                own[name].add(exact)
        for name, found in own.items():
            forms[name].update(found)
            within[name] += len(found) > 1
    varying = {name for name, found in forms.items() if _steady(found) < _ONE_FORM * found.total()}
    return varying, {name for name in varying if within[name] >= _DATA * counts[name]}


def _steady(forms: Counter[str]) -> int:
    """How often a block reads as it does most often, its near twins each for itself."""
    most: dict[str, int] = {}
    for exact, count in forms.items():
        masked = _masked(exact)
        most[masked] = max(count, most.get(masked, 0))
    return sum(most.values())


def _examples(pages: list[_Page], names: Set[str]) -> dict[str, str]:
    """Of each name the text that most pages have; of texts as common as each other the first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for page in pages:
        for name, text in set(zip(page.names, page.texts, strict=True)):
            if name in names:
                found[name][text[:_EXAMPLE_LENGTH]] += 1
    return {n: min(texts, key=lambda t: (_masked(_exact(t)) != n, -texts[t], t)) for n, texts in found.items()}


def _usual_followers(tally: _Tally, held: Mapping[str, object]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = defaultdict(list)
    for (name, then), count in sorted(tally.follows.items()):
        if name in held and then in held and count * 2 >= tally.counts[name]:
            after[name].append(_key(then))
    return after


def _with_decisions(
    entries: Iterable[ChromeEntry], previous: SiteChrome | None, seen: str | None
) -> tuple[ChromeEntry, ...]:
    """The entries with the dates and the people's decisions of the chrome before, sorted."""
    merged = {entry.key: replace(entry, first_seen=seen, last_seen=seen) for entry in entries}
    for old in previous.entries if previous else ():
        new = merged.get(old.key)
        decided = old.status in ("pinned", "dropped")
        if new is not None:
            status = old.status if decided else new.status
            merged[old.key] = replace(new, first_seen=old.first_seen or seen, status=status)
        elif decided:
            merged[old.key] = old
    return tuple(sorted(merged.values(), key=_order))


def _order(entry: ChromeEntry) -> tuple[int, str]:
    return get_args(Status).index(entry.status), entry.key


# --- cutting

_Match = tuple[ChromeEntry, float]


@dataclass(frozen=True, slots=True)
class _Index:
    """A site chrome made ready for looking up: entries by key, keys by rare shingle."""

    entries: Mapping[str, ChromeEntry]
    labels: Set[str]
    by_shingle: Mapping[str, Sequence[str]]
    shingles: Mapping[str, frozenset[str]]


def cut_chrome(document: Document, policy: ChromePolicy, chrome: SiteChrome | None) -> tuple[Cut, ...]:
    """The cuts of what the site repeats, and of what the generic patterns know, on one page.

    Blocks that a cut of the document touches are left out. A cut reaches to the start of the next block.
    """
    found, dropped = _site_cuts(document, policy, chrome) if chrome and chrome.entries else ({}, set())
    if policy.patterns:
        found = _pattern_cuts(document, found, dropped) | found
    taken = _taken(document)
    starts = [*(block.start for block in document.blocks[1:]), len(document.text)]
    return tuple(
        Cut(document.blocks[n].start, starts[n], "chrome", *found[n]) for n in sorted(found) if n not in taken
    )


def _taken(document: Document) -> set[int]:
    """The numbers of the blocks that cuts of the document touch."""
    found: set[int] = set()
    cuts = iter(document.cuts)
    cut = next(cuts, None)
    for number, block in enumerate(document.blocks):
        while cut is not None and cut.end <= block.start:
            cut = next(cuts, None)
        if cut is not None and cut.start < block.end:
            found.add(number)
    return found


def _site_cuts(document: Document, policy: ChromePolicy, chrome: SiteChrome) -> tuple[dict[int, Why], set[int]]:
    """Why blocks of the page are chrome of its site, and the blocks that people have said are not."""
    index = _index(chrome, policy.near)
    texts = [document.text_of(block) for block in document.blocks]
    exact = [_exact(text) for text in texts]
    matches = _matches(exact, index, policy.near)
    marks = _cutting_marks(document, texts, exact, matches, index)
    places, zone = _chrome_places(marks, few=any(e.spread == "edge" for e in chrome.entries))
    found = {}
    for number, match in enumerate(matches):
        position = _position(number, zone)
        if match is None:
            if number in places:
                found[number] = _surrounded(chrome, position)
        elif match[0].status == "pinned" or (
            match[0].status == "cut" and number in places and position in match[0].positions
        ):
            found[number] = _reason(match, chrome, position)
    dropped = {n for n, match in enumerate(matches) if match is not None and match[0].status == "dropped"}
    return _submenus(marks, matches, zone, found, chrome) | found, dropped


def _cutting_marks(
    document: Document,
    texts: Sequence[str],
    exact: Sequence[str],
    matches: Sequence[_Match | None],
    index: _Index,
) -> list[_Mark]:
    marks: list[_Mark] = []
    times = Counter(match[0].key for match in matches if match is not None)
    seen: set[str] = set()
    for number, (block, text, match) in enumerate(zip(document.blocks, texts, matches, strict=True)):
        if match is None:
            marks.append(_mark(block, text, exact[number], 5 if _is_composed(text, index.labels) else 0))
            continue
        entry, likeness = match
        chrome = entry.status in ("cut", "pinned")
        varies = entry.varies or (likeness == 1 and _exact(entry.example) != exact[number])
        before = matches[number - 1] if number else None
        usual = before is not None and entry.key in before[0].next
        mark = _mark(block, text, exact[number], _STRENGTH[entry.spread] if chrome else 0, varies=varies)
        # A page's headline may also stand in its menu or among its related links.
        headline = block.kind == "heading" and block.level == 1 and times[entry.key] > 1
        again = headline or (entry.key in seen and not usual)
        marks.append(replace(mark, again=again, once=times[entry.key] == 1))
        seen.add(entry.key)
    return marks


@lru_cache(maxsize=16)
def _index(chrome: SiteChrome, near: float) -> _Index:
    texts = {entry.key: _masked(_exact(entry.example)) for entry in chrome.entries}
    grams = {key: shingles(text, _NEAR.shingle) for key, text in sorted(texts.items()) if _is_near(text)}
    counts = Counter(gram for own in grams.values() for gram in own)
    index: dict[str, list[str]] = defaultdict(list)
    for key, own in grams.items():
        # Two sets of Jaccard t share a gram among the rarest |a| - t|a| + 1 of either (prefix filtering,
        # Chaudhuri, Ganti and Kaushik 2006).
        for gram in sorted(own, key=lambda g: (counts[g], g))[: len(own) - int(near * len(own)) + 1]:
            if len(index[gram]) < _LEADERS:
                index[gram].append(key)
    labels = frozenset(texts[e.key] for e in chrome.entries if e.status in ("cut", "pinned") and _is_wide(e))
    return _Index({entry.key: entry for entry in chrome.entries}, labels, dict(index), grams)


def _is_wide(entry: ChromeEntry) -> bool:
    return _STRENGTH[entry.spread] >= 3


def _matches(exact: Sequence[str], index: _Index, near: float) -> list[_Match | None]:
    """The entry of each block and how alike the two are; no near match beside the entry's exact one."""
    whole = [index.entries.get(_key(_masked(one))) for one in exact]
    own = {entry.key for entry in whole if entry is not None}
    found: list[_Match | None] = []
    for entry, one in zip(whole, exact, strict=True):
        match = (entry, 1.0) if entry is not None else _near_match(_masked(one), index, near)
        found.append(match if match is not None and (match[1] == 1 or match[0].key not in own) else None)
    return found


def _near_match(masked: str, index: _Index, near: float) -> _Match | None:
    if not _is_near(masked):
        return None
    own = shingles(masked, _NEAR.shingle)
    keys = {key for gram in own for key in index.by_shingle.get(gram, ())}
    likeness, key = max(((jaccard(own, index.shingles[key]), key) for key in keys), default=(0.0, ""))
    return (index.entries[key], min(likeness, 0.999)) if likeness >= near else None


def _submenus(
    marks: Sequence[_Mark],
    matches: Sequence[_Match | None],
    zone: Zone,
    found: Mapping[int, Why],
    chrome: SiteChrome,
) -> dict[int, Why]:
    """The short blocks above the content, between two of its chrome that follow each other on other pages."""
    inserted: dict[int, Why] = {}
    for before, after in pairwise(sorted(n for n in found if n < zone[0])):
        left, right = matches[before], matches[after]
        gap = range(before + 1, after)
        if not gap or left is None or right is None or right[0].key not in left[0].next:
            continue
        if left[0].spread != "edge" and all(marks[n].short for n in gap):
            reason = f"a submenu: elsewhere on {chrome.site} the lines before and after it follow each other"
            evidence: Evidence = {
                "key": left[0].key,
                "pages": left[0].pages,
                "of": chrome.pages,
                "position": "top",
            }
            inserted |= dict.fromkeys(gap, ("site-chrome", reason, evidence))
    return inserted


def _reason(match: _Match, chrome: SiteChrome, position: Position) -> Why:
    entry, likeness = match
    evidence: dict[str, str | int | float | bool] = {
        "key": entry.key,
        "pages": entry.pages,
        "of": chrome.pages,
        "position": position,
    }
    if entry.status == "pinned":
        return "site-chrome", f"pinned as chrome of {chrome.site}", evidence
    where = f"always at the {position}" if len(entry.positions) == 1 else f"here at the {position}"
    reason = f"on {entry.pages} of {chrome.pages} pages of {chrome.site}, {where}"
    if likeness < 1:
        evidence["jaccard"] = round(likeness, 3)
        reason = f"in nearly the same words {reason}"
    return "site-chrome", reason, evidence


def _surrounded(chrome: SiteChrome, position: Position) -> Why:
    return (
        "site-chrome",
        f"made of labels that are chrome of {chrome.site}, or one line between such",
        {"of": chrome.pages, "position": position},
    )


# --- the chrome as a file that people can edit


def chrome_to_json(chrome: SiteChrome) -> str:
    """The site chrome as JSON for people: one entry after the other, fields that say nothing left out."""
    plain = {field.name: field.default for field in fields(ChromeEntry)}
    entries = [
        {name: value for name, value in asdict(entry).items() if value != plain[name] or name == "status"}
        for entry in sorted(chrome.entries, key=_order)
    ]
    whole = {"site": chrome.site, "version": chrome.version, "pages": chrome.pages, "entries": entries}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def chrome_from_json(text: str, source: str = "site chrome") -> SiteChrome:
    """The site chrome of a JSON text; ``source`` is what errors call it.

    An entry needs no more than ``example`` and ``status``: the key follows from the example. Raises
    StoreError where the JSON, a field or a value is wrong.
    """
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise StoreError(f"{source}: is not valid JSON ({error}); mend it or learn the site again") from error
    if not isinstance(whole, dict):
        raise StoreError(f"{source}: must be one JSON object with site, version, pages and entries")
    _check_fields(whole, _SITE_FIELDS, source)
    entries = [_entry(one, f"{source}: entry {number}") for number, one in enumerate(whole["entries"], 1)]
    doubled = [key for key, count in Counter(entry.key for entry in entries).items() if count > 1]
    if doubled:
        raise StoreError(f"{source}: the key {min(doubled)} stands there twice; keep one of its entries")
    return SiteChrome(whole["site"], whole["version"], whole["pages"], tuple(sorted(entries, key=_order)))


_SITE_FIELDS: Mapping[str, type] = {"site": str, "version": int, "pages": int, "entries": list}
_ENTRY_FIELDS: Mapping[str, type] = {
    "key": str, "example": str, "pages": int, "positions": list, "paths": list, "first_seen": str,
    "last_seen": str, "status": str, "spread": str, "varies": bool, "next": list,
}  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "positions": get_args(Position), "status": get_args(Status), "spread": get_args(Spread)
}  # fmt: skip


def _entry(one: Any, where: str) -> ChromeEntry:
    if not isinstance(one, dict):
        raise StoreError(f"{where} must be a JSON object with example and status")
    _check_fields(one, _ENTRY_FIELDS, where, needed=("example", "status"))
    if not one["example"].strip():
        raise StoreError(f"{where}: example is empty; write the line as it reads on the page")
    values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in one.items()}
    for name, allowed in _CHOICES.items():
        value = values.get(name, ())
        wrong = [v for v in ((value,) if isinstance(value, str) else value) if v not in allowed]
        if wrong:
            raise StoreError(f"{where}: {name} is {wrong[0]!r}; allowed: {', '.join(allowed)}")
    return ChromeEntry(**{"key": _key(_masked(_exact(one["example"])))} | values)


def _check_fields(
    given: Mapping[str, Any], known: Mapping[str, type], where: str, needed: Sequence[str] | None = None
) -> None:
    for name in known if needed is None else needed:
        if name not in given:
            raise StoreError(f"{where}: {name} is missing; add it")
    for name, value in given.items():
        if name not in known:
            raise StoreError(f"{where}: unknown field {name!r}; known: {', '.join(known)}")
        if type(value) is not known[name]:
            raise StoreError(f"{where}: {name} is {value!r}; it must be of JSON type {_JSON[known[name]]}")
        if isinstance(value, list) and name != "entries" and not all(isinstance(one, str) for one in value):
            raise StoreError(f"{where}: {name} must be a list of strings")


_JSON: Mapping[type, str] = {str: "string", int: "integer", list: "list", bool: "true or false"}


# --- generic patterns


@lru_cache(maxsize=1)
def generic_patterns() -> tuple[Pattern, ...]:
    """The generic patterns of ``patterns.toml``, in its order."""
    source = resources.files("cleancopy.stages").joinpath("patterns.toml").read_text(encoding="utf-8")
    return tuple(
        Pattern(
            name=one["name"],
            regex=re.compile(one["regex"], re.IGNORECASE),
            reason=one["reason"],
            where=one["where"],
            examples=tuple(one["examples"]),
            counterexamples=tuple(one["counterexamples"]),
        )
        for one in tomllib.loads(source)["pattern"]
    )


def _pattern_cuts(document: Document, known: Mapping[int, Why], dropped: Set[int]) -> dict[int, Why]:
    """The blocks that a generic pattern matches where it may; what the site's chrome cuts counts as cut."""
    lines = [" ".join(document.text_of(block).split()) for block in document.blocks]
    gone = set(known) | _taken(document)
    matched = {
        number: pattern
        for number, (line, block) in enumerate(zip(lines, document.blocks, strict=True))
        if number not in gone | dropped and block.kind != "code" and (pattern := _pattern(line)) is not None
    }
    found = {number: pattern for number, pattern in matched.items() if pattern.where == "anywhere"}
    gone |= set(found)
    clustered = {number for number, pattern in matched.items() if pattern.where == "cluster"}
    found |= {n: matched[n] for n in clustered if _has_company(n, clustered, gone)}
    gone |= set(found)
    edge = _edge(lines, gone)
    found |= {n: pattern for n, pattern in matched.items() if pattern.where == "edge" and n in edge}
    gone |= set(found)
    for number, pattern in sorted(matched.items(), reverse=True):
        links = _links_after(document, number, gone) if pattern.where == "last" else None
        if links is not None:
            found |= dict.fromkeys([number, *links], pattern)
            gone |= {number, *links}
    return {
        n: (f"pattern:{pattern.name}", pattern.reason, {"line": lines[n][:80]}) for n, pattern in found.items()
    }


def _pattern(line: str) -> Pattern | None:
    if len(line) > _PATTERN_LENGTH:
        return None
    patterns = (pattern for pattern in generic_patterns() if pattern.where != "title")
    return next((pattern for pattern in patterns if pattern.regex.fullmatch(line)), None)


def is_error_page(document: Document) -> bool:
    """Whether a page says no more than that there is no page: an error's title and hardly any text."""
    if len(document.clean.split()) >= _ERROR_WORDS:
        return False
    headings = (document.text_of(block) for block in document.blocks if block.kind == "heading")
    titles = [document.metadata.title or "", next(headings, "")]
    patterns = [pattern for pattern in generic_patterns() if pattern.where == "title"]
    return any(pattern.regex.fullmatch(title[:_PATTERN_LENGTH]) for pattern in patterns for title in titles)


def _has_company(number: int, clustered: Set[int], gone: Set[int]) -> bool:
    """Whether a line that may be a button stands in a row of such lines, or between lines that are cut."""
    near = (number - 1, number + 1)
    return any(n in clustered for n in near) or all(n in gone for n in near)


def _edge(lines: Sequence[str], gone: Set[int]) -> set[int]:
    """The blocks between which and the top or the end of the page stand only short lines or what is cut."""
    found: set[int] = set()
    for order in (range(len(lines)), range(len(lines) - 1, -1, -1)):
        short = 0
        for number in order:
            if number not in gone:
                short += 1
                if short > _EDGE_LINES or len(lines[number].split()) > _SLOT:
                    break
            found.add(number)
    return found


def _links_after(document: Document, number: int, gone: Set[int]) -> list[int] | None:
    """The link blocks between a block and the next cut or the end; None where something else stands there."""
    links: list[int] = []
    for after in range(number + 1, len(document.blocks)):
        if after in gone:
            break
        if document.blocks[after].link_share < _LINKS:
            return None
        links.append(after)
    return links
