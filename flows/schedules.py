"""The sources of ``sources.toml`` as deployments: with what parameters, when; and one of each other flow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import server
from cleancopy_flows.export import ExportParameters, export
from cleancopy_flows.ingest import ingest
from cleancopy_flows.maintain import MaintainParameters, maintain
from cleancopy_flows.parameters import IngestParameters, labels, now
from cleancopy_flows.reclean import RecleanParameters, reclean
from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Interval, RRule, Schedule
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.types._datetime import DateTime
from prefect.types.entrypoint import EntrypointType
from pydantic import BaseModel

from cleancopy.errors import CleancopyError, PolicyError
from cleancopy.sources.settings import Source, read_sources
from cleancopy.store import paths


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sources, raw captures and store of a machine are, and how many processes read pages."""

    sources: Path
    raw: Path
    clean: paths.StorePath
    workers: int
    policy: Path | None = None


#: What intervals are counted from: were it now, each restart would put off what is due.
COUNTED_FROM = datetime(2020, 1, 1, tzinfo=UTC)


def schedule(source: Source) -> Schedule | None:
    """When a source is due, as Prefect's schedule; None for a source that runs only when asked.

    Raises PolicyError for a cron line or rule that no calendar knows.
    """
    timing = dict(source.schedule)
    zone = str(timing["timezone"]) if "timezone" in timing else "UTC"
    try:
        if "cron" in timing:
            return Cron(str(timing["cron"]), timezone=zone)
        if "interval" in timing:
            every = timedelta(seconds=float(timing["interval"]))
            return Interval(every, anchor_date=COUNTED_FROM, timezone=zone)
        if "rrule" in timing:
            return RRule(str(timing["rrule"]).removeprefix("RRULE:"), timezone=zone)
    except ValueError as error:
        cause = " ".join(str(error).split())
        raise PolicyError(
            f"source {source.name!r}: its schedule cannot be read ({cause}); correct it"
        ) from error
    return None


def parameters(source: Source | None, place: Place) -> IngestParameters:
    """What the ingest flow is given for a source, or for the whole of raw/."""
    timing = dict(source.schedule) if source else {}
    return IngestParameters(
        source=source.name if source else None,
        sources=str(place.sources.absolute()) if source else None,
        raw=str(place.raw.absolute()),
        clean=str(place.clean.absolute()),
        workers=place.workers,
        policy=str(place.policy.absolute()) if place.policy else None,
        jitter=float(timing.get("jitter", 0)),
    )


#: The name of the deployment that cleans what lies in raw/; people start it from the UI.
RAW = "raw"


async def deployments(sources: Iterable[Source], place: Place, client: PrefectClient) -> list[RunnerDeployment]:
    """A deployment for each source, and one for raw/; one that people paused stays paused."""
    wanted = []
    for source in (None, *sources):
        name = source.name if source else RAW
        kind = source.kind if source else "files"
        when = schedule(source) if source else None
        existing = await find(client, name)
        wanted.append(
            await ingest.ato_deployment(
                name,
                schedules=[when] if when else [],
                parameters={"parameters": parameters(source, place).model_dump()},
                tags=labels(name, kind, source.site if source else None),
                description=_description(source, place),
                paused=bool(existing and existing.paused),
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return wanted


async def others(place: Place) -> list[RunnerDeployment]:
    """A deployment of each of the other flows, for people to start from the UI's form."""
    clean = str(place.clean.absolute())
    given: list[tuple[Flow[Any, Any], BaseModel]] = [
        (
            reclean,
            RecleanParameters(
                raw=str(place.raw.absolute()),
                clean=clean,
                workers=place.workers,
                policy=str(place.policy.absolute()) if place.policy else None,
                dry_run=True,
            ),
        ),
        (export, ExportParameters(clean=clean, to=str(Path("export").absolute()))),
        (maintain, MaintainParameters(clean=clean)),
    ]
    return [
        await flow.ato_deployment(
            flow.name,
            parameters={"parameters": parameters.model_dump()},
            tags=labels("clean", flow.name),
            description=flow.description,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, parameters in given
    ]


def _description(source: Source | None, place: Place) -> str:
    if source is None:
        return f"Clean what is new in {place.raw.absolute()}."
    due = ", ".join(f"{key} {value}" for key, value in source.schedule) or "runs when asked"
    return f"Fetch and clean what is new of {source.name} ({source.kind}): {due}."


async def find(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """The deployment of a source, if the server knows it."""
    try:
        return await client.read_deployment_by_name(f"{ingest.name}/{name}")
    except ObjectNotFound:
        return None


async def retire(client: PrefectClient, names: Collection[str]) -> list[str]:
    """Take the schedules of sources that are no more, and what was planned by them; the names of these.

    Only of deployments that ``cleancopy up`` made: others belong to a work pool.
    """
    existing = await client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[ingest.name])))
    gone = [
        deployment
        for deployment in existing
        if deployment.name not in names and deployment.work_pool_name is None and deployment.schedules
    ]
    for deployment in gone:
        await client.update_deployment(deployment.id, DeploymentUpdate(schedules=[]))
        await _drop(client, await _waiting(client, deployment.id))
    return [deployment.name for deployment in gone]


# ---- after downtime


async def missed(client: PrefectClient, identities: Mapping[str, UUID]) -> set[str]:
    """The deployments that were due while nothing ran; the runs that waited for them are taken away.

    Prefect would start each of them at once; whoever calls this starts one instead. Runs that people asked for
    are left to it.
    """
    late: set[str] = set()
    for name, identity in identities.items():
        if await _drop(client, await _waiting(client, identity, before=DateTime.now(UTC))):
            late.add(name)
    return late


async def _drop(client: PrefectClient, runs: Sequence[FlowRun]) -> int:
    planned = [run for run in runs if run.auto_scheduled]
    for run in planned:
        with suppress(ObjectNotFound):  # the server takes away what a changed schedule has planned
            await client.delete_flow_run(run.id)
    return len(planned)


async def upcoming(client: PrefectClient, identity: UUID, count: int) -> list[datetime]:
    """When the next runs of a deployment are due."""
    runs = await _waiting(client, identity, after=DateTime.now(UTC))
    due = sorted(run.expected_start_time for run in runs if run.expected_start_time)
    return list(due[:count])


async def _waiting(
    client: PrefectClient, identity: UUID, before: DateTime | None = None, after: DateTime | None = None
) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=before, after_=after),
        ),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[identity])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=200,
    )


