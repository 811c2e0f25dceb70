"""What people decide about documents: a cut that stays, a text that stays as it is, a page that goes.

    restore    a cut of a document stays in its text, or a document that was taken for a copy stands by itself
    pin        a document's text stays as it is, whatever its page or the pipeline becomes
    takedown   a document, an address or a site is gone from every export and later release, and is read no more

Decisions are kept in ``clean/decisions.jsonl``, a line each, in the order they were made; ``undo`` adds a line,
none is ever rewritten. Each is applied at once, as a release of its own, and honoured by every later run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, Literal

import pyarrow as pa

from cleancopy.corpus import views
from cleancopy.document import Cut, Document, doc_id
from cleancopy.errors import ConflictError, PolicyError, StoreError
from cleancopy.store import archive, releases, rows, tables, workdir
from cleancopy.store.paths import StorePath, read_versioned
from cleancopy.store.paths import write_if_unchanged as changed
from cleancopy.store.rows import LedgerEntry, Version
from cleancopy.version import fingerprint

DecisionKind = Literal["restore", "pin", "takedown", "undo"]
#: The part of a version's fingerprint that says which cuts were to stay.
_RESTORED = "restored"
#: Seconds to wait while a run publishes.
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision: its number, what was decided, about what, when, and why in the words of who made it.

    ``target`` is a doc_id; of a takedown also ``url:...``, ``site:...`` or ``capture:`` and the SHA-256 of a
    payload; of an undo the number of the decision that ends. ``text`` is the cut that stays, None for a whole
    document. ``purged`` are the records whose bytes were overwritten in the archive, ``file@offset`` each (once
    it was their record ids).
    """

    number: int
    kind: DecisionKind
    target: str
    time: str
    note: str = ""
    text: str | None = None
    purged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions that hold."""

    made: tuple[Decision, ...] = ()

    def spared(self, document: Document) -> Document:
        """The document without the cuts that are to stay."""
        texts = {one.text for one in self._of("restore", document.doc_id) if one.text is not None}
        if not texts:
            return document
        kept = [cut for cut in document.cuts if plain(document, cut) not in texts]
        return document if len(kept) == len(document.cuts) else replace(document, cuts=tuple(kept))

    def restores(self, document: str) -> bool:
        """Whether some cut of a document is to stay."""
        return any(one.text is not None for one in self._of("restore", document))

    def carried_out(self, parts: Mapping[str, str], document: str) -> dict[str, str]:
        """The parts of a version of a document with these decisions on its cuts."""
        texts = sorted(one.text for one in self._of("restore", document) if one.text is not None)
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        others = {name: part for name, part in parts.items() if name != _RESTORED}
        return others | ({_RESTORED: digest} if texts else {})

    def are_carried_out(self, version: Version) -> bool:
        """Whether a version was made under these decisions on its cuts."""
        return self.carried_out(version.parts, version.doc_id) == version.parts

    @property
    def takes_down(self) -> bool:
        """Whether anything is taken down."""
        return any(one.kind == "takedown" for one in self.made)

    def pinned(self, document: str) -> bool:
        """Whether a document's text stays as it is."""
        return any(self._of("pin", document))

    def stands(self, document: str) -> bool:
        """Whether a document is to stand by itself, though it is a copy."""
        return any(one.text is None for one in self._of("restore", document))

    def down(self, key: str, url: str | None, site: str | None, payload: str | None) -> Decision | None:
        """The takedown that a capture falls under, by its key, address, site or payload."""
        if not self.made:
            return None
        names = {doc_id(key), f"url:{url}", f"url:{key}", f"site:{site}", f"capture:{payload}"}
        return next((one for one in self.made if one.kind == "takedown" and one.target in names), None)

    def refusal(self, entry: LedgerEntry) -> str | None:
        """Why a capture is not to be read; None where nothing speaks against it."""
        found = self.down(entry.key, entry.url, entry.site, entry.payload_sha256)
        if found is None:
            return None
        why = f" ({found.note})" if found.note else ""
        return (
            f"was taken down by decision {found.number}{why}; cleancopy decisions undo {found.number} allows it"
        )

    def _of(self, kind: DecisionKind, document: str) -> Iterator[Decision]:
        return (one for one in self.made if one.kind == kind and one.target == document)


