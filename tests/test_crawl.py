"""Sources on the web, from their addresses to a release."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cleancopy import Policy, PolicyError
from cleancopy.cli import app
from cleancopy.corpus import views
from cleancopy.curation import decisions
from cleancopy.ingest.pipeline import begin, ingest
from cleancopy.ingest.run import Summary
from cleancopy.sources.settings import Fetching, Source
from cleancopy.store import archive, tables
from test_pipeline import run as read_files
from test_web import LOOPBACK, Server, made, quick, serving

TOPICS = ("tides", "buoys", "charts", "pilots", "locks", "moles")


@pytest.fixture
def server() -> Iterator[Server]:
    """A site with six articles, a start page, and a sitemap that no robots.txt names."""
    site = Server()
    with serving(site.answer) as port:
        site.port = port
        for topic in TOPICS:
            site.pages[f"/{topic}"] = made(article(topic), ETag=f'"{topic}"')
        locs = "".join(f"<url><loc>{site.url('/' + topic)}</loc></url>" for topic in TOPICS)
        site.pages["/map.xml"] = made(
            f"<urlset>{locs}</urlset>".encode(), Content_Type="text/xml", ETag='"map"'
        )
        links = "".join(f'<a href="/{topic}">{topic}</a>' for topic in TOPICS[:3])
        site.pages["/"] = made(article("start", links), ETag='"start"')
        site.pages["/charts"] = made(
            article("charts", '<a href="/pilots">on</a><a href="http://other.test/">off</a>')
        )
        yield site


def article(topic: str, more: str = "") -> bytes:
    sentences = [f"The {topic} of port number {number} are written down by hand." for number in range(9)]
    paragraphs = "".join(f"<p>{one} {one.replace('port', topic)}</p>" for one in sentences)
    return f"<html><title>On {topic}</title><body><h1>On {topic}</h1><main>{paragraphs}</main>{more}".encode()


def run(home: Path, sources: Sequence[Source], fetching: Fetching) -> Summary:
    (home / "raw").mkdir(exist_ok=True)
    with begin(
        raw=home / "raw", root=home / "clean", workers=0, sources=sources, fetching=fetching
    ) as under_way:
        return ingest(under_way)


def outcomes(home: Path) -> dict[str, tuple[str, str | None]]:
    return {line["input"]: (line["outcome"], line["error"]) for line in views.inputs(home / "clean")}


def test_a_sitemap_becomes_documents_and_a_second_run_reads_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),), language="en", licence="CC0-1.0")
    first = run(tmp_path, [source], quick(server.port))
    assert first.counts == {"new": 7, "unchanged": 0, "duplicate": 0, "rejected": 0}
    stored = [tables.version(tmp_path / "clean", doc) for doc in tables.heads(tmp_path / "clean")]
    assert len(stored) == 6
    for version in filter(None, stored):
        assert version.document.url
        assert version.document.site == LOOPBACK
        assert (version.document.metadata.language, version.document.metadata.licence) == ("en", "CC0-1.0")
        assert version.archive is not None
        payload = archive.read_capture(tmp_path / "clean", version.archive, version.document.payload_sha256)
        assert payload.startswith(b"<html>")

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a known payload was read again")

    monkeypatch.setattr("cleancopy.ingest.isolated.read", not_again)
    server.seen.clear()
    second = run(tmp_path, [source], quick(server.port))
    assert (second.release, second.content_root) == (None, first.content_root)
    assert second.counts == {"new": 0, "unchanged": 7, "duplicate": 0, "rejected": 0}
    conditional = [path for _, path, fields in server.seen if "if-none-match" in fields]
    assert len(conditional) == 6  # all but /charts, which has no validator
    assert Counter(server.paths) == Counter(["/map.xml", *(f"/{topic}" for topic in TOPICS)])


def test_a_page_that_is_gone_leaves_the_corpus_and_may_come_back(server: Server, tmp_path: Path) -> None:
    source = Source("one", "urls", urls=(server.url("/tides"),))
    fetching = quick(server.port)
    assert run(tmp_path, [source], fetching).live == 1
    page = server.pages.pop("/tides")
    gone = run(tmp_path, [source], fetching)
    assert (gone.live, gone.rejected) == (0, {"gone": 1})
    (document,) = tables.heads(tmp_path / "clean")
    assert [one.status for one in tables.history(tmp_path / "clean", document)] == ["live", "gone"]
    assert not list((tmp_path / "clean" / "text").glob("*/*.txt"))
    told = CliRunner().invoke(app, ["show", document, "--clean", str(tmp_path / "clean")])
    assert told.stderr.startswith("gone since release 2 (its server says so)")
    assert run(tmp_path, [source], fetching).release is None
    server.pages["/tides"] = page
    back = run(tmp_path, [source], fetching)
    assert back.live == 1
    assert [one.status for one in tables.history(tmp_path / "clean", document)] == ["live", "gone", "live"]
    server.pages.pop("/tides")
    assert run(tmp_path, [source], fetching).live == 0


def test_a_page_that_led_to_an_error_comes_back_with_the_same_bytes(server: Server, tmp_path: Path) -> None:
    source = Source("one", "urls", urls=(server.url("/tides"),))
    assert run(tmp_path, [source], quick(server.port)).live == 1
    page = server.pages["/tides"]
    server.pages["/tides"] = made(b"", "302 Found", Location="/error")
    assert run(tmp_path, [source], quick(server.port)).live == 0
    server.pages["/tides"] = page
    assert run(tmp_path, [source], quick(server.port)).live == 1
    assert run(tmp_path, [source], quick(server.port)).release is None


def test_an_older_file_does_not_bring_a_page_back_that_is_gone(server: Server, tmp_path: Path) -> None:
    url, (raw, clean) = server.url("/tides"), (tmp_path / "raw", tmp_path / "clean")
    raw.mkdir()
    (raw / "tides.html").write_bytes(article("tides"))
    (raw / "tides.html.capture.toml").write_text(f'url = "{url}"\ncaptured = "2020-01-01T00:00:00Z"\n')
    assert read_files(raw, clean).live == 1
    page = server.pages.pop("/tides")
    source = Source("one", "urls", urls=(url,))
    assert run(tmp_path, [source], quick(server.port)).live == 0
    other = Policy(stages=("captions",))
    assert read_files(raw, clean, policy=other).live == 0
    server.pages["/tides"] = page
    assert run(tmp_path, [source], quick(server.port)).live == 1


def test_a_page_that_was_taken_down_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),))
    run(tmp_path, [source], quick(server.port))
    decisions.takedown(tmp_path / "clean", f"url:{server.url('/tides')}")
    server.seen.clear()
    again = run(tmp_path, [source], quick(server.port))
    assert again.rejected == {"taken_down": 1}
    assert again.live == 5
    assert "/tides" not in server.paths
    decisions.takedown(tmp_path / "clean", f"site:{LOOPBACK}")
    server.seen.clear()
    assert run(tmp_path, [source], quick(server.port)).live == 0
    assert server.paths == ["/map.xml"]


def test_a_changed_page_becomes_a_version(server: Server, tmp_path: Path) -> None:
    source = Source("one", "urls", urls=(server.url("/tides"),))
    run(tmp_path, [source], quick(server.port))
    server.pages["/tides"] = made(article("tides").replace(b"by hand", b"by machine"), ETag='"new"')
    assert run(tmp_path, [source], quick(server.port)).counts["new"] == 1
    (document,) = tables.heads(tmp_path / "clean")
    assert len(tables.history(tmp_path / "clean", document)) == 2


def test_a_site_without_sitemaps_is_followed_by_its_links(server: Server, tmp_path: Path) -> None:
    steps = (["/"], ["/", "/buoys", "/charts", "/tides"], ["/", "/buoys", "/charts", "/pilots", "/tides"])
    for depth, expected in enumerate(steps):
        server.seen.clear()
        home = tmp_path / str(depth)
        home.mkdir()
        run(home, [Source("site", "site", urls=(server.url("/"),), depth=depth)], quick(server.port))
        assert server.paths[0] == "/robots.txt"
        assert sorted(server.paths[1:]) == expected


def test_a_page_that_moved_for_good_takes_its_history_along(server: Server, tmp_path: Path) -> None:
    source = Source("web", "urls", urls=(server.url("/tides"), server.url("/buoys"), server.url("/charts")))
    run(tmp_path, [source], quick(server.port))
    server.pages["/now"] = made(article("tides and times"))
    server.pages["/tides"] = made(b"", "301 Moved", Location="/now")
    server.pages["/buoys"] = made(b"", "302 Found", Location="/elsewhere")
    server.pages["/elsewhere"] = made(article("elsewhere"))
    server.pages["/charts"] = made(b"", "301 Moved", Location="/")
    old, new = server.url("/tides"), server.url("/now")
    summary = run(tmp_path, [source], quick(server.port))
    assert summary.moved == {old: new}
    assert summary.counts == {"new": 3, "unchanged": 0, "duplicate": 0, "rejected": 0}
    latest = tables.latest(tmp_path / "clean", columns=["key", "status"])
    states = dict(zip(*(latest[name].to_pylist() for name in ("key", "status")), strict=True))
    assert states[old] == "gone"
    assert states[server.url("/buoys")] == "live", "302: it may come back"
    assert states[server.url("/charts")] == "live", "the start of a site is no place that a page moves to"
    cli = CliRunner()
    lines = cli.invoke(app, ["history", new, "--clean", str(tmp_path / "clean"), "--json"]).stdout.splitlines()
    assert [json.loads(line)["change"] for line in lines] == ["new", "source", "new"]
    shown = cli.invoke(app, ["show", old, "--clean", str(tmp_path / "clean")])
    assert f"moved to {new}" in shown.output
    again = run(tmp_path, [source], quick(server.port))
    assert (again.moved, again.release) == ({}, None)


def test_an_endless_calendar_and_sessions_are_bounded_and_said(server: Server, tmp_path: Path) -> None:
    months = "".join(f'<a href="/events/{1900 + at // 12}/{at % 12 + 1}/">on</a>' for at in range(500))
    session = "PHPSESSID=" + "0123456789abcdef" * 2
    server.pages["/"] = made(article("start", f'{months}<a href="/tides?{session}">tides</a>'))
    site = Source("site", "site", urls=(server.url("/"),), depth=1, pages=1_000)
    run(tmp_path, [site], quick(server.port))
    assert sum(path.startswith("/events/") for path in server.paths) == 400
    assert "/tides" in server.paths
    assert not [path for path in server.paths if "PHPSESSID" in path]
    (said,) = [line for line in views.inputs(tmp_path / "clean") if line["input"] == "source:site"]
    assert "100 links were left out" in said["message"]
    assert "/events/#/#/ (100)" in said["message"]


def test_a_site_is_taken_by_the_sitemaps_that_its_robots_txt_names(server: Server, tmp_path: Path) -> None:
    robots = f"User-agent: *\nDisallow: /locks\nSitemap: {server.url('/map.xml')}\n"
    server.pages["/robots.txt"] = made(robots.encode(), Content_Type="text/plain")
    source = Source("site", "site", urls=(server.url("/"),), exclude=("*/moles",))
    summary = run(tmp_path, [source], quick(server.port))
    assert summary.counts == {"new": 5, "unchanged": 0, "duplicate": 0, "rejected": 1}
    assert outcomes(tmp_path)[server.url("/locks")] == ("rejected", "robots_disallowed")
    assert {"/locks", "/moles", "/"} & set(server.paths) == set()


def test_a_site_whose_sitemaps_name_no_page_is_followed_by_its_links(server: Server, tmp_path: Path) -> None:
    robots = f"User-agent: *\nSitemap: {server.url('/nowhere.xml')}\n"
    server.pages["/robots.txt"] = made(robots.encode(), Content_Type="text/plain")
    run(tmp_path, [Source("site", "site", urls=(server.url("/"),), depth=0)], quick(server.port))
    assert server.paths == ["/robots.txt", "/nowhere.xml", "/"]


def test_a_source_asks_for_no_more_than_it_may(server: Server, tmp_path: Path) -> None:
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),), pages=3)
    summary = run(tmp_path, [source], quick(server.port))
    assert summary.rejected == {"too_many_urls": 1}
    assert len(server.paths) == 4


def test_sitemaps_that_name_each_other_are_asked_once(server: Server, tmp_path: Path) -> None:
    for name, other in (("/a.xml", "/b.xml"), ("/b.xml", "/a.xml")):
        index = f"<sitemapindex><sitemap><loc>{server.url(other)}</loc></sitemap></sitemapindex>"
        server.pages[name] = made(index.encode(), Content_Type="text/xml")
    run(tmp_path, [Source("map", "sitemap", urls=(server.url("/a.xml"),))], quick(server.port))
    assert server.paths == ["/robots.txt", "/a.xml", "/b.xml"]


def test_every_address_of_a_list_ends_as_exactly_one_thing(server: Server, tmp_path: Path) -> None:
    wanted = [
        server.url("/tides"),
        server.url("/missing"),
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "no address",
    ]
    (tmp_path / "list.txt").write_text("\n".join([*wanted, *wanted]))
    source = Source("list", "urls", list=tmp_path / "list.txt")
    summary = run(tmp_path, [source], quick(server.port, contact="ops@example.org"))
    assert summary.captures == len(wanted)
    assert outcomes(tmp_path) == {
        wanted[0]: ("new", None),
        wanted[1]: ("rejected", "gone"),
        wanted[2]: ("rejected", "forbidden_scheme"),
        wanted[3]: ("rejected", "forbidden_address"),
        wanted[4]: ("rejected", "bad_url"),
    }


def test_a_sitemap_in_raw_is_a_list_of_pages_to_fetch(server: Server, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    locs = "".join(f"<url><loc>{url}</loc></url>" for url in (server.url("/tides"), "http://example.org/a"))
    (tmp_path / "raw" / "map.xml").write_text(f"<urlset>{locs}</urlset>")
    for outcome in ("new", "unchanged"):
        run(tmp_path, (), quick(server.port))
        found = outcomes(tmp_path)
        assert found["map.xml"] == (outcome, None)
        assert found[server.url("/tides")] == (outcome, None)
        assert found["http://example.org/a"] == ("rejected", "no_contact")  # no contact is set


def test_sources_of_files_and_archives_are_read_where_they_lie(server: Server, tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    for topic in TOPICS[:3]:
        (tmp_path / "drafts" / f"{topic}.html").write_bytes(article(topic))
    sources = [Source("drafts", "files", paths=(tmp_path / "drafts",), exclude=("*tides*",), language="en")]
    summary = run(tmp_path, sources, Fetching())
    assert summary.counts["new"] == 2
    web = tmp_path / "web"
    web.mkdir()
    run(web, [Source("map", "sitemap", urls=(server.url("/map.xml"),))], quick(server.port))
    crawled = Source("crawl", "warc", paths=(web / "clean" / "archive",), include=("*/tides", "*/locks"))
    other = Source("other", "warc", paths=(web / "clean" / "archive",), hosts=("*.example.org",))
    again = tmp_path / "again"
    again.mkdir()
    assert run(again, [crawled], Fetching()).counts["new"] == 2
    assert run(again, [other], Fetching()).rejected == {"no_content": 1}


def test_what_came_before_a_fault_of_the_store_is_not_asked_for_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("cleancopy.ingest.pipeline.learn", broken)
        with pytest.raises(RuntimeError, match="stopped"):
            run(tmp_path, [source], quick(server.port))
    server.seen.clear()
    assert run(tmp_path, [source], quick(server.port)).counts["new"] == 7
    assert server.paths == []


def test_without_a_contact_the_command_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"fetch\.contact"):
        run(tmp_path, [Source("a", "urls", urls=("https://example.org/",))], Fetching())
    said = ["--plain", "--raw", str(tmp_path), "--clean", str(tmp_path / "c")]
    result = CliRunner().invoke(app, ["ingest", "https://example.org/", *said])
    assert result.exit_code == 2
    assert "contact" in result.output


def test_the_command_fetches_a_page_and_a_source(server: Server, tmp_path: Path) -> None:
    settings = tmp_path / "sources.toml"
    fetch = f'[fetch]\ndelay = 0\nports = [{server.port}]\nallow = ["{LOOPBACK}:{server.port}"]\n'
    settings.write_text(f'{fetch}[[source]]\nname = "one"\nkind = "urls"\nurls = ["{server.url("/tides")}"]\n')
    said = [
        "--plain",
        "--json",
        "--workers",
        "0",
        "--raw",
        str(tmp_path / "raw"),
        "--clean",
        str(tmp_path / "c"),
    ]
    said += ["--sources", str(settings)]
    for which in (["--source", "one"], [server.url("/locks")]):
        result = CliRunner().invoke(app, ["ingest", *which, *said])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["counts"]["new"] == 1
    result = CliRunner().invoke(app, ["ingest", "--source", "two", *said])
    assert (result.exit_code, "no source 'two'" in result.output) == (2, True)


# ---- pages that are away for a while


def test_one_404_does_not_withdraw_a_page_but_some_in_a_row_do(server: Server, tmp_path: Path) -> None:
    source, fetching = Source("one", "urls", urls=(server.url("/tides"),)), quick(server.port, gone_after=3)
    assert run(tmp_path, [source], fetching).live == 1
    page = server.pages.pop("/tides")
    for _ in range(2):
        away = run(tmp_path, [source], fetching)
        assert away.rejected in ({"gone": 1}, {})
        (document,) = tables.heads(tmp_path / "clean")
        assert [one.status for one in tables.history(tmp_path / "clean", document)] == ["live"]
    server.pages["/tides"] = page
    run(tmp_path, [source], fetching)  # it is back: the count begins again
    server.pages.pop("/tides")
    live = [run(tmp_path, [source], fetching).live for _ in range(3)]
    assert live[2] == 0
    (document,) = tables.heads(tmp_path / "clean")
    assert [one.status for one in tables.history(tmp_path / "clean", document)] == ["live", "gone"]


def test_a_404_counts_over_a_time_and_410_at_once(server: Server, tmp_path: Path) -> None:
    source, fetching = Source("one", "urls", urls=(server.url("/tides"),)), quick(server.port, gone_days=1)
    assert run(tmp_path, [source], fetching).live == 1
    server.pages.pop("/tides")
    for _ in range(3):
        run(tmp_path, [source], fetching)
    (document,) = tables.heads(tmp_path / "clean")
    assert [one.status for one in tables.history(tmp_path / "clean", document)] == ["live"]
    server.pages["/tides"] = made(b"", "410 Gone")
    assert run(tmp_path, [source], fetching).live == 0


# ---- hosts and time


def test_a_sitemap_brings_in_no_other_host_but_those_that_the_source_allows(
    server: Server, tmp_path: Path
) -> None:
    urls = [server.url("/tides"), "http://other.test/a", "http://other.test/b", "http://allowed.test/c"]
    locs = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    server.pages["/mixed.xml"] = made(f"<urlset>{locs}</urlset>".encode(), Content_Type="text/xml")
    source = Source("map", "sitemap", urls=(server.url("/mixed.xml"),), hosts=("allowed.*",))
    assert run(tmp_path, [source], quick(server.port)).counts["new"] == 2
    got = outcomes(tmp_path)
    assert got["http://allowed.test/c"] == ("rejected", "no_contact")
    assert got["source:map"] == ("rejected", "ignored")
    assert not {"http://other.test/a", "http://other.test/b"} & set(got)


def test_what_a_host_has_no_time_for_is_said_and_comes_first_in_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),))
    slow = quick(server.port, delay=0.4, host_seconds=1.5)
    first = run(tmp_path, [source], slow)
    assert 0 < first.live < len(TOPICS)
    late = {name for name, (_, error) in outcomes(tmp_path).items() if error == "put_off"}
    assert len(late) == len(TOPICS) - (first.live or 0)
    server.seen.clear()
    run(tmp_path, [source], quick(server.port))
    asked = [path for path in server.paths if path != "/robots.txt"]
    assert {server.url(path) for path in asked[: len(late)]} == late
    assert len(tables.heads(tmp_path / "clean")) == len(TOPICS)
