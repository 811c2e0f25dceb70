"""What a page says of itself, by example: who speaks first, what is refused, what hostile pages cannot do."""

from __future__ import annotations

import gzip
import json

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import HtmlElement

from cleancopy.document import Metadata
from cleancopy.extract.metadata import read_metadata, read_text_metadata
from conftest import corpus

URL = "https://www.example.org/news/story"
PROSE = (
    "The survey was published on Tuesday, and its figures show that the traffic in the northern channel rose "
    "by eleven per cent over a year. "
)


def parse(head: str = "", body: str = "", html: str = '<html lang="en">') -> HtmlElement:
    return lxml.html.document_fromstring(f"<!DOCTYPE html>{html}<head>{head}</head><body>{body}</body></html>")


def read(head: str = "", body: str = "", *, url: str | None = URL) -> Metadata:
    return read_metadata(parse(head, body), url=url)


def ld(*nodes: object) -> str:
    """A JSON-LD script of one node, or of a graph of several."""
    graph = nodes[0] if len(nodes) == 1 else {"@context": "https://schema.org", "@graph": list(nodes)}
    escaped = json.dumps(graph).replace("</", "<\\/")
    return f'<script type="application/ld+json">{escaped}</script>'


def meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{content}">'


def article(**fields: object) -> dict[str, object]:
    return {"@type": "NewsArticle", "headline": "Harbour survey", **fields}


# --- title --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>Harbour survey</title>", "", "Harbour survey"),
        ("<title>Harbour survey | Example</title>", "", "Harbour survey"),
        ("<title>Example: Harbour survey</title>", "", "Harbour survey"),
        ("<title>Harbour survey – Example News</title>", "", "Harbour survey"),
        ("<title>Harbour survey | Second part</title>", "", "Harbour survey | Second part"),
        ("<title>Harbour survey, all figures</title>", "<h1>Harbour survey</h1>", "Harbour survey"),
        ("<title>Harbour survey</title>", "<h1>Example</h1><h1>Harbour survey</h1>", "Harbour survey"),
        ("<title>Harbour survey</title>", "<h1>Example</h1>", "Harbour survey"),
        ('<meta property="og:title" content="Harbour survey"><title>home</title>', "", "Harbour survey"),
        (ld(article()), "", "Harbour survey"),
        ("", "<h1>Harbour<br>survey</h1>", "Harbour survey"),
        ("", "<h1>Harbour <!-- x -->sur<b>vey</b><script>x()</script></h1>", "Harbour survey"),
        ("", "<svg><title>Menu</title></svg><p>text</p>", None),
        ("<title>Vector&lt;int&gt; explained</title>", "", "Vector<int> explained"),
        ("<title>Example</title>", "", "Example"),
        ("<title>A survey of harbours | Harbours</title>", "", "A survey of harbours"),
        ("", "<h1>A survey of harbours | Part one</h1>", "A survey of harbours"),
        (
            '<meta property="og:title" content="Harbour survey"><title>Sea Notes: Harbour survey</title>',
            "<h1>Sea Notes</h1>",
            "Harbour survey",
        ),
        ('<meta property="og:title" content="Example"><title>Example</title>', "<h1>Harbours</h1>", "Harbours"),
        ("<title>| Example</title>", "<h1>Harbours</h1>", "Harbours"),
        (
            meta("og:site_name", "Harbours: a survey | Sea") + "<title>Harbours: a survey | Sea</title>",
            "<h1>Harbours: a survey</h1>",
            "Harbours: a survey",
        ),
    ],
)
def test_title(head: str, body: str, title: str | None) -> None:
    assert read(head, body).title == title


