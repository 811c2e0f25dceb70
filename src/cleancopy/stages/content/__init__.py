"""The content stage: which blocks are main content."""

from __future__ import annotations

from cleancopy.document import Document
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import SiteChrome, protected_blocks, weigh_scores
from cleancopy.stages.content.select import cut_content


def cut(document: Document, policy: Policy, chrome: SiteChrome | None) -> Document:
    """The document with the cuts of what is not main content; what chrome knows of a block is evidence too."""
    protected = protected_blocks(document, policy.chrome, chrome)
    weighed = weigh_scores(document, policy.chrome, chrome)
    return document.with_cuts(each for each in cut_content(weighed) if each.start not in protected)
