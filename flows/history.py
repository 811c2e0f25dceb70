"""Write the runs that no server watched into Prefect's history: ``python -m cleancopy_flows.history``.

``cleancopy up`` starts this beside its server. Prefect's API dates every state by the time at which it hears of
it. A run must stand in the history at its own time, so this writes to the server's database, with the server's
own functions. A note is one transaction, and is removed after it; a run that is in the history already is left
as it is.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import alarms
from cleancopy_flows.noted import Note, Task, waiting
from cleancopy_flows.page import CUTS, Shown, with_change
from prefect.server import models as server_models
from prefect.server.database import provide_database_interface
from prefect.server.schemas import core
from prefect.server.schemas.actions import LogCreate
from prefect.server.schemas.states import State, StateType

from cleancopy.ingest.run import Alarm

#: Its functions are decorated in a way that the type checker does not follow.
models: Any = server_models
#: The key of each step's task, as Prefect gives it to the task of the flow.
_KEYS = {"discover": "discover", "read": "read_shard", "learn": "learn", "clean": "clean_shard"}


async def record() -> int:
    """Write all waiting notes into the history; how many there were."""
    database, count = provide_database_interface(), 0
    for path, note in waiting():
        async with database.session_context(begin_transaction=True) as session:
            if await models.flow_runs.read_flow_run(session, UUID(note.id)) is None:
                await _write(session, note)
                count += 1
        for alarm in note.alarms:
            alarms.emit(Alarm(**alarm), note.tags[0].partition(":")[2], occurred=_at(note.ended), run=note.id)
        path.unlink(missing_ok=True)
    return count


async def _write(session: Any, note: Note) -> None:
    """A run with its tasks, log lines and artifacts."""
    flow = await models.flows.create_flow(session=session, flow=core.Flow(name="ingest"))
    run = core.FlowRun(
        id=UUID(note.id),
        flow_id=flow.id,
        name=note.name,
        tags=note.tags,
        parameters=note.parameters,
        labels=note.process,
        run_count=1,
        state=State(type=StateType.RUNNING, timestamp=_at(note.began)),
    )
    await models.flow_runs.create_flow_run(session=session, flow_run=run)
    tasks = [await _write_task(session, run.id, task) for task in note.tasks]
    for shown, task in note.artifacts:
        await _write_artifact(session, run.id, tasks[task], shown)
    lines = [
        LogCreate(
            name="prefect.task_runs",
            level=level,
            message=text,
            timestamp=_at(time),
            flow_run_id=run.id,
            task_run_id=tasks[task],
        )
        for time, level, text, task in note.logs
    ]
    if lines:
        await models.logs.create_logs(session=session, logs=lines)
    ended = State(type=StateType[note.state], timestamp=_at(note.ended), message=note.message)
    if note.state_name:
        ended.name = note.state_name
    await models.flow_runs.set_flow_run_state(session=session, flow_run_id=run.id, state=ended, force=True)


async def _write_task(session: Any, run: UUID, task: Task) -> UUID:
    first, _, number = task.name.partition(" shard ")
    task_run = core.TaskRun(
        id=uuid4(),
        flow_run_id=run,
        name=task.name,
        task_key=_KEYS.get(first, first),
        dynamic_key=number or "0",
        run_count=1,
        state=State(type=StateType.RUNNING, timestamp=_at(task.began)),
    )
    await models.task_runs.create_task_run(session=session, task_run=task_run)
    kind = StateType[task.state] if task.ended else StateType.CRASHED
    ended = State(type=kind, timestamp=_at(task.ended or task.began), message=task.message)
    await models.task_runs.set_task_run_state(session=session, task_run_id=task_run.id, state=ended, force=True)
    return task_run.id


async def _write_artifact(session: Any, run: UUID, task: UUID, shown: Shown) -> None:
    if shown.key.startswith(CUTS):
        before = await models.artifacts.read_latest_artifact(session=session, key=shown.key)
        shown = with_change(shown, before.data if before and isinstance(before.data, str) else None)
    artifact = core.Artifact(
        key=shown.key,
        type=shown.type,
        data=shown.data,
        description=shown.description,
        flow_run_id=run,
        task_run_id=task,
    )
    await models.artifacts.create_artifact(session=session, artifact=artifact)


def _at(time: str | None) -> Any:
    assert time is not None
    return datetime.fromisoformat(time)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(record())))
