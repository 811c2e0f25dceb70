"""``cleancopy ingest``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

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
    command_name,
    counted,
    err,
    fail,
    flows,
    out,
    policy_file,
    printable,
)
from cleancopy.errors import CleancopyError

if TYPE_CHECKING:
    from cleancopy.sources.settings import Settings, Source
    from cleancopy.store.paths import StorePath


#: What is read where ``--sources`` names no other, if it is there.
SOURCES = Path("sources.toml")


@clear_errors
def ingest(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH|URL]...",
            help="Files or folders to read and pages to fetch; the whole of raw/ if none is named.",
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="A source of sources.toml; may be given several times."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sources and how to fetch, in TOML [default: sources.toml]."),
    ] = None,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    workers: Workers = WORKERS,
    policy: PolicyFile = None,
    plain: Annotated[bool, typer.Option("--plain", help="Run at once, without Prefect.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be read; nothing is fetched or written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Clean what is new in raw/, or what sources bring, and publish it as a release.

    Example: cleancopy ingest

    Example: cleancopy ingest raw/example.org page.html

    Example: cleancopy ingest --source news --dry-run
    """
    from cleancopy.policy import read_policy
    from cleancopy.sources.settings import Settings, for_urls, read_sources

    file = sources or (SOURCES if SOURCES.is_file() else None)
    settings = read_sources(file) if file else Settings()
    policy = policy_file(policy)
    read_policy(policy)
    urls = tuple(argument for argument in inputs or () if "://" in argument)
    paths = [_existing(argument) for argument in inputs or () if "://" not in argument]
    if source and inputs:
        fail("a source is named besides paths or addresses; ingest one after the other", 2)
    names = source or ([listed.name for listed in settings.sources] if sources and not inputs else [])
    if not inputs and not names:
        _existing(str(raw))
    chosen: tuple[Source | None, ...] = settings.chosen(names, str(file or SOURCES))
    given: dict[str, Any] = {"raw": raw, "clean": clean, "paths": paths, "workers": workers, "policy": policy}

    def work(chosen_source: Source | None) -> None:
        if dry_run:
            _preview(chosen_source, settings, as_json, **given)
            return
        later = None
        if plain:
            summary = _at_once(chosen_source, settings, as_json, **given)
        else:
            named = {
                "urls": list(urls) or None,
                "source": chosen_source.name if chosen_source and not urls else None,
            }
            with _progress(as_json) as progress:
                summary, later = flows("start").ingest(progress, **_as_text(given | {"sources": file}), **named)
        if as_json:
            print(as_json_text(summary), flush=True)
        else:
            _print_summary(summary, clean)
        if later:
            err.print(Text(later))

    _for_each(chosen or (for_urls(urls) if urls else None,), work)


def _for_each(sources: Sequence[Source | None], work: Callable[[Source | None], None]) -> None:
    """Do the work for each source; one of several that is refused does not stop the others."""
    refused = []
    for source in sources:
        try:
            work(source)
        except CleancopyError as error:
            if source is None or len(sources) < 2:
                raise
            refused.append(source.name)
            err.print(Text(f"cleancopy: {source.name}: {error}"), soft_wrap=True)
    if refused:
        fail(f"{len(refused)} of {len(sources)} sources were refused: {', '.join(refused)}", 1)


def _preview(
    source: Source | None,
    settings: Settings,
    as_json: bool,
    *,
    raw: Path,
    clean: StorePath,
    paths: list[Path],
    workers: int,
    policy: Path | None,
) -> None:
    """Say what an ingest would read."""
    from cleancopy.ingest.pipeline import preview
    from cleancopy.policy import read_policy

    del workers
    counts = preview(
        raw=raw,
        root=clean,
        paths=paths,
        policy=read_policy(policy),
        source=source.name if source else "raw",
        sources=[source] if source else (),
        fetching=settings.fetch,
    )
    counts_text = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no input"
    out.print(as_json_text(counts) if as_json else Text(f"would read: {counts_text}"))


