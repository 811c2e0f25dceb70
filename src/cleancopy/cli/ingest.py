"""``cleancopy ingest``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

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
    err,
    fail,
    flows,
    out,
)


@clear_errors
def ingest(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH|URL]...", help="Files or folders to read; the whole of raw/ if none is named."
        ),
    ] = None,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pages; 0 reads in this one.")] = (
        os.cpu_count() or 1
    ),
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="A policy in TOML.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Run at once, without Prefect.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clean what is new in raw/ and publish it as a release."""
    from cleancopy.policy import read_policy

    chosen = [_existing(path) for path in paths or [str(raw)]]
    settings = read_policy(policy)
    if plain:
        from cleancopy.pipeline import begin
        from cleancopy.pipeline import ingest as run_ingest

        with (
            begin(raw=raw, root=clean, paths=chosen, policy=settings, workers=workers) as run,
            _progress(as_json) as progress,
        ):
            summary = asdict(run_ingest(run, progress))
    else:
        summary = flows("ingest").run(
            paths=[str(path) for path in chosen],
            raw=str(raw),
            clean=str(clean),
            workers=workers,
            policy=str(policy) if policy else None,
        )
    if as_json:
        print(as_json_text(summary))
    else:
        _print_summary(summary, clean)


def _existing(path: str) -> Path:
    if "://" in path:
        fail(f"{path}: fetching from the web is not built yet; save the page into raw/ and ingest that", 2)
    if not os.path.lexists(path):
        fail(f"{path}: there is no such file or folder; check the path", 2)
    return Path(path)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for people; nothing where no terminal is there to see it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, total=of)

        yield progress


def _print_summary(summary: dict[str, Any], clean: Path) -> None:
    counts = summary["counts"]
    table = Table(box=None, pad_edge=False)
    for column in ("inputs", "captures", *counts):
        table.add_column(column, justify="right")
    table.add_row(str(summary["inputs"]), str(summary["captures"]), *(str(count) for count in counts.values()))
    out.print(table)
    for entry in summary["rejections"][:20]:
        name = entry["input"] + (f" ({entry['member']})" if entry["member"] else "")
        out.print(Text(f"rejected {name}: {entry['kind']}: {entry['message']}"))
    if len(summary["rejections"]) > 20:
        out.print(f"... and {len(summary['rejections']) - 20} more: cleancopy status --inputs")
    if summary["cut"]:
        cut = ", ".join(f"{stage} {count:,}" for stage, count in summary["cut"].items())
        out.print(f"characters kept {summary['kept']:,}; cut by {cut}")
    for site, entries in sorted(summary["chrome"].items()):
        out.print(Text(f"chrome of {site}: {entries} entries (cleancopy chrome show {site})"))
    if summary["release"] is None:
        out.print("nothing new: the last release stands")
    else:
        said = f"release {summary['release']}: {summary['live']} live documents, text in {clean / 'text'}/"
        out.print(Text(said))
