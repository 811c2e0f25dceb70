"""The whole way of one document: bytes to page text and blocks, then the cuts of each stage.

``read`` is the expensive part and knows nothing of the site: bytes to text, repairs, one parse, one walk,
the content scores, the metadata. ``apply_stages`` is cheap and pure: it applies the policy and a frozen site
chrome to a document that was read, again whenever either changes. ``clean`` is both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from urllib.parse import urlsplit

from cleancopy.document import Capture, Cut, Decoding, Document, Metadata
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.encoding import decode, looks_binary
from cleancopy.extract.html import is_markup, read_html, read_plain
from cleancopy.extract.language import Language, confidence_in, decide_language, detect_language
from cleancopy.extract.limits import check_markup
from cleancopy.extract.metadata import read_metadata, read_text_metadata
from cleancopy.extract.page import Page
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import SiteChrome, is_error_page, pinned_blocks
from cleancopy.stages.content.headline import apply_headline
from cleancopy.stages.content.select import score_blocks

Stage = Callable[[Document, Policy, SiteChrome | None], Document]


def clean(capture: Capture, policy: Policy, chrome: SiteChrome | None = None) -> Document:
    """The cleaned document of a capture: a pure function of capture, policy and site chrome.

    Raises Rejection where the payload is no page of text, or nothing but chrome.
    """
    return apply_stages(read(capture, policy), policy, chrome)


def read(capture: Capture, policy: Policy) -> Document:
    """The document of a capture as it is read: page text, blocks with content scores, metadata; no cuts."""
    text, decoding = _decode(capture, policy)
    markup = media_type(capture, text) == "text/html"
    if markup:
        check_markup(text, policy.limits)
        page = read_html(text, url=capture.url, repair=policy.repair, limits=policy.limits)
        metadata = read_metadata(page.tree, url=capture.url)
        page = replace(page, blocks=score_blocks(page, policy.content, capture.url))
    else:
        page = read_plain(text, repair=policy.repair)
        metadata = Metadata()
    language = detect_language(_paragraphs(page))
    return Document(
        key=capture.key,
        text=page.text,
        blocks=page.blocks,
        repairs=page.repairs,
        metadata=_known(metadata, capture, language),
        url=capture.url,
        site=_site(capture, metadata),
        media_type="text/html" if markup else "text/plain",
        decoding=decoding,
        payload_sha256=capture.sha256,
        notes=(*page.notes, *_mixed(language)),
        spans=page.spans,
    )


def apply_stages(document: Document, policy: Policy, chrome: SiteChrome | None = None) -> Document:
    """The document with the cuts of every stage that the policy names, in its order.

    Raises Rejection(no_content) where no word is left.
    """
    document = document.undecided()
    for name in policy.stages:
        document = stage(name)(document, policy, chrome)
    document = _titled(document)
    _check_words(document)
    if document.media_type == "text/html" and is_error_page(document):
        raise Rejection(
            RejectReason.NO_CONTENT,
            "is an error page that a server sent in place of the page; capture it again",
        )
    # After the check: a page of which the stages leave nothing is no text for having a headline.
    pinned = pinned_blocks(document, policy.chrome, chrome)
    document = _closed(apply_headline(document, policy.content, pinned))
    _check_words(document)
    return document


@cache
def stage(name: str) -> Stage:
    """The stage of a name in ``policy.STAGES``: ``cut`` of the module ``cleancopy.stages.NAME``."""
    function: Stage = import_module(f"cleancopy.stages.{name}").cut
    return function


def media_type(capture: Capture, text: str) -> str:
    """``text/html`` or ``text/plain``: what the capture says, else what the text begins with."""
    declared = (capture.media_type or "").partition(";")[0].strip().lower()
    if declared in ("text/html", "application/xhtml+xml"):
        return "text/html"
    if declared == "text/plain":
        return "text/plain"
    return "text/html" if is_markup(text) else "text/plain"


def _decode(capture: Capture, policy: Policy) -> tuple[str, Decoding]:
    payload = capture.payload
    if not payload.strip():
        raise Rejection(RejectReason.EMPTY_INPUT, "there are no bytes in it; capture the page again")
    if len(payload) > policy.limits.payload_bytes:
        raise Rejection(
            RejectReason.TOO_LARGE,
            f"{len(payload):,} bytes, more than limits.payload_bytes ({policy.limits.payload_bytes:,}); "
            "raise that limit in the policy if the page is wanted",
        )
    binary_kind = looks_binary(payload)
    if binary_kind:
        raise Rejection(
            RejectReason.BINARY,
            f"the bytes are {binary_kind}, not a page of text; convert it to HTML or text first",
        )
    text, decoding = decode(payload, declared=capture.charset, html=capture.media_type != "text/plain")
    if not text.strip():
        raise Rejection(RejectReason.EMPTY_INPUT, "there is no text in it; capture the page again")
    return text, decoding


def _known(metadata: Metadata, capture: Capture, detected: Language) -> Metadata:
    """The page's metadata, with what the capture's source says of language and licence put first."""
    language = capture.language or decide_language(metadata.language, detected)
    return metadata._replace(
        language=language,
        language_declared=capture.language or metadata.language,
        language_confidence=confidence_in(language, detected),
        licence=capture.licence or metadata.licence,
    )


def _paragraphs(page: Page) -> Iterator[str]:
    """The texts of the blocks that are likely content, or of all where none is."""
    likely = [block for block in page.blocks if block.score is None or block.score >= 0.5]
    return (page.text[block.start : block.end] for block in likely or page.blocks)


def _mixed(language: Language) -> tuple[str, ...]:
    if not language.also:
        return ()
    return (f"is written in more than one language: {', '.join([str(language.tag), *language.also])}",)


def _closed(document: Document) -> Document:
    """The document with its cuts fitted to the line ends around them.

    Between two kept blocks stays the wider of the gaps before and after the cut, at the end one line end.
    """
    text, cuts, changed = document.text, list(document.cuts), False
    for first, last in _runs(cuts):
        start, end = cuts[first].start, cuts[last].end
        gap = _line_ends(text, start)
        if end == len(text):
            if gap > 1:
                cuts[first], changed = cuts[first]._replace(start=start - gap + 1), True
        elif start > 0:
            wider = _line_ends(text, end) - gap
            if 0 < wider < end - cuts[last].start:
                cuts[last], changed = cuts[last]._replace(end=end - wider), True
    return replace(document, cuts=tuple(cuts)) if changed else document


def _site(capture: Capture, metadata: Metadata) -> str | None:
    """The site that a page is counted to: what is known, else the host it names, else the folder it lay in."""
    named = urlsplit(metadata.canonical_url).hostname if metadata.canonical_url else None
    return capture.site or named or capture.folder


def _titled(document: Document) -> Document:
    """The document with its headline as title, where there is no markup that says it."""
    if document.media_type != "text/plain":
        return document
    title = read_text_metadata(document.clean).title
    return replace(document, metadata=document.metadata._replace(title=title))


def _runs(cuts: Sequence[Cut]) -> Iterator[tuple[int, int]]:
    """The first and last index of each run of cuts that touch."""
    first = 0
    for index, cut in enumerate(cuts):
        if index + 1 == len(cuts) or cuts[index + 1].start > cut.end:
            yield first, index
            first = index + 1


def _line_ends(text: str, end: int) -> int:
    """How many line ends stand right before an offset, two at most."""
    return 2 if text[max(0, end - 2) : end] == "\n\n" else int(text[end - 1 : end] == "\n")


def _check_words(document: Document) -> None:
    """Raise Rejection(no_content) where no word of a document is left."""
    if not re.search(r"\w", document.clean):
        raise Rejection(RejectReason.NO_CONTENT, _nothing_left(document))


def _nothing_left(document: Document) -> str:
    if not document.blocks:
        return "the page shows no text; it may need a browser to render it"
    stages = sorted({cut.stage for cut in document.cuts})
    return f"no main text: all {len(document.blocks)} blocks were cut ({', '.join(stages)})"
