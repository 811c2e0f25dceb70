"""What the steps of an ingest hand to each other: the run, what is known, what was decided, the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from cleancopy.policy import Policy
from cleancopy.sources.settings import Fetching, Source
from cleancopy.store.paths import StorePath, work_folder
from cleancopy.store.rows import LedgerEntry, Outcome
from cleancopy.version import fingerprint, parts


@dataclass(frozen=True, slots=True)
class Run:
    """One ingest under way: what it reads, where it writes, and under which policy."""

    raw: Path
    root: StorePath
    paths: tuple[Path, ...]
    policy: Policy
    workers: int
    name: str
    release: int
    started: float
    source: str = "raw"
    sources: tuple[Source, ...] = field(default=(), compare=False)
    fetching: Fetching = field(default_factory=Fetching)

    @property
    def work(self) -> Path:
        """The folder of the run's spool files."""
        return work_folder(self.root, self.source)

    def __hash__(self) -> int:
        return hash((self.name, self.release))

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the pipeline fingerprint that hold for all documents of the run."""
        return _parts(self)

    @property
    def fingerprint(self) -> str:
        """The digest over these parts: the base of what the ledger knows a payload by."""
        return _fingerprint(self)

    def spool(self, step: str, shard: int) -> Path:
        """The spool file in which a step leaves a shard."""
        return self.work / f"{step}-{shard:05d}"


# Both are asked for every capture.
@lru_cache(maxsize=8)
def _parts(run: Run) -> dict[str, str]:
    return parts(run.policy)


@lru_cache(maxsize=8)
def _fingerprint(run: Run) -> str:
    return fingerprint(_parts(run))


@dataclass(frozen=True, slots=True)
class SeenPayload:
    """What the ledger says of a payload that was seen under its key before."""

    fingerprint: str
    outcome: Outcome
    kind: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class InputNote:
    """A fault in an input that did not cost its page: a wrong date or digest in a WARC record, for example."""

    input: str
    member: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An address whose page its server says is gone: the documents of these keys are, too."""

    entry: LedgerEntry
    keys: tuple[str, ...]


class CleanedEntry(NamedTuple):
    """A document that a run has cleaned, as the publishing step needs to know it."""

    entry: LedgerEntry
    text_sha256: str
    words: int
    canonical: bool
    signature: bytes
    chrome: str
    shard: int
    offset: int
    known: bool = False  # whether the payload was cleaned before, by another pipeline
    cut: tuple[tuple[str, int], ...] = ()  # characters cut, by stage
    kept: int = 0  # characters of clean text
    stored: int = 0  # the seq of the stored version that was cleaned again; 0 for a new capture


@dataclass(frozen=True, slots=True)
class Alarm:
    """A site whose chrome has suddenly another share of its pages: ``before`` and ``after`` are medians, 0-1.

    ``pages`` counts the pages that show it, ``again`` says that they are stored ones, cleaned again.
    """

    site: str
    pages: int
    before: float
    after: float
    again: bool
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did. ``counts`` by outcome add up to ``captures``; ``cut`` are characters by stage.

    ``sources`` has the counts of each source, ``sites`` the characters of each site, kept and cut by stage.
    """

    run: str
    release: int | None
    inputs: int
    captures: int
    counts: Mapping[str, int]
    rejected: Mapping[str, int]
    recleaned: int
    cut: Mapping[str, int]
    kept: int
    chrome: Mapping[str, int]
    content_root: str
    live: int
    seconds: float
    rejections: tuple[LedgerEntry, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sites: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    overflow: int = 0  # pairs of documents never compared, because too many shared a band of their signatures

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain values, for JSON."""
        return asdict(self) | {"rejections": [one._asdict() for one in self.rejections]}
