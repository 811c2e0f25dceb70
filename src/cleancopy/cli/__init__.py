"""The command line: ``cleancopy ingest | status | show | explain | diff | export | chrome | ui``.

Exit codes: 0 the command did what it says (an ingest with rejected inputs included), 1 the store refused,
2 the command or the settings are wrong.
"""

from __future__ import annotations

import typer

from cleancopy.cli import chrome, corpus, documents, export, ingest, server

app = typer.Typer(
    name="cleancopy",
    help="Turn raw web captures into clean, versioned text, and show for every removed line why it went.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    ingest.ingest,
    corpus.status,
    documents.show,
    documents.explain,
    documents.diff,
    export.export,
    server.ui,
):
    app.command()(command)
app.add_typer(chrome.chrome_app, name="chrome")


def main() -> None:
    """The console script."""
    app()
