"""What owners say about the use of their pages, from the first visit to the export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.corpus import views
from cleancopy.errors import PolicyError
from cleancopy.export.selection import plan
from cleancopy.extract.usage import TDMREP
from cleancopy.policy import Policy
from cleancopy.sources.settings import Fetching, Source, read_sources
from cleancopy.sources.web.http_cache import NAME
from cleancopy.store import tables
from cleancopy.version import parts
from test_crawl import article, run
from test_web import Server, made, quick, serving

TOPICS = ("tides", "buoys", "charts")


@pytest.fixture
def server() -> Iterator[Server]:
    site = Server()
    with serving(site.answer) as port:
        site.port = port
        for topic in TOPICS:
            site.pages[f"/{topic}"] = made(article(topic), ETag=f'"{topic}"')
        yield site


def source(server: Server) -> list[Source]:
    return [Source("web", "urls", urls=tuple(server.url(f"/{topic}") for topic in TOPICS))]


def settings(server: Server, reserved: str) -> Fetching:
    return replace(quick(server.port), reserved=reserved)  # type: ignore[arg-type]


def said(home: Path) -> dict[str, tuple[bool, str | None]]:
    """What is recorded of each page, by the last part of its address."""
    captures = tables.captures(home / "clean", columns=["doc_id", "key"])
    names = dict(zip(*(column.to_pylist() for column in captures.columns), strict=True))
    return {names[doc].rpartition("/")[2]: pair for doc, pair in tables.usage(home / "clean").items()}


def status(home: Path) -> dict[str, str]:
    latest = tables.latest(home / "clean", columns=["key", "status"])
    pairs = zip(*(latest[name].to_pylist() for name in ("key", "status")), strict=True)
    return {key.rpartition("/")[2]: state for key, state in pairs}


FORMS = {
    "header": lambda site: site.pages.update({"/tides": made(article("tides"), TDM_Reservation="1")}),
    "page": lambda site: site.pages.update(
        {"/tides": made(article("tides").replace(b"<title>", b'<meta name="robots" content="noai"><title>'))}
    ),
    "tdmrep.json": lambda site: site.pages.update(
        {TDMREP: made(b'[{"location": "/tides", "tdm-reservation": 1}]', Content_Type="application/json")}
    ),
    "robots.txt": lambda site: site.pages.update(
        {"/robots.txt": made(b"User-agent: *\nContent-Usage: /tides train-ai=n\n", Content_Type="text/plain")}
    ),
}


@pytest.mark.parametrize("place", FORMS)
@pytest.mark.parametrize("choice", ["refuse", "mark", "keep"])
def test_a_reserved_page_is_refused_or_marked_or_kept_wherever_that_is_said(
    server: Server, tmp_path: Path, place: str, choice: str
) -> None:
    FORMS[place](server)
    run(tmp_path, source(server), settings(server, choice))
    lines = {line["input"].rpartition("/")[2]: line for line in views.inputs(tmp_path / "clean")}
    if choice == "refuse":
        assert (lines["tides"]["outcome"], lines["tides"]["error"]) == ("rejected", "reserved")
        assert set(status(tmp_path)) == {"buoys", "charts"}
        assert ("/tides" in server.paths) is (place != "robots.txt"), (
            "robots.txt says it before it is asked for"
        )
    else:
        assert lines["tides"]["outcome"] == "new"
        reserved, statements = said(tmp_path)["tides"]
        assert reserved
        assert [where for where, _ in json.loads(statements or "")] == [place]
        assert ("reserves it" in str(lines["tides"]["message"])) is (choice == "mark")
    assert said(tmp_path)["buoys"] == (False, None)


def test_a_change_of_mind_is_seen_at_the_next_visit_though_the_page_is_as_it_was(
    server: Server, tmp_path: Path
) -> None:
    run(tmp_path, source(server), settings(server, "mark"))
    server.pages[TDMREP] = made(b'[{"location": "/tides", "tdm-reservation": 1}]')
    (tmp_path / "clean" / NAME).unlink()  # as if a day had gone by
    summary = run(tmp_path, source(server), settings(server, "mark"))
    assert summary.counts["unchanged"] == 3
    assert said(tmp_path)["tides"][0]
    assert tables.usage(tmp_path / "clean", as_of=1) == dict.fromkeys(
        tables.usage(tmp_path / "clean"), (False, None)
    )
    (line,) = [line for line in views.inputs(tmp_path / "clean") if line["input"].endswith("tides")]
    assert "reserves now, and did not before" in line["message"]
    again = run(tmp_path, source(server), settings(server, "mark"))
    assert again.release is None, "said once"
    run(tmp_path, source(server), settings(server, "refuse"))
    assert status(tmp_path) == {"tides": "gone", "buoys": "live", "charts": "live"}
    del server.pages[TDMREP]
    (tmp_path / "clean" / NAME).unlink()
    run(tmp_path, source(server), settings(server, "refuse"))
    assert status(tmp_path)["tides"] == "live", "and back, when its owner thinks better of it"


def test_a_page_that_is_not_sent_again_keeps_what_it_said(server: Server, tmp_path: Path) -> None:
    server.pages["/tides"] = made(article("tides"), ETag='"tides"', X_Robots_Tag="noai")
    for _ in range(2):
        run(tmp_path, source(server), settings(server, "keep"))
    assert server.paths.count("/tides") == 2
    assert said(tmp_path)["tides"] == (True, '[["header", "robots: noai"]]')


def test_exports_carry_what_owners_say_and_leave_out_what_they_reserve(server: Server, tmp_path: Path) -> None:
    server.pages["/tides"] = made(article("tides"), TDM_Reservation="1")
    run(tmp_path, source(server), settings(server, "keep"))
    clean = str(tmp_path / "clean")

    def exported(name: str, *options: str) -> dict[str, Any]:
        out = tmp_path / name
        done = CliRunner().invoke(app, ["export", "--clean", clean, "--out", str(out), *options])
        assert done.exit_code == 0, done.output
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        return {row["key"].rpartition("/")[2]: row for row in rows}

    rows = exported("all.jsonl")
    assert (rows["tides"]["reserved"], rows["tides"]["usage"]) == (True, [["header", "tdm-reservation: 1"]])
    assert (rows["buoys"]["reserved"], rows["buoys"]["usage"]) == (False, [])
    assert set(exported("open.jsonl", "--without-reserved")) == {"buoys", "charts"}
    inside = exported("clean/exports/open.jsonl", "--without-reserved")
    assert set(inside) == {"buoys", "charts"}


def test_files_and_archives_of_ones_own_are_recorded(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.html").write_bytes(
        article("tides").replace(b"<title>", b'<meta name="tdm-reservation" content="1"><title>')
    )
    body = article("buoys")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Robots-Tag: noai\r\n\r\n"
    record = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/buoys\r\n"
        b"WARC-Date: 2026-01-01T00:00:00Z\r\n"
        b"WARC-Record-ID: <urn:uuid:6a4b3c2d-0000-4000-8000-000000000001>\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n" % len(head + body)
    )
    (raw / "b.warc").write_bytes(record + head + body + b"\r\n\r\n")
    run(tmp_path, [Source("mine", "files", paths=(raw,))], Fetching())
    assert {name: pair[0] for name, pair in said(tmp_path).items()} == {"file:a.html": True, "buoys": True}
    assert plan(tmp_path / "clean", without_reserved=True).documents == 0


@pytest.mark.parametrize(
    ("written", "meant"), [("false", "refuse"), ("true", "keep"), ('"mark"', "mark"), ('"keep"', "keep")]
)
def test_the_setting_is_read_as_before_and_decides_no_text(tmp_path: Path, written: str, meant: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(f"[fetch]\nreserved = {written}\n")
    assert read_sources(path).fetch.reserved == meant
    assert "reserved" not in json.dumps(parts(Policy()))
    path.write_text('[fetch]\nreserved = "never"\n')
    with pytest.raises(PolicyError, match="'refuse', 'mark', 'keep'"):
        read_sources(path)
