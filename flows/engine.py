"""Where the shards of a run are worked on: here, one after the other, or on the workers of a Dask cluster.

    with over_shards(run, shards) as each:
        each(read_shard)
        each(clean_shard)

The policy says which (``engine``, ``scheduler``). A Dask worker gets the run and a number; inputs and what
comes of them lie in files that all workers share. A shard comes out the same wherever it is worked on: a worker
whose code or libraries are others is refused, and a shard is given to another worker when its own dies.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from cleancopy.errors import CleancopyError, PolicyError
from cleancopy.extract.isolation import relaxed_gc
from cleancopy.ingest.run import Run
from cleancopy.policy import Policy
from cleancopy.store.paths import atomic_write, locked
from cleancopy.version import fingerprint

if TYPE_CHECKING:
    from prefect_dask import DaskTaskRunner

#: Seconds that a scheduler may take to answer, and to have a worker.
ANSWER, WORKER = 10, 60
#: Seconds that a worker waits for one that was cut off and is still at the same shard.
SHARD_TIMEOUT = 3_600.0
#: The file by which a worker finds out that it sees the run's files, and is fit for it.
MADE_BY = "made-by"

#: What Dask puts into its workers' environment, besides ``_TRIM``.
_LEAN = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
#: By this Dask has memory given back to the system with every page: a sixth of the CPU that reading takes.
_TRIM = "MALLOC_TRIM_THRESHOLD_"

Each = Callable[[Task[[Run, int], dict[str, int]]], list[dict[str, int]]]


def check(policy: Policy) -> None:
    """Raise CleancopyError where the engine that the policy names cannot be had; nothing was done then."""
    if policy.engine == "local":
        return
    try:
        from distributed import Client
        from prefect_dask import DaskTaskRunner  # noqa: F401
    except ImportError as error:
        raise PolicyError(
            f'engine is "dask", and {error.name} is not installed; install cleancopy[dask], or set engine = '
            '"local"'
        ) from None
    if policy.scheduler:
        host, _, port = policy.scheduler.partition("://")[2].rpartition(":")
        with _answering(policy.scheduler):
            socket.create_connection(
                (host.strip("[]"), int(port)), ANSWER
            ).close()  # says at once what is wrong
            with Client(policy.scheduler, timeout=ANSWER, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=WORKER)


@contextmanager
def _answering(scheduler: str) -> Iterator[None]:
    """What goes wrong between here and a scheduler as one clear line."""
    try:
        yield
    # A timeout is an OSError; a tls:// address without keys a TypeError.
    except (OSError, OverflowError, TypeError, ValueError) as error:
        cause = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise CleancopyError(
            f"{scheduler}: no Dask scheduler with workers answers there ({cause}); start them, correct "
            'scheduler in the policy, or set engine = "local"'
        ) from None


def shared(run: Run) -> Run:
    """The run as every worker of its engine can take it: with folders that do not depend on where it stands."""
    if run.policy.engine == "local":
        return run
    return replace(run, raw=run.raw.absolute(), root=run.root.absolute())


@contextmanager
def over_shards(run: Run, shards: int) -> Iterator[Each]:
    """What does a task for each shard and gives the results in order, on the engine of the run's policy."""
    if run.policy.engine == "local" or not shards:
        yield lambda task: [task(run, number) for number in range(shards)]
        return
    atomic_write(run.work / MADE_BY, fingerprint(run.parts).encode(), durable=False)
    with _one_server(), _cluster(run) as runner:
        yield lambda task: _on_cluster(runner, task, run, shards)


@contextmanager
def _one_server() -> Iterator[None]:
    """The address of this run's server for its workers, which would each start a temporary one without it."""
    with get_client(sync_client=True) as client, temporary_settings({PREFECT_API_URL: str(client.api_url)}):
        yield


