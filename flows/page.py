"""What the page of an ingest's run shows, as Prefect's artifacts: enough to see what is wrong and what to do.

    ingest-summary      headline, counts, characters by stage, alarms, the documents that changed most
    ingest-sources      inputs and captures of each source by outcome
    ingest-rejections   each rejected input: stage, kind, message, what to do
    ingest-cut-SOURCE   characters cut, by site and stage, and the change of their share since the last run
    ingest-chrome       what was newly learned of each site's chrome
    ingest-captions     captions that several documents show: those that the run found first, then the largest
    ingest-plain-runs   the runs with --plain since the run before, with their times
    release-manifest    where the release's manifest is
    ingest-progress     how far the reading of a shard is, while it works

Prefect shows of an artifact's card key and description only, so that each description has the numbers. Nothing
here talks to Prefect: ``tell`` puts an artifact on a run's page, and a run that no server watches notes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from textwrap import shorten
from typing import Any, NamedTuple

import pyarrow.compute as pc

from cleancopy.corpus.captions import read_captions
from cleancopy.errors import RejectReason
from cleancopy.ingest.run import Run, Summary
from cleancopy.store import chrome_profiles, tables
from cleancopy.store.paths import StorePath, manifest_path
from cleancopy.store.rows import LedgerEntry
from cleancopy.store.slugs import site_slug

#: Rows of a table, and lines of a difference, that a page shows.
ROWS, LINES = 500, 40
#: Documents that changed most, and those that are looked at to find them.
CHANGED, CANDIDATES = 3, 200
#: Captions that a page shows of the run and of the rest, and characters of each.
CAPTIONS, CAPTION = 50, 200
#: How the key of the table of cuts begins; the run before has one under the same key to compare with.
CUTS = "ingest-cut-"


class Shown(NamedTuple):
    """An artifact as Prefect stores it: ``type`` is markdown or table; a table's ``data`` are rows in JSON."""

    key: str
    type: str
    data: str
    description: str


def headline(summary: Summary) -> str:
    """The numbers of a run in one line."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
    release = f"release {summary.release}" if summary.release is not None else "no new release"
    return f"{summary.captures} captures: {counts}; {release}, {summary.live} live documents"


def of_run(run: Run, summary: Summary) -> Iterator[Shown]:
    """What a run has done."""
    yield Shown("ingest-summary", "markdown", _markdown(run, summary), headline(summary))
    rows = [{"source": source, **counts} for source, counts in summary.sources.items()]
    yield from _table("ingest-sources", rows, f"{len(rows)} sources, {summary.captures} captures")
    rejected = [_rejection(entry) for entry in summary.rejections[:ROWS]]
    yield from _table("ingest-rejections", rejected, f"{len(summary.rejections)} rejections")
    cut = f"{sum(summary.cut.values()):,} characters cut, {summary.kept:,} kept"
    yield from _table(cut_key(run), cut_rows(summary.sites), cut)
    if summary.release is not None:
        yield from of_captions(run, summary.release)
        manifest = manifest_path(run.root, summary.release)
        where = manifest.absolute().as_uri() if hasattr(manifest, "as_uri") else str(manifest)
        link = f"[Manifest of release {summary.release}]({where})"
        yield Shown("release-manifest", "markdown", link, where)


def of_captions(run: Run, release: int) -> Iterator[Shown]:
    """The captions that several documents show: those with documents of a release first, then the largest."""
    versions = tables.touched(run.root, release - 1, release)
    changed = set(versions.filter(pc.equal(versions["release"], release))["doc_id"].to_pylist())
    shared = read_captions(run.root, least=2)
    rows = []
    for cluster in shared:
        documents = {member.doc_id for member in cluster.members}
        rows.append(
            {
                "id": cluster.id,
                "caption": shorten(cluster.caption, CAPTION, placeholder=" ..."),
                "documents": len(documents),
                "of this run": len(documents & changed),
                "times": cluster.occurrences,
                "wordings": len(cluster.wordings),
                "credit": cluster.credit or "",
            }
        )
    of_run = [row for row in rows if row["of this run"]]
    others = [row for row in rows if not row["of this run"]]
    most = f", the largest by {shared[0].documents}" if shared else ""
    line = f"{len(rows)} captions that several documents show{most}; {len(of_run)} with documents of this run"
    yield from _table("ingest-captions", [*of_run[:CAPTIONS], *others[:CAPTIONS]], line)


def of_plain_runs(runs: list[dict[str, Any]]) -> Iterator[Shown]:
    """The runs that nobody watched since the last one that somebody did."""
    yield from _table("ingest-plain-runs", runs, f"{len(runs)} runs with --plain since the run before")


def _table(key: str, rows: list[dict[str, Any]], description: str) -> Iterator[Shown]:
    """A table; none where it would be empty."""
    if rows:
        shown = [{name: _cell(value) for name, value in row.items()} for row in rows[:ROWS]]
        yield Shown(key, "table", json.dumps(shown), description)


def _cell(value: Any) -> Any:
    """A value as a cell shows it in both of Prefect's UIs: one takes cells for Markdown, one for plain text."""
    if not isinstance(value, str) or (_PLAIN.fullmatch(value) and not _ACTIVE.search(value)):
        return value
    return code(value)


