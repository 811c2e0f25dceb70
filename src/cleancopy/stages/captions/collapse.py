"""Captions: a page says each caption once; its credit, title and identifiers are lifted into ``Media``.

Which blocks of a page are captions and credit lines, which of them say one caption, and what is cut. Whether
two texts are one caption is judged in ``cleancopy.stages.captions.compare``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Literal

from cleancopy.document import Block, Cut, Document, Evidence, Media
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.compare import (
    LONGEST,
    CaptionMatch,
    Reading,
    compare_readings,
    read_caption,
)
from cleancopy.stages.captions.credits import (
    CREDIT_LENGTH,
    bare_credit,
    credit_start,
    may_be_signed,
    names_medium,
)
from cleancopy.words import SEGMENT, count_words

STAGE = "captions"
# How many blocks apart a caption and its repetition may stand when only one of them shows by itself that it
# is a caption; how many captions of a page are looked at, and how many pairs of them; how many words a
# caption may have before it is taken for prose with a credit behind it.
WINDOW, MOST_CAPTIONS, MOST_PAIRS, MOST_WORDS = 12, 1_000, 5_000, 120

_CANDIDATES = frozenset(["paragraph", "caption", "credit", "list_item"])
# A label and a code with at least three digits: "VIRIN: 240101-F-AB123-1001", "Photo ID 1234567".
_IDENTIFIER = re.compile(
    r"\(?(?P<label>[A-Z][A-Z]{2,7}|(?:[A-Z][\w.-]*\s){0,3}(?:ID|Id|No\.?|Nr\.?|Number|Ref\.?|Reference))\s*[:#]\s*"
    r"(?P<code>(?=\S*\d\S*\d\S*\d)[\w./_-]{4,40})\)?"
)


@dataclass(frozen=True, slots=True)
class _Caption:
    """A block that shows that it is a caption: by its kind, by the credit at its end, or by the line after it.

    ``end`` is where its own words end in the page text and the credit at its end begins. One that is not
    ``certain`` counts only where it is repeated.
    """

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

    def match(self, line: str, other: str) -> CaptionMatch:
        return compare_readings(read_caption(line), read_caption(other), self.policy)

    def signs(self, index: int) -> bool:
        """Whether a block is a credit line or a picture's identifier."""
        if index in self.credits:
            return True
        block = self.document.blocks[index]
        short = block.kind in _CANDIDATES and block.end - block.start <= 100
        return short and _IDENTIFIER.fullmatch(self.line(index).strip()) is not None


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
        sign = _sign(document, document.blocks[index])
        if sign == "credit":
            credits.add(index)
        elif sign is not None:
            captions[index] = sign
    page = _Page(document, policy, captions, frozenset(credits), gone, cut)
    for index in sorted(credits):
        before = None if index - 1 in credits else _captioned_by(page, index)
        if before is not None:
            captions[before] = _Caption(document.blocks[before].end, certain=True)
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


def _sign(document: Document, block: Block) -> _Caption | Literal["credit"] | None:
    """What a block shows of itself: a caption, a credit line, or nothing."""
    if block.kind == "credit":
        return "credit" if block.end - block.start <= CREDIT_LENGTH else None
    caption = _is_caption(block)
    text = document.text_of(block)
    credit = credit_start(text)
    if credit is None:
        return _Caption(block.end, certain=True) if caption else None
    start, apart = credit
    if not SEGMENT.search(text[:start]):
        return "credit" if caption or names_medium(text) else None
    body = text[:start].rstrip(" \t\n-–—|,;:/")
    if caption or (apart and 2 < len(body.split()) <= MOST_WORDS):
        return _Caption(block.start + len(body), certain=caption or names_medium(text[start:]))
    return None


def _hopeful(document: Document, gone: frozenset[int]) -> list[int]:
    """The blocks that are captions or credits by kind, or may end in a credit; a cheap look at every block."""
    certain: set[int] = set()
    others: dict[int, str] = {}
    for index, block in enumerate(document.blocks):
        if block.kind not in _CANDIDATES or block.end - block.start > LONGEST or index in gone:
            continue
        if block.kind == "credit" or _is_caption(block):
            certain.add(index)
        else:
            others[index] = document.text[max(block.start, block.end - CREDIT_LENGTH) : block.end]
    return sorted(certain | may_be_signed(others))


def _is_caption(block: Block) -> bool:
    """Whether the page marks a block as a picture's caption; a table's is none."""
    return block.kind == "caption" and "/caption" not in block.path


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


