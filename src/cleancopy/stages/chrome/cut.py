"""Cutting what a site repeats, and what the generic patterns know: a pure function of page, policy and chrome.

What is repeated was learned before (``learn``); where a repeated block is chrome, ``placement`` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, pairwise

from cleancopy.document import Block, Cut, Document, Evidence
from cleancopy.policy import ChromePolicy
from cleancopy.stages.chrome.headlines import (
    LONG,
    TRAIL,
    count_words,
    is_title,
    marked_headline,
    page_key,
    text_headline,
    title_key,
)
from cleancopy.stages.chrome.learn import learn_chrome
from cleancopy.stages.chrome.lookup import ChromeIndex, Match, index_of, matches_of
from cleancopy.stages.chrome.patterns import (
    Pattern,
    Why,
    blocks_cut,
    generic_patterns,
    is_error_page,
    pattern_cuts,
)
from cleancopy.stages.chrome.placement import (
    SHORT,
    SOLID,
    STRENGTH,
    Mark,
    Zone,
    chrome_places,
    is_hemmed_in,
    mark_of,
    position_of,
)
from cleancopy.stages.chrome.plain import menus, plain_places, tail, trail
from cleancopy.stages.chrome.profile import (
    ChromeEntry,
    Position,
    SiteChrome,
    chrome_from_json,
    chrome_to_json,
    exact_form,
    is_composed,
    split_row,
    with_decision,
)

__all__ = [
    "ChromeEntry", "Pattern", "SiteChrome", "chrome_from_json", "chrome_to_json", "cut_chrome",
    "generic_patterns", "is_error_page", "learn_chrome", "protected_blocks", "weigh_scores", "with_decision",
]  # fmt: skip

#: The key of a page, the title that its markup declares, whether it has markup.
_PageFacts = tuple[str, str | None, bool]
#: What the odds of being content are multiplied by, for the page's own blocks on a site that is known well,
#: and for short blocks that half of the pages have. On seven sites, cross-validated: word F1 .989 to .992.
_OWN, _REPEATED = 2.0, 0.25
_CRUMB = 3  # words of a headline that says enough to be known at the end of another line
KEPT = 0.5  # from this score on a block is content
#: What a note begins with where site chrome stopped before it took more than this share of the main content.
TOO_MUCH, _MOST_OF_CONTENT = "site chrome stopped", 0.5
_PINNED = "pinned as chrome"  # how the reason of a cut that people want begins
_SENTENCE_ENDS = (".", ":", "。", "：", "।", "۔")  # of lines of text rather than headlines
_HALF = 3  # the strength of a line that half of the site's pages have
_LINKED = 0.5  # share of link text from which a block may be a link to another page
#: Entries that are chrome where they stand as chrome does.
_CHROME = frozenset(["pinned", "cut", "faded"])


def cut_chrome(document: Document, policy: ChromePolicy, chrome: SiteChrome | None) -> tuple[Cut, ...]:
    """The cuts of what the site repeats, and of what the generic patterns know, on one page.

    Blocks that a cut of the document touches are left out. A cut reaches to the start of the next block.
    """
    return propose_cuts(document, policy, chrome)[0]


def propose_cuts(
    document: Document, policy: ChromePolicy, chrome: SiteChrome | None
) -> tuple[tuple[Cut, ...], str | None]:
    """The cuts of ``cut_chrome``, with a note where the site's chrome would have taken too much, else None."""
    reasons, dropped = _site_cuts(document, policy, chrome) if chrome and chrome.entries else ({}, set())
    reasons, note = _spare_content(document, reasons)
    if policy.patterns:
        reasons = pattern_cuts(document, reasons, dropped) | reasons
    cut_already = blocks_cut(document)
    starts = [*(block.start for block in document.blocks[1:]), len(document.text)]
    cuts = tuple(
        Cut(document.blocks[n].start, starts[n], "chrome", *reasons[n])
        for n in sorted(reasons)
        if n not in cut_already
    )
    return cuts, note


