"""``cleancopy init``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cleancopy.cli.terminal import clear_errors, fail, out
from cleancopy.store.paths import store_errors

#: The files that are written, each with its settings as comments.
TEMPLATES = ("sources.toml", "cleancopy.toml")

#: What the folder has afterwards, and what each is for.
_CONTENTS = {
    "raw": "put pages here",
    "sources.toml": "or say where to fetch them",
    "cleancopy.toml": "how to clean them",
}


@clear_errors
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="A new folder, or one to add to.")
    ] = Path(),
) -> None:
    """Set up a folder: raw/ for pages, and commented sources.toml and cleancopy.toml. Overwrites nothing.

    Example: cleancopy init my-corpus
    """
    for name in TEMPLATES:
        if (folder / name).exists():
            fail(f"{folder / name}: is there already; remove it, or name another folder", 2)
    with store_errors(folder, "setting it up"):
        (folder / "raw").mkdir(parents=True, exist_ok=True)
        for name in TEMPLATES:
            text = files("cleancopy.cli").joinpath("templates", name).read_text(encoding="utf-8")
            (folder / name).write_text(text, encoding="utf-8")
    for name, purpose in _CONTENTS.items():
        out.print(Text(f"{folder / name!s:30} {purpose}"))
    out.print(Text("then: cleancopy ingest" if folder == Path() else f"then, in {folder}: cleancopy ingest"))
