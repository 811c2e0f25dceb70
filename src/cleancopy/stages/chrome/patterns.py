"""The generic patterns: short lines that say the same on every site (``patterns.toml``, ``phrases.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from cleancopy.document import Document, Evidence
from cleancopy.stages.chrome.phrases import PhraseGroup, Where, phrase_of
from cleancopy.stages.chrome.placement import LINKS, SLOT

#: Rule, reason and evidence of a cut.
Why = tuple[str, str, Evidence]
_ERROR_WORDS = 60  # an error page says no more than this
_PATTERN_LENGTH = 300  # patterns are not tried on longer blocks
_EDGE_LINES = 12  # short lines that may stand between a line and the edge of the page that it counts to


@dataclass(frozen=True, slots=True)
class Pattern:
    """A generic pattern: a short line that says the same on every site. ``where``: see the file."""

    name: str
    regex: re.Pattern[str]
    reason: str
    where: Where
    examples: tuple[str, ...]
    counterexamples: tuple[str, ...]


@lru_cache(maxsize=1)
def generic_patterns() -> tuple[Pattern, ...]:
    """The generic patterns of ``patterns.toml``, in its order."""
    source = resources.files("cleancopy.stages.chrome").joinpath("patterns.toml").read_text(encoding="utf-8")
    return tuple(
        Pattern(
            name=fields["name"],
            regex=re.compile(fields["regex"], re.IGNORECASE),
            reason=fields["reason"],
            where=fields["where"],
            examples=tuple(fields["examples"]),
            counterexamples=tuple(fields["counterexamples"]),
        )
        for fields in tomllib.loads(source)["pattern"]
    )


def pattern_cuts(document: Document, reasons: Mapping[int, Why], dropped: Set[int]) -> dict[int, Why]:
    """The blocks that a generic pattern matches where it may; what the site's chrome cuts counts as cut."""
    lines = [" ".join(document.text_of(block).split()) for block in document.blocks]
    cut = set(reasons) | blocks_cut(document)
    untouched = cut | dropped
    short = [
        (number, line)
        for number, (line, block) in enumerate(zip(lines, document.blocks, strict=True))
        if len(line) <= _PATTERN_LENGTH and number not in untouched and block.kind != "code"
    ]
    matched = {number: pattern for number, line in short if (pattern := _pattern(line)) is not None}
    chosen = {number: pattern for number, pattern in matched.items() if pattern.where == "anywhere"}
    cut |= set(chosen)
    clustered = {number for number, pattern in matched.items() if pattern.where == "cluster"}
    chosen |= {n: matched[n] for n in clustered if _is_clustered(n, clustered, cut)}
    cut |= set(chosen)
    edge = _edge(lines, cut)
    chosen |= {n: pattern for n, pattern in matched.items() if pattern.where == "edge" and n in edge}
    cut |= set(chosen)
    for number, pattern in sorted(matched.items(), reverse=True):
        links = _links_after(document, number, cut) if pattern.where == "last" else None
        if links is not None:
            chosen |= dict.fromkeys([number, *links], pattern)
            cut |= {number, *links}
    return {
        n: (f"pattern:{pattern.name}", pattern.reason, {"line": lines[n][:80]}) for n, pattern in chosen.items()
    }


def blocks_cut(document: Document) -> set[int]:
    """The numbers of the blocks that cuts of the document touch."""
    touched: set[int] = set()
    cuts = iter(document.cuts)
    cut = next(cuts, None)
    for number, block in enumerate(document.blocks):
        while cut is not None and cut.end <= block.start:
            cut = next(cuts, None)
        if cut is not None and cut.start < block.end:
            touched.add(number)
    return touched


@lru_cache(maxsize=16_384)  # "Home" and "Contact us" stand on most pages, and a site's menu on all of its own
def _pattern(line: str) -> Pattern | PhraseGroup | None:
    if _any_pattern().fullmatch(line) is None:
        return phrase_of(line)
    patterns = (pattern for pattern in generic_patterns() if pattern.where != "title")
    return next((pattern for pattern in patterns if pattern.regex.fullmatch(line)), None)


@lru_cache(maxsize=16_384)
def opens_list(line: str) -> bool:
    """Whether a line says that other pages are named after it: a heading over links, a part of a pager."""
    pattern = _pattern(" ".join(line.split()).strip(" :：")) if len(line) <= _PATTERN_LENGTH else None
    return pattern is not None and (pattern.where == "last" or pattern.name.startswith("pager"))


@lru_cache(maxsize=1)
def _any_pattern() -> re.Pattern[str]:
    """What any of the patterns for lines matches: one look at the many lines that none does."""
    parts = [f"(?:{pattern.regex.pattern})" for pattern in generic_patterns() if pattern.where != "title"]
    return re.compile("|".join(parts), re.IGNORECASE)


def is_error_page(document: Document) -> bool:
    """Whether a page says no more than that there is no page: an error's title and hardly any text."""
    if len(document.clean.split()) >= _ERROR_WORDS:
        return False
    headings = (document.text_of(block) for block in document.blocks if block.kind == "heading")
    titles = [document.metadata.title or "", next(headings, "")]
    patterns = [pattern for pattern in generic_patterns() if pattern.where == "title"]
    return any(pattern.regex.fullmatch(title[:_PATTERN_LENGTH]) for pattern in patterns for title in titles)


def _is_clustered(number: int, clustered: Set[int], cut: Set[int]) -> bool:
    """Whether a line that may be a button stands in a row of such lines, or between lines that are cut."""
    near = (number - 1, number + 1)
    return any(n in clustered for n in near) or all(n in cut for n in near)


def _edge(lines: Sequence[str], cut: Set[int]) -> set[int]:
    """The blocks between which and the top or the end of the page stand only short lines or what is cut."""
    edge: set[int] = set()
    for order in (range(len(lines)), range(len(lines) - 1, -1, -1)):
        short = 0
        for number in order:
            if number not in cut:
                short += 1
                if short > _EDGE_LINES or len(lines[number].split()) > SLOT:
                    break
            edge.add(number)
    return edge


def _links_after(document: Document, number: int, cut: Set[int]) -> list[int] | None:
    """The link blocks between a block and the next cut or the end; None where something else stands there."""
    links: list[int] = []
    for after in range(number + 1, len(document.blocks)):
        if after in cut:
            break
        if document.blocks[after].link_share < LINKS:
            return None
        links.append(after)
    return links
