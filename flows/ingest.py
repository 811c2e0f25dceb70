"""The ingest flow: discover, read shards, learn chrome, clean shards, publish.

    python flows/ingest.py [PATH ...]        the same as ``cleancopy ingest [PATH ...]``

A task is a shard of inputs (a task costs 11-34 ms of CPU); tasks get the run and a number, never text, and
nothing is cached by Prefect: the store itself makes a second run skip what it knows.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import alarms, engine, steps
from cleancopy_flows.launch import LONGEST, guarded, launch, naming
from cleancopy_flows.page import Shown
from cleancopy_flows.parameters import IngestParameters, checked, chosen, labels_of, subject
from cleancopy_flows.tell import progress, put, tell
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from cleancopy.errors import CleancopyError
from cleancopy.ingest import pipeline
from cleancopy.ingest.lineage import openlineage_events
from cleancopy.ingest.run import Run, Summary


@task(name="discover", task_run_name="discover", cache_policy=NO_CACHE, persist_result=False)
def discover(run: Run) -> int:
    """List the inputs; how many shards they make."""
    shards: int = tell(steps.discover(run))
    return shards


@task(name="read", task_run_name="read shard {number}", cache_policy=NO_CACHE, persist_result=False)
def read_shard(run: Run, number: int) -> dict[str, int]:
    """Archive the captures of a shard and read those that are new."""
    with engine.at_work(run, "read", number) as local_run, progress(f"{run.source}: shard {number}") as moved:
        counts: dict[str, int] = tell(steps.read_shard(local_run, number, moved))
        return counts


@task(name="learn", task_run_name="learn", cache_policy=NO_CACHE, persist_result=False)
def learn(run: Run, shards: int) -> int:
    """Learn the chrome of the sites at hand; how many entries there are."""
    entries: int = tell(steps.learn(run, shards))
    return entries


@task(name="clean", task_run_name="clean shard {number}", cache_policy=NO_CACHE, persist_result=False)
def clean_shard(run: Run, number: int) -> dict[str, int]:
    """Cut a shard's documents under the policy and each site's chrome."""
    with engine.at_work(run, "clean", number) as local_run:
        counts: dict[str, int] = tell(steps.clean_shard(local_run, number))
        return counts


@task(name="reclean", task_run_name="reclean", cache_policy=NO_CACHE, persist_result=False)
def reclean(run: Run, shards: int) -> dict[str, int]:
    """Clean the stored documents again whose site's chrome has changed."""
    counts: dict[str, int] = tell(steps.reclean(run, shards))
    return counts


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish_release(run: Run, shards: int) -> Summary:
    """Find the duplicates, commit, write the release and what people read."""
    summary: Summary = tell(steps.publish(run, shards))
    alarms.emit_alarms(run, summary)
    return summary


@flow(
    name="ingest",
    flow_run_name=naming(IngestParameters, subject),
    timeout_seconds=LONGEST,
    persist_result=False,
    validate_parameters=True,
)
def ingest(parameters: IngestParameters = IngestParameters()) -> Any:  # noqa: B008 - Prefect shows the defaults
    """Clean what is new of a source, or in the folder of captures, and publish it as a release."""
    return guarded(lambda: _ingest(parameters))


def _ingest(given: IngestParameters) -> dict[str, Any]:
    begun_by = FlowRunContext.get()
    if given.jitter and begun_by and begun_by.flow_run and begun_by.flow_run.auto_scheduled:
        time.sleep(random.uniform(0, given.jitter))  # noqa: S311 - spreads load, guards nothing
    if given.dry_run:
        return _preview(given)
    arguments = chosen(given)
    engine.check(arguments["policy"])
    with pipeline.begin(**arguments, workers=given.workers) as begun, openlineage_events(begun) as complete:
        run = engine.shared(begun)
        engine.wait_for_others(run)
        shards = discover(run)
        with engine.over_shards(run, shards) as each:
            each(read_shard)
            learn(run, shards)
            each(clean_shard)
        reclean(run, shards)
        summary = publish_release(run, shards + 1)
        for lost in complete(summary):
            get_run_logger().warning("%s: %s", run.source, lost)
        return summary.as_dict()


def _preview(given: IngestParameters) -> dict[str, Any]:
    """What an ingest would read, on the run's page."""
    counts = pipeline.preview(**chosen(given))
    line = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no input"
    get_run_logger().info("%s: dry run: %s", subject(given), line)
    put(Shown("ingest-preview", "markdown", f"# Dry run: {line}", line))
    return dict(counts)


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, from the command line; the summary as a dictionary."""
    given = checked(IngestParameters, parameters)
    summary: dict[str, Any] = launch(ingest, labels_of(given), given)
    return summary


if __name__ == "__main__":
    missing = [path for path in sys.argv[1:] if not os.path.lexists(path)]
    if missing:
        sys.exit(f"cleancopy: {missing[0]}: there is no such file or folder; check the path")
    try:
        print(json.dumps(run(paths=sys.argv[1:] or None), ensure_ascii=True, default=list))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
