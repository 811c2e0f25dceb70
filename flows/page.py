"""What the page of an ingest's run shows, as Prefect's artifacts: enough to see what is wrong and what to do.

    ingest-summary      headline, counts, characters by stage, alarms, the documents that changed most
    ingest-sources      inputs and captures of each source by outcome
    ingest-rejections   each rejected input: stage, kind, message, what to do
    ingest-cut-SOURCE   characters cut, by site and stage, and the change of their share since the last run
    ingest-chrome       what was learned anew of each site's chrome
    release-manifest    where the release's manifest is
    ingest-progress     how far the reading of a shard is, while it works

Prefect shows of an artifact's card key and description only, so that each description has the numbers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import unified_diff
from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
import pyarrow.compute as pc
from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from cleancopy.ingest.run import Run, Summary
from cleancopy.store import chrome_profiles, tables
from cleancopy.store.paths import StorePath, manifest_path
from cleancopy.store.rows import LedgerEntry
from cleancopy.store.slugs import site_slug

#: Rows of a table, and lines of a difference, that a page shows.
ROWS, LINES = 500, 40
#: Documents that changed most, and those that are looked at to find them.
CHANGED, CANDIDATES = 3, 200
#: Seconds after which a shard has a progress artifact, and between two of its moves.
PATIENCE, PACE = 2.0, 3.0


def headline(summary: Summary) -> str:
    """The numbers of a run in one line."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
    release = f"release {summary.release}" if summary.release is not None else "no new release"
    return f"{summary.captures} captures: {counts}; {release}, {summary.live} live documents"


def show(run: Run, summary: Summary) -> None:
    """Put on the run's page what it has done."""
    said = headline(summary)
    create_markdown_artifact(key="ingest-summary", markdown=_markdown(run, summary), description=said)
    rows = [{"source": source, **counts} for source, counts in summary.sources.items()]
    _table("ingest-sources", rows, f"{len(rows)} sources, {summary.captures} captures")
    rejected = [_rejection(entry) for entry in summary.rejections[:ROWS]]
    _table("ingest-rejections", rejected, f"{len(summary.rejections)} rejections")
    key = cut_key(run)
    cut = cut_rows(summary.sites, _last_cut(key) if summary.sites else [])
    _table(key, cut, f"{sum(summary.cut.values()):,} characters cut, {summary.kept:,} kept")
    if summary.release is not None:
        _link(manifest_path(run.root, summary.release), summary.release)


def _table(key: str, rows: list[dict[str, Any]], description: str) -> None:
    """A table on the run's page; none where it would be empty."""
    if rows:
        create_table_artifact(key=key, table=rows[:ROWS], description=description)


def _link(manifest: StorePath, release: int) -> None:
    where = manifest.absolute().as_uri() if hasattr(manifest, "as_uri") else str(manifest)
    create_link_artifact(
        link=where, link_text=f"Manifest of release {release}", key="release-manifest", description=where
    )


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
    moved = sorted(ids, key=lambda one: (-_distance(before.get(one, ("", ""))[1], after[one][1]), one))
    yield f"## The documents that changed most, of {len(ids)}"
    for one in moved[:CHANGED]:
        key, text = after[one]
        old = before.get(one, (key, ""))[1]
        lines = unified_diff(old.splitlines(), text.splitlines(), "before", "after", lineterm="", n=1)
        yield f"\n### {escaped(key)} ({why[one]})\n"
        yield from (f"    {line[:300]}" for line, _ in zip(lines, range(LINES), strict=False))


def _texts(root: StorePath, ids: Sequence[str], release: int) -> dict[str, tuple[str, str]]:
    """Key and text of documents as a release has them."""
    found: dict[str, tuple[str, str]] = {}
    columns = ["doc_id", "key", "text"]
    for batch in tables.latest_batches(root, columns=columns, as_of=release, documents=ids):
        for row in batch.to_pylist():
            found[row["doc_id"]] = (row["key"], row["text"])
    return found


def _distance(before: str, after: str) -> int:
    """How many characters stand in lines that only one of two texts has."""
    old, new = set(before.splitlines()), set(after.splitlines())
    return sum(map(len, old ^ new))


def escaped(text: str) -> str:
    """Text of a page or a site as Markdown shows it, no part of it taken for a link or markup."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-.!|" else char for char in text)


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
        "what to do": remedy if cause else "",
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
    return f"ingest-cut-{name}-{store.hexdigest()[:6]}"


def _last_cut(key: str) -> list[Mapping[str, Any]]:
    """The rows of the last run's table, if there was one."""
    import json

    found: Any = Artifact.get(key)
    rows = json.loads(found.data) if found and isinstance(found.data, str) else []
    return rows if isinstance(rows, list) else []


def cut_rows(
    sites: Mapping[str, Mapping[str, int]], before: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Characters cut by site and stage, their share of the site's pages, and how it has changed."""
    earlier = {(row["site"], row["stage"]): float(str(row["share"]).rstrip(" %")) for row in before}
    rows = []
    for site, counts in sites.items():
        total = max(1, sum(counts.values()))
        for stage in sorted(counts.keys() - {"kept"}):
            share = round(100 * counts[stage] / total, 1)
            last = earlier.get((site, stage))
            change = "" if last is None else f"{share - last:+.1f} points"
            row = {"site": site, "stage": stage, "characters": counts[stage], "share": f"{share:.1f} %"}
            rows.append(row | {"since the last run": change})
    return rows


# ---- chrome


def show_chrome(run: Run) -> int:
    """Put on the run's page what it has learned anew of each site's chrome; how many blocks that is."""
    rows: list[dict[str, Any]] = []
    for site, chrome in sorted(run.snapshot.learned_chromes.items()):
        last = chrome_profiles.current(run.root, site)
        known = {entry.key for entry in last.entries if entry.status == "cut"} if last else set()
        for entry in chrome.entries:
            if entry.status == "cut" and entry.key not in known:
                row = {"site": site, "block": entry.example[:300], "pages": entry.pages, "of": chrome.pages}
                rows.append(row | {"id": entry.id, "where": ", ".join(entry.positions)})
    _table("ingest-chrome", rows, f"{len(rows)} new blocks of chrome")
    return len(rows)


# ---- progress


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how far a shard is, and shows it on the run's page where that takes a while."""
    began = moved = time.monotonic()
    shown: Any = None
    of = 0

    def tell(done: int, all_of_it: int) -> None:
        nonlocal moved, shown, of
        of, now = all_of_it, time.monotonic()
        if now - began < PATIENCE or now - moved < PACE:
            return
        moved = now
        said = f"{what}: {done} of {of} inputs"
        if shown is None:
            shown = create_progress_artifact(100 * done / of, key="ingest-progress", description=said)
        else:
            update_progress_artifact(shown, 100 * done / of, description=said)

    yield tell
    if shown is not None:
        update_progress_artifact(shown, 100.0, description=f"{what}: all {of} inputs")
