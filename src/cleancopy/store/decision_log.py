"""The file of decisions, ``clean/decisions.jsonl``: a line each, chained so that none can be lost or altered.

Each line has a salted digest of every field that may name a person or a page, and ``chain``: SHA-256 over the
chain of the line before, these digests and the other fields. So a field can be erased (its salt goes with it)
and the chain still holds. The last line's number and chain are the head: it stands in ``decisions.head`` and in
the manifest of each release. A record that lacks what a head has, or whose lines do not fit, is refused by
every writer (``check_record``). It may go on after the head: a command was killed then. Lines of before it are
sealed by the first writer (``seal``).
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cleancopy.errors import ConflictError, PolicyError, StoreError
from cleancopy.store.paths import StorePath, atomic_write, read_versioned, write_if_unchanged

DecisionKind = Literal[
    "restore", "pin", "takedown", "undo", "forget",
    "chrome-pin", "chrome-drop", "chrome-undo", "caption-apart", "caption-merge",
]  # fmt: skip
#: Fields that are in the chain by a salted digest, so that an erasure can blank them; the others as they are.
ERASABLE = (
    "target", "note", "text", "by", "payloads", "copies", "documents", "versions", "addresses", "blanked",
)  # fmt: skip
_TUPLES = ("purged", "payloads", "copies", "heads", "documents", "versions", "addresses", "blanked")
_SEALED_PLAIN = ("number", "kind", "time", "purged", "heads")


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision: its number, what was decided, about what, when, by whom, and why in their words.

    ``target`` is a doc_id; of a takedown also ``url:...``, ``site:...`` or ``capture:`` and the SHA-256 of a
    payload; of an undo the number of the decision that ends; of a chrome decision the site, a space and the
    entry's id; of a caption decision the ids of two captions. ``text`` is the cut that stays, None for a whole
    document, the entry's line, or the two captions, a line each. ``purged`` are
    the records whose bytes were overwritten in the archive, ``file@offset`` each (once it was their ids).
    ``payloads`` are the SHA-256 of what a document that is taken down was read from: they are refused under
    other names, too, but for the documents ``copies``, which were there then. ``heads`` are heads that a
    ``forget`` gives up, whose ``target`` names the numbers.

    Of a takedown that erases, ``documents`` are the ids of what is erased in all its versions, ``versions`` the
    ids of single ones; ``addresses`` are SHA-256 of the addresses and inputs that are refused since
    (``decisions.address_digest``), and ``blanked`` names the fields of earlier decisions that it blanked,
    ``number.field`` each. Its own target, where it is an address, is such a digest, too.
    """

    number: int
    kind: DecisionKind
    target: str
    time: str
    note: str = ""
    text: str | None = None
    purged: tuple[str, ...] = ()
    by: str = ""
    payloads: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    blanked: tuple[str, ...] = ()

    @property
    def erases(self) -> bool:
        """Whether it is a takedown that erases what was stored."""
        return self.kind == "takedown" and bool(
            self.documents or self.versions or self.addresses or self.purged
        )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file: its text, the decision, and its seal (None of before there were seals)."""

    text: str
    decision: Decision
    seal: Mapping[str, Any] | None

    @property
    def chain(self) -> str:
        """The chain up to this line, empty where it has none."""
        return str(self.seal["chain"]) if self.seal else ""

    @property
    def head(self) -> str:
        """The head of a record that ends with this line."""
        return f"{self.decision.number}:{self.chain}"


def path(root: StorePath) -> StorePath:
    """The file of decisions."""
    return root / "decisions.jsonl"


def head_path(root: StorePath) -> StorePath:
    """The file that has the head of the record."""
    return root / "decisions.head"


def read_all(root: StorePath) -> list[Decision]:
    """All decisions that were ever made, undone ones and undos too."""
    return [line.decision for line in _lines(path(root), read_versioned(path(root))[0])]


def append(root: StorePath, decision: Decision) -> Decision:
    """The decision with its number, time and author, once it stands in the file."""
    file = path(root)
    content, mark = read_versioned(file)
    lines = _sealed(_lines(file, content))
    numbered = replace(
        decision, number=_next_number(root, lines), time=_now(), by=decision.by or current_user()
    )
    _write(root, [*lines, _seal(numbered, lines[-1].chain if lines else "")], mark)
    return numbered


def head(root: StorePath) -> str:
    """The head of the record, its last line's number and chain; empty where nothing was ever decided."""
    lines = _lines(path(root), read_versioned(path(root))[0])
    return lines[-1].head if lines else ""


