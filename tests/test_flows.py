"""The flow on a real Prefect server, and the history that it leaves."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import EXAMPLES, ROOT


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A server of the installed Prefect, with the environment that reaches it."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": api,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"{api}/health", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert process.poll() is None, "the server ended while it started"
            assert time.monotonic() < deadline, "the server did not answer within two minutes"
            time.sleep(0.3)
        yield api, environment
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def ingested(server: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The examples, ingested by the flow that is run as a script."""
    api, environment = server
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLES, home / "raw" / "examples")
    (home / "raw" / "empty.html").touch()
    command = [sys.executable, str(ROOT / "flows" / "ingest.py")]
    done = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return api, home


def post(api: str, path: str, **body: object) -> list[dict[str, object]]:
    answer = httpx.post(f"{api}/{path}/filter", json=body, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()
    return found


def test_the_flow_publishes_what_the_plain_way_publishes(ingested: tuple[str, Path], tmp_path: Path) -> None:
    from cleancopy.pipeline import begin, ingest
    from cleancopy.store import releases

    _, home = ingested
    with begin(raw=home / "raw", root=tmp_path / "clean", workers=0) as run:
        plain = ingest(run)
    published = releases.current(home / "clean")
    assert published is not None
    assert published.content_root == plain.content_root


def test_the_run_has_a_name_tags_and_tasks(ingested: tuple[str, Path]) -> None:
    api, _ = ingested
    (run,) = post(api, "flow_runs")
    assert run["state_type"] == "COMPLETED"
    assert str(run["name"]).startswith("raw 2")
    assert {"source:raw", "kind:ingest"} <= set(run["tags"])  # type: ignore[call-overload]
    names = {str(task["name"]) for task in post(api, "task_runs")}
    assert names == {"discover", "read shard 0", "learn", "clean shard 0", "reclean", "publish"}


def test_the_logs_name_source_and_shard(ingested: tuple[str, Path]) -> None:
    api, _ = ingested
    messages = [str(line["message"]) for line in post(api, "logs")]
    assert any(message.startswith("raw: shard 0: read: ") for message in messages)


def test_the_summary_artifact_carries_the_headline_numbers(ingested: tuple[str, Path]) -> None:
    api, _ = ingested
    artifacts = {str(one["key"]): one for one in post(api, "artifacts")}
    description = str(artifacts["ingest-summary"]["description"])
    assert description == "8 captures: 6 new, 0 unchanged, 1 duplicate, 1 rejected; release 1, 6 live documents"
    assert "empty_input" in str(artifacts["ingest-rejections"]["data"])


def test_what_the_store_refuses_is_one_line_and_a_failed_run(
    server: tuple[str, dict[str, str]], ingested: tuple[str, Path]
) -> None:
    api, environment = server
    _, home = ingested
    command = [sys.executable, "-m", "cleancopy.cli", "ingest", "--raw", "raw", "--clean", "raw/clean"]
    done = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "lies inside raw" in done.stderr
    assert "Traceback" not in done.stderr
    assert "FAILED" in {run["state_type"] for run in post(api, "flow_runs")}
