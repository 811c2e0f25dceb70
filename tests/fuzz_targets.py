"""What must hold for any bytes at all, one function a target: for the fuzzer, and for what it found.

    TARGETS[name](data)     returns, or raises what shows a fault

A ``Rejection`` is a right answer and never comes out of a target; any other exception does, and an
``AssertionError`` where a promise is broken: text lost, a repair that cannot be taken back, a sound record that
is not found again behind a damaged one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from cleancopy.document import Capture
from cleancopy.errors import Rejection
from cleancopy.extract.elements import chosen, ruby_text
from cleancopy.extract.encoding import decode, looks_binary, repair, restore
from cleancopy.extract.hidden import is_hidden
from cleancopy.extract.html import NOT_TEXT, read_html, read_plain
from cleancopy.extract.limits import check_markup, inflate
from cleancopy.extract.mathml import tex_of
from cleancopy.policy import Limits
from cleancopy.sources.lists import read_list
from cleancopy.sources.web.links import read_links
from cleancopy.sources.web.robots import rules_of
from cleancopy.warc.reader import read_records

#: Small limits: what is to be found is found in small inputs, sooner.
LIMITS = Limits(payload_bytes=200_000, inflated_bytes=1_000_000, tags=20_000)
_LABELS = (
    None,
    "utf-8",
    "iso-8859-1",
    "shift_jis",
    "utf-16",
    "iso-2022-jp",
    "gbk",
    "zlib_codec",
    "x\0y",
    "koi8-r",
)


def decoded(data: bytes) -> None:
    """Any bytes have a text without lone surrogates, and every repair of it can be taken back."""
    choice, payload = data[:1] or b"\0", data[1:]
    label, markup = _LABELS[choice[0] % len(_LABELS)], choice[0] >= 128
    looks_binary(payload)
    text, decoding = decode(payload, declared=label, html=markup)
    text.encode()
    assert decoding.replaced == text.count("\ufffd") or decoding.rule in ("utf-8", "declared")
    for code in (False, True):
        repaired, edits = repair(text, code=code)
        assert restore(repaired, edits) == text, "a repair cannot be taken back"
        assert repair(repaired, code=code)[0] == repaired, "a repair that needs another repair"


def page(data: bytes) -> None:
    """The page text of markup has every character that its tree shows, and blocks that cover it."""
    markup = decode(data, html=True)[0]
    with suppress(Rejection):
        check_markup(markup, LIMITS)
        read = read_html(markup, repair=False, limits=LIMITS)
        assert read.tree is not None
        _covered(read.text, [(block.start, block.end) for block in read.blocks])
        assert _marks(read.text) in _shown(read.tree), "text of the page is lost, or was not in it"
    plain = read_plain(markup, repair=False)
    _covered(plain.text, [(block.start, block.end) for block in plain.blocks])
    assert "".join(plain.text.split()) == "".join(markup.split())


def archive(data: bytes) -> None:
    """Bytes put into an archive cost no sound record before or behind them."""
    if b"WARC/" in data or len(data) > LIMITS.payload_bytes // 2:
        _gives(data)
        return
    pack: Callable[[bytes], bytes]
    for pack in (bytes, _member):
        made = pack(_record(0)) + data + pack(_record(1)) + pack(_record(2))
        lost = {f"http://site.test/{number}" for number in range(3)} - _gives(made)
        assert not lost, f"{sorted(lost)} was lost beside what is no record"


def torn(data: bytes) -> None:
    """A stretch of an archive that is overwritten costs the records that it touches, and no other."""
    if len(data) < 4:
        return
    whole = [gzip.compress(_record(number), mtime=0) for number in range(5)]
    size = len(whole[0])
    made = bytearray(b"".join(whole))
    start = int.from_bytes(data[:3], "big") % len(made)
    harm = data[3 : 3 + 2 * size]
    made[start : start + len(harm)] = harm
    edges = [0]
    for one in whole:
        edges.append(edges[-1] + len(one))
    touched = {number for number in range(5) if edges[number] < start + len(harm) and start < edges[number + 1]}
    lost = {f"http://site.test/{number}" for number in range(5) if number not in touched} - _gives(bytes(made))
    assert not lost, f"{sorted(lost)} was lost, though damage touched only {sorted(touched)}"


def lists(data: bytes) -> None:
    """A sitemap, feed or list is read as addresses, or refused."""
    with suppress(Rejection):
        found = read_list(data, "https://site.test/feeds/all.xml", LIMITS)
        assert all(isinstance(url, str) and url for url in (*found.pages, *found.lists))
        assert not any("ZOO-SECRET" in url for url in (*found.pages, *found.lists))


def links(data: bytes) -> None:
    """The links of a page are web addresses without fragments, or it is refused."""
    with suppress(Rejection):
        for link in read_links(data, "https://site.test/a/b", LIMITS):
            assert link.startswith(("http://", "https://"))
            assert "#" not in link


def robots(data: bytes) -> None:
    """A robots.txt of any bytes says yes or no, and a delay that can be waited for."""
    rules = rules_of(200, data)
    assert rules.allows("https://site.test/a?b=c") in (True, False)
    assert rules.delay >= 0
    assert all(isinstance(one, str) for one in rules.sitemaps)


def inflated(data: bytes) -> None:
    """Compressed data gives at most what is allowed, or is refused."""
    for coding in ("gzip", "deflate", "br", "zstd"):
        with suppress(Rejection):
            got = inflate(data, coding, LIMITS)
            assert len(got) <= max(LIMITS.inflated_bytes, 200 * len(data))


_NAMES = (
    *("p", "div", "span", "b", "a", "pre", "code", "table", "tr", "td", "ul", "li", "br", "noscript", "script"),
    *("h1", "blockquote", "figcaption", "button", "select", "textarea", "title", "body", "html", "svg", "x-y"),
)
_TAGS = st.sampled_from(_NAMES)
_PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [" ", "\n", "&nbsp;", "&lt;", "&amp", "&#0;", "&#x85;", "\u200b", "\xa0", "|", "<!-- x -->"]
    ),
    _TAGS.map("<{}>".format),
    _TAGS.map("</{}>".format),
    _TAGS.map("<{} class='caption' style=x/>".format),
    st.sampled_from(["<!doctype html>", "<![CDATA[", "]]>", "<?x?>", "<", ">", "<a href='/'>", "<p hidden>"]),
)


@given(st.lists(_PIECES, max_size=40).map("".join))
def made(markup: str) -> None:
    """As ``page``, for markup that is put together from tags and texts."""
    page(markup.encode("utf-8", "surrogatepass"))


def _made(data: bytes) -> None:
    made.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "decode": decoded,
    "page": page,
    "made": _made,
    "archive": archive,
    "torn": torn,
    "lists": lists,
    "links": links,
    "robots": robots,
    "inflate": inflated,
}


# ---- what a page shows, told without the walk under test


def _shown(tree: html.HtmlElement) -> set[str]:
    """The texts that the page text may be: without and with noscript, without and with what is hidden."""
    body = tree.find("body")
    root = tree if body is None else body
    return {
        _marks("".join(_texts(root, without, with_hidden)))
        for without in (NOT_TEXT | {"noscript"}, NOT_TEXT)
        for with_hidden in (False, True)
    }


def _texts(root: html.HtmlElement, without: frozenset[str], with_hidden: bool) -> Iterator[str]:
    """Depth first, with a stack: text, children, tail; what is read as a whole is read by what reads it."""
    stack: list[tuple[html.HtmlElement, bool]] = [(root, False)]
    while stack:
        element, is_tail = stack.pop()
        if is_tail:
            yield element.tail or ""
            continue
        if element is not root:
            stack.append((element, True))
        if element.tag in without or (not with_hidden and is_hidden(element, element.get("style"))):
            continue
        if element.tag == "select":
            yield chosen(element)
        elif element.tag == "ruby":
            word, _, reading = ruby_text(element)
            yield word + reading
        elif element.tag == "math" and (tex := tex_of(element)):
            yield tex
        else:
            yield element.text or ""
            stack += [(child, False) for child in reversed(element)]


def _marks(text: str) -> str:
    """A text without white space, and without the bars that set the cells of a row apart."""
    return "".join(text.split()).replace("|", "")


def _covered(text: str, ranges: list[tuple[int, int]]) -> None:
    """Blocks stand in order, and nothing but white space lies between them."""
    position = 0
    for start, end in ranges:
        assert position <= start < end <= len(text)
        assert not text[position:start].strip()
        position = end
    assert not text[position:].strip()


# ---- archives


def _record(number: int) -> bytes:
    page_ = b"<!doctype html><p>Tide table %d: high water at the quay twice a day.</p>" % number
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page_
    digest = hashlib.sha1(block, usedforsecurity=False).hexdigest().encode()
    head = (
        b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:%032d>\r\n"
        b"WARC-Date: 2026-01-01T00:00:00Z\r\n"
        b"WARC-Target-URI: http://site.test/%d\r\nWARC-Block-Digest: sha1:%s\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
    ) % (number, number, digest, len(block))
    return head + block + b"\r\n\r\n"


def _member(record: bytes) -> bytes:
    return gzip.compress(record, mtime=0)


def _gives(made: bytes) -> set[str]:
    """The addresses of the pages that come out of an archive."""
    found = read_records(io.BytesIO(made), "made.warc", LIMITS)
    return {one.url for one in found if isinstance(one, Capture) and one.url}
