"""The flows on a real Prefect server, as ``cleancopy up`` keeps it: history, schedules, what kills leave."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from cleancopy.errors import PolicyError
from cleancopy.store.paths import locked, work_folder
from conftest import EXAMPLES, ROOT

Run = dict[str, Any]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Place:
    """A folder with raw/, a sources.toml and a Prefect home of its own, and ``cleancopy up`` in it."""

    folder: Path
    port: int = field(default_factory=free_port)
    python: str = sys.executable
    keeper: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def ui(self) -> str:
        return self.api.removesuffix("/api")

    @property
    def environment(self) -> dict[str, str]:
        home = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return home | {"PREFECT_HOME": str(self.folder / "prefect"), "DO_NOT_TRACK": "1"}

    @property
    def password(self) -> str:
        return (self.folder / "prefect" / "cleancopy-secret").read_text().strip()

    def up(self) -> None:
        command = [self.python, "-m", "cleancopy", "up", "--port", str(self.port), "--workers", "0"]
        with open(self.folder / "up.log", "ab") as log:
            self.keeper = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        self.until(lambda: "The UI is at" in self.said() or self.keeper.poll() is not None, 300)
        assert self.keeper.poll() is None, self.said()

    def said(self) -> str:
        return (self.folder / "up.log").read_text()

    def until(self, holds: Callable[[], Any], seconds: float = 120) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < deadline, f"did not come in {seconds:g} s; up said: {self.said()[-3000:]}"
            time.sleep(0.3)
        return found

    def cli(self, *arguments: str, seconds: float = 150) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "cleancopy", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.python, "-m", "cleancopy", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def find(self, kind: str, **body: object) -> list[Run]:
        user, _, word = self.password.partition(":")
        answer = httpx.post(f"{self.api}/{kind}/filter", json=body, auth=(user, word), timeout=30)
        answer.raise_for_status()
        found: list[Run] = answer.json()
        return found

    def runs(self, *states: str) -> list[Run]:
        """The runs in these states, those that are only scheduled left out."""
        found = self.find("flow_runs", sort="START_TIME_DESC")
        return [run for run in found if run["state_name"] in states]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """``cleancopy up`` with a source that is due when asked, in a folder with the examples."""
    one = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(EXAMPLES, one.folder / "raw" / "examples")
    (one.folder / "raw" / "empty.html").touch()
    (one.folder / "sources.toml").write_text(
        '[[source]]\nname = "examples"\nkind = "files"\npaths = ["raw/examples"]\n'
    )
    (one.folder / "bad.toml").write_text(
        '[[source]]\nname = "bad"\nkind = "files"\npaths = ["raw"]\ncron = "61 * * * *"\n'
    )
    one.up()
    try:
        yield one
    finally:
        for process in (one.keeper,):
            if process and process.poll() is None:
                process.terminate()
                process.wait(60)


@pytest.fixture(scope="module")
def ingested(place: Place) -> dict[str, Any]:
    """What an ingest of the examples from the command line says; it finds the server by itself."""
    done = place.cli("ingest", "--json", "--workers", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


# ---- a run and its page


def test_the_flow_publishes_what_the_plain_way_publishes(place: Place, ingested: dict[str, Any]) -> None:
    done = place.cli("ingest", "--plain", "--json", "--clean", "plain", "--workers", "0")
    assert json.loads(done.stdout)["content_root"] == ingested["content_root"]


def test_a_run_has_a_name_tags_and_tasks(place: Place, ingested: dict[str, Any]) -> None:
    (run,) = [run for run in place.runs("Completed") if run["name"].startswith("raw 2")]
    assert {"source:raw", "kind:files"} <= set(run["tags"])
    tasks = place.find("task_runs", flow_runs={"id": {"any_": [run["id"]]}})
    names = {task["name"] for task in tasks}
    assert names == {"discover", "read shard 0", "learn", "clean shard 0", "reclean", "publish"}


def test_the_logs_name_source_and_shard(place: Place, ingested: dict[str, Any]) -> None:
    messages = [line["message"] for line in place.find("logs")]
    assert any(message.startswith("raw: shard 0: read: ") for message in messages)


def test_the_summary_artifact_carries_the_headline_numbers(place: Place, ingested: dict[str, Any]) -> None:
    artifacts = {one["key"]: one for one in place.find("artifacts")}
    said = "8 captures: 6 new, 0 unchanged, 1 duplicate, 1 rejected; release 1, 6 live documents"
    assert artifacts["ingest-summary"]["description"] == said
    assert "empty_input" in str(artifacts["ingest-rejections"]["data"])


def test_the_tables_say_what_became_of_each_source_rejection_site_and_block(
    place: Place, ingested: dict[str, Any]
) -> None:
    tables = {one["key"]: json.loads(one["data"]) for one in place.find("artifacts") if one["type"] == "table"}
    (source,) = [row for row in tables["ingest-sources"] if row["source"] == "raw"]
    assert source == {"source": "raw", "inputs": 8, "captures": 8, **ingested["counts"]}
    (rejection,) = tables["ingest-rejections"]
    assert rejection == {
        "input": "empty.html",
        "url": "",
        "stage": "find",
        "kind": "empty_input",
        "message": "empty.html: is empty",
        "what to do": "get it again",
    }
    (cut,) = [rows for key, rows in tables.items() if key.startswith("ingest-cut-raw-")]
    for stage, characters in ingested["cut"].items():
        assert sum(row["characters"] for row in cut if row["stage"] == stage) == characters
    assert {row["site"] for row in tables["ingest-chrome"]} == {"defense.gov", "tides.example"}
    links = [one["description"] for one in place.find("artifacts") if one["key"] == "release-manifest"]
    assert links == [(place.folder / "clean" / "releases" / "000001.json").as_uri()]


@pytest.mark.slow
def test_a_changed_document_is_shown_before_and_after(place: Place, ingested: dict[str, Any]) -> None:
    page = place.folder / "raw" / "changing.txt"
    for words in ("stands at four metres", "has fallen to one metre"):
        page.write_text(f"The water {words} this morning, the harbour office says.\n")
        assert place.cli("ingest", "--clean", "changing", "--workers", "0").returncode == 0
    page.unlink()
    summaries = [one["data"] for one in place.find("artifacts") if one["key"] == "ingest-summary"]
    (shown,) = [text for text in summaries if "The documents that changed most, of 1" in text]
    assert "    -The water stands at four metres this morning" in shown
    assert "    +The water has fallen to one metre this morning" in shown


@pytest.mark.slow
def test_an_alarm_tells_somebody(place: Place) -> None:
    with listening() as (url, told):
        environment = place.environment | {
            "PREFECT_API_URL": place.api,
            "PREFECT_API_AUTH_STRING": place.password,
        }
        said = (ROOT / "docs" / "deploy.md").read_text()
        code = (
            said.partition("```python\n")[2]
            .partition("```")[0]
            .replace("https://hooks.example.org/cleancopy", url)
        )
        options = {"cwd": place.folder, "env": environment, "capture_output": True, "text": True, "check": True}
        block = subprocess.run([sys.executable, "-c", code], **options).stdout.split()[-1]
        automation = (ROOT / "docs" / "automation.yaml").read_text().replace("BLOCK", block)
        (place.folder / "automation.yaml").write_text(automation)
        loading = ["prefect", "automation", "create", "--from-file", "automation.yaml"]
        subprocess.run([sys.executable, "-m", *loading], **options)
        assert place.cli("ingest", "--clean", "alarmed", "--workers", "0").returncode == 0
        place.until(lambda: told, 120)
    assert told[0]["subject"] == "cleancopy: raw"
    assert told[0]["body"].startswith("raw: 1 of 8 captures were rejected (12.5%: 1 empty_input); ")


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a webhook on this machine, and what it is told."""
    told: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def test_what_the_store_refuses_is_one_line_and_a_failed_run(place: Place) -> None:
    done = place.cli("ingest", "--clean", "raw/clean")
    assert done.returncode == 1
    assert "lies inside raw" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.runs("Failed")


