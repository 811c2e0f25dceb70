"""A run's alarms as Prefect events: a person, or an automation, looks at it.

An event is ``cleancopy.alarm.NAME``; ``cleancopy.ingest.alarms`` says what the names mean. The resource is the
site (``cleancopy.site.NAME``) or the source (``cleancopy.source.NAME``); the payload has the ``message`` and
the figures. docs/automation.yaml is an automation that tells somebody.
"""

from __future__ import annotations

from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported

from cleancopy.ingest.run import Alarm, Run, Summary


def emit_alarms(run: Run, summary: Summary) -> None:
    """Make of each alarm of a run a warning in its log and an event, to which Prefect adds the flow run."""
    from prefect import get_run_logger

    for alarm in summary.alarms:
        get_run_logger().warning("%s: alarm: %s", run.source, alarm.message)
        emit(alarm, run.source)


def emit(alarm: Alarm, source: str, **of_run: Any) -> None:
    """Make an event of an alarm; ``of_run`` says when it was (``occurred``) and in which flow run (``run``)."""
    from prefect.events import emit_event

    related = [{"prefect.resource.id": f"cleancopy.source.{source}", "prefect.resource.role": "source"}]
    if run := of_run.pop("run", None):
        related.append({"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"})
    emit_event(
        event=f"cleancopy.alarm.{alarm.name}",
        resource={
            "prefect.resource.id": f"cleancopy.{alarm.resource}.{alarm.about}",
            "prefect.resource.name": alarm.about,
            "cleancopy.alarm": alarm.name,
        },
        related=related,
        payload={"message": alarm.message, **alarm.facts},
        **of_run,
    )
