"""Learning a site's chrome from its pages.

A fold over the documents of one site that gives a ``SiteChrome``; it asks of every page what cutting asks
of one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from typing import get_args

from cleancopy.document import Block, Document
from cleancopy.minhash import Signing, band_keys, candidates, jaccard, shingles, sign
from cleancopy.policy import ChromePolicy
from cleancopy.stages.chrome.headlines import (
    count_words,
    is_title,
    marked_headline,
    page_key,
    text_headlines,
    title_key,
)
from cleancopy.stages.chrome.placement import (
    SHORT,
    STRENGTH,
    Mark,
    chrome_places,
    is_hemmed_in,
    mark_of,
    position_of,
)
from cleancopy.stages.chrome.plain import TailTally, plain_places
from cleancopy.stages.chrome.profile import (
    LEADERS,
    NEAR,
    ChromeEntry,
    Position,
    SiteChrome,
    Spread,
    Status,
    entry_order,
    exact_form,
    is_composed,
    is_near,
    key_of,
    masked_form,
)

#: Near twins meet in 32 bands of 4 rows: a true pair of Jaccard 0.6 with 99 %.
_NEAR_BANDS = (32, 4)
#: Pages are copies of each other from this Jaccard, measured where they do not share the site's chrome.
_COPY = 0.8
_COPY_SIGNING = Signing(num_perm=112, shingle=5)
_COPY_BANDS = (14, 8)
_OWN_WORDS = 20  # a page with fewer words that are its own is compared as a whole
_FEW_PAGES = 5  # so few pages are compared as wholes: most of them may be copies of one

_MOST, _ALWAYS = 0.8, 0.95  # share of pages for chrome that stands apart, and for chrome that stands alone
_TEMPLATE = 1 / 3  # share of its pages on which a long block reads the same at most: else it is no template
_MAX_TITLES = 20_000  # headlines of the site that are remembered: some 600 kB
_ONE_FORM = 0.9  # share of pages on which a block reads the same: else its numbers vary
_DATA = 1 / 3  # share of pages on which a block's numbers vary within the page: then it is the page's data
_MAX_RELATED = 300  # doubtful entries that are kept for people to look at
_EXAMPLE_LENGTH = 2_000
_LATEST, _LEAST_LATEST = 10, 5  # pages of the latest days that can speak for a new design: at most, at least
_CHANCE = 0.01  # how likely the latest pages may lack an entry by chance before it fades
_PATHS = 4
_DEFAULT = ChromePolicy()


@dataclass(slots=True)
class _Page:
    """A page while its site is learned. ``names`` are the masked forms of its blocks, near twins made one."""

    key: str
    digest: str
    names: list[str]
    exact: list[str]
    texts: list[str]
    blocks: tuple[Block, ...]
    day: str
    title: str | None = None
    markup: bool = False
    headline: int | None = None


@dataclass(frozen=True, slots=True)
class _Tally:
    """What the pages of a site say together: on how many each block stands, what follows what."""

    pages: int
    counts: Mapping[str, int]
    follows: Mapping[tuple[str, str], int]
    spreads: Mapping[str, Spread]
    varying: Set[str]
    strong: Set[str]
    faded: Set[str]
    templates: Set[str]
    titles: Set[str]


def learn_chrome(
    documents: Iterable[Document],
    *,
    site: str,
    policy: ChromePolicy = _DEFAULT,
    previous: SiteChrome | None = None,
    seen: str | None = None,
    captured: Mapping[str, str] | None = None,
) -> SiteChrome:
    """The chrome of a site from its documents, in whatever order they come.

    Documents with one key, and pages that are copies of each other, count once. ``previous`` carries over
    what people decided (``pinned``, ``dropped``), when an entry was first seen, and the version, which grows
    by one where the digest changes. ``captured`` gives the ISO times of documents by key, ``seen`` the date
    of this learning for those without.

    Each design of a site counts for itself: what stands on most of the latest pages is as strong as what
    stood on most of the pages before. An entry that the latest pages lack, or that no page at hand has any
    more, fades; one that pages have and that proves to be no chrome goes.
    """
    days = captured or {}
    pages = _distinct([_page(document, days.get(document.key, "")[:10]) for document in documents])
    present = {key_of(name) for page in pages for name in page.names}
    titles = _name_headlines(pages, policy)
    others = {title_key(form) for page in pages for n, form in enumerate(page.exact) if n != page.headline}
    entries = _entries(pages, policy, titles.keys()) if len(pages) >= max(2, policy.edge_pages) else []
    decided = _with_decisions(entries, previous, seen, present)
    chrome = SiteChrome(site, 1, len(pages), decided, tuple(sorted(titles.items())[:_MAX_TITLES]))
    if previous is None:
        return chrome
    # A page more on the site adds a headline; as long as no other page shows it, the chrome stays as it is.
    if not others & (titles.keys() - dict(previous.titles).keys()):
        as_before = replace(chrome, titles=previous.titles)
        chrome = as_before if as_before.digest == previous.digest else chrome
    return replace(chrome, version=previous.version + (chrome.digest != previous.digest))


def _page(document: Document, day: str) -> _Page:
    texts = [document.text_of(block) for block in document.blocks]
    exact = [exact_form(text) for text in texts]
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    names = [masked_form(form) for form in exact]
    markup = document.media_type == "text/html"
    return _Page(
        document.key, digest, names, exact, texts, document.blocks, day, document.metadata.title, markup
    )


def _distinct(pages: list[_Page]) -> list[_Page]:
    """The pages, one of each key (the longest) and one of each set of copies, sorted."""
    by_key = {page.key: page for page in sorted(pages, key=lambda p: (p.key, len(p.names), p.digest))}
    pages = sorted(by_key.values(), key=lambda p: (-len(p.names), p.digest))
    texts = [" ".join(page.exact) for page in pages]
    if len(pages) > _FEW_PAGES:
        counts = Counter(name for page in pages for name in set(page.names))
        texts = [_own_text(page, whole, counts, len(pages)) for page, whole in zip(pages, texts, strict=True)]
    leaders = _leaders(texts, _COPY_SIGNING, _COPY_BANDS, _COPY)
    kept = [page for number, page in enumerate(pages) if leaders[number] == number]
    return sorted(kept, key=lambda p: (p.key, p.digest))


def _own_text(page: _Page, whole: str, counts: Mapping[str, int], pages: int) -> str:
    """The text of a page that most pages do not have, or all its text where that is too little to go by."""
    named = zip(page.exact, page.names, strict=True)
    particular = " ".join(exact for exact, name in named if counts[name] * 2 < pages)
    return particular if particular.count(" ") >= _OWN_WORDS else whole


def _leaders(texts: Sequence[str], signing: Signing, bands: tuple[int, int], threshold: float) -> list[int]:
    """For each text the number of the earlier text that stands for it, or its own: no chains, linear work."""
    leader = list(range(len(texts)))
    grams: dict[int, frozenset[str]] = {}
    tried: Counter[int] = Counter()
    best: dict[int, float] = defaultdict(float)
    keys = band_keys(sign(texts, signing), *bands)
    for left, right in candidates(keys, bucket=LEADERS).pairs.tolist():
        if leader[left] != left or tried[right] >= LEADERS:
            continue
        tried[right] += 1
        for number in (left, right):
            if number not in grams:
                grams[number] = shingles(texts[number], signing.shingle)
        likeness = jaccard(grams[left], grams[right])
        if likeness >= threshold and likeness > best[right]:
            best[right], leader[right] = likeness, left
    return leader


def _name_headlines(pages: list[_Page], policy: ChromePolicy) -> dict[str, str]:
    """Give each page's headline a name that no other block has; the keys of the headlines with their pages'.

    So a headline is no evidence of chrome, neither for the same words in other pages' related links nor for
    headlines in nearly the same words or with other numbers. A headline of several pages has no page.
    """
    counts = Counter(form for page in pages for form in set(page.exact))
    strength = {
        form: STRENGTH[_spread(count, len(pages), policy)] for form, count in counts.items() if count > 1
    }
    labels = {masked_form(form) for form, value in strength.items() if value >= 3}
    for page in pages:
        lines = zip(page.exact, page.texts, strict=True)
        strength |= {form: 5 for form, text in lines if form not in strength and is_composed(text, labels)}
    plain = [page for page in pages if not page.markup]
    words = [[count_words(form) for form in page.exact] for page in plain]
    for page, headline in zip(plain, text_headlines([p.exact for p in plain], words, strength), strict=True):
        page.headline = headline
    titles: dict[str, str] = {}
    for page in pages:
        if page.markup:
            is_chrome = partial(_is_chrome_line, page, strength)
            page.headline = marked_headline(page.blocks, page.exact, page.title, is_chrome)
        if page.headline is None:
            continue
        form = page.exact[page.headline]
        page.names[page.headline] = f"#{page_key(page.key)}"
        if is_title(form):
            key = title_key(form)
            titles[key] = "" if key in titles else page_key(page.key)
    return titles


def _is_chrome_line(page: _Page, strength: Mapping[str, int], number: int) -> bool:
    """Whether half of the site's pages have a line, and this page once only: not in its menu and above it."""
    form = page.exact[number]
    return strength.get(form, 0) >= 3 and page.exact.count(form) == 1


