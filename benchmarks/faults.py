"""What kill -9 and many writers cost: nothing, or this says what.

    python benchmarks/faults.py [--kills 500] [--remote-kills 60] [--seed 1] [--writers 4] [--batches 100]

Four processes do what users do, each in a store of its own, until they are killed at a random moment of their
first or second round: ``commit`` (archive writing and releases), ``ingest`` (the whole pipeline), ``maintain``
(releases, compaction, checkpoint, removal of old files, the clock set on by 30 days), ``export`` (a compressed
file and a Parquet folder). A batch is acknowledged once the call that stored it has returned. Right after each
kill, before anything is mended, a reader looks: every acknowledged batch must be there, each batch whole or not
at all, each document once. Then the next process runs on what is there. In the end a maintenance must leave a
store in which ``verify`` finds no fault.

The first three are also killed with their store in an object store (moto's S3 server on this machine), where a
lease of 1.5 seconds stands for the one of 30, so that the next process need not wait that long.

Then several writers store the same batches at once, with the lock and, as on a file system where locks do not
hold, without it; and so in an object store, with the lease and without it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.object_server import Server

    from cleancopy.store.paths import StorePath

RESULTS = Path(__file__).parent / "results"
BATCH = 3
DAYS = 30 * 86_400
#: Seconds that a round is taken to last until one was seen.
ROUND = 0.5


@dataclass(slots=True)
class Tally:
    """What was done and what went wrong; all but ``kills`` and ``acknowledged`` must be 0."""

    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    half_visible: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.half_visible or self.doubled or self.faults)


# ---- where the stores are


def place_remotely(home: Path, server: Server) -> None:
    """Let the store of a home be in an object store."""
    home.mkdir(parents=True, exist_ok=True)
    said = {"root": f"{server.bucket}/{secrets.token_hex(4)}", "environment": server.environment}
    (home / "remote.json").write_text(json.dumps(said))


def root_of(home: Path) -> StorePath:
    """The store of a home: its folder ``clean``, or the object store that was named."""
    from cleancopy.store import lease, paths

    if not (home / "remote.json").exists():
        return home / "clean"
    said = json.loads((home / "remote.json").read_text())
    os.environ.update(said["environment"], CLEANCOPY_WORK=str(home / "work"))
    lease.LEASE, lease.BEAT = 1.5, 0.3
    return paths.store_path(said["root"])


# ---- what the processes do; each runs until it is killed


def _acknowledge(home: Path, batch: str) -> None:
    with open(home / "acknowledged", "a") as file:
        file.write(f"{batch}\n")


def _end_round(home: Path) -> None:
    (home / "round").touch()


def _batch() -> dict[str, str]:
    """Documents by key, with words that no other document has."""
    name = secrets.token_hex(6)
    return {f"{name}/{n}.txt": " ".join(secrets.token_hex(4) for _ in range(40)) + "\n" for n in range(BATCH)}


def _store(root: StorePath, texts: dict[str, str], release: int) -> None:
    """Archive and commit a batch as a release."""
    from cleancopy.document import Block, Capture, Document
    from cleancopy.store import archive, releases, rows

    versions, entries = [], []
    # Where the lock is a lease, a writer that is taken for dead must not write the file of another.
    name = "0000" if isinstance(root, Path) else secrets.token_hex(6)
    with archive.Archive(root, f"{release:06d}-{name}") as raw:
        for key, text in texts.items():
            capture = Capture(text.encode(), f"file:{key}")
            ref = raw.append(capture)
            document = Document(
                capture.key, text, (Block(0, len(text)),), site="example.org", payload_sha256=capture.sha256
            )
            versions.append(rows.Version(document, 1, release, archive=ref))
            entries.append(
                rows.LedgerEntry(
                    key, "new", release, "run", capture.key, payload_sha256=capture.sha256, archive=ref
                )
            )
    releases.commit(
        root,
        release,
        rows.document_batches(versions),
        rows.capture_batches(entries),
        run="run",
        fingerprint="f",
        parts={},
    )


def commit(home: Path) -> None:
    """Archive and commit one batch after the other."""
    from cleancopy.store import releases

    root = root_of(home)
    while True:
        texts = _batch()
        with releases.writing(root, wait=30) as release:
            _store(root, texts, release)
        _acknowledge(home, next(iter(texts)).partition("/")[0])
        _end_round(home)


def ingest(home: Path) -> None:
    """Drop batches into raw/ and run the pipeline on them."""
    from cleancopy.ingest.pipeline import begin
    from cleancopy.ingest.pipeline import ingest as run_ingest

    root = root_of(home)
    while True:
        texts = _batch()
        name = next(iter(texts)).partition("/")[0]
        aside = home / "aside" / name
        aside.mkdir(parents=True)
        for key, text in texts.items():
            (home / "aside" / key).write_text(text)
        (home / "raw").mkdir(exist_ok=True)
        aside.rename(home / "raw" / name)
        with begin(raw=home / "raw", root=root, workers=0) as run:
            run_ingest(run)
        _acknowledge(home, name)
        _end_round(home)


def maintain(home: Path) -> None:
    """Commit some batches, then compact, checkpoint and remove what is old, under a clock set on by 30 days."""
    from cleancopy.corpus import views
    from cleancopy.store import releases, vacuum

    vacuum.time = SimpleNamespace(time=lambda: time.time() + DAYS)  # type: ignore[attr-defined]
    vacuum.LOG_ENTRIES = 4
    root = root_of(home)
    while True:
        for _ in range(4):
            texts = _batch()
            with releases.writing(root, wait=30) as release:
                _store(root, texts, release)
            _acknowledge(home, next(iter(texts)).partition("/")[0])
        with vacuum.maintaining(root):
            views.repair_tree(root, release)
        _end_round(home)


def export(home: Path) -> None:
    """Export a store as a compressed file and as a Parquet folder."""
    from cleancopy.cli import app

    while True:
        for name, kind in (("lines.jsonl.gz", "jsonl"), ("table", "parquet")):
            out = home / "out" / name
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                app(
                    ["export", "--clean", str(home / "clean"), "--format", kind, "--out", str(out)],
                    standalone_mode=False,
                )
        _end_round(home)
        aside = (home / "out").rename(home / f"out-{secrets.token_hex(4)}")
        shutil.rmtree(aside)


WORK: dict[str, Callable[[Path], None]] = {
    "commit": commit,
    "ingest": ingest,
    "maintain": maintain,
    "export": export,
}


# ---- killing and looking


def processes() -> ForkServerContext:
    """Processes that start in milliseconds, with all that they need imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([
        "cleancopy.ingest.pipeline", "cleancopy.corpus.views", "cleancopy.store.vacuum", "cleancopy.cli",
        "cleancopy.export.export", "lightgbm", "pyarrow.dataset",
    ])  # fmt: skip
    return context


