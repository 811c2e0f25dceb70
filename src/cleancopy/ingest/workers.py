"""Captures read in a run's worker processes, in which a hostile page dies alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from cleancopy.document import Capture
from cleancopy.errors import Rejection
from cleancopy.extract.isolation import run_isolated
from cleancopy.ingest.entries import as_rejected
from cleancopy.ingest.isolated import read_pickled
from cleancopy.ingest.run import Run
from cleancopy.policy import Policy
from cleancopy.store.archive import Archive
from cleancopy.store.rows import LedgerEntry
from cleancopy.store.spool import Spool


def read_all(
    run: Run, tasks: Iterable[tuple[Capture, LedgerEntry]], spool: Spool, raw: Archive | None = None
) -> list[LedgerEntry]:
    """Read captures in the run's workers, into the spool; gives the entries of those that were rejected.

    The spool gets pairs of entry and document, the document pickled: only a step that needs it opens it again.
    What is not archived yet is archived in ``raw``, unless the site that it names is taken down.
    """
    entries: list[LedgerEntry] = []
    rejected: list[LedgerEntry] = []

    def captures() -> Iterator[Capture]:
        for capture, entry in tasks:
            entries.append(entry)
            yield capture

    results = run_isolated(
        partial(read_pickled, policy=run.policy),
        captures(),
        workers=run.workers,
        limits=run.policy.limits,
        preload=_preload(run.policy),
    )
    for at, (capture, result) in enumerate(results):
        entry = entries[at] if isinstance(result, Rejection) else entries[at]._replace(site=result[0])
        if raw is not None and entry.archive is None:
            if refused := run.snapshot.decisions.refused(entry):
                rejected.append(refused)
                continue
            entry = entry._replace(archive=raw.append(capture))
        if isinstance(result, Rejection):
            rejected.append(as_rejected(entry, result.kind, result.message))
        else:
            spool.append((entry, result[1]))
    return rejected


def _preload(policy: Policy) -> tuple[str, ...]:
    """Modules that the workers load once, before the first page."""
    modules = ["cleancopy.ingest.isolated"]
    if policy.content.method == "model":
        modules.append("cleancopy.stages.content.loaded")
    if policy.content.method == "trafilatura" or policy.content.comments:
        modules += ["trafilatura", "trafilatura.core"]
    return tuple(modules)
