"""The command line: ``cleancopy ingest | status | show | explain | diff | export | chrome | ui``.

Exit codes: 0 the command did what it says (an ingest with rejected inputs included), 1 the store refused,
2 the command or the settings are wrong.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cleancopy.errors import CleancopyError, PolicyError

if TYPE_CHECKING:
    from cleancopy.document import Document
    from cleancopy.store.rows import Version

app = typer.Typer(
    name="cleancopy",
    help="Turn raw web captures into clean, versioned text, and show for every removed line why it went.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
chrome_app = typer.Typer(help="Look at what was learned of each site's chrome.", no_args_is_help=True)
app.add_typer(chrome_app, name="chrome")

Raw = Annotated[Path, typer.Option("--raw", metavar="DIR", help="Folder of the raw captures.")]
Clean = Annotated[Path, typer.Option("--clean", metavar="DIR", help="Folder of the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Doc = Annotated[
    str,
    typer.Argument(
        metavar="DOC", help="A document: its id or the start of it, URL, input, or file in clean/text."
    ),
]
RAW, CLEAN = Path("raw"), Path("clean")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)


def main() -> None:
    """The console script."""
    app()


def fail(message: str, code: int) -> NoReturn:
    """End with one clear line on standard error."""
    err.print(Text(f"cleancopy: {message}"), soft_wrap=True)
    raise typer.Exit(code)


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every error that cleancopy raises on purpose as one line and an exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PolicyError as error:
            fail(str(error), 2)
        except CleancopyError as error:
            fail(str(error), 1)
        except KeyboardInterrupt:
            fail("stopped; nothing is lost: run the same command again to go on", 130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return wrapped


# ---- ingest


@app.command()
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
        flows = _flows("ingest")
        summary = flows.run(
            paths=[str(path) for path in chosen],
            raw=str(raw),
            clean=str(clean),
            workers=workers,
            policy=str(policy) if policy else None,
        )
    if as_json:
        print(_json(summary))
    else:
        _print_summary(summary, clean)


def _existing(path: str) -> Path:
    if "://" in path:
        fail(f"{path}: fetching from the web is not built yet; save the page into raw/ and ingest that", 2)
    if not os.path.lexists(path):
        fail(f"{path}: there is no such file or folder; check the path", 2)
    return Path(path)


def _flows(name: str) -> Any:
    """A module of the flows, which import Prefect; nothing else here does."""
    if not sys.stderr.isatty() and "PREFECT_LOGGING_COLORS" not in os.environ:
        os.environ["PREFECT_LOGGING_COLORS"] = "false"
    return importlib.import_module(f"cleancopy_flows.{name}")


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


# ---- reading


@app.command()
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
        print(_json(known))
        return
    for name, value in known.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        out.print(Text(f"{name:13} {shown}"))


def _print_inputs(clean: Path, as_json: bool) -> None:
    from cleancopy import views

    lines = list(views.inputs(clean))
    if as_json:
        for line in lines:
            print(_json(line))
        return
    if not out.is_terminal:
        for line in lines:
            print("\t".join(_printable(line[name] or "") for name in ("outcome", "error", "input", "message")))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("outcome", "error", "input", "message"):
        table.add_column(column)
    for line in lines:
        table.add_row(line["outcome"], line["error"] or "", Text(line["input"]), Text(line["message"] or ""))
    out.print(table)


@app.command()
@clear_errors
def show(doc: Doc, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's clean text, or all that is known of it as JSON."""
    del raw
    version = _find(clean, doc)
    if as_json:
        from cleancopy import views

        known = {**views.provenance(version), "text": version.document.clean}
        print(_json(known))
        return
    sys.stdout.write(_printable(version.document.clean))


