"""Commands on the whole store: ``cleancopy status | releases | rollback | schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    AsJson,
    Clean,
    as_json_text,
    clear_errors,
    counted,
    fail,
    out,
    printable,
    published,
)

if TYPE_CHECKING:
    from cleancopy.store.paths import StorePath


@clear_errors
def status(
    inputs: Annotated[bool, typer.Option("--inputs", help="One line an input.")] = False,
    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="RELEASE", help="As it was in this release.", min=1)
    ] = None,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Say what the store holds, or what became of each input.

    Example: cleancopy status

    Example: cleancopy status --inputs
    """
    if inputs:
        if as_of is not None:
            fail("--inputs says what became of each input by now; it has no --as-of", 2)
        _print_inputs(clean, as_json)
        return
    from cleancopy.store import releases, tables

    published(clean)
    manifest = releases.current(clean) if as_of is None else releases.read_manifest(clean, as_of)
    if manifest is None:
        fail(f"{clean}: nothing was published yet; run cleancopy ingest", 1)
    states: dict[str, int] = {}
    for head in tables.heads(clean, as_of).values():
        states[head.status] = states.get(head.status, 0) + 1
    facts = {
        "release": manifest.release,
        "run": manifest.run,
        "time": manifest.time,
        "documents": states,
        "content_root": manifest.content_root,
        "fingerprint": manifest.fingerprint,
        "counts": dict(manifest.counts),
    }
    if as_json:
        print(as_json_text(facts))
        return
    for name, value in facts.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        out.print(Text(f"{name:13} {shown}"))


def _print_inputs(clean: StorePath, as_json: bool) -> None:
    from cleancopy.corpus import views

    lines = list(views.inputs(clean))
    if as_json:
        for line in lines:
            print(as_json_text(line))
        return
    if not out.is_terminal:
        for line in lines:
            print("\t".join(printable(line[name] or "") for name in ("outcome", "error", "input", "message")))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("outcome", "error", "input", "message"):
        table.add_column(column)
    for line in lines:
        table.add_row(line["outcome"], line["error"] or "", Text(line["input"]), Text(line["message"] or ""))
    out.print(table)


@clear_errors
def releases(clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """List the releases: number, time, inputs by outcome, live documents, content root.

    Example: cleancopy releases
    """
    from cleancopy.corpus import reader

    names = ("release", "parent", "time", "run", "counts", "live", "content_root", "fingerprint", "recovered")
    manifests = reader.open(clean).releases()
    if as_json:
        for manifest in manifests:
            print(as_json_text({name: getattr(manifest, name) for name in names}))
        return
    for manifest in manifests:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in manifest.counts.items() if count)
        facts = f"{manifest.live} live", counts or "no new input", f"root {manifest.content_root[:12]}"
        out.print(
            Text(f"{manifest.release:>5}  {manifest.time}  {'; '.join(facts)}  {printable(manifest.run)}")
        )


@clear_errors
def rollback(
    release: Annotated[int, typer.Argument(min=1, help="The release to go back to.")],
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Publish a new release in which all documents stand as they did in an older one.

    Example: cleancopy rollback 3
    """
    from cleancopy.corpus.views import fields_of
    from cleancopy.curation import rollback as roll

    published(clean)
    done = roll.rollback(clean, release)
    if as_json:
        print(as_json_text(fields_of(done)))
        return
    if done.release is None:
        out.print(Text(f"nothing to do: the documents stand as in release {release}"))
    else:
        restored = counted(done.restored, "document")
        out.print(Text(f"release {done.release}: {restored} as in release {release}, {done.gone} gone"))
    if done.kept_down:
        out.print(Text(f"taken down since, and not brought back: {counted(done.kept_down, 'document')}"))


@clear_errors
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/schema.md has it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the fields of the store: type, nullability and meaning of each.

    Example: cleancopy schema --json
    """
    from cleancopy.corpus import schema as described

    if markdown:
        print(described.as_markdown(), end="")
        return
    if as_json:
        print(as_json_text(described.as_json()))
        return
    for name, (description, fields) in described.TABLES.items():
        out.print(Text(f"{name}: {description}", "bold"))
        for field in described.fields(fields):
            null = "null" if field.nullable else ""
            out.print(Text(f"  {field.name:26} {field.type:16} {null:5} {field.meaning}"))
