"""A run's alarms as Prefect events: a person, or an automation, looks at it.

An event is ``cleancopy.alarm.NAME``; ``cleancopy.ingest.alarms`` says what the names mean. The resource is the
site (``cleancopy.site.NAME``) or the source (``cleancopy.source.NAME``); the payload has the ``message`` and
the figures. docs/automation.yaml is an automation that tells somebody.
"""

from __future__ import annotations

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported

from cleancopy.ingest.run import Run, Summary


def emit_alarms(run: Run, summary: Summary) -> None:
    """Make of each alarm of a run a warning in its log and an event, to which Prefect adds the flow run."""
    from prefect import get_run_logger
    from prefect.events import emit_event

    for alarm in summary.alarms:
        get_run_logger().warning("%s: alarm: %s", run.source, alarm.message)
        emit_event(
            event=f"cleancopy.alarm.{alarm.name}",
            resource={
                "prefect.resource.id": f"cleancopy.{alarm.resource}.{alarm.about}",
                "prefect.resource.name": alarm.about,
                "cleancopy.alarm": alarm.name,
            },
            related=[
                {"prefect.resource.id": f"cleancopy.source.{run.source}", "prefect.resource.role": "source"},
            ],
            payload={"message": alarm.message, **alarm.facts},
        )
