"""How likely each block is main content: features of a page, two rounds of gradient-boosted trees, reasons.

The first round of trees judges each block by itself: its words, links and shape, where it stands, what its
elements are called, what kind of page it is on. The second round sees the first one's scores of the blocks
around it. A block's log-odds are the mean of both rounds. What a tree adds to a score on its way down is booked
on the feature it asked (Saabas, "Interpreting random forests", 2014), so that a score comes with its reasons at
no extra cost.

Reading a page costs some milliseconds: one step up the tree for each element, arrays for the rest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lxml import html

from cleancopy.extract.html import Page

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# ------------------------------------------------------------------------------------------ what is measured

#: Elements and roles that say what text is for; each has the bit of its place here in a node's flags.
PLACES = (
    "nav", "header", "footer", "aside", "main", "article", "section", "form", "table", "ul", "li", "dl",
    "figure", "figcaption", "blockquote", "pre", "button", "a", "h1", "h2", "h3", "h4", "p", "details",
    "dialog", "td", "address", "hidden", "tabpanel",
)  # fmt: skip
_ALIASES = {
    "ol": "ul", "menu": "ul", "h5": "h4", "h6": "h4", "th": "td", "dd": "dl", "dt": "dl", "summary": "details",
}  # fmt: skip
_ROLES = {
    "navigation": "nav", "banner": "header", "contentinfo": "footer", "complementary": "aside", "main": "main",
    "article": "article", "button": "button", "dialog": "dialog", "tabpanel": "tabpanel", "form": "form",
}  # fmt: skip
_BIT = {name: 1 << bit for bit, name in enumerate(PLACES)}
_TAG_BITS = _BIT | {alias: _BIT[name] for alias, name in _ALIASES.items()}
_TAG_NAMES = (
    "p div li h1 h2 h3 h4 h5 h6 td th dd dt section article pre blockquote figcaption button form body "
    "header footer nav aside main summary caption tr table ul"
)
_TAGS = {tag: code for code, tag in enumerate(_TAG_NAMES.split())}
_KIND_NAMES = "paragraph heading list_item table_row quote code caption credit control"
_KINDS = {kind: code for code, kind in enumerate(_KIND_NAMES.split())}
#: schema.org types that tell what kind of page it is.
PAGE_TYPES = (
    "Product", "Article", "NewsArticle", "BlogPosting", "DiscussionForumPosting", "QAPage", "FAQPage",
    "ItemList", "CollectionPage", "Organization", "BreadcrumbList", "Recipe", "TechArticle", "Service",
    "LocalBusiness",
)  # fmt: skip
_ARTICLES = frozenset(["Article", "NewsArticle", "BlogPosting"])
#: Texts that a page declares beside what it shows: JSON-LD's article body, posts and description of what
#: the page is about, and the summary for search engines and previews.
DECLARED = ("body", "posts", "description", "summary")
#: Kinds of page that words and element names tell apart; those of WCXB.
PAGE_KINDS = ("article", "documentation", "forum", "product", "collection", "listing", "service")
#: How far up the tree a block's containers are measured.
_UPS = (1, 2, 3, 4, 6)
_AROUND = (-3, -2, -1, 1, 2, 3)
#: No page is cut lower than this: below it there is no content to be expected.
LEAST_CUT = 0.05
#: The threshold of a page, as a share of the F1 that it lets expect: half, where probabilities are right.
CUT_SHARE = 0.5
#: So much are log-odds taken down: on pages that the trees never saw they are too high by 0.1 to 0.5.
EAGER = 0.3
#: A block to which the first round gives less is settled: the second lifted none of them above 0.06.
SETTLED = 0.02
#: So many words of a block are looked up, in so many characters from its begin.
_WORDS, _READ = 40, 280
_STOP_WORDS = """
the of and to a in is it you that he was for on are with as i his they be at one have this from or had by
but what some we can out other were all your when up use how said an each she which do their if will way
about many then them would like so these her see him has more could go come did my no most who over know
than call first people may down been now find any new part take get made where after back only me our under
also should because into just not there here very much even through during before between both such why
while again against
"""
_STOP = frozenset(_STOP_WORDS.split())

#: The measures of a block and, for each, what it is booked on when a score is explained.
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
    *(
        (f"{what}{step:+d}", "neighbours")
        for step in _AROUND
        for what in ("letters", "words", "links", "stop_words", "kind")
    ),
)  # fmt: skip
#: Log-odds of the tokens that a block's elements are called by, near and far, and of its words; the best name
#: among them and how far it is behind the page's best; what kind of page all tokens together speak for.
TOKEN_MEASURES = (
    *(
        (f"{table}_{what}", group)
        for table, group in (("near", "names"), ("far", "names"), ("words", "vocabulary"))
        for what in ("sum", "least", "most", "mean", "count")
    ),
    ("best_name", "names"),
    ("behind_best", "names"),
    *((f"kind_{kind}", "page") for kind in PAGE_KINDS),
)
_STEPS = tuple(step for step in range(-5, 6) if step)
_RADII = (5, 15, 40)
ROUND_MEASURES = (
    ("first", "first"),
    *((f"first{step:+d}", "around") for step in _STEPS),
    *((f"first_within_{radius}", "around") for radius in _RADII),
    ("first_page", "around"),
    *((f"first_{what}", "around") for what in ("element", "container", "alike")),
    ("first_before", "around"),
    ("first_after", "around"),
    ("first_so_far", "around"),
    *((f"held_{what}", "around") for what in ("element", "container", "alike")),
    ("main_steps", "around"),
    ("main_depth", "around"),
)
_COLUMN = {name: index for index, (name, _) in enumerate(MEASURES)}
#: What is also measured of a block's neighbours.
_NEAR = [_COLUMN[name] for name in ("letters", "words", "links", "stop_words", "kind")]
_PARTS = re.compile(r"[a-z]{2,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d]\w*")
_TEXTS = re.compile(r'"(articleBody|text|description)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_KEYS = {"articleBody": "body", "text": "posts", "description": "description"}
_MARKUP = re.compile(r"<[^<>]{1,500}>")
#: A declared text shorter than this, in letters, says nothing of the blocks.
_SHORTEST = {"body": 200, "posts": 60, "description": 60, "summary": 40}
#: So many characters of the scripts, and letters of a block or of the begin of a declared text, are compared.
_DECLARING, _COMPARED = 300_000, 100
_TYPE = re.compile(r'"@type"\s*:\s*\[?\s*"(\w{1,40})"')


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
    tree = _Nodes(page.elements)
    text = page.text
    texts = [text[b.start : b.end] for b in page.blocks]
    words = [_WORD.findall(own[:_READ].lower())[:_WORDS] for own in texts]
    counts, declared = _text_counts(page), _declared(page)
    alike = np.unique(tree.paths[tree.of_blocks], return_inverse=True)[1]
    places = (tree.flags[tree.of_blocks][:, None] >> np.arange(len(PLACES))) & 1
    measures = np.empty((len(page.blocks), len(MEASURES)), np.float32)
    at = 0
    for column in (
        *_shape(page, tree, texts, words, counts),
        *_position(page, texts, words, counts, alike),
        places,
        *_containers(tree, counts),
        *_whole(page, counts, places, declared),
        *_in_declared(words, declared),
        *_of_prose(tree, counts),
    ):
        if column is places:
            measures[:, at : at + len(PLACES)] = column
            at += len(PLACES)
        else:
            measures[:, at] = column
            at += 1
    near = measures[:, _NEAR]
    measures[:, at:] = np.concatenate([_shifted(near, step) for step in _AROUND], axis=1)
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


class _Nodes:
    """The elements that hold blocks and all above them, each once, parents first."""

    def __init__(self, elements: Sequence[html.HtmlElement]) -> None:
        self.parents: list[int] = []
        self.names: dict[tuple[str, ...], int] = {}
        self.called: list[int] = []
        tags: list[str] = []
        flags: list[int] = []
        depths: list[int] = []
        paths: list[int] = []
        own: list[str] = []
        seen: dict[tuple[str, str, str], int] = {}
        index: dict[html.HtmlElement, int] = {}
        nodes = []
        last: html.HtmlElement | None = None
        node = -1
        for element in elements:
            if element is not last:
                new, above, last = [], element, element
                while above is not None and above not in index:
                    new.append(above)
                    above = above.getparent()
                node = -1 if above is None else index[above]
                while new:
                    opened = new.pop()
                    tag = opened.tag
                    named, names, bits = _called(opened, tag)
                    over = around = ""
                    depth = 0
                    if node >= 0:
                        bits |= flags[node]
                        depth = depths[node] + 1
                        over = own[node]
                        up = self.parents[node]
                        around = own[up] if up >= 0 else ""
                    self.parents.append(node)
                    node = index[opened] = len(tags)
                    tags.append(tag)
                    flags.append(bits)
                    depths.append(depth)
                    own.append(named)
                    self.called.append(self.names.setdefault(names, len(self.names)))
                    paths.append(seen.setdefault((named, over, around), len(seen)))
            nodes.append(node)
        self.of_blocks = np.array(nodes, np.int64)
        codes = [_TAGS.get(tag, -1) for tag in tags]
        self.tags, self.flags, self.depths, self.paths = (
            np.array(column, np.int64) for column in (codes, flags, depths, paths)
        )


def _called(element: html.HtmlElement, tag: str) -> tuple[str, tuple[str, ...], int]:
    """What an element is called: one name for it, its tokens, and the bits of what it and its role are."""
    attributes = element.items()
    if not attributes:
        return _untitled(tag)
    said = dict(attributes)
    classes = said.get("class", "")[:400]
    if len(said) == ("class" in said):
        return _classed(tag, classes)
    get = said.get
    hidden = get("aria-hidden") == "true" or "hidden" in said
    if style := get("style"):
        hidden = hidden or "display:none" in style.replace(" ", "")
    return _titled(tag, classes, get("id", "")[:100], get("itemprop", "")[:20], get("role", "")[:20], hidden)


@cache
def _untitled(tag: str) -> tuple[str, tuple[str, ...], int]:
    """What an element without attributes is called: its tag; see ``_called``."""
    return _classed(tag, "")


@lru_cache(maxsize=20_000)
def _classed(tag: str, classes: str) -> tuple[str, tuple[str, ...], int]:
    """What an element is called that has classes at most; see ``_called``."""
    name = tag + "." + ".".join(sorted(classes.split())[:3]) if classes else tag
    tokens = _tokens(classes)
    return name, tokens if tag in ("div", "span") else (*tokens, "tag:" + tag), _TAG_BITS.get(tag, 0)


@lru_cache(maxsize=20_000)
def _titled(
    tag: str, classes: str, mark: str, prop: str, role: str, hidden: bool
) -> tuple[str, tuple[str, ...], int]:
    """What an element with attributes is called; see ``_called``."""
    name, tokens, bits = _classed(tag, classes)
    if mark:
        tokens += _tokens(mark)
    if prop:
        tokens = (*tokens, "itemprop:" + prop.lower())
    if role := role.strip().lower():
        tokens = (*tokens, "role:" + role)
        bits |= _BIT.get(_ROLES.get(role, ""), 0)
    if hidden:
        bits |= _BIT["hidden"]
    return name, tokens, bits


@lru_cache(maxsize=20_000)
def _tokens(marks: str) -> tuple[str, ...]:
    """The words of a class or id attribute, and each name as a whole."""
    tokens: list[str] = []
    for mark in marks[:400].split()[:8]:
        parts = _PARTS.findall(mark if mark.islower() else _CAMEL.sub("-", mark).lower())
        tokens += parts
        if len(parts) > 1:
            tokens.append("-".join(parts[:4]))
    return tuple(tokens[:16])


# ------------------------------------------------------------------------------------------ text in numbers


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """For each code point to U+FFFF the sum of 1 word, 2 capital, 4 digit, 8 punctuation, 16 full stop."""
    table = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        sign = chr(code)
        if sign.isalnum():
            table[code] = 1 + 2 * sign.isupper() + 4 * sign.isdigit()
    for sign in ".,;:!?、。，；：！？؟،۔।":
        table[ord(sign)] |= 8
    for sign in ".!?。！？؟۔।":
        table[ord(sign)] |= 16
    return table


def _text_counts(page: Page) -> dict[str, Any]:
    """Letters, words and the like of each block, counted over the whole page text at once."""
    codes = np.frombuffer(page.text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _classes()[np.minimum(codes, 0xFFFF)]
    starts = np.array([block.start for block in page.blocks], np.int64)
    ends = np.array([block.end for block in page.blocks], np.int64)
    inside = (kinds & 1).astype(bool)
    first = inside.copy()
    first[1:] &= ~inside[:-1]
    spaced = np.empty(len(codes), bool)
    spaced[-1:] = True
    spaced[:-1] = codes[1:] <= 32
    sums = np.zeros(len(codes) + 1, np.int64)

    def count(which: npt.NDArray[Any]) -> Any:
        which.cumsum(dtype=np.int64, out=sums[1:])
        return (sums[ends] - sums[starts]).astype(np.float64)

    length = (ends - starts).astype(np.float64)
    words = np.maximum(count(first), 1e-9)
    links = np.array([block.link_share for block in page.blocks], np.float64)
    return {
        "letters": length,
        "words": np.round(words),
        "word_length": count(inside) / np.maximum(words, 1),
        "links": links,
        "punctuation": count(kinds & 8 > 0) / np.maximum(words, 1),
        "digits": count(kinds & 4 > 0) / np.maximum(length, 1),
        "capitals": count(first & (kinds & 2 > 0)) / np.maximum(words, 1),
        "sentences": count((kinds & 16 > 0) & spaced),
        "start": starts.astype(np.float64),
        "end": ends.astype(np.float64),
    }


def _shape(
    page: Page, tree: _Nodes, texts: list[str], words: list[list[str]], counts: Mapping[str, Any]
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
    yield [sum(map(_STOP.__contains__, own)) / len(own) if own else 0.0 for own in words]
    yield counts["punctuation"]
    yield counts["digits"]
    yield counts["capitals"]
    yield [sign in '.!?"”»…。！？' for sign in last]
    yield [sign in ":：" for sign in last]
    yield counts["sentences"]


def _position(
    page: Page, texts: list[str], words: list[list[str]], counts: Mapping[str, Any], alike: Ints
) -> Iterator[Any]:
    number = len(page.blocks)
    nth = np.arange(number)
    total = max(float(counts["letters"].sum()), 1.0)
    before = np.cumsum(counts["letters"]) - counts["letters"]
    title = _title_words(page)
    in_title, of_title = _title_shares(words, title)
    headline = _headline(page, in_title, of_title)
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
    return frozenset(_WORD.findall(title[:400].lower()))


def _title_shares(words: list[list[str]], title: frozenset[str]) -> tuple[list[float], list[float]]:
    """For each block the share of its words that stand in the title, and of the title's words that it has."""
    if not title:
        return [0.0] * len(words), [0.0] * len(words)
    shared = [(len(title.intersection(own)), len(set(own))) for own in words]
    return [both / size if size else 0.0 for both, size in shared], [both / len(title) for both, _ in shared]