def _touch(document: Document, first: int, second: int) -> bool:
    """Whether no empty line stands between two blocks."""
    between = document.text[document.blocks[first].end : document.blocks[second].start]
    return between.count("\n") < 2


def _packed(page: _Page) -> dict[int, _Caption]:
    """Lines of plain text that repeat the line before them, packed together on a page that sets prose apart.

    A stanza is packed too, but its lines are many and its page is made of such; so the repeated lines must
    be alone in their pack, and most lines of the page must end like sentences.
    """
    blocks = page.document.blocks
    if not blocks or blocks[0].path or len(blocks) > MOST_CAPTIONS:
        return {}
    captions: dict[int, _Caption] = {}
    pack = [0]
    for index in range(1, len(blocks) + 1):
        if index < len(blocks) and _touch(page.document, index - 1, index):
            pack.append(index)
            continue
        if 1 < len(pack) <= WINDOW and not any(i in page.captions for i in pack) and _repeats(page, pack):
            captions |= {i: _Caption(blocks[i].end, certain=False) for i in pack}
        pack = [index]
    return captions if captions and _prose(page, frozenset(captions)) else {}


def _repeats(page: _Page, pack: list[int]) -> bool:
    """Whether the lines of a pack are whole sentences that all say the same."""
    lines = [page.line(index) for index in pack]
    if any(page.document.blocks[i].kind != "paragraph" or i in page.gone for i in pack):
        return False
    if any(len(line) > LONGEST or count_words(line) < page.policy.min_words for line in lines):
        return False
    if min(map(len, lines)) < 0.6 * max(map(len, lines)) or not all(map(_ends, lines)):
        return False
    return all(page.match(lines[0], line).label == "same" for line in lines[1:])


def _prose(page: _Page, apart_from: frozenset[int]) -> bool:
    """Whether most other lines of a page with at least min_words words end like sentences."""
    lines = [page.line(i) for i in range(len(page.document.blocks)) if i not in apart_from]
    lines = [line for line in lines if count_words(line) >= page.policy.min_words]
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
        reading = read_caption(page.line(at))
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
    groups = [group for members in gathered for group in _fullest_first(page, _with_neighbours(page, members))]
    return [group for group in groups if len(group) > 1 or _stands_alone(page, group[0])]


def _stands_alone(page: _Page, at: int) -> bool:
    """Whether a caption that is not repeated is one for certain, and worth lifting."""
    caption, block = page.captions.get(at), page.document.blocks[at]
    if caption is None or not caption.certain:
        return False
    return caption.end < block.end or at + 1 in page.credits or not block.path or "/figure" in block.path


def _probes(reading: Reading) -> set[str]:
    """A few words of a caption of which its copies share at least one: how it begins and ends, what is rare."""
    keys = reading.keys
    return {" ".join(keys[:2]), " ".join(keys[-2:]), *sorted(set(keys), key=lambda key: (-len(key), key))[:4]}


def _one_caption(page: _Page, members: list[int], at: int) -> bool:
    """Whether a block says the caption of a group.

    Strings under min_words, and longer ones made of names and numbers, are labels as often as captions (of a
    speaker, a product, a price): they count only right behind one of the group.
    """
    a, b = read_caption(page.line(members[0])), read_caption(page.line(at))
    if _label_like(a, page.policy) or _label_like(b, page.policy):
        between = range(members[-1] + 1, at)
        if not all(page.signs(i) for i in between[:WINDOW]):
            return False
    return compare_readings(a, b, page.policy).label == "same"


def _label_like(reading: Reading, policy: CaptionPolicy) -> bool:
    return len(reading.words) < policy.min_words or not reading.sentence


def _with_neighbours(page: _Page, members: list[int]) -> list[int]:
    """The members, and the lines beside them that repeat them though nothing else marks them as captions."""
    joined, other = set(members), set[int]()
    last = len(page.document.blocks)
    for member in members:
        after, before = (
            range(member + 1, min(last, member + WINDOW)),
            range(member - 1, max(-1, member - WINDOW), -1),
        )
        for beside in (after, before):
            for at in beside:
                if at in joined or _adjunct(page, at):
                    continue
                if at in other or not _repeats_beside(page, member, at):
                    other.add(at)
                    break
                joined.add(at)
    return sorted(joined)


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
    repeated, neighbour = read_caption(body), read_caption(page.line(at))
    if not 2 * len({*repeated.keys} & {*neighbour.keys}) > min(len(repeated.words), len(neighbour.words)):
        return False
    match = compare_readings(repeated, neighbour, page.policy)
    short = min(len(repeated.words), len(neighbour.words)) < page.policy.min_words
    return match.label == "same" and not (short and match.evidence["rule"] != "equal")


