"""What one input may cost, checked cheaply before or right after it is parsed.

    check_markup(markup, limits)            before the parse: too many tags, or attributes on one tag
    check_tree(root, error_log, limits)     after lxml's parse: elements nested too deep
    inflate(data, coding, limits)           one layer of gzip, deflate, br or zstd, with a cap

All three raise ``Rejection``; its message names the cause, the caller puts the input's name before it.

The attributes need a look *before* the parse: libxml2 compares each attribute with all the earlier ones of
its tag (10,000 take 0.3 s, 50,000 take 28 s). The depth needs none: libxml2 stops at 256 by itself, at no
cost, and says so in its log; a page it stopped at is cut short without any other sign, so look at the log.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from lxml import etree

from cleancopy.errors import Rejection, RejectReason

if TYPE_CHECKING:
    from cleancopy.policy import Limits

Coding = Literal["gzip", "deflate", "br", "zstd"]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

# Less than this is no bomb, whatever its ratio: blank or repeated pages do deflate 1,000 to 1.
RATIO_FLOOR = 1_000_000

# libxml2's own nesting limit for documents parsed without huge_tree (xmlParserMaxDepth).
_LIBXML_DEPTH = 256

_NAME = r"<[A-Za-z][^\s/>]*+"
_ONE = r"""[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]*+))?+"""
_TAG_NAME = re.compile(_NAME)
_ATTRIBUTE = re.compile(_ONE)
_MARKUP = re.compile(
    rf"(?P<hidden><!--(?:.*?-->|.*)|<(script|style)\b(?:{_ONE})*+[\s/]*+>(?:.*?</\2|.*))|{_NAME}(?:{_ONE})*+",
    re.DOTALL | re.IGNORECASE,
)


def check_markup(markup: bytes | str, limits: Limits) -> None:
    """Raise Rejection(parse_limit) where HTML has more tags, or a tag more attributes, than the limits allow.

    A look at a tenth of the page or less: tags are counted only in pages long enough to hold that many, and
    a tag with very many attributes leaves a window of the page without a ``<``; only such windows are looked
    into. So a tag with hardly more attributes than allowed may pass, and one that hides behind a ``<`` in
    a value: the deadline of ``cleancopy.extract.isolation`` is for those.
    """
    text = markup.decode("latin-1") if isinstance(markup, bytes) else markup
    if len(text) > 3 * limits.tags and text.count("<") > limits.tags:
        tags = text.count("<") - text.count("</") - text.count("<!")
        if tags > limits.tags:
            raise Rejection(
                RejectReason.PARSE_LIMIT,
                f"has {tags:,} tags, more than the {limits.tags:,} allowed; raise limits.tags in the policy "
                "if this is a page to read",
            )
    _check_attributes(text, limits.attributes)


def check_tree(root: etree._Element, error_log: Iterable[etree._LogEntry], limits: Limits) -> None:
    """Raise Rejection(parse_depth) where elements nest deeper than ``limits.depth``.

    ``error_log`` is the log of the lxml parser that made ``root`` (``parser.error_log``): libxml2 notes
    there that it stopped at its own limit of 256, after which the rest of the page is missing.
    """
    stopped = any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in error_log)
    shallow = limits.depth < _LIBXML_DEPTH
    if stopped or (shallow and root.getroottree().xpath(f"boolean({'/*' * (limits.depth + 1)})")):
        raise Rejection(
            RejectReason.PARSE_DEPTH,
            f"nests elements deeper than {min(limits.depth, _LIBXML_DEPTH)}; no page for readers does, "
            "so mend the page or leave it out",
        )


def inflate(data: bytes, coding: Coding, limits: Limits) -> bytes:
    """One layer of compression undone; at most ``limits.inflated_bytes``, at most the ratio allowed.

    Raises Rejection(decompress_limit) where more would come out, Rejection(bad_compression) where the data
    is cut short, damaged, or followed by something else.
    """
    allowed = min(limits.inflated_bytes, max(RATIO_FLOOR, limits.inflate_ratio * len(data)))
    try:
        result = (
            _inflate_zlib(data, coding, allowed)
            if coding in ("gzip", "deflate")
            else _inflate_other(data, coding, allowed)
        )
    except (zlib.error, OSError, ValueError) as error:
        raise Rejection(
            RejectReason.BAD_COMPRESSION, f"its {coding} data is damaged ({error}); get the file again"
        ) from error
    if len(result) > allowed:
        raise Rejection(
            RejectReason.DECOMPRESS_LIMIT,
            f"its {coding} data ({len(data):,} bytes) inflates to more than {allowed:,} bytes; unpack it by "
            "hand and look, or raise limits.inflated_bytes and limits.inflate_ratio",
        )
    return result


def _inflate_zlib(data: bytes, coding: Coding, allowed: int) -> bytes:
    """All gzip members, or the one deflate stream, of the data; at most one byte more than allowed.

    Each member is fed by small steps that grow: what is fed beyond its end is copied, and a file may have
    hundreds of thousands of members.
    """
    window = 31 if coding == "gzip" else (15 if data[:1] and data[0] & 15 == 8 else -15)
    view, parts, size, position = memoryview(data), list[bytes](), 0, 0
    while position < len(data):
        inflater, step = zlib.decompressobj(window), 512
        while not inflater.eof and position < len(data) and size <= allowed:
            fed = view[position : position + step]
            parts.append(inflater.decompress(fed, allowed - size + 1))
            size += len(parts[-1])
            position += len(fed) - len(inflater.unused_data) - len(inflater.unconsumed_tail)
            step = min(2 * step, 1 << 18)
        if size > allowed:
            break
        if not inflater.eof:
            raise ValueError("it ends too early")
        position += len(_ZEROS.match(data, position)[0])  # type: ignore[index]
        if position < len(data) and not (coding == "gzip" and data.startswith(GZIP_MAGIC, position)):
            raise ValueError("other data follows it")
    return b"".join(parts)


_ZEROS = re.compile(rb"\0*")


def _inflate_other(data: bytes, coding: Coding, allowed: int) -> bytes:
    from fastwarc.stream_io import BrotliReader, ZstdReader

    reader = (BrotliReader if coding == "br" else ZstdReader)(io.BytesIO(data))
    parts: list[bytes] = []
    size = 0
    while size <= allowed and (part := reader.read(min(1 << 16, allowed - size + 1))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _check_attributes(text: str, allowed: int) -> None:
    window, position, seen = 4 * allowed, 0, 0
    while position + window <= len(text):
        if text.find("<", position, position + window) >= 0:
            position += window
            continue
        start = text.rfind("<", 0, position)
        if (
            start >= 0
            and not _ends_plainly(text, start, position)
            and _attributes(text, start, allowed) > allowed
        ):
            script = text.rfind("<script", seen, start)
            seen = text.find("</script", script) if script >= 0 else -1
            if seen < start:
                return _check_each_tag(text, allowed)
            position = seen
        if (position := text.find("<", position)) < 0:
            return None
    return None


def _ends_plainly(text: str, start: int, position: int) -> bool:
    """Whether the tag that starts there has a ``>`` before the position, and no quote left open before that."""
    tag = text[start : text.find(">", start, position) + 1]
    return bool(tag) and tag.count('"') % 2 == 0 and tag.count("'") % 2 == 0


def _check_each_tag(text: str, allowed: int) -> None:
    """Count for sure: what looked like a tag may stand in a script, a comment or an attribute's value."""
    for markup in _MARKUP.finditer(text):
        start, end = markup.span()
        if (
            markup["hidden"] is None
            and end - start > 2 * allowed
            and _attributes(text, start, allowed) > allowed
        ):
            raise Rejection(
                RejectReason.PARSE_LIMIT,
                f"has a tag with more than {allowed:,} attributes at character {start:,}; no page for readers "
                "has, so mend the page or leave it out",
            )


def _attributes(text: str, start: int, enough: int) -> int:
    """How many attributes the tag has that starts there; counting ends once there are more than enough."""
    name = _TAG_NAME.match(text, start)
    count = 0
    position = name.end() if name else len(text)
    while count <= enough and (attribute := _ATTRIBUTE.match(text, position)):
        count, position = count + 1, attribute.end()
    return count