async def catch_up(client: PrefectClient, identity: UUID) -> None:
    """Start one run in place of all that were missed, and of those that the server has planned meanwhile.

    It plans the next ones again within seconds, by the schedule as it is now.
    """
    await _drop(client, await _waiting(client, identity))
    await client.create_flow_run_from_deployment(identity, tags=["catch-up"])


# ---- what people ask and change


def listed(path: Path) -> list[dict[str, Any]]:
    """Each source with its schedule, its state and the times of its next runs, as JSON values."""
    return asyncio.run(due(_sources(path)))


async def due(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """When each source is due, as the server has it; the rows of ``listed``."""
    lines: list[dict[str, Any]] = []
    async with _server() as client:
        for source in sources:
            deployment = await find(client, source.name)
            state = (
                "not known to the server" if deployment is None else "paused" if deployment.paused else "active"
            )
            times = await upcoming(client, deployment.id, 3) if deployment else []
            timing = ", ".join(f"{key} {value}" for key, value in source.schedule)
            lines.append(
                {
                    "source": source.name,
                    "kind": source.kind,
                    "schedule": timing,
                    "state": state,
                    "next": _read(times, source),
                }
            )
    return lines


def next_times(path: Path, name: str, count: int) -> list[str]:
    """When a source is due next, in its own time zone."""
    source = next((candidate for candidate in _sources(path) if candidate.name == name), None)

    async def asked() -> list[str]:
        async with _server() as client:
            return _read(await upcoming(client, (await _known(client, name)).id, count), source)

    return asyncio.run(asked())


def pause(name: str, paused: bool) -> None:
    """Let a source's schedule rest, or go on."""

    async def asked() -> None:
        async with _server() as client:
            identity = (await _known(client, name)).id
            await (client.pause_deployment if paused else client.resume_deployment)(identity)

    asyncio.run(asked())


def run_now(name: str) -> str:
    """Start a run of a source; the run's name."""

    async def asked() -> str:
        async with _server() as client:
            deployment = await _known(client, name)
            run = await client.create_flow_run_from_deployment(deployment.id, name=f"{name} {now()}")
            return run.name

    return asyncio.run(asked())


def add(path: Path, name: str, timing: Mapping[str, str | float]) -> None:
    """Give a source of a ``sources.toml`` a schedule in place of the one it has; the rest of the file stays.

    Raises PolicyError where the file would not be read any more, and leaves it as it was.
    """
    import tomlkit

    read_sources(path).chosen([name], str(path))
    content = tomlkit.parse(path.read_text(encoding="utf-8"))
    for table in content["source"]:
        if table["name"] == name:
            for key in ("cron", "interval", "rrule", "timezone", "jitter"):
                table.pop(key, None)
            table.update(timing)
    changed = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        changed.write_text(tomlkit.dumps(content), encoding="utf-8")
        for source in read_sources(changed).chosen([name], str(path)):
            if schedule(source) is None:
                raise PolicyError(f"{name}: gets no schedule; give one of --cron, --interval and --rrule")
        changed.replace(path)
    except PolicyError as error:
        raise PolicyError(str(error).replace(str(changed), str(path))) from None
    finally:
        changed.unlink(missing_ok=True)


def _sources(path: Path) -> tuple[Source, ...]:
    return read_sources(path).sources if path.exists() else ()


def _read(times: Iterable[datetime], source: Source | None) -> list[str]:
    """Times as people read them, in the source's time zone."""
    zone = ZoneInfo(str(dict(source.schedule).get("timezone", "UTC"))) if source else UTC
    return [time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z") for time in times]


async def _known(client: PrefectClient, name: str) -> DeploymentResponse:
    deployment = await find(client, name)
    if deployment is None:
        raise PolicyError(f"{name}: the server knows no such source; see cleancopy schedule list")
    return deployment


@asynccontextmanager
async def _server() -> AsyncIterator[PrefectClient]:
    """A client of the running server; raises CleancopyError where there is none."""
    api = PREFECT_API_URL.value()
    if not api:
        raise CleancopyError("no server runs; start one with cleancopy up")
    hidden = PREFECT_API_AUTH_STRING.value()
    server.check_access(api, hidden)
    async with get_client() as client:
        yield client
