"""How differences look: a text against another line by line or side by side, words marked, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from cleancopy.cli.terminal import printable
from cleancopy.corpus.textdiff import Line, Row, compare, text_of

#: Columns of a line side by side where there is no terminal that says how wide it is.
_WIDTH = 160


def unified(old: str, new: str, names: tuple[str, str], *, words: bool = False) -> Iterator[Text]:
    """The differences as ``diff -u`` shows them; words that differ stand out on a terminal.

    With ``words`` a changed line is shown once, with ``[-what went-]`` and ``{+what came+}`` in it.
    """
    places = compare(old, new)
    if places:
        yield Text(f"--- {names[0]}", "red")
        yield Text(f"+++ {names[1]}", "green")
    for rows in places:
        yield Text(_head(rows), "cyan")
        yield from _inline(rows) if words else _lines(rows)


def side_by_side(old: str, new: str, names: tuple[str, str], width: int | None) -> Iterator[Text]:
    """The differences in two columns: ``<`` went, ``>`` came, ``|`` changed."""
    column = max(20, ((width or _WIDTH) - 3) // 2)
    for number, rows in enumerate(compare(old, new)):
        if number == 0:
            yield _columns(Text(names[0]), Text(names[1]), " ", column)
        yield Text(_head(rows), "cyan")
        for row in rows:
            mark = {"same": " ", "changed": "|", "removed": "<", "added": ">"}[row.kind]
            left, right = _styled(row.old, "red"), _styled(row.new, "green")
            yield from _wrapped(left, right, mark, column)


def as_json(old: str, new: str) -> list[dict[str, Any]]:
    """The changed rows for programs: line numbers, texts, and the words that differ."""
    return [
        {
            "kind": row.kind,
            "old_line": None if row.old is None else row.old_number,
            "new_line": None if row.new is None else row.new_number,
            "old": None if row.old is None else text_of(row.old),
            "new": None if row.new is None else text_of(row.new),
            "removed": [run.text for run in row.old or () if run.changed],
            "added": [run.text for run in row.new or () if run.changed],
        }
        for rows in compare(old, new, 0)
        for row in rows
        if row.kind != "same"
    ]


def _head(rows: list[Row]) -> str:
    old, new = (sum(getattr(row, side) is not None for row in rows) for side in ("old", "new"))
    return f"@@ -{rows[0].old_number},{old} +{rows[0].new_number},{new} @@"


def _lines(rows: list[Row]) -> Iterator[Text]:
    """Rows as lines: of a run of changed ones first all that went, then all that came."""
    waiting: list[Text] = []
    for row in rows:
        if row.kind == "same":
            yield from waiting
            waiting = []
            yield Text(" ") + _styled(row.old, "")
            continue
        if row.old is not None:
            yield Text("-", "red") + _styled(row.old, "red", whole=row.kind == "removed")
        if row.new is not None:
            waiting.append(Text("+", "green") + _styled(row.new, "green", whole=row.kind == "added"))
    yield from waiting


def _inline(rows: list[Row]) -> Iterator[Text]:
    for row in rows:
        if row.kind != "changed" or row.old is None or row.new is None:
            mark, style = {"same": (" ", ""), "removed": ("-", "red"), "added": ("+", "green")}[row.kind]
            yield Text(mark, style) + _styled(row.old or row.new, style, whole=True)
            continue
        yield Text("~") + _merged(row.old, row.new)


def _merged(old: Line, new: Line) -> Text:
    """Both sides of a changed line in one: the runs that they share are the same ones, in order."""
    line, old_runs, new_runs = Text(), list(old), list(new)
    while old_runs or new_runs:
        if old_runs and old_runs[0].changed:
            line += Text(f"[-{printable(old_runs.pop(0).text)}-]", "red")
        elif new_runs and new_runs[0].changed:
            line += Text(f"{{+{printable(new_runs.pop(0).text)}+}}", "green")
        else:
            line += Text(printable((old_runs or new_runs)[0].text))
            old_runs, new_runs = old_runs[1:], new_runs[1:]
    return line


def _styled(line: Line | None, style: str, *, whole: bool = False) -> Text:
    """A line with the words that differ standing out."""
    text = Text()
    for run in line or ():
        marked = f"{style} reverse" if style and run.changed and not whole else style
        text += Text(printable(run.text), marked)
    return text


def _wrapped(left: Text, right: Text, mark: str, column: int) -> Iterator[Text]:
    """Two texts beside each other, on as many lines as the longer one needs."""
    lefts, rights = _chopped(left, column), _chopped(right, column)
    for number in range(max(len(lefts), len(rights), 1)):
        left_line = lefts[number] if number < len(lefts) else Text()
        right_line = rights[number] if number < len(rights) else Text()
        yield _columns(left_line, right_line, mark if number == 0 else " ", column)


def _chopped(text: Text, column: int) -> list[Text]:
    """A text in pieces that are at most a column wide; wide characters count twice."""
    pieces, start, width = [], 0, 0
    for at, char in enumerate(text.plain):
        size = cell_len(char)
        if width + size > column:
            pieces.append(text[start:at])
            start, width = at, 0
        width += size
    return [*pieces, text[start:]] if text.plain else []


def _columns(left: Text, right: Text, mark: str, column: int) -> Text:
    gap = " " * max(0, column - cell_len(left.plain))
    line = left + Text(f"{gap} {mark} ") + right
    line.rstrip()
    return line