def test_the_form_describes_every_parameter(place: Place) -> None:
    deployments = {one["name"]: one for one in place.find("deployments")}
    assert set(deployments) == {"raw", "examples", "reclean", "export", "maintain"}
    for deployment in deployments.values():
        (form,) = deployment["parameter_openapi_schema"]["definitions"].values()
        assert all(one.get("description") for one in form["properties"].values())
        assert "dry_run" in form["properties"]
        assert deployment["parameters"]["parameters"]["clean"] == str(place.folder / "clean")
    form = deployments["raw"]["parameter_openapi_schema"]["definitions"]["IngestParameters"]
    assert form["properties"]["workers"]["maximum"] == 256


def test_a_parameter_that_a_flow_does_not_take_is_one_line() -> None:
    from cleancopy_flows.export import run

    with pytest.raises(PolicyError, match=r"^format: Input should be 'jsonl', .* correct it$"):
        run(format="docx", to="out")


# ---- the server


def test_the_server_asks_for_a_password_that_only_its_user_can_read(place: Place) -> None:
    secret = place.folder / "prefect" / "cleancopy-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    databases = list(secret.parent.glob("prefect.db*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in databases} == {0o600}
    assert len(place.password) > 24
    for headers in ({}, {"Authorization": "Basic " + base64.b64encode(b"cleancopy:wrong").decode()}):
        answer = httpx.post(f"{place.api}/flow_runs/filter", json={}, headers=headers, timeout=30)
        assert answer.status_code == 401


