"""``cleancopy up``: the server with its UI and the schedules of all sources, kept running until Ctrl-C.

One process keeps three things: the server (a process of its own, started again when it dies), a runner that
starts the runs that are due, and a look around every few seconds for runs whose process is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import server
from cleancopy_flows.launch import gone
from cleancopy_flows.schedules import Place, catch_up, deployments, find, missed
from cleancopy_flows.server import Address
from httpx import HTTPError
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.exceptions import PrefectException
from prefect.runner import Runner
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Crashed

from cleancopy.errors import CleancopyError, PolicyError
from cleancopy.sources.settings import Source, read_sources

#: Seconds between two looks at the server, the sources and the runs.
LOOK = 5.0


@dataclass(slots=True)
class _Kept:
    """What ``up`` keeps running."""

    address: Address
    password: str | None
    place: Place
    server: subprocess.Popen[bytes]
    runner: Runner
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    read: float = 0.0


def up(address: Address, place: Place, *, password: bool = True) -> None:
    """Keep the server, its UI and the schedules running until Ctrl-C or SIGTERM.

    Raises CleancopyError where one is running already, the port is taken, or the sources are wrong.
    """
    if (other := server.running()) is not None:
        raise CleancopyError(f"cleancopy up runs already, at {other.url}; stop it with cleancopy down")
    sources = _sources(place)
    server.check_free(address)
    address = replace(address, keeper=os.getpid(), began=server.began(os.getpid()) or 0)
    hidden = server.secret() if password else None
    settings = {PREFECT_API_URL: address.api, PREFECT_API_AUTH_STRING: hidden}
    with temporary_settings({key: value for key, value in settings.items() if value}):
        os.environ["PREFECT_API_URL"] = address.api
        if hidden:
            os.environ["PREFECT_API_AUTH_STRING"] = hidden
        print(f"Starting the server (its output: {server.log_file()})", file=sys.stderr, flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # until the runs' own handlers are set
        process = server.start(address, hidden)
        try:
            server.wait(address, process)
            server.announce(address)
            asyncio.run(_keep(address, hidden, place, process, sources))
        finally:
            server.retract()
            _end(process)


def down(patience: float = 60.0) -> Address | None:
    """Stop what ``cleancopy up`` keeps running on this machine; gives where it was."""
    import time

    address = server.running()
    if address is None:
        return None
    os.kill(address.keeper, signal.SIGTERM)
    end = time.monotonic() + patience
    while server.running() is not None:
        if time.monotonic() > end:
            raise CleancopyError(
                f"{address.url}: process {address.keeper} has not ended in {patience:g} seconds; its runs may "
                "still be stopping: try again"
            )
        time.sleep(0.1)
    return address


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _sources(place: Place) -> tuple[Source, ...]:
    return read_sources(place.sources).sources if place.sources.exists() else ()


async def _keep(
    address: Address,
    password: str | None,
    place: Place,
    process: subprocess.Popen[bytes],
    sources: Sequence[Source],
) -> None:
    runner = Runner(name="cleancopy", limit=max(4, len(sources)), pause_on_shutdown=False, query_seconds=2)
    kept = _Kept(address, password, place, process, runner, read=_changed(place.sources))
    async with get_client() as client:
        await bury(client)
        await _deploy(client, kept, sources)
    print(f"The UI is at {address.url}", flush=True)
    if password:
        print(f"It asks for the user:password in {server.secret_file()}", flush=True)
    print("Ctrl-C stops it; runs under way are cancelled and go on at the next ingest.", flush=True)
    watching = asyncio.create_task(_watch(kept))
    running = asyncio.create_task(runner.start())
    await asyncio.sleep(0)
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, kept.stop.set)
    stopping = asyncio.create_task(kept.stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    if not running.done():
        await runner.astop()
    await asyncio.gather(running, return_exceptions=True)
    _end(kept.server)


async def _deploy(client: PrefectClient, kept: _Kept, sources: Sequence[Source]) -> None:
    """Register the sources with the server and the runner; what was due in the meantime runs once."""
    names = ["raw", *(source.name for source in sources)]
    known = {name: found.id for name in names if (found := await find(client, name))}
    late = await missed(client, known)
    for one in await deployments(sources, kept.place, client):
        identity = await kept.runner.aadd_deployment(one)
        if one.name in late and not one.paused:
            await catch_up(client, identity)
            print(f"{one.name}: was due while nothing ran; it runs once now", flush=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


async def _watch(kept: _Kept) -> None:
    """Every few seconds: start a server that died, read changed sources, bury the runs that died."""
    while True:
        await asyncio.sleep(LOOK)
        try:
            if kept.server.poll() is not None:
                print("The server died; starting it again", file=sys.stderr, flush=True)
                kept.server = await asyncio.to_thread(server.start, kept.address, kept.password)
                await asyncio.to_thread(server.wait, kept.address, kept.server)
            async with get_client() as client:
                await bury(client)
                if (now := _changed(kept.place.sources)) != kept.read:
                    kept.read = now
                    await _deploy(client, kept, _sources(kept.place))
                    print(f"{kept.place.sources}: read again", flush=True)
        except PolicyError as error:
            print(f"cleancopy: {error}; the schedules of before stand", file=sys.stderr, flush=True)
        except (HTTPError, PrefectException, CleancopyError, OSError) as error:
            print(f"cleancopy: the server does not answer ({error})", file=sys.stderr, flush=True)


# ---- runs whose process is gone

#: Seconds in which a run of cleancopy has said which process it is: the first thing that it does.
SIGNED = 30.0


def _never_signed(run: FlowRun) -> bool:
    """Whether a run of cleancopy died before it could say which process it is."""
    ours = {"source", "kind"} <= {tag.partition(":")[0] for tag in run.tags}
    if not ours or "cleancopy.process" in run.labels or run.start_time is None:
        return False
    return (datetime.now(UTC) - run.start_time).total_seconds() > SIGNED


async def bury(client: PrefectClient) -> int:
    """Mark each run whose process on this machine is gone as crashed; how many there were."""
    under_way = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING, StateType.PENDING])
    )
    dead = 0
    for run in await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=under_way), sort=FlowRunSort.START_TIME_DESC, limit=200
    ):
        if not (gone(dict(run.labels)) or _never_signed(run)):
            continue
        dead += 1
        process = run.labels.get("cleancopy.process")
        ended = f"Its process {process} is gone" if process else "Its process died as it began"
        message = f"{ended}; nothing is lost: the next run goes on."
        ends = Cancelled if run.state_type == StateType.CANCELLING else Crashed
        await client.set_flow_run_state(run.id, ends(message=message), force=True)
        for task in await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
            sort=TaskRunSort.EXPECTED_START_TIME_DESC,
            limit=200,
            task_run_filter=TaskRunFilter(
                state=TaskRunFilterState(
                    type=TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
                )
            ),
        ):
            await client.set_task_run_state(task.id, Crashed(message="Its run has crashed."), force=True)
    return dead
