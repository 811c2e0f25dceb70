"""The record of decisions: what people decided about documents, and what of it holds.

    restore    a cut of a document stays in its text, or a document that was taken for a copy stands by itself
    pin        a document's text stays as it is, whatever its page or the pipeline becomes
    takedown   a document, an address or a site is gone from every export and later release, and is read no more
    caption-apart, caption-merge   two captions are two, or one, whatever comparing them says
    undo       an earlier decision holds no more

The record is ``clean/decisions.jsonl`` (decision_log.py): a line each, in the order they were made. The
commands that make decisions are in ``cleancopy.curation``; every ingest asks here what holds.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from cleancopy.document import Cut, Document, doc_id, erased_key, is_erased
from cleancopy.errors import RejectReason, StoreError
from cleancopy.stages.captions.clusters import DecidedPairs
from cleancopy.stages.captions.wordings import read_wording
from cleancopy.store import archive, tables
from cleancopy.store.decision_log import Decision, DecisionKind, append, path, read_all
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import LedgerEntry, Version, erased_input
from cleancopy.warc.address import match_form, match_site

#: The part of a version's fingerprint that says which cuts were to stay.
RESTORED = "restored"
#: Kinds that say something of other decisions and hold nothing themselves; chrome decisions are in the chrome.
_NO_STATE = ("undo", "forget", "chrome-pin", "chrome-drop", "chrome-undo")

__all__ = ["Decision", "DecisionKind", "Decisions", "append", "path", "read_all", "read_decisions"]


class _Takedowns(NamedTuple):
    """What the takedowns that hold name, by the form in which it is looked up."""

    targets: Mapping[str, Decision]
    payloads: Mapping[str, Decision]
    addresses: Mapping[str, Decision]


@dataclass(frozen=True)
class Decisions:
    """The decisions that hold."""

    made: tuple[Decision, ...] = ()

    def with_restored_cuts(self, document: Document) -> Document:
        """The document without the cuts that are to stay."""
        texts = {
            unicodedata.normalize("NFC", decision.text)
            for decision in self._of("restore", document.doc_id)
            if decision.text is not None
        }
        if not texts:
            return document
        kept = [cut for cut in document.cuts if cut_text(document, cut) not in texts]
        return document if len(kept) == len(document.cuts) else replace(document, cuts=tuple(kept))

    def has_restored_cuts(self, document: str) -> bool:
        """Whether some cut of a document is to stay."""
        return any(decision.text is not None for decision in self._of("restore", document))

    def with_restored_part(self, parts: Mapping[str, str], document: str) -> dict[str, str]:
        """The parts of a version of a document with these decisions on its cuts."""
        texts = sorted(decision.text for decision in self._of("restore", document) if decision.text is not None)
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        others = {name: part for name, part in parts.items() if name != RESTORED}
        return others | ({RESTORED: digest} if texts else {})

    def are_applied(self, version: Version) -> bool:
        """Whether a version was made under these decisions on its cuts."""
        return self.with_restored_part(version.parts, version.doc_id) == version.parts

    @property
    def takes_down(self) -> bool:
        """Whether anything is taken down."""
        return any(decision.kind == "takedown" for decision in self.made)

    def pinned(self, document: str) -> bool:
        """Whether a document's text stays as it is."""
        return any(self._of("pin", document))

    def stands_alone(self, document: str) -> bool:
        """Whether a document is to stand by itself, though it is a copy."""
        return any(decision.text is None for decision in self._of("restore", document))

    @property
    def takes_down_sites(self) -> bool:
        """Whether a whole site is taken down: then a page may tell only when it is read that it is."""
        return any(target.startswith("site:") for target in self._takedowns.targets)

    @cached_property
    def _takedowns(self) -> _Takedowns:
        takedowns = [decision for decision in reversed(self.made) if decision.kind == "takedown"]
        return _Takedowns(
            {match_target(decision.target): decision for decision in takedowns},
            {payload: decision for decision in takedowns for payload in decision.payloads},
            {digest: decision for decision in takedowns for digest in decision.addresses},
        )

    def takedown_of(
        self, key: str, url: str | None, site: str | None, payload: str | None, asked: str | None = None
    ) -> Decision | None:
        """The takedown that a capture falls under, by its key, address, site or payload.

        ``asked`` is the input that it came by, such as an address that led elsewhere.
        """
        if not self.made:
            return None
        targets, payloads, addresses = self._takedowns
        if not (targets or payloads or addresses):
            return None
        document = doc_id(key)
        forms = {match_form(address) for address in (key, url, asked) if address}
        names = [document, *(f"url:{form}" for form in sorted(forms)), f"capture:{payload}"]
        names += [f"site:{match_site(site)}"] if site else []
        if by_name := next((targets[name] for name in names if name in targets), None):
            return by_name
        # Under another name it is the same page, but for the copies that stay.
        by_payload = payloads.get(payload or "")
        if by_payload and document not in by_payload.copies:
            return by_payload
        digests = (_digest(form) for form in forms) if addresses else ()
        return next((addresses[digest] for digest in digests if digest in addresses), None)

    def rejection(self, entry: LedgerEntry) -> str | None:
        """Why a capture is not to be read; None where nothing speaks against it."""
        takedown = self.takedown_of(entry.key, entry.url, entry.site, entry.payload_sha256, entry.input)
        if takedown is None:
            return None
        why = f" ({takedown.note})" if takedown.note else ""
        number = takedown.number
        return f"was taken down by decision {number}{why}; cleancopy decisions undo {number} allows it"

    def caption_pairs(self) -> dict[frozenset[int], Decision]:
        """The decisions on two captions by the digests of their wordings; of each pair the last one."""
        pairs: dict[frozenset[int], Decision] = {}
        for decision in self.made:
            if decision.kind in ("caption-apart", "caption-merge"):
                wordings = frozenset(read_wording(text).digest for text in (decision.text or "").splitlines())
                if len(wordings) == 2:  # else it was erased, or the two read the same by now
                    pairs.pop(wordings, None)
                    pairs[wordings] = decision
        return pairs

    def on_captions(self) -> DecidedPairs:
        """What was decided of pairs of captions, in the order of the decisions."""
        pairs = [(tuple(sorted(pair)), decision.kind) for pair, decision in self.caption_pairs().items()]
        apart, merged = (
            tuple((pair[0], pair[1]) for pair, kind in pairs if kind == wanted)
            for wanted in ("caption-apart", "caption-merge")
        )
        return DecidedPairs(apart, merged)

    def refused(self, entry: LedgerEntry) -> LedgerEntry | None:
        """The entry of a capture that is not to be read; None where nothing speaks against it.

        Of one that was erased it names nothing that the page or its file may tell.
        """
        takedown = self.takedown_of(entry.key, entry.url, entry.site, entry.payload_sha256, entry.input)
        why = self.rejection(entry)
        if takedown is None or why is None:
            return None
        if takedown.erases:
            entry = without_names(entry)
        message = f"{entry.input}: {why}"
        return entry._replace(outcome="rejected", kind=str(RejectReason.TAKEN_DOWN), message=message)

    def _of(self, kind: DecisionKind, document: str) -> Iterator[Decision]:
        return (decision for decision in self.made if decision.kind == kind and decision.target == document)


