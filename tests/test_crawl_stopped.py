"""Crawls that are killed or stopped, and what the next run asks for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleancopy.corpus import views
from cleancopy.document import Capture
from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.web.crawl_log import CrawlLog
from cleancopy.sources.web.fetcher import Ask, Fetched, Gone
from cleancopy.store.archive import read_capture
from cleancopy.store.verify import verify
from test_crawl import article
from test_web import LOOPBACK, Server, made, serving

PAGES = 60


@pytest.fixture
def server() -> Iterator[Server]:
    """A site of many pages that a sitemap names."""
    site = Server()
    with serving(site.answer) as port:
        site.port = port
        for number in range(PAGES):
            site.pages[f"/{number}"] = made(article(f"topic {number}"), ETag=f'"{number}"')
        locs = "".join(f"<url><loc>{site.url(f'/{number}')}</loc></url>" for number in range(PAGES))
        site.pages["/map.xml"] = made(f"<urlset>{locs}</urlset>".encode(), Content_Type="text/xml")
        yield site


def command(home: Path, server: Server) -> list[str]:
    """The command that takes up the site, in a process of its own."""
    settings = home / "sources.toml"
    fetch = f'[fetch]\ndelay = 0\nports = [{server.port}]\nallow = ["{LOOPBACK}:{server.port}"]\n'
    settings.write_text(
        f'{fetch}[[source]]\nname = "map"\nkind = "sitemap"\nurls = ["{server.url("/map.xml")}"]\n'
    )
    folders = ["--raw", str(home / "raw"), "--clean", str(home / "clean"), "--sources", str(settings)]
    run = [sys.executable, "-m", "cleancopy", "ingest", "--source", "map"]
    return [*run, "--plain", "--json", "--workers", "0", *folders]


def pages_asked(server: Server) -> Counter[str]:
    return Counter(path for path in server.paths if path not in ("/robots.txt", "/map.xml"))


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_the_run_after_a_stopped_one_asks_only_for_the_rest(
    server: Server, tmp_path: Path, stop: signal.Signals
) -> None:
    (tmp_path / "raw").mkdir()
    for most in (20, 45):  # the second run is stopped, too
        server.holds = most + 5  # the map, two files of rules, and two pages on their way
        # A shell has what it runs in the background ignore SIGINT, and processes pass that on.
        process = subprocess.Popen(
            command(tmp_path, server),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while len(pages_asked(server)) < most and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(stop)
        assert process.wait() != 0
        server.holds = None
    asked = len(pages_asked(server))
    assert asked < PAGES
    done = subprocess.run(command(tmp_path, server), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["counts"]["new"] == PAGES + 1, "the sitemap is one, too"
    counts = pages_asked(server)
    assert len(counts) == PAGES
    assert counts.total() <= PAGES + 2 * 2, "a stop costs what was under way, no more"
    assert list(verify(tmp_path / "clean")) == []
    assert len(list(views.inputs(tmp_path / "clean"))) == PAGES + 1


def test_a_quick_source_is_live_while_a_slow_one_goes_on(server: Server, tmp_path: Path) -> None:
    slow = Server()
    with serving(slow.answer) as port:
        slow.port = port
        slow.pages = {"/robots.txt": made(b"User-agent: *\nCrawl-delay: 60\n", Content_Type="text/plain")}
        slow.pages |= {path: page for path, page in server.pages.items() if path != "/map.xml"}
        locs = "".join(f"<url><loc>{slow.url(f'/{number}')}</loc></url>" for number in range(PAGES))
        slow.pages["/map.xml"] = made(f"<urlset>{locs}</urlset>".encode(), Content_Type="text/xml")
        (tmp_path / "raw").mkdir()
        (tmp_path / "slow").mkdir()
        clean = ["--clean", str(tmp_path / "clean")]
        run = [*command(tmp_path / "slow", slow), *clean]
        run[run.index("map")] = "slow"
        settings = tmp_path / "slow" / "sources.toml"
        settings.write_text(settings.read_text().replace('name = "map"', 'name = "slow"'))
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not pages_asked(slow) and process.poll() is None:
                time.sleep(0.01)
            done = subprocess.run(command(tmp_path, server), capture_output=True, text=True, check=True)
            assert process.poll() is None, "the slow one goes on"
        finally:
            process.kill()
            process.wait()
    summary = json.loads(done.stdout)
    assert (summary["release"], summary["live"]) == (1, PAGES)


def capture_of(number: int) -> Capture:
    return Capture(
        article(f"page {number}"), key=f"http://example.org/{number}", url=f"http://example.org/{number}"
    )


def logged(root: Path, numbers: range) -> None:
    """An attempt of a run that ends as if it was killed after some pages."""
    log = CrawlLog(root, root / "crawl", "run").__enter__()
    for number in numbers:
        capture = capture_of(number)
        ref = log.archive.append(capture)
        log.add(
            Ask(capture.key, capture.key, "s"),
            Fetched(capture.key, capture.sha256, ref, "2026-01-01T00:00:00Z"),
        )


def test_an_attempt_has_what_all_earlier_ones_got(tmp_path: Path) -> None:
    logged(tmp_path, range(3))
    logged(tmp_path, range(3, 5))
    with CrawlLog(tmp_path, tmp_path / "crawl", "run") as log:
        for number in range(5):
            capture = capture_of(number)
            outcome = log.outcome(Ask(capture.key, "as the source has it", "s"))
            assert isinstance(outcome, Fetched)
            assert read_capture(tmp_path, outcome.ref, outcome.payload_sha256) == capture.payload
        assert log.outcome(Ask("http://example.org/5", "", "s")) is None
        assert log.outcome(Ask("http://example.org/1", "", "another source")) is None


@pytest.mark.parametrize("lost", [1, 40, 700])
def test_what_was_cut_off_within_an_entry_is_asked_for_again(tmp_path: Path, lost: int) -> None:
    logged(tmp_path, range(3))
    part = tmp_path / "crawl" / "0000.warc"
    part.write_bytes(part.read_bytes()[:-lost])
    log_file = tmp_path / "crawl" / "0000.log"
    log_file.write_bytes(log_file.read_bytes()[:-3])
    with CrawlLog(tmp_path, tmp_path / "crawl", "run") as log:
        known = [log.outcome(Ask(f"http://example.org/{number}", "", "s")) for number in range(3)]
        assert known[2] is None
        for outcome in filter(None, known):
            assert isinstance(outcome, Fetched)
            read_capture(tmp_path, outcome.ref, outcome.payload_sha256)


def test_a_redirected_ask_is_found_by_where_it_began_and_what_was_put_off_is_asked_again(
    tmp_path: Path,
) -> None:
    start, target = "http://example.org/old", "http://example.org/new"
    with CrawlLog(tmp_path, tmp_path / "crawl", "run") as log:
        log.add(Ask(target, start, "s", hops=(start,)), Gone((target, start), "gone"))
        log.add(Ask("http://example.org/late", "", "s"), Rejection(RejectReason.PUT_OFF, "put off"))
    with CrawlLog(tmp_path, tmp_path / "crawl", "run") as log:
        assert isinstance(log.outcome(Ask(start, start, "s")), Gone)
        assert log.outcome(Ask(target, target, "s")) is None
        assert log.outcome(Ask("http://example.org/late", "", "s")) is None
