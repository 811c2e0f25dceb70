"""The last step of an ingest: one commit of what it planned, the release, and then what people read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from cleancopy.corpus import views
from cleancopy.ingest.captions import recut
from cleancopy.ingest.plan import Plan, Planned, make_plan, read_cleaned
from cleancopy.ingest.report import summarize
from cleancopy.ingest.run import Run, Summary
from cleancopy.stages.captions.elsewhere import PART
from cleancopy.stages.duplicates import Duplicate
from cleancopy.store import caption_table, chrome_profiles, decisions, releases, rows, tables
from cleancopy.store.decisions import Decisions
from cleancopy.store.rows import Status, Version
from cleancopy.store.workdir import active_runs
from cleancopy.version import fingerprint

#: Seconds that a run waits for others to publish before it gives up; its work stays for the next one.
PUBLISH_TIMEOUT = 3_600.0


def publish(run: Run, shards: int) -> Summary:
    """Commit what the run has cleaned, write the release, refresh what people read; the run's summary.

    ``shards`` counts the shards of ``clean_shard`` and ``reclean`` together. Runs of other sources that
    publish at the same time are waited for; what they published is taken into account.
    """

    def attempt() -> Summary:
        with releases.writing(run.root, PUBLISH_TIMEOUT, keep=partial(active_runs, run.root)) as release:
            return _publish(replace(run, release=release), shards)

    return releases.again(attempt)


def _publish(run: Run, shards: int) -> Summary:
    people = decisions.read_decisions(run.root)
    plan = make_plan(run, shards, people)
    for chrome in run.snapshot.learned_chromes.values():
        chrome_profiles.write(run.root, chrome)
    release = None if plan.is_empty else run.release
    if release is not None:
        _commit(run, plan, people)
    touched = {version.doc_id for version in plan.versions} | set(plan.moved)
    statuses = {
        doc: "duplicate" if doc in plan.duplicates else "unchanged"
        for doc in plan.moved
        if doc not in plan.gone
    }
    views.refresh(run.root, run.release - 1, release, touched, plan.entries, statuses)
    if release is not None or caption_table.is_behind(run.root):
        caption_table.refresh(run.root, run.policy.captions)
    else:
        caption_table.tidy(run.root)
    recleaned = sum(version.cleaned.stored > 0 for version in plan.versions)
    return summarize(run, release, plan.entries, plan.cleaned, recleaned, plan.overflow, plan.page_moves)


def _commit(run: Run, plan: Plan, people: Decisions) -> None:
    """Write versions and captures in one commit, and the release."""
    releases.commit(
        run.root,
        run.release,
        rows.document_batches(_rows(run, plan, people)),
        rows.capture_batches(sorted(plan.ledger, key=lambda e: (e.input, e.member or "", e.key))),
        run=run.name,
        fingerprint=run.fingerprint,
        parts=run.parts,
    )


def _rows(run: Run, plan: Plan, people: Decisions) -> Iterator[Version]:
    """The versions to write: first what the run cleaned, then what only changed its status."""
    for planned in plan.versions:
        is_last = plan.heads[planned.doc_id].planned is planned
        duplicate = plan.duplicates.get(planned.doc_id) if is_last else None
        yield _with_pointer(_version(run, planned, people), duplicate)
    for batch in tables.latest_batches(run.root, documents=plan.moved) if plan.moved else ():
        for stored in rows.table_to_versions(batch):
            version = replace(
                stored, seq=stored.seq + 1, release=run.release, change="duplicate", restored_from=None
            )
            if version.doc_id in plan.taken_down:
                yield replace(rows.taken_down(version), change="takedown", parent=version.version_id)
            elif plan.heads[version.doc_id].status == "gone":
                yield replace(rows.gone(version), change="source")
            else:
                if version.doc_id in plan.recut:
                    version = recut(version, plan.repeats.get(version.doc_id, ()), run.policy, people)
                yield _with_pointer(version, plan.duplicates.get(version.doc_id))


def _version(run: Run, planned: Planned, people: Decisions) -> Version:
    cleaned = planned.cleaned
    elsewhere = {PART: cleaned.elsewhere} if cleaned.elsewhere else {}
    parts = people.with_restored_part(run.parts | {"chrome": cleaned.chrome} | elsewhere, planned.doc_id)
    return Version(
        document=read_cleaned(run, cleaned),
        seq=planned.seq,
        release=run.release,
        change=planned.change,
        parent=planned.parent,
        fingerprint=fingerprint(parts),
        parts=parts,
        captured=cleaned.entry.captured,
        archive=cleaned.entry.archive,
        signature=cleaned.signature,
    )


def _with_pointer(version: Version, duplicate: Duplicate | None) -> Version:
    """The version with its pointer to the copy that stands for it, or without one."""
    status: Status = "duplicate" if duplicate else "live"
    if duplicate is None and version.status == status and version.duplicate_of is None and not version.match:
        return version
    if duplicate is None:
        return replace(version, status=status, duplicate_of=None, match={})
    match = {
        "rule": duplicate.rule, "jaccard": duplicate.jaccard, "containment": duplicate.containment,
        "reason": duplicate.reason, **duplicate.evidence,
    }  # fmt: skip
    return replace(version, status=status, duplicate_of=duplicate.keeper, match=match)