def _spare_content(document: Document, reasons: dict[int, Why]) -> tuple[dict[int, Why], str | None]:
    """The reasons without those for main content, where these would take most of it, and a note that says so.

    Main content is what the content stage keeps and what stands in one element with the page's own text: lists
    in other boxes may be long, and the model may take them for content. Where there is no text of the page's
    own, the page is nothing but chrome and is left to be rejected.
    """
    kept = [(n, b) for n, b in enumerate(document.blocks) if b.score is not None and b.score >= KEPT]
    running = [b for n, b in kept if n not in reasons and b.kind != "heading" and b.link_share < _LINKED]
    boxes = tuple({block.path.rpartition("/")[0] + "/" for block in running})
    words = {
        n: count_words(exact_form(document.text_of(block)))
        for n, block in kept
        if n not in reasons or block.path.startswith(boxes)
    }
    learned = [n for n in words if n in reasons and not reasons[n][1].startswith(_PINNED)]
    share = sum(words[n] for n in learned) / max(1, sum(words.values()))
    if share <= _MOST_OF_CONTENT or not running:
        return reasons, None
    note = f"{TOO_MUCH}: it would have taken {share:.0%} of the main content, which was kept"
    return {n: why for n, why in reasons.items() if n not in learned}, note


def protected_blocks(document: Document, policy: ChromePolicy, chrome: SiteChrome | None) -> Set[int]:
    """The starts of the blocks that people have said are no chrome: no stage but captions may cut them."""
    return _decided_blocks(document, policy, chrome, "dropped")


def pinned_blocks(document: Document, policy: ChromePolicy, chrome: SiteChrome | None) -> Set[int]:
    """The starts of the blocks that people have said are chrome, be they the page's headline."""
    return _decided_blocks(document, policy, chrome, "pinned")


def _decided_blocks(
    document: Document, policy: ChromePolicy, chrome: SiteChrome | None, status: str
) -> Set[int]:
    """The starts of the blocks whose entry has a status that people gave it."""
    if chrome is None or not any(entry.status == status for entry in chrome.entries):
        return frozenset()
    exact = [exact_form(document.text_of(block)) for block in document.blocks]
    matches = zip(document.blocks, matches_of(exact, index_of(chrome, policy.near), policy.near), strict=True)
    return {block.start for block, match in matches if match is not None and match[0].status == status}


def _site_cuts(document: Document, policy: ChromePolicy, chrome: SiteChrome) -> tuple[dict[int, Why], set[int]]:
    """Why blocks of the page are chrome of its site, and the blocks that people have said are not."""
    matches, marks, places, zone = _page_reading(document, policy, chrome)
    reasons: dict[int, Why] = {}
    for number, match in enumerate(matches):
        position = position_of(number, zone)
        # Another page's headline is chrome by its place; it may be too rare on the site to be known as more.
        if match is None or (marks[number].title and match[0].status == "related"):
            if number in places:
                reason = (
                    f"labels that are chrome of {chrome.site}, a line between such, another page's headline"
                )
                reasons[number] = ("site-chrome", reason, {"of": chrome.pages, "position": position})
        elif match[0].status == "pinned" or (
            match[0].status in ("cut", "faded") and number in places and position in match[0].positions
        ):
            reasons[number] = _reason(match, chrome, position)
    reasons = _crumbs(document, marks, chrome) | reasons
    if document.media_type != "text/html":
        reasons |= _plain_cuts(document, matches, marks, reasons, chrome)
    dropped = {n for n, match in enumerate(matches) if match is not None and match[0].status == "dropped"}
    reasons = _submenus(marks, matches, zone, reasons, chrome) | reasons
    return {n: why for n, why in reasons.items() if n not in dropped}, dropped


def _crumbs(document: Document, marks: Sequence[Mark], chrome: SiteChrome) -> dict[int, Why]:
    """The lines right above the headline that end in its words: breadcrumb trails."""
    headline = next((n for n, mark in enumerate(marks) if mark.headline), None)
    if headline is None or marks[headline].words < _CRUMB:
        return {}
    title = exact_form(document.text_of(document.blocks[headline]))
    above = range(max(0, headline - TRAIL), headline)
    lines = [n for n in above if 0 < marks[n].words - marks[headline].words <= SHORT]
    ending = [n for n in lines if exact_form(document.text_of(document.blocks[n])).endswith(f" {title}")]
    reason = "a breadcrumb trail that ends in the headline"
    return dict.fromkeys(ending, ("site-chrome", reason, {"of": chrome.pages, "position": "top"}))