def _work(name: str, home: Path) -> None:
    (home / "begun").touch()
    WORK[name](home)


def campaign(home: Path, name: str, kills: int, chance: random.Random, context: ForkServerContext) -> Tally:
    """Kill a process of a kind again and again, look after each kill, mend and verify in the end."""
    home.mkdir(parents=True, exist_ok=True)
    if name == "export":
        for release in range(1, 4):
            _store(home / "clean", _batch(), release)
    tally, lasts = Tally(), ROUND
    for _ in range(kills):
        for mark in ("begun", "round"):
            (home / mark).unlink(missing_ok=True)
        process = context.Process(target=_work, args=(name, home), daemon=True)
        process.start()
        _await(home / "begun", process)
        # One in three dies in its first round, in which it also mends what the one before left.
        if chance.random() > 1 / 3:
            lasts = _await(home / "round", process)
        time.sleep(chance.uniform(0, lasts))
        if not process.is_alive():
            tally.faults.append(f"{name}: the process ended by itself, with {process.exitcode}")
            break
        process.kill()
        process.join()
        tally.kills += 1
        look(home, tally)
    _mend(home, name, tally)
    return tally


def _await(mark: Path, process: Any) -> float:
    """Wait for a process to make a file, or to end; the seconds that it took."""
    begin = time.monotonic()
    while not mark.exists() and process.is_alive():
        time.sleep(0.002)
    return time.monotonic() - begin


