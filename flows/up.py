"""``cleancopy up``: the server with its UI and the schedules of all sources, kept running until Ctrl-C.

One process keeps three things: the server (a process of its own, started again when it dies), a runner that
starts the runs that are due, and a look around every few seconds for runs whose process is gone.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import server
from cleancopy_flows.noted import waiting
from cleancopy_flows.process import gone, interrupt
from cleancopy_flows.schedules import Place, catch_up, deployments, due, find, missed, others, retire
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
LOOK = 10.0


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
    recording: bool = True


def up(address: Address, place: Place, *, password: bool = True) -> None:
    """Keep the server, its UI and the schedules running until Ctrl-C or SIGTERM.

    Raises CleancopyError where one is running already, the port is taken, or the sources are wrong.
    """
    if (other := server.running()) is not None:
        raise CleancopyError(f"cleancopy up runs already, at {other.url}; stop it with cleancopy down")
    if (orphan := server.end_orphan()) is not None:
        print(f"Ended a server at {orphan.url} whose cleancopy up was killed", file=sys.stderr, flush=True)
    changed, sources = _changed(place.sources), _sources(place)
    server.check_free(address)
    address = replace(address, keeper=os.getpid(), began=server.began(os.getpid()) or 0)
    hidden = server.secret() if password else None
    settings = {PREFECT_API_URL: address.api, PREFECT_API_AUTH_STRING: hidden}
    with temporary_settings({key: value for key, value in settings.items() if value}):
        os.environ["PREFECT_API_URL"] = address.api
        if hidden:
            os.environ["PREFECT_API_AUTH_STRING"] = hidden
        print(f"Starting the server (its output: {server.log_file()})", file=sys.stderr, flush=True)
        for name in _ends():  # until the runs' own handlers are set
            signal.signal(name, lambda number, _: sys.exit(128 + number))
        process = server.start(address, hidden)
        try:
            server.wait(address, process)
            server.announce(address, process)
            asyncio.run(_keep(address, hidden, place, process, sources, changed))
        finally:
            server.retract()
            _end(process)


def down(seconds: float = 60.0) -> Address | None:
    """Stop what ``cleancopy up`` keeps running on this machine; gives where it was."""
    import time

    address = server.running()
    if address is None:
        return server.end_orphan()
    os.kill(address.keeper, signal.SIGTERM)
    end = time.monotonic() + seconds
    while server.running() is not None:
        if time.monotonic() > end:
            raise CleancopyError(
                f"{address.url}: process {address.keeper} has not ended in {seconds:g} seconds; its runs may "
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
    changed: float,
) -> None:
    runner = Runner(name="cleancopy", limit=max(4, len(sources)), pause_on_shutdown=False, query_seconds=3)
    kept = _Kept(address, password, place, process, runner, read=changed)
    async with get_client() as client:
        await bury(client)
        await _deploy(client, kept, sources)
    await _record(kept)
    _say_where(address, password)
    await _say_when(sources)
    print("Ctrl-C stops it; runs under way are cancelled and go on at the next ingest.", flush=True)
    watching = asyncio.create_task(_watch(kept))
    running = asyncio.create_task(runner.start())
    await asyncio.sleep(0)
    for name in (signal.SIGINT, *_ends()):
        asyncio.get_running_loop().add_signal_handler(name, kept.stop.set)
    stopping = asyncio.create_task(kept.stop.wait())
    ended, _ = await asyncio.wait({running, stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    if not running.done():
        await runner.astop()
    await asyncio.gather(running, watching, return_exceptions=True)
    _end(kept.server)
    failed = [error for task in ended if (error := task.exception()) is not None]
    if failed and not kept.stop.is_set():
        cause = f"{type(failed[0]).__name__}: {failed[0]}"
        raise CleancopyError(f"stopped, as what starts the runs failed ({cause}); start cleancopy up again")


def _say_where(address: Address, password: str | None) -> None:
    """Print the address of the UI, with what logs a browser in."""
    if password is None:
        print(f"The UI is at {address.url}", flush=True)
        return
    print(f"The UI is at {address.url}{server.LOGIN}#{server.new_login()}", flush=True)
    print(
        f"That address logs one browser in, once; {address.url} asks others for the user:password in "
        f"{server.secret_file()}",
        flush=True,
    )


async def _say_when(sources: Sequence[Source]) -> None:
    """Print when each source is due."""
    for row in await due(sources):
        following = f", next {row['next'][0]}" if row["next"] else ""
        paused = ", paused" if row["state"] == "paused" else ""
        print(f"  {row['source']}: {row['schedule'] or 'runs when asked'}{following}{paused}", flush=True)


def _ends() -> list[signal.Signals]:
    """The signals that end ``up`` besides Ctrl-C: a closed terminal's too, unless it is to outlive that."""
    outlives = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM] if outlives else [signal.SIGTERM, signal.SIGHUP]


