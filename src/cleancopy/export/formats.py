"""The formats of exports: one record each, from which the command, the form and the docs' table are made.

A new format is a module of this package with a ``WRITER`` (see ``writers``), and one record here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format: its name, the module with its ``WRITER``, and what people read of it in a line.

    ``makes`` says what ``--out`` becomes, ``read_with`` what opens it; both stand in docs/exports.md.
    ``one_document`` is true where an export holds a single document, which ``--doc`` names; ``of_lines`` where
    it is one line a document, in a file that can be compressed.
    """

    name: str
    module: str
    makes: str
    read_with: str
    one_document: bool = False
    of_lines: bool = False


_JSONL = "one file, one JSON object a line (`.jsonl`, `.jsonl.gz`, `.jsonl.zst`)"
_TREE = "folder: `documents/<site>/<title>-<id>"
FORMATS: tuple[ExportFormat, ...] = (
    ExportFormat(
        "jsonl",
        "jsonl",
        f"{_JSONL}; without a suffix a folder of shards",
        "jq, Dolma's toolkit, anything",
        of_lines=True,
    ),
    ExportFormat(
        "parquet", "parquet", "folder: `data/part-00000-of-00003.parquet` ...", "DuckDB, Polars, pandas, Spark"
    ),
    ExportFormat(
        "huggingface",
        "huggingface",
        "folder: Parquet and `README.md`, the dataset card",
        "`datasets.load_dataset(folder)`",
    ),
    ExportFormat(
        "croissant",
        "croissant",
        "folder: Parquet and `croissant.json`, Croissant 1.1 metadata",
        '`mlcroissant.Dataset("croissant.json")`',
    ),
    ExportFormat("markdown", "markdown", f"{_TREE}.md`, YAML front matter first", "people, static site makers"),
    ExportFormat("text", "text", f"{_TREE}.txt`, the clean text alone", "people, `grep`"),
    ExportFormat("csv", "spreadsheet", "one file, or a folder of shards", "spreadsheets", of_lines=True),
    ExportFormat(
        "prov",
        "prov",
        "one file: W3C PROV-JSON of the document that `--doc` names",
        "the `prov` package, ProvStore",
        one_document=True,
    ),
)


def names(*, one_document: bool | None = None, of_lines: bool | None = None) -> tuple[str, ...]:
    """The names of all formats, or of those alone that hold one document, or lines, as asked."""
    return tuple(
        each.name
        for each in FORMATS
        if one_document in (None, each.one_document) and of_lines in (None, each.of_lines)
    )


def format_named(name: str) -> ExportFormat:
    """The format of a name; raises KeyError where there is none."""
    return {each.name: each for each in FORMATS}[name]
