"""Ingests that no Prefect server watches: they begin at once, are noted, and enter the history later."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cleancopy_flows
import pytest
from cleancopy_flows import noted, page, server, start
from cleancopy_flows.page import Shown, with_change
from cleancopy_flows.parameters import IngestParameters
from cleancopy_flows.process import this_process
from typer.testing import CliRunner

from cleancopy.cli import app
from cleancopy.errors import Busy, CleancopyError
from cleancopy.store.paths import locked, work_folder
from conftest import EXAMPLES
from test_flows import Place


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Prefect home of the test's own, no server in sight, and a folder with the examples."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ingest(raw: Path, **given: Any) -> dict[str, Any]:
    parameters = IngestParameters(raw=str(raw), clean="clean", workers=0, **given)
    return noted.ingest(parameters, lambda step, done, of: None)


def only_note() -> noted.Note:
    (path,) = noted.notes()
    return noted.read_note(path)


def test_a_note_keeps_steps_with_times_lines_and_artifacts() -> None:
    summary = ingest(EXAMPLES)
    note = only_note()
    assert note.state == "COMPLETED"
    assert note.name.startswith("raw 2")
    assert note.tags == ["source:raw", "kind:files"]
    assert note.parameters["parameters"]["workers"] == 0
    names = ["discover", "read shard 0", "learn", "clean shard 0", "reclean", "publish"]
    assert [task.name for task in note.tasks] == names
    times = [time for task in note.tasks for time in (task.began, task.ended)]
    assert times == sorted(times, key=str)
    assert str(note.ended) >= str(times[-1])
    assert any(line.startswith("raw: shard 0: read: 7 read") for _, _, line, _ in note.logs)
    shown = {one.key: one for one, _ in note.artifacts}
    assert shown["ingest-summary"].description.startswith("7 captures: 6 new")
    assert json.loads(shown["ingest-sources"].data) == [
        {"source": "raw", "inputs": 7, "captures": 7, **summary["counts"]}
    ]


def test_the_folder_of_the_notes_is_for_its_user_only() -> None:
    ingest(EXAMPLES)
    assert noted.folder().stat().st_mode & 0o077 == 0


def test_a_refused_run_is_noted_with_its_reason() -> None:
    with pytest.raises(CleancopyError, match="lies inside"):
        ingest(Path())
    note = only_note()
    assert note.state == "FAILED"
    assert "lies inside" in str(note.message)


def test_a_run_that_finds_its_source_busy_is_noted_as_skipped() -> None:
    work = work_folder(Path("clean"), "raw")
    work.mkdir(parents=True)
    with locked(work), pytest.raises(Busy):
        ingest(EXAMPLES)
    note = only_note()
    assert (note.state, note.state_name) == ("COMPLETED", "Skipped")


def test_a_killed_run_is_crashed_and_one_under_way_waits() -> None:
    ingest(EXAMPLES)
    note = only_note()
    under_way = replace(note, id="b", ended=None, state="RUNNING", process=this_process())
    killed = replace(under_way, id="c", process=this_process() | {"cleancopy.began": 1})
    for one in (under_way, killed):
        (noted.folder() / f"{one.id}.json").write_text(json.dumps(asdict(one)))
    waiting = {one.id: one for _, one in noted.waiting()}
    assert set(waiting) == {note.id, "c"}
    assert waiting["c"].state == "CRASHED"
    assert waiting["c"].ended == note.tasks[-1].ended


def test_a_file_that_is_no_note_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    ingest(EXAMPLES)
    (noted.folder() / "0.json").write_text("{}")
    assert len(list(noted.waiting())) == 1
    assert "is no note" in capsys.readouterr().err
    assert len(noted.notes()) == 1


def test_a_home_that_cannot_be_written_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    monkeypatch.setenv("PREFECT_HOME", "file/prefect")
    assert ingest(EXAMPLES)["release"] == 1
    assert capsys.readouterr().err.count("will not be in Prefect's history") == 1


def test_old_notes_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, "KEPT", 2)
    for _ in range(3):
        ingest(EXAMPLES)
    assert len(noted.notes()) == 2


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prefect.toml", ""),
        (".env", "PREFECT_API_URL=http://127.0.0.1:4200/api\n"),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:4200/api"\n'),
        (
            "prefect/profiles.toml",
            'active = "here"\n[profiles.here]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n',
        ),
    ],
)
def test_settings_that_say_something_of_prefect_leave_the_run_to_it(file: str, text: str) -> None:
    assert not start.prefect_is_set_up()
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(text)
    assert start.prefect_is_set_up()


def test_a_table_of_cuts_says_how_each_share_has_changed() -> None:
    before = json.dumps([{"site": "a.example", "stage": "chrome", "characters": 10, "share": "10.0 %"}])
    rows = [
        {"site": "a.example", "stage": stage, "characters": 9, "share": "12.5 %"}
        for stage in ("chrome", "content")
    ]
    shown = with_change(Shown("ingest-cut-a", "table", json.dumps(rows), ""), before)
    assert [row["since the last run"] for row in json.loads(shown.data)] == ["+2.5 points", ""]


# ---- the history


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two ingests and a killed one without a server, then ``cleancopy up``."""
    one = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(EXAMPLES, one.folder / "raw" / "examples")
    for _ in range(2):
        done = one.cli("ingest", "--workers", "0")
        assert done.returncode == 0, done.stderr
        assert "Prefect's history has this run from the next `cleancopy up` on" in done.stderr
    first = min((one.folder / "prefect" / "cleancopy-runs").glob("*.json"))
    killed = json.loads(first.read_text()) | {"id": "0" * 31 + "1", "ended": None, "process": this_process()}
    killed["process"]["cleancopy.began"] = 1
    first.with_name("killed.json").write_text(json.dumps(killed))
    one.up()
    try:
        yield one
    finally:
        assert one.keeper is not None
        one.keeper.terminate()
        one.keeper.wait(60)