async def _deploy(client: PrefectClient, kept: _Kept, sources: Sequence[Source]) -> None:
    """Register the sources with the server and the runner; what was due in the meantime runs once."""
    names = ["raw", *(source.name for source in sources)]
    identities = {name: registered.id for name in names if (registered := await find(client, name))}
    late = await missed(client, identities)
    for name in await retire(client, names):
        print(f"{name}: is no source any more; its schedule is taken away", flush=True)
    for deployment in await others(kept.place):
        await kept.runner.aadd_deployment(deployment)
    for deployment in await deployments(sources, kept.place, client):
        identity = await kept.runner.aadd_deployment(deployment)
        if deployment.name in late and not deployment.paused:
            await catch_up(client, identity)
            print(f"{deployment.name}: was due while nothing ran; it runs once now", flush=True)


async def _record(kept: _Kept) -> None:
    """Write the runs that no server watched into the history; what fails is tried again at the next start."""
    if kept.recording and next(waiting(), None) is not None:
        kept.recording = await asyncio.to_thread(_write_history)


def _write_history() -> bool:
    """Write the waiting notes, in a process of its own, as that takes 270 MB; whether it could."""
    command = [sys.executable, "-m", "cleancopy_flows.history"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+: ", line)]
        why = errors[-1] if errors else f"code {done.returncode}"
        print(f"Earlier runs are not in the history yet, as that failed: {why}", file=sys.stderr, flush=True)
    elif done.stdout.strip() != "0":
        print(f"Earlier runs that are in the history now: {done.stdout.strip()}", flush=True)
    return done.returncode == 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


async def _watch(kept: _Kept) -> None:
    """Every few seconds: start a server that died, read changed sources, mark the runs that died as crashed."""
    while True:
        await asyncio.sleep(LOOK)
        try:
            if kept.server.poll() is not None:
                print("The server died; starting it again", file=sys.stderr, flush=True)
                kept.server = await asyncio.to_thread(server.start, kept.address, kept.password)
                server.announce(kept.address, kept.server)
                await asyncio.to_thread(server.wait, kept.address, kept.server)
            await _record(kept)
            async with get_client() as client:
                await bury(client)
                if (now := _changed(kept.place.sources)) != kept.read:
                    await _deploy_again(client, kept)
                    kept.read = now  # not before: what failed for want of an answer is tried again
        except (HTTPError, PrefectException, CleancopyError, OSError) as error:
            print(f"cleancopy: the server does not answer ({error})", file=sys.stderr, flush=True)


async def _deploy_again(client: PrefectClient, kept: _Kept) -> None:
    try:
        await _deploy(client, kept, _sources(kept.place))
        print(f"{kept.place.sources}: read again", flush=True)
    except (PolicyError, ValueError) as error:
        print(f"cleancopy: {error}; the schedules of before stand", file=sys.stderr, flush=True)


# ---- runs whose process is gone

#: The time in which a process that was to run has begun, and in which it has then said which it is.
STARTED, SIGNED = timedelta(seconds=90), timedelta(seconds=30)


def _died(run: FlowRun) -> bool:
    """Whether the process of a run is gone, or a run of cleancopy died before it could say which process it is.

    A run that is tried again has the labels of its last attempt until it signs again.
    """
    begun = run.state_type != StateType.PENDING
    signed = "cleancopy.process" in run.labels
    if begun and signed and run.labels.get("cleancopy.attempt") == run.run_count:
        return bool(gone(dict(run.labels)))
    ours: bool = {"source", "kind"} <= {tag.partition(":")[0] for tag in run.tags}
    if not ours or run.state is None or (signed and not gone(dict(run.labels))):
        return False
    age: timedelta = datetime.now(UTC) - run.state.timestamp
    return age > (SIGNED if begun else STARTED)


async def _cancel(client: PrefectClient, run: FlowRun) -> None:
    """Stop the process of a run; one that takes long to stop is asked again at the next look."""
    labels = dict(run.labels)
    if not interrupt(labels):
        return
    for _ in range(50):
        await asyncio.sleep(0.2)
        if gone(labels):
            message = "Stopped on request; nothing is lost: the next run goes on."
            await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
            return


async def bury(client: PrefectClient) -> int:
    """Mark each run whose process on this machine is gone as crashed, and end those that are to be cancelled.

    Gives how many were gone.
    """
    under_way = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING, StateType.PENDING])
    )
    dead = 0
    for run in await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=under_way), sort=FlowRunSort.START_TIME_DESC, limit=200
    ):
        if not _died(run):
            if run.state_type == StateType.CANCELLING and run.deployment_id is None:
                await _cancel(client, run)  # nobody else ends what was begun from a command line
            continue
        dead += 1
        process = run.labels.get("cleancopy.process")
        ended = f"Its process {process} is gone" if process else "Its process died as it began"
        message = f"{ended}; nothing is lost: the next run goes on."
        ends = Cancelled if run.state_type == StateType.CANCELLING else Crashed
        # Not by force: one that ended meanwhile stays as it ended.
        await client.set_flow_run_state(run.id, ends(message=message))
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
