"""Decisions: the commands that let a cut stay, keep a text as it is, take a page down, or undo one of these.

Each is written into the record (``cleancopy.store.decisions``), applied at once as a release of its own, and
honoured by every later run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Any

from cleancopy.corpus import views
from cleancopy.curation import erase as erasing
from cleancopy.document import Document, is_erased
from cleancopy.errors import PolicyError
from cleancopy.stages.chrome.cut import SiteChrome
from cleancopy.stages.chrome.profile import ChromeDecision
from cleancopy.store import (
    archive,
    caption_table,
    chrome_profiles,
    decision_log,
    releases,
    rows,
    tables,
    workdir,
)
from cleancopy.store import decisions as record
from cleancopy.store.decision_log import Decision, DecisionKind
from cleancopy.store.decisions import RESTORED, Decisions, captures, cut_text, record_name
from cleancopy.store.erasure import scope_of
from cleancopy.store.paths import StorePath, locked
from cleancopy.store.rows import Version
from cleancopy.version import fingerprint
from cleancopy.warc.address import match_form, match_site


def annotated(document: Document) -> Iterator[tuple[str, str]]:
    """Each block's verdict, ``keep`` or ``cut:stage``, and text; one that is cut in part gives several."""
    for block in document.blocks:
        for verdict, start, end in _verdicts(document, block.start, block.end):
            if text := document.text[start:end].strip():
                yield verdict, text


