"""Why a block scores low, in words that a person understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import numpy as np

from cleancopy.extract.html import Page
from cleancopy.stages.content.arrays import Doubles, Floats, Ints
from cleancopy.stages.content.declared import DECLARED
from cleancopy.stages.content.features import COLUMN, Layout
from cleancopy.stages.content.tokens import Tables
from cleancopy.stages.content.trees import GROUP_INDEX, GROUPS


def explain_scores(
    page: Page, layout: Layout, tables: Tables, first: Doubles, rounds: tuple[Floats, Floats], blocks: Ints
) -> list[str]:
    """Why each of some blocks scores low, in words: the three groups of measures that take most.

    ``first`` are the first round's probabilities of all blocks, ``blocks`` the numbers of those to explain,
    ``rounds`` what each round's trees add to their log-odds for each group, a row a block.
    """
    facts = _Facts(page, layout, tables, first)
    strongest = _strongest_groups(_combine_rounds(*rounds, first[blocks]))
    return [
        "; ".join(dict.fromkeys([_SENTENCES[group](facts, block) for group in groups]))
        for block, groups in zip(blocks.tolist(), strongest, strict=True)
    ]


def _strongest_groups(contributions: Floats) -> list[list[str]]:
    """For each row the names of the three groups that take most."""
    order = np.argsort(contributions, axis=1, kind="stable")[:, :3]
    taken = np.take_along_axis(contributions, order, 1) < 0
    return [
        [GROUPS[group] for group, takes in zip(groups, all_taken, strict=True) if takes]
        for groups, all_taken in zip(order.tolist(), taken.tolist(), strict=True)
    ]


def _combine_rounds(contributions: Floats, later: Floats, first: Doubles) -> Floats:
    """What each group of measures takes from the log-odds, over both rounds.

    What the second round gives for the first score goes to that score's own reasons. So does what it gives for
    the scores around, unless it was those that turned a block that the first round would have kept. The kind
    of page comes last: it tells a reader the least.
    """
    first_only = np.minimum(contributions, 0)
    total = first_only.sum(axis=1, keepdims=True)
    share = np.where(total < 0, first_only / np.minimum(total, -1e-9), 0)
    taken = contributions + later
    for group, whose in (("first", first >= 0), ("around", first < 0.5)):
        column = GROUP_INDEX[group]
        taken += share * np.where(whose, np.minimum(later[:, column], 0), 0)[:, None]
        taken[whose, column] = 0
    taken[:, GROUP_INDEX["page"]] *= 0.01
    reasons: Floats = taken
    return reasons


_KIND_WORDS = {
    "list_item": "a list row", "table_row": "a table row", "control": "a button", "heading": "a heading",
    "credit": "a credit line", "caption": "a caption", "code": "code", "quote": "a quotation",
    "paragraph": "a bare block",
}  # fmt: skip
_PLACE_WORDS = {
    "in_nav": "inside navigation", "in_footer": "inside a footer", "in_aside": "inside an aside",
    "in_dialog": "inside a dialog", "in_hidden": "hidden from readers", "in_form": "inside a form",
    "in_button": "inside a button", "in_header": "inside a header", "in_a": "inside a link",
    "in_tabpanel": "inside a tab panel",
    "in_details": "inside a folded part",
}  # fmt: skip
_DECLARED_WORDS = {
    "body": "the article body that the page declares", "posts": "the posts that the page declares",
    "description": "the description that the page declares", "summary": "the page's summary of itself",
}  # fmt: skip


class _Facts:
    """What can be told of the blocks of one page."""

    def __init__(self, page: Page, layout: Layout, tables: Tables, first: Doubles) -> None:
        self.page, self.layout, self.tables = page, layout, tables
        self.measure = _Columns(layout.measures)
        self.sums = [0.0, *first.cumsum().tolist()]
        self.worst: dict[int, tuple[float, str]] = {}
        self.named: dict[int, str] = {}
        self.least = cache(partial(_worst_token, table=tables["near"]))

    def shape(self, block: int) -> str:
        """What kind of block it is."""
        return f"it is {_KIND_WORDS[self.page.blocks[block].kind]}"

    def around(self, block: int) -> str:
        """What the first round makes of the five blocks on each side."""
        low, high = max(0, block - 5), min(len(self.sums) - 1, block + 6)
        return f"the blocks around it score {(self.sums[high] - self.sums[low]) / (high - low):.2f}"

    def name(self, block: int) -> str:
        """The least promising name of the elements that hold the block."""
        node = int(self.layout.nodes[block])
        if node not in self.named:
            name = self._worst(node)[1].removeprefix("itemprop:").removeprefix("role:")
            if name.startswith("tag:"):
                self.named[node] = f"inside <{name[4:]}>"
            else:
                self.named[node] = (
                    f"inside an element named {name!r}" if name else "element names that say little"
                )
        return self.named[node]

    def _worst(self, node: int) -> tuple[float, str]:
        """The least odds of the names of a node and of those above it, with that name."""
        way = []
        while node >= 0 and node not in self.worst:
            way.append(node)
            node = self.layout.parents[node]
        worst = self.worst.get(node, (0.0, ""))
        for node in reversed(way):
            worst = self.worst[node] = min(worst, self.least(self.layout.names[self.layout.called[node]]))
        return worst

    def vocabulary(self, block: int) -> str:
        """The least promising of its words."""
        word = _worst_token(self.layout.words[block], self.tables["words"])[1]
        return f"words such as {word!r}" if word else "no words that content has"


class _Columns(dict[str, list[float]]):
    """The measures of all blocks by name, each made a list when it is first asked for."""

    def __init__(self, measures: Floats) -> None:
        super().__init__()
        self.measures = measures

    def __missing__(self, name: str) -> list[float]:
        column: list[float] = self.measures[:, COLUMN[name]].tolist()
        self[name] = column
        return column


def _of_links(facts: _Facts, block: int) -> str:
    share = facts.measure["links"][block]
    return f"links make {share:.0%} of it" if share else "no links in it"


def _of_length(facts: _Facts, block: int) -> str:
    words = facts.measure["words"][block]
    return f"{'only ' if words < 12 else ''}{_count(words, 'word')}"


def _of_sentences(facts: _Facts, block: int) -> str:
    sentences = facts.measure["sentences"][block]
    return _count(sentences, "sentence") if sentences else "no full sentence"


def _of_wording(facts: _Facts, block: int) -> str:
    digits, capitals = facts.measure["digits"][block], facts.measure["capitals"][block]
    if digits > 0.25:
        return f"digits make {digits:.0%} of it"
    return (
        f"{capitals:.0%} of its words begin with a capital"
        if capitals > 0.5
        else "few words that sentences have"
    )


def _of_place(facts: _Facts, block: int) -> str:
    measure = facts.measure
    for name, words in _PLACE_WORDS.items():
        if measure[name][block]:
            return words
    inside = measure["in_main"][block] or measure["in_article"][block]
    return "where it stands" if inside else "outside the main part"


def _of_container(facts: _Facts, block: int) -> str:
    """How much of what holds a block is links, or text, in words."""
    near, far = facts.measure["up1_links"][block], facts.measure["up2_links"][block]
    if near > 0.5 or far > 0.5:
        return f"links make {max(near, far):.0%} of what holds it"
    return f"what holds it has {facts.measure['up2_text'][block]:.0%} of the page's text"


def _of_headline(facts: _Facts, block: int) -> str:
    """Where a block stands to the headline, in words."""
    after = facts.measure["after_headline"][block]
    if after < 0:
        return "no headline on the page" if after == -999 else "above the headline"
    repeats = facts.measure["in_title"][block] > 0.5
    return "repeats the title" if repeats else f"{after:.0f} blocks from the headline"


def _of_alike(facts: _Facts, block: int) -> str:
    alike = facts.measure["alike"][block]
    return f"one of {alike:.0f} blocks built alike" if alike > 1 else "built unlike the rest"


def _of_declared(facts: _Facts, block: int) -> str:
    missed = [what for what in DECLARED if facts.measure[f"in_{what}"][block] == 0]
    return f"not in {_DECLARED_WORDS[missed[0]]}" if missed else "this kind of page"


def _of_neighbours(facts: _Facts, block: int) -> str:
    measure = facts.measure
    near = [step for step in ("-1", "+1") if measure["letters" + step][block] >= 0]
    if any(measure["links" + step][block] > 0.5 for step in near):
        return "links beside it"
    short = any(measure["words" + step][block] < 10 for step in near)
    return "short lines beside it" if short else "the blocks beside it"


def _of_page(facts: _Facts, block: int) -> str:
    return "this kind of page"


#: The words for each group of measures, for one block.
_SENTENCES: Mapping[str, Callable[[_Facts, int], str]] = {
    "links": _of_links,
    "length": _of_length,
    "prose": _of_sentences,
    "wording": _of_wording,
    "shape": _Facts.shape,
    "places": _of_place,
    "container": _of_container,
    "position": lambda facts, block: f"{facts.measure['place'][block]:.0%} down the page",
    "headline": _of_headline,
    "copies": lambda facts, block: f"stands {facts.measure['copies'][block]:.0f} times on the page",
    "alike": _of_alike,
    "names": _Facts.name,
    "declared": _of_declared,
    "vocabulary": _Facts.vocabulary,
    "neighbours": _of_neighbours,
    "around": _Facts.around,
    "page": _of_page,
    "first": _of_page,
}


def _worst_token(tokens: Sequence[str], table: Mapping[str, float]) -> tuple[float, str]:
    """The least odds below 0 that a table has for some tokens, with that token."""
    least, facts = 0.0, ""
    for token in tokens:
        odds = table.get(token, 0.0)
        if odds < least and token not in ("tag:html", "tag:body"):
            least, facts = odds, token
    return least, facts


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}{'' if round(number) == 1 else 's'}"
