"""What is wrong with a run though it ended well: a person, or an automation, looks at it.

    chrome            a site's chrome suddenly takes another share of its pages
    chrome-stopped    learned chrome was not applied to pages of a site, as it would have taken too much of them
    rejections        more than 5 % of a run's captures were rejected
    silent            a source has brought nothing new for twice as long as it ever has
    nothing-fetched   no address of a source on the web gave a page

A run's summary has its alarms; the command prints them, and flows make an event of each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

import pyarrow.compute as pc

from cleancopy.ingest.run import Alarm, CleanedEntry, Run, Summary
from cleancopy.store import releases, tables
from cleancopy.store.spool import read_spool

#: Pages of a site that must have been stored before, and pages of this run, for an alarm on its share of
#: chrome.
_PAGES_BEFORE, _PAGES_NOW = 10, 5
#: A change of the median share is sudden from here on: in the share itself, and as a ratio.
_CHANGE, _RATIO = 0.15, 1.5
#: Of the pairs of a page before and one of now this share must differ in the same direction.
_APART = 0.9
#: The share of captures that may be rejected.
REJECTED = 0.05
#: A source is silent after this many times its longest pause; this many arrivals must be known.
PAUSES, ARRIVALS = 2, 5
#: Releases that are looked at for arrivals.
LOOKED_AT = 50


def find_alarms(run: Run, summary: Summary, cleaned: Sequence[CleanedEntry]) -> list[Alarm]:
    """All alarms of a run that has published; ``cleaned`` is what it cleaned. Reads the table of captures."""
    earlier = dict(read_spool(run.spool("shares", 0))) if cleaned else {}  # as ``learn`` found them
    alarms = [*chrome_share(cleaned, earlier), *chrome_stopped(summary.chrome_stopped)]
    alarms += rejections(run.source, summary)
    if any(not source.is_local for source in run.sources):
        alarms += nothing_fetched(run.source, summary)
    if run.sources:
        alarms += silence(run.source, arrivals(run), datetime.now(UTC))
    return alarms


# ---- chrome


def chrome_share(cleaned: Iterable[CleanedEntry], before: Mapping[str, Sequence[float]]) -> Iterator[Alarm]:
    """An alarm for each site whose chrome suddenly takes another share of its pages than before.

    ``before`` has the share of chrome of each stored page, 0-1, by site. A redesign shows as less, a chrome
    that has begun to eat content as more. Medians and pairs, for one page that is nearly all menu says nothing
    of its site. Stored pages that were cleaned again are judged apart from new ones.
    """
    shares: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for page in cleaned:
        size = page.kept + sum(count for _, count in page.cut)
        shares[page.entry.site or "", page.stored > 0].append(dict(page.cut).get("chrome", 0) / max(1, size))
    for (site, again), now in sorted(shares.items()):
        earlier = before.get(site, ())
        if _is_sudden(earlier, now):
            yield _share_alarm(site, again, len(now), median(earlier), median(now))


def _is_sudden(before: Sequence[float], now: Sequence[float]) -> bool:
    if len(before) < _PAGES_BEFORE or len(now) < _PAGES_NOW:
        return False
    low, high = sorted([median(before), median(now)])
    if high - low < _CHANGE or high < _RATIO * low:
        return False
    ordered = sorted(before)
    below = sum(bisect_left(ordered, share) for share in now) / (len(before) * len(now))
    above = sum(len(ordered) - bisect_right(ordered, share) for share in now) / (len(before) * len(now))
    return max(below, above) >= _APART


def _share_alarm(site: str, again: bool, pages: int, before: float, now: float) -> Alarm:
    noun = "stored pages, cleaned again" if again else "new pages"
    remedy = (
        "look at what goes (cleancopy chrome show), and drop what is content"
        if now > before
        else "the site may have a new design, which is learned as more of its pages come"
    )
    message = f"{site}: chrome is {now:.0%} of {pages} {noun}, and was {before:.0%}; {remedy}"
    facts = {"pages": pages, "before": round(before, 4), "after": round(now, 4), "again": again}
    return Alarm("chrome", "site", site, message, facts)


def chrome_stopped(pages: Mapping[str, int]) -> Iterator[Alarm]:
    """An alarm for each site with pages, counted here, to which learned chrome was not applied."""
    for site, count in sorted(pages.items()):
        message = (
            f"{site}: learned chrome was not applied to {count} page(s), as it would have taken more than half "
            "of the text; look at what it has learned (cleancopy chrome show), and drop what is content"
        )
        yield Alarm("chrome-stopped", "site", site, message, {"pages": count})


# ---- captures


def rejections(source: str, summary: Summary) -> Iterator[Alarm]:
    """An alarm where the run rejected too many captures; what the ledger has already is not reported again."""
    rejected, captures = summary.counts["rejected"], summary.captures
    if summary.release is None or rejected <= REJECTED * captures:
        return
    kinds = sorted(summary.rejected.items(), key=lambda item: (-item[1], item[0]))
    most = ", ".join(f"{count} {kind}" for kind, count in kinds[:3])
    message = (
        f"{source}: {rejected} of {captures} captures were rejected ({rejected / captures:.1%}: {most}); the "
        "run's table of rejections says what to do about each"
    )
    yield Alarm("rejections", "source", source, message, {"rejected": rejected, "captures": captures})


def nothing_fetched(source: str, summary: Summary) -> Iterator[Alarm]:
    """An alarm where no capture of a source on the web became anything but a rejection."""
    if summary.captures > summary.counts["rejected"]:
        return
    asked = f"none of {summary.captures} addresses gave a page" if summary.captures else "no address was asked"
    message = f"{source}: {asked}; look at the run's rejections, and whether the site still answers"
    yield Alarm("nothing-fetched", "source", source, message, {"asked": summary.captures})


def silence(source: str, times: Sequence[datetime], now: datetime) -> Iterator[Alarm]:
    """An alarm where a source brings nothing for much longer than it ever has; ``times`` of arrivals ascend."""
    if len(times) < ARRIVALS:
        return
    longest = max((later - earlier for earlier, later in pairwise(times)), default=timedelta())
    quiet = now - times[-1]
    if quiet <= PAUSES * longest:
        return
    message = (
        f"{source}: has brought nothing new since {times[-1]:%Y-%m-%d %H:%M} UTC, and its longest pause "
        f"before was {_in_words(longest)}; look whether the site has moved, or its feed or sitemap"
    )
    yield Alarm("silent", "source", source, message, {"seconds": round(quiet.total_seconds())})


def _in_words(pause: timedelta) -> str:
    seconds = pause.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def arrivals(run: Run) -> list[datetime]:
    """When the source brought something new in the last releases, ascending. Reads the table of captures."""
    table = tables.captures(run.root, columns=["release", "source", "outcome"])
    wanted = pc.and_(pc.equal(table["source"], run.source), pc.not_equal(table["outcome"], "rejected"))
    numbers = sorted(pc.unique(table.filter(wanted)["release"]).to_pylist())[-LOOKED_AT:]
    return [datetime.fromisoformat(releases.read_manifest(run.root, number).time) for number in numbers]
