"""What is wrong with a run though it ended well, as Prefect events: a person, or an automation, looks at it.

    cleancopy.alarm.chrome            a site's chrome takes suddenly another share of its pages
    cleancopy.alarm.rejections        more than 5 % of a run's captures were rejected
    cleancopy.alarm.silent            a source brings nothing new for twice as long as it ever has
    cleancopy.alarm.nothing-fetched   no address of a source on the web gave a page

The resource is the site (``cleancopy.site.NAME``) or the source (``cleancopy.source.NAME``); the payload has
the ``message`` and the figures. docs/automation.yaml is an automation that tells somebody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
import pyarrow.compute as pc

from cleancopy.ingest.run import Run, Summary
from cleancopy.sources.settings import LOCAL
from cleancopy.store import releases, tables

#: The share of captures that may be rejected.
REJECTED = 0.05
#: A source is silent after so many times the longest pause that it made; so many arrivals must be known.
PAUSES, ARRIVALS = 2, 5
#: Releases that are looked at for arrivals.
LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to look at: what it is, the site or source that it is about, and what to do."""

    name: str
    resource: str
    about: str
    message: str
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def raised(run: Run, summary: Summary) -> list[Alarm]:
    """The alarms of a run that has published."""
    found = [_chrome(one.site, one.message, asdict(one)) for one in summary.alarms]
    found += _rejections(run.source, summary)
    if any(source.kind not in LOCAL for source in run.sources):
        found += _nothing_fetched(run.source, summary)
    if run.sources:
        found += silence(run.source, _arrivals(run), datetime.now(UTC))
    return found


def sounded(run: Run, summary: Summary) -> list[Alarm]:
    """The alarms of a run that has published, each as a warning in its log and as an event.

    To the event Prefect adds the flow run that it came from.
    """
    from prefect import get_run_logger
    from prefect.events import emit_event

    found = raised(run, summary)
    for one in found:
        get_run_logger().warning("%s: alarm: %s", run.source, one.message)
        emit_event(
            event=f"cleancopy.alarm.{one.name}",
            resource={
                "prefect.resource.id": f"cleancopy.{one.resource}.{one.about}",
                "prefect.resource.name": one.about,
                "cleancopy.alarm": one.name,
            },
            related=[
                {"prefect.resource.id": f"cleancopy.source.{run.source}", "prefect.resource.role": "source"},
            ],
            payload={"message": one.message, **one.facts},
        )
    return found


def _chrome(site: str, message: str, facts: Mapping[str, str | int | float | bool]) -> Alarm:
    figures = {name: facts[name] for name in ("pages", "before", "after", "again")}
    return Alarm("chrome", "site", site, message, figures)


def _rejections(source: str, summary: Summary) -> Iterator[Alarm]:
    """An alarm where the run has rejected too much; what the ledger had already is not told again."""
    rejected, captures = summary.counts["rejected"], summary.captures
    if summary.release is None or rejected <= REJECTED * captures:
        return
    kinds = sorted(summary.rejected.items(), key=lambda one: (-one[1], one[0]))
    most = ", ".join(f"{count} {kind}" for kind, count in kinds[:3])
    message = (
        f"{source}: {rejected} of {captures} captures were rejected ({rejected / captures:.1%}: {most}); the "
        "run's table of rejections says what to do about each"
    )
    yield Alarm("rejections", "source", source, message, {"rejected": rejected, "captures": captures})


def _nothing_fetched(source: str, summary: Summary) -> Iterator[Alarm]:
    if summary.captures > summary.counts["rejected"]:
        return
    asked = f"none of {summary.captures} addresses gave a page" if summary.captures else "no address was asked"
    message = f"{source}: {asked}; look at the run's rejections, and whether the site still answers"
    yield Alarm("nothing-fetched", "source", source, message, {"asked": summary.captures})


def silence(source: str, arrivals: Sequence[datetime], now: datetime) -> Iterator[Alarm]:
    """An alarm where a source brings nothing for much longer than it ever has; ``arrivals`` ascend."""
    if len(arrivals) < ARRIVALS:
        return
    longest = max((later - earlier for earlier, later in pairwise(arrivals)), default=timedelta())
    quiet = now - arrivals[-1]
    if quiet <= PAUSES * longest:
        return
    message = (
        f"{source}: has brought nothing new since {arrivals[-1]:%Y-%m-%d %H:%M} UTC, and its longest pause "
        f"before was {_said(longest)}; look whether the site has moved, or its feed or sitemap"
    )
    yield Alarm("silent", "source", source, message, {"seconds": round(quiet.total_seconds())})


def _said(pause: timedelta) -> str:
    seconds = pause.total_seconds()
    unit, size = next(
        (one for one in (("days", 86_400), ("hours", 3_600), ("minutes", 60)) if seconds >= 2 * one[1]),
        ("seconds", 1),
    )
    return f"{seconds / size:.0f} {unit}"


def _arrivals(run: Run) -> list[datetime]:
    """When the run's source brought something new, of the last releases, ascending."""
    table = tables.captures(run.root, columns=["release", "source", "outcome"])
    wanted = pc.and_(pc.equal(table["source"], run.source), pc.not_equal(table["outcome"], "rejected"))
    seen = sorted(pc.unique(table.filter(wanted)["release"]).to_pylist())[-LOOKED_AT:]
    return [datetime.fromisoformat(releases.read(run.root, number).time) for number in seen]
