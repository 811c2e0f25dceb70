"""Commands on one document: ``cleancopy show | explain | diff``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    AsJson,
    Clean,
    Doc,
    Raw,
    as_json_text,
    clear_errors,
    fail,
    find,
    out,
    printable,
    short,
)

if TYPE_CHECKING:
    from cleancopy.document import Document


@clear_errors
def show(doc: Doc, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's clean text, or all that is known of it as JSON."""
    del raw
    version = find(clean, doc)
    if as_json:
        from cleancopy import views

        known = {**views.provenance(version), "text": version.document.clean}
        print(as_json_text(known))
        return
    sys.stdout.write(printable(version.document.clean))


@clear_errors
def explain(doc: Doc, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's page text with every cut: its stage, rule, reason and evidence."""
    del raw
    version = find(clean, doc)
    if as_json:
        from cleancopy import views

        for cut in views.cuts(version):
            print(as_json_text(cut))
        return
    for line in _explained(version.document):
        out.print(line)
    if version.duplicate_of:
        out.print(Text(f"duplicate of {version.duplicate_of}: {version.match.get('reason', '')}", "bold"))


def _explained(document: Document) -> Iterator[Text]:
    """The page text as lines: kept ones plain, cut ones marked with ``-`` and followed by why."""
    position = 0
    for cut in document.cuts:
        yield from _lines(document.text[position : cut.start], "  ", "")
        yield from _lines(document.text[cut.start : cut.end], "- ", "red")
        evidence = ", ".join(f"{name} {short(value)}" for name, value in sorted(cut.evidence.items()))
        why = f"    {cut.stage}, {cut.rule}: {cut.reason}" + (f" [{evidence}]" if evidence else "")
        yield Text(printable(why), "dim")
        position = cut.end
    yield from _lines(document.text[position:], "  ", "")


def _lines(text: str, mark: str, style: str) -> Iterator[Text]:
    for line in text.splitlines():
        if line.strip():
            yield Text(mark + printable(line), style)


@clear_errors
def diff(
    doc: Doc,
    before: Annotated[int | None, typer.Option("--from", help="Number of the older version.")] = None,
    after: Annotated[int | None, typer.Option("--to", help="Number of the newer version.")] = None,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Show how a document's clean text changed between two versions (the last two by default)."""
    from difflib import unified_diff

    from cleancopy.store import corpus

    del raw
    versions = {version.seq: version for version in corpus.history(clean, find(clean, doc).doc_id)}
    after = after if after is not None else max(versions)
    before = before if before is not None else max((seq for seq in versions if seq < after), default=after)
    for seq in (before, after):
        if seq not in versions:
            fail(f"there is no version {seq} of it; there are {', '.join(map(str, sorted(versions)))}", 2)
    old, new = versions[before], versions[after]
    lines = list(
        unified_diff(
            old.document.clean.splitlines(),
            new.document.clean.splitlines(),
            f"version {before} (release {old.release})",
            f"version {after} (release {new.release}, {new.change})",
            lineterm="",
        )
    )
    if as_json:
        print(as_json_text({"from": before, "to": after, "change": new.change, "diff": lines}))
        return
    if not lines:
        out.print(
            f"versions {before} and {after} have the same text" if before != after else "there is one version"
        )
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        out.print(Text(printable(line), style))
