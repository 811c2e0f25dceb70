"""Rollback: a new release whose documents stand as they did in an older one.

Nothing is taken back: for each document that differs by now, the row of the older release is written
once more, as its latest version (change ``restored``, ``restored_from`` the older release). It keeps its
version id, so the new release has the content root of the old one. A document that came later is ``gone``.
What was taken down since stays down, and a copy of such a document stands by itself.

An ingest goes on from there. A rollback is a person's decision, and inputs that have not changed do not undo
it: their payloads are in the ledger, so they are not read again and the rollback stands. Only something new
changes that: a changed input, another policy or a newer cleancopy gives the document its next version, as
after any release. (Ingested again with changed bytes, a document that the rollback made gone is live again.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from cleancopy.corpus import views
from cleancopy.store import caption_table, decisions, releases, rows, tables, workdir
from cleancopy.store.decisions import Decisions
from cleancopy.store.paths import StorePath
from cleancopy.store.releases import Manifest
from cleancopy.store.rows import Version
from cleancopy.version import fingerprint

_STATE = ["doc_id", "seq", "version_id", "status", "duplicate_of"]


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did: its release (None where nothing had to change), and how many documents it
    brought back, made gone, and left down because they were taken down."""

    release: int | None
    to: int
    restored: int
    gone: int
    kept_down: int


def rollback(root: StorePath, to: int) -> Rollback:
    """Publish a release in which every document stands as it did in release ``to``, but for takedowns.

    Holds the store's writing lock and is published whole or not at all. Raises StoreError if there is no such
    release.
    """
    return releases.again(partial(_rollback, root, to))


def _rollback(root: StorePath, to: int) -> Rollback:
    with releases.writing(root, releases.PUBLISH_TIMEOUT, keep=partial(workdir.active_runs, root)) as release:
        target = releases.read_manifest(root, to)
        decided = decisions.read_decisions(root)
        down = decisions.taken_down(root, decided) | decisions.taken_down(root, decided, as_of=to)
        now, then = _states(root, None), _alone(_states(root, to), down)
        changed = {doc for doc, state in now.items() if doc not in down and _differs(state, then.get(doc))}
        back = {doc for doc in changed if doc in then}
        done = Rollback(release, to, len(back), len(changed - back), len(down & then.keys()))
        if not changed:
            return replace(done, release=None)
        versions = _versions(root, to, release, back, changed - back, now, decided)
        _publish(root, release, (_stands(version, then) for version in versions), target)
        statuses = {doc: "duplicate" if then[doc].status == "duplicate" else "unchanged" for doc in back}
        views.refresh(root, release - 1, release, changed, [], statuses)
        caption_table.refresh(root)
    return done


@dataclass(frozen=True, slots=True)
class _State:
    seq: int
    version_id: str
    status: str
    duplicate_of: str | None


def _states(root: StorePath, as_of: int | None) -> dict[str, _State]:
    """How each document stands, or stood in a release."""
    table = tables.latest(root, columns=_STATE, as_of=as_of)
    ids, *columns = (table.column(name).to_pylist() for name in _STATE)
    return {doc: _State(*values) for doc, *values in zip(ids, *columns, strict=True)}


def _alone(states: dict[str, _State], down: Collection[str]) -> dict[str, _State]:
    """The states, in which the copies of documents that are down stand by themselves."""
    return {
        doc: replace(state, status="live", duplicate_of=None) if state.duplicate_of in down else state
        for doc, state in states.items()
    }


def _stands(version: Version, then: Mapping[str, _State]) -> Version:
    """The version, without a pointer to a copy that does not come back with it."""
    state = then.get(version.doc_id)
    if version.duplicate_of is None or state is None or state.duplicate_of is not None:
        return version
    return replace(version, status="live", duplicate_of=None, match={})


def _differs(now: _State, then: _State | None) -> bool:
    """Whether a document must be written to stand as it stood; one that was not there is gone."""
    if then is None or then.status == "gone":
        return now.status != "gone"
    return (now.version_id, now.status, now.duplicate_of) != (then.version_id, then.status, then.duplicate_of)


def _versions(
    root: StorePath,
    to: int,
    release: int,
    back: set[str],
    gone: set[str],
    now: dict[str, _State],
    decided: Decisions,
) -> Iterator[Version]:
    """The rows to write: those of the older release again, and the latest ones of documents that it lacks."""
    for documents, as_of in ((back, to), (gone, None)):
        for batch in tables.latest_batches(root, as_of=as_of, documents=documents) if documents else ():
            for version in rows.table_to_versions(batch):
                again = replace(
                    version,
                    seq=now[version.doc_id].seq + 1,
                    release=release,
                    change="restored",
                    restored_from=to,
                )
                # What people have decided on its cuts does not undo the rollback; what they decide later does.
                again = again if decided.are_applied(again) else _with_parts(again, decided)
                yield again if documents is back else rows.gone(again)


def _with_parts(version: Version, decided: Decisions) -> Version:
    parts = decided.with_restored_part(version.parts, version.doc_id)
    return replace(version, parts=parts, fingerprint=fingerprint(parts))


def _publish(root: StorePath, release: int, versions: Iterator[Version], target: Manifest) -> None:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-rollback-{target.release}"
    releases.commit(
        root,
        release,
        rows.document_batches(versions),
        rows.capture_batches([]),
        run=name,
        fingerprint=target.fingerprint,
        parts=target.parts,
    )
