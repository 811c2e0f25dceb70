"""The measures of each block: its words, links and shape, where it stands, what it stands in.

Reading a page costs some milliseconds: one step up the tree for each element, arrays for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cleancopy.extract.html import Page
from cleancopy.stages.content.arrays import Floats, Ints, shifted
from cleancopy.stages.content.counts import text_counts, word_tokens
from cleancopy.stages.content.declared import (
    DECLARED,
    PAGE_TYPES,
    Declared,
    read_declared,
    shares_with_declared,
)
from cleancopy.stages.content.elements import PLACES, ElementTree, locate_main, mass_in_nodes

_KIND_NAMES = "paragraph heading list_item table_row quote code caption credit control"
_KINDS = {kind: code for code, kind in enumerate(_KIND_NAMES.split())}
#: How far up the tree a block's containers are measured.
_UPS = (1, 2, 3, 4, 6)
_AROUND = (-3, -2, -1, 1, 2, 3)
#: What tells a page that is a list from a page that has one, in any language: words of prose on the page, in
#: the element or parent that holds most, in the 15 blocks from the headline on, in the densest seven blocks;
#: the share of prose in prose and linked words; how many blocks with text are built alike, and their share of
#: the words; how many short unlinked rows; how far down the headline stands. With them listings keep their F1
#: (.73; without .70), though news pages in five languages teach that lists of links go.
PAGE_SHAPES = (
    "prose_words", "main_prose", "headline_prose", "dense_prose", "prose_links", "cards", "cards_text", "rows",
    "headline",
)  # fmt: skip
#: So many words of a block are looked up, in its first so many characters.
_WORDS, _READ_TO = 40, 280
_STOP_WORDS = """
the of and to a in is it you that he was for on are with as i his they be at one have this from or had by
but what some we can out other were all your when up use how said an each she which do their if will way
about many then them would like so these her see him has more could go come did my no most who over know
than call first people may down been now find any new part take get made where after back only me our under
also should because into just not there here very much even through during before between both such why
while again against
"""
_STOP = frozenset(_STOP_WORDS.split())
#: The measures of a block and, for each, the group that it counts for when a score is explained.
MEASURES: tuple[tuple[str, str], ...] = (
    ("tag", "shape"), ("kind", "shape"), ("level", "shape"), ("depth", "container"), ("letters", "length"),
    ("words", "length"), ("word_length", "wording"), ("links", "links"), ("stop_words", "wording"),
    ("punctuation", "prose"), ("digits", "wording"), ("capitals", "wording"), ("closed", "prose"),
    ("colon", "prose"), ("sentences", "prose"), ("place", "position"), ("text_before", "position"),
    ("text_after", "position"), ("nth", "position"), ("nth_last", "position"), ("after_headline", "headline"),
    ("copies", "copies"), ("alike", "alike"), ("alike_words", "alike"), ("alike_links", "alike"),
    ("in_title", "headline"), ("of_title", "headline"), ("after_heading", "position"),
    ("heading_level", "position"), ("before_heading", "position"), ("longest", "length"),
    *((f"in_{name}", "places") for name in PLACES),
    *((f"up{up}_{what}", "container") for up in _UPS for what in ("text", "links", "blocks", "prose")),
    ("page_letters", "page"), ("page_blocks", "page"), ("page_links", "page"), ("page_prose", "page"),
    ("page_main", "page"), ("page_article", "page"), ("page_headings", "page"),
    *((f"type_{name}", "page") for name in PAGE_TYPES), ("og_article", "page"), ("og_product", "page"),
    *((f"page_{what}", "page") for what in DECLARED), *((f"in_{what}", "declared") for what in DECLARED),
    ("prose_held", "container"), ("prose_steps", "container"), ("prose_depth", "page"),
    *((f"page_{what}", "page") for what in PAGE_SHAPES),
    *(
        (f"{what}{step:+d}", "neighbours")
        for step in _AROUND
        for what in ("letters", "words", "links", "stop_words", "kind")
    ),
)  # fmt: skip
COLUMN = {name: index for index, (name, _) in enumerate(MEASURES)}
#: What is also measured of a block's neighbours.
_NEAR = [COLUMN[name] for name in ("letters", "words", "links", "stop_words", "kind")]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model reads off a page: measures of each block, and the tokens that tables give odds for.

    ``names`` are the tokens of elements, each set of them once; ``called`` says which of them each node (an
    element that holds a block, or an ancestor of one) has, ``parents`` the node above it (-1 for none),
    ``nodes`` each block's own node; ``alike`` numbers the blocks whose elements are called the same.
    """

    measures: Floats
    sizes: Floats
    words: tuple[list[str], ...]
    names: tuple[tuple[str, ...], ...]
    called: Ints
    parents: tuple[int, ...]
    nodes: Ints
    alike: Ints


