"""Captions that other documents carry, when a release is planned: what each live document is cut, and why.

Under ``policy.captions.scope`` ``site`` or ``corpus`` a caption stands once in the texts of a site or of the
corpus: in the document that carries its kept wording. It is decided like duplicates, over all live documents
that are no copies, whatever run they came in; so a caption comes back in another document when the one that
carried it goes. Pinned texts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.document import Document
from cleancopy.minhash import sign
from cleancopy.policy import Policy
from cleancopy.stages.captions.clusters import Caption, cluster
from cleancopy.stages.captions.elsewhere import (
    PART,
    Repeat,
    cut_repeats,
    digest_of,
    part_of,
    read_part,
    without_elsewhere,
)
from cleancopy.stages.duplicates import signing
from cleancopy.store import caption_table, rows, tables
from cleancopy.store.decisions import Decisions
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import Version
from cleancopy.version import fingerprint
from cleancopy.words import count_words

Repeats = Mapping[str, tuple[Repeat, ...]]  # by document


@dataclass(frozen=True, slots=True)
class Signed:
    """A clean text as the planning step needs to know it."""

    text_sha256: str
    words: int
    signature: bytes


def find_repeats(
    root: StorePath, policy: Policy, stored: Sequence[str], new: Iterable[Caption], people: Decisions
) -> Repeats:
    """What to cut from each live document, by document.

    ``stored`` are the ids of the latest versions of live documents that no run has cleaned again, ``new`` the
    captions of those that this run will write. Under scope ``page`` nothing is looked at.
    """
    if policy.captions.scope == "page":
        return {}
    table = caption_table.up_to_date(root, policy.captions)
    stored_captions = table.rows.filter(pc.is_in(table.rows["version_id"], pa.array(stored, pa.string())))
    captions = pa.concat_tables([stored_captions, caption_table.rows_of(new)])
    captions = captions.filter(captions["carried"])
    repeats: dict[str, list[Repeat]] = {}
    for part in _in_scope(captions, policy.captions.scope):
        columns = caption_table.columns_of_table(part)
        clustering = cluster(columns, table.verdicts, policy.captions, people.on_captions())
        for doc_id, repeat in _repeats(part, clustering.kept):
            repeats.setdefault(doc_id, []).append(repeat)
    return {doc: tuple(sorted(each)) for doc, each in repeats.items() if not people.pinned(doc)}


def wanted_digest(repeats: Iterable[Repeat]) -> str:
    """The digest of what is to be cut from a document, as the part of its version has it."""
    return digest_of((repeat.caption_id, repeat.kept_in) for repeat in repeats)


def final_document(document: Document, repeats: Iterable[Repeat], people: Decisions) -> Document:
    """The document as it is published: its base, without these captions but for those that people restored."""
    return people.with_restored_cuts(cut_repeats(document, repeats))


def recut(version: Version, repeats: Iterable[Repeat], policy: Policy, people: Decisions) -> Version:
    """The next version of a stored document, cut for other captions of other documents than it was.

    ``version`` has its new ``seq`` and release. Where only the document that carries a caption is another one,
    the text and so the version's id stay.
    """
    repeats = tuple(repeats)
    document = final_document(version.document, repeats, people)
    part = part_of(document, wanted_digest(repeats))
    others = {name: value for name, value in version.parts.items() if name != PART}
    parts = others | ({PART: part} if part else {})
    changed = document.clean != version.clean
    return replace(
        version,
        document=document,
        change="captions",
        parent=version.version_id if changed else version.parent,
        parts=parts,
        fingerprint=fingerprint(parts),
        signature=signed(document, policy).signature,
    )


def to_recut(root: StorePath, repeats: Repeats, parts: Mapping[str, str], people: Decisions) -> set[str]:
    """The stored documents that must be cut otherwise than they are; ``parts`` has the part of each, or ""."""
    bases = ((doc, read_part(part)) for doc, part in parts.items() if not people.pinned(doc))
    stale = {doc for doc, base in bases if (base.cuts if base else "") != wanted_digest(repeats.get(doc, ()))}
    return {
        version.doc_id
        for version in stored_versions(root, stale)
        if final_document(version.document, repeats.get(version.doc_id, ()), people).cuts
        != version.document.cuts
    }


def signed(document: Document, policy: Policy) -> Signed:
    """A document's clean text, signed."""
    text = document.clean
    return Signed(rows.sha256(text), count_words(text), sign([text], signing(policy.duplicates))[0].tobytes())


def stored_versions(root: StorePath, documents: Iterable[str]) -> Iterator[Version]:
    """The latest versions of some documents."""
    wanted = set(documents)
    for batch in tables.latest_batches(root, documents=wanted) if wanted else ():
        yield from rows.table_to_versions(batch)


def base_texts(root: StorePath, documents: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The clean texts of the bases of stored documents, by id."""
    for version in stored_versions(root, documents):
        yield version.doc_id, without_elsewhere(version.document).clean


def _in_scope(captions: pa.Table, scope: str) -> Iterator[pa.Table]:
    """The captions that are compared with each other: all, or those of each site."""
    if scope == "corpus":
        yield captions
        return
    sites = captions["site"].fill_null("")
    for site in sorted(pc.unique(sites).to_pylist()):
        yield captions.filter(pc.equal(sites, site))


def _repeats(part: pa.Table, kept: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[str, Repeat]]:
    """The captions that are not the kept one of their cluster and stand in another document than that.

    A label (a name, a title) is cut only where it stands at the same picture, or has the same identifier.
    """
    some = np.flatnonzero(kept != np.arange(len(kept)))
    names = ["caption_id", "doc_id", "places", "label", "identifiers", "pictures"]
    chosen = part.select(names).take(pa.array(some)).to_pylist()
    keepers = part.select(names).take(pa.array(kept[some])).to_pylist()
    for row, keeper in zip(chosen, keepers, strict=True):
        evidence = {*row["identifiers"], *row["pictures"]} & {*keeper["identifiers"], *keeper["pictures"]}
        if row["doc_id"] != keeper["doc_id"] and (evidence or not row["label"]):
            places = tuple((place["start"], place["end"]) for place in row["places"])
            yield row["doc_id"], Repeat(row["caption_id"], places, keeper["caption_id"], keeper["doc_id"])