def match_target(target: str) -> str:
    """A takedown's target in the form by which captures are held against it."""
    kind, _, name = target.partition(":")
    if kind == "url":
        return f"url:{match_form(name)}"
    return f"site:{match_site(name)}" if kind == "site" else target


def address_digest(address: str) -> str:
    """By what an address or an input is refused that must not be named any more: SHA-256, 64 hex digits."""
    return _digest(match_form(address))


def _digest(form: str) -> str:
    return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()


def without_names(entry: LedgerEntry) -> LedgerEntry:
    """The entry without anything that the page or its file may tell."""
    key = erased_key(doc_id(entry.key)) if entry.key else ""
    return entry._replace(input=erased_input(entry.input), key=key, url=None, site=None, message=None)


def cut_text(document: Document, cut: Cut) -> str:
    """The text of a cut, by which it is known again in a later version: its words in NFC, one space between."""
    return unicodedata.normalize("NFC", " ".join(document.text[cut.start : cut.end].split()))


def read_decisions(root: StorePath) -> Decisions:
    """The decisions that hold."""
    decisions = read_all(root)
    undone = {int(decision.target) for decision in decisions if decision.kind == "undo"}
    return Decisions(
        tuple(
            decision
            for decision in decisions
            if decision.kind not in _NO_STATE and decision.number not in undone
        )
    )


