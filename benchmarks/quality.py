"""How good the clean text is, against other extractors, and what it costs.

    python benchmarks/quality.py [folder of the corpora] [--cache folder]
    python benchmarks/quality.py --corpora wcxb articles --tools trafilatura justext --every 10

cleancopy is cross-validated: it runs as it ships, but each page is judged by trees and token odds that never
saw a page of its host, its portal or its site. The others run as they come (``peers.py``). A page that a tool
raises on, or refuses, counts as empty text. Scores are those of the corpora: bags of words for WCXB, portals
and sites, runs of four words for articles. A whole run writes to ``benchmarks/results``; a run over a
part of the pages or tools only prints, unless ``--out`` says where to write. ``--cache`` keeps what was made
of the pages for the next run; timings are taken again each time. ``--neutral-titles`` says WCXB's F1 also with
the words of the gold titles counted neither for nor against a text.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import train
from peers import TOOLS, Tool, installed, payload
from quality_report import (
    LANGUAGES,
    NO_HEADLINE,
    OWN,
    PAGE_TYPES,
    RIVAL,
    SCOPES,
    Cost,
    Report,
    figures,
    markdown,
    plot,
)
from scores import UNTITLED, Made, Row, interval, measure
from train import CORPORA, Source, read_corpora

import cleancopy
from cleancopy.clean import clean
from cleancopy.document import Capture
from cleancopy.errors import Rejection
from cleancopy.policy import ContentPolicy, Policy
from cleancopy.stages.content.scores import final_scores

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGE = Path(cleancopy.__file__).parent
#: So many pages a process makes before they are kept.
CHUNK = 200


# --- what cleancopy makes of the pages


#: The scores of a page's blocks; none for a page that no model learns from.
Scores = list[float] | None


def cross_validated(folder: Path, jobs: int) -> dict[str, Scores]:
    """For each page the scores of its blocks by a model that never saw its group.

    A score is moved as ``judge`` moves it, so that the page's threshold stands at 0.5. The models learn from
    the pages of all corpora, whichever of them are measured.
    """
    examples = train.read_examples(folder, jobs)
    judged = [each for each in examples if each.layout is not None]
    train.prepare(judged)
    train.cross_score(judged, "second")
    found: dict[str, Scores] = {name_of(each.source): None for each in examples}
    for each in judged:
        assert each.layout is not None
        scores = final_scores(each.odds["first"], each.odds["second"], each.layout.sizes)
        found[name_of(each.source)] = [round(score, 6) for score in scores.tolist()]
    return found


def name_of(source: Source) -> str:
    """The name of a page over all corpora."""
    return f"{source.corpus}/{source.name}"


def capture(source: Source) -> Capture:
    """The capture of a page, as a server sends it."""
    return Capture(payload(source.path), key=name_of(source), url=source.url or None, media_type="text/html")


def cleaned(source: Source, scores: Scores) -> tuple[Made, Made]:
    """What cleancopy makes of a page whose blocks score so: as it ships, and with ``content.headline`` off.

    A page without scores, from which no model learns, is judged by the model that ships.
    """

    def judged(page: Any, *_: object, **__: object) -> list[tuple[float, str]]:
        assert scores is not None
        if len(page.blocks) != len(scores):
            raise SystemExit(
                f"{name_of(source)}: {len(page.blocks)} blocks, {len(scores)} scores: clear --cache"
            )
        return [(score, "") for score in scores]

    seam = nullcontext() if scores is None else patch("cleancopy.stages.content.select.judge", judged)
    with seam:
        on = _made(source, Policy())
        off = _made(source, Policy(content=ContentPolicy(headline="model")))
    return on, off


def _made(source: Source, policy: Policy) -> Made:
    try:
        return Made(clean(capture(source), policy).clean)
    except Rejection as rejected:
        return Made("", str(rejected))


def own_rows(folder: Path, sources: Sequence[Source], jobs: int, cache: Path | None) -> list[Row]:
    """cleancopy's rows, headline on and off."""
    code = [HERE / "train.py", *code_of("extract", "stages/content")]
    key = digest(*(path.read_bytes() for path in code), *map(_stamp, read_corpora(folder)))
    found = cached(cache, f"scores-{key}", lambda: cross_validated(folder, jobs))
    with ProcessPoolExecutor(jobs) as pool:
        scores = [found[name_of(source)] for source in sources]
        made = list(pool.map(cleaned, sources, scores, chunksize=8))
    rows = [measure(OWN, sources, [on for on, _ in made])]
    rows.append(measure(NO_HEADLINE, sources, [off for _, off in made]))
    return rows