@contextmanager
def _cluster(run: Run) -> Iterator[DaskTaskRunner]:
    """Prefect's runner of tasks on the cluster of the policy, or on workers of this machine for this run."""
    import dask
    from prefect_dask import DaskTaskRunner

    for name in ("distributed", "prefect.task_runner.dask"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if run.policy.scheduler:
        with DaskTaskRunner(address=run.policy.scheduler, client_kwargs={"timeout": ANSWER}) as runner:
            with _answering(run.policy.scheduler):
                client = runner.client
            yield runner
            client.run(forget, on_error="ignore")
        return
    # Only this user may give the workers work: they ask for a certificate that is made for this run.
    local = {"n_workers": max(1, run.workers), "threads_per_worker": 1, "host": "127.0.0.1", "security": True}
    settings = {
        "distributed.worker.daemon": False,
        "distributed.worker.profile.enabled": False,
        "distributed.nanny.pre-spawn-environ": _LEAN,
    }
    with (
        dask.config.set(settings),
        DaskTaskRunner(cluster_kwargs={**local, "protocol": "tls://", "dashboard_address": None}) as runner,
    ):
        yield runner


def _on_cluster(
    runner: DaskTaskRunner, task: Task[[Run, int], dict[str, int]], run: Run, shards: int
) -> list[dict[str, int]]:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    futures = [runner.submit(task, {"run": run, "number": number}) for number in range(shards)]
    try:
        return [future.result() for future in futures]
    except (KilledWorker, FutureCancelledError) as error:
        raise CleancopyError(
            f"the cluster gave up a shard ({' '.join(str(error).split())}); look at the logs of its workers, "
            "and run again: what was read is not lost"
        ) from error
    finally:
        runner.client.cancel([future.wrapped_future for future in futures])


def at_work(run: Run, step: str, number: int) -> AbstractContextManager[Run]:
    """The run as a worker takes it for a step of a shard, which no other worker does at the same time.

    On Dask a worker has one process beside itself, in which a hostile page dies alone. Raises CleancopyError
    where the worker is not fit for the run.
    """
    return _here(run) if run.policy.engine == "local" else _at_work(run, step, number)


@contextmanager
def _here(run: Run) -> Iterator[Run]:
    yield run


@contextmanager
def _at_work(run: Run, step: str, number: int) -> Iterator[Run]:
    _check_worker(run)
    os.environ.pop(_TRIM, None)  # before the process that reads begins, which takes it over
    with locked(run.work / f"held-{step}-{number:05d}", SHARD_TIMEOUT), relaxed_gc():
        yield _with_what_it_knows(replace(run, workers=min(run.workers, 1)))


def _check_worker(run: Run) -> None:
    from distributed import get_worker

    name = get_worker().address
    try:
        made_by = (run.work / MADE_BY).read_text(encoding="utf-8")
    except OSError as error:
        raise CleancopyError(
            f"worker {name} does not see the files of the run in {run.work} ({error.strerror}); put raw and "
            "clean (for an object store: CLEANCOPY_WORK) on a file system that all workers share, at one path"
        ) from None
    if made_by != fingerprint(run.parts):
        raise CleancopyError(
            f"worker {name} has other code or libraries than this run, and would make other texts; install the "
            "same cleancopy there, with --constraint constraints.txt"
        )
    if run.workers and multiprocessing.current_process().daemon:
        raise CleancopyError(
            f"worker {name} may not start the process that guards it against a hostile page; start it with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=false in its environment, or with --no-nanny"
        )


def wait_for_others(run: Run) -> None:
    """Wait until no worker is at a shard of the run any more that a dead flow gave it."""
    for held in sorted(run.work.glob("held-*")):
        with locked(held, SHARD_TIMEOUT):
            pass


#: The run that this worker is at: each task brings the run as a copy that knows nothing of the store yet.
_current: list[Run] = []


def _with_what_it_knows(run: Run) -> Run:
    """The same run as this worker had it before, with what it has looked up; there is one at a time."""
    if _current != [run]:
        _current[:] = [run]
    return _current[0]


def forget() -> None:
    """Let go of what a worker keeps of a run: a worker of a cluster lives on after it."""
    _current.clear()
