"""Which blocks of a page show its headline.

The headline's words are the metadata's title, on which the page's head and its headings agreed. Here they are
found again among the page's blocks, wherever they stand: also in a header or a banner outside the content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from cleancopy.document import Block, Document
from cleancopy.extract.metadata.title import host_names

#: A first-level heading and the title say the same where they share so much of the shorter one's words, and of
#: the longer one's. Figures: a title's first words with a subtitle, or the site's name, behind them.
_OF_SHORTER, _OF_LONGER = 0.6, 0.3
#: From this score on a block is content.
_CONTENT = 0.5
#: A block of more characters than so many times the title's holds more than the headline.
_LONGEST = 3
#: A heading of so many words says more than a name or a label.
_PHRASE = 3
#: The rank of a line that says the title and is no heading: below all six levels.
_NO_HEADING = 7
_NOT_WORD = re.compile(r"[\W_]+")
_WORD = re.compile(r"\w+")
#: The element of a heading, of which a block may be a part.
_HEADING = re.compile(r".*/h[1-6]\[\d+\]")
_ENDS_IN_HEADING = re.compile(r"/h([1-6])\[\d+\]$")
#: Where a line that says the title is a link to the page, a label, or about another page.
_ASIDE = re.compile(r"/(?:nav|footer|aside|form|button)\[")


def headline_blocks(document: Document) -> range:
    """The numbers of the blocks that show the page's headline: mostly one, none where the page shows none.

    It is the heading, of the highest level, that is the title letter for letter (spaces and marks apart); else
    a line that is; else the first-level heading that says nearly the same; else the last first-level heading
    down to the first block that scores as content. The name of the site is no headline.
    """
    title, names = _key(document.metadata.title or ""), _site_names(document)
    exact = [] if title in names or not title else _exact(document, title)
    if exact:
        return min(exact, key=lambda match: match[:2])[2]
    tops = [part for part in _headings(document, 1) if not _ASIDE.search(document.blocks[part.start].path)]
    tops = [part for part in tops if _key(_text(document, part)) not in names]
    words = _words(document.metadata.title or "")
    alike = [part for part in tops if _are_alike(words, _words(_text(document, part)))]
    return alike[0] if alike else _last_above_content(document, tops)


def only_top_heading(document: Document) -> range:
    """The numbers of the blocks of the page's first-level heading, where it has one and it is a phrase.

    Beside a headline of a lower level it may be the name of a book or a series, above each of its chapters.
    """
    tops = [*_headings(document, 1)]
    if len(tops) != 1 or _ASIDE.search(document.blocks[tops[0].start].path):
        return range(0)
    text = _text(document, tops[0])
    return (
        tops[0] if len(_WORD.findall(text)) >= _PHRASE and _key(text) not in _site_names(document) else range(0)
    )


def _site_names(document: Document) -> set[str]:
    """What the page's site and its host are called, as letters."""
    hosts = host_names(document.metadata.canonical_url or document.url)
    return {_key(name) for name in (document.metadata.site_name, document.site, *hosts) if name}


def _exact(document: Document, title: str) -> list[tuple[int, int, range]]:
    """The headings and lines that are the title, each with its rank and place before it."""
    parts = [(_level(document.blocks[part.start]), part.start, part) for part in _headings(document, 6)]
    for number, block in enumerate(document.blocks):
        # One letter's lower case may be two letters, so half of them is the least.
        if len(title) // 2 <= block.end - block.start <= _LONGEST * len(title) and _may_be_title(block):
            parts.append((_NO_HEADING, number, range(number, number + 1)))
    return [(rank, n, part) for rank, n, part in parts if _key(_text(document, part)) == title]


def _may_be_title(block: Block) -> bool:
    plain = block.kind in ("paragraph", "quote", "caption") and block.link_share < _CONTENT
    return plain and not _ASIDE.search(block.path)


def _headings(document: Document, level: int) -> Iterator[range]:
    """The headings down to a level; one that holds several blocks, as of lines, is one."""
    numbers = (n for n, block in enumerate(document.blocks) if 0 < _level(block) <= level)
    for _, group in groupby(
        numbers, key=lambda n: (_element(document.blocks[n], n), _level(document.blocks[n]))
    ):
        blocks = list(group)
        yield range(blocks[0], blocks[-1] + 1)


def _level(block: Block) -> int:
    """The level of the heading that a block is, also where its class makes it a credit; 0 for others."""
    if block.kind in ("caption", "credit") and (element := _ENDS_IN_HEADING.search(block.path)):
        return int(element[1])
    return block.level if block.kind == "heading" else 0


def _element(block: Block, number: int) -> str:
    """The path of the heading that a block is of, or its number where it has none."""
    element = _HEADING.match(block.path)
    return element[0] if element else str(number)


def _last_above_content(document: Document, tops: list[range]) -> range:
    """The last of the first-level headings down to the first block that scores as content."""
    scored = (n for n, block in enumerate(document.blocks) if (block.score or 0) >= _CONTENT)
    first = next(scored, len(document.blocks))
    above = [part for part in tops if part.start <= first]
    return above[-1] if above else range(0)


def _are_alike(a: frozenset[str], b: frozenset[str]) -> bool:
    common, sizes = len(a & b), sorted((len(a), len(b)))
    return common > 0 and common >= _OF_SHORTER * sizes[0] and common >= _OF_LONGER * sizes[1]


def _text(document: Document, part: range) -> str:
    return document.text[document.blocks[part.start].start : document.blocks[part.stop - 1].end]


def _key(text: str) -> str:
    """Letters and digits alone."""
    return _NOT_WORD.sub("", text).casefold()


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
