"""The export flow: the live documents of a release for other programs.

python flows/export.py FORMAT PATH        the same as ``cleancopy export``, in Prefect
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows.launch import LONGEST, guarded, launch, naming
from cleancopy_flows.parameters import checked, labels
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from cleancopy.errors import CleancopyError
from cleancopy.export.export import export as write
from cleancopy.export.formats import names
from cleancopy.export.selection import Plan, plan
from cleancopy.store.paths import store_path

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[names(one_document=False)]


class ExportParameters(BaseModel):
    """What to export, and where to."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[
        Format,
        Field(description="Form of the export; docs/exports.md describes each."),
    ] = "parquet"
    to: Annotated[str, Field(description="File or folder to write.")] = "export"
    clean: Annotated[str, Field(description="Folder of the store, or s3://bucket/prefix.")] = "clean"
    as_of: Annotated[int | None, Field(ge=1, description="A release; empty takes the last one.")] = None
    site: Annotated[str | None, Field(description="The documents of one site only.")] = None
    without_reserved: Annotated[
        bool, Field(description="Leave out what its owner reserves against mining or training.")
    ] = False
    name: Annotated[str, Field(description="What a dataset card calls the corpus.")] = ""
    dry_run: Annotated[bool, Field(description="Only count the documents; nothing is written.")] = False


@task(
    name="write", task_run_name="write {given.format}", cache_policy=NO_CACHE, persist_result=False, retries=1
)
def write_shards(chosen: Plan, given: ExportParameters) -> int:
    """Write the shards that are not there yet; how many documents there are."""
    done = write(chosen, Path(given.to), given.format, name=given.name)
    return done.documents


@flow(
    name="export",
    flow_run_name=naming(ExportParameters, lambda given: f"export {given.format}"),
    timeout_seconds=LONGEST,
    persist_result=False,
    validate_parameters=True,
)
def export(parameters: ExportParameters = ExportParameters()) -> Any:  # noqa: B008 - Prefect shows the defaults
    """Write the live documents of a release for other programs; an interrupted export goes on."""
    return guarded(lambda: _export(parameters))


def _export(given: ExportParameters) -> dict[str, Any]:
    chosen = plan(
        store_path(given.clean), as_of=given.as_of, site=given.site, without_reserved=given.without_reserved
    )
    documents = chosen.documents if given.dry_run else write_shards(chosen, given)
    line = f"{documents} documents of release {chosen.release}" + ("" if given.dry_run else f" in {given.to}")
    get_run_logger().info("export: %s", line)
    create_markdown_artifact(key="export-summary", markdown=f"# {line}", description=line)
    return {"documents": documents, "release": chosen.release, "to": given.to}


def run(**parameters: Any) -> dict[str, Any]:
    """Run the flow once, from the command line; what it did as a dictionary."""
    given = checked(ExportParameters, parameters)
    done: dict[str, Any] = launch(export, labels("clean", "export"), given)
    return done


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python flows/export.py FORMAT PATH")
    try:
        print(json.dumps(run(format=sys.argv[1], to=sys.argv[2])))
    except CleancopyError as error:
        sys.exit(f"cleancopy: {error}")
