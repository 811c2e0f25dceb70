"""What reading a page and keeping it cost in this tree, against another tree.

    python benchmarks/cost.py --against FOLDER/src [--pages 300] [--rounds 3] [--only time|size] [--json]

FOLDER is a checkout of the other tree (``git worktree add``). Both run on the same pages of WCXB, evenly
spread:

- time: two processes, one a tree, read the pages (text, blocks, scores, metadata) in small batches, turn by
  turn, there and back; of each batch the least CPU time of the rounds counts. *cut* is all stages after it.
- size: each tree takes the pages up into a store of its own; the files of the table of documents, of the
  captures and of the archive are summed.

A ratio above one says that this tree costs more.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WCXB = Path(__file__).parents[2] / "shared" / "corpora" / "wcxb"
THIS = Path(__file__).parents[1] / "src"
BATCH = 10
FOLDERS = ("tables/documents", "tables/captures", "archive")


# --- the process of a tree


def serve() -> None:
    """Read batches of paths from standard input; say the CPU time of reading and of cutting each."""
    import cleancopy
    from cleancopy import clean
    from cleancopy.document import Capture

    policy = cleancopy.Policy()
    stages = getattr(clean, "apply_stages", None) or clean.decide
    print(json.dumps(cleancopy.__file__), flush=True)
    for line in sys.stdin:
        captures = [
            Capture(gzip.decompress(Path(path).read_bytes()), key=path, media_type="text/html")
            for path in json.loads(line)
        ]
        spent = {"read": 0.0, "cut": 0.0}
        for capture in captures:
            started = time.process_time()
            try:
                document = clean.read(capture, policy)
                spent["read"] += time.process_time() - started
                started = time.process_time()
                stages(document, policy, None)
                spent["cut"] += time.process_time() - started
            except cleancopy.CleancopyError:
                continue
        print(json.dumps(spent), flush=True)


@contextmanager
def tree(source: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that imports a tree's package."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(source),
    )  # fmt: skip
    assert process.stdout is not None
    imported = json.loads(process.stdout.readline())
    if not Path(imported).resolve().is_relative_to(source.resolve()):
        raise SystemExit(f"{source}: the package was imported from {imported}")
    try:
        yield process
    finally:
        process.communicate()


def environment(source: Path) -> dict[str, str]:
    """The environment of a process that imports a tree's package."""
    return os.environ | {"PYTHONPATH": str(source.resolve())}


def ask(process: subprocess.Popen[str], batch: Sequence[str]) -> dict[str, float]:
    """The CPU time of a tree for a batch of pages."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(batch) + "\n")
    process.stdin.flush()
    spent: dict[str, float] = json.loads(process.stdout.readline())
    return spent


# --- time


def times(sources: Sequence[Path], paths: Sequence[Path], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a page of reading and cutting, this tree's and the other's, and the ratio."""
    batches = [[str(path) for path in paths[at : at + BATCH]] for at in range(0, len(paths), BATCH)]
    least: dict[tuple[int, int, str], float] = {}
    with tree(sources[0]) as this, tree(sources[1]) as other:
        for process in (this, other):
            ask(process, batches[0])  # loads what reading needs
        for turn in range(rounds):
            for number, batch in enumerate(batches):
                order = [(0, this), (1, other)]
                for who, process in order if (turn + number) % 2 == 0 else order[::-1]:
                    for what, seconds in ask(process, batch).items():
                        key = (who, number, what)
                        least[key] = min(seconds, least.get(key, seconds))
    table = {}
    for what in ("read", "cut"):
        own, rival = (
            1000 * sum(least[who, number, what] for number in range(len(batches))) / len(paths)
            for who in (0, 1)
        )
        table[f"{what}, ms a page"] = {
            "this": round(own, 3),
            "other": round(rival, 3),
            "ratio": round(own / rival, 4),
        }
    return table


# --- size


def sizes(sources: Sequence[Path], paths: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Bytes of the tables and the archive of each tree after it took up the pages, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name, "raw", "pages")
        raw.mkdir(parents=True)
        for path in paths:
            (raw / f"{path.name.partition('.')[0]}.html").write_bytes(gzip.decompress(path.read_bytes()))
        stores = [Path(name, who) for who in ("this", "other")]
        for source, store in zip(sources, stores, strict=True):
            ingest(source, raw.parent, store)
        bytes_of = [{folder: size(store / folder) for folder in FOLDERS} for store in stores]
    table = {}
    for label, folders in (
        *((folder, (folder,)) for folder in FOLDERS),
        ("documents and archive", (FOLDERS[0], FOLDERS[2])),
    ):
        own, rival = (sum(sized[folder] for folder in folders) for sized in bytes_of)
        table[f"{label}, bytes"] = {"this": own, "other": rival, "ratio": round(own / max(1, rival), 4)}
    return table


def ingest(source: Path, raw: Path, store: Path) -> None:
    """Take up a folder of pages with a tree's own command."""
    command = [sys.executable, "-m", "cleancopy", "ingest", "--plain", "--raw", str(raw), "--clean", str(store)]
    done = subprocess.run(
        command, env=environment(source), cwd=raw, capture_output=True, text=True, check=False
    )
    if not (store / "releases").is_dir():
        raise SystemExit(f"{source}: nothing was published:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def size(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="folder src of another tree")
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("time", "size"))
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    if not given.against or not (given.against / "cleancopy").is_dir():
        parser.error("--against names the folder src of another tree")
    everything = sorted((WCXB / "html").glob("*.html.gz"))
    if not everything:
        parser.error(f"{WCXB}: the corpora are not there; this benchmark needs their pages")
    paths = everything[:: max(1, len(everything) // given.pages)][: given.pages]
    table: dict[str, Any] = {}
    if given.only != "size":
        table |= times((THIS, given.against), paths, given.rounds)
    if given.only != "time":
        table |= sizes((THIS, given.against), paths)
    if given.json:
        print(json.dumps({"pages": len(paths)} | table, indent=1))
        return
    print(f"{f'{len(paths)} pages':32}{'this':>14}{'other':>14}{'ratio':>9}")
    for what, row in table.items():
        print(f"{what:32}{row['this']:14,}{row['other']:14,}{row['ratio']:9.3f}")


if __name__ == "__main__":
    main()