def _entries(pages: list[_Page], policy: ChromePolicy, titles: Set[str]) -> list[ChromeEntry]:
    """What is chrome on enough of the pages, and what looks like it but is doubtful."""
    _name_near_twins(pages, policy.near)
    few = len(pages) < policy.pages
    tally = _tally(pages, policy, titles)
    tails = TailTally()
    chrome_on: dict[str, Counter[Position]] = defaultdict(Counter)
    paths: dict[str, Counter[str]] = defaultdict(Counter)
    for page in pages:
        marks = _learning_marks(page, tally)
        chrome, zone = chrome_places(marks, few=few)
        if not page.markup and not few:
            chrome |= plain_places(marks, page.names, zone, chrome)
            tails.add(page.names, page.texts, marks, chrome, tally.spreads.keys())
        chrome = {n for n in chrome if page.names[n] in tally.spreads}
        for name, position in {(page.names[n], position_of(n, zone)) for n in chrome}:
            chrome_on[name][position] += 1
        for number in chrome:
            if path := page.blocks[number].path:
                paths[page.names[number]][re.sub(r"\[\d+\]", "", path)] += 1
    openers = tails.openers(tally.counts, policy.pages)
    names = sorted(set(chrome_on) | tally.strong | openers.keys())
    examples = _examples(pages, set(names))
    after = _usual_followers(tally, chrome_on)
    first, last = _days_seen(pages)
    need = policy.edge_pages if few else policy.pages
    entries = [
        ChromeEntry(
            key=key_of(name),
            example=examples[name],
            pages=tally.counts[name],
            positions=tuple(position for position in get_args(Position) if chrome_on[name][position]),
            paths=tuple(path for path, _ in sorted(paths[name].items(), key=lambda p: (-p[1], p[0]))[:_PATHS]),
            first_seen=first.get(name),
            last_seen=last.get(name),
            status=_status(name, tally, enough=chrome_on[name].total() >= min(need, tally.counts[name])),
            spread=tally.spreads[name],
            varies=name in tally.varying,
            template=name in tally.templates,
            tail=openers.get(name, 0),
            next=tuple(after[name]),
        )
        for name in names
    ]
    related = sorted((e for e in entries if e.status == "related"), key=lambda e: (-e.pages, e.key))
    return [entry for entry in entries if entry.status != "related"] + related[:_MAX_RELATED]