def read_layout(page: Page) -> Layout:
    """The layout of an HTML page; reads the tree, changes nothing."""
    tree = ElementTree(page.elements)
    text = page.text
    texts = [text[b.start : b.end] for b in page.blocks]
    words = [word_tokens(block_text[:_READ_TO])[:_WORDS] for block_text in texts]
    counts, declared = text_counts(page), read_declared(page)
    alike = np.unique(tree.paths[tree.of_blocks], return_inverse=True)[1]
    places = (tree.flags[tree.of_blocks][:, None] >> np.arange(len(PLACES))) & 1
    measures = np.empty((len(page.blocks), len(MEASURES)), np.float32)
    at = 0
    for column in (
        *_shape_columns(page, tree, texts, words, counts),
        *_position_columns(page, texts, words, counts, alike),
        places,
        *_container_columns(tree, counts),
        *_page_columns(page, counts, places, declared),
        *shares_with_declared(words, declared),
        *_prose_columns(tree, counts),
        *_page_shapes(page, tree, words, counts, alike),
    ):
        if column is places:
            measures[:, at : at + len(PLACES)] = column
            at += len(PLACES)
        else:
            measures[:, at] = column
            at += 1
    near = measures[:, _NEAR]
    measures[:, at:] = np.concatenate([shifted(near, step) for step in _AROUND], axis=1)
    return Layout(
        measures,
        counts["words"].astype(np.float32),
        tuple(words),
        tuple(tree.names),
        np.array(tree.called, np.int64),
        tuple(tree.parents),
        tree.of_blocks,
        alike,
    )


def _shape_columns(
    page: Page, tree: ElementTree, texts: list[str], words: list[list[str]], counts: Mapping[str, Any]
) -> Iterator[Any]:
    last = [text[-1] for text in texts]
    yield tree.tags[tree.of_blocks]
    yield [_KINDS[block.kind] for block in page.blocks]
    yield [block.level for block in page.blocks]
    yield tree.depths[tree.of_blocks]
    yield counts["letters"]
    yield counts["words"]
    yield counts["word_length"]
    yield counts["links"]
    yield [sum(map(_STOP.__contains__, tokens)) / len(tokens) if tokens else 0.0 for tokens in words]
    yield counts["punctuation"]
    yield counts["digits"]
    yield counts["capitals"]
    yield [sign in '.!?"”»…。！？' for sign in last]
    yield [sign in ":：" for sign in last]
    yield counts["sentences"]


def _position_columns(
    page: Page, texts: list[str], words: list[list[str]], counts: Mapping[str, Any], alike: Ints
) -> Iterator[Any]:
    number = len(page.blocks)
    nth = np.arange(number)
    total = max(float(counts["letters"].sum()), 1.0)
    before = np.cumsum(counts["letters"]) - counts["letters"]
    title = _title_words(page)
    in_title, of_title = _title_shares(words, title)
    headline = _headline_index(page, in_title, of_title)
    yield nth / number
    yield before / total
    yield (total - before) / total
    yield nth
    yield number - nth
    yield nth - headline if headline >= 0 else np.full(number, -999)
    folded = [text.casefold() for text in texts]
    copies = Counter(folded)
    yield [copies[text] for text in folded]
    sizes = np.bincount(alike)
    yield sizes[alike]
    yield (np.bincount(alike, counts["words"]) / sizes)[alike]
    yield (np.bincount(alike, counts["links"]) / sizes)[alike]
    yield in_title
    yield of_title
    levels = np.array([block.level if block.kind == "heading" else 0 for block in page.blocks])
    heading = levels > 0
    last = np.maximum.accumulate(np.where(heading, nth, -1))
    yield np.where(last >= 0, nth - last, -1)
    yield np.where(last >= 0, levels[np.maximum(last, 0)], 0)
    following = np.minimum.accumulate(np.where(heading, nth, number + 50)[::-1])[::-1]
    yield np.minimum(following - nth, 50)
    yield counts["letters"] / max(float(counts["letters"].max(initial=1.0)), 1.0)


def _title_words(page: Page) -> frozenset[str]:
    title = "" if page.tree is None else page.tree.findtext(".//title") or ""
    return frozenset(word_tokens(title[:400]))


def _title_shares(words: list[list[str]], title: frozenset[str]) -> tuple[list[float], list[float]]:
    """For each block the share of its words that stand in the title, and of the title's words that it has."""
    if not title:
        return [0.0] * len(words), [0.0] * len(words)
    shared = [(len(title.intersection(tokens)), len(set(tokens))) for tokens in words]
    return [both / size if size else 0.0 for both, size in shared], [both / len(title) for both, _ in shared]


