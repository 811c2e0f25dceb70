"""The whole way of one document."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy import Capture, Document, Policy, Rejection, RejectReason, clean_page, learn_chrome
from cleancopy.clean import apply_stages, read
from cleancopy.policy import ContentPolicy
from test_document import restored

PAGE = """<html lang="en"><head><title>Tide tables | Example</title></head><body>
<nav><a href="/">Home</a> <a href="/x">Index</a></nav>
<article><h1>Tide tables</h1><p>A tide table lists the times of high and low water for every day of the year at
one port, and the height of each above chart datum.</p><p>Between these times the water does not rise evenly: it
is slow at first, fast in the middle hours and slow again at the end.</p></article>
<footer><p>Example footer</p></footer></body></html>"""
WORDS = st.sampled_from(["tide", "water", "Home", "2026", "photo by x", "Menu", "high water at noon", "©"])


TAGS = st.sampled_from(["p", "h2", "li", "figcaption", "td", "pre"])


@given(st.lists(st.tuples(TAGS, st.lists(WORDS)), max_size=12))
def test_clean_text_and_cuts_are_the_page_text_whatever_the_page(blocks: list[tuple[str, list[str]]]) -> None:
    inner = "".join(f"<{tag}>{' '.join(words)}</{tag}>" for tag, words in blocks)
    markup = f"<html><body>{inner}</body></html>"
    try:
        document = clean_page(markup, policy=Policy(content=ContentPolicy(method="all")))
    except Rejection:
        assert "high water at noon" not in inner
        return
    assert restored(document) == document.text
    assert document.clean.endswith("\n")
    assert not document.clean.endswith("\n\n")


def test_the_same_bytes_give_the_same_document_and_deciding_twice_changes_nothing() -> None:
    once, twice = clean_page(PAGE), clean_page(PAGE)
    assert once == twice
    assert apply_stages(once, Policy()) == once


def test_a_document_says_what_it_is() -> None:
    document = clean_page(PAGE, url="https://example.org/tables")
    assert document.metadata.title == "Tide tables"
    assert document.metadata.language == "en"
    assert document.site == "example.org"
    assert document.clean.startswith("Tide tables\n\nA tide table lists")
    assert "Home" not in document.clean
    assert {cut.stage for cut in document.cuts} <= {"chrome", "content"}


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", RejectReason.EMPTY_INPUT),
        (b"\xef\xbb\xbf", RejectReason.EMPTY_INPUT),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), RejectReason.BINARY),
        (b"<html><head><title>x</title></head><body><script>x</script></body></html>", RejectReason.NO_CONTENT),
        (b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1><p>It was not found on this "
         b"server, so there is nothing to read here at all.</p></body></html>", RejectReason.NO_CONTENT),
        (b"<html><body>" + b"<div>" * 400 + b"deep" + b"</div>" * 400, RejectReason.PARSE_DEPTH),
        (b"x" * 10_000_001, RejectReason.TOO_LARGE),
    ],
)  # fmt: skip
def test_what_is_no_page_is_rejected_with_its_kind(payload: bytes, kind: RejectReason) -> None:
    with pytest.raises(Rejection) as error:
        clean_page(payload)
    assert error.value.kind == kind
    assert len(str(error.value)) > 20


def test_a_page_about_errors_is_no_error_page() -> None:
    body = "<p>" + "A server answers with a number that says how it went with the request. " * 9 + "</p>"
    page = f"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1>{body}</body></html>"
    assert "says how it went" in clean_page(page).clean


OWN = (
    "The harbour was dredged in spring, and the channel is deeper than it was for the ships that wait outside.",
    "Two new lamps stand on the northern pier; they can be seen from far away when the air is clear at night.",
    "A bridge over the river will be closed to carts and cars while its planks are taken up and laid again.",
    "The museum shows maps of the coast as it was drawn by the surveyors who first measured its many islands.",
)


def test_what_a_site_repeats_goes_and_what_is_a_page_s_own_stays() -> None:
    pages = [f"Example Council\nHome | News | Contact\n\n{own}\n\nImprint of the council" for own in OWN]
    captures = [Capture(page.encode(), key=str(n), site="s") for n, page in enumerate(pages)]
    documents = [read(capture, Policy()) for capture in captures]
    chrome = learn_chrome(documents, site="s")
    cleaned: list[Document] = [apply_stages(document, Policy(), chrome) for document in documents]
    assert [document.clean for document in cleaned] == [f"{own}\n" for own in OWN]


def test_the_charset_of_the_media_type_counts() -> None:
    payload = (
        PAGE.replace("Example footer", "x").replace("port,", "порт, причал, прилив и отлив,").encode("koi8-r")
    )
    assert "причал, прилив" in clean_page(payload, media_type="text/html; charset=koi8-r").clean


def test_importing_and_cleaning_text_needs_no_store_and_no_prefect() -> None:
    code = (
        "import sys, json, cleancopy; cleancopy.clean_page('A line.'); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"prefect", "pyarrow", "deltalake"} & set(json.loads(done.stdout))
