"""What an ingest is asked to do, checked, and what its run is called.

Without Prefect, as a run that no server watches starts without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cleancopy.errors import PolicyError
from cleancopy.policy import read_policy
from cleancopy.sources.settings import Settings, Source, for_urls, read_sources
from cleancopy.store.paths import store_path

P = TypeVar("P", bound=BaseModel)


def checked(kind: type[P], given: Mapping[str, Any]) -> P:
    """The parameters of a flow; raises PolicyError, in one line, for those that it does not take."""
    try:
        return kind(**given)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise PolicyError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}; correct it") from None


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


def chosen(given: IngestParameters) -> dict[str, Any]:
    """The parameters as ``pipeline.begin`` takes them."""
    settings, source = source_of(given)
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


def source_of(given: IngestParameters) -> tuple[Settings, Source | None]:
    """How to fetch, and the one source that is meant, if it is one of ``sources.toml`` or addresses."""
    settings = read_sources(Path(given.sources)) if given.sources else Settings()
    if given.source and not given.sources:
        raise PolicyError(
            f"source {given.source!r} is named without the sources.toml that has it; give sources"
        )
    if given.source:
        return settings, settings.chosen([given.source], str(given.sources))[0]
    return settings, for_urls(given.urls) if given.urls else None


def now() -> str:
    """The time as it stands in a run's name."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def labels(name: str, kind: str, site: str | None = None) -> list[str]:
    """The tags of a source's runs: source, kind, and site where it is known."""
    return [f"source:{name}", f"kind:{kind}"] + ([f"site:{site}"] if site else [])


def labels_of(given: IngestParameters) -> list[str]:
    """The tags of a run of an ingest."""
    source = source_of(given)[1]
    return labels(subject(given), source.kind if source else "files", source.site if source else None)