def _status(name: str, tally: _Tally, *, enough: bool) -> Status:
    """What a block is that as chrome stands on enough pages, or does not."""
    return ("faded" if name in tally.faded else "cut") if enough else "related"


def _days_seen(pages: Sequence[_Page]) -> tuple[dict[str, str], dict[str, str]]:
    """The first and the last day that each block was captured on."""
    dated = sorted((page for page in pages if page.day), key=lambda p: p.day)
    last = {name: page.day for page in dated for name in page.names}
    return {name: page.day for page in reversed(dated) for name in page.names}, last


def _tally(pages: list[_Page], policy: ChromePolicy, titles: Set[str]) -> _Tally:
    counts = Counter(name for page in pages for name in set(page.names))
    follows = Counter(pair for page in pages for pair in set(pairwise(page.names)))
    varying, data, templates = _varying(pages, counts, policy)
    wanted = {n for n, count in counts.items() if count >= max(2, policy.edge_pages) and n not in data}
    latest = _latest(pages)
    lately = Counter(name for page in latest for name in set(page.names))
    parts = [(counts, len(pages)), (lately, len(latest)), (counts - lately, len(pages) - len(latest))]
    parts = [(part, size) for part, size in parts if size]
    spreads: dict[str, Spread] = {
        name: max((_spread(part[name], size, policy) for part, size in parts), key=STRENGTH.__getitem__)
        for name in sorted(wanted)
    }
    if len(pages) < policy.pages:
        spreads = {name: spread for name, spread in spreads.items() if spread == "edge"}
    strong = {name for name, spread in spreads.items() if STRENGTH[spread] >= 3}
    faded = _faded(counts, lately, len(pages) - len(latest), len(latest)) if latest else set()
    return _Tally(len(pages), counts, follows, spreads, varying, strong, faded, templates, titles)


