"""Reading a corpus: streams of Arrow, releases and how they differ, the schema, the way back to the bytes."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

import cleancopy
from cleancopy import Capture, Document, Policy, Rejection, StoreError
from cleancopy.clean import apply_stages, read
from cleancopy.corpus import schema
from cleancopy.corpus.reader import Corpus
from cleancopy.corpus.textdiff import compare, text_of
from cleancopy.corpus.trace import Source, byte_offset, character_origins, pieces, source_of
from cleancopy.curation import decisions
from cleancopy.curation.rollback import rollback
from cleancopy.extract.encoding import restore
from cleancopy.store import data_files, paths, releases, rows, schemas, tables
from cleancopy.store.rows import Version
from conftest import CASES, EXAMPLES, ROOT, SHARED
from test_pipeline import ARTICLE, run
from test_store import commit, documents, page, publish

from hypothesis import given, settings  # isort: skip
from hypothesis import strategies as st  # isort: skip


# ---- a corpus of four releases


def write(raw: Path, **pages: str) -> None:
    for name, text in pages.items():
        (raw / "harbour.example").mkdir(parents=True, exist_ok=True)
        (raw / "harbour.example" / f"{name}.txt").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw/ and clean/: release 1 has two pages, 2 changes one, 3 adds one, 4 goes back to 1."""
    home = tmp_path_factory.mktemp("home")
    raw, clean = home / "raw", home / "clean"
    write(
        raw, tides=f"Tides\n\n{ARTICLE}\n", gauges="Gauges\n\nA float in a well shows the height of the sea.\n"
    )
    run(raw, clean)
    write(raw, gauges="Gauges\n\nA radar over the water shows the height of the sea.\n")
    run(raw, clean)
    write(raw, moon="The moon\n\nTwice a month sun and moon stand in one line, and the tides are higher.\n")
    run(raw, clean)
    rollback(clean, 1)
    return home


@pytest.fixture(scope="module")
def corpus(home: Path) -> Corpus:
    return cleancopy.open(home / "clean")


KEYS = {name: f"file:harbour.example/{name}.txt" for name in ("tides", "gauges", "moon")}


def keys(reader: pa.RecordBatchReader) -> list[str]:
    return sorted(reader.read_all().column("key").to_pylist())


def test_the_latest_documents_and_those_of_a_release_are_streams_of_arrow(corpus: Corpus) -> None:
    stream = corpus.latest()
    assert isinstance(stream, pa.RecordBatchReader)
    assert stream.schema.equals(schema.CORPUS, check_metadata=True)
    assert stream.read_all().schema == schema.CORPUS
    assert keys(corpus.latest(["key"])) == [KEYS["gauges"], KEYS["tides"]]
    assert keys(corpus.as_of(3, ["key"])) == sorted(KEYS.values())
    assert keys(corpus.latest(["key"], status=None)) == sorted(KEYS.values())
    assert keys(corpus.latest(["key"], status="gone")) == [KEYS["moon"]]
    assert keys(corpus.latest(["key"], site="nowhere.example")) == []


def test_columns_come_in_the_order_that_is_asked_for(corpus: Corpus) -> None:
    names = ["archive_uri", "text", "spans", "key"]
    table = corpus.latest(names).read_all()
    assert table.column_names == names
    for uri in table.column("archive_uri").to_pylist():
        assert Path(uri.removeprefix("file://")).is_file()


def test_what_is_not_there_is_named(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="body: there is no such column; there are doc_id, "):
        corpus.latest(["body"])
    for wrong in (lambda: corpus.as_of(9), lambda: corpus.diff(1, 9)):
        with pytest.raises(StoreError, match="no release 9; the last one is 4"):
            wrong()
    for wrong in (corpus.document, corpus.history, corpus.capture):
        with pytest.raises(StoreError, match="no document with this id or key"):
            wrong("https://example.org/nowhere")
    with pytest.raises(StoreError, match="in release 2"):
        corpus.document(KEYS["moon"], as_of=2)
    with pytest.raises(StoreError, match="run cleancopy ingest"):
        cleancopy.open(tmp_path)


def test_a_document_is_found_by_key_or_id_now_and_then(corpus: Corpus) -> None:
    now = corpus.document(KEYS["gauges"])
    assert "A float" in now.clean
    assert corpus.document(now.doc_id) == now
    assert "A radar" in corpus.document(KEYS["gauges"], as_of=2).clean
    assert corpus.capture(KEYS["gauges"], as_of=2).startswith(b"Gauges\n\nA radar")
    assert [version.change for version in corpus.history(KEYS["gauges"])] == ["new", "source", "restored"]