@app.command()
@clear_errors
def explain(doc: Doc, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's page text with every cut: its stage, rule, reason and evidence."""
    del raw
    version = _find(clean, doc)
    if as_json:
        from cleancopy import views

        for cut in views.cuts(version):
            print(_json(cut))
        return
    for line in _explained(version.document):
        out.print(line)
    if version.duplicate_of:
        out.print(Text(f"duplicate of {version.duplicate_of}: {version.match.get('reason', '')}", "bold"))


def _explained(document: Document) -> Iterator[Text]:
    """The page text as lines: kept ones plain, cut ones marked with ``-`` and followed by why."""
    position = 0
    for cut in document.cuts:
        yield from _lines(document.text[position : cut.start], "  ", "")
        yield from _lines(document.text[cut.start : cut.end], "- ", "red")
        evidence = ", ".join(f"{name} {_short(value)}" for name, value in sorted(cut.evidence.items()))
        why = f"    {cut.stage}, {cut.rule}: {cut.reason}" + (f" [{evidence}]" if evidence else "")
        yield Text(_printable(why), "dim")
        position = cut.end
    yield from _lines(document.text[position:], "  ", "")


def _lines(text: str, mark: str, style: str) -> Iterator[Text]:
    for line in text.splitlines():
        if line.strip():
            yield Text(mark + _printable(line), style)


def _short(value: object) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _json(value: object) -> str:
    """JSON for programs, with what a terminal could take for a command escaped."""
    text = json.dumps(value, ensure_ascii=False, default=list)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _printable(text: str) -> str:
    """The text with what a terminal could take for a command left out."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


@app.command()
@clear_errors
def diff(
    doc: Doc,
    before: Annotated[int | None, typer.Option("--from", help="Number of the older version.")] = None,
    after: Annotated[int | None, typer.Option("--to", help="Number of the newer version.")] = None,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Show how a document's clean text changed between two versions (the last two by default)."""
    from difflib import unified_diff

    from cleancopy.store import corpus

    del raw
    versions = {version.seq: version for version in corpus.history(clean, _find(clean, doc).doc_id)}
    after = after if after is not None else max(versions)
    before = before if before is not None else max((seq for seq in versions if seq < after), default=after)
    for seq in (before, after):
        if seq not in versions:
            fail(f"there is no version {seq} of it; there are {', '.join(map(str, sorted(versions)))}", 2)
    old, new = versions[before], versions[after]
    lines = list(
        unified_diff(
            old.document.clean.splitlines(),
            new.document.clean.splitlines(),
            f"version {before} (release {old.release})",
            f"version {after} (release {new.release}, {new.change})",
            lineterm="",
        )
    )
    if as_json:
        print(_json({"from": before, "to": after, "change": new.change, "diff": lines}))
        return
    if not lines:
        out.print(
            f"versions {before} and {after} have the same text" if before != after else "there is one version"
        )
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        out.print(Text(_printable(line), style))


@app.command()
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
    _published(clean)
    count = write_jsonl(clean, file)
    if as_json:
        print(json.dumps({"documents": count, "file": str(file)}))
    else:
        out.print(Text(f"{count} documents in {file}"))


def _published(clean: Path) -> None:
    from cleancopy.store import releases

    if releases.current(clean) is None:
        fail(f"{clean}: nothing was published yet; run cleancopy ingest", 1)


def _find(clean: Path, doc: str) -> Version:
    """The latest version of the document that a user means."""
    from cleancopy import views
    from cleancopy.store import corpus

    _published(clean)
    found = views.find(clean, doc)
    if len(found) > 1:
        some = ", ".join(one[:12] for one in sorted(found)[:5])
        fail(f"{doc}: {len(found)} documents match ({some} ...); name one by its id", 2)
    if not found:
        fail(f"{doc}: no document has this id, URL, input or file; see cleancopy status --inputs", 2)
    version = corpus.version(clean, found[0])
    if version is None:
        fail(f"{doc}: no published version", 2)
    return version


# ---- chrome


@chrome_app.command("list")
@clear_errors
def chrome_list(raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """The sites whose chrome was learned."""
    from cleancopy.store import chromes

    del raw
    known = [
        {"site": c.site, "version": c.version, "pages": c.pages, "entries": len(c.entries)}
        for c in chromes.sites(clean)
    ]
    if as_json:
        print(_json(known))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("site", "version", "pages", "entries"):
        table.add_column(column)
    for one in known:
        table.add_row(*(Text(_printable(str(value))) for value in one.values()))
    out.print(table)


@chrome_app.command("show")
@clear_errors
def chrome_show(site: str, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """What was learned of one site's chrome."""
    from cleancopy.stages.chrome import chrome_to_json
    from cleancopy.store import chromes

    del raw
    chrome = chromes.current(clean, site)
    if chrome is None:
        fail(f"{site}: no chrome was learned for this site; see cleancopy chrome list", 2)
    if as_json:
        print(chrome_to_json(chrome))
        return
    out.print(Text(f"{chrome.site}, version {chrome.version}, learned from {chrome.pages} pages"))
    for entry in chrome.entries:
        out.print(Text(f"{entry.status:8} {entry.pages:5}  {_short(_printable(entry.example))}"))


@app.command()
@clear_errors
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 4200,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
) -> None:
    """Start Prefect's server and UI; the history of runs is there at once."""
    del raw, clean
    _flows("server").start(host, port)


if __name__ == "__main__":
    main()