def _adjunct(page: _Page, at: int) -> bool:
    """Whether a line may stand within a caption's lines: a credit, an identifier, a short title."""
    if at in page.captions or at in page.gone:
        return False
    return page.signs(at) or _title_like(page, at)


def _title_like(page: _Page, at: int) -> bool:
    block = page.document.blocks[at]
    if block.kind not in ("paragraph", "caption") or block.end - block.start > 200:
        return False
    line = page.line(at).rstrip()
    if not any(c.isalpha() for c in line):
        return False
    return count_words(line) < page.policy.min_words and not line.endswith((":", ".", "?", "!"))


def _fullest_first(page: _Page, members: list[int]) -> list[list[int]]:
    """One group with the fullest member first; what is not verified against it stands alone."""
    pool = [at for at in members if at not in page.cut] or members
    best = pool[0]
    for at in pool[1:]:
        match = page.match(page.body(best), page.body(at))
        best = at if match.label == "same" and match.keep == "b" else best
    others, kept = [at for at in members if at != best], page.body(best)
    same = [at for at in others if page.match(kept, page.body(at)).label == "same"]
    return [[best, *same], *([at] for at in others if at not in same)]


# --- cuts and media


def _collapse(page: _Page, group: list[int], taken: frozenset[int]) -> tuple[dict[int, Cut], Media]:
    """The cuts that leave one caption once, by block, and the media that holds what was lifted."""
    kept, members = group[0], sorted(group)
    lines = [at for at in _adjuncts(page, members) if at not in taken]
    titles = [at for at in _titles(page, members, frozenset(lines)) if at not in taken]
    cuts = {at: _repeated(page, kept, at, members) for at in members if at != kept}
    if (credit := _credit_of_kept(page, kept)) is not None:
        cuts[kept] = credit
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
    adjuncts = []
    for member in members:
        at = member + 1
        if len(members) > 1 and _follows_title(page, at):
            at += 1
        while at < len(page.document.blocks) and page.signs(at):
            adjuncts.append(at)
            at += 1
        before = member - 1
        if before in page.credits and page.document.blocks[before].kind == "credit":
            claimed = before - 1 in page.captions or before - 1 in page.credits
            adjuncts += [] if claimed else [before]
    return [at for at in dict.fromkeys(adjuncts) if at not in members and at not in page.gone]


def _follows_title(page: _Page, at: int) -> bool:
    """Whether a line is a title with a credit or identifier line after it, packed to both sides."""
    if at + 1 >= len(page.document.blocks) or at in page.credits or at in page.captions:
        return False
    packed = _touch(page.document, at - 1, at) and _touch(page.document, at, at + 1)
    return packed and page.signs(at + 1) and _title_like(page, at)


def _titles(page: _Page, members: list[int], lines: frozenset[int]) -> list[int]:
    """The short lines that stand between two occurrences of a caption, or between one and its credit."""
    titles = []
    for first, second in pairwise([*members, len(page.document.blocks)]):
        inside = [at for at in range(first + 1, min(second, first + WINDOW)) if at not in lines]
        if second < len(page.document.blocks):
            all_titles = (
                len(inside) <= 2 and second - first <= WINDOW and all(_is_title(page, at) for at in inside)
            )
            titles += inside if all_titles else []
        elif first + 2 in lines and first + 1 not in lines and _is_title(page, first + 1):
            titles.append(first + 1)
    return titles


def _is_title(page: _Page, at: int) -> bool:
    path = page.document.blocks[at].path
    free = at not in page.captions and at not in page.gone and (not path or "/figure" in path)
    return free and _title_like(page, at)


def _repeated(page: _Page, kept: int, at: int, members: list[int]) -> Cut:
    match = page.match(page.body(kept), page.body(at))
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


def _credit_of_kept(page: _Page, kept: int) -> Cut | None:
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
    sources = [*(page.line(at) for at in lines), *ends]
    identifiers = [code[0].strip("()") for source in sources for code in _IDENTIFIER.finditer(source)]
    credits = [bare_credit(_IDENTIFIER.sub("", source)) for source in sources]
    return Media(
        caption=page.body(kept),
        credit=max(credits, key=len, default="") or None,
        title=page.line(titles[0]) if titles else None,
        identifiers=tuple(dict.fromkeys(identifiers)),
        occurrences=len(members),
        places=tuple((blocks[at].start, blocks[at].end) for at in members),
    )
