"""What a page declares of itself in JSON-LD and ``meta`` elements, as evidence for its blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from lxml import html

from cleancopy.extract.html import Page
from cleancopy.stages.content.counts import word_tokens

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
_TEXTS = re.compile(r'"(articleBody|text|description)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_KEYS = {"articleBody": "body", "text": "posts", "description": "description"}
_MARKUP = re.compile(r"<[^<>]{1,500}>")
#: A declared text shorter than this, in letters, says nothing of the blocks.
_SHORTEST = {"body": 200, "posts": 60, "description": 60, "summary": 40}
#: So many characters of the scripts, and letters of a block or from the start of a declared text, are compared.
_DECLARING, _COMPARED = 300_000, 100
_TYPE = re.compile(r'"@type"\s*:\s*\[?\s*"(\w{1,40})"')


@dataclass(frozen=True, slots=True)
class Declared:
    """What a page declares of itself: schema.org types, Open Graph type, the letters of declared texts."""

    types: frozenset[str]
    kind: str
    texts: Mapping[str, str]


def read_declared(page: Page) -> Declared:
    """What the page's JSON-LD and its ``meta`` elements say."""
    kind, scripts, summaries = _read_claims(page.tree)
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
    return Declared(_types(scripts), kind, long)


def _read_claims(tree: html.HtmlElement | None) -> tuple[str, list[str], list[str]]:
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
    kind, scripts, _ = _read_claims(page.tree)
    return kind == "article" or not _ARTICLES.isdisjoint(_types(scripts))


def _unquoted(string: str) -> str:
    """The text of a JSON string's inside, without markup."""
    try:
        text = str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        text = string
    return _MARKUP.sub(" ", text)


def _letters(text: str) -> str:
    return "".join(word_tokens(text))


def shares_with_declared(words: Sequence[Sequence[str]], declared: Declared) -> Iterator[list[float]]:
    """By declared text, for each block 1 where both share a begin, 0 where not, 0.25 too short, -1: no text."""
    letters = ["".join(block_letters) for block_letters in words] if any(declared.texts.values()) else []
    for what in DECLARED:
        declared_text = declared.texts[what]
        begin = declared_text[:_COMPARED]
        yield (
            [
                0.25
                if len(block_letters) < 8
                else float(block_letters[:_COMPARED] in declared_text or begin in block_letters)
                for block_letters in letters
            ]
            if declared_text
            else [-1.0] * len(words)
        )