def _plain_cuts(
    document: Document,
    matches: Sequence[Match | None],
    marks: Sequence[Mark],
    reasons: Mapping[int, Why],
    chrome: SiteChrome,
) -> dict[int, Why]:
    """The breadcrumb trail of a page without markup, and the list of other pages at its foot."""
    exact = [exact_form(document.text_of(block)) for block in document.blocks]
    evidence: Evidence = {"of": chrome.pages, "position": "top"}
    crumbs = trail(marks, exact, reasons.keys())
    inserted: dict[int, Why] = dict.fromkeys(
        crumbs, ("site-chrome", "a breadcrumb trail that ends in the headline", evidence)
    )
    for number in menus(marks):
        match = matches[number]
        if match is not None and match[0].status in ("cut", "faded") and not marks[number].headline:
            inserted[number] = _reason(match, chrome, "middle")
    places, foot = tail(marks, reasons.keys())
    titles = dict(chrome.titles)
    if foot and _names_pages(document.text_of(document.blocks[foot - 1]), titles):
        reason = f"a row of other pages' headlines at the foot of {chrome.site}"
        inserted[foot - 1] = ("site-chrome", reason, {"of": chrome.pages, "position": "bottom"})
    for number in places:
        match = matches[number]
        if match is not None and foot - number - 1 <= match[0].tail:
            reason = f"from a line on that opens a list of other pages at the foot of {chrome.site}"
            evidence = {"key": match[0].key, "pages": match[0].pages, "of": chrome.pages, "position": "bottom"}
            inserted |= dict.fromkeys(range(number, foot), ("site-chrome", reason, evidence))
            break
    return {n: why for n, why in inserted.items() if n not in reasons}


def _names_pages(text: str, titles: Mapping[str, str]) -> bool:
    """Whether a line is a row of parts of which half or more are the headlines of pages: a pager."""
    parts = [exact_form(part) for part in split_row(text)]
    headlines = sum(is_title(part) and title_key(part) in titles for part in parts)
    return len(parts) > 1 and 2 * headlines >= len(parts)


_Reading = tuple[Sequence[Match | None], Sequence[Mark], Set[int], Zone]


def _page_reading(document: Document, policy: ChromePolicy, chrome: SiteChrome) -> _Reading:
    """What the chrome knows of each block, the marks of the blocks, which are chrome, the content's zone."""
    title = document.metadata.title if document.media_type == "text/html" else None
    page = (document.key, title, document.media_type == "text/html")
    return _cached_reading(document.text, document.blocks, page, policy.near, chrome)


@lru_cache(maxsize=2)  # two stages ask of the same page, one after the other
def _cached_reading(
    text: str, blocks: tuple[Block, ...], page: _PageFacts, near: float, chrome: SiteChrome
) -> _Reading:
    index = index_of(chrome, near)
    texts = [text[block.start : block.end] for block in blocks]
    exact = [exact_form(line) for line in texts]
    matches = matches_of(exact, index, near)
    headline = _headline(blocks, texts, exact, matches, page, index)
    in_head = None if page[2] else _line_in_head(texts, exact, matches, index)
    headlines = {number for number in (headline, in_head) if number is not None}
    for number in headlines:
        if (match := matches[number]) is not None and match[0].status != "pinned":
            matches[number] = None
    marks = _cutting_marks(blocks, texts, exact, matches, index)
    marks = [
        mark._replace(
            headline=number in headlines,
            title=is_title(exact[number]) and index.titles.get(title_key(exact[number])) is not None,
        )
        for number, mark in enumerate(marks)
    ]
    plain = not page[2]
    few_pages = any(entry.spread == "edge" and entry.status == "cut" for entry in chrome.entries)
    places, zone = chrome_places(marks, few=few_pages)
    if plain and not few_pages:
        names = [form if match is None else match[0].key for form, match in zip(exact, matches, strict=True)]
        places |= plain_places(marks, names, zone, places)
    return matches, marks, places, zone


