"""Erasing: after a purge nothing of what was erased is found in any byte that the store has."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cleancopy.curation import decisions, maintain
from cleancopy.curation.rollback import rollback
from cleancopy.export.export import export
from cleancopy.export.selection import plan
from cleancopy.ingest.pipeline import begin, discover, ingest, read_shard
from cleancopy.ingest.run import Summary
from cleancopy.sources.settings import Source
from cleancopy.store import compaction, releases, tables
from cleancopy.store import decisions as record
from cleancopy.store.contents import contents
from cleancopy.store.needles import Needles, lines_of
from test_crawl import run, server
from test_web import Server, made, quick

__all__ = ["server"]
SECRET = "heliotrope"
WORDS = "the {0} harbour master wrote the {0} figures down in a {0} book every day of the {0} year"


def page(topic: str, secret: str = "", *, links: str = "") -> bytes:
    """A page of a site with navigation, a caption, a headline; the secret stands in all of them."""
    lines = "".join(f"<p>Line {n}: {WORDS.format(topic)} of {topic} {n}. {secret}</p>" for n in range(6))
    return f"""<html><head><title>On {topic} {secret}</title></head><body>
<nav><ul><li><a href="/{topic}/a">All about {topic} in port {secret}</a></li>
<li><a href="/b">Contact the port</a></li></ul></nav>
<main><h1>On {topic} {secret}</h1>{lines}
<figure><img src="{topic}.jpg">
<figcaption>The {topic} seen from the east mole in spring {secret}</figcaption></figure>
</main>{links}<footer><p>Subscribe to our newsletter on {topic} today</p></footer></body></html>""".encode()


def read(home: Path, **settings: object) -> Summary:
    with begin(raw=home / "raw", root=home / "clean", workers=0, **settings) as under_way:  # type: ignore[arg-type]
        return ingest(under_way)


def read_and_stop(home: Path) -> None:
    with begin(raw=home / "raw", root=home / "clean", workers=0) as killed:
        for number in range(discover(killed)):
            read_shard(killed, number)
        raise KeyboardInterrupt


def bytes_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file with all that it says, found by other means than the store's own."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path.name, path.name.encode() + data
        if data[:2] == b"\x1f\x8b":
            yield path.name, gzip.decompress(data)
        if data[:4] == b"PAR1":
            yield path.name, repr(pq.read_table(path).to_pylist()).encode()
        if data[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as packed:
                yield from ((path.name, packed.read(name)) for name in packed.namelist())


def places(folder: Path, secret: str = SECRET) -> set[str]:
    return {name for name, content in bytes_of(folder) if secret.encode() in content}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Pages, of which two hold a secret in text, title, caption, navigation, sidecar, address and file name."""
    site = tmp_path / "raw" / "port.example"
    site.mkdir(parents=True)
    for topic in ("tides", "buoys", "charts", "pilots", "locks"):
        (site / f"{topic}.html").write_bytes(page(topic))
    for topic in ("moles", "winds"):
        path = site / f"{topic}-{SECRET}-page.html"
        path.write_bytes(page(topic, f"as the {SECRET} said"))
        path.with_name(f"{path.name}.capture.toml").write_text(
            f'url = "https://port.example/{topic}/{SECRET}-address"\nlicence = "by {SECRET}, all rights"\n'
        )
    read(tmp_path)
    return tmp_path


def secret_documents(clean: Path) -> list[str]:
    rows = tables.latest(clean, ["doc_id", "key"]).to_pylist()
    return [row["doc_id"] for row in rows if SECRET in row["key"]]


def erase_all(clean: Path) -> None:
    for document in secret_documents(clean):
        done = decisions.takedown(clean, document, "asked to", purge=True)
        assert done.erased is not None
    assert done.erased.left == ()
    assert done.erased.lines > 0


def test_nothing_is_left_of_what_was_erased(home: Path) -> None:
    clean = home / "clean"
    assert len(places(clean)) > 5
    roots = [manifest.content_root for manifest in releases.newest_first(clean)]
    erase_all(clean)
    assert places(clean) == set()
    assert list(maintain.faults(clean)) == []
    assert {one.content_root for one in releases.newest_first(clean)} >= set(roots)
    assert len(tables.latest(clean, ["doc_id"], status="live")) == 5


