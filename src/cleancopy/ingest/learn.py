"""The chrome of the sites that a run read pages of, learned from these and from the stored pages."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from cleancopy.document import Document
from cleancopy.ingest.run import Run
from cleancopy.stages.chrome.cut import learn_chrome
from cleancopy.store import chrome_profiles, rows, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import Version
from cleancopy.store.spool import Spool, read_at, read_offsets


def learn(run: Run, shards: int, also: Iterable[str] = ()) -> dict[str, int]:
    """Learn the chrome of every site that the run read pages of; how many entries each has.

    Stored pages of these sites count too; one that the run read again counts once, as it is now. Of the sites
    in ``also`` that it read no page of, the chrome stands as it is. The chrome is left in the run's spool file
    ``chrome``; ``publish`` stores it.
    """
    fresh: dict[str, list[tuple[int, int]]] = defaultdict(list)
    captured: dict[str, str] = {}
    for number in range(shards):
        for offset, (entry, _) in read_offsets(run.spool("read", number)):
            fresh[entry.site or ""].append((number, offset))
            captured[entry.key] = entry.captured or ""
    stored = count_stored(run.root)
    day = datetime.fromtimestamp(run.started, UTC).date().isoformat()
    learned = {site: chrome for site in also if (chrome := chrome_profiles.current(run.root, site))}
    shares: dict[str, list[float]] = {}
    for site, places in sorted(fresh.items()):
        before = chrome_profiles.current(run.root, site)
        if len(places) + stored[site] >= 2 or before:
            shares[site] = []
            pages = _pages(run, site, places, captured, shares[site] if stored[site] else None)
            learned[site] = learn_chrome(
                pages, site=site, policy=run.policy.chrome, previous=before, seen=day, captured=captured
            )
    with Spool(run.spool("chrome", 0)) as spool, Spool(run.spool("shares", 0)) as other:
        for chrome in learned.values():
            spool.append(chrome)
        for share in shares.items():
            other.append(share)
    return {site: len(chrome.entries) for site, chrome in learned.items()}


def stored_versions(root: StorePath, site: str) -> Iterator[Version]:
    """The latest versions of a site's documents that are not gone."""
    for batch in tables.latest_batches(root, site=site):
        for version in rows.table_to_versions(batch):
            if version.status != "gone":
                yield version


def count_stored(root: StorePath) -> Counter[str]:
    """How many documents of each site are stored."""
    table = tables.latest(root, columns=["site"])
    return Counter(site or "" for site in table["site"].to_pylist())


def _pages(
    run: Run,
    site: str,
    places: Iterable[tuple[int, int]],
    captured: dict[str, str],
    shares: list[float] | None,
) -> Iterator[Document]:
    """The pages of a site: those that the run read, then the stored ones under other keys, if there are any.

    On the way ``captured`` takes up when each was captured, and ``shares`` how much of each stored page was
    cut as chrome. With None for ``shares`` there are no stored pages.
    """
    for number, offset in places:
        yield pickle.loads(read_at(run.spool("read", number), offset)[1])
    if shares is None:
        return
    for version in stored_versions(run.root, site):
        document = version.document
        cut = sum(cut.end - cut.start for cut in document.cuts if cut.stage == "chrome")
        shares.append(cut / max(1, len(document.text)))
        if document.key not in captured:
            captured[document.key] = version.captured or ""
            yield document.undecided()
