"""OpenLineage events of an ingest run (openlineage.io, spec 2-0-2): off unless the environment says where to.

    OPENLINEAGE_URL                   server to post to, for example http://localhost:5000
    OPENLINEAGE_ENDPOINT              path on it, ``api/v1/lineage`` by default
    OPENLINEAGE_API_KEY               sent as a bearer token
    OPENLINEAGE_NAMESPACE             namespace of the job, ``cleancopy`` by default
    OPENLINEAGE_DISABLED              ``true`` switches it off, whatever else is set
    CLEANCOPY_OPENLINEAGE_FILE        file that the events are added to, one JSON object a line

All but the last are the names that OpenLineage's own clients read. They are no part of the policy: where events
go changes no text. A run never fails because of them; what could not be delivered is given back in words.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cleancopy.errors import PolicyError

if TYPE_CHECKING:
    from cleancopy.ingest.run import Run, Summary
    from cleancopy.store.paths import StorePath

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets/"
_TIMEOUT = 10.0
#: How many addresses are named at most.
_LISTED = 1_000
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go: a server, a file, or both."""

    url: str | None = None
    api_key: str | None = None
    file: Path | None = None
    namespace: str = "cleancopy"


def target(environment: Mapping[str, str] | None = None) -> Target | None:
    """Where the environment wants events to go, None for nowhere; raises PolicyError for a wrong URL."""
    given = os.environ if environment is None else environment
    server, file = given.get("OPENLINEAGE_URL"), given.get("CLEANCOPY_OPENLINEAGE_FILE")
    if given.get("OPENLINEAGE_DISABLED", "").lower() == "true" or not (server or file):
        return None
    if server and not server.startswith(("http://", "https://")):
        raise PolicyError(
            f"OPENLINEAGE_URL: {server!r} is no http or https address; set it to one, or unset it"
        )
    return Target(
        url=f"{server.rstrip('/')}/{given.get('OPENLINEAGE_ENDPOINT', 'api/v1/lineage')}" if server else None,
        api_key=given.get("OPENLINEAGE_API_KEY"),
        file=Path(file) if file else None,
        namespace=given.get("OPENLINEAGE_NAMESPACE", "cleancopy"),
    )


@contextmanager
def openlineage_events(run: Run, to: Target | None = None) -> Iterator[Callable[[Summary], list[str]]]:
    """Report a run: START at once, FAIL if the block raises, COMPLETE when the given function gets the summary.

    That function gives what could not be delivered, in words. Without a target (``to``, else what the
    environment says) nothing is sent.
    """
    where = to or target()
    lost = emit([start_event(run, where.namespace)], where) if where else []

    def complete(summary: Summary) -> list[str]:
        return lost + (emit([complete_event(run, summary, where.namespace)], where) if where else [])

    try:
        yield complete
    except BaseException as error:
        if where:
            emit([fail_event(run, str(error) or type(error).__name__, where.namespace)], where)
        raise


def run_events(run: Run, summary: Summary, namespace: str = "cleancopy") -> list[Event]:
    """START and COMPLETE of a run that has ended well, for callers that send events in another way."""
    return [start_event(run, namespace), complete_event(run, summary, namespace)]


def start_event(run: Run, namespace: str = "cleancopy") -> Event:
    """The event of a run that begins: its inputs, and the tables that it may add to."""
    began = datetime.fromtimestamp(run.started, UTC).isoformat()
    return _event("START", run, namespace, began, {}, _outputs(run, None))


def complete_event(run: Run, summary: Summary, namespace: str = "cleancopy") -> Event:
    """The event of a run that has ended well: counts by outcome, and the release that it published."""
    counts = {
        "release": summary.release,
        "inputs": summary.inputs,
        "captures": summary.captures,
        "counts": dict(summary.counts),
        "rejected": dict(summary.rejected),
        "live": summary.live,
        "contentRoot": summary.content_root,
        "seconds": summary.seconds,
    }
    facet = {"_producer": producer(), "_schemaURL": f"{producer()}#/facets/CleancopyRunFacet"}
    return _event("COMPLETE", run, namespace, _now(), {"cleancopy": facet | counts}, _outputs(run, summary))


