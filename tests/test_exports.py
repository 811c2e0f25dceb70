"""Exports: what they hold, that they appear whole or not at all, and that the readers people use read them."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import importlib
import json
import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.corpus.columns import BLOCK, EXPORT, kept_blocks
from cleancopy.document import Block, Cut, Decoding, Document, Media, Metadata, Span
from cleancopy.errors import PolicyError, StoreError
from cleancopy.export import export as sinks
from cleancopy.export import (
    folder,
    formats,
    huggingface,
    jsonl,
    lines,
    markdown,
    spreadsheet,
    yamltext,
)
from cleancopy.export import parquet as parquet_format
from cleancopy.export.kept import check_exports as check_kept
from cleancopy.export.prov import PREFIXES, prov_json
from cleancopy.export.selection import Plan, plan
from cleancopy.ingest import lineage
from cleancopy.ingest.run import Run, Summary
from cleancopy.policy import Policy
from cleancopy.store import releases, rows
from cleancopy.store.archive import ArchiveRef
from conftest import ROOT

FOLDERS = [kind for kind in formats.names(one_document=False) if kind not in ("jsonl", "csv")]
FORGED = 'Title"\n---\nevil: true\n# <script>alert(1)</script>'
Part = tuple[Any, int, str, bool]


def page(key: str, *parts: Part, **about: Any) -> Document:
    """A document of blocks: kind, level, text, and whether it is kept."""
    blocks, cuts, text = [], [], ""
    for kind, level, words, kept in parts:
        start, text = len(text), text + words + "\n\n"
        blocks.append(Block(start, start + len(words), kind, level, f"/html/body/p[{len(blocks)}]"))
        if not kept:
            cuts.append(Cut(start, len(text), "chrome", "site-chrome", "on every page", {"share": 0.9, "n": 3}))
    url, site, licence = (about.pop(name, None) for name in ("url", "site", "licence"))
    return Document(
        key,
        text,
        tuple(blocks),
        tuple(cuts),
        metadata=Metadata(licence=licence, **about),
        media=(Media("A gauge", "A. Nonymous", identifiers=("1-2",), places=((0, 2), (3, 4))),),
        url=url,
        site=site,
        media_type="text/html",
        decoding=Decoding("utf-8", "strict"),
        payload_sha256=hashlib.sha256(key.encode()).hexdigest(),
    )


RICH = page(
    "https://tides.example/rich",
    ("control", 0, "Skip to content", False),
    ("heading", 1, "High water # 1", True),
    ("paragraph", 0, "Heights in *metres*\nabove <b>datum</b> &amp; zero_point", True),
    ("paragraph", 0, "Share this page", False),
    ("list_item", 1, "1. first", True),
    ("list_item", 2, "- nested", True),
    ("list_item", 1, "second", True),
    ("quote", 0, "As it was said", True),
    ("code", 0, "def tide():\n    return '```'", True),
    ("table_row", 0, "port | time", True),
    ("table_row", 0, "north | 06:12", True),
    ("paragraph", 0, "--- no rule, [no link](https://nowhere.example)", True),
    url="https://tides.example/rich",
    site="tides.example",
    licence="https://creativecommons.org/licenses/by/4.0/",
    title=FORGED,
    language="en",
    date="2024-03-01",
)
_AT = RICH.text.index("metres")
RICH = replace(RICH, spans=(Span(_AT, _AT + 6, "strong"),))
HOSTILE = page(
    "file:../../etc/passwd",
    ("paragraph", 0, '=HYPERLINK("https://nowhere.example")', True),
    site="../../evil",
    title="../../../etc/passwd",
    language="en-GB\n",
    licence="mine | **yours**\n# x",
)
PLAIN = page("file:plain.txt", ("paragraph", 0, "Plain text.", True), date="spring")
COPY = page("file:copy.txt", ("paragraph", 0, "Plain text.", True))
TAKEN = page("file:taken.txt", ("paragraph", 0, "To be taken down.", True))
MANY = [
    page(f"file:many/{n}.txt", ("paragraph", 0, f"Text {n}.", True), site="many.example") for n in range(20)
]


def commit(root: Path, *versions: rows.Version) -> None:
    with releases.writing(root) as release:
        made = [replace(one, release=release) for one in versions]
        entries = [
            rows.LedgerEntry(one.document.key, "new", release, "run", one.document.key) for one in versions
        ]
        documents, captures = rows.document_batches(made), rows.capture_batches(entries)
        releases.commit(root, release, documents, captures, run="run", fingerprint="f" * 64, parts={})


def version(document: Document, **more: Any) -> rows.Version:
    given: dict[str, Any] = {
        "seq": 1,
        "release": 0,
        "captured": "2024-03-02T10:00:00Z",
        "archive": ArchiveRef("000001.warc.gz", 7, 99, "<urn:uuid:0>"),
        "fingerprint": "f" * 64,
        "parts": {"policy": "p" * 64, "chrome": "c" * 64, "libraries": "lxml 6"},
    }
    return rows.Version(document, **given | more)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two releases: one with a copy and a page to be taken down, then one that changes a text."""
    clean = tmp_path_factory.mktemp("store") / "clean"
    first = [version(one) for one in (RICH, HOSTILE, PLAIN, TAKEN, *MANY)]
    copy = version(COPY, status="duplicate", duplicate_of=PLAIN.doc_id)
    commit(clean, *first, copy)
    shorter = replace(RICH, cuts=RICH.cuts[:1])
    changed = version(shorter, seq=2, change="chrome", parent=first[0].version_id)
    commit(clean, changed, version(TAKEN, seq=2, status="gone", change="takedown", parent=first[3].version_id))
    return clean