#: Text in which Markdown can see no markup but what is active: addresses, emphasis, the mark of a list.
_PLAIN = re.compile(r"(?:[^\W_]|[+-]\d)[\w ,;:.()%'+/-]*")
_ACTIVE = re.compile(r"//|www\.|(?<!\w)_|_(?!\w)|^\d+[.)](?: |$)", re.IGNORECASE)


# ---- the summary


def _markdown(run: Run, summary: Summary) -> str:
    counts = "\n".join(f"| {name} | {count:,} |" for name, count in summary.counts.items())
    cut = "\n".join(f"| cut by {stage} | {count:,} |" for stage, count in sorted(summary.cut.items()))
    warned = "".join(f"**Alarm:** {escaped(alarm.message)}\n\n" for alarm in summary.alarms)
    changed = "\n".join(_changed(run, summary.release)) if summary.release else ""
    return f"""# {headline(summary)}

| | |
|---|---:|
| inputs | {summary.inputs:,} |
| captures | {summary.captures:,} |
{counts}
| cleaned again, site chrome changed | {summary.recleaned:,} |
| characters kept | {summary.kept:,} |
{cut}

{warned}Content root `{summary.content_root}`, run `{summary.run}`, {summary.seconds:.1f} s.

{changed}
"""


def _changed(run: Run, release: int) -> Iterator[str]:
    """The documents of a release whose text differs most from the one before, as Markdown."""
    versions = tables.touched(run.root, release - 1, release)
    now = versions.filter(pc.and_(pc.equal(versions["release"], release), pc.greater(versions["seq"], 1)))
    now = now.filter(pc.not_equal(now["change"], "duplicate")).slice(0, CANDIDATES)
    why = dict(zip(now["doc_id"].to_pylist(), now["change"].to_pylist(), strict=True))
    ids = list(why)
    if not ids:
        return
    before, after = _texts(run.root, ids, release - 1), _texts(run.root, ids, release)
    moved = sorted(ids, key=lambda doc: (-_distance(before.get(doc, ("", ""))[1], after[doc][1]), doc))
    yield f"## The documents that changed most, of {len(ids)}"
    for doc in moved[:CHANGED]:
        key, text = after[doc]
        old = before.get(doc, (key, ""))[1]
        lines = unified_diff(old.splitlines(), text.splitlines(), "before", "after", lineterm="", n=1)
        yield f"\n### {code(key)} ({why[doc]})\n"
        yield from (f"    {line[:300]}" for line, _ in zip(lines, range(LINES), strict=False))


