"""The same pages read on two Dask workers and by two local processes: one result, and what Dask costs.

    python benchmarks/dask_scale.py [--every 1] [--rounds 2] [--workers 2]

All pages of WCXB go through the flow, once with ``engine = "local"`` and once with ``engine = "dask"`` on a
cluster of this machine that the flow starts and ends, in turn, in every round; the server is one that runs
before. The content roots must be identical. The start of the workers is measured by the same two ingests of
tiny pages in as many shards, and taken off. What counts is the CPU time of all processes but the server's.
Writes ``benchmarks/results/dask.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline import RESULTS, WCXB, own_command, prepare, spent, write_pages

from cleancopy.ingest.discover import SHARD_BYTES, SHARD_INPUTS

#: How much more CPU than local workers the Dask ones may take, beyond their start.
MUST = 1.10
ENGINES = ("local", "dask")


@contextmanager
def server(home: Path) -> Iterator[tuple[dict[str, str], int]]:
    """The environment of a machine on which ``cleancopy up`` runs, and the process that this is."""
    port = 4000 + os.getpid() % 20_000
    environment = {"PREFECT_HOME": str(home / "prefect"), "DO_NOT_TRACK": "1"}
    said = home / "up.log"
    command = [sys.executable, "-m", "cleancopy", "up", "--port", str(port)]
    said.unlink(missing_ok=True)
    with said.open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=os.environ | environment, stdout=log, stderr=log)
    try:
        while "The UI is at" not in said.read_text(encoding="utf-8"):
            if process.poll() is not None:
                sys.exit(f"cleancopy up ended:\n{said.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.5)
        yield environment, process.pid
    finally:
        process.terminate()
        process.wait(120)


def shards_of(pages: Path) -> int:
    """In how many shards an ingest reads a folder of pages."""
    shards = count = size = 0
    for path in sorted(pages.rglob("*.html")):
        count, size = count + 1, size + path.stat().st_size
        if count == SHARD_INPUTS or size >= SHARD_BYTES:
            shards, count, size = shards + 1, 0, 0
    return shards + bool(count)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of each engine on each corpus in each round, and the content roots."""
    costs: dict[str, dict[str, list[float]]] = {}
    roots: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for engine in ENGINES:
            (home / f"{engine}.toml").write_text(f'engine = "{engine}"\n', encoding="utf-8")
        pages, _, names = prepare(options.every, home / "wcxb")
        shards = shards_of(pages)
        tiny = write_pages(home / "tiny", SHARD_INPUTS * (shards - 1) + 1)
        with server(home) as (environment, _):
            for number in range(options.rounds):
                for name, raw in (("tiny", tiny), ("wcxb", pages)):
                    for engine in ENGINES:
                        clean = home / f"{name}-{engine}-{number}"
                        policy = ["--policy", str(home / f"{engine}.toml")]
                        cost = spent(own_command(raw, clean, options.workers, *policy), home, **environment)
                        costs.setdefault(name, {}).setdefault(engine, []).append(round(cost["cpu"], 2))
                        roots.setdefault(name, set()).add(_root(clean))
                        print(f"round {number + 1}: {name}: {engine}: {cost['cpu']:.1f} CPU-s", flush=True)
    return {"pages": len(names), "shards": shards, "CPU-s": costs, "content roots": sorted(roots["wcxb"])}


def _root(clean: Path) -> str:
    from cleancopy.store import releases

    manifest = releases.current(clean)
    return manifest.content_root if manifest else ""


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """The figures with what they say: the start of the workers, and the ratio beyond it."""
    mean = {name: {engine: fmean(each[engine]) for engine in ENGINES} for name, each in found["CPU-s"].items()}
    start = mean["tiny"]["dask"] - mean["tiny"]["local"]
    ratio = (mean["wcxb"]["dask"] - start) / mean["wcxb"]["local"]
    return found | {"start of the workers, CPU-s": start, "ratio beyond the start": ratio}


def markdown(found: dict[str, Any], workers: int) -> str:
    """The figures for people."""
    lines = [
        f"# {found['pages']:,} pages in {found['shards']} shards on {workers} Dask workers and local processes",
        "",
        "| | local, CPU-s of each round | Dask, CPU-s of each round |",
        "|---|---|---|",
    ]
    for name, each in found["CPU-s"].items():
        lines.append(f"| {name} | {each['local']} | {each['dask']} |")
    same = "identical" if len(found["content roots"]) == 1 else "NOT identical"
    lines += [
        "",
        f"Start of the workers: {found['start of the workers, CPU-s']:.1f} CPU-s. Beyond it Dask takes "
        f"{found['ratio beyond the start']:.3f} times the CPU (at most {MUST:.2f}). Content roots: {same} "
        f"({', '.join(root[:16] for root in found['content roots'])}).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="every so-manieth page of WCXB; 1 takes all")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if not WCXB.is_dir():
        sys.exit(f"{WCXB}: the corpora are not there; this benchmark needs their pages")
    found = judged(measured(options))
    print(text := markdown(found, options.workers))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dask.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "dask.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
