"""The chrome stage: what a site repeats, and what generic patterns know. Learning is apart, in ``learn``."""

from __future__ import annotations

from cleancopy.document import Document
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import SiteChrome, cut_chrome


def cut(document: Document, policy: Policy, chrome: SiteChrome | None) -> Document:
    """The document with the cuts of its site's chrome and of the generic patterns."""
    return document.with_cuts(cut_chrome(document, policy.chrome, chrome))
