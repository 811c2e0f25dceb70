"""The pictures in the README, from a real run: ``python docs/screenshots.py``; needs chromium and playwright.

Ingests ``raw/examples`` twice, with a page changed in between, on a server of its own in a temporary folder,
and takes pictures of the run's page, its artifacts, a summary, and the form that starts a run.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "raw" / "examples"
CLI = [sys.executable, "-m", "cleancopy"]
SOURCES = """
[[source]]
name = "examples"
kind = "files"
paths = ["raw/examples"]
cron = "0 6 * * *"
timezone = "Europe/Berlin"
"""
#: Width and height of the pictures.
SIZE = {"width": 1400, "height": 900}


@contextmanager
def up(home: Path) -> Iterator[tuple[str, str]]:
    """The address and password of a server in a folder with the examples and two runs."""
    shutil.copytree(EXAMPLES, home / "raw" / "examples")
    (home / "raw" / "examples" / "empty.html").touch()
    (home / "sources.toml").write_text(SOURCES, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(home / "prefect")
    options = {"cwd": home, "env": environment}
    said = home / "up.log"
    with said.open("wb") as log:
        keeper = subprocess.Popen([*CLI, "up", "--port", str(port)], stdout=log, stderr=log, **options)
    try:
        while "The UI is at" not in said.read_text(encoding="utf-8"):
            if keeper.poll() is not None:
                sys.exit(said.read_text(encoding="utf-8"))
            time.sleep(0.3)
        subprocess.run([*CLI, "ingest", "--source", "examples"], check=True, **options)
        page = home / "raw" / "examples" / "tides.example" / "springtide.html"
        page.write_bytes(page.read_bytes().replace(b"Neumond", b"Schwarzmond"))
        subprocess.run([*CLI, "ingest", "--source", "examples"], check=True, **options)
        yield f"http://127.0.0.1:{port}", (home / "prefect" / "cleancopy-secret").read_text().strip()
    finally:
        keeper.terminate()
        keeper.wait(60)


def asked(address: str, password: str, kind: str) -> list[dict[str, object]]:
    """What the server's API has of a kind, the newest first where it has times."""
    user, _, word = password.partition(":")
    answer = httpx.post(f"{address}/api/{kind}/filter", json={}, auth=(user, word), timeout=60)
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()
    return sorted(found, key=lambda one: str(one["created"]), reverse=True)


def take(page: Page, address: str, password: str) -> None:
    """Take the pictures."""
    page.goto(address)
    page.locator("input").first.fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard**")
    run = next(one for one in asked(address, password, "flow_runs") if one["state_name"] == "Completed")
    page.goto(f"{address}/v2/runs/flow-run/{run['id']}")
    page.get_by_text("examples: shard 0: read").first.wait_for()
    page.locator("canvas").first.wait_for()
    save(page, "run")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("captures:").first.wait_for()
    save(page, "artifacts")
    summary = next(one for one in asked(address, password, "artifacts") if one["key"] == "ingest-summary")
    page.goto(f"{address}/v2/artifacts/artifact/{summary['id']}")
    page.get_by_text("The documents that changed most").first.wait_for()
    save(page, "summary")
    deployment = next(one for one in asked(address, password, "deployments") if one["name"] == "examples")
    page.goto(f"{address}/v2/deployments/deployment/{deployment['id']}/run")
    page.get_by_text("Processes that read pages").first.wait_for()
    save(page, "form")


def save(page: Page, name: str) -> None:
    """A picture of what the browser shows, once it has stopped moving."""
    page.wait_for_timeout(8_000)
    page.screenshot(path=DOCS / f"screenshot-{name}.png")
    print(DOCS / f"screenshot-{name}.png")


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        up(Path(folder)) as (address, password),
        sync_playwright() as play,
    ):
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport=SIZE)
        page.set_default_timeout(120_000)
        take(page, address, password)
        opened.close()


if __name__ == "__main__":
    main()
