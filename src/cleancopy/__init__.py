"""cleancopy turns raw web captures into clean, versioned text, and can show for every removed line why it went.

    >>> import cleancopy
    >>> document = cleancopy.clean_page("An example.\\n\\nWith two paragraphs.")
    >>> document.clean
    'An example.\\n\\nWith two paragraphs.\\n'

``clean_page`` needs no store and no flow; ``cleancopy.open("clean")`` reads a store. Everything else that
downstream code may rely on is named here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleancopy.document import Block, Capture, Cut, Decoding, Document, Media, Metadata, Repair
from cleancopy.errors import CleancopyError, ConservationError, PolicyError, Rejection, RejectReason, StoreError
from cleancopy.policy import Policy, read_policy

if TYPE_CHECKING:
    from cleancopy.corpus.reader import Corpus, open
    from cleancopy.stages.captions.compare import CaptionMatch, compare_captions
    from cleancopy.stages.chrome.cut import SiteChrome, learn_chrome

__all__ = [
    "Block",
    "CaptionMatch",
    "Capture",
    "CleancopyError",
    "ConservationError",
    "Corpus",
    "Cut",
    "Decoding",
    "Document",
    "Media",
    "Metadata",
    "Policy",
    "PolicyError",
    "RejectReason",
    "Rejection",
    "Repair",
    "SiteChrome",
    "StoreError",
    "clean_page",
    "compare_captions",
    "learn_chrome",
    "open",
    "read_policy",
]

#: Names that bring heavier modules with them; they are imported when they are asked for.
_LAZY = {
    "CaptionMatch": "cleancopy.stages.captions.compare",
    "Corpus": "cleancopy.corpus.reader",
    "SiteChrome": "cleancopy.stages.chrome.cut",
    "compare_captions": "cleancopy.stages.captions.compare",
    "learn_chrome": "cleancopy.stages.chrome.cut",
    "open": "cleancopy.corpus.reader",
}

#: Former names, for code that was written with them.
_BEFORE = {"Kind": "RejectReason", "Rejected": "Rejection"}


def clean_page(
    payload: bytes | str,
    *,
    url: str | None = None,
    media_type: str | None = None,
    policy: Policy | None = None,
    chrome: SiteChrome | None = None,
) -> Document:
    """The cleaned document of one page: ``.clean`` is its text, ``.cuts`` says what went and why.

    ``payload`` is HTML or plain text as it was captured; bytes are decoded, and ``media_type`` may carry a
    ``charset``. ``chrome`` is what ``learn_chrome`` made of the site's pages. Raises ``Rejection`` (with its
    ``kind``) where the payload is no page of text or nothing is left of it.
    """
    from urllib.parse import urlsplit

    from cleancopy.clean import clean

    declared, _, parameters = (media_type or "").partition(";")
    charset = parameters.partition("charset=")[2].strip(" \"'") or None
    if isinstance(payload, str):
        payload, charset = payload.encode("utf-8", "replace"), "utf-8"
    site = chrome.site if chrome else (urlsplit(url).hostname if url else None)
    capture = Capture(
        payload=payload,
        key=url or "page:",
        url=url,
        site=site,
        media_type=declared.strip() or None,
        charset=charset,
    )
    return clean(capture, policy or Policy(), chrome)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cleancopy")
    if name in _BEFORE:
        name = _BEFORE[name]
        return globals()[name]
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'cleancopy' has no attribute {name!r}")
