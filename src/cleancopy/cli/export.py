"""``cleancopy export``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cleancopy.cli.terminal import CLEAN, AsJson, Clean, clear_errors, counted, err, fail, find, out, published
from cleancopy.export import formats

if TYPE_CHECKING:
    from cleancopy.export.selection import Plan
    from cleancopy.store.paths import StorePath

_OF_LINES = ", ".join(formats.names(of_lines=True))
_OF_ONE = " or ".join(formats.names(one_document=True))
COMPRESSIONS = ("none", "gzip", "zstd")


@clear_errors
def export(
    to: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="The file or folder to write, see docs/exports.md.")
    ],
    kind: Annotated[str, typer.Option("--format", help=", ".join(formats.names()))] = "jsonl",
    as_of: Annotated[int | None, typer.Option(metavar="N", help="A release; the last one by default.")] = None,
    site: Annotated[str | None, typer.Option(help="The documents of one site only.")] = None,
    doc: Annotated[
        str | None, typer.Option(metavar="DOC", help=f"The document, with --format {_OF_ONE}.")
    ] = None,
    compression: Annotated[
        str | None, typer.Option(help=f"{_OF_LINES}: {', '.join(COMPRESSIONS)}; the suffix says it otherwise.")
    ] = None,
    max_documents: Annotated[int | None, typer.Option(min=1, help="At most so many, the first by id.")] = None,
    max_shard: Annotated[int | None, typer.Option(min=1, help="At most so many documents a shard.")] = None,
    without_reserved: Annotated[
        bool,
        typer.Option(
            "--without-reserved", help="Leave out what its owner reserves against mining or training."
        ),
    ] = False,
    name: Annotated[str, typer.Option(help="What a dataset card calls the corpus.")] = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Write the live documents for other programs.

    Example: cleancopy export --out corpus.jsonl.gz

    Example: cleancopy export --format parquet --out corpus --site example.org
    """
    _check_options(kind, compression, doc)
    published(clean)
    if doc is not None:
        _export_document(clean, to, kind, doc, as_of, as_json)
    else:
        chosen = _plan(clean, as_of, site, max_documents, max_shard, without_reserved)
        _export(chosen, to, kind, compression, name, as_json)


def _check_options(kind: str, compression: str | None, doc: str | None) -> None:
    """End the command with code 2 where options do not go together."""
    if kind not in formats.names():
        fail(f"--format {kind}: not one of: {', '.join(formats.names())}", 2)
    if compression is not None and (
        compression not in COMPRESSIONS or kind not in formats.names(of_lines=True)
    ):
        of_lines = " and ".join(formats.names(of_lines=True))
        fail(f"--compression {compression}: for {of_lines} only, one of: {', '.join(COMPRESSIONS)}", 2)
    of_one = formats.names(one_document=True)
    if (doc is None) == (kind in of_one):
        fail(f"--doc names the document of --format {' or '.join(of_one)}, and goes with no other format", 2)


def _plan(
    clean: StorePath,
    as_of: int | None,
    site: str | None,
    max_documents: int | None,
    max_shard: int | None,
    without_reserved: bool,
) -> Plan:
    from cleancopy.export.selection import SHARD_DOCUMENTS, plan

    return plan(
        clean,
        as_of=as_of,
        site=site,
        max_documents=max_documents,
        shard_documents=max_shard or SHARD_DOCUMENTS,
        without_reserved=without_reserved,
    )


def _export(chosen: Plan, to: Path, kind: str, compression: str | None, name: str, as_json: bool) -> None:
    from cleancopy.export import export as sinks

    with _progress(as_json) as progress:
        done = sinks.export(chosen, to, kind, compression=compression, name=name, progress=progress)
    if done.kept and not as_json:
        err.print(Text(f"{done.kept} of {done.shards} shards were there already"))
    facts = {"documents": done.documents, "file": str(to), "release": chosen.release}
    _say(facts | {"shards": done.shards, "content_root": chosen.content_root}, done.documents, to, as_json)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar of the shards that are done, for people at a terminal."""
    from rich.progress import Progress

    with Progress(console=err, disable=quiet or not err.is_terminal, transient=True) as bars:
        bar = bars.add_task("shards", total=None)
        yield lambda done, of: bars.update(bar, completed=done, total=of)


def _export_document(clean: StorePath, to: Path, kind: str, doc: str, as_of: int | None, as_json: bool) -> None:
    from cleancopy.export.export import export_document

    document = find(clean, doc)
    export_document(clean, to, kind, document.doc_id, as_of)
    _say({"documents": 1, "file": str(to), "document": document.doc_id}, 1, to, as_json)


def _say(facts: dict[str, object], documents: int, to: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
    else:
        out.print(Text(f"{counted(documents, 'document')} in {to}"))