def plain(document: Document, cut: Cut) -> str:
    """The text of a cut, by which it is known again in a later version: its words, one space between."""
    return " ".join(document.text[cut.start : cut.end].split())


def path(root: StorePath) -> StorePath:
    """The file of decisions."""
    return root / "decisions.jsonl"


def every(root: StorePath) -> list[Decision]:
    """All decisions that were ever made, undone ones and undos too."""
    return _parsed(path(root), read_versioned(path(root))[0])


def _parsed(file: StorePath, content: bytes) -> list[Decision]:
    try:
        lines = content.decode().split("\n")
        made = [json.loads(line) for line in lines if line]
        return [Decision(**{**one, "purged": tuple(one.get("purged", ()))}) for one in made]
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{file}: is damaged ({error}); restore it from a backup, or mend that line"
        ) from error


def read(root: StorePath) -> Decisions:
    """The decisions that hold."""
    made = every(root)
    undone = {int(one.target) for one in made if one.kind == "undo"}
    return Decisions(tuple(one for one in made if one.kind != "undo" and one.number not in undone))


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


def purged(root: StorePath) -> Callable[[archive.ArchiveRef], bool]:
    """Whether takedowns have overwritten a record in the archive; undoing them brings nothing back."""
    names = {name for one in every(root) for name in one.purged}
    return lambda ref: _place(ref) in names or ref.record_id in names


def _place(ref: archive.ArchiveRef) -> str:
    """A record by where it is: its id comes again with the same page."""
    return f"{ref.file}@{ref.offset}"


def unpurged(root: StorePath) -> list[archive.ArchiveRef]:
    """The records that were to be purged and still have their bytes: a takedown was cut short."""
    names = {name for one in every(root) for name in one.purged}
    if not names:
        return []
    named = {archive.ArchiveRef(**row["archive"]) for row in _captures(root) if row["archive"]}
    return sorted(ref for ref in named if _place(ref) in names and _has_bytes(root, ref))


def _has_bytes(root: StorePath, ref: archive.ArchiveRef) -> bool:
    try:
        return not archive.is_purged(root, ref)
    except StoreError:
        return False  # verify says what is wrong with the file


# ---- deciding


@dataclass(frozen=True, slots=True)
class Applied:
    """What a decision did: the decision, its release (None where the store stood so already), the documents it
    is about, and the older releases that still hold their text.

    ``copies`` are documents with the same text that a takedown left, the next ingest makes one of them live.
    ``shared`` are the ids of records that were not purged, as such a copy was read from them.
    """

    decision: Decision
    release: int | None
    documents: tuple[str, ...] = ()
    held: tuple[int, ...] = ()
    copies: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def restore_cut(root: StorePath, document: str, number: int, note: str = "") -> Applied:
    """Let a cut stay in a document's text, now and in later versions; ``number`` counts its cuts from 1."""

    version = _version(root, document)
    if version.status == "gone":
        raise PolicyError(f"{document}: is gone; undo its takedown, or ingest it again")
    cut = version.document
    if not 1 <= number <= len(cut.cuts):
        raise PolicyError(f"{document}: has no cut {number}; it has {len(cut.cuts)}, see cleancopy explain")
    made = Decision(0, "restore", document, "", note, plain(cut, cut.cuts[number - 1]))

    def change(version: Version) -> Version:
        now = read(root)
        before = Decisions(now.made[:-1])
        # A version that lagged behind earlier decisions still does: the next run decides on it anew.
        lagged = not before.are_carried_out(version)
        parts = dict(version.parts) | {_RESTORED: ""} if lagged else now.carried_out(version.parts, document)
        spared = Decisions((made,)).spared(version.document)
        return replace(version, document=spared, parts=parts, fingerprint=fingerprint(parts))

    return _apply(root, made, lambda: [document], change)


