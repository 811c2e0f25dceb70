"""Kills, full disks, clocks and rivals: what was acknowledged stays, and the next run mends the rest.

A short run of ``benchmarks/faults.py``, which does the same for longer (``--kills 500``).
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from cleancopy.errors import StoreError
from cleancopy.store import compaction, lease, paths, releases, tables, vacuum, verify
from conftest import ROOT
from test_store import page, publish, texts

#: Kills of each kind of process.
KILLS = 3


@pytest.fixture(scope="module")
def faults() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return import_module("benchmarks.faults")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def processes(faults: Any) -> ForkServerContext:
    context: ForkServerContext = faults.processes()
    return context


@pytest.mark.parametrize(
    "work",
    ["commit", "ingest", *(pytest.param(name, marks=pytest.mark.slow) for name in ("maintain", "export"))],
)
def test_kill_9_loses_nothing_and_the_next_run_mends_itself(
    tmp_path: Path, faults: Any, processes: ForkServerContext, work: str
) -> None:
    tally = faults.campaign(tmp_path, work, KILLS, random.Random(work), processes)
    assert tally.kills == KILLS
    assert tally.sound(), tally


@pytest.fixture
def server(faults: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An object store on this machine; what ``faults`` sets for it is as it was when the test ends."""
    for name in ("LEASE", "BEAT"):
        monkeypatch.setattr(lease, name, getattr(lease, name))
    with import_module("benchmarks.object_server").serving() as served:
        for name in (*served.environment, "CLEANCOPY_WORK"):
            monkeypatch.setenv(name, "")
        yield served


@pytest.mark.slow
@pytest.mark.parametrize("work", ["commit", "ingest"])
def test_kill_9_loses_nothing_in_an_object_store(
    tmp_path: Path, faults: Any, processes: ForkServerContext, server: Any, work: str
) -> None:
    faults.place_remotely(tmp_path, server)
    tally = faults.campaign(tmp_path, work, KILLS, random.Random(work), processes)
    assert tally.kills == KILLS
    assert tally.sound(), tally


@pytest.mark.slow
@pytest.mark.parametrize("lock", [True, False], ids=["with the lease", "without it"])
def test_four_writers_in_an_object_store_store_each_batch_once(
    tmp_path: Path, faults: Any, processes: ForkServerContext, server: Any, lock: bool
) -> None:
    faults.place_remotely(tmp_path, server)
    tally = faults.race(tmp_path, 4, 5, lock, processes)
    assert tally.acknowledged == 5 * faults.BATCH
    assert tally.sound(), tally


@pytest.mark.parametrize("lock", [True, False], ids=["with the lock", "where locks do not hold"])
def test_four_writers_of_the_same_batches_store_each_once(
    tmp_path: Path, faults: Any, processes: ForkServerContext, lock: bool
) -> None:
    tally = faults.race(tmp_path, 4, 5, lock, processes)
    assert tally.acknowledged == 5 * faults.BATCH
    assert tally.sound(), tally


def test_the_count_of_kills_would_show_what_is_lost_half_or_doubled(tmp_path: Path, faults: Any) -> None:
    publish(tmp_path / "clean", page("file:one/0.txt"), page("file:two/0.txt"), page("file:two/1.txt"))
    (tmp_path / "acknowledged").write_text("one\nthree\n")
    tally = faults.Tally()
    faults.look(tmp_path, tally)
    assert (tally.lost, tally.half_visible, tally.doubled) == (2 + 3, 2, 0)
    assert not tally.sound()


# ---- the disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of five small releases."""
    for number in range(5):
        publish(
            tmp_path / "clean", page("same", f"text {number}"), page(f"page {number}", os.urandom(9_000).hex())
        )
    return tmp_path / "clean"