def _latest(pages: Sequence[_Page]) -> list[_Page]:
    """The pages of the latest days, where they can show what the site is now; none where no day parts them.

    Whole days only: the order of pages within one crawl says nothing.
    """
    latest: list[_Page] = []
    for day, group in groupby(sorted(pages, key=lambda p: p.day, reverse=True), key=lambda p: p.day):
        of_day = list(group)
        if not day or (latest and len(latest) + len(of_day) > _LATEST):
            break
        latest += of_day
    return latest if _LEAST_LATEST <= len(latest) <= len(pages) / 2 else []


def _faded(counts: Counter[str], lately: Counter[str], before: int, latest: int) -> set[str]:
    """The blocks that the latest pages lack, and not by chance; in a new design all that they lack.

    The design is new where of what stood on most pages before the latest pages lack half.
    """
    gone = {name for name in counts if not lately[name]}
    common = [name for name, count in (counts - lately).items() if count >= _MOST * before]
    if common and 2 * sum(name in gone for name in common) >= len(common):
        return gone
    return {name for name in gone if (1 - counts[name] / before) ** latest < _CHANCE}


def _spread(count: int, pages: int, policy: ChromePolicy) -> Spread:
    share = count / pages
    if pages < policy.pages:
        return "edge" if share >= policy.fraction else "rare"
    if count < policy.pages:
        return "rare"
    if share < policy.fraction:
        return "some"
    return "always" if share >= _ALWAYS else "most" if share >= _MOST else "half"


def _learning_marks(page: _Page, tally: _Tally) -> list[Mark]:
    marks: list[Mark] = []
    times = Counter(page.names)
    seen: set[str] = set()
    strengths = [STRENGTH[tally.spreads[name]] if name in tally.spreads else 0 for name in page.names]
    for number, (name, text) in enumerate(zip(page.names, page.texts, strict=True)):
        strength = strengths[number]
        if name in tally.templates and not is_hemmed_in(strengths, number, page.names):
            strength = 0
        if not strength and number != page.headline and is_composed(text, tally.strong):
            strength = 5
        mark = mark_of(page.blocks[number], text, page.exact[number], strength, varies=name in tally.varying)
        title = is_title(page.exact[number]) and title_key(page.exact[number]) in tally.titles
        mark = mark._replace(headline=number == page.headline, title=title)
        before, then = page.names[max(0, number - 1)], page.names[min(number + 1, len(page.names) - 1)]
        usual = tally.follows[before, name] * 2 >= tally.counts[before]
        joined = tally.follows[name, then] >= 2
        again = name in seen and not usual
        marks.append(mark._replace(joined=joined, usual=usual, again=again, once=times[name] == 1))
        seen.add(name)
    return marks


