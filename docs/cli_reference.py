"""Makes docs/cli.md, the commands with options and examples: ``python docs/cli_reference.py > docs/cli.md``.

A test compares the file with what this makes, so that a command or an option cannot be without a line in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from cleancopy.cli import app

HEAD = """# The commands

Made from the commands themselves by `python docs/cli_reference.py > docs/cli.md`. `cleancopy COMMAND -h` shows
the same. `--install-completion` teaches your shell to complete commands and options.

Exit codes: 0 done (rejected inputs do not change that), 1 the store or a server refused, 2 the command or the
settings are wrong, 130 stopped by Ctrl-C. `DOC` is an id or its start, a URL, an input's name, or a file of
`clean/text`.
"""


def commands(group: Any, before: str = "cleancopy") -> Iterator[tuple[str, Any]]:
    """Every command with all its words, in the order of the help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def page() -> str:
    """The text of docs/cli.md."""
    known = commands(typer.main.get_command(app))
    return "\n".join([HEAD, *(line for name, command in known for line in section(name, command))])


def section(name: str, command: Any) -> Iterator[str]:
    """A command: what it does, its examples, its arguments and options."""
    paragraphs = [" ".join(part.split()) for part in command.help.split("\n\n")]
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]
    yield f"## {name}\n"
    yield from (f"{part}\n" for part in paragraphs if not part.startswith("Example: "))
    yield "\n".join(["```", *examples, "```", ""])
    rows = [row(one) for one in command.params if not one.hidden]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows, ""])


def row(parameter: Any) -> str:
    """An argument or option, what it means and its default."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = ", ".join([*parameter.opts, *parameter.secondary_opts])
        number = any(kind in str(parameter.type_descriptor.annotation) for kind in ("int", "float"))
        name += "" if parameter.is_flag else f" {parameter.metavar or ('N' if number else 'TEXT')}"
    default = "" if isinstance(parameter.default, bool) or parameter.name == "workers" else parameter.default
    shown = isinstance(default, str | int | float | Path) and str(default) not in ("", ".")
    text = (parameter.help or "").replace("|", "\\|")
    named = name.replace("|", "\\|")
    return f"| `{named}` | {text}" + (f" Default: {default}." if shown else "") + " |"


if __name__ == "__main__":
    print(page(), end="")