# --- author -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "body", "author"),
    [
        (ld(article(author={"@type": "Person", "name": "A. Writer"})), "", "A. Writer"),
        (ld(article(author=[{"name": "A. One"}, "B. Two", {"name": "A. One"}])), "", "A. One; B. Two"),
        (ld(article(author={"givenName": "Ann", "familyName": "Writer"})), "", "Ann Writer"),
        (ld(article(author={"@id": "#1"}), {"@type": "Person", "@id": "#1", "name": "A. One"}), "", "A. One"),
        ('<meta name="author" content="By A. Writer">', "", "A. Writer"),
        (meta("citation_author", "A. One") + meta("citation_author", "B. Two"), "", "A. One; B. Two"),
        ('<meta name="parsely-author" content="A. Writer">', "", "A. Writer"),
        ('<meta property="article:author" content="https://social.example/writer">', "", None),
        ('<meta name="author" content="writer@example.org">', "", None),
        ('<meta name="author" content="admin">', "", None),
        (meta("twitter:label1", "Written by") + meta("twitter:data1", "A. Writer"), "", "A. Writer"),
        (meta("twitter:label1", "Time") + meta("twitter:data1", "9 minutes"), "", None),
        ("", '<h1>Harbour survey</h1><p class="byline">By Ann Writer | 3 May 2024</p>', "Ann Writer"),
        ("", '<h1>Harbour survey</h1><p><span>By</span> <a href="/ann">Ann Writer</a></p>', "Ann Writer"),
        ("", "<h1>Harbour survey</h1><p>Written by Ann Writer</p>", "Ann Writer"),
        ("", '<h1>Survey</h1><div itemprop="author"><i>9 posts</i><b itemprop="name">ann9</b></div>', "ann9"),
        ("", '<p>text</p><a rel="author" href="/ann">Ann Writer</a>', "Ann Writer"),
        ("", "<h1>Harbour survey</h1><p>By the sea, by and by, they counted ships.</p>", None),
        ("", '<h1>Harbour survey</h1><div class="comments"><b class="author">Reader</b></div>', None),
        ("", "<h1>Harbour survey</h1><p>Shop by category</p>", None),
    ],
)  # fmt: skip
def test_author(head: str, body: str, author: str | None) -> None:
    assert read(head, body).author == author


def test_a_person_in_the_byline_is_preferred_to_the_site_as_author() -> None:
    head = '<meta property="og:site_name" content="Example News"><meta name="author" content="Example News">'
    assert read(head, '<h1>Harbour survey</h1><p class="author">Ann Writer</p>').author == "Ann Writer"
    assert read(head, "<h1>Harbour survey</h1>").author == "Example News"


# --- date ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("2024-05-03", "2024-05-03"),
        ("2024-05-03T07:08:09Z", "2024-05-03T07:08:09+00:00"),
        ("2024-05-03T07:08:09.123+0200", "2024-05-03T07:08:09+02:00"),
        ("2024-05-03 07:08", "2024-05-03T07:08:00"),
        ("2024-05-03T25:99", "2024-05-03"),
        ("2024/5/3", "2024-05-03"),
        ("20240503", "2024-05-03"),
        ("May 3rd, 2024", "2024-05-03"),
        ("Fri, 3 May 2024 07:08:09 GMT", "2024-05-03"),
        ("3. Mai 2024", "2024-05-03"),
        ("3 août 2024", "2024-08-03"),
        ("3 de mayo de 2024", "2024-05-03"),
        ("2024 May 3", "2024-05-03"),
        ("03.05.2024", "2024-05-03"),
        ("05/30/2024", "2024-05-30"),
        ("05/03/2024", None),
        ("2024-02-30", None),
        ("1970-01-01T00:00:00Z", None),
        ("0001-01-01", None),
        ("yesterday", None),
    ],
)
def test_date_forms(said: str, date: str | None) -> None:
    assert read(f'<meta property="article:published_time" content="{said}">').date == date


