"""``cleancopy export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cleancopy.cli.terminal import CLEAN, RAW, AsJson, Clean, Raw, clear_errors, fail, out, published


@clear_errors
def export(
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    kind: Annotated[str, typer.Option("--format", help="jsonl")] = "jsonl",
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Write the live documents for other programs."""
    from cleancopy.sinks.jsonl import write_jsonl

    del raw
    if kind != "jsonl":
        fail(f"--format {kind}: not one of: jsonl", 2)
    published(clean)
    count = write_jsonl(clean, file)
    if as_json:
        print(json.dumps({"documents": count, "file": str(file)}))
    else:
        out.print(Text(f"{count} documents in {file}"))
