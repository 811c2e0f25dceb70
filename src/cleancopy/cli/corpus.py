"""Commands on the whole store: ``cleancopy status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    AsJson,
    Clean,
    Raw,
    as_json_text,
    clear_errors,
    fail,
    out,
    printable,
)


@clear_errors
def status(
    inputs: Annotated[bool, typer.Option("--inputs", help="One line an input.")] = False,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Say what the store holds, or what became of each input."""
    del raw
    if inputs:
        _print_inputs(clean, as_json)
        return
    from cleancopy.store import corpus, releases

    manifest = releases.current(clean)
    if manifest is None:
        fail(f"{clean}: nothing was published yet; run cleancopy ingest", 1)
    states: dict[str, int] = {}
    for head in corpus.heads(clean).values():
        states[head.status] = states.get(head.status, 0) + 1
    known = {
        "release": manifest.release,
        "run": manifest.run,
        "time": manifest.time,
        "documents": states,
        "content_root": manifest.content_root,
        "fingerprint": manifest.fingerprint,
        "counts": dict(manifest.counts),
    }
    if as_json:
        print(as_json_text(known))
        return
    for name, value in known.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        out.print(Text(f"{name:13} {shown}"))


def _print_inputs(clean: Path, as_json: bool) -> None:
    from cleancopy import views

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