@pytest.mark.parametrize(
    ("head", "body", "date"),
    [
        (ld(article(datePublished="2024-05-03", dateModified="2025-01-01")), "", "2024-05-03"),
        (ld({"@type": "Product", "name": "Lamp", "releaseDate": "2024-05-03"}), "", None),
        (ld(article(dateModified="2025-01-01")), "", "2025-01-01"),
        ("", '<h1>Survey</h1><time datetime="2024-05-03">Friday</time>', "2024-05-03"),
        ("", '<h1>Survey</h1><time class="updated" datetime="2025-01-01"></time>'
             '<time class="published" datetime="2024-05-03"></time>', "2024-05-03"),
        ("", "<h1>Survey</h1><p>Updated May 9, 2025</p><p>May 3, 2024</p>", "2024-05-03"),
        ("", f"<h1>Survey</h1><p>{PROSE}It began on May 3, 2024, in the north.</p>", None),
        ("", "<h1>Survey</h1><p>© 2024-05-03 Example</p>", "2024-05-03"),
    ],
)  # fmt: skip
def test_date_sources(head: str, body: str, date: str | None) -> None:
    assert read(head, body).date == date


def test_the_path_of_the_address_may_hold_the_date() -> None:
    assert read(url="https://www.example.org/2024/05/03/story").date == "2024-05-03"
    assert read(url="https://www.example.org/2024/55/03/story").date is None


# --- site name, description, language -----------------------------------------------------------------------


def test_site_name_and_description() -> None:
    found = read(
        '<meta property="og:site_name" content="Example News">'
        '<meta name="description" content="Tom &amp;amp; Jerry,&#10; in &lt;b&gt;short&lt;/b&gt;">'
    )
    assert (found.site_name, found.description) == ("Example News", "Tom & Jerry, in short")
    assert read(ld({"@type": "WebSite", "name": "Example News"}, article())).site_name == "Example News"
    assert read(ld(article(publisher={"name": "Example Press"}))).site_name == "Example Press"


@pytest.mark.parametrize(
    ("html", "head", "language"),
    [
        ('<html lang="en-us">', "", "en-US"),
        ('<html lang="zh_hant-tw">', "", "zh-Hant-TW"),
        ('<html lang="{{lang}}">', '<meta http-equiv="content-language" content="de">', "de"),
        ("<html>", '<meta property="og:locale" content="pt_BR">', "pt-BR"),
        ("<html>", ld(article(inLanguage="fr")), "fr"),
        ("<html>", "", None),
    ],
)
def test_language(html: str, head: str, language: str | None) -> None:
    assert read_metadata(parse(head, html=html)).language == language


# --- licence and address ------------------------------------------------------------------------------------

CC = "creativecommons.org"


@pytest.mark.parametrize(
    ("head", "body", "licence"),
    [
        (f'<link rel="license" href="https://{CC}/licenses/by-sa/4.0/">', "", "CC-BY-SA-4.0"),
        (f'<link rel="license" href="http://{CC}/licenses/by/3.0/us/deed.en">', "", "CC-BY-3.0-US"),
        ("", f'<a rel="license nofollow" href="https://{CC}/publicdomain/zero/1.0/">CC0</a>', "CC0-1.0"),
        ('<meta name="dcterms.license" content="CC BY-NC 4.0">', "", "CC-BY-NC-4.0"),
        ('<link rel="license" href="/terms">', "", "https://www.example.org/terms"),
        (ld(article(license=f"https://{CC}/licenses/by/4.0/")), "", "CC-BY-4.0"),
        ('<meta name="dc.rights" content="Copyright">', "", None),
        ("", "<p>All rights reserved.</p>", None),
        ("", f'<figure><a rel="license" href="https://{CC}/licenses/by/4.0/">photo</a></figure>', None),
        (f'<link rel="license" href="https://{CC}/licenses/by/4.0/">',
         f'<a rel="license" href="http://{CC}/licenses/by/4.0/deed.de">CC</a>', "CC-BY-4.0"),
        (f'<link rel="license" href="https://{CC}/licenses/by/4.0/">',
         f'<a rel="license" href="https://{CC}/licenses/by-nc/4.0/">CC</a>', "conflict"),
        (f'<link rel="license" href="https://{CC}/publicdomain/zero/1.0/">',
         "<p>All rights reserved. No part may be copied.</p>", "conflict"),
    ],
)  # fmt: skip
def test_licence(head: str, body: str, licence: str | None) -> None:
    assert read(head, body).licence == licence