def test_up_says_when_each_source_is_due(place: Place) -> None:
    assert "  examples: runs when asked" in place.said()


def test_pages_of_other_origins_stay_out(place: Place) -> None:
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{place.api}/flow_runs/filter", headers=asked, timeout=30)
    assert answer.headers.get("access-control-allow-origin") not in ("*", asked["Origin"])
    asked["Origin"] = f"http://localhost:{place.port}"  # the same page, where it was opened by this name
    answer = httpx.options(f"{place.api}/flow_runs/filter", headers=asked, timeout=30)
    assert answer.headers["access-control-allow-origin"] == asked["Origin"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "arguments", "said"),
    [
        ({"PREFECT_API_AUTH_STRING": "cleancopy:wrong"}, ["ingest"], "refuses the password"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, ["ingest"], "no server answers there"),
        ({}, ["up", "--port", "{port}"], "runs already"),
        ({"PREFECT_HOME": "other"}, ["up", "--port", "{port}"], "cannot listen on port"),
        ({"PREFECT_HOME": "other"}, ["up", "--sources", "bad.toml"], "its minute is '61'"),
        ({"PREFECT_HOME": "other"}, ["schedule", "list"], "no server runs"),
        ({}, ["schedule", "pause", "nothing"], "knows no such source"),
        ({}, ["ingest", "--source", "nothing"], "no source 'nothing'"),
        ({}, ["schedule", "add", "examples", "--cron", "61 * * * *"], "its minute is '61'"),
        ({}, ["schedule", "add", "examples", "--interval", "60", "--timezone", "Mars/Base"], "time zone"),
    ],
)
def test_wrong_settings_are_one_line(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: list[str],
    said: str,
) -> None:
    given = (
        place.environment | {"PREFECT_API_URL": place.api} if "AUTH" in str(environment) else place.environment
    )
    command = [sys.executable, "-m", "cleancopy", *(a.format(port=place.port) for a in arguments)]
    done = subprocess.run(
        command,
        cwd=place.folder,
        env=given | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# ---- schedules


@pytest.mark.slow
def test_a_schedule_is_added_listed_paused_and_resumed(place: Place, ingested: dict[str, Any]) -> None:
    assert (
        place.cli("schedule", "add", "examples", "--cron", "0 6 * * *", "--timezone", "Europe/Paris").returncode
        == 0
    )
    place.until(lambda: "read again" in place.said())

    def listed() -> dict[str, Any]:
        (one,) = json.loads(place.cli("schedule", "list", "--json").stdout)
        return dict(one)

    one = place.until(lambda: (found := listed())["next"] and found)
    assert one["schedule"] == "cron 0 6 * * *, timezone Europe/Paris"
    assert " 06:00:00 CE" in one["next"][0]
    assert place.cli("schedule", "pause", "examples").returncode == 0
    assert listed()["state"] == "paused"
    assert place.cli("schedule", "resume", "examples").returncode == 0
    assert listed()["state"] == "active"


def test_a_second_run_of_a_source_is_skipped_and_says_so(place: Place, ingested: dict[str, Any]) -> None:
    work = work_folder(place.folder / "clean", "examples")
    work.mkdir(parents=True, exist_ok=True)
    with locked(work):
        assert place.cli("schedule", "run", "examples").returncode == 0
        (run,) = place.until(lambda: place.runs("Skipped"), 90)
    assert "another run of this source is under way" in run["state"]["message"]
    assert {"source:examples", "kind:files"} <= set(run["tags"])
    assert run["name"].startswith("examples 2")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["reclean", "export", "maintain"])