def holding(root: StorePath) -> frozenset[int]:
    """The numbers of the decisions that hold, on chrome, too: of each entry of a chrome the last one does."""
    last = {decision.target: decision for decision in read_all(root) if decision.kind.startswith("chrome-")}
    on_chrome = {decision.number for decision in last.values() if decision.kind != "chrome-undo"}
    return frozenset({decision.number for decision in read_decisions(root).made} | on_chrome)


def purged(root: StorePath) -> Callable[[archive.ArchiveRef], bool]:
    """Whether takedowns have overwritten a record in the archive; undoing them brings nothing back."""
    names = {name for decision in read_all(root) for name in decision.purged}
    return lambda ref: record_name(ref) in names or ref.record_id in names


def record_name(ref: archive.ArchiveRef) -> str:
    """A record by where it is: its id comes again with the same page."""
    return f"{ref.file}@{ref.offset}"


def unpurged(root: StorePath) -> list[archive.ArchiveRef]:
    """The records that were to be purged and still have their bytes: a takedown was cut short."""
    names = {name for decision in read_all(root) for name in decision.purged}
    if not names:
        return []
    named = {archive.ArchiveRef(**row["archive"]) for row in captures(root) if row["archive"]}
    return sorted(ref for ref in named if record_name(ref) in names and _has_bytes(root, ref))


def _has_bytes(root: StorePath, ref: archive.ArchiveRef) -> bool:
    try:
        return not archive.is_purged(root, ref)
    except StoreError:
        return False  # verify says what is wrong with the file


# ---- what a takedown means among stored documents


_NAMED_BY = ["doc_id", "version_id", "key", "url", "site", "payload_sha256"]
_READ = [*_NAMED_BY, "input", "outcome", "fingerprint"]


def taken_down(root: StorePath, decisions: Decisions, as_of: int | None = None) -> frozenset[str]:
    """The stored documents that are to be down: their text, now or in a release, is of a capture that is.

    That is the capture that made the latest version, or one that only confirmed it.
    """
    if not decisions.takes_down:
        return frozenset()
    latest = _tuples(tables.latest(root, columns=_NAMED_BY, as_of=as_of))
    down = {
        document for document, _, key, *named in latest if is_erased(key) or decisions.takedown_of(key, *named)
    }
    texts = {(document, version) for document, version, *_ in latest if document not in down}
    for document, version, *named, outcome, made_by in _tuples(tables.captures(root, columns=_READ)):
        # Without a fingerprint is what has another text, and waits to become a version.
        confirmed = outcome != "rejected" and made_by and (document, version) in texts
        if confirmed and decisions.takedown_of(*named):
            down.add(document)
    return frozenset(down)


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def captures(root: StorePath) -> Iterator[dict[str, Any]]:
    """What identifies every version of every document, and every capture, and where its record is.

    ``made`` is whether it made its version, ``input`` what it came by, where that is known.
    """
    for row in tables.captures(root, columns=[*_NAMED_BY, "input", "archive", "outcome"]).to_pylist():
        yield row | {"made": False}
    for row in tables.versions(root, [*_NAMED_BY, "archive"]).to_pylist():
        yield row | {"outcome": "new", "input": None, "made": True}
