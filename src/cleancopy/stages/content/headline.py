"""What becomes of the headline: it stays, the stages decide, or it goes, as ``content.headline`` says."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from cleancopy.document import Cut, Document
from cleancopy.extract.headline import headline_blocks, only_top_heading
from cleancopy.policy import ContentPolicy


def apply_headline(document: Document, policy: ContentPolicy, pinned: Set[int]) -> Document:
    """The document, cut by every stage, with its headline as the policy wants it.

    ``pinned`` are the starts of blocks that people have said are chrome: their word is above the setting's.
    """
    if policy.headline == "always":
        # The name of a book above the chapter's headline: what is on every page of the site is left to chrome.
        document = _without_cuts(document, only_top_heading(document), {"content"})
    blocks = range(0) if policy.headline == "model" else headline_blocks(document)
    if not blocks:
        return document
    start, end = document.reaches[blocks.start][0], document.reaches[blocks.stop - 1][1]
    if policy.headline == "never":
        reason = "the headline, which the policy leaves to the metadata"
        return document.with_cuts([Cut(start, end, "content", "headline", reason)])
    return document if start in pinned else _without_cuts(document, blocks)


def _without_cuts(document: Document, blocks: range, stages: Set[str] = frozenset()) -> Document:
    """The document with no cut, or none of some stages, in some blocks; what is cut around them stays cut."""
    if not blocks:
        return document
    start, end = document.reaches[blocks.start][0], document.reaches[blocks.stop - 1][1]
    cuts = []
    for cut in document.cuts:
        if cut.end <= start or end <= cut.start or (stages and cut.stage not in stages):
            cuts.append(cut)
            continue
        if cut.start < start:
            cuts.append(cut._replace(end=start))
        if end < cut.end:
            cuts.append(cut._replace(start=end))
    return replace(document, cuts=tuple(cuts))