@pytest.mark.parametrize(
    ("href", "canonical"),
    [
        ("https://www.example.org/a", "https://www.example.org/a"),
        ("/a?b=c#d", "https://www.example.org/a?b=c"),
        ("//cdn.example.org/a", "https://cdn.example.org/a"),
        ("https://elsewhere.example/real", "https://elsewhere.example/real"),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("data:text/html,x", None),
        ("https://user:secret@example.org/", None),
        ("https:///nowhere", None),
        ("http://[::1", None),
        ("https://example.org/a b", None),
        ("https://example.org/" + "a" * 5000, None),
    ],
)
def test_canonical_url(href: str, canonical: str | None) -> None:
    assert read(f'<link rel="canonical" href="{href}">').canonical_url == canonical


def test_a_canonical_that_lies_with_its_base_and_refresh() -> None:
    head = (
        '<link rel="canonical" href="javascript:alert(1)"><meta property="og:url" content="file:///etc/passwd">'
        '<base href="javascript:alert(1)//"><meta http-equiv="refresh" content="0;url=file:///etc/passwd">'
    )
    assert read(head).canonical_url is None
    assert read('<link rel="canonical" href="/a">', url=None).canonical_url is None


# --- hostile pages ------------------------------------------------------------------------------------------


def test_json_ld_nested_a_hundred_thousand_levels_deep() -> None:
    deep = '{"@graph":[' * 100_000 + "1" + "]}" * 100_000
    found = read(
        f'<script type="application/ld+json">{deep}</script><title>Harbour survey</title>' + ld(article())
    )
    assert found.title == "Harbour survey"


@pytest.mark.parametrize("size", [10_000, 70_000])
def test_json_ld_of_many_nodes_or_megabytes_leaves_the_rest_readable(size: int) -> None:
    many = json.dumps([article(author="X")] * size)
    found = read(f'<script type="application/ld+json">{many}</script><meta name="author" content="Ann Writer">')
    assert found.author == "Ann Writer"


@pytest.mark.parametrize(
    "script",
    ["", "{", "[]", "null", "1", '"x"', '{"@type": 5}', '{"@type": ["Article"], "headline": [], "author": 7}',
     '{"@type": "Article", "author": {"name": {"name": {}}}, "license": [[]], "datePublished": {}}',
     '{"@type": "Article", "author": [[["x"]]], "publisher": [], "mainEntity": [null, [1]]}',
     '{"@type": "Article", "headline": ' + "9" * 10_000 + "}"],
)  # fmt: skip
def test_json_ld_of_the_wrong_shape_is_silence(script: str) -> None:
    found = read(f'<script type="application/ld+json">{script}</script>')
    assert (found.title, found.author, found.date, found.licence) == (None, None, None, None)


def test_values_are_one_line_without_controls_and_capped() -> None:
    found = read(
        "<title>x&#13;&#10;2026-01-01 ERROR all deleted&#10;{&quot;status&quot;:&quot;ok&quot;}</title>"
        '<meta name="author" content="' + "By a and, " * 20_000 + '">'
        '<meta name="description" content="a&#x202e;b&#x200b;c&#xfeff;&#x7f;' + "d " * 9000 + '">'
    )
    assert found.title == 'x 2026-01-01 ERROR all deleted {"status":"ok"}'
    assert found.author is not None
    assert len(found.author) <= 300
    assert found.description is not None
    assert found.description.startswith("abcd")
    assert len(found.description) <= 2000


@pytest.mark.parametrize(
    "said",
    [
        "<script>alert(1)</script>survey",
        "<scr<script>ipt>survey",
        "<scr\u200bipt>survey",
        "&lt;img src=x&gt;survey",
    ],
)
def test_no_value_is_html(said: str) -> None:
    found = read(ld(article(headline=said, author=said, description=said)))
    for value in (found.title, found.author, found.description):
        assert value is not None
        assert "survey" in value
        assert "<script" not in value
        assert "<img" not in value


def test_lone_surrogates_do_not_leave_json_ld() -> None:
    found = read(r'<script type="application/ld+json">{"@type":"Article","headline":"a\ud800b"}</script>')
    assert found.title == "ab"


