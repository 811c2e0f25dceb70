"""The same HTML files through whole pipelines, in one run: cleancopy, datatrove and trafilatura's command line.

    python benchmarks/pipeline.py [--every 3] [--rounds 2] [--own-python PATH] [--peers-python PATH]

The pages of WCXB, every third by default, go through ``cleancopy ingest --plain`` (files to published release:
archive, reading, metadata, chrome, captions, duplicates, store, text tree), through datatrove
(``pipeline_datatrove.py``: reader, Trafilatura, FTFYFormatter, the four MinHash steps, writer) and through
``trafilatura --json --with-metadata``, in turn, in every round. What counts is the CPU time of all processes.
datatrove's pages are decoded and put into JSON lines before its time begins, and it gets one worker: its
workers' own start made two dearer by half.

``--own-python`` is the interpreter of an environment that has cleancopy as its users have it: where pandas is
installed, as it is for development, pyarrow and LightGBM load it (0.7 CPU seconds a run).
``--peers-python`` is the interpreter of an environment with datatrove, which asks for an older trafilatura than
cleancopy's: ``python -m venv peers; peers/bin/pip install "datatrove[io,processing]" spacy lxml_html_clean``.
Writes ``benchmarks/results/pipeline.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WCXB = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "wcxb"
OWN, TROVE, CLI = "cleancopy ingest --plain", "datatrove", "trafilatura --json --with-metadata"
#: How many times the pages a CPU-second of each peer cleancopy is to make: must, aim.
GOALS = {TROVE: (3.0, 5.0), CLI: (2.5, 4.0)}


@dataclass(frozen=True, slots=True)
class Way:
    """A pipeline: the command that takes the pages to ``out``, where it runs, the texts that it left there."""

    name: str
    command: Callable[[Path], list[str]]
    folder: Path
    texts: Callable[[Path], Iterable[tuple[str, str]]]


def spent(command: Sequence[str], folder: Path, **environment: str) -> dict[str, float]:
    """What a command costs, by ``pipeline_spent.py``; ends the benchmark where the command fails."""
    with tempfile.TemporaryDirectory() as home:
        report, log = Path(home, "report"), Path(home, "log")
        measuring = [sys.executable, str(HERE / "pipeline_spent.py"), str(report), *command]
        with log.open("wb") as said:
            done = subprocess.run(
                measuring, cwd=folder, env=os.environ | environment, stdout=said, stderr=said, check=False
            )
        if done.returncode:
            sys.exit(f"{' '.join(command)}: ended with {done.returncode}:\n{log.read_text()[-2000:]}")
        costs: dict[str, float] = json.loads(report.read_text(encoding="utf-8"))
    return costs


def own_command(raw: Path, clean: Path, workers: int, *more: str, python: str = sys.executable) -> list[str]:
    """The command of an ingest."""
    command = [python, "-m", "cleancopy", "ingest", "--json", "--raw", str(raw)]
    return [*command, "--clean", str(clean), "--workers", str(workers), *more]


# ---- the pipelines


def ways(raw: Path, lines: Path, workers: int, own: str, peers: str | None) -> list[Way]:
    """The pipelines that can run here."""
    cli = [str(Path(own).with_name("trafilatura")), "--input-dir", ".", "--json", "--with-metadata"]
    cli += ["--parallel", str(workers), "--keep-dirs", "--output-dir"]
    found = [
        Way(OWN, lambda out: own_command(raw, out, workers, "--plain", python=own), raw, own_texts),
        Way(CLI, lambda out: [*cli, str(out)], raw, cli_texts),
    ]
    if peers:
        trove = [peers, str(HERE / "pipeline_datatrove.py"), str(lines)]
        found.insert(1, Way(TROVE, lambda out: [*trove, str(out), "1"], raw, trove_texts))
    else:
        print("datatrove is left out: --peers-python names no interpreter of an environment that has it")
    return found


def own_texts(root: Path) -> Iterator[tuple[str, str]]:
    """The clean text of every document of the release, copies too."""
    from cleancopy.store import rows, tables

    for batch in tables.latest_batches(root):
        for one in rows.table_to_versions(batch):
            yield Path(one.document.key.removeprefix("file:")).stem, one.document.clean


def trove_texts(out: Path) -> Iterator[tuple[str, str]]:
    """The text of every page, before its duplicates are removed."""
    for path in sorted((out / "extracted").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                one = json.loads(line)
                yield one["id"], one["text"]


def cli_texts(out: Path) -> Iterator[tuple[str, str]]:
    """The text of every page; its comments, which lie apart, are left out."""
    for path in out.rglob("*.json"):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))["text"]


def prepare(every: int, home: Path) -> tuple[Path, Path, list[str]]:
    """The pages as files and as JSON lines, and their names."""
    from cleancopy.extract.encoding import decode

    raw, lines, names = home / "raw", home / "lines", []
    raw.mkdir(parents=True)
    lines.mkdir()
    with (lines / "pages.jsonl").open("w", encoding="utf-8") as file:
        for path in sorted((WCXB / "html").glob("*.gz"))[::every]:
            page = gzip.decompress(path.read_bytes())
            names.append(path.name.removesuffix(".html.gz"))
            (raw / f"{names[-1]}.html").write_bytes(page)
            file.write(json.dumps({"id": names[-1], "text": decode(page)[0]}) + "\n")
    return raw, lines, names


def f1(texts: Iterable[tuple[str, str]], names: Sequence[str]) -> tuple[float, int]:
    """The mean word F1 of the pages against their gold text, no text being 0, and how many have text."""
    from scores import word_score, words

    found = {name: text for name, text in texts if text}
    scores = []
    for name in names:
        said = json.loads((WCXB / "ground-truth" / f"{name}.json").read_text(encoding="utf-8"))
        gold = words(said["ground_truth"].get("main_content") or "")
        scores.append(word_score(found.get(name, ""), gold).f1)
    return fmean(scores), sum(name in found for name in names)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """The cost and quality of each pipeline, all in turn in every round."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        raw, lines, names = prepare(options.every, home)
        print(f"{len(names)} pages, {sum(p.stat().st_size for p in raw.iterdir()) / 1e6:.0f} MB of HTML")
        running = ways(raw, lines, options.workers, options.own_python, options.peers_python)
        costs: dict[str, list[dict[str, float]]] = {way.name: [] for way in running}
        quality: dict[str, tuple[float, int]] = {}
        for number in range(options.rounds):
            for way in running:
                out = home / f"{way.name.split()[0]}-{number}"
                costs[way.name].append(spent(way.command(out), way.folder))
                print(f"round {number + 1}: {way.name}: {costs[way.name][-1]}", flush=True)
                quality.setdefault(way.name, f1(way.texts(out), names))
    rows = [_row(name, len(names), each, quality[name]) for name, each in costs.items()]
    return {"pages": len(names), "rounds": options.rounds, "rows": rows, **_about(options)}


