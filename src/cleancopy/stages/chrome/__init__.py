"""The chrome stage: what a site repeats, and what generic patterns know. Learning is apart, in ``learn``."""

from __future__ import annotations

from dataclasses import replace

from cleancopy.document import Document
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import TOO_MUCH, SiteChrome, propose_cuts


def cut(document: Document, policy: Policy, chrome: SiteChrome | None) -> Document:
    """The document with the cuts of its site's chrome and of the generic patterns.

    A note says where the site's chrome would have taken most of the main content and was kept from it.
    """
    cuts, note = propose_cuts(document, policy.chrome, chrome)
    # A document that is cleaned again may have the note of the time before.
    notes = tuple(before for before in document.notes if not before.startswith(TOO_MUCH))
    notes += (note,) if note else ()
    document = document if notes == document.notes else replace(document, notes=notes)
    return document.with_cuts(cuts)
