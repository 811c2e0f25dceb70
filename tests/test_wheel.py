"""The built wheel in an empty environment, away from the checkout: what somebody has who installs cleancopy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import EXAMPLES, ROOT
from test_flows import Place

pytestmark = pytest.mark.slow
#: What the wheel is built from.
PROJECT = ("pyproject.toml", "README.md", "LICENSE", "src", "flows")
#: The exact versions, as pip takes them beside a file: it has no hash of the wheel that is built here.
PINS = [
    line.removesuffix(" \\") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
]
#: A small package that every installation needs.
PROBE = next(line for line in PINS if line.startswith("coolname"))


def pip(python: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and what it needs, and nothing else."""
    home = tmp_path_factory.mktemp("wheel")
    probe = pip(sys.executable, "download", "--no-deps", "--retries", "0", "--dest", str(home / "probe"), PROBE)
    if probe.returncode:
        pytest.skip("needs a package index to install from, and none answers")
    (home / "project").mkdir()
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for name in PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, home / "project" / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, home / "project")
    built = pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(home / "dist"), str(home / "project"))
    assert built.returncode == 0, built.stderr
    subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
    found = home / "env" / "bin" / "python"
    (wheel,) = (home / "dist").glob("*.whl")
    pins = home / "pins.txt"
    pins.write_text("\n".join(PINS))
    installed = pip(found, "install", "--no-compile", "--constraint", str(pins), str(wheel))
    assert installed.returncode == 0, installed.stderr
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Place]:
    """A folder with the examples, far from the checkout, in which the installed cleancopy works."""
    one = Place(tmp_path_factory.mktemp("place"), python=str(python))
    shutil.copytree(EXAMPLES, one.folder / "raw" / "examples")
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("PYTHONPATH", raising=False)
        yield one
    if one.keeper and one.keeper.poll() is None:
        one.keeper.terminate()
        one.keeper.wait(60)


def test_it_is_the_wheel_that_runs(place: Place) -> None:
    code = "import cleancopy, cleancopy_flows; print(cleancopy.__file__, cleancopy_flows.__file__)"
    said = subprocess.run(
        [place.python, "-c", code], cwd=place.folder, capture_output=True, text=True, check=True
    )
    assert said.stdout.count("site-packages") == 2


def test_ingest_makes_the_corpus_that_its_sources_make(place: Place) -> None:
    done = place.cli("ingest", "--json", "--workers", "2", seconds=600)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["counts"] == {"new": 6, "unchanged": 0, "duplicate": 1, "rejected": 0}
    command = [sys.executable, "-m", "cleancopy", "ingest", "--plain", "--json", "--clean", "own"]
    sources = place.environment | {"PYTHONPATH": str(Path(place.python).parents[2] / "project" / "src")}
    own = subprocess.run(
        [*command, "--workers", "0"], cwd=place.folder, env=sources, capture_output=True, text=True, check=True
    )
    assert summary["content_root"] == json.loads(own.stdout)["content_root"]


def test_export_writes_the_live_documents(place: Place) -> None:
    done = place.cli("export", "--format", "jsonl", "--out", "out.jsonl")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len((place.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 6


def test_up_serves_the_ui_with_the_run_of_before(place: Place) -> None:
    place.up()
    page = httpx.get(place.ui, follow_redirects=True, timeout=60)
    assert page.status_code == 200
    assert "<title>Prefect" in page.text
    assert [run["state_name"] for run in place.runs("Completed")] == ["Completed"]
    assert place.cli("down").returncode == 0