def _texts(root: StorePath, ids: Sequence[str], release: int) -> dict[str, tuple[str, str]]:
    """Key and text of documents as a release has them."""
    texts: dict[str, tuple[str, str]] = {}
    columns = ["doc_id", "key", "text"]
    for batch in tables.latest_batches(root, columns=columns, as_of=release, documents=ids):
        for row in batch.to_pylist():
            texts[row["doc_id"]] = (row["key"], row["text"])
    return texts


def _distance(before: str, after: str) -> int:
    """How many characters stand in lines that only one of two texts has."""
    old, new = set(before.splitlines()), set(after.splitlines())
    return sum(map(len, old ^ new))


def escaped(text: str) -> str:
    """Text of a page or a site as Markdown shows it, no part of it taken for a link or markup."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-.!|:@~&" else char for char in text)


def code(text: str) -> str:
    """Text as code, in which Markdown sees neither links nor markup and needs no backslashes."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


# ---- rejections


def _rejection(entry: LedgerEntry) -> dict[str, str]:
    """A row for people; a message ends, after its last semicolon, with what to do."""
    cause, _, remedy = (entry.message or "").rpartition("; ")
    return {
        "input": entry.input + (f" ({entry.member})" if entry.member else ""),
        "url": entry.url or "",
        "stage": _stage(entry),
        "kind": entry.kind or "",
        "message": cause or remedy,
        "what to do": remedy if cause else RejectReason(entry.kind).remedy if entry.kind else "",
    }


def _stage(entry: LedgerEntry) -> str:
    """Where an input was rejected: asked for, found, read, or cleaned."""
    if entry.kind == "taken_down":
        return "decision"
    if entry.archive is None and "://" in entry.input:
        return "fetch"
    if entry.payload_sha256 is None:
        return "find"
    return "read" if entry.kind != "no_content" else "clean"


# ---- what was cut


def cut_key(run: Run) -> str:
    """The key of the table of cuts: one for each source of each store, so that runs of one can be compared."""
    store = hashlib.sha256(str(run.root.absolute() if hasattr(run.root, "absolute") else run.root).encode())
    name = "".join(char if char.isalnum() and char.isascii() else "-" for char in site_slug(run.source).lower())
    return f"{CUTS}{name}-{store.hexdigest()[:6]}"


def cut_rows(sites: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Characters cut by site and stage, and their share of the site's pages."""
    rows = []
    for site, counts in sites.items():
        total = max(1, sum(counts.values()))
        for stage in sorted(counts.keys() - {"kept"}):
            share = f"{100 * counts[stage] / total:.1f} %"
            rows.append({"site": site, "stage": stage, "characters": counts[stage], "share": share})
    return rows


def with_change(shown: Shown, before: str | None) -> Shown:
    """A table of cuts with how each share has changed since the table of the run before, ``before``."""
    rows_before = json.loads(before) if before else []
    earlier = {(row["site"], row["stage"]): _points(row) for row in rows_before if isinstance(row, dict)}
    rows = json.loads(shown.data)
    for row in rows:
        last = earlier.get((row["site"], row["stage"]))
        row["since the last run"] = "" if last is None else f"{_points(row) - last:+.1f} points"
    return shown._replace(data=json.dumps(rows))


def _points(row: Mapping[str, Any]) -> float:
    return float(str(row["share"]).rstrip(" %"))


# ---- chrome


def of_chrome(run: Run) -> tuple[int, list[Shown]]:
    """What the run has newly learned of each site's chrome: how many blocks, and the table of them."""
    rows: list[dict[str, Any]] = []
    for site, chrome in sorted(run.snapshot.learned_chromes.items()):
        last = chrome_profiles.current(run.root, site)
        cut_before = {entry.key for entry in last.entries if entry.status == "cut"} if last else set()
        for entry in chrome.entries:
            if entry.status == "cut" and entry.key not in cut_before:
                row = {"site": site, "block": entry.example[:300], "pages": entry.pages, "of": chrome.pages}
                rows.append(row | {"id": entry.id, "where": ", ".join(entry.positions)})
    return len(rows), list(_table("ingest-chrome", rows, f"{len(rows)} new blocks of chrome"))
