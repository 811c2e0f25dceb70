"""Which tables hold data, and the place of each of their cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lxml import html

#: The longest cell, in characters, of a row that is read as one line; rows with longer cells are read as text.
_LONGEST_CELL = 500
#: The most columns and rows that a cell may cover; a browser stops at 1,000 and 65,534.
_MOST = 1_000


class Cell(NamedTuple):
    """A cell's place in its table, counted from 0, and how many columns and rows it covers."""

    row: int
    column: int
    rows: int
    columns: int
    header: bool


def is_row(row: html.HtmlElement) -> bool:
    """Whether a ``tr`` is a row of data: no table inside, and no cell as long as a paragraph of prose."""
    if next(row.iter("table"), None) is not None:
        return False
    return all(sum(map(len, cell.itertext())) <= _LONGEST_CELL for cell in row)


def cells(table: html.HtmlElement) -> dict[html.HtmlElement, Cell]:
    """The cells of a table of data with their places; none where the table is there for the layout.

    A table is layout where it says so, holds a table, or has but one row or one column and no header.
    """
    if table.get("role") in ("presentation", "none") or next(table.iterdescendants("table"), None) is not None:
        return {}
    placed: dict[html.HtmlElement, Cell] = {}
    taken: dict[int, int] = {}
    rows = list(_rows(table))
    for number, row in enumerate(rows):
        column = 0
        for cell in row:
            if cell.tag not in ("td", "th"):
                continue
            while taken.get(column, 0) > number:
                column += 1
            if column >= _MOST:
                break
            high = min(_count(cell, "rowspan"), len(rows) - number)
            wide = min(_count(cell, "colspan"), _MOST - column)
            placed[cell] = Cell(number, column, high, wide, cell.tag == "th" or _in_head(row))
            if high > 1:
                taken.update(dict.fromkeys(range(column, column + wide), number + high))
            column += wide
    heads = any(cell.header for cell in placed.values())
    columns = max((cell.column for cell in placed.values()), default=0)
    return placed if heads or (len(rows) > 1 and columns) else {}


def _rows(table: html.HtmlElement) -> Iterator[html.HtmlElement]:
    for part in table:
        if part.tag == "tr":
            yield part
        elif part.tag in ("thead", "tbody", "tfoot"):
            yield from part.iterchildren("tr")


def _in_head(row: html.HtmlElement) -> bool:
    parent = row.getparent()
    return parent is not None and parent.tag == "thead"


def _count(cell: html.HtmlElement, name: str) -> int:
    written = (cell.get(name) or "1").strip()
    return (
        max(1, min(int(written), _MOST))
        if written.isascii() and written.isdecimal() and len(written) < 9
        else 1
    )