def in_a_process(root: Path, before: str, work: str) -> str:
    """What a process prints that does some work after ``before``; a StoreError is told, all else fails."""
    script = f"""
        import os, resource
        from pathlib import Path
        from cleancopy.errors import StoreError
        from cleancopy.document import Capture
        from cleancopy.store import archive, releases, tables, vacuum, verify
        root = Path({str(root)!r})
        known = tables.latest(root).to_pylist()
        {before}
        try:
            {work}
        except StoreError as error:
            print("StoreError", error)
        assert tables.latest(root).to_pylist() == known
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


MAINTAIN = "vacuum.maintaining(root).__enter__()"
FULL = f"resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))"


def test_a_full_disk_stops_a_compaction_and_nothing_is_lost(root: Path) -> None:
    known = texts(root)
    said = in_a_process(root, FULL, MAINTAIN)
    assert said.startswith("StoreError")
    assert "run again" in said
    assert texts(root) == known
    assert not list(root.glob("tables/*/compacted-*")), "half a file was left"
    with vacuum.maintaining(root) as done:
        assert done.into == 2
    assert texts(root) == known
    assert list(verify.verify(root)) == []


def test_a_full_disk_stops_the_archive_and_nothing_is_lost(root: Path) -> None:
    work = """
            with archive.Archive(root, "000006-0000") as raw:
                raw.append(Capture(os.urandom(50_000), "a"))
    """.strip()
    said = in_a_process(root, FULL, work)
    assert said.startswith("StoreError")
    assert "run again" in said
    assert list(verify.verify(root)) == []


def test_a_store_that_may_only_be_read_can_be_verified_and_not_maintained(root: Path) -> None:
    for folder in [*root.parents[:-1], root, *(path for path in root.rglob("*") if path.is_dir())]:
        with suppress(PermissionError):
            folder.chmod(0o555 if folder.is_relative_to(root) else 0o755)
    os.chmod(root / paths.LOCK, 0o444)
    as_nobody = "os.geteuid() or os.setuid(65534)"
    said = in_a_process(root, as_nobody, MAINTAIN)
    assert said.startswith("StoreError")
    assert "writable" in said
    assert in_a_process(root, as_nobody, "print(list(verify.verify(root)))") == "[]\n"


def _unlink(pattern: str) -> Callable[[Path], None]:
    return lambda root: sorted(root.glob(pattern))[0].unlink()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated data file": lambda root: os.truncate(sorted(root.glob("tables/documents/*.parquet"))[0], 500),
    "deleted log entry": _unlink("tables/documents/_delta_log/*3.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_run_goes_on_over_damage_or_makes_it_worse(root: Path, tmp_path: Path, damage: str) -> None:
    whole = shutil.copytree(root, tmp_path / "backup")
    DAMAGE[damage](root)
    before = sorted(path for path in root.rglob("*") if path.is_file())
    for run in (lambda: publish(root, page("new")), lambda: vacuum.maintaining(root).__enter__()):
        with pytest.raises(StoreError, match=r"restore|backup"):
            run()
    assert sorted(path for path in root.rglob("*") if path.is_file()) == before
    assert list(verify.verify(root))
    # What the messages say mends it.
    shutil.rmtree(root / "tables")
    shutil.copytree(whole / "tables", root / "tables")
    assert list(verify.verify(root)) == []
    publish(root, page("new"))
    assert "new" in texts(root)


def test_a_clock_that_goes_backwards_changes_no_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_now", lambda: "1999-12-31T23:59:59Z")
    monkeypatch.setattr(tables.time, "time", lambda: 946_684_799.0)
    manifest = publish(root, page("same", "text of a wrong clock"))
    assert (manifest.release, manifest.time[:4]) == (6, "1999")
    assert texts(root)["same"] == "text of a wrong clock"
    assert texts(root, as_of=5)["same"] == "text 4"
    with vacuum.maintaining(root) as done:
        assert done.removed == ()
        assert done.into == 2
    monkeypatch.undo()
    assert texts(root)["same"] == "text of a wrong clock"
    with vacuum.maintaining(root) as done:
        assert done.removed == ()
    assert [record.release for record in compaction.records(root)] == [6, 6]
    assert list(verify.verify(root)) == []
