"""The captions of a corpus as people and programs read them: clusters, their wordings, where each stands.

    for caption in cleancopy.open("clean").captions():
        caption.caption, caption.credit, caption.documents, caption.wordings

A cluster is one caption in all its wordings, named by the id of the one that is kept: the fullest, then the
earliest captured, then the lowest id. Its members were each compared with that one. Documents that are copies
of others do not count: they show what their keeper shows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from cleancopy.corpus.views import fields_of
from cleancopy.errors import PolicyError
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.clusters import caption_ids
from cleancopy.stages.captions.compare import compare_captions
from cleancopy.stages.captions.wordings import APART, compare_wordings
from cleancopy.store import caption_table, decisions
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import Version


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One document's caption: where it stands, and how often the page shows it."""

    caption_id: str
    doc_id: str
    site: str | None
    captured: str | None
    text: str
    credit: str | None
    title: str | None
    identifiers: tuple[str, ...]
    pictures: tuple[str, ...]
    occurrences: int
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CaptionCluster:
    """One caption of a corpus. ``members`` are all its captions, the kept one first.

    ``related`` are the ids of other clusters that share an identifier with it though their captions differ.
    ``decisions`` are the numbers of the decisions on one of its wordings, keep apart or merge.
    """

    members: tuple[Occurrence, ...]
    related: tuple[str, ...] = ()
    decisions: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The id of the kept caption, 16 hex digits."""
        return self.members[0].caption_id

    @property
    def caption(self) -> str:
        """The kept wording."""
        return self.members[0].text

    @property
    def credit(self) -> str | None:
        """The longest credit that a member has; the first by alphabet among equals."""
        credits = sorted({member.credit for member in self.members if member.credit})
        return max(credits, key=len, default=None)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """All identifiers of the members, sorted."""
        return tuple(sorted({value for member in self.members for value in member.identifiers}))

    @property
    def documents(self) -> int:
        """How many documents show it."""
        return len({member.doc_id for member in self.members})

    @property
    def occurrences(self) -> int:
        """How often it is shown, over all documents."""
        return sum(member.occurrences for member in self.members)

    @property
    def wordings(self) -> Mapping[str, int]:
        """Its wordings, each with the number of documents that have it, the kept one first."""
        counts = Counter(member.text for member in self.members)
        others = sorted(counts, key=lambda text: (-counts[text], text))
        return {text: counts[text] for text in [self.caption, *(t for t in others if t != self.caption)]}

    def as_dict(self) -> dict[str, Any]:
        """The cluster as plain values, for JSON."""
        return {
            "id": self.id,
            "caption": self.caption,
            "credit": self.credit,
            "identifiers": list(self.identifiers),
            "documents": self.documents,
            "occurrences": self.occurrences,
            "wordings": len(self.wordings),
            "related": list(self.related),
            "decisions": list(self.decisions),
            "members": [{"id": member.caption_id, "document": member.doc_id} for member in self.members],
        }


def read_captions(root: StorePath, least: int = 1) -> list[CaptionCluster]:
    """The captions of a store's live documents, those of the most documents first, then by id.

    Only those that at least ``least`` documents show are read.
    """
    table = caption_table.current(root)
    kept = table.clustering.kept
    wanted = np.flatnonzero((table.documents() >= least)[kept])
    rows = dict(zip(wanted.tolist(), table.rows.drop_columns(["keys"]).take(wanted).to_pylist(), strict=True))
    groups: dict[int, list[int]] = defaultdict(list)
    for row, keeper in zip(wanted.tolist(), kept[wanted].tolist(), strict=True):
        groups[keeper].append(row)
    ids = table.rows["caption_id"]
    related: dict[int, set[str]] = defaultdict(set)
    for kept_row, other in table.clustering.related.tolist():
        related[kept_row].add(ids[other].as_py())
        related[other].add(ids[kept_row].as_py())
    about = _decisions_about(root)
    clusters = [
        CaptionCluster(
            members=tuple(_occurrence(rows[row]) for row in _kept_first(group, keeper, rows)),
            related=tuple(sorted(related[keeper])),
            decisions=tuple(
                sorted({number for row in group for number in about.get(rows[row]["wording"], ())})
            ),
        )
        for keeper, group in groups.items()
    ]
    return sorted(clusters, key=lambda cluster: (-cluster.documents, -cluster.occurrences, cluster.id))


def _decisions_about(root: StorePath) -> dict[int, list[int]]:
    """The decisions on captions that hold, their numbers by the digests of wordings."""
    about: dict[int, list[int]] = defaultdict(list)
    for pair, decision in decisions.read_decisions(root).caption_pairs().items():
        for digest in pair:
            about[digest].append(decision.number)
    return about


def media_of(root: StorePath, version: Version, as_of: int | None = None) -> list[dict[str, Any]]:
    """The captions of a document, each with its ``caption_id``, its ``cluster`` and how many ``documents``.

    The last two are None where the document is not live in the release.
    """
    media = version.document.media
    shares = caption_table.shares(root, as_of) if media and version.status == "live" else {}
    ids = caption_ids(version.doc_id, [entry.caption for entry in media])
    entries = []
    for entry, caption_id in zip(media, ids, strict=True):
        cluster, documents = shares.get(caption_id, (None, None))
        entries.append(
            fields_of(entry) | {"caption_id": caption_id, "cluster": cluster, "documents": documents}
        )
    return entries


def caption_of(clusters: Iterable[CaptionCluster], name: str) -> CaptionCluster:
    """The cluster with an id, or the one that a caption with this id is in; PolicyError where there is none."""
    for cluster in clusters:
        if cluster.id.startswith(name) or any(member.caption_id == name for member in cluster.members):
            return cluster
    raise PolicyError(f"{name}: there is no such caption; see cleancopy captions list")


def marked_differences(kept: str, wording: str) -> str:
    """A wording with what the kept one lacks in ``[+ +]`` and what only the kept one has in ``[- -]``."""
    words, others = kept.split(), wording.split()
    parts = []
    for tag, a, b, c, d in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(" ".join(words[a:b]))
            continue
        parts += [f"[-{' '.join(words[a:b])}-]"] if a < b else []
        parts += [f"[+{' '.join(others[c:d])}+]"] if c < d else []
    return " ".join(parts)


def evidence(kept: Occurrence, member: Occurrence) -> dict[str, Any]:
    """Why a member is the caption of its cluster: what the comparison with the kept wording says.

    Its ``rule`` is ``merged`` where the comparison says that they are two, and a decision that they are one.
    """
    compared = dict(compare_captions(kept.text, member.text).evidence)
    if compare_wordings(kept.text, member.text, CaptionPolicy()) == APART:
        compared["rule"] = "merged"
    shared = sorted({*kept.identifiers} & {*member.identifiers})
    return compared | ({"identifiers": ", ".join(shared)} if shared else {})


def _kept_first(group: Sequence[int], keeper: int, rows: Mapping[int, Mapping[str, Any]]) -> list[int]:
    others = sorted((row for row in group if row != keeper), key=lambda row: str(rows[row]["caption_id"]))
    return [keeper, *others]


def _occurrence(row: Mapping[str, Any]) -> Occurrence:
    return Occurrence(
        caption_id=row["caption_id"],
        doc_id=row["doc_id"],
        site=row["site"],
        captured=row["captured"],
        text=row["text"],
        credit=row["credit"],
        title=row["title"],
        identifiers=tuple(row["identifiers"]),
        pictures=tuple(row["pictures"]),
        occurrences=row["occurrences"],
        places=tuple((place["start"], place["end"]) for place in row["places"]),
    )
