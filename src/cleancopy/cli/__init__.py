"""The command line, ``cleancopy``: one file a group of commands.

Exit codes: 0 the command did what it says (an ingest with rejected inputs included), 1 the store refused,
2 the command or the settings are wrong.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cleancopy.cli import captions, chrome, corpus, decisions, documents, export, ingest, init, maintain, server

app = typer.Typer(
    name="cleancopy",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (
    init.init,
    ingest.ingest,
    corpus.status,
    corpus.releases,
    corpus.rollback,
    corpus.schema,
    documents.show,
    documents.explain,
    documents.history,
    documents.diff,
    documents.trace,
    export.export,
    decisions.restore,
    decisions.pin,
    decisions.takedown,
    chrome.reclean,
    maintain.maintain,
    maintain.verify,
    server.up,
    server.down,
):
    app.command()(command)
app.add_typer(chrome.chrome_app, name="chrome")
app.add_typer(captions.captions_app, name="captions")
app.add_typer(decisions.decisions_app, name="decisions")
app.add_typer(server.schedule_app, name="schedule")


def _print_version(wanted: bool) -> None:
    if wanted:
        import cleancopy

        print(f"cleancopy {cleancopy.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Turn raw web captures into clean, versioned text, and show for every removed line why it went.

    Example: cleancopy ingest

    Example: cleancopy explain gauge.html
    """


def main() -> None:
    """The console script."""
    # Nothing here multiplies dense matrices; numpy's threads for that would wait for it at full speed.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