def _acknowledged(home: Path) -> list[str]:
    path = home / "acknowledged"
    return path.read_text().split() if path.exists() else []


def look(home: Path, tally: Tally) -> None:
    """Count what a reader would miss, see half or see twice, as the store stands."""
    from cleancopy.store import tables

    root = root_of(home)
    keys = tables.latest(root, ["key"]).column("key").to_pylist()
    # Under another pipeline, as when the code is edited meanwhile, a capture is noted again.
    columns = ["key", "payload_sha256", "fingerprint"]
    ledger = list(map(tuple, map(dict.values, tables.captures(root, columns).to_pylist())))
    batches = Counter(key.removeprefix("file:").partition("/")[0] for key in set(keys))
    acknowledged = _acknowledged(home)
    tally.acknowledged = len(acknowledged) * BATCH
    tally.lost += sum(BATCH - batches[batch] for batch in acknowledged)
    tally.half_visible += sum(count != BATCH for count in batches.values())
    tally.doubled += len(keys) - len(set(keys)) + len(ledger) - len(set(ledger))
    tally.faults += _half_exports(home, len(keys))


def _half_exports(home: Path, documents: int) -> list[str]:
    """The exports that are there and not whole."""
    import gzip

    import pyarrow.parquet as pq

    lines, table = home / "out" / "lines.jsonl.gz", home / "out" / "table"
    faults = []
    if lines.exists():
        with gzip.open(lines, "rt") as file:
            found = len([json.loads(line) for line in file])
        if found != documents:
            faults.append(f"{lines.name} has {found} of {documents} documents")
    parts = sorted(table.rglob("*.parquet")) if (table / "export.json").exists() else []
    if parts and (found := sum(pq.read_metadata(part).num_rows for part in parts)) != documents:
        faults.append(f"{table.name} has {found} of {documents} documents")
    return faults


def _mend(home: Path, name: str, tally: Tally) -> None:
    """Run what a user would run next; what is wrong after that counts as a fault."""
    from cleancopy.corpus import views
    from cleancopy.store import releases, vacuum, verify

    root = root_of(home)
    if name == "ingest":
        _ingest_all(home)
    real = vacuum.time
    vacuum.time = SimpleNamespace(time=lambda: time.time() + DAYS)  # type: ignore[attr-defined]
    try:
        with vacuum.maintaining(root, wait=30):
            last = releases.current(root)
            views.repair_tree(root, last.release if last else 0)
    finally:
        vacuum.time = real  # type: ignore[attr-defined]
    look(home, tally)
    tally.faults += [str(fault) for fault in verify.verify(root)]
    tally.faults += [f"{path.name}: {why}" for path, why, _ in views.check_tree(root)]


def _ingest_all(home: Path) -> None:
    from cleancopy.ingest.pipeline import begin
    from cleancopy.ingest.pipeline import ingest as run_ingest

    with begin(raw=home / "raw", root=root_of(home), workers=0) as run:
        run_ingest(run)


# ---- several writers


def _write_all(home: Path, batches: int, lock: bool) -> None:
    """Store every batch that is not there yet, as long as it takes; with the lock, compact now and then."""
    from cleancopy.document import doc_id
    from cleancopy.errors import Busy, StoreError
    from cleancopy.store import paths, releases, tables, vacuum

    root = root_of(home)
    for number in range(batches):
        texts = {f"{number:04d}/{n}.txt": f"text {n} of {number}\n" for n in range(BATCH)}
        wanted = {doc_id(f"file:{key}") for key in texts}
        while True:
            with contextlib.suppress(StoreError):
                if not lock:
                    release = len(paths.published_releases(root)) + 1
                    if wanted <= tables.heads(root).keys():
                        break
                    _store_as(root, texts, release)
                    continue
                with releases.writing(root, wait=60) as release:
                    if not wanted <= tables.heads(root).keys():
                        _store(root, texts, release)
                break
        with contextlib.suppress(Busy):
            if lock and number % 20 == 19:
                with vacuum.maintaining(root):
                    pass


