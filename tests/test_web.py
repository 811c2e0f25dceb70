"""Fetching: politely, once, and nothing but what is public.

Everything here talks to servers on this machine's loopback, which ``fetch.allow`` lets tests ask.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import itertools
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.errors import PolicyError, Rejection, RejectReason
from cleancopy.extract.usage import TDMREP
from cleancopy.policy import Limits
from cleancopy.sources.settings import Fetching, for_urls
from cleancopy.sources.web.crawl import check_contact
from cleancopy.sources.web.fetcher import Ask, Fetched, Fetcher, Gone, Outcome
from cleancopy.sources.web.http import Answer, _fault
from cleancopy.sources.web.http_cache import HttpCache, Validators, validators
from cleancopy.sources.web.robots import Rules, rules_of
from cleancopy.sources.web.ssrf import ForbiddenAddress, check_address, check_url, open_session, user_agent
from cleancopy.store.archive import Archive, ArchiveRef, Response, read_capture
from cleancopy.warc.reader import read_warc
from conftest import corpus

PAGE = "<html><head><title>Tides</title></head><body><article><p>Heights count from chart datum.</p></article>"
LOOPBACK = "127.0.0.1"


# ---- what a test needs of the web


@dataclass
class Names(AbstractResolver):
    """A resolver that knows what it is told, and counts what it is asked."""

    known: Callable[[str], str]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        address = self.known(host)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=6, flags=0)]

    async def close(self) -> None:
        pass


@dataclass
class Server:
    """A server on the loopback that answers by ``pages``: path to the bytes of a whole response."""

    pages: dict[str, bytes] = field(default_factory=dict)
    seen: list[tuple[float, str, Mapping[str, str]]] = field(default_factory=list)
    port: int = 0
    under_way: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    #: While it is set, nothing is answered once so many paths were asked for: who is stopped then is at work.
    holds: int | None = None

    @property
    def paths(self) -> list[str]:
        """What was asked for; a site's tdmrep.json, which is asked for once, is left out."""
        return [path for _, path, _ in self.seen if path != TDMREP]

    def url(self, path: str, host: str = LOOPBACK) -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = request.decode("latin-1").split("\r\n")
                fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
                path, host = first.split(" ")[1], fields["host"].partition(":")[0]
                self.under_way[host] += 1
                self.most[host] = max(self.most[host], self.under_way[host])
                self.seen.append((time.monotonic(), path, fields))
                response = self.pages.get(f"{host}{path}") or self.pages.get(path) or made(b"", "404 Not Found")
                etag = next(
                    (line[6:].decode() for line in response.split(b"\r\n") if line[:6] == b"ETag: "), None
                )
                if etag and fields.get("if-none-match") == etag:
                    response = b"HTTP/1.1 304 Not Modified\r\n\r\n"
                await asyncio.sleep(0.005)
                while self.holds is not None and len(set(self.paths)) > self.holds:
                    await asyncio.sleep(0.005)
                self.under_way[host] -= 1
                writer.write(response)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def made(body: bytes, status: str = "200 OK", **fields: str) -> bytes:
    """The bytes of a response."""
    said = {"Content-Type": "text/html", "Content-Length": str(len(body)), **fields}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


@contextmanager
def serving(answer: Callable[..., Any], port: int = 0) -> Iterator[int]:
    """The port of a server that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(answer, LOOPBACK, port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(ended(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def ended(server: asyncio.Server) -> None:
    """The server closed, and every answer that is still under way given up."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def server() -> Iterator[Server]:
    made_up = Server()
    with serving(made_up.answer) as port:
        made_up.port = port
        yield made_up


def quick(port: int, **settings: Any) -> Fetching:
    """Settings for tests: no pauses, short deadlines, this one port of the loopback allowed."""
    return replace(
        Fetching(
            delay=0,
            total_seconds=5,
            gone_after=1,
            gone_days=0,
            ports=(80, 443, port),
            allow=(f"{LOOPBACK}:{port}",),
        ),
        **settings,
    )


