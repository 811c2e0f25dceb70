"""Commands on Prefect's server: ``cleancopy up | down | schedule``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    WORKERS,
    AsJson,
    Clean,
    PolicyFile,
    Raw,
    Workers,
    as_json_text,
    clear_errors,
    flows,
    out,
    policy_file,
)

Sources = Annotated[Path, typer.Option("--sources", metavar="FILE", help="The sources and their schedules.")]
SOURCES = Path("sources.toml")
schedule_app = typer.Typer(help="When each source is due.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="SOURCE", help="The name of a source, or raw.")]


@clear_errors
def up(
    sources: Sources = SOURCES,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    workers: Workers = WORKERS,
    policy: PolicyFile = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 4200,
    auth: Annotated[bool, typer.Option(help="Ask for a password.")] = True,
) -> None:
    """Start the server, its UI and the schedules of all sources, and keep them running until Ctrl-C.

    Example: cleancopy up

    Example: cleancopy up --port 4300
    """
    place = flows("schedules").Place(sources, raw, clean, workers, policy_file(policy))
    address = flows("server").Address(host, port)
    flows("up").up(address, place, password=auth)


@clear_errors
def down() -> None:
    """Stop the server and schedules that cleancopy up keeps running on this machine.

    Example: cleancopy down
    """
    address = flows("up").down()
    out.print(Text(f"stopped {address.url}" if address else "nothing runs"))


# ---- schedules


@schedule_app.command("list")
@clear_errors
def schedule_list(sources: Sources = SOURCES, as_json: AsJson = False) -> None:
    """The sources, when each is due, and whether it is paused.

    Example: cleancopy schedule list
    """
    rows = flows("schedules").listed(sources)
    if as_json:
        print(as_json_text(rows))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("source", "kind", "schedule", "state", "next"):
        table.add_column(column)
    for row in rows:
        following = row["next"][0] if row["next"] else ""
        table.add_row(*map(Text, (row["source"], row["kind"], row["schedule"], row["state"], following)))
    out.print(table)


@schedule_app.command("next")
@clear_errors
def schedule_next(
    name: Name,
    sources: Sources = SOURCES,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 5,
    as_json: AsJson = False,
) -> None:
    """When a source is due next.

    Example: cleancopy schedule next news --count 3
    """
    times = flows("schedules").next_times(sources, name, count)
    if as_json:
        print(as_json_text(times))
        return
    for time in times:
        out.print(Text(time))


@schedule_app.command("add")
@clear_errors
def schedule_add(
    name: Name,
    sources: Sources = SOURCES,
    cron: Annotated[str | None, typer.Option(help="Five fields, such as '0 6 * * *'.")] = None,
    interval: Annotated[float | None, typer.Option(min=1, help="Seconds between two runs.")] = None,
    rrule: Annotated[str | None, typer.Option(help="A rule of RFC 5545, such as FREQ=DAILY.")] = None,
    timezone: Annotated[str | None, typer.Option(help="A time zone, such as Europe/Berlin.")] = None,
    jitter: Annotated[float | None, typer.Option(min=0, help="Seconds a run may be put off by chance.")] = None,
) -> None:
    """Give a source of sources.toml a schedule, in place of the one it has.

    Example: cleancopy schedule add news --cron "0 6 * * *" --timezone Europe/Berlin
    """
    options = {"cron": cron, "interval": interval, "rrule": rrule, "timezone": timezone, "jitter": jitter}
    flows("schedules").add(sources, name, {key: value for key, value in options.items() if value is not None})
    out.print(Text(f"{name}: has a schedule in {sources}; a running cleancopy up reads it within seconds"))


@schedule_app.command("pause")
@clear_errors
def schedule_pause(name: Name) -> None:
    """Let a source's schedule rest; it stays so over restarts.

    Example: cleancopy schedule pause news
    """
    flows("schedules").pause(name, True)
    out.print(Text(f"{name}: paused"))


@schedule_app.command("resume")
@clear_errors
def schedule_resume(name: Name) -> None:
    """Let a paused source's schedule go on.

    Example: cleancopy schedule resume news
    """
    flows("schedules").pause(name, False)
    out.print(Text(f"{name}: goes on"))


@schedule_app.command("run")
@clear_errors
def schedule_run(name: Name) -> None:
    """Start a run of a source now.

    Example: cleancopy schedule run news
    """
    out.print(Text(f"{name}: started {flows('schedules').run_now(name)}"))
