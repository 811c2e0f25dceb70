"""An ingest that no Prefect server watches: it begins at once, and is noted for the history.

A server takes longer to start than a small ingest takes. So where none runs, the ingest runs in this process,
and a note in Prefect's home keeps what the history needs: name, tags, parameters, the steps with their times,
log lines and artifacts. ``cleancopy up`` writes the notes into the history (``history``).
"""

from __future__ import annotations

import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cleancopy_flows import server, steps
from cleancopy_flows.page import Shown
from cleancopy_flows.parameters import IngestParameters, chosen, labels_of, now, subject
from cleancopy_flows.process import gone, this_process
from cleancopy_flows.steps import Step

from cleancopy.errors import Busy, CleancopyError, StoreError
from cleancopy.ingest import pipeline
from cleancopy.ingest.lineage import openlineage_events
from cleancopy.ingest.run import Run, Summary
from cleancopy.store.paths import atomic_write

#: Notes that are kept where nobody ever starts a server; the oldest go first.
KEPT = 200

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Task:
    """A step of a noted run: times in ISO 8601, and how it ended (a type and message of Prefect's states)."""

    name: str
    began: str
    ended: str | None = None
    state: str = "RUNNING"
    message: str | None = None


@dataclass(slots=True)
class Note:
    """What the history learns of a run; a log line is its time, level, text and the number of its step."""

    id: str
    name: str
    tags: list[str]
    parameters: dict[str, Any]
    process: dict[str, Any]
    began: str
    ended: str | None = None
    state: str = "RUNNING"
    state_name: str | None = None
    message: str | None = None
    tasks: list[Task] = field(default_factory=list)
    logs: list[tuple[str, int, str, int]] = field(default_factory=list)
    artifacts: list[tuple[Shown, int]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)


def folder() -> Path:
    """Where the notes of this user's runs are."""
    home: Path = server.home()
    return home / "cleancopy-runs"


def notes() -> list[Path]:
    """The notes that the history does not have yet, the oldest first."""
    return sorted(folder().glob("*.json"))


def read_note(path: Path) -> Note:
    """A note; raises ValueError or TypeError where the file is none."""
    note = Note(**json.loads(path.read_text(encoding="utf-8")))
    note.tasks = [Task(**task) for task in note.tasks]  # type: ignore[arg-type]
    note.artifacts = [(Shown(*shown), task) for shown, task in note.artifacts]
    return note


def waiting() -> Iterator[tuple[Path, Note]]:
    """The notes of runs that have ended, or whose process is gone; a file that is no note is removed."""
    for path in notes():
        try:
            note = read_note(path)
        except OSError:
            continue
        except (ValueError, TypeError, KeyError) as error:
            print(f"{path}: is no note of a run ({error}); it is removed", file=sys.stderr)
            path.unlink(missing_ok=True)
            continue
        if note.ended is None and gone(note.process):
            note.state, note.ended = "CRASHED", _last(note)
            note.message = "its process is gone; nothing is lost: the next run goes on"
        if note.ended is not None:
            yield path, note


def _last(note: Note) -> str:
    """The last time that is known of a run."""
    return max([note.began, *(time for task in note.tasks for time in (task.began, task.ended) if time)])


def ingest(given: IngestParameters, progress: Progress) -> dict[str, Any]:
    """Ingest in this process, and note the run; the summary as a dictionary."""
    note = Note(
        id=str(uuid.uuid4()),
        name=f"{subject(given)} {now()}",
        tags=labels_of(given),
        parameters={"parameters": given.model_dump()},
        process=this_process(),
        began=_time(),
    )
    with _kept(note):
        return _ingest(given, note, progress).as_dict()


def _ingest(given: IngestParameters, note: Note, progress: Progress) -> Summary:
    with pipeline.begin(**chosen(given), workers=given.workers) as run, openlineage_events(run) as complete:
        do = partial(_do, note, run)
        shards = do("discover", steps.discover)
        for number in range(shards):
            do(f"read shard {number}", steps.read_shard, number, partial(progress, "read"))
        do("learn", steps.learn, shards)
        for number in range(shards):
            do(f"clean shard {number}", steps.clean_shard, number)
            progress("clean", number + 1, shards)
        do("reclean", steps.reclean, shards)
        summary: Summary = do("publish", steps.publish, shards + 1)
        for alarm in summary.alarms:
            note.alarms.append(asdict(alarm))
            line = f"{run.source}: alarm: {alarm.message}"
            note.logs.append((_time(), logging.WARNING, line, len(note.tasks) - 1))
        for lost in complete(summary):
            print(lost, file=sys.stderr)
        return summary


def _do(note: Note, run: Run, name: str, step: Callable[..., Step], *arguments: Any) -> Any:
    """Do a step and note it: when it began and ended, what it logs and shows."""
    task = Task(name, _time())
    note.tasks.append(task)
    try:
        done = step(run, *arguments)
    except BaseException as error:
        task.ended, task.state, task.message = _time(), "FAILED", str(error) or type(error).__name__
        raise
    task.ended, task.state = _time(), "COMPLETED"
    number = len(note.tasks) - 1
    note.logs.append((task.ended, logging.INFO, done.line, number))
    note.artifacts += [(shown, number) for shown in done.shown]
    _write(note)
    return done.result


@contextmanager
def _kept(note: Note) -> Iterator[None]:
    """Keep the note on disk while the run goes on, as it may be killed; in the end write how it ended."""
    _make_room()
    _write(note, warn=True)
    try:
        yield
    except Busy as error:
        note.state, note.state_name, note.message = "COMPLETED", "Skipped", str(error)
        raise
    except CleancopyError as error:
        note.state, note.message = "FAILED", str(error)
        raise
    except KeyboardInterrupt:
        note.state, note.message = "CANCELLED", "stopped by Ctrl-C; nothing is lost: the next run goes on"
        raise
    except BaseException as error:
        note.state, note.message = "CRASHED", f"{type(error).__name__}: {error}"
        raise
    else:
        note.state = "COMPLETED"
    finally:
        note.ended = _time()
        _write(note)


def _write(note: Note, *, warn: bool = False) -> None:
    """Write the note; a run does not fail because its history cannot be kept."""
    try:
        server.private_home()
        folder().mkdir(mode=0o700, exist_ok=True)
        path = folder() / f"{note.began.replace(':', '')}-{note.id}.json"
        atomic_write(path, json.dumps(asdict(note), default=list).encode(), durable=False)
    except (OSError, StoreError) as error:
        if warn:
            print(f"{error}; this run will not be in Prefect's history", file=sys.stderr)


def _make_room() -> None:
    for path in notes()[: -KEPT + 1]:
        path.unlink(missing_ok=True)


def _time() -> str:
    return datetime.now(UTC).isoformat()