def test_the_other_flows_run_from_their_forms(place: Place, ingested: dict[str, Any], kind: str) -> None:
    (form,) = [one for one in place.find("deployments") if one["name"] == kind]
    user, _, word = place.password.partition(":")
    asked = f"{place.api}/deployments/{form['id']}/create_flow_run"
    identity = httpx.post(asked, json={}, auth=(user, word), timeout=30).json()["id"]
    (run,) = place.until(lambda: [one for one in place.runs("Completed") if one["id"] == identity], 150)
    assert run["name"].startswith("export parquet 2" if kind == "export" else f"{kind} 2")
    assert f"kind:{kind}" in run["tags"]
    of_run = {"flow_run_id": {"any_": [identity]}}
    place.until(lambda: [e for e in place.find("logs", logs=of_run) if e["message"].startswith(f"{kind}: ")])
    if kind == "export":
        assert list((place.folder / "export").rglob("*.parquet"))


# ---- kills


@pytest.mark.slow
def test_a_run_of_the_command_line_ends_when_the_ui_cancels_it(place: Place, ingested: dict[str, Any]) -> None:
    (place.folder / "raw" / "cancelled.txt").write_text("A page whose ingest is cancelled, and then is not.\n")
    user, _, word = place.password.partition(":")
    with locked(place.folder / "clean"):  # so that the run waits
        process = place.start("ingest")
        (run,) = place.until(lambda: place.runs("Running"))
        asked = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        address = f"{place.api}/flow_runs/{run['id']}/set_state"
        httpx.post(address, json=asked, auth=(user, word), timeout=30).raise_for_status()
        place.until(lambda: [one for one in place.runs("Cancelled") if one["id"] == run["id"]], 60)
        assert process.wait(30) != 0
    done = place.cli("ingest", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["counts"]["new"] == 1


@pytest.mark.slow
def test_a_killed_run_is_crashed_soon_and_the_next_goes_on(place: Place, ingested: dict[str, Any]) -> None:
    (place.folder / "raw" / "late.txt").write_text(
        "A page of text that came late.\n\nIt has two paragraphs of text.\n"
    )
    with locked(place.folder / "clean"):  # so that the run waits before it publishes
        before = len(place.runs("Running"))
        process = place.start("ingest", "--workers", "0")
        place.until(lambda: len(place.runs("Running")) > before)
        process.kill()
        process.wait()
        place.until(lambda: place.runs("Crashed"), 120)
    (run,) = place.runs("Crashed")
    assert "nothing is lost" in run["state"]["message"]
    done = place.cli("ingest", "--json", "--workers", "0")
    assert json.loads(done.stdout.splitlines()[-1])["counts"]["new"] == 1


@pytest.mark.slow
def test_a_killed_server_comes_back(place: Place, ingested: dict[str, Any]) -> None:
    (server,) = [one for one in children(place.keeper) if b"cleancopy_flows.serving" in command(one)]
    os.kill(server, signal.SIGKILL)
    place.until(lambda: "starting it again" in place.said(), 60)
    place.until(lambda: httpx_answers(place.api), 120)
    assert place.cli("ingest", "--workers", "0").returncode == 0


@pytest.mark.slow
def test_after_downtime_a_source_runs_once(place: Place, ingested: dict[str, Any]) -> None:
    assert place.keeper is not None
    assert place.cli("schedule", "add", "examples", "--interval", "4", "--jitter", "0.2").returncode == 0

    def due() -> list[Run]:
        runs = place.runs("Late", "Pending", "Running", "Completed")
        return [run for run in runs if run["auto_scheduled"] and "source:examples" in run["tags"]]

    place.until(lambda: len(due()) > 2)
    for process in (place.keeper.pid, *children(place.keeper)):  # the server, and runs under way
        os.kill(process, signal.SIGKILL)
    place.keeper.wait()
    time.sleep(12)
    sources = place.folder / "sources.toml"
    sources.write_text(sources.read_text().replace("interval = 4.0\njitter = 0.2", 'cron = "0 6 1 1 *"'))
    (place.folder / "up.log").unlink()
    began = datetime.now(UTC).isoformat()
    place.up()
    (run,) = place.until(lambda: [r for r in place.find("flow_runs") if "catch-up" in r["tags"]])
    # One that the server planned by the schedule of before may have been faster: then that did the work.
    done = place.until(lambda: [r for r in place.runs("Completed", "Skipped") if r["id"] == run["id"]])
    assert done[0]["name"].startswith("examples 2")
    place.until(lambda: any(r["start_time"] > began for r in place.runs("Completed") if r["start_time"]))
    assert not place.runs("Late")
    assert place.said().count("was due while nothing ran") == 1


@pytest.mark.slow
def test_the_server_of_a_killed_keeper_is_ended_and_a_source_that_went_has_no_schedule(place: Place) -> None:
    assert place.keeper is not None
    (server,) = [one for one in children(place.keeper) if b"cleancopy_flows.serving" in command(one)]
    place.keeper.kill()
    place.keeper.wait()
    sources = place.folder / "sources.toml"
    kept = sources.read_text()
    sources.write_text(kept.replace('name = "examples"', 'name = "other"'))
    (place.folder / "up.log").unlink()
    place.up()
    assert "whose cleancopy up was killed" in place.said()
    assert "examples: is no source any more" in place.said()
    assert not Path(f"/proc/{server}").exists()
    schedules = {
        one["name"]: len(one["schedules"])
        for one in place.find("deployments")
        if "source:clean" not in one["tags"]
    }
    assert schedules == {"raw": 0, "examples": 0, "other": 1}
    sources.write_text(kept)


@pytest.mark.slow
def test_down_stops_all_of_it(place: Place) -> None:
    assert place.keeper is not None
    server = children(place.keeper)
    done = place.cli("down")
    assert (done.returncode, "stopped" in done.stdout) == (0, True)
    assert place.keeper.wait(30) == 0
    assert not [one for one in server if Path(f"/proc/{one}").exists()]
    assert "nothing runs" in place.cli("down").stdout


def children(process: subprocess.Popen[bytes] | None) -> list[int]:
    """The ids of the processes that a process has started."""
    assert process is not None
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process.pid:
            found.append(int(entry.name))
    return found


def command(process: int) -> bytes:
    """The command line of a process."""
    return Path(f"/proc/{process}/cmdline").read_bytes()


def httpx_answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=2).status_code in (200, 401)
    except httpx.HTTPError:
        return False
