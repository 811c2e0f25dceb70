"""Erasing lines from what the orchestrator keeps: its database, and the notes of runs without a server.

    erase(needles)      the names of files in which some line stands still

Rows that have a line go whole: artifacts, events, log lines, states, and a run whose name or parameters have
one with all that is of it. Then the database is written again and its log emptied, so that no page keeps them.
It needs no server, and one that runs does not mind; where it holds the database for longer, that is said.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cleancopy_flows import noted, server

from cleancopy.errors import StoreError
from cleancopy.store.contents import contents
from cleancopy.store.needles import Needles

#: Tables with rows of runs; what people set up (deployments, variables, blocks) is looked at and left alone.
_TABLES = (
    "artifact_collection", "artifact", "log", "event_resources", "events", "flow_run_input", "flow_run_state",
    "task_run_state", "task_run_state_cache", "task_run", "flow_run",
)  # fmt: skip
#: Seconds that the database is waited for while a server writes to it.
_TIMEOUT = 30.0


def erase(needles: Needles) -> list[str]:
    """Erase all rows and notes with some of the lines; the names of files that have some still."""
    if not needles or not server.home().is_dir():
        return []
    unreached = []
    for note in noted.notes():
        if _stands_in(note, needles) and not _is_under_way(note):
            note.unlink(missing_ok=True)
    path = _database()
    if path is None:
        unreached.append("Prefect's database, which is not on this machine: it was not searched")
    elif path.exists():
        try:
            _erase_rows(path, needles)
        except sqlite3.Error as error:
            unreached.append(f"{path} ({error}); end what uses it, and run cleancopy maintain")
    files = (file for file in sorted(server.home().rglob("*")) if file.is_file())
    return [*unreached, *(str(file) for file in files if _stands_in(file, needles))]


def _database() -> Path | None:
    """The file of Prefect's database; None where it is another kind or on another machine."""
    url = os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL") or os.environ.get(
        "PREFECT_SERVER_DATABASE_CONNECTION_URL"
    )
    if url is None:
        return Path(server.home()) / "prefect.db"
    kind, _, name = url.partition(":///")
    return Path(name.partition("?")[0]) if kind.startswith("sqlite") else None


def _is_under_way(note: Path) -> bool:
    """Whether the run of a note has not ended; its note is looked at again by the next erasure."""
    try:
        content = noted.read_note(note)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return content.ended is None and note not in [path for path, _ in noted.waiting()]


def _erase_rows(path: Path, needles: Needles) -> None:
    with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as database:
        database.execute("pragma secure_delete = on")
        there = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        erased = 0
        with database:
            for table in (table for table in _TABLES if table in there):
                rows = [(row,) for row in _rows_with(database, table, needles)]
                if table in ("flow_run", "task_run") and rows:
                    _erase_of_runs(database, table, rows, there)
                database.executemany(f"delete from {table} where rowid = ?", rows)  # noqa: S608 - names of ours
                erased += len(rows)
            if "artifact_collection" in there:
                database.execute(
                    "delete from artifact_collection where latest_id not in (select id from artifact)"
                )
        if erased:
            database.execute("vacuum")
            database.execute("pragma wal_checkpoint(truncate)")


def _rows_with(database: sqlite3.Connection, table: str, needles: Needles) -> Iterator[int]:
    """The rows of a table in which some line stands."""
    for number, *values in database.execute(f"select rowid, * from {table}").fetchall():  # noqa: S608
        texts = (value if isinstance(value, bytes) else str(value).encode() for value in values if value)
        if needles.find(b"\n".join(texts)):
            yield number


def _erase_of_runs(database: sqlite3.Connection, table: str, rows: list[tuple[int]], there: set[str]) -> None:
    """Remove what is of runs that go: states, artifacts, log lines, their tasks."""
    for (row,) in rows:
        (run,) = database.execute(f"select id from {table} where rowid = ?", (row,)).fetchone()  # noqa: S608
        for other in sorted(there & {"artifact", "log", "flow_run_state", "task_run_state", "task_run"}):
            columns = {column[1] for column in database.execute(f"pragma table_info({other})")}
            if f"{table}_id" in columns:
                database.execute(f"delete from {other} where {table}_id = ?", (run,))  # noqa: S608


def _stands_in(path: Path, needles: Needles) -> bool:
    try:
        return any(needles.find(piece) for piece in contents(path, needles.overlap))
    except (OSError, StoreError, ValueError):
        return False  # gone meanwhile, or not ours to read