def test_the_differences_of_two_releases(corpus: Corpus) -> None:
    changed = corpus.diff(1, 2)
    assert [(one.key, one.changes, one.content, one.before, one.after) for one in changed.changed] == [
        (KEYS["gauges"], ("source",), True, 1, 2)
    ]
    assert [one.key for one in corpus.diff(2, 3).added] == [KEYS["moon"]]
    assert [one.key for one in corpus.diff(3, 2).removed] == [KEYS["moon"]]
    assert [one.key for one in corpus.diff(3, 4).removed] == [KEYS["moon"]]
    assert len(corpus.diff(0, 1).added) == 2
    assert corpus.diff(1, 4).documents == corpus.diff(2, 2).documents == ()


def test_a_change_of_chrome_only_is_told_from_one_of_content(tmp_path: Path) -> None:
    documents = [page("a", "menu\nold text", cut="menu\n"), page("a", "menu\nold text")]
    publish(tmp_path, documents[0])
    head = tables.heads(tmp_path)[documents[0].doc_id]
    again = Version(documents[1], 2, 2, change="chrome", parent=head.version_id)
    releases.commit(tmp_path, 2, rows.document_batches([again]), [], run="r", fingerprint="", parts={})
    (one,) = cleancopy.open(tmp_path).diff(1, 2).changed
    assert (one.changes, one.content) == (("chrome",), False)


def test_the_releases_are_listed_with_their_manifests(corpus: Corpus) -> None:
    found = corpus.releases()
    assert [manifest.release for manifest in found] == [1, 2, 3, 4]
    assert [manifest.live for manifest in found] == [2, 2, 3, 2]


# ---- rollback


def test_a_rollback_has_the_content_root_of_the_release_that_it_goes_back_to(
    home: Path, corpus: Corpus
) -> None:
    first, *_, last = corpus.releases()
    assert last.content_root == first.content_root
    assert last.fingerprint == first.fingerprint
    (version,) = corpus.history(KEYS["gauges"])[2:]
    assert (version.restored_from, version.version_id) == (1, corpus.history(KEYS["gauges"])[0].version_id)
    texts = {path.name.rpartition("-")[0]: path.read_text() for path in (home / "clean/text").glob("*/*.txt")}
    assert set(texts) == {"tides", "gauges"}
    assert "A float" in texts["gauges"]