@pytest.fixture(scope="module")
def small(root: Path) -> Plan:
    """The last release in shards of at most eight documents."""
    return plan(root, shard_documents=8)


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


# ---- which documents


def test_only_live_documents_are_exported_and_one_taken_down_from_no_release(root: Path) -> None:
    wanted = sorted(one.doc_id for one in (RICH, HOSTILE, PLAIN, *MANY))
    for as_of in (1, 2, None):
        assert plan(root, as_of=as_of).about.column("doc_id").to_pylist() == wanted
    assert plan(root).content_root == releases.read_manifest(root, 2).content_root
    with pytest.raises(StoreError, match="no release 9"):
        plan(root, as_of=9)
    with pytest.raises(StoreError, match="nothing was published"):
        plan(root / "nowhere")


def test_a_plan_may_be_of_a_site_or_of_the_first_documents(root: Path) -> None:
    assert plan(root, site="many.example").documents == len(MANY)
    some = plan(root, max_documents=5, shard_documents=2)
    assert some.about.column("doc_id").to_pylist() == plan(root).about.column("doc_id").to_pylist()[:5]
    assert [shard.documents for shard in some.shards] == [2, 2, 1]


def test_an_empty_selection_makes_an_empty_export(root: Path, tmp_path: Path) -> None:
    nothing = plan(root, site="nowhere.example")
    for kind in FOLDERS:
        assert sinks.export(nothing, tmp_path / kind, kind).documents == 0
    assert pq.read_table(tmp_path / "parquet" / "data").num_rows == 0
    sinks.export(nothing, tmp_path / "none.jsonl", "jsonl")
    assert (tmp_path / "none.jsonl").read_bytes() == b""


# ---- whole or not at all, the same every time