def _headline_index(page: Page, in_title: list[float], of_title: list[float]) -> int:
    """Which block is the headline: the first heading that the title repeats, else the first h1, else -1."""
    first = -1
    for index, block in enumerate(page.blocks):
        if block.kind != "heading":
            continue
        if in_title[index] >= 0.8 and of_title[index] >= 0.3:
            return index
        if block.level == 1 and first < 0:
            first = index
    return first


def _container_columns(tree: ElementTree, counts: Mapping[str, Any]) -> Iterator[Any]:
    """Of the containers of each block: their share of the page's text, links, blocks, prose."""
    parents = np.array([*tree.parents, -1], np.int64)
    prose = counts["letters"] * ((counts["sentences"] > 0) & (counts["words"] >= 10))
    tokens = [counts["letters"], counts["letters"] * counts["links"], np.ones(len(prose)), prose]
    sums = np.stack([mass_in_nodes(tree.of_blocks, column, tree.parents) for column in tokens], 1)
    total = max(float(counts["letters"].sum()), 1.0)
    node, step = tree.of_blocks, 1
    for up in _UPS:
        while step < up:
            node, step = parents[node], step + 1
        there, held = node >= 0, sums[np.maximum(node, 0)]
        letters = np.maximum(held[:, 0], 1.0)
        yield np.where(there, held[:, 0] / total, -1)
        yield np.where(there, held[:, 1] / letters, -1)
        yield np.where(there, np.log1p(held[:, 2]), -1)
        yield np.where(there, held[:, 3] / letters, -1)


def _page_columns(page: Page, counts: Mapping[str, Any], places: Ints, declared: Declared) -> Iterator[float]:
    total = max(float(counts["letters"].sum()), 1.0)
    prose = (counts["sentences"] > 0) & (counts["words"] >= 10)
    yield np.log1p(total)
    yield len(page.blocks)
    yield float((counts["letters"] * counts["links"]).sum()) / total
    yield float((counts["letters"] * prose).sum()) / total
    yield float((counts["letters"] * places[:, PLACES.index("main")]).sum()) / total
    yield float((counts["letters"] * places[:, PLACES.index("article")]).sum()) / total
    yield sum(block.kind == "heading" for block in page.blocks)
    for name in PAGE_TYPES:
        yield name in declared.types
    yield declared.kind == "article"
    yield declared.kind.startswith("product")
    for what in DECLARED:
        yield len(declared.texts[what]) / total


def _prose_columns(tree: ElementTree, counts: Mapping[str, Any]) -> Iterator[Any]:
    """Where the page's prose stands, seen from each block; see ``locate_main``."""
    prose = (counts["sentences"] > 0) & (counts["words"] >= 10) & (counts["links"] < 0.3)
    held, steps, depth = locate_main(tree.of_blocks, counts["letters"] * prose, tree.parents)
    up = np.maximum(np.array(tree.parents, np.int64)[tree.of_blocks], 0)
    yield held[up]
    yield steps[tree.of_blocks]
    yield np.full(len(prose), depth)


def _page_shapes(
    page: Page, tree: ElementTree, words: list[list[str]], counts: Mapping[str, Any], alike: Ints
) -> Iterator[float]:
    """``PAGE_SHAPES``, each one number for the whole page."""
    number, sizes, links = len(page.blocks), counts["words"], counts["links"]
    prose = sizes * ((counts["sentences"] > 0) & (sizes >= 10) & (links < 0.3))
    parents = np.maximum(np.array(tree.parents, np.int64), 0)
    in_element = np.bincount(tree.of_blocks, prose)
    in_parent = np.bincount(parents[tree.of_blocks], prose)
    headline = _headline_index(page, *_title_shares(words, _title_words(page)))
    yield np.log1p(float(prose.sum()))
    yield np.log1p(float(max(in_element.max(initial=0.0), in_parent.max(initial=0.0))))
    yield np.log1p(float(prose[headline : headline + 15].sum())) if headline >= 0 else -1.0
    yield np.log1p(float(np.convolve(prose, np.ones(7), "same").max(initial=0.0)))
    linked = float((sizes * (links > 0.5)).sum())
    yield float(prose.sum()) / max(float(prose.sum()) + linked, 1.0)
    cards = np.bincount(alike, ((sizes >= 8) & (links < 0.5)).astype(float))
    yield np.log1p(float(cards.max(initial=0.0)))
    yield float(np.bincount(alike, sizes)[int(cards.argmax())]) / max(float(sizes.sum()), 1.0)
    yield np.log1p(float(((sizes < 8) & (links < 0.5)).sum())) - np.log1p(number)
    yield headline / number if headline >= 0 else -1.0