def check_record(root: StorePath, released: str = "") -> None:
    """Raise StoreError where the record lacks or belies what was decided; ``released`` is a manifest's head."""
    if lost := lost_decisions(root, released):
        file, numbers = path(root), " ".join(map(str, sorted(lost)))
        reasons = "; ".join(f"decision {number} {why}" for number, why in sorted(lost.items()))
        raise StoreError(
            f"{file}: {reasons}. Restore the file from a backup. Or confirm that these are to be forgotten, "
            f"with cleancopy decisions forget {numbers}: what they took down is then published again"
        )


def lost_decisions(root: StorePath, released: str = "") -> dict[int, str]:
    """The decisions that are missing from the record or altered, by number, each with what is wrong."""
    lines = _lines(path(root), read_versioned(path(root))[0])
    lost: dict[int, str] = {}
    before, last = "", 0
    unsealed = all(line.seal is None for line in lines)
    blanked = frozenset(name for line in lines for name in line.decision.blanked)
    for line in () if unsealed else lines:
        number = line.decision.number
        if line.seal is None:
            lost[number] = "has no seal"
        elif not _fields_fit(line, blanked):
            lost[number] = "was altered"
        elif line.chain != _chain(before, line.decision, line.seal["digests"]):
            missing = range(last + 1, number)
            lost |= dict.fromkeys(missing, "is missing") or {number: "was altered"}
        before, last = line.chain, number
    for head in filter(None, (released, read_versioned(head_path(root))[0].decode().strip())):
        lost |= {number: why for number, why in _behind(lines, head) if number not in lost}
    return lost


def _behind(lines: Iterable[_Line], head: str) -> Iterator[tuple[int, str]]:
    """What a record lacks of the one that had a head."""
    lines = list(lines)
    if any(line.head == head or head in line.decision.heads for line in lines):
        return
    number = int(head.partition(":")[0])
    there = {line.decision.number for line in lines}
    missing = [absent for absent in range(1, number + 1) if absent not in there]
    yield from ((absent, "is missing") for absent in missing)
    if not missing:
        yield number, "is another one than the last release knows"


def seal(root: StorePath) -> None:
    """Seal a record of before there were seals; for a writer that holds the lock and has checked it."""
    file = path(root)
    content, mark = read_versioned(file)
    lines = _lines(file, content)
    if any(line.seal is None for line in lines):
        _write(root, _sealed(lines), mark)


def forget(root: StorePath, numbers: Collection[int], released: str, note: str = "", by: str = "") -> Decision:
    """Give up decisions that are lost or altered, so that the store can be written again; what was noted.

    ``numbers`` must name all of them and no other: raises PolicyError else.
    """
    lost = lost_decisions(root, released)
    if set(numbers) != lost.keys() or not lost:
        named = ", ".join(map(str, sorted(lost))) or "none"
        raise PolicyError(f"{path(root)}: the decisions that are lost or altered are {named}; name just these")
    content, mark = read_versioned(path(root))
    lines = _lines(path(root), content)
    noted = read_versioned(head_path(root))[0].decode().strip()
    heads = tuple(sorted({known_number for known_number in (released, noted) if known_number}))
    kept = _chained(line.decision for line in lines if line.decision.number not in lost)
    number = max(_next_number(root, lines), *(known_number + 1 for known_number in lost))
    target = ",".join(map(str, sorted(lost)))
    decision = Decision(number, "forget", target, _now(), note, by=by or current_user(), heads=heads)
    _write(root, [*kept, _seal(decision, kept[-1].chain if kept else "")], mark)
    return decision


def blank(root: StorePath, fields: Collection[str]) -> None:
    """Empty fields of decisions, ``number.field`` each, which a later decision names as ``blanked``.

    Their salts go with them: nobody can try out what stood there. Only for who holds the writing lock.
    """
    content, mark = read_versioned(path(root))
    lines = [_blanked(line, fields) for line in _lines(path(root), content)]
    if any(line.text not in content.decode() for line in lines):
        _write(root, lines, mark)