def _at_once(
    source: Source | None,
    settings: Settings,
    quiet: bool,
    *,
    raw: Path,
    clean: StorePath,
    paths: list[Path],
    workers: int,
    policy: Path | None,
) -> dict[str, Any]:
    """The summary of a run in this process."""
    from cleancopy.ingest import plain_runs
    from cleancopy.ingest.lineage import openlineage_events
    from cleancopy.ingest.pipeline import begin
    from cleancopy.ingest.pipeline import ingest as run_ingest
    from cleancopy.policy import read_policy

    with (
        plain_runs.noted(clean, source.name if source else "raw") as done,
        begin(
            raw=raw,
            root=clean,
            paths=paths,
            policy=read_policy(policy),
            workers=workers,
            source=source.name if source else "raw",
            sources=[source] if source else (),
            fetching=settings.fetch,
        ) as run,
        openlineage_events(run) as complete,
        _progress(quiet) as progress,
    ):
        summary = run_ingest(run, progress)
        done(summary)
        for lost in complete(summary):
            err.print(Text(lost))
        return summary.as_dict()


def _as_text(given: dict[str, Any]) -> dict[str, Any]:
    """Parameters as a flow takes them: paths as text, no list where nothing is named."""
    parameters = {name: str(value) if isinstance(value, PurePath) else value for name, value in given.items()}
    return parameters | {"paths": [str(path) for path in given["paths"]] or None}


def _existing(path: str) -> Path:
    if not os.path.lexists(path):
        fail(f"{path}: there is no such file or folder; check the path", 2)
    return Path(path)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for people; nothing where no terminal is there to see it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if quiet or not err.is_terminal:
        yield lambda step, done, of: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, total=of)

        yield progress


def _print_summary(summary: dict[str, Any], clean: StorePath) -> None:
    from cleancopy.store.paths import local_folder

    counts = summary["counts"]
    table = Table(box=None, pad_edge=False)
    for column in ("inputs", "captures", *counts):
        table.add_column(column, justify="right")
    table.add_row(str(summary["inputs"]), str(summary["captures"]), *(str(count) for count in counts.values()))
    out.print(table)
    for rejection in summary["rejections"][:20]:
        name = rejection["input"] + (f" ({rejection['member']})" if rejection["member"] else "")
        out.print(Text(f"rejected {name}: {rejection['kind']}: {rejection['message']}"))
    if len(summary["rejections"]) > 20:
        out.print(f"... and {len(summary['rejections']) - 20} more: cleancopy status --inputs")
    if summary["cut"]:
        cut = ", ".join(f"{stage} {count:,}" for stage, count in summary["cut"].items())
        out.print(f"characters kept {summary['kept']:,}; cut by {cut}")
    for site, entries in sorted(summary["chrome"].items()):
        out.print(Text(f"chrome of {site}: {counted(entries, 'entry')} (cleancopy chrome show {site})"))
    for old, new in list(summary["moved"].items())[:20]:
        out.print(Text(f"moved: {printable(old)} is now {printable(new)}"))
    for alarm in summary["alarms"]:
        out.print(Text(f"alarm: {printable(alarm['message'])}", "bold"))
    if summary["overflow"]:
        out.print(
            f"{summary['overflow']:,} pairs of documents were not compared, as too many are alike: "
            "cleancopy status --inputs names them"
        )
    if summary["release"] is None:
        out.print("nothing new: the last release stands" if summary["content_root"] else "nothing to publish")
        return
    live = counted(summary["live"], "live document")
    folder = local_folder(clean)
    where = f", text in {folder / 'text'}/" if folder else ""
    out.print(Text(f"release {summary['release']}: {live}{where}"))
    if summary["release"] == 1 and folder:
        _show_where_to_look(folder)


def _show_where_to_look(clean: Path) -> None:
    """After the first release: how a clean text begins, and the commands that show it and what was cut."""
    sites = [folder for folder in (clean / "text").iterdir() if folder.is_dir()]
    file = min((path for site in sites for path in site.glob("*.txt")), default=None)
    if file is None:
        return
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    out.print(Text(f"\n{printable(str(file))} begins:"))
    for line in lines[:4]:
        out.print(Text(f"    {line[:100]}{'...' if len(line) > 100 else ''}"))
    option = "" if clean == Path("clean") else f" --clean {shlex.quote(str(clean))}"
    name, command = shlex.quote(file.name), command_name()
    out.print(Text(f"\nread it all:               {command} show {name}{option}"))
    out.print(Text(f"see what was cut and why:  {command} explain {name}{option}"))