def _headline(page: Page, in_title: list[float], of_title: list[float]) -> int:
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


def _containers(tree: _Nodes, counts: Mapping[str, Any]) -> Iterator[Any]:
    """Of the containers of each block: their share of the page's text, links, blocks, prose."""
    parents = np.array([*tree.parents, -1], np.int64)
    prose = counts["letters"] * ((counts["sentences"] > 0) & (counts["words"] >= 10))
    own = [counts["letters"], counts["letters"] * counts["links"], np.ones(len(prose)), prose]
    sums = np.stack([_held_by(tree.of_blocks, column, tree.parents) for column in own], 1)
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


def _held_by(nodes: Ints, numbers: Doubles, parents: Sequence[int]) -> Doubles:
    """For each node the sum of the numbers of all blocks in it; parents stand before what they hold."""
    sums = np.bincount(nodes, numbers, len(parents)).tolist()
    for node in range(len(sums) - 1, 0, -1):
        sums[parents[node]] += sums[node]
    return np.array(sums)


def _whole(page: Page, counts: Mapping[str, Any], places: Ints, declared: _Declared) -> Iterator[float]:
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


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a page declares of itself: schema.org types, Open Graph type, the letters of declared texts."""

    types: frozenset[str]
    kind: str
    texts: Mapping[str, str]


def _declared(page: Page) -> _Declared:
    """What the page's JSON-LD and its ``meta`` elements say."""
    kind, scripts, summaries = _claims(page.tree)
    texts = dict.fromkeys(DECLARED, "")
    for script in scripts:
        for key, string in _TEXTS.findall(script):
            what, letters = _KEYS[key], _letters(_unquoted(string))
            if what != "posts":
                texts[what] = max(texts[what], letters, key=len)
            elif len(texts[what]) < _DECLARING:
                texts[what] += letters
    texts["summary"] = max(["", *map(_letters, summaries)], key=len)
    long = {what: text if len(text) >= _SHORTEST[what] else "" for what, text in texts.items()}
    return _Declared(_types(scripts), kind, long)