def _blanked(line: _Line, fields: Collection[str]) -> _Line:
    names = [name for name in ERASABLE if f"{line.decision.number}.{name}" in fields]
    if not names or line.seal is None:
        return line
    values = json.loads(line.text)
    values |= {name: _empty(name) for name in names}
    values["salts"] = {name: salt for name, salt in line.seal["salts"].items() if name not in names}
    return _line(json.dumps(values, ensure_ascii=False))


def _empty(name: str) -> object:
    """What a field holds that was blanked: what one holds that nobody filled."""
    return None if name == "text" else [] if name in _TUPLES else ""


def current_user() -> str:
    """The name of the user who runs this, empty where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


# ---- lines and seals


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _lines(file: StorePath, content: bytes) -> list[_Line]:
    try:
        return [_line(text) for text in content.decode().split("\n") if text]
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{file}: is damaged ({error}); restore it from a backup, or repair that line"
        ) from error


def _line(text: str) -> _Line:
    fields = json.loads(text)
    sealed = {name: fields.pop(name) for name in ("salts", "digests", "chain") if name in fields}
    lists = {name: tuple(fields[name]) for name in _TUPLES if name in fields}
    return _Line(text, Decision(**{**fields, **lists}), sealed or None)


def _write(root: StorePath, lines: Iterable[_Line], mark: str) -> None:
    """Write the record, then its head: a kill in between leaves the record ahead, which is normal."""
    lines = list(lines)
    content = "".join(f"{line.text}\n" for line in lines)
    if not write_if_unchanged(path(root), content.encode("utf-8", "replace"), mark):
        raise ConflictError(f"{path(root)}: another decision was made at the same time; decide again")
    atomic_write(head_path(root), f"{lines[-1].head}\n".encode())


def _next_number(root: StorePath, lines: Iterable[_Line]) -> int:
    noted = read_versioned(head_path(root))[0].decode().strip().partition(":")[0]
    return max([int(noted or 0), *(line.decision.number for line in lines)]) + 1


def _sealed(lines: list[_Line]) -> list[_Line]:
    """The lines, all of them sealed: as they are where they have seals."""
    return lines if all(line.seal for line in lines) else _chained(line.decision for line in lines)


def _chained(decisions: Iterable[Decision]) -> list[_Line]:
    lines: list[_Line] = []
    for decision in decisions:
        lines.append(_seal(decision, lines[-1].chain if lines else ""))
    return lines


def _seal(decision: Decision, before: str) -> _Line:
    values = json.loads(json.dumps(asdict(decision)).encode("utf-8", "replace"))
    salts = {name: secrets.token_hex(16) for name in ERASABLE}
    digests = {name: _digest(salts[name], values[name]) for name in ERASABLE}
    parts = {"salts": salts, "digests": digests, "chain": _chain(before, decision, digests)}
    return _line(json.dumps(values | parts, ensure_ascii=False))


def _digest(salt: str, value: object) -> str:
    return hashlib.sha256(f"{salt}\n{json.dumps(value)}".encode()).hexdigest()


def _chain(before: str, decision: Decision, digests: Mapping[str, str]) -> str:
    values = asdict(decision)
    plain = {name: values[name] for name in _SEALED_PLAIN} | {"digests": dict(digests)}
    return hashlib.sha256(f"{before}\n{json.dumps(plain, sort_keys=True)}".encode()).hexdigest()


def _fields_fit(line: _Line, blanked: Collection[str]) -> bool:
    """Whether each field is what its digest says; one without a salt is empty and was ``blanked`` by name."""
    values, seal = json.loads(json.dumps(asdict(line.decision))), line.seal or {}
    for name in ERASABLE:
        salt, digest = seal["salts"].get(name), seal["digests"].get(name)
        if salt is None:
            if values[name] != _empty(name) or (digest and f"{line.decision.number}.{name}" not in blanked):
                return False
        elif _digest(salt, values[name]) != digest:
            return False
    return True
