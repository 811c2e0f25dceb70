"""What people decide about documents: a cut that stays, a text that stays as it is, a page that goes.

    restore    a cut of a document stays in its text, or a document that was taken for a copy stands by itself
    pin        a document's text stays as it is, whatever its page or the pipeline becomes
    takedown   a document, an address or a site is gone from every export and later release, and is read no more

Decisions are kept in ``clean/decisions.jsonl``, a line each, in the order they were made; ``undo`` adds a line,
none is ever rewritten. Each is applied at once, as a release of its own, and honoured by every later run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from cleancopy import views, work
from cleancopy.document import Cut, Document, doc_id
from cleancopy.errors import Overtaken, PolicyError, StoreError
from cleancopy.store import archive, corpus, releases, rows
from cleancopy.store.layout import Place, state
from cleancopy.store.layout import change as changed
from cleancopy.store.rows import LedgerEntry, Version

DecisionKind = Literal["restore", "pin", "takedown", "undo"]
#: Seconds to wait while a run publishes.
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Made:
    """A decision: its number, what was decided, about what, when, and why in the words of who made it.

    ``target`` is a doc_id; of a takedown also ``url:...``, ``site:...`` or ``capture:`` and the SHA-256 of a
    payload; of an undo the number of the decision that ends. ``text`` is the cut that stays, None for a whole
    document. ``purged`` are the records whose bytes were overwritten in the archive.
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

    made: tuple[Made, ...] = ()

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

    def down(self, key: str, url: str | None, site: str | None, payload: str | None) -> Made | None:
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

    def _of(self, kind: DecisionKind, document: str) -> Iterator[Made]:
        return (one for one in self.made if one.kind == kind and one.target == document)


def plain(document: Document, cut: Cut) -> str:
    """The text of a cut, by which it is known again in a later version: its words, one space between."""
    return " ".join(document.text[cut.start : cut.end].split())


def path(root: Place) -> Place:
    """The file of decisions."""
    return root / "decisions.jsonl"


def every(root: Place) -> list[Made]:
    """All decisions that were ever made, undone ones and undos too."""
    return _parsed(path(root), state(path(root))[0])


def _parsed(file: Place, content: bytes) -> list[Made]:
    try:
        lines = content.decode().split("\n")
        made = [json.loads(line) for line in lines if line]
        return [Made(**{**one, "purged": tuple(one.get("purged", ()))}) for one in made]
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{file}: is damaged ({error}); restore it from a backup, or mend that line"
        ) from error


def read(root: Place) -> Decisions:
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


def purged(root: Place) -> frozenset[str]:
    """The record ids of what takedowns have overwritten in the archive; undoing them brings nothing back."""
    return frozenset(name for one in every(root) for name in one.purged)


# ---- deciding


@dataclass(frozen=True, slots=True)
class Applied:
    """What a decision did: the decision, its release (None where the store stood so already), the documents it
    changed, and the older releases that still hold their text."""

    decision: Made
    release: int | None
    documents: tuple[str, ...] = ()
    held: tuple[int, ...] = ()


def restore_cut(root: Place, document: str, number: int, note: str = "") -> Applied:
    """Let a cut stay in a document's text, now and in later versions; ``number`` counts its cuts from 1."""

    cut = _version(root, document).document
    if not 1 <= number <= len(cut.cuts):
        raise PolicyError(f"{document}: has no cut {number}; it has {len(cut.cuts)}, see cleancopy explain")
    made = Made(0, "restore", document, "", note, plain(cut, cut.cuts[number - 1]))

    def change(version: Version) -> Version:
        return replace(version, document=Decisions((made,)).spared(version.document))

    return _apply(root, made, lambda: [document], change)


def restore(root: Place, document: str, note: str = "") -> Applied:
    """Let a document that was taken for a copy of another stand by itself."""
    version = _version(root, document)
    if version.status == "gone":
        raise PolicyError(f"{document}: is gone, not cut; undo its takedown, or ingest it again")
    if version.status == "live":
        raise PolicyError(f"{document}: is no copy; name one of its cuts with --cut, see cleancopy explain")

    def change(version: Version) -> Version:
        return replace(version, status="live", duplicate_of=None, match={})

    return _apply(root, Made(0, "restore", document, "", note), lambda: [document], change)


def pin(root: Place, document: str, note: str = "") -> Applied:
    """Let a document's text stay as it is."""
    if read(root).pinned(document):
        raise PolicyError(f"{document}: is pinned already; see cleancopy decisions list")
    _version(root, document)
    return _apply(root, Made(0, "pin", document, "", note), list, lambda version: version)


def takedown(root: Place, target: str, note: str = "", *, purge: bool = False) -> Applied:
    """Take a document (by id), ``url:...``, ``site:...`` or ``capture:...`` down, now and for later ingests.

    ``purge`` also overwrites what the archive has of these documents. Older releases keep their text; which
    ones is said.
    """
    documents = _meant(root, target)
    refs = _alone(root, documents) if purge else []
    made = Made(0, "takedown", target, "", note, purged=tuple(sorted({ref.record_id for ref in refs})))
    done = _apply(root, made, lambda: _live(root, _meant(root, target)), rows.gone)
    with releases.writing(root, PATIENCE, keep=partial(work.names, root)):  # one purge of a file at a time
        archive.purge(root, refs)
    held = sorted({number for document in documents for number in _holding(root, document)})
    return replace(done, documents=tuple(documents), held=tuple(held))