# --- what the others make of them


def run_tool(what: str, tool: Tool, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What a process of its own says of a tool on each page, and, where it is timed, of its memory last.

    Where the process dies on a page, that page has failed and another one goes on after it.
    """
    results: list[dict[str, Any]] = []
    while len(results) < len(paths):
        with tempfile.TemporaryDirectory() as home:
            out = Path(home, "results")
            done = subprocess.run(
                [sys.executable, str(HERE / "peers.py"), what, tool.name, str(out)],
                input="\n".join(str(path) for path in paths[len(results) :]),
                text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
            said = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if done.returncode and not said and not results:
            raise SystemExit(f"{tool.name} does not run:\n{done.stderr[-2000:]}")
        results += said
        if done.returncode:
            results.append({"text": "", "error": f"the process ended with {done.returncode}"})
    return results


def peer_row(tool: Tool, sources: Sequence[Source], cache: Path | None) -> Row:
    """The row of a tool that is no part of cleancopy; what it made is kept every so many pages."""
    code = (inspect.getsource(tool.extract), *(path.read_bytes() for path in code_of("extract/encoding")))
    key = digest(tool.name, tool.settings, version(tool.package), *code)
    path = cache / f"text-{tool.name.replace(', ', '-').replace(' ', '-')}-{key}.json" if cache else None
    made = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    pages = {_stamp(source): source.path for source in sources}
    missing = [stamp for stamp in pages if stamp not in made]
    for start in range(0, len(missing), CHUNK):
        stamps = missing[start : start + CHUNK]
        results = run_tool("text", tool, [pages[stamp] for stamp in stamps])
        made |= dict(zip(stamps, results, strict=True))
        if path:
            keep(path, made)
    results = [made[stamp] for stamp in pages]
    return measure(tool.name, sources, [Made(one["text"], one["error"]) for one in results])


def code_of(*folders: str) -> list[Path]:
    """The source files below some folders of the package."""
    return sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*.py"))


def cached(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """What ``make`` returns, as JSON gives it back; kept in the folder, if there is one."""
    path = folder / f"{name}.json" if folder else None
    if path and path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    made = make()
    if path:
        keep(path, made)
    return made


def keep(path: Path, made: Any) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(made), encoding="utf-8")
    partial.rename(path)


def digest(*parts: str | bytes) -> str:
    """A short digest of some parts."""
    known = hashlib.sha256()
    for part in parts:
        known.update(part if isinstance(part, bytes) else part.encode())
        known.update(b"\0")
    return known.hexdigest()[:16]


def _stamp(source: Source) -> str:
    return f"{name_of(source)} {source.path.stat().st_size} {digest(source.gold)}"


# --- cost


def costs(tools: Sequence[Tool], paths: Sequence[Path], rounds: int) -> dict[str, Cost]:
    """What each tool costs on the same pages: every round all tools, one after the other, there and back."""
    rates: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, float] = defaultdict(float)
    for turn in range(rounds):
        for tool in tools if turn % 2 == 0 else tools[::-1]:
            said = run_tool("time", tool, paths)
            spent = sum(one.get("seconds", 0.0) for one in said)
            rates[tool.name].append(sum("seconds" in one for one in said) / spent)
            memory[tool.name] = max(memory[tool.name], *(one.get("memory", 0.0) for one in said))
            tell(f"round {turn + 1}: {tool.name}, {rates[tool.name][-1]:.1f} pages a CPU second")
    return {name: Cost(tuple(found), memory[name]) for name, found in rates.items()}


# --- the run


def tell(what: str) -> None:
    """Say how far the run is, apart from its results."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """What the run was asked for."""
    names = [tool.name for tool in TOOLS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CORPORA, help="of the corpora")
    parser.add_argument("--corpora", nargs="+", choices=SCOPES, default=SCOPES, metavar="CORPUS")
    parser.add_argument(
        "--tools", nargs="+", choices=names, default=names, metavar="TOOL", help=", ".join(names)
    )
    parser.add_argument("--every", type=int, default=1, help="measure every so manieth page of a corpus")
    parser.add_argument(
        "--neutral-titles", action="store_true", help="print WCXB's F1 with title words neither for nor against"
    )
    parser.add_argument("--pages", type=int, default=120, help="so many pages of WCXB are timed")
    parser.add_argument("--rounds", type=int, default=3, help="so often they are timed; 0: not at all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="folder that keeps texts and block scores for the next run")
    parser.add_argument("--out", type=Path, help="folder for quality.md, .json and .png")
    return parser.parse_args()


def differences(sources: Sequence[Source], rows: Sequence[Row]) -> dict[str, tuple[float, float, float]]:
    """How far cleancopy's F1 is above its rival's, by corpus and page type, with the 95 % interval."""
    by = {row.name: row for row in rows}
    if OWN not in by or RIVAL not in by:
        return {}
    groups: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        groups[source.corpus].append(source.group)
        if source.corpus in ("wcxb", "languages"):
            groups[source.kind].append(source.group)
        if source.corpus == "languages" and source.kind != "English":
            groups["other than English"].append(source.group)
    own, rival = by[OWN], by[RIVAL]
    return {
        scope: (
            own.scores[scope].f1 - rival.scores[scope].f1,
            *interval(scope, groups[scope], own.pages[scope], rival.pages[scope]),
        )
        for scope in (*SCOPES, *PAGE_TYPES, *LANGUAGES)
        if scope in own.scores
    }


def run(given: argparse.Namespace) -> Report:
    """Measure what was asked for."""
    everything = read_corpora(given.folder)
    chosen = [
        [source for source in everything if source.corpus == corpus][:: given.every] for corpus in given.corpora
    ]
    sources = [source for own in chosen for source in own]
    tools = [tool for tool in TOOLS if tool.name in given.tools]
    notes = [f"{tool.name} is not installed: not measured." for tool in tools if not installed(tool)]
    tools = [tool for tool in tools if installed(tool)]
    web = [source.path for source in everything if source.corpus == "wcxb"]
    timed = web[:: max(1, len(web) // given.pages)][: given.pages]
    cost = costs(tools, timed, given.rounds)
    tell(f"{len(sources)} pages to score")
    rows: list[Row] = []
    with ThreadPoolExecutor(given.jobs) as pool:
        peers = [tool for tool in tools if tool.scored]
        for row in pool.map(lambda tool: peer_row(tool, sources, given.cache), peers):
            tell(f"scored: {row.name}")
            rows.append(row)
    if OWN in given.tools:
        rows = own_rows(given.folder, sources, given.jobs, given.cache) + rows
        tell("scored: cleancopy")
    date, made = f"{datetime.now(UTC):%Y-%m-%d}", {"Python": platform.python_version()}
    made |= {tool.package: installed(tool) for tool in tools} | {"lightgbm": version("lightgbm")}
    sizes = dict(Counter(source.corpus for source in sources))
    timed_pages = len(timed) if given.rounds else 0
    return Report(rows, cost, sizes, timed_pages, differences(sources, rows), date, made, notes)


def neutral_titles(rows: Sequence[Row]) -> str:
    """The F1 of each tool on WCXB, as it is and with the words of the gold titles neutral."""
    lines = [
        f"{row.name}: {row.scores['wcxb'].f1:.4f}, {row.scores[UNTITLED].f1:.4f}"
        for row in rows
        if UNTITLED in row.scores
    ]
    return "\n".join(("WCXB, word F1: as it is, with title words neutral", *lines))


def main() -> None:
    """Measure, print and write the results."""
    given = arguments()
    report = run(given)
    whole = given.every == 1 and set(given.corpora) == set(SCOPES) and len(given.tools) == len(TOOLS)
    out = given.out or (RESULTS if whole and given.rounds else None)
    text = markdown(report)
    print(text)
    if given.neutral_titles:
        print(neutral_titles(report.rows))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "quality.md").write_text(text, encoding="utf-8")
        shown = json.dumps(figures(report), indent=1, ensure_ascii=False)
        (out / "quality.json").write_text(shown + "\n", encoding="utf-8")
        plot(report, out / "quality.png")
        tell(f"written to {out}")


if __name__ == "__main__":
    main()
