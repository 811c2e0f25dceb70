"""What every command shares: options, errors as one line and an exit code, and text safe for a terminal."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from cleancopy.errors import CleancopyError, PolicyError
from cleancopy.store.paths import StorePath, store_path

if TYPE_CHECKING:
    from cleancopy.store.rows import Version

Raw = Annotated[Path, typer.Option("--raw", metavar="DIR", help="Folder of the raw captures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Doc = Annotated[
    str,
    typer.Argument(
        metavar="DOC", help="A document: its id or the start of it, URL, input, or file in clean/text."
    ),
]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that read pages; 0 reads in this one.")]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="A policy in TOML [default: cleancopy.toml, if there]."),
]
RAW, CLEAN = Path("raw"), Path("clean")
WORKERS = min(os.cpu_count() or 1, 256)


def _place(name: str) -> StorePath:
    try:
        return store_path(name)
    except PolicyError as error:
        raise typer.BadParameter(str(error)) from error


if TYPE_CHECKING:
    Clean = StorePath
else:  # typer takes no union of types
    _said = "Folder of the store, or s3://bucket/prefix in an object store."
    Clean = Annotated[Path, typer.Option("--clean", metavar="DIR", help=_said, parser=_place)]


#: ``--raw`` on commands that read the store alone: scripts that give it still work, and help does not show it.
_UNUSED_RAW = inspect.Parameter(
    "raw",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[Path | None, typer.Option("--raw", hidden=True)],
)


class _Output(Console):
    """Standard output; a reader that has seen enough, as ``head`` does, is no error."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int) -> NoReturn:
    """End with one clear line on standard error."""
    err.print(Text(f"cleancopy: {message}"), soft_wrap=True)
    raise typer.Exit(code)


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every error that cleancopy raises on purpose as one line and an exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        if takes_raw:
            kwargs.pop("raw")
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
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            fail(f"{name}{error.strerror or error}; make it readable or writable, or name another", 1)

    signature = inspect.signature(command, eval_str=True)
    takes_raw = "clean" in signature.parameters and "raw" not in signature.parameters
    if takes_raw:
        parameters = [*signature.parameters.values(), _UNUSED_RAW]
        wrapped.__dict__["__signature__"] = signature.replace(parameters=parameters)
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def as_json_text(value: object) -> str:
    """JSON for programs, with what a terminal could take for a command escaped."""
    text = json.dumps(value, ensure_ascii=False, default=list)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def printable(text: str) -> str:
    """The text with what a terminal could take for a command left out."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def short(value: object) -> str:
    """A value in at most 80 characters."""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def policy_file(given: Path | None) -> Path | None:
    """The file of the policy: the one that was given, else cleancopy.toml where it is there, else none."""
    default = Path("cleancopy.toml")
    return given or (default if default.is_file() else None)


def command_name() -> str:
    """What to type for cleancopy: its name where the shell finds it, else as it was called, as in a venv."""
    if shutil.which("cleancopy"):
        return "cleancopy"
    return "python -m cleancopy" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def counted(number: int, noun: str) -> str:
    """A number and what it counts, in the singular or plural: ``1 entry``, ``2,000 entries``."""
    counted_noun = noun if number == 1 else noun[:-1] + "ies" if noun.endswith("ry") else noun + "s"
    return f"{number:,} {counted_noun}"


def flows(name: str) -> Any:
    """A module of the flows, which import Prefect; nothing else here does."""
    if not sys.stderr.isatty() and "PREFECT_LOGGING_COLORS" not in os.environ:
        os.environ["PREFECT_LOGGING_COLORS"] = "false"
    return importlib.import_module(f"cleancopy_flows.{name}")


def published(clean: StorePath) -> None:
    from cleancopy.store import releases

    if releases.current(clean) is None:
        fail(f"{clean}: nothing was published yet; run cleancopy ingest", 1)


def find(clean: StorePath, doc: str) -> Version:
    """The latest version of the document that a user means."""
    from cleancopy.corpus import views
    from cleancopy.store import tables

    published(clean)
    ids = views.find(clean, doc)
    if len(ids) > 1:
        examples = ", ".join(doc_id[:12] for doc_id in sorted(ids)[:5])
        fail(f"{doc}: {len(ids)} documents match ({examples} ...); name one by its id", 2)
    if not ids:
        fail(f"{doc}: no document has this id, URL, input or file; see cleancopy status --inputs", 2)
    version = tables.version(clean, ids[0])
    if version is None:
        fail(f"{doc}: no published version", 2)
    return version
