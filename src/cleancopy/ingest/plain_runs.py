"""The runs that Prefect has no history of, ``ingest --plain``: kept until a run that it watches shows them.

    with noted(root, source) as done:       one line of the file, however the run ends; done(summary) if well
    take(root)                              the lines, the oldest first; the file is removed

A line is a JSON object: ``run``, ``source``, ``began`` and ``ended`` (ISO 8601 UTC), ``ended as``, ``release``,
and the counts of captures by outcome. A run that is killed leaves none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cleancopy.ingest.run import Summary
from cleancopy.store.paths import StorePath, scratch_folder, store_errors

NAME = "plain-runs.jsonl"
#: No more runs than this are shown, the last ones.
KEPT = 500


@contextmanager
def noted(root: StorePath, source: str) -> Iterator[Callable[[Summary], None]]:
    """Leave a line of a run, whether it ends well, is refused or is stopped."""
    line: dict[str, Any] = {"run": "", "source": source, "began": _now(), "ended": "", "ended as": "completed"}

    def done(summary: Summary) -> None:
        line.update(run=summary.run, release=summary.release, captures=summary.captures, **summary.counts)

    try:
        yield done
    except KeyboardInterrupt:
        line["ended as"] = "stopped"
        raise
    except BaseException:
        line["ended as"] = "failed"
        raise
    finally:
        line["ended"] = _now()
        _append(scratch_folder(root), line)


def take(root: StorePath) -> list[dict[str, Any]]:
    """The runs that were not shown yet; from here on they count as shown."""
    path = scratch_folder(root) / NAME
    mine = path.with_suffix(f".{os.getpid()}.tmp")
    with store_errors(path, "reading the plain runs"):
        try:
            path.replace(mine)
        except FileNotFoundError:
            return []
        lines = mine.read_text(encoding="utf-8").splitlines()
        mine.unlink()
    return [line for text in lines[-KEPT:] if isinstance(line := _parsed(text), dict)]


def _append(folder: Path, line: dict[str, Any]) -> None:
    """Append a line in one write; a run does not fail because this cannot be kept."""
    if folder.is_dir():  # else it was refused before there was a store
        with suppress(OSError), (folder / NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # cut off by a full disk
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