def _claims(tree: html.HtmlElement | None) -> tuple[str, list[str], list[str]]:
    """A page's Open Graph type, its JSON-LD scripts and its summaries of itself."""
    kind, scripts, summaries = "", list[str](), list[str]()
    for element in () if tree is None else tree.iter("script", "meta"):
        if element.tag == "script":
            if "ld+json" in (element.get("type") or ""):
                scripts.append((element.text or "")[:_DECLARING])
            continue
        name, content = element.get("property") or element.get("name"), element.get("content") or ""
        if name == "og:type":
            kind = kind or content.strip().lower()
        elif name in ("description", "og:description"):
            summaries.append(content[:_DECLARING])
    return kind, scripts, summaries


def _types(scripts: Iterable[str]) -> frozenset[str]:
    return frozenset(chain.from_iterable(map(_TYPE.findall, scripts)))


def declares_article(page: Page) -> bool:
    """Whether the page says of itself that it is an article, to search engines or in previews."""
    kind, scripts, _ = _claims(page.tree)
    return kind == "article" or not _ARTICLES.isdisjoint(_types(scripts))


def _unquoted(string: str) -> str:
    """The text of a JSON string's inside, without markup."""
    try:
        text = str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        text = string
    return _MARKUP.sub(" ", text)


def _letters(text: str) -> str:
    return "".join(_WORD.findall(text.lower()))


