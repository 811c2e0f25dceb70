"""What every flow of cleancopy shares: how it starts from the command line, how it refuses, who runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
from cleancopy_flows import server
from cleancopy_flows.parameters import P, now
from cleancopy_flows.process import this_process
from httpx import HTTPError
from prefect import Flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.states import Completed, Failed
from pydantic import ValidationError

from cleancopy.errors import Busy, CleancopyError


def launch(flow: Flow[Any, Any], labels: Sequence[str], parameters: Any) -> Any:
    """Run a flow once, on a running server where there is one, else on Prefect's temporary one; its result.

    Raises CleancopyError with the reason where the flow refused its input or the store, or where no server
    answers.
    """
    api = PREFECT_API_URL.value()
    if api:
        hidden = PREFECT_API_AUTH_STRING.value()
        server.check_access(api, hidden)
    else:
        server.private_home()
        line = "Waiting for Prefect's temporary server; `cleancopy up` keeps one running, --plain needs none."
        print(line, file=sys.stderr, flush=True)
    try:
        with tags(*labels):
            state: Any = flow(parameters, return_state=True)
    except HTTPError as error:
        raise CleancopyError(
            f"the server stopped answering ({error}); nothing is lost: run again, or with --plain"
        ) from error
    except RuntimeError as error:
        if api:
            raise
        raise CleancopyError(
            f"Prefect's temporary server did not start ({error}); run with --plain, or start cleancopy up first"
        ) from error
    if state.is_cancelled() or state.is_cancelling():
        raise CleancopyError("the run was cancelled; nothing is lost: the next one goes on")
    if state.is_failed() and not isinstance(state.data, BaseException):
        raise CleancopyError(state.message or "the flow failed; see its logs")
    if skipped(state):
        raise Busy(state.message or "another run of the source is under way")
    return state.result()


#: Seconds after which a run is given up, so that one that hangs does not keep its source for ever.
LONGEST = 7 * 86_400


def naming(kind: type[P], subject: Callable[[P], str]) -> Callable[[], str]:
    """How a flow names its runs, whoever starts them: what they are of, and when they began."""

    def name() -> str:
        given, current = flow_run.parameters.get("parameters", {}), str(flow_run.name or "")
        try:
            title = subject(given if isinstance(given, kind) else kind.model_validate(given))
        except ValidationError:  # the run itself says what is wrong
            return current
        return current if current.startswith(f"{title} 2") else f"{title} {now()}"

    return name


def guarded(work: Callable[[], Any]) -> Any:
    """What a flow ends as: the result of its work, or a state that says in one line why there is none.

    A traceback would not help whoever reads the run's page: the message says what was refused and what to do.
    """
    # Tasks do without the run's tags: for each tag of each task Prefect would ask the server for a slot.
    with _signed(), TagsContext(current_tags=set()):
        try:
            return work()
        except Busy as error:
            return Completed(name="Skipped", message=str(error))
        except CleancopyError as error:
            return Failed(message=str(error))


@contextmanager
def _signed() -> Iterator[None]:
    """Label the flow run with the process that runs it, so that its death is noticed."""
    if flow_run.id:
        with get_client(sync_client=True) as client:
            attempt = client.read_flow_run(UUID(flow_run.id)).run_count
            client.update_flow_run_labels(flow_run.id, this_process() | {"cleancopy.attempt": attempt})
    yield


def skipped(state: State[Any]) -> bool:
    """Whether a run ended because another run of its source was under way."""
    return state.name == "Skipped"
