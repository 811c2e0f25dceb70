"""What a flow tells Prefect of a step: the line in its log, the artifacts on its page, how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows.page import CUTS, Shown, with_change
from cleancopy_flows.steps import Step
from prefect import get_run_logger
from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

#: Seconds after which a shard has a progress artifact, and between two of its moves.
FIRST, PACE = 2.0, 3.0


def tell(step: Step) -> Any:
    """Log what a step did and put on the run's page what it shows; gives the step's result."""
    for shown in step.shown:
        put(shown)
    get_run_logger().info("%s", step.line)
    return step.result


def put(shown: Shown) -> None:
    """Put an artifact on the page of the run under way."""
    if shown.key.startswith(CUTS):
        before: Any = Artifact.get(shown.key)
        shown = with_change(shown, before.data if before and isinstance(before.data, str) else None)
    if shown.type == "table":
        create_table_artifact(json.loads(shown.data), key=shown.key, description=shown.description)
    else:
        create_markdown_artifact(shown.data, key=shown.key, description=shown.description)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how far a shard is, and shows it on the run's page where that takes a while."""
    began = moved = time.monotonic()
    artifact: Any = None
    of = 0

    def tell_progress(done: int, total: int) -> None:
        nonlocal moved, artifact, of
        of, now = total, time.monotonic()
        if now - began < FIRST or now - moved < PACE:
            return
        moved = now
        description = f"{what}: {done} of {of} inputs"
        if artifact is None:
            artifact = create_progress_artifact(100 * done / of, key="ingest-progress", description=description)
        else:
            update_progress_artifact(artifact, 100 * done / of, description=description)

    yield tell_progress
    if artifact is not None:
        update_progress_artifact(artifact, 100.0, description=f"{what}: all {of} inputs")