def test_what_was_erased_stays_away(home: Path) -> None:
    clean = home / "clean"
    before = releases.current(clean)
    erase_all(clean)
    for change in ("", "<!-- once more -->"):
        for path in (home / "raw").rglob("*-page.html"):
            path.write_bytes(path.read_bytes() + change.encode())
        assert read(home).rejected == {"taken_down": 2}
    assert before is not None
    rollback(clean, before.release)
    maintain.maintain(clean)
    assert places(clean) == set()
    assert list(maintain.faults(clean)) == []
    assert secret_documents(clean) == []


def test_with_all_that_may_happen_in_between(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = home / "clean"
    target = secret_documents(clean)[0]
    version = tables.version(clean, target)
    assert version is not None
    if version.document.cuts:
        decisions.restore_cut(clean, target, 1, f"{SECRET} needs it")
    export(plan(clean), clean / "exports" / "corpus.jsonl.zst", "jsonl")
    export(plan(clean), clean / "exports" / "corpus", "parquet")
    for number in range(4):
        path = next((home / "raw").rglob(f"*{SECRET}*.html"))
        path.write_bytes(path.read_bytes() + f"<p>One more line {number} of the {SECRET}.</p>".encode())
        read(home)
    monkeypatch.setattr(compaction, "AT_LEAST", 2)
    maintain.maintain(clean)
    path.write_bytes(path.read_bytes() + f"<p>Never published by the {SECRET}.</p>".encode())
    with pytest.raises(KeyboardInterrupt):
        read_and_stop(home)
    assert any(SECRET.encode() in piece for piece in contents(next(clean.glob("archive/*")), 0))
    erase_all(clean)
    assert places(clean) == set()
    assert list(maintain.faults(clean)) == []


def test_a_purge_that_is_killed_at_any_step_is_finished_by_maintenance(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    clean = home / "clean"
    steps = [
        "cleancopy.store.archive.purge",
        "cleancopy.store.workdir.abandon",
        "cleancopy.store.decision_log.blank",
        "cleancopy.export.export.renew",
        "cleancopy.store.erasure._rewrite",
        "cleancopy.store.erasure.remove",
    ]
    first, second = secret_documents(clean)
    target = f"url:http://port.example/moles/{SECRET}-address"
    for number, step in enumerate(steps):
        with monkeypatch.context() as patch:
            patch.setattr(step, die)
            with pytest.raises(Killed):
                maintain.maintain(clean) if number else decisions.takedown(clean, target, purge=True)
        assert list(maintain.faults(clean)) != []
    decisions.takedown(clean, second, purge=True)
    decisions.takedown(clean, first, purge=True)
    assert places(clean) == set()
    assert list(maintain.faults(clean)) == []


def test_what_a_crawl_brought_is_erased_with_what_led_to_it(server: Server, tmp_path: Path) -> None:
    server.pages[f"/old-{SECRET}"] = made(b"", "301 Moved", Location=server.url(f"/new-{SECRET}-page"))
    server.pages[f"/new-{SECRET}-page"] = made(page("moles", f"as the {SECRET} said"), ETag='"1"')
    server.pages["/map.xml"] = made(
        f"<urlset><url><loc>{server.url(f'/old-{SECRET}')}</loc></url>"
        f"<url><loc>{server.url('/tides')}</loc></url></urlset>".encode(),
        Content_Type="text/xml",
    )
    source = Source("map", "sitemap", urls=(server.url("/map.xml"),))
    run(tmp_path, [source], quick(server.port))
    clean = tmp_path / "clean"
    assert len(places(clean)) > 5
    done = decisions.takedown(clean, f"url:{server.url(f'/new-{SECRET}-page')}", purge=True)
    assert done.erased is not None
    assert done.erased.left == ()
    assert places(clean) == set()
    server.seen.clear()
    again = run(tmp_path, [source], quick(server.port))
    assert again.rejected == {"taken_down": 1}
    assert f"/new-{SECRET}-page" not in server.paths
    assert [fault.why for fault in maintain.faults(clean) if "no row names" not in fault.why] == []


def test_lines_of_documents_that_stay_are_counted_and_kept(home: Path) -> None:
    clean = home / "clean"
    site = home / "raw" / "port.example"
    (site / "copy.html").write_bytes(page("tides") + b"<p>And a line that the others have not at all.</p>")
    read(home)
    rows = tables.latest(clean, ["doc_id", "key"]).to_pylist()
    target = next(row["doc_id"] for row in rows if row["key"].endswith("copy.html"))
    done = decisions.takedown(clean, target, purge=True)
    assert done.erased is not None
    assert done.erased.shared > 3
    assert done.erased.left == ()
    assert places(clean, "And a line that the others have not") == set()
    assert places(clean, "Line 3: the tides harbour master")


def test_a_line_that_people_wrote_elsewhere_is_told(home: Path) -> None:
    clean = home / "clean"
    (clean / "notes.txt").write_text(f"On moles as the {SECRET} said\n")
    done = decisions.takedown(clean, secret_documents(clean)[0], purge=True)
    assert done.erased is not None
    assert "notes.txt" in done.erased.left


def test_an_undone_erasure_lets_the_page_come_back_from_its_file(home: Path) -> None:
    clean = home / "clean"
    for document in secret_documents(clean):
        done = decisions.takedown(clean, document, purge=True)
        decisions.undo(clean, done.decision.number)
    assert read(home).live == 7
    assert len(secret_documents(clean)) == 2
    assert record.read_decisions(clean).made == ()
    assert list(maintain.faults(clean)) == []


def test_lines_are_found_in_whatever_form_they_are_written() -> None:
    line = 'He said: "häuser & <hills>" are fine'
    needles = Needles(lines_of([f"  {line}\nshort\n"]))
    assert needles.lines == [line]
    forms = (line.encode(), json.dumps(line).encode(), line.encode("utf-16-le"), line.encode("cp1252"))
    for form in (*forms, b"He said: &quot;h\xc3\xa4user &amp; &lt;hills&gt;&quot; are fine"):
        for shift in range(9):
            assert needles.find(b"x" * shift + form + b"tail") == {0}
    assert needles.find(line[:-1].encode()) == set()
    assert needles.find(b"") == set()


def test_the_orchestrators_database_and_notes_lose_what_was_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cleancopy_flows import forget, noted

    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_DATABASE_CONNECTION_URL", raising=False)
    line = f"On moles as the {SECRET} said"
    server_side = sqlite3.connect(tmp_path / "prefect.db")
    server_side.executescript(
        """pragma journal_mode = wal;
        create table flow_run (id text primary key, name text, parameters text);
        create table artifact (id text primary key, flow_run_id text, data text);
        create table artifact_collection (key text primary key, latest_id text, data text);
        create table events (id text primary key, payload text);
        create table log (id text primary key, flow_run_id text, message text);
        create table deployment (id text primary key, parameters text);"""
    )
    with server_side:
        runs = [("1", "raw", "{}"), ("2", "raw", json.dumps({"paths": [line]})), ("3", "raw", "{}")]
        server_side.executemany("insert into flow_run values (?, ?, ?)", runs)
        artifacts = [("a", "1", json.dumps([{"text": line}])), ("b", "2", "of run 2"), ("c", "3", "other")]
        server_side.executemany("insert into artifact values (?, ?, ?)", artifacts)
        server_side.execute("insert into artifact_collection values ('k', 'a', 'short')")
        server_side.execute("insert into events values ('e', ?)", (json.dumps({"message": line * 400}),))
        server_side.execute("insert into log values ('l', '3', 'read 7 pages')")
        server_side.execute("insert into deployment values ('d', '{}')")
    noted.folder().mkdir()
    (noted.folder() / "1.json").write_text(json.dumps({"logs": [line]}))
    (noted.folder() / "2.json").write_text(json.dumps({"logs": ["read 7 pages"]}))
    assert places(tmp_path) != set()
    assert forget.erase(Needles([line])) == []
    assert places(tmp_path) == set()
    kept = [
        server_side.execute(f"select id from {name}").fetchall() for name in ("flow_run", "artifact", "log")
    ]
    assert kept == [[("1",), ("3",)], [("c",)], [("l",)]]
    assert server_side.execute("select * from artifact_collection").fetchall() == []
    assert [path.name for path in noted.notes()] == ["2.json"]
    with server_side:
        server_side.execute("update deployment set parameters = ?", (line,))
    assert [Path(name).name.partition("-")[0] for name in forget.erase(Needles([line]))] != []
    server_side.close()