@pytest.mark.parametrize("kind", formats.names(one_document=False))
def test_the_same_release_makes_the_same_bytes(kind: Any, small: Plan, tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "corpus", tmp_path / "two" / "corpus"
    assert sinks.export(small, first, kind) == sinks.Exported(23, first, 3)
    sinks.export(small, second, kind)
    assert contents(first) == contents(second)
    assert [path.name for path in first.parent.iterdir()] == ["corpus"]
    manifest = json.loads((first / "manifest.json").read_bytes())
    for file in manifest["files"]:
        assert hashlib.sha256((first / file["path"]).read_bytes()).hexdigest() == file["sha256"]


@pytest.mark.parametrize("stopped_at", [0, 1, 2])
def test_an_interrupted_export_goes_on(
    stopped_at: int, small: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / "corpus", tmp_path / "whole" / "corpus"
    sinks.export(small, whole, "huggingface")
    write = parquet_format.write_parquet

    def stop(path: Path, table: pa.Table) -> None:
        if f"-{stopped_at:05d}-of-" in path.name:
            raise KeyboardInterrupt
        write(path, table)

    monkeypatch.setattr(parquet_format, "write_parquet", stop)
    with pytest.raises(KeyboardInterrupt):
        sinks.export(small, out, "huggingface")
    assert not out.exists()
    monkeypatch.setattr(parquet_format, "write_parquet", write)
    half = tmp_path / ".corpus.partial" / "data" / ".train-00001-of-00003.parquet.1.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"what a killed run leaves")
    assert sinks.export(small, out, "huggingface").kept == stopped_at
    assert contents(out) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "whole"]


def test_what_an_interrupted_export_of_another_release_left_is_dropped(root: Path, tmp_path: Path) -> None:
    out, partial = tmp_path / "corpus", tmp_path / ".corpus.partial"
    with folder.building(out, {"release": 1}) as into:
        assert into == partial
        (partial / "data").mkdir()
        (partial / "data" / "part-00000-of-00099.parquet").write_bytes(b"old")
    sinks.export(plan(root), out, "parquet")
    assert [path.name for path in (out / "data").iterdir()] == ["part-00000-of-00001.parquet"]
    assert not partial.exists()


def test_a_later_release_takes_the_place_of_an_earlier_one(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    sinks.export(plan(root, as_of=1), out, "text")
    before = contents(out)
    assert sinks.export(plan(root), out, "text").kept == 0
    assert contents(out) != before
    assert json.loads((out / "manifest.json").read_bytes())["export"]["release"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_an_interrupted_exchange_is_mended(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    sinks.export(plan(root, as_of=1), out, "text")
    before = contents(out)
    out.rename(tmp_path / ".corpus.old")
    with folder.building(out, {"release": 1}):
        assert contents(out) == before
    sinks.export(plan(root), out, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "markdown"])
def test_an_export_of_an_earlier_version_is_kept_up_and_made_again(kind: Any, root: Path) -> None:
    out = root / "exports" / "corpus"
    sinks.export(plan(root), out, kind)
    whole = contents(out)
    (note,) = (root / "exports").glob(".*.export.json")
    for path in (out / "manifest.json", note):
        path.write_text(
            re.sub(f'"version": {sinks.EXPORT_VERSION}', '"version": 2', path.read_text(encoding="utf-8"))
        )
    assert list(check_kept(root)) == []
    assert sinks.renew(root) == [out]
    assert contents(out) == whole
    assert sinks.renew(root) == []
    shutil.rmtree(root / "exports")


@pytest.mark.parametrize("kind", ["parquet", "text"])
def test_a_whole_export_is_left_alone_and_a_damaged_one_is_made_again(
    kind: Any, small: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    sinks.export(small, out, kind)
    good = contents(out)
    stamp = (out / "manifest.json").stat().st_mtime_ns
    assert sinks.export(small, out, kind).kept == 3
    assert (out / "manifest.json").stat().st_mtime_ns == stamp
    victim = next(out / name for name in good if name not in ("manifest.json", "SHA256SUMS"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    sinks.export(small, out, kind)
    assert contents(out) == good


def test_files_that_no_export_has_made_are_never_touched(root: Path, small: Plan, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds files that no export has made"):
        sinks.export(small, mine, "parquet")
    (mine / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(StoreError, match="is not of an export"):
        sinks.export(small, mine, "parquet")
    with pytest.raises(StoreError, match="is a file"):
        sinks.export(small, mine / "thesis.txt", "parquet")
    for inside in (root, root / "text", root / "tables" / "documents"):
        with pytest.raises(StoreError, match="inside the store"):
            sinks.export(small, inside, "parquet")
    assert (mine / "thesis.txt").read_text() == "mine"
    assert sinks.export(small, root / "exports" / "corpus", "text").documents == 23
    shutil.rmtree(root / "exports")


def test_the_sums_of_a_tree_are_those_that_sha256sum_checks(small: Plan, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    sinks.export(small, out, "markdown")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == 23


# ---- JSON Lines


def test_a_line_has_the_fields_of_dolma_and_all_that_cleancopy_knows(root: Path, tmp_path: Path) -> None:
    assert jsonl.write_jsonl(root, tmp_path / "a.jsonl") == 23
    found = {one["id"]: one for one in objects((tmp_path / "a.jsonl").read_bytes())}
    assert list(found) == sorted(found)
    one = found[RICH.doc_id]
    assert list(one)[:6] == ["id", "text", "source", "created", "added", "metadata"]
    assert one["source"] == "tides.example"
    assert one["created"] == "2024-03-01T00:00:00.000Z"
    assert one["added"] == releases.read_manifest(root, 2).time.replace("Z", ".000Z")
    assert one["metadata"]["licence"] == "https://creativecommons.org/licenses/by/4.0/"
    assert one["cuts"][0]["evidence"] == {"share": 0.9, "n": 3}
    assert one["cuts"][0]["text"] == "Skip to content\n\n"
    assert one["media"][0]["places"] == [[0, 2], [3, 4]]
    at = one["text"].index("metres")
    assert one["structure"] == [{"start": at, "end": at + 6, "kind": "strong"}]
    assert one["release"] == 2
    assert found[PLAIN.doc_id]["created"] == "2024-03-02T10:00:00.000Z"
    assert found[PLAIN.doc_id]["source"] == "unknown"


def test_lines_are_packed_as_the_suffix_says_without_a_time(root: Path, small: Plan, tmp_path: Path) -> None:
    import zstandard

    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"):
        sinks.export(small, tmp_path / name, "jsonl")
    plain, packed, zst = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes()[3:8] == bytes(5), "no name and no time in the header"
    with zstandard.open(zst, "rb") as file:
        assert file.read() == plain.read_bytes()
    sinks.export(small, tmp_path / "d.data", "jsonl", compression="gzip")
    assert (tmp_path / "d.data").read_bytes() == packed.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4, "nothing is left beside the files"


def test_what_a_killed_run_left_beside_a_file_is_removed(small: Plan, tmp_path: Path) -> None:
    left = tmp_path / ".a.jsonl.partial" / ".spool"
    left.mkdir(parents=True)
    (left / "00000.arrow").write_bytes(b"half")
    sinks.export(small, tmp_path / "a.jsonl", "jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_shards_of_lines_are_the_one_file_in_pieces(small: Plan, tmp_path: Path) -> None:
    sinks.export(small, tmp_path / "a.jsonl", "jsonl")
    sinks.export(small, tmp_path / "shards", "jsonl", compression="gzip")
    pieces = [
        gzip.decompress(path.read_bytes()) for path in sorted((tmp_path / "shards" / "data").glob("*.jsonl.gz"))
    ]
    assert len(pieces) == 3
    assert b"".join(pieces) == (tmp_path / "a.jsonl").read_bytes()


def test_jq_reads_lines(small: Plan, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("needs jq, which is not installed here")
    sinks.export(small, tmp_path / "a.jsonl", "jsonl")
    count = 'select(.metadata.language == "en") | .cuts | length'
    done = subprocess.run(["jq", count, str(tmp_path / "a.jsonl")], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("said", "is_time"),
    [
        ("2024-03-01", "2024-03-01T00:00:00.000Z"),
        ("2024-03-01T10:11:12Z", "2024-03-01T10:11:12.000Z"),
        ("2024-03-01 10:11:12.5+00:00", "2024-03-01T10:11:12.500Z"),
        ("2024-03-01T00:11:12+02:00", "2024-02-29T22:11:12.000Z"),
        ("2024-03-01T10:11", "2024-03-01T10:11:00.000Z"),
        ("0001-01-01T00:00+02:00", None),
        ("2024-03", None),
        ("spring", None),
        (None, None),
    ],
)
def test_times_are_written_as_dolma_writes_them(said: str | None, is_time: str | None) -> None:
    assert jsonl.timestamp(said) == is_time


# ---- columns


@given(st.data())
def test_blocks_have_their_offsets_in_the_clean_text(data: st.DataObject) -> None:
    """Against moving every character by hand, for several rows at once."""
    texts, blocks, cuts = [], [], []
    for _ in range(data.draw(st.integers(1, 4))):
        length = data.draw(st.integers(0, 30))
        edges = sorted(data.draw(st.sets(st.integers(0, length), max_size=8)))
        more = sorted(data.draw(st.sets(st.integers(0, length), max_size=6)))
        texts.append(length)
        blocks.append(list(pairwise(edges)))
        cuts.append(list(zip(more[::2], more[1::2], strict=False)))
    found = kept_blocks(
        _structs(blocks, BLOCK), _structs(cuts, pa.struct(list(EXPORT.field("cuts").type.value_type)))
    )
    expected = []
    for length, row, gone in zip(texts, blocks, cuts, strict=True):
        kept = [at for at in range(length) if not any(start <= at < end for start, end in gone)]
        inside = [[kept.index(at) for at in range(start, end) if at in kept] for start, end in row]
        expected.append([(one[0], one[-1] + 1) for one in inside if one])
    assert [[(one["start"], one["end"]) for one in row] for row in found.to_pylist()] == expected


def _structs(ranges: list[list[tuple[int, int]]], kind: pa.StructType) -> pa.ListArray:
    return pa.array([[{"start": a, "end": b} for a, b in row] for row in ranges], pa.list_(kind))


@pytest.fixture(scope="module")
def parquet(small: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parquet") / "corpus"
    sinks.export(small, out, "parquet")
    return out


def test_a_dataset_alone_gives_back_the_page_text(parquet: Path) -> None:
    table = pq.read_table(parquet / "data")
    assert table.schema.equals(EXPORT)
    for row in table.to_pylist():
        text = row["text"]
        assert hashlib.sha256(text.encode()).hexdigest() == row["text_sha256"]
        for cut in row["cuts"]:
            text = text[: cut["start"]] + cut["text"] + text[cut["start"] :]
        assert hashlib.sha256(text.encode()).hexdigest() == row["page_sha256"]
        assert row["warc_file"] == "000001.warc.gz"
        assert all(row["text"][one["start"] : one["end"]].strip() for one in row["blocks"])


def test_shards_are_sorted_within_and_among_each_other(parquet: Path) -> None:
    ids = []
    for path in sorted((parquet / "data").iterdir()):
        file = pq.ParquetFile(path)
        assert file.metadata.row_group(0).sorting_columns == (pq.SortingColumn(0),)
        assert file.metadata.row_group(0).column(1).compression == "ZSTD"
        ids += file.read(columns=["id"]).column("id").to_pylist()
    assert len(ids) == 23
    assert ids == sorted(ids)


def test_every_column_is_documented() -> None:
    documented = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    for field in EXPORT:
        kind = "list" if pa.types.is_list(field.type) else str(field.type)
        comment = field.metadata[b"comment"].decode()
        assert (
            f"| `{field.name}` | {kind}{'' if field.nullable else ', never null'} | {comment} |" in documented
        )
    for name in formats.names():
        assert f"`{name}`" in documented


def test_duckdb_polars_and_pandas_read_the_same(parquet: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    where = str(parquet / "data" / "*.parquet")
    query = f"select id, text, len(cuts) as cuts from read_parquet('{where}') order by id"
    by_duckdb = duckdb.sql(query).fetchall()
    by_polars = pl.scan_parquet(where).select("id", "text", pl.col("cuts").list.len()).collect().rows()
    frame = pd.read_parquet(parquet / "data", columns=["id", "text", "cuts"])
    by_pandas = list(zip(frame["id"], frame["text"], map(len, frame["cuts"]), strict=True))
    assert by_duckdb == by_polars == by_pandas
    assert len(by_duckdb) == 23


# ---- text for people


def test_no_name_of_a_file_comes_from_a_page_as_it_is(small: Plan, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    sinks.export(small, out, "text")
    files = [path.relative_to(out).as_posix() for path in out.rglob("*.txt")]
    assert all(re.fullmatch(r"documents/[a-z0-9.-]+/[a-z0-9-]+-[0-9a-f]{16}\.txt", name) for name in files)
    (evil,) = [name for name in files if HOSTILE.doc_id[:16] in name]
    assert evil.startswith("documents/evil-")
    assert (out / evil).read_text(encoding="utf-8") == HOSTILE.clean


def test_markdown_shows_the_text_and_nothing_that_the_page_forged(small: Plan, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    sinks.export(small, out, "markdown")
    (path,) = [path for path in out.rglob("*.md") if RICH.doc_id[:16] in path.name]
    head, _, body = path.read_text(encoding="utf-8").removeprefix("---\n").partition("\n---\n")
    known = yaml.safe_load(head)
    assert known["title"] == FORGED
    assert "evil" not in known
    assert known["id"] == RICH.doc_id
    assert "# High water # 1\n" in body
    assert "- 1\\. first\n  - \\- nested\n- second\n" in body
    assert "> As it was said\n" in body
    assert "````\ndef tide():\n    return '```'\n````\n" in body
    assert not re.search(r"<(script|b|a|img)\b|javascript", MarkdownIt().render(body))


SNIPPETS = st.lists(
    st.one_of(
        st.text(alphabet="ab _*`~#>+-=|.:)([]!<&;\\/1", max_size=12),
        st.sampled_from(
            ["---", "```", "<script>", "&amp;", "[a](b)", "![i](j)", "1. x", "# h", "===", "    x", "<!--"]
        ),
    ),
    min_size=1,
    max_size=4,
).map(" ".join)
KINDS = st.sampled_from(["paragraph", "heading", "list_item", "quote", "code", "table_row", "caption"])


@given(st.lists(st.tuples(KINDS, st.integers(0, 7), SNIPPETS), max_size=6))
def test_markdown_renders_to_the_text_that_it_was_made_of(parts: list[tuple[str, int, str]]) -> None:
    text, blocks = "", []
    for kind, level, words in parts:
        blocks.append({"kind": kind, "level": level, "start": len(text), "end": len(text) + len(words)})
        text += words + "\n\n"
    tokens = MarkdownIt("commonmark").parse(markdown.body(text, blocks))
    inside = [inner for token in tokens for inner in (token.children or [])]
    assert {one.type for one in inside} <= {"text", "hardbreak", "softbreak"}
    assert "html_block" not in {token.type for token in tokens}
    shown = [token.content for token in [*inside, *tokens] if token.type in ("text", "fence")]
    assert sorted("".join("".join(shown).split())) == sorted("".join(text.split()))
    assert sum(token.type == "heading_open" for token in tokens) == sum(
        kind == "heading" and bool(words.strip()) for kind, _, words in parts
    )
    assert sum(token.type == "fence" for token in tokens) == sum(
        kind == "code" and bool(words.strip()) for kind, _, words in parts
    )


@given(st.text(), st.lists(st.text()))
def test_yaml_gives_back_any_text_and_nothing_else(text: str, listed: list[str]) -> None:
    matter = yamltext.front_matter({"text": text, "listed": listed, "number": 3, "none": None})
    assert yaml.safe_load(matter.removesuffix("---\n")) == {"text": text, "listed": listed, "number": 3}
    assert len(matter.splitlines()) == 5


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert spreadsheet.neutral(cell) == "'" + cell
    assert spreadsheet.neutral("1+1=2") == "1+1=2"
    assert spreadsheet.neutral(5) == 5


def test_csv_is_read_back(small: Plan, tmp_path: Path) -> None:
    import duckdb

    sinks.export(small, tmp_path / "a.csv", "csv")
    query = f"select id, text, words from read_csv('{tmp_path / 'a.csv'}', all_varchar = true)"
    found = {one: (text, words) for one, text, words in duckdb.sql(query).fetchall()}
    assert len(found) == 23
    assert found[PLAIN.doc_id] == ("Plain text.\n\n", "2")
    assert found[HOSTILE.doc_id][0] == "'" + HOSTILE.clean


# ---- datasets


def test_datasets_loads_the_folder_from_disk(
    small: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    out = tmp_path / "corpus"
    sinks.export(small, out, "huggingface", name="Tides: *all*")
    datasets = importlib.import_module("datasets")
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 23
    assert sorted(loaded.column_names) == sorted(EXPORT.names)
    row = next(one for one in loaded if one["id"] == PLAIN.doc_id)
    assert row["text"] == PLAIN.clean


def test_the_card_says_what_is_in_it_and_nothing_that_a_page_forged(small: Plan, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    sinks.export(small, out, "huggingface", name="Tides")
    _, head, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    known = yaml.safe_load(head)
    assert known["license"] == "other"
    assert known["language"] == ["en"]
    assert known["size_categories"] == ["n<1K"]
    assert known["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert "| `many.example` | 20 |" in body
    assert "| `mine \\| **yours** # x` | 1 |" in body
    assert small.content_root in body


@pytest.mark.parametrize(
    ("said", "identifier"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.en", "cc-by-sa-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("all rights reserved", None),
        ("conflict", None),
        ("", None),
    ],
)
def test_licences_get_the_identifier_that_the_hub_knows(said: str, identifier: str | None) -> None:
    assert huggingface.hub_licence(said) == identifier


def test_mlcroissant_validates_the_metadata_and_reads_the_records(
    small: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "corpus"
    sinks.export(small, out, "croissant", name="Tides")
    described = json.loads((out / "croissant.json").read_bytes())
    files = [one for one in described["distribution"] if one["@type"] == "cr:FileObject"]
    assert len(files) == 3
    for file in files:
        assert hashlib.sha256((out / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]
    mlcroissant = importlib.import_module("mlcroissant")
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(str(out / "croissant.json"))
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    assert str(dataset.metadata.ctx.conforms_to.value) == "http://mlcommons.org/croissant/1.1"
    records = list(dataset.records("documents"))
    assert len(records) == 23
    one = next(record for record in records if record["documents/id"] == RICH.doc_id.encode())
    assert one["documents/text"].decode() == replace(RICH, cuts=RICH.cuts[:1]).clean
    assert one["documents/seq"] == 2
    assert one["documents/cuts"][0]["documents/cuts/rule"] == b"site-chrome"


# ---- provenance of one document


def test_the_provenance_of_a_document_is_a_graph_without_loose_ends(root: Path) -> None:
    graph = prov_json(root, RICH.doc_id)
    assert graph["prefix"] == PREFIXES
    ends = {"prov:entity": "entity", "prov:activity": "activity", "prov:agent": "agent", "prov:plan": "entity"}
    ends |= dict.fromkeys(
        ["prov:generatedEntity", "prov:usedEntity", "prov:specificEntity", "prov:generalEntity"], "entity"
    )
    nodes = ("prefix", "entity", "activity", "agent")
    assert all(name.split(":")[0] in PREFIXES for kind in nodes[1:] for name in graph[kind])
    for kind in graph.keys() - set(nodes):
        for name, relation in graph[kind].items():
            assert name.startswith("_:")
            for role, end in relation.items():
                assert role == "prov:type" or end in graph[ends[role]]
    types = [entity.get("prov:type", {}) for entity in graph["entity"].values()]
    assert sum(one == {"$": "cleancopy:CleanText", "type": "xsd:QName"} for one in types) == 2
    revisions = [one for one in graph["wasDerivedFrom"].values() if "prov:type" in one]
    assert len(revisions) == 1
    assert len(prov_json(root, RICH.doc_id, as_of=1)["wasDerivedFrom"]) == 2


def test_provenance_leads_from_the_clean_text_to_the_record_in_the_archive(root: Path) -> None:
    graph = prov_json(root, RICH.doc_id)
    version_name = next(name for name in graph["entity"] if name.startswith("version:"))
    sources = {one["prov:generatedEntity"]: one["prov:usedEntity"] for one in graph["wasDerivedFrom"].values()}
    capture = graph["entity"][sources[sources[version_name]]] if version_name in sources else {}
    assert capture["cleancopy:warcFile"] == "000001.warc.gz"
    assert capture["cleancopy:sha256"] == RICH.payload_sha256


def test_nothing_is_said_of_a_document_that_is_gone(root: Path) -> None:
    for as_of in (None, 1):
        with pytest.raises(StoreError, match="is gone"):
            prov_json(root, TAKEN.doc_id, as_of)
    with pytest.raises(StoreError, match="no published version"):
        prov_json(root, "0" * 32)


# ---- OpenLineage


@pytest.fixture
def under_way(root: Path, tmp_path: Path) -> Run:
    raw = tmp_path / "raw"
    return Run(
        raw=raw, root=root, paths=(raw,), policy=Policy(), workers=0, name="a-run", release=2, started=1.7e9
    )


SUMMARY = Summary(
    run="a-run", release=2, inputs=3, captures=3, counts={"new": 2}, rejected={}, recleaned=0, cut={}, kept=0,
    chrome={}, content_root="r" * 64, live=23, seconds=1.5,
)  # fmt: skip


def check_event(event: dict[str, Any]) -> None:
    """What the schema of a RunEvent requires."""
    assert {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"} == set(event)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event["run"]["runId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", event["eventTime"])
    facets = [event["run"]["facets"], event["job"]["facets"]]
    for output in [*event["inputs"], *event["outputs"]]:
        assert output["namespace"] == "file"
        facets += [output.get("facets", {}), output.get("outputFacets", {})]
    assert all({"_producer", "_schemaURL"} <= set(facet) for group in facets for facet in group.values())


def test_events_are_off_unless_they_are_wanted(under_way: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if "OPENLINEAGE" in name:
            monkeypatch.delenv(name)
    assert lineage.target() is None
    with lineage.openlineage_events(under_way) as complete:
        assert complete(SUMMARY) == []
    assert lineage.target({"OPENLINEAGE_URL": "http://localhost:1", "OPENLINEAGE_DISABLED": "true"}) is None
    with pytest.raises(PolicyError, match="no http or https address"):
        lineage.target({"OPENLINEAGE_URL": "file:///etc/passwd"})


def test_a_run_is_reported_from_start_to_end(under_way: Run, tmp_path: Path) -> None:
    to = lineage.target({"CLEANCOPY_OPENLINEAGE_FILE": str(tmp_path / "new" / "events.jsonl")})
    with lineage.openlineage_events(under_way, to) as complete:
        assert complete(SUMMARY) == []
    with pytest.raises(StoreError), lineage.openlineage_events(under_way, to):
        raise StoreError("the disk is full")
    events = objects((tmp_path / "new" / "events.jsonl").read_bytes())
    assert [one["eventType"] for one in events] == ["START", "COMPLETE", "START", "FAIL"]
    for event in events:
        check_event(event)
    assert len({one["run"]["runId"] for one in events}) == 1
    documents = events[1]["outputs"][0]
    assert documents["facets"]["version"]["datasetVersion"] == "2"
    assert documents["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert events[3]["run"]["facets"]["errorMessage"]["message"] == "the disk is full"


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on loopback that keeps what is posted to it."""
    seen: list[dict[str, Any]] = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, "key": self.headers["Authorization"], "event": body})
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Keep) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", seen
        listening.shutdown()
        thread.join()


def test_events_are_posted_and_a_server_that_is_down_stops_no_run(
    under_way: Run, server: tuple[str, list[dict[str, Any]]]
) -> None:
    to = lineage.target({"OPENLINEAGE_URL": server[0] + "/", "OPENLINEAGE_API_KEY": "k"})
    with lineage.openlineage_events(under_way, to) as complete:
        assert complete(SUMMARY) == []
    assert [one["event"]["eventType"] for one in server[1]] == ["START", "COMPLETE"]
    assert {(one["path"], one["key"]) for one in server[1]} == {("/api/v1/lineage", "Bearer k")}
    nobody = lineage.Target(url="http://127.0.0.1:1/api/v1/lineage")
    with lineage.openlineage_events(under_way, nobody) as complete:
        assert len(complete(SUMMARY)) == 2


# ---- the command


runner = CliRunner()


def command(root: Path, *arguments: str) -> Any:
    return runner.invoke(app, ["export", "--clean", str(root), *arguments])


def test_the_command_exports_every_format(root: Path, tmp_path: Path) -> None:
    for kind in formats.names():
        more = ["--doc", RICH.doc_id] if kind == "prov" else ["--max-shard", "8", "--max-documents", "9"]
        out = tmp_path / (f"{kind}.json" if kind == "prov" else kind)
        done = command(root, "--format", kind, "--out", str(out), "--json", *more)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["documents"] == (1 if kind == "prov" else 9)
    again = command(
        root, "--format", "text", "--out", str(tmp_path / "text"), "--max-shard", "8", "--max-documents", "9"
    )
    assert "2 of 2 shards were there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "xlsx"], "not one of: jsonl"),
        (["--format", "prov"], "--doc names the document"),
        (["--format", "text", "--doc", "x"], "--doc names the document"),
        (["--format", "parquet", "--compression", "gzip"], "for jsonl and csv only"),
        (["--compression", "lzma"], "one of: none, gzip, zstd"),
    ],
)
def test_a_wrong_option_is_one_clear_line(root: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command(root, "--out", str(tmp_path / "out"), *arguments)
    assert done.exit_code == 2
    assert said in done.stderr.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_compression_of_a_folder_of_lines_is_zstd(small: Plan, tmp_path: Path) -> None:
    sinks.export(small, tmp_path / "corpus", "jsonl")
    assert all(path.name.endswith(".jsonl.zst") for path in (tmp_path / "corpus" / "data").iterdir())
    assert lines.by_suffix(Path("a.JSONL.GZ")) == "gzip"