def test_after_a_rollback_unchanged_inputs_change_nothing_and_changed_ones_go_on(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    write(raw, tides=f"Tides\n\n{ARTICLE}\n", gauges="Gauges\n\nThe first text of the page.\n")
    run(raw, clean)
    write(raw, gauges="Gauges\n\nThe second text of the page.\n", moon="The moon\n\nIt goes round.\n")
    run(raw, clean)
    done = rollback(clean, 1)
    assert (done.release, done.restored, done.gone) == (3, 1, 1)
    assert rollback(clean, 1).release is None

    assert run(raw, clean).release is None
    assert "first" in cleancopy.open(clean).document(KEYS["gauges"]).clean

    write(raw, gauges="Gauges\n\nThe third text of the page.\n", moon="The moon\n\nIt goes round us.\n")
    assert run(raw, clean).release == 4
    corpus = cleancopy.open(clean)
    assert [version.document.clean[8:20].strip() for version in corpus.history(KEYS["gauges"])] == [
        "The first te", "The second t", "The first te", "The third te"
    ]  # fmt: skip
    assert [version.status for version in corpus.history(KEYS["moon"])] == ["live", "gone", "live"]


def test_a_rollback_leaves_down_what_was_taken_down(tmp_path: Path) -> None:
    publish(tmp_path, page("a", "one"), page("b", "two"))
    decisions.takedown(tmp_path, page("a").doc_id)
    publish(tmp_path, page("b", "three"))
    done = rollback(tmp_path, 1)
    assert (done.restored, done.gone, done.kept_down) == (1, 0, 1)
    assert live(tmp_path) == {"b": "two"}


def live(root: Path) -> dict[str, str]:
    return {
        row["key"]: row["text"] for row in cleancopy.open(root).latest(["key", "text"]).read_all().to_pylist()
    }


def test_a_rollback_leaves_down_what_was_gone_already_when_it_was_taken_down(tmp_path: Path) -> None:
    publish(tmp_path, page("a", "one"))
    publish(tmp_path, page("b", "two"))
    rollback(tmp_path, 1)
    decisions.takedown(tmp_path, page("b").doc_id)
    assert cleancopy.open(tmp_path).document("b").text == ""
    done = rollback(tmp_path, 2)
    assert (done.release, done.kept_down) == (None, 1)
    assert live(tmp_path) == {"a": "one"}


def test_a_rollback_leaves_down_a_text_of_which_one_capture_was_taken_down(tmp_path: Path) -> None:
    first, second = (
        replace(page("a", text), payload_sha256=digit * 64) for text, digit in (("one", "1"), ("two", "2"))
    )
    publish(tmp_path, first)
    publish(tmp_path, second)
    decisions.takedown(tmp_path, f"capture:{first.payload_sha256}")
    assert rollback(tmp_path, 1).release is None
    assert live(tmp_path) == {"a": "two"}


def test_a_copy_of_what_was_taken_down_stands_by_itself_after_a_rollback(tmp_path: Path) -> None:
    keeper, copy = page("a", "one"), page("b", "one")
    publish(tmp_path, keeper)
    with releases.writing(tmp_path) as release:
        version = Version(copy, 1, release, "duplicate", duplicate_of=keeper.doc_id, match={"rule": "text"})
        releases.commit(
            tmp_path, release, rows.document_batches([version]), [], run="", fingerprint="", parts={}
        )
    decisions.takedown(tmp_path, keeper.doc_id)
    assert live(tmp_path) == {}
    done = rollback(tmp_path, 2)
    assert (done.restored, done.kept_down) == (1, 1)
    assert live(tmp_path) == {"b": "one"}
    found = cleancopy.open(tmp_path).version("b")
    assert (found.status, found.duplicate_of, found.match) == ("live", None, {})
    assert rollback(tmp_path, 2).release is None


def test_an_interrupted_rollback_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, page("a", "one"))
    publish(tmp_path, page("a", "two"))

    class Killed(BaseException):
        pass

    def fail(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tables, "append", fail)
        with pytest.raises(Killed):
            rollback(tmp_path, 1)
    assert cleancopy.open(tmp_path).document("a").clean == "two"
    releases.recover(tmp_path)
    assert cleancopy.open(tmp_path).document("a").clean == "one"


# ---- derived columns


@settings(max_examples=25)
@given(st.lists(documents(), max_size=4))
def test_derived_columns_say_what_the_document_says(found: list[Document]) -> None:
    (batch,) = rows.documents_to_table([Version(one, 1, 1) for one in found]).to_batches() or [None]
    if batch is None:
        return
    names = ["text", "page_text", "spans", "text_blocks"]
    for document, row in zip(found, schema.derive(batch, names, Path("clean")).to_pylist(), strict=True):
        assert row["page_text"] == document.text
        spans = tuple((span["start"], span["page_start"], span["length"]) for span in row["spans"])
        assert spans == document.mapping
        kept = [block for block in row["text_blocks"] if block["start"] < block["end"]]
        assert kept == row["text_blocks"]
        shown = ["".join(_kept(document, block.start, block.end)) for block in document.blocks]
        assert [row["text"][b["start"] : b["end"]] for b in kept] == [text for text in shown if text]


def _kept(document: Document, start: int, end: int) -> Iterator[str]:
    for first, last in document.kept:
        yield document.text[max(first, start) : max(min(last, end), max(first, start))]


# ---- the schema


def test_the_schema_is_documented_as_it_is() -> None:
    written = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    assert written == schema.as_markdown(), "run: cleancopy schema --markdown > docs/schema.md"


def test_every_field_has_a_meaning_and_added_ones_may_be_null() -> None:
    known = schema.as_json()
    assert known["version"] == schemas.SCHEMA_VERSION
    for table in known["tables"].values():
        for field in table:
            assert len(field["meaning"]) > 3
            assert field["since"] == 1 or field["nullable"]


