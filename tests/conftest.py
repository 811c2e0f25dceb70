"""Where the tests find real pages, and what they share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
#: Real pages with gold, beside the checkout; the product does not need them.
SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "raw" / "examples"
CASES = Path(__file__).parent / "cases"

#: Commands that tests start run without pandas, as they do for users; this process keeps it.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent / "without"), os.environ.get("PYTHONPATH")])
)

settings.register_profile(
    "suite", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("suite")


def corpus(name: str) -> Path:
    """A folder of the shared corpora; the test skips where it is missing."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real pages of {name}, which are not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _no_colour(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Terminal colours off, whatever the caller's terminal; no test looks into the caller's Prefect."""
    if "PREFECT_HOME" not in os.environ:
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path_factory.getbasetemp() / "prefect"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    os.environ.pop("FORCE_COLOR", None)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their length: a compressed one carries the clock, and each worker must find the same names."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) and not val.isascii() else None


#: Modules whose tests take longest, longest first: they begin first, so that none runs alone at the end.
LONGEST = (
    "test_flows",
    "test_pipeline",
    "test_store",
    "test_crawl_stopped",
    "test_decisions",
    "test_maintenance",
    "test_caption_clusters",
    "test_faults",
    "test_recipes",
    "test_exports",
    "test_crawl",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest modules first (with ``--no-loadscope-reorder``); the order within a module stays."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
