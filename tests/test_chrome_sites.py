"""Site chrome on whole made sites: headlines, related links, repeated captions, rows, template text."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from cleancopy.clean import apply_stages, read
from cleancopy.document import Capture
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import TOO_MUCH, learn_chrome

PAGES = 30
NOUNS = [
    "harbour", "lantern", "orchard", "viaduct", "meadow", "quarry",
    "chapel", "windmill", "ferry", "granary", "bridge", "tower",
]  # fmt: skip
ADJECTIVES = [
    "old", "copper", "silent", "northern", "narrow", "painted", "broken", "hidden", "winter", "crooked",
]  # fmt: skip
VERBS = ["stands", "carries", "opens", "turned", "burned", "kept", "lost", "found", "crossed", "served"]
GLUE = ["the", "of", "and", "near", "with", "after", "before", "under", "a", "from", "by", "its"]
HOME = ["Home", "Catalogue", "Artists", "Visit us", "Contact"]
FOOT = ["About the collection", "Terms of use", "Privacy policy", "© 2024 The Collection"]
CAPTION = "The main hall of the collection seen from the gallery in the morning light"


class Work(NamedTuple):
    """A page of the site: its headline, those of three others, table rows, list rows, paragraphs."""

    headline: str
    others: list[str]
    rows: list[tuple[str, str]]
    items: list[str]
    paragraphs: list[str]


def sentence(chance: random.Random, words: int = 14) -> str:
    kinds = (NOUNS, ADJECTIVES, VERBS, GLUE, GLUE)
    return " ".join(chance.choice(chance.choice(kinds)) for _ in range(words)).capitalize() + "."


def works(*, template: bool) -> list[Work]:
    """The pages of a site; with ``template`` their paragraphs differ in names, numbers and dates alone."""
    chance = random.Random(7)
    headlines: list[str] = []
    while len(headlines) < PAGES:
        parts = [chance.choice(kind) for kind in (ADJECTIVES, NOUNS, GLUE, ADJECTIVES, NOUNS)]
        if (headline := " ".join(parts).capitalize()) not in headlines:
            headlines.append(headline)
    return [_work(chance, headline, headlines, template=template) for headline in headlines]


def _work(chance: random.Random, headline: str, headlines: list[str], *, template: bool) -> Work:
    rows = [("Material", chance.choice(NOUNS)), ("Height", f"{chance.randint(10, 300)} cm")]
    items = [f"{chance.choice(NOUNS).capitalize()} {chance.randint(1950, 2020)}" for _ in range(4)]
    same = random.Random(3)
    paragraphs = [" ".join(sentence(chance) for _ in range(3)) for _ in range(3)]
    if template:
        paragraphs = [
            f"{sentence(same)} On {chance.randint(1, 28)} May {chance.randint(1900, 2020)} the "
            f"{chance.choice(NOUNS)} of {chance.choice(NOUNS).capitalize()} {sentence(same)}"
            for _ in range(3)
        ]
    return Work(headline, chance.sample([h for h in headlines if h != headline], 3), rows, items, paragraphs)


def markup(work: Work, *, first: bool, landmarks: bool) -> str:
    """The page as HTML: the related links before or after the content, with or without landmarks."""
    nav, main, aside, footer = ("nav", "main", "aside", "footer") if landmarks else ("div",) * 4
    figure = f"<figure><img src='/hall.jpg' alt=''><figcaption>{CAPTION}</figcaption></figure>"
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in work.rows)
    items = "".join(f"<li>{item}</li>" for item in work.items)
    texts = [f"{figure}<p>{paragraph}</p>" for paragraph in work.paragraphs]
    body = f"<{main}><h1>{work.headline}</h1>{''.join(texts)}<table>{table}</table><ul>{items}</ul></{main}>"
    links = "".join(f"<li><a href='/{n}'>{other}</a></li>" for n, other in enumerate(work.others))
    side = f"<{aside}><h2>More works</h2><ul>{links}</ul></{aside}>"
    menu = "".join(f"<li><a href='/{n}'>{label}</a></li>" for n, label in enumerate(HOME))
    foot = "".join(f"<p>{line}</p>" for line in FOOT)
    middle = side + body if first else body + side
    return (
        f"<html><head><title>{work.headline} | The Collection</title></head>"
        f"<body><{nav}><ul>{menu}</ul></{nav}>{middle}<{footer}>{foot}</{footer}></body></html>"
    )


def lines(work: Work, *, first: bool) -> str:
    """The page as its visible lines."""
    body = [work.headline]
    for paragraph in work.paragraphs:
        body += [paragraph]
    body += [*(f"{name} | {value}" for name, value in work.rows), *work.items]
    side = ["More works", *work.others]
    return "\n\n".join([*HOME, *(side + body if first else body + side), *FOOT])


def cleaned(pages: list[str], media_type: str) -> list[list[str]]:
    """The lines of the clean texts under the chrome of the pages themselves."""
    addresses = [f"https://works.example/{n}" for n in range(len(pages))]
    documents = [
        read(Capture(page.encode(), key=url, url=url, media_type=media_type, site="works.example"), Policy())
        for page, url in zip(pages, addresses, strict=True)
    ]
    chrome = learn_chrome(documents, site="works.example")
    return [apply_stages(document, Policy(), chrome).clean.splitlines() for document in documents]


@pytest.mark.parametrize("template", [False, True], ids=["prose", "template"])
@pytest.mark.parametrize("first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("form", ["landmarks", "divs", "text"])
def test_a_site_keeps_headlines_and_rows_and_loses_its_related_links(
    form: str, first: bool, template: bool
) -> None:
    site = works(template=template)
    if form == "text":
        texts = cleaned([lines(work, first=first) for work in site], "text/plain")
    else:
        pages = [markup(work, first=first, landmarks=form == "landmarks") for work in site]
        texts = cleaned(pages, "text/html")
    kept = 0
    for work, text in zip(site, texts, strict=True):
        assert text.count(work.headline) == 1
        assert not set(work.others) & set(text), "no related link stays"
        assert not {*HOME, *FOOT} & set(text)
        whole = "\n".join(text)
        assert all(value in whole for _, value in work.rows)
        assert all(item in whole for item in work.items)
        if form != "text":
            assert sum(line.startswith(CAPTION) for line in text) == 1
        kept += sum(paragraph in text for paragraph in work.paragraphs)
    assert kept >= 0.95 * 3 * PAGES


def test_chrome_stops_before_it_takes_most_of_the_content() -> None:
    shared = [sentence(random.Random(n), 40) for n in range(3)]
    pages = [
        f"<html><head><title>{work.headline}</title></head><body><main><h1>{work.headline}</h1>"
        f"<p>{work.paragraphs[0]}</p>{''.join(f'<p>{text}</p>' for text in shared)}</main></body></html>"
        for work in works(template=False)[:8]
    ]
    documents = [
        read(Capture(page.encode(), key=str(n), media_type="text/html", site="works.example"), Policy())
        for n, page in enumerate(pages)
    ]
    chrome = learn_chrome(documents, site="works.example")
    for document in documents:
        result = apply_stages(document, Policy(), chrome)
        assert all(text in result.clean for text in shared)
        assert [note.partition(":")[0] for note in result.notes] == [TOO_MUCH]
        assert apply_stages(result, Policy(), chrome).notes == result.notes, "said once"