def restore(root: StorePath, document: str, note: str = "") -> Applied:
    """Let a document that was taken for a copy of another stand by itself."""
    version = _version(root, document)
    if version.status == "gone":
        raise PolicyError(f"{document}: is gone, not cut; undo its takedown, or ingest it again")
    if version.status == "live":
        raise PolicyError(f"{document}: is no copy; name one of its cuts with --cut, see cleancopy explain")

    def change(version: Version) -> Version:
        return replace(version, status="live", duplicate_of=None, match={})

    return _apply(root, Decision(0, "restore", document, "", note), lambda: [document], change)


def pin(root: StorePath, document: str, note: str = "") -> Applied:
    """Let a document's text stay as it is."""
    if read(root).pinned(document):
        raise PolicyError(f"{document}: is pinned already; see cleancopy decisions list")
    _version(root, document)
    return _apply(root, Decision(0, "pin", document, "", note), list, lambda version: version)


def takedown(root: StorePath, target: str, note: str = "", *, purge: bool = False) -> Applied:
    """Take a document (by id), ``url:...``, ``site:...`` or ``capture:...`` down, now and for later ingests.

    A document goes where its text is of a capture that is meant. ``purge`` also overwrites what the archive has
    of these documents, and of every other capture that is meant. Older releases keep their text; which ones is
    said, and so are copies that stay.
    """
    _check(root, target)
    made = Decision(0, "takedown", target, "", note)
    meant = Decisions((made,))
    rows_of_it = [row for row in _captures(root) if _is_down(meant, row)]
    down = fallen(root, meant)
    refs, shared = _to_purge(root, rows_of_it, down) if purge else ([], [])
    made = replace(made, purged=tuple(map(_place, refs)))
    done = _apply(root, made, lambda: _there(root, fallen(root, meant)), rows.taken_down)
    with releases.writing(
        root, PATIENCE, keep=partial(workdir.active_runs, root)
    ):  # one purge of a file at a time
        archive.purge(root, refs)
    read_from = {row["doc_id"] for row in rows_of_it if row["outcome"] != "rejected"}
    documents = read_from & tables.heads(root).keys()
    texts = {row["version_id"] for row in rows_of_it}
    held = {n for one in documents for n in _holding(root, one, None if one in down else texts)}
    return replace(
        done,
        documents=tuple(sorted(documents)),
        held=tuple(sorted(held)),
        copies=_copies(root, down, shared),
        shared=tuple(ref.record_id for ref in shared),
    )


def _there(root: StorePath, documents: Iterable[str]) -> list[str]:
    """The documents that are not gone, or that are and have their text still in the last release."""
    versions = (_version(root, one) for one in sorted(documents))
    return [one.doc_id for one in versions if one.status != "gone" or one.document.text]


def _to_purge(
    root: StorePath, meant: Iterable[Mapping[str, Any]], down: Collection[str]
) -> tuple[list[archive.ArchiveRef], list[archive.ArchiveRef]]:
    """The archived records of documents and captures; and those of them that another document stands on."""
    of_documents = (row for row in _captures(root) if row["doc_id"] in down)
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


def undo(root: StorePath, number: int, note: str = "") -> Applied:
    """Let a decision hold no more.

    At the next ingest a restored cut goes, a page that was down comes back, and a pinned text becomes what its
    page or the pipeline made of it meanwhile. Bytes that a takedown purged do not come back.
    """
    if number not in {one.number for one in read(root).made}:
        raise PolicyError(f"there is no decision {number} that holds; see cleancopy decisions list")
    return _apply(root, Decision(0, "undo", str(number), "", note), list, lambda version: version)


def _apply(
    root: StorePath, made: Decision, about: Callable[[], Sequence[str]], change: Callable[[Version], Version]
) -> Applied:
    """Write a decision down, then what it changes as a release; killed in between, the next run honours it."""
    written: list[Decision] = []

    def decided() -> Applied:
        with releases.writing(root, PATIENCE, keep=partial(workdir.active_runs, root)) as release:
            documents = about()
            if not written:
                written.append(_written_down(root, made))
            (one,) = written
            if not documents:
                return Applied(one, None)
            _publish(root, release, one, partial(_changed, root, release, set(documents), one, change))
            views.refresh(root, release - 1, release, set(documents), [], {})
        return Applied(one, release, tuple(documents))

    return releases.again(decided)