@pytest.mark.slow
def test_up_brings_earlier_runs_into_the_history_at_their_own_time(place: Place) -> None:
    runs = sorted(place.runs("Completed"), key=lambda run: str(run["start_time"]))
    assert len(runs) == 2
    first, second = runs
    assert first["end_time"] < second["start_time"]
    assert first["start_time"][:16].replace("T", " ") == first["name"].removeprefix("raw ")[:16]
    assert {"source:raw", "kind:files"} <= set(first["tags"])
    tasks = place.find("task_runs", flow_runs={"id": {"any_": [first["id"]]}})
    names = {"discover", "read shard 0", "learn", "clean shard 0", "reclean", "publish"}
    assert {task["name"] for task in tasks} == names
    assert all(first["start_time"] <= task["start_time"] <= first["end_time"] for task in tasks)
    lines = place.find("logs", logs={"flow_run_id": {"any_": [first["id"]]}})
    assert any(line["message"].startswith("raw: shard 0: read: 7 read") for line in lines)
    artifacts = place.find("artifacts", artifacts={"flow_run_id": {"any_": [first["id"]]}})
    shown = {one["key"]: one["description"] for one in artifacts}
    assert shown["ingest-summary"].startswith("7 captures: 6 new, 0 unchanged, 1 duplicate, 0 rejected")
    assert not list((place.folder / "prefect" / "cleancopy-runs").glob("*.json"))


@pytest.mark.slow
def test_a_killed_run_stands_in_the_history_as_crashed(place: Place) -> None:
    (run,) = place.runs("Crashed")
    assert "nothing is lost" in run["state"]["message"]


# ---- what a run's page shows of pages, and of runs that nobody watched


def test_text_of_pages_is_no_markdown_in_a_table_and_needs_no_backslash_in_a_heading() -> None:
    hostile = "a page ![x](http://127.0.0.1:9/beacon.png)"
    for text in (hostile, "<img src=http://127.0.0.1:9/b>", "https://example.org/a_b-c", "see www.example.org"):
        (shown,) = page.of_plain_runs([{"source": text, "captures": 3}])
        assert json.loads(shown.data) == [{"source": f"`{text}`", "captures": 3}]
    for text in ("raw/examples/harbour.html", "no_content", "+0.3 points", "98.0 %", "it is empty: look at it"):
        (shown,) = page.of_plain_runs([{"source": text}])
        assert json.loads(shown.data) == [{"source": text}]
    assert page.code("a`b``c") == "```a`b``c```"
    assert page.code("`a\n\nb`") == "`` `a b` ``"


def test_a_plain_run_is_listed_with_its_own_time_by_the_next_run(tmp_path: Path) -> None:
    arguments = [
        "ingest",
        str(EXAMPLES),
        "--clean",
        "clean",
        "--raw",
        str(EXAMPLES),
        "--workers",
        "0",
        "--plain",
    ]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (line,) = (tmp_path / "clean" / "plain-runs.jsonl").read_text().splitlines()
    ingest(EXAMPLES)
    shown = {one.key: one for one, _ in only_note().artifacts}
    (row,) = json.loads(shown["ingest-plain-runs"].data)
    assert row == json.loads(line)
    assert (row["source"], row["captures"], row["ended as"], row["release"]) == ("raw", 7, "completed", 1)
    assert row["began"] <= row["ended"] <= str(only_note().began)
    assert not (tmp_path / "clean" / "plain-runs.jsonl").exists(), "it is shown once"


# ---- who is given the password


def test_only_a_server_that_up_noted_is_adopted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        address = server.Address(port=stranger.server_port)
        monkeypatch.setattr(server, "Address", lambda: address)
        assert server.adopted() is None, "nothing was noted"
        cleancopy_flows._prepare()
        parent = os.getppid()
        noted_address = replace(
            address, keeper=parent, began=server.began(parent) or 0, server=1, server_began=-1
        )
        server.private_home()
        (home / "prefect" / "cleancopy-server.json").write_text(json.dumps(asdict(noted_address)))
        monkeypatch.setattr(server, "Address", type(noted_address))
        assert server.running() is not None
        assert server.adopted() is None, "its server died, another answers in its place"
        stranger.shutdown()
    assert asked == []
    assert "PREFECT_API_URL" not in os.environ


def test_a_login_works_once_and_the_home_is_for_its_user_only(home: Path) -> None:
    (home / "prefect").mkdir(mode=0o755)
    (home / "prefect" / "prefect.db").touch(0o644)
    server.secret()
    assert stat.S_IMODE((home / "prefect").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "prefect" / "prefect.db").stat().st_mode) == 0o600
    token = server.new_login()
    assert token not in server.login_file().read_text()
    assert stat.S_IMODE(server.login_file().stat().st_mode) == 0o600
    assert not server.use_login("another")
    assert server.use_login(token)
    assert not server.use_login(token)
