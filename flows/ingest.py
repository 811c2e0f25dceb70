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
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import alarms, engine, page
from cleancopy_flows.launch import LONGEST, checked, guarded, labels, launch, naming
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from pydantic import BaseModel, ConfigDict, Field

from cleancopy.errors import CleancopyError, PolicyError
from cleancopy.ingest import pipeline
from cleancopy.ingest.lineage import openlineage_events
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import Run, Summary
from cleancopy.policy import read_policy
from cleancopy.sources.settings import Settings, Source, for_urls, read_sources
from cleancopy.store.paths import store_path


@task(name="discover", task_run_name="discover", cache_policy=NO_CACHE, persist_result=False)
def discover(run: Run) -> int:
    """List the inputs; how many shards they make."""
    shards = pipeline.discover(run)
    said = ", ".join(map(str, [*run.paths, *(f"{source.kind} {source.name}" for source in run.sources)]))
    get_run_logger().info("%s: %d shard(s) of inputs from %s", run.source, shards, said)
    return shards


@task(name="read", task_run_name="read shard {number}", cache_policy=NO_CACHE, persist_result=False)
def read_shard(run: Run, number: int) -> dict[str, int]:
    """Archive the captures of a shard and read those that are new."""
    with engine.at_work(run, "read", number) as own, page.progress(f"{run.source}: shard {number}") as tell:
        return _counted(own, f"shard {number}: read", pipeline.read_shard(own, number, tell))


@task(name="learn", task_run_name="learn", cache_policy=NO_CACHE, persist_result=False)
def learn(run: Run, shards: int) -> int:
    """Learn the chrome of the sites at hand; how many entries there are."""
    learned = pipeline.learn(run, shards)
    entries = sum(learned.values())
    new = page.show_chrome(run)
    get_run_logger().info("%s: chrome of %d sites: %d entries, %d new", run.source, len(learned), entries, new)
    return entries


@task(name="clean", task_run_name="clean shard {number}", cache_policy=NO_CACHE, persist_result=False)
def clean_shard(run: Run, number: int) -> dict[str, int]:
    """Cut a shard's documents under the policy and each site's chrome."""
    with engine.at_work(run, "clean", number) as own:
        return _counted(own, f"shard {number}: clean", pipeline.clean_shard(own, number))


@task(name="reclean", task_run_name="reclean", cache_policy=NO_CACHE, persist_result=False)
def reclean(run: Run, shards: int) -> dict[str, int]:
    """Clean the stored documents again whose site's chrome has changed."""
    return _counted(run, "stored documents: clean again", pipeline.reclean(run, shards))


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish_release(run: Run, shards: int) -> Summary:
    """Find the duplicates, commit, write the release and what people read."""
    summary = publish(run, shards)
    get_run_logger().info("%s: %s", run.source, page.headline(summary))
    alarms.emit_alarms(run, summary)
    page.show(run, summary)
    return summary


class IngestParameters(BaseModel):
    """What to ingest, and how."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[
        str | None,
        Field(
            description="Name of a source in sources.toml; empty cleans what lies in the folder of captures."
        ),
    ] = None
    paths: Annotated[
        list[str] | None, Field(description="Files or folders to read instead of the whole folder of captures.")
    ] = None
    urls: Annotated[list[str] | None, Field(description="Addresses of pages to fetch.")] = None
    sources: Annotated[str | None, Field(description="The sources.toml; needed where a source is named.")] = (
        None
    )
    raw: Annotated[str, Field(description="Folder of the captures.")] = "raw"
    clean: Annotated[str, Field(description="Folder of the store, or s3://bucket/prefix.")] = "clean"
    workers: Annotated[
        int, Field(ge=0, le=256, description="Processes that read pages; 0 reads in the run's own.")
    ] = 2
    policy: Annotated[str | None, Field(description="A policy in TOML; empty takes the defaults.")] = None
    jitter: Annotated[
        float,
        Field(ge=0, le=86_400, description="A scheduled run begins a random time later, up to these seconds."),
    ] = 0
    dry_run: Annotated[
        bool, Field(description="Only say what would be read; nothing is fetched or written.")
    ] = False


def subject(given: IngestParameters) -> str:
    """What a run ingests: the name of its source."""
    return given.source or ("web" if given.urls else "raw")


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
    said = chosen(given)
    engine.check(said["policy"])
    with pipeline.begin(**said, workers=given.workers) as begun, openlineage_events(begun) as complete:
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
    said = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no input"
    get_run_logger().info("%s: dry run: %s", subject(given), said)
    create_markdown_artifact(key="ingest-preview", markdown=f"# Dry run: {said}", description=said)
    return dict(counts)


def chosen(given: IngestParameters) -> dict[str, Any]:
    """The parameters as ``pipeline.begin`` takes them."""
    settings, source = _source(given)
    name = source.name if source else "raw"
    return {
        "raw": Path(given.raw),
        "root": store_path(given.clean),
        "paths": [Path(path) for path in given.paths or ()],
        "policy": read_policy(Path(given.policy) if given.policy else None),
        "source": name,
        "sources": [source] if source else [],
        "fetching": settings.fetch,
    }


def _source(given: IngestParameters) -> tuple[Settings, Source | None]:
    """How to fetch, and the one source that is meant, if it is one of ``sources.toml`` or addresses."""
    settings = read_sources(Path(given.sources)) if given.sources else Settings()
    if given.source and not given.sources:
        raise PolicyError(
            f"source {given.source!r} is named without the sources.toml that has it; give sources"
        )
    if given.source:
        return settings, settings.chosen([given.source], str(given.sources))[0]
    return settings, for_urls(given.urls) if given.urls else None


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, from the command line; the summary as a dictionary."""
    given = checked(IngestParameters, parameters)
    kind = _source(given)[1]
    tags = labels(subject(given), kind.kind if kind else "files", kind.site if kind else None)
    summary: dict[str, Any] = launch(ingest, tags, given)
    return summary


def _counted(run: Run, what: str, counts: Counter[str]) -> dict[str, int]:
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing to do"
    get_run_logger().info("%s: %s: %s", run.source, what, said)
    return dict(counts)


if __name__ == "__main__":
    missing = [path for path in sys.argv[1:] if not os.path.lexists(path)]
    if missing:
        sys.exit(f"cleancopy: {missing[0]}: there is no such file or folder; check the path")
    try:
        print(json.dumps(run(paths=sys.argv[1:] or None), ensure_ascii=True, default=list))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
