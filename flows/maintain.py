"""The maintain flow: fewer data files, no leftovers, and every stored byte compared with its digest.

python flows/maintain.py        the same as ``cleancopy maintain`` and ``cleancopy verify``, in Prefect
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import forget
from cleancopy_flows.launch import LONGEST, guarded, launch, naming
from cleancopy_flows.parameters import checked, labels
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from cleancopy.curation.maintain import faults
from cleancopy.curation.maintain import maintain as upkeep
from cleancopy.errors import CleancopyError, StoreError
from cleancopy.store.paths import store_path


class MaintainParameters(BaseModel):
    """How to maintain a store."""

    model_config = ConfigDict(extra="forbid")

    clean: Annotated[str, Field(description="Folder of the store, or s3://bucket/prefix.")] = "clean"
    keep_days: Annotated[
        float, Field(ge=7, description="Days for which files stay that nothing needs any more.")
    ] = 7
    verify: Annotated[bool, Field(description="Read and hash all that is stored afterwards.")] = True
    dry_run: Annotated[bool, Field(description="Only say what would be done.")] = False


@task(name="maintain", task_run_name="maintain", cache_policy=NO_CACHE, persist_result=False)
def keep_up(given: MaintainParameters) -> dict[str, Any]:
    """Compact, checkpoint, sweep and renew; what was done."""
    return upkeep(
        store_path(given.clean), keep_days=given.keep_days, dry_run=given.dry_run, elsewhere=forget.erase
    )


@task(name="verify", task_run_name="verify", cache_policy=NO_CACHE, persist_result=False)
def verify(given: MaintainParameters) -> int:
    """Compare all that is stored with its digests; how many files are at fault."""
    lines = [str(fault) for fault in faults(store_path(given.clean))]
    if lines:
        create_table_artifact(
            key="verify-faults",
            table=[{"fault": line} for line in lines[:500]],
            description=f"{len(lines)} faults",
        )
    return len(lines)


@flow(
    name="maintain",
    flow_run_name=naming(MaintainParameters, lambda given: "maintain"),
    timeout_seconds=LONGEST,
    persist_result=False,
    validate_parameters=True,
)
def maintain(parameters: MaintainParameters = MaintainParameters()) -> Any:  # noqa: B008 - Prefect shows the defaults
    """Compact and checkpoint the tables, remove what nobody needs, renew exports, verify what is stored."""
    return guarded(lambda: _maintain(parameters))


def _maintain(given: MaintainParameters) -> dict[str, Any]:
    done = keep_up(given)
    wrong = verify(given) if given.verify and not given.dry_run else 0
    line = (
        f"{done['compacted']} data files compacted into {done['into']}, {done['freed']:,} bytes freed, "
        f"{len(done['exports'])} exports renewed"
    )
    line = f"dry run, this would be done: {line}" if given.dry_run else line
    get_run_logger().info("maintain: %s, %d faults", line, wrong)
    create_markdown_artifact(key="maintain-summary", markdown=f"# {line}; {wrong} faults", description=line)
    if wrong:
        raise StoreError(
            f"{wrong} files of {given.clean} are at fault; cleancopy verify names each and the remedy"
        )
    return done


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, from the command line; what it did as a dictionary."""
    given = checked(MaintainParameters, parameters)
    done: dict[str, Any] = launch(maintain, labels("clean", "maintain"), given)
    return done


if __name__ == "__main__":
    try:
        print(json.dumps(run(), default=list))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