def _written_down(root: StorePath, made: Decision) -> Decision:
    """The decision with its number and time, once it stands in the file."""
    file = path(root)
    content, mark = read_versioned(file)
    known = _parsed(file, content)
    made = replace(made, number=len(known) + 1, time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in [*known, made]]
    if not changed(file, ("\n".join(lines) + "\n").encode("utf-8", "replace"), mark):
        raise ConflictError(f"{file}: another decision was made at the same time; decide again")
    return made


def _changed(
    root: StorePath, release: int, documents: set[str], made: Decision, change: Callable[[Version], Version]
) -> Iterator[Version]:
    for batch in tables.latest_batches(root, documents=documents):
        for version in rows.table_to_versions(batch):
            why: rows.Change = "takedown" if made.kind == "takedown" else "restored"
            after = change(version)
            parent = version.version_id if after.document != version.document else version.parent
            yield replace(
                after, seq=version.seq + 1, release=release, change=why, parent=parent, restored_from=None
            )


def _publish(root: StorePath, release: int, made: Decision, versions: Callable[[], Iterable[Version]]) -> None:
    before = releases.current(root)
    releases.commit(
        root,
        release,
        rows.document_batches(versions()),
        rows.capture_batches([]),
        run=f"decision-{made.number}",
        fingerprint=before.fingerprint if before else "",
        parts=before.parts if before else {},
    )


# ---- what a decision is about


def _version(root: StorePath, document: str) -> Version:
    found = tables.version(root, document)
    if found is None:
        raise PolicyError(f"{document}: no such document; see cleancopy status --inputs")
    return found


def _check(root: StorePath, target: str) -> None:
    """Raises PolicyError for the target of a takedown that cannot be read, or for no document."""
    kind, _, name = target.partition(":")
    if kind == "capture" and not re.fullmatch(r"[0-9a-f]{64}", name):
        raise PolicyError(f"{target}: after capture: stands a payload's SHA-256, 64 hex digits")
    if kind == "url" and not re.match(r"https?://[^/\s]+|file:", name):
        raise PolicyError(
            f"{target}: after url: stands an http or https address, or the key of a file (file:...)"
        )
    if kind not in ("capture", "url", "site") or not name:
        _version(root, target)


_NAMED_BY = ["doc_id", "version_id", "key", "url", "site", "payload_sha256"]
_READ = [*_NAMED_BY, "outcome", "fingerprint"]


def _is_down(made: Decisions, row: Mapping[str, Any]) -> bool:
    return made.down(row["key"], row["url"], row["site"], row["payload_sha256"]) is not None


def fallen(root: StorePath, made: Decisions, as_of: int | None = None) -> frozenset[str]:
    """The stored documents that are to be down: their text, now or in a release, is of a capture that is.

    That is the capture that made the latest version, or one that only confirmed it.
    """
    if not made.takes_down:
        return frozenset()
    latest = _tuples(tables.latest(root, columns=_NAMED_BY, as_of=as_of))
    down = {document for document, _, *named in latest if made.down(*named)}
    texts = {(document, version) for document, version, *_ in latest if document not in down}
    for document, version, *named, outcome, made_by in _tuples(tables.captures(root, columns=_READ)):
        # Without a fingerprint is what has another text, and waits to become a version.
        confirmed = outcome != "rejected" and made_by and (document, version) in texts
        if confirmed and made.down(*named):
            down.add(document)
    return frozenset(down)


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _captures(root: StorePath) -> Iterator[dict[str, Any]]:
    """What identifies every version of every document, and every capture, and where its record is."""
    yield from tables.captures(root, columns=[*_NAMED_BY, "archive", "outcome"]).to_pylist()
    for row in tables.versions(root, [*_NAMED_BY, "archive"]).to_pylist():
        yield row | {"outcome": "new"}


def _holding(root: StorePath, document: str, texts: Collection[str] | None = None) -> list[int]:
    """The releases in which a document is live or a copy, or is so with one of these versions."""
    history = tables.history(root, document)
    ends = [version.release for version in history[1:]] + [releases.next_number(root)]
    return [
        number
        for version, end in zip(history, ends, strict=True)
        if version.status != "gone" and (texts is None or version.version_id in texts)
        for number in range(version.release, end)
    ]