def _headline(
    blocks: Sequence[Block],
    texts: Sequence[str],
    exact: Sequence[str],
    matches: Sequence[Match | None],
    page: _PageFacts,
    index: ChromeIndex,
) -> int | None:
    """The number of the block that is the page's headline, or None.

    Without markup first the line that was learned as this page's headline; else other pages' headlines are
    passed by.
    """
    key, title, markup = page
    times = Counter(exact)
    strengths = [
        0 if match is None or match[0].status not in _CHROME or match[1] < 1 else STRENGTH[match[0].spread]
        for match in matches
    ]
    if markup:
        return marked_headline(blocks, exact, title, lambda n: strengths[n] >= 3 and times[exact[n]] == 1)
    pages = [index.titles.get(title_key(form)) if is_title(form) else None for form in exact]
    its_entries = [n for n, home in enumerate(pages) if home == page_key(key)]
    strengths = [max(s, 1) if home else s for s, home in zip(strengths, pages, strict=True)]
    strengths = [s or 3 * is_composed(text, index.labels) for s, text in zip(strengths, texts, strict=True)]
    words = [count_words(form) for form in exact]
    headline = text_headline(exact, words, strengths, lambda n: bool(pages[n]))
    if headline in its_entries:
        return headline
    start = next((n for n, size in enumerate(words) if not strengths[n] and size >= LONG), len(blocks))
    if its_entries:
        return max((n for n in its_entries if n < start), default=its_entries[0])
    label = _out_of_menu(exact, words, matches, start)
    if label is None or headline is None or strengths[headline]:
        return headline if label is None else label
    # A line of the page's own is the headline, unless it is a sentence and no such line stands above it.
    is_sentence = texts[headline].endswith(_SENTENCE_ENDS)
    return label if is_sentence and all(strengths[label:headline]) else headline


def _line_in_head(
    texts: Sequence[str], exact: Sequence[str], matches: Sequence[Match | None], index: ChromeIndex
) -> int | None:
    """The number of the line for which the head of the site's pages leaves a place, or None.

    It is the first that is not on half of the pages, alone between two that are, and no row of labels. What a
    page is called may stand there, with a menu of the section below it.
    """
    strengths = (
        0 if match is None or match[0].status not in _CHROME or match[1] < 1 else STRENGTH[match[0].spread]
        for match in matches
    )
    usual = [s >= _HALF or is_composed(text, index.labels) for s, text in zip(strengths, texts, strict=True)]
    number = usual.index(False) if False in usual else 0
    is_alone = number and all(usual[number + 1 : number + 2]) and number + 1 < len(usual)
    return number if is_alone and count_words(exact[number]) <= LONG else None


def _out_of_menu(
    exact: Sequence[str], words: Sequence[int], matches: Sequence[Match | None], end: int
) -> int | None:
    """The line above ``end`` that stands in a menu of the page, too, and here out of its usual place, or None.

    Of several the one that the fewest pages have, the last of these: others name a part of the site.
    """
    usual = [
        after is not None and before is not None and after[0].key in before[0].next
        for before, after in pairwise([None, *matches])
    ]
    in_row = pairwise([*usual, False])
    in_menu = {form for form, between in zip(exact, in_row, strict=True) if all(between)}
    lines = [n for n in range(end) if words[n] >= 2 and exact[n] in in_menu and not usual[n]]
    entries = [(n, match[0]) for n in lines if (match := matches[n]) is not None]
    return min(entries, key=lambda e: (e[1].pages, -e[0]), default=(None,))[0]


def weigh_scores(document: Document, policy: ChromePolicy, chrome: SiteChrome | None) -> Document:
    """The document with its content scores weighed by what the site repeats, for the content decision alone.

    Inside the content's zone a block that no other page has is more likely content, once enough pages are
    known to say so; a short one that half of the pages have is less likely, wherever it stands.
    """
    if chrome is None or not chrome.entries or all(block.score is None for block in document.blocks):
        return document
    matches, marks, _, zone = _page_reading(document, policy, chrome)
    blocks = list(document.blocks)
    unmatched = [match is None or not match[0].counts or match[0].template for match in matches]
    text = [bare and (block.score or 0) >= KEPT for block, bare in zip(blocks, unmatched, strict=True)]
    for number, (block, match, mark) in enumerate(zip(document.blocks, matches, marks, strict=True)):
        if block.score is None:
            continue
        inside = zone[0] <= number < zone[1]
        beside_text = not any(text) or any(text[max(0, number - 1) : number] + text[number + 1 : number + 2])
        if match is None or unmatched[number]:
            if inside and beside_text and block.link_share < _LINKED and chrome.is_known_well:
                blocks[number] = block._replace(score=_weighed(block.score, _OWN))
        elif inside and mark.refrain and block.kind == "caption" and beside_text:
            blocks[number] = block._replace(score=max(block.score, KEPT))
        elif inside and any(text[number + 1 : number + 2]) and (mark.heading or mark.label or mark.field):
            continue
        elif mark.short and match[0].is_common:
            why = block.why or f"{match[0].pages} of {chrome.pages} pages of {chrome.site} have it"
            blocks[number] = block._replace(score=_weighed(block.score, _REPEATED), why=why)
    return replace(document, blocks=tuple(blocks))