def fail_event(run: Run, message: str, namespace: str = "cleancopy") -> Event:
    """The event of a run that has failed; what it had published before stays as it is."""
    facet = _facet("1-0-1/ErrorMessageRunFacet", message=message, programmingLanguage="python")
    return _event("FAIL", run, namespace, _now(), {"errorMessage": facet}, _outputs(run, None))


def emit(events: Iterable[Event], to: Target) -> list[str]:
    """Deliver events; what could not be delivered and why, in words."""
    failed = []
    for event in events:
        body = json.dumps(event, ensure_ascii=False).encode()
        try:
            if to.file:
                to.file.parent.mkdir(parents=True, exist_ok=True)
                # One write to a file opened for appending: lines of two runs do not mix.
                with open(to.file, "ab", buffering=0) as file:
                    file.write(body + b"\n")
            if to.url:
                _post(to.url, body, to.api_key)
        except (OSError, urllib.error.URLError) as error:
            failed.append(
                f"OpenLineage {event['eventType']} of run {event['run']['runId']} was not delivered: {error}"
            )
    return failed


def producer() -> str:
    """The URI that names this version of cleancopy in events."""
    return f"https://pypi.org/project/cleancopy/{version('cleancopy')}"


def run_id(run: Run) -> str:
    """The UUID of a run: the same whenever it is asked for."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cleancopy:{run.root.absolute()}:{run.name}"))


def _event(
    kind: str, run: Run, namespace: str, time: str, facets: Mapping[str, Any], outputs: Sequence[Event]
) -> Event:
    job = _facet("2-0-3/JobTypeJobFacet", processingType="BATCH", integration="CLEANCOPY", jobType="JOB")
    return {
        "eventType": kind,
        "eventTime": time,
        "run": {"runId": run_id(run), "facets": dict(facets)},
        "job": {"namespace": namespace, "name": "ingest", "facets": {"jobType": job}},
        "inputs": _inputs(run),
        "outputs": list(outputs),
        "producer": producer(),
        "schemaURL": SCHEMA,
    }


def _inputs(run: Run) -> list[Event]:
    """What the run reads: its files and folders, and the addresses that its sources begin with."""
    files = [*run.paths, *(path for source in run.sources for path in source.paths)]
    addresses = [urlsplit(url) for source in run.sources for url in source.urls][:_LISTED]
    return [{"namespace": "file", "name": str(path.absolute())} for path in dict.fromkeys(files)] + [
        {"namespace": f"{url.scheme}://{url.netloc.rpartition('@')[2]}", "name": url.path or "/"}
        for url in addresses
    ]


def _outputs(run: Run, summary: Summary | None) -> list[Event]:
    """The two tables; with what the release added where there is one."""
    outputs = []
    for table in ("documents", "captures"):
        path = run.root.absolute() / "tables" / table
        output: Event = {"namespace": "file", "name": str(path), "facets": {}, "outputFacets": {}}
        if summary is not None and summary.release is not None:
            output["facets"] |= {
                "version": _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=str(summary.release)),
                "schema": _schema(table),
            }
            output["outputFacets"] |= {"outputStatistics": _added(run.root, table, summary.release)}
        outputs.append(output)
    return outputs


def _schema(table: str) -> Event:
    from cleancopy.store.schemas import CAPTURES, DOCUMENTS

    fields = [
        {"name": field.name, "type": str(field.type)[:200], "description": field.metadata[b"comment"].decode()}
        for field in (DOCUMENTS if table == "documents" else CAPTURES)
    ]
    return _facet("1-1-1/SchemaDatasetFacet", fields=fields)


def _added(root: StorePath, table: str, release: int) -> Event:
    from cleancopy.store import releases

    files = releases.read_manifest(root, release).files.get(table, [])
    return _facet(
        "1-0-2/OutputStatisticsOutputDatasetFacet",
        rowCount=sum(file.rows for file in files),
        size=sum(file.size for file in files),
        fileCount=len(files),
    )


def _facet(schema: str, **values: Any) -> Event:
    version_of, _, name = schema.partition("/")
    return {"_producer": producer(), "_schemaURL": f"{_FACETS}{version_of}/{name}.json#/$defs/{name}"} | values


def _post(url: str, body: bytes, api_key: str | None) -> None:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    # ``target`` lets http and https through, nothing else.
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
        pass


def _now() -> str:
    return datetime.now(UTC).isoformat()