def _row(
    name: str, pages: int, costs: Sequence[dict[str, float]], quality: tuple[float, int]
) -> dict[str, Any]:
    return {
        "name": name,
        "pages a CPU-second": pages / fmean(one["cpu"] for one in costs),
        "CPU-s of each round": [round(one["cpu"], 1) for one in costs],
        "wall s": fmean(one["wall"] for one in costs),
        "peak MB, all processes": max(one["memory"] for one in costs),
        "peak MB, the largest": max(one["largest"] for one in costs),
        "F1": quality[0],
        "pages with text": quality[1],
    }


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """Of what and when the figures are."""
    versions = {name: version(name) for name in ("cleancopy", "trafilatura", "prefect")}
    if options.peers_python:
        command = [options.peers_python, str(HERE / "pipeline_datatrove.py"), "--versions"]
        said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        versions |= {name if name == TROVE else f"{name} beside datatrove": said[name] for name in said}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": versions,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def write_pages(raw: Path, count: int) -> Path:
    """Small pages of text, all different: 120 words in six paragraphs, of a vocabulary without meaning."""
    chance = random.Random(0)
    syllables = [consonant + vowel for consonant in "bdfklmnprst" for vowel in "aeiou"]
    vocabulary = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(20_000)]
    for number in range(count):
        folder = raw / f"site{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(chance.choices(vocabulary, k=20)).capitalize() + "." for _ in range(6)]
        (folder / f"page{number}.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return raw


# ---- the report


def markdown(race: dict[str, Any]) -> str:
    """The figures for people."""
    own = race["rows"][0]
    lines = [
        "# Whole pipelines",
        "",
        f"{race['pages']} pages of WCXB, means of {race['rounds']} round(s), one pipeline after the other.",
    ]
    lines += ["", "| | pages a CPU-s | cleancopy makes | must, aim | wall s | peak MB | F1 | pages with text |"]
    lines += ["|---|---:|---:|---|---:|---:|---:|---:|"]
    for row in race["rows"]:
        speed = row["pages a CPU-second"]
        times = "" if row is own else f"{own['pages a CPU-second'] / speed:.2f} times"
        must = "{}x, {}x".format(*GOALS[row["name"]]) if row["name"] in GOALS else ""
        lines.append(
            f"| {row['name']} | {speed:.2f} | {times} | {must} | {row['wall s']:.0f} "
            f"| {row['peak MB, all processes']:.0f} | {row['F1']:.3f} | {row['pages with text']} |"
        )
    lines += [
        "",
        "F1: words against the gold text; a page without text counts 0. cleancopy's model learned from WCXB,",
        f"which flatters it here; cross-validated by host it has {_cross_validated()} on all pages.",
        "datatrove's text is taken before its duplicates go. Peak: what all processes hold together.",
    ]
    versions = ", ".join(f"{name} {number}" for name, number in race["versions"].items())
    lines += ["", f"{race['date']}; {versions}; load {race['load']:.1f} on {race['cores']} cores."]
    return "\n".join(lines) + "\n"


def _cross_validated() -> str:
    path = RESULTS / "quality.json"
    if not path.is_file():
        return "an F1 that `make bench-quality` measures"
    tools = json.loads(path.read_text(encoding="utf-8"))["tools"]
    own, peer = (tools[name]["scores"]["wcxb"]["f1"] for name in ("cleancopy", "trafilatura"))
    return f"{own:.3f}, trafilatura {peer:.3f},"


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=3, help="every so-manieth page of WCXB; 1 takes all")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--own-python", default=sys.executable, help="the interpreter of an environment that has cleancopy"
    )
    parser.add_argument("--peers-python", help="the interpreter of an environment that has datatrove")
    options = parser.parse_args()
    if not WCXB.is_dir():
        sys.exit(f"{WCXB}: the corpora are not there; this benchmark needs their pages")
    measured = race(options)
    print(markdown(measured))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "pipeline.json"
    path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