def _in_declared(words: Sequence[Sequence[str]], declared: _Declared) -> Iterator[list[float]]:
    """By declared text, for each block 1 where both share a begin, 0 where not, 0.25 too short, -1: no text."""
    letters = ["".join(own) for own in words] if any(declared.texts.values()) else []
    for what in DECLARED:
        said = declared.texts[what]
        begin = said[:_COMPARED]
        yield (
            [0.25 if len(own) < 8 else float(own[:_COMPARED] in said or begin in own) for own in letters]
            if said
            else [-1.0] * len(words)
        )


def _of_prose(tree: _Nodes, counts: Mapping[str, Any]) -> Iterator[Any]:
    """Where the page's prose stands, seen from each block; see ``_held``."""
    prose = (counts["sentences"] > 0) & (counts["words"] >= 10) & (counts["links"] < 0.3)
    held, steps, depth = _main(tree.of_blocks, counts["letters"] * prose, tree.parents)
    up = np.maximum(np.array(tree.parents, np.int64)[tree.of_blocks], 0)
    yield held[up]
    yield steps[tree.of_blocks]
    yield np.full(len(prose), depth)


def _main(nodes: Ints, mass: Doubles, parents: Sequence[int]) -> tuple[Doubles, Ints, int]:
    """For each node the share of the mass that it holds, and the steps to the main node; that node's depth.

    The main node is the deepest that holds more than half; nodes in it stand some steps below (from 0), the
    others branch off some steps above it (below 0).
    """
    held = _held_by(nodes, mass, parents) / max(float(mass.sum()), 1e-9)
    up = int(np.flatnonzero(held > 0.5).max(initial=0))
    steps: list[int] = [0] * len(parents)
    inside, way = [False] * len(parents), 0
    inside[up] = True
    on_way = set()
    while up >= 0:
        on_way.add(up)
        steps[up], up, way = way, parents[up], way - 1
    for at, above in enumerate(parents):
        if at not in on_way and above >= 0:
            inside[at] = inside[above]
            steps[at] = steps[above] + inside[above]
    return held, np.array(steps, np.int64), -way


