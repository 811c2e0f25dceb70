"""An ingest as plain functions: what flows orchestrate and ``--plain`` runs at once.

    begin -> discover -> read_shard ... -> learn -> clean_shard ... -> reclean -> publish

Between the steps a shard lies in spool files below ``clean/.work``, so that each step can be a task of its
own and hands on paths and counts, never text. Nothing that others read changes before ``publish``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cleancopy.errors import PolicyError
from cleancopy.extract.isolation import relaxed_gc
from cleancopy.ingest.clean_shard import clean_shard, reclean
from cleancopy.ingest.discover import discover
from cleancopy.ingest.learn import learn
from cleancopy.ingest.preview import count_inputs
from cleancopy.ingest.publish import publish
from cleancopy.ingest.read import read_shard
from cleancopy.ingest.reclean_sites import reclean_sites
from cleancopy.ingest.run import Run, Summary
from cleancopy.policy import Policy
from cleancopy.sources.settings import Fetching, Source
from cleancopy.sources.web.crawl import check_contact
from cleancopy.stages.duplicates import signing
from cleancopy.store import dedup_index, releases
from cleancopy.store.paths import StorePath, local_folder
from cleancopy.store.workdir import claim_workdir
from cleancopy.version import fingerprint, parts

__all__ = [
    "begin",
    "clean_shard",
    "discover",
    "ingest",
    "learn",
    "preview",
    "publish",
    "read_shard",
    "reclean",
    "reclean_sites",
]

#: Told the name of a step, how many of its parts are done, and of how many.
Progress = Callable[[str, int, int], None]


@contextmanager
def begin(
    *,
    raw: Path,
    root: StorePath,
    paths: Sequence[Path] = (),
    policy: Policy | None = None,
    workers: int = 1,
    name: str | None = None,
    source: str = "raw",
    sources: Sequence[Source] = (),
    fetching: Fetching | None = None,
) -> Iterator[Run]:
    """A run that holds its source; what an interrupted run of the same plan left is taken up.

    ``sources`` are read besides ``paths``, or in their place; ``fetching`` says how those on the web are asked.
    Raises Busy if another run of the source is under way, PolicyError for wrong paths; runs of other sources go
    on side by side and wait for each other only to publish.
    """
    chosen = _checked_paths(raw, root, paths, sources)
    policy, fetching = policy or Policy(), fetching or Fetching()
    check_contact(sources, fetching)
    dedup_index.open_index(root, signing(policy.duplicates))  # rejects at once what publishing would in the end
    fresh = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    plan = _plan(raw, chosen, policy, (*sources, fetching))
    with claim_workdir(root, source, plan, name or fresh) as claim, relaxed_gc():
        yield Run(
            raw=raw,
            root=root,
            paths=chosen,
            policy=policy,
            workers=workers,
            name=claim,
            release=releases.next_number(root),
            started=datetime.now(UTC).timestamp(),
            source=source,
            sources=tuple(sources),
            fetching=fetching,
        )


def _plan(raw: Path, paths: Sequence[Path], policy: Policy, sources: Sequence[object]) -> str:
    """The digest of what decides how a run's shards come out, but for the inputs themselves."""
    origins = [*(str(path.absolute()) for path in (raw, *paths)), *map(repr, sources)]
    return hashlib.sha256(json.dumps([origins, fingerprint(parts(policy))]).encode()).hexdigest()


def _checked_paths(
    raw: Path, root: StorePath, paths: Sequence[Path], sources: Sequence[Source]
) -> tuple[Path, ...]:
    """The paths to read: those that are named, else ``raw`` where there is no source. Raises PolicyError."""
    chosen = tuple(paths) or (() if sources else (raw,))
    if raw.exists() and not raw.is_dir():
        raise PolicyError(f"{raw}: raw is not a folder; name the folder with --raw, and a file as PATH")
    folder = local_folder(root)
    for path in (*chosen, *(path for source in sources for path in source.paths)) or (raw,):
        if folder and folder.resolve().is_relative_to(path.resolve()):
            raise PolicyError(
                f"{root}: lies inside {path}, which is read; put clean elsewhere, or name other paths"
            )
    return chosen


def ingest(run: Run, progress: Progress = lambda step, done, of: None) -> Summary:
    """Every step of an ingest, one after the other, in this process and its workers."""
    shards = discover(run)
    for number in range(shards):
        read_shard(run, number, partial(progress, "read"))
    learn(run, shards)
    for number in range(shards):
        clean_shard(run, number)
        progress("decide", number + 1, shards)
    reclean(run, shards)
    return publish(run, shards + 1)


def preview(
    *,
    raw: Path,
    root: StorePath,
    paths: Sequence[Path] = (),
    policy: Policy | None = None,
    source: str = "raw",
    sources: Sequence[Source] = (),
    fetching: Fetching | None = None,
) -> dict[str, int]:
    """What an ingest would find, by what it would do with it; nothing is fetched, archived or written.

    ``new`` and ``known`` count the captures in files, ``refused`` what is none, ``fetched`` the addresses that
    would be asked first.
    """
    chosen = _checked_paths(raw, root, paths, sources)
    policy, fetching = policy or Policy(), fetching or Fetching()
    check_contact(sources, fetching)
    return count_inputs(Run(raw, root, chosen, policy, 0, "preview", 0, 0.0, source, tuple(sources), fetching))