def as_version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write as the first version did: without the columns that were added since."""
    first = pa.schema([field for field in schemas.DOCUMENTS if field.name not in schemas.ADDED])
    monkeypatch.setattr(schemas, "DOCUMENTS", first)
    monkeypatch.setitem(data_files.SCHEMAS, "documents", first)


def test_a_table_of_an_older_schema_is_read_and_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = page("a", "menu\nold text", cut="menu\n")
    with monkeypatch.context() as patch:
        as_version_1(patch)
        publish(tmp_path, old, page("b", "b"))
    folder = paths.table_folder(tmp_path, "documents")
    (path,) = tables.data_files(tmp_path, "documents")
    assert set(schemas.ADDED).isdisjoint(pq.read_schema(path).names)

    corpus = cleancopy.open(tmp_path)
    assert corpus.document("a") == old
    assert corpus.latest().read_all().column("restored_from").null_count == 2
    assert next(rows.table_to_versions(pq.read_table(path))).restored_from is None

    publish(tmp_path, page("a", "new text"))
    rollback(tmp_path, 1)
    assert [version.restored_from for version in corpus.history("a")] == [None, None, 1]
    assert corpus.document("a") == old
    assert {field.name for field in DeltaTable(folder).schema().fields} == set(schemas.DOCUMENTS.names)
    read_by_delta = DeltaTable(folder).to_pyarrow_table(columns=["key", "restored_from"]).to_pylist()
    assert sorted(row["restored_from"] or 0 for row in read_by_delta) == [0, 0, 0, 1]


def test_a_table_of_a_later_schema_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, page("a", "one"))
    with monkeypatch.context() as patch:
        as_version_1(patch)
        refused = pytest.raises(StoreError, match=r"later schema.*restored_from.*update cleancopy")
        with refused, releases.writing(tmp_path) as release:
            commit(tmp_path, release, (page("a", "two"),))
    manifest = paths.manifest_path(tmp_path, 1)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 99}))
    with pytest.raises(StoreError, match=r"schema 99.*update it"):
        cleancopy.open(tmp_path)


# ---- the examples of the documentation


def examples() -> list[object]:
    found = []
    for name in ("docs/reading.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for number, block in enumerate(one for one in blocks if "cleancopy.open(" in one):
            found.append(pytest.param(block, id=f"{name}-{number}"))
    return found


@pytest.mark.parametrize("code", examples())
def test_an_example_of_the_documentation_runs(code: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    before = {path: path.stat().st_mtime_ns for path in (home / "clean").rglob("*") if path.is_file()}
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert {path: path.stat().st_mtime_ns for path in (home / "clean").rglob("*") if path.is_file()} == before


def test_duckdb_polars_and_pandas_take_a_stream_as_it_is(corpus: Corpus) -> None:
    import duckdb
    import polars

    expected = sorted(zip(*corpus.latest(["key", "words"]).read_all().to_pydict().values(), strict=True))
    connection = duckdb.connect()
    connection.register("pages", corpus.latest())
    assert connection.sql("SELECT key, words FROM pages ORDER BY key").fetchall() == expected
    frame = polars.from_arrow(corpus.latest())
    assert isinstance(frame, polars.DataFrame)
    assert frame.select("key", "words").sort("key").rows() == expected
    assert sorted(corpus.latest(["key", "words"]).read_pandas().itertuples(index=False, name=None)) == expected


# ---- from a character to the bytes


def pages() -> list[Path]:
    """The pages of the examples and cases, and a few real ones, evenly spread, where they are at hand."""
    found = [
        p for folder in (EXAMPLES, CASES) for p in sorted(folder.rglob("*")) if p.suffix in (".html", ".txt")
    ]
    for name in ("wcxb/html", "articles/html", "sites"):
        real = sorted((SHARED / "corpora" / name).rglob("*.htm*"))
        found += real[:: len(real) // 4 + 1]
    return found


@pytest.fixture(scope="module")
def traced() -> list[tuple[Document, Source]]:
    """Cleaned pages with their captures."""
    import gzip

    found = []
    for path in pages():
        payload = path.read_bytes()
        payload = gzip.decompress(payload) if path.suffix == ".gz" else payload
        try:
            document = apply_stages(read(Capture(payload, key=path.name), Policy()), Policy())
        except Rejection:
            continue
        found.append((document, source_of(document, payload)))
    return found


def test_every_clean_character_is_traced_to_the_captured_text(traced: list[tuple[Document, Source]]) -> None:
    assert len(traced) >= 7
    for document, source in traced:
        origins = character_origins(document, source)
        assert source.same, document.key
        assert "lost" not in origins, document.key
        for at, origin in enumerate(origins):
            if origin == "copied":
                stands = source.text[source.starts[at] : source.ends[at]]
                assert document.text[at] in (stands, *html.unescape(stands), *_json(stands)), (document.key, at)
            elif origin == "layout":
                assert document.text[at].isspace() or document.text[at] == "|"
        shown = next((block.start for block in document.blocks if "/json-ld[" in block.path), len(origins))
        copied = [source.starts[at] for at in range(shown) if origins[at] == "copied"]
        assert copied == sorted(copied), document.key


def _json(text: str) -> str:
    """What an escape in a JSON string stands for."""
    return str(json.loads(f'"{text}"')) if text.startswith("\\") else ""


def test_a_text_that_only_json_ld_declares_is_traced_into_its_string() -> None:
    said = "A caf\\u00e9 &amp; a \\ud83c\\udf0a wave.\\u003cbr\\u003eThe tide is high. " * 8
    payload = (
        '<html><body><script type="application/ld+json">{"@type": "Article", "articleBody": "'
        f'{said}"}}</script><p>Menu</p></body></html>'
    ).encode()
    document = read(Capture(payload, key="a", media_type="text/html"), _whole())
    source = source_of(document, payload)
    assert "lost" not in character_origins(document, source)
    at = document.text.index("é & a")
    (piece,) = pieces(document, source, at, at + 5)
    assert payload[piece.byte_start : piece.byte_end] == b"\\u00e9 &amp; a"


def test_the_pieces_of_a_document_are_its_clean_text(traced: list[tuple[Document, Source]]) -> None:
    for document, source in traced[:12]:
        length = len(document.clean)
        found = pieces(document, source, 0, length)
        assert [one.start for one in found] == [0, *(one.end for one in found[:-1])]
        assert found[-1].end == length
        for one in found:
            text = document.text[one.page_start : one.page_start + one.end - one.start]
            assert text == document.clean[one.start : one.end]
            if one.origin == "copied" and one.byte_start is not None and source.decoding.encoding == "utf-8":
                bytes_ = source.payload[one.byte_start : one.byte_end].decode("utf-8", "replace")
                assert bytes_ == source.text[one.source_start : one.source_end]


def test_every_cut_can_be_put_back(traced: list[tuple[Document, Source]]) -> None:
    stored = rows.documents_to_table([Version(document, 1, 1) for document, _ in traced])
    assert sum(len(document.cuts) for document, _ in traced) > 50
    for number, (document, _) in enumerate(traced):
        row = stored.slice(number, 1)
        assert rows.row_to_document(row) == document
        (batch,) = row.to_batches()
        (page_text,) = schema.derive(batch, ["page_text"], Path("clean")).column("page_text").to_pylist()
        assert page_text == document.text
        assert rows.sha256(page_text) == row.column("page_sha256")[0].as_py()


def test_repaired_characters_name_what_stood_there() -> None:
    payload = "<p>Plain words.</p><p>The cafÃ© is open,\u200b and a Â£5 note too.</p>".encode()
    document = apply_stages(read(Capture(payload, key="a", media_type="text/html"), _whole()), _whole())
    source = source_of(document, payload)
    assert "café" in document.clean
    found = pieces(document, source, 0, len(document.clean))
    assert {"copied", "repaired"} <= {one.origin for one in found} <= {"copied", "repaired", "layout"}
    (first, *_) = [one for one in found if one.origin == "repaired"]
    assert (document.clean[first.start : first.end], first.original) == ("é", "Ã©")
    assert first.path == "/html/body/p[2]"
    assert source.payload[first.byte_start : first.byte_end] == "Ã©".encode()
    originals = restore(document.text, document.repairs)  # type: ignore[arg-type]
    assert "".join(originals.split()) == "".join(re.sub("<[^>]*>", "", payload.decode()).split())


def _whole() -> Policy:
    return Policy(stages=("captions",))


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "utf-16", "shift_jis", "koi8-r", "iso-8859-7"])
def test_a_place_in_bytes_is_right_in_any_encoding(encoding: str) -> None:
    text = {
        "shift_jis": "潮の満ち干は月による",
        "koi8-r": "Приливы и отливы бывают дважды",
        "iso-8859-7": "Η παλίρροια",
    }
    words = text.get(encoding, "Ebbe und Flut, überall am Meer") + " and a word"
    payload = f"<meta charset='{encoding}'><p>{words}</p>".encode(encoding)
    document = read(Capture(payload, key="a", media_type="text/html", charset=encoding), _whole())
    source = source_of(document, payload)
    assert document.text.strip() == words
    at = document.text.index("word")
    first, last = byte_offset(source, source.starts[at]), byte_offset(source, source.ends[at + 3])
    codec = source.decoding.encoding if encoding == "utf-16" else encoding
    assert payload[first:last].decode(codec) == "word"


def test_scripts_comments_and_attributes_do_not_mislead() -> None:
    payload = (
        b"<p title='a word here'>First.<!-- a word here --></p><script>var t = '<script a word here';</script>"
        b"<svg><title>a word here</title></svg><object>a word here</object>"
        b'<p>And <b class=x data-y="1 > 0">a wo</b>rd&nbsp;here &amp; there.</p>'
    )
    document = read(Capture(payload, key="a", media_type="text/html"), _whole())
    source = source_of(document, payload)
    at = document.text.index("a word here")
    (piece,) = pieces(document, source, at, at + 11)
    assert payload[piece.byte_start : piece.byte_end] == b"a wo</b>rd&nbsp;here"


MARKUP = [
    *(
        "<b>",
        "</b>",
        "<br>",
        "<p>",
        "</p>",
        "<table><tr><td>",
        "<td>",
        "</table>",
        "<ul><li>",
        "<pre>",
        "</pre>",
    ),
    *("<!-- no -->", "<!---->", "<script>var a='<p>no'</script>", "<style>no</style>", "<title>no</title>"),
    *(
        "<select><option>yes<option>no</select>",
        "<svg><path d='M0>'/>no</svg>",
        "<img alt='no > no'>",
        '<p ="x">',
    ),
    *("<math><mi>x</mi></math>", "<ruby>yes<rt>as</rt>sir<rt>so</rt></ruby>", "<p hidden>no</p>"),
    *("<noscript>yes</noscript>", "<textarea><p>no</textarea>", "<div a='b\"c'>", "<![CDATA[no]]>", "<", "</"),
    *(
        "&amp;",
        "&eacute;",
        "&lt;p&gt;",
        "&nbsp;",
        "&",
        "&copy ",
        "&#150;",
        "&#0;",
        "&nosuch;",
        "\x00",
        "\u200b",
    ),
    *("word ", "more ", "\n", "é", "3 < 4 ", "a|b", " | ", "CafÃ© ", "\x85", "\u2028"),
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(MARKUP), max_size=14))
def test_any_markup_is_traced(parts: list[str]) -> None:
    payload = ("<html><body><p>start " + "".join(parts)).encode()
    document = read(Capture(payload, key="a", media_type="text/html"), _whole())
    assert "lost" not in character_origins(document, source_of(document, payload))


def test_without_the_capture_the_stored_steps_are_still_there() -> None:
    document = page("a", "menu\nsome text", cut="menu\n")
    (piece,) = pieces(document, None, 0, 4)
    assert (piece.page_start, piece.origin, piece.block, piece.byte_start) == (5, "unread", 0, None)


# ---- texts beside each other

lines = st.lists(st.sampled_from(["", "one two three", "one two four", "five", "six seven"]), max_size=8)


@settings(max_examples=60)
@given(lines, lines)
def test_a_comparison_holds_both_texts(old: list[str], new: list[str]) -> None:
    before, after = "\n".join(old), "\n".join(new)
    places = compare(before, after, context=None)
    if before == after:
        assert places == []
        return
    (found,) = places
    assert "\n".join(text_of(row.old) for row in found if row.old is not None) == before
    assert "\n".join(text_of(row.new) for row in found if row.new is not None) == after
    for row in found:
        if row.old is not None and row.new is not None:
            shared = ["".join(run.text for run in side if not run.changed) for side in (row.old, row.new)]
            assert shared[0] == shared[1]
            assert (row.kind == "same") == (text_of(row.old) == text_of(row.new))


def test_words_that_changed_are_told_from_the_rest_of_their_line() -> None:
    ((_, row, _),) = compare("a\nthe tide is high\nb", "a\nthe tide is very low\nb")
    assert row.kind == "changed"
    assert [run.text for run in row.old or () if run.changed] == ["high"]
    assert [run.text for run in row.new or () if run.changed] == ["very low"]