def _store_as(root: StorePath, texts: dict[str, str], release: int) -> None:
    """Commit a batch under an archive name that no other writer has."""
    from cleancopy.document import Block, Document
    from cleancopy.store import releases, rows

    versions = [
        rows.Version(Document(f"file:{key}", text, (Block(0, len(text)),)), 1, release)
        for key, text in texts.items()
    ]
    entries = [rows.LedgerEntry(key, "new", release, "run", f"file:{key}") for key in texts]
    releases.commit(
        root,
        release,
        rows.document_batches(versions),
        rows.capture_batches(entries),
        run="run",
        fingerprint="f",
        parts={},
    )


def race(home: Path, writers: int, batches: int, lock: bool, context: ForkServerContext) -> Tally:
    """Several processes that store the same batches at once; what is lost or doubled in the end."""
    from cleancopy.store import releases, verify

    home.mkdir(parents=True, exist_ok=True)
    runs = [context.Process(target=_write_all, args=(home, batches, lock), daemon=True) for _ in range(writers)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for number in range(batches):
        _acknowledge(home, f"{number:04d}")
    releases.recover(root_of(home), wait=10)
    tally = Tally()
    look(home, tally)
    tally.faults += [f"a writer ended with {run.exitcode}" for run in runs if run.exitcode]
    tally.faults += [str(fault) for fault in verify.verify(root_of(home))]
    return tally


# ---- the report


def main() -> None:
    """Print and write the figures."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.object_server import serving

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=500)
    options.add_argument("--remote-kills", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--writers", type=int, default=4)
    options.add_argument("--batches", type=int, default=100)
    chosen = options.parse_args()
    chance, context = random.Random(chosen.seed), processes()
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        for number, name in enumerate(WORK):
            kills = chosen.kills // len(WORK) + (number < chosen.kills % len(WORK))
            tallies[f"kill -9 of {name}"] = campaign(Path(folder) / name, name, kills, chance, context)
            _print(tallies)
            _write(tallies)
        for name in ("commit", "ingest", "maintain"):
            home = Path(folder) / f"remote-{name}"
            place_remotely(home, server)
            what = f"kill -9 of {name}, in an object store"
            tallies[what] = campaign(home, name, chosen.remote_kills // 3, chance, context)
            _print(tallies)
            _write(tallies)
        for remote, lock in product((False, True), (True, False)):
            what = f"{chosen.writers} writers x {chosen.batches} batches, {'with' if lock else 'without'} the "
            what += "lease, in an object store" if remote else "lock"
            home = Path(folder) / f"writers-{remote}-{lock}"
            if remote:
                place_remotely(home, server)
            tallies[what] = race(home, chosen.writers, chosen.batches, lock, context)
            _print(tallies)
            _write(tallies)
    raise SystemExit(0 if all(tally.sound() for tally in tallies.values()) else 1)


COLUMNS = ("kills", "acknowledged", "lost", "half_visible", "doubled")


def _print(tallies: dict[str, Tally]) -> None:
    what, tally = list(tallies.items())[-1]
    figures = ", ".join(f"{name.replace('_', ' ')} {getattr(tally, name)}" for name in COLUMNS)
    print(f"{what}: {figures}, faults {len(tally.faults)}", flush=True)
    for fault in tally.faults[:5]:
        print(f"  {fault}", flush=True)


def _write(tallies: dict[str, Tally]) -> None:
    rows = [
        (what, *(getattr(tally, name) for name in COLUMNS), len(tally.faults))
        for what, tally in tallies.items()
    ]
    head = ("", *(name.replace("_", " ") for name in COLUMNS), "faults after mending")
    lines = [head, ("---",) * len(head), *rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "faults.md").write_text(f"# Kills and writers\n\n{text}\n")
    content = {
        what: {name: getattr(tally, name) for name in (*COLUMNS, "faults")} for what, tally in tallies.items()
    }
    (RESULTS / "faults.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
