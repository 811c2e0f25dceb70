"""``cleancopy ui``: Prefect's server."""

from __future__ import annotations

from typing import Annotated

import typer

from cleancopy.cli.terminal import CLEAN, RAW, Clean, Raw, clear_errors, flows


@clear_errors
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 4200,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
) -> None:
    """Start Prefect's server and UI; the history of runs is there at once."""
    del raw, clean
    flows("server").start(host, port)
