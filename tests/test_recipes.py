"""Adding to cleancopy: each recipe is followed in a copy of the package, one new file and one new line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cleancopy
from cleancopy.export import formats
from cleancopy.export.writers import DocumentWriter, LinesWriter, load_writer
from conftest import ROOT
from test_crawl import article
from test_web import LOOPBACK, Server, made, serving

PACKAGE = Path(cleancopy.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, links to what a recipe does not touch."""
    into = tmp_path / "src" / "cleancopy"
    shutil.copytree(PACKAGE, into, ignore=shutil.ignore_patterns("__pycache__"), copy_function=os.symlink)
    return into


def add_line(file: Path, line: str, after: str) -> None:
    """Put one line into a file of the copy, after the line that begins the list."""
    text = file.read_text(encoding="utf-8")
    assert text.count(after) == 1
    file.unlink()  # the link, not what it leads to
    file.write_text(text.replace(after, f"{after}\n    {line}"), encoding="utf-8")


def run(copy: Path, *arguments: str) -> str:
    """The output of Python with the copy in place of the package."""
    environment = os.environ | {"PYTHONPATH": f"{copy.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def note(copy: Path) -> list[str]:
    """A small folder of captures; the options that read it."""
    raw = copy.parents[1] / "raw"
    raw.mkdir()
    (raw / "tides.txt").write_text("Tides\n\nThe gauge at the old quay was read at noon.\n\nIT IS LOUD HERE.\n")
    return ["--raw", str(raw), "--clean", str(copy.parents[1] / "clean")]


TITLES = '''
"""Titles: a line with the words of each document."""

from cleancopy.export.lines import Lines
from cleancopy.export.writers import LinesWriter


def as_lines(chosen):
    return Lines(b"", lambda table: (f"{words}\\n".encode() for words in table["words"].to_pylist()))


WRITER = LinesWriter(".titles", as_lines, compression="none")
'''


def test_an_export_format_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "export" / "titles.py").write_text(TITLES)
    line = 'ExportFormat("titles", "titles", "one file, a number a line", "anything", of_lines=True),'
    add_line(copy / "export" / "formats.py", line, "FORMATS: tuple[ExportFormat, ...] = (")
    options = note(copy)
    run(copy, "-m", "cleancopy", "ingest", "--plain", "--workers", "0", *options)
    run(copy, "-m", "cleancopy", "export", "--format", "titles", "--out", "all.titles", *options)
    assert int((copy.parents[1] / "all.titles").read_text()) > 5
    assert "titles" in run(copy, "-m", "cleancopy", "export", "--help")
    schema = "from cleancopy_flows.export import ExportParameters as P; print(P.model_json_schema())"
    assert "'titles'" in run(copy, "-c", schema)


SHOUTING = '''
"""A stage that cuts blocks in capitals."""

from dataclasses import replace

from cleancopy.document import Cut


def cut(document, policy, chrome):
    cuts = [
        Cut(block.start, block.end, "shouting", "capitals", "is all in capitals", {})
        for block in document.blocks
        if document.text[block.start : block.end].isupper()
    ]
    return replace(document, cuts=(*document.cuts, *cuts))
'''


def test_a_stage_is_one_file_and_one_line(copy: Path) -> None:
    (copy / "stages" / "shouting.py").write_text(SHOUTING)
    add_line(copy / "policy.py", '"shouting": 1,', "STAGES: Mapping[str, int] = {")
    output = run(copy, "-m", "cleancopy", "ingest", "--plain", "--workers", "0", "--json", *note(copy))
    assert json.loads(output.splitlines()[-1])["cut"]["shouting"] == len("IT IS LOUD HERE.")


CHANGES = 'SourceKind("changes", "pages that a list of changes names", "list", ("urls",), ("pages",)),'


def test_a_kind_of_source_is_one_line(copy: Path) -> None:
    """The settings, their errors and the crawl know it; what it asks for first is all that a kind decides."""
    add_line(copy / "sources" / "settings.py", CHANGES, "    for kind in (")
    home = copy.parents[1]
    site = Server()
    with serving(site.answer) as port:
        site.port = port
        site.pages["/tides"] = made(article("tides"))
        feed = f"<rss><channel><item><link>{site.url('/tides')}</link></item></channel></rss>"
        site.pages["/changes"] = made(feed.encode(), Content_Type="application/rss+xml")
        fetch = f'[fetch]\ndelay = 0\nports = [{port}]\nallow = ["{LOOPBACK}:{port}"]\n'
        source = f'[[source]]\nname = "news"\nkind = "changes"\nurls = ["{site.url("/changes")}"]\n'
        (home / "sources.toml").write_text(fetch + source)
        options = [*note(copy), "--sources", str(home / "sources.toml"), "--source", "news", "--json"]
        output = run(copy, "-m", "cleancopy", "ingest", "--plain", "--workers", "0", *options)
    assert json.loads(output)["counts"]["new"] == 2, "the list is an input, too"
    assert "/tides" in site.paths


@pytest.mark.parametrize("form", formats.FORMATS, ids=lambda form: form.name)
def test_a_format_is_what_its_record_says(form: formats.ExportFormat) -> None:
    writer = load_writer(form)
    assert isinstance(writer, LinesWriter) == form.of_lines
    assert isinstance(writer, DocumentWriter) == form.one_document


def test_the_docs_have_each_format_as_its_record_has_it() -> None:
    lines = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8").splitlines()
    at = lines.index("| format | what `--out` becomes | read it with |") + 2
    rows = [f"| `{form.name}` | {form.makes} | {form.read_with} |" for form in formats.FORMATS]
    assert lines[at : at + len(rows)] == rows
    assert not lines[at + len(rows)].startswith("|")


def test_the_docs_have_the_recipes_as_they_are_run_here() -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert TITLES.strip() in page
    assert SHOUTING.strip() in page
    assert CHANGES in page
