"""Files, sidecars and web archives: what comes out, and what is refused by which kind."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fastwarc.stream_io import BrotliWriter, ZstdWriter
from hypothesis import example, given
from hypothesis import strategies as st

from cleancopy.document import Capture
from cleancopy.errors import Rejection, RejectReason
from cleancopy.policy import Limits
from cleancopy.sources.files import Input, RejectedInput, find_inputs, printable, read_input
from cleancopy.sources.settings import Source
from cleancopy.warc.address import canonical_url
from cleancopy.warc.choice import Choice
from cleancopy.warc.reader import read_warc
from cleancopy.warc.record import utc_time

LIMITS = Limits()
SMALL = Limits(payload_bytes=2_000, inflated_bytes=4_000)
PAGE = b"<!DOCTYPE html><title>Example</title><p>The quick brown fox jumps over the lazy dog.</p>"


def read(raw: Path, *paths: Path, limits: Limits = LIMITS) -> list[Capture | RejectedInput]:
    return [
        one
        for found in find_inputs(paths, raw)
        for one in ([found] if isinstance(found, RejectedInput) else read_input(found, limits))
    ]


def kinds(outcomes: list[Capture | RejectedInput]) -> dict[str, str]:
    return {one.name: one.kind.value for one in outcomes if isinstance(one, RejectedInput)}


def captures(outcomes: list[Capture | RejectedInput]) -> list[Capture]:
    return [one for one in outcomes if isinstance(one, Capture)]


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# ---- files


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.html", PAGE, "text/html"),
        ("A.HTM", PAGE, "text/html"),
        ("a.xhtml", b'<?xml version="1.0"?>' + PAGE, "application/xhtml+xml"),
        ("a.txt", b"Plain text, and 1 < 2.", "text/plain"),
        ("a.text", b"Plain text.", "text/plain"),
        ("page.txt", PAGE, "text/html"),
        ("words.html", b"No markup at all.", "text/plain"),
        ("none", PAGE, "text/html"),
        ("none", b"No markup at all.", "text/plain"),
        ("index.php?id=3", PAGE, "text/html"),
        ("No. 5 of the list", b"No markup at all.", "text/plain"),
        ("a.html.gz", gzip.compress(PAGE, mtime=0), "text/html"),
        ("a.html", gzip.compress(PAGE, mtime=0), "text/html"),
        ("two.txt.gz", gzip.compress(b"one, ", mtime=0) + gzip.compress(b"two", mtime=0), "text/plain"),
        ("wide.html", ("\ufeff" + PAGE.decode()).encode("utf-16-le"), "text/html"),
    ],
)
def test_a_page_is_known_by_its_name_and_its_bytes(
    tmp_path: Path, name: str, content: bytes, media_type: str
) -> None:
    put(tmp_path / "example.test" / name, content)
    (capture,) = read(tmp_path)
    assert isinstance(capture, Capture)
    assert (capture.media_type, capture.folder, capture.url) == (media_type, "example.test", None)
    assert capture.payload == (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)


BOMB = gzip.compress(bytes(30_000_000), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("empty.html", b"", RejectReason.EMPTY_INPUT),
        ("blank.txt", b"\xef\xbb\xbf \n\t\n", RejectReason.EMPTY_INPUT),
        ("big.html", b"x" * 10_000_001, RejectReason.TOO_LARGE),
        (
            "big.html.gz",
            gzip.compress(b"".join(b"%d " % n for n in range(1_600_000)), 1),
            RejectReason.TOO_LARGE,
        ),
        ("bomb.html", BOMB, RejectReason.DECOMPRESS_LIMIT),
        ("nested.html.gz", gzip.compress(gzip.compress(PAGE), mtime=0), RejectReason.DECOMPRESS_LIMIT),
        ("cut.html.gz", gzip.compress(PAGE, mtime=0)[:-9], RejectReason.BAD_COMPRESSION),
        ("crc.html.gz", gzip.compress(PAGE, mtime=0)[:-8] + bytes(8), RejectReason.BAD_COMPRESSION),
        ("tail.html.gz", gzip.compress(PAGE, mtime=0) + b"tail", RejectReason.BAD_COMPRESSION),
        ("a.zip", b"PK\x03\x04" + bytes(100), RejectReason.BINARY),
        ("a.html", b"\x89PNG\r\n\x1a\n" + bytes(100), RejectReason.BINARY),
        ("a.json", b'{"a": 1}', RejectReason.NOT_HTML),
        ("style.css", b"p { color: red }", RejectReason.NOT_HTML),
        ("sitemap.xml", b"<?xml version='1.0'?><urlset><url/></urlset>", RejectReason.NOT_HTML),
        ("feed", b"<rss version='2.0'><channel/></rss>", RejectReason.NOT_HTML),
        ("lol.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><rss>&b;</rss>", RejectReason.XML_ENTITY),
        ("page.html.part", PAGE, RejectReason.IGNORED),
        ("page.html.crdownload", PAGE, RejectReason.IGNORED),
        ("page.html~", PAGE, RejectReason.IGNORED),
        (".page.html", PAGE, RejectReason.IGNORED),
    ],
)
def test_what_is_no_page_is_refused_by_kind(
    tmp_path: Path, name: str, content: bytes, kind: RejectReason
) -> None:
    put(tmp_path / name, content)
    (refusal,) = read(tmp_path)
    assert isinstance(refusal, RejectedInput)
    assert (refusal.name, refusal.kind, refusal.member) == (name, kind, "")
    assert refusal.message.startswith(f"{name}: ")


def test_refused_bytes_are_handed_on_to_be_archived_unless_too_many(tmp_path: Path) -> None:
    put(tmp_path / "a.html", b"%PDF-1.7 " + bytes(50))
    put(tmp_path / "b.html", b"x" * 3_000)
    pdf, large = read(tmp_path, limits=SMALL)
    assert isinstance(pdf, RejectedInput)
    assert isinstance(large, RejectedInput)
    assert pdf.payload == b"%PDF-1.7 " + bytes(50)
    assert (large.kind, large.payload) == (RejectReason.TOO_LARGE, None)


def test_nothing_is_reached_through_links_and_nothing_special_is_opened(tmp_path: Path) -> None:
    secret = put(tmp_path / "outside" / "secret.html", PAGE)
    raw = tmp_path / "raw"
    put(raw / "good.html", PAGE)
    (raw / "file.html").symlink_to(secret)
    (raw / "folder").symlink_to(secret.parent)
    (raw / "loop").symlink_to(raw)
    os.mkfifo(raw / "pipe.html")
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(raw)
        unix.bind("socket.html")
        os.chdir(here)
    outcomes = read(raw)
    assert kinds(outcomes) == {
        "file.html": "unsafe_path",
        "folder": "unsafe_path",
        "loop": "unsafe_path",
        "pipe.html": "special_file",
        "socket.html": "special_file",
    }
    assert [one.key for one in captures(outcomes)] == ["file:good.html"]
    assert kinds(read(raw, raw / "folder" / "secret.html")) == {"folder/secret.html": "unsafe_path"}


def test_a_link_put_there_after_finding_is_not_followed(tmp_path: Path) -> None:
    secret = put(tmp_path / "outside" / "page.html", PAGE)
    raw = tmp_path / "raw"
    put(raw / "site" / "page.html", PAGE)
    (found,) = find_inputs([], raw)
    assert isinstance(found, Input)
    found.path.unlink()
    found.path.symlink_to(secret)
    assert kinds(list(read_input(found, LIMITS))) == {"site/page.html": "unsafe_path"}
    found.path.unlink()
    found.path.parent.rmdir()
    found.path.parent.symlink_to(secret.parent)
    assert kinds(list(read_input(found, LIMITS))) == {"site/page.html": "unsafe_path"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    put(tmp_path / "good.html", PAGE)
    put(tmp_path / "closed" / "page.html", PAGE).parent.chmod(0)
    put(tmp_path / "closed.html", PAGE).chmod(0)
    outcomes = read(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert kinds(outcomes) == {"closed": "unreadable", "closed.html": "unreadable"}
    assert len(captures(outcomes)) == 1


def test_what_is_gone_is_unreadable(tmp_path: Path) -> None:
    put(tmp_path / "a.html", PAGE)
    (found,) = find_inputs([], tmp_path)
    (tmp_path / "a.html").unlink()
    assert isinstance(found, Input)
    assert kinds(list(read_input(found, LIMITS))) == {"a.html": "unreadable"}
    assert kinds(read(tmp_path, tmp_path / "never.html")) == {"never.html": "unreadable"}
    assert list(kinds(read(tmp_path / "never")).values()) == ["unreadable"]


def test_inputs_come_sorted_once_and_without_the_folder_s_own_files(tmp_path: Path) -> None:
    for name in ("b/2.html", "a.html", "b/1.html", "README.md", ".gitignore", "b/.hidden/x.html"):
        put(tmp_path / name, PAGE)
    found = list(find_inputs([tmp_path, tmp_path / "b", tmp_path / "b" / "2.html"], tmp_path))
    assert [one.name for one in found] == ["a.html", "b/.hidden", "b/1.html", "b/2.html"]


def test_paths_that_the_user_names_elsewhere_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "pages" / "a.html", PAGE)
    put(tmp_path / "pages" / "site.toml", 'site = "example.test"')
    put(tmp_path / "b.html", PAGE)
    monkeypatch.chdir(tmp_path)
    outcomes = read(Path("raw"), Path("pages"), Path("./b.html"))
    assert [(one.key, one.site or one.folder) for one in captures(outcomes)] == [
        ("file:./b.html", tmp_path.name),
        ("file:./pages/a.html", "example.test"),
    ]


@pytest.mark.parametrize(
    ("name", "shown", "key"),
    [
        (b"caf\xe9.html", r"caf\xe9.html", "file:caf%E9.html"),
        ("café.html".encode(), "café.html", "file:caf%C3%A9.html"),
        (b"two\nlines.html", r"two\nlines.html", "file:two%0Alines.html"),
        ("moc\u202elmth.html".encode(), r"moc\u202elmth.html", "file:moc%E2%80%AElmth.html"),
        (b"..%2f..%2fetc.html", "..%2f..%2fetc.html", "file:..%252f..%252fetc.html"),
        (rb"..\x.html", r"..\\x.html", "file:..%5Cx.html"),
        (b"-rf --help.html", "-rf --help.html", "file:-rf%20--help.html"),
    ],
)
def test_odd_names_are_shown_escaped_and_make_a_key(tmp_path: Path, name: bytes, shown: str, key: str) -> None:
    put(tmp_path / os.fsdecode(name), PAGE)
    (found,) = find_inputs([], tmp_path)
    assert isinstance(found, Input)
    (capture,) = read_input(found, LIMITS)
    assert isinstance(capture, Capture)
    assert (found.name, capture.key) == (shown, key)


@example(["\x85", os.fsdecode(b"\x85")])
@example(["\xa0.html", os.fsdecode(b"\xa0.html")])
@given(st.lists(st.text(st.characters(codec="utf-8")) | st.binary().map(os.fsdecode), min_size=2, unique=True))
def test_shown_names_are_printable_and_differ_where_names_do(names: list[str]) -> None:
    shown = [printable(name) for name in names]
    assert all(name.isprintable() for name in shown)
    assert len(set(shown)) == len(shown)


def test_two_files_whose_names_print_alike_are_two_inputs(tmp_path: Path) -> None:
    for name in ("a\x85.html".encode(), b"a\x85.html"):
        put(tmp_path / os.fsdecode(name), PAGE)
    assert len(list(find_inputs([], tmp_path))) == 2


# ---- sidecars


def test_a_sidecar_says_what_the_file_cannot(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "Plain text.")
    put(
        tmp_path / "a.txt.capture.toml",
        """
        url = "HTTPS://Example.TEST:443/a?b=1#part"
        captured = 2026-01-31T12:00:00+01:00
        charset = "windows-1252"
        language = "en-GB"
        licence = "CC-BY-4.0"
        source = "by hand"
        """,
    )
    assert read(tmp_path) == [
        Capture(
            payload=b"Plain text.",
            key="https://example.test/a?b=1",
            url="HTTPS://Example.TEST:443/a?b=1#part",
            site="example.test",
            media_type="text/plain",
            charset="windows-1252",
            captured="2026-01-31T11:00:00Z",
            source="by hand",
            language="en-GB",
            licence="CC-BY-4.0",
            folder=tmp_path.name,
        )
    ]


def test_the_nearer_facts_win(tmp_path: Path) -> None:
    put(tmp_path / "site.toml", 'site = "outer"\nlicence = "CC0-1.0"')
    put(tmp_path / "in" / "site.toml", 'site = "inner"\nlanguage = "de"')
    put(tmp_path / "in" / "a.html", PAGE)
    put(tmp_path / "in" / "b.html", PAGE)
    put(tmp_path / "in" / "b.html.capture.toml", 'site = "own"\nlanguage = "fr"')
    facts = [(one.site, one.language, one.licence) for one in captures(read(tmp_path))]
    assert facts == [("inner", "de", "CC0-1.0"), ("own", "fr", "CC0-1.0")]
    assert facts[1:] == [
        (one.site, one.language, one.licence) for one in captures(read(tmp_path, tmp_path / "in" / "b.html"))
    ]


@pytest.mark.parametrize(
    "sidecar",
    [
        'colour = "red"',
        "url = 3",
        'url = "file:///etc/passwd"',
        'url = "https://user:word@example.test/"',
        'captured = "yesterday"',
        'media_type = "image/png"',
        'language = "english please"',
        'licence = ""',
        'site = "../.."',
        "not TOML",
        b"\xff\xfe",
        "# " + "x" * 70_000,
    ],
)
def test_a_wrong_sidecar_refuses_its_file_alone(tmp_path: Path, sidecar: str | bytes) -> None:
    put(tmp_path / "a.html", PAGE)
    put(tmp_path / "a.html.capture.toml", sidecar)
    put(tmp_path / "b.html", PAGE)
    outcomes = read(tmp_path)
    assert kinds(outcomes) == {"a.html": "bad_sidecar"}
    assert [one.key for one in captures(outcomes)] == ["file:b.html"]


def test_a_wrong_site_file_refuses_what_is_below_it(tmp_path: Path) -> None:
    put(tmp_path / "in" / "site.toml", 'url = "https://example.test/"')
    put(tmp_path / "in" / "deep" / "a.html", PAGE)
    put(tmp_path / "b.html", PAGE)
    put(tmp_path / "gone.html.capture.toml", 'site = "a"')
    outcomes = read(tmp_path)
    assert kinds(outcomes) == {"in/deep/a.html": "bad_sidecar", "gone.html.capture.toml": "bad_sidecar"}
    assert len(captures(outcomes)) == 1


# ---- addresses and times


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://Example.TEST", "http://example.test/"),
        ("http://example.test:80/A?b#c", "http://example.test/A?b"),
        ("https://example.test:8443/", "https://example.test:8443/"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
        ("http://example.test./a%20b", "http://example.test/a%20b"),
    ],
)
def test_canonical_addresses(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.test/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://",
            "http:///a",
            "//example.test/",
        ),
        *(
            "http://example.test:99999/",
            "http://a b/",
            "http://a/\r\nX: 1",
            "http://u:p@example.test/",
            "http://[::1",
        ),
        *("http://127.0.0.1\\@example.test/", "", "example", "http://example.test/" + "a" * 100_000),
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(Rejection) as error:
        canonical_url(url)
    assert error.value.kind is RejectReason.BAD_URL
    assert len(str(error.value)) < 500


@given(st.text(max_size=40) | st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\Z"))
def test_times_are_utc_or_nothing(text: str) -> None:
    time = utc_time(text)
    assert time is None or (len(time) == 20 and time.endswith("Z") and utc_time(time) == time)


# ---- web archives


def record(
    number: int,
    block: bytes | None = None,
    *,
    type_: str = "response",
    content_type: str = "application/http; msgtype=response",
    length: object = None,
    extra: str = "",
    url: str | None = None,
    date: str = "2026-01-01T00:00:00Z",
) -> bytes:
    block = http(page(number)) if block is None else block
    head = (
        f"WARC/1.1\r\nWARC-Type: {type_}\r\nWARC-Record-ID: <urn:uuid:{number:032x}>\r\nWARC-Date: {date}\r\n"
        f"WARC-Target-URI: {url or f'https://example.test/{number}'}\r\n{extra}Content-Type: {content_type}\r\n"
        f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def http(
    body: bytes, extra: str = "", content_type: str = "text/html; charset=UTF-8", status: int = 200
) -> bytes:
    return f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\n{extra}\r\n".encode() + body


def page(number: int) -> bytes:
    return f"<html><title>Page {number}</title><p>{'Text of the page. ' * (number % 7)}{number}</p>".encode()


def archive(folder: Path, content: bytes, name: str = "a.warc") -> list[Capture | RejectedInput]:
    return list(read_warc(put(folder / name, content), LIMITS, name=name))


def test_robots_txt_in_an_archive_is_no_page(tmp_path: Path) -> None:
    rules = http(b"User-agent: *\nDisallow: /private/\n", content_type="text/plain")
    records = record(1, rules, url="https://example.test/robots.txt") + record(2)
    put(tmp_path / "a.warc", records)
    (found,) = find_inputs([], tmp_path)
    assert isinstance(found, Input)
    assert pages(list(read_input(found, LIMITS))) == [page(2)]


def pages(outcomes: list[Capture | RejectedInput]) -> list[bytes]:
    return [one.payload for one in captures(outcomes)]


def zstd(path: Path, content: bytes) -> bytes:
    with ZstdWriter(str(path)) as writer:
        writer.write(content)
    return path.read_bytes()


RECORDS = [record(n) for n in range(6)]
PAGES = [page(n) for n in range(6)]


def test_a_response_becomes_a_capture(tmp_path: Path) -> None:
    url = "HTTPS://Example.TEST/a?b=1#c"
    (capture,) = archive(tmp_path, record(1, url=url, date="2026-01-31T12:00:00.123456Z"))
    assert capture == Capture(
        payload=page(1),
        key="https://example.test/a?b=1",
        url=url,
        site="example.test",
        media_type="text/html",
        charset="UTF-8",
        captured="2026-01-31T12:00:00Z",
        source="a.warc@0",
    )


def test_every_form_of_archive_gives_the_same_pages(tmp_path: Path) -> None:
    whole = b"".join(RECORDS)
    forms = {
        "plain.warc": whole,
        "members.warc.gz": b"".join(map(gzip.compress, RECORDS)),
        "whole.warc.gz": gzip.compress(whole, mtime=0),
        "blocks.warc.gz": b"".join(
            gzip.compress(whole[i : i + 100], mtime=0) for i in range(0, len(whole), 100)
        ),
        "frames.warc.zst": b"".join(zstd(tmp_path / "one", one) for one in RECORDS),
        "whole.warc.zst": zstd(tmp_path / "all", whole),
        "nosuffix": gzip.compress(whole, mtime=0),
    }
    (tmp_path / "one").unlink()
    (tmp_path / "all").unlink()
    for name, content in forms.items():
        put(tmp_path / "raw" / name, content)
    outcomes = read(tmp_path / "raw")
    assert kinds(outcomes) == {}
    assert pages(outcomes) == PAGES * len(forms)
    places = [one.source for one in captures(outcomes) if one.source.startswith("members.warc.gz@")]
    starts = [sum(len(gzip.compress(one, mtime=0)) for one in RECORDS[:n]) for n in range(6)]
    assert places == [f"members.warc.gz@{start}" for start in starts]


def test_other_records_are_passed_over_and_counted(tmp_path: Path) -> None:
    content = b"".join(
        [
            record(0, b"software: x\r\n", type_="warcinfo", content_type="application/warc-fields"),
            record(1, b"GET / HTTP/1.1\r\n\r\n", type_="request"),
            record(2, http(b"gone", status=404)),
            record(3, http(b"\x89PNG", content_type="image/png")),
            record(4, http(b"{}", content_type="application/json")),
            record(5, http(PAGE, content_type="TEXT/HTML")),
            record(6, b"Plain text.", type_="conversion", content_type="text/plain"),
            record(7, PAGE, type_="resource", content_type="text/html; charset=utf-8"),
            record(8, b"x" * 12_000_000, type_="resource", content_type="video/mp4"),
            record(9, http(b""), type_="revisit"),
        ]
    )
    skipped: Counter[str] = Counter()
    outcomes = list(
        read_warc(put(tmp_path / "a.warc.gz", gzip.compress(content, mtime=0)), LIMITS, skipped=skipped)
    )
    assert [(one.media_type, one.charset) for one in captures(outcomes)] == [
        ("text/html", None),
        ("text/plain", None),
        ("text/html", "utf-8"),
    ]
    assert len(outcomes) == 3
    assert skipped == {
        "warcinfo": 1,
        "request": 1,
        "status 404": 1,
        "type image/png": 1,
        "type application/json": 1,
        "revisit": 1,
    }


CHOICES = {
    "responses alone": (Choice(records=frozenset(["response"])), {2, 5}),
    "what other programs made of pages": (Choice(records=frozenset(["conversion", "resource"])), {6, 7}),
    "pages that a server no longer had": (Choice(statuses=frozenset([404])), {4, 6, 7}),
    "both": (Choice(statuses=frozenset([200, 404])), {2, 4, 5, 6, 7}),
    "text": (Choice(media_types=frozenset(["text/plain"])), {5, 6}),
    "one host": (Choice(hosts=("*.example.test",)), {2, 6}),
    "one host, responses, text": (
        Choice(frozenset(["response"]), media_types=frozenset(["text/plain"]), hosts=("example.org",)),
        {5},
    ),
    "nothing": (Choice(hosts=("nowhere.test",)), set()),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_takes_records_by_type_status_media_type_and_host(tmp_path: Path, name: str) -> None:
    choice, expected = CHOICES[name]
    of, text = "https://www.example.test/{}", "text/plain"
    content = [
        record(2, http(page(2)), url=of.format(2)),
        record(3, b"GET / HTTP/1.1\r\n\r\n", type_="request", url=of.format(3)),
        record(4, http(page(4), status=404), url="https://example.org/4"),
        record(5, http(page(5), content_type=text), url="https://example.org/5"),
        record(6, page(6), type_="conversion", content_type=text, url=of.format(6)),
        record(7, page(7), type_="resource", content_type="text/html", url="https://example.org/7"),
    ]
    path = put(tmp_path / "a.warc.gz", b"".join(map(gzip.compress, content)))
    skipped: Counter[str] = Counter()
    outcomes = list(read_warc(path, LIMITS, choice=choice, skipped=skipped))
    assert pages(outcomes) == [page(number) for number in sorted(expected)]
    assert len(outcomes) + skipped.total() == len(content)


def test_a_record_that_is_not_chosen_costs_no_look_into_its_body(tmp_path: Path) -> None:
    bomb = record(1, http(BOMB, "Content-Encoding: gzip\r\n"), url="https://example.org/")
    path = put(tmp_path / "a.warc", bomb + RECORDS[2])
    outcomes = list(read_warc(path, LIMITS, choice=Choice(hosts=("*.test",))))
    assert pages(outcomes) == [PAGES[2]]
    assert len(outcomes) == 1


def test_a_source_of_archives_chooses_from_pages_and_from_extracted_text(tmp_path: Path) -> None:
    text = record(1, b"High water twice a day.", type_="conversion", content_type="text/plain")
    put(tmp_path / "crawl.warc.wet.gz", gzip.compress(record(0, type_="warcinfo") + text, mtime=0))
    put(tmp_path / "crawl.warc.gz", gzip.compress(RECORDS[0], mtime=0))
    found = [one for one in find_inputs([], tmp_path) if isinstance(one, Input)]
    for records, expected in ((("response",), [PAGES[0]]), (("conversion",), [b"High water twice a day."])):
        source = Source("crawl", "warc", paths=(tmp_path,), records=records)
        outcomes = [one for each in found for one in read_input(each._replace(source=source), LIMITS)]
        assert pages(outcomes) == expected


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("body", [page(3), b"<p>one\r\ntwo\nthree\n"], ids=["no lines", "lines"])
def test_an_archive_whose_line_ends_were_changed_gives_its_pages_with_a_note(
    tmp_path: Path, position: int, body: bytes
) -> None:
    changed = record(3, http(body)).replace(b"\r\n", b"\n")
    content = [*RECORDS[:position], changed, *RECORDS[position:2]]
    outcomes = archive(tmp_path, b"".join(content))
    assert sorted(pages(outcomes)) == sorted([*PAGES[:2], body.replace(b"\r\n", b"\n")])
    (note,) = [one for one in outcomes if isinstance(one, RejectedInput)]
    assert (note.kind, note.lost) == (RejectReason.WARC_MALFORMED, False)


def chunked(body: bytes) -> bytes:
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"


def brotli(path: Path, content: bytes) -> bytes:
    with BrotliWriter(str(path)) as writer:
        writer.write(content)
    return path.read_bytes()


def test_transfer_and_content_codings_are_undone(tmp_path: Path) -> None:
    te, gz = "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n"
    bodies = [
        (chunked(PAGE), te),
        (PAGE, te),  # undone by the crawler
        (gzip.compress(PAGE, mtime=0), gz),
        (PAGE, gz),  # undone by the crawler
        (chunked(gzip.compress(PAGE, mtime=0)), te + gz),
        (brotli(tmp_path / "b", PAGE), "Content-Encoding: br\r\n"),
        (zstd(tmp_path / "z", PAGE), "Content-Encoding: zstd\r\n"),
    ]
    outcomes = archive(tmp_path, b"".join(record(n, http(*one)) for n, one in enumerate(bodies)))
    assert pages(outcomes) == [PAGE] * len(bodies)
    assert len(outcomes) == len(bodies)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (record(1, length="many"), RejectReason.WARC_MALFORMED),
        (record(1, length=-5), RejectReason.WARC_MALFORMED),
        (record(1, length=20), RejectReason.WARC_MALFORMED),
        (record(1, length=999), RejectReason.WARC_MALFORMED),
        (record(1, length=50_000_000), RejectReason.TOO_LARGE),
        (record(1).replace(b"Content-Length", b"Content-Size"), RejectReason.WARC_MALFORMED),
        (record(1)[:90], RejectReason.WARC_MALFORMED),
        (record(1, extra="X: " + "x" * 300_000 + "\r\n"), RejectReason.WARC_MALFORMED),
        (b"noise" * 1_000 + b"\r\n", RejectReason.WARC_MALFORMED),
        (record(1, PAGE), RejectReason.WARC_MALFORMED),
        (
            record(1, http(b"ffffffff\r\n" + PAGE, "Transfer-Encoding: chunked\r\n")),
            RejectReason.WARC_MALFORMED,
        ),
        (record(1, http(b"")), RejectReason.NO_CONTENT),
        (record(1, http(b"%PDF-1.7 ")), RejectReason.BINARY),
        (record(1, http(BOMB, "Content-Encoding: gzip\r\n")), RejectReason.DECOMPRESS_LIMIT),
        (record(1, http(b"\x1f\x8b\x08" + PAGE, "Content-Encoding: gzip\r\n")), RejectReason.BAD_COMPRESSION),
        (record(1, http(PAGE, "Content-Encoding: gzip, br\r\n")), RejectReason.BAD_COMPRESSION),
        (record(1, url="https://example.test/" + "a" * 100_000), RejectReason.BAD_URL),
        (record(1, url="file:///etc/passwd"), RejectReason.BAD_URL),
        (record(1, http(b"x" * 10_100_000)), RejectReason.TOO_LARGE),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_bad_record_is_named_and_its_neighbours_come_out(
    tmp_path: Path, bad: bytes, kind: RejectReason, compress
) -> None:  # type: ignore[no-untyped-def]
    outcomes = archive(tmp_path, b"".join(map(compress, [RECORDS[0], bad, RECORDS[2]])))
    assert pages(outcomes) == [PAGES[0], PAGES[2]]
    (refusal,) = [one for one in outcomes if isinstance(one, RejectedInput)]
    assert (refusal.kind, refusal.lost) == (kind, True)
    assert refusal.member == f"offset {len(compress(RECORDS[0]))}"
    assert refusal.message.startswith(f"a.warc, {refusal.member}: ")


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_a_bomb_of_a_member_is_left_and_the_next_is_read(tmp_path: Path, form: str) -> None:
    pack = gzip.compress if form == "gzip" else partial(zstd, tmp_path / "one")
    bomb = pack(record(1, http(b""), length=30_000_000)[:-4] + bytes(30_000_000))
    outcomes = archive(tmp_path, pack(RECORDS[0]) + bomb + pack(RECORDS[2]))
    assert pages(outcomes) == [PAGES[0], PAGES[2]]
    assert kinds(outcomes)["a.warc"] in ("decompress_limit", "too_large")


@pytest.mark.parametrize(
    ("extra", "date", "kind"),
    [
        ("WARC-Block-Digest: sha1:" + "A" * 32 + "\r\n", "2026-01-01T00:00:00Z", RejectReason.WARC_MALFORMED),
        (
            "WARC-Payload-Digest: sha256:" + "0" * 64 + "\r\n",
            "2026-01-01T00:00:00Z",
            RejectReason.WARC_MALFORMED,
        ),
        ("WARC-Truncated: length\r\n", "2026-01-01T00:00:00Z", RejectReason.WARC_TRUNCATED),
        ("", "2026-13-01", RejectReason.WARC_MALFORMED),
    ],
)
def test_what_is_doubtful_is_kept_and_noted(tmp_path: Path, extra: str, date: str, kind: RejectReason) -> None:
    capture, note = archive(tmp_path, record(1, extra=extra, date=date))
    assert isinstance(capture, Capture)
    assert isinstance(note, RejectedInput)
    assert (capture.payload, note.kind, note.lost) == (page(1), kind, False)


def test_what_is_made_of_very_many_parts_is_read_in_one_go(tmp_path: Path) -> None:
    """Each of these once cost the square of its length."""
    te = "Transfer-Encoding: chunked\r\n"
    chunks = record(1, http(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n", te))
    assert pages(archive(tmp_path, chunks)) == [b"a" * 50_000]
    beginnings = b"WARC/1.1\r\nWARC-Type: response\r\n" * 10_000
    outcomes = archive(tmp_path, RECORDS[0] + beginnings + RECORDS[2])
    assert pages(outcomes) == [PAGES[0], PAGES[2]]
    assert len(outcomes) < 10
    members = gzip.compress(b"", mtime=0) * 20_000
    assert pages(archive(tmp_path, members + gzip.compress(RECORDS[0], mtime=0))) == [PAGES[0]]


def test_digests_that_fit_are_quiet_in_every_form(tmp_path: Path) -> None:
    block, sha1 = http(PAGE), hashlib.sha1(http(PAGE)).digest()
    labels = [
        f"WARC-Block-Digest: sha1:{base64.b32encode(sha1).decode()}",
        f"WARC-Block-Digest: SHA-1:{sha1.hex().upper()}",
        f"WARC-Payload-Digest: sha256:{hashlib.sha256(PAGE).hexdigest()}",
        "WARC-Payload-Digest: blake9:whatever",
    ]
    outcomes = archive(tmp_path, b"".join(record(n, block, extra=f"{one}\r\n") for n, one in enumerate(labels)))
    assert pages(outcomes) == [PAGE] * 4
    assert len(outcomes) == 4


@pytest.mark.parametrize("join", [b"".join, lambda records: b"".join(map(gzip.compress, records))])
def test_a_cut_archive_gives_the_records_before_the_cut(tmp_path: Path, join) -> None:  # type: ignore[no-untyped-def]
    outcomes = archive(tmp_path, join(RECORDS)[:-60])
    assert pages(outcomes) == PAGES[:5]
    assert kinds(outcomes) == {"a.warc": "warc_truncated"}


def test_a_damaged_frame_of_zstd_loses_that_frame_alone(tmp_path: Path) -> None:
    frames = [zstd(tmp_path / "one", one) for one in RECORDS]
    frames[2] = frames[2][:8] + bytes([frames[2][8] ^ 255]) * 12 + frames[2][20:]
    outcomes = archive(tmp_path, b"".join(frames))
    assert [one for one in pages(outcomes) if one in PAGES] == PAGES[:2] + PAGES[3:]
    assert len(outcomes) == 6


@st.composite
def damages(draw: st.DrawFn, size: int) -> tuple[int, int, bytes]:
    start = draw(st.integers(0, size - 1))
    return start, min(size, start + draw(st.integers(0, 40))), draw(st.binary(max_size=40))


def undamaged(parts: list[bytes], start: int, end: int) -> Iterator[int]:
    """The records that a change of [start, end) does not touch."""
    position = 0
    for number, part in enumerate(parts):
        if position + len(part) <= start or max(end, start + 1) <= position:
            yield number
        position += len(part)


@given(data=st.data(), compressed=st.booleans())
def test_whatever_is_damaged_every_other_record_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compressed: bool
) -> None:
    parts = [gzip.compress(one, mtime=0) for one in RECORDS] if compressed else RECORDS
    whole = b"".join(parts)
    start, end, instead = data.draw(damages(len(whole)))
    damaged = whole[:start] + instead + whole[end:]
    outcomes = archive(tmp_path_factory.getbasetemp(), damaged, "damaged.warc")
    for number in undamaged(parts, start, end):
        assert PAGES[number] in pages(outcomes)
    assert len(outcomes) <= len(RECORDS) + 4


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"WARC/1.0\r\n", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"])
)
def test_no_bytes_make_the_reader_raise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    outcomes = archive(tmp_path_factory.getbasetemp(), start + content, "noise.warc")
    assert outcomes
    assert not captures(outcomes)


def test_facts_beside_an_archive_hold_for_all_its_pages(tmp_path: Path) -> None:
    put(tmp_path / "a.warc", b"".join(RECORDS[:2]))
    put(tmp_path / "a.warc.capture.toml", 'licence = "CC0-1.0"\nurl = "https://other.test/"')
    plain = archive(tmp_path / "elsewhere", b"".join(RECORDS[:2]))
    assert read(tmp_path, tmp_path / "a.warc") == [replace(one, licence="CC0-1.0") for one in captures(plain)]
