"""The captions stage: a page says each caption once; what belongs to it is lifted into ``media``."""

from __future__ import annotations

from dataclasses import replace

from cleancopy.document import Document
from cleancopy.policy import Policy
from cleancopy.stages.captions.collapse import collapse_captions
from cleancopy.stages.chrome.cut import SiteChrome


def cut(document: Document, policy: Policy, _: SiteChrome | None) -> Document:
    """The document with its repeated captions cut and all captions in ``media``."""
    cuts, media = collapse_captions(document, policy.captions)
    return replace(document.with_cuts(cuts), media=media) if cuts or media else document
