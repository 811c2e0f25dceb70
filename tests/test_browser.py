"""The UI in a real browser: a run's page, and a run that is started from the form."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from test_flows import Place

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """``cleancopy up`` beside a run that was made before, on Prefect's temporary server."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium), which is not on this machine")
    from conftest import EXAMPLES

    one = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(EXAMPLES, one.folder / "raw" / "examples")
    write_hostile_site(one.folder / "hostile")
    done = one.cli("ingest", "--workers", "0", seconds=240)
    assert done.returncode == 0, done.stderr[-3000:]
    one.up()
    try:
        yield one
    finally:
        assert one.keeper is not None
        one.keeper.terminate()
        one.keeper.wait(60)


BEACON = "http://127.0.0.1:9/beacon.png"


def write_hostile_site(folder: Path) -> None:
    """Pages whose navigation is Markdown and HTML that would ask for a picture."""
    folder.mkdir()
    for number, word in enumerate(("tides", "buoys", "charts", "pilots", "locks", "moles", "quays", "ropes")):
        text = f"The harbour office says of the {word} what it found in year {number}, at some length. " * 5
        menu = f"Menu ![x]({BEACON}) &lt;img src={BEACON}&gt; <b>the harbour</b> office"
        (folder / f"{number}.html").write_text(
            f"<html><body><nav><p>{menu}</p></nav><main><h1>On {word}</h1><p>{text}</p></main></body></html>"
        )


def login_address(place: Place) -> str:
    """The address that ``up`` printed last."""
    return re.findall(r"The UI is at (\S+)", place.said())[-1]


@pytest.fixture
def page(place: Place) -> Iterator[Page]:
    """A page of the UI, with its password given."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1500, "height": 1100})
        opened.set_default_timeout(120_000)
        opened.goto(place.ui)
        opened.locator("input").first.fill(place.password)
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/dashboard**")
        try:
            yield opened
        finally:
            browser.close()


def test_the_page_of_a_run_of_before_shows_its_numbers_tasks_and_logs(place: Place, page: Page) -> None:
    (run,) = [run for run in place.runs("Completed") if run["name"].startswith("raw 2")]
    page.goto(f"{place.ui}/v2/runs/flow-run/{run['id']}")
    page.get_by_text(run["name"]).first.wait_for()
    page.get_by_text("raw: shard 0: read: 7 read").first.wait_for()
    page.locator("canvas").first.wait_for()  # the timeline of the tasks
    page.get_by_role("tab", name="Task Runs").click()
    for name in ("read shard 0", "clean shard 0", "publish"):
        page.get_by_text(name, exact=True).first.wait_for()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("7 captures: 6 new, 0 unchanged, 1 duplicate, 0 rejected").first.wait_for()


def test_a_run_is_started_from_the_form_with_other_parameters(place: Place, page: Page) -> None:
    (deployment,) = [one for one in place.find("deployments") if one["name"] == "raw"]
    late = place.folder / "raw" / "late.txt"
    late.write_text("A page that came late.\n\nIt has two paragraphs of text.\n")
    page.goto(f"{place.ui}/v2/deployments/deployment/{deployment['id']}/run")
    page.get_by_text("Processes that read pages").first.wait_for()
    page.get_by_role("spinbutton").first.fill("1")
    page.get_by_role("switch").first.click()  # dry run
    page.get_by_role("button", name="Submit").click()

    def started() -> list[dict[str, object]]:
        return [run for run in place.runs("Completed") if run["deployment_id"] == deployment["id"]]

    (run,) = place.until(started, 120)
    assert re.fullmatch(r"raw \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run["name"])
    given = run["parameters"]["parameters"]
    assert (given["workers"], given["dry_run"]) == (1, True)
    artifacts = {one["key"]: one["description"] for one in place.find("artifacts")}
    assert artifacts["ingest-preview"] == "7 known, 1 new"
    mine = {"flow_run_id": {"any_": [run["id"]]}}
    place.until(lambda: any("dry run" in line["message"] for line in place.find("logs", logs=mine)))
    page.goto(f"{place.ui}/v2/runs/flow-run/{run['id']}")
    page.get_by_text("dry run: 7 known, 1 new").first.wait_for()


def test_the_address_that_up_prints_logs_one_browser_in_once(place: Place) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        opened.set_default_timeout(120_000)
        opened.goto(login_address(place))
        opened.wait_for_url("**/dashboard**")
        assert opened.evaluate("atob(localStorage.getItem('prefect-password'))") == place.password
        other = browser.new_context().new_page()
        other.goto(login_address(place))
        other.get_by_text("has logged in already").wait_for()
        assert other.evaluate("localStorage.getItem('prefect-password')") is None
        browser.close()
    log = place.folder / "prefect" / "cleancopy-server.log"
    assert login_address(place).partition("#")[2] not in log.read_text()


def test_text_of_a_page_shows_no_picture_and_leads_nowhere_in_both_uis(place: Place, page: Page) -> None:
    done = place.cli("ingest", "hostile", "--clean", "hostile-clean", "--workers", "0")
    assert done.returncode == 0, done.stderr[-2000:]
    artifacts = [one for one in place.find("artifacts") if BEACON in str(one["data"])]
    assert artifacts, "the chrome that was learned names it"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for base in ("", "/v2"):
        for artifact in artifacts:
            page.goto(f"{place.ui}{base}/artifacts/artifact/{artifact['id']}")
            page.locator("td").get_by_text("beacon.png").first.wait_for()
            assert page.locator('td img, td a[href*="127.0.0.1:9"]').count() == 0
    assert not [url for url in asked if ":9/" in url]