def _name_near_twins(pages: list[_Page], near: float) -> None:
    """Give blocks that are nearly equal one name, that of the commonest."""
    counts = Counter(name for page in pages for name in set(page.names))
    names = sorted((name for name in counts if is_near(name)), key=lambda n: (-counts[n], n))
    leaders = _leaders(names, NEAR, _NEAR_BANDS, near)
    twins = {names[n]: names[leader] for n, leader in enumerate(leaders) if leader != n}
    for page in pages:
        # Beside the one form its near twin is something else: a headline under its menu.
        whole = set(page.names)
        page.names = [name if twins.get(name, name) in whole else twins[name] for name in page.names]


def _varying(
    pages: list[_Page], counts: Mapping[str, int], policy: ChromePolicy
) -> tuple[set[str], set[str], set[str]]:
    """The blocks whose numbers change from page to page, those whose numbers change within a page, templates.

    Those that change within a page are its own data (prices, the counts in a list), however often their words
    recur. A template is long and seldom reads the same: each page has other names, numbers or dates in it.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    within: Counter[str] = Counter()
    for page in pages:
        on_page: dict[str, set[str]] = defaultdict(set)
        for name, exact in zip(page.names, page.exact, strict=True):
            if counts[name] >= policy.edge_pages:
                on_page[name].add(exact)
        for name, texts in on_page.items():
            forms[name].update(texts)
            within[name] += "0" in name and len(texts) > 1
    varying = {
        name for name, texts in forms.items() if "0" in name and _commonest(texts) < _ONE_FORM * texts.total()
    }
    templates = {
        name
        for name, texts in forms.items()
        if counts[name] >= policy.pages
        and count_words(name) > SHORT
        and max(texts.values()) <= _TEMPLATE * texts.total()
    }
    return varying, {name for name in varying if within[name] >= _DATA * counts[name]}, templates


def _commonest(forms: Counter[str]) -> int:
    """How often a block reads as it does most often, its near twins each for itself."""
    most: dict[str, int] = {}
    for exact, count in forms.items():
        masked = masked_form(exact)
        most[masked] = max(count, most.get(masked, 0))
    return sum(most.values())


def _examples(pages: list[_Page], names: Set[str]) -> dict[str, str]:
    """Of each name the text that most pages have; of texts as common as each other the first."""
    examples: dict[str, Counter[str]] = defaultdict(Counter)
    for page in pages:
        for name, text in set(zip(page.names, page.texts, strict=True)):
            if name in names:
                examples[name][text[:_EXAMPLE_LENGTH]] += 1
    return {
        n: min(texts, key=lambda t: (masked_form(exact_form(t)) != n, -texts[t], t))
        for n, texts in examples.items()
    }


def _usual_followers(tally: _Tally, chrome_on: Mapping[str, object]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = defaultdict(list)
    for (name, then), count in sorted(tally.follows.items()):
        if name in chrome_on and then in chrome_on and count * 2 >= tally.counts[name]:
            after[name].append(key_of(then))
    return after


def _with_decisions(
    entries: Iterable[ChromeEntry], previous: SiteChrome | None, seen: str | None, present: Set[str]
) -> tuple[ChromeEntry, ...]:
    """The entries with the dates and the people's decisions of the chrome before, sorted.

    ``present`` are the keys of all blocks at hand: an entry that is among them and not learned was refuted.
    """
    merged = {
        entry.key: replace(entry, first_seen=entry.first_seen or seen, last_seen=entry.last_seen or seen)
        for entry in entries
    }
    for old in previous.entries if previous else ():
        new = merged.get(old.key)
        learned = old.learned if old.is_decided else old.status
        if new is not None:
            first = min(filter(None, (old.first_seen, new.first_seen)), default=None)
            new = replace(new, first_seen=first)
        elif learned in ("cut", "faded") and old.key not in present:
            new = replace(old, status="faded", learned=None, decided=None)
        if old.is_decided:
            learned = new.status if new else None
            new = replace(new or old, status=old.status, learned=learned, decided=old.decided)
        if new is not None:
            merged[old.key] = new
    return tuple(sorted(merged.values(), key=entry_order))