def _live(root: Place, documents: Iterable[str]) -> list[str]:
    return [one for one in documents if _version(root, one).status != "gone"]


def _alone(root: Place, documents: Sequence[str]) -> list[archive.ArchiveRef]:
    """The archived records of documents, but for those that another document, not gone, was read from too."""
    mine = {ref for document in documents for ref in _archived(root, document)}
    others = corpus.latest(root, columns=["doc_id", "status", "archive"]).to_pylist()
    shared = {
        row["archive"]["record_id"]
        for row in others
        if row["archive"] and row["status"] != "gone" and row["doc_id"] not in documents
    }
    return sorted(ref for ref in mine if ref.record_id not in shared)


def undo(root: Place, number: int, note: str = "") -> Applied:
    """Let a decision hold no more.

    A restored cut goes at the next reclean, a page that was down comes back at the next ingest, a pinned text
    changes when its page or the pipeline does. Bytes that a takedown purged do not come back.
    """
    if number not in {one.number for one in read(root).made}:
        raise PolicyError(f"there is no decision {number} that holds; see cleancopy decisions list")
    return _apply(root, Made(0, "undo", str(number), "", note), list, lambda version: version)


def _apply(
    root: Place, made: Made, about: Callable[[], Sequence[str]], change: Callable[[Version], Version]
) -> Applied:
    """Write a decision down, then what it changes as a release; killed in between, the next run honours it."""
    written: list[Made] = []

    def decided() -> Applied:
        with releases.writing(root, PATIENCE, keep=partial(work.names, root)) as release:
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


def _written_down(root: Place, made: Made) -> Made:
    """The decision with its number and time, once it stands in the file."""
    file = path(root)
    content, mark = state(file)
    known = _parsed(file, content)
    made = replace(made, number=len(known) + 1, time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in [*known, made]]
    if not changed(file, ("\n".join(lines) + "\n").encode("utf-8", "replace"), mark):
        raise Overtaken(f"{file}: another decision was made at the same time; decide again")
    return made


def _changed(
    root: Place, release: int, documents: set[str], made: Made, change: Callable[[Version], Version]
) -> Iterator[Version]:
    for batch in corpus.latest_batches(root, documents=documents):
        for version in rows.table_to_versions(batch):
            why: rows.Change = "takedown" if made.kind == "takedown" else "restored"
            after = change(version)
            parent = version.version_id if after.document != version.document else version.parent
            yield replace(after, seq=version.seq + 1, release=release, change=why, parent=parent)


def _publish(root: Place, release: int, made: Made, versions: Callable[[], Iterable[Version]]) -> None:
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


def _version(root: Place, document: str) -> Version:
    found = corpus.version(root, document)
    if found is None:
        raise PolicyError(f"{document}: no such document; see cleancopy status --inputs")
    return found


def _meant(root: Place, target: str) -> list[str]:
    """The stored documents that a takedown is about; raises PolicyError for a target that cannot be read."""
    kind, _, name = target.partition(":")
    if kind == "capture" and not re.fullmatch(r"[0-9a-f]{64}", name):
        raise PolicyError(f"{target}: after capture: stands a payload's SHA-256, 64 hex digits")
    if kind == "url" and not re.match(r"https?://[^/\s]+|file:", name):
        raise PolicyError(
            f"{target}: after url: stands an http or https address, or the key of a file (file:...)"
        )
    if kind == "site" and name:
        table = corpus.latest(root, columns=["doc_id"], site=name)
        return sorted(table["doc_id"].to_pylist())
    table = corpus.latest(root, columns=["doc_id", "key", "url", "payload_sha256"]).to_pylist()
    if kind in ("url", "capture") and name:
        fields = ("key", "url") if kind == "url" else ("payload_sha256",)
        return sorted(row["doc_id"] for row in table if name in [row[field] for field in fields])
    return [_version(root, target).doc_id]


def _holding(root: Place, document: str) -> list[int]:
    """The releases in which a document is live or a copy."""
    history = corpus.history(root, document)
    ends = [version.release for version in history[1:]] + [releases.next_number(root)]
    spans = zip(history, ends, strict=True)
    return [n for version, end in spans if version.status != "gone" for n in range(version.release, end)]


def _archived(root: Place, document: str) -> list[archive.ArchiveRef]:
    """Every archived record of a document, those of captures that made no version too."""
    refs = {version.archive for version in corpus.history(root, document) if version.archive}
    table = corpus.captures(root, columns=["doc_id", "archive"])
    for row in table.to_pylist():
        if row["doc_id"] == document and row["archive"]:
            refs.add(archive.ArchiveRef(**row["archive"]))
    return sorted(refs)
