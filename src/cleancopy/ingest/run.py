"""What the steps of an ingest hand to each other: the run, cleaned entries, notes, alarms, the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cleancopy.ingest.snapshot import Snapshot
from cleancopy.policy import Policy
from cleancopy.sources.settings import Fetching, Source
from cleancopy.store.paths import StorePath, work_folder
from cleancopy.store.rows import LedgerEntry


@dataclass(frozen=True)
class Run:
    """One ingest under way: what it reads, where it writes, under which policy."""

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

    @cached_property
    def snapshot(self) -> Snapshot:
        """What the run has looked up in the store; it ends with the run; a copy begins its own."""
        return Snapshot(self.root, self.work, self.policy)

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the pipeline fingerprint that hold for all documents of the run."""
        return self.snapshot.parts

    @property
    def fingerprint(self) -> str:
        """The digest over these parts: the base of what the ledger knows a payload by."""
        return self.snapshot.fingerprint

    def spool(self, step: str, shard: int) -> Path:
        """The spool file in which a step leaves a shard."""
        return self.work / f"{step}-{shard:05d}"


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
    cleaned_before: bool = False  # the payload, by another pipeline
    cut: tuple[tuple[str, int], ...] = ()  # characters cut, by stage
    kept: int = 0  # characters of clean text
    stored: int = 0  # the seq of the stored version that was cleaned again; 0 for a new capture
    elsewhere: str = ""  # the part of its version that says which captions other documents carry
    has_spans: bool = False  # whether there is more to the text than is plain
    chrome_stopped: bool = False  # whether learned chrome was not applied, as it would have taken too much


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to look at in a run that ended well.

    ``name`` is the kind of alarm; ``about`` names the site or source (``resource`` says which) that it is
    about. ``message`` ends with what to do; ``facts`` are its figures.
    """

    name: str
    resource: str
    about: str
    message: str
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The alarm as one flat dictionary: site or source under its own name, figures beside it."""
        return {"name": self.name, self.resource: self.about, "message": self.message, **self.facts}


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
    chrome_stopped: Mapping[str, int] = field(default_factory=dict)  # pages without learned chrome, by site
    moved: Mapping[str, str] = field(default_factory=dict)  # keys of pages that moved, to where they are now

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain values, for JSON."""
        return asdict(self) | {
            "rejections": [entry._asdict() for entry in self.rejections],
            "alarms": [alarm.as_dict() for alarm in self.alarms],
        }
