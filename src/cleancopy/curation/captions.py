"""Decisions on captions: keep two apart, make two one, let one stay in its document's text.

A decision on two captions is about their wordings, so it also holds for documents that come later. Lists show
it at once. Where the policy cuts captions that other documents carry, texts follow at the next ingest.
"""

from __future__ import annotations

from cleancopy.corpus.captions import CaptionCluster, Occurrence, caption_of, read_captions
from cleancopy.curation.decisions import Applied, apply, restore_cut
from cleancopy.errors import PolicyError
from cleancopy.stages.captions.elsewhere import RULE
from cleancopy.stages.captions.wordings import read_wording
from cleancopy.store import tables
from cleancopy.store.decision_log import Decision, DecisionKind
from cleancopy.store.paths import StorePath


def keep_apart(root: StorePath, one: str, other: str, note: str = "", *, by: str = "") -> Applied:
    """Let two captions of one cluster be two, by their ids; PolicyError where they are, or cannot be."""
    clusters = read_captions(root)
    (cluster, left), (others, right) = (_named(clusters, name) for name in (one, other))
    if cluster.id != others.id:
        raise PolicyError(f"{one} and {other} are not one caption; see cleancopy captions show {one}")
    if read_wording(left.text).digest == read_wording(right.text).digest:
        raise PolicyError(
            f"{one} and {other} have the same words, so nothing tells them apart; to let one stay in the text "
            f"of its document, use cleancopy captions restore"
        )
    return _decide(root, "caption-apart", left, right, note, by)


def merge(root: StorePath, one: str, other: str, note: str = "", *, by: str = "") -> Applied:
    """Let the clusters of two captions be one, by the captions' ids; PolicyError where they are."""
    clusters = read_captions(root)
    (cluster, left), (others, right) = (_named(clusters, name) for name in (one, other))
    if cluster.id == others.id:
        raise PolicyError(f"{one} and {other} are one caption; see cleancopy captions show {one}")
    if read_wording(left.text).digest == read_wording(right.text).digest:
        raise PolicyError(
            f"{one} and {other} have the same words, too few to make them one wherever they stand; such labels "
            f"are one where they share a picture or an identifier"
        )
    return _decide(root, "caption-merge", left, right, note, by)


def restore(root: StorePath, caption: str, note: str = "", *, by: str = "") -> list[Applied]:
    """Let a caption that another document carries stay in its own document's text, wherever it stands there.

    Raises PolicyError where it was not cut.
    """
    _, member = _named(read_captions(root), caption)
    applied: list[Applied] = []
    while number := _cut_of(root, member):
        applied.append(restore_cut(root, member.doc_id, number, note, by=by))
    if not applied:
        raise PolicyError(f"{caption}: was not cut from {member.doc_id}; see cleancopy explain {member.doc_id}")
    return applied


def _cut_of(root: StorePath, member: Occurrence) -> int:
    """The number of a cut of this caption in its document, from 1; 0 where there is none."""
    version = tables.version(root, member.doc_id)
    cuts = version.document.cuts if version else ()
    numbered = enumerate(cuts, 1)
    return next(
        (n for n, cut in numbered if cut.rule == RULE and cut.evidence["caption"] == member.caption_id), 0
    )


def _named(clusters: list[CaptionCluster], name: str) -> tuple[CaptionCluster, Occurrence]:
    """The caption with an id, and its cluster; the kept caption where the id is the cluster's."""
    cluster = caption_of(clusters, name)
    members = (member for member in cluster.members if member.caption_id == name)
    return cluster, next(members, cluster.members[0])


def _decide(
    root: StorePath, kind: DecisionKind, left: Occurrence, right: Occurrence, note: str, by: str
) -> Applied:
    texts = (" ".join(member.text.split()) for member in (left, right))
    target = f"{left.caption_id} {right.caption_id}"
    decision = Decision(0, kind, target, "", note, "\n".join(texts), by=by)
    return apply(root, decision, list, lambda version: version)
