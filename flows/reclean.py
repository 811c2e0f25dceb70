"""The reclean flow: stored documents again under the policy, the code and the site chrome of now.

python flows/reclean.py [SITE ...]        the same as ``cleancopy reclean [SITE ...]``, in Prefect
"""

from __future__ import annotations

import json
import os
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import alarms
from cleancopy_flows.launch import LONGEST, guarded, launch, naming
from cleancopy_flows.parameters import checked, labels
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from cleancopy.errors import CleancopyError
from cleancopy.ingest import pipeline
from cleancopy.ingest.preview import differences
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import Run
from cleancopy.policy import read_policy
from cleancopy.store.paths import store_path
from cleancopy.store.rows import FROM_ARCHIVE

#: Documents whose difference a dry run shows on its page.
SHOWN = 50


class RecleanParameters(BaseModel):
    """Which stored documents to clean again."""

    model_config = ConfigDict(extra="forbid")

    sites: Annotated[list[str], Field(description="Sites to look at; all if none is named.")] = []
    raw: Annotated[str, Field(description="Folder of the captures.")] = "raw"
    clean: Annotated[str, Field(description="Folder of the store, or s3://bucket/prefix.")] = "clean"
    workers: Annotated[int, Field(ge=0, le=256, description="Processes that read pages.")] = 2
    policy: Annotated[str | None, Field(description="A policy in TOML; empty takes the defaults.")] = None
    dry_run: Annotated[bool, Field(description="Show what would change, and publish nothing.")] = False


@task(name="revisit", task_run_name="revisit", cache_policy=NO_CACHE, persist_result=False)
def revisit(run: Run, sites: list[str]) -> int:
    """Clean the affected documents again, from the table or the archive; how many shards they make."""
    return pipeline.reclean_sites(run, sites)


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish_release(run: Run, shards: int) -> dict[str, Any]:
    """Commit what changed as a release."""
    summary = publish(run, shards)
    headline = f"{summary.recleaned} documents have a new text or structure"
    get_run_logger().info("reclean: %s, release %s", headline, summary.release)
    create_markdown_artifact(key="reclean-summary", markdown=f"# {headline}", description=headline)
    alarms.emit_alarms(run, summary)
    return summary.as_dict()


@task(name="compare", task_run_name="compare", cache_policy=NO_CACHE, persist_result=False)
def compare(run: Run, shards: int) -> dict[str, int]:
    """Show what would change on the run's page."""
    documents, parts = 0, []
    for difference in differences(run, shards):
        documents += 1
        if documents <= SHOWN:
            lines = unified_diff(
                difference.before.splitlines(), difference.after.splitlines(), "stored", "new", lineterm=""
            )
            parts += [
                f"## `{difference.doc_id[:12]}` ({difference.change})",
                *(f"    {line}" for line in lines),
            ]
    headline = f"{documents} documents would change"
    get_run_logger().info("reclean: %s", headline)
    create_markdown_artifact(
        key="reclean-preview", markdown="\n".join([f"# {headline}", *parts]), description=headline
    )
    return {"documents": documents}


@flow(
    name="reclean",
    flow_run_name=naming(RecleanParameters, lambda given: "reclean"),
    timeout_seconds=LONGEST,
    persist_result=False,
    validate_parameters=True,
)
def reclean(parameters: RecleanParameters = RecleanParameters()) -> Any:  # noqa: B008 - Prefect shows the defaults
    """Clean stored documents again where policy, code or site chrome changed; nothing is fetched."""
    return guarded(lambda: _reclean(parameters))


def _reclean(given: RecleanParameters) -> dict[str, Any]:
    policy = read_policy(Path(given.policy) if given.policy else None)
    with pipeline.begin(
        raw=Path(given.raw),
        root=store_path(given.clean),
        policy=policy,
        workers=given.workers,
        source=FROM_ARCHIVE,
    ) as run:
        shards = revisit(run, given.sites)
        return compare(run, shards) if given.dry_run else publish_release(run, shards)


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, from the command line; what it did as a dictionary."""
    given = checked(RecleanParameters, parameters)
    done: dict[str, Any] = launch(reclean, labels(FROM_ARCHIVE, "reclean"), given)
    return done


if __name__ == "__main__":
    try:
        print(json.dumps(run(sites=sys.argv[1:], workers=os.cpu_count() or 1), default=list))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