def _weighed(score: float, weight: float) -> float:
    """A probability with its odds multiplied."""
    odds = score * weight
    return round(odds / (odds + 1 - score), 3)


def _cutting_marks(
    blocks: Sequence[Block],
    texts: Sequence[str],
    exact: Sequence[str],
    matches: Sequence[Match | None],
    index: ChromeIndex,
) -> list[Mark]:
    marks: list[Mark] = []
    times = Counter(match[0].key for match in matches if match is not None)
    seen: set[str] = set()
    rows = _rows(matches)
    strengths = [
        0 if match is None or match[0].status not in _CHROME else STRENGTH[match[0].spread] for match in matches
    ]
    for number, (block, text, match) in enumerate(zip(blocks, texts, matches, strict=True)):
        if match is None:
            marks.append(mark_of(block, text, exact[number], 5 if is_composed(text, index.labels) else 0))
            continue
        entry, likeness = match
        strength = strengths[number]
        if entry.template and not is_hemmed_in(strengths, number, exact):
            strength = 0
        if entry.status == "faded" and rows[number] < SOLID:
            strength = min(strength, 1)
        varies = entry.varies or (likeness == 1 and exact_form(entry.example) != exact[number])
        before = matches[number - 1] if number else None
        usual = before is not None and entry.key in before[0].next
        mark = mark_of(block, text, exact[number], strength, varies=varies)
        # A page's headline may also stand in its menu or among its related links.
        headline = block.kind == "heading" and block.level == 1 and times[entry.key] > 1
        again = headline or (entry.key in seen and not usual)
        marks.append(mark._replace(usual=usual, again=again, once=times[entry.key] == 1))
        seen.add(entry.key)
    return marks


def _rows(matches: Sequence[Match | None]) -> list[int]:
    """For each block the length of the row of blocks known as chrome that it stands in, 0 for others."""
    lengths: list[int] = []
    for is_chrome, row in groupby(matches, key=lambda m: m is not None and m[0].status in _CHROME):
        size = len(list(row))
        lengths += [size if is_chrome else 0] * size
    return lengths


def _submenus(
    marks: Sequence[Mark],
    matches: Sequence[Match | None],
    zone: Zone,
    reasons: Mapping[int, Why],
    chrome: SiteChrome,
) -> dict[int, Why]:
    """The short blocks above the content, between two of its chrome that follow each other on other pages."""
    inserted: dict[int, Why] = {}
    for before, after in pairwise(sorted(n for n in reasons if n < zone[0])):
        left, right = matches[before], matches[after]
        gap = range(before + 1, after)
        if not gap or left is None or right is None or right[0].key not in left[0].next:
            continue
        if len(gap) == 1 and marks[gap[0]].headline:
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


def _reason(match: Match, chrome: SiteChrome, position: Position) -> Why:
    entry, likeness = match
    evidence: dict[str, str | int | float | bool] = {
        "key": entry.key,
        "pages": entry.pages,
        "of": chrome.pages,
        "position": position,
    }
    if entry.status == "pinned":
        return "site-chrome", f"{_PINNED} of {chrome.site}", evidence
    where = f"always at the {position}" if len(entry.positions) == 1 else f"here at the {position}"
    reason = f"on {entry.pages} of {chrome.pages} pages of {chrome.site}, {where}"
    if entry.status == "faded":
        reason += ", though not on the latest"
    if likeness < 1:
        evidence["jaccard"] = round(likeness, 3)
        reason = f"in nearly the same words {reason}"
    return "site-chrome", reason, evidence
