"""The ingest flow: discover, read shards, learn chrome, clean shards, publish.

    python flows/ingest.py [PATH ...]        the same as ``cleancopy ingest [PATH ...]``

A task is a shard of inputs (a task costs 11-34 ms of CPU); tasks get the run and a number, never text, and
nothing is cached by Prefect: the store itself makes a second run skip what it knows.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from prefect import flow, get_run_logger, tags, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.states import Failed

from cleancopy import pipeline
from cleancopy.errors import CleancopyError
from cleancopy.policy import read_policy
from cleancopy.publish import publish
from cleancopy.run import Run, Summary


@task(name="discover", task_run_name="discover", cache_policy=NO_CACHE, persist_result=False)
def discover(run: Run) -> int:
    """List the inputs; how many shards they make."""
    shards = pipeline.discover(run)
    get_run_logger().info(
        "%s: %d shards of inputs under %s", run.source, shards, ", ".join(map(str, run.paths))
    )
    return shards


@task(name="read", task_run_name="read shard {number}", cache_policy=NO_CACHE, persist_result=False)
def read_shard(run: Run, number: int) -> dict[str, int]:
    """Archive the captures of a shard and read those that are new."""
    return _counted(run, f"shard {number}: read", pipeline.read_shard(run, number))


@task(name="learn", task_run_name="learn", cache_policy=NO_CACHE, persist_result=False)
def learn(run: Run, shards: int) -> int:
    """Learn the chrome of the sites at hand; how many entries there are."""
    learned = pipeline.learn(run, shards)
    entries = sum(learned.values())
    get_run_logger().info("%s: chrome of %d sites: %d entries", run.source, len(learned), entries)
    return entries


@task(name="clean", task_run_name="clean shard {number}", cache_policy=NO_CACHE, persist_result=False)
def clean_shard(run: Run, number: int) -> dict[str, int]:
    """Cut a shard's documents under the policy and each site's chrome."""
    return _counted(run, f"shard {number}: clean", pipeline.decide_shard(run, number))


@task(name="reclean", task_run_name="reclean", cache_policy=NO_CACHE, persist_result=False)
def reclean(run: Run, shards: int) -> dict[str, int]:
    """Clean the stored documents again whose site's chrome has changed."""
    return _counted(run, "stored documents: clean again", pipeline.reclean(run, shards))


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish_release(run: Run, shards: int) -> dict[str, Any]:
    """Find the duplicates, commit, write the release and what people read."""
    summary = publish(run, shards)
    get_run_logger().info("%s: %s", run.source, headline(summary))
    _artifacts(run, summary)
    return asdict(summary)


@flow(name="ingest", persist_result=False, validate_parameters=True)
def ingest(
    paths: list[str] | None = None,
    raw: str = "raw",
    clean: str = "clean",
    workers: int = 2,
    policy: str | None = None,
) -> Any:
    """Clean what is new under ``paths`` (the whole of ``raw`` if none is named) and publish it as a release."""
    try:
        return _ingest([Path(path) for path in paths or [raw]], Path(raw), Path(clean), workers, policy)
    except CleancopyError as error:
        # What is wrong is said in one line; a traceback would not help whoever reads the run's page.
        return Failed(message=str(error))


def _ingest(paths: list[Path], raw: Path, clean: Path, workers: int, policy: str | None) -> dict[str, Any]:
    settings = read_policy(Path(policy) if policy else None)
    with (
        tags("source:raw", "kind:ingest"),
        pipeline.begin(raw=raw, root=clean, paths=paths, policy=settings, workers=workers) as run,
    ):
        shards = discover(run)
        for number in range(shards):
            read_shard(run, number)
        learn(run, shards)
        for number in range(shards):
            clean_shard(run, number)
        reclean(run, shards)
        return publish_release(run, shards + 1)


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, on a running server where there is one, else on Prefect's temporary one.

    Raises CleancopyError with the reason where the flow refused its input or the store.
    """
    if not PREFECT_API_URL.value():
        said = "Waiting for Prefect's temporary server; `make ui` keeps one running, --plain needs none."
        print(said, file=sys.stderr, flush=True)
    name = f"raw {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    with tags("source:raw", "kind:ingest"):
        state: Any = ingest.with_options(flow_run_name=name)(**parameters, return_state=True)
    if state.is_failed() and not isinstance(state.data, BaseException):
        raise CleancopyError(state.message or "the flow failed; see its logs")
    summary: dict[str, Any] = state.result()
    return summary


def headline(summary: Summary) -> str:
    """The numbers of a run in one line."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
    release = f"release {summary.release}" if summary.release is not None else "no new release"
    return f"{summary.captures} captures: {counts}; {release}, {summary.live} live documents"


def _counted(run: Run, what: str, counts: Counter[str]) -> dict[str, int]:
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing to do"
    get_run_logger().info("%s: %s: %s", run.source, what, said)
    return dict(counts)


def _artifacts(run: Run, summary: Summary) -> None:
    """What the run's page shows: the summary, and the rejections with what to do."""
    cut = "\n".join(f"| cut by {stage} | {count:,} |" for stage, count in sorted(summary.cut.items()))
    counts = "\n".join(f"| {name} | {count:,} |" for name, count in summary.counts.items())
    markdown = f"""# {headline(summary)}

| | |
|---|---:|
| inputs | {summary.inputs:,} |
| captures | {summary.captures:,} |
{counts}
| cleaned again, site chrome changed | {summary.recleaned:,} |
| characters kept | {summary.kept:,} |
{cut}

Content root `{summary.content_root}`, manifest `{run.root / "releases"}/{run.release:06d}.json`.
"""
    create_markdown_artifact(key="ingest-summary", markdown=markdown, description=headline(summary))
    if summary.rejections:
        rows = [
            {"input": e.input, "member": e.member or "", "kind": e.kind, "message": e.message}
            for e in summary.rejections[:500]
        ]
        create_table_artifact(
            key="ingest-rejections", table=rows, description=f"{len(summary.rejections)} rejections"
        )


if __name__ == "__main__":
    missing = [path for path in sys.argv[1:] if not os.path.lexists(path)]
    if missing:
        sys.exit(f"cleancopy: {missing[0]}: there is no such file or folder; check the path")
    try:
        print(json.dumps(run(paths=sys.argv[1:] or None), ensure_ascii=True, default=list))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