def test_the_tree_stays_as_it_is() -> None:
    head = ld(article(author="A. Writer")) + "<title>Harbour survey</title>"
    body = '<h1>Harbour <b>survey</b></h1><p class="byline">By <!-- x -->Ann</p><time>May 3, 2024</time>'
    tree = parse(head, body)
    before = lxml.html.tostring(tree)
    read_metadata(tree, url=URL)
    assert lxml.html.tostring(tree) == before


PIECES = [
    "<h1>", "</h1>", "<div class=author>", "</div>", '<meta name="author" content="', '">', "<time datetime='",
    "'>", '<script type="application/ld+json">', "</script>", '{"@type":"Article","author":', "}", "[",
    '"By x"', "By ", '<link rel=canonical href="', "http://", "[::1", "<title>", "</title>", " | ",
    "2024-05-03", "&#0;", "&lt;b&gt;",
]  # fmt: skip
MARKUP = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=40).map("".join)


@given(MARKUP)
def test_no_page_raises_and_every_value_is_plain_and_capped(markup: str) -> None:
    found = read(body=markup.replace("\x00", ""))
    caps = {"title": 500, "author": 300, "date": 25, "site_name": 200, "description": 2000, "language": 40}
    for name in Metadata._fields:
        value = getattr(found, name)
        if value is not None:
            assert value
            assert value == " ".join(value.split())
            assert len(value) <= caps.get(name, 2000)
            value.encode()


# --- plain text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"Harbour survey shows growth\n\n{PROSE * 3}", "Harbour survey shows growth"),
        ("# Harbour survey #\n\ntext", "Harbour survey"),
        ("Title: Harbour survey\nAuthor: x", "Harbour survey"),
        ("Harbour survey\n=====\ntext", "Harbour survey"),
        (
            f"Harbour survey shows growth\nPublished on May 3, 2024\nships data\n\n{PROSE * 3}",
            "Harbour survey shows growth",
        ),
        (f"Harbour survey shows growth\nBy Ann Writer\n\n{PROSE * 3}", "Harbour survey shows growth"),
        (
            f"2024\nHarbour survey shows growth\nHarbour survey shows growth\n{PROSE * 3}",
            "Harbour survey shows growth",
        ),
        (f"Harbour survey sh…\nHarbour survey shows growth\nShare\n{PROSE * 3}", "Harbour survey shows growth"),
        (
            f"港口调查显示今年增长\n{'调查结果于周二公布，北部航道的交通量一年增加了百分之十一。' * 3}",
            "港口调查显示今年增长",
        ),
        (f"An official site of the state\nHere is how you know\n\n{PROSE * 3}", None),
        (f"{PROSE}\n\n{PROSE * 3}", None),
        (f"It rained all day.\n\n{PROSE * 3}", None),
        ("one two three\nfour five six\n", None),
        ("", None),
    ],
)
def test_the_headline_of_plain_text(text: str, title: str | None) -> None:
    assert read_text_metadata(text) == Metadata(title=title)


# --- real pages ---------------------------------------------------------------------------------------------


def test_titles_and_authors_of_real_pages_stay_as_good_as_measured() -> None:
    folder = corpus("corpora/wcxb")
    known = {"title": 0, "author": 0}
    right = dict(known)
    for truth in sorted((folder / "ground-truth").glob("*.json"))[::8]:
        page = json.loads(truth.read_text(encoding="utf-8"))
        html = gzip.decompress((folder / "html" / f"{truth.stem}.html.gz").read_bytes())
        parser = lxml.html.HTMLParser(encoding="utf-8")
        found = read_metadata(lxml.html.document_fromstring(html, parser=parser), url=page.get("url"))
        for field in known:
            value = page["ground_truth"].get(field)
            if value:
                known[field] += 1
                right[field] += (getattr(found, field) or "").casefold() == value.casefold()
    assert right["title"] / known["title"] > 0.65
    assert right["author"] / known["author"] > 0.65
