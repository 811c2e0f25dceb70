"""Cuts of captions that another document carries: what is cut, how it is undone, how a version says so.

Which captions are repeated elsewhere is found over the whole corpus when a release is planned, as duplicates
are. What is cut for it comes on top of what the stages cut: the *base* is the document without it, and all that
is decided (duplicates, clusters, whether a page has changed) is decided on bases. A version's part
``elsewhere`` holds the digest of its base, so that a run need not read the document to know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from cleancopy.document import Cut, Document

RULE = "repeated-elsewhere"
#: The part of a version's fingerprint that says what was cut for captions of other documents.
PART = "elsewhere"


class Repeat(NamedTuple):
    """A caption of a document that another document carries, in the wording that is kept."""

    caption_id: str
    places: tuple[tuple[int, int], ...]
    kept_id: str
    kept_in: str


class Base(NamedTuple):
    """What a version's part says of its base: the digest and the words of its clean text, and of the cuts."""

    text_sha256: str
    words: int
    cuts: str


def without_elsewhere(document: Document) -> Document:
    """The document without the cuts that captions of other documents caused: its base."""
    others = tuple(cut for cut in document.cuts if cut.rule != RULE)
    return document if len(others) == len(document.cuts) else replace(document, cuts=others)


def cut_repeats(document: Document, repeats: Iterable[Repeat]) -> Document:
    """The document's base with these captions cut, each with the white space behind it.

    A document of which nothing would be left stays as it is.
    """
    base = without_elsewhere(document)
    cuts = {cut.start: cut for repeat in repeats for cut in _cuts(base, repeat)}
    after = base.with_cuts(cuts.values()) if cuts else base
    return after if after.clean.strip() else base


def kept_ranges(document: Document, place: tuple[int, int]) -> list[tuple[int, int]]:
    """The parts of a caption's place that the document's cuts leave and that have more than white space."""
    parts = ((max(start, place[0]), min(end, place[1])) for start, end in document.kept)
    return [(start, end) for start, end in parts if start < end and document.text[start:end].strip()]


def part_of(document: Document, cuts: str) -> str:
    """The part that a version of this document has, for the digest of what is to be cut; empty for none."""
    if not cuts:
        return ""
    clean = without_elsewhere(document).clean
    digest = hashlib.sha256(clean.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest} {len(clean.split())} {cuts}"


def read_part(part: str) -> Base | None:
    """What a part says; None for an empty one."""
    if not part:
        return None
    text_sha256, words, cuts = part.split(" ")
    return Base(text_sha256, int(words), cuts)


def digest_of(pairs: Iterable[tuple[str, str]]) -> str:
    """The digest of captions that are cut, each with the document that carries it; empty for none."""
    lines = sorted(set(pairs))
    return hashlib.sha256(repr(lines).encode()).hexdigest()[:16] if lines else ""


def _cuts(base: Document, repeat: Repeat) -> Iterable[Cut]:
    reason = f"repeats the caption that document {repeat.kept_in} carries in the wording that is kept"
    evidence = {"caption": repeat.caption_id, "kept": repeat.kept_id, "document": repeat.kept_in}
    for place in repeat.places:
        for start, end in kept_ranges(base, place):
            behind = len(base.text) - len(base.text[end:].lstrip())
            yield Cut(start, behind, "captions", RULE, reason, evidence)