def _verdicts(document: Document, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    for cut in document.cuts:
        if cut.end > start and cut.start < end:
            yield "keep", start, max(start, cut.start)
            yield f"cut:{cut.stage}", max(start, cut.start), min(end, cut.end)
            start = min(end, cut.end)
    yield "keep", start, end


def as_case(document: Document, name: str | None = None, width: int = 60) -> str:
    """A document as an annotated test case: the page's name, then a line for each block, shortened."""
    lines = [f"# {name or document.key.removeprefix('file:')}"]
    for verdict, text in annotated(document):
        line = " ".join(text.split()) if len(text.split("\n")) == 1 else text.split("\n")[0] + "..."
        short = line if len(line) <= width else line[: line.rfind(" ", 0, width) + 1].rstrip() + "..."
        lines.append(f"{verdict} | {short}")
    return "\n".join(lines) + "\n"


# ---- deciding


#: So many addresses are compared with one that is not found.
_COMPARED = 5_000
#: Seconds that a decision on chrome waits for a run that is publishing.
_CHROME_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a decision did: the decision, its release (None where nothing had to change), the documents it
    is about, and the older releases that still hold their text.

    ``copies`` are documents with the same text that a takedown left; the next ingest makes one of them live.
    ``shared`` are the ids of records that were not purged, as such a copy was read from them.
    """

    decision: Decision
    release: int | None
    documents: tuple[str, ...] = ()
    held: tuple[int, ...] = ()
    copies: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    erased: erasing.Erased | None = None


def restore_cut(root: StorePath, document: str, number: int, note: str = "", *, by: str = "") -> Applied:
    """Let a cut stay in a document's text, now and in later versions; ``number`` counts its cuts from 1."""

    version = _version(root, document)
    if version.status == "gone":
        raise PolicyError(f"{document}: is gone; undo its takedown, or ingest it again")
    stored = version.document
    if not 1 <= number <= len(stored.cuts):
        raise PolicyError(f"{document}: has no cut {number}; it has {len(stored.cuts)}, see cleancopy explain")
    decision = Decision(0, "restore", document, "", note, cut_text(stored, stored.cuts[number - 1]), by=by)

    def change(version: Version) -> Version:
        now = record.read_decisions(root)
        before = Decisions(now.made[:-1])
        # A version that lagged behind earlier decisions still does: the next run decides on it again.
        lagged = not before.are_applied(version)
        parts = (
            dict(version.parts) | {RESTORED: ""} if lagged else now.with_restored_part(version.parts, document)
        )
        restored = Decisions((decision,)).with_restored_cuts(version.document)
        return replace(version, document=restored, parts=parts, fingerprint=fingerprint(parts))

    return apply(root, decision, lambda: [document], change)


def restore(root: StorePath, document: str, note: str = "", *, by: str = "") -> Applied:
    """Let a document that was taken for a copy of another stand by itself."""
    version = _version(root, document)
    if version.status == "gone":
        raise PolicyError(f"{document}: is gone, not cut; undo its takedown, or ingest it again")
    if version.status == "live":
        raise PolicyError(f"{document}: is no copy; name one of its cuts with --cut, see cleancopy explain")

    def change(version: Version) -> Version:
        return replace(version, status="live", duplicate_of=None, match={})

    return apply(root, Decision(0, "restore", document, "", note, by=by), lambda: [document], change)


def pin(root: StorePath, document: str, note: str = "", *, by: str = "") -> Applied:
    """Let a document's text stay as it is."""
    if record.read_decisions(root).pinned(document):
        raise PolicyError(f"{document}: is pinned already; see cleancopy decisions list")
    _version(root, document)
    return apply(root, Decision(0, "pin", document, "", note, by=by), list, lambda version: version)


def takedown(
    root: StorePath,
    target: str,
    note: str = "",
    *,
    purge: bool = False,
    by: str = "",
    elsewhere: erasing.Elsewhere = lambda needles: (),
) -> Applied:
    """Take a document (by id), ``url:...``, ``site:...`` or ``capture:...`` down, now and for later ingests.

    A document goes if its text is from a capture that is meant. Older releases keep their text; the result
    names them, and the copies that stay. A document that is named by its id stays down when its file is
    renamed: what it was read from is refused under any name that is not one of these copies.

    ``purge`` also erases these documents, and every other capture that is meant, from all releases, the archive
    and all else (erase.py), and ``elsewhere`` from what is no part of the store.
    """
    _check(root, target)
    decision = Decision(0, "takedown", target, "", note, by=by)
    plan = planned(root, decision, purge=purge)
    done = apply(
        root, plan.decision, lambda: _there(root, record.taken_down(root, plan.meant)), rows.taken_down
    )
    if purge:
        done = replace(done, erased=erasing.erase(root, elsewhere))
    return replace(
        done,
        documents=plan.documents,
        held=plan.held,
        copies=_copies(root, plan.down, plan.shared),
        shared=tuple(ref.record_id for ref in plan.shared),
    )


@dataclass(frozen=True)
class Planned:
    """What a takedown would do: the decision as it would be written, the documents that go or lose a version,
    those that are down then, the older releases that hold their text, and records that a copy shares."""

    decision: Decision
    meant: Decisions
    documents: tuple[str, ...]
    down: frozenset[str]
    held: tuple[int, ...]
    shared: tuple[archive.ArchiveRef, ...]


def planned(root: StorePath, decision: Decision, *, purge: bool) -> Planned:
    """What a takedown would do; nothing is written."""
    meant = Decisions((decision,))
    meant_rows = [row for row in captures(root) if _is_down(meant, row)]
    down = record.taken_down(root, meant)
    refs, shared = _to_purge(root, meant_rows, down) if purge else ([], [])
    payloads, alike = _payloads(root, down) if purge or decision.target in down else ((), ())
    decision = replace(decision, payloads=payloads, copies=alike)
    read_from = {row["doc_id"] for row in meant_rows if row["outcome"] != "rejected"}
    documents = read_from & tables.heads(root).keys()
    texts = {row["version_id"] for row in meant_rows}
    wanted = {document: None if document in down else texts for document in documents}
    if purge:
        wanted = {document: texts for document, texts in wanted.items() if texts is not None}
    held = {n for document, texts in wanted.items() for n in _holding(root, document, texts)}
    if purge:
        # Of a document that stays the versions that a capture made, not those that it confirmed.
        single = {row["version_id"] for row in meant_rows if row["doc_id"] not in down and row["made"]}
        decision = _erasing(root, decision, meant_rows, down, single, tuple(map(record_name, refs)))
    return Planned(decision, meant, tuple(sorted(documents)), down, tuple(sorted(held)), tuple(shared))


def _erasing(
    root: StorePath,
    decision: Decision,
    meant_rows: Sequence[dict[str, Any]],
    down: Collection[str],
    versions: Collection[str],
    records: tuple[str, ...],
) -> Decision:
    """The decision with all that it is to have erased."""
    stay = tables.heads(root).keys() - set(down)
    theirs = [row for row in captures(root) if row["doc_id"] in down]
    theirs += [row for row in meant_rows if row["doc_id"] not in stay]
    decision = replace(
        decision,
        purged=records,
        documents=tuple(sorted(down)),
        versions=tuple(sorted(versions)),
        addresses=erasing.addresses_of(theirs, decision.target),
    )
    every = erasing.own_lines(root, scope_of(Decisions((decision,))))
    blanked = erasing.fields_to_blank(root, decision.documents, every)
    return erasing.without_address(replace(decision, blanked=blanked))


@dataclass(frozen=True)
class Preview:
    """What a takedown would take: the keys of documents, how many captures, and records of the archive."""

    documents: tuple[str, ...]
    captures: int
    records: int

    @property
    def found(self) -> bool:
        """Whether anything that is stored is meant."""
        return bool(self.documents or self.captures)


def preview(root: StorePath, target: str, *, purge: bool = False) -> Preview:
    """What a takedown would take; nothing is written. Raises PolicyError as it does."""
    _check(root, target)
    plan = planned(root, Decision(0, "takedown", target, ""), purge=purge)
    rows_there = [row for row in captures(root) if _is_down(plan.meant, row) and not row["made"]]
    keys = {row["doc_id"]: row["key"] for row in captures(root)}
    return Preview(
        tuple(sorted(keys[document] for document in {*plan.documents, *plan.down})),
        len(rows_there),
        len(plan.decision.purged),
    )


def near(root: StorePath, target: str, most: int = 5) -> list[str]:
    """The stored addresses or sites that are most like a target which names none."""
    kind, _, name = target.partition(":")
    if kind not in ("url", "site"):
        return []
    forms: dict[str, str] = {}
    for row in captures(root):
        if kind == "site" and row["site"]:
            forms[match_site(row["site"])] = f"site:{row['site']}"
        elif kind == "url" and row["key"] and not is_erased(row["key"]):
            forms[match_form(row["key"])] = f"url:{row['key']}"
    wanted = match_site(name) if kind == "site" else match_form(name)
    parts = set(re.split(r"[/?&=]", wanted)) - {""}
    likely = [form for form in forms if kind == "site" or parts & set(re.split(r"[/?&=]", form))]
    return [forms[form] for form in get_close_matches(wanted, likely[:_COMPARED], most)]


def _payloads(root: StorePath, down: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The payloads that documents were read from, and the other documents that were read from one of them."""
    read = [row for row in captures(root) if row["outcome"] != "rejected" and row["payload_sha256"]]
    payloads = {row["payload_sha256"] for row in read if row["doc_id"] in down}
    others = {row["doc_id"] for row in read if row["payload_sha256"] in payloads and row["doc_id"] not in down}
    return tuple(sorted(payloads)), tuple(sorted(others))


def _there(root: StorePath, documents: Iterable[str]) -> list[str]:
    """The documents that are not gone, or are gone and still have their text in the last release."""
    versions = (_version(root, document) for document in sorted(documents))
    return [version.doc_id for version in versions if version.status != "gone" or version.document.text]


def _to_purge(
    root: StorePath, meant: Iterable[Mapping[str, Any]], down: Collection[str]
) -> tuple[list[archive.ArchiveRef], list[archive.ArchiveRef]]:
    """The archived records of documents and captures; and those of them that another document was read from."""
    of_documents = (row for row in captures(root) if row["doc_id"] in down)
    mine = {archive.ArchiveRef(**row["archive"]) for row in chain(meant, of_documents) if row["archive"]}
    others = tables.latest(root, columns=["doc_id", "status", "archive"]).to_pylist()
    theirs = {
        archive.ArchiveRef(**row["archive"])
        for row in others
        if row["archive"] and row["status"] != "gone" and row["doc_id"] not in down
    }
    return sorted(mine - theirs), sorted(mine & theirs)


def _copies(root: StorePath, down: Collection[str], shared: Collection[archive.ArchiveRef]) -> tuple[str, ...]:
    """The documents that stay and are copies of some that are down, or were read from the same record."""
    columns = ["doc_id", "status", "duplicate_of", "archive"]
    table = tables.latest(root, columns=columns).to_pylist()
    return tuple(
        sorted(
            row["doc_id"]
            for row in table
            if row["status"] != "gone"
            and (
                row["duplicate_of"] in down
                or (row["archive"] and archive.ArchiveRef(**row["archive"]) in shared)
            )
        )
    )


def undo(root: StorePath, number: int, note: str = "", *, by: str = "") -> Applied:
    """Let a decision hold no more.

    A page that was down comes back at once as it stood, whether its input is still there or not. At the next
    ingest a restored cut goes, and a pinned text becomes what its page or the pipeline made of it meanwhile.
    What a takedown erased comes back only where its input is still there.
    """
    held = record.read_decisions(root)
    undone = next((decision for decision in held.made if decision.number == number), None)
    if undone is None:
        raise PolicyError(f"there is no decision {number} that holds; see cleancopy decisions list")
    remaining = Decisions(tuple(decision for decision in held.made if decision.number != number))
    about = partial(_taken_back, root, undone, remaining) if undone.kind == "takedown" else list
    return apply(root, Decision(0, "undo", str(number), "", note, by=by), about, partial(_as_it_stood, root))


def _taken_back(root: StorePath, takedown: Decision, remaining: Decisions) -> list[str]:
    """The documents that a takedown alone holds down, and whose text the store still has."""
    meant = record.taken_down(root, Decisions((takedown,))) - record.taken_down(root, remaining)
    rows_there = tables.latest(root, columns=["doc_id", "key", "change"], status="gone").to_pylist()
    gone = {row["doc_id"] for row in rows_there if row["change"] == "takedown" and not is_erased(row["key"])}
    return sorted(document for document in meant & gone if _stood(root, document))


def _stood(root: StorePath, document: str) -> Version | None:
    """The version of a document before it was taken down, if it was live or a copy and is not erased."""
    history = [version for version in tables.history(root, document) if version.change != "takedown"]
    last = history[-1] if history else None
    return last if last and last.status != "gone" and not last.erased_sha256 else None


def _as_it_stood(root: StorePath, version: Version) -> Version:
    """What a document that was taken down was; a copy of one that is gone by now stands by itself."""
    stood = _stood(root, version.doc_id)
    if stood is None:
        return version
    keeper = (
        tables.heads(root, documents=[stood.duplicate_of]).get(stood.duplicate_of)
        if stood.duplicate_of
        else None
    )
    if stood.duplicate_of and (keeper is None or keeper.status != "live"):
        stood = replace(stood, status="live", duplicate_of=None, match={})
    return replace(stood, seq=version.seq, parent=version.parent)


def decide_chrome(
    root: StorePath, site: str, entry: str, decision: ChromeDecision | None, *, note: str = "", by: str = ""
) -> SiteChrome:
    """The new chrome of a site after an entry was pinned or dropped, or for None left to learning again.

    ``entry`` is an id that ``chrome show`` prints, or the line itself. Raises PolicyError where the site or the
    entry is not known. Documents change at the next ingest or reclean.
    """
    kind: DecisionKind = "chrome-undo"
    if decision is not None:
        kind = "chrome-pin" if decision == "pinned" else "chrome-drop"
    with releases.writing(root, _CHROME_TIMEOUT, keep=partial(workdir.active_runs, root)):
        chrome, changed = chrome_profiles.decided(root, site, entry, decision, f"{datetime.now(UTC):%Y-%m-%d}")
        target = f"{site} {changed.id}"
        record.append(root, Decision(0, kind, target, "", note, changed.example, by=by))
        chrome_profiles.write(root, chrome)
    return chrome


def forget(root: StorePath, numbers: Collection[int], note: str = "", *, by: str = "") -> Decision:
    """Give up decisions that the record has lost, so that the store can be written again."""
    with locked(root, _CHROME_TIMEOUT):
        last = releases.current(root)
        return decision_log.forget(root, numbers, last.decisions if last else "", note, by)


def apply(
    root: StorePath,
    decision: Decision,
    about: Callable[[], Sequence[str]],
    change: Callable[[Version], Version],
) -> Applied:
    """Write a decision down, then what it changes as a release; killed in between, the next run honours it."""
    written: list[Decision] = []

    def decided() -> Applied:
        with releases.writing(
            root, releases.PUBLISH_TIMEOUT, keep=partial(workdir.active_runs, root)
        ) as release:
            documents = about()
            if not written:
                written.append(record.append(root, decision))
            (recorded,) = written
            if not documents:
                return Applied(recorded, None)
            _publish(
                root, release, recorded, partial(_changed, root, release, set(documents), recorded, change)
            )
            views.refresh(root, release - 1, release, set(documents), [], {})
            caption_table.refresh(root)
        return Applied(recorded, release, tuple(documents))

    return releases.again(decided)


def _changed(
    root: StorePath, release: int, documents: set[str], decision: Decision, change: Callable[[Version], Version]
) -> Iterator[Version]:
    for batch in tables.latest_batches(root, documents=documents):
        for version in rows.table_to_versions(batch):
            why: rows.Change = "takedown" if decision.kind == "takedown" else "restored"
            after = change(version)
            parent = version.version_id if after.document != version.document else version.parent
            yield replace(
                after, seq=version.seq + 1, release=release, change=why, parent=parent, restored_from=None
            )


def _publish(
    root: StorePath, release: int, decision: Decision, versions: Callable[[], Iterable[Version]]
) -> None:
    before = releases.current(root)
    releases.commit(
        root,
        release,
        rows.document_batches(versions()),
        rows.capture_batches([]),
        run=f"decision-{decision.number}",
        fingerprint=before.fingerprint if before else "",
        parts=before.parts if before else {},
    )


# ---- what a decision is about


def _version(root: StorePath, document: str) -> Version:
    version = tables.version(root, document)
    if version is None:
        raise PolicyError(f"{document}: no such document; see cleancopy status --inputs")
    return version


def _check(root: StorePath, target: str) -> None:
    """Raise PolicyError for a takedown's target that cannot be read or is no document."""
    kind, _, name = target.partition(":")
    if kind == "capture" and not re.fullmatch(r"[0-9a-f]{64}", name):
        raise PolicyError(f"{target}: after capture: stands a payload's SHA-256, 64 hex digits")
    if kind == "url" and not re.match(r"https?://[^/\s]+|file:", name):
        raise PolicyError(
            f"{target}: after url: stands an http or https address, or the key of a file (file:...)"
        )
    if kind not in ("capture", "url", "site") or not name:
        _version(root, target)


def _is_down(takedowns: Decisions, row: Mapping[str, Any]) -> bool:
    named = (row["key"], row["url"], row["site"], row["payload_sha256"], row["input"])
    return takedowns.takedown_of(*named) is not None


def _holding(root: StorePath, document: str, texts: Collection[str] | None = None) -> list[int]:
    """The releases in which a document is live or a copy, with one of these versions if they are given."""
    history = tables.history(root, document)
    ends = [version.release for version in history[1:]] + [releases.next_number(root)]
    return [
        number
        for version, end in zip(history, ends, strict=True)
        if version.status != "gone" and (texts is None or version.version_id in texts)
        for number in range(version.release, end)
    ]