def _shifted(column: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """The rows of the blocks so many places on; -1 where there is none."""
    moved = np.full_like(column, -1)
    if step > 0:
        moved[:-step] = column[step:]
    else:
        moved[-step:] = column[:step]
    return moved


# ------------------------------------------------------------------------------------------ tokens in numbers


Tables = Mapping[str, Mapping[str, Any]]
#: Sum, least, most and count of the log-odds of no token.
_NONE = np.array([0.0, np.inf, -np.inf, 0.0])
#: The best name of a block whose elements have none that is known.
_WORST = -9.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tables as arrays: ``numbers`` says which row of them a token has, the last row is of unknown ones.

    ``near``, ``far`` and ``words`` are log-odds, NaN for none; ``kinds`` are those of each kind of page, in
    tenths, ``telling`` says which tokens have some.
    """

    numbers: Mapping[str, int]
    near: Doubles
    far: Doubles
    words: Doubles
    kinds: Ints
    telling: npt.NDArray[np.bool_]


def vocabulary(tables: Tables) -> Vocabulary:
    """The tables of token odds, each token looked up once for all of them."""
    numbers = {
        token: number for number, token in enumerate(dict.fromkeys(chain.from_iterable(tables.values())))
    }
    odds = np.full((3, len(numbers) + 1), np.nan)
    for row, name in zip(odds, ("near", "far", "words"), strict=True):
        row[[numbers[token] for token in tables[name]]] = list(tables[name].values())
    kinds, telling = np.zeros((len(numbers) + 1, len(PAGE_KINDS)), np.int64), np.zeros(len(numbers) + 1, bool)
    rows = [numbers[token] for token in tables["kinds"]]
    if rows:
        kinds[rows], telling[rows] = list(tables["kinds"].values()), True
    return Vocabulary(numbers, odds[0], odds[1], odds[2], kinds, telling)


def token_measures(layout: Layout, known: Vocabulary) -> Floats:
    """The log-odds of each block's tokens, summed up (``TOKEN_MEASURES``).

    Near are the block's own element and the two above it, far are all others above.
    """
    parents = np.array([*layout.parents, -1], np.int64)
    names, words = _numbered(layout.names, known), _numbered(layout.words, known)
    odds = np.concatenate([_odds(*names, known.near)[layout.called], [_NONE]])
    at = layout.nodes
    near = odds[at]
    for _ in range(2):
        at = parents[at]
        near = _joined(near, odds[at])
    far = _all_above(_odds(*names, known.far)[layout.called].tolist(), layout.parents)[parents[at]]
    kinds = np.tile(_kind_odds([names[0], words[0]], known), (len(layout.words), 1))
    best = np.maximum(np.maximum(near[:, 2], far[:, 2]), _WORST)
    named = np.stack([best, best.max() - best], 1).astype(np.float32)
    said = _summed_up(_odds(*words, known.words))
    return np.concatenate([_summed_up(near), _summed_up(far), said, named, kinds], axis=1)


def _numbered(tokens: Sequence[Sequence[str]], known: Vocabulary) -> tuple[Ints, Ints]:
    """The numbers of all tokens, one after the other, and how many each of the sequences has."""
    sizes = np.fromiter(map(len, tokens), np.int64, len(tokens))
    looked_up = map(known.numbers.get, chain.from_iterable(tokens), repeat(len(known.numbers)))
    return np.fromiter(looked_up, np.int64, int(sizes.sum())), sizes


def _all_above(odds: list[list[float]], parents: Sequence[int]) -> Doubles:
    """Sum, least, most and count of the odds of each node's names and of all above it; none at the end."""
    whole: list[list[float]] = []
    for own, above in zip(odds, parents, strict=True):
        if above >= 0:
            total, least, most, count = own
            over, low, high, number = whole[above]
            own = [total + over, least if least < low else low, most if most > high else high, count + number]
        whole.append(own)
    return np.array([*whole, _NONE])


def _joined(one: Doubles, other: Doubles) -> Doubles:
    """Sums, least, most and counts of two sets of tokens together."""
    return np.stack([
        one[:, 0] + other[:, 0], np.minimum(one[:, 1], other[:, 1]), np.maximum(one[:, 2], other[:, 2]),
        one[:, 3] + other[:, 3],
    ], 1)  # fmt: skip


def page_tokens(layout: Layout) -> set[str]:
    """The words of a page and the names of its elements, each once."""
    return set().union(*layout.words, *layout.names)


def _kind_odds(numbers: Sequence[Ints], known: Vocabulary) -> Floats:
    """For each kind of page the log-odds of the page's tokens, each token once, in tenths, summed up."""
    there = np.zeros(len(known.telling), bool)
    for some in numbers:
        there[some] = True
    found = np.flatnonzero(there & known.telling)
    kinds: Floats = (known.kinds[found].sum(axis=0) / np.sqrt(max(len(found), 1))).astype(np.float32)
    return kinds


def _odds(numbers: Ints, sizes: Ints, table: Doubles) -> Doubles:
    """For sequences of tokens each sum, least, most and count of the log-odds of those that a table has."""
    odds = table[numbers]
    known = ~np.isnan(odds)
    owners, odds = np.repeat(np.arange(len(sizes)), sizes)[known], odds[known]
    summed = np.tile(_NONE, (len(sizes), 1))
    if len(odds):
        summed[:, 0] = np.bincount(owners, odds, len(sizes))
        summed[:, 3] = np.bincount(owners, minlength=len(sizes))
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        summed[owners[firsts], 1] = np.minimum.reduceat(odds, firsts)
        summed[owners[firsts], 2] = np.maximum.reduceat(odds, firsts)
    return summed


def _summed_up(sums: Doubles) -> Floats:
    """Sum, least, most, mean and count, all 0 where there is none."""
    some = sums[:, 3] > 0
    mean = sums[:, 0] / np.maximum(sums[:, 3], 1)
    columns = [sums[:, 0], np.where(some, sums[:, 1], 0), np.where(some, sums[:, 2], 0), mean, sums[:, 3]]
    return np.stack(columns, 1).astype(np.float32)


# ------------------------------------------------------------------------------------------ the second round


def round_measures(layout: Layout, first: Doubles) -> Floats:
    """The first round's scores of each block and of those around it (``ROUND_MEASURES``)."""
    weight = layout.sizes.astype(np.float64)
    scores = first.astype(np.float64)
    number = len(scores)
    sums = np.concatenate([[0.0], np.cumsum(scores * weight)])
    weights = np.concatenate([[0.0], np.cumsum(weight)])
    columns = [scores, *(_shifted(scores, step) for step in _STEPS)]
    nth = np.arange(number)
    for radius in _RADII:
        low, high = np.maximum(0, nth - radius), np.minimum(number, nth + radius + 1)
        columns.append((sums[high] - sums[low]) / np.maximum(weights[high] - weights[low], 1))
    columns.append(np.full(number, sums[-1] / max(weights[-1], 1.0)))
    columns += [_mean_by(group, scores, weight) for group in _groups(layout)]
    columns.append(np.maximum.accumulate(scores))
    columns.append(np.maximum.accumulate(scores[::-1])[::-1])
    columns.append(sums[:-1] / max(sums[-1], 1e-6))
    columns += _held(layout, scores * weight)
    return np.stack(columns, 1).astype(np.float32)


def _held(layout: Layout, mass: Doubles) -> list[npt.NDArray[Any]]:
    """Where the page's content is expected: what share a block's surroundings hold, the way to most of it."""
    held, steps, depth = _main(layout.nodes, mass, layout.parents)
    node, parent, alike = _groups(layout)
    shares = [held[node], held[parent], np.bincount(alike, mass)[alike] / max(float(mass.sum()), 1e-9)]
    return [*shares, steps[node], np.full(len(mass), depth)]


def _groups(layout: Layout) -> tuple[Ints, Ints, Ints]:
    """For each block its element, the element above, and the number of its kind of element."""
    parents = np.array(layout.parents, np.int64)
    return layout.nodes, np.maximum(parents[layout.nodes], 0), layout.alike


def _mean_by(group: Ints, scores: npt.NDArray[Any], weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    totals = np.bincount(group, weight)
    means: npt.NDArray[Any] = (np.bincount(group, scores * weight) / np.maximum(totals, 1e-6))[group]
    return means


# ------------------------------------------------------------------------------------------ trees

#: Where the files of the model are.
FOLDER = Path(__file__).parent
_ROUNDS = ("first", "second")
#: What a score can be booked on.
GROUPS = (
    "links", "length", "prose", "wording", "shape", "places", "container", "position", "headline", "copies",
    "alike", "names", "declared", "vocabulary", "neighbours", "around", "page", "first",
)  # fmt: skip
_GROUP = {group: index for index, group in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class Trees:
    """One round of trees: LightGBM finds the leaves, the leaves' values and reasons are kept here.

    Row i of ``booked`` says what leaf i of all leaves adds to the score for each group of measures.
    """

    booster: Any
    offsets: Ints
    values: Doubles
    booked: Floats

    def leaves(self, rows: Floats) -> Ints:
        """The leaf that each row falls into in each tree, numbered over all trees."""
        if not len(rows):
            return np.empty((0, len(self.offsets)), np.int64)
        found: npt.NDArray[Any] = self.booster.predict(rows, pred_leaf=True, num_threads=1)
        return found.reshape(len(rows), -1).astype(np.int64) + self.offsets

    def odds(self, leaves: Ints) -> Doubles:
        """The log-odds of each row."""
        odds: Doubles = self.values[leaves].sum(axis=1)
        return odds

    def reasons(self, leaves: Ints) -> Floats:
        """For each row, what each group of measures adds to its log-odds."""
        from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

        ends = np.arange(len(leaves) + 1) * leaves.shape[1]
        fallen = csr_matrix(
            (np.ones(leaves.size, np.float32), leaves.ravel(), ends), (len(leaves), len(self.booked))
        )
        reasons: Floats = fallen @ self.booked
        return reasons


def read_trees(text: str, groups: Sequence[str]) -> Trees:
    """The trees of a LightGBM model file; ``groups`` names the group of each of its measures."""
    import lightgbm

    offsets: list[int] = []
    values: list[float] = []
    booked: list[Floats] = []
    for block in text.split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
        leaves = [float(number) for number in fields["leaf_value"].split()]
        offsets.append(len(values))
        values += leaves
        booked.append(_booked(fields, leaves, groups))
    booster = lightgbm.Booster(model_str=text)
    return Trees(booster, np.array(offsets), np.array(values), np.concatenate(booked))


def _booked(fields: Mapping[str, str], leaves: list[float], groups: Sequence[str]) -> Floats:
    """What each leaf of one tree adds for each group: the steps in value on the way from the root."""
    rows = np.zeros((len(leaves), len(GROUPS)), np.float32)
    if len(leaves) == 1:
        return rows
    asked = [_GROUP[groups[int(index)]] for index in fields["split_feature"].split()]
    inner = [float(number) for number in fields["internal_value"].split()]
    below = [[int(child) for child in fields[side].split()] for side in ("left_child", "right_child")]
    ways: list[tuple[int, npt.NDArray[np.float32]]] = [(0, np.zeros(len(GROUPS), np.float32))]
    while ways:
        node, so_far = ways.pop()
        for side in below:
            child = side[node]
            booked = so_far.copy()
            booked[asked[node]] += (inner[child] if child >= 0 else leaves[~child]) - inner[node]
            if child >= 0:
                ways.append((child, booked))
            else:
                rows[~child] = booked
    return rows


@dataclass(frozen=True, slots=True)
class Model:
    """All that was learned: two rounds of trees, the odds of tokens."""

    first: Trees
    second: Trees
    tables: Tables
    vocabulary: Vocabulary


@cache
def model() -> Model:
    """The model that comes with cleancopy, read once."""
    learned = json.loads((FOLDER / "content_model.json").read_text(encoding="utf-8"))
    texts = {name: (FOLDER / f"content_{name}.txt").read_text(encoding="utf-8") for name in _ROUNDS}
    first, second = (read_trees(texts[name], [group for _, group in measures_of(name)]) for name in _ROUNDS)
    return Model(first, second, learned["tables"], vocabulary(learned["tables"]))


def measures_of(name: str) -> list[tuple[str, str]]:
    """The measures that a round of trees asks for, in their order, each with its group."""
    return [*MEASURES, *(TOKEN_MEASURES if name == "first" else ROUND_MEASURES)]


def probabilities(odds: Doubles) -> Doubles:
    """The probabilities that log-odds stand for."""
    scores: Doubles = 1 / (1 + np.exp(-odds))
    return scores


def best_cut(scores: Doubles, sizes: Floats) -> tuple[float, float]:
    """The threshold that gives a page its best expected word F1, and that F1.

    ``sizes`` are the blocks' words. Where probabilities are right, the best threshold is half of the best
    F1 that can be expected (Lipton, Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize
    F1 measure", 2014): a page that is in doubt as a whole keeps more of its doubtful blocks.
    """
    order = np.argsort(-scores, kind="stable")
    size = sizes[order].astype(np.float64)
    right = np.cumsum(scores[order] * size)
    expected = float((2 * right / (np.cumsum(size) + right[-1] + 1e-9)).max())
    return max(CUT_SHARE * expected, LEAST_CUT), expected


def final_scores(first: Doubles, second: Doubles, sizes: Floats) -> Doubles:
    """The scores of a page's blocks from the log-odds of both rounds; the page's threshold stands at 0.5.

    Blocks that the first round settles have its log-odds alone, whatever stands for them in the second.
    """
    settled = probabilities(first) < SETTLED
    scores = probabilities(np.where(settled, first, (first + second) / 2) - EAGER)
    return centred(scores, best_cut(scores, sizes)[0])


def centred(scores: Doubles, threshold: float) -> Doubles:
    """Probabilities moved along their log-odds so that the threshold comes to stand at 0.5."""
    odds = scores * (1 - threshold) / threshold
    moved: Doubles = odds / (odds + 1 - scores)
    return moved


# ------------------------------------------------------------------------------------------ the judgement


def judge(page: Page, *, known: Model | None = None) -> list[tuple[float, str]]:
    """For each block of an HTML page the probability that it is main content, and why it is low.

    Blocks that score 0.5 or more have no reason: they stay.
    """
    if not page.blocks:
        return []
    known = known or model()
    layout = read_layout(page)
    leaves = known.first.leaves(np.hstack([layout.measures, token_measures(layout, known.vocabulary)]))
    odds = known.first.odds(leaves)
    first = probabilities(odds)
    unsettled = np.flatnonzero(first >= SETTLED)
    around = round_measures(layout, first)[unsettled]
    later = known.second.leaves(np.hstack([layout.measures[unsettled], around]))
    second = odds.copy()
    second[unsettled] = known.second.odds(later)
    scores = final_scores(odds, second, layout.sizes)
    cut, low = np.flatnonzero(scores < 0.5), scores[unsettled] < 0.5
    taken = np.zeros((len(scores), len(GROUPS)), np.float32)
    taken[unsettled[low]] = known.second.reasons(later[low])
    booked = _reasons(known.first.reasons(leaves[cut]), taken[cut], first[cut])
    said = _Words(page, layout, known.tables, first)
    why = dict(zip(cut.tolist(), map(said.why, cut.tolist(), _strongest(booked)), strict=True))
    return [(score, why.get(index, "")) for index, score in enumerate(scores.tolist())]


def _strongest(booked: Floats) -> list[list[str]]:
    """For each row the names of the three groups that take most."""
    order = np.argsort(booked, axis=1, kind="stable")[:, :3]
    taken = np.take_along_axis(booked, order, 1) < 0
    return [
        [GROUPS[group] for group, takes in zip(groups, all_taken, strict=True) if takes]
        for groups, all_taken in zip(order.tolist(), taken.tolist(), strict=True)
    ]


def _reasons(booked: Floats, later: Floats, first: Doubles) -> Floats:
    """What each group of measures takes from the log-odds, over both rounds.

    What the second round books on the first score goes to that score's own reasons. So does what it books on
    the scores around, unless it was those that turned a block that the first round would have kept. The kind
    of page comes last: it tells a reader the least.
    """
    own = np.minimum(booked, 0)
    total = own.sum(axis=1, keepdims=True)
    share = np.where(total < 0, own / np.minimum(total, -1e-9), 0)
    taken = booked + later
    for group, whose in (("first", first >= 0), ("around", first < 0.5)):
        column = _GROUP[group]
        taken += share * np.where(whose, np.minimum(later[:, column], 0), 0)[:, None]
        taken[whose, column] = 0
    taken[:, _GROUP["page"]] *= 0.01
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


class _Words:
    """Scores put into words a person understands, for the blocks of one page."""

    def __init__(self, page: Page, layout: Layout, tables: Tables, first: Doubles) -> None:
        self.page, self.layout, self.tables = page, layout, tables
        self.measure = _Columns(layout.measures)
        self.sums = [0.0, *first.cumsum().tolist()]
        self.worst: dict[int, tuple[float, str]] = {}
        self.named: dict[int, str] = {}
        self.least = cache(partial(_least, table=tables["near"]))

    def why(self, block: int, strongest: list[str]) -> str:
        """What takes most from the block's score, in words."""
        return "; ".join(dict.fromkeys([_SAID[group](self, block) for group in strongest]))

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
        word = _least(self.layout.words[block], self.tables["words"])[1]
        return f"words such as {word!r}" if word else "no words that content has"


class _Columns(dict[str, list[float]]):
    """The measures of all blocks by name, each made a list when it is first asked for."""

    def __init__(self, measures: Floats) -> None:
        super().__init__()
        self.measures = measures

    def __missing__(self, name: str) -> list[float]:
        column: list[float] = self.measures[:, _COLUMN[name]].tolist()
        self[name] = column
        return column


def _of_links(said: _Words, block: int) -> str:
    share = said.measure["links"][block]
    return f"links make {share:.0%} of it" if share else "no links in it"


def _of_length(said: _Words, block: int) -> str:
    words = said.measure["words"][block]
    return f"{'only ' if words < 12 else ''}{_count(words, 'word')}"


def _of_sentences(said: _Words, block: int) -> str:
    sentences = said.measure["sentences"][block]
    return _count(sentences, "sentence") if sentences else "no full sentence"


def _of_wording(said: _Words, block: int) -> str:
    digits, capitals = said.measure["digits"][block], said.measure["capitals"][block]
    if digits > 0.25:
        return f"digits make {digits:.0%} of it"
    return (
        f"{capitals:.0%} of its words begin with a capital"
        if capitals > 0.5
        else "few words that sentences have"
    )


def _of_place(said: _Words, block: int) -> str:
    measure = said.measure
    for name, words in _PLACE_WORDS.items():
        if measure[name][block]:
            return words
    inside = measure["in_main"][block] or measure["in_article"][block]
    return "where it stands" if inside else "outside the main part"


def _of_container(said: _Words, block: int) -> str:
    near, far = said.measure["up1_links"][block], said.measure["up2_links"][block]
    if near > 0.5 or far > 0.5:
        return f"links make {max(near, far):.0%} of what holds it"
    return f"what holds it has {said.measure['up2_text'][block]:.0%} of the page's text"


def _of_headline(said: _Words, block: int) -> str:
    after = said.measure["after_headline"][block]
    if after < 0:
        return "no headline on the page" if after == -999 else "above the headline"
    repeats = said.measure["in_title"][block] > 0.5
    return "repeats the title" if repeats else f"{after:.0f} blocks from the headline"


def _of_likes(said: _Words, block: int) -> str:
    alike = said.measure["alike"][block]
    return f"one of {alike:.0f} blocks built alike" if alike > 1 else "built unlike the rest"


def _of_declared(said: _Words, block: int) -> str:
    missed = [what for what in DECLARED if said.measure[f"in_{what}"][block] == 0]
    return f"not in {_DECLARED_WORDS[missed[0]]}" if missed else "this kind of page"


def _of_neighbours(said: _Words, block: int) -> str:
    measure = said.measure
    near = [step for step in ("-1", "+1") if measure["letters" + step][block] >= 0]
    if any(measure["links" + step][block] > 0.5 for step in near):
        return "links beside it"
    short = any(measure["words" + step][block] < 10 for step in near)
    return "short lines beside it" if short else "the blocks beside it"


def _of_page(said: _Words, block: int) -> str:
    return "this kind of page"


#: What is said of a block for each group of measures.
_SAID: Mapping[str, Callable[[_Words, int], str]] = {
    "links": _of_links,
    "length": _of_length,
    "prose": _of_sentences,
    "wording": _of_wording,
    "shape": _Words.shape,
    "places": _of_place,
    "container": _of_container,
    "position": lambda said, block: f"{said.measure['place'][block]:.0%} down the page",
    "headline": _of_headline,
    "copies": lambda said, block: f"stands {said.measure['copies'][block]:.0f} times on the page",
    "alike": _of_likes,
    "names": _Words.name,
    "declared": _of_declared,
    "vocabulary": _Words.vocabulary,
    "neighbours": _of_neighbours,
    "around": _Words.around,
    "page": _of_page,
    "first": _of_page,
}


def _least(tokens: Sequence[str], table: Mapping[str, float]) -> tuple[float, str]:
    """The least odds below 0 that a table has for some tokens, with that token."""
    least, said = 0.0, ""
    for token in tokens:
        odds = table.get(token, 0.0)
        if odds < least and token not in ("tag:html", "tag:body"):
            least, said = odds, token
    return least, said


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}{'' if round(number) == 1 else 's'}"
