"""The summary of a run, from what it cleaned and the entries that it leaves."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cleancopy.ingest.alarms import find_alarms
from cleancopy.ingest.run import CleanedEntry, Run, Summary
from cleancopy.store import releases
from cleancopy.store.rows import LedgerEntry


def summarize(
    run: Run,
    release: int | None,
    entries: Sequence[LedgerEntry],
    cleaned: Sequence[CleanedEntry],
    recleaned: int,
    overflow: int,
    moved: Mapping[str, str],
) -> Summary:
    """What a run did, with its alarms; ``release`` is None where it published nothing. Reads the store.

    ``recleaned`` counts the stored documents with a new text or structure, ``overflow`` the pairs that were not
    compared, ``moved`` the pages that moved, old key to new key.
    """
    manifest = releases.current(run.root)
    counts = Counter(entry.outcome for entry in entries)
    rejected = [entry for entry in entries if entry.outcome == "rejected"]
    cut: Counter[str] = Counter()
    for page in cleaned:
        cut.update(dict(page.cut))
    learned = run.snapshot.learned_chromes
    summary = Summary(
        run=run.name,
        release=release,
        inputs=len({entry.input for entry in entries}),
        captures=len(entries),
        counts={name: counts[name] for name in ("new", "unchanged", "duplicate", "rejected")},
        rejected=dict(Counter(entry.kind or "" for entry in rejected)),
        recleaned=recleaned,
        cut=dict(cut),
        kept=sum(page.kept for page in cleaned),
        chrome={site: len(chrome.entries) for site, chrome in learned.items() if chrome.entries},
        content_root=manifest.content_root if manifest else "",
        live=manifest.live if manifest else 0,
        seconds=round(time.time() - run.started, 3),
        rejections=tuple(sorted(rejected, key=lambda entry: (entry.input, entry.member or ""))),
        sources=_by_source(entries),
        sites=_by_site(cleaned),
        overflow=overflow,
        chrome_stopped=_stopped_by_site(cleaned),
        moved=moved,
    )
    return replace(summary, alarms=tuple(find_alarms(run, summary, cleaned)))


def _by_source(entries: Iterable[LedgerEntry]) -> dict[str, dict[str, int]]:
    """For each source its inputs, its captures, and these by outcome."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    inputs: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        inputs[entry.source].add(entry.input)
        counts[entry.source]["captures"] += 1
        counts[entry.source][entry.outcome] += 1
    columns = ("captures", "new", "unchanged", "duplicate", "rejected")
    return {
        source: {"inputs": len(inputs[source])} | {name: counts[source][name] for name in columns}
        for source in sorted(inputs)
    }


def _by_site(cleaned: Iterable[CleanedEntry]) -> dict[str, dict[str, int]]:
    """For each site the characters that were kept, and those that each stage cut."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for page in cleaned:
        counts[page.entry.site or ""].update({"kept": page.kept, **dict(page.cut)})
    return {site: dict(sorted(counts[site].items())) for site in sorted(counts)}


def _stopped_by_site(cleaned: Iterable[CleanedEntry]) -> dict[str, int]:
    """For each site the pages to which learned chrome was not applied, if there are any."""
    return dict(sorted(Counter(page.entry.site or "" for page in cleaned if page.chrome_stopped).items()))
