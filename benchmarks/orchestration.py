"""What Prefect adds to an ingest of many small real pages, and what an ingest costs that finds nothing new.

    python benchmarks/orchestration.py [--documents 20000] [--rounds 1] [--workers 2] [--own-python PATH]

The pages are HTML, each with some paragraphs of pages of WCXB in the frame (menu, teasers, footer) of one of 40
sites; all differ. In turn, in every round: ``ingest --plain``; the same through the flow, on a server that
``cleancopy up`` keeps; ``ingest --plain`` again, which finds nothing new; and reading and hashing the files
alone. What counts is CPU time: of the command with all its processes, and of the server and its keeper besides.
``--own-python``: see ``pipeline.py``.
Writes ``benchmarks/results/orchestration.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from dask_scale import server
from pipeline import RESULTS, WCXB, own_command, spent
from pipeline_spent import processes

SITES = 40
#: Words of a page's own text.
WORDS = 250
#: Prefect's share of the CPU, and the CPU seconds of an ingest that finds nothing beyond reading and hashing.
SHARE, NOTHING = 0.05, 3.0
HASHING = """
import hashlib, sys
from pathlib import Path
for path in sorted(Path(sys.argv[1]).rglob("*.html")):
    hashlib.sha256(path.read_bytes()).hexdigest()
"""


def paragraphs() -> list[str]:
    """The paragraphs of the pages of WCXB, each once."""
    found: dict[str, None] = {}
    for path in sorted((WCXB / "ground-truth").glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))["ground_truth"].get("main_content") or ""
        found |= dict.fromkeys(line.strip() for line in said.splitlines() if len(line.split()) >= 8)
    return list(found)


def write_pages(raw: Path, count: int) -> Path:
    """Pages of real paragraphs, in an order by chance, in the frames of as many sites as ``SITES``."""
    chance = random.Random(0)
    known = paragraphs()
    frames = [_frame(chance.sample(known, 12)) for _ in range(SITES)]
    for number in range(count):
        folder = raw / f"site{number % SITES}.example"
        folder.mkdir(parents=True, exist_ok=True)
        own: list[str] = []
        while sum(len(one.split()) for one in own) < WORDS:
            own.append(" ".join(chance.choice(known).split()[:80]))
        before, after = frames[number % SITES]
        title = " ".join(own[0].split()[:8])
        body = "".join(f"<p>{escape(one)}</p>\n" for one in own)
        head = f"<!doctype html><html><head><title>{escape(title)}</title></head><body>"
        page = f"{head}{before}<main><h1>{escape(title)}</h1>\n{body}</main>{after}</body></html>"
        (folder / f"page{number}.html").write_text(page, encoding="utf-8")
    return raw


def _frame(said: list[str]) -> tuple[str, str]:
    """What a site puts around each page: a menu before it, teasers and a footer after it."""
    names = [escape(" ".join(one.split()[:3])) for one in said]
    links = "".join(f"<li><a href='/{at}'>{name}</a></li>" for at, name in enumerate(names))
    teasers = "".join(f"<p>{escape(' '.join(one.split()[:20]))}</p>" for one in said[:4])
    footer = f"<footer><p>{escape(said[5])}</p></footer>"
    return f"<nav><ul>{links}</ul></nav>", f"<aside>{teasers}</aside>{footer}"


def spent_by(keeper: int) -> float:
    """CPU seconds that a process and all that it has started have used so far."""
    found = 0.0
    parents, times = processes()
    for process, own in times.items():
        above = process
        while above and above != keeper:
            above = parents.get(above, 0)
        found += own if above == keeper else 0.0
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of each way in each round."""
    costs: dict[str, list[float]] = {"plain": [], "flow": [], "server": [], "nothing new": [], "hashing": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        raw = write_pages(home / "raw", options.documents)
        for number in range(options.rounds):
            own = {"python": options.own_python}
            plain = own_command(raw, home / f"plain-{number}", options.workers, "--plain", **own)
            flow = own_command(raw, home / f"flow-{number}", options.workers, **own)
            costs["plain"].append(spent(plain, home)["cpu"])
            with server(home) as (environment, keeper):
                before = spent_by(keeper)
                costs["flow"].append(spent(flow, home, **environment)["cpu"])
                costs["server"].append(spent_by(keeper) - before)
            costs["nothing new"].append(spent(plain, home)["cpu"])
            costs["hashing"].append(spent([sys.executable, "-c", HASHING, str(raw)], home)["cpu"])
            print({name: round(each[-1], 2) for name, each in costs.items()}, flush=True)
    return {
        "documents": options.documents,
        "rounds": options.rounds,
        "CPU-s": costs,
        "load": os.getloadavg()[0],
    }


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """The figures with what they say."""
    mean = {name: fmean(each) for name, each in found["CPU-s"].items()}
    whole = mean["flow"] + mean["server"]
    return found | {
        "share with the server": 1 - mean["plain"] / whole,
        "share without the server": 1 - mean["plain"] / mean["flow"],
        "nothing new beyond reading and hashing, CPU-s": mean["nothing new"] - mean["hashing"],
    }


def markdown(found: dict[str, Any]) -> str:
    """The figures for people."""
    mean = {name: fmean(each) for name, each in found["CPU-s"].items()}
    new = found["nothing new beyond reading and hashing, CPU-s"]
    return f"""# {found["documents"]:,} small HTML pages, with Prefect and without

| | CPU-s | goal |
|---|---:|---|
| `--plain` | {mean["plain"]:.1f} | |
| through the flow | {mean["flow"]:.1f} | |
| the server and its keeper meanwhile | {mean["server"]:.1f} | |
| Prefect's share, server included | {found["share with the server"]:.1%} | at most {SHARE:.0%} |
| Prefect's share, without the server | {found["share without the server"]:.1%} | |
| nothing new, `--plain` | {mean["nothing new"]:.1f} | |
| of it beyond reading and hashing ({mean["hashing"]:.1f}) | {new:.1f} | at most {NOTHING:.0f} |

{found["rounds"]} round(s); load {found["load"]:.1f} on {os.cpu_count()} cores.
"""


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--own-python", default=sys.executable, help="an interpreter that has cleancopy")
    options = parser.parse_args()
    if not WCXB.is_dir():
        sys.exit(f"{WCXB}: the corpora are not there; this benchmark needs their texts")
    found = judged(measured(options))
    print(text := markdown(found))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orchestration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "orchestration.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
