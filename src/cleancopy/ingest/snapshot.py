"""What a run knows of the store: looked up once, when first asked for, held by the run, and gone with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import SiteChrome
from cleancopy.store import chrome_profiles, decisions, releases, tables
from cleancopy.store.archive import ArchiveRef
from cleancopy.store.paths import StorePath, published_releases
from cleancopy.store.rows import Outcome
from cleancopy.store.spool import read_spool
from cleancopy.version import equal_fingerprints, fingerprint, parts


@dataclass(frozen=True, slots=True)
class SeenPayload:
    """What the ledger says of a payload that was seen under its key before."""

    fingerprint: str
    outcome: Outcome
    kind: str | None
    message: str | None


class Ledger(NamedTuple):
    """What the ledger says of payloads seen before, and of the inputs that held them.

    ``payloads`` is by key and SHA-256; ``last`` has the SHA-256 that an input, member and key had last.
    """

    payloads: Mapping[tuple[str, str], SeenPayload]
    last: Mapping[tuple[str, str | None, str], str]


@dataclass(frozen=True)
class Snapshot:
    """What a run knows of the store below ``root``; ``work`` is the folder of its spool files.

    Every property reads the store when it is first asked for and never again, so that all steps of a run see
    the same. Publishing is the exception: it reads again under the lock of the store.
    """

    root: StorePath
    work: Path
    policy: Policy

    def __reduce__(self) -> tuple[type[Snapshot], tuple[StorePath, Path, Policy]]:
        # A worker in another process looks up what it needs: the ledger of a large store is no message.
        return Snapshot, (self.root, self.work, self.policy)

    @cached_property
    def parts(self) -> dict[str, str]:
        """The parts of the pipeline fingerprint that hold for all documents of the run."""
        return parts(self.policy)

    @cached_property
    def fingerprint(self) -> str:
        """The digest over these parts."""
        return fingerprint(self.parts)

    @cached_property
    def ledger(self) -> Ledger:
        """The payloads and inputs that the table of captures has."""
        columns = [
            "input", "member", "key", "payload_sha256", "captured", "fingerprint", "outcome", "kind", "message",
            "release",
        ]  # fmt: skip
        table = tables.captures(self.root, columns=columns)
        payloads: dict[tuple[str, str], SeenPayload] = {}
        last: dict[tuple[str, str | None, str], str] = {}
        equal = self._equal_fingerprints(table["fingerprint"].unique().to_pylist())
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        for row in sorted(rows, key=lambda r: (r[-1], r[4] or "")):
            source, member, key, payload, _, made_by, stored_outcome, kind, message, _ = row
            if not key:
                continue
            outcome: Outcome = "rejected" if stored_outcome == "rejected" else "unchanged"
            made_by = self.fingerprint if made_by in equal else made_by
            payloads[key, payload or ""] = SeenPayload(made_by, outcome, kind, message)
            last[source, member, key] = payload or ""
        return Ledger(payloads, last)

    def _equal_fingerprints(self, stored: Collection[str]) -> frozenset[str]:
        """The fingerprints in the ledger by which other words than today's name the pipeline of today."""
        if not set(stored) - {self.fingerprint, ""}:
            return frozenset()
        manifests = (releases.read_manifest(self.root, number) for number in published_releases(self.root))
        return equal_fingerprints(self.parts, (manifest.parts for manifest in manifests))

    @cached_property
    def decisions(self) -> decisions.Decisions:
        """What people have decided on documents, addresses and sites."""
        return decisions.read_decisions(self.root)

    @cached_property
    def archived(self) -> Mapping[str, ArchiveRef]:
        """Where the archive has each payload, by SHA-256; without what was purged."""
        return tables.archived(self.root, without=decisions.purged(self.root))

    @cached_property
    def usage(self) -> dict[str, tuple[bool, str | None]]:
        """What the owner of each document said about its use when last looked at, by doc_id."""
        return tables.usage(self.root)

    @cached_property
    def moved(self) -> dict[str, str]:
        """Where pages have moved for good: old key to new key."""
        return tables.moved(self.root)

    @cached_property
    def last_captured(self) -> dict[str, str]:
        """When each document was last captured, by id."""
        return tables.last_captured(self.root)

    @cached_property
    def gone_by(self) -> dict[str, str]:
        """The keys of documents that are gone, each with the change that made them so."""
        table = tables.latest(self.root, columns=["key", "change"], status="gone")
        return dict(zip(table["key"].to_pylist(), table["change"].to_pylist(), strict=True))

    @cached_property
    def brought_back(self) -> frozenset[str]:
        """The keys of documents that are gone by a takedown: those that come this far are no longer down."""
        return frozenset(key for key, change in self.gone_by.items() if change == "takedown")

    @cached_property
    def gone(self) -> frozenset[str]:
        """The keys of documents that are gone, but not by a rollback: what its server gives again is back."""
        return frozenset(key for key, change in self.gone_by.items() if change != "restored")

    @cached_property
    def learned_chromes(self) -> dict[str, SiteChrome]:
        """What the run has learned, by site; to be asked for once ``learn`` has left it."""
        return {chrome.site: chrome for chrome in read_spool(self.work / "chrome-00000")}

    def stored_chrome(self, site: str) -> SiteChrome | None:
        """The current chrome of a site as it is stored."""
        if site not in self._stored_chromes:
            self._stored_chromes[site] = chrome_profiles.current(self.root, site)
        return self._stored_chromes[site]

    @cached_property
    def _stored_chromes(self) -> dict[str, SiteChrome | None]:
        return {}
