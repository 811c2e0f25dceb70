"""Shards on the workers of a Dask cluster: the same corpus, whatever becomes of a worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from cleancopy import Policy, PolicyError, read_policy
from cleancopy.ingest.discover import SHARD_BYTES
from cleancopy.store.paths import LOCK, locked
from conftest import EXAMPLES
from test_flows import Place, children, command, free_port

ENGINE = 'engine = "dask"\n'


def test_where_the_work_is_done_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "dask.toml").write_text(ENGINE + 'scheduler = "tcp://10.0.0.5:8786"\n')
    policy = read_policy(tmp_path / "dask.toml")
    assert (policy.engine, policy.scheduler) == ("dask", "tcp://10.0.0.5:8786")
    assert policy.digest == Policy().digest


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('engine = "spark"', "allowed: local, dask"),
        ('scheduler = "tcp://10.0.0.5:8786"', 'scheduler is for engine = "dask"'),
        (ENGINE + 'scheduler = "http://10.0.0.5"', "such as tcp://"),
    ],
)
def test_a_wrong_engine_is_one_clear_line(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "dask.toml").write_text(settings)
    with pytest.raises(PolicyError, match=said):
        read_policy(tmp_path / "dask.toml")


# ---- with Dask


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """``cleancopy up``, and a folder with examples, small pages, and a file that parts them into two shards."""
    pytest.importorskip("prefect_dask", reason="needs Dask: pip install 'cleancopy[dask]'")
    one = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(EXAMPLES, one.folder / "raw" / "examples")
    with open(one.folder / "raw" / "large.html", "wb") as large:
        large.truncate(SHARD_BYTES)  # refused by its size, without a look at what is in it
    for number in range(50):
        (one.folder / "raw" / f"page{number}.txt").write_text(f"The gauge read {number} at noon.\n")
    (one.folder / "local.toml").write_text(ENGINE)
    one.up()
    try:
        yield one
    finally:
        assert one.keeper is not None
        one.keeper.terminate()
        one.keeper.wait(60)


@pytest.fixture(scope="module")
def expected(place: Place) -> str:
    """The content root of the same inputs without Dask and without Prefect."""
    done = place.cli("ingest", "--plain", "--json", "--clean", "plain", "--workers", "0", seconds=300)
    return str(json.loads(done.stdout)["content_root"])


@pytest.mark.slow
def test_workers_that_the_flow_starts_make_the_same_corpus(place: Place, expected: str) -> None:
    done = place.cli(
        "ingest", "--json", "--clean", "local", "--policy", "local.toml", "--workers", "2", seconds=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["content_root"] == expected
    (run,) = [run for run in place.runs("Completed") if run["parameters"]["parameters"]["clean"] == "local"]
    tasks = {task["name"] for task in place.find("task_runs", flow_runs={"id": {"any_": [run["id"]]}})}
    assert {"read shard 0", "read shard 1", "clean shard 0", "clean shard 1"} <= tasks
    logged = [line["message"] for line in place.find("logs", logs={"flow_run_id": {"any_": [run["id"]]}})]
    assert any(message.startswith("raw: shard 1: read: ") for message in logged)


@pytest.mark.slow
def test_a_worker_that_is_killed_at_a_shard_costs_nothing(place: Place, expected: str) -> None:
    port = str(free_port())
    address = f"tcp://127.0.0.1:{port}"
    (place.folder / "remote.toml").write_text(f'{ENGINE}scheduler = "{address}"\n')
    with ExitStack() as started:
        scheduler = dask(
            place, started, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]
        )
        place.until(lambda: answers(address) or scheduler.poll() is not None, 60)
        nannies = [dask(place, started, "worker", address, "--nthreads", "1") for _ in range(2)]
        shard = place.folder / "remote" / ".work" / "raw" / "held-read-00001"
        with ExitStack() as held:
            held.enter_context(locked(shard))  # so that a worker is at this shard when it is killed
            arguments = ["ingest", "--clean", "remote", "--policy", "remote.toml", "--workers", "2"]
            run = started.enter_context(ended(place.start(*arguments)))
            at_work = place.until(lambda: [one for one in nannies if holder(one, shard)], 300)
            (worker,) = [one for one in children(at_work[0]) if b"resource_tracker" not in command(one)]
            for process in (at_work[0].pid, worker):
                os.kill(process, signal.SIGKILL)
        assert run.wait(600) == 0
    done = place.cli("status", "--json", "--clean", "remote")
    known = json.loads(done.stdout)
    assert known["content_root"] == expected
    assert place.cli("verify", "--clean", "remote").returncode == 0


def dask(place: Place, started: ExitStack, *arguments: str) -> subprocess.Popen[bytes]:
    """A scheduler or worker as a process of its own, which knows nothing of the server."""
    own = {"DASK_DISTRIBUTED__WORKER__DAEMON": "false", "PREFECT_HOME": str(place.folder / "elsewhere")}
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
        cwd=place.folder / "raw",
        env=place.environment | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return started.enter_context(ended(process))


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with the block, if it has not by then."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def answers(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


def holder(nanny: subprocess.Popen[bytes], shard: Path) -> bool:
    """Whether the worker of a nanny waits for a shard."""
    lock = str((shard / LOCK).resolve())
    for worker in children(nanny):
        with suppress(OSError):
            if any(os.readlink(one) == lock for one in Path(f"/proc/{worker}/fd").iterdir()):
                return True
    return False


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_one_clear_line(place: Place) -> None:
    (place.folder / "gone.toml").write_text(f'{ENGINE}scheduler = "tcp://127.0.0.1:9"\n')
    done = place.cli("ingest", "--clean", "gone", "--policy", "gone.toml")
    assert done.returncode == 1
    assert "tcp://127.0.0.1:9: no Dask scheduler with workers answers there (Connection refused)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place.folder / "gone").exists()