def fetch(
    asks: Iterable[str | Ask],
    root: Path,
    fetching: Fetching,
    *,
    known: Callable[[str], str] = lambda host: LOOPBACK,
    held: Mapping[str, ArchiveRef] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> dict[str, Outcome]:
    """What became of each address."""
    outcomes: dict[str, list[Outcome]] = {}

    async def run() -> None:
        session = open_session(fetching, Names(known))
        with Archive(root, "web") as archive, HttpCache(root / "visits.sqlite") as visits:

            def where(asked: str, url: str, payload: str) -> ArchiveRef | None:
                return (held or {}).get(payload)

            fetcher = Fetcher(session, archive, visits, fetching, limits, where)
            queue = (one if isinstance(one, Ask) else Ask(one, one, "test") for one in asks)
            await fetcher.fetch(queue, lambda ask, got, _: outcomes.setdefault(ask.asked, []).append(got))
        await session.close()

    asyncio.run(run())
    assert all(len(got) == 1 for got in outcomes.values())
    return {asked: got[0] for asked, got in outcomes.items()}


def kind(outcome: Outcome) -> RejectReason | None:
    return outcome.kind if isinstance(outcome, Rejection | Gone) else None


# ---- pages


def test_a_page_is_archived_as_it_was_received_and_read_back(server: Server, tmp_path: Path) -> None:
    zipped = gzip.compress(PAGE.encode())
    server.pages["/a"] = made(zipped, Content_Encoding="gzip", ETag='"v1"', X_Odd="é")
    got = fetch([server.url("/a")], tmp_path, quick(server.port))[server.url("/a")]
    assert isinstance(got, Fetched)
    assert read_capture(tmp_path, got.ref, got.payload_sha256) == PAGE.encode()
    raw = (tmp_path / "archive" / got.ref.file).read_bytes()
    record = gzip.decompress(raw[got.ref.offset : got.ref.offset + got.ref.length])
    assert b"WARC-Type: response" in record
    assert b"Content-Encoding: gzip" in record
    assert zipped in record
    (capture,) = read_warc(tmp_path / "archive" / got.ref.file, Limits())
    assert capture.payload == PAGE.encode()


def test_requests_are_signed_and_carry_no_cookies(server: Server, tmp_path: Path) -> None:
    server.pages |= {"/a": made(b"a page", Set_Cookie="id=1"), "/b": made(b"another page")}
    fetching = quick(server.port, contact="https://example.org/about")
    fetch([server.url("/a"), server.url("/b")], tmp_path, fetching)
    for _, _, fields in server.seen:
        assert fields["user-agent"] == user_agent(fetching)
        assert "(+https://example.org/about)" in fields["user-agent"]
        assert "cookie" not in fields


def test_what_is_still_the_same_is_not_sent_again(server: Server, tmp_path: Path) -> None:
    server.pages["/a"] = made(PAGE.encode(), ETag='"v1"', Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")
    url = server.url("/a")
    first = fetch([url], tmp_path, quick(server.port))[url]
    assert isinstance(first, Fetched)
    second = fetch([url], tmp_path / "", quick(server.port), held={first.payload_sha256: first.ref})[url]
    assert isinstance(second, Fetched)
    assert (second.changed, second.payload_sha256, second.ref) == (False, first.payload_sha256, first.ref)
    asked = server.seen[-1][2]
    assert asked["if-none-match"] == '"v1"'
    assert asked["if-modified-since"] == "Mon, 02 Mar 2026 10:00:00 GMT"


def test_without_the_payload_in_the_store_the_whole_page_is_asked_for(server: Server, tmp_path: Path) -> None:
    server.pages["/a"] = made(PAGE.encode(), ETag='"v1"')
    for _ in range(2):
        got = fetch([server.url("/a")], tmp_path, quick(server.port))[server.url("/a")]
        assert isinstance(got, Fetched)
        assert got.changed
    assert "if-none-match" not in server.seen[-1][2]


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_a_page_that_is_no_more_is_gone(server: Server, tmp_path: Path, status: str) -> None:
    server.pages["/a"] = made(b"nothing here", status)
    got = fetch([server.url("/a")], tmp_path, quick(server.port))[server.url("/a")]
    assert isinstance(got, Gone)
    assert got.urls == (server.url("/a"),)


def test_a_redirect_is_followed_under_the_rules_of_where_it_leads(server: Server, tmp_path: Path) -> None:
    there = f"http://other.test:{server.port}"
    server.pages |= {
        "/a": made(b"", "301 Moved", Location=f"{there}/b"),
        "/c": made(b"", "302 Found", Location=f"{there}/private"),
        "other.test/b": made(PAGE.encode()),
        "other.test/private": made(PAGE.encode()),
        "other.test/robots.txt": made(b"User-agent: *\nDisallow: /private", Content_Type="text/plain"),
    }
    got = fetch([server.url("/a"), server.url("/c")], tmp_path, quick(server.port))
    good = got[server.url("/a")]
    assert isinstance(good, Fetched)
    assert good.url == f"{there}/b"
    assert kind(got[server.url("/c")]) is RejectReason.ROBOTS_DISALLOWED
    assert "/private" not in server.paths


def test_a_body_larger_than_allowed_is_cut_off_and_refused(server: Server, tmp_path: Path) -> None:
    big = b"x" * 50_000
    server.pages |= {"/said": made(big), "/silent": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + big}
    got = fetch(
        [server.url("/said"), server.url("/silent")],
        tmp_path,
        quick(server.port, read_seconds=1),
        limits=Limits(payload_bytes=10_000),
    )
    assert {kind(one) for one in got.values()} == {RejectReason.TOO_LARGE}


def test_passing_faults_are_tried_again_and_lasting_ones_are_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleancopy.sources.web.fetcher._BACKOFF", 0.01)
    server.pages |= {"/busy": made(b"", "503 Busy"), "/no": made(b"", "403 Forbidden")}
    got = fetch([server.url("/busy"), server.url("/no")], tmp_path, quick(server.port, retries=2))
    assert {kind(one) for one in got.values()} == {RejectReason.HTTP_ERROR}
    assert Counter(server.paths) == {"/robots.txt": 1, "/busy": 3, "/no": 1}


def test_a_host_that_asks_for_patience_is_left_alone(server: Server, tmp_path: Path) -> None:
    server.pages |= {"/a": made(b"", "429 Too Many", Retry_After="4000"), "/b": made(PAGE.encode())}
    got = fetch([server.url("/a"), server.url("/b")], tmp_path, quick(server.port))
    assert {kind(one) for one in got.values()} == {RejectReason.PUT_OFF}
    assert "/b" not in server.paths


def test_a_host_that_only_fails_is_left_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleancopy.sources.web.fetcher._BACKOFF", 0.001)
    pages = [server.url(f"/{number}") for number in range(30)]
    server.pages |= {f"/{number}": made(b"", "500 No") for number in range(30)}
    got = fetch(pages, tmp_path, quick(server.port, retries=0))
    assert len(got) == 30
    assert len(server.paths) == 11


# ---- politeness


def test_a_host_has_one_request_in_flight_and_a_pause_after_each(server: Server, tmp_path: Path) -> None:
    hosts = [f"h{number}.test" for number in range(6)]
    server.pages |= {f"/{number}": made(PAGE.encode()) for number in range(4)}
    urls = [server.url(f"/{number}", host) for host in hosts for number in range(4)]
    got = fetch(urls, tmp_path, quick(server.port, delay=0.05))
    assert len(got) == 24
    assert all(isinstance(one, Fetched) for one in got.values())
    assert set(server.most.values()) == {1}
    for host in hosts:
        times = [at for at, _, fields in server.seen if fields["host"].startswith(host)]
        assert min(b - a for a, b in itertools.pairwise(times)) >= 0.045


def test_the_longer_of_our_delay_and_the_robots_delay_holds(server: Server, tmp_path: Path) -> None:
    robots = b"User-agent: *\nCrawl-delay: 0.2\n"
    server.pages |= {"/robots.txt": made(robots), "/a": made(b"page a"), "/b": made(b"page b")}
    fetch([server.url("/a"), server.url("/b")], tmp_path, quick(server.port))
    (first,) = [at for at, path, _ in server.seen if path == "/a"]
    (second,) = [at for at, path, _ in server.seen if path == "/b"]
    assert second - first >= 0.19


def test_a_delay_beyond_reason_lets_one_page_through_and_puts_off_the_rest(
    server: Server, tmp_path: Path
) -> None:
    robots = b"User-agent: *\nCrawl-delay: 1e9\nCrawl-delay: nan\nRequest-rate: 1/0\n"
    server.pages |= {"/robots.txt": made(robots), "/a": made(b"page a"), "/b": made(b"page b")}
    got = fetch([server.url("/a"), server.url("/b")], tmp_path, quick(server.port))
    assert isinstance(got[server.url("/a")], Fetched)
    assert kind(got[server.url("/b")]) is RejectReason.PUT_OFF


def test_a_slow_host_holds_up_the_others_for_no_longer_than_its_time(server: Server, tmp_path: Path) -> None:
    names = [f"http://{host}.test:{server.port}" for host in ("slow", "quick")]
    server.pages |= {f"/{number}": made(PAGE.encode()) for number in range(20)}
    server.pages["slow.test/robots.txt"] = made(b"User-agent: *\nCrawl-delay: 2", Content_Type="text/plain")
    asks = [f"{name}/{number}" for name in names for number in range(20)]
    started = time.monotonic()
    got = fetch(asks, tmp_path, quick(server.port, host_seconds=1))
    assert time.monotonic() - started < 20, "the slow host alone would take 40 s"
    assert all(isinstance(got[url], Fetched) for url in asks if "quick" in url)
    slow = [got[url] for url in asks if "slow" in url]
    assert {kind(outcome) for outcome in slow[1:]} == {RejectReason.PUT_OFF}
    assert "fetch.host_seconds" in str(slow[-1])


def test_a_run_ends_when_its_time_is_used_up(server: Server, tmp_path: Path) -> None:
    server.pages |= {f"/{number}": made(PAGE.encode()) for number in range(20)}
    asks = [server.url(f"/{number}") for number in range(20)]
    got = fetch(asks, tmp_path, quick(server.port, delay=0.3, run_seconds=1))
    late = [outcome for outcome in got.values() if kind(outcome) is RejectReason.PUT_OFF]
    assert 0 < len(late) < len(asks)
    assert "fetch.run_seconds" in str(late[0])


@pytest.mark.parametrize(
    ("status", "body", "allowed"),
    [
        (200, b"User-agent: *\nDisallow: /private/", False),
        (200, b"\xef\xbb\xbfUser-agent: cleancopy\nDisallow: /private/", False),
        (200, b"User-agent: *\nDisallow: /\n\nUser-agent: CleanCopy/2\nAllow: /", True),
        (200, b"User-agent: another\nDisallow: /", True),
        (200, b"User-agent: *\rDisallow: /private/", False),
        (200, b"<html><body>Not a robots file</body></html>", True),
        (200, bytes(range(256)) * 100, True),
        (404, b"User-agent: *\nDisallow: /", True),
        (403, b"", True),
        (429, b"", False),
        (500, b"", False),
    ],
)
def test_what_robots_txt_allows(status: int, body: bytes, allowed: bool) -> None:
    assert rules_of(status, body).allows("http://example.org/private/page") is allowed


def test_a_robots_txt_of_thousands_of_agents_and_rules_costs_little() -> None:
    agents = "\n".join(f"User-agent: bot{number}" for number in range(2_000))
    rules = "\n".join(f"Disallow: /{'*a' * 9}{number}$" for number in range(2_000))
    made_up = rules_of(200, f"{agents}\nUser-agent: *\n{rules}".encode())
    assert made_up.allows("http://example.org/" + "a" * 2_000)
    assert made_up.allows("http://example.org/page")


def test_robots_txt_is_asked_for_once_a_day(server: Server, tmp_path: Path) -> None:
    server.pages |= {
        "/robots.txt": made(b"User-agent: *\nDisallow: /private/\nSitemap: /map.xml"),
        "/a": made(PAGE.encode()),
    }
    for _ in range(2):
        got = fetch([server.url("/a"), server.url("/private/b")], tmp_path, quick(server.port))
        assert kind(got[server.url("/private/b")]) is RejectReason.ROBOTS_DISALLOWED
    assert server.paths == ["/robots.txt", "/a", "/a"]
    rules = fetch([Ask(server.url("/"), "/", "test", kind="rules")], tmp_path, quick(server.port))["/"]
    assert isinstance(rules, Rules)
    assert rules.sitemaps == ("/map.xml",)


# ---- where requests may go


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1",
        "192.0.0.192", "192.0.2.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "2002:7f00:1::",
        "2001:0:53aa:64c::1", "2001:db8::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::7f00:1", "not an address",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_forbidden(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_address(address, 80)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_may_be_asked(address: str) -> None:
    check_address(address, 443)


@given(st.ip_addresses())
def test_no_address_of_a_private_network_is_ever_taken_for_public(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        with pytest.raises(ForbiddenAddress):
            check_address(str(address), 80)


def test_an_allowed_pair_is_allowed_as_a_pair_alone() -> None:
    allowed = frozenset([("127.0.0.1", 8080)])
    check_address("127.0.0.1", 8080, allowed)
    for address, port in (("127.0.0.1", 80), ("127.0.0.2", 8080), ("::1", 8080)):
        with pytest.raises(ForbiddenAddress):
            check_address(address, port, allowed)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///etc/passwd", RejectReason.FORBIDDEN_SCHEME),
        ("javascript:alert(1)", RejectReason.FORBIDDEN_SCHEME),
        ("view-source:http://example.org/", RejectReason.FORBIDDEN_SCHEME),
        ("http://2130706433/", RejectReason.FORBIDDEN_ADDRESS),
        ("http://0x7f.1/", RejectReason.FORBIDDEN_ADDRESS),
        ("http://017700000001/", RejectReason.FORBIDDEN_ADDRESS),
        ("http://[::1]/", RejectReason.FORBIDDEN_ADDRESS),
        ("http://example.org:22/", RejectReason.FORBIDDEN_ADDRESS),
        ("http://user:pass@example.org/", RejectReason.BAD_URL),
        ("http://example.org\\@127.0.0.1/", RejectReason.BAD_URL),
        ("http://example.org/\r\nX-Injected: 1", RejectReason.BAD_URL),
        ("http://example.org/" + "a" * 3_000, RejectReason.BAD_URL),
        ("http:///127.0.0.1/", RejectReason.BAD_URL),
        ("http://" + "a" * 300 + ".test/", RejectReason.BAD_URL),
        ("not a url", RejectReason.BAD_URL),
        ("", RejectReason.BAD_URL),
    ],
)
def test_an_address_that_may_not_be_asked_is_refused_by_its_kind(url: str, expected: RejectReason) -> None:
    with pytest.raises(Rejection) as refused:
        check_url(url, Fetching())
    assert refused.value.kind is expected
    assert str(refused.value).isprintable()


def test_an_address_is_brought_into_one_form() -> None:
    form = "http://example.org/a%20b/%C3%A9?q=1"
    assert check_url("HTTP://Example.ORG:80/a%20b/%C3%A9?q=1#top", Fetching()) == form
    assert check_url("http://example.org/a%20b/é?q=1", Fetching()) == form


def test_beyond_what_is_allowed_by_name_nothing_is_asked_without_a_contact() -> None:
    with pytest.raises(PolicyError, match="contact"):
        check_contact([for_urls(["https://example.org/"])], Fetching())
    check_contact([for_urls(["https://example.org/"])], Fetching(contact="ops@example.org"))
    check_contact([for_urls(["http://127.0.0.1:8080/"])], Fetching(allow=("127.0.0.1:8080",)))


#: Connections that were begun while a test watched.
CONNECTED: list[Any] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and CONNECTED is not None:
        CONNECTED.append(arguments[1])


sys.addaudithook(_audit)


@contextmanager
def watched() -> Iterator[list[Any]]:
    """Every address that a socket of this process connects to."""
    global CONNECTED
    CONNECTED = []
    try:
        yield CONNECTED
    finally:
        CONNECTED = None


#: What a name server that means harm may answer.
HARMFUL = (
    "127.0.0.1", "127.8.9.10", "10.0.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
    "100.100.100.200", "0.0.0.0", "198.19.0.1", "192.0.0.170", "224.0.0.251", "255.255.255.255",
    "::1", "::", "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf::1",
    "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::5",
)  # fmt: skip


@pytest.mark.parametrize("vetted", [True, False], ids=["when it resolves", "when it connects"])
def test_no_name_leads_to_an_address_that_is_not_public(
    tmp_path: Path, vetted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the look at the name server's answer is passed by, as a rebinding name would."""
    if not vetted:
        monkeypatch.setattr("cleancopy.sources.web.ssrf._vetting", lambda inner, allowed: inner)
    answers = {f"n{number}.test": address for number, address in enumerate(HARMFUL)}
    urls = [f"{scheme}://{host}/" for host in answers for scheme in ("http", "https")]
    with watched() as connected:
        got = fetch(urls, tmp_path, Fetching(delay=0, contact="ops@example.org"), known=answers.__getitem__)
    assert len(got) == 2 * len(HARMFUL)
    assert {kind(one) for one in got.values()} == {RejectReason.FORBIDDEN_ADDRESS}
    assert connected == []


# ---- the zoo's server


@pytest.fixture(scope="module")
def zoo() -> Iterator[ModuleType]:
    """The server of hostile answers, on the port that its redirects and sitemaps name."""
    script = corpus("zoo") / "zoo.py"
    spec = importlib.util.spec_from_file_location("hostile_zoo", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Made on the first request otherwise, while all others wait; a quarter of its size does as well.
    module._C["g"] = module.gz_bomb(64 << 20)
    module._zsb()
    module.static("/redir-loop", "redirect_loop", module._once(lambda: module.redir(b"/redir-loop2")))
    try:
        with serving(module._client, 18666):
            yield module
    except OSError as error:
        pytest.skip(f"the zoo's port is taken: {error}")


#: What the zoo's words mean here, where they are not a kind's name.
MEANING: Mapping[str, set[RejectReason | None]] = {
    "extracted": {None},
    "extracted (not followed)": {None},
    "extracted or protocol": {None, RejectReason.PROTOCOL},
    "excluded or flagged": {RejectReason.RESERVED},
    "protocol|timeout": {RejectReason.PROTOCOL, RejectReason.TIMEOUT},
    "truncated|protocol": {RejectReason.TRUNCATED, RejectReason.PROTOCOL},
    "bad_url|protocol": {RejectReason.BAD_URL, RejectReason.PROTOCOL},
    "each once": {RejectReason.NOT_HTML},
    '304 on the second fetch with If-None-Match "v1"; body must be had from the store': {None},
}


def test_every_hostile_answer_ends_as_it_should(
    zoo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleancopy.sources.web.fetcher._BACKOFF", 0.01)
    wanted = {
        path: what for path, (what, _) in zoo.S.items() if path not in ("/hit", "/robots.txt", "/private/page")
    }
    # A host for each path: each has its own robots.txt here, and none waits for another.
    names = {path: f"http://z{number}.test:18666{path}" for number, path in enumerate(wanted)}
    fetching = quick(18666, total_seconds=2, read_seconds=1, hosts=50)
    with HttpCache(tmp_path / "visits.sqlite") as visits:
        for url in names.values():
            visits.keep_rules(url.rpartition(":18666")[0] + ":18666", Rules(""))
    with watched() as connected:
        got = fetch(names.values(), tmp_path, fetching)
    wrong = {}
    for path, what in wanted.items():
        said = what.partition(":")[0] if what not in MEANING else what
        said = said.partition(" (")[0] if said not in MEANING else said
        expected = MEANING.get(said) or {RejectReason(said)}
        if kind(got[names[path]]) not in expected:
            wrong[path] = (what, str(got[names[path]]))
    assert wrong == {}
    assert {address[0] for address in connected} == {LOOPBACK}
    assert "n /hit" not in zoo.HITS


def test_a_chain_of_redirects_is_followed_five_steps(zoo: ModuleType, tmp_path: Path) -> None:
    urls = [f"http://chain{steps}.test:18666/redir-chain/{steps}" for steps in (5, 6)]
    good, long = fetch(urls, tmp_path, quick(18666)).values()
    assert {type(good), type(long)} == {Fetched, Rejection}


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [("ok", True), ("403", True), ("404", True), ("huge", True), ("loop", True), ("garbage", True),
     ("html", True), ("bom", True), ("wild", True), ("delay", True), ("500", False), ("hang", False)],
)  # fmt: skip
def test_whatever_robots_txt_is_like(
    zoo: ModuleType, tmp_path: Path, mode: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleancopy.sources.web.fetcher._BACKOFF", 0.01)
    monkeypatch.setitem(zoo.ROBOTS, "mode", mode)
    pages = [f"http://{mode}.test:18666/ok", f"http://{mode}.test:18666/private/page"]
    deadline = {"total_seconds": 1, "read_seconds": 0.3} if mode == "hang" else {"total_seconds": 30}
    got = fetch(pages, tmp_path, quick(18666, **deadline))
    assert isinstance(got[pages[0]], Fetched) is allowed
    if mode in ("ok", "huge", "bom", "wild", "delay"):
        assert isinstance(got[pages[1]], Rejection)


def test_no_written_form_of_an_address_gets_past(zoo: ModuleType, tmp_path: Path) -> None:
    """All that the zoo has found to write, under a name server that answers with private addresses alone."""
    attempts, refused, asks = list(dict.fromkeys(zoo.BAD_URLS)), {}, {}
    fetching = Fetching(delay=0, contact="ops@example.org")
    for url in attempts:
        try:
            asks[url] = Ask(check_url(url, fetching), url, "test")
        except Rejection as error:
            refused[url] = error
    with watched() as connected:
        got = fetch(asks.values(), tmp_path, fetching, known=lambda host: "10.0.0.1")
    assert len(attempts) >= 70
    assert len(refused) + len(got) == len(attempts)
    assert connected == []
    assert {kind(one) for one in got.values()} == {RejectReason.FORBIDDEN_ADDRESS}


# ---- what is kept between visits


def test_only_validators_that_make_sense_are_kept() -> None:
    good = validators({"etag": 'W/"a-1"', "last-modified": "Mon, 02 Mar 2026 10:00:00 GMT"}, "b", "p")
    assert good.headers == {"If-None-Match": 'W/"a-1"', "If-Modified-Since": "Mon, 02 Mar 2026 10:00:00 GMT"}
    evil = validators({"etag": '"' + "e" * 30_000 + '"', "last-modified": "not a date"}, "b", "p")
    assert evil.headers == {}


def test_visits_are_kept_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    said = Validators('"v1"', None, "body", "payload")
    with HttpCache(tmp_path / "v.sqlite") as visits:
        visits.remember("http://example.org/", said)
        visits.keep_rules("http://example.org", Rules("User-agent: *"))
        visits.keep_rules("http://down.test", Rules(None))
    with HttpCache(tmp_path / "v.sqlite") as visits:
        assert visits.validators("http://example.org/") == said
        assert visits.rules("http://example.org") == Rules("User-agent: *")
        assert visits.rules("http://down.test") is None
    (tmp_path / "v.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Exception, match="remove it"), HttpCache(tmp_path / "v.sqlite"):
        pass


@given(st.text(max_size=60))
def test_retry_after_never_fails(said: str) -> None:
    response = Response("http://example.org/", 429, b"", b"", "2026-03-02T10:00:00Z")
    wait = Answer(response, {"retry-after": said}).wait
    assert wait is None or wait >= 0


def test_a_fault_says_one_printable_line() -> None:
    fault, again = _fault(ConnectionResetError("reset\r\nby\x1b[2J peer"))
    assert again
    assert str(fault).isprintable()
