"""The steps of an ingest, and what each has to tell: its log line and what the run's page shows.

The flow makes a Prefect task of each; a run that no server watches calls them itself and notes what they tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from cleancopy_flows import page
from cleancopy_flows.page import Shown

from cleancopy.ingest import pipeline, plain_runs
from cleancopy.ingest import publish as publishing
from cleancopy.ingest.run import Run

Progress = Callable[[int, int], None]


class Step(NamedTuple):
    """A step that is done: what came of it, the line for the log, and artifacts for the run's page."""

    result: Any
    line: str
    shown: tuple[Shown, ...] = ()


def discover(run: Run) -> Step:
    """List the inputs; the result is how many shards they make."""
    shards = pipeline.discover(run)
    inputs = ", ".join(map(str, [*run.paths, *(f"{source.kind} {source.name}" for source in run.sources)]))
    return Step(shards, f"{run.source}: {shards} shard(s) of inputs from {inputs}")


def read_shard(run: Run, number: int, progress: Progress) -> Step:
    """Archive the captures of a shard and read those that are new; the result counts them."""
    return _counted(run, f"shard {number}: read", pipeline.read_shard(run, number, progress))


def learn(run: Run, shards: int) -> Step:
    """Learn the chrome of the sites at hand; the result is how many entries there are."""
    learned = pipeline.learn(run, shards)
    entries = sum(learned.values())
    new, shown = page.of_chrome(run)
    line = f"{run.source}: chrome of {len(learned)} sites: {entries} entries, {new} new"
    return Step(entries, line, tuple(shown))


def clean_shard(run: Run, number: int) -> Step:
    """Cut a shard's documents under the policy and each site's chrome; the result counts them."""
    return _counted(run, f"shard {number}: clean", pipeline.clean_shard(run, number))


def reclean(run: Run, shards: int) -> Step:
    """Clean the stored documents again whose site's chrome has changed; the result counts them."""
    return _counted(run, "stored documents: clean again", pipeline.reclean(run, shards))


def publish(run: Run, shards: int) -> Step:
    """Find the duplicates, commit, write the release and what people read; the result is the summary."""
    summary = publishing.publish(run, shards)
    return Step(
        summary,
        f"{run.source}: {page.headline(summary)}",
        (*page.of_run(run, summary), *page.of_plain_runs(plain_runs.take(run.root))),
    )


def _counted(run: Run, step: str, counts: Counter[str]) -> Step:
    line = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing to do"
    return Step(dict(counts), f"{run.source}: {step}: {line}")
